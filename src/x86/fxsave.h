/* The images of FXSAVE64 (SDM vol. 1, 10.5.1) and XSAVE64 in its standard form (13.4), as they are in signal frames,
 * too. */
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
    uint8_t rest[48];
    struct x86_fxsave_software { /* the processor leaves these bytes alone; Linux describes in them what follows in a
                                    signal frame */
        uint32_t magic, extended_size; /* X86_XSAVE_MAGIC1; bytes up to the end of X86_XSAVE_MAGIC2 */
        uint64_t components;           /* X86_XSAVE_* */
        uint32_t size, pad[7];         /* bytes of the XSAVE area, behind which stands X86_XSAVE_MAGIC2 */
    } software;
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct x86_fxsave) == 512, "FXSAVE area");

enum { X86_XSAVE_X87 = 1, X86_XSAVE_SSE = 2, X86_XSAVE_AVX = 4 }; /* bits of XCR0 and of the header */
enum { X86_XSAVE_MAGIC1 = 0x46505853, X86_XSAVE_MAGIC2 = 0x46505845 };

struct x86_xsave {
    struct x86_fxsave fx;
    uint64_t components, compacted, reserved[6]; /* the header: components that are not initial */
    uint8_t ymm_high[16][16];                    /* at level v3 */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct x86_xsave) == 832, "XSAVE area");

enum { X86_XSAVE_SIZE_V2 = 576, X86_XSAVE_SIZE_V3 = sizeof(struct x86_xsave) };

/* Everything but MXCSR, the xmm registers and the rest. From an image that anybody may have made. */
void x86_fxsave_put_x87(struct x86_fxsave *a, const struct x86_x87 *f);
void x86_fxsave_get_x87(const struct x86_fxsave *a, struct x86_x87 *f);

#endif
