/* Copies between the vkernel and guest memory. Every access is checked against the mappings first; a page that is gone
 * all the same (a truncated file) is mended by the fault handler and counted, and the copy answers -EFAULT. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/mm/mm_internal.h"
#include "vkernel/proc/process.h"

/* Bytes from address on, at most size, that are mapped with the permission. */
static size_t
accessible(struct mm *mm, guest_addr address, size_t size, bool write)
{
    int need = write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC;
    uint64_t at = address, end;
    unsigned i;

    if (address >= GUEST_END)
        return 0;
    end = size > GUEST_END - address ? GUEST_END : address + size;
    for (i = mm_index(mm, address); at < end && i < mm->count; i++) {
        if (mm->vma[i].start > at || !(mm->vma[i].prot & need))
            break;
        at = mm->vma[i].end;
    }
    return (at < end ? at : end) - address;
}

static inline struct mm *
current_mm(void)
{
    return sched_current->process->mm;
}

void *
guest_span(guest_addr addr, size_t *size, bool write)
{
    struct mm *mm = current_mm();

    *size = accessible(mm, addr, *size, write);
    return *size ? mm->base + addr : NULL;
}

int
copy_from_guest(void *dst, guest_addr src, size_t size)
{
    struct mm *mm = current_mm();
    unsigned mended = platform_mended_faults;

    if (size == 0)
        return 0;
    if (accessible(mm, src, size, false) != size)
        return -EFAULT;
    memcpy(dst, mm->base + src, size);
    return mended == platform_mended_faults ? 0 : -EFAULT;
}

int
copy_to_guest(guest_addr dst, const void *src, size_t size)
{
    struct mm *mm = current_mm();
    unsigned mended = platform_mended_faults;

    if (size == 0)
        return 0;
    if (accessible(mm, dst, size, true) != size)
        return -EFAULT;
    memcpy(mm->base + dst, src, size);
    return mended == platform_mended_faults ? 0 : -EFAULT;
}

size_t
mm_read(struct mm *mm, void *dst, guest_addr src, size_t size)
{
    size_t n = accessible(mm, src, size, false);

    memcpy(dst, mm->base + src, n);
    return n;
}

size_t
mm_write(struct mm *mm, guest_addr dst, const void *src, size_t size)
{
    size_t n = accessible(mm, dst, size, true);

    memcpy(mm->base + dst, src, n);
    return n;
}

size_t
copy_from_guest_partial(void *dst, guest_addr src, size_t size)
{
    return mm_read(current_mm(), dst, src, size);
}

size_t
copy_to_guest_partial(guest_addr dst, const void *src, size_t size)
{
    return mm_write(current_mm(), dst, src, size);
}

ssize_t
copy_string_from_guest(char *dst, guest_addr src, size_t size)
{
    struct mm *mm = current_mm();
    size_t n = accessible(mm, src, size, false);
    const char *from = (const char *)mm->base + src, *end;

    if (n == 0)
        return size ? -EFAULT : -ENAMETOOLONG;
    end = memchr(from, '\0', n);
    if (!end)
        return n == size ? -ENAMETOOLONG : -EFAULT;
    memcpy(dst, from, (size_t)(end - from) + 1);
    return end - from;
}

bool
mm_futex_key(guest_addr address, bool private_hint, struct futex_key *key)
{
    struct mm *mm = current_mm();
    struct vma *v;

    if (address >= GUEST_END)
        return false;
    *key = (struct futex_key){.object = mm, .offset = address};
    if (private_hint)
        return true;
    v = mm_find(mm, address);
    if (!v || v->start > address)
        return false;
    if (v->kind == VMA_SHM || (v->kind == VMA_FILE && v->shared)) {
        extern const void *mm_file_identity(const struct vma *v);

        key->object = v->kind == VMA_SHM ? (const void *)v->shm : mm_file_identity(v);
        key->offset = v->offset + (address - v->start);
    }
    return true;
}
