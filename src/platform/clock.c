/* Time, the preemption tick, and waiting when nothing can run. */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/thread_internal.h"

static unsigned tick_us = 10000;

/* Ticks for one deadline are no closer than that, and a deadline so much before a tick waits for it. */
enum { TICK_NEAR_NS = 100000 };

/* Of a repeatable run. */
static volatile uint64_t passed_ns;
static volatile unsigned quiet_ticks; /* since time passed */

void
platform_be_repeatable(void)
{
    platform_repeatable = true;
}

void
platform_pass(uint64_t ns)
{
    passed_ns += ns;
    quiet_ticks = 0;
}

bool
platform_is_quiet(void)
{
    enum { LONG = 50 };

    if (++quiet_ticks < LONG)
        return false;
    platform_pass(LONG * UINT64_C(10000000));
    return true;
}

static uint64_t
read_clock(clockid_t id)
{
    enum { START_S = 1000, START_REALTIME_S = 1600000000 };
    struct timespec ts;

    if (platform_repeatable)
        return (id == CLOCK_REALTIME ? START_REALTIME_S : START_S) * UINT64_C(1000000000) + passed_ns;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
platform_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t
platform_realtime_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t
platform_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t
platform_cpu_ns(void)
{
    return read_clock(platform_threads > 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID);
}

/* A timer of the host's for a time that does not come: the host's kernel cancels it each time that the clock is set
 * (clock_settime, or the end of a suspension), which a read says, and it stays set. So nothing but read and poll is
 * needed after lock-down. */
static int clock_watch = -1;

void
platform_open_clock(void)
{
    struct itimerspec never = {.it_value.tv_sec = (time_t)1 << 33};

    clock_watch = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (clock_watch >= 0 &&
        timerfd_settime(clock_watch, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0) {
        close(clock_watch);
        clock_watch = -1;
    }
}

int
platform_clock_watch(void)
{
    return clock_watch;
}

bool
platform_clock_was_set(void)
{
    uint64_t expiries;

    return clock_watch >= 0 && read(clock_watch, &expiries, sizeof expiries) < 0 && errno == ECANCELED;
}

void
platform_tick_every(unsigned us)
{
    tick_us = us;
}

/* --- the tick: a timer of the host's for each thread, made before lock-down --- */

/* The kernel's own numbers: the C library's timers are more than that. */
bool
platform_tick_init(struct platform_thread *t, int id)
{
    struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};

    e._sigev_un._tid = id ? id : (pid_t)syscall(SYS_gettid);
    platform_catch_ticks();
    t->has_timer = syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &t->timer) == 0;
    t->ticking = false;
    return t->has_timer;
}

/* Whoever waits for the lock sets the holder's tick without it (platform_tick_now), so these two are read and written
 * as wholes. That they may not fit together does no harm: the tick comes too often, or who waits asks again. */
static bool
is_ticking(const struct platform_thread *t)
{
    return __atomic_load_n(&t->ticking, __ATOMIC_RELAXED);
}

static void
set_ticking(struct platform_thread *t, bool on)
{
    __atomic_store_n(&t->ticking, on, __ATOMIC_RELAXED);
}

static uint64_t
tick_due(const struct platform_thread *t)
{
    return __atomic_load_n(&t->tick_due, __ATOMIC_RELAXED);
}

static void
set_tick_due(struct platform_thread *t, uint64_t due)
{
    __atomic_store_n(&t->tick_due, due, __ATOMIC_RELAXED);
}

/* The first tick after first_ns, then regularly. 0: none. */
static void
set_timer(struct platform_thread *t, uint64_t first_ns)
{
    struct itimerspec it = {.it_interval.tv_nsec = first_ns ? (long)tick_us * 1000 : 0,
                            .it_value = {(time_t)(first_ns / 1000000000u), (long)(first_ns % 1000000000u)}};

    syscall(SYS_timer_settime, t->timer, 0, &it, NULL);
}

void
platform_tick(bool on)
{
    struct platform_thread *t = platform_thread_tls;

    if (on == is_ticking(t) || !t->has_timer)
        return;
    if (on)
        platform_tick_taken();
    set_timer(t, on ? (uint64_t)tick_us * 1000 : 0);
    set_ticking(t, on);
}

void
platform_tick_taken(void)
{
    set_tick_due(platform_thread_tls, platform_monotonic_ns() + tick_us * 1000);
}

static void
tick_by(struct platform_thread *t, uint64_t deadline)
{
    uint64_t now, left, due = tick_due(t);

    if (!is_ticking(t) || due < TICK_NEAR_NS || deadline >= due - TICK_NEAR_NS)
        return;
    now = platform_monotonic_ns();
    left = deadline > now + TICK_NEAR_NS ? deadline - now : TICK_NEAR_NS;
    if (now + left >= due)
        return; /* never later than it was: who has a deadline that is over asks again and again until the tick comes */
    set_timer(t, left);
    set_tick_due(t, now + left);
}

void
platform_tick_by(uint64_t deadline)
{
    tick_by(platform_thread_tls, deadline);
}

void
platform_tick_of(struct platform_thread *t, uint64_t deadline)
{
    if (!is_ticking(t)) {
        set_ticking(t, true);
        set_tick_due(t, UINT64_MAX);
    }
    tick_by(t, deadline);
}

/* The tick is on from here, so that one that comes to a thread between its last look and the guest's code
 * is not the last. */
void
platform_tick_now(struct platform_thread *t)
{
    set_ticking(t, true);
    set_tick_due(t, platform_monotonic_ns() + tick_us * 1000);
    set_timer(t, 1);
}

void
platform_tick_again(void)
{
    struct platform_thread *t = platform_thread_tls;
    uint64_t soon = tick_us * UINT64_C(1000);
    int saved = errno;

    if (soon > TICK_NEAR_NS)
        soon = TICK_NEAR_NS;
    set_ticking(t, true);
    set_tick_due(t, platform_monotonic_ns() + soon);
    set_timer(t, soon);
    errno = saved;
}

int
platform_idle(struct pollfd *fds, unsigned count, uint64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u)};
    bool sleeps = timeout_ns != 0;
    uint64_t drained;
    int n, error;

    if (platform_repeatable && timeout_ns != UINT64_MAX) {
        platform_pass(timeout_ns);
        ts = (struct timespec){0};
    }
    /* fds has room for one more: the wake descriptor, which is of who sleeps. Who only looks must not take what wakes another thread. */
    if (sleeps) {
        fds[count] = (struct pollfd){.fd = platform_wake_fd, .events = POLLIN};
        platform_unlock();
    }
    n = ppoll(fds, count + sleeps, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
    error = errno;
    if (sleeps)
        platform_lock();
    if (n < 0) {
        for (unsigned i = 0; i < count; i++)
            fds[i].revents = 0;
        return error == EINTR ? 0 : -error;
    }
    if (sleeps && fds[count].revents && read(platform_wake_fd, &drained, sizeof drained) > 0)
        n--;
    return n;
}
