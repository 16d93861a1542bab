/* Inodes, dentries, mounts: objects and reference counts, permissions, attributes. */
#include <sys/inotify.h>
#include <stdio.h>

#include "base/page.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"

enum { HASH_INITIAL = 1024 };

static struct dentry **hash_table;
static size_t hash_size, hash_used;
static uint64_t next_cookie = 16; /* 0, 1: "." and ".." */
static uint32_t next_device = 0x20;
struct list mount_list = {&mount_list, &mount_list};

const struct creds *
current_creds(void)
{
    static const struct creds root;

    return this_worker.creds ? this_worker.creds : &root;
}

bool
capable(int cap)
{
    return cap >= 0 && cap < 64 && (current_creds()->cap_effective >> cap & 1);
}

uint64_t
object_number(void)
{
    static uint64_t last;

    return ++last;
}

struct timespec
timespec_now(void)
{
    uint64_t ns = clock_realtime_ns();

    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

OBJECT_POOL(dentry);
OBJECT_POOL(inode);
OBJECT_POOL(mount);
OBJECT_POOL_SHARED(superblock);

struct superblock *
superblock_new(const char *type, uint64_t magic)
{
    struct superblock *sb = OBJECT_NEW(superblock);

    if (!sb)
        return NULL;
    sb->type = sb->source = type;
    sb->magic = magic;
    sb->dev = next_device++; /* anonymous devices: major 0 */
    sb->next_ino = 2;
    return sb;
}

struct superblock *
anon_superblock(void)
{
    static struct superblock *sb;

    if (!sb)
        sb = superblock_new("anon_inodefs", 0x09041934);
    return sb;
}

/* Of inodes that have none: whoever asks for an operation finds it missing. */
const struct inode_ops OPS_TABLE(inode_ops) inode_no_ops = {0};

struct inode *
inode_new(struct superblock *sb, const struct inode_ops *ops, uint32_t mode)
{
    struct inode *i = sb ? OBJECT_NEW(inode) : NULL; /* a superblock made at first use may be missing */

    if (!i)
        return NULL;
    refcount_init(&i->refs);
    i->number = object_number();
    i->ops = ops ? ops : &inode_no_ops;
    i->sb = sb;
    i->ino = sb->next_ino++;
    i->mode = mode;
    i->nlink = 1;
    i->base_index = UINT32_MAX;
    i->atime = i->mtime = i->ctime = i->btime = timespec_now();
    list_init(&i->watches);
    list_init(&i->mappings);
    return i;
}

struct inode *
inode_get(struct inode *i)
{
    if (i)
        refcount_get(&i->refs);
    return i;
}

void
inode_put(struct inode *i)
{
    if (!i || !refcount_put(&i->refs))
        return;
    inotify_inode_gone(i);
    if (OPS(i->ops)->evict)
        OPS(i->ops)->evict(i);
    vfs_hooks.inode_evicted(i);
    OBJECT_FREE(inode, i);
}

void
inode_touch(struct inode *i)
{
    i->mtime = i->ctime = timespec_now();
}

bool
in_group(uint32_t gid)
{
    const struct creds *c = current_creds();

    if (c->fsgid == gid)
        return true;
    for (uint32_t k = 0; k < c->group_count && k < CRED_MAX_GROUPS; k++)
        if (c->groups[k] == gid)
            return true;
    return false;
}

bool
inode_owner_or_capable(const struct inode *i)
{
    return current_creds()->fsuid == i->uid || capable(CAP_FOWNER);
}

int
inode_permission(struct inode *i, int mask)
{
    uint32_t mode = i->mode;

    if (!current_task()) /* boot */
        return 0;
    if ((mask & MAY_WRITE) && i->sb->read_only && (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode)))
        return -EROFS;
    if (OPS(i->ops)->permission)
        return OPS(i->ops)->permission(i, mask);
    if (current_creds()->fsuid == i->uid)
        mode >>= 6;
    else if (in_group(i->gid))
        mode >>= 3;
    if (((uint32_t)mask & ~mode & 7) == 0)
        return 0;
    if (S_ISDIR(i->mode)) {
        if (capable(CAP_DAC_OVERRIDE) || (!(mask & MAY_WRITE) && capable(CAP_DAC_READ_SEARCH)))
            return 0;
        return -EACCES;
    }
    if (mask == MAY_READ && capable(CAP_DAC_READ_SEARCH))
        return 0;
    if ((!(mask & MAY_EXEC) || (i->mode & 0111)) && capable(CAP_DAC_OVERRIDE))
        return 0;
    return -EACCES;
}

