/* Discovery on the code of discover_cases.S: where indirect jumps lead, and what is not code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "elf/elf_image.h"
#include "discover/discover.h"

enum { BASE = 0x10000 };

extern const uint8_t text_start[], text_end[], data_start[], data_end[], case_hoisted[], case_spilled[], case_parted[],
    case_pointers[], case_foreign[], jump_hoisted[], jump_spilled[], jump_parted[], jump_tail[], jump_pointer[],
    foreign_start[], foreign_end[], constant[], constant_end[], case_falls[], falls_end[], falls_into[], case_behind[],
    jump_behind[], case_forks[], case_forks_1[], case_forks_2[], case_forks_3[], child_0[], child_1[], child_2[],
    no_child_3[], no_child_4[];

static struct elf_image image;
static struct disc disc;

static uint64_t
address(const uint8_t *p)
{
    return BASE + (uint64_t)(p - text_start);
}

static void
add_segment(const uint8_t *start, const uint8_t *end, bool exec)
{
    uint64_t size = (uint64_t)(end - start);

    vec_push(&image.segments, ((struct elf_segment){.address = address(start),
                                                    .memory_size = size,
                                                    .file_size = size,
                                                    .read = true,
                                                    .exec = exec,
                                                    .bytes = start}));
}

static int
setup(void **state)
{
    static const uint8_t *const functions[] = {case_hoisted, case_spilled, case_parted,  case_pointers, case_foreign,
                                               case_behind,  case_forks,   case_forks_1, case_forks_2,  case_forks_3};
    struct err e = {0};

    image = (struct elf_image){.file = text_start, .file_size = (uint64_t)(data_end - text_start), .is_pie = true};
    add_segment(text_start, text_end, true);
    add_segment(data_start, data_end, false);
    vec_push(&image.exec_sections, ((struct elf_range){address(text_start), address(text_end)}));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        vec_push(&image.symbols, ((struct elf_symbol){.address = address(functions[i]), .name = "", .function = true}));
    vec_push(&image.fdes, ((struct elf_fde){.start = address(case_falls), .end = address(falls_end)}));
    vec_push(&image.fdes, ((struct elf_fde){.start = address(falls_into), .end = address(falls_into) + 4}));
    return discover(&disc, &image, NULL, 0, &e);
}

static int
teardown(void **state)
{
    disc_fini(&disc);
    elf_image_close(&image);
    return 0;
}

static int
jump_kind(const uint8_t *at)
{
    for (size_t i = 0; i < disc.jumps.count; i++) {
        if (disc.jumps.items[i].address == address(at))
            return disc.jumps.items[i].kind;
    }
    return -1;
}

static const struct lift_jump_table *
table_of(const uint8_t *at)
{
    for (size_t i = 0; i < disc.tables.count; i++) {
        if (disc.tables.items[i].insn_address == address(at))
            return &disc.tables.items[i];
    }
    return NULL;
}

static void
test_switches(void **state)
{
    assert_int_equal(jump_kind(jump_hoisted), DISC_JUMP_SWITCH);
    assert_non_null(table_of(jump_hoisted));
    assert_int_equal(table_of(jump_hoisted)->count, 4);
    assert_int_equal(table_of(jump_hoisted)->table_address, address(data_start));
    assert_int_equal(jump_kind(jump_spilled), DISC_JUMP_SWITCH);
    assert_non_null(table_of(jump_spilled));
    assert_int_equal(table_of(jump_spilled)->count, 3);
    assert_non_null(table_of(jump_behind));
    assert_int_equal(table_of(jump_behind)->count, 2);
}

static void
test_labels(void **state)
{
    unsigned labels = 0;

    assert_int_equal(jump_kind(jump_parted), DISC_JUMP_GOTO);
    /* In the order of its index, which the direct backend uses; the lifter makes no switch of it. */
    assert_non_null(table_of(jump_parted));
    assert_int_equal(table_of(jump_parted)->count, 2);
    assert_true(table_of(jump_parted)->targets[0] < table_of(jump_parted)->targets[1]);
    for (size_t i = 0; i < disc.funcs.count; i++) {
        const struct disc_func *f = &disc.funcs.items[i];

        for (uint32_t j = 0; j < f->block_count; j++) {
            if (f->address != address(case_parted) || !disc.blocks.items[f->first_block + j].label)
                continue;
            assert_true(disc.blocks.items[f->first_block + j].entry);
            assert_int_equal(disc.blocks.items[f->first_block + j].table, -1);
            labels++;
        }
    }
    assert_int_equal(labels, 2);
}

