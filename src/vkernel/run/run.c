/* This file runs guest code: natively where the code map has an entry for the guest's address, and with the evaluator
 * elsewhere. It is also the kernel's side of the imports of compiled code (kernel.syscall, kernel.poll, kernel.enter,
 * kernel.trap).
 *
 * Each fiber has a base dispatcher at its bottom. When compiled code calls the kernel, guest code may have to run
 * before the compiled code can go on: something without a compiled entry was called, or a signal handler is due. That
 * guest code runs further down on the same host stack, in a nested run. A nested run ends when the guest is back at the
 * expected rip and rsp. If the guest turns up anywhere else, the frames above are of no use any more: everything
 * unwinds to the base dispatcher, which goes on from the guest's rip (DESIGN D6). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xmmintrin.h>

#include "eval/eval.h"
#include "ir/ir.h"
#include "platform/direct.h"
#include "platform/kernel_imports.h"
#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/trace.h"
#include "vkernel/run/calls.h"
#include "vkernel/run/direct.h"
#include "vkernel/run/fault_map.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/run/run.h"
#include "vkernel/run/step.h"
#include "vkernel/sched/kernel_time.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

enum { RUN_MINIMUM_STACK = 48 << 10, HALF_STACK = 400 << 10 };

bool stress_unwind, stress_budget, stress_evaluate;

void
run_reset_limit(void)
{
    x86_cpu_tls.limit = stress_budget ? UINT64_MAX : platform_fiber_limit(current_task()->sched.fiber);
}

bool
run_forced_tick(void)
{
    return (stress_budget || lockstep_on) && platform_has_direct();
}

bool
run_keeps_memory_order(void)
{
    return platform_has_direct() || !ingot_table;
}

/* --- finding code --- */

/* Returns the native code for a guest address; NULL: there is none. It does not ask whether native code may run now. */
static const void *
table_entry(uint64_t pc)
{
    const struct code_map_entry *e;
    unsigned bit;

    if (platform_has_direct())
        return (const void *)(uintptr_t)direct_entry(pc);
    if (pc >= GUEST_IMAGE_END || !ingot_table)
        return NULL;
    e = (const struct code_map_entry *)(const void *)(x86_memory_tls + GUEST_CODE_MAP) + pc / GUEST_CODE_MAP_UNIT;
    bit = 1u << pc % GUEST_CODE_MAP_UNIT;
    if (!(e->bits & bit))
        return NULL;
    return ingot_table[e->rank + (unsigned)__builtin_popcount(e->bits & (bit - 1))];
}

bool
run_all_evaluated(void)
{
    enum { MASKS = 0x1f80 }; /* the exception masks of MXCSR (SDM vol. 1, 10.2.3) */
    uint64_t handler;
    const void *code;

    if (platform_has_direct())
        return false;
    if (current_task()->trace) /* its tracer may read and write registers at any stop */
        return true;
    if ((x86_cpu_tls.mxcsr & MASKS) == MASKS)
        return false;
    handler = current_process()->actions[SIGFPE].handler;
    code = table_entry(handler); /* the addresses SIG_DFL and SIG_IGN have no entry */
    return code && fault_code_at((uint64_t)(uintptr_t)code) == FAULT_CODE_PRECISE;
}

/* Is there too little room on the host stack to run a dispatcher here? Compiled code that is entered below the limit
 * leaves again at its first poll, so a dispatcher there would enter it again and again. */
static bool
stack_low(void)
{
    return platform_stack_pointer() < platform_fiber_limit(current_task()->sched.fiber) + RUN_MINIMUM_STACK;
}

/* A handler of a fault whose registers nobody knows runs below the compiled code that faulted, and must come back to it
 * (faults.c). Where little room is left, compiled code would leave at each first poll, so that the handler is
 * evaluated. */
static bool
handler_low(void)
{
    return current_task()->fault && stack_low();
}

/* Returns the native code to enter at a guest address now; NULL: the evaluator must run there. */
static const void *
compiled_entry(uint64_t pc)
{
    return stress_evaluate || run_all_evaluated() || handler_low() ? NULL : table_entry(pc);
}

bool
run_has_entry(uint64_t address)
{
    return compiled_entry(address) != NULL;
}

/* Is this nested run over? It is when the guest is where the frame expects it. A stack pointer above that place says
 * that the guest has left the frame by another way, such as longjmp, and will not come back. */
