/* The verifier: run after each pass in debug builds and by tests. */
#include "ir/ir.h"

#include <inttypes.h>

static const uint8_t lane_count[][2] = {
    {IR_I8X16_EXTRACT_U - IR_I8X16_EXTRACT_U, 16}, {IR_I8X16_REPLACE - IR_I8X16_EXTRACT_U, 16},
    {IR_I16X8_EXTRACT_U - IR_I8X16_EXTRACT_U, 8},  {IR_I16X8_REPLACE - IR_I8X16_EXTRACT_U, 8},
    {IR_I32X4_EXTRACT - IR_I8X16_EXTRACT_U, 4},    {IR_I32X4_REPLACE - IR_I8X16_EXTRACT_U, 4},
    {IR_I64X2_EXTRACT - IR_I8X16_EXTRACT_U, 2},    {IR_I64X2_REPLACE - IR_I8X16_EXTRACT_U, 2},
    {IR_F32X4_EXTRACT - IR_I8X16_EXTRACT_U, 4},    {IR_F32X4_REPLACE - IR_I8X16_EXTRACT_U, 4},
    {IR_F64X2_EXTRACT - IR_I8X16_EXTRACT_U, 2},    {IR_F64X2_REPLACE - IR_I8X16_EXTRACT_U, 2},
};

static const char *
check_aux(const struct ir_op *op)
{
    if ((op->op == IR_GET || op->op == IR_SET) && op->aux >= X86_S_COUNT)
        return "no such state";
    if (op->op == IR_HELPER && op->aux >= IR_HELPER_COUNT)
        return "no such helper";
    if (op->op == IR_ATOMIC_CMPXCHG16)
        return op->aux == 16 ? NULL : "bad atomic size";
    if (op->op >= IR_ATOMIC_ADD && op->op <= IR_ATOMIC_CMPXCHG && op->aux != 1 && op->aux != 2 && op->aux != 4 &&
        op->aux != 8)
        return "bad atomic size";
    if (op->op >= IR_I8X16_EXTRACT_U && op->op <= IR_F64X2_REPLACE &&
        op->aux >= lane_count[op->op - IR_I8X16_EXTRACT_U][1])
        return "no such lane";
    if (((op->op >= IR_LOAD8U32 && op->op <= IR_STOREF64) || (op->op >= IR_V128_LOAD && op->op <= IR_V128_STORE)) &&
        op->imm > 0xffff)
        return "static offset too large";
    if ((op->op == IR_V128_LOAD || op->op == IR_V128_STORE) && op->aux != 0 && op->aux != 16)
        return "bad alignment";
    if (op->op >= IR_HOST_FIRST && op->aux > UINT8_MAX)
        return "immediate too wide";
    if (op->op == IR_CONST32 && op->imm > UINT32_MAX)
        return "i32 constant too wide";
    if (op->op == IR_I8X16_SHUFFLE && ((op->imm | op->imm2) & UINT64_C(0xe0e0e0e0e0e0e0e0)) != 0)
        return "no such shuffle lane";
    return NULL;
}

static const char *
check_operand(const struct ir_func *f, const struct ir_block *block, ir_value at, ir_value v, unsigned type)
{
    if (type == IR_V)
        return v == IR_NO_VALUE ? NULL : "an operand too many";
    if (v == IR_NO_VALUE)
        return "an operand is missing";
    if (v < block->first_op || v >= at)
        return "an operand is not defined before in the block";
    if (ir_type_of(f, v) != type)
        return "an operand has the wrong type";
    return NULL;
}

static const char *
check_op(const struct ir_func *f, const struct ir_block *block, ir_value at)
{
    const struct ir_op *op = &f->ops.items[at];
    const char *what;
    unsigned a, b, c;

    if (op->op >= IR_OP_COUNT)
        return "no such operation";
    what = check_aux(op);
    if (what != NULL)
        return what;
    a = ir_op_infos[op->op].a;
    b = ir_op_infos[op->op].b;
    c = ir_op_infos[op->op].c;
    if (op->op == IR_SET)
        a = ir_state_infos[op->aux].type;
    if (op->op == IR_HELPER) {
        a = ir_helper_infos[op->aux].a;
        b = ir_helper_infos[op->aux].b;
        c = ir_helper_infos[op->aux].c;
    }
    what = check_operand(f, block, at, op->a, a);
    if (what == NULL)
        what = check_operand(f, block, at, op->b, b);
    return what != NULL ? what : check_operand(f, block, at, op->c, c);
}

static const char *
check_end(const struct ir_func *f, const struct ir_block *block)
{
    const struct ir_terminator *t = &block->end;
    ir_value end = block->first_op + block->op_count;
    enum ir_type type = ir_terminator_type(t->kind);
    const char *what;

    if (t->kind == IR_T_NONE || t->kind > IR_T_TRAP)
        return "no terminator";
    if (type != IR_V) {
        what = check_operand(f, block, end, t->value, type);
        if (what != NULL)
            return what;
    }
    if (t->kind == IR_T_SWITCH) {
        if (t->target_count != 0 && t->targets == NULL)
            return "a switch without targets";
        if (t->next == IR_NO_ADDRESS)
            return check_operand(f, block, end, t->indirect, IR_I64);
    }
    return NULL;
}

int
ir_verify(const struct ir_func *f, struct err *e)
{
    for (size_t i = 0; i < f->blocks.count; i++) {
        const struct ir_block *block = &f->blocks.items[i];
        const char *what;

        if (block->first_op > f->ops.count || block->op_count > f->ops.count - block->first_op)
            return err_set(e, "block %#" PRIx64 ": operations out of range", block->address);
        for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++) {
            what = check_op(f, block, v);
            if (what != NULL)
                return err_set(e, "block %#" PRIx64 ": %%%u %s: %s", block->address, v,
                               f->ops.items[v].op < IR_OP_COUNT ? ir_op_infos[f->ops.items[v].op].name : "?", what);
        }
        what = check_end(f, block);
        if (what != NULL)
            return err_set(e, "block %#" PRIx64 ": terminator: %s", block->address, what);
    }
    return 0;
}
