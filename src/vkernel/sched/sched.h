/* Guest threads as fibers on the container's processors, wait queues, and timers.
 *
 * A processor is a host thread (worker/worker.h). Only one of them at a time is in the vkernel: the one that holds the
 * kernel lock (platform/thread.h). A guest thread gives way only when it sleeps or yields, and after a tick at an edge
 * to the kernel or in sched_checkpoint(). So vkernel code needs no locks of its own between two places that may sleep.
 * Every function that may sleep says so with might_sleep(). */
#ifndef VKERNEL_SCHED_SCHED_H
#define VKERNEL_SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/list.h"
#include "vkernel/worker/worker.h"

/* What the scheduler knows of a guest thread: the first member of struct task (task/process.h). */
struct sched_entity {
    struct list run_link; /* a place in a run queue */
    enum { TASK_RUNNING, TASK_SLEEPING, TASK_DEAD } state;
    bool queued, killable_only;
    bool hurried; /* it runs before all others until it has ended */
    struct platform_fiber *fiber;
    uint64_t started_ns;       /* monotonic time at which this time slice began */
    struct processor *runs_on; /* NULL: it does not run */
    /* Does it hand over its processor (sched.c)? woke: since it got its processor it has made another task runnable,
     * when the processor's went_out was woke_at. hands_over: how often in a row it gave the processor up soon after
     * such a wake, counted up to a limit. */
    bool woke;
    unsigned woke_at, hands_over;
    struct processor *queued_on; /* whose queue it is on; NULL: that of all processors */
    uint64_t order;              /* rises with each task that comes to a queue */
    /* Of kernel_time.c. kernel_since: the monotonic time since when it is in a section of the kernel's; 0: it is in
     * none that is measured. section_ns: how much of that section the slices that are over had. It is still to be
     * charged with kernel_ns, which was measured, and sampled_ns, which samples stand for. */
    uint64_t kernel_since, section_ns, kernel_ns, sampled_ns;
    unsigned last_processor; /* the guest's number of the processor on which it runs, or ran last */
    uint64_t affinity;       /* bit n: it may run on processor n; never 0 */
    bool stays;              /* it has run, and its fiber cannot go on on another host thread (PLATFORM_FIBERS_MOVE) */
};

/* The entity is a task's first member, which task/process.h asserts. */
static inline struct sched_entity *
sched_entity_of(struct task *t)
{
    return (struct sched_entity *)(void *)t;
}

/* What the scheduler asks of the rooms above it, which know processes, signals and time. Of these hooks only boot,
 * run and polled may sleep. In these comments "it" is the task t. */
struct sched_hooks {
    void (*boot)(void);                          /* called by the first fiber, once */
    void (*run)(struct task *t);                 /* the first code of a new fiber; does not return */
    void (*charge)(struct task *t, uint64_t ns); /* it has run for ns nanoseconds */
    void (*charged)(struct task *t); /* it was charged with its time, at a place where timers of that time may fire */
    void (*stop)(struct task *t);    /* it gives way, perhaps to itself: its CPU state must have MXCSR */
    void (*leave)(struct task *t);   /* another one runs next: its CPU state must have the x87 state as well */
    void (*enter)(struct task *t);   /* it runs from here on: this_worker and the processor's state become its own */
    void (*polled)(struct task *t);  /* called by sched_poll(), after a tick */
    void (*counted)(struct task *t, bool voluntary); /* a switch away from it is to be counted */
    void (*release)(struct task *t);                 /* it has ended, and nothing of it is in use any more */
    bool (*interrupted)(bool fatal_only);            /* is a signal to be delivered to the running task? */
    bool (*wants_tick)(struct task *t);              /* does it need the tick although nobody else waits? */
    void (*host_signals)(uint64_t set);              /* the host sent these signals; bit n stands for signal n + 1 */
};
extern const struct sched_hooks sched_hooks; /* boot/hooks.c */

/* --- what may not sleep ---
 *
 * Whoever sleeps holds a counted reference to everything that it looks at afterwards. Some things cannot be counted: a
 * host span of guest memory, an entry of a list that is being walked, a borrowed pointer, a process found by its
 * number. They are used inside NO_SLEEP only, which lasts to the end of its scope. might_sleep() stands at the head of
 * every function that may sleep, even if it does so rarely. A build with -Ddebug_checks=true verifies that the two
 * never meet, and that spans are taken inside NO_SLEEP. */
#define NO_SLEEP __attribute__((cleanup(no_sleep_end), unused)) int no_sleep_scope_ = no_sleep_begin()
/* how many scopes are open; no task gives way in one, so one number does for all tasks */
extern unsigned sched_no_sleep;
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
    struct list listeners; /* entries that are told of every wake */
    uint64_t told;         /* the value of wait_news when all waiters were told last */
    bool watched;          /* it is a host_watch's */
};
#define WAIT_QUEUE(q)                                                                            \
    {                                                                                            \
        .waiters = {&(q).waiters, &(q).waiters}, .listeners = { &(q).listeners, &(q).listeners } \
    }
