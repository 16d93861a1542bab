/* The x87 instructions whose results differ between processors: sines and cosines, tangents, logarithms, powers of two,
 * and the partial remainder. Computed in integers here, so that every host gives the same result: to some 110 bits,
 * rounded as the guest's control word says. Angles are reduced by the 66 bits of pi that Intel's processors have (SDM
 * vol. 1, 8.3.8).
 *
 * Only operands for which there is something to compute: zeros, infinities, NaNs, encodings that are not supported, and
 * powers of two to +-1 have results by tables of the SDM that all processors follow; helpers_x87.c asks the host's
 * instruction for them. */
#include "x86/x87_internal.h"

typedef unsigned __int128 wide;
typedef __int128 signed_wide;

#define WIDE(high, low) ((wide)UINT64_C(high) << 64 | UINT64_C(low))
#include "x86/x86_math.inc"

/* clang-format off */
enum {
    SW_DE = 0x02, SW_UE = 0x10, SW_OE = 0x08, SW_PE = 0x20,
    BIAS = 16383, LEAST = -16382, MOST = 16383, ROUND_UP = 2, ROUND_DOWN = 1, ROUND_NEAREST = 0
};
/* clang-format on */

/* m * 2^(exponent - 127); the top bit of m is set, or it is zero. A fraction is a wide w that stands for w * 2^-128. */
struct number {
    bool negative;
    int exponent;
    wide m;
};

static const wide ONE_127 = (wide)1 << 127;

/* --- arithmetic; results are cut off, some units of the last of 128 bits --- */
static wide
high_product(wide a, wide b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a, b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    wide x = (wide)a1 * b0, y = (wide)a0 * b1;
    wide carry = ((wide)(uint64_t)x + (uint64_t)y + ((wide)a0 * b0 >> 64)) >> 64;

    return (wide)a1 * b1 + (x >> 64) + (y >> 64) + carry;
}

static struct number
normalize(bool negative, int exponent, wide m)
{
    int zeros;

    if (!m)
        return (struct number){.negative = negative};
    zeros = m >> 64 ? __builtin_clzll((uint64_t)(m >> 64)) : 64 + __builtin_clzll((uint64_t)m);
    return (struct number){negative, exponent - zeros, m << zeros};
}

static struct number
from_fraction(bool negative, wide w)
{
    return normalize(negative, -1, w);
}

/* Of a number below 1. */
static wide
to_fraction(struct number n)
{
    return !n.m || n.exponent < -128 ? 0 : n.m >> (-1 - n.exponent);
}

static struct number
multiply(struct number a, struct number b)
{
    return normalize(a.negative != b.negative, a.exponent + b.exponent + 1, high_product(a.m, b.m));
}

static struct number
divide(struct number a, struct number b)
{
    /* 1 / b with two bits before the point: 64 bits by division, then a step of Newton's. */
    wide y = (~(wide)0 / (uint64_t)(b.m >> 64)) << 62;
    signed_wide rest = (signed_wide)((ONE_127 >> 1) - high_product(b.m, y));

    y += (wide)((signed_wide)(uint64_t)(y >> 64) * (int64_t)(rest >> 2) >> 60);
    return normalize(a.negative != b.negative, a.exponent - b.exponent + 1, high_product(a.m, y));
}

/* n * w * 2^-127: by a factor near 1. */
static struct number
scale(struct number n, wide w)
{
    return normalize(n.negative, n.exponent + 1, high_product(n.m, w));
}

/* c[0] -+ x * (c[1] -+ x * (c[2] -+ ...)), over every step-th constant; of fractions. */
static wide
series(const wide *c, unsigned count, unsigned step, wide x, bool alternating)
{
    wide sum = c[(count - 1) * step];

    for (unsigned i = count - 1; i-- > 0;)
        sum = alternating ? c[i * step] - high_product(x, sum) : c[i * step] + high_product(x, sum);
    return sum;
}

/* 1 - x * w with a bit before the point; below 1 always, because the result is never exact. */
static wide
one_less(wide x, wide w)
{
    wide less = high_product(x, w) >> 1;

    return ONE_127 - (less ? less : 1);
}

/* --- operands and results --- */
static struct number
unpack(const struct x86_x87_reg *v)
{
    int exponent = v->sign_exponent & 0x7fff;

    return normalize(v->sign_exponent >> 15, exponent ? exponent - BIAS : LEAST, (wide)v->mantissa << 64);
}

/* Finite, not zero, and supported. */
static bool
is_ordinary(const struct x86_x87_reg *v)
{
    unsigned exponent = v->sign_exponent & 0x7fff;

    return v->mantissa && exponent != 0x7fff && (exponent == 0 || v->mantissa >> 63);
}

