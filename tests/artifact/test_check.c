/* Checking an artifact: a right one, each part wrong, and headers, names and offsets that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "artifact/check.h"
#include "base/sha256.h"
#include "x86/level.h"

enum { PAGE = 4096, PAYLOAD = 65536, ELF_SIZE = 100, NAME = 6000, FILE_SIZE = 300 };

/* Sections in order, a page or two each, after the header's chunk; the chunk hashes in a chunk of their own. */
enum { CHUNK_PAGES = ARTIFACT_CHUNK_SIZE / PAGE, CHUNKS = (PAYLOAD + 2 * ARTIFACT_CHUNK_SIZE) / ARTIFACT_CHUNK_SIZE };
static const uint64_t places[ARTIFACT_SECTION_COUNT] = {CHUNK_PAGES,     CHUNK_PAGES + 1, CHUNK_PAGES + 2,
                                                        CHUNK_PAGES + 3, CHUNK_PAGES + 5, CHUNK_PAGES + 6,
                                                        CHUNK_PAGES + 7, 2 * CHUNK_PAGES};
/* clang-format off */
static const uint64_t sizes[ARTIFACT_SECTION_COUNT] = {2, 2 * sizeof(struct artifact_inode), sizeof(struct artifact_dirent),
                                                       NAME + 1, sizeof(struct artifact_ledger), PAGE, PAGE, CHUNKS * SHA256_SIZE};
/* clang-format on */
enum { PAGES = 2 * CHUNK_PAGES + 1, SIZE = PAYLOAD + PAGES * PAGE + (int)sizeof(struct artifact_footer) };

struct fixture {
    uint8_t *file;
    char first[512]; /* report */
    unsigned reports;
};

static uint8_t *
section(struct fixture *x, int id)
{
    return x->file + PAYLOAD + places[id] * PAGE;
}

static struct artifact_header *
header(struct fixture *x)
{
    return (struct artifact_header *)(void *)(x->file + PAYLOAD);
}

static struct artifact_inode *
inode(struct fixture *x)
{
    return (struct artifact_inode *)(void *)section(x, ARTIFACT_INODES) + 1;
}

/* Makes every hash right again, whatever the contents say. */
static void
seal(struct fixture *x)
{
    struct artifact_footer footer = {.magic = ARTIFACT_MAGIC, .payload_offset = PAYLOAD, .file_size = SIZE};
    struct sha256 h;

    for (uint64_t i = 0; i < CHUNKS; i++) {
        sha256_of(x->file + i * ARTIFACT_CHUNK_SIZE, ARTIFACT_CHUNK_SIZE, &h);
        if (i * ARTIFACT_CHUNK_SIZE != PAYLOAD)
            memcpy(section(x, ARTIFACT_CHUNKS) + i * SHA256_SIZE, h.bytes, sizeof h.bytes);
    }
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        if (i == ARTIFACT_DATA)
            continue;
        sha256_of(section(x, i), sizes[i], &h);
        memcpy(header(x)->sections[i].sha256, h.bytes, sizeof h.bytes);
    }
    sha256_of(header(x), sizeof *header(x), &h);
    memcpy(footer.header_sha256, h.bytes, sizeof h.bytes);
    memcpy(x->file + SIZE - sizeof footer, &footer, sizeof footer);
}

static void
make(struct fixture *x)
{
    struct artifact_dirent entry = {.name = 0, .inode = 1};
    struct sha256 h;

    memset(x, 0, sizeof *x);
    x->file = aligned_alloc(PAGE, (SIZE + PAGE - 1) / PAGE * PAGE);
    memset(x->file, 0, SIZE);
    memset(x->file, 'e', ELF_SIZE);
    *header(x) = (struct artifact_header){.magic = ARTIFACT_MAGIC,
                                          .version = ARTIFACT_VERSION,
                                          .level = X86_LEVEL_V2,
                                          .elf_size = ELF_SIZE,
                                          .section_count = ARTIFACT_SECTION_COUNT,
                                          .payload_size = PAGES * PAGE};
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++)
        header(x)->sections[i] = (struct artifact_section){.offset = places[i] * PAGE, .size = sizes[i]};
    sha256_of(x->file, ELF_SIZE, &h);
    memcpy(header(x)->elf_sha256, h.bytes, sizeof h.bytes);
    memcpy(section(x, ARTIFACT_CONFIG), "{}", 2);
    memset(section(x, ARTIFACT_STRINGS), 'n', NAME);
    memcpy(section(x, ARTIFACT_DIRENTS), &entry, sizeof entry);
    memset(section(x, ARTIFACT_DATA), 'd', FILE_SIZE);
    inode(x)[-1].mode = S_IFDIR | 0755;
    inode(x)->mode = S_IFREG | 0644;
    inode(x)->size = FILE_SIZE;
    sha256_of(section(x, ARTIFACT_DATA), FILE_SIZE, &h);
    memcpy(inode(x)->sha256, h.bytes, sizeof h.bytes);
    seal(x);
}

