/* The processor the oracle runs on: which one it is, and where it does other than what the guest is promised
 * (deviations.def). */
#include "oracle.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum host { AMD, INTEL, EITHER, VIRTUAL };
enum when { ALWAYS, MISALIGNED, WORD, REPEAT, OPCODE_0D, BIT17 };
enum does { GP, UD, PF, PARTIAL, DB_AFTER, DB_AT, RUNS, DIFFERS, OTHER };

static struct deviation {
    uint16_t op;
    enum host host;
    enum when when;
    enum does promised, instead;
    const char *name, *does, *source;
    unsigned met;
} deviations[] = {
#define DEVIATION(op, host, when, promised, instead, source) \
    {X86_OP_##op, host, when, promised, instead, #op, #instead ", not " #promised, source, 0},
#include "deviations.def"
#undef DEVIATION
};

static char vendor[13], brand[49], hypervisor[13];

static void
identify(void)
{
    unsigned a, b, c, d, regs[12] = {0};

    if (vendor[0])
        return;
    __cpuid(0, a, b, c, d);
    memcpy(vendor, (unsigned[]){b, d, c}, 12);
    __cpuid(1, a, b, c, d);
    if (c >> 31) {
        __cpuid(0x40000000, a, b, c, d);
        memcpy(hypervisor, (unsigned[]){b, c, d}, 12);
        if (!hypervisor[0])
            strcpy(hypervisor, "nameless");
    }
    __cpuid(0x80000000, a, b, c, d);
    for (unsigned i = 0; a >= 0x80000004 && i < 3; i++)
        __cpuid(0x80000002 + i, regs[4 * i], regs[4 * i + 1], regs[4 * i + 2], regs[4 * i + 3]);
    memcpy(brand, regs, 48);
}

static bool
is_host(enum host host)
{
    identify();
    switch (host) {
    case AMD: return !strcmp(vendor, "AuthenticAMD") || !strcmp(vendor, "HygonGenuine");
    case INTEL: return !strcmp(vendor, "GenuineIntel");
    case EITHER: return true;
    default: return hypervisor[0];
    }
}

void
host_print(void)
{
    /* clang-format off */
    static const struct {
        const char *name;
        unsigned leaf, word, bit;
    } flags[] = {
        {"avx", 1, 2, 28},      {"fma", 1, 2, 12},      {"aes", 1, 2, 25},          {"pclmulqdq", 1, 2, 1},
        {"xsave", 1, 2, 26},    {"avx2", 7, 1, 5},      {"avx512f", 7, 1, 16},      {"sha_ni", 7, 1, 29},
        {"erms", 7, 1, 9},      {"fsrm", 7, 3, 4},      {"umip", 7, 2, 2},          {"pku", 7, 2, 3},
        {"abm", 0x80000001, 2, 5}, {"sse4a", 0x80000001, 2, 6}, {"misalignsse", 0x80000001, 2, 7},
        {"xsaves", 0xd, 0, 3},  {"xsaveerptr", 0x80000008, 1, 2},
    };
    /* clang-format on */
    struct utsname system;
    unsigned a, b, c, d;

    identify();
    uname(&system);
    __cpuid(1, a, b, c, d);
    unsigned family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
    printf("processor: %s, %s, family %u model %u stepping %u; %s%s; %s %s; flags:", vendor, brand, family,
           (a >> 4 & 15) | (a >> 12 & 0xf0), a & 15, hypervisor[0] ? "hypervisor " : "no hypervisor", hypervisor,
           system.sysname, system.release);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        unsigned regs[4] = {0};

        if (flags[i].leaf == 0xd)
            __cpuid_count(0xd, 1, regs[0], regs[1], regs[2], regs[3]);
        else
            __get_cpuid_count(flags[i].leaf, 0, &regs[0], &regs[1], &regs[2], &regs[3]);
        if (regs[flags[i].word] >> flags[i].bit & 1)
            printf(" %s", flags[i].name);
    }
    printf("\n");
}

