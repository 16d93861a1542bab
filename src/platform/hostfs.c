/* See hostfs.h. Volumes are resolved with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS) and, for the last
 * component, O_NOFOLLOW: the guest's own walk has followed symlinks already, as guest paths. Where there is no openat2,
 * O_NOFOLLOW does it alone: the walk goes name by name. */
#include "platform/hostfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "platform/lockdown.h"

static int resize_pipe[2] = {-1, -1};

#define NEGATIVE(call)                     \
    ({                                     \
        __typeof__(call) result_ = (call); \
        result_ < 0 ? -errno : result_;    \
    })

int
host_memfd(const char *name, uint64_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0) {
        int e = errno;

        close(fd);
        return -e;
    }
    return fd;
}

ssize_t
host_pread(int fd, void *buf, size_t size, uint64_t offset)
{
    return NEGATIVE(pread(fd, buf, size, (off_t)offset));
}

ssize_t
host_pwrite(int fd, const void *buf, size_t size, uint64_t offset)
{
    return NEGATIVE(pwrite(fd, buf, size, (off_t)offset));
}

ssize_t
host_preadv(int fd, const struct iovec *iov, int count, uint64_t offset)
{
    return NEGATIVE(preadv(fd, iov, count, (off_t)offset));
}

ssize_t
host_pwritev(int fd, const struct iovec *iov, int count, uint64_t offset)
{
    return NEGATIVE(pwritev(fd, iov, count, (off_t)offset));
}

ssize_t
host_appendv(int fd, const struct iovec *iov, int count, uint64_t *end)
{
    ssize_t n = pwritev2(fd, iov, count, -1, RWF_APPEND); /* -1: the descriptor's own position goes along */
    off_t at;

    if (n < 0)
        return -errno;
    at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0)
        *end = (uint64_t)at;
    return n;
}

ssize_t
host_readv(int fd, const struct iovec *iov, int count)
{
    return NEGATIVE(readv(fd, iov, count));
}

ssize_t
host_writev(int fd, const struct iovec *iov, int count)
{
    return NEGATIVE(writev(fd, iov, count));
}

int64_t
host_seek(int fd, int64_t offset, int whence)
{
    return NEGATIVE((int64_t)lseek(fd, offset, whence));
}

int
host_punch(int fd, uint64_t offset, uint64_t size)
{
    return NEGATIVE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size));
}

int
host_close(int fd)
{
    return NEGATIVE(close(fd));
}

int
host_fstat(int fd, struct stat *st)
{
    return NEGATIVE(fstat(fd, st));
}

int
host_ftruncate(int fd, uint64_t size)
{
    return NEGATIVE(ftruncate(fd, (off_t)size));
}

int
host_syncfs(int fd)
{
    return NEGATIVE(syncfs(fd));
}

int
host_fsync(int fd)
{
    return NEGATIVE(fsync(fd));
}

int
host_flock(int fd, int operation)
{
    return NEGATIVE(flock(fd, operation | LOCK_NB));
}

int
host_lock(int fd, int type, uint64_t start, uint64_t end)
{
    struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = (off_t)start};
    int r;

    l.l_len = end >= INT64_MAX ? 0 : (off_t)(end - start + 1);
    r = NEGATIVE(fcntl(fd, F_OFD_SETLK, &l));
    return r == -EACCES ? -EAGAIN : r;
}

int
host_get_lock(int fd, struct flock *l)
{
    return NEGATIVE(fcntl(fd, F_OFD_GETLK, l));
}

short
host_poll_now(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    return ppoll(&p, 1, &(const struct timespec){0}, NULL) > 0 ? p.revents : 0;
}

int
host_bytes_ready(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) < 0 ? -errno : n;
}

/* /proc/self/fd: through it a file that is looked up (O_PATH) can be opened, linked and changed. */
static int descriptors_fd = -1;

struct descriptor_name {
    char text[16];
};

