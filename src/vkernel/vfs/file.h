/* Open files and inodes: what file systems, pipes, sockets, ttys and special files implement.
 *
 * Errors are negative errno. Data moves between host buffers (the edge has already resolved guest addresses to host
 * spans or copied), so no file system ever sees a guest address; but what lies behind a vector may fault (iov_scatter).
 * Anything named `may sleep` can return -ERESTARTSYS. Reference counts: x_get / x_put; the last put releases. */
#ifndef VKERNEL_VFS_FILE_H
#define VKERNEL_VFS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/refcount.h"
#include "vkernel/ops.h"
#include "vkernel/sched/sched.h"
#include "vkernel/usercopy/usercopy.h"

struct file;
struct inode;
struct dentry;
struct artifact_ledger;

struct file_ops {
    const char *name; /* for /proc/self/fdinfo, strace and messages: "pipe", "tmpfs" */
    bool bare_name;   /* /proc/PID/fd shows an anonymous file's name without brackets */
    /* Never sleep: -EAGAIN when there is nothing to do, and the callers (file_read, sys_io.c) wait on the queues that
     * poll names, with no host span of guest memory left. *pos is the position to use and advance (pread/pwrite pass
     * their own) */
    ssize_t (*read)(struct file *f, const struct iovec *iov, int count, uint64_t *pos);
    ssize_t (*write)(struct file *f, const struct iovec *iov, int count, uint64_t *pos);
    /* Takes so many bytes without a look at them, wherever they are: instead of `write`, for bytes of a guest's. May be
     * NULL. */
    ssize_t (*swallow)(struct file *f, uint64_t size);
    int64_t (*seek)(struct file *f, int64_t offset, int whence); /* NULL: -ESPIPE */
    /* Ready events now (POLLIN, POLLOUT, POLLHUP, POLLERR, POLLRDHUP...). Adds the queues that a change will wake to
     * queues[*count] (at most max). NULL: always readable and writable. A wake asks, too, so current_task() may be any
     * task or none. */
    unsigned (*poll)(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max);
    int (*ioctl)(struct file *f, unsigned long request, guest_addr arg); /* NULL: -ENOTTY */
    bool ioctl_sleeps;                                                   /* ioctl may sleep */
    /* Fills buf with struct linux_dirent64 records; returns bytes, 0 at the end */
    ssize_t (*getdents)(struct file *f, void *buf, size_t size);
    int (*truncate)(struct file *f, uint64_t size);
    int (*sync)(struct file *f);
    int (*flock)(struct file *f, int operation);  /* NULL: nobody outside to tell. -EAGAIN; never waits */
    int (*stat)(struct file *f, struct stat *st); /* NULL: from the inode */
    /* A line of /proc/PID/fdinfo: of the first of its parts (watches, items) that has the number *at or a higher one. *at
     * is then behind it. Returns the length, below size, or 0: there is none any more. NULL: nothing to tell. */
    int (*describe)(const struct file *f, uint64_t *at, char *line, size_t size);
    /* What backs a mapping of this file: a host fd and the offset in it of file offset 0, so that the mm can map
     * host pages. *bounded: behind the file's end the host has other bytes, which must not be mapped (the owner
     * calls mm_file_resized when the end moves). NULL: -ENODEV. The fd stays the file's. */
    int (*mmap_source)(struct file *f, int *host_fd, uint64_t *host_offset, bool *bounded);
    /* One mapping of the file more or less, in any address space; parts of one count each. Must not sleep. */
    void (*mapped)(struct file *f, bool more);
    bool seeks_nowhere;               /* without `seek`: lseek answers that the position is 0, wherever it leads */
    bool maps_anonymous;              /* mappings are of anonymous memory instead */
    bool no_splice_in, no_splice_out; /* splice and sendfile cannot write to it, cannot read from it: -EINVAL */
    bool tells_async;                 /* O_ASYNC has an effect; for others, as on Linux, it is only kept */
    int (*set_flags)(struct file *f, int flags); /* F_SETFL hook, may be NULL */
    void (*closed)(struct file *f);              /* the current process closed a descriptor of it; must not sleep */
    void (*release)(struct file *f);             /* last reference gone; must not sleep */
    /* SO_RCVTIMEO and SO_SNDTIMEO: nanoseconds a blocking read or write may sleep, 0: no limit. NULL: none. */
    uint64_t (*io_timeout)(struct file *f, bool write);
    /* Does a write that ended with EPIPE, after so many bytes, raise SIGPIPE? NULL: yes. */
    bool (*raises_sigpipe)(const struct file *f, uint64_t done);
};

struct file {
    struct refcount refs;
    const struct file_ops *ops;
    int flags; /* O_* status flags and access mode */
    uint64_t pos;
    struct inode *inode;     /* NULL for objects without one (none: pipes and sockets have anonymous inodes) */
    struct dentry *dentry;   /* the name it was opened by; NULL for anonymous */
    void *data;              /* of the ops */
    struct list epoll_links; /* epoll items that watch this file */
    unsigned notes;          /* F_NOTIFY: how many of its folder's are of this file */
    unsigned in_flight;      /* how many of the references are of messages in sockets' queues (net/unix_gc.c) */
    uint64_t epoll_check;    /* the last of epoll's checks that saw it */
    struct list dead_link;   /* file_put's, once there are no references */
    struct lease *lease;     /* F_SETLEASE (leases.c), or NULL */
    struct async *async;     /* F_SETOWN, F_SETSIG, O_ASYNC (async.c); NULL: none of them */
    uint32_t opener;         /* the file system's uid of who opened it */
    bool packets;            /* a write is one packet, of all its bytes or none */
    bool opened; /* by name, for reading or writing: counted in write_opens when it may write, and told to inotify
                        at its end */
};

