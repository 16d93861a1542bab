/* A program or library to native code for x86-64 hosts: docs/direct.md. */
#ifndef DIRECT_UNIT_H
#define DIRECT_UNIT_H

#include "base/buf.h"
#include "base/err.h"
#include "elf/elf_image.h"
#include "discover/discover.h"

struct direct_result {
    struct buf object;  /* a relocatable ELF file; its symbols are KEY.0 and, undefined, the run time's and
                               env.code_base.KEY */
    struct buf entries; /* for the code map: pairs of u32, image-relative address and offset in the text, by
                               address */
};

/* key: of unit_symbol_key(). The buffers are the caller's to free, also on error. */
int direct_rewrite(const struct elf_image *image, const struct disc *d, const char *key, struct direct_result *out,
                   struct err *e);

/* Code without a file around it: runs of instructions, each a function that ends where its bytes do; whatever leads out
 * of them is the run time's. address: image-relative, below 1 GiB; in ascending order, without overlaps. */
struct direct_piece {
    uint64_t address, size;
    const uint8_t *bytes;
};
int direct_rewrite_pieces(const struct direct_piece *pieces, size_t count, const char *key, struct direct_result *out,
                          struct err *e);

#endif
