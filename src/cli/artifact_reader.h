/* Reading a built image from outside, for inspect and verify. The vkernel has its own reader (vkernel/trust): it must
 * not depend on the build side. */
#ifndef CLI_ARTIFACT_READER_H
#define CLI_ARTIFACT_READER_H

#include "artifact/check.h"
#include "base/err.h"
#include "base/file.h"

struct artifact_view {
    struct mapped file;
    struct artifact_header header;
    struct artifact_footer footer;
    const uint8_t *payload;
};

/* Checks the frame (footer, header and its hash, section bounds), not the contents. */
int artifact_open(struct artifact_view *v, const char *path, struct err *e);
int artifact_open_fd(struct artifact_view *v, int fd, const char *path, struct err *e); /* fd stays the caller's */
/* The same of a file that is in v->file already. */
int artifact_view_frame(struct artifact_view *v, struct err *e);
void artifact_close(struct artifact_view *v);

static inline const uint8_t *
artifact_section(const struct artifact_view *v, int id)
{
    return v->payload + v->header.sections[id].offset;
}
/* A string of STRINGS; "" when the offset is wild. */
const char *artifact_string(const struct artifact_view *v, uint32_t offset);

#endif
