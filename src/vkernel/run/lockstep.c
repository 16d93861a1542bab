/* Lockstep: the regions of native code, and the evaluator's run over each of them (lockstep.h says what both are for).
 *
 * While compiled code runs, every poll writes the guest's state into the region's log. Then the evaluator does a
 * *replay*: it starts from the region's first state and follows the log, poll by poll, until it comes to the region's
 * end. If its states, its memory or its way are not those of native code, the process ends with a report. */
#include "vkernel/run/lockstep.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/rare.h"
#include "eval/eval.h"
#include "platform/direct.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/run/calls.h"
#include "vkernel/run/direct.h"
#include "vkernel/run/lockstep_internal.h"
#include "vkernel/run/run.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

enum {
    REPLAY_LIMIT = 16 << 20,
    INPUTS = 4096,
    REPEATED = 16 /* more polls than that with one state are a loop */
};

bool lockstep_on;
struct region lockstep_region RARE;

#define R lockstep_region

static struct {
    struct task *task;                  /* the task of the last region */
    struct x86_cpu compiled, evaluated; /* the states at the end of the last region */
    uint64_t compared;
    uint8_t *stops;            /* a bit for each address of code at which compiled code has polled, or was left */
    struct replay *replay;     /* the replay that runs now, or NULL */
    struct platform_jump back; /* leads out of a fault of the replay */
    enum lockstep_end caught;
    uint64_t caught_detail;
    /* the host stack at the region's start, to run the region again */
    struct platform_jump mark;
    uint8_t *stack;
    size_t stack_size; /* 0: the stack was not kept */
    uint64_t frame;
    struct platform_jump driver;
    size_t rerun_until; /* the number of polls after which a rerun stops; 0: this is no rerun */
    bool fine;          /* regions of rewritten code are short, because there was a difference in a long one */
    size_t repeated;    /* how many polls in a row repeat the one before */
    /* what RDTSC and RDRAND gave in this region */
    uint64_t inputs[INPUTS];
    size_t input_count, input_next;
    bool replays_inputs;
} lockstep RARE;

uint64_t
lockstep_compared(void)
{
    return lockstep.compared;
}

unsigned
lockstep_tick_us(void)
{
    return lockstep.fine ? 100 : 2000;
}

/* --- RDTSC, RDRAND: the evaluator, and a rerun, get what native code got --- */

uint64_t
x86_filter_input(uint64_t value)
{
    if (calls_on)
        return calls_input();
    if (lockstep.replays_inputs)
        return lockstep.input_next < lockstep.input_count ? lockstep.inputs[lockstep.input_next++] : value;
    if (R.open && lockstep.input_count < INPUTS)
        lockstep.inputs[lockstep.input_count++] = value;
    return value;
}

static void
rewind_inputs(bool replay)
{
    lockstep.input_next = 0;
    lockstep.replays_inputs = replay;
}

/* --- where native code polls or is left: the evaluator's blocks must end there --- */

static void
note_stop(uint64_t pc)
{
    if (pc >= GUEST_IMAGE_END || (lockstep.stops[pc / 8] >> pc % 8 & 1))
        return;
    lockstep.stops[pc / 8] |= (uint8_t)(1 << pc % 8);
    for (struct list *l = process_list.next; l != &process_list; l = l->next) {
        const struct process *p = list_entry(l, struct process, all);

        if (p->mm && p->mm->eval)
            eval_invalidate(p->mm->eval, pc, pc + 1);
    }
}

bool
lockstep_block_ends(void *context, uint64_t address)
{
    (void)context;
    return (lockstep.replay && lockstep.replay->step) ||
           (address < GUEST_IMAGE_END && (lockstep.stops[address / 8] >> address % 8 & 1)) ||
           /* rewritten code can be entered nearly everywhere, so its entries do not end blocks */
           (!platform_has_direct() && run_has_entry(address));
}

/* --- comparing --- */

static bool
same_x87(const struct x86_x87 *a, const struct x86_x87 *b)
{
    for (unsigned i = 0; i < 8; i++)
        if (a->r[i].sign_exponent != b->r[i].sign_exponent)
            return false;
    return a->control == b->control && a->status == b->status && a->tag_valid == b->tag_valid && a->top == b->top;
}

