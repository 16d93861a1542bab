/* Reading an audit log (docs/formats.md), which may be anything: whoever can write it may have done so. */
#ifndef CLI_AUDIT_LOG_H
#define CLI_AUDIT_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include "base/sha256.h"

/* Recomputes the hash chain of each run in it. Writes to out, where something was changed, removed, added or moved, or
 * that nothing was; returns the number of such places. name: of the log, for the text. unfinished: runs need no end.
 * last: what the chain's last value must be, or NULL. */
unsigned long audit_log_verify(FILE *log, const char *name, bool unfinished, const struct sha256 *last, FILE *out);

#endif
