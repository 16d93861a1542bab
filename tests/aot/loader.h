/* Compiled code in the process of a test: what aot makes of a code object, at low addresses, as the small code model
 * wants it, and what direct rewrites. Knows the sections and relocations that LLVM and direct/object.c make for it. */
#ifndef TESTS_AOT_LOADER_H
#define TESTS_AOT_LOADER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { LOADER_AT = 0x20000000, LOADER_SIZE = 64 << 20 };

/* The value of a symbol that the code does not define itself. table_entries: in this object. */
typedef bool (*loader_resolve)(void *context, const char *name, uint32_t table_entries, uint64_t *value);

struct loaded {
    const void *const *table;
    uint32_t table_entries;
};

/* Reserves the place; may be called again. */
int loader_init(struct err *e);
/* Everything that was loaded is gone; the place is writable again. */
void loader_clear(void);
/* Compiles all parts and puts them behind what was loaded before. key: makes the names of its symbols, see aot.h; those
 * of what is loaded together must differ. "__start_ingot_table" is this object's table. */
int loader_load(const uint8_t *module, size_t size, const char *key, loader_resolve resolve, void *context,
                struct loaded *out, struct err *e);
/* A relocatable object as it is. *at: where its section of that name has come to lie. */
int loader_place(const struct buf *object, const char *section, loader_resolve resolve, void *context, uint64_t *at,
                 struct err *e);
/* How far it is filled. */
uint64_t loader_end(void);

#endif
