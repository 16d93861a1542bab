/* ELF files: what is taken, what is refused, and what a file that lies about itself gets. */
#include "maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "elf/elf_internal.h"

enum { READ, TEXT, FRAMES, DATA, DYNAMIC, SPARE }; /* of made's segments */

static struct made m;
static struct elf_image image;

static int
make(void **state)
{
    (void)state;
    made_init(&m, 0);
    return 0;
}

static int
drop(void **state)
{
    (void)state;
    made_fini(&m);
    return 0;
}

static void
expect_refused(const char *word)
{
    struct err e = {0};

    if (made_open(&m, &image, &e)) {
        made_close(&image);
        fail_msg("taken, where \"%s\" was expected", word);
    }
    if (!strstr(e.text, word))
        fail_msg("\"%s\" does not say \"%s\"", e.text, word);
}

/* --- what the file is --- */

static void
expect_kind(enum elf_kind kind, const char *reason)
{
    const char *why = "untouched";

    assert_int_equal(elf_classify(m.bytes, m.size, &why), kind);
    if (kind == ELF_KIND_OTHER)
        assert_string_equal(why, reason);
    assert_int_equal(elf_classify(m.bytes, m.size, NULL), kind);
    if (kind != ELF_KIND_X86_64)
        expect_refused(kind == ELF_KIND_OTHER ? reason : "no ELF magic");
}

static void
test_kinds(void **state)
{
    (void)state;
    Elf64_Ehdr sound = *m.header;

    expect_kind(ELF_KIND_X86_64, NULL);
    m.header->e_type = ET_EXEC;
    expect_kind(ELF_KIND_X86_64, NULL);
    m.header->e_type = ET_REL;
    expect_kind(ELF_KIND_OTHER, "relocatable object");
    m.header->e_type = ET_CORE;
    expect_kind(ELF_KIND_OTHER, "core dump");
    m.header->e_type = 0xffff;
    expect_kind(ELF_KIND_OTHER, "ELF of no known type");
    *m.header = sound;
    m.header->e_machine = EM_AARCH64;
    expect_kind(ELF_KIND_OTHER, "ELF of a foreign architecture");
    *m.header = sound;
    m.header->e_ident[EI_CLASS] = ELFCLASS32;
    expect_kind(ELF_KIND_OTHER, "32-bit ELF");
    m.header->e_ident[EI_CLASS] = 3;
    expect_kind(ELF_KIND_OTHER, "ELF of no known class");
    *m.header = sound;
    m.header->e_ident[EI_DATA] = ELFDATA2MSB;
    expect_kind(ELF_KIND_OTHER, "big-endian ELF");
    *m.header = sound;
    m.header->e_phnum = 0;
    expect_kind(ELF_KIND_OTHER, "no program headers");
    *m.header = sound;
    m.bytes[3] = 'G';
    expect_kind(ELF_KIND_NONE, NULL);
}

/* A file that ends anywhere is read no further, and is taken at no length that lacks a part of a segment. */
static void
test_every_length(void **state)
{
    (void)state;
    for (size_t size = 0; size < MADE_SIZE; size = size < 0x500 ? size + 1 : size + 61) {
        uint8_t *copy = mem_alloc(size);
        struct err e = {0};
        const char *reason = NULL;

        memcpy(copy, m.bytes, size);
        assert_int_equal(elf_classify(copy, size, &reason), size < 20                   ? ELF_KIND_NONE
                                                            : size < sizeof(Elf64_Ehdr) ? ELF_KIND_OTHER
                                                                                        : ELF_KIND_X86_64);
        assert_int_equal(elf_image_open(&image, copy, size, &e), -1);
        assert_true(e.text[0] != '\0');
        mem_free(copy);
    }
}

/* --- segments --- */

static void
test_sound_file(void **state)
{
    (void)state;
    made_open_sound(&m, &image);
    assert_true(image.is_pie);
    assert_int_equal(image.entry, AT_TEXT);
    assert_int_equal(image.low, 0);
    assert_int_equal(image.high, 0x5000);
    assert_int_equal(image.segments.count, 4);
    assert_int_equal(image.exec_sections.count, 1); /* without sections the whole segment */
    assert_int_equal(image.exec_sections.items[0].start, AT_TEXT);
    assert_int_equal(image.exec_sections.items[0].end, AT_TEXT + 0x1000);
    assert_null(image.interpreter);
    assert_null(image.soname);
    assert_false(image.is_go);
    made_close(&image);
}

