/* The x87 and SSE state in memory: fnstenv, fnsave, fxsave, xsave and back, fldcw and the like, MXCSR.
 * Layouts: SDM vol. 1, 8.1.10 (environment), 10.5.1 (FXSAVE area), 13.4 (XSAVE area). */
#include "x86/x87_internal.h"

#include <string.h>

#include "x86/fxsave.h"
#include "x86/level.h"

enum { USER_CS = 0x33, MXCSR_MASK = 0xffff, ENVIRONMENT_SIZE = 28 };

/* An area over two pages faults before anything is written. */
static void
store_area(uint32_t address, const void *data, uint32_t size)
{
    (void)*(volatile uint8_t *)x86_guest(address);
    (void)*(volatile uint8_t *)x86_guest(address + size - 1);
    memcpy(x86_guest(address), data, size);
}

/* --- environments --- */
static uint16_t
full_tags(const struct x86_x87 *f)
{
    uint16_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned exponent = f->r[i].sign_exponent & 0x7fff, tag;
        if (!(f->tag_valid >> i & 1))
            tag = 3;
        else if (exponent == 0 && f->r[i].mantissa == 0)
            tag = 1;
        else if (exponent == 0 || exponent == 0x7fff || !(f->r[i].mantissa >> 63))
            tag = 2;
        else
            tag = 0;
        tags |= (uint16_t)(tag << (2 * i));
    }
    return tags;
}

static void
set_full_tags(struct x86_x87 *f, uint16_t tags)
{
    f->tag_valid = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> (2 * i) & 3) != 3)
            f->tag_valid |= (uint16_t)(1u << i);
}

static unsigned
store_environment(const struct x86_x87 *f, uint8_t *to, bool small)
{
    uint16_t cw = f->control, sw = x87_get_status(f), tags = full_tags(f);
    if (small) {
        uint16_t env[7] = {cw, sw, tags, (uint16_t)f->last_ip, USER_CS, (uint16_t)f->last_dp, 0};
        memcpy(to, env, sizeof env);
        return sizeof env;
    }
    /* clang-format off */
    uint32_t env[7] = {
        0xffff0000u | cw, 0xffff0000u | sw, 0xffff0000u | tags, (uint32_t)f->last_ip,
        USER_CS | (uint32_t)(f->last_opcode & 0x7ff) << 16, (uint32_t)f->last_dp, 0xffff0000u,
    };
    /* clang-format on */
    memcpy(to, env, sizeof env);
    return sizeof env;
}

static uint32_t
environment_size(bool small)
{
    return small ? 7 * sizeof(uint16_t) : 7 * sizeof(uint32_t);
}

/* From a copy of what is in memory. */
static void
load_environment(struct x86_x87 *f, const uint8_t *from, bool small)
{
    uint16_t env16[7];
    uint32_t env[7];
    if (small) {
        memcpy(env16, from, sizeof env16);
        for (unsigned i = 0; i < 7; i++)
            env[i] = env16[i];
    } else {
        memcpy(env, from, sizeof env);
    }
    f->control = (env[0] & 0x1f7f) | 0x40;
    x87_set_status(f, (uint16_t)env[1]);
    set_full_tags(f, (uint16_t)env[2]);
    f->last_ip = env[3];
    f->last_opcode = small ? 0 : env[4] >> 16 & 0x7ff;
    f->last_dp = env[5];
}

void
helper_x87_control(uint32_t op, uint32_t address, uint64_t pc)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;
    uint8_t area[ENVIRONMENT_SIZE];
    uint16_t v;
    if (op == X87_LDCW || op == X87_LDENV || op == X87_LDENV16)
        x87_wait(f, pc);
    switch (op) {
    case X87_LDCW:
        x86_guest_read(&v, address, 2);
        x87_set_control(f, v);
        break;
    case X87_STCW: x86_guest_write(address, &f->control, 2); break;
    case X87_STSW:
        v = x87_get_status(f);
        x86_guest_write(address, &v, 2);
        break;
    case X87_LDENV:
    case X87_LDENV16:
        x86_guest_read(area, address, environment_size(op == X87_LDENV16));
        load_environment(f, area, op == X87_LDENV16);
        break;
    default:
        store_area(address, area, store_environment(f, area, op == X87_STENV16));
        x87_set_control(f, f->control | X87_SW_EXCEPTIONS);
        break;
    }
}

