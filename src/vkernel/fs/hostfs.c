/* Volumes: a host directory (or file) in the guest's tree.
 *
 * Every inode in use holds an O_PATH descriptor, and every step goes one component down from its directory's descriptor
 * with O_NOFOLLOW, so that nothing the host's tree does while we walk leads outside. ".." and symlinks are the guest
 * walk's business. Owners and modes are the host's, shown as they are. */
#include "base/rare.h"
#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/platform.h"

#include <poll.h>
#include <sys/inotify.h>

#include "vkernel/fs/fs.h"
#include "vkernel/io/io.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/vfs.h"

enum { BUCKETS = 4096 };

struct host_node {
    struct list link;
    struct inode *inode;
    int fd;                 /* O_PATH */
    struct list watch_link; /* of watched */
    int watch;              /* of the host's inotify; -1 */
    unsigned opens;         /* open files */
    int lock_fd;            /* whose open file description owns the guests' record locks; -1: none yet */
    dev_t dev;
    ino_t ino;
};

static const struct inode_ops OPS_TABLE(inode_ops) hostfs_inode_ops;

static struct list nodes[BUCKETS] RARE;   /* struct host_node.link, of all volumes, by device and inode number */
static struct list watched[BUCKETS] RARE; /* struct host_node.watch_link, by watch */

/* A guest chooses which of its files and watches to keep, but not which of them share a bucket. */
static struct list *
bucket(struct list table[BUCKETS], uint64_t number)
{
    static uint64_t keys[2];
    uint64_t h;
    struct list *l;

    if (!keys[0]) {
        platform_random(keys, sizeof keys);
        keys[0] |= 1;
    }
    h = (number ^ keys[1]) * keys[0];
    h = (h ^ h >> 32) * keys[0];
    l = &table[h >> 52];
    if (!l->next)
        list_init(l);
    return l;
}
_Static_assert(BUCKETS == 1 << (64 - 52), "a bucket is the upper bits of a hash");

static int
node_fd(const struct inode *i)
{
    return ((const struct host_node *)i->data)->fd;
}

static void
refresh(struct inode *i, const struct stat *st)
{
    i->mode = st->st_mode;
    i->uid = st->st_uid;
    i->gid = st->st_gid;
    i->nlink = (uint32_t)st->st_nlink;
    i->size = (uint64_t)st->st_size;
    i->rdev = st->st_rdev;
    i->atime = st->st_atim;
    i->mtime = st->st_mtim;
    i->ctime = st->st_ctim;
    i->ino = st->st_ino;
    i->mapped_shared = true; /* the host may change it at any time: no cached hash is good */
}

OBJECT_POOL(host_node);

/* Takes over fd. */
static int
node_for(struct superblock *sb, int fd, struct inode **out)
{
    struct host_node *n;
    struct list *known;
    struct inode *i;
    struct stat st;
    int r = host_fstat(fd, &st);

    if (r == 0 && host_device_refused(st.st_dev))
        r = -EACCES;
    if (r < 0) {
        host_close(fd);
        return r;
    }
    known = bucket(nodes, st.st_ino + (st.st_dev << 32));
    LIST_EACH(p, known) {
        n = list_entry(p, struct host_node, link);
        if (n->dev == st.st_dev && n->ino == st.st_ino && n->inode->sb == sb) {
            host_close(fd);
            refresh(n->inode, &st);
            *out = inode_get(n->inode);
            return 0;
        }
    }
    n = OBJECT_NEW(host_node);
    i = n ? inode_new(sb, &hostfs_inode_ops, st.st_mode) : NULL;
    if (!i) {
        OBJECT_FREE(host_node, n);
        host_close(fd);
        return -ENOMEM;
    }
    n->inode = i;
    n->fd = fd;
    n->lock_fd = n->watch = -1;
    list_init(&n->watch_link);
    n->dev = st.st_dev;
    n->ino = st.st_ino;
    i->data = n;
    refresh(i, &st);
    list_append(known, &n->link);
    *out = i;
    return 0;
}

