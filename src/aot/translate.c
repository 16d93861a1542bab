/* One wasm function to LLVM IR: control flow, locals, globals, calls. The bodies have been validated, so
 * operand types and stack heights are not checked again. */
#include "aot/emit.h"

#include <stdio.h>
#include <string.h>

/* --- control --- */

static struct aot_frame *
label(struct translator *t, uint32_t depth)
{
    return &t->frames.items[t->frames.count - 1 - depth];
}

static void
make_phis(struct translator *t, struct aot_frame *f, LLVMBasicBlockRef block, const uint8_t *types, uint32_t count)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(t->b);

    f->phis = t->phis.count;
    f->phi_count = count;
    if (!count)
        return;
    LLVMPositionBuilderAtEnd(t->b, block);
    for (uint32_t i = 0; i < count; i++)
        vec_push(&t->phis, LLVMBuildPhi(t->b, aot_type(t, types[i]), ""));
    LLVMPositionBuilderAtEnd(t->b, here);
}

/* The operands a branch to f carries enter its phis; they stay on the stack. */
static void
feed_phis(struct translator *t, const struct aot_frame *f)
{
    LLVMValueRef *operands = t->stack.items + t->stack.count - f->phi_count;

    for (uint32_t i = 0; i < f->phi_count; i++) {
        LLVMValueRef phi = t->phis.items[f->phis + i];

        operands[i] = aot_cast(t, operands[i], LLVMTypeOf(phi));
    }
    for (uint32_t i = 0; i < f->phi_count; i++) {
        LLVMBasicBlockRef here = LLVMGetInsertBlock(t->b);

        LLVMAddIncoming(t->phis.items[f->phis + i], &operands[i], &here, 1);
    }
}

/* The struct that a call returned, when the operands are just its members in order. */
static LLVMValueRef
same_aggregate(LLVMValueRef *operands, uint32_t count)
{
    LLVMValueRef call = NULL;

    for (uint32_t i = 0; i < count; i++) {
        if (!LLVMIsAExtractValueInst(operands[i]) || *LLVMGetIndices(operands[i]) != i)
            return NULL;
        if (call && LLVMGetOperand(operands[i], 0) != call)
            return NULL;
        call = LLVMGetOperand(operands[i], 0);
    }
    return call;
}

static void
build_return(struct translator *t)
{
    uint32_t count = t->type->result_count;
    LLVMValueRef *operands = t->stack.items + t->stack.count - count, result;
    LLVMTypeRef type = LLVMGetReturnType(aot_function_type(t, t->m->functions.items[t->index].type));

    if (count == 0) {
        LLVMBuildRetVoid(t->b);
        return;
    }
    if (count == 1) {
        LLVMBuildRet(t->b, aot_cast(t, operands[0], type));
        return;
    }
    result = same_aggregate(operands, count);
    if (!result || LLVMTypeOf(result) != type) {
        result = LLVMGetPoison(type);
        for (uint32_t i = 0; i < count; i++)
            result =
                LLVMBuildInsertValue(t->b, result, aot_cast(t, operands[i], aot_type(t, t->type->results[i])), i, "");
    }
    LLVMBuildRet(t->b, result);
}

static void
set_dead(struct translator *t)
{
    t->dead = true;
    t->dead_depth = 0;
}

static void
branch(struct translator *t, uint32_t depth)
{
    struct aot_frame *f = label(t, depth);

    if (!f->target) {
        build_return(t);
        return;
    }
    feed_phis(t, f);
    LLVMBuildBr(t->b, f->target);
}

/* The block a conditional branch or switch goes to: the target itself, or a new one that returns. */
static LLVMBasicBlockRef
branch_block(struct translator *t, uint32_t depth)
{
    struct aot_frame *f = label(t, depth);
    LLVMBasicBlockRef here, block;

    if (f->target) {
        feed_phis(t, f);
        return f->target;
    }
    here = LLVMGetInsertBlock(t->b);
    block = aot_new_block(t);
    LLVMPositionBuilderAtEnd(t->b, block);
    build_return(t);
    LLVMPositionBuilderAtEnd(t->b, here);
    return block;
}

