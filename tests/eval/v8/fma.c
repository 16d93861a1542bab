/* The operations of level v3 among HOST() of src/ir/ops.def, without the processor: values only, rounding to nearest.
 * Multiplication and addition in one is done on integers, because the C library's is not there. */
#include <stdbool.h>
#include <stdint.h>

#include "base/fma.h"

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int64_t i64x2 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef float f32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));

#define EXPORT(result, name, ...)         \
    result intrinsic_##name(__VA_ARGS__); \
    result intrinsic_##name(__VA_ARGS__)

/* --- comparisons: which relations of the two make each predicate true (SDM vol. 2, CMPPD), the same again from 16 on
 * --- */
enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };
/* clang-format off */
static const uint8_t relations[16] = {EQUAL, LESS, LESS | EQUAL, UNORDERED, LESS | GREATER | UNORDERED, EQUAL | GREATER | UNORDERED,
                                      GREATER | UNORDERED, LESS | EQUAL | GREATER, EQUAL | UNORDERED, LESS | UNORDERED,
                                      LESS | EQUAL | UNORDERED, 0, LESS | GREATER, EQUAL | GREATER, GREATER,
                                      LESS | EQUAL | GREATER | UNORDERED};
/* clang-format on */

#define COMPARE(packed, single, vector, mask)                   \
    EXPORT(mask, packed, vector a, vector b, int32_t predicate) \
    {                                                           \
        uint8_t r = relations[predicate & 15];                  \
        mask out = {0};                                         \
        out |= r & LESS ? a < b : out;                          \
        out |= r & EQUAL ? a == b : out;                        \
        out |= r & GREATER ? a > b : out;                       \
        out |= r & UNORDERED ? (a != a) | (b != b) : out;       \
        return out;                                             \
    }                                                           \
    EXPORT(mask, single, vector a, vector b, int32_t predicate) \
    {                                                           \
        mask out = (mask)a;                                     \
        out[0] = intrinsic_##packed(a, b, predicate)[0];        \
        return out;                                             \
    }
COMPARE(vcmpps, vcmpss, f32x4, i32x4)
COMPARE(vcmppd, vcmpsd, f64x2, i64x2)

/* --- x * y + z --- */
struct format {        /* IEEE 754 binary */
    unsigned fraction; /* bits */
    int bias;
};
static const struct format binary32 = {23, 127}, binary64 = {52, 1023};

/* sign, and mantissa * 2^exponent */
struct number {
    bool negative;
    int exponent;
    unsigned __int128 mantissa;
};

static uint64_t
infinity(const struct format *f)
{
    return (uint64_t)(2 * f->bias + 1) << f->fraction;
}

static uint64_t
sign_of(const struct format *f) /* its bit */
{
    return infinity(f) + (1ull << f->fraction);
}

static bool
is_nan(const struct format *f, uint64_t v)
{
    return (v & ~sign_of(f)) > infinity(f);
}

static struct number
number_of(const struct format *f, uint64_t v)
{
    uint64_t fraction = v & ((1ull << f->fraction) - 1), exponent = v >> f->fraction & (uint64_t)(2 * f->bias + 1);

    return (struct number){.negative = (v & sign_of(f)) != 0,
                           .exponent = (int)(exponent ? exponent : 1) - f->bias - (int)f->fraction,
                           .mantissa = exponent ? fraction | 1ull << f->fraction : fraction};
}

/* The highest bit becomes bit 125: a sum of two does not overflow. */
static void
normalize(struct number *n)
{
    while (n->mantissa && !(n->mantissa >> 125)) {
        n->mantissa <<= 1;
        n->exponent--;
    }
}

/* What is lost sets the lowest bit. */
static void
shift_right(struct number *n, int by)
{
    unsigned __int128 lost;

    if (by >= 127) {
        n->mantissa = n->mantissa != 0;
    } else if (by > 0) {
        lost = n->mantissa & (((unsigned __int128)1 << by) - 1);
        n->mantissa = n->mantissa >> by | (lost != 0);
    }
    n->exponent += by;
}

