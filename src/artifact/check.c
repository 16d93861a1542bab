/* Hashes and padding of an artifact, part by part. */
#include "artifact/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sha256.h"
#include "x86/level.h"

const char *const artifact_section_names[ARTIFACT_SECTION_COUNT] = {
    [ARTIFACT_CONFIG] = "config",   [ARTIFACT_INODES] = "inodes",       [ARTIFACT_DIRENTS] = "directory entries",
    [ARTIFACT_STRINGS] = "strings", [ARTIFACT_LEDGER] = "ledger",       [ARTIFACT_CODE_MAP] = "code map",
    [ARTIFACT_DATA] = "data",       [ARTIFACT_CHUNKS] = "chunk hashes",
};

struct check {
    const uint8_t *file, *payload;
    size_t size;
    struct artifact_footer footer;
    const struct artifact_header *header;
    artifact_report *report;
    void *context;
    unsigned bad;
};

static bool
chunks_fit(const struct artifact_footer *f, const struct artifact_header *h)
{
    const struct artifact_section *s = &h->sections[ARTIFACT_CHUNKS];
    uint64_t covered = f->payload_offset + s->offset;

    for (int i = 0; i < ARTIFACT_CHUNKS; i++)
        if (h->sections[i].offset + h->sections[i].size > s->offset)
            return false;
    return f->payload_offset % ARTIFACT_CHUNK_SIZE == 0 && s->offset % ARTIFACT_CHUNK_SIZE == 0 &&
           s->size == covered / ARTIFACT_CHUNK_SIZE * SHA256_SIZE && h->loaded_size <= h->elf_size &&
           h->code_offset <= h->loaded_size && h->code_size <= h->loaded_size - h->code_offset;
}

const char *
artifact_check_frame(const uint8_t *file, size_t size, struct artifact_footer *footer,
                     const struct artifact_header **header)
{
    static char text[128];
    struct artifact_footer *f = footer;
    const struct artifact_header *h;
    struct sha256 hash;

    if (size < sizeof *f)
        return "too short to be a built image";
    memcpy(f, file + size - sizeof *f, sizeof *f);
    if (f->magic != ARTIFACT_MAGIC)
        return "not a built image, or its footer is damaged";
    if (f->file_size != size || f->payload_offset % 4096 != 0 || f->payload_offset > size ||
        f->signature_count > ARTIFACT_MAX_SIGNATURES || size - f->payload_offset < sizeof *h + artifact_tail_size(f)) {
        snprintf(text, sizeof text,
                 "footer damaged, or bytes cut or added: the file has %zu bytes, the footer says %llu", size,
                 (unsigned long long)f->file_size);
        return text;
    }
    h = (const struct artifact_header *)(const void *)(file + f->payload_offset);
    /* Before the hash, which is of a header of another size in another version. */
    if (h->magic == ARTIFACT_MAGIC && h->version != ARTIFACT_VERSION) {
        snprintf(text, sizeof text,
                 "built by another version of ingot, or its header is damaged (format %u, of which this one reads %u)",
                 h->version, ARTIFACT_VERSION);
        return text;
    }
    sha256_of(h, sizeof *h, &hash);
    if (memcmp(hash.bytes, f->header_sha256, sizeof hash.bytes) != 0)
        return "header damaged: its hash does not match the footer's";
    if (h->magic != ARTIFACT_MAGIC || h->section_count != ARTIFACT_SECTION_COUNT)
        return "header damaged: it is none of an artifact";
    if (h->payload_size != size - f->payload_offset - artifact_tail_size(f) || h->elf_size > f->payload_offset)
        return "header damaged: sizes do not add up";
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        const struct artifact_section *s = &h->sections[i];

        if (s->offset % 4096 != 0 || s->offset > h->payload_size || s->size > h->payload_size - s->offset) {
            snprintf(text, sizeof text, "%s section lies outside the file", artifact_section_names[i]);
            return text;
        }
    }
    if (!chunks_fit(f, h))
        return "header damaged: the chunk hashes are not of this file";
    *header = h;
    return NULL;
}

