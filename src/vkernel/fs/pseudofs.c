/* The machinery of /proc and /sys. Inodes and dentries are made at each lookup and go with their last user; a file's
 * text is made when it is read from the start. */
#include "vkernel/fs/pseudofs.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/file.h"
#include "vkernel/worker/worker.h"

#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#include "platform/heap.h"
#include "platform/platform.h"

enum { DYNAMIC_BASE = 4096 }; /* getdents offsets: 0 ".", 1 "..", 2.. tables, then made-up names */

struct node {
    const struct pseudo *entry;
    struct pseudo_key key;
};

static const struct inode_ops OPS_TABLE(inode_ops) pseudo_inode_ops;

void
text_bytes(struct text *t, const void *data, size_t size)
{
    if (!t->data || t->size + size + 1 > t->capacity) {
        size_t capacity = t->capacity ? t->capacity : 1024;
        char *p;

        while (capacity < t->size + size + 1)
            capacity *= 2;
        p = bytes_resize(t->data, capacity);
        if (!p) {
            t->failed = true;
            return;
        }
        t->data = p;
        t->capacity = capacity;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = '\0';
}

void
text_printf(struct text *t, const char *format, ...)
{
    char small[512], *big;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n < (int)sizeof small) {
        text_bytes(t, small, n > 0 ? (size_t)n : 0);
        return;
    }
    big = bytes_new((size_t)n + 1);
    if (!big) {
        t->failed = true;
        return;
    }
    va_start(ap, format);
    vsnprintf(big, (size_t)n + 1, format, ap);
    va_end(ap);
    text_bytes(t, big, (size_t)n);
    bytes_free(big);
}

static uint64_t
node_number(const struct pseudo *e, const struct pseudo_key *k)
{
    static uint64_t secret; /* guests see inode numbers, and must not learn where our tables are */
    uint64_t h;

    while (!secret)
        platform_random(&secret, sizeof secret);
    h = ((uint64_t)(uintptr_t)e ^ secret) * 0x9e3779b97f4a7c15ull;
    h ^= (uint64_t)(unsigned)k->pid * 0xc2b2ae3d27d4eb4full;
    h ^= (uint64_t)(unsigned)k->tid * 0x165667b19e3779f9ull;
    h ^= (uint64_t)(unsigned)k->number * 0x27d4eb2f165667c5ull;
    return (h >> 16 & 0xffffffff) + 0xf0000000ull;
}

enum { LINK_SIZE = 64 }; /* of links to descriptors, as Linux says it */

OBJECT_POOL(node);
OBJECT_POOL(text);

static struct inode *
node_new(struct superblock *sb, const struct pseudo *e, const struct pseudo_key *key)
{
    struct inode *i = inode_new(sb, &pseudo_inode_ops, e->mode);
    struct node *n = OBJECT_NEW(node);
    struct process *p;

    if (!i || !n) {
        OBJECT_FREE(node, n);
        if (i) {
            i->ops = &inode_no_ops;
            inode_put(i);
        }
        return NULL;
    }
    n->entry = e;
    n->key = *key;
    i->data = n;
    i->ino = e->ino ? e->ino : node_number(e, key);
    if (S_ISDIR(e->mode))
        i->nlink = 2;
    if (e->link_mode) {
        i->mode = S_IFLNK | OPS(e)->link_mode(key);
        i->size = LINK_SIZE;
    }
    p = key->pid && current_task() ? process_find(key->pid) : NULL;
    /* What others may not look into is root's. */
    if (p && (p->dumpable || e->mode == (S_IFDIR | 0555))) {
        i->uid = p->creds.euid;
        i->gid = p->creds.egid;
    }
    return i;
}

static int
make_dentry(struct dentry *dir, const char *name, size_t length, const struct pseudo *e, const struct pseudo_key *key,
            struct dentry **out)
{
    struct inode *i = node_new(dir->sb, e, key);

    if (!i)
        return -ENOMEM;
    *out = dentry_new(dir, name, length, i);
    inode_put(i);
    return *out ? 0 : -ENOMEM;
}

static int
pseudo_lookup(struct dentry *dir, const char *name, size_t length, struct dentry **out)
{
    const struct node *n = dir->inode->data;
    struct pseudo_key key = n->key;
    char copy[VFS_NAME_MAX + 1];

    for (const struct pseudo *e = OPS(n->entry)->children; e && e->mode; e++)
        if (strlen(e->name) == length && memcmp(e->name, name, length) == 0)
            return make_dentry(dir, name, length, e, &key, out);
    if (!OPS(n->entry)->find || length > VFS_NAME_MAX)
        return -ENOENT;
    memcpy(copy, name, length);
    copy[length] = '\0';
    if (OPS(n->entry)->find(&n->key, copy, &key) < 0)
        return -ENOENT;
    return make_dentry(dir, name, length, OPS(n->entry)->dynamic, &key, out);
}

