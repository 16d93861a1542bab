/* Guest threads: fibers on a host worker, wait queues, timers.
 *
 * One worker runs the whole container for now; a guest thread gives way only at a poll, where a tick has
 * interrupted it, or when it sleeps, so vkernel code needs no locks between sleeps. Everything that may sleep says so. */
#ifndef VKERNEL_SCHED_SCHED_H
#define VKERNEL_SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/list.h"
#include "vkernel/worker/worker.h"

/* What the scheduler knows of a guest thread: the first member of struct task (task/process.h). */
struct sched_entity {
    struct list run_link; /* in the run queue */
    enum { TASK_RUNNING, TASK_SLEEPING, TASK_DEAD } state;
    bool queued, killable_only;
    bool hurried; /* runs before all others, to its end */
    struct platform_fiber *fiber;
    uint64_t started_ns; /* monotonic, of this time slice */
};

/* What the scheduler asks of rooms that know processes, signals and time. None of them may sleep but boot and run. */
struct sched_hooks {
    void (*boot)(void);                          /* by the first fiber, once */
    void (*run)(struct task *t);                 /* the first code of a new fiber; does not return */
    void (*charge)(struct task *t, uint64_t ns); /* it has run so long */
    void (*charged)(struct task *t);             /* it was charged where timers of its time may fire */
    void (*stop)(struct task *t);                /* it gives way, perhaps to itself: MXCSR is in its CPU state */
    void (*leave)(struct task *t);               /* another one runs next: the x87 unit's state, too */
    void (*enter)(struct task *t);               /* it runs from here on: this_worker and the processor are its own */
    void (*polled)(struct task *t);              /* in sched_poll: at a tick */
    void (*counted)(struct task *t, bool voluntary); /* a switch */
    void (*release)(struct task *t);                 /* it has ended, and nothing of it is in use */
    bool (*interrupted)(bool fatal_only);            /* is a signal to be delivered to the running task? */
    bool (*wants_tick)(struct task *t);              /* does it need the tick although nobody else waits? */
    void (*host_signals)(uint64_t set);              /* the host sent these; bit n for signal n + 1 */
};
extern const struct sched_hooks sched_hooks; /* boot/hooks.c */

/* --- what may not sleep ---
 *
 * Whoever sleeps holds counted references to what it looks at afterwards. What cannot be counted (a host span of guest
 * memory, an entry of a list under way, borrowed pointers, a process found by number) is used inside NO_SLEEP only,
 * which lasts to the end of its scope. might_sleep() stands at the head of every function that may sleep, also when it
 * does so rarely. A build with -Ddebug_checks=true looks that the two never meet, and that spans are taken inside
 * NO_SLEEP. */
#define NO_SLEEP __attribute__((cleanup(no_sleep_end), unused)) int no_sleep_scope_ = no_sleep_begin()
extern unsigned sched_no_sleep; /* scopes under way: no task gives way in one, so one number does for all */
static inline int
no_sleep_begin(void)
{
    if (DEBUG_CHECKS)
        sched_no_sleep++;
    return 0;
}
static inline void
no_sleep_end(int *scope)
{
    if (DEBUG_CHECKS)
        sched_no_sleep--;
}
static inline void
might_sleep(void)
{
    if (DEBUG_CHECKS)
        CHECK(sched_no_sleep == 0, "a task sleeps with what may be taken away meanwhile");
}
static inline void
assert_no_sleep(void)
{
    if (DEBUG_CHECKS)
        CHECK(sched_no_sleep > 0, "what may not be kept over a sleep is taken where sleeping is allowed");
}

/* --- wait queues: an object that tasks sleep on. The object's destructor calls wait_queue_fini. --- */
struct wait_queue {
    struct list waiters;
    struct list listeners; /* entries that notify of every wake */
    uint64_t told;         /* wait_news when all waiters were told last */
};
#define WAIT_QUEUE(q)                                                                            \
    {                                                                                            \
        .waiters = {&(q).waiters, &(q).waiters}, .listeners = { &(q).listeners, &(q).listeners } \
    }
/* A sleeper, on its stack; or a watcher (epoll): with notify set, a wake calls it, in the waker's context, instead of
 * waking a task. notify must not sleep and must not take entries off this queue. An entry may outlive its queue, and is
 * then on none. */
struct wait_entry {
    struct list link;
    struct task *task;
    bool woken;
    void (*notify)(struct wait_entry *e);
};

void wait_queue_init(struct wait_queue *q);
/* Puts an entry on a queue, before the others or behind them. A wake tells its notify only what is news: not again what
 * it was told since wait_news changed last. */
void wait_queue_add(struct wait_queue *q, struct wait_entry *e, bool first);
/* The same of an entry that is told of every wake. */
void wait_queue_listen(struct wait_queue *q, struct wait_entry *e);
/* Changes when somebody begins to wait, runs after a sleep, or has taken what it was told of (epoll's ready lists). As
 * long as it does not, waking a queue again tells nobody anything, so one kernel entry that wakes a queue a thousand
 * times walks it once. */
