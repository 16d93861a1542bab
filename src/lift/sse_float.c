/* SSE floating point: packed and scalar arithmetic, minimum and maximum, logic, horizontal, rounding. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])
#define BINARY(name, op)          \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                             \
        simd_binary(l, IR_##op);  \
    }
#define SWAPPED(name, op)                \
    void lift_##name(struct lift *l);        \
    void lift_##name(struct lift *l)         \
    {                                    \
        simd_binary_swapped(l, IR_##op); \
    }

BINARY(addps, F32X4_ADD)
BINARY(addpd, F64X2_ADD)
BINARY(subps, F32X4_SUB)
BINARY(subpd, F64X2_SUB)
BINARY(mulps, F32X4_MUL)
BINARY(mulpd, F64X2_MUL)
BINARY(divps, F32X4_DIV)
BINARY(divpd, F64X2_DIV)
/* minps: dst < src ? dst : src, so NaN and equal zeros give the source; pmin(a, b) = b < a ? b : a. */
SWAPPED(minps, F32X4_PMIN)
SWAPPED(minpd, F64X2_PMIN)
SWAPPED(maxps, F32X4_PMAX)
SWAPPED(maxpd, F64X2_PMAX)
BINARY(andps, V128_AND)
BINARY(andpd, V128_AND)
SWAPPED(andnps, V128_ANDNOT) /* ~dst & src */
SWAPPED(andnpd, V128_ANDNOT)
BINARY(orps, V128_OR)
BINARY(orpd, V128_OR)
BINARY(xorps, V128_XOR)
BINARY(xorpd, V128_XOR)

#define UNARY(name, op)           \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                             \
        simd_unary(l, IR_##op);   \
    }
UNARY(sqrtps, F32X4_SQRT)
UNARY(sqrtpd, F64X2_SQRT)

/* Scalars: lane 0 of the destination changes, the rest stays. */
static ir_value
dst_f32(struct lift *l)
{
    return ir_op_aux(l->b, IR_F32X4_EXTRACT, 0, simd_dst(l), IR_NO_VALUE, IR_NO_VALUE);
}

static ir_value
dst_f64(struct lift *l)
{
    return ir_op_aux(l->b, IR_F64X2_EXTRACT, 0, simd_dst(l), IR_NO_VALUE, IR_NO_VALUE);
}

static void
set_f32(struct lift *l, ir_value v)
{
    simd_set(l, ir_op_aux(l->b, IR_F32X4_REPLACE, 0, simd_dst(l), v, IR_NO_VALUE));
}

static void
set_f64(struct lift *l, ir_value v)
{
    simd_set(l, ir_op_aux(l->b, IR_F64X2_REPLACE, 0, simd_dst(l), v, IR_NO_VALUE));
}

#define SCALAR(name, type, op)                                    \
    void lift_##name(struct lift *l);                                 \
    void lift_##name(struct lift *l)                                  \
    {                                                             \
        ir_value src = lift_read_##type(l, OPD(1));               \
        set_##type(l, ir_op2(l->b, IR_##op, dst_##type(l), src)); \
    }
SCALAR(addss, f32, ADDF32)
SCALAR(addsd, f64, ADDF64)
SCALAR(subss, f32, SUBF32)
SCALAR(subsd, f64, SUBF64)
SCALAR(mulss, f32, MULF32)
SCALAR(mulsd, f64, MULF64)
SCALAR(divss, f32, DIVF32)
SCALAR(divsd, f64, DIVF64)

#define SCALAR_SELECT(name, type, compare, select)                                                 \
    void lift_##name(struct lift *l);                                                                  \
    void lift_##name(struct lift *l)                                                                   \
    {                                                                                              \
        ir_value src = lift_read_##type(l, OPD(1)), dst = dst_##type(l);                           \
        set_##type(l, ir_op3(l->b, IR_##select, dst, src, ir_op2(l->b, IR_##compare, dst, src))); \
    }
SCALAR_SELECT(minss, f32, LTF32, SELECTF32)
SCALAR_SELECT(minsd, f64, LTF64, SELECTF64)
SCALAR_SELECT(maxss, f32, GTF32, SELECTF32)
SCALAR_SELECT(maxsd, f64, GTF64, SELECTF64)

