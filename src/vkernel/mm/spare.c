/* Spares: address spaces of forked children that are gone, kept for the next fork of the same parent.
 *
 * Most of a small fork is mapping everything again, and most of a child's end is unmapping it. As long as neither the
 * parent's mappings nor the child's are others than they were at the fork, the child's address space differs from what
 * the next child must see only in pages of mappings that can be written: those that the parent has written are copied
 * over, and those that only the old child had written are discarded. Pages of mappings that cannot be written are what
 * they were at the fork, because whoever could change them changes the mapping first.
 *
 * What must hold is in one field: mm->origin is the address space that this one is a copy of, and is NULL once
 * mm_changed() was called for either of them. So a spare maps nothing that its parent does not map as well, and keeps
 * no file and no other memory alive. Spares are few and small, and the first to go when memory, address space or the
 * host's mappings are short. */
#include <string.h>
#include <sys/mman.h>

#include "base/rare.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/mm/cow_internal.h"
#include "vkernel/mm/mm_internal.h"
#include "vkernel/vfs/vfs.h"

enum { SPARES = 8, SPARE_MAPPINGS = 256, SPARE_PAGES = 256 };
enum { SPARE_DATA = 32 << 10 }; /* pages: where the host's page map is read, that takes time for each */

struct spare {
    struct list of_origin, all; /* in mm.spares of its origin; in all_spares, the oldest first */
    struct mm *mm;              /* owned; nobody has a reference */
    unsigned count;
    uint32_t pages[SPARE_PAGES]; /* address / PAGE_SIZE of each page that was written, in order */
};

static struct list all_spares = {&all_spares, &all_spares};
static unsigned spares;

OBJECT_POOL(spare);

static void
take_off_lists(struct spare *s)
{
    list_remove(&s->of_origin);
    list_remove(&s->all);
    spares--;
}

static void
free_copy(struct mm *mm)
{
    list_remove(&mm->copy_link);
    mm_free(mm);
}

static void
drop(struct spare *s)
{
    struct mm *mm = s->mm;

    take_off_lists(s);
    OBJECT_FREE(spare, s);
    free_copy(mm);
}

void
mm_drop_spares(void)
{
    while (!list_empty(&all_spares))
        drop(list_entry(all_spares.next, struct spare, all));
}

/* None of its copies is one any more. */
static void
release_copies(struct mm *mm)
{
    while (!list_empty(&mm->spares))
        drop(list_entry(mm->spares.next, struct spare, of_origin));
    while (!list_empty(&mm->copies)) {
        struct mm *copy = list_entry(mm->copies.next, struct mm, copy_link);

        list_remove(&copy->copy_link);
        copy->origin = NULL;
    }
}

void
mm_changed(struct mm *mm)
{
    mm->changes++;
    if (mm->origin) {
        list_remove(&mm->copy_link);
        mm->origin = NULL;
    }
    release_copies(mm);
}

void
mm_is_copy(struct mm *mm, struct mm *origin)
{
    mm->origin = origin;
    list_append(&origin->copies, &mm->copy_link);
}

/* May pages of the mapping differ between an address space and its copy? */
static bool
may_differ(const struct vma *v)
{
    return (v->prot & PROT_WRITE) && !v->shared && !v->code && !v->dont_fork;
}

/* Calls f for each batch of pages of mappings that may differ; page: the number of the first in the address space. */
static bool
each_batch(struct mm *mm, bool (*f)(void *with, const struct vma *v, uint64_t page, struct written_pages *batch),
           void *with)
{
    MM_EACH(v, mm) {
        struct written_pages w = {.host = mm->space.base + v->start, .anonymous = v->kind == VMA_ANON};

        w.pages = may_differ(v) ? (mm_backed_end(v) - v->start) / PAGE_SIZE : 0;
        while (mm_next_batch(&w))
            if (!w.known || !f(with, v, v->start / PAGE_SIZE + w.first, &w))
                return false;
    }
    return true;
}

