/* Running rewritten code: finding entries, and what comes back from it through platform/direct.S.
 *
 * The host stack holds only return addresses, and each is checked by whoever is returned to. So nothing of it has a meaning here:
 * whatever the vkernel does below it, the guest goes on from its state, at any instruction, with the stack as it is or with
 * none. */
#include "vkernel/proc/direct.h"

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "platform/direct.h"
#include "platform/platform.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/direct_map.h"
#include "vkernel/proc/proc_internal.h"
#include "x86/address_space.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"
#include "x86/x86.h"

enum { RFLAGS_STATUS = 0x8d5, RFLAGS_DF = 0x400, RFLAGS_RUN = RFLAGS_STATUS | RFLAGS_DF, RFLAGS_FIXED = 2 };
enum { RT_SIGRETURN = 15 };

/* --- state --- */

static void
take_flags(uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();

    x86_cpu_set_rflags(cpu, (rflags & RFLAGS_RUN) | cpu->id_flag);
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

uint64_t
direct_entry(uint64_t guest)
{
    struct mm *mm = sched_current->process->mm;
    uint64_t host = platform_direct_recall(guest);
    const struct direct_unit *u;
    const struct vma *v;
    struct direct_insn insn;

    if (host)
        return host;
    v = guest < GUEST_IMAGE_END ? mm_at(mm, guest) : NULL;
    if (!v || !(v->prot & PROT_EXEC) || !v->code || !mm_code_bound(mm, v))
        return 0;
    u = direct_unit_of(v->code);
    if (!u || !direct_insn_of_guest(u, guest, &insn) || insn.guest != guest || insn.in_run)
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

bool
direct_is_clean(uint64_t host)
{
    const struct direct_unit *u = direct_unit_at(host);
    struct direct_insn insn;

    return u && direct_insn_of_host(u, host, &insn) && insn.host == host && !insn.in_run;
}

/* --- running --- */

/* The last thing before rewritten code goes on. False: there is something else to do first. */
static bool
set_out(void)
{
    x87_in();
    x86_this_cpu()->memory = (uint64_t)(uintptr_t)x86_memory_tls;
    platform_mode = PLATFORM_COMPILED; /* from here on the tick leads here again */
    if (!platform_ticked)
        return true;
    platform_mode = PLATFORM_KERNEL;
    return false;
}

void
direct_run(uint64_t host)
{
    if (set_out())
        direct_enter(host, give_flags());
    else
        poll_edge();
    platform_mode = PLATFORM_KERNEL;
}

/* An edge is over. Does the guest go on at the same place, in the same code? */
static bool
stayed(uint64_t rip, uint64_t rsp, uint64_t code)
{
    const struct x86_cpu *cpu = x86_this_cpu();

    return cpu->rip == rip && cpu->gpr[X86_RSP] == rsp && sched_current->process->mm->code_generation == code && !stress_unwind &&
           !stress_evaluate;
}

void
direct_syscall_c(uint64_t next, uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t rsp = cpu->gpr[X86_RSP], code = sched_current->process->mm->code_generation;
    int64_t nr = (int32_t)cpu->gpr[X86_RAX];

    platform_mode = PLATFORM_KERNEL;
    take_flags(rflags);
    syscall_edge();
    while (stayed(next, rsp, code) && nr != RT_SIGRETURN) {
        if (set_out())
            return;
        poll_edge();
    }
    platform_leave();
}

void
direct_poll_c(uint64_t host, uint64_t rflags)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t rsp = cpu->gpr[X86_RSP], code = sched_current->process->mm->code_generation, rip;

    platform_mode = PLATFORM_KERNEL;
    take_flags(rflags);
    cpu->rip = rip = direct_guest_address(host);
    do {
        poll_edge();
        if (!stayed(rip, rsp, code))
            platform_leave();
    } while (!set_out());
}

/* Is the host's return address behind a call whose return address of the guest's is rip? */
static bool
returns_to(uint64_t host, uint64_t rip)
{
    const struct direct_unit *u = platform_in_direct_text(host) ? direct_unit_at(host) : NULL;
    struct direct_insn insn;

    return u && direct_insn_of_host(u, host - 1, &insn) && insn.guest + insn.guest_size == rip;
}

static uint64_t
go_on(uint64_t rflags, const uint64_t *top, bool evaluate)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct task *t = sched_current;
    uint64_t code = t->process->mm->code_generation, host = 0;
    bool evaluated = evaluate;

    platform_mode = PLATFORM_KERNEL;
    take_flags(rflags);
    for (;;) {
        if (evaluate) {
            t->evaluate_next = false;
            run_evaluate();
            evaluated = true;
            if (signal_work(t))
                signal_deliver(-1);
        }
        if (t->process->mm->code_generation != code || (stress_unwind && evaluated) || stress_evaluate)
            platform_leave();
        host = direct_entry(cpu->rip);
        evaluate = !host;
        if (host && set_out())
            break;
        if (host)
            poll_edge();
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

enum { DISP_BORROWED = -56 }; /* of x86_cpu_tls.borrowed from the end of the thread's block, where the host's FS base is */
_Static_assert(sizeof(struct x86_cpu) - offsetof(struct x86_cpu, borrowed) == -DISP_BORROWED, "struct x86_cpu");

/* Which of the borrowed words a memory operand is; -1: none. */
static int
borrowed_word(const struct x86_operand *o)
{
    int64_t word;

    if (o->kind != X86_OPD_MEM || o->seg != X86_SEG_FS || o->base != X86_BASE_NONE || o->index != X86_BASE_NONE)
        return -1;
    word = (int64_t)(int32_t)o->disp - DISP_BORROWED;
    return word == 0 ? 0 : word == 8 ? 1 : -1;
}

/* Of a string instruction: RSI and RDI are host addresses between two LEA (direct/strings.c). */
static void
return_string_register(const struct x86_insn *insn)
{
    struct x86_cpu *cpu = x86_this_cpu();
    const struct x86_operand *o = &insn->operand[1];

    if (o->index == X86_R10 && o->base == insn->operand[0].reg && (o->base == X86_RSI || o->base == X86_RDI))
        cpu->gpr[o->base] += o->disp ? cpu->memory : -cpu->memory;
}

/* Puts back the registers that the instruction's code has kept in `borrowed`, or made host addresses, before it came to pc. */
static void
return_borrowed(uint64_t at, uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    int holder[2] = {-1, -1};

    while (at < pc) {
        struct x86_insn insn;
        int length = x86_decode((const uint8_t *)(uintptr_t)at, X86_MAX_LENGTH, at, &insn), word;

        if (length <= 0)
            return;
        at += (unsigned)length;
        if (insn.op == X86_OP_LEA)
            return_string_register(&insn);
        if (insn.op != X86_OP_MOV || insn.operand_count != 2)
            continue;
        if ((word = borrowed_word(&insn.operand[0])) >= 0 && insn.operand[1].kind == X86_OPD_REG)
            holder[word] = insn.operand[1].reg;
        if ((word = borrowed_word(&insn.operand[1])) >= 0)
            holder[word] = -1;
    }
    for (unsigned i = 0; i < 2; i++)
        if (holder[i] >= 0)
            cpu->gpr[holder[i] == X86_R11 ? X86_RSP : holder[i]] = cpu->borrowed[i];
}

static bool
is_string(const struct x86_insn *insn)
{
    return insn->op == X86_OP_MOVS || insn->op == X86_OP_CMPS || insn->op == X86_OP_STOS || insn->op == X86_OP_LODS || insn->op == X86_OP_SCAS;
}

/* In a run r11 changes at its end: what the pushes and pops before the instruction did to rsp. */
static void
finish_run(uint64_t from, uint64_t to)
{
    struct x86_cpu *cpu = x86_this_cpu();

    while (from < to) {
        uint64_t image_base;
        size_t left = 0;
        const uint8_t *bytes = run_fetch(NULL, from, &left, &image_base);
        struct x86_insn insn;
        int length = bytes ? x86_decode(bytes, left, from, &insn) : 0;

        if (length <= 0)
            return;
        if (insn.op == X86_OP_PUSH)
            cpu->gpr[X86_RSP] -= insn.opsize;
        else if (insn.op == X86_OP_POP)
            cpu->gpr[X86_RSP] += insn.opsize;
        from += (unsigned)length;
    }
}

/* A string instruction has host addresses in RSI and RDI while it runs, and is done with some elements. False: there is none at pc. */
static bool
return_string(uint64_t pc)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct x86_insn insn;

    if (x86_decode((const uint8_t *)(uintptr_t)pc, X86_MAX_LENGTH, pc, &insn) <= 0 || !is_string(&insn))
        return false;
    if (insn.op == X86_OP_MOVS || insn.op == X86_OP_CMPS || insn.op == X86_OP_LODS)
        cpu->gpr[X86_RSI] -= cpu->memory;
    if (insn.op != X86_OP_LODS)
        cpu->gpr[X86_RDI] -= cpu->memory;
    return true;
}

/* All but the x87 state and what sequences of the host's instructions have moved. */
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
}

bool
direct_within_string(const struct platform_fault *f)
{
    const struct direct_unit *u = direct_unit_at(f->host_pc);
    struct direct_insn insn;
    struct x86_fxsave fx;

    if (!u || !direct_insn_of_host(u, f->host_pc, &insn) || insn.host == f->host_pc || insn.in_run)
        return false;
    take_context(f, &fx);
    x86_this_cpu()->rip = insn.guest;
    return return_string(f->host_pc);
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
    return_string(f->host_pc);
    return_borrowed(insn.host, f->host_pc);
    if (insn.in_run)
        finish_run(insn.run_start, insn.guest);
    return true;
}
