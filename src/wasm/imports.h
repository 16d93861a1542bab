/* What a code object may import, with which types (the table is docs/formats.md's): names become symbols, and to the
 * linker a symbol has no type. A helper called with other arguments than it has, or a register taken for a wider one,
 * would be a way out of the instance that the validator does not see. */
#ifndef WASM_IMPORTS_H
#define WASM_IMPORTS_H

#include "wasm/reader.h"

/* intrinsic.* is left to aot, which alone knows what it makes of them. */
int wasm_check_imports(const struct wasm_module *m, struct err *e);
/* The same of a code object's bytes. */
int wasm_check_object_imports(const void *object, size_t size, struct err *e);

#endif
