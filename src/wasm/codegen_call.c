/* Leaving a function and coming back: calls, tail calls, system calls, polls, and the rule that whoever gets
 * back another pc than it expects returns it in turn (DESIGN D6). */
#include "wasm/codegen_internal.h"

#include "x86/address_space.h"

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
    gen_branch_depth(g, W_BR_IF, 0);
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

/* Opens two ifs around what happens when target_local has a compiled entry: code map entry's offset in
 * map_local, its bits in bits_local. */
static void
begin_lookup(struct gen *g)
{
    uint32_t map = gen_special_local(g, &g->map_local, IR_I32);
    uint32_t bits = gen_special_local(g, &g->bits_local, IR_I64);
    uint32_t target = target_local(g);

    code_op_index(&g->code, W_LOCAL_GET, target);
    code_i64_const(&g->code, GUEST_IMAGE_END);
    code_op(&g->code, W_I64_LT_U);
    begin_if(g);
    code_op_index(&g->code, W_LOCAL_GET, target);
    code_i64_const(&g->code, 6);
    code_op(&g->code, W_I64_SHR_U);
    code_op(&g->code, W_I32_WRAP);
    code_i32_const(&g->code, 4);
    code_op(&g->code, W_I32_SHL);
    code_op_index(&g->code, W_LOCAL_TEE, map);
    code_load(&g->code, W_I64_LOAD, GUEST_CODE_MAP);
    code_op_index(&g->code, W_LOCAL_TEE, bits);
    code_op_index(&g->code, W_LOCAL_GET, target);
    code_op(&g->code, W_I64_SHR_U);
    code_op(&g->code, W_I32_WRAP);
    code_i32_const(&g->code, 1);
    code_op(&g->code, 0x71); /* i32.and */
    begin_if(g);
}

/* The table index of the entry found: rank + popcount of the bits below. */
static void
push_index(struct gen *g)
{
    code_op_index(&g->code, W_LOCAL_GET, g->map_local);
    code_load(&g->code, W_I32_LOAD, GUEST_CODE_MAP + 8);
    code_op_index(&g->code, W_LOCAL_GET, g->bits_local);
    code_i64_const(&g->code, UINT64_MAX);
    code_op_index(&g->code, W_LOCAL_GET, target_local(g));
    code_op(&g->code, W_I64_SHL);
    code_i64_const(&g->code, UINT64_MAX);
    code_op(&g->code, W_I64_XOR);
    code_op(&g->code, W_I64_AND);
    code_op(&g->code, W_I64_POPCNT);
    code_op(&g->code, W_I32_WRAP);
    code_op(&g->code, W_I32_ADD);
}

static void
call_table(struct gen *g, bool tail)
{
    code_op_index(&g->code, tail ? W_RETURN_CALL_INDIRECT : W_CALL_INDIRECT, W_TYPE_T10);
    buf_put_uleb(&g->code.bytes, 0);
}

void
gen_call_indirect(struct gen *g, uint64_t next, bool tail)
{
    if (!tail) {
        code_op_index(&g->code, W_BLOCK, W_VOID);
        g->extra_depth++;
    }
    begin_lookup(g);
    gen_push_promoted(g);
    push_index(g);
    call_table(g, tail);
    if (!tail) {
        gen_set_results(g);
        code_op_index(&g->code, W_BR, 2);
    }
    end_if(g);
    end_if(g);
    gen_push_promoted(g);
    code_op_index(&g->code, W_LOCAL_GET, target_local(g));
    code_call_import(&g->code, tail ? W_RETURN_CALL : W_CALL, WASM_IMPORT_ENTER);
    if (!tail) {
        gen_set_results(g);
        end_if(g);
        gen_check_pc(g, next);
    }
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
    begin_lookup(g);
    if (g->dispatches) {
        code_op_index(&g->code, W_BLOCK, W_VOID);
        g->extra_depth++;
        push_index(g);
        code_op_index(&g->code, W_LOCAL_TEE, g->map_local);
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
        end_if(g);
        gen_flush(g, flush);
        gen_push_promoted(g);
        code_op_index(&g->code, W_LOCAL_GET, g->map_local);
    } else {
        gen_flush(g, flush);
        gen_push_promoted(g);
        push_index(g);
    }
    call_table(g, true);
    end_if(g);
    end_if(g);
    gen_flush(g, flush);
    code_op_index(&g->code, W_LOCAL_GET, target_local(g));
    code_op_index(&g->code, W_LOCAL_SET, pc_local(g));
    unwind(g);
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
