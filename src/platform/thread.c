/* See thread.h. The lock is the three-state one of "Futexes Are Tricky" (Drepper, 2011), with a short spin before it
 * sleeps, because most stays in the vkernel are shorter than a sleep takes. */
#include "platform/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/rare.h"
#include "platform/fiber_internal.h"
#include "platform/platform.h"
#include "platform/thread_internal.h"

enum { FREE, HELD, WAITED_FOR };
enum { SPINS = 200, PATIENCE_NS = 200000, GIVE_WAY_NS = 200000 };
#define FOREVER UINT64_MAX

static RARE struct platform_thread first __attribute__((aligned(4096)));
static struct platform_thread *threads[PLATFORM_THREADS_MAX] = {&first};
__thread struct platform_thread *platform_thread_tls = &first;
unsigned platform_threads = 1;

/* A cache line of its own: who waits reads it again and again. */
static uint32_t lock_word __attribute__((aligned(64)));
static unsigned holder; /* the number of the thread that has it, and one; 0: none says so */
static uint32_t unready __attribute__((aligned(64))); /* threads that have not made themselves ready yet; a futex */

static void
futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    struct timespec t = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};

    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns == FOREVER ? NULL : &t, NULL, 0);
}

static void
futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool
take_if_free(void)
{
    uint32_t expected = FREE;

    return __atomic_load_n(&lock_word, __ATOMIC_RELAXED) == FREE &&
           __atomic_compare_exchange_n(&lock_word, &expected, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* The holder may be in the first block of a run of the evaluator, which has the lock (eval/eval.h), and would go on in
 * a long string instruction of it until its tick. */
static void
sleep_for_lock(void)
{
    uint64_t patience = PATIENCE_NS, since = platform_monotonic_ns();
    unsigned who;

    while (__atomic_exchange_n(&lock_word, WAITED_FOR, __ATOMIC_ACQUIRE) != FREE) {
        futex_wait(&lock_word, WAITED_FOR, patience);
        if (platform_monotonic_ns() - since < patience)
            continue;
        patience *= 2;
        who = __atomic_load_n(&holder, __ATOMIC_RELAXED);
        if (who)
            platform_tick_now(threads[who - 1]);
    }
}

void
platform_lock_slow(void)
{
    unsigned self = platform_thread_tls->number + 1;
    bool taken;

    if (__atomic_load_n(&holder, __ATOMIC_RELAXED) == self)
        platform_die("internal error: a thread waits for the kernel lock that it has");
    taken = take_if_free();

    for (int k = 0; k < SPINS && !taken; k++) {
        __builtin_ia32_pause();
        taken = take_if_free();
    }
    if (!taken)
        sleep_for_lock();
    __atomic_store_n(&holder, self, __ATOMIC_RELAXED);
}

void
platform_unlock_slow(void)
{
    __atomic_store_n(&holder, 0, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&lock_word, FREE, __ATOMIC_RELEASE) == WAITED_FOR)
        futex_wake(&lock_word);
}

void
platform_come_in_slow(void)
{
    if (!platform_thread_tls->outside)
        return;
    __atomic_store_n(&platform_thread_tls->outside, false, __ATOMIC_RELEASE);
    platform_lock_slow();
}

void
platform_go_out_slow(void)
{
    struct platform_thread *t = platform_thread_tls;

    t->mappings_seen = platform_mapping_changes;
    __atomic_store_n(&t->outside, true, __ATOMIC_RELEASE);
    platform_unlock_slow();
}

/* Who wakes takes longer to come than this thread does, so it waits until the lock has been taken, but not for ever:
 * the other one may have been woken by a signal. */
void
platform_give_way_slow(void)
{
    uint64_t until;

    if (__atomic_load_n(&lock_word, __ATOMIC_RELAXED) != WAITED_FOR)
        return;
    until = platform_monotonic_ns() + GIVE_WAY_NS;
    platform_unlock_slow();
    while (__atomic_load_n(&lock_word, __ATOMIC_RELAXED) == FREE && platform_monotonic_ns() < until)
        __builtin_ia32_pause();
    platform_lock_slow();
}

void
platform_thread_kick(unsigned number)
{
    platform_tick_now(threads[number]);
}

void
platform_thread_await(unsigned number)
{
    struct platform_thread *t = threads[number];

    for (unsigned k = 1; __atomic_load_n(&t->outside, __ATOMIC_ACQUIRE); k++) {
        if (k % SPINS) {
            __builtin_ia32_pause();
            continue;
        }
        platform_tick_now(t); /* the first may have come between its last look and its guest's first instruction */
        /* A pause, which ends by itself: nobody has to wake this thread. */
        futex_wait(&t->awake, t->awake, PATIENCE_NS / 4);
    }
}

bool
platform_thread_ticks(unsigned number)
{
    return __atomic_load_n(&threads[number]->ticking, __ATOMIC_RELAXED);
}

void
platform_thread_tick_by(unsigned number, uint64_t deadline)
{
    platform_tick_of(threads[number], deadline);
}

void
platform_thread_park(void)
{
    struct platform_thread *t = platform_thread_tls;

    platform_unlock();
    if (__atomic_load_n(&t->awake, __ATOMIC_ACQUIRE) == 0)
        futex_wait(&t->awake, 0, FOREVER);
    platform_lock();
    __atomic_store_n(&t->awake, 0, __ATOMIC_RELAXED);
}

void
platform_thread_unpark(unsigned number)
{
    __atomic_store_n(&threads[number]->awake, 1, __ATOMIC_RELEASE);
    futex_wake(&threads[number]->awake);
}

/* --- making them --- */

static void
wait_until_unparked(struct platform_thread *t)
{
    while (__atomic_load_n(&t->awake, __ATOMIC_ACQUIRE) == 0)
        futex_wait(&t->awake, 0, FOREVER);
}

/* The first code of a thread that was made, on a fiber's stack and with its thread block. It sleeps until it is
 * unparked for the first time. Before that it touches no memory but for one page of its stack and one of its block, so
 * that a processor that is not used costs little. */
static void
thread_main(void *arg)
{
    struct platform_thread *t = arg;

    platform_signal_stack();
    if (__atomic_sub_fetch(&unready, 1, __ATOMIC_RELEASE) == 0)
        futex_wake(&unready);
    for (;;) {
        wait_until_unparked(t);
        platform_lock_slow();
        __atomic_store_n(&t->awake, 0, __ATOMIC_RELAXED);
        if (t->number < platform_threads)
            platform_run_thread(t->number);
        platform_unlock_slow(); /* the host gave it no timer: it sleeps for ever */
    }
}

/* The number of the host's thread, or -errno. */
static long
make_thread(struct platform_thread *t)
{
    enum { FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS };
    struct platform_fiber *f = platform_fiber_new(thread_main, t);

    return f ? platform_fiber_clone(f, t, FLAGS) : -ENOMEM;
}

unsigned
platform_threads_start(unsigned count)
{
    struct platform_thread *made;
    unsigned missing;

    if (count == 1)
        return 1;
    made = mmap(NULL, (count - 1) * sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
    if (made == MAP_FAILED)
        return 1;
    platform_threads = count;
    platform_lock();
    __atomic_store_n(&unready, count - 1, __ATOMIC_RELAXED);
    for (unsigned k = 1; k < count; k++) {
        struct platform_thread *t = threads[k] = &made[k - 1];
        long id;

        t->number = k;
        id = make_thread(t);
        if (id < 0) {
            __atomic_sub_fetch(&unready, count - k, __ATOMIC_RELEASE);
            count = k;
        } else if (!platform_tick_init(t, (int)id)) {
            __atomic_sub_fetch(&unready, count - k - 1, __ATOMIC_RELEASE);
            count = k;
        }
    }
    while ((missing = __atomic_load_n(&unready, __ATOMIC_ACQUIRE)) > 0)
        futex_wait(&unready, missing, FOREVER);
    if (count == 1)
        platform_unlock();
    platform_threads = count;
    return count;
}
