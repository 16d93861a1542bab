/* MMX mode. The MMX registers are the mantissas of the physical x87 registers, and every MMX instruction changes the
 * x87 state, too (SDM vol. 1, 9.5): TOP becomes 0, all tags become valid, and the exponent of a register that is
 * written becomes all ones. A helper does that. */
#include "lift/simd.h"

/* Calls the helper, unless this block has called it for the register that this instruction writes, and no helper that
 * may touch the x87 state was called since then. */
void
mmx_enter(struct lift *l)
{
    const struct x86_operand *o = &l->insn->operand[0];
    bool writes = o->kind == X86_OPD_REG && o->reg_class == X86_RC_MMX && (o->access & 2);
    uint64_t mask = writes ? 1u << (o->reg & 7) : 0;
    uint64_t done = 0, m;
    for (size_t n = l->b->f->ops.count; n > l->b->block->first_op; n--) {
        const struct ir_op *op = &l->b->f->ops.items[n - 1];
        if (op->op != IR_HELPER || !(ir_helper_infos[op->aux].flags & IR_HELPER_CPU))
            continue;
        if (op->aux != IR_HELPER_mmx_enter || !ir_is_const(l->b, op->a, &m))
            break;
        done |= m;
        if (!(mask & ~done))
            return;
    }
    ir_helper(l->b, IR_HELPER_mmx_enter, ir_const32(l->b, (uint32_t)mask), simd_pc(l), IR_NO_VALUE);
}

ir_value
mmx_get(struct lift *l, unsigned reg)
{
    mmx_enter(l);
    return ir_get(l->b, X86_S_MM0 + (reg & 7));
}

void
mmx_set(struct lift *l, unsigned reg, ir_value v)
{
    mmx_enter(l);
    ir_set(l->b, X86_S_MM0 + (reg & 7), v);
}

void
lift_emms(struct lift *l)
{
    ir_helper(l->b, IR_HELPER_emms, simd_pc(l), IR_NO_VALUE, IR_NO_VALUE);
}
