/* Which blocks of a function an analysis has to look at again: each at most once at a time, the lowest or the highest
 * first. */
#ifndef IR_WORKLIST_H
#define IR_WORKLIST_H

#include <stdbool.h>
#include <stdint.h>

struct ir_worklist {
    uint64_t *bits;
    uint32_t words, at; /* at: no word before it, in the order of taking, has a bit */
    bool highest_first;
};

/* For the numbers below count; none is in it. ir_worklist_fini() frees what it allocates. */
void ir_worklist_init(struct ir_worklist *l, uint32_t count, bool highest_first);
void ir_worklist_fini(struct ir_worklist *l);
void ir_worklist_put(struct ir_worklist *l, uint32_t number);
/* Takes one out; false: it is empty. */
bool ir_worklist_take(struct ir_worklist *l, uint32_t *number);

#endif
