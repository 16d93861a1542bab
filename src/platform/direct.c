/* Rewritten guest code and the host's signals; the cache of its addresses. */
#include "platform/direct.h"

#include <elf.h>
#include <signal.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include "platform/assembly_internal.h"
#include "platform/fiber_internal.h"
#include "platform/platform.h"
#include "platform/sanitizer.h"
#include "platform/thread.h"
#include "x86/helpers.h"

/* registers.inc has these offsets. */
_Static_assert(offsetof(struct x86_cpu, gpr) == 0 && offsetof(struct x86_cpu, rip) == 128 &&
                   offsetof(struct x86_cpu, tmp) == 160 && offsetof(struct x86_cpu, xmm) == 224 &&
                   offsetof(struct x86_cpu, ymm_high) == 480,
               "struct x86_cpu");

/* The linker's, of direct/'s sections; absent when there is no such code. */
extern const uint8_t __start_ingot_direct_text[] __attribute__((weak)),
    __stop_ingot_direct_text[] __attribute__((weak));

enum {
    TRAP_FLAG = 1 << 8,
    DIRECTION_FLAG = 1 << 10,
    PUSHED = 8,
    MOST_STEPS = 1 << 14 /* far more than one of the guest's instructions takes */
};

_Static_assert(sizeof(struct direct_cache_entry) == 16 && offsetof(struct platform_thread, cache) == 0 &&
                   DIRECT_CACHE_SIZE == 1 << 12,
               "direct.S");

/* Other threads may change that of a running fiber. */
__thread uint64_t platform_direct_generation_tls __attribute__((visibility("hidden")));
FIBER_VARIABLE(platform_direct_generation_tls);

bool
platform_has_direct(void)
{
    return __start_ingot_direct_text != NULL;
}

bool
platform_in_direct_text(uint64_t host)
{
    return __start_ingot_direct_text && host >= (uint64_t)(uintptr_t)__start_ingot_direct_text &&
           host < (uint64_t)(uintptr_t)__stop_ingot_direct_text;
}

uint64_t
platform_direct_loaded_at(uint64_t file_offset)
{
    const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR); /* of a static executable at a fixed place */
    uint64_t text = (uint64_t)(uintptr_t)__start_ingot_direct_text;

    for (unsigned long i = 0; ph && i < getauxval(AT_PHNUM); i++)
        if (ph[i].p_type == PT_LOAD && text - ph[i].p_vaddr < ph[i].p_filesz)
            return file_offset - ph[i].p_offset < ph[i].p_filesz ? file_offset - ph[i].p_offset + ph[i].p_vaddr : 0;
    return 0;
}

/* --- the cache --- */

void
platform_direct_generation(struct platform_fiber *f, uint64_t generation)
{
    struct platform_thread *t = platform_thread_tls;

    if (!t->cache_ready && platform_has_direct())
        platform_populate(t->cache, sizeof t->cache);
    t->cache_ready = true;
    __atomic_store_n((uint64_t *)platform_fiber_variable(f, &platform_direct_generation_tls), generation,
                     __ATOMIC_RELAXED);
}

static struct direct_cache_entry *
entry_of(uint64_t guest)
{
    return &platform_thread_tls->cache[guest % DIRECT_CACHE_SIZE];
}

void
platform_direct_remember(uint64_t guest, uint64_t host)
{
    if (guest <= UINT32_MAX && host <= UINT32_MAX)
        *entry_of(guest) =
            (struct direct_cache_entry){(uint32_t)guest, (uint32_t)host, -platform_direct_generation_tls};
}

uint64_t
platform_direct_recall(uint64_t guest)
{
    const struct direct_cache_entry *e = entry_of(guest);

    return e->guest == guest && e->minus_generation == -platform_direct_generation_tls ? e->host : 0;
}

/* --- signals --- */

