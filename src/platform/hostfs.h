/* Host files: the store's memfd, mounted volumes, the console's descriptors. The only host calls on files.
 *
 * Results are those of the host's call, with -errno in place of -1. */
#ifndef PLATFORM_HOSTFS_H
#define PLATFORM_HOSTFS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>

int host_memfd(const char *name, uint64_t size);
ssize_t host_pread(int fd, void *buf, size_t size, uint64_t offset);
ssize_t host_pwrite(int fd, const void *buf, size_t size, uint64_t offset);
ssize_t host_preadv(int fd, const struct iovec *iov, int count, uint64_t offset);
ssize_t host_pwritev(int fd, const struct iovec *iov, int count, uint64_t offset);
/* At the file's end, wherever others have moved it by then; *end is behind what was written. */
ssize_t host_appendv(int fd, const struct iovec *iov, int count, uint64_t *end);
ssize_t host_readv(int fd, const struct iovec *iov, int count);
ssize_t host_writev(int fd, const struct iovec *iov, int count);
int64_t host_seek(int fd, int64_t offset, int whence);
int host_punch(int fd, uint64_t offset, uint64_t size); /* frees the range */
int host_close(int fd);
int host_fstat(int fd, struct stat *st);
int host_ftruncate(int fd, uint64_t size);
int host_fsync(int fd);
int host_syncfs(int fd); /* the whole file system of it */
/* Neither waits: -EAGAIN. Record locks belong to the open file description; end inclusive. */
int host_flock(int fd, int operation);
int host_lock(int fd, int type, uint64_t start, uint64_t end);
int host_get_lock(int fd, struct flock *l); /* F_OFD_GETLK */
/* POLL* bits ready now. */
short host_poll_now(int fd, short events);
int host_bytes_ready(int fd);

/* --- volumes: every path is relative to the volume's root descriptor, and resolved beneath it --- */
void host_open_files(bool volumes);     /* before lock-down */
bool host_device_refused(dev_t device); /* of a file system that no volume may lead to (volumes.c) */
int host_open_beneath(int root, const char *path, int flags, mode_t mode);
int host_mknod_beneath(int root, const char *dir, const char *name, mode_t mode, const char *target);
int host_unlink_beneath(int root, const char *dir, const char *name, bool is_dir);
/* These take O_PATH descriptors of the directories or the file itself. */
int host_rename_fd(int from, const char *name, int to, const char *to_name, unsigned flags);
int host_link_fd(int file, int dir, const char *name);
ssize_t host_readlink_fd(int fd, char *buf, size_t size);
int host_chmod_fd(int fd, mode_t mode);
int host_chown_fd(int fd, uid_t uid, gid_t gid);
int host_utimens_fd(int fd, const struct timespec times[2]);
ssize_t host_getdents(int fd, void *buf, size_t size); /* linux_dirent64 records */
int host_fstatfs(int fd, struct statfs *st);

/* Changes of files in volumes: one inotify descriptor for all, -1 without volumes. */
int host_changes_fd(void);
int host_changes_watch(int fd); /* of a file that is open, O_PATH too: the watch's number, or -errno */
void host_changes_unwatch(int number);
ssize_t host_changes_read(void *buf, size_t size); /* struct inotify_event records; -EAGAIN */

/* --- the terminal --- */
bool host_is_tty(int fd);
int host_tty_raw(int fd); /* also restored at exit and on fatal signals */
void host_tty_restore(void);
int host_tty_size(int fd, uint16_t *rows, uint16_t *columns);
/* A descriptor that becomes readable whenever the window's size changed; -errno. */
int host_tty_size_watch(void);

#endif
