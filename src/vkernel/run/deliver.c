/* Delivering signals at the edge to guest code: default actions, stops, and the frame that a handler runs on, which is
 * Linux's rt_sigframe of x86-64 byte for byte. */
#include <errno.h>
#include <string.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/cpu/xsave.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/trace.h"
#include "vkernel/run/direct.h"
#include "vkernel/run/run.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"

enum {
    RED_ZONE = 128,
    UC_FP_XSTATE = 1,
    USER_CS = 0x33,
    USER_SS = 0x2b,
    UC_SIGCONTEXT_SS = 2,
    UC_STRICT_RESTORE_SS = 4,
    SYSCALL_LENGTH = 2,
    /* stands in a reserved word of a frame that was made over an unknown state (faults.c) */
    REGISTERS_UNKNOWN = 0x696e676f,
    SA_RESTORER_FLAG = 0x04000000,
    RFLAGS_RESTORED = 0x50dd5, /* the flags that rt_sigreturn sets: Linux's FIX_EFLAGS */
};

#define UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

struct guest_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct guest_sigframe {
    uint64_t restorer;
    uint64_t uc_flags, uc_link;
    uint64_t ss_sp;
    int32_t ss_flags, ss_pad;
    uint64_t ss_size;
    struct guest_sigcontext mc;
    uint64_t sigmask;
    uint8_t info[128];
};
_Static_assert(sizeof(struct guest_sigframe) == 440, "rt_sigframe of x86-64");
_Static_assert(sizeof(siginfo_t) == 128, "siginfo is the guest's");

/* --- floating point state, as XSAVE lays it out --- */

/* In a signal frame the XSAVE area is followed by the second magic number. */
static uint32_t
fp_frame_size(void)
{
    return xsave_size() + sizeof(uint32_t);
}

static void
fp_save(struct x86_cpu *cpu, struct x86_xsave *a)
{
    struct x86_fxsave_software *software = &a->fx.software;

    x87_out();
    xsave_put(a, cpu);
    software->magic = X86_XSAVE_MAGIC1;
    software->size = xsave_size();
    software->extended_size = fp_frame_size();
    software->components = xsave_components();
}

static void
fp_reset(struct x86_cpu *cpu)
{
    x87_replaced();
    xsave_reset(cpu);
}

/* The components that a frame says it has, as Linux's check_xstate_in_sigframe decides. Without the magic numbers, or
 * with wrong sizes, the frame has an FXSAVE area alone, and the result is 0. */
static uint64_t
components_of(const struct x86_xsave *a, uint64_t at)
{
    const struct x86_fxsave_software *software = &a->fx.software;
    uint32_t magic;

    if (software->magic != X86_XSAVE_MAGIC1 || software->size < X86_XSAVE_SIZE_V2 || software->size > xsave_size() ||
        software->size > software->extended_size || copy_from_guest(&magic, at + software->size, sizeof magic) < 0 ||
        magic != X86_XSAVE_MAGIC2)
        return 0;
    return software->components & xsave_components();
}

/* Loads the floating-point state from a frame, which the handler may have changed, and which other threads change
 * meanwhile: each part is read once, and what is checked there is what is loaded. False: XRSTOR or FXRSTOR would raise
 * #GP, or the frame cannot be read. */
static bool
fp_load(struct x86_cpu *cpu, uint64_t at)
{
    struct x86_xsave a = {0};
    const size_t legacy = sizeof a.fx;
    uint64_t asked, found, size;

    if (copy_from_guest(&a.fx, at, sizeof a.fx) < 0)
        return false;
    asked = components_of(&a, at);
    size = asked & X86_XSAVE_AVX ? X86_XSAVE_SIZE_V3 : X86_XSAVE_SIZE_V2;
    if (asked && copy_from_guest((uint8_t *)&a + legacy, at + legacy, size - legacy) < 0)
        return false;
    if (at % (asked ? 64 : 16) || !xsave_mxcsr_good(&a) || (asked && !xsave_header_good(&a)))
        return false;
    found = asked ? asked & a.components : X86_XSAVE_X87 | X86_XSAVE_SSE;
    x87_replaced();
    xsave_get(&a, cpu, found, !asked || (asked & (X86_XSAVE_SSE | X86_XSAVE_AVX)));
    return true;
}

/* --- the frame --- */

static bool
on_altstack(const struct task *t, uint64_t sp)
{
    return t->altstack_size && sp > t->altstack_sp && sp - t->altstack_sp <= t->altstack_size;
}

/* Puts into the frame, in the place of registers that nobody knows, nothing that a handler could take for their values.
 * The x87 control word and MXCSR are known and stay. */
