/* POSIX timers, on the monotonic clock (absolute times of the realtime clock are converted when they are set: the
 * container's clock is never set) or on processor time.
 *
 * As in Linux a timer owns the one signal entry that it sends, and a periodic one that has expired stands still until
 * that signal is taken: then it goes on, and what was missed are overruns. A signal that nobody takes or that is
 * ignored costs nothing. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/mm/mm.h"
#include "vkernel/ops.h"
#include "vkernel/time/time_internal.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"
#include "vkernel/time/time.h"

struct posix_timer {
    struct id_node link; /* in the process's; its number */
    struct process *process;
    int notify, sig, clock;
    int tid;        /* SIGEV_THREAD_ID */
    uint64_t value; /* sigev_value */
    uint64_t interval;
    uint64_t deadline;             /* of its clock; 0: disarmed, or over for good */
    int64_t overrun, last_overrun; /* from -1: the expiry that sends the signal is none */
    bool standing;                 /* periodic, has expired: goes on when its signal is taken */
    bool ignored;                  /* ...which the process ignores now */
    bool on_cpu;                   /* the clock is processor time, of this process or task (by ids: both may end) */
    int cpu_pid, cpu_tid;
    struct ktimer timer;
    struct cpu_timer cpu;
    struct signal_entry signal;
};

/* --- its clock --- */

static uint64_t
now_of(const struct posix_timer *t)
{
    const struct process *p;
    const struct task *task;

    if (!t->on_cpu)
        return clock_monotonic_ns();
    sched_account();
    if (t->cpu_tid) {
        task = task_find(t->cpu_tid);
        return task && task->process == t->process ? task->cpu_ns : 0;
    }
    p = process_find(t->cpu_pid);
    return p ? p->cpu_ns : 0;
}

static void
stop(struct posix_timer *t)
{
    ktimer_stop(&t->timer);
    cpu_timer_stop(&t->cpu);
}

static void expired(struct posix_timer *t);

static void
start(struct posix_timer *t)
{
    struct process *p;
    struct task *task;

    if (t->notify == SIGEV_NONE)
        return; /* only ever asked for */
    if (!t->on_cpu) {
        ktimer_start(&t->timer, t->deadline);
        return;
    }
    task = t->cpu_tid ? task_find(t->cpu_tid) : NULL;
    p = t->cpu_tid ? NULL : process_find(t->cpu_pid);
    if ((task && task->process == t->process && task->sched.state != TASK_DEAD) || (p && !p->zombie))
        cpu_timer_start(&t->cpu, p, task, t->deadline);
}

/* --- expiry --- */

static void
send(struct posix_timer *t)
{
    struct task *target = t->notify & SIGEV_THREAD_ID ? task_find(t->tid) : NULL;

    t->ignored = false;
    if ((t->notify & SIGEV_THREAD_ID) && (!target || target->process != t->process))
        return;
    if (signal_send_entry(t->process, target, &t->signal))
        return;
    t->ignored = t->standing;
}

static void
expired(struct posix_timer *t)
{
    if (t->interval)
        t->standing = true;
    else
        t->deadline = 0;
    send(t);
}

CALLBACK static void
timer_fired(struct ktimer *k)
{
    expired(list_entry(k, struct posix_timer, timer));
}

CALLBACK static void
cpu_timer_fired(struct cpu_timer *c)
{
    expired(list_entry(c, struct posix_timer, cpu));
}

void
timer_signal_taken(struct signal_entry *e, siginfo_t *info)
{
    struct posix_timer *t = list_entry(e, struct posix_timer, signal);

    if (t->standing) {
        t->standing = false;
        t->overrun += (int64_t)timer_forward(&t->deadline, t->interval, now_of(t));
        start(t);
    } else {
        t->overrun = 0;
    }
    t->last_overrun = t->overrun;
    t->overrun = -1;
    info->si_overrun = t->last_overrun > INT_MAX ? INT_MAX : (int)t->last_overrun;
}

