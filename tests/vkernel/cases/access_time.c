/* When a file was read last, as relatime has it: told again only after a change. */
#include "case.h"

static struct stat before;

static void
say_access(const char *what, const char *path)
{
    struct stat st;

    lstat(path, &st);
    say("%s: access %s change %s", what,
        st.st_atim.tv_sec == before.st_atim.tv_sec && st.st_atim.tv_nsec == before.st_atim.tv_nsec ? "old" : "new",
        st.st_ctim.tv_sec == before.st_ctim.tv_sec && st.st_ctim.tv_nsec == before.st_ctim.tv_nsec ? "old" : "new");
    before = st;
    sleep_ms(20);
}

CASE(read_after_a_write)
{
    int fd = make_file("f", "abc");
    char c;

    lstat("f", &before);
    sleep_ms(20);
    read(fd, &c, 1);
    say_access("read", "f");
    read(fd, &c, 1);
    say_access("read again", "f");
    write(fd, "x", 1);
    say_access("written", "f");
    pread(fd, &c, 1, 0);
    say_access("read after it", "f");
    read(fd, &c, 1);
    say_access("read at the end", "f");
}

CASE(read_after_a_change_of_mode)
{
    int fd = make_file("f", "abc");
    char c;

    read(fd, &c, 1);
    lstat("f", &before);
    sleep_ms(20);
    chmod("f", 0600);
    say_access("mode", "f");
    read(fd, &c, 1);
    say_access("read", "f");
}

CASE(read_without)
{
    int fd;
    char c;

    make_file("f", "abc");
    fd = open("f", O_RDONLY | O_NOATIME);
    lstat("f", &before);
    sleep_ms(20);
    read(fd, &c, 1);
    say_access("read", "f");
}

CASE(mapped)
{
    int fd = make_file("f", "abc");
    volatile char *m;
    char c;

    lstat("f", &before);
    sleep_ms(20);
    m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say_access("mapped", "f");
    c = m[0];
    (void)c;
    say_access("looked at", "f");
}

CASE(link_and_folder)
{
    struct stat st;
    char text[8], entries[1024];

    symlink("nothing", "l");
    mkdir("d", 0755);
    lstat("l", &before);
    sleep_ms(20);
    readlink("l", text, sizeof text);
    say_access("link", "l");
    readlink("l", text, sizeof text);
    say_access("link again", "l");
    lstat("d", &before);
    sleep_ms(20);
    syscall(SYS_getdents64, open("d", O_RDONLY), entries, sizeof entries);
    say_access("folder", "d");
    lstat("d", &st);
    SHOW(st.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
}
