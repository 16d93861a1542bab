/* The verifier of rewritten code (docs/direct.md, "The verifier"): what of the direct backend is to be trusted. It
 * reads nothing but the finished code of a unit and what belongs to it, in one pass over all bytes of the text, and
 * knows nothing of the rewriter but the forms that code must have. What it accepts cannot leave the guest's memory,
 * whoever made it. */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/direct_map.h"
#include "base/err.h"

/* Bytes, and where they are when the executable runs; it does not change them. */
struct verify_range {
    const uint8_t *bytes;
    uint64_t address, size;
};

struct verify_unit {
    struct verify_range text, map, index; /* of struct direct_unit; map and index: the address does not matter */
    struct verify_range tables;           /* constant data in which all tables of labels lie */
    uint64_t entries[DIRECT_ENTRY_COUNT]; /* of the run time */
};

/* Where instructions begin in the text that anything may lead to: one bit per byte. */
struct verify_places {
    uint64_t *bits;
    uint64_t address; /* of the text */
    uint32_t size;
};

/* The level of x86/level.h says which instructions there are. places: the caller's to free, by verify_places_fini(),
 * also on error. The message names the host address, the bytes there and the rule. Any bytes are allowed. */
int verify_unit(const struct verify_unit *u, struct verify_places *places, struct err *e);
void verify_places_fini(struct verify_places *places);
/* Is there a place at this host address, as the code map's entries must have? */
bool verify_leads_to_place(const struct verify_places *places, uint64_t address);

/* Told of each problem. program: the ledger's hash of the file whose code or code map it is in, or NULL: no program is
 * known for it. */
typedef void verify_report(void *context, const uint8_t *program, const char *text);
/* All units of a linked executable: that they lie in memory that is not written, too. Returns how many problems there
 * are. units: how many were looked at (may be NULL). Any bytes are allowed; they are aligned to 8. */
unsigned verify_executable(const uint8_t *file, size_t size, verify_report *report, void *context, unsigned *units);
/* All units of an artifact whose backend is direct, and its code maps too. Sets the level to the artifact's. */
unsigned verify_artifact(const uint8_t *file, size_t size, verify_report *report, void *context, unsigned *units);

/* A relocatable object of one unit, as it goes to the linker: exactly the sections, symbols and kinds of relocations
 * that a unit has, whose text is KEY.0. What is in text, map, tables and index, and what relocations add to it, is for
 * the others to judge, when it is linked. Any bytes are allowed. */
int verify_object(const uint8_t *file, size_t size, const char *key, struct err *e);

#endif