void
timer_signal_dropped(struct signal_entry *e)
{
    struct posix_timer *t = list_entry(e, struct posix_timer, signal);

    t->ignored = t->standing;
}

/* The timer with this number, or that with the next higher one; NULL: there are no more. */
static struct posix_timer *
timer_from(const struct process *p, int64_t id)
{
    struct id_node *n = id_tree_from(&p->posix_timers, id);

    return n ? id_entry(n, struct posix_timer, link) : NULL;
}

/* Looks at some timers with numbers above `after`. The last one's number; -1: there are no more. */
static int
send_ignored(struct process *p, int sig, int after)
{
    enum { AT_ONCE = 256 }; /* each may go through all threads */

    for (int seen = 0; seen < AT_ONCE; seen++) {
        struct posix_timer *t = timer_from(p, (int64_t)after + 1);

        if (!t)
            return -1;
        if (t->ignored && t->sig == sig)
            send(t);
        after = (int)t->link.id;
    }
    return after;
}

void
timers_signal_wanted(struct process *p, int sig)
{
    int after = -1;

    might_sleep();
    do
        after = send_ignored(p, sig, after);
    while (after >= 0 && sched_checkpoint() == 0);
}

/* --- making and ending --- */

static struct posix_timer *
find_timer(uint64_t id)
{
    struct id_node *n = id_tree_find(&current_process()->posix_timers, (int)id);

    return n ? id_entry(n, struct posix_timer, link) : NULL;
}

OBJECT_POOL(posix_timer);

static void
timer_free(struct posix_timer *t)
{
    stop(t);
    signal_entry_cancel(&t->signal);
    signal_entry_discharge(&t->signal);
    id_tree_remove(&t->process->posix_timers, &t->link);
    OBJECT_FREE(posix_timer, t);
}

void
timers_exec(struct process *p)
{
    while (p->posix_timers.root)
        timer_free(id_entry(p->posix_timers.root, struct posix_timer, link));
}

void
timers_exit(struct process *p)
{
    ktimer_stop(&p->itimer_real);
    timers_exec(p);
    cpu_timers_end(&p->cpu_timers);
}

struct guest_sigevent {
    uint64_t value;
    int32_t sig, notify, tid, pad[11];
};
_Static_assert(sizeof(struct guest_sigevent) == 64, "sigevent");

static bool
good_event(const struct guest_sigevent *ev)
{
    struct task *target;

    switch (ev->notify) {
    case SIGEV_SIGNAL | SIGEV_THREAD_ID:
        target = task_find(ev->tid);
        if (!target || target->process != current_process() || target->sched.state == TASK_DEAD)
            return false;
        /* fall through */
    case SIGEV_SIGNAL:
    case SIGEV_THREAD: /* glibc's is made of the one above; to the kernel it is a signal */
        return ev->sig >= 1 && ev->sig <= 64;
    default: return ev->notify == SIGEV_NONE;
    }
}

/* The first id from the process's next one on that no timer has, as on Linux. A taken one is passed over once in 2^31
 * timers. */
static int
free_id(struct process *p)
{
    int id = p->next_timer_id;

    while (id_tree_find(&p->posix_timers, id))
        id = (id + 1) & INT_MAX;
    p->next_timer_id = (id + 1) & INT_MAX;
    return id;
}

/* Its signal is counted now, so that it can be sent later whatever the limit says then. */
static struct posix_timer *
timer_new(int clock)
{
    struct posix_timer *t = OBJECT_NEW(posix_timer);
    struct process *owner;
    struct task *task;

    if (!t)
        return NULL;
    t->process = current_process();
    t->clock = clock;
    t->timer.fire = timer_fired;
    list_init(&t->signal.link);
    cpu_timer_init(&t->cpu, cpu_timer_fired);
    if (!signal_entry_charge(&t->signal, t->process, false)) {
        OBJECT_FREE(posix_timer, t);
        return NULL;
    }
    if (clock_cpu_owner(clock, &owner, &task) == 0) {
        t->on_cpu = true;
        t->cpu_pid = owner ? owner->pid : 0;
        t->cpu_tid = task ? task->tid : 0;
    }
    return t;
}

