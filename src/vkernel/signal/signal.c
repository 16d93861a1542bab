/* Sending signals: queues, what is ignored, who is woken, stop and continue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/heap.h"
#include "vkernel/worker/worker.h"
#include "vkernel/sched/sched.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/users.h"
#include "vkernel/usercopy/usercopy.h"
#include "vkernel/task/process.h"
#include "vkernel/task/trace.h"
#include "vkernel/signal/signal.h"

#define STOP_SIGNALS (SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))
#define SYNCHRONOUS                                                                                             \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGFPE) | \
     SIGNAL_BIT(SIGSYS))
#define DEFAULT_IGNORED (SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH) | SIGNAL_BIT(SIGCONT))

/* What CLONE_SIGHAND shares. */
struct shared_actions {
    struct signal_action action[SIGNALS + 1];
    struct refcount refs;
};

OBJECT_POOL(shared_actions);
OBJECT_POOL(signal_entry);

struct signal_action *
signal_actions_new(const struct signal_action *from)
{
    struct shared_actions *s = OBJECT_NEW(shared_actions);

    if (!s)
        return NULL;
    refcount_init(&s->refs);
    if (from)
        memcpy(s->action, from, sizeof s->action);
    return s->action;
}

struct signal_action *
signal_actions_get(struct signal_action *a)
{
    refcount_get(&list_entry(a, struct shared_actions, action)->refs);
    return a;
}

void
signal_actions_put(struct signal_action *a)
{
    struct shared_actions *s = list_entry(a, struct shared_actions, action);

    if (refcount_put(&s->refs))
        OBJECT_FREE(shared_actions, s);
}

void
signal_queue_init(struct signal_queue *q)
{
    for (int k = 0; k < SIGNALS; k++)
        list_init(&q->entries[k]);
}

void
signal_init_task(struct task *t)
{
    signal_queue_init(&t->pending);
    wait_queue_init(&t->sleep_queue);
}

bool
signal_entry_charge(struct signal_entry *e, struct process *p, bool beyond_limit)
{
    e->user = user_charge_uid(user_uid(p->user), USER_SIGNALS, 1,
                              beyond_limit ? UINT64_MAX : p->rlimits[RLIMIT_SIGPENDING].rlim_cur);
    return e->user != NULL;
}

void
signal_entry_discharge(struct signal_entry *e)
{
    user_uncharge(e->user, USER_SIGNALS, 1);
}

/* Of a timer: it keeps it. */
static void
signal_entry_free(struct signal_entry *e)
{
    list_remove(&e->link);
    if (e->timer) {
        signal_hooks.timer_dropped(e);
        return;
    }
    signal_entry_discharge(e);
    OBJECT_FREE(signal_entry, e);
}

static struct list *
entries_of(struct signal_queue *q, int sig)
{
    return &q->entries[sig - 1];
}

static void
enqueue(struct process *p, struct task *t, struct signal_entry *e)
{
    e->process = p;
    e->task = t;
    list_append(entries_of(t ? &t->pending : &p->pending, e->info.si_signo), &e->link);
}

void
signal_entry_cancel(struct signal_entry *e)
{
    struct signal_queue *q;

    if (list_empty(&e->link))
        return;
    list_remove(&e->link);
    q = e->task ? &e->task->pending : &e->process->pending;
    if (list_empty(entries_of(q, e->info.si_signo)))
        q->set &= ~SIGNAL_BIT(e->info.si_signo);
}

/* The first that is allowed, faults before all others; 0 for none. */
static int
take_from(struct signal_queue *q, uint64_t allowed, siginfo_t *info)
{
    uint64_t ready = q->set & allowed;
    struct signal_entry *e = NULL;
    struct list *entries;
    int sig;

    if (!ready)
        return 0;
    sig = __builtin_ctzll(ready & SYNCHRONOUS ? ready & SYNCHRONOUS : ready) + 1;
    entries = entries_of(q, sig);
    if (!list_empty(entries)) {
        e = list_entry(entries->next, struct signal_entry, link);
        list_remove(&e->link);
    }
    if (list_empty(entries))
        q->set &= ~SIGNAL_BIT(sig);
    if (!e) {
        *info = (siginfo_t){.si_signo = sig, .si_code = SI_USER};
        return sig;
    }
    *info = e->info;
    if (e->timer)
        signal_hooks.timer_taken(e, info);
    else
        signal_entry_free(e);
    return sig;
}

int
signal_take(struct task *t, uint64_t allowed, siginfo_t *info)
{
    int sig = take_from(&t->pending, allowed, info);

    if (sig)
        return sig;
    sig = take_from(&t->process->pending, allowed, info);
    if (sig == SIGALRM)
        signal_hooks.alarm_taken(t->process);
    return sig;
}

