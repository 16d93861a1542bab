/* What the lifters of SSE, MMX and AVX share: they read and write operands as V128, whatever register or memory these
 * are.
 *
 * An MMX register is the low half of a V128, so that the SSE form and the MMX form of an instruction have one
 * lifter. */
#ifndef LIFT_SIMD_H
#define LIFT_SIMD_H

#include "lift/lift_internal.h"
#include "x86/helper_codes.h"

/* Is an operand an MMX register? */
bool simd_is_mmx(const struct lift *l);
/* Reads a register or o->size bytes of memory; what is smaller than a V128 is zero-extended. */
ir_value simd_read(struct lift *l, const struct x86_operand *o);
/* Writes all of v to an xmm register, its low half to an mm register, or its low o->size bytes (4, 8 or 16) to
 * memory. */
void simd_write(struct lift *l, const struct x86_operand *o, ir_value v);
ir_value simd_dst(struct lift *l);
ir_value simd_src(struct lift *l);
void simd_set(struct lift *l, ir_value v);
uint8_t simd_imm(const struct lift *l); /* the immediate operand */

/* These set the destination to op(dst, src), to op(src, dst), and to op(src). */
void simd_binary(struct lift *l, enum ir_opcode op);
void simd_binary_swapped(struct lift *l, enum ir_opcode op);
void simd_unary(struct lift *l, enum ir_opcode op);

ir_value simd_zero(struct lift *l);
ir_value simd_splat8(struct lift *l, uint8_t v);
ir_value simd_splat16(struct lift *l, uint16_t v);
ir_value simd_splat32(struct lift *l, uint32_t v);
/* The low half of a below the low half of b. */
ir_value simd_combine_low(struct lift *l, ir_value a, ir_value b);
/* Select lanes of 2, 4 or 8 bytes from a and b by their numbers. Those of b continue those of a, so that the first lane
 * of b has the number 16 / size. */
ir_value simd_shuffle16(struct lift *l, ir_value a, ir_value b, const uint8_t lanes[8]);
ir_value simd_shuffle32(struct lift *l, ir_value a, ir_value b, unsigned l0, unsigned l1, unsigned l2, unsigned l3);
ir_value simd_shuffle64(struct lift *l, ir_value a, ir_value b, unsigned l0, unsigned l1);
/* The 16 bytes from byte n on of the 32 bytes that a and b are together, a below b. */
ir_value simd_window(struct lift *l, ir_value a, ir_value b, unsigned n);
ir_value simd_low64(struct lift *l, ir_value v); /* this half and the next one as an i64 */
ir_value simd_high64(struct lift *l, ir_value v);

/* Writes a result of 32 bits to a general register, zero-extended to 64, or its low `size` bytes to memory. */
void simd_write_int32(struct lift *l, const struct x86_operand *o, unsigned size, ir_value v);
/* The whole address of a memory operand, an i32, for helpers, which take no offset beside it. */
ir_value simd_address(struct lift *l, const struct x86_operand *o);
/* The guest address of this instruction, an i64, for helpers that raise exceptions. */
ir_value simd_pc(struct lift *l);

/* Calls a helper that reads source and reads and writes the destination, an xmm register, whose number is put into bits
 * 8 to 11 of code. The helper of a lane (lift/vex.c) has the state TMPV as its destination instead. */
void simd_helper(struct lift *l, enum ir_helper helper, uint32_t code, ir_value source);

/* --- sse_string.c --- */
/* Sets the destination by helper_sse_special, with the source and the immediate. */
void simd_special(struct lift *l, enum sse_special what);

/* --- lifters of SSE that avx.c runs for each 128 bits, or for some operands --- */
void lift_blendps(struct lift *l);
void lift_blendpd(struct lift *l);
void lift_shufpd(struct lift *l);
void lift_mpsadbw(struct lift *l);
void lift_pshufd(struct lift *l);
void lift_pcmpestrm(struct lift *l);
void lift_pcmpistrm(struct lift *l);

/* --- lift/vex.c --- */
/* Lifts an instruction with VEX by running the lifter of the SSE instruction, core, for each 128 bits. The second lane
 * sees the immediate shifted to the right by immediate_shift. */
void lift_lanes(struct lift *l, lift_fn *core, unsigned immediate_shift);
ir_value vex_register(struct lift *l, unsigned reg, unsigned half);
/* Reads the low (0) or high (1) 128 bits of an operand, a register or 32 bytes of memory. */
ir_value vex_read(struct lift *l, unsigned operand, unsigned half);
/* Sets operand 0, a register, to low and high. IR_NO_VALUE as high stands for zeros. */
void vex_set(struct lift *l, ir_value low, ir_value high);

/* --- lift/mmx.c --- */
ir_value mmx_get(struct lift *l, unsigned reg);
void mmx_set(struct lift *l, unsigned reg, ir_value v); /* v is an i64 */
void mmx_enter(struct lift *l);                         /* switches to MMX mode, if the block has not done so yet */

#endif
