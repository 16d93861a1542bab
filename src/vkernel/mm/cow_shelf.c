/* Shelves: where a fork puts the pages of large memory, so that it need not protect them one by one.
 *
 * To make 256 MiB read-only, or inaccessible, the host goes over 65,536 entries of its page tables, which takes as long
 * as its own fork. To move them it moves page tables as wholes, one for each 2 MiB: a *block*. So a fork moves the
 * blocks of the parent that are plain and have many pages to a range of host addresses that no address space has, a
 * shelf; what the parent has there then cannot be accessed, by it or by the child. At the first access, by whoever
 * shares the block, it is taken down: protected now, moved to the first sharer's place, and from there on made of
 * chunks, as if the fork had shared those (cow.h). Who has it alone, because all others have ended or unmapped it, gets
 * it back as it was.
 *
 * Nobody runs guest code with a shelf in reach: it is in no reservation. */
#include <string.h>
#include <sys/mman.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/mm/cow_internal.h"

struct cow_shelf {
    uint8_t *host;             /* aligned as address spaces are; only places with blocks are reserved */
    unsigned count, left;      /* places, and blocks on them */
    struct cow_block **blocks; /* by place; NULL: it was taken down */
};

OBJECT_POOL(cow_block);
OBJECT_POOL(cow_share);
OBJECT_POOL(cow_shelf);

/* --- shelves --- */

static void
shelf_free(struct cow_shelf *s)
{
    array_free(s->blocks);
    OBJECT_FREE(cow_shelf, s);
}

static struct cow_shelf *
shelf_new(unsigned count)
{
    struct cow_shelf *s = OBJECT_NEW(cow_shelf);
    size_t before;
    uint8_t *p;

    if (!s)
        return NULL;
    s->blocks = array_new(count, sizeof *s->blocks);
    p = s->blocks ? platform_reserve(((size_t)count + 1) * COW_BLOCK) : NULL;
    if (!p) {
        array_free(s->blocks);
        OBJECT_FREE(cow_shelf, s);
        return NULL;
    }
    before = -(size_t)(uintptr_t)p % COW_BLOCK;
    s->host = p + before;
    s->count = count;
    if (before)
        platform_release(p, before);
    platform_release(s->host + (size_t)count * COW_BLOCK, COW_BLOCK - before);
    return s;
}

/* How many borders more the host's mappings have for the block because of what is at the place beside it. */
static int
borders_to(const struct cow_block *b, unsigned beside)
{
    const struct cow_block *other = beside < b->shelf->count ? b->shelf->blocks[beside] : NULL;

    if (!other)
        return 1;
    return b->home && other->home ? -1 : 0;
}

static int
borders_of(const struct cow_block *b)
{
    /* There is nothing before the first place, as behind the last. */
    return borders_to(b, b->place - 1) + borders_to(b, b->place + 1);
}

static void
put(struct cow_shelf *s, unsigned place, struct cow_block *b)
{
    s->blocks[place] = b;
    s->left++;
    cow_borders_add(borders_of(b));
}

static uint8_t *
host_of(const struct cow_block *b)
{
    return b->shelf->host + (uint64_t)b->place * COW_BLOCK;
}

/* The block ends, and with it what is still at its place. */
static void
block_free(struct cow_block *b)
{
    struct cow_shelf *s = b->shelf;

    platform_release(host_of(b), COW_BLOCK);
    cow_borders_add(-borders_of(b));
    s->blocks[b->place] = NULL;
    if (--s->left == 0)
        shelf_free(s);
    OBJECT_FREE(cow_block, b);
}

bool
cow_shelved_pages(const struct cow_block *b, unsigned from, unsigned count, uint16_t *pages)
{
    if (platform_written_pages(host_of(b) + from * COW_CHUNK, (size_t)count * COW_PAGES, true, pages) == 0)
        return true;
    memset(pages, -1, count * sizeof *pages);
    return false;
}

/* --- shares --- */

struct cow_share *
cow_share_at(const struct mm *mm, uint64_t number)
{
    return mm->cow && mm->cow->shares && number < COW_BLOCKS ? mm->cow->shares[number] : NULL;
}

uint64_t
cow_next_share(const struct mm *mm, uint64_t number, uint64_t end)
{
    if (!mm->cow || !mm->cow->shares)
        return end;
    while (number < end && !mm->cow->shares[number])
        number++;
    return number < end ? number : end;
}

