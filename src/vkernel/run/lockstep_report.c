/* The report on compiled code: it finds, in a region in which compiled code and the evaluator parted, the instruction
 * that is wrong. For that both run the region again.
 *
 * Memory is right in compiled code at every poll, so the first poll at which it differs is found by bisection. A
 * register or flag need not be right while nobody will read it. So the evaluator's instructions are walked backwards
 * from the difference, with the set of states on which the difference depends; at each poll only those of them count
 * that differ there, too. At the first poll where none is left, everything that matters is right, so that the wrong
 * instruction comes after it. */
#include "vkernel/run/lockstep_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "eval/eval.h"
#include "vkernel/mm/mm.h"
#include "x86/helpers.h"
#include "x86/x86.h"

enum { MAX_SHOWN = 64, PATH_STEPS = 64, NO_CHECK = -1 };

#define R     lockstep_region
#define NONE  SIZE_MAX
#define FLAGS (IR_STATES_FLAGS | IR_STATE_BIT(X86_S_DF))

static struct {
    VEC(uint64_t) trace;        /* the addresses of the evaluator's instructions */
    VEC(size_t) met;            /* for each poll: how many instructions came before it */
    VEC(struct x86_cpu) states; /* the evaluator's state at each poll */
    struct x86_cpu end;         /* the evaluator's last state */
    uint64_t watched;           /* the guest address of a byte that differs; 0: none */
    uint8_t watched_byte;
    size_t watched_writer; /* the index of the last instruction that changed that byte */
} report;

/* --- the evaluator's way, instruction by instruction --- */

static void
on_step(struct replay *r, uint64_t address)
{
    if (report.watched) {
        uint8_t now = R.mm->space.base[report.watched];

        if (now != report.watched_byte)
            report.watched_writer = report.trace.count - 1;
        report.watched_byte = now;
    }
    vec_push(&report.trace, address);
    (void)r;
}

static void
on_check(struct replay *r)
{
    (void)r;
    /* The instruction at the poll is in the trace already, but for the first one. */
    vec_push(&report.met, report.trace.count ? report.trace.count - 1 : 0);
    vec_push(&report.states, *x86_this_cpu());
}

/* Runs the evaluator and records its way: to a poll, or past it to the region's end. */
static void
trace(size_t checks, bool past)
{
    struct replay r = {.stop = past ? SIZE_MAX : checks,
                       .goes_on = true,
                       .step = on_step,
                       .check = on_check,
                       .limit = past && R.kind != LOCKSTEP_AT ? 1 << 20 : 0};

    report.trace.count = report.met.count = report.states.count = 0;
    report.watched_writer = NONE;
    if (report.watched)
        report.watched_byte = R.mm->space.base[report.watched];
    vec_push(&report.trace, R.evaluator_start.rip);
    lockstep_replay(&r);
    if (report.watched && R.mm->space.base[report.watched] != report.watched_byte)
        report.watched_writer = report.trace.count - 1;
    report.end = *x86_this_cpu();
    snapshot_roll_back();
}

/* --- memory --- */

/* Does memory differ after so many polls? With more polls than there are: at the region's end. */
static bool
memory_differs(size_t checks, uint64_t *address)
{
    struct replay r = {.stop = checks, .goes_on = true};
    bool differs;

    if (!lockstep_rerun(checks))
        return false;
    snapshot_keep_result();
    snapshot_roll_back();
    lockstep_replay(&r);
    differs = snapshot_differs(address);
    snapshot_roll_back();
    return differs;
}

/* The smallest number of polls after which memory differs; NONE if it does not differ after the most. */
static size_t
first_memory_difference(size_t most, uint64_t *address)
{
    size_t good = 0, bad = most;
    uint64_t at;

    if (!memory_differs(most, address))
        return NONE;
    while (good + 1 < bad) {
        size_t middle = good + (bad - good) / 2;

        if (memory_differs(middle, &at)) {
            bad = middle;
            *address = at;
        } else {
            good = middle;
        }
    }
    return bad;
}

/* --- walking back --- */

struct walk {
    ir_states states;   /* the states that the difference depends on, and that differ */
    size_t from, to;    /* the wrong instruction is one of [from, to) of the trace */
    int check;          /* the last poll at which all of them are right; NO_CHECK: the region's start */
    ir_states at_start; /* those that differ at the region's start already */
};

static const struct x86_cpu *
compiled_at(int check)
{
    return check == NO_CHECK ? &R.start : &R.log[check].cpu;
}

static const struct x86_cpu *
evaluated_at(int check)
{
    return check == NO_CHECK ? &R.evaluator_start : &report.states.items[check];
}

static ir_states
all_differences(int check)
{
    const struct x86_cpu *a = compiled_at(check), *b = evaluated_at(check);
    ir_states set = lockstep_differences(a, b);

    for (unsigned f = 0; f < X86_FLAG_COUNT; f++)
        set |= (a->flag[f] & 1) != (b->flag[f] & 1) ? IR_STATE_BIT(X86_S_CF + f) : 0;
    return set;
}

/* On entry w->states are those that differ just before the instruction at w->to, or those that this instruction needs.
 * Afterwards w says between which polls the wrong instruction is. */
