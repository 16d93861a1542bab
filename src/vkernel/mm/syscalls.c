/* System calls that make, move and remove mappings. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"

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

enum {
    /* What MAP_SHARED_VALIDATE accepts; all that MAP_SHARED ignores. */
    LEGACY_FLAGS = MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_LOCKED |
                   MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_32BIT |
                   63 << MAP_HUGE_SHIFT,
};

/* libffi maps a memfd of this name twice, to write and to execute, and puts nothing but trampolines there, which need
 * no executable memory (run/trampoline.c). */
static bool
holds_trampolines(const struct file *file)
{
    return file->dentry && strcmp(file->dentry->name, "/memfd:libffi") == 0;
}

/* The rights that a mapping of the open file needs, and which file's pages they are: *file NULL for anonymous ones. */
static int
check_file(struct file **file, int *prot, int flags, bool shared)
{
    struct file *f = *file;
    int mode = f->flags & O_ACCMODE;

    if (shared && (flags & MAP_TYPE) == MAP_SHARED_VALIDATE && (flags & ~(LEGACY_FLAGS | MAP_TYPE)))
        return -EOPNOTSUPP;
    if (!file_can_read(f) || (shared && (*prot & PROT_WRITE) && mode != O_RDWR))
        return -EACCES;
    if (shared && (*prot & PROT_WRITE) && file_write_sealed(f))
        return -EPERM;
    if (shared && holds_trampolines(f))
        *prot &= ~PROT_EXEC;
    if (OPS(f->ops)->maps_anonymous)
        *file = NULL;
    else if (!OPS(f->ops)->mmap_source)
        return -ENODEV;
    return 0;
}

/* mlockall(MCL_FUTURE): what is mapped is brought in at once. */
static bool
brings_in(const struct mm *mm)
{
    return mm->lock_future && !mm->lock_on_fault;
}

int64_t
sys_mmap(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    uint64_t address = a[0], size = a[1], offset = a[5];
    int prot = (int)a[2], flags = (int)a[3], type = flags & MAP_TYPE, r;
    FILE_REF struct file *opened = NULL;
    struct file *file; /* opened, or NULL for anonymous memory */
    struct file_range bytes;
    unsigned mm_flags = 0;
    int64_t at;

    if (offset % PAGE_SIZE)
        return -EINVAL;
    if (!(flags & MAP_ANONYMOUS)) {
        opened = fd_get((int)a[4]);
        if (!opened || (opened->flags & O_PATH))
            return -EBADF;
    }
    if (size == 0)
        return -EINVAL;
    if (size > TASK_SIZE)
        return -ENOMEM;
    if (size > GUEST_END)
        return -ENOMEM;
    r = mm_check_place(mm, address, PAGE_UP(size),
                       (flags & MAP_FIXED ? MM_FIXED : 0) | (flags & MAP_FIXED_NOREPLACE ? MM_NOREPLACE : 0));
    if (r < 0)
        return r;
    if (opened && !file_range(offset, PAGE_UP(size), &bytes))
        return -EOVERFLOW;
    if (type != MAP_PRIVATE && type != MAP_SHARED && (type != MAP_SHARED_VALIDATE || !opened))
        return -EINVAL;
    if (flags & MAP_HUGETLB)
        return opened ? -EINVAL : -ENOMEM; /* there are no huge pages to reserve */
    if (type != MAP_PRIVATE)
        mm_flags |= MM_SHARED;
    if (flags & MAP_FIXED)
        mm_flags |= MM_FIXED;
    if (flags & MAP_FIXED_NOREPLACE)
        mm_flags |= MM_NOREPLACE;
    if (flags & MAP_LOCKED)
        mm_flags |= MM_LOCKED;
    if ((flags & MAP_STACK) && !opened && type == MAP_PRIVATE)
        mm_flags |= MM_STACK;
    if ((flags & MAP_GROWSDOWN) && !opened) {
        if (type != MAP_PRIVATE)
            return -EINVAL;
        mm_flags |= MM_GROWS_DOWN;
    }
    if ((flags & MAP_LOCKED) && !mm_can_lock())
        return -EPERM;
    if (((flags & MAP_LOCKED) || mm->lock_future) && !mm_may_lock(mm, NULL, PAGE_UP(size)))
        return -EAGAIN;
    prot &= PROT_READ | PROT_WRITE | (mm_flags & MM_STACK ? 0 : PROT_EXEC);
    file = opened;
    r = opened ? check_file(&file, &prot, flags, (mm_flags & MM_SHARED) != 0) : 0;
    if (r < 0)
        return r;
    at = mm_map(mm, address, size, prot, mm_flags, file, file ? offset : 0, NULL);
    if (at >= 0 && file && file->inode && !(file->flags & O_NOATIME))
        inode_accessed(file->inode);
    if (at >= 0 && ((flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE || (flags & MAP_LOCKED) || brings_in(mm)))
        mm_bring_in((uint64_t)at, PAGE_UP(size)); /* others get their turn, and may change what is mapped */
    return at;
}

int64_t
sys_munmap(const uint64_t a[6])
{
    struct guest_range range;

    if (a[0] % PAGE_SIZE == 0 && guest_range(a[0], a[1], &range) && mm_is_sealed(current_mm(), range.start, range.end))
        return -EPERM;
    return mm_unmap_in_pieces(current_mm(), a[0], a[1]);
}

int64_t
sys_mprotect(const uint64_t a[6])
{
    enum { PROT_SEM = 8, ALL = PROT_READ | PROT_WRITE | PROT_EXEC };
    uint64_t grows = a[2] & (PROT_GROWSDOWN | PROT_GROWSUP), prot = a[2] & ~(uint64_t)(PROT_GROWSDOWN | PROT_GROWSUP);
    struct mm *mm = current_mm();
    struct guest_range range;

    if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || a[0] % PAGE_SIZE)
        return -EINVAL;
    if (a[1] == 0)
        return 0;
    if (!guest_range(a[0], a[1], &range))
        return -ENOMEM;
    if (prot & ~(uint64_t)(ALL | PROT_SEM))
        return -EINVAL;
    if (grows) { /* what grows downwards is protected from its very beginning on; nothing grows upwards */
        const struct vma *v = mm_find(mm, a[0]);

        if (!v || v->start >= (grows == PROT_GROWSDOWN ? range.end : a[0] + 1))
            return -ENOMEM;
        if (grows != PROT_GROWSDOWN || !v->grows_down)
            return -EINVAL;
        range.start = v->start;
    }
    return mm_protect(mm, range.start, range.end - range.start, (int)prot & ALL);
}

