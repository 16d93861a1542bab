/* The scheduler: one worker runs guest threads as fibers, in the order in which they became runnable. It also has the
 * timers' and the host descriptors' part of waiting.
 *
 * A task leaves the processor in schedule() only: when it sleeps, gives way, or ends. With nothing to run the worker
 * sleeps in the host's poll(), on the stack of whichever task came last. */
#include "base/rare.h"
#include "vkernel/ops.h"
#include "vkernel/sched/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/direct.h"
#include "platform/platform.h"
#include "platform/heap.h"
#include "vkernel/sched/bandwidth.h"
#include "vkernel/sched/load.h"

enum { MAX_IDLE_FDS = 1024 };

unsigned sched_runnable;
bool sched_tick_wanted;
uint64_t sched_switches;
bool sched_hurrying;
uint64_t wait_news = 1;
unsigned sched_no_sleep;
static bool booted;

static struct list run_queue, watches;
static struct task *dead; /* a task that has ended; its stack is in use until the next switch is over */

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

/* The entity is a task's first member, which task/process.h asserts. */
static inline struct sched_entity *
entity(struct task *t)
{
    return (struct sched_entity *)(void *)t;
}

static inline struct task *
task_of(struct sched_entity *e)
{
    return (struct task *)(void *)e;
}

/* --- run queue --- */

static void
enqueue(struct sched_entity *e)
{
    e->queued = true;
    list_insert_before(e->hurried && sched_hurrying ? run_queue.next : &run_queue, &e->run_link);
    sched_runnable++;
}

static void
make_runnable(struct task *t)
{
    struct sched_entity *e = entity(t);

    if (e->queued || e->state != TASK_SLEEPING)
        return;
    e->state = TASK_RUNNING;
    enqueue(e);
    sched_tick_wanted = true;
}

void
sched_add(struct task *t)
{
    make_runnable(t);
}

void
sched_interrupt(struct task *t, bool fatal)
{
    if (fatal || !entity(t)->killable_only)
        make_runnable(t);
}

void
sched_hurry(struct task *t)
{
    struct sched_entity *e = entity(t);

    e->hurried = sched_hurrying = true;
    if (!e->queued)
        return;
    list_remove(&e->run_link);
    list_insert_before(run_queue.next, &e->run_link);
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

        /* Where nobody sleeps on the descriptor, its readiness would wake the worker again and again for nothing. */
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
    sched_hooks.host_signals(__atomic_exchange_n(&platform_host_signals, 0, __ATOMIC_SEQ_CST));
}

/* --- switching --- */

void
sched_account(void)
{
    struct sched_entity *e = entity(current_task());
    uint64_t now = platform_monotonic_ns();

    load_count(e->started_ns, now, 0, sched_runnable);
    sched_hooks.charge(current_task(), now - e->started_ns);
    e->started_ns = now;
}

/* The first code on a fiber after a switch to it. Only here can a task that has ended be freed, because until now its
 * stack was in use. */
static void
finish_switch(void)
{
    struct task *t = current_task();

    sched_hooks.enter(t); /* first, because until then this_worker has the dead task's process */
    if (dead) {
        struct task *d = dead;

        dead = NULL;
        platform_fiber_free(entity(d)->fiber);
        sched_hooks.release(d);
    }
    entity(t)->started_ns = platform_monotonic_ns();
    sched_switches++;
    wait_news++;
}

/* Leaves the processor to the host while the container's share of it is used up. It looks at timers and the host's
 * signals only, because a task that a descriptor woke could not run. */
static void
wait_for_share(uint64_t share, uint64_t timer)
{
    struct pollfd wake;

    if (platform_ticked) {
        platform_ticked = 0;
        platform_tick(false);
    }
    platform_idle(&wake, 0, share < timer ? share : timer);
    bandwidth_waited();
}

/* Returns the task to run next, which may be the present one. With nothing to run it sleeps in the host's poll() until
 * something is. */
static struct task *
pick_next(void)
{
    struct sched_entity *self = entity(current_task());

    for (;;) {
        uint64_t timeout = ktimer_run(), share;

        if (platform_host_signals)
            forward_host_signals();
        if ((!list_empty(&run_queue) || self->state == TASK_RUNNING) && (share = bandwidth_wait()) > 0) {
            wait_for_share(share, timeout);
            continue;
        }
        if (!list_empty(&run_queue)) {
            struct sched_entity *e = list_entry(run_queue.next, struct sched_entity, run_link);

            list_remove(&e->run_link);
            e->queued = false;
            sched_runnable--;
            return task_of(e);
        }
        if (self->state == TASK_RUNNING)
            return task_of(self);
        /* The tick is switched off only when it comes, because most idle times are shorter than a tick. */
        if (platform_ticked) {
            platform_ticked = 0;
            platform_tick(false);
        }
        poll_host(timeout);
    }
}

