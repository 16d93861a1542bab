/* .eh_frame and the LSDAs: which functions and landing pads they give, and what records that lie give. */
#include "maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

enum { READ, TEXT, FRAMES, DATA, DYNAMIC, SPARE }; /* of made's segments */
enum { HEADER = AT_FRAMES, RECORDS = AT_FRAMES + 0x100, TABLES = AT_FRAMES + 0x800 };
enum { /* DW_EH_PE_* */
       ABSPTR = 0x00,
       ULEB = 0x01,
       UDATA2 = 0x02,
       UDATA4 = 0x03,
       UDATA8 = 0x04,
       SLEB = 0x09,
       SDATA2 = 0x0a,
       SDATA4 = 0x0b,
       SDATA8 = 0x0c,
       PCREL = 0x10,
       DATAREL = 0x30,
       INDIRECT = 0x80,
       OMIT = 0xff,
};

static struct made m;
static struct elf_image image;
static size_t at; /* where the next record goes */

/* Bytes of a record, written at `at`. */
static void
put(const void *data, size_t size)
{
    assert_true(at + size <= m.size);
    memcpy(m.bytes + at, data, size);
    at += size;
}

static void
put8(unsigned v)
{
    put(&(uint8_t){(uint8_t)v}, 1);
}

static void
put32(uint64_t v)
{
    put(&(uint32_t){(uint32_t)v}, 4);
}

static void
put64(uint64_t v)
{
    put(&v, 8);
}

/* Header of the frames at RECORDS, as linkers write it: relative to the header's own place. */
static void
put_header(void)
{
    m.segments[SPARE] = (Elf64_Phdr){.p_type = PT_GNU_EH_FRAME, .p_vaddr = HEADER, .p_memsz = 12};
    at = HEADER;
    put8(1);
    put8(PCREL | SDATA4);
    put8(OMIT);
    put8(OMIT);
    put32(RECORDS - at);
    at = RECORDS;
}

static int
make(void **state)
{
    (void)state;
    made_init(&m, 0);
    put_header();
    return 0;
}

static int
drop(void **state)
{
    (void)state;
    made_fini(&m);
    return 0;
}

/* Begins a record; the result goes to end_record(), which writes the length. */
static size_t
begin_record(void)
{
    size_t start = at;

    put32(0);
    return start;
}

static void
end_record(size_t start)
{
    uint32_t length = (uint32_t)(at - start - 4);

    memcpy(m.bytes + start, &length, 4);
}

/* A CIE of the augmentation; data: what its letters stand for, in order. */
static size_t
put_cie(const char *augmentation, const char *data, size_t size)
{
    size_t start = begin_record();

    put32(0);
    put8(1);
    put(augmentation, strlen(augmentation) + 1);
    put8(1);
    put8(0x78); /* -8 */
    put8(16);
    if (augmentation[0] == 'z')
        put8((unsigned)size);
    put(data, size);
    end_record(start);
    return start;
}

/* An FDE with addresses as PCREL | SDATA4, and an LSDA in the same form unless it is 0. */
static void
put_fde(size_t cie, uint64_t function, uint32_t size, uint64_t lsda)
{
    size_t start = begin_record();

    put32(at - cie);
    put32(function - at);
    put32(size);
    put8(lsda ? 4 : 0);
    if (lsda)
        put32(lsda - at);
    end_record(start);
}

static const char relative[] = {PCREL | SDATA4};
static const char relative_twice[] = {PCREL | SDATA4, PCREL | SDATA4};

static void
expect_fdes(size_t count)
{
    made_open_sound(&m, &image);
    if (image.fdes.count != count)
        fail_msg("%zu functions, where %zu were expected", image.fdes.count, count);
}

static void
expect_only(uint64_t start, uint64_t end)
{
    expect_fdes(1);
    assert_int_equal(image.fdes.items[0].start, start);
    assert_int_equal(image.fdes.items[0].end, end);
    made_close(&image);
}

static void
test_functions(void **state)
{
    (void)state;
    size_t cie = put_cie("zR", relative, 1);

    put_fde(cie, AT_TEXT + 0x20, 0x10, 0);
    put_fde(cie, AT_TEXT, 0x10, 0);
    put_fde(cie, AT_TEXT + 0xff0, 0x10, 0); /* up to the end of the text */
    put_fde(cie, AT_TEXT + 0xff0, 0x11, 0); /* beyond it */
    put_fde(cie, AT_TEXT - 1, 0x10, 0);
    put_fde(cie, AT_DATA, 0x10, 0);
    put_fde(cie, AT_TEXT, 0, 0);
    put32(0); /* the end: what follows is nothing */
    put_fde(cie, AT_TEXT + 0x40, 0x10, 0);
    expect_fdes(3);
    assert_int_equal(image.fdes.items[0].start, AT_TEXT); /* in order */
    assert_int_equal(image.fdes.items[1].start, AT_TEXT + 0x20);
    assert_int_equal(image.fdes.items[1].end, AT_TEXT + 0x30);
    assert_int_equal(image.fdes.items[2].end, AT_TEXT + 0x1000);
    made_close(&image);
}

