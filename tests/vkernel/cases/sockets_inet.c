/* TCP and UDP on the loopback device, and options of sockets. */
#include "case.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static struct sockaddr_in
loopback(int port)
{
    return (
        struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Bound to a port of the loopback device that nobody has, which a says. */
static int
bound(int type, struct sockaddr_in *a)
{
    int fd = socket(AF_INET, type, 0);
    socklen_t size = sizeof *a;

    *a = loopback(0);
    bind(fd, (struct sockaddr *)a, sizeof *a);
    getsockname(fd, (struct sockaddr *)a, &size);
    return fd;
}

static void
connected(int fds[2])
{
    struct sockaddr_in a;
    int l = bound(SOCK_STREAM, &a);

    listen(l, 1);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(fds[0], (struct sockaddr *)&a, sizeof a);
    fds[1] = accept(l, NULL, NULL);
    close(l);
}

CASE(inet_socket_types)
{
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SHOW(socket(AF_INET, SOCK_SEQPACKET, 0));
    SHOW(socket(AF_INET, SOCK_STREAM, 300));
    OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    OK(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
    become(1000);
    SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
}

CASE(tcp_carries_bytes)
{
    int s[2];
    char buf[16] = "";

    connected(s);
    SHOW(send(s[0], "abc", 3, MSG_MORE));
    SHOW(send(s[0], "def", 3, 0));
    SHOW(recv(s[1], buf, 6, MSG_WAITALL));
    say("%s", buf);
    SHOW(recv(s[1], buf, 6, MSG_DONTWAIT));
    close(s[0]);
    SHOW(read(s[1], buf, 1));
}

CASE(tcp_half_closed)
{
    int s[2];
    char c;

    connected(s);
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(read(s[1], &c, 1));
    SHOW(write(s[1], "x", 1));
    SHOW(read(s[0], &c, 1));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    struct pollfd p = {s[1], POLLIN | POLLRDHUP | POLLOUT};
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
    SHOW(shutdown(s[0], 9));
    close(s[1]);
    SHOW(read(s[0], &c, 1));
}

CASE(tcp_refuses)
{
    struct sockaddr_in a;
    int closed = bound(SOCK_STREAM, &a), fd = socket(AF_INET, SOCK_STREAM, 0), error;
    socklen_t size = sizeof error;

    SHOW(connect(fd, (struct sockaddr *)&a, sizeof a));
    close(closed);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(fd, (struct sockaddr *)&a, sizeof a));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
    say("%d", error);
}

CASE(tcp_not_connected)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char c;

    SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
    SHOW(recv(fd, &c, 1, 0));
    SHOW(shutdown(fd, SHUT_RD));
    SHOW(getpeername(fd, (struct sockaddr *)&(struct sockaddr_in){0}, &(socklen_t){16}));
    SHOW(accept(fd, NULL, NULL));
    struct pollfd p = {fd, POLLIN | POLLOUT};
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
}

CASE(inet_bind_errors)
{
    struct sockaddr_in a, far = loopback(0);
    int fd = bound(SOCK_STREAM, &a), other = socket(AF_INET, SOCK_STREAM, 0);

    SHOW(bind(other, (struct sockaddr *)&a, sizeof a));
    SHOW(bind(fd, (struct sockaddr *)&a, sizeof a));
    SHOW(bind(other, (struct sockaddr *)&a, 4));
    SHOW(bind(other, (struct sockaddr *)-1, sizeof a));
    SHOW(bind(-1, (struct sockaddr *)&a, sizeof a));
    far.sin_addr.s_addr = htonl(0xc0000201);
    SHOW(bind(other, (struct sockaddr *)&far, sizeof far));
    far.sin_family = AF_INET6;
    SHOW(bind(other, (struct sockaddr *)&far, sizeof far));
    SHOW(connect(other, (struct sockaddr *)&far, sizeof far));
    SHOW(connect(other, (struct sockaddr *)&a, 4));
}

CASE(tcp_listen_twice)
{
    struct sockaddr_in a;
    int fd = bound(SOCK_STREAM, &a);

    SHOW(listen(fd, 5));
    SHOW(listen(fd, -1));
    SHOW(connect(fd, (struct sockaddr *)&a, sizeof a));
    SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
    SHOW(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
    SHOW(accept(fd, NULL, NULL));
    SHOW(accept(fd, (struct sockaddr *)&a, &(socklen_t){-1}));
}

CASE(udp_carries_packets)
{
    struct sockaddr_in a, b, from;
    int s = bound(SOCK_DGRAM, &a), t = bound(SOCK_DGRAM, &b);
    socklen_t size = sizeof from;
    static char buf[70000];

    SHOW(sendto(t, "abcd", 4, 0, (struct sockaddr *)&a, sizeof a));
    SHOW(recvfrom(s, buf, 2, MSG_TRUNC, (struct sockaddr *)&from, &size));
    say("%d %d", from.sin_port == b.sin_port, size);
    SHOW(recv(s, buf, 2, MSG_DONTWAIT));
    SHOW(sendto(t, "", 0, 0, (struct sockaddr *)&a, sizeof a));
    SHOW(recv(s, buf, 2, 0));
    SHOW(send(t, "x", 1, 0));
    SHOW(sendto(t, buf, 70000, 0, (struct sockaddr *)&a, sizeof a));
    SHOW(sendto(t, "x", 1, 0, (struct sockaddr *)&a, 4));
    SHOW(listen(s, 1));
}

CASE(udp_connected)
{
    struct sockaddr_in a, b, c;
    int s = bound(SOCK_DGRAM, &a), t = bound(SOCK_DGRAM, &b), u = bound(SOCK_DGRAM, &c);
    char x;

    SHOW(connect(s, (struct sockaddr *)&b, sizeof b));
    SHOW(sendto(u, "u", 1, 0, (struct sockaddr *)&a, sizeof a));
    SHOW(recv(s, &x, 1, MSG_DONTWAIT));
    SHOW(sendto(t, "t", 1, 0, (struct sockaddr *)&a, sizeof a));
    SHOW(recv(s, &x, 1, 0));
    SHOW(connect(s, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)));
    SHOW(send(s, "x", 1, 0));
    close(t);
    SHOW(connect(s, (struct sockaddr *)&b, sizeof b));
    SHOW(send(s, "x", 1, 0));
    sleep_ms(5);
    SHOW(recv(s, &x, 1, MSG_DONTWAIT));
    SHOW(recv(s, &x, 1, MSG_DONTWAIT));
}

CASE(socket_options)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), v = 1;
    socklen_t size = sizeof v;

    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &size));
    say("%d", v);
    SHOW(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &size));
    say("%d", v);
    SHOW(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &size));
    say("%d", v);
    v = 5;
    SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, &size));
    say("%d", v);
    SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, 3));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (void *)-1, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_TYPE, &v, sizeof v));
    SHOW(setsockopt(fd, SOL_SOCKET, 9999, &v, sizeof v));
    SHOW(getsockopt(fd, SOL_SOCKET, 9999, &v, &size));
    SHOW(setsockopt(fd, 9999, 1, &v, sizeof v));
    SHOW(getsockopt(fd, 9999, 1, &v, &size));
    size = 2;
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &size));
    say("%d", size);
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &(socklen_t){-1}));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, &(socklen_t){4}));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, NULL));
}

