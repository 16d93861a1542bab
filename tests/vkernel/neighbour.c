/* A small server, and who asks it. "serve" answers requests on a port of 127.0.0.1 that it prints. "ask PORT" reads
 * numbers of requests, sends so many, one every two milliseconds, and prints how long each answer took, in
 * microseconds, on a line. "spin" uses a processor. "write FILE" writes to a disk as the bomb of this name does. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, PERIOD_NS = 2000000 };

static long
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

static int
tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* Each answer takes some computing, as a server's does. */
static void
answer(char request[SIZE])
{
    unsigned sum = 0;

    for (volatile unsigned k = 0; k < 20000; k++)
        sum = sum * 31 + (unsigned char)request[k % SIZE];
    memcpy(request, &sum, sizeof sum);
}

static int
serve(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    char request[SIZE];
    int listener = tcp(), fd;

    if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&a, &size) < 0)
        return 1;
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        int one = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while (recv(fd, request, SIZE, MSG_WAITALL) == SIZE) {
            answer(request);
            if (send(fd, request, SIZE, 0) != SIZE)
                break;
        }
        close(fd);
    }
    return 0;
}

static int
ask(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((unsigned short)port)};
    char request[SIZE] = "request";
    int fd = tcp(), count;

    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return 1;
    while (scanf("%d", &count) == 1) {
        for (long next = now() + PERIOD_NS; count > 0; count--) {
            struct timespec t = {next / 1000000000, next % 1000000000};
            long start;

            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
            start = now();
            if (send(fd, request, SIZE, 0) != SIZE || recv(fd, request, SIZE, MSG_WAITALL) != SIZE)
                return 1;
            printf("%ld ", (now() - start) / 1000);
            next = next + PERIOD_NS > start ? next + PERIOD_NS : start; /* who was late asks no more often for that */
        }
        puts("");
        fflush(stdout);
    }
    return 0;
}

static void
write_for_ever(const char *path)
{
    static char block[1 << 20];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    for (;;) {
        for (int k = 0; k < 32; k++)
            if (pwrite(fd, block, sizeof block, (off_t)k << 20) < 0)
                exit(1);
        fsync(fd);
        if (ftruncate(fd, 0) < 0)
            exit(1);
    }
}

int
main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "serve") == 0)
        return serve();
    if (count == 3 && strcmp(arguments[1], "ask") == 0)
        return ask(atoi(arguments[2]));
    if (count == 3 && strcmp(arguments[1], "write") == 0)
        write_for_ever(arguments[2]);
    for (;;)
        ;
}
