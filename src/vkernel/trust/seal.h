/* Whether the artifact is what it was when all of it was last checked.
 *
 * Checking everything takes a tenth of a second for some hundred megabytes, so it is done once per file: a seal, kept by
 * the host outside of the artifact, says that the file with this device, inode, size, modification and change time
 * was found right. Every way to change a file changes one of them; who can forge the change time or the seals can
 * replace the artifact as well. Without a place for seals each start checks everything. */
#ifndef VKERNEL_TRUST_SEAL_H
#define VKERNEL_TRUST_SEAL_H

#include <stdbool.h>
#include <stdint.h>

/* header_sha256: part of the seal. */
bool seal_valid(int fd, const uint8_t header_sha256[32]);
void seal_write(int fd, const uint8_t header_sha256[32]); /* best effort */

#endif
