/* Exceptions and faults of guest code, and what becomes of them.
 *
 * The evaluator and explicit exceptions leave all state exact. A fault of compiled code comes from the host: with
 * precise faults the fault map tells the state (fault_map.h). Without, registers are somewhere in the host's, and only
 * cpu.stack is known. Then the handler runs below the frames of compiled code, its signal frame lies below cpu.stack,
 * and when it returns the host's instruction is done again: enough for all handlers that repair the memory, print, or
 * leave by longjmp. What it is given as registers are addresses at which nothing is ever mapped, and so is the context
 * itself: who looks at it, goes up its frames to the fault, or throws an exception through them touches one of these.
 * That, and other registers when it returns, end the process with a message: nothing is made up. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <xmmintrin.h>

#include "eval/eval.h"
#include "ir/ir.h"
#include "platform/direct.h"
#include "platform/platform.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/run/direct.h"
#include "vkernel/run/fault_map.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/run/run.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "x86/address_space.h"
#include "x86/helpers.h"
#include "x86/x86.h"

enum { MAX_HELPER_FRAME = 4096, MXCSR_FLAGS = 0x3f };

static struct platform_fault pending_fault; /* between the host's handler and fault_deliver() */
static bool pending_exact;                  /* x86_cpu_tls has the state before the instruction */
static bool pending_direct;                 /* it is rewritten code's */
static const char *pending_refusal;         /* it ends the process: what a handler wanted */
static unsigned pending_trap;
static uint64_t pending_trap_pc;

_Noreturn void kernel_wasm_trap(int kind);

/* --- exceptions --- */

/* As Linux chooses (arch/x86/kernel/fpu/core.c, fpu__exception_code). */
static int
x87_exception_code(const struct x86_x87 *f)
{
    unsigned pending = f->status & ~f->control;

    return pending & 1      ? FPE_FLTINV
           : pending & 4    ? FPE_FLTDIV
           : pending & 8    ? FPE_FLTOVF
           : pending & 0x12 ? FPE_FLTUND
                            : FPE_FLTRES;
}

void
run_trap(unsigned vector, uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();

    cpu->rip = pc;
    switch (vector) {
    case IR_TRAP_DE: signal_force(SIGFPE, FPE_INTDIV, pc, 0); break;
    case IR_TRAP_DB:
        cpu->rip = pc + 1;
        signal_force(SIGTRAP, TRAP_BRKPT, pc + 1, 1);
        break;
    case IR_TRAP_BP:
        cpu->rip = pc + 1;
        signal_force(SIGTRAP, SI_KERNEL, 0, 3);
        break;
    case IR_TRAP_GP: signal_force(SIGSEGV, SI_KERNEL, 0, 13); break;
    case 16: /* #MF */ signal_force(SIGFPE, x87_exception_code(&cpu->x87), pc, (int)vector); break;
    case IR_TRAP_UNLIFTED:
        platform_log("ingot: %s[%d]: no lifter for the instruction at %#llx\n", current_process()->comm,
                     current_process()->pid, (unsigned long long)pc);
        signal_force(SIGILL, ILL_ILLOPN, pc, 6);
        break;
    default: signal_force(SIGILL, ILL_ILLOPN, pc, 6); break;
    }
}

/* The innermost from which all that lies below can be thrown away. */
static struct platform_jump *
dispatcher(void)
{
    struct task *t = current_task();

    return t->fault ? &t->fault->base : &t->base;
}

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    platform_mode = PLATFORM_KERNEL;
    x86_this_cpu()->rip = pc;
    lockstep_caught(LOCKSTEP_TRAP, vector);
    pending_fault.sig = 0;
    pending_trap = vector;
    pending_trap_pc = pc;
    platform_jump(dispatcher(), JUMP_FAULT);
}

void
kernel_wasm_trap(int kind)
{
    enum { TRAP_UNREACHABLE, TRAP_DIVIDE, TRAP_OVERFLOW }; /* aot's numbers */

    if (lockstep_on) /* that finds the state by itself */
        x86_raise(kind == TRAP_DIVIDE || kind == TRAP_OVERFLOW ? IR_TRAP_DE : IR_TRAP_UD, x86_this_cpu()->rip);
    /* Compiled code checks first what can trap, so that this is a bug, and nobody knows the state. */
    platform_mode = PLATFORM_KERNEL;
    platform_log("ingot: %s[%d]: internal error: trap %d of compiled code\n", current_process()->comm,
                 current_process()->pid, kind);
    group_exit(SIGILL);
}

