/* Moving the x87 and MMX state between the host's registers, where rewritten code has it (docs/direct.md), and
 * x86_cpu_tls. */
#include <string.h>
#include <xmmintrin.h>

#include "base/check.h"
#include "platform/platform.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/worker/worker.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"

static const struct x86_x87 initial = {.control = 0x037f};

static bool
is_initial(const struct x86_x87 *f)
{
    return memcmp(f, &initial, sizeof initial) == 0;
}

/* --- the processor's own knowledge of it: most programs never use it --- */

enum { X87_COMPONENT = 1 };

/* A processor that does not say is asked once. */
static uint32_t
in_use(void)
{
    static bool silent;
    uint32_t answer = silent ? PLATFORM_XINUSE_UNKNOWN : platform_xinuse();

    silent = answer == PLATFORM_XINUSE_UNKNOWN;
    return answer;
}

/* Makes the unit initial, with all its registers. A processor that tells whether the unit is in use goes on saying yes
 * after FNINIT, so that each switch would save an initial state; after this it says no. False: the processor does not
 * tell, and nothing was done. */
static bool
make_initial(void)
{
    static const struct {
        struct x86_fxsave area;
        uint64_t header[8]; /* XSTATE_BV 0: the component becomes initial */
    } nothing __attribute__((aligned(64)));

    if (in_use() == PLATFORM_XINUSE_UNKNOWN)
        return false;
    __asm__ volatile("xrstor64 %0" ::"m"(nothing), "a"(X87_COMPONENT), "d"(0));
    return true;
}

/* --- out --- */

void
x87_from_fxsave(const struct x86_fxsave *a)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;

    x86_fxsave_get_x87(a, f);
    f->last_ip = cpu_hooks.guest_address(f->last_ip);
    /* An offset in the segment, says the SDM, and so it is on AMD's; no host address must be
     * seen, whatever others do. */
    if (f->last_dp - (uint64_t)(uintptr_t)x86_memory_tls <= UINT32_MAX)
        f->last_dp -= (uint64_t)(uintptr_t)x86_memory_tls;
    f->last_dp = (uint32_t)f->last_dp;
    this_processor()->x87_in_host = false;
    this_processor()->x87_dirty = true;
}

static bool
is_initial_image(const struct x86_fxsave *a)
{
    uint64_t bits = a->status | a->tags | a->opcode | a->ip | a->dp, word;

    for (unsigned i = 0; i < 8; i++) {
        memcpy(&word, a->st[i], sizeof word);
        bits |= word;
        memcpy(&word, a->st[i] + 8, sizeof word);
        bits |= word;
    }
    return a->control == initial.control && bits == 0;
}

static void
is_out_and_clean(void)
{
    this_processor()->x87_in_host = this_processor()->x87_dirty = false;
}

static void
save(void)
{
    UNINITIALIZED struct x86_fxsave a;

    a.opcode = 0; /* AMD's do not write these three without an exception pending */
    a.ip = a.dp = 0;
    __asm__ volatile("fxsave64 %0" : "+m"(a));
    if (is_initial_image(&a)) {
        x86_this_cpu()->x87 = initial;
        make_initial();
        is_out_and_clean();
        return;
    }
    x87_from_fxsave(&a);
    /* The C library's and the evaluator's long double needs an empty stack and all bits of precision. */
    if (make_initial())
        this_processor()->x87_dirty = false;
    else
        __asm__ volatile("fninit");
}

void
x87_out(void)
{
    if (!this_processor()->x87_in_host)
        return;
    if (in_use() & X87_COMPONENT) { /* when it is clear, the registers are initial */
        save();
        return;
    }
    if (!this_processor()->x87_was_initial)
        x86_this_cpu()->x87 = initial;
    is_out_and_clean();
}

/* --- in --- */

static void
load(void)
{
    struct x86_fxsave a = {0};

    if (this_processor()->x87_was_initial && (!(in_use() & X87_COMPONENT) || make_initial())) {
        this_processor()->x87_dirty = false;
        return;
    }
    x86_fxsave_put_x87(&a, &x86_this_cpu()->x87);
    a.mxcsr = _mm_getcsr();
    __asm__ volatile("fxrstor64 %0" ::"m"(a)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15");
}

void
x87_bring_in(void)
{
    struct processor *p = this_processor();

    p->x87_in_host = true;
    p->x87_was_initial = is_initial(&x86_this_cpu()->x87);
    if (p->x87_dirty || !p->x87_was_initial)
        load();
}

void
x87_used(void)
{
    this_processor()->x87_dirty = true;
}

void
x87_replaced(void)
{
    x87_out(); /* which is cheaper than to clear the registers, when they are initial */
}
