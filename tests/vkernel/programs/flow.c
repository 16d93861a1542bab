/* Bytes through TCP and Unix streams, in pieces of all sizes, with buffers small and large, level- and edge-triggered:
 * all come, in order, and neither side waits for what does not come. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct kind {
    const char *name;
    int tcp;
    long total;
    unsigned most_written, most_read; /* in one call */
    int buffer;                       /* 0: as it is */
};

static const struct kind kinds[] = {
    {"tcp, small", 1, 20000, 20, 5000, 0},
    {"tcp, mixed", 1, 400000, 9000, 3000, 0},
    {"tcp, small buffer", 1, 100000, 3000, 2000, 40000},
    {"unix, small", 0, 10000, 20, 5000, 0},
    {"unix, mixed", 0, 400000, 90000, 30000, 0},
    {"unix, small buffer", 0, 100000, 5000, 1000, 1000},
};

static char data[1 << 20];

static void
make_pair(int tcp, int p[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int l;

    if (!tcp) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, p);
        return;
    }
    l = socket(AF_INET, SOCK_STREAM, 0);
    bind(l, (struct sockaddr *)&a, sizeof a);
    listen(l, 1);
    getsockname(l, (struct sockaddr *)&a, &length);
    p[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(p[0], (struct sockaddr *)&a, sizeof a);
    p[1] = accept(l, NULL, NULL);
    close(l);
}

static unsigned
next_random(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

static int
wait_for(int s, unsigned events, int edge)
{
    struct epoll_event x = {.events = events | (edge ? EPOLLET : 0)};
    int e = epoll_create1(0);

    fcntl(s, F_SETFL, O_NONBLOCK);
    epoll_ctl(e, EPOLL_CTL_ADD, s, &x);
    return e;
}

static int
is_ready(int e)
{
    struct epoll_event x;

    return epoll_wait(e, &x, 1, 10000) == 1;
}

static int
writer(const struct kind *k, int s, int edge)
{
    int e = wait_for(s, EPOLLOUT, edge);
    unsigned seed = 7;

    for (long done = 0; done < k->total;) {
        unsigned n = 1 + next_random(&seed) % k->most_written, at = 0;

        if (n > k->total - done)
            n = (unsigned)(k->total - done);
        for (unsigned j = 0; j < n; j++)
            data[j] = (char)((done + j) % 251);
        while (at < n) {
            ssize_t r = write(s, data + at, n - at);

            if (r > 0)
                at += (unsigned)r;
            else if (errno != EAGAIN || !is_ready(e))
                return 1;
        }
        done += n;
    }
    return 0;
}

static void
reader(const struct kind *k, int s, int edge)
{
    int e = wait_for(s, EPOLLIN, edge), status;
    unsigned seed = 9;
    long done = 0, wrong = 0;
    ssize_t r;

    while ((r = read(s, data, 1 + next_random(&seed) % k->most_read)) != 0) {
        if (r < 0 && (errno != EAGAIN || !is_ready(e)))
            break;
        for (ssize_t j = 0; j < r; j++)
            wrong += data[j] != (char)((done + j) % 251);
        done += r > 0 ? r : 0;
    }
    wait(&status);
    printf("%s%s: %ld came, %ld wrong, writer %x\n", k->name, edge ? ", edges" : "", done, wrong, status);
    fflush(stdout);
    close(e);
}

int
main(void)
{
    for (int n = 0; n < 12; n++) {
        const struct kind *k = &kinds[n / 2];
        int p[2];

        make_pair(k->tcp, p);
        if (k->buffer) {
            setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &k->buffer, sizeof k->buffer);
            setsockopt(p[1], SOL_SOCKET, SO_RCVBUF, &k->buffer, sizeof k->buffer);
        }
        if (fork() == 0) {
            close(p[1]);
            _exit(writer(k, p[0], n % 2));
        }
        close(p[0]);
        reader(k, p[1], n % 2);
        close(p[1]);
    }
    return 0;
}
