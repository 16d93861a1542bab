/* The interpreter: one handler per IR operation, generated from the expression column of ir/ops.def,
 * those that need more written out, and the loop from block to block. */
#include "eval/eval_internal.h"

#include <string.h>

#include "base/single_access.h"
#include "ir/helper_functions.h"

struct eval_labels eval_labels;

typedef char type_v;
typedef uint32_t type_i32;
typedef uint64_t type_i64;
typedef float type_f32;
typedef double type_f64;
typedef uint64_t type_v128 __attribute__((vector_size(16)));

#define TYPE_V    type_v
#define TYPE_I32  type_i32
#define TYPE_I64  type_i64
#define TYPE_F32  type_f32
#define TYPE_F64  type_f64
#define TYPE_V128 type_v128

/* --- helpers: one adapter each, by the types in ir/helpers.def --- */
#define IN32(x) (*(const uint32_t *)(base + op->x))
#define IN64(x) (*(const uint64_t *)(base + op->x))

#define ARGS_V_V_V
#define ARGS_I32_V_V     IN32(a)
#define ARGS_I64_V_V     IN64(a)
#define ARGS_I32_I32_V   IN32(a), IN32(b)
#define ARGS_I32_I64_V   IN32(a), IN64(b)
#define ARGS_I64_I32_V   IN64(a), IN32(b)
#define ARGS_I64_I64_V   IN64(a), IN64(b)
#define ARGS_I32_I32_I32 IN32(a), IN32(b), IN32(c)
#define ARGS_I32_I32_I64 IN32(a), IN32(b), IN64(c)
#define ARGS_I32_I64_I32 IN32(a), IN64(b), IN32(c)
#define ARGS_I32_I64_I64 IN32(a), IN64(b), IN64(c)
#define ARGS_I64_I32_I32 IN64(a), IN32(b), IN32(c)
#define ARGS_I64_I32_I64 IN64(a), IN32(b), IN64(c)
#define ARGS_I64_I64_I32 IN64(a), IN64(b), IN32(c)
#define ARGS_I64_I64_I64 IN64(a), IN64(b), IN64(c)

#define RESULT_V(e)   e
#define RESULT_I32(e) *(uint64_t *)(base + op->d) = e
#define RESULT_I64(e) *(uint64_t *)(base + op->d) = e

#define HELPER(name, r, a, b, c, flags)                           \
    static void call_##name(const struct eval_op *op, char *base) \
    {                                                             \
        RESULT_##r(helper_##name(ARGS_##a##_##b##_##c));          \
    }
#include "ir/helpers.def"
#undef HELPER

eval_fn *const eval_helpers[IR_HELPER_COUNT] = {
#define HELPER(name, r, a, b, c, flags) [IR_HELPER_##name] = call_##name,
#include "ir/helpers.def"
#undef HELPER
};

