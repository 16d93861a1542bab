/* The lifters of packed integers, from SSE2 to SSE4.2, and of their MMX forms: arithmetic, comparisons, logic,
 * shifts. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])
#define LIFTER(name)                  \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)
#define BINARY(name, op)         \
    LIFTER(name)                 \
    {                            \
        simd_binary(l, IR_##op); \
    }
#define SWAPPED(name, op)                \
    LIFTER(name)                         \
    {                                    \
        simd_binary_swapped(l, IR_##op); \
    }
#define UNARY(name, op)         \
    LIFTER(name)                \
    {                           \
        simd_unary(l, IR_##op); \
    }

BINARY(paddb, I8X16_ADD)
BINARY(paddw, I16X8_ADD)
BINARY(paddd, I32X4_ADD)
BINARY(paddq, I64X2_ADD)
BINARY(psubb, I8X16_SUB)
BINARY(psubw, I16X8_SUB)
BINARY(psubd, I32X4_SUB)
BINARY(psubq, I64X2_SUB)
BINARY(paddsb, I8X16_ADD_SAT_S)
BINARY(paddsw, I16X8_ADD_SAT_S)
BINARY(paddusb, I8X16_ADD_SAT_U)
BINARY(paddusw, I16X8_ADD_SAT_U)
BINARY(psubsb, I8X16_SUB_SAT_S)
BINARY(psubsw, I16X8_SUB_SAT_S)
BINARY(psubusb, I8X16_SUB_SAT_U)
BINARY(psubusw, I16X8_SUB_SAT_U)
BINARY(pavgb, I8X16_AVGR_U)
BINARY(pavgw, I16X8_AVGR_U)
BINARY(pminub, I8X16_MIN_U)
BINARY(pmaxub, I8X16_MAX_U)
BINARY(pminsw, I16X8_MIN_S)
BINARY(pmaxsw, I16X8_MAX_S)
BINARY(pminsb, I8X16_MIN_S)
BINARY(pmaxsb, I8X16_MAX_S)
BINARY(pminuw, I16X8_MIN_U)
BINARY(pmaxuw, I16X8_MAX_U)
BINARY(pminud, I32X4_MIN_U)
BINARY(pmaxud, I32X4_MAX_U)
BINARY(pminsd, I32X4_MIN_S)
BINARY(pmaxsd, I32X4_MAX_S)
BINARY(pmullw, I16X8_MUL)
BINARY(pmulld, I32X4_MUL)
BINARY(pmaddwd, I32X4_DOT_I16X8_S)
BINARY(pcmpeqb, I8X16_EQ)
BINARY(pcmpeqw, I16X8_EQ)
BINARY(pcmpeqd, I32X4_EQ)
BINARY(pcmpeqq, I64X2_EQ)
BINARY(pcmpgtb, I8X16_GT_S)
BINARY(pcmpgtw, I16X8_GT_S)
BINARY(pcmpgtd, I32X4_GT_S)
BINARY(pcmpgtq, I64X2_GT_S)
BINARY(pand, V128_AND)
SWAPPED(pandn, V128_ANDNOT) /* ~dst & src */
BINARY(por, V128_OR)
BINARY(pxor, V128_XOR)
UNARY(pabsb, I8X16_ABS)
UNARY(pabsw, I16X8_ABS)
UNARY(pabsd, I32X4_ABS)

