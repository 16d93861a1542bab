/* Sockets over 127.0.0.1 and ::1: the same on Linux and on the vkernel with --network host (net_host.py runs it).
 *
 *     net_host self                  everything between processes of its own
 *     net_host server                echo servers; prints "ports TCP UDP", serves one TCP connection and one datagram
 *     net_host client TCP UDP        against echo servers elsewhere
 *     net_host requests              a server by epoll that answers what one client asks; prints its port
 *     net_host refused TCP           how a connection ends
 *     net_host guard NAME TCP        what must not be reachable: the vkernel's answers only (net_host.py knows them) */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = 3 << 20, SEED_OUT = 1, SEED_BACK = 2 };

static const char *
result(long r)
{
    static char text[4][64];
    static unsigned next;
    char *t = text[next++ % 4];

    if (r < 0)
        snprintf(t, sizeof text[0], "%s", strerrorname_np(errno));
    else
        snprintf(t, sizeof text[0], "%ld", r);
    return t;
}

static void
need(const char *what, long r)
{
    if (r >= 0)
        return;
    printf("%s: %s\n", what, result(r));
    fflush(stdout);
    _exit(1);
}

static long
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
nap(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static struct sockaddr_in
local(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static unsigned
port_of(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;

    need("getsockname", getsockname(fd, (struct sockaddr *)&a, &n));
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int
bound(int type)
{
    struct sockaddr_in a = local(0);
    int fd = socket(AF_INET, type, 0);

    need("socket", fd);
    need("bind", bind(fd, (struct sockaddr *)&a, sizeof a));
    if ((type & 0xf) == SOCK_STREAM)
        need("listen", listen(fd, 8));
    return fd;
}

static int
connected(unsigned port)
{
    struct sockaddr_in a = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    need("connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

static void
pair(int fds[2])
{
    int l = bound(SOCK_STREAM);

    fds[0] = connected(port_of(l));
    fds[1] = accept(l, NULL, NULL);
    need("accept", fds[1]);
    close(l);
}

static unsigned
closed_port(void)
{
    int l = bound(SOCK_DGRAM); /* a port whose number is free for TCP, most likely */
    unsigned port = port_of(l);

    close(l);
    return port;
}

/* --- connections --- */

static void
names(void)
{
    int l = bound(SOCK_STREAM | SOCK_CLOEXEC), on = 0, c, s;
    struct sockaddr_in peer;
    socklen_t n = sizeof on, size = sizeof peer;
    char text[64];

    getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &on, &n);
    printf("listening %d, cloexec %d\n", on, fcntl(l, F_GETFD));
    c = connected(port_of(l));
    s = accept4(l, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    printf("accepted from %s, the client's port %d, length %u, nonblock %d\n",
           inet_ntop(AF_INET, &peer.sin_addr, text, 64), ntohs(peer.sin_port) == port_of(c), (unsigned)size,
           (fcntl(s, F_GETFL) & O_NONBLOCK) != 0);
    size = sizeof peer;
    printf("getpeername %s", result(getpeername(c, (struct sockaddr *)&peer, &size)));
    printf(", the listener's port %d\n", ntohs(peer.sin_port) == port_of(l));
    printf("getpeername of the listener %s\n", result(getpeername(l, (struct sockaddr *)&peer, &size)));
    printf("accept of a connected socket %s\n", result(accept(c, NULL, NULL)));
    fcntl(l, F_SETFL, O_NONBLOCK);
    printf("accept with nothing there %s\n", result(accept(l, NULL, NULL)));
    printf("recv on a listener %s\n", result(recv(l, text, 1, 0)));
    printf("bind again %s\n", result(bind(c, (struct sockaddr *)&peer, sizeof peer)));
    printf("connect again %s\n", result(connect(c, (struct sockaddr *)&peer, sizeof peer)));
    close(l), close(c), close(s);
}

static void
transfers(void)
{
    struct iovec out[3] = {{(char *)"one ", 4}, {(char *)"", 0}, {(char *)"two", 3}}, in[2];
    char a[4], b[16] = "", buf[64] = "";
    int p[2], n = -1;

    pair(p);
    printf("writev %s\n", result(writev(p[0], out, 3)));
    printf("peek %s", result(recv(p[1], buf, 3, MSG_PEEK)));
    printf(" %.3s\n", buf);
    ioctl(p[1], FIONREAD, &n);
    printf("FIONREAD %d\n", n);
    in[0] = (struct iovec){a, 4};
    in[1] = (struct iovec){b, 16};
    printf("readv %s", result(readv(p[1], in, 2)));
    printf(" %.4s|%s\n", a, b);
    printf("dontwait %s\n", result(recv(p[1], buf, 4, MSG_DONTWAIT)));
    n = 1;
    ioctl(p[1], FIONBIO, &n);
    printf("FIONBIO %s\n", result(read(p[1], buf, 4)));
    n = 0;
    ioctl(p[1], FIONBIO, &n);
    printf("read of nothing %s\n", result(read(p[1], buf, 0)));
    if (fork() == 0) {
        for (int k = 0; k < 4; k++) {
            nap(10);
            send(p[0], "abcd", 4, k < 3 ? MSG_MORE : 0);
        }
        _exit(0);
    }
    memset(buf, 0, sizeof buf);
    printf("waitall %s", result(recv(p[1], buf, 16, MSG_WAITALL)));
    printf(" %s\n", buf);
    wait(NULL);
    printf("oob %s", result(send(p[0], "!", 1, MSG_OOB)));
    nap(20);
    printf(" %s", result(recv(p[1], buf, 1, MSG_OOB)));
    printf(" %c\n", buf[0]);
    printf("bad address %s\n", result(send(p[0], (void *)8, 5, 0)));
    close(p[0]), close(p[1]);
}

static volatile sig_atomic_t pipes, alarms;

static void
on_signal(int sig)
{
    if (sig == SIGPIPE)
        pipes++;
    else
        alarms++;
}

static void
endings(void)
{
    char buf[8];
    struct pollfd f;
    int p[2];

    signal(SIGPIPE, on_signal);
    pair(p);
    send(p[0], "x", 1, 0);
    printf("shutdown %s\n", result(shutdown(p[0], SHUT_WR)));
    printf("after shutdown: send %s", result(send(p[0], "x", 1, MSG_NOSIGNAL)));
    printf(", signals %d", (int)pipes);
    printf(", write %s", result(write(p[0], "x", 1)));
    printf(", signals %d\n", (int)pipes);
    printf("other end: %s", result(recv(p[1], buf, 8, 0)));
    printf(" then %s\n", result(recv(p[1], buf, 8, 0)));
    f = (struct pollfd){.fd = p[1], .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&f, 1, 0);
    printf("half closed: %x\n", f.revents);
    printf("still writes %s", result(send(p[1], "back", 4, 0)));
    printf(", reads %s\n", result(recv(p[0], buf, 4, MSG_WAITALL)));
    close(p[1]);
    f.fd = p[0];
    printf("closed: poll %d", poll(&f, 1, 1000));
    printf(" %x\n", f.revents);
    close(p[0]);
    p[0] = socket(AF_INET, SOCK_STREAM, 0);
    printf("not connected: send %s", result(send(p[0], "x", 1, MSG_NOSIGNAL)));
    printf(", recv %s", result(recv(p[0], buf, 1, 0)));
    printf(", shutdown %s", result(shutdown(p[0], SHUT_RDWR)));
    printf(", getpeername %s\n", result(getpeername(p[0], (struct sockaddr *)&f, &(socklen_t){0})));
    close(p[0]);
    pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(p[0]);
    printf("reset: %s\n", result(recv(p[1], buf, 8, 0)));
    close(p[1]);
    signal(SIGPIPE, SIG_DFL);
}

static void
connecting(void)
{
    int l = bound(SOCK_STREAM), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), e = -1, r;
    struct sockaddr_in a = local(port_of(l)), nobody = local(closed_port());
    struct pollfd f = {.fd = c, .events = POLLOUT};
    socklen_t n = sizeof e;

    r = connect(c, (struct sockaddr *)&a, sizeof a);
    printf("non-blocking connect %d\n", r == 0 || errno == EINPROGRESS);
    printf("poll %d", poll(&f, 1, 1000));
    printf(" %x", f.revents);
    getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n);
    printf(", SO_ERROR %d\n", e);
    connect(c, (struct sockaddr *)&a, sizeof a); /* 0 the first time after EINPROGRESS */
    printf("again %s\n", result(connect(c, (struct sockaddr *)&a, sizeof a)));
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    printf("refused %s\n", result(connect(c, (struct sockaddr *)&nobody, sizeof nobody)));
    printf("then accepted %s\n", result(connect(c, (struct sockaddr *)&a, sizeof a)));
    close(c);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    r = connect(c, (struct sockaddr *)&nobody, sizeof nobody);
    if (r < 0 && errno == EINPROGRESS) {
        f.fd = c;
        poll(&f, 1, 1000);
        e = 0;
        getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n);
    } else {
        e = errno;
    }
    printf("refused, non-blocking %s\n", strerrorname_np(e));
    e = 1;
    getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n);
    printf("SO_ERROR then %d\n", e);
    close(c);
    a.sin_family = 77;
    c = socket(AF_INET, SOCK_STREAM, 0);
    printf("strange family %s", result(connect(c, (struct sockaddr *)&a, sizeof a)));
    printf(", short %s\n", result(connect(c, (struct sockaddr *)&a, 1)));
    close(c), close(l);
}

/* --- waiting --- */

static void
timeouts(void)
{
    struct timeval t = {0, 60000}, back = {0};
    int p[2], l = bound(SOCK_STREAM);
    char *big = calloc(1, 1 << 20);
    socklen_t n = sizeof back;
    long start, r;

    pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    getsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &back, &n);
    printf("timeout %ld.%06ld\n", (long)back.tv_sec, (long)back.tv_usec);
    start = now_ms();
    printf("recv %s", result(recv(p[0], big, 1, 0)));
    printf(", read %s", result(read(p[0], big, 1)));
    printf(", accept %s", result(accept(l, NULL, NULL)));
    printf(", waited %d\n", now_ms() - start >= 170);
    do
        r = send(p[0], big, 1 << 20, 0);
    while (r > 0);
    printf("send to a full peer %s\n", result(r));
    close(p[0]), close(p[1]), close(l);
    free(big);
}

