/* The lifters of push, pop, enter and leave, and of what moves flags to and from the stack and AH, or sets them. */
#include "lift/lift_internal.h"

#define B   (l->b)
#define DST (&l->insn->operand[0])

static unsigned
stack_size(const struct lift *l)
{
    return l->insn->opsize == 2 ? 2 : 8;
}

/* Immediates are sign-extended to the size of what is pushed, selectors zero-extended. */
void
lift_push_insn(struct lift *l)
{
    unsigned size = stack_size(l);
    ir_value v;

    if (DST->kind == X86_OPD_REG && DST->reg_class == X86_RC_SEG)
        v = lift_const(l, size, 0); /* Only FS and GS can be pushed; in 64-bit Linux they are 0. */
    else
        v = lift_source(l, DST, size);
    lift_push(l, size, v);
}

/* When rsp is the base of a destination in memory, the address is computed with rsp as it is after the pop (SDM,
 * POP). */
void
lift_pop_insn(struct lift *l)
{
    if (DST->kind == X86_OPD_REG && DST->reg_class == X86_RC_SEG) {
        lift_end_trap(l, IR_TRAP_UNLIFTED);
        return;
    }
    unsigned size = stack_size(l);
    if (DST->kind == X86_OPD_MEM) {
        /* The store may fault, and then rsp must be as before: it changes after the store. */
        struct x86_operand o = *DST;
        ir_value sp = ir_get(B, X86_S_RSP);

        if (o.base == X86_RSP)
            o.disp += size;
        lift_store(l, &o, size, lift_load_at(l, ir_op1(B, IR_WRAP, sp), 0, size));
        ir_set(B, X86_S_RSP, ir_op2(B, IR_ADD64, sp, ir_const64(B, size)));
        return;
    }
    lift_write(l, DST, lift_pop(l, size));
}

void
lift_enter(struct lift *l)
{
    unsigned size = stack_size(l), level = (unsigned)l->insn->operand[1].imm & 31;
    ir_value frame, rbp = ir_get(B, X86_S_RBP), sp;

    lift_push(l, size, lift_read_gpr(l, X86_RBP, size));
    frame = ir_get(B, X86_S_RSP);
    for (unsigned i = 1; i < level; i++) {
        ir_value at = ir_op2(B, IR_SUB64, rbp, ir_const64(B, i * size));

        lift_push(l, size, lift_load_at(l, ir_op1(B, IR_WRAP, at), 0, size));
    }
    if (level != 0)
        lift_push(l, size, lift_from64(l, size, frame));
    sp = ir_op2(B, IR_SUB64, ir_get(B, X86_S_RSP), ir_const64(B, (uint16_t)l->insn->operand[0].imm));
    /* The processor touches the new top of the stack before it goes on (SDM, ENTER). */
    lift_load_at(l, ir_op1(B, IR_WRAP, sp), 0, size);
    lift_write_gpr(l, X86_RBP, size, lift_from64(l, size, frame));
    ir_set(B, X86_S_RSP, sp);
}

void
lift_leave(struct lift *l)
{
    unsigned size = stack_size(l);

    ir_set(B, X86_S_RSP, ir_get(B, X86_S_RBP));
    lift_write_gpr(l, X86_RBP, size, lift_pop(l, size));
}

/* --- flags --- */

static const struct {
    uint8_t flag, bit;
} layout[] = {
    {X86_FLAG_CF, 0}, {X86_FLAG_PF, 2},  {X86_FLAG_AF, 4},  {X86_FLAG_ZF, 6},
    {X86_FLAG_SF, 7}, {X86_FLAG_DF, 10}, {X86_FLAG_OF, 11},
};

enum { LAYOUT_COUNT = sizeof layout / sizeof layout[0], IN_AH = 5 }; /* The first five are the flags that AH gets. */

static ir_value
compose(struct lift *l, unsigned count, ir_value v)
{
    for (unsigned i = 0; i < count; i++) {
        ir_value flag = lift_get_flag(l, layout[i].flag);

        v = ir_op2(B, IR_OR32, v, ir_op2(B, IR_SHL32, flag, ir_const32(B, layout[i].bit)));
    }
    return v;
}

static void
decompose(struct lift *l, unsigned count, ir_value v)
{
    for (unsigned i = 0; i < count; i++) {
        ir_value bit = ir_op2(B, IR_SHRU32, v, ir_const32(B, layout[i].bit));

        lift_set_flag(l, layout[i].flag, ir_op2(B, IR_AND32, bit, ir_const32(B, 1)));
    }
}

void
lift_pushf(struct lift *l)
{
    unsigned size = stack_size(l);
    ir_value rest = ir_helper(B, IR_HELPER_rflags_rest, IR_NO_VALUE, IR_NO_VALUE, IR_NO_VALUE);
    ir_value v = compose(l, LAYOUT_COUNT, ir_op1(B, IR_WRAP, rest));

    lift_push(l, size, size == 8 ? ir_op1(B, IR_EXTU, v) : lift_narrow(l, size, v));
}

void
lift_popf(struct lift *l)
{
    unsigned size = stack_size(l);
    ir_value v = lift_pop(l, size);

    /* A 16-bit popf leaves ID and AC as they are, which are in the upper half. */
    if (size == 8)
        ir_helper(B, IR_HELPER_set_rflags_rest, v, IR_NO_VALUE, IR_NO_VALUE);
    decompose(l, LAYOUT_COUNT, size == 8 ? ir_op1(B, IR_WRAP, v) : v);
}

static const struct x86_operand ah = {
    .kind = X86_OPD_REG,
    .reg_class = X86_RC_GPR_HIGH,
    .reg = X86_RAX,
    .size = 1,
};

void
lift_lahf(struct lift *l)
{
    lift_write(l, &ah, compose(l, IN_AH, ir_const32(B, 2)));
}

void
lift_sahf(struct lift *l)
{
    decompose(l, IN_AH, lift_read(l, &ah));
}

void
lift_cmc(struct lift *l)
{
    lift_set_flag(l, X86_FLAG_CF, ir_op1(B, IR_EQZ32, lift_get_flag(l, X86_FLAG_CF)));
}

void
lift_clc(struct lift *l)
{
    lift_set_flag(l, X86_FLAG_CF, ir_const32(B, 0));
}

void
lift_stc(struct lift *l)
{
    lift_set_flag(l, X86_FLAG_CF, ir_const32(B, 1));
}

void
lift_cld(struct lift *l)
{
    lift_set_flag(l, X86_FLAG_DF, ir_const32(B, 0));
}

void
lift_std(struct lift *l)
{
    lift_set_flag(l, X86_FLAG_DF, ir_const32(B, 1));
}