int64_t
sys_timer_create(const uint64_t a[6])
{
    struct process *p = current_process();
    struct guest_sigevent ev = {.sig = SIGALRM, .notify = SIGEV_SIGNAL};
    struct posix_timer *t;
    int r, id;

    if (a[1] && copy_from_guest(&ev, a[1], sizeof ev) < 0)
        return -EFAULT;
    r = clock_timer_check((int)a[0]);
    if (r < 0)
        return r;
    if (!good_event(&ev))
        return -EINVAL;
    t = timer_new((int)a[0]);
    if (!t)
        return -EAGAIN;
    id = free_id(p);
    t->notify = ev.notify;
    t->sig = ev.sig;
    t->tid = ev.tid;
    t->value = a[1] ? ev.value : (uint64_t)id;
    t->signal.timer = true;
    t->signal.info.si_signo = t->sig;
    t->signal.info.si_code = SI_TIMER;
    t->signal.info.si_timerid = id;
    t->signal.info.si_ptr = (void *)(uintptr_t)t->value;
    id_tree_add(&p->posix_timers, &t->link, id, platform_random_priority());
    if (copy_to_guest(a[2], &id, sizeof id) < 0) {
        timer_free(t);
        return -EFAULT;
    }
    return 0;
}

/* --- setting and asking --- */

static struct timer_setting
current_setting(struct posix_timer *t)
{
    struct timer_setting s = {.interval = t->interval};
    uint64_t now = now_of(t);

    if (!t->deadline)
        return s;
    if (t->interval && (t->standing || t->notify == SIGEV_NONE))
        t->overrun += (int64_t)timer_forward(&t->deadline, t->interval, now);
    if (t->deadline > now)
        s.value = t->deadline - now;
    else
        s.value = t->notify == SIGEV_NONE ? 0 : 1;
    return s;
}

int64_t
sys_timer_settime(const uint64_t a[6])
{
    struct timer_setting s, old;
    struct posix_timer *t;
    bool absolute = (a[1] & TIMER_ABSTIME) != 0;
    int r;

    if (!a[2])
        return -EINVAL;
    r = timer_setting_from_guest(a[2], &s);
    t = find_timer(a[0]);
    if (r == 0 && !t)
        r = -EINVAL;
    if (r < 0)
        return r;
    old = current_setting(t);
    stop(t);
    signal_entry_cancel(&t->signal);
    t->standing = t->ignored = false;
    t->overrun = -1;
    t->last_overrun = 0;
    t->deadline = 0;
    t->interval = s.value || t->on_cpu ? s.interval : 0;
    if (s.value) {
        uint64_t now = now_of(t);

        if (t->on_cpu)
            t->deadline = absolute ? s.value : now + s.value;
        else
            t->deadline = timer_deadline(t->clock, s.value, absolute);
        if (t->deadline > now || t->notify == SIGEV_NONE)
            start(t);
        else
            expired(t);
    }
    return a[3] && timer_setting_to_guest(a[3], &old) < 0 ? -EFAULT : 0;
}

int64_t
sys_timer_gettime(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);
    struct timer_setting s;

    if (!t)
        return -EINVAL;
    s = current_setting(t);
    return timer_setting_to_guest(a[1], &s);
}

int64_t
sys_timer_getoverrun(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);

    if (!t)
        return -EINVAL;
    return t->last_overrun > INT_MAX ? INT_MAX : t->last_overrun;
}

int64_t
sys_timer_delete(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);

    if (!t)
        return -EINVAL;
    timer_free(t);
    return 0;
}