static bool
note_pages(void *with, const struct vma *v, uint64_t page, struct written_pages *batch)
{
    struct spare *s = with;

    for (struct page_run run = {0}; mm_next_run(batch->bits, true, batch->count, &run);) {
        if (run.end - run.start > SPARE_PAGES - s->count)
            return false;
        for (size_t i = run.start; i < run.end; i++)
            s->pages[s->count++] = (uint32_t)(page + i);
    }
    return true;
}

/* Both run the same code, in the evaluator too. */
static bool
is_same_code(const struct mm *a, const struct mm *b)
{
    return a->code_generation == b->code_generation && a->eval == b->eval;
}

bool
mm_keep_as_spare(struct mm *mm)
{
    struct mm *origin = mm->origin;
    struct spare *s;

    if (!origin || mm->counted || mm->cow || origin->cow || cow_off || mm->count > SPARE_MAPPINGS ||
        mm->data_pages > SPARE_DATA || !is_same_code(mm, origin))
        return false;
    release_copies(mm);
    s = OBJECT_NEW(spare);
    if (!s)
        return false;
    if (!each_batch(mm, note_pages, s)) {
        OBJECT_FREE(spare, s);
        return false;
    }
    if (spares == SPARES)
        drop(list_entry(all_spares.next, struct spare, all));
    s->mm = mm;
    list_append(&origin->spares, &s->of_origin);
    list_append(&all_spares, &s->all);
    spares++;
    return true;
}

struct refill {
    struct mm *to, *from;
    const struct spare *spare;
    unsigned next;   /* in spare->pages: the first that was not looked at */
    uint64_t copied; /* pages */
};

/* Discards the spare's pages of the batch that the parent has not written. Pages that no batch has any more were behind
 * the end of a file that became shorter, and went with it. */
static bool
discard_others(struct refill *r, uint64_t page, const struct written_pages *batch)
{
    for (; r->next < r->spare->count && r->spare->pages[r->next] < page + batch->count; r->next++) {
        uint64_t at = r->spare->pages[r->next], i = at - page;

        if (at < page || batch->bits[i / 16] >> i % 16 & 1)
            continue;
        if (platform_discard(r->to->space.base + at * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED) < 0)
            return false;
    }
    return true;
}

static bool
refill_batch(void *with, const struct vma *v, uint64_t page, struct written_pages *batch)
{
    struct refill *r = with;

    if (v->wipe_on_fork)
        memset(batch->bits, 0, (batch->count + 15) / 16 * sizeof *batch->bits);
    if (!discard_others(r, page, batch))
        return false;
    for (struct page_run run = {0}; mm_next_run(batch->bits, true, batch->count, &run);) {
        uint64_t at = (page + run.start) * PAGE_SIZE, size = (run.end - run.start) * PAGE_SIZE;

        r->copied += run.end - run.start;
        if (r->copied > SPARE_PAGES || platform_copy(r->to->space.base + at, r->from->space.base + at, size) != size)
            return false;
    }
    return true;
}

struct mm *
mm_take_spare(struct mm *from)
{
    struct refill r = {.from = from};
    struct spare *s;
    bool done;

    if (list_empty(&from->spares))
        return NULL;
    s = list_entry(from->spares.prev, struct spare, of_origin);
    take_off_lists(s); /* brought_in() may drop all spares */
    r.to = s->mm;
    r.spare = s;
    done = !from->cow && !cow_off && is_same_code(from, s->mm) && each_batch(from, refill_batch, &r) &&
           mm_hooks.brought_in(r.copied * PAGE_SIZE);
    OBJECT_FREE(spare, s);
    if (!done) {
        free_copy(r.to);
        return NULL;
    }
    refcount_init(&r.to->refs);
    r.to->number = object_number();
    r.to->lock_future = false;
    return r.to;
}
