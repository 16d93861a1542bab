/* The artifact that this process runs from: opened and mapped once at start.
 *
 * The header's hash stands in the footer, the hash of the chunk hashes in the header. What describes the image (config,
 * inodes, names, ledger) and the vkernel itself are compared with their chunk hashes at start; file contents, code maps
 * and programs' native code when they are used for the first time (artifact_use). What a run found right the next one
 * need not compare (seal.h). All accessors check their index: they never read out of bounds whatever the bytes say. */
#ifndef VKERNEL_IMAGE_ARTIFACT_H
#define VKERNEL_IMAGE_ARTIFACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/format.h"

struct artifact;

/* Opens the artifact in the file of this descriptor (taken over). NULL: a message (which part is wrong and how) is in
 * error. */
struct artifact *artifact_open(int fd, char *error, size_t error_size);
/* Of one that nothing uses: a process that runs from an artifact keeps it. */
void artifact_close(struct artifact *a);
/* The hash of its header, and so of everything in it. */
const uint8_t *artifact_digest(const struct artifact *a);
const struct artifact_header *artifact_header(const struct artifact *a);

const char *artifact_config(const struct artifact *a, size_t *size);

/* Inode 0 is the root directory. NULL when there is no such inode. */
const struct artifact_inode *artifact_inode(const struct artifact *a, uint32_t index);
uint32_t artifact_inode_count(const struct artifact *a);
/* The n-th entry of a directory's sorted run; NULL past its end. */
const struct artifact_dirent *artifact_dirent(const struct artifact *a, const struct artifact_inode *dir, uint32_t n);
/* Binary search in a directory: inode index or ARTIFACT_NONE. name need not be terminated. */
uint32_t artifact_lookup(const struct artifact *a, const struct artifact_inode *dir, const char *name, size_t length);
/* A terminated string at an offset of STRINGS; "" when out of range. */
const char *artifact_string(const struct artifact *a, uint64_t offset);
/* Symlink target. */
const char *artifact_symlink(const struct artifact *a, const struct artifact_inode *inode);

/* To be called before bytes of the artifact's file are used, in place or through a mapping of the host descriptor:
 * compares the chunks they lie in with their hashes, once. When one does not match, the process ends with a message
 * that names the part and both hashes. offset, size: in the file; what lies behind its end is nobody's. */
void artifact_use(const struct artifact *a, uint64_t offset, uint64_t size);
/* Remembers what was found right, for later runs. */
void artifact_remember(const struct artifact *a);

/* Content of a regular file: the bytes, mapped read-only for the artifact's life (NULL when out of range), and where
 * they are in the host file, for mappings. The offset is page aligned; bytes after the end up to the page's end are 0.
 * Not compared yet: artifact_use. */
const uint8_t *artifact_data(const struct artifact *a, const struct artifact_inode *inode);
int artifact_host_fd(const struct artifact *a);
uint64_t artifact_data_offset(const struct artifact *a, const struct artifact_inode *inode);

const struct artifact_ledger *artifact_ledger(const struct artifact *a, uint32_t index);
uint32_t artifact_ledger_count(const struct artifact *a);
/* By content hash; NULL: unknown file. */
const struct artifact_ledger *artifact_ledger_find(const struct artifact *a, const uint8_t sha256[32]);
/* File offset of code map bytes of a row in the host file. */
uint64_t artifact_code_map_offset(const struct artifact *a, const struct artifact_ledger *row);

/* The one this process runs from. */
extern struct artifact *the_artifact;

#endif
