/* What may differ between the processor and an execution, and what may not. */
#include "oracle.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool strict_nan, strict_mxcsr;

static const uint16_t flag_bit[X86_FLAG_COUNT] = {1, 4, 0x10, 0x40, 0x80, 0x800, 0x400};

static uint32_t
flag_bits(uint8_t flags)
{
    uint32_t out = 0;

    for (unsigned i = 0; i < X86_FLAG_COUNT; i++)
        out |= flags >> i & 1 ? flag_bit[i] : 0;
    return out;
}

static bool
in_list(const char *name, const char *list)
{
    size_t n = strlen(name);

    for (const char *p = list; (p = strstr(p, name)) != NULL; p += n) {
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    }
    return false;
}

/* OF is defined for a count of 1 alone, CF of shifts up to the operand's size (SDM vol. 2, SAL/SAR/SHL/SHR,
 * RCL/RCR/ROL/ROR, SHLD, SHRD). s NULL: any count in CL is possible. */
static uint32_t
undefined_by_count(const struct x86_insn *insn, const struct state *s)
{
    const struct x86_operand *o = &insn->operand[insn->operand_count ? insn->operand_count - 1 : 0];
    unsigned count, mask = insn->opsize == 8 ? 63 : 31;
    bool rotate = false;

    switch (insn->op) {
    case X86_OP_ROL:
    case X86_OP_ROR:
    case X86_OP_RCL:
    case X86_OP_RCR: rotate = true; break;
    case X86_OP_SHL:
    case X86_OP_SHR:
    case X86_OP_SAR:
    case X86_OP_SHLD:
    case X86_OP_SHRD: break;
    default: return 0;
    }
    if (o->kind == X86_OPD_IMM)
        count = (unsigned)o->imm & mask;
    else if (s)
        count = (unsigned)s->gpr[X86_RCX] & mask;
    else
        count = mask;
    if (count == 0)
        return 0;
    return (count != 1 ? 0x800u : 0) | (count >= insn->opsize * 8u && !rotate && insn->op != X86_OP_SAR ? 1u : 0);
}

/* A repeated string instruction with 32-bit addresses that does nothing because ecx is 0: some processors clear the
 * upper halves of its registers, others leave them. */
static uint16_t
model_specific_halves(const struct x86_insn *insn, const struct state *s)
{
    if (!(insn->rep || insn->repne) || insn->address_size != 4 || (s && (uint32_t)s->gpr[X86_RCX]))
        return 0;
    return 1u << X86_RCX | 1u << X86_RSI | 1u << X86_RDI;
}

static void
leave_out(struct tolerance *t, size_t from, size_t to)
{
    t->left_out[t->left_out_count].from = from;
    t->left_out[t->left_out_count++].to = to;
}

/* The last instruction and operand pointers of x87 in saved environments: which instructions set them, and whether
 * FXSAVE stores them without a pending exception, differs by processor. So does MXCSR_MASK. */
static void
leave_out_pointers(const struct x86_insn *insn, const struct state *s, struct tolerance *t)
{
    size_t at;

    if (insn->op != X86_OP_FXSAVE && insn->op != X86_OP_FNSAVE && insn->op != X86_OP_FNSTENV)
        return;
    if (!operand_offset(insn, &insn->operand[0], s, &at))
        return;
    if (insn->op == X86_OP_FXSAVE) {
        leave_out(t, at + 6, at + 24);
        leave_out(t, at + 28, at + 32);
    } else if (insn->opsize == 2) {
        leave_out(t, at + 6, at + 14);
    } else {
        leave_out(t, at + 12, at + 28);
    }
}

/* What the guest gets is the same on every host, computed in x86/helpers_x87_functions.c and helpers_sse.c; processors
 * have values of their own. */
