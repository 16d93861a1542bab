/* The hash chain of an audit log (docs/formats.md): what the vkernel writes and `ingot audit verify` recomputes.
 *
 * A record is one line, a JSON object. Its last member is the chain:
 *
 *     {...,"ingot.chain":"64 hex digits"}
 *
 * with chain = SHA-256(chain of the run's record before, as 32 bytes; all bytes of the line before the comma in front
 * of "ingot.chain"). Before a run's first record the chain is all zero. So a changed, removed, added or moved record
 * breaks the chain of its run at that place. Cutting off the end does not: a complete run ends with a record of
 * AUDIT_ENDED. Who may write the file can compute a whole new chain; the last value, kept elsewhere, shows that. */
#ifndef ARTIFACT_AUDIT_CHAIN_H
#define ARTIFACT_AUDIT_CHAIN_H

#include <stddef.h>

#include "base/sha256.h"

#define AUDIT_CHAIN_MEMBER ",\"ingot.chain\":\""
#define AUDIT_CHAIN_END    "\"}"

#define AUDIT_STARTED "run-started"
#define AUDIT_ENDED   "run-ended"

enum {
    AUDIT_LINE_MAX = 16384, /* bytes of a record with its newline */
    AUDIT_TAIL_SIZE = sizeof AUDIT_CHAIN_MEMBER - 1 + SHA256_HEX_SIZE - 1 + sizeof AUDIT_CHAIN_END - 1,
};

/* The chain's next value, from its value before and the part of the line that is covered. */
void audit_chain_next(struct sha256 *chain, const char *covered, size_t size);

#endif
