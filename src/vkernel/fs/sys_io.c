/* System calls that move bytes: read, write and their kin, seek, sendfile, copy_file_range, allocation, sync. */
#include <sys/inotify.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"
#include "vkernel/io/io.h"
#include "vkernel/fs/fs.h"

enum {
    COPY_CHUNK = 64 * 1024,
    PIECE = 1 << 20,
    RWF_DSYNC_ = 2,
    RWF_SYNC_ = 4,
    RWF_NOWAIT_ = 8,
    RWF_APPEND_ = 16,
    RWF_KNOWN = 31
};

/* As fd_get, without those opened with O_PATH. */
static struct file *
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

/* The most that one operation of a file that never waits moves: sched_checkpoint comes in between. Returns how many spans are left
 * of n. */
static int
cut_to_piece(const struct file *f, struct iovec *iov, int n)
{
    size_t room = PIECE;

    if (OPS(f->ops)->poll) /* such operations are as short as the object's buffer */
        return n;
    for (int k = 0; k < n; k++) {
        if (iov[k].iov_len >= room) {
            iov[k].iov_len = room;
            return k + 1;
        }
        room -= iov[k].iov_len;
    }
    return n;
}

static uint64_t
position(const struct file *f, const uint64_t *pos)
{
    return f->flags & O_APPEND ? file_size((struct file *)f) : pos ? *pos : f->pos;
}

static bool
is_regular(const struct file *f)
{
    return f->inode && S_ISREG(f->inode->mode) && OPS(f->ops)->seek;
}

/* Nothing is copied there, so that it does not matter what is mapped at the buffers; a guest must be able to name them. Files
 * of /proc have no end that anybody knows. */
static bool
at_end(struct file *f, const struct user_iov *u, const uint64_t *pos)
{
    for (unsigned k = 0; k < u->count; k++)
        if (!guest_may_name(u->parts[k].base, u->parts[k].size))
            return false;
    return f->ops == &memfs_file_ops && (pos ? *pos : f->pos) >= file_size(f);
}

