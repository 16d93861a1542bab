/* The lifters of shifts and rotates. The processor masks the count, and when it is zero then, every flag stays as it
 * was. So for a count in CL each flag is selected from its old and its new value. Counts above the width of 8- and
 * 16-bit operands need no care, because these are shifted as 32 bits. The manual leaves OF undefined for counts above
 * 1. It gets what the last one of as many shifts by 1 would give. */
#include "lift/lift_internal.h"

#define B   (l->b)
#define DST (&l->insn->operand[0])

struct count {
    ir_value v;    /* the masked count, an i64 for operands of 8 bytes, else an i32 */
    ir_value zero; /* an i32: v == 0 */
    bool constant; /* The count is the constant c. */
    uint64_t c;
};

static struct count
masked_count(struct lift *l, unsigned size, const struct x86_operand *o)
{
    uint64_t mask = size == 8 ? 63 : 31;
    struct count n;

    if (o->kind == X86_OPD_IMM) {
        n.v = lift_const(l, size == 8 ? 8 : 4, (uint64_t)o->imm & mask);
    } else {
        ir_value v = lift_read_gpr(l, o->reg, 1);

        v = ir_op2(B, IR_AND32, v, ir_const32(B, (uint32_t)mask));
        n.v = size == 8 ? ir_op1(B, IR_EXTU, v) : v;
    }
    n.constant = ir_is_const(B, n.v, &n.c);
    n.zero = LIFT_OP1(l, size, EQZ, n.v);
    return n;
}

/* Sets the flag to v, unless the count is zero. */
static void
set_unless_zero(struct lift *l, const struct count *n, unsigned flag, ir_value v)
{
    if (!n->constant)
        v = ir_op3(B, IR_SELECT32, lift_get_flag(l, flag), v, n->zero);
    lift_set_flag(l, flag, v);
}

static ir_value
bit0(struct lift *l, unsigned size, ir_value v)
{
    v = size == 8 ? ir_op1(B, IR_WRAP, v) : v;
    return ir_op2(B, IR_AND32, v, ir_const32(B, 1));
}

static ir_value
bit(struct lift *l, unsigned size, ir_value v, unsigned n)
{
    return bit0(l, size, LIFT_OP2(l, size, SHRU, v, lift_const(l, size == 8 ? 8 : 4, n)));
}

static ir_value
count_minus(struct lift *l, unsigned size, uint64_t from, const struct count *n)
{
    return LIFT_OP2(l, size, SUB, lift_const(l, size == 8 ? 8 : 4, from), n->v);
}

static ir_value
count_less_one(struct lift *l, unsigned size, const struct count *n)
{
    return LIFT_OP2(l, size, SUB, n->v, lift_const(l, size == 8 ? 8 : 4, 1));
}

/* Sets SF, ZF and PF by a shift's result, unless the count is zero. AF, which is undefined, stays. */
static void
set_result_flags(struct lift *l, unsigned size, const struct count *n, ir_value r)
{
    static const uint8_t flags[] = {X86_FLAG_PF, X86_FLAG_ZF, X86_FLAG_SF};
    ir_value old[3];

    if (n->constant) {
        lift_flags_szp(l, size, r);
        return;
    }
    for (unsigned i = 0; i < 3; i++)
        old[i] = lift_get_flag(l, flags[i]);
    lift_flags_szp(l, size, r);
    for (unsigned i = 0; i < 3; i++)
        lift_set_flag(l, flags[i], ir_op3(B, IR_SELECT32, old[i], lift_get_flag(l, flags[i]), n->zero));
}

/* Is the count a constant zero? Then the destination is only zero-extended, if it has 32 bits, or touched, if it is
 * memory: this is done here. */
static bool
nothing_to_do(struct lift *l, const struct count *n)
{
    if (!n->constant || n->c != 0)
        return false;
    if (DST->size == 4 || DST->kind == X86_OPD_MEM)
        lift_write(l, DST, lift_read(l, DST));
    return true;
}

static void
finish_shift(struct lift *l, unsigned size, const struct count *n, ir_value r, ir_value cf, ir_value of)
{
    lift_write(l, DST, r);
    set_unless_zero(l, n, X86_FLAG_CF, cf);
    set_unless_zero(l, n, X86_FLAG_OF, of);
    set_result_flags(l, size, n, r);
}

void
lift_shl(struct lift *l)
{
    unsigned size = DST->size;
    struct count n = masked_count(l, size, &l->insn->operand[1]);
    ir_value a, wide, r, cf;

    if (nothing_to_do(l, &n))
        return;
    a = lift_read(l, DST);
    wide = LIFT_OP2(l, size, SHL, a, n.v);
    r = lift_narrow(l, size, wide);
    if (size < 4)
        cf = bit(l, 4, wide, size * 8);
    else
        cf = bit0(l, size, LIFT_OP2(l, size, SHRU, a, count_minus(l, size, size * 8, &n)));
    finish_shift(l, size, &n, r, cf, ir_op2(B, IR_XOR32, lift_sign(l, size, r), cf));
}

