/* Address spaces, their mappings (vma_tree.c tells how these are found), and the host pages behind the mappings.
 *
 * This always holds: a host page of [0, 8 GiB) of the reservation can be accessed exactly where a mapping allows it and
 * something is behind the mapping (mm_backed_end), but for pages that a fork left shared (cow.h). Pages that the guest
 * may execute are only readable on the host, and their bytes were verified (code.c). */
#include "vkernel/mm/mm_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/image/artifact.h"
#include "vkernel/mm/cow.h"
#include "vkernel/trust/ledger.h"
#include "vkernel/vfs/vfs.h"

static struct id_tree all; /* struct mm, by place_id() */

struct shm *
shm_get(struct shm *s)
{
    refcount_get(&s->refs);
    return s;
}

OBJECT_POOL(mm);
OBJECT_POOL(shm);

void
shm_put(struct shm *s)
{
    if (!s || !refcount_put(&s->refs))
        return;
    store_release(s->slot, s->size);
    OBJECT_FREE(shm, s);
}

static struct shm *
shm_new(uint64_t size)
{
    struct shm *s = OBJECT_NEW(shm);

    if (!s)
        return NULL;
    refcount_init(&s->refs);
    s->number = object_number();
    s->size = size;
    if (store_new(&s->slot) < 0) {
        OBJECT_FREE(shm, s);
        return NULL;
    }
    return s;
}

int
mm_host_prot(int prot)
{
    if (prot & PROT_WRITE)
        return PROT_READ | PROT_WRITE;
    return prot & (PROT_READ | PROT_EXEC) ? PROT_READ : PROT_NONE;
}

bool
mm_split(struct mm *mm, uint64_t address)
{
    struct vma *v = mm_at(mm, address), right;

    if (!v || v->start == address)
        return true;
    if (mm->count >= MAX_MAPPINGS)
        return false;
    right = *v;
    right.offset += address - right.start;
    right.start = address;
    mm_vma_resize(mm, v, v->start, address);
    if (mm_vma_insert(mm, &right))
        return true;
    mm_vma_resize(mm, v, v->start, right.end);
    return false;
}

static bool
can_merge(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->kind == b->kind && a->prot == b->prot && a->shared == b->shared &&
           a->file == b->file && a->shm == b->shm && a->name == b->name && a->code == b->code &&
           a->image_base == b->image_base && (a->kind == VMA_ANON || a->was_writable == b->was_writable) &&
           a->locked == b->locked && a->dont_fork == b->dont_fork && a->wipe_on_fork == b->wipe_on_fork &&
           a->stack == b->stack && a->grows_down == b->grows_down && a->sealed == b->sealed &&
           a->code_copy == b->code_copy && (a->kind == VMA_ANON || a->offset + (a->end - a->start) == b->offset);
}

void
mm_merge_around(struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *v = mm_find(mm, start ? start - 1 : 0), *next;

    while (v && v->start <= end && (next = vma_next(mm, v))) {
        if (can_merge(v, next)) {
            uint64_t to = next->end;

            v->was_writable |= next->was_writable;
            mm_vma_remove(mm, next);
            mm_vma_resize(mm, v, v->start, to);
        } else {
            v = next;
        }
    }
}

/* --- address spaces --- */

/* Falls as addresses rise, so that the tree finds the next address space below. */
static int64_t
place_id(uint64_t host_address)
{
    return -(int64_t)host_address;
}

static bool
reserve(struct mm *mm)
{
    uint64_t start;

    mm->reserved = platform_reserve(MM_RESERVED);
    if (!mm->reserved) {
        mm_drop_spares();
        mm->reserved = platform_reserve(MM_RESERVED);
    }
    start = (uint64_t)(uintptr_t)mm->reserved;
    mm->space.base = (uint8_t *)mm->reserved + ((start + MM_GUARD + MM_ALIGNED - 1) & ~(MM_ALIGNED - 1)) - start;
    return mm->reserved != NULL;
}

