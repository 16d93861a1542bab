/* Fuzzes the check of an artifact: the input is a payload whose hashes are made right, as a hostile builder would. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/check.h"
#include "base/sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGE = 4096, START = ARTIFACT_CHUNK_SIZE /* of the payload */ };

static void
count(void *context, const char *text)
{
    *(size_t *)context += strlen(text);
}

/* When their section is where and as large as it has to be. */
static void
hash_chunks(uint8_t *file, const struct artifact_header *h)
{
    const struct artifact_section *s = &h->sections[ARTIFACT_CHUNKS];
    uint64_t count = (START + s->offset) / ARTIFACT_CHUNK_SIZE;
    struct sha256 hash;

    if (s->offset < ARTIFACT_CHUNK_SIZE || s->offset % ARTIFACT_CHUNK_SIZE != 0 || s->offset > h->payload_size ||
        s->size > h->payload_size - s->offset || s->size != count * SHA256_SIZE)
        return;
    for (uint64_t i = 0; i < count; i++) {
        sha256_of(file + i * ARTIFACT_CHUNK_SIZE, ARTIFACT_CHUNK_SIZE, &hash);
        if (i * ARTIFACT_CHUNK_SIZE != START)
            memcpy(file + START + s->offset + i * SHA256_SIZE, hash.bytes, sizeof hash.bytes);
    }
}

static void
make_hashes(uint8_t *file, size_t total, struct artifact_header *h)
{
    struct artifact_footer footer = {.magic = ARTIFACT_MAGIC, .payload_offset = START, .file_size = total};
    struct sha256 hash;

    h->magic = ARTIFACT_MAGIC;
    h->version = ARTIFACT_VERSION;
    h->section_count = ARTIFACT_SECTION_COUNT;
    h->payload_size = total - START - sizeof footer;
    hash_chunks(file, h);
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        struct artifact_section *s = &h->sections[i];

        if (s->offset > h->payload_size || s->size > h->payload_size - s->offset)
            continue;
        sha256_of(file + START + s->offset, s->size, &hash);
        /* A section that holds the header would have to hold its own hash. */
        if (s->offset >= sizeof *h)
            memcpy(s->sha256, hash.bytes, sizeof hash.bytes);
    }
    sha256_of(h, sizeof *h, &hash);
    memcpy(footer.header_sha256, hash.bytes, sizeof hash.bytes);
    memcpy(file + total - sizeof footer, &footer, sizeof footer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t total = START + size + sizeof(struct artifact_footer), texts = 0, files;
    uint8_t *file;

    if (size < sizeof(struct artifact_header))
        return 0;
    /* Exactly as long as the file, so that a byte too far is seen. */
    if (posix_memalign((void **)&file, PAGE, total))
        abort();
    memset(file, 0, START);
    memcpy(file + START, data, size);
    make_hashes(file, total, (struct artifact_header *)(void *)(file + START));
    artifact_check(file, total, count, &texts, &files);
    free(file);
    return 0;
}
