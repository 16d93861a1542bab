/* System calls on signals. */
#include <errno.h>
#include <string.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "x86/helpers.h"

enum { SIGSET_SIZE = 8, MIN_ALTSTACK = 2048 };
#define UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))
#define AUTODISARM  ((int)0x80000000u)
#define KNOWN_FLAGS                                                                               \
    ((uint64_t)(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | \
                0x04000000 /* SA_RESTORER */) |                                                   \
     (uint64_t)0x80000000u /* SA_RESETHAND */ | 0x800 /* SA_EXPOSE_TAGBITS */)

static bool
valid(int64_t sig)
{
    return sig >= 1 && sig <= SIGNALS;
}

static void
set_action(struct process *p, int sig, struct signal_action act)
{
    act.mask &= ~UNBLOCKABLE;
    act.flags &= KNOWN_FLAGS; /* what is asked for and not there is not read back (sigaction(2), SA_UNSUPPORTED) */
    p->actions[sig] = act;
    /* Pending signals that are ignored now are dropped (POSIX). */
    if (act.handler == (uint64_t)(uintptr_t)SIG_IGN ||
        (act.handler == 0 && (sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH)))
        signal_discard(p, SIGNAL_BIT(sig));
    else
        signal_hooks.wanted(p, sig);
}

int64_t
sys_rt_sigaction(const uint64_t a[6])
{
    struct process *p = current_process();
    int sig = (int)a[0];
    struct signal_action act, old, *slot;

    if (a[3] != SIGSET_SIZE || !valid(sig))
        return -EINVAL;
    slot = &p->actions[sig];
    if (a[1] && (sig == SIGKILL || sig == SIGSTOP))
        return -EINVAL;
    if (a[1] && copy_from_guest(&act, a[1], sizeof act) < 0)
        return -EFAULT;
    old = *slot;
    if (a[1])
        set_action(p, sig, act);
    return a[2] && copy_to_guest(a[2], &old, sizeof old) < 0 ? -EFAULT : 0; /* the new one is in force all the same */
}

int64_t
sys_rt_sigprocmask(const uint64_t a[6])
{
    struct task *t = current_task();
    uint64_t set, old = t->blocked;

    if (a[3] != SIGSET_SIZE)
        return -EINVAL;
    if (a[1]) {
        if (copy_from_guest(&set, a[1], sizeof set) < 0)
            return -EFAULT;
        set &= ~UNBLOCKABLE;
        switch ((int)a[0]) {
        case SIG_BLOCK: t->blocked |= set; break;
        case SIG_UNBLOCK: t->blocked &= ~set; break;
        case SIG_SETMASK: t->blocked = set; break;
        default: return -EINVAL;
        }
    }
    return a[2] && copy_to_guest(a[2], &old, sizeof old) < 0 ? -EFAULT : 0;
}

int64_t
sys_rt_sigpending(const uint64_t a[6])
{
    struct task *t = current_task();
    uint64_t set = (t->pending.set | t->process->pending.set) & t->blocked;

    if (a[1] > SIGSET_SIZE)
        return -EINVAL;
    return copy_to_guest(a[0], &set, a[1]) < 0 ? -EFAULT : 0;
}

static int64_t
pause_until_signal(void)
{
    for (;;) {
        int r = wait_on(&current_task()->sleep_queue, WAIT_FOREVER);

        if (r < 0)
            return -ERESTARTNOHAND;
    }
}

int64_t
sys_rt_sigsuspend(const uint64_t a[6])
{
    uint64_t set;

    if (a[1] != SIGSET_SIZE)
        return -EINVAL;
    if (copy_from_guest(&set, a[0], sizeof set) < 0)
        return -EFAULT;
    signal_set_temporary_mask(set);
    return pause_until_signal();
}

int64_t
sys_pause(const uint64_t a[6])
{
    return pause_until_signal();
}