struct mm *
mm_new(void)
{
    struct mm *mm = OBJECT_NEW(mm);

    if (!mm)
        return NULL;
    refcount_init(&mm->refs);
    mm->number = object_number();
    list_init(&mm->vmas);
    list_init(&mm->code_maps);
    list_init(&mm->copies);
    list_init(&mm->copy_link);
    list_init(&mm->spares);
    if (!reserve(mm)) {
        OBJECT_FREE(mm, mm);
        return NULL;
    }
    if (platform_map_anon(mm->space.base + GUEST_CODE_MAP, GUEST_CODE_MAP_END - GUEST_CODE_MAP, PROT_READ) < 0) {
        platform_release(mm->reserved, MM_RESERVED);
        OBJECT_FREE(mm, mm);
        return NULL;
    }
    mm->brk_start = mm->brk = GUEST_BRK_START;
    id_tree_add(&all, &mm->place, place_id((uint64_t)(uintptr_t)mm->space.base), platform_random_priority());
    mm_code_generation_new(mm);
    return mm;
}

struct mm *
mm_of_host(uint64_t host_address)
{
    struct id_node *n = host_address <= INT64_MAX ? id_tree_from(&all, place_id(host_address)) : NULL;
    struct mm *mm = n ? id_entry(n, struct mm, place) : NULL;

    return mm && host_address - (uint64_t)(uintptr_t)mm->space.base < MM_RESERVATION ? mm : NULL;
}

bool
mm_is_guest_memory(uint64_t host_address)
{
    return mm_of_host(host_address) != NULL;
}

bool
mm_is_guarded(const struct mm *mm, uint64_t host_address)
{
    return host_address - ((uint64_t)(uintptr_t)mm->space.base - MM_GUARD) < MM_GUARD + MM_RESERVATION;
}

bool
mm_allows(struct mm *mm, uint64_t host_address, bool write)
{
    uint64_t address = host_address - (uint64_t)(uintptr_t)mm->space.base;
    const struct vma *v = address < GUEST_END ? mm_at(mm, address) : NULL;

    return v && (v->prot & (write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC));
}

struct mm *
mm_get(struct mm *mm)
{
    refcount_get(&mm->refs);
    return mm;
}

void
mm_put(struct mm *mm)
{
    if (!mm || !refcount_put(&mm->refs))
        return;
    if (mm->aio)
        mm_hooks.aio_ends(mm);
    if (mm_keep_as_spare(mm))
        return;
    mm_changed(mm);
    mm_free(mm);
}

void
mm_free(struct mm *mm)
{
    cow_end(mm);
    id_tree_remove(&all, &mm->place);
    mm_vma_remove_all(mm);
    mm_code_drop(mm);
    platform_release(mm->reserved, MM_RESERVED);
    OBJECT_FREE(mm, mm);
}

struct mm *
mm_still_begin(struct mm *mm)
{
    if (mm->still++ == 0)
        mm_hooks.stand_still(mm);
    return mm;
}

void
mm_still_end(struct mm **mm)
{
    (*mm)->still--; /* they go on when the lock is let go */
}

bool
mm_in_user_range(uint64_t start, uint64_t end)
{
    if (start >= end || start < GUEST_NULL_END || end > GUEST_UNKNOWN)
        return false;
    return end <= GUEST_CODE_MAP || start >= GUEST_CODE_MAP_END;
}

bool
mm_range_free(struct mm *mm, uint64_t start, uint64_t end)
{
    const struct vma *v = mm_find(mm, start);

    return mm_in_user_range(start, end) && (!v || v->start >= end);
}

/* Is it one of the mappings that RLIMIT_DATA counts? */
static bool
is_data(const struct vma *v)
{
    return !v->shared && (v->prot & PROT_WRITE) && !v->stack;
}

void
mm_account(struct mm *mm, const struct vma *v, bool more)
{
    uint64_t pages = (v->end - v->start) / PAGE_SIZE;

    if (!more)
        pages = -pages;
    mm->total_pages += pages;
    mm->locked_pages += v->locked ? pages : 0;
    mm->data_pages += is_data(v) ? pages : 0;
}

bool
mm_over_limit(struct mm *mm, const struct vma *like, uint64_t at, uint64_t size)
{
    const struct rlimit *limits = this_worker.rlimits;
    rlim_t limit = limits[RLIMIT_AS].rlim_cur, data = is_data(like) ? limits[RLIMIT_DATA].rlim_cur : RLIM_INFINITY;
    uint64_t replaced = 0;

    if (limit == RLIM_INFINITY && data == RLIM_INFINITY)
        return false;
    for (const struct vma *v = mm_find(mm, at); v && v->start < at + size; v = vma_next(mm, v)) {
        uint64_t from = v->start > at ? v->start : at;
        uint64_t to = v->end < at + size ? v->end : at + size;

        replaced += to - from;
    }
    return mm->total_pages * PAGE_SIZE + size - replaced > limit || mm->data_pages * PAGE_SIZE + size > data;
}

