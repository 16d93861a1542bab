/* The IR as text. */
#include "ir/ir.h"

#include <inttypes.h>

static const char *const type_names[] = {"v", "i32", "i64", "f32", "f64", "v128"};

static const char *const end_names[] = {
    "none", "jump", "branch", "switch", "jump_indirect", "call", "call_indirect", "return", "syscall", "trap",
};

static void
print_op(const struct ir_func *f, ir_value v, FILE *out)
{
    const struct ir_op *op = &f->ops.items[v];
    const struct ir_op_info *info = &ir_op_infos[op->op];
    unsigned type = ir_type_of(f, v);

    fprintf(out, "    ");
    if (type != IR_V)
        fprintf(out, "%%%u:%s = ", v, type_names[type]);
    fprintf(out, "%s", info->name);
    if (op->op == IR_GET || op->op == IR_SET)
        fprintf(out, " %s", ir_state_infos[op->aux].name);
    else if (op->op == IR_HELPER)
        fprintf(out, " %s", ir_helper_infos[op->aux].name);
    else if (op->aux != 0)
        fprintf(out, ".%u", op->aux);
    if (op->a != IR_NO_VALUE)
        fprintf(out, " %%%u", op->a);
    if (op->b != IR_NO_VALUE)
        fprintf(out, " %%%u", op->b);
    if (op->c != IR_NO_VALUE)
        fprintf(out, " %%%u", op->c);
    if (op->op <= IR_ADDR || op->imm != 0)
        fprintf(out, " #%#" PRIx64, op->imm);
    if (op->op == IR_CONSTV || op->imm2 != 0)
        fprintf(out, ":%#" PRIx64, op->imm2);
    fputc('\n', out);
}

static void
print_end(const struct ir_terminator *t, FILE *out)
{
    fprintf(out, "    %s", t->kind <= IR_T_TRAP ? end_names[t->kind] : "?");
    if (ir_terminator_type(t->kind) != IR_V)
        fprintf(out, " %%%u", t->value);
    switch (t->kind) {
    case IR_T_JUMP:
    case IR_T_BRANCH:
    case IR_T_CALL: fprintf(out, " %#" PRIx64, t->target); break;
    case IR_T_SWITCH:
        fprintf(out, " [");
        for (uint32_t i = 0; i < t->target_count; i++)
            fprintf(out, "%s%#" PRIx64, i ? " " : "", t->targets[i]);
        fprintf(out, "]");
        if (t->next == IR_NO_ADDRESS)
            fprintf(out, " else jump_indirect %%%u", t->indirect);
        break;
    case IR_T_TRAP: fprintf(out, " %u at %#" PRIx64, t->trap, t->target); break;
    default: break;
    }
    if ((t->kind == IR_T_BRANCH || t->kind == IR_T_SWITCH || t->kind == IR_T_CALL || t->kind == IR_T_CALL_INDIRECT ||
         t->kind == IR_T_SYSCALL) &&
        t->next != IR_NO_ADDRESS)
        fprintf(out, " next %#" PRIx64, t->next);
    fputc('\n', out);
}

void
ir_print(const struct ir_func *f, FILE *out)
{
    fprintf(out, "function %#" PRIx64 "\n", f->address);
    for (size_t i = 0; i < f->blocks.count; i++) {
        const struct ir_block *block = &f->blocks.items[i];

        fprintf(out, "  block %#" PRIx64 "%s size %u insns %u\n", block->address, block->entry ? " entry" : "",
                block->size, block->insn_count);
        for (ir_value v = block->first_op; v < block->first_op + block->op_count; v++)
            print_op(f, v, out);
        print_end(&block->end, out);
    }
}
