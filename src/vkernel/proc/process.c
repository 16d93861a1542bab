/* The process table: processes, threads, ids. */
#include "vkernel/proc/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "vkernel/fs/file.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"

enum { PID_WRAP = 300, MAX_TASKS = 32768 };

struct list process_list = {&process_list, &process_list}, task_list = {&task_list, &task_list};
struct process *init_process;
static int last_id;
static unsigned task_count;

struct process *
process_find(int pid)
{
    LIST_EACH(l, &process_list) {
        struct process *p = list_entry(l, struct process, all);

        if (p->pid == pid)
            return p;
    }
    return NULL;
}

struct process *
process_next(struct process *after)
{
    struct list *l = after ? after->all.next : process_list.next;

    return l == &process_list ? NULL : list_entry(l, struct process, all);
}

struct task *
task_find(int tid)
{
    LIST_EACH(l, &task_list) {
        struct task *t = list_entry(l, struct task, all_tasks);

        if (t->tid == tid)
            return t;
    }
    return NULL;
}

static bool
id_used(int id)
{
    if (task_find(id))
        return true;
    for (struct process *p = process_next(NULL); p; p = process_next(p))
        if (p->pid == id || p->pgid == id || p->sid == id)
            return true;
    return false;
}

int64_t
proc_allocate_id(void)
{
    if (task_count >= MAX_TASKS)
        return -EAGAIN;
    do
        last_id = last_id + 1 >= PROC_PID_MAX ? PID_WRAP : last_id + 1;
    while (last_id >= PID_WRAP && id_used(last_id));
    return last_id;
}

int64_t
proc_take_id(int id)
{
    if (task_count >= MAX_TASKS)
        return -EAGAIN;
    return id_used(id) ? -EEXIST : id;
}

struct process *
process_new(struct process *parent)
{
    struct process *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->actions = signal_actions_new(parent ? parent->actions : NULL);
    if (!p->actions) {
        free(p);
        return NULL;
    }
    list_init(&p->children);
    list_init(&p->sibling);
    list_init(&p->threads);
    list_init(&p->all);
    list_init(&p->pending);
    list_init(&p->posix_timers);
    wait_queue_init(&p->wait_child);
    wait_queue_init(&p->stop_queue);
    wait_queue_init(&p->pidfd_queue);
    p->dumpable = true;
    p->start_ns = clock_monotonic_ns();
    if (parent) {
        p->pgid = parent->pgid;
        p->sid = parent->sid;
        p->creds = parent->creds;
        memcpy(p->rlimits, parent->rlimits, sizeof p->rlimits);
        memcpy(p->comm, parent->comm, sizeof p->comm);
        p->exe_path = parent->exe_path ? strdup(parent->exe_path) : NULL;
        p->exe = parent->exe ? file_get(parent->exe) : NULL;
        p->ctty = parent->ctty;
        p->no_new_privs = parent->no_new_privs;
        p->keep_caps = parent->keep_caps;
        p->personality = parent->personality;
        p->nice = parent->nice;
        p->dumpable = parent->dumpable;
        p->securebits = parent->securebits;
        p->cap_ambient = parent->cap_ambient;
    }
    return p;
}

void
process_free(struct process *p)
{
    list_remove(&p->all);
    list_remove(&p->sibling);
    /* A pidfd's watchers know the process by its number, and outlive it. */
    wait_queue_fini(&p->pidfd_queue);
    wait_queue_fini(&p->wait_child);
    wait_queue_fini(&p->stop_queue);
    signal_flush(&p->pending, &p->pending_set);
    signal_actions_put(p->actions);
    free(p->exe_path);
    if (p->exe)
        file_put(p->exe);
    free(p);
}

struct task *
task_new(struct process *p)
{
    struct task *t;
    void *aligned = NULL;

    /* struct x86_cpu wants its alignment. */
    if (posix_memalign(&aligned, 64, (sizeof *t + 63) & ~(size_t)63) != 0)
        return NULL;
    t = aligned;
    memset(t, 0, sizeof *t);
    t->process = p;
    t->state = TASK_SLEEPING;
    list_init(&t->thread_link);
    list_init(&t->all_tasks);
    list_init(&t->run_link);
    signal_init_task(t);
    if (sched_prepare(t) < 0) {
        free(t);
        return NULL;
    }
    task_count++;
    return t;
}

void
task_free(struct task *t)
{
    struct process *p = t->process;

    wait_queue_fini(&t->sleep_queue);
    signal_flush(&t->pending, &t->pending_set);
    list_remove(&t->all_tasks);
    task_count--;
    free(t);
    if (p->reaped && p->thread_count == 0)
        process_free(p);
}

bool
capable(int cap)
{
    return cap >= 0 && cap < 64 && (current_process()->creds.cap_effective >> cap & 1);
}
