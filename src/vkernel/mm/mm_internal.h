/* Shared between the files of mm/. */
#ifndef VKERNEL_MM_INTERNAL_H
#define VKERNEL_MM_INTERNAL_H

#include "base/refcount.h"
#include "vkernel/mm/mm.h"
#include "x86/address_space.h"

enum { MM_PAGE = 4096 };
#define MM_RESERVATION (8ull << 30)
#define PAGE_DOWN(x)   ((x) & ~(uint64_t)(MM_PAGE - 1))
#define PAGE_UP(x)     (((x) + MM_PAGE - 1) & ~(uint64_t)(MM_PAGE - 1))

struct shm {
    struct refcount refs;
    uint64_t number; /* in futex keys */
    int fd;
    uint64_t size;
};

/* Pages of the code map that are in this address space. */
struct code_map {
    struct list link;
    uint64_t at, size;      /* guest address of the map pages */
    uint64_t file_offset;   /* in the artifact */
};

struct shm *shm_get(struct shm *s);
uint64_t mm_file_number(const struct vma *v); /* of its file's inode, in futex keys */
void shm_put(struct shm *s);

/* What the host may do for these guest permissions: never execute. */
int mm_host_prot(int prot);
/* Index of the mapping that contains address or is the first after it; mm->count when none. */
unsigned mm_index(struct mm *mm, uint64_t address);
/* Makes room at index i for n items (moves the rest up). */
bool mm_vma_insert(struct mm *mm, unsigned i, const struct vma *v);
void mm_vma_erase(struct mm *mm, unsigned from, unsigned to);
void vma_refs_get(struct vma *v);
void vma_refs_put(struct vma *v);
/* Splits so that address is a boundary; false: no memory. */
bool mm_split(struct mm *mm, uint64_t address);
void mm_merge_around(struct mm *mm, uint64_t start, uint64_t end);
/* Maps the host pages of [start, end) of v, which is not code, with their initial contents. */
int mm_host_map(struct mm *mm, const struct vma *v, uint64_t start, uint64_t end, int host_prot);
/* The only way to host pages of code: those of the artifact, or a copy of the verified bytes, which begin at v's start. */
int mm_code_host_map(struct mm *mm, const struct vma *v, const uint8_t *bytes);
bool mm_in_user_range(uint64_t start, uint64_t end);
bool mm_over_limit(struct mm *mm, uint64_t at, uint64_t size); /* of the current process: RLIMIT_AS */
void mm_code_changed(struct mm *mm, uint64_t start, uint64_t end);
int mm_code_map_add(struct mm *mm, uint64_t at, uint64_t size, uint64_t file_offset);

#endif
