/* The state of one discovery, shared by discover.c, discover_jumps.c and discover_loops.c. */
#ifndef LIFT_DISCOVER_INTERNAL_H
#define LIFT_DISCOVER_INTERNAL_H

#include "lift/discover.h"

enum { MAX_ENTRIES = 1024, MAX_TABLE = 8192 };

struct text_range { /* one executable section; arrays have one element per byte */
    uint64_t start, end;
    const uint8_t *bytes;
    uint32_t *func;   /* 1 + index of the function that starts here; 0: none */
    uint32_t *leader; /* == stamp: a block of the function being explored starts here */
    uint32_t *seen;   /* == stamp: it has an instruction here */
    uint8_t *covered;
};

struct func {
    uint64_t address, limit; /* limit: end of its FDE or of the section */
    bool queued, done;
    VEC(uint64_t) entries; /* further entry points */
    VEC(uint64_t) labels;  /* jump table targets already found, kept across repeats */
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
    VEC(uint64_t) work;        /* block starts to follow */
    VEC(struct step) steps;
    VEC(uint64_t) indirect;    /* addresses of its indirect jumps */
    VEC(uint64_t) lea_targets; /* data it takes the address of: jump table candidates */
    VEC(uint64_t) weak;        /* code-like addresses, to be taken last; of the whole file */
    struct ir_func scratch;
    struct ir_build build;
};

struct text_range *finder_range(struct finder *f, uint64_t address);
/* Code at this address is reached from outside its function (or from anywhere). */
void finder_add_target(struct finder *f, uint64_t address);
void finder_add_call(struct finder *f, uint64_t target);
/* A jump of function fn: into itself, or elsewhere. */
void finder_add_jump(struct finder *f, const struct func *fn, uint64_t target);
void finder_note_unlifted(struct finder *f, const struct x86_insn *insn);

/* discover_jumps.c: finds the table of an indirect jump and follows its targets. */
void finder_resolve_jump(struct finder *f, struct func *fn, uint64_t insn_address);
/* discover_loops.c: marks blocks that may be entered from the dispatcher, besides the first. */
void finder_mark_entries(struct finder *f, struct func *fn);

#endif