static void
allow_values(const struct x86_insn *insn, struct tolerance *t)
{
    switch (insn->op) {
        /* clang-format off */
    case X86_OP_FSIN: case X86_OP_FCOS: case X86_OP_FSINCOS: case X86_OP_FPTAN: case X86_OP_FPATAN:
    case X86_OP_F2XM1: case X86_OP_FYL2X: case X86_OP_FYL2XP1:
        /* clang-format on */
        t->last_bits = true;
        break;
        /* clang-format off */
    case X86_OP_RCPPS: case X86_OP_RCPSS: case X86_OP_RSQRTPS: case X86_OP_RSQRTSS:
    case X86_OP_VRCPPS: case X86_OP_VRCPSS: case X86_OP_VRSQRTPS: case X86_OP_VRSQRTSS:
        /* clang-format on */
        t->approximate = true;
        break;
    default: break;
    }
}

struct tolerance
tolerance_of(const struct x86_insn *insn, const struct state *s)
{
    char name[32];
    struct tolerance t = {.undefined = flag_bits(x86_flag_effects(insn).undefined) | undefined_by_count(insn, s)};

    snprintf(name, sizeof name, "%s", x86_op_name(insn->op));
    for (char *p = name; *p; p++)
        *p = (char)(*p | (*p >= 'A' && *p <= 'Z' ? 32 : 0));
    /* Indirect jumps and calls compare on the way, and nobody expects flags at their ends (docs/direct.md). */
    if (x86_flow(insn) == X86_FLOW_JUMP_INDIRECT || x86_flow(insn) == X86_FLOW_CALL_INDIRECT)
        t.lost = STATUS_FLAGS;
    t.high_halves = model_specific_halves(insn, s);
    allow_values(insn, &t);
    if (s)
        leave_out_pointers(insn, s, &t);
    t.nan = in_list(insn->vector_size ? name + 1 : name,
                    " addps addpd addss addsd subps subpd subss subsd mulps mulpd mulss mulsd divps divpd "
                    "divss divsd haddps haddpd hsubps hsubpd addsubps addsubpd dpps dppd ");
    return t;
}

struct tolerance
tolerance_in(struct tolerance t, const struct execution *x, const struct outcome *found)
{
    if (x->exact && !found->evaluated)
        return (struct tolerance){.undefined = t.lost,
                                  .lost_at_traps = t.lost_at_traps,
                                  .sequence = t.sequence,
                                  .exact_traps = true};
    if (x->compiled)
        t.inexact_traps = t.inexact_nans = true;
    else
        t.quiet = false;
    if (x->flat)
        t.quiet = true;
    return t;
}

struct report {
    char *text;
    const char *name;
    size_t size, used;
    unsigned count;
};

static void __attribute__((format(printf, 2, 3)))
differ(struct report *r, const char *format, ...)
{
    va_list ap;
    int n;

    r->count++;
    va_start(ap, format);
    n = vsnprintf(r->text + r->used, r->size - r->used, format, ap);
    va_end(ap);
    if (n > 0)
        r->used += (size_t)n < r->size - r->used ? (size_t)n : r->size - r->used - 1;
}

static bool
same_nan32(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < 4; i++) {
        float x, y;
        memcpy(&x, a + 4 * i, 4);
        memcpy(&y, b + 4 * i, 4);
        if (memcmp(&x, &y, 4) && !(x != x && y != y))
            return false;
    }
    return true;
}

/* Of reciprocals: each at most 1.5 * 2^-12 from the exact one. */
static bool
same_approximation(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < 4; i++) {
        float x, y;
        memcpy(&x, a + 4 * i, 4);
        memcpy(&y, b + 4 * i, 4);
        if (memcmp(&x, &y, 4) && !(fabsf(x - y) <= fabsf(x) * (float)(3.01 / 4096) && isnormal(x) && isnormal(y)))
            return false;
    }
    return true;
}

static bool
same_nan64(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < 2; i++) {
        double x, y;
        memcpy(&x, a + 8 * i, 8);
        memcpy(&y, b + 8 * i, 8);
        if (memcmp(&x, &y, 8) && !(x != x && y != y))
            return false;
    }
    return true;
}