static struct number
sum(struct number a, struct number b)
{
    struct number out;

    normalize(&a);
    normalize(&b);
    if (!a.mantissa || !b.mantissa) {
        out = a.mantissa ? a : b;
        out.negative = a.mantissa || b.mantissa ? out.negative : a.negative && b.negative;
        return out;
    }
    if (a.exponent < b.exponent)
        shift_right(&a, b.exponent - a.exponent);
    else
        shift_right(&b, a.exponent - b.exponent);
    if (a.negative == b.negative)
        return (struct number){a.negative, a.exponent, a.mantissa + b.mantissa};
    if (a.mantissa >= b.mantissa)
        return (struct number){a.mantissa != b.mantissa && a.negative, a.exponent, a.mantissa - b.mantissa};
    return (struct number){b.negative, a.exponent, b.mantissa - a.mantissa};
}

/* To nearest, of two to the even one. */
static uint64_t
rounded(const struct format *f, struct number n)
{
    uint64_t sign = n.negative ? sign_of(f) : 0, out;
    int least = 1 - f->bias - (int)f->fraction; /* exponent of the lowest bit of the smallest numbers */
    unsigned __int128 half;

    if (!n.mantissa)
        return sign;
    normalize(&n);
    shift_right(&n, (n.mantissa >> 126 ? 126 : 125) - (int)f->fraction - 2); /* two bits to round by */
    if (n.exponent + 2 < least)
        shift_right(&n, least - 2 - n.exponent);
    half = n.mantissa & 3;
    n.mantissa >>= 2;
    n.exponent += 2;
    n.mantissa += half == 3 || (half == 2 && (n.mantissa & 1));
    /* A carry into the exponent is right as it is. */
    out = n.mantissa >> f->fraction ? (uint64_t)(n.exponent - least) << f->fraction : 0;
    out += (uint64_t)n.mantissa;
    return sign | (n.exponent - least > 2 * f->bias || out >= infinity(f) ? infinity(f) : out);
}

static uint64_t
multiply_add(const struct format *f, uint64_t x, uint64_t y, uint64_t z, bool negate, bool subtract)
{
    const uint64_t quiet = 1ull << (f->fraction - 1), sign = sign_of(f);
    bool infinite = (x & ~sign) == infinity(f) || (y & ~sign) == infinity(f), negative = ((x ^ y) & sign) != 0;
    struct number a, b;

    if (is_nan(f, x) || is_nan(f, y) || is_nan(f, z))
        return (is_nan(f, x) ? x : is_nan(f, y) ? y : z) | quiet;
    negative ^= negate;
    z ^= subtract ? sign : 0;
    if (infinite) {
        if (!(x & ~sign) || !(y & ~sign) || ((z & ~sign) == infinity(f) && ((z & sign) != 0) != negative))
            return sign | infinity(f) | quiet;
        return (negative ? sign : 0) | infinity(f);
    }
    if ((z & ~sign) == infinity(f))
        return z;
    a = number_of(f, x);
    b = number_of(f, y);
    a = (struct number){negative, a.exponent + b.exponent, a.mantissa * b.mantissa};
    return rounded(f, sum(a, number_of(f, z)));
}

/* Operands as the instruction has them; element: its number, for those that add and subtract by turns. */
static uint64_t
fma_element(const struct format *f, uint64_t a, uint64_t b, uint64_t c, int32_t how, unsigned element)
{
    enum fma_kind kind = how & 15;
    bool negate = kind == FMA_NEGATED_ADD || kind == FMA_NEGATED_SUB;
    bool subtract = kind == FMA_SUB || kind == FMA_NEGATED_SUB || (kind == FMA_ADDSUB && element % 2 == 0) ||
                    (kind == FMA_SUBADD && element % 2 == 1);

    switch ((enum fma_order)(how >> 4)) {
    case FMA_132: return multiply_add(f, a, c, b, negate, subtract);
    case FMA_213: return multiply_add(f, b, a, c, negate, subtract);
    default: return multiply_add(f, b, c, a, negate, subtract);
    }
}