void
host_print_deviations(void)
{
    for (size_t i = 0; i < sizeof deviations / sizeof *deviations; i++) {
        if (deviations[i].met)
            printf("this host deviates: %s %u times (%s: %s)\n", deviations[i].name, deviations[i].met,
                   deviations[i].does, deviations[i].source);
    }
}

static bool
has_prefix(const struct made *m, uint8_t prefix)
{
    unsigned n = 0;

    while (n < m->length && m->bytes[n] &&
           ((m->bytes[n] & 0xf0) == 0x40 || strchr("\x2e\x36\x3e\x26\x64\x65\x66\x67\xf0\xf2\xf3", m->bytes[n])))
        if (m->bytes[n++] == prefix)
            return true;
    return false;
}

static bool
applies(const struct deviation *d, const struct made *m, const struct state *before, const uint8_t *memory)
{
    const struct x86_insn *insn = &m->insn;
    const struct x86_operand *o = NULL;
    size_t at;
    uint32_t mxcsr;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->operand[i].kind == X86_OPD_MEM)
            o = &insn->operand[i];
    }
    switch (d->when) {
    case MISALIGNED: return o && operand_offset(insn, o, before, &at) && at % x86_alignment(insn);
    case WORD: return has_prefix(m, 0x66);
    case REPEAT: return has_prefix(m, 0xf2) || has_prefix(m, 0xf3);
    case OPCODE_0D: return !o && memmem(m->bytes, m->length, "\x0f\x0d", 2);
    case BIT17:
        if (!o || !operand_offset(insn, o, before, &at))
            return false;
        memcpy(&mxcsr, memory + at + (insn->op == X86_OP_LDMXCSR ? 0 : 24), 4);
        return mxcsr >> 17 == 1;
    default: return true;
    }
}

bool
host_deviates(const struct made *m)
{
    for (size_t i = 0; i < sizeof deviations / sizeof *deviations; i++) {
        const struct deviation *d = &deviations[i];

        if (d->op == m->insn.op && is_host(d->host) && d->when != MISALIGNED && d->when != BIT17 &&
            applies(d, m, NULL, NULL))
            return true;
    }
    return false;
}

static int
vector_that(enum does does)
{
    switch (does) {
    case GP: return 13;
    case UD: return 6;
    case PF:
    case PARTIAL: return 14;
    case DB_AFTER:
    case DB_AT: return 1;
    default: return NO_TRAP;
    }
}

enum host_result
host_result(const struct program *p, const struct state *before, const uint8_t *memory, struct outcome *found)
{
    for (size_t i = 0; p->count == 1 && i < sizeof deviations / sizeof *deviations; i++) {
        struct deviation *d = &deviations[i];

        if (d->op != p->part[0].insn.op || !is_host(d->host) || !applies(d, &p->part[0], before, memory))
            continue;
        if (d->instead == PARTIAL) {
            if (found->trap != vector_that(PARTIAL) || memcmp(native_window(), memory, WINDOW_SIZE) == 0)
                continue;
        } else if (found->trap == vector_that(d->promised) && (d->promised != RUNS || d->instead == OTHER) &&
                   d->instead != DIFFERS) {
            continue; /* where RIP is after #DB is not compared */
        }
        if (d->instead != OTHER && found->trap != vector_that(d->instead))
            continue;
        d->met++;
        if (d->promised == RUNS)
            return HOST_SAYS_NOTHING;
        found->trap = vector_that(d->promised);
        found->trap_rip = p->address;
        memcpy(found->state.gpr, before->gpr, sizeof before->gpr);
        memcpy(native_window(), memory, WINDOW_SIZE);
        return HOST_CORRECTED;
    }
    return HOST_AS_PROMISED;
}

void
expectation_of(const struct program *p, const struct state *before, const uint8_t *memory, struct expectation *out)
{
    memcpy(native_window(), memory, WINDOW_SIZE);
    execution_processor.run(p, 0, before, &out->host);
    out->promised = out->host;
    memcpy(out->host_window, native_window(), WINDOW_SIZE);
    out->result = host_result(p, before, memory, &out->promised);
    memcpy(out->promised_window, native_window(), WINDOW_SIZE);
}
