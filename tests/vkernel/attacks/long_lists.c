/* Calls that look for one of many things that a guest has made. Each is timed among few and among sixteen times as
 * many, the best of some tries: a walk over all of them takes sixteen times as long, and a search hardly longer. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 5, FEW = 250, MANY = 16 * FEW, CALLS = 500, MOST = 5 /* times */, PAGE = 4096 };

static int failed;

static double
microseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

static void
need(int ok, const char *what)
{
    if (ok)
        return;
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

/* One of n, in no order. */
static int
one_of(int n, int k)
{
    return (int)((unsigned)k * 2654435761u % (unsigned)n);
}

static double
timers(int n)
{
    struct itimerspec left;
    double time;
    int id, first;

    need(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &first) == 0, "timer_create");
    for (int k = 1; k < n; k++)
        need(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id) == 0, "timer_create");
    time = microseconds();
    for (int k = 0; k < CALLS; k++)
        need(syscall(SYS_timer_gettime, first + one_of(n, k), &left) == 0, "timer_gettime");
    time = microseconds() - time;
    for (int k = 0; k < n; k++)
        syscall(SYS_timer_delete, first + k);
    return time;
}

static double
new_timers(int n)
{
    double time;
    int id, first;

    need(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &first) == 0, "timer_create");
    for (int k = 1; k < n; k++)
        need(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id) == 0, "timer_create");
    time = microseconds();
    for (int k = 0; k < CALLS; k++) {
        need(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id) == 0, "timer_create");
        syscall(SYS_timer_delete, id);
    }
    time = microseconds() - time;
    for (int k = 0; k < n; k++)
        syscall(SYS_timer_delete, first + k);
    return time;
}

/* A file under many descriptors: both its list of items and that of the epoll file are long. */
static double
items(int n)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0), file = eventfd(0, 0), first = file + 1;
    double time;

    for (int k = 0; k < n; k++)
        need(dup2(file, first + k) >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, first + k, &event) == 0, "epoll_ctl");
    time = microseconds();
    for (int k = 0; k < CALLS; k++)
        need(epoll_ctl(epoll, EPOLL_CTL_MOD, first + one_of(n, k), &event) == 0, "epoll_ctl");
    time = microseconds() - time;
    close_range(epoll, first + n, 0);
    return time;
}

static double
watches(int n)
{
    int i = inotify_init();
    char name[64];
    double time;

    for (int k = 0; k < n; k++) {
        sprintf(name, "/tmp/watched/%d", k);
        mkdir(name, 0700);
        need(inotify_add_watch(i, name, IN_CREATE) == k + 1, "inotify_add_watch");
    }
    time = microseconds();
    for (int k = 0; k < CALLS; k++) {
        int wd = n + 1 + k;

        need(inotify_add_watch(i, "/tmp", IN_CREATE) == wd && inotify_rm_watch(i, wd) == 0, "inotify_rm_watch");
    }
    time = microseconds() - time;
    close(i);
    for (int k = 0; k < n; k++) {
        sprintf(name, "/tmp/watched/%d", k);
        rmdir(name);
    }
    return time;
}

/* Mappings of another file than the one whose size changes. */
static double
mappings(int n)
{
    int other = open("/tmp/other", O_RDWR | O_CREAT, 0600), file = open("/tmp/file", O_RDWR | O_CREAT, 0600);
    char *p, *at;
    double time;

    ftruncate(other, PAGE);
    ftruncate(file, PAGE);
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    at = mmap(NULL, (size_t)n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int k = 0; k < n; k++)
        need(mmap(at + k * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, other, 0) != MAP_FAILED, "mmap");
    time = microseconds();
    for (int k = 0; k < CALLS; k++)
        need(ftruncate(file, (k % 2 + 1) * PAGE) == 0, "ftruncate");
    time = microseconds() - time;
    munmap(p, PAGE);
    munmap(at, (size_t)n * PAGE);
    close(file), close(other);
    return time;
}

static double
best(double (*f)(int), int n)
{
    double least = 1e12;

    for (int t = 0; t < TRIES; t++) {
        double time = f(n);

        least = time < least ? time : least;
    }
    return least;
}

static void
judge(const char *what, double (*f)(int))
{
    double few = best(f, FEW), many = best(f, MANY);

    printf("%s: %s\n", what, many < MOST * few ? "the same" : "longer");
    fprintf(stderr, "%s: %.2f and %.2f us\n", what, few / CALLS, many / CALLS);
    failed |= many >= MOST * few;
}

int
main(void)
{
    struct rlimit r = {MANY + 64, MANY + 64};

    setvbuf(stdout, NULL, _IOLBF, 0);
    setrlimit(RLIMIT_NOFILE, &r);
    mkdir("/tmp/watched", 0700);
    judge("timers", timers);
    judge("new timers", new_timers);
    judge("epoll items", items);
    judge("watches", watches);
    judge("mappings", mappings);
    rmdir("/tmp/watched");
    if (failed)
        return 1;
    printf("survived\n");
    return 0;
}
