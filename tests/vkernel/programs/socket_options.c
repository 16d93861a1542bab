/* Socket options: what can be set and is read back, and what each one does. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *
name(long r)
{
    return r < 0 ? strerrorname_np(errno) : "ok";
}

static int
set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

static int
get(int fd, int level, int option)
{
    int value = -99;
    socklen_t n = sizeof value;

    return getsockopt(fd, level, option, &value, &n) < 0 ? -errno - 1000 : value;
}

/* --- what is read back --- */

#define O(level, option) {level, option, #option}
/* clang-format off */
static const struct { int level, option; const char *name; } all[] = {
    O(SOL_SOCKET, SO_REUSEADDR), O(SOL_SOCKET, SO_REUSEPORT), O(SOL_SOCKET, SO_BROADCAST), O(SOL_SOCKET, SO_KEEPALIVE),
    O(SOL_SOCKET, SO_OOBINLINE), O(SOL_SOCKET, SO_DONTROUTE), O(SOL_SOCKET, SO_NO_CHECK), O(SOL_SOCKET, SO_PASSCRED),
    O(SOL_SOCKET, SO_PASSSEC), O(SOL_SOCKET, SO_TIMESTAMP), O(SOL_SOCKET, SO_TIMESTAMPNS), O(SOL_SOCKET, SO_RXQ_OVFL),
    O(SOL_SOCKET, SO_INCOMING_CPU), O(SOL_SOCKET, SO_TYPE), O(SOL_SOCKET, SO_ERROR), O(SOL_SOCKET, SO_SNDLOWAT),
    O(SOL_SOCKET, SO_ACCEPTCONN), O(SOL_SOCKET, SO_PROTOCOL), O(SOL_SOCKET, SO_DETACH_FILTER), O(SOL_SOCKET, SO_PEERSEC),
    O(SOL_SOCKET, 999),
    O(IPPROTO_TCP, TCP_NODELAY), O(IPPROTO_TCP, TCP_CORK), O(IPPROTO_TCP, TCP_MAXSEG), O(IPPROTO_TCP, TCP_KEEPIDLE),
    O(IPPROTO_TCP, TCP_KEEPINTVL), O(IPPROTO_TCP, TCP_KEEPCNT), O(IPPROTO_TCP, TCP_SYNCNT), O(IPPROTO_TCP, TCP_LINGER2),
    O(IPPROTO_TCP, TCP_DEFER_ACCEPT), O(IPPROTO_TCP, TCP_QUICKACK), O(IPPROTO_TCP, TCP_USER_TIMEOUT),
    O(IPPROTO_TCP, TCP_FASTOPEN), O(IPPROTO_TCP, TCP_NOTSENT_LOWAT), O(IPPROTO_TCP, TCP_INQ), O(IPPROTO_TCP, 999),
    O(IPPROTO_UDP, UDP_CORK), O(IPPROTO_UDP, UDP_NO_CHECK6_TX), O(IPPROTO_UDP, UDP_NO_CHECK6_RX), O(IPPROTO_UDP, 999),
    O(IPPROTO_IP, IP_TOS), O(IPPROTO_IP, IP_TTL), O(IPPROTO_IP, IP_PKTINFO), O(IPPROTO_IP, IP_RECVTTL), O(IPPROTO_IP, IP_RECVTOS),
    O(IPPROTO_IP, IP_RECVORIGDSTADDR), O(IPPROTO_IP, IP_RECVERR), O(IPPROTO_IP, IP_FREEBIND),
    O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), O(IPPROTO_IP, IP_RECVOPTS), O(IPPROTO_IP, IP_RETOPTS), O(IPPROTO_IP, IP_MTU_DISCOVER),
    O(IPPROTO_IP, IP_MULTICAST_LOOP), O(IPPROTO_IP, IP_MTU),
    O(IPPROTO_IPV6, IPV6_V6ONLY), O(IPPROTO_IPV6, IPV6_UNICAST_HOPS), O(IPPROTO_IPV6, IPV6_TCLASS),
    O(IPPROTO_IPV6, IPV6_RECVPKTINFO), O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), O(IPPROTO_IPV6, IPV6_RECVTCLASS),
    O(IPPROTO_IPV6, IPV6_RECVERR), O(IPPROTO_IPV6, IPV6_FREEBIND), O(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), O(IPPROTO_IPV6, IPV6_MULTICAST_ALL),
};
/* clang-format on */

