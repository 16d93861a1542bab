/* The vector operations, as the WebAssembly core specification defines them (vector instructions), except
 * that floating-point arithmetic, conversions and NEAREST round by the host's MXCSR, which holds the
 * guest's. Results are computed before they are stored: the destination may be an operand. */
#include "eval/eval_internal.h"

#include <string.h>

typedef int8_t i8x16 __attribute__((vector_size(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef int64_t i64x2 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));
typedef float f32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));

#define IN(type, x) (*(const type *)(base + op->x))
#define OUT(type)   (*(type *)(base + op->d))

#define DEFINE(name) static void simd_##name(const struct eval_op *op, char *base)

/* r = expression over vectors a, b (of type t), stored as type r */
#define UNARY(name, t, r, e)  \
    DEFINE(name)              \
    {                         \
        const t a = IN(t, a); \
        OUT(r) = (r)(e);      \
    }
#define BINARY(name, t, r, e) \
    DEFINE(name)              \
    {                         \
        const t a = IN(t, a); \
        const t b = IN(t, b); \
        OUT(r) = (r)(e);      \
    }
/* Of two NaNs the first is the result: a + b of C may be turned round. */
#define ORDERED(name, t, instruction)                                  \
    DEFINE(name)                                                       \
    {                                                                  \
        const t b = IN(t, b);                                          \
        t sum = IN(t, a);                                              \
        __asm__ volatile(#instruction " %1, %0" : "+x"(sum) : "x"(b)); \
        OUT(t) = sum;                                                  \
    }
/* lane by lane: A and B are lanes i of a and b */
#define LANES(name, n, t, r, e)     \
    DEFINE(name)                    \
    {                               \
        const t a = IN(t, a);       \
        const t b = IN(t, b);       \
        r out;                      \
        for (int i = 0; i < n; i++) \
            out[i] = (e);           \
        OUT(r) = out;               \
    }
#define LANES1(name, n, t, r, e)    \
    DEFINE(name)                    \
    {                               \
        const t a = IN(t, a);       \
        r out;                      \
        for (int i = 0; i < n; i++) \
            out[i] = (e);           \
        OUT(r) = out;               \
    }
#define SPLAT(name, n, scalar, t)           \
    DEFINE(name)                            \
    {                                       \
        const scalar a = IN(scalar, a);     \
        t out;                              \
        for (int i = 0; i < n; i++)         \
            out[i] = (__typeof__(out[0]))a; \
        OUT(t) = out;                       \
    }
#define EXTRACT(name, n, t, r)                \
    DEFINE(name)                              \
    {                                         \
        OUT(r) = IN(t, a)[op->imm & (n - 1)]; \
    }
#define REPLACE(name, n, t, scalar)                                 \
    DEFINE(name)                                                    \
    {                                                               \
        t out = IN(t, a);                                           \
        out[op->imm & (n - 1)] = (__typeof__(out[0]))IN(scalar, b); \
        OUT(t) = out;                                               \
    }
#define SHIFT(name, t, mask, operator)               \
    DEFINE(name)                                     \
    {                                                \
        const t a = IN(t, a);                        \
        OUT(t) = a operator(IN(uint32_t, b) & mask); \
    }
#define BITMASK(name, n, t)                   \
    DEFINE(name)                              \
    {                                         \
        const t a = IN(t, a);                 \
        uint32_t out = 0;                     \
        for (int i = 0; i < n; i++)           \
            out |= (uint32_t)(a[i] < 0) << i; \
        OUT(uint64_t) = out;                  \
    }

static inline int64_t
clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

DEFINE(I8X16_SWIZZLE)
{
    const u8x16 a = IN(u8x16, a), b = IN(u8x16, b);
    u8x16 out;

    for (int i = 0; i < 16; i++)
        out[i] = b[i] < 16 ? a[b[i] & 15] : 0;
    OUT(u8x16) = out;
}

SPLAT(I8X16_SPLAT, 16, uint32_t, u8x16)
SPLAT(I16X8_SPLAT, 8, uint32_t, u16x8)
SPLAT(I32X4_SPLAT, 4, uint32_t, u32x4)
SPLAT(I64X2_SPLAT, 2, uint64_t, u64x2)
SPLAT(F32X4_SPLAT, 4, uint32_t, u32x4)
SPLAT(F64X2_SPLAT, 2, uint64_t, u64x2)
/* i32 results are stored zero-extended */
EXTRACT(I8X16_EXTRACT_U, 16, u8x16, uint64_t)
EXTRACT(I16X8_EXTRACT_U, 8, u16x8, uint64_t)
EXTRACT(I32X4_EXTRACT, 4, u32x4, uint64_t)
EXTRACT(I64X2_EXTRACT, 2, u64x2, uint64_t)
EXTRACT(F32X4_EXTRACT, 4, u32x4, uint32_t)
EXTRACT(F64X2_EXTRACT, 2, u64x2, uint64_t)
REPLACE(I8X16_REPLACE, 16, u8x16, uint32_t)
REPLACE(I16X8_REPLACE, 8, u16x8, uint32_t)
REPLACE(I32X4_REPLACE, 4, u32x4, uint32_t)
REPLACE(I64X2_REPLACE, 2, u64x2, uint64_t)
REPLACE(F32X4_REPLACE, 4, u32x4, uint32_t)
REPLACE(F64X2_REPLACE, 2, u64x2, uint64_t)

BINARY(I8X16_EQ, i8x16, i8x16, a == b)
BINARY(I8X16_NE, i8x16, i8x16, a != b)
BINARY(I8X16_LT_S, i8x16, i8x16, a < b)
BINARY(I8X16_GT_S, i8x16, i8x16, a > b)
BINARY(I8X16_GT_U, u8x16, i8x16, a > b)
BINARY(I16X8_EQ, i16x8, i16x8, a == b)
BINARY(I16X8_GT_S, i16x8, i16x8, a > b)
BINARY(I16X8_GT_U, u16x8, i16x8, a > b)
BINARY(I32X4_EQ, i32x4, i32x4, a == b)
BINARY(I32X4_GT_S, i32x4, i32x4, a > b)
BINARY(I32X4_GT_U, u32x4, i32x4, a > b)
BINARY(I64X2_EQ, i64x2, i64x2, a == b)
BINARY(I64X2_GT_S, i64x2, i64x2, a > b)

UNARY(V128_NOT, u64x2, u64x2, ~a)
BINARY(V128_AND, u64x2, u64x2, a &b)
BINARY(V128_ANDNOT, u64x2, u64x2, a & ~b)
BINARY(V128_OR, u64x2, u64x2, a | b)
BINARY(V128_XOR, u64x2, u64x2, a ^ b)

DEFINE(V128_BITSELECT)
{
    const u64x2 a = IN(u64x2, a), b = IN(u64x2, b), c = IN(u64x2, c);

    OUT(u64x2) = (a & c) | (b & ~c);
}

DEFINE(V128_ANY_TRUE)
{
    const u64x2 a = IN(u64x2, a);

    OUT(uint64_t) = (a[0] | a[1]) != 0;
}

DEFINE(I8X16_ALL_TRUE)
{
    const u8x16 a = IN(u8x16, a);
    uint32_t out = 1;

    for (int i = 0; i < 16; i++)
        out &= a[i] != 0;
    OUT(uint64_t) = out;
}

BITMASK(I8X16_BITMASK, 16, i8x16)
BITMASK(I16X8_BITMASK, 8, i16x8)
BITMASK(I32X4_BITMASK, 4, i32x4)
BITMASK(I64X2_BITMASK, 2, i64x2)

LANES1(I8X16_ABS, 16, i8x16, u8x16, (uint8_t)(a[i] < 0 ? -a[i] : a[i]))
LANES1(I16X8_ABS, 8, i16x8, u16x8, (uint16_t)(a[i] < 0 ? -a[i] : a[i]))
LANES1(I32X4_ABS, 4, i32x4, u32x4, a[i] < 0 ? -(uint32_t)a[i] : (uint32_t)a[i])
LANES1(I64X2_ABS, 2, i64x2, u64x2, a[i] < 0 ? -(uint64_t)a[i] : (uint64_t)a[i])
UNARY(I8X16_NEG, u8x16, u8x16, -a)
UNARY(I16X8_NEG, u16x8, u16x8, -a)
UNARY(I32X4_NEG, u32x4, u32x4, -a)
UNARY(I64X2_NEG, u64x2, u64x2, -a)
LANES1(I8X16_POPCNT, 16, u8x16, u8x16, (uint8_t)__builtin_popcount(a[i]))

/* The narrowing ones take a's lanes, then b's. */
#define NARROW(name, n, t, r, low, high)                             \
    DEFINE(name)                                                     \
    {                                                                \
        const t a = IN(t, a);                                        \
        const t b = IN(t, b);                                        \
        r out;                                                       \
        for (int i = 0; i < n; i++) {                                \
            out[i] = (__typeof__(out[0]))clamp(a[i], low, high);     \
            out[n + i] = (__typeof__(out[0]))clamp(b[i], low, high); \
        }                                                            \
        OUT(r) = out;                                                \
    }
NARROW(I8X16_NARROW_I16X8_S, 8, i16x8, i8x16, INT8_MIN, INT8_MAX)
NARROW(I8X16_NARROW_I16X8_U, 8, i16x8, u8x16, 0, UINT8_MAX)
NARROW(I16X8_NARROW_I32X4_S, 4, i32x4, i16x8, INT16_MIN, INT16_MAX)
NARROW(I16X8_NARROW_I32X4_U, 4, i32x4, u16x8, 0, UINT16_MAX)

SHIFT(I8X16_SHL, u8x16, 7, <<)
SHIFT(I8X16_SHR_S, i8x16, 7, >>)
SHIFT(I8X16_SHR_U, u8x16, 7, >>)
SHIFT(I16X8_SHL, u16x8, 15, <<)
SHIFT(I16X8_SHR_S, i16x8, 15, >>)
SHIFT(I16X8_SHR_U, u16x8, 15, >>)
SHIFT(I32X4_SHL, u32x4, 31, <<)
SHIFT(I32X4_SHR_S, i32x4, 31, >>)
SHIFT(I32X4_SHR_U, u32x4, 31, >>)
SHIFT(I64X2_SHL, u64x2, 63, <<)
SHIFT(I64X2_SHR_S, i64x2, 63, >>)
SHIFT(I64X2_SHR_U, u64x2, 63, >>)

BINARY(I8X16_ADD, u8x16, u8x16, a + b)
BINARY(I8X16_SUB, u8x16, u8x16, a - b)
BINARY(I16X8_ADD, u16x8, u16x8, a + b)
BINARY(I16X8_SUB, u16x8, u16x8, a - b)
BINARY(I16X8_MUL, u16x8, u16x8, a *b)
BINARY(I32X4_ADD, u32x4, u32x4, a + b)
BINARY(I32X4_SUB, u32x4, u32x4, a - b)
BINARY(I32X4_MUL, u32x4, u32x4, a *b)
BINARY(I64X2_ADD, u64x2, u64x2, a + b)
BINARY(I64X2_SUB, u64x2, u64x2, a - b)
BINARY(I64X2_MUL, u64x2, u64x2, a *b)
LANES(I8X16_ADD_SAT_S, 16, i8x16, i8x16, (int8_t)clamp(a[i] + b[i], INT8_MIN, INT8_MAX))
LANES(I8X16_ADD_SAT_U, 16, u8x16, u8x16, (uint8_t)clamp(a[i] + b[i], 0, UINT8_MAX))
LANES(I8X16_SUB_SAT_S, 16, i8x16, i8x16, (int8_t)clamp(a[i] - b[i], INT8_MIN, INT8_MAX))
LANES(I8X16_SUB_SAT_U, 16, u8x16, u8x16, (uint8_t)clamp(a[i] - b[i], 0, UINT8_MAX))
LANES(I16X8_ADD_SAT_S, 8, i16x8, i16x8, (int16_t)clamp(a[i] + b[i], INT16_MIN, INT16_MAX))
LANES(I16X8_ADD_SAT_U, 8, u16x8, u16x8, (uint16_t)clamp(a[i] + b[i], 0, UINT16_MAX))
LANES(I16X8_SUB_SAT_S, 8, i16x8, i16x8, (int16_t)clamp(a[i] - b[i], INT16_MIN, INT16_MAX))
LANES(I16X8_SUB_SAT_U, 8, u16x8, u16x8, (uint16_t)clamp(a[i] - b[i], 0, UINT16_MAX))
LANES(I8X16_MIN_S, 16, i8x16, i8x16, a[i] < b[i] ? a[i] : b[i])
LANES(I8X16_MIN_U, 16, u8x16, u8x16, a[i] < b[i] ? a[i] : b[i])
LANES(I8X16_MAX_S, 16, i8x16, i8x16, a[i] > b[i] ? a[i] : b[i])
LANES(I8X16_MAX_U, 16, u8x16, u8x16, a[i] > b[i] ? a[i] : b[i])
LANES(I16X8_MIN_S, 8, i16x8, i16x8, a[i] < b[i] ? a[i] : b[i])
LANES(I16X8_MIN_U, 8, u16x8, u16x8, a[i] < b[i] ? a[i] : b[i])
LANES(I16X8_MAX_S, 8, i16x8, i16x8, a[i] > b[i] ? a[i] : b[i])
LANES(I16X8_MAX_U, 8, u16x8, u16x8, a[i] > b[i] ? a[i] : b[i])
LANES(I32X4_MIN_S, 4, i32x4, i32x4, a[i] < b[i] ? a[i] : b[i])
LANES(I32X4_MIN_U, 4, u32x4, u32x4, a[i] < b[i] ? a[i] : b[i])
LANES(I32X4_MAX_S, 4, i32x4, i32x4, a[i] > b[i] ? a[i] : b[i])
LANES(I32X4_MAX_U, 4, u32x4, u32x4, a[i] > b[i] ? a[i] : b[i])
LANES(I8X16_AVGR_U, 16, u8x16, u8x16, (uint8_t)((a[i] + b[i] + 1) >> 1))
LANES(I16X8_AVGR_U, 8, u16x8, u16x8, (uint16_t)((a[i] + b[i] + 1) >> 1))
LANES(I16X8_Q15MULR_SAT_S, 8, i16x8, i16x8, (int16_t)clamp(((int32_t)a[i] * b[i] + 0x4000) >> 15, INT16_MIN, INT16_MAX))

LANES1(I16X8_EXTADD_PAIRWISE_I8X16_S, 8, i8x16, i16x8, (int16_t)(a[2 * i] + a[2 * i + 1]))
LANES1(I16X8_EXTADD_PAIRWISE_I8X16_U, 8, u8x16, u16x8, (uint16_t)(a[2 * i] + a[2 * i + 1]))
LANES1(I32X4_EXTADD_PAIRWISE_I16X8_S, 4, i16x8, i32x4, a[2 * i] + a[2 * i + 1])
LANES1(I32X4_EXTADD_PAIRWISE_I16X8_U, 4, u16x8, u32x4, (uint32_t)(a[2 * i] + a[2 * i + 1]))

#define EXTEND(wide, narrow, n, wt, ut, nt, unt)                                               \
    LANES1(wide##_EXTEND_LOW_##narrow##_S, n, nt, wt, a[i])                                    \
    LANES1(wide##_EXTEND_HIGH_##narrow##_S, n, nt, wt, a[n + i])                               \
    LANES1(wide##_EXTEND_LOW_##narrow##_U, n, unt, ut, a[i])                                   \
    LANES1(wide##_EXTEND_HIGH_##narrow##_U, n, unt, ut, a[n + i])                              \
    LANES(wide##_EXTMUL_LOW_##narrow##_S, n, nt, wt, (__typeof__(out[0]))a[i] * b[i])          \
    LANES(wide##_EXTMUL_HIGH_##narrow##_S, n, nt, wt, (__typeof__(out[0]))a[n + i] * b[n + i]) \
    LANES(wide##_EXTMUL_LOW_##narrow##_U, n, unt, ut, (__typeof__(out[0]))a[i] * b[i])         \
    LANES(wide##_EXTMUL_HIGH_##narrow##_U, n, unt, ut, (__typeof__(out[0]))a[n + i] * b[n + i])
EXTEND(I16X8, I8X16, 8, i16x8, u16x8, i8x16, u8x16)
EXTEND(I32X4, I16X8, 4, i32x4, u32x4, i16x8, u16x8)
EXTEND(I64X2, I32X4, 2, i64x2, u64x2, i32x4, u32x4)

LANES(I32X4_DOT_I16X8_S, 4, i16x8, u32x4, (uint32_t)(a[2 * i] * b[2 * i]) + (uint32_t)(a[2 * i + 1] * b[2 * i + 1]))

/* --- floating point --- */
LANES1(F32X4_SQRT, 4, f32x4, f32x4, __builtin_sqrtf(a[i]))
LANES1(F64X2_SQRT, 2, f64x2, f64x2, __builtin_sqrt(a[i]))
ORDERED(F32X4_ADD, f32x4, addps)
BINARY(F32X4_SUB, f32x4, f32x4, a - b)
ORDERED(F32X4_MUL, f32x4, mulps)
BINARY(F32X4_DIV, f32x4, f32x4, a / b)
ORDERED(F64X2_ADD, f64x2, addpd)
BINARY(F64X2_SUB, f64x2, f64x2, a - b)
ORDERED(F64X2_MUL, f64x2, mulpd)
BINARY(F64X2_DIV, f64x2, f64x2, a / b)

LANES1(F32X4_CONVERT_I32X4_S, 4, i32x4, f32x4, (float)a[i])
LANES1(F64X2_CONVERT_LOW_I32X4_S, 2, i32x4, f64x2, a[i])
LANES1(F32X4_DEMOTE_F64X2_ZERO, 4, f64x2, f32x4, i < 2 ? (float)a[i & 1] : 0)
LANES1(F64X2_PROMOTE_LOW_F32X4, 2, f32x4, f64x2, a[i])

/* These have handlers of their own in eval_ops.c: they touch memory or carry 16 bytes. */
#define simd_V128_LOAD        NULL
#define simd_V128_LOAD32_ZERO NULL
#define simd_V128_LOAD64_ZERO NULL
#define simd_V128_STORE       NULL
#define simd_I8X16_SHUFFLE    NULL

eval_fn *const eval_simd[IR_OP_COUNT] = {
#define OP(name, result, a, b, c, wasm, expression)
#define SIMD(name, result, a, b, c, sub)       [IR_##name] = simd_##name,
#define HOST(name, result, a, b, c, immediate) [IR_##name] = eval_host_##name,
#include "ir/ops.def"
#undef OP
#undef SIMD
#undef HOST
};
