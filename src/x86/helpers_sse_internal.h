/* What helpers_sse.c and helpers_crypto.c share. */
#ifndef X86_HELPERS_SSE_INTERNAL_H
#define X86_HELPERS_SSE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/helper_codes.h"
#include "x86/helpers.h"

/* The AES, PCLMULQDQ and SHA members of enum sse_special. SHA256RNDS2 reads XMM0. */
void sse_crypto(unsigned what, union x86_xmm *dst, const union x86_xmm *src, unsigned imm);

#endif