static void
complain(struct check *c, const char *what, const char *why)
{
    char text[512];

    snprintf(text, sizeof text, "%.300s: %s", what, why);
    c->report(c->context, text);
    c->bad++;
}

static bool
matches(const uint8_t want[32], const void *data, uint64_t size, struct sha256 *have)
{
    sha256_of(data, size, have);
    return memcmp(have->bytes, want, sizeof have->bytes) == 0;
}

static void
complain_of_hash(struct check *c, const char *what, const uint8_t want[32], const struct sha256 *have)
{
    struct sha256 expected;
    char a[SHA256_HEX_SIZE], b[SHA256_HEX_SIZE], why[200];

    memcpy(expected.bytes, want, sizeof expected.bytes);
    sha256_hex(&expected, a);
    sha256_hex(have, b);
    snprintf(why, sizeof why, "expected sha256 %s, found %s", a, b);
    complain(c, what, why);
}

static void
compare(struct check *c, const char *what, const uint8_t want[32], const void *data, uint64_t size)
{
    struct sha256 have;

    if (!matches(want, data, size, &have))
        complain_of_hash(c, what, want, &have);
}

static const uint8_t *
section(const struct check *c, int id)
{
    return c->payload + c->header->sections[id].offset;
}

/* Names an inode in a message by some directory entry of it. */
static void
name_inode(const struct check *c, size_t inode, char *out, size_t size)
{
    const char *name = "?";

    const struct artifact_dirent *d = (const struct artifact_dirent *)(const void *)section(c, ARTIFACT_DIRENTS);
    const struct artifact_section *strings = &c->header->sections[ARTIFACT_STRINGS];
    size_t count = c->header->sections[ARTIFACT_DIRENTS].size / sizeof *d;
    const char *text = (const char *)section(c, ARTIFACT_STRINGS);

    for (size_t i = 0; i < count; i++) {
        if (d[i].inode == inode && d[i].name < strings->size &&
            memchr(text + d[i].name, 0, strings->size - d[i].name)) {
            name = text + d[i].name;
            break;
        }
    }
    snprintf(out, size, "file %.255s (inode %zu)", name, inode);
}

static bool
in_data(const struct check *c, const struct artifact_inode *n)
{
    uint64_t size = c->header->sections[ARTIFACT_DATA].size;

    return n->data <= size && n->size <= size - n->data;
}

static void
check_files(struct check *c, size_t *files)
{
    const struct artifact_inode *n = (const struct artifact_inode *)(const void *)section(c, ARTIFACT_INODES);
    size_t count = c->header->sections[ARTIFACT_INODES].size / sizeof *n;

    for (size_t i = 0; i < count; i++) {
        struct sha256 have;
        char what[320];
        bool inside = in_data(c, &n[i]);

        if (!S_ISREG(n[i].mode))
            continue;
        if (files)
            ++*files;
        if (inside && matches(n[i].sha256, section(c, ARTIFACT_DATA) + n[i].data, n[i].size, &have))
            continue;
        name_inode(c, i, what, sizeof what);
        if (inside)
            complain_of_hash(c, what, n[i].sha256, &have);
        else
            complain(c, what, "lies outside the data section");
    }
}

struct extent {
    uint64_t start, end; /* in the file */
};