void
lift_sqrtss(struct lift *l)
{
    set_f32(l, ir_op1(l->b, IR_SQRTF32, lift_read_f32(l, OPD(1))));
}

void
lift_sqrtsd(struct lift *l)
{
    set_f64(l, ir_op1(l->b, IR_SQRTF64, lift_read_f64(l, OPD(1))));
}

static void
approximate(struct lift *l, enum sse_approximate what)
{
    ir_value v = simd_src(l);
    uint32_t code = (uint32_t)what | (uint32_t)OPD(0)->reg << 8;
    ir_helper(l->b, IR_HELPER_sse_approximate, ir_const32(l->b, code), simd_low64(l, v), simd_high64(l, v));
}

#define APPROXIMATE(name, what)   \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                             \
        approximate(l, what);     \
    }
APPROXIMATE(rcpps, SSE_RCPPS)
APPROXIMATE(rcpss, SSE_RCPSS)
APPROXIMATE(rsqrtps, SSE_RSQRTPS)
APPROXIMATE(rsqrtss, SSE_RSQRTSS)

/* --- SSE3 horizontal --- */
static void
horizontal_ps(struct lift *l, enum ir_opcode op)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value even = simd_shuffle32(l, d, s, 0, 2, 4, 6), odd = simd_shuffle32(l, d, s, 1, 3, 5, 7);
    simd_set(l, ir_op2(l->b, op, even, odd));
}

static void
horizontal_pd(struct lift *l, enum ir_opcode op)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    simd_set(l, ir_op2(l->b, op, simd_shuffle64(l, d, s, 0, 2), simd_shuffle64(l, d, s, 1, 3)));
}

void
lift_haddps(struct lift *l)
{
    horizontal_ps(l, IR_F32X4_ADD);
}

void
lift_hsubps(struct lift *l)
{
    horizontal_ps(l, IR_F32X4_SUB);
}

void
lift_haddpd(struct lift *l)
{
    horizontal_pd(l, IR_F64X2_ADD);
}

void
lift_hsubpd(struct lift *l)
{
    horizontal_pd(l, IR_F64X2_SUB);
}

void
lift_addsubps(struct lift *l)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value sub = ir_op2(l->b, IR_F32X4_SUB, d, s), add = ir_op2(l->b, IR_F32X4_ADD, d, s);
    simd_set(l, simd_shuffle32(l, sub, add, 0, 5, 2, 7));
}

void
lift_addsubpd(struct lift *l)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value sub = ir_op2(l->b, IR_F64X2_SUB, d, s), add = ir_op2(l->b, IR_F64X2_ADD, d, s);
    simd_set(l, simd_shuffle64(l, sub, add, 0, 3));
}

/* --- SSE4.1 dot products and rounding --- */
static ir_value
lane_mask32(struct lift *l, unsigned bits)
{
    uint64_t low = (bits & 1 ? 0xffffffffu : 0) | (bits & 2 ? 0xffffffffull << 32 : 0);
    uint64_t high = (bits & 4 ? 0xffffffffu : 0) | (bits & 8 ? 0xffffffffull << 32 : 0);
    return ir_constv(l->b, low, high);
}

static ir_value
lane_mask64(struct lift *l, unsigned bits)
{
    return ir_constv(l->b, bits & 1 ? UINT64_MAX : 0, bits & 2 ? UINT64_MAX : 0);
}

void
lift_dpps(struct lift *l)
{
    uint8_t imm = simd_imm(l);
    ir_value s = simd_src(l);
    ir_value v = ir_op2(l->b, IR_F32X4_MUL, simd_dst(l), s);
    v = ir_op2(l->b, IR_V128_AND, v, lane_mask32(l, imm >> 4));
    v = ir_op2(l->b, IR_F32X4_ADD, v, simd_shuffle32(l, v, v, 1, 0, 3, 2));
    v = ir_op2(l->b, IR_F32X4_ADD, v, simd_shuffle32(l, v, v, 2, 3, 0, 1));
    simd_set(l, ir_op2(l->b, IR_V128_AND, v, lane_mask32(l, imm & 15)));
}

