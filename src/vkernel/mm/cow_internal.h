/* What cow.c and cow_fork.c share. */
#ifndef VKERNEL_MM_COW_INTERNAL_H
#define VKERNEL_MM_COW_INTERNAL_H

#include "base/list.h"
#include "base/refcount.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm_internal.h"

enum { COW_PAGES = COW_CHUNK / PAGE_SIZE, COW_ALL_PAGES = (1 << COW_PAGES) - 1, COW_LEAF = 64 };
enum { COW_CHUNKS = GUEST_END / COW_CHUNK };

struct cow_chunk {
    struct refcount refs; /* counts the entries, the chunks whose base it is, and its maker */
    unsigned sharers;     /* how many entries there are */
    struct list entries;
    struct cow_entry *owner; /* the content is in this entry's host pages; NULL: it is in the file, if in_file */
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

/* The table of the chunks of an address space. It exists from its first fork on that shared one. */
struct cow_space {
    struct list link; /* in the list of all spaces */
    struct mm *mm;
    unsigned count;           /* how many entries are not plain */
    struct cow_leaf **leaves; /* indexed by number / COW_LEAF */
};

struct cow_entry *cow_entry_at(const struct mm *mm, uint64_t number); /* NULL: plain */
struct cow_entry *cow_entry_new(struct mm *mm, uint64_t number);      /* the plain one, or NULL: no memory */
void cow_entry_set(struct cow_entry *e, struct cow_chunk *c, enum cow_state state);
struct cow_chunk *cow_chunk_new(void);
void cow_chunk_put(struct cow_chunk *c);
int cow_file(void);                    /* a descriptor, or -errno */
uint64_t cow_file_room(uint64_t size); /* an offset that was never used; UINT64_MAX: there is none */
/* May there be more host mappings? The host has a limit of them for a process. */
bool cow_within_budget(void);

/* fork.c: copies pages from one address space to another, whose pages there are new. False: there is no memory left. */
bool mm_copy_pages(uint8_t *to, const uint8_t *from, uint64_t size);
/* The first page from `from` on whose bit is set, or is not; count: there is none. */
size_t mm_next_page(const uint16_t *bits, bool set, size_t from, size_t count);

#endif
