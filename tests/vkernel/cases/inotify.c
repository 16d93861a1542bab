/* inotify. */
#include "case.h"

#include <sys/inotify.h>

/* What there is to read, without cookies. */
static void
say_events(int fd)
{
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof buf);

    if (n < 0)
        say("none: %s", strerrorname_np(errno));
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *e = (struct inotify_event *)(buf + at);
        say("wd %d %x%s %s", e->wd, e->mask, e->cookie ? " with cookie" : "", e->len ? e->name : "-");
        at += sizeof *e + e->len;
    }
}

CASE(inotify_of_file)
{
    int file = make_file("f", "abc"), fd = inotify_init1(IN_NONBLOCK);

    SHOW(inotify_add_watch(fd, "f", IN_ALL_EVENTS));
    read(file, &(char){0}, 1);
    write(file, "x", 1);
    say_events(fd);
    chmod("f", 0600);
    close(open("f", O_RDONLY));
    say_events(fd);
    ftruncate(file, 0);
    link("f", "g");
    rename("f", "h");
    say_events(fd);
    say_events(fd);
}

CASE(inotify_of_folder)
{
    int fd = inotify_init1(IN_NONBLOCK);

    mkdir("d", 0755);
    SHOW(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    close(open("d/f", O_CREAT | O_WRONLY, 0644));
    mkdir("d/e", 0755);
    rename("d/f", "d/g");
    rename("d/g", "g");
    rename("g", "d/h");
    unlink("d/h");
    rmdir("d/e");
    say_events(fd);
}

CASE(inotify_of_removal)
{
    int fd = inotify_init1(IN_NONBLOCK);

    mkdir("d", 0755);
    close(make_file("f", ""));
    SHOW(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(fd, "f", IN_ALL_EVENTS));
    rmdir("d");
    unlink("f");
    say_events(fd);
    SHOW(inotify_rm_watch(fd, 1));
}

CASE(inotify_removed_while_open)
{
    int file = make_file("f", ""), fd = inotify_init1(IN_NONBLOCK);

    SHOW(inotify_add_watch(fd, "f", IN_ALL_EVENTS));
    unlink("f");
    say_events(fd);
    write(file, "x", 1);
    say_events(fd);
    close(file);
    say_events(fd);
}

CASE(inotify_masks)
{
    int fd = inotify_init1(IN_NONBLOCK);

    close(make_file("f", ""));
    SHOW(inotify_add_watch(fd, "f", IN_OPEN));
    SHOW(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_ADD));
    SHOW(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_CREATE));
    close(open("f", O_RDONLY));
    chmod("f", 0600);
    say_events(fd);
    SHOW(inotify_add_watch(fd, "f", IN_ATTRIB | IN_ONESHOT));
    close(open("f", O_RDONLY));
    chmod("f", 0644);
    chmod("f", 0600);
    say_events(fd);
}

CASE(inotify_errors)
{
    int fd = inotify_init1(IN_NONBLOCK);

    make_file("f", "");
    symlink("f", "l");
    SHOW(inotify_init1(1));
    SHOW(inotify_add_watch(fd, "f", 0));
    SHOW(inotify_add_watch(fd, "nothing", IN_OPEN));
    SHOW(inotify_add_watch(fd, NULL, IN_OPEN));
    SHOW(inotify_add_watch(0, "f", IN_OPEN));
    SHOW(inotify_add_watch(-1, "f", IN_OPEN));
    SHOW(inotify_add_watch(-1, "f", 0));
    SHOW(inotify_add_watch(fd, ".", IN_ONLYDIR));
    SHOW(inotify_add_watch(fd, "f", IN_OPEN | IN_ONLYDIR));
    SHOW(inotify_add_watch(fd, "f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
    SHOW(inotify_add_watch(fd, "l", IN_OPEN | IN_DONT_FOLLOW));
    SHOW(inotify_rm_watch(fd, 99));
    SHOW(inotify_rm_watch(0, 1));
    SHOW(inotify_rm_watch(-1, 1));
    SHOW(write(fd, "x", 1));
    chmod("f", 0600);
    become(1000);
    SHOW(inotify_add_watch(fd, "f", IN_OPEN));
}

CASE(inotify_read_sizes)
{
    int fd = inotify_init1(IN_NONBLOCK), n;
    char buf[64];

    inotify_add_watch(fd, ".", IN_CREATE);
    SHOW(read(fd, buf, 0));
    SHOW(read(fd, buf, 4));
    make_file("abc", "");
    SHOW(read(fd, buf, 20));
    SHOW(ioctl(fd, FIONREAD, &n));
    say("%d", n);
    SHOW(read(fd, buf, 64));
}

CASE(inotify_joins_equal_events)
{
    int file = make_file("f", "abc"), fd = inotify_init1(IN_NONBLOCK);

    inotify_add_watch(fd, "f", IN_MODIFY | IN_ATTRIB);
    write(file, "x", 1);
    write(file, "x", 1);
    fchmod(file, 0600);
    write(file, "x", 1);
    say_events(fd);
}

CASE(inotify_rm_says_ignored)
{
    int fd = inotify_init1(IN_NONBLOCK);
    struct pollfd p = {fd, POLLIN};

    make_file("f", "");
    SHOW(inotify_add_watch(fd, "f", IN_OPEN));
    SHOW(poll(&p, 1, 0));
    SHOW(inotify_rm_watch(fd, 1));
    SHOW(poll(&p, 1, 0));
    say_events(fd);
    SHOW(inotify_add_watch(fd, "f", IN_OPEN));
}

CASE(inotify_exchange)
{
    int fd = inotify_init1(IN_NONBLOCK);

    mkdir("d", 0755);
    close(make_file("d/a", ""));
    mkdir("d/b", 0755);
    SHOW(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(fd, "d/a", IN_MOVE_SELF));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/a", AT_FDCWD, "d/b", RENAME_EXCHANGE));
    say_events(fd);
}

CASE(inotify_replaced_by_rename)
{
    int fd = inotify_init1(IN_NONBLOCK);

    close(make_file("a", ""));
    close(make_file("b", ""));
    SHOW(inotify_add_watch(fd, "b", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(fd, "a", IN_ALL_EVENTS));
    rename("a", "b");
    say_events(fd);
}
