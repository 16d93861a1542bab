/* Another process's memory, as process_vm_readv sees it; and what a tracer's writes to data are (breakpoints.c). */
#include <sys/mman.h>

#include "vkernel/mm/mm_internal.h"

/* The part of a range that is mapped with the permission, with its pages made ready. Nobody sleeps until it has been
 * used. */
static size_t
ready(struct mm *mm, guest_addr address, size_t size, bool write)
{
    bool uncertain = false;

    size = mm_accessible(mm, address, size, write, &uncertain);
    return size && mm_ready(mm, address, size, write) ? size : 0;
}

size_t
mm_other_read(struct mm *mm, void *dst, guest_addr src, size_t size)
{
    size = ready(mm, src, size, false);
    return size ? mm_read(mm, dst, src, size) : 0;
}

size_t
mm_other_write(struct mm *mm, guest_addr dst, const void *src, size_t size)
{
    size = ready(mm, dst, size, true);
    return size ? mm_write(mm, dst, src, size) : 0;
}