void
lift_shr(struct lift *l)
{
    unsigned size = DST->size;
    struct count n = masked_count(l, size, &l->insn->operand[1]);
    ir_value a, last;

    if (nothing_to_do(l, &n))
        return;
    a = lift_read(l, DST);
    last = LIFT_OP2(l, size, SHRU, a, count_less_one(l, size, &n)); /* the value before the last shift by 1 */
    finish_shift(l, size, &n, LIFT_OP2(l, size, SHRU, a, n.v), bit0(l, size, last), lift_sign(l, size, last));
}

void
lift_sar(struct lift *l)
{
    unsigned size = DST->size;
    struct count n = masked_count(l, size, &l->insn->operand[1]);
    ir_value a, cf, r;

    if (nothing_to_do(l, &n))
        return;
    a = lift_sign_extend(l, size, lift_read(l, DST));
    cf = bit0(l, size, LIFT_OP2(l, size, SHRS, a, count_less_one(l, size, &n)));
    r = lift_narrow(l, size, LIFT_OP2(l, size, SHRS, a, n.v));
    finish_shift(l, size, &n, r, cf, ir_const32(B, 0));
}

/* --- rotates: only CF and OF change --- */

/* The operand, repeated until it fills 32 bits, so that rotating these rotates it. */
static ir_value
repeat(struct lift *l, unsigned size, ir_value a)
{
    if (size >= 4)
        return a;
    return ir_op2(B, IR_MUL32, a, ir_const32(B, size == 1 ? 0x01010101 : 0x00010001));
}

static void
finish_rotate(struct lift *l, const struct count *n, ir_value r, ir_value cf, ir_value of)
{
    lift_write(l, DST, r);
    set_unless_zero(l, n, X86_FLAG_CF, cf);
    set_unless_zero(l, n, X86_FLAG_OF, of);
}

void
lift_rol(struct lift *l)
{
    unsigned size = DST->size;
    struct count n = masked_count(l, size, &l->insn->operand[1]);
    ir_value r, cf;

    if (nothing_to_do(l, &n))
        return;
    r = lift_narrow(l, size, LIFT_OP2(l, size, ROTL, repeat(l, size, lift_read(l, DST)), n.v));
    cf = bit0(l, size, r);
    finish_rotate(l, &n, r, cf, ir_op2(B, IR_XOR32, lift_sign(l, size, r), cf));
}

void
lift_ror(struct lift *l)
{
    unsigned size = DST->size;
    struct count n = masked_count(l, size, &l->insn->operand[1]);
    ir_value r, cf;

    if (nothing_to_do(l, &n))
        return;
    r = lift_narrow(l, size, LIFT_OP2(l, size, ROTR, repeat(l, size, lift_read(l, DST)), n.v));
    cf = lift_sign(l, size, r);
    finish_rotate(l, &n, r, cf, ir_op2(B, IR_XOR32, cf, bit(l, size, r, size * 8 - 2)));
}

/* Rotates CF and the operand as one number of size * 8 + 1 bits. With up to 33 bits that is done in an i64. */
static void
rotate_through_carry(struct lift *l, bool left)
{
    unsigned size = DST->size, bits = size * 8;
    struct count n = masked_count(l, size, &l->insn->operand[1]);
    ir_value a, c, r, cf, of, value, turns, back, carry;

    if (nothing_to_do(l, &n))
        return;
    a = lift_read(l, DST);
    carry = lift_get_flag(l, X86_FLAG_CF);
    c = ir_op1(B, IR_EXTU, carry);
    if (size < 8) {
        value = ir_op2(B, IR_OR64, ir_op1(B, IR_EXTU, a), ir_op2(B, IR_SHL64, c, ir_const64(B, bits)));
        turns = ir_op1(B, IR_EXTU, n.v);
        if (size < 4)
            turns = ir_op2(B, IR_REMU64, turns, ir_const64(B, bits + 1));
        back = ir_op2(B, IR_SUB64, ir_const64(B, bits + 1), turns);
        value = ir_op2(B, IR_OR64, ir_op2(B, IR_SHL64, value, left ? turns : back),
                       ir_op2(B, IR_SHRU64, value, left ? back : turns));
        r = lift_from64(l, size, value);
        cf = bit(l, 8, value, bits);
    } else {
        ir_value up = left ? n.v : ir_op2(B, IR_SUB64, ir_const64(B, 64), n.v);
        ir_value less = count_less_one(l, 8, &n), rest = count_minus(l, 8, 64, &n);

        if (left) {
            value = ir_op2(B, IR_OR64, ir_op2(B, IR_SHL64, a, up), ir_op2(B, IR_SHL64, c, less));
            back = ir_op2(B, IR_SHRU64, ir_op2(B, IR_SHRU64, a, ir_const64(B, 1)), rest);
            cf = bit0(l, 8, ir_op2(B, IR_SHRU64, a, rest));
        } else {
            value = ir_op2(B, IR_OR64, ir_op2(B, IR_SHRU64, a, n.v), ir_op2(B, IR_SHL64, c, rest));
            back = ir_op2(B, IR_SHL64, ir_op2(B, IR_SHL64, a, ir_const64(B, 1)), rest);
            cf = bit0(l, 8, ir_op2(B, IR_SHRU64, a, less));
        }
        r = ir_op3(B, IR_SELECT64, a, ir_op2(B, IR_OR64, value, back), n.zero);
    }
    of = ir_op2(B, IR_XOR32, lift_sign(l, size, r), left ? cf : bit(l, size, r, bits - 2));
    finish_rotate(l, &n, r, cf, of);
}

