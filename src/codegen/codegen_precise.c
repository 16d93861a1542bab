/* Precise faults: after each access to memory a call of intrinsic.fault_state tells in which values the general
 * registers were before it; aot makes a map of that, from host code to the places of these values, and no instructions.
 * All else (vectors, flags somebody reads) goes to its globals before the access. A helper that touches memory finds
 * everything in globals, and the address of the instruction in cpu.rip. */
#include "codegen/codegen_internal.h"

bool
gen_shows_state(const struct gen *g, const struct ir_op *op)
{
    return g->o->precise_faults && ir_op_accesses(op);
}

ir_states
gen_shown_states(const struct ir_op *op)
{
    return op->op == IR_HELPER ? IR_STATES_ALL : IR_STATES_ALL & ~IR_STATES_GENERAL;
}

void
gen_show_state(struct gen *g, const struct ir_op *op)
{
    if (!gen_shows_state(g, op))
        return;
    gen_flush(g, g->dirty & gen_shown_states(op));
    g->dirty &= ~gen_shown_states(op);
    if (op->op != IR_HELPER)
        return;
    gen_flush_promoted(g);
    gen_address(g, g->pc);
    code_global(&g->code, W_GLOBAL_SET, X86_S_RIP);
}

void
gen_fault_state(struct gen *g)
{
    ir_states mask = g->dirty & IR_STATES_GENERAL;

    if (!g->o->precise_faults)
        return;
    for (unsigned i = 0; i < PROMOTED_COUNT; i++)
        mask |= IR_STATE_BIT(gen_promoted[i]);
    code_i64_const(&g->code, g->pc);
    code_i64_const(&g->code, (uint64_t)(mask >> X86_S_RAX));
    for (unsigned s = X86_S_RAX; s <= X86_S_R15; s++) {
        if (mask & IR_STATE_BIT(s))
            code_op_index(&g->code, W_LOCAL_GET, gen_state_local(g, s));
        else
            code_i64_const(&g->code, 0);
    }
    code_call_import(&g->code, W_CALL, WASM_IMPORT_FAULT_STATE);
}
