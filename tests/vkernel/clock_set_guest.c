/* TFD_TIMER_CANCEL_ON_SET while the clock is set: by the vkernel of clock_set.c, or, with the argument "host", with
 * clock_settime, to the time that it has. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CANCEL = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET };

static int on_host;

static void
set_clock(long seconds)
{
    struct timespec now;

    if (!on_host) {
        syscall(SYS_getcpu, 1, seconds, 0);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    if (clock_settime(CLOCK_REALTIME, &now) < 0)
        exit(1);
}

static int
set(int fd, int flags, long seconds, long interval)
{
    struct itimerspec its = {.it_interval.tv_sec = interval};

    if (flags & TFD_TIMER_ABSTIME)
        clock_gettime(CLOCK_REALTIME, &its.it_value);
    its.it_value.tv_sec += seconds;
    if (!seconds)
        its.it_value = (struct timespec){0};
    return timerfd_settime(fd, flags, &its, NULL);
}

static int
timer(int clock, int flags, long seconds, long interval)
{
    int fd = timerfd_create(clock, TFD_NONBLOCK);

    if (set(fd, flags, seconds, interval) < 0)
        printf("settime: %s\n", strerrorname_np(errno));
    return fd;
}

static void
look(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN};
    uint64_t n = 0;
    int ready = poll(&p, 1, 0);
    ssize_t r = read(fd, &n, sizeof n);

    printf("%s: ready %d, read %s %ju\n", what, ready, r < 0 ? strerrorname_np(errno) : "ok", (uintmax_t)n);
}

static void
flags(void)
{
    int all = timer(CLOCK_REALTIME, CANCEL, 1000, 0),
        relative = timer(CLOCK_REALTIME, TFD_TIMER_CANCEL_ON_SET, 1000, 0);
    int monotonic = timer(CLOCK_MONOTONIC, CANCEL, 1000, 0),
        absolute = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME, 1000, 0);
    int other = timer(CLOCK_REALTIME, CANCEL, 2000, 0);

    look("before", all);
    set_clock(3);
    look("cancelled", all);
    look("told once", all);
    look("relative", relative);
    look("monotonic", monotonic);
    look("not asked for", absolute);
    set_clock(3);
    set_clock(3);
    look("again", all);
    look("told once", all);
    look("another", other);
    look("told once", other);
    set_clock(3);
    close(other);
    look("with the other closed", all);
    close(all);
    set_clock(3);
    look("with all closed", absolute);
    close(relative);
    close(monotonic);
    close(absolute);
}

static void
settings(void)
{
    int fd = timer(CLOCK_REALTIME, CANCEL, 1000, 0);

    set_clock(3);
    printf("set: %s\n", set(fd, CANCEL, 1000, 0) < 0 ? strerrorname_np(errno) : "ok");
    look("told so", fd);
    set_clock(3);
    printf("set without: %s\n", set(fd, TFD_TIMER_ABSTIME, 1000, 0) < 0 ? strerrorname_np(errno) : "ok");
    look("not any more", fd);
    set_clock(3);
    look("nor later", fd);
    printf("set with, what was not told: %s\n", set(fd, CANCEL, 1000, 0) < 0 ? strerrorname_np(errno) : "ok");
    look("told", fd);
    printf("disarmed: %s\n", set(fd, CANCEL, 0, 0) < 0 ? strerrorname_np(errno) : "ok");
    set_clock(3);
    look("disarmed", fd);
    close(fd);
    set_clock(3);
    fd = timer(CLOCK_REALTIME, CANCEL, 1000, 0);
    look("set before it was made", fd);
    close(fd);
}

static void *
reader(void *argument)
{
    int fd = timerfd_create(CLOCK_REALTIME, 0);
    uint64_t n;

    set(fd, CANCEL, 1000, 0);
    printf("a reader: %s\n", read(fd, &n, sizeof n) < 0 ? strerrorname_np(errno) : "ok");
    close(fd);
    return NULL;
}

static void *
watcher(void *argument)
{
    int fd = timer(CLOCK_REALTIME, CANCEL, 1000, 0), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    printf("a watcher: %d\n", epoll_wait(epoll, &event, 1, 20000));
    look("what it sees", fd);
    close(fd);
    close(epoll);
    return NULL;
}

/* Nobody else runs: the processor is idle when the clock is set. */
static void *
late(void *argument)
{
    usleep(50000);
    set_clock(3);
    return NULL;
}

static void
asleep(void *(*sleeper)(void *))
{
    pthread_t t[2];

    pthread_create(&t[0], NULL, sleeper, NULL);
    pthread_create(&t[1], NULL, late, NULL);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
}

/* What was to come at a time of the clock comes when the clock has come there; when it has jumped past that, who is
 * told of the jump is told of nothing else. */
static void
expiries(void)
{
    int once = timer(CLOCK_REALTIME, CANCEL, 1000, 0), passed = timer(CLOCK_REALTIME, CANCEL, 1, 0);
    int periodic = timer(CLOCK_REALTIME, CANCEL, 500, 2000);
    struct pollfd p = {once, POLLIN};
    struct itimerspec left;

    set_clock(-1000);
    look("set back", once);
    timerfd_gettime(once, &left);
    printf("left: about %ld\n", (long)(left.it_value.tv_sec + 50) / 100 * 100);
    set_clock(1999);
    look("set forward, to a second before", once);
    timerfd_gettime(once, &left);
    printf("left: about %ld\n", (long)left.it_value.tv_sec);
    look("set back and past it", passed);
    look("nothing else", passed);
    look("set past it, with an interval", periodic);
    look("nothing else", periodic);
    timerfd_gettime(periodic, &left);
    printf("left: about %ld of %ld\n", (long)left.it_value.tv_sec, (long)left.it_interval.tv_sec);
    printf("a second later: %d\n", poll(&p, 1, 20000));
    look("it has come", once);
    close(once);
    close(passed);
    close(periodic);
}

int
main(int count, char **arguments)
{
    on_host = count > 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    flags();
    settings();
    asleep(reader);
    asleep(watcher);
    if (!on_host)
        expiries();
    return 0;
}
