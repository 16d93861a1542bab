/* Finding the compiled entry of a guest address, in wasm: the code map's lookup (x86/address_space.h), and the function
 * of each object that every indirect call and jump goes through. It is a function, not inline code, because
 * the lookup would be a third of the IR of call-heavy code, and the compiler's time with it. */
#include "wasm/object_internal.h"

#include "x86/address_space.h"

/* Opens two ifs around what happens when the target has a compiled entry. */
void
code_lookup_begin(struct wasm_code *c, const struct lookup_locals *l)
{
    code_op_index(c, W_LOCAL_GET, l->target);
    code_i64_const(c, GUEST_IMAGE_END);
    code_op(c, W_I64_LT_U);
    code_op_index(c, W_IF, W_VOID);
    code_op_index(c, W_LOCAL_GET, l->target);
    code_i64_const(c, 6);
    code_op(c, W_I64_SHR_U);
    code_op(c, W_I32_WRAP);
    code_i32_const(c, 4);
    code_op(c, W_I32_SHL);
    code_op_index(c, W_LOCAL_TEE, l->map);
    code_load(c, W_I64_LOAD, GUEST_CODE_MAP);
    code_op_index(c, W_LOCAL_TEE, l->bits);
    code_op_index(c, W_LOCAL_GET, l->target);
    code_op(c, W_I64_SHR_U);
    code_op(c, W_I32_WRAP);
    code_i32_const(c, 1);
    code_op(c, W_I32_AND);
    code_op_index(c, W_IF, W_VOID);
}

/* The table index of the entry found: rank + popcount of the bits below. */
void
code_lookup_index(struct wasm_code *c, const struct lookup_locals *l)
{
    code_op_index(c, W_LOCAL_GET, l->map);
    code_load(c, W_I32_LOAD, GUEST_CODE_MAP + 8);
    code_op_index(c, W_LOCAL_GET, l->bits);
    code_i64_const(c, UINT64_MAX);
    code_op_index(c, W_LOCAL_GET, l->target);
    code_op(c, W_I64_SHL);
    code_i64_const(c, UINT64_MAX);
    code_op(c, W_I64_XOR);
    code_op(c, W_I64_AND);
    code_op(c, W_I64_POPCNT);
    code_op(c, W_I32_WRAP);
    code_op(c, W_I32_ADD);
}

enum { LINK = 10, TARGET = 11, MAP = 12, BITS = 13 };

static void
push_parameters(struct wasm_code *c)
{
    for (unsigned i = 0; i <= LINK; i++)
        code_op_index(c, W_LOCAL_GET, i);
}

/* Goes on at the compiled entry of cpu.tmp0; without one, kernel.enter does. */
void
code_dispatcher(struct wasm_code *c)
{
    static const uint8_t types[] = {IR_I64, IR_I32, IR_I64};
    struct lookup_locals l = {.target = TARGET, .map = MAP, .bits = BITS};

    code_locals(&c->bytes, types, sizeof types);
    code_global(c, W_GLOBAL_GET, X86_S_TMP0);
    code_op_index(c, W_LOCAL_SET, TARGET);
    code_lookup_begin(c, &l);
    push_parameters(c);
    code_lookup_index(c, &l);
    code_op_index(c, W_RETURN_CALL_INDIRECT, W_TYPE_GUEST);
    buf_put_uleb(&c->bytes, 0);
    code_op(c, W_END);
    code_op(c, W_END);
    push_parameters(c);
    code_call_import(c, W_RETURN_CALL, WASM_IMPORT_ENTER);
    code_op(c, W_END);
}
