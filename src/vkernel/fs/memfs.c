/* The memory file system: tmpfs, and the root overlay with the artifact's read-only inodes beneath. Contents of regular
 * files are in memfs_content.c. */
#include "base/page.h"
#include "vkernel/fs/fs.h"
#include "vkernel/fs/disk.h"
#include "vkernel/fs/memfs_internal.h"
#include "vkernel/ops.h"
#include "vkernel/vfs/creds.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <dirent.h>

#include "platform/heap.h"
#include "vkernel/mm/mm.h"

/* --- inodes --- */

enum {
    INODES_MAX = 1 << 22,  /* made in memory, of all memory file systems */
    EXTENTS_MAX = 1 << 12, /* that one stat looks at */
};

static unsigned inode_count;

struct inode *
memfs_inode_new(struct superblock *sb, uint32_t mode, dev_t rdev, const char *target)
{
    struct inode *i = inode_count < INODES_MAX ? inode_new(sb, &memfs_inode_ops, mode) : NULL;

    if (!i)
        return NULL;
    inode_count++;
    if (disk_limited(i)) {
        uint32_t bytes = DISK_INODE + (target ? (uint32_t)strlen(target) : 0);

        if (!disk_take(bytes)) {
            inode_put(i);
            return NULL;
        }
        i->disk_inode = bytes;
    }
    i->uid = current_creds()->fsuid;
    i->gid = current_creds()->fsgid;
    i->rdev = rdev;
    if (S_ISDIR(mode))
        i->nlink = 2;
    if (target) {
        i->target = bytes_string(target);
        i->size = strlen(target);
        if (!i->target) {
            inode_put(i);
            return NULL;
        }
    }
    return i;
}

struct base_state {
    struct inode **inodes; /* by artifact index; each holds a reference while nlink > 0 */
};
static struct base_state base_state;

static struct inode *
base_inode_get(struct superblock *sb, uint32_t index)
{
    const struct artifact *a = sb->data;
    const struct artifact_inode *b = artifact_inode(a, index);
    struct inode *i;

    if (!b)
        return NULL;
    if (base_state.inodes[index])
        return inode_get(base_state.inodes[index]);
    i = inode_new(sb, &memfs_inode_ops, b->mode);
    if (!i)
        return NULL;
    i->ino = (uint64_t)index + 2;
    i->uid = b->uid;
    i->gid = b->gid;
    i->nlink = b->nlink ? b->nlink : 1;
    i->size = S_ISREG(b->mode) ? b->size : 0;
    i->rdev = makedev(b->rdev_major, b->rdev_minor);
    i->mtime = i->ctime = i->atime = i->btime = (struct timespec){b->mtime, b->mtime_nsec};
    i->base_index = index;
    if (S_ISREG(b->mode)) {
        i->kind = b->size ? CONTENT_BASE : CONTENT_HEAP;
        if (b->size && !artifact_data(a, b))
            i->size = 0, i->kind = CONTENT_HEAP; /* a damaged artifact: an empty file rather than stray bytes */
    } else if (S_ISLNK(b->mode)) {
        i->size = strlen(artifact_symlink(a, b));
    } else if (S_ISDIR(b->mode)) {
        i->size = 4096;
        if (i->nlink < 2)
            i->nlink = 2;
    }
    base_state.inodes[index] = inode_get(i);
    return i;
}

_Static_assert(sizeof(struct dentry) + VFS_NAME_MAX + 1 <= DISK_NAME, "no name takes more");
_Static_assert(sizeof(struct inode) + DISK_NAME <= DISK_INODE, "an inode comes with its first name");

/* Is the disk charged for the name with which the inode has so many? It is for all names beyond those with which the
 * inode came: one for a new inode, the image's for one of the image. (A directory has one name, and other things are
 * counted as its links.) */
static bool
is_charged_name(const struct inode *i, uint32_t nlink)
{
    const struct artifact_inode *b;

    if (!disk_limited(i) || S_ISDIR(i->mode))
        return false;
    b = i->base_index == ARTIFACT_NONE ? NULL : artifact_inode(memfs_base(i), i->base_index);
    return nlink > (b && b->nlink ? b->nlink : 1);
}