static void
report(void *context, const char *text)
{
    struct fixture *x = context;

    if (x->reports++ == 0) {
        assert_true(strlen(text) < sizeof x->first);
        strcpy(x->first, text);
    }
}

static unsigned
check(struct fixture *x)
{
    size_t files;

    x->reports = 0;
    x->first[0] = '\0';
    return artifact_check(x->file, SIZE, report, x, &files);
}

static void
expect(struct fixture *x, const char *what)
{
    assert_int_equal(check(x), 1);
    assert_int_equal(x->reports, 1);
    assert_non_null(what);
    if (!strstr(x->first, what))
        fail_msg("expected %s, found %s", what, x->first);
    free(x->file);
}

static void
accepts(void **state)
{
    struct fixture x;

    (void)state;
    make(&x);
    assert_int_equal(check(&x), 0);
    free(x.file);
}

static void
names_each_part(void **state)
{
    struct fixture x;

    (void)state;
    make(&x);
    x.file[ELF_SIZE - 1] ^= 1;
    expect(&x, "native code: expected sha256");
    make(&x);
    x.file[ELF_SIZE] ^= 1;
    expect(&x, "padding: byte at offset 100 ");
    make(&x);
    section(&x, ARTIFACT_DATA)[FILE_SIZE - 1] ^= 1;
    expect(&x, "file nnnn");
    make(&x);
    section(&x, ARTIFACT_DATA)[FILE_SIZE] ^= 1;
    expect(&x, "padding");
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        if (i == ARTIFACT_DATA)
            continue;
        make(&x);
        section(&x, i)[sizes[i] - 1] ^= 1;
        expect(&x, artifact_section_names[i]);
    }
}

/* Names of any length, inodes that point anywhere, hashes right. */
static void
survives_lies(void **state)
{
    static const uint64_t lies[][2] = {{0, UINT64_MAX},
                                       {UINT64_MAX, 1},
                                       {PAGE, 1},
                                       {1, PAGE},
                                       {UINT64_MAX, UINT64_MAX}};
    struct fixture x;

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        make(&x);
        inode(&x)->data = lies[i][0];
        inode(&x)->size = lies[i][1];
        seal(&x);
        assert_true(check(&x) >= 1);
        assert_non_null(strstr(x.first, "lies outside the data section"));
        free(x.file);
    }
    make(&x);
    ((struct artifact_dirent *)(void *)section(&x, ARTIFACT_DIRENTS))->name = UINT32_MAX;
    section(&x, ARTIFACT_DATA)[0] ^= 1;
    seal(&x);
    expect(&x, "file ? (inode 1)");
    make(&x);
    header(&x)->sections[ARTIFACT_INODES].size = UINT64_MAX;
    seal(&x);
    expect(&x, "inodes section lies outside");
    make(&x);
    section(&x, ARTIFACT_CHUNKS)[0] ^= 1; /* and the section's own hash right */
    {
        struct sha256 h;

        sha256_of(section(&x, ARTIFACT_CHUNKS), sizes[ARTIFACT_CHUNKS], &h);
        memcpy(header(&x)->sections[ARTIFACT_CHUNKS].sha256, h.bytes, sizeof h.bytes);
        sha256_of(header(&x), sizeof *header(&x), &h);
        memcpy(x.file + SIZE - sizeof(struct artifact_footer) + offsetof(struct artifact_footer, header_sha256),
               h.bytes, sizeof h.bytes);
    }
    expect(&x, "chunk hashes: that of chunk 0 is wrong");
    make(&x);
    header(&x)->sections[ARTIFACT_CHUNKS].size -= SHA256_SIZE;
    seal(&x);
    expect(&x, "the chunk hashes are not of this file");
    make(&x);
    header(&x)->code_offset = 50;
    header(&x)->code_size = UINT64_MAX;
    seal(&x);
    expect(&x, "the chunk hashes are not of this file");
    make(&x);
    header(&x)->elf_size = PAYLOAD + 1;
    seal(&x);
    expect(&x, "sizes do not add up");
}

/* Of another version the header may have another size, so that its hash is of other bytes: it is named as that, not as damage. */
static void
names_other_versions(void **state)
{
    static const uint32_t versions[] = {0, 1, ARTIFACT_VERSION - 1, ARTIFACT_VERSION + 1, UINT32_MAX};
    struct fixture x;

    (void)state;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        make(&x);
        header(&x)->version = versions[i];
        seal(&x);
        expect(&x, "built by another version of ingot");
        make(&x);
        header(&x)->version = versions[i]; /* and the footer's hash is not that of these bytes */
        expect(&x, "built by another version of ingot");
    }
    make(&x);
    header(&x)->level ^= 1; /* of this version it is damage */
    expect(&x, "header damaged");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepts), cmocka_unit_test(names_each_part),
                                       cmocka_unit_test(survives_lies), cmocka_unit_test(names_other_versions)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