int64_t
sys_brk(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    uint64_t old = PAGE_UP(mm->brk), new_end = PAGE_UP(a[0]);

    if (a[0] < mm->brk_start || a[0] >= GUEST_MMAP_END)
        return (int64_t)mm->brk;
    if (new_end > old) {
        if ((mm->lock_future && !mm_may_lock(mm, NULL, new_end - old)) || !mm_range_free(mm, old, new_end) ||
            mm_map(mm, old, new_end - old, PROT_READ | PROT_WRITE, MM_FIXED, NULL, 0, "[heap]") < 0)
            return (int64_t)mm->brk;
    } else if (new_end < old) {
        if (mm_is_sealed(mm, new_end, old) || mm_unmap(mm, new_end, old - new_end) < 0)
            return (int64_t)mm->brk;
    }
    mm->brk = a[0];
    if (new_end > old && brings_in(mm))
        mm_bring_in(old, new_end - old);
    return (int64_t)a[0];
}

/* --- mremap --- */

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap {
    uint64_t from, old_size, size, flags, to;
};

/* Continues the mapping `like`, which may be gone, at [start, end), which is free. */
static int
grow(struct mm *mm, const struct vma *like, uint64_t offset, uint64_t start, uint64_t end)
{
    struct vma v = *like;

    if (v.code) { /* verified anew: the file may have changed */
        int64_t at = mm_map(mm, start, end - start, v.prot, MM_FIXED | MM_NOREPLACE, v.file, offset, v.name);

        return at < 0 ? (int)at : 0;
    }
    v.offset = offset;
    v.start = start;
    v.end = end;
    return mm_establish(mm, &v, NULL);
}

/* The pages of v, to the free place `to`. Those that are the host's to move it moves; where one mapping here is several
 * there, they are copied. */
static int
move_pages(struct mm *mm, const struct vma *v, uint64_t to)
{
    struct vma at = *v;
    uint64_t backed = mm_backed_end(v) - v->start;
    int r = v->kind == VMA_ANON ? cow_flatten(mm, v->start, v->end) : 0;

    if (r == 0 && backed)
        r = platform_move(mm->space.base + v->start, mm->space.base + to, backed);
    if (r != -EFAULT)
        return r;
    at.start = to;
    at.end = to + (v->end - v->start);
    return mm_copy_mapping(mm, &at, mm, v);
}

