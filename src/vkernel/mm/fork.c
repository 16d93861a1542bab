/* The copy of an address space at fork: shared and file mappings are mapped again, and of private memory only pages
 * that were written are copied. The host's page map tells which. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/platform.h"
#include "vkernel/fs/file.h"
#include "vkernel/mm/mm_internal.h"

enum { BATCH = 2048 };

static void
copy_run(struct mm *to, struct mm *from, uint64_t start, uint64_t size)
{
    enum { POPULATE_FROM = 4 * MM_PAGE };

    if (size >= POPULATE_FROM)
        platform_populate(to->base + start, size);
    /* A page of a file that the host cut off meanwhile is gone for both. */
    for (uint64_t done = 0; done < size; done += MM_PAGE)
        done += platform_copy(to->base + start + done, from->base + start + done, size - done) & ~(uint64_t)(MM_PAGE - 1);
}

static void
copy_dirty(struct mm *to, struct mm *from, const struct vma *v)
{
    static uint64_t entries[BATCH];
    uint64_t run = 0, run_end = 0, end = mm_backed_end(v);

    for (uint64_t at = v->start; at < end; at += (uint64_t)BATCH * MM_PAGE) {
        size_t pages = (end - at) / MM_PAGE;
        int r;

        if (pages > BATCH)
            pages = BATCH;
        r = platform_dirty_pages(from->base + at, pages, entries);
        for (size_t i = 0; i < pages; i++) {
            uint64_t page = at + i * MM_PAGE;

            /* Without a page map everything readable is copied. */
            if (r == 0 && !platform_entry_dirty(entries[i]))
                continue;
            if (page != run_end) {
                if (run_end)
                    copy_run(to, from, run, run_end - run);
                run = page;
            }
            run_end = page + MM_PAGE;
        }
    }
    if (run_end)
        copy_run(to, from, run, run_end - run);
}

static int
fork_mapping(struct mm *to, struct mm *from, const struct vma *v)
{
    int prot = mm_host_prot(v->prot), r;
    bool copy = !v->shared && v->was_writable && !v->wipe_on_fork;
    size_t size = mm_backed_end(v) - v->start;

    /* Verified code stays the bytes that were verified, whatever happened to the file since. */
    if (v->code)
        return mm_code_host_map(to, v, from->base + v->start);
    if (v->kind == VMA_ANON && prot == PROT_NONE && !copy)
        return 0; /* the reservation is that already */
    r = mm_host_map(to, v, v->start, v->end, copy ? PROT_READ | PROT_WRITE : prot);
    if (r < 0 || !copy)
        return r;
    if (prot == PROT_NONE)
        platform_protect(from->base + v->start, size, PROT_READ);
    copy_dirty(to, from, v);
    if (prot == PROT_NONE)
        platform_protect(from->base + v->start, size, PROT_NONE);
    if (prot != (PROT_READ | PROT_WRITE))
        r = platform_protect(to->base + v->start, size, prot);
    return r;
}

struct mm *
mm_fork(struct mm *from)
{
    struct mm *to = mm_new();

    if (!to)
        return NULL;
    to->brk_start = from->brk_start;
    to->brk = from->brk;
    to->arg_start = from->arg_start;
    to->arg_end = from->arg_end;
    to->env_start = from->env_start;
    to->env_end = from->env_end;
    to->auxv_start = from->auxv_start;
    to->auxv_end = from->auxv_end;
    to->stack_start = from->stack_start;
    to->vma = malloc(from->capacity * sizeof *to->vma);
    if (!to->vma)
        goto fail;
    to->capacity = from->capacity;
    if (from->eval) {
        to->eval = from->eval;
        to->eval_refs = from->eval_refs;
        refcount_get(to->eval_refs);
    }
    for (unsigned i = 0; i < from->count; i++) {
        struct vma *v = &from->vma[i];

        if (v->dont_fork)
            continue;
        to->vma[to->count] = *v;
        vma_refs_get(v);
        to->count++;
        to->total_pages += (v->end - v->start) / MM_PAGE;
        if (fork_mapping(to, from, v) < 0)
            goto fail;
    }
    LIST_EACH(p, &from->code_maps) {
        struct code_map *m = list_entry(p, struct code_map, link);

        if (mm_code_map_add(to, m->at, m->size, m->file_offset) < 0)
            goto fail;
    }
    return to;

fail:
    mm_put(to);
    return NULL;
}