int64_t
mm_find_free(struct mm *mm, uint64_t hint, uint64_t size)
{
    uint64_t at;

    hint = PAGE_DOWN(hint);
    if (hint && range_within(hint, size, GUEST_END) && mm_range_free(mm, hint, hint + size))
        return (int64_t)hint;
    at = mm_find_gap(mm, GUEST_BRK_START, GUEST_MMAP_END, size);
    /* Data may lie among the programs' files when the upper part is full. */
    if (!at)
        at = mm_find_gap(mm, GUEST_PIE_START, GUEST_IMAGE_END, size);
    return at ? (int64_t)at : -ENOMEM;
}

/* --- mapping --- */

uint64_t
mm_backed_end(const struct vma *v)
{
    uint64_t size;

    if (v->code)
        size = v->code->file_size;
    else if (v->kind == VMA_SHM)
        size = v->shm->size;
    else if (v->kind == VMA_FILE && v->bounded)
        size = file_mapped_size(v->file);
    else
        return v->end;
    size = PAGE_UP(size);
    if (size <= v->offset)
        return v->start;
    return size - v->offset < v->end - v->start ? v->start + (size - v->offset) : v->end;
}

int
mm_map_none_behind(struct mm *mm, const struct vma *v, uint64_t start, uint64_t *end)
{
    uint64_t stop = mm_backed_end(v), from = stop > start ? stop : start;
    int r = 0;

    if (from < *end) {
        r = platform_map_none(mm->space.base + from, *end - from);
        *end = from;
    }
    return r;
}

int
mm_map_source(uint8_t *at, uint64_t size, int prot, bool shared, int fd, uint64_t offset)
{
    if (fd == artifact_host_fd(the_artifact))
        artifact_use(the_artifact, offset, size);
    return platform_map_file(at, size, prot, shared, fd, offset);
}

int
mm_host_map(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int prot)
{
    uint64_t offset = v->offset + (start - v->start), host_offset;
    uint8_t *at = mm->space.base + start;
    bool bounded;
    int fd, r;

    if (v->code)
        return -EACCES; /* only mm_code_host_map() maps code */
    if (v->kind == VMA_ANON)
        return platform_map_anon(at, end - start, prot);
    r = mm_map_none_behind(mm, v, start, &end);
    if (r < 0 || start == end)
        return r;
    if (v->kind == VMA_SHM)
        return platform_map_file(at, end - start, prot, true, store_fd(), store_offset(v->shm->slot) + offset);
    r = OPS(v->file->ops)->mmap_source(v->file, &fd, &host_offset, &bounded);
    if (r < 0)
        return r;
    return mm_map_source(at, end - start, prot, v->shared, fd, host_offset + offset);
}

/* Makes the host's pages end where the file ends now. Verified code keeps the bytes that were verified, whatever
 * becomes of the file. */
static void
follow_size(const struct vma *v, uint64_t old_end, uint64_t new_end)
{
    uint64_t from = old_end < new_end ? old_end : new_end, to = old_end < new_end ? new_end : old_end;
    uint64_t size = v->end - v->start;

    if (v->code)
        return;
    from = from < v->offset ? 0 : from - v->offset < size ? from - v->offset : size;
    to = to < v->offset ? 0 : to - v->offset < size ? to - v->offset : size;
    if (from == to)
        return;
    if (new_end < old_end)
        platform_map_none(v->mm->space.base + v->start + from, to - from);
    else
        mm_host_map(v->mm, v, v->start + from, v->start + to, mm_host_prot(v->prot));
}

void
mm_file_resized(const struct inode *inode, uint64_t old_size, uint64_t new_size)
{
    LIST_EACH(p, &inode->mappings)
        follow_size(list_entry(p, struct vma, of_inode), PAGE_UP(old_size), PAGE_UP(new_size));
}

bool
mm_file_may_be_written(const struct inode *inode)
{
    LIST_EACH(p, &inode->mappings) {
        const struct vma *v = list_entry(p, struct vma, of_inode);

        if (v->shared && ((v->prot & PROT_WRITE) || (file_can_write(v->file) && !file_write_sealed(v->file))))
            return true;
    }
    return false;
}

static void
follow_bytes(const struct vma *v)
{
    if (v->code)
        return;
    if (v->shared || !v->was_writable)
        mm_host_map(v->mm, v, v->start, v->end, mm_host_prot(v->prot));
    else
        mm_map_clean_again(v->mm, v);
}

