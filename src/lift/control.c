/* The lifters of the instructions that end a block: jumps, calls, returns, loops and system calls. */
#include "lift/lift_internal.h"

#define B (l->b)

static struct ir_terminator *
end(struct lift *l, enum ir_terminator_kind kind)
{
    l->done = true;
    l->end = (struct ir_terminator){
        .kind = kind,
        .value = IR_NO_VALUE,
        .indirect = IR_NO_VALUE,
        .target = IR_NO_ADDRESS,
        .next = IR_NO_ADDRESS,
    };
    return &l->end;
}

void
lift_end_trap(struct lift *l, unsigned trap)
{
    struct ir_terminator *t = end(l, IR_T_TRAP);

    t->trap = (uint16_t)trap;
    t->target = l->insn->address;
}

void
lift_end_jump(struct lift *l, uint64_t target)
{
    end(l, IR_T_JUMP)->target = target;
}

/* v without a double negation. The result may be another number than 1 where v is 1, but a branch only asks whether it
 * is 0. */
static ir_value
truth(struct lift *l, ir_value v)
{
    const struct ir_op *op = ir_def(B, v);

    if (op->op == IR_EQZ32 && ir_def(B, op->a)->op == IR_EQZ32)
        return ir_def(B, op->a)->a;
    return v;
}

static void
end_branch(struct lift *l, ir_value condition)
{
    struct ir_terminator *t;

    if ((uint64_t)l->insn->operand[0].imm == l->next) {
        lift_end_jump(l, l->next);
        return;
    }
    t = end(l, IR_T_BRANCH);
    t->value = truth(l, condition);
    t->target = (uint64_t)l->insn->operand[0].imm;
    t->next = l->next;
}

/* --- stack --- */

void
lift_push(struct lift *l, unsigned size, ir_value v)
{
    ir_value sp = ir_op2(B, IR_SUB64, ir_get(B, X86_S_RSP), ir_const64(B, size));

    lift_store_at(l, ir_op1(B, IR_WRAP, sp), 0, size, v);
    ir_set(B, X86_S_RSP, sp);
}

ir_value
lift_pop(struct lift *l, unsigned size)
{
    ir_value sp = ir_get(B, X86_S_RSP);
    ir_value v = lift_load_at(l, ir_op1(B, IR_WRAP, sp), 0, size);

    ir_set(B, X86_S_RSP, ir_op2(B, IR_ADD64, sp, ir_const64(B, size)));
    return v;
}

/* --- jumps --- */

/* The index of the table as an i32. It becomes UINT32_MAX, which is in no table, when it has more than 32 bits or a
 * guard does not hold. */
static ir_value
switch_value(struct lift *l, const struct lift_table_match *m)
{
    const struct ir_op *op = ir_def(B, m->index);
    ir_value v, ok = IR_NO_VALUE;

    if (op->op == IR_EXTU) {
        v = op->a;
    } else {
        v = ir_op1(B, IR_WRAP, m->index);
        ok = ir_op1(B, IR_EQZ64, ir_op2(B, IR_SHRU64, m->index, ir_const64(B, 32)));
    }
    for (unsigned i = 0; i < m->guard_count; i++) {
        uint64_t c = m->guards[i].constant;
        ir_value same = ir_op2(B, IR_EQ64, m->guards[i].value, m->guards[i].image ? ir_addr(B, c) : ir_const64(B, c));

        ok = ok == IR_NO_VALUE ? same : ir_op2(B, IR_AND32, ok, same);
    }
    return ok == IR_NO_VALUE ? v : ir_op3(B, IR_SELECT32, v, ir_const32(B, UINT32_MAX), ok);
}

