/* SSE instructions that wasm SIMD has no operations for: approximations, string comparisons, mpsadbw, phminposuw,
 * maskmov. */
#include "x86/helpers_sse_internal.h"

#include <string.h>

#define RECIPROCALS
#include "x86/x86_math.inc"

/* --- rcpps, rsqrtps and the like ---
 * Their error may be up to 1.5 * 2^-12, and each maker has values of its own. Those here, on every host: the reciprocal
 * of the middle of the interval in which the operand is, by its first 11 (of roots 10) bits behind the point, rounded
 * to 12 bits; as Intel's processors have it. Neither MXCSR's rounding nor its flags have to do with it, denormals are
 * zeros, and so are results that would be denormal. */
static const uint32_t F32_SIGN = 0x80000000, F32_INFINITY = 0x7f800000, F32_QUIET = 0x00400000,
                      F32_INDEFINITE = 0xffc00000;

static uint32_t
reciprocal(uint32_t x)
{
    uint32_t sign = x & F32_SIGN, exponent = x >> 23 & 255, fraction = x & 0x7fffff;
    if (exponent == 255)
        return fraction ? x | F32_QUIET : sign;
    if (exponent == 0)
        return sign | F32_INFINITY;
    if (exponent >= 253)
        return sign;
    return sign | (253 - exponent) << 23 | (reciprocals[fraction >> 12] & 4095u) << 11;
}

static uint32_t
root_reciprocal(uint32_t x)
{
    uint32_t sign = x & F32_SIGN, exponent = x >> 23 & 255, fraction = x & 0x7fffff;
    if (exponent == 255 && fraction)
        return x | F32_QUIET;
    if (exponent == 0)
        return sign | F32_INFINITY;
    if (sign)
        return F32_INDEFINITE;
    if (exponent == 255)
        return 0;
    /* of m * 2^(2k), m from 1 to 4: 2^-(k + 1) times the table's */
    uint32_t v = root_reciprocals[(exponent & 1 ? 0 : 1024) + (fraction >> 13)];
    return (190 - (exponent + 1) / 2) << 23 | (v & 4095) << 11;
}

static union x86_xmm *
destination(uint32_t code)
{
    struct x86_cpu *cpu = x86_this_cpu();

    return code & SSE_TMP ? &cpu->tmp_vector : &cpu->xmm[code >> 8 & 15];
}

void
helper_sse_approximate(uint32_t code, uint64_t low, uint64_t high)
{
    union x86_xmm *dst = destination(code);
    const union x86_xmm src = {.u64 = {low, high}};
    bool root = (code & 0xff) == SSE_RSQRTPS || (code & 0xff) == SSE_RSQRTSS;
    unsigned lanes = (code & 0xff) == SSE_RCPPS || (code & 0xff) == SSE_RSQRTPS ? 4 : 1;
    for (unsigned i = 0; i < lanes; i++)
        dst->u32[i] = root ? root_reciprocal(src.u32[i]) : reciprocal(src.u32[i]);
}

/* --- maskmovq, maskmovdqu: bytes whose mask byte has its sign set --- */
void
helper_maskmov(uint32_t code, uint32_t address)
{
    struct x86_cpu *cpu = x86_this_cpu();
    bool xmm = code & SSE_MASKMOV_XMM;
    unsigned data = code & 15, mask = code >> 4 & 15, size = xmm ? 16 : 8;
    uint8_t d[16], m[16];
    memcpy(d, xmm ? (void *)&cpu->xmm[data] : &cpu->x87.r[data & 7].mantissa, size);
    memcpy(m, xmm ? (void *)&cpu->xmm[mask] : &cpu->x87.r[mask & 7].mantissa, size);
    for (unsigned i = 0; i < size; i++)
        if (m[i] & 0x80)
            x86_guest_store(address + i, 1, d[i]);
}

/* --- SSE4.1 --- */
static void
mpsadbw(union x86_xmm *dst, const union x86_xmm *src, unsigned imm)
{
    union x86_xmm r;
    unsigned from = (imm >> 2 & 1) * 4, block = (imm & 3) * 4;
    for (unsigned i = 0; i < 8; i++) {
        unsigned sum = 0;
        for (unsigned k = 0; k < 4; k++) {
            int difference = dst->u8[from + i + k] - src->u8[block + k];
            sum += (unsigned)(difference < 0 ? -difference : difference);
        }
        r.u16[i] = (uint16_t)sum;
    }
    *dst = r;
}

