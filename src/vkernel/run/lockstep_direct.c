/* The report on rewritten code: it finds, in a region in which rewritten code and the evaluator parted, the instruction
 * that is wrong.
 *
 * Rewritten code has the guest's state between any two instructions. So it runs again with the processor's trap flag,
 * and the evaluator runs instruction by instruction beside it. The place where rewritten code begins an instruction is
 * a *point*. Both executions pass the same points, in the same order and with the same registers, until something is
 * wrong; the first point at which memory differs is found by bisection.
 *
 * Flags count only when something reads them, because behind some of its own instructions rewritten code leaves other
 * flags than the guest's where those are dead. So a wrong flag shows by what it led to, and is followed back from
 * there. */
#include "vkernel/run/lockstep_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash64.h"
#include "base/vec.h"
#include "platform/direct.h"
#include "vkernel/mm/mm.h"
#include "vkernel/run/direct.h"
#include "vkernel/run/direct_map.h"
#include "vkernel/cpu/cpu.h"
#include "x86/helpers.h"

enum { MOST_POINTS = 8 << 20, WINDOW = 4096, SHOWN_BEFORE = 16, SHOWN_BYTES = 48 };

#define R    lockstep_region
#define NONE SIZE_MAX

struct point {
    uint64_t all, visible; /* hashes of the state, with the flags and without */
};

/* One execution's way through the region. Point 0 is the region's start. Behind the last point comes the region's end,
 * when that is no point itself. */
struct way {
    size_t count, until; /* how many points were passed, and the one at which it is to stop */
    bool stopped;        /* it stopped there; else it came to the region's end */
    struct x86_cpu last;
    VEC(struct x86_cpu) window; /* the states at the points from search.from on, unless that is NONE */
};

static struct {
    struct way direct, evaluator;
    VEC(struct point) points; /* rewritten code's points, from 1 on */
    VEC(bool) same;           /* whether the evaluator's state there was the same, flags too */
    bool records, compares;   /* record points; compare with the recorded ones */
    size_t from;              /* the first point of the windows */
    size_t bad;               /* the first point with a difference */
    VEC(uint64_t) trace;      /* addresses of the evaluator's instructions */
    VEC(size_t) trace_at;     /* for each point of the window: how many instructions came before it */
    uint64_t start_host;      /* the host address of the start, which is not to count as a point once more */
    bool at_start;
    struct platform_jump out; /* where to go when rewritten code has left */
} search;

/* --- states --- */

static ir_states
flag_differences(const struct x86_cpu *a, const struct x86_cpu *b)
{
    ir_states set = 0;

    for (unsigned f = 0; f < X86_FLAG_COUNT; f++)
        set |= (a->flag[f] & 1) != (b->flag[f] & 1) ? IR_STATE_BIT(X86_S_CF + f) : 0;
    return set;
}

/* Hashes what lockstep_differences() compares, and the mantissas of the x87 registers as well. */
static struct point
point_of(const struct x86_cpu *cpu)
{
    struct point p;
    uint64_t word = cpu->mxcsr, flags = 0;

    p.visible = hash64(cpu->rip, cpu->gpr, sizeof cpu->gpr);
    p.visible = hash64(p.visible, &cpu->fs_base, sizeof cpu->fs_base);
    p.visible = hash64(p.visible, &cpu->gs_base, sizeof cpu->gs_base);
    p.visible = hash64(p.visible, cpu->xmm, sizeof cpu->xmm);
    p.visible = hash64(p.visible, cpu->ymm_high, sizeof cpu->ymm_high);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t x87[2] = {cpu->x87.r[i].mantissa, cpu->x87.r[i].sign_exponent};

        p.visible = hash64(p.visible, x87, sizeof x87);
    }
    word |= (uint64_t)cpu->x87.control << 32 | (uint64_t)cpu->x87.status << 48;
    p.visible = hash64(p.visible, &word, sizeof word);
    word = cpu->x87.tag_valid | (uint64_t)cpu->x87.top << 16 | (uint64_t)cpu->flag[X86_FLAG_DF] << 32;
    p.visible = hash64(p.visible, &word, sizeof word);
    for (unsigned f = 0; f < X86_FLAG_COUNT; f++)
        flags |= (uint64_t)(cpu->flag[f] & 1) << f;
    p.all = hash64(p.visible, &flags, sizeof flags);
    return p;
}

