/* Fuzzes what reads keys, signatures and statements. The first byte chooses: a key in PEM form, which may be anything;
 * or an image with made-right frame, of which a statement is made and whose signatures are looked at. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sha256.h"
#include "cli/cli.h"
#include "cli/signature.h"
#include "cli/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 8032, 7.1, test 1. */
static const uint8_t our_key[32] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
                                    0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6,
                                    0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

static void
key(const uint8_t *data, size_t size)
{
    struct err e = {0};
    uint8_t public_key[32];

    signature_parse_public(data, size, "key", public_key, &e);
}

/* A file of the input, with the numbers that the frame wants, and the header's hash. The input begins with the header;
 * the last bytes of it are signatures, as many as its first byte says. */
static uint8_t *
make_file(const uint8_t *data, size_t size, size_t *total)
{
    struct artifact_footer footer = {.magic = ARTIFACT_MAGIC,
                                     .payload_offset = ARTIFACT_CHUNK_SIZE,
                                     .signature_count = data[0] % 4};
    struct artifact_header *h;
    struct sha256 hash;
    uint8_t *file;

    data++;
    size--;
    if (size < sizeof *h + footer.signature_count * sizeof(struct artifact_signature))
        return NULL;
    *total = footer.file_size = ARTIFACT_CHUNK_SIZE + size + sizeof footer;
    if (posix_memalign((void **)&file, 4096, *total))
        abort();
    memset(file, 0, ARTIFACT_CHUNK_SIZE);
    memcpy(file + ARTIFACT_CHUNK_SIZE, data, size);
    h = (struct artifact_header *)(void *)(file + ARTIFACT_CHUNK_SIZE);
    h->magic = ARTIFACT_MAGIC;
    h->version = ARTIFACT_VERSION;
    h->section_count = ARTIFACT_SECTION_COUNT;
    h->payload_size = *total - ARTIFACT_CHUNK_SIZE - artifact_tail_size(&footer);
    sha256_of(h, sizeof *h, &hash);
    memcpy(footer.header_sha256, hash.bytes, sizeof footer.header_sha256);
    memcpy(file + *total - sizeof footer, &footer, sizeof footer);
    return file;
}

static void
image(const uint8_t *data, size_t size)
{
    struct artifact_view v = {0};
    struct err e = {0};
    size_t total;
    uint8_t *file = make_file(data, size, &total);

    if (!file)
        return;
    v.file = (struct mapped){file, total};
    if (artifact_view_frame(&v, &e) == 0) {
        json_t *statement = statement_make(&v, "dir/image", "builder");
        char *text = statement ? json_dumps(statement, JSON_COMPACT) : NULL;

        if (!text)
            abort(); /* whatever is in the image */
        /* By whatever key stands there, which may be one that everybody can sign with; and by ours, which has signed
         * nothing. */
        for (uint64_t i = 0; i < v.footer.signature_count; i++)
            signature_check(&v, signature_all(&v)[i].public_key, &e);
        if (signature_check(&v, our_key, &e) == 0)
            abort();
        free(text);
        json_decref(statement);
    }
    free(file);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] & 1)
        key(data + 1, size - 1);
    else
        image(data + 1, size - 1);
    return 0;
}
