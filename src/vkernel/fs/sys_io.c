/* System calls that move bytes between files and memory: read, write and their kin; and seek, allocation, sync. */
#include <sys/inotify.h>
#include <signal.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"
#include "vkernel/io/io.h"
#include "vkernel/fs/fs.h"
#include "vkernel/fs/sys_io_internal.h"

enum { PIECE = 1 << 20 };
enum { RWF_DSYNC_ = 2, RWF_SYNC_ = 4, RWF_NOWAIT_ = 8, RWF_APPEND_ = 16, RWF_NOAPPEND_ = 32 };

struct file *
io_get(uint64_t fd)
{
    struct file *f = fd_get((int)fd);

    if (f && (f->flags & O_PATH)) {
        file_put(f);
        return NULL;
    }
    return f;
}

static uint64_t
io_deadline(struct file *f, bool write)
{
    uint64_t timeout = OPS(f->ops)->io_timeout ? OPS(f->ops)->io_timeout(f, write) : 0;

    return timeout ? clock_monotonic_ns() + timeout : WAIT_FOREVER;
}

/* A sleep in the middle of I/O; a timeout of the file's own (SO_RCVTIMEO) reads as EAGAIN. */
static int
io_wait(struct file *f, uint64_t *deadline, bool write)
{
    int r;

    if (*deadline == 0)
        *deadline = io_deadline(f, write);
    r = file_wait(f, *deadline);
    if (r == -ETIMEDOUT)
        return -EAGAIN;
    return r == -ERESTARTSYS && *deadline != WAIT_FOREVER ? -EINTR : r;
}

/* The most that one operation of a file that never waits moves: sched_checkpoint() comes in between. Of memory that is
 * shared until somebody writes, no more is copied at once either. */
static uint64_t
most_at_once(const struct file *f)
{
    return OPS(f->ops)->poll ? SPANS_MOST : PIECE; /* others' operations are as short as the object's buffer */
}

static uint64_t
position(const struct file *f, const uint64_t *pos, unsigned how)
{
    return f->flags & ~how & O_APPEND ? file_size((struct file *)f) : pos ? *pos : f->pos;
}

static bool
is_regular(const struct file *f)
{
    return f->inode && S_ISREG(f->inode->mode) && OPS(f->ops)->seek;
}

/* Nothing is copied there, so that it does not matter what is mapped at the buffers. Files of /proc have no end that anybody knows. */
static bool
at_end(struct file *f, const uint64_t *pos)
{
    return f->ops == &memfs_file_ops && (pos ? *pos : f->pos) >= file_size(f);
}

/* Would it wait? Then where the bytes are does not matter yet. */
static bool
is_idle(struct file *f, unsigned events)
{
    return OPS(f->ops)->poll && !(file_poll(f, NULL, NULL, 0) & (events | POLLERR | POLLHUP));
}

/* Can a guest name these bytes at all? Asked first, and also of no bytes. */
static bool
may_name(const struct user_iov *u)
{
    for (unsigned k = 0; k < u->count; k++)
        if (!guest_may_name(u->parts[k].base, u->parts[k].size))
            return false;
    return true;
}

int64_t
user_read(struct file *f, struct user_iov *u, uint64_t *pos, unsigned how)
{
    uint64_t done = 0, deadline = 0;

    might_sleep();
    if (!file_can_read(f))
        return -EBADF;
    for (;;) {
        int n;
        ssize_t r;

        {
            NO_SLEEP;

            n = user_iov_spans(u, done, most_at_once(f), true);
            if (n > 0 || u->total == 0)
                r = file_try_read(f, u->spans, n, pos);
            else if (done == 0 && is_idle(f, POLLIN))
                r = -EAGAIN;
            else
                return done ? (int64_t)done : at_end(f, pos) ? 0 : -EFAULT;
        }
        if (r == -EAGAIN && done == 0 && !((f->flags | how) & O_NONBLOCK) && OPS(f->ops)->poll) {
            int w = io_wait(f, &deadline, false);

            if (w == -EAGAIN && f->inode && (S_ISCHR(f->inode->mode) || S_ISSOCK(f->inode->mode))) {
                NO_SLEEP;

                /* a terminal's VTIME, or a socket's SO_RCVTIMEO before SO_RCVLOWAT is there: what is there, if any */
                vfs_read_timed_out = true;
                n = user_iov_spans(u, 0, SPANS_MOST, true);
                r = file_try_read(f, u->spans, n, pos);
                vfs_read_timed_out = false;
                return r;
            }
            if (w < 0)
                return w;
            continue;
        }
        if (r < 0)
            return done ? (int64_t)done : r;
        done += (uint64_t)r;
        if (r == 0 || done >= u->total || OPS(f->ops)->poll || (size_t)r < iov_total(u->spans, n) ||
            sched_checkpoint() < 0)
            break;
    }
    if (f->dentry && done)
        inotify_opened(f->dentry, IN_ACCESS);
    return (int64_t)done;
}