static void
translate_block(struct translator *t, const struct wasm_instruction *i)
{
    struct aot_frame f = {.op = i->op, .type = i->block};
    LLVMValueRef condition = i->op == WASM_OP_IF ? aot_pop_condition(t) : NULL;
    LLVMBasicBlockRef inside;

    f.height = t->stack.count - i->block.param_count;
    f.target = aot_new_block(t);
    if (i->op == WASM_OP_LOOP) {
        make_phis(t, &f, f.target, i->block.params, i->block.param_count);
        feed_phis(t, &f);
        LLVMBuildBr(t->b, f.target);
        aot_enter_block(t, f.target);
        for (uint32_t k = 0; k < f.phi_count; k++)
            t->stack.items[f.height + k] = t->phis.items[f.phis + k];
    } else {
        f.after = f.target;
        make_phis(t, &f, f.target, i->block.results, i->block.result_count);
    }
    f.params = t->params.count;
    if (i->op == WASM_OP_IF) {
        uint32_t epoch = t->epoch;

        for (uint32_t k = 0; k < i->block.param_count; k++)
            vec_push(&t->params, t->stack.items[f.height + k]);
        f.otherwise = aot_new_block(t);
        inside = aot_new_block(t);
        LLVMBuildCondBr(t->b, condition, inside, f.otherwise);
        aot_enter_block(t, inside);
        t->epoch = epoch;
    }
    vec_push(&t->frames, f);
}

static void
restore_params(struct translator *t, const struct aot_frame *f)
{
    t->stack.count = f->height;
    for (uint32_t k = 0; k < f->type.param_count; k++)
        aot_push(t, t->params.items[f->params + k]);
}

static void
translate_else(struct translator *t)
{
    struct aot_frame *f = label(t, 0);

    if (!t->dead) {
        feed_phis(t, f);
        LLVMBuildBr(t->b, f->after);
    }
    t->dead = false;
    aot_enter_block(t, f->otherwise);
    f->otherwise = NULL;
    f->op = WASM_OP_ELSE;
    restore_params(t, f);
}

/* An if without else: its parameters are its results. */
static void
close_if(struct translator *t, struct aot_frame *f)
{
    LLVMPositionBuilderAtEnd(t->b, f->otherwise);
    restore_params(t, f);
    feed_phis(t, f);
    LLVMBuildBr(t->b, f->after);
}

static void
translate_end(struct translator *t)
{
    struct aot_frame f = *label(t, 0);

    if (t->frames.count == 1) {
        if (!t->dead)
            build_return(t);
        t->frames.count = 0;
        return;
    }
    t->frames.count--;
    if (f.op == WASM_OP_LOOP) {
        /* Falls through with its results on the stack, or is dead as what it ended with. */
        t->phis.count = f.phis;
        t->params.count = f.params;
        if (t->dead)
            t->stack.count = f.height;
        return;
    }
    if (!t->dead) {
        feed_phis(t, &f);
        LLVMBuildBr(t->b, f.after);
    }
    if (f.op == WASM_OP_IF)
        close_if(t, &f);
    t->stack.count = f.height;
    t->phis.count = f.phis;
    t->params.count = f.params;
    if (!LLVMGetFirstUse(LLVMBasicBlockAsValue(f.after))) {
        LLVMDeleteBasicBlock(f.after);
        set_dead(t);
        return;
    }
    t->dead = false;
    for (uint32_t k = 0; k < f.phi_count; k++)
        aot_push(t, t->phis.items[f.phis + k]);
    /* Blocks in source order read better and lay out better. */
    LLVMMoveBasicBlockAfter(f.after, LLVMGetLastBasicBlock(t->function));
    aot_enter_block(t, f.after);
}

static void
translate_branch_if(struct translator *t, uint32_t depth)
{
    LLVMValueRef condition = aot_pop_condition(t);
    LLVMBasicBlockRef target = branch_block(t, depth), next = aot_new_block(t);
    uint32_t epoch = t->epoch;

    LLVMBuildCondBr(t->b, condition, target, next);
    aot_enter_block(t, next);
    t->epoch = epoch;
}

static void
translate_table(struct translator *t, const struct wasm_instruction *i)
{
    struct cursor labels = i->labels;
    LLVMValueRef index = aot_pop(t), br;
    LLVMBasicBlockRef returns = NULL, fallback;
    uint32_t *depths = mem_zalloc(i->label_count + 1, sizeof *depths);

    for (uint32_t k = 0; k <= i->label_count; k++)
        depths[k] = (uint32_t)cursor_uleb(&labels, 32);
#define TARGET(k)                                             \
    (label(t, depths[k])->target ? branch_block(t, depths[k]) \
     : returns                   ? returns                    \
                                 : (returns = branch_block(t, depths[k])))
    fallback = TARGET(i->label_count);
    br = LLVMBuildSwitch(t->b, index, fallback, i->label_count);
    for (uint32_t k = 0; k < i->label_count; k++) {
        /* feed_phis() may cast: casts go before the switch. */
        LLVMPositionBuilderBefore(t->b, br);
        LLVMAddCase(br, aot_i32(t, k), TARGET(k));
    }
#undef TARGET
    mem_free(depths);
    set_dead(t);
}