static void
test_refused_segments(void **state)
{
    (void)state;
    Elf64_Phdr sound = m.segments[DATA];

    m.segments[DATA].p_filesz = 0x2001;
    expect_refused("more bytes in the file than in memory");
    m.segments[DATA].p_memsz = UINT64_MAX;
    m.segments[DATA].p_filesz = 0x1001;
    expect_refused("does not fit a 32-bit address space");
    m.segments[DATA] = sound;
    m.segments[DATA].p_filesz = 0x1001;
    expect_refused("beyond the end of the file");
    m.segments[DATA] = sound;
    m.segments[DATA].p_offset = UINT64_MAX & ~0xfffull; /* offset + size wraps to 0 */
    expect_refused("beyond the end of the file");
    m.segments[DATA] = sound;
    m.segments[DATA].p_vaddr = UINT64_C(1) << 32;
    expect_refused("does not fit a 32-bit address space");
    m.segments[DATA].p_vaddr = UINT64_MAX & ~0xfffull; /* address + size wraps */
    expect_refused("does not fit a 32-bit address space");
    m.segments[DATA].p_vaddr = UINT32_MAX & ~0xfffu;
    expect_refused("does not fit a 32-bit address space");
    m.segments[DATA] = sound;
    m.segments[DATA].p_vaddr++;
    expect_refused("not page-congruent");
    m.segments[DATA] = sound;
    m.segments[FRAMES].p_memsz = 0x1001; /* by one byte of memory */
    expect_refused("overlap");
    m.segments[FRAMES].p_memsz = 0x1000;
    m.segments[DATA].p_vaddr = m.segments[READ].p_vaddr; /* the same place, in another order */
    expect_refused("overlap");
    m.segments[DATA] = sound;
    made_open_sound(&m, &image);
    made_close(&image);
}

static void
test_extent(void **state)
{
    (void)state;
    m.segments[DATA].p_memsz = 0x40000000 - AT_DATA;
    made_open_sound(&m, &image);
    assert_int_equal(image.high, 0x40000000);
    made_close(&image);
    m.segments[DATA].p_memsz++;
    expect_refused("do not fit the address space for code");
    for (unsigned i = 0; i < 4; i++)
        m.segments[i].p_vaddr += 0x40000000;
    m.segments[DATA].p_memsz = 0x2000;
    made_open_sound(&m, &image); /* a library has any base: its extent counts */
    made_close(&image);
    m.header->e_type = ET_EXEC;
    expect_refused("do not fit the address space for code");
}

static void
test_program_headers(void **state)
{
    (void)state;
    Elf64_Ehdr sound = *m.header;

    m.header->e_phentsize = 55;
    expect_refused("unusable program header table");
    *m.header = sound;
    m.header->e_phnum = 257;
    expect_refused("unusable program header table");
    *m.header = sound;
    m.header->e_phoff = MADE_SIZE - 6 * sizeof(Elf64_Phdr) + 1;
    expect_refused("program headers lie beyond");
    m.header->e_phoff = UINT64_MAX - 55; /* the end of the table is 0, and 280 */
    expect_refused("program headers lie beyond");
    *m.header = sound;
    for (unsigned i = 0; i < 4; i++)
        m.segments[i].p_memsz = m.segments[i].p_filesz = 0;
    expect_refused("no loadable segment");
}

static void
test_interpreter(void **state)
{
    (void)state;
    memcpy(m.bytes + AT_WORDS, "/lib/ld", 7);
    m.segments[SPARE] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = AT_WORDS, .p_filesz = 7};
    made_open_sound(&m, &image);
    assert_null(image.interpreter); /* not terminated within its segment */
    made_close(&image);
    m.segments[SPARE].p_filesz = 8;
    made_open_sound(&m, &image);
    assert_string_equal(image.interpreter, "/lib/ld");
    made_close(&image);
    m.segments[SPARE].p_filesz = 0;
    made_open_sound(&m, &image);
    assert_null(image.interpreter);
    made_close(&image);
    m.segments[SPARE].p_filesz = UINT64_MAX;
    made_open_sound(&m, &image);
    assert_null(image.interpreter);
    made_close(&image);
}

static void
expect_go(bool is_go)
{
    made_open_sound(&m, &image);
    assert_int_equal(image.is_go, is_go);
    made_close(&image);
}