CASE(socket_buffers)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), v = 10000;
    socklen_t size = sizeof v;

    SHOW(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof v));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, &size));
    say("%d", v);
    v = 1;
    SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof v));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, &size));
    say("%d", v);
    SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){0}, sizeof v));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &v, &size));
    say("%d", v);
}

CASE(socket_timeouts)
{
    int s[2];
    struct timeval t = {0, 20000}, bad = {0, 1000000}, got;
    socklen_t size = sizeof got;
    char c;

    connected(s);
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, 8));
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &got, &size));
    say("%ld %d", (long)got.tv_sec, got.tv_usec > 0);
    SHOW(read(s[0], &c, 1));
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    close(s[0]);
    SHOW(read(s[1], &c, 1));
    SHOW(read(s[1], &c, 1));
}

CASE(tcp_options)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), v = 1;
    socklen_t size = sizeof v;

    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v));
    SHOW(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &size));
    say("%d", v);
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){0}, sizeof v));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){77}, sizeof v));
    SHOW(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &size));
    say("%d", v);
    SHOW(setsockopt(fd, IPPROTO_TCP, 9999, &v, sizeof v));
    SHOW(getsockopt(fd, IPPROTO_TCP, 9999, &v, &size));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, 2));
    SHOW(setsockopt(socket(AF_INET, SOCK_DGRAM, 0), IPPROTO_TCP, TCP_NODELAY, &v, sizeof v));
    SHOW(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){300}, sizeof v));
    SHOW(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){30}, sizeof v));
    SHOW(getsockopt(fd, IPPROTO_IP, IP_TTL, &v, &size));
    say("%d", v);
}

CASE(tcp_nonblocking_connect)
{
    struct sockaddr_in a;
    int l = bound(SOCK_STREAM, &a), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
    socklen_t size = sizeof error;

    listen(l, 1);
    int r = connect(fd, (struct sockaddr *)&a, sizeof a);
    say("%d", r == 0 || errno == EINPROGRESS);
    struct pollfd p = {fd, POLLOUT};
    SHOW(poll(&p, 1, 1000));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
    say("%d", error);
    SHOW(connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EISCONN);
    SHOW(connect(fd, (struct sockaddr *)&a, sizeof a));
}

CASE(inet_socket_ioctls)
{
    int s[2], n;

    connected(s);
    SHOW(write(s[0], "abc", 3));
    SHOW(poll(&(struct pollfd){s[1], POLLIN}, 1, 1000));
    SHOW(ioctl(s[1], FIONREAD, &n));
    say("%d", n);
    SHOW(ioctl(s[1], FIONREAD, NULL));
    SHOW(ioctl(s[1], 0x5413, &n));
    SHOW(lseek(s[1], 0, SEEK_SET));
    SHOW(pread(s[1], &n, 1, 0));
    SHOW(ftruncate(s[1], 0));
    SHOW(fsync(s[1]));
}

CASE(ipv6_loopback)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int s = socket(AF_INET6, SOCK_DGRAM, 0), t = socket(AF_INET6, SOCK_DGRAM, 0);
    socklen_t size = sizeof a;
    char c;

    SHOW(bind(s, (struct sockaddr *)&a, sizeof a));
    SHOW(getsockname(s, (struct sockaddr *)&a, &size));
    SHOW(sendto(t, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    SHOW(recv(s, &c, 1, 0));
    SHOW(bind(t, (struct sockaddr *)&a, 16));
}
