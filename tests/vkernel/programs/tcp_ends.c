/* How TCP connections between processes of one machine end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <linux/sockios.h>
#include <time.h>
#include <unistd.h>

static int broken, urgent, alarms;

static void
on_signal(int sig)
{
    broken += sig == SIGPIPE;
    urgent += sig == SIGURG;
    alarms += sig == SIGALRM;
}

static void
say(const char *what, long r)
{
    int e = errno;

    if (r < 0)
        printf("%s: %s", what, strerrorname_np(e));
    else
        printf("%s: %ld", what, r);
    if (broken)
        printf(", SIGPIPE");
    if (urgent)
        printf(", SIGURG");
    if (alarms)
        printf(", after a time");
    printf("\n");
    broken = urgent = alarms = 0;
    ualarm(0, 0);
}

#define TRY(what, call) (ualarm(200000, 0), say(what, call))

static struct sockaddr_in6 name;
static socklen_t name_size;
static int listener, c, s;
static char buffer[1 << 20];

/* What is sent arrives a little later. */
static void
settle(void)
{
    struct timespec t = {0, 5000000};

    nanosleep(&t, NULL);
}

static void
listen_on(int family)
{
    listener = socket(family, SOCK_STREAM, 0);
    memset(&name, 0, sizeof name);
    name.sin6_family = family;
    if (family == AF_INET)
        ((struct sockaddr_in *)&name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        name.sin6_addr = in6addr_loopback;
    name_size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof name;
    bind(listener, (void *)&name, name_size);
    getsockname(listener, (void *)&name, &name_size);
    listen(listener, 8);
}

static void
pair(const char *what)
{
    printf("- %s\n", what);
    c = socket(name.sin6_family, SOCK_STREAM, 0);
    connect(c, (void *)&name, name_size);
    s = accept(listener, NULL, NULL);
    settle();
}

static int
state(int fd)
{
    struct tcp_info i;
    socklen_t n = sizeof i;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) < 0)
        return -1;
    return i.tcpi_state == TCP_FIN_WAIT1 ? TCP_FIN_WAIT2 : i.tcpi_state; /* the answer may take a moment */
}

static int
error_of(int fd)
{
    int e = -1;
    socklen_t n = sizeof e;

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
    return e;
}

static void
show(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRBAND};

    settle();
    poll(&p, 1, 0);
    printf("%s: events %x, state %d\n", what, p.revents, state(fd));
}

static void
ends(void)
{
    close(c);
    close(s);
}