static void
walk_back(struct walk *w)
{
    int check = (int)report.met.count - 1;
    size_t at = w->to;

    while (check >= 0 && report.met.items[check] > at)
        check--;
    if (check >= 0 && report.met.items[check] == at && w->check == check)
        check--; /* this poll is where the difference was seen */
    for (;; check--) {
        size_t begin = check < 0 ? 0 : report.met.items[check];
        ir_states wrong;

        w->to = at;
        for (; at > begin; at--) {
            struct effects e;

            effects_of(report.trace.items[at - 1], &e);
            w->states = effects_needed_before(&e, w->states);
        }
        w->from = begin;
        w->check = check;
        wrong = w->states & all_differences(check);
        if (!wrong || check < 0) {
            w->at_start = wrong;
            return;
        }
        w->states = wrong;
    }
}

/* Of the marked instructions in [from, to), the first whose result still stands at the next poll, and differs there;
 * `suspect` if there is none. */
static size_t
first_seen_wrong(const struct walk *w, const uint8_t *part, size_t suspect)
{
    int next = w->check + 1;
    ir_states differs, later = 0;

    if (next < 0 || (size_t)next >= report.met.count || (size_t)next >= R.count || report.met.items[next] != w->to)
        return suspect;
    differs = all_differences(next);
    for (size_t i = w->to; i-- > w->from;) {
        struct effects e;

        effects_of(report.trace.items[i], &e);
        if (part[i - w->from] && !e.copies && (e.written & ~FLAGS & ~later & differs))
            suspect = i;
        later |= e.written;
    }
    return suspect;
}

/* Marks the instructions of [from, to) on which the states depend, and returns the last one that computes one of these
 * states. Of several states it is that of the one which was computed first, because the others may come from it. */
static size_t
mark(const struct walk *w, ir_states states, uint8_t *part)
{
    size_t suspect = NONE;

    for (ir_states each = states; each; each &= each - 1) {
        ir_states set = each & -each;
        bool last = true;

        for (size_t i = w->to; i-- > w->from;) {
            struct effects e;

            effects_of(report.trace.items[i], &e);
            if (!(set & e.written))
                continue;
            set = effects_needed_before(&e, set);
            part[i - w->from] = 1;
            if (last && !e.copies) {
                suspect = suspect == NONE || i < suspect ? i : suspect;
                last = false;
            }
        }
    }
    return first_seen_wrong(w, part, suspect);
}

static void
show(const struct walk *w, size_t suspect, const uint8_t *part)
{
    size_t first = w->from, shown = 0;
    char where[256];

    if (suspect != NONE)
        mm_place(R.mm, report.trace.items[suspect], where, sizeof where);
    else
        mm_place(R.mm, report.trace.items[first], where, sizeof where);
    platform_log("  first wrong: %s %#" PRIx64 " %s\n", suspect != NONE ? "instruction" : "after",
                 report.trace.items[suspect != NONE ? suspect : first], where);
    if (w->to - first > MAX_SHOWN)
        first = suspect != NONE && suspect > w->from + MAX_SHOWN / 2 ? suspect - MAX_SHOWN / 2 : first;
    platform_log("  instructions (=> suspected, > what it is about):\n");
    for (size_t i = first; i < w->to && shown < MAX_SHOWN; i++, shown++)
        show_instruction(report.trace.items[i], i == suspect, part[i - w->from]);
}

/* --- the three kinds of difference --- */

/* The states on which the branches on the way after the last poll depend. */
static ir_states
control_states(size_t from, size_t to)
{
    ir_states states = 0;

    for (size_t i = to; i-- > from;) {
        struct effects e;

        effects_of(report.trace.items[i], &e);
        states = effects_needed_before(&e, states) | e.control;
    }
    return states;
}

/* The first instruction of [from, to) that may go either way. The instructions on which it depends are marked. */
static size_t
mark_branch(const struct walk *w, uint8_t *part)
{
    for (size_t i = w->from; i < w->to; i++) {
        struct walk before = {.from = w->from, .to = i};
        struct effects e;

        effects_of(report.trace.items[i], &e);
        if (!(e.control & ~IR_STATE_BIT(X86_S_RSP))) /* it depends on nothing, or, as a return, on rsp alone */
            continue;
        mark(&before, e.control, part);
        return i;
    }
    return NONE;
}

static void
report_path(const struct replay *found)
{
    int check = (int)found->next - 1;
    struct walk w = {.check = check};
    uint8_t *part;
    size_t from, suspect;
    ir_states wrong;
    uint64_t wanted = found->next < R.count ? R.log[found->next].pc : R.end.rip;

    trace(found->next, true);
    if ((int)report.met.count - 1 < check)
        check = (int)report.met.count - 1;
    from = check < 0 ? 0 : report.met.items[check];
    w.from = from;
    w.to = report.trace.count < from + PATH_STEPS ? report.trace.count : from + PATH_STEPS;
    platform_log("  compiled code goes from %#" PRIx64 " to %#" PRIx64 ", the evaluator does not\n",
                 check < 0 ? R.start.rip : R.log[check].pc, wanted);
    wrong = control_states(w.from, w.to) & all_differences(check);
    if (wrong) {
        w = (struct walk){.states = wrong, .to = from, .check = check};
        walk_back(&w);
    }
    part = mem_zalloc(w.to - w.from + 1, 1);
    suspect = wrong ? mark(&w, wrong, part) : mark_branch(&w, part);
    if (w.at_start)
        platform_log("  the difference was there when compiled code was entered\n");
    show(&w, suspect, part);
    show_states(compiled_at(check), evaluated_at(check), wrong);
    show_registers(evaluated_at(w.check));
}

