/* epoll, poll, select. */
#include "case.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int
add(int ep, int fd, unsigned events, uint64_t data)
{
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){events, {.u64 = data}});
}

static void
say_ready(int ep)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, 0);

    say("%d ready", n);
    for (int k = 0; k < n; k++)
        say("%x of %d", e[k].events, (int)e[k].data.u64);
}

CASE(epoll_levels_and_edges)
{
    int ep = epoll_create1(0), level = eventfd(1, 0), edge = eventfd(1, 0);

    SHOW(add(ep, level, EPOLLIN, 1));
    SHOW(add(ep, edge, EPOLLIN | EPOLLET, 2));
    say_ready(ep);
    say_ready(ep);
    eventfd_write(edge, 1);
    say_ready(ep);
}

CASE(epoll_oneshot)
{
    int ep = epoll_create1(0), fd = eventfd(1, 0);

    add(ep, fd, EPOLLIN | EPOLLONESHOT, 1);
    say_ready(ep);
    eventfd_write(fd, 1);
    say_ready(ep);
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &(struct epoll_event){EPOLLIN | EPOLLONESHOT, {.u64 = 3}}));
    say_ready(ep);
}

CASE(epoll_ctl_errors)
{
    int ep = epoll_create1(0), other = epoll_create1(0), fd = eventfd(0, 0), file = make_file("f", "");
    struct epoll_event e = {EPOLLIN};

    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &e));
    SHOW(epoll_ctl(-1, EPOLL_CTL_ADD, fd, &e));
    SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &e));
    SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
    SHOW(epoll_ctl(ep, 9, fd, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, other, &e));
    SHOW(epoll_ctl(other, EPOLL_CTL_ADD, ep, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, open(".", O_RDONLY), &e));
}

CASE(epoll_exclusive_errors)
{
    int ep = epoll_create1(0), other = epoll_create1(0), fd = eventfd(0, 0);

    SHOW(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0));
    SHOW(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP, 0));
    SHOW(add(ep, other, EPOLLIN | EPOLLEXCLUSIVE, 0));
    SHOW(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE, 0));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &(struct epoll_event){EPOLLIN}));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    SHOW(add(ep, fd, EPOLLIN, 0));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &(struct epoll_event){EPOLLIN | EPOLLEXCLUSIVE}));
}

CASE(epoll_wait_errors)
{
    int ep = epoll_create1(0);
    struct epoll_event e[2];

    SHOW(epoll_wait(ep, e, 0, 0));
    SHOW(epoll_wait(ep, e, -1, 0));
    SHOW(epoll_wait(ep, e, 1 << 30, 0));
    SHOW(epoll_wait(-1, e, 2, 0));
    SHOW(epoll_wait(0, e, 2, 0));
    SHOW(epoll_wait(ep, e, 2, 5));
    SHOW(epoll_wait(ep, (void *)-1, 2, 0));
    add(ep, eventfd(1, 0), EPOLLIN, 0);
    SHOW(epoll_wait(ep, NULL, 2, 0));
    SHOW(epoll_wait(ep, e, 2, -1));
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 2, &(struct timespec){0, -1}, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 2, (void *)-1, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, ep, e, 2, &(struct timespec){0, 0}, &(sigset_t){0}, 7));
    SHOW(syscall(SYS_epoll_create, 0));
    SHOW(syscall(SYS_epoll_create, -1));
    SHOW(epoll_create1(1));
}

CASE(epoll_of_closed_descriptor)
{
    int ep = epoll_create1(0), fd = eventfd(1, 0), copy = dup(fd);

    add(ep, fd, EPOLLIN, 1);
    close(fd);
    say_ready(ep);
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    close(copy);
    say_ready(ep);
}

CASE(epoll_in_epoll)
{
    int outer = epoll_create1(0), inner = epoll_create1(0), fd = eventfd(0, 0);

    add(outer, inner, EPOLLIN, 1);
    add(inner, fd, EPOLLIN, 2);
    say_ready(outer);
    eventfd_write(fd, 1);
    say_ready(outer);
    struct pollfd p = {inner, POLLIN};
    SHOW(poll(&p, 1, 0));
    eventfd_read(fd, &(eventfd_t){0});
    say_ready(outer);
}

CASE(epoll_events_of_pipe)
{
    int ep = epoll_create1(0), fds[2];

    pipe(fds);
    add(ep, fds[0], EPOLLIN, 1);
    add(ep, fds[1], EPOLLOUT, 2);
    say_ready(ep);
    write(fds[1], "x", 1);
    say_ready(ep);
    close(fds[1]);
    say_ready(ep);
    read(fds[0], &(char){0}, 1);
    say_ready(ep);
}

