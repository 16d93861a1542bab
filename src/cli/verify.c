/* ingot verify: recomputes every hash of a built image. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sha256.h"
#include "base/vec.h"
#include "cli/artifact_reader.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: ingot verify OUT\n"
    "\n"
    "Recomputes every hash of a built image: the native code, each section, each file, and the padding between\n"
    "them. Names every part that does not match; exit status 1 when there is one.\n";

static unsigned
check(const char *what, const uint8_t want[32], const void *data, uint64_t size)
{
    struct sha256 have, expected;
    char a[SHA256_HEX_SIZE], b[SHA256_HEX_SIZE];

    sha256_of(data, size, &have);
    if (memcmp(have.bytes, want, sizeof have.bytes) == 0)
        return 0;
    memcpy(expected.bytes, want, sizeof expected.bytes);
    sha256_hex(&expected, a);
    sha256_hex(&have, b);
    printf("%s: expected sha256 %s, found %s\n", what, a, b);
    return 1;
}

/* A path for an inode, for messages: found by its name in some directory. */
static const char *
inode_name(const struct artifact_view *v, uint32_t inode)
{
    const struct artifact_dirent *d = (const struct artifact_dirent *)artifact_section(v, ARTIFACT_DIRENTS);
    size_t count = v->header.sections[ARTIFACT_DIRENTS].size / sizeof *d;

    for (size_t i = 0; i < count; i++) {
        if (d[i].inode == inode)
            return artifact_string(v, d[i].name);
    }
    return "?";
}

static unsigned
check_files(const struct artifact_view *v, size_t *files)
{
    const struct artifact_section *data = &v->header.sections[ARTIFACT_DATA];
    const struct artifact_inode *n = (const struct artifact_inode *)artifact_section(v, ARTIFACT_INODES);
    size_t count = v->header.sections[ARTIFACT_INODES].size / sizeof *n;
    unsigned bad = 0;

    for (size_t i = 0; i < count; i++) {
        char what[320];

        if (!S_ISREG(n[i].mode))
            continue;
        ++*files;
        if (n[i].data > data->size || n[i].size > data->size - n[i].data) {
            printf("file %s (inode %zu): lies outside the data section\n", inode_name(v, (uint32_t)i), i);
            bad++;
            continue;
        }
        snprintf(what, sizeof what, "file %s (inode %zu)", inode_name(v, (uint32_t)i), i);
        bad += check(what, n[i].sha256, artifact_section(v, ARTIFACT_DATA) + n[i].data, n[i].size);
    }
    return bad;
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

/* What belongs to no part is padding and must be zero: every byte of the file is answered for. */
static unsigned
check_padding(const struct artifact_view *v)
{
    const struct artifact_inode *n = (const struct artifact_inode *)artifact_section(v, ARTIFACT_INODES);
    size_t count = v->header.sections[ARTIFACT_INODES].size / sizeof *n;
    uint64_t payload = (uint64_t)(v->payload - v->file.data), size = v->file.size, at = 0;
    uint64_t data = payload + v->header.sections[ARTIFACT_DATA].offset;
    VEC(struct extent) parts = {0};
    unsigned bad = 0;

    vec_push(&parts, ((struct extent){0, v->header.elf_size}));
    vec_push(&parts, ((struct extent){payload, payload + sizeof v->header}));
    vec_push(&parts, ((struct extent){size - sizeof v->footer, size}));
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        const struct artifact_section *s = &v->header.sections[i];

        if (i != ARTIFACT_DATA)
            vec_push(&parts, ((struct extent){payload + s->offset, payload + s->offset + s->size}));
    }
    for (size_t i = 0; i < count; i++) {
        if (S_ISREG(n[i].mode) && n[i].data <= size && n[i].size <= size)
            vec_push(&parts, ((struct extent){data + n[i].data, data + n[i].data + n[i].size}));
    }
    qsort(parts.items, parts.count, sizeof *parts.items, compare_extents);
    for (size_t i = 0; i < parts.count && at <= size; i++) {
        for (; at < parts.items[i].start && at < size; at++) {
            if (v->file.data[at] != 0 && bad++ == 0)
                printf("padding: byte at offset %lu is not zero\n", at);
        }
        if (parts.items[i].end > at)
            at = parts.items[i].end;
    }
    vec_fini(&parts);
    return bad != 0;
}

int
cmd_verify(int argc, char **argv)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct artifact_view v;
    struct err e = {0};
    const char *path;
    unsigned bad = 0;
    size_t files = 0;
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        fputs(usage, c == 'h' ? stdout : stderr);
        return c == 'h' ? 0 : 2;
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    path = argv[optind];
    if (artifact_open(&v, path, &e) < 0)
        return cli_fail(1, "%s", e.text);
    bad += check("native code", v.header.elf_sha256, v.file.data, v.header.elf_size);
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        if (i != ARTIFACT_DATA)
            bad += check(artifact_section_names[i], v.header.sections[i].sha256, artifact_section(&v, i),
                         v.header.sections[i].size);
    }
    bad += check_files(&v, &files);
    bad += check_padding(&v);
    if (v.footer.reserved || v.header.reserved) {
        puts("footer: reserved field is not zero");
        bad++;
    }
    if (bad)
        printf("%s: %u parts do not match\n", path, bad);
    else
        printf("%s: native code, %d sections and %zu files match their hashes\n", path, ARTIFACT_SECTION_COUNT - 1,
               files);
    artifact_close(&v);
    return bad ? 1 : 0;
}