/* --- calls --- */

static void
push_results(struct translator *t, const struct wasm_functype *type, LLVMValueRef result)
{
    if (type->result_count == 1)
        aot_push(t, result);
    for (uint32_t i = 0; type->result_count > 1 && i < type->result_count; i++)
        aot_push(t, LLVMBuildExtractValue(t->b, result, i, ""));
}

/* The stack map's identifier is the mask above 48 bits of address (artifact/fault_map.h). The values are needed until
 * here, so the access before this cannot have overwritten their places. */
static int
translate_fault_state(struct translator *t)
{
    LLVMValueRef args[2 + AOT_FAULT_STATE_REGISTERS], *in;
    unsigned count = 2;
    uint64_t address, mask;

    t->stack.count -= AOT_FAULT_STATE_PARAMETERS;
    in = t->stack.items + t->stack.count;
    if (!LLVMIsAConstantInt(in[0]) || !LLVMIsAConstantInt(in[1]))
        return err_set(t->e, "intrinsic.fault_state takes constants as address and mask");
    address = LLVMConstIntGetZExtValue(in[0]);
    mask = LLVMConstIntGetZExtValue(in[1]);
    if (address >> 48 || mask >> AOT_FAULT_STATE_REGISTERS)
        return err_set(t->e, "intrinsic.fault_state: address or mask out of range");
    args[0] = aot_i64(t, mask << 48 | address);
    args[1] = aot_i32(t, 0);
    for (unsigned i = 0; i < AOT_FAULT_STATE_REGISTERS; i++)
        if (mask >> i & 1)
            args[count++] = in[2 + i];
    aot_intrinsic(t, "llvm.experimental.stackmap", NULL, 0, args, count);
    return 0;
}

static int
translate_intrinsic(struct translator *t, const struct wasm_import *import)
{
    LLVMValueRef a, b, product;
    bool is_signed = wasm_bytes_equal(import->name, "mulhs");

    if (!is_signed && !wasm_bytes_equal(import->name, "mulhu") && !wasm_bytes_equal(import->name, "fault_state") &&
        !wasm_bytes_equal(import->name, "sp"))
        return aot_translate_host(t, import->name);

    if (wasm_bytes_equal(import->name, "fault_state"))
        return translate_fault_state(t);
    if (wasm_bytes_equal(import->name, "sp")) {
        aot_push(t, aot_intrinsic(t, "llvm.read_register", &t->i64, 1, &t->stack_pointer_name, 1));
        return 0;
    }
    b = aot_pop(t);
    a = aot_pop(t);
    a = is_signed ? LLVMBuildSExt(t->b, a, t->i128, "") : LLVMBuildZExt(t->b, a, t->i128, "");
    b = is_signed ? LLVMBuildSExt(t->b, b, t->i128, "") : LLVMBuildZExt(t->b, b, t->i128, "");
    product = LLVMBuildLShr(t->b, LLVMBuildMul(t->b, a, b, ""), LLVMConstInt(t->i128, 64, 0), "");
    aot_push(t, LLVMBuildTrunc(t->b, product, t->i64, ""));
    return 0;
}

static LLVMValueRef
table_entry(struct translator *t, LLVMValueRef index)
{
    LLVMValueRef size = LLVMBuildPtrToInt(t->b, t->table_size, t->i32, ""), at[2], entry;

    aot_trap_if(t, LLVMBuildICmp(t->b, LLVMIntUGE, index, size, ""), AOT_TRAP_TABLE);
    at[0] = aot_i64(t, 0);
    at[1] = LLVMBuildZExt(t->b, index, t->i64, "");
    entry = LLVMBuildLoad2(t->b, t->pointer, LLVMBuildInBoundsGEP2(t->b, t->table_type, t->table, at, 2, ""), "");
    LLVMSetMetadata(entry, t->kind_invariant, t->empty_node);
    return entry;
}