/* Drops one name; when it was the last, also the table's pin. */
static void
drop_link(struct inode *i)
{
    if (is_charged_name(i, i->nlink))
        disk_give(DISK_NAME);
    if (i->nlink > 0)
        i->nlink--;
    i->ctime = timespec_now();
    if (i->nlink == 0 && i->base_index != ARTIFACT_NONE && base_state.inodes[i->base_index] == i) {
        base_state.inodes[i->base_index] = NULL;
        inode_put(i);
    }
}

static void
memfs_evict(struct inode *i)
{
    if (i->base_index == ARTIFACT_NONE)
        inode_count--;
    disk_give(i->disk_inode);
    bytes_free(i->target);
    memfs_release_content(i);
}

/* The base layer's inode of that name in a directory, or ARTIFACT_NONE. */
static uint32_t
base_find(struct dentry *dir, const char *name, size_t length)
{
    const struct artifact *a = dir->sb->data;
    const struct artifact_inode *b;

    if (dir->inode->base_index == ARTIFACT_NONE)
        return ARTIFACT_NONE;
    b = artifact_inode(a, dir->inode->base_index);
    return b && S_ISDIR(b->mode) ? artifact_lookup(a, b, name, length) : ARTIFACT_NONE;
}

static int
memfs_lookup(struct dentry *dir, const char *name, size_t length, struct dentry **out)
{
    uint32_t index = base_find(dir, name, length);
    struct inode *i;
    struct dentry *d;

    if (index == ARTIFACT_NONE)
        return -ENOENT;
    i = base_inode_get(dir->sb, index);
    if (!i)
        return -ENOENT;
    d = dentry_new(dir, name, length, i);
    inode_put(i);
    if (!d)
        return -ENOMEM;
    dentry_insert(d);
    *out = d;
    return 0;
}

static int
add_name(struct dentry *dir, const char *name, size_t length, struct inode *i, struct dentry **out)
{
    struct dentry *whiteout = dentry_find(dir, name, length);
    struct dentry *d = dentry_new(dir, name, length, i);

    if (!d)
        return -ENOSPC;
    if (whiteout)
        dentry_remove(whiteout);
    dentry_insert(d);
    inode_touch(dir->inode);
    if (out)
        *out = d;
    else
        dentry_put(d);
    return 0;
}

/* A new inode in a directory with the set-group-id bit has its group. */
static void
inherit_group(struct inode *i, const struct inode *dir)
{
    if (!(dir->mode & S_ISGID))
        return;
    i->gid = dir->gid;
    if (S_ISDIR(i->mode))
        i->mode |= S_ISGID;
    else if ((i->mode & S_ISGID) && (i->mode & S_IXGRP) && !in_group(i->gid) && !capable(CAP_FSETID))
        i->mode &= ~(uint32_t)S_ISGID; /* nobody gets another group's rights by a new file */
}

static int
memfs_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
             struct dentry **out)
{
    struct inode *i = memfs_inode_new(dir->sb, mode, rdev, target);
    int r;

    if (!i)
        return -ENOSPC;
    inherit_group(i, dir->inode);
    r = add_name(dir, name, length, i, out);
    if (r == 0 && S_ISDIR(mode))
        dir->inode->nlink++;
    inode_put(i);
    return r;
}

static int
memfs_link(struct inode *i, struct dentry *dir, const char *name, size_t length)
{
    enum { LINKS_MAX = 65000 }; /* as ext4's */
    bool charged = is_charged_name(i, i->nlink + 1);
    int r;

    if (i->nlink >= LINKS_MAX)
        return -EMLINK;
    if (charged && !disk_take(DISK_NAME))
        return -ENOSPC;
    r = add_name(dir, name, length, i, NULL);
    if (r == 0) {
        i->nlink++;
        i->ctime = timespec_now();
    } else if (charged) {
        disk_give(DISK_NAME);
    }
    return r;
}

static int
memfs_tmpfile(struct dentry *dir, uint32_t mode, struct inode **out)
{
    struct inode *i = memfs_inode_new(dir->sb, mode, 0, NULL);

    if (!i)
        return -ENOSPC;
    inherit_group(i, dir->inode);
    i->nlink = 0;
    *out = i;
    return 0;
}

static int
whiteout_at(struct dentry *dir, const char *name, size_t length)
{
    struct dentry *d;

    if (base_find(dir, name, length) == ARTIFACT_NONE)
        return 0;
    d = dentry_new(dir, name, length, NULL);
    if (!d)
        return -ENOSPC;
    dentry_insert(d);
    dentry_put(d);
    return 0;
}

