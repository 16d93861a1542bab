/* Finding the code of an ELF file: functions, their basic blocks, jump tables, entries (DESIGN section 4). */
#ifndef LIFT_DISCOVER_H
#define LIFT_DISCOVER_H

#include "elf/elf_image.h"
#include "lift/lift.h"

struct disc_block {
    uint64_t start, end;
    bool entry;      /* see ir_block.entry */
    int32_t table;   /* index into tables, or -1 */
};

struct disc_func {
    uint64_t address, end; /* end: of its highest block */
    uint32_t first_block, block_count; /* in blocks; [0] is the entry */
    bool address_taken;    /* may be reached other than by direct calls */
};

struct disc {
    struct arena arena;
    VEC(struct disc_func) funcs;   /* by address */
    VEC(struct disc_block) blocks;
    VEC(struct lift_jump_table) tables;
    bool precise_faults;       /* disc_lift() makes code whose faults have exact state; set by the caller */
    uint64_t exec_bytes;       /* of executable sections */
    uint64_t covered_bytes;    /* by blocks */
    uint64_t padding_bytes;    /* nops, int3 and zero runs between functions */
    uint32_t unresolved_jumps; /* indirect jumps left to the dispatcher */
    VEC(struct x86_insn) unlifted; /* one of each kind of instruction without lifter, with an address */
    VEC(uint32_t) unlifted_counts;
};

/* profile: addresses at which the evaluator was entered (build/profile.h), image-relative, sorted; may be NULL. */
int discover(struct disc *d, const struct elf_image *image, const uint64_t *profile, size_t profile_count,
             struct err *e);
void disc_fini(struct disc *d);

/* Lifts one discovered function into f (cleared first). */
void disc_lift(const struct disc *d, const struct disc_func *func, const struct elf_image *image,
               struct ir_func *f, struct ir_build *b);

#endif