/* --- multiplications that WebAssembly does not have --- */
static void
multiply_high(struct lift *l, enum ir_opcode low_op, enum ir_opcode high_op)
{
    static const uint8_t odd[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value low = ir_op2(l->b, low_op, d, s), high = ir_op2(l->b, high_op, d, s);
    simd_set(l, simd_shuffle16(l, low, high, odd));
}

LIFTER(pmulhw)
{
    multiply_high(l, IR_I32X4_EXTMUL_LOW_I16X8_S, IR_I32X4_EXTMUL_HIGH_I16X8_S);
}

LIFTER(pmulhuw)
{
    multiply_high(l, IR_I32X4_EXTMUL_LOW_I16X8_U, IR_I32X4_EXTMUL_HIGH_I16X8_U);
}

LIFTER(pmulhrsw)
{
    ir_value s = simd_src(l), d = simd_dst(l), min = simd_splat16(l, 0x8000);
    ir_value r = ir_op2(l->b, IR_I16X8_Q15MULR_SAT_S, d, s);
    /* For -1 * -1 WebAssembly saturates to 0x7fff, and x86 gives 0x8000. */
    ir_value both = ir_op2(l->b, IR_V128_AND, ir_op2(l->b, IR_I16X8_EQ, d, min), ir_op2(l->b, IR_I16X8_EQ, s, min));
    simd_set(l, ir_op2(l->b, IR_V128_XOR, r, both));
}

LIFTER(pmuludq)
{
    ir_value mask = ir_constv(l->b, 0xffffffff, 0xffffffff);
    ir_value s = ir_op2(l->b, IR_V128_AND, simd_src(l), mask);
    ir_value d = ir_op2(l->b, IR_V128_AND, simd_dst(l), mask);
    simd_set(l, ir_op2(l->b, IR_I64X2_MUL, d, s));
}

LIFTER(pmuldq)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    s = simd_shuffle32(l, s, s, 0, 2, 0, 2);
    d = simd_shuffle32(l, d, d, 0, 2, 0, 2);
    simd_set(l, ir_op2(l->b, IR_I64X2_EXTMUL_LOW_I32X4_S, d, s));
}

/* Multiplies unsigned bytes of the destination with signed bytes of the source, and adds neighbouring products with
 * saturation. */
LIFTER(pmaddubsw)
{
    ir_value s = simd_src(l), d = simd_dst(l), eight = ir_const32(l->b, 8);
    ir_value d0 = ir_op2(l->b, IR_V128_AND, d, simd_splat16(l, 0x00ff));
    ir_value d1 = ir_op2(l->b, IR_I16X8_SHR_U, d, eight);
    ir_value s0 = ir_op2(l->b, IR_I16X8_SHR_S, ir_op2(l->b, IR_I16X8_SHL, s, eight), eight);
    ir_value s1 = ir_op2(l->b, IR_I16X8_SHR_S, s, eight);
    simd_set(l,
             ir_op2(l->b, IR_I16X8_ADD_SAT_S, ir_op2(l->b, IR_I16X8_MUL, d0, s0), ir_op2(l->b, IR_I16X8_MUL, d1, s1)));
}

LIFTER(psadbw)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value v = ir_op2(l->b, IR_I8X16_SUB, ir_op2(l->b, IR_I8X16_MAX_U, d, s), ir_op2(l->b, IR_I8X16_MIN_U, d, s));
    v = ir_op1(l->b, IR_I16X8_EXTADD_PAIRWISE_I8X16_U, v);
    v = ir_op1(l->b, IR_I32X4_EXTADD_PAIRWISE_I16X8_U, v);
    ir_value low = ir_op2(l->b, IR_V128_AND, v, ir_constv(l->b, 0xffffffff, 0xffffffff));
    ir_value high = ir_op2(l->b, IR_I64X2_SHR_U, v, ir_const32(l->b, 32));
    simd_set(l, ir_op2(l->b, IR_I64X2_ADD, low, high));
}

/* --- SSSE3 sign and horizontal --- */
static void
sign(struct lift *l, enum ir_opcode greater, enum ir_opcode equal, enum ir_opcode subtract)
{
    ir_value s = simd_src(l), d = simd_dst(l), zero = simd_zero(l);
    ir_value negative = ir_op2(l->b, greater, zero, s);
    ir_value v = ir_op2(l->b, subtract, ir_op2(l->b, IR_V128_XOR, d, negative), negative);
    simd_set(l, ir_op2(l->b, IR_V128_ANDNOT, v, ir_op2(l->b, equal, s, zero)));
}

LIFTER(psignb)
{
    sign(l, IR_I8X16_GT_S, IR_I8X16_EQ, IR_I8X16_SUB);
}

LIFTER(psignw)
{
    sign(l, IR_I16X8_GT_S, IR_I16X8_EQ, IR_I16X8_SUB);
}

