/* Readiness, sockets between processes, terminals: the same lines on Linux and on the vkernel. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SHOW(e)                                                                \
    do {                                                                       \
        errno = 0;                                                             \
        long r_ = (long)(e);                                                   \
        printf("%s = %ld %s\n", #e, r_, r_ < 0 ? strerrorname_np(errno) : ""); \
    } while (0)

static void
polling(void)
{
    int p[2], ep = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK);
    struct pollfd fds[2];
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 1}, out[4];
    struct timeval t = {0, 1000};
    char buf[16];
    fd_set set;
    uint64_t one = 1;

    pipe(p);
    fds[0] = (struct pollfd){p[0], POLLIN, 0};
    fds[1] = (struct pollfd){p[1], POLLOUT, 0};
    SHOW(poll(fds, 2, 0));
    printf("%x %x\n", fds[0].revents, fds[1].revents);
    SHOW(poll(fds, 1, 5));
    write(p[1], "x", 1);
    SHOW(poll(fds, 1, -1));
    FD_ZERO(&set);
    FD_SET(p[0], &set);
    SHOW(select(p[0] + 1, &set, NULL, NULL, &t));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    SHOW(epoll_wait(ep, out, 4, 0));
    SHOW(epoll_wait(ep, out, 4, 0));
    e.events = EPOLLIN | EPOLLET;
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
    SHOW(epoll_wait(ep, out, 4, 0));
    SHOW(epoll_wait(ep, out, 4, 0));
    write(p[1], "y", 1);
    SHOW(epoll_wait(ep, out, 4, 0));
    read(p[0], buf, 16);
    e.events = EPOLLIN | EPOLLONESHOT;
    e.data.u32 = 2;
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
    write(ev, &one, 8);
    SHOW(epoll_wait(ep, out, 4, -1));
    printf("data %u\n", out[0].data.u32);
    SHOW(epoll_wait(ep, out, 4, 0));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &e));
    SHOW(epoll_wait(ep, out, 4, 0));
    SHOW(read(ev, &one, 8));
    SHOW(read(ev, &one, 8));
    if (fork() == 0) {
        usleep(20000);
        write(p[1], "z", 1);
        _exit(0);
    }
    SHOW(epoll_wait(ep, out, 4, 5000));
    wait(NULL);
    close(p[1]);
    read(p[0], buf, 16);
    SHOW(poll(fds, 1, 0));
    printf("%x\n", fds[0].revents);
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, 0, NULL));
    fds[0].fd = 99;
    SHOW(poll(fds, 1, 0));
    printf("%x\n", fds[0].revents);
    close(p[0]);
    close(ep);
    close(ev);
}

static void
send_fd(int s, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {"f", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    SHOW(sendmsg(s, &m, 0));
}

static int
recv_fd(int s)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;

    SHOW(recvmsg(s, &m, 0));
    if (CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static void
unix_sockets(void)
{
    int s[2], p[2], l, c, a, fd;
    char buf[64];
    struct sockaddr_un un = {.sun_family = AF_UNIX}, from;
    socklen_t n = sizeof from;
    struct ucred cred;
    socklen_t cn = sizeof cred;

    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    SHOW(write(s[0], "hello", 5));
    SHOW(write(s[0], "world", 5));
    SHOW(recv(s[1], buf, 3, MSG_PEEK));
    SHOW(recv(s[1], buf, 64, 0));
    printf("%.10s\n", buf);
    SHOW(recv(s[1], buf, 64, MSG_DONTWAIT));
    pipe(p);
    send_fd(s[0], p[1]);
    fd = recv_fd(s[1]);
    SHOW(write(fd, "through", 7));
    SHOW(read(p[0], buf, 64));
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(read(s[1], buf, 64));
    SHOW(write(s[1], "back", 4));
    SHOW(read(s[0], buf, 64));
    close(s[1]);
    SHOW(read(s[0], buf, 64));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    close(s[0]);
    SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    write(s[0], "first", 5);
    write(s[0], "second", 6);
    SHOW(read(s[1], buf, 3));
    SHOW(read(s[1], buf, 64));
    close(s[0]);
    SHOW(read(s[1], buf, 64));
    close(s[1]);

    l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(un.sun_path, "\0ingot-test", 11);
    SHOW(bind(l, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 11));
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 11));
    SHOW(listen(l, 5));
    SHOW(connect(c, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 11));
    a = accept(l, (struct sockaddr *)&from, &n);
    printf("accepted %d %d\n", a >= 0, n);
    SHOW(getsockopt(a, SOL_SOCKET, SO_PEERCRED, &cred, &cn));
    printf("peer %d\n", cred.pid == getpid());
    SHOW(write(c, "abc", 3));
    SHOW(read(a, buf, 64));
    n = sizeof from;
    SHOW(getpeername(c, (struct sockaddr *)&from, &n));
    printf("%d\n", n);
    close(a);
    close(c);
    close(l);

    unlink("/tmp/ingot-dgram");
    l = socket(AF_UNIX, SOCK_DGRAM, 0);
    strcpy(un.sun_path, "/tmp/ingot-dgram");
    SHOW(bind(l, (struct sockaddr *)&un, sizeof un));
    SHOW(bind(l, (struct sockaddr *)&un, sizeof un));
    c = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(sendto(c, "dg", 2, 0, (struct sockaddr *)&un, sizeof un));
    n = sizeof from;
    SHOW(recvfrom(l, buf, 1, MSG_TRUNC, (struct sockaddr *)&from, &n));
    close(l);
    SHOW(sendto(c, "dg", 2, 0, (struct sockaddr *)&un, sizeof un));
    unlink("/tmp/ingot-dgram");
    SHOW(sendto(c, "dg", 2, 0, (struct sockaddr *)&un, sizeof un));
    close(c);
}

/* A connection that was not waited for is told later, once. */
static void
connect_later(const struct sockaddr_in *in)
{
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
    struct pollfd p = {c, POLLIN | POLLOUT | POLLRDHUP, 0};
    socklen_t n = sizeof error;
    char buf[4];

    SHOW(connect(c, (const struct sockaddr *)in, sizeof *in));
    SHOW(poll(&p, 1, 5000));
    printf("revents %x\n", p.revents);
    SHOW(connect(c, (const struct sockaddr *)in, sizeof *in));
    SHOW(connect(c, (const struct sockaddr *)in, sizeof *in));
    SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &n));
    printf("error %d\n", error);
    SHOW(recv(c, buf, sizeof buf, 0));
    close(c);
    p.fd = c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(c, (const struct sockaddr *)in, sizeof *in));
    SHOW(poll(&p, 1, 5000));
    SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &n));
    printf("error %d\n", error);
    SHOW(recv(c, buf, sizeof buf, 0));
    SHOW(connect(c, (const struct sockaddr *)in, sizeof *in));
    SHOW(poll(&p, 1, 0));
    printf("revents %x\n", p.revents & (POLLHUP | POLLERR | POLLOUT));
    close(c);
}

