/* The native link: native objects + vkernel -> one static executable. */
#ifndef RECOMPILE_LINK_H
#define RECOMPILE_LINK_H

#include "recompile/recompile.h"

/* Fills table_base and entry_count of every unit, writes the megabinary to *megabinary (appended). */
int link_megabinary(struct recompile *r, struct buf *megabinary, uint32_t *table_size, struct err *e);
/* Links the executable to out. runtime_dir: holds libvkernel.a and the C library it stands on. */
int link_executable(struct recompile *r, const char *runtime_dir, uint32_t table_size, const char *out, struct err *e);
/* Fills native_offset, native_size and native_address of every unit from the linked executable. */
int link_native_ranges(struct recompile *r, const char *executable, struct err *e);
/* Where the runtime lies: $INGOT_RUNTIME, beside the running program (build tree), or the installed place. */
char *link_runtime_dir(struct err *e);

#endif
