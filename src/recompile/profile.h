/* Profiles: what `ingot run --stats=FILE` recorded (docs/formats.md), read for the addresses at which the evaluator was
 * entered. They are further entry points of the ELF file with that hash. */
#ifndef RECOMPILE_PROFILE_H
#define RECOMPILE_PROFILE_H

#include "base/err.h"
#include "base/sha256.h"
#include "base/vec.h"

struct profile_entry {
    struct sha256 file;
    uint64_t address; /* image-relative */
};

struct profile {
    VEC(struct profile_entry) entries; /* sorted, each once, after profile_settle() */
};

/* Adds the records of a file. Its bytes may be anything. */
int profile_read(struct profile *p, const char *path, struct err *e);
void profile_settle(struct profile *p);
/* The entries of one file, as a slice of p->entries. */
const struct profile_entry *profile_of(const struct profile *p, const struct sha256 *file, size_t *count);
void profile_fini(struct profile *p);

#endif
