/* Operands and small building blocks of the SSE and MMX lifters. simd.h says what they do. */
#include "lift/simd.h"

#include <string.h>

static bool
is_class(const struct x86_operand *o, enum x86_reg_class c)
{
    return o->kind == X86_OPD_REG && o->reg_class == c;
}

bool
simd_is_mmx(const struct lift *l)
{
    const struct x86_insn *i = l->insn;
    return (i->operand_count > 0 && is_class(&i->operand[0], X86_RC_MMX)) ||
           (i->operand_count > 1 && is_class(&i->operand[1], X86_RC_MMX));
}

ir_value
simd_zero(struct lift *l)
{
    return ir_constv(l->b, 0, 0);
}

ir_value
simd_splat8(struct lift *l, uint8_t v)
{
    uint64_t w = v * UINT64_C(0x0101010101010101);
    return ir_constv(l->b, w, w);
}

ir_value
simd_splat16(struct lift *l, uint16_t v)
{
    uint64_t w = v * UINT64_C(0x0001000100010001);
    return ir_constv(l->b, w, w);
}

ir_value
simd_splat32(struct lift *l, uint32_t v)
{
    uint64_t w = v * UINT64_C(0x0000000100000001);
    return ir_constv(l->b, w, w);
}

static ir_value
from_i64(struct lift *l, ir_value v)
{
    return ir_op_aux(l->b, IR_I64X2_REPLACE, 0, simd_zero(l), v, IR_NO_VALUE);
}

ir_value
simd_low64(struct lift *l, ir_value v)
{
    return ir_op_aux(l->b, IR_I64X2_EXTRACT, 0, v, IR_NO_VALUE, IR_NO_VALUE);
}

ir_value
simd_high64(struct lift *l, ir_value v)
{
    return ir_op_aux(l->b, IR_I64X2_EXTRACT, 1, v, IR_NO_VALUE, IR_NO_VALUE);
}

ir_value
simd_address(struct lift *l, const struct x86_operand *o)
{
    uint32_t offset = 0;
    ir_value a = lift_address32(l, o, &offset);
    return offset ? ir_op2(l->b, IR_ADD32, a, ir_const32(l->b, offset)) : a;
}

ir_value
simd_pc(struct lift *l)
{
    return ir_addr(l->b, l->insn->address);
}

ir_value
simd_read(struct lift *l, const struct x86_operand *o)
{
    if (o->kind == LIFT_OPD_VALUE)
        return (ir_value)o->imm;
    if (o->kind == X86_OPD_REG) {
        if (o->reg_class == X86_RC_MMX)
            return from_i64(l, mmx_get(l, o->reg));
        if (o->reg_class == X86_RC_XMM)
            return lift_xmm(l, o->reg);
        ir_value v = lift_read(l, o);
        if (o->size == 8)
            return from_i64(l, v);
        return ir_op_aux(l->b, IR_I32X4_REPLACE, 0, simd_zero(l), v, IR_NO_VALUE);
    }
    uint32_t offset = 0;
    ir_value a = lift_address32(l, o, &offset);
    switch (o->size) {
    case 4: return ir_load(l->b, IR_V128_LOAD32_ZERO, a, offset);
    case 8: return ir_load(l->b, IR_V128_LOAD64_ZERO, a, offset);
    case 1:
    case 2: {
        ir_value v = ir_load(l->b, o->size == 1 ? IR_LOAD8U32 : IR_LOAD16U32, a, offset);
        return ir_op_aux(l->b, IR_I32X4_REPLACE, 0, simd_zero(l), v, IR_NO_VALUE);
    }
    default: return ir_load_vector(l->b, a, offset, x86_alignment(l->insn) == 16);
    }
}

