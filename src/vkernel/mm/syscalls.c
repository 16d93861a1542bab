/* System calls on memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/file.h"
#include "vkernel/fs/vfs.h"
#include "vkernel/mm/mm_internal.h"
#include "vkernel/proc/process.h"

/* Two open files of one inode back the same shared memory. */
uint64_t
mm_file_number(const struct vma *v)
{
    return v->file->inode ? v->file->inode->number : 0;
}

bool
mm_beyond_file(const struct vma *v, uint64_t address)
{
    return address >= mm_backed_end(v) ||
           (v->kind == VMA_FILE && !v->bounded && v->offset + (address - v->start) >= PAGE_UP(file_size(v->file)));
}

/* libffi maps a memfd of this name twice, to write and to execute, and puts nothing but trampolines there, which need no
 * executable memory (proc/trampoline.c). */
static bool
holds_trampolines(const struct file *file)
{
    return file->dentry && strcmp(file->dentry->name, "/memfd:libffi") == 0;
}

/* Would private writable memory be more than RLIMIT_DATA? */
static bool
over_data_limit(const struct mm *mm, uint64_t more)
{
    rlim_t limit = current_process()->rlimits[RLIMIT_DATA].rlim_cur;
    uint64_t data = 0;

    if (limit == RLIM_INFINITY || !more)
        return false;
    for (unsigned i = 0; i < mm->count; i++)
        if (!mm->vma[i].shared && (mm->vma[i].prot & PROT_WRITE) && !mm->vma[i].stack)
            data += mm->vma[i].end - mm->vma[i].start;
    return more > limit || data > limit - more;
}

/* How much of the range would count as data when it becomes writable? */
static uint64_t
becomes_data(const struct mm *mm, uint64_t address, uint64_t size)
{
    uint64_t end, sum = 0;

    if (__builtin_add_overflow(address, size, &end))
        return 0; /* refused anyway */
    for (unsigned i = 0; i < mm->count; i++) {
        const struct vma *v = &mm->vma[i];
        uint64_t from = v->start > address ? v->start : address, to = v->end < end ? v->end : end;

        if (from < to && !v->shared && !(v->prot & PROT_WRITE))
            sum += to - from;
    }
    return sum;
}

/* May so many bytes not be locked at all by one call? 0: none at all. */
static bool
over_lock_limit(uint64_t size)
{
    enum { CAP_IPC_LOCK_BIT = 14 };
    rlim_t limit = current_process()->rlimits[RLIMIT_MEMLOCK].rlim_cur;

    return (size ? size > limit : limit == 0) && !capable(CAP_IPC_LOCK_BIT);
}

int64_t
sys_mmap(const uint64_t a[6])
{
    struct mm *mm = current_process()->mm;
    uint64_t address = a[0], size = a[1], offset = a[5];
    int prot = (int)a[2], flags = (int)a[3];
    unsigned mm_flags = 0;
    FILE_REF struct file *held = NULL;
    struct file *file = NULL; /* held, or NULL for anonymous memory */

    if (offset % MM_PAGE)
        return -EINVAL;
    if (size == 0)
        return -EINVAL;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && (flags & MAP_TYPE) != MAP_SHARED &&
        (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if ((flags & MAP_TYPE) != MAP_PRIVATE)
        mm_flags |= MM_SHARED;
    if (flags & MAP_FIXED)
        mm_flags |= MM_FIXED;
    if (flags & MAP_FIXED_NOREPLACE)
        mm_flags |= MM_NOREPLACE;
    if (flags & (MAP_POPULATE | MAP_LOCKED))
        mm_flags |= MM_POPULATE;
    if ((flags & MAP_STACK) && (flags & MAP_ANONYMOUS) && (flags & MAP_TYPE) == MAP_PRIVATE)
        mm_flags |= MM_STACK;
    prot &= PROT_READ | PROT_WRITE | (mm_flags & MM_STACK ? 0 : PROT_EXEC);
    if (!(flags & MAP_ANONYMOUS)) {
        int mode;

        held = fd_get((int)a[4]);
        if (!held || (held->flags & O_PATH))
            return -EBADF;
        file = held;
        mode = file->flags & O_ACCMODE;
        if (mode == O_WRONLY || ((mm_flags & MM_SHARED) && (prot & PROT_WRITE) && mode != O_RDWR))
            return -EACCES;
        if ((mm_flags & MM_SHARED) && (prot & PROT_WRITE) && file_write_sealed(file))
            return -EPERM;
        if ((mm_flags & MM_SHARED) && holds_trampolines(file))
            prot &= ~PROT_EXEC;
        if (file->ops->maps_anonymous)
            file = NULL;
        else if (!file->ops->mmap_source)
            return -ENODEV;
        if (offset + size < offset)
            return -EOVERFLOW;
    }
    if (size > GUEST_END || (!(mm_flags & MM_SHARED) && (prot & PROT_WRITE) && over_data_limit(mm, size)))
        return -ENOMEM;
    if ((flags & MAP_LOCKED) && over_lock_limit(size))
        return -EAGAIN;
    return mm_map(mm, address, size, prot, mm_flags, file, file ? offset : 0, NULL);
}

int64_t
sys_munmap(const uint64_t a[6])
{
    return mm_unmap(current_process()->mm, a[0], a[1]);
}

int64_t
sys_mprotect(const uint64_t a[6])
{
    if (a[2] & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN | PROT_GROWSUP))
        return -EINVAL;
    if ((a[2] & PROT_WRITE) && over_data_limit(current_process()->mm, becomes_data(current_process()->mm, a[0], a[1])))
        return -ENOMEM;
    return mm_protect(current_process()->mm, a[0], a[1], (int)a[2] & (PROT_READ | PROT_WRITE | PROT_EXEC));
}