/* convention: the callee's own. To LLVM a call by another one has no meaning at all, and it makes anything of it. */
static LLVMValueRef
build_call(struct translator *t, uint32_t type_index, LLVMValueRef callee, unsigned convention)
{
    const struct wasm_functype *type = &t->m->types.items[type_index];
    LLVMTypeRef native = aot_function_type(t, type_index);
    LLVMValueRef *args = mem_zalloc(type->param_count + 1, sizeof(LLVMValueRef)), call;

    t->stack.count -= type->param_count;
    for (uint32_t i = 0; i < type->param_count; i++)
        args[i] = aot_cast(t, t->stack.items[t->stack.count + i], aot_type(t, type->params[i]));
    call = LLVMBuildCall2(t->b, native, callee, args, type->param_count, "");
    mem_free(args);
    LLVMSetInstructionCallConv(call, convention);
    if (convention == AOT_REGCALL)
        LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex,
                                 LLVMCreateStringAttribute(t->context, aot_no_saved_registers,
                                                           (unsigned)strlen(aot_no_saved_registers), "", 0));
    return call;
}

/* LLVM returns more than this through memory of the caller's, and ends the process over a jump that has to be one
 * then. */
static bool
returns_in_registers(const struct wasm_functype *type)
{
    enum { OTHER_REGISTERS = 8 };
    unsigned integers = 0;

    for (uint32_t i = 0; i < type->result_count; i++)
        integers += type->results[i] == WASM_I32 || type->results[i] == WASM_I64;
    return integers <= AOT_REGCALL_REGISTERS && type->result_count - integers <= OTHER_REGISTERS;
}

/* With equal prototypes (always so between functions of the guest type) the stack cannot grow; else LLVM
 * makes it a jump where it can. */
static void
finish_tail_call(struct translator *t, uint32_t type_index, LLVMValueRef call)
{
    LLVMTypeRef mine = aot_function_type(t, t->m->functions.items[t->index].type);
    LLVMTypeRef callee = aot_function_type(t, type_index);
    bool same = mine == callee && LLVMGetInstructionCallConv(call) == AOT_REGCALL /* the caller's */ &&
                returns_in_registers(t->type);

    LLVMSetTailCallKind(call, same ? LLVMTailCallKindMustTail : LLVMTailCallKindTail);
    if (LLVMGetReturnType(callee) == t->void_type)
        LLVMBuildRetVoid(t->b);
    else
        LLVMBuildRet(t->b, call);
    set_dead(t);
}

static int
translate_call(struct translator *t, const struct wasm_instruction *i)
{
    const struct wasm_function *f = &t->m->functions.items[i->index];
    const struct wasm_import *import = f->import >= 0 ? &t->m->imports.items[f->import] : NULL;
    bool tail = i->op == WASM_OP_RETURN_CALL;
    LLVMValueRef callee, call;

    if (import && wasm_bytes_equal(import->module, "intrinsic")) {
        if (translate_intrinsic(t, import) < 0)
            return -1;
        if (tail) {
            build_return(t);
            set_dead(t);
        }
        return 0;
    }
    callee = aot_function(t, i->index);
    call = build_call(t, f->type, callee, LLVMGetFunctionCallConv(callee));
    if (tail)
        finish_tail_call(t, f->type, call);
    else
        push_results(t, &t->m->types.items[f->type], call);
    return 0;
}

static int
translate_indirect(struct translator *t, const struct wasm_instruction *i)
{
    LLVMValueRef entry, call;

    if (!aot_is_guest_type(&t->m->types.items[i->index]))
        return err_set(t->e, "wasm offset 0x%zx: indirect call of a type other than the table's",
                       (size_t)(i->at - t->m->bytes.data));
    entry = table_entry(t, aot_pop(t));
    call = build_call(t, i->index, entry, AOT_REGCALL);
    if (i->op == WASM_OP_RETURN_CALL_INDIRECT) {
        finish_tail_call(t, i->index, call);
        /* Stack maps make LLVM use a frame pointer, which code without precise faults does not keep: a frame here does.
         * The checks at loop headers and entries end a recursion that this makes of a loop. */
        if (t->precise_faults)
            LLVMSetTailCallKind(call, LLVMTailCallKindNoTail);
    } else {
        push_results(t, &t->m->types.items[i->index], call);
    }
    return 0;
}

/* --- locals, globals --- */

