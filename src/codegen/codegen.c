/* One function of IR to wasm: graph, structure, state analysis, then node by node in layout order. */
#include "codegen/codegen_internal.h"

#include <string.h>

static uint32_t
successor(const struct gen *g, const struct flow_node *n, uint32_t k)
{
    return g->layout.position[g->graph.successors.items[n->first + k]];
}

static uint32_t
depth_of(const struct gen *g, uint32_t position)
{
    uint32_t index = position > g->at ? g->block_scope[position] : g->loop_scope[position];

    return (uint32_t)g->scopes.count - 1 - index + g->extra_depth;
}

static void
branch(struct gen *g, unsigned opcode, uint32_t position)
{
    code_op_index(&g->code, opcode, depth_of(g, position));
}

static void
go_to(struct gen *g, uint32_t position)
{
    if (position != g->at + 1)
        branch(g, W_BR, position);
}

/* br_table over all successors; the last is the default. The index is on the stack. */
static void
branch_table(struct gen *g, const struct flow_node *n)
{
    code_op_index(&g->code, W_BR_TABLE, n->count - 1);
    for (uint32_t k = 0; k < n->count; k++)
        buf_put_uleb(&g->code.bytes, depth_of(g, successor(g, n, k)));
}

static void
end_branch(struct gen *g, const struct flow_node *n, const struct ir_terminator *t)
{
    uint32_t target = successor(g, n, 0), next = successor(g, n, 1);

    gen_value(g, t->value);
    if (target == next) {
        code_op(&g->code, W_DROP);
        go_to(g, next);
        return;
    }
    if (target == g->at + 1) {
        code_op(&g->code, W_I32_EQZ);
        branch(g, W_BR_IF, next);
        return;
    }
    branch(g, W_BR_IF, target);
    go_to(g, next);
}

/* Each switch has its own index local: on the way to it the index of another may be set, when that is the header of the
 * loop around. */
uint32_t
gen_switch_local(struct gen *g, uint32_t node)
{
    uint32_t k = g->graph.nodes.items[node].index;

    while (g->switch_locals.count <= k)
        vec_push(&g->switch_locals, (uint32_t)0);
    return gen_special_local(g, &g->switch_locals.items[k], IR_I32);
}

/* An index out of range must not be one of those that labels have added after the table's. */
static void
set_switch_index(struct gen *g, uint32_t node, uint32_t target_count)
{
    uint32_t local = gen_switch_local(g, node);

    code_op_index(&g->code, W_LOCAL_TEE, local);
    code_i32_const(&g->code, UINT32_MAX);
    code_op_index(&g->code, W_LOCAL_GET, local);
    code_i32_const(&g->code, target_count);
    code_op(&g->code, W_I32_LT_U);
    code_op(&g->code, W_SELECT);
    code_op_index(&g->code, W_LOCAL_SET, local);
}

static void
end_switch(struct gen *g, const struct flow_node *n, const struct ir_terminator *t)
{
    if (t->next == IR_NO_ADDRESS) {
        gen_value(g, t->indirect);
        code_op_index(&g->code, W_LOCAL_SET, gen_special_local(g, &g->target_local, IR_I64));
    }
    gen_value(g, t->value);
    if (g->switch_node[n->index] != FLOW_NONE) {
        set_switch_index(g, g->switch_node[n->index], t->target_count);
        go_to(g, successor(g, n, 0));
        return;
    }
    if (n->count <= 2) {
        /* One target at most: the layout gave no label to a fall-through. */
        if (n->count == 1) {
            code_op(&g->code, W_DROP);
            go_to(g, successor(g, n, 0));
            return;
        }
        if (successor(g, n, 0) == successor(g, n, 1)) {
            code_op(&g->code, W_DROP);
            go_to(g, successor(g, n, 0));
        } else if (successor(g, n, 1) == g->at + 1) {
            code_op(&g->code, W_I32_EQZ);
            branch(g, W_BR_IF, successor(g, n, 0));
        } else {
            branch(g, W_BR_IF, successor(g, n, 1));
            go_to(g, successor(g, n, 0));
        }
        return;
    }
    branch_table(g, n);
}

static void
end_call(struct gen *g, uint32_t node, const struct ir_terminator *t)
{
    const struct flow_node *n = &g->graph.nodes.items[node];

    if (t->kind == IR_T_CALL_INDIRECT) {
        gen_value(g, t->value);
        code_global(&g->code, W_GLOBAL_SET, X86_S_TMP0);
    }
    if (t->kind == IR_T_CALL)
        gen_call(g, t->target, t->next);
    else if (t->kind == IR_T_CALL_INDIRECT)
        gen_call_indirect(g, t->next);
    else
        gen_syscall(g, t->next);
    if (n->count == 0) { /* nothing is known to follow */
        gen_leave(g, t->next, 0);
        return;
    }
    gen_reload(g, g->flow[g->graph.successors.items[n->first]].need_in);
    go_to(g, successor(g, n, 0));
}

