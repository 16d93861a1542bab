#include "vkernel/cpu/xsave.h"

#include <stddef.h>
#include <string.h>

#include "x86/helpers.h"
#include "x86/level.h"

uint32_t
xsave_size(void)
{
    return x86_level() == X86_LEVEL_V3 ? X86_XSAVE_SIZE_V3 : X86_XSAVE_SIZE_V2;
}

uint64_t
xsave_components(void)
{
    return X86_XSAVE_X87 | X86_XSAVE_SSE | (x86_level() == X86_LEVEL_V3 ? X86_XSAVE_AVX : 0);
}

static bool
is_zero(const void *data, size_t size)
{
    const uint8_t *p = data;

    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

void
xsave_put(struct x86_xsave *a, const struct x86_cpu *cpu)
{
    memset(a, 0, sizeof *a);
    x86_fxsave_put_x87(&a->fx, &cpu->x87);
    a->fx.mxcsr = cpu->mxcsr;
    a->fx.mxcsr_mask = 0xffff;
    memcpy(a->fx.xmm, cpu->xmm, sizeof a->fx.xmm);
    memcpy(a->ymm_high, cpu->ymm_high, sizeof a->ymm_high);
    a->components = X86_XSAVE_X87 | X86_XSAVE_SSE | (is_zero(a->ymm_high, sizeof a->ymm_high) ? 0 : X86_XSAVE_AVX);
}

void
xsave_reset(struct x86_cpu *cpu)
{
    memset(&cpu->x87, 0, sizeof cpu->x87);
    cpu->x87.control = 0x037f;
    cpu->mxcsr = 0x1f80;
    memset(cpu->xmm, 0, sizeof cpu->xmm);
    memset(cpu->ymm_high, 0, sizeof cpu->ymm_high);
}

bool
xsave_header_good(const struct x86_xsave *a)
{
    return !a->compacted && !a->reserved[0] && !(a->components & ~xsave_components());
}

bool
xsave_mxcsr_good(const struct x86_xsave *a)
{
    return !(a->fx.mxcsr & ~0xffffu);
}

void
xsave_get(const struct x86_xsave *a, struct x86_cpu *cpu, uint64_t found, bool mxcsr)
{
    xsave_reset(cpu);
    if (found & X86_XSAVE_X87)
        x86_fxsave_get_x87(&a->fx, &cpu->x87);
    if (mxcsr)
        cpu->mxcsr = a->fx.mxcsr;
    if (found & X86_XSAVE_SSE)
        memcpy(cpu->xmm, a->fx.xmm, sizeof cpu->xmm);
    if (found & X86_XSAVE_AVX)
        memcpy(cpu->ymm_high, a->ymm_high, sizeof cpu->ymm_high);
}
