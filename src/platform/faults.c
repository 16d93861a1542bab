/* Host faults: those of guest code become the guest's signals; those of the vkernel's copies to and from guest memory
 * (of a mapped file that became shorter) end the copy; any other is a bug of ours, and ends the process with a line. */
#include "platform/platform.h"
#include "platform/sanitizer.h"
#include "platform/assembly_internal.h"
#include "platform/direct.h"
#include "platform/fiber_internal.h"
#include "platform/thread_internal.h"

#include "base/rare.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE_FAULT_WRITE = 2 };        /* of the processor's error code */
enum { ENHANCED_REP_MOVSB = 1 << 9 }; /* CPUID 7, EBX */

static const int register_order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                       REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

__thread volatile enum platform_mode platform_mode;
FIBER_VARIABLE(platform_mode);

/* From so many bytes on platform_copy uses the string instruction; the first so large copy asks whether the processor
 * is good at it. Not at the start: CPUID takes 5 µs in a virtual machine. */
uint64_t platform_copy_string_from = 16 << 10;
uint8_t platform_copy_asked;

void
platform_copy_ask(void)
{
    unsigned a, b, c, d;
    bool good = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & ENHANCED_REP_MOVSB);

    platform_copy_string_from = good ? 1024 : UINT64_MAX;
    platform_copy_asked = 1;
}

static char *
hex(char *p, uint64_t v)
{
    for (int i = 60; i >= 0; i -= 4)
        *p++ = "0123456789abcdef"[v >> i & 15];
    return p;
}

static _Noreturn void
die_of(int sig, const siginfo_t *info, const ucontext_t *uc)
{
    static const char bug[] = "ingot: internal fault: signal ";
    char text[160], *p = text;

    memcpy(p, bug, sizeof bug - 1);
    p += sizeof bug - 1;
    *p++ = (char)('0' + sig / 10);
    *p++ = (char)('0' + sig % 10);
    memcpy(p, " address ", 9);
    p = hex(p + 9, (uint64_t)(uintptr_t)info->si_addr);
    memcpy(p, " at ", 4);
    p = hex(p + 4, (uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
    memcpy(p, " mode ", 6);
    p += 6;
    *p++ = (char)('0' + (int)platform_mode);
    *p++ = '\n';
    if (write(2, text, (size_t)(p - text)) < 0)
        _exit(125);
    _exit(125);
}

/* --- going back --- */

/* What rt_sigreturn reads: the context at the stack pointer (arch/x86/kernel/signal_64.c), the floating-point state
 * where that points. */
/* clang-format off */
enum { RED_ZONE = 128, FXSAVE_SIZE = 512, SOFTWARE_BYTES = 464, FP_XSTATE_MAGIC = 0x46505853, MAX_FP_STATE = 16 << 10,
       DISPATCHER = 4096 };
/* clang-format on */

static size_t
fp_state_size(const uint8_t *fp)
{
    uint32_t magic, size;

    memcpy(&magic, fp + SOFTWARE_BYTES, sizeof magic);
    memcpy(&size, fp + SOFTWARE_BYTES + 4, sizeof size);
    return magic == FP_XSTATE_MAGIC && size > FXSAVE_SIZE ? size : FXSAVE_SIZE;
}

bool
platform_fault_divert(const struct platform_fault *f, const struct platform_fiber *fiber, void (*run)(void *saved))
{
    ucontext_t *uc = f->context, *saved;
    size_t fp_size = fp_state_size((const uint8_t *)uc->uc_mcontext.fpregs);
    uint64_t sp = f->host[4 /* rsp */], fp_at, at;

    if (fp_size > MAX_FP_STATE || sp < platform_fiber_floor(fiber) + fp_size + sizeof *uc + RED_ZONE + DISPATCHER ||
        sp > platform_fiber_top(fiber))
        return false;
    fp_at = (sp - RED_ZONE - fp_size) & ~63ull;
    at = (fp_at - sizeof *uc) & ~15ull;
    saved = (ucontext_t *)(uintptr_t)at;
    memcpy((void *)(uintptr_t)fp_at, uc->uc_mcontext.fpregs, fp_size);
    memcpy(saved, uc, sizeof *uc);
    saved->uc_mcontext.fpregs = (void *)(uintptr_t)fp_at;
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)run;
    uc->uc_mcontext.gregs[REG_RDI] = (greg_t)at;
    uc->uc_mcontext.gregs[REG_RSP] = (greg_t)(at - 8); /* as after a call */
    uc->uc_mcontext.gregs[REG_EFL] &= ~0x400;          /* DF */
    return true;
}

_Noreturn void
platform_fault_retry(void *saved, uint32_t mxcsr)
{
    ucontext_t *uc = saved;

    uc->uc_mcontext.fpregs->mxcsr = mxcsr;
    platform_sigreturn(saved);
}

/* In something that may fault: it goes on where the table says. `inside`: the fault is one of the guest's memory. */
static bool
fix_up(ucontext_t *uc, bool inside)
{
    uint64_t pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];

    for (const struct platform_fixup *f = platform_fixups; f < platform_fixups_end; f++) {
        if (pc >= f->from && pc < f->to && (inside || f->any)) {
            uc->uc_mcontext.gregs[REG_RIP] = (greg_t)f->resume;
            return true;
        }
    }
    return false;
}

