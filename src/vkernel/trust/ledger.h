/* Which bytes may be executed: the check of files against the ledger, and the record of refusals. */
#ifndef VKERNEL_TRUST_LEDGER_H
#define VKERNEL_TRUST_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct artifact_ledger;
struct file;

/* Where the code of a file is: its executable segments as pages, image-relative. */
enum { CODE_SEGMENTS = 16 };
struct code_extents {
    unsigned count;
    uint64_t low[CODE_SEGMENTS], high[CODE_SEGMENTS], offset[CODE_SEGMENTS]; /* offset: of low, in the file */
};

/* A file that may be executed. row->file_size is its size. */
struct verified {
    const struct artifact_ledger *row;
    struct code_extents code; /* read from the verified bytes */
    bool stable;              /* its host pages can not change (base layer): may be mapped; else use bytes */
    const uint8_t *bytes;     /* !stable: a private copy of the whole file, the one that was hashed */
    void *mapping;            /* freed by ledger_release */
};
/* What becomes of programs and libraries that are not in the ledger (--policy, --eval-unknown). Admitted ones are run
 * by the evaluator, from the copy that was hashed, and recorded; memory that was written is executable in no case. */
enum ledger_policy {
    LEDGER_ENFORCE,      /* refused */
    LEDGER_EVAL_UNKNOWN, /* admitted */
    LEDGER_AUDIT,        /* admitted, and each one said on standard error */
};
extern enum ledger_policy ledger_policy;

/* Verifies the file's bytes. 0, or -EACCES with an audit record that names the file and both hashes; what: "execve",
 * "mmap", "mprotect". */
int ledger_verify(struct file *f, const char *what, struct verified *out);
void ledger_release(struct verified *v);
/* Reads from the bytes that were verified; false: not all of them are there. */
bool ledger_read(struct file *f, const struct verified *v, void *to, size_t size, uint64_t offset);
/* The row for address placement only, not a permission: cheap for base-layer files; NULL when unknown or no ELF. */
const struct artifact_ledger *ledger_hint(struct file *f);
/* Image address of a page of the file; false: it is not of the file's code. */
bool ledger_image_address(const struct code_extents *code, uint64_t offset, uint64_t *address);

#endif
