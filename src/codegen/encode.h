/* Writing wasm code: opcodes, operands, and the places whose indices are known only when the module is
 * finished (imports come first in every index space, and only used ones are imported). */
#ifndef CODEGEN_ENCODE_H
#define CODEGEN_ENCODE_H

#include "base/buf.h"
#include "base/vec.h"
#include "ir/ir.h"

/* clang-format off */
enum {
    W_UNREACHABLE = 0x00, W_BLOCK = 0x02, W_LOOP = 0x03, W_IF = 0x04, W_ELSE = 0x05, W_END = 0x0b,
    W_BR = 0x0c, W_BR_IF = 0x0d, W_BR_TABLE = 0x0e, W_RETURN = 0x0f, W_CALL = 0x10,
    W_CALL_INDIRECT = 0x11, W_RETURN_CALL = 0x12, W_RETURN_CALL_INDIRECT = 0x13,
    W_DROP = 0x1a, W_SELECT = 0x1b,
    W_LOCAL_GET = 0x20, W_LOCAL_SET = 0x21, W_LOCAL_TEE = 0x22, W_GLOBAL_GET = 0x23, W_GLOBAL_SET = 0x24,
    W_I32_LOAD = 0x28, W_I64_LOAD = 0x29,
    W_I32_CONST = 0x41, W_I64_CONST = 0x42, W_F32_CONST = 0x43, W_F64_CONST = 0x44,
    W_I32_EQZ = 0x45, W_I32_LT_U = 0x49, W_I64_EQZ = 0x50, W_I64_NE = 0x52, W_I64_LT_U = 0x54,
    W_F32_LT = 0x5d, W_F64_LT = 0x63,
    W_I32_ADD = 0x6a, W_I32_SUB = 0x6b, W_I32_MUL = 0x6c, W_I32_AND = 0x71, W_I32_SHL = 0x74, W_I32_SHR_U = 0x76,
    W_I64_POPCNT = 0x7b, W_I64_ADD = 0x7c, W_I64_SUB = 0x7d, W_I64_AND = 0x83, W_I64_OR = 0x84, W_I64_XOR = 0x85,
    W_I64_SHL = 0x86, W_I64_SHR_U = 0x88, W_I32_WRAP = 0xa7,
    W_PREFIX_FC = 0xfc, W_PREFIX_FD = 0xfd,
    W_VOID = 0x40,
};
/* clang-format on */

/* Function types with fixed indices in every code object: that of guest code (convention.def), and of
 * intrinsic.fault_state. */
enum { W_TYPE_GUEST, W_TYPE_FAULT_STATE, W_TYPE_FIXED };

enum wasm_import {
    WASM_IMPORT_SYSCALL,
    WASM_IMPORT_ENTER,
    WASM_IMPORT_UNWIND,
    WASM_IMPORT_TRAP,
    WASM_IMPORT_POLL,
    WASM_IMPORT_SP,
    WASM_IMPORT_MULHU,
    WASM_IMPORT_MULHS,
    WASM_IMPORT_FAULT_STATE,
    WASM_IMPORT_HOST,                                      /* + enum ir_opcode - IR_HOST_FIRST */
    WASM_IMPORT_HELPER = WASM_IMPORT_HOST + IR_HOST_COUNT, /* + enum ir_helper */
    WASM_IMPORT_COUNT = WASM_IMPORT_HELPER + IR_HELPER_COUNT
};

enum wasm_global { /* below: enum x86_state */
                   WASM_GLOBAL_CODE_BASE = X86_S_COUNT,
                   WASM_GLOBAL_TABLE_BASE,
                   WASM_GLOBAL_COUNT
};

enum { WASM_PATCH_FUNCTION, WASM_PATCH_IMPORT, WASM_PATCH_GLOBAL };

struct wasm_patch { /* an unsigned LEB index goes in at this offset */
    uint32_t offset;
    uint32_t index;
    uint8_t kind;
};

struct wasm_code {
    struct buf bytes;
    VEC(struct wasm_patch) patches;
};

void code_fini(struct wasm_code *c);
void code_op(struct wasm_code *c, unsigned opcode);
void code_op_index(struct wasm_code *c, unsigned opcode, uint64_t index); /* opcode, uleb */
void code_i32_const(struct wasm_code *c, uint32_t v);
void code_i64_const(struct wasm_code *c, uint64_t v);
void code_load(struct wasm_code *c, unsigned opcode, uint64_t offset);  /* loads and stores: no alignment */
void code_call(struct wasm_code *c, unsigned opcode, uint32_t defined); /* of a defined function */
void code_call_import(struct wasm_code *c, unsigned opcode, uint32_t import);
void code_global(struct wasm_code *c, unsigned opcode, uint32_t global);
/* Local declarations for locals of the given types, run by run. */
void code_locals(struct buf *out, const uint8_t *types, size_t count);
/* The value type byte of an IR type. */
uint8_t wasm_value_type(unsigned ir_type);

#endif
