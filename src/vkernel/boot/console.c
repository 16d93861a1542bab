/* Descriptors 0, 1 and 2 of the first process: the host's stdin, stdout and stderr.
 *
 * A host terminal becomes a guest terminal (tty/). A pipe, socket or file of the host becomes a guest file of the
 * host-fd kind. Nobody may block in the host while holding the kernel lock: readiness is asked first, and since a pipe
 * that polls writable promises PIPE_BUF bytes only, writes to a descriptor that can block go in pieces of that size. */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "platform/heap.h"
#include "platform/hostfs.h"
#include "vkernel/boot/boot.h"
#include "vkernel/tty/tty.h"
#include "vkernel/vfs/vfs.h"
#include "platform/platform.h"

struct host_file {
    int fd;
    bool regular;
    struct wait_queue in_queue, out_queue;
    struct host_watch in_watch, out_watch;
};

static ssize_t
host_file_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct host_file *h = f->inode->data;
    ssize_t n;

    if (iov_total(iov, count) == 0)
        return 0;
    if (!h->regular && !host_poll_now(h->fd, POLLIN))
        return -EAGAIN;
    n = pos == &f->pos || !h->regular ? host_readv(h->fd, iov, count) : host_preadv(h->fd, iov, count, *pos);
    if (n > 0 && h->regular)
        *pos += (uint64_t)n;
    return n == -EINTR ? -EAGAIN : n;
}

static ssize_t
host_file_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct host_file *h = f->inode->data;
    struct iovec piece;
    ssize_t n;

    if (iov_total(iov, count) == 0)
        return 0;
    if (h->regular)
        return pos == &f->pos ? host_writev(h->fd, iov, count) : host_pwritev(h->fd, iov, count, *pos);
    n = platform_repeatable ? POLLOUT : host_poll_now(h->fd, POLLOUT); /* then it waits in the host: nobody else may run
                                                                          meanwhile */
    if (n & POLLERR)
        return -EPIPE;
    if (n == 0)
        return -EAGAIN;
    while (count > 1 && iov->iov_len == 0)
        iov++, count--;
    if (iov_total(iov, count) <= 4096)
        return host_writev(h->fd, iov, count);
    piece = *iov;
    if (piece.iov_len > 4096)
        piece.iov_len = 4096;
    n = host_writev(h->fd, &piece, 1);
    return n == -EINTR ? -EAGAIN : n;
}

static int64_t
host_file_seek(struct file *f, int64_t offset, int whence)
{
    struct host_file *h = f->inode->data;
    int64_t r = h->regular ? host_seek(h->fd, offset, whence) : -ESPIPE;

    if (r >= 0)
        f->pos = (uint64_t)r;
    return r;
}

static unsigned
host_file_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct host_file *h = f->inode->data;
    unsigned wanted = vfs_poll_wanted;

    if (h->regular)
        return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    if (file_can_read(f) && (wanted & (POLLIN | POLLRDNORM | POLLRDHUP)))
        poll_add(queues, count, max, &h->in_queue);
    if (file_can_write(f) && (wanted & (POLLOUT | POLLWRNORM)))
        poll_add(queues, count, max, &h->out_queue);
    return (unsigned)(unsigned short)host_poll_now(h->fd, (short)((file_can_read(f) ? POLLIN | POLLRDNORM : 0) |
                                                                  (file_can_write(f) ? POLLOUT | POLLWRNORM : 0)));
}

static int
host_file_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    struct host_file *h = f->inode->data;
    int n;

    if (request != FIONREAD)
        return -ENOTTY;
    n = host_bytes_ready(h->fd);
    return n < 0 ? n : copy_to_guest(arg, &n, sizeof n);
}

/* Type, size and times are the host's; ownership is the container's. */
static int
host_file_stat(struct file *f, struct stat *st)
{
    struct host_file *h = f->inode->data;
    int r = host_fstat(h->fd, st);

    if (r < 0)
        return r;
    st->st_dev = f->inode->sb->dev;
    st->st_ino = f->inode->ino;
    st->st_uid = f->inode->uid;
    st->st_gid = f->inode->gid;
    return 0;
}

