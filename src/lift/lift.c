/* Lifting one block: each instruction is decoded and its lifter looked up and run, until something ends the block. */
#include "lift/simd.h"

#define X86_LIFTER(op, name, lanes) extern void lift_##name(struct lift *);
#include "x86/x86_lifters.h"
#undef X86_LIFTER

static const struct lifter {
    lift_fn *function;
    bool lanes; /* It is the lifter of an SSE instruction, to be run for each 128 bits (lift/vex.c). */
} lifters[X86_OP_COUNT] = {
#define X86_LIFTER(op, name, lanes) [op] = {lift_##name, lanes},
#include "x86/x86_lifters.h"
#undef X86_LIFTER
};

bool
lift_supported(const struct x86_insn *insn)
{
    return insn->op < X86_OP_COUNT && lifters[insn->op].function;
}

static void
lift_one(struct lift *l)
{
    const struct lifter *lifter = &lifters[l->insn->op];

    if (!lift_supported(l->insn))
        lift_end_trap(l, IR_TRAP_UNLIFTED);
    else if (lifter->lanes)
        lift_lanes(l, lifter->function, 0);
    else
        lifter->function(l);
}

void
lift_block(struct ir_build *b, const struct lift_request *r)
{
    struct x86_insn insn = {.address = r->address};
    struct lift l = {.b = b, .insn = &insn, .request = r};
    uint32_t count = 0;
    size_t at = 0;

    ir_begin_block(b, r->address);
    while (!l.done) {
        uint64_t address = r->address + at;
        int length;

        if ((at == r->size && at != 0) || (r->max_insns != 0 && count == r->max_insns)) {
            lift_end_jump(&l, address);
            break;
        }
        length = x86_decode(r->bytes + at, r->size - at, address, &insn);
        /* The instruction is cut off. A first one cannot be left to a jump to it, which would come back here for
         * ever. */
        if (length < 0 && at != 0) {
            lift_end_jump(&l, address);
            break;
        }
        if (length <= 0) {
            insn.address = address;
            lift_end_trap(&l, IR_TRAP_UD);
            break;
        }
        at += (size_t)length;
        if (r->precise)
            ir_set(b, X86_S_RIP, ir_addr(b, address));
        if (r->op_starts != NULL)
            r->op_starts[count] = (uint32_t)b->f->ops.count;
        count++;
        l.next = address + (unsigned)length;
        lift_one(&l);
    }
    ir_end_block(b, &l.end, (uint32_t)at, count);
}
