/* Contents of regular files of the memory file system.
 *
 * The bytes are in one of three places: the artifact (until first written), the heap (small), or a slot of the store,
 * one big sparse memfd in which every large or mapped file owns a range of its own, so that mmap works and thousands of
 * files cost one host descriptor. */
#include "base/page.h"
#include "vkernel/fs/memfs_internal.h"

#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/platform.h"
#include "vkernel/fs/disk.h"
#include "vkernel/mm/store.h"
#include "vkernel/vfs/file.h"
#include "vkernel/fs/fs.h"
#include "vkernel/mm/mm.h"

#include <sys/mman.h>

static uint64_t
slot_offset(uint64_t slot, uint64_t offset)
{
    return store_offset(slot) + offset;
}

/* --- contents --- */

const struct artifact *
memfs_base(const struct inode *i)
{
    return i->sb->data;
}

/* What came of a copy that may be to or from guest memory. */
static ssize_t
copied(size_t done, size_t want)
{
    return done || want == 0 ? (ssize_t)done : -EFAULT;
}

static ssize_t
base_read(const struct inode *i, void *buf, size_t size, uint64_t offset)
{
    const struct artifact *a = memfs_base(i);
    const struct artifact_inode *b = artifact_inode(a, i->base_index);
    const uint8_t *data = b ? artifact_data(a, b) : NULL;

    if (!data || offset >= b->size)
        return 0;
    if (size > b->size - offset)
        size = (size_t)(b->size - offset);
    artifact_use(a, artifact_data_offset(a, b) + offset, size);
    return copied(platform_copy(buf, data + offset, size), size);
}

ssize_t
memfs_read_inode(struct inode *i, void *buf, size_t size, uint64_t offset)
{
    if (offset >= i->size)
        return 0;
    if (size > i->size - offset)
        size = (size_t)(i->size - offset);
    switch (i->kind) {
    case CONTENT_HEAP: return copied(platform_copy(buf, i->heap + offset, size), size);
    case CONTENT_BASE: return base_read(i, buf, size, offset);
    case CONTENT_SLOT: return host_pread(store_fd(), buf, size, slot_offset(i->slot, offset));
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
    p = bytes_resize(i->heap, capacity);
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
    bool from_base = i->kind == CONTENT_BASE;
    uint64_t slot;
    int r;

    if (i->kind == CONTENT_SLOT)
        return 0;
    r = store_new(&slot);
    if (r < 0)
        return r;
    if (i->kind == CONTENT_HEAP) {
        if (i->size > 0 && host_pwrite(store_fd(), i->heap, i->size, slot_offset(slot, 0)) != (ssize_t)i->size) {
            store_release(slot, i->size);
            return -ENOSPC;
        }
        bytes_free(i->heap);
        i->heap = NULL;
        i->heap_capacity = 0;
    } else {
        uint8_t *chunk = bytes_new(1 << 20);

        if (!chunk)
            r = -ENOSPC;
        for (uint64_t at = 0; r == 0 && at < i->size;) {
            ssize_t n = base_read(i, chunk, i->size - at < 1 << 20 ? (size_t)(i->size - at) : 1 << 20, at);

            if (n <= 0 || host_pwrite(store_fd(), chunk, (size_t)n, slot_offset(slot, at)) != n)
                r = n < 0 ? (int)n : -EIO;
            else
                at += (uint64_t)n;
        }
        bytes_free(chunk);
        if (r < 0) {
            store_release(slot, i->size);
            return r;
        }
    }
    i->slot = slot;
    i->kind = CONTENT_SLOT;
    if (from_base && i->mapped)
        mm_file_moved(i);
    return 0;
}

/* Makes the contents writable up to `end` bytes; the size does not change. */
static int
make_writable(struct inode *i, uint64_t end)
{
    if (i->kind == CONTENT_BASE) {
        uint8_t *heap;

        if (i->size > HEAP_MAX || i->mapped)
            return end > STORE_SLOT_SIZE ? -EFBIG : to_slot(i);
        heap = bytes_new(i->size ? i->size : 1);
        if (!heap)
            return -ENOSPC;
        if (base_read(i, heap, i->size, 0) != (ssize_t)i->size) {
            bytes_free(heap);
            return -EIO;
        }
        i->heap = heap;
        i->heap_capacity = i->size ? i->size : 1;
        i->kind = CONTENT_HEAP;
    }
    if (end > STORE_SLOT_SIZE)
        return -EFBIG;
    if (i->kind == CONTENT_HEAP)
        return end <= HEAP_MAX ? heap_reserve(i, (size_t)end) : to_slot(i);
    return 0;
}

/* What a shared mapping wrote past the end must not appear when the file grows over it. */
static void
clear_past_end(struct inode *i)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint64_t whole = PAGE_UP(i->size);

    if (!i->mapped_shared || i->kind != CONTENT_SLOT)
        return;
    if (whole > i->size)
        host_pwrite(store_fd(), zeros, (size_t)(whole - i->size), slot_offset(i->slot, i->size));
    host_punch(store_fd(), slot_offset(i->slot, whole), STORE_SLOT_SIZE - whole);
}