static void
read_back(void)
{
    static const struct {
        int family, type;
        const char *name;
    } kinds[] = {
        {AF_INET, SOCK_STREAM, "tcp"},  {AF_INET, SOCK_DGRAM, "udp"},   {AF_INET6, SOCK_STREAM, "tcp6"},
        {AF_INET6, SOCK_DGRAM, "udp6"}, {AF_UNIX, SOCK_STREAM, "unix"},
    };
    static const int values[] = {-2, -1, 0, 1, 5, 127, 128, 256, 40000};

    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++) {
            int s = socket(kinds[j].family, kinds[j].type, 0), value = 1;
            socklen_t n = sizeof value;
            int r = getsockopt(s, all[k].level, all[k].option, &value, &n);

            printf("%s %s: %s %d", all[k].name, kinds[j].name, r < 0 ? strerrorname_np(errno) : "", r < 0 ? 0 : value);
            for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                r = set(s, all[k].level, all[k].option, values[i]);
                printf(" %d:%s", values[i], name(r));
                if (r == 0)
                    printf("=%d", get(s, all[k].level, all[k].option));
            }
            value = 1;
            printf(" byte:%s", name(setsockopt(s, all[k].level, all[k].option, &value, 1)));
            if (all[k].level != IPPROTO_IP)
                printf(" none:%s", name(setsockopt(s, all[k].level, all[k].option, &value, 0)));
            printf("\n");
            close(s);
        }
}

/* --- helpers --- */

static struct sockaddr_in
local(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    a.sin_addr.s_addr = inet_addr(address);
    return a;
}

static int
port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof a;

    getsockname(fd, (struct sockaddr *)&a, &n);
    return ntohs(a.sin6_port);
}

static int
bound(int family, int type)
{
    struct sockaddr_in a = local("0.0.0.0", 0);
    struct sockaddr_in6 b = {.sin6_family = AF_INET6};
    int s = socket(family, type, 0);

    bind(s, family == AF_INET ? (struct sockaddr *)&a : (struct sockaddr *)&b, family == AF_INET ? sizeof a : sizeof b);
    return s;
}

static void
tcp_pair(int p[2])
{
    int l = bound(AF_INET, SOCK_STREAM);
    struct sockaddr_in a = local("127.0.0.1", port_of(l));

    listen(l, 5);
    p[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(p[0], (struct sockaddr *)&a, sizeof a);
    p[1] = accept(l, NULL, NULL);
    close(l);
}

static int
events(int fd, int wanted)
{
    struct pollfd p = {fd, (short)wanted, 0};

    poll(&p, 1, 0);
    return p.revents;
}

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t started;

static void
print_time(uint64_t ns, uint64_t grain)
{
    printf(" %s", ns + grain >= started && ns <= now() ? "in time" : "at another time");
}

static void
print_control(struct cmsghdr *c)
{
    struct timeval tv;
    struct timespec ts[3];
    struct in_pktinfo info;
    struct in6_pktinfo info6;
    struct sockaddr_in to;
    struct {
        struct sock_extended_err e;
        struct sockaddr_in6 a;
    } err;
    char text[64];
    int value = 0;
    size_t size = c->cmsg_len - sizeof *c;

    printf("  %d/%d, %zu bytes:", c->cmsg_level, c->cmsg_type, size);
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP) {
        memcpy(&tv, CMSG_DATA(c), sizeof tv);
        print_time((uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000, 1000);
    } else if (c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SO_TIMESTAMPNS || c->cmsg_type == SO_TIMESTAMPING)) {
        memcpy(ts, CMSG_DATA(c), size);
        print_time((uint64_t)ts[0].tv_sec * 1000000000u + (uint64_t)ts[0].tv_nsec, 1000);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        memcpy(&info, CMSG_DATA(c), sizeof info);
        printf(" interface %d", info.ipi_ifindex);
        printf(" address %s", inet_ntop(AF_INET, &info.ipi_addr, text, sizeof text));
        printf(" local %s", inet_ntop(AF_INET, &info.ipi_spec_dst, text, sizeof text));
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        memcpy(&info6, CMSG_DATA(c), sizeof info6);
        printf(" interface %d address %s", info6.ipi6_ifindex,
               inet_ntop(AF_INET6, &info6.ipi6_addr, text, sizeof text));
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
        memcpy(&to, CMSG_DATA(c), sizeof to);
        printf(" to %s", inet_ntop(AF_INET, &to.sin_addr, text, sizeof text));
    } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
               (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
        memcpy(&err, CMSG_DATA(c), size < sizeof err ? size : sizeof err);
        printf(" %s origin %d type %d code %d from family %d", strerrorname_np((int)err.e.ee_errno), err.e.ee_origin,
               err.e.ee_type, err.e.ee_code, err.a.sin6_family);
    } else if (size <= sizeof value) {
        memcpy(&value, CMSG_DATA(c), size);
        printf(" %d", value);
    }
    printf("\n");
}