static void
test_pointers(void **state)
{
    assert_int_equal(jump_kind(jump_tail), DISC_JUMP_TAIL_CALL);
    assert_int_equal(jump_kind(jump_pointer), DISC_JUMP_POINTER);
    assert_int_equal(disc_unresolved_jumps(&disc), 1);
}

/* The kind of gap that covers start..end and no more. */
static int
gap_kind(const uint8_t *start, const uint8_t *end)
{
    for (size_t i = 0; i < disc.gaps.count; i++) {
        if (disc.gaps.items[i].start == address(start) && disc.gaps.items[i].end == address(end))
            return disc.gaps.items[i].kind;
    }
    return -1;
}

static void
test_gaps(void **state)
{
    uint64_t sum = disc.covered_bytes;

    assert_int_equal(gap_kind(foreign_start, foreign_end), DISC_GAP_FOREIGN);
    assert_int_equal(gap_kind(constant, constant_end), DISC_GAP_DATA);
    assert_int_equal(disc.gap_bytes[DISC_GAP_UNREACHED], 0);
    for (size_t i = 0; i < disc.gaps.count; i++) {
        sum += disc.gaps.items[i].end - disc.gaps.items[i].start;
        if (i)
            assert_true(disc.gaps.items[i].start >= disc.gaps.items[i - 1].end);
    }
    assert_int_equal(sum, disc.exec_bytes);
}

/* Code that goes on where its FDE ends reaches compiled code. */
static void
test_fall_through(void **state)
{
    bool found = false;

    for (size_t i = 0; i < disc.funcs.count; i++)
        found |= disc.funcs.items[i].address == address(falls_end);
    assert_true(found);
}

static int
compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool
is_entry(const uint8_t *at)
{
    for (size_t i = 0; i < disc.blocks.count; i++) {
        if (disc.blocks.items[i].start == address(at) && disc.blocks.items[i].entry)
            return true;
    }
    return false;
}

static void
test_forks(void **state)
{
    assert_true(is_entry(child_0));
    assert_true(is_entry(child_1));
    assert_true(is_entry(child_2));
    assert_false(is_entry(no_child_3));
    assert_false(is_entry(no_child_4));
}

/* What the build report says of a profile's addresses. */
static void
test_profile(void **state)
{
    /* clang-format off */
    const struct {
        const uint8_t *at, *function;
        enum disc_evaluated_kind kind;
    } cases[] = {
        {jump_hoisted, case_hoisted, DISC_EVALUATED_INSTRUCTION},
        {case_spilled, case_spilled, DISC_EVALUATED_ENTRY},
        {foreign_start, NULL, DISC_EVALUATED_UNREACHED},
        {child_2, case_forks_2, DISC_EVALUATED_ENTRY},
        {no_child_3, case_forks_3, DISC_EVALUATED_RETURN},
        {no_child_4, case_forks_3, DISC_EVALUATED_SYSCALL},
    };
    /* clang-format on */
    enum { COUNT = sizeof cases / sizeof *cases };
    uint64_t addresses[COUNT];
    struct disc with = {0};
    struct err e = {0};

    for (size_t i = 0; i < COUNT; i++)
        addresses[i] = address(cases[i].at);
    qsort(addresses, COUNT, sizeof *addresses, compare_u64);
    assert_int_equal(discover(&with, &image, addresses, COUNT, &e), 0);
    assert_int_equal(with.evaluated.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        size_t j = 0;

        while (j < COUNT && with.evaluated.items[j].address != address(cases[i].at))
            j++;
        assert_true(j < COUNT);
        assert_int_equal(with.evaluated.items[j].kind, cases[i].kind);
        assert_int_equal(with.evaluated.items[j].function, cases[i].function ? address(cases[i].function) : 0);
    }
    disc_fini(&with);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switches), cmocka_unit_test(test_labels),       cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_gaps),     cmocka_unit_test(test_fall_through), cmocka_unit_test(test_forks),
        cmocka_unit_test(test_profile),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
