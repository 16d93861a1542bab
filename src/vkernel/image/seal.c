/* Seals: one small file per artifact in the folder of platform/seals.c, named by device and inode. */
#include "vkernel/image/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "platform/heap.h"

/* A file may change once more within the resolution of its times; what is known of it is kept when it has been still
 * for longer. */
#define STILL_NS (2 * UINT64_C(1000000000))

struct record {
    char magic[16];
    uint64_t size, modified_ns, changed_ns, chunk_count;
    uint8_t root_digest[32];
    uint8_t sum[32]; /* SHA-256 of all, with zeros here, and of the bits that follow: two runs may write at once */
};
#define MAGIC "ingot seal 2\n\0\0"

static size_t
bits_size(size_t count)
{
    return (count + 63) / 64 * sizeof(uint64_t);
}

static struct record
make_record(const struct platform_identity *id, const uint8_t root_digest[32], const uint64_t *known, size_t count)
{
    struct record r = {.magic = MAGIC,
                       .size = id->size,
                       .modified_ns = id->modified_ns,
                       .changed_ns = id->changed_ns,
                       .chunk_count = count};
    struct sha256 sum;

    memcpy(r.root_digest, root_digest, sizeof r.root_digest);
    sha256_of_two(&r, sizeof r, known, bits_size(count), &sum);
    memcpy(r.sum, sum.bytes, sizeof r.sum);
    return r;
}

bool
seal_parse(const void *text, size_t size, const struct platform_identity *id, const uint8_t root_digest[32],
           uint64_t *known, size_t count)
{
    struct record have, want;

    if (size < sizeof have + bits_size(count)) /* an older one, of a larger file, may have left more */
        return false;
    memcpy(&have, text, sizeof have);
    memcpy(known, (const uint8_t *)text + sizeof have, bits_size(count));
    want = make_record(id, root_digest, known, count);
    if (memcmp(&have, &want, sizeof have) == 0)
        return true;
    memset(known, 0, bits_size(count));
    return false;
}

static bool
read_bits(const struct seal *s, const uint8_t root_digest[32], uint64_t *known, size_t count)
{
    size_t size = sizeof(struct record) + bits_size(count);
    void *text = bytes_new(size);
    long n = text ? platform_read_at(s->fd, text, size, 0) : 0;
    bool right = n > 0 && seal_parse(text, (size_t)n, &s->id, root_digest, known, count);

    bytes_free(text);
    return right;
}

bool
seal_open(struct seal *s, int artifact_fd, const uint8_t root_digest[32], uint64_t *known, size_t count)
{
    uint64_t changed;
    char name[64];

    *s = (struct seal){.fd = -1};
    if (platform_file_identity(artifact_fd, &s->id) < 0)
        return false;
    changed = s->id.changed_ns > s->id.modified_ns ? s->id.changed_ns : s->id.modified_ns;
    if (changed + STILL_NS > platform_realtime_ns())
        return false;
    snprintf(name, sizeof name, "%llx-%llx", (unsigned long long)s->id.device, (unsigned long long)s->id.inode);
    s->fd = platform_seal_open(name);
    return s->fd >= 0 && read_bits(s, root_digest, known, count);
}

void
seal_save(const struct seal *s, int artifact_fd, const uint8_t root_digest[32], const uint64_t *known, size_t count)
{
    struct platform_identity now;
    size_t size = sizeof(struct record) + bits_size(count);
    struct record r;
    uint8_t *file;

    if (s->fd < 0 || platform_file_times(artifact_fd, &now) < 0 || memcmp(&now, &s->id, sizeof now) != 0)
        return;
    file = bytes_new(size);
    if (!file)
        return;
    r = make_record(&now, root_digest, known, count);
    memcpy(file, &r, sizeof r);
    memcpy(file + sizeof r, known, size - sizeof r);
    platform_write_at(s->fd, file, size, 0);
    bytes_free(file);
}
