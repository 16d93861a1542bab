/* Which of several errors a call says. */
#include "case.h"

#include <sys/un.h>

CASE(descriptor_before_flags)
{
    SHOW(syscall(SYS_dup3, -1, 5, 1));
    SHOW(syscall(SYS_dup3, -1, -1, 0));
    SHOW(syscall(SYS_accept4, -1, NULL, NULL, 1));
    SHOW(syscall(SYS_fallocate, -1, 0x1000, -1, -1));
    SHOW(syscall(SYS_sync_file_range, -1, -1, -1, 99));
    SHOW(syscall(SYS_splice, -1, NULL, -1, NULL, 0, 0));
    SHOW(syscall(SYS_tee, -1, -1, 0, 0));
    SHOW(syscall(SYS_copy_file_range, -1, NULL, -1, NULL, 1, 99));
    SHOW(syscall(SYS_fchmodat, -1, "x", 0));
    SHOW(syscall(SYS_fchownat, -1, "x", 0, 0, 99));
    SHOW(syscall(SYS_unlinkat, -1, "x", 99));
    SHOW(syscall(SYS_linkat, -1, "x", -1, "y", 99));
    SHOW(syscall(SYS_renameat2, -1, "x", -1, "y", 99));
    SHOW(syscall(SYS_faccessat2, -1, "x", 99, 99));
    SHOW(syscall(SYS_utimensat, -1, "x", NULL, 99));
    SHOW(syscall(SYS_statx, -1, "x", 99, 0, NULL));
    SHOW(syscall(SYS_openat, -1, "x", O_CREAT | O_DIRECTORY, 0));
    SHOW(syscall(SYS_execveat, -1, "x", NULL, NULL, 99));
    SHOW(syscall(SYS_getdents64, -1, NULL, 0));
    SHOW(syscall(SYS_flock, -1, 99));
    SHOW(syscall(SYS_inotify_rm_watch, -1, -1));
    SHOW(syscall(SYS_timerfd_settime, -1, 99, NULL, NULL));
    SHOW(syscall(SYS_epoll_ctl, -1, 99, -1, NULL));
    SHOW(syscall(SYS_recvmmsg, -1, NULL, 0, 0, (void *)-1));
    SHOW(syscall(SYS_sendmmsg, -1, NULL, 0, 0));
}

CASE(descriptor_before_pointers)
{
    SHOW(syscall(SYS_read, -1, (void *)-1, 1));
    SHOW(syscall(SYS_readv, -1, (void *)-1, 1));
    SHOW(syscall(SYS_fcntl, -1, F_SETLK, (void *)-1));
    SHOW(syscall(SYS_ioctl, -1, FIONBIO, (void *)-1));
    SHOW(syscall(SYS_bind, -1, (void *)-1, 16));
    SHOW(syscall(SYS_connect, -1, (void *)-1, 16));
    SHOW(syscall(SYS_sendmsg, -1, (void *)-1, 0));
    SHOW(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_KEEPALIVE, (void *)-1, 4));
    SHOW(syscall(SYS_openat, -1, (void *)-1, 0));
    SHOW(syscall(SYS_newfstatat, -1, (void *)-1, NULL, 0));
    SHOW(syscall(SYS_epoll_wait, -1, (void *)-1, 1, 0));
    SHOW(syscall(SYS_fstatfs, -1, (void *)-1));
    SHOW(syscall(SYS_sendfile, -1, -1, (void *)-1, 1));
}

CASE(path_before_the_rest)
{
    make_file("f", "");
    SHOW(syscall(SYS_truncate, "nothing", -1));
    SHOW(syscall(SYS_stat, "nothing", (void *)-1));
    SHOW(syscall(SYS_readlink, "nothing", (void *)-1, 1));
    SHOW(syscall(SYS_readlink, "nothing", NULL, 0));
    SHOW(syscall(SYS_access, "nothing", 99));
    SHOW(syscall(SYS_statx, AT_FDCWD, "nothing", 0, 1u << 31, NULL));
    SHOW(syscall(SYS_utimensat, AT_FDCWD, "nothing", (void *)-1, 0));
    SHOW(syscall(SYS_utimensat, AT_FDCWD, "nothing", (struct timespec[2]){{0, -1}, {0, 0}}, 0));
    SHOW(syscall(SYS_mknod, "f", S_IFDIR, 0));
    SHOW(syscall(SYS_mknod, "nothing/x", 0170000, 0));
    SHOW(syscall(SYS_statfs, "nothing", (void *)-1));
}

CASE(rights_before_or_after)
{
    make_file("f", "");
    mkdir("d", 0755);
    make_file("d/f", "");
    become(1000);
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d/f", 0755));
    SHOW(mkdir("d/x", 0755));
    SHOW(symlink("x", "d/f"));
    SHOW(mknod("d/f", S_IFIFO, 0));
    SHOW(mknod("d/x", S_IFCHR, 0));
    SHOW(link("nothing", "d/x"));
    SHOW(link("f", "d/f"));
    SHOW(unlink("d/nothing"));
    SHOW(unlink("d/f"));
    SHOW(rmdir("d/f"));
    SHOW(rename("d/f", "d/x"));
    SHOW(rename("d/nothing", "d/x"));
    SHOW(open("d/f", O_CREAT | O_EXCL | O_RDWR, 0644));
    SHOW(open("d/x", O_CREAT | O_RDWR, 0644));
    SHOW(chmod("nothing", 0));
    SHOW(chown("f", 1000, -1));
    SHOW(truncate("f", -1));
    SHOW(chroot("nothing"));
    SHOW(chroot("f"));
}
