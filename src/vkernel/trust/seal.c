/* Seals: one small file per artifact in the folder of platform/seals.c, named by device and inode. */
#include "vkernel/trust/seal.h"

#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "platform/platform.h"

/* A file may change once more within the resolution of its times; it is sealed when it has been still for longer. */
#define STILL_NS (2 * UINT64_C(1000000000))

void
seal_make(struct seal *s, int fd, const uint8_t header_sha256[32])
{
    struct platform_identity id;
    char hex[SHA256_HEX_SIZE];
    struct sha256 h;

    *s = (struct seal){.known = platform_file_identity(fd, &id) == 0};
    if (!s->known)
        return;
    memcpy(h.bytes, header_sha256, sizeof h.bytes);
    sha256_hex(&h, hex);
    s->changed_ns = id.changed_ns > id.modified_ns ? id.changed_ns : id.modified_ns;
    snprintf(s->name, sizeof s->name, "%llx-%llx", (unsigned long long)id.device, (unsigned long long)id.inode);
    snprintf(s->text, sizeof s->text, "ingot seal 1\n%llu %llu %llu\n%s\n", (unsigned long long)id.size,
             (unsigned long long)id.modified_ns, (unsigned long long)id.changed_ns, hex);
}

bool
seal_is_kept(const struct seal *s)
{
    char found[sizeof s->text];
    long n = s->known ? platform_seal_read(s->name, found, sizeof found) : -1;

    return n == (long)strlen(s->text) && memcmp(found, s->text, (size_t)n) == 0;
}

void
seal_keep(const struct seal *s, int fd, const uint8_t header_sha256[32])
{
    struct seal now;

    seal_make(&now, fd, header_sha256);
    if (s->known && now.known && strcmp(s->text, now.text) == 0 &&
        s->changed_ns + STILL_NS <= platform_realtime_ns())
        platform_seal_write(s->name, s->text, strlen(s->text));
}
