/* Copies between the vkernel and guest memory. Every access is checked against the mappings first; a page that is gone
 * all the same (the host made a file of a volume shorter) ends the copy (platform_copy). */
#include <errno.h>
#include <string.h>

#include "platform/platform.h"
#include "base/page.h"
#include "vkernel/sched/sched.h"
#include "vkernel/usercopy/usercopy.h"

bool usercopy_recording;

/* The space is an address space's first member, which mm/mm.h asserts. */
static inline uint8_t *
host(const struct mm *mm, guest_addr address)
{
    return ((const struct space *)(const void *)mm)->base + address;
}

static inline size_t
accessible(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain)
{
    return usercopy_hooks.accessible(mm, address, size, write, uncertain);
}

static inline void
record(const void *p, size_t size)
{
    if (usercopy_recording)
        usercopy_hooks.recorded(p, size);
}

/* The part of an accessible range that is there now. */
static size_t
present(struct mm *mm, guest_addr address, size_t size)
{
    for (size_t done = 0; done < size; done = ((address + done + PAGE_SIZE) & ~(uint64_t)(PAGE_SIZE - 1)) - address) {
        uint8_t byte;

        if (platform_copy(&byte, host(mm, address + done), 1) == 0)
            return done;
    }
    return size;
}

void *
guest_span(guest_addr addr, size_t *size, bool write)
{
    struct mm *mm = current_mm();
    bool uncertain = false;

    assert_no_sleep();
    *size = accessible(mm, addr, *size, write, &uncertain);
    if (uncertain)
        *size = present(mm, addr, *size);
    if (*size && !usercopy_hooks.ready(mm, addr, *size, write))
        *size = 0;
    return *size ? host(mm, addr) : NULL;
}

size_t
mm_read(struct mm *mm, void *dst, guest_addr src, size_t size)
{
    bool uncertain = false;
    size_t n = accessible(mm, src, size, false, &uncertain);

    return n ? platform_copy(dst, host(mm, src), n) : 0;
}

size_t
mm_write(struct mm *mm, guest_addr dst, const void *src, size_t size)
{
    bool uncertain = false;
    size_t n = accessible(mm, dst, size, true, &uncertain);

    return n ? platform_copy(host(mm, dst), src, n) : 0;
}

size_t
mm_clear(struct mm *mm, guest_addr dst, size_t size)
{
    bool uncertain = false;
    size_t n = accessible(mm, dst, size, true, &uncertain);

    return n ? platform_clear(host(mm, dst), n) : 0;
}

int
copy_from_guest(void *dst, guest_addr src, size_t size)
{
    struct mm *mm = current_mm();
    bool uncertain = false;

    if (size == 0)
        return 0;
    if (accessible(mm, src, size, false, &uncertain) != size || platform_copy(dst, host(mm, src), size) != size)
        return -EFAULT;
    record(dst, size);
    return 0;
}

int
copy_to_guest(guest_addr dst, const void *src, size_t size)
{
    struct mm *mm = current_mm();
    bool uncertain = false;

    if (size == 0)
        return 0;
    if (accessible(mm, dst, size, true, &uncertain) != size || platform_copy(host(mm, dst), src, size) != size)
        return -EFAULT;
    return 0;
}

size_t
copy_from_guest_partial(void *dst, guest_addr src, size_t size)
{
    size_t n = mm_read(current_mm(), dst, src, size);

    record(dst, n);
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
    r = platform_exchange((uint32_t *)(void *)(host(mm, address)), expected, value);
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
        size_t n = platform_copy(dst + done, host(mm, src + done), step);
        const char *end = memchr(dst + done, '\0', n);

        record(dst + done, end ? (size_t)(end - dst) - done : n);
        if (end)
            return end - dst;
        done += n;
        if (n < step)
            return -EFAULT;
    }
    return done == size ? -ENAMETOOLONG : -EFAULT;
}
