/* What fires when nothing else happens in the container: timers of processor time and RLIMIT_CPU in a lone busy
 * process; and what timers answer: overruns, what is left, errors, and limits on how many signals and timers a user may
 * have. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t fired, code, value;

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    fired++;
    code = info->si_code;
    value = info->si_value.sival_int;
}

static void
show(const char *what, long result)
{
    printf("%s %ld %d", what, result, result < 0 ? errno : 0);
}

static void
handle(int sig)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    sigaction(sig, &sa, NULL);
    fired = 0;
}

static double
now(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* No system calls that end up in the kernel for certain: only the tick can interrupt this. */
static void
burn(double seconds)
{
    double start = now(CLOCK_PROCESS_CPUTIME_ID);

    while (now(CLOCK_PROCESS_CPUTIME_ID) - start < seconds && !fired)
        for (volatile int k = 0; k < 100000; k++)
            ;
}

static void
interval_timers(void)
{
    static const int which[] = {ITIMER_VIRTUAL, ITIMER_PROF}, sig[] = {SIGVTALRM, SIGPROF};
    struct itimerval it = {.it_value = {0, 100000}}, old, huge = {.it_value = {INT64_MAX, 0}};

    for (int k = 0; k < 2; k++) {
        handle(sig[k]);
        it.it_interval.tv_usec = 0;
        printf("set %d", setitimer(which[k], &it, NULL));
        getitimer(which[k], &old);
        printf(" left %d", old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 110000);
        burn(2);
        getitimer(which[k], &old);
        printf(" fired %d left %d\n", (int)fired, (int)old.it_value.tv_usec);
    }
    printf("huge %d", setitimer(ITIMER_REAL, &huge, NULL));
    it = (struct itimerval){.it_interval = {0, 5000}};
    printf(" %d", setitimer(ITIMER_REAL, &it, &old));
    printf(" left much %d", old.it_value.tv_sec > 1000000);
    getitimer(ITIMER_REAL, &old);
    printf(" interval alone %d\n", (int)old.it_interval.tv_usec);
    it.it_value.tv_usec = 1000000;
    show("bad", setitimer(ITIMER_REAL, &it, NULL));
    show("", setitimer(9, &old, NULL));
    printf("\n");
}

static void
timer_of(clockid_t clock, int notify, int sig)
{
    struct sigevent ev = {.sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = 77};
    struct itimerspec its = {.it_value = {0, 100000000}}, left;
    timer_t timer;

    handle(sig);
    if (notify == SIGEV_THREAD_ID)
        ev._sigev_un._tid = (int)syscall(SYS_gettid);
    printf("create %d", timer_create(clock, &ev, &timer));
    printf(" set %d", timer_settime(timer, 0, &its, NULL));
    timer_gettime(timer, &left);
    printf(" left %d", left.it_value.tv_nsec > 1 && left.it_value.tv_nsec <= 100000000);
    burn(2);
    printf(" fired %d code %d value %d\n", (int)fired, (int)code == SI_TIMER, (int)value);
    timer_delete(timer);
}

