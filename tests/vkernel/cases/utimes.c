/* utimensat, utimes, futimesat, utime, and when times of files change. */
#include "case.h"

#include <sys/time.h>
#include <utime.h>

static void
say_times(const char *name)
{
    struct stat st;

    lstat(name, &st);
    say("%s: %ld.%ld %ld.%ld", name, (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec,
        st.st_mtim.tv_nsec);
}

CASE(utimensat_sets)
{
    int fd = make_file("f", "");
    struct timespec t[2] = {{100, 5}, {200, 999999999}}, omit[2] = {{300, 0}, {0, UTIME_OMIT}};

    SHOW(utimensat(AT_FDCWD, "f", t, 0));
    say_times("f");
    SHOW(utimensat(AT_FDCWD, "f", omit, 0));
    say_times("f");
    SHOW(futimens(fd, (struct timespec[2]){{-5, 1}, {1, 1}}));
    say_times("f");
}

CASE(utimensat_errors)
{
    struct timespec t[2] = {{1, 0}, {1, 0}}, bad[2] = {{1, 1000000000}, {1, 0}},
                    omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};

    make_file("f", "");
    SHOW(utimensat(AT_FDCWD, "f", bad, 0));
    SHOW(utimensat(AT_FDCWD, "nothing", t, 0));
    SHOW(utimensat(AT_FDCWD, "nothing", omit, 0));
    SHOW(utimensat(AT_FDCWD, "f", t, 1));
    SHOW(utimensat(-1, "f", t, 0));
    SHOW(syscall(SYS_utimensat, -1, NULL, t, 0));
    SHOW(syscall(SYS_utimensat, 0, NULL, t, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_utimensat, AT_FDCWD, NULL, t, 0));
    SHOW(syscall(SYS_utimensat, AT_FDCWD, "f", (void *)-1, 0));
    SHOW(utimensat(AT_FDCWD, "", t, 0));
}

CASE(utimensat_of_link)
{
    make_file("f", "");
    symlink("f", "l");
    struct timespec t[2] = {{7, 0}, {8, 0}}, u[2] = {{9, 0}, {10, 0}};

    SHOW(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
    say_times("l");
    SHOW(utimensat(AT_FDCWD, "l", u, 0));
    say_times("f");
}

CASE(utimensat_rights)
{
    struct timespec t[2] = {{7, 0}, {8, 0}}, now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}},
                    half[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};

    make_file("f", "");
    chmod("f", 0666);
    make_file("g", "");
    become(1000);
    SHOW(utimensat(AT_FDCWD, "f", t, 0));
    SHOW(utimensat(AT_FDCWD, "f", now, 0));
    SHOW(utimensat(AT_FDCWD, "f", half, 0));
    SHOW(utimensat(AT_FDCWD, "f", NULL, 0));
    SHOW(utimensat(AT_FDCWD, "g", NULL, 0));
    SHOW(utimensat(AT_FDCWD, "g", t, 0));
}

CASE(utime_and_utimes)
{
    make_file("f", "");
    SHOW(utime("f", &(struct utimbuf){11, 12}));
    say_times("f");
    SHOW(utimes("f", (struct timeval[2]){{13, 14}, {15, 16}}));
    say_times("f");
    SHOW(syscall(SYS_utimes, "f", (struct timeval[2]){{13, 1000000}, {15, 16}}));
    SHOW(syscall(SYS_utimes, "f", (struct timeval[2]){{13, -1}, {15, 16}}));
    SHOW(syscall(SYS_utime, "nothing", NULL));
    SHOW(syscall(SYS_utimes, "f", (void *)-1));
    SHOW(syscall(SYS_utime, "f", (void *)-1));
    SHOW(syscall(SYS_futimesat, AT_FDCWD, "f", (struct timeval[2]){{17, 18}, {19, 20}}));
    say_times("f");
}

static bool
newer(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static void
say_newer(const char *what, const char *name, struct stat *before)
{
    struct stat st;

    lstat(name, &st);
    say("%s: mtime %d ctime %d", what, newer(st.st_mtim, before->st_mtim), newer(st.st_ctim, before->st_ctim));
    *before = st;
    sleep_ms(11);
}

CASE(what_changes_mtime_and_ctime)
{
    struct stat st;
    int fd = make_file("f", "abc");

    stat("f", &st);
    sleep_ms(11);
    pwrite(fd, "x", 1, 0);
    say_newer("write", "f", &st);
    pwrite(fd, "", 0, 0);
    say_newer("write nothing", "f", &st);
    chmod("f", 0600);
    say_newer("chmod", "f", &st);
    chown("f", 0, 0);
    say_newer("chown", "f", &st);
    link("f", "g");
    say_newer("link", "f", &st);
    rename("g", "h");
    say_newer("rename", "f", &st);
    unlink("h");
    say_newer("unlink", "f", &st);
    ftruncate(fd, 3);
    say_newer("truncate to its size", "f", &st);
    open("f", O_WRONLY | O_TRUNC);
    say_newer("open to truncate", "f", &st);
    truncate("f", 0);
    say_newer("truncate to its size by name", "f", &st);
    fallocate(fd, 0, 0, 10);
    say_newer("fallocate", "f", &st);
}

CASE(what_changes_a_folders_mtime)
{
    struct stat st;

    mkdir("d", 0755);
    stat("d", &st);
    sleep_ms(11);
    make_file("d/f", "");
    say_newer("create", "d", &st);
    make_file("d/f", "abc");
    say_newer("truncate a file", "d", &st);
    rename("d/f", "d/g");
    say_newer("rename", "d", &st);
    unlink("d/g");
    say_newer("unlink", "d", &st);
    mkdir("d/e", 0755);
    say_newer("mkdir", "d", &st);
    make_file("d/e/f", "");
    say_newer("create below", "d", &st);
}
