/* platform_xinuse on this processor, whatever it is: it agrees with CPUID, and a fault of its instruction ends it with
 * "unknown". Run under an emulator of an older processor too. */
#include <cpuid.h>
#include <stdio.h>

#include "no_guest.h"

enum { ECX_OSXSAVE = 1 << 27, EAX_XGETBV1 = 1 << 2, X87 = 1 };

int
main(void)
{
    unsigned a = 0, b, c = 0, d;
    bool tells = __get_cpuid(1, &a, &b, &c, &d) && (c & ECX_OSXSAVE) && __get_cpuid_count(13, 1, &a, &b, &c, &d) &&
                 (a & EAX_XGETBV1);
    uint32_t initial, used;

    platform_faults_init();
    __asm__ volatile("fninit");
    initial = platform_xinuse();
    __asm__ volatile("fldpi");
    used = platform_xinuse();
    __asm__ volatile("fstp %st(0)");
    printf("%s: x87 initial %#x, used %#x\n", tells ? "the processor tells" : "the processor does not tell", initial,
           used);
    if (!tells)
        return initial != PLATFORM_XINUSE_UNKNOWN || used != PLATFORM_XINUSE_UNKNOWN;
    return initial == PLATFORM_XINUSE_UNKNOWN || !(used & X87);
}
