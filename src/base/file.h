/* Whole files: mapping them to read, writing them so that they appear complete or not at all. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Read-only private mapping; size 0 gives a valid empty mapping. A mapping that failed is zero, and may be unmapped. */
struct mapped {
    const uint8_t *data;
    size_t size;
};
/* To read a regular file; the descriptor, or -1 with a message that names the path. */
int file_open(const char *path, struct err *e);
int file_map(const char *path, struct mapped *m, struct err *e);
int file_map_fd(int fd, const char *path, struct mapped *m, struct err *e); /* path: for the message */
void file_unmap(struct mapped *m);
/* Writes path atomically (temporary file in the same folder, fsync not needed: contents are checked by hash). */
int file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, struct err *e);
/* All of it, or -1 with errno. */
int file_write_all(int fd, const void *data, size_t size);

#endif