/* May something come that the running task does not ask for, so that a tick has to interrupt it? */
static bool
tick_needed(void)
{
    return sched_runnable || bandwidth_limited() || ktimer_any() || !list_empty(&watches) ||
           sched_hooks.wants_tick(current_task());
}

void
sched_arm_tick(void)
{
    sched_tick_wanted = false;
    if (tick_needed())
        platform_tick(true);
    platform_tick_by(ktimer_next() < bandwidth_next() ? ktimer_next() : bandwidth_next());
}

/* Gives way: runs the next task on its own fiber, and returns when this task's turn comes again. */
static void
schedule(void)
{
    struct task *self = current_task(), *next;

    might_sleep();
    sched_account();
    if (entity(self)->state != TASK_DEAD)
        sched_hooks.charged(self);
    sched_hooks.stop(self);
    next = pick_next();
    this_worker.task = next;
    sched_arm_tick();
    if (next == self) {
        wait_news++;
        entity(self)->started_ns = platform_monotonic_ns();
        return;
    }
    sched_hooks.leave(self);
    platform_fiber_switch(entity(self)->fiber, entity(next)->fiber);
    finish_switch();
}

static void
fiber_main(void *arg)
{
    finish_switch();
    if (!booted) {
        booted = true;
        sched_hooks.boot();
    }
    sched_hooks.run(arg);
    __builtin_unreachable();
}

int
sched_prepare(struct task *t)
{
    struct sched_entity *e = entity(t);

    list_init(&e->run_link);
    e->state = TASK_SLEEPING;
    e->fiber = platform_fiber_new(fiber_main, t);
    return e->fiber ? 0 : -ENOMEM;
}

void
sched_abandon(struct task *t)
{
    platform_fiber_free(entity(t)->fiber);
}

void
sched_start(struct task *t)
{
    this_worker.task = t;
    entity(t)->state = TASK_RUNNING;
    platform_fiber_switch(platform_fiber_main(), entity(t)->fiber);
    __builtin_unreachable();
}

void
sched_exit(void)
{
    dead = current_task();
    entity(dead)->state = TASK_DEAD;
    schedule();
    __builtin_unreachable();
}

void
sched_yield_now(void)
{
    might_sleep();
    if (list_empty(&run_queue)) {
        ktimer_run();
        if (list_empty(&run_queue) && !bandwidth_wait())
            return;
    }
    enqueue(entity(current_task()));
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
    sched_hooks.polled(current_task());
    ktimer_run();
    poll_host(0);
    if (platform_host_signals)
        forward_host_signals();
    if (tick_needed())
        sched_arm_tick();
    else
        platform_tick(false);
    sched_account();
    sched_hooks.charged(current_task());
    if (!list_empty(&run_queue) || bandwidth_wait()) {
        sched_hooks.counted(current_task(), false);
        sched_yield_now();
    }
}

int
sched_checkpoint(void)
{
    might_sleep();
    if (sched_ticked())
        sched_poll();
    return sched_hooks.interrupted(true) ? -EINTR : 0;
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

    if (!q->waiters.next) /* nobody has ever used this queue */
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

static int
sleep_on(struct wait_entry *entries, unsigned count, uint64_t deadline, bool killable_only)
{
    struct task *t = current_task();
    struct sched_entity *e = entity(t);
    struct sleep_timer timer = {.timer = {.fire = end_sleep}, .task = t};
    bool woken = false;

    if (sched_hooks.interrupted(killable_only))
        return -ERESTARTSYS;
    if (deadline != WAIT_FOREVER)
        ktimer_start(&timer.timer, deadline);
    e->killable_only = killable_only;
    e->state = TASK_SLEEPING;
    sched_hooks.counted(t, true);
    for (;;) {
        schedule();
        e->state = TASK_RUNNING;
        for (unsigned i = 0; i < count; i++)
            woken |= entries[i].woken;
        if (woken || timer.fired || sched_hooks.interrupted(killable_only))
            break;
        e->state = TASK_SLEEPING;
    }
    e->killable_only = false;
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
        entries[i] = (struct wait_entry){.task = current_task()};
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
