/* Clocks, sleeping, POSIX timers and timerfd. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile int fired;

static void
on_alarm(int sig)
{
    fired++;
}

static double
now(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* A guest that computes must not keep its timers waiting for a scheduler's tick. Others may have the processor: some of
 * them in time are enough. */
static void
busy(void)
{
    struct itimerval one = {.it_value = {0, 1000}};
    int in_time = 0;

    for (int k = 0; k < 40; k++) {
        double start = now(CLOCK_MONOTONIC);

        fired = 0;
        setitimer(ITIMER_REAL, &one, NULL);
        while (!fired)
            ;
        in_time += now(CLOCK_MONOTONIC) - start < 0.0022;
    }
    printf("busy, and timers in time: %d\n", in_time >= 14);
}

int
main(void)
{
    struct timespec ts = {0, 30000000}, left;
    struct itimerspec its = {.it_value = {0, 5000000}, .it_interval = {0, 5000000}};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerval it = {.it_value = {0, 5000}};
    struct pollfd p;
    uint64_t n = 0;
    timer_t timer;
    double t = now(CLOCK_MONOTONIC);

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, on_alarm);
    signal(SIGUSR1, on_alarm);
    busy();
    nanosleep(&ts, NULL);
    t = now(CLOCK_MONOTONIC) - t;
    printf("slept %d\n", t >= 0.03 && t < 0.5);
    setitimer(ITIMER_REAL, &it, NULL);
    ts.tv_nsec = 300000000;
    printf("interrupted %d", nanosleep(&ts, &left));
    printf(" %d left %d\n", errno == EINTR, left.tv_nsec > 0 && left.tv_nsec < 300000000);
    timer_create(CLOCK_MONOTONIC, &ev, &timer);
    timer_settime(timer, 0, &its, NULL);
    fired = 0;
    while (fired < 3)
        pause();
    timer_delete(timer);
    printf("timer fired\n");
    p = (struct pollfd){.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), .events = POLLIN};
    printf("early %d", (int)read(p.fd, &n, 8));
    printf(" %d\n", errno == EAGAIN);
    timerfd_settime(p.fd, 0, &its, NULL);
    printf("poll %d", poll(&p, 1, 1000));
    printf(" read %d", (int)read(p.fd, &n, 8));
    printf(" %d\n", n >= 1);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += 2000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    printf("absolute %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
    t = now(CLOCK_PROCESS_CPUTIME_ID);
    while (now(CLOCK_PROCESS_CPUTIME_ID) - t < 0.01)
        ;
    printf("cpu time runs\n");
    printf("bad clock %d\n", clock_gettime(99, &ts) == -1 && errno == EINVAL);
    return 0;
}
