/* Copies between the vkernel and guest memory. Every access is checked against the mappings first; a page that is gone
 * all the same (the host made a file of a volume shorter) ends the copy (platform_copy). */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/mm/mm_internal.h"
#include "vkernel/run/calls.h"
#include "vkernel/task/process.h"

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
        fault_note_copy(at);
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

/* Bytes from address on, at most size, that are mapped with the permission. *uncertain becomes true where only the host
 * knows which of the pages are there. */
static inline size_t
accessible(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain)
{
    return in_last_mapping(mm, address, size, write) ? size : accessible_run(mm, address, size, write, uncertain);
}

static inline struct mm *
current_mm(void)
{
    return sched_current->process->mm;
}

/* The part of an accessible range that is there now. */
static size_t
present(struct mm *mm, guest_addr address, size_t size)
{
    for (size_t done = 0; done < size; done = PAGE_DOWN(address + done + MM_PAGE) - address) {
        uint8_t byte;

        if (platform_copy(&byte, mm->base + address + done, 1) == 0)
            return done;
    }
    return size;
}

static __attribute__((noinline)) size_t
present_run(struct mm *mm, guest_addr address, size_t size, bool write)
{
    bool uncertain = false;

    size = accessible_run(mm, address, size, write, &uncertain);
    return uncertain ? present(mm, address, size) : size;
}

void *
guest_span(guest_addr addr, size_t *size, bool write)
{
    struct mm *mm = current_mm();

    assert_no_sleep();
    if (!in_last_mapping(mm, addr, *size, write))
        *size = present_run(mm, addr, *size, write);
    return *size ? mm->base + addr : NULL;
}

size_t
mm_read(struct mm *mm, void *dst, guest_addr src, size_t size)
{
    bool uncertain = false;
    size_t n = accessible(mm, src, size, false, &uncertain);

    return n ? platform_copy(dst, mm->base + src, n) : 0;
}

size_t
mm_write(struct mm *mm, guest_addr dst, const void *src, size_t size)
{
    bool uncertain = false;
    size_t n = accessible(mm, dst, size, true, &uncertain);

    return n ? platform_copy(mm->base + dst, src, n) : 0;
}

size_t
mm_clear(struct mm *mm, guest_addr dst, size_t size)
{
    bool uncertain = false;
    size_t n = accessible(mm, dst, size, true, &uncertain);

    return n ? platform_clear(mm->base + dst, n) : 0;
}

int
copy_from_guest(void *dst, guest_addr src, size_t size)
{
    struct mm *mm = current_mm();
    bool uncertain = false;

    if (size == 0)
        return 0;
    if (accessible(mm, src, size, false, &uncertain) != size || platform_copy(dst, mm->base + src, size) != size)
        return -EFAULT;
    if (calls_on)
        calls_given(dst, size);
    return 0;
}

int
copy_to_guest(guest_addr dst, const void *src, size_t size)
{
    struct mm *mm = current_mm();
    bool uncertain = false;

    if (size == 0)
        return 0;
    if (accessible(mm, dst, size, true, &uncertain) != size || platform_copy(mm->base + dst, src, size) != size)
        return -EFAULT;
    return 0;
}

size_t
copy_from_guest_partial(void *dst, guest_addr src, size_t size)
{
    size_t n = mm_read(current_mm(), dst, src, size);

    if (calls_on)
        calls_given(dst, n);
    return n;
}

size_t
copy_to_guest_partial(guest_addr dst, const void *src, size_t size)
{
    return mm_write(current_mm(), dst, src, size);
}

int
guest_exchange(guest_addr address, uint32_t *expected, uint32_t value)
{
    struct mm *mm = current_mm();
    bool uncertain = false;
    int r;

    if (accessible(mm, address, sizeof value, true, &uncertain) != sizeof value)
        return -EFAULT;
    r = platform_exchange((uint32_t *)(void *)(mm->base + address), expected, value);
    return r < 0 ? -EFAULT : r;
}

ssize_t
copy_string_from_guest(char *dst, guest_addr src, size_t size)
{
    enum { STEP = 64 }; /* most strings are shorter */
    struct mm *mm = current_mm();
    bool uncertain = false;
    size_t there = accessible(mm, src, size, false, &uncertain), done = 0;

    while (done < there) {
        size_t step = there - done < STEP ? there - done : STEP;
        size_t n = platform_copy(dst + done, mm->base + src + done, step);
        const char *end = memchr(dst + done, '\0', n);

        if (calls_on)
            calls_given(dst + done, end ? (size_t)(end - dst) - done : n);
        if (end)
            return end - dst;
        done += n;
        if (n < step)
            return -EFAULT;
    }
    return done == size ? -ENAMETOOLONG : -EFAULT;
}

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
    if (!v)
        return false;
    if (v->kind == VMA_SHM || (v->kind == VMA_FILE && v->shared)) {
        key->object = v->kind == VMA_SHM ? v->shm->number : mm_file_number(v);
        key->offset = v->offset + (address - v->start);
    }
    return true;
}
