/* The direct backend's map of instructions (docs/direct.md): what an executable says of its units' rewritten code, and
 * how host and guest addresses belong together. Made by direct/, read by vkernel/proc, verify/ and the oracle.
 *
 * Section "ingot_direct_units": one struct direct_unit per program or library. Its map is bytes, for all instructions
 * in the order of their addresses, guest's and host's at once:
 *
 *   0x00                     a gap: uleb guest bytes and uleb host bytes that belong to no instruction follow
 *   0x01                     the next instruction is in a run with the one before it: r11 is not what the guest's rsp
 *                            is there when both are pushes or pops, or r10 holds something; nobody enters it
 *   guest << 4 | host        an instruction: guest length 1 to 15; host length 0 to 14, or 15: uleb host length follows
 *
 * The index has a place for every so many instructions, at clean ones; the last stands behind the last instruction. */
#ifndef ARTIFACT_DIRECT_MAP_H
#define ARTIFACT_DIRECT_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define DIRECT_UNITS_SECTION  "ingot_direct_units"
#define DIRECT_TEXT_SECTION   "ingot_direct_text"
#define DIRECT_TABLES_SECTION "ingot_direct_tables"

enum { DIRECT_MAP_GAP = 0, DIRECT_MAP_RUN = 1, DIRECT_MAP_LONG = 15, DIRECT_INDEX_STEP = 64 };

struct direct_place {
    uint32_t guest; /* image-relative address */
    uint32_t host;  /* from the unit's text */
    uint32_t at;    /* in its map */
};

struct direct_unit {
    uint64_t text;       /* host address */
    uint64_t guest_base; /* what image-relative addresses count from */
    uint64_t index, map; /* host addresses of struct direct_place[index_count] and of the map */
    uint32_t text_size, index_count, map_size, reserved;
};
_Static_assert(sizeof(struct direct_unit) == 48, "direct_unit layout");

/* The jumps at the start of each unit's text, 5 bytes each (E9 rel32), in this order. */
enum direct_entry { DIRECT_SYSCALL, DIRECT_UNWIND, DIRECT_JUMP, DIRECT_EVALUATE, DIRECT_ENTRY_COUNT };

/* The code map (docs/direct.md): for each 16 bytes of [0, GUEST_IMAGE_END) a host address, at GUEST_CODE_MAP. */
typedef uint32_t direct_code_map_entry;
enum { DIRECT_LOOKUP_MASK = (int)0xc000000f };

struct direct_insn {
    uint64_t guest, host; /* addresses */
    uint32_t guest_size, host_size;
    bool in_run;        /* r11 may not be its rsp (see the map), and nobody enters it */
    uint64_t run_start; /* then: the first of its run, a guest address */
};
/* Which instruction the address lies in. False: none. */
bool direct_insn_of_guest(const struct direct_unit *u, uint64_t guest, struct direct_insn *out);
bool direct_insn_of_host(const struct direct_unit *u, uint64_t host, struct direct_insn *out);

#endif