static void
phminposuw(union x86_xmm *dst, const union x86_xmm *src)
{
    unsigned at = 0;
    for (unsigned i = 1; i < 8; i++)
        if (src->u16[i] < src->u16[at])
            at = i;
    union x86_xmm r = {.u16 = {src->u16[at], (uint16_t)at}};
    *dst = r;
}

void
helper_sse_special(uint32_t code, uint64_t low, uint64_t high)
{
    union x86_xmm *dst = destination(code);
    union x86_xmm src = {.u64 = {low, high}};
    unsigned imm = code >> 16 & 0xff;
    switch (code & 0xff) {
    case SSE_MPSADBW: mpsadbw(dst, &src, imm); break;
    case SSE_PHMINPOSUW: phminposuw(dst, &src); break;
    default: sse_crypto(code & 0xff, dst, &src, imm); break;
    }
}

/* --- SSE4.2 string comparisons (SDM vol. 2, 4.1) --- */
static int
element(const union x86_xmm *v, unsigned i, unsigned imm)
{
    switch (imm & 3) {
    case 0: return v->u8[i];
    case 1: return v->u16[i];
    case 2: return (int8_t)v->u8[i];
    default: return (int16_t)v->u16[i];
    }
}

static unsigned
string_length(const union x86_xmm *v, unsigned given, unsigned count, unsigned imm)
{
    if (given != SSE_STRING_IMPLICIT)
        return given < count ? given : count;
    unsigned n = 0;
    while (n < count && element(v, n, imm) != 0)
        n++;
    return n;
}

/* Bit j: the aggregation's result for element j of the second operand. Elements past a string's end are
 * overridden as table 4-7 says. */
static unsigned
aggregate(const union x86_xmm *a, unsigned na, const union x86_xmm *b, unsigned nb, unsigned count, unsigned imm)
{
    unsigned result = 0;
    for (unsigned j = 0; j < count; j++) {
        bool hit = false;
        int v = element(b, j, imm);
        switch (imm >> 2 & 3) {
        case 0: /* equal any */
            for (unsigned i = 0; j < nb && i < na && !hit; i++)
                hit = element(a, i, imm) == v;
            break;
        case 1: /* ranges */
            for (unsigned i = 0; j < nb && i + 1 < na && !hit; i += 2)
                hit = element(a, i, imm) <= v && v <= element(a, i + 1, imm);
            break;
        case 2: /* equal each */ hit = j < na && j < nb ? element(a, j, imm) == v : j >= na && j >= nb; break;
        default: /* equal ordered */
            hit = true;
            for (unsigned i = 0; i < na && j + i < count && hit; i++)
                hit = j + i < nb && element(a, i, imm) == element(b, j + i, imm);
            break;
        }
        result |= (unsigned)hit << j;
    }
    return result;
}

static void
string_mask(union x86_xmm *out, unsigned bits, unsigned count, unsigned imm)
{
    memset(out, 0, sizeof *out);
    if (!(imm & 0x40)) {
        out->u16[0] = (uint16_t)bits;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!(bits >> i & 1))
            continue;
        if (count == 16)
            out->u8[i] = 0xff;
        else
            out->u16[i] = 0xffff;
    }
}

uint32_t
helper_sse_string(uint32_t code, uint64_t low, uint64_t high)
{
    struct x86_cpu *cpu = x86_this_cpu();
    union x86_xmm b = {.u64 = {low, high}};
    const union x86_xmm *a = &cpu->xmm[code >> 8 & 15];
    unsigned imm = code & 0xff, count = imm & 1 ? 8 : 16, all = (1u << count) - 1;
    unsigned na = string_length(a, code >> 16 & 31, count, imm);
    unsigned nb = string_length(&b, code >> 24 & 31, count, imm);
    unsigned bits = aggregate(a, na, &b, nb, count, imm);
    if ((imm & 0x30) == 0x10)
        bits ^= all;
    else if ((imm & 0x30) == 0x30)
        bits ^= (1u << nb) - 1;
    unsigned index = count;
    if (bits)
        index = imm & 0x40 ? 31 - (unsigned)__builtin_clz(bits) : (unsigned)__builtin_ctz(bits);
    if (code & SSE_STRING_MASK)
        string_mask(&cpu->xmm[0], bits, count, imm);
    return index | (bits != 0) << 8 | (nb < count) << 9 | (na < count) << 10 | (bits & 1) << 11;
}
