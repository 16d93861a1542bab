/* The state of one discovery, shared by the files discover*.c. */
#ifndef LIFT_DISCOVER_INTERNAL_H
#define LIFT_DISCOVER_INTERNAL_H

#include "lift/discover.h"

enum { MAX_ENTRIES = 1024, MAX_LABELS = 4096, MAX_TABLE = 8192 };

enum cover { COVER_NONE, COVER_BLOCK, COVER_FOREIGN };

struct text_range { /* one executable section; arrays have one element per byte */
    uint64_t start, end;
    const uint8_t *bytes;
    uint32_t *func;   /* 1 + index of the function that starts here; 0: none; UINT32_MAX: one for a loop */
    uint32_t *leader; /* == stamp: a block of the function being explored starts here */
    uint32_t *seen;   /* == stamp: it has an instruction here */
    uint8_t *covered; /* enum cover */
};

struct found_jump { /* an indirect jump of the function */
    uint64_t address, end;
    uint8_t kind;                 /* enum disc_jump_kind */
    struct lift_jump_table table; /* count 0: no target known */
    bool by_index;                /* its targets are in the order of the index */
};

struct func {
    uint64_t address, limit; /* limit: end of its FDE or of the section */
    bool queued, done;
    bool forks;            /* a child begins in it, or in a function it calls */
    VEC(uint64_t) entries; /* further entry points */
    VEC(uint64_t) labels;  /* where its computed gotos lead, kept across repeats */
    VEC(struct found_jump) jumps;
    VEC(struct disc_block) blocks;
};

struct step { /* one decoded instruction */
    uint64_t address;
    uint8_t length, flow;
};

struct finder {
    const struct elf_image *image;
    struct disc *disc;
    uint32_t stamp; /* of the function being explored */
    VEC(struct text_range) ranges;
    VEC(struct func) funcs;
    VEC(uint32_t) queue;
    /* of the function being explored: */
    VEC(uint64_t) work; /* block starts to follow */
    bool changed;       /* a block starts where none did */
    VEC(struct step) steps;
    VEC(uint64_t) lea_targets; /* data it takes the address of: jump table candidates */
    VEC(uint64_t) lea_labels;  /* places inside of it that it takes the address of */
    VEC(uint64_t) foreign;     /* where following code stopped at no x86-64-v2 instruction; of the whole file */
    VEC(uint64_t) text_refs;   /* in the text, and read or taken the address of as data; of the whole file */
    VEC(uint64_t) weak;        /* code-like addresses, to be taken last; of the whole file */
    struct ir_func scratch;    /* the function */
    struct ir_build build;
    struct ir_func scratch_block; /* one block */
    struct ir_build build_block;
    VEC(uint64_t) words;     /* addresses inside the text that data holds, sorted; of the whole file */
    VEC(uint64_t) data_refs; /* data whose address the text seems to take, sorted; of the whole file */
    uint64_t *targets;       /* MAX_TABLE of them: the table being read */
    uint64_t jump_work;      /* blocks that may still be looked at for jumps: hostile files end somewhere */
};

struct text_range *finder_range(struct finder *f, uint64_t address);
/* The FDE that covers address, or NULL. */
const struct elf_fde *finder_fde(const struct finder *f, uint64_t address);
bool finder_is_function(struct finder *f, uint64_t address);
/* Code at this address is reached from outside its function (or from anywhere). */
void finder_add_target(struct finder *f, uint64_t address);
void finder_add_call(struct finder *f, uint64_t target);
/* A jump of function fn: into itself, or elsewhere. */
void finder_add_jump(struct finder *f, const struct func *fn, uint64_t target);

struct func *finder_function(struct finder *f, uint64_t address); /* that starts there, or NULL */
/* The last instruction of a block; its flow. */
enum x86_flow finder_last_insn(struct finder *f, const struct disc_block *b, struct x86_insn *insn);

/* Follows what is queued, until nothing is. */
void finder_drain(struct finder *f);
void finder_mark_covered(struct finder *f); /* text_range.covered, from the blocks */

int finder_compare_addresses(const void *a, const void *b); /* for qsort and bsearch */
/* discover_jumps.c: fills data_refs. */
void finder_collect_data_refs(struct finder *f);
/* discover_jumps.c: finds out where the indirect jumps of a function (whose blocks are made) lead, and follows that. */
void finder_resolve_jumps(struct finder *f, struct func *fn);
/* discover_forks.c: makes entries of the places where execution begins anew after fork and longjmp. */
void finder_find_forks(struct finder *f);
/* discover_profile.c: the addresses are image-relative and sorted. Fills disc.evaluated. */
void finder_take_profile(struct finder *f, const uint64_t *addresses, size_t count);
/* discover_loops.c, once d->tables are known: marks blocks that may be entered from the dispatcher, besides the
 * first, and puts functions for loops that may not into disc. */
void finder_find_loops(struct finder *f, struct func *fn);

/* discover_lift.c: the imported function that a call or jump leads to, through a PLT stub or a word of the GOT; or
 * NULL. */
const char *disc_called_import(const struct elf_image *image, const struct x86_insn *insn);

/* discover_coverage.c: how much is covered (text_range.covered), and what the rest is. */
void finder_measure(struct finder *f);

#endif
