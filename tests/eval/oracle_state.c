/* Random states with a taste for edges, what instructions need to be runnable, and comparison. */
#include "oracle.h"

#include <stdio.h>
#include <string.h>

static uint64_t seed_state = 1;

static uint64_t
mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* Mixed, because the numbers from state s are those from s + step, but for the first: seeds a step apart would all make
 * the same cases. */
void
random_seed(uint64_t seed)
{
    seed_state = mix(seed + 0x632be59bd9b4e019ull);
}

uint64_t
random64(void)
{
    return mix(seed_state += 0x9e3779b97f4a7c15ull);
}

uint32_t
random_below(uint32_t n)
{
    return (uint32_t)((random64() >> 32) * n >> 32);
}

static uint64_t
random_integer(void)
{
    /* clang-format off */
    static const uint64_t edges[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xffffffffffffff80,
        0xffffffffffff8000, 0xffffffff80000000, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa,
        0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x8000800080008000, 0x7fff7fff7fff7fff,
    };
    /* clang-format on */
    uint64_t v;

    switch (random_below(6)) {
    case 0: return edges[random_below(sizeof edges / sizeof *edges)];
    case 1: return random_below(64);
    case 2: return (uint64_t)(int64_t)(int32_t)random64();
    case 3: v = random64(); return v >> random_below(64);
    default: return random64();
    }
}

static uint64_t
random_f64(void)
{
    /* clang-format off */
    static const double values[] = {0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e10, -1e10, 1e300,
                                    -1e300, 1e-300, 2147483647.0, 2147483648.0, -2147483648.0, -2147483649.0,
                                    9223372036854775808.0, -9223372036854775808.0, 0.1, 4294967295.0, 1e-310};
    /* clang-format on */
    static const uint64_t bits[] = {0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
                                    0xfff8000000000000, 0x7ff4000000000001, 1,
                                    0x8000000000000001, 0x000fffffffffffff, 0x7fefffffffffffff,
                                    0x7ff8000000123456};
    double d;
    uint64_t v;

    switch (random_below(8)) {
    case 0:
    case 1: d = values[random_below(sizeof values / sizeof *values)]; break;
    case 2: return bits[random_below(sizeof bits / sizeof *bits)];
    case 3: d = (double)(int32_t)random64(); break;
    case 4: return random64();
    default: /* of ordinary size, so that sums round and products do not overflow */
        v = random64();
        return (v & 0x800fffffffffffff) | (uint64_t)(1023 - 8 + random_below(17)) << 52;
    }
    memcpy(&v, &d, 8);
    return v;
}

static uint32_t
random_f32(void)
{
    static const uint32_t bits[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fa00001, 1,          0x80000001,
                                    0x007fffff, 0x7f7fffff, 0x7fc12345, 0,          0x80000000, 0x3f800000, 0xbf800000,
                                    0x4f000000, 0xcf000000, 0x4effffff, 0x3f000000, 0x40200000};
    float f;
    uint32_t v;

    switch (random_below(6)) {
    case 0: return bits[random_below(sizeof bits / sizeof *bits)];
    case 1: f = (float)(int32_t)random64(); break;
    case 2: return (uint32_t)random64();
    default: v = (uint32_t)random64(); return (v & 0x807fffff) | (uint32_t)(127 - 8 + random_below(17)) << 23;
    }
    memcpy(&v, &f, 4);
    return v;
}

/* 16 bytes of something. */
static void
random_vector(uint8_t *out)
{
    uint64_t v[2];
    uint32_t w[4];

    switch (random_below(5)) {
    case 0:
    case 1:
        for (int i = 0; i < 4; i++)
            w[i] = random_f32();
        memcpy(out, w, 16);
        return;
    case 2:
    case 3:
        v[0] = random_f64();
        v[1] = random_f64();
        break;
    default: v[0] = random_integer(); v[1] = random_integer();
    }
    memcpy(out, v, 16);
}

