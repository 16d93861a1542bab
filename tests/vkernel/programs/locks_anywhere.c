/* Record locks and flock on descriptors of files, pipes, sockets and devices, and of every range. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void
result(const char *what, int r)
{
    printf(" %s %s", what, r < 0 ? strerrorname_np(errno) : "ok");
}

static void
lock(const char *name, int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};

    printf("%s:", name);
    result("setlk", fcntl(fd, F_SETLK, &l));
    result("getlk", fcntl(fd, F_GETLK, &l));
    l.l_type = F_UNLCK;
    l.l_pid = 0;
    result("unlock", fcntl(fd, F_SETLK, &l));
    l.l_type = F_RDLCK;
    result("ofd", fcntl(fd, F_OFD_SETLK, &l));
    result("flock", flock(fd, LOCK_EX | LOCK_NB));
    result("unlock", flock(fd, LOCK_UN));
    result("close", close(fd));
    printf("\n");
}

static void
ranges(int fd)
{
    static const off_t values[] = {0, 1, -1, 10, INT64_MAX, INT64_MAX - 1, INT64_MIN, INT64_MIN + 1, -10};
    enum { COUNT = sizeof values / sizeof *values };

    for (unsigned whence = 0; whence <= 3; whence++)
        for (unsigned i = 0; i < COUNT * COUNT; i++) {
            struct flock l = {.l_type = F_WRLCK,
                              .l_whence = (short)whence,
                              .l_start = values[i / COUNT],
                              .l_len = values[i % COUNT]};

            printf("%u %jd %jd:", whence, (intmax_t)l.l_start, (intmax_t)l.l_len);
            result("setlk", fcntl(fd, F_SETLK, &l));
            printf("\n");
        }
    close(fd);
}

int
main(void)
{
    int pair[2];

    if (pipe(pair) != 0)
        return 1;
    lock("pipe, read", pair[0]);
    lock("pipe, write", pair[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return 1;
    lock("socket", pair[0]);
    lock("inet", socket(AF_INET, SOCK_DGRAM, 0));
    lock("memfd", memfd_create("x", 0));
    lock("directory", open("/tmp", O_RDONLY | O_DIRECTORY));
    lock("null", open("/dev/null", O_RDWR));
    lock("proc", open("/proc/self/status", O_RDONLY));
    ranges(memfd_create("ranges", 0));
    return 0;
}
