/* System calls on what is mapped already: advice, synchronisation, residence, locks. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/vfs/file.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"
#include "vkernel/vfs/creds.h"

enum { COLD = 20, PAGEOUT = 21, POPULATE_READ = 22, POPULATE_WRITE = 23 }; /* MADV_* of newer headers */

/* What is done to the mapped part [start, end) of a range. choice: the system call's flags, or its advice. 0, an error,
 * or 1, which says that it is enough. It must change no mappings, and may sleep. */
typedef int64_t part_call(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int choice);

enum part_order {
    PARTS_IN_PIECES = 1, /* for work that takes the host long for many pages: others get their turn in between */
    PARTS_TO_A_HOLE = 2, /* what is behind the first hole is left alone */
};

/* Does f to each mapped part of the range, until one call returns an error, or 1, which makes the result 0. The result
 * is -ENOMEM at the end when there are holes. Others may change what is mapped meanwhile. order: of enum part_order. */
static int64_t
each_part(const struct guest_range *range, part_call *f, int choice, unsigned order)
{
    struct mm *mm = current_mm();
    uint64_t at = range->start;
    bool hole = false;

    might_sleep();
    for (const struct vma *v; at < range->end && (v = mm_find(mm, at)) && v->start < range->end;) {
        uint64_t stop = v->end < range->end ? v->end : range->end;
        int64_t r;

        if (v->start > at) {
            hole = true;
            if (order & PARTS_TO_A_HOLE)
                break;
            at = v->start;
        }
        if ((order & PARTS_IN_PIECES) && stop - at > MEMORY_PIECE)
            stop = (at + MEMORY_PIECE) & ~(uint64_t)(MEMORY_PIECE - 1);
        r = f(mm, v, at, stop, choice);
        if (r == 0 && (order & PARTS_IN_PIECES) && stop < range->end)
            r = sched_checkpoint();
        if (r != 0)
            return r < 0 ? r : 0;
        at = stop;
    }
    return hole || at < range->end ? -ENOMEM : 0;
}

/* --- msync --- */

/* The host is given an address, at which another thread may map something else before it has looked there: then what
 * was mapped there has not been written, and the file is. */
static int64_t
write_back(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end)
{
    FILE_REF struct file *f = file_get(v->file);
    uint64_t changes = mm->changes;
    uint8_t *at = mm->space.base + start;
    int r = HOST_SLEEP(platform_sync(at, end - start, MS_SYNC));

    return mm->changes == changes || !OPS(f->ops)->sync ? r : OPS(f->ops)->sync(f);
}

static int64_t
msync_part(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int flags)
{
    uint64_t stop = mm_backed_end(v) < end ? mm_backed_end(v) : end;

    if ((flags & MS_INVALIDATE) && v->locked)
        return -EBUSY;
    if (v->kind == VMA_FILE && v->shared && !v->bounded && start < stop)
        return flags & MS_SYNC ? write_back(mm, v, start, stop) : 0; /* with MS_ASYNC the host does nothing, either */
    return 0;
}

