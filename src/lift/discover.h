/* Finding the code of an ELF file: functions, their basic blocks, jump tables, entries (DESIGN section 4). */
#ifndef LIFT_DISCOVER_H
#define LIFT_DISCOVER_H

#include "elf/elf_image.h"
#include "lift/gap.h"
#include "lift/lift.h"

struct disc_block {
    uint64_t start, end;
    bool entry, label; /* see ir_block */
    int32_t table;     /* index into tables, or -1 */
};

struct disc_func {
    uint64_t address, end;             /* end: of its highest block */
    uint32_t first_block, block_count; /* in blocks; [0] is the entry */
    bool address_taken;                /* may be reached other than by direct calls */
    bool loop;      /* a loop of another function once more, to be entered at its header (discover_loops.c)... */
    uint64_t owner; /* ...the function */
};

/* What became of an indirect jump. */
enum disc_jump_kind {
    DISC_JUMP_SWITCH,        /* through a table: one indexed jump */
    DISC_JUMP_GOTO,          /* through a table or a computed address: its targets are labels of the function */
    DISC_JUMP_LABELS,        /* through a pointer, in a function with labels whose address data holds: to one of them */
    DISC_JUMP_SLOT,          /* through a pointer at a fixed address: PLT stubs, pointer variables */
    DISC_JUMP_TAIL_CALL,     /* through a pointer, with the stack as it was at the function's entry */
    DISC_JUMP_POINTER,       /* through a pointer of which nothing is known */
    DISC_JUMP_COMPUTED,      /* to base + index * size without a bound, or with an unknown base */
    DISC_JUMP_TABLE_UNKNOWN, /* through a table whose address is not known */
    DISC_JUMP_KIND_COUNT
};

struct disc_jump {
    uint64_t address;
    uint8_t kind;  /* enum disc_jump_kind */
    int32_t table; /* of SWITCH and GOTO: what it goes through, index into tables with the targets in the table's order,
                      or -1 */
};

struct disc_gap { /* text that no block covers */
    uint64_t start, end;
    uint8_t kind; /* enum disc_gap_kind */
};

/* What discovery knew, without the profile, of an address at which the evaluator was entered. */
enum disc_evaluated_kind {
    DISC_EVALUATED_UNREACHED,   /* nothing that was found leads there */
    DISC_EVALUATED_RETURN,      /* behind a call: the frame of compiled code was lost */
    DISC_EVALUATED_SYSCALL,     /* behind a system call that had to give up the frames of compiled code */
    DISC_EVALUATED_BLOCK,       /* another block: the evaluator jumped there, or an unresolved jump led there */
    DISC_EVALUATED_INSTRUCTION, /* within a block: where a signal or fault came, or code that jumps between
                                   instructions */
    DISC_EVALUATED_ENTRY,       /* an entry: compiled code had to give up there */
    DISC_EVALUATED_KIND_COUNT
};

struct disc_evaluated {
    uint64_t address, function; /* function 0: none */
    uint8_t kind;               /* enum disc_evaluated_kind */
};

struct disc {
    struct arena arena;
    VEC(struct disc_func) funcs; /* by address */
    VEC(struct disc_block) blocks;
    VEC(struct lift_jump_table) tables;
    bool precise_faults;    /* disc_lift() makes code whose faults have exact state; set by the caller */
    uint64_t exec_bytes;    /* of executable sections */
    uint64_t covered_bytes; /* by blocks */
    uint64_t gap_bytes[DISC_GAP_KIND_COUNT];
    VEC(struct disc_gap) gaps;            /* by address */
    VEC(struct disc_jump) jumps;          /* the indirect ones, by address */
    VEC(struct disc_evaluated) evaluated; /* the addresses of the profile, by address */
    VEC(struct x86_insn) unlifted;        /* one of each kind of instruction without lifter, with an address */
    VEC(uint32_t) unlifted_counts;
};

/* profile: addresses at which the evaluator was entered (recompile/profile.h), image-relative, sorted; may be NULL. */
int discover(struct disc *d, const struct elf_image *image, const uint64_t *profile, size_t profile_count,
             struct err *e);
void disc_fini(struct disc *d);
/* Indirect jumps that are neither through known tables or slots nor tail calls. */
unsigned disc_unresolved_jumps(const struct disc *d);

/* Is there a PLT stub, [endbr64] [bnd] jmp [rip + disp]? slot: image-relative address of the word it jumps through. */
bool disc_plt_slot(const struct elf_image *image, uint64_t address, uint64_t *slot);

/* Lifts one discovered function into f (cleared first). */
void disc_lift(const struct disc *d, const struct disc_func *func, const struct elf_image *image, struct ir_func *f,
               struct ir_build *b);

#endif