static void
keep(struct way *w, const struct x86_cpu *cpu)
{
    if (search.from != NONE && w->count >= search.from)
        vec_push(&w->window, *cpu);
}

/* --- rewritten code, step by step --- */

static bool
is_end(const struct x86_cpu *cpu)
{
    return R.kind == LOCKSTEP_STATE && !lockstep_differences(cpu, &R.end) && !flag_differences(cpu, &R.end);
}

enum direct_interrupted
direct_stepped(const struct platform_fault *f)
{
    struct way *w = &search.direct;
    bool start = search.at_start;

    search.at_start = false;
    if (!direct_state_between(f, &w->last) || start)
        return DIRECT_STEPS;
    w->count++;
    if (search.records)
        vec_push(&search.points, point_of(&w->last));
    keep(w, &w->last);
    if (w->count < w->until && w->count < MOST_POINTS && !is_end(&w->last))
        return DIRECT_STEPS;
    *x86_this_cpu() = w->last;
    w->stopped = true;
    return DIRECT_LEAVES;
}

void
lockstep_steps_end(void)
{
    platform_jump(&search.out, 1);
}

static void
way_begin(struct way *w, size_t until, const struct x86_cpu *start)
{
    w->count = 0;
    w->until = until;
    w->stopped = until == 0;
    w->window.count = 0;
    w->last = *start;
    keep(w, start);
}

/* Runs rewritten code from rolled back memory to a point, or to the region's end. */
static void
run_direct(size_t until)
{
    static uint64_t frame; /* static, because this function's frame is left by a jump and come back to */
    struct way *w = &search.direct;
    uint64_t host;

    way_begin(w, until, &R.start);
    if (w->stopped)
        return;
    *x86_this_cpu() = R.start;
    x86_apply_mxcsr();
    frame = platform_frame();
    search.at_start = true;
    platform_direct_steps = R.open = true;
    if (platform_mark(&search.out) == 0) {
        while (!search.direct.stopped && (host = direct_entry(x86_cpu_tls.rip))) {
            direct_run_steps(host);
            x87_out();
            x86_collect_mxcsr();
        }
    }
    platform_mode = PLATFORM_KERNEL;
    platform_direct_steps = R.open = false;
    platform_set_frame(frame);
    search.direct.last = *x86_this_cpu();
}

/* --- the evaluator, instruction by instruction --- */

/* Does rewritten code begin an instruction there? It has no code at all for some instructions (NOP, ENDBR), which
 * therefore begin none. */
static bool
is_point(uint64_t address)
{
    struct direct_insn insn;
    bool start = search.at_start;

    if (!direct_insn_at(address, &insn) || insn.host_size == 0)
        return false;
    search.at_start = false;
    return !start || insn.host != search.start_host;
}

static void
compare(struct replay *r, const struct x86_cpu *cpu)
{
    struct way *w = &search.evaluator;
    struct point p = point_of(cpu);

    if (w->count > search.points.count || search.points.items[w->count - 1].visible != p.visible) {
        search.bad = w->count;
        r->stopped = true;
        return;
    }
    vec_push(&search.same, search.points.items[w->count - 1].all == p.all);
}

static void
on_step(struct replay *r, uint64_t address)
{
    struct way *w = &search.evaluator;
    const struct x86_cpu *cpu = lockstep_evaluated();

    if (!is_point(address)) {
        r->stopped = R.kind == LOCKSTEP_STATE && address == R.end.rip && w->count == search.direct.count;
    } else {
        w->count++;
        if (search.from != NONE && w->count >= search.from)
            vec_push(&search.trace_at, search.trace.count);
        keep(w, cpu);
        if (search.compares)
            compare(r, cpu);
        r->stopped |= w->count == w->until ||
                      (R.kind == LOCKSTEP_STATE && w->count == search.points.count && search.direct.stopped);
    }
    w->stopped = r->stopped;
    vec_push(&search.trace, address);
}

/* Runs the evaluator to a point, or to the region's end. If it came to the end, the result says whether that end is of
 * the same kind as rewritten code's. */
