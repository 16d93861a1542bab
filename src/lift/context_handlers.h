/* Does a program have signal handlers that look at the registers of what they interrupted? */
#ifndef LIFT_CONTEXT_HANDLERS_H
#define LIFT_CONTEXT_HANDLERS_H

#include "lift/discover.h"

/* True for Go programs, whose runtime turns faults into panics, and when some function both installs a handler for the
 * signal of a fault and takes the address of a function that looks at the registers in its third argument, the context,
 * hands it on to one that does, or throws an exception. A guess: faults of such a file are made precise, which costs
 * speed. A handler that was missed ends its process with a message (vkernel/run/faults.c). */
bool lift_has_context_handlers(const struct disc *d, const struct elf_image *image);

#endif
