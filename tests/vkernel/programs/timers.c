/* Clocks, sleeping, POSIX timers and timerfd. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
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

enum { MANY = 1500 };

static int
raw_timer(int sig)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig};
    int id = -1;

    return syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id) < 0 ? -errno : id;
}

/* A number is not given again soon, and each timer is found under its own. */
static void
numbers(void)
{
    struct itimerspec its = {0}, got;
    int first = raw_timer(SIGUSR1), ids[MANY], in_order = 1, found = 0, gone = 0;

    syscall(SYS_timer_delete, first);
    for (int k = 0; k < MANY; k++) {
        ids[k] = raw_timer(SIGUSR1);
        in_order &= ids[k] == first + 1 + k;
        its.it_value.tv_sec = 1000 + k;
        syscall(SYS_timer_settime, ids[k], 0, &its, NULL);
    }
    for (int k = 0; k < MANY; k += 3)
        gone += syscall(SYS_timer_delete, ids[k]) == 0;
    for (int k = 0; k < MANY; k++)
        if (syscall(SYS_timer_gettime, ids[k], &got) == 0)
            found += got.it_value.tv_sec >= 900 + k && got.it_value.tv_sec <= 1000 + k;
        else
            gone += errno == EINVAL;
    printf("numbers in order %d, found %d, gone %d, the next one %d\n", in_order, found, gone,
           raw_timer(SIGUSR1) - first);
    printf("below and above: %d %d\n", (int)syscall(SYS_timer_delete, -1),
           (int)syscall(SYS_timer_delete, first + MANY + 2));
    for (int k = 0; k < MANY; k++)
        syscall(SYS_timer_delete, ids[k]);
    syscall(SYS_timer_delete, first + MANY + 1);
}

/* Periodic timers whose signal is ignored stand still; all of them go on when it no longer is. */
static void
ignored(void)
{
    struct itimerspec its = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
    struct timespec wait = {0, 20000000}, none = {0, 0};
    static char seen[MANY];
    siginfo_t info;
    sigset_t set;
    int first, count = 0;

    signal(SIGRTMIN, SIG_IGN);
    first = raw_timer(SIGRTMIN);
    syscall(SYS_timer_settime, first, 0, &its, NULL);
    for (int k = 1; k < MANY; k++)
        syscall(SYS_timer_settime, raw_timer(SIGRTMIN), 0, &its, NULL);
    nanosleep(&wait, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGRTMIN, on_alarm);
    nanosleep(&wait, NULL);
    its = (struct itimerspec){0};
    for (int n = 0; count < MANY && n < 100 * MANY && sigtimedwait(&set, &info, &none) > 0; n++) {
        unsigned k = (unsigned)(info.si_timerid - first);

        count += k < MANY && !seen[k];
        if (k < MANY)
            seen[k] = 1;
        syscall(SYS_timer_settime, info.si_timerid, 0, &its, NULL);
    }
    printf("ignored once, then told: %d\n", count);
    for (int k = 0; k < MANY; k++)
        syscall(SYS_timer_delete, first + k);
    signal(SIGRTMIN, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Watch descriptors count up, too. */
static void
watches(void)
{
    int i = inotify_init(), first, again;

    first = inotify_add_watch(i, "/", IN_CREATE);
    again = inotify_add_watch(i, "/", IN_DELETE);
    printf("watch %d, again %d, another %d,", first, again, inotify_add_watch(i, "/tmp", IN_CREATE));
    printf(" gone %d", inotify_rm_watch(i, first));
    printf(" and gone %d %d,", inotify_rm_watch(i, first), errno == EINVAL);
    printf(" new %d\n", inotify_add_watch(i, "/", IN_CREATE));
    close(i);
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
    numbers();
    ignored();
    watches();
    printf("bad clock %d\n", clock_gettime(99, &ts) == -1 && errno == EINVAL);
    return 0;
}