static void
forget_registers(struct guest_sigframe *frame, struct x86_xsave *fp)
{
    struct guest_sigcontext *mc = &frame->mc;
    uint64_t *const gpr[16] = {&mc->rax, &mc->rcx, &mc->rdx, &mc->rbx, &mc->rsp, &mc->rbp, &mc->rsi, &mc->rdi,
                               &mc->r8,  &mc->r9,  &mc->r10, &mc->r11, &mc->r12, &mc->r13, &mc->r14, &mc->r15};

    for (unsigned i = 0; i < 16; i++)
        *gpr[i] = x86_this_cpu()->gpr[i] = fault_unknown_register(i);
    mc->rip = fault_unknown_register(16);
    mc->reserved[0] = REGISTERS_UNKNOWN;
    memset(fp->fx.st, 0xff, sizeof fp->fx.st);
    memset(fp->fx.xmm, 0xff, sizeof fp->fx.xmm);
    memset(fp->ymm_high, 0xff, sizeof fp->ymm_high);
}

/* The end of the stack that is in use, below which a frame may be made. It also decides whether the task is on its
 * alternate stack. */
static uint64_t
stack_end(const struct fault_record *unknown)
{
    return unknown ? unknown->stack : x86_this_cpu()->gpr[X86_RSP];
}

/* Where the frame of the handler and its floating-point area go. False: the alternate stack, on which the guest is, has
 * no room for them. */
static bool
place_frame(const struct task *t, const struct signal_action *act, const struct fault_record *unknown, uint64_t *sp,
            uint64_t *fp_at)
{
    uint64_t rsp = stack_end(unknown), top = rsp - RED_ZONE - (unknown ? X86_STACK_LAG + 8 : 0);

    if ((act->flags & SA_ONSTACK) && t->altstack_size && !on_altstack(t, rsp))
        top = t->altstack_sp + t->altstack_size;
    *fp_at = (top - fp_frame_size()) & ~63ull;
    *sp = ((*fp_at - sizeof(struct guest_sigframe)) & ~15ull) - 8;
    return !on_altstack(t, rsp) || on_altstack(t, *sp) || !(act->flags & SA_ONSTACK);
}

/* All of the frame but where its floating-point area is. */
static void
fill_frame(struct guest_sigframe *frame, const struct task *t, const struct signal_action *act, const siginfo_t *info,
           uint64_t mask)
{
    const struct x86_cpu *cpu = x86_this_cpu();

    frame->restorer = act->restorer;
    frame->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    frame->ss_sp = t->altstack_sp;
    frame->ss_size = t->altstack_size;
    /* The flags as they were set, not whether the task is on the stack now: rt_sigreturn sets them again. */
    frame->ss_flags = t->altstack_flags;
    frame->mc = (struct guest_sigcontext){
        .r8 = cpu->gpr[8],
        .r9 = cpu->gpr[9],
        .r10 = cpu->gpr[10],
        .r11 = cpu->gpr[11],
        .r12 = cpu->gpr[12],
        .r13 = cpu->gpr[13],
        .r14 = cpu->gpr[14],
        .r15 = cpu->gpr[15],
        .rdi = cpu->gpr[X86_RDI],
        .rsi = cpu->gpr[X86_RSI],
        .rbp = cpu->gpr[X86_RBP],
        .rbx = cpu->gpr[X86_RBX],
        .rdx = cpu->gpr[X86_RDX],
        .rax = cpu->gpr[X86_RAX],
        .rcx = cpu->gpr[X86_RCX],
        .rsp = cpu->gpr[X86_RSP],
        .rip = cpu->rip,
        .rflags = x86_cpu_rflags(cpu),
        .cs = USER_CS,
        .ss = USER_SS,
        .err = t->fault_err,
        .trapno = t->fault_trapno,
        .cr2 = t->fault_cr2,
        .oldmask = mask,
    };
    frame->sigmask = mask;
    memcpy(frame->info, info, sizeof frame->info);
}