static void
test_notes(void **state)
{
    (void)state;
    static const uint8_t go[] = {4, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 'G', 'o', 0, 0, 'i', 'd', 0, 0};
    uint32_t *note = (uint32_t *)(m.bytes + AT_WORDS);

    memcpy(note, go, sizeof go);
    m.segments[SPARE] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = AT_WORDS, .p_filesz = sizeof go};
    expect_go(true);
    m.segments[SPARE].p_filesz = sizeof go - 1; /* its last padding is missing */
    expect_go(false);
    note[0] = UINT32_MAX; /* rounded up to 2^32 */
    m.segments[SPARE].p_filesz = 0x100;
    expect_go(false);
    note[0] = 4;
    note[1] = UINT32_MAX;
    expect_go(false);
    m.segments[SPARE].p_offset = UINT64_MAX;
    expect_go(false);
    m.segments[SPARE].p_offset = AT_WORDS;
    note[0] = UINT32_MAX; /* in 32 bits this rounds up to nothing, and the next note would be one of Go's */
    note[1] = 0;
    memcpy(note + 3, go, sizeof go);
    expect_go(false);
}

/* --- bytes at addresses --- */

static void
test_addresses(void **state)
{
    (void)state;
    uint64_t left, word;

    made_open_sound(&m, &image);
    assert_ptr_equal(elf_image_at(&image, AT_DATA, &left), image.file + AT_DATA);
    assert_int_equal(left, 0x1000);
    assert_ptr_equal(elf_image_at(&image, AT_DATA + 0xfff, &left), image.file + AT_DATA + 0xfff);
    assert_int_equal(left, 1);
    assert_null(elf_image_at(&image, AT_DATA + 0x1000, &left)); /* memory without bytes of the file */
    assert_int_equal(left, 0);
    assert_null(elf_image_at(&image, UINT64_MAX, &left));
    assert_null(elf_image_at(&image, UINT64_MAX, NULL));
    assert_true(elf_read_at(&image, AT_DATA + 0xff8, &word, 8));
    assert_false(elf_read_at(&image, AT_DATA + 0xff9, &word, 8));
    assert_false(elf_read_at(&image, AT_TEXT + 0xffc, &word, 8)); /* on into the next segment */
    assert_false(elf_read_at(&image, UINT64_MAX - 3, &word, 8));
    assert_false(elf_image_is_exec(&image, AT_TEXT - 1));
    assert_true(elf_image_is_exec(&image, AT_TEXT));
    assert_true(elf_image_is_exec(&image, AT_TEXT + 0xfff));
    assert_false(elf_image_is_exec(&image, AT_TEXT + 0x1000));
    made_close(&image);
}

static void
test_constant_addresses(void **state)
{
    (void)state;
    m.segments[SPARE] = (Elf64_Phdr){.p_type = PT_GNU_RELRO, .p_vaddr = AT_DATA, .p_memsz = 0x800};
    made_open_sound(&m, &image);
    assert_true(elf_image_is_constant(&image, AT_TEXT));
    assert_true(elf_image_is_constant(&image, AT_DATA + 0x7ff));
    assert_false(elf_image_is_constant(&image, AT_DATA + 0x800));
    assert_false(elf_image_is_constant(&image, AT_DATA + 0x1fff));
    assert_false(elf_image_is_constant(&image, AT_DATA + 0x2000)); /* of no segment */
    made_close(&image);
    m.segments[SPARE].p_memsz = UINT64_MAX;
    m.segments[SPARE].p_vaddr = 2;
    made_open_sound(&m, &image);
    assert_int_equal(image.relro.count, 0);
    made_close(&image);
}

/* --- dynamic section: symbols, relocations, functions at start and end --- */

static void
add_symbols(unsigned count)
{
    memcpy(m.bytes + AT_STRINGS, "\0one\0two\0lib.so\0open", 21);
    for (unsigned i = 1; i < count; i++)
        m.symbols[i] = (Elf64_Sym){.st_name = i == 1 ? 1 : 5,
                                   .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                   .st_shndx = 1,
                                   .st_value = AT_TEXT + i,
                                   .st_size = 1};
    made_dynamic(&m, DT_SYMTAB, AT_SYMBOLS);
    made_dynamic(&m, DT_STRTAB, AT_STRINGS);
    made_dynamic(&m, DT_STRSZ, 21);
}

static void
test_symbols_by_hash(void **state)
{
    (void)state;
    uint32_t *hash = (uint32_t *)(m.bytes + AT_WORDS);

    add_symbols(3);
    made_dynamic(&m, DT_HASH, AT_WORDS);
    made_dynamic(&m, DT_SONAME, 9);
    hash[1] = 3;
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 2); /* the first one is none */
    assert_string_equal(image.symbols.items[0].name, "one");
    assert_string_equal(image.symbols.items[1].name, "two");
    assert_true(image.symbols.items[0].function);
    assert_string_equal(image.soname, "lib.so");
    made_close(&image);
    hash[1] = UINT32_MAX; /* more than the segment has room for: what is there is read */
    made_open_sound(&m, &image);
    assert_true(image.symbols.count >= 2 && image.symbols.count < (MADE_SIZE - AT_SYMBOLS) / sizeof(Elf64_Sym));
    made_close(&image);
}