CASE(epoll_takes_turns)
{
    int ep = epoll_create1(0);
    struct epoll_event e;

    for (int k = 0; k < 3; k++)
        add(ep, eventfd(1, 0), EPOLLIN, k);
    for (int k = 0; k < 5; k++) {
        epoll_wait(ep, &e, 1, 0);
        say("%d", (int)e.data.u64);
    }
}

CASE(poll_answers)
{
    int fds[2];
    struct pollfd p[4] = {{-1, POLLIN, 9}, {99, POLLIN}, {0, POLLIN | POLLOUT}, {0, 0}};

    pipe(fds);
    SHOW(poll(p, 4, 0));
    say("%x %x %x %x", p[0].revents, p[1].revents, p[2].revents, p[3].revents);
    SHOW(poll(NULL, 0, 0));
    SHOW(poll(NULL, 1, 0));
    SHOW(poll((void *)-1, 1, 0));
    SHOW(poll(p, -1, 0));
    SHOW(poll(&(struct pollfd){fds[0], POLLIN}, 1, 5));
}

CASE(ppoll_errors)
{
    struct pollfd p = {0, POLLIN};

    SHOW(syscall(SYS_ppoll, &p, 1, &(struct timespec){0, 1000000000}, NULL, 8));
    SHOW(syscall(SYS_ppoll, &p, 1, &(struct timespec){-1, 0}, NULL, 8));
    SHOW(syscall(SYS_ppoll, &p, 1, (void *)-1, NULL, 8));
    SHOW(syscall(SYS_ppoll, &p, 1, NULL, &(sigset_t){0}, 4));
    SHOW(syscall(SYS_ppoll, &p, 1, NULL, (void *)-1, 8));
}

static void
handler(int signal)
{
    say("signal %d", signal);
}

CASE(ppoll_swaps_the_mask)
{
    sigset_t all, none, now;

    sigemptyset(&none);
    sigfillset(&all);
    signal(SIGUSR1, handler);
    sigprocmask(SIG_SETMASK, &all, NULL);
    raise(SIGUSR1);
    SHOW(ppoll(NULL, 0, &(struct timespec){1, 0}, &none));
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("%d", sigismember(&now, SIGUSR1));
    raise(SIGUSR1);
    SHOW(ppoll(&(struct pollfd){0, POLLIN}, 1, NULL, &none));
    say("still pending: %d", (sigpending(&now), sigismember(&now, SIGUSR1)));
}

CASE(select_answers)
{
    fd_set r, w, e;
    int fds[2];
    struct timeval t = {0, 3000};

    pipe(fds);
    r = w = e = (fd_set){0};
    FD_SET(fds[0], &r), FD_SET(fds[1], &w), FD_SET(0, &r), FD_SET(fds[0], &e);
    SHOW(select(10, &r, &w, &e, NULL));
    say("%d %d %d %d", FD_ISSET(0, &r), FD_ISSET(fds[0], &r), FD_ISSET(fds[1], &w), FD_ISSET(fds[0], &e));
    FD_ZERO(&r);
    FD_SET(fds[0], &r);
    SHOW(select(fds[0] + 1, &r, NULL, NULL, &t));
    say("%ld.%ld", (long)t.tv_sec, (long)t.tv_usec);
    FD_SET(fds[0], &r);
    SHOW(select(fds[0], &r, NULL, NULL, &(struct timeval){0, 0}));
}

CASE(select_errors)
{
    fd_set r;

    FD_ZERO(&r);
    FD_SET(50, &r);
    SHOW(select(60, &r, NULL, NULL, NULL));
    SHOW(select(-1, NULL, NULL, NULL, NULL));
    SHOW(select(1, (void *)-1, NULL, NULL, NULL));
    SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, &(struct timeval){-1, 0}));
    SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, &(struct timeval){0, -1}));
    SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, (void *)-1));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &(struct timespec){0, 1000000000}, NULL));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &(struct timespec){0, 0}, (void *)-1));
}

CASE(poll_is_interrupted)
{
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    SHOW(poll(NULL, 0, 5000));
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    SHOW(select(0, NULL, NULL, NULL, NULL));
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    SHOW(epoll_wait(epoll_create1(0), &(struct epoll_event){0}, 1, -1));
}