static enum replay_result
run_evaluator(size_t until)
{
    struct replay r = {.stop = SIZE_MAX, .goes_on = true, .step = on_step, .limit = 2 * MOST_POINTS};
    struct direct_insn insn = {0};

    search.trace.count = search.trace_at.count = 0;
    vec_push(&search.trace, R.evaluator_start.rip);
    if (search.from == 0)
        vec_push(&search.trace_at, 0);
    way_begin(&search.evaluator, until, &R.evaluator_start);
    search.at_start = direct_insn_at(R.start.rip, &insn) && insn.host_size == 0;
    search.start_host = insn.host;
    if (!search.evaluator.stopped)
        lockstep_replay(&r);
    search.evaluator.last = *lockstep_evaluated();
    return r.result;
}

/* --- the search --- */

/* Finds the first point at which registers differ, for search.bad. */
static void
find_registers(void)
{
    struct way *d = &search.direct, *e = &search.evaluator;
    enum replay_result result;

    search.bad = NONE;
    search.records = true;
    run_direct(SIZE_MAX);
    search.records = false;
    snapshot_roll_back();
    search.compares = true;
    vec_push(&search.same,
             !lockstep_differences(&R.start, &R.evaluator_start) && !flag_differences(&R.start, &R.evaluator_start));
    result = run_evaluator(SIZE_MAX);
    search.compares = false;
    snapshot_roll_back();
    if (search.bad == NONE && !e->stopped &&
        (d->stopped || e->count < d->count || result != REPLAY_SAME || lockstep_end_differences(&e->last)))
        search.bad = e->count + 1;
}

static bool
memory_differs(size_t point, uint64_t *address)
{
    bool differs;

    run_direct(point);
    snapshot_keep_result();
    snapshot_roll_back();
    run_evaluator(point);
    differs = snapshot_differs(address);
    snapshot_roll_back();
    return differs;
}

/* Finds the first point at which memory differs. If it comes before search.bad, it becomes search.bad. */
static bool
find_memory(uint64_t *address)
{
    size_t good = 0, most = search.bad != NONE ? search.bad - 1 : search.direct.count + !search.direct.stopped;
    uint64_t at;

    if (!memory_differs(most, address))
        return false;
    while (good + 1 < most) {
        size_t middle = good + (most - good) / 2;

        if (memory_differs(middle, &at)) {
            most = middle;
            *address = at;
        } else {
            good = middle;
        }
    }
    search.bad = most;
    return true;
}

/* Records the states on the way to search.bad: from the last point at which both executions had the same state as a
 * whole, flags too, and from a little before that, to be shown. */
static void
record_window(void)
{
    size_t least = search.bad > WINDOW ? search.bad - WINDOW : 0;

    search.from = search.bad - 1;
    while (search.from > least && !(search.from < search.same.count && search.same.items[search.from]))
        search.from--;
    search.from -= search.from < SHOWN_BEFORE ? search.from : SHOWN_BEFORE;
    run_direct(search.bad);
    if (!search.direct.stopped)
        keep(&search.direct, &search.direct.last);
    snapshot_roll_back();
    run_evaluator(search.bad);
    if (!search.evaluator.stopped || search.evaluator.window.count < search.direct.window.count) {
        keep(&search.evaluator, &search.evaluator.last);
        vec_push(&search.trace_at, search.trace.count);
    }
    snapshot_roll_back();
}

/* --- which instruction --- */

static const struct x86_cpu *
direct_at(size_t point)
{
    return &search.direct.window.items[point - search.from];
}

static const struct x86_cpu *
evaluated_at(size_t point)
{
    return &search.evaluator.window.items[point - search.from];
}

static ir_states
all_differences(size_t point)
{
    return lockstep_differences(direct_at(point), evaluated_at(point)) |
           flag_differences(direct_at(point), evaluated_at(point));
}

/* The instructions that lead to a point from the one before it: it is one instruction, or a run of pushes or pops, or a
 * few for which rewritten code has nothing besides. */
static size_t
step_begin(size_t point)
{
    return search.trace_at.items[point - 1 - search.from];
}

static size_t
step_end(size_t point)
{
    return search.trace_at.items[point - search.from];
}