void
helper_x87_state(uint32_t op, uint32_t address, uint64_t pc)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;
    uint8_t area[ENVIRONMENT_SIZE + 80];
    uint32_t environment;
    if (op == X87_SAVE || op == X87_SAVE16) {
        uint32_t size = store_environment(f, area, op == X87_SAVE16);

        for (unsigned i = 0; i < 8; i++, size += 10)
            memcpy(area + size, &f->r[(f->top + i) & 7], 10);
        store_area(address, area, size);
        x87_init(f);
        return;
    }
    x87_wait(f, pc);
    environment = environment_size(op == X87_RSTOR16);
    x86_guest_read(area, address, environment + 80); /* all of it, so that a fault leaves the state as it was */
    load_environment(f, area, op == X87_RSTOR16);
    for (unsigned i = 0; i < 8; i++)
        memcpy(&f->r[(f->top + i) & 7], area + environment + 10 * i, 10);
}

/* --- MXCSR: while guest code runs the exception flags accumulate in the host's --- */
static uint32_t
current_mxcsr(struct x86_cpu *cpu)
{
    x86_collect_mxcsr();
    return cpu->mxcsr;
}

uint32_t
helper_stmxcsr(void)
{
    return current_mxcsr(x86_this_cpu());
}

static void
check_mxcsr(uint32_t v, uint64_t pc)
{
    if (v & ~(uint32_t)MXCSR_MASK)
        x86_raise(X87_VECTOR_GP, pc);
}

/* The last thing an instruction does. */
static void
load_mxcsr(uint32_t v, uint64_t pc)
{
    x86_this_cpu()->mxcsr = v;
    x86_mxcsr_loaded(pc);
}

void
helper_ldmxcsr(uint32_t v, uint64_t pc)
{
    check_mxcsr(v, pc);
    load_mxcsr(v, pc);
}

/* --- FXSAVE and XSAVE areas --- */
struct fx_area {
    uint16_t control, status;
    uint8_t tags, reserved;
    uint16_t opcode;
    uint64_t ip, dp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16], xmm[16][16];
    uint8_t rest[96];
};
_Static_assert(sizeof(struct fx_area) == 512, "FXSAVE area");

enum { AREA_XMM = 160, AREA_REST = 416, XSAVE_HEADER = 512 };

static void
save_x87(const struct x86_x87 *f, struct fx_area *a, bool wide)
{
    a->control = f->control;
    a->status = x87_get_status(f);
    a->tags = (uint8_t)f->tag_valid;
    a->reserved = 0;
    a->opcode = 0;
    a->ip = a->dp = 0;
    /* The processors with the fewer surprises save the pointers only when an exception is pending. */
    if (f->status & X87_SW_ES) {
        a->opcode = f->last_opcode;
        a->ip = wide ? f->last_ip : (uint32_t)f->last_ip | (uint64_t)USER_CS << 32;
        a->dp = wide ? f->last_dp : (uint32_t)f->last_dp;
    }
    memset(a->st, 0, sizeof a->st);
    for (unsigned i = 0; i < 8; i++)
        memcpy(a->st[i], &f->r[(f->top + i) & 7], 10);
}

static void
load_x87(struct x86_x87 *f, const struct fx_area *a, bool wide)
{
    f->control = (a->control & 0x1f7f) | 0x40;
    x87_set_status(f, a->status);
    f->tag_valid = a->tags;
    f->last_opcode = a->opcode & 0x7ff;
    f->last_ip = wide ? a->ip : (uint32_t)a->ip;
    f->last_dp = wide ? a->dp : (uint32_t)a->dp;
    for (unsigned i = 0; i < 8; i++) {
        struct x86_x87_reg *r = &f->r[(f->top + i) & 7];
        memset(r, 0, sizeof *r);
        memcpy(r, a->st[i], 10);
    }
}

void
helper_fxsave(uint32_t wide, uint32_t address, uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct fx_area a;

    if (address & 15)
        x86_raise(X87_VECTOR_GP, pc);
    save_x87(&cpu->x87, &a, wide);
    a.mxcsr = current_mxcsr(cpu);
    a.mxcsr_mask = MXCSR_MASK;
    memcpy(a.xmm, cpu->xmm, sizeof a.xmm);
    store_area(address, &a, AREA_REST); /* the rest is software's */
}