static bool
frame_ends(const struct run_frame *f)
{
    uint64_t rsp = x86_cpu_tls.gpr[X86_RSP];

    return f && (rsp > f->stop_rsp || (x86_cpu_tls.rip == f->stop_pc && rsp == f->stop_rsp));
}

/* Has a tracer put a breakpoint there? */
static inline bool
breakpoint_at(uint64_t address)
{
    const struct mm *mm = current_mm();

    return mm->breakpoint_count && mm_breakpoint_at(mm, address);
}

/* eval_host.has_compiled: the evaluator stops before native code and breakpoints, and where the innermost nested run ends. */
static bool
eval_has_compiled(void *context, uint64_t address)
{
    const struct run_frame *f = current_task()->frame;

    (void)context;
    if (breakpoint_at(address))
        return true;
    if (f) {
        uint64_t rsp = x86_cpu_tls.gpr[X86_RSP];

        if (rsp > f->stop_rsp || (address == f->stop_pc && rsp == f->stop_rsp))
            return true;
    }
    return compiled_entry(address) != NULL;
}

const uint8_t *
run_fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base)
{
    struct mm *mm = current_task()->process->mm;
    struct vma *v = mm_find(mm, address);

    (void)context;
    if (!v || v->start > address || !(v->prot & PROT_EXEC) || !v->code || mm_backed_end(v) <= address)
        return NULL;
    *left = mm_backed_end(v) - address;
    *image_base = v->image_base;
    return mm->space.base + address;
}

/* Are bits 48 to 63 copies of bit 47? A jump to any other address raises #GP. */
static bool
canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* eval_host.ends_before. With the backend direct a block of the evaluator ends where rewritten code can be entered, so
 * that no more is evaluated than has to be. */
static bool
block_ends(void *context, uint64_t address)
{
    return breakpoint_at(address) || (platform_has_direct() ? compiled_entry(address) != NULL
                                                            : lockstep_on && lockstep_block_ends(context, address));
}

/* eval_host.go_out: others may be in the vkernel from here on. */
static void
eval_goes_out(void *context)
{
    (void)context;
    sched_go_out();
    platform_leave_kernel(PLATFORM_EVAL);
    if (platform_ticked) /* from here on a tick raises the limit itself */
        x86_cpu_tls.limit = UINT64_MAX;
}

static void
eval_comes_in(void *context)
{
    (void)context;
    platform_come_in();
}

enum eval_stop
run_evaluate_with(struct eval *eval, struct eval_host host)
{
    struct mm *mm = current_task()->process->mm;
    struct x86_cpu *cpu = x86_this_cpu();
    enum eval_stop stop;
    unsigned trap = 0;

    host.memory = mm->space.base;
    host.fetch = run_fetch;
    x87_out();
    x87_used(); /* the helpers compute with it, and who gets the processor next must not see their operands */
    if (platform_has_direct())
        x86_collect_mxcsr();
    platform_mode = PLATFORM_EVAL;
    stop = eval_run(eval, &host, &trap);
    platform_mode = PLATFORM_KERNEL;
    switch (stop) {
    case EVAL_COMPILED:
    case EVAL_BUDGET: break;
    case EVAL_SYSCALL: syscall_edge(); break;
    case EVAL_TRAP: run_trap(trap, cpu->rip); break;
    case EVAL_NOEXEC: {
        struct vma *v = mm_find(mm, cpu->rip);

        if (trampoline_run() || vsyscall_run())
            break;
        if (!canonical(cpu->rip)) {
            signal_force(SIGSEGV, SI_KERNEL, 0, 13);
            break;
        }
        if (v && v->start <= cpu->rip && (v->prot & PROT_EXEC) && mm_backed_end(v) <= cpu->rip) {
            signal_force_page_fault(SIGBUS, BUS_ADRERR, cpu->rip, PF_USER | PF_FETCH);
            break;
        }
        signal_force_page_fault(SIGSEGV, v && v->start <= cpu->rip ? SEGV_ACCERR : SEGV_MAPERR, cpu->rip,
                                PF_USER | PF_FETCH |
                                    ((v && v->start <= cpu->rip) || cpu->rip >= TASK_SIZE ? PF_PRESENT : 0));
        break;
    }
    }
    return stop;
}

bool
run_breakpoint(void)
{
    uint64_t rip = x86_cpu_tls.rip;

    if (!breakpoint_at(rip))
        return false;
    run_trap(IR_TRAP_BP, rip);
    return true;
}

