/* The helpers of integer instructions: cpuid and the clock, wide division, string runs, odds and ends.
 * See ir/helpers.def for each one's contract. */
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "x86/helpers.h"

uint64_t helper_cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t helper_rdtsc(void);
uint64_t helper_xgetbv(uint32_t index, uint64_t pc);
uint64_t helper_random(void);
uint64_t helper_div128u(uint64_t high, uint64_t low, uint64_t divisor);
uint64_t helper_div128s(uint64_t high, uint64_t low, uint64_t divisor);
void helper_raise(uint32_t vector, uint64_t pc);
void helper_raise_if(uint32_t condition, uint64_t pc, uint32_t vector);
void helper_rep_movs(uint64_t addresses, uint64_t count, uint32_t control);
void helper_rep_stos(uint64_t to, uint64_t count, uint64_t value);
uint64_t helper_rep_lods(uint64_t from, uint64_t count, uint64_t value);
uint64_t helper_rep_cmps(uint64_t addresses, uint64_t count, uint32_t control);
uint64_t helper_rep_scas(uint64_t at, uint64_t count, uint64_t value);
uint32_t helper_crc32(uint32_t sum, uint64_t v, uint32_t size);
uint64_t helper_pdep(uint64_t v, uint64_t mask);
uint64_t helper_pext(uint64_t v, uint64_t mask);
uint64_t helper_rflags_rest(void);
void helper_set_rflags_rest(uint64_t v);

/* --- cpuid: cpuid.def has the features.
 * Family 6 model 26 (Nehalem) is what first had all of v2; glibc tunes its string functions by it. --- */

struct cpuid_leaf {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};

#define TEXT4(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

enum { VECTOR_GP = 13, ANY = UINT32_MAX /* subleaf */, XCR0 = 3 /* x87 and SSE state */, XSAVE_SIZE = 576 };

/* Without the features. Leaf 4 has the deterministic cache parameters, in the sizes that leaf 2 names. */
static const struct cpuid_leaf cpuid_leaves[] = {
    {0, ANY, 13, TEXT4('G', 'e', 'n', 'u'), TEXT4('n', 't', 'e', 'l'), TEXT4('i', 'n', 'e', 'I')},
    {1, ANY, 0x000106a5, 1 << 16 | 8 << 8, 0, 0},
    /* Descriptors: 32 KB L1 data and code, 256 KB L2, 8 MB L3. */
    {2, ANY, 0x55035a01, 0x00f0b2e4, 0, 0x09ca212c},
    {4, 0, 0x121, 7 << 22 | 63, 63, 0},
    {4, 1, 0x122, 3 << 22 | 63, 127, 0},
    {4, 2, 0x143, 7 << 22 | 63, 511, 0},
    {4, 3, 0x163, 15 << 22 | 63, 8191, 2},
    {7, 0, 0, 0, 0, 0},
    {13, 0, XCR0, XSAVE_SIZE, XSAVE_SIZE, 0},
    {0x80000000, ANY, 0x80000008, 0, 0, 0},
    {0x80000001, ANY, 0, 0, 0, 0},
    {0x80000002, ANY, TEXT4('i', 'n', 'g', 'o'), TEXT4('t', ' ', 'x', '8'), TEXT4('6', '-', '6', '4'),
     TEXT4('-', 'v', '2', 0)},
    {0x80000006, ANY, 0, 0, 0x01006040, 0},
    {0x80000007, ANY, 0, 0, 0, 0},
    {0x80000008, ANY, 0x3028, 0, 0, 0},
};

static const struct {
    uint32_t leaf;
    enum { EBX, ECX, EDX } in;
    uint32_t bit;
} cpuid_features[] = {
#define FEATURE(leaf, in, bit, name) {leaf, in, UINT32_C(1) << bit},
#include "x86/cpuid.def"
#undef FEATURE
};

static void
add_features(struct cpuid_leaf *l)
{
    for (size_t i = 0; i < sizeof cpuid_features / sizeof *cpuid_features; i++) {
        if (cpuid_features[i].leaf != l->leaf)
            continue;
        if (cpuid_features[i].in == EBX)
            l->ebx |= cpuid_features[i].bit;
        else if (cpuid_features[i].in == ECX)
            l->ecx |= cpuid_features[i].bit;
        else
            l->edx |= cpuid_features[i].bit;
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
            break;
        }
    }
    x86_this_cpu()->tmp[0] = l.ecx | (uint64_t)l.edx << 32;
    return l.eax | (uint64_t)l.ebx << 32;
}

uint64_t (*x86_filter_input)(uint64_t value);

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
    return XCR0;
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

/* --- string runs ---
 * Addresses wrap at 4 GiB, where nothing is mapped on either side: element by element a run that gets there
 * faults as it should. Whole-range functions are used only within the 4 GiB. */