/* Asked whenever the process is looked at, not when the file is opened: it may have become another's since, by exec or
 * as its number was used again. */
static bool
may_look(const struct node *n)
{
    struct process *p = OPS(n->entry)->is_private && n->key.pid ? process_find(n->key.pid) : NULL;

    return !p || process_may_look(p, LOOK_FILES);
}

static ssize_t
pseudo_readlink(struct dentry *d, char *buf, size_t size)
{
    const struct node *n = d->inode->data;

    if (OPS(n->entry)->text) {
        size_t length = strlen(OPS(n->entry)->text);

        length = length < size ? length : size;
        memcpy(buf, OPS(n->entry)->text, length);
        return (ssize_t)length;
    }
    if (!may_look(n))
        return -EACCES;
    return OPS(n->entry)->readlink(&n->key, buf, size);
}

static int
pseudo_follow(struct dentry *d, struct dentry **out)
{
    const struct node *n = d->inode->data;

    if (!OPS(n->entry)->follow)
        return -EOPNOTSUPP;
    return may_look(n) ? OPS(n->entry)->follow(&n->key, out) : -EACCES;
}

static void
pseudo_evict(struct inode *i)
{
    OBJECT_FREE(node, i->data);
}

static int
pseudo_permission(struct inode *i, int mask)
{
    const struct node *n = i->data;
    uint32_t mode = i->mode;

    if (S_ISLNK(mode))
        return 0;
    if (S_ISDIR(mode) && OPS(n->entry)->is_private && n->key.pid == current_process()->pid)
        return 0; /* a process's own descriptors, whoever it is by now */
    if (!S_ISDIR(mode) && !may_look(n))
        return -EACCES;
    if (current_creds()->fsuid == i->uid)
        mode >>= 6;
    else if (in_group(i->gid))
        mode >>= 3;
    if (((uint32_t)mask & ~mode & 7) == 0)
        return 0;
    /* root's override, but not into files that are read-only for everybody */
    if (!capable(CAP_DAC_OVERRIDE) || ((mask & MAY_WRITE) && !S_ISDIR(i->mode) && !(i->mode & 0222)))
        return -EACCES;
    return 0;
}

/* --- files --- */

static int
regenerate(struct file *f)
{
    const struct node *n = f->inode->data;
    struct text *t = f->data;
    int r = 0;

    t->size = 0;
    t->failed = false;
    if (!may_look(n))
        return -EACCES;
    if (OPS(n->entry)->text)
        text_bytes(t, OPS(n->entry)->text, strlen(OPS(n->entry)->text));
    else if (OPS(n->entry)->show)
        r = OPS(n->entry)->show(&n->key, t);
    return r < 0 ? r : t->failed ? -ENOMEM : 0;
}

/* Straight from the entry, a piece after the other. */
static ssize_t
read_pieces(const struct node *n, const struct iovec *iov, int count, uint64_t *pos)
{
    char piece[4096];
    size_t done = 0, total = iov_total(iov, count);

    if (!may_look(n))
        return -EACCES;
    while (done < total) {
        size_t size = total - done < sizeof piece ? total - done : sizeof piece;
        ssize_t r = OPS(n->entry)->read_at(&n->key, piece, size, *pos);
        size_t copied;

        if (r <= 0)
            return done || r == 0 ? (ssize_t)done : r;
        copied = iov_scatter(iov, count, done, piece, (size_t)r);
        done += copied;
        *pos += copied;
        if (copied < (size_t)r)
            return done ? (ssize_t)done : -EFAULT;
    }
    return (ssize_t)done;
}

static ssize_t
pseudo_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    const struct node *node = f->inode->data;
    struct text *t = f->data;
    size_t n;

    if (OPS(node->entry)->read_at)
        return read_pieces(node, iov, count, pos);
    if (*pos == 0 && OPS(node->entry)->news)
        t->told = OPS(node->entry)->news->count;
    if (*pos == 0 || !t->data) {
        int r = regenerate(f);

        if (r < 0)
            return r;
    }
    if (*pos >= t->size)
        return 0;
    n = iov_scatter(iov, count, 0, t->data + *pos, t->size - (size_t)*pos);
    *pos += n;
    return n || iov_total(iov, count) == 0 ? (ssize_t)n : -EFAULT;
}

