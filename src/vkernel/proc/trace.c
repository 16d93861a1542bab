/* Stops of traced tasks: whom they are told, how long they last, and who is left behind when a tracer or a tracee ends.
 * Names in brackets are those of Linux's functions that have the rule. */
#include "vkernel/proc/trace.h"

#include <errno.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "base/check.h"
#include "eval/eval.h"
#include "platform/heap.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/signal/signal.h"
#include "vkernel/vfs/users.h"
#include "x86/helpers.h"

OBJECT_POOL(trace);

/* --- the object --- */

struct trace *
trace_new(struct task *tracer, bool seized, unsigned options)
{
    struct trace *tr = OBJECT_NEW(trace);

    if (!tr)
        return NULL;
    refcount_init(&tr->refs);
    list_init(&tr->link);
    wait_queue_init(&tr->queue);
    tr->tracer = tracer;
    tr->seized = seized;
    tr->options = options;
    tr->orig_rax = -1;
    return tr;
}

struct trace *
trace_get(struct trace *tr)
{
    refcount_get(&tr->refs);
    return tr;
}

void
trace_put(struct trace *tr)
{
    if (!refcount_put(&tr->refs))
        return;
    wait_queue_fini(&tr->queue);
    eval_free(tr->steps);
    OBJECT_FREE(trace, tr);
}

void
trace_begin(struct trace *tr, struct task *t)
{
    struct process *p = t->process;

    CHECK(!t->ending && !tr->tracer->ending, "a task is traced by another one, and neither has ended");
    tr->task = t;
    tr->process = p;
    tr->tid = t->tid;
    tr->leader = p->leader == t;
    if (tr->leader)
        p->leader_trace = tr;
    p->traced_threads++;
    t->trace = tr;
    t->call_work |= CALL_TRACED;
    list_append(&tr->tracer->tracees, &tr->link);
    tr->tracer->process->tracees++;
}

/* The tracee is traced no more, or has ended. */
static void
leave_task(struct trace *tr)
{
    if (!tr->task)
        return;
    tr->task->trace = NULL;
    tr->task->call_work &= (uint8_t)~CALL_TRACED;
    tr->task->asked &= (uint8_t)~TASK_TO_TRAP;
    tr->task = NULL;
    tr->process->traced_threads--;
}

void
trace_drop(struct trace *tr)
{
    leave_task(tr);
    list_remove(&tr->link);
    tr->tracer->process->tracees--;
    if (tr->user) {
        user_uncharge(tr->user, USER_TASKS, 1);
        process_count(-1);
    }
    if (tr->leader)
        tr->process->leader_trace = NULL;
    wait_queue_wake(&tr->queue);
    trace_put(tr);
}

void
trace_end(struct trace *tr)
{
    struct process *p = tr->leader && tr->zombie && trace_comes_first(tr->process) ? tr->process : NULL;

    trace_drop(tr);
    if (p)
        notify_parent(p); /* this may free it */
}

struct task *
trace_oldest(const struct process *p)
{
    if (!p || p->zombie || p->group_exit)
        return NULL;
    LIST_EACH(l, &p->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if (!t->ending)
            return t;
    }
    return NULL;
}

struct task *
trace_maker(const struct process *p, struct task *oldest)
{
    struct task *t = task_find(p->maker);

    return oldest && t && t->process == p->parent && !t->ending ? t : oldest;
}

/* --- telling the tracer --- */

static void
tell(const struct trace *tr, int code, int status)
{
    struct process *p = tr->tracer->process;
    const struct process *child = tr->process;
    siginfo_t info = {.si_signo = SIGCHLD, .si_code = code};
    bool stops = code == CLD_STOPPED || code == CLD_TRAPPED;

    info.si_pid = tr->tid;
    info.si_uid = child->creds.uid;
    info.si_status = status;
    info.si_utime = (clock_t)((child->cpu_ns - child->system_ns) / 10000000u);
    info.si_stime = (clock_t)(child->system_ns / 10000000u);
    if (!stops ||
        (!(p->actions[SIGCHLD].flags & SA_NOCLDSTOP) && p->actions[SIGCHLD].handler != (uint64_t)(uintptr_t)SIG_IGN))
        signal_send_info(p, NULL, &info);
    wait_queue_wake(&p->wait_child);
}

/* --- stops --- */

/* Sleeps until the tracer gives an order. why: CLD_TRAPPED or CLD_STOPPED. info: what the tracer may read and change;
 * NULL: nothing. Returns the signal that came with the order. */