/* [from, from + old_size), which is v alone, goes to the free place `to` and has `size` bytes there. */
static int64_t
move_mapping(struct mm *mm, struct vma *found, const struct remap *m, uint64_t to)
{
    VMA_SNAPSHOT(v, found);
    MM_STILL(mm); /* the pages may have to be copied, and both copies are there until the old one is unmapped */
    struct vma moved = v, *there;
    uint64_t kept = m->old_size < m->size ? m->old_size : m->size;
    int r = 0;

    if (v.code)
        return -EACCES; /* code is bound to its address */
    moved.start = to;
    moved.end = to + kept;
    if (m->size > kept)
        r = grow(mm, &v, v.offset + kept, to + kept, to + m->size);
    if (r < 0)
        return r;
    there = mm_vma_insert(mm, &moved);
    r = there ? move_pages(mm, &v, to) : -ENOMEM;
    if (r < 0) {
        platform_map_none(mm->space.base + to, kept); /* a part may have been copied */
        if (there)
            mm_vma_remove(mm, there);
        if (m->size > kept)
            mm_unmap(mm, to + kept, m->size - kept);
        return r;
    }
    mm_account(mm, there, true);
    if (m->flags & MREMAP_DONTUNMAP)
        r = mm_host_map(mm, &v, v.start, v.end, mm_host_prot(v.prot));
    else
        r = mm_unmap(mm, v.start, v.end - v.start);
    mm_merge_around(mm, to, to + m->size);
    return r < 0 ? r : (int64_t)to;
}

/* A second view of shared memory. */
static int64_t
duplicate(struct mm *mm, struct vma *found, const struct remap *m, uint64_t to)
{
    VMA_SNAPSHOT(v, found);
    int r = grow(mm, &v, v.offset + (m->from - v.start), to, to + m->size);

    return r < 0 ? r : (int64_t)to;
}

