/* sendfile, splice, tee, vmsplice, copy_file_range. */
#include "case.h"

#include <sys/sendfile.h>

static long
position(int fd)
{
    return lseek(fd, 0, SEEK_CUR);
}

CASE(sendfile_copies)
{
    int from = make_file("f", "abcdefgh"), to = open("g", O_CREAT | O_RDWR, 0644);
    off_t at = 2;
    char buf[16] = "";

    SHOW(sendfile(to, from, &at, 3));
    say("%ld %ld %ld", (long)at, position(from), position(to));
    SHOW(sendfile(to, from, NULL, 100));
    say("%ld", position(from));
    SHOW(sendfile(to, from, NULL, 100));
    pread(to, buf, 15, 0);
    say("%s", buf);
}

CASE(sendfile_errors)
{
    int from = make_file("f", "abc"), to = open("g", O_CREAT | O_RDWR, 0644), append = open("g", O_WRONLY | O_APPEND),
        fds[2];
    off_t negative = -1;

    pipe(fds);
    SHOW(sendfile(-1, from, NULL, 1));
    SHOW(sendfile(to, -1, NULL, 1));
    SHOW(sendfile(from, open("g", O_WRONLY), NULL, 1));
    SHOW(sendfile(open("f", O_RDONLY), to, NULL, 1));
    SHOW(sendfile(append, from, NULL, 1));
    SHOW(sendfile(to, fds[0], NULL, 1));
    SHOW(sendfile(to, from, &negative, 1));
    SHOW(sendfile(to, from, (off_t *)-1, 1));
    SHOW(sendfile(to, from, NULL, 0));
    SHOW(sendfile(to, open(".", O_RDONLY), NULL, 1));
    SHOW(sendfile(fds[1], from, NULL, 3));
}

CASE(splice_moves)
{
    int from = make_file("f", "abcdefgh"), to = open("g", O_CREAT | O_RDWR, 0644), fds[2];
    loff_t at = 2, out = 5;

    pipe(fds);
    SHOW(splice(from, &at, fds[1], NULL, 3, 0));
    say("%ld %ld", (long)at, position(from));
    SHOW(splice(from, NULL, fds[1], NULL, 2, 0));
    SHOW(splice(fds[0], NULL, to, &out, 100, 0));
    say("%ld %ld %ld", (long)out, position(to), (long)lseek(to, 0, SEEK_END));
    SHOW(splice(fds[0], NULL, to, NULL, 100, SPLICE_F_NONBLOCK));
    close(fds[1]);
    SHOW(splice(fds[0], NULL, to, NULL, 100, 0));
}

CASE(splice_errors)
{
    int file = make_file("f", "abc"), other = open("g", O_CREAT | O_RDWR, 0644), fds[2];
    loff_t at = 0;

    pipe(fds);
    write(fds[1], "abc", 3);
    SHOW(splice(file, NULL, other, NULL, 1, 0));
    SHOW(splice(fds[0], &at, other, NULL, 1, 0));
    SHOW(splice(file, NULL, fds[1], &at, 1, 0));
    SHOW(splice(fds[0], NULL, fds[1], NULL, 1, 0));
    SHOW(splice(-1, NULL, fds[1], NULL, 1, 0));
    SHOW(splice(fds[0], NULL, -1, NULL, 1, 0));
    SHOW(splice(fds[1], NULL, other, NULL, 1, 0));
    SHOW(splice(fds[0], NULL, open("g", O_RDONLY), NULL, 1, 0));
    SHOW(splice(fds[0], NULL, open("g", O_WRONLY | O_APPEND), NULL, 1, 0));
    SHOW(splice(fds[0], NULL, other, NULL, 1, 0x100));
    SHOW(splice(fds[0], NULL, other, NULL, 0, 0x100));
    SHOW(splice(fds[0], NULL, other, NULL, 0, 0));
    SHOW(splice(fds[0], NULL, other, (loff_t *)-1, 1, 0));
    at = -1;
    SHOW(splice(file, &at, fds[1], NULL, 1, 0));
}

