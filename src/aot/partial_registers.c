/* Keeps LLVM from taking the upper half of a register for zero where it is not.
 *
 * LLVM 19 (X86InstrCompiler.td) selects (x & -256) | load8, of 32 bits, as a load into the low byte of x's register,
 * and yet counts it among the operations that clear the upper half, so that its zero extension to 64 bits is no
 * instruction. x's register may be one of 64 bits whose upper half is not zero. The same holds for 16 bits. An empty
 * inline assembly between the two hides where the 32 bits come from; the extension is then a mov. */
#include "aot/aot_internal.h"

static bool
keeps_upper_part(LLVMValueRef v)
{
    LLVMValueRef mask;

    if (!LLVMIsABinaryOperator(v) || LLVMGetInstructionOpcode(v) != LLVMAnd)
        return false;
    mask = LLVMGetOperand(v, 1);
    if (!LLVMIsAConstantInt(mask))
        return false;
    return (uint32_t)LLVMConstIntGetZExtValue(mask) == 0xffffff00 ||
           (uint32_t)LLVMConstIntGetZExtValue(mask) == 0xffff0000;
}

static bool
is_extended_load(LLVMValueRef v)
{
    return LLVMIsAZExtInst(v) && LLVMIsALoadInst(LLVMGetOperand(v, 0));
}

/* or i32 (and i32 x, -256), (zext (load)), in either order */
static bool
is_merge(LLVMValueRef v, LLVMTypeRef i32)
{
    LLVMValueRef a, b;

    if (LLVMTypeOf(v) != i32 || !LLVMIsABinaryOperator(v) || LLVMGetInstructionOpcode(v) != LLVMOr)
        return false;
    a = LLVMGetOperand(v, 0);
    b = LLVMGetOperand(v, 1);
    return (keeps_upper_part(a) && is_extended_load(b)) || (keeps_upper_part(b) && is_extended_load(a));
}

void
aot_guard_partial_registers(LLVMContextRef context, LLVMModuleRef module)
{
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(context), type = LLVMFunctionType(i32, &i32, 1, 0);
    LLVMValueRef hide = LLVMGetInlineAsm(type, "", 0, "=r,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);

    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f)) {
        for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f); block; block = LLVMGetNextBasicBlock(block)) {
            for (LLVMValueRef i = LLVMGetFirstInstruction(block); i; i = LLVMGetNextInstruction(i)) {
                LLVMValueRef v;

                if (!LLVMIsAZExtInst(i) || !is_merge(LLVMGetOperand(i, 0), i32))
                    continue;
                v = LLVMGetOperand(i, 0);
                LLVMPositionBuilderBefore(b, i);
                LLVMSetOperand(i, 0, LLVMBuildCall2(b, type, hide, &v, 1, ""));
            }
        }
    }
    LLVMDisposeBuilder(b);
}
