/* Archives as images have them: which are taken, and unpacking one that holds a whole image. */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include "base/err.h"

struct archive;

/* A reader of libarchive's for tar, plain or compressed with gzip, zstd, xz or bzip2, and for nothing else. */
struct archive *archive_reader(void);
/* The members that an OCI layout or a docker archive consists of, into an empty folder. */
int archive_unpack(const char *archive, const char *dir, struct err *e);

#endif
