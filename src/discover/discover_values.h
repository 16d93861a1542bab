/* A forward data flow over the IR of a function's blocks, which tells what its registers and stack slots hold, as far
 * as indirect jumps need it: addresses, bounded numbers, entries of jump tables. It believes the ABI (a call keeps rbx,
 * rbp, rsp and r12 to r15) and it believes that nobody writes the slots of the frame through other pointers. A guest
 * may break both, so the result is only a proposal: code that is made of it must stay right when the proposal is
 * wrong. */
#ifndef DISCOVER_VALUES_H
#define DISCOVER_VALUES_H

#include "ir/ir.h"

/* What is known of a value. x stands for an index of which no more is known than x <= max. */
enum value_kind {
    VALUE_ANY,    /* Nothing is known. */
    VALUE_NUMBER, /* Its low `bits` bits are not above max. */
    VALUE_CONST,  /* It is base. */
    VALUE_STACK,  /* It is base above what rsp was at the function's entry; base is negative in most cases. */
    VALUE_SCALED, /* It is x * scale. */
    VALUE_SLOT,   /* It is the address base + x * scale, of an entry of the table at base. */
    VALUE_ENTRY,  /* It was loaded from such an address: `size` bytes. */
    VALUE_TARGET, /* It is such an entry + relative. */
    /* The same for a table whose address is not known. VALUE_ENTRY_ANY also stands for the entry + something. */
    VALUE_SLOT_ANY,
    VALUE_ENTRY_ANY,
};

enum { VALUE_NO_MAX = UINT32_MAX }; /* as max: there is no bound */

/* The code behind a call that never returns belongs to something else, but it looks as if control went on to it, with
 * registers that mean something else there. So where two paths meet, one of them with a constant that may be an address
 * or with a place on the stack, that value is not given up when the other path has a different one: it is kept and
 * marked as likely, and so are sums and differences that are made of it. */
struct value {
    uint8_t kind, bits, size;
    bool likely;
    uint32_t scale, max;
    uint64_t base, relative;
};

/* Where the indirect jump at the end of a block may lead. */
struct value_jump {
    uint32_t block;          /* index of the block */
    bool known;              /* The data flow came to the block and filled value and leaves_frame. */
    struct value value;      /* of the address that it jumps to */
    bool leaves_frame;       /* rsp is as at the function's entry, or higher than it was when the block began */
    const uint64_t *targets; /* The targets found so far, which the caller owns; the data flow goes on to them. */
    size_t target_count;
};

/* f is the whole function: its entry block first, the others sorted by address. others has the addresses of blocks that
 * are entered from elsewhere, such as landing pads. Fills known, value and leaves_frame of each jump. */
void values_find(const struct ir_func *f, const uint64_t *others, size_t other_count, struct value_jump *jumps,
                 size_t jump_count);

#endif
