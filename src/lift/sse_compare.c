/* SSE comparisons: masks by predicate, and comi/ucomi/ptest into the flags. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])

struct compare_ops {
    enum ir_opcode eq, ne, lt, le;
};
static const struct compare_ops ps_ops = {IR_F32X4_EQ, IR_F32X4_NE, IR_F32X4_LT, IR_F32X4_LE};
static const struct compare_ops pd_ops = {IR_F64X2_EQ, IR_F64X2_NE, IR_F64X2_LT, IR_F64X2_LE};

/* Predicates 0..7 (SDM vol. 2, CMPPD); legacy encodings look at three bits only. */
static ir_value
compare(struct lift *l, const struct compare_ops *ops, ir_value a, ir_value b)
{
    switch (simd_imm(l) & 7) {
    case 0:
        return ir_op2(l->b, ops->eq, a, b);
    case 1:
        return ir_op2(l->b, ops->lt, a, b);
    case 2:
        return ir_op2(l->b, ops->le, a, b);
    case 3:
        return ir_op2(l->b, IR_V128_OR, ir_op2(l->b, ops->ne, a, a), ir_op2(l->b, ops->ne, b, b));
    case 4:
        return ir_op2(l->b, ops->ne, a, b);
    case 5:
        return ir_op1(l->b, IR_V128_NOT, ir_op2(l->b, ops->lt, a, b));
    case 6:
        return ir_op1(l->b, IR_V128_NOT, ir_op2(l->b, ops->le, a, b));
    default:
        return ir_op2(l->b, IR_V128_AND, ir_op2(l->b, ops->eq, a, a), ir_op2(l->b, ops->eq, b, b));
    }
}

void
lift_cmpps(struct lift *l)
{
    ir_value s = simd_src(l);
    simd_set(l, compare(l, &ps_ops, simd_dst(l), s));
}

void
lift_cmppd(struct lift *l)
{
    ir_value s = simd_src(l);
    simd_set(l, compare(l, &pd_ops, simd_dst(l), s));
}

void
lift_cmpss(struct lift *l)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    simd_set(l, simd_shuffle32(l, compare(l, &ps_ops, d, s), d, 0, 5, 6, 7));
}

void
lift_cmpsd(struct lift *l)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    simd_set(l, simd_shuffle64(l, compare(l, &pd_ops, d, s), d, 0, 3));
}

static void
set_flags(struct lift *l, ir_value zf, ir_value pf, ir_value cf)
{
    ir_value zero = ir_const32(l->b, 0);
    lift_set_flag(l, X86_FLAG_ZF, zf);
    lift_set_flag(l, X86_FLAG_PF, pf);
    lift_set_flag(l, X86_FLAG_CF, cf);
    lift_set_flag(l, X86_FLAG_OF, zero);
    lift_set_flag(l, X86_FLAG_SF, zero);
    lift_set_flag(l, X86_FLAG_AF, zero);
}

/* Unordered: ZF PF CF all 1. comi and ucomi differ only in the exceptions they raise. */
static void
compare_scalar(struct lift *l, ir_value a, ir_value b, enum ir_opcode lt, enum ir_opcode gt, enum ir_opcode ge,
               enum ir_opcode ne)
{
    ir_value differ = ir_op2(l->b, IR_OR32, ir_op2(l->b, lt, a, b), ir_op2(l->b, gt, a, b));
    ir_value unordered = ir_op2(l->b, IR_OR32, ir_op2(l->b, ne, a, a), ir_op2(l->b, ne, b, b));
    ir_value below = ir_op1(l->b, IR_EQZ32, ir_op2(l->b, ge, a, b));
    set_flags(l, ir_op1(l->b, IR_EQZ32, differ), unordered, below);
}

static void
compare_ss(struct lift *l)
{
    ir_value b = lift_read_f32(l, OPD(1)), a = lift_read_f32(l, OPD(0));
    compare_scalar(l, a, b, IR_LTF32, IR_GTF32, IR_GEF32, IR_NEF32);
}

static void
compare_sd(struct lift *l)
{
    ir_value b = lift_read_f64(l, OPD(1)), a = lift_read_f64(l, OPD(0));
    compare_scalar(l, a, b, IR_LTF64, IR_GTF64, IR_GEF64, IR_NEF64);
}

void
lift_comiss(struct lift *l)
{
    compare_ss(l);
}

void
lift_ucomiss(struct lift *l)
{
    compare_ss(l);
}

void
lift_comisd(struct lift *l)
{
    compare_sd(l);
}

void
lift_ucomisd(struct lift *l)
{
    compare_sd(l);
}

void
lift_ptest(struct lift *l)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value both = ir_op1(l->b, IR_V128_ANY_TRUE, ir_op2(l->b, IR_V128_AND, d, s));
    ir_value beyond = ir_op1(l->b, IR_V128_ANY_TRUE, ir_op2(l->b, IR_V128_ANDNOT, s, d));
    set_flags(l, ir_op1(l->b, IR_EQZ32, both), ir_const32(l->b, 0), ir_op1(l->b, IR_EQZ32, beyond));
}
