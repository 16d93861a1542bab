/* The floating-point state as XSAVE lays it out, for signal frames and tracers. The x87 state is taken from and put into
 * struct x86_cpu: where it may be in the host's registers, x87_out() comes before. */
#ifndef VKERNEL_CPU_XSAVE_H
#define VKERNEL_CPU_XSAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/fxsave.h"

uint32_t xsave_size(void);       /* bytes of the area at the artifact's level */
uint64_t xsave_components(void); /* X86_XSAVE_* that there are at the level: XCR0 */
/* All of the area but the description for software, which is zero. */
void xsave_put(struct x86_xsave *a, const struct x86_cpu *cpu);
void xsave_reset(struct x86_cpu *cpu); /* initial state */
/* Would XRSTOR take this header and MXCSR? */
bool xsave_header_good(const struct x86_xsave *a);
bool xsave_mxcsr_good(const struct x86_xsave *a);
/* Sets all components: those of `found` from the area, the others to their initial state. MXCSR is taken with
 * `mxcsr`. */
void xsave_get(const struct x86_xsave *a, struct x86_cpu *cpu, uint64_t found, bool mxcsr);

#endif
