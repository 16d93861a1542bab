/* From addresses to blocks of one function. */
#ifndef IR_BLOCK_MAP_H
#define IR_BLOCK_MAP_H

#include "ir/ir.h"

#define IR_NO_BLOCK UINT32_MAX

struct ir_block_map {
    const struct ir_func *f;
    uint32_t *slots; /* open addressing: block index + 1 */
    uint32_t mask;
};

void ir_block_map_init(struct ir_block_map *m, const struct ir_func *f);
void ir_block_map_fini(struct ir_block_map *m);
/* The block that starts at address, or IR_NO_BLOCK. */
uint32_t ir_block_find(const struct ir_block_map *m, uint64_t address);
/* Calls reach (may be NULL) for each block of the function that the terminator names as where control goes, or goes on
 * behind a call or the kernel. True: it names an address that is none. */
bool ir_each_successor(const struct ir_block_map *m, const struct ir_terminator *t,
                       void (*reach)(void *context, uint32_t block), void *context);

/* Where it goes is known at run time only: to any label of the function, or elsewhere. */
static inline bool
ir_goes_to_labels(const struct ir_terminator *t)
{
    return t->kind == IR_T_JUMP_INDIRECT || (t->kind == IR_T_SWITCH && t->next == IR_NO_ADDRESS);
}

#endif