/* --- the interpreter --- */
#define ORDERED(instruction, a, b)                                                          \
    ({                                                                                      \
        __typeof__((a) + (b)) sum_ = (a);                                                   \
        __asm__ volatile(#instruction " %1, %0" : "+x"(sum_) : "x"((__typeof__(sum_))(b))); \
        sum_;                                                                               \
    })
#define NEXT             \
    do {                 \
        op++;            \
        goto * op->code; \
    } while (0)

#define D(type)          (*(type *)(base + op->d))
#define OPERAND(type, x) (*(const type *)(base + op->x))

/* Guest memory at the i32 address in a; faults leave through the host's SIGSEGV handler. */
#define MEMORY (memory + (uint64_t)OPERAND(uint32_t, a) + op->imm)

#define LOAD(name, type, result, slot)    \
    S_##name:                             \
    {                                     \
        type v_;                          \
        place->current = op;              \
        v_ = SINGLE_ACCESS(type, MEMORY); \
        D(slot) = (result)v_;             \
        NEXT;                             \
    }
#define STORE(name, type, source)           \
    S_##name:                               \
    {                                       \
        type v_ = (type)OPERAND(source, b); \
        place->current = op;                \
        SINGLE_ACCESS(type, MEMORY) = v_;   \
        NEXT;                               \
    }
/* Sequentially consistent; a misaligned locked access is legal on x86 and on hosts that are x86. */
#define ATOMIC(name, builtin)                                                                \
    S_##name:                                                                                \
    {                                                                                        \
        uint64_t v_ = OPERAND(uint64_t, b);                                                  \
        uint8_t *p_ = memory + OPERAND(uint32_t, a) + op->imm;                               \
        place->current = op;                                                                 \
        switch (op->imm2) {                                                                  \
        case 1: v_ = builtin(p_, (uint8_t)v_, __ATOMIC_SEQ_CST); break;                      \
        case 2: v_ = builtin((uint16_t *)(void *)p_, (uint16_t)v_, __ATOMIC_SEQ_CST); break; \
        case 4: v_ = builtin((uint32_t *)(void *)p_, (uint32_t)v_, __ATOMIC_SEQ_CST); break; \
        default: v_ = builtin((uint64_t *)(void *)p_, v_, __ATOMIC_SEQ_CST); break;          \
        }                                                                                    \
        D(uint64_t) = v_;                                                                    \
        NEXT;                                                                                \
    }
#define SUBTRACT_FROM(at, v, order)                                                                          \
    ({                                                                                                       \
        __typeof__(*(at)) was_ = __atomic_load_n(at, __ATOMIC_RELAXED);                                      \
        while (!__atomic_compare_exchange_n(at, &was_, (__typeof__(was_))((v) - was_), false, order, order)) \
            continue;                                                                                        \
        was_;                                                                                                \
    })
#define CMPXCHG(type)                                                                                            \
    {                                                                                                            \
        type old_ = (type)OPERAND(uint64_t, b), new_ = (type)OPERAND(uint64_t, c);                               \
        __atomic_compare_exchange_n((type *)(void *)p_, &old_, new_, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        v_ = old_;                                                                                               \
        break;                                                                                                   \
    }

/* *v is what is expected there, and becomes what was there. The builtin would call a library's function, which may
 * take a lock instead. */
static inline void
compare_16(uint8_t *at, type_v128 *v, type_v128 new)
{
    uint64_t low = (*v)[0], high = (*v)[1];

    __asm__ volatile("lock cmpxchg16b %0"
                     : "+m"(*(type_v128 *)(void *)at), "+a"(low), "+d"(high)
                     : "b"(new[0]), "c"(new[1])
                     : "memory", "cc");
    *v = (type_v128){low, high};
}

static void
fill_labels(const void *const *general, const void *const *immediate, const void *const *special)
{
    for (size_t i = 0; i < EVAL_X_COUNT; i++)
        eval_labels.plain[i] = special[i] ? special[i] : i < IR_OP_COUNT ? general[i] : NULL;
    for (size_t i = 0; i < IR_OP_COUNT; i++)
        eval_labels.immediate[i] = immediate[i];
}

enum eval_stop
eval_interpret(struct eval *ev, const struct eval_host *host, unsigned *trap)
{
    static const void *const general[IR_OP_COUNT] = {
#define OP(name, r, a, b, c, wasm, expression) [IR_##name] = &&G_##name,
#define SIMD(name, r, a, b, c, sub)            [IR_##name] = &&S_CALL,
#define HOST(name, r, a, b, c, immediate)      [IR_##name] = &&S_CALL,
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
    };
    static const void *const immediate[IR_OP_COUNT] = {
#define OP(name, r, a, b, c, wasm, expression) [IR_##name] = &&I_##name,
#define SIMD(name, r, a, b, c, sub)
#define HOST(name, r, a, b, c, immediate)
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
    };
#define S(name) [IR_##name] = &&S_##name
#define X(name) [EVAL_X_##name] = &&S_##name
    /* clang-format off */
    static const void *const special[EVAL_X_COUNT] = {
        S(DIVS64), S(DIVU64), S(REMS64), S(REMU64),
        S(LOAD8U32), S(LOAD8S32), S(LOAD16U32), S(LOAD16S32), S(LOAD32), S(LOAD8U64), S(LOAD8S64),
        S(LOAD16U64), S(LOAD16S64), S(LOAD32U64), S(LOAD32S64), S(LOAD64), S(LOADF32), S(LOADF64),
        S(STORE8), S(STORE16), S(STORE32), S(STORE64), S(STOREF32), S(STOREF64),
        S(ATOMIC_ADD), S(ATOMIC_AND), S(ATOMIC_OR), S(ATOMIC_XOR), S(ATOMIC_RSUB), S(ATOMIC_XCHG), S(ATOMIC_CMPXCHG16), S(ATOMIC_CMPXCHG),
        S(FENCE), S(V128_LOAD), S(V128_LOAD32_ZERO), S(V128_LOAD64_ZERO), S(V128_STORE),
        S(I8X16_SHUFFLE), [IR_I32X4_REPLACE] = &&S_REPLACE32, [IR_F32X4_REPLACE] = &&S_REPLACE32,
        [IR_I64X2_REPLACE] = &&S_REPLACE64, [IR_F64X2_REPLACE] = &&S_REPLACE64, S(V128_AND), S(V128_OR), S(V128_XOR),
        X(MOVE32), X(MOVE64), X(MOVE128), X(CONST32), X(CONST64), X(CONST128),
        X(LOAD_ALIGNED), X(STORE_ALIGNED), X(CALL), X(JUMP), X(BRANCH), X(INDIRECT), X(SYSCALL), X(TRAP),
    };
    /* clang-format on */
#undef S
#undef X

    if (!ev) {
        fill_labels(general, immediate, special);
        return EVAL_NOEXEC;
    }

    struct x86_cpu *cpu = x86_this_cpu();
    char *base = (char *)cpu;
    __asm__("" : "+r"(base)); /* it reaches eval_slots, too: for the compiler no longer an address in cpu */
    uint8_t *const memory = host->memory;
    struct eval_place *const place = &eval_place;
    struct eval_block *block;
    struct eval_code *code;
    const struct eval_op *op;
    uint64_t rip = cpu->rip;
    struct eval_block **link = NULL;
    bool out = false;
    uint64_t entered = rip != place->paused;

    goto enter;

leave_block:
    cpu->rip = rip;
    if (cpu->limit == UINT64_MAX || __atomic_load_n(&ev->changes, __ATOMIC_RELAXED) != place->changes) {
        place->paused = rip;
        return EVAL_BUDGET;
    }
    block = __atomic_load_n(link, __ATOMIC_ACQUIRE);
    code = block && block->address == rip ? __atomic_load_n(&block->code, __ATOMIC_ACQUIRE) : NULL;
    if (code && host->go_out) {
        if (!out)
            host->go_out(host->context);
        out = true;
        goto found;
    }
    if (out)
        host->come_in(host->context);
    out = false;
    if (host->has_compiled(host->context, rip)) /* asked once for each block: lockstep counts */
        return EVAL_COMPILED;
    if (code && block->code == code)
        goto found;
enter:
    block = eval_block_find(ev, rip);
    if (!block) {
        place->code = NULL;
        block = eval_block_at(ev, host, rip);
        if (!block)
            return EVAL_NOEXEC;
    }
    code = block->code;
    if (link)
        __atomic_store_n(link, block, __ATOMIC_RELEASE);
found:
    __atomic_store_n(&code->runs, __atomic_load_n(&code->runs, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&block->entered, __atomic_load_n(&block->entered, __ATOMIC_RELAXED) + entered, __ATOMIC_RELAXED);
    entered = 0;
    place->block = block;
    place->code = code;
    place->current = op = code->ops;
    goto * op->code;

    /* From the table: A, B, C are the operands. Its zeros stand for the handlers written out below. */
#define TYPES(r, ta, tb, tc)                       \
    typedef TYPE_##r r_t __attribute__((unused));  \
    typedef TYPE_##ta a_t __attribute__((unused)); \
    typedef TYPE_##tb b_t __attribute__((unused)); \
    typedef TYPE_##tc c_t __attribute__((unused))
#define RETURN_V(e)    (void)0
#define RETURN_I32(e)  D(uint64_t) = (r_t)(e) /* zero-extended: EXTU is free */
#define RETURN_I64(e)  D(r_t) = (r_t)(e)
#define RETURN_F32(e)  D(r_t) = (r_t)(e)
#define RETURN_F64(e)  D(r_t) = (r_t)(e)
#define RETURN_V128(e) D(r_t) = (r_t){0} | (e)
#define SIMD(name, r, a, b, c, sub)
#define HOST(name, r, a, b, c, immediate)
    /* Floating point may fault; its operands are read behind this. */
#define FLOAT_V    0
#define FLOAT_I32  0
#define FLOAT_I64  0
#define FLOAT_V128 0
#define FLOAT_F32  1
#define FLOAT_F64  1
#define SAY_WHERE(r, ta)                   \
    if (FLOAT_##r || FLOAT_##ta) {         \
        place->current = op;               \
        __asm__ volatile("" ::: "memory"); \
    }
#define A   OPERAND(a_t, a)
#define B   OPERAND(b_t, b)
#define C   OPERAND(c_t, c)
#define IMM (op->imm)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wparentheses"
#define OP(name, r, ta, tb, tc, wasm, expression) \
    G_##name:                                     \
    {                                             \
        TYPES(r, ta, tb, tc);                     \
        SAY_WHERE(r, ta)                          \
        RETURN_##r(expression);                   \
        NEXT;                                     \
    }
#include "ir/ops.def"
#undef OP
#undef B

    /* The same with a constant second operand. */
#define B                 b_
#define IMMEDIATE_V(x)    (char)0
#define IMMEDIATE_I32(x)  (uint32_t)(x)
#define IMMEDIATE_I64(x)  (x)
#define IMMEDIATE_F32(x)  0
#define IMMEDIATE_F64(x)  0
#define IMMEDIATE_V128(x) {0}
#define OP(name, r, ta, tb, tc, wasm, expression)                       \
    I_##name:                                                           \
    {                                                                   \
        TYPES(r, ta, tb, tc);                                           \
        const b_t b_ __attribute__((unused)) = IMMEDIATE_##tb(op->imm); \
        SAY_WHERE(r, ta)                                                \
        RETURN_##r(expression);                                         \
        NEXT;                                                           \
    }
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
#undef A
#undef B
#undef C
#undef IMM
#pragma GCC diagnostic pop

S_MOVE32:
    D(uint32_t) = OPERAND(uint32_t, a);
    NEXT;
S_MOVE64:
    D(uint64_t) = OPERAND(uint64_t, a);
    NEXT;
S_MOVE128:
    D(type_v128) = OPERAND(type_v128, a);
    NEXT;
S_CONST32:
    D(uint32_t) = (uint32_t)op->imm;
    NEXT;
S_CONST64:
    D(uint64_t) = op->imm;
    NEXT;
S_CONST128:
    D(type_v128) = (type_v128){op->imm, op->imm2};
    NEXT;
S_CALL:
    place->current = op;
    op->fn(op, base);
    NEXT;

S_DIVS64:
    if (OPERAND(uint64_t, b) == 0 || (OPERAND(int64_t, a) == INT64_MIN && OPERAND(int64_t, b) == -1))
        goto divide_error;
    D(int64_t) = OPERAND(int64_t, a) / OPERAND(int64_t, b);
    NEXT;
S_DIVU64:
    if (OPERAND(uint64_t, b) == 0)
        goto divide_error;
    D(uint64_t) = OPERAND(uint64_t, a) / OPERAND(uint64_t, b);
    NEXT;
S_REMS64:
    if (OPERAND(uint64_t, b) == 0)
        goto divide_error;
    D(int64_t) = OPERAND(int64_t, b) == -1 ? 0 : OPERAND(int64_t, a) % OPERAND(int64_t, b);
    NEXT;
S_REMU64:
    if (OPERAND(uint64_t, b) == 0)
        goto divide_error;
    D(uint64_t) = OPERAND(uint64_t, a) % OPERAND(uint64_t, b);
    NEXT;
divide_error:
    place->current = op;
    cpu->rip = eval_fault_address();
    *trap = IR_TRAP_DE;
    return EVAL_TRAP;
misaligned:
    place->current = op;
    cpu->rip = eval_fault_address();
    *trap = IR_TRAP_GP;
    return EVAL_TRAP;

    LOAD(LOAD8U32, uint8_t, uint32_t, uint64_t)
    LOAD(LOAD8S32, int8_t, uint32_t, uint64_t)
    LOAD(LOAD16U32, uint16_t, uint32_t, uint64_t)
    LOAD(LOAD16S32, int16_t, uint32_t, uint64_t)
    LOAD(LOAD32, uint32_t, uint32_t, uint64_t)
    LOAD(LOAD8U64, uint8_t, uint64_t, uint64_t)
    LOAD(LOAD8S64, int8_t, uint64_t, uint64_t)
    LOAD(LOAD16U64, uint16_t, uint64_t, uint64_t)
    LOAD(LOAD16S64, int16_t, uint64_t, uint64_t)
    LOAD(LOAD32U64, uint32_t, uint64_t, uint64_t)
    LOAD(LOAD32S64, int32_t, uint64_t, uint64_t)
    LOAD(LOAD64, uint64_t, uint64_t, uint64_t)
    LOAD(LOADF32, uint32_t, uint32_t, uint32_t)
    LOAD(LOADF64, uint64_t, uint64_t, uint64_t)
    STORE(STORE8, uint8_t, uint32_t)
    STORE(STORE16, uint16_t, uint32_t)
    STORE(STORE32, uint32_t, uint32_t)
    STORE(STORE64, uint64_t, uint64_t)
    STORE(STOREF32, uint32_t, uint32_t)
    STORE(STOREF64, uint64_t, uint64_t)
    LOAD(V128_LOAD, type_v128, type_v128, type_v128)
    STORE(V128_STORE, type_v128, type_v128)
S_LOAD_ALIGNED:
    if ((uintptr_t)MEMORY & 15)
        goto misaligned;
    goto S_V128_LOAD;
S_STORE_ALIGNED:
    if ((uintptr_t)MEMORY & 15)
        goto misaligned;
    goto S_V128_STORE;
S_V128_LOAD32_ZERO: {
    uint32_t v;
    place->current = op;
    v = SINGLE_ACCESS(uint32_t, MEMORY);
    D(type_v128) = (type_v128){v, 0};
    NEXT;
}
S_V128_LOAD64_ZERO: {
    uint64_t v;
    place->current = op;
    v = SINGLE_ACCESS(uint64_t, MEMORY);
    D(type_v128) = (type_v128){v, 0};
    NEXT;
}
S_REPLACE32: {
    typedef uint32_t lanes __attribute__((vector_size(16)));
    lanes v = OPERAND(lanes, a);
    v[op->imm & 3] = OPERAND(uint32_t, b);
    D(lanes) = v;
    NEXT;
}
S_REPLACE64: {
    type_v128 v = OPERAND(type_v128, a);
    v[op->imm & 1] = OPERAND(uint64_t, b);
    D(type_v128) = v;
    NEXT;
}
S_V128_AND:
    D(type_v128) = OPERAND(type_v128, a) & OPERAND(type_v128, b);
    NEXT;
S_V128_OR:
    D(type_v128) = OPERAND(type_v128, a) | OPERAND(type_v128, b);
    NEXT;
S_V128_XOR:
    D(type_v128) = OPERAND(type_v128, a) ^ OPERAND(type_v128, b);
    NEXT;
S_I8X16_SHUFFLE: {
    uint8_t in[32], lanes[16], out[16];
    memcpy(in, base + op->a, 16);
    memcpy(in + 16, base + op->b, 16);
    memcpy(lanes, &op->imm, 8);
    memcpy(lanes + 8, &op->imm2, 8);
    for (int i = 0; i < 16; i++)
        out[i] = in[lanes[i] & 31];
    memcpy(base + op->d, out, 16);
    NEXT;
}

    ATOMIC(ATOMIC_ADD, __atomic_fetch_add)
    ATOMIC(ATOMIC_AND, __atomic_fetch_and)
    ATOMIC(ATOMIC_OR, __atomic_fetch_or)
    ATOMIC(ATOMIC_XOR, __atomic_fetch_xor)
    ATOMIC(ATOMIC_RSUB, SUBTRACT_FROM)
    ATOMIC(ATOMIC_XCHG, __atomic_exchange_n)
S_ATOMIC_CMPXCHG16: {
    type_v128 v_ = OPERAND(type_v128, b);
    place->current = op;
    compare_16(memory + OPERAND(uint32_t, a) + op->imm, &v_, OPERAND(type_v128, c));
    D(type_v128) = v_;
    NEXT;
}
S_ATOMIC_CMPXCHG: {
    uint8_t *p_ = memory + OPERAND(uint32_t, a) + op->imm;
    uint64_t v_;
    place->current = op;
    switch (op->imm2) {
    case 1: CMPXCHG(uint8_t)
    case 2: CMPXCHG(uint16_t)
    case 4: CMPXCHG(uint32_t)
    default: CMPXCHG(uint64_t)
    }
    D(uint64_t) = v_;
    NEXT;
}
S_FENCE:
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    NEXT;

S_JUMP:
    rip = op->imm;
    link = &block->next[0];
    goto leave_block;
S_BRANCH:
    link = &block->next[OPERAND(uint32_t, a) != 0];
    rip = OPERAND(uint32_t, a) ? op->imm : op->imm2;
    goto leave_block;
S_INDIRECT:
    rip = OPERAND(uint64_t, a);
    link = &block->next[0];
    entered = 1;
    goto leave_block;
S_SYSCALL:
    place->paused = cpu->rip = op->imm;
    return EVAL_SYSCALL;
S_TRAP:
    cpu->rip = op->imm;
    *trap = (unsigned)op->a;
    return EVAL_TRAP;
}