ir_states
lockstep_differences(const struct x86_cpu *a, const struct x86_cpu *b)
{
    ir_states set = 0;

    for (unsigned s = 0; s < X86_S_COUNT; s++) {
        size_t size = ir_state_infos[s].type == IR_V128 ? 16 : ir_state_infos[s].type == IR_I64 ? 8 : 4;

        if ((STATES_COMPARED & IR_STATE_BIT(s)) &&
            memcmp((const char *)a + ir_state_infos[s].offset, (const char *)b + ir_state_infos[s].offset, size) != 0)
            set |= IR_STATE_BIT(s);
    }
    if (platform_has_direct() && a->mxcsr != b->mxcsr)
        set |= IR_STATE_BIT(STATE_MXCSR);
    return set | (same_x87(&a->x87, &b->x87) ? 0 : IR_STATE_BIT(STATE_X87));
}

/* The states in which the evaluator differs at the region's end. At a system call rewritten code leaves it to the
 * vkernel to put the return address into rcx and the flags into r11, so that these two do not count. */
ir_states
lockstep_end_differences(const struct x86_cpu *evaluated)
{
    ir_states set = lockstep_differences(&R.end, evaluated);

    return R.kind == LOCKSTEP_SYSCALL && platform_has_direct()
               ? set & ~(IR_STATE_BIT(X86_S_RCX) | IR_STATE_BIT(X86_S_R11))
               : set;
}

/* --- the evaluator's run --- */

const struct x86_cpu *
lockstep_evaluated(void)
{
    if (platform_has_direct())
        x86_collect_mxcsr();
    return x86_this_cpu();
}

/* Did a call from the block just left lead here? Then every register counts: at the entry of a function compiled code
 * may take none for dead (DESIGN D6). */
static bool
by_call(void)
{
    uint64_t return_address;

    return copy_from_guest(&return_address, x86_cpu_tls.gpr[X86_RSP], sizeof return_address) == 0 &&
           return_address == eval_block_end();
}

static bool
fails(struct replay *r, enum replay_result result)
{
    if (r->goes_on)
        return false;
    r->result = result;
    return true;
}

/* Does the n-th poll in the log repeat the one before it, at one place with one state? Compiled code may poll twice
 * where the evaluator arrives once: at a function's entry, and again where the function's first block is the header of
 * a loop too. */
static bool
is_repeated(size_t n)
{
    const struct x86_cpu *before = n ? &R.log[n - 1].cpu : &R.start;
    uint64_t pc = n ? R.log[n - 1].pc : R.start.rip;

    return R.log[n].pc == pc && !lockstep_differences(before, &R.log[n].cpu);
}

static bool
is_check(size_t n, uint64_t address)
{
    return R.log[n].pc == address && R.log[n].cpu.gpr[X86_RSP] == x86_cpu_tls.gpr[X86_RSP];
}

/* Polls that repeat the one before need not be met by the evaluator if it is where they lead: at the next poll of
 * another kind or, if ends_here, at the region's end. */
static void
skip_repeated(struct replay *r, uint64_t address, bool ends_here)
{
    size_t n = r->next;

    while (n < R.count && n < r->stop && is_repeated(n))
        n++;
    if (n < R.count ? !is_check(n, address) : !ends_here)
        return;
    for (; r->next < n; r->next++)
        if (r->check)
            r->check(r);
}

/* Has the evaluator arrived at the poll that is next in the log? Then the poll counts as met. Returns true when the
 * replay is over. exact: all states must be the same, not only those that somebody may still read. */
static bool
meet_check(struct replay *r, uint64_t address, bool exact)
{
    const struct checkpoint *c = &R.log[r->next];
    const struct x86_cpu *cpu = x86_this_cpu();

    if (r->next < R.count && c->pc != address) {
        skip_repeated(r, address, false);
        c = &R.log[r->next];
    }
    if (r->next >= R.count || r->next >= r->stop || c->pc != address || c->cpu.gpr[X86_RSP] != cpu->gpr[X86_RSP])
        return false;
    if (exact && lockstep_differences(&c->cpu, cpu) && fails(r, REPLAY_STATE))
        return true;
    if (r->check)
        r->check(r);
    r->next++;
    r->steps = 0;
    return r->next == r->stop || (r->next == R.count && R.kind == LOCKSTEP_POLL);
}

/* Is the evaluator in the very state in which rewritten code was stopped, memory included? Whatever it has done until
 * then, nobody can tell the two apart from there on. */
static bool
at_state(const struct replay *r, uint64_t address)
{
    uint64_t differs;

    if (address != R.end.rip || memcmp(R.end.gpr, x86_cpu_tls.gpr, sizeof R.end.gpr) != 0)
        return false;
    return r->stop > R.count && !lockstep_differences(&R.end, lockstep_evaluated()) && !snapshot_differs(&differs);
}

