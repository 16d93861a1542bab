/* Clocks, sleeping, timers. */
#include "case.h"

static volatile int seen;

static void
count(int signal)
{
    (void)signal;
    seen++;
}

CASE(clock_errors)
{
    struct timespec t;

    SHOW(syscall(SYS_clock_gettime, 99, &t));
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)-1));
    SHOW(syscall(SYS_clock_getres, 99, &t));
    SHOW(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL));
    SHOW(syscall(SYS_clock_getres, CLOCK_MONOTONIC, (void *)-1));
    SHOW(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &(struct timespec){1, 0}));
    SHOW(syscall(SYS_clock_settime, 99, &(struct timespec){1, 0}));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &(struct timespec){1, 1000000000}));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, (void *)-1));
    SHOW(syscall(SYS_gettimeofday, (void *)-1, NULL));
    SHOW(syscall(SYS_gettimeofday, NULL, NULL));
    SHOW(syscall(SYS_time, (void *)-1));
    become(1000);
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &(struct timespec){1, 0}));
    SHOW(syscall(SYS_settimeofday, &(struct timeval){1, 0}, NULL));
    SHOW(syscall(SYS_settimeofday, &(struct timeval){1, 1000000}, NULL));
}

CASE(clocks_go_forward)
{
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME};

    for (int k = 0; k < 4; k++) {
        struct timespec a, b;
        clock_gettime(clocks[k], &a);
        sleep_ms(2);
        clock_gettime(clocks[k], &b);
        long ns = (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
        say("%d %d", ns >= 1990000, a.tv_nsec >= 0 && a.tv_nsec < 1000000000);
    }
}

CASE(clocks_of_processor_time)
{
    struct timespec t;
    clockid_t c;

    SHOW(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
    SHOW(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
    SHOW(clock_getcpuclockid(0, &c));
    SHOW(clock_gettime(c, &t));
    SHOW(syscall(SYS_clock_gettime, ~0x3fffffff << 3 | 2, &t));
    SHOW(clock_settime(CLOCK_PROCESS_CPUTIME_ID, &t));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &(struct timespec){0, 1}, NULL));
}

CASE(nanosleep_errors)
{
    struct timespec t = {0, 1000000000}, negative = {-1, 0};

    SHOW(nanosleep(&t, NULL));
    SHOW(nanosleep(&negative, NULL));
    SHOW(syscall(SYS_nanosleep, (void *)-1, NULL));
    SHOW(nanosleep(&(struct timespec){0, 1}, (void *)-1));
    SHOW(syscall(SYS_clock_nanosleep, 99, 0, &(struct timespec){0, 1}, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1, 0}, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &(struct timespec){0, 1}, NULL));
}

CASE(nanosleep_is_interrupted)
{
    struct timespec rest = {0, 0};

    sigaction(SIGALRM, &(struct sigaction){.sa_handler = count, .sa_flags = SA_RESTART}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    SHOW(nanosleep(&(struct timespec){10, 0}, &rest));
    say("%d", rest.tv_sec == 9);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += 10, rest = (struct timespec){7, 7};
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, &rest));
    say("%ld", (long)rest.tv_sec);
}

CASE(itimers)
{
    struct itimerval t = {{0, 0}, {100, 0}}, old;

    SHOW(setitimer(ITIMER_REAL, &t, NULL));
    SHOW(getitimer(ITIMER_REAL, &old));
    say("%d", old.it_value.tv_sec >= 99);
    SHOW(alarm(50) >= 99);
    SHOW(alarm(0) >= 49);
    SHOW(setitimer(9, &t, NULL));
    SHOW(getitimer(9, &old));
    t.it_value.tv_usec = 1000000;
    SHOW(setitimer(ITIMER_REAL, &t, NULL));
    t.it_value.tv_usec = -1;
    SHOW(setitimer(ITIMER_REAL, &t, NULL));
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, (void *)-1, NULL));
    SHOW(syscall(SYS_getitimer, ITIMER_REAL, (void *)-1));
    SHOW(syscall(SYS_setitimer, ITIMER_VIRTUAL, NULL, &old));
}

CASE(itimer_repeats)
{
    signal(SIGALRM, count);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 2000}, {0, 1}}, NULL);
    while (seen < 3)
        pause();
    say("%d", seen >= 3);
}

CASE(timer_create_errors)
{
    timer_t id;
    struct sigevent none = {.sigev_notify = SIGEV_NONE}, bad = {.sigev_notify = 99},
                    signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
    int kernel_id;

    SHOW(syscall(SYS_timer_create, 99, &none, &kernel_id));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &bad, &kernel_id));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &signal, &kernel_id));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, (void *)-1, &kernel_id));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, (void *)-1));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &kernel_id));
    SHOW(syscall(SYS_timer_settime, 12345, 0, &(struct itimerspec){{0, 0}, {1, 0}}, NULL));
    SHOW(syscall(SYS_timer_settime, kernel_id, 0, NULL, NULL));
    SHOW(syscall(SYS_timer_settime, kernel_id, 0, &(struct itimerspec){{0, 0}, {1, 1000000000}}, NULL));
    SHOW(syscall(SYS_timer_settime, kernel_id, 0, &(struct itimerspec){{0, -1}, {1, 0}}, NULL));
    SHOW(syscall(SYS_timer_gettime, 12345, &(struct itimerspec){0}));
    SHOW(syscall(SYS_timer_gettime, kernel_id, NULL));
    SHOW(syscall(SYS_timer_getoverrun, 12345));
    SHOW(syscall(SYS_timer_getoverrun, kernel_id));
    SHOW(syscall(SYS_timer_delete, kernel_id));
    SHOW(syscall(SYS_timer_delete, kernel_id));
    (void)id;
}

CASE(timer_signals)
{
    timer_t id;
    sigset_t s;
    siginfo_t info;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};

    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    SHOW(timer_create(CLOCK_MONOTONIC, &e, &id));
    SHOW(timer_settime(id, 0, &(struct itimerspec){{0, 0}, {0, 2000000}}, NULL));
    SHOW(sigwaitinfo(&s, &info));
    say("%d %d %d", info.si_code == SI_TIMER, info.si_value.sival_int, info.si_overrun);
    struct itimerspec t;
    SHOW(timer_gettime(id, &t));
    say("%ld %ld", (long)t.it_value.tv_sec, t.it_value.tv_nsec);
    SHOW(timer_settime(id, TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {1, 0}}, NULL));
    SHOW(sigwaitinfo(&s, &info));
    SHOW(timer_settime(id, 0, &(struct itimerspec){{0, 1000000}, {0, 1}}, NULL));
    sleep_ms(10);
    SHOW(sigwaitinfo(&s, &info));
    say("%d %d", info.si_overrun >= 3, timer_getoverrun(id) >= 3);
    SHOW(timer_delete(id));
}

CASE(timers_end_with_exec_and_fork)
{
    timer_t id;
    struct sigevent e = {.sigev_notify = SIGEV_NONE};

    timer_create(CLOCK_MONOTONIC, &e, &id);
    pid_t pid = fork();
    if (pid == 0) {
        SHOW(timer_settime(id, 0, &(struct itimerspec){{0, 0}, {1, 0}}, NULL));
        _exit(0);
    }
    say_end("child", pid);
    SHOW(timer_delete(id));
}