static bool
end_switch(struct lift *l, ir_value target)
{
    const struct lift_jump_table *table = l->request->jump_table;
    struct lift_table_match match;
    struct ir_terminator *t;
    ir_value v;

    if (table == NULL || table->count == 0 || table->insn_address != l->insn->address ||
        !lift_match_table(B->f, target, table, &match))
        return false;
    v = switch_value(l, &match);
    t = end(l, IR_T_SWITCH);
    t->value = v;
    t->indirect = target;
    t->target_count = table->count;
    t->targets = arena_copy(&B->f->arena, table->targets, table->count * sizeof *table->targets);
    return true;
}

void
lift_jmp(struct lift *l)
{
    ir_value v;

    if (l->insn->operand[0].kind == X86_OPD_REL) {
        lift_end_jump(l, (uint64_t)l->insn->operand[0].imm);
        return;
    }
    v = lift_to64(l, l->insn->operand[0].size, lift_read(l, &l->insn->operand[0]));
    if (!end_switch(l, v))
        end(l, IR_T_JUMP_INDIRECT)->value = v;
}

void
lift_jcc(struct lift *l)
{
    end_branch(l, lift_condition(l, l->insn->cc));
}

void
lift_call(struct lift *l)
{
    const struct x86_operand *o = &l->insn->operand[0];
    struct ir_terminator *t;
    ir_value v;

    if (o->kind == X86_OPD_REL) {
        lift_push(l, 8, ir_addr(B, l->next));
        if ((uint64_t)o->imm == l->next)
            return; /* Code that wants to know its own address does this. It is no call: nothing returns from it. */
        t = end(l, IR_T_CALL);
        t->target = (uint64_t)o->imm;
    } else {
        v = lift_to64(l, o->size, lift_read(l, o));
        lift_push(l, 8, ir_addr(B, l->next));
        t = end(l, IR_T_CALL_INDIRECT);
        t->value = v;
    }
    t->next = l->next;
}

void
lift_ret(struct lift *l)
{
    ir_value v = lift_pop(l, 8);

    if (l->insn->operand_count != 0) {
        ir_value sp = ir_get(B, X86_S_RSP);

        ir_set(B, X86_S_RSP, ir_op2(B, IR_ADD64, sp, ir_const64(B, (uint16_t)l->insn->operand[0].imm)));
    }
    end(l, IR_T_RETURN)->value = v;
}

/* --- loops counted in rcx, or ecx with the address-size prefix --- */

static ir_value
count_down(struct lift *l)
{
    unsigned size = l->insn->address_size;
    ir_value v = LIFT_OP2(l, size, SUB, lift_read_gpr(l, X86_RCX, size), lift_const(l, size, 1));

    lift_write_gpr(l, X86_RCX, size, v);
    return LIFT_OP2(l, size, NE, v, lift_const(l, size, 0));
}

void
lift_loop(struct lift *l)
{
    end_branch(l, count_down(l));
}

void
lift_loope(struct lift *l)
{
    ir_value more = count_down(l);

    end_branch(l, ir_op2(B, IR_AND32, more, lift_get_flag(l, X86_FLAG_ZF)));
}

void
lift_loopne(struct lift *l)
{
    ir_value more = count_down(l);

    end_branch(l, ir_op2(B, IR_AND32, more, ir_op1(B, IR_EQZ32, lift_get_flag(l, X86_FLAG_ZF))));
}

void
lift_jrcxz(struct lift *l)
{
    unsigned size = l->insn->address_size;

    end_branch(l, LIFT_OP1(l, size, EQZ, lift_read_gpr(l, X86_RCX, size)));
}

/* The vkernel reads the arguments of system calls from the registers. R11 gets a constant in place of RFLAGS. Linux
 * only promises that what it had is lost, and composing the true RFLAGS would mean that all flags had to be computed
 * before each system call. */
void
lift_syscall(struct lift *l)
{
    ir_set(B, X86_S_RCX, ir_addr(B, l->next));
    ir_set(B, X86_S_R11, ir_const64(B, 0x246));
    end(l, IR_T_SYSCALL)->next = l->next;
}