int64_t
sys_brk(const uint64_t a[6])
{
    struct mm *mm = current_process()->mm;
    uint64_t old = PAGE_UP(mm->brk), new_end = PAGE_UP(a[0]);

    if (a[0] < mm->brk_start || a[0] >= GUEST_MMAP_END)
        return (int64_t)mm->brk;
    if (new_end > old) {
        if (!mm_range_free(mm, old, new_end) ||
            over_data_limit(mm, new_end - old) ||
            mm_map(mm, old, new_end - old, PROT_READ | PROT_WRITE, MM_FIXED, NULL, 0, "[heap]") < 0)
            return (int64_t)mm->brk;
    } else if (new_end < old) {
        if (mm_unmap(mm, new_end, old - new_end) < 0)
            return (int64_t)mm->brk;
    }
    mm->brk = a[0];
    return (int64_t)mm->brk;
}

/* Appends a mapping like v for [start, end): growth in place or at the new place. */
static int
grow_mapping(struct mm *mm, const struct vma *like, uint64_t start, uint64_t end)
{
    struct vma v = *like;
    int r;

    v.offset = like->offset + (start - like->start);
    v.start = start;
    v.end = end;
    if (v.code) { /* verified anew: the file may have changed */
        int64_t at = mm_map(mm, start, end - start, v.prot, MM_FIXED | MM_NOREPLACE, v.file, v.offset, v.name);

        return at < 0 ? (int)at : 0;
    }
    r = mm_host_map(mm, &v, start, end, mm_host_prot(v.prot));
    if (r < 0)
        return r;
    if (!mm_vma_insert(mm, mm_index(mm, start), &v))
        return -ENOMEM;
    vma_refs_get(&v);
    mm->total_pages += (end - start) / MM_PAGE;
    mm_merge_around(mm, start, end);
    return 0;
}

static int64_t
move_mapping(struct mm *mm, uint64_t from, uint64_t old_size, uint64_t to, uint64_t size, bool keep)
{
    struct vma v = *mm_find(mm, from), moved;
    uint64_t kept = old_size < size ? old_size : size;
    int r;

    if (v.code)
        return -EACCES; /* code is bound to its address */
    moved = v;
    moved.offset = v.offset + (from - v.start);
    moved.start = to;
    moved.end = to + kept;
    r = platform_move(mm->base + from, mm->base + to, kept);
    if (r < 0)
        return r;
    if (!mm_vma_insert(mm, mm_index(mm, to), &moved))
        return -ENOMEM;
    vma_refs_get(&moved);
    mm->total_pages += kept / MM_PAGE;
    if (size > kept) {
        r = grow_mapping(mm, &moved, to + kept, to + size);
        if (r < 0)
            return r;
    }
    if (keep)
        mm_host_map(mm, &v, from, from + kept, mm_host_prot(v.prot));
    else
        mm_unmap(mm, from, old_size);
    mm_merge_around(mm, to, to + size);
    return (int64_t)to;
}

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

