/* The lifters of moves, extensions, conditional moves and lea. */
#include "lift/lift_internal.h"

#define B   (l->b)
#define DST (&l->insn->operand[0])
#define SRC (&l->insn->operand[1])

void
lift_mov(struct lift *l)
{
    if (DST->kind == X86_OPD_REG && DST->reg_class == X86_RC_SEG) {
        lift_end_trap(l, IR_TRAP_UNLIFTED); /* It has no lifter: no 64-bit Linux program loads selectors. */
        return;
    }
    /* mov r/m, sreg zero-extends the selector when the destination is a register of 32 or 64 bits. */
    if (SRC->kind == X86_OPD_REG && SRC->reg_class == X86_RC_SEG) {
        ir_value v = lift_read(l, SRC);

        lift_write(l, DST, SRC->size != 8 && DST->size == 8 ? ir_op1(B, IR_EXTU, v) : v);
        return;
    }
    lift_write(l, DST, lift_source(l, SRC, DST->size));
}

void
lift_movnti(struct lift *l)
{
    lift_mov(l);
}

void
lift_movzx(struct lift *l)
{
    ir_value v = lift_read(l, SRC);

    lift_write(l, DST, DST->size == 8 ? ir_op1(B, IR_EXTU, v) : v);
}

void
lift_movsx(struct lift *l)
{
    ir_value v = lift_read_signed(l, SRC);

    if (DST->size == 8)
        v = ir_op1(B, IR_EXTS, v);
    lift_write(l, DST, lift_narrow(l, DST->size, v));
}

void
lift_movsxd(struct lift *l)
{
    uint32_t offset;
    ir_value address;

    if (DST->size != 8) {
        lift_write(l, DST, lift_read(l, SRC));
    } else if (SRC->kind == X86_OPD_MEM) {
        address = lift_address32(l, SRC, &offset);
        lift_write(l, DST, ir_load(B, IR_LOAD32S64, address, offset));
    } else {
        lift_write(l, DST, ir_op1(B, IR_EXTS, lift_read(l, SRC)));
    }
}

void
lift_lea(struct lift *l)
{
    lift_write(l, DST, lift_from64(l, DST->size, lift_effective_address(l, SRC)));
}

/* Even when the condition is false, a 32-bit destination is zero-extended and a source in memory is read. */
void
lift_cmovcc(struct lift *l)
{
    ir_value v = lift_read(l, SRC), old = lift_read(l, DST);

    lift_write(l, DST, LIFT_SELECT(l, DST->size, v, old, lift_condition(l, l->insn->cc)));
}

void
lift_setcc(struct lift *l)
{
    lift_write(l, DST, lift_condition(l, l->insn->cc));
}

/* Lifts cbw, cwde and cdqe, which extend al, ax or eax within rax. */
void
lift_cbw(struct lift *l)
{
    unsigned size = l->insn->opsize;

    if (size == 8)
        ir_set(B, X86_S_RAX, ir_op1(B, IR_EXTS, lift_read_gpr(l, X86_RAX, 4)));
    else if (size == 4)
        lift_write_gpr(l, X86_RAX, 4, ir_op1(B, IR_EXT16S32, lift_read_gpr(l, X86_RAX, 2)));
    else
        lift_write_gpr(l, X86_RAX, 2, lift_narrow(l, 2, ir_op1(B, IR_EXT8S32, lift_read_gpr(l, X86_RAX, 1))));
}

/* Lifts cwd, cdq and cqo, which fill dx, edx or rdx with the sign of ax, eax or rax. */
void
lift_cwd(struct lift *l)
{
    unsigned size = l->insn->opsize;
    ir_value v = lift_sign_extend(l, size, lift_read_gpr(l, X86_RAX, size));

    v = LIFT_OP2(l, size, SHRS, v, lift_const(l, size == 8 ? 8 : 4, size == 8 ? 63 : 31));
    lift_write_gpr(l, X86_RDX, size, lift_narrow(l, size, v));
}

void
lift_xlat(struct lift *l)
{
    const struct x86_operand *o = &l->insn->operand[0];
    ir_value address = ir_op2(B, IR_ADD64, ir_get(B, X86_S_RBX), ir_op1(B, IR_EXTU, lift_read_gpr(l, X86_RAX, 1)));

    if (l->insn->address_size == 4)
        address = ir_op2(B, IR_AND64, address, ir_const64(B, UINT32_MAX));
    if (l->insn->operand_count != 0 && (o->seg == X86_SEG_FS || o->seg == X86_SEG_GS))
        address = ir_op2(B, IR_ADD64, address, ir_get(B, o->seg == X86_SEG_FS ? X86_S_FSBASE : X86_S_GSBASE));
    lift_write_gpr(l, X86_RAX, 1, lift_load_at(l, ir_op1(B, IR_WRAP, address), 0, 1));
}
