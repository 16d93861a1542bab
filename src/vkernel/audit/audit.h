/* The audit log: what ran, what was refused, which limits were hit. One record is one line, a JSON object with the
 * field names of the Elastic Common Schema, and a hash chain (artifact/audit_chain.h); docs/formats.md has every action
 * and field.
 *
 * Records are written at once, so that nothing is lost when the container dies. The log is bounded under flood: more
 * than a burst of records of a kind and then a steady rate of them are counted instead of written, and the count is
 * written later. */
#ifndef VKERNEL_AUDIT_AUDIT_H
#define VKERNEL_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/audit_chain.h"

/* Where to: the path of a file (appended to), "fd:N" for an inherited descriptor, "journald" for the journal's socket.
 * Ends the process with a message when that cannot be opened. Before lock-down. A log that nobody reads, a full pipe,
 * stops the container until somebody does, so that nothing happens unrecorded; with `drop` it goes on, and what could
 * not be written is counted. */
void audit_open(const char *where, bool drop);
/* The first record: the command, the digest of the artifact's header, the lock-down's layers and those that the host
 * does not allow. */
void audit_start(const uint8_t root_digest[SHA256_SIZE], const char *layers, const char *missing, char *const *command);
/* The last record: exit status of the container. */
void audit_finish(int exit_status);

enum audit_category { AUDIT_PROCESS, AUDIT_FILE, AUDIT_NETWORK, AUDIT_CONFIGURATION };

/* A record in the making: one at a time, from audit_begin to audit_end, without a sleep between. When there is no log,
 * or no room in its rate, all calls do nothing. */
struct audit_entry {
    bool on, cut;
    size_t at; /* the line's bytes so far */
};
/* action: a constant word, as in docs/formats.md. outcome: did what the guest or ingot tried happen? */
void audit_begin(struct audit_entry *e, enum audit_category category, const char *action, bool outcome);
void audit_string(struct audit_entry *e, const char *field, const char *value); /* NULL or "": the field is left out */
void audit_number(struct audit_entry *e, const char *field, int64_t value);
void audit_hash(struct audit_entry *e, const char *field, const uint8_t hash[SHA256_SIZE]);
/* ends with NULL; cut off when too long */
void audit_list(struct audit_entry *e, const char *field, char *const *items);
void audit_end(struct audit_entry *e);

/* A whole record of strings: field, value pairs ended by NULL. */
/* outcome: a bool; va_start wants what it is promoted to. */
void audit_record(enum audit_category category, const char *action, int outcome, ...) __attribute__((sentinel));

extern uint64_t audit_refusals; /* counted with and without a log; for --stats */

#endif