static ssize_t
try_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos, unsigned how)
{
    int saved = f->flags;
    ssize_t n;

    f->flags &= ~(int)(how & IO_NO_APPEND);
    n = file_try_write(f, iov, count, pos);
    f->flags = saved;
    return n;
}

int64_t
user_write(struct file *f, struct user_iov *u, uint64_t *pos, unsigned how)
{
    uint64_t done = 0, deadline = 0;
    int64_t error = 0;

    might_sleep();
    if (!file_can_write(f))
        return -EBADF;
    if (OPS(f->ops)->swallow)
        return OPS(f->ops)->swallow(f, u->total);
    do {
        int n;
        ssize_t r;

        {
            NO_SLEEP;

            n = user_iov_spans(u, done, most_at_once(f), false);
            if (n == 0 && u->total > 0) {
                uint64_t size = u->total - done;

                /* What does not depend on the bytes is said first. */
                error = is_regular(f) ? file_limit_write(position(f, pos, how), &size) : 0;
                if (error == 0 && is_regular(f))
                    error = memfs_sealed(f->inode, position(f, pos, how), &size);
                error = error < 0 ? error : -EFAULT;
                break;
            }
            error = f->packets ? user_iov_whole(u, n) : 0;
            if (error < 0)
                break;
            r = try_write(f, u->spans, n, pos, how);
        }
        if (r == -EAGAIN && !((f->flags | how) & O_NONBLOCK) && OPS(f->ops)->poll) {
            error = io_wait(f, &deadline, true);
            if (error < 0)
                break;
            continue;
        }
        if (r < 0) {
            error = r;
            break;
        }
        done += (uint64_t)r;
        if (r == 0 || (!OPS(f->ops)->poll && (size_t)r < iov_total(u->spans, n)))
            break;
    } while (done < u->total && sched_checkpoint() == 0);
    if (error == -EPIPE)
        file_broken(f, done);
    if (!done)
        return error;
    error = file_written(f);
    return error < 0 ? error : (int64_t)done;
}

/* Files end at INT64_MAX: no transfer may lead beyond. */
static bool
beyond_files(const struct file *f, const struct user_iov *u, const uint64_t *pos)
{
    struct file_range range;

    return OPS(f->ops)->seek && !file_range(pos ? *pos : f->pos, u->total, &range);
}

static int64_t
read_file(struct file *f, struct user_iov *u, uint64_t *pos, unsigned how)
{
    if (pos && !OPS(f->ops)->seek)
        return -ESPIPE;
    if (!file_can_read(f))
        return -EBADF;
    if (!may_name(u))
        return -EFAULT;
    if (beyond_files(f, u, pos))
        return -EINVAL;
    return user_read(f, u, pos, how);
}

static int64_t
read_descriptor(uint64_t fd, struct user_iov *u, uint64_t *pos)
{
    FILE_REF struct file *f = io_get(fd);

    return f ? read_file(f, u, pos, 0) : -EBADF;
}

static int64_t
write_file(struct file *f, struct user_iov *u, uint64_t *pos, unsigned how)
{
    if (pos && !OPS(f->ops)->seek)
        return -ESPIPE;
    if (!file_can_write(f))
        return -EBADF;
    if (!may_name(u))
        return -EFAULT;
    if (beyond_files(f, u, pos))
        return -EINVAL;
    return user_write(f, u, pos, how);
}

static int64_t
write_descriptor(uint64_t fd, struct user_iov *u, uint64_t *pos)
{
    FILE_REF struct file *f = io_get(fd);

    return f ? write_file(f, u, pos, 0) : -EBADF;
}

int64_t
sys_read(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;

    user_iov_single(&u, a[1], a[2]);
    return read_descriptor(a[0], &u, NULL);
}

int64_t
sys_write(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;

    user_iov_single(&u, a[1], a[2]);
    return write_descriptor(a[0], &u, NULL);
}

int64_t
sys_pread64(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;
    uint64_t pos = a[3];

    if ((int64_t)pos < 0)
        return -EINVAL;
    user_iov_single(&u, a[1], a[2]);
    return read_descriptor(a[0], &u, &pos);
}

int64_t
sys_pwrite64(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;
    uint64_t pos = a[3];

    if ((int64_t)pos < 0)
        return -EINVAL;
    user_iov_single(&u, a[1], a[2]);
    return write_descriptor(a[0], &u, &pos);
}

