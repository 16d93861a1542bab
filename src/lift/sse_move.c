/* The lifters of SSE's moves of whole registers, halves, scalars and masks, of non-temporal stores, and of MXCSR. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])

static bool
is_reg(const struct x86_operand *o)
{
    return o->kind == X86_OPD_REG;
}

/* All moves of whole registers are one. Those whose memory must be aligned say so in x86/insn.tab, and simd_read() and
 * simd_write() raise #GP for them. */
static void
move(struct lift *l)
{
    simd_write(l, OPD(0), simd_read(l, OPD(1)));
}

#define MOVE(name)                    \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)  \
    {                                 \
        move(l);                      \
    }
MOVE(movaps)
MOVE(movapd)
MOVE(movups)
MOVE(movupd)
MOVE(movdqa)
MOVE(movdqu)
MOVE(lddqu)
MOVE(movntdqa)
MOVE(movntps)
MOVE(movntpd)
MOVE(movntdq)
MOVE(movntq)

void
lift_movss(struct lift *l)
{
    if (is_reg(OPD(0)) && is_reg(OPD(1))) {
        ir_value v = ir_op_aux(l->b, IR_F32X4_EXTRACT, 0, simd_src(l), IR_NO_VALUE, IR_NO_VALUE);
        simd_set(l, ir_op_aux(l->b, IR_F32X4_REPLACE, 0, simd_dst(l), v, IR_NO_VALUE));
        return;
    }
    move(l);
}

void
lift_movsd(struct lift *l)
{
    if (is_reg(OPD(0)) && is_reg(OPD(1))) {
        simd_set(l, simd_shuffle64(l, simd_src(l), simd_dst(l), 0, 3));
        return;
    }
    move(l);
}

/* Lifts movd and movq, which move between an xmm or mm register and a general register, memory, or another one. */
static void
move_low(struct lift *l, unsigned size)
{
    const struct x86_operand *d = OPD(0), *s = OPD(1);
    if (is_reg(d) && d->reg_class == X86_RC_GPR) {
        ir_value v = simd_read(l, s);
        if (size == 8)
            lift_write_gpr(l, d->reg, 8, simd_low64(l, v));
        else
            lift_write_gpr(l, d->reg, 4, ir_op_aux(l->b, IR_I32X4_EXTRACT, 0, v, IR_NO_VALUE, IR_NO_VALUE));
        return;
    }
    if (d->kind == X86_OPD_MEM) {
        struct x86_operand to = *d;
        to.size = (uint16_t)size;
        simd_write(l, &to, simd_read(l, s));
        return;
    }
    if (is_reg(s) && s->reg_class == X86_RC_XMM) {
        simd_write(l, d, ir_op_aux(l->b, IR_I64X2_REPLACE, 1, simd_read(l, s), ir_const64(l->b, 0), IR_NO_VALUE));
        return;
    }
    struct x86_operand from = *s;
    from.size = (uint16_t)size;
    simd_write(l, d, simd_read(l, &from));
}

void
lift_movd(struct lift *l)
{
    const struct x86_operand *g = OPD(0)->kind == X86_OPD_MEM || OPD(0)->reg_class == X86_RC_GPR ? OPD(0) : OPD(1);
    move_low(l, g->size == 8 ? 8 : 4);
}

void
lift_movq(struct lift *l)
{
    move_low(l, 8);
}

void
lift_movq2dq(struct lift *l)
{
    simd_set(l, simd_src(l));
}

void
lift_movdq2q(struct lift *l)
{
    simd_set(l, simd_src(l));
}

void
lift_movhlps(struct lift *l)
{
    simd_set(l, simd_shuffle64(l, simd_src(l), simd_dst(l), 1, 3));
}

void
lift_movlhps(struct lift *l)
{
    simd_set(l, simd_shuffle64(l, simd_dst(l), simd_src(l), 0, 2));
}

static void
move_half(struct lift *l, unsigned half)
{
    const struct x86_operand *d = OPD(0), *s = OPD(1);
    uint32_t offset = 0;
    if (d->kind == X86_OPD_MEM) {
        ir_value v = simd_read(l, s);
        ir_value a = lift_address32(l, d, &offset);
        ir_store(l->b, IR_STORE64, a, offset, half ? simd_high64(l, v) : simd_low64(l, v));
        return;
    }
    ir_value a = lift_address32(l, s, &offset);
    ir_value v = ir_load(l->b, IR_LOAD64, a, offset);
    simd_set(l, ir_op_aux(l->b, IR_I64X2_REPLACE, (uint16_t)half, simd_dst(l), v, IR_NO_VALUE));
}

void
lift_movlps(struct lift *l)
{
    if (is_reg(OPD(0)) && is_reg(OPD(1)))
        lift_movhlps(l);
    else
        move_half(l, 0);
}

void
lift_movlpd(struct lift *l)
{
    move_half(l, 0);
}

void
lift_movhps(struct lift *l)
{
    if (is_reg(OPD(0)) && is_reg(OPD(1)))
        lift_movlhps(l);
    else
        move_half(l, 1);
}

void
lift_movhpd(struct lift *l)
{
    move_half(l, 1);
}

void
lift_movddup(struct lift *l)
{
    ir_value v = simd_src(l);
    simd_set(l, simd_shuffle64(l, v, v, 0, 0));
}

void
lift_movsldup(struct lift *l)
{
    ir_value v = simd_src(l);
    simd_set(l, simd_shuffle32(l, v, v, 0, 0, 2, 2));
}

void
lift_movshdup(struct lift *l)
{
    ir_value v = simd_src(l);
    simd_set(l, simd_shuffle32(l, v, v, 1, 1, 3, 3));
}

static void
mask_bits(struct lift *l, enum ir_opcode op)
{
    lift_write_gpr(l, OPD(0)->reg, 4, ir_op1(l->b, op, simd_src(l)));
}

void
lift_movmskps(struct lift *l)
{
    mask_bits(l, IR_I32X4_BITMASK);
}

void
lift_movmskpd(struct lift *l)
{
    mask_bits(l, IR_I64X2_BITMASK);
}

void
lift_pmovmskb(struct lift *l)
{
    mask_bits(l, IR_I8X16_BITMASK);
}

static void
mask_move(struct lift *l, uint32_t kind)
{
    uint32_t code = kind | OPD(0)->reg | (uint32_t)OPD(1)->reg << 4;

    ir_helper(l->b, IR_HELPER_maskmov, ir_const32(l->b, code), simd_address(l, OPD(2)), IR_NO_VALUE);
}

void
lift_maskmovdqu(struct lift *l)
{
    mask_move(l, SSE_MASKMOV_XMM);
}

void
lift_maskmovq(struct lift *l)
{
    mmx_enter(l);
    mask_move(l, 0);
}

void
lift_ldmxcsr(struct lift *l)
{
    ir_value v = lift_load(l, OPD(0), 4);
    ir_helper(l->b, IR_HELPER_ldmxcsr, v, simd_pc(l), IR_NO_VALUE);
}

void
lift_stmxcsr(struct lift *l)
{
    lift_store(l, OPD(0), 4, ir_helper(l->b, IR_HELPER_stmxcsr, IR_NO_VALUE, IR_NO_VALUE, IR_NO_VALUE));
}
