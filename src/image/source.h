/* Where images come from: SOURCE of `ingot build`. */
#ifndef IMAGE_SOURCE_H
#define IMAGE_SOURCE_H

#include <jansson.h>

#include "base/err.h"
#include "image/tree.h"

struct image {
    struct tree tree;
    json_t *config; /* as config.h */
    json_t *origin; /* what it was made from: "kind", and of an image the digests "manifest" (OCI only) and "config" */
    char kind[64];  /* "OCI image layout", "docker archive", "root filesystem" */
};

/* source: OCI layout (folder or .tar), docker-save archive, or root filesystem folder; "PATH:TAG" picks a manifest.
 * work_dir: folder for temporary files. */
int image_load(struct image *im, const char *source, const char *work_dir, struct err *e);
void image_fini(struct image *im);

/* --- layers: image/layer.c --- */
/* Applies one layer (tar, plain or compressed with gzip, zstd, xz, bzip2) with whiteouts and opaque directories. */
int layer_apply(struct tree *t, const char *path, struct err *e);
/* --- root filesystem folders: image/rootfs.c --- */
int rootfs_load(struct tree *t, const char *path, struct err *e);

#endif