static void
translate_local(struct translator *t, const struct wasm_instruction *i)
{
    LLVMTypeRef type = aot_type(t, t->local_types[i->index]);
    LLVMValueRef v;

    if (i->op == WASM_OP_LOCAL_GET) {
        if (t->local_epochs[i->index] != t->epoch)
            v = LLVMBuildLoad2(t->b, type, t->locals[i->index], "");
        else
            v = t->local_values[i->index];
        aot_push(t, v);
    } else {
        v = aot_cast(t, aot_pop(t), type);
        LLVMBuildStore(t->b, v, t->locals[i->index]);
        if (i->op == WASM_OP_LOCAL_TEE)
            aot_push(t, v);
    }
    t->local_values[i->index] = v;
    t->local_epochs[i->index] = t->epoch;
}

static LLVMValueRef
constant(struct translator *t, const struct wasm_constant *k)
{
    LLVMValueRef halves[2] = {aot_i64(t, k->bits[0]), aot_i64(t, k->bits[1])};

    switch (k->type) {
    case WASM_I32: return aot_i32(t, (uint32_t)k->bits[0]);
    case WASM_I64: return halves[0];
    case WASM_F32: return LLVMConstBitCast(aot_i32(t, (uint32_t)k->bits[0]), t->f32);
    case WASM_F64: return LLVMConstBitCast(halves[0], t->f64);
    default: return LLVMConstVector(halves, 2);
    }
}

static void
translate_global(struct translator *t, const struct wasm_instruction *i)
{
    const struct wasm_global *g = &t->m->globals.items[i->index];
    LLVMTypeRef type = aot_type(t, (uint8_t)g->type);
    LLVMValueRef access;

    if (g->import < 0) {
        aot_push(t, constant(t, &g->init));
        return;
    }
    if (!g->is_mutable) {
        aot_push(t, LLVMBuildPtrToInt(t->b, aot_global_symbol(t, i->index), type, ""));
        return;
    }
    if (i->op == WASM_OP_GLOBAL_GET) {
        access = LLVMBuildLoad2(t->b, type, aot_global_symbol(t, i->index), "");
        aot_push(t, access);
    } else {
        access = LLVMBuildStore(t->b, aot_cast(t, aot_pop(t), type), aot_global_symbol(t, i->index));
        /* cpu.stack keeps its place between the accesses that may fault. */
        LLVMSetVolatile(access, t->precise_faults || wasm_bytes_equal(t->m->imports.items[g->import].name, "stack"));
    }
    LLVMSetAlignment(access, g->type == WASM_V128 ? 16 : g->type == WASM_I32 || g->type == WASM_F32 ? 4 : 8);
    LLVMSetMetadata(access, t->kind_tbaa, t->tbaa_cpu);
}

static void
translate_select(struct translator *t)
{
    LLVMValueRef condition = aot_pop_condition(t), b = aot_pop(t), a = aot_pop(t);

    if (LLVMTypeOf(a) != LLVMTypeOf(b)) {
        a = aot_cast(t, a, t->vec[AOT_I64X2]);
        b = aot_cast(t, b, t->vec[AOT_I64X2]);
    }
    aot_push(t, LLVMBuildSelect(t->b, condition, a, b, ""));
}

/* In code that is not reached only the nesting counts. */
static void
translate_dead(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
    case WASM_OP_BLOCK:
    case WASM_OP_LOOP:
    case WASM_OP_IF: t->dead_depth++; break;
    case WASM_OP_ELSE:
        if (t->dead_depth == 0)
            translate_else(t);
        break;
    case WASM_OP_END:
        if (t->dead_depth)
            t->dead_depth--;
        else
            translate_end(t);
        break;
    default: break;
    }
}