static void
test_symbols_by_gnu_hash(void **state)
{
    (void)state;
    /* head: buckets, first symbol, words of the filter, shift; the filter; buckets; chains */
    uint32_t *hash = (uint32_t *)(m.bytes + AT_WORDS);
    static const uint32_t sound[] = {2, 1, 1, 6, 0, 0, 1, 2, 0x11, 0x20, 0x31};

    add_symbols(4);
    made_dynamic(&m, DT_GNU_HASH, AT_WORDS);
    memcpy(hash, sound, sizeof sound);
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 3); /* the chain of bucket 1 goes on to symbol 3 */
    made_close(&image);
    hash[8 + 1] |= 1; /* and here it ends at symbol 2 */
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 2);
    made_close(&image);
    hash[0] = UINT32_MAX; /* more buckets than the file has bytes */
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 0);
    made_close(&image);
    memcpy(hash, sound, sizeof sound);
    hash[2] = UINT32_MAX;
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 0);
    made_close(&image);
    memcpy(hash, sound, sizeof sound);
    memset(hash + 8, 0, 0x100); /* a chain without end: symbols as far as there are any */
    for (unsigned i = 0; i < 200; i++)
        hash[8 + i] = 2;
    made_open_sound(&m, &image);
    made_close(&image);
}

/* A name must end within the table that it is of. */
static void
test_names_without_end(void **state)
{
    (void)state;
    uint32_t *hash = (uint32_t *)(m.bytes + AT_WORDS);

    add_symbols(3);
    made_dynamic(&m, DT_HASH, AT_WORDS);
    made_dynamic(&m, DT_SONAME, 16);
    hash[1] = 3;
    m.symbols[1].st_name = 16; /* "open", without its terminator */
    m.symbols[2].st_name = 21; /* just behind the table */
    m.bytes[AT_STRINGS + 20] = 'n';
    made_open_sound(&m, &image);
    assert_string_equal(image.symbols.items[0].name, "");
    assert_string_equal(image.symbols.items[1].name, "");
    assert_null(image.soname);
    made_close(&image);
    m.dynamic[2].d_un.d_val = UINT64_MAX; /* the table's size: it ends with the segment, which has zeros there */
    made_open_sound(&m, &image);
    assert_memory_equal(image.symbols.items[0].name, "open", 4);
    made_close(&image);
    memset(m.bytes + AT_WORDS + 8, 'x', MADE_SIZE - AT_WORDS - 8);
    m.symbols[1].st_name = AT_WORDS + 8 - AT_STRINGS;
    made_open_sound(&m, &image);
    assert_string_equal(image.symbols.items[0].name, "");
    made_close(&image);
}

static void
test_symbols_that_are_none(void **state)
{
    (void)state;
    uint32_t *hash = (uint32_t *)(m.bytes + AT_WORDS);

    add_symbols(6);
    made_dynamic(&m, DT_HASH, AT_WORDS);
    hash[1] = 6;
    m.symbols[1].st_shndx = SHN_UNDEF;
    m.symbols[2].st_shndx = SHN_ABS;
    m.symbols[3].st_value = 0;
    m.symbols[4].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS);
    m.symbols[5].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 1);
    assert_false(image.symbols.items[0].function);
    made_close(&image);
}

static void
add_rela(unsigned i, uint32_t type, uint32_t symbol, uint64_t where, int64_t addend)
{
    ((Elf64_Rela *)(m.bytes + AT_TABLE))[i] =
        (Elf64_Rela){.r_offset = where, .r_info = ELF64_R_INFO(symbol, type), .r_addend = addend};
}

