/* What registers and stack slots of a function hold, as far as indirect jumps need it: addresses, bounded numbers,
 * entries of tables. A forward data flow over the IR of its blocks. It believes the ABI (calls keep rbx, rbp, rsp,
 * r12 to r15) and that nobody writes the frame's slots through other pointers, so it proposes: what is made of it
 * stays right when it is wrong. */
#ifndef LIFT_DISCOVER_VALUES_H
#define LIFT_DISCOVER_VALUES_H

#include "ir/ir.h"

enum value_kind {
    VALUE_ANY,
    VALUE_NUMBER, /* its low `bits` bits are not above max */
    VALUE_CONST,  /* base */
    VALUE_STACK,  /* rsp at the function's entry + base */
    VALUE_SCALED, /* x * scale, x <= max */
    VALUE_SLOT,   /* base + x * scale, x <= max */
    VALUE_ENTRY,  /* loaded from a SLOT: size bytes, sign-extended, every scale bytes */
    VALUE_TARGET, /* an ENTRY + relative */
    /* As SLOT, ENTRY and TARGET, of a table whose address is not known. */
    VALUE_SLOT_ANY,
    VALUE_ENTRY_ANY,
};

enum { VALUE_NO_MAX = UINT32_MAX };

/* Code after a call that never returns looks as if it went on from there, with registers that mean something else. So a
 * constant or a place on the stack that meets another value stays, as one that is only likely, and so does what is
 * made of it. */
struct value {
    uint8_t kind, bits, size;
    bool likely;
    uint32_t scale, max;
    uint64_t base, relative;
};

/* Where the indirect jump at the end of a block may lead. */
struct value_jump {
    uint32_t block;
    bool known;
    struct value value;      /* of its target */
    bool leaves_frame;       /* rsp is as at the function's entry, or the block pops what was pushed */
    const uint64_t *targets; /* found so far, the caller's: edges of the data flow */
    size_t target_count;
};

/* f: the whole function, blocks by address but the first, which is its entry. others: blocks that are entered from
 * elsewhere (landing pads, labels). Fills known, value and leaves_frame of each jump. */
void values_find(const struct ir_func *f, const uint64_t *others, size_t other_count, struct value_jump *jumps,
                 size_t jump_count);

#endif
