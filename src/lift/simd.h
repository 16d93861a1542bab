/* What the SSE and MMX families share: operands as V128 whatever their register class.
 *
 * MMX registers are computed on as the low half of a V128, so that both forms of a mnemonic are one lifter. */
#ifndef LIFT_SIMD_H
#define LIFT_SIMD_H

#include "lift/lift_internal.h"
#include "x86/helper_codes.h"

/* Is an operand an MMX register? */
bool simd_is_mmx(const struct lift *l);
/* xmm, mm (zero-extended), or memory of o->size bytes (zero-extended). */
ir_value simd_read(struct lift *l, const struct x86_operand *o);
/* xmm (whole), mm (low half), or memory of o->size bytes (4, 8, 16). */
void simd_write(struct lift *l, const struct x86_operand *o, ir_value v);
ir_value simd_dst(struct lift *l);
ir_value simd_src(struct lift *l);
void simd_set(struct lift *l, ir_value v);
uint8_t simd_imm(const struct lift *l); /* the immediate operand */

/* dst = op(dst, src); op(src, dst); op(src) */
void simd_binary(struct lift *l, enum ir_opcode op);
void simd_binary_swapped(struct lift *l, enum ir_opcode op);
void simd_unary(struct lift *l, enum ir_opcode op);

ir_value simd_zero(struct lift *l);
ir_value simd_splat8(struct lift *l, uint8_t v);
ir_value simd_splat16(struct lift *l, uint16_t v);
ir_value simd_splat32(struct lift *l, uint32_t v);
/* {low half of a, low half of b} */
ir_value simd_combine_low(struct lift *l, ir_value a, ir_value b);
/* Lanes of 2, 4 or 8 bytes by number: n selects from a, n + 16 / size from b. */
ir_value simd_shuffle16(struct lift *l, ir_value a, ir_value b, const uint8_t lanes[8]);
ir_value simd_shuffle32(struct lift *l, ir_value a, ir_value b, unsigned l0, unsigned l1, unsigned l2, unsigned l3);
ir_value simd_shuffle64(struct lift *l, ir_value a, ir_value b, unsigned l0, unsigned l1);
/* Bytes n .. n + 15 of the 32 bytes {a, b}. */
ir_value simd_window(struct lift *l, ir_value a, ir_value b, unsigned n);
ir_value simd_low64(struct lift *l, ir_value v); /* lane as i64 */
ir_value simd_high64(struct lift *l, ir_value v);

/* A 32-bit result to a general register (zero-extended to 64) or to memory of `size` bytes. */
void simd_write_int32(struct lift *l, const struct x86_operand *o, unsigned size, ir_value v);
/* The i32 address of a memory operand, its offset added: for helpers. */
ir_value simd_address(struct lift *l, const struct x86_operand *o);
/* The loaded address of this instruction, as i64: for helpers that raise. */
ir_value simd_pc(struct lift *l);

/* A helper whose packed argument has its destination's xmm register in bits 8 to 11: it reads and writes that. */
void simd_helper(struct lift *l, enum ir_helper helper, uint32_t code, ir_value source);

/* --- lift/vex.c --- */
/* An instruction with VEX by the lifter of SSE's, for each 128 bits. The second lane's immediate is shifted right by so
 * much. */
void lift_lanes(struct lift *l, lift_fn *core, unsigned immediate_shift);
ir_value vex_register(struct lift *l, unsigned reg, unsigned half);
ir_value vex_read(struct lift *l, unsigned operand, unsigned half); /* 128 bits of a register or of 32 bytes in
                                                                       memory */
/* Operand 0, a register, becomes that; high: IR_NO_VALUE is 0. */
void vex_set(struct lift *l, ir_value low, ir_value high);

/* --- lift/mmx.c --- */
ir_value mmx_get(struct lift *l, unsigned reg);
void mmx_set(struct lift *l, unsigned reg, ir_value v); /* i64 */
void mmx_enter(struct lift *l);                         /* the switch to MMX mode, once in a block */

#endif