void
simd_write(struct lift *l, const struct x86_operand *o, ir_value v)
{
    if (o->kind == X86_OPD_REG || o->kind == LIFT_OPD_VALUE) {
        if (o->reg_class == X86_RC_MMX)
            mmx_set(l, o->reg, simd_low64(l, v));
        else
            lift_set_xmm(l, o->reg, v);
        return;
    }
    uint32_t offset = 0;
    ir_value a = lift_address32(l, o, &offset);
    if (o->size == 4)
        ir_store(l->b, IR_STORE32, a, offset, ir_op_aux(l->b, IR_I32X4_EXTRACT, 0, v, IR_NO_VALUE, IR_NO_VALUE));
    else if (o->size == 8)
        ir_store(l->b, IR_STORE64, a, offset, simd_low64(l, v));
    else
        ir_store_vector(l->b, a, offset, x86_alignment(l->insn) == 16, v);
}

ir_value
simd_dst(struct lift *l)
{
    return simd_read(l, &l->insn->operand[0]);
}

ir_value
simd_src(struct lift *l)
{
    return simd_read(l, &l->insn->operand[1]);
}

void
simd_set(struct lift *l, ir_value v)
{
    simd_write(l, &l->insn->operand[0], v);
}

uint8_t
simd_imm(const struct lift *l)
{
    for (unsigned i = 0; i < l->insn->operand_count; i++)
        if (l->insn->operand[i].kind == X86_OPD_IMM)
            return (uint8_t)l->insn->operand[i].imm;
    return 0;
}

void
simd_binary(struct lift *l, enum ir_opcode op)
{
    ir_value src = simd_src(l);
    simd_set(l, ir_op2(l->b, op, simd_dst(l), src));
}

void
simd_binary_swapped(struct lift *l, enum ir_opcode op)
{
    ir_value src = simd_src(l);
    simd_set(l, ir_op2(l->b, op, src, simd_dst(l)));
}

void
simd_unary(struct lift *l, enum ir_opcode op)
{
    simd_set(l, ir_op1(l->b, op, simd_src(l)));
}

ir_value
simd_shuffle16(struct lift *l, ir_value a, ir_value b, const uint8_t lanes[8])
{
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(lanes[i / 2] * 2 + i % 2);
    return ir_shuffle(l->b, a, b, bytes);
}

ir_value
simd_shuffle32(struct lift *l, ir_value a, ir_value b, unsigned l0, unsigned l1, unsigned l2, unsigned l3)
{
    const unsigned lanes[4] = {l0, l1, l2, l3};
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(lanes[i / 4] * 4 + i % 4);
    return ir_shuffle(l->b, a, b, bytes);
}

ir_value
simd_shuffle64(struct lift *l, ir_value a, ir_value b, unsigned l0, unsigned l1)
{
    return simd_shuffle32(l, a, b, l0 * 2, l0 * 2 + 1, l1 * 2, l1 * 2 + 1);
}

ir_value
simd_combine_low(struct lift *l, ir_value a, ir_value b)
{
    return simd_shuffle64(l, a, b, 0, 2);
}

ir_value
simd_window(struct lift *l, ir_value a, ir_value b, unsigned n)
{
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(n + i);
    return ir_shuffle(l->b, a, b, bytes);
}

void
simd_write_int32(struct lift *l, const struct x86_operand *o, unsigned size, ir_value v)
{
    if (o->kind == X86_OPD_REG)
        lift_write_gpr(l, o->reg, 4, v);
    else
        lift_store(l, o, size, v);
}

void
simd_helper(struct lift *l, enum ir_helper helper, uint32_t code, ir_value source)
{
    if (l->lane) {
        ir_set(l->b, X86_S_TMPV, simd_dst(l));
        code |= SSE_TMP;
    } else {
        code |= (uint32_t)l->insn->operand[0].reg << 8;
    }
    ir_helper(l->b, helper, ir_const32(l->b, code), simd_low64(l, source), simd_high64(l, source));
    if (l->lane)
        simd_set(l, ir_get(l->b, X86_S_TMPV));
}
