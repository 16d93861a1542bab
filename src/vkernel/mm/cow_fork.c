/* Forking a mapping of private anonymous memory: which chunks are shared (cow.h), and which pages are copied at
 * once. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rare.h"
#include "platform/platform.h"
#include "vkernel/mm/cow_internal.h"

/* Written pages are shared from this number on. Below it, the host calls and faults of sharing cost more than
 * copying. */
enum { SHARE_FROM = 256 };

/* Written pages of a mapping that lie in whole blocks are put on a shelf from this number on. Taking a block down costs
 * as much as protecting some 400 pages. */
enum { SHELVE_FROM = 1024 };

/* So many address spaces share a block on a shelf, and no more: whoever takes it down gives entries to each of them,
 * while all wait. */
enum { SHARERS_MOST = 64 };

/* What a fork does with a chunk: it copies it at once (COPY); shares one that is pending already (JOIN), or one that is
 * a view in which nothing was written since (VIEW); or begins to share it (SHARE). With its block it puts it on a shelf
 * (SHELVE), or shares what is there already (SHELVED). */
enum plan { PLAN_COPY, PLAN_JOIN, PLAN_VIEW, PLAN_SHARE, PLAN_SHELVE, PLAN_SHELVED };

/* What a fork has found in the chunks of the mapping that it is at, from the one on in which the mapping begins. There
 * is one fork at a time, because a fork does not sleep here. */
static uint16_t written[COW_CHUNKS] RARE; /* which pages were written; of chunks that are to be copied, which to copy */
static uint8_t plans[COW_CHUNKS] RARE;

struct sharing {
    struct mm *to, *from;
    const struct vma *v;
    uint64_t first, end; /* the chunks that are in the mapping, as a whole or in part */
    uint64_t offset;     /* offset in the file for the first of them */
};

static bool
may_share(const struct vma *v)
{
    return !cow_off && v->kind == VMA_ANON && !v->shared && !v->code && v->was_writable &&
           (v->prot & (PROT_READ | PROT_WRITE));
}

bool
cow_has_to_say(struct mm *from, const struct vma *v)
{
    return v->kind == VMA_ANON &&
           (cow_any(from, v->start, v->end) || (may_share(v) && v->end - v->start >= 2 * COW_CHUNK));
}

/* What a chunk is in the address space that forks (cow.h). */
enum state { PLAIN, PENDING, VIEW, SHELVED };

static enum state
state_of(const struct sharing *s, uint64_t number)
{
    const struct cow_entry *e = cow_entry_at(s->from, number);

    if (!e)
        return cow_share_at(s->from, number / COW_LEAF) ? SHELVED : PLAIN;
    return e->state == COW_PENDING ? PENDING : VIEW;
}

/* Chunks at the ends, of which other mappings may have a part, are never shared. */
static bool
is_whole(const struct sharing *s, uint64_t number)
{
    return number * COW_CHUNK >= s->v->start && (number + 1) * COW_CHUNK <= s->v->end;
}

/* Finds which pages of plain chunks and views were written. Returns how many, in whole chunks. */
static uint64_t
find_written(const struct sharing *s)
{
    uint64_t total = 0;

    for (uint64_t n = s->first, next; n < s->end; n = next) {
        enum state state = state_of(s, n);
        uint16_t *bits = &written[n - s->first];

        for (next = n + 1; next < s->end && state_of(s, next) == state; next++)
            ;
        if (state == PENDING || state == SHELVED)
            memset(bits, 0, (next - n) * sizeof *bits);
        else if (platform_written_pages(s->from->space.base + n * COW_CHUNK, (next - n) * COW_PAGES, state == PLAIN,
                                        bits) != 0)
            memset(bits, -1, (next - n) * sizeof *bits); /* nobody knows */
        for (uint64_t k = n; k < next; k++)
            total += is_whole(s, k) ? (unsigned)__builtin_popcount(written[k - s->first]) : 0;
    }
    return total;
}

