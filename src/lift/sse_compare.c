/* The lifters of SSE comparisons: those that make masks by a predicate, and comi, ucomi and ptest, which set the
 * flags. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])

/* The predicates are numbers from 0 to 7, with VEX from 0 to 31 (SDM vol. 2, CMPPD). */
#define COMPARE(name, op)                                                                                   \
    void lift_##name(struct lift *l)                                                                        \
    {                                                                                                       \
        unsigned n = simd_imm(l) & (l->insn->vector_size ? 31 : 7);                                         \
        ir_value s = simd_src(l);                                                                           \
        simd_set(l, ir_op_aux(l->b, n > 7 ? IR_V##op : IR_##op, (uint16_t)n, simd_dst(l), s, IR_NO_VALUE)); \
    }
COMPARE(cmpps, CMPPS)
COMPARE(cmppd, CMPPD)
COMPARE(cmpss, CMPSS)
COMPARE(cmpsd, CMPSD)

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

/* When a and b are unordered, because one is a NaN, ZF, PF and CF become 1. comi raises the exception for an invalid
 * operand for any NaN, ucomi only for signaling ones. */
static void
compare_scalar(struct lift *l, ir_value a, ir_value b, enum ir_opcode lt, enum ir_opcode gt, enum ir_opcode ge,
               enum ir_opcode eq)
{
    ir_value differ = ir_op2(l->b, IR_OR32, ir_op2(l->b, lt, a, b), ir_op2(l->b, gt, a, b));
    /* This compares a with b and neither with itself, as the processor does: beside a NaN, it does not report that the
     * other operand is denormal. */
    ir_value unordered = ir_op1(l->b, IR_EQZ32, ir_op2(l->b, IR_OR32, differ, ir_op2(l->b, eq, a, b)));
    ir_value below = ir_op1(l->b, IR_EQZ32, ir_op2(l->b, ge, a, b));
    set_flags(l, ir_op1(l->b, IR_EQZ32, differ), unordered, below);
}

static void
compare_ss(struct lift *l, bool signals)
{
    ir_value b = lift_read_f32(l, OPD(1)), a = lift_read_f32(l, OPD(0));
    if (signals)
        ir_op2(l->b, IR_COMISS, a, b);
    compare_scalar(l, a, b, IR_LTF32, IR_GTF32, IR_GEF32, IR_EQF32);
}

static void
compare_sd(struct lift *l, bool signals)
{
    ir_value b = lift_read_f64(l, OPD(1)), a = lift_read_f64(l, OPD(0));
    if (signals)
        ir_op2(l->b, IR_COMISD, a, b);
    compare_scalar(l, a, b, IR_LTF64, IR_GTF64, IR_GEF64, IR_EQF64);
}

void
lift_comiss(struct lift *l)
{
    compare_ss(l, true);
}

void
lift_ucomiss(struct lift *l)
{
    compare_ss(l, false);
}

void
lift_comisd(struct lift *l)
{
    compare_sd(l, true);
}

void
lift_ucomisd(struct lift *l)
{
    compare_sd(l, false);
}

/* Sets ZF when no bit of the mask is 1 in both operands, and CF when none is 1 in the source alone. */
static void
test_bits(struct lift *l, uint64_t mask)
{
    ir_value m = ir_constv(l->b, mask, mask), both = simd_zero(l), beyond = simd_zero(l);

    for (unsigned half = 0; half < (l->insn->vector_size == 32 ? 2 : 1); half++) {
        ir_value s = ir_op2(l->b, IR_V128_AND, vex_read(l, 1, half), m), d = vex_read(l, 0, half);

        both = ir_op2(l->b, IR_V128_OR, both, ir_op2(l->b, IR_V128_AND, d, s));
        beyond = ir_op2(l->b, IR_V128_OR, beyond, ir_op2(l->b, IR_V128_ANDNOT, s, d));
    }
    both = ir_op1(l->b, IR_V128_ANY_TRUE, both);
    beyond = ir_op1(l->b, IR_V128_ANY_TRUE, beyond);
    set_flags(l, ir_op1(l->b, IR_EQZ32, both), ir_const32(l->b, 0), ir_op1(l->b, IR_EQZ32, beyond));
}

void
lift_ptest(struct lift *l)
{
    ir_value s = simd_src(l), d = simd_dst(l);
    ir_value both = ir_op1(l->b, IR_V128_ANY_TRUE, ir_op2(l->b, IR_V128_AND, d, s));
    ir_value beyond = ir_op1(l->b, IR_V128_ANY_TRUE, ir_op2(l->b, IR_V128_ANDNOT, s, d));
    set_flags(l, ir_op1(l->b, IR_EQZ32, both), ir_const32(l->b, 0), ir_op1(l->b, IR_EQZ32, beyond));
}

void
lift_vptest(struct lift *l)
{
    test_bits(l, UINT64_MAX);
}

void
lift_vtestps(struct lift *l)
{
    test_bits(l, UINT64_C(0x8000000080000000));
}

void
lift_vtestpd(struct lift *l)
{
    test_bits(l, UINT64_C(0x8000000000000000));
}