void
x86_mxcsr_loaded(uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct x86_insn insn;
    const uint8_t *bytes;
    uint64_t image_base;
    size_t left = 0;

    x86_apply_mxcsr();
    if (platform_mode != PLATFORM_COMPILED || current_task()->fault || !run_floats_evaluated())
        return;
    bytes = run_fetch(NULL, pc, &left, &image_base);
    if (!bytes || x86_decode(bytes, left, pc, &insn) <= 0)
        return;
    cpu->rip = pc + insn.length;
    platform_mode = PLATFORM_KERNEL;
    if (lockstep_on)
        lockstep_end(LOCKSTEP_AT, 0);
    run_restart();
}

uint64_t
x86_random(void)
{
    uint64_t v;

    platform_random(&v, sizeof v);
    return v;
}

/* --- faults --- */

bool
platform_fault_inside(uint64_t host)
{
    uint64_t base = (uint64_t)(uintptr_t)x86_memory_tls;
    if (platform_mode == PLATFORM_KERNEL)
        return mm_is_guest_memory(host); /* copies are not only of the current process's memory */
    if (platform_has_direct())
        return current_task() && mm_is_guarded(current_task()->process->mm, host);
    return current_task() && host >= base && host - base < 8ull << 30;
}

/* A fault in a helper: is the code that called it precise? Then all state is in its globals. Helpers keep frame
 * pointers (x86/meson.build); what they call in the C library keeps theirs. */
static bool
called_precisely(const struct platform_fault *f)
{
    uint64_t frame = f->host[X86_RBP], low = f->host[X86_RSP];

    while (frame >= low && frame - low < MAX_HELPER_FRAME && frame % 8 == 0) {
        const uint64_t *saved = (const uint64_t *)(uintptr_t)frame; /* the caller's frame, the return address */
        enum fault_code code = fault_code_at(saved[1]);

        if (code != FAULT_CODE_NONE)
            return code == FAULT_CODE_PRECISE;
        low = frame + 1;
        frame = saved[0];
    }
    return false;
}

static bool
find_state(const struct platform_fault *f)
{
    enum fault_code code = fault_code_at(f->host_pc);

    if (platform_mode == PLATFORM_EVAL) {
        x86_this_cpu()->rip = eval_fault_address(current_task()->process->mm->eval);
        return true;
    }
    /* Arithmetic has no records: the nearest one is another instruction's. */
    if (f->sig == SIGFPE && code != FAULT_CODE_NONE)
        return false;
    return code == FAULT_CODE_PRECISE ? fault_map_apply(f) : code == FAULT_CODE_NONE && called_precisely(f);
}

/* --- unknown registers --- */

struct fault_record *
fault_unknown(const struct task *t)
{
    return t->fault && t->fault->frame == 0 ? t->fault : NULL;
}

uint64_t
fault_unknown_register(unsigned number)
{
    return GUEST_UNKNOWN + 0x8000 + number * 0x100;
}

void
fault_returned(struct task *t, uint64_t frame)
{
    struct fault_record *fault = t->fault;

    /* It may be an outer one: handlers of those within were left by longjmp. */
    while (fault && fault->frame != frame)
        fault = fault->outer;
    if (!fault)
        fault_refuse("returned, out of something else,");
    fault->frame = 0;
    t->fault = fault;
}

bool
fault_is_left(const struct fault_record *fault)
{
    const struct task *t = current_task();
    uint64_t rsp = x86_this_cpu()->gpr[X86_RSP];
    bool frame_on_alternate = fault->frame - t->altstack_sp < t->altstack_size;
    bool rsp_on_alternate = rsp - t->altstack_sp < t->altstack_size;

    /* The restorer is at 8 above: it has popped its own address. */
    return fault->frame != 0 && (rsp > fault->frame + 8 || frame_on_alternate != rsp_on_alternate);
}