/* Shares a few chunks without pages as well, where that spares host mappings. */
static void
fill_gaps(uint8_t *plan, uint64_t count)
{
    enum { GAP = 16 };
    uint64_t last = UINT64_MAX; /* the last chunk that is shared */

    for (uint64_t i = 0; i < count; i++) {
        if (plan[i] == PLAN_SHARE) {
            for (uint64_t k = last + 1; last != UINT64_MAX && i - last <= GAP && k < i; k++)
                if (plan[k] == PLAN_COPY)
                    plan[k] = PLAN_SHARE;
            last = i;
        } else if (plan[i] != PLAN_COPY) {
            last = UINT64_MAX;
        }
    }
}

/* Are all chunks of the block plain, and some of them to be shared? */
static bool
may_be_shelved(const struct sharing *s, uint64_t block)
{
    const uint32_t foreign = cow_foreign_at(s->from, block);
    bool any = false;

    if (foreign && ~foreign)
        return false; /* more mappings of the host's than a block on a shelf counts for */
    for (uint64_t n = block * COW_LEAF; n < (block + 1) * COW_LEAF; n++) {
        uint64_t i = n - s->first;

        if (cow_entry_at(s->from, n) || (plans[i] != PLAN_SHARE && (plans[i] != PLAN_COPY || written[i])))
            return false;
        any |= plans[i] == PLAN_SHARE;
    }
    return any;
}

/* Puts blocks on a shelf that were to be shared chunk by chunk, if they are many. */
static void
plan_shelf(const struct sharing *s)
{
    const uint64_t first = (s->v->start + COW_BLOCK - 1) / COW_BLOCK, end = s->v->end / COW_BLOCK;
    uint64_t total = 0;

    for (uint64_t b = first; b < end; b++)
        for (uint64_t n = b * COW_LEAF; n < (b + 1) * COW_LEAF; n++)
            total += plans[n - s->first] == PLAN_SHARE ? (unsigned)__builtin_popcount(written[n - s->first]) : 0;
    for (uint64_t b = first; b < end && total >= SHELVE_FROM; b++)
        if (may_be_shelved(s, b))
            memset(&plans[b * COW_LEAF - s->first], PLAN_SHELVE, COW_LEAF * sizeof *plans);
}

static void
make_plans(struct sharing *s)
{
    uint64_t total = find_written(s);
    bool share = total >= SHARE_FROM && may_share(s->v) && cow_file() >= 0 && cow_within_budget();

    if (share)
        s->offset = cow_file_room((s->end - s->first) * COW_CHUNK);
    share = share && s->offset != UINT64_MAX;

    for (uint64_t n = s->first; n < s->end; n++) {
        const struct cow_entry *e = cow_entry_at(s->from, n);
        uint64_t i = n - s->first;

        if (e && e->state == COW_PENDING)
            plans[i] = PLAN_JOIN;
        else if (cow_share_at(s->from, n / COW_LEAF))
            plans[i] = PLAN_SHELVED;
        else if (e && !written[i] && is_whole(s, n))
            plans[i] = PLAN_VIEW;
        else if (share && (e || written[i]) && is_whole(s, n))
            plans[i] = PLAN_SHARE;
        else
            plans[i] = PLAN_COPY;
        if (plans[i] == PLAN_COPY && e)
            written[i] |= e->chunk->pages; /* they are in the file, or private */
    }
    if (share) {
        plan_shelf(s);
        fill_gaps(plans, s->end - s->first);
    }
}

/* Makes both address spaces share what `from` has in this chunk. */
static bool
share_chunk(const struct sharing *s, uint64_t number)
{
    struct cow_entry *owner = cow_entry_new(s->from, number), *other = cow_entry_new(s->to, number);
    struct cow_chunk *c = owner && other ? cow_chunk_new() : NULL;

    if (!c)
        return false;
    c->pages = owner->chunk ? COW_ALL_PAGES : written[number - s->first];
    c->offset = s->offset + (number - s->first) * COW_CHUNK;
    c->base = owner->chunk;
    if (c->base)
        refcount_get(&c->base->refs);
    c->owner = owner;
    cow_entry_set(owner, c, COW_PENDING);
    c->owner = owner;
    cow_entry_set(other, c, COW_PENDING);
    cow_chunk_put(c);
    return true;
}