static void
overruns(void)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
    struct itimerspec its = {{0, 3000000}, {0, 3000000}}, left;
    timer_t timer, none;
    sigset_t set, old;
    siginfo_t info;
    int overrun;

    handle(SIGRTMIN + 1);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, &old);
    timer_create(CLOCK_MONOTONIC, &ev, &timer);
    timer_settime(timer, 0, &its, NULL);
    usleep(40000);
    timer_gettime(timer, &left);
    printf("left below the interval %d\n", left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= 3000000);
    sigwaitinfo(&set, &info);
    overrun = timer_getoverrun(timer);
    printf("overrun %d same %d\n", overrun >= 9 && overrun <= 500, overrun == info.si_overrun);
    usleep(10000);
    its = (struct itimerspec){{0, 0}, {1000, 0}};
    timer_settime(timer, 0, &its, NULL); /* what was pending belonged to the setting before */
    sigpending(&set);
    its.it_value = (struct timespec){0, 0};
    printf("overrun of a new setting %d", timer_getoverrun(timer));
    timer_settime(timer, 0, &its, &left);
    printf(" left %d", left.it_value.tv_sec > 900);
    timer_settime(timer, 0, &its, &left);
    printf(" off %d\n", (int)left.it_value.tv_sec);
    sigprocmask(SIG_SETMASK, &old, NULL);
    fired = 0;
    /* Ignored while it is due, and heard of again when it is not. */
    signal(SIGRTMIN + 1, SIG_IGN);
    its = (struct itimerspec){{0, 3000000}, {0, 3000000}};
    timer_settime(timer, 0, &its, NULL);
    usleep(20000);
    handle(SIGRTMIN + 1);
    for (int k = 0; k < 100 && fired < 3; k++)
        usleep(10000);
    printf("goes on %d\n", fired >= 3);
    timer_delete(timer);

    ev.sigev_notify = SIGEV_NONE;
    timer_create(CLOCK_MONOTONIC, &ev, &none);
    its = (struct itimerspec){{0, 0}, {0, 2000000}};
    timer_settime(none, 0, &its, NULL);
    usleep(10000);
    timer_gettime(none, &left);
    printf("none, over: %ld", left.it_value.tv_nsec);
    its = (struct itimerspec){{0, 2000000}, {0, 2000000}};
    timer_settime(none, 0, &its, NULL);
    usleep(10000);
    timer_gettime(none, &left);
    printf(" periodic %d\n", left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 2000000);
    its.it_value.tv_nsec = -1;
    show("bad", timer_settime(none, 0, &its, NULL));
    its.it_value.tv_nsec = 1000000000;
    show("", timer_settime(none, 0, &its, NULL));
    timer_delete(none);
    its.it_value.tv_nsec = 1;
    show("", timer_settime(none, 0, &its, NULL));
    printf("\n");
    printf("clocks");
    for (int clock = 4; clock < 7; clock++)
        show("", timer_create(clock, &ev, &none));
    show("", timer_create(99, &ev, &none));
    ev.sigev_notify = 77;
    show("", timer_create(CLOCK_MONOTONIC, &ev, &none));
    printf("\n");
}

static void
timerfds(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), mono = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec its = {{0, 0}, {time(NULL) - 5, 0}};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t n = 0;
    double t;

    printf("past %d", timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL));
    printf(" poll %d", poll(&p, 1, 0));
    printf(" read %d", (int)read(fd, &n, 8));
    printf(" %d again %d %d\n", (int)n, (int)read(fd, &n, 8), errno == EAGAIN);
    its.it_value.tv_sec = 1;
    its.it_interval.tv_sec = 1000; /* a period of 1000 s since 1970 */
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL);
    read(fd, &n, 8);
    printf("periods %d", n >= 1);
    timerfd_gettime(fd, &its);
    printf(" left %d\n", its.it_value.tv_sec > 0 || its.it_value.tv_nsec > 0);
    its = (struct itimerspec){{0, 2000000}, {0, 2000000}};
    timerfd_settime(mono, 0, &its, NULL);
    t = now(CLOCK_MONOTONIC);
    while (now(CLOCK_MONOTONIC) - t < 0.02)
        ;
    printf("seen without sleeping %d", (int)read(mono, &n, 8));
    printf(" %d\n", n >= 9);
    its.it_value.tv_nsec = 1000000000;
    show("bad", timerfd_settime(mono, 0, &its, NULL));
    its.it_value.tv_nsec = 1;
    show("", timerfd_settime(mono, 8, &its, NULL));
    show("", timerfd_settime(0, 0, &its, NULL));
    show("", timerfd_settime(-1, 0, &its, NULL));
    show("", timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    show("", timerfd_create(CLOCK_MONOTONIC_RAW, 0));
    show("", (int)read(mono, &n, 4));
    printf("\n");
    close(fd);
    close(mono);
}

