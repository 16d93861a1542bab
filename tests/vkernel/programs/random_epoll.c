/* Random use of epoll, poll and select over pipes, sockets, eventfds, timerfds and other epolls:
 * level, one shot, exclusive (with EPOLLET more edges than Linux's are told, which it allows),
 * descriptors that are duplicated, closed and used again. One process; nothing blocks. */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { FIRST = 30, SLOTS = 16, EPOLLS = 3 }; /* descriptors FIRST.. are used; EPOLLS of them are epolls */
enum { NONE, PIPE_IN, PIPE_OUT, SOCKET, DATAGRAM, EVENT, TIMER, DUPLICATE, EPOLL };

static int kinds[SLOTS];

static const char *
outcome(long r)
{
    static char text[64];

    if (r < 0)
        return strerrorname_np(errno);
    snprintf(text, sizeof text, "%ld", r);
    return text;
}

static void
put(int fd, int slot, int kind)
{
    dup2(fd, FIRST + slot);
    close(fd);
    fcntl(FIRST + slot, F_SETFL, fcntl(FIRST + slot, F_GETFL) | O_NONBLOCK);
    kinds[slot] = kind;
}

static int
free_slot(void)
{
    for (int k = EPOLLS; k < SLOTS; k++)
        if (kinds[k] == NONE)
            return k;
    return -1;
}

static void
make(void)
{
    int a = free_slot(), b, fds[2], kind = (int)draw(7);

    if (a < 0)
        return;
    kinds[a] = EVENT;
    b = free_slot();
    kinds[a] = NONE;
    if (b < 0 && kind != 3 && kind != 4)
        return;
    switch (kind) {
    case 0:
        pipe(fds);
        put(fds[0], a, PIPE_IN);
        put(fds[1], b, PIPE_OUT);
        break;
    case 1:
    case 2:
        socketpair(AF_UNIX, kind == 1 ? SOCK_STREAM : SOCK_DGRAM, 0, fds);
        put(fds[0], a, kind == 1 ? SOCKET : DATAGRAM);
        put(fds[1], b, kind == 1 ? SOCKET : DATAGRAM);
        break;
    case 3: put(eventfd(draw(3) ? 0 : draw(2) ? 5 : 0xfffffffeu, draw(2) ? EFD_SEMAPHORE : 0), a, EVENT); break;
    case 4: put(timerfd_create(CLOCK_MONOTONIC, 0), a, TIMER); break;
    default:
        pipe(fds);
        put(fds[0], a, PIPE_IN);
        close(fds[1]);
        break;
    }
    note("make %d %d", kind, a);
}

static int
some_slot(void)
{
    int k = EPOLLS + (int)draw(SLOTS - EPOLLS);

    for (int tries = 0; kinds[k] == NONE && tries < SLOTS; tries++)
        k = k + 1 < SLOTS ? k + 1 : EPOLLS;
    return k;
}

static void
use(void)
{
    static char data[70000];
    int k = some_slot();
    size_t size = draw(3) ? draw(20) : draw(draw(3) ? 3000 : sizeof data);
    uint64_t v = draw(4) ? draw(10) : (uint64_t)-1 - draw(3);
    struct itimerspec it = {{0, 0}, {0, draw(3) != 0}};
    long r;

    memset(data, draw(4) ? 'a' : '\n', sizeof data);
    if (kinds[k] == EVENT)
        r = draw(2) ? write(FIRST + k, &v, draw(5) ? 8 : 4) : read(FIRST + k, &v, 8);
    else if (kinds[k] == TIMER)
        r = draw(2) ? timerfd_settime(FIRST + k, 0, &it, NULL) + (usleep(200), 0) : read(FIRST + k, &v, 8);
    else if (kinds[k] == PIPE_IN)
        r = read(FIRST + k, data, size);
    else if (kinds[k] == PIPE_OUT)
        r = write(FIRST + k, data, size % 300); /* what fits depends on how it lies in pages */
    else
        r = draw(2) ? send(FIRST + k, data, size, MSG_NOSIGNAL) : recv(FIRST + k, data, size, 0);
    note("use %d kind %d = %s", k, kinds[k], outcome(r));
}

