/* Does a file have signal handlers that look at the registers of the code that they interrupted? Linux hands these to a
 * handler in a structure, the context, which is its third argument. */
#ifndef DISCOVER_CONTEXT_HANDLERS_H
#define DISCOVER_CONTEXT_HANDLERS_H

#include "discover/discover.h"

/* True for Go programs, whose runtime turns faults into panics. Else true when some function both installs a handler
 * for the signal of a fault and takes the address of a function that might be this handler: one that looks at the
 * registers in the context, hands the context to a function that does, or throws an exception, which unwinds the frame
 * that faulted. This is a guess. When it is true for nothing, the faults of the file are made precise without need,
 * which costs speed. When it misses a handler, that ends its process with a message (vkernel/run/faults.c). */
bool lift_has_context_handlers(const struct disc *d, const struct elf_image *image);

#endif
