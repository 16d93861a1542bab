/* Simplification of one operation, for the builder. Private to src/ir. */
#ifndef IR_FOLD_H
#define IR_FOLD_H

#include "ir/ir.h"

/* A value equal to the operation, simplified, or IR_NO_VALUE when it must be added as it is (op may have
 * been rewritten in place to a better form). May add operations through the builder. */
ir_value ir_fold(struct ir_build *b, struct ir_op *op);

/* Adds without simplification, but shared with an equal operation. */
ir_value ir_emit(struct ir_build *b, const struct ir_op *op);

#endif
