/* MXCSR between the guest's state and the host's register. Guest code of every kind computes with the host's SSE unit,
 * so the guest's rounding and exception masks are in the host's MXCSR while it runs, and the exception flags that its
 * arithmetic sets gather there. */
#include <xmmintrin.h>

#include "platform/direct.h"
#include "platform/platform.h"
#include "vkernel/cpu/cpu.h"
#include "x86/helpers.h"

void
x86_apply_mxcsr(void)
{
    _mm_setcsr(x86_cpu_tls.mxcsr & 0xffff);
}

void
x86_collect_mxcsr(void)
{
    /* the guest's own LDMXCSR changed the host's register, so all of its bits are the guest's */
    if (platform_has_direct())
        x86_cpu_tls.mxcsr = _mm_getcsr();
    else
        x86_cpu_tls.mxcsr |= _mm_getcsr() & 0x3f;
}
