/* Running rewritten code: finding its entries, and doing what it asks of the vkernel (platform/direct.S calls the
 * functions *_c).
 *
 * Of rewritten code the host stack holds return addresses only, and each is compared at its return point with where the
 * guest really returned to. So nothing on that stack has a meaning here: whatever the vkernel does, the guest can go on
 * from its state at any instruction, with the stack as it is or with an empty one. */
#include "vkernel/run/direct.h"

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "ir/helper_functions.h"
#include "platform/direct.h"
#include "platform/platform.h"
#include "platform/sanitizer.h"
#include "vkernel/mm/mm.h"
#include "vkernel/run/direct_map.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/signal/signal.h"
#include "vkernel/run/run.h"
#include "x86/address_space.h"
#include "x86/cpuid.h"
#include "x86/direct_state.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"
#include "x86/level.h"
#include "x86/x86.h"

enum {
    RFLAGS_STATUS = 0x8d5,
    RFLAGS_DF = 0x400,
    RFLAGS_RUN = RFLAGS_STATUS | RFLAGS_DF,
    RFLAGS_TF = 0x100,
    RFLAGS_FIXED = 2,
    RFLAGS_ALWAYS = 0x202
};
enum { RT_SIGRETURN = 15 };

/* --- state --- */

/* The guest's flags become those of the host's RFLAGS. Returns the guest's RFLAGS. */
static uint64_t
take_flags(uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();

    rflags = (rflags & RFLAGS_RUN) | cpu->id_flag | RFLAGS_ALWAYS;
    x86_cpu_set_rflags(cpu, rflags);
    return rflags;
}

static uint64_t
give_flags(void)
{
    return (x86_cpu_rflags(x86_this_cpu()) & RFLAGS_RUN) | RFLAGS_FIXED;
}

void
direct_flags_c(uint64_t rflags)
{
    take_flags(rflags);
}

/* --- entries --- */

bool
direct_insn_at(uint64_t guest, struct direct_insn *out)
{
    struct mm *mm = current_task()->process->mm;
    const struct vma *v = guest < GUEST_IMAGE_END ? mm_at(mm, guest) : NULL;
    const struct direct_unit *u;

    if (!v || !(v->prot & PROT_EXEC) || !v->code || !mm_code_bound(mm, v))
        return false;
    u = direct_unit_of(v->code);
    return u && direct_insn_of_guest(u, guest, out) && out->guest == guest && !out->in_run;
}

uint64_t
direct_entry(uint64_t guest)
{
    uint64_t host = platform_direct_recall(guest);
    struct direct_insn insn;

    if (host)
        return host;
    if (!direct_insn_at(guest, &insn))
        return 0;
    platform_direct_remember(guest, insn.host);
    return insn.host;
}

uint64_t
direct_guest_address(uint64_t address)
{
    const struct direct_unit *u = platform_in_direct_text(address) ? direct_unit_at(address) : NULL;
    struct direct_insn insn;

    return u && direct_insn_of_host(u, address, &insn) ? insn.guest : address;
}

/* --- running --- */

/* Of the fiber: the generation of the code when rewritten code went on last. Another thread of the process may have changed it since, and
 * what the host's stack leads to is only good as long as nobody has. */
static __thread uint64_t code_outside;
FIBER_VARIABLE(code_outside);
#define LEFT UINT64_MAX /* no generation */

void
direct_leave(void)
{
    code_outside = LEFT;
}

/* The last steps before rewritten code goes on, which it does without the lock. */
static inline void
set_out(void)
{
    if (lockstep_on)
        lockstep_begin(true);
    x87_in();
    x86_this_cpu()->memory = (uint64_t)(uintptr_t)x86_memory_tls;
    code_outside = current_mm()->code_generation;
    sched_go_out();
    platform_leave_kernel(PLATFORM_NATIVE); /* from here on a tick interrupts it */
}

static inline void
end_lockstep(enum lockstep_end how)
{
    if (lockstep_on)
        lockstep_end(how, 0);
}

/* Rewritten code has left, or called the vkernel. All of the guest's state is in x86_cpu_tls, but for the x87 state,
 * which may be in the host's registers. */
static inline void
came_in(enum lockstep_end how)
{
    platform_enter_kernel();
    end_lockstep(how);
}

/* Does set_out(). False: a tick has come before, and must be attended to first. To be called once only for each entry:
 * the guest must get on, however often the tick comes (set_out_again()). */
static inline bool
may_set_out(void)
{
    set_out();
    if (!platform_ticked)
        return true;
    came_in(LOCKSTEP_STATE);
    return false;
}

/* Does set_out() where a tick has been attended to. One that has come since then is attended to a little later. */
static void
set_out_again(void)
{
    set_out();
    if (platform_ticked)
        platform_tick_again();
}

void
direct_run(uint64_t host)
{
    if (!may_set_out()) {
        poll_edge();
        host = direct_entry(x86_this_cpu()->rip);
        if (!host || code_outside == LEFT)
            return;
        set_out_again();
    }
    direct_enter(host, give_flags());
    came_in(LOCKSTEP_STATE);
}

