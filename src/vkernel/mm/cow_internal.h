/* What cow.c, cow_fork.c and cow_shelf.c share. */
#ifndef VKERNEL_MM_COW_INTERNAL_H
#define VKERNEL_MM_COW_INTERNAL_H

#include "base/list.h"
#include "base/refcount.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"

enum { COW_PAGES = COW_CHUNK / PAGE_SIZE, COW_ALL_PAGES = (1 << COW_PAGES) - 1, COW_LEAF = 32 };
enum { COW_CHUNKS = GUEST_END / COW_CHUNK, COW_BLOCK = COW_LEAF * COW_CHUNK, COW_BLOCKS = GUEST_END / COW_BLOCK };
_Static_assert(COW_BLOCK == MM_ALIGNED, "a block is what the host moves as a whole");

struct cow_chunk {
    struct refcount refs; /* counts the entries, the chunks whose base it is, and its maker */
    unsigned sharers;     /* how many entries there are */
    struct list entries;
    /* The content is in this entry's host pages; NULL: it is in the file, if in_file, or zeros, if there are no
     * pages. */
    struct cow_entry *owner;
    /* a reference, or NULL: the chunk that the owner's host pages map, in which the owner has changed some */
    struct cow_chunk *base;
    uint64_t offset; /* in the file of shared pages; no other chunk ever gets this offset */
    uint16_t pages;  /* a bit for each page that may be other than zero */
    bool in_file;
};

enum cow_state { COW_PENDING, COW_VIEW };
/* The entry of a chunk in one address space. */
struct cow_entry {
    struct list link;        /* in the list of the chunk's entries */
    struct cow_chunk *chunk; /* NULL: plain */
    struct cow_space *space;
    uint32_t number; /* address / COW_CHUNK */
    uint8_t state;
};

struct cow_leaf {
    struct cow_entry entries[COW_LEAF];
};

/* Pages of a block, which is COW_LEAF chunks of one mapping, that were put on a shelf (cow_shelf.c). */
struct cow_block {
    struct list shares; /* of those address spaces that have it; the first one gets the pages back */
    unsigned sharers;   /* how many there are */
    struct cow_shelf *shelf;
    unsigned place; /* on the shelf, in blocks */
    /* the host address that the pages were at before; 0: they were foreign there, and the host joins them with
     * nothing */
    uint64_t home;
    uint64_t offset; /* for its chunks in the file of shared pages */
};
/* A block in one address space, whose host pages there cannot be accessed, and whose chunks have no entries there. */
struct cow_share {
    struct list link; /* in the list of the block's shares */
    struct cow_block *block;
    struct cow_space *space;
    uint32_t number; /* address / COW_BLOCK */
};

/* A block of an address space with host pages that came from a shelf to another place than they had been at before. The
 * host joins them with nothing but what came with them. */
struct cow_foreign {
    uint32_t chunks; /* a bit for each that still has such pages */
    uint32_t move;   /* with which they came */
};

/* The table of the chunks of an address space. It exists from its first fork on that shared one. */
struct cow_space {
    struct list link; /* in the list of all spaces */
    struct mm *mm;
    unsigned count;              /* how many entries are not plain */
    struct cow_leaf **leaves;    /* indexed by number / COW_LEAF */
    struct cow_share **shares;   /* owned; indexed by address / COW_BLOCK; NULL: there was none yet */
    struct cow_foreign *foreign; /* indexed by address / COW_BLOCK; NULL: there was none yet */
    /* The chunk behind what was resolved last for a write, and how many were resolved then: who writes to one after the
     * other gets several at once. */
    uint64_t expected;
    unsigned at_once;
};

struct cow_entry *cow_entry_at(const struct mm *mm, uint64_t number); /* NULL: plain */
struct cow_entry *cow_entry_new(struct mm *mm, uint64_t number);      /* the plain one, or NULL: no memory */
void cow_entry_set(struct cow_entry *e, struct cow_chunk *c, enum cow_state state);
struct cow_space *cow_space_of(struct mm *mm); /* made when there is none; NULL: no memory */
/* Notes whether the block is on a shelf for this address space: its share, or NULL. None of its chunks has an entry. */
void cow_share_set(struct cow_space *s, uint64_t number, struct cow_share *share);
bool cow_foreign_room(struct cow_space *s); /* makes the table of foreign blocks; false: no memory */
/* Notes which chunks of the block are foreign, a bit for each, and the move with which they came. */
void cow_foreign_set(struct cow_space *s, uint64_t number, uint32_t chunks, uint32_t move);
uint32_t cow_foreign_at(const struct mm *mm, uint64_t number); /* which chunks of this block are foreign */
void cow_borders_add(int more); /* borders of host mappings that are outside of address spaces */
struct cow_chunk *cow_chunk_new(void);
void cow_chunk_put(struct cow_chunk *c);
int cow_file(void);                    /* a descriptor, or -errno */
uint64_t cow_file_room(uint64_t size); /* an offset that was never used; UINT64_MAX: there is none */
/* May there be more host mappings? The host has a limit of them for a process. */
bool cow_within_budget(void);

/* --- cow_shelf.c --- */
struct cow_share *cow_share_at(const struct mm *mm, uint64_t number); /* NULL: it is on no shelf */
/* The first block from `number` on, and below `end`, that is on a shelf for this address space; or `end`. */
uint64_t cow_next_share(const struct mm *mm, uint64_t number, uint64_t end);
/* Puts the pages of the blocks [first, end), which are plain and lie in one mapping, on a shelf, and has both address
 * spaces share them; offset: for the first in the file of shared pages. The host's pages of `to` are none already.
 * False: nothing has changed, because there is no memory, or the host cannot move them. */
bool cow_shelve(struct mm *to, struct mm *from, uint64_t first, uint64_t end, uint64_t offset);
/* Has `to` share a block of `from` that is on a shelf. The host's pages of `to` are none already. */
bool cow_join_shelved(struct mm *to, struct mm *from, uint64_t number);
/* Takes down the block of which this is a share, so that its chunks are what cow.h says: of its only sharer, with some
 * blocks behind it, they become plain; else pending, and the first sharer is their owner. False: there is no memory. */
bool cow_take_down(struct cow_share *share);
/* Takes down all blocks of which a part is in [start, end). */
bool cow_take_down_range(struct mm *mm, uint64_t start, uint64_t end);
/* This address space gives up its share. */
void cow_drop_share(struct cow_share *share);
/* The pages that may be other than zero of `count` chunks of a shelved block, from the chunk `from` of it on. False:
 * the host does not tell, and all bits are set. */
bool cow_shelved_pages(const struct cow_block *b, unsigned from, unsigned count, uint16_t *pages);

/* fork.c: copies pages from one address space to another, whose pages there are new. False: there is no memory left. */
bool mm_copy_pages(uint8_t *to, const uint8_t *from, uint64_t size);

#endif
