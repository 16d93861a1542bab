/* A unit of rewritten code that the loader (../aot/loader.h) has put into this process, whose run time is
 * platform/direct.S. */
#ifndef TESTS_VERIFY_LOADED_H
#define TESTS_VERIFY_LOADED_H

#include <stdbool.h>
#include <stdint.h>

#include "artifact/direct_map.h"
#include "verify/verify.h"

/* Symbols of the objects that direct makes; a loader_resolve but for its context. image_base: where relative addresses
 * of the code lie. */
bool loaded_symbol(const char *name, uint64_t image_base, uint64_t *value);
/* As the verifier has it, without tables. */
struct verify_unit loaded_unit(const struct direct_unit *u);

#endif
