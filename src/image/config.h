/* What an image says about how to run it: the part of the OCI image config that a runtime uses. */
#ifndef IMAGE_CONFIG_H
#define IMAGE_CONFIG_H

#include <jansson.h>

#include "base/err.h"

/* Takes Entrypoint, Cmd, Env, WorkingDir, User, Hostname... from an OCI / docker image config document and checks their
 * types; the result is a new JSON object (docs/formats.md) with exactly the keys
 * Entrypoint, Cmd, Env (arrays of strings), WorkingDir, User (strings), StopSignal when given. */
json_t *config_from_image(const json_t *document, struct err *e);
/* For a bare root file system: /bin/sh and docker's default PATH. */
json_t *config_default(void);
/* The bytes of the artifact's CONFIG section: compact, keys sorted. Caller frees with free(). */
char *config_text(const json_t *config);

#endif
