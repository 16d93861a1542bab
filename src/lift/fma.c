/* The lifters of FMA and F16C. They use operations of IR that are the processor's own instructions (HOST() of
 * ir/ops.def), once for each 128 bits. */
#include "lift/simd.h"

#include "base/fma.h"

#define B      (l->b)
#define OPD(n) (&l->insn->operand[n])
#define LIFTER(name)                  \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)

static void
multiply_add(struct lift *l, enum ir_opcode op, enum fma_kind kind, enum fma_order order)
{
    bool wide = OPD(0)->size == 32;
    ir_value r[2] = {IR_NO_VALUE, IR_NO_VALUE}, third[2] = {IR_NO_VALUE, IR_NO_VALUE};

    for (unsigned half = 0; half <= wide; half++)
        third[half] = wide ? vex_read(l, 2, half) : simd_read(l, OPD(2));
    for (unsigned half = 0; half <= wide; half++)
        r[half] = ir_op_aux(B, op, (uint16_t)(kind | order << 4), vex_register(l, OPD(0)->reg, half),
                            vex_register(l, OPD(1)->reg, half), third[half]);
    vex_set(l, r[0], r[1]);
}

#define FMA(name, type, op, kind)                      \
    LIFTER(name##132##type)                            \
    {                                                  \
        multiply_add(l, IR_##op, FMA_##kind, FMA_132); \
    }                                                  \
    LIFTER(name##213##type)                            \
    {                                                  \
        multiply_add(l, IR_##op, FMA_##kind, FMA_213); \
    }                                                  \
    LIFTER(name##231##type)                            \
    {                                                  \
        multiply_add(l, IR_##op, FMA_##kind, FMA_231); \
    }
#define PACKED(name, kind)      \
    FMA(name, ps, VFMAPS, kind) \
    FMA(name, pd, VFMAPD, kind)
#define ALL(name, kind)         \
    PACKED(name, kind)          \
    FMA(name, ss, VFMASS, kind) \
    FMA(name, sd, VFMASD, kind)
ALL(vfmadd, ADD)
ALL(vfmsub, SUB)
ALL(vfnmadd, NEGATED_ADD)
ALL(vfnmsub, NEGATED_SUB)
PACKED(vfmaddsub, ADDSUB)
PACKED(vfmsubadd, SUBADD)

LIFTER(cvtph2ps)
{
    simd_unary(l, IR_VCVTPH2PS);
}

LIFTER(vcvtps2ph)
{
    uint16_t how = simd_imm(l) & 7;
    ir_value v = ir_op_aux(B, IR_VCVTPS2PH, how, vex_read(l, 1, 0), IR_NO_VALUE, IR_NO_VALUE), high;

    if (l->insn->vector_size == 32) {
        high = ir_op_aux(B, IR_VCVTPS2PH, how, vex_read(l, 1, 1), IR_NO_VALUE, IR_NO_VALUE);
        v = simd_combine_low(l, v, high);
    }
    if (OPD(0)->kind == X86_OPD_MEM)
        simd_write(l, OPD(0), v);
    else
        vex_set(l, v, IR_NO_VALUE);
}