static void
say_refusal(const char *verb)
{
    struct process *p = current_process();
    const char *path = NULL;

    if (p->unknown_fault)
        fault_function(p->unknown_fault, &path);
    audit_record(AUDIT_PROCESS, "registers-unknown", false, "file.path", path, "event.reason", verb, NULL);
    notice(NOTICE_FAULT,
           "a signal handler %s at a fault in %s, which was compiled without precise faults: build with "
           "--precise-faults=all",
           verb, path ? path : "a program");
}

void
fault_refuse(const char *verb)
{
    say_refusal(verb);
    /* As the program would have ended without the handler. */
    group_exit(current_process()->unknown_fault ? current_process()->unknown_signal : SIGSEGV);
}

void
fault_note_copy(uint64_t address)
{
    struct process *p = current_process();

    if (address < GUEST_UNKNOWN || address >= GUEST_END || !p->unknown_fault || p->group_exit)
        return;
    say_refusal("looked at registers");
    process_end(p, SIGKILL);
}

/* #GP: 16 bytes that are not aligned. */
static bool
is_protection(const struct platform_fault *f)
{
    return f->sig == SIGSEGV && f->code == SI_KERNEL;
}

/* The part of a file mapping beyond the file's end has no host pages. */
static bool
is_beyond_file(const struct platform_fault *f)
{
    struct vma *v = mm_find(current_task()->process->mm, f->address);

    return v && v->start <= f->address && (v->kind == VMA_FILE || v->kind == VMA_SHM) &&
           (v->prot & (f->write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC));
}

/* The guest's signal; the fault's address is the guest's. */
static int
guest_signal(const struct platform_fault *f)
{
    return f->sig == SIGFPE || f->sig == SIGILL || f->sig == SIGKILL || is_protection(f) ? f->sig
           : is_beyond_file(f)                                                           ? SIGBUS
                                                                                         : SIGSEGV;
}

/* On the fiber's stack, below the compiled code that faulted. */
static void
run_handler_below(void *saved)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct task *t = current_task();
    struct fault_record fault = {.outer = t->fault, .host_pc = pending_fault.host_pc, .stack = cpu->stack};
    struct x86_cpu before = *cpu;
    bool over;

    platform_mode = PLATFORM_KERNEL;
    t->process->unknown_fault = fault.host_pc;
    t->process->unknown_signal = guest_signal(&pending_fault);
    x86_apply_mxcsr();
    fault_deliver();
    t->fault = &fault;
    over = run_until_returned(&fault);
    if (!over && t->fault != &fault) /* a handler further out has returned */
        platform_jump(&t->fault->base, JUMP_RESTART);
    t->fault = fault.outer;
    if (!over)
        platform_leave();
    if (cpu->fs_base != before.fs_base || cpu->gs_base != before.gs_base)
        fault_refuse("changed registers");
    /* Compiled code expects its globals unchanged; the handler may have masked floating-point exceptions. */
    before.limit = cpu->limit;
    before.mxcsr = cpu->mxcsr;
    *cpu = before;
    platform_mode = PLATFORM_COMPILED;
    platform_fault_retry(saved, cpu->mxcsr & 0xffff);
}

/* Is it the host's processor that raises what the evaluator raises itself? */
static bool
raises_trap(const struct platform_fault *f)
{
    enum { VECTOR_XM = 19 };

    return f->sig == SIGILL || (f->sig == SIGFPE && f->vector != VECTOR_XM);
}

/* What two executions of the same fault must agree on. */
static uint64_t
fault_detail(void)
{
    return pending_fault.sig == 0                          ? (uint64_t)pending_trap << 40
           : pending_direct && raises_trap(&pending_fault) ? (uint64_t)pending_fault.vector << 40
           : is_protection(&pending_fault)                 ? (uint64_t)IR_TRAP_GP << 40
           : pending_fault.sig == SIGFPE                   ? (uint64_t)(unsigned)pending_fault.code << 32
                                                           : pending_fault.address;
}

static bool
has_handler(int sig)
{
    const struct task *t = current_task();
    uint64_t handler = sig > 0 ? t->process->actions[sig].handler : (uint64_t)(uintptr_t)SIG_DFL;

    return handler != (uint64_t)(uintptr_t)SIG_DFL && handler != (uint64_t)(uintptr_t)SIG_IGN &&
           !(t->blocked & SIGNAL_BIT(sig));
}