static void
flush_set(struct signal_queue *q, uint64_t mask)
{
    for (uint64_t left = q->set & mask; left; left &= left - 1)
        LIST_EACH_SAFE(p, entries_of(q, __builtin_ctzll(left) + 1))
            signal_entry_free(list_entry(p, struct signal_entry, link));
    q->set &= ~mask;
}

void
signal_flush(struct signal_queue *q)
{
    flush_set(q, UINT64_MAX);
}

void
signal_discard(struct process *p, uint64_t mask)
{
    flush_set(&p->pending, mask);
    LIST_EACH(l, &p->threads)
        flush_set(&list_entry(l, struct task, thread_link)->pending, mask);
}

bool
signal_actions_own(const struct process *p)
{
    return refcount_is_one(&list_entry(p->actions, struct shared_actions, action)->refs);
}

int
signal_actions_unshare(struct process *p)
{
    struct signal_action *own;

    if (signal_actions_own(p))
        return 0;
    own = signal_actions_new(p->actions);
    if (!own)
        return -ENOMEM;
    signal_actions_put(p->actions);
    p->actions = own;
    return 0;
}

void
signal_exec(struct process *p)
{
    for (int sig = 1; sig <= SIGNALS; sig++) {
        struct signal_action *a = &p->actions[sig];

        if (a->handler != (uint64_t)(uintptr_t)SIG_IGN)
            a->handler = (uint64_t)(uintptr_t)SIG_DFL;
        a->flags = a->mask = a->restorer = 0;
    }
}

bool
signal_pending_current(void)
{
    const struct task *t = current_task();

    return signal_pending_task(t) || ((t->pending.set | t->process->pending.set) & t->waiting_set);
}

bool
signal_attention(const struct task *t)
{
    const struct process *p = t->process;

    return p->group_exit || t->asked || (p->stopped && !(t->trace && t->trace->told_no_stop));
}

bool
signal_fatal_pending(void)
{
    const struct task *t = current_task();

    return t->process->group_exit || (t->asked & TASK_TO_LEAVE) ||
           ((t->pending.set | t->process->pending.set) & SIGNAL_BIT(SIGKILL) && t->process != init_process);
}

/* --- dispositions --- */

static bool
ignored(const struct process *p, int sig, bool force)
{
    uint64_t handler = p->actions[sig].handler;

    if (p->traced_threads && sig != SIGKILL) /* its tracer is to see it */
        return false;
    if (handler == (uint64_t)(uintptr_t)SIG_IGN)
        return true;
    if (handler != (uint64_t)(uintptr_t)SIG_DFL)
        return false;
    /* The container's init takes only signals that it handles. */
    if (p == init_process && !force)
        return true;
    return (DEFAULT_IGNORED & SIGNAL_BIT(sig)) != 0;
}

bool
signal_ignored_current(int sig)
{
    const struct task *t = current_task();

    return (t->blocked & SIGNAL_BIT(sig)) || t->process->actions[sig].handler == (uint64_t)(uintptr_t)SIG_IGN;
}

bool
group_is_orphaned(int pgid)
{
    for (struct process *p = group_next(pgid, NULL); p; p = group_next(pgid, p)) {
        if (p->zombie || !p->parent)
            continue;
        if (p->parent->pgid != pgid && p->parent->sid == p->sid)
            return false;
    }
    return true;
}

static void
continue_process(struct process *p)
{
    p->stop_report = false;
    if (!p->stopped)
        return;
    p->stopped = false;
    p->continue_report = true;
    wait_queue_wake(&p->stop_queue);
    if (p->parent) {
        signal_child_changed(p, CLD_CONTINUED, SIGCONT);
        wait_queue_wake(&p->parent->wait_child);
    }
}

void
signal_ask_trap(struct task *t)
{
    struct trace *tr = t->trace;

    t->asked |= TASK_TO_TRAP;
    if (tr->listening) { /* it sleeps in a stop, and begins another one */
        tr->stopped = false;
        wait_queue_wake(&tr->queue);
    }
    sched_interrupt(t, false);
}

/* SIGCONT is a stop for those that PTRACE_SEIZE traces, whether they were stopped or not (ptrace_trap_notify). */
static void
trap_seized(struct process *p)
{
    LIST_EACH(l, &p->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if (t->trace)
            t->trace->told_no_stop = false;
        if (t->trace && t->trace->seized)
            signal_ask_trap(t);
    }
}

