/* HOST() of src/ir/ops.def without the processor: values only, rounding to nearest, no exception flags. Exported under
 * the names that code objects import. */
#include <stdint.h>

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int64_t i64x2 __attribute__((vector_size(16)));
typedef float f32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));

#define EXPORT(result, name, ...)         \
    result intrinsic_##name(__VA_ARGS__); \
    result intrinsic_##name(__VA_ARGS__)

/* The integer indefinite value for what does not fit (SDM vol. 1, table 4-1). */
static int32_t
to_int32(double v)
{
    return v > -2147483649.0 && v < 2147483648.0 ? (int32_t)v : INT32_MIN;
}

static int64_t
to_int64(double v)
{
    return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (int64_t)v : INT64_MIN;
}

/* clang-format off */
EXPORT(int32_t, cvttss2si32, float v) { return to_int32(v); }
EXPORT(int64_t, cvttss2si64, float v) { return to_int64(v); }
EXPORT(int32_t, cvttsd2si32, double v) { return to_int32(v); }
EXPORT(int64_t, cvttsd2si64, double v) { return to_int64(v); }
EXPORT(int32_t, cvtss2si32, float v) { return to_int32(__builtin_rintf(v)); }
EXPORT(int64_t, cvtss2si64, float v) { return to_int64(__builtin_rintf(v)); }
EXPORT(int32_t, cvtsd2si32, double v) { return to_int32(__builtin_rint(v)); }
EXPORT(int64_t, cvtsd2si64, double v) { return to_int64(__builtin_rint(v)); }
EXPORT(i32x4, cvttps2dq, f32x4 v) { return (i32x4){to_int32(v[0]), to_int32(v[1]), to_int32(v[2]), to_int32(v[3])}; }
EXPORT(i32x4, cvttpd2dq, f64x2 v) { return (i32x4){to_int32(v[0]), to_int32(v[1]), 0, 0}; }
EXPORT(i32x4, cvtpd2dq, f64x2 v) { return (i32x4){to_int32(__builtin_rint(v[0])), to_int32(__builtin_rint(v[1])), 0, 0}; }
/* clang-format on */
EXPORT(i32x4, cvtps2dq, f32x4 v)
{
    return (i32x4){to_int32(__builtin_rintf(v[0])), to_int32(__builtin_rintf(v[1])), to_int32(__builtin_rintf(v[2])),
                   to_int32(__builtin_rintf(v[3]))};
}

EXPORT(float, roundss, float v, int32_t how)
{
    switch (how & 4 ? 0 : how & 3) {
    case 0: return __builtin_rintf(v);
    case 1: return __builtin_floorf(v);
    case 2: return __builtin_ceilf(v);
    default: return __builtin_truncf(v);
    }
}

EXPORT(double, roundsd, double v, int32_t how)
{
    switch (how & 4 ? 0 : how & 3) {
    case 0: return __builtin_rint(v);
    case 1: return __builtin_floor(v);
    case 2: return __builtin_ceil(v);
    default: return __builtin_trunc(v);
    }
}

EXPORT(f32x4, roundps, f32x4 v, int32_t how)
{
    return (f32x4){intrinsic_roundss(v[0], how), intrinsic_roundss(v[1], how), intrinsic_roundss(v[2], how),
                   intrinsic_roundss(v[3], how)};
}

EXPORT(f64x2, roundpd, f64x2 v, int32_t how)
{
    return (f64x2){intrinsic_roundsd(v[0], how), intrinsic_roundsd(v[1], how)};
}

#define PREDICATE(name, vector, mask)                         \
    EXPORT(mask, name, vector a, vector b, int32_t predicate) \
    {                                                         \
        mask m;                                               \
        switch (predicate & 3) {                              \
        case 0: m = a == b; break;                            \
        case 1: m = a < b; break;                             \
        case 2: m = a <= b; break;                            \
        default: m = (a != a) | (b != b); break;              \
        }                                                     \
        return predicate & 4 ? ~m : m;                        \
    }
PREDICATE(cmpps, f32x4, i32x4)
PREDICATE(cmppd, f64x2, i64x2)

EXPORT(i32x4, cmpss, f32x4 a, f32x4 b, int32_t predicate)
{
    i32x4 out = (i32x4)a;

    out[0] = intrinsic_cmpps(a, b, predicate)[0];
    return out;
}

EXPORT(i64x2, cmpsd, f64x2 a, f64x2 b, int32_t predicate)
{
    i64x2 out = (i64x2)a;

    out[0] = intrinsic_cmppd(a, b, predicate)[0];
    return out;
}

EXPORT(void, comiss, float a, float b)
{
}
EXPORT(void, comisd, double a, double b)
{
}

/* As bits: NaNs pass unchanged. */
#define SELECT(one, all, vector, mask, operator)     \
    EXPORT(mask, all, vector a, vector b)            \
    {                                                \
        mask take = a operator b;                    \
        return (take & (mask)a) | (~take & (mask)b); \
    }                                                \
    EXPORT(mask, one, vector a, vector b)            \
    {                                                \
        mask out = (mask)a;                          \
        out[0] = intrinsic_##all(a, b)[0];           \
        return out;                                  \
    }
SELECT(minss, minps, f32x4, i32x4, <)
SELECT(minsd, minpd, f64x2, i64x2, <)
SELECT(maxss, maxps, f32x4, i32x4, >)
SELECT(maxsd, maxpd, f64x2, i64x2, >)

EXPORT(f32x4, addsubps, f32x4 a, f32x4 b)
{
    return (f32x4){a[0] - b[0], a[1] + b[1], a[2] - b[2], a[3] + b[3]};
}
EXPORT(f64x2, addsubpd, f64x2 a, f64x2 b)
{
    return (f64x2){a[0] - b[0], a[1] + b[1]};
}

EXPORT(f32x4, dpps, f32x4 a, f32x4 b, int32_t imm)
{
    f32x4 p, out;
    float sum;

    for (int i = 0; i < 4; i++)
        p[i] = imm >> (4 + i) & 1 ? a[i] * b[i] : 0;
    sum = (p[0] + p[1]) + (p[2] + p[3]);
    for (int i = 0; i < 4; i++)
        out[i] = imm >> i & 1 ? sum : 0;
    return out;
}

EXPORT(f64x2, dppd, f64x2 a, f64x2 b, int32_t imm)
{
    double sum = (imm & 16 ? a[0] * b[0] : 0) + (imm & 32 ? a[1] * b[1] : 0);

    return (f64x2){imm & 1 ? sum : 0, imm & 2 ? sum : 0};
}