static bool
looks_at_unknown(const struct platform_fault *f)
{
    return f->sig != SIGFPE && !is_protection(f) && f->address >= GUEST_UNKNOWN && current_process()->unknown_fault;
}

/* On the host's signal stack. */
void
platform_on_fault(const struct platform_fault *f)
{
    struct platform_fault nowhere;

    pending_direct = platform_mode == PLATFORM_COMPILED && f->sig != SIGKILL && direct_fault_state(f);
    if (platform_mode == PLATFORM_COMPILED && platform_has_direct() && !pending_direct && f->sig != SIGKILL) {
        nowhere = *f; /* in no instruction of the guest's: no rewriter makes such code */
        nowhere.sig = SIGKILL;
        f = &nowhere;
    }
    if (is_protection(f) && !pending_direct && fault_code_at(f->host_pc) == FAULT_CODE_NONE)
        platform_die("internal fault: general protection outside of compiled code");
    pending_exact = pending_direct || (f->sig != SIGKILL && find_state(f));
    /* the host's are cleared for this handler */
    x86_cpu_tls.mxcsr |= ((const ucontext_t *)f->context)->uc_mcontext.fpregs->mxcsr & MXCSR_FLAGS;
    pending_fault = *f;
    pending_fault.address = f->address - (uint64_t)(uintptr_t)x86_memory_tls;
    pending_refusal = looks_at_unknown(&pending_fault) ? "looked at registers" : NULL;
    if (platform_mode == PLATFORM_EVAL)
        lockstep_caught(LOCKSTEP_FAULT, fault_detail());
    if (!pending_exact && !lockstep_on && !pending_refusal && has_handler(guest_signal(&pending_fault))) {
        if (platform_fault_divert(f, current_task()->sched.fiber, run_handler_below))
            return;
        pending_refusal = "ran, too deep down,";
        current_process()->unknown_fault = f->host_pc;
        current_process()->unknown_signal = guest_signal(&pending_fault);
    }
    platform_mode = PLATFORM_KERNEL;
    platform_jump(dispatcher(), JUMP_FAULT);
}

/* What a string instruction did before it faulted. */
void
fault_finish_string(void)
{
    uint64_t rip = x86_this_cpu()->rip, image_base;
    size_t left = 0;
    const uint8_t *bytes = run_fetch(NULL, rip, &left, &image_base);
    struct x86_insn insn;

    if (bytes && x86_decode(bytes, left, rip, &insn) > 0)
        x86_string_faulted(&insn);
}

void
fault_deliver(void)
{
    struct mm *mm = current_task()->process->mm;
    uint64_t address = pending_fault.address;
    struct vma *v = mm_find(mm, address);
    bool mapped = v && v->start <= address;
    int sig = pending_fault.sig;
    unsigned err = PF_USER | (pending_fault.write ? PF_WRITE : 0) | (mapped && v->prot ? PF_PRESENT : 0);

    if (lockstep_on) {
        struct platform_fault fault = pending_fault;
        bool direct = pending_direct, exact = pending_exact;

        lockstep_end(LOCKSTEP_FAULT, fault_detail());
        pending_fault = fault; /* the evaluator's fault has taken its place */
        pending_direct = direct;
        pending_exact = exact;
    }
    if (sig == 0) {
        run_trap(pending_trap, pending_trap_pc);
        return;
    }
    if (sig == SIGKILL) {
        notice(NOTICE_FAULT, "rewritten code was where no instruction of the guest's is: its process was ended");
        group_exit(SIGKILL);
    }
    if (pending_refusal)
        fault_refuse(pending_refusal);
    if ((pending_exact || lockstep_on) && !pending_direct)
        fault_finish_string();
    if (sig == SIGFPE || sig == SIGILL)
        signal_force(sig, pending_fault.code,
                     pending_exact || lockstep_on ? x86_cpu_tls.rip : fault_unknown_register(16),
                     (int)pending_fault.vector);
    else if (is_protection(&pending_fault))
        signal_force(SIGSEGV, SI_KERNEL, 0, 13);
    else if (guest_signal(&pending_fault) == SIGBUS)
        signal_force_page_fault(SIGBUS, BUS_ADRERR, address, err);
    else
        signal_force_page_fault(SIGSEGV, mapped ? SEGV_ACCERR : SEGV_MAPERR, address, err);
}
