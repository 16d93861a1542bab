/* Shared between cow.c and cow_fork.c. */
#ifndef VKERNEL_MM_COW_INTERNAL_H
#define VKERNEL_MM_COW_INTERNAL_H

#include "base/list.h"
#include "base/refcount.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"

enum { COW_PAGES = COW_CHUNK / PAGE_SIZE, COW_ALL_PAGES = (1 << COW_PAGES) - 1, COW_LEAF = 64 };
enum { COW_CHUNKS = GUEST_END / COW_CHUNK };

struct cow_chunk {
    struct refcount refs; /* the entries', that of a chunk whose base it is, and its maker's */
    unsigned sharers;     /* entries */
    struct list entries;
    struct cow_entry *owner; /* its host pages are the content; NULL: the file has it, if in_file */
    struct cow_chunk *base;  /* a reference, or NULL: what the owner's host pages map, changed by the owner */
    uint64_t offset;         /* in the file of shared pages; its alone for ever */
    uint16_t pages;          /* which ones may be other than zero */
    bool in_file;
};

enum cow_state { COW_PENDING, COW_VIEW };
/* A chunk in an address space. */
struct cow_entry {
    struct list link;        /* of the chunk's entries */
    struct cow_chunk *chunk; /* NULL: plain */
    struct cow_space *space;
    uint32_t number; /* address / COW_CHUNK */
    uint8_t state;
};

struct cow_leaf {
    struct cow_entry entries[COW_LEAF];
};

/* The chunks of an address space, from its first shared fork on. */
struct cow_space {
    struct list link; /* of all */
    struct mm *mm;
    unsigned count;           /* of entries that are not plain */
    struct cow_leaf **leaves; /* by number / COW_LEAF */
};

struct cow_entry *cow_entry_at(const struct mm *mm, uint64_t number); /* NULL: plain */
struct cow_entry *cow_entry_new(struct mm *mm, uint64_t number);      /* the plain one, or NULL: no memory */
void cow_entry_set(struct cow_entry *e, struct cow_chunk *c, enum cow_state state);
struct cow_chunk *cow_chunk_new(void);
void cow_chunk_put(struct cow_chunk *c);
int cow_file(void);                    /* a descriptor, or -errno */
uint64_t cow_file_room(uint64_t size); /* an offset that was never used; UINT64_MAX: there is none */
/* May there be more host mappings? */
bool cow_within_budget(void);

/* fork.c: copies pages from one address space to another, whose pages are fresh. False: there is no memory left. */
bool mm_copy_pages(uint8_t *to, const uint8_t *from, uint64_t size);
bool mm_copy_dirty(uint8_t *to, const uint8_t *from, uint64_t size); /* those that were written */

#endif