void
helper_fxrstor(uint32_t wide, uint32_t address, uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct fx_area a;

    if (address & 15)
        x86_raise(X87_VECTOR_GP, pc);
    x86_guest_read(&a, address, sizeof a);
    check_mxcsr(a.mxcsr, pc);
    load_x87(&cpu->x87, &a, wide);
    memcpy(cpu->xmm, a.xmm, sizeof a.xmm);
    load_mxcsr(a.mxcsr, pc);
}

static bool
ymm_high_in_use(const struct x86_cpu *cpu)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 16; i++)
        bits |= cpu->ymm_high[i].u64[0] | cpu->ymm_high[i].u64[1];
    return bits != 0;
}

void
helper_xsave(uint32_t code, uint32_t address, uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint8_t *m = x86_guest(address);
    uint64_t mask = code & (X86_XSAVE_X87 | X86_XSAVE_SSE | X86_XSAVE_AVX), in_use = mask, present;
    struct fx_area a;
    if (address & 63)
        x86_raise(X87_VECTOR_GP, pc);
    x86_guest_read(&present, address + XSAVE_HEADER, sizeof present);
    if (mask & X86_XSAVE_X87) {
        save_x87(&cpu->x87, &a, code & 0x100);
        memcpy(m, &a, 24);
        memcpy(m + 32, a.st, sizeof a.st);
    }
    if (mask & (X86_XSAVE_SSE | X86_XSAVE_AVX)) {
        uint32_t words[2] = {current_mxcsr(cpu), MXCSR_MASK};
        memcpy(m + 24, words, sizeof words);
    }
    if (mask & X86_XSAVE_SSE)
        memcpy(m + AREA_XMM, cpu->xmm, sizeof a.xmm);
    if (mask & X86_XSAVE_AVX) {
        memcpy(m + X86_XSAVE_SIZE_V2, cpu->ymm_high, sizeof cpu->ymm_high);
        if (!ymm_high_in_use(cpu))
            in_use &= ~(uint64_t)X86_XSAVE_AVX;
    }
    present = (present & ~mask) | in_use;
    memcpy(m + XSAVE_HEADER, &present, 8);
}

void
helper_xrstor(uint32_t code, uint32_t address, uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t mask = code & (X86_XSAVE_X87 | X86_XSAVE_SSE | X86_XSAVE_AVX), header[3];
    uint64_t components = X86_XSAVE_X87 | X86_XSAVE_SSE | (x86_level() >= X86_LEVEL_V3 ? X86_XSAVE_AVX : 0);
    struct fx_area a;
    x86_guest_read(&a, address, sizeof a);
    x86_guest_read(header, address + XSAVE_HEADER, sizeof header);
    /* Compacted areas and components outside XCR0 do not exist here. */
    if ((address & 63) || (header[0] & ~components) || header[1] || header[2])
        x86_raise(X87_VECTOR_GP, pc);
    if (mask & (X86_XSAVE_SSE | X86_XSAVE_AVX))
        check_mxcsr(a.mxcsr, pc);
    if (mask & header[0] & X86_XSAVE_AVX)
        x86_guest_read(cpu->ymm_high, address + X86_XSAVE_SIZE_V2, sizeof cpu->ymm_high);
    else if (mask & X86_XSAVE_AVX)
        memset(cpu->ymm_high, 0, sizeof cpu->ymm_high);
    if (mask & X86_XSAVE_SSE) {
        if (header[0] & X86_XSAVE_SSE)
            memcpy(cpu->xmm, a.xmm, sizeof a.xmm);
        else
            memset(cpu->xmm, 0, sizeof cpu->xmm);
    }
    if (mask & X86_XSAVE_X87) {
        if (header[0] & X86_XSAVE_X87) {
            load_x87(&cpu->x87, &a, code & 0x100);
        } else {
            x87_init(&cpu->x87);
            memset(cpu->x87.r, 0, sizeof cpu->x87.r);
        }
    }
    if (mask & (X86_XSAVE_SSE | X86_XSAVE_AVX))
        load_mxcsr(a.mxcsr, pc);
}