static void
hostfs_evict(struct inode *i)
{
    struct host_node *n = i->data;

    list_remove(&n->link);
    list_remove(&n->watch_link);
    if (n->lock_fd >= 0)
        host_close(n->lock_fd);
    host_close(n->fd);
    OBJECT_FREE(host_node, n);
}

static int
hostfs_lookup(struct dentry *dir, const char *name, size_t length, struct dentry **out)
{
    char copy[VFS_NAME_MAX + 1];
    struct inode *i;
    int fd, r;

    memcpy(copy, name, length);
    copy[length] = '\0';
    fd = host_open_beneath(node_fd(dir->inode), copy, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    r = node_for(dir->sb, fd, &i);
    if (r < 0)
        return r;
    *out = dentry_new(dir, copy, length, i);
    inode_put(i);
    return *out ? 0 : -ENOMEM;
}

/* What a guest user makes is that user's, as in a mounted folder of docker's: so far it is the host process's. When the
 * host process may not give files away it stays that. */
static void
give_to_maker(struct inode *i, uint32_t mode, bool group_of_dir)
{
    const struct creds *c = &current_process()->creds;
    uid_t uid = c->fsuid == i->uid ? (uid_t)-1 : c->fsuid;
    gid_t gid = group_of_dir || c->fsgid == i->gid ? (gid_t)-1 : c->fsgid;
    struct stat st;

    if ((uid == (uid_t)-1 && gid == (gid_t)-1) || host_chown_fd(node_fd(i), uid, gid) < 0)
        return;
    if (mode & (S_ISUID | S_ISGID))
        host_chmod_fd(node_fd(i), mode & 07777); /* chown took these bits */
    if (host_fstat(node_fd(i), &st) == 0)
        refresh(i, &st);
}

static int
hostfs_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
              struct dentry **out)
{
    char copy[VFS_NAME_MAX + 1];
    bool group_of_dir = (dir->inode->mode & S_ISGID) != 0;
    int r;

    memcpy(copy, name, length);
    copy[length] = '\0';
    if (group_of_dir && !S_ISDIR(mode) && (mode & S_ISGID) && !in_group(dir->inode->gid) && !capable(CAP_FSETID))
        mode &= ~(uint32_t)S_ISGID;
    r = host_mknod_beneath(node_fd(dir->inode), "", copy, mode, target);
    if (r == 0)
        r = hostfs_lookup(dir, copy, length, out);
    if (r == 0)
        give_to_maker((*out)->inode, mode, group_of_dir);
    return r;
}

static int
hostfs_link(struct inode *i, struct dentry *dir, const char *name, size_t length)
{
    char copy[VFS_NAME_MAX + 1];

    memcpy(copy, name, length);
    copy[length] = '\0';
    return host_link_fd(node_fd(i), node_fd(dir->inode), copy);
}

static int
hostfs_unlink(struct dentry *dir, struct dentry *child)
{
    int r = host_unlink_beneath(node_fd(dir->inode), "", child->name, S_ISDIR(child->inode->mode));
    struct stat st;

    if (r == 0) {
        child->flags |= DENTRY_DELETED;
        if (host_fstat(node_fd(child->inode), &st) == 0)
            refresh(child->inode, &st);
    }
    return r;
}

static int
hostfs_rename(struct dentry *old_dir, struct dentry *old, struct dentry *new_dir, struct dentry *new_one,
              const char *name, size_t length, unsigned flags)
{
    char copy[VFS_NAME_MAX + 1];

    memcpy(copy, name, length);
    copy[length] = '\0';
    return host_rename_fd(node_fd(old_dir->inode), old->name, node_fd(new_dir->inode), copy, flags);
}

static ssize_t
hostfs_readlink(struct dentry *d, char *buf, size_t size)
{
    return host_readlink_fd(node_fd(d->inode), buf, size);
}

