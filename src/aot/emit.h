/* What the translators of all operators write LLVM IR with: the operand stack, blocks, traps, constants, intrinsics, and
 * accesses to guest memory. Every function writes at the place where the translator's builder stands. */
#ifndef AOT_EMIT_H
#define AOT_EMIT_H

#include "aot/aot_internal.h"

/* The operand stack of wasm. The module is validated, so there always is an operand to pop. */
void aot_push(struct translator *t, LLVMValueRef v);
LLVMValueRef aot_pop(struct translator *t);
LLVMValueRef aot_pop_vec(struct translator *t, enum aot_shape shape);
LLVMValueRef aot_pop_condition(struct translator *t); /* i1: the i32 popped is not zero */
void aot_push_condition(struct translator *t, LLVMValueRef i1_value);
LLVMValueRef aot_cast(struct translator *t, LLVMValueRef v, LLVMTypeRef type);

/* Basic blocks of the function. To enter one is to write there from now on; what was known of the locals' values is forgotten. */
LLVMBasicBlockRef aot_new_block(struct translator *t);
void aot_enter_block(struct translator *t, LLVMBasicBlockRef block);
/* The block of this function that traps. */
LLVMBasicBlockRef aot_trap_block(struct translator *t, enum aot_trap kind);
/* Traps when the condition, an i1, holds; goes on in a block of its own. */
void aot_trap_if(struct translator *t, LLVMValueRef condition, enum aot_trap kind);
LLVMValueRef aot_i32(struct translator *t, uint32_t v);
LLVMValueRef aot_i64(struct translator *t, uint64_t v);
/* overloads: the types an overloaded intrinsic is named by; argument types come from the values. */
LLVMValueRef aot_intrinsic(struct translator *t, const char *name, LLVMTypeRef *overloads, size_t overload_count,
                           LLVMValueRef *args, unsigned arg_count);
/* Arithmetic and conversions that round ("fadd", "fptrunc" ...; LLVM's constrained intrinsics): by the guest's
 * rounding, also where LLVM knows the operands. What it folds by itself is rounded to nearest. */
LLVMValueRef aot_rounded(struct translator *t, const char *name, LLVMTypeRef to, LLVMValueRef *operands,
                         unsigned count);
LLVMValueRef aot_intrinsic1(struct translator *t, const char *name, LLVMValueRef a);
LLVMValueRef aot_intrinsic2(struct translator *t, const char *name, LLVMValueRef a, LLVMValueRef b);
/* llvm.minimum or llvm.maximum, but with quiet NaNs; of scalars and vectors. */
LLVMValueRef aot_quiet_extremum(struct translator *t, const char *name, LLVMValueRef a, LLVMValueRef b);

/* Accesses to guest memory. alignment: 1, or more for an access that has to stay whole. */
LLVMValueRef aot_address(struct translator *t, LLVMValueRef address, uint64_t offset, unsigned size);
LLVMValueRef aot_load(struct translator *t, LLVMTypeRef type, LLVMValueRef pointer, unsigned alignment);
void aot_store(struct translator *t, LLVMValueRef v, LLVMValueRef pointer, unsigned alignment);

#endif
