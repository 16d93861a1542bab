/* Leaving a function and coming back: calls, tail calls, system calls, polls, and the rule that whoever gets
 * back another pc than it expects returns it in turn (DESIGN D6). */
#include "wasm/codegen_internal.h"

uint32_t
gen_special_local(struct gen *g, uint32_t *local, unsigned ir_type)
{
    if (*local == 0)
        *local = gen_new_local(g, ir_type);
    return *local;
}

static uint32_t
pc_local(struct gen *g)
{
    return gen_special_local(g, &g->pc_local, IR_I64);
}

static uint32_t
target_local(struct gen *g)
{
    return gen_special_local(g, &g->target_local, IR_I64);
}

void
gen_push_promoted(struct gen *g)
{
    for (unsigned i = 0; i < PROMOTED_COUNT; i++)
        code_op_index(&g->code, W_LOCAL_GET, i);
}

void
gen_set_results(struct gen *g)
{
    code_op_index(&g->code, W_LOCAL_SET, pc_local(g));
    for (unsigned i = PROMOTED_COUNT; i-- > 0;)
        code_op_index(&g->code, W_LOCAL_SET, i);
}

/* A branch to the open scope with this index. */
void
gen_branch_depth(struct gen *g, unsigned opcode, uint32_t index)
{
    code_op_index(&g->code, opcode, g->scopes.count - 1 - index + g->extra_depth);
}

static void
begin_if(struct gen *g)
{
    code_op_index(&g->code, W_IF, W_VOID);
    g->extra_depth++;
}

static void
end_if(struct gen *g)
{
    code_op(&g->code, W_END);
    g->extra_depth--;
}

/* Returns (promoted, pc_local). */
static void
unwind(struct gen *g)
{
    gen_branch_depth(g, W_BR, 0);
}

void
gen_check_pc(struct gen *g, uint64_t next)
{
    code_op_index(&g->code, W_LOCAL_GET, pc_local(g));
    gen_address(g, next);
    code_op(&g->code, W_I64_NE);
    begin_if(g);
    gen_push_promoted(g);
    code_op_index(&g->code, W_LOCAL_GET, pc_local(g));
    code_op(&g->code, W_RETURN);
    end_if(g);
}

/* Pushes what a compiled entry takes and calls it. */
static void
call_entry(struct gen *g, const struct wasm_entry *entry, bool tail)
{
    const struct wasm_function *fn = &g->o->functions.items[entry->function];

    gen_push_promoted(g);
    if (fn->entry_count > 1)
        code_i64_const(&g->code, entry->selector);
    code_call(&g->code, tail ? W_RETURN_CALL : W_CALL, fn->index);
}

static void
come_back(struct gen *g, uint64_t next)
{
    gen_set_results(g);
    gen_check_pc(g, next);
}

void
gen_leave(struct gen *g, uint64_t address, uint64_t flush)
{
    const struct wasm_entry *entry = wasm_object_find(g->o, address);

    gen_flush(g, flush);
    if (entry != NULL) {
        call_entry(g, entry, true);
        return;
    }
    gen_address(g, address);
    code_op_index(&g->code, W_LOCAL_SET, pc_local(g));
    unwind(g);
}

void
gen_call(struct gen *g, uint64_t target, uint64_t next, bool tail)
{
    const struct wasm_entry *entry = wasm_object_find(g->o, target);

    if (entry != NULL) {
        call_entry(g, entry, tail);
    } else {
        gen_push_promoted(g);
        gen_address(g, target);
        code_call_import(&g->code, tail ? W_RETURN_CALL : W_CALL, WASM_IMPORT_ENTER);
    }
    if (!tail)
        come_back(g, next);
}

void
gen_call_indirect(struct gen *g, uint64_t next, bool tail)
{
    gen_push_promoted(g);
    code_op_index(&g->code, W_LOCAL_GET, target_local(g));
    code_call(&g->code, tail ? W_RETURN_CALL : W_CALL, g->o->call_dispatch);
    if (!tail)
        come_back(g, next);
}