static void *
spin(void *stop)
{
    while (!*(volatile int *)stop)
        ;
    return NULL;
}

static void
sleeps(void)
{
    struct timespec ts = {0, 20000000};
    volatile int stop = 0;
    pthread_t thread;
    double t;

    pthread_create(&thread, NULL, spin, (void *)&stop);
    t = now(CLOCK_PROCESS_CPUTIME_ID);
    printf("sleep for processor time %d", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &ts, NULL));
    printf(" %d\n", now(CLOCK_PROCESS_CPUTIME_ID) - t >= 0.02);
    stop = 1;
    pthread_join(thread, NULL);
    for (int clock = 3; clock < 7; clock++)
        if (clock != 4)
            show(" clock", syscall(SYS_clock_nanosleep, clock, 0, &ts, NULL));
    printf("\n");
    show("set", clock_settime(CLOCK_MONOTONIC, &ts));
    show("", (int)syscall(SYS_clock_settime, 0, 8));
    show("", (int)syscall(SYS_settimeofday, 8, NULL));
    show("", (int)syscall(SYS_settimeofday, &(struct timeval){0, 1000000}, NULL));
    printf("\n");
}

/* To whom nothing is charged yet: another run of this program may be alive on the host. */
static uid_t
unused_user(void)
{
    return 100000 + (uid_t)getpid();
}

static void
limits(void)
{
    struct rlimit r = {10, 10};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    union sigval v = {0};
    sigset_t set;
    timer_t timer;
    int timers = 0, signals = 0;

    if (setuid(unused_user()) < 0)
        printf("not root\n");
    setrlimit(RLIMIT_SIGPENDING, &r);
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (timers < 4 && timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0)
        timers++;
    while (signals < 100 && sigqueue(getpid(), SIGRTMIN, v) == 0)
        signals++;
    printf("timers %d signals %d then %d", timers, signals, errno == EAGAIN);
    printf(" timer %d %d", timer_create(CLOCK_MONOTONIC, &ev, &timer), errno == EAGAIN);
    /* kill always works, once for each of the old signals; their information may be lost. */
    printf(" kill %d %d", kill(getpid(), SIGRTMIN + 2), kill(getpid(), SIGUSR2));
    printf(" sigqueue %d\n", sigqueue(getpid(), SIGTERM, v));
    sigpending(&set);
    printf("pending %d %d %d\n", sigismember(&set, SIGRTMIN + 2), sigismember(&set, SIGUSR2),
           sigismember(&set, SIGTERM));
}

static void
on_limit(int sig)
{
    struct rlimit r = {1, 1};

    printf("SIGXCPU\n");
    setrlimit(RLIMIT_CPU, &r);
}

static void
in_child(void (*run)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        run();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("killed by %d\n", WTERMSIG(status));
}

static void
burn_all(void)
{
    struct rlimit r = {1, 20};

    signal(SIGXCPU, on_limit);
    setrlimit(RLIMIT_CPU, &r);
    alarm(15);
    for (;;)
        ;
}

static void
too_many(void)
{
    struct rlimit r = {3, 3};
    int n = 0;
    pid_t pid;

    setrlimit(RLIMIT_NPROC, &r);
    if (setuid(unused_user()) < 0)
        printf("not root\n");
    while (n < 10 && (pid = fork()) > 0)
        n++;
    if (n < 10 && pid == 0) {
        pause();
        _exit(0);
    }
    printf("forks %d %d\n", n, errno == EAGAIN);
    kill(0, SIGTERM);
}

static void
too_many_in_group(void)
{
    setpgid(0, 0);
    too_many();
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    interval_timers();
    timer_of(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN);
    timer_of(CLOCK_THREAD_CPUTIME_ID, SIGEV_THREAD_ID, SIGUSR1);
    overruns();
    timerfds();
    sleeps();
    in_child(limits);
    in_child(too_many_in_group);
    in_child(burn_all);
    return 0;
}
