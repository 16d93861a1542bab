/* RARE variables: compiler and linker keep them as zeros that take no bytes of the file, and apart from .bss, which is what they are for. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/rare.h"

enum { SIZE = 4 << 20 };
static RARE unsigned char rare[SIZE];
static unsigned char often[64];       /* of .bss */
extern const char __executable_start; /* the linker's: where the program lies */

/* The section of this program that has the byte at p; NULL: none has. */
static const char *
section_of(const struct mapped *m, const void *p, uint32_t *type)
{
    uint64_t at = (uint64_t)((const char *)p - &__executable_start), first = UINT64_MAX;
    Elf64_Ehdr h;
    Elf64_Phdr segment;
    Elf64_Shdr section, names;

    memcpy(&h, m->data, sizeof h);
    for (unsigned i = 0; i < h.e_phnum; i++) {
        memcpy(&segment, m->data + h.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_LOAD && segment.p_vaddr < first)
            first = segment.p_vaddr;
    }
    memcpy(&names, m->data + h.e_shoff + h.e_shstrndx * sizeof names, sizeof names);
    for (unsigned i = 0; i < h.e_shnum; i++) {
        memcpy(&section, m->data + h.e_shoff + i * sizeof section, sizeof section);
        if (section.sh_flags & SHF_ALLOC && !(section.sh_flags & SHF_TLS) &&
            first + at - section.sh_addr < section.sh_size) {
            *type = section.sh_type;
            return (const char *)m->data + names.sh_offset + section.sh_name;
        }
    }
    return NULL;
}

static void
test_place(void **state)
{
    (void)state;
    struct mapped m;
    struct err e = {0};
    uint32_t type = SHT_NULL;
    const char *of_rare, *of_often;

    if (file_map("/proc/self/exe", &m, &e) < 0)
        fail_msg("%s", e.text);
    of_rare = section_of(&m, rare, &type);
    assert_non_null(of_rare);
    assert_int_equal(type, SHT_NOBITS);
    of_often = section_of(&m, often, &type);
    assert_non_null(of_often);
    assert_string_equal(of_often, ".bss");
    assert_string_not_equal(of_rare, of_often);
    file_unmap(&m);
}

static void
test_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE; i += 509)
        assert_int_equal(rare[i], 0);
    rare[SIZE - 1] = often[0] = 1;
    assert_int_equal(rare[SIZE - 1], 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_zero), cmocka_unit_test(test_place)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
