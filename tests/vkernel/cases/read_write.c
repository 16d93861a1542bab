/* read, write, their positioned and vectored forms, and preadv2's flags. */
#include "case.h"

#include <limits.h>

static char *
two_pages_one_mapped(void)
{
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    munmap(p + 4096, 4096);
    return p;
}

CASE(read_at_end)
{
    int fd = make_file("f", "abc");
    char buf[8];

    SHOW(read(fd, buf, 8));
    SHOW(read(fd, buf, 8));
    SHOW(lseek(fd, 100, SEEK_SET));
    SHOW(read(fd, buf, 8));
}

CASE(read_wrong_descriptors)
{
    char c;
    int folder = open(".", O_RDONLY), writer = open("f", O_WRONLY | O_CREAT, 0644), reader = open("f", O_RDONLY);

    SHOW(read(-1, &c, 1));
    SHOW(read(55, &c, 1));
    SHOW(read(folder, &c, 1));
    SHOW(write(folder, &c, 1));
    SHOW(read(writer, &c, 1));
    SHOW(write(reader, &c, 1));
    SHOW(read(writer, &c, 0));
    SHOW(write(reader, &c, 0));
}

CASE(read_bad_buffer)
{
    int fd = make_file("f", "abc");

    SHOW(read(fd, NULL, 1));
    SHOW(read(fd, NULL, 0));
    SHOW(read(fd, (void *)-1, 1));
    SHOW(read(fd, (void *)-1, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    lseek(fd, 3, SEEK_SET);
    SHOW(read(fd, NULL, 1));
    SHOW(write(fd, NULL, 1));
    SHOW(write(fd, (void *)-1, 1));
    SHOW(lseek(fd, 0, SEEK_END));
}

CASE(write_into_half_mapped)
{
    char *p = two_pages_one_mapped();
    int fds[2];

    memset(p, 'x', 4096);
    SHOW(pipe(fds));
    SHOW(write(fds[1], p + 4090, 6));
    SHOW(write(fds[1], p + 4096, 6));
    SHOW(read(fds[0], p + 4096, 6));
    SHOW(read(fds[0], p, 6));
}

CASE(read_into_readonly)
{
    int fd = make_file("f", "abc");
    char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    SHOW(read(fd, p, 3));
    SHOW(pread(fd, p, 3, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    mprotect(p, 4096, PROT_NONE);
    SHOW(write(fd, p, 3));
}

CASE(huge_counts)
{
    int fd = make_file("f", "abc");
    char buf[16];

    SHOW(read(fd, buf, SIZE_MAX));
    SHOW(read(fd, buf, (size_t)SSIZE_MAX + 1));
    SHOW(write(fd, buf, SIZE_MAX));
    SHOW(pread(fd, buf, SIZE_MAX, 0));
    SHOW(pread(fd, buf, 8, -1));
    SHOW(pwrite(fd, buf, 8, -1));
    SHOW(pwrite(fd, buf, 8, INT64_MAX - 3));
    SHOW(pread(fd, buf, 8, INT64_MAX - 3));
}

CASE(pread_keeps_the_position)
{
    int fd = make_file("f", "abcdef");
    char buf[8] = "";

    SHOW(pread(fd, buf, 2, 3));
    say("%s", buf);
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwrite(fd, "X", 1, 10));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(pread(fd, buf, 8, 11));
}

CASE(pread_of_pipe)
{
    int fds[2];
    char c;

    pipe(fds);
    SHOW(pread(fds[0], &c, 1, 0));
    SHOW(pwrite(fds[1], &c, 1, 0));
    SHOW(pread(fds[1], &c, 1, 0));
    SHOW(preadv(fds[0], &(struct iovec){&c, 1}, 1, 0));
    SHOW(pread(fds[0], &c, 1, -1));
    SHOW(pread(-1, &c, 1, -1));
}

CASE(readv_spreads)
{
    int fd = make_file("f", "abcdefgh");
    char a[4] = "", b[4] = "", c[8] = "";
    struct iovec v[] = {{a, 3}, {b, 0}, {NULL, 0}, {b, 2}, {c, 7}};

    SHOW(readv(fd, v, 5));
    say("%s %s %s", a, b, c);
    SHOW(readv(fd, v, 5));
    SHOW(readv(fd, v, 0));
}

CASE(writev_gathers)
{
    int fd = make_file("f", "");
    struct iovec v[] = {{"abc", 3}, {"", 0}, {"def", 3}};
    char buf[8] = "";

    SHOW(writev(fd, v, 3));
    SHOW(pwritev(fd, v, 1, 5));
    SHOW(pread(fd, buf, 8, 0));
    say("%.8s", buf);
}

CASE(vector_errors)
{
    int fd = make_file("f", "abcdefgh");
    char a[4];
    struct iovec v[] = {{a, 3}, {(void *)-1, 3}}, negative[] = {{a, 3}, {a, -1}};

    SHOW(readv(fd, v, -1));
    SHOW(readv(fd, v, 1025));
    SHOW(readv(fd, NULL, 1));
    SHOW(readv(fd, NULL, 0));
    SHOW(readv(fd, negative, 2));
    SHOW(writev(fd, negative, 2));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(readv(-1, NULL, -1));
    SHOW(readv(fd, &v[1], 1));
}

CASE(vector_too_long_is_cut)
{
    int fd = make_file("f", "abc");
    char a[4] = "";
    struct iovec v[] = {{a, 3}, {a, SSIZE_MAX}};

    SHOW(readv(fd, v, 2));
}

CASE(preadv2_flags)
{
    int fd = make_file("f", "abcdef");
    char a[4] = "";
    struct iovec v = {a, 2};

    SHOW(preadv2(fd, &v, 1, 0, 0x1000));
    SHOW(preadv2(fd, &v, 1, -1, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(preadv2(fd, &v, 1, -2, 0));
    SHOW(pwritev2(fd, &v, 1, 0, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(preadv2(fd, &v, 1, 0, RWF_APPEND) >= -1);
    SHOW(pwritev2(fd, &v, 1, -1, RWF_DSYNC));
    SHOW(lseek(fd, 0, SEEK_CUR));
}

CASE(pwritev2_append_flags)
{
    int fd = make_file("f", "abcdef"), append = open("f", O_RDWR | O_APPEND);
    struct iovec v = {"XY", 2};
    char buf[16] = "";

    SHOW(pwritev2(fd, &v, 1, 2, RWF_APPEND));
    SHOW(pwritev2(fd, &v, 1, 2, RWF_APPEND));
    SHOW(pwritev2(append, &v, 1, 1, 0));
    SHOW(pread(fd, buf, 16, 0));
    say("%s", buf);
}

CASE(pwritev2_noappend)
{
    make_file("f", "abcdef");
    int fd = open("f", O_RDWR | O_APPEND);
    struct iovec v = {"XY", 2};
    char buf[16] = "";

    SHOW(pwritev2(fd, &v, 1, 1, 0x20));
    SHOW(pwritev2(fd, &v, 1, 1, 0x20 | RWF_APPEND));
    SHOW(pread(fd, buf, 16, 0));
    say("%s", buf);
}

CASE(preadv2_nowait_of_pipe)
{
    int fds[2];
    char c;
    struct iovec v = {&c, 1};

    pipe(fds);
    SHOW(preadv2(fds[0], &v, 1, -1, RWF_NOWAIT));
    SHOW(write(fds[1], "a", 1));
    SHOW(preadv2(fds[0], &v, 1, -1, RWF_NOWAIT));
    SHOW(preadv2(fds[0], &v, 1, 0, 0));
}

CASE(write_past_the_end)
{
    int fd = make_file("f", "ab");
    char buf[8];

    memset(buf, 1, 8);
    SHOW(lseek(fd, 6, SEEK_SET));
    SHOW(write(fd, "z", 1));
    SHOW(pread(fd, buf, 8, 0));
    say("%d %d %d %c", buf[1], buf[2], buf[5], buf[6]);
}

CASE(write_over_fsize)
{
    int fd = make_file("f", "ab");

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){5, 5});
    SHOW(write(fd, "12345678", 8));
    SHOW(write(fd, "1", 1));
    SHOW(pwrite(fd, "1", 1, 9));
    SHOW(write(fd, "", 0));
    SHOW(ftruncate(fd, 6));
    SHOW(ftruncate(fd, 5));
}

CASE(read_of_special)
{
    char buf[8] = "12345678";
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);

    SHOW(read(null, buf, 8));
    SHOW(write(null, buf, 8));
    SHOW(write(null, NULL, 8));
    SHOW(read(zero, buf, 4));
    say("%d %c", buf[0], buf[4]);
    SHOW(read(zero, NULL, 4));
    SHOW(write(full, buf, 1));
    SHOW(write(full, buf, 0));
    SHOW(read(full, buf, 8));
    SHOW(lseek(null, 5, SEEK_SET));
    SHOW(pread(zero, buf, 4, 100));
}

CASE(read_part_into_half_mapped)
{
    char *p = two_pages_one_mapped();
    int fd = make_file("f", "abcdefgh");

    SHOW(read(fd, p + 4092, 8));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(readv(fd, (struct iovec[]){{p, 2}, {p + 4096, 2}}, 2));
    SHOW(lseek(fd, 0, SEEK_CUR));
}