void
mm_file_moved(const struct inode *inode)
{
    LIST_EACH(p, &inode->mappings)
        follow_bytes(list_entry(p, struct vma, of_inode));
}

/* Unmaps the range but for the code map, where nothing of the guest's lies. */
static int
unmap_host(struct mm *mm, uint64_t start, uint64_t end)
{
    int r = 0;

    if (start < GUEST_CODE_MAP)
        r = platform_map_none(mm->space.base + start, (end < GUEST_CODE_MAP ? end : GUEST_CODE_MAP) - start);
    if (start < GUEST_CODE_MAP_END)
        start = GUEST_CODE_MAP_END;
    return r == 0 && start < end ? platform_map_none(mm->space.base + start, end - start) : r;
}

/* Removes the mappings of the range, at whose ends mappings must begin and end. The host's pages belong to others
 * already, or are gone. */
static void
forget_mappings(struct mm *mm, uint64_t start, uint64_t end)
{
    bool code = false;

    for (struct vma *v = mm_find(mm, start), *next; v && v->start < end; v = next) {
        next = vma_next(mm, v);
        code |= v->code != NULL;
        mm_account(mm, v, false);
        mm_vma_remove(mm, v);
    }
    if (code)
        mm_code_unmapped(mm, start, end);
}

int
mm_unmap(struct mm *mm, uint64_t address, uint64_t size)
{
    uint64_t end;
    int r;

    if (address % PAGE_SIZE || size == 0 || size > TASK_SIZE || !range_within(address, PAGE_UP(size), TASK_SIZE))
        return -EINVAL;
    if (address >= GUEST_END)
        return 0; /* nothing can be mapped there */
    end = address + PAGE_UP(size) < GUEST_END ? address + PAGE_UP(size) : GUEST_END;
    if (!mm_split(mm, address) || !mm_split(mm, end))
        return -ENOMEM;
    if (!cow_forget(mm, address, end))
        return -ENOMEM;
    r = unmap_host(mm, address, end);
    if (r < 0)
        return r;
    forget_mappings(mm, address, end);
    return 0;
}

/* At addresses that are multiples, so that no piece ends within what is shared as a whole (cow.h). */
static uint64_t
end_of_piece(uint64_t start, uint64_t end)
{
    uint64_t stop = (start + UNMAP_PIECE) & ~(uint64_t)(UNMAP_PIECE - 1);

    return stop < end ? stop : end;
}

int
mm_unmap_in_pieces(struct mm *mm, uint64_t address, uint64_t size)
{
    struct guest_range range;
    int r = 0;

    might_sleep();
    /* What can be refused is refused before anything is gone. */
    if (address % PAGE_SIZE || !guest_range(address, size, &range) || range.end - range.start <= UNMAP_PIECE ||
        !mm_split(mm, range.start) || !mm_split(mm, range.end))
        return mm_unmap(mm, address, size);
    for (uint64_t at = range.start, next; at < range.end && r == 0; at = next) {
        next = end_of_piece(at, range.end);
        r = mm_unmap(mm, at, next - at);
        if (r == -ENOMEM) /* there are too many mappings for one of its pieces */
            return mm_unmap(mm, at, range.end - at);
        if (r == 0)
            r = sched_checkpoint();
    }
    return r;
}

void
mm_empty(struct mm *mm)
{
    const struct vma *v;

    might_sleep();
    for (uint64_t at = 0; mm && refcount_is_one(&mm->refs) && (v = mm_find(mm, at)) != NULL;) {
        uint64_t start = v->start;

        at = v->end;
        if (at - start <= UNMAP_PIECE)
            continue;
        at = end_of_piece(start, at);
        if (mm_unmap(mm, start, at - start) < 0)
            return;         /* mm_put() does it all at once */
        sched_checkpoint(); /* who ends has this to do in any case */
    }
}

static int64_t
choose_address(struct mm *mm, uint64_t hint, uint64_t size, unsigned flags, struct file *file, uint64_t offset)
{
    const struct artifact_ledger *row;

    /* ld.so's first mapping of a file covers the file's whole extent. It goes to the base that the file's native code
     * was made for, if that is free. */
    if (file && offset == 0 && !(flags & MM_SHARED) && (row = ledger_hint(file)) && row->base) {
        uint64_t at = row->base + row->low;

        if (range_within(at, size, GUEST_IMAGE_END) && mm_range_free(mm, at, at + size))
            return (int64_t)at;
    }
    return mm_find_free(mm, hint, size);
}

