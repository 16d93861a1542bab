/* System calls that move bytes between two files: sendfile, copy_file_range, splice, tee; and vmsplice. */
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/sys_io_internal.h"
#include "vkernel/io/io.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/vfs.h"

enum { COPY_CHUNK = 64 * 1024, SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT };

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
    if (!done)
        return error;
    error = file_written(out);
    return error < 0 ? error : (int64_t)done;
}

static bool
is_pipe(const struct file *f)
{
    return f->inode && f->inode->pipe;
}

/* Can splice and sendfile read from it? Files that a guest cannot read are refused before. */
static bool
splices_out(const struct file *f)
{
    return OPS(f->ops)->read && !OPS(f->ops)->no_splice_out && !(f->inode && S_ISDIR(f->inode->mode));
}

static bool
splices_in(const struct file *f)
{
    return OPS(f->ops)->write && !OPS(f->ops)->no_splice_in;
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
    if ((out->flags & O_APPEND) || !splices_out(in) || !splices_in(out) || !OPS(in->ops)->seek ||
        (OPS(out->ops)->seek && !file_range(out->pos, a[3], &range)))
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
        signal_send_self(SIGXFSZ);
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
    if (!splices_out(in)) /* which Linux finds once there is room */
        return -EINVAL;
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

/* Of r bytes, or the error: to those who watch the files, or to the writer of a broken pipe. The result of the call. */
static int64_t
end_splice(const struct splice *s, int64_t r)
{
    int error;

    if (r == -EPIPE)
        file_broken(s->out, 0);
    if (r <= 0)
        return r;
    if (s->in->dentry)
        inotify_opened(s->in->dentry, IN_ACCESS);
    error = file_written(s->out);
    return error < 0 ? error : r;
}

int64_t
sys_splice(const uint64_t a[6])
{
    FILE_REF struct file *in = io_get(a[0]), *out = io_get(a[2]);
    struct splice s = {.in = in, .out = out};
    int64_t r;

    if (a[4] == 0)
        return 0;
    if (a[5] & ~(uint64_t)SPLICE_FLAGS)
        return -EINVAL;
    if (!in || !out || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    if (is_pipe(in) ? is_pipe(out) && in->inode == out->inode : !is_pipe(out))
        return -EINVAL;
    if ((is_pipe(in) && a[1]) || (is_pipe(out) && a[3]))
        return -ESPIPE;
    if ((a[1] && !OPS(in->ops)->seek) || (a[3] && !OPS(out->ops)->seek))
        return -EINVAL;
    r = splice_offsets(&s, a[1], a[3]);
    if (r < 0)
        return r;
    if (!splices_in(out) || (!is_pipe(out) && (out->flags & O_APPEND)))
        return -EINVAL;
    if (!splice_range(in, s.at_in, a[4]) || !splice_range(out, s.at_out, a[4]))
        return -EINVAL;
    r = splice_waiting(&s, a[4] < COPY_CHUNK ? (size_t)a[4] : COPY_CHUNK, a[5] & SPLICE_F_NONBLOCK);
    r = end_splice(&s, r);
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

    if (a[3] & ~(uint64_t)SPLICE_FLAGS)
        return -EINVAL;
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

/* Linux's vmsplice looks at its own flag alone, not at O_NONBLOCK, and moves what there is room for once there is any:
 * it does not go on until all is in the pipe. */
static int64_t
vmsplice_waiting(struct file *f, struct user_iov *u, bool nonblock)
{
    might_sleep();
    for (;;) {
        int64_t r = file_can_write(f) ? user_write(f, u, NULL, IO_NO_WAIT) : user_read(f, u, NULL, IO_NO_WAIT);

        if (r != -EAGAIN || nonblock)
            return r;
        r = file_wait(f, WAIT_FOREVER);
        if (r < 0)
            return r;
    }
}

int64_t
sys_vmsplice(const uint64_t a[6])
{
    FILE_REF struct file *f = io_get(a[0]);
    UNINITIALIZED struct user_iov u;
    int64_t r;

    if (a[3] & ~(uint64_t)SPLICE_FLAGS)
        return -EINVAL;
    if (!f || !is_pipe(f))
        return -EBADF;
    r = user_iov_init(&u, a[1], a[2]);
    if (r < 0)
        return r;
    r = vmsplice_waiting(f, &u, a[3] & SPLICE_F_NONBLOCK);
    user_iov_fini(&u);
    return r;
}
