/* What the functions made of loops (disc_func.loop) may take for granted: constants that registers hold whenever
 * control comes to the loop from the function it is part of, and that the loop only reads. An address of a table is
 * worth most: the compiler needs it to address memory in one instruction. */
#ifndef LIFT_LOOP_FACTS_H
#define LIFT_LOOP_FACTS_H

#include "ir/ir.h"
#include "lift/discover.h"

struct loop_fact {
    uint64_t loop; /* its address */
    struct ir_assumption assumption;
};

struct loop_facts {
    VEC(struct loop_fact) items; /* by address */
};

/* f and b are scratch. */
void loop_facts_collect(struct loop_facts *facts, const struct disc *d, const struct elf_image *image,
                        struct ir_func *f, struct ir_build *b);
/* Adds those of the function to its IR. */
void loop_facts_apply(const struct loop_facts *facts, struct ir_func *f);
void loop_facts_fini(struct loop_facts *facts);

#endif
