/* How the lifter packs the first argument of the x87, MMX and SSE helpers (ir/helpers.def): shared by
 * src/lift and helpers_*.c. Low byte: the operation or format; further fields as each comment says. */
#ifndef X86_HELPER_CODES_H
#define X86_HELPER_CODES_H

/* Memory formats: x87_load, x87_store, x87_arith_mem, x87_compare_mem. */
enum x87_format { X87_F32, X87_F64, X87_F80, X87_I16, X87_I32, X87_I64, X87_BCD };

enum {
    X87_POP = 1 << 8,       /* pop after it; x87_compare: one pop */
    X87_POP2 = 1 << 9,      /* x87_compare: a second pop */
    X87_TRUNCATE = 1 << 10, /* x87_store: fisttp */
    X87_UNORDERED = 1 << 11 /* x87_compare, x87_comi: quiet NaNs raise nothing */
};
/* x87_arith: operation | destination << 16 | source << 20 (ST numbers) [| X87_POP];
 * x87_arith_mem: operation | format << 16. x87_compare, x87_comi: source << 20; x87_compare_mem: format << 16. */
enum x87_arith { X87_ADD, X87_MUL, X87_SUB, X87_SUBR, X87_DIV, X87_DIVR };
#define X87_DST(i)    ((uint32_t)(i) << 16)
#define X87_SRC(i)    ((uint32_t)(i) << 20)
#define X87_FORMAT(f) ((uint32_t)(f) << 16)

/* x87_unary: operations on the top of the stack. */
/* clang-format off */
enum x87_unary {
    X87_CHS, X87_ABS, X87_TST, X87_XAM, X87_LD1, X87_LDL2T, X87_LDL2E, X87_LDPI, X87_LDLG2, X87_LDLN2,
    X87_LDZ, X87_2XM1, X87_YL2X, X87_PTAN, X87_PATAN, X87_XTRACT, X87_PREM1, X87_PREM, X87_YL2XP1,
    X87_SQRT, X87_SINCOS, X87_RNDINT, X87_SCALE, X87_SIN, X87_COS
};
/* clang-format on */

/* x87_stack: operation, register number in the second argument. The last two do not wait. */
/* clang-format off */
enum x87_stack {
    X87_FLD, X87_FST, X87_FSTP, X87_FSTPNCE, X87_FXCH, X87_FFREE, X87_FFREEP, X87_FINCSTP, X87_FDECSTP,
    X87_FWAIT, X87_FNCLEX, X87_FNINIT
};
/* clang-format on */

/* x87_control: operation, address in the second argument. */
enum x87_control { X87_LDCW, X87_STCW, X87_STSW, X87_LDENV, X87_STENV, X87_LDENV16, X87_STENV16 };

/* x87_state. */
enum x87_state { X87_SAVE, X87_RSTOR, X87_SAVE16, X87_RSTOR16 };

/* fxsave, fxrstor: 1 for the REX.W form. */

/* sse_approximate, sse_special: the destination, which is also the first operand, is an xmm register, in bits 8 to 11,
 * or tmp_vector. */
enum { SSE_TMP = 1 << 12 };

/* sse_approximate: operation | destination. The scalar ones keep the rest of the destination. */
enum sse_approximate { SSE_RCPPS, SSE_RCPSS, SSE_RSQRTPS, SSE_RSQRTSS };

/* sse_special: operation | destination | imm8 << 16; the source is in the other two arguments. */
/* clang-format off */
enum sse_special {
    SSE_MPSADBW, SSE_PHMINPOSUW, SSE_AESENC, SSE_AESENCLAST, SSE_AESDEC, SSE_AESDECLAST, SSE_AESIMC,
    SSE_AESKEYGENASSIST, SSE_PCLMULQDQ, SSE_SHA1RNDS4, SSE_SHA1NEXTE, SSE_SHA1MSG1, SSE_SHA1MSG2,
    SSE_SHA256RNDS2, SSE_SHA256MSG1, SSE_SHA256MSG2
};
/* clang-format on */

/* sse_string: imm8 | first xmm << 8 | SSE_STRING_MASK | lengths (0..16) << 16 and << 24, 31: implicit.
 * Result: index | CF << 8 | ZF << 9 | SF << 10 | OF << 11. */
enum { SSE_STRING_MASK = 1 << 12, SSE_STRING_IMPLICIT = 31 };

/* vector_mask_move: data register | mask register << 4 | these. */
enum { VECTOR_MASK_64 = 0x100, VECTOR_MASK_WIDE = 0x200, VECTOR_MASK_STORE = 0x400 };
/* vector_gather: destination | mask << 4 | index << 8 (registers) | logarithm of the scale << 12 | these | number of
 * elements << 16. */
enum { VECTOR_GATHER_64 = 0x4000, VECTOR_GATHER_INDEX_64 = 0x8000 };

/* maskmov: data register | mask register << 4 | 0x100 for xmm. */
enum { SSE_MASKMOV_XMM = 0x100 };

#endif
