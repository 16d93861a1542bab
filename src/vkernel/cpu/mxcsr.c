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
    if (platform_has_direct()) /* the guest's own LDMXCSR changes the host's */
        x86_cpu_tls.mxcsr = _mm_getcsr();
    else
        x86_cpu_tls.mxcsr |= _mm_getcsr() & 0x3f;
}
