/* The helpers of integer instructions: cpuid and the clock, wide division, odds and ends.
 * See ir/helpers.def for each one's contract. */
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "x86/cpuid.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"
#include "x86/level.h"

/* --- cpuid: cpuid.def has the features.
 * Family 6 model 26 (Nehalem) is what first had all of v2, model 60 (Haswell) all of v3; glibc tunes its string
 * functions by it. --- */

struct cpuid_leaf {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};
enum { V2 = X86_LEVEL_V2, V3 = X86_LEVEL_V3, LEVELS = X86_LEVEL_END };

#define TEXT4(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

enum { VECTOR_GP = 13, ANY = UINT32_MAX /* subleaf */, XSAVE_AVX_SIZE = 256 };

static const uint32_t xcr0[LEVELS] =
    {[V2] = X86_XSAVE_X87 | X86_XSAVE_SSE, [V3] = X86_XSAVE_X87 | X86_XSAVE_SSE | X86_XSAVE_AVX};

/* Without the features, what differs by level, and what tells of processors. Leaf 4 has the deterministic cache
 * parameters, in the sizes that leaf 2 names. */
static const struct cpuid_leaf cpuid_leaves[] = {
    {0, ANY, 13, TEXT4('G', 'e', 'n', 'u'), TEXT4('n', 't', 'e', 'l'), TEXT4('i', 'n', 'e', 'I')},
    {1, ANY, 0, 8 << 8, 0, 0},
    /* Descriptors: 32 KB L1 data and code, 256 KB L2, 8 MB L3. */
    {2, ANY, 0x55035a01, 0x00f0b2e4, 0, 0x09ca212c},
    {4, 0, 0x121, 7 << 22 | 63, 63, 0},
    {4, 1, 0x122, 3 << 22 | 63, 127, 0},
    {4, 2, 0x143, 7 << 22 | 63, 511, 0},
    {4, 3, 0x163, 15 << 22 | 63, 8191, 2},
    {7, 0, 0, 0, 0, 0},
    {11, ANY, 0, 0, 0, 0},
    {13, 0, 0, 0, 0, 0},
    {13, 2, 0, 0, 0, 0},
    {0x80000000, ANY, 0x80000008, 0, 0, 0},
    {0x80000001, ANY, 0, 0, 0, 0},
    {0x80000002, ANY, TEXT4('i', 'n', 'g', 'o'), TEXT4('t', ' ', 'x', '8'), TEXT4('6', '-', '6', '4'),
     TEXT4('-', 'v', 0, 0)},
    {0x80000006, ANY, 0, 0, 0x01006040, 0},
    {0x80000007, ANY, 0, 0, 0, 0},
    {0x80000008, ANY, 0x3028, 0, 0, 0},
};

static const struct {
    uint32_t level, leaf;
    enum { EBX, ECX, EDX } in;
    uint32_t bit;
} cpuid_features[] = {
#define FEATURE(level, host, leaf, in, bit, name) {level, leaf, in, UINT32_C(1) << bit},
#include "x86/cpuid.def"
#undef FEATURE
};

static void
add_features(struct cpuid_leaf *l)
{
    for (size_t i = 0; i < sizeof cpuid_features / sizeof *cpuid_features; i++) {
        if (cpuid_features[i].leaf != l->leaf || cpuid_features[i].level > x86_level())
            continue;
        if (cpuid_features[i].in == EBX)
            l->ebx |= cpuid_features[i].bit;
        else if (cpuid_features[i].in == ECX)
            l->ecx |= cpuid_features[i].bit;
        else
            l->edx |= cpuid_features[i].bit;
    }
}

/* What is not the same at each level, besides features: the model and its name, and the XSAVE area, standard form (SDM
 * vol. 1, 13.2). */
static void
add_level(struct cpuid_leaf *l)
{
    static const uint32_t signature[LEVELS] = {[V2] = 0x000106a5, [V3] = 0x000306c3};
    bool avx = x86_level() == X86_LEVEL_V3;

    if (l->leaf == 1) {
        l->eax = signature[x86_level()];
    } else if (l->leaf == 0x80000002) {
        l->edx |= (uint32_t)(avx ? '3' : '2') << 16;
    } else if (l->leaf == 13 && l->subleaf == 0) {
        l->eax = xcr0[x86_level()];
        l->ebx = l->ecx = avx ? X86_XSAVE_SIZE_V3 : X86_XSAVE_SIZE_V2;
    } else if (l->leaf == 13 && avx) { /* the AVX component: size and offset */
        l->eax = XSAVE_AVX_SIZE;
        l->ebx = X86_XSAVE_SIZE_V2;
    }
}

/* It is no input as the clock is: a task is on one processor from one edge to the kernel to the next. */
uint64_t
helper_processor(void)
{
    return x86_processor ? x86_processor() : 0;
}

/* Each processor is a core of its own, with caches of its own except for the third level, in one package. APIC ids
 * are the processors' numbers. */
