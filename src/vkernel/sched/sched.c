/* The scheduler: one worker runs guest threads as fibers, first come, first served; timers; sleeping.
 *
 * A task leaves the processor in schedule() only: when it sleeps, yields, or ends. With nothing to run the worker
 * sleeps in the host's poll, on the stack of whichever task came last. */
#include "base/rare.h"
#include "vkernel/ops.h"
#include "vkernel/sched/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/direct.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/process.h"
#include "vkernel/mm/mm.h"
#include "x86/helpers.h"

enum { MAX_IDLE_FDS = 1024 };

struct task *sched_current;
unsigned sched_runnable;
bool sched_tick_wanted;
uint64_t sched_switches;
uint64_t wait_news = 1;
unsigned sched_no_sleep;
static bool booted;

static struct list run_queue, watches;
static struct task *dead; /* ended, its stack is in use until the next switch is over */

void
sched_init(void)
{
    list_init(&run_queue);
    list_init(&watches);
}

uint64_t
clock_monotonic_ns(void)
{
    return platform_monotonic_ns();
}

uint64_t
clock_realtime_ns(void)
{
    return platform_realtime_ns();
}

/* --- run queue --- */

static void
make_runnable(struct task *t)
{
    if (t->queued || t->state != TASK_SLEEPING)
        return;
    t->state = TASK_RUNNING;
    t->queued = true;
    list_append(&run_queue, &t->run_link);
    sched_runnable++;
    sched_tick_wanted = true;
}

void
sched_add(struct task *t)
{
    list_init(&t->run_link);
    t->state = TASK_SLEEPING;
    make_runnable(t);
}

void
sched_interrupt(struct task *t, bool fatal)
{
    if (t->state == TASK_SLEEPING && (fatal || !t->killable_only))
        make_runnable(t);
}

void
sched_hurry(struct task *t)
{
    if (!t->queued)
        return;
    list_remove(&t->run_link);
    list_insert_before(run_queue.next, &t->run_link);
}

/* --- host descriptors --- */

void
host_watch_add(struct host_watch *w)
{
    list_append(&watches, &w->link);
    sched_tick_wanted = true;
}

void
host_watch_remove(struct host_watch *w)
{
    if (w->link.next)
        list_remove(&w->link);
}

void
host_watch_refresh(void)
{
    NO_SLEEP;

    LIST_EACH(p, &watches) {
        struct host_watch *w = list_entry(p, struct host_watch, link);

        if (w->ready)
            CALLED(w->ready)(w);
    }
}

static unsigned
collect_watches(struct pollfd *fds, struct host_watch **which)
{
    unsigned n = 0;

    LIST_EACH(p, &watches) {
        struct host_watch *w = list_entry(p, struct host_watch, link);

        /* Nobody sleeps on it: its readiness would only spin us. */
        if (!w->events || w->fd < 0 || n == MAX_IDLE_FDS ||
            (!w->ready && list_empty(&w->queue->waiters) && list_empty(&w->queue->listeners)))
            continue;
        fds[n] = (struct pollfd){.fd = w->fd, .events = w->events};
        which[n++] = w;
    }
    return n;
}

static void
poll_host(uint64_t timeout)
{
    static struct pollfd fds[MAX_IDLE_FDS + 1] RARE;
    static struct host_watch *which[MAX_IDLE_FDS] RARE;
    unsigned n = collect_watches(fds, which);

    if (n == 0 && timeout == 0)
        return;
    if (platform_idle(fds, n, timeout) <= 0)
        return;
    for (unsigned i = 0; i < n; i++)
        if (fds[i].revents && which[i]->ready)
            CALLED(which[i]->ready)(which[i]);
        else if (fds[i].revents)
            wait_queue_wake(which[i]->queue);
}

static void
forward_host_signals(void)
{
    uint64_t set = __atomic_exchange_n(&platform_host_signals, 0, __ATOMIC_SEQ_CST);

    if (platform_end_signal)
        container_exit(platform_end_signal);
    for (int sig = 1; set; sig++, set >>= 1)
        if (set & 1)
            proc_host_signal(sig);
}

/* --- switching --- */

void
sched_account(void)
{
    struct task *t = sched_current;
    uint64_t now = platform_monotonic_ns(), spent = now - t->started_ns;

    t->cpu_ns += spent;
    t->process->cpu_ns += spent;
    t->started_ns = now;
}

