/* dup, dup2, dup3, close, close_range, fcntl on descriptors, and their limit. */
#include "case.h"

CASE(dup_takes_the_lowest)
{
    SHOW(dup(1));
    SHOW(dup(1));
    SHOW(close(3));
    SHOW(dup(1));
}

CASE(dup_of_nothing)
{
    SHOW(dup(-1));
    SHOW(dup(100));
}

CASE(dup2_replaces)
{
    int fd = make_file("f", "abc");
    char c;

    SHOW(dup2(fd, 9));
    SHOW(dup2(0, 9));
    SHOW(read(9, &c, 1));
    SHOW(read(fd, &c, 1));
}

CASE(dup2_of_itself)
{
    int fd = make_file("f", "abc");

    SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
    SHOW(dup2(fd, fd));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(dup2(50, 50));
}

CASE(dup2_errors)
{
    SHOW(dup2(-1, 5));
    SHOW(dup2(0, -1));
    SHOW(dup2(0, 1 << 30));
}

CASE(dup3_flags)
{
    SHOW(dup3(0, 5, O_CLOEXEC));
    SHOW(fcntl(5, F_GETFD));
    SHOW(dup3(0, 0, 0));
    SHOW(dup3(0, 6, O_NONBLOCK));
    SHOW(dup3(0, 6, 1));
}

CASE(dup_clears_cloexec)
{
    int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(dup(fd), F_GETFD));
    SHOW(fcntl(fcntl(fd, F_DUPFD_CLOEXEC, 0), F_GETFD));
}

CASE(dup_shares_position)
{
    int fd = make_file("f", "abcdef"), other = dup(fd);
    char c;

    SHOW(read(fd, &c, 1));
    SHOW(lseek(other, 0, SEEK_CUR));
    SHOW(fcntl(other, F_SETFL, O_APPEND));
    SHOW(fcntl(fd, F_GETFL) & O_APPEND);
}

CASE(dupfd_from)
{
    SHOW(fcntl(0, F_DUPFD, 17));
    SHOW(fcntl(0, F_DUPFD, 17));
    SHOW(fcntl(0, F_DUPFD, -1));
    SHOW(fcntl(0, F_DUPFD, 1 << 30));
    SHOW(fcntl(99, F_DUPFD, 0));
}

CASE(close_twice)
{
    SHOW(close(0));
    SHOW(close(0));
    SHOW(close(-1));
}

CASE(close_range_closes)
{
    for (int k = 0; k < 6; k++)
        dup(0);
    SHOW(syscall(SYS_close_range, 4, 6, 0));
    for (int fd = 3; fd < 9; fd++)
        SHOW(fcntl(fd, F_GETFD));
}

CASE(close_range_marks)
{
    for (int k = 0; k < 3; k++)
        dup(0);
    SHOW(syscall(SYS_close_range, 4, ~0u, CLOSE_RANGE_CLOEXEC));
    for (int fd = 3; fd < 6; fd++)
        SHOW(fcntl(fd, F_GETFD));
}

CASE(close_range_errors)
{
    SHOW(syscall(SYS_close_range, 5, 4, 0));
    SHOW(syscall(SYS_close_range, 3, 4, 1));
    SHOW(syscall(SYS_close_range, 3, 4, 8));
}

CASE(limit_of_descriptors)
{
    struct rlimit few = {6, 6};

    SHOW(setrlimit(RLIMIT_NOFILE, &few));
    SHOW(dup(0));
    SHOW(dup(0));
    SHOW(dup(0));
    SHOW(dup(0));
    SHOW(dup2(0, 6));
    SHOW(dup3(0, 6, 0));
    SHOW(fcntl(0, F_DUPFD, 6));
    SHOW(open("f", O_CREAT | O_RDWR, 0644));
    SHOW(access("f", F_OK));
    SHOW(pipe((int[2]){0}));
}

CASE(fcntl_of_nothing)
{
    SHOW(fcntl(99, F_GETFD));
    SHOW(fcntl(99, F_GETFL));
    SHOW(fcntl(0, 9999));
    SHOW(fcntl(0, F_SETFD, 8));
    SHOW(fcntl(0, F_GETFD));
}

CASE(setfl_changes_only_some)
{
    int fd = open("f", O_RDWR | O_CREAT | O_SYNC, 0644);

    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_SETFL, O_WRONLY | O_APPEND | O_NONBLOCK | O_TRUNC));
    SHOW(fcntl(fd, F_GETFL));
}

CASE(path_descriptors)
{
    make_file("f", "abc");
    int fd = open("f", O_PATH);
    char c;

    SHOW(read(fd, &c, 1));
    SHOW(write(fd, "x", 1));
    SHOW(fchmod(fd, 0600));
    SHOW(ftruncate(fd, 0));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(ioctl(fd, FIONREAD, &(int){0}));
    SHOW(fcntl(fd, F_SETFL, 0));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fsync(fd));
    SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
    SHOW(fstat(fd, &(struct stat){0}));
}