int64_t
user_transfer(struct file *f, struct user_iov *u, uint64_t *pos, bool write, uint64_t flags)
{
    unsigned how = (flags & RWF_NOWAIT_ ? IO_NO_WAIT : 0) | (flags & RWF_NOAPPEND_ ? IO_NO_APPEND : 0);
    uint64_t end;
    int64_t r;

    if ((flags & RWF_APPEND_) && (flags & RWF_NOAPPEND_))
        return -EINVAL;
    if (!write)
        return read_file(f, u, pos, how);
    if (!(flags & RWF_APPEND_)) {
        r = write_file(f, u, pos, how);
    } else if (!pos && beyond_files(f, u, NULL)) {
        r = -EINVAL;
    } else {
        end = file_size(f);
        r = write_file(f, u, OPS(f->ops)->seek ? &end : NULL, how);
        if (!pos && r > 0)
            f->pos = end;
    }
    if (r > 0 && (flags & (RWF_DSYNC_ | RWF_SYNC_)) && OPS(f->ops)->sync) {
        int error = OPS(f->ops)->sync(f);

        if (error < 0)
            return error;
    }
    return r;
}

/* The descriptor is looked up once: whoever replaces it meanwhile changes nothing of this call. */
static int64_t
vector_io(const uint64_t a[6], bool write, bool positioned, uint64_t flags)
{
    FILE_REF struct file *f = io_get(a[0]);
    UNINITIALIZED struct user_iov u;
    uint64_t pos = a[3], *p = positioned ? &pos : NULL;
    int64_t r;

    if (positioned && (int64_t)pos < 0)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (positioned && !OPS(f->ops)->seek)
        return -ESPIPE;
    if (write ? !file_can_write(f) : !file_can_read(f))
        return -EBADF;
    r = user_iov_init(&u, a[1], a[2]);
    if (r < 0)
        return r;
    if (u.total == 0)
        r = 0;
    else if (flags & ~(uint64_t)TRANSFER_FLAGS)
        r = -EOPNOTSUPP;
    else
        r = user_transfer(f, &u, p, write, flags);
    user_iov_fini(&u);
    return r;
}

int64_t
sys_readv(const uint64_t a[6])
{
    return vector_io(a, false, false, 0);
}

int64_t
sys_writev(const uint64_t a[6])
{
    return vector_io(a, true, false, 0);
}

int64_t
sys_preadv(const uint64_t a[6])
{
    return vector_io(a, false, true, 0);
}

int64_t
sys_pwritev(const uint64_t a[6])
{
    return vector_io(a, true, true, 0);
}

int64_t
sys_preadv2(const uint64_t a[6])
{
    return vector_io(a, false, (int64_t)a[3] != -1, a[5]);
}

int64_t
sys_pwritev2(const uint64_t a[6])
{
    return vector_io(a, true, (int64_t)a[3] != -1, a[5]);
}

int64_t
sys_lseek(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);

    if (!f)
        return -EBADF;
    if ((unsigned)a[2] > SEEK_HOLE)
        return -EINVAL;
    if (OPS(f->ops)->seek)
        return OPS(f->ops)->seek(f, (int64_t)a[1], (int)a[2]);
    return OPS(f->ops)->seeks_nowhere ? 0 : -ESPIPE;
}

/* --- size and storage --- */

/* A file that becomes larger. */
static int
size_limit(uint64_t now, uint64_t size)
{
    if (size > now && size > current_process()->rlimits[RLIMIT_FSIZE].rlim_cur) {
        signal_send_self(SIGXFSZ);
        return -EFBIG;
    }
    return 0;
}

int64_t
sys_truncate(const uint64_t a[6])
{
    struct path p;
    int r;

    if ((int64_t)a[1] < 0)
        return -EINVAL;
    r = path_walk_guest(AT_FDCWD, a[0], WALK_FOLLOW, &p);
    if (r < 0)
        return r;
    if (S_ISDIR(p.dentry->inode->mode))
        r = -EISDIR;
    else if (!S_ISREG(p.dentry->inode->mode) || !OPS(p.dentry->inode->ops)->truncate)
        r = -EINVAL;
    else
        r = inode_permission(p.dentry->inode, MAY_WRITE);
    if (r == 0 && inode_is_executed(p.dentry->inode))
        r = -ETXTBSY;
    if (r == 0 && p.dentry->inode->leases)
        r = lease_break(p.dentry->inode, true, true);
    if (r == 0 && (r = size_limit(p.dentry->inode->size, a[1])) == 0) {
        r = OPS(p.dentry->inode->ops)->truncate(p.dentry->inode, a[1]);
        if (r == 0)
            inotify_dentry(p.dentry, inode_drop_privileges(p.dentry->inode) | IN_MODIFY);
    }
    path_fini(&p);
    return r;
}