static bool
setup_frame(struct task *t, int sig, const struct signal_action *act, const siginfo_t *info, uint64_t mask)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct guest_sigframe frame = {0};
    const uint32_t magic2 = X86_XSAVE_MAGIC2;
    struct x86_xsave fp;
    struct fault_record *unknown = fault_unknown(t);
    uint64_t sp, fp_at;

    if (!place_frame(t, act, unknown, &sp, &fp_at))
        return false;
    x86_collect_mxcsr();
    fp_save(cpu, &fp);
    fill_frame(&frame, t, act, info, mask);
    frame.mc.fpstate = fp_at;
    if (unknown)
        forget_registers(&frame, &fp);
    if (copy_to_guest(fp_at, &fp, xsave_size()) < 0 ||
        copy_to_guest(fp_at + xsave_size(), &magic2, sizeof magic2) < 0 || copy_to_guest(sp, &frame, sizeof frame) < 0)
        return false;

    if (unknown)
        unknown->frame = sp;
    if (t->altstack_flags & (int)0x80000000u) { /* SS_AUTODISARM */
        t->altstack_size = 0;
        t->altstack_sp = 0;
        t->altstack_flags = SS_DISABLE;
    }
    cpu->gpr[X86_RSP] = sp;
    cpu->gpr[X86_RDI] = (uint64_t)sig;
    cpu->gpr[X86_RSI] = sp + offsetof(struct guest_sigframe, info);
    cpu->gpr[X86_RDX] = unknown ? FAULT_UNKNOWN_CONTEXT : sp + offsetof(struct guest_sigframe, uc_flags);
    cpu->gpr[X86_RAX] = 0;
    cpu->rip = act->handler;
    cpu->flag[X86_FLAG_DF] = 0;
    fp_reset(cpu);
    x86_apply_mxcsr();
    return true;
}

/* Returns from a frame that was made over an unknown state, which must still have the very values that stood for
 * registers there. */
static void
return_to_unknown(struct task *t, const struct guest_sigcontext *mc, uint64_t at)
{
    const uint64_t registers[17] = {mc->rax, mc->rcx, mc->rdx, mc->rbx, mc->rsp, mc->rbp, mc->rsi, mc->rdi, mc->r8,
                                    mc->r9,  mc->r10, mc->r11, mc->r12, mc->r13, mc->r14, mc->r15, mc->rip};

    for (unsigned i = 0; i < 17; i++)
        if (registers[i] != fault_unknown_register(i))
            fault_refuse("changed registers");
    fault_returned(t, at);
}

/* Does Linux return to these segments? It repairs a stack segment unless the frame says that the segment is meant
 * (force_valid_ss); all other segments raise #GP. 32-bit code does not run here, as on a kernel without support for
 * it. */
static bool
segments_good(const struct guest_sigframe *frame)
{
    unsigned cs = frame->mc.cs | 3u, ss = frame->mc.ss | 3u;

    return cs == USER_CS && (ss == USER_SS || !(frame->uc_flags & UC_STRICT_RESTORE_SS));
}

int64_t
sys_rt_sigreturn(const uint64_t a[6])
{
    struct task *t = current_task();
    struct x86_cpu *cpu = x86_this_cpu();
    struct guest_sigframe frame;
    bool loaded;

    if (copy_from_guest(&frame, cpu->gpr[X86_RSP] - 8, sizeof frame) < 0)
        goto bad;
    if (frame.mc.reserved[0] == REGISTERS_UNKNOWN)
        return_to_unknown(t, &frame.mc, cpu->gpr[X86_RSP] - 8);
    t->blocked = frame.sigmask & ~UNBLOCKABLE;
    cpu->gpr[8] = frame.mc.r8;
    cpu->gpr[9] = frame.mc.r9;
    cpu->gpr[10] = frame.mc.r10;
    cpu->gpr[11] = frame.mc.r11;
    cpu->gpr[12] = frame.mc.r12;
    cpu->gpr[13] = frame.mc.r13;
    cpu->gpr[14] = frame.mc.r14;
    cpu->gpr[15] = frame.mc.r15;
    cpu->gpr[X86_RDI] = frame.mc.rdi;
    cpu->gpr[X86_RSI] = frame.mc.rsi;
    cpu->gpr[X86_RBP] = frame.mc.rbp;
    cpu->gpr[X86_RBX] = frame.mc.rbx;
    cpu->gpr[X86_RDX] = frame.mc.rdx;
    cpu->gpr[X86_RCX] = frame.mc.rcx;
    cpu->gpr[X86_RSP] = frame.mc.rsp;
    cpu->rip = frame.mc.rip;
    x86_cpu_set_rflags(cpu, (x86_cpu_rflags(cpu) & ~(uint64_t)RFLAGS_RESTORED) | (frame.mc.rflags & RFLAGS_RESTORED));
    /* It comes last: the handler of SIGSEGV, when this cannot be loaded, finds the registers of the frame. */
    loaded = frame.mc.fpstate && fp_load(cpu, frame.mc.fpstate);
    if (!loaded)
        fp_reset(cpu);
    x86_apply_mxcsr();
    if (frame.mc.fpstate && !loaded)
        goto bad;
    /* Errors are ignored, as in Linux's restore_altstack. */
    (void)signal_set_altstack(t, stack_end(fault_unknown(t)), frame.ss_sp, frame.ss_flags, frame.ss_size);
    if (!segments_good(&frame))
        signal_force(SIGSEGV, SI_KERNEL, 0, 13);
    return (int64_t)frame.mc.rax;

bad:
    signal_force(SIGSEGV, SI_KERNEL, 0, 13);
    return 0;
}

