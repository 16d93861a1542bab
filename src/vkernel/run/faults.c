/* What becomes of exceptions and faults of guest code.
 *
 * After the evaluator, and after an exception that the code raised itself, all guest state is exact. A fault of native
 * code comes from the host as a signal. With precise faults the fault map tells the guest's state (fault_map.h), and
 * rewritten code's state is known everywhere (direct.c). In compiled code without precise faults the guest's registers
 * are somewhere in the host's registers and frames, and only cpu.stack is known, which says how far down the guest's
 * stack is in use. Then the guest's handler runs below the frames of the compiled code, with its signal frame below
 * cpu.stack, and when the handler returns the host's instruction is done again. That is enough for every handler that
 * repairs the memory, prints something, or leaves by longjmp.
 *
 * As registers, and as its context, such a handler is given addresses at which nothing is ever mapped. If it looks at
 * the context, walks up the frames to the fault, or throws an exception through them, it touches one of these
 * addresses. That ends the process with a message, and so does a handler that returns with changed registers: the
 * vkernel makes up nothing that a program might take for the truth. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <xmmintrin.h>

#include "eval/eval.h"
#include "ir/ir.h"
#include "platform/direct.h"
#include "platform/kernel_imports.h"
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

/* Of the fault that is under way. They are set in the host's signal handler, which has taken the kernel lock, or in
 * x86_raise(), and read by fault_deliver(). Nothing sleeps in between, and the lock is kept, so that one of each is
 * enough for all processors. (Below compiled code it is let go in between, but then there is one processor.) */
static struct platform_fault pending_fault;
static bool pending_exact;          /* x86_cpu_tls has the state before the instruction that faulted */
static bool pending_direct;         /* the fault is rewritten code's */
static const char *pending_refusal; /* if not NULL, the fault ends the process; says what a handler wanted of it */
static unsigned pending_trap;
static uint64_t pending_trap_pc;

/* --- exceptions --- */

/* Chooses the signal's code in the order that Linux does (arch/x86/kernel/fpu/core.c, fpu__exception_code). */
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
    case IR_TRAP_OF:
        cpu->rip = pc + 2; /* INT with 4, as 64-bit code has no INTO */
        signal_force(SIGSEGV, SI_KERNEL, 0, 4);
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

/* The innermost dispatcher: everything below it on the host stack can be thrown away. */
static struct platform_jump *
dispatcher(void)
{
    struct task *t = current_task();

    return t->fault ? &t->fault->base : &t->base;
}

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    platform_enter_kernel();
    x86_this_cpu()->rip = pc;
    lockstep_caught(LOCKSTEP_TRAP, vector); /* which may still ask where the evaluator was */
    eval_left();
    pending_fault.sig = 0;
    pending_trap = vector;
    pending_trap_pc = pc;
    platform_jump(dispatcher(), JUMP_FAULT);
}

void
kernel_wasm_trap(int kind)
{
    enum { TRAP_UNREACHABLE, TRAP_DIVIDE, TRAP_OVERFLOW }; /* the numbers that aot uses */

    if (lockstep_on) /* lockstep finds the guest's state with the evaluator */
        x86_raise(kind == TRAP_DIVIDE || kind == TRAP_OVERFLOW ? IR_TRAP_DE : IR_TRAP_UD, x86_this_cpu()->rip);
    /* Compiled code compares operands before it does what could trap, so that this is a bug of ours, and nobody knows
     * the guest's state. */
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
    if (platform_mode != PLATFORM_NATIVE || current_task()->fault || !run_all_evaluated())
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
        return mm_is_guest_memory(host); /* the kernel also copies from and to the memory of other processes */
    if (platform_has_direct())
        return current_task() && mm_is_guarded(current_task()->process->mm, host);
    return current_task() && host >= base && host - base < 8ull << 30;
}

bool
platform_fault_allowed(uint64_t host, bool write)
{
    return current_task() && current_mm() && mm_allows(current_mm(), host, write);
}

/* After a fault in a helper: does the code that called it have precise faults? Then all guest state is in x86_cpu_tls.
 * The search goes up the frame pointers, which helpers keep (x86/meson.build), and which C library functions that they
 * call leave alone. */
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
        x86_this_cpu()->rip = eval_fault_address();
        return true;
    }
    /* The fault map has no records for arithmetic. The nearest record would be that of another instruction. */
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

    /* The frame may be that of an outer fault, when handlers of the faults within were left by longjmp. */
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

    /* When the handler returns it pops the restorer's address, so that rsp is 8 above the frame while rt_sigreturn is
     * called. */
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
    /* The program ends as it would have ended without the handler. */
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

/* Is it #GP? Guest code raises it for 16 bytes that are not aligned where they must be. */
static bool
is_protection(const struct platform_fault *f)
{
    return f->sig == SIGSEGV && f->code == SI_KERNEL;
}

/* Is the address in a mapping of a file, but beyond the file's end, where there are no host pages? The access that
 * faulted must be one that the mapping allows. */
