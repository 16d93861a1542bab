/* The memory file system: tmpfs, and the root overlay with the artifact's read-only inodes beneath.
 *
 * A regular file's bytes are in one of three places: the artifact (until first written), the heap (small), or a slot
 * of the store, one big sparse memfd in which every large or mapped file owns a range of its own, so that mmap works
 * and thousands of files cost one host descriptor. */
#include "vkernel/fs/vfs.h"
#include "vkernel/trust/artifact.h"

#include "platform/hostfs.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <dirent.h>

enum { HEAP_MAX = 64 * 1024, SLOT_SHIFT = 40 };
#define SLOT_SIZE  (1ull << SLOT_SHIFT)
#define SLOT_COUNT (1ull << 22)

/* --- the store --- */

static int store_fd = -1;
static uint64_t store_next;
static uint64_t *store_free;
static size_t store_free_count, store_free_capacity;

static int
slot_new(uint64_t *slot)
{
    if (store_fd < 0) {
        int fd = host_memfd("ingot-files", SLOT_SIZE * SLOT_COUNT);

        if (fd < 0)
            return -ENOSPC;
        store_fd = fd;
    }
    if (store_free_count > 0)
        *slot = store_free[--store_free_count];
    else if (store_next < SLOT_COUNT)
        *slot = store_next++;
    else
        return -ENOSPC;
    return 0;
}

static uint64_t
slot_offset(uint64_t slot, uint64_t offset)
{
    return (slot << SLOT_SHIFT) + offset;
}

static void
slot_release(uint64_t slot, uint64_t used)
{
    if (used > 0)
        host_punch(store_fd, slot_offset(slot, 0), (used + 4095) & ~4095ull);
    if (store_free_count == store_free_capacity) {
        size_t capacity = store_free_capacity ? store_free_capacity * 2 : 64;
        uint64_t *p = realloc(store_free, capacity * sizeof *p);

        if (!p)
            return; /* the number is lost, the memory is not */
        store_free = p;
        store_free_capacity = capacity;
    }
    store_free[store_free_count++] = slot;
}

/* --- contents --- */

static const struct artifact *
inode_base(const struct inode *i)
{
    return i->sb->data;
}

static ssize_t
base_read(const struct inode *i, void *buf, size_t size, uint64_t offset)
{
    const struct artifact *a = inode_base(i);
    const struct artifact_inode *b = artifact_inode(a, i->base_index);
    const uint8_t *data = b ? artifact_data(a, b) : NULL;

    if (!data || offset >= b->size)
        return 0;
    if (size > b->size - offset)
        size = (size_t)(b->size - offset);
    memcpy(buf, data + offset, size);
    return (ssize_t)size;
}

ssize_t
memfs_read_inode(struct inode *i, void *buf, size_t size, uint64_t offset)
{
    if (offset >= i->size)
        return 0;
    if (size > i->size - offset)
        size = (size_t)(i->size - offset);
    switch (i->kind) {
    case CONTENT_HEAP:
        memcpy(buf, i->heap + offset, size);
        return (ssize_t)size;
    case CONTENT_BASE:
        return base_read(i, buf, size, offset);
    case CONTENT_SLOT:
        return host_pread(store_fd, buf, size, slot_offset(i->slot, offset));
    }
    return -EIO;
}

static int
heap_reserve(struct inode *i, size_t size)
{
    size_t capacity = i->heap_capacity ? i->heap_capacity : 256;
    uint8_t *p;

    if (size <= i->heap_capacity)
        return 0;
    while (capacity < size)
        capacity *= 2;
    p = realloc(i->heap, capacity);
    if (!p)
        return -ENOSPC;
    i->heap = p;
    i->heap_capacity = capacity;
    return 0;
}

