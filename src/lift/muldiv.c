/* The lifters of multiplication and division.
 *
 * Where 64 bits hold the dividend, IR's own division serves. Before it, raise_if raises #DE when the divisor is 0 or
 * the quotient would not fit (signed quotients of 8 and 16 bits and most of 32 are compared afterwards). Only true
 * dividends of 128 bits need a helper. Multiplication leaves SF, ZF, PF and AF undefined and division leaves all flags
 * so: they stay as they were. */
#include "lift/lift_internal.h"

#define B      (l->b)
#define OPD(i) (&l->insn->operand[i])

static void
set_overflow(struct lift *l, ir_value v)
{
    lift_set_flag(l, X86_FLAG_CF, v);
    lift_set_flag(l, X86_FLAG_OF, v);
}

/* --- multiplication --- */

static void
multiply_to_one(struct lift *l, unsigned size, ir_value a, ir_value b)
{
    ir_value r, p;

    if (size == 8) {
        r = ir_op2(B, IR_MUL64, a, b);
        p = ir_op2(B, IR_MULHS64, a, b);
        lift_write(l, OPD(0), r);
        set_overflow(l, ir_op2(B, IR_NE64, p, ir_op2(B, IR_SHRS64, r, ir_const64(B, 63))));
        return;
    }
    a = lift_sign_extend(l, size, a);
    b = lift_sign_extend(l, size, b);
    r = ir_op2(B, IR_MUL32, a, b);
    lift_write(l, OPD(0), lift_narrow(l, size, r));
    if (size == 4) {
        p = ir_op2(B, IR_MUL64, ir_op1(B, IR_EXTS, a), ir_op1(B, IR_EXTS, b));
        set_overflow(l, ir_op2(B, IR_NE64, p, ir_op1(B, IR_EXTS, r)));
    } else {
        set_overflow(l, ir_op2(B, IR_NE32, r, lift_sign_extend(l, size, r)));
    }
}

/* Sets rdx:rax, or ax for bytes, to the product of rax and the operand. */
static void
multiply_to_two(struct lift *l, bool is_signed)
{
    unsigned size = OPD(0)->size;
    ir_value a = lift_read_gpr(l, X86_RAX, size), b = lift_read(l, OPD(0)), p, high, overflow;

    if (size == 8) {
        p = ir_op2(B, IR_MUL64, a, b);
        high = ir_op2(B, is_signed ? IR_MULHS64 : IR_MULHU64, a, b);
        ir_set(B, X86_S_RAX, p);
        ir_set(B, X86_S_RDX, high);
        overflow = is_signed ? ir_op2(B, IR_NE64, high, ir_op2(B, IR_SHRS64, p, ir_const64(B, 63)))
                             : ir_op2(B, IR_NE64, high, ir_const64(B, 0));
        set_overflow(l, overflow);
        return;
    }
    if (is_signed) {
        a = ir_op1(B, IR_EXTS, lift_sign_extend(l, size, a));
        b = ir_op1(B, IR_EXTS, lift_sign_extend(l, size, b));
    } else {
        a = ir_op1(B, IR_EXTU, a);
        b = ir_op1(B, IR_EXTU, b);
    }
    p = ir_op2(B, IR_MUL64, a, b);
    if (size == 1) {
        lift_write_gpr(l, X86_RAX, 2, lift_from64(l, 2, p));
    } else {
        lift_write_gpr(l, X86_RAX, size, lift_from64(l, size, p));
        high = ir_op2(B, IR_SHRU64, p, ir_const64(B, size * 8));
        lift_write_gpr(l, X86_RDX, size, lift_from64(l, size, high));
    }
    if (is_signed) {
        unsigned ext = size == 1 ? IR_EXT8S64 : size == 2 ? IR_EXT16S64 : IR_EXT32S64;

        overflow = ir_op2(B, IR_NE64, p, ir_op1(B, ext, p));
    } else {
        high = ir_op2(B, IR_SHRU64, p, ir_const64(B, size * 8));
        overflow = ir_op2(B, IR_NE64, high, ir_const64(B, 0));
    }
    set_overflow(l, overflow);
}

void
lift_mul(struct lift *l)
{
    multiply_to_two(l, false);
}

void
lift_imul(struct lift *l)
{
    unsigned size = OPD(0)->size;

    if (l->insn->operand_count == 1)
        multiply_to_two(l, true);
    else if (l->insn->operand_count == 2)
        multiply_to_one(l, size, lift_read(l, OPD(0)), lift_read(l, OPD(1)));
    else
        multiply_to_one(l, size, lift_read(l, OPD(1)), lift_source(l, OPD(2), size));
}

/* --- division --- */

static ir_value
bytes_high(struct lift *l)
{
    ir_value ax = lift_read_gpr(l, X86_RAX, 2);

    return ir_op2(B, IR_SHRU32, ax, ir_const32(B, 8));
}

/* Computes the remainder, and writes both it and the quotient q to the registers for this size. All numbers are i64. */
static void
write_quotient(struct lift *l, unsigned size, ir_value q, ir_value dividend, ir_value divisor)
{
    ir_value r = ir_op2(B, IR_SUB64, dividend, ir_op2(B, IR_MUL64, q, divisor));

    q = lift_from64(l, size, q);
    r = lift_from64(l, size, r);
    if (size == 1) {
        ir_value ax = ir_op2(B, IR_OR32, q, ir_op2(B, IR_SHL32, r, ir_const32(B, 8)));

        lift_write_gpr(l, X86_RAX, 2, ax);
    } else {
        lift_write_gpr(l, X86_RAX, size, q);
        lift_write_gpr(l, X86_RDX, size, r);
    }
}