int64_t
sys_msync(const uint64_t a[6])
{
    struct guest_range range;

    if ((a[2] & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || a[0] % PAGE_SIZE ||
        ((a[2] & MS_ASYNC) && (a[2] & MS_SYNC)))
        return -EINVAL;
    if (PAGE_UP(a[1]) == 0) /* Linux's sum, which wraps */
        return 0;
    return guest_range(a[0], a[1], &range) ? each_part(&range, msync_part, (int)a[2], 0) : -ENOMEM;
}

/* --- mincore --- */

/* Of pages of one mapping. */
static int
look_within(struct mm *mm, const struct vma *v, uint64_t at, unsigned n, unsigned char *pages)
{
    if (!cow_settle(mm, at, at + n * PAGE_SIZE, false) ||
        platform_resident(mm->space.base + at, n * PAGE_SIZE, pages) < 0)
        return -ENOMEM;
    for (unsigned k = 0; k < n; k++)
        pages[k] = (pages[k] & 1 ? MM_PAGE_PRESENT : 0) | (v->kind == VMA_ANON ? 0 : MM_PAGE_FILE);
    return 0;
}

int
mm_look_at_pages(struct mm *mm, guest_addr address, unsigned count, unsigned char *pages)
{
    uint64_t end = address + (uint64_t)count * PAGE_SIZE;

    memset(pages, 0, count);
    for (const struct vma *v = mm_find(mm, address); v && v->start < end; v = vma_next(mm, v)) {
        uint64_t from = v->start > address ? v->start : address, to = v->end < end ? v->end : end;
        int r = look_within(mm, v, from, (unsigned)((to - from) / PAGE_SIZE), pages + (from - address) / PAGE_SIZE);

        if (r < 0)
            return r;
    }
    return 0;
}

int64_t
sys_mincore(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    struct guest_range range;
    unsigned char vec[512];
    guest_addr out = a[2];

    if (a[0] % PAGE_SIZE)
        return -EINVAL;
    if (!range_within(a[0], a[1], TASK_SIZE))
        return -ENOMEM;
    if (!range_within(a[2], PAGE_UP(a[1]) / PAGE_SIZE, TASK_SIZE))
        return -EFAULT;
    if (a[1] == 0)
        return 0;
    if (!guest_range(a[0], a[1], &range))
        return -ENOMEM;
    for (uint64_t at = range.start; at < range.end;) {
        const struct vma *v = mm_at(mm, at);
        uint64_t n = (range.end - at) / PAGE_SIZE;

        if (!v)
            return -ENOMEM;
        if (n > sizeof vec)
            n = sizeof vec;
        if (n > (v->end - at) / PAGE_SIZE)
            n = (v->end - at) / PAGE_SIZE;
        if (!cow_settle(mm, at, at + n * PAGE_SIZE, false) ||
            platform_resident(mm->space.base + at, n * PAGE_SIZE, vec) < 0)
            return -ENOMEM;
        if (copy_to_guest(out, vec, n) < 0)
            return -EFAULT;
        out += n;
        at += n * PAGE_SIZE;
    }
    return 0;
}

/* --- madvise --- */

static int64_t
populate(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, bool write)
{
    if (!(v->prot & (write ? PROT_WRITE : PROT_READ)))
        return -EINVAL;
    if (write && !mm_populate(mm, v, start, end))
        return 1;
    return mm_backed_end(v) < end ? -EFAULT : 0;
}

static int64_t
remove_part(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end)
{
    uint64_t stop = mm_backed_end(v) < end ? mm_backed_end(v) : end;

    if (v->locked || v->kind == VMA_ANON)
        return -EINVAL;
    if (!v->shared || (v->kind == VMA_FILE && (v->file->flags & 3 /* O_ACCMODE */) != 2 /* O_RDWR */))
        return -EACCES;
    if (v->kind == VMA_FILE && file_write_sealed(v->file))
        return -EPERM;
    return start < stop ? platform_discard(mm->space.base + start, stop - start, MADV_REMOVE) : 0;
}

/* Would advice that takes bytes away, from here or from a child, break the seal of a mapping whose bytes the guest cannot
 * write itself? */
static bool
breaks_seal(const struct vma *v)
{
    return v->sealed && v->kind == VMA_ANON && !(v->prot & PROT_WRITE);
}

/* Pages that are new at the next access, or may be. A view's host pages are those of a file, which a
 * discard would show again. */
static int64_t
discard(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int advice)
{
    if (breaks_seal(v))
        return -EPERM;
    if (!(v->prot & PROT_WRITE))
        mm_changed(mm);
    if (v->kind != VMA_ANON || !cow_any(mm, start, end))
        return platform_discard(mm->space.base + start, end - start, advice);
    return cow_forget(mm, start, end) ? mm_host_map(mm, v, start, end, mm_host_prot(v->prot)) : -ENOMEM;
}

static int64_t
advise_part(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int advice)
{
    switch (advice) {
    case MADV_DONTNEED:
        if (v->locked)
            return -EINVAL;
        return discard(mm, v, start, end, MADV_DONTNEED);
    case MADV_FREE:
        if (v->kind != VMA_ANON || v->locked)
            return -EINVAL;
        return discard(mm, v, start, end, MADV_FREE);
    case MADV_REMOVE: return remove_part(mm, v, start, end);
    case COLD:
    case PAGEOUT: return v->locked ? -EINVAL : 0;
    case POPULATE_READ:
    case POPULATE_WRITE: return populate(mm, v, start, end, advice == POPULATE_WRITE);
    default: return 0;
    }
}

static void
set_locked(struct mm *mm, struct vma *v, bool on)
{
    mm_account(mm, v, false);
    v->locked = on;
    mm_account(mm, v, true);
}

enum flag { DONT_FORK, WIPE_ON_FORK, LOCKED, SEALED };

/* Sets a flag of all mappings in the range; -ENOMEM at the end when there are holes. */
static int64_t
set_flag(struct mm *mm, const struct guest_range *range, enum flag flag, bool on)
{
    uint64_t at = range->start;
    int64_t r = 0;
    bool hole = false;

    if (!mm_split(mm, range->start) || !mm_split(mm, range->end))
        return -ENOMEM;
    mm_changed(mm);
    for (struct vma *v = mm_find(mm, at); r == 0 && v && v->start < range->end; v = vma_next(mm, v)) {
        hole |= v->start > at;
        if (hole && flag == LOCKED)
            break; /* these end at the first */
        at = v->end;
        if (on && flag != LOCKED && flag != SEALED && breaks_seal(v)) {
            r = -EPERM;
        } else if (flag == DONT_FORK) {
            v->dont_fork = on;
        } else if (flag == LOCKED) {
            set_locked(mm, v, on);
        } else if (flag == SEALED) {
            v->sealed = on;
        } else if (on && v->kind != VMA_ANON) {
            r = -EINVAL;
        } else {
            v->wipe_on_fork = on;
        }
    }
    mm_merge_around(mm, range->start, range->end);
    return r < 0 ? r : hole || at < range->end ? -ENOMEM : 0;
}

int64_t
sys_madvise(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    struct guest_range range;
    bool known = a[2] <= MADV_WILLNEED || a[2] == MADV_DONTNEED || (a[2] >= MADV_FREE && a[2] <= MADV_KEEPONFORK) ||
                 (a[2] >= COLD && a[2] <= POPULATE_WRITE);

    if (!known || a[0] % PAGE_SIZE)
        return -EINVAL;
    if ((a[1] && PAGE_UP(a[1]) == 0) || !range_within(a[0], PAGE_UP(a[1]), UINT64_MAX))
        return -EINVAL;
    if (a[1] == 0)
        return 0;
    if (!guest_range(a[0], a[1], &range))
        return -ENOMEM;
    switch (a[2]) {
    case MADV_DONTFORK:
    case MADV_DOFORK: return set_flag(mm, &range, DONT_FORK, a[2] == MADV_DONTFORK);
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK: return set_flag(mm, &range, WIPE_ON_FORK, a[2] == MADV_WIPEONFORK);
    case POPULATE_READ:
    case POPULATE_WRITE: return each_part(&range, advise_part, (int)a[2], PARTS_IN_PIECES | PARTS_TO_A_HOLE);
    default: return each_part(&range, advise_part, (int)a[2], PARTS_IN_PIECES);
    }
}

/* --- locks: which pages stay in memory is the host's to say, but the limits and results are Linux's --- */

bool
mm_can_lock(void)
{
    return this_worker.rlimits[RLIMIT_MEMLOCK].rlim_cur > 0 || capable(CAP_IPC_LOCK);
}

static bool
lock_fits(uint64_t bytes)
{
    return bytes <= this_worker.rlimits[RLIMIT_MEMLOCK].rlim_cur || capable(CAP_IPC_LOCK);
}

bool
mm_may_lock(const struct mm *mm, const struct vma *like, uint64_t more)
{
    return (like && !like->locked) || lock_fits(mm->locked_pages * PAGE_SIZE + more);
}

/* How many bytes of the range are locked. */
static uint64_t
locked_within(struct mm *mm, const struct guest_range *range)
{
    uint64_t total = 0;

    for (const struct vma *v = mm_find(mm, range->start); v && v->start < range->end; v = vma_next(mm, v)) {
        uint64_t start = v->start > range->start ? v->start : range->start;

        if (v->locked)
            total += (v->end < range->end ? v->end : range->end) - start;
    }
    return total;
}

/* Whole pages around the bytes. */
static int
lock_range(uint64_t address, uint64_t size, struct guest_range *range)
{
    uint64_t whole = PAGE_UP(size + address % PAGE_SIZE), end; /* the sum may wrap, as Linux's */

    if (!checked_add(PAGE_DOWN(address), whole, &end))
        return -EINVAL;
    return guest_range(PAGE_DOWN(address), whole, range) ? 0 : -ENOMEM;
}

static int64_t
bring_in(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int choice)
{
    if (!mm_populate(mm, v, start, end))
        return 1;
    return v->prot == PROT_NONE || mm_backed_end(v) < end ? -ENOMEM : 0;
}

static int64_t
lock(uint64_t address, uint64_t size, bool on_fault)
{
    struct mm *mm = current_mm();
    struct guest_range range;
    int64_t r;

    if (!mm_can_lock())
        return -EPERM;
    r = lock_range(address, size, &range);
    if (r < 0 || range.start == range.end)
        return r;
    if (!lock_fits(mm->locked_pages * PAGE_SIZE - locked_within(mm, &range) + (range.end - range.start)))
        return -ENOMEM;
    r = set_flag(mm, &range, LOCKED, true);
    return r < 0 || on_fault ? r : each_part(&range, bring_in, 0, PARTS_IN_PIECES);
}

int64_t
sys_mlock(const uint64_t a[6])
{
    return lock(a[0], a[1], false);
}

/* Goes on behind what cannot be brought in. */
static int64_t
bring_in_some(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int choice)
{
    return !mm_populate(mm, v, start, end);
}

void
mm_bring_in(uint64_t start, uint64_t size)
{
    each_part(&(struct guest_range){start, start + size}, bring_in_some, 0, PARTS_IN_PIECES);
}

int64_t
sys_mlock2(const uint64_t a[6])
{
    return a[2] & ~(uint64_t)MLOCK_ONFAULT ? -EINVAL : lock(a[0], a[1], a[2] & MLOCK_ONFAULT);
}

int64_t
sys_munlock(const uint64_t a[6])
{
    struct guest_range range;
    int r = lock_range(a[0], a[1], &range);

    return r < 0 || range.start == range.end ? r : set_flag(current_mm(), &range, LOCKED, false);
}

static void
lock_all(struct mm *mm, bool on)
{
    mm_changed(mm);
    MM_EACH(v, mm)
        set_locked(mm, v, on);
}

int64_t
sys_mlockall(const uint64_t a[6])
{
    struct mm *mm = current_mm();

    if (a[0] == 0 || (a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || a[0] == MCL_ONFAULT)
        return -EINVAL;
    if (!mm_can_lock())
        return -EPERM;
    if ((a[0] & MCL_CURRENT) && !lock_fits(mm->total_pages * PAGE_SIZE))
        return -ENOMEM;
    mm->lock_future = (a[0] & MCL_FUTURE) != 0;
    mm->lock_on_fault = (a[0] & MCL_ONFAULT) != 0;
    if (!(a[0] & MCL_CURRENT))
        return 0;
    lock_all(mm, true);
    if (!(a[0] & MCL_ONFAULT))
        mm_bring_in(0, GUEST_END);
    return 0;
}

int64_t
sys_munlockall(const uint64_t a[6])
{
    struct mm *mm = current_mm();

    mm->lock_future = false;
    lock_all(mm, false);
    return 0;
}

/* --- mseal --- */

bool
mm_is_sealed(struct mm *mm, uint64_t start, uint64_t end)
{
    const struct vma *v = mm->sealed ? mm_find(mm, start) : NULL;

    for (; v && v->start < end; v = vma_next(mm, v))
        if (v->sealed)
            return true;
    return false;
}

static int64_t
any_part(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int choice)
{
    return 0;
}

int64_t
sys_mseal(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    struct guest_range range;
    int64_t r;

    if (a[2] || a[0] % PAGE_SIZE || (a[1] && PAGE_UP(a[1]) == 0) || !range_within(a[0], PAGE_UP(a[1]), UINT64_MAX))
        return -EINVAL;
    if (a[1] == 0)
        return 0;
    if (!guest_range(a[0], a[1], &range))
        return -ENOMEM;
    r = each_part(&range, any_part, 0, PARTS_TO_A_HOLE);
    if (r < 0)
        return r;
    r = set_flag(mm, &range, SEALED, true);
    mm->sealed |= r == 0;
    return r;
}
