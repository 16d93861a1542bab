/* What the functions that were made of loops (disc_func.loop) may assume: that a register which the loop only reads has
 * the constant that it has whenever control comes to the loop from the function around it. Without that such a function
 * knows nothing that was computed before the loop. The address of a table is worth most, because a compiler that knows
 * it can address the table's memory in one instruction. Code generation compares the registers at the function's
 * entry. */
#ifndef DISCOVER_LOOP_FACTS_H
#define DISCOVER_LOOP_FACTS_H

#include "ir/ir.h"
#include "discover/discover.h"

struct loop_fact {
    uint64_t loop; /* the address of its header */
    struct ir_assumption assumption;
};

struct loop_facts {
    VEC(struct loop_fact) items; /* sorted by the loop's address */
};

/* f and its builder b are memory to work in; what they have is lost. */
void loop_facts_collect(struct loop_facts *facts, const struct disc *d, const struct elf_image *image,
                        struct ir_func *f, struct ir_build *b);
/* Adds what was found for the function to its IR, as assumptions. */
void loop_facts_apply(const struct loop_facts *facts, struct ir_func *f);
void loop_facts_fini(struct loop_facts *facts);

#endif