#define MULTIPLY_ADD(packed, single, format, vector, count, unsigned_type)                              \
    EXPORT(vector, packed, vector a, vector b, vector c, int32_t how)                                   \
    {                                                                                                   \
        vector out = a;                                                                                 \
        for (unsigned i = 0; i < count; i++)                                                            \
            out[i] = (__typeof__(out[0]))fma_element(&format, (unsigned_type)a[i], (unsigned_type)b[i], \
                                                     (unsigned_type)c[i], how, i);                      \
        return out;                                                                                     \
    }                                                                                                   \
    EXPORT(vector, single, vector a, vector b, vector c, int32_t how)                                   \
    {                                                                                                   \
        vector out = a;                                                                                 \
        out[0] = intrinsic_##packed(a, b, c, how)[0];                                                   \
        return out;                                                                                     \
    }
MULTIPLY_ADD(vfmaps, vfmass, binary32, i32x4, 4, uint32_t)
MULTIPLY_ADD(vfmapd, vfmasd, binary64, i64x2, 2, uint64_t)

/* --- half precision: 5 bits of exponent, 10 of fraction --- */
static uint32_t
from_half(uint32_t v)
{
    uint32_t sign = v >> 15 << 31, exponent = v >> 10 & 31, fraction = v & 0x3ff;

    if (exponent == 31)
        return sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0);
    if (exponent)
        return sign | (exponent + 112) << 23 | fraction << 13;
    if (!fraction)
        return sign;
    for (exponent = 113; !(fraction & 0x400); exponent--)
        fraction <<= 1;
    return sign | exponent << 23 | (fraction & 0x3ff) << 13;
}

/* how: 0 to nearest, 1 down, 2 up, 3 towards 0; from 4 on as MXCSR says, which is to nearest. */
static uint32_t
to_half(uint32_t v, int32_t how)
{
    uint32_t sign = v >> 16 & 0x8000, magnitude = v & 0x7fffffff, kept, lost, half;
    int exponent = (int)(magnitude >> 23) - 112;
    bool away = how == 1 ? sign != 0 : how == 2 && !sign;
    unsigned shift = 13;
    uint64_t mantissa = (magnitude & 0x7fffff) | (magnitude >> 23 ? 0x800000 : 0);

    if (magnitude > 0x7f800000)
        return sign | 0x7e00 | (magnitude >> 13 & 0x3ff);
    if (magnitude == 0x7f800000)
        return sign | 0x7c00;
    if (exponent <= 0)
        shift = exponent < -18 ? 32 : (unsigned)(14 - exponent);
    kept = (uint32_t)(mantissa >> shift);
    lost = (uint32_t)(mantissa & ((1ull << shift) - 1));
    half = (uint32_t)(1ull << (shift - 1));
    if (exponent > 0)
        kept += (uint32_t)(exponent - 1) << 10;
    if (how == 0 || how > 3)
        kept += lost > half || (lost == half && (kept & 1));
    else
        kept += away && lost;
    if (exponent > 30 || kept >= 0x7c00)
        return sign | (how == 0 || how > 3 || away ? 0x7c00 : 0x7bff);
    return sign | kept;
}

EXPORT(u32x4, vcvtph2ps, u16x8 v)
{
    return (u32x4){from_half(v[0]), from_half(v[1]), from_half(v[2]), from_half(v[3])};
}

EXPORT(u16x8, vcvtps2ph, u32x4 v, int32_t how)
{
    u16x8 out = {0};

    for (int i = 0; i < 4; i++)
        out[i] = (uint16_t)to_half(v[i], how);
    return out;
}
