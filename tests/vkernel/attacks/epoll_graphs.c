/* Epoll files that watch each other: chains of 4,000, ladders two wide and 40 long, meshes, cycles. Linux's limits hold
 * (4 links, and so many ways to a file), and neither a wake nor a poll takes longer than the graph is large. The same
 * on Linux. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static int
new_epoll(void)
{
    int e = epoll_create1(0);

    if (e < 0) {
        perror("epoll_create1");
        exit(1);
    }
    return e;
}

static int
watch_as(int e, int f, unsigned events)
{
    struct epoll_event x = {.events = events, .data.fd = f};

    return epoll_ctl(e, EPOLL_CTL_ADD, f, &x) < 0 ? errno : 0;
}

static int
watch(int e, int f)
{
    return watch_as(e, f, EPOLLIN);
}

static const char *
name(int error)
{
    return error ? strerrorname_np(error) : "yes";
}

static int
ready(int e)
{
    struct epoll_event x;

    return epoll_wait(e, &x, 1, 0);
}

static void
raise_event(int ev)
{
    long long one = 1;

    write(ev, &one, 8);
}

static void
drop_event(int ev)
{
    long long n;

    read(ev, &n, 8);
}

/* Results of links: the first ones, equal ones counted, and all in a sum. */
static int last = -1, run, groups;
static unsigned sum;

static void
tell(int result)
{
    if (result != last) {
        if (run && groups++ < 12)
            printf(" %s x %d", name(last), run);
        run = 0;
    }
    last = result;
    run += result >= 0;
    sum = sum * 31 + (unsigned)result;
}

static void
tell_end(void)
{
    tell(-1);
    printf(" in all %08x\n", sum);
    groups = 0;
    sum = 0;
}

static void
chain(int n, int downwards)
{
    int *e = malloc(n * sizeof *e), ev = eventfd(0, EFD_NONBLOCK);

    for (int k = 0; k < n; k++)
        e[k] = new_epoll();
    printf("chain of %d:", n);
    for (int k = 0; k + 1 < n; k++)
        if (downwards)
            tell(watch(e[k], e[k + 1]));
        else
            tell(watch(e[n - 2 - k], e[n - 1 - k]));
    tell_end();
    printf("event: %s\n", name(watch(e[n - 1], ev)));
    raise_event(ev);
    printf("ready: %d %d %d\n", ready(e[0]), ready(e[n - 5]), ready(e[n - 1]));
    drop_event(ev);
    printf("ready: %d %d %d\n", ready(e[0]), ready(e[n - 5]), ready(e[n - 1]));
    for (int k = 0; k < n; k++)
        close(e[k]);
    close(ev);
    free(e);
}

/* `levels` levels of `wide` epoll files, each watching all of the next; an event below, watched first or last. */
static void
mesh(int levels, int wide, int event_first)
{
    int *e = malloc(levels * wide * sizeof *e), ev = eventfd(0, EFD_NONBLOCK);

    for (int k = 0; k < levels * wide; k++)
        e[k] = new_epoll();
    printf("mesh of %d x %d:", levels, wide);
    if (event_first)
        tell(watch(e[levels * wide - 1], ev));
    for (int l = levels - 2; l >= 0; l--)
        for (int i = 0; i < wide; i++)
            for (int k = 0; k < wide; k++)
                tell(watch(e[l * wide + i], e[(l + 1) * wide + k]));
    tell_end();
    if (!event_first)
        printf("event late: %s\n", name(watch(e[levels * wide - 1], ev)));
    printf("event twice: %s\n", name(watch(e[levels * wide - 2], ev)));
    for (int k = 0; k < 20; k++) {
        raise_event(ev);
        ready(e[0]);
        drop_event(ev);
        ready(e[1]);
    }
    for (int k = 0; k < levels * wide; k++)
        close(e[k]);
    close(ev);
    free(e);
}

static void
fan(int n)
{
    int inner = new_epoll(), middle = new_epoll(), ev = eventfd(0, EFD_NONBLOCK), *e = malloc(n * sizeof *e);

    for (int k = 0; k < n; k++)
        e[k] = new_epoll();
    printf("fan on a file:");
    for (int k = 0; k < n; k++)
        tell(watch(e[k], ev));
    tell_end();
    for (int k = 0; k < n; k++)
        epoll_ctl(e[k], EPOLL_CTL_DEL, ev, NULL);
    printf("fan on an epoll file:");
    tell(watch(inner, ev));
    for (int k = 0; k < n; k++)
        tell(watch(e[k], inner));
    tell_end();
    for (int k = 0; k < n; k++)
        epoll_ctl(e[k], EPOLL_CTL_DEL, inner, NULL);
    printf("and one more between:");
    tell(watch(middle, inner));
    for (int k = 0; k < n; k++)
        tell(watch(e[k], middle));
    tell_end();
    for (int k = 0; k < n; k++)
        close(e[k]);
    close(inner);
    close(middle);
    close(ev);
    free(e);
}

int
main(void)
{
    struct rlimit files = {4096, 4096};
    struct epoll_event x = {.events = EPOLLIN};
    int a, b, c, ev = eventfd(1, 0), null = dup(0), p[2];

    setrlimit(RLIMIT_NOFILE, &files);
    chain(4000, 1);
    chain(7, 0);
    mesh(41, 2, 1);
    mesh(41, 2, 0);
    mesh(5, 30, 1);
    mesh(4, 6, 1);
    mesh(5, 1, 1);
    fan(1100);
    a = new_epoll(), b = new_epoll(), c = new_epoll();
    printf("cycle: %s %s %s\n", name(watch(a, b)), name(watch(b, c)), name(watch(c, a)));
    printf("itself: %s\n", name(watch(a, a)));
    printf("a dup of itself: %s\n", name(watch(a, dup(a))));
    printf("twice: %s %s\n", name(watch(a, b)), name(watch(a, dup(b))));
    printf("exclusive: %s %s\n", name(watch_as(a, c, EPOLLIN | EPOLLEXCLUSIVE)),
           name(watch_as(a, ev, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE)));
    printf("bad: %s %s\n", name(watch(a, 1000)), name(watch(1000, a)));
    pipe(p);
    printf("no epoll file: %s\n", name(watch(p[0], a)));
    printf("wait: %s", name(epoll_wait(a, &x, 0, 0) < 0 ? errno : 0));
    printf(" %s", name(epoll_wait(1000, &x, 0, 0) < 0 ? errno : 0));
    printf(" %s", name(epoll_wait(1000, &x, 1, 0) < 0 ? errno : 0));
    printf(" %s", name(epoll_wait(p[0], &x, 1, 0) < 0 ? errno : 0));
    printf(" %s\n", name(epoll_wait(a, &x, 0x7fffffff, 0) < 0 ? errno : 0));
    close(null);
    printf("survived\n");
    return 0;
}
