/* A guest process's memory: the 32-bit address space and its mappings. Only the functions of usercopy/usercopy.h touch
 * the bytes in it.
 *
 * Nothing here sleeps but mm_protect(). A `struct mm` reserves 8 GiB of host addresses, which is 4 GiB and room for
 * every 32-bit static offset, and maps into them; all the rest is PROT_NONE. Host pages mirror the guest's mappings, so
 * an access outside of these faults and becomes the guest's SIGSEGV. */
#ifndef VKERNEL_MM_MM_H
#define VKERNEL_MM_MM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/checked.h"
#include "base/id_tree.h"
#include "base/list.h"
#include "base/refcount.h"
#include "vkernel/usercopy/usercopy.h"

struct file;
struct inode;
struct mm;

/* Writes which file's code is at the address, and the address within it, as "FILE+0x12"; or "?". */
void mm_place(struct mm *mm, guest_addr address, char *out, size_t size);
/* Is the host address in the memory of any guest? */
bool mm_is_guest_memory(uint64_t host_address);
/* Is the host address in this address space's reservation, the guards included? */
/* Is a host address one at which some mapping allows the access? */
bool mm_allows(struct mm *mm, uint64_t host_address, bool write);
bool mm_is_guarded(const struct mm *mm, uint64_t host_address);

/* --- the mappings; for exec, /proc and futexes --- */
enum vma_kind { VMA_ANON, VMA_SHM, VMA_FILE };
struct shm; /* the object behind shared anonymous memory */
struct artifact_ledger;
struct code_copy;

struct vma {
    uint64_t start, end;  /* page aligned, end exclusive; within an address space only mm_vma_resize() changes them */
    struct list link;     /* in mm.vmas, by address */
    struct mm *mm;        /* whose it is */
    struct list of_inode; /* VMA_FILE: in inode.mappings; a copy that is in no address space is not there */
    struct vma *parent, *left, *right; /* the search tree (vma_tree.c) */
    uint64_t gap, largest_gap;         /* free bytes below this mapping; the largest such number of its subtree */
    uint32_t priority;
    int prot; /* the guest's PROT_* */
    enum vma_kind kind;
    bool shared, was_writable, dont_fork, wipe_on_fork, locked;
    bool grows_down; /* MAP_GROWSDOWN, and the main stack: an access below makes it longer (grow_down.c) */
    bool sealed;     /* mseal: it stays as it is until the address space ends */
    bool stack; /* MAP_STACK: programs want PROT_EXEC there for trampolines, which need none here (run/trampoline.c) */
    struct file *file; /* VMA_FILE: a reference */
    struct shm *shm;   /* VMA_SHM: a reference */
    uint64_t offset;   /* where in the file or object the mapping starts */
    bool bounded;      /* VMA_FILE: there are pages up to the file's end, which the inode knows, and no further */
    const char *name;  /* "[heap]", "[stack]" or NULL */
    const struct artifact_ledger *code; /* not NULL: a verified executable mapping of this file... */
    uint64_t image_base;                /* ...whose address 0 is at this guest address */
    /* The host's pages of code are those of a host file that cannot change, where the file's offset 0 is at
     * code_host_offset: the artifact, or the copy, which is NULL otherwise and counted. */
    struct code_copy *code_copy;
    int code_fd;
    uint64_t code_host_offset;
};

