/* What the build says about one ELF: kept beside its code object in the cache, shown by `ingot build --report`. */
#ifndef RECOMPILE_REPORT_H
#define RECOMPILE_REPORT_H

#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "discover/gap.h"

struct disc;
struct elf_image;

struct elf_report { /* the numbers of it that are shown; nothing is laid out by them: they may come from the cache */
    uint64_t exec_bytes, covered_bytes, gap_bytes[DISC_GAP_KIND_COUNT];
    uint32_t functions, unresolved_jumps;
    uint64_t wasm_bytes;
    const char *unlifted; /* "fyl2x 3, int 1": instruction kinds without lifter and how often; of detail */
    json_t *detail;       /* all of it: docs/formats.md, "Build report"; owned */
};

void report_make(struct elf_report *report, const struct disc *d, const struct elf_image *image, uint64_t wasm_bytes);
/* From detail, which the report then owns. Negative when it has not the right form or numbers that none can have. */
int report_read(struct elf_report *report, json_t *detail);
void report_fini(struct elf_report *report);

#endif