/* Each form of a pointer gives the same function. */
static void
test_encodings(void **state)
{
    (void)state;
    static const uint8_t forms[] = {ABSPTR,         UDATA8,         SDATA8,        UDATA4, SDATA4,
                                    UDATA2,         SDATA2,         ULEB,          SLEB,   PCREL | UDATA8,
                                    PCREL | SDATA8, PCREL | SDATA4, PCREL | SDATA2};

    for (size_t i = 0; i < sizeof forms; i++) {
        const char data[] = {(char)forms[i]};
        size_t cie, start;

        at = RECORDS;
        memset(m.bytes + at, 0, 0x200);
        cie = put_cie("zR", data, 1);
        start = begin_record();
        put32(at - cie);
        for (unsigned part = 0; part < 2; part++) {
            uint64_t v = part ? 0x10 : AT_TEXT + 0x30;

            if (!part && (forms[i] & 0x70) == PCREL)
                v -= at;
            switch (forms[i] & 0x0f) {
            case ULEB:
            case SLEB:
                put8((v & 0x7f) | 0x80);
                put8((v >> 7 & 0x7f) | 0x80);
                put8((unsigned)(v >> 14 & 0x7f));
                break;
            case UDATA2:
            case SDATA2: put(&(uint16_t){(uint16_t)v}, 2); break;
            case UDATA4:
            case SDATA4: put32(v); break;
            default: put64(v); break;
            }
        }
        put8(0);
        end_record(start);
        expect_only(AT_TEXT + 0x30, AT_TEXT + 0x40);
    }
}

/* A signal's return code begins one byte behind its FDE, because unwinders look one byte before a return address. */
static void
test_signal_frame(void **state)
{
    (void)state;
    size_t cie = put_cie("zRS", relative, 1);

    put_fde(cie, AT_TEXT + 0x1f, 0x11, 0);
    expect_only(AT_TEXT + 0x20, AT_TEXT + 0x30);
}

static void
test_letters(void **state)
{
    (void)state;
    static const char with_personality[] = {ABSPTR, 1, 2, 3, 4, 5, 6, 7, 8, PCREL | SDATA4};
    size_t cie = put_cie("zPRB", with_personality, sizeof with_personality);

    put_fde(cie, AT_TEXT, 0x10, 0);
    cie = put_cie("zRx", relative, 1); /* an unknown letter: what stands behind it is unknown, too */
    put_fde(cie, AT_TEXT + 0x40, 0x10, 0);
    cie = put_cie("zRRRRRRRRRRRRRRR", "\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b",
                  15); /* longer than any */
    put_fde(cie, AT_TEXT + 0x80, 0x10, 0);
    expect_only(AT_TEXT, AT_TEXT + 0x10);
}

static void
test_records_that_lie(void **state)
{
    (void)state;
    size_t cie = put_cie("zR", relative, 1), start;

    start = begin_record(); /* of a CIE that is none: an FDE */
    put32(at - RECORDS - 4);
    put32(0);
    put32(16);
    end_record(start);
    start = begin_record(); /* of a CIE before the segment */
    put32(UINT32_MAX);
    put32(AT_TEXT - at);
    put32(16);
    put8(0);
    end_record(start);
    start = begin_record(); /* shorter than its own fields: those of the next one are not its */
    put32(at - cie);
    end_record(start);
    put_fde(cie, AT_TEXT, 0x10, 0);
    expect_fdes(1);
    made_close(&image);
    put32(UINT32_MAX); /* 64-bit DWARF, which nobody writes */
    put_fde(cie, AT_TEXT + 0x40, 0x10, 0);
    expect_fdes(1);
    made_close(&image);
}

/* The last record is longer than the segment that it lies in. */
static void
test_record_beyond_the_end(void **state)
{
    (void)state;
    size_t cie = put_cie("zR", relative, 1);

    put_fde(cie, AT_TEXT, 0x10, 0);
    put32(AT_FRAMES + 0x1000 - at); /* by four bytes */
    put32(at - cie);
    put32(AT_TEXT + 0x40 - at);
    put32(0x10);
    expect_only(AT_TEXT, AT_TEXT + 0x10);
}