static uint16_t
denormal_flag(const struct x86_x87_reg *v)
{
    return v->sign_exponent & 0x7fff ? 0 : SW_DE;
}

static bool
rounds_up(bool negative, unsigned mode, bool odd, bool half, bool more)
{
    switch (mode) {
    case ROUND_NEAREST: return half && (more || odd);
    case ROUND_DOWN: return negative && (half || more);
    case ROUND_UP: return !negative && (half || more);
    default: return false;
    }
}

static uint16_t
overflow(struct number n, unsigned mode, struct x86_x87_reg *out)
{
    bool infinite = rounds_up(n.negative, mode, true, true, true);

    out->mantissa = infinite ? UINT64_C(1) << 63 : UINT64_MAX;
    out->sign_exponent = (uint16_t)((n.negative ? 0x8000 : 0) | (infinite ? 0x7fff : 0x7ffe));
    return SW_OE | SW_PE | (infinite ? X87_SW_C1 : 0);
}

/* Rounds to 64 bits and sets the flags. inexact: what n stands for goes on behind its last bit. */
static void
pack(struct number n, bool inexact, uint16_t control, struct x86_x87_reg *out, uint16_t *sw)
{
    unsigned mode = control >> 10 & 3, lost = 0;
    int exponent = n.exponent;
    bool tiny = exponent < LEAST, more, half, up;
    uint64_t mantissa;

    /* Tiny is what is below the least normal number after rounding. */
    if (exponent == LEAST - 1 && (uint64_t)(n.m >> 64) == UINT64_MAX)
        tiny = !rounds_up(n.negative, mode, true, n.m >> 63 & 1, (uint64_t)n.m << 1 || inexact);
    if (exponent < LEAST) {
        lost = (unsigned)(LEAST - exponent);
        inexact |= lost >= 128 || n.m << (128 - lost);
        n.m = lost >= 128 ? 0 : n.m >> lost;
        exponent = LEAST;
    }
    mantissa = (uint64_t)(n.m >> 64);
    half = n.m >> 63 & 1;
    more = (uint64_t)n.m << 1 || inexact;
    up = rounds_up(n.negative, mode, mantissa & 1, half, more);
    mantissa += up;
    if (up && !mantissa) {
        mantissa = UINT64_C(1) << 63;
        exponent++;
    }
    if (exponent > MOST) {
        *sw |= overflow(n, mode, out);
        return;
    }
    if (half || more)
        *sw |= SW_PE | (tiny ? SW_UE : 0) | (up ? X87_SW_C1 : 0);
    out->mantissa = mantissa;
    out->sign_exponent = (uint16_t)((n.negative ? 0x8000 : 0) | (mantissa >> 63 ? exponent + BIAS : 0));
}

/* --- sin, cos, tan --- */
static const wide PI_66_2_65 = WIDE(0x3, 0x243f6a8885a308d3); /* pi / 2 in units of 2^-65 */

struct angle { /* quarter * pi / 2 + rest, rest at most pi / 4 on either side */
    unsigned quarter;
    struct number rest;
    wide square; /* fraction */
};

static struct angle
reduce(struct number x)
{
    struct angle a = {.rest = x};

    if (x.exponent >= -2) { /* from 1/4 on; below 2^63 */
        wide units = (x.m >> 64) << (x.exponent + 2), rest = units % PI_66_2_65;

        a.quarter = (unsigned)(units / PI_66_2_65) & 3;
        if (rest << 1 > PI_66_2_65) {
            rest = PI_66_2_65 - rest;
            a.quarter++;
            a.rest = normalize(!x.negative, 62, rest);
        } else {
            a.rest = normalize(x.negative, 62, rest);
        }
        if (x.negative)
            a.quarter = -a.quarter & 3;
    }
    wide f = to_fraction(a.rest);
    a.square = high_product(f, f);
    return a;
}

static struct number
sine_of_rest(const struct angle *a)
{
    return scale(a->rest, one_less(a->square, series(factorial_reciprocals + 1, 15, 2, a->square, true)));
}

static struct number
cosine_of_rest(const struct angle *a)
{
    return normalize(false, 0, one_less(a->square, series(factorial_reciprocals, 16, 2, a->square, true)));
}

static struct number
sine(const struct angle *a, unsigned quarter)
{
    struct number n = quarter & 1 ? cosine_of_rest(a) : sine_of_rest(a);

    n.negative ^= quarter >> 1 & 1;
    return n;
}