static void
populate(struct dentry *dir)
{
    const struct artifact *a = dir->sb->data;
    const struct artifact_inode *b;
    const struct artifact_dirent *e;

    if ((dir->flags & DENTRY_POPULATED) || dir->inode->base_index == ARTIFACT_NONE)
        return;
    b = artifact_inode(a, dir->inode->base_index);
    for (uint32_t k = 0; b && (e = artifact_dirent(a, b, k)) != NULL; k++) {
        const char *name = artifact_string(a, e->name);
        size_t length = strlen(name);
        struct dentry *d;

        if (!*name || length > VFS_NAME_MAX || strchr(name, '/') || dentry_find(dir, name, length))
            continue;
        if (memfs_lookup(dir, name, length, &d) == 0)
            dentry_put(d);
    }
    dir->flags |= DENTRY_POPULATED;
}

static bool
dir_empty(struct dentry *dir)
{
    populate(dir);
    LIST_EACH(p, &dir->children)
        if (list_entry(p, struct dentry, sibling)->inode)
            return false;
    return true;
}

/* Detaches a name. The dentry lives on for those who hold it. */
static int
memfs_unlink(struct dentry *dir, struct dentry *child)
{
    struct inode *i = child->inode;
    bool is_dir = S_ISDIR(i->mode);
    int r;

    if (is_dir && !dir_empty(child))
        return -ENOTEMPTY;
    dentry_get(child);
    dentry_remove(child);
    r = whiteout_at(dir, child->name, child->name_length);
    if (r < 0) {
        dentry_insert(child);
        dentry_put(child);
        return r;
    }
    child->flags |= DENTRY_DELETED;
    if (is_dir) {
        drop_link(i);
        if (dir->inode->nlink > 2)
            dir->inode->nlink--;
    }
    drop_link(i);
    inode_touch(dir->inode);
    dentry_put(child);
    return 0;
}

static int
dentry_rename(struct dentry *d, struct dentry *dir, const char *name, size_t length)
{
    char *copy = length < sizeof d->inline_name ? d->inline_name : bytes_new(length + 1);

    if (!copy)
        return -ENOSPC;
    if (d->name != d->inline_name)
        bytes_free(d->name);
    memmove(copy, name, length);
    copy[length] = '\0';
    d->name = copy;
    d->name_length = (uint32_t)length;
    dentry_get(dir);
    dentry_put(d->parent);
    d->parent = dir;
    return 0;
}

static int
memfs_rename(struct dentry *old_dir, struct dentry *old, struct dentry *new_dir, struct dentry *new_one,
             const char *name, size_t length, unsigned flags)
{
    char old_name[VFS_NAME_MAX + 1], new_name[VFS_NAME_MAX + 1];
    size_t old_length = old->name_length;
    bool moved_dir = S_ISDIR(old->inode->mode);
    struct dentry *whiteout;
    int r;

    memcpy(old_name, old->name, old_length + 1);
    memcpy(new_name, name, length);
    new_name[length] = '\0';
    dentry_get(old);
    if (flags & RENAME_EXCHANGE) {
        bool other_dir = S_ISDIR(new_one->inode->mode);

        dentry_get(new_one);
        dentry_remove(old);
        dentry_remove(new_one);
        r = dentry_rename(old, new_dir, new_name, length);
        if (r == 0)
            r = dentry_rename(new_one, old_dir, old_name, old_length);
        dentry_insert(old);
        dentry_insert(new_one);
        if (old_dir != new_dir && moved_dir != other_dir) {
            old_dir->inode->nlink += other_dir ? 1 : -1u;
            new_dir->inode->nlink += moved_dir ? 1 : -1u;
        }
        dentry_put(new_one);
    } else {
        if (new_one && (r = memfs_unlink(new_dir, new_one)) < 0) {
            dentry_put(old);
            return r;
        }
        whiteout = dentry_find(new_dir, new_name, length);
        if (whiteout)
            dentry_remove(whiteout);
        dentry_remove(old);
        r = dentry_rename(old, new_dir, new_name, length);
        dentry_insert(old);
        if (r == 0) {
            r = whiteout_at(old_dir, old_name, old_length);
            if (moved_dir && old_dir != new_dir) {
                old_dir->inode->nlink--;
                new_dir->inode->nlink++;
            }
        }
    }
    old->inode->ctime = timespec_now();
    inode_touch(old_dir->inode);
    if (new_dir != old_dir)
        inode_touch(new_dir->inode);
    dentry_put(old);
    return r;
}