static void
test_headers_that_lie(void **state)
{
    (void)state;
    static const uint64_t places[] = {0, AT_FRAMES + 0xfff, AT_DATA + 0x1000, UINT64_MAX, UINT64_MAX - 3};
    size_t cie = put_cie("zR", relative, 1);

    put_fde(cie, AT_TEXT, 0x10, 0);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        m.segments[SPARE].p_vaddr = places[i];
        expect_fdes(0);
        made_close(&image);
    }
    m.segments[SPARE].p_vaddr = HEADER;
    expect_fdes(1);
    made_close(&image);
    m.bytes[HEADER] = 2; /* another version */
    expect_fdes(0);
    made_close(&image);
    m.bytes[HEADER] = 1;
    m.bytes[HEADER + 1] = DATAREL | SDATA4; /* from the header on */
    at = HEADER + 4;
    put32(RECORDS - HEADER);
    expect_fdes(1);
    made_close(&image);
    m.bytes[HEADER + 1] = 0x0f; /* no form */
    expect_fdes(0);
    made_close(&image);
    m.bytes[HEADER + 1] = ABSPTR;
    put64(0);
    at = HEADER + 4;
    put64(UINT64_MAX - 1);
    expect_fdes(0);
    made_close(&image);
}

/* --- LSDAs --- */

/* The call-site table of an LSDA whose landing pads count from the function's start; forms are ULEB. A site: start, length, pad, action. */
static size_t
put_lsda(const char *sites, size_t size)
{
    size_t start = at;

    put8(OMIT); /* pads count from the function's start */
    put8(OMIT);
    put8(ULEB);
    put8((unsigned)size);
    put(sites, size);
    return start;
}

static void
test_landing_pads(void **state)
{
    (void)state;
    static const char sites[] = {0, 4, 0,    0, 4,  4, 0x18, 1,
                                 8, 4, 0x20, 1, 12, 4, 0x1f, 1}; /* 0x20 lies behind the function */
    static const char others[] = {0, 4, 1, 0};
    size_t lsda, other, cie;

    at = TABLES;
    lsda = put_lsda(sites, sizeof sites);
    other = put_lsda(others, sizeof others);
    at = RECORDS;
    cie = put_cie("zLR", relative_twice, 2);
    put_fde(cie, AT_TEXT + 0x100, 0x20, lsda);
    put_fde(cie, AT_TEXT + 0x200, 0x20, 0);
    put_fde(cie, AT_TEXT + 0x300, 0x20, other);
    put_fde(cie, AT_TEXT + 0x400, 0x20, UINT32_MAX); /* at no address */
    expect_fdes(4);
    assert_int_equal(image.fdes.items[0].lsda, lsda);
    assert_int_equal(image.fdes.items[1].lsda, 0);
    assert_int_equal(image.landing_pads.count, 3);
    assert_int_equal(image.landing_pads.items[0], AT_TEXT + 0x118);
    assert_int_equal(image.landing_pads.items[1], AT_TEXT + 0x11f);
    assert_int_equal(image.landing_pads.items[2], AT_TEXT + 0x301);
    made_close(&image);
}

/* A table that reaches beyond its segment has no landing pads; one whose last site is cut off has those before. */
static void
test_call_sites_that_lie(void **state)
{
    (void)state;
    static const char sites[] = {0, 4, 0x10, 1, 4, 4, 0x11};
    size_t lsda, cie;

    at = AT_FRAMES + 0x1000 - 4 - sizeof sites;
    lsda = put_lsda(sites, sizeof sites);
    at = RECORDS;
    cie = put_cie("zLR", relative_twice, 2);
    put_fde(cie, AT_TEXT, 0x20, lsda);
    expect_fdes(1);
    assert_int_equal(image.landing_pads.count, 1);
    made_close(&image);
    m.bytes[lsda + 3]++;
    expect_fdes(1);
    assert_int_equal(image.landing_pads.count, 0);
    made_close(&image);
    m.bytes[lsda + 3]--;
    m.bytes[lsda + 2] = 0x0f; /* no form */
    expect_fdes(1);
    assert_int_equal(image.landing_pads.count, 0);
    made_close(&image);
}

/* --- files that make work --- */