void
platform_fault_take(struct platform_fault *f, void *context)
{
    const ucontext_t *uc = context;
    const greg_t *reg = uc->uc_mcontext.gregs;

    *f = (struct platform_fault){.context = context,
                                 .host_pc = (uint64_t)reg[REG_RIP],
                                 .vector = (unsigned)reg[REG_TRAPNO],
                                 .write = (reg[REG_ERR] & PAGE_FAULT_WRITE) != 0};
    for (unsigned i = 0; i < sizeof register_order / sizeof *register_order; i++)
        f->host[i] = (uint64_t)reg[register_order[i]];
}

static bool
may_be_done_again(uint64_t address, bool write)
{
    return (platform_on_shared_fault && platform_on_shared_fault(address, write)) ||
           (write && platform_on_write_fault && platform_on_write_fault(address));
}

/* Did the access fault because another thread was just changing the mapping, or had already done what this one waited
 * for? It is only asked where nobody could do anything for the access. */
static bool
has_changed(uint64_t address, bool write, uint64_t pc)
{
    enum { MOST = 1000 }; /* in a row at one place: others may change mappings all the time */
    struct platform_thread *t = platform_thread_tls;

    if (platform_threads == 1 || t->mappings_seen == platform_mapping_changes || !platform_fault_allowed ||
        !platform_fault_allowed(address, write))
        return false;
    t->mappings_seen = platform_mapping_changes;
    t->retries = pc == t->retried_pc ? t->retries + 1 : 0; /* and to 0 whenever the vkernel is left by another way */
    t->retried_pc = pc;
    return t->retries < MOST;
}

static void
handle(int sig, siginfo_t *info, void *context, enum platform_mode mode)
{
    const greg_t *reg = ((const ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr, pc = (uint64_t)reg[REG_RIP];
    bool memory = (sig == SIGSEGV || sig == SIGBUS) && info->si_code > 0;
    bool protection = sig == SIGSEGV && info->si_code == SI_KERNEL; /* #GP: no address */
    bool write = reg[REG_ERR] & PAGE_FAULT_WRITE, inside, direct;

    if (memory && !protection && may_be_done_again(address, write))
        return;
    platform_mode = mode;
    inside = memory && !protection && platform_fault_inside && platform_fault_inside(address);
    if (inside && mode != PLATFORM_KERNEL && has_changed(address, write, pc))
        return;
    if (fix_up(context, inside))
        return;
    direct = mode == PLATFORM_NATIVE && platform_in_direct_text(pc);
    if (direct && sig == SIGSEGV && !protection && platform_direct_stack_full(address, context))
        return;
    if (mode != PLATFORM_KERNEL && platform_on_fault &&
        (inside || protection || sig == SIGFPE || (direct && sig == SIGILL))) {
        struct platform_fault f;

        platform_fault_take(&f, context);
        f.sig = sig;
        f.code = info->si_code;
        f.address = address;
        platform_on_fault(&f);
        return;
    }
    die_of(sig, info, context);
}

/* Guest code runs without the lock, and everything that handle() looks at is its holder's, so the lock
 * is taken first. What is done for the fault counts as done by the vkernel, so that a fault of its own is taken for
 * one of the vkernel's. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
    enum platform_mode mode = platform_mode;
    bool outside = platform_thread_tls->outside;

    if (mode != PLATFORM_KERNEL)
        platform_enter_kernel();
    handle(sig, info, context, mode);
    if (mode == PLATFORM_KERNEL)
        return;
    platform_mode = mode;
    if (outside)
        platform_go_out();
    if (platform_ticked) /* while it was in here */
        platform_direct_interrupt(context);
}

/* The one step that rewritten code was to make. */
static void
on_step(int sig, siginfo_t *info, void *context)
{
    if (info->si_code != TRAP_TRACE)
        die_of(sig, info, context);
    platform_direct_step(context);
}

void
platform_signal_stack(void)
{
    enum { SIZE = 64 << 10 };
    static char first[SIZE] __attribute__((aligned(16))) RARE;
    stack_t ss = {.ss_sp = first, .ss_size = SIZE};

    if (platform_thread_tls->number != 0) {
        ss.ss_sp = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (ss.ss_sp == MAP_FAILED)
            platform_die("out of memory");
    }
    sigaltstack(&ss, NULL);
}

void
platform_faults_init(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    platform_signal_stack();
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sanitizer_sigaction(signals[i], &sa, NULL);
    sa.sa_sigaction = on_step;
    sanitizer_sigaction(SIGTRAP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* the host's limit of file sizes: a write of ours that fails is no reason to end */
}

/* --- what may fault --- */

/* It can be seen: a private page of a file that was written keeps its bytes when the file changes. */
void
platform_populate(void *at, size_t size)
{
    if (madvise(at, size, 23 /* MADV_POPULATE_WRITE */) == 0 || errno != EINVAL)
        return;
    /* Before Linux 5.14: a locked instruction that leaves the word as it is writes it, and loses no
     * write of another thread. */
    for (size_t done = 0; done < size; done += PAGE_SIZE)
        platform_exchange((uint32_t *)(void *)((char *)at + done), &(uint32_t){0}, 0);
}