static ssize_t
memfs_readlink(struct dentry *d, char *buf, size_t size)
{
    const char *t = d->inode->target;
    size_t n;

    if (!t && d->inode->base_index != ARTIFACT_NONE) {
        const struct artifact *a = memfs_base(d->inode);

        t = artifact_symlink(a, artifact_inode(a, d->inode->base_index));
    }
    if (!t)
        return -EIO;
    inode_accessed(d->inode);
    n = strlen(t);
    if (n > size)
        n = size;
    memcpy(buf, t, n);
    return (ssize_t)n;
}

static int
memfs_open(struct inode *i, struct file *f)
{
    if (S_ISREG(i->mode))
        f->ops = &memfs_file_ops;
    else if (S_ISDIR(i->mode))
        f->ops = &memfs_dir_ops;
    else
        return vfs_hooks.open_special(i, f);
    return 0;
}

static int
memfs_getattr(struct inode *i, struct stat *st)
{
    if (S_ISDIR(i->mode) && i->base_index == ARTIFACT_NONE)
        st->st_size = 4096;
    if (S_ISREG(i->mode) && i->kind == CONTENT_SLOT && i->sparse) {
        uint64_t bytes = 0;
        unsigned extents = 0;

        for (int64_t at = 0; (at = memfs_seek_data(i, (uint64_t)at, SEEK_DATA)) >= 0;) {
            int64_t end = memfs_seek_data(i, (uint64_t)at, SEEK_HOLE);

            if (end <= at)
                break;
            if (++extents == EXTENTS_MAX) /* more would take too long: the rest counts as data */
                end = (int64_t)i->size;
            bytes += (uint64_t)(end - at);
            at = end;
        }
        st->st_blocks = (blkcnt_t)(PAGE_UP(bytes) / 512);
    }
    return 0;
}

static const struct artifact_ledger *
memfs_ledger_row(const struct inode *i)
{
    const struct artifact_inode *b;
    const struct artifact_ledger *row;

    if (i->base_index == ARTIFACT_NONE || i->kind != CONTENT_BASE)
        return NULL;
    b = artifact_inode(memfs_base(i), i->base_index);
    row = b && b->ledger != ARTIFACT_NONE ? artifact_ledger(memfs_base(i), b->ledger) : NULL;
    return row && memcmp(row->sha256, b->sha256, sizeof row->sha256) == 0 ? row : NULL;
}

const struct inode_ops OPS_TABLE(inode_ops) memfs_inode_ops = {
    .lookup = memfs_lookup,
    .create = memfs_create,
    .link = memfs_link,
    .unlink = memfs_unlink,
    .rename = memfs_rename,
    .readlink = memfs_readlink,
    .open = memfs_open,
    .getattr = memfs_getattr,
    .truncate = memfs_truncate,
    .tmpfile = memfs_tmpfile,
    .evict = memfs_evict,
    .ledger_row = memfs_ledger_row,
};

/* --- directories --- */