void
sched_reset_limit(void)
{
    x86_cpu_tls.limit = proc_forced_limit() ? UINT64_MAX : platform_fiber_limit(sched_current->fiber);
}

void
sched_load(struct task *t)
{
    if (t->process->mm) { /* process 1 has none before its first exec */
        platform_set_memory(t->process->mm->base);
        platform_direct_generation(t->process->mm->code_generation);
    }
    sched_reset_limit();
}

static void
finish_switch(void)
{
    struct task *t = sched_current;

    if (dead) {
        struct task *d = dead;

        dead = NULL;
        platform_fiber_free(d->fiber);
        task_free(d);
    }
    x86_cpu_tls = t->cpu;
    sched_load(t);
    x86_apply_mxcsr();
    t->started_ns = platform_monotonic_ns();
    sched_switches++;
    wait_news++;
}

static struct task *
pick_next(void)
{
    struct task *self = sched_current;

    for (;;) {
        uint64_t timeout = ktimer_run();

        if (platform_host_signals)
            forward_host_signals();
        if (!list_empty(&run_queue)) {
            struct task *t = list_entry(run_queue.next, struct task, run_link);

            list_remove(&t->run_link);
            t->queued = false;
            sched_runnable--;
            return t;
        }
        if (self->state == TASK_RUNNING)
            return self;
        /* Switched off only when it comes: most idle times are shorter than a tick. */
        if (platform_ticked) {
            platform_ticked = 0;
            platform_tick(false);
        }
        poll_host(timeout);
    }
}

/* May something come that the running task does not ask for? */
static bool
tick_needed(void)
{
    return sched_runnable || ktimer_any() || !list_empty(&watches) || cpu_timers_armed(sched_current) ||
           proc_forced_tick();
}

void
sched_arm_tick(void)
{
    sched_tick_wanted = false;
    if (tick_needed())
        platform_tick(true);
    platform_tick_by(ktimer_next());
}

static void
schedule(void)
{
    struct task *self = sched_current, *next;

    might_sleep();
    sched_account();
    if (self->state != TASK_DEAD)
        proc_check_cpu_timers(self);
    x86_collect_mxcsr();
    self->cpu = x86_cpu_tls;
    next = pick_next();
    sched_current = next;
    sched_arm_tick();
    if (next == self) {
        wait_news++;
        self->started_ns = platform_monotonic_ns();
        return;
    }
    if (self->state != TASK_DEAD) {
        x87_out();
        self->cpu.x87 = x86_cpu_tls.x87;
    }
    x87_replaced();
    platform_fiber_switch(self->fiber, next->fiber);
    finish_switch();
}

static void
fiber_main(void *arg)
{
    finish_switch();
    if (!booted) {
        booted = true;
        sched_boot();
    }
    task_run(arg);
    __builtin_unreachable();
}

int
sched_prepare(struct task *t)
{
    t->fiber = platform_fiber_new(fiber_main, t);
    return t->fiber ? 0 : -ENOMEM;
}

void
sched_start(struct task *t)
{
    sched_current = t;
    t->state = TASK_RUNNING;
    platform_fiber_switch(platform_fiber_main(), t->fiber);
    __builtin_unreachable();
}

void
sched_exit(void)
{
    sched_current->state = TASK_DEAD;
    dead = sched_current;
    schedule();
    __builtin_unreachable();
}

void
sched_yield_now(void)
{
    struct task *t = sched_current;

    might_sleep();
    if (list_empty(&run_queue)) {
        ktimer_run();
        if (list_empty(&run_queue))
            return;
    }
    t->queued = true;
    list_append(&run_queue, &t->run_link);
    sched_runnable++;
    schedule();
}

bool
sched_ticked(void)
{
    return platform_ticked != 0;
}

void
sched_poll(void)
{
    platform_ticked = 0;
    platform_tick_taken();
    sched_reset_limit();
    ktimer_run();
    poll_host(0);
    if (platform_host_signals)
        forward_host_signals();
    if (tick_needed())
        sched_arm_tick();
    else
        platform_tick(false);
    sched_account();
    proc_check_cpu_timers(sched_current);
    if (!list_empty(&run_queue)) {
        sched_current->process->involuntary++;
        sched_yield_now();
    }
}

int
sched_checkpoint(void)
{
    might_sleep();
    if (sched_ticked())
        sched_poll();
    return signal_fatal_pending() ? -EINTR : 0;
}