/* One unit of the last of 64 bits apart. */
static bool
neighbours(const uint8_t *x, const uint8_t *y)
{
    unsigned __int128 a = 0, b = 0;

    memcpy(&a, x, 10);
    memcpy(&b, y, 10);
    if ((uint64_t)a >> 63 && (uint64_t)b >> 63) { /* without the explicit bit one counts through */
        a = (a >> 64) << 63 | ((uint64_t)a & INT64_MAX);
        b = (b >> 64) << 63 | ((uint64_t)b & INT64_MAX);
    }
    return a + 1 == b || b + 1 == a;
}

static void
compare_x87(struct report *r, const uint8_t *n, const uint8_t *e, const struct tolerance *t)
{
    uint16_t nw, ew, compared = t->last_bits ? (uint16_t)~0x210 : UINT16_MAX; /* C1: rounded up; UE of denormals */

    if (memcmp(n, e, 2))
        differ(r, "  fcw   %02x%02x, %s %02x%02x\n", n[1], n[0], r->name, e[1], e[0]);
    memcpy(&nw, n + 2, 2);
    memcpy(&ew, e + 2, 2);
    if ((nw ^ ew) & compared)
        differ(r, "  fsw   %04x, %s %04x\n", nw, r->name, ew);
    if (n[4] != e[4])
        differ(r, "  ftw   %02x, %s %02x\n", n[4], r->name, e[4]);
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t *x = n + 32 + 16 * i, *y = e + 32 + 16 * i;
        unsigned physical = ((nw >> 11) + i) & 7;

        if (!(n[4] >> physical & 1) || !memcmp(x, y, 10) || (t->last_bits && neighbours(x, y)))
            continue;
        differ(r, "  st%u   %04x:%016lx, %s %04x:%016lx\n", i, x[8] | x[9] << 8, *(const uint64_t *)(const void *)x,
               r->name, y[8] | y[9] << 8, *(const uint64_t *)(const void *)y);
    }
}

static bool
is_left_out(const struct tolerance *t, size_t at)
{
    for (unsigned i = 0; i < t->left_out_count; i++) {
        if (at >= t->left_out[i].from && at < t->left_out[i].to)
            return true;
    }
    return false;
}

static void
compare_memory(struct report *r, const uint8_t *n, const uint8_t *e, const struct tolerance *t)
{
    if (!memcmp(n, e, WINDOW_SIZE))
        return;
    for (size_t i = 0; i < WINDOW_SIZE; i++) {
        if (n[i] == e[i] || is_left_out(t, i))
            continue;
        size_t line = i & ~(size_t)7;
        differ(r, "  [%08lx] %016lx, %s %016lx\n", WINDOW + line, *(const uint64_t *)(const void *)(n + line), r->name,
               *(const uint64_t *)(const void *)(e + line));
        i = line + 7;
        if (r->count > 8)
            return;
    }
}

static void
compare_gprs(struct report *r, const struct state *n, const struct state *e, uint16_t high_halves)
{
    for (unsigned i = 0; i < 16; i++) {
        uint64_t compared = high_halves >> i & 1 ? UINT32_MAX : UINT64_MAX;

        if ((n->gpr[i] ^ e->gpr[i]) & compared)
            differ(r, "  %-5s %016lx, %s %016lx\n", x86_gpr_name(i), n->gpr[i], r->name, e->gpr[i]);
    }
}

static void
compare_flags(struct report *r, const struct state *n, const struct state *e, uint32_t undefined)
{
    uint64_t flags = (n->rflags ^ e->rflags) & FLAGS_MASK & ~undefined;

    if (!flags)
        return;
    differ(r, "  flags %03lx, %s %03lx:", n->rflags & FLAGS_MASK, r->name, e->rflags & FLAGS_MASK);
    for (unsigned i = 0; i < X86_FLAG_COUNT; i++) {
        if (flags & flag_bit[i])
            differ(r, " %cF", "CPAZSOD"[i]);
    }
    differ(r, "\n");
}