struct linux_dirent64 {
    uint64_t ino;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* One record; 0 when it does not fit. `next` is the offset to go on from. */
static size_t
put_dirent(uint8_t *buf, size_t size, uint64_t ino, uint64_t next, uint32_t mode, const char *name, size_t length)
{
    size_t need = (offsetof(struct linux_dirent64, name) + length + 1 + 7) & ~(size_t)7;
    struct linux_dirent64 *e = (struct linux_dirent64 *)buf;

    if (need > size)
        return 0;
    memset(buf, 0, need);
    e->ino = ino;
    e->offset = (int64_t)next;
    e->length = (uint16_t)need;
    e->type = (uint8_t)IFTODT(mode);
    memcpy(e->name, name, length);
    return need;
}

static struct dentry *
parent_place(struct dentry *d)
{
    while (!d->parent && d->sb->mount && d->sb->mount->mountpoint)
        d = d->sb->mount->mountpoint;
    return d->parent ? d->parent : d;
}

static ssize_t
memfs_getdents(struct file *f, void *buf, size_t size)
{
    struct dentry *dir = f->dentry;
    size_t done = 0, n;
    struct list *p;

    if (!(f->flags & O_NOATIME))
        inode_accessed(dir->inode);
    populate(dir);
    if (f->pos == 0) {
        n = put_dirent(buf, size, dir->inode->ino, 1, S_IFDIR, ".", 1);
        if (!n)
            return -EINVAL;
        done += n;
        f->pos = 1;
    }
    if (f->pos == 1) {
        n = put_dirent((uint8_t *)buf + done, size - done, parent_place(dir)->inode->ino, 2, S_IFDIR, "..", 2);
        if (!n)
            return done ? (ssize_t)done : -EINVAL;
        done += n;
        f->pos = 2;
    }
    /* cookies only grow along the list; resume at the first one not yet given */
    p = dir->children.next;
    if (f->data) {
        struct dentry *hint = f->data;

        if (hint->parent == dir && (hint->flags & DENTRY_HASHED) && hint->cookie < f->pos)
            p = &hint->sibling;
        dentry_put(hint);
        f->data = NULL;
    }
    for (; p != &dir->children; p = p->next) {
        struct dentry *d = list_entry(p, struct dentry, sibling);

        if (d->cookie < f->pos || !d->inode)
            continue;
        n = put_dirent((uint8_t *)buf + done, size - done, d->inode->ino, d->cookie + 1, d->inode->mode, d->name,
                       d->name_length);
        if (!n) {
            if (!done)
                return -EINVAL;
            break;
        }
        done += n;
        f->pos = d->cookie + 1;
        if (f->data)
            dentry_put(f->data);
        f->data = dentry_get(d);
    }
    return (ssize_t)done;
}

static int64_t
dir_seek(struct file *f, int64_t offset, int whence)
{
    if (whence == SEEK_CUR)
        offset += (int64_t)f->pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    f->pos = (uint64_t)offset;
    return offset;
}

static ssize_t
dir_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    return -EISDIR;
}

static void
dir_release(struct file *f)
{
    dentry_put(f->data);
}

const struct file_ops OPS_TABLE(file_ops) memfs_dir_ops = {
    .name = "dir",
    .read = dir_read,
    .seek = dir_seek,
    .getdents = memfs_getdents,
    .release = dir_release,
};

/* --- superblocks --- */

CALLBACK static int
memfs_statfs(struct superblock *sb, struct statfs *st)
{
    st->f_type = (__fsword_t)sb->magic;
    st->f_bsize = st->f_frsize = 4096;
    st->f_blocks = 16u << 20; /* 64 GiB: memory is the real limit */
    st->f_bfree = st->f_bavail = st->f_blocks - (st->f_blocks >> 4);
    if (sb->data && disk_size()) {
        st->f_blocks = disk_size() / DISK_PAGE;
        st->f_bfree = st->f_bavail = disk_left() / DISK_PAGE;
    }
    st->f_files = INODES_MAX;
    st->f_ffree = INODES_MAX - inode_count;
    st->f_namelen = VFS_NAME_MAX;
    return 0;
}

struct superblock *
memfs_new(const char *type, const struct artifact *base, uint32_t root_mode)
{
    struct superblock *sb = superblock_new(type, base ? 0x794c7630 : 0x01021994);
    struct inode *root;

    if (!sb)
        return NULL;
    sb->statfs = memfs_statfs;
    if (base && artifact_inode_count(base) > 0) {
        sb->data = (void *)(uintptr_t)base;
        sb->next_ino = (uint64_t)artifact_inode_count(base) + 2;
        base_state.inodes = array_new(artifact_inode_count(base), sizeof *base_state.inodes);
        root = base_state.inodes ? base_inode_get(sb, 0) : NULL;
        if (root && !S_ISDIR(root->mode))
            root->mode = S_IFDIR | 0755;
    } else {
        root = inode_new(sb, &memfs_inode_ops, S_IFDIR | root_mode);
        if (root) {
            root->nlink = 2;
            inode_count++;
        }
    }
    if (!root || !(sb->root = dentry_new(NULL, "/", 1, root))) {
        OBJECT_FREE(superblock, sb);
        return NULL;
    }
    inode_put(root);
    return sb;
}