int64_t
sys_ftruncate(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);
    int r;

    if ((int64_t)a[1] < 0)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (!file_can_write(f) || !OPS(f->ops)->truncate)
        return -EINVAL;
    r = size_limit(file_size(f), a[1]);
    if (r == 0)
        r = OPS(f->ops)->truncate(f, a[1]);
    if (r == 0 && f->dentry)
        inotify_dentry(f->dentry, (f->inode ? inode_drop_privileges(f->inode) : 0) | IN_MODIFY);
    return r;
}

int64_t
sys_fallocate(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);
    struct file_range range;
    uint64_t end;
    int r;

    if (!f)
        return -EBADF;
    if ((int64_t)a[2] < 0 || (int64_t)a[3] <= 0)
        return -EINVAL;
    switch ((int)a[1] & ~FALLOC_FL_KEEP_SIZE) {
    case 0:
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_UNSHARE_RANGE: break;
    case FALLOC_FL_PUNCH_HOLE:
        if (!(a[1] & FALLOC_FL_KEEP_SIZE))
            return -EOPNOTSUPP;
        break;
    case FALLOC_FL_COLLAPSE_RANGE: /* of file systems that can move their bytes about; none here can: refused below */
    case FALLOC_FL_INSERT_RANGE:
        if (a[1] & FALLOC_FL_KEEP_SIZE)
            return -EOPNOTSUPP;
        break;
    default: return -EOPNOTSUPP;
    }
    if (!file_can_write(f))
        return -EBADF;
    if (f->inode && S_ISFIFO(f->inode->mode))
        return -ESPIPE;
    if (!f->inode || !S_ISREG(f->inode->mode))
        return f->inode && S_ISDIR(f->inode->mode) ? -EISDIR : -ENODEV;
    if (!file_range(a[2], a[3], &range))
        return -EFBIG;
    end = range.end;
    if (f->ops != &memfs_file_ops || (a[1] & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)))
        return -EOPNOTSUPP;
    if (!(a[1] & FALLOC_FL_PUNCH_HOLE) && end > f->inode->size && (r = size_limit(f->inode->size, end)) < 0)
        return r;
    r = memfs_fallocate(f->inode, (int)a[1], a[2], a[3]);
    if (r == 0 && inode_drop_privileges(f->inode) && f->dentry)
        inotify_dentry(f->dentry, IN_ATTRIB);
    if (r == 0 && f->dentry)
        inotify_opened(f->dentry, IN_MODIFY);
    return r;
}

int
file_sync(struct file *f)
{
    if (OPS(f->ops)->sync)
        return OPS(f->ops)->sync(f);
    return f->inode && (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode)) ? 0 : -EINVAL;
}

static int64_t
sync_descriptor(uint64_t fd)
{
    FILE_REF struct file *f = io_get(fd);

    return f ? file_sync(f) : -EBADF;
}

int64_t
sys_fsync(const uint64_t a[6])
{
    return sync_descriptor(a[0]);
}

int64_t
sys_fdatasync(const uint64_t a[6])
{
    return sync_descriptor(a[0]);
}

int64_t
sys_sync(const uint64_t a[6])
{
    LIST_EACH(p, &mount_list) {
        struct superblock *sb = list_entry(p, struct mount, link)->sb;

        if (sb->sync)
            CALLED(sb->sync)(sb);
    }
    return 0;
}

int64_t
sys_syncfs(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);

    if (!f)
        return -EBADF;
    return f->inode && f->inode->sb->sync ? CALLED(f->inode->sb->sync)(f->inode->sb) : 0;
}

int64_t
sys_sync_file_range(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);
    int64_t end;

    if (!f)
        return -EBADF;
    if ((a[3] & ~7ull) || (int64_t)a[1] < 0 || (int64_t)a[2] < 0 ||
        __builtin_add_overflow((int64_t)a[1], (int64_t)a[2], &end))
        return -EINVAL;
    return f->inode && (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode) || S_ISBLK(f->inode->mode)) ? 0 : -ESPIPE;
}

int64_t
sys_readahead(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);

    if (!f || !file_can_read(f))
        return -EBADF;
    return f->inode && (S_ISREG(f->inode->mode) || S_ISBLK(f->inode->mode)) ? 0 : -EINVAL;
}

int64_t
sys_fadvise64(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);

    if (!f)
        return -EBADF;
    if (f->inode && S_ISFIFO(f->inode->mode))
        return -ESPIPE;
    return a[3] <= 5 && (int64_t)a[2] >= 0 ? 0 : -EINVAL;
}
