/* Tasks, processes, groups and sessions by their numbers: hash tables of all, with their links in what they hold, so
 * that a container full of processes makes no call slow. */
#include "base/rare.h"
#include "vkernel/task/process.h"

enum { BUCKETS = 4096 };
enum table { TASKS, PROCESSES, GROUPS, SESSIONS, TABLES };

static struct list tables[BUCKETS][TABLES] RARE; /* the four of a number in one page: a leader's are all the same */

static struct list *
bucket(enum table table, int number)
{
    struct list *l = &tables[(unsigned)number % BUCKETS][table];

    if (!l->next)
        list_init(l);
    return l;
}

static void
move(struct list *link, enum table table, int number)
{
    list_remove(link);
    list_append(bucket(table, number), link);
}

struct process *
process_find(int pid)
{
    LIST_EACH(l, bucket(PROCESSES, pid)) {
        struct process *p = list_entry(l, struct process, number_link);

        if (p->pid == pid)
            return p;
    }
    return NULL;
}

struct task *
task_find(int tid)
{
    LIST_EACH(l, bucket(TASKS, tid)) {
        struct task *t = list_entry(l, struct task, number_link);

        if (t->tid == tid)
            return t;
    }
    return NULL;
}

struct process *
group_next(int pgid, struct process *after)
{
    struct list *head = bucket(GROUPS, pgid);

    for (struct list *l = after ? after->group_link.next : head->next; l != head; l = l->next)
        if (list_entry(l, struct process, group_link)->pgid == pgid)
            return list_entry(l, struct process, group_link);
    return NULL;
}

struct process *
session_next(int sid, struct process *after)
{
    struct list *head = bucket(SESSIONS, sid);

    for (struct list *l = after ? after->session_link.next : head->next; l != head; l = l->next)
        if (list_entry(l, struct process, session_link)->sid == sid)
            return list_entry(l, struct process, session_link);
    return NULL;
}

bool
number_used(int number)
{
    return task_find(number) || process_find(number) || group_next(number, NULL) || session_next(number, NULL);
}

void
process_set_group(struct process *p, int pgid, int sid)
{
    p->pgid = pgid;
    p->sid = sid;
    move(&p->group_link, GROUPS, pgid);
    move(&p->session_link, SESSIONS, sid);
}

void
process_number(struct process *p)
{
    move(&p->number_link, PROCESSES, p->pid);
    process_set_group(p, p->pgid, p->sid);
}

void
process_unnumber(struct process *p)
{
    list_remove(&p->number_link);
    list_remove(&p->group_link);
    list_remove(&p->session_link);
}

void
task_number(struct task *t, int tid)
{
    t->tid = tid;
    move(&t->number_link, TASKS, tid);
}

void
task_unnumber(struct task *t)
{
    list_remove(&t->number_link);
}