/* Moves the bytes to a slot, so that they can be large, or mapped. */
static int
to_slot(struct inode *i)
{
    uint64_t slot;
    int r;

    if (i->kind == CONTENT_SLOT)
        return 0;
    r = slot_new(&slot);
    if (r < 0)
        return r;
    if (i->kind == CONTENT_HEAP) {
        if (i->size > 0 && host_pwrite(store_fd, i->heap, i->size, slot_offset(slot, 0)) != (ssize_t)i->size) {
            slot_release(slot, i->size);
            return -ENOSPC;
        }
        free(i->heap);
        i->heap = NULL;
        i->heap_capacity = 0;
    } else {
        uint8_t *chunk = malloc(1 << 20);

        if (!chunk)
            r = -ENOSPC;
        for (uint64_t at = 0; r == 0 && at < i->size;) {
            ssize_t n = base_read(i, chunk, i->size - at < 1 << 20 ? (size_t)(i->size - at) : 1 << 20, at);

            if (n <= 0 || host_pwrite(store_fd, chunk, (size_t)n, slot_offset(slot, at)) != n)
                r = n < 0 ? (int)n : -EIO;
            else
                at += (uint64_t)n;
        }
        free(chunk);
        if (r < 0) {
            slot_release(slot, i->size);
            return r;
        }
    }
    i->slot = slot;
    i->kind = CONTENT_SLOT;
    return 0;
}

/* Makes the contents writable up to `end` bytes; the size does not change. */
static int
make_writable(struct inode *i, uint64_t end)
{
    if (i->kind == CONTENT_BASE) {
        uint8_t *heap;

        if (i->size > HEAP_MAX)
            return end > SLOT_SIZE ? -EFBIG : to_slot(i);
        heap = malloc(i->size ? i->size : 1);
        if (!heap)
            return -ENOSPC;
        if (base_read(i, heap, i->size, 0) != (ssize_t)i->size) {
            free(heap);
            return -EIO;
        }
        i->heap = heap;
        i->heap_capacity = i->size ? i->size : 1;
        i->kind = CONTENT_HEAP;
    }
    if (end > SLOT_SIZE)
        return -EFBIG;
    if (i->kind == CONTENT_HEAP)
        return end <= HEAP_MAX ? heap_reserve(i, (size_t)end) : to_slot(i);
    return 0;
}

/* What a shared mapping wrote past the end must not appear when the file grows over it. */
static void
clear_past_end(struct inode *i)
{
    static const uint8_t zeros[4096];
    uint64_t whole = (i->size + 4095) & ~4095ull;

    if (!i->mapped_shared || i->kind != CONTENT_SLOT)
        return;
    if (whole > i->size)
        host_pwrite(store_fd, zeros, (size_t)(whole - i->size), slot_offset(i->slot, i->size));
    host_punch(store_fd, slot_offset(i->slot, whole), SLOT_SIZE - whole);
}

static void
size_changed(struct inode *i, uint64_t size)
{
    uint64_t old = i->size;

    i->size = size;
    if (i->mapped && (old + 4095) / 4096 != (size + 4095) / 4096)
        mm_file_resized(i, old, size);
}

static int
set_size(struct inode *i, uint64_t size)
{
    int r;

    if (size == 0 && i->kind == CONTENT_BASE) { /* O_TRUNC: nothing to copy up */
        i->kind = CONTENT_HEAP;
        i->size = 0;
        return 0;
    }
    r = make_writable(i, size);
    if (r < 0)
        return r;
    if (i->kind == CONTENT_HEAP) {
        if (size > i->size)
            memset(i->heap + i->size, 0, size - i->size);
    } else if (size < i->size) {
        uint64_t whole = (size + 4095) & ~4095ull;
        static const uint8_t zeros[4096];

        if (whole > size)
            host_pwrite(store_fd, zeros, (size_t)(whole - size), slot_offset(i->slot, size));
        if (i->size > whole)
            host_punch(store_fd, slot_offset(i->slot, whole), (i->size - whole + 4095) & ~4095ull);
    } else if (size > i->size) {
        clear_past_end(i);
        i->sparse = true;
    }
    size_changed(i, size);
    return 0;
}

static int
memfs_truncate(struct inode *i, uint64_t size)
{
    int r;

    if (((i->seals & F_SEAL_SHRINK) && size < i->size) || ((i->seals & F_SEAL_GROW) && size > i->size))
        return -EPERM;
    r = set_size(i, size);
    if (r == 0)
        inode_touch(i);
    return r;
}