static bool
join_chunk(const struct sharing *s, uint64_t number, enum cow_state state)
{
    struct cow_entry *e = cow_entry_new(s->to, number);

    if (e)
        cow_entry_set(e, cow_entry_at(s->from, number)->chunk, state);
    return e != NULL;
}

static int
share_run(struct sharing *s, uint64_t from, uint64_t to)
{
    uint64_t at = from * COW_CHUNK, size = (to - from) * COW_CHUNK;
    int prot = mm_host_prot(s->v->prot);

    if (platform_map_none(s->to->space.base + at, size) < 0)
        return -ENOMEM;
    if (prot != PROT_READ && platform_protect(s->from->space.base + at, size, PROT_READ) < 0) {
        platform_protect(s->from->space.base + at, size, prot); /* it may have changed a part before it failed */
        return -ENOMEM;
    }
    for (uint64_t n = from; n < to; n++) {
        if (share_chunk(s, n))
            continue;
        /* The rest is not shared, so that its owner may write there. */
        platform_protect(s->from->space.base + n * COW_CHUNK, (to - n) * COW_CHUNK, prot);
        return -ENOMEM;
    }
    return 0;
}

/* As share_run(), of whole blocks. */
static int
shelve_run(struct sharing *s, uint64_t from, uint64_t to)
{
    if (platform_map_none(s->to->space.base + from * COW_CHUNK, (to - from) * COW_CHUNK) < 0)
        return -ENOMEM;
    if (cow_shelve(s->to, s->from, from / COW_LEAF, to / COW_LEAF, s->offset + (from - s->first) * COW_CHUNK))
        return 0;
    return share_run(s, from, to); /* the host has no addresses for a shelf, or more mappings there than we know */
}

static int
join_shelved(struct sharing *s, uint64_t from, uint64_t to)
{
    if (platform_map_none(s->to->space.base + from * COW_CHUNK, (to - from) * COW_CHUNK) < 0)
        return -ENOMEM;
    for (uint64_t b = from / COW_LEAF; b < to / COW_LEAF; b++)
        if (!cow_join_shelved(s->to, s->from, b))
            return -ENOMEM;
    return 0;
}

static int
join_run(struct sharing *s, uint64_t from, uint64_t to)
{
    if (platform_map_none(s->to->space.base + from * COW_CHUNK, (to - from) * COW_CHUNK) < 0)
        return -ENOMEM;
    for (uint64_t n = from; n < to; n++)
        if (!join_chunk(s, n, COW_PENDING))
            return -ENOMEM;
    return 0;
}

/* Views that are neighbours in the file as well become one host mapping. */
static int
view_run(struct sharing *s, uint64_t from, uint64_t to)
{
    for (uint64_t n = from, count; n < to; n += count) {
        uint64_t offset = cow_entry_at(s->from, n)->chunk->offset;

        for (count = 1; n + count < to; count++)
            if (cow_entry_at(s->from, n + count)->chunk->offset != offset + count * COW_CHUNK)
                break;
        if (platform_map_file(s->to->space.base + n * COW_CHUNK, count * COW_CHUNK, mm_host_prot(s->v->prot), false,
                              cow_file(), offset) < 0)
            return -ENOMEM;
        for (uint64_t k = n; k < n + count; k++)
            if (!join_chunk(s, k, COW_VIEW))
                return -ENOMEM;
    }
    return 0;
}

