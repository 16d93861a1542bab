/* Random calls on unconnected sockets: names, listeners and their queues, connections, datagrams
 * from many to one; Unix sockets with abstract names, UDP over the loopback. One process, nothing
 * blocks. */
#include "random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKETS = 7, NAMES = 4 };

static int fds[SOCKETS], family, type;
static unsigned ports[NAMES];

static const char *
outcome(long r)
{
    static char text[64];

    if (r < 0)
        return strerrorname_np(errno);
    snprintf(text, sizeof text, "%ld", r);
    return text;
}

/* What the loopback answers comes a moment later. */
static void
settle(void)
{
    if (family == AF_INET)
        usleep(400);
}

static socklen_t
address_of(int name, struct sockaddr_storage *a)
{
    memset(a, 0, sizeof *a);
    if (family == AF_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)a;

        un->sun_family = AF_UNIX;
        snprintf(un->sun_path + 1, 30, "random_connects.%d", name);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un->sun_path + 1));
    }
    ((struct sockaddr_in *)a)->sin_family = AF_INET;
    ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)ports[name]);
    ((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(struct sockaddr_in);
}

/* Which of the names it is; what the kernel chose is a '?'. */
static void
note_address(const char *what, const struct sockaddr_storage *a, socklen_t size)
{
    struct sockaddr_storage known;

    for (int name = 0; name < NAMES; name++) {
        socklen_t n = address_of(name, &known);

        if (n == size && memcmp(&known, a, n) == 0) {
            note("  %s is name %d", what, name);
            return;
        }
    }
    note("  %s family %d size %u %s", what, size ? a->ss_family : -1, size,
         size == sizeof(struct sockaddr_in) && family == AF_INET && ((const struct sockaddr_in *)a)->sin_port ? "?"
                                                                                                              : "");
}

static void
show_names(int k)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;

    memset(&a, 0, sizeof a);
    if (getsockname(fds[k], (struct sockaddr *)&a, &n) == 0)
        note_address("own", &a, n);
    else
        note("  own: %s", strerrorname_np(errno));
    n = sizeof a;
    memset(&a, 0, sizeof a);
    if (getpeername(fds[k], (struct sockaddr *)&a, &n) == 0)
        note_address("peer", &a, n);
    else
        note("  peer: %s", strerrorname_np(errno));
}

static void
step(void)
{
    static char data[200];
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    int k = (int)draw(SOCKETS), name = (int)draw(NAMES), r, error = -1, option = draw(2);
    struct pollfd p = {fds[k], POLLIN | POLLOUT | POLLRDHUP, 0};

    switch (draw(16)) {
    case 0:
        n = address_of(name, &a);
        r = bind(fds[k], (struct sockaddr *)&a, n);
        note("%d: bind %d = %s", k, name, outcome(r));
        break;
    case 1:
    case 2:
        r = listen(fds[k], error = (int)draw(4) - 1);
        note("%d: listen %d = %s", k, error, outcome(r));
        break;
    case 3:
    case 4:
    case 5:
        n = address_of(name, &a);
        if (draw(12) == 0 && type == SOCK_DGRAM) {
            a.ss_family = AF_UNSPEC;
            name = -1;
        }
        r = connect(fds[k], (struct sockaddr *)&a, n);
        note("%d: connect %d = %s", k, name, outcome(r));
        settle();
        break;
    case 6:
    case 7:
        memset(&a, 0, sizeof a);
        r = accept4(fds[k], (struct sockaddr *)&a, &n, SOCK_NONBLOCK);
        note("%d: accept = %s", k, r < 0 ? strerrorname_np(errno) : "a connection");
        if (r >= 0) {
            int to = (int)draw(SOCKETS);

            note_address("from", &a, n);
            close(fds[to]);
            fds[to] = r;
            settle();
        }
        break;
    case 8:
    case 9:
        r = (int)send(fds[k], data, 1 + draw(sizeof data), MSG_NOSIGNAL);
        note("%d: send = %s", k, outcome(r));
        settle();
        break;
    case 10:
        n = address_of(name, &a);
        r = (int)sendto(fds[k], data, 1 + draw(sizeof data), MSG_NOSIGNAL, (struct sockaddr *)&a, n);
        note("%d: sendto %d = %s", k, name, outcome(r));
        settle();
        break;
    case 11:
    case 12:
        memset(&a, 0, sizeof a);
        r = (int)recvfrom(fds[k], data, 1 + draw(sizeof data), 0, (struct sockaddr *)&a, &n);
        note("%d: recvfrom = %s", k, outcome(r));
        if (r >= 0)
            note_address("from", &a, n);
        break;
    case 13:
        poll(&p, 1, 0);
        n = sizeof error;
        getsockopt(fds[k], SOL_SOCKET, SO_ERROR, &error, &n);
        note("%d: poll %x error %s", k, p.revents, error ? strerrorname_np(error) : "none");
        n = sizeof error;
        getsockopt(fds[k], SOL_SOCKET, SO_ACCEPTCONN, &error, &n);
        note("%d: listens %d", k, error);
        show_names(k);
        break;
    case 14:
        if (draw(2)) {
            close(fds[k]);
            fds[k] = socket(family, type | SOCK_NONBLOCK, 0);
            setsockopt(fds[k], SOL_SOCKET, SO_REUSEADDR, &option, sizeof option);
            note("%d: new, reuse %d", k, option);
            settle();
        }
        break;
    case 15:
        if (draw(3) == 0) {
            r = shutdown(fds[k], error = (int)draw(3));
            note("%d: shutdown %d = %s", k, error, outcome(r));
            settle();
        }
        break;
    }
}

static void
one(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

    family = draw(2) ? AF_UNIX : AF_INET;
    type = family == AF_UNIX ? types[draw(3)] : SOCK_DGRAM;
    note("family %d type %d", family, type);
    for (int name = 0; name < NAMES; name++) { /* ports that are free now */
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof a;
        int s = socket(AF_INET, SOCK_DGRAM, 0);

        bind(s, (struct sockaddr *)&a, sizeof a);
        getsockname(s, (struct sockaddr *)&a, &n);
        ports[name] = ntohs(a.sin_port);
        close(s);
    }
    for (int k = 0; k < SOCKETS; k++)
        fds[k] = socket(family, type | SOCK_NONBLOCK, 0);
    for (int k = 0; k < 110; k++)
        step();
    for (int k = 0; k < SOCKETS; k++)
        close(fds[k]);
}

int
main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return random_main(argc, argv, 30, one);
}
