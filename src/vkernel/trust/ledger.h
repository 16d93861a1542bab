/* Which bytes may be executed: the check of files against the ledger, and the record of refusals. */
#ifndef VKERNEL_TRUST_LEDGER_H
#define VKERNEL_TRUST_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct artifact_ledger;
struct file;

/* A file that may be executed. Valid until the next call: copy what is needed. */
struct verified {
    const struct artifact_ledger *row;
    bool stable;          /* its host pages can not change (base layer): may be mapped; else use bytes */
    const uint8_t *bytes; /* !stable: a private copy of the whole file, the one that was hashed... */
    size_t size;          /* ...and its size; freed by ledger_release */
    void *mapping;
};
/* Verifies the file's bytes. 0, or -EACCES with an audit record that names the file and both hashes; what: "execve",
 * "mmap", "mprotect". */
int ledger_verify(struct file *f, const char *what, struct verified *out);
void ledger_release(struct verified *v);
/* The row for address placement only, not a permission: cheap for base-layer files; NULL when unknown or no ELF. */
const struct artifact_ledger *ledger_hint(struct file *f);
/* Image address of a file offset, from the program headers of a verified or hinted file; false: in no segment. */
bool ledger_image_address(struct file *f, uint64_t offset, uint64_t *address);

#endif