int64_t
sys_mremap(const uint64_t a[6])
{
    struct mm *mm = current_process()->mm;
    uint64_t from = a[0], old_size = PAGE_UP(a[1]), size = PAGE_UP(a[2]), flags = a[3], to = a[4];
    struct vma *v;
    int64_t r;

    if (from % MM_PAGE || size == 0 || (flags & ~7ull) || ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE)) ||
        ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old_size != size)))
        return -EINVAL;
    if (a[1] > GUEST_END || a[2] > GUEST_END)
        return -ENOMEM;
    v = mm_find(mm, from);
    if (!v || v->start > from)
        return -EFAULT;
    if (size > old_size && mm_over_limit(mm, GUEST_END, size - old_size))
        return -ENOMEM;
    if (old_size == 0) {
        /* A second view of shared memory. */
        struct vma shared = *v;

        if (!v->shared)
            return -EINVAL;
        shared.offset += from - shared.start;
        if (!(flags & MREMAP_FIXED)) {
            r = mm_find_free(mm, 0, size);
            if (r < 0)
                return r;
            to = (uint64_t)r;
        } else if (mm_unmap(mm, to, size) < 0) {
            return -EINVAL;
        }
        shared.start = to;
        r = grow_mapping(mm, &shared, to, to + size);
        return r < 0 ? r : (int64_t)to;
    }
    if (from + old_size > v->end)
        return -EFAULT;
    if (flags & MREMAP_FIXED) {
        if (to % MM_PAGE || to >= GUEST_END || !mm_in_user_range(to, to + size) ||
            (to < from + old_size && from < to + size))
            return -EINVAL;
        r = mm_range_free(mm, to, to + size) ? 0 : mm_unmap(mm, to, size);
        if (r < 0)
            return r;
        if (!mm_split(mm, from) || !mm_split(mm, from + old_size))
            return -ENOMEM;
        return move_mapping(mm, from, old_size, to, size, (flags & MREMAP_DONTUNMAP) != 0);
    }
    if (size < old_size) {
        r = mm_unmap(mm, from + size, old_size - size);
        return r < 0 ? r : (int64_t)from;
    }
    if (size == old_size && !(flags & MREMAP_DONTUNMAP))
        return (int64_t)from;
    if (from + old_size == v->end && size > old_size && mm_range_free(mm, v->end, from + size)) {
        struct vma like = *v;

        r = grow_mapping(mm, &like, v->end, from + size);
        if (r != -ENOMEM)
            return r < 0 ? r : (int64_t)from;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    if (!mm_split(mm, from) || !mm_split(mm, from + old_size))
        return -ENOMEM;
    r = mm_find_free(mm, 0, size);
    if (r < 0)
        return r;
    return move_mapping(mm, from, old_size, (uint64_t)r, size, (flags & MREMAP_DONTUNMAP) != 0);
}

/* Calls f for each mapped part of the range; -ENOMEM when there are holes. */
static int64_t
each_part(uint64_t address, uint64_t size, int64_t (*f)(struct mm *, struct vma *, uint64_t, uint64_t, uint64_t),
          uint64_t argument)
{
    struct mm *mm = current_process()->mm;
    uint64_t at = address, end = address + PAGE_UP(size);
    bool hole = false;

    if (address % MM_PAGE || size > GUEST_END || end < address)
        return -EINVAL;
    for (unsigned i = mm_index(mm, address); at < end && i < mm->count; i++) {
        struct vma *v = &mm->vma[i];
        uint64_t stop = v->end < end ? v->end : end;
        int64_t r;

        if (v->start >= end)
            break;
        if (v->start > at) {
            hole = true;
            at = v->start;
        }
        r = f(mm, v, at, stop, argument);
        if (r < 0)
            return r;
        at = stop;
    }
    return hole || at < end ? -ENOMEM : 0;
}

static int64_t
msync_part(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, uint64_t flags)
{
    if (v->kind == VMA_FILE && v->shared)
        return platform_sync(mm->base + start, end - start, (int)flags);
    return 0;
}

