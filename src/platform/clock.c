/* Time, the preemption tick, and waiting when nothing can run. */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/direct.h"
#include "platform/thread_internal.h"
#include "x86/helpers.h"

volatile uint64_t platform_host_signals;
volatile sig_atomic_t platform_end_signal;

static int wake_fd = -1; /* written by signal handlers, polled by platform_idle */

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

/* A tick of a repeatable run is none, but when the guest seems to wait without any system call. */
static bool
is_quiet(void)
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

static void
on_tick(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    if (platform_repeatable && !is_quiet())
        return;
    platform_ticked = 1;
    platform_thread_awake();
    x86_cpu_tls.limit = UINT64_MAX;
    platform_direct_interrupt(context);
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
    struct sigaction sa = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

    e._sigev_un._tid = id ? id : (pid_t)syscall(SYS_gettid);
    sigaction(SIGALRM, &sa, NULL);
    t->has_timer = syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &t->timer) == 0;
    t->ticking = false;
    return t->has_timer;
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

    if (on == t->ticking || !t->has_timer)
        return;
    if (on)
        platform_tick_taken();
    set_timer(t, on ? (uint64_t)tick_us * 1000 : 0);
    t->ticking = on;
}

void
platform_tick_taken(void)
{
    platform_thread_tls->tick_due = platform_monotonic_ns() + tick_us * 1000;
}

static void
tick_by(struct platform_thread *t, uint64_t deadline)
{
    uint64_t now, left;

    if (!t->ticking || t->tick_due < TICK_NEAR_NS || deadline >= t->tick_due - TICK_NEAR_NS)
        return;
    now = platform_monotonic_ns();
    left = deadline > now + TICK_NEAR_NS ? deadline - now : TICK_NEAR_NS;
    if (now + left >= t->tick_due)
        return; /* never later than it was: who has a deadline that is over asks again and again until the tick comes */
    set_timer(t, left);
    t->tick_due = now + left;
}

void
platform_tick_by(uint64_t deadline)
{
    tick_by(platform_thread_tls, deadline);
}

void
platform_tick_of(struct platform_thread *t, uint64_t deadline)
{
    if (!t->ticking) {
        t->ticking = true;
        t->tick_due = UINT64_MAX;
    }
    tick_by(t, deadline);
}

/* The tick is on from here, so that one that comes to a thread between its last look and the guest's code
 * is not the last. */
void
platform_tick_now(struct platform_thread *t)
{
    t->ticking = true;
    t->tick_due = platform_monotonic_ns() + tick_us * 1000;
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
    t->ticking = true;
    t->tick_due = platform_monotonic_ns() + soon;
    set_timer(t, soon);
    errno = saved;
}

/* With a terminal its keys arrive as bytes, and a signal means the container as a whole. Without, signals are process
 * 1's; one that asks to end is obeyed the second time by ending the run, the third time, when not even that happens, at
 * once. */
static bool has_terminal;

static bool
asks_to_end(int sig)
{
    return sig == SIGTERM || sig == SIGINT || (has_terminal && (sig == SIGHUP || sig == SIGQUIT));
}

static void
on_host_signal(int sig, siginfo_t *info, void *context)
{
    static volatile sig_atomic_t asked;
    uint64_t one = 1;
    int saved = errno;

    (void)info;
    if (asks_to_end(sig)) {
        asked++;
        if (asked > 2) {
            signal(sig, SIG_DFL);
            raise(sig);
            if (getpid() == 1) /* of a PID namespace: what has no handler does nothing */
                _exit(128 + sig);
        }
        if (asked == 2 || has_terminal)
            platform_end_signal = sig;
    }
    __atomic_fetch_or(&platform_host_signals, 1ull << (sig - 1), __ATOMIC_SEQ_CST);
    platform_ticked = 1;
    platform_thread_awake();
    x86_cpu_tls.limit = UINT64_MAX;
    if (wake_fd >= 0 && write(wake_fd, &one, sizeof one) < 0) {
        /* full: the poller has news already */
    }
    platform_direct_interrupt(context);
    errno = saved;
}

uint64_t
platform_forward_signals(bool terminal)
{
    static const int always[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    static const int without_terminal[] = {SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP, SIGURG, SIGIO, SIGPWR};
    struct sigaction sa = {.sa_sigaction = on_host_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    uint64_t wanted = 0, ignored = 0;

    has_terminal = terminal;
    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < sizeof always / sizeof *always; i++)
        wanted |= 1ull << (always[i] - 1);
    for (unsigned i = 0; i < sizeof without_terminal / sizeof *without_terminal && !terminal; i++)
        wanted |= 1ull << (without_terminal[i] - 1);
    for (int sig = SIGRTMIN; sig <= SIGRTMAX && !terminal; sig++)
        wanted |= 1ull << (sig - 1);
    sigfillset(&sa.sa_mask);
    sigdelset(&sa.sa_mask, SIGSEGV);
    sigdelset(&sa.sa_mask, SIGBUS);
    sigdelset(&sa.sa_mask, SIGTRAP);
    for (int sig = 1; sig <= 64; sig++) {
        struct sigaction old;

        if (!(wanted >> (sig - 1) & 1))
            continue;
        if (sigaction(sig, &sa, &old) == 0 && old.sa_handler == SIG_IGN)
            ignored |= 1ull << (sig - 1);
    }
    return ignored;
}

void
platform_wake_idle(void)
{
    uint64_t one = 1;

    if (wake_fd >= 0 && write(wake_fd, &one, sizeof one) < 0) {
        /* full: it is awake already */
    }
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
        fds[count] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
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
    if (sleeps && fds[count].revents && read(wake_fd, &drained, sizeof drained) > 0)
        n--;
    return n;
}
