/* What happens when processor time is used up: RLIMIT_CPU, ITIMER_VIRTUAL and ITIMER_PROF, and timers of processor-time
 * clocks.
 *
 * A process and a task each keep a list of timers and the earliest reading of their clock at which something is to be
 * done (cpu_next). The scheduler arms the tick for a task that has any (sched_hooks.wants_tick), and has them checked
 * when it has charged its time (sched_hooks.charged). */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "vkernel/ops.h"
#include "vkernel/sched/sched.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time.h"
#include "vkernel/time/time_internal.h"
#include "vkernel/usercopy/usercopy.h"

static void
at_latest(uint64_t *next, uint64_t deadline)
{
    if (deadline < *next)
        *next = deadline;
}

static uint64_t
earliest(const struct list *timers)
{
    uint64_t next = UINT64_MAX;

    LIST_EACH(l, (struct list *)timers)
        at_latest(&next, list_entry(l, struct cpu_timer, link)->deadline);
    return next;
}

uint64_t
itimer_clock(const struct process *p, int which)
{
    return which == ITIMER_VIRTUAL ? p->cpu_ns - p->system_ns : p->cpu_ns;
}

static bool
is_of(struct task *t, const void *process)
{
    return t->process == process;
}

/* Its threads that run on other processors may have no tick, by which the timers are looked at. */
static void
want_tick(const struct process *p)
{
    sched_tick_wanted = true;
    sched_kick(is_of, p);
}

void
cpu_timers_changed(struct process *p)
{
    p->cpu_next = earliest(&p->cpu_timers);
    for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
        uint64_t expiry = p->itimer_virtual[which - 1][0], used = itimer_clock(p, which);

        /* User time may stand still while processor time passes, so this is the earliest moment, at
         * which one looks again. */
        if (expiry)
            at_latest(&p->cpu_next, p->cpu_ns + (expiry > used ? expiry - used : 0));
    }
    if (p->rlimits[RLIMIT_CPU].rlim_cur != RLIM_INFINITY)
        at_latest(&p->cpu_next, time_join((int64_t)(p->rlimits[RLIMIT_CPU].rlim_cur & INT64_MAX), 0));
    want_tick(p);
}

bool
cpu_timers_armed(const struct task *t)
{
    return t->cpu_next != UINT64_MAX || t->process->cpu_next != UINT64_MAX;
}

void
cpu_timer_init(struct cpu_timer *c, void (*fire)(struct cpu_timer *c))
{
    list_init(&c->link);
    c->deadline = 0;
    c->fire = fire;
}

void
cpu_timer_start(struct cpu_timer *c, struct process *p, struct task *t, uint64_t deadline)
{
    list_remove(&c->link);
    c->deadline = deadline;
    list_append(t ? &t->cpu_timers : &p->cpu_timers, &c->link);
    at_latest(t ? &t->cpu_next : &p->cpu_next, deadline);
    want_tick(t ? t->process : p);
}

/* cpu_next stays: a look too many does no harm. */
void
cpu_timer_stop(struct cpu_timer *c)
{
    list_remove(&c->link);
}

/* The clock stands still for ever: timers of others may be on the list. */
void
cpu_timers_end(struct list *timers)
{
    LIST_EACH_SAFE(l, timers)
        list_remove(l);
}

/* Each timer is fired once at most: those that go on have their next deadline behind now. So many at once: each may go
 * through all threads. The others are due at the next look. */
static void
fire_due(struct list *timers, uint64_t now)
{
    enum { AT_ONCE = 256 };
    struct list due;
    int count = 0;

    list_init(&due);
    LIST_EACH_SAFE(l, timers) {
        if (list_entry(l, struct cpu_timer, link)->deadline > now)
            continue;
        list_remove(l);
        list_append(&due, l);
        if (++count == AT_ONCE)
            break;
    }
    while (!list_empty(&due)) {
        struct cpu_timer *c = list_entry(due.next, struct cpu_timer, link);

        list_remove(&c->link);
        CALLED(c->fire)(c);
    }
}

static void
check_itimers(struct process *p)
{
    for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
        uint64_t *expiry = &p->itimer_virtual[which - 1][0], interval = p->itimer_virtual[which - 1][1];
        uint64_t used = itimer_clock(p, which);

        if (!*expiry || used < *expiry)
            continue;
        if (interval)
            timer_forward(expiry, interval, used);
        else
            *expiry = 0;
        signal_send_process(p, which == ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF);
    }
}

/* As Linux's check_process_timers: SIGXCPU at the soft limit and every second from there, which moves it; SIGKILL at
 * the hard. */
static void
check_limit(struct process *p)
{
    struct rlimit *limit = &p->rlimits[RLIMIT_CPU];
    uint64_t seconds = p->cpu_ns / NS_PER_SECOND;

    if (limit->rlim_cur == RLIM_INFINITY)
        return;
    if (limit->rlim_max != RLIM_INFINITY && seconds >= limit->rlim_max) {
        task_hooks.end(p, SIGKILL);
        return;
    }
    if (seconds >= limit->rlim_cur) {
        limit->rlim_cur++;
        signal_send_process(p, SIGXCPU);
    }
}

void
cpu_timers_check(struct task *t)
{
    struct process *p = t->process;

    if (t->cpu_ns >= t->cpu_next) {
        fire_due(&t->cpu_timers, t->cpu_ns);
        t->cpu_next = earliest(&t->cpu_timers);
    }
    if (p->cpu_ns >= p->cpu_next) {
        fire_due(&p->cpu_timers, p->cpu_ns);
        check_itimers(p);
        check_limit(p);
        cpu_timers_changed(p);
    }
}