struct eval;
struct aio_contexts;
struct mm {
    struct space space;   /* first member: what usercopy/ knows of an address space */
    uint64_t number;      /* stands for the address space in futex keys */
    void *reserved;       /* the host addresses that the reservation is in, MM_RESERVED bytes */
    struct id_node place; /* in the tree of all address spaces, by where its reservation is in the host */
    struct refcount refs;
    struct list vmas;        /* struct vma, by address; owned */
    struct vma *root, *last; /* the root of the search tree; the mapping that was found last */
    unsigned count;
    unsigned counted; /* mappings of files that count them (file_ops.mapped) */
    uint64_t brk_start, brk;
    uint64_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end, stack_start;
    uint64_t total_pages, locked_pages, data_pages; /* data: what is private, writable and no stack */
    bool sealed;                                    /* a mapping is, or was */
    bool lock_future;                               /* mlockall(MCL_FUTURE) */
    bool lock_on_fault;                             /* with MCL_ONFAULT: what comes is not brought in at once */
    unsigned membarriers;  /* the commands of membarrier that it registered with; fork hands them on, exec does not */
    unsigned still;        /* how many MM_STILL hold its threads */
    uint64_t changes;      /* rises whenever a mapping comes, goes or becomes another */
    struct cow_space *cow; /* what forks left shared (cow.h); NULL: there was no such fork */
    struct eval *eval; /* made when it is needed first; shared with forked children until the code of either changes */
    struct refcount *eval_refs;
    struct list code_maps;    /* struct code_map: what fork maps once more */
    uint64_t code_generation; /* the number of what is in code_maps, which other code never gets */
    uint64_t *breakpoints;    /* addresses, rising (breakpoints.c) */
    unsigned breakpoint_count, breakpoint_room;
    bool code_shared; /* shared with a forked child, which has the same generation number */
    /* The address space that this one was forked from, until the mappings of either change; or NULL (spare.c). */
    struct mm *origin;
    struct list copies, copy_link; /* those whose origin this is; in this list of the origin's */
    struct list spares;            /* struct spare: copies that nobody uses any more, for the next fork */
    struct aio_contexts *aio; /* of asynchronous I/O (fs/aio.c); NULL: there are none. fork does not hand them on */
};

struct mm *mm_new(void); /* NULL: no memory */
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
/* Frees what is only kept for later forks. */
void mm_drop_spares(void);
struct mm *mm_fork(struct mm *from); /* a copy of the current process's address space; NULL: no memory */
struct eval *mm_eval(struct mm *mm); /* NULL: no memory */
/* Is the native code of this mapping's file in force here, because all of the file's code is mapped where the native
 * code was made for? */
bool mm_code_bound(const struct mm *mm, const struct vma *v);
/* The mapping at the address, or the first one after it; NULL: there is none. It is valid until it is removed: a caller
 * that lets mappings be removed meanwhile takes a VMA_SNAPSHOT. */
struct vma *mm_find(struct mm *mm, uint64_t address);
struct vma *mm_at(struct mm *mm, uint64_t address); /* NULL: nothing is mapped there */
struct vma *mm_first(const struct mm *mm);
struct vma *vma_next(const struct mm *mm, const struct vma *v);
#define MM_EACH(v, mm) for (struct vma *v = mm_first(mm); v; v = vma_next(mm, v))
/* A copy of a mapping with references of its own, until the block ends. */
#define VMA_SNAPSHOT(name, v)                                      \
    __attribute__((cleanup(vma_refs_put))) struct vma name = *(v); \
    vma_refs_get(&name)
void vma_refs_get(const struct vma *v);
void vma_refs_put(struct vma *v);

enum { MM_FIXED = 1, MM_NOREPLACE = 2, MM_SHARED = 4, MM_LOW = 8, MM_STACK = 16, MM_LOCKED = 32, MM_GROWS_DOWN = 64 };
/* Returns the address or -errno. file: NULL for anonymous memory; mm_map takes a reference of its own. */
int64_t mm_map(struct mm *mm, uint64_t address, uint64_t size, int prot, unsigned flags, struct file *file,
               uint64_t offset, const char *name);
/* May so many bytes more be locked, in a mapping like this one (NULL: a locked one)? */
bool mm_may_lock(const struct mm *mm, const struct vma *like, uint64_t more);
int mm_unmap(struct mm *mm, uint64_t address, uint64_t size);
/* Nothing is mapped at the address: makes a mapping above it that grows downwards reach it, as far as RLIMIT_STACK, the
 * other limits and what lies below allow. False: there is none, or it may not grow. */
bool mm_grow_down(struct mm *mm, guest_addr address);
/* The same, but others get their turn in between: the host takes a tenth of a second for a gigabyte. */
int mm_unmap_in_pieces(struct mm *mm, uint64_t address, uint64_t size);
/* To be called before an mm_put() that may be the last one: gives large mappings back, and others get their turn in
 * between. Where there are more references it does nothing. NULL is allowed. */
void mm_empty(struct mm *mm);
int mm_protect(struct mm *mm, uint64_t address, uint64_t size, int prot);
/* Finds a free range, from the top of the address space downwards; or -ENOMEM. */
int64_t mm_find_free(struct mm *mm, uint64_t hint, uint64_t size);
bool mm_range_free(struct mm *mm, uint64_t start, uint64_t end);
/* A name for a place in memory, as futexes need it: for shared memory it is the same in all processes. mm_futex_key:
 * false means -EFAULT. */