static int
write_prepare(struct inode *i, uint64_t offset, uint64_t size)
{
    int r = make_writable(i, offset + size);

    if (r < 0)
        return r;
    if (offset > i->size) {
        clear_past_end(i);
        if (i->kind == CONTENT_HEAP)
            memset(i->heap + i->size, 0, offset - i->size);
        else
            i->sparse = true;
    }
    return 0;
}

ssize_t
memfs_write_inode(struct inode *i, const void *data, size_t size, uint64_t offset)
{
    ssize_t n = (ssize_t)size;
    int r = write_prepare(i, offset, size);

    if (r < 0)
        return r;
    if (i->kind == CONTENT_HEAP)
        memcpy(i->heap + offset, data, size);
    else
        n = host_pwrite(store_fd, data, size, slot_offset(i->slot, offset));
    if (n > 0 && offset + (uint64_t)n > i->size)
        size_changed(i, offset + (uint64_t)n);
    inode_touch(i);
    return n;
}

int
memfs_fallocate(struct inode *i, int mode, uint64_t offset, uint64_t size)
{
    int r;

    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        static const uint8_t zeros[4096];
        uint64_t end = offset + size;

        if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
            return -EOPNOTSUPP;
        r = make_writable(i, i->size);
        if (r < 0)
            return r;
        if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i->size && (r = memfs_truncate(i, end)) < 0)
            return r;
        if (end > i->size)
            end = i->size;
        if (offset >= end)
            return 0;
        if (i->kind == CONTENT_HEAP) {
            memset(i->heap + offset, 0, end - offset);
        } else {
            uint64_t first = (offset + 4095) & ~4095ull, last = end & ~4095ull;

            if (first >= last) {
                for (uint64_t at = offset; at < end; at += 4096)
                    host_pwrite(store_fd, zeros, end - at < 4096 ? end - at : 4096, slot_offset(i->slot, at));
            } else {
                host_pwrite(store_fd, zeros, first - offset, slot_offset(i->slot, offset));
                host_punch(store_fd, slot_offset(i->slot, first), last - first);
                host_pwrite(store_fd, zeros, end - last, slot_offset(i->slot, last));
            }
            i->sparse = true;
        }
        inode_touch(i);
        return 0;
    }
    if (offset + size > SLOT_SIZE)
        return -EFBIG;
    if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + size > i->size)
        return memfs_truncate(i, offset + size);
    return 0;
}

/* --- open regular files --- */

static ssize_t
memfs_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct inode *i = f->inode;
    ssize_t done = 0;

    for (int k = 0; k < count; k++) {
        ssize_t n;

        if (iov[k].iov_len == 0)
            continue;
        n = memfs_read_inode(i, iov[k].iov_base, iov[k].iov_len, *pos);
        if (n < 0)
            return done ? done : n;
        *pos += (uint64_t)n;
        done += n;
        if ((size_t)n < iov[k].iov_len)
            break;
    }
    return done;
}

static ssize_t
memfs_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct inode *i = f->inode;
    uint64_t size = iov_total(iov, count), limit = current_process()->rlimits[RLIMIT_FSIZE].rlim_cur;
    ssize_t done = 0;
    int r;

    if (size == 0)
        return 0;
    if (f->flags & O_APPEND)
        *pos = i->size;
    if (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if ((i->seals & F_SEAL_GROW) && *pos + size > i->size) {
        if (*pos >= i->size)
            return -EPERM;
        size = i->size - *pos;
    }
    if (*pos + size > limit) {
        if (*pos >= limit) {
            signal_send_process(current_process(), SIGXFSZ);
            return -EFBIG;
        }
        size = limit - *pos;
    }
    r = write_prepare(i, *pos, size);
    if (r < 0)
        return r;
    for (int k = 0; k < count && size > 0; k++) {
        size_t part = iov[k].iov_len < size ? iov[k].iov_len : (size_t)size;
        ssize_t n = (ssize_t)part;

        if (i->kind == CONTENT_HEAP)
            memcpy(i->heap + *pos, iov[k].iov_base, part);
        else
            n = host_pwrite(store_fd, iov[k].iov_base, part, slot_offset(i->slot, *pos));
        if (n < 0) {
            if (done == 0)
                return n;
            break;
        }
        *pos += (uint64_t)n;
        size -= (size_t)n;
        done += n;
        if (*pos > i->size)
            size_changed(i, *pos);
        if ((size_t)n < part)
            break;
    }
    inode_touch(i);
    if ((i->mode & (S_ISUID | S_ISGID)) && !capable(CAP_FSETID)) {
        i->mode &= ~(uint32_t)S_ISUID;
        if (i->mode & S_IXGRP)
            i->mode &= ~(uint32_t)S_ISGID;
    }
    return done;
}