/* Stop and continue signals cancel each other, whatever their disposition. */
static void
cancel_opposites(struct process *p, int sig)
{
    uint64_t cancel = SIGNAL_BIT(sig) & STOP_SIGNALS ? SIGNAL_BIT(SIGCONT) : sig == SIGCONT ? STOP_SIGNALS : 0;

    if (!cancel)
        return;
    signal_discard(p, cancel);
    if (sig != SIGCONT)
        return;
    continue_process(p);
    if (p->traced_threads)
        trap_seized(p);
}

static bool
wants(const struct task *t, int sig)
{
    return !(t->blocked & SIGNAL_BIT(sig)) || (t->waiting_set & SIGNAL_BIT(sig));
}

/* Does the signal end the process at once, without asking the thread that would take it? Linux does so where no core
 * would be written, when a thread takes the signal (complete_signal); so sleeps that only death ends, as vfork's, end
 * by it. */
static bool
ends(const struct process *p, const struct task *target, int sig)
{
    const uint64_t others = SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGABRT) |
                            SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGXCPU) |
                            SIGNAL_BIT(SIGXFSZ) | SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGKILL) | STOP_SIGNALS |
                            DEFAULT_IGNORED;

    if (p->actions[sig].handler != (uint64_t)(uintptr_t)SIG_DFL || (others & SIGNAL_BIT(sig)) || p == init_process ||
        p->stopped || p->traced_threads)
        return false;
    if (target)
        return !((target->blocked | target->waiting_set) & SIGNAL_BIT(sig));
    LIST_EACH(l, (struct list *)&p->threads) {
        const struct task *t = list_entry(l, struct task, thread_link);

        if (!((t->blocked | t->waiting_set) & SIGNAL_BIT(sig)))
            return true;
    }
    return false;
}

static void
wake_for(struct process *p, struct task *target, int sig)
{
    bool fatal = sig == SIGKILL;

    if (ends(p, target, sig)) {
        task_hooks.end(p, sig);
        return;
    }
    wait_queue_wake(&p->signalfd_queue);
    if (fatal)
        wait_queue_wake(&p->stop_queue);
    if (target) {
        if (wants(target, sig))
            sched_interrupt(target, fatal);
        return;
    }
    if (p->leader && wants(p->leader, sig)) {
        sched_interrupt(p->leader, fatal);
        return;
    }
    LIST_EACH(l, &p->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if (wants(t, sig)) {
            sched_interrupt(t, fatal);
            return;
        }
    }
}

static bool
all_block(const struct process *p, const struct task *t, int sig)
{
    if (t)
        return (t->blocked & SIGNAL_BIT(sig)) || (t->waiting_set & SIGNAL_BIT(sig));
    LIST_EACH(l, (struct list *)&p->threads) {
        const struct task *x = list_entry(l, struct task, thread_link);

        if (!(x->blocked & SIGNAL_BIT(sig)) && !(x->waiting_set & SIGNAL_BIT(sig)))
            return false;
    }
    return true;
}

/* Is it to be kept for them, at least until somebody looks? */
static bool
wanted(struct process *p, const struct task *t, int sig)
{
    if (p->zombie || (t && t->sched.state == TASK_DEAD))
        return false;
    cancel_opposites(p, sig);
    /* A blocked signal is kept: its disposition may change before it is unblocked. */
    return !ignored(p, sig, false) || (all_block(p, t, sig) && sig != SIGKILL && sig != SIGSTOP);
}

static struct signal_entry *
new_entry(struct process *p, const siginfo_t *info, bool beyond_limit)
{
    struct signal_entry *e = OBJECT_NEW(signal_entry);

    if (e && !signal_entry_charge(e, p, beyond_limit)) {
        OBJECT_FREE(signal_entry, e);
        return NULL;
    }
    if (e)
        e->info = *info;
    return e;
}

/* The limit as in Linux's __send_signal_locked: what the kernel or kill sends of the old signals is always queued, at
 * most once; a real-time signal of kill without its information when there is no room; others fail. */
int
signal_send_info(struct process *p, struct task *t, const siginfo_t *info)
{
    int sig = info->si_signo;
    uint64_t *set = t ? &t->pending.set : &p->pending.set;
    struct signal_entry *e;

    if (!wanted(p, t, sig) || (sig < SIGRTMIN && (*set & SIGNAL_BIT(sig))))
        return 0;
    if (sig != SIGKILL) {
        e = new_entry(p, info, sig < SIGRTMIN && info->si_code >= 0);
        if (e)
            enqueue(p, t, e);
        else if (sig >= SIGRTMIN && info->si_code != SI_USER && info->si_code != SI_KERNEL)
            return -EAGAIN;
    }
    *set |= SIGNAL_BIT(sig);
    wake_for(p, t, sig);
    return 0;
}