static void
add_topology(struct cpuid_leaf *l, uint32_t subleaf)
{
    enum { HTT = 1 << 28, CACHE_LEVEL_3 = 3, LEVEL_THREAD = 1, LEVEL_CORE = 2 };
    uint32_t processors = x86_processors ? x86_processors() : 1, id = (uint32_t)helper_processor(), bits = 0;

    while (1u << bits < processors)
        bits++;
    switch (l->leaf) {
    case 1:
        l->ebx |= 1u << bits << 16 | id << 24;
        l->edx |= processors > 1 ? HTT : 0;
        break;
    case 4: /* how many ids share the cache, and how many cores' ids the package has; each less 1 */
        l->eax |= ((1u << bits) - 1) << 26;
        if ((l->eax >> 5 & 7) == CACHE_LEVEL_3)
            l->eax |= ((1u << bits) - 1) << 14;
        break;
    case 11:
        l->ecx = subleaf & 0xff;
        l->edx = id;
        if (subleaf == 0) {
            l->ebx = 1;
            l->ecx |= LEVEL_THREAD << 8;
        } else if (subleaf == 1) {
            l->eax = bits;
            l->ebx = processors;
            l->ecx |= LEVEL_CORE << 8;
        }
        break;
    default: break;
    }
}

uint64_t
helper_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_leaf l = {0};

    for (size_t i = 0; i < sizeof cpuid_leaves / sizeof *cpuid_leaves; i++) {
        if (cpuid_leaves[i].leaf == leaf && (cpuid_leaves[i].subleaf == ANY || cpuid_leaves[i].subleaf == subleaf)) {
            l = cpuid_leaves[i];
            add_features(&l);
            add_level(&l);
            add_topology(&l, subleaf);
            break;
        }
    }
    x86_this_cpu()->tmp[0] = l.ecx | (uint64_t)l.edx << 32;
    return l.eax | (uint64_t)l.ebx << 32;
}

/* A time stamp counter of 1 GHz. */
uint64_t
helper_rdtsc(void)
{
    struct timespec t;
    uint64_t now;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
    return x86_filter_input ? x86_filter_input(now) : now;
}

uint64_t
helper_xgetbv(uint32_t index, uint64_t pc)
{
    if (index != 0)
        x86_raise(VECTOR_GP, pc);
    return xcr0[x86_level()];
}

/* rdrand, rdseed: never without a number. */
uint64_t
helper_random(void)
{
    return x86_filter_input ? x86_filter_input(x86_random()) : x86_random();
}

/* --- exceptions and division --- */

void
helper_raise(uint32_t vector, uint64_t pc)
{
    x86_raise(vector, pc);
}

void
helper_raise_if(uint32_t condition, uint64_t pc, uint32_t vector)
{
    if (condition != 0)
        x86_raise(vector, pc);
}

static uint64_t
division_result(bool fits, uint64_t quotient, uint64_t remainder)
{
    x86_this_cpu()->tmp[0] = fits ? remainder : 0;
    x86_this_cpu()->tmp[1] = !fits;
    return fits ? quotient : 0;
}

uint64_t
helper_div128u(uint64_t high, uint64_t low, uint64_t divisor)
{
    unsigned __int128 n = (unsigned __int128)high << 64 | low;

    if (high >= divisor)
        return division_result(false, 0, 0);
    return division_result(true, (uint64_t)(n / divisor), (uint64_t)(n % divisor));
}

uint64_t
helper_div128s(uint64_t high, uint64_t low, uint64_t divisor)
{
    bool negative = high >> 63, opposite = negative != (divisor >> 63 != 0);
    unsigned __int128 n = (unsigned __int128)high << 64 | low, q;
    uint64_t d = divisor >> 63 ? -divisor : divisor, r;

    if (negative)
        n = -n;
    if (d == 0)
        return division_result(false, 0, 0);
    q = n / d;
    r = (uint64_t)(n % d);
    if (q > (UINT64_C(1) << 63) - !opposite)
        return division_result(false, 0, 0);
    return division_result(true, opposite ? -(uint64_t)q : (uint64_t)q, negative ? -r : r);
}

/* --- CRC-32C, polynomial 0x11edc6f41, bits reflected (SDM vol. 2, CRC32) --- */

static uint32_t crc_table[256]; /* filled at the first use: few programs have the instruction, and each would pay at its
                                   start */

static void
crc_table_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;

        for (unsigned bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
        crc_table[i] = v;
    }
}

uint32_t
helper_crc32(uint32_t sum, uint64_t v, uint32_t size)
{
    if (!crc_table[1])
        crc_table_init();
    for (unsigned i = 0; i < size && i < 8; i++)
        sum = sum >> 8 ^ crc_table[(uint8_t)(sum ^ v >> i * 8)];
    return sum;
}

/* --- BMI2 --- */

uint64_t
helper_pdep(uint64_t v, uint64_t mask)
{
    uint64_t r = 0;

    for (; mask != 0; mask &= mask - 1, v >>= 1) {
        if (v & 1)
            r |= mask & -mask;
    }
    return r;
}

uint64_t
helper_pext(uint64_t v, uint64_t mask)
{
    uint64_t r = 0;

    for (unsigned i = 0; mask != 0; mask &= mask - 1, i++) {
        if (v & (mask & -mask))
            r |= UINT64_C(1) << i;
    }
    return r;
}

/* --- the rest of RFLAGS --- */

enum { RFLAGS_KEPT = 1 << 14 | 1 << 18 | 1 << 21 /* NT AC ID */, RFLAGS_FIXED = 1 << 1 | 1 << 9 /* always one, IF */ };

uint64_t
helper_rflags_rest(void)
{
    return (x86_this_cpu()->id_flag & RFLAGS_KEPT) | RFLAGS_FIXED;
}

void
helper_set_rflags_rest(uint64_t v)
{
    x86_this_cpu()->id_flag = (uint32_t)v & RFLAGS_KEPT;
}
