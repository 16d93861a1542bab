/* Which of an index's manifests are the image (OCI image spec 1.1, image-index.md and manifest.md). */
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include <stdbool.h>

#include <jansson.h>

/* amd64, also by the name that uname has for it. NULL and "" mean that nothing was said, which is taken as amd64. */
bool manifest_architecture_fits(const char *architecture);

/* How well what a descriptor of an index says of its platform fits linux/amd64 of x86-64-v2: 0 not at all, more is
 * better. An architecture without a variant is the first version. Code for later versions than v2 may need
 * instructions that an artifact does not have by default, so that it comes last. */
int manifest_platform_rank(const json_t *descriptor);

/* Whether a document is an image's manifest, or an index, and no signature, attestation or other artifact that lies in
 * the same layout. */
bool manifest_is_image(const json_t *descriptor, const json_t *document);

#endif
