/* The relocatable ELF file of a rewritten program or library. */
#ifndef DIRECT_OBJECT_H
#define DIRECT_OBJECT_H

#include "base/err.h"
#include "direct/rewrite.h"

struct object_input {
    const char *key;
    const struct buf *text, *map, *index, *tables;
};

int object_write(const struct rewriter *w, const struct object_input *in, struct buf *out, struct err *e);

#endif