static struct descriptor_name
descriptor_name(int fd)
{
    struct descriptor_name n;

    snprintf(n.text, sizeof n.text, "%d", fd);
    return n;
}

static int changes_fd = -1;

/* Set before lock-down. A kernel before 5.6 has no openat2, and some containers' filters refuse it. */
static bool has_openat2;

static int
open_by_openat2(int root, const char *name, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC | ((flags & O_PATH) ? 0 : O_NOCTTY),
        .mode = (flags & (O_CREAT | __O_TMPFILE)) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };

    return (int)NEGATIVE(syscall(SYS_openat2, root, name, &how, sizeof how));
}

/* One name of a directory leads nowhere else when it is not followed. */
static int
open_by_name(int root, const char *name, int flags, mode_t mode)
{
    struct stat st;
    int fd;

    if (strchr(name, '/') || strcmp(name, "..") == 0)
        return -EXDEV;
    fd = NEGATIVE(openat(root, name, flags | O_NOFOLLOW | O_CLOEXEC | ((flags & O_PATH) ? 0 : O_NOCTTY), mode));
    if (fd < 0 || !(flags & O_PATH) || (flags & O_NOFOLLOW) || fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode))
        return fd;
    close(fd);
    return -ELOOP;
}

void
host_open_files(bool volumes)
{
    if (volumes) {
        int fd;

        descriptors_fd = platform_open_descriptors();
        fd = open_by_openat2(descriptors_fd, ".", O_PATH, 0);
        has_openat2 = fd >= 0;
        if (fd >= 0)
            close(fd);
        changes_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    }
    if (isatty(0) && pipe2(resize_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        resize_pipe[0] = resize_pipe[1] = -1;
}

/* A volume may hold the host's /proc: this process's memory is not to be written through its files (DESIGN D9). */
static int
not_proc(int fd, int flags)
{
    struct statfs st;

    if (fd < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY || fstatfs(fd, &st) < 0 ||
        st.f_type != PROC_SUPER_MAGIC)
        return fd;
    close(fd);
    return -EACCES;
}

int
host_open_beneath(int root, const char *path, int flags, mode_t mode)
{
    if (!*path) {
        /* the root itself (a file volume, or the directory): open again through a relative dot */
        struct stat st;

        if (fstat(root, &st) < 0)
            return -errno;
        if (!S_ISDIR(st.st_mode))
            return not_proc(NEGATIVE(openat(descriptors_fd, descriptor_name(root).text,
                                            (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY)),
                            flags);
        path = ".";
    }
    return not_proc(has_openat2 ? open_by_openat2(root, path, flags, mode) : open_by_name(root, path, flags, mode),
                    flags);
}

static int
open_dir(int root, const char *dir)
{
    return host_open_beneath(root, dir, O_PATH | O_DIRECTORY, 0);
}

int
host_mknod_beneath(int root, const char *dir, const char *name, mode_t mode, const char *target)
{
    int fd = open_dir(root, dir), r;

    if (fd < 0)
        return fd;
    if (S_ISLNK(mode))
        r = NEGATIVE(symlinkat(target, fd, name));
    else if (S_ISDIR(mode))
        r = NEGATIVE(mkdirat(fd, name, mode & 07777));
    else if (S_ISREG(mode)) {
        r = NEGATIVE(openat(fd, name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, mode & 07777));
        if (r >= 0) {
            close(r);
            r = 0;
        }
    } else if (S_ISFIFO(mode))
        r = NEGATIVE(mkfifoat(fd, name, mode & 07777));
    else
        r = -EPERM;
    close(fd);
    return r;
}

int
host_unlink_beneath(int root, const char *dir, const char *name, bool is_dir)
{
    int fd = open_dir(root, dir), r;

    if (fd < 0)
        return fd;
    r = NEGATIVE(unlinkat(fd, name, is_dir ? AT_REMOVEDIR : 0));
    close(fd);
    return r;
}

int
host_rename_fd(int from, const char *name, int to, const char *to_name, unsigned flags)
{
    /* The C library's function makes another call when there are no flags. */
    return NEGATIVE((int)syscall(SYS_renameat2, from, name, to, to_name, flags));
}

int
host_link_fd(int file, int dir, const char *name)
{
    return NEGATIVE(linkat(descriptors_fd, descriptor_name(file).text, dir, name, AT_SYMLINK_FOLLOW));
}

ssize_t
host_readlink_fd(int fd, char *buf, size_t size)
{
    return NEGATIVE(readlinkat(fd, "", buf, size));
}

int
host_chmod_fd(int fd, mode_t mode)
{
    return NEGATIVE(fchmodat(descriptors_fd, descriptor_name(fd).text, mode, 0));
}

int
host_chown_fd(int fd, uid_t uid, gid_t gid)
{
    return NEGATIVE(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
}

int
host_utimens_fd(int fd, const struct timespec times[2])
{
    return NEGATIVE(utimensat(descriptors_fd, descriptor_name(fd).text, times, 0));
}

ssize_t
host_getdents(int fd, void *buf, size_t size)
{
    return NEGATIVE((ssize_t)syscall(SYS_getdents64, fd, buf, size));
}

int
host_fstatfs(int fd, struct statfs *st)
{
    return NEGATIVE(fstatfs(fd, st));
}

int
host_changes_fd(void)
{
    return changes_fd;
}

int
host_changes_watch(int fd)
{
    /* The call takes a path, relative to the current directory: that of the descriptors. */
    if (changes_fd < 0 || fchdir(descriptors_fd) < 0)
        return changes_fd < 0 ? -ENOSYS : -errno;
    return NEGATIVE(inotify_add_watch(changes_fd, descriptor_name(fd).text, IN_ALL_EVENTS | IN_MASK_CREATE));
}

void
host_changes_unwatch(int number)
{
    inotify_rm_watch(changes_fd, number); /* it may be gone, with its file system */
}

ssize_t
host_changes_read(void *buf, size_t size)
{
    return NEGATIVE(read(changes_fd, buf, size));
}

/* --- the terminal --- */

static struct termios saved_termios;
static int saved_fd = -1;

bool
host_is_tty(int fd)
{
    return isatty(fd) != 0;
}

void
host_tty_restore(void)
{
    if (saved_fd >= 0) {
        tcsetattr(saved_fd, TCSANOW, &saved_termios); /* async-signal-safe */
        saved_fd = -1;
    }
}

static void
restore_and_die(int sig)
{
    host_tty_restore();
    signal(sig, SIG_DFL);
    raise(sig);
    if (getpid() == 1) /* of a PID namespace: what has no handler does nothing */
        _exit(128 + sig);
}

int
host_tty_raw(int fd)
{
    static const int fatal[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGABRT};
    struct termios raw;

    if (tcgetattr(fd, &saved_termios) < 0)
        return -errno;
    raw = saved_termios;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
        return -errno;
    saved_fd = fd;
    atexit(host_tty_restore);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        struct sigaction now;

        /* whoever handles the signal already ends the process through exit() */
        if (sigaction(fatal[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(fatal[i], restore_and_die);
    }
    return 0;
}

int
host_tty_size(int fd, uint16_t *rows, uint16_t *columns)
{
    struct winsize w;

    if (ioctl(fd, TIOCGWINSZ, &w) < 0)
        return -errno;
    *rows = w.ws_row;
    *columns = w.ws_col;
    return 0;
}

static void
on_resize(int sig)
{
    int saved = errno;

    if (write(resize_pipe[1], "", 1) < 0) {
        /* full: the reader has news already */
    }
    errno = saved;
}

int
host_tty_size_watch(void)
{
    struct sigaction sa = {.sa_handler = on_resize, .sa_flags = SA_RESTART | SA_ONSTACK};

    if (resize_pipe[0] < 0)
        return -EMFILE;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGWINCH, &sa, NULL);
    return resize_pipe[0];
}