/* The states that must have been right before the step to this point, so that `states` are right behind it; with `all`,
 * so that everything else is right that the step does. */
static ir_states
step_needs(size_t point, ir_states states, bool all)
{
    for (size_t i = step_end(point); i-- > step_begin(point);) {
        struct effects e;

        effects_of(search.trace.items[i], &e);
        states = effects_needed_before(&e, all ? states | e.written : states);
        if (all)
            states |= e.control | e.stores;
    }
    return states;
}

/* Finds the point behind the wrong instruction. Registers and memory are right at search.bad - 1, so the last
 * instruction is wrong, unless it read a flag that was wrong; then the wrong one is that which made the flag. *wrong
 * are the states that are wrong behind it. False: they were wrong when the region began. */
static bool
find_culprit(size_t *culprit, ir_states *wrong)
{
    ir_states states = step_needs(search.bad, 0, true) & all_differences(search.bad - 1);

    *culprit = search.bad;
    *wrong = lockstep_differences(direct_at(search.bad), evaluated_at(search.bad));
    while (states) {
        if (--*culprit == search.from)
            return false;
        *wrong = states;
        states = step_needs(*culprit, states, false) & all_differences(*culprit - 1);
    }
    return true;
}

/* --- the report --- */

static void
show_rewritten(uint64_t address)
{
    char line[3 * SHOWN_BYTES + 1] = "";
    struct direct_insn insn;

    if (!direct_insn_at(address, &insn))
        return;
    for (unsigned i = 0; i < insn.host_size && i < SHOWN_BYTES; i++)
        snprintf(line + 3 * i, 4, " %02x", ((const uint8_t *)(uintptr_t)insn.host)[i]);
    platform_log("  rewritten, at %#" PRIx64 " of the host:%s%s\n", insn.host, line,
                 insn.host_size > SHOWN_BYTES ? " ..." : "");
}

static void
show_way(size_t culprit)
{
    size_t first = culprit > search.from + SHOWN_BEFORE ? culprit - SHOWN_BEFORE : search.from + 1;

    platform_log("  instructions (=> wrong, > led to the difference):\n");
    for (size_t p = first; p <= search.bad; p++) {
        if (p > culprit + SHOWN_BEFORE && p < search.bad)
            continue;
        for (size_t i = step_begin(p); i < step_end(p); i++)
            show_instruction(search.trace.items[i], p == culprit, p == search.bad);
    }
}

static void
show_memory(uint64_t address)
{
    platform_log("  memory at %#" PRIx64 " differs\n", address);
    run_direct(search.bad);
    show_bytes(lockstep_native(), address);
    snapshot_roll_back();
    run_evaluator(search.bad);
    show_bytes("evaluator", address);
    snapshot_roll_back();
}

static void
explain(void)
{
    uint64_t address;
    ir_states wrong;
    size_t culprit;
    char where[256];

    record_window();
    if (direct_at(search.bad)->rip != evaluated_at(search.bad)->rip)
        platform_log("  rewritten code goes to %#" PRIx64 ", the evaluator to %#" PRIx64 "\n",
                     direct_at(search.bad)->rip, evaluated_at(search.bad)->rip);
    if (!find_culprit(&culprit, &wrong)) {
        platform_log("  flags were wrong when rewritten code was entered\n");
        culprit++;
    }
    address = search.trace.items[step_begin(culprit)];
    mm_place(R.mm, address, where, sizeof where);
    platform_log("  first wrong: instruction %#" PRIx64 " %s\n", address, where);
    show_rewritten(address);
    show_way(culprit);
    show_states(direct_at(culprit), evaluated_at(culprit), wrong);
    show_registers(evaluated_at(culprit - 1));
}

void
lockstep_report_direct(void)
{
    uint64_t address;
    bool memory;

    snapshot_roll_back();
    show_head();
    search.from = NONE;
    find_registers();
    memory = find_memory(&address);
    if (search.bad == NONE) {
        platform_log(
            "  but not when it is done again: something outside changed memory, or more than %d instructions are between\n",
            MOST_POINTS);
        show_end();
    }
    if (memory)
        show_memory(address);
    explain();
    show_end();
}
