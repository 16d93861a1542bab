/* Reading and writing operands: registers, with x86's rules for parts of them, memory, whose address is computed, and
 * immediates. */
#include "lift/lift_internal.h"

#define B (l->b)

ir_value
lift_const(struct lift *l, unsigned size, uint64_t v)
{
    if (size == 8)
        return ir_const64(B, v);
    return ir_const32(B, size == 1 ? (uint8_t)v : size == 2 ? (uint16_t)v : (uint32_t)v);
}

ir_value
lift_narrow(struct lift *l, unsigned size, ir_value v)
{
    if (size >= 4)
        return v;
    return ir_op2(B, IR_AND32, v, ir_const32(B, size == 1 ? 0xff : 0xffff));
}

ir_value
lift_sign_extend(struct lift *l, unsigned size, ir_value v)
{
    if (size >= 4)
        return v;
    return ir_op1(B, size == 1 ? IR_EXT8S32 : IR_EXT16S32, v);
}

ir_value
lift_to64(struct lift *l, unsigned size, ir_value v)
{
    return size == 8 ? v : ir_op1(B, IR_EXTU, v);
}

ir_value
lift_from64(struct lift *l, unsigned size, ir_value v)
{
    return size == 8 ? v : lift_narrow(l, size, ir_op1(B, IR_WRAP, v));
}

/* --- general registers --- */

/* When `whole`, the value of a register, was made by a write of its low 8 or 16 bits: the value that was written. kept
 * is the mask of the other bits. With it the low bits need not be taken out of the whole again. */
static ir_value
merged_part(struct lift *l, ir_value whole, uint64_t kept)
{
    const struct ir_op *op = ir_def(B, whole), *low, *high;
    uint64_t mask;

    if (op->op != IR_OR64)
        return IR_NO_VALUE;
    high = ir_def(B, op->a);
    low = ir_def(B, op->b);
    if (high->op == IR_AND64 && ir_is_const(B, high->b, &mask) && mask == kept && low->op == IR_EXTU)
        return low->a;
    return IR_NO_VALUE;
}

ir_value
lift_read_gpr(struct lift *l, unsigned reg, unsigned size)
{
    ir_value whole = ir_get(B, X86_S_RAX + (reg & 15));
    ir_value part;

    if (size == 8)
        return whole;
    if (size < 4) {
        part = merged_part(l, whole, size == 1 ? ~UINT64_C(0xff) : ~UINT64_C(0xffff));
        if (part != IR_NO_VALUE)
            return part;
    }
    return lift_from64(l, size, whole);
}

void
lift_write_gpr(struct lift *l, unsigned reg, unsigned size, ir_value v)
{
    enum x86_state s = X86_S_RAX + (reg & 15);
    uint64_t kept = size == 1 ? ~UINT64_C(0xff) : ~UINT64_C(0xffff);
    ir_value rest;

    if (size >= 4) {
        ir_set(B, s, lift_to64(l, size, v));
        return;
    }
    v = ir_op1(B, IR_EXTU, lift_narrow(l, size, v));
    rest = ir_op2(B, IR_AND64, ir_get(B, s), ir_const64(B, kept));
    ir_set(B, s, ir_op2(B, IR_OR64, rest, v));
}

static ir_value
read_high(struct lift *l, unsigned reg)
{
    ir_value low = ir_op1(B, IR_WRAP, ir_get(B, X86_S_RAX + (reg & 3)));

    return lift_narrow(l, 1, ir_op2(B, IR_SHRU32, low, ir_const32(B, 8)));
}

static void
write_high(struct lift *l, unsigned reg, ir_value v)
{
    enum x86_state s = X86_S_RAX + (reg & 3);
    ir_value rest = ir_op2(B, IR_AND64, ir_get(B, s), ir_const64(B, ~UINT64_C(0xff00)));

    v = ir_op2(B, IR_SHL32, lift_narrow(l, 1, v), ir_const32(B, 8));
    ir_set(B, s, ir_op2(B, IR_OR64, rest, ir_op1(B, IR_EXTU, v)));
}

/* --- addresses --- */

/* The sum of base, index and the displacement disp. */
static ir_value
address_sum(struct lift *l, const struct x86_operand *o, int64_t disp)
{
    ir_value sum = IR_NO_VALUE;

    if (o->base == X86_BASE_RIP)
        return ir_addr(B, (uint64_t)o->disp);
    if (o->base >= 0)
        sum = ir_get(B, X86_S_RAX + o->base);
    if (o->index >= 0) {
        ir_value index = ir_get(B, X86_S_RAX + o->index);
        unsigned shift = o->scale == 8 ? 3 : o->scale == 4 ? 2 : o->scale == 2 ? 1 : 0;

        index = ir_op2(B, IR_SHL64, index, ir_const64(B, shift));
        sum = sum == IR_NO_VALUE ? index : ir_op2(B, IR_ADD64, sum, index);
    }
    if (sum == IR_NO_VALUE)
        return ir_const64(B, (uint64_t)disp);
    return ir_op2(B, IR_ADD64, sum, ir_const64(B, (uint64_t)disp));
}

ir_value
lift_effective_address(struct lift *l, const struct x86_operand *o)
{
    ir_value sum = address_sum(l, o, o->disp);

    if (l->insn->address_size == 4)
        sum = ir_op2(B, IR_AND64, sum, ir_const64(B, UINT32_MAX));
    return sum;
}