static void
report_states(const struct replay *found)
{
    size_t index = found->next;
    const struct x86_cpu *compiled = index < R.count ? &R.log[index].cpu : &R.end, *evaluated;
    struct walk w = {0};
    ir_states states;
    uint8_t *part;
    size_t suspect;

    trace(index < R.count ? index + 1 : SIZE_MAX, index >= R.count);
    evaluated = index < report.states.count ? &report.states.items[index] : &report.end;
    states = lockstep_differences(compiled, evaluated);
    w.states = states;
    w.to = index < report.met.count ? report.met.items[index] : report.trace.count;
    w.check = index < report.met.count ? (int)index : NO_CHECK - 1;
    platform_log("  registers differ at %#" PRIx64 "\n", index < R.count ? R.log[index].pc : R.end.rip);
    walk_back(&w);
    part = mem_zalloc(w.to - w.from + 1, 1);
    /* What is suspected must have made the states that are wrong behind the instructions in question: at the next poll,
     * or at the difference itself. */
    if ((size_t)(w.check + 1) < report.states.count && (size_t)(w.check + 1) <= index)
        suspect = mark(&w, w.check + 1 == (int)index ? states : all_differences(w.check + 1), part);
    else
        suspect = mark(&w, states, part);
    if (w.at_start)
        platform_log("  the difference was there when compiled code was entered\n");
    show(&w, suspect, part);
    show_states(compiled, evaluated, states);
    show_registers(evaluated_at(w.check));
}

/* Was what the instruction at `writer` stores, or where it stores, wrong at the poll already? Then *w is the walk back
 * from that poll. */
static bool
stored_wrong(size_t writer, int check, struct walk *w)
{
    struct effects e;
    size_t from = check < 0 ? 0 : report.met.items[check];
    ir_states states;

    effects_of(report.trace.items[writer], &e);
    states = e.stores;
    for (size_t i = writer; i-- > from;) {
        effects_of(report.trace.items[i], &e);
        states = effects_needed_before(&e, states);
    }
    *w = (struct walk){.states = states & all_differences(check), .to = from, .check = check};
    return w->states != 0;
}

static void
report_memory(size_t checks, uint64_t address)
{
    int check;
    size_t suspect;
    ir_states wrong = 0;
    uint8_t *part;
    struct walk w;

    report.watched = address;
    trace(checks, checks > R.count);
    check = (int)(checks <= R.count ? checks : R.count + 1) - 2;
    if (check >= (int)report.met.count)
        check = (int)report.met.count - 1;
    w = (struct walk){.check = check, .from = check < 0 ? 0 : report.met.items[check], .to = report.trace.count};
    suspect = report.watched_writer != NONE && report.watched_writer >= w.from ? report.watched_writer : NONE;
    platform_log("  memory at %#" PRIx64 " differs\n", address);
    if (suspect == NONE)
        platform_log("  the evaluator does not write there: it goes another way, or stores elsewhere\n");
    else if (stored_wrong(suspect, check, &w))
        wrong = w.states;
    else
        w = (struct walk){.check = check, .from = check < 0 ? 0 : report.met.items[check], .to = suspect + 1};
    if (wrong)
        walk_back(&w);
    part = mem_zalloc(w.to - w.from + 1, 1);
    if (wrong)
        suspect = mark(&w, wrong, part);
    else if (suspect == NONE)
        suspect = mark_branch(&w, part);
    show(&w, suspect, part);
    show_states(compiled_at(check), evaluated_at(check), wrong);
    show_registers(evaluated_at(w.check));
}

_Noreturn void
lockstep_report(const struct replay *found)
{
    size_t past = found->next < R.count ? found->next + 1 : SIZE_MAX, checks;
    size_t most = found->result == REPLAY_PATH ? found->next : past;
    uint64_t address = 0;

    snapshot_roll_back();
    show_head();
    checks = most ? first_memory_difference(most, &address) : NONE;
    if (checks == NONE && found->result == REPLAY_SAME)
        platform_log("  memory differs, but not when it is done again: something outside changed it\n");
    else if (checks != NONE)
        report_memory(checks, address);
    else if (found->result == REPLAY_STATE)
        report_states(found);
    else
        report_path(found);
    if (checks != NONE) {
        struct replay r = {.stop = checks, .goes_on = true};

        lockstep_rerun(checks);
        show_bytes("compiled", address);
        snapshot_roll_back();
        lockstep_replay(&r);
        show_bytes("evaluator", address);
    }
    show_end();
}
