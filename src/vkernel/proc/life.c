/* Processes and tasks come and go. */
#include <string.h>
#include <sys/prctl.h>

#include "base/check.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/proc/trace.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/system.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/users.h"

OBJECT_POOL(process);
OBJECT_POOL(task);

static void
process_inherit(struct process *p, const struct process *parent)
{
    p->unknown_fault = parent->unknown_fault;
    p->unknown_signal = parent->unknown_signal;
    p->pgid = parent->pgid;
    p->sid = parent->sid;
    p->creds = parent->creds;
    memcpy(p->rlimits, parent->rlimits, sizeof p->rlimits);
    memcpy(p->comm, parent->comm, sizeof p->comm);
    p->exe_path = parent->exe_path ? bytes_string(parent->exe_path) : NULL;
    p->exe = parent->exe ? file_execute(parent->exe) : NULL;
    p->ctty = parent->ctty;
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
    store_released_init(&p->released);
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
    process_count(1);
    wait_queue_init(&p->wait_child);
    wait_queue_init(&p->stop_queue);
    wait_queue_init(&p->pidfd_queue);
    wait_queue_init(&p->signalfd_queue);
    p->dumpable = true;
    p->start_ns = clock_monotonic_ns();
    if (parent)
        process_inherit(p, parent);
    return p;
}

void
process_free(struct process *p)
{
    if (p->leader_trace)
        trace_drop(p->leader_trace);
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
    process_count(-1);
    bytes_free(p->exe_path);
    file_execute_end(p->exe);
    /* What it released as a zombie: the program, unlinked before, of a child of which nobody wants to know. */
    store_released_end(&p->released);
    OBJECT_FREE(process, p);
}

struct task *
task_new(struct process *p)
{
    struct task *t = OBJECT_NEW(task);

    if (!t)
        return NULL;
    t->process = p;
    list_init(&t->thread_link);
    list_init(&t->number_link);
    list_init(&t->cpu_timers);
    list_init(&t->tracees);
    t->cpu_next = UINT64_MAX;
    t->timer_slack = t->default_timer_slack = 50000;
    t->sched.affinity = system_all_processors();
    signal_init_task(t);
    if (sched_prepare(t) < 0) {
        OBJECT_FREE(task, t);
        return NULL;
    }
    return t;
}

void
task_free(struct task *t)
{
    struct process *p = t->process;

    CHECK(!t->trace && list_empty(&t->tracees), "a task that is freed is not traced, and traces none");
    wait_queue_fini(&t->sleep_queue);
    signal_flush(&t->pending);
    cpu_timers_end(&t->cpu_timers);
    task_unnumber(t);
    task_uncharge(t);
    OBJECT_FREE(task, t);
    if (p->reaped && p->thread_count == 0)
        process_free(p);
}
