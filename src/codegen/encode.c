/* Opcodes and operands into bytes (WebAssembly core specification, chapter 5). */
#include "codegen/encode.h"

void
code_fini(struct wasm_code *c)
{
    buf_fini(&c->bytes);
    vec_fini(&c->patches);
}

void
code_op(struct wasm_code *c, unsigned opcode)
{
    buf_put_u8(&c->bytes, (uint8_t)opcode);
}

void
code_op_index(struct wasm_code *c, unsigned opcode, uint64_t index)
{
    buf_put_u8(&c->bytes, (uint8_t)opcode);
    buf_put_uleb(&c->bytes, index);
}

void
code_i32_const(struct wasm_code *c, uint32_t v)
{
    buf_put_u8(&c->bytes, W_I32_CONST);
    buf_put_sleb(&c->bytes, (int32_t)v);
}

void
code_i64_const(struct wasm_code *c, uint64_t v)
{
    buf_put_u8(&c->bytes, W_I64_CONST);
    buf_put_sleb(&c->bytes, (int64_t)v);
}

void
code_load(struct wasm_code *c, unsigned opcode, uint64_t offset)
{
    buf_put_u8(&c->bytes, (uint8_t)opcode);
    buf_put_u8(&c->bytes, 0); /* x86 promises no alignment */
    buf_put_uleb(&c->bytes, offset);
}

static void
patch(struct wasm_code *c, unsigned opcode, unsigned kind, uint32_t index)
{
    struct wasm_patch p = {.index = index, .kind = (uint8_t)kind};

    buf_put_u8(&c->bytes, (uint8_t)opcode);
    p.offset = (uint32_t)c->bytes.size;
    vec_push(&c->patches, p);
}

void
code_call(struct wasm_code *c, unsigned opcode, uint32_t defined)
{
    patch(c, opcode, WASM_PATCH_FUNCTION, defined);
}

void
code_call_import(struct wasm_code *c, unsigned opcode, uint32_t import)
{
    patch(c, opcode, WASM_PATCH_IMPORT, import);
}

void
code_global(struct wasm_code *c, unsigned opcode, uint32_t global)
{
    patch(c, opcode, WASM_PATCH_GLOBAL, global);
}

uint8_t
wasm_value_type(unsigned ir_type)
{
    switch (ir_type) {
    case IR_I32: return 0x7f;
    case IR_I64: return 0x7e;
    case IR_F32: return 0x7d;
    case IR_F64: return 0x7c;
    default: return 0x7b;
    }
}

void
code_locals(struct buf *out, const uint8_t *types, size_t count)
{
    size_t runs = 0;

    for (size_t i = 0; i < count; i++)
        runs += i == 0 || types[i] != types[i - 1];
    buf_put_uleb(out, runs);
    for (size_t i = 0; i < count;) {
        size_t j = i;

        while (j < count && types[j] == types[i])
            j++;
        buf_put_uleb(out, j - i);
        buf_put_u8(out, wasm_value_type(types[i]));
        i = j;
    }
}
