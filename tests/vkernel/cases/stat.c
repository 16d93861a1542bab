/* stat and its relatives, statx, access, faccessat2, statfs. */
#include "case.h"

#include <linux/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

CASE(stat_types)
{
    struct stat st;

    make_file("f", "abc");
    mkdir("d", 0751);
    symlink("f", "l");
    mkfifo("p", 0640);
    mknod("s", S_IFSOCK | 0600, 0);
    mknod("c", S_IFCHR | 0600, makedev(1, 3));
    for (const char *names = "fdlpsc"; *names; names++) {
        lstat((char[]){*names, 0}, &st);
        say("%c %o links %ld device %u:%u", *names, st.st_mode, *names == 'd' ? 0 : (long)st.st_nlink,
            major(st.st_rdev), minor(st.st_rdev));
    }
    lstat("l", &st);
    say("size of a link %ld", (long)st.st_size);
}

CASE(stat_follows)
{
    struct stat a, b, c;

    make_file("f", "abc");
    symlink("f", "l");
    stat("f", &a), stat("l", &b), lstat("l", &c);
    say("%d %d", a.st_ino == b.st_ino, a.st_ino == c.st_ino);
    SHOW(fstatat(AT_FDCWD, "l", &c, AT_SYMLINK_NOFOLLOW));
    say("%d", S_ISLNK(c.st_mode));
}

CASE(stat_errors)
{
    struct stat st;

    make_file("f", "");
    SHOW(stat("nothing", &st));
    SHOW(stat("", &st));
    SHOW(stat("f/", &st));
    SHOW(stat("f/.", &st));
    SHOW(stat(NULL, &st));
    SHOW(syscall(SYS_stat, "f", NULL));
    SHOW(syscall(SYS_stat, "f", -1L));
    SHOW(syscall(SYS_stat, "nothing", NULL));
    SHOW(syscall(SYS_fstat, -1, &st));
    SHOW(syscall(SYS_fstat, -1, NULL));
    SHOW(syscall(SYS_fstat, 0, NULL));
}

CASE(fstatat_flags)
{
    struct stat st;
    int fd = make_file("f", "abc");

    SHOW(syscall(SYS_newfstatat, fd, "", &st, 0));
    SHOW(syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH));
    SHOW(syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
    SHOW(syscall(SYS_newfstatat, -1, "", &st, AT_EMPTY_PATH));
    SHOW(syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 1));
    SHOW(syscall(SYS_newfstatat, AT_FDCWD, "f", &st, AT_SYMLINK_FOLLOW));
    SHOW(syscall(SYS_newfstatat, AT_FDCWD, "f", &st, AT_NO_AUTOMOUNT));
    SHOW(syscall(SYS_newfstatat, fd, "x", &st, 0));
    SHOW(syscall(SYS_newfstatat, -1, "x", &st, 0));
    SHOW(syscall(SYS_newfstatat, -1, "/", &st, 0));
}

CASE(statx_fills)
{
    struct statx sx;
    int fd = make_file("f", "abc");

    SHOW(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx));
    say("%d %o %llu links %u", (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, sx.stx_mode,
        (long long)sx.stx_size, sx.stx_nlink);
    SHOW(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
    say("%llu", (long long)sx.stx_size);
    SHOW(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, 0, &sx));
}

CASE(statx_errors)
{
    struct statx sx;
    int fd = make_file("f", "abc");

    SHOW(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000u, &sx));
    SHOW(syscall(SYS_statx, AT_FDCWD, "f", 1, 0, &sx));
    SHOW(syscall(SYS_statx, AT_FDCWD, "f", AT_STATX_SYNC_TYPE, 0, &sx));
    SHOW(syscall(SYS_statx, AT_FDCWD, "f", 0, 0, NULL));
    SHOW(syscall(SYS_statx, fd, "", 0, 0, &sx));
    SHOW(syscall(SYS_statx, fd, NULL, 0, 0, &sx));
    SHOW(syscall(SYS_statx, fd, NULL, AT_EMPTY_PATH, 0, &sx));
    SHOW(syscall(SYS_statx, -1, "f", 0, 0, &sx));
}

CASE(stat_counts_links)
{
    struct stat st;

    make_file("f", "");
    link("f", "g");
    stat("f", &st);
    say("%ld", (long)st.st_nlink);
    unlink("f");
    stat("g", &st);
    say("%ld", (long)st.st_nlink);
    int fd = open("g", O_RDONLY);
    unlink("g");
    fstat(fd, &st);
    say("%ld", (long)st.st_nlink);
}

CASE(access_as_root)
{
    make_file("f", "");
    mkdir("d", 0);
    chmod("f", 0);
    SHOW(access("f", F_OK));
    SHOW(access("f", R_OK | W_OK));
    SHOW(access("f", X_OK));
    SHOW(access("d", X_OK));
    chmod("f", 0010);
    SHOW(access("f", X_OK));
}

CASE(access_as_user)
{
    make_file("f", "");
    chmod("f", 0604);
    mkdir("d", 0700);
    make_file("d/f", "");
    become(1000);
    SHOW(access("f", R_OK));
    SHOW(access("f", W_OK));
    SHOW(access("f", R_OK | W_OK));
    SHOW(access("d/f", F_OK));
    SHOW(access("d/nothing", F_OK));
    SHOW(access("nothing", F_OK));
}

CASE(access_uses_the_real_user)
{
    make_file("f", "");
    chmod("f", 0600);
    SHOW(setresuid(1000, 0, 0));
    SHOW(access("f", R_OK));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, 0));
}

CASE(access_errors)
{
    make_file("f", "");
    symlink("nowhere", "l");
    SHOW(access("f", 8));
    SHOW(access("f", -1));
    SHOW(access(NULL, F_OK));
    SHOW(access("", F_OK));
    SHOW(access("f/x", F_OK));
    SHOW(access("l", F_OK));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, 1));
    SHOW(syscall(SYS_faccessat2, 0, "", F_OK, AT_EMPTY_PATH));
    SHOW(syscall(SYS_faccessat2, 0, "", F_OK, 0));
    SHOW(syscall(SYS_faccessat2, -1, "f", F_OK, 0));
    SHOW(syscall(SYS_faccessat2, -1, "f", 8, 0));
}

CASE(statfs_errors)
{
    struct statfs s;
    int fds[2];

    pipe(fds);
    SHOW(statfs("nothing", &s));
    SHOW(statfs(NULL, &s));
    SHOW(statfs(".", NULL));
    SHOW(fstatfs(-1, &s));
    SHOW(fstatfs(fds[0], &s));
    say("%lx", (long)s.f_type);
    SHOW(fstatfs(0, NULL));
    SHOW(statfs("/proc", &s));
    say("%lx %ld", (long)s.f_type, (long)s.f_namelen);
}

CASE(calls_that_are_gone)
{
    SHOW(syscall(SYS_uselib, "x"));
    SHOW(syscall(SYS__sysctl, NULL));
    SHOW(syscall(SYS_create_module, "x", 1));
    SHOW(syscall(SYS_afs_syscall, 0));
    SHOW(syscall(SYS_security, 0));
    SHOW(syscall(SYS_tuxcall, 0));
    SHOW(syscall(SYS_getpmsg, 0));
    SHOW(syscall(SYS_vserver, 0));
    SHOW(syscall(1000));
    SHOW(syscall(-1));
}