static int
hostfs_getattr(struct inode *i, struct stat *st)
{
    dev_t dev = i->sb->dev;
    int r = host_fstat(node_fd(i), st);

    if (r < 0)
        return r;
    refresh(i, st);
    st->st_dev = dev;
    return 0;
}

static int
hostfs_setattr(struct inode *i, const struct iattr *a)
{
    int fd = node_fd(i), r = 0;

    if (a->valid & (ATTR_UID | ATTR_GID))
        r = host_chown_fd(fd, a->valid & ATTR_UID ? a->uid : (uid_t)-1, a->valid & ATTR_GID ? a->gid : (gid_t)-1);
    if (r == 0 && (a->valid & ATTR_MODE))
        r = host_chmod_fd(fd, a->mode & 07777);
    if (r == 0 && (a->valid & (ATTR_ATIME | ATTR_MTIME))) {
        struct timespec t[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};

        if (a->valid & ATTR_ATIME)
            t[0] = a->atime;
        if (a->valid & ATTR_MTIME)
            t[1] = a->mtime;
        r = host_utimens_fd(fd, t);
    }
    return r;
}

static int
truncate_by_name(int node, uint64_t size)
{
    int fd = host_open_beneath(node, "", O_WRONLY, 0), r;

    if (fd < 0)
        return fd;
    r = host_ftruncate(fd, size);
    host_close(fd);
    return r;
}

static int
hostfs_truncate(struct inode *i, uint64_t size)
{
    int r = HOST_SLEEP(truncate_by_name(node_fd(i), size));

    if (r == 0)
        i->size = size;
    return r;
}

/* --- open files: a struct volume_file is in f->data --- */

struct volume_file {
    int fd;       /* its open file description has the guest's flock */
    int other_fd; /* one with the other O_NOATIME (hostfs_set_flags); -1: nobody has asked for it */
    /* One of the two. Both stay open: a call of the host's that began with one may not have come there yet. */
    int read_fd;
    int noatime; /* of fd: O_NOATIME or 0 */
};

OBJECT_POOL(volume_file);

static int
open_fd(const struct file *f)
{
    return ((const struct volume_file *)f->data)->fd;
}

static int
read_fd(const struct file *f)
{
    return ((const struct volume_file *)f->data)->read_fd;
}

/* The flags of the host's open file of an inode, for what reads and writes; flags: the guest's. */
static int
host_flags(const struct inode *i, int flags)
{
    return (S_ISDIR(i->mode) ? O_RDONLY | O_DIRECTORY : flags & O_ACCMODE) | (flags & O_NOATIME);
}

static ssize_t
hostfs_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    ssize_t n = host_preadv(read_fd(f), iov, count, *pos);

    if (n > 0)
        *pos += (uint64_t)n;
    return n;
}

static ssize_t
write_all(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    ssize_t n;

    if (f->flags & O_APPEND)
        return host_appendv(open_fd(f), iov, count, pos);
    n = host_pwritev(open_fd(f), iov, count, *pos);
    if (n > 0)
        *pos += (uint64_t)n;
    return n;
}

/* The first `size` bytes, which are fewer than the vector has. */
static ssize_t
write_part(struct file *f, const struct iovec *iov, uint64_t size, uint64_t *pos)
{
    struct iovec last;
    ssize_t done = 0, n;
    int whole = 0;

    while (iov[whole].iov_len <= size)
        size -= iov[whole++].iov_len;
    if (whole) {
        done = write_all(f, iov, whole, pos);
        if (done < 0 || (size_t)done < iov_total(iov, whole))
            return done;
    }
    if (!size)
        return done;
    last = (struct iovec){iov[whole].iov_base, size};
    n = write_all(f, &last, 1, pos);
    return n > 0 ? done + n : done ? done : n;
}