static int
stop(struct task *t, int code, int why, siginfo_t *info)
{
    struct trace *tr = t->trace;
    int order;

    might_sleep();
    if (signal_fatal_pending())
        return 0;
    trace_get(tr);
    x87_out();
    x86_collect_mxcsr();
    tr->has_info = info != NULL;
    if (info)
        tr->info = *info;
    tr->code = code;
    tr->order = 0;
    tr->resumed = TRACE_CONT;
    tr->listening = false;
    tr->stopped = true;
    tell(tr, why, why == CLD_STOPPED ? t->process->stop_signal : code & 0x7f);
    while (tr->stopped && t->trace == tr) {
        int r = wait_on_killable(&tr->queue, WAIT_FOREVER);

        x86_apply_mxcsr(); /* before anything collects it again: it may be the tracer's */
        if (r < 0)
            break;
    }
    tr->stopped = tr->listening = false;
    if (info)
        *info = tr->info;
    order = tr->order;
    trace_put(tr);
    return order;
}

void
trace_resume(struct trace *tr, enum trace_resumed how, int sig)
{
    tr->resumed = how;
    tr->order = sig;
    tr->code = 0;
    tr->stopped = false;
    wait_queue_wake(&tr->queue);
}

int
trace_signal(struct task *t, int sig, siginfo_t *info)
{
    const struct process *tracer = t->trace->tracer->process;
    int pid = tracer->pid, order;
    uint32_t uid = tracer->creds.uid;

    order = stop(t, sig, CLD_TRAPPED, info);
    if (order == 0)
        return 0;
    if (order != info->si_signo) {
        *info = (siginfo_t){.si_signo = order, .si_code = SI_USER};
        info->si_pid = pid;
        info->si_uid = uid;
    }
    if (!(t->blocked & SIGNAL_BIT(order)))
        return order;
    signal_send_info(t->process, t, info);
    return 0;
}

int
trace_notify(struct task *t, int code, uint64_t message)
{
    siginfo_t info = {.si_signo = SIGTRAP, .si_code = code};

    info.si_pid = t->tid;
    info.si_uid = t->process->creds.uid;
    t->trace->message = message;
    return stop(t, code, CLD_TRAPPED, &info);
}

/* A stop of PTRACE_EVENT_STOP (do_jobctl_trap). */
static void
event_stop(struct task *t, int sig)
{
    siginfo_t info = {.si_signo = sig, .si_code = sig | PTRACE_EVENT_STOP << 8};

    info.si_pid = t->tid;
    info.si_uid = t->process->creds.uid;
    t->trace->message = 0;
    stop(t, info.si_code, CLD_STOPPED, &info);
}

void
trace_group_stop(struct task *t)
{
    struct process *p = t->process;

    t->asked &= (uint8_t)~TASK_TO_TRAP;
    if (t->trace->seized)
        event_stop(t, p->stop_signal);
    else
        stop(t, p->stop_signal, CLD_STOPPED, NULL);
    /* After PTRACE_LISTEN a trap was asked for, and it is to stop again. */
    if (t->trace && p->stopped && !(t->asked & TASK_TO_TRAP))
        t->trace->told_no_stop = true;
}

void
trace_trap(struct task *t)
{
    t->asked &= (uint8_t)~TASK_TO_TRAP;
    if (!t->trace)
        return;
    if (t->process->stopped && !t->trace->told_no_stop)
        trace_group_stop(t);
    else
        event_stop(t, SIGTRAP);
}

bool
trace_wants(const struct task *t, int event)
{
    return t->trace && (t->trace->options & 1u << event);
}

void
trace_event(struct task *t, int event, uint64_t message)
{
    if (trace_wants(t, event))
        trace_notify(t, event << 8 | SIGTRAP, message);
}

/* A stop at a system call (ptrace_report_syscall). A signal that comes with the order is sent as another one is. */
static void
call_stop(struct task *t, uint64_t message)
{
    int sig = trace_notify(t, SIGTRAP | (t->trace->options & PTRACE_O_TRACESYSGOOD ? 0x80 : 0), message);

    if (sig)
        signal_send_self(sig);
}

int64_t
trace_call_begins(struct task *t, int64_t nr)
{
    struct trace *tr = trace_get(t->trace);
    bool emulated = tr->resumed == TRACE_SYSEMU || tr->resumed == TRACE_SYSEMU_STEP;

    tr->orig_rax = nr;
    if (emulated || tr->resumed == TRACE_SYSCALL) {
        call_stop(t, TRACE_CALL_BEGINS);
        nr = emulated || signal_fatal_pending() ? -1 : (int32_t)tr->orig_rax;
    }
    trace_put(tr);
    return nr;
}

void
trace_call_ends(struct task *t)
{
    siginfo_t info = {.si_signo = SIGTRAP, .si_code = TRAP_BRKPT};

    if (t->trace->resumed == TRACE_SYSCALL) {
        call_stop(t, TRACE_CALL_ENDS);
    } else if (trace_steps(t->trace)) {
        info.si_addr = (void *)(uintptr_t)x86_this_cpu()->rip;
        signal_send_info(t->process, t, &info);
    }
}

void
trace_handler_begins(struct task *t)
{
    if (trace_steps(t->trace))
        trace_notify(t, SIGTRAP, 0);
}

/* --- clone and exec --- */

