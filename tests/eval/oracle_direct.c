/* The fourth execution: rewritten by direct, loaded into this process, run through the vkernel's own entries
 * (platform/direct.S).
 *
 * It is the same processor that runs the instructions, so that everything must agree, flags that the manual leaves
 * undefined included. Instructions that are the evaluator's are run by it, one by one, as in the vkernel; a program of
 * one such instruction is not covered, unless it traps. */
#include "oracle_native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../aot/loader.h"
#include "../verify/loaded.h"
#include "artifact/direct_map.h"
#include "direct/unit.h"
#include "platform/direct.h"
#include "platform/platform.h"
#include "verify/verify.h"
#include "x86/address_space.h"
#include "x86/direct_state.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"

static const struct direct_unit *unit;

/* --- loading --- */

static bool
find_symbol(void *context, const char *name, uint32_t table_entries, uint64_t *value)
{
    return loaded_symbol(name, CODE_PAGE, value);
}

/* The code map leads to the multiple of 16 at or before a program's target here, with all of the guest's state in the
 * registers: an indirect jump must come here when that is the target, and not otherwise. */
void oracle_direct_arrive(void);
uint64_t oracle_direct_target;
__asm__(".text\n"
        "oracle_direct_arrive:\n"
        "  mov oracle_direct_target(%rip), %r10\n"
        "  jmp direct_unwind\n");

static direct_code_map_entry *
code_map_entry(uint64_t guest)
{
    return (direct_code_map_entry *)(void *)(native_guest_memory + GUEST_CODE_MAP) + guest / GUEST_CODE_MAP_UNIT;
}

static size_t
code_map_size(void)
{
    return CODE_SIZE / GUEST_CODE_MAP_UNIT * sizeof(direct_code_map_entry);
}

/* entries: of struct direct_result. */
static void
fill_code_map(const struct buf *entries)
{
    struct cursor c = cursor_make(entries->data, entries->size);

    memset(code_map_entry(CODE_PAGE), 0, code_map_size());
    while (cursor_left(&c)) {
        direct_code_map_entry *e = code_map_entry(CODE_PAGE + cursor_u32(&c));

        *e = (direct_code_map_entry)unit->text + cursor_u32(&c);
    }
}

static void
prepare(void)
{
    struct err e = {0};
    uint64_t end;

    __asm__("movq %%fs:0, %0" : "=r"(end));
    if ((uint64_t)(uintptr_t)(&x86_cpu_tls + 1) != end) {
        printf("oracle: x86_cpu_tls is not the last object of the TLS block\n");
        exit(2);
    }
    if (loader_init(&e) < 0 || mprotect(code_map_entry(CODE_PAGE), code_map_size(), PROT_READ | PROT_WRITE) < 0) {
        printf("oracle: %s\n", e.text);
        exit(2);
    }
    platform_direct_generation(platform_fiber_self(), 1);
    if (x86_level() >= X86_LEVEL_V3)
        platform_use_ymm();
}

/* What is run here must be accepted there: the rewriter and the verifier agree on every form that the oracle knows. */
static void
verify(const struct direct_unit *u)
{
    struct verify_unit in = loaded_unit(u);
    struct verify_places places;
    struct err e = {0};

    if (verify_unit(&in, &places, &e) < 0) {
        printf("oracle: the verifier refuses rewritten code: %s\n", e.text);
        exit(1);
    }
    verify_places_fini(&places);
}

static void
direct_load(const struct program *programs, size_t count, const struct buf *module)
{
    struct direct_piece *pieces = mem_zalloc(count, sizeof *pieces);
    struct direct_result rewritten;
    struct err e = {0};
    uint64_t at;

    if (!unit)
        prepare();
    for (size_t i = 0; i < count; i++)
        pieces[i] = (struct direct_piece){programs[i].address - CODE_PAGE, programs[i].size, programs[i].code};
    if (direct_rewrite_pieces(pieces, count, "K", &rewritten, &e) < 0 ||
        loader_place(&rewritten.object, DIRECT_UNITS_SECTION, find_symbol, NULL, &at, &e) < 0) {
        printf("oracle: %s\n", e.text);
        exit(1);
    }
    unit = (const struct direct_unit *)(uintptr_t)at;
    fill_code_map(&rewritten.entries);
    verify(unit);
    mem_free(pieces);
    buf_fini(&rewritten.object);
    buf_fini(&rewritten.entries);
}

/* --- running --- */

enum { TRAP_NO_INSTRUCTION = 1002, TRAP_CODE_MAP_MISSED };

static bool wants_evaluator, jumped_by_run_time;

void
direct_flags_c(uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();

    x86_cpu_set_rflags(cpu, (rflags & FLAGS_MASK) | cpu->id_flag);
}

static _Noreturn void
leave(uint64_t rflags, bool evaluator)
{
    direct_flags_c(rflags);
    wants_evaluator = evaluator;
    platform_leave();
}

uint64_t
direct_jump_c(uint64_t rflags, const uint64_t *top)
{
    jumped_by_run_time = true;
    leave(rflags, false);
}

uint64_t
direct_evaluate_c(uint64_t rflags, const uint64_t *top)
{
    leave(rflags, true);
}