static bool
at_end(struct replay *r, uint64_t address)
{
    if (R.kind == LOCKSTEP_STATE)
        return !r->step && at_state(r, address);
    if (r->next < R.count && R.kind == LOCKSTEP_AT && address == R.end.rip)
        skip_repeated(r, address, true);
    return r->next == R.count && r->stop > R.count && R.kind == LOCKSTEP_AT && address == R.end.rip &&
           (platform_has_direct() || R.end.gpr[X86_RSP] == x86_cpu_tls.gpr[X86_RSP]);
}

static bool
replay_arrives(void *context, uint64_t address)
{
    struct replay *r = context;

    if (r->step)
        r->step(r, address);
    if (r->stopped)
        return true;
    if (meet_check(r, address, !r->step && by_call()))
        return true;
    if (at_end(r, address)) {
        if (lockstep_differences(&R.end, lockstep_evaluated()))
            fails(r, REPLAY_STATE);
        return true;
    }
    if (++r->steps > r->limit) {
        r->result = REPLAY_PATH;
        return true;
    }
    return false;
}

/* The evaluator does not announce the first address of its run. But compiled code that is entered there may poll at
 * once, or refuse to go on. */
static bool
done_at_start(struct replay *r)
{
    struct x86_cpu *cpu = x86_this_cpu();

    const struct x86_cpu *last = R.count ? &R.log[R.count - 1].cpu : &R.start;

    if (r->stop == 0)
        return true;
    if (R.entered && R.count && R.log[0].pc == cpu->rip &&
        memcmp(R.log[0].cpu.gpr, R.start.gpr, sizeof cpu->gpr) == 0 && meet_check(r, cpu->rip, false))
        return true;
    return at_end(r, cpu->rip) && memcmp(R.end.gpr, last->gpr, sizeof last->gpr) == 0;
}

/* The evaluator has come to a fault where rewritten code had one. A fault of rewritten code leaves all of its state, so
 * that everything is compared. */
static void
finish_fault(struct replay *r)
{
    x86_this_cpu()->rip = eval_fault_address();
    fault_finish_string();
    if (lockstep_differences(&R.end, lockstep_evaluated()) || R.end.rip != x86_cpu_tls.rip)
        fails(r, REPLAY_STATE);
}

static void
finish_replay(struct replay *r, enum lockstep_end kind, uint64_t detail)
{
    const struct x86_cpu *cpu = x86_this_cpu();

    if (kind == LOCKSTEP_TRAP && R.kind == LOCKSTEP_FAULT) { /* a helper raised the exception within an instruction */
        kind = LOCKSTEP_FAULT;
        detail <<= 40;
    }
    if (r->next < R.count)
        skip_repeated(r, cpu->rip, true);
    if (r->next != R.count || r->stop <= R.count || kind != R.kind ||
        (kind != LOCKSTEP_FAULT && cpu->rip != R.end.rip) || (kind != LOCKSTEP_SYSCALL && detail != R.detail))
        r->result = REPLAY_PATH;
    else if (kind == LOCKSTEP_SYSCALL && lockstep_end_differences(lockstep_evaluated()))
        fails(r, REPLAY_STATE);
    else if (kind == LOCKSTEP_FAULT && platform_has_direct())
        finish_fault(r);
}

static void
run_evaluator(struct replay *r)
{
    struct eval_host host = {.context = r,
                             .memory = R.mm->space.base,
                             .fetch = run_fetch,
                             .has_compiled = replay_arrives,
                             .ends_before = lockstep_block_ends};
    unsigned trap = 0;

    for (;;) {
        platform_mode = PLATFORM_EVAL;
        switch (eval_run(R.mm->eval, &host, &trap)) {
        case EVAL_COMPILED: platform_mode = PLATFORM_KERNEL; return;
        case EVAL_SYSCALL:
            platform_mode = PLATFORM_KERNEL;
            finish_replay(r, LOCKSTEP_SYSCALL, 0);
            return;
        case EVAL_TRAP:
            platform_mode = PLATFORM_KERNEL;
            finish_replay(r, LOCKSTEP_TRAP, trap);
            return;
        case EVAL_NOEXEC: /* native code, too, leaves at such an address, so that its region would have ended there */
            platform_mode = PLATFORM_KERNEL;
            r->result = REPLAY_PATH;
            return;
        case EVAL_BUDGET: /* the tick raised the limit, so that has_compiled was not asked */
            platform_mode = PLATFORM_KERNEL;
            x86_cpu_tls.limit = 0;
            if (replay_arrives(r, x86_cpu_tls.rip))
                return;
            break;
        }
    }
}

