/* The content-addressed cache of code objects and native objects (DESIGN D2).
 *
 *   DIR/objects/KEY.wasm   the code object of one ELF file
 *   DIR/objects/KEY.json   what the report says about it
 *   DIR/native/KEY.N.o     part N of its native object
 *   DIR/native/KEY.parts   how many parts there are: written last, so its presence means all are there
 *
 * docs/formats.md, "Cache", lists all kinds of entries and says what goes into each KEY.
 *
 * Beside each stands KEY.SUFFIX.sum, the SHA-256 of the file's content in hex. An entry counts only when it has one
 * that matches, belongs to us or root, and nobody else may write to it; any other is removed with a warning and made
 * anew. The folders must be closed to others' writing as well. That guards against damage and against others on the
 * machine, not against programs of the same user.
 *
 * Files enter by rename, so a killed build leaves only whole files and temporary ones (base/temporary.h),
 * which the next build removes when their process is gone. Several builds may share a cache. */
#ifndef RECOMPILE_CACHE_H
#define RECOMPILE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/sha256.h"

struct cache {
    char *dir; /* owned */
};

/* dir NULL: $XDG_CACHE_HOME/ingot or $HOME/.cache/ingot. Creates the folders; fails when others may write to them. */
int cache_open(struct cache *c, const char *dir, struct err *e);
void cache_close(struct cache *c);

/* Path of an entry, e.g. cache_path(c, "native", key, ".3.o"); the caller frees. */
char *cache_path(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix);
/* Reads and checks the whole entry. */
bool cache_has(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix);
int cache_put(const struct cache *c, const char *kind, const struct sha256 *key, const char *suffix, const void *data,
              size_t size, struct err *e);

#endif
