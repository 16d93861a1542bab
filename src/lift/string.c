/* The lifters of string instructions. Without rep such an instruction is a few operations of IR; with it a helper does
 * all the repeats (src/x86/helpers_int.c). */
#include "lift/lift_internal.h"

#define B      (l->b)
#define OPD(i) (&l->insn->operand[i])

static bool
repeated(const struct lift *l)
{
    return l->insn->rep || l->insn->repne;
}

/* How far an index register moves for one element: its size, or with DF its negative size. */
static ir_value
step(struct lift *l)
{
    uint64_t size = l->insn->opsize;

    return ir_op3(B, IR_SELECT64, ir_const64(B, -size), ir_const64(B, size), lift_get_flag(l, X86_FLAG_DF));
}

static void
advance(struct lift *l, unsigned reg, ir_value by)
{
    ir_value v = ir_op2(B, IR_ADD64, ir_get(B, X86_S_RAX + reg), by);

    if (l->insn->address_size == 4)
        v = ir_op2(B, IR_AND64, v, ir_const64(B, UINT32_MAX));
    ir_set(B, X86_S_RAX + reg, v);
}

static ir_value
count_register(struct lift *l)
{
    return lift_to64(l, l->insn->address_size, lift_read_gpr(l, X86_RCX, l->insn->address_size));
}

/* Sets rcx as it is after n elements. With 32-bit addresses ecx is written, which clears the upper half of rcx. When
 * ecx was zero, some processors clear the upper half all the same, and others leave it, as this does. */
static void
use_count(struct lift *l, ir_value count, ir_value n)
{
    ir_value left = ir_op2(B, IR_SUB64, count, n);

    if (l->insn->address_size == 4)
        left = ir_op3(B, IR_SELECT64, ir_get(B, X86_S_RCX), left, ir_op1(B, IR_EQZ64, count));
    ir_set(B, X86_S_RCX, left);
}

static void
advance_by_count(struct lift *l, unsigned reg, ir_value n)
{
    ir_value by = ir_op2(B, IR_MUL64, n, step(l));

    if (l->insn->address_size == 4) {
        ir_value before = ir_get(B, X86_S_RAX + reg);

        advance(l, reg, by);
        ir_set(B, X86_S_RAX + reg, ir_op3(B, IR_SELECT64, before, ir_get(B, X86_S_RAX + reg), ir_op1(B, IR_EQZ64, n)));
        return;
    }
    advance(l, reg, by);
}

static ir_value
wrapped(struct lift *l, const struct x86_operand *o)
{
    return ir_op1(B, IR_WRAP, lift_address(l, o));
}

/* What tells the helpers how to go on: size | DF << 8 | repne << 9 (helpers.def). */
static ir_value
control(struct lift *l)
{
    ir_value df = ir_op2(B, IR_SHL32, lift_get_flag(l, X86_FLAG_DF), ir_const32(B, 8));

    return ir_op2(B, IR_OR32, df, ir_const32(B, l->insn->opsize | (l->insn->repne ? 1u << 9 : 0)));
}

static ir_value
pair(struct lift *l, ir_value low, ir_value high)
{
    high = ir_op2(B, IR_SHL64, ir_op1(B, IR_EXTU, high), ir_const64(B, 32));
    return ir_op2(B, IR_OR64, ir_op1(B, IR_EXTU, low), high);
}

void
lift_movs(struct lift *l)
{
    unsigned size = l->insn->opsize;
    ir_value to = wrapped(l, OPD(0)), from = wrapped(l, OPD(1));

    if (repeated(l)) {
        ir_value count = count_register(l);

        ir_helper(B, IR_HELPER_rep_movs, pair(l, to, from), count, control(l));
        advance_by_count(l, X86_RSI, count);
        advance_by_count(l, X86_RDI, count);
        use_count(l, count, count);
        return;
    }
    lift_store_at(l, to, 0, size, lift_load_at(l, from, 0, size));
    advance(l, X86_RSI, step(l));
    advance(l, X86_RDI, step(l));
}