/* The host's stack is a cache of the guest's. */
static uint64_t
throw_stack_away(void)
{
    uint64_t sp = platform_frame() - PUSHED;

    *(uint64_t *)(uintptr_t)sp = (uint64_t)(uintptr_t)direct_base;
    return sp;
}

static bool
in_stubs(uint64_t pc)
{
    return pc >= (uint64_t)(uintptr_t)platform_direct_stubs && pc < (uint64_t)(uintptr_t)platform_direct_stubs_end;
}

static void
go_to_poll(greg_t *reg)
{
    uint64_t sp = (uint64_t)reg[REG_RSP];

    if (sp - PUSHED < platform_fiber_bottom())
        sp = throw_stack_away();
    sp -= PUSHED;
    *(uint64_t *)(uintptr_t)sp = (uint64_t)reg[REG_RIP];
    reg[REG_RSP] = (greg_t)sp;
    reg[REG_RIP] = (greg_t)(uintptr_t)direct_poll;
}

/* Is the vkernel on its way out to guest code, and has looked at platform_ticked for the last time? Whether it has just
 * come in instead need not be told apart. */
static bool
at_the_border(void)
{
    return platform_threads == 1 || platform_thread_tls->outside;
}

/* ask: of an address in rewritten text. In the run time's entries, whose state nobody knows, the context is stopped
 * again behind the next of the host's instructions: there are few. */
static void
interrupt(void *context, enum direct_interrupted (*ask)(const struct platform_fault *f))
{
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t pc = (uint64_t)reg[REG_RIP];
    enum direct_interrupted what = in_stubs(pc) ? DIRECT_STEPS : DIRECT_GOES_ON;
    bool stepping = reg[REG_EFL] & TRAP_FLAG;

    reg[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    /* The vkernel looks at platform_ticked once it has set PLATFORM_NATIVE, before it goes back. */
    if (platform_mode != PLATFORM_NATIVE || !platform_has_direct())
        return;
    if (what == DIRECT_GOES_ON && !platform_in_direct_text(pc) && !platform_direct_steps && at_the_border())
        platform_tick_again();
    if (platform_in_direct_text(pc) && ask) {
        struct platform_fault f;

        platform_fault_take(&f, context);
        what = ask(&f);
    }
    switch (what) {
    case DIRECT_POLLS: go_to_poll(reg); break;
    case DIRECT_LEAVES:
        reg[REG_RIP] = (greg_t)(uintptr_t)platform_leave;
        reg[REG_EFL] &= ~(greg_t)DIRECTION_FLAG; /* the guest's, which C code must not have */
        break;
    case DIRECT_STEPS:
        reg[REG_EFL] |= TRAP_FLAG;
        platform_thread_tls->steps = stepping ? platform_thread_tls->steps + 1 : 0; /* since the trap flag was set */
        break;
    case DIRECT_GOES_ON: break;
    }
}

bool platform_direct_steps;

void
platform_direct_interrupt(void *context)
{
    if (!platform_direct_steps)
        interrupt(context, direct_interrupted);
}

/* A unit that the verifier accepts, but that no rewriter made, may run where none of the guest's instructions begins,
 * and stay there. */
void
platform_direct_step(void *context)
{
    const ucontext_t *uc = context;
    struct platform_fault f;

    interrupt(context, platform_direct_steps ? direct_stepped : direct_interrupted);
    if (platform_direct_steps || !(uc->uc_mcontext.gregs[REG_EFL] & TRAP_FLAG) ||
        platform_thread_tls->steps < MOST_STEPS || !platform_on_fault)
        return;
    platform_come_in();
    platform_fault_take(&f, context);
    f.sig = SIGKILL;
    platform_on_fault(&f);
}

bool
platform_direct_stack_full(uint64_t address, void *context)
{
    ucontext_t *uc = context;
    uint64_t bottom = platform_fiber_bottom();

    if (address >= bottom || bottom - address > (uint64_t)PUSHED)
        return false;
    uc->uc_mcontext.gregs[REG_RSP] = (greg_t)throw_stack_away();
    return true;
}
