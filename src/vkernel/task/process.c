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
#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/system.h"

enum { CAP_SYS_ADMIN_BIT = 21, CAP_SYS_RESOURCE_BIT = 24 };
enum { PID_WRAP = 300, MAX_TASKS = 32768 };

struct list process_list = {&process_list, &process_list};
struct process *init_process;
static int last_id;
static unsigned task_count; /* tasks, and processes that nobody has waited for */

struct process *
process_next(struct process *after)
{
    struct list *l = after ? after->all.next : process_list.next;

    return l == &process_list ? NULL : list_entry(l, struct process, all);
}

int64_t
proc_allocate_id(void)
{
    if (task_count > MAX_TASKS)
        return -EAGAIN;
    do
        last_id = last_id + 1 >= PROC_PID_MAX ? PID_WRAP : last_id + 1;
    while (number_used(last_id)); /* also at the start: clone3 takes any */
    return last_id;
}

int64_t
proc_take_id(int id)
{
    if (task_count > MAX_TASKS)
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
           !capable(CAP_SYS_RESOURCE_BIT) && !capable(CAP_SYS_ADMIN_BIT);
}

OBJECT_POOL(process);
OBJECT_POOL(task);

struct process *
process_new(struct process *parent)
{
    struct process *p = OBJECT_NEW(process);

    if (!p)
        return NULL;
    p->actions = signal_actions_new(parent ? parent->actions : NULL);
    if (!p->actions) {
        OBJECT_FREE(process, p);
        return NULL;
    }
    list_init(&p->children);
    list_init(&p->sibling);
    list_init(&p->threads);
    list_init(&p->all);
    list_init(&p->number_link);
    list_init(&p->group_link);
    list_init(&p->session_link);
    signal_queue_init(&p->pending);
    list_init(&p->posix_timers);
    list_init(&p->cpu_timers);
    p->cpu_next = UINT64_MAX;
    p->charged_tasks = 1;
    p->loginuid = p->sessionid = UINT32_MAX;
    p->mce_kill = PR_MCE_KILL_DEFAULT;
    if (process_set_user(p, parent ? user_uid(parent->user) : 0) < 0) {
        signal_actions_put(p->actions);
        OBJECT_FREE(process, p);
        return NULL;
    }
    task_count++;
    wait_queue_init(&p->wait_child);
    wait_queue_init(&p->stop_queue);
    wait_queue_init(&p->pidfd_queue);
    wait_queue_init(&p->signalfd_queue);
    p->dumpable = true;
    p->start_ns = clock_monotonic_ns();
    if (parent) {
        p->unknown_fault = parent->unknown_fault;
        p->unknown_signal = parent->unknown_signal;
        p->pgid = parent->pgid;
        p->sid = parent->sid;
        p->creds = parent->creds;
        memcpy(p->rlimits, parent->rlimits, sizeof p->rlimits);
        memcpy(p->comm, parent->comm, sizeof p->comm);
        p->exe_path = parent->exe_path ? bytes_string(parent->exe_path) : NULL;
        p->exe = parent->exe ? file_get(parent->exe) : NULL;
        p->ctty = parent->ctty;
        p->no_new_privs = parent->no_new_privs;
        p->keep_caps = parent->keep_caps;
        p->personality = parent->personality;
        p->nice = parent->nice;
        p->dumpable = parent->dumpable;
        p->securebits = parent->securebits;
        p->cap_ambient = parent->cap_ambient;
        p->over_limit = parent->over_limit;
        p->oom_score_adj = parent->oom_score_adj;
        p->oom_score_adj_min = parent->oom_score_adj_min;
        p->loginuid = parent->loginuid;
        p->sessionid = parent->sessionid;
        p->thp_disabled = parent->thp_disabled;
        p->mce_kill = parent->mce_kill;
        cpu_timers_changed(p);
    }
    return p;
}

void
process_free(struct process *p)
{
    list_remove(&p->all);
    process_unnumber(p);
    list_remove(&p->sibling);
    /* A pidfd's watchers know the process by its number, and outlive it. */
    wait_queue_fini(&p->pidfd_queue);
    wait_queue_fini(&p->wait_child);
    wait_queue_fini(&p->stop_queue);
    wait_queue_fini(&p->signalfd_queue);
    signal_flush(&p->pending);
    cpu_timers_end(&p->cpu_timers);
    signal_actions_put(p->actions);
    user_uncharge(p->user, USER_TASKS, p->charged_tasks);
    task_count--;
    bytes_free(p->exe_path);
    if (p->exe)
        file_put(p->exe);
    OBJECT_FREE(process, p);
}

struct task *
task_new(struct process *p)
{
    struct task *t = OBJECT_NEW(task);

    if (!t)
        return NULL;
    t->process = p;
    t->state = TASK_SLEEPING;
    list_init(&t->thread_link);
    list_init(&t->number_link);
    list_init(&t->run_link);
    list_init(&t->cpu_timers);
    t->cpu_next = UINT64_MAX;
    t->timer_slack = t->default_timer_slack = 50000;
    signal_init_task(t);
    if (sched_prepare(t) < 0) {
        OBJECT_FREE(task, t);
        return NULL;
    }
    return t;
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

void
task_free(struct task *t)
{
    struct process *p = t->process;

    wait_queue_fini(&t->sleep_queue);
    signal_flush(&t->pending);
    cpu_timers_end(&t->cpu_timers);
    task_unnumber(t);
    task_uncharge(t);
    OBJECT_FREE(task, t);
    if (p->reaped && p->thread_count == 0)
        process_free(p);
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
    enum { CAP_SYS_PTRACE_BIT = 19 };
    const struct creds *me = &current_process()->creds, *its = &p->creds;
    uint32_t uid = as == LOOK_FILES ? me->fsuid : me->uid, gid = as == LOOK_FILES ? me->fsgid : me->gid;
    uint64_t caps = as == LOOK_FILES ? me->cap_effective : me->cap_permitted;

    if (p == current_process() || capable(CAP_SYS_PTRACE_BIT))
        return true;
    return (p->dumpable || !p->mm) && uid == its->uid && uid == its->euid && uid == its->suid && gid == its->gid &&
           gid == its->egid && gid == its->sgid && !(its->cap_permitted & ~caps);
}

bool
capable(int cap)
{
    return cap >= 0 && cap < 64 && (current_process()->creds.cap_effective >> cap & 1);
}