static int
check_remap(const struct remap *m)
{
    if ((m->flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) || m->from % PAGE_SIZE ||
        m->size == 0 || m->size > TASK_SIZE)
        return -EINVAL;
    if (!(m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
        return 0;
    if (!range_within(m->to, m->size, TASK_SIZE) || m->to % PAGE_SIZE || !(m->flags & MREMAP_MAYMOVE) ||
        ((m->flags & MREMAP_DONTUNMAP) && m->old_size != m->size) ||
        /* Linux's overlap: the first sum may wrap, and an empty range within the other counts. */
        ((m->flags & MREMAP_FIXED) && m->from + m->old_size > m->to && m->to + m->size > m->from))
        return -EINVAL;
    return 0;
}

/* A free place for the result; what is at a fixed one is unmapped, which may be the mapping itself. */
static int64_t
new_place(struct mm *mm, const struct remap *m)
{
    int r;

    if (!(m->flags & MREMAP_FIXED))
        return mm_find_free(mm, m->flags & MREMAP_DONTUNMAP ? m->to : 0, m->size);
    if (!range_within(m->to, m->size, GUEST_END) || !mm_in_user_range(m->to, m->to + m->size))
        return m->to < GUEST_NULL_END ? -EPERM : -ENOMEM;
    r = mm_range_free(mm, m->to, m->to + m->size) ? 0 : mm_unmap(mm, m->to, m->size);
    return r < 0 ? r : (int64_t)m->to;
}

static int64_t
grow_in_place(struct mm *mm, struct vma *found, const struct remap *m)
{
    VMA_SNAPSHOT(v, found);
    int r = grow(mm, &v, v.offset + (v.end - v.start), v.end, m->from + m->size);

    return r < 0 ? r : (int64_t)m->from;
}

/* May the mapping v, in which the old range begins, be made what is asked for? This is Linux's vma_to_resize. */
static int
check_resize(struct mm *mm, const struct vma *v, const struct remap *m)
{
    enum { KEPT_FOR_SPLITS = 5 };
    uint64_t more = m->size > m->old_size ? m->size - m->old_size : 0;

    if (m->old_size > v->end - m->from)
        return -EFAULT;
    if (m->size > GUEST_END || mm->count + KEPT_FOR_SPLITS > MAX_MAPPINGS ||
        (more && mm_over_limit(mm, v, GUEST_END, more)))
        return -ENOMEM;
    return more && !mm_may_lock(mm, v, more) ? -EAGAIN : 0;
}

/* Unmaps what is beyond the new size. */
static int
cut_off(struct mm *mm, const struct remap *m)
{
    if (mm_is_sealed(mm, m->from + m->size, m->from + m->old_size))
        return -EPERM;
    return mm_unmap(mm, m->from + m->size, m->old_size - m->size);
}

/* The result lies elsewhere. */
static int64_t
remap_to_new_place(struct mm *mm, struct remap *m)
{
    int64_t to = new_place(mm, m);
    struct vma *v;

    if (to < 0)
        return to;
    if (m->size < m->old_size) {
        int r = cut_off(mm, m);

        if (r < 0)
            return r;
        m->old_size = m->size;
    }
    v = mm_at(mm, m->from); /* may have been at the new place */
    if (!v || m->old_size > v->end - m->from)
        return -EFAULT;
    if (m->old_size == 0)
        return duplicate(mm, v, m, (uint64_t)to);
    if (!mm_split(mm, m->from) || !mm_split(mm, m->from + m->old_size))
        return -ENOMEM;
    return move_mapping(mm, mm_at(mm, m->from), m, (uint64_t)to);
}

/* A range of several mappings goes to a fixed place one after the other, as it does since Linux 6.17; what is free
 * between them leaves there what was there. What was moved before an error stays moved. */
static int64_t
move_several(struct mm *mm, const struct remap *m)
{
    uint64_t end = m->from + m->old_size;

    for (uint64_t at = m->from; at < end;) {
        const struct vma *v = mm_find(mm, at);
        struct remap part = *m;
        int64_t to;

        if (!v || v->start >= end)
            break;
        if (v->sealed)
            return -EPERM;
        part.from = v->start > at ? v->start : at;
        part.old_size = part.size = (v->end < end ? v->end : end) - part.from;
        part.to = m->to + (part.from - m->from);
        at = part.from + part.size;
        to = remap_to_new_place(mm, &part);
        if (to < 0)
            return to;
        if (sched_checkpoint() < 0)
            return -EINTR;
    }
    return (int64_t)m->to;
}

/* The result lies where the old range does if there is room, or else, with MREMAP_MAYMOVE, elsewhere. */
static int64_t
remap_in_place(struct mm *mm, struct vma *v, struct remap *m)
{
    if (m->old_size == v->end - m->from && mm_range_free(mm, v->end, m->from + m->size)) {
        int64_t r = grow_in_place(mm, v, m);

        if (r != -ENOMEM)
            return r;
    }
    return m->flags & MREMAP_MAYMOVE ? remap_to_new_place(mm, m) : -ENOMEM;
}

int64_t
sys_mremap(const uint64_t a[6])
{
    struct mm *mm = current_mm();
    /* The sums may wrap to 0, as Linux's. */
    struct remap m = {.from = a[0], .old_size = PAGE_UP(a[1]), .size = PAGE_UP(a[2]), .flags = a[3], .to = a[4]};
    bool elsewhere = m.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
    struct vma *v;
    int64_t at;
    bool locked;
    int r = check_remap(&m);

    if (r < 0)
        return r;
    v = mm_at(mm, m.from);
    if (!v)
        return -EFAULT;
    if (v->sealed ||
        ((m.flags & MREMAP_FIXED) && range_within(m.to, m.size, GUEST_END) && mm_is_sealed(mm, m.to, m.to + m.size)))
        return -EPERM;
    if (m.size < m.old_size && !(m.flags & MREMAP_FIXED)) {
        r = cut_off(mm, &m);
        return r < 0 ? r : (int64_t)m.from;
    }
    if (m.old_size == 0 && !v->shared)
        return -EINVAL;
    if (m.size == m.old_size && !elsewhere)
        return (int64_t)m.from;
    if ((m.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == MREMAP_FIXED && m.size == m.old_size &&
        m.old_size > v->end - m.from)
        return move_several(mm, &m);
    r = check_resize(mm, v, &m);
    if (r < 0)
        return r;
    locked = v->locked;
    at = elsewhere ? remap_to_new_place(mm, &m) : remap_in_place(mm, v, &m);
    if (at >= 0 && locked && m.size > m.old_size)
        mm_bring_in((uint64_t)at + m.old_size, m.size - m.old_size);
    return at;
}