/* Receives and prints one message with room for `room` bytes of control messages. */
static ssize_t
show(int fd, int flags, size_t room)
{
    _Alignas(8) char control[512];
    char data[2048];
    struct sockaddr_storage from = {0};
    struct iovec iov = {data, sizeof data};
    struct msghdr m = {&from, sizeof from, &iov, 1, control, room, 0};
    ssize_t n = recvmsg(fd, &m, flags | MSG_DONTWAIT);

    printf(" received %zd %s flags %x\n", n, name(n), n < 0 ? 0 : (unsigned)m.msg_flags);
    if (n >= 0)
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            print_control(c);
    return n;
}

/* --- what they do --- */

static void
stamps(void)
{
    int u = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0), p[2], q[2];
    struct sockaddr_in a = local("127.0.0.1", port_of(u));

    tcp_pair(p);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, q);
    started = now();
    for (int round = 0; round < 3; round++) {
        printf("stamps %d\n", round);
        int option = round == 0 ? SO_TIMESTAMP : round == 1 ? SO_TIMESTAMPNS : SO_TIMESTAMPING;
        int value = round < 2 ? 1 : SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

        set(u, SOL_SOCKET, SO_TIMESTAMPNS, 0), set(p[1], SOL_SOCKET, SO_TIMESTAMPNS, 0),
            set(q[1], SOL_SOCKET, SO_TIMESTAMPNS, 0);
        printf("%s", name(set(u, SOL_SOCKET, option, value)));
        printf(" %s", name(set(p[1], SOL_SOCKET, option, value)));
        printf(" %s", name(set(q[1], SOL_SOCKET, option, value)));
        printf(" %d %d\n", get(u, SOL_SOCKET, SO_TIMESTAMP), get(u, SOL_SOCKET, SO_TIMESTAMPNS));
        usleep(50000); /* Linux begins to take times a little after the first socket wants them */
        sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a);
        write(p[0], "x", 1);
        write(q[0], "x", 1);
        usleep(1000);
        show(u, 0, 512);
        show(p[1], 0, 512);
        show(q[1], 0, 512);
    }
    set(u, SOL_SOCKET, SO_TIMESTAMP, 1);
    sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a);
    sendto(c, "y", 1, 0, (struct sockaddr *)&a, sizeof a);
    show(u, 0, 0);
    show(u, 0, 20);
    close(u), close(c), close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void