static struct number
tangent(const struct angle *a)
{
    struct number n;

    if (a->quarter & 1) {
        n = divide(cosine_of_rest(a), sine_of_rest(a));
        n.negative = !n.negative;
        return n;
    }
    if (a->rest.exponent > -33)
        return divide(sine_of_rest(a), cosine_of_rest(a));
    n = a->rest; /* r + r^3 / 3, above r always */
    n.m += high_product(n.m, high_product(a->square, odd_reciprocals[0])) + 1;
    return n;
}

/* --- arc tangent of y / x --- */
static struct number
arctangent_below_1(struct number small, struct number large)
{
    struct number t = divide(small, large);
    int apart = large.exponent - small.exponent;
    unsigned k = t.exponent >= 0 ? 32 : (unsigned)((to_fraction(t) >> 122) + 1) >> 1;

    if (k) { /* the arc tangent of k / 32, and that of what is left */
        wide l = large.m >> 8, s = small.m >> apart >> 8, a = s << 5, b = l * k;

        t = divide(normalize(a < b, 0, a < b ? b - a : a - b), normalize(false, 0, (l << 5) + s * k));
    }
    if (t.m) {
        wide f = to_fraction(t), square = high_product(f, f);

        t = scale(t, one_less(square, series(odd_reciprocals, 10, 1, square, true)));
    }
    if (!k)
        return t;
    return from_fraction(false, arctangents[k] + (t.negative ? -to_fraction(t) : to_fraction(t)));
}

static struct number
arctangent(struct number y, struct number x)
{
    bool negative = y.negative, left = x.negative, steep;

    y.negative = x.negative = false;
    steep = y.exponent > x.exponent || (y.exponent == x.exponent && y.m > x.m);
    struct number a = steep ? arctangent_below_1(x, y) : arctangent_below_1(y, x);
    if (steep || left) {
        wide f = to_fraction(a) >> 2, all = steep ? PI_126 >> 1 : PI_126;

        a = normalize(false, 1, steep && left ? all + f : all - f);
    }
    a.negative = negative;
    return a;
}

/* --- powers and logarithms of 2 --- */
static struct number
power_of_2_less_1(struct number x)
{
    struct number u = multiply(x, (struct number){.exponent = -1, .m = LN2_128});
    wide f = to_fraction(u), more = high_product(f, series(factorial_reciprocals, 30, 1, f, u.negative)) >> 1;

    return scale(u, u.negative ? ONE_127 - more : ONE_127 + more);
}

/* log2(1 + x) by s = x / (2 + x), at most 0.1716: 2 atanh(s) / ln 2. */
static struct number
logarithm_by(struct number s)
{
    wide f = to_fraction(s), square = high_product(f, f);
    wide more = high_product(square, series(odd_reciprocals, 24, 1, square, false)) >> 1;

    return multiply(scale(s, ONE_127 + more), (struct number){.exponent = 1, .m = TWICE_LOG2_E_126});
}

/* *exact: x is a power of two. */
static struct number
logarithm(struct number x, bool *exact)
{
    int n = x.exponent;
    bool less = x.m > SQRT_2_127; /* x / 2^(n + 1), below 1 */
    struct number difference, sum, l = {0};

    if (less) {
        n++;
        difference = from_fraction(true, -x.m);
        sum = normalize(false, 0, ONE_127 + (x.m >> 1));
    } else {
        difference = normalize(false, 0, x.m - ONE_127);
        sum = normalize(false, 1, (x.m >> 1) + (ONE_127 >> 1));
    }
    *exact = !difference.m;
    if (difference.m)
        l = logarithm_by(divide(difference, sum));
    if (!n)
        return l;
    wide whole = (wide)(unsigned)(n < 0 ? -n : n) << 112, part = to_fraction(l) >> 16;
    return normalize(n < 0, 15, l.negative != (n < 0) ? whole - part : whole + part);
}

/* The same of 1 + x, x above -1; precise near 0, too. */
static struct number
logarithm_of_1_and(struct number x, bool *exact)
{
    if (x.exponent < -2) {
        wide quarter = to_fraction(x) >> 2;
        struct number sum = normalize(false, 1, x.negative ? ONE_127 - quarter : ONE_127 + quarter);

        *exact = false;
        return logarithm_by(divide(x, sum));
    }
    if (x.exponent < 0) {
        wide part = x.m >> -x.exponent;

        return logarithm(normalize(false, 0, x.negative ? ONE_127 - part : ONE_127 + part), exact);
    }
    wide sum = x.m + (x.exponent > 127 ? 0 : ONE_127 >> x.exponent); /* may carry */
    if (sum < x.m)
        return logarithm((struct number){false, x.exponent + 1, ONE_127 | sum >> 1}, exact);
    return logarithm((struct number){false, x.exponent, sum}, exact);
}