static void
size_changed(struct inode *i, uint64_t size)
{
    uint64_t old = i->size;

    i->size = size;
    if (i->mapped && PAGE_UP(old) != PAGE_UP(size))
        mm_file_resized(i, old, size);
}

/* A file in a slot gets a new place when it becomes empty, and what it had goes piece by piece. */
static void
leave_slot(struct inode *i)
{
    store_release(i->slot, i->size);
    i->kind = CONTENT_HEAP;
    i->sparse = false;
}

/* Does a file of this size that goes on at `next` get a page of which nothing is written? Such holes are told
 * (SEEK_HOLE), and a file has them only in the store. */
static bool
leaves_hole(const struct inode *i, uint64_t next)
{
    return PAGE_DOWN(next) > PAGE_UP(i->size);
}

/* What the image's file has is copied; what the file gets is a hole, unless a mapping may fill it. */
static int
take_for_size(struct inode *i, uint64_t size)
{
    uint64_t nothing = 0;

    if (size > STORE_SLOT_SIZE)
        return -EFBIG;
    return i->mapped_shared ? disk_take_all(i, size) : disk_take_range(i, i->size, &nothing);
}

static int
set_size(struct inode *i, uint64_t size)
{
    int r;

    if (size == 0 && i->kind == CONTENT_BASE) { /* O_TRUNC: nothing to copy up */
        i->kind = CONTENT_HEAP;
        size_changed(i, 0);
        return 0;
    }
    if (disk_limited(i) && (r = take_for_size(i, size)) < 0)
        return r;
    r = make_writable(i, size);
    if (r == 0 && size > i->size && leaves_hole(i, PAGE_UP(size)))
        r = to_slot(i);
    if (r < 0)
        return r;
    if (i->kind == CONTENT_HEAP) {
        if (size > i->size)
            memset(i->heap + i->size, 0, size - i->size);
    } else if (size == 0 && !i->mapped) {
        leave_slot(i);
    } else if (size < i->size) {
        uint64_t whole = PAGE_UP(size);
        static const uint8_t zeros[PAGE_SIZE];

        if (whole > size)
            host_pwrite(store_fd(), zeros, (size_t)(whole - size), slot_offset(i->slot, size));
        if (i->size > whole)
            host_punch(store_fd(), slot_offset(i->slot, whole), PAGE_UP(i->size - whole));
    } else if (size > i->size) {
        clear_past_end(i);
        i->sparse = true;
    }
    size_changed(i, size);
    if (disk_limited(i))
        disk_shrink(i, size);
    return 0;
}

int
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

/* Cuts the size to what there is room for. */
static int
write_prepare(struct inode *i, uint64_t offset, uint64_t *size)
{
    int r;

    if (offset + *size > STORE_SLOT_SIZE)
        return -EFBIG;
    /* A gap in a file that is mapped to be written can be filled unseen. */
    r = !disk_limited(i)                       ? 0
        : i->mapped_shared && offset > i->size ? disk_take_all(i, offset + *size)
                                               : disk_take_range(i, offset, size);
    if (r == 0)
        r = make_writable(i, offset + *size);
    if (r == 0 && offset > i->size && leaves_hole(i, offset))
        r = to_slot(i);
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
    uint64_t room = size;
    int r = write_prepare(i, offset, &room);
    ssize_t n = (ssize_t)room;

    if (r < 0)
        return r;
    size = room;
    if (i->kind == CONTENT_HEAP)
        memcpy(i->heap + offset, data, size);
    else
        n = host_pwrite(store_fd(), data, size, slot_offset(i->slot, offset));
    if (n > 0 && offset + (uint64_t)n > i->size)
        size_changed(i, offset + (uint64_t)n);
    inode_touch(i);
    return n;
}

/* Makes zeros of what there is of a range, which ends with the file's last page at the latest, and holes of whole pages. */
static int
clear_range(struct inode *i, uint64_t offset, uint64_t end)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint64_t first = PAGE_UP(offset), last = PAGE_DOWN(end);
    int r = first < last ? to_slot(i) : 0;

    if (r < 0)
        return r;
    if (i->kind == CONTENT_HEAP) {
        if (offset < i->size)
            memset(i->heap + offset, 0, (end < i->size ? end : i->size) - offset);
        return 0;
    }
    if (first >= last) {
        for (uint64_t at = offset; at < end; at += PAGE_SIZE)
            host_pwrite(store_fd(), zeros, end - at < PAGE_SIZE ? end - at : PAGE_SIZE, slot_offset(i->slot, at));
    } else {
        host_pwrite(store_fd(), zeros, first - offset, slot_offset(i->slot, offset));
        host_punch(store_fd(), slot_offset(i->slot, first), last - first);
        host_pwrite(store_fd(), zeros, end - last, slot_offset(i->slot, last));
    }
    i->sparse = true;
    if (disk_limited(i))
        disk_recount(i);
    return 0;
}

