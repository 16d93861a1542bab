/* Leaving a function and coming back: calls, tail calls, returns, system calls, polls. A callee comes back only to
 * the guest address it was given as link; everything else leaves through the kernel (convention.def, DESIGN D6). */
#include "codegen/codegen_internal.h"

#define LINK_MASK UINT64_C(0xffffffff)

uint32_t
gen_special_local(struct gen *g, uint32_t *local, unsigned ir_type)
{
    if (*local == 0)
        *local = gen_new_local(g, ir_type);
    return *local;
}

void
gen_push_promoted(struct gen *g)
{
    for (unsigned i = 0; i < PROMOTED_COUNT; i++)
        code_op_index(&g->code, W_LOCAL_GET, i);
}

static void
set_promoted(struct gen *g)
{
    for (unsigned i = PROMOTED_COUNT; i-- > 0;)
        code_op_index(&g->code, W_LOCAL_SET, i);
}

/* A branch to the open scope with this index. */
void
gen_branch_depth(struct gen *g, unsigned opcode, uint32_t index)
{
    code_op_index(&g->code, opcode, g->scopes.count - 1 - index + g->extra_depth);
}

void
gen_begin_if(struct gen *g)
{
    code_op_index(&g->code, W_IF, W_VOID);
    g->extra_depth++;
}

void
gen_end_if(struct gen *g)
{
    code_op(&g->code, W_END);
    g->extra_depth--;
}

/* --- links --- */

static void
select_entry(struct gen *g, uint32_t selector)
{
    if (selector == 0)
        return;
    code_i64_const(&g->code, (uint64_t)selector << 32);
    code_op(&g->code, W_I64_OR);
}

/* Where this function's own caller goes on. */
static void
push_own_link(struct gen *g)
{
    code_op_index(&g->code, W_LOCAL_GET, LINK_LOCAL);
    if (g->fn->entry_count > 1) {
        code_i64_const(&g->code, LINK_MASK);
        code_op(&g->code, W_I64_AND);
    }
}

void
gen_selector(struct gen *g)
{
    code_op_index(&g->code, W_LOCAL_GET, LINK_LOCAL);
    code_i64_const(&g->code, 32);
    code_op(&g->code, W_I64_SHR_U);
    code_op(&g->code, W_I32_WRAP);
}

/* --- leaving --- */

/* The registers and the own link are handed on to whatever is at the address. */
void
gen_leave(struct gen *g, uint64_t address, ir_states flush)
{
    const struct wasm_entry *entry = wasm_object_find(g->o, address);

    gen_flush(g, flush);
    if (entry == NULL) {
        gen_address(g, address);
        code_global(&g->code, W_GLOBAL_SET, X86_S_TMP0);
    }
    gen_push_promoted(g);
    push_own_link(g);
    if (entry != NULL) {
        select_entry(g, entry->selector);
        code_call(&g->code, W_RETURN_CALL, g->o->functions.items[entry->function].index);
    } else {
        code_call_import(&g->code, W_RETURN_CALL, WASM_IMPORT_ENTER);
    }
}

void
gen_evaluate_if(struct gen *g, uint64_t address)
{
    gen_begin_if(g);
    gen_address(g, address);
    code_global(&g->code, W_GLOBAL_SET, X86_S_TMP0);
    gen_push_promoted(g);
    push_own_link(g);
    code_call_import(&g->code, W_RETURN_CALL, WASM_IMPORT_ENTER);
    gen_end_if(g);
}

/* The end of the function, where all returns come together with the popped address in pc_local. */
void
gen_return(struct gen *g)
{
    if (g->pc_local == 0) { /* nothing returns */
        code_op(&g->code, W_UNREACHABLE);
        return;
    }
    code_op_index(&g->code, W_LOCAL_GET, g->pc_local);
    push_own_link(g);
    code_op(&g->code, W_I64_NE);
    gen_begin_if(g);
    gen_push_promoted(g);
    code_op_index(&g->code, W_LOCAL_GET, g->pc_local);
    code_call_import(&g->code, W_RETURN_CALL, WASM_IMPORT_UNWIND);
    gen_end_if(g);
    gen_push_promoted(g);
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

/* --- calls --- */

void
gen_call(struct gen *g, uint64_t target, uint64_t next)
{
    const struct wasm_entry *entry = wasm_object_find(g->o, target);

    if (entry == NULL) {
        gen_address(g, target);
        code_global(&g->code, W_GLOBAL_SET, X86_S_TMP0);
    }
    gen_push_promoted(g);
    gen_address(g, next);
    if (entry != NULL) {
        select_entry(g, entry->selector);
        code_call(&g->code, W_CALL, g->o->functions.items[entry->function].index);
    } else {
        code_call_import(&g->code, W_CALL, WASM_IMPORT_ENTER);
    }
    set_promoted(g);
}

void
gen_call_indirect(struct gen *g, uint64_t next)
{
    gen_push_promoted(g);
    gen_address(g, next);
    code_call(&g->code, W_CALL, g->o->dispatch);
    set_promoted(g);
}

void
gen_syscall(struct gen *g, uint64_t next)
{
    gen_push_promoted(g);
    gen_address(g, next);
    code_call_import(&g->code, W_CALL, WASM_IMPORT_SYSCALL);
    set_promoted(g);
}

/* The node where indirect jumps leave the function; the target is in target_local. */
void
gen_jump_indirect(struct gen *g, uint32_t node)
{
    gen_flush(g, gen_flush_at_end(g, node, g->flow[node].dirty_in));
    code_op_index(&g->code, W_LOCAL_GET, gen_special_local(g, &g->target_local, IR_I64));
    code_global(&g->code, W_GLOBAL_SET, X86_S_TMP0);
    gen_push_promoted(g);
    push_own_link(g);
    code_call(&g->code, W_RETURN_CALL, g->o->dispatch);
}

/* --- polls --- */

void
gen_flush_promoted(struct gen *g)
{
    for (unsigned i = 0; i < PROMOTED_COUNT; i++) {
        code_op_index(&g->code, W_LOCAL_GET, i);
        code_global(&g->code, W_GLOBAL_SET, gen_promoted[i]);
    }
}

void
gen_reload_promoted(struct gen *g)
{
    for (unsigned i = 0; i < PROMOTED_COUNT; i++) {
        code_global(&g->code, W_GLOBAL_GET, gen_promoted[i]);
        code_op_index(&g->code, W_LOCAL_SET, i);
    }
}

/* Shows the kernel all state when it wants to look. It changes none if it comes back, so that no value has to
 * be merged here: that would cost more than all else of a loop header. */
void
gen_poll(struct gen *g, uint64_t address, ir_states flush)
{
    g->o->poll_count++;
    code_call_import(&g->code, W_CALL, WASM_IMPORT_SP);
    code_global(&g->code, W_GLOBAL_GET, X86_S_LIMIT);
    code_op(&g->code, W_I64_LT_U);
    gen_begin_if(g);
    gen_flush(g, flush);
    gen_flush_promoted(g);
    gen_address(g, address);
    code_call_import(&g->code, W_CALL, WASM_IMPORT_POLL);
    gen_end_if(g);
}