/* A computed goto: branches to this function's own entry, if the target is one. */
static void
dispatch_inside(struct gen *g, const struct flow_node *n)
{
    struct lookup_locals l = {.target = target_local(g), .map = gen_special_local(g, &g->map_local, IR_I32),
                              .bits = gen_special_local(g, &g->bits_local, IR_I64)};

    code_lookup_begin(&g->code, &l);
    g->extra_depth += 2;
    code_op_index(&g->code, W_BLOCK, W_VOID);
    g->extra_depth++;
    code_lookup_index(&g->code, &l);
    code_global(&g->code, W_GLOBAL_GET, WASM_GLOBAL_TABLE_BASE);
    code_op(&g->code, W_I32_SUB);
    code_i32_const(&g->code, g->fn->first_slot);
    code_op(&g->code, W_I32_SUB);
    code_op_index(&g->code, W_BR_TABLE, n->count);
    for (uint32_t k = 0; k < n->count; k++) {
        uint32_t s = g->layout.position[g->graph.successors.items[n->first + k]];
        uint32_t index = s > g->at ? g->block_scope[s] : g->loop_scope[s];

        buf_put_uleb(&g->code.bytes, g->scopes.count - 1 - index + g->extra_depth);
    }
    buf_put_uleb(&g->code.bytes, 0);
    code_op(&g->code, W_END);
    code_op(&g->code, W_END);
    code_op(&g->code, W_END);
    g->extra_depth -= 3;
}

/* The node of all indirect jumps; the target is in target_local. */
void
gen_jump_indirect(struct gen *g, uint32_t node)
{
    const struct flow_node *n = &g->graph.nodes.items[node];
    const struct node_flow *flow = &g->flow[node];
    uint64_t flush = gen_flush_at_end(g, node, flow->dirty_in);

    if (n->poll)
        gen_poll(g, 0, true, flush, flow->need_in);
    if (g->dispatches)
        dispatch_inside(g, n);
    gen_flush(g, flush);
    gen_push_promoted(g);
    code_op_index(&g->code, W_LOCAL_GET, target_local(g));
    code_call(&g->code, W_RETURN_CALL, g->o->jump_dispatch);
}

void
gen_syscall(struct gen *g, uint64_t next, bool tail)
{
    gen_push_promoted(g);
    gen_address(g, next);
    code_call_import(&g->code, tail ? W_RETURN_CALL : W_CALL, WASM_IMPORT_SYSCALL);
    if (!tail)
        come_back(g, next);
}

void
gen_trap(struct gen *g, const struct ir_terminator *t)
{
    code_i64_const(&g->code, t->trap);
    code_global(&g->code, W_GLOBAL_SET, X86_S_TMP0);
    gen_push_promoted(g);
    gen_address(g, t->target);
    code_call_import(&g->code, W_RETURN_CALL, WASM_IMPORT_TRAP);
}

/* Calls the kernel when the budget is spent, and goes on here if it says so. */
void
gen_poll(struct gen *g, uint64_t address, bool is_target, uint64_t flush, uint64_t reload)
{
    g->o->poll_count++;
    code_call_import(&g->code, W_CALL, WASM_IMPORT_SP);
    code_global(&g->code, W_GLOBAL_GET, X86_S_LIMIT);
    code_op(&g->code, W_I64_LT_U);
    begin_if(g);
    gen_flush(g, flush);
    gen_push_promoted(g);
    if (is_target)
        code_op_index(&g->code, W_LOCAL_GET, target_local(g));
    else
        gen_address(g, address);
    code_call_import(&g->code, W_CALL, WASM_IMPORT_POLL);
    gen_set_results(g);
    if (is_target) {
        code_op_index(&g->code, W_LOCAL_GET, pc_local(g));
        code_op_index(&g->code, W_LOCAL_GET, target_local(g));
        code_op(&g->code, W_I64_NE);
        gen_branch_depth(g, W_BR_IF, 0);
    } else {
        gen_check_pc(g, address);
    }
    gen_reload(g, reload);
    end_if(g);
}