static bool
in_range(uint32_t address, uint64_t count, unsigned size, bool down)
{
    uint64_t bytes;

    if (count > UINT32_MAX)
        return false;
    bytes = count * size;
    if (down)
        return bytes <= (uint64_t)address + size && address + (uint64_t)size <= UINT64_C(1) << 32;
    return address + bytes <= UINT64_C(1) << 32;
}

static uint64_t
load(uint32_t address, unsigned size)
{
    uint64_t v = 0;

    switch (size) {
    case 1: return *(volatile uint8_t *)x86_guest(address);
    case 2: memcpy(&v, x86_guest(address), 2); return v;
    case 4: memcpy(&v, x86_guest(address), 4); return v;
    default: memcpy(&v, x86_guest(address), 8); return v;
    }
}

static void
store(uint32_t address, unsigned size, uint64_t v)
{
    switch (size) {
    case 1: *(volatile uint8_t *)x86_guest(address) = (uint8_t)v; break;
    case 2: memcpy(x86_guest(address), &v, 2); break;
    case 4: memcpy(x86_guest(address), &v, 4); break;
    default: memcpy(x86_guest(address), &v, 8); break;
    }
}

static unsigned
control_size(uint32_t control)
{
    return control & 15;
}

static bool
control_down(uint32_t control)
{
    return control >> 8 & 1;
}

void
helper_rep_movs(uint64_t addresses, uint64_t count, uint32_t control)
{
    uint32_t to = (uint32_t)addresses, from = (uint32_t)(addresses >> 32);
    unsigned size = control_size(control);
    bool down = control_down(control);
    uint32_t step = down ? -size : size;
    uint64_t bytes = count * size;

    if (in_range(to, count, size, down) && in_range(from, count, size, down)) {
        uint32_t low_to = down ? (uint32_t)(to + size - bytes) : to;
        uint32_t low_from = down ? (uint32_t)(from + size - bytes) : from;
        bool overlap = low_to < low_from + bytes && low_from < low_to + bytes;

        /* Overlapping in the direction of the copy, it repeats a pattern; memmove would not. */
        if (!overlap || (down ? low_to > low_from : low_to < low_from)) {
            if (count != 0)
                memmove(x86_guest(low_to), x86_guest(low_from), bytes);
            return;
        }
    }
    for (; count != 0; count--, to += step, from += step)
        store(to, size, load(from, size));
}

void
helper_rep_stos(uint64_t at, uint64_t count, uint64_t value)
{
    uint32_t to = (uint32_t)at, control = (uint32_t)(at >> 32);
    unsigned size = control_size(control);
    bool down = control_down(control), same = true;
    uint32_t step = down ? -size : size;

    for (unsigned i = 1; i < size; i++)
        same &= (uint8_t)(value >> i * 8) == (uint8_t)value;
    if (same && in_range(to, count, size, down)) {
        uint32_t low = down ? (uint32_t)(to + size - count * size) : to;

        if (count != 0)
            memset(x86_guest(low), (uint8_t)value, count * size);
        return;
    }
    for (; count != 0; count--, to += step)
        store(to, size, value);
}

uint64_t
helper_rep_lods(uint64_t at, uint64_t count, uint64_t value)
{
    uint32_t from = (uint32_t)at, control = (uint32_t)(at >> 32);
    unsigned size = control_size(control);
    uint32_t step = control_down(control) ? -size : size;

    for (; count != 0; count--, from += step)
        value = load(from, size);
    return value;
}

uint64_t
helper_rep_cmps(uint64_t addresses, uint64_t count, uint32_t control)
{
    uint32_t right = (uint32_t)addresses, left = (uint32_t)(addresses >> 32);
    unsigned size = control_size(control);
    uint32_t step = control_down(control) ? -size : size;
    bool until_equal = control >> 9 & 1;
    uint64_t a = 0, b = 0, n = 0;

    while (n < count) {
        a = load(left, size);
        b = load(right, size);
        n++;
        if ((a == b) == until_equal)
            break;
        left += step;
        right += step;
    }
    x86_this_cpu()->tmp[0] = a;
    x86_this_cpu()->tmp[1] = b;
    return n;
}

uint64_t
helper_rep_scas(uint64_t address, uint64_t count, uint64_t value)
{
    uint32_t at = (uint32_t)address, control = (uint32_t)(address >> 32);
    unsigned size = control_size(control);
    uint32_t step = control_down(control) ? -size : size;
    bool until_equal = control >> 9 & 1;
    uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
    uint64_t b = 0, n = 0;

    while (n < count) {
        b = load(at, size);
        n++;
        if (((value & mask) == b) == until_equal)
            break;
        at += step;
    }
    x86_this_cpu()->tmp[0] = b;
    return n;
}

/* --- CRC-32C, polynomial 0x11edc6f41, bits reflected (SDM vol. 2, CRC32) --- */

static uint32_t crc_table[256];

__attribute__((constructor)) static void
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