/* Up to where the code leaves. x87 and MXCSR are the guest's on the way: nothing here computes with either. */
static void
enter(uint64_t host)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct x86_fxsave fx;
    uint64_t rflags = x86_cpu_rflags(cpu) & FLAGS_MASK;

    memset(&fx, 0, sizeof fx);
    x86_fxsave_put_x87(&fx, &cpu->x87);
    fx.mxcsr = cpu->mxcsr;
    wants_evaluator = false;
    native_caught.running = RUNS_DIRECT;
    __asm__ volatile("fxrstor64 %0" ::"m"(fx));
    direct_enter(host, rflags);
    __asm__ volatile("fxsave64 %0" : "=m"(fx));
    native_stop();
    x86_fxsave_get_x87(&fx, &cpu->x87);
    cpu->mxcsr = fx.mxcsr;
}

/* As the vkernel's direct_fault_state(). */
static void
take_fault(struct outcome *out)
{
    const struct state *s = &native_caught.state;
    struct x86_cpu *cpu = x86_this_cpu();
    struct direct_insn insn;
    struct x86_fxsave fx;
    uint64_t displaced[2] = {cpu->gpr[X86_R10], cpu->gpr[X86_R11]};

    if (!direct_insn_of_host(unit, native_caught.rip, &insn)) {
        printf("oracle: a fault at %lx, in no instruction of rewritten code\n", native_caught.rip);
        out->trap = TRAP_NO_INSTRUCTION;
        return;
    }
    memcpy(cpu->gpr, s->gpr, sizeof cpu->gpr);
    cpu->gpr[X86_RSP] = s->gpr[X86_R11];
    memcpy(&cpu->gpr[X86_R10], displaced, sizeof displaced);
    direct_flags_c(s->rflags);
    memcpy(&fx, s->fx, sizeof fx);
    memcpy(cpu->xmm, fx.xmm, sizeof cpu->xmm);
    memcpy(cpu->ymm_high, s->high, sizeof cpu->ymm_high);
    cpu->mxcsr = fx.mxcsr;
    x86_fxsave_get_x87(&fx, &cpu->x87);
    direct_return_registers(cpu, insn.host, native_caught.rip);
    if (insn.in_run)
        direct_finish_run(cpu, native_fetch, NULL, insn.run_start, insn.guest);
    out->trap_rip = insn.guest;
}

static bool
missed(const struct program *p)
{
    enum x86_flow flow = x86_flow(&p->part[0].insn);

    return jumped_by_run_time && (flow == X86_FLOW_JUMP_INDIRECT || flow == X86_FLOW_CALL_INDIRECT) &&
           x86_cpu_tls.rip == oracle_direct_target;
}

static bool
is_inside(const struct program *p, uint64_t rip)
{
    return rip >= p->address && rip < p->address + p->size;
}

/* The evaluator's instruction, or one in the middle of a run. False: the program is over. */
static bool
evaluate(const struct program *p, struct outcome *out)
{
    out->evaluated = true;
    out->trap_rip = x86_cpu_tls.rip;
    out->trap = native_evaluate_one();
    if (out->trap == NO_TRAP && p->count == 1)
        out->trap = TRAP_UNCOVERED;
    return out->trap == NO_TRAP;
}

static void
run(const struct program *p, const struct state *in, struct outcome *out)
{
    struct x86_cpu *cpu = native_load_cpu(p, in);

    memset(out, 0, sizeof *out);
    out->trap = NO_TRAP;
    jumped_by_run_time = false;
    cpu->rip = p->address;
    cpu->memory = (uint64_t)(uintptr_t)native_guest_memory;
    native_set_gs(native_guest_memory);
    if (sigsetjmp(native_caught.escape, 0)) {
        enum native_runs ran = native_caught.running;

        if (ran == RUNS_EVALUATOR)
            native_take_mxcsr();
        native_stop();
        out->trap = native_caught.vector;
        out->trap_rip = native_fault_address();
        if (ran == RUNS_DIRECT)
            take_fault(out);
        state_from_cpu(&out->state, cpu);
        return;
    }
    while (is_inside(p, cpu->rip)) {
        struct direct_insn insn;

        if (direct_insn_of_guest(unit, cpu->rip, &insn) && insn.guest == cpu->rip && !insn.in_run) {
            enter(insn.host);
            if (!wants_evaluator || !is_inside(p, cpu->rip))
                continue;
        }
        if (!evaluate(p, out))
            break;
    }
    if (missed(p)) {
        out->trap = TRAP_CODE_MAP_MISSED;
    } else if (out->trap == NO_TRAP && cpu->rip != stub_next(p) && cpu->rip != stub_target(p)) {
        out->trap = TRAP_PAGE; /* where there is no code */
        out->trap_rip = cpu->rip;
    }
    state_from_cpu(&out->state, cpu);
}

static void
direct_run(const struct program *p, size_t index, const struct state *in, struct outcome *out)
{
    direct_code_map_entry *entry;

    oracle_direct_target = stub_target(p) & ~(uint64_t)(GUEST_CODE_MAP_UNIT - 1);
    entry = code_map_entry(oracle_direct_target);
    *entry = (direct_code_map_entry)(uintptr_t)oracle_direct_arrive;
    run(p, in, out);
    *entry = 0;
}

const struct execution execution_direct = {
    .name = "direct",
    .load = direct_load,
    .run = direct_run,
    .window = evaluator_window,
    .exact = true,
};