static ir_value
add_segment(struct lift *l, const struct x86_operand *o, ir_value sum)
{
    if (o->seg == X86_SEG_FS)
        return ir_op2(B, IR_ADD64, ir_get(B, X86_S_FSBASE), sum);
    if (o->seg == X86_SEG_GS)
        return ir_op2(B, IR_ADD64, ir_get(B, X86_S_GSBASE), sum);
    return sum;
}

ir_value
lift_address(struct lift *l, const struct x86_operand *o)
{
    return add_segment(l, o, lift_effective_address(l, o));
}

ir_value
lift_address32(struct lift *l, const struct x86_operand *o, uint32_t *offset)
{
    *offset = 0;
    if (l->insn->address_size == 8 && o->base != X86_BASE_RIP && o->disp > 0 && o->disp <= 0xffff &&
        (o->base >= 0 || o->index >= 0 || o->seg == X86_SEG_FS || o->seg == X86_SEG_GS)) {
        *offset = (uint32_t)o->disp;
        return ir_op1(B, IR_WRAP, add_segment(l, o, address_sum(l, o, 0)));
    }
    return ir_op1(B, IR_WRAP, lift_address(l, o));
}

/* --- memory --- */

ir_value
lift_load_at(struct lift *l, ir_value address, uint32_t offset, unsigned size)
{
    unsigned op = size == 1 ? IR_LOAD8U32 : size == 2 ? IR_LOAD16U32 : size == 4 ? IR_LOAD32 : IR_LOAD64;

    return ir_load(B, op, address, offset);
}

void
lift_store_at(struct lift *l, ir_value address, uint32_t offset, unsigned size, ir_value v)
{
    unsigned op = size == 1 ? IR_STORE8 : size == 2 ? IR_STORE16 : size == 4 ? IR_STORE32 : IR_STORE64;

    ir_store(B, op, address, offset, v);
}

ir_value
lift_load(struct lift *l, const struct x86_operand *o, unsigned size)
{
    uint32_t offset;
    ir_value address = lift_address32(l, o, &offset);

    return lift_load_at(l, address, offset, size);
}

void
lift_store(struct lift *l, const struct x86_operand *o, unsigned size, ir_value v)
{
    uint32_t offset;
    ir_value address = lift_address32(l, o, &offset);

    lift_store_at(l, address, offset, size, v);
}

/* --- operands --- */

/* What Linux puts into the segment registers of a 64-bit process. */
static uint64_t
selector(unsigned reg)
{
    return reg == X86_SEG_CS ? 0x33 : reg == X86_SEG_SS ? 0x2b : 0;
}

ir_value
lift_read(struct lift *l, const struct x86_operand *o)
{
    unsigned size = o->size <= 8 && o->size != 0 ? o->size : 8;

    switch (o->kind) {
    case X86_OPD_REG:
        if (o->reg_class == X86_RC_GPR_HIGH)
            return read_high(l, o->reg);
        if (o->reg_class == X86_RC_SEG)
            return lift_const(l, size, selector(o->reg));
        return lift_read_gpr(l, o->reg, size);
    case X86_OPD_MEM: return lift_load(l, o, size);
    default: return lift_const(l, size, (uint64_t)o->imm);
    }
}

ir_value
lift_source(struct lift *l, const struct x86_operand *o, unsigned size)
{
    if (o->kind == X86_OPD_IMM)
        return lift_const(l, size, (uint64_t)o->imm);
    return lift_read(l, o);
}

ir_value
lift_read_signed(struct lift *l, const struct x86_operand *o)
{
    uint32_t offset;
    ir_value address;

    if (o->kind == X86_OPD_MEM && o->size < 4) {
        address = lift_address32(l, o, &offset);
        return ir_load(B, o->size == 1 ? IR_LOAD8S32 : IR_LOAD16S32, address, offset);
    }
    return lift_sign_extend(l, o->size, lift_read(l, o));
}

void
lift_write(struct lift *l, const struct x86_operand *o, ir_value v)
{
    if (o->kind == X86_OPD_MEM)
        lift_store(l, o, o->size, v);
    else if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR_HIGH)
        write_high(l, o->reg, v);
    else if (o->kind == X86_OPD_REG && o->reg_class == X86_RC_GPR)
        lift_write_gpr(l, o->reg, o->size, v);
}

/* --- xmm --- */

ir_value
lift_xmm(struct lift *l, unsigned reg)
{
    return ir_get(B, X86_S_XMM0 + (reg & 15));
}

void
lift_set_xmm(struct lift *l, unsigned reg, ir_value v)
{
    if (l->lane)
        l->lane->result = v;
    else
        ir_set(B, X86_S_XMM0 + (reg & 15), v);
}

ir_value
lift_read_f64(struct lift *l, const struct x86_operand *o)
{
    uint32_t offset;
    ir_value address;

    if (o->kind != X86_OPD_MEM)
        return ir_op_aux(B, IR_F64X2_EXTRACT, 0, lift_xmm(l, o->reg), IR_NO_VALUE, IR_NO_VALUE);
    address = lift_address32(l, o, &offset);
    return ir_load(B, IR_LOADF64, address, offset);
}

ir_value
lift_read_f32(struct lift *l, const struct x86_operand *o)
{
    uint32_t offset;
    ir_value address;

    if (o->kind != X86_OPD_MEM)
        return ir_op_aux(B, IR_F32X4_EXTRACT, 0, lift_xmm(l, o->reg), IR_NO_VALUE, IR_NO_VALUE);
    address = lift_address32(l, o, &offset);
    return ir_load(B, IR_LOADF32, address, offset);
}
