/* The part of the running task's processor state that is in the host's registers: MXCSR, and the x87 unit's state while
 * rewritten code runs. Everything else of it is in x86_cpu_tls (x86/cpu.h) whenever the kernel runs. */
#ifndef VKERNEL_CPU_CPU_H
#define VKERNEL_CPU_CPU_H

#include <stdint.h>

#include "vkernel/worker/worker.h"

/* The guest's MXCSR becomes the host's. x86_collect_mxcsr() (x86/helpers.h) is the reverse. */
void x86_apply_mxcsr(void);

/* While rewritten code runs, and until somebody needs it, the x87 state is in the host's registers. */
void x87_out(void); /* it is in x86_cpu_tls.x87 from here on */
void x87_bring_in(void);
static inline void
x87_in(void) /* it is in the host's */
{
    if (!this_processor()->x87_in_host)
        x87_bring_in();
}
void x87_replaced(void); /* all of x86_cpu_tls.x87 is made anew */
struct x86_fxsave;
/* It is in this image, which a signal frame of the host's has, and no longer in the host's registers. */
void x87_from_fxsave(const struct x86_fxsave *a);

/* Something else has computed with the host's x87 unit, while none of the guest's state was in it. */
void x87_used(void);

struct cpu_hooks {
    /* A host address in rewritten code becomes the guest's; others stay what they are. */
    uint64_t (*guest_address)(uint64_t host);
};
extern const struct cpu_hooks cpu_hooks; /* boot/hooks.c */

#endif
