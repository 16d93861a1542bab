/* The image of FXSAVE64 (SDM vol. 1, 10.5.1) and the x87 state in it. */
#ifndef X86_FXSAVE_H
#define X86_FXSAVE_H

#include <stdint.h>

#include "x86/cpu.h"

struct x86_fxsave {
    uint16_t control, status;
    uint8_t tags, pad;
    uint16_t opcode;
    uint64_t ip, dp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[16][16];
    uint8_t rest[96];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct x86_fxsave) == 512, "FXSAVE area");

/* Everything but MXCSR, the xmm registers and the rest. From an image that anybody may have made. */
void x86_fxsave_put_x87(struct x86_fxsave *a, const struct x86_x87 *f);
void x86_fxsave_get_x87(const struct x86_fxsave *a, struct x86_x87 *f);

#endif
