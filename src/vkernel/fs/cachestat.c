/* cachestat(2): which pages of a file are in memory. Those of a file in memory that hold data are; of a volume's files
 * the host's cache is not asked, and all count. */
#include "base/page.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/fs.h"
#include "vkernel/fs/memfs_internal.h"
#include "vkernel/vfs/vfs.h"

/* Linux's struct cachestat_range and struct cachestat. */
struct range {
    uint64_t offset, length;
};
struct result {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* Who may write to a file may know what of it is in memory. */
static bool
may_ask(const struct file *f)
{
    return file_can_write(f) || !f->inode || inode_owner_or_capable(f->inode) ||
           inode_permission(f->inode, MAY_WRITE) == 0;
}

/* The pages with data in [start, end), both at pages. A guest makes as many holes as it likes, so others get their
 * turn in between. */
static uint64_t
pages_with_data(struct inode *i, uint64_t start, uint64_t end)
{
    uint64_t pages = 0;

    might_sleep();
    while (start < end) {
        int64_t data = memfs_seek_data(i, start, SEEK_DATA), hole;
        uint64_t stop;

        if (data < 0 || (uint64_t)data >= end)
            break;
        hole = memfs_seek_data(i, (uint64_t)data, SEEK_HOLE);
        stop = hole < 0 || (uint64_t)hole > end ? end : PAGE_UP((uint64_t)hole);
        pages += (stop - PAGE_DOWN((uint64_t)data)) / PAGE_SIZE;
        start = stop;
        if (sched_checkpoint() < 0)
            break;
    }
    return pages;
}

static uint64_t
pages_cached(struct file *f, const struct range *range)
{
    uint64_t size = PAGE_UP(file_size(f)), start = PAGE_DOWN(range->offset),
             end = saturating_add(range->offset, range->length);

    if (!f->inode || !S_ISREG(f->inode->mode))
        return 0;
    end = range->length == 0 || end > size ? size : PAGE_UP(end);
    if (start >= end)
        return 0;
    return f->ops == &memfs_file_ops ? pages_with_data(f->inode, start, end) : (end - start) / PAGE_SIZE;
}

int64_t
sys_cachestat(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    struct result result = {0};
    struct range range;

    if (!f || (f->flags & O_PATH))
        return -EBADF;
    if (copy_from_guest(&range, a[1], sizeof range) < 0)
        return -EFAULT;
    if (!may_ask(f))
        return -EPERM;
    if (a[3])
        return -EINVAL;
    result.cached = pages_cached(f, &range);
    return copy_to_guest(a[2], &result, sizeof result) < 0 ? -EFAULT : 0;
}