static int
translate_instruction(struct translator *t, const struct wasm_instruction *i)
{
    switch (i->op) {
    case WASM_OP_UNREACHABLE:
        LLVMBuildBr(t->b, aot_trap_block(t, AOT_TRAP_UNREACHABLE));
        set_dead(t);
        return 0;
    case WASM_OP_NOP: return 0;
    case WASM_OP_BLOCK:
    case WASM_OP_LOOP:
    case WASM_OP_IF: translate_block(t, i); return 0;
    case WASM_OP_ELSE: translate_else(t); return 0;
    case WASM_OP_END: translate_end(t); return 0;
    case WASM_OP_BR:
        branch(t, i->index);
        set_dead(t);
        return 0;
    case WASM_OP_BR_IF: translate_branch_if(t, i->index); return 0;
    case WASM_OP_BR_TABLE: translate_table(t, i); return 0;
    case WASM_OP_RETURN:
        build_return(t);
        set_dead(t);
        return 0;
    case WASM_OP_CALL:
    case WASM_OP_RETURN_CALL: return translate_call(t, i);
    case WASM_OP_CALL_INDIRECT:
    case WASM_OP_RETURN_CALL_INDIRECT: return translate_indirect(t, i);
    case WASM_OP_DROP: aot_pop(t); return 0;
    case WASM_OP_SELECT:
    case WASM_OP_SELECT_TYPED: translate_select(t); return 0;
    case WASM_OP_LOCAL_GET:
    case WASM_OP_LOCAL_SET:
    case WASM_OP_LOCAL_TEE: translate_local(t, i); return 0;
    case WASM_OP_GLOBAL_GET:
    case WASM_OP_GLOBAL_SET: translate_global(t, i); return 0;
    default:
        if (aot_translate_scalar(t, i) || aot_translate_simd(t, i))
            return 0;
        return err_set(t->e, "wasm offset 0x%zx: aot has no %s", (size_t)(i->at - t->m->bytes.data),
                       wasm_operators[i->op].text);
    }
}

static void
reset_function(struct translator *t)
{
    t->stack.count = t->frames.count = t->phis.count = t->params.count = 0;
    vec_reserve(&t->stack, 1); /* so that places on an empty stack can be computed, too */
    t->dead = false;
    t->dead_depth = 0;
    memset(t->traps, 0, sizeof t->traps);
}

static void
reserve_locals(struct translator *t, size_t count)
{
    t->local_count = count;
    if (count <= t->local_room)
        return;
    t->local_room = count * 2;
    t->local_types = mem_realloc(t->local_types, t->local_room, 1);
    t->locals = mem_realloc(t->locals, t->local_room, sizeof *t->locals);
    t->local_values = mem_realloc(t->local_values, t->local_room, sizeof(LLVMValueRef));
    t->local_epochs = mem_realloc(t->local_epochs, t->local_room, sizeof(uint32_t));
}

static int
begin_locals(struct translator *t, struct cursor *body)
{
    struct cursor again = *body;
    int64_t count = wasm_read_locals(t->m, t->index, &again, NULL, 0, t->e);

    if (count < 0)
        return -1;
    reserve_locals(t, (size_t)count);
    wasm_read_locals(t->m, t->index, body, t->local_types, t->local_count, t->e);
    aot_enter_block(t, aot_new_block(t));
    for (size_t i = 0; i < t->local_count; i++)
        t->locals[i] = LLVMBuildAlloca(t->b, aot_type(t, t->local_types[i]), "");
    for (size_t i = 0; i < t->local_count; i++) {
        t->local_values[i] = i < t->type->param_count ? LLVMGetParam(t->function, (unsigned)i)
                                                      : LLVMConstNull(aot_type(t, t->local_types[i]));
        t->local_epochs[i] = t->epoch;
        LLVMBuildStore(t->b, t->local_values[i], t->locals[i]);
    }
    return 0;
}

int
aot_translate_function(struct translator *t, uint32_t function)
{
    struct wasm_bytes bytes = t->m->functions.items[function].body;
    struct cursor body = cursor_make(bytes.data, bytes.size);
    struct wasm_instruction i = {0};
    struct aot_frame outer = {.op = WASM_OP_BLOCK};

    reset_function(t);
    t->index = function;
    t->type = wasm_function_type(t->m, function);
    t->function = aot_function(t, function);
    if (t->precise_faults)
        aot_add_text_attribute(t, t->function, "frame-pointer", "all");
    LLVMSetSection(t->function, t->precise_faults ? "ingot_precise" : "ingot_text");
    /* Frames over a page are touched page by page, so that the guard below the host stack is never
     * stepped over; smaller ones cost nothing. */
    aot_add_text_attribute(t, t->function, "probe-stack", "inline-asm");
    if (begin_locals(t, &body) < 0)
        return -1;
    vec_push(&t->frames, outer);
    while (t->frames.count) {
        if (wasm_decode(t->m, &body, &i, t->e) < 0)
            return -1;
        if (t->dead)
            translate_dead(t, &i);
        else if (translate_instruction(t, &i) < 0)
            return err_prefix(t->e, "function %u", function);
    }
    return 0;
}
