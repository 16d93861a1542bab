/* Shared between the files of mm/. */
#ifndef VKERNEL_MM_MM_INTERNAL_H
#define VKERNEL_MM_MM_INTERNAL_H

#include "base/refcount.h"
#include "base/checked.h"
#include "base/page.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/trust/ledger.h"
#include "x86/address_space.h"

#define MM_RESERVATION (8ull << 30)
#define MM_GUARD \
    (64ull << 10) /* below it: rewritten string instructions go down from an address in it
                                  (docs/direct.md) */
/* The base is a multiple of this, so that a page table of the host's maps the same part of each guest (cow_shelf.c). */
#define MM_ALIGNED  (2ull << 20)
#define MM_RESERVED (MM_ALIGNED + MM_GUARD + MM_RESERVATION)

enum { MAX_MAPPINGS = 65530 }; /* Linux's vm.max_map_count */

/* Pages from an address of the guest's: the only way to a range, so that none wraps. */
struct guest_range {
    uint64_t start, end;
};
/* Rounds the size up to pages; false: it does not end within the address space. start is not rounded. */
static inline bool
guest_range(uint64_t start, uint64_t size, struct guest_range *range)
{
    if (size > GUEST_END || !range_within(start, PAGE_UP(size), GUEST_END))
        return false;
    *range = (struct guest_range){start, start + PAGE_UP(size)};
    return true;
}

struct shm {
    struct refcount refs;
    uint64_t number; /* in futex keys */
    uint64_t size;
    uint64_t slot; /* of the store */
};

/* Pages of the code map that are in this address space. */
struct code_map {
    struct list link;
    uint64_t at, size;    /* guest address of the map pages */
    uint64_t file_offset; /* in the artifact */
    /* so many breakpoints are in its code: while there are any, the pages are not there, and the code is not in force */
    unsigned breakpoints;
};

/* --- written.c: which pages were written, as the host tells --- */
/* A walk over `pages` pages from `host` on, which the caller sets, with `anonymous` as platform_written_pages() has it;
 * the rest is zero at first. Nobody begins another walk, or sleeps, before this one's last batch is done with. */
struct written_pages {
    const uint8_t *host;
    uint64_t pages;
    bool anonymous;
    bool known;     /* false: the host does not tell, and all bits are set */
    uint64_t first; /* the first page of the batch */
    size_t count;   /* its pages */
    uint16_t *bits; /* as platform_written_pages() sets them; the walker may change them */
};
bool mm_next_batch(struct written_pages *w); /* false: there are no more pages */
/* The pages [start, end) of a batch. */
struct page_run {
    size_t start, end;
};
/* The first run of pages behind *run whose bits are set, or are not. The first one is found from {.end = page} on.
 * False: there is none among the first `count` pages. */
bool mm_next_run(const uint16_t *bits, bool set, size_t count, struct page_run *run);

/* Whose memory is at the host address, the guards not included? NULL: nobody's. */
struct mm *mm_of_host(uint64_t host_address);

/* mm.c: frees an address space that nobody has a reference to, and that is nobody's copy or origin. */
void mm_free(struct mm *mm);

/* --- spare.c: address spaces that are kept for the next fork --- */
/* To be called before a mapping comes, goes, or changes its size or protection, and before pages are discarded that
 * the guest cannot write. */
void mm_changed(struct mm *mm);
void mm_is_copy(struct mm *mm, struct mm *origin); /* a fork has just made it */
/* Keeps an address space that nobody has a reference to any more. False: it is to be freed. */
bool mm_keep_as_spare(struct mm *mm);
/* A copy of the address space, as mm_fork() makes it, of a spare. The caller sets what the members of struct mm say
 * beside mappings and pages. NULL: there is no spare that would do. */
struct mm *mm_take_spare(struct mm *from);

struct shm *shm_get(struct shm *s);
uint64_t mm_file_number(const struct vma *v); /* of its file's inode, in futex keys */
void shm_put(struct shm *s);

void mm_code_generation_new(struct mm *mm); /* its code became another */

/* What the host may do for these guest permissions: never execute. */
int mm_host_prot(int prot);
/* Makes a mapping of the address space, where none is, with references of its own. NULL: no memory, or too many. */
struct vma *mm_vma_insert(struct mm *mm, const struct vma *like);
void mm_vma_remove(struct mm *mm, struct vma *v);
void mm_vma_remove_all(struct mm *mm); /* at the end of an address space, which is nobody's copy or origin */
void mm_vma_resize(struct mm *mm, struct vma *v, uint64_t start, uint64_t end);
unsigned mm_host_mappings_left(void); /* of the host's, for all address spaces together */
struct vma *vma_previous(const struct mm *mm, const struct vma *v);
/* The highest place of this size below top, not below bottom; 0: none. */
uint64_t mm_find_gap(struct mm *mm, uint64_t bottom, uint64_t top, uint64_t size);
/* Splits so that address is a boundary; false: no memory, or too many mappings. */
bool mm_split(struct mm *mm, uint64_t address);
void mm_merge_around(struct mm *mm, uint64_t start, uint64_t end);
/* Maps the host pages of [start, end) of v, which is not code, with their initial contents. */
int mm_host_map(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int host_prot);
bool mm_in_user_range(uint64_t start, uint64_t end);
/* The pages of v come or go: what the limits count. */
void mm_account(struct mm *mm, const struct vma *v, bool more);
/* Would so many bytes more, in a mapping like this one, be above RLIMIT_AS or RLIMIT_DATA of the current process? Those
 * of [at, at + size) that are mapped already are replaced. */