void
direct_run_steps(uint64_t host)
{
    set_out();
    direct_enter(host, give_flags() | RFLAGS_TF);
    platform_enter_kernel();
}

/* After an edge: does the guest go on at the same place, in the same code? The stress modes say no, so that the slow
 * path is used. */
static inline bool
stayed(uint64_t rip, uint64_t rsp)
{
    const struct x86_cpu *cpu = x86_this_cpu();

    return cpu->rip == rip && cpu->gpr[X86_RSP] == rsp &&
           current_task()->process->mm->code_generation == code_outside && !stress_unwind && !stress_evaluate;
}

static __attribute__((noinline)) void
poll_and_set_out(uint64_t rip, uint64_t rsp)
{
    poll_edge();
    if (!stayed(rip, rsp))
        platform_leave();
    set_out_again();
}

void
direct_syscall_c(uint64_t next, uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t rsp = cpu->gpr[X86_RSP];
    int64_t nr = (int32_t)cpu->gpr[X86_RAX];

    rflags = take_flags(rflags);
    came_in(LOCKSTEP_SYSCALL);
    syscall_edge_with(rflags);
    if (!stayed(next, rsp) || nr == RT_SIGRETURN)
        platform_leave();
    if (!may_set_out())
        poll_and_set_out(next, rsp);
}

void
direct_poll_c(uint64_t host, uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t rsp = cpu->gpr[X86_RSP], rip;

    take_flags(rflags);
    cpu->rip = rip = direct_guest_address(host);
    came_in(LOCKSTEP_STATE);
    poll_and_set_out(rip, rsp);
}

/* Does the host's return address stand behind the rewritten form of a call that returns to the guest address rip? */
static bool
returns_to(uint64_t host, uint64_t rip)
{
    const struct direct_unit *u = platform_in_direct_text(host) ? direct_unit_at(host) : NULL;
    struct direct_insn insn;

    return u && direct_insn_of_host(u, host - 1, &insn) && insn.guest + insn.guest_size == rip;
}

/* Does one instruction that rewritten code leaves to the evaluator, if it is one of those that programs use most and
 * that are one helper each. That saves translating it, which every process would have to do anew. False: it is none of
 * them. */
static bool
help(void)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t image_base, v;
    size_t left = 0;
    const uint8_t *bytes = run_fetch(NULL, cpu->rip, &left, &image_base);
    struct x86_insn insn;

    if (!bytes || stress_evaluate || x86_decode(bytes, left, cpu->rip, &insn) <= 0)
        return false;
    switch (insn.op) {
    case X86_OP_CPUID:
        v = helper_cpuid((uint32_t)cpu->gpr[X86_RAX], (uint32_t)cpu->gpr[X86_RCX]);
        cpu->gpr[X86_RBX] = v >> 32;
        cpu->gpr[X86_RCX] = (uint32_t)cpu->tmp[0];
        cpu->gpr[X86_RDX] = cpu->tmp[0] >> 32;
        break;
    case X86_OP_RDTSC:
        v = helper_rdtsc();
        cpu->gpr[X86_RDX] = v >> 32;
        break;
    case X86_OP_XGETBV:
        v = helper_xgetbv((uint32_t)cpu->gpr[X86_RCX], cpu->rip);
        cpu->gpr[X86_RDX] = v >> 32;
        break;
    default: return false;
    }
    cpu->gpr[X86_RAX] = (uint32_t)v;
    cpu->rip += insn.length;
    return true;
}

/* Finds where rewritten code goes on from the guest's rip, evaluating until there is an entry. Returns the host
 * address; or 0 if the guest has returned to where *top leads, so that the host's return address can be used. Whatever
 * makes host addresses invalid leaves to the dispatcher instead. */
static uint64_t
go_on(uint64_t rflags, const uint64_t *top, bool evaluate)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct task *t = current_task();
    uint64_t host = 0;
    bool evaluated = false, polled = false;

    platform_enter_kernel();
    take_flags(rflags);
    if (evaluate)
        end_lockstep(LOCKSTEP_AT);
    else if (platform_direct_steps)
        platform_leave();
    for (;;) {
        if (evaluate && !help()) {
            t->evaluate_next = false;
            run_evaluate();
            evaluated = true;
            if (signal_work(t))
                signal_deliver(-1);
        }
        if (t->process->mm->code_generation != code_outside || (stress_unwind && evaluated) || stress_evaluate)
            platform_leave();
        host = direct_entry(cpu->rip);
        evaluate = !host;
        if (!host) {
            end_lockstep(LOCKSTEP_STATE);
            continue;
        }
        if (polled)
            set_out_again();
        else if (!may_set_out())
            poll_edge();
        if (platform_mode == PLATFORM_NATIVE)
            break;
        polled = true;
    }
    cpu->tmp[0] = give_flags();
    return evaluated && returns_to(*top, cpu->rip) ? 0 : host;
}