static void
linger(int fd, int seconds)
{
    struct linger l = {1, seconds};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

static int
peer_name(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;

    return getpeername(fd, (void *)&a, &n);
}

static void
goodbyes(void)
{
    pair("the peer closes");
    send(s, "bye", 3, 0);
    close(s);
    show("closed", c);
    TRY("peer's name", peer_name(c));
    TRY("read", read(c, buffer, 10));
    TRY("read the end", read(c, buffer, 10));
    TRY("first send", send(c, "QUIT", 4, 0));
    show("sent", c);
    TRY("second send", send(c, "QUIT", 4, 0));
    TRY("read", read(c, buffer, 10));
    printf("error %d\n", error_of(c));
    TRY("third send", send(c, "QUIT", 4, 0));
    TRY("peer's name", peer_name(c));
    TRY("shutdown", shutdown(c, SHUT_RDWR));
    close(c);

    pair("the peer closes with something unread");
    send(c, "request", 7, 0);
    settle();
    close(s);
    show("closed", c);
    TRY("send", send(c, "QUIT", 4, 0));
    TRY("read", read(c, buffer, 10));
    TRY("read", read(c, buffer, 10));
    close(c);

    pair("the peer closes with something unread, which is read first");
    send(s, "answer", 6, 0);
    send(c, "request", 7, 0);
    settle();
    close(s);
    show("closed", c);
    TRY("read", read(c, buffer, 10));
    TRY("read", read(c, buffer, 10));
    TRY("read", read(c, buffer, 10));
    close(c);

    pair("linger of 0");
    linger(s, 0);
    send(s, "answer", 6, 0);
    settle();
    close(s);
    show("closed", c);
    printf("error %d\n", error_of(c));
    show("error taken", c);
    TRY("read", read(c, buffer, 10));
    TRY("send", send(c, "x", 1, 0));
    TRY("peer's name", peer_name(c));
    close(c);

    pair("linger of 0 after the peer's FIN");
    shutdown(c, SHUT_WR);
    settle();
    linger(s, 0);
    close(s);
    show("closed", c);
    TRY("read", read(c, buffer, 10));
    close(c);

    pair("linger of 0 after both FIN");
    shutdown(c, SHUT_WR);
    settle();
    shutdown(s, SHUT_WR);
    settle();
    linger(s, 0);
    close(s);
    show("closed", c);
    TRY("read", read(c, buffer, 10));
    close(c);

    pair("linger of a second");
    linger(s, 1);
    send(s, "answer", 6, 0);
    close(s);
    show("closed", c);
    TRY("read", read(c, buffer, 10));
    TRY("read", read(c, buffer, 10));
    close(c);

    pair("a read that sleeps, and linger of 0");
    if (fork() == 0) {
        settle(), settle(), settle(), settle();
        close(c);
        linger(s, 0);
        close(s);
        _exit(0);
    }
    close(s);
    TRY("read", read(c, buffer, 10));
    close(c);
}

static void
shutdowns(void)
{
    pair("SHUT_RD");
    TRY("shutdown", shutdown(c, SHUT_RD));
    show("shut", c);
    show("peer", s);
    TRY("read", read(c, buffer, 10));
    TRY("peer sends", send(s, "data", 4, 0));
    settle();
    show("has data", c);
    TRY("read", read(c, buffer, 10));
    TRY("read", read(c, buffer, 10));
    TRY("send", send(c, "data", 4, 0));
    settle();
    TRY("peer reads", read(s, buffer, 10));
    TRY("again", shutdown(c, SHUT_RD));
    ends();

    pair("SHUT_WR");
    TRY("shutdown", shutdown(c, SHUT_WR));
    show("shut", c);
    show("peer", s);
    TRY("send", send(c, "data", 4, 0));
    TRY("peer reads", read(s, buffer, 10));
    TRY("peer sends", send(s, "data", 4, 0));
    settle();
    TRY("read", read(c, buffer, 10));
    TRY("again", shutdown(c, SHUT_WR));
    close(s);
    show("peer closed", c);
    TRY("read", read(c, buffer, 10));
    TRY("peer's name", peer_name(c));
    close(c);

    pair("SHUT_RDWR");
    TRY("shutdown", shutdown(c, SHUT_RDWR));
    show("shut", c);
    show("peer", s);
    TRY("peer sends", send(s, "data", 4, 0));
    settle();
    show("peer, sent", s);
    TRY("read", read(c, buffer, 10));
    TRY("peer sends", send(s, "data", 4, 0));
    TRY("peer reads", read(s, buffer, 10));
    ends();

    pair("both SHUT_WR");
    shutdown(c, SHUT_WR);
    settle();
    shutdown(s, SHUT_WR);
    show("one", c);
    show("other", s);
    TRY("send", send(c, "data", 4, 0));
    TRY("read", read(c, buffer, 10));
    TRY("shutdown", shutdown(c, SHUT_RD));
    TRY("shutdown", shutdown(s, SHUT_RDWR));
    TRY("name", peer_name(c));
    ends();

    pair("bad how");
    TRY("how 3", shutdown(c, 3));
    TRY("how -1", shutdown(c, -1));
    ends();
    c = socket(name.sin6_family, SOCK_STREAM, 0);
    TRY("unconnected", shutdown(c, SHUT_RD));
    show("unconnected", c);
    TRY("send", send(c, "x", 1, 0));
    TRY("read", read(c, buffer, 1));
    close(c);
}

static int
at_mark(int fd)
{
    int n = -1;

    return ioctl(fd, SIOCATMARK, &n) < 0 ? -1 : n;
}

static void
urgents(void)
{
    struct pollfd p;
    fd_set e;
    int one = 1, zero = 0, n;

    pair("urgent");
    fcntl(s, F_SETOWN, getpid());
    TRY("nothing", recv(s, buffer, 1, MSG_OOB));
    TRY("mark", at_mark(s));
    TRY("send", send(c, "abX", 3, MSG_OOB));
    settle();
    show("urgent", s);
    TRY("mark", at_mark(s));
    ioctl(s, FIONREAD, &n);
    printf("FIONREAD %d\n", n);
    send(c, "cd", 2, 0);
    settle();
    TRY("peek urgent", recv(s, buffer, 10, MSG_OOB | MSG_PEEK));
    printf("%c\n", buffer[0]);
    TRY("read to the mark", read(s, buffer, 10));
    TRY("mark", at_mark(s));
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    printf("%c\n", buffer[0]);
    TRY("urgent again", recv(s, buffer, 10, MSG_OOB));
    show("taken", s);
    TRY("rest", recv(s, buffer, 10, MSG_DONTWAIT));
    printf("%.2s\n", buffer);
    TRY("nothing", recv(s, buffer, 10, MSG_DONTWAIT));
    TRY("mark", at_mark(s));
    TRY("urgent at last", recv(s, buffer, 10, MSG_OOB));
    ends();

    pair("urgent, not taken");
    send(c, "abX", 3, MSG_OOB);
    send(c, "cd", 2, 0);
    settle();
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    printf("%.2s\n", buffer);
    show("passed", s);
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    ends();

    pair("urgent in line");
    setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
    send(c, "abX", 3, MSG_OOB);
    send(c, "cd", 2, 0);
    settle();
    show("urgent", s);
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    TRY("mark", at_mark(s));
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    printf("%.3s\n", buffer);
    TRY("mark", at_mark(s));
    show("read", s);
    ends();

    pair("two urgent ones");
    send(c, "aX", 2, MSG_OOB);
    settle();
    send(c, "bY", 2, MSG_OOB);
    settle();
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    printf("%c\n", buffer[0]);
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    printf("%.3s\n", buffer);
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    ends();

    pair("select, and the end");
    send(c, "X", 1, MSG_OOB);
    settle();
    FD_ZERO(&e);
    FD_SET(s, &e);
    TRY("select", select(s + 1, NULL, NULL, &e, &(struct timeval){0}));
    p = (struct pollfd){s, POLLIN};
    TRY("poll for data", poll(&p, 1, 0));
    close(c);
    show("closed", s);
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    TRY("read", recv(s, buffer, 10, MSG_DONTWAIT));
    close(s);

    pair("empty, and after shutdown");
    TRY("empty", send(c, "", 0, MSG_OOB));
    shutdown(c, SHUT_WR);
    settle();
    TRY("shut", send(c, "X", 1, MSG_OOB | MSG_NOSIGNAL));
    TRY("urgent", recv(s, buffer, 10, MSG_OOB));
    ends();
}

static void *
sends_later(void *arg)
{
    settle();
    settle();
    send(c, arg, strlen(arg), 0);
    return NULL;
}

/* Reads that meet the urgent byte in other ways. */
static void
urgent_reads(void)
{
    struct iovec v[2] = {{buffer, 2}, {buffer + 2, 8}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    struct epoll_event ev = {EPOLLPRI | EPOLLET};
    int one = 1, ep = epoll_create1(0);
    pthread_t t;

    pair("read all, with the urgent byte between");
    send(c, "abX", 3, MSG_OOB);
    send(c, "cdefgh", 6, 0);
    settle();
    TRY("all", recv(s, buffer, 8, MSG_WAITALL));
    TRY("peek at the mark", recv(s, buffer, 10, MSG_PEEK));
    printf("%.6s\n", buffer);
    TRY("mark", at_mark(s));
    TRY("no bytes", recv(s, buffer, 0, 0));
    TRY("mark", at_mark(s));
    TRY("thrown away", recv(s, buffer, 2, MSG_TRUNC));
    TRY("a vector", recvmsg(s, &m, 0));
    printf("%.4s, flags %x\n", buffer, m.msg_flags);
    ends();

    pair("peek before the mark");
    send(c, "abX", 3, MSG_OOB);
    send(c, "cd", 2, 0);
    settle();
    TRY("peek", recv(s, buffer, 10, MSG_PEEK));
    TRY("peek a byte", recv(s, buffer, 1, MSG_PEEK));
    TRY("urgent, thrown away", recv(s, buffer, 1, MSG_OOB | MSG_TRUNC));
    TRY("read", recv(s, buffer, 10, 0));
    ends();

    pair("urgent by recvmsg");
    send(c, "X", 1, MSG_OOB);
    settle();
    m.msg_iovlen = 0;
    TRY("no room, peek", recvmsg(s, &m, MSG_OOB | MSG_PEEK));
    printf("flags %x\n", m.msg_flags);
    m.msg_iovlen = 2;
    m.msg_flags = 0;
    TRY("urgent", recvmsg(s, &m, MSG_OOB));
    printf("flags %x\n", m.msg_flags);
    TRY("bad address", (send(c, "Y", 1, MSG_OOB), settle(), recv(s, (void *)8, 1, MSG_OOB)));
    ends();

    pair("a read sleeps on the urgent byte alone");
    send(c, "X", 1, MSG_OOB);
    settle();
    show("urgent", s);
    pthread_create(&t, NULL, sends_later, "later");
    TRY("read", read(s, buffer, 10));
    pthread_join(t, NULL);
    TRY("mark", at_mark(s));
    TRY("urgent", recv(s, buffer, 1, MSG_OOB));
    ends();

    pair("the owner");
    TRY("owner", fcntl(s, F_SETOWN, getpid()));
    epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
    TRY("nothing", epoll_wait(ep, &ev, 1, 0));
    send(c, "X", 1, MSG_OOB);
    TRY("epoll", epoll_wait(ep, &ev, 1, 1000) < 0 ? epoll_wait(ep, &ev, 1, 1000) : 1);
    printf("events %x\n", ev.events);
    TRY("group", fcntl(s, F_SETOWN, -getpgrp()));
    TRY("mine to nobody", send(s, "Y", 1, MSG_OOB));
    settle();
    TRY("in line", setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    show("in line", s);
    TRY("read", recv(s, buffer, 10, 0));
    show("read", s);
    ends();
    close(ep);
    TRY("not connected", recv(socket(name.sin6_family, SOCK_STREAM, 0), buffer, 1, MSG_OOB));
    TRY("listening", recv(listener, buffer, 1, MSG_OOB));
    TRY("mark of a listener", at_mark(listener));
}

/* The row of /proc/net/NAME whose local and remote ports are these. */
static void
row(const char *table, const char *what, int fd, int local, int remote)
{
    char line[400], path[40];
    struct stat st;
    FILE *f;

    sprintf(path, "/proc/net/%s", table);
    f = fopen(path, "r");
    fstat(fd, &st);
    while (fgets(line, sizeof line, f)) {
        unsigned lp, rp, state, tx, rx, uid;
        unsigned long ino;

        if (sscanf(line, "%*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %x %x:%x %*x:%*x %*x %u %*d %lu", &lp, &rp, &state, &tx, &rx,
                   &uid, &ino) == 7 &&
            lp == local && rp == remote)
            printf("%s %s: state %x, %u and %u, %s inode, %zu bytes\n", table, what, state, tx > 0, rx,
                   ino == 0           ? "no"
                   : ino == st.st_ino ? "its"
                                      : "another",
                   strchr(table, '6') ? 0 : strlen(line));
    }
    fclose(f);
}

static int
port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof a;

    getsockname(fd, (void *)&a, &n);
    return ntohs(a.sin6_port);
}

static void
tables(void)
{
    static const char *const names[] = {"tcp", "tcp6", "udp", "udp6"};
    const char *table = name.sin6_family == AF_INET ? "tcp" : "tcp6",
               *udp = name.sin6_family == AF_INET ? "udp" : "udp6";
    int u = socket(name.sin6_family, SOCK_DGRAM, 0), second;
    char line[400];

    for (int k = 0; k < 4; k++) {
        sprintf(buffer, "/proc/net/%s", names[k]);
        FILE *f = fopen(buffer, "r");

        fgets(line, sizeof line, f);
        printf("%s", line);
        fclose(f);
    }
    pair("tables");
    send(c, "abc", 3, 0);
    settle();
    row(table, "listener", listener, port_of(listener), 0);
    row(table, "connected", c, port_of(c), port_of(s));
    row(table, "accepted", s, port_of(s), port_of(c));
    second = socket(name.sin6_family, SOCK_STREAM, 0);
    connect(second, (void *)&name, name_size);
    settle();
    row(table, "listener", listener, port_of(listener), 0);
    row(table, "waiting", listener, port_of(listener), port_of(second));
    read(s, buffer, 3);
    shutdown(c, SHUT_WR);
    settle(), settle(), settle(), settle(), settle(), settle(), settle(), settle(), settle(), settle();
    row(table, "closed by the peer", s, port_of(s), port_of(c));
    TRY("bind of an accepted one", bind(s, (void *)&name, name_size));
    ends();
    close(second);
    close(accept(listener, NULL, NULL));
    name.sin6_port = 0;
    bind(u, (void *)&name, name_size);
    row(udp, "udp", u, port_of(u), 0);
    close(u);
}

int
main(void)
{
    struct sigaction act = {.sa_handler = on_signal};

    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGPIPE, &act, NULL);
    sigaction(SIGURG, &act, NULL);
    sigaction(SIGALRM, &act, NULL);
    for (int k = 0; k < 2; k++) {
        listen_on(k ? AF_INET6 : AF_INET);
        goodbyes();
        shutdowns();
        urgents();
        urgent_reads();
        tables();
        close(listener);
    }
    return 0;
}