CASE(splice_between_pipes)
{
    int a[2], b[2];
    char buf[8] = "";

    pipe(a), pipe(b);
    write(a[1], "abcdef", 6);
    SHOW(splice(a[0], NULL, b[1], NULL, 4, 0));
    SHOW(read(b[0], buf, 8));
    SHOW(read(a[0], buf, 8));
    close(b[0]);
    write(a[1], "x", 1);
    signal(SIGPIPE, SIG_IGN);
    SHOW(splice(a[0], NULL, b[1], NULL, 4, 0));
}

CASE(tee_copies)
{
    int a[2], b[2], file = make_file("f", "");
    char buf[8] = "";

    pipe(a), pipe(b);
    SHOW(tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
    write(a[1], "abcdef", 6);
    SHOW(tee(a[0], b[1], 4, 0));
    SHOW(read(b[0], buf, 8));
    SHOW(read(a[0], buf, 8));
    SHOW(tee(a[0], a[1], 4, 0));
    SHOW(tee(file, b[1], 4, 0));
    SHOW(tee(a[1], b[1], 4, 0));
    SHOW(tee(-1, b[1], 4, 0));
    SHOW(tee(a[0], b[1], 4, 0x100));
    SHOW(tee(a[0], b[1], 0, 0));
    close(a[1]);
    SHOW(tee(a[0], b[1], 4, 0));
}

CASE(vmsplice_moves)
{
    int a[2];
    char buf[8] = "";
    struct iovec v[2] = {{"abc", 3}, {"de", 2}}, w = {buf, 8};

    pipe(a);
    SHOW(vmsplice(a[1], v, 2, 0));
    SHOW(vmsplice(a[0], &w, 1, 0));
    say("%s", buf);
    SHOW(vmsplice(a[0], &w, 1, SPLICE_F_NONBLOCK));
    SHOW(vmsplice(a[1], v, 0, 0));
    SHOW(vmsplice(a[1], v, 1025, 0));
    SHOW(vmsplice(a[1], (void *)-1, 1, 0));
    SHOW(vmsplice(make_file("f", ""), v, 1, 0));
    SHOW(vmsplice(-1, v, 1, 0));
    SHOW(vmsplice(a[1], v, 1, 0x100));
}

CASE(copy_file_range_copies)
{
    int from = make_file("f", "abcdefgh"), to = open("g", O_CREAT | O_RDWR, 0644);
    loff_t in = 2, out = 4;
    char buf[16] = "";

    SHOW(copy_file_range(from, &in, to, &out, 3, 0));
    say("%ld %ld %ld %ld", (long)in, (long)out, position(from), position(to));
    SHOW(copy_file_range(from, NULL, to, NULL, 2, 0));
    SHOW(copy_file_range(from, NULL, to, NULL, 100, 0));
    SHOW(copy_file_range(from, NULL, to, NULL, 100, 0));
    SHOW(pread(to, buf, 15, 0));
    say("%s", buf);
}

CASE(copy_file_range_errors)
{
    int from = make_file("f", "abcdefgh"), to = open("g", O_CREAT | O_RDWR, 0644), fds[2];
    loff_t in = 0, out = 2, negative = -1;

    pipe(fds);
    SHOW(copy_file_range(from, NULL, to, NULL, 1, 1));
    SHOW(copy_file_range(-1, NULL, to, NULL, 1, 0));
    SHOW(copy_file_range(from, NULL, -1, NULL, 1, 0));
    SHOW(copy_file_range(from, NULL, fds[1], NULL, 1, 0));
    SHOW(copy_file_range(open(".", O_RDONLY), NULL, to, NULL, 1, 0));
    SHOW(copy_file_range(from, NULL, open("g", O_RDONLY), NULL, 1, 0));
    SHOW(copy_file_range(open("g", O_WRONLY), NULL, to, NULL, 1, 0));
    SHOW(copy_file_range(from, NULL, open("g", O_WRONLY | O_APPEND), NULL, 1, 0));
    SHOW(copy_file_range(from, &in, from, &out, 4, 0));
    SHOW(copy_file_range(from, &in, from, &out, 2, 0));
    SHOW(copy_file_range(from, &negative, to, NULL, 1, 0));
    SHOW(copy_file_range(from, (loff_t *)-1, to, NULL, 1, 0));
    SHOW(copy_file_range(from, NULL, to, NULL, 0, 0));
}