static void
end_block(struct gen *g, uint32_t node, const struct ir_terminator *t)
{
    const struct flow_node *n = &g->graph.nodes.items[node];

    gen_flush(g, gen_flush_at_end(g, node, g->dirty));
    switch (t->kind) {
    case IR_T_JUMP: go_to(g, successor(g, n, 0)); break;
    case IR_T_BRANCH: end_branch(g, n, t); break;
    case IR_T_SWITCH: end_switch(g, n, t); break;
    case IR_T_JUMP_INDIRECT:
        gen_value(g, t->value);
        code_op_index(&g->code, W_LOCAL_SET, gen_special_local(g, &g->target_local, IR_I64));
        if (g->jump_node != g->indirect)
            gen_goto_index(g);
        go_to(g, successor(g, n, 0));
        break;
    case IR_T_CALL:
    case IR_T_CALL_INDIRECT:
    case IR_T_SYSCALL: end_call(g, node, t); break;
    case IR_T_RETURN:
        gen_value(g, t->value);
        code_op_index(&g->code, W_LOCAL_SET, gen_special_local(g, &g->pc_local, IR_I64));
        gen_branch_depth(g, W_BR, 0);
        break;
    default: gen_trap(g, t); break;
    }
}

static void
write_block(struct gen *g, uint32_t node)
{
    const struct flow_node *n = &g->graph.nodes.items[node];
    const struct ir_block *block = &g->f->blocks.items[n->index];
    const struct node_flow *flow = &g->flow[node];

    if (n->poll)
        gen_poll(g, block->address, flow->dirty_in & ~gen_dead_states(block->flags_dead));
    gen_reload(g, flow->reload);
    g->dirty = flow->dirty_in;
    gen_block_ops(g, block);
    end_block(g, node, &block->end);
}

static void
write_root(struct gen *g, const struct flow_node *n)
{
    if (n->count == 1) {
        go_to(g, successor(g, n, 0));
        return;
    }
    gen_selector(g);
    branch_table(g, n);
}

/* Makes them true, or leaves everything as it is to the evaluator, which goes on from the same address. */
static void
write_assumptions(struct gen *g, ir_states need)
{
    for (size_t i = 0; i < g->f->assumptions.count; i++) {
        const struct ir_assumption *a = &g->f->assumptions.items[i];
        uint32_t local;

        if (!(need & IR_STATE_BIT(a->state)))
            continue;
        local = gen_state_local(g, a->state);
        code_op_index(&g->code, W_LOCAL_GET, local);
        gen_assumed(g, a);
        code_op(&g->code, W_I64_NE);
        gen_evaluate_if(g, g->f->address);
        gen_assumed(g, a);
        code_op_index(&g->code, W_LOCAL_SET, local);
    }
}

static void
write_entry(struct gen *g, const struct flow_node *n)
{
    uint32_t next = g->graph.successors.items[n->first];

    /* A loop header looks for itself. */
    if (n->index == 0 && g->polls_at_entry && !g->graph.nodes.items[next].poll)
        gen_poll(g, g->fn->entries[0], 0);
    gen_reload(g, g->flow[next].need_in);
    write_assumptions(g, g->flow[next].need_in | ~gen_cached_states());
    go_to(g, successor(g, n, 0));
}

static void
write_guard(struct gen *g, const struct flow_node *n)
{
    code_op_index(&g->code, W_LOCAL_GET, gen_special_local(g, &g->target_local, IR_I64));
    gen_address(g, n->address);
    code_op(&g->code, W_I64_NE);
    branch(g, W_BR_IF, successor(g, n, 1));
    go_to(g, successor(g, n, 0));
}

static uint32_t
label_local(struct gen *g, uint32_t dispatch)
{
    if (g->graph.nodes.items[dispatch].kind == FLOW_SWITCH)
        return gen_switch_local(g, dispatch);
    return gen_special_local(g, &g->label_local, IR_I32);
}

static void
write_node(struct gen *g, uint32_t node)
{
    const struct flow_node *n = &g->graph.nodes.items[node];

    switch (n->kind) {
    case FLOW_ROOT: write_root(g, n); break;
    case FLOW_ENTRY: write_entry(g, n); break;
    case FLOW_BLOCK: write_block(g, node); break;
    case FLOW_EXIT: gen_leave(g, n->address, gen_flush_at_end(g, node, g->flow[node].dirty_in)); break;
    case FLOW_INDIRECT: gen_jump_indirect(g, node); break;
    case FLOW_SWITCH:
        code_op_index(&g->code, W_LOCAL_GET, gen_switch_local(g, node));
        branch_table(g, n);
        break;
    case FLOW_GUARD: write_guard(g, n); break;
    case FLOW_DISPATCH:
        code_op_index(&g->code, W_LOCAL_GET, gen_special_local(g, &g->label_local, IR_I32));
        branch_table(g, n);
        break;
    default: /* FLOW_LABEL */
        gen_flush(g, gen_flush_at_end(g, node, g->flow[node].dirty_in));
        code_i32_const(&g->code, n->index);
        code_op_index(&g->code, W_LOCAL_SET, label_local(g, g->graph.successors.items[n->first]));
        go_to(g, successor(g, n, 0));
        break;
    }
}

