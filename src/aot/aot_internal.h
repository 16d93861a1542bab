/* What the files of aot share: one struct translator per part being compiled. */
#ifndef AOT_INTERNAL_H
#define AOT_INTERNAL_H

#include "aot/aot.h"
#include "wasm/reader.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

/* Host segments: address spaces of the x86 back end (LLVM, "X86 specific language extensions"). */
enum { AOT_SPACE_GS = 256, AOT_SPACE_FS = 257 };
/* LLVM calling conventions x86_regcallcc (and how many integers it takes and returns in registers) and
 * preserve_allcc. */
enum { AOT_REGCALL = 92, AOT_REGCALL_REGISTERS = 11, AOT_PRESERVE_ALL = 15 };
/* Guest memory, and behind it as much again that is never mapped (vkernel/mm/mm.h): an address and any
 * static offset reach nothing else. Only an access beyond both, which always traps, is checked. */
#define AOT_MEMORY_SIZE (1ull << 32)

/* The custom section of a module whose faults are precise (codegen/object.h). */
#define AOT_PRECISE_SECTION "ingot.precise"
/* intrinsic.fault_state (codegen/object.h): an address, a mask and the registers it is about. */
enum { AOT_FAULT_STATE_REGISTERS = 16, AOT_FAULT_STATE_PARAMETERS = 2 + AOT_FAULT_STATE_REGISTERS };

enum aot_shape { AOT_I8X16, AOT_I16X8, AOT_I32X4, AOT_I64X2, AOT_F32X4, AOT_F64X2, AOT_SHAPE_COUNT };

/* For tests/aot/aot_tool.c: options for LLVM's command line, separated by spaces. Set before the first compilation. */
extern const char *aot_further_llvm_options;

enum aot_effort { AOT_EFFORT_FULL, AOT_EFFORT_LESS, AOT_EFFORT_LEAST };

struct aot_frame {
    enum wasm_op op;
    LLVMBasicBlockRef target; /* of branches; NULL: the function, whose branches return */
    LLVMBasicBlockRef after;  /* block, if: same as target; loop: none */
    LLVMBasicBlockRef otherwise;
    size_t phis; /* first in translator.phis, one for each value a branch carries */
    uint32_t phi_count;
    size_t params; /* IF: first in translator.params, kept for its else */
    struct wasm_functype type;
    size_t height; /* of the operand stack below the parameters */
};

struct translator {
    const struct wasm_module *m;
    const struct aot_options *options;
    struct err *e;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef b;

    LLVMTypeRef i1, i8, i16, i32, i64, i128, f32, f64, pointer, guest_pointer, void_type;
    LLVMTypeRef vec[AOT_SHAPE_COUNT];
    LLVMTypeRef table_type;
    LLVMValueRef *functions; /* by wasm index, made when first used */
    LLVMValueRef *globals;   /* by wasm index */
    LLVMTypeRef *types;      /* by wasm type index */
    LLVMValueRef table, table_size, trap_function, memory_copy, memory_fill;
    LLVMTypeRef trap_type;
    LLVMValueRef tbaa_memory, tbaa_cpu, empty_node;
    LLVMValueRef stack_pointer_name;
    bool precise_faults; /* section "ingot.precise": traps happen in order with all that other code may see */
    unsigned kind_tbaa, kind_invariant, kind_absolute;

    /* The function being translated. */
    uint32_t index;
    LLVMValueRef function;
    const struct wasm_functype *type;
    uint8_t *local_types;
    LLVMValueRef *locals;       /* allocas */
    LLVMValueRef *local_values; /* known value of the local in this block ... */
    uint32_t *local_epochs;     /* ... when its epoch is the block's */
    size_t local_count, local_room;
    uint32_t epoch;
    LLVMBasicBlockRef traps[AOT_TRAP_COUNT];
    bool dead; /* after an unconditional branch, up to the end of its block */
    uint32_t dead_depth;
    VEC(LLVMValueRef) stack;
    VEC(struct aot_frame) frames;
    VEC(LLVMValueRef) phis;
    VEC(LLVMValueRef) params;
};

/* --- translate_module.c --- */
/* Value type of a wasm type byte; v128 is <2 x i64> wherever types must agree. */
LLVMTypeRef aot_type(struct translator *t, uint8_t type);
LLVMTypeRef aot_function_type(struct translator *t, uint32_t type);
LLVMValueRef aot_function(struct translator *t, uint32_t function);
LLVMValueRef aot_global_symbol(struct translator *t, uint32_t index);
bool aot_is_guest_type(const struct wasm_functype *type);
bool aot_is_poll_type(const struct wasm_functype *type);
extern const char aot_no_saved_registers[]; /* an attribute's name */
void aot_add_text_attribute(struct translator *t, LLVMValueRef function, const char *name, const char *value);
int aot_translator_init(struct translator *t, const struct wasm_module *m, const struct aot_options *options,
                        LLVMContextRef context, LLVMModuleRef module, struct err *e);
void aot_translator_fini(struct translator *t);
int aot_define_table(struct translator *t);

/* --- translate.c --- */
int aot_translate_function(struct translator *t, uint32_t function);

/* Operators; false: not theirs. */
bool aot_translate_scalar(struct translator *t, const struct wasm_instruction *i);
bool aot_translate_simd(struct translator *t, const struct wasm_instruction *i);

/* translate_host.c: imports of module "intrinsic" that are instructions of the host. */
bool aot_is_host_import(struct wasm_bytes name, const struct wasm_functype *type);
int aot_translate_host(struct translator *t, struct wasm_bytes name); /* one of them */

/* limit_phis.c: after the passes, before code generation. */
void aot_limit_phis(LLVMContextRef context, LLVMModuleRef module);
/* partial_registers.c: the same. */
void aot_guard_partial_registers(LLVMContextRef context, LLVMModuleRef module);

/* fault_map.c: the object file at this offset of the buffer. */
int aot_rewrite_stack_maps(struct buf *object, size_t start, struct err *e);

/* How the functions of a module are spread over parts: a function of the module's content alone. */
struct aot_plan {
    uint32_t *part_of;       /* by function; imported ones have none */
    enum aot_effort *effort; /* by part */
    unsigned parts;
};
void aot_plan_make(struct aot_plan *plan, const struct wasm_module *m);
void aot_plan_fini(struct aot_plan *plan);

/* LLVM's text of a part, before or after the pass list: for the developer's tool. */
int aot_print(const uint8_t *module, size_t size, unsigned part, const struct aot_options *options, bool optimised,
              struct buf *out, struct err *e);

#endif