static void
test_relocations(void **state)
{
    (void)state;
    add_symbols(3);
    m.symbols[2].st_shndx = SHN_UNDEF;
    made_dynamic(&m, DT_RELA, AT_TABLE);
    made_dynamic(&m, DT_RELASZ, 7 * sizeof(Elf64_Rela) + 23); /* the rest is no relocation */
    add_rela(0, R_X86_64_RELATIVE, 0, AT_WORDS + 8, AT_TEXT + 0x10);
    add_rela(1, R_X86_64_IRELATIVE, 0, AT_WORDS, AT_TEXT + 0x20); /* out of order */
    add_rela(2, R_X86_64_64, 1, AT_WORDS + 16, 0x100);
    add_rela(3, R_X86_64_GLOB_DAT, 1, AT_WORDS + 24, 0x100); /* whose addend does not count */
    add_rela(4, R_X86_64_JUMP_SLOT, 2, AT_WORDS + 32, 0);
    add_rela(5, R_X86_64_64, UINT32_MAX, AT_WORDS + 40, 0); /* no such symbol */
    add_rela(6, R_X86_64_TPOFF64, 1, AT_WORDS + 48, 0);
    add_rela(7, R_X86_64_RELATIVE, 0, AT_WORDS + 56, 0);
    made_word(&m, AT_WORDS + 32, AT_TEXT + 0x30);
    made_open_sound(&m, &image);
    assert_int_equal(image.relocs.count, 4);
    assert_int_equal(image.relocs.items[0].target, AT_TEXT + 0x20);
    assert_int_equal(image.relocs.items[1].target, AT_TEXT + 0x10);
    assert_int_equal(image.relocs.items[2].target, AT_TEXT + 1 + 0x100);
    assert_int_equal(image.relocs.items[3].target, AT_TEXT + 1);
    assert_int_equal(image.imports.count, 1);
    assert_int_equal(image.lazy_stubs.count, 1);
    assert_int_equal(image.lazy_stubs.items[0], AT_TEXT + 0x30);
    assert_string_equal(elf_image_import(&image, AT_WORDS + 32), "two");
    assert_null(elf_image_import(&image, AT_WORDS + 31));
    assert_null(elf_image_import(&image, 0));
    assert_null(elf_image_import(&image, UINT64_MAX));
    made_close(&image);
    m.dynamic[4].d_un.d_val = UINT64_MAX; /* the table's size */
    made_open_sound(&m, &image);
    made_close(&image);
    m.dynamic[3].d_un.d_val = UINT64_MAX - 7; /* and its place */
    made_open_sound(&m, &image);
    assert_int_equal(image.relocs.count, 0);
    made_close(&image);
}