/* --- faults --- */

void
signal_force_info(const siginfo_t *info)
{
    struct task *t = current_task();
    int sig = info->si_signo;
    struct signal_action *act = &t->process->actions[sig];

    if ((t->blocked & SIGNAL_BIT(sig)) || act->handler == (uint64_t)(uintptr_t)SIG_IGN ||
        act->handler == (uint64_t)(uintptr_t)SIG_DFL) {
        /* Not even process 1 survives a fault that it cannot handle. */
        t->blocked &= ~SIGNAL_BIT(sig);
        act->handler = (uint64_t)(uintptr_t)SIG_DFL;
        if (!t->trace)
            group_exit(sig);
    }
    signal_send_info(t->process, t, info);
}

static void
force(int sig, int code, uint64_t address)
{
    siginfo_t info = {.si_signo = sig, .si_code = code};

    info.si_addr = (void *)(uintptr_t)address;
    signal_force_info(&info);
}

void
signal_force(int sig, int code, uint64_t address, int trapno)
{
    current_task()->fault_trapno = (uint64_t)trapno;
    current_task()->fault_cr2 = current_task()->fault_err = 0;
    force(sig, code, address);
}

void
signal_force_page_fault(int sig, int code, uint64_t address, unsigned err)
{
    current_task()->fault_trapno = 14;
    current_task()->fault_cr2 = address;
    current_task()->fault_err = err;
    force(sig, code, address);
}

/* --- default actions --- */

static void
stop_process(struct process *p, int sig)
{
    p->stopped = true;
    p->stop_report = true;
    p->continue_report = false;
    p->stop_signal = sig;
    if (!trace_by_parent(p)) { /* who traces it is told of each thread */
        signal_child_changed(p, CLD_STOPPED, sig);
        if (p->parent)
            wait_queue_wake(&p->parent->wait_child);
    }
    LIST_EACH(l, &p->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if (t->trace)
            t->trace->told_no_stop = false;
        sched_interrupt(t, false);
    }
}

static void
wait_while_stopped(struct task *t)
{
    struct process *p = t->process;

    /* Somebody may begin to trace it meanwhile. */
    while (p->stopped && !signal_fatal_pending() && !t->trace)
        if (wait_on_killable(&p->stop_queue, WAIT_FOREVER) < 0)
            break;
    if (signal_fatal_pending())
        p->stopped = false;
}

/* Is it a fault's, and not sent by somebody? Only a tracer lets it come to a default action. */
static bool
is_forced(const siginfo_t *info)
{
    return info->si_code > 0 && signal_codes(info->si_signo) > 0 && info->si_signo != SIGCHLD;
}

/* True when the process goes on, because the signal is ignored or only stops it. */
static bool
default_action(struct task *t, const siginfo_t *info)
{
    int sig = info->si_signo;
    struct process *p = t->process;

    switch (sig) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT: return true;
    default: break;
    }
    if (p == init_process && !is_forced(info))
        return true;
    switch (sig) {
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        if (group_is_orphaned(p->pgid))
            return true;
        stop_process(p, sig);
        return true;
    case SIGSTOP: stop_process(p, sig); return true;
    default: group_exit(sig);
    }
}

/* Decides what becomes of the interrupted system call when a handler runs: it ends with EINTR, or is done again after
 * the handler. */
static void
restart_for_handler(int nr, const struct signal_action *act)
{
    struct x86_cpu *cpu = x86_this_cpu();
    int64_t result = (int64_t)cpu->gpr[X86_RAX];

    switch (result) {
    case -ERESTART_RESTARTBLOCK:
    case -ERESTARTNOHAND: cpu->gpr[X86_RAX] = (uint64_t)-EINTR; break;
    case -ERESTARTSYS:
        if (!(act->flags & SA_RESTART)) {
            cpu->gpr[X86_RAX] = (uint64_t)-EINTR;
            break;
        }
        /* fall through */
    case -ERESTARTNOINTR:
        cpu->gpr[X86_RAX] = (uint64_t)(int64_t)nr;
        cpu->rip -= SYSCALL_LENGTH;
        break;
    default: break;
    }
}

