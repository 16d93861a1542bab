/* What of guest memory is mapped with which permission: the check before every copy, and the keys of futexes. */
#include <errno.h>
#include <sys/mman.h>

#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"

static inline int
permission_for(bool write)
{
    return write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC;
}

static size_t
accessible_run(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain)
{
    int need = permission_for(write);
    uint64_t at = address, end;

    if (address >= GUEST_END)
        return 0;
    end = size > GUEST_END - address ? GUEST_END : address + size;
    for (const struct vma *v = mm_find(mm, address); at < end && v; v = vma_next(mm, v)) {
        uint64_t stop;

        if (v->start > at && mm == current_mm() && mm_grow_down(mm, at))
            v = mm_find(mm, at);
        if (v->start > at || !(v->prot & need))
            break;
        *uncertain |= v->kind == VMA_FILE && !v->bounded;
        stop = v->kind == VMA_ANON ? v->end : mm_backed_end(v);
        if (stop > at)
            at = stop;
        if (stop < v->end)
            break;
    }
    if (at < end && at >= GUEST_UNKNOWN)
        mm_hooks.copy_fails(at);
    return (at < end ? at : end) - address;
}

/* Whether the range lies in the anonymous mapping of the copy before, as nearly every one does. */
static inline bool
in_last_mapping(const struct mm *mm, guest_addr address, size_t size, bool write)
{
    const struct vma *v = mm->last;

    return v && v->kind == VMA_ANON && address >= v->start && address < v->end && size <= v->end - address &&
           (v->prot & permission_for(write));
}

size_t
mm_accessible(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain)
{
    return in_last_mapping(mm, address, size, write) ? size : accessible_run(mm, address, size, write, uncertain);
}

bool
mm_ready(struct mm *mm, guest_addr address, size_t size, bool write)
{
    return !mm->cow || cow_settle(mm, address, address + size, write);
}

/* Of a futex in private memory whose calls do not say so: calls that do never meet it. Addresses of futexes are
 * multiples of 4. */
enum { FUTEX_UNMARKED = 2 };

bool
mm_futex_key(guest_addr address, bool private_hint, struct futex_key *key)
{
    struct mm *mm = current_mm();
    struct vma *v;

    if (address >= GUEST_END)
        return false;
    *key = (struct futex_key){.object = mm->number, .offset = address};
    if (private_hint)
        return true;
    v = mm_at(mm, address);
    if (!v || !v->prot || (v->kind == VMA_ANON && !(v->prot & PROT_WRITE)))
        return false; /* of anonymous memory nobody can be told who may not write it (Linux: get_futex_key) */
    key->offset = address | FUTEX_UNMARKED;
    if (v->kind == VMA_SHM || (v->kind == VMA_FILE && v->shared)) {
        key->object = v->kind == VMA_SHM ? v->shm->number : mm_file_number(v);
        key->offset = v->offset + (address - v->start);
    }
    return true;
}
