/* The artifact file: what describes the image is compared with its hashes at start, the rest chunk by chunk when it is used. */
#include "vkernel/image/artifact.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/check.h"
#include "base/sha256.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/audit/audit.h"
#include "vkernel/image/seal.h"

struct artifact {
    int fd;
    const uint8_t *view;    /* the file, mapped */
    uint64_t size, payload; /* of the file; offset of the payload in it */
    const struct artifact_header *header;
    struct sha256 digest; /* of the header */
    const struct artifact_inode *inodes;
    const struct artifact_dirent *dirents;
    const char *strings;
    const struct artifact_ledger *ledger;
    uint64_t inode_count, dirent_count, string_size, ledger_count;
    const uint8_t *chunks; /* SHA-256 of each */
    uint64_t chunk_count;
    uint64_t *known; /* a bit for each chunk that was found right; the kernel lock guards the bits */
    struct seal seal;
};

struct artifact *the_artifact;

static bool learnt;       /* some bit of `known` was set since the seal was read; the kernel lock guards it */
static bool chunks_known; /* the chunk hashes were compared with the header; so does the kernel lock guard it */

OBJECT_POOL(artifact);

void
artifact_close(struct artifact *a)
{
    if (!a)
        return;
    if (a->view)
        platform_release((void *)(uintptr_t)a->view, a->size);
    platform_close(a->fd);
    array_free(a->known);
    OBJECT_FREE(artifact, a);
}

static struct artifact *
fail(struct artifact *a, char *error, size_t size, const char *message)
{
    snprintf(error, size, "%s", message);
    artifact_close(a);
    return NULL;
}

struct complaint {
    char *text;
    size_t size;
};

/* The first part that does not match. */
static void
complain(void *context, const char *text)
{
    struct complaint *c = context;

    if (c->text[0] == '\0')
        snprintf(c->text, c->size, "%s", text);
}

static const void *
section(const struct artifact *a, unsigned id, size_t item, uint64_t *count)
{
    const struct artifact_section *s = &a->header->sections[id];

    *count = s->size / item;
    return a->view + a->payload + s->offset;
}

/* --- chunks --- */

/* When the first chunk is to be compared: with a seal that knows all that is used, that is never. */
static bool
chunks_are_right(const struct artifact *a)
{
    const struct artifact_section *s = &a->header->sections[ARTIFACT_CHUNKS];
    struct sha256 have;

    sha256_of(a->chunks, s->size, &have);
    chunks_known = memcmp(have.bytes, s->sha256, sizeof have.bytes) == 0;
    return chunks_known;
}

static bool
chunk_is_right(const struct artifact *a, uint64_t index)
{
    uint64_t bit = 1ull << index % 64;

    if (a->known[index / 64] & bit)
        return true;
    if (!chunks_known && !chunks_are_right(a))
        return false;
    if (!artifact_chunk_matches(a->view + index * ARTIFACT_CHUNK_SIZE, index, a->chunks + index * SHA256_SIZE,
                                a->payload))
        return false;
    a->known[index / 64] |= bit;
    learnt = true;
    return true;
}

/* The pages of the view are let go: most of what is compared is used through other mappings. */
static bool
range_is_right(const struct artifact *a, uint64_t offset, uint64_t size)
{
    uint64_t first = offset / ARTIFACT_CHUNK_SIZE, last, compared = UINT64_MAX, i;
    bool right = true;

    if (size == 0 || first >= a->chunk_count)
        return true;
    last = size - 1 > UINT64_MAX - offset ? UINT64_MAX : (offset + size - 1) / ARTIFACT_CHUNK_SIZE;
    for (i = first; i <= last && i < a->chunk_count && right; i++) {
        if (compared == UINT64_MAX && !(a->known[i / 64] >> i % 64 & 1))
            compared = i;
        right = chunk_is_right(a, i);
    }
    if (compared != UINT64_MAX)
        platform_discard((void *)(uintptr_t)(a->view + compared * ARTIFACT_CHUNK_SIZE),
                         (i - compared) * ARTIFACT_CHUNK_SIZE, 4 /* MADV_DONTNEED */);
    return right;
}

/* Comparing everything finds out which part it is. */
static void
describe_damage(const struct artifact *a, char *text, size_t size)
{
    text[0] = '\0';
    if (!artifact_check(a->view, a->size, complain, &(struct complaint){text, size}, NULL))
        snprintf(text, size, "the artifact did not match its hashes, and does now: the file is being changed");
}

void
artifact_use(const struct artifact *a, uint64_t offset, uint64_t size)
{
    char text[512];

    if (range_is_right(a, offset, size))
        return;
    describe_damage(a, text, sizeof text);
    audit_record(AUDIT_FILE, "artifact-damaged", false, "event.reason", text, NULL);
    platform_die("%s", text);
}

void
artifact_remember(const struct artifact *a)
{
    if (learnt)
        seal_save(&a->seal, a->fd, a->digest.bytes, a->known, a->chunk_count);
    learnt = false;
}

/* What was known before, and what is used by everybody. */
static bool
begin_trust(struct artifact *a)
{
    const struct artifact_section *s = &a->header->sections[ARTIFACT_CHUNKS];
    uint64_t code_end = a->header->code_offset + a->header->code_size;

    a->chunks = a->view + a->payload + s->offset;
    a->chunk_count = s->size / SHA256_SIZE;
    a->known = array_new((a->chunk_count + 63) / 64 + 1, sizeof *a->known);
    if (!a->known)
        return false;
    chunks_known = seal_open(&a->seal, a->fd, a->digest.bytes, a->known, a->chunk_count);
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++)
        if (i != ARTIFACT_DATA && i != ARTIFACT_CODE_MAP && i != ARTIFACT_CHUNKS &&
            !range_is_right(a, a->payload + a->header->sections[i].offset, a->header->sections[i].size))
            return false;
    return range_is_right(a, 0, a->header->code_offset) &&
           range_is_right(a, code_end, a->header->loaded_size - code_end);
}