int64_t
sys_msync(const uint64_t a[6])
{
    if ((a[2] & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || ((a[2] & MS_ASYNC) && (a[2] & MS_SYNC)))
        return -EINVAL;
    return each_part(a[0], a[1], msync_part, a[2]);
}

int64_t
sys_mincore(const uint64_t a[6])
{
    struct mm *mm = current_process()->mm;
    uint64_t address = a[0], pages = PAGE_UP(a[1]) / MM_PAGE;
    unsigned char vec[512];

    if (address % MM_PAGE)
        return -EINVAL;
    if (a[1] > GUEST_END || address >= GUEST_END)
        return -ENOMEM;
    while (pages) {
        uint64_t n = pages < sizeof vec ? pages : sizeof vec;
        struct vma *v = mm_find(mm, address);

        if (!v || v->start > address)
            return -ENOMEM;
        if (n > (v->end - address) / MM_PAGE)
            n = (v->end - address) / MM_PAGE;
        if (platform_resident(mm->base + address, n * MM_PAGE, vec) < 0)
            return -ENOMEM;
        if (copy_to_guest(a[2] + (address - a[0]) / MM_PAGE, vec, n) < 0)
            return -EFAULT;
        address += n * MM_PAGE;
        pages -= n;
    }
    return 0;
}

static int64_t
advise_part(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, uint64_t advice)
{
    switch (advice) {
    case MADV_DONTNEED:
        /* Verified private copies of code have no file behind them. */
        if (v->code && !v->code_stable)
            return 0;
        platform_discard(mm->base + start, end - start, MADV_DONTNEED);
        return 0;
    case MADV_FREE:
        if (v->kind != VMA_ANON)
            return -EINVAL;
        platform_discard(mm->base + start, end - start, MADV_FREE);
        return 0;
    case MADV_REMOVE:
        if (!v->shared || !(v->prot & PROT_WRITE))
            return -EINVAL;
        return platform_discard(mm->base + start, end - start, MADV_REMOVE);
    case 23: /* MADV_POPULATE_WRITE */
        if (!(v->prot & PROT_WRITE))
            return -EINVAL;
        platform_populate(mm->base + start, end - start);
        return 0;
    default:
        return 0;
    }
}

static int64_t
set_fork_flag(uint64_t address, uint64_t size, uint64_t advice)
{
    struct mm *mm = current_process()->mm;
    uint64_t end = address + PAGE_UP(size);

    if (address % MM_PAGE || size > GUEST_END || end > GUEST_END)
        return -EINVAL;
    if (!mm_split(mm, address) || !mm_split(mm, end))
        return -ENOMEM;
    for (unsigned i = mm_index(mm, address); i < mm->count && mm->vma[i].start < end; i++) {
        struct vma *v = &mm->vma[i];

        if (advice == MADV_DONTFORK || advice == MADV_DOFORK)
            v->dont_fork = advice == MADV_DONTFORK;
        else if (v->kind != VMA_ANON)
            return -EINVAL;
        else
            v->wipe_on_fork = advice == MADV_WIPEONFORK;
    }
    return 0;
}

int64_t
sys_madvise(const uint64_t a[6])
{
    switch (a[2]) {
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
        return set_fork_flag(a[0], a[1], a[2]);
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_REMOVE:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case 20: /* MADV_COLD */
    case 21: /* MADV_PAGEOUT */
    case 22: /* MADV_POPULATE_READ */
    case 23: /* MADV_POPULATE_WRITE */
        return each_part(a[0], a[1], advise_part, a[2]);
    default:
        return -EINVAL;
    }
}

static int64_t
present(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, uint64_t argument)
{
    return 0;
}

static int64_t
populate_part(struct mm *mm, struct vma *v, uint64_t start, uint64_t end, uint64_t argument)
{
    if (mm_backed_end(v) < end)
        end = mm_backed_end(v);
    if (start < end)
        platform_populate(mm->base + start, end - start);
    return 0;
}

/* Pages are brought in, and the limit is asked for each call; whether they stay is the host's business (docs/vkernel.md). */
int64_t
sys_mlock(const uint64_t a[6])
{
    if (over_lock_limit(0))
        return -EPERM;
    if (over_lock_limit(a[1]))
        return -ENOMEM;
    return each_part(PAGE_DOWN(a[0]), a[1] + a[0] % MM_PAGE, populate_part, 0);
}

int64_t
sys_mlock2(const uint64_t a[6])
{
    return a[2] & ~1ull ? -EINVAL : sys_mlock(a);
}

int64_t
sys_munlock(const uint64_t a[6])
{
    return each_part(PAGE_DOWN(a[0]), a[1] + a[0] % MM_PAGE, present, 0);
}

int64_t
sys_mlockall(const uint64_t a[6])
{
    enum { CURRENT = 1, ONFAULT = 4 };

    if (a[0] == 0 || (a[0] & ~7ull) || a[0] == ONFAULT)
        return -EINVAL;
    if (over_lock_limit(0))
        return -EPERM;
    return (a[0] & CURRENT) && over_lock_limit(current_process()->mm->total_pages * MM_PAGE) ? -ENOMEM : 0;
}

int64_t
sys_munlockall(const uint64_t a[6])
{
    return 0;
}
