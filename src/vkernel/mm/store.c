#include "base/page.h"
#include "vkernel/mm/store.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "platform/heap.h"
#include "platform/hostfs.h"

#define SLOT_COUNT (1ull << 22)

static int descriptor = -1;
static uint64_t next;
static uint64_t *unused;
static size_t unused_count, unused_capacity;

int
store_fd(void)
{
    return descriptor;
}

int
store_new(uint64_t *slot)
{
    if (descriptor < 0) {
        int fd = host_memfd("ingot-files", STORE_SLOT_SIZE * SLOT_COUNT);

        if (fd < 0)
            return -ENOSPC;
        descriptor = fd;
    }
    if (unused_count > 0)
        *slot = unused[--unused_count];
    else if (next < SLOT_COUNT)
        *slot = next++;
    else
        return -ENOSPC;
    return 0;
}

void
store_release(uint64_t slot, uint64_t used)
{
    /* What cannot be emptied is nobody's any more: its bytes must not be the next one's. */
    if (used > 0 && host_punch(descriptor, store_offset(slot), PAGE_UP(used)) < 0)
        return;
    if (unused_count == unused_capacity) {
        size_t capacity = unused_capacity ? unused_capacity * 2 : 64;
        uint64_t *p = bytes_resize(unused, capacity * sizeof *p);

        if (!p)
            return; /* the number is lost, the memory is not */
        unused = p;
        unused_capacity = capacity;
    }
    unused[unused_count++] = slot;
}

uint64_t
store_memory_used(void)
{
    struct stat st;

    return descriptor >= 0 && host_fstat(descriptor, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