/* Takes what will be behind the mapping. The references are v's from then on, even on failure. */
static int
take_source(struct vma *v, struct file *file)
{
    uint64_t host_offset;
    int fd;

    if (!file) {
        v->offset = 0;
        if (!v->shared)
            return 0;
        v->kind = VMA_SHM;
        v->shm = shm_new(v->end - v->start);
        return v->shm ? 0 : -ENOMEM;
    }
    v->kind = VMA_FILE;
    v->file = file_get(file);
    return OPS(file->ops)->mmap_source ? OPS(file->ops)->mmap_source(file, &fd, &host_offset, &v->bounded) : -ENODEV;
}

int
mm_establish(struct mm *mm, struct vma *v, const struct verified *verified)
{
    int r;

    if (!cow_forget(mm, v->start, v->end))
        return -ENOMEM;
    r = v->prot & PROT_EXEC ? mm_code_install(mm, v, verified)
                            : mm_host_map(mm, v, v->start, v->end, mm_host_prot(v->prot));
    if (r == 0) {
        forget_mappings(mm, v->start, v->end);
        if (!mm_vma_insert(mm, v))
            r = -ENOMEM;
    }
    if (r < 0) {
        mm_unmap(mm, v->start, v->end - v->start);
        return r;
    }
    mm_account(mm, v, true);
    if (v->code)
        mm_code_map_bind(mm, v, verified);
    mm_merge_around(mm, v->start, v->end);
    return 0;
}

int
mm_check_place(struct mm *mm, uint64_t address, uint64_t size, unsigned flags)
{
    if (mm->count > MAX_MAPPINGS)
        return -ENOMEM;
    if (!(flags & (MM_FIXED | MM_NOREPLACE)))
        return 0;
    if (address % PAGE_SIZE)
        return -EINVAL;
    if (!range_within(address, size, GUEST_END) || !mm_in_user_range(address, address + size))
        return address < GUEST_NULL_END ? -EPERM : -ENOMEM;
    if ((flags & MM_NOREPLACE) && !mm_range_free(mm, address, address + size))
        return -EEXIST;
    return mm_is_sealed(mm, address, address + size) ? -EPERM : 0;
}

bool
mm_populate(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end)
{
    uint64_t stop = mm_backed_end(v) < end ? mm_backed_end(v) : end;

    if (!(v->prot & PROT_WRITE) || (v->shared && v->kind == VMA_FILE))
        return true;
    if (!cow_settle(mm, start, stop, true))
        return false;
    while (start < stop) {
        uint64_t piece = stop - start < MEMORY_PIECE ? stop - start : MEMORY_PIECE;

        platform_populate(mm->space.base + start, piece);
        start += piece;
        if (!mm_hooks.brought_in(piece))
            return false;
    }
    return true;
}

/* Where a mapping of whole pages goes: its address, or an error. */
static int64_t
place_mapping(struct mm *mm, uint64_t address, uint64_t size, unsigned flags, struct file *file, uint64_t offset)
{
    struct file_range bytes;
    int r;

    if (file && (offset % PAGE_SIZE || !file_range(offset, size, &bytes)))
        return -EOVERFLOW;
    r = mm_check_place(mm, address, size, flags);
    if (r < 0)
        return r;
    return flags & (MM_FIXED | MM_NOREPLACE) ? (int64_t)address
                                             : choose_address(mm, address, size, flags, file, offset);
}

/* Makes v, which has its place and its permissions, a mapping of the file, or of new memory if there is none. A refusal
 * must leave what was mapped there before, so that everything that can be refused is decided before anything is
 * replaced. */
static int
make_mapping(struct mm *mm, struct vma *v, struct file *file)
{
    struct verified verified = {0};
    int r = mm_over_limit(mm, v, v->start, v->end - v->start) ? -ENOMEM : take_source(v, file);

    if (r == 0 && (v->prot & PROT_EXEC))
        r = mm_code_verify(v, v->prot, "mmap", &verified);
    if (r == 0 && !(mm_split(mm, v->start) && mm_split(mm, v->end)))
        r = -ENOMEM;
    if (r == 0)
        r = mm_establish(mm, v, &verified);
    ledger_release(&verified);
    return r;
}