bool mm_over_limit(struct mm *mm, const struct vma *like, uint64_t at, uint64_t size);
/* As platform_map_file; bytes of the artifact are compared with their hashes before a guest sees them. */
int mm_map_source(uint8_t *at, uint64_t size, int prot, bool shared, int fd, uint64_t offset);
/* What lies past the end of what is behind the mapping has no pages: the guest gets its SIGBUS. Cuts *end down to
 * that. */
int mm_map_none_behind(struct mm *mm, const struct vma *v, uint64_t start, uint64_t *end);
/* May a mapping be there? Of the flags of mm_map; size is of whole pages. 0 or -errno. */
int mm_check_place(struct mm *mm, uint64_t address, uint64_t size, unsigned flags);
/* Makes v, which holds its references, a mapping with its host pages; verified: for code. Whole mappings that are there
 * are replaced, without a call to the host that only takes their pages away; when it fails, nothing is there. */
struct verified;
int mm_establish(struct mm *mm, struct vma *v, const struct verified *verified);
/* Gives private pages that may be written their own memory. false: there is none, or no more than --memory allows. */
bool mm_populate(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end);
/* Maps what is behind v in `from` at v's place, which is free, too, with private pages that were written copied. */
int mm_copy_mapping(struct mm *to, const struct vma *at, struct mm *from, const struct vma *v);
/* Maps pages of a private mapping that were not written from where its file's bytes are now. */
void mm_map_clean_again(struct mm *mm, const struct vma *v);

/* --- advice.c --- */
/* Brings in pages of the current process as MAP_POPULATE does, as far as that goes. Others get their turn in between.
 */
void mm_bring_in(uint64_t start, uint64_t size);
/* Is any mapping in the range sealed? */
bool mm_is_sealed(struct mm *mm, uint64_t start, uint64_t end);
/* What mlock and its kin locked. */
bool mm_can_lock(void);

/* --- breakpoints.c --- */
unsigned mm_breakpoints_in_file(struct mm *mm, const struct artifact_ledger *code);
void mm_breakpoints_unmapped(struct mm *mm, uint64_t start, uint64_t end);
bool mm_breakpoints_fork(struct mm *to, const struct mm *from); /* false: no memory */
void mm_breakpoints_end(struct mm *mm);

/* --- code.c --- */
/* The only way to host pages of code: those of the artifact, or of the copy of the verified bytes. */
int mm_code_host_map(struct mm *mm, const struct vma *v);
/* NULL is allowed. */
struct code_copy *mm_code_copy_get(struct code_copy *c);
void mm_code_copy_put(struct code_copy *c);
/* The mapping, whose prot says so already, is no code any more. */
void mm_code_end(struct mm *mm, struct vma *v);
/* Records a refusal; -EACCES. */
int mm_code_refuse(const char *call, const char *why);
/* May these pages be executed, and with which bytes? Changes nothing. */
int mm_code_verify(const struct vma *v, int prot, const char *call, struct verified *out);
/* Makes v, which need not be in mm yet, a mapping of the verified bytes. */
int mm_code_install(struct mm *mm, struct vma *v, const struct verified *verified);
/* Makes mappings executable, one after the other. The state, zero at first, keeps the file that was verified, so that
 * one is copied and hashed once however many mappings it is in. 1: v is of another file; call mm_code_protect_end,
 * which lets compiled code in and releases the state, and again. What was verified holds as long as nobody else comes
 * into the vkernel: there is no sleep before that end. */
struct code_protect {
    struct file *file; /* holds a reference; NULL: none yet */
    struct verified verified;
    struct vma last; /* only its code and place */
};
int mm_code_protect(struct mm *mm, struct vma *v, int prot, struct code_protect *state);
void mm_code_protect_end(struct mm *mm, struct code_protect *state);
/* Compiled code can be entered once all of the file's code is mapped; until then the evaluator runs what there is. */
void mm_code_map_bind(struct mm *mm, const struct vma *v, const struct verified *verified);
int mm_code_map_add(struct mm *mm, const struct code_map *like);
/* There is one breakpoint more in this file's code, or one less. */
void mm_code_hold(struct mm *mm, const struct artifact_ledger *code);
void mm_code_let_go(struct mm *mm, const struct artifact_ledger *code);
/* Code of the range is other, or gone. */
void mm_code_changed(struct mm *mm, uint64_t start, uint64_t end);
void mm_code_unmapped(struct mm *mm, uint64_t start, uint64_t end);
void mm_code_drop(struct mm *mm); /* at the end of an address space */

#endif