static void
control(void)
{
    static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    static const unsigned masks[] = {EPOLLIN,
                                     EPOLLOUT,
                                     EPOLLIN | EPOLLOUT,
                                     EPOLLRDHUP | EPOLLIN,
                                     EPOLLPRI,
                                     0,
                                     EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI};
    static const unsigned kinds_of[] = {0, 0, EPOLLONESHOT, EPOLLEXCLUSIVE};
    int ep = (int)draw(EPOLLS), k = draw(12) ? some_slot() : (int)draw(EPOLLS), op = DRAW_OF(ops);
    struct epoll_event e = {DRAW_OF(masks) | DRAW_OF(kinds_of), {.u64 = draw(1000)}};

    note("ctl %d op %d on %d kind %d events %x data %u = %s", ep, op, k, kinds[k], e.events, (unsigned)e.data.u64,
         outcome(epoll_ctl(FIRST + ep, op, FIRST + k, &e)));
}

static int
by_data(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;

    return x->data.u64 != y->data.u64 ? (x->data.u64 > y->data.u64 ? 1 : -1) : 0;
}

static void
wait_for(void)
{
    struct epoll_event e[8];
    int ep = (int)draw(EPOLLS), max = 1 + (int)draw(8), n = epoll_wait(FIRST + ep, e, max, 0);

    note("wait %d max %d = %s", ep, max, outcome(n));
    if (n == max)
        return; /* which they are depends on an order that is not promised */
    qsort(e, n > 0 ? (size_t)n : 0, sizeof e[0], by_data);
    for (int k = 0; k < n; k++)
        note("  %x %u", e[k].events, (unsigned)e[k].data.u64);
}

static void
look(void)
{
    struct pollfd p[SLOTS];
    fd_set in, out, ex;
    struct timeval zero = {0, 0};
    int n;

    for (int k = 0; k < SLOTS; k++)
        p[k] = (struct pollfd){FIRST + k, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM, 0};
    n = poll(p, SLOTS, 0);
    note("poll = %d", n);
    for (int k = 0; k < SLOTS; k++)
        if (p[k].revents && p[k].revents != POLLNVAL)
            note("  %d kind %d: %x", k, kinds[k], p[k].revents & 0xffff);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&ex);
    for (int k = 0; k < SLOTS; k++)
        if (kinds[k] != NONE || draw(60) == 0) {
            FD_SET(FIRST + k, &in);
            FD_SET(FIRST + k, &out);
            FD_SET(FIRST + k, &ex);
        }
    n = select(FIRST + SLOTS, &in, &out, &ex, &zero);
    note("select = %s", outcome(n));
    for (int k = 0; n > 0 && k < SLOTS; k++)
        if (FD_ISSET(FIRST + k, &in) || FD_ISSET(FIRST + k, &out) || FD_ISSET(FIRST + k, &ex))
            note("  %d: %d%d%d", k, !!FD_ISSET(FIRST + k, &in), !!FD_ISSET(FIRST + k, &out),
                 !!FD_ISSET(FIRST + k, &ex));
}

static void
step(void)
{
    int k, to;

    switch (draw(16)) {
    case 0:
    case 1: make(); break;
    case 2:
    case 3:
    case 4:
    case 5: use(); break;
    case 6:
    case 7:
    case 8:
    case 9: control(); break;
    default: wait_for(); break;
    case 13: look(); break;
    case 14:
        k = some_slot();
        if (kinds[k] == NONE)
            break;
        close(FIRST + k);
        note("close %d kind %d", k, kinds[k]);
        kinds[k] = NONE;
        break;
    case 15:
        k = some_slot();
        to = free_slot();
        if (kinds[k] == NONE || to < 0 || draw(2))
            break;
        dup2(FIRST + k, FIRST + to);
        kinds[to] = kinds[k];
        note("dup %d kind %d to %d", k, kinds[k], to);
        break;
    }
}

static void
one(void)
{
    memset(kinds, 0, sizeof kinds);
    for (int k = 0; k < EPOLLS; k++)
        put(epoll_create1(0), k, EPOLL);
    for (int k = 0; k < 120; k++)
        step();
    for (int k = 0; k < SLOTS; k++)
        close(FIRST + k);
}

int
main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return random_main(argc, argv, 40, one);
}
