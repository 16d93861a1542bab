/* lseek, holes, truncate, fallocate. */
#include "case.h"

#include <linux/falloc.h>

static long
size_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) < 0 ? -1 : (long)st.st_size;
}

CASE(lseek_whences)
{
    int fd = make_file("f", "abcdef");

    SHOW(lseek(fd, 2, SEEK_SET));
    SHOW(lseek(fd, 3, SEEK_CUR));
    SHOW(lseek(fd, -1, SEEK_END));
    SHOW(lseek(fd, 10, SEEK_END));
    SHOW(lseek(fd, -17, SEEK_CUR));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, 0, 5));
    SHOW(lseek(fd, 0, -1));
    SHOW(lseek(fd, INT64_MAX, SEEK_CUR));
}

CASE(lseek_not_seekable)
{
    int fds[2], pair[2];

    pipe(fds);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    SHOW(lseek(fds[0], 0, SEEK_SET));
    SHOW(lseek(pair[0], 0, SEEK_CUR));
    SHOW(lseek(fds[0], 0, 77));
    SHOW(lseek(-1, 0, 77));
}

CASE(lseek_data_and_hole)
{
    int fd = make_file("f", "");

    ftruncate(fd, 3 << 16);
    pwrite(fd, "x", 1, 1 << 16);
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 0, SEEK_HOLE));
    SHOW(lseek(fd, (1 << 16) + 5, SEEK_DATA));
    SHOW(lseek(fd, 1 << 16, SEEK_HOLE));
    SHOW(lseek(fd, 2 << 16, SEEK_DATA));
    SHOW(lseek(fd, 3 << 16, SEEK_HOLE));
    SHOW(lseek(fd, 3 << 16, SEEK_DATA));
    SHOW(lseek(fd, -1, SEEK_DATA));
    SHOW(lseek(fd, -1, SEEK_HOLE));
}

CASE(lseek_data_of_full_file)
{
    int fd = make_file("f", "abc");

    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 1, SEEK_HOLE));
    SHOW(lseek(fd, 2, SEEK_DATA));
    SHOW(lseek(fd, 3, SEEK_DATA));
    fd = make_file("g", "");
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 0, SEEK_HOLE));
}

CASE(truncate_changes_size)
{
    int fd = make_file("f", "abcdef");
    char buf[8];

    memset(buf, 1, 8);
    SHOW(ftruncate(fd, 3));
    SHOW(ftruncate(fd, 8));
    SHOW(read(fd, buf, 8));
    say("%c %d %d", buf[2], buf[3], buf[7]);
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(truncate("f", 2));
    SHOW(size_of(fd));
    SHOW(read(fd, buf, 8));
}

CASE(truncate_errors)
{
    int fd = make_file("f", "abc"), reader = open("f", O_RDONLY), fds[2];

    pipe(fds);
    mkdir("d", 0755);
    symlink("nowhere", "l");
    SHOW(truncate("f", -1));
    SHOW(ftruncate(fd, -1));
    SHOW(ftruncate(reader, 0));
    SHOW(ftruncate(-1, 0));
    SHOW(ftruncate(-1, -1));
    SHOW(ftruncate(fds[1], 0));
    SHOW(ftruncate(open("d", O_RDONLY), 0));
    SHOW(truncate("d", 0));
    SHOW(truncate("nothing", 0));
    SHOW(truncate("nothing", -1));
    SHOW(truncate("f/x", 0));
    SHOW(truncate("l", 0));
    SHOW(truncate(NULL, 0));
    SHOW(truncate("", 0));
    mkfifo("p", 0644);
    SHOW(truncate("p", 0));
}

CASE(truncate_rights)
{
    make_file("f", "abc");
    int fd = open("f", O_RDWR);

    become(1000);
    SHOW(truncate("f", 0));
    SHOW(ftruncate(fd, 1));
    SHOW(size_of(fd));
}

CASE(truncate_over_fsize)
{
    int fd = make_file("f", "abc");

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, 100});
    SHOW(ftruncate(fd, 100));
    SHOW(ftruncate(fd, 101));
    SHOW(truncate("f", 101));
    SHOW(size_of(fd));
    signal(SIGXFSZ, SIG_DFL);
    SHOW(ftruncate(fd, 101));
}

CASE(fallocate_extends)
{
    int fd = make_file("f", "abc");
    char buf[8];

    SHOW(fallocate(fd, 0, 0, 2));
    SHOW(size_of(fd));
    SHOW(fallocate(fd, 0, 4, 4));
    SHOW(size_of(fd));
    SHOW(pread(fd, buf, 8, 0));
    say("%c %d %d", buf[2], buf[3], buf[7]);
    SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
    SHOW(size_of(fd));
}

CASE(fallocate_errors)
{
    int fd = make_file("f", "abc"), reader = open("f", O_RDONLY), fds[2];

    pipe(fds);
    SHOW(fallocate(fd, 0, 0, 0));
    SHOW(fallocate(fd, 0, -1, 1));
    SHOW(fallocate(fd, 0, 0, -1));
    SHOW(fallocate(fd, 0, INT64_MAX, 1));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
    SHOW(fallocate(fd, 0x4000, 0, 1));
    SHOW(fallocate(reader, 0, 0, 1));
    SHOW(fallocate(-1, 0, 0, 1));
    SHOW(fallocate(fds[1], 0, 0, 1));
    SHOW(fallocate(open(".", O_RDONLY), 0, 0, 1));
    SHOW(fallocate(open("/dev/null", O_RDWR), 0, 0, 1));
    SHOW(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
}

CASE(fallocate_punches)
{
    int fd = make_file("f", "");
    char *page = malloc(3 * 4096), c[3];

    memset(page, 'x', 3 * 4096);
    write(fd, page, 3 * 4096);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    SHOW(size_of(fd));
    pread(fd, c, 1, 4095), pread(fd, c + 1, 1, 4096), pread(fd, c + 2, 1, 8192);
    say("%d %d %d", c[0], c[1], c[2]);
    SHOW(lseek(fd, 0, SEEK_HOLE));
    SHOW(lseek(fd, 4096, SEEK_DATA));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 5));
    pread(fd, page, 20, 0);
    say("%d %d %d %d", page[9], page[10], page[14], page[15]);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100000, 4096));
    SHOW(size_of(fd));
}

CASE(posix_fadvise_answers)
{
    int fd = make_file("f", "abc"), fds[2];

    pipe(fds);
    SHOW(syscall(SYS_fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    SHOW(syscall(SYS_fadvise64, fd, 0, -1, POSIX_FADV_NORMAL));
    SHOW(syscall(SYS_fadvise64, fd, 0, 0, 99));
    SHOW(syscall(SYS_fadvise64, fds[0], 0, 0, POSIX_FADV_NORMAL));
    SHOW(syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL));
    SHOW(readahead(fds[0], 0, 10));
    SHOW(readahead(-1, 0, 10));
    SHOW(readahead(fd, 0, 10));
    SHOW(syscall(SYS_readahead, open("f", O_WRONLY), 0, 10));
}

CASE(sync_answers)
{
    int fd = make_file("f", "abc"), fds[2];

    pipe(fds);
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(fsync(-1));
    SHOW(fsync(fds[0]));
    SHOW(fdatasync(fds[0]));
    SHOW(fsync(open(".", O_RDONLY)));
    SHOW(syncfs(fd));
    SHOW(syncfs(-1));
    SHOW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fd, 0, 0, 8));
    SHOW(sync_file_range(fd, -1, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fds[0], 0, 0, SYNC_FILE_RANGE_WRITE));
}