void
run_evaluate(void)
{
    struct mm *mm = current_task()->process->mm;
    struct eval_host host = {.has_compiled = eval_has_compiled,
                             .ends_before =
                                 platform_has_direct() || lockstep_on || mm->breakpoint_count ? block_ends : NULL,
                             .go_out = platform_threads > 1 ? eval_goes_out : NULL,
                             .come_in = platform_threads > 1 ? eval_comes_in : NULL};

    if (run_breakpoint())
        return;
    if (!mm_eval(mm))
        group_exit(SIGKILL);
    if (run_evaluate_with(mm->eval, host) == EVAL_BUDGET)
        poll_edge();
}

static inline void
enter_compiled(bool from_dispatcher)
{
    if (lockstep_on)
        lockstep_begin(from_dispatcher);
    x86_cpu_tls.stack = x86_cpu_tls.gpr[X86_RSP];
    platform_mode = PLATFORM_NATIVE;
}

static inline void
leave_compiled(enum lockstep_end how, uint64_t detail)
{
    platform_mode = PLATFORM_KERNEL;
    if (lockstep_on)
        lockstep_end(how, detail);
}

/* One step of a dispatcher: native code or the evaluator runs until the guest asks for something or leaves that
 * code. */
static void
run_step(void)
{
    struct task *t = current_task();
    const void *code;

    if (t->trace && trace_steps(t->trace)) {
        run_one_step(t);
        return;
    }
    code = t->evaluate_next ? NULL : compiled_entry(x86_cpu_tls.rip);
    t->evaluate_next = false;
    if (!code) {
        run_evaluate();
        return;
    }
    if (platform_has_direct()) {
        direct_run((uint64_t)(uintptr_t)code);
        return;
    }
    enter_compiled(true);
    platform_enter(code);
    platform_mode = PLATFORM_KERNEL;
    leave_compiled(LOCKSTEP_AT, 0);
}

/* Runs the guest below compiled code until it is at (stop_pc, stop_rsp) again, and returns true. False: it went
 * elsewhere, or cannot run here; whoever is further out must go on from the guest's state. */
static bool
run_nested(uint64_t stop_pc, uint64_t stop_rsp)
{
    struct task *t = current_task();
    struct run_frame f = {.outer = t->frame, .stop_pc = stop_pc, .stop_rsp = stop_rsp};
    struct x86_cpu *cpu = x86_this_cpu();

    if (stress_unwind || stack_low())
        return false;
    t->frame = &f;
    do {
        run_step();
        if (signal_work(t))
            signal_deliver(-1);
    } while (!frame_ends(&f) && !stack_low() && !run_all_evaluated());
    t->frame = f.outer;
    return !run_all_evaluated() && cpu->rip == stop_pc && cpu->gpr[X86_RSP] == stop_rsp;
}

static bool
stack_half_full(void)
{
    return platform_stack_pointer() < platform_fiber_limit(current_task()->sched.fiber) + HALF_STACK;
}

/* A dispatcher and the evaluator need some room of their own beyond what is reserved for the vkernel. Is less than that
 * left? */
static bool
stack_exhausted(void)
{
    return platform_stack_pointer() < platform_fiber_floor(current_task()->sched.fiber);
}

bool
run_until_returned(struct fault_record *fault)
{
    struct run_frame f = {.outer = current_task()->frame, .stop_rsp = UINT64_MAX};
    uint64_t host_frame = platform_frame();
    struct task *t;
    int how;

    /* An exception in the handler, where the guest's state is known, comes here and not to the fiber's base, because
     * the way to the base would throw away the compiled code that faulted and waits above. */
    how = platform_mark(&fault->base);
    if (how)
        platform_set_frame(host_frame);
    if (how == JUMP_FAULT) {
        x86_apply_mxcsr();
        fault_deliver();
    }
    t = current_task();
    t->frame = &f;
    if (signal_work(t))
        signal_deliver(-1);
    while (t->fault == fault && fault->frame != 0 && !stack_exhausted() &&
           !(stack_half_full() && fault_is_left(fault))) {
        run_step();
        if (signal_work(t))
            signal_deliver(-1);
    }
    t->frame = f.outer;
    return t->fault == fault && fault->frame == 0;
}

/* --- edges --- */

void
syscall_edge(void)
{
    syscall_edge_with(x86_cpu_rflags(x86_this_cpu()));
}

/* What is due behind each call before signals are looked at. */
static inline void
after_call(void)
{
    if (calls_on)
        calls_done();
    if (platform_ticked)
        sched_poll();
    if (sched_moving)
        sched_move();
    if (sched_tick_wanted)
        sched_arm_tick();
}