static ssize_t
pseudo_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    const struct node *n = f->inode->data;
    char buf[4096];
    size_t total = iov_total(iov, count), size = iov_gather(iov, count, 0, buf, sizeof buf - 1);
    ssize_t r;

    if (size < total && size < sizeof buf - 1)
        return -EFAULT;
    buf[size] = '\0';
    r = OPS(n->entry)->store ? OPS(n->entry)->store(&n->key, buf, size) : -EACCES;
    if (r > 0)
        *pos += (uint64_t)r;
    return r;
}

static int64_t
pseudo_seek(struct file *f, int64_t offset, int whence)
{
    if (whence != SEEK_SET && (whence != SEEK_CUR || __builtin_add_overflow((int64_t)f->pos, offset, &offset)))
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    f->pos = (uint64_t)offset;
    return offset;
}

static void
pseudo_release(struct file *f)
{
    struct text *t = f->data;

    if (t) {
        bytes_free(t->data);
        OBJECT_FREE(text, t);
    }
}

/* News are told until somebody polls for them or reads anew. Who only asks whether there are any, as a wake does, leaves
 * them for others. */
static unsigned
pseudo_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct vfs_news *news = OPS(((const struct node *)f->inode->data)->entry)->news;
    struct text *t = f->data;
    bool untold = t->told != news->count;

    poll_add(queues, count, max, &news->queue);
    if (queues)
        t->told = news->count;
    return POLLIN | POLLRDNORM | (untold ? POLLERR | POLLPRI : 0);
}

static const struct file_ops OPS_TABLE(file_ops) pseudo_file_ops = {
    .name = "proc",
    .read = pseudo_read,
    .write = pseudo_write,
    .seek = pseudo_seek,
    .release = pseudo_release,
};
static const struct file_ops OPS_TABLE(file_ops) pseudo_polled_ops = {
    .name = "proc",
    .read = pseudo_read,
    .write = pseudo_write,
    .seek = pseudo_seek,
    .poll = pseudo_poll,
    .release = pseudo_release,
};

/* --- directories --- */

static size_t
put_record(uint8_t *buf, size_t size, uint64_t ino, uint64_t next, uint32_t mode, const char *name)
{
    size_t length = strlen(name), need = (19 + length + 1 + 7) & ~(size_t)7;
    uint16_t record = (uint16_t)need;
    int64_t offset = (int64_t)next;

    if (need > size)
        return 0;
    memset(buf, 0, need);
    memcpy(buf, &ino, 8);
    memcpy(buf + 8, &offset, 8);
    memcpy(buf + 16, &record, 2);
    buf[18] = (uint8_t)IFTODT(mode);
    memcpy(buf + 19, name, length);
    return need;
}

void
pseudofs_keep_smallest(int *out, unsigned *count, unsigned max, int number)
{
    unsigned at;

    if (*count == max && number >= out[max - 1])
        return;
    if (*count < max)
        ++*count;
    for (at = *count - 1; at > 0 && out[at - 1] > number; at--)
        out[at] = out[at - 1];
    out[at] = number;
}

/* Made-up numbers that come next: asked for many at once, as each question can go through all processes; and once only
 * by one call, so that its work is that of one walk. */
struct batch {
    bool used;
    unsigned count, at;
    int numbers[256];
};

/* The entry at a position: its name, type and number; *at moves to it. False at the end. */
static bool
dir_entry(const struct node *n, struct batch *b, uint64_t *at, char name[VFS_NAME_MAX + 1], uint64_t *ino,
          uint32_t *mode)
{
    struct pseudo_key key = n->key;

    if (*at < DYNAMIC_BASE) {
        const struct pseudo *e = OPS(n->entry)->children;
        uint64_t k = *at - 2;

        for (uint64_t j = 0; e && e->mode && j < k; j++)
            e++;
        if (e && e->mode) {
            snprintf(name, VFS_NAME_MAX + 1, "%s", e->name);
            *ino = node_number(e, &key);
            *mode = e->mode;
            return true;
        }
        *at = DYNAMIC_BASE;
    }
    while (OPS(n->entry)->next) {
        int number;

        if (b->at == b->count) {
            if (b->used)
                return false;
            b->at = 0;
            b->count = OPS(n->entry)->next(&n->key, (int)(*at - DYNAMIC_BASE), b->numbers,
                                           sizeof b->numbers / sizeof b->numbers[0]);
            if (b->count == 0)
                break;
        }
        number = b->numbers[b->at++];
        *at = (uint64_t)DYNAMIC_BASE + (uint64_t)number;
        snprintf(name, VFS_NAME_MAX + 1, "%s%d", OPS(n->entry)->prefix ? n->entry->prefix : "", number);
        if (OPS(n->entry)->find(&n->key, name, &key) == 0) {
            *ino = node_number(OPS(n->entry)->dynamic, &key);
            *mode = OPS(n->entry)->dynamic->mode;
            b->used = true;
            return true;
        }
        ++*at;
    }
    return false;
}