static int
host_file_truncate(struct file *f, uint64_t size)
{
    struct host_file *h = f->inode->data;

    return h->regular ? host_ftruncate(h->fd, size) : -EINVAL;
}

static const struct file_ops OPS_TABLE(file_ops) host_file_ops = {
    .name = "host",
    .read = host_file_read,
    .write = host_file_write,
    .seek = host_file_seek,
    .poll = host_file_poll,
    .ioctl = host_file_ioctl,
    .stat = host_file_stat,
    .truncate = host_file_truncate,
};

/* A regular host file has no sleepers: without poll, I/O never waits. */
static const struct file_ops OPS_TABLE(file_ops) host_regular_ops = {
    .name = "host",
    .read = host_file_read,
    .write = host_file_write,
    .seek = host_file_seek,
    .ioctl = host_file_ioctl,
    .stat = host_file_stat,
    .truncate = host_file_truncate,
};

static int
host_file_open(struct inode *i, struct file *f)
{
    struct host_file *h = i->data;

    f->ops = h->regular ? &host_regular_ops : &host_file_ops;
    return 0;
}

static int
host_file_getattr(struct inode *i, struct stat *st)
{
    struct host_file *h = i->data;
    struct stat host;

    if (host_fstat(h->fd, &host) == 0) {
        st->st_size = host.st_size;
        st->st_blocks = host.st_blocks;
        st->st_mtim = host.st_mtim;
        st->st_rdev = host.st_rdev;
    }
    return 0;
}

static const struct inode_ops OPS_TABLE(inode_ops) host_inode_ops = {.open = host_file_open,
                                                                     .getattr = host_file_getattr};

OBJECT_POOL(host_file);

static struct file *
host_file_new(int fd, int flags, const struct stat *st)
{
    struct host_file *h = OBJECT_NEW(host_file);
    struct inode *i = h ? inode_new(anon_superblock(), &host_inode_ops, st->st_mode) : NULL;
    struct file *f;

    if (!i) {
        OBJECT_FREE(host_file, h);
        return NULL;
    }
    h->fd = fd;
    h->regular = S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
    wait_queue_init(&h->in_queue);
    wait_queue_init(&h->out_queue);
    if (!h->regular) {
        h->in_watch = (struct host_watch){.fd = fd, .events = POLLIN, .queue = &h->in_queue};
        h->out_watch = (struct host_watch){.fd = fd, .events = POLLOUT, .queue = &h->out_queue};
        host_watch_add(&h->in_watch); /* for the process's life: the inode is never freed */
        host_watch_add(&h->out_watch);
        inode_get(i);
    }
    i->data = h;
    i->mode = (st->st_mode & S_IFMT) | 0666; /* the guest's own re-open through /proc/self/fd */
    f = file_new_inode(h->regular ? &host_regular_ops : &host_file_ops, flags, i, NULL);
    inode_put(i);
    return f;
}

static struct file *
null_file(int flags)
{
    struct file *f;

    return vfs_open(AT_FDCWD, "/dev/null", flags, 0, &f) < 0 ? NULL : f;
}

int
console_open(struct fdtable *t)
{
    static const int flags[3] = {O_RDONLY, O_WRONLY, O_WRONLY};
    struct file *terminal = NULL;
    struct stat st;

    if (host_is_tty(0)) {
        struct tty *tty = tty_console_new(0, host_is_tty(1) ? 1 : 0);

        terminal = tty ? tty_console_file(tty) : NULL;
    }
    for (int fd = 0; fd < 3; fd++) {
        struct file *f = NULL;
        int r;

        if (terminal && host_is_tty(fd))
            f = file_get(terminal);
        else if (host_fstat(fd, &st) == 0 && !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
            f = host_file_new(fd, flags[fd], &st);
        if (!f)
            f = null_file(flags[fd]);
        if (!f)
            return -EIO;
        r = fdtable_install(t, f, fd);
        if (r < 0)
            return r;
    }
    if (terminal)
        file_put(terminal);
    return 0;
}