int64_t
mm_map(struct mm *mm, uint64_t address, uint64_t size, int prot, unsigned flags, struct file *file, uint64_t offset,
       const char *name)
{
    __attribute__((cleanup(vma_refs_put))) struct vma v = {
        .prot = prot,
        .shared = (flags & MM_SHARED) != 0,
        .stack = (flags & MM_STACK) != 0,
        .grows_down = (flags & MM_GROWS_DOWN) != 0,
        .locked = (flags & MM_LOCKED) != 0 || mm->lock_future,
        .was_writable = (prot & PROT_WRITE) != 0,
        .name = name,
        .offset = offset,
    };
    int64_t at;
    int r;

    if (size == 0)
        return -EINVAL;
    if (size > GUEST_END)
        return -ENOMEM;
    at = place_mapping(mm, address, PAGE_UP(size), flags, file, offset);
    if (at < 0)
        return at;
    v.start = (uint64_t)at;
    v.end = v.start + PAGE_UP(size);
    r = make_mapping(mm, &v, file);
    return r < 0 ? r : at;
}

/* The part of a mapping that one call of the host's protects: its beginning, which becomes a mapping of its own, unless
 * there are too many. Others get their turn behind it. */
static struct vma *
protect_piece(struct mm *mm, struct vma *v)
{
    uint64_t start = v->start, stop = end_of_piece(start, v->end);

    return v->code || stop == v->end || !mm_split(mm, stop) ? v : mm_at(mm, start);
}

/* Protects the mapping, or its first piece, as *end says. Returns 0, an error, or 1 for that it is to be called
 * again. */
static int
protect_one(struct mm *mm, struct vma *v, int prot, struct code_protect *code, uint64_t *end)
{
    int old = v->prot, r;

    mm_changed(mm);
    if (v->stack)
        prot &= ~PROT_EXEC;
    if ((prot & PROT_WRITE) && v->shared && v->kind == VMA_FILE &&
        ((v->file->flags & 3 /* O_ACCMODE */) != 2 || (!(old & PROT_WRITE) && file_write_sealed(v->file))))
        return -EACCES;
    if ((prot & PROT_EXEC) && !(old & PROT_EXEC))
        return mm_code_protect(mm, v, prot, code);
    if ((prot & PROT_EXEC) && (prot & PROT_WRITE))
        return mm_code_refuse("mprotect", "writable and executable");
    if (!(old & PROT_WRITE) && (prot & PROT_WRITE)) {
        struct vma like = *v; /* a copy without references, which is only looked at */

        like.prot = prot;
        if (mm_over_limit(mm, &like, v->start, v->end - v->start))
            return -ENOMEM;
    }
    if (mm_host_prot(prot) != mm_host_prot(old)) {
        uint64_t backed;

        v = protect_piece(mm, v);
        *end = v->end;
        backed = mm_backed_end(v);
        if (!cow_settle(mm, v->start, backed, true))
            return -ENOMEM;
        r = platform_protect(mm->space.base + v->start, backed - v->start, mm_host_prot(prot));
        if (r < 0)
            return r;
    }
    mm_account(mm, v, false);
    v->prot = prot;
    mm_account(mm, v, true);
    v->was_writable |= (prot & PROT_WRITE) != 0;
    if ((old & PROT_EXEC) && !(prot & PROT_EXEC))
        mm_code_end(mm, v);
    return 0;
}

int
mm_protect(struct mm *mm, uint64_t address, uint64_t size, int prot)
{
    struct guest_range range;
    struct code_protect code = {0};
    uint64_t at = address;
    int r = 0;

    might_sleep();
    if (address % PAGE_SIZE)
        return -EINVAL;
    if (size == 0)
        return 0;
    if (!guest_range(address, size, &range) || !mm_split(mm, range.start))
        return -ENOMEM;
    while (at < range.end && r == 0) {
        uint64_t next, whole;
        struct vma *v;

        /* Other tasks may have changed what is mapped, if this one gave way. */
        if (!mm_split(mm, at) || !mm_split(mm, range.end) || !(v = mm_at(mm, at))) {
            r = -ENOMEM;
            break;
        }
        next = whole = v->end;
        if (v->sealed)
            r = -EPERM;
        else if (v->prot != prot)
            r = protect_one(mm, v, prot, &code, &next);
        if (r == 0)
            at = next;
        /* Verifying takes long: a guest can have as many files read and hashed as it has mappings. */
        if (r > 0 || (r == 0 && next < whole)) {
            mm_code_protect_end(mm, &code);
            r = sched_checkpoint();
        }
    }
    mm_code_protect_end(mm, &code);
    mm_merge_around(mm, range.start, range.end);
    return r;
}
