/* Keeps LLVM's compile time near linear where control flow has huge joins.
 *
 * The register coalescer takes time quadratic in the number of predecessors of a join, for each value that
 * meets there: a function of 987 entries that all end in one indirect jump took 50 s, 93 % of it there. In such
 * a function the values go through the stack frame instead. An interpreter's dispatch (some 250
 * predecessors) stays below the limit and in registers. */
#include "aot/aot_internal.h"

enum {
    LARGE_JOIN = 128,           /* predecessors */
    JOIN_COST = 8 * 1000 * 1000 /* per function: sum of squares over the values of large joins */
};

static unsigned
phi_inputs(LLVMValueRef i)
{
    return LLVMIsAPHINode(i) ? LLVMCountIncoming(i) : 0;
}

/* Joins that return at once are cheap, however large: their values are in the result registers already. */
static bool
is_return(LLVMBasicBlockRef block)
{
    return LLVMIsAReturnInst(LLVMGetBasicBlockTerminator(block));
}

static uint64_t
join_cost(LLVMValueRef function)
{
    uint64_t cost = 0;

    for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(function); block; block = LLVMGetNextBasicBlock(block))
        for (LLVMValueRef i = LLVMGetFirstInstruction(block); i && LLVMIsAPHINode(i); i = LLVMGetNextInstruction(i))
            if (phi_inputs(i) > LARGE_JOIN && !is_return(block))
                cost += (uint64_t)phi_inputs(i) * phi_inputs(i);
    return cost;
}

static LLVMValueRef
first_after_phis(LLVMBasicBlockRef block)
{
    LLVMValueRef i = LLVMGetFirstInstruction(block);

    while (LLVMIsAPHINode(i))
        i = LLVMGetNextInstruction(i);
    return i;
}

/* The stores come before the predecessors' terminators, the load at the start of the join; every use of the
 * phi, those in stores of other phis too, becomes the load. */
static void
demote(LLVMBuilderRef b, LLVMBasicBlockRef entry, LLVMBasicBlockRef block, LLVMValueRef phi)
{
    LLVMTypeRef type = LLVMTypeOf(phi);
    LLVMValueRef slot, load;

    LLVMPositionBuilderBefore(b, LLVMGetFirstInstruction(entry));
    slot = LLVMBuildAlloca(b, type, "");
    for (unsigned k = 0; k < LLVMCountIncoming(phi); k++) {
        LLVMPositionBuilderBefore(b, LLVMGetBasicBlockTerminator(LLVMGetIncomingBlock(phi, k)));
        LLVMBuildStore(b, LLVMGetIncomingValue(phi, k), slot);
    }
    LLVMPositionBuilderBefore(b, first_after_phis(block));
    load = LLVMBuildLoad2(b, type, slot, "");
    LLVMReplaceAllUsesWith(phi, load);
    LLVMInstructionEraseFromParent(phi);
}

void
aot_limit_phis(LLVMContextRef context, LLVMModuleRef module)
{
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);

    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f)) {
        if (join_cost(f) <= JOIN_COST)
            continue;
        for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f); block; block = LLVMGetNextBasicBlock(block)) {
            LLVMValueRef i = LLVMGetFirstInstruction(block), next;

            for (; i && LLVMIsAPHINode(i); i = next) {
                next = LLVMGetNextInstruction(i);
                if (phi_inputs(i) > LARGE_JOIN && !is_return(block))
                    demote(b, LLVMGetEntryBasicBlock(f), block, i);
            }
        }
    }
    LLVMDisposeBuilder(b);
}
