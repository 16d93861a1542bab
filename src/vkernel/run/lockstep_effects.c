/* What an instruction's IR reads and writes, state by state. Reports follow a wrong value back by it to where the value
 * came from. */
#include "vkernel/run/lockstep_internal.h"
#include "vkernel/run/run.h"

#include <string.h>

#include "base/mem.h"
#include "eval/eval.h"

static struct ir_func func;
static struct ir_build build;
static bool have_build;

static bool
copies(const struct ir_op *op)
{
    switch (op->op) {
        /* clang-format off */
    case IR_GET: case IR_SET: case IR_CONST32: case IR_CONST64: case IR_ADDR: case IR_WRAP: case IR_EXTU: case IR_EXTS:
    case IR_EXT8S32: case IR_EXT16S32: case IR_EXT8S64: case IR_EXT16S64: case IR_EXT32S64:
    case IR_I32X4_EXTRACT: case IR_I64X2_EXTRACT: case IR_I32X4_REPLACE: case IR_I64X2_REPLACE:
        /* clang-format on */
        return true;
    default: return false;
    }
}

static void
helper_effects(struct effects *e, const struct ir_op *op, ir_states *depends, ir_states written_before[])
{
    ir_states reads = ir_helper_reads(op->aux), writes = ir_helper_writes(op->aux), all = *depends;

    if (ir_helper_infos[op->aux].flags & (IR_HELPER_STATE | IR_HELPER_CPU)) {
        reads |= IR_STATE_BIT(STATE_X87);
        writes |= IR_STATE_BIT(STATE_X87);
    }
    for (unsigned s = 0; s <= STATE_X87; s++)
        if (reads & IR_STATE_BIT(s))
            all |= e->written & IR_STATE_BIT(s) ? written_before[s] : IR_STATE_BIT(s);
    for (unsigned s = 0; s <= STATE_X87; s++)
        if (writes & IR_STATE_BIT(s))
            e->depends[s] = all;
    e->written |= writes;
    e->stores |= all;
    *depends = all;
}

void
effects_of(uint64_t address, struct effects *e)
{
    const struct ir_block *b;
    const uint8_t *bytes;
    uint64_t image_base;
    ir_states *depends;
    size_t left = 0;

    memset(e, 0, sizeof *e);
    bytes = run_fetch(NULL, address, &left, &image_base);
    if (!bytes)
        return;
    if (!have_build) {
        ir_func_init(&func, 0);
        ir_build_init(&build, &func);
        have_build = true;
    }
    b = eval_instruction_ir(&build, bytes, left < 16 ? left : 16, address - image_base);
    e->copies = true;
    depends = mem_zalloc(func.ops.count + 1, sizeof *depends);
    for (uint32_t v = b->first_op; v < b->first_op + b->op_count; v++) {
        const struct ir_op *op = &func.ops.items[v];
        const ir_value operands[] = {op->a, op->b, op->c};

        e->copies &= copies(op);

        for (unsigned i = 0; i < 3; i++)
            depends[v] |= operands[i] != IR_NO_VALUE ? depends[operands[i]] : 0;
        if (op->op == IR_GET) {
            depends[v] = e->written & IR_STATE_BIT(op->aux) ? e->depends[op->aux] : IR_STATE_BIT(op->aux);
        } else if (op->op == IR_SET) {
            e->written |= IR_STATE_BIT(op->aux);
            e->depends[op->aux] = depends[v];
        } else if (op->op == IR_HELPER) {
            helper_effects(e, op, &depends[v], e->depends);
        } else if (!ir_op_is_pure(op)) {
            e->stores |= depends[v];
        }
    }
    if (ir_terminator_type(b->end.kind) != IR_V && b->end.value != IR_NO_VALUE)
        e->control = depends[b->end.value];
    mem_free(depends);
}

ir_states
effects_needed_before(const struct effects *e, ir_states states)
{
    ir_states needed = states & ~e->written;

    for (ir_states set = states & e->written; set; set &= set - 1)
        needed |= e->depends[ir_first_state(set)];
    return needed;
}