int64_t
sys_rt_sigtimedwait(const uint64_t a[6])
{
    struct task *t = current_task();
    siginfo_t info;
    uint64_t set, wait = 0, deadline = WAIT_FOREVER;
    int sig;

    if (a[3] != SIGSET_SIZE)
        return -EINVAL;
    if (copy_from_guest(&set, a[0], sizeof set) < 0)
        return -EFAULT;
    set &= ~UNBLOCKABLE;
    if (a[2]) {
        int r = timespec_from_guest(a[2], &wait);

        if (r < 0)
            return r;
        deadline = clock_monotonic_ns() + wait;
    }
    for (;;) {
        int r;

        sig = signal_take(t, set, &info);
        if (sig)
            break;
        if (a[2] && wait == 0)
            return -EAGAIN;
        t->waiting_set = set;
        r = wait_on(&t->sleep_queue, deadline);
        t->waiting_set = 0;
        if (r == -ETIMEDOUT) {
            sig = signal_take(t, set, &info);
            if (sig)
                break;
            return -EAGAIN;
        }
        if (r < 0) {
            sig = signal_take(t, set, &info);
            if (sig)
                break;
            return -EINTR;
        }
    }
    if (a[1] && copy_to_guest(a[1], &info, sizeof info) < 0)
        return -EFAULT;
    return sig;
}

/* --- kill and friends --- */

static siginfo_t
user_info(int sig, int code)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    info.si_signo = sig;
    info.si_code = code;
    info.si_pid = current_process()->pid;
    info.si_uid = current_process()->creds.uid;
    return info;
}

static int
kill_one(struct process *p, const siginfo_t *info)
{
    int r = signal_check_permission(p, info->si_signo);

    if (r < 0 || info->si_signo == 0)
        return r;
    return signal_send_info(p, NULL, info);
}

static int
kill_all(int pid, int sig)
{
    int sent = 0, group, r, error = -ESRCH;
    siginfo_t info = user_info(sig, SI_USER);

    if (pid > 0) {
        struct process *p = process_find(pid);

        if (!p) {
            struct task *t = task_find(pid);

            p = t ? t->process : NULL;
        }
        return p ? kill_one(p, &info) : -ESRCH;
    }
    if (pid == INT32_MIN)
        return -ESRCH;
    group = pid == 0 ? current_process()->pgid : -pid;
    for (struct process *p = pid == -1 ? process_next(NULL) : group_next(group, NULL), *next; p; p = next) {
        next = pid == -1 ? process_next(p) : group_next(group, p);
        if (pid == -1 && (p->pid == 1 || p == current_process()))
            continue;
        r = kill_one(p, &info);
        sent += r == 0;
        error = r < 0 ? r : error;
    }
    return sent ? 0 : error;
}

/* Whom the signal woke runs first: a shell that kills a stopped job and waits for it expects to find it dead, as it
 * does where another processor kills it meanwhile. */
int64_t
sys_kill(const uint64_t a[6])
{
    int r = kill_all((int)a[0], (int)a[1]);

    if (r == 0 && (int)a[1] != 0 && (int)a[0] != current_process()->pid)
        sched_yield_now();
    return r;
}

static int64_t
send_to_thread(int tgid, int tid, const siginfo_t *info)
{
    struct task *t;
    int r;

    if (tid <= 0)
        return -EINVAL;
    t = task_find(tid);
    if (!t || t->sched.state == TASK_DEAD || (tgid && t->process->pid != tgid))
        return -ESRCH;
    r = signal_check_permission(t->process, info->si_signo);
    if (r < 0 || info->si_signo == 0)
        return r;
    return signal_send_info(t->process, t, info);
}

int64_t
sys_tkill(const uint64_t a[6])
{
    siginfo_t info = user_info((int)a[1], SI_TKILL);

    return send_to_thread(0, (int)a[0], &info);
}

int64_t
sys_tgkill(const uint64_t a[6])
{
    siginfo_t info = user_info((int)a[2], SI_TKILL);

    if ((int)a[0] <= 0)
        return -EINVAL;
    return send_to_thread((int)a[0], (int)a[1], &info);
}