static void
run_handler(struct task *t, int sig, siginfo_t *info, int nr)
{
    struct signal_action *slot = &t->process->actions[sig], act = *slot;
    uint64_t mask = t->restore_blocked ? t->saved_blocked : t->blocked;

    if (nr >= 0)
        restart_for_handler(nr, &act);
    if (act.flags & SA_RESETHAND)
        slot->handler = (uint64_t)(uintptr_t)SIG_DFL;
    if (!(act.flags & SA_RESTORER_FLAG) || !setup_frame(t, sig, &act, info, mask)) {
        /* As in Linux's force_sigsegv, a failure to make the frame becomes SIGSEGV. Its handler, perhaps on another
         * stack, may do better; a failure to make its frame ends the process. */
        if (sig == SIGSEGV)
            group_exit(SIGSEGV);
        signal_force(SIGSEGV, SI_KERNEL, 0, 0);
        return;
    }
    t->restore_blocked = false;
    t->blocked |= act.mask;
    if (!(act.flags & SA_NODEFER))
        t->blocked |= SIGNAL_BIT(sig);
    t->blocked &= ~UNBLOCKABLE;
    if (t->trace)
        trace_handler_begins(t);
}

static bool
is_restart(int64_t result)
{
    return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
           result == -ERESTART_RESTARTBLOCK;
}

/* Stops for the tracer that the task or its process asks for. */
static void
stop_as_asked(struct task *t)
{
    if (t->asked & TASK_TO_TRAP)
        trace_trap(t);
    else if (t->trace)
        trace_group_stop(t);
    else
        wait_while_stopped(t);
}

/* The next signal to be delivered, as a tracer has it; 0: none. *nr: the system call that ends here, which a tracer may
 * change, too. */
static int
next_signal(struct task *t, siginfo_t *info, int *nr)
{
    for (;;) {
        int sig = signal_take(t, ~t->blocked, info);
        struct trace *tr;

        if (!sig || !t->trace || (sig == SIGKILL && t->process != init_process))
            return sig;
        tr = trace_get(t->trace);
        tr->orig_rax = *nr;
        sig = trace_signal(t, sig, info);
        *nr = (int)tr->orig_rax;
        trace_put(tr);
        if (sig || signal_fatal_pending() || t->asked || t->process->stopped)
            return sig;
    }
}

/* The call is to be done again, by the guest: a tracer may have given it other registers meanwhile. */
static void
rewind_call(struct x86_cpu *cpu, int nr)
{
    cpu->gpr[X86_RAX] = (int64_t)cpu->gpr[X86_RAX] == -ERESTART_RESTARTBLOCK ? NR_restart_syscall : (uint64_t)nr;
    cpu->rip -= SYSCALL_LENGTH;
}

bool
signal_deliver(int nr)
{
    struct task *t = current_task();
    struct process *p = t->process;
    bool traced = false;

    for (;;) {
        siginfo_t info;
        int sig;
        uint64_t handler;

        if (p->group_exit || (t->asked & TASK_TO_LEAVE))
            task_exit(p->exit_status);
        traced |= t->trace != NULL;
        if (t->trace)
            t->trace->orig_rax = nr;
        if ((t->asked || p->stopped) && signal_attention(t)) {
            struct trace *tr = t->trace ? trace_get(t->trace) : NULL;

            stop_as_asked(t);
            if (tr) {
                nr = (int)tr->orig_rax;
                trace_put(tr);
            }
            continue;
        }
        sig = next_signal(t, &info, &nr);
        if (!sig && signal_pending_task(t))
            continue;
        if (!sig)
            break;
        handler = p->actions[sig].handler;
        if (sig == SIGKILL && p != init_process)
            group_exit(SIGKILL);
        if (handler == (uint64_t)(uintptr_t)SIG_IGN)
            continue;
        if (handler == (uint64_t)(uintptr_t)SIG_DFL) {
            default_action(t, &info);
            continue;
        }
        run_handler(t, sig, &info, nr);
        nr = -1;
        t->fault_err = t->fault_trapno = t->fault_cr2 = 0;
    }
    if (t->trace && trace_steps(t->trace))
        direct_leave();
    if (nr >= 0 && is_restart((int64_t)x86_this_cpu()->gpr[X86_RAX])) {
        if (t->restore_blocked) {
            t->blocked = t->saved_blocked;
            t->restore_blocked = false;
        }
        if (traced)
            rewind_call(x86_this_cpu(), nr);
        return !traced;
    }
    if (t->restore_blocked) {
        t->blocked = t->saved_blocked;
        t->restore_blocked = false;
        if (signal_pending_task(t))
            return signal_deliver(nr);
    }
    return false;
}