LIFTER(psignd)
{
    sign(l, IR_I32X4_GT_S, IR_I32X4_EQ, IR_I32X4_SUB);
}

/* An operation on the pairs of neighbouring elements of the destination and, above these, of the source. In the MMX
 * forms these two are the halves of one V128. */
static void
horizontal(struct lift *l, bool words, enum ir_opcode op)
{
    static const uint8_t even[8] = {0, 2, 4, 6, 8, 10, 12, 14}, odd[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    ir_value s = simd_src(l), d = simd_dst(l);
    if (simd_is_mmx(l))
        d = s = simd_combine_low(l, d, s);
    ir_value a = words ? simd_shuffle16(l, d, s, even) : simd_shuffle32(l, d, s, 0, 2, 4, 6);
    ir_value b = words ? simd_shuffle16(l, d, s, odd) : simd_shuffle32(l, d, s, 1, 3, 5, 7);
    simd_set(l, ir_op2(l->b, op, a, b));
}

LIFTER(phaddw)
{
    horizontal(l, true, IR_I16X8_ADD);
}

LIFTER(phaddsw)
{
    horizontal(l, true, IR_I16X8_ADD_SAT_S);
}

LIFTER(phaddd)
{
    horizontal(l, false, IR_I32X4_ADD);
}

LIFTER(phsubw)
{
    horizontal(l, true, IR_I16X8_SUB);
}

LIFTER(phsubsw)
{
    horizontal(l, true, IR_I16X8_SUB_SAT_S);
}

LIFTER(phsubd)
{
    horizontal(l, false, IR_I32X4_SUB);
}

/* --- shifts: a count that is not below the width gives 0, or the sign --- */
static void
shift(struct lift *l, enum ir_opcode op, unsigned width, bool arithmetic)
{
    const struct x86_operand *o = OPD(1);
    if (o->kind == X86_OPD_IMM) {
        unsigned n = (uint8_t)o->imm;
        if (n >= width && !arithmetic) {
            simd_set(l, simd_zero(l));
            return;
        }
        if (n >= width)
            n = width - 1;
        simd_set(l, ir_op2(l->b, op, simd_dst(l), ir_const32(l->b, n)));
        return;
    }
    ir_value count = simd_low64(l, simd_read(l, o)), d = simd_dst(l);
    ir_value fits = ir_op2(l->b, IR_LTU64, count, ir_const64(l->b, width));
    ir_value n = ir_op1(l->b, IR_WRAP, count);
    if (arithmetic) {
        n = ir_op3(l->b, IR_SELECT32, n, ir_const32(l->b, width - 1), fits);
        simd_set(l, ir_op2(l->b, op, d, n));
        return;
    }
    simd_set(l, ir_op3(l->b, IR_SELECTV, ir_op2(l->b, op, d, n), simd_zero(l), fits));
}

#define SHIFT(name, op, width, arithmetic)    \
    LIFTER(name)                              \
    {                                         \
        shift(l, IR_##op, width, arithmetic); \
    }
SHIFT(psllw, I16X8_SHL, 16, false)
SHIFT(pslld, I32X4_SHL, 32, false)
SHIFT(psllq, I64X2_SHL, 64, false)
SHIFT(psrlw, I16X8_SHR_U, 16, false)
SHIFT(psrld, I32X4_SHR_U, 32, false)
SHIFT(psrlq, I64X2_SHR_U, 64, false)
SHIFT(psraw, I16X8_SHR_S, 16, true)
SHIFT(psrad, I32X4_SHR_S, 32, true)

LIFTER(pslldq)
{
    unsigned n = simd_imm(l);
    simd_set(l, n > 15 ? simd_zero(l) : simd_window(l, simd_zero(l), simd_dst(l), 16 - n));
}

LIFTER(psrldq)
{
    unsigned n = simd_imm(l);
    simd_set(l, n > 15 ? simd_zero(l) : simd_window(l, simd_dst(l), simd_zero(l), n));
}

/* --- SSE4.1 helpers --- */

LIFTER(mpsadbw)
{
    simd_special(l, SSE_MPSADBW);
}

LIFTER(phminposuw)
{
    simd_special(l, SSE_PHMINPOSUW);
}