static int64_t
seek_data(struct inode *i, uint64_t offset, int whence)
{
    int64_t r;

    if (offset >= i->size)
        return -ENXIO;
    if (i->kind != CONTENT_SLOT)
        return whence == SEEK_DATA ? (int64_t)offset : (int64_t)i->size;
    r = host_seek(store_fd, (int64_t)slot_offset(i->slot, offset), whence);
    if (r < 0)
        return whence == SEEK_DATA ? -ENXIO : r;
    r -= (int64_t)slot_offset(i->slot, 0);
    if (r >= (int64_t)i->size)
        return whence == SEEK_DATA ? -ENXIO : (int64_t)i->size;
    return r;
}

static int64_t
memfs_seek(struct file *f, int64_t offset, int whence)
{
    int64_t at;

    switch (whence) {
    case SEEK_SET:
        at = offset;
        break;
    case SEEK_CUR:
        if (__builtin_add_overflow((int64_t)f->pos, offset, &at))
            return -EOVERFLOW;
        break;
    case SEEK_END:
        if (__builtin_add_overflow((int64_t)f->inode->size, offset, &at))
            return -EOVERFLOW;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0)
            return -ENXIO;
        at = seek_data(f->inode, (uint64_t)offset, whence);
        if (at < 0)
            return at;
        break;
    default:
        return -EINVAL;
    }
    if (at < 0)
        return -EINVAL;
    f->pos = (uint64_t)at;
    return at;
}

static int
memfs_file_truncate(struct file *f, uint64_t size)
{
    return memfs_truncate(f->inode, size);
}

static int
memfs_mmap_source(struct file *f, int *host_fd, uint64_t *host_offset, bool *bounded)
{
    struct inode *i = f->inode;
    const struct artifact *a = inode_base(i);
    bool writable = file_can_write(f);
    int r;

    if (i->kind == CONTENT_BASE && !writable) {
        *host_fd = artifact_host_fd(a);
        *host_offset = artifact_data_offset(a, artifact_inode(a, i->base_index));
        *bounded = true;
        return 0;
    }
    r = make_writable(i, i->size);
    if (r == 0)
        r = to_slot(i);
    if (r < 0)
        return r;
    *host_fd = store_fd;
    *host_offset = slot_offset(i->slot, 0);
    *bounded = true;
    i->mapped = true;
    if (writable)
        i->mapped_shared = true;
    return 0;
}

const struct file_ops memfs_file_ops = {
    .name = "tmpfs",
    .read = memfs_read,
    .write = memfs_write,
    .seek = memfs_seek,
    .truncate = memfs_file_truncate,
    .mmap_source = memfs_mmap_source,
};

/* --- inodes --- */