static bool
share_new(struct mm *mm, uint64_t number, struct cow_block *b)
{
    struct cow_space *s = cow_space_of(mm);
    struct cow_share *share;

    if (s && !s->shares)
        s->shares = array_new(COW_BLOCKS, sizeof(struct cow_share *));
    share = s && s->shares ? OBJECT_NEW(cow_share) : NULL;
    if (!share)
        return false;
    *share = (struct cow_share){.block = b, .space = s, .number = (uint32_t)number};
    list_append(&b->shares, &share->link);
    b->sharers++;
    cow_share_set(s, number, share);
    return true;
}

/* Ends the share, and not the block. */
static void
share_free(struct cow_share *share)
{
    cow_share_set(share->space, share->number, NULL);
    list_remove(&share->link);
    share->block->sharers--;
    OBJECT_FREE(cow_share, share);
}

void
cow_drop_share(struct cow_share *share)
{
    struct cow_block *b = share->block;

    share_free(share);
    if (b->sharers == 0)
        block_free(b);
}

static void
end_block(struct cow_block *b)
{
    LIST_EACH_SAFE(p, &b->shares)
        share_free(list_entry(p, struct cow_share, link));
    block_free(b);
}

/* --- putting up --- */

static bool
new_block(struct cow_shelf *s, unsigned place, struct mm *to, struct mm *from, uint64_t number, uint64_t offset)
{
    struct cow_block *b = OBJECT_NEW(cow_block);

    if (!b)
        return false;
    list_init(&b->shares);
    b->shelf = s;
    b->place = place;
    b->offset = offset;
    b->home = cow_foreign_at(from, number) ? 0 : (uint64_t)(uintptr_t)from->space.base + number * COW_BLOCK;
    put(s, place, b);
    return share_new(from, number, b) && share_new(to, number, b);
}

/* Ends the shelf, on which there are no pages yet, and the blocks that it has so far. */
static void
give_up(struct cow_shelf *s)
{
    const unsigned left = s->left;

    if (left < s->count)
        platform_release(s->host + (size_t)left * COW_BLOCK, (size_t)(s->count - left) * COW_BLOCK);
    if (left == 0)
        shelf_free(s);
    for (unsigned k = 0; k < left; k++)
        end_block(s->blocks[k]); /* with the last one the shelf is gone */
}

bool
cow_shelve(struct mm *to, struct mm *from, uint64_t first, uint64_t end, uint64_t offset)
{
    const unsigned count = (unsigned)(end - first);
    struct cow_shelf *s = shelf_new(count);
    bool done = s != NULL;

    if (!done)
        return false;
    for (unsigned n = 0; n < count && done; n++)
        done = new_block(s, n, to, from, first + n, offset + (uint64_t)n * COW_BLOCK);
    if (!done || platform_move(from->space.base + first * COW_BLOCK, s->host, (size_t)count * COW_BLOCK) < 0) {
        give_up(s);
        return false;
    }
    for (uint64_t n = first; n < end; n++)
        if (cow_foreign_at(from, n))
            cow_foreign_set(from->cow, n, 0, 0);
    return true;
}

bool
cow_join_shelved(struct mm *to, struct mm *from, uint64_t number)
{
    return share_new(to, number, cow_share_at(from, number)->block);
}

/* --- taking down --- */

static bool
is_home(const struct cow_share *share)
{
    return share->block->home ==
           (uint64_t)(uintptr_t)share->space->mm->space.base + (uint64_t)share->number * COW_BLOCK;
}

/* Moves the pages of so many blocks, which are next to each other on the shelf, to where the share is. Elsewhere than
 * at home the host does not join them with what is around them, so that they are foreign there. */
static bool
move_down(const struct cow_share *share, uint64_t count)
{
    static uint32_t move; /* neighbours have different ones also when the numbers have begun again */
    struct mm *mm = share->space->mm;
    const uint64_t first = share->number;

    for (uint64_t n = first; n < first + count; n++)
        if (!is_home(cow_share_at(mm, n)) && !cow_foreign_room(mm->cow))
            return false;
    if (platform_move(host_of(share->block), mm->space.base + first * COW_BLOCK, count * COW_BLOCK) < 0)
        return false;
    move++;
    for (uint64_t n = first; n < first + count; n++) {
        const struct cow_share *one = cow_share_at(mm, n);

        if (!is_home(one))
            cow_foreign_set(mm->cow, n, -1u, one->block->home ? move : ++move);
    }
    return true;
}