/* --- fprem, fprem1: exact, but more than 63 bits of quotient are left to further runs --- */
static void
partial_remainder(struct number a, struct number b, bool nearest, struct x86_x87_reg *out, uint16_t *sw)
{
    wide dividend = a.m >> 64, divisor = b.m >> 64, quotient = 0, rest;
    int apart = a.exponent - b.exponent, unit = b.exponent - 63;
    bool negative = a.negative;
    uint16_t exact = 0;

    if (apart < 0) {
        unit = a.exponent - 63;
        rest = dividend;
        if (nearest && apart == -1 && dividend > divisor) {
            rest = (divisor << 1) - dividend;
            quotient = 1;
            negative = !negative;
        }
    } else {
        bool partial = apart > 63;
        unsigned now = partial ? ((unsigned)apart & 31) | 32 : (unsigned)apart;

        quotient = (dividend << now) / divisor;
        rest = (dividend << now) % divisor;
        if (partial) {
            unit += apart - (int)now;
            quotient = 0;
            *sw |= X87_SW_C2;
        } else if (nearest && (rest << 1 > divisor || (rest << 1 == divisor && quotient & 1))) {
            rest = divisor - rest;
            quotient++;
            negative = !negative;
        }
    }
    *sw |= (uint16_t)((quotient & 1 ? X87_SW_C1 : 0) | (quotient & 2 ? X87_SW_C3 : 0) | (quotient & 4 ? X87_SW_C0 : 0));
    if (rest)
        pack(normalize(negative, unit + 127, rest), false, X87_CONTROL_DEFAULT, out, &exact);
    else
        *out = (struct x86_x87_reg){.sign_exponent = a.negative ? 0x8000 : 0};
}

/* --- what helpers_x87.c calls --- */
static void
trigonometric(unsigned op, struct number x, struct x87_result *out)
{
    struct angle a = reduce(x);
    uint16_t other = 0;

    if (op == X87_PTAN) {
        out->second = (struct x86_x87_reg){.mantissa = UINT64_C(1) << 63, .sign_exponent = BIAS};
        pack(tangent(&a), true, out->control, &out->first, &out->status);
        return;
    }
    pack(sine(&a, op == X87_COS ? a.quarter + 1 : a.quarter), true, out->control, &out->first, &out->status);
    if (op == X87_SINCOS) {
        pack(sine(&a, a.quarter + 1), true, out->control, &out->second, &other);
        out->status = (uint16_t)((out->status & ~X87_SW_C1) | other);
    }
}

bool
x87_function(unsigned op, const struct x86_x87_reg *st0, const struct x86_x87_reg *st1, struct x87_result *out)
{
    struct number x = unpack(st0), y;
    bool exact = false;

    if (!is_ordinary(st0) || (st1 && !is_ordinary(st1)))
        return false;
    out->status = denormal_flag(st0) | (st1 ? denormal_flag(st1) : 0);
    y = st1 ? unpack(st1) : x;
    switch (op) {
    case X87_SIN:
    case X87_COS:
    case X87_SINCOS:
    case X87_PTAN:
        if (x.exponent > 62)
            return false;
        trigonometric(op, x, out);
        return true;
    case X87_2XM1:
        if (x.exponent == 0 && x.m == ONE_127)
            return false;
        if (x.exponent >= 0) { /* undefined: it stays */
            out->first = *st0;
            out->status |= SW_PE;
            return true;
        }
        pack(power_of_2_less_1(x), true, out->control, &out->first, &out->status);
        return true;
    case X87_PATAN: pack(arctangent(y, x), true, out->control, &out->first, &out->status); return true;
    case X87_YL2X:
        if (x.negative || (x.exponent == 0 && x.m == ONE_127))
            return false;
        x = logarithm(x, &exact);
        break;
    case X87_YL2XP1:
        if (x.negative && x.exponent >= 0) { /* undefined, too */
            out->first = *st0;
            out->status |= SW_PE;
            return true;
        }
        x = logarithm_of_1_and(x, &exact);
        break;
    case X87_PREM:
    case X87_PREM1: partial_remainder(x, y, op == X87_PREM1, &out->first, &out->status); return true;
    default: return false;
    }
    pack(multiply(y, x), !exact, out->control, &out->first, &out->status);
    out->status |= SW_PE; /* even when it is exact: processors do not look */
    return true;
}