headers(void)
{
    int u = bound(AF_INET, SOCK_DGRAM), six = bound(AF_INET6, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0),
        c6 = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in a = local("127.0.0.5", port_of(u)), b = local("127.0.0.6", port_of(six));
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)port_of(six)),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct {
        struct cmsghdr h;
        int value, pad;
        struct cmsghdr h2;
        int value2, pad2;
    } control = {{CMSG_LEN(4), IPPROTO_IP, IP_TTL}, 9, 0, {CMSG_LEN(4), IPPROTO_IP, IP_TOS}, 0x28, 0};
    struct {
        struct cmsghdr h;
        struct in_pktinfo info;
    } from = {{CMSG_LEN(12), IPPROTO_IP, IP_PKTINFO}, {0}};
    struct iovec iov = {(char *)"abc", 3};
    struct msghdr m = {&a, sizeof a, &iov, 1, &control, sizeof control, 0};
    struct sockaddr_in peer;
    socklen_t n = sizeof peer;
    char text[64], byte;

    set(u, IPPROTO_IP, IP_PKTINFO, 1), set(u, IPPROTO_IP, IP_RECVTTL, 1), set(u, IPPROTO_IP, IP_RECVTOS, 1);
    set(u, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
    set(six, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), set(six, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set(six, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set(c, IPPROTO_IP, IP_TTL, 33), set(c, IPPROTO_IP, IP_TOS, 0x10);
    set(c6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44), set(c6, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
    printf("headers\n");
    sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a);
    show(u, 0, 512);
    printf("as a control message says: %s\n", name(sendmsg(c, &m, 0)));
    show(u, 0, 512);
    control.value = 0;
    printf("TTL 0: %s\n", name(sendmsg(c, &m, 0)));
    control.h.cmsg_type = 99;
    printf("an unknown one: %s\n", name(sendmsg(c, &m, 0)));
    from.info.ipi_spec_dst.s_addr = inet_addr("127.0.0.77");
    m.msg_control = &from, m.msg_controllen = sizeof from;
    printf("from: %s\n", name(sendmsg(c, &m, 0)));
    recvfrom(u, &byte, 1, 0, (struct sockaddr *)&peer, &n);
    printf(" %s\n", inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text));
    printf("six\n");
    sendto(c6, "x", 1, 0, (struct sockaddr *)&a6, sizeof a6);
    show(six, 0, 512);
    sendto(c, "x", 1, 0, (struct sockaddr *)&b, sizeof b);
    show(six, 0, 512);
    close(u), close(six), close(c), close(c6);
}

static void
low_water(void)
{
    struct timeval t = {0, 60000};
    char buf[64];
    int p[2], q[2];

    printf("low water\n");
    tcp_pair(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    set(p[1], SOL_SOCKET, SO_RCVLOWAT, 6), set(q[1], SOL_SOCKET, SO_RCVLOWAT, 6);
    write(p[0], "abc", 3), write(q[0], "abc", 3);
    usleep(2000);
    printf(" readable %d %d\n", events(p[1], POLLIN) != 0, events(q[1], POLLIN) != 0);
    printf(" at once %zd\n", recv(p[1], buf, 2, MSG_DONTWAIT));
    setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(q[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    printf(" after a time %zd, read %zd\n", recv(p[1], buf, 10, 0), read(q[1], buf, 10));
    for (int k = 0; k < 2; k++) {
        int *pair = k ? q : p;

        if (fork() == 0) {
            write(pair[0], "abcd", 4);
            usleep(20000);
            write(pair[0], "efgh", 4);
            _exit(0);
        }
        t.tv_usec = 0;
        setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        printf(" whole %zd\n", recv(pair[1], buf, 64, 0));
        wait(NULL);
    }
    write(p[0], "abcdef", 6);
    usleep(2000);
    printf(" readable %d\n", events(p[1], POLLIN) != 0);
    recv(p[1], buf, 64, 0);
    write(p[0], "x", 1);
    shutdown(p[0], SHUT_WR);
    usleep(2000);
    printf(" at the end %d %zd\n", events(p[1], POLLIN) != 0, recv(p[1], buf, 64, 0));
    close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void
errors(void)
{
    int dead = bound(AF_INET, SOCK_DGRAM), port = port_of(dead), s = socket(AF_INET, SOCK_DGRAM, 0),
        six = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in a = local("127.0.0.1", port);
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    close(dead);
    printf("errors\n");
    printf("%s", name(sendto(s, "hello", 5, 0, (struct sockaddr *)&a, sizeof a)));
    printf(" %s\n", name(sendto(s, "hello", 5, 0, (struct sockaddr *)&a, sizeof a)));
    set(s, IPPROTO_IP, IP_RECVERR, 1), set(six, IPPROTO_IPV6, IPV6_RECVERR, 1);
    printf("%s", name(sendto(s, "hello", 5, 0, (struct sockaddr *)&a, sizeof a)));
    printf(" %x", (unsigned)events(s, POLLIN | POLLOUT));
    printf(" %s", name(sendto(s, "again", 5, 0, (struct sockaddr *)&a, sizeof a)));
    printf(" %x\n", (unsigned)events(s, POLLIN | POLLOUT));
    show(s, MSG_ERRQUEUE, 512);
    printf("%x\n", (unsigned)events(s, POLLIN | POLLOUT));
    show(s, MSG_ERRQUEUE, 512);
    sendto(s, "one", 3, 0, (struct sockaddr *)&a, sizeof a);
    printf("%s", name(connect(s, (struct sockaddr *)&a, sizeof a)));
    printf(" %s\n", name(send(s, "two", 3, 0)));
    show(s, 0, 512);
    show(s, MSG_ERRQUEUE, 512);
    show(s, MSG_ERRQUEUE, 512);
    sendto(six, "hello", 5, 0, (struct sockaddr *)&a6, sizeof a6);
    printf("%d\n", get(six, SOL_SOCKET, SO_ERROR));
    show(six, MSG_ERRQUEUE, 512);
    close(s), close(six);
}

static void
broadcast(void)
{
    int u = socket(AF_INET, SOCK_DGRAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = local("0.0.0.0", 0);

    set(u, SOL_SOCKET, SO_REUSEADDR, 1), set(v, SOL_SOCKET, SO_REUSEADDR, 1);
    bind(u, (struct sockaddr *)&a, sizeof a);
    a = local("0.0.0.0", port_of(u));
    bind(v, (struct sockaddr *)&a, sizeof a);
    a = local("127.255.255.255", port_of(u));
    printf("broadcast %s", name(sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a)));
    set(c, SOL_SOCKET, SO_BROADCAST, 1);
    printf(" %s\n", name(sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a)));
    show(u, 0, 512);
    show(v, 0, 512);
    close(u), close(v), close(c);
}

static void
cork(void)
{
    int u = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = local("127.0.0.1", port_of(u));
    char big[65507] = {0};

    printf("cork\n");
    connect(c, (struct sockaddr *)&a, sizeof a);
    send(c, "abc", 3, MSG_MORE), send(c, "defg", 4, MSG_MORE);
    show(u, 0, 512);
    send(c, "h", 1, 0);
    show(u, 0, 512);
    set(c, IPPROTO_UDP, UDP_CORK, 1);
    send(c, "abc", 3, 0), send(c, "de", 2, 0);
    show(u, 0, 512);
    set(c, IPPROTO_UDP, UDP_CORK, 0);
    show(u, 0, 512);
    printf("%s", name(send(c, big, 60000, MSG_MORE)));
    printf(" %s", name(send(c, big, 6000, 0)));
    printf(" %s\n", name(send(c, "last", 4, 0)));
    show(u, 0, 512);
    printf("urgent %s\n", name(send(c, "x", 1, MSG_OOB)));
    close(u), close(c);
}

static void
lost(void)
{
    int u = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0), received = 0;
    struct sockaddr_in a = local("127.0.0.1", port_of(u));
    _Alignas(8) char control[64];
    char data[1000] = {0};
    struct iovec iov = {data, sizeof data};
    struct msghdr m = {NULL, 0, &iov, 1, control, sizeof control, 0};
    unsigned drops = 0;

    set(u, SOL_SOCKET, SO_RXQ_OVFL, 1), set(u, SOL_SOCKET, SO_RCVBUF, 4096);
    for (int k = 0; k < 200; k++)
        sendto(c, data, sizeof data, 0, (struct sockaddr *)&a, sizeof a);
    while (recvmsg(u, &m, MSG_DONTWAIT) > 0)
        received++, m.msg_controllen = sizeof control;
    sendto(c, data, sizeof data, 0, (struct sockaddr *)&a, sizeof a);
    recvmsg(u, &m, 0);
    if (m.msg_controllen)
        memcpy(&drops, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof drops);
    printf("lost some %d, all told %d\n", received < 200, (int)drops == 200 - received);
    close(u), close(c);
}

static void
shared_port(void)
{
    int l[2], port, served[2] = {0}, c[64];
    struct sockaddr_in a = local("127.0.0.1", 0);

    for (int k = 0; k < 2; k++) {
        l[k] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        set(l[k], SOL_SOCKET, SO_REUSEPORT, 1);
        printf("shared port %s", name(bind(l[k], (struct sockaddr *)&a, sizeof a)));
        printf(" %s\n", name(listen(l[k], 64)));
        port = port_of(l[k]);
        a = local("127.0.0.1", port);
    }
    for (int k = 0; k < 64; k++) {
        c[k] = socket(AF_INET, SOCK_STREAM, 0);
        connect(c[k], (struct sockaddr *)&a, sizeof a);
    }
    for (int k = 0; k < 2; k++)
        for (int s; (s = accept(l[k], NULL, NULL)) >= 0; close(s))
            served[k]++;
    printf("each serves some: %d, together %d\n", served[0] > 5 && served[1] > 5, served[0] + served[1]);
    for (int k = 0; k < 64; k++)
        close(c[k]);
    close(l[0]), close(l[1]);
}

static void
deferred(void)
{
    int l = bound(AF_INET, SOCK_STREAM), c = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_STREAM, 0), s;
    struct sockaddr_in a = local("127.0.0.1", port_of(l));
    struct pollfd p = {l, POLLIN, 0};
    struct timeval t = {5, 0}, back;
    struct linger linger = {1, 3}, other;
    socklen_t n = sizeof back;

    fcntl(l, F_SETFL, O_NONBLOCK);
    set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), setsockopt(l, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    set(l, SOL_SOCKET, SO_KEEPALIVE, 1), set(l, IPPROTO_TCP, TCP_NODELAY, 1);
    listen(l, 5);
    printf("deferred %s", name(connect(c, (struct sockaddr *)&a, sizeof a)));
    printf(" %d", poll(&p, 1, 50));
    printf(" %s", name(accept(l, NULL, NULL)));
    write(c, "x", 1);
    printf(" %d", poll(&p, 1, 5000));
    s = accept(l, NULL, NULL);
    printf(" %s", name(s));
    getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &back, &n);
    n = sizeof other;
    getsockopt(s, SOL_SOCKET, SO_LINGER, &other, &n);
    printf(" inherits %d %d %d %d %d\n", get(s, IPPROTO_TCP, TCP_DEFER_ACCEPT), get(s, SOL_SOCKET, SO_KEEPALIVE),
           get(s, IPPROTO_TCP, TCP_NODELAY), (int)back.tv_sec, other.l_linger);
    connect(d, (struct sockaddr *)&a, sizeof a);
    printf("without data, after a second %d\n", poll(&p, 1, 10000));
    close(c), close(d), close(s), close(l);
}

static void
reset(void)
{
    struct linger linger = {1, 0};
    char buf[8];
    int p[2];

    tcp_pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    write(p[0], "abc", 3);
    close(p[0]);
    printf("reset %x", (unsigned)events(p[1], POLLIN | POLLOUT | POLLRDHUP));
    printf(" %zd", recv(p[1], buf, 8, 0));
    printf(" %s", name(recv(p[1], buf, 8, 0)));
    printf(" %zd", recv(p[1], buf, 8, 0));
    printf(" %s\n", name(send(p[1], "x", 1, MSG_NOSIGNAL)));
    close(p[1]);
}

static void
binding(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), l = bound(AF_INET, SOCK_STREAM), u = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = local("127.0.0.9", 0), b = local("127.0.0.1", port_of(l)), foreign = local("203.0.113.5", 0);
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    char text[32] = "";

    listen(l, 5);
    set(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    printf("bind without a port %s %d", name(bind(s, (struct sockaddr *)&a, sizeof a)), port_of(s));
    printf(" %s", name(connect(s, (struct sockaddr *)&b, sizeof b)));
    accept(l, (struct sockaddr *)&from, &n);
    printf(" %s %d\n", inet_ntop(AF_INET, &from.sin_addr, text, sizeof text), port_of(s) != 0);
    printf("bind elsewhere %s", name(bind(u, (struct sockaddr *)&foreign, sizeof foreign)));
    set(u, IPPROTO_IP, IP_FREEBIND, 1);
    printf(" %s\n", name(bind(u, (struct sockaddr *)&foreign, sizeof foreign)));
    printf("device %s", name(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2)));
    printf(" %s", name(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nowhere0", 8)));
    n = sizeof text;
    printf(" %s", name(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, text, &n)));
    printf(" %.*s\n", (int)n, text);
    close(s), close(l), close(u);
}

static void
tcp(void)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    char text[32] = "";
    int p[2], s = socket(AF_INET, SOCK_STREAM, 0);

    tcp_pair(p);
    write(p[0], "abcdef", 6);
    usleep(1000);
    set(p[1], IPPROTO_TCP, TCP_INQ, 1);
    printf("tcp\n");
    read(p[1], text, 2);
    recvmsg(p[1], &(struct msghdr){.msg_iov = &(struct iovec){text, 1}, .msg_iovlen = 1}, 0);
    show(p[1], 0, 512);
    shutdown(p[0], SHUT_WR);
    usleep(1000);
    getsockopt(p[1], IPPROTO_TCP, TCP_INFO, &info, &n);
    printf("state %d received %d", info.tcpi_state, (int)info.tcpi_bytes_received / 6);
    n = sizeof info;
    getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n);
    printf(", acknowledged %d\n", (int)info.tcpi_bytes_acked / 6);
    printf("congestion %s", name(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8)));
    printf(" %s", name(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4)));
    n = sizeof text;
    getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, text, &n);
    printf(" %s %d", text, (int)n);
    printf(" %s\n", name(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "cubic", 6)));
    printf("layer %s", name(setsockopt(s, IPPROTO_TCP, TCP_ULP, "nonesuch", 8)));
    n = sizeof text;
    printf(" %s", name(getsockopt(s, IPPROTO_IP, IP_OPTIONS, text, &n)));
    printf(" options of %d bytes\n", (int)n);
    close(p[0]), close(p[1]), close(s);
}