void
lift_stos(struct lift *l)
{
    unsigned size = l->insn->opsize;
    ir_value to = wrapped(l, OPD(0));

    if (repeated(l)) {
        ir_value count = count_register(l);

        ir_helper(B, IR_HELPER_rep_stos, pair(l, to, control(l)), count, ir_get(B, X86_S_RAX));
        advance_by_count(l, X86_RDI, count);
        use_count(l, count, count);
        return;
    }
    lift_store_at(l, to, 0, size, lift_read_gpr(l, X86_RAX, size));
    advance(l, X86_RDI, step(l));
}

void
lift_lods(struct lift *l)
{
    unsigned size = l->insn->opsize;
    ir_value from = wrapped(l, OPD(1));

    if (repeated(l)) {
        ir_value count = count_register(l), rax = ir_get(B, X86_S_RAX), v;

        v = ir_helper(B, IR_HELPER_rep_lods, pair(l, from, control(l)), count, rax);
        lift_write_gpr(l, X86_RAX, size, lift_from64(l, size, v));
        ir_set(B, X86_S_RAX, ir_op3(B, IR_SELECT64, rax, ir_get(B, X86_S_RAX), ir_op1(B, IR_EQZ64, count)));
        advance_by_count(l, X86_RSI, count);
        use_count(l, count, count);
        return;
    }
    lift_write_gpr(l, X86_RAX, size, lift_load_at(l, from, 0, size));
    advance(l, X86_RSI, step(l));
}

/* Sets the flags by the last comparison, of a and b. When the count was zero, none was made, and the flags stay. */
static void
compare(struct lift *l, ir_value a, ir_value b, ir_value count)
{
    unsigned size = l->insn->opsize;
    ir_value old[X86_FLAG_OF + 1], nothing;

    if (count == IR_NO_VALUE) {
        lift_flags_sub(l, size, a, b, lift_narrow(l, size, LIFT_OP2(l, size, SUB, a, b)));
        return;
    }
    nothing = ir_op1(B, IR_EQZ64, count);
    for (unsigned i = 0; i <= X86_FLAG_OF; i++)
        old[i] = lift_get_flag(l, i);
    lift_flags_sub(l, size, a, b, lift_narrow(l, size, LIFT_OP2(l, size, SUB, a, b)));
    for (unsigned i = 0; i <= X86_FLAG_OF; i++)
        lift_set_flag(l, i, ir_op3(B, IR_SELECT32, old[i], lift_get_flag(l, i), nothing));
}

void
lift_cmps(struct lift *l)
{
    unsigned size = l->insn->opsize;
    ir_value left = wrapped(l, OPD(0)), right = wrapped(l, OPD(1)), a, b;

    if (repeated(l)) {
        ir_value count = count_register(l), n;

        n = ir_helper(B, IR_HELPER_rep_cmps, pair(l, right, left), count, control(l));
        a = lift_from64(l, size, ir_get(B, X86_S_TMP0));
        b = lift_from64(l, size, ir_get(B, X86_S_TMP1));
        advance_by_count(l, X86_RSI, n);
        advance_by_count(l, X86_RDI, n);
        compare(l, a, b, count);
        use_count(l, count, n);
        return;
    }
    a = lift_load_at(l, left, 0, size);
    b = lift_load_at(l, right, 0, size);
    advance(l, X86_RSI, step(l));
    advance(l, X86_RDI, step(l));
    compare(l, a, b, IR_NO_VALUE);
}

void
lift_scas(struct lift *l)
{
    unsigned size = l->insn->opsize;
    ir_value at = wrapped(l, OPD(1)), a = lift_read_gpr(l, X86_RAX, size), b;

    if (repeated(l)) {
        ir_value count = count_register(l), n;

        n = ir_helper(B, IR_HELPER_rep_scas, pair(l, at, control(l)), count, ir_get(B, X86_S_RAX));
        b = lift_from64(l, size, ir_get(B, X86_S_TMP0));
        advance_by_count(l, X86_RDI, n);
        compare(l, a, b, count);
        use_count(l, count, n);
        return;
    }
    b = lift_load_at(l, at, 0, size);
    advance(l, X86_RDI, step(l));
    compare(l, a, b, IR_NO_VALUE);
}