/* Copies what is written in these chunks, as far as they are in the mapping. */
static int
copy_run(const struct sharing *s, uint64_t from, uint64_t to)
{
    const uint64_t base = s->first * COW_PAGES;
    size_t first = (from * COW_CHUNK > s->v->start ? from * COW_CHUNK : s->v->start) / PAGE_SIZE - base;
    size_t count = (to * COW_CHUNK < s->v->end ? to * COW_CHUNK : s->v->end) / PAGE_SIZE - base;

    for (struct page_run run = {.end = first}; mm_next_run(written, true, count, &run);) {
        uint64_t at = (base + run.start) * PAGE_SIZE;

        if (!mm_copy_pages(s->to->space.base + at, s->from->space.base + at, (run.end - run.start) * PAGE_SIZE))
            return -ENOMEM;
    }
    return 0;
}

/* Carries out the plans of the chunks that are shared, or of those that are not. */
static int
carry_out(struct sharing *s, bool shared)
{
    int r = 0;

    for (uint64_t n = s->first, next; n < s->end && r == 0; n = next) {
        enum plan plan = plans[n - s->first];

        for (next = n + 1; next < s->end && plans[next - s->first] == plan; next++)
            ;
        if ((plan != PLAN_COPY) != shared)
            continue;
        if (plan == PLAN_SHARE)
            r = share_run(s, n, next);
        else if (plan == PLAN_JOIN)
            r = join_run(s, n, next);
        else if (plan == PLAN_VIEW)
            r = view_run(s, n, next);
        else if (plan == PLAN_SHELVE)
            r = shelve_run(s, n, next);
        else if (plan == PLAN_SHELVED)
            r = join_shelved(s, n, next);
        else
            r = copy_run(s, n, next);
    }
    return r;
}

/* Takes down the blocks that as many share as may. The forks from then on pay for the entries of their child
 * themselves. */
static bool
take_down_crowded(struct mm *mm, const struct vma *v)
{
    const uint64_t end = v->end / COW_BLOCK;

    for (uint64_t n = v->start / COW_BLOCK; (n = cow_next_share(mm, n, end)) < end; n++) {
        struct cow_share *share = cow_share_at(mm, n);

        if (share->block->sharers >= SHARERS_MOST && !cow_take_down(share))
            return false;
    }
    return true;
}

int
cow_fork_mapping(struct mm *to, struct mm *from, const struct vma *v)
{
    struct sharing s = {.to = to,
                        .from = from,
                        .v = v,
                        .first = v->start / COW_CHUNK,
                        .end = (v->end + COW_CHUNK - 1) / COW_CHUNK};
    int prot = mm_host_prot(v->prot), r;

    /* What is shared in many pieces would need as many host mappings in the child, for which there is no room now. */
    if (!cow_within_budget() && cow_flatten(from, v->start, v->end) < 0)
        return -ENOMEM;
    /* The blocks at the two ends, of which other mappings may have a part, cannot stay on a shelf. */
    if ((v->start % COW_BLOCK && !cow_take_down_range(from, v->start, v->start + 1)) ||
        (v->end % COW_BLOCK && !cow_take_down_range(from, v->end - 1, v->end)) || !take_down_crowded(from, v))
        return -ENOMEM;
    /* Nor can the chunks there stay pending. */
    if ((v->start % COW_CHUNK && !cow_settle(from, v->start, v->start + 1, true)) ||
        (v->end % COW_CHUNK && !cow_settle(from, v->end - 1, v->end, true)))
        return -ENOMEM;
    r = mm_host_map(to, v, v->start, v->end, PROT_READ | PROT_WRITE);
    if (r == 0 && prot == PROT_NONE)
        r = platform_protect(from->space.base + v->start, v->end - v->start, PROT_READ);
    if (r < 0)
        return r;
    make_plans(&s);
    r = carry_out(&s, false);
    if (prot == PROT_NONE && platform_protect(from->space.base + v->start, v->end - v->start, PROT_NONE) < 0)
        r = -ENOMEM;
    if (r == 0 && prot != (PROT_READ | PROT_WRITE))
        r = platform_protect(to->space.base + v->start, v->end - v->start, prot);
    return r == 0 ? carry_out(&s, true) : r;
}