static ssize_t
hostfs_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    uint64_t total = iov_total(iov, count), size = total;
    struct stat st;
    ssize_t n;
    int r;

    if (!total)
        return 0;
    if ((f->flags & O_APPEND) && host_fstat(open_fd(f), &st) == 0)
        *pos = (uint64_t)st.st_size; /* for the limit: where the bytes go is the host's to say */
    r = file_limit_write(*pos, &size);
    if (r < 0)
        return r;
    n = size == total ? write_all(f, iov, count, pos) : write_part(f, iov, size, pos);
    return n;
}

static int64_t
hostfs_seek(struct file *f, int64_t offset, int whence)
{
    int64_t r;

    if (whence == SEEK_CUR) {
        if (__builtin_add_overflow((int64_t)f->pos, offset, &offset))
            return -EINVAL;
        whence = SEEK_SET;
    }
    r = host_seek(read_fd(f), offset, whence);
    if (r >= 0)
        f->pos = (uint64_t)r;
    return r;
}

/* O_NOATIME is a flag of the host's open file, and fcntl, which could change others as well, is not among the calls
 * that are left for it (host_calls.def): reads go to a second open file that has it, or has it not. */
static int
hostfs_set_flags(struct file *f, int flags)
{
    struct volume_file *h = f->data;
    int64_t r;
    int fd;

    if (!((flags ^ f->flags) & O_NOATIME))
        return 0;
    if ((flags & O_NOATIME) != h->noatime && h->other_fd < 0) {
        fd = host_open_beneath(node_fd(f->inode), "", host_flags(f->inode, flags), 0);
        if (fd < 0)
            return fd;
        h->other_fd = fd;
    }
    fd = (flags & O_NOATIME) == h->noatime ? h->fd : h->other_fd;
    r = S_ISDIR(f->inode->mode) ? host_seek(fd, (int64_t)f->pos, SEEK_SET) : 0;
    if (r < 0)
        return (int)r;
    h->read_fd = fd;
    return 0;
}

static int
hostfs_file_truncate(struct file *f, uint64_t size)
{
    return HOST_SLEEP(host_ftruncate(open_fd(f), size));
}

/* --- changes: the host tells of all, ours among them, for inodes that a guest watches (vfs/inotify.c) --- */

static struct host_node *
watched_node(int number)
{
    LIST_EACH(p, bucket(watched, (uint64_t)number)) {
        struct host_node *n = list_entry(p, struct host_node, watch_link);

        if (n->watch == number)
            return n;
    }
    return NULL;
}

/* Our O_PATH descriptor keeps a removed file alive, so the host does not tell of its end: it has no name and no guest
 * has it open. */
static void
report_end(struct host_node *n)
{
    struct stat st;

    if (n->watch >= 0 && n->opens == 0 && !S_ISDIR(n->inode->mode) && host_fstat(n->fd, &st) == 0 && st.st_nlink == 0)
        inotify_report(n->inode, IN_DELETE_SELF, NULL, 0);
}

static void
report_change(const struct inotify_event *e)
{
    struct host_node *n = watched_node(e->wd);
    struct inode *i;

    if (!n)
        return; /* of a watch that has ended since */
    i = inode_get(n->inode);
    if (e->mask & IN_IGNORED) {
        list_remove(&n->watch_link);
        n->watch = -1;
    }
    inotify_report(i, e->mask & (IN_ALL_EVENTS | IN_ISDIR | IN_IGNORED), e->len ? e->name : NULL, e->cookie);
    if ((e->mask & IN_ATTRIB) && !e->len)
        report_end(n);
    inode_put(i);
}

static void
report_overflow(void)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        if (watched[b].next)
            LIST_EACH_SAFE(p, &watched[b])
                inotify_report(list_entry(p, struct host_node, watch_link)->inode, IN_Q_OVERFLOW, NULL, 0);
}

