/* The passes. Private to src/ir. */
#ifndef IR_PASS_H
#define IR_PASS_H

#include "ir/ir.h"

/* Sets X86_S_STACK. */
void ir_pass_stack(struct ir_func *f, const struct ir_pipeline *p);

/* Removes SETs that nobody reads and operations that nobody uses; fills flags_dead. */
void ir_pass_dead(struct ir_func *f, const struct ir_pipeline *p);

#endif
