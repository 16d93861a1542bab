/* The copy of an address space at fork: shared and file mappings are mapped again, and of private memory only pages
 * that were written are copied, or shared where they are many (cow_fork.c). The host's page map tells which. The others
 * of a private mapping follow their file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/mm/cow_internal.h"
#include "vkernel/mm/mm_internal.h"

bool
mm_copy_pages(uint8_t *to, const uint8_t *from, uint64_t size)
{
    enum { POPULATE_FROM = 4 * PAGE_SIZE };

    for (uint64_t piece; size > 0; to += piece, from += piece, size -= piece) {
        piece = size < MEMORY_PIECE ? size : MEMORY_PIECE;
        if (!mm_hooks.brought_in(piece))
            return false;
        if (piece >= POPULATE_FROM)
            platform_populate(to, piece);
        /* A page of a file that the host cut off meanwhile is gone for both. */
        for (uint64_t done = 0; done < piece; done += PAGE_SIZE)
            done += platform_copy(to + done, from + done, piece - done) & ~(uint64_t)(PAGE_SIZE - 1);
    }
    return true;
}

/* Copies those pages that were written; where nobody knows which, everything readable. */
static bool
copy_written(uint8_t *to, const uint8_t *from, uint64_t size, bool anonymous)
{
    struct written_pages w = {.host = from, .pages = size / PAGE_SIZE, .anonymous = anonymous};

    while (mm_next_batch(&w)) {
        for (struct page_run run = {0}; mm_next_run(w.bits, true, w.count, &run);) {
            uint64_t at = (w.first + run.start) * PAGE_SIZE;

            if (!mm_copy_pages(to + at, from + at, (run.end - run.start) * PAGE_SIZE))
                return false;
        }
    }
    return true;
}

/* A mapping of the host for each run of pages: of the first RUNS_MAX, as their number is limited for all guests
 * together. */
void
mm_map_clean_again(struct mm *mm, const struct vma *v)
{
    enum { RUNS_MAX = 1024 };
    MM_STILL(mm); /* a page that is written after the page map was read is not clean */
    struct written_pages w = {.host = mm->space.base + v->start, .pages = (mm_backed_end(v) - v->start) / PAGE_SIZE};
    unsigned runs = 0;

    while (mm_next_batch(&w) && w.known) {
        for (struct page_run run = {0}; mm_next_run(w.bits, false, w.count, &run);) {
            uint64_t at = v->start + w.first * PAGE_SIZE;

            if (runs++ == RUNS_MAX)
                return;
            mm_host_map(mm, v, at + run.start * PAGE_SIZE, at + run.end * PAGE_SIZE, mm_host_prot(v->prot));
        }
    }
}

int
mm_copy_mapping(struct mm *to, const struct vma *at, struct mm *from, const struct vma *v)
{
    int prot = mm_host_prot(v->prot), r;
    bool copy = !v->shared && v->was_writable;
    size_t size = mm_backed_end(v) - v->start;

    r = mm_host_map(to, at, at->start, at->end, copy ? PROT_READ | PROT_WRITE : prot);
    if (r < 0 || !copy)
        return r;
    if (prot == PROT_NONE && (r = platform_protect(from->space.base + v->start, size, PROT_READ)) < 0)
        return r;
    if (!copy_written(to->space.base + at->start, from->space.base + v->start, size, v->kind == VMA_ANON))
        r = -ENOMEM;
    if (prot == PROT_NONE && platform_protect(from->space.base + v->start, size, PROT_NONE) < 0)
        r = -ENOMEM;
    if (r == 0 && prot != (PROT_READ | PROT_WRITE))
        r = platform_protect(to->space.base + at->start, size, prot);
    return r;
}

static int
fork_mapping(struct mm *to, struct mm *from, const struct vma *v)
{
    int prot = mm_host_prot(v->prot);

    /* Verified code stays the bytes that were verified, whatever happened to the file since. */
    if (v->code)
        return mm_code_host_map(to, v);
    if (v->kind == VMA_ANON && prot == PROT_NONE && !v->was_writable)
        return 0; /* the reservation is that already */
    if (v->wipe_on_fork)
        return mm_host_map(to, v, v->start, v->end, prot);
    return cow_has_to_say(from, v) ? cow_fork_mapping(to, from, v) : mm_copy_mapping(to, v, from, v);
}

/* What the copy has of the original beside mappings and pages. */
static void
inherit(struct mm *to, struct mm *from)
{
    to->brk_start = from->brk_start;
    to->brk = from->brk;
    to->arg_start = from->arg_start;
    to->arg_end = from->arg_end;
    to->env_start = from->env_start;
    to->env_end = from->env_end;
    to->auxv_start = from->auxv_start;
    to->auxv_end = from->auxv_end;
    to->stack_start = from->stack_start;
    to->sealed = from->sealed;
    to->membarriers = from->membarriers;
}

/* Gives `to`, which is new, all mappings and their pages. */
static bool
fork_mappings(struct mm *to, struct mm *from)
{
    bool without_code = false;

    MM_EACH(v, from) {
        struct vma *copy;

        if (v->dont_fork) {
            without_code |= v->code != NULL;
            continue;
        }
        copy = mm_vma_insert(to, v);
        if (!copy || fork_mapping(to, from, v) < 0)
            return false;
        copy->locked = false;
        mm_account(to, copy, true);
    }
    if (!mm_breakpoints_fork(to, from))
        return false;
    /* Where code is missing there, the evaluator runs the rest. */
    for (struct list *p = from->code_maps.next; p != &from->code_maps && !without_code; p = p->next) {
        if (mm_code_map_add(to, list_entry(p, struct code_map, link)) < 0)
            return false;
    }
    if (!without_code) {
        to->code_generation = from->code_generation;
        to->code_shared = from->code_shared = true;
    }
    return true;
}

struct mm *
mm_fork(struct mm *from)
{
    MM_STILL(from); /* what the page map says of written pages holds until they are copied or protected */
    struct mm *to = mm_take_spare(from);

    if (to) {
        inherit(to, from);
        return to;
    }
    to = mm_new();
    if (!to)
        return NULL;
    inherit(to, from);
    if (from->eval) {
        to->eval = from->eval;
        to->eval_refs = from->eval_refs;
        refcount_get(to->eval_refs);
    }
    if (!fork_mappings(to, from)) {
        mm_put(to);
        return NULL;
    }
    mm_is_copy(to, from);
    return to;
}