struct file *file_new(const struct file_ops *ops, int flags); /* one reference; NULL: -ENFILE */
extern unsigned file_count;                                   /* open files */
struct file *file_get(struct file *f);
/* A process runs it, until file_execute_end: it may not be written meanwhile (ETXTBSY). With a reference of its own. */
struct file *file_execute(struct file *f);
void file_execute_end(struct file *f);
/* The last put releases; within the release of another file that happens when that one is done. */
void file_put(struct file *f);

/* --- what reads and writes have to do with their vectors --- */
size_t iov_total(const struct iovec *iov, int count);
/* A vector may be of guest memory, which can be gone: nobody else looks behind iov_base, but host calls. These copy
 * between a flat buffer and iov, from byte `skip` of the iov, and return how many bytes; fewer than the vector has room
 * for is -EFAULT when nothing was done. */
size_t iov_scatter(const struct iovec *iov, int count, size_t skip, const void *src, size_t size);
size_t iov_gather(const struct iovec *iov, int count, size_t skip, void *dst, size_t size);
size_t iov_clear(const struct iovec *iov, int count, size_t skip, size_t size);
/* For loops that fill a vector piece by piece: leaves out the parts that *skip is behind, so that none is walked past
 * twice. */
static inline void
iov_advance(const struct iovec **iov, int *count, size_t *skip)
{
    for (; *count > 0 && *skip >= (*iov)->iov_len; ++*iov, --*count)
        *skip -= (*iov)->iov_len;
}

/* --- descriptor tables: vfs/fdtable.c --- */
struct fdtable;
struct fdtable *fdtable_new(void);
struct fdtable *fdtable_clone(struct fdtable *t); /* fork */
struct fdtable *fdtable_get(struct fdtable *t);   /* CLONE_FILES */
void fdtable_put(struct fdtable *t);
void fdtable_end(struct fdtable *t); /* the same, of a table that nobody else can come by; gives way between its
                                        files */
/* A variable that puts its table where its scope ends. */
#define FDTABLE_REF __attribute__((cleanup(fdtable_ref_end)))
static inline void
fdtable_ref_end(struct fdtable **t)
{
    fdtable_put(*t);
}
void fdtable_close_on_exec(struct fdtable *t);
/* Of the current process, with a reference: another thread may close the descriptor while the caller sleeps. NULL:
 * EBADF. */
struct file *fd_get(int fd) __attribute__((warn_unused_result));
/* A variable that puts its file, or NULL, where its scope ends:
 *     FILE_REF struct file *f = fd_get(fd); */
#define FILE_REF __attribute__((cleanup(file_ref_end)))
static inline void
file_ref_end(struct file **f)
{
    file_put(*f);
}
/* Takes over the caller's reference on success. Lowest free descriptor >= from. flags: O_CLOEXEC. */
int fd_install(struct file *f, int from, int flags);
/* The lowest free descriptor for a new file, whose reference it takes over in any case. */
int fd_install_or_put(struct file *f, int flags);
/* The lowest free descriptors for count files, whose numbers (ints) are at address before anybody can use them. Takes
 * over the references on success; otherwise no descriptor is open. */
int fd_install_told(struct file *const *files, unsigned count, int flags, uint64_t address);
enum { FD_TOLD_MAX = 2 };
int fd_room(void); /* 0, or -EMFILE: as many as there may be are open */
/* fd of another process's table, for /proc/PID/fd, with a reference. */
struct file *fdtable_get_file(struct fdtable *t, int fd) __attribute__((warn_unused_result));
int fdtable_next(struct fdtable *t, int fd); /* lowest open descriptor >= fd, or -1 */

/* --- fs context of a process: cwd, root, umask --- */
struct fs_context;
struct fs_context *fs_context_new(void); /* cwd and root: / */
struct fs_context *fs_context_clone(struct fs_context *c);
struct fs_context *fs_context_get(struct fs_context *c);
void fs_context_put(struct fs_context *c);
int fs_context_chdir(struct fs_context *c, const char *path);

/* --- what exec, mmap and boot need --- */
/* Opens a path for the kernel (exec, #! interpreters, ld.so): resolves from the current process's context, checks
 * execute permission. Negative errno. */
int vfs_open_exec(int dirfd, const char *path, int flags, struct file **out);
/* Opens by path with the current process's rights; used by boot and open(2). */
int vfs_open(int dirfd, const char *path, int flags, mode_t mode, struct file **out);
/* The absolute path of an open file as seen from the process's root, " (deleted)" appended when unlinked;
 * returns its length or -ENAMETOOLONG. */
ssize_t file_path(const struct file *f, char *buf, size_t size);
/* The ledger's row for an unchanged base-layer file, NULL when the file was written, is not in the base layer, or its
 * bytes are in no ledger row; then trust/ hashes it. */
const struct artifact_ledger *file_base_ledger(const struct file *f);
/* Raw read for the kernel (ELF headers, hashing): like pread, no permission checks. */
ssize_t file_pread(struct file *f, void *buf, size_t size, uint64_t offset);
uint64_t file_size(const struct file *f);
/* Of a file whose mappings are bounded (mmap_source): asks nobody. */
uint64_t file_mapped_size(const struct file *f);
int file_stat(struct file *f, struct stat *st);
bool file_write_sealed(const struct file *f); /* no new shared mapping may write to it */

#endif