static bool
give_back(struct cow_share *share)
{
    enum { AT_ONCE = 16 }; /* a page table is moved faster than a fault comes, and goes back as fast at the next fork */
    struct mm *mm = share->space->mm;
    const struct cow_block *b = share->block;
    const struct vma *v = mm_at(mm, (uint64_t)share->number * COW_BLOCK);
    uint64_t first = share->number, end = first + 1;

    if (!v)
        return false;
    for (const struct cow_share *next; end % AT_ONCE && (end + 1) * COW_BLOCK <= v->end; end++) {
        next = cow_share_at(mm, end);
        if (!next || next->block->sharers > 1 || next->block->shelf != b->shelf ||
            next->block->place != b->place + (end - first))
            break;
    }
    if (!move_down(share, end - first))
        return false;
    for (uint64_t n = first; n < end; n++)
        end_block(cow_share_at(mm, n)->block);
    return true;
}

static void
put_chunks(struct cow_chunk **chunks, unsigned count)
{
    while (count-- > 0)
        cow_chunk_put(chunks[count]);
}

static bool
new_chunks(struct cow_chunk *chunks[COW_LEAF], const struct cow_block *b)
{
    uint16_t pages[COW_LEAF];

    cow_shelved_pages(b, 0, COW_LEAF, pages);
    for (unsigned i = 0; i < COW_LEAF; i++) {
        chunks[i] = cow_chunk_new();
        if (!chunks[i]) {
            put_chunks(chunks, i);
            return false;
        }
        chunks[i]->pages = pages[i];
        chunks[i]->offset = b->offset + (uint64_t)i * COW_CHUNK;
    }
    return true;
}

static bool
have_entries(const struct cow_block *b)
{
    LIST_EACH(p, &b->shares) {
        const struct cow_share *share = list_entry(p, struct cow_share, link);

        if (!cow_entry_new(share->space->mm, (uint64_t)share->number * COW_LEAF))
            return false;
    }
    return true;
}

/* The first sharer has the pages now. */
static void
share_chunks(struct cow_block *b, struct cow_chunk *chunks[COW_LEAF])
{
    LIST_EACH_SAFE(p, &b->shares) {
        struct cow_share *share = list_entry(p, struct cow_share, link);
        struct mm *mm = share->space->mm;
        uint64_t first = (uint64_t)share->number * COW_LEAF;

        share_free(share);
        for (unsigned i = 0; i < COW_LEAF; i++) {
            struct cow_entry *e = cow_entry_new(mm, first + i); /* have_entries() has made it */

            if (!chunks[i]->owner)
                chunks[i]->owner = e;
            cow_entry_set(e, chunks[i], COW_PENDING);
        }
    }
}

static bool
make_chunks(struct cow_block *b)
{
    const struct cow_share *owner = list_entry(b->shares.next, struct cow_share, link);
    const struct vma *v = mm_at(owner->space->mm, (uint64_t)owner->number * COW_BLOCK);
    struct cow_chunk *chunks[COW_LEAF];

    if (!v || !have_entries(b) || !new_chunks(chunks, b))
        return false;
    if (platform_protect(host_of(b), COW_BLOCK, PROT_READ) < 0 || !move_down(owner, 1)) {
        platform_protect(host_of(b), COW_BLOCK, mm_host_prot(v->prot));
        put_chunks(chunks, COW_LEAF);
        return false;
    }
    share_chunks(b, chunks);
    put_chunks(chunks, COW_LEAF);
    block_free(b);
    return true;
}

bool
cow_take_down(struct cow_share *share)
{
    return share->block->sharers == 1 ? give_back(share) : make_chunks(share->block);
}

bool
cow_take_down_range(struct mm *mm, uint64_t start, uint64_t end)
{
    const uint64_t stop = (end + COW_BLOCK - 1) / COW_BLOCK;

    for (uint64_t n = start / COW_BLOCK; (n = cow_next_share(mm, n, stop)) < stop;)
        if (!cow_take_down(cow_share_at(mm, n)))
            return false;
    return true;
}