static void
interrupted(bool restart, bool limit)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};
    struct itimerval it = {.it_value.tv_usec = 30000};
    struct timeval t = {10, 0};
    char buf[8];
    int p[2];

    alarms = 0;
    pair(p);
    sigaction(SIGALRM, &sa, NULL);
    if (limit)
        setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    if (fork() == 0) {
        nap(150);
        send(p[1], "late", 4, 0);
        _exit(0);
    }
    setitimer(ITIMER_REAL, &it, NULL);
    printf("%s%s: %s", restart ? "SA_RESTART" : "no restart", limit ? " with SO_RCVTIMEO" : "",
           result(recv(p[0], buf, 8, 0)));
    printf(", signals %d\n", (int)alarms);
    wait(NULL);
    close(p[0]), close(p[1]);
}

static void
show_events(const char *what, int ep, int timeout)
{
    struct epoll_event e[4];
    int n = epoll_wait(ep, e, 4, timeout);

    printf("%s:", what);
    for (int k = 0; k < n; k++)
        printf(" %u=%x", e[k].data.u32, e[k].events);
    printf("%s\n", n ? "" : " nothing");
}

static void
edges(void)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = 1};
    int p[2], ep = epoll_create1(0), l = bound(SOCK_STREAM), c;
    char buf[64];

    pair(p);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    show_events("added", ep, 100);
    show_events("no edge", ep, 30);
    send(p[1], "a", 1, 0);
    show_events("data", ep, 1000);
    show_events("not read, no edge", ep, 30);
    send(p[1], "b", 1, 0);
    show_events("more data", ep, 1000);
    printf("read %s\n", result(recv(p[0], buf, 64, 0)));
    show_events("read, no edge", ep, 30);
    e.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e);
    send(p[1], "c", 1, 0);
    show_events("one shot", ep, 1000);
    send(p[1], "d", 1, 0);
    show_events("shot", ep, 30);
    e.events = EPOLLIN | EPOLLRDHUP;
    epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e);
    show_events("level", ep, 1000);
    show_events("level again", ep, 1000);
    recv(p[0], buf, 64, 0);
    show_events("level, read", ep, 30);
    close(p[1]);
    show_events("closed", ep, 1000);
    close(p[0]);
    show_events("none left", ep, 0);
    e = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u32 = 2};
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
    show_events("listener", ep, 0);
    c = connected(port_of(l));
    show_events("connection", ep, 1000);
    close(c), close(l), close(ep);
}

