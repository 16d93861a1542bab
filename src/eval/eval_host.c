/* HOST() of ir/ops.def: the processor's own instructions, under the guest's MXCSR. Assembly, because the compiler would
 * fold or leave out what it thinks has no effect. */
#include "eval/eval_internal.h"

#include <emmintrin.h>
#include <string.h>

#include "base/fma.h"
#include "x86/helper_codes.h"

#define IN(type, x)  (*(const type *)(base + op->x))
#define OUT(type)    (*(type *)(base + op->d))
#define DEFINE(name) void eval_host_##name(const struct eval_op *op, char *base)

#define TO_INT(name, from, to, text)                           \
    DEFINE(name)                                               \
    {                                                          \
        const from a = IN(from, a);                            \
        to out;                                                \
        __asm__ volatile(text " %1, %0" : "=r"(out) : "x"(a)); \
        OUT(uint64_t) = out; /* an i32 fills its slot */       \
    }
TO_INT(CVTTSS2SI32, float, uint32_t, "cvttss2si")
TO_INT(CVTTSS2SI64, float, uint64_t, "cvttss2si")
TO_INT(CVTTSD2SI32, double, uint32_t, "cvttsd2si")
TO_INT(CVTTSD2SI64, double, uint64_t, "cvttsd2si")
TO_INT(CVTSS2SI32, float, uint32_t, "cvtss2si")
TO_INT(CVTSS2SI64, float, uint64_t, "cvtss2si")
TO_INT(CVTSD2SI32, double, uint32_t, "cvtsd2si")
TO_INT(CVTSD2SI64, double, uint64_t, "cvtsd2si")

#define UNARY(name, text)                                      \
    DEFINE(name)                                               \
    {                                                          \
        const __m128i a = IN(__m128i, a);                      \
        __m128i out;                                           \
        __asm__ volatile(text " %1, %0" : "=x"(out) : "x"(a)); \
        OUT(__m128i) = out;                                    \
    }
UNARY(CVTTPS2DQ, "cvttps2dq")
UNARY(CVTTPD2DQ, "cvttpd2dq")
UNARY(CVTPS2DQ, "cvtps2dq")
UNARY(CVTPD2DQ, "cvtpd2dq")

#define BINARY(name, text)                                     \
    DEFINE(name)                                               \
    {                                                          \
        const __m128i b = IN(__m128i, b);                      \
        __m128i out = IN(__m128i, a);                          \
        __asm__ volatile(text " %1, %0" : "+x"(out) : "x"(b)); \
        OUT(__m128i) = out;                                    \
    }
BINARY(MINSS, "minss")
BINARY(MINSD, "minsd")
BINARY(MINPS, "minps")
BINARY(MINPD, "minpd")
BINARY(MAXSS, "maxss")
BINARY(MAXSD, "maxsd")
BINARY(MAXPS, "maxps")
BINARY(MAXPD, "maxpd")
BINARY(ADDSUBPS, "addsubps")
BINARY(ADDSUBPD, "addsubpd")

#define COMPARE(name, type, text)                                                       \
    DEFINE(name)                                                                        \
    {                                                                                   \
        __asm__ volatile(text " %1, %0" : : "x"(IN(type, a)), "x"(IN(type, b)) : "cc"); \
    }
COMPARE(COMISS, float, "comiss")
COMPARE(COMISD, double, "comisd")