bool
signal_send_entry(struct process *p, struct task *t, struct signal_entry *e)
{
    int sig = e->info.si_signo;

    if (!wanted(p, t, sig))
        return false;
    if (list_empty(&e->link))
        enqueue(p, t, e);
    *(t ? &t->pending.set : &p->pending.set) |= SIGNAL_BIT(sig);
    wake_for(p, t, sig);
    return true;
}

int
signal_send_process(struct process *p, int sig)
{
    siginfo_t info = {.si_signo = sig, .si_code = SI_KERNEL};

    return sig ? signal_send_info(p, NULL, &info) : 0;
}

int
signal_codes(int sig)
{
    static const uint8_t codes[] = {[SIGILL] = 11,  [SIGTRAP] = 6, [SIGBUS] = 5,  [SIGFPE] = 15,
                                    [SIGSEGV] = 10, [SIGCHLD] = 6, [SIGPOLL] = 6, [SIGSYS] = 2};

    return sig > 0 && sig < (int)sizeof codes ? codes[sig] : 0;
}

/* As kill sends it. */
static siginfo_t
info_of_current(int sig)
{
    siginfo_t info = {.si_signo = sig, .si_code = SI_USER};

    info.si_pid = current_process()->pid;
    info.si_uid = current_process()->creds.uid;
    return info;
}

void
signal_send_self(int sig)
{
    siginfo_t info = info_of_current(sig);

    signal_send_info(current_process(), current_task(), &info);
}

void
signal_send_from(struct process *p, int sig)
{
    siginfo_t info = info_of_current(sig);

    signal_send_info(p, NULL, &info);
}

int
signal_send_group(int pgid, int sig)
{
    int found = -ESRCH;

    for (struct process *p = group_next(pgid, NULL); p; p = group_next(pgid, p)) {
        if (p->zombie)
            continue;
        found = 0;
        signal_send_process(p, sig);
    }
    return found;
}

/* From outside: as Linux does for a signal from the parent pid namespace. */
void
signal_from_host(int sig)
{
    siginfo_t info = {.si_signo = sig, .si_code = SI_USER};

    if (init_process)
        signal_send_info(init_process, NULL, &info);
}

int
signal_check_permission(struct process *target, int sig)
{
    const struct creds *c = &current_process()->creds, *t = &target->creds;

    if (sig < 0 || sig > SIGNALS)
        return -EINVAL;
    if (target == current_process() || capable(CAP_KILL) || c->euid == t->suid || c->euid == t->uid ||
        c->uid == t->suid || c->uid == t->uid)
        return 0;
    return sig == SIGCONT && target->sid == current_process()->sid ? 0 : -EPERM;
}

void
signal_child_changed(struct process *child, int code, int status)
{
    struct process *parent = child->parent;
    siginfo_t info = {.si_signo = SIGCHLD, .si_code = code};
    int sig = code == CLD_STOPPED || code == CLD_CONTINUED ? SIGCHLD : child->exit_signal;

    if (!parent || sig == 0 || sig > SIGNALS) /* clone takes any byte */
        return;
    if ((code == CLD_STOPPED || code == CLD_CONTINUED) && (parent->actions[SIGCHLD].flags & SA_NOCLDSTOP))
        return;
    info.si_signo = sig;
    info.si_pid = child->pid;
    info.si_uid = child->creds.uid;
    info.si_status = status;
    info.si_utime = (clock_t)((child->cpu_ns - child->system_ns) / 10000000u);
    info.si_stime = (clock_t)(child->system_ns / 10000000u);
    signal_send_info(parent, NULL, &info);
}

int64_t
signal_temporary_mask_result(int64_t result)
{
    struct task *t = current_task();

    if (result != -ERESTARTNOHAND && result != -EINTR && t->restore_blocked) {
        t->blocked = t->saved_blocked;
        t->restore_blocked = false;
    }
    return result;
}

int
signal_temporary_mask_from_guest(uint64_t mask, uint64_t size)
{
    uint64_t set;

    if (!mask)
        return 0;
    if (size != sizeof set)
        return -EINVAL;
    if (copy_from_guest(&set, mask, sizeof set) < 0)
        return -EFAULT;
    signal_set_temporary_mask(set);
    return 0;
}

void
signal_set_temporary_mask(uint64_t set)
{
    struct task *t = current_task();

    if (!t->restore_blocked)
        t->saved_blocked = t->blocked;
    t->restore_blocked = true;
    t->blocked = set & ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
}
