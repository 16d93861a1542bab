/* ioctl and fcntl on files of all kinds: owners, FIO*, O_ASYNC, block sizes, flags of inodes. */
#include "case.h"

#include <linux/fs.h>

CASE(ioctl_on_files)
{
    int fd = make_file("f", "abcdef"), n = -1;

    SHOW(ioctl(fd, FIONREAD, &n));
    say("%d", n);
    lseek(fd, 4, SEEK_SET);
    SHOW(ioctl(fd, FIONREAD, &n));
    say("%d", n);
    SHOW(ioctl(fd, FIOCLEX));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(ioctl(fd, FIONCLEX));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(ioctl(fd, FIONBIO, &(int){1}));
    SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
    SHOW(ioctl(fd, FIONBIO, NULL));
    SHOW(ioctl(fd, TCGETS, &(char[100]){0}));
    SHOW(ioctl(fd, 0x12345678, &n));
    SHOW(ioctl(-1, FIONREAD, &n));
    SHOW(ioctl(fd, FIONREAD, NULL));
}

CASE(ioctl_on_folders)
{
    int fd = open(".", O_RDONLY), n = -1;

    SHOW(ioctl(fd, FIOCLEX));
    SHOW(ioctl(fd, TCGETS, &n));
    SHOW(ioctl(fd, 0x12345678, &n));
}

CASE(owners_of_descriptors)
{
    int fds[2];
    struct {
        int type, pid;
    } o = {2, 0};

    pipe(fds);
    SHOW(fcntl(fds[0], F_GETOWN));
    SHOW(fcntl(fds[0], F_SETOWN, getpid()));
    SHOW(fcntl(fds[0], F_GETOWN) == getpid());
    SHOW(fcntl(fds[0], F_SETOWN, -getpid()));
    SHOW(fcntl(fds[0], F_GETOWN) == -getpid());
    SHOW(fcntl(fds[0], 16, &o));
    say("%d %d", o.type, o.pid == getpid());
    SHOW(fcntl(fds[0], F_SETOWN, 0x3fffffff));
    SHOW(fcntl(fds[0], F_SETOWN, 0));
    SHOW(fcntl(fds[0], F_GETOWN));
    o.type = 9;
    SHOW(fcntl(fds[0], 15, &o));
    SHOW(fcntl(fds[0], F_SETOWN, INT32_MIN));
}

static void
on_io(int signal)
{
    say("signal %d", signal);
}

CASE(async_pipe)
{
    int fds[2];

    pipe(fds);
    signal(SIGIO, on_io);
    SHOW(fcntl(fds[0], F_SETOWN, getpid()));
    SHOW(fcntl(fds[0], F_SETFL, O_ASYNC));
    SHOW(write(fds[1], "x", 1));
    SHOW(fcntl(fds[0], F_SETFL, 0));
    SHOW(write(fds[1], "x", 1));
}

CASE(fcntl_arguments)
{
    SHOW(fcntl(0, F_SETOWN, 1) >= -1);
    SHOW(fcntl(0, F_GETPIPE_SZ));
    SHOW(fcntl(0, F_SETPIPE_SZ, 4096));
    SHOW(fcntl(0, F_DUPFD, 5));
    SHOW(fcntl(5, F_SETFD, 0xff));
    SHOW(fcntl(5, F_GETFD));
    SHOW(fcntl(5, F_SETFL, -1) >= -1);
}