/* 40,000 functions share one table of 400,000 call sites without a landing pad, or with one each: it is read about once, not once for each. */
static void
share_a_table(char pad)
{
    enum { FUNCTIONS = 40000, SITES = 400000 };
    size_t records = MADE_SIZE, table = records + FUNCTIONS * 21 + 64, cie;
    clock_t start = clock();

    made_init(&m, table + 8 + 4 * SITES - MADE_SIZE);
    m.segments[READ].p_filesz = m.segments[READ].p_memsz = m.size;
    for (unsigned i = 1; i < 4; i++)
        m.segments[i].p_vaddr += 0x8000000;
    put_header();
    m.segments[SPARE].p_vaddr = HEADER + 0x8000000;
    m.bytes[HEADER + 1] = ABSPTR;
    at = HEADER + 4;
    put64(records);
    at = records;
    cie = put_cie("zLR", relative_twice, 2);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        put_fde(cie, 0x8000000 + AT_TEXT + i % 0x800, 0x20, table);
    put32(0);
    at = table;
    put8(OMIT);
    put8(OMIT);
    put8(ULEB);
    put8((4 * SITES & 0x7f) | 0x80);
    put8((4 * SITES >> 7 & 0x7f) | 0x80);
    put8((4 * SITES >> 14 & 0x7f) | 0x80);
    put8(4 * SITES >> 21);
    for (unsigned i = 0; i < SITES; i++)
        put((const char[]){1, 1, pad, 0}, 4);
    expect_fdes(FUNCTIONS);
    assert_true(image.landing_pads.count <= 2 * SITES);
    assert_int_equal(image.landing_pads.count > 0, pad != 0);
    made_close(&image);
    made_fini(&m);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
}

static void
test_tables_shared_by_all(void **state)
{
    (void)state;
    share_a_table(0);
    share_a_table(1);
}

/* Functions are looked for among 60,000 sections; each of as many functions is found quickly. */
static void
test_many_sections(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    size_t sections = MADE_SIZE, records = sections + COUNT * sizeof(Elf64_Shdr),
           text = (records + COUNT * 17 + 64 + 0xfff) & ~0xffful, cie;
    clock_t start = clock();

    made_init(&m, text + 4 * COUNT - MADE_SIZE);
    m.segments[READ].p_filesz = m.segments[READ].p_memsz = text;
    m.segments[TEXT] = (Elf64_Phdr){.p_type = PT_LOAD,
                                    .p_flags = PF_R | PF_X,
                                    .p_offset = text,
                                    .p_vaddr = text,
                                    .p_filesz = 4 * COUNT,
                                    .p_memsz = 4 * COUNT};
    m.segments[FRAMES].p_type = m.segments[DATA].p_type = m.segments[DYNAMIC].p_type = PT_NULL;
    put_header();
    at = HEADER + 1;
    put8(ABSPTR);
    at = HEADER + 4;
    put64(records);
    m.header->e_shoff = sections;
    m.header->e_shnum = COUNT;
    for (unsigned i = 0; i < COUNT; i++)
        ((Elf64_Shdr *)(m.bytes + sections))[i] = (Elf64_Shdr){.sh_type = SHT_PROGBITS,
                                                               .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                                                               .sh_addr = text + 4 * i,
                                                               .sh_size = 3};
    at = records;
    cie = put_cie("zR", relative, 1);
    for (unsigned i = 0; i < COUNT; i++)
        put_fde(cie, text + 4 * (COUNT - 1 - i), 3, 0);
    expect_fdes(COUNT);
    made_close(&image);
    made_fini(&m);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
}

/* --- any records --- */

static uint32_t
next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static void
test_changed_records(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 4, 0x10, 0x1b, 0x7f, 0x80, 0xfe, 0xff};
    enum { ROUNDS = 20000 };
    uint32_t x = 88172645, functions = 0;
    uint8_t sound[0x1000];

    test_landing_pads(NULL);
    memcpy(sound, m.bytes + AT_FRAMES, sizeof sound);
    for (unsigned round = 0; round < ROUNDS; round++) {
        memcpy(m.bytes + AT_FRAMES, sound, sizeof sound);
        for (unsigned n = 1 + next_random(&x) % 3; n; n--) {
            static const uint16_t regions[][2] = {{HEADER, 12}, {RECORDS, 120}, {TABLES, 32}};
            const uint16_t *r = regions[next_random(&x) % 3];

            m.bytes[r[0] + next_random(&x) % r[1]] = values[next_random(&x) % sizeof values];
        }
        made_open_sound(&m, &image);
        functions += image.fdes.count > 0;
        made_close(&image);
    }
    assert_true(functions > ROUNDS / 10 && functions < ROUNDS);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make, drop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_functions),
        WITH_FILE(test_encodings),
        WITH_FILE(test_signal_frame),
        WITH_FILE(test_letters),
        WITH_FILE(test_records_that_lie),
        WITH_FILE(test_record_beyond_the_end),
        WITH_FILE(test_headers_that_lie),
        WITH_FILE(test_landing_pads),
        WITH_FILE(test_call_sites_that_lie),
        cmocka_unit_test(test_tables_shared_by_all),
        cmocka_unit_test(test_many_sections),
        WITH_FILE(test_changed_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