/* A traced task's system call. The tracer may choose another one, and other arguments, so that it is done again by the
 * guest, where an untraced task's is done again in place. */
static __attribute__((noinline)) void
traced_call(struct task *t, int64_t nr)
{
    struct x86_cpu *cpu = x86_this_cpu();
    int64_t restart;

    cpu->gpr[X86_RAX] = (uint64_t)-ENOSYS;
    nr = trace_call_begins(t, nr);
    if (nr != -1) {
        uint64_t a[6] = {cpu->gpr[X86_RDI], cpu->gpr[X86_RSI], cpu->gpr[X86_RDX],
                         cpu->gpr[X86_R10], cpu->gpr[X86_R8],  cpu->gpr[X86_R9]};

        cpu->gpr[X86_RAX] = (uint64_t)call_with_work(nr, a);
        if (t->trace)
            nr = (int32_t)t->trace->orig_rax;
    }
    after_call();
    if (t->trace && nr == NR_rt_sigreturn)
        t->trace->orig_rax = -1;
    if (t->trace)
        trace_call_ends(t);
    restart = (int64_t)cpu->gpr[X86_RAX];
    if ((signal_work(t) || (restart <= -ERESTARTSYS && restart >= -ERESTART_RESTARTBLOCK && !t->call_answered)) &&
        signal_deliver(nr == NR_rt_sigreturn ? -1 : (int)nr)) {
        cpu->gpr[X86_RAX] = cpu->gpr[X86_RAX] == (uint64_t)-ERESTART_RESTARTBLOCK ? NR_restart_syscall : (uint64_t)nr;
        cpu->rip -= 2;
    }
    if (t->trace && trace_steps(t->trace))
        direct_leave();
}

void
syscall_edge_with(uint64_t rflags)
{
    struct task *t = current_task();
    struct x86_cpu *cpu = x86_this_cpu();
    int64_t nr = (int32_t)cpu->gpr[X86_RAX], result; /* Linux looks at eax alone */

    if (calls_on)
        calls_made(nr);
    cpu->gpr[X86_RCX] = cpu->rip;
    cpu->gpr[X86_R11] = rflags;
    for (;;) {
        uint64_t a[6] = {cpu->gpr[X86_RDI], cpu->gpr[X86_RSI], cpu->gpr[X86_RDX],
                         cpu->gpr[X86_R10], cpu->gpr[X86_R8],  cpu->gpr[X86_R9]};

        if (__builtin_expect(t->call_work, 0)) {
            if (t->call_work & CALL_TRACED) {
                traced_call(t, nr);
                return;
            }
            result = call_with_work(nr, a);
        } else {
            result = syscall_dispatch(nr, a);
        }
        cpu->gpr[X86_RAX] = (uint64_t)result;
        after_call();
        if (!signal_work(t) && !(result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK))
            return;
        if (t->call_answered && !signal_work(t))
            return;
        if (!signal_deliver(nr == NR_rt_sigreturn /* rt_sigreturn is never restarted */ ? -1 : (int)nr))
            return;
        if (result == -ERESTART_RESTARTBLOCK)
            nr = NR_restart_syscall;
    }
}

void
poll_edge(void)
{
    if (stress_budget)
        platform_ticked = 1;
    if (platform_ticked)
        sched_poll();
    else
        run_reset_limit();
    if (sched_moving)
        sched_move();
    if (signal_work(current_task()))
        signal_deliver(-1);
}

/* Is an edge below compiled code over such that this code can go on, with the guest at pc and with this rsp? A nested
 * run brings the guest there if need be. False: the compiled code must not go on. */
static bool
back_at(uint64_t pc, uint64_t rsp)
{
    const struct x86_cpu *cpu = x86_this_cpu();

    return (cpu->rip == pc && cpu->gpr[X86_RSP] == rsp) || run_nested(pc, rsp);
}

/* The number of the code that is bound now. When it has changed over an edge, the compiled code that waits above may
 * belong to a file that is mapped no more, and must not go on. */
static uint64_t
code_in_force(void)
{
    return current_task()->process->mm->code_generation;
}

void
kernel_syscall_c(uint64_t next)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t rsp = cpu->gpr[X86_RSP], code = code_in_force();
    int64_t nr = (int32_t)cpu->gpr[X86_RAX];

    leave_compiled(LOCKSTEP_SYSCALL, 0);
    syscall_edge();
    /* rt_sigreturn restores a state from elsewhere. Whatever waits for that place is not this call's code, but is
     * further out. */
    if (nr == NR_rt_sigreturn || stress_unwind || run_all_evaluated() || !back_at(next, rsp) || code_in_force() != code)
        platform_leave();
    enter_compiled(false);
}

