#include "platform/processor.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "platform/assembly_internal.h"

enum { EAX, EBX, ECX, EDX };
enum { ALL, DIRECT, V3, NONE }; /* the column `host` of cpuid.def */
enum { MOST_LEAVES = 8, EXTENDED = 0x80000000, OSXSAVE = 1 << 27, XCR0_AVX = 6 /* SSE and AVX state */ };

static const struct feature {
    uint8_t host, in;
    uint32_t leaf, bit;
    const char *name;
} features[] = {
#define FEATURE(level, host, leaf, in, bit, name) {host, in, leaf, UINT32_C(1) << bit, name},
#include "x86/cpuid.def"
#undef FEATURE
};

static void
ask_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __cpuid_count(leaf, subleaf, out[EAX], out[EBX], out[ECX], out[EDX]);
}

static uint64_t
ask_xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (uint64_t)high << 32;
}

const struct processor_probe platform_processor = {.cpuid = ask_cpuid, .xcr0 = ask_xcr0};

bool
platform_executes(enum x86_level level, bool direct)
{
    return platform_try_v2() && (!direct || platform_try_direct()) &&
           (level < X86_LEVEL_V3 || (platform_try_direct() && platform_try_v3()));
}

/* --- names --- */

struct answers {
    const struct processor_probe *probe;
    struct {
        uint32_t leaf, values[4];
    } leaves[MOST_LEAVES];
    unsigned count;
};

static const uint32_t *
ask(struct answers *a, uint32_t leaf)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->leaves[i].leaf == leaf)
            return a->leaves[i].values;
    a->leaves[a->count].leaf = leaf;
    a->probe->cpuid(leaf, 0, a->leaves[a->count].values);
    return a->leaves[a->count++].values;
}

/* A processor without a leaf answers with the values of another. Leaf 1 is there on every one. */
static bool
has_leaf(struct answers *a, uint32_t leaf)
{
    return leaf == 1 || ask(a, leaf & EXTENDED)[EAX] >= leaf;
}

static void
add_name(char *out, size_t size, const char *name)
{
    size_t used = strlen(out);

    snprintf(out + used, size - used, "%s%s", used ? " " : "", name);
}

char *
platform_missing_features(const struct processor_probe *probe, enum x86_level level, bool direct, char *out,
                          size_t size)
{
    struct answers a = {.probe = probe};
    bool avx = true;

    *out = '\0';
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        const struct feature *f = &features[i];
        bool needed = f->host == ALL || (f->host == DIRECT && direct) || (f->host != NONE && level == X86_LEVEL_V3),
             there;

        if (!needed)
            continue;
        there = has_leaf(&a, f->leaf) && (ask(&a, f->leaf)[f->in] & f->bit);
        if (!there)
            add_name(out, size, *f->name ? f->name : "osxsave");
        if (f->leaf == 1 && f->in == ECX && f->bit == OSXSAVE)
            avx = there && (probe->xcr0() & XCR0_AVX) == XCR0_AVX;
    }
    /* The kernel may not save these registers, and then their instructions are #UD. */
    if (level == X86_LEVEL_V3 && !avx)
        add_name(out, size, "ymm-state");
    return out;
}
