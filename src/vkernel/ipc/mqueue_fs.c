/* Names of POSIX message queues: a file system, which is mounted at /dev/mqueue; mq_open(2) and mq_unlink(2). */
#include "vkernel/ipc/mqueue_internal.h"

#include <sys/inotify.h>

#include "base/page.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/fs.h"
#include "vkernel/ipc/ipc.h"

enum { FILE_SIZE = 80, MAGIC = 0x19800202 };

static struct superblock *queues; /* made before the first guest instruction */
static unsigned queue_count;

static int
queue_open(struct inode *i, struct file *f)
{
    f->ops = &mqueue_file_ops;
    return 0;
}

static void
queue_evict(struct inode *i)
{
    queue_count--;
    mqueue_free(i->data);
}

/* The size says nothing, but may be set. */
static int
queue_truncate(struct inode *i, uint64_t size)
{
    i->size = size;
    inode_touch(i);
    return 0;
}

static const struct inode_ops OPS_TABLE(inode_ops) queue_inode_ops = {.open = queue_open,
                                                                      .truncate = queue_truncate,
                                                                      .evict = queue_evict};

/* Makes a queue under the name, with these or the default attributes. */
static int
create_queue(struct dentry *dir, const char *name, size_t length, uint32_t mode, const struct mq_attributes *a,
             struct dentry **out)
{
    struct mqueue *q;
    struct inode *i;
    int r;

    if (queue_count >= MQ_QUEUES && !capable(CAP_SYS_RESOURCE))
        return -ENOSPC;
    r = mqueue_new(a, &q);
    if (r < 0)
        return r;
    i = inode_new(dir->sb, &queue_inode_ops, S_IFREG | (mode & 07777));
    if (!i) {
        mqueue_free(q);
        return -ENOMEM;
    }
    queue_count++;
    i->data = q;
    i->size = FILE_SIZE;
    i->uid = current_creds()->fsuid;
    i->gid = current_creds()->fsgid;
    *out = dentry_new(dir, name, length, i);
    inode_put(i);
    if (!*out)
        return -ENOMEM;
    dentry_insert(*out);
    inode_touch(dir->inode);
    return 0;
}

static int
directory_lookup(struct dentry *dir, const char *name, size_t length, struct dentry **out)
{
    return -ENOENT; /* all names are hashed */
}

static int
directory_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
                 struct dentry **out)
{
    return S_ISREG(mode) ? create_queue(dir, name, length, mode, NULL, out) : -EPERM;
}

static int
directory_unlink(struct dentry *dir, struct dentry *child)
{
    dentry_get(child);
    dentry_remove(child);
    child->flags |= DENTRY_DELETED;
    child->inode->nlink--;
    child->inode->ctime = timespec_now();
    inode_touch(dir->inode);
    dentry_put(child);
    return 0;
}

static int
directory_open(struct inode *i, struct file *f)
{
    f->ops = &memfs_dir_ops;
    return 0;
}

static const struct inode_ops OPS_TABLE(inode_ops) directory_ops = {.lookup = directory_lookup,
                                                                    .create = directory_create,
                                                                    .unlink = directory_unlink,
                                                                    .open = directory_open};

CALLBACK static int
queues_statfs(struct superblock *sb, struct statfs *st)
{
    st->f_bsize = PAGE_SIZE;
    st->f_namelen = VFS_NAME_MAX;
    return 0;
}

struct superblock *
mqueue_fs_new(void)
{
    struct superblock *sb = superblock_new("mqueue", MAGIC);
    struct inode *root = inode_new(sb, &directory_ops, S_IFDIR | 01777);

    if (root)
        root->nlink = 2;
    if (!root || !(sb->root = dentry_new(NULL, "/", 1, root)))
        return NULL; /* and the container does not start */
    inode_put(root);
    sb->statfs = queues_statfs;
    sb->no_dev = sb->no_suid = sb->no_exec = true;
    queues = sb;
    return sb;
}

/* --- mq_open, mq_unlink --- */

/* The queue of the name in guest memory, with a reference, or NULL where there is none: then name has it. */
static int
find_queue(guest_addr address, char *name, struct dentry **out)
{
    size_t length;
    int r = path_from_guest(name, address);

    *out = NULL;
    if (r < 0)
        return r;
    length = strlen(name);
    if (length == 0)
        return -ENOENT;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        return -EACCES;
    r = vfs_lookup(queues->root, name, length, out);
    return r == -ENOENT ? 0 : r;
}

static int
check_found(const struct dentry *d, int flags)
{
    int mask = (flags & O_ACCMODE) == O_RDONLY   ? MAY_READ
               : (flags & O_ACCMODE) == O_WRONLY ? MAY_WRITE
                                                 : MAY_READ | MAY_WRITE;

    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if ((flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    return inode_permission(d->inode, mask);
}

static int
find_or_create(guest_addr name, int flags, uint32_t mode, const struct mq_attributes *a, struct dentry **out)
{
    UNINITIALIZED char text[VFS_PATH_MAX];
    int r = find_queue(name, text, out);

    if (r < 0)
        return r;
    if (*out)
        return check_found(*out, flags);
    if (!(flags & O_CREAT))
        return -ENOENT;
    r = inode_permission(queues->root->inode, MAY_WRITE | MAY_EXEC);
    if (r == 0)
        r = create_queue(queues->root, text, strlen(text), mode & ~fs_umask(), a, out);
    if (r == 0)
        inotify_event(queues->root->inode, IN_CREATE, text, 0);
    return r;
}

int64_t
sys_mq_open(const uint64_t a[6])
{
    struct mq_attributes attributes;
    struct dentry *d = NULL;
    struct file *f = NULL;
    int flags = (int)a[1] & (O_ACCMODE | O_CREAT | O_EXCL | O_NONBLOCK), r;

    if (a[3] && copy_from_guest(&attributes, a[3], sizeof attributes) < 0)
        return -EFAULT;
    r = fd_room(); /* before a queue is made */
    if (r < 0)
        return r;
    r = find_or_create(a[0], flags, (uint32_t)a[2], a[3] ? &attributes : NULL, &d);
    if (r == 0)
        r = vfs_open_dentry(d, flags, &f);
    dentry_put(d);
    return r < 0 ? r : fd_install_or_put(f, O_CLOEXEC);
}

int64_t
sys_mq_unlink(const uint64_t a[6])
{
    UNINITIALIZED char text[VFS_PATH_MAX];
    struct dentry *d;
    int r = find_queue(a[0], text, &d);

    if (r < 0)
        return r;
    r = d ? vfs_may_delete(queues->root, d, false) : -ENOENT;
    if (r == 0)
        r = vfs_unlink(queues->root, d);
    dentry_put(d);
    return r;
}