int
memfs_fallocate(struct inode *i, int mode, uint64_t offset, uint64_t size)
{
    int r;

    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) && (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
        return -EPERM;
    if (!(mode & FALLOC_FL_PUNCH_HOLE) && (i->seals & F_SEAL_GROW) && offset + size > i->size)
        return -EPERM;
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        uint64_t end = offset + size;

        if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
            return -EOPNOTSUPP;
        r = disk_limited(i) && i->kind == CONTENT_BASE ? disk_take_all(i, i->size) : 0; /* all of it is copied */
        if (r == 0)
            r = make_writable(i, i->size);
        if (r < 0)
            return r;
        if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i->size && (r = memfs_truncate(i, end)) < 0)
            return r;
        if (end > PAGE_UP(i->size))
            end = PAGE_UP(i->size);
        if (offset >= end)
            return 0;
        r = clear_range(i, offset, end);
        if (r == 0)
            inode_touch(i);
        return r;
    }
    if (offset + size > STORE_SLOT_SIZE)
        return -EFBIG;
    if (disk_limited(i) && !(mode & FALLOC_FL_KEEP_SIZE)) {
        uint64_t room = size;

        r = disk_take_range(i, offset, &room);
        if (r < 0 || room < size) /* what was taken for a part is found again when the disk is full */
            return -ENOSPC;
    }
    if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + size > i->size)
        return memfs_truncate(i, offset + size);
    return 0;
}

void
memfs_release_content(struct inode *i)
{
    bytes_free(i->heap);
    if (disk_limited(i))
        disk_give(i->charged);
    if (i->kind == CONTENT_SLOT)
        store_release(i->slot, i->mapped_shared ? STORE_SLOT_SIZE : i->size); /* a mapping may write past the end */
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
    if (!(f->flags & O_NOATIME))
        inode_accessed(i);
    return done;
}

/* Cuts a write to what the seals of a memfd allow. */
int
memfs_sealed(const struct inode *i, uint64_t pos, uint64_t *size)
{
    if (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if ((i->seals & F_SEAL_GROW) && pos + *size > i->size) {
        uint64_t whole = i->size & ~4095ull; /* Linux refuses page by page */

        if (pos >= whole)
            return -EPERM;
        *size = whole - pos;
    }
    return 0;
}

static ssize_t
memfs_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct inode *i = f->inode;
    uint64_t size = iov_total(iov, count);
    ssize_t done = 0;
    int r;

    if (size == 0)
        return 0;
    if (f->flags & O_APPEND)
        *pos = i->size;
    r = file_limit_write(*pos, &size);
    if (r == 0)
        r = memfs_sealed(i, *pos, &size);
    if (r < 0)
        return r;
    r = write_prepare(i, *pos, &size);
    if (r < 0)
        return r;
    for (int k = 0; k < count && size > 0; k++) {
        size_t part = iov[k].iov_len < size ? iov[k].iov_len : (size_t)size;
        ssize_t n;

        if (i->kind == CONTENT_HEAP)
            n = copied(platform_copy(i->heap + *pos, iov[k].iov_base, part), part);
        else
            n = host_pwrite(store_fd(), iov[k].iov_base, part, slot_offset(i->slot, *pos));
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
    return done;
}

int64_t
memfs_seek_data(struct inode *i, uint64_t offset, int whence)
{
    int64_t r;

    if (offset >= i->size)
        return -ENXIO;
    if (i->kind != CONTENT_SLOT)
        return whence == SEEK_DATA ? (int64_t)offset : (int64_t)i->size;
    r = host_seek(store_fd(), (int64_t)slot_offset(i->slot, offset), whence);
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
    case SEEK_SET: at = offset; break;
    case SEEK_CUR:
        if (__builtin_add_overflow((int64_t)f->pos, offset, &at))
            return -EINVAL;
        break;
    case SEEK_END:
        if (__builtin_add_overflow((int64_t)f->inode->size, offset, &at))
            return -EINVAL;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0)
            return -ENXIO;
        at = memfs_seek_data(f->inode, (uint64_t)offset, whence);
        if (at < 0)
            return at;
        break;
    default: return -EINVAL;
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
    const struct artifact *a = memfs_base(i);
    bool writable = file_can_write(f);
    int r;

    i->mapped = true;
    if (i->kind == CONTENT_BASE && !writable) {
        *host_fd = artifact_host_fd(a);
        *host_offset = artifact_data_offset(a, artifact_inode(a, i->base_index));
        *bounded = true;
        return 0;
    }
    /* What the guest writes then, nobody sees; and of a hole a page that is read takes memory. */
    r = disk_limited(i) ? disk_take_all(i, i->size) : 0;
    if (r == 0)
        r = make_writable(i, i->size);
    if (r == 0)
        r = to_slot(i);
    if (r < 0)
        return r;
    *host_fd = store_fd();
    *host_offset = slot_offset(i->slot, 0);
    *bounded = true;
    if (writable)
        i->mapped_shared = true;
    return 0;
}

const struct file_ops OPS_TABLE(file_ops) memfs_file_ops = {
    .name = "tmpfs",
    .read = memfs_read,
    .write = memfs_write,
    .seek = memfs_seek,
    .truncate = memfs_file_truncate,
    .mmap_source = memfs_mmap_source,
};
