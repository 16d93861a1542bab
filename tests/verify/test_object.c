/* The check of a unit's object before the link: an object of the rewriter's is accepted, and each bit of it is turned.
 * Whatever decides what the linker makes of the file must be as it was; what may be otherwise is the content of text,
 * tables, map and index, and in the lists of relocations what stays a relocation of the kinds that units have. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "direct/unit.h"
#include "verify/verify.h"

#define KEY "0123456789abcdef"

enum { SHDR_COUNT = 12, RELA_TEXT = 9, RELA_TABLES = 10 };

/* lea rax, [rip]; push rbx; call .+5; jmp rax; ret: relocations against the image's base and the run time's entries. */
static const uint8_t code[] = {0x48, 0x8d, 0x05, 0x00, 0x00, 0x00, 0x00, 0x53, 0xe8, 0x00,
                               0x00, 0x00, 0x00, 0x5b, 0x0f, 0x05, 0xff, 0xe0, 0xc3};

static void
make(struct buf *object)
{
    struct direct_piece piece = {.address = 0x1000, .size = sizeof code, .bytes = code};
    struct direct_result out;
    struct err e = {0};

    assert_int_equal(direct_rewrite_pieces(&piece, 1, KEY, &out, &e), 0);
    buf_fini(&out.entries);
    *object = out.object;
}

static const Elf64_Shdr *
header(const struct buf *b, unsigned i)
{
    return (const Elf64_Shdr *)(const void *)(b->data + b->size) - SHDR_COUNT + i;
}

/* In the content of a section that may be anything. */
static bool
is_content(const struct buf *b, size_t at)
{
    for (unsigned i = 1; i <= 4; i++)
        if (at - header(b, i)->sh_offset < header(b, i)->sh_size)
            return true;
    return false;
}

static bool
is_relocation(const struct buf *good, const struct buf *b, size_t at, Elf64_Rela *r)
{
    for (unsigned i = RELA_TEXT; i <= RELA_TABLES; i++) {
        const Elf64_Shdr *h = header(good, i);
        size_t offset = at - h->sh_offset;

        if (offset >= h->sh_size)
            continue;
        memcpy(r, b->data + h->sh_offset + offset / sizeof *r * sizeof *r, sizeof *r);
        return true;
    }
    return false;
}

static bool
accepts(const struct buf *b)
{
    struct err e = {0};

    return verify_object(b->data, b->size, KEY, &e) == 0;
}

static void
test_each_bit(void **state)
{
    unsigned accepted = 0, refused = 0;
    struct buf good, b;

    make(&good);
    make(&b);
    assert_true(accepts(&b));
    for (size_t at = 0; at < b.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            Elf64_Rela r;
            bool ok;

            b.data[at] ^= (uint8_t)(1u << bit);
            ok = accepts(&b);
            if (is_content(&good, at)) {
                assert_true(ok);
            } else if (is_relocation(&good, &b, at, &r)) {
                unsigned type = ELF64_R_TYPE(r.r_info);

                assert_true(!ok || type == R_X86_64_PC32 || type == R_X86_64_32 || type == R_X86_64_32S);
                assert_true(!ok || (r.r_offset < header(&good, 1)->sh_size && ELF64_R_SYM(r.r_info) < 7 + 4));
                /* or the whole link would fail */
                assert_true(!ok || (r.r_addend >= -((int64_t)1 << 31) && r.r_addend <= (int64_t)1 << 31));
            } else if (ok) {
                fail_msg("bit %u of byte %zu of %zu may be turned", bit, at, b.size);
            }
            *(ok ? &accepted : &refused) += 1;
            b.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    printf("%u bits refused, %u accepted\n", refused, accepted);
    assert_true(refused > 5000 && accepted > 1000);
    buf_fini(&good);
    buf_fini(&b);
}

/* Random bytes at random places, cut and longer: nothing is read that is not there (the sanitizers' builds say so). */
static void
test_damaged(void **state)
{
    struct buf good = {0};

    make(&good);
    srand(1);
    for (int i = 0; i < 20000; i++) {
        size_t size = rand() % 4 ? good.size : (size_t)rand() % (good.size + 64);
        uint8_t *copy = mem_zalloc(size, 1);
        struct err e = {0};

        memcpy(copy, good.data, size < good.size ? size : good.size);
        for (int k = rand() % 6; k > 0 && size; k--) {
            static const uint8_t likely[] = {0, 1, 0x7f, 0x80, 0xff};
            size_t at = rand() % 2 ? (size_t)rand() % size : size - 1 - (size_t)rand() % (size < 768 ? size : 768);

            copy[at] = rand() % 2 ? likely[(size_t)rand() % sizeof likely] : (uint8_t)rand();
        }
        if (verify_object(copy, size, KEY, &e) < 0)
            assert_true(e.text[0]);
        mem_free(copy);
    }
    buf_fini(&good);
}

static void
test_another_key(void **state)
{
    struct err e = {0};
    struct buf b;

    make(&b);
    assert_int_equal(verify_object(b.data, b.size, "0123456789abcdee", &e), -1);
    buf_fini(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_bit),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_another_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
