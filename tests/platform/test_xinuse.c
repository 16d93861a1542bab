/* platform_xinuse on this processor, whatever it is: it agrees with CPUID, and a fault of its instruction ends it with "unknown". Run under an
 * emulator of an older processor too. */
#include <cpuid.h>
#include <stdio.h>

#include "platform/direct.h"
#include "platform/platform.h"

void platform_faults_init(void);

/* What faults.c asks others for: here no guest runs. */
volatile sig_atomic_t platform_ticked;
void platform_sigreturn(void *saved) { }
uint64_t platform_fiber_floor(const struct platform_fiber *f) { return 0; }
uint64_t platform_fiber_top(const struct platform_fiber *f) { return 0; }
bool platform_in_direct_text(uint64_t host) { return false; }
bool platform_direct_stack_full(uint64_t address, void *ucontext) { return false; }
void platform_direct_interrupt(void *ucontext) { }
void platform_direct_step(void *ucontext) { }

enum { ECX_OSXSAVE = 1 << 27, EAX_XGETBV1 = 1 << 2, X87 = 1 };

int
main(void)
{
    unsigned a = 0, b, c = 0, d;
    bool tells = __get_cpuid(1, &a, &b, &c, &d) && (c & ECX_OSXSAVE) && __get_cpuid_count(13, 1, &a, &b, &c, &d) && (a & EAX_XGETBV1);
    uint32_t initial, used;

    platform_faults_init();
    __asm__ volatile("fninit");
    initial = platform_xinuse();
    __asm__ volatile("fldpi");
    used = platform_xinuse();
    __asm__ volatile("fstp %st(0)");
    printf("%s: x87 initial %#x, used %#x\n", tells ? "the processor tells" : "the processor does not tell", initial, used);
    if (!tells)
        return initial != PLATFORM_XINUSE_UNKNOWN || used != PLATFORM_XINUSE_UNKNOWN;
    return initial == PLATFORM_XINUSE_UNKNOWN || !(used & X87);
}