/* --- wait queues --- */

void
wait_queue_init(struct wait_queue *q)
{
    *q = (struct wait_queue)WAIT_QUEUE(*q);
}

void
wait_queue_add(struct wait_queue *q, struct wait_entry *e, bool first)
{
    wait_news++;
    list_insert_before(first ? q->waiters.next : &q->waiters, &e->link);
}

void
wait_queue_listen(struct wait_queue *q, struct wait_entry *e)
{
    list_append(&q->listeners, &e->link);
}

void
wait_queue_wake(struct wait_queue *q)
{
    NO_SLEEP;

    if (!q->waiters.next) /* nobody ever used it */
        return;
    LIST_EACH(p, &q->listeners) {
        struct wait_entry *e = list_entry(p, struct wait_entry, link);

        CALLED(e->notify)(e);
    }
    if (q->told == wait_news)
        return;
    q->told = wait_news;
    LIST_EACH(p, &q->waiters) {
        struct wait_entry *e = list_entry(p, struct wait_entry, link);

        if (e->notify) {
            CALLED(e->notify)(e);
        } else if (!e->woken) {
            e->woken = true;
            make_runnable(e->task);
        }
    }
}

static void
tell_the_end(struct list *entries)
{
    while (!list_empty(entries)) {
        struct wait_entry *e = list_entry(entries->next, struct wait_entry, link);

        list_remove(&e->link);
        if (e->notify) {
            CALLED(e->notify)(e);
        } else {
            e->woken = true;
            make_runnable(e->task);
        }
    }
}

void
wait_queue_fini(struct wait_queue *q)
{
    NO_SLEEP;

    tell_the_end(&q->listeners);
    tell_the_end(&q->waiters);
}

struct sleep_timer {
    struct ktimer timer;
    struct task *task;
    bool fired;
};

CALLBACK static void
end_sleep(struct ktimer *k)
{
    struct sleep_timer *s = list_entry(k, struct sleep_timer, timer);

    s->fired = true;
    make_runnable(s->task);
}

static bool
interrupted(bool killable_only)
{
    return killable_only ? signal_fatal_pending() : signal_pending_current();
}

static int
sleep_on(struct wait_entry *entries, unsigned count, uint64_t deadline, bool killable_only)
{
    struct task *t = sched_current;
    struct sleep_timer timer = {.timer = {.fire = end_sleep}, .task = t};
    bool woken = false;

    if (interrupted(killable_only))
        return -ERESTARTSYS;
    if (deadline != WAIT_FOREVER)
        ktimer_start(&timer.timer, deadline);
    t->killable_only = killable_only;
    t->state = TASK_SLEEPING;
    t->process->voluntary++;
    for (;;) {
        schedule();
        t->state = TASK_RUNNING;
        for (unsigned i = 0; i < count; i++)
            woken |= entries[i].woken;
        if (woken || timer.fired || interrupted(killable_only))
            break;
        t->state = TASK_SLEEPING;
    }
    t->killable_only = false;
    ktimer_stop(&timer.timer);
    if (woken)
        return 0;
    return timer.fired ? -ETIMEDOUT : -ERESTARTSYS;
}

static int
wait_many(struct wait_queue *const *queues, unsigned count, uint64_t deadline, bool killable_only)
{
    enum { INLINE = 16 };
    UNINITIALIZED struct wait_entry few[INLINE];
    struct wait_entry *entries = few;
    int r;

    might_sleep();
    if (count > INLINE) {
        entries = array_new(count, sizeof *entries);
        if (!entries)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        entries[i] = (struct wait_entry){.task = sched_current};
        wait_queue_add(queues[i], &entries[i], false);
    }
    r = sleep_on(entries, count, deadline, killable_only);
    for (unsigned i = 0; i < count; i++)
        list_remove(&entries[i].link);
    if (entries != few)
        array_free(entries);
    return r;
}

int
wait_on_many(struct wait_queue *const *queues, unsigned count, uint64_t deadline)
{
    return wait_many(queues, count, deadline, false);
}

int
wait_on(struct wait_queue *q, uint64_t deadline)
{
    return wait_many(&q, 1, deadline, false);
}

int
wait_on_killable(struct wait_queue *q, uint64_t deadline)
{
    return wait_many(&q, 1, deadline, true);
}
