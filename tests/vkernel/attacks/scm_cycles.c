/* Sockets in each other's messages, and every descriptor of them closed: nobody can reach them any more, yet each holds
 * the other. They must be found and dropped, in all shapes, while those that can be reached keep what lies in them.
 * Then the limits of descriptors in flight. The same on Linux. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char bytes[60000];

static int
give_n(int s, const int *fds, int n, size_t size)
{
    char control[CMSG_SPACE(4 * 300)] = {0};
    struct iovec v = {bytes, size};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4 * n)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(4 * n);
    memcpy(CMSG_DATA(h), fds, 4 * n);
    return sendmsg(s, &m, MSG_DONTWAIT) < 0 ? errno : 0;
}

/* Linux looks for garbage behind the caller's back, a moment later; too many in flight means that it has not come to
 * it. */
static void
give(int s, int fd, size_t size)
{
    int error;

    for (int k = 0; (error = give_n(s, &fd, 1, size)) == ETOOMANYREFS && k < 3000; k++)
        usleep(1000);
    if (error) {
        printf("give: %s\n", strerrorname_np(error));
        exit(1);
    }
}

static int
take(int s)
{
    char control[CMSG_SPACE(4)] = {0}, byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;

    if (recvmsg(s, &m, MSG_DONTWAIT) < 0)
        return -1;
    if (CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), 4);
    return fd;
}

static void
pair(int type, int p[2])
{
    if (socketpair(AF_UNIX, type, 0, p) < 0) {
        perror("socketpair");
        exit(1);
    }
}

/* The other end of a socket that must go: it sees the hangup. */
static int witness[2];

static void
expect_gone(const char *what, int n)
{
    struct pollfd f = {.fd = witness[0]};
    int p[2];

    pair(SOCK_STREAM, p); /* Linux looks when a socket is released */
    close(p[0]);
    close(p[1]);
    printf("%s: %d, %s\n", what, n, poll(&f, 1, 5000) == 1 && (f.revents & POLLHUP) ? "gone" : "still there");
    fflush(stdout);
    close(witness[0]);
}

static void
pairs(int type, const char *what, int n)
{
    for (int k = 0; k < n; k++) {
        int p[2];

        pair(type, p);
        if (k == n - 1) {
            pair(SOCK_STREAM, witness);
            give(p[0], witness[1], 1);
            close(witness[1]);
        }
        give(p[0], p[1], sizeof bytes);
        give(p[1], p[0], sizeof bytes);
        close(p[0]);
        close(p[1]);
    }
    expect_gone(what, n);
}

static void
own_queue(int n)
{
    for (int k = 0; k < n; k++) {
        int p[2];

        pair(SOCK_DGRAM, p);
        if (k == n - 1) {
            pair(SOCK_STREAM, witness);
            give(p[0], witness[1], 1);
            close(witness[1]);
        }
        give(p[0], p[1], 1000);
        close(p[0]);
        close(p[1]);
    }
    expect_gone("in its own queue", n);
}

/* Each socket of a ring lies in the queue of the one before. */
static void
ring(int n)
{
    int(*p)[2] = malloc(n * sizeof *p);

    for (int k = 0; k < n; k++)
        pair(SOCK_SEQPACKET, p[k]);
    pair(SOCK_STREAM, witness);
    give(p[n / 2][0], witness[1], 1);
    close(witness[1]);
    for (int k = 0; k < n; k++)
        give(p[k][0], p[(k + 1) % n][1], 100);
    for (int k = 0; k < n; k++) {
        close(p[k][0]);
        close(p[k][1]);
    }
    expect_gone("ring", n);
    free(p);
}

/* A listener lies in the queue of a connection to itself that nobody has accepted. */
static void
listener(int n)
{
    for (int k = 0; k < n; k++) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        socklen_t length = sizeof a;
        int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

        bind(l, (struct sockaddr *)&a, sizeof(sa_family_t));
        getsockname(l, (struct sockaddr *)&a, &length);
        if (listen(l, 5) < 0 || connect(c, (struct sockaddr *)&a, length) < 0)
            perror("connect");
        if (k == n - 1) {
            pair(SOCK_STREAM, witness);
            give(c, witness[1], 1);
            close(witness[1]);
        }
        give(c, l, 1000);
        close(c);
        close(l);
    }
    expect_gone("listener", n);
}