int
inode_stat(struct inode *i, struct stat *st)
{
    memset(st, 0, sizeof *st);
    st->st_dev = i->sb->dev;
    st->st_ino = i->ino;
    st->st_mode = i->mode;
    st->st_nlink = i->nlink;
    st->st_uid = i->uid;
    st->st_gid = i->gid;
    st->st_rdev = i->rdev;
    st->st_size = (off_t)i->size;
    st->st_blksize = 4096;
    st->st_blocks = S_ISREG(i->mode) ? (blkcnt_t)(PAGE_UP(i->size) / 512) : 0;
    st->st_atim = i->atime;
    st->st_mtim = i->mtime;
    st->st_ctim = i->ctime;
    return OPS(i->ops)->getattr ? OPS(i->ops)->getattr(i, st) : 0;
}

int
inode_setattr(struct inode *i, const struct iattr *a)
{
    enum { SEAL_EXEC = 0x20 }; /* F_SEAL_EXEC of newer headers */

    if (i->sb->read_only)
        return -EROFS;
    if ((i->seals & SEAL_EXEC) && (a->valid & ATTR_MODE) && ((i->mode ^ a->mode) & 0111))
        return -EPERM;
    if (OPS(i->ops)->setattr) {
        int r = OPS(i->ops)->setattr(i, a);

        if (r < 0)
            return r;
    }
    if (a->valid & ATTR_MODE)
        i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
    if (a->valid & ATTR_UID)
        i->uid = a->uid;
    if (a->valid & ATTR_GID)
        i->gid = a->gid;
    if (a->valid & ATTR_ATIME)
        i->atime = a->atime;
    if (a->valid & ATTR_MTIME)
        i->mtime = a->mtime;
    i->ctime = timespec_now();
    return 0;
}

uint32_t
inode_mode_unprivileged(const struct inode *i)
{
    uint32_t drop = S_ISUID;

    if ((i->mode & S_IXGRP) || (!in_group(i->gid) && !capable(CAP_FSETID)))
        drop |= S_ISGID;
    return i->mode & ~drop;
}

uint32_t
inode_drop_privileges(struct inode *i)
{
    struct iattr attr = {.valid = ATTR_MODE};

    if (!S_ISREG(i->mode) || !(i->mode & (S_ISUID | S_ISGID)) || !current_task() || capable(CAP_FSETID))
        return 0;
    attr.mode = inode_mode_unprivileged(i) & 07777;
    return attr.mode != (i->mode & 07777) && inode_setattr(i, &attr) == 0 ? IN_ATTRIB : 0;
}

/* --- dentries --- */

uint32_t
dentry_hash(const struct dentry *dir, const char *name, size_t length)
{
    uint64_t h = (uint64_t)(uintptr_t)dir * 0x9e3779b97f4a7c15ull;

    for (size_t k = 0; k < length; k++)
        h = (h ^ (uint8_t)name[k]) * 0x100000001b3ull;
    return (uint32_t)(h ^ (h >> 29));
}

struct dentry *
dentry_new(struct dentry *parent, const char *name, size_t length, struct inode *inode)
{
    struct dentry *d = OBJECT_NEW(dentry);

    if (!d)
        return NULL;
    d->name = d->inline_name;
    if (length >= sizeof d->inline_name && !(d->name = bytes_new(length + 1))) {
        OBJECT_FREE(dentry, d);
        return NULL;
    }
    memcpy(d->name, name, length);
    d->name[length] = '\0';
    d->name_length = (uint32_t)length;
    refcount_init(&d->refs);
    d->parent = dentry_get(parent);
    d->inode = inode_get(inode);
    d->sb = parent ? parent->sb : inode ? inode->sb : NULL;
    list_init(&d->children);
    list_init(&d->sibling);
    return d;
}

struct dentry *
dentry_get(struct dentry *d)
{
    if (d)
        refcount_get(&d->refs);
    return d;
}

void
dentry_put(struct dentry *d)
{
    while (d && refcount_put(&d->refs)) {
        struct dentry *parent = d->parent;

        if (d->inode && d->inode->nlink == 0)
            inotify_event(d->inode, IN_DELETE_SELF, NULL, 0); /* it has no names, and nobody has it open by this
                                                        one */
        inode_put(d->inode);
        if (d->name != d->inline_name)
            bytes_free(d->name);
        OBJECT_FREE(dentry, d);
        d = parent;
    }
}

