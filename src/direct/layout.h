/* Where rewritten code comes to lie: bytes as they are appended, branches between them that take their short form where
 * it reaches, and places that need the linker. */
#ifndef DIRECT_LAYOUT_H
#define DIRECT_LAYOUT_H

#include "base/buf.h"
#include "base/vec.h"

enum branch_kind {
    BRANCH_JUMP,
    BRANCH_CONDITION,
    BRANCH_CALL,
    BRANCH_SHORT_ONLY /* LOOPcc, JRCXZ: opcode alone */,
    BRANCH_ALIGN
};

struct branch {
    uint32_t at;             /* in code: it stands before the byte there */
    uint32_t target;         /* position */
    uint8_t kind, condition; /* condition: enum x86_cc; for BRANCH_SHORT_ONLY the opcode; for BRANCH_ALIGN the
                                alignment */
    uint8_t size;
};

struct position {
    uint32_t code, branches; /* behind so many bytes and branches */
};

enum fix_kind {
    FIX_IMAGE32S, /* 4 bytes, sign-extended by the processor: image base + addend */
    FIX_IMAGE32,  /* zero-extended */
    FIX_TABLE32S, /* address in the unit's tables + addend */
    FIX_ENTRY,    /* rel32 of a run-time entry; addend: enum direct_entry */
};

struct fix {
    uint32_t at, branches; /* as a position */
    uint8_t kind;
    int64_t addend;
};

struct layout {
    struct buf code;
    VEC(struct branch) branches;
    VEC(struct position) positions;
    VEC(struct fix) fixes;
    uint32_t *sums; /* after layout_finish(): bytes of the first n branches */
};

/* Forgets what was appended since the point was made; positions that were placed since are to be placed anew. */
struct layout_point {
    size_t code, branches, fixes;
};
struct layout_point layout_point(const struct layout *l);
void layout_return(struct layout *l, struct layout_point p);

/* A position to be placed later. */
uint32_t layout_position(struct layout *l);
void layout_place(struct layout *l, uint32_t position);
void layout_branch(struct layout *l, enum branch_kind kind, unsigned condition, uint32_t target);
void layout_align(struct layout *l, unsigned alignment);
/* The linker's bytes at `at` of l->code, which is behind all branches so far. */
void layout_fix(struct layout *l, size_t at, enum fix_kind kind, int64_t addend);

/* Settles all sizes; appends the code to out. All positions that branches lead to are placed. */
void layout_finish(struct layout *l, struct buf *out);
/* Offsets in the finished code. */
uint32_t layout_offset(const struct layout *l, uint32_t position);
uint32_t layout_fix_offset(const struct layout *l, const struct fix *f);
void layout_fini(struct layout *l);

#endif