struct futex_key {
    /* a number and no pointer: a sleeper does not keep the object, and another may come to lie at its address */
    uint64_t object;
    uint64_t offset;
};
bool mm_futex_key(guest_addr address, bool private_hint, struct futex_key *key);
/* usercopy_hooks.accessible, .ready */
size_t mm_accessible(struct mm *mm, guest_addr address, size_t size, bool write, bool *uncertain);
bool mm_ready(struct mm *mm, guest_addr address, size_t size, bool write);
/* What is at pages from an address on, 512 at most: MM_PAGE_*, or 0. -errno. */
enum { MM_PAGE_PRESENT = 1, MM_PAGE_FILE = 2 /* a file's, or shared memory */ };
int mm_look_at_pages(struct mm *mm, guest_addr address, unsigned count, unsigned char *pages);

/* --- foreign.c: the memory of a process that need not run; bytes copied, up to the first that is not mapped with the
 * permission. The other process's threads go on meanwhile. --- */
size_t mm_other_read(struct mm *mm, void *dst, guest_addr src, size_t size);
size_t mm_other_write(struct mm *mm, guest_addr dst, const void *src, size_t size);
/* --- breakpoints.c: the same for a tracer, with its breakpoints, and where the other process could not write --- */
size_t mm_trace_read(struct mm *mm, void *dst, guest_addr src, size_t size);
size_t mm_trace_write(struct mm *mm, guest_addr dst, const void *src, size_t size);
/* Has a tracer put a breakpoint at the address? To be asked where mm.breakpoint_count is not 0. */
bool mm_breakpoint_at(const struct mm *mm, uint64_t address);

/* Where the pages behind a mapping end: at the mapping's end, or at that of its file or object if that comes first. */
uint64_t mm_backed_end(const struct vma *v);
/* Is the address in a page behind the end of the mapping's file? */
bool mm_beyond_file(const struct vma *v, uint64_t address);
/* To be called when a file's size has changed: its mappings then have pages up to its new end. */
void mm_file_resized(const struct inode *inode, uint64_t old_size, uint64_t new_size);
/* Is there a shared mapping of the file that writes to it, or can be made to by mprotect? */
bool mm_file_may_be_written(const struct inode *inode);
/* To be called when a file's bytes are elsewhere in the host: its mappings follow, but for private pages that were
 * written. */
void mm_file_moved(const struct inode *inode);

_Static_assert(offsetof(struct mm, space) == 0, "usercopy takes an address space for its own part");

/* Threads of the guest run while the vkernel changes the host pages of their address space. Most changes are one call
 * to the host, before and after which the pages are what some mapping says: who meets such a page in between waits for
 * the vkernel at his fault. Where bytes are read and what was read is then put in the place of the pages, what a thread
 * writes in between would be lost, and where pages can be accessed for a moment that no mapping allows, a thread would
 * see them. There the block begins with MM_STILL(mm): until it ends, no thread runs guest code in this address space.
 * It may be nested, and nothing in it may sleep. */
#define MM_STILL(who) __attribute__((cleanup(mm_still_end), unused)) struct mm *stands_still = mm_still_begin(who)
struct mm *mm_still_begin(struct mm *mm);
void mm_still_end(struct mm **mm);

/* A call that brings in much memory does so in pieces of this size, and asks mm_hooks.brought_in after each. */
enum { MEMORY_PIECE = 1 << 20 };
/* What is unmapped or protected without giving way. */
enum { UNMAP_PIECE = 16 << 20 };

struct mm_hooks {
    /* a copy from or to this address failed: the address may stand for an unknown register */
    void (*copy_fails)(uint64_t address);
    /* so much memory was taken at once; false: --memory is reached, and no more may be taken */
    bool (*brought_in)(uint64_t bytes);
    /* on: threads that run guest code in the address space on other processors stop where they are. Else they
     * may go on (MM_STILL). */
    void (*stand_still)(struct mm *mm);
    /* The code of this address space is another one from here on. */
    void (*code_changed)(const struct mm *mm);
    /* Nobody has this address space, which has contexts of asynchronous I/O, any more. */
    void (*aio_ends)(struct mm *mm);
    /* Code in the range goes away, so that what the evaluator has counted for it must be collected. */
    void (*code_leaves)(struct mm *mm, uint64_t start, uint64_t end);
};
extern const struct mm_hooks mm_hooks; /* boot/hooks.c */

#endif
