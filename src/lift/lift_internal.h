/* What the instruction families share. One file per family; each instruction's lifter is
 * lift_<name>(), the name given by its row in x86/insn.tab. */
#ifndef LIFT_LIFT_INTERNAL_H
#define LIFT_LIFT_INTERNAL_H

#include "lift/lift.h"

/* The kind of an operand that is a value already, in imm: see lift/vex.c. */
enum { LIFT_OPD_VALUE = X86_OPD_REL + 1 };

struct lift {
    struct ir_build *b;
    const struct x86_insn *insn;
    uint64_t next; /* image-relative address of the next instruction */
    const struct lift_request *request;
    struct lift_lane {
        ir_value result; /* of lift_set_xmm() */
    } *lane;             /* not NULL: the instruction is one lane of a vector instruction (lift/vex.c) */
    bool done;           /* the lifter has set `end`: the block is over */
    struct ir_terminator end;
    /* The last instruction that set all of CF ZF SF OF in this block, so that conditions become one
     * comparison: see lift/flags.c. Reset by anything that sets flags otherwise. */
    struct lift_flags {
        enum { LIFT_FLAGS_UNKNOWN, LIFT_FLAGS_SUB, LIFT_FLAGS_LOGIC, LIFT_FLAGS_ADD } kind;
        uint8_t size;          /* bytes */
        ir_value a, b, result; /* i32 zero-extended for sizes 1, 2, 4; i64 for 8 */
    } flags;
};

typedef void lift_fn(struct lift *l);

/* --- operands: lift/operand.c ---
 * Integer values: i32 for sizes 1, 2, 4 (zero-extended to 32 bits), i64 for 8. */
ir_value lift_read(struct lift *l, const struct x86_operand *o);
/* Sign-extends instead (of sizes 1 and 2 to 32 bits). */
ir_value lift_read_signed(struct lift *l, const struct x86_operand *o);
/* Writes with x86's rules: 32-bit GPR writes zero-extend, 8- and 16-bit ones merge. v as lift_read. */
void lift_write(struct lift *l, const struct x86_operand *o, ir_value v);
ir_value lift_read_gpr(struct lift *l, unsigned reg, unsigned size);
void lift_write_gpr(struct lift *l, unsigned reg, unsigned size, ir_value v);
/* The effective address as i64 (segment base included), before wrapping. */
ir_value lift_address(struct lift *l, const struct x86_operand *o);
/* The i32 address and static offset for a memory operation on operand o (displacements 0..65535 become the
 * offset unless the address-size prefix is there). add: further displacement, e.g. 8 for the high half. */
ir_value lift_address32(struct lift *l, const struct x86_operand *o, uint32_t *offset);
ir_value lift_load(struct lift *l, const struct x86_operand *o, unsigned size); /* as lift_read */
void lift_store(struct lift *l, const struct x86_operand *o, unsigned size, ir_value v);

ir_value lift_load_at(struct lift *l, ir_value address, uint32_t offset, unsigned size);
void lift_store_at(struct lift *l, ir_value address, uint32_t offset, unsigned size, ir_value v);
/* The effective address without the segment base, as lea computes it. */
ir_value lift_effective_address(struct lift *l, const struct x86_operand *o);
/* Immediates as a value of `size` bytes whatever their own size; others as lift_read. */
ir_value lift_source(struct lift *l, const struct x86_operand *o, unsigned size);
ir_value lift_const(struct lift *l, unsigned size, uint64_t v);       /* truncated to size */
ir_value lift_narrow(struct lift *l, unsigned size, ir_value v);      /* clears bits above size (1, 2) */
ir_value lift_sign_extend(struct lift *l, unsigned size, ir_value v); /* sizes 1 and 2: to 32 bits */
ir_value lift_to64(struct lift *l, unsigned size, ir_value v);        /* zero-extends to i64 */
ir_value lift_from64(struct lift *l, unsigned size, ir_value v);      /* the low size bytes of an i64 */

/* One operation at the width of values of `size` bytes. */
#define LIFT_OP1(l, size, name, x)       ir_op1((l)->b, (size) == 8 ? IR_##name##64 : IR_##name##32, x)
#define LIFT_OP2(l, size, name, x, y)    ir_op2((l)->b, (size) == 8 ? IR_##name##64 : IR_##name##32, x, y)
#define LIFT_SELECT(l, size, x, y, cond) ir_op3((l)->b, (size) == 8 ? IR_SELECT64 : IR_SELECT32, x, y, cond)

/* xmm: whole registers and scalars. Memory operands of 16 bytes load V128. */
ir_value lift_xmm(struct lift *l, unsigned reg);
void lift_set_xmm(struct lift *l, unsigned reg, ir_value v);
ir_value lift_read_f64(struct lift *l, const struct x86_operand *o); /* low lane or m64 */
ir_value lift_read_f32(struct lift *l, const struct x86_operand *o);

/* --- flags: lift/flags.c --- */
void lift_flags_add(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result);
void lift_flags_sub(struct lift *l, unsigned size, ir_value a, ir_value b, ir_value result);
void lift_flags_logic(struct lift *l, unsigned size, ir_value result);
void lift_flags_szp(struct lift *l, unsigned size, ir_value result); /* SF ZF PF only */
ir_value lift_sign(struct lift *l, unsigned size, ir_value v);       /* its top bit, i32 0 or 1 */
void lift_set_flag(struct lift *l, unsigned flag, ir_value v);       /* X86_FLAG_*, i32 0 or 1; forgets `flags` */
ir_value lift_get_flag(struct lift *l, unsigned flag);
ir_value lift_condition(struct lift *l, enum x86_cc cc); /* i32 0 or 1 */

/* --- control: lift/control.c --- */
void lift_end_trap(struct lift *l, unsigned trap);
void lift_end_jump(struct lift *l, uint64_t target);
/* table_pattern.c: v, the target of an indirect jump, as the load of entry `index` of the table, provided that each
 * guard's value (i64) is what the guard says. False when v has no such form. */
struct lift_table_match {
    ir_value index; /* i64 */
    unsigned guard_count;
    struct {
        ir_value value;
        bool image; /* constant is image-relative */
        uint64_t constant;
    } guards[2];
};
bool lift_match_table(const struct ir_func *f, ir_value v, const struct lift_jump_table *table,
                      struct lift_table_match *out);
void lift_push(struct lift *l, unsigned size, ir_value v);
ir_value lift_pop(struct lift *l, unsigned size);

#endif