/* gABI, SHT_RELR: an address, then bitmaps of the 63 words behind. */
static void
test_packed_relocations(void **state)
{
    (void)state;
    made_dynamic(&m, DT_RELR, AT_TABLE);
    made_dynamic(&m, DT_RELRSZ, 3 * 8);
    made_word(&m, AT_TABLE, AT_WORDS);
    made_word(&m, AT_TABLE + 8, 1 | 1 << 1 | UINT64_C(1) << 63); /* the first word behind, and the last */
    made_word(&m, AT_TABLE + 16, 1 | 1 << 1);
    made_word(&m, AT_WORDS, 0x1111);
    made_word(&m, AT_WORDS + 8, 0x2222);
    made_word(&m, AT_WORDS + 8 * 63, 0x3333);
    made_word(&m, AT_WORDS + 8 * 64, 0x4444);
    made_open_sound(&m, &image);
    assert_int_equal(image.relocs.count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(image.relocs.items[i].target, 0x1111 * (i + 1));
    assert_int_equal(image.relocs.items[3].where, AT_WORDS + 8 * 64);
    made_close(&image);
    made_word(&m, AT_TABLE, UINT64_MAX - 1); /* words at no address */
    made_word(&m, AT_TABLE + 8, UINT64_MAX);
    made_word(&m, AT_TABLE + 16, UINT64_MAX);
    made_open_sound(&m, &image);
    made_close(&image);
}

static void
test_init_functions(void **state)
{
    (void)state;
    made_dynamic(&m, DT_INIT, AT_TEXT);
    made_dynamic(&m, DT_INIT_ARRAY, AT_WORDS);
    made_dynamic(&m, DT_INIT_ARRAYSZ, 4 * 8 + 7);
    made_dynamic(&m, DT_FINI_ARRAY, AT_DATA + 0xff8);
    made_dynamic(&m, DT_FINI_ARRAYSZ, UINT64_MAX); /* one word, then the segment ends */
    made_dynamic(&m, DT_NULL, 0);
    made_dynamic(&m, DT_FINI, AT_TEXT + 9); /* behind the end */
    made_word(&m, AT_WORDS, AT_TEXT + 1);
    made_word(&m, AT_WORDS + 8, 0);
    made_word(&m, AT_WORDS + 16, UINT64_MAX); /* old ones begin and end by these two */
    made_word(&m, AT_WORDS + 24, AT_TEXT + 2);
    made_word(&m, AT_WORDS + 32, AT_TEXT + 3);
    made_word(&m, AT_DATA + 0xff8, AT_TEXT + 4);
    made_open_sound(&m, &image);
    assert_int_equal(image.init_functions.count, 4);
    assert_int_equal(image.init_functions.items[0], AT_TEXT);
    assert_int_equal(image.init_functions.items[1], AT_TEXT + 1);
    assert_int_equal(image.init_functions.items[2], AT_TEXT + 2);
    assert_int_equal(image.init_functions.items[3], AT_TEXT + 4);
    made_close(&image);
}

static void
test_dynamic_without_end(void **state)
{
    (void)state;
    for (uint64_t *p = (uint64_t *)(m.bytes + AT_DYNAMIC); p < (uint64_t *)(m.bytes + MADE_SIZE); p += 2)
        p[0] = DT_INIT; /* no DT_NULL in all of the segment */
    m.segments[DYNAMIC].p_memsz = UINT64_MAX;
    made_open_sound(&m, &image);
    made_close(&image);
    m.segments[DYNAMIC].p_vaddr = UINT64_MAX - 8;
    made_open_sound(&m, &image);
    made_close(&image);
}

/* --- sections --- */

static Elf64_Shdr *
add_section(uint32_t type, uint64_t flags, uint64_t at, uint64_t size)
{
    Elf64_Shdr *s = &m.sections[m.header->e_shnum++];

    *s = (Elf64_Shdr){.sh_type = type, .sh_flags = flags, .sh_addr = at, .sh_offset = at, .sh_size = size};
    return s;
}

static void
test_executable_sections(void **state)
{
    (void)state;
    enum { CODE = SHF_ALLOC | SHF_EXECINSTR };

    add_section(SHT_PROGBITS, CODE, AT_TEXT + 0x800, 0x100);
    add_section(SHT_PROGBITS, CODE, AT_TEXT, 0x100);
    add_section(SHT_PROGBITS, CODE, AT_TEXT + 0x80, 0x100);  /* overlaps the one before */
    add_section(SHT_PROGBITS, CODE, AT_TEXT + 0x20, 0x10);   /* lies within it */
    add_section(SHT_PROGBITS, CODE, AT_DATA, 0x100);         /* not executable, whatever it says */
    add_section(SHT_PROGBITS, CODE, AT_TEXT + 0xf00, 0x101); /* longer than its segment */
    add_section(SHT_PROGBITS, CODE, AT_TEXT + 0xf00, UINT64_MAX);
    add_section(SHT_PROGBITS, CODE, UINT64_MAX, 1);
    made_open_sound(&m, &image);
    assert_int_equal(image.exec_sections.count, 2);
    assert_int_equal(image.exec_sections.items[0].end, AT_TEXT + 0x180);
    assert_int_equal(image.exec_sections.items[1].start, AT_TEXT + 0x800);
    assert_true(elf_image_is_exec(&image, AT_TEXT + 0x17f));
    assert_false(elf_image_is_exec(&image, AT_TEXT + 0x180));
    assert_false(elf_image_is_exec(&image, AT_TEXT + 0x7ff));
    assert_true(elf_image_is_exec(&image, AT_TEXT + 0x8ff));
    assert_false(elf_image_is_exec(&image, AT_TEXT + 0x900));
    made_close(&image);
}

static void
test_section_table_that_lies(void **state)
{
    (void)state;
    add_section(SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, AT_TEXT, 0x100);
    m.header->e_shoff = UINT64_MAX - 10;
    made_open_sound(&m, &image);
    assert_int_equal(image.exec_sections.items[0].end, AT_TEXT + 0x1000); /* as without sections */
    made_close(&image);
    m.header->e_shoff = AT_SECTIONS;
    m.header->e_shentsize = 63;
    made_open_sound(&m, &image);
    assert_int_equal(image.exec_sections.items[0].end, AT_TEXT + 0x1000);
    made_close(&image);
    m.header->e_shentsize = sizeof(Elf64_Shdr);
    m.header->e_shnum = UINT16_MAX; /* reaches beyond the end */
    made_open_sound(&m, &image);
    assert_int_equal(image.exec_sections.items[0].end, AT_TEXT + 0x1000);
    made_close(&image);
    m.header->e_shnum = 1;
    m.header->e_shstrndx = UINT16_MAX;
    m.sections[0].sh_link = UINT32_MAX;
    made_open_sound(&m, &image);
    assert_int_equal(image.exec_sections.items[0].end, AT_TEXT + 0x100);
    made_close(&image);
}

static void
test_static_symbols(void **state)
{
    (void)state;
    Elf64_Shdr *table;

    memcpy(m.bytes + AT_STRINGS, "\0name", 6);
    m.symbols[1] =
        (Elf64_Sym){.st_name = 1, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC), .st_shndx = 1, .st_value = AT_TEXT};
    add_section(SHT_STRTAB, 0, AT_STRINGS, 6);
    table = add_section(SHT_SYMTAB, 0, AT_SYMBOLS, 2 * sizeof(Elf64_Sym) + 23);
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 1);
    assert_string_equal(image.symbols.items[0].name, "name");
    made_close(&image);
    m.sections[0].sh_size = 5; /* the strings: without the terminator */
    made_open_sound(&m, &image);
    assert_string_equal(image.symbols.items[0].name, "");
    made_close(&image);
    m.sections[0].sh_offset = UINT64_MAX;
    made_open_sound(&m, &image);
    assert_string_equal(image.symbols.items[0].name, "");
    made_close(&image);
    table->sh_link = 2; /* no such section */
    made_open_sound(&m, &image);
    assert_int_equal(image.symbols.count, 0);
    made_close(&image);
}

