/* Flags and conditions.
 *
 * Each instruction sets all the flags that it defines, as simple expressions, and a later pass deletes those that
 * nobody reads. The last instruction of the block that set all flags is remembered, so that cmp and the jcc behind it
 * become one comparison of the operands. */
#include "lift/lift_internal.h"

#define B (l->b)

static void
set(struct lift *l, unsigned flag, ir_value v)
{
    ir_set(B, X86_S_CF + flag, v);
}

void
lift_set_flag(struct lift *l, unsigned flag, ir_value v)
{
    if (flag != X86_FLAG_DF)
        l->flags.kind = LIFT_FLAGS_UNKNOWN;
    set(l, flag, v);
}

ir_value
lift_get_flag(struct lift *l, unsigned flag)
{
    return ir_get(B, X86_S_CF + flag);
}

ir_value
lift_sign(struct lift *l, unsigned size, ir_value v)
{
    if (size >= 4)
        return LIFT_OP2(l, size, LTS, v, lift_const(l, size, 0));
    v = ir_op2(B, IR_SHRU32, v, ir_const32(B, size * 8 - 1));
    return ir_op2(B, IR_AND32, v, ir_const32(B, 1));
}

static ir_value
low32(struct lift *l, unsigned size, ir_value v)
{
    return size == 8 ? ir_op1(B, IR_WRAP, v) : v;
}

static void
set_sp(struct lift *l, unsigned size, ir_value result)
{
    ir_value low = ir_op2(B, IR_AND32, low32(l, size, result), ir_const32(B, 0xff));
    ir_value odd = ir_op2(B, IR_AND32, ir_op1(B, IR_POPCNT32, low), ir_const32(B, 1));

    set(l, X86_FLAG_PF, ir_op1(B, IR_EQZ32, odd));
    set(l, X86_FLAG_SF, lift_sign(l, size, result));
}

static void
set_szp(struct lift *l, unsigned size, ir_value result)
{
    set_sp(l, size, result);
    set(l, X86_FLAG_ZF, LIFT_OP1(l, size, EQZ, result));
}

void
lift_flags_szp(struct lift *l, unsigned size, ir_value result)
{
    l->flags.kind = LIFT_FLAGS_UNKNOWN;
    set_szp(l, size, result);
}

/* Sets AF, the carry into bit 4. There is one where bit 4 of the sum is not that of the sum without carries, which is
 * the exclusive or of the operands. The same holds for differences. */
static void
set_af(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result)
{
    ir_value x = ir_op2(B, IR_XOR32, low32(l, size, a), low32(l, size, b));

    x = ir_op2(B, IR_XOR32, x, low32(l, size, result));
    x = ir_op2(B, IR_SHRU32, x, ir_const32(B, 4));
    set(l, X86_FLAG_AF, ir_op2(B, IR_AND32, x, ir_const32(B, 1)));
}

static void
remember(struct lift *l, int kind, unsigned size, ir_value a, ir_value b, ir_value result)
{
    l->flags.kind = kind;
    l->flags.size = (uint8_t)size;
    l->flags.a = a;
    l->flags.b = b;
    l->flags.result = result;
}

void
lift_flags_add(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result)
{
    ir_value x = LIFT_OP2(l, size, XOR, a, result);
    ir_value y = LIFT_OP2(l, size, XOR, b, result);

    set(l, X86_FLAG_CF, LIFT_OP2(l, size, LTU, result, a));
    set(l, X86_FLAG_OF, lift_sign(l, size, LIFT_OP2(l, size, AND, x, y)));
    set_af(l, size, a, b, result);
    set_szp(l, size, result);
    remember(l, LIFT_FLAGS_ADD, size, a, b, result);
}

void
lift_flags_sub(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result)
{
    ir_value x = LIFT_OP2(l, size, XOR, a, b);
    ir_value y = LIFT_OP2(l, size, XOR, a, result);

    set(l, X86_FLAG_CF, LIFT_OP2(l, size, LTU, a, b));
    set(l, X86_FLAG_OF, lift_sign(l, size, LIFT_OP2(l, size, AND, x, y)));
    set_af(l, size, a, b, result);
    set_sp(l, size, result);
    /* ZF is written as a == b, because that tells later passes more than result == 0. */
    set(l, X86_FLAG_ZF, LIFT_OP2(l, size, EQ, a, b));
    remember(l, LIFT_FLAGS_SUB, size, a, b, result);
}

void
lift_flags_logic(struct lift *l, unsigned size, ir_value result)
{
    ir_value zero = ir_const32(B, 0);

    set(l, X86_FLAG_CF, zero);
    set(l, X86_FLAG_OF, zero);
    set(l, X86_FLAG_AF, zero); /* The manual leaves it undefined; Intel's processors clear it. */
    set_szp(l, size, result);
    remember(l, LIFT_FLAGS_LOGIC, size, result, result, result);
}

/* --- conditions: only the even one of each pair, since the odd one is its opposite --- */

static ir_value
signed_compare(struct lift *l, bool or_equal)
{
    unsigned size = l->flags.size;
    ir_value a = lift_sign_extend(l, size, l->flags.a), b;

    if (l->flags.kind == LIFT_FLAGS_LOGIC)
        b = lift_const(l, size, 0);
    else
        b = lift_sign_extend(l, size, l->flags.b);
    return or_equal ? LIFT_OP2(l, size, LES, a, b) : LIFT_OP2(l, size, LTS, a, b);
}

/* The condition computed from the operands of the instruction that set the flags. IR_NO_VALUE says that these are not
 * known, or that the flags serve as well. */
static ir_value
from_setter(struct lift *l, enum x86_cc cc)
{
    unsigned size = l->flags.size;

    if (l->flags.kind != LIFT_FLAGS_SUB && l->flags.kind != LIFT_FLAGS_LOGIC)
        return IR_NO_VALUE;
    switch (cc) {
    case X86_CC_L: return signed_compare(l, false);
    case X86_CC_LE: return signed_compare(l, true);
    case X86_CC_BE:
        if (l->flags.kind == LIFT_FLAGS_SUB)
            return LIFT_OP2(l, size, LEU, l->flags.a, l->flags.b);
        return lift_get_flag(l, X86_FLAG_ZF);
    default: return IR_NO_VALUE;
    }
}

static ir_value
from_flags(struct lift *l, enum x86_cc cc)
{
    ir_value less;

    switch (cc) {
    case X86_CC_O: return lift_get_flag(l, X86_FLAG_OF);
    case X86_CC_B: return lift_get_flag(l, X86_FLAG_CF);
    case X86_CC_E: return lift_get_flag(l, X86_FLAG_ZF);
    case X86_CC_BE: return ir_op2(B, IR_OR32, lift_get_flag(l, X86_FLAG_CF), lift_get_flag(l, X86_FLAG_ZF));
    case X86_CC_S: return lift_get_flag(l, X86_FLAG_SF);
    case X86_CC_P: return lift_get_flag(l, X86_FLAG_PF);
    default:
        less = ir_op2(B, IR_NE32, lift_get_flag(l, X86_FLAG_SF), lift_get_flag(l, X86_FLAG_OF));
        return cc == X86_CC_L ? less : ir_op2(B, IR_OR32, lift_get_flag(l, X86_FLAG_ZF), less);
    }
}

ir_value
lift_condition(struct lift *l, enum x86_cc cc)
{
    ir_value v = from_setter(l, cc & ~1u);

    if (v == IR_NO_VALUE)
        v = from_flags(l, cc & ~1u);
    return cc & 1 ? ir_op1(B, IR_EQZ32, v) : v;
}