/* More than fits into one batch of any kernel's. */
static void
many_ready(void)
{
    enum { MANY = 300 };
    static struct epoll_event out[MANY];
    int ep = epoll_create1(0), fd[MANY], distinct = 0;
    static bool seen[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        struct epoll_event e = {.events = i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, .data.u32 = i};

        fd[i] = eventfd(1, 0);
        epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &e);
    }
    SHOW(epoll_wait(ep, out, 130, 0));
    for (int i = 0; i < 130; i++)
        seen[out[i].data.u32] = true;
    SHOW(epoll_wait(ep, out, MANY, 0) > 150);
    for (int i = 0; i < MANY; i++)
        seen[out[i].data.u32] = true;
    for (int i = 0; i < MANY; i++) {
        distinct += seen[i];
        close(fd[i]);
    }
    printf("distinct %d\n", distinct);
    close(ep);
}

static void
inet_sockets(void)
{
    int l = socket(AF_INET, SOCK_STREAM, 0), c, a, one = 1, u, v;
    struct sockaddr_in in = {.sin_family = AF_INET}, from;
    socklen_t n = sizeof in;
    char buf[64];
    struct ifaddrs *list, *i;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SHOW(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(bind(l, (struct sockaddr *)&in, sizeof in));
    SHOW(listen(l, 10));
    SHOW(getsockname(l, (struct sockaddr *)&in, &n));
    printf("port %d\n", ntohs(in.sin_port) != 0);
    c = socket(AF_INET, SOCK_STREAM, 0);
    if (fork() == 0) {
        a = accept(l, NULL, NULL);
        while ((one = read(a, buf, sizeof buf)) > 0)
            write(a, buf, one);
        _exit(0);
    }
    SHOW(connect(c, (struct sockaddr *)&in, sizeof in));
    SHOW(connect(c, (struct sockaddr *)&in, sizeof in));
    SHOW(send(c, "echo", 4, 0));
    SHOW(recv(c, buf, 64, 0));
    SHOW(shutdown(c, SHUT_WR));
    SHOW(recv(c, buf, 64, 0));
    wait(NULL);
    close(c);
    close(l);
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, (struct sockaddr *)&in, sizeof in));
    close(c);
    l = socket(AF_INET, SOCK_STREAM, 0);
    in.sin_port = 0;
    bind(l, (struct sockaddr *)&in, sizeof in);
    listen(l, 10);
    getsockname(l, (struct sockaddr *)&in, &n);
    connect_later(&in);
    close(l);
    connect_later(&in);
    u = socket(AF_INET, SOCK_DGRAM, 0);
    v = socket(AF_INET, SOCK_DGRAM, 0);
    in.sin_port = 0;
    SHOW(bind(u, (struct sockaddr *)&in, sizeof in));
    n = sizeof in;
    getsockname(u, (struct sockaddr *)&in, &n);
    SHOW(sendto(v, "datagram", 8, 0, (struct sockaddr *)&in, sizeof in));
    n = sizeof from;
    SHOW(recvfrom(u, buf, 64, 0, (struct sockaddr *)&from, &n));
    SHOW(sendto(u, "reply", 5, 0, (struct sockaddr *)&from, sizeof from));
    SHOW(recv(v, buf, 64, 0));
    SHOW(recv(v, buf, 64, MSG_DONTWAIT));
    close(u);
    close(v);
    if (getifaddrs(&list) == 0)
        for (i = list; i; i = i->ifa_next)
            if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && strcmp(i->ifa_name, "lo") == 0)
                printf("if %s\n", i->ifa_name);
}

