/* The scheduler: the processors run guest threads as fibers, in the order in which they became runnable. Waiting for
 * host descriptors is here as well; the timers are in timer.c.
 *
 * A task leaves its processor in schedule() only: when it sleeps, gives way, or ends. A processor that has no task goes
 * on with a fiber of its own, its idle fiber, on which it sleeps. One idle processor, the poller, sleeps in the host's
 * poll(), for all watched descriptors and timers; the others are parked until they are called. */
#include "base/rare.h"
#include "vkernel/ops.h"
#include "vkernel/sched/sched_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "platform/direct.h"
#include "platform/platform.h"
#include "platform/heap.h"
#include "platform/sanitizer.h"
#include "vkernel/sched/bandwidth.h"
#include "vkernel/sched/load.h"

enum { MAX_IDLE_FDS = 1024 };
/* How often a processor looks whether hurried tasks still hold it, and for how long they may. */
enum { HOLD_NS = 200000, HOLD_MOST_NS = 100000000 };

unsigned sched_runnable;
bool sched_tick_wanted;
uint64_t sched_switches;
bool sched_hurrying;
static uint64_t holds_until; /* monotonic; until then hurried tasks keep all others from running */
bool sched_moving;
uint64_t wait_news = 1;
unsigned sched_no_sleep;
static bool booted;
static bool idle_prepared; /* the idle fiber of the first processor, which the others came with */

static struct list run_queue;    /* of the tasks that may run on every processor; others are on the queue of one */
static unsigned shared_runnable; /* how many are on it */
static uint64_t queue_order;     /* of the task that was queued last */
static struct list watches;
static uint64_t all_processors;
static struct processor processors[PLATFORM_THREADS_MAX];
static struct processor *poller; /* the one that sleeps in the host's poll() */
static uint64_t poller_wakes;    /* at the latest: monotonic */
static unsigned idle_count;      /* processors that sleep and have not been called */
static unsigned called_count;    /* processors that were called for a task of run_queue, and do not run yet */
static unsigned busy_count;      /* processors that have a task */
bool sched_uncalled;

