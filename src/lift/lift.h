/* Machine code to IR: one basic block at a time. Used by the build (lift/discover.h finds the blocks)
 * and by the evaluator (which lifts what nobody discovered).
 *
 * Bytes may be anything; the result is always a block that ends in some terminator. */
#ifndef LIFT_LIFT_H
#define LIFT_LIFT_H

#include "ir/ir.h"
#include "x86/x86.h"

struct lift_request {
    const uint8_t *bytes; /* of the text at address */
    size_t size;          /* bytes available; the block may end earlier */
    uint64_t address;     /* image-relative address of the first instruction */
    uint32_t max_insns;   /* end with a JUMP to the next instruction after so many; 0: no limit */
    bool precise;         /* set X86_S_RIP at each instruction, for faults */
    /* For a block that ends in an indirect jump discovery resolved: the table (NULL otherwise).
     * The terminator becomes IR_T_SWITCH on the table's index. */
    const struct lift_jump_table *jump_table;
    /* When not NULL (the evaluator; max_insns entries): receives the number of ops in the function at the
     * start of each instruction, so that a fault can be put down to its instruction. */
    uint32_t *op_starts;
};

/* A jump table in constant data, as discovery found it. The index is found again in the block's IR (table_pattern.c). A
 * jump whose index is not below count, or whose registers hold another table's address than discovery thought, goes
 * where the loaded entry says. */
struct lift_jump_table {
    uint64_t insn_address; /* of the indirect jump */
    uint32_t count;
    const uint64_t *targets; /* image-relative */
    uint64_t table_address;  /* image-relative address of the table */
    uint8_t entry_size;      /* 4, sign-extended, or 8 */
    bool relative;           /* entries are relative to relative_to; otherwise absolute */
    uint64_t relative_to;    /* image-relative */
};

/* Builds one block into b (ir_begin_block .. ir_end_block). size must cover the block: an instruction
 * that is cut off by size, or invalid, ends the block with IR_T_TRAP (#UD at its address; for cut off, a JUMP to
 * it). Decoded instructions without lifter end it with IR_TRAP_UNLIFTED. Never fails. */
void lift_block(struct ir_build *b, const struct lift_request *r);

/* Is there a lifter for this instruction? (For the build report.) */
bool lift_supported(const struct x86_insn *insn);

#endif