/* --- what poll says after any sequence of calls --- */

static unsigned
poll_mask(int fd, unsigned wanted)
{
    struct pollfd f = {.fd = fd, .events = (short)wanted};

    poll(&f, 1, 0);
    return (unsigned short)f.revents;
}

/* Says what poll gives for both ends. Setting an option is a call that changes nothing, but the vkernel does not know:
 * what it knew of the socket before must be what it is told then. */
static void
show_polled(const char *what, const int p[2])
{
    static const unsigned masks[] = {POLLIN, POLLIN | POLLPRI | POLLRDHUP, POLLOUT,
                                     POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM |
                                         POLLWRBAND};
    enum { MASKS = sizeof masks / sizeof *masks };
    unsigned known[MASKS];
    int on = 1;

    nap(1); /* it goes over the loopback */
    printf("%s:", what);
    for (int k = 0; k < 2; k++) {
        for (int m = 0; m < MASKS; m++)
            known[m] = poll_mask(p[k], masks[m]);
        for (int m = 0; m < MASKS; m++) {
            unsigned told;

            setsockopt(p[k], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
            told = poll_mask(p[k], masks[m]);
            printf(" %x", told);
            if (known[m] != told)
                printf("(%x)", known[m]);
        }
        printf(k ? "\n" : " |");
    }
}

static int
bytes_ready(int fd)
{
    int n = 0;

    ioctl(fd, FIONREAD, &n);
    return n;
}

static void
polled_pair(int type, int p[2])
{
    if (type == SOCK_STREAM) {
        pair(p);
        return;
    }
    for (int k = 0; k < 2; k++)
        p[k] = bound(SOCK_DGRAM);
    for (int k = 0; k < 2; k++) {
        struct sockaddr_in a = local(port_of(p[!k]));

        need("connect", connect(p[k], (struct sockaddr *)&a, sizeof a));
    }
}

static void
polled_step(unsigned what, int fd, int other)
{
    static char buf[100000];
    struct linger now = {1, 0};
    int n = bytes_ready(fd);

    switch (what) {
    case 0:
    case 1:
    case 2: send(fd, buf, 100, MSG_DONTWAIT | MSG_NOSIGNAL); break;
    case 3: recv(fd, buf, (size_t)n, MSG_DONTWAIT); break;
    case 4: recv(fd, buf, (size_t)n + 1, MSG_DONTWAIT); break;
    case 5: recv(fd, buf, n > 50 ? 50 : 1, MSG_DONTWAIT); break;
    case 6: recv(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_PEEK); break;
    case 7: send(fd, "u", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL); break;
    case 8: recv(fd, buf, 1, MSG_OOB | MSG_DONTWAIT); break;
    case 9:
        for (int k = 0; k < 1000 && send(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL) > 0; k++)
            nap(k % 16 == 0);
        break;
    case 10:
        for (int k = 0; k < 1000 && recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0; k++)
            nap(k % 16 == 0);
        break;
    case 11: shutdown(fd, SHUT_WR); break;
    case 12: shutdown(fd, SHUT_RD); break;
    case 13:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        dup2(other, fd); /* closes it: both ends are the other one */
        break;
    default: break;
    }
}

static void
polled(void)
{
    static const char *const names[] = {"send",      "send",         "send",         "take all",    "take more",
                                        "take some", "peek",         "urgent",       "take urgent", "fill",
                                        "drain",     "shut writing", "shut reading", "close"};
    unsigned seed = 1;

    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        for (int run = 0; run < 12; run++) {
            int p[2];

            polled_pair(type, p);
            show_polled("new", p);
            for (int step = 0; step < 12; step++) {
                unsigned what = (seed = seed * 1103515245 + 12345) >> 16 & 0x7fff, end = what & 1;

                what = (what >> 1) % (step < 6 ? 9 : 14);
                if (type == SOCK_DGRAM && (what == 7 || what == 8 || what == 9))
                    continue; /* there is no urgent byte, and what has no room is lost */
                polled_step(what, p[end], p[!end]);
                printf("%u ", end);
                show_polled(names[what], p);
                if (what == 9) { /* how much went is not the same each time */
                    polled_step(10, p[!end], p[end]);
                    nap(20);
                    show_polled("drained", p);
                }
            }
            close(p[0]), close(p[1]);
        }
    }
}

