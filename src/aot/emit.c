/* The small pieces of LLVM IR that the translators of all operators share (emit.h). A function has one trapping block
 * for each kind of trap, which all places that may trap in this way share. */
#include "aot/emit.h"

#include <stdio.h>
#include <string.h>

LLVMBasicBlockRef
aot_new_block(struct translator *t)
{
    return LLVMAppendBasicBlockInContext(t->context, t->function, "");
}

void
aot_enter_block(struct translator *t, LLVMBasicBlockRef block)
{
    LLVMPositionBuilderAtEnd(t->b, block);
    t->epoch++;
}

LLVMBasicBlockRef
aot_trap_block(struct translator *t, enum aot_trap kind)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(t->b);
    LLVMValueRef arg = aot_i32(t, kind);

    if (t->traps[kind])
        return t->traps[kind];
    t->traps[kind] = aot_new_block(t);
    LLVMPositionBuilderAtEnd(t->b, t->traps[kind]);
    LLVMSetInstructionCallConv(LLVMBuildCall2(t->b, t->trap_type, t->trap_function, &arg, 1, ""), AOT_PRESERVE_ALL);
    LLVMBuildUnreachable(t->b);
    LLVMPositionBuilderAtEnd(t->b, here);
    return t->traps[kind];
}

void
aot_trap_if(struct translator *t, LLVMValueRef condition, enum aot_trap kind)
{
    LLVMBasicBlockRef next = aot_new_block(t);
    uint32_t epoch = t->epoch;

    LLVMBuildCondBr(t->b, condition, aot_trap_block(t, kind), next);
    aot_enter_block(t, next);
    t->epoch = epoch; /* The new block has one predecessor, so what was known of the locals' values still holds. */
}

/* --- operands --- */

void
aot_push(struct translator *t, LLVMValueRef v)
{
    vec_push(&t->stack, v);
}

LLVMValueRef
aot_pop(struct translator *t)
{
    return t->stack.items[--t->stack.count];
}

LLVMValueRef
aot_cast(struct translator *t, LLVMValueRef v, LLVMTypeRef type)
{
    return LLVMTypeOf(v) == type ? v : LLVMBuildBitCast(t->b, v, type, "");
}

LLVMValueRef
aot_pop_vec(struct translator *t, enum aot_shape shape)
{
    return aot_cast(t, aot_pop(t), t->vec[shape]);
}

void
aot_push_condition(struct translator *t, LLVMValueRef v)
{
    aot_push(t, LLVMBuildZExt(t->b, v, t->i32, ""));
}

LLVMValueRef
aot_pop_condition(struct translator *t)
{
    LLVMValueRef v = aot_pop(t);

    if (LLVMIsAZExtInst(v) && LLVMTypeOf(LLVMGetOperand(v, 0)) == t->i1)
        return LLVMGetOperand(v, 0);
    return LLVMBuildICmp(t->b, LLVMIntNE, v, aot_i32(t, 0), "");
}

LLVMValueRef
aot_i32(struct translator *t, uint32_t v)
{
    return LLVMConstInt(t->i32, v, 0);
}

LLVMValueRef
aot_i64(struct translator *t, uint64_t v)
{
    return LLVMConstInt(t->i64, v, 0);
}

LLVMValueRef
aot_intrinsic(struct translator *t, const char *name, LLVMTypeRef *overloads, size_t overload_count, LLVMValueRef *args,
              unsigned arg_count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(t->module, id, overloads, overload_count);

    return LLVMBuildCall2(t->b, LLVMIntrinsicGetType(t->context, id, overloads, overload_count), f, args, arg_count,
                          "");
}

static LLVMValueRef
metadata_text(struct translator *t, const char *text)
{
    return LLVMMetadataAsValue(t->context, LLVMMDStringInContext2(t->context, text, strlen(text)));
}

LLVMValueRef
aot_rounded(struct translator *t, const char *name, LLVMTypeRef to, LLVMValueRef *operands, unsigned count)
{
    LLVMTypeRef overloads[2] = {to, LLVMTypeOf(operands[0])};
    LLVMValueRef args[4];
    char full[64];

    for (unsigned i = 0; i < count; i++)
        args[i] = operands[i];
    args[count] = metadata_text(t, "round.dynamic");
    args[count + 1] = metadata_text(t, "fpexcept.ignore");
    snprintf(full, sizeof full, "llvm.experimental.constrained.%s", name);
    return aot_intrinsic(t, full, overloads, to == overloads[1] ? 1 : 2, args, count + 2);
}

LLVMValueRef
aot_intrinsic1(struct translator *t, const char *name, LLVMValueRef a)
{
    LLVMTypeRef type = LLVMTypeOf(a);

    return aot_intrinsic(t, name, &type, 1, &a, 1);
}

LLVMValueRef
aot_intrinsic2(struct translator *t, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef args[2] = {a, b};

    return aot_intrinsic(t, name, &type, 1, args, 2);
}

/* llvm.minimum and llvm.maximum give a NaN as it came; WebAssembly wants it quiet. */
LLVMValueRef
aot_quiet_extremum(struct translator *t, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef operands[2] = {a, b}, unordered = LLVMBuildFCmp(t->b, LLVMRealUNO, a, b, "");
    LLVMValueRef sum = aot_rounded(t, "fadd", LLVMTypeOf(a), operands, 2);

    return LLVMBuildSelect(t->b, unordered, sum, aot_intrinsic2(t, name, a, b), "");
}

/* --- memory --- */

LLVMValueRef
aot_address(struct translator *t, LLVMValueRef address, uint64_t offset, unsigned size)
{
    LLVMValueRef p, wide;

    if (offset + size > AOT_MEMORY_SIZE)
        aot_trap_if(t, LLVMConstInt(t->i1, 1, 0), AOT_TRAP_MEMORY);
    wide = LLVMBuildZExt(t->b, address, t->i64, "");
    p = LLVMBuildIntToPtr(t->b, wide, t->guest_pointer, "");
    if (offset) {
        LLVMValueRef index = aot_i64(t, offset);

        p = LLVMBuildGEP2(t->b, t->i8, p, &index, 1, "");
    }
    return p;
}

LLVMValueRef
aot_load(struct translator *t, LLVMTypeRef type, LLVMValueRef pointer, unsigned alignment)
{
    LLVMValueRef v = LLVMBuildLoad2(t->b, type, pointer, "");

    /* Volatile keeps LLVM from splitting an access that has to stay whole, and from leaving out one whose fault must
     * come. */
    LLVMSetVolatile(v, t->precise_faults || alignment > 1);
    LLVMSetAlignment(v, alignment);
    LLVMSetMetadata(v, t->kind_tbaa, t->tbaa_memory);
    return v;
}

void
aot_store(struct translator *t, LLVMValueRef v, LLVMValueRef pointer, unsigned alignment)
{
    LLVMValueRef s = LLVMBuildStore(t->b, v, pointer);

    LLVMSetVolatile(s, t->precise_faults);
    LLVMSetAlignment(s, alignment);
    LLVMSetMetadata(s, t->kind_tbaa, t->tbaa_memory);
}
