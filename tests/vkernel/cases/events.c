/* eventfd, timerfd, signalfd. */
#include "case.h"

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

CASE(eventfd_counts)
{
    int fd = eventfd(5, EFD_NONBLOCK);
    uint64_t v;

    SHOW(read(fd, &v, 8));
    say("%llu", (long long)v);
    SHOW(read(fd, &v, 8));
    v = 3;
    SHOW(write(fd, &v, 8));
    SHOW(write(fd, &v, 8));
    SHOW(read(fd, &v, 8));
    say("%llu", (long long)v);
}

CASE(eventfd_semaphore)
{
    int fd = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
    uint64_t v;

    SHOW(read(fd, &v, 8));
    say("%llu", (long long)v);
    SHOW(read(fd, &v, 8));
    SHOW(read(fd, &v, 8));
}

CASE(eventfd_sizes)
{
    int fd = eventfd(1, EFD_NONBLOCK);
    uint64_t v[2] = {1, 1};

    SHOW(read(fd, v, 7));
    SHOW(write(fd, v, 7));
    SHOW(read(fd, v, 16));
    v[0] = UINT64_MAX;
    SHOW(write(fd, v, 8));
    v[0] = UINT64_MAX - 1;
    SHOW(write(fd, v, 8));
    v[0] = 1;
    SHOW(write(fd, v, 8));
    SHOW(write(fd, NULL, 8));
    SHOW(read(fd, NULL, 8));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(pread(fd, v, 8, 0));
}

CASE(eventfd_flags)
{
    SHOW(eventfd(0, EFD_CLOEXEC));
    SHOW(fcntl(3, F_GETFD));
    SHOW(fcntl(3, F_GETFL));
    SHOW(syscall(SYS_eventfd2, 0, 8));
    SHOW(syscall(SYS_eventfd, 7));
}

CASE(eventfd_polls)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    struct pollfd p = {fd, POLLIN | POLLOUT};
    uint64_t v = UINT64_MAX - 1;

    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
    write(fd, &v, 8);
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
}

CASE(timerfd_expires)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    uint64_t v;
    struct itimerspec t = {{0, 0}, {0, 5000000}}, now;

    SHOW(timerfd_settime(fd, 0, &t, NULL));
    SHOW(read(fd, &v, 8));
    say("%llu", (long long)v);
    SHOW(timerfd_gettime(fd, &now));
    say("%ld %ld", now.it_value.tv_sec, now.it_value.tv_nsec);
}

CASE(timerfd_repeats)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t v = 0;
    struct itimerspec t = {{0, 2000000}, {0, 1}}, old;

    SHOW(read(fd, &v, 8));
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    sleep_ms(20);
    SHOW(read(fd, &v, 8));
    say("%d", v >= 5);
    SHOW(timerfd_settime(fd, 0, &(struct itimerspec){{0, 0}, {0, 0}}, &old));
    say("%ld", old.it_interval.tv_nsec);
    SHOW(read(fd, &v, 8));
}

CASE(timerfd_errors)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec t = {{0, 0}, {1, 1000000000}}, ok = {{0, 0}, {1, 0}}, negative = {{0, 0}, {-1, 0}};
    uint64_t v;

    SHOW(timerfd_create(99, 0));
    SHOW(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    SHOW(timerfd_create(CLOCK_MONOTONIC, 1));
    SHOW(timerfd_settime(fd, 8, &ok, NULL));
    SHOW(timerfd_settime(fd, 0, &t, NULL));
    SHOW(timerfd_settime(fd, 0, &negative, NULL));
    SHOW(timerfd_settime(fd, 0, NULL, NULL));
    SHOW(timerfd_settime(0, 0, &ok, NULL));
    SHOW(timerfd_settime(-1, 0, &ok, NULL));
    SHOW(timerfd_gettime(0, &t));
    SHOW(timerfd_gettime(fd, NULL));
    SHOW(timerfd_settime(fd, TFD_TIMER_CANCEL_ON_SET, &ok, NULL));
    SHOW(read(fd, &v, 7));
    SHOW(write(fd, &v, 8));
}

CASE(timerfd_absolute_in_the_past)
{
    int fd = timerfd_create(CLOCK_REALTIME, 0);
    uint64_t v;

    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {1, 0}}, NULL));
    SHOW(read(fd, &v, 8));
    say("%llu", (long long)v);
}

CASE(signalfd_reads)
{
    sigset_t set;
    struct signalfd_siginfo info[3];

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);

    SHOW(read(fd, info, sizeof info));
    kill(getpid(), SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 8});
    SHOW(read(fd, info, 127));
    SHOW(read(fd, info, 300) / 128);
    say("%u %d %d", info[0].ssi_signo, info[0].ssi_code, info[0].ssi_pid == (unsigned)getpid());
    say("%u %d %d", info[1].ssi_signo - SIGRTMIN, info[1].ssi_code, info[1].ssi_int);
    SHOW(read(fd, info, sizeof info));
    say("%d", info[0].ssi_int);
    SHOW(read(fd, info, sizeof info));
}

CASE(signalfd_errors)
{
    sigset_t set;

    sigfillset(&set);
    SHOW(syscall(SYS_signalfd4, -1, &set, 7, 0));
    SHOW(syscall(SYS_signalfd4, -1, &set, 8, 1));
    SHOW(syscall(SYS_signalfd4, -1, NULL, 8, 0));
    SHOW(syscall(SYS_signalfd4, 0, &set, 8, 0));
    SHOW(syscall(SYS_signalfd4, 99, &set, 8, 0));
    SHOW(syscall(SYS_signalfd4, -1, &set, 8, SFD_CLOEXEC));
    SHOW(write(3, &set, 8));
    SHOW(fcntl(3, F_SETFL, O_NONBLOCK));
    SHOW(read(3, NULL, 128));
    SHOW(lseek(3, 5, SEEK_SET));
}

CASE(signalfd_changes_its_set)
{
    sigset_t set, other;
    struct pollfd p = {0, POLLIN};

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    sigaddset(&other, SIGUSR1);
    sigprocmask(SIG_BLOCK, &other, NULL);
    p.fd = signalfd(-1, &set, 0);
    raise(SIGUSR2);
    SHOW(poll(&p, 1, 0));
    sigdelset(&other, SIGUSR1);
    SHOW(signalfd(p.fd, &other, 0) == p.fd);
    SHOW(poll(&p, 1, 0));
    raise(SIGUSR1);
    struct signalfd_siginfo info;
    SHOW(read(p.fd, &info, sizeof info));
    say("%u", info.ssi_signo);
}