static void
hash_grow(void)
{
    size_t size = hash_size ? hash_size * 2 : HASH_INITIAL;
    struct dentry **table = array_new(size, sizeof *table);

    if (!table) {
        if (!hash_table)
            abort(); /* at boot: there is nothing to serve */
        return;      /* longer chains, still right */
    }
    for (size_t k = 0; k < hash_size; k++)
        for (struct dentry *d = hash_table[k], *next; d; d = next) {
            next = d->hash_next;
            d->hash_next = table[d->hash & (size - 1)];
            table[d->hash & (size - 1)] = d;
        }
    array_free(hash_table);
    hash_table = table;
    hash_size = size;
}

struct dentry *
dentry_find(struct dentry *dir, const char *name, size_t length)
{
    uint32_t h = dentry_hash(dir, name, length);

    if (!hash_table)
        return NULL;
    for (struct dentry *d = hash_table[h & (hash_size - 1)]; d; d = d->hash_next)
        if (d->hash == h && d->parent == dir && d->name_length == length && memcmp(d->name, name, length) == 0)
            return d;
    return NULL;
}

void
dentry_insert(struct dentry *d)
{
    if (hash_used >= hash_size)
        hash_grow();
    d->hash = dentry_hash(d->parent, d->name, d->name_length);
    d->hash_next = hash_table[d->hash & (hash_size - 1)];
    hash_table[d->hash & (hash_size - 1)] = d;
    hash_used++;
    d->flags = (d->flags | DENTRY_HASHED) & ~(unsigned)DENTRY_DELETED;
    d->cookie = next_cookie++;
    list_append(&d->parent->children, &d->sibling);
    dentry_get(d);
}

void
dentry_remove(struct dentry *d)
{
    struct dentry **p;

    if (!(d->flags & DENTRY_HASHED))
        return;
    for (p = &hash_table[d->hash & (hash_size - 1)]; *p != d; p = &(*p)->hash_next)
        ;
    *p = d->hash_next;
    hash_used--;
    d->flags &= ~(unsigned)DENTRY_HASHED;
    list_remove(&d->sibling);
    dentry_put(d);
}

ssize_t
dentry_path(struct dentry *d, struct dentry *root, char *buf, size_t size)
{
    static const char deleted[] = " (deleted)";
    size_t at = size, length;
    bool gone = d->flags & DENTRY_DELETED;

    if (size < 2)
        return -ENAMETOOLONG;
    buf[--at] = '\0';
    if (gone) {
        if (at < sizeof deleted)
            return -ENAMETOOLONG;
        at -= sizeof deleted - 1;
        memcpy(buf + at, deleted, sizeof deleted - 1);
    }
    if (!d->parent && d->sb->root != d) { /* anonymous: its name is all there is */
        if (d->name_length > at)
            return -ENAMETOOLONG;
        at -= d->name_length;
        memcpy(buf + at, d->name, d->name_length);
    } else {
        size_t end = at;

        while (d != root) {
            if (!d->parent) {
                if (!d->sb->mount || !d->sb->mount->mountpoint)
                    break;
                d = d->sb->mount->mountpoint;
                continue;
            }
            if (d->name_length + 1 > at)
                return -ENAMETOOLONG;
            at -= d->name_length;
            memcpy(buf + at, d->name, d->name_length);
            buf[--at] = '/';
            d = d->parent;
        }
        if (at == end) {
            if (at == 0)
                return -ENAMETOOLONG;
            buf[--at] = '/';
        }
    }
    length = size - at - 1;
    memmove(buf, buf + at, length + 1);
    return (ssize_t)length;
}

struct vfs_news mount_news;

void
mount_changed(void)
{
    if (mount_news.count++ == 0) /* the root, before anybody looks */
        wait_queue_init(&mount_news.queue);
    wait_queue_wake(&mount_news.queue);
}

int
mount_add(struct superblock *sb, struct dentry *mountpoint)
{
    static int next_id = 20;
    struct mount *m = OBJECT_NEW(mount);

    if (!m)
        return -ENOMEM;
    m->id = next_id++;
    m->sb = sb;
    m->root = dentry_get(sb->root);
    m->mountpoint = dentry_get(mountpoint);
    sb->mount = m;
    if (mountpoint)
        mountpoint->mounted = m;
    list_append(&mount_list, &m->link);
    mount_changed();
    return 0;
}
