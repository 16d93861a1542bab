/* The statement of `ingot attest`. */
#ifndef CLI_STATEMENT_H
#define CLI_STATEMENT_H

#include <jansson.h>

#include "cli/artifact_reader.h"

/* path: the image's, of which the statement has the name; builder: who built it. NULL when that is no UTF-8. */
json_t *statement_make(const struct artifact_view *v, const char *path, const char *builder);

#endif
