/* A guest process's memory: the 32-bit address space and its mappings. usercopy/usercopy.h has the only ways to touch it.
 *
 * Nothing here sleeps but mm_protect. `struct mm` reserves 8 GiB of host addresses (4 GiB + every 32-bit static offset; all PROT_NONE)
 * and maps into it. Host pages mirror the guest's mappings, so an access outside them faults and becomes the guest's
 * SIGSEGV. */
#ifndef VKERNEL_MM_MM_H
#define VKERNEL_MM_MM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/refcount.h"
#include "vkernel/usercopy/usercopy.h"

struct file;
struct inode;
struct mm;

/* The file whose code is there, and the address in it: "FILE+0x12"; or "?". */
void mm_place(struct mm *mm, guest_addr address, char *out, size_t size);
/* Is the host address in the memory of any guest? */
bool mm_is_guest_memory(uint64_t host_address);
/* Is it in the reservation of this one, the guards included? */
bool mm_is_guarded(const struct mm *mm, uint64_t host_address);

/* --- the mappings; for exec, /proc and futexes --- */
enum vma_kind { VMA_ANON, VMA_SHM, VMA_FILE };
struct shm; /* object behind shared anonymous memory */
struct artifact_ledger;

struct vma {
    uint64_t start, end; /* page aligned, end exclusive; in an address space only mm_vma_resize changes them */
    struct list link;    /* by address */
    struct vma *parent, *left, *right; /* vma_tree.c */
    uint64_t gap, largest_gap;         /* free bytes below it; the largest such of its subtree */
    uint32_t priority;
    int prot; /* the guest's PROT_* */
    enum vma_kind kind;
    bool shared, was_writable, dont_fork, wipe_on_fork, locked;
    bool stack;        /* MAP_STACK: PROT_EXEC is for trampolines (run/trampoline.c) and not needed */
    struct file *file; /* a reference, VMA_FILE */
    struct shm *shm;   /* a reference, VMA_SHM */
    uint64_t offset;   /* of start in the file or object */
    bool bounded;      /* VMA_FILE: has pages up to the file's end, which the inode knows, and no further */
    const char *name;  /* "[heap]", "[stack]" or NULL */
    const struct artifact_ledger *code; /* verified executable mapping of this file... */
    uint64_t image_base;                /* ...and where its image address 0 is */
    bool code_stable;                   /* host pages are those of an unchangeable host file: */
    int code_fd;
    uint64_t code_host_offset; /* of the file's offset 0 */
};

struct eval;
struct mm {
    struct space space; /* first: what usercopy/ knows of it */
    uint64_t number;    /* in futex keys */
    struct list link;   /* of all address spaces */
    struct refcount refs;
    struct list vmas;        /* struct vma, by address; owned */
    struct vma *root, *last; /* last: what was found last */
    unsigned count;
    uint64_t brk_start, brk;
    uint64_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end, stack_start;
    uint64_t total_pages, locked_pages, data_pages; /* data: private and writable */
    bool lock_future;                               /* mlockall(MCL_FUTURE) */
    unsigned membarriers;  /* commands of membarrier by which it registered; fork hands them on, exec does not */
    struct cow_space *cow; /* what forks left shared (cow.h); NULL: nothing yet */
    struct eval *eval;     /* made at first need; shared with forked children until either's code changes */
    struct refcount *eval_refs;
    struct list code_maps;    /* struct code_map: what fork maps again */
    uint64_t code_generation; /* of what is in code_maps; never used again for other code */
    bool code_shared;         /* by a fork, which has the same generation */
};

struct mm *mm_new(void); /* NULL: no memory */
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
struct mm *mm_fork(struct mm *from); /* of the current process */
struct eval *mm_eval(struct mm *mm); /* NULL: no memory */
/* Is the compiled code of this mapping's file in force here: all of the file's code is mapped where it was made for? */
bool mm_code_bound(const struct mm *mm, const struct vma *v);
/* The mapping at address or the first after it; NULL: none. Valid until it is removed: who lets mappings be removed
 * meanwhile takes a VMA_SNAPSHOT. */
struct vma *mm_find(struct mm *mm, uint64_t address);
struct vma *mm_at(struct mm *mm, uint64_t address); /* NULL: nothing is mapped there */
struct vma *mm_first(const struct mm *mm);
struct vma *vma_next(const struct mm *mm, const struct vma *v);
#define MM_EACH(v, mm) for (struct vma *v = mm_first(mm); v; v = vma_next(mm, v))
/* A copy with references of its own, until the block ends. */
#define VMA_SNAPSHOT(name, v)                                      \
    __attribute__((cleanup(vma_refs_put))) struct vma name = *(v); \
    vma_refs_get(&name)
void vma_refs_get(const struct vma *v);
void vma_refs_put(struct vma *v);

enum { MM_FIXED = 1, MM_NOREPLACE = 2, MM_SHARED = 4, MM_POPULATE = 8, MM_LOW = 16, MM_STACK = 32, MM_LOCKED = 64 };
/* Returns the address or -errno. file NULL: anonymous. Takes its own reference. */
int64_t mm_map(struct mm *mm, uint64_t address, uint64_t size, int prot, unsigned flags, struct file *file,
               uint64_t offset, const char *name);
int mm_unmap(struct mm *mm, uint64_t address, uint64_t size);
int mm_protect(struct mm *mm, uint64_t address, uint64_t size, int prot);
/* A free range, top down; or -ENOMEM. */
int64_t mm_find_free(struct mm *mm, uint64_t hint, uint64_t size);
bool mm_range_free(struct mm *mm, uint64_t start, uint64_t end);
/* A futex or similar in shared memory: the same key in all processes; false: -EFAULT. */
struct futex_key {
    uint64_t object; /* a number: who sleeps does not keep the object, and another may lie where it lay */
    uint64_t offset;
};
bool mm_futex_key(guest_addr address, bool private_hint, struct futex_key *key);
/* usercopy_hooks.accessible, .ready */
size_t mm_accessible(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain);
bool mm_ready(struct mm *mm, guest_addr address, size_t size, bool write);
/* Where the pages behind a mapping end: at its end, or at that of its file or object. */
uint64_t mm_backed_end(const struct vma *v);
/* Is the address in a page after the end of the mapping's file? */
bool mm_beyond_file(const struct vma *v, uint64_t address);
/* A mapped file's size changed: mappings end where it ends. */
void mm_file_resized(const struct inode *inode, uint64_t old_size, uint64_t new_size);
/* Its bytes are elsewhere from now on: mappings go along, but for private pages that were written. */
void mm_file_moved(const struct inode *inode);

_Static_assert(offsetof(struct mm, space) == 0, "usercopy takes an address space for its own part");

/* What is brought in between two looks at the whole (mm_hooks.brought_in): a call that brings in much does it in such pieces. */
enum { MEMORY_PIECE = 1 << 20 };

struct mm_hooks {
    void (*copy_fails)(
        uint64_t address); /* a copy from or to here cannot be: does the address stand for an unknown register? */
    bool (*brought_in)(uint64_t bytes); /* so much memory was taken at once; false: no more, --memory is reached */
    /* Code of the range goes away: what the evaluator ran of it is counted. */
    void (*code_leaves)(struct mm *mm, uint64_t start, uint64_t end);
};
extern const struct mm_hooks mm_hooks; /* boot/hooks.c */

#endif