static int
compare_extents(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static size_t
collect_parts(const struct check *c, struct extent *parts)
{
    const struct artifact_inode *n = (const struct artifact_inode *)(const void *)section(c, ARTIFACT_INODES);
    size_t inodes = c->header->sections[ARTIFACT_INODES].size / sizeof *n, count = 0;
    uint64_t payload = c->footer.payload_offset, data = payload + c->header->sections[ARTIFACT_DATA].offset;

    parts[count++] = (struct extent){0, c->header->elf_size};
    parts[count++] = (struct extent){payload, payload + sizeof *c->header};
    parts[count++] = (struct extent){c->size - artifact_tail_size(&c->footer), c->size};
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        const struct artifact_section *s = &c->header->sections[i];

        if (i != ARTIFACT_DATA)
            parts[count++] = (struct extent){payload + s->offset, payload + s->offset + s->size};
    }
    for (size_t i = 0; i < inodes; i++) {
        if (S_ISREG(n[i].mode) && in_data(c, &n[i]))
            parts[count++] = (struct extent){data + n[i].data, data + n[i].data + n[i].size};
    }
    return count;
}

/* What belongs to no part is padding. */
static void
check_padding(struct check *c)
{
    size_t inodes = c->header->sections[ARTIFACT_INODES].size / sizeof(struct artifact_inode), count;
    struct extent *parts = malloc((inodes + ARTIFACT_SECTION_COUNT + 3) * sizeof *parts);
    uint64_t at = 0;
    char why[64];

    if (!parts) {
        complain(c, "padding", "out of memory");
        return;
    }
    count = collect_parts(c, parts);
    qsort(parts, count, sizeof *parts, compare_extents);
    for (size_t i = 0; i < count; i++) {
        while (at < parts[i].start && c->file[at] == 0)
            at++;
        if (at < parts[i].start) {
            snprintf(why, sizeof why, "byte at offset %llu is not zero", (unsigned long long)at);
            complain(c, "padding", why);
            break;
        }
        if (parts[i].end > at)
            at = parts[i].end;
    }
    free(parts);
}

bool
artifact_chunk_matches(const uint8_t *chunk, size_t index, const uint8_t want[32], uint64_t payload_offset)
{
    struct sha256 have;

    if (index == payload_offset / ARTIFACT_CHUNK_SIZE)
        return true; /* the header's */
    return matches(want, chunk, ARTIFACT_CHUNK_SIZE, &have);
}

static void
check_chunks(struct check *c)
{
    const uint8_t *want = section(c, ARTIFACT_CHUNKS);
    size_t count = c->header->sections[ARTIFACT_CHUNKS].size / SHA256_SIZE;
    char why[64];

    for (size_t i = 0; i < count; i++) {
        if (artifact_chunk_matches(c->file + i * ARTIFACT_CHUNK_SIZE, i, want + i * SHA256_SIZE,
                                   c->footer.payload_offset))
            continue;
        snprintf(why, sizeof why, "that of chunk %zu is wrong", i);
        complain(c, artifact_section_names[ARTIFACT_CHUNKS], why);
        break;
    }
}

unsigned
artifact_check(const uint8_t *file, size_t size, artifact_report *report, void *context, size_t *files)
{
    struct check c = {.file = file, .size = size, .report = report, .context = context};
    const char *wrong = artifact_check_frame(file, size, &c.footer, &c.header);
    unsigned before;

    if (files)
        *files = 0;
    if (wrong) {
        report(context, wrong);
        return 1;
    }
    c.payload = file + c.footer.payload_offset;
    compare(&c, "native code", c.header->elf_sha256, file, c.header->elf_size);
    before = c.bad;
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        if (i != ARTIFACT_DATA)
            compare(&c, artifact_section_names[i], c.header->sections[i].sha256, section(&c, i),
                    c.header->sections[i].size);
    }
    if (c.bad == before) { /* the inodes can be trusted to say where the files are */
        check_files(&c, files);
        check_padding(&c);
    }
    if (!c.bad) /* a wrong part has been named already */
        check_chunks(&c);
    if (c.header->backend > ARTIFACT_BACKEND_DIRECT)
        complain(&c, "header", "no such backend");
    if (c.header->level < X86_LEVEL_V2 || c.header->level >= X86_LEVEL_END)
        complain(&c, "header", "no such level of processors");
    return c.bad;
}