void
hostfs_collect_changes(void)
{
    enum { AT_ONCE = 64 }; /* who makes changes faster than they are read is heard at the next tick */
    static _Alignas(struct inotify_event) char buffer[8192] RARE;
    static bool collecting;

    if (collecting || host_changes_fd() < 0)
        return;
    collecting = true;
    for (int k = 0; k < AT_ONCE; k++) {
        ssize_t size = host_changes_read(buffer, sizeof buffer);
        const struct inotify_event *e;

        if (size <= 0)
            break;
        for (ssize_t at = 0; at < size; at += (ssize_t)(sizeof *e + e->len)) {
            e = (const struct inotify_event *)(const void *)(buffer + at);
            if (e->mask & IN_Q_OVERFLOW)
                report_overflow();
            else
                report_change(e);
        }
    }
    collecting = false;
}

CALLBACK static void
changes_ready(struct host_watch *w)
{
    hostfs_collect_changes();
}

static int
hostfs_watch(struct inode *i, bool on)
{
    static struct host_watch host_watch = {.events = POLLIN, .ready = changes_ready};
    struct host_node *n = i->data;

    if (!on) {
        list_remove(&n->watch_link);
        if (n->watch >= 0)
            host_changes_unwatch(n->watch);
        n->watch = -1;
        return 0;
    }
    if (!host_watch.link.next) {
        host_watch.fd = host_changes_fd();
        host_watch_add(&host_watch);
    }
    n->watch = host_changes_watch(n->fd);
    if (n->watch < 0) { /* -EEXIST: the same file through another volume has it */
        int r = n->watch == -EEXIST ? -ENOSPC : n->watch;

        n->watch = -1;
        return r;
    }
    list_append(bucket(watched, (uint64_t)n->watch), &n->watch_link);
    return 0;
}

/* --- locks: the world outside knows the guests' (vfs/locks.c decides among those) --- */

static int
hostfs_flock(struct file *f, int operation)
{
    return host_flock(open_fd(f), operation);
}

static int
lock_fd(struct inode *i)
{
    struct host_node *n = i->data;

    if (n->lock_fd < 0)
        n->lock_fd = host_open_beneath(n->fd, "", i->sb->read_only ? O_RDONLY : O_RDWR, 0);
    if (n->lock_fd < 0)
        n->lock_fd = host_open_beneath(n->fd, "", O_RDONLY, 0);
    return n->lock_fd;
}

static int
hostfs_lock(struct inode *i, int type, uint64_t start, uint64_t end)
{
    int fd = lock_fd(i);

    return fd < 0 ? fd : host_lock(fd, type, start, end);
}

static int
hostfs_get_lock(struct inode *i, struct flock *l)
{
    int fd = lock_fd(i);

    return fd < 0 ? fd : host_get_lock(fd, l);
}

static int
hostfs_sync(struct file *f)
{
    return HOST_SLEEP(host_fsync(open_fd(f)));
}

static int
hostfs_mmap_source(struct file *f, int *host_fd, uint64_t *host_offset, bool *bounded)
{
    *host_fd = read_fd(f);
    *host_offset = 0;
    *bounded = false;
    return 0;
}

static ssize_t
hostfs_getdents(struct file *f, void *buf, size_t size)
{
    ssize_t n = HOST_SLEEP(host_getdents(read_fd(f), buf, size));

    for (ssize_t at = 0; at < n;) {
        uint16_t length;
        int64_t next;

        memcpy(&next, (uint8_t *)buf + at + 8, 8);
        memcpy(&length, (uint8_t *)buf + at + 16, 2);
        f->pos = (uint64_t)next;
        at += length;
    }
    return n;
}

static ssize_t
hostfs_dir_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    return -EISDIR;
}

static void
hostfs_release(struct file *f)
{
    struct inode *i = f->inode;
    struct host_node *n = i->data;
    struct volume_file *h = f->data;

    host_close(h->fd);
    if (h->other_fd >= 0)
        host_close(h->other_fd);
    OBJECT_FREE(volume_file, h);
    n->opens--;
    if (n->watch >= 0) {
        hostfs_collect_changes();
        report_end(n);
    }
}