void
lockstep_replay(struct replay *r)
{
    struct x86_cpu *cpu = x86_this_cpu();

    if (!mm_eval(R.mm))
        group_exit(SIGKILL);
    if (r->step)
        eval_invalidate(R.mm->eval, 0, GUEST_END);
    *cpu = R.evaluator_start;
    cpu->limit = 0;
    x86_apply_mxcsr();
    rewind_inputs(true);
    r->result = REPLAY_SAME;
    r->next = 0;
    r->steps = 0;
    if (!r->limit)
        r->limit = REPLAY_LIMIT;
    lockstep.replay = r;
    if (!done_at_start(r)) {
        if (platform_mark(&lockstep.back) == 0)
            run_evaluator(r);
        else
            finish_replay(r, lockstep.caught, lockstep.caught_detail);
    }
    lockstep.replay = NULL;
    rewind_inputs(false);
    if (r->step)
        eval_invalidate(R.mm->eval, 0, GUEST_END);
}

void
lockstep_caught(enum lockstep_end kind, uint64_t detail)
{
    if (!lockstep.replay)
        return;
    lockstep.caught = kind;
    lockstep.caught_detail = detail;
    if (kind == LOCKSTEP_FAULT) /* this runs in the host's signal handler, which has an MXCSR of its own */
        x86_apply_mxcsr();
    platform_mode = PLATFORM_KERNEL;
    platform_jump(&lockstep.back, 1);
}

/* --- running compiled code again --- */

bool
lockstep_rerun(size_t checks)
{
    static size_t count; /* static, because this function's frame is left by a jump and come back to */

    if (!lockstep.stack_size)
        return false;
    count = R.count;
    *x86_this_cpu() = R.start;
    x86_apply_mxcsr();
    rewind_inputs(true);
    lockstep.rerun_until = checks;
    if (platform_mark(&lockstep.driver) == 0) {
        memcpy((void *)(uintptr_t)lockstep.mark.reg[6], lockstep.stack, lockstep.stack_size);
        platform_set_frame(lockstep.frame);
        platform_jump(&lockstep.mark, 1);
    }
    platform_mode = PLATFORM_KERNEL;
    R.open = false;
    R.count = count;
    lockstep.rerun_until = 0;
    rewind_inputs(false);
    return true;
}

static void
keep_stack(void)
{
    uint64_t top = platform_fiber_top(current_task()->sched.fiber);

    lockstep.stack_size = top - lockstep.mark.reg[6];
    memcpy(lockstep.stack, (void *)(uintptr_t)lockstep.mark.reg[6], lockstep.stack_size);
    lockstep.frame = platform_frame();
}

/* --- regions --- */

/* Computes the evaluator's state for the beginning of a region from that of native code. If the guest goes on where the
 * last region ended, it is the evaluator's own state from there, but for what the kernel has changed since. Otherwise a
 * wrong value that nobody has read yet would become the evaluator's own, and no difference would ever show. */
static void
evaluator_state(struct x86_cpu *out, const struct x86_cpu *now)
{
    const uint64_t *a = (const uint64_t *)(const void *)now, *b = (const uint64_t *)(const void *)&lockstep.compiled,
                   *c = (const uint64_t *)(const void *)&lockstep.evaluated;
    uint64_t words[sizeof *out / 8];
    bool goes_on = lockstep.task == current_task() && now->rip == lockstep.compiled.rip &&
                   now->gpr[X86_RSP] == lockstep.compiled.gpr[X86_RSP];

    for (size_t i = 0; i < sizeof *out / 8; i++)
        words[i] = goes_on && a[i] == b[i] ? c[i] : a[i];
    memcpy(out, words, sizeof *out);
    out->rip = now->rip;
}

__attribute__((noinline)) void
lockstep_begin(bool entered)
{
    struct x86_cpu *cpu = x86_this_cpu();

    if (R.open)
        return;
    if (platform_has_direct()) {
        x87_out();
        x86_collect_mxcsr();
    }
    R.mm = current_task()->process->mm;
    R.entered = entered;
    R.start = *cpu;
    evaluator_state(&R.evaluator_start, cpu);
    lockstep.input_count = 0;
    snapshot_begin(R.mm);
    if (!platform_has_direct() && platform_mark(&lockstep.mark) == 0)
        keep_stack();
    R.count = 0;
    R.open = true;
    x86_cpu_tls.limit = UINT64_MAX;
}