static void
credentials(void)
{
    struct {
        struct cmsghdr h;
        struct ucred u;
        int pad;
    } c = {{CMSG_LEN(sizeof(struct ucred)), SOL_SOCKET, SCM_CREDENTIALS}, {getpid(), 1234, 4321}, 0};
    struct iovec iov = {(char *)"x", 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = CMSG_SPACE(sizeof(struct ucred))};
    _Alignas(8) char control[64] = {0};
    struct msghdr r = {.msg_iov = &(struct iovec){control + 60, 1},
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = 48};
    struct ucred u;
    int p[2];

    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    set(p[1], SOL_SOCKET, SO_PASSCRED, 1);
    printf("credentials %s", name(sendmsg(p[0], &m, 0)));
    recvmsg(p[1], &r, 0);
    memcpy(&u, CMSG_DATA(CMSG_FIRSTHDR(&r)), sizeof u);
    printf(" %d %d %d", u.pid == getpid(), (int)u.uid, (int)u.gid);
    c.u.pid = 99999999;
    printf(" nobody's %s", sendmsg(p[0], &m, 0) < 0 ? "refused" : "ok");
    fflush(stdout);
    if (fork() == 0) {
        c.u.pid = getpid();
        setuid(7);
        printf(" an ordinary user's %s\n", name(sendmsg(p[0], &m, 0)));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    close(p[0]), close(p[1]);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_back();
    stamps();
    headers();
    low_water();
    errors();
    broadcast();
    cork();
    lost();
    shared_port();
    deferred();
    reset();
    binding();
    tcp();
    credentials();
    return 0;
}
