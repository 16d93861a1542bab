/* Pipes of packets (pipe2 with O_DIRECT, and F_SETFL): what a read takes, when there is room, packets among bytes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char big[100000];

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

static void
take(int fd, size_t size)
{
    static char buffer[100000];
    long r = read(fd, buffer, size);

    if (r < 0)
        printf("read of %zu: %s\n", size, strerrorname_np(errno));
    else
        printf("read of %zu: %ld %.*s\n", size, r, (int)(r > 20 ? 20 : r), buffer);
}

static void
waiting(int fd)
{
    int n = -1;

    ioctl(fd, FIONREAD, &n);
    printf("waiting: %d\n", n);
}

static void
events(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT};

    poll(&p, 1, 0);
    printf("%s: %x\n", what, p.revents);
}

static void
simple(void)
{
    int p[2];
    struct iovec parts[2] = {{"ab", 2}, {"cd", 2}};

    show("pipe2", pipe2(p, O_DIRECT | O_NONBLOCK));
    printf("flags %d %d\n", (fcntl(p[0], F_GETFL) & O_DIRECT) != 0, (fcntl(p[1], F_GETFL) & O_DIRECT) != 0);
    show("one", write(p[1], "first", 5)), show("another", write(p[1], "second", 6)), show("none", write(p[1], "", 0));
    waiting(p[0]);
    take(p[0], 0), take(p[0], 100), take(p[0], 3), take(p[0], 100);
    show("parts", writev(p[1], parts, 2)), take(p[0], 100);
    show("a page and more", write(p[1], big, 5000)), waiting(p[0]);
    take(p[0], 100000), take(p[0], 100000), take(p[0], 100000);
    show("two pages", write(p[1], big, 8192)), take(p[0], 10), take(p[0], 10), take(p[0], 10);
    close(p[1]);
    take(p[0], 10);
    close(p[0]);
}

static void
room(void)
{
    int p[2], n = 0;

    pipe2(p, O_DIRECT | O_NONBLOCK);
    while (write(p[1], "x", 1) == 1)
        n++;
    printf("packets: %d, %s\n", n, strerrorname_np(errno));
    events("full", p[1]), waiting(p[0]);
    take(p[0], 1), events("one taken", p[1]);
    show("one", write(p[1], "y", 1)), show("one more", write(p[1], "y", 1));
    show("smaller", fcntl(p[1], F_SETPIPE_SZ, 4096)), show("larger", fcntl(p[1], F_SETPIPE_SZ, 131072));
    for (n = 0; write(p[1], "z", 1) == 1; n++)
        ;
    printf("more packets: %d\n", n);
    for (n = 0; read(p[0], big, 100) == 1; n++)
        putchar(big[0]);
    printf(" %d\n", n);
    show("smaller", fcntl(p[1], F_SETPIPE_SZ, 4096)), show("one", write(p[1], "1", 1)),
        show("one more", write(p[1], "2", 1));
    take(p[0], 10);
    close(p[0]), close(p[1]);
    pipe2(p, O_DIRECT | O_NONBLOCK);
    show("much", write(p[1], big, sizeof big)), waiting(p[0]);
    for (n = 0; read(p[0], big, sizeof big) > 0; n++)
        ;
    printf("packets: %d\n", n);
    close(p[0]), close(p[1]);
}

static void
mixed(void)
{
    int p[2];

    pipe2(p, O_NONBLOCK);
    write(p[1], "bytes", 5);
    show("packets from here", fcntl(p[1], F_SETFL, O_DIRECT | O_NONBLOCK));
    write(p[1], "one", 3), write(p[1], "two", 3);
    show("bytes again", fcntl(p[1], F_SETFL, O_NONBLOCK));
    write(p[1], "more", 4), write(p[1], "bytes", 5);
    waiting(p[0]);
    take(p[0], 3), take(p[0], 2), take(p[0], 100), take(p[0], 2), take(p[0], 100);
    write(p[1], "bytes", 5);
    fcntl(p[1], F_SETFL, O_DIRECT | O_NONBLOCK);
    write(p[1], "packet", 6), write(p[1], "next", 4);
    take(p[0], 7), take(p[0], 100);
    close(p[0]), close(p[1]);
}

static void
moved(void)
{
    int p[2], q[2];

    pipe2(p, O_DIRECT | O_NONBLOCK), pipe2(q, O_NONBLOCK);
    write(p[1], "abc", 3), write(p[1], "defg", 4);
    show("spliced", splice(p[0], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK));
    waiting(p[0]), waiting(q[0]);
    write(p[1], "late", 4);
    take(p[0], 100);
    close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void
blocks(void)
{
    int p[2], status;

    pipe2(p, O_DIRECT);
    if (fork() == 0) {
        close(p[0]);
        for (int k = 0; k < 40; k++) {
            char text[8];

            write(p[1], text, snprintf(text, sizeof text, "%d", k));
        }
        _exit(0);
    }
    close(p[1]);
    usleep(20000);
    for (char text[8]; (status = read(p[0], text, sizeof text)) > 0;)
        printf("%.*s ", status, text);
    printf("\n");
    wait(&status);
    close(p[0]);
}

static void
named(void)
{
    char name[64];
    int f;

    snprintf(name, sizeof name, "/tmp/packets-%d", getpid());
    mkfifo(name, 0600);
    f = open(name, O_RDWR | O_DIRECT | O_NONBLOCK);
    printf("a FIFO: %s\n", f < 0 ? strerrorname_np(errno) : "ok");
    if (f >= 0)
        write(f, "one", 3), write(f, "two", 3), take(f, 100), take(f, 100), close(f);
    unlink(name);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(big, 'b', sizeof big);
    simple();
    room();
    mixed();
    moved();
    blocks();
    named();
    return 0;
}