bool
lockstep_poll(uint64_t pc)
{
    struct checkpoint *c = &R.log[R.count];

    if (!R.open)
        return false;
    c->pc = pc;
    c->cpu = *x86_this_cpu();
    R.count++;
    if (lockstep.rerun_until) {
        if (R.count == lockstep.rerun_until)
            platform_jump(&lockstep.driver, 1);
        return true;
    }
    note_stop(pc);
    /* A region does not end with a poll that repeats the one before, unless a loop does nothing else. */
    lockstep.repeated = is_repeated(R.count - 1) ? lockstep.repeated + 1 : 0;
    if (lockstep.repeated && lockstep.repeated <= REPEATED && R.count < LOCKSTEP_LOG)
        return true;
    return R.count < LOCKSTEP_LOG - 2 * REPEATED && lockstep.input_count < INPUTS / 2 && !platform_ticked &&
           !platform_host_signals && platform_stack_pointer() >= platform_fiber_limit(current_task()->sched.fiber);
}

/* Takes back the region, and lets rewritten code do it again in pieces. Memory is as it was at the start, and ticks
 * come so often that the difference is met again after few instructions, each of which can then be done step by
 * step. */
static _Noreturn void
begin_again(void)
{
    lockstep.fine = true;
    snapshot_roll_back();
    snapshot_end();
    *x86_this_cpu() = R.start;
    x86_apply_mxcsr();
    lockstep.compiled = R.start;
    lockstep.evaluated = R.evaluator_start;
    lockstep.task = current_task();
    platform_tick(false);
    platform_tick_every(lockstep_tick_us());
    platform_tick(true);
    run_restart();
}

static void
report(void *found)
{
    if (platform_has_direct())
        lockstep_report_direct();
    lockstep_report(found);
}

void
lockstep_end(enum lockstep_end kind, uint64_t detail)
{
    static struct replay r;
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t address;

    if (!R.open)
        return;
    if (lockstep.rerun_until)
        platform_jump(&lockstep.driver, 1);
    if (platform_has_direct()) {
        x87_out();
        x86_collect_mxcsr();
    }
    if (platform_direct_steps)
        lockstep_steps_end();
    R.open = false;
    R.kind = kind;
    R.detail = detail;
    R.end = *cpu;
    if (kind == LOCKSTEP_AT || kind == LOCKSTEP_STATE)
        note_stop(cpu->rip);
    snapshot_keep_result();
    snapshot_roll_back();
    r = (struct replay){.stop = SIZE_MAX};
    lockstep_replay(&r);
    lockstep.compared += r.next + 1;
    if (platform_has_direct())
        x87_used();
    if (r.result != REPLAY_SAME || ((kind != LOCKSTEP_FAULT || platform_has_direct()) && snapshot_differs(&address))) {
        struct platform_fiber *fiber;

        if (platform_has_direct() && !lockstep.fine)
            begin_again();
        fiber = platform_fiber_new(report, &r);
        if (!fiber)
            platform_die("lockstep: out of memory");
        platform_fiber_switch(current_task()->sched.fiber, fiber);
    }
    lockstep.task = current_task();
    lockstep.evaluated = *cpu;
    if (kind == LOCKSTEP_SYSCALL && platform_has_direct()) { /* the vkernel sets these two for both executions */
        lockstep.evaluated.gpr[X86_RCX] = R.end.gpr[X86_RCX];
        lockstep.evaluated.gpr[X86_R11] = R.end.gpr[X86_R11];
    }
    if (kind == LOCKSTEP_FAULT && !platform_has_direct()) {
        cpu->rip = eval_fault_address();
    } else if (kind != LOCKSTEP_TRAP) {
        *cpu = R.end;
        snapshot_take_result();
    }
    lockstep.compiled = *cpu;
    x86_apply_mxcsr();
    snapshot_end();
    run_reset_limit();
}

void
lockstep_init(void)
{
    lockstep_on = true;
    /* lockstep changes the protection of all writable pages, so that fork must not use it to share pages */
    cow_off = true;
    lockstep.stops = platform_reserve(GUEST_IMAGE_END / 8);
    lockstep.stack = platform_reserve(2 << 20);
    if (!lockstep.stops || platform_map_anon(lockstep.stops, GUEST_IMAGE_END / 8, PROT_READ | PROT_WRITE) < 0 ||
        !lockstep.stack || platform_map_anon(lockstep.stack, 2 << 20, PROT_READ | PROT_WRITE) < 0)
        platform_die("lockstep: out of memory");
}