struct inode *
memfs_inode_new(struct superblock *sb, uint32_t mode, dev_t rdev, const char *target)
{
    struct inode *i = inode_new(sb, &memfs_inode_ops, mode);

    if (!i)
        return NULL;
    i->uid = fs_creds()->fsuid;
    i->gid = fs_creds()->fsgid;
    i->rdev = rdev;
    if (S_ISDIR(mode))
        i->nlink = 2;
    if (target) {
        i->target = strdup(target);
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

/* Drops one name; when it was the last, also the table's pin. */
static void
drop_link(struct inode *i)
{
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
    free(i->heap);
    free(i->target);
    if (i->kind == CONTENT_SLOT)
        slot_release(i->slot, i->mapped_shared ? SLOT_SIZE : i->size); /* a mapping may write past the end */
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

static int
memfs_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
             struct dentry **out)
{
    struct inode *i = memfs_inode_new(dir->sb, mode, rdev, target);
    int r;

    if (!i)
        return -ENOSPC;
    if (dir->inode->mode & S_ISGID) {
        i->gid = dir->inode->gid;
        if (S_ISDIR(mode))
            i->mode |= S_ISGID;
        else if ((mode & S_ISGID) && (mode & S_IXGRP) && !in_group(i->gid) && !capable(CAP_FSETID))
            i->mode &= ~(uint32_t)S_ISGID; /* nobody gets another group's rights by a new file */
    }
    r = add_name(dir, name, length, i, out);
    if (r == 0 && S_ISDIR(mode))
        dir->inode->nlink++;
    inode_put(i);
    return r;
}

static int
memfs_link(struct inode *i, struct dentry *dir, const char *name, size_t length)
{
    int r = add_name(dir, name, length, i, NULL);

    if (r == 0) {
        i->nlink++;
        i->ctime = timespec_now();
    }
    return r;
}

static int
memfs_tmpfile(struct dentry *dir, uint32_t mode, struct inode **out)
{
    struct inode *i = memfs_inode_new(dir->sb, mode, 0, NULL);

    if (!i)
        return -ENOSPC;
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
    char *copy = length < sizeof d->inline_name ? d->inline_name : malloc(length + 1);

    if (!copy)
        return -ENOSPC;
    if (d->name != d->inline_name)
        free(d->name);
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
        const struct artifact *a = inode_base(d->inode);

        t = artifact_symlink(a, artifact_inode(a, d->inode->base_index));
    }
    if (!t)
        return -EIO;
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
        return special_open(i, f);
    return 0;
}

static int
memfs_getattr(struct inode *i, struct stat *st)
{
    if (S_ISDIR(i->mode) && i->base_index == ARTIFACT_NONE)
        st->st_size = 4096;
    if (S_ISREG(i->mode) && i->kind == CONTENT_SLOT && i->sparse) {
        uint64_t bytes = 0;

        for (int64_t at = 0; (at = seek_data(i, (uint64_t)at, SEEK_DATA)) >= 0;) {
            int64_t end = seek_data(i, (uint64_t)at, SEEK_HOLE);

            if (end <= at)
                break;
            bytes += (uint64_t)(end - at);
            at = end;
        }
        st->st_blocks = (blkcnt_t)((bytes + 4095) / 4096 * 8);
    }
    return 0;
}

const struct inode_ops memfs_inode_ops = {
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

const struct file_ops memfs_dir_ops = {
    .name = "dir",
    .read = dir_read,
    .seek = dir_seek,
    .getdents = memfs_getdents,
    .release = dir_release,
};

/* --- superblocks --- */

static int
memfs_statfs(struct superblock *sb, struct statfs *st)
{
    st->f_type = (__fsword_t)sb->magic;
    st->f_bsize = st->f_frsize = 4096;
    st->f_blocks = 16u << 20; /* 64 GiB: memory is the real limit */
    st->f_bfree = st->f_bavail = st->f_blocks - (st->f_blocks >> 4);
    st->f_files = 1u << 22;
    st->f_ffree = st->f_files - sb->next_ino;
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
        base_state.inodes = calloc(artifact_inode_count(base), sizeof *base_state.inodes);
        root = base_state.inodes ? base_inode_get(sb, 0) : NULL;
        if (root && !S_ISDIR(root->mode))
            root->mode = S_IFDIR | 0755;
    } else {
        root = inode_new(sb, &memfs_inode_ops, S_IFDIR | root_mode);
        if (root)
            root->nlink = 2;
    }
    if (!root || !(sb->root = dentry_new(NULL, "/", 1, root))) {
        free(sb);
        return NULL;
    }
    inode_put(root);
    return sb;
}

/* --- what others ask about base files --- */

const struct artifact_ledger *
file_base_ledger(const struct file *f)
{
    const struct inode *i = f->inode;
    const struct artifact_inode *b;
    const struct artifact_ledger *row;

    if (!i || i->ops != &memfs_inode_ops || i->base_index == ARTIFACT_NONE || i->kind != CONTENT_BASE)
        return NULL;
    b = artifact_inode(inode_base(i), i->base_index);
    row = b && b->ledger != ARTIFACT_NONE ? artifact_ledger(inode_base(i), b->ledger) : NULL;
    return row && memcmp(row->sha256, b->sha256, sizeof row->sha256) == 0 ? row : NULL;
}
