/* The host threads that run guests, and the lock that lets one of them at a time be in the vkernel.
 *
 * The first thread is the process's own. The others are made once, before the seccomp filter, which allows no more. A
 * thread holds the lock whenever it does anything but run guest code, sleep, or handle one of the host's signals
 * that came during either: it takes the lock when guest code asks for something, faults, or is to give way after a
 * tick, and lets it go when guest code goes on and while it sleeps. So vkernel code needs no other lock, and
 * everything that is not said to be the thread's own belongs to the holder. The handlers of ticks, forwarded signals
 * and single steps run without the lock; docs/vkernel.md ("The kernel lock") says what they may touch. With one thread
 * the lock is nothing. */
#ifndef PLATFORM_THREAD_H
#define PLATFORM_THREAD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLATFORM_THREADS_MAX = 64, DIRECT_CACHE_SIZE = 1 << 12 };

/* Where rewritten code is entered for a guest address, in an address space whose code has that generation
 * (platform/direct.h). */
struct direct_cache_entry {
    uint32_t guest, host;
    uint64_t minus_generation;
};

struct platform_thread {
    /* Direct-mapped, by the low 12 bits of the guest's address. At the front, for direct.S. Small, because all of it is
     * made ready at once: even /bin/true comes to most of its pages, with two faults for each. */
    struct direct_cache_entry cache[DIRECT_CACHE_SIZE];
    bool cache_ready;
    unsigned number; /* from 0 */
    void *processor; /* a struct processor (worker/worker.h), set by the scheduler */
    /* The tick (clock.c). */
    volatile sig_atomic_t ticked; /* it has come, and nobody has looked since */
    bool ticking;                 /* this and tick_due also by whoever waits for the lock, atomically */
    int timer;                    /* of the host's, which signals this thread; valid if has_timer */
    bool has_timer;
    uint64_t tick_due; /* when the next one comes, at the latest */
    /* Of faults (faults.c) and of the trap flag (direct.c). */
    bool outside;           /* it runs guest code, without the lock */
    uint64_t mappings_seen; /* platform_mapping_changes when guest code went on here last */
    uint64_t retried_pc;    /* where an access was done again because memory had changed, and how often in a row */
    unsigned retries, steps;
    /* While it is parked: 0; a futex. */
    uint32_t awake;
};

/* The thread that runs; set for a fiber before each switch to it. */
extern __thread struct platform_thread *platform_thread_tls __attribute__((visibility("hidden")));
extern unsigned platform_threads;

#define platform_ticked (platform_thread_tls->ticked)

/* Makes the others, of `count` (1 to PLATFORM_THREADS_MAX) in all. Returns how many there are then: the host may allow
 * fewer (limits of tasks, of memory, and of pending signals, of which a timer takes one). The caller has the lock. It
 * is weak because not everything that is linked with lockdown.c has this file. */
unsigned platform_threads_start(unsigned count) __attribute__((weak));
/* What each of the others runs from the first time that it is unparked, with the lock held, on a stack of its own.
 * Whoever runs guests defines it; nothing that can be written leads to it. */
_Noreturn void platform_run_thread(unsigned number) __attribute__((weak));

void platform_lock_slow(void);
void platform_unlock_slow(void);
static inline void
platform_lock(void)
{
    if (platform_threads > 1)
        platform_lock_slow();
}
static inline void
platform_unlock(void)
{
    if (platform_threads > 1)
        platform_unlock_slow();
}

/* The same between guest code and the vkernel; to come in is nothing for a thread that is there already. */
void platform_come_in_slow(void);
void platform_go_out_slow(void);
static inline void
platform_come_in(void)
{
    if (platform_threads > 1)
        platform_come_in_slow();
}
static inline void
platform_go_out(void)
{
    if (platform_threads > 1)
        platform_go_out_slow();
}

/* At a place where others may run: whoever waits for the lock gets it first. */
void platform_give_way_slow(void);
static inline void
platform_give_way(void)
{
    if (platform_threads > 1)
        platform_give_way_slow();
}

bool platform_thread_ticks(unsigned number); /* is its tick on? */
/* platform_tick_by() of that thread, whose tick is on from then on. */
void platform_thread_tick_by(unsigned number, uint64_t deadline);
/* Has another thread come into the vkernel soon, as by a tick, if it runs guest code. */
void platform_thread_kick(unsigned number);
/* Waits until that thread, which was kicked, runs no guest code any more. It goes on with it once the caller has let
 * go of the lock. */
void platform_thread_await(unsigned number);
/* For handlers of host signals: a sleep of the running thread's in platform_thread_park() ends, or does not begin.
 * Without this the host's kernel begins such a sleep anew after a handler. */
static inline void
platform_thread_awake(void)
{
    __atomic_store_n(&platform_thread_tls->awake, 1, __ATOMIC_RELAXED);
}
/* Sleeps until somebody unparks this thread, or a host signal comes; without the lock, which
 * it has again afterwards. */
void platform_thread_park(void);
void platform_thread_unpark(unsigned number);

#endif