/* Whose fields Linux knows are 48 bytes long. More, of a code that it does not know, it would have to lose. */
int
signal_info_from_guest(siginfo_t *info, uint64_t address, int sig, bool same)
{
    enum { KNOWN = 48, POLL_CODES = 6, LOWEST_CODE = -7 };
    uint8_t *bytes = (uint8_t *)info;
    int code;

    if (copy_from_guest(info, address, sizeof *info) < 0)
        return -EFAULT;
    if (same && info->si_signo != sig)
        return -EINVAL;
    code = info->si_code;
    if (code > 0 ? code != SI_KERNEL && code > POLL_CODES && code > signal_codes(sig)
                 : code < LOWEST_CODE && code != SI_ASYNCNL)
        for (size_t k = KNOWN; k < sizeof *info; k++)
            if (bytes[k])
                return -E2BIG;
    memset(bytes + KNOWN, 0, sizeof *info - KNOWN);
    info->si_signo = sig;
    return 0;
}

/* Nobody pretends to be the kernel or tgkill towards others than itself, the thread. */
static bool
pretends(const siginfo_t *info, int to)
{
    return to != current_task()->tid && (info->si_code >= 0 || info->si_code == SI_TKILL);
}

int64_t
sys_rt_sigqueueinfo(const uint64_t a[6])
{
    struct process *p = process_find((int)a[0]);
    siginfo_t info;
    int r = signal_info_from_guest(&info, a[2], (int)a[1], false);

    if (r < 0)
        return r;
    if (pretends(&info, (int)a[0]))
        return -EPERM;
    return p ? kill_one(p, &info) : -ESRCH;
}

int64_t
sys_rt_tgsigqueueinfo(const uint64_t a[6])
{
    siginfo_t info;
    int r = signal_info_from_guest(&info, a[3], (int)a[2], false);

    if (r < 0)
        return r;
    if ((int)a[0] <= 0 || (int)a[1] <= 0)
        return -EINVAL;
    return pretends(&info, (int)a[1]) ? -EPERM : send_to_thread((int)a[0], (int)a[1], &info);
}

/* --- alternate stack --- */

struct guest_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};

static bool
on_altstack(const struct task *t, uint64_t rsp)
{
    return t->altstack_size && rsp > t->altstack_sp && rsp - t->altstack_sp <= t->altstack_size &&
           !(t->altstack_flags & AUTODISARM);
}

int
signal_set_altstack(struct task *t, uint64_t rsp, uint64_t sp, int flags, uint64_t size)
{
    int mode = flags & ~AUTODISARM;

    if (on_altstack(t, rsp))
        return -EPERM;
    if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
        return -EINVAL;
    if (mode != SS_DISABLE && size < MIN_ALTSTACK)
        return -ENOMEM;
    t->altstack_sp = mode == SS_DISABLE ? 0 : sp;
    t->altstack_size = mode == SS_DISABLE ? 0 : size;
    t->altstack_flags = flags;
    return 0;
}

int64_t
sys_sigaltstack(const uint64_t a[6])
{
    struct task *t = current_task();
    uint64_t sp = x86_this_cpu()->gpr[X86_RSP];
    struct guest_stack new, old = {
                                .sp = t->altstack_sp,
                                .flags = (t->altstack_size == 0 ? SS_DISABLE
                                          : on_altstack(t, sp)  ? SS_ONSTACK
                                                                : 0) |
                                         (t->altstack_flags & AUTODISARM),
                                .size = t->altstack_size,
                            };

    if (a[0] && copy_from_guest(&new, a[0], sizeof new) < 0)
        return -EFAULT;
    if (a[0]) {
        int r = signal_set_altstack(t, sp, new.sp, new.flags, new.size);

        if (r < 0)
            return r;
    }
    return a[1] && copy_to_guest(a[1], &old, sizeof old) < 0 ? -EFAULT : 0;
}
