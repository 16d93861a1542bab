#include "vkernel/fs/disk.h"

#include <errno.h>
#include <unistd.h>

#include "vkernel/fs/fs.h"
#include "vkernel/fs/memfs_internal.h"

static uint64_t limit; /* 0: none; set before the first guest instruction */
static uint64_t used;

void
disk_set_limit(uint64_t bytes)
{
    limit = bytes;
}

bool
disk_limited(const struct inode *i)
{
    return limit != 0 && i->ops == &memfs_inode_ops && memfs_base(i) != NULL;
}

uint64_t
disk_size(void)
{
    return limit;
}

uint64_t
disk_left(void)
{
    return used < limit ? limit - used : 0;
}

bool
disk_take(uint64_t bytes)
{
    if (bytes > disk_left())
        return false;
    used += bytes;
    return true;
}

void
disk_give(uint64_t bytes)
{
    used -= bytes < used ? bytes : used;
}

static uint64_t
pages_up(uint64_t bytes)
{
    return (bytes + DISK_PAGE - 1) & ~(uint64_t)(DISK_PAGE - 1);
}

/* After holes were made. That takes time for each extent, so that of a file with very many the rest counts as data. */
void
disk_recount(struct inode *i)
{
    enum { EXTENTS_MAX = 1 << 12 };
    uint64_t data = 0;
    unsigned extents = 0;

    if (i->kind != CONTENT_SLOT || i->mapped_shared)
        return;
    for (int64_t at = 0; (at = memfs_seek_data(i, (uint64_t)at, SEEK_DATA)) >= 0;) {
        int64_t end = ++extents == EXTENTS_MAX ? (int64_t)i->size : memfs_seek_data(i, (uint64_t)at, SEEK_HOLE);

        if (end <= at)
            break;
        data += pages_up((uint64_t)(end - at));
        at = end;
    }
    if (data >= i->charged)
        return;
    disk_give(i->charged - data);
    i->charged = data;
}

void
disk_shrink(struct inode *i, uint64_t size)
{
    uint64_t most = pages_up(size);

    if (i->charged > most) {
        disk_give(i->charged - most);
        i->charged = most;
    }
    if (i->sparse)
        disk_recount(i);
}

/* Of whole pages: how many bytes of them are holes. Behind some changes between data and hole all is taken for one. */
static uint64_t
holes_within(struct inode *i, uint64_t at, uint64_t end)
{
    enum { CHANGES_MAX = 64 };
    uint64_t sum = 0;

    if (i->kind != CONTENT_SLOT)
        return end - at;
    for (int k = 0; k < CHANGES_MAX && at < end; k++) {
        int64_t data = memfs_seek_data(i, at, SEEK_DATA), hole;
        uint64_t stop = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;

        sum += stop - at;
        if (stop == end)
            return sum;
        hole = memfs_seek_data(i, stop, SEEK_HOLE);
        at = hole < 0 ? end : pages_up((uint64_t)hole);
    }
    return at < end ? sum + (end - at) : sum;
}

/* What the file will be charged in all when the range is data. */
static uint64_t
charge_with(struct inode *i, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size > i->size ? offset + size : i->size, have = i->charged, sum;

    if (i->kind == CONTENT_BASE)
        have = pages_up(i->size); /* all of it is copied */
    if (!i->sparse && offset <= i->size)
        return pages_up(end);
    sum = have + (size ? holes_within(i, offset & ~(uint64_t)(DISK_PAGE - 1), pages_up(offset + size)) : 0);
    return sum < pages_up(end) ? sum : pages_up(end);
}

int
disk_take_range(struct inode *i, uint64_t offset, uint64_t *size)
{
    uint64_t want = charge_with(i, offset, *size), missing, end, room;

    if (want > i->charged && want - i->charged > disk_left()) {
        /* So many pages less at its end; that is too few where there are pages of the file already,
         * and so tried once. */
        missing = pages_up(want - i->charged - disk_left());
        end = pages_up(offset + *size);
        room = end > offset + missing ? end - missing - offset : 0;
        if (room == 0 || room >= *size)
            return -ENOSPC;
        want = charge_with(i, offset, room);
        if (want > i->charged && want - i->charged > disk_left())
            return -ENOSPC;
        *size = room;
    }
    if (want > i->charged) {
        used += want - i->charged;
        i->charged = want;
    }
    return 0;
}

int
disk_take_all(struct inode *i, uint64_t size)
{
    uint64_t want = pages_up(size);

    if (want <= i->charged)
        return 0;
    if (!disk_take(want - i->charged))
        return -ENOSPC;
    i->charged = want;
    return 0;
}