void
sched_init(void)
{
    list_init(&run_queue);
    list_init(&watches);
    platform_thread_tls->processor = &processors[0];
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
static inline struct task *
task_of(struct sched_entity *e)
{
    return (struct task *)(void *)e;
}

/* --- run queue --- */

static bool
may_run_on(const struct sched_entity *e, const struct processor *p)
{
    return e->stays ? e->last_processor == p->number : e->affinity >> p->number & 1;
}

/* Of those on which the task may run, the one with the fewest others to run. */
static struct processor *
processor_for(const struct sched_entity *e)
{
    struct processor *best = this_processor();
    unsigned least = UINT_MAX;

    for (unsigned k = 0; k < platform_threads; k++) {
        struct processor *p = &processors[k];
        unsigned load = p->queue_length + (p->task != NULL);

        if (!may_run_on(e, p) || load >= least)
            continue;
        best = p;
        least = load;
    }
    return best;
}

/* On the queue of one processor; NULL: on that of all. */
static void
enqueue_on(struct sched_entity *e, struct processor *p)
{
    struct list *queue = p ? &p->queue : &run_queue;

    e->queued = true;
    e->queued_on = p;
    e->order = ++queue_order;
    list_insert_before(e->hurried && sched_hurrying ? queue->next : queue, &e->run_link);
    sched_runnable++;
    *(p ? &p->queue_length : &shared_runnable) += 1;
    sched_uncalled = true;
}

static void
enqueue(struct sched_entity *e)
{
    bool everywhere = PLATFORM_FIBERS_MOVE && (e->affinity & all_processors) == all_processors;

    enqueue_on(e, everywhere ? NULL : processor_for(e));
}

static void
dequeue(struct sched_entity *e)
{
    list_remove(&e->run_link);
    e->queued = false;
    sched_runnable--;
    *(e->queued_on ? &e->queued_on->queue_length : &shared_runnable) -= 1;
}

/* The task that has waited longest of those that this processor may run; NULL: there is none. */
static struct sched_entity *
first_queued(struct processor *p)
{
    struct sched_entity *own = list_empty(&p->queue) ? NULL : list_entry(p->queue.next, struct sched_entity, run_link);
    struct sched_entity *shared =
        list_empty(&run_queue) ? NULL : list_entry(run_queue.next, struct sched_entity, run_link);

    if (!own || !shared)
        return own ? own : shared;
    if (own->hurried != shared->hurried)
        return own->hurried ? own : shared;
    return own->order < shared->order ? own : shared;
}

void
sched_set_affinity(struct task *t, uint64_t set)
{
    struct sched_entity *e = sched_entity_of(t);

    e->affinity = set;
    if (e->queued) {
        dequeue(e);
        enqueue(e);
        sched_tick_wanted = true;
    } else if (e->runs_on == this_processor()) {
        if (!may_run_on(e, e->runs_on))
            sched_yield_now();
    } else if (e->runs_on) {
        platform_thread_kick(e->runs_on->number); /* sched_poll() looks at it */
    }
}

/* The running task has made another one runnable. */
static void
note_wake(void)
{
    struct processor *p = this_processor();

    if (!p->task)
        return;
    sched_entity_of(p->task)->woke = true;
    sched_entity_of(p->task)->woke_at = p->went_out;
}

void
sched_make_runnable(struct task *t)
{
    struct sched_entity *e = sched_entity_of(t);

    if (e->queued || e->state != TASK_SLEEPING)
        return;
    e->state = TASK_RUNNING;
    enqueue(e);
    sched_tick_wanted = true;
    if (platform_threads > 1)
        note_wake();
}

void
sched_add(struct task *t)
{
    sched_make_runnable(t);
}

void
sched_interrupt(struct task *t, bool fatal)
{
    struct sched_entity *e = sched_entity_of(t);

    if (fatal || !e->killable_only)
        sched_make_runnable(t);
    if (e->runs_on && e->runs_on != this_processor())
        platform_thread_kick(e->runs_on->number);
}

void
sched_hurry(struct task *t)
{
    struct sched_entity *e = sched_entity_of(t);

    e->hurried = sched_hurrying = true;
    holds_until = platform_monotonic_ns() + HOLD_MOST_NS;
    if (!e->queued)
        return;
    dequeue(e);
    enqueue(e);
}

/* --- host descriptors --- */

static uint64_t watch_changes;

/* Who sleeps in the host's poll() looks at what the watches were before. */
void
sched_watches_changed(void)
{
    watch_changes++;
    sched_tick_wanted = true;
    if (poller && poller != this_processor())
        platform_wake_idle();
}

void
host_watch_add(struct host_watch *w)
{
    list_append(&watches, &w->link);
    if (w->queue)
        w->queue->watched = true;
    sched_watches_changed();
}

void
host_watch_remove(struct host_watch *w)
{
    if (w->link.next)
        list_remove(&w->link);
    watch_changes++;
}

void
host_watch_refresh(void)
{
    NO_SLEEP;

    LIST_EACH_SAFE(p, &watches) { /* one may remove itself */
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

        /* Where nobody sleeps on the descriptor, its readiness would wake the poller again and again for nothing. */
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
    /* The second ones are of who only looks, while the poller sleeps with the first ones, without the lock. */
    static struct pollfd all_fds[2][MAX_IDLE_FDS + 1] RARE;
    static struct host_watch *all_which[2][MAX_IDLE_FDS] RARE;
    struct pollfd *fds = all_fds[timeout == 0];
    struct host_watch **which = all_which[timeout == 0];
    unsigned n = collect_watches(fds, which);
    uint64_t changes = watch_changes;

    if (n == 0 && timeout == 0)
        return;
    if (platform_idle(fds, n, timeout) <= 0 || changes != watch_changes) /* what has changed is asked again */
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

static void
account(struct task *t, uint64_t now)
{
    struct sched_entity *e = sched_entity_of(t);

    load_count(e->started_ns, now, busy_count - 1, sched_runnable);
    sched_hooks.charge(t, now - e->started_ns);
    e->started_ns = now;
}

void
sched_account(void)
{
    uint64_t now = platform_monotonic_ns();

    for (unsigned k = 0; k < platform_threads; k++)
        if (processors[k].task)
            account(processors[k].task, now);
}

/* On another fiber, after a switch to it. Only here can a task that has ended be freed, because until now its
 * stack was in use. */
static void
free_dead(void)
{
    struct task *d = this_processor()->dead;

    if (!d)
        return;
    this_processor()->dead = NULL;
    platform_fiber_free(sched_entity_of(d)->fiber);
    sched_hooks.release(d);
    this_processor()->switched_ns = platform_monotonic_ns(); /* who comes next has nothing to do with that */
}

/* The first code on a task's fiber after a switch to it. */
static void
finish_switch(void)
{
    struct processor *p = this_processor();

    sched_hooks.enter(p->task); /* first: until then the this_worker of a new fiber is its maker's */
    free_dead();
    sched_entity_of(p->task)->started_ns = p->switched_ns;
    sched_entity_of(p->task)->runs_on = p;
    sched_entity_of(p->task)->last_processor = p->number;
    sched_entity_of(p->task)->stays = !PLATFORM_FIBERS_MOVE;
    sched_switches++;
    wait_news++;
}

static bool
begins_hurried(const struct list *queue)
{
    return !list_empty(queue) && list_entry(queue->next, struct sched_entity, run_link)->hurried;
}

/* Hurried tasks run before all others, which might take what these give back. So no other task runs on another processor
 * meanwhile; but not for ever, should one of them be held up by the host. */
static bool
is_held(const struct sched_entity *e)
{
    bool hurried;

    if (!sched_hurrying || e->hurried || platform_monotonic_ns() >= holds_until)
        return false;
    hurried = begins_hurried(&run_queue);
    for (unsigned k = 0; k < platform_threads && !hurried; k++) {
        const struct processor *p = &processors[k];
        struct task *runs = p == this_processor() ? NULL : p->task; /* the one that asks runs here, or gives way */

        hurried = begins_hurried(&p->queue) || (runs && sched_entity_of(runs)->hurried);
    }
    return hurried;
}

/* Takes the task that runs next off the queue; NULL: none may run now. wanted: the running task may go on. *pause: how
 * long nothing may run on this processor, because the container has used up its share of the processors, or hurried
 * tasks run; 0: something may. */
static struct task *
take_next(bool wanted, uint64_t *pause)
{
    struct processor *p = this_processor();
    struct sched_entity *e = first_queued(p), *who = e ? e : wanted ? sched_entity_of(p->task) : NULL;

    *pause = who ? bandwidth_wait() : 0;
    if (who && *pause == 0 && is_held(who))
        *pause = HOLD_NS;
    if (!e || *pause)
        return NULL;
    dequeue(e);
    return task_of(e);
}

/* Without a task the processor is idle. */
static void
set_task(struct processor *p, struct task *t)
{
    busy_count = busy_count + (t != NULL) - (p->task != NULL);
    p->task = t;
}

/* --- processors without a task --- */

/* The tick is switched off only when it comes, because most idle times are shorter than a tick. */
static void
end_tick(void)
{
    if (!platform_ticked)
        return;
    platform_ticked = 0;
    platform_tick(false);
}

static void
call_processor(struct processor *p, bool for_shared)
{
    p->called = true;
    p->called_for_shared = for_shared;
    idle_count--;
    called_count += for_shared;
    if (p->sleeps == PROCESSOR_POLLS)
        platform_wake_idle();
    else
        platform_thread_unpark(p->number);
}

/* A processor sleeps no more. */
static void
awake(struct processor *p)
{
    if (p->called)
        called_count -= p->called_for_shared;
    else
        idle_count--;
    p->called = false;
    p->sleeps = PROCESSOR_BUSY;
}

/* Sleeps until there may be something to run. While nothing may run for a time, only timers and the host's signals are
 * looked at, because a task that a descriptor woke could not run. */
static void
sleep_idle(struct processor *p, uint64_t timeout, uint64_t pause)
{
    uint64_t now = platform_monotonic_ns(), until;
    struct pollfd wake;

    end_tick();
    if (pause && pause < timeout)
        timeout = pause;
    if (__builtin_add_overflow(now, timeout, &until))
        until = UINT64_MAX;
    p->sleeps = poller ? PROCESSOR_PARKED : PROCESSOR_POLLS;
    idle_count++;
    if (poller) {
        if (until < poller_wakes) /* a timer was started after it had gone to sleep */
            platform_wake_idle();
        platform_thread_park();
    } else {
        poller = p;
        poller_wakes = until;
        if (pause)
            platform_idle(&wake, 0, timeout);
        else
            poll_host(timeout);
        poller = NULL;
    }
    if (pause) {
        bandwidth_waited();
        sched_uncalled = true; /* nobody was called while nothing could run */
    }
    awake(p);
}

/* One that polls is better left to do so. */
static struct processor *
idle_processor(void)
{
    struct processor *found = NULL;

    for (unsigned k = 0; k < platform_threads; k++) {
        struct processor *p = &processors[k];

        if (p->sleeps == PROCESSOR_BUSY || p->called)
            continue;
        found = p;
        if (p->sleeps == PROCESSOR_PARKED)
            break;
    }
    return found;
}

/* All processors have a task, and one that has run alone may not have the tick which makes it give way. */
static void
tick_others(void)
{
    for (unsigned k = 0; k < platform_threads; k++)
        if (&processors[k] != this_processor() && processors[k].task && !platform_thread_ticks(k))
            platform_thread_kick(k);
}

/* Has sleeping processors run what is runnable. */
static void
call_for_runnable(void)
{
    sched_uncalled = false;
    for (unsigned k = 0; k < platform_threads && sched_runnable > shared_runnable; k++) {
        struct processor *p = &processors[k];

        if (p->queue_length == 0 || p == this_processor() || p->called)
            continue;
        if (p->sleeps != PROCESSOR_BUSY)
            call_processor(p, false);
        else if (!platform_thread_ticks(k))
            platform_thread_kick(k);
    }
    while (shared_runnable > called_count && idle_count > 0)
        call_processor(idle_processor(), true);
    if (shared_runnable > called_count)
        tick_others();
}

/* May a task wait for which nobody has been called? */
static bool
any_uncalled(void)
{
    return shared_runnable > called_count || sched_runnable > shared_runnable;
}

/* Has somebody else been called for every task that waits and that this processor might run? */
static bool
others_take_all(const struct processor *p)
{
    return p->queue_length == 0 && shared_runnable <= called_count;
}

/* A task that wakes another one and sleeps itself soon after that hands over its processor to the woken one:
 * calling another processor for that would take longer. Whether a task does so is learnt. If it did so the last
 * HANDS_OVER times, nobody is called when it goes on to guest code for the first time after the wake, but only
 * at the second time. */
enum { HANDS_OVER = 2, HANDS_OVER_MOST = 4 };

void
sched_call_processors(void)
{
    struct processor *p = this_processor();
    struct sched_entity *e = sched_entity_of(p->task);

    if (!any_uncalled()) {
        sched_uncalled = false;
        return;
    }
    if (e->woke && e->hands_over >= HANDS_OVER && p->went_out - e->woke_at <= 1)
        return;
    if (e->woke && p->went_out - e->woke_at > 1)
        e->hands_over = 0;
    call_for_runnable();
}

static void
learn_hand_over(struct processor *p, struct sched_entity *e)
{
    if (!e->woke)
        return;
    e->woke = false;
    if (p->went_out - e->woke_at > 1)
        e->hands_over = 0;
    else if (e->hands_over < HANDS_OVER_MOST)
        e->hands_over++;
}

void
sched_kick(bool (*which)(struct task *t, const void *arg), const void *arg)
{
    for (unsigned k = 0; k < platform_threads; k++)
        if (processors[k].task && which(processors[k].task, arg) && &processors[k] != this_processor())
            platform_thread_kick(k);
}

void
sched_tick_others_by(uint64_t deadline)
{
    for (unsigned k = 0; k < platform_threads; k++)
        if (processors[k].task && &processors[k] != this_processor())
            platform_thread_tick_by(k, deadline);
}

void
sched_stop_others(bool (*which)(struct task *t, const void *arg), const void *arg)
{
    sched_kick(which, arg);
    for (unsigned k = 0; k < platform_threads; k++)
        if (processors[k].task && &processors[k] != this_processor() && which(processors[k].task, arg))
            platform_thread_await(k);
}

/* A new fiber's this_worker is its maker's, a task that may be freed while this fiber is still there: what timers and
 * the host's signals do here, they do for nobody. */
static _Noreturn void
idle_loop(void)
{
    struct processor *p = this_processor();

    this_worker = (struct worker){0};
    for (;;) {
        uint64_t timeout, pause;

        free_dead();
        timeout = ktimer_run();
        if (platform_host_signals)
            forward_host_signals();
        set_task(p, take_next(false, &pause));
        if (!p->task) {
            if (sched_uncalled) /* what waits is not for this processor */
                call_for_runnable();
            sleep_idle(p, timeout, pause);
            continue;
        }
        p->switched_ns = platform_monotonic_ns();
        sched_arm_tick();
        platform_fiber_switch(p->idle, sched_entity_of(p->task)->fiber);
    }
}

static void
idle_main(void *arg)
{
    (void)arg;
    idle_loop();
}

_Noreturn void
platform_run_thread(unsigned number)
{
    struct processor *p = &processors[number];

    p->idle = platform_fiber_self();
    platform_thread_tls->processor = p;
    awake(p);
    idle_loop();
}

/* --- giving way --- */

/* May something come that the running task does not ask for, so that a tick has to interrupt it? */
static bool
tick_needed(void)
{
    return sched_runnable || bandwidth_limited() || ktimer_any() || !list_empty(&watches) ||
           sched_hooks.wants_tick(this_processor()->task);
}

void
sched_arm_tick(void)
{
    sched_tick_wanted = false;
    if (tick_needed())
        platform_tick(true);
    platform_tick_by(ktimer_next() < bandwidth_next() ? ktimer_next() : bandwidth_next());
}

/* Gives way: the next task, or the processor's idle fiber, goes on, and this returns when the
 * task's turn comes again. */
void
schedule(void)
{
    struct processor *p = this_processor();
    struct task *self = p->task, *next;
    struct sched_entity *e = sched_entity_of(self);
    uint64_t pause;

    might_sleep();
    account(self, platform_monotonic_ns());
    if (e->state != TASK_DEAD)
        sched_hooks.charged(self);
    sched_hooks.stop(self);
    ktimer_run();
    if (platform_host_signals)
        forward_host_signals();
    next = take_next(e->state == TASK_RUNNING && !e->queued, &pause);
    if (!next && e->state == TASK_RUNNING && !e->queued && !pause)
        next = self;
    if (next == self) {
        sched_arm_tick();
        wait_news++;
        return;
    }
    if (e->state == TASK_RUNNING && !e->queued) /* it could go on, but nothing may run now */
        enqueue(e);
    learn_hand_over(p, e);
    if (!next && p == &processors[0] && !idle_prepared) {
        platform_fiber_prepare(p->idle, idle_main, NULL);
        idle_prepared = true;
    }
    e->runs_on = NULL;
    p->switched_ns = e->started_ns; /* account() has charged it until then: the clock is read once for a switch */
    set_task(p, next);
    if (next)
        sched_arm_tick();
    sched_hooks.leave(self);
    platform_fiber_switch(e->fiber, next ? sched_entity_of(next)->fiber : p->idle);
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
    struct sched_entity *e = sched_entity_of(t);

    list_init(&e->run_link);
    e->state = TASK_SLEEPING;
    e->fiber = platform_fiber_new(fiber_main, t);
    return e->fiber ? 0 : -ENOMEM;
}

void
sched_abandon(struct task *t)
{
    platform_fiber_free(sched_entity_of(t)->fiber);
}

void
sched_take_processors(void)
{
    static unsigned taken;

    for (; taken < platform_threads; taken++) {
        processors[taken].number = taken;
        processors[taken].sleeps = taken > 0 ? PROCESSOR_PARKED : PROCESSOR_BUSY;
        idle_count += taken > 0;
        list_init(&processors[taken].queue);
        all_processors |= UINT64_C(1) << taken;
    }
}

void
sched_start(struct task *t)
{
    struct processor *p = this_processor();

    p->idle = platform_fiber_reserve(); /* many programs end without being idle once */
    if (!p->idle)
        platform_die("out of memory");
    sched_take_processors();
    set_task(p, t);
    p->switched_ns = platform_monotonic_ns();
    sched_entity_of(t)->state = TASK_RUNNING;
    platform_fiber_switch(platform_fiber_main(), sched_entity_of(t)->fiber);
    __builtin_unreachable();
}

void
sched_exit(void)
{
    this_processor()->dead = current_task();
    sched_entity_of(current_task())->state = TASK_DEAD;
    schedule();
    __builtin_unreachable();
}

void
sched_yield_now(void)
{
    struct processor *p = this_processor();

    might_sleep();
    if (!first_queued(p) && may_run_on(sched_entity_of(p->task), p)) {
        ktimer_run();
        if (!first_queued(p) && !bandwidth_wait())
            return;
    }
    enqueue(sched_entity_of(current_task()));
    schedule();
}

/* The first behind p, in the order of their numbers, on which the task may run. */
static struct processor *
processor_behind(struct processor *p, const struct sched_entity *e)
{
    for (unsigned k = 1; k < platform_threads; k++) {
        struct processor *other = &processors[(p->number + k) % platform_threads];

        if (may_run_on(e, other))
            return other;
    }
    return p;
}

/* The other processor does not wait for its tick: the task would stand still until then, and often nobody would run. */
void
sched_move(void)
{
    struct processor *p = this_processor();
    struct sched_entity *e = sched_entity_of(p->task);
    struct processor *other = processor_behind(p, e);

    might_sleep();
    if (other == p)
        return;
    enqueue_on(e, other);
    if (other->task)
        platform_thread_kick(other->number);
    schedule();
}

bool
sched_ticked(void)
{
    return platform_ticked != 0;
}

/* The poller has found a task, and others sleep until they are called. One that polls hears of descriptors at once, and the ticks of those that run
 * only each 10 ms. It is not woken sooner, because most tasks that a descriptor wakes are done before. */
static void
replace_poller(void)
{
    if (!poller && idle_count > 0)
        platform_thread_unpark(idle_processor()->number);
}

void
sched_poll(void)
{
    platform_give_way();
    platform_ticked = 0;
    platform_tick_taken();
    sched_hooks.polled(current_task());
    ktimer_run();
    poll_host(0);
    replace_poller();
    if (platform_host_signals)
        forward_host_signals();
    if (tick_needed())
        sched_arm_tick();
    else
        platform_tick(false);
    account(current_task(), platform_monotonic_ns());
    sched_hooks.charged(current_task());
    if (any_uncalled()) /* it has run for long, so others need not wait for it */
        call_for_runnable();
    if (!others_take_all(this_processor()) || bandwidth_wait() || is_held(sched_entity_of(current_task())) ||
        !may_run_on(sched_entity_of(current_task()), this_processor())) {
        sched_hooks.counted(current_task(), false);
        sched_yield_now();
    }
}

/* Timers, ready descriptors and tasks that wait must not stand still with this processor: an idle one takes them over,
 * or else the others look after them at their ticks. What may run on this processor only has to wait. */
void
sched_host_sleep_begin(void)
{
    might_sleep();
    if (platform_threads == 1)
        return;
    this_processor()->went_out++;
    if (any_uncalled())
        call_for_runnable();
    replace_poller();
    if (idle_count == 0)
        tick_others();
    platform_unlock();
}

void
sched_host_sleep_end(void)
{
    platform_lock();
}

int
sched_checkpoint(void)
{
    might_sleep();
    platform_give_way();
    if (sched_ticked())
        sched_poll();
    return sched_hooks.interrupted(true) ? -EINTR : 0;
}
