/* Writing the artifact file (artifact/format.h): native executable + payload. */
#ifndef IMAGE_ARTIFACT_H
#define IMAGE_ARTIFACT_H

#include "artifact/format.h"
#include "base/err.h"
#include "image/source.h"
#include "x86/level.h"

/* One recompiled ELF, as the ledger wants it. Pointers stay the caller's. */
struct artifact_program {
    struct sha256 sha256, code_sha256, code_key;
    uint64_t file_size, base, low, high, text_bytes;
    uint64_t exec_low, exec_high; /* image-relative extent of its code */
    const uint64_t *entries;      /* image-relative, ascending: the function table's slice */
    uint32_t entry_count, table_base, function_count;
    uint64_t native_offset, native_size; /* its native code, in the executable file */
    uint64_t native_address;             /* of it, when the executable runs */
    const uint32_t *direct_entries;      /* direct backend: pairs of an image-relative address and an offset in the
                                            native code, by address */
    size_t direct_count;
};

struct artifact_input {
    const char *executable; /* path of the linked native executable */
    struct image *image;
    const struct artifact_program *programs; /* sorted by sha256 */
    size_t program_count;
    uint32_t table_size;
    enum artifact_backend backend;
    enum x86_level level;
    struct sha256 megabinary;
};

/* Writes out_path atomically, mode 0755. */
int artifact_write(const struct artifact_input *in, const char *out_path, struct err *e);

#endif