extern uint64_t wait_news;
/* Before the queue's memory goes: takes all entries off, and wakes or notifies them. */
void wait_queue_fini(struct wait_queue *q);
/* Wakes every sleeper (each rechecks its condition). Also tells poll/epoll waiters. */
void wait_queue_wake(struct wait_queue *q);

/* Sleeps until woken, a signal is pending (-EINTR... see below) or the deadline (absolute monotonic
 * nanoseconds, WAIT_FOREVER for none) passes. Returns 0 woken, -ETIMEDOUT, or -ERESTARTSYS when a signal
 * that would be delivered is pending; callers loop on their condition. */
#define WAIT_FOREVER UINT64_MAX
int wait_on(struct wait_queue *q, uint64_t deadline);
/* The same on several queues at once (poll, select, epoll): any wake returns 0. */
int wait_on_many(struct wait_queue *const *queues, unsigned count, uint64_t deadline);

/* while (!(cond)) sleep; result is 0 or the negative error of wait_on. */
#define WAIT_EVENT(q, deadline, cond)                \
    ({                                               \
        int wait_result_ = 0;                        \
        might_sleep();                               \
        while (!(cond) && wait_result_ == 0)         \
            wait_result_ = wait_on((q), (deadline)); \
        (cond) ? 0 : wait_result_;                   \
    })

/* Internal restart codes, turned into EINTR or a restarted call at the edge (signal/); as Linux's. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

/* --- host file descriptors: readiness of stdin, outside sockets. events: POLLIN | POLLOUT. When the worker is
 * idle it waits in the host's poll for all watched descriptors and timers; a ready one wakes its queue, if anyone
 * sleeps there, or, with `ready` set, calls that (which must not sleep and must make the descriptor unready). --- */
struct host_watch {
    struct list link;
    int fd;
    short events; /* what sleepers want; 0: not watched now */
    struct wait_queue *queue;
    void (*ready)(struct host_watch *w);
};
void host_watch_add(struct host_watch *w);
void host_watch_remove(struct host_watch *w);
/* Calls every `ready` now: for those who collect news that only a notify brings (epoll) and may not become idle
 * first. */
void host_watch_refresh(void);

/* --- timers: callbacks in worker context, at absolute monotonic nanoseconds (sched/timer.c). Zero-initialised --- */
struct ktimer {
    struct ktimer *left, *right, *parent; /* of the heap */
    uint64_t deadline, order;
    bool started;
    void (*fire)(struct ktimer *t); /* must not sleep; the timer is stopped then */
};
void ktimer_start(struct ktimer *t, uint64_t deadline); /* restarts when already started */
void ktimer_stop(struct ktimer *t);
bool ktimer_any(void);      /* is one started? */
uint64_t ktimer_next(void); /* the first deadline; UINT64_MAX: none */
/* Fires what is due, as far as that is a bounded piece of work; returns nanoseconds to the next one, UINT64_MAX for
 * none. */
uint64_t ktimer_run(void);

uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);

/* Gives way to other runnable tasks; returns when scheduled again. */
void sched_yield_now(void);
/* For loops of one kernel entry whose length a guest chooses, between pieces of some milliseconds: at the tick, timers
 * and signals come and others run. -EINTR: the task is to die, and the loop to end. May sleep. */
int sched_checkpoint(void);

/* --- for those who make, wake and end tasks --- */
void sched_init(void);
int sched_prepare(struct task *t);  /* a new task gets its fiber; 0 or -ENOMEM */
void sched_abandon(struct task *t); /* the fiber of one that will not run after all is freed */
/* Sleeps until only a fatal signal or a wake ends it. */
int wait_on_killable(struct wait_queue *q, uint64_t deadline);
/* Makes a sleeping task run: interruptible sleeps end. */
void sched_interrupt(struct task *t, bool fatal);
/* From now on it runs before all others: it is to end, and to give back what it has. */
void sched_hurry(struct task *t);
extern bool sched_hurrying;                 /* false: those that were hurried take their turn like others again */
void sched_add(struct task *t);             /* a new task: runnable */
_Noreturn void sched_exit(void);            /* of the current task; its fiber and task are freed later */
_Noreturn void sched_start(struct task *t); /* the first */
void sched_poll(void);                      /* due timers, ready descriptors, host signals; then gives way */
bool sched_ticked(void);
void sched_account(void); /* charges the running task's time */
/* Something may want the running task to be interrupted: the edge to guest code arms the tick. */
extern bool sched_tick_wanted;
void sched_arm_tick(void);
extern unsigned sched_runnable; /* tasks in the queue, not counting the current one */
extern uint64_t sched_switches;

#endif
