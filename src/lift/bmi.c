/* The lifters of BMI1 and BMI2: instructions on general registers that are encoded with VEX. */
#include "lift/lift_internal.h"

#define B      (l->b)
#define OPD(i) (&l->insn->operand[i])

/* Sets ZF and SF by the result r, CF to cf, and clears OF. */
static void
set_flags(struct lift *l, unsigned size, ir_value r, ir_value cf)
{
    lift_set_flag(l, X86_FLAG_ZF, LIFT_OP1(l, size, EQZ, r));
    lift_set_flag(l, X86_FLAG_SF, lift_sign(l, size, r));
    lift_set_flag(l, X86_FLAG_OF, ir_const32(B, 0));
    lift_set_flag(l, X86_FLAG_CF, cf);
}

void
lift_andn(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value a = LIFT_OP2(l, size, XOR, lift_read(l, OPD(1)), lift_const(l, size, UINT64_MAX));
    ir_value r = LIFT_OP2(l, size, AND, a, lift_read(l, OPD(2)));

    lift_write(l, OPD(0), r);
    set_flags(l, size, r, ir_const32(B, 0));
}

void
lift_blsr(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value v = lift_read(l, OPD(1));
    ir_value r = LIFT_OP2(l, size, AND, v, LIFT_OP2(l, size, SUB, v, lift_const(l, size, 1)));

    lift_write(l, OPD(0), r);
    set_flags(l, size, r, LIFT_OP1(l, size, EQZ, v));
}

void
lift_blsmsk(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value v = lift_read(l, OPD(1));
    ir_value r = LIFT_OP2(l, size, XOR, v, LIFT_OP2(l, size, SUB, v, lift_const(l, size, 1)));

    lift_write(l, OPD(0), r);
    set_flags(l, size, r, LIFT_OP1(l, size, EQZ, v));
}

void
lift_blsi(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value v = lift_read(l, OPD(1)), zero = lift_const(l, size, 0);
    ir_value r = LIFT_OP2(l, size, AND, v, LIFT_OP2(l, size, SUB, zero, v));

    lift_write(l, OPD(0), r);
    set_flags(l, size, r, LIFT_OP2(l, size, NE, v, zero));
}

/* An i32 as the count of a shift of values of `size` bytes. */
static ir_value
as_count(struct lift *l, unsigned size, ir_value n)
{
    return size == 8 ? ir_op1(B, IR_EXTU, n) : n;
}

/* The low n bits of v, or all of v when it has no more than n. n is an i32 below 256. */
static ir_value
low_bits(struct lift *l, unsigned size, ir_value v, ir_value n)
{
    ir_value one = lift_const(l, size, 1), mask;

    mask = LIFT_OP2(l, size, SHL, one, as_count(l, size, n));
    mask = LIFT_OP2(l, size, SUB, mask, one);
    return LIFT_SELECT(l, size, LIFT_OP2(l, size, AND, v, mask), v, ir_op2(B, IR_LTU32, n, ir_const32(B, size * 8)));
}

static ir_value
byte_of(struct lift *l, unsigned size, ir_value v, unsigned at)
{
    v = size == 8 ? ir_op1(B, IR_WRAP, v) : v;
    return lift_narrow(l, 1, ir_op2(B, IR_SHRU32, v, ir_const32(B, at)));
}

void
lift_bzhi(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value v = lift_read(l, OPD(1)), n = byte_of(l, size, lift_read(l, OPD(2)), 0);
    ir_value r = low_bits(l, size, v, n);

    lift_write(l, OPD(0), r);
    set_flags(l, size, r, ir_op2(B, IR_GEU32, n, ir_const32(B, size * 8)));
}

void
lift_bextr(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value v = lift_read(l, OPD(1)), how = lift_read(l, OPD(2));
    ir_value start = byte_of(l, size, how, 0), length = byte_of(l, size, how, 8), r;

    r = LIFT_OP2(l, size, SHRU, v, as_count(l, size, start));
    r = LIFT_SELECT(l, size, r, lift_const(l, size, 0), ir_op2(B, IR_LTU32, start, ir_const32(B, size * 8)));
    r = low_bits(l, size, r, length);
    lift_write(l, OPD(0), r);
    lift_set_flag(l, X86_FLAG_ZF, LIFT_OP1(l, size, EQZ, r));
    lift_set_flag(l, X86_FLAG_CF, ir_const32(B, 0));
    lift_set_flag(l, X86_FLAG_OF, ir_const32(B, 0));
}

/* From here on, instructions leave the flags as they are. mulx writes the high half last: when both destinations are
 * one register, that is what it has in the end (SDM, MULX). */
void
lift_mulx(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value a = lift_read_gpr(l, X86_RDX, size), b = lift_read(l, OPD(2)), low, high;

    if (size == 8) {
        low = ir_op2(B, IR_MUL64, a, b);
        high = ir_op2(B, IR_MULHU64, a, b);
    } else {
        low = ir_op2(B, IR_MUL64, ir_op1(B, IR_EXTU, a), ir_op1(B, IR_EXTU, b));
        high = ir_op1(B, IR_WRAP, ir_op2(B, IR_SHRU64, low, ir_const64(B, 32)));
        low = ir_op1(B, IR_WRAP, low);
    }
    lift_write(l, OPD(1), low);
    lift_write(l, OPD(0), high);
}

static void
shift_x(struct lift *l, enum ir_opcode op32, enum ir_opcode op64)
{
    unsigned size = OPD(0)->size;

    lift_write(l, OPD(0), ir_op2(B, size == 8 ? op64 : op32, lift_read(l, OPD(1)), lift_read(l, OPD(2))));
}

void
lift_sarx(struct lift *l)
{
    shift_x(l, IR_SHRS32, IR_SHRS64);
}

void
lift_shlx(struct lift *l)
{
    shift_x(l, IR_SHL32, IR_SHL64);
}

void
lift_shrx(struct lift *l)
{
    shift_x(l, IR_SHRU32, IR_SHRU64);
}

void
lift_rorx(struct lift *l)
{
    unsigned size = OPD(0)->size;

    lift_write(l, OPD(0), LIFT_OP2(l, size, ROTR, lift_read(l, OPD(1)), lift_source(l, OPD(2), size)));
}

static void
with_mask(struct lift *l, enum ir_helper helper)
{
    unsigned size = OPD(0)->size;
    ir_value v = lift_to64(l, size, lift_read(l, OPD(1))), mask = lift_to64(l, size, lift_read(l, OPD(2)));

    lift_write(l, OPD(0), lift_from64(l, size, ir_helper(B, helper, v, mask, IR_NO_VALUE)));
}

void
lift_pdep(struct lift *l)
{
    with_mask(l, IR_HELPER_pdep);
}

void
lift_pext(struct lift *l)
{
    with_mask(l, IR_HELPER_pext);
}