int
trace_clone_event(const struct task *t, uint64_t flags, int exit_signal)
{
    int event = flags & CLONE_VFORK      ? PTRACE_EVENT_VFORK
                : exit_signal != SIGCHLD ? PTRACE_EVENT_CLONE
                                         : PTRACE_EVENT_FORK;

    return !(flags & CLONE_UNTRACED) && trace_wants(t, event) ? event : 0;
}

struct trace *
trace_of_child(const struct task *t, uint64_t flags, int event, bool *failed)
{
    struct trace *tr;

    if (!t->trace || (!event && !(flags & CLONE_PTRACE)))
        return NULL;
    tr = trace_new(t->trace->tracer, t->trace->seized, t->trace->options);
    *failed |= tr == NULL;
    return tr;
}

void
trace_child_begins(struct trace *tr, struct task *child)
{
    siginfo_t info = {.si_signo = SIGSTOP, .si_code = SI_USER};
    const struct trace *own = current_task()->trace;

    if (!own) { /* its tracer has gone since trace_of_child() */
        trace_put(tr);
        return;
    }
    tr->tracer = own->tracer;
    trace_begin(tr, child);
    if (tr->seized)
        signal_ask_trap(child);
    else
        signal_send_info(child->process, child, &info);
}

void
trace_exec(struct task *t, int former_tid)
{
    if (trace_wants(t, PTRACE_EVENT_EXEC))
        trace_event(t, PTRACE_EVENT_EXEC, (uint64_t)former_tid);
    else if (!t->trace->seized)
        signal_send_self(SIGTRAP);
}

bool
trace_hampers_exec(const struct task *t)
{
    return t->trace && !(t->trace->tracer->process->creds.cap_effective >> CAP_SYS_PTRACE & 1);
}

void
trace_took_lead(struct task *t)
{
    struct process *p = t->process;

    if (p->leader_trace &&
        p->leader_trace != t->trace) /* the former first thread's, which has left for this one's exec */
        trace_end(p->leader_trace);
    if (!t->trace)
        return;
    t->trace->leader = true;
    t->trace->tid = p->pid;
    p->leader_trace = t->trace;
}

/* --- the end --- */

void
trace_exits(struct task *t, int status)
{
    trace_event(t, PTRACE_EVENT_EXIT, (uint64_t)status);
}

static bool
ignores_children(const struct process *p)
{
    const struct signal_action *a = &p->actions[SIGCHLD];

    return a->handler == (uint64_t)(uintptr_t)SIG_IGN || (a->flags & SA_NOCLDWAIT);
}

/* The tracee has ended with this status. False: the tracer does not want to wait, and the trace is gone. */
static bool
becomes_zombie(struct trace *tr, int status)
{
    tr->exit_status = status;
    tr->uid = tr->process->creds.uid;
    tr->pgid = tr->process->pgid;
    tr->stopped = false;
    if (WIFEXITED(status))
        tell(tr, CLD_EXITED, WEXITSTATUS(status));
    else
        tell(tr, CLD_KILLED, WTERMSIG(status));
    if (ignores_children(tr->tracer->process)) {
        trace_end(tr);
        return false;
    }
    tr->zombie = true;
    return true;
}

/* Nobody gives orders to the tracees of this task any more (exit_ptrace). */
static void
leave_tracees(struct task *t)
{
    LIST_EACH_SAFE(l, &t->tracees) {
        struct trace *tr = list_entry(l, struct trace, link);

        if (tr->task && (tr->options & PTRACE_O_EXITKILL))
            signal_send_process(tr->process, SIGKILL);
        /* A signal that nobody has waited for yet is delivered. */
        if (tr->stopped && tr->code > 0 && tr->code <= SIGNALS)
            tr->order = tr->code;
        trace_end(tr);
    }
}

void
trace_task_ends(struct task *t, int status)
{
    struct process *p = t->process;
    struct trace *tr = t->trace;

    leave_tracees(t);
    if (!tr)
        return;
    leave_task(tr);
    if (tr->leader)
        return; /* it has ended when its process has, or another thread takes its place */
    if (becomes_zombie(tr, p->group_exit ? p->exit_status : status)) {
        tr->process = NULL;
        /* What a guest leaves behind and never waits for counts as the thread did. */
        tr->user = user_charge_uid(user_uid(p->user), USER_TASKS, 1, UINT64_MAX);
        process_count(1);
    }
}

bool
trace_process_ends(struct process *p)
{
    struct trace *tr = p->leader_trace;

    if (!tr)
        return false;
    if (trace_comes_first(p))
        return becomes_zombie(tr, p->exit_status);
    tr->zombie = true; /* its parent is told, who waits for both at once */
    return false;
}

bool
trace_comes_first(const struct process *p)
{
    return p->leader_trace && p->leader_trace->tracer->process != p->parent;
}

bool
trace_by_parent(const struct process *p)
{
    return p->leader_trace && p->leader_trace->tracer->process == p->parent;
}
