#include "base/page.h"
#include "vkernel/mm/store.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/thread.h"
#include "vkernel/mm/mm.h"
#include "vkernel/sched/sched.h"
#include "vkernel/worker/worker.h"

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

static void
keep_number(uint64_t slot)
{
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

/* What was released and still has memory: [at, end) of the descriptor. */
struct released {
    struct list link, own; /* in `pending`, and in the list of the process that released it */
    uint64_t slot, at, end;
    bool failed, in_hand; /* in_hand: a piece is being emptied without the lock, by that process */
};
OBJECT_POOL(released);
static struct list pending = {&pending, &pending}; /* struct released.link, of all processes */

void
store_released_init(struct store_released *s)
{
    list_init(&s->items);
}

static void
emptied(struct released *r)
{
    list_remove(&r->link);
    list_remove(&r->own);
    if (!r->failed)
        keep_number(r->slot);
    OBJECT_FREE(released, r);
}

/* Empties a piece of it: from where there is data, because most of a slot may never have been written. */
static void
empty_piece(struct released *r)
{
    int64_t data = host_seek(descriptor, (int64_t)r->at, SEEK_DATA);
    uint64_t start = data < 0 || (uint64_t)data > r->end ? r->end : (uint64_t)data;

    start = PAGE_DOWN(start);
    r->at = r->end - start < UNMAP_PIECE ? r->end : start + UNMAP_PIECE;
    r->in_hand = true;
    if (r->at > start && HOST_SLEEP(host_punch(descriptor, start, r->at - start)) < 0)
        r->failed = true;
    r->in_hand = false;
    if (r->at == r->end)
        emptied(r);
}

void
store_empty(bool ending)
{
    struct store_released *own = this_worker.released;

    might_sleep();
    if (own->emptying) /* another thread is about it, or this one in a checkpoint */
        return;
    own->emptying = true;
    while (!list_empty(&own->items)) {
        empty_piece(list_entry(own->items.next, struct released, own));
        if (sched_checkpoint() < 0 && !ending)
            break;
    }
    own->emptying = false;
}

static void
empty_rest(struct released *r)
{
    if (r->at < r->end && host_punch(descriptor, r->at, r->end - r->at) < 0)
        r->failed = true;
    r->at = r->end;
    if (!r->in_hand)
        emptied(r);
}

void
store_empty_all_at_once(void)
{
    LIST_EACH_SAFE(l, &pending) {
        empty_rest(list_entry(l, struct released, link));
    }
}

void
store_released_end(struct store_released *s)
{
    LIST_EACH_SAFE(l, &s->items) {
        empty_rest(list_entry(l, struct released, own));
    }
}

static bool
release_later(uint64_t slot, uint64_t size)
{
    struct store_released *own = this_worker.released;
    struct released *r = size > UNMAP_PIECE && own ? OBJECT_NEW(released) : NULL;

    if (!r)
        return false;
    r->slot = slot;
    r->at = store_offset(slot);
    r->end = r->at + size;
    list_append(&pending, &r->link);
    list_append(&own->items, &r->own);
    platform_ticked = 1;
    return true;
}

void
store_release(uint64_t slot, uint64_t used)
{
    if (release_later(slot, PAGE_UP(used)))
        return;
    /* What cannot be emptied is nobody's any more: its bytes must not be the next one's. */
    if (used == 0 || host_punch(descriptor, store_offset(slot), PAGE_UP(used)) == 0)
        keep_number(slot);
}

uint64_t
store_memory_used(void)
{
    struct stat st;

    return descriptor >= 0 && host_fstat(descriptor, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