/* An entry of a wait queue: a sleeper, whose entry lies on its stack, or a watcher (epoll). If notify is set, a wake
 * calls it, in the waker's context, instead of waking a task. notify must not sleep and must not take entries off this
 * queue. An entry may outlive its queue, and is on no queue then. */
struct wait_entry {
    struct list link;
    struct task *task;
    bool woken;     /* a sleeper: a wake came. With `exclusive`: notify found somebody who takes the news */
    bool exclusive; /* with notify: when it found somebody, those behind it are not told (EPOLLEXCLUSIVE) */
    void (*notify)(struct wait_entry *e);
};

void wait_queue_init(struct wait_queue *q);
/* Puts an entry on a queue, before the others or behind them. A wake calls its notify only if there is news, which
 * means: if wait_news has changed since it was told last. */
void wait_queue_add(struct wait_queue *q, struct wait_entry *e, bool first);
/* The same for an entry that is told of every wake. */
void wait_queue_listen(struct wait_queue *q, struct wait_entry *e);
/* Changes when somebody begins to wait, runs after a sleep, or has taken what it was told of (epoll's ready lists). As
 * long as it does not change, waking a queue again would tell nobody anything, so one kernel entry that wakes a queue a
 * thousand times walks it once. */
extern uint64_t wait_news;
/* Is there a sleeper whom no wake has reached yet, or an entry with notify? The latter is found only where it was put
 * before the others (wait_queue_add's `first`), as all of those on an epoll file's queue are. */
bool wait_queue_waited(const struct wait_queue *q);
/* To be called before the queue's memory goes. Takes all entries off, and wakes or notifies them. */
void wait_queue_fini(struct wait_queue *q);
/* Wakes every sleeper, which then looks at its condition again, and tells the watchers of poll() and epoll. */
void wait_queue_wake(struct wait_queue *q);

/* Sleeps until a wake, until a signal is to be delivered, or until the deadline, which is in absolute monotonic
 * nanoseconds (WAIT_FOREVER: none). Returns 0 after a wake, -ETIMEDOUT, or -ERESTARTSYS for a signal. A wake says
 * nothing about the caller's condition, so that callers loop on it. */
#define WAIT_FOREVER UINT64_MAX
int wait_on(struct wait_queue *q, uint64_t deadline);
/* The same on several queues at once, for poll(), select() and epoll. A wake of any of them returns 0. */
int wait_on_many(struct wait_queue *const *queues, unsigned count, uint64_t deadline);

/* Sleeps until cond holds. The result is 0 or the negative error of wait_on(). */
#define WAIT_EVENT(q, deadline, cond)                \
    ({                                               \
        int wait_result_ = 0;                        \
        might_sleep();                               \
        while (!(cond) && wait_result_ == 0)         \
            wait_result_ = wait_on((q), (deadline)); \
        (cond) ? 0 : wait_result_;                   \
    })

/* Linux's internal restart codes. At the edge they become EINTR or a restarted call (run/deliver.c). */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

/* --- host descriptors: the readiness of the console and of outside sockets ---
 *
 * One of the idle processors, the poller, waits in the host's poll() for all watched descriptors and timers. A
 * descriptor that is ready wakes its queue, if anyone sleeps there; or, if `ready` is set, that is called, which must
 * not sleep, must make the descriptor unready, and may remove its own watch. */
struct host_watch {
    struct list link;
    int fd;
    short events; /* POLLIN | POLLOUT, what the sleepers want; 0: the descriptor is not watched now */
    struct wait_queue *queue;
    void (*ready)(struct host_watch *w);
};
void host_watch_add(struct host_watch *w);
void host_watch_remove(struct host_watch *w);
/* Calls every `ready` now. This is for those who collect news that only a notify brings (epoll) and may not become idle
 * first. */
void host_watch_refresh(void);

/* --- timers (sched/timer.c), by absolute monotonic nanoseconds ---
 *
 * They call back with the kernel lock held. A ktimer is zeroed at first. */
struct ktimer {
    struct ktimer *left, *right, *parent; /* links in the heap of timers */
    uint64_t deadline, order;
    bool started;
    void (*fire)(struct ktimer *t); /* must not sleep; the timer is stopped when this is called */
};
void ktimer_start(struct ktimer *t, uint64_t deadline); /* a started timer gets the new deadline */
void ktimer_stop(struct ktimer *t);
bool ktimer_any(void);      /* is any timer started? */
uint64_t ktimer_next(void); /* the earliest deadline; UINT64_MAX: there is none */
/* Fires the timers that are due, but only a bounded number at once. Returns the nanoseconds to the next deadline,
 * UINT64_MAX if there is none. */