/* Epoll files, pidfds and pipes travel with the sockets that they watch. */
static void
mixed(int n)
{
    for (int k = 0; k < n; k++) {
        struct epoll_event x = {.events = EPOLLIN};
        int p[2], q[2], e = epoll_create1(0), all[5];

        pair(SOCK_STREAM, p);
        pipe(q);
        epoll_ctl(e, EPOLL_CTL_ADD, p[0], &x);
        epoll_ctl(e, EPOLL_CTL_ADD, q[0], &x);
        memcpy(all, (int[]){p[0], p[1], e, q[0], q[1]}, sizeof all);
        give_n(p[0], all, 5, 100);
        give_n(p[1], all, 5, 100);
        if (k == n - 1) {
            pair(SOCK_STREAM, witness);
            give(p[0], witness[1], 1);
            close(witness[1]);
        }
        for (int j = 0; j < 5; j++)
            close(all[j]);
    }
    expect_gone("mixed", n);
}

/* What can be reached, however far round, stays: `held` has in its queue a socket of a cycle, behind a chain of
 * others. */
static void
reachable(void)
{
    int held[2], p[2], q[2], chain[2], s, t;

    pair(SOCK_DGRAM, held);
    pair(SOCK_DGRAM, p);
    pair(SOCK_DGRAM, q);
    give(p[0], q[1], 1); /* p1's queue: q1, p1; q1's queue: p1, q1 */
    give(p[0], p[1], 1);
    give(q[0], p[1], 1);
    give(q[0], q[1], 1);
    s = p[1];
    for (int k = 0; k < 50; k++) {
        pair(SOCK_DGRAM, chain);
        give(chain[0], s, 1);
        close(s);
        close(chain[0]);
        s = chain[1];
    }
    give(held[0], s, 1);
    close(s);
    close(p[0]);
    close(q[0]);
    close(q[1]);
    for (int k = 0; k < 300; k++) { /* garbage of others makes it look */
        int r[2];

        pair(SOCK_DGRAM, r);
        give(r[0], r[1], 1);
        close(r[0]);
        close(r[1]);
    }
    usleep(10000);
    s = held[1];
    for (int k = 0; k < 51; k++) {
        t = take(s);
        if (t < 0)
            break;
        if (s != held[1])
            close(s);
        s = t;
    }
    t = take(s);
    printf("reachable: %d %d", s >= 0, t >= 0);
    printf(" %d", take(s) >= 0);
    printf(" %d", take(t) >= 0);
    printf(" %d %d\n", take(t) >= 0, take(t) >= 0);
    for (int k = 3; k < 200; k++)
        close(k);
}

static void
limits(void)
{
    struct rlimit few = {64, 64};
    int p[2], all[254], n = 0, error;

    pair(SOCK_STREAM, p);
    for (int k = 0; k < 254; k++)
        all[k] = 0;
    error = give_n(p[0], all, 253, 1);
    printf("253: %s\n", error ? strerrorname_np(error) : "yes");
    printf("254: %s\n", strerrorname_np(give_n(p[0], all, 254, 1)));
    all[5] = 999;
    printf("bad: %s\n", strerrorname_np(give_n(p[0], all, 6, 1)));
    close(p[0]);
    close(p[1]);
    pair(SOCK_STREAM, p);
    setrlimit(RLIMIT_NOFILE, &few);
    for (int k = 0; k < 100; k++)
        if ((error = give_n(p[0], all, 1, 1)) == 0)
            n++;
        else
            break;
    printf("in flight: %d, then %s\n", n, strerrorname_np(error));
    take(p[1]);
    take(p[1]);
    error = give_n(p[0], all, 1, 1);
    printf("after taking some: %s\n", error ? strerrorname_np(error) : "yes");
}

int
main(void)
{
    syscall(SYS_setuid, 100000 + getpid()); /* root may have more in flight, other users have some already */
    pairs(SOCK_STREAM, "stream pairs", 1500);
    pairs(SOCK_SEQPACKET, "packet pairs", 300);
    pairs(SOCK_DGRAM, "datagram pairs", 300);
    own_queue(1000);
    ring(2);
    ring(100);
    listener(300);
    mixed(200);
    reachable();
    limits();
    printf("survived\n");
    return 0;
}