/* Compares all guest state that compiled code may hold copies of in host registers. */
static bool
same_state(const struct x86_cpu *a, const struct x86_cpu *b)
{
    return memcmp(a->gpr, b->gpr, sizeof a->gpr) == 0 && a->fs_base == b->fs_base && a->gs_base == b->gs_base &&
           memcmp(a->flag, b->flag, sizeof a->flag) == 0 && memcmp(a->xmm, b->xmm, sizeof a->xmm) == 0 &&
           memcmp(a->ymm_high, b->ymm_high, sizeof a->ymm_high) == 0 && memcmp(&a->x87, &b->x87, sizeof a->x87) == 0;
}

/* The import kernel.poll. Compiled code holds copies of the guest's state in host registers, so that it may go on only
 * if the kernel has changed nothing of it; otherwise everything unwinds to the dispatcher. */
void
kernel_poll_c(uint64_t pc)
{
    uint64_t code = code_in_force();
    struct x86_cpu before;

    if (lockstep_on && lockstep_poll(pc))
        return;
    leave_compiled(LOCKSTEP_POLL, 0);
    before = *x86_this_cpu();
    poll_edge();
    if (platform_stack_pointer() < platform_fiber_limit(current_task()->sched.fiber))
        platform_leave();
    if (run_all_evaluated() || !back_at(pc, before.gpr[X86_RSP]) || code_in_force() != code ||
        !same_state(&before, x86_this_cpu()))
        platform_leave();
    enter_compiled(false);
}

/* The import kernel.enter: compiled code calls or jumps to a guest address that has no compiled entry, or refuses to go
 * on there. */
void
kernel_enter_c(uint64_t link)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t rsp = cpu->gpr[X86_RSP], code = code_in_force(), return_address;

    cpu->rip = cpu->tmp[0];
    leave_compiled(LOCKSTEP_AT, 0);
    current_task()->evaluate_next = true;
    /* The dispatcher further out must run the guest in two cases: link is 0, because a dispatcher entered this code and
     * no compiled caller waits; or link is not on top of the guest's stack, because the guest did not call but jumped
     * away. */
    if (link == 0 || copy_from_guest(&return_address, rsp, sizeof return_address) < 0 || return_address != link ||
        !run_nested(link, rsp + 8) || code_in_force() != code)
        platform_leave();
    enter_compiled(false);
}

void
kernel_trap_c(uint64_t pc)
{
    unsigned vector = (unsigned)x86_this_cpu()->tmp[0];

    leave_compiled(LOCKSTEP_TRAP, vector);
    run_trap(vector, pc);
    if (signal_work(current_task()))
        signal_deliver(-1);
    platform_leave();
}

/* --- fibers --- */

void
run_restart(void)
{
    calls_done();
    platform_jump(&current_task()->base, JUMP_RESTART);
}

/* The base dispatcher. What throws away the fiber's frames comes back to its platform_mark(): JUMP_FAULT with a fault
 * to deliver, JUMP_RESTART to go on at the guest's rip. */
void
task_run(struct task *first)
{
    struct task *t;

    if (platform_mark(&first->base) == JUMP_FAULT) {
        current_task()->frame = NULL;
        current_task()->fault = NULL;
        x86_apply_mxcsr();
        fault_deliver();
    }
    t = current_task();
    t->frame = NULL;
    t->fault = NULL;
    kernel_time_end(); /* of a call that did not come back to where it was made */
    platform_mode = PLATFORM_KERNEL;
    if (t->set_child_tid) {
        int tid = t->tid;

        copy_to_guest(t->set_child_tid, &tid, sizeof tid);
        t->set_child_tid = 0;
    }
    for (;;) {
        if (sched_tick_wanted)
            sched_arm_tick();
        if (signal_work(t))
            signal_deliver(-1);
        run_step();
    }
}

void
run_init(void)
{
    enum { STRESS_TICK_US = 50 };
    size_t size;
    void *scratch = eval_scratch(&size);

    platform_fiber_scratch(scratch, size);
    if (run_forced_tick()) {
        platform_tick_every(stress_budget ? STRESS_TICK_US : lockstep_tick_us());
        sched_tick_wanted = true;
    }
}