static void
compare_vectors(struct report *r, const char *what, const uint8_t *n, const uint8_t *e, const struct tolerance *t)
{
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *x = n + 16 * i, *y = e + 16 * i;
        uint64_t p[2], q[2];

        if (!memcmp(x, y, 16) || (t->approximate && same_approximation(x, y)) ||
            (t->nan && t->inexact_nans && !strict_nan && (same_nan32(x, y) || same_nan64(x, y))))
            continue;
        memcpy(p, x, 16);
        memcpy(q, y, 16);
        differ(r, "  %s%-2u %016lx_%016lx, %s %016lx_%016lx\n", what, i, p[1], p[0], r->name, q[1], q[0]);
    }
}

static void
compare_xmm(struct report *r, const struct state *n, const struct state *e, const struct tolerance *t)
{
    uint32_t nm, em;

    compare_vectors(r, "xmm", n->fx + 160, e->fx + 160, t);
    compare_vectors(r, "ymmh", n->high, e->high, t);
    memcpy(&nm, n->fx + 24, 4);
    memcpy(&em, e->fx + 24, 4);
    if ((nm ^ em) & (t->quiet && !strict_mxcsr ? 0xffc0 : 0xffff))
        differ(r, "  mxcsr %04x, %s %04x\n", nm, r->name, em);
}

/* Which of two NaNs a sum or product gives is the compiler's choice, as in WebAssembly; later instructions of a
 * sequence may have put it anywhere. */
static bool
has_nan(const uint8_t vectors[256])
{
    for (unsigned i = 0; i < 256; i += 4) {
        float f;
        double d = 0;

        memcpy(&f, vectors + i, 4);
        if (i % 8 == 0)
            memcpy(&d, vectors + i, 8);
        if (f != f || d != d)
            return true;
    }
    return false;
}

unsigned
state_compare(struct seen expected, struct seen found, const struct tolerance *t, char *text, size_t size)
{
    const struct outcome *n = expected.outcome, *e = found.outcome;
    struct report r = {.text = text, .size = size, .name = found.name};

    text[0] = 0;
    /* Compiled code may leave out an access whose value nobody uses, and so fault later or not at all. */
    if (t->inexact_traps && n->trap == TRAP_PAGE && (e->trap == NO_TRAP || t->sequence))
        return 0;
    if (n->trap != e->trap) {
        differ(&r, "  trap  %d at %lx, %s %d at %lx\n", n->trap, n->trap_rip, r.name, e->trap, e->trap_rip);
        return r.count;
    }
    if (n->trap != NO_TRAP) {
        /* Those two trap after the instruction. */
        if (t->inexact_traps || n->trap == 3 || n->trap == 1)
            return r.count;
        if (n->trap_rip != e->trap_rip)
            differ(&r, "  trap %d at %lx, %s at %lx\n", n->trap, n->trap_rip, r.name, e->trap_rip);
        compare_gprs(&r, &n->state, &e->state, 0);
        compare_memory(&r, expected.window, found.window, t);
        if (t->exact_traps) {
            compare_flags(&r, &n->state, &e->state, t->undefined | t->lost_at_traps);
            compare_xmm(&r, &n->state, &e->state, t);
            compare_x87(&r, n->state.fx, e->state.fx, t);
        }
        return r.count;
    }
    if (t->sequence && t->nan && t->inexact_nans && (has_nan(n->state.fx + 160) || has_nan(n->state.high)))
        return 0;
    if (n->state.rip != e->state.rip)
        differ(&r, "  rip   %lx, %s %lx\n", n->state.rip, r.name, e->state.rip);
    compare_gprs(&r, &n->state, &e->state, t->high_halves);
    compare_flags(&r, &n->state, &e->state, t->undefined);
    compare_xmm(&r, &n->state, &e->state, t);
    compare_x87(&r, n->state.fx, e->state.fx, t);
    compare_memory(&r, expected.window, found.window, t);
    return r.count;
}

unsigned
expectation_compare(const struct expectation *e, const struct execution *x, const struct outcome *found,
                    const struct tolerance *t, char *text, size_t size)
{
    bool host = x->exact && !found->evaluated;
    struct seen expected = {host ? &e->host : &e->promised, host ? e->host_window : e->promised_window, "processor"};
    struct tolerance in = tolerance_in(*t, x, found);

    return state_compare(expected, (struct seen){found, x->window(), x->name}, &in, text, size);
}
