/* From machine code to IR, one block at a time. The build lifts the blocks that discovery finds (src/discover), and
 * the evaluator lifts what was not discovered while the program runs.
 *
 * The bytes may be anything: the result is always a block that ends in some terminator. */
#ifndef LIFT_LIFT_H
#define LIFT_LIFT_H

#include "ir/ir.h"
#include "x86/x86.h"

struct lift_request {
    const uint8_t *bytes; /* the bytes of the text at `address` */
    size_t size;          /* how many there are; the block may end earlier */
    uint64_t address;     /* the image-relative address of the first instruction */
    uint32_t max_insns;   /* After so many instructions the block ends with a JUMP to the next one; 0 is no limit. */
    bool precise;         /* Each instruction sets X86_S_RIP, so that a fault tells where it was. */
    /* The table of the indirect jump that ends the block, which makes the terminator an IR_T_SWITCH on the table's
     * index; NULL when discovery found none. */
    const struct lift_jump_table *jump_table;
    /* NULL but for the evaluator. An array of max_insns elements, which gets for each instruction how many operations
     * the function had where it starts. With that the evaluator knows which instruction a fault belongs to. */
    uint32_t *op_starts;
};

/* A jump table in constant data, as discovery found it. The lifter finds the index again in the block's IR
 * (table_pattern.c). When the index is not below count, or the registers hold another table's address than discovery
 * thought, the jump goes where the loaded entry says. All addresses are image-relative. */
struct lift_jump_table {
    uint64_t insn_address; /* the address of the indirect jump */
    uint32_t count;
    const uint64_t *targets; /* `count` addresses */
    uint64_t table_address;
    uint8_t entry_size; /* 4 or 8 bytes; relative entries of 4 bytes are signed */
    bool relative;      /* Entries are to be added to relative_to; otherwise they are addresses. */
    uint64_t relative_to;
};

/* Builds one block into b, from ir_begin_block() to ir_end_block(). It never fails. Bytes that are no instruction end
 * the block with a trap for #UD. An instruction that size cuts off ends it with a JUMP to that instruction, or with the
 * same trap when it is the first one. An instruction without lifter ends it with IR_TRAP_UNLIFTED. */
void lift_block(struct ir_build *b, const struct lift_request *r);

/* Is there a lifter for this instruction? */
bool lift_supported(const struct x86_insn *insn);

#endif