static void
random_x87(uint8_t *out)
{
    uint64_t mantissa = random64() | 0x8000000000000000ull;
    uint16_t exponent = (uint16_t)(16383 - 10 + (int)random_below(21));

    switch (random_below(10)) {
        /* clang-format off */
    case 0: mantissa = exponent = 0; break;
    case 1: exponent = 0x7fff; mantissa = 0x8000000000000000ull; break;
    case 2: exponent = 0x7fff; mantissa |= 0xc000000000000000ull; break;
    /* clang-format on */
    case 3:
    case 4: mantissa = 0x8000000000000000ull | (uint64_t)random_below(256) << 56; break;
    case 5: exponent = (uint16_t)(16383 + random_below(70)); break;
    case 6: exponent = (uint16_t)(1 + random_below(0x7ffe)); break;
    case 7: mantissa = 0x8000000000000000ull; break;
    default: break;
    }
    exponent |= random_below(2) ? 0x8000 : 0;
    memset(out, 0, 16);
    memcpy(out, &mantissa, 8);
    memcpy(out + 8, &exponent, 2);
}

static uint32_t
random_mxcsr(void)
{
    if (random_below(3))
        return 0x1f80;
    return 0x1f80 | random_below(4) << 13 | (random_below(4) ? 0 : 0x8000) | (random_below(4) ? 0 : 0x40);
}

void
memory_random(uint8_t *window)
{
    for (size_t i = 0; i < WINDOW_SIZE; i += 16)
        random_vector(window + i);
}

void
state_random(struct state *s)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 16; i++)
        s->gpr[i] = random_integer();
    s->gpr[X86_RSP] = WINDOW_MIDDLE + random_below(64) * 8;
    s->rflags = (random64() & FLAGS_MASK) | 0x202;
    if (random_below(4))
        s->rflags &= ~0x400ull;
    s->rip = CODE_AT;

    uint32_t mxcsr = random_mxcsr();
    uint16_t control = 0x37f, status;
    unsigned top = random_below(8);
    static const uint8_t tags[] = {0x0f, 0xff, 0x07, 0x03, 0x01, 0x00, 0x7f, 0x3f};
    uint8_t valid = random_below(3) ? 0xff : tags[random_below(8)], tag = 0;
    if (random_below(3) == 0)
        control = (uint16_t)(0x7f | random_below(4) << 10 | (const uint16_t[]){0, 0x200, 0x300}[random_below(3)]);
    status = (uint16_t)(top << 11 | (random_below(4) ? 0 : (random64() & 0x4700)));
    for (unsigned i = 0; i < 8; i++) {
        random_x87(s->fx + 32 + 16 * i);
        if (valid >> i & 1)
            tag |= (uint8_t)(1u << ((top + i) & 7));
    }
    memcpy(s->fx, &control, 2);
    memcpy(s->fx + 2, &status, 2);
    s->fx[4] = tag;
    memcpy(s->fx + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 16; i++)
        random_vector(s->fx + 160 + 16 * i);
    for (unsigned i = 0; x86_level() >= X86_LEVEL_V3 && i < 16; i++)
        random_vector(s->high + 16 * i);
}

void
state_unmask(struct state *s)
{
    uint16_t status = (uint16_t)(random64() & 0x3f);

    s->fx[25] &= (uint8_t)~(random_below(2) ? 0x1f : random_below(32)); /* MXCSR 8 to 12 */
    if (random_below(2))
        s->fx[24] &= 0x7f;
    s->fx[0] &= (uint8_t)~random_below(64);
    if (random_below(8) == 0)
        s->fx[2] |= (uint8_t)status;
}

void
cpu_from_state(struct x86_cpu *cpu, const struct state *s)
{
    uint16_t status;

    x86_cpu_reset(cpu);
    memcpy(cpu->gpr, s->gpr, sizeof s->gpr);
    x86_cpu_set_rflags(cpu, s->rflags);
    memcpy(&cpu->x87.control, s->fx, 2);
    memcpy(&status, s->fx + 2, 2);
    cpu->x87.status = status & 0xc7ff;
    cpu->x87.top = status >> 11 & 7;
    cpu->x87.tag_valid = s->fx[4];
    memcpy(&cpu->mxcsr, s->fx + 24, 4);
    for (unsigned i = 0; i < 8; i++) {
        struct x86_x87_reg *r = &cpu->x87.r[(cpu->x87.top + i) & 7];
        memcpy(&r->mantissa, s->fx + 32 + 16 * i, 8);
        memcpy(&r->sign_exponent, s->fx + 40 + 16 * i, 2);
    }
    memcpy(cpu->xmm, s->fx + 160, 256);
    memcpy(cpu->ymm_high, s->high, 256);
}

