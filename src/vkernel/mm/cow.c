/* Chunks that forks left shared (cow.h): their tables, and how they are resolved when somebody writes or reads. */
#include "vkernel/mm/cow_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rare.h"
#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/platform.h"
#include "vkernel/sched/kernel_time.h"

bool cow_off;

OBJECT_POOL(cow_chunk);
OBJECT_POOL(cow_leaf);
OBJECT_POOL(cow_space);

static struct list spaces = {&spaces, &spaces};
static unsigned borders; /* borders between neighbouring chunks that are different host mappings */

/* --- the file of shared pages --- */

#define FILE_SIZE (1ull << 62)

static int descriptor = -1;

int
cow_file(void)
{
    if (descriptor < 0)
        descriptor = host_memfd("ingot-shared-pages", FILE_SIZE);
    return descriptor;
}

/* Returns a part of the file that was never used. Offsets are not used again: if a mapping were left by mistake it
 * would show zeros, and never what is somebody else's. There are enough offsets for two thousand million forks of whole
 * address spaces. */
uint64_t
cow_file_room(uint64_t size)
{
    static uint64_t next;
    uint64_t at = next;

    if (size > FILE_SIZE - next)
        return UINT64_MAX;
    next += size;
    return at;
}

uint64_t
cow_memory_used(void)
{
    struct stat st;

    return descriptor >= 0 && host_fstat(descriptor, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* Chunks are mostly freed in order, so that one call to the host can give back many. This range is freed but not yet
 * given back. */
static struct {
    uint64_t start, end;
} freed;

static void
punch_freed(void)
{
    if (freed.start < freed.end)
        host_punch(descriptor, freed.start, freed.end - freed.start);
    freed.start = freed.end = 0;
}

static void
punch_later(uint64_t offset, uint64_t size)
{
    if (freed.end != offset) {
        punch_freed();
        freed.start = offset;
    }
    freed.end = offset + size;
}

/* --- tables --- */

struct cow_entry *
cow_entry_at(const struct mm *mm, uint64_t number)
{
    struct cow_leaf *leaf = mm->cow && number < COW_CHUNKS ? mm->cow->leaves[number / COW_LEAF] : NULL;
    struct cow_entry *e = leaf ? &leaf->entries[number % COW_LEAF] : NULL;

    return e && e->chunk ? e : NULL;
}

struct cow_space *
cow_space_of(struct mm *mm)
{
    struct cow_space *s = mm->cow ? mm->cow : OBJECT_NEW(cow_space);

    if (!s || mm->cow)
        return s;
    s->leaves = array_new(COW_BLOCKS, sizeof(struct cow_leaf *));
    if (!s->leaves) {
        OBJECT_FREE(cow_space, s);
        return NULL;
    }
    s->mm = mm;
    list_append(&spaces, &s->link);
    mm->cow = s;
    return s;
}

struct cow_entry *
cow_entry_new(struct mm *mm, uint64_t number)
{
    struct cow_space *s = cow_space_of(mm);
    struct cow_leaf **leaf;

    if (!s)
        return NULL;
    leaf = &s->leaves[number / COW_LEAF];
    if (!*leaf) {
        *leaf = OBJECT_NEW(cow_leaf);
        if (!*leaf)
            return NULL;
        for (uint32_t i = 0; i < COW_LEAF; i++) {
            list_init(&(*leaf)->entries[i].link);
            (*leaf)->entries[i].space = s;
            (*leaf)->entries[i].number = (uint32_t)(number / COW_LEAF * COW_LEAF + i);
        }
    }
    return &(*leaf)->entries[number % COW_LEAF];
}

struct cow_chunk *
cow_chunk_new(void)
{
    struct cow_chunk *c = OBJECT_NEW(cow_chunk);

    if (c) {
        refcount_init(&c->refs);
        list_init(&c->entries);
    }
    return c;
}

/* A chunk that is the base of another is in the file, and has no base itself. */
static void
chunk_free(struct cow_chunk *c)
{
    if (c->in_file)
        punch_later(c->offset, COW_CHUNK);
    OBJECT_FREE(cow_chunk, c);
}

void
cow_chunk_put(struct cow_chunk *c)
{
    struct cow_chunk *base = c->base;

    if (!refcount_put(&c->refs))
        return;
    chunk_free(c);
    if (base && refcount_put(&base->refs))
        chunk_free(base);
}

uint32_t
cow_foreign_at(const struct mm *mm, uint64_t number)
{
    return mm->cow && mm->cow->foreign && number < COW_BLOCKS ? mm->cow->foreign[number].chunks : 0;
}

static bool
is_foreign(const struct mm *mm, uint64_t number)
{
    return cow_foreign_at(mm, number / COW_LEAF) >> number % COW_LEAF & 1;
}

/* A number for what the host has mapped at a chunk. Neighbours with the same number are one host mapping. */
static uint64_t
host_kind(const struct mm *mm, uint64_t number)
{
    enum { PLAIN, NONE, READ_ONLY, READ_ONLY_VIEW, VIEW, FOREIGN = 8 };
    const struct cow_entry *e = cow_entry_at(mm, number);
    uint64_t at = number * COW_CHUNK, own = 0;

    if (!e && cow_share_at(mm, number / COW_LEAF))
        return NONE;
    if (e && e->state == COW_VIEW)
        return (e->chunk->offset - at) | VIEW;
    if (e && e->chunk->owner != e)
        return NONE;
    if (e && e->chunk->base)
        return (e->chunk->base->offset - at) | READ_ONLY_VIEW;
    if (is_foreign(mm, number))
        own = (uint64_t)mm->cow->foreign[number / COW_LEAF].move << 8 | FOREIGN;
    return own | (e ? READ_ONLY : PLAIN);
}

static unsigned
borders_at(const struct cow_entry *e)
{
    uint64_t here = host_kind(e->space->mm, e->number);

    return (here != host_kind(e->space->mm, (uint64_t)e->number - 1)) +
           (here != host_kind(e->space->mm, (uint64_t)e->number + 1));
}

/* Makes the entry one of the chunk c; if c is NULL, the entry becomes plain. */
void
cow_entry_set(struct cow_entry *e, struct cow_chunk *c, enum cow_state state)
{
    struct cow_chunk *old = e->chunk;

    borders -= borders_at(e);
    if (c != old && c) {
        refcount_get(&c->refs);
        c->sharers++;
    }
    if (c != old && old) {
        list_remove(&e->link);
        old->sharers--;
        if (old->owner == e)
            old->owner = NULL;
    }
    if (c != old && c)
        list_append(&c->entries, &e->link);
    e->space->count += !old && c;
    e->space->count -= old && !c;
    e->chunk = c;
    e->state = (uint8_t)state;
    borders += borders_at(e);
    if (c != old && old)
        cow_chunk_put(old);
}

static unsigned
borders_around(const struct mm *mm, uint64_t block)
{
    uint64_t first = block * COW_LEAF, last = first + COW_LEAF - 1;

    return (host_kind(mm, first - 1) != host_kind(mm, first)) + (host_kind(mm, last) != host_kind(mm, last + 1));
}

void
cow_share_set(struct cow_space *s, uint64_t number, struct cow_share *share)
{
    borders -= borders_around(s->mm, number);
    s->shares[number] = share;
    borders += borders_around(s->mm, number);
}

bool
cow_foreign_room(struct cow_space *s)
{
    if (!s->foreign)
        s->foreign = array_new(COW_BLOCKS, sizeof *s->foreign);
    return s->foreign != NULL;
}

/* The borders of the block's chunks with each other and with those around. */
static unsigned
borders_within(const struct mm *mm, uint64_t block)
{
    unsigned n = 0;

    for (uint64_t k = block * COW_LEAF; k <= (block + 1) * COW_LEAF; k++)
        n += host_kind(mm, k - 1) != host_kind(mm, k);
    return n;
}

void
cow_foreign_set(struct cow_space *s, uint64_t number, uint32_t chunks, uint32_t move)
{
    borders -= borders_within(s->mm, number);
    s->foreign[number] = (struct cow_foreign){.chunks = chunks, .move = move};
    borders += borders_within(s->mm, number);
}

/* The host's pages of the chunk were replaced, or are about to be. */
static void
set_native(struct mm *mm, uint64_t number)
{
    const struct cow_foreign *f = is_foreign(mm, number) ? &mm->cow->foreign[number / COW_LEAF] : NULL;

    if (f)
        cow_foreign_set(mm->cow, number / COW_LEAF, f->chunks & ~(1u << number % COW_LEAF), f->move);
}

void
cow_borders_add(int more)
{
    borders += (unsigned)more;
}

unsigned
cow_host_mappings(void)
{
    return borders;
}

bool
cow_within_budget(void)
{
    return borders < platform_mapping_limit() / 4 && borders < mm_host_mappings_left();
}

/* --- resolving --- */

enum { AT_ONCE_MOST = 4 }; /* chunks; a write then waits for some 0.12 ms of copying */

static uint64_t
address_of(const struct cow_entry *e)
{
    return (uint64_t)e->number * COW_CHUNK;
}

static uint8_t *
host_of(const struct cow_entry *e)
{
    return e->space->mm->space.base + address_of(e);
}

/* The host protection that the chunk's mapping asks for. All mappings that a pending chunk lies in have the same one,
 * because whoever changes a protection settles the chunk first. */
static int
host_prot_of(const struct cow_entry *e)
{
    const struct vma *v = mm_at(e->space->mm, address_of(e));

    return v ? mm_host_prot(v->prot) : PROT_NONE;
}

/* Is this the last entry of a chunk whose content is in the entry's own pages? */
static bool
is_left_over(const struct cow_entry *e)
{
    return e && e->state == COW_PENDING && e->chunk->owner == e && e->chunk->sharers == 1;
}

static void
become_own_again(struct cow_entry *e)
{
    cow_entry_set(e, e->chunk->base, COW_VIEW);
}

/* All others have their own copy, so that the owner may write again. The same is done for the neighbours within 2 MiB
 * for which that is true. */
static bool
reuse(struct cow_entry *e)
{
    enum { AT_ONCE = 32 }; /* what is not written to until the next fork need not be protected again there */
    struct mm *mm = e->space->mm;
    const struct vma *v = mm_at(mm, address_of(e));
    uint64_t first = e->number, last = e->number;

    if (!v)
        return false;
    while (first % AT_ONCE && (first - 1) * COW_CHUNK >= v->start && is_left_over(cow_entry_at(mm, first - 1)))
        first--;
    while ((last + 1) % AT_ONCE && (last + 2) * COW_CHUNK <= v->end && is_left_over(cow_entry_at(mm, last + 1)))
        last++;
    if (platform_protect(mm->space.base + first * COW_CHUNK, (last + 1 - first) * COW_CHUNK, mm_host_prot(v->prot)) < 0)
        return false;
    for (uint64_t n = first; n <= last; n++)
        become_own_again(cow_entry_at(mm, n));
    return true;
}

/* Calls f for each run of the chunk's pages that may be other than zero. */
static bool
each_run(struct cow_chunk *c, bool (*f)(struct cow_chunk *c, void *with, uint64_t from, uint64_t size), void *with)
{
    for (unsigned i = 0, n; i < COW_PAGES; i += n) {
        n = 1;
        if (!(c->pages >> i & 1))
            continue;
        while (i + n < COW_PAGES && (c->pages >> (i + n) & 1))
            n++;
        if (!f(c, with, (uint64_t)i * PAGE_SIZE, (uint64_t)n * PAGE_SIZE))
            return false;
    }
    return true;
}

static bool
copy_run(struct cow_chunk *c, void *to, uint64_t from, uint64_t size)
{
    platform_populate((uint8_t *)to + from, size);
    return platform_copy((uint8_t *)to + from, host_of(c->owner) + from, size) == size;
}

/* How many chunks from e's on, but no more than `most`, are like it, which two share, and e is not the owner's? */
static unsigned
alike(const struct cow_entry *e, unsigned most)
{
    const struct cow_entry *next = e;
    const struct vma *v = mm_at(e->space->mm, address_of(e));
    unsigned n = 1;

    if (!v || e->chunk->sharers != 2)
        return 1;
    for (; n < most && (e->number + n) % COW_LEAF && address_of(e) + (n + 1) * COW_CHUNK <= v->end; n++) {
        next = cow_entry_at(e->space->mm, e->number + n);
        if (!next || next->state != COW_PENDING || next->chunk->sharers != 2 || !next->chunk->owner ||
            next->chunk->owner->space != e->chunk->owner->space)
            break;
    }
    return n;
}

/* Makes a copy of the owner's pages for an entry that shares them and has none of its own yet, and for up to `most`
 * chunks from that one on. Zeros need no owner. */
static bool
give_copy(struct cow_entry *e, unsigned most)
{
    MM_STILL(e->space->mm); /* the pages can be accessed before they are filled */
    unsigned count = e->chunk->owner ? alike(e, most) : e->chunk->pages == 0;
    int prot = host_prot_of(e);
    bool done = count && platform_protect(host_of(e), count * COW_CHUNK, PROT_READ | PROT_WRITE) == 0;

    if (!done)
        return false;
    for (unsigned i = 0; i < count && done; i++) {
        struct cow_entry *one = cow_entry_at(e->space->mm, e->number + i);

        done = each_run(one->chunk, copy_run, host_of(one));
    }
    if (done && prot != (PROT_READ | PROT_WRITE))
        done = platform_protect(host_of(e), count * COW_CHUNK, prot) == 0;
    if (!done)
        platform_map_none(host_of(e), count * COW_CHUNK);
    for (unsigned i = 0; i < count && done; i++)
        cow_entry_set(cow_entry_at(e->space->mm, e->number + i), NULL, COW_PENDING);
    return done;
}

static bool
write_run(struct cow_chunk *c, void *unused, uint64_t from, uint64_t size)
{
    for (long n; size > 0; from += (uint64_t)n, size -= (uint64_t)n) {
        n = platform_write_at(descriptor, host_of(c->owner) + from, size, c->offset + from);
        if (n <= 0)
            return false;
    }
    return true;
}

static bool
to_file(struct cow_chunk *c)
{
    if (cow_file() >= 0 && each_run(c, write_run, NULL))
        return true;
    punch_later(c->offset, COW_CHUNK);
    return false;
}

/* Writes the content to the file, which the owner maps from then on. */
static bool
share_by_file(struct cow_chunk *c)
{
    struct cow_entry *owner = c->owner;
    struct cow_chunk *base = c->base;

    if (!owner || !to_file(c))
        return false;
    if (platform_map_file(host_of(owner), COW_CHUNK, host_prot_of(owner), false, descriptor, c->offset) < 0) {
        punch_later(c->offset, COW_CHUNK);
        return false;
    }
    borders -= borders_at(owner);
    c->owner = NULL;
    c->base = NULL;
    c->in_file = true;
    owner->state = COW_VIEW;
    borders += borders_at(owner);
    set_native(owner->space->mm, owner->number);
    if (base)
        cow_chunk_put(base);
    return true;
}

/* Maps what is in the file, also for those pending neighbours behind it that are next to it in the file. */
static bool
view(struct cow_entry *e)
{
    enum { AHEAD = 64 };
    struct mm *mm = e->space->mm;
    const struct vma *v = mm_at(mm, address_of(e));
    uint64_t first = e->number, last = first, offset = e->chunk->offset;

    if (!v)
        return false;
    for (struct cow_entry *n; last < first + AHEAD && (last + 2) * COW_CHUNK <= v->end; last++) {
        n = cow_entry_at(mm, last + 1);
        if (!n || n->state != COW_PENDING || !n->chunk->in_file ||
            n->chunk->offset != offset + (last + 1 - first) * COW_CHUNK)
            break;
    }
    if (platform_map_file(mm->space.base + first * COW_CHUNK, (last + 1 - first) * COW_CHUNK, mm_host_prot(v->prot),
                          false, descriptor, offset) < 0)
        return false;
    for (uint64_t n = first; n <= last; n++) {
        struct cow_entry *one = cow_entry_at(mm, n);

        cow_entry_set(one, one->chunk, COW_VIEW);
    }
    return true;
}

/* Makes copies for all entries but the owner's; where that is one, of up to `most` chunks. */
static bool
give_copies(struct cow_chunk *c, unsigned most)
{
    LIST_EACH_SAFE(p, &c->entries) {
        struct cow_entry *e = list_entry(p, struct cow_entry, link);

        if (e != c->owner && !give_copy(e, most))
            return false;
    }
    return true;
}

static bool
resolve_owner(struct cow_entry *e, unsigned most)
{
    struct cow_chunk *c = e->chunk;

    if (c->sharers > 2 && c->pages && share_by_file(c))
        return true;
    if (c->sharers > 2 && !c->pages)
        return reuse(e); /* the others, who may be many, have their zeros without an owner */
    return give_copies(c, most) && reuse(e);
}

/* Resolves a pending chunk: the host gives what the mapping allows. If two share it and one of them writes, the one
 * that is not the owner gets a copy. For reads, and for writes where more than two share it, the content goes to the
 * file. What is zeros alone never goes there, because a page of the file takes memory as soon as it is read. Up to
 * `most` chunks that are like this one may be resolved with it. */
static bool
resolve(struct cow_entry *e, bool write, unsigned most)
{
    struct cow_chunk *c = e->chunk;

    if (c->owner == e)
        return !write || resolve_owner(e, most);
    if (!c->in_file && c->pages && (!write || c->sharers > 2))
        share_by_file(c);
    return c->in_file ? view(e) : give_copy(e, most);
}

/* Resolves a chunk. Where so many chunks are resolved one by one that the host runs out of mappings, its neighbours are
 * resolved with it. */
static bool
resolve_run(struct cow_entry *e, bool write, unsigned most)
{
    enum { AT_ONCE = 64 }; /* this takes some 2 ms of copying */
    struct mm *mm = e->space->mm;
    uint64_t n = e->number / AT_ONCE * AT_ONCE, end = n + AT_ONCE;

    if (cow_within_budget())
        return resolve(e, write, most);
    for (uint64_t before = e->number; before > n; before--)
        if (!(e = cow_entry_at(mm, before - 1)) || e->state != COW_PENDING)
            n = before;
    for (; n < end && (e = cow_entry_at(mm, n)) && e->state == COW_PENDING; n++)
        if (!resolve(e, write, 1))
            return false;
    return true;
}

/* Is it because of what is shared that the host does not allow the access? */
static bool
needs_resolving(struct mm *mm, uint64_t address, bool write)
{
    const struct cow_entry *e = cow_entry_at(mm, address / COW_CHUNK);
    const struct vma *v;

    if (e ? e->state != COW_PENDING || (!write && e->chunk->owner == e) : !cow_share_at(mm, address / COW_BLOCK))
        return false;
    v = mm_at(mm, address);
    return v && (mm_host_prot(v->prot) & (write ? PROT_WRITE : PROT_READ));
}

/* Who writes to one chunk after the other gets several at once from the second one on: a fault and its host calls are
 * worth some six copied pages. */
static unsigned
at_once(struct cow_space *s, uint64_t number)
{
    s->at_once = number != s->expected ? 1 : s->at_once < AT_ONCE_MOST ? 2 * s->at_once : AT_ONCE_MOST;
    return s->at_once;
}

static void
expect(struct mm *mm, uint64_t number)
{
    struct cow_space *s = mm->cow;
    const struct cow_entry *e;

    for (s->expected = number + 1; s->expected < number + s->at_once && s->expected % COW_LEAF; s->expected++) {
        e = cow_entry_at(mm, s->expected);
        if (e && e->state == COW_PENDING)
            break;
    }
}

static bool
resolve_fault(struct mm *mm, uint64_t number, bool write)
{
    struct cow_share *share = cow_share_at(mm, number / COW_LEAF);
    struct cow_entry *e;

    if (share && !cow_take_down(share))
        return false;
    e = cow_entry_at(mm, number);
    if (e && !resolve_run(e, write, write ? at_once(mm->cow, number) : 1))
        return false;
    if (write)
        expect(mm, number);
    return true;
}

/* Runs in the host's signal handler, while guest code or platform_copy() was running. Neither of these is ever inside
 * of the heap, of the tree of address spaces, or of this file, so that all can be used. */
bool
platform_on_shared_fault(uint64_t host_address, bool write)
{
    struct mm *mm = mm_of_host(host_address);
    uint64_t address = mm ? host_address - (uint64_t)(uintptr_t)mm->space.base : GUEST_END;
    bool done, section;

    if (address >= GUEST_END || !needs_resolving(mm, address, write))
        return false;
    section = kernel_time_begin();
    done = resolve_fault(mm, address / COW_CHUNK, write);
    punch_freed();
    if (section)
        kernel_time_end();
    return done;
}

/* --- ranges --- */

/* The first chunk from `number` on, and below `end`, that is not plain; or `end`. */
static uint64_t
next_entry(const struct mm *mm, uint64_t number, uint64_t end)
{
    while (number < end && !cow_entry_at(mm, number)) {
        bool leaf = mm->cow->leaves[number / COW_LEAF] != NULL;

        number = leaf ? number + 1 : (number / COW_LEAF + 1) * COW_LEAF;
    }
    return number < end ? number : end;
}

#define EACH_ENTRY(n, mm, start, end)                                                     \
    for (uint64_t n##_end = ((end) + COW_CHUNK - 1) / COW_CHUNK,                          \
                  n = (mm)->cow ? next_entry(mm, (start) / COW_CHUNK, n##_end) : n##_end; \
         n < n##_end; n = (mm)->cow ? next_entry(mm, n + 1, n##_end) : n##_end)

bool
cow_any(struct mm *mm, uint64_t start, uint64_t end)
{
    const uint64_t block = (end + COW_BLOCK - 1) / COW_BLOCK;

    EACH_ENTRY(n, mm, start, end)
    return true;
    return cow_next_share(mm, start / COW_BLOCK, block) < block;
}

bool
cow_settle(struct mm *mm, uint64_t start, uint64_t end, bool write)
{
    bool done = cow_take_down_range(mm, start, end);

    if (!done)
        return false;
    EACH_ENTRY(n, mm, start, end)
    {
        struct cow_entry *e = cow_entry_at(mm, n);

        if (e->state == COW_PENDING && !resolve_run(e, write, n + AT_ONCE_MOST <= n_end ? AT_ONCE_MOST : 1)) {
            done = false;
            break;
        }
    }
    punch_freed();
    return done;
}

/* The owner's pages are about to go, so that the others' content must be elsewhere. If there is no memory for that,
 * they have lost it, and their next access ends them. */
static void
hand_over(struct cow_entry *owner)
{
    MM_STILL(owner->space->mm); /* the pages show zeros before they are unmapped */
    struct cow_chunk *c = owner->chunk, *base = c->base;

    if (c->sharers == 1 || !c->pages)
        return;
    if (!to_file(c)) {
        give_copies(c, 1);
        return;
    }
    /* discarded at once, so that the content is not in memory twice */
    platform_discard(host_of(owner), COW_CHUNK, MADV_DONTNEED);
    borders -= borders_at(owner);
    c->in_file = true;
    c->base = NULL;
    borders += borders_at(owner);
    if (base)
        cow_chunk_put(base);
}

static void
forget(struct cow_entry *e)
{
    if (e->state == COW_PENDING && e->chunk->owner == e)
        hand_over(e);
    cow_entry_set(e, NULL, COW_PENDING);
}

/* The pages of a view, or of a plain chunk, that may be other than zero. */
static uint16_t
pages_of(const struct mm *mm, uint64_t number)
{
    const struct cow_entry *e = cow_entry_at(mm, number);
    uint16_t written;

    if (platform_written_pages(mm->space.base + number * COW_CHUNK, COW_PAGES, !e, &written) != 0)
        return COW_ALL_PAGES;
    return e ? e->chunk->pages | written : written;
}

/* Makes a part of a view, or of a foreign chunk, plain and native. It copies through a buffer, because the pages that
 * are copied are those that are replaced. pages: which pages of the chunk to copy. */
static int
flatten_part(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, uint16_t pages)
{
    static uint8_t buffer[COW_CHUNK] RARE;
    uint8_t *at = mm->space.base + start;
    int prot = mm_host_prot(v->prot), r = 0;

    if (prot == PROT_NONE)
        r = platform_protect(at, end - start, PROT_READ);
    for (uint64_t k = 0; k < end - start && r == 0; k += PAGE_SIZE)
        if ((pages >> ((start + k) % COW_CHUNK / PAGE_SIZE) & 1) &&
            platform_copy(buffer + k, at + k, PAGE_SIZE) != PAGE_SIZE)
            r = -ENOMEM;
    if (r == 0)
        r = platform_map_anon(at, end - start, PROT_READ | PROT_WRITE);
    else if (prot == PROT_NONE)
        platform_protect(at, end - start, prot);
    for (uint64_t k = 0; k < end - start && r == 0; k += PAGE_SIZE)
        if ((pages >> ((start + k) % COW_CHUNK / PAGE_SIZE) & 1) &&
            platform_copy(at + k, buffer + k, PAGE_SIZE) != PAGE_SIZE)
            r = -ENOMEM;
    return r == 0 && prot != (PROT_READ | PROT_WRITE) ? platform_protect(at, end - start, prot) : r;
}

/* Of a view or of a foreign chunk. */
static int
flatten(struct mm *mm, uint64_t number)
{
    MM_STILL(mm);
    uint64_t start = number * COW_CHUNK, end = start + COW_CHUNK;
    struct cow_entry *e = cow_entry_at(mm, number);
    uint16_t pages = pages_of(mm, number);
    int r = 0;

    for (const struct vma *v = mm_find(mm, start); v && v->start < end && r == 0; v = vma_next(mm, v)) {
        if (v->kind == VMA_ANON)
            r = flatten_part(mm, v, v->start > start ? v->start : start, v->end < end ? v->end : end, pages);
    }
    if (r < 0)
        return r;
    if (e)
        cow_entry_set(e, NULL, COW_PENDING);
    set_native(mm, number);
    return 0;
}

/* A chunk of which a part is to be replaced becomes plain. Otherwise its pieces would be host mappings that nobody
 * counts. */
static bool
cut(struct mm *mm, uint64_t number)
{
    struct cow_entry *e = cow_entry_at(mm, number);

    if (e && e->state == COW_PENDING && !resolve(e, true, 1))
        return false;
    return (!cow_entry_at(mm, number) && !is_foreign(mm, number)) || flatten(mm, number) == 0;
}

/* Blocks of which a part is in [start, end) are taken down; of others the share is dropped. */
static bool
forget_blocks(struct mm *mm, uint64_t start, uint64_t end)
{
    if ((start % COW_BLOCK && !cow_take_down_range(mm, start, start + 1)) ||
        (end % COW_BLOCK && !cow_take_down_range(mm, end - 1, end)))
        return false;
    for (uint64_t n = (start + COW_BLOCK - 1) / COW_BLOCK, stop = end / COW_BLOCK;
         (n = cow_next_share(mm, n, stop)) < stop;)
        cow_drop_share(cow_share_at(mm, n));
    return true;
}

/* The first foreign chunk from `number` on, and below `end`; or `end`. */
static uint64_t
next_foreign(const struct mm *mm, uint64_t number, uint64_t end)
{
    if (!mm->cow || !mm->cow->foreign)
        return end;
    while (number < end && !is_foreign(mm, number))
        number = cow_foreign_at(mm, number / COW_LEAF) ? number + 1 : (number / COW_LEAF + 1) * COW_LEAF;
    return number < end ? number : end;
}

/* Whole chunks of [start, end) are about to be replaced. */
static void
forget_foreign(struct mm *mm, uint64_t start, uint64_t end)
{
    const uint64_t stop = end / COW_CHUNK;

    for (uint64_t n = (start + COW_CHUNK - 1) / COW_CHUNK; (n = next_foreign(mm, n, stop)) < stop; n++)
        set_native(mm, n);
}

bool
cow_forget(struct mm *mm, uint64_t start, uint64_t end)
{
    bool done =
        mm->cow == NULL || (forget_blocks(mm, start, end) && (start % COW_CHUNK == 0 || cut(mm, start / COW_CHUNK)) &&
                            (end % COW_CHUNK == 0 || cut(mm, end / COW_CHUNK)));

    if (done) {
        EACH_ENTRY(n, mm, start, end)
        {
            if (n * COW_CHUNK >= start && (n + 1) * COW_CHUNK <= end)
                forget(cow_entry_at(mm, n));
        }
        forget_foreign(mm, start, end);
    }
    punch_freed();
    return done;
}

int
cow_flatten(struct mm *mm, uint64_t start, uint64_t end)
{
    int r = cow_settle(mm, start, end, true) ? 0 : -ENOMEM;

    EACH_ENTRY(n, mm, start, end)
    {
        if (r == 0)
            r = flatten(mm, n);
    }
    for (uint64_t n = start / COW_CHUNK, stop = (end + COW_CHUNK - 1) / COW_CHUNK;
         r == 0 && (n = next_foreign(mm, n, stop)) < stop; n++)
        r = flatten(mm, n);
    punch_freed();
    return r;
}

void
cow_end(struct mm *mm)
{
    struct cow_space *s = mm->cow;

    if (!s)
        return;
    forget_blocks(mm, 0, GUEST_END);
    for (unsigned i = 0; i < COW_BLOCKS; i++) {
        if (!s->leaves[i])
            continue;
        for (unsigned k = 0; k < COW_LEAF && s->count; k++)
            if (s->leaves[i]->entries[k].chunk)
                forget(&s->leaves[i]->entries[k]);
        OBJECT_FREE(cow_leaf, s->leaves[i]);
        s->leaves[i] = NULL;
    }
    punch_freed();
    forget_foreign(mm, 0, GUEST_END);
    list_remove(&s->link);
    CHECK(!list_empty(&spaces) || borders == 0, "host mappings of shared pages are miscounted");
    array_free(s->leaves);
    array_free(s->shares);
    array_free(s->foreign);
    mm->cow = NULL;
    OBJECT_FREE(cow_space, s);
}

/* --- counting and giving back --- */

static uint16_t
written_pages(const struct mm *mm, uint64_t number)
{
    uint16_t pages;

    return platform_written_pages(mm->space.base + number * COW_CHUNK, COW_PAGES, false, &pages) == 0 ? pages : 0;
}

static void
trim_chunk(const struct mm *mm, struct cow_entry *e)
{
    struct cow_chunk *c = e->chunk;
    uint16_t gone;

    if (e->state != COW_VIEW || !refcount_is_one(&c->refs) || !c->pages)
        return;
    gone = written_pages(mm, e->number) & c->pages;
    for (unsigned i = 0; i < COW_PAGES; i++)
        if (gone >> i & 1)
            punch_later(c->offset + i * PAGE_SIZE, PAGE_SIZE);
    c->pages &= (uint16_t)~gone;
}

void
cow_trim(void)
{
    LIST_EACH(p, &spaces) {
        const struct cow_space *s = list_entry(p, struct cow_space, link);

        EACH_ENTRY(n, s->mm, 0, GUEST_END)
        trim_chunk(s->mm, cow_entry_at(s->mm, n));
    }
    punch_freed();
}

/* Adds pages that so many address spaces share. */
static void
count_shared(uint64_t pages, unsigned sharers, struct cow_pages *out)
{
    if (sharers == 1) {
        out->own += pages;
    } else {
        out->shared += pages;
        out->parts += pages * 4096 / sharers;
    }
}

static void
count_chunk(const struct cow_entry *e, uint16_t within, uint16_t written, struct cow_pages *out)
{
    const struct cow_chunk *c = e->chunk;
    uint16_t there = c->pages & within;

    if (e->state == COW_VIEW) {
        out->own += (unsigned)__builtin_popcount(written & within);
        there &= (uint16_t)~written;
    }
    count_shared((unsigned)__builtin_popcount(there), c->sharers, out);
}

static void
count_shelved(const struct cow_block *b, unsigned chunk, uint16_t within, struct cow_pages *out)
{
    uint16_t pages;

    if (cow_shelved_pages(b, chunk, 1, &pages))
        count_shared((unsigned)__builtin_popcount(pages & within), b->sharers, out);
}

void
cow_count(struct mm *mm, const struct vma *v, struct cow_pages *out)
{
    for (uint64_t n = v->start / COW_CHUNK; n * COW_CHUNK < v->end; n++) {
        const struct cow_entry *e = cow_entry_at(mm, n);
        const struct cow_share *share = cow_share_at(mm, n / COW_LEAF);
        uint64_t from = n * COW_CHUNK < v->start ? (v->start - n * COW_CHUNK) / PAGE_SIZE : 0;
        uint64_t to = (n + 1) * COW_CHUNK > v->end ? (v->end - n * COW_CHUNK) / PAGE_SIZE : COW_PAGES;
        uint16_t within = (uint16_t)((1u << to) - (1u << from));

        if (share)
            count_shelved(share->block, (unsigned)(n % COW_LEAF), within, out);
        else if (!e)
            out->own += (unsigned)__builtin_popcount(written_pages(mm, n) & within);
        else
            count_chunk(e, within, e->state == COW_VIEW ? written_pages(mm, n) : 0, out);
    }
}
