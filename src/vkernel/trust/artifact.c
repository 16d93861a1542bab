/* The artifact file: opened and verified at start. */
#include "vkernel/trust/artifact.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "platform/platform.h"

struct artifact {
    int fd;
    uint64_t payload;       /* offset in the file */
    const uint8_t *view;    /* the payload, mapped */
    uint64_t size;
    const struct artifact_header *header;
    const struct artifact_inode *inodes;
    const struct artifact_dirent *dirents;
    const char *strings;
    const struct artifact_ledger *ledger;
    uint64_t inode_count, dirent_count, string_size, ledger_count;
};

struct artifact *the_artifact;

static const char *const section_names[ARTIFACT_SECTION_COUNT] = {
    [ARTIFACT_CONFIG] = "config",   [ARTIFACT_INODES] = "inodes", [ARTIFACT_DIRENTS] = "dirents",
    [ARTIFACT_STRINGS] = "strings", [ARTIFACT_LEDGER] = "ledger", [ARTIFACT_CODE_MAP] = "code map",
    [ARTIFACT_DATA] = "data",
};

static struct artifact *
fail(struct artifact *a, char *error, size_t size, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(error, size, format, ap);
    va_end(ap);
    if (a) {
        if (a->view)
            platform_release((void *)(uintptr_t)a->view, a->size);
        platform_close(a->fd);
        free(a);
    }
    return NULL;
}

static bool
same_hash(const void *data, size_t size, const uint8_t expected[32])
{
    struct sha256 h;

    sha256_of(data, size, &h);
    return memcmp(h.bytes, expected, SHA256_SIZE) == 0;
}

/* NULL, or what is wrong with the sections. */
static const char *
check_section(struct artifact *a, unsigned id, char *text, size_t size)
{
    const struct artifact_section *s = &a->header->sections[id];

    if (s->offset % PAGE_SIZE != 0 || s->offset > a->size || s->size > a->size - s->offset) {
        snprintf(text, size, "section %s lies outside of the payload", section_names[id]);
        return text;
    }
    /* Contents of files are verified one by one, when they are first executed. */
    if (id != ARTIFACT_DATA && !same_hash(a->view + s->offset, s->size, s->sha256)) {
        snprintf(text, size, "section %s does not have the hash that the header gives", section_names[id]);
        return text;
    }
    return NULL;
}

static const void *
section(const struct artifact *a, unsigned id, size_t item, uint64_t *count)
{
    const struct artifact_section *s = &a->header->sections[id];

    *count = s->size / item;
    return a->view + s->offset;
}

struct artifact *
artifact_open(int fd, char *error, size_t error_size)
{
    struct artifact *a = calloc(1, sizeof *a);
    struct artifact_footer footer;
    int64_t file_size;
    char text[128];

    if (!a)
        return fail(NULL, error, error_size, "out of memory");
    a->fd = fd;
    file_size = platform_file_size(fd);
    if (file_size < (int64_t)sizeof footer ||
        platform_read_at(fd, &footer, sizeof footer, (uint64_t)file_size - sizeof footer) != (long)sizeof footer)
        return fail(a, error, error_size, "this executable carries no image");
    if (footer.magic != ARTIFACT_MAGIC)
        return fail(a, error, error_size, "this executable carries no image (no footer)");
    if (footer.file_size != (uint64_t)file_size || footer.payload_offset % PAGE_SIZE != 0 ||
        footer.payload_offset > (uint64_t)file_size - sizeof footer)
        return fail(a, error, error_size, "the artifact was cut short or has bytes added (%lld bytes, expected %llu)",
                    (long long)file_size, (unsigned long long)footer.file_size);
    a->payload = footer.payload_offset;
    a->size = (uint64_t)file_size - sizeof footer - a->payload;
    if (a->size < sizeof *a->header)
        return fail(a, error, error_size, "the artifact has no room for its header");
    a->view = platform_map_view(fd, a->payload, a->size);
    if (!a->view)
        return fail(a, error, error_size, "cannot map the artifact");
    a->header = (const struct artifact_header *)(const void *)a->view;
    if (a->header->magic != ARTIFACT_MAGIC || a->header->version != ARTIFACT_VERSION ||
        a->header->section_count != ARTIFACT_SECTION_COUNT || a->header->payload_size > a->size)
        return fail(a, error, error_size, "the artifact's header is not of version %u", ARTIFACT_VERSION);
    if (!same_hash(a->header, sizeof *a->header, footer.header_sha256))
        return fail(a, error, error_size, "section header does not have the hash that the footer gives");
    for (unsigned i = 0; i < ARTIFACT_SECTION_COUNT; i++)
        if (check_section(a, i, text, sizeof text))
            return fail(a, error, error_size, "%s", text);
    a->inodes = section(a, ARTIFACT_INODES, sizeof *a->inodes, &a->inode_count);
    a->dirents = section(a, ARTIFACT_DIRENTS, sizeof *a->dirents, &a->dirent_count);
    a->strings = section(a, ARTIFACT_STRINGS, 1, &a->string_size);
    a->ledger = section(a, ARTIFACT_LEDGER, sizeof *a->ledger, &a->ledger_count);
    if (a->inode_count == 0 || (a->string_size && a->strings[a->string_size - 1] != '\0'))
        return fail(a, error, error_size, "the artifact has no root directory or unterminated strings");
    return a;
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
    return a->view + a->header->sections[ARTIFACT_DATA].offset + inode->data;
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