/* The dividend of up to 64 bits, its two halves joined and zero-extended. */
static ir_value
dividend_of(struct lift *l, unsigned size, ir_value high)
{
    ir_value low = ir_op1(B, IR_EXTU, lift_read_gpr(l, X86_RAX, size));

    high = ir_op1(B, IR_EXTU, high);
    return ir_op2(B, IR_OR64, ir_op2(B, IR_SHL64, high, ir_const64(B, size * 8)), low);
}

static ir_value
high_part(struct lift *l, unsigned size)
{
    return size == 1 ? bytes_high(l) : lift_read_gpr(l, X86_RDX, size);
}

static void
divide_error_if(struct lift *l, ir_value condition)
{
    uint64_t c;

    if (!ir_is_const(B, condition, &c) || c != 0)
        ir_helper(B, IR_HELPER_raise_if, condition, ir_addr(B, l->insn->address), ir_const32(B, IR_TRAP_DE));
}

static void
divide_128(struct lift *l, enum ir_helper helper, ir_value high, ir_value low, ir_value divisor)
{
    ir_value q = ir_helper(B, helper, high, low, divisor);
    ir_value overflow = ir_op1(B, IR_WRAP, ir_get(B, X86_S_TMP1));
    ir_value r = ir_get(B, X86_S_TMP0);

    divide_error_if(l, overflow);
    ir_set(B, X86_S_RAX, q);
    ir_set(B, X86_S_RDX, r);
}

void
lift_div(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value divisor = lift_read(l, OPD(0)), high = high_part(l, size), dividend, wide;
    uint64_t c;

    if (size == 8) {
        ir_value low = ir_get(B, X86_S_RAX);

        if (!ir_is_const(B, high, &c) || c != 0) {
            divide_128(l, IR_HELPER_div128u, high, low, divisor);
            return;
        }
        divide_error_if(l, ir_op1(B, IR_EQZ64, divisor));
        write_quotient(l, 8, ir_op2(B, IR_DIVU64, low, divisor), low, divisor);
        return;
    }
    dividend = dividend_of(l, size, high);
    wide = ir_op1(B, IR_EXTU, divisor);
    /* The quotient does not fit exactly when the upper half of the dividend is not below the divisor. */
    divide_error_if(l, ir_op2(B, IR_GEU32, high, divisor));
    write_quotient(l, size, ir_op2(B, IR_DIVU64, dividend, wide), dividend, wide);
}

/* Is high the sign of low, as cdq and cqo leave it? */
static bool
is_sign_of(struct lift *l, unsigned size, ir_value high, ir_value low)
{
    const struct ir_op *op = ir_def(B, high);
    uint64_t c;

    return op->op == (size == 8 ? IR_SHRS64 : IR_SHRS32) && op->a == low && ir_is_const(B, op->b, &c) &&
           c == size * 8 - 1;
}

/* Does DIVS64 have no result for these, because the divisor is 0 or the quotient is 2^63? */
static ir_value
divides_badly(struct lift *l, ir_value dividend, ir_value divisor)
{
    ir_value overflow = ir_op2(B, IR_AND32, ir_op2(B, IR_EQ64, dividend, ir_const64(B, UINT64_C(1) << 63)),
                               ir_op2(B, IR_EQ64, divisor, ir_const64(B, UINT64_MAX)));

    return ir_op2(B, IR_OR32, overflow, ir_op1(B, IR_EQZ64, divisor));
}

static void
divide_signed_small(struct lift *l, unsigned size)
{
    ir_value divisor = lift_read(l, OPD(0)), high = high_part(l, size);
    ir_value low = lift_read_gpr(l, X86_RAX, size);
    ir_value wide = ir_op1(B, IR_EXTS, lift_sign_extend(l, size, divisor)), dividend, q, fits;

    if (size == 4 && is_sign_of(l, 4, high, low)) {
        ir_value overflow = ir_op2(B, IR_AND32, ir_op2(B, IR_EQ32, low, ir_const32(B, 0x80000000)),
                                   ir_op2(B, IR_EQ32, divisor, ir_const32(B, UINT32_MAX)));

        divide_error_if(l, ir_op2(B, IR_OR32, overflow, ir_op1(B, IR_EQZ32, divisor)));
        dividend = ir_op1(B, IR_EXTS, low);
        write_quotient(l, 4, ir_op2(B, IR_DIVS64, dividend, wide), dividend, wide);
        return;
    }
    dividend = dividend_of(l, size, high);
    if (size < 4) /* The dividend has twice the size, and is sign-extended from there. */
        dividend = ir_op1(B, size == 1 ? IR_EXT16S64 : IR_EXT32S64, dividend);
    divide_error_if(l, divides_badly(l, dividend, wide));
    q = ir_op2(B, IR_DIVS64, dividend, wide);
    fits = ir_op2(B, IR_EQ64, q, ir_op1(B, size == 1 ? IR_EXT8S64 : size == 2 ? IR_EXT16S64 : IR_EXT32S64, q));
    divide_error_if(l, ir_op1(B, IR_EQZ32, fits));
    write_quotient(l, size, q, dividend, wide);
}

void
lift_idiv(struct lift *l)
{
    unsigned size = OPD(0)->size;
    ir_value divisor, high, low;

    if (size < 8) {
        divide_signed_small(l, size);
        return;
    }
    divisor = lift_read(l, OPD(0));
    high = ir_get(B, X86_S_RDX);
    low = ir_get(B, X86_S_RAX);
    if (is_sign_of(l, 8, high, low)) {
        divide_error_if(l, divides_badly(l, low, divisor));
        write_quotient(l, 8, ir_op2(B, IR_DIVS64, low, divisor), low, divisor);
    } else {
        divide_128(l, IR_HELPER_div128s, high, low, divisor);
    }
}
