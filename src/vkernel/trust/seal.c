/* Seals: one small file per artifact in platform_seal_dir(), named by device and inode. */
#include "vkernel/trust/seal.h"

#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "platform/platform.h"

/* A file may change once more within the resolution of its times; it is sealed when it has been still for longer. */
#define STILL_NS (2 * UINT64_C(1000000000))

struct seal {
    char name[64];
    char text[256];
};

static bool
make_seal(int fd, const uint8_t header_sha256[32], struct seal *s, struct platform_identity *id)
{
    char hex[SHA256_HEX_SIZE];
    struct sha256 h;

    if (platform_file_identity(fd, id) < 0)
        return false;
    memcpy(h.bytes, header_sha256, sizeof h.bytes);
    sha256_hex(&h, hex);
    snprintf(s->name, sizeof s->name, "%llx-%llx", (unsigned long long)id->device, (unsigned long long)id->inode);
    snprintf(s->text, sizeof s->text, "ingot seal 1\n%llu %llu %llu\n%s\n", (unsigned long long)id->size,
             (unsigned long long)id->modified_ns, (unsigned long long)id->changed_ns, hex);
    return true;
}

bool
seal_valid(int fd, const uint8_t header_sha256[32])
{
    struct platform_identity id;
    struct seal s;
    char found[sizeof s.text];
    long n;

    if (!make_seal(fd, header_sha256, &s, &id))
        return false;
    n = platform_seal_read(s.name, found, sizeof found);
    return n == (long)strlen(s.text) && memcmp(found, s.text, (size_t)n) == 0;
}

void
seal_write(int fd, const uint8_t header_sha256[32])
{
    struct platform_identity id;
    uint64_t now = platform_realtime_ns();
    struct seal s;

    if (!make_seal(fd, header_sha256, &s, &id) || id.changed_ns + STILL_NS > now || id.modified_ns + STILL_NS > now)
        return;
    platform_seal_write(s.name, s.text, strlen(s.text));
}