static const struct file_ops OPS_TABLE(file_ops) hostfs_file_ops = {
    .name = "hostfs",
    .read = hostfs_read,
    .write = hostfs_write,
    .seek = hostfs_seek,
    .truncate = hostfs_file_truncate,
    .sync = hostfs_sync,
    .set_flags = hostfs_set_flags,
    .flock = hostfs_flock,
    .mmap_source = hostfs_mmap_source,
    .release = hostfs_release,
};

static const struct file_ops OPS_TABLE(file_ops) hostfs_dir_ops = {
    .name = "dir",
    .read = hostfs_dir_read,
    .seek = hostfs_seek,
    .getdents = hostfs_getdents,
    .sync = hostfs_sync,
    .set_flags = hostfs_set_flags,
    .flock = hostfs_flock,
    .release = hostfs_release,
};

static int
hostfs_open(struct inode *i, struct file *f)
{
    bool dir = S_ISDIR(i->mode);
    int flags = host_flags(i, f->flags), fd;
    struct volume_file *h;

    if (S_ISFIFO(i->mode)) /* between guests only: a host FIFO could block whoever has the kernel lock */
        return fifo_open(i, f);
    if (!dir && !S_ISREG(i->mode))
        return -ENXIO;
    fd = HOST_SLEEP(host_open_beneath(node_fd(i), "", flags, 0)); /* another program's lease may hold it up */
    if (fd < 0)
        return fd;
    h = OBJECT_NEW(volume_file);
    if (!h) {
        host_close(fd);
        return -ENOMEM;
    }
    *h = (struct volume_file){.fd = fd, .other_fd = -1, .read_fd = fd, .noatime = f->flags & O_NOATIME};
    f->data = h;
    f->ops = dir ? &hostfs_dir_ops : &hostfs_file_ops;
    ((struct host_node *)i->data)->opens++;
    return 0;
}

static const struct inode_ops OPS_TABLE(inode_ops) hostfs_inode_ops = {
    .lookup = hostfs_lookup,
    .create = hostfs_create,
    .link = hostfs_link,
    .unlink = hostfs_unlink,
    .rename = hostfs_rename,
    .readlink = hostfs_readlink,
    .open = hostfs_open,
    .getattr = hostfs_getattr,
    .setattr = hostfs_setattr,
    .truncate = hostfs_truncate,
    .lock = hostfs_lock,
    .watch = hostfs_watch,
    .get_lock = hostfs_get_lock,
    .evict = hostfs_evict,
};

CALLBACK static int
hostfs_statfs(struct superblock *sb, struct statfs *st)
{
    return host_fstatfs(node_fd(sb->root->inode), st);
}

/* The host knows a file system by an open file; ours of the root is only a place. */
CALLBACK static int
hostfs_sync_all(struct superblock *sb)
{
    int fd = host_open_beneath(node_fd(sb->root->inode), "", O_RDONLY | O_DIRECTORY, 0), r;

    if (fd < 0)
        return fd;
    r = HOST_SLEEP(host_syncfs(fd));
    host_close(fd);
    return r;
}

struct superblock *
hostfs_new(int fd, bool read_only)
{
    struct superblock *sb = superblock_new("hostfs", 0x00c0ffee);
    struct inode *i;

    if (!sb) {
        host_close(fd);
        return NULL;
    }
    sb->source = "volume";
    sb->read_only = read_only;
    sb->no_dev = sb->no_suid = true;
    sb->statfs = hostfs_statfs;
    sb->sync = hostfs_sync_all;
    if (node_for(sb, fd, &i) < 0)
        return NULL;
    sb->root = dentry_new(NULL, "/", 1, i);
    inode_put(i);
    return sb->root ? sb : NULL;
}
