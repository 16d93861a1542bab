/* SSE instructions that the host's own carry out: the reciprocal approximations. */
#include "x86/helpers_sse_internal.h"

#include <smmintrin.h>

/* --- approximations --- */
void
helper_sse_approximate(uint32_t code, uint64_t low, uint64_t high)
{
    union x86_xmm *dst = &x86_this_cpu()->xmm[code >> 8 & 15];
    __m128 d = _mm_load_ps(dst->f32);
    __m128 s = _mm_castsi128_ps(_mm_set_epi64x((long long)high, (long long)low));
    switch (code & 0xff) {
    case SSE_RCPPS:
        d = _mm_rcp_ps(s);
        break;
    case SSE_RSQRTPS:
        d = _mm_rsqrt_ps(s);
        break;
    case SSE_RCPSS:
        d = _mm_move_ss(d, _mm_rcp_ss(s));
        break;
    default:
        d = _mm_move_ss(d, _mm_rsqrt_ss(s));
        break;
    }
    _mm_store_ps(dst->f32, d);
}
