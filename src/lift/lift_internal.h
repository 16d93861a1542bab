/* What the lifters share. A lifter turns one kind of instruction into IR. It is called lift_NAME(), where the row of
 * the instruction in x86/insn.tab gives the name. Each family of instructions has a file. */
#ifndef LIFT_LIFT_INTERNAL_H
#define LIFT_LIFT_INTERNAL_H

#include "lift/lift.h"

/* The kind of an operand whose imm is an ir_value, which was read before: see lift/vex.c. */
enum { LIFT_OPD_VALUE = X86_OPD_REL + 1 };

struct lift {
    struct ir_build *b;
    const struct x86_insn *insn;
    uint64_t next; /* the image-relative address of the next instruction */
    const struct lift_request *request;
    struct lift_lane {
        ir_value result; /* what lift_set_xmm() was given */
    } *lane;             /* not NULL when the instruction is one lane of a vector instruction (lift/vex.c) */
    bool done;           /* The lifter has set `end`: the block is over. */
    struct ir_terminator end;
    /* The last instruction in this block that set all of CF, ZF, SF and OF, which makes a condition one comparison of
     * its operands (lift/flags.c). Whatever sets a flag in another way resets it. */
    struct lift_flags {
        enum { LIFT_FLAGS_UNKNOWN, LIFT_FLAGS_SUB, LIFT_FLAGS_LOGIC, LIFT_FLAGS_ADD } kind;
        uint8_t size;          /* bytes */
        ir_value a, b, result; /* as lift_read() gives values of this size */
    } flags;
};

typedef void lift_fn(struct lift *l);

/* --- operands: lift/operand.c --- */
/* Reads an integer operand. A value of 1, 2 or 4 bytes is an i32, zero-extended, and one of 8 bytes an i64. */
ir_value lift_read(struct lift *l, const struct x86_operand *o);
/* The same, but values of 1 and 2 bytes are sign-extended to 32 bits. */
ir_value lift_read_signed(struct lift *l, const struct x86_operand *o);
/* Writes v, which is as lift_read() gives it, with x86's rules: a general register is zero-extended when 32 bits of it
 * are written, and keeps its other bits when 8 or 16 are. */
void lift_write(struct lift *l, const struct x86_operand *o, ir_value v);
ir_value lift_read_gpr(struct lift *l, unsigned reg, unsigned size);
void lift_write_gpr(struct lift *l, unsigned reg, unsigned size, ir_value v);
/* The effective address plus the segment's base, as an i64. Guest addresses have 32 bits: it is still to be wrapped. */
ir_value lift_address(struct lift *l, const struct x86_operand *o);
/* The address of operand o for a memory operation: an i32, and *offset, a constant that the operation adds. A
 * displacement from 1 to 65535 becomes that constant where a register or segment base is added to it and the address
 * has no address-size prefix. */
ir_value lift_address32(struct lift *l, const struct x86_operand *o, uint32_t *offset);
ir_value lift_load(struct lift *l, const struct x86_operand *o, unsigned size); /* gives what lift_read() gives */
void lift_store(struct lift *l, const struct x86_operand *o, unsigned size, ir_value v);

ir_value lift_load_at(struct lift *l, ir_value address, uint32_t offset, unsigned size);
void lift_store_at(struct lift *l, ir_value address, uint32_t offset, unsigned size, ir_value v);
/* The effective address without the segment base, as lea computes it. */
ir_value lift_effective_address(struct lift *l, const struct x86_operand *o);
/* Reads an operand as lift_read() does, but an immediate as a value of `size` bytes, whatever size it has itself. */
ir_value lift_source(struct lift *l, const struct x86_operand *o, unsigned size);
/* In these, v is or becomes a value of `size` bytes as lift_read() gives it. */
ir_value lift_const(struct lift *l, unsigned size, uint64_t v);       /* v is truncated */
ir_value lift_narrow(struct lift *l, unsigned size, ir_value v);      /* clears what is above 1 or 2 bytes */
ir_value lift_sign_extend(struct lift *l, unsigned size, ir_value v); /* extends 1 or 2 bytes to 32 bits */
ir_value lift_to64(struct lift *l, unsigned size, ir_value v);        /* zero-extends v to an i64 */
ir_value lift_from64(struct lift *l, unsigned size, ir_value v);      /* takes the low bytes of an i64 */

/* An operation of 64 bits for values of 8 bytes, and of 32 bits for smaller ones. */
#define LIFT_OP1(l, size, name, x)       ir_op1((l)->b, (size) == 8 ? IR_##name##64 : IR_##name##32, x)
#define LIFT_OP2(l, size, name, x, y)    ir_op2((l)->b, (size) == 8 ? IR_##name##64 : IR_##name##32, x, y)
#define LIFT_SELECT(l, size, x, y, cond) ir_op3((l)->b, (size) == 8 ? IR_SELECT64 : IR_SELECT32, x, y, cond)

/* The xmm registers: whole, as V128, or as a number in the lowest lane. */
ir_value lift_xmm(struct lift *l, unsigned reg);
void lift_set_xmm(struct lift *l, unsigned reg, ir_value v);
ir_value lift_read_f64(struct lift *l, const struct x86_operand *o); /* o is a register's lowest lane, or memory */
ir_value lift_read_f32(struct lift *l, const struct x86_operand *o);

/* --- flags: lift/flags.c ---
 * The first three set all of CF, PF, AF, ZF, SF and OF, as a sum, a difference or a logical operation does. */
void lift_flags_add(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result);
void lift_flags_sub(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result);
void lift_flags_logic(struct lift *l, unsigned size, ir_value result);
void lift_flags_szp(struct lift *l, unsigned size, ir_value result); /* sets SF, ZF and PF only */
ir_value lift_sign(struct lift *l, unsigned size, ir_value v);       /* the top bit of v, an i32 of 0 or 1 */
/* Sets X86_FLAG_flag to v, an i32 of 0 or 1, and resets lift.flags unless the flag is DF. */
void lift_set_flag(struct lift *l, unsigned flag, ir_value v);
ir_value lift_get_flag(struct lift *l, unsigned flag);
/* Whether the condition is true, an i32 of 0 or 1. */
ir_value lift_condition(struct lift *l, enum x86_cc cc);

/* --- control: lift/control.c --- */
void lift_end_trap(struct lift *l, unsigned trap);
void lift_end_jump(struct lift *l, uint64_t target);
/* lift/table_pattern.c: the target of an indirect jump as a load of the table's entry `index`. It is that only while
 * each guard holds, which compares a value with a constant. lift_match_table() finds this form for v, or returns
 * false. */
struct lift_table_match {
    ir_value index; /* an i64 */
    unsigned guard_count;
    struct {
        ir_value value; /* an i64 */
        bool image;     /* The image base is to be added to the constant. */
        uint64_t constant;
    } guards[2];
};
bool lift_match_table(const struct ir_func *f, ir_value v, const struct lift_jump_table *table,
                      struct lift_table_match *out);
void lift_push(struct lift *l, unsigned size, ir_value v);
ir_value lift_pop(struct lift *l, unsigned size);

#endif
