/* remap_file_pages(2), as Linux has emulated it since 4.0: the range becomes a mapping of its own of another part of the
 * same file or object. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm_internal.h"

/* The mapping that the range is in; it may go on in others of the same file that follow. */
static struct vma *
mapping_of(struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *v = mm_at(mm, start);
    const struct vma *next = v;

    if (!v || !v->shared)
        return NULL;
    while (next->end < end) {
        const struct vma *after = vma_next(mm, next);

        if (!after || after->start != next->end || after->file != v->file || after->shm != v->shm ||
            after->prot != v->prot || after->shared != v->shared || after->locked != v->locked)
            return NULL;
        next = after;
    }
    return v;
}

static int64_t
map_again(struct mm *mm, const struct vma *found, uint64_t start, uint64_t end, uint64_t offset)
{
    VMA_SNAPSHOT(v, found);
    struct vma next = v;
    int64_t r;

    if (v.kind == VMA_FILE) {
        r = mm_map(mm, start, end - start, v.prot, MM_FIXED | MM_SHARED | (v.locked ? MM_LOCKED : 0), v.file, offset,
                   v.name);
        return r < 0 ? r : 0;
    }
    next.start = start;
    next.end = end;
    next.offset = offset;
    r = mm_unmap(mm, start, end - start);
    return r < 0 ? r : mm_establish(mm, &next, NULL);
}

int64_t
sys_remap_file_pages(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    uint64_t start = PAGE_DOWN(a[0]), size = PAGE_DOWN(a[1]), offset, end;
    struct vma *v;
    int64_t r;

    if (a[2] || !checked_add(start, size, &end) || end <= start)
        return -EINVAL;
    v = a[3] + size / PAGE_SIZE < a[3] ? NULL : mapping_of(mm, start, end);
    if (!v)
        return -EINVAL;
    if (a[3] > INT64_MAX / PAGE_SIZE - size / PAGE_SIZE)
        return -EOVERFLOW;
    offset = a[3] * PAGE_SIZE;
    if (mm_is_sealed(mm, start, end))
        return -EPERM;
    r = map_again(mm, v, start, end, offset);
    if (r == 0 && !(a[4] & MAP_NONBLOCK))
        mm_bring_in(start, size);
    return r;
}
