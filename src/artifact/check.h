/* Recomputing everything of an artifact that has a hash: `ingot verify`, and the start of an artifact.
 *
 * Every byte of the file is answered for: the executable, the header, each section, each file's content; what is left
 * is padding and must be zero. Signatures are only skipped: whether one counts, who has a key decides
 * (cli/signature.h). Any bytes may be handed in: all offsets are checked. */
#ifndef ARTIFACT_CHECK_H
#define ARTIFACT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/format.h"

extern const char *const artifact_section_names[ARTIFACT_SECTION_COUNT];

/* Bytes of signatures and footer. */
static inline size_t
artifact_tail_size(const struct artifact_footer *f)
{
    return sizeof *f + (size_t)f->signature_count * sizeof(struct artifact_signature);
}

/* Called for each part that does not match, with a text that names it and, where it has one, both hashes. */
typedef void artifact_report(void *context, const char *text);

/* Footer, header and the header's hash, version, section bounds; *header points into the file, whose start is page
 * aligned. NULL, or what is wrong. */
const char *artifact_check_frame(const uint8_t *file, size_t size, struct artifact_footer *footer,
                                 const struct artifact_header **header);
/* One chunk of the file (ARTIFACT_CHUNK_SIZE bytes) against its hash; the header's own has none. */
bool artifact_chunk_matches(const uint8_t *chunk, size_t index, const uint8_t want[32], uint64_t payload_offset);
/* All of it. Returns the number of parts that do not match; files (may be NULL): how many files were compared. */
unsigned artifact_check(const uint8_t *file, size_t size, artifact_report *report, void *context, size_t *files);

#endif
