/* Finding the compiled entry of a guest address, in wasm: the code map's lookup (x86/address_space.h) in the function
 * of each object that every indirect call and jump goes through. It is a function, not inline code, because the lookup
 * would be a third of the IR of call-heavy code, and the compiler's time with it. */
#include "codegen/object_internal.h"

#include "x86/address_space.h"

enum { TARGET = PARAMETER_COUNT, ENTRY };
enum { BITS_SHIFT = 32, UNIT_MASK = GUEST_CODE_MAP_UNIT - 1 }; /* of struct code_map_entry as one number */

static void
push_parameters(struct wasm_code *c)
{
    for (unsigned i = 0; i < PARAMETER_COUNT; i++)
        code_op_index(c, W_LOCAL_GET, i);
}

static void
push_offset_in_unit(struct wasm_code *c)
{
    code_op_index(c, W_LOCAL_GET, TARGET);
    code_i64_const(c, UNIT_MASK);
    code_op(c, W_I64_AND);
}

/* The entry's bit number that is on the stack: an i32 condition. */
static void
test_bit(struct wasm_code *c)
{
    code_op(c, W_I64_SHR_U);
    code_i64_const(c, 1);
    code_op(c, W_I64_AND);
    code_op(c, W_I32_WRAP);
}

static void
jump(struct wasm_code *c)
{
    code_op_index(c, W_RETURN_CALL_INDIRECT, W_TYPE_GUEST);
    buf_put_uleb(&c->bytes, 0);
}

/* The target is the first address of its unit: its table index is the rank. */
static void
jump_to_first(struct wasm_code *c)
{
    code_op_index(c, W_LOCAL_GET, ENTRY);
    code_i64_const(c, BITS_SHIFT);
    test_bit(c);
    code_op_index(c, W_IF, W_VOID);
    push_parameters(c);
    code_op_index(c, W_LOCAL_GET, ENTRY);
    code_op(c, W_I32_WRAP);
    jump(c);
    code_op(c, W_END);
}

/* Any other: rank + population count of the bits below. */
static void
jump_to_inner(struct wasm_code *c)
{
    code_op_index(c, W_LOCAL_GET, ENTRY);
    push_offset_in_unit(c);
    code_i64_const(c, BITS_SHIFT);
    code_op(c, W_I64_OR);
    test_bit(c);
    code_op_index(c, W_IF, W_VOID);
    push_parameters(c);
    code_op_index(c, W_LOCAL_GET, ENTRY);
    code_op(c, W_I32_WRAP);
    code_op_index(c, W_LOCAL_GET, ENTRY);
    code_i64_const(c, BITS_SHIFT);
    code_op(c, W_I64_SHR_U);
    code_i64_const(c, UINT64_MAX);
    push_offset_in_unit(c);
    code_op(c, W_I64_SHL);
    code_i64_const(c, UINT64_MAX);
    code_op(c, W_I64_XOR);
    code_op(c, W_I64_AND);
    code_op(c, W_I64_POPCNT);
    code_op(c, W_I32_WRAP);
    code_op(c, W_I32_ADD);
    jump(c);
    code_op(c, W_END);
}

/* Goes on at the compiled entry of cpu.tmp0; without one, kernel.enter does. */
void
code_dispatcher(struct wasm_code *c)
{
    static const uint8_t types[] = {IR_I64, IR_I64};

    code_locals(&c->bytes, types, sizeof types);
    code_global(c, W_GLOBAL_GET, X86_S_TMP0);
    code_op_index(c, W_LOCAL_TEE, TARGET);
    code_i64_const(c, GUEST_IMAGE_END);
    code_op(c, W_I64_LT_U);
    code_op_index(c, W_IF, W_VOID);
    code_op_index(c, W_LOCAL_GET, TARGET);
    code_i64_const(c, 4);
    code_op(c, W_I64_SHR_U);
    code_op(c, W_I32_WRAP);
    code_i32_const(c, 3);
    code_op(c, W_I32_SHL);
    code_load(c, W_I64_LOAD, GUEST_CODE_MAP);
    code_op_index(c, W_LOCAL_SET, ENTRY);
    push_offset_in_unit(c);
    code_op(c, W_I64_EQZ);
    code_op_index(c, W_IF, W_VOID);
    jump_to_first(c);
    code_op(c, W_ELSE);
    jump_to_inner(c);
    code_op(c, W_END);
    code_op(c, W_END);
    push_parameters(c);
    code_call_import(c, W_RETURN_CALL, WASM_IMPORT_ENTER);
    code_op(c, W_END);
}

_Static_assert(GUEST_CODE_MAP_UNIT == 1 << 4 && sizeof(struct code_map_entry) == 1 << 3, "the shifts above");
