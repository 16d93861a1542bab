/* Discovery: finding the code of an ELF file, which is its functions, their blocks, the tables that they jump through,
 * and the entries, where the dispatcher may enter them (DESIGN section 4). All addresses are image-relative: they are
 * those that the file names, before the image base is added. */
#ifndef DISCOVER_H
#define DISCOVER_H

#include "elf/elf_image.h"
#include "discover/gap.h"
#include "lift/lift.h"

struct disc_block {
    uint64_t start, end;
    bool entry, label; /* as in struct ir_block */
    int32_t table;     /* index into disc.tables when the block ends in a DISC_JUMP_SWITCH, else -1 */
};

struct disc_func {
    uint64_t address, end;             /* end is where the block with the highest addresses ends */
    uint32_t first_block, block_count; /* a slice of disc.blocks; its first block is the one at `address` */
    bool address_taken;                /* It may be reached other than by direct calls. Discovery does not find out and
                                          sets it for every function but loops; nothing reads it. */
    bool loop;      /* This is a copy of a loop of another function, entered at the loop's header (discover_loops.c). */
    uint64_t owner; /* With `loop`, the address of that other function. */
};

/* What discovery found out about an indirect jump, one whose target is in a register or in memory. The order matters:
 * the kinds from DISC_JUMP_POINTER on count as unresolved, and of several records of one jump the lowest kind is
 * kept. */
enum disc_jump_kind {
    DISC_JUMP_SWITCH,        /* It goes through a jump table, by an index that the block that jumps computes. */
    DISC_JUMP_GOTO,          /* It goes through a table or to a computed address; its targets are labels. */
    DISC_JUMP_LABELS,        /* It goes through a pointer, to one of the function's labels whose addresses are stored in
                                data or taken by the function itself. */
    DISC_JUMP_SLOT,          /* It goes through a pointer at a fixed address: a PLT stub or a pointer variable. */
    DISC_JUMP_TAIL_CALL,     /* It goes through a pointer, and the stack is as it was at the function's entry. */
    DISC_JUMP_POINTER,       /* It goes through a pointer of which nothing is known. */
    DISC_JUMP_COMPUTED,      /* It goes to base + index * size, but the index has no bound or the base is unknown. */
    DISC_JUMP_TABLE_UNKNOWN, /* It goes through a table whose address is not known. */
    DISC_JUMP_KIND_COUNT
};

struct disc_jump {
    uint64_t address;
    uint8_t kind;  /* enum disc_jump_kind */
    int32_t table; /* Index into disc.tables of what a SWITCH or GOTO goes through; -1 for the other kinds, and when the
                      targets are not known in the order of the jump's index. */
};

struct disc_gap { /* a range of the text that no block covers */
    uint64_t start, end;
    uint8_t kind; /* enum disc_gap_kind */
};

/* A profile lists the addresses at which a run entered the evaluator because there was no compiled code. The kind is
 * what discovery knows of such an address before it uses the profile, and from that the likely reason. */
enum disc_evaluated_kind {
    DISC_EVALUATED_UNREACHED,   /* No block covers it: nothing that was found leads there. */
    DISC_EVALUATED_RETURN,      /* It is behind a call: the callee returned after the caller's frame was lost. */
    DISC_EVALUATED_SYSCALL,     /* It is behind a system call that had to give up the frames of compiled code. */
    DISC_EVALUATED_BLOCK,       /* It is another block: the evaluator or an unresolved jump led there. */
    DISC_EVALUATED_INSTRUCTION, /* It is within a block: a signal or fault came there, or the guest jumps between the
                                   bytes at which instructions were found. */
    DISC_EVALUATED_ENTRY,       /* It is an entry, at which compiled code had to give up. */
    DISC_EVALUATED_KIND_COUNT
};

struct disc_evaluated {
    uint64_t address, function; /* function is the one that has the address, or 0 when none has */
    uint8_t kind;               /* enum disc_evaluated_kind */
};

struct disc {
    struct arena arena;
    VEC(struct disc_func) funcs;        /* sorted by address */
    VEC(struct disc_block) blocks;      /* of all functions; each has a slice */
    VEC(struct lift_jump_table) tables; /* their targets are in the arena */
    bool precise_faults;    /* The caller sets it: disc_lift() makes code whose registers are known at each fault. */
    uint64_t exec_bytes;    /* how many bytes the executable sections have */
    uint64_t covered_bytes; /* how many of them are in blocks */
    uint64_t gap_bytes[DISC_GAP_KIND_COUNT];
    VEC(struct disc_gap) gaps;            /* sorted by address */
    VEC(struct disc_jump) jumps;          /* the indirect jumps, sorted by address */
    VEC(struct disc_evaluated) evaluated; /* the addresses of the profile that lie in the text, sorted */
    VEC(struct x86_insn) unlifted;        /* the first instruction of each operation that has no lifter */
    VEC(uint32_t) unlifted_counts;        /* how many there are of each of these */
};

/* profile has addresses at which the evaluator was entered (recompile/profile.h), image-relative and sorted. It may be
 * NULL when profile_count is 0. */
int discover(struct disc *d, const struct elf_image *image, const uint64_t *profile, size_t profile_count,
             struct err *e);
void disc_fini(struct disc *d);
/* How many indirect jumps are POINTER, COMPUTED or TABLE_UNKNOWN, those of which it is not known where they lead. */
unsigned disc_unresolved_jumps(const struct disc *d);

/* Is there a stub of the PLT at this address, [endbr64] [bnd] jmp [rip + disp]? *slot becomes the image-relative
 * address of the word that it jumps through, which the dynamic linker fills in. */
bool disc_plt_slot(const struct elf_image *image, uint64_t address, uint64_t *slot);

/* Lifts one discovered function into f, which is cleared first. b is the builder of f. */
void disc_lift(const struct disc *d, const struct disc_func *func, const struct elf_image *image, struct ir_func *f,
               struct ir_build *b);

#endif
