/* The lifters of SSE's conversions between integers, singles and doubles. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])
#define LIFTER(name)                  \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)

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

/* --- scalar --- */
LIFTER(cvtsi2ss)
{
    const struct x86_operand *s = OPD(1);
    set_f32(l, ir_op1(l->b, s->size == 8 ? IR_CVT_F32_I64S : IR_CVT_F32_I32S, lift_read(l, s)));
}

LIFTER(cvtsi2sd)
{
    const struct x86_operand *s = OPD(1);
    set_f64(l, ir_op1(l->b, s->size == 8 ? IR_CVT_F64_I64S : IR_CVT_F64_I32S, lift_read(l, s)));
}

#define TO_INT(name, type, to)                                                                                 \
    LIFTER(name)                                                                                               \
    {                                                                                                          \
        const struct x86_operand *d = OPD(0);                                                                  \
        lift_write(l, d, ir_op1(l->b, d->size == 8 ? IR_##to##64 : IR_##to##32, lift_read_##type(l, OPD(1)))); \
    }
TO_INT(cvttss2si, f32, CVTTSS2SI)
TO_INT(cvttsd2si, f64, CVTTSD2SI)
TO_INT(cvtss2si, f32, CVTSS2SI)
TO_INT(cvtsd2si, f64, CVTSD2SI)

LIFTER(cvtss2sd)
{
    set_f64(l, ir_op1(l->b, IR_PROMOTE, lift_read_f32(l, OPD(1))));
}

LIFTER(cvtsd2ss)
{
    set_f32(l, ir_op1(l->b, IR_DEMOTE, lift_read_f64(l, OPD(1))));
}

/* --- packed --- */
LIFTER(cvtdq2ps)
{
    simd_unary(l, IR_F32X4_CONVERT_I32X4_S);
}

LIFTER(cvtdq2pd)
{
    simd_unary(l, IR_F64X2_CONVERT_LOW_I32X4_S);
}

LIFTER(cvtps2pd)
{
    simd_unary(l, IR_F64X2_PROMOTE_LOW_F32X4);
}

LIFTER(cvtpd2ps)
{
    simd_unary(l, IR_F32X4_DEMOTE_F64X2_ZERO);
}

LIFTER(cvttps2dq)
{
    simd_unary(l, IR_CVTTPS2DQ);
}

LIFTER(cvtps2dq)
{
    simd_unary(l, IR_CVTPS2DQ);
}

LIFTER(cvttpd2dq)
{
    simd_unary(l, IR_CVTTPD2DQ);
}

LIFTER(cvtpd2dq)
{
    simd_unary(l, IR_CVTPD2DQ);
}

/* --- conversions with MMX registers, which simd_read() and simd_set() know --- */
LIFTER(cvtpi2ps)
{
    ir_value v = ir_op1(l->b, IR_F32X4_CONVERT_I32X4_S, simd_src(l));
    simd_set(l, simd_shuffle64(l, v, simd_dst(l), 0, 3));
}

LIFTER(cvtpi2pd)
{
    simd_unary(l, IR_F64X2_CONVERT_LOW_I32X4_S);
}

LIFTER(cvttps2pi)
{
    simd_set(l, ir_op1(l->b, IR_CVTTPS2DQ, simd_combine_low(l, simd_src(l), simd_zero(l))));
}

LIFTER(cvtps2pi)
{
    simd_set(l, ir_op1(l->b, IR_CVTPS2DQ, simd_combine_low(l, simd_src(l), simd_zero(l))));
}

LIFTER(cvttpd2pi)
{
    simd_unary(l, IR_CVTTPD2DQ);
}

LIFTER(cvtpd2pi)
{
    simd_unary(l, IR_CVTPD2DQ);
}