struct artifact *
artifact_open(int fd, char *error, size_t error_size)
{
    struct artifact *a = OBJECT_NEW(artifact);
    struct artifact_footer footer;
    int64_t file_size = platform_file_size(fd);
    const char *wrong;

    if (!a)
        return fail(NULL, error, error_size, "out of memory");
    a->fd = fd;
    a->seal.fd = -1;
    a->size = file_size > 0 ? (uint64_t)file_size : 0;
    a->view = a->size ? platform_map_view(fd, 0, a->size) : NULL;
    if (!a->view)
        return fail(a, error, error_size, "cannot map the artifact");
    wrong = artifact_check_frame(a->view, a->size, &footer, &a->header);
    if (wrong)
        return fail(a, error, error_size, wrong);
    a->payload = footer.payload_offset;
    memcpy(a->digest.bytes, footer.header_sha256, sizeof a->digest.bytes);
    if (!begin_trust(a)) {
        describe_damage(a, error, error_size);
        artifact_close(a);
        return NULL;
    }
    a->inodes = section(a, ARTIFACT_INODES, sizeof *a->inodes, &a->inode_count);
    a->dirents = section(a, ARTIFACT_DIRENTS, sizeof *a->dirents, &a->dirent_count);
    a->strings = section(a, ARTIFACT_STRINGS, 1, &a->string_size);
    a->ledger = section(a, ARTIFACT_LEDGER, sizeof *a->ledger, &a->ledger_count);
    if (a->inode_count == 0 || (a->string_size && a->strings[a->string_size - 1] != '\0'))
        return fail(a, error, error_size, "the artifact has no root directory or unterminated strings");
    return a;
}

const uint8_t *
artifact_digest(const struct artifact *a)
{
    return a->digest.bytes;
}

const struct artifact_header *
artifact_header(const struct artifact *a)
{
    return a->header;
}

const char *
artifact_config(const struct artifact *a, size_t *size)
{
    uint64_t n;
    const char *p = section(a, ARTIFACT_CONFIG, 1, &n);

    *size = n;
    return p;
}

const struct artifact_inode *
artifact_inode(const struct artifact *a, uint32_t index)
{
    return index < a->inode_count ? &a->inodes[index] : NULL;
}

uint32_t
artifact_inode_count(const struct artifact *a)
{
    return (uint32_t)a->inode_count;
}

const struct artifact_dirent *
artifact_dirent(const struct artifact *a, const struct artifact_inode *dir, uint32_t n)
{
    uint64_t i = (uint64_t)dir->first_dirent + n;

    return n < dir->dirent_count && i < a->dirent_count ? &a->dirents[i] : NULL;
}

uint32_t
artifact_lookup(const struct artifact *a, const struct artifact_inode *dir, const char *name, size_t length)
{
    uint32_t low = 0, high = dir->dirent_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct artifact_dirent *d = artifact_dirent(a, dir, middle);
        const char *s = d ? artifact_string(a, d->name) : "";
        int order = strncmp(name, s, length);

        if (!d)
            return ARTIFACT_NONE;
        if (order == 0 && s[length] != '\0')
            order = -1;
        if (order == 0)
            return d->inode;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return ARTIFACT_NONE;
}

const char *
artifact_string(const struct artifact *a, uint64_t offset)
{
    return offset < a->string_size ? a->strings + offset : "";
}

const char *
artifact_symlink(const struct artifact *a, const struct artifact_inode *inode)
{
    return artifact_string(a, inode->data);
}

static bool
data_inside(const struct artifact *a, const struct artifact_inode *inode)
{
    const struct artifact_section *s = &a->header->sections[ARTIFACT_DATA];

    return inode->data % PAGE_SIZE == 0 && inode->data <= s->size && inode->size <= s->size - inode->data;
}

const uint8_t *
artifact_data(const struct artifact *a, const struct artifact_inode *inode)
{
    if (!data_inside(a, inode))
        return NULL;
    return a->view + a->payload + a->header->sections[ARTIFACT_DATA].offset + inode->data;
}

int
artifact_host_fd(const struct artifact *a)
{
    return a->fd;
}

uint64_t
artifact_data_offset(const struct artifact *a, const struct artifact_inode *inode)
{
    return a->payload + a->header->sections[ARTIFACT_DATA].offset + inode->data;
}

const struct artifact_ledger *
artifact_ledger(const struct artifact *a, uint32_t index)
{
    return index < a->ledger_count ? &a->ledger[index] : NULL;
}

uint32_t
artifact_ledger_count(const struct artifact *a)
{
    return (uint32_t)a->ledger_count;
}

const struct artifact_ledger *
artifact_ledger_find(const struct artifact *a, const uint8_t sha256[32])
{
    uint64_t low = 0, high = a->ledger_count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = memcmp(sha256, a->ledger[middle].sha256, SHA256_SIZE);

        if (order == 0)
            return &a->ledger[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

uint64_t
artifact_code_map_offset(const struct artifact *a, const struct artifact_ledger *row)
{
    const struct artifact_section *s = &a->header->sections[ARTIFACT_CODE_MAP];

    if (row->code_map > s->size || row->code_map_size > s->size - row->code_map)
        return 0;
    return a->payload + s->offset + row->code_map;
}