static void
on_winch(int sig)
{
    write(1, "winch\n", 6);
}

static void
terminals(void)
{
    int m, s, status;
    char buf[128];
    ssize_t n;
    struct winsize w = {.ws_row = 10, .ws_col = 20};
    struct termios t;
    pid_t pid;

    SHOW(openpty(&m, &s, NULL, NULL, &w) < 0 ? -1 : 0);
    SHOW(isatty(s));
    write(m, "ab\177c\r", 5);
    n = read(s, buf, sizeof buf);
    printf("line %zd %.*s", n, (int)n, buf);
    n = read(m, buf, sizeof buf);
    printf("echo %zd\n", n);
    write(s, "x\ny", 3);
    n = read(m, buf, sizeof buf);
    printf("out %zd %d\n", n, buf[1] == '\r');
    write(m, "\4", 1);
    SHOW(read(s, buf, sizeof buf));
    tcgetattr(s, &t);
    cfmakeraw(&t);
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 1;
    SHOW(tcsetattr(s, TCSANOW, &t));
    SHOW(read(s, buf, sizeof buf));
    write(m, "raw", 3);
    SHOW(read(s, buf, sizeof buf));
    SHOW(ioctl(s, TIOCGWINSZ, &w));
    printf("%d %d\n", w.ws_row, w.ws_col);
    close(s);
    SHOW(read(m, buf, sizeof buf));
    close(m);

    fflush(stdout);
    pid = forkpty(&m, NULL, NULL, &w);
    if (pid == 0) {
        signal(SIGWINCH, on_winch);
        printf("session %d group %d\n", getsid(0) == getpid(), tcgetpgrp(0) == getpid());
        fflush(stdout);
        for (;;)
            pause();
    }
    n = read(m, buf, sizeof buf);
    printf("child: %.*s", (int)n, buf);
    w.ws_col = 99;
    ioctl(m, TIOCSWINSZ, &w);
    n = read(m, buf, sizeof buf);
    printf("child: %.*s", (int)n, buf);
    write(m, "\3", 1);
    waitpid(pid, &status, 0);
    printf("killed %d\n", WTERMSIG(status));
    close(m);
}

/* An item is known by its descriptor and the file that this stood for when it was added. */
static void
epoll_items(void)
{
    enum { COPIES = 500, LOW = 100 };
    struct epoll_event e = {.events = EPOLLIN}, out[4];
    int ep = epoll_create1(0), a = eventfd(1, 0), b = eventfd(1, 0), added = 0, found = 0;

    dup2(a, LOW);
    e.data.u32 = 1;
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, LOW, &e));
    dup2(b, LOW);
    e.data.u32 = 2;
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, LOW, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, LOW, &e));
    SHOW(epoll_wait(ep, out, 4, 0));
    printf("%u %u\n", out[0].data.u32, out[1].data.u32);
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, LOW, NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, LOW, NULL));
    dup2(a, LOW);
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, LOW, NULL));
    SHOW(epoll_wait(ep, out, 4, 0));
    for (int k = 0; k < COPIES; k++)
        added += epoll_ctl(ep, EPOLL_CTL_ADD, dup2(a, LOW + k), &e) == 0;
    for (int k = 0; k < COPIES; k += 2)
        found += epoll_ctl(ep, EPOLL_CTL_DEL, LOW + k, NULL) == 0;
    for (int k = 0; k < COPIES; k++)
        found += epoll_ctl(ep, EPOLL_CTL_MOD, LOW + k, &e) == 0;
    printf("added %d, found %d\n", added, found);
    for (int k = 0; k < COPIES; k++)
        close(LOW + k);
    SHOW(epoll_wait(ep, out, 4, 0));
    close(a);
    SHOW(epoll_wait(ep, out, 4, 0));
    close(b), close(ep);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    alarm(20);
    polling();
    many_ready();
    epoll_items();
    unix_sockets();
    inet_sockets();
    terminals();
    return 0;
}