uint64_t ktimer_run(void);

uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);

/* Gives way to the other runnable tasks. Returns when the task runs again. */
void sched_yield_now(void);
/* The checkpoint of a loop inside of the kernel whose length a guest chooses; it belongs between pieces of some
 * milliseconds. After a tick, timers and signals come here, and other tasks run. -EINTR: the task is to die, so that
 * the loop must end. May sleep. */
int sched_checkpoint(void);

/* Makes a call of the host's that may take long, as fsync of a volume's file does, without the kernel lock, so that the
 * other processors go on with everything meanwhile. It is a sleep like any other, but for that the processor runs
 * nothing else until the host has answered: there is no other host thread to run it. `call` is evaluated once and is
 * the result. It may use only what the caller holds counted references to (an open file's descriptor) and memory that
 * nobody else has; guest memory is not such memory. */
#define HOST_SLEEP(call)                   \
    ({                                     \
        sched_host_sleep_begin();          \
        __typeof__(call) answer_ = (call); \
        sched_host_sleep_end();            \
        answer_;                           \
    })
/* For HOST_SLEEP() alone. */
void sched_host_sleep_begin(void);
void sched_host_sleep_end(void);

/* --- for those who make, wake and end tasks --- */
void sched_init(void);
int sched_prepare(struct task *t);  /* gives a new task its fiber; 0 or -ENOMEM */
void sched_abandon(struct task *t); /* frees the fiber of a task that will not run after all */
/* As wait_on(), but of signals only a fatal one ends the sleep. */
int wait_on_killable(struct wait_queue *q, uint64_t deadline);
/* Ends the sleep of a task for a signal; if the signal is not fatal, only a sleep that any signal may end. */
void sched_interrupt(struct task *t, bool fatal);
/* From now on the task runs before all others, because it is to end and to give back what it has. While it can run, no
 * other task does on any processor, for a tenth of a second at most, as it might take what this one gives back. */
void sched_hurry(struct task *t);
extern bool sched_hurrying;                 /* false: tasks that were hurried take their turn like others again */
void sched_add(struct task *t);             /* makes a new task runnable */
_Noreturn void sched_exit(void);            /* ends the current task; its fiber and the task are freed later */
_Noreturn void sched_start(struct task *t); /* runs the first task */
/* does what a tick is for: due timers, ready descriptors, host signals; then gives way to others */
void sched_poll(void);
/* --stress migrate: has another processor take the running task, if there is one on which it may run. Returns
 * when it runs there. */
void sched_move(void);
extern bool sched_moving; /* that is to be done wherever the vkernel is left for guest code */
bool sched_ticked(void);
void sched_account(void); /* charges the tasks that run, on all processors, with their time until now */
/* True when something may want the running task to be interrupted: the edge to guest code calls sched_arm_tick()
 * then. */
extern bool sched_tick_wanted;
void sched_arm_tick(void);
/* The guest's number of the processor on which the running task runs. */
static inline unsigned
sched_processor(void)
{
    return sched_entity_of(current_task())->last_processor;
}
/* Tasks were made runnable, and it is not settled yet which of them other processors are called for. */
extern bool sched_uncalled;
/* Has other processors run the tasks that wait, unless the running task is known to hand over its processor. */
void sched_call_processors(void);
/* To be called before the lock is let go for guest code, by whoever goes on to it: while this processor runs guest code
 * it does not look after tasks that wait. */
static inline void
sched_go_out(void)
{
    if (platform_threads == 1)
        return;
    this_processor()->went_out++;
    if (sched_uncalled)
        sched_call_processors();
}
/* Makes the scheduler use all processors that there are (platform_threads). sched_start() does it; whoever makes host
 * threads after that does it again. */
void sched_take_processors(void);
/* As sched_kick(), declared below; and when this returns, those processors run no guest code. They wait until the
 * caller has left the vkernel. */
void sched_stop_others(bool (*which)(struct task *t, const void *arg), const void *arg);
/* The other processors that run a task look at the timers by then, too, because an idle one may be late. */
void sched_tick_others_by(uint64_t deadline);
/* Asks `which` of each task that runs, and has every other processor that runs one for which it is true come
 * into the vkernel soon. */
void sched_kick(bool (*which)(struct task *t, const void *arg), const void *arg);
void sched_set_affinity(struct task *t, uint64_t set); /* of processors, not 0; may sleep if it is the running task's */
extern unsigned sched_runnable;                        /* tasks in all run queues; those that run are in none */
extern uint64_t sched_switches;

#endif
