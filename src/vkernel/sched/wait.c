/* Wait queues: sleeping until somebody wakes, until a signal is to be delivered, or until a moment. */
#include "vkernel/ops.h"
#include "vkernel/sched/sched_internal.h"

#include <errno.h>

#include "platform/heap.h"

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
    if (q->watched)
        sched_watches_changed();
}

void
wait_queue_listen(struct wait_queue *q, struct wait_entry *e)
{
    list_append(&q->listeners, &e->link);
    if (q->watched)
        sched_watches_changed();
}

/* A wake reaches all that sleep, so those whom none has reached are the last ones. */
bool
wait_queue_waited(const struct wait_queue *q)
{
    const struct wait_entry *first = list_entry(q->waiters.next, struct wait_entry, link);
    const struct wait_entry *last = list_entry(q->waiters.prev, struct wait_entry, link);

    return !list_empty(&q->waiters) && (first->notify || !last->woken);
}

void
wait_queue_wake(struct wait_queue *q)
{
    NO_SLEEP;
    bool taken = false; /* by an exclusive one, who is the only such that is told */

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

        if (e->notify && e->exclusive && taken)
            continue;
        if (e->notify) {
            CALLED(e->notify)(e);
            taken |= e->exclusive && e->woken;
        } else if (!e->woken) {
            e->woken = true;
            sched_make_runnable(e->task);
        }
    }
    if (taken)
        q->told = wait_news - 1; /* the next wake is for somebody else */
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
            sched_make_runnable(e->task);
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
    sched_make_runnable(s->task);
}

static int
sleep_on(struct wait_entry *entries, unsigned count, uint64_t deadline, bool killable_only)
{
    struct task *t = current_task();
    struct sched_entity *e = sched_entity_of(t);
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
