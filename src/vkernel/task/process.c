/* The process table: processes, threads, ids. */
#include "vkernel/task/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/system.h"
#include "vkernel/vfs/users.h"

enum { PID_WRAP = 300, MAX_TASKS = 32768 };

struct list process_list = {&process_list, &process_list};
struct process *init_process;
uint64_t proc_tasks_made;
static int last_id;
static unsigned task_count; /* tasks, and processes that nobody has waited for */
static unsigned task_limit = MAX_TASKS;

void
proc_limit_tasks(uint64_t limit)
{
    if (limit < task_limit)
        task_limit = (unsigned)limit;
}

unsigned
proc_task_count(void)
{
    return task_count;
}

int
proc_last_id(void)
{
    return last_id;
}

struct process *
process_next(struct process *after)
{
    struct list *l = after ? after->all.next : process_list.next;

    return l == &process_list ? NULL : list_entry(l, struct process, all);
}

void
process_count(int more)
{
    task_count += (unsigned)more;
}

int64_t
proc_allocate_id(void)
{
    if (task_count > task_limit)
        return -EAGAIN;
    do
        last_id = last_id + 1 >= PROC_PID_MAX ? PID_WRAP : last_id + 1;
    while (number_used(last_id)); /* also at the start: clone3 takes any */
    return last_id;
}

int64_t
proc_take_id(int id)
{
    if (task_count > task_limit)
        return -EAGAIN;
    return number_used(id) ? -EEXIST : id;
}

int
process_set_user(struct process *p, uint32_t uid)
{
    struct user *u;

    if (p->user && user_uid(p->user) == uid)
        return 0;
    u = user_charge_uid(uid, USER_TASKS, p->charged_tasks, UINT64_MAX);
    if (!u)
        return -EAGAIN;
    user_uncharge(p->user, USER_TASKS, p->charged_tasks);
    p->user = u;
    return 0;
}

bool
process_limit_reached(const struct process *p)
{
    return user_count(p->user, USER_TASKS) > p->rlimits[RLIMIT_NPROC].rlim_cur && user_uid(p->user) != 0 &&
           !capable(CAP_SYS_RESOURCE) && !capable(CAP_SYS_ADMIN);
}

/* A thread beyond the first: it counts with the user and among all. */
void
task_charge(struct task *t)
{
    t->charged = true;
    t->process->charged_tasks++;
    user_charge_uid(user_uid(t->process->user), USER_TASKS, 1, UINT64_MAX);
    task_count++;
}

void
task_uncharge(struct task *t)
{
    if (!t->charged)
        return;
    t->charged = false;
    t->process->charged_tasks--;
    user_uncharge(t->process->user, USER_TASKS, 1);
    task_count--;
}

int64_t
process_oom_points(const struct process *p)
{
    enum { NEVER = -1000 };
    int64_t total = (int64_t)(system_memory_total() / PAGE_SIZE);

    if (!p->mm || p->group_exit || p->zombie || p->oom_score_adj == NEVER)
        return INT64_MIN;
    return (int64_t)p->mm->total_pages + p->oom_score_adj * (total / 1000);
}

bool
process_may_look(const struct process *p, enum look_as as)
{
    const struct creds *me = &current_process()->creds, *its = &p->creds;
    uint32_t uid = as == LOOK_FILES ? me->fsuid : me->uid, gid = as == LOOK_FILES ? me->fsgid : me->gid;
    uint64_t caps = as == LOOK_FILES ? me->cap_effective : me->cap_permitted;

    if (p == current_process() || capable(CAP_SYS_PTRACE))
        return true;
    return (p->dumpable || !p->mm) && uid == its->uid && uid == its->euid && uid == its->suid && gid == its->gid &&
           gid == its->egid && gid == its->sgid && !(its->cap_permitted & ~caps);
}