uint64_t
direct_jump_c(uint64_t rflags, const uint64_t *top)
{
    return go_on(rflags, top, false);
}

uint64_t
direct_evaluate_c(uint64_t rflags, const uint64_t *top)
{
    return go_on(rflags, top, true);
}

/* --- faults --- */

static bool
is_string(const struct x86_insn *insn)
{
    return insn->op == X86_OP_MOVS || insn->op == X86_OP_CMPS || insn->op == X86_OP_STOS || insn->op == X86_OP_LODS ||
           insn->op == X86_OP_SCAS;
}

/* Takes the upper halves of the YMM registers from the host's signal frame. It has the standard format of XSAVE, in
 * which the AVX component lies where the guest's does on every processor (SDM vol. 1, 13.4). Without the component's
 * bit the halves are zero. */
static void
take_ymm_high(struct x86_cpu *cpu, const struct x86_xsave *a)
{
    if (a->components & X86_XSAVE_AVX)
        memcpy(cpu->ymm_high, a->ymm_high, sizeof cpu->ymm_high);
    else
        memset(cpu->ymm_high, 0, sizeof cpu->ymm_high);
}

/* Takes the guest's state from the host's signal frame into x86_cpu_tls. Missing are the x87 state, which *fx has, and
 * what the sequence of host instructions that was interrupted has moved elsewhere. */
static void
take_context(const struct platform_fault *f, struct x86_fxsave *fx)
{
    const ucontext_t *uc = f->context;
    struct x86_cpu *cpu = x86_this_cpu();

    for (unsigned i = 0; i < 16; i++)
        if (i != X86_RSP && i != X86_R10 && i != X86_R11)
            cpu->gpr[i] = f->host[i];
    cpu->gpr[X86_RSP] = f->host[X86_R11];
    take_flags((uint64_t)uc->uc_mcontext.gregs[REG_EFL]);
    memcpy(fx, uc->uc_mcontext.fpregs, sizeof *fx);
    memcpy(cpu->xmm, fx->xmm, sizeof cpu->xmm);
    cpu->mxcsr = fx->mxcsr;
    if (x86_level() == X86_LEVEL_V3)
        take_ymm_high(cpu, (const struct x86_xsave *)(const void *)uc->uc_mcontext.fpregs);
}

/* Between two instructions the guest's state is in its registers. Within a string instruction, which may take long, the
 * state is known as well, but the host's rip is in the middle of the code for it, so that the guest must leave with its
 * registers put back. In lockstep it goes on instead, because the evaluator does a string instruction as a whole.
 * Anywhere else the host is in the few host instructions that do one of the guest's, and steps to their end. */
enum direct_interrupted
direct_interrupted(const struct platform_fault *f)
{
    const struct direct_unit *u = direct_unit_at(f->host_pc);
    struct direct_insn insn;
    struct x86_insn at;
    struct x86_fxsave fx;

    if (!u || !direct_insn_of_host(u, f->host_pc, &insn) || insn.in_run)
        return DIRECT_STEPS;
    if (insn.host == f->host_pc)
        return DIRECT_POLLS;
    if (x86_decode((const uint8_t *)(uintptr_t)f->host_pc, X86_MAX_LENGTH, f->host_pc, &at) <= 0 || !is_string(&at))
        return DIRECT_STEPS;
    if (lockstep_on)
        return DIRECT_GOES_ON;
    take_context(f, &fx);
    x86_this_cpu()->rip = insn.guest;
    direct_return_registers(x86_this_cpu(), insn.host, f->host_pc);
    return DIRECT_LEAVES;
}

bool
direct_state_between(const struct platform_fault *f, struct x86_cpu *out)
{
    const struct direct_unit *u = direct_unit_at(f->host_pc);
    struct direct_insn insn;
    struct x86_fxsave fx;
    struct x86_cpu kept;

    if (!u || !direct_insn_of_host(u, f->host_pc, &insn) || insn.host != f->host_pc || insn.in_run)
        return false;
    kept = *x86_this_cpu();
    take_context(f, &fx);
    *out = *x86_this_cpu();
    *x86_this_cpu() = kept;
    out->rip = insn.guest;
    x86_fxsave_get_x87(&fx, &out->x87);
    return true;
}

bool
direct_fault_state(const struct platform_fault *f)
{
    const struct direct_unit *u = platform_in_direct_text(f->host_pc) ? direct_unit_at(f->host_pc) : NULL;
    struct x86_fxsave fx;
    struct direct_insn insn;

    if (!u || !direct_insn_of_host(u, f->host_pc, &insn))
        return false;
    take_context(f, &fx);
    x86_this_cpu()->rip = insn.guest;
    x87_from_fxsave(&fx);
    direct_return_registers(x86_this_cpu(), insn.host, f->host_pc);
    if (insn.in_run)
        direct_finish_run(x86_this_cpu(), run_fetch, NULL, insn.run_start, insn.guest);
    return true;
}