/* --- scopes --- */

static void
close_scopes(struct gen *g, uint32_t position)
{
    while (g->scopes.count > 1 && g->scopes.items[g->scopes.count - 1].end <= position) {
        code_op(&g->code, W_END);
        g->scopes.count--;
    }
}

static void
open_scope(struct gen *g, unsigned opcode, uint32_t end)
{
    struct open_scope s = {.end = end};

    if (opcode == W_LOOP)
        g->loop_scope[g->at] = (uint32_t)g->scopes.count;
    else if (end < g->layout.count)
        g->block_scope[end] = (uint32_t)g->scopes.count;
    vec_push(&g->scopes, s);
    code_op_index(&g->code, opcode, W_VOID);
}

static void
open_scopes(struct gen *g)
{
    uint32_t loop = g->layout.loop_end[g->at];
    const struct flow_scope *s = g->layout.blocks[g->at];

    for (; s != NULL && (loop == 0 || s->end >= loop); s = s->next)
        open_scope(g, W_BLOCK, s->end);
    if (loop != 0)
        open_scope(g, W_LOOP, loop);
    for (; s != NULL; s = s->next)
        open_scope(g, W_BLOCK, s->end);
}

static void
write_function(struct gen *g)
{
    g->at = 0;
    open_scope(g, W_BLOCK, g->layout.count);
    for (uint32_t i = 0; i < g->layout.count; i++) {
        g->at = i;
        close_scopes(g, i);
        open_scopes(g);
        write_node(g, g->layout.order[i]);
    }
    close_scopes(g, g->layout.count);
    code_op(&g->code, W_END);
    gen_return(g);
    code_op(&g->code, W_END);
}

static void
gen_init(struct gen *g, struct wasm_object *o, struct wasm_function *fn, const struct ir_func *f)
{
    memset(g, 0, sizeof *g);
    g->o = o;
    g->fn = fn;
    g->f = f;
    memset(g->state_local, 0xff, sizeof g->state_local);
    for (unsigned i = 0; i < PROMOTED_COUNT; i++)
        g->state_local[gen_promoted[i]] = i;
    g->values = mem_zalloc(f->ops.count + 1, sizeof *g->values);
    ir_block_map_init(&g->map, f);
}

static void
gen_fini(struct gen *g)
{
    for (unsigned i = 0; i <= IR_V128; i++)
        vec_fini(&g->free_locals[i]);
    vec_fini(&g->local_types);
    vec_fini(&g->scopes);
    vec_fini(&g->switch_locals);
    flow_graph_fini(&g->graph);
    ir_block_map_fini(&g->map);
    mem_free(g->values);
    code_fini(&g->code);
    arena_fini(&g->arena);
}

/* The local declarations go first, and are known last. */
static void
take_code(struct gen *g)
{
    struct wasm_code *out = &g->fn->code;
    size_t shift;

    code_locals(&out->bytes, g->local_types.items, g->local_types.count);
    shift = out->bytes.size;
    buf_put(&out->bytes, g->code.bytes.data, g->code.bytes.size);
    for (size_t i = 0; i < g->code.patches.count; i++)
        g->code.patches.items[i].offset += (uint32_t)shift;
    out->patches.items = g->code.patches.items;
    out->patches.count = g->code.patches.count;
    out->patches.capacity = g->code.patches.capacity;
    memset(&g->code.patches, 0, sizeof g->code.patches);
}

int
wasm_codegen(struct wasm_object *o, struct wasm_function *fn, const struct ir_func *f, struct err *e)
{
    struct gen g;
    int r = -1;

    if (f->blocks.count == 0 || f->blocks.items[0].address != f->address)
        return err_set(e, "block 0 is not the entry");
    if (ir_verify(f, e) < 0)
        return -1;
    gen_init(&g, o, fn, f);
    if (gen_make_graph(&g, e) == 0) {
        flow_structure(&g.graph, &g.layout, &g.arena);
        gen_analyse_states(&g);
        g.block_scope = arena_alloc(&g.arena, (g.layout.count + 1) * sizeof *g.block_scope);
        g.loop_scope = arena_alloc(&g.arena, (g.layout.count + 1) * sizeof *g.loop_scope);
        write_function(&g);
        take_code(&g);
        r = 0;
    }
    gen_fini(&g);
    return r;
}