static bool
is_beyond_file(const struct platform_fault *f)
{
    struct vma *v = mm_find(current_task()->process->mm, f->address);

    return v && v->start <= f->address && (v->kind == VMA_FILE || v->kind == VMA_SHM) &&
           (v->prot & (f->write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC));
}

/* The signal that the guest gets. The fault's address is already the guest's. */
static int
guest_signal(const struct platform_fault *f)
{
    return f->sig == SIGFPE || f->sig == SIGILL || f->sig == SIGKILL || is_protection(f) ? f->sig
           : is_beyond_file(f)                                                           ? SIGBUS
                                                                                         : SIGSEGV;
}

/* Runs the guest's handler on the fiber's stack, below the compiled code that faulted. */
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
    if (!over && t->fault != &fault) /* the handler of a fault further out has returned */
        platform_jump(&t->fault->base, JUMP_RESTART);
    t->fault = fault.outer;
    if (!over)
        platform_leave();
    if (cpu->fs_base != before.fs_base || cpu->gs_base != before.gs_base)
        fault_refuse("changed registers");
    /* Compiled code expects the state in x86_cpu_tls unchanged, but for the limit, and for MXCSR: the handler may have
     * masked floating-point exceptions. */
    before.limit = cpu->limit;
    before.mxcsr = cpu->mxcsr;
    *cpu = before;
    platform_mode = PLATFORM_NATIVE;
    platform_fault_retry(saved, cpu->mxcsr & 0xffff);
}

/* Did the host's processor raise an exception that the evaluator raises itself, as a trap? */
static bool
raises_trap(const struct platform_fault *f)
{
    enum { VECTOR_XM = 19 };

    return f->sig == SIGILL || (f->sig == SIGFPE && f->vector != VECTOR_XM);
}

/* What lockstep compares of a fault: one number that must be the same in both executions. */
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

/* Runs in the host's signal handler, on its alternate stack. */
void
platform_on_fault(const struct platform_fault *f)
{
    struct platform_fault nowhere;

    /* The access is done again. Lockstep has no way to take the growth back; both executions would have to. */
    if (f->sig == SIGSEGV && !is_protection(f) && !lockstep_on &&
        mm_grow_down(current_mm(), f->address - (uint64_t)(uintptr_t)x86_memory_tls))
        return;
    pending_direct = platform_mode == PLATFORM_NATIVE && f->sig != SIGKILL && direct_fault_state(f);
    if (platform_mode == PLATFORM_NATIVE && platform_has_direct() && !pending_direct && f->sig != SIGKILL) {
        nowhere = *f; /* the fault is in no instruction of the guest's, which no rewriter's code can cause */
        nowhere.sig = SIGKILL;
        f = &nowhere;
    }
    if (is_protection(f) && !pending_direct && fault_code_at(f->host_pc) == FAULT_CODE_NONE)
        platform_die("internal fault: general protection outside of compiled code");
    pending_exact = pending_direct || (f->sig != SIGKILL && find_state(f));
    /* The host has cleared its MXCSR for the signal handler; the exception flags that guest code had set are in the
     * signal's context. */
    x86_cpu_tls.mxcsr |= ((const ucontext_t *)f->context)->uc_mcontext.fpregs->mxcsr & MXCSR_FLAGS;
    pending_fault = *f;
    pending_fault.address = f->address - (uint64_t)(uintptr_t)x86_memory_tls;
    pending_refusal = looks_at_unknown(&pending_fault) ? "looked at registers" : NULL;
    if (platform_mode == PLATFORM_EVAL) {
        lockstep_caught(LOCKSTEP_FAULT, fault_detail());
        eval_left();
    }
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

/* The evaluator does a string instruction by one call of a helper, which may take seconds. When a poll is due, the
 * instruction is given up here as one that was interrupted, and goes on afterwards with what is left. */
void
x86_string_pause(void)
{
    if (platform_mode != PLATFORM_EVAL || lockstep_on)
        return;
    platform_enter_kernel();
    x86_this_cpu()->rip = eval_fault_address();
    eval_left();
    fault_finish_string();
    poll_edge();
    platform_jump(dispatcher(), JUMP_RESTART);
}

/* False: the address that the instruction named is none of a page, and its signal was sent. */
static bool
named_page(uint64_t *address)
{
    enum { SS = 12, PF = 14 };
    unsigned vector = fault_named_address(address);

    if (vector != PF)
        signal_force(vector == SS ? SIGBUS : SIGSEGV, SI_KERNEL, 0, (int)vector);
    return vector == PF;
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
        pending_fault = fault; /* the evaluator's own fault was noted in the same variables */
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
    else if ((pending_exact || lockstep_on) && !named_page(&address))
        return;
    else if (address != pending_fault.address)
        signal_force_page_fault(SIGSEGV, SEGV_MAPERR, address,
                                (err & ~PF_PRESENT) | (address >= TASK_SIZE ? PF_PRESENT : 0));
    else if (guest_signal(&pending_fault) == SIGBUS)
        signal_force_page_fault(SIGBUS, BUS_ADRERR, address, err);
    else
        signal_force_page_fault(SIGSEGV, mapped ? SEGV_ACCERR : SEGV_MAPERR, address, err);
}