/* --- files that make work --- */

static double
processor_time(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* 40,000 section headers name one table of 20,000 symbols, and one of as many relocations: neither counts more often than the file is
 * large. */
static void
test_tables_named_often(void **state)
{
    (void)state;
    enum { SECTIONS = 40000, SYMBOLS = 20000, RELOCATIONS = 20000, STRINGS = 16 };
    size_t sections = MADE_SIZE, symbols = sections + SECTIONS * sizeof(Elf64_Shdr),
           strings = symbols + SYMBOLS * sizeof(Elf64_Sym);
    size_t relocations = strings + STRINGS;
    struct made big;
    double start = processor_time();

    made_init(&big, relocations + RELOCATIONS * sizeof(Elf64_Rela) - MADE_SIZE);
    big.segments[READ].p_filesz = big.segments[READ].p_memsz = big.size;
    for (unsigned i = 1; i < 4; i++)
        big.segments[i].p_vaddr += 0x8000000;
    big.segments[DYNAMIC].p_type = PT_NULL; /* without relocations there, those of sections are read */
    big.header->e_shoff = sections;
    big.header->e_shnum = SECTIONS;
    for (unsigned i = 0; i < SECTIONS; i++)
        ((Elf64_Shdr *)(big.bytes + sections))[i] =
            i == 0 ? (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = strings, .sh_size = STRINGS}
            : i % 2 == 0
                ? (Elf64_Shdr){.sh_type = SHT_SYMTAB, .sh_offset = symbols, .sh_size = SYMBOLS * sizeof(Elf64_Sym)}
                : (Elf64_Shdr){.sh_type = SHT_RELA,
                               .sh_flags = SHF_ALLOC,
                               .sh_addr = relocations,
                               .sh_offset = relocations,
                               .sh_size = RELOCATIONS * sizeof(Elf64_Rela)};
    for (unsigned i = 0; i < SYMBOLS; i++)
        ((Elf64_Sym *)(big.bytes + symbols))[i] = (Elf64_Sym){.st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
                                                              .st_shndx = 1,
                                                              .st_value = 0x8001000 + i % 0x1000};
    for (unsigned i = 0; i < RELOCATIONS; i++)
        ((Elf64_Rela *)(big.bytes + relocations))[i] =
            (Elf64_Rela){.r_offset = 8 * i, .r_info = R_X86_64_RELATIVE, .r_addend = 0x8001000};
    made_open_sound(&big, &image);
    assert_int_equal(image.symbols.count, SYMBOLS);
    assert_true(image.relocs.count >= RELOCATIONS && image.relocs.count <= big.size / sizeof(Elf64_Rela));
    made_close(&image);
    made_fini(&big);
    assert_true(processor_time() - start < 10);
}

/* 100,000 symbols and as many imports have their names at the beginning of two megabytes without a zero: that is not looked at for each. */
static void
test_names_are_not_searched_again(void **state)
{
    (void)state;
    enum { COUNT = 100000, STRINGS = 2000000 };
    size_t symbols = MADE_SIZE, strings = symbols + COUNT * sizeof(Elf64_Sym), relocations = strings + STRINGS;
    struct made big;
    double start = processor_time();

    made_init(&big, relocations + COUNT * sizeof(Elf64_Rela) - MADE_SIZE);
    big.segments[READ].p_filesz = big.segments[READ].p_memsz = big.size;
    for (unsigned i = 1; i < 4; i++)
        big.segments[i].p_vaddr += 0x8000000;
    memset(big.bytes + strings, 'x', STRINGS);
    for (unsigned i = 0; i < COUNT; i++) {
        ((Elf64_Sym *)(big.bytes + symbols))[i] = (Elf64_Sym){.st_name = i,
                                                              .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                                              .st_shndx = i % 2 ? 1 : SHN_UNDEF,
                                                              .st_value = 0x8001000};
        ((Elf64_Rela *)(big.bytes + relocations))[i] =
            (Elf64_Rela){.r_offset = 8 * i, .r_info = ELF64_R_INFO(i & ~1u, R_X86_64_GLOB_DAT)};
    }
    made_dynamic(&big, DT_SYMTAB, symbols);
    made_dynamic(&big, DT_STRTAB, strings);
    made_dynamic(&big, DT_STRSZ, STRINGS);
    made_dynamic(&big, DT_RELA, relocations);
    made_dynamic(&big, DT_RELASZ, COUNT * sizeof(Elf64_Rela));
    made_dynamic(&big, DT_HASH, 0x200);
    made_word(&big, 0x200, (uint64_t)COUNT << 32);
    big.segments[DYNAMIC].p_vaddr += 0x8000000;
    made_open_sound(&big, &image);
    assert_int_equal(image.symbols.count, COUNT / 2);
    assert_string_equal(image.symbols.items[0].name, "");
    assert_int_equal(image.imports.count, 0);
    made_close(&image);
    made_fini(&big);
    assert_true(processor_time() - start < 5);
}

/* --- any file --- */

static uint32_t
next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

/* A file with all of the above, changed at random places by values that make trouble: whatever is taken keeps to what made_check() asks. */
static void
test_changed_files(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,      1,          7,         0xff,           0x1000,    0x3fff,
                                      0x4000, UINT32_MAX, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    static const uint16_t regions[][2] = {{0x10, 0x30},          {AT_SEGMENTS, 8 * 56}, {AT_SECTIONS, 4 * 64},
                                          {AT_DYNAMIC, 20 * 16}, {AT_SYMBOLS, 6 * 24},  {AT_TABLE, 8 * 24},
                                          {AT_WORDS, 64}};
    uint32_t x = 2463534242, taken = 0;
    enum { ROUNDS = 20000 };
    struct made sound;

    test_relocations(NULL);
    made_dynamic(&m, DT_GNU_HASH, AT_WORDS);
    made_dynamic(&m, DT_RELR, AT_WORDS);
    made_dynamic(&m, DT_RELRSZ, 64);
    made_dynamic(&m, DT_INIT_ARRAY, AT_WORDS);
    made_dynamic(&m, DT_INIT_ARRAYSZ, 64);
    m.segments[SPARE] = (Elf64_Phdr){.p_type = PT_GNU_EH_FRAME, .p_vaddr = AT_FRAMES, .p_memsz = 0x100};
    add_section(SHT_STRTAB, 0, AT_STRINGS, 21);
    add_section(SHT_SYMTAB, 0, AT_SYMBOLS, 6 * sizeof(Elf64_Sym));
    add_section(SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, AT_TEXT, 0x100);
    add_section(SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, AT_TEXT + 0x200, 0x100);
    made_init(&sound, 0);
    memcpy(sound.bytes, m.bytes, MADE_SIZE);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct err e = {0};

        memcpy(m.bytes, sound.bytes, MADE_SIZE);
        for (unsigned n = 1 + next_random(&x) % 3; n; n--) {
            const uint16_t *r = regions[next_random(&x) % 7];
            uint64_t v = values[next_random(&x) % 11];
            size_t size = (size_t)1 << next_random(&x) % 4;

            memcpy(m.bytes + r[0] + next_random(&x) % (r[1] / size) * size, &v, size);
        }
        if (made_open(&m, &image, &e)) {
            taken++;
            made_check(&image);
            made_close(&image);
        }
    }
    made_fini(&sound);
    assert_true(taken > ROUNDS / 10 && taken < ROUNDS); /* both kinds were met */
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make, drop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_kinds),
        WITH_FILE(test_every_length),
        WITH_FILE(test_sound_file),
        WITH_FILE(test_refused_segments),
        WITH_FILE(test_extent),
        WITH_FILE(test_program_headers),
        WITH_FILE(test_interpreter),
        WITH_FILE(test_notes),
        WITH_FILE(test_addresses),
        WITH_FILE(test_constant_addresses),
        WITH_FILE(test_symbols_by_hash),
        WITH_FILE(test_symbols_by_gnu_hash),
        WITH_FILE(test_names_without_end),
        WITH_FILE(test_symbols_that_are_none),
        WITH_FILE(test_relocations),
        WITH_FILE(test_packed_relocations),
        WITH_FILE(test_init_functions),
        WITH_FILE(test_dynamic_without_end),
        WITH_FILE(test_executable_sections),
        WITH_FILE(test_section_table_that_lies),
        WITH_FILE(test_static_symbols),
        cmocka_unit_test(test_tables_named_often),
        cmocka_unit_test(test_names_are_not_searched_again),
        WITH_FILE(test_changed_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
