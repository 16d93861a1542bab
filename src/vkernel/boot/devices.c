/* Character devices of /dev, and what else opens by the inode's type rather than by its file system. */
#include <poll.h>
#include <sys/sysmacros.h>

#include "platform/platform.h"
#include "vkernel/boot/boot.h"
#include "vkernel/fs/fs.h"
#include "vkernel/io/io.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/tty/tty.h"
#include "vkernel/vfs/vfs.h"

static ssize_t
null_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    return 0;
}

static ssize_t
null_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    return (ssize_t)iov_total(iov, count);
}

static ssize_t
null_swallow(struct file *f, uint64_t size)
{
    return (ssize_t)size;
}

static int64_t
null_seek(struct file *f, int64_t offset, int whence)
{
    f->pos = 0;
    return 0;
}

static ssize_t
zero_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    size_t want = iov_total(iov, count), done = iov_clear(iov, count, 0, want);

    return done || want == 0 ? (ssize_t)done : -EFAULT;
}

static ssize_t
full_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    return iov_total(iov, count) ? -ENOSPC : 0;
}

static ssize_t
full_swallow(struct file *f, uint64_t size)
{
    return -ENOSPC;
}

static ssize_t
random_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    size_t want = iov_total(iov, count), done = 0;
    uint8_t chunk[1024];

    while (done < want) {
        size_t n = want - done < sizeof chunk ? want - done : sizeof chunk, copied;

        platform_random(chunk, n);
        copied = iov_scatter(iov, count, done, chunk, n);
        done += copied;
        if (copied < n)
            break;
    }
    explicit_bzero(chunk, sizeof chunk);
    return done || want == 0 ? (ssize_t)done : -EFAULT;
}

static const struct file_ops OPS_TABLE(file_ops) null_ops = {.name = "null",
                                                             .no_splice_out = true,
                                                             .read = null_read,
                                                             .write = null_write,
                                                             .swallow = null_swallow,
                                                             .seek = null_seek};
static const struct file_ops OPS_TABLE(file_ops) zero_ops = {.name = "zero",
                                                             .read = zero_read,
                                                             .write = null_write,
                                                             .swallow = null_swallow,
                                                             .seek = null_seek,
                                                             .maps_anonymous = true};
static const struct file_ops OPS_TABLE(file_ops) full_ops = {.name = "full",
                                                             .read = zero_read,
                                                             .write = full_write,
                                                             .swallow = full_swallow,
                                                             .seek = null_seek};
static const struct file_ops OPS_TABLE(file_ops)
    random_ops = {.name = "random", .read = random_read, .write = null_write, .seek = null_seek};

int
chrdev_open(struct inode *inode, struct file *f)
{
    unsigned ma = major(inode->rdev), mi = minor(inode->rdev);

    if (ma == 1) {
        switch (mi) {
        case 3: f->ops = &null_ops; return 0;
        case 5: f->ops = &zero_ops; return 0;
        case 7: f->ops = &full_ops; return 0;
        case 8:
        case 9: f->ops = &random_ops; return 0;
        default: return -ENXIO;
        }
    }
    return tty_device_open(ma, mi, f);
}

int
special_open(struct inode *inode, struct file *f)
{
    switch (inode->mode & S_IFMT) {
    case S_IFCHR: return chrdev_open(inode, f);
    case S_IFIFO: return fifo_open(inode, f);
    default: return -ENXIO;
    }
}

static int
make_node(struct dentry *dir, const char *name, uint32_t mode, unsigned ma, unsigned mi, const char *target)
{
    struct dentry *d;
    int r = memfs_inode_ops.create(dir, name, strlen(name), mode, makedev(ma, mi), target, &d);

    if (r == 0)
        dentry_put(d);
    return r;
}

/* Mounts a superblock on a directory of the parent, made when it is not there. */
static int
mount_on(struct dentry *dir, const char *name, struct superblock *sb)
{
    struct dentry *d;
    int r;

    if (!sb)
        return -ENOMEM;
    r = vfs_lookup(dir, name, strlen(name), &d);
    if (r == -ENOENT)
        r = memfs_inode_ops.create(dir, name, strlen(name), S_IFDIR | 0755, 0, NULL, &d);
    if (r < 0)
        return r;
    r = mount_add(sb, d);
    dentry_put(d);
    return r;
}

int
devfs_mount(struct dentry *root)
{
    /* clang-format off */
    static const struct { const char *name; uint32_t mode; unsigned ma, mi; const char *target; } nodes[] = {
        {"null", S_IFCHR | 0666, 1, 3, NULL},    {"zero", S_IFCHR | 0666, 1, 5, NULL},
        {"full", S_IFCHR | 0666, 1, 7, NULL},    {"random", S_IFCHR | 0666, 1, 8, NULL},
        {"urandom", S_IFCHR | 0666, 1, 9, NULL}, {"tty", S_IFCHR | 0666, 5, 0, NULL},
        {"console", S_IFCHR | 0620, 5, 1, NULL}, {"ptmx", S_IFLNK | 0777, 0, 0, "pts/ptmx"},
        {"fd", S_IFLNK | 0777, 0, 0, "/proc/self/fd"},
        {"stdin", S_IFLNK | 0777, 0, 0, "/proc/self/fd/0"},
        {"stdout", S_IFLNK | 0777, 0, 0, "/proc/self/fd/1"},
        {"stderr", S_IFLNK | 0777, 0, 0, "/proc/self/fd/2"},
        {"core", S_IFLNK | 0777, 0, 0, "/proc/kcore"},
    };
    /* clang-format on */
    struct superblock *dev = memfs_new("tmpfs", NULL, 0755), *shm;
    int r = mount_on(root, "dev", dev);

    for (size_t k = 0; r == 0 && k < sizeof nodes / sizeof nodes[0]; k++)
        r = make_node(dev->root, nodes[k].name, nodes[k].mode, nodes[k].ma, nodes[k].mi, nodes[k].target);
    if (r == 0)
        r = mount_on(dev->root, "pts", devpts_new());
    if (r == 0) {
        shm = memfs_new("tmpfs", NULL, 01777);
        if (shm) {
            shm->source = "shm";
            shm->no_dev = shm->no_suid = shm->no_exec = true;
        }
        r = mount_on(dev->root, "shm", shm);
    }
    if (r == 0)
        r = mount_on(dev->root, "mqueue", mqueue_fs_new());
    if (dev)
        dev->no_suid = true;
    return r;
}
