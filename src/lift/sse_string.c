/* The lifters of SSE4.2's string comparisons, and of what else of SSE runs in helpers: AES, PCLMULQDQ, SHA. */
#include "lift/simd.h"

#define OPD(n) (&l->insn->operand[n])
#define LIFTER(name)                  \
    void lift_##name(struct lift *l); \
    void lift_##name(struct lift *l)

void
simd_special(struct lift *l, enum sse_special what)
{
    simd_helper(l, IR_HELPER_sse_special, (uint32_t)what | (uint32_t)simd_imm(l) << 16, simd_src(l));
}

/* An explicit length: the absolute value of rax or eax (of rdx or edx for the second string), 16 at most. REX.W decides
 * which of the two (SDM vol. 2, 4.1.3). */
static ir_value
string_length(struct lift *l, unsigned reg)
{
    ir_value v = lift_read_gpr(l, reg, 8);
    if (l->insn->opsize != 8)
        v = ir_op1(l->b, IR_EXT32S64, v);
    ir_value zero = ir_const64(l->b, 0), max = ir_const64(l->b, 16);
    v = ir_op3(l->b, IR_SELECT64, ir_op2(l->b, IR_SUB64, zero, v), v, ir_op2(l->b, IR_LTS64, v, zero));
    v = ir_op3(l->b, IR_SELECT64, v, max, ir_op2(l->b, IR_LTU64, v, max));
    return ir_op1(l->b, IR_WRAP, v);
}

static void
string_flag(struct lift *l, unsigned flag, ir_value packed, unsigned bit)
{
    ir_value v = ir_op2(l->b, IR_SHRU32, packed, ir_const32(l->b, bit));
    lift_set_flag(l, flag, ir_op2(l->b, IR_AND32, v, ir_const32(l->b, 1)));
}

static void
string_compare(struct lift *l, bool explicit_lengths, bool mask)
{
    uint32_t fixed = simd_imm(l) | (uint32_t)OPD(0)->reg << 8 | (mask ? SSE_STRING_MASK : 0);
    ir_value s = simd_src(l), code;
    if (explicit_lengths) {
        ir_value first = ir_op2(l->b, IR_SHL32, string_length(l, X86_RAX), ir_const32(l->b, 16));
        ir_value second = ir_op2(l->b, IR_SHL32, string_length(l, X86_RDX), ir_const32(l->b, 24));
        code = ir_op2(l->b, IR_OR32, ir_op2(l->b, IR_OR32, first, second), ir_const32(l->b, fixed));
    } else {
        code = ir_const32(l->b, fixed | SSE_STRING_IMPLICIT << 16 | SSE_STRING_IMPLICIT << 24);
    }
    ir_value r = ir_helper(l->b, IR_HELPER_sse_string, code, simd_low64(l, s), simd_high64(l, s));
    if (!mask)
        lift_write_gpr(l, X86_RCX, 4, ir_op2(l->b, IR_AND32, r, ir_const32(l->b, 0xff)));
    string_flag(l, X86_FLAG_CF, r, 8);
    string_flag(l, X86_FLAG_ZF, r, 9);
    string_flag(l, X86_FLAG_SF, r, 10);
    string_flag(l, X86_FLAG_OF, r, 11);
    lift_set_flag(l, X86_FLAG_AF, ir_const32(l->b, 0));
    lift_set_flag(l, X86_FLAG_PF, ir_const32(l->b, 0));
}

LIFTER(pcmpestri)
{
    string_compare(l, true, false);
}

LIFTER(pcmpestrm)
{
    string_compare(l, true, true);
}

LIFTER(pcmpistri)
{
    string_compare(l, false, false);
}

LIFTER(pcmpistrm)
{
    string_compare(l, false, true);
}

#define SPECIAL(name, what)    \
    LIFTER(name)               \
    {                          \
        simd_special(l, what); \
    }
SPECIAL(aesenc, SSE_AESENC)
SPECIAL(aesenclast, SSE_AESENCLAST)
SPECIAL(aesdec, SSE_AESDEC)
SPECIAL(aesdeclast, SSE_AESDECLAST)
SPECIAL(aesimc, SSE_AESIMC)
SPECIAL(aeskeygenassist, SSE_AESKEYGENASSIST)
SPECIAL(pclmulqdq, SSE_PCLMULQDQ)
SPECIAL(sha1rnds4, SSE_SHA1RNDS4)
SPECIAL(sha1nexte, SSE_SHA1NEXTE)
SPECIAL(sha1msg1, SSE_SHA1MSG1)
SPECIAL(sha1msg2, SSE_SHA1MSG2)
SPECIAL(sha256rnds2, SSE_SHA256RNDS2)
SPECIAL(sha256msg1, SSE_SHA256MSG1)
SPECIAL(sha256msg2, SSE_SHA256MSG2)
