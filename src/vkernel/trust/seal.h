/* Whether the artifact is what it was when all of it was last checked.
 *
 * Checking everything takes a tenth of a second for some hundred megabytes, so it is done once per file: a seal, kept by
 * the host outside of the artifact, says that the file with this device, inode, size, modification and change time
 * was found right. A write to the file changes one of them, on the file systems where platform/seals.c knows that; on
 * others, tmpfs above all, there are no seals. Who can forge the change time or the seals can replace the artifact as well.
 * Without a seal each start checks everything. */
#ifndef VKERNEL_TRUST_SEAL_H
#define VKERNEL_TRUST_SEAL_H

#include <stdbool.h>
#include <stdint.h>

struct seal {
    bool known; /* the file's identity could be read */
    uint64_t changed_ns;
    char name[64], text[256];
};

/* The file as it is now, before it is checked. header_sha256: part of the seal. */
void seal_make(struct seal *s, int fd, const uint8_t header_sha256[32]);
bool seal_is_kept(const struct seal *s);
/* After the check: keeps the seal, if the file is still the same. Best effort. */
void seal_keep(const struct seal *s, int fd, const uint8_t header_sha256[32]);

#endif
