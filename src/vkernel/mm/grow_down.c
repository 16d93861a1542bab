/* Mappings that grow downwards: MAP_GROWSDOWN, and the main stack once a process may have more of it than it began
 * with. An access below one makes it longer (Linux: mm/mmap.c, expand_stack). */
#include <sys/mman.h>
#include <sys/resource.h>

#include "vkernel/mm/mm_internal.h"
#include "vkernel/worker/worker.h"

enum { GUARD_GAP = 256 * PAGE_SIZE }; /* Linux's stack_guard_gap: so much below stays free of what can be accessed */

static bool
has_room(struct mm *mm, const struct vma *v, uint64_t start)
{
    uint64_t low = start < GUEST_NULL_END + GUARD_GAP ? GUEST_NULL_END : start - GUARD_GAP;
    const struct vma *below = mm_find(mm, low);

    if (!mm_in_user_range(start, v->start) || v->end - start > this_worker.rlimits[RLIMIT_STACK].rlim_cur)
        return false;
    while (below && below->start < v->start) {
        if (below->end > start || (below->prot && !below->grows_down))
            return false;
        below = vma_next(mm, below);
    }
    return true;
}

bool
mm_grow_down(struct mm *mm, guest_addr address)
{
    uint64_t start = PAGE_DOWN(address);
    const struct vma *v = address < GUEST_END ? mm_find(mm, address) : NULL;
    unsigned flags = MM_FIXED | MM_NOREPLACE | MM_GROWS_DOWN;

    if (!v || !v->grows_down || v->start <= address || !has_room(mm, v, start) ||
        (v->locked && !mm_may_lock(mm, v, v->start - start)))
        return false;
    flags |= (v->stack ? MM_STACK : 0) | (v->locked ? MM_LOCKED : 0);
    return mm_map(mm, start, v->start - start, v->prot, flags, NULL, 0, v->name) >= 0;
}
