/* The IR's tables, made from the .def files, and the life of a function. */
#include "ir/ir.h"

#include <stddef.h>
#include <string.h>

#define V    IR_V
#define I32  IR_I32
#define I64  IR_I64
#define F32  IR_F32
#define F64  IR_F64
#define V128 IR_V128

const struct ir_op_info ir_op_infos[IR_OP_COUNT] = {
#define OP(name, result, a, b, c, wasm, expression) [IR_##name] = {#name, result, a, b, c, wasm, -1, 0},
#define SIMD(name, result, a, b, c, sub)            [IR_##name] = {#name, result, a, b, c, 0, sub, 0},
#define HOST(name, result, a, b, c, immediate) \
    [IR_##name] = {#name, result, a, b, c, 0, -1, 1 + ((b) != V) + ((c) != V) + (immediate)},
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
};

/* helpers.def writes its flags as a run of letters; both compilers fold the search. */
#define LETTER(flags, c, bit) (__builtin_strchr(#flags, c) != 0 ? (bit) : 0)
#define FLAGS(flags)                                                                        \
    (uint8_t)(LETTER(flags, 'P', IR_HELPER_PURE) | LETTER(flags, 'C', IR_HELPER_CPU) |      \
              LETTER(flags, 'S', IR_HELPER_STATE) | LETTER(flags, 'T', IR_HELPER_TMP) |     \
              LETTER(flags, 'M', IR_HELPER_MEMORY) | LETTER(flags, 'X', IR_HELPER_RAISES) | \
              LETTER(flags, 'R', IR_HELPER_ROUNDING))

const struct ir_helper_info ir_helper_infos[IR_HELPER_COUNT] = {
#define HELPER(name, result, a, b, c, flags) [IR_HELPER_##name] = {#name, result, a, b, c, FLAGS(flags)},
#include "ir/helpers.def"
#undef HELPER
};

const struct ir_state_info ir_state_infos[X86_S_COUNT] = {
#define STATE(id, name, type, member) [X86_S_##id] = {name, type, offsetof(struct x86_cpu, member)},
#include "x86/state.def"
#undef STATE
};

#undef V
#undef I32
#undef I64
#undef F32
#undef F64
#undef V128

_Static_assert(X86_S_COUNT < 8 * sizeof(ir_states), "a set of states, and one bit for lockstep");

void
ir_func_init(struct ir_func *f, uint64_t address)
{
    memset(f, 0, sizeof *f);
    f->address = address;
}

void
ir_func_fini(struct ir_func *f)
{
    arena_fini(&f->arena);
    vec_fini(&f->ops);
    vec_fini(&f->blocks);
    vec_fini(&f->assumptions);
}

void
ir_func_clear(struct ir_func *f, uint64_t address)
{
    arena_fini(&f->arena);
    f->ops.count = 0;
    f->blocks.count = 0;
    f->assumptions.count = 0;
    f->address = address;
}

enum ir_type
ir_type_of(const struct ir_func *f, ir_value v)
{
    const struct ir_op *op;

    if (v >= f->ops.count)
        return IR_V;
    op = &f->ops.items[v];
    if (op->op == IR_GET)
        return op->aux < X86_S_COUNT ? ir_state_infos[op->aux].type : IR_V;
    if (op->op == IR_HELPER)
        return op->aux < IR_HELPER_COUNT ? ir_helper_infos[op->aux].result : IR_V;
    return ir_op_infos[op->op].result;
}

const char *
ir_host_name(enum ir_opcode op, char *out, size_t size)
{
    const char *name = ir_op_infos[op].name;
    size_t n = 0;

    for (; name[n] && n + 1 < size; n++)
        out[n] = (char)(name[n] >= 'A' && name[n] <= 'Z' ? name[n] + 'a' - 'A' : name[n]);
    out[n] = 0;
    return out;
}

bool
ir_op_is_pure(const struct ir_op *op)
{
    switch (op->op) {
    case IR_HELPER: return ir_helper_infos[op->aux].flags == IR_HELPER_PURE;
    case IR_GET:
    case IR_SET:
    case IR_FENCE:
    case IR_COMISS:
    case IR_COMISD:
        /* These trap: a removed one would lose a guest fault (Go's nil checks are dead loads). */
        /* clang-format off */
    case IR_DIVS64: case IR_DIVU64: case IR_REMS64: case IR_REMU64:
    case IR_V128_LOAD: case IR_V128_LOAD32_ZERO: case IR_V128_LOAD64_ZERO: case IR_V128_STORE:
        /* clang-format on */
        return false;
    default: return !(op->op >= IR_LOAD8U32 && op->op <= IR_ATOMIC_CMPXCHG);
    }
}

bool
ir_op_accesses(const struct ir_op *op)
{
    switch (op->op) {
    case IR_HELPER: return (ir_helper_infos[op->aux].flags & IR_HELPER_MEMORY) != 0;
    case IR_V128_LOAD:
    case IR_V128_LOAD32_ZERO:
    case IR_V128_LOAD64_ZERO:
    case IR_V128_STORE: return true;
    default: return op->op >= IR_LOAD8U32 && op->op <= IR_ATOMIC_CMPXCHG;
    }
}

bool
ir_op_computes_float(const struct ir_op *op)
{
    return (op->op >= IR_EQF32 && op->op <= IR_PROMOTE) ||
           (op->op >= IR_F32X4_SQRT && op->op <= IR_F64X2_CONVERT_LOW_I32X4_S) ||
           op->op == IR_F32X4_DEMOTE_F64X2_ZERO || op->op == IR_F64X2_PROMOTE_LOW_F32X4 || op->op >= IR_HOST_FIRST;
}

#define STATES(first, last) (IR_STATE_BIT(X86_S_##last + 1) - IR_STATE_BIT(X86_S_##first))
#define STATES_OF_S         (STATES(CF, OF) | STATES(DF, DF) | STATES(XMM0, YMMH15) | STATES(MM0, MM7))

ir_states
ir_helper_reads(enum ir_helper h)
{
    unsigned flags = ir_helper_infos[h].flags;
    ir_states set = 0;

    if (flags & IR_HELPER_RAISES)
        return IR_STATES_ALL;
    if (flags & IR_HELPER_STATE)
        set |= STATES_OF_S | STATES(FSBASE, GSBASE);
    if (flags & (IR_HELPER_STATE | IR_HELPER_TMP))
        set |= STATES(TMP0, TMPV);
    if (flags & IR_HELPER_CPU)
        set |= STATES(MM0, MM7);
    return set;
}

ir_states
ir_helper_writes(enum ir_helper h)
{
    unsigned flags = ir_helper_infos[h].flags;
    ir_states set = 0;

    if (flags & IR_HELPER_ROUNDING)
        return IR_STATES_ALL & ~IR_STATE_BIT(X86_S_LIMIT) & ~IR_STATE_BIT(X86_S_STACK);
    if (flags & IR_HELPER_STATE)
        set |= STATES_OF_S | STATES(TMPV, TMPV);
    if (flags & IR_HELPER_TMP)
        set |= STATES(TMP0, TMP1);
    if (flags & IR_HELPER_CPU)
        set |= STATES(MM0, MM7);
    return set;
}

enum ir_type
ir_terminator_type(enum ir_terminator_kind kind)
{
    switch (kind) {
    case IR_T_BRANCH:
    case IR_T_SWITCH: return IR_I32;
    case IR_T_JUMP_INDIRECT:
    case IR_T_CALL_INDIRECT:
    case IR_T_RETURN: return IR_I64;
    default: return IR_V;
    }
}
