/* Fuzzes the check of an artifact, and the vkernel's reader of it: the input is a payload whose hashes are made right,
 * as a hostile builder would. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/check.h"
#include "base/sha256.h"
#include "platform/platform.h"
#include "vkernel/image/artifact.h"
#include "vkernel/audit/audit.h"
#include "vkernel/image/seal.h"

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

/* --- what the reader wants of the vkernel --- */
static uint8_t *artifact_file;
static size_t artifact_size;
static volatile size_t read_total;

int64_t
platform_file_size(int fd)
{
    return (int64_t)artifact_size;
}

/* The view ends where the file does, for the sanitizer to see. */
void *
platform_map_view(int fd, uint64_t offset, size_t size)
{
    return artifact_file + offset;
}

void
platform_release(void *at, size_t size)
{
}

int
platform_discard(void *at, size_t size, int advice)
{
    return 0;
}

void
platform_close(int fd)
{
}

void
platform_die(const char *format, ...)
{
    abort();
}

void
audit_record(enum audit_category category, const char *action, int outcome, ...)
{
}

bool
seal_open(struct seal *s, int fd, const uint8_t root_digest[32], uint64_t *known, size_t count)
{
    return false;
}

void
seal_save(const struct seal *s, int fd, const uint8_t root_digest[32], const uint64_t *known, size_t count)
{
}

/* Everything that the vkernel asks of an artifact, about each inode and row. */
static size_t
read_artifact(void)
{
    char error[256];
    struct artifact *a = artifact_open(0, error, sizeof error);
    size_t sum = 0;

    if (!a)
        return 0;
    for (uint32_t i = 0; i < artifact_inode_count(a) && i < 1000; i++) {
        const struct artifact_inode *n = artifact_inode(a, i);
        const uint8_t *data = artifact_data(a, n);

        sum += strlen(artifact_symlink(a, n)) + artifact_lookup(a, n, "etc", 3) +
               (data && n->size ? data[n->size - 1] : 0);
        for (uint32_t k = 0; k < 100; k++) {
            const struct artifact_dirent *d = artifact_dirent(a, n, k);

            if (!d)
                break;
            sum += strlen(artifact_string(a, d->name)) + (artifact_inode(a, d->inode) != NULL);
        }
    }
    for (uint32_t i = 0; i < artifact_ledger_count(a) && i < 1000; i++) {
        const struct artifact_ledger *row = artifact_ledger(a, i);
        uint64_t map = artifact_code_map_offset(a, row);

        sum += artifact_ledger_find(a, row->sha256) != NULL;
        if (map && row->code_map_size)
            sum += artifact_file[map + row->code_map_size - 1];
    }
    artifact_close(a);
    return sum;
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
    artifact_file = file;
    artifact_size = total;
    read_total += read_artifact();
    free(file);
    return 0;
}
