/* Time, the preemption tick, and waiting when nothing can run. */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "x86/helpers.h"

volatile sig_atomic_t platform_ticked;
volatile uint64_t platform_host_signals;

static int wake_fd = -1; /* written by signal handlers, polled by platform_idle */
static bool ticking;

enum { TICK_US = 10000 };

static uint64_t
read_clock(clockid_t id)
{
    struct timespec ts;

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
platform_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void
on_tick(int sig)
{
    (void)sig;
    platform_ticked = 1;
    x86_cpu_tls.limit = UINT64_MAX;
}

void
platform_tick(bool on)
{
    static bool installed;
    struct itimerval it = {0};

    if (on == ticking)
        return;
    if (!installed) {
        struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK};

        sigaction(SIGALRM, &sa, NULL);
        installed = true;
    }
    if (on) {
        it.it_interval.tv_usec = TICK_US;
        it.it_value.tv_usec = TICK_US;
    }
    setitimer(ITIMER_REAL, &it, NULL);
    ticking = on;
}

static void
on_host_signal(int sig)
{
    uint64_t bit = 1ull << (sig - 1), one = 1;

    /* Asked twice: the container did not obey. */
    if ((sig == SIGTERM || sig == SIGINT) && (platform_host_signals & 1ull << 62)) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
    if (sig == SIGTERM || sig == SIGINT)
        bit |= 1ull << 62;
    platform_host_signals |= bit;
    platform_ticked = 1;
    x86_cpu_tls.limit = UINT64_MAX;
    if (wake_fd >= 0 && write(wake_fd, &one, sizeof one) < 0)
        return;
}

void
platform_forward_signals(bool on)
{
    static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM};
    struct sigaction sa = {.sa_handler = on ? on_host_signal : SIG_DFL, .sa_flags = SA_RESTART | SA_ONSTACK};

    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
        struct sigaction old;

        /* What our parent ignores (nohup) stays ignored. */
        if (sigaction(forwarded[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        sigaction(forwarded[i], &sa, NULL);
    }
}

int
platform_idle(struct pollfd *fds, unsigned count, uint64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u)};
    uint64_t drained;
    int n;

    /* fds has room for one more: the wake descriptor. */
    fds[count] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
    n = ppoll(fds, count + 1, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
    if (n < 0) {
        for (unsigned i = 0; i < count; i++)
            fds[i].revents = 0;
        return errno == EINTR ? 0 : -errno;
    }
    if (fds[count].revents && read(wake_fd, &drained, sizeof drained) > 0)
        n--;
    return n;
}