void
lift_dppd(struct lift *l)
{
    uint8_t imm = simd_imm(l);
    ir_value s = simd_src(l);
    ir_value v = ir_op2(l->b, IR_F64X2_MUL, simd_dst(l), s);
    v = ir_op2(l->b, IR_V128_AND, v, lane_mask64(l, imm >> 4));
    v = ir_op2(l->b, IR_F64X2_ADD, v, simd_shuffle64(l, v, v, 1, 0));
    simd_set(l, ir_op2(l->b, IR_V128_AND, v, lane_mask64(l, imm & 3)));
}

/* imm bit 2: round by MXCSR, as the NEAREST operations do. Explicit nearest-even is a helper, since MXCSR
 * may say otherwise. */
static enum ir_opcode
round_op(uint8_t imm, const enum ir_opcode ops[4])
{
    return imm & 4 ? ops[0] : ops[imm & 3];
}

static bool
round_even(uint8_t imm)
{
    return (imm & 7) == 0;
}

void
lift_roundss(struct lift *l)
{
    static const enum ir_opcode ops[4] = {IR_NEARESTF32, IR_FLOORF32, IR_CEILF32, IR_TRUNCF32};
    uint8_t imm = simd_imm(l);
    ir_value v = lift_read_f32(l, OPD(1));
    if (round_even(imm)) {
        v = ir_op1(l->b, IR_EXTU, ir_op1(l->b, IR_REINTERPRET_I32_F32, v));
        v = ir_helper(l->b, IR_HELPER_round_even_ps, v, IR_NO_VALUE, IR_NO_VALUE);
        set_f32(l, ir_op1(l->b, IR_REINTERPRET_F32_I32, ir_op1(l->b, IR_WRAP, v)));
        return;
    }
    set_f32(l, ir_op1(l->b, round_op(imm, ops), v));
}

void
lift_roundsd(struct lift *l)
{
    static const enum ir_opcode ops[4] = {IR_NEARESTF64, IR_FLOORF64, IR_CEILF64, IR_TRUNCF64};
    uint8_t imm = simd_imm(l);
    ir_value v = lift_read_f64(l, OPD(1));
    if (round_even(imm)) {
        v = ir_op1(l->b, IR_REINTERPRET_I64_F64, v);
        v = ir_helper(l->b, IR_HELPER_round_even_pd, v, IR_NO_VALUE, IR_NO_VALUE);
        set_f64(l, ir_op1(l->b, IR_REINTERPRET_F64_I64, v));
        return;
    }
    set_f64(l, ir_op1(l->b, round_op(imm, ops), v));
}

static void
round_packed(struct lift *l, const enum ir_opcode ops[4], enum ir_helper even)
{
    uint8_t imm = simd_imm(l);
    ir_value v = simd_src(l);
    if (!round_even(imm)) {
        simd_set(l, ir_op1(l->b, round_op(imm, ops), v));
        return;
    }
    ir_value low = ir_helper(l->b, even, simd_low64(l, v), IR_NO_VALUE, IR_NO_VALUE);
    ir_value high = ir_helper(l->b, even, simd_high64(l, v), IR_NO_VALUE, IR_NO_VALUE);
    ir_value r = ir_op1(l->b, IR_I64X2_SPLAT, low);
    simd_set(l, ir_op_aux(l->b, IR_I64X2_REPLACE, 1, r, high, IR_NO_VALUE));
}

void
lift_roundps(struct lift *l)
{
    static const enum ir_opcode ops[4] = {IR_F32X4_NEAREST, IR_F32X4_FLOOR, IR_F32X4_CEIL, IR_F32X4_TRUNC};
    round_packed(l, ops, IR_HELPER_round_even_ps);
}

void
lift_roundpd(struct lift *l)
{
    static const enum ir_opcode ops[4] = {IR_F64X2_NEAREST, IR_F64X2_FLOOR, IR_F64X2_CEIL, IR_F64X2_TRUNC};
    round_packed(l, ops, IR_HELPER_round_even_pd);
}