static int64_t
user_read(struct file *f, struct user_iov *u, uint64_t *pos, bool nowait)
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

            n = user_iov_spans(u, done, true);
            if (n == 0 && u->total > 0)
                return done ? (int64_t)done : at_end(f, u, pos) ? 0 : -EFAULT;
            n = cut_to_piece(f, u->spans, n);
            r = file_try_read(f, u->spans, n, pos);
        }
        if (r == -EAGAIN && done == 0 && !(f->flags & O_NONBLOCK) && !nowait && OPS(f->ops)->poll) {
            int w = io_wait(f, &deadline, false);

            if (w == -EAGAIN && f->inode && (S_ISCHR(f->inode->mode) || S_ISSOCK(f->inode->mode))) {
                NO_SLEEP;

                /* a terminal's VTIME, or a socket's SO_RCVTIMEO before SO_RCVLOWAT is there: what there is, perhaps nothing */
                vfs_read_timed_out = true;
                n = user_iov_spans(u, 0, true);
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

static int64_t
user_write(struct file *f, struct user_iov *u, uint64_t *pos, bool nowait)
{
    uint64_t done = 0, deadline = 0;
    int64_t error = 0;

    might_sleep();
    if (!file_can_write(f))
        return -EBADF;
    do {
        int n;
        ssize_t r;

        {
            NO_SLEEP;

            n = user_iov_spans(u, done, false);
            if (n == 0 && u->total > 0) {
                uint64_t size = u->total - done;

                /* What does not depend on the bytes is said first. */
                error = is_regular(f) ? file_limit_write(position(f, pos), &size) : 0;
                if (error == 0 && is_regular(f))
                    error = memfs_sealed(f->inode, position(f, pos), &size);
                error = error < 0 ? error : -EFAULT;
                break;
            }
            n = cut_to_piece(f, u->spans, n);
            r = file_try_write(f, u->spans, n, pos);
        }
        if (r == -EAGAIN && !(f->flags & O_NONBLOCK) && !nowait && OPS(f->ops)->poll) {
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
    if (f->dentry && done)
        inotify_opened(f->dentry, IN_MODIFY);
    if (done && (f->flags & O_DSYNC) && OPS(f->ops)->sync) { /* of O_SYNC, too */
        int r = OPS(f->ops)->sync(f);

        if (r < 0)
            return r;
    }
    return done ? (int64_t)done : error;
}

/* Files end at INT64_MAX: no transfer may lead beyond. */
static bool
beyond_files(const struct file *f, const struct user_iov *u, const uint64_t *pos)
{
    struct file_range range;

    return OPS(f->ops)->seek && !file_range(pos ? *pos : f->pos, u->total, &range);
}

static int64_t
read_common(uint64_t fd, struct user_iov *u, uint64_t *pos, bool nowait)
{
    FILE_REF struct file *f = io_get(fd);

    if (!f)
        return -EBADF;
    if (pos && !OPS(f->ops)->seek)
        return -ESPIPE;
    if (!file_can_read(f))
        return -EBADF;
    if (beyond_files(f, u, pos))
        return -EINVAL;
    return user_read(f, u, pos, nowait);
}

static int64_t
write_common(uint64_t fd, struct user_iov *u, uint64_t *pos, bool nowait)
{
    FILE_REF struct file *f = io_get(fd);

    if (!f)
        return -EBADF;
    if (pos && !OPS(f->ops)->seek)
        return -ESPIPE;
    if (!file_can_write(f))
        return -EBADF;
    if (beyond_files(f, u, pos))
        return -EINVAL;
    return user_write(f, u, pos, nowait);
}

int64_t
sys_read(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;

    user_iov_single(&u, a[1], a[2]);
    return read_common(a[0], &u, NULL, false);
}

int64_t
sys_write(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;

    user_iov_single(&u, a[1], a[2]);
    return write_common(a[0], &u, NULL, false);
}

int64_t
sys_pread64(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;
    uint64_t pos = a[3];

    if ((int64_t)pos < 0)
        return -EINVAL;
    user_iov_single(&u, a[1], a[2]);
    return read_common(a[0], &u, &pos, false);
}

int64_t
sys_pwrite64(const uint64_t a[6])
{
    UNINITIALIZED struct user_iov u;
    uint64_t pos = a[3];

    if ((int64_t)pos < 0)
        return -EINVAL;
    user_iov_single(&u, a[1], a[2]);
    return write_common(a[0], &u, &pos, false);
}

static int64_t
vector_io(const uint64_t a[6], bool write, bool positioned, uint64_t flags)
{
    UNINITIALIZED struct user_iov u;
    uint64_t pos = a[3], *p = positioned ? &pos : NULL;
    int64_t r;

    if (positioned && (int64_t)pos < 0)
        return -EINVAL;
    {
        FILE_REF struct file *f = io_get(a[0]);

        if (!f)
            return -EBADF;
        if (positioned && !OPS(f->ops)->seek)
            return -ESPIPE;
        if (write ? !file_can_write(f) : !file_can_read(f))
            return -EBADF;
    }
    r = user_iov_init(&u, a[1], a[2]);
    if (r < 0)
        return r;
    if (u.total > 0 && (flags & ~(uint64_t)RWF_KNOWN)) {
        user_iov_fini(&u);
        return -EOPNOTSUPP;
    }
    if (write && (flags & RWF_APPEND_)) {
        FILE_REF struct file *f = io_get(a[0]);

        if (f && !positioned && beyond_files(f, &u, NULL)) {
            user_iov_fini(&u);
            return -EINVAL;
        }
        pos = f ? file_size(f) : 0;
        r = write_common(a[0], &u, &pos, flags & RWF_NOWAIT_);
        if (!positioned && r > 0 && f)
            f->pos = pos;
    } else {
        r = write ? write_common(a[0], &u, p, flags & RWF_NOWAIT_) : read_common(a[0], &u, p, flags & RWF_NOWAIT_);
    }
    user_iov_fini(&u);
    if (write && r > 0 && (flags & (RWF_DSYNC_ | RWF_SYNC_))) {
        FILE_REF struct file *f = io_get(a[0]);
        int error = f && OPS(f->ops)->sync ? OPS(f->ops)->sync(f) : 0;

        if (error < 0)
            return error;
    }
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
    return OPS(f->ops)->seek ? OPS(f->ops)->seek(f, (int64_t)a[1], (int)a[2]) : -ESPIPE;
}

/* --- file to file --- */

/* Moves up to count bytes through a buffer; what was read and could not be written is put back (pos_in counts only
 * written bytes), so in must be seekable or the caller's loop must accept whole chunks. */
static int64_t
pump(struct file *in, uint64_t *pos_in, struct file *out, uint64_t *pos_out, uint64_t count)
{
    uint8_t *chunk = bytes_new(COPY_CHUNK);
    uint64_t done = 0, at = pos_in ? *pos_in : in->pos;
    int64_t error = 0;

    if (!chunk)
        return -ENOMEM;
    while (done < count) {
        size_t want = count - done < COPY_CHUNK ? (size_t)(count - done) : COPY_CHUNK;
        struct iovec iov = {chunk, want};
        ssize_t n, put = 0;

        if (sched_checkpoint() < 0 || signal_pending_current()) {
            error = -ERESTARTSYS;
            break;
        }
        n = file_read(in, &iov, 1, &at);
        if (n <= 0) {
            error = n;
            break;
        }
        while (put < n) {
            struct iovec rest = {chunk + put, (size_t)(n - put)};
            ssize_t w = file_write(out, &rest, 1, pos_out);

            if (w < 0) {
                error = w;
                break;
            }
            put += w;
            if (w == 0)
                break;
        }
        done += (uint64_t)put;
        if (put < n) {
            at -= (uint64_t)(n - put);
            break;
        }
    }
    bytes_free(chunk);
    *(pos_in ? pos_in : &in->pos) = at;
    if (error == -EPIPE)
        file_broken(out, done);
    if (out->dentry && done)
        inotify_opened(out->dentry, IN_MODIFY);
    return done ? (int64_t)done : error;
}

/* An optional in/out offset argument. */
static int
offset_in(guest_addr p, uint64_t *value)
{
    if (!p)
        return 0;
    if (copy_from_guest(value, p, sizeof *value) < 0)
        return -EFAULT;
    return (int64_t)*value < 0 ? -EINVAL : 0;
}

int64_t
sys_sendfile(const uint64_t a[6])
{
    FILE_REF struct file *out = io_get(a[0]), *in = io_get(a[1]);
    struct file_range range;
    uint64_t pos = 0;
    int64_t r;

    if (a[2] && copy_from_guest(&pos, a[2], sizeof pos) < 0)
        return -EFAULT;
    if (!in || !file_can_read(in))
        return -EBADF;
    if (a[2] && !OPS(in->ops)->seek)
        return -ESPIPE;
    if (!file_range(a[2] ? pos : in->pos, a[3], &range))
        return -EINVAL;
    if (!out || !file_can_write(out))
        return -EBADF;
    if ((out->flags & O_APPEND) || !OPS(in->ops)->seek || (OPS(out->ops)->seek && !file_range(out->pos, a[3], &range)))
        return -EINVAL;
    r = pump(in, a[2] ? &pos : NULL, out, NULL, a[3] > 0x7ffff000u ? 0x7ffff000u : a[3]);
    if (a[2] && copy_to_guest(a[2], &pos, sizeof pos) < 0)
        return -EFAULT;
    return r;
}

/* Linux's generic_write_check_limits, which asks even when nothing is to be copied. */
static int
copy_limit(uint64_t to, uint64_t *count)
{
    uint64_t limit = current_process()->rlimits[RLIMIT_FSIZE].rlim_cur;

    if (limit != RLIM_INFINITY && to >= limit) {
        signal_send_process(current_process(), SIGXFSZ);
        return -EFBIG;
    }
    if (limit != RLIM_INFINITY && *count > limit - to)
        *count = limit - to;
    return to == INT64_MAX ? -EFBIG : 0;
}

int64_t
sys_copy_file_range(const uint64_t a[6])
{
    FILE_REF struct file *in = io_get(a[0]), *out = io_get(a[2]);
    uint64_t pos_in = 0, pos_out = 0;
    uint64_t from, to, end, count = a[4];
    int64_t r;

    if (!in || !out)
        return -EBADF;
    if ((a[1] && copy_from_guest(&pos_in, a[1], sizeof pos_in) < 0) ||
        (a[3] && copy_from_guest(&pos_out, a[3], sizeof pos_out) < 0))
        return -EFAULT;
    if (a[5] || !in->inode || !out->inode)
        return -EINVAL;
    if (S_ISDIR(in->inode->mode) || S_ISDIR(out->inode->mode))
        return -EISDIR;
    if (!S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode) || !OPS(in->ops)->seek || !OPS(out->ops)->seek)
        return -EINVAL;
    if (!file_can_read(in) || !file_can_write(out) || (out->flags & O_APPEND))
        return -EBADF;
    if (in->inode->sb != out->inode->sb)
        return -EXDEV;
    from = a[1] ? pos_in : in->pos;
    to = a[3] ? pos_out : out->pos;
    if (__builtin_add_overflow(from, count, &end) || __builtin_add_overflow(to, count, &end))
        return -EOVERFLOW;
    end = file_size(in);
    if (from >= end)
        count = 0;
    else if (count > end - from)
        count = end - from;
    r = copy_limit(to, &count);
    if (r < 0)
        return r;
    if (in->inode == out->inode && from < to + count && to < from + count)
        return -EINVAL;
    if (from > INT64_MAX || to > INT64_MAX)
        return -EINVAL;
    r = pump(in, a[1] ? &pos_in : NULL, out, a[3] ? &pos_out : NULL, count > 0x7ffff000u ? 0x7ffff000u : count);
    if ((a[1] && copy_to_guest(a[1], &pos_in, 8) < 0) || (a[3] && copy_to_guest(a[3], &pos_out, 8) < 0))
        return -EFAULT;
    return r;
}

/* --- splice: one side is a pipe --- */

static bool
is_pipe(const struct file *f)
{
    return f->inode && f->inode->pipe;
}

static bool
splice_range(const struct file *f, const uint64_t *pos, uint64_t count)
{
    struct file_range range;

    return is_pipe(f) || !OPS(f->ops)->seek || file_range(pos ? *pos : f->pos, count, &range);
}

/* What is taken from one side is put into the other: nothing is when that fails or would sleep. */
static int64_t
splice_once(struct file *in, uint64_t *pos_in, struct file *out, uint64_t *pos_out, uint8_t *chunk, size_t want,
            struct file **waits_for)
{
    NO_SLEEP;
    unsigned none = 0;
    ssize_t n, put;

    if (is_pipe(out)) {
        unsigned ready = file_poll(out, NULL, &none, 0);

        if (ready & POLLERR)
            return -EPIPE;
        *waits_for = out;
        if (!(ready & POLLOUT))
            return -EAGAIN;
        if (want > pipe_room(out))
            want = pipe_room(out);
    }
    *waits_for = in;
    if (is_pipe(in)) {
        n = pipe_peek(in, chunk, want);
    } else {
        struct iovec iov = {chunk, want};

        n = file_try_read(in, &iov, 1, pos_in);
    }
    if (n <= 0)
        return n;
    *waits_for = out;
    put = file_try_write(out, &(struct iovec){chunk, (size_t)n}, 1, pos_out);
    if (put > 0 && is_pipe(in))
        pipe_discard(in, (size_t)put);
    return put;
}

/* From where to where a splice goes. An end that the guest gave no offset for is read or written at its file's own. */
struct splice {
    struct file *in, *out;
    uint64_t pos_in, pos_out;
    uint64_t *at_in, *at_out; /* these, or NULL */
};

static int
splice_offsets(struct splice *s, guest_addr in, guest_addr out)
{
    int r = offset_in(in, &s->pos_in);

    if (r == 0)
        r = offset_in(out, &s->pos_out);
    s->at_in = in ? &s->pos_in : NULL;
    s->at_out = out ? &s->pos_out : NULL;
    return r;
}

/* Moves at most `want` bytes, as soon as there are any. */
static int64_t
splice_waiting(struct splice *s, size_t want, bool nonblock)
{
    uint8_t *chunk = bytes_new(want);
    int64_t r;

    if (!chunk)
        return -ENOMEM;
    for (;;) {
        struct file *waits_for = NULL;

        r = splice_once(s->in, s->at_in, s->out, s->at_out, chunk, want, &waits_for);
        if (r != -EAGAIN || (waits_for->flags & O_NONBLOCK) || (nonblock && is_pipe(waits_for)))
            break;
        r = file_wait(waits_for, WAIT_FOREVER);
        if (r < 0)
            break;
    }
    bytes_free(chunk);
    return r;
}

/* Of r bytes, or the error: to those who watch the files, or to the writer of a broken pipe. */
static void
tell_of_splice(const struct splice *s, int64_t r)
{
    if (r == -EPIPE)
        file_broken(s->out, 0);
    if (r > 0 && s->in->dentry)
        inotify_opened(s->in->dentry, IN_ACCESS);
    if (r > 0 && s->out->dentry)
        inotify_opened(s->out->dentry, IN_MODIFY);
}

int64_t
sys_splice(const uint64_t a[6])
{
    FILE_REF struct file *in = io_get(a[0]), *out = io_get(a[2]);
    struct splice s = {.in = in, .out = out};
    int64_t r;

    if (a[4] == 0)
        return 0;
    if (!in || !out || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    if (!is_pipe(in) && !is_pipe(out))
        return -EINVAL;
    if ((is_pipe(in) && a[1]) || (is_pipe(out) && a[3]))
        return -ESPIPE;
    r = splice_offsets(&s, a[1], a[3]);
    if (r < 0)
        return r;
    if (!is_pipe(out) && (out->flags & O_APPEND))
        return -EINVAL;
    if (!splice_range(in, s.at_in, a[4]) || !splice_range(out, s.at_out, a[4]))
        return -EINVAL;
    r = splice_waiting(&s, a[4] < COPY_CHUNK ? (size_t)a[4] : COPY_CHUNK, a[5] & SPLICE_F_NONBLOCK);
    tell_of_splice(&s, r);
    if ((a[1] && copy_to_guest(a[1], &s.pos_in, 8) < 0) || (a[3] && copy_to_guest(a[3], &s.pos_out, 8) < 0))
        return -EFAULT;
    return r;
}

int64_t
sys_tee(const uint64_t a[6])
{
    FILE_REF struct file *in = io_get(a[0]), *out = io_get(a[1]);
    uint8_t chunk[4096];
    struct iovec iov = {chunk, 0};
    ssize_t n;

    if (a[2] == 0)
        return 0;
    if (!in || !out || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    if (!is_pipe(in) || !is_pipe(out) || in->inode == out->inode)
        return -EINVAL;
    for (;;) {
        n = pipe_peek(in, chunk, a[2] < sizeof chunk ? (size_t)a[2] : sizeof chunk);
        if (n != -EAGAIN || (a[3] & 2) || (in->flags & O_NONBLOCK))
            break;
        n = file_wait(in, WAIT_FOREVER);
        if (n < 0)
            return n;
    }
    if (n <= 0)
        return n;
    iov.iov_len = (size_t)n;
    n = (a[3] & 2) ? file_try_write(out, &iov, 1, NULL) : file_write(out, &iov, 1, NULL);
    if (n == -EPIPE)
        file_broken(out, 0);
    return n;
}

int64_t
sys_vmsplice(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);
    UNINITIALIZED struct user_iov u;
    int64_t r;

    if (!f || !is_pipe(f))
        return -EBADF;
    r = user_iov_init(&u, a[1], a[2]);
    if (r < 0)
        return r;
    r = file_can_write(f) ? user_write(f, &u, NULL, a[3] & 2) : user_read(f, &u, NULL, a[3] & 2);
    user_iov_fini(&u);
    return r;
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
    case FALLOC_FL_COLLAPSE_RANGE: /* of file systems that can move their bytes about, which none here is: refused below */
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

static int64_t
sync_file(uint64_t fd)
{
    FILE_REF struct file *f = io_get(fd);

    if (!f)
        return -EBADF;
    if (OPS(f->ops)->sync)
        return OPS(f->ops)->sync(f);
    return f->inode && (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode)) ? 0 : -EINVAL;
}

int64_t
sys_fsync(const uint64_t a[6])
{
    return sync_file(a[0]);
}

int64_t
sys_fdatasync(const uint64_t a[6])
{
    return sync_file(a[0]);
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

    return f ? 0 : -EBADF;
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