void
lift_rcl(struct lift *l)
{
    rotate_through_carry(l, true);
}

void
lift_rcr(struct lift *l)
{
    rotate_through_carry(l, false);
}

/* --- double shifts --- */

/* Both operands as one number. The callers put a 16-bit destination there once more, because processors shift it in
 * again when the count is above 16. */
static ir_value
joined(struct lift *l, unsigned size, ir_value high, ir_value low)
{
    unsigned shift = size * 8;
    ir_value v = ir_op2(B, IR_OR64, ir_op2(B, IR_SHL64, ir_op1(B, IR_EXTU, high), ir_const64(B, shift)),
                        ir_op1(B, IR_EXTU, low));

    return v;
}

void
lift_shld(struct lift *l)
{
    unsigned size = DST->size, bits = size * 8;
    struct count n = masked_count(l, size, &l->insn->operand[2]);
    ir_value a, s, r, cf, v;

    if (nothing_to_do(l, &n))
        return;
    a = lift_read(l, DST);
    s = lift_read(l, &l->insn->operand[1]);
    if (size == 8) {
        v = ir_op2(B, IR_SHRU64, ir_op2(B, IR_SHRU64, s, ir_const64(B, 1)), count_minus(l, 8, 63, &n));
        r = ir_op2(B, IR_OR64, ir_op2(B, IR_SHL64, a, n.v), v);
        cf = bit0(l, 8, ir_op2(B, IR_SHRU64, a, count_minus(l, 8, 64, &n)));
    } else {
        v = joined(l, size, a, s);
        if (size == 2)
            v = ir_op2(B, IR_OR64, ir_op2(B, IR_SHL64, v, ir_const64(B, 16)), ir_op1(B, IR_EXTU, a));
        v = ir_op2(B, IR_SHL64, v, ir_op1(B, IR_EXTU, n.v));
        r = lift_from64(l, size, ir_op2(B, IR_SHRU64, v, ir_const64(B, 32)));
        cf = size == 4 ? bit0(l, 4, ir_op2(B, IR_SHRU32, a, count_minus(l, 4, 32, &n))) : bit(l, 8, v, 32 + bits);
    }
    finish_shift(l, size, &n, r, cf, ir_op2(B, IR_XOR32, lift_sign(l, size, r), cf));
}

void
lift_shrd(struct lift *l)
{
    unsigned size = DST->size;
    struct count n = masked_count(l, size, &l->insn->operand[2]);
    ir_value a, s, r, cf, v;

    if (nothing_to_do(l, &n))
        return;
    a = lift_read(l, DST);
    s = lift_read(l, &l->insn->operand[1]);
    if (size == 8) {
        v = ir_op2(B, IR_SHL64, ir_op2(B, IR_SHL64, s, ir_const64(B, 1)), count_minus(l, 8, 63, &n));
        r = ir_op2(B, IR_OR64, ir_op2(B, IR_SHRU64, a, n.v), v);
        cf = bit0(l, 8, ir_op2(B, IR_SHRU64, a, count_less_one(l, 8, &n)));
    } else {
        v = joined(l, size, s, a);
        if (size == 2)
            v = ir_op2(B, IR_OR64, v, ir_op2(B, IR_SHL64, ir_op1(B, IR_EXTU, a), ir_const64(B, 32)));
        r = lift_from64(l, size, ir_op2(B, IR_SHRU64, v, ir_op1(B, IR_EXTU, n.v)));
        cf = bit0(l, 8, ir_op2(B, IR_SHRU64, v, ir_op1(B, IR_EXTU, count_less_one(l, size, &n))));
    }
    finish_shift(l, size, &n, r, cf, ir_op2(B, IR_XOR32, lift_sign(l, size, r), bit(l, size, r, size * 8 - 2)));
}
