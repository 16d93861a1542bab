/* The state of one discovery, which the files discover*.c share. discover.c begins it, follows the code and ends it;
 * each of the other files answers one question about what was found. */
#ifndef DISCOVER_INTERNAL_H
#define DISCOVER_INTERNAL_H

#include "discover/discover.h"

enum { MAX_ENTRIES = 1024, MAX_LABELS = 4096, MAX_TABLE = 8192 };

/* What a byte of the text is part of: nothing that was found, a block, or code that only instructions lead to which the
 * artifact's level does not have (discover_coverage.c). */
enum cover { COVER_NONE, COVER_BLOCK, COVER_FOREIGN };

struct text_range { /* one executable section; each array has one element for each byte of it */
    uint64_t start, end;
    const uint8_t *bytes;
    uint32_t *func; /* 1 + the index in finder.funcs of the function that starts here, 0 for none. UINT32_MAX says that
                       a loop which became a function of its own starts here (discover_loops.c). */
    /* Exploring a function takes a new finder.stamp, so that these two need not be cleared in between: */
    uint32_t *leader; /* equals the stamp where a block of the function being explored starts */
    uint32_t *seen;   /* equals the stamp where an instruction of that function starts */
    uint8_t *covered; /* enum cover */
};

struct found_jump { /* an indirect jump of a function */
    uint64_t address, end;
    uint8_t kind;                 /* enum disc_jump_kind */
    struct lift_jump_table table; /* its count is 0 when no target is known */
    bool by_index;                /* The targets are in the order of the index that the jump uses. */
};

struct func {
    uint64_t address, limit; /* Exploring it stays below limit: the end of its FDE, or without one the start of the next
                                FDE or the end of the section. */
    bool queued, done;       /* It is in finder.queue; it was explored before. */
    bool forks;              /* A child begins in it, or in a function that it calls (discover_forks.c). */
    VEC(uint64_t) entries;   /* where it may be entered, besides its address */
    VEC(uint64_t) labels;    /* where its computed gotos lead; kept when it is explored again */
    VEC(struct found_jump) jumps;
    VEC(struct disc_block) blocks; /* sorted by address */
};

struct step { /* one decoded instruction */
    uint64_t address;
    uint8_t length, flow; /* flow is an enum x86_flow: what the instruction does with control */
};

struct finder {
    const struct elf_image *image;
    struct disc *disc;
    uint32_t stamp; /* the number of the function being explored, see struct text_range */
    VEC(struct text_range) ranges;
    VEC(struct func) funcs;
    VEC(uint32_t) queue; /* indices of the functions to explore */

    /* Up to lea_labels, these are of the function being explored. */
    VEC(uint64_t) work; /* addresses at which blocks start and that are still to be followed */
    bool changed;       /* A block was found to start where none did. */
    VEC(struct step) steps;
    VEC(uint64_t) lea_targets; /* addresses of data that it takes; jump tables may lie there */
    VEC(uint64_t) lea_labels;  /* addresses inside of the function that it takes itself */

    /* These are of the whole file. */
    VEC(uint64_t) foreign;   /* where following code stopped at bytes that are no instruction of the artifact's level */
    VEC(uint64_t) text_refs; /* addresses in the text that are used as data */
    VEC(uint64_t) weak;      /* addresses that may be code; they are taken last */

    /* The IR of the function being explored, and that of one of its blocks. */
    struct ir_func scratch;
    struct ir_build build;
    struct ir_func scratch_block;
    struct ir_build build_block;

    /* These are of the whole file, too. */
    VEC(uint64_t) words;     /* addresses inside of the text that data holds, sorted */
    VEC(uint64_t) data_refs; /* addresses of data that the text seems to take, sorted */
    uint64_t *targets;       /* MAX_TABLE elements, for the table being read */
    uint64_t jump_work;      /* a budget of blocks that may still be lifted to resolve jumps; without it a hostile file
                                could keep discovery busy for ever */
};

/* The executable section that has the address, or NULL. */
struct text_range *finder_range(struct finder *f, uint64_t address);
/* The FDE that covers the address, or NULL. An FDE is a frame description entry of the unwind tables (.eh_frame); as a
 * rule they have one for each function, so that it tells where the function starts and ends. */
const struct elf_fde *finder_fde(const struct finder *f, uint64_t address);
bool finder_is_function(struct finder *f, uint64_t address);
/* Says that code at this address is reached from outside of the function that has it. The address becomes a function,
 * or an entry of the function whose FDE covers it. An address outside of the text is ignored, here and in the next
 * two. */
void finder_add_target(struct finder *f, uint64_t address);
/* Says that something calls the address: it becomes a function. */
void finder_add_call(struct finder *f, uint64_t target);
/* Says that function fn, which is being explored, jumps to target. Inside of fn it is followed, elsewhere it becomes a
 * function or an entry of another one. */
void finder_add_jump(struct finder *f, const struct func *fn, uint64_t target);

/* The function that starts at the address, or NULL. Adding a function may move it. This works until discover() sorts
 * the functions at the end, because text_range.func has their indices. */
struct func *finder_function(struct finder *f, uint64_t address);
/* Decodes the last instruction of a block into *insn and tells what it does with control. */
enum x86_flow finder_last_insn(struct finder *f, const struct disc_block *b, struct x86_insn *insn);

/* Explores the functions of the queue, until it is empty. */
void finder_drain(struct finder *f);
/* Marks the bytes of all blocks in text_range.covered. */
void finder_mark_covered(struct finder *f);

/* Compares two uint64_t, for qsort() and bsearch(). */
int finder_compare_addresses(const void *a, const void *b);
/* discover_jumps.c: fills data_refs. */
void finder_collect_data_refs(struct finder *f);
/* discover_jumps.c: finds out where the indirect jumps of a function lead, whose blocks are made, and queues what they
 * lead to. */
void finder_resolve_jumps(struct finder *f, struct func *fn);
/* discover_forks.c: makes entries of the places where execution begins anew after fork and longjmp. */
void finder_find_forks(struct finder *f);
/* discover_profile.c: fills disc.evaluated and makes entries of the addresses, which are image-relative and sorted. */
void finder_take_profile(struct finder *f, const uint64_t *addresses, size_t count);
/* discover_loops.c: marks the blocks of fn that the dispatcher may enter besides the first one. A loop that it may not
 * enter in its place is put into disc as a function of its own. The tables of fn are in disc already. */
void finder_find_loops(struct finder *f, struct func *fn);

/* discover_lift.c: the name of the imported function that a call or jump leads to, through a PLT stub or through a word
 * of the GOT that the dynamic linker fills in; NULL when it leads to none. */
const char *disc_called_import(const struct elf_image *image, const struct x86_insn *insn);

/* discover_coverage.c: measures how much the blocks cover (text_range.covered), and tells what the rest is. */
void finder_measure(struct finder *f);

#endif