void
state_from_cpu(struct state *s, const struct x86_cpu *cpu)
{
    uint16_t status = (uint16_t)((cpu->x87.status & 0xc7ff) | (cpu->x87.top & 7) << 11);

    memset(s, 0, sizeof *s);
    memcpy(s->gpr, cpu->gpr, sizeof s->gpr);
    s->rflags = x86_cpu_rflags(cpu);
    s->rip = cpu->rip;
    memcpy(s->fx, &cpu->x87.control, 2);
    memcpy(s->fx + 2, &status, 2);
    s->fx[4] = (uint8_t)cpu->x87.tag_valid;
    memcpy(s->fx + 24, &cpu->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        const struct x86_x87_reg *r = &cpu->x87.r[(cpu->x87.top + i) & 7];
        memcpy(s->fx + 32 + 16 * i, &r->mantissa, 8);
        memcpy(s->fx + 40 + 16 * i, &r->sign_exponent, 2);
    }
    memcpy(s->fx + 160, cpu->xmm, 256);
    memcpy(s->high, cpu->ymm_high, 256);
}

bool
operand_offset(const struct x86_insn *insn, const struct x86_operand *o, const struct state *s, size_t *offset)
{
    uint64_t address = (uint64_t)o->disp;

    if (o->base >= 0 && o->base < 16)
        address += s->gpr[o->base];
    if (o->index >= 0 && o->index < 16 && !o->index_size)
        address += s->gpr[o->index] * o->scale;
    if (insn->address_size == 4)
        address = (uint32_t)address;
    if (o->seg == X86_SEG_GS)
        address += GS_BASE;
    *offset = address - WINDOW;
    return address >= WINDOW && address + 1024 <= WINDOW + WINDOW_SIZE;
}

/* A plausible x87 image for fldenv, frstor and fxrstor. */
static void
prepare_image(unsigned op, uint8_t *p)
{
    struct state s;

    state_random(&s);
    if (op == X86_OP_FXRSTOR) {
        memcpy(p, s.fx, 512);
        return;
    }
    uint16_t control, status;
    memcpy(&control, s.fx, 2);
    memcpy(&status, s.fx + 2, 2);
    memset(p, 0, op == X86_OP_FRSTOR ? 108 : 28);
    memcpy(p, &control, 2);
    memcpy(p + 4, &status, 2);
    for (unsigned i = 0; i < 8; i++)
        p[8 + i / 4] |= (s.fx[4] >> i & 1) ? 0 : (uint8_t)(3u << (i & 3) * 2);
    for (unsigned i = 0; op == X86_OP_FRSTOR && i < 8; i++)
        memcpy(p + 28 + 10 * i, s.fx + 32 + 16 * i, 10);
}