static ssize_t
pseudo_getdents(struct file *f, void *buf, size_t size)
{
    const struct node *n = f->inode->data;
    char name[VFS_NAME_MAX + 1];
    struct batch batch = {0};
    size_t done = 0;

    for (;;) {
        uint64_t at = f->pos, ino = f->inode->ino;
        uint32_t mode = S_IFDIR;
        size_t put;

        if (at < 2)
            strcpy(name, at == 0 ? "." : "..");
        else if (!dir_entry(n, &batch, &at, name, &ino, &mode))
            return (ssize_t)done;
        put = put_record((uint8_t *)buf + done, size - done, ino, at + 1, mode, name);
        if (!put)
            return done ? (ssize_t)done : -EINVAL;
        done += put;
        f->pos = at + 1;
    }
}

static ssize_t
pseudo_dir_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    return -EISDIR;
}

static const struct file_ops OPS_TABLE(file_ops) pseudo_dir_ops = {
    .name = "dir",
    .read = pseudo_dir_read,
    .seek = pseudo_seek,
    .getdents = pseudo_getdents,
};

const struct pseudo_key *
pseudofs_directory(const struct file *f, const struct pseudo *entry)
{
    const struct node *n = f->ops == &pseudo_dir_ops ? f->inode->data : NULL;

    return n && n->entry == entry ? &n->key : NULL;
}

static int
pseudo_open(struct inode *i, struct file *f)
{
    const struct node *n = i->data;

    if (S_ISDIR(i->mode)) {
        f->ops = &pseudo_dir_ops;
        return 0;
    }
    if ((!OPS(n->entry)->show && !OPS(n->entry)->text && !OPS(n->entry)->store && !OPS(n->entry)->read_at &&
         !OPS(n->entry)->open) ||
        !may_look(n))
        return -EACCES;
    if (OPS(n->entry)->open)
        return OPS(n->entry)->open(&n->key, f);
    f->data = OBJECT_NEW(text);
    if (!f->data)
        return -ENOMEM;
    f->ops = OPS(n->entry)->news ? &pseudo_polled_ops : &pseudo_file_ops;
    if (OPS(n->entry)->news)
        ((struct text *)f->data)->told = OPS(n->entry)->news->count;
    return 0;
}

static int
pseudo_truncate(struct inode *i, uint64_t size)
{
    return 0; /* "> /proc/..." */
}

/* Names are looked up, and none is free for another. */
static int
pseudo_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
              struct dentry **out)
{
    return -ENOENT;
}

static int
pseudo_setattr(struct inode *i, const struct iattr *a)
{
    const struct node *n = i->data;

    return n->key.pid && (a->valid & ATTR_MODE) ? -EPERM : 0;
}

static const struct inode_ops OPS_TABLE(inode_ops) pseudo_inode_ops = {
    .lookup = pseudo_lookup,
    .readlink = pseudo_readlink,
    .follow = pseudo_follow,
    .open = pseudo_open,
    .permission = pseudo_permission,
    .truncate = pseudo_truncate,
    .create = pseudo_create,
    .setattr = pseudo_setattr,
    .evict = pseudo_evict,
};

struct superblock *
pseudofs_new(const char *type, uint64_t magic, const struct pseudo *root)
{
    static const struct pseudo_key none;
    struct superblock *sb = superblock_new(type, magic);
    struct inode *i = sb ? node_new(sb, root, &none) : NULL;

    if (!i)
        return NULL;
    sb->no_dev = sb->no_exec = sb->no_suid = true;
    sb->root = dentry_new(NULL, "/", 1, i);
    inode_put(i);
    return sb->root ? sb : NULL;
}

int
pseudofs_mount(struct dentry *root, const char *name, struct superblock *sb)
{
    struct dentry *d;
    int r;

    if (!sb)
        return -ENOMEM;
    r = vfs_lookup(root, name, strlen(name), &d);
    if (r == -ENOENT)
        r = OPS(root->inode->ops)->create(root, name, strlen(name), S_IFDIR | 0555, 0, NULL, &d);
    if (r < 0)
        return r;
    r = mount_add(sb, d);
    dentry_put(d);
    return r;
}
