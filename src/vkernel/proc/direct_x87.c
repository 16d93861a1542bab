/* Moving the x87 and MMX state between the host's registers, where rewritten code has it (docs/direct.md), and x86_cpu_tls. */
#include <string.h>
#include <xmmintrin.h>

#include "platform/platform.h"
#include "vkernel/proc/direct.h"
#include "vkernel/proc/proc_internal.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"

/* Both of the worker's: is the state in the host's registers; are these as after FNINIT with all registers 0. */
static bool in_host, pristine = true;

static const struct x86_x87 initial = {.control = 0x037f};

static bool
is_initial(const struct x86_x87 *f)
{
    return memcmp(f, &initial, sizeof initial) == 0;
}

void
x87_from_fxsave(const struct x86_fxsave *a)
{
    struct x86_x87 *f = &x86_this_cpu()->x87;

    x86_fxsave_get_x87(a, f);
    f->last_ip = direct_guest_address(f->last_ip);
    in_host = pristine = false;
}

static void
save(void)
{
    struct x86_fxsave a = {0}; /* AMD's do not write the addresses and the opcode without an exception pending */

    __asm__ volatile("fxsave64 %0" : "+m"(a));
    x87_from_fxsave(&a);
    pristine = is_initial(&x86_this_cpu()->x87);
    if (!pristine) /* the C library's and the evaluator's long double needs an empty stack and all bits of precision */
        __asm__ volatile("fninit");
}

void
x87_out(void)
{
    if (in_host)
        save();
}

static void
load(void)
{
    struct x86_fxsave a = {0};

    x86_fxsave_put_x87(&a, &x86_this_cpu()->x87);
    a.mxcsr = _mm_getcsr();
    pristine = false;
    __asm__ volatile("fxrstor64 %0" ::"m"(a)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15");
}

void
x87_in(void)
{
    if (in_host)
        return;
    in_host = true;
    if (!pristine || !is_initial(&x86_this_cpu()->x87))
        load();
}

void
x87_replaced(void)
{
    /* What is in the host's registers may be anybody's: the next x87_in() loads them. */
    if (in_host) {
        pristine = false;
        __asm__ volatile("fninit");
    }
    in_host = false;
}