/* An instruction for each immediate. */
#define CASE(n, text) \
    case n: __asm__ volatile(text " $" #n ", %1, %0" : "+x"(out) : "x"(b)); break;
/* clang-format off */
#define CASES_8(text) CASE(0, text) CASE(1, text) CASE(2, text) CASE(3, text) CASE(4, text) CASE(5, text) CASE(6, text) CASE(7, text)
#define CASES_16(text) \
    CASES_8(text) CASE(8, text) CASE(9, text) CASE(10, text) CASE(11, text) CASE(12, text) CASE(13, text) CASE(14, text) CASE(15, text)
/* clang-format on */

#define ROUND(name, type, text)     \
    DEFINE(name)                    \
    {                               \
        const type b = IN(type, a); \
        type out = b;               \
        switch (op->imm & 15) {     \
            CASES_16(text)          \
        }                           \
        OUT(type) = out;            \
    }
ROUND(ROUNDSS, float, "roundss")
ROUND(ROUNDSD, double, "roundsd")
ROUND(ROUNDPS, __m128i, "roundps")
ROUND(ROUNDPD, __m128i, "roundpd")

#define PREDICATE(name, text)             \
    DEFINE(name)                          \
    {                                     \
        const __m128i b = IN(__m128i, b); \
        __m128i out = IN(__m128i, a);     \
        switch (op->imm & 7) {            \
            CASES_8(text)                 \
        }                                 \
        OUT(__m128i) = out;               \
    }
PREDICATE(CMPSS, "cmpss")
PREDICATE(CMPSD, "cmpsd")
PREDICATE(CMPPS, "cmpps")
PREDICATE(CMPPD, "cmppd")

/* The lanes that the high half of imm8 leaves out are not multiplied; those that the low half does become 0 afterwards.
 * So one instruction for each high half, and a mask. */
#define DOT_CASE(n, text) \
    case n: __asm__ volatile(text " $" #n "f, %1, %0" : "+x"(out) : "x"(b)); break;
/* clang-format off */
#define DOT(name, lanes, text)                                           \
    DEFINE(name)                                                         \
    {                                                                    \
        const __m128i b = IN(__m128i, b);                                \
        __m128i out = IN(__m128i, a);                                    \
        switch (op->imm >> 4) {                                          \
        DOT_CASE(0x0, text) DOT_CASE(0x1, text) DOT_CASE(0x2, text) DOT_CASE(0x3, text)                         \
        DOT_CASE(0x4, text) DOT_CASE(0x5, text) DOT_CASE(0x6, text) DOT_CASE(0x7, text)                         \
        DOT_CASE(0x8, text) DOT_CASE(0x9, text) DOT_CASE(0xa, text) DOT_CASE(0xb, text)                         \
        DOT_CASE(0xc, text) DOT_CASE(0xd, text) DOT_CASE(0xe, text) DOT_CASE(0xf, text)                         \
        }                                                                \
        for (unsigned i = 0; i < lanes; i++)                             \
            if (!(op->imm >> i & 1))                                     \
                memset((char *)&out + i * (16 / lanes), 0, 16 / lanes);  \
        OUT(__m128i) = out;                                              \
    }
/* clang-format on */
DOT(DPPS, 4, "dpps")
DOT(DPPD, 2, "dppd")

/* --- of level v3 --- */
/* clang-format off */
#define CASES_32(CASE, text)                                                                                    \
    CASE(0, text) CASE(1, text) CASE(2, text) CASE(3, text) CASE(4, text) CASE(5, text) CASE(6, text) CASE(7, text)                 \
    CASE(8, text) CASE(9, text) CASE(10, text) CASE(11, text) CASE(12, text) CASE(13, text) CASE(14, text) CASE(15, text)           \
    CASE(16, text) CASE(17, text) CASE(18, text) CASE(19, text) CASE(20, text) CASE(21, text) CASE(22, text) CASE(23, text)         \
    CASE(24, text) CASE(25, text) CASE(26, text) CASE(27, text) CASE(28, text) CASE(29, text) CASE(30, text) CASE(31, text)
/* clang-format on */
#define VEX_CASE(n, text) \
    case n: __asm__ volatile(text " $" #n ", %2, %1, %0" : "=x"(out) : "x"(a), "x"(b)); break;
#define VEX_PREDICATE(name, text)                             \
    DEFINE(name)                                              \
    {                                                         \
        const __m128i a = IN(__m128i, a), b = IN(__m128i, b); \
        __m128i out = a;                                      \
        switch (op->imm & 31) {                               \
            CASES_32(VEX_CASE, text)                          \
        }                                                     \
        OUT(__m128i) = out;                                   \
    }
VEX_PREDICATE(VCMPSS, "vcmpss")
VEX_PREDICATE(VCMPSD, "vcmpsd")
VEX_PREDICATE(VCMPPS, "vcmpps")
VEX_PREDICATE(VCMPPD, "vcmppd")

#define FMA_CASE(kind, order, text) \
    case FMA_##kind | FMA_##order << 4: __asm__ volatile(text " %2, %1, %0" : "+x"(out) : "x"(b), "x"(c)); break;
#define FMA_CASES(kind, text, type) \
    FMA_CASE(kind, 132, text "132" type) FMA_CASE(kind, 213, text "213" type) FMA_CASE(kind, 231, text "231" type)
#define FMA_PACKED(type) FMA_CASES(ADDSUB, "vfmaddsub", type) FMA_CASES(SUBADD, "vfmsubadd", type)
#define FMA_SCALAR(type)
#define MULTIPLY_ADD(name, type, more)                        \
    DEFINE(name)                                              \
    {                                                         \
        const __m128i b = IN(__m128i, b), c = IN(__m128i, c); \
        __m128i out = IN(__m128i, a);                         \
        switch (op->imm) {                                    \
            FMA_CASES(ADD, "vfmadd", type)                    \
            FMA_CASES(SUB, "vfmsub", type)                    \
            FMA_CASES(NEGATED_ADD, "vfnmadd", type)           \
            FMA_CASES(NEGATED_SUB, "vfnmsub", type)           \
            more(type)                                        \
        }                                                     \
        OUT(__m128i) = out;                                   \
    }
MULTIPLY_ADD(VFMASS, "ss", FMA_SCALAR)
MULTIPLY_ADD(VFMASD, "sd", FMA_SCALAR)
MULTIPLY_ADD(VFMAPS, "ps", FMA_PACKED)
MULTIPLY_ADD(VFMAPD, "pd", FMA_PACKED)

UNARY(VCVTPH2PS, "vcvtph2ps")

#define NARROW_CASE(n) \
    case n: __asm__ volatile("vcvtps2ph $" #n ", %1, %0" : "=x"(out) : "x"(a)); break;
DEFINE(VCVTPS2PH)
{
    const __m128i a = IN(__m128i, a);
    __m128i out = a;

    switch (op->imm & 7) {
        /* clang-format off */
        NARROW_CASE(0) NARROW_CASE(1) NARROW_CASE(2) NARROW_CASE(3) NARROW_CASE(4) NARROW_CASE(5) NARROW_CASE(6) NARROW_CASE(7)
        /* clang-format on */
    }
    OUT(__m128i) = out;
}