static void
selecting(void)
{
    struct timeval t = {0, 20000};
    fd_set in, out;
    char buf[4];
    int p[2];

    pair(p);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    printf("select %d", select(p[0] + 1, &in, NULL, NULL, &t));
    FD_SET(p[0], &in);
    FD_SET(p[0], &out);
    send(p[1], "x", 1, 0);
    t.tv_sec = 1;
    nap(10);
    printf(" then %d", select(p[0] + 1, &in, &out, NULL, &t));
    printf(" %d %d\n", FD_ISSET(p[0], &in) != 0, FD_ISSET(p[0], &out) != 0);
    recv(p[0], buf, 4, 0);
    if (fork() == 0) {
        nap(50);
        send(p[1], "y", 1, 0);
        _exit(0);
    }
    printf("poll %d\n", poll(&(struct pollfd){.fd = p[0], .events = POLLIN}, 1, 5000));
    wait(NULL);
    close(p[0]), close(p[1]);
}

/* --- datagrams --- */

static void
datagrams(void)
{
    int a = bound(SOCK_DGRAM), b = bound(SOCK_DGRAM), on = 1, n;
    struct sockaddr_in to = local(port_of(b)), from;
    socklen_t size = sizeof from;
    char buf[64] = "", other[64] = "", control[256];
    struct iovec iov = {buf, sizeof buf}, two = {other, sizeof other};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}},
                            {.msg_hdr = {.msg_iov = &two, .msg_iovlen = 1}}};

    printf("sendto %s", result(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, sizeof to)));
    printf(", recvfrom %s", result(recvfrom(b, buf, 64, 0, (struct sockaddr *)&from, &size)));
    printf(" %s, from the sender %d\n", buf, ntohs(from.sin_port) == port_of(a));
    printf("connect %s", result(connect(a, (struct sockaddr *)&to, sizeof to)));
    printf(", send %s", result(send(a, "datagram", 8, 0)));
    ioctl(b, FIONREAD, &n);
    printf(", FIONREAD %d", n);
    printf(", cut %s", result(recv(b, buf, 4, MSG_PEEK)));
    printf(" of %s\n", result(recv(b, buf, 4, MSG_TRUNC)));
    printf("empty %s", result(send(a, "", 0, 0)));
    printf(" arrives %s", result(recv(b, buf, 4, 0)));
    printf(", none left %s\n", result(recv(b, buf, 4, MSG_DONTWAIT)));
    setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    send(a, "info", 4, 0);
    printf("recvmsg %s", result(recvmsg(b, &m, 0)));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        printf(", control %d %d %s", c->cmsg_level, c->cmsg_type,
               inet_ntoa(((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_addr));
    m.msg_controllen = 4;
    send(a, "info", 4, 0);
    printf(", no room %s", result(recvmsg(b, &m, 0)));
    printf(" %x\n", (unsigned)m.msg_flags);
    on = 0;
    setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    iov = (struct iovec){(char *)"first", 5};
    two = (struct iovec){(char *)"second", 6};
    printf("sendmmsg %s", result(sendmmsg(a, mm, 2, 0)));
    iov = (struct iovec){buf, sizeof buf};
    two = (struct iovec){other, sizeof other};
    memset(buf, 0, sizeof buf), memset(other, 0, sizeof other);
    nap(10);
    printf(", recvmmsg %s", result(recvmmsg(b, mm, 2, MSG_WAITFORONE, NULL)));
    printf(" %s %u %s %u\n", buf, mm[0].msg_len, other, mm[1].msg_len);
    {
        struct {
            struct cmsghdr h;
            int ttl;
            int pad;
        } c = {{CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL}, 7, 0};
        struct msghdr send_one = {.msg_iov = &two, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};

        on = 1;
        setsockopt(b, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
        printf("sent with a TTL %s", result(sendmsg(a, &send_one, 0)));
        m.msg_controllen = sizeof control;
        recvmsg(b, &m, 0);
        printf(", arrived with %d\n", *(int *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&m)));
    }
    to = local(closed_port());
    connect(a, (struct sockaddr *)&to, sizeof to);
    send(a, "x", 1, 0);
    printf("closed port %s\n", result(recv(a, buf, 4, 0)));
    to.sin_family = AF_UNSPEC;
    printf("disconnect %s", result(connect(a, (struct sockaddr *)&to, sizeof to)));
    printf(", send %s\n", result(send(a, "x", 1, 0)));
    printf("too long %s\n", result(sendto(a, calloc(1, 70000), 70000, 0, (struct sockaddr *)&from, sizeof from)));
    close(a), close(b);
}

/* --- sharing, options, IPv6, names --- */

static void
sharing(void)
{
    char buf[16] = "";
    int p[2], d;

    pair(p);
    d = dup(p[0]);
    close(p[0]);
    if (fork() == 0) {
        nap(40);
        send(d, "child", 5, 0);
        _exit(0);
    }
    close(d);
    printf("the child's %s", result(recv(p[1], buf, 5, MSG_WAITALL)));
    printf(" %s", buf);
    printf(", end when it is gone %s\n", result(recv(p[1], buf, 5, 0)));
    wait(NULL);
    close(p[1]);
}

static void
option(int fd, const char *name, int level, int option, int value)
{
    socklen_t n = sizeof value;

    printf("%s", name);
    if (value >= 0)
        printf(" set %s", result(setsockopt(fd, level, option, &value, sizeof value)));
    value = -1;
    printf(" get %s", result(getsockopt(fd, level, option, &value, &n)));
    printf(" = %d\n", value);
}

static void
options(void)
{
    int l = bound(SOCK_STREAM), p[2], fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct linger linger = {1, 20}, back;
    struct tcp_info info;
    socklen_t n = sizeof back;
    long start;

    pair(p);
    option(l, "SO_TYPE", SOL_SOCKET, SO_TYPE, -1);
    option(l, "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, -1);
    option(l, "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, -1);
    option(l, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1);
    option(l, "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1);
    option(l, "SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 1);
    option(l, "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 20000);
    option(l, "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 1);
    option(l, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1);
    option(l, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77);
    option(l, "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    option(l, "IP_TTL", IPPROTO_IP, IP_TTL, 9);
    option(l, "IP_TOS", IPPROTO_IP, IP_TOS, 16);
    option(fd, "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 1);
    option(fd, "IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
    option(l, "an unknown one", SOL_SOCKET, 12345, 1);
    printf("short value %s\n", result(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &fd, 2)));
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    getsockopt(p[0], SOL_SOCKET, SO_LINGER, &back, &n);
    printf("SO_LINGER %d %d\n", back.l_onoff, back.l_linger);
    n = sizeof info;
    getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n);
    printf("TCP_INFO %d\n", info.tcpi_state);
    start = now_ms();
    close(p[0]);
    printf("close is quick %d\n", now_ms() - start < 5000);
    close(p[1]), close(l), close(fd);
}

static void
six(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT},
                        any = {.sin6_family = AF_INET6}, peer;
    int l = socket(AF_INET6, SOCK_STREAM, 0), c, s;
    socklen_t n = sizeof a;
    char buf[64] = "";

    if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof a) < 0) {
        puts("no IPv6");
        return;
    }
    listen(l, 1);
    getsockname(l, (struct sockaddr *)&a, &n);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    printf("connect to ::1 %s\n", result(connect(c, (struct sockaddr *)&a, sizeof a)));
    s = accept(l, NULL, NULL);
    send(c, "six", 3, 0);
    printf("recv %s", result(recv(s, buf, 64, 0)));
    printf(" %s\n", buf);
    close(c), close(s), close(l);
    l = socket(AF_INET6, SOCK_STREAM, 0);
    bind(l, (struct sockaddr *)&any, sizeof any);
    listen(l, 1);
    c = connected(port_of(l));
    n = sizeof peer;
    s = accept(l, (struct sockaddr *)&peer, &n);
    printf("an IPv4 client of :: is %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, buf, 64));
    close(c), close(s), close(l);
}

static void
host_names(void)
{
    struct addrinfo hint = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
    struct ifaddrs *all = NULL;
    int count = 0, loopback = 0, r = getaddrinfo("localhost", "80", &hint, &list);

    printf("localhost: %d", r);
    if (r == 0)
        printf(" %s", inet_ntoa(((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr));
    getifaddrs(&all);
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        count++;
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
            ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK))
            loopback++;
    }
    printf("; interface addresses %d, loopback %d, lo is %u\n", count, loopback, if_nametoindex("lo"));
}

/* --- much data --- */

static uint64_t
noise(uint64_t seed, uint64_t word)
{
    uint64_t x = (seed << 32 | word) * 0x9e3779b97f4a7c15ull;

    return x ^ x >> 29;
}

static void
fill(uint64_t *p, uint64_t seed)
{
    for (uint64_t k = 0; k < LARGE / 8; k++)
        p[k] = noise(seed, k);
}

static bool
check(const uint64_t *p, uint64_t seed)
{
    for (uint64_t k = 0; k < LARGE / 8; k++)
        if (p[k] != noise(seed, k))
            return false;
    return true;
}

/* Sends and receives LARGE bytes at once, without ever blocking in one direction. */
static bool
exchange(int fd, uint64_t send_seed, uint64_t receive_seed)
{
    char *out = malloc(LARGE), *in = malloc(LARGE);
    size_t sent = 0, got = 0;
    bool good;

    fill((uint64_t *)(void *)out, send_seed);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (sent < LARGE || got < LARGE) {
        struct pollfd f = {.fd = fd, .events = (short)((sent < LARGE ? POLLOUT : 0) | (got < LARGE ? POLLIN : 0))};
        ssize_t n;

        if (poll(&f, 1, 20000) <= 0)
            break;
        if (f.revents & POLLOUT) {
            n = send(fd, out + sent, LARGE - sent, MSG_NOSIGNAL);
            if (n > 0)
                sent += (size_t)n;
        }
        if (f.revents & (POLLIN | POLLHUP | POLLERR)) {
            n = recv(fd, in + got, LARGE - got, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                break;
            if (n > 0)
                got += (size_t)n;
        }
    }
    good = sent == LARGE && got == LARGE && check((uint64_t *)(void *)in, receive_seed);
    free(out), free(in);
    return good;
}

/* One blocking writer and one blocking reader. */
static void
large(void)
{
    int p[2], status;
    pid_t child;

    pair(p);
    child = fork();
    if (child == 0)
        _exit(!exchange(p[1], SEED_BACK, SEED_OUT));
    printf("both ways %d", exchange(p[0], SEED_OUT, SEED_BACK));
    waitpid(child, &status, 0);
    printf(" %d\n", status);
    close(p[0]), close(p[1]);
    pair(p);
    child = fork();
    if (child == 0) {
        char *out = malloc(LARGE);

        fill((uint64_t *)(void *)out, SEED_OUT);
        _exit(send(p[0], out, LARGE, 0) != LARGE);
    } else {
        char *in = malloc(LARGE);

        printf("blocking, all at once %s", result(recv(p[1], in, LARGE, MSG_WAITALL)));
        printf(" %d\n", check((uint64_t *)(void *)in, SEED_OUT));
    }
    waitpid(child, &status, 0);
    close(p[0]), close(p[1]);
}

/* --- with the other side elsewhere --- */

/* Both ways at once, then an orderly end. */
static int
exchange_and_end(int c, uint64_t send_seed, uint64_t receive_seed)
{
    char byte;

    printf("exchange %d\n", exchange(c, send_seed, receive_seed));
    fcntl(c, F_SETFL, 0);
    shutdown(c, SHUT_WR);
    printf("end %s\n", result(read(c, &byte, 1)));
    return 0;
}

static int
serve(void)
{
    int l = bound(SOCK_STREAM), u = bound(SOCK_DGRAM), c;
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    char buf[256];
    ssize_t size;

    printf("ports %u %u\n", port_of(l), port_of(u));
    fflush(stdout);
    size = recvfrom(u, buf, sizeof buf, 0, (struct sockaddr *)&from, &n);
    printf("datagram %.*s\n", (int)size, buf);
    sendto(u, buf, (size_t)size, 0, (struct sockaddr *)&from, n);
    c = accept(l, NULL, NULL);
    for (int k = 0; k < 3; k++) { /* a line and its echo, by blocking calls */
        size = read(c, buf, sizeof buf);
        printf("line %.*s\n", (int)size, buf);
        if (write(c, buf, (size_t)size) != size)
            return 1;
    }
    return exchange_and_end(c, SEED_BACK, SEED_OUT);
}

static int
act_as_client(unsigned tcp, unsigned udp)
{
    struct sockaddr_in a = local(udp);
    int u = socket(AF_INET, SOCK_DGRAM, 0), c;
    char buf[256];
    ssize_t size;

    connect(u, (struct sockaddr *)&a, sizeof a);
    send(u, "ping", 4, 0);
    size = recv(u, buf, sizeof buf, 0);
    printf("datagram %.*s\n", (int)size, buf);
    c = connected(tcp);
    for (int k = 0; k < 3; k++) {
        dprintf(c, "line %d", k);
        size = recv(c, buf, strlen("line 0"), MSG_WAITALL); /* what the other side sends next may be there already */
        printf("%.*s\n", (int)size, buf);
    }
    return exchange_and_end(c, SEED_OUT, SEED_BACK);
}

static void
guard(const char *abstract, unsigned port)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sock_filter insn = {6, 0, 0, 0xffff};
    struct sock_fprog program = {1, &insn};
    struct {
        struct cmsghdr h;
        int fd;
        int pad;
    } rights = {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, 1, 0};
    struct iovec iov = {(char *)"x", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    struct ifreq r = {.ifr_name = "lo"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), tcp = connected(port), value = 7;

    memcpy(un.sun_path + 1, abstract, strlen(abstract));
    printf("unix %s\n", result(connect(fd, (struct sockaddr *)&un,
                                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract)))));
    printf("raw %s", result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)));
    printf(", packet %s", result(socket(AF_PACKET, SOCK_DGRAM, 0)));
    printf(", vsock %s", result(socket(40, SOCK_STREAM, 0)));
    printf(", audit netlink %s", result(socket(AF_NETLINK, SOCK_RAW, 9)));
    printf(", SCTP %s", result(socket(AF_INET, SOCK_STREAM, 132)));
    printf(", MPTCP %s\n", result(socket(AF_INET, SOCK_STREAM, 262)));
    printf("filter %s", result(setsockopt(tcp, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)));
    printf(", ULP %s", result(setsockopt(tcp, IPPROTO_TCP, 31, "tls", 3)));
    printf(", repair %s", result(setsockopt(tcp, IPPROTO_TCP, 19, &value, sizeof value)));
    printf(", priority %s", result(setsockopt(tcp, SOL_SOCKET, SO_PRIORITY, &value, sizeof value)));
    printf(", congestion %s", result(setsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, "../x", 4)));
    printf(", zerocopy %s", result(setsockopt(tcp, SOL_SOCKET, SO_ZEROCOPY, &value, sizeof value)));
    printf(", bind to device %s\n", result(setsockopt(tcp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2)));
    printf("rights %s", result(sendmsg(tcp, &m, 0)));
    printf(", ethtool %s", result(ioctl(tcp, SIOCETHTOOL, &r)));
    printf(", set flags %s\n", result(ioctl(tcp, SIOCSIFFLAGS, &r)));
}

static void
cat(const char *path)
{
    char buf[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n;

    printf("--- %s\n", path);
    fflush(stdout);
    while ((n = read(fd, buf, sizeof buf)) > 0)
        if (write(1, buf, (size_t)n) < 0)
            break;
    close(fd);
}

static void
self(void)
{
    static void (*const parts[])(void) = {names,     transfers, endings, connecting, timeouts, edges,      polled,
                                          selecting, datagrams, sharing, options,    six,      host_names, large};

    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        parts[k]();
        fflush(stdout); /* before a fork: the child would print it again */
    }
    interrupted(false, false);
    fflush(stdout);
    interrupted(true, false);
    fflush(stdout);
    interrupted(true, true);
}

/* As servers do it: level-triggered, and reads that ask for more than there is. */
static void
requests(void)
{
    struct sockaddr_in a = local(0);
    socklen_t size = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), e = epoll_create1(0), c;
    struct epoll_event event = {.events = EPOLLIN};
    char data[4096];
    ssize_t n;

    need("bind", bind(l, (struct sockaddr *)&a, sizeof a));
    need("listen", listen(l, 4));
    getsockname(l, (struct sockaddr *)&a, &size);
    printf("port %u\n", ntohs(a.sin_port));
    need("add", epoll_ctl(e, EPOLL_CTL_ADD, l, &event));
    need("wait", epoll_wait(e, &event, 1, -1));
    c = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    need("accept", c);
    event.events = EPOLLIN;
    need("add", epoll_ctl(e, EPOLL_CTL_ADD, c, &event));
    for (;;) {
        need("wait", epoll_wait(e, &event, 1, -1));
        n = read(c, data, sizeof data);
        if (n <= 0)
            break;
        need("write", write(c, data, (size_t)n));
    }
    printf("end %s\n", result(n));
}

int
main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "self";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(mode, "self") != 0)
        alarm(60); /* self uses SIGALRM; its caller has a limit */
    if (strcmp(mode, "server") == 0)
        return serve();
    if (strcmp(mode, "client") == 0 && argc == 4)
        return act_as_client((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    if (strcmp(mode, "refused") == 0 && argc == 3) {
        struct sockaddr_in a = local((unsigned)atoi(argv[2]));

        printf("connect %s\n", result(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a)));
    } else if (strcmp(mode, "guard") == 0 && argc == 4) {
        guard(argv[2], (unsigned)atoi(argv[3]));
    } else if (strcmp(mode, "requests") == 0) {
        requests();
    } else if (strcmp(mode, "files") == 0) {
        cat("/etc/hosts");
        cat("/etc/resolv.conf");
    } else {
        self();
    }
    return 0;
}
