/* What of the artifact has been compared with its hashes by an earlier run, so that it need not be again.
 *
 * A seal is a small file of the host's, outside of the artifact: which chunks of the file with this device, inode,
 * size, modification and change time were found right. A write to the file changes one of these, on the file systems
 * where platform/seals.c knows that; on others, tmpfs above all, there are no seals. Who can forge the change time or
 * the seals can replace the artifact as well. Without a seal each run compares what it uses. */
#ifndef VKERNEL_IMAGE_SEAL_H
#define VKERNEL_IMAGE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/platform.h"

struct seal {
    int fd;                      /* of the seal's file; -1: nothing is remembered */
    struct platform_identity id; /* the artifact's when it was opened */
};

/* Sets the bits of `known` whose chunks an earlier run found right, and opens the seal's file while files can be opened
 * still. root_digest: the header's hash, part of the seal. known: (count + 63) / 64 words, zero. True: there is a seal,
 * so the chunk hashes themselves have been compared with the header. */
bool seal_open(struct seal *s, int artifact_fd, const uint8_t root_digest[32], uint64_t *known, size_t count);
/* The same from the content of a seal's file, for the artifact with this identity. */
bool seal_parse(const void *text, size_t size, const struct platform_identity *id, const uint8_t root_digest[32],
                uint64_t *known, size_t count);
/* Remembers the bits, if the artifact is still the same. Best effort. */
void seal_save(const struct seal *s, int artifact_fd, const uint8_t root_digest[32], const uint64_t *known,
               size_t count);

#endif