static void
prepare_memory(const struct x86_insn *insn, struct state *s, uint8_t *window)
{
    uint32_t mxcsr = random_mxcsr();
    uint16_t control;
    size_t at;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind != X86_OPD_MEM || !operand_offset(insn, o, s, &at))
            continue;
        switch (insn->op) {
        case X86_OP_LDMXCSR:
        case X86_OP_VLDMXCSR: memcpy(window + at, &mxcsr, 4); break;
        case X86_OP_FLDCW:
            control = (uint16_t)(0x7f | (random64() & 0xc00) | (random_below(2) ? 0x300 : 0x200));
            memcpy(window + at, &control, 2);
            break;
        case X86_OP_FLDENV:
        case X86_OP_FRSTOR:
        case X86_OP_FXRSTOR: prepare_image(insn->op, window + at); break;
        case X86_OP_FBLD:
            for (unsigned j = 0; j < 9; j++)
                window[at + j] = (uint8_t)(random_below(10) << 4 | random_below(10));
            window[at + 9] &= 0x80;
            break;
        default:
            if (o->size == 10) {
                random_x87(window + at);
            } else if ((insn->op == X86_OP_CMPXCHG || insn->op == X86_OP_CMPXCHG8B || insn->op == X86_OP_CMPXCHG16B) &&
                       random_below(2)) {
                if (insn->op == X86_OP_CMPXCHG16B) {
                    memcpy(window + at, &s->gpr[X86_RAX], 8);
                    memcpy(window + at + 8, &s->gpr[X86_RDX], 8);
                } else if (insn->op == X86_OP_CMPXCHG8B) {
                    memcpy(window + at, &s->gpr[X86_RAX], 4);
                    memcpy(window + at + 4, &s->gpr[X86_RDX], 4);
                } else {
                    memcpy(window + at, &s->gpr[X86_RAX], o->size);
                }
            } else if (o->size == 4) {
                uint32_t v = random_below(2) ? random_f32() : (uint32_t)random_integer();
                memcpy(window + at, &v, 4);
            } else if (o->size == 8) {
                uint64_t v = random_below(2) ? random_f64() : random_integer();
                memcpy(window + at, &v, 8);
            } else if (o->size == 16 || o->size == 32) {
                random_vector(window + at);
                if (o->size == 32)
                    random_vector(window + at + 16);
            }
        }
    }
}

/* Of a gather: near its base. */
static void
prepare_indexes(unsigned op, unsigned reg, struct state *s)
{
    bool quadwords =
        op == X86_OP_VPGATHERQD || op == X86_OP_VPGATHERQQ || op == X86_OP_VGATHERQPS || op == X86_OP_VGATHERQPD;
    unsigned size = quadwords ? 8 : 4;

    for (unsigned at = 0; at < 32; at += size) {
        int64_t index = (int64_t)random_below(512) - 256;

        memcpy(at < 16 ? s->fx + 160 + 16 * reg + at : s->high + 16 * reg + at - 16, &index, size);
    }
}

/* That many bytes on top of the stack; NULL: the window ends before. */
static uint8_t *
stack_top(const struct state *s, uint8_t *window, size_t size)
{
    uint64_t at = s->gpr[X86_RSP] - WINDOW;

    return at <= WINDOW_SIZE - size ? window + at : NULL;
}

/* Of a single instruction. Registers first; form_make() has set those of memory operands. */
void
state_prepare(const struct program *p, struct state *s, uint8_t *window)
{
    const struct x86_insn *insn = &p->part[0].insn;
    uint64_t target = stub_target(p), word = 0;
    uint8_t *top = stack_top(s, window, insn->op == X86_OP_POPF ? insn->opsize : 8);
    size_t at;

    if (p->host_only && random_below(4) == 0) /* where there is no code */
        target = (target & ~15ull) | 1ull << (const uint8_t[]){30, 31, 32, 46}[random_below(4)];

    prepare_memory(insn, s, window);
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == X86_OPD_MEM && insn->operand[i].index_size)
            prepare_indexes(insn->op, (unsigned)insn->operand[i].index, s);
    switch (x86_flow(insn)) {
    case X86_FLOW_RETURN:
        if (top)
            memcpy(top, &target, 8);
        break;
    case X86_FLOW_JUMP_INDIRECT:
    case X86_FLOW_CALL_INDIRECT:
        if (insn->operand[0].kind == X86_OPD_REG)
            s->gpr[insn->operand[0].reg] = target;
        else if (operand_offset(insn, &insn->operand[0], s, &at))
            memcpy(window + at, &target, 8);
        break;
    default: break;
    }
    if (insn->op == X86_OP_POPF && top) {
        /* No single step, alignment check, nested task or I/O privilege. */
        memcpy(&word, top, insn->opsize);
        word &= FLAGS_MASK;
        memcpy(top, &word, insn->opsize);
    }
}
