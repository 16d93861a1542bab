/* Memory as it was at a region's start. All writable pages are made read-only there; the first write to one faults, and
 * the page is copied before the write is done. */
#include "vkernel/run/lockstep_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/vec.h"
#include "vkernel/mm/mm.h"
#include "x86/address_space.h"

struct page {
    uint64_t address;
    uint8_t *before, *result; /* PAGE_SIZE bytes each; owned, and used again for other pages */
    bool has_result;
};

static struct {
    struct mm *mm;          /* NULL: there is no snapshot */
    VEC(struct page) pages; /* the pages in the order of their first writes */
} snapshot;

static void
protect(struct mm *mm, int prot)
{
    MM_EACH(v, mm) {
        if (v->prot & PROT_WRITE)
            platform_protect(mm->space.base + v->start, mm_backed_end(v) - v->start, prot);
    }
}

void
snapshot_begin(struct mm *mm)
{
    snapshot.mm = mm;
    snapshot.pages.count = 0;
    protect(mm, PROT_READ);
}

/* Runs in the host's signal handler. It may allocate all the same, because what was interrupted is guest code, which
 * holds no lock of the heap. */
bool
platform_on_write_fault(uint64_t host_address)
{
    struct mm *mm = snapshot.mm;
    uint64_t address;
    const struct vma *v;
    struct page *p;

    if (!mm || host_address < (uint64_t)(uintptr_t)mm->space.base)
        return false;
    address = (host_address - (uint64_t)(uintptr_t)mm->space.base) & ~(uint64_t)(PAGE_SIZE - 1);
    v = address < GUEST_END ? mm_find(mm, address) : NULL;
    if (!v || v->start > address || !(v->prot & PROT_WRITE) || address >= mm_backed_end(v))
        return false;
    for (size_t i = snapshot.pages.count; i-- > 0;) {
        if (snapshot.pages.items[i].address == address)
            return false; /* the page is writable already, so that the fault has another reason */
    }
    if (snapshot.pages.count == snapshot.pages.capacity) {
        size_t old = snapshot.pages.capacity;

        vec_reserve(&snapshot.pages, 64);
        memset(snapshot.pages.items + old, 0, (snapshot.pages.capacity - old) * sizeof *p);
    }
    p = &snapshot.pages.items[snapshot.pages.count];
    if (!p->before) {
        p->before = mem_alloc(PAGE_SIZE);
        p->result = mem_alloc(PAGE_SIZE);
    }
    p->address = address;
    p->has_result = false;
    memcpy(p->before, mm->space.base + address, PAGE_SIZE);
    snapshot.pages.count++;
    platform_protect(mm->space.base + address, PAGE_SIZE, PROT_READ | PROT_WRITE);
    return true;
}

void
snapshot_keep_result(void)
{
    for (size_t i = 0; i < snapshot.pages.count; i++) {
        struct page *p = &snapshot.pages.items[i];

        memcpy(p->result, snapshot.mm->space.base + p->address, PAGE_SIZE);
        p->has_result = true;
    }
}

/* Rolls back in reverse order, because one page of a file may be mapped at two addresses, and the first copy of it is
 * the oldest. */
void
snapshot_roll_back(void)
{
    for (size_t i = snapshot.pages.count; i-- > 0;) {
        const struct page *p = &snapshot.pages.items[i];

        memcpy(snapshot.mm->space.base + p->address, p->before, PAGE_SIZE);
    }
}

static const uint8_t *
result_of(const struct page *p)
{
    return p->has_result ? p->result : p->before;
}

bool
snapshot_differs(uint64_t *address)
{
    bool found = false;

    for (size_t i = 0; i < snapshot.pages.count; i++) {
        const struct page *p = &snapshot.pages.items[i];
        const uint8_t *now = snapshot.mm->space.base + p->address, *result = result_of(p);

        if (memcmp(now, result, PAGE_SIZE) == 0)
            continue;
        for (unsigned at = 0; at < PAGE_SIZE; at++) {
            if (now[at] != result[at] && (!found || p->address + at < *address)) {
                *address = p->address + at;
                found = true;
                break;
            }
        }
    }
    return found;
}

void
snapshot_take_result(void)
{
    for (size_t i = 0; i < snapshot.pages.count; i++) {
        const struct page *p = &snapshot.pages.items[i];

        if (memcmp(snapshot.mm->space.base + p->address, result_of(p), PAGE_SIZE) != 0)
            memcpy(snapshot.mm->space.base + p->address, result_of(p), PAGE_SIZE);
    }
}

void
snapshot_end(void)
{
    protect(snapshot.mm, PROT_READ | PROT_WRITE);
    snapshot.mm = NULL;
}
