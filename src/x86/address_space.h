/* The layout of a guest's 32-bit address space: the one place that fixes it.
 *
 * Guest addresses are below 4 GiB (DESIGN D4). Nothing is ever mapped below 64 KiB, so that a static
 * offset below 64 KiB added to an address that wrapped faults as the true sum would. Code lies
 * below 1 GiB, so that the code map (below) stays small and host displacements reach it. */
#ifndef X86_ADDRESS_SPACE_H
#define X86_ADDRESS_SPACE_H

#define GUEST_NULL_END    0x00010000u
#define GUEST_IMAGE_START 0x00400000u /* ET_EXEC files keep their addresses from here */
#define GUEST_PIE_START   0x02000000u /* fixed bases of PIE files and libraries, 64 KiB aligned */
#define GUEST_IMAGE_END   0x40000000u /* end of anything executable */

/* The code map: for each 16 bytes of [0, GUEST_IMAGE_END) one 8-byte struct code_map_entry, read-only,
 * placed by the vkernel when a ledger-known file is mapped executable (file pages of the artifact,
 * shared by all). Bit i of `bits` set: address 16 * n + i is a compiled entry; its index in the function
 * table is rank + popcount(bits below i). Functions are nearly always aligned to 16: then it is rank. */
#define GUEST_CODE_MAP      0x40000000u
#define GUEST_CODE_MAP_END  0x60000000u
#define GUEST_CODE_MAP_UNIT 16u /* bytes of code per entry */

#define GUEST_BRK_START 0x60000000u
#define GUEST_MMAP_END  0xf0000000u /* mmap goes down from here */
#define GUEST_STACK_END 0xfff00000u /* top of the main stack */
/* Never mapped: what a handler gets as its context, and as registers, where nobody knows those of a fault. */
#define GUEST_UNKNOWN 0xffff0000u
#define GUEST_END     0x100000000ull

#ifndef __ASSEMBLER__
#include <stdint.h>
struct code_map_entry {
    uint32_t rank;
    uint16_t bits;
    uint16_t reserved; /* 0 */
};
_Static_assert(sizeof(struct code_map_entry) == 8, "code map entries are 8 bytes");
_Static_assert((uint64_t)GUEST_IMAGE_END / GUEST_CODE_MAP_UNIT * 8 == GUEST_CODE_MAP_END - GUEST_CODE_MAP,
               "code map size");
#endif

#endif
