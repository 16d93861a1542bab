/* The lifters of SSE's floating point: packed and scalar arithmetic, minimum and maximum, logic, horizontal operations,
 * rounding. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])
#define BINARY(name, op)              \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                                 \
        simd_binary(l, IR_##op);      \
    }
#define SWAPPED(name, op)                \
    void lift_##name(struct lift *l);    \
    void lift_##name(struct lift *l)     \
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
BINARY(minps, MINPS)
BINARY(minpd, MINPD)
BINARY(minss, MINSS)
BINARY(minsd, MINSD)
BINARY(maxps, MAXPS)
BINARY(maxpd, MAXPD)
BINARY(maxss, MAXSS)
BINARY(maxsd, MAXSD)
BINARY(addsubps, ADDSUBPS)
BINARY(addsubpd, ADDSUBPD)
BINARY(andps, V128_AND)
BINARY(andpd, V128_AND)
SWAPPED(andnps, V128_ANDNOT) /* ~dst & src */
SWAPPED(andnpd, V128_ANDNOT)
BINARY(orps, V128_OR)
BINARY(orpd, V128_OR)
BINARY(xorps, V128_XOR)
BINARY(xorpd, V128_XOR)

#define UNARY(name, op)               \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                                 \
        simd_unary(l, IR_##op);       \
    }
UNARY(sqrtps, F32X4_SQRT)
UNARY(sqrtpd, F64X2_SQRT)

/* --- scalars: lane 0 of the destination changes, and the rest stays --- */
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
    void lift_##name(struct lift *l);                             \
    void lift_##name(struct lift *l)                              \
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
    simd_helper(l, IR_HELPER_sse_approximate, what, simd_src(l));
}

#define APPROXIMATE(name, what)       \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                                 \
        approximate(l, what);         \
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

/* --- SSE4.1 dot products and rounding --- */
static void
dot_product(struct lift *l, enum ir_opcode op)
{
    ir_value s = simd_src(l);
    simd_set(l, ir_op_aux(l->b, op, simd_imm(l), simd_dst(l), s, IR_NO_VALUE));
}

void
lift_dpps(struct lift *l)
{
    dot_product(l, IR_DPPS);
}

void
lift_dppd(struct lift *l)
{
    dot_product(l, IR_DPPD);
}

void
lift_roundss(struct lift *l)
{
    set_f32(l, ir_op_aux(l->b, IR_ROUNDSS, simd_imm(l) & 15, lift_read_f32(l, OPD(1)), IR_NO_VALUE, IR_NO_VALUE));
}

void
lift_roundsd(struct lift *l)
{
    set_f64(l, ir_op_aux(l->b, IR_ROUNDSD, simd_imm(l) & 15, lift_read_f64(l, OPD(1)), IR_NO_VALUE, IR_NO_VALUE));
}

void
lift_roundps(struct lift *l)
{
    simd_set(l, ir_op_aux(l->b, IR_ROUNDPS, simd_imm(l) & 15, simd_src(l), IR_NO_VALUE, IR_NO_VALUE));
}

void
lift_roundpd(struct lift *l)
{
    simd_set(l, ir_op_aux(l->b, IR_ROUNDPD, simd_imm(l) & 15, simd_src(l), IR_NO_VALUE, IR_NO_VALUE));
}
