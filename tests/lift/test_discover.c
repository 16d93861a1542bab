/* Discovery on the code of discover_cases.S: where indirect jumps lead, and what is not code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "elf/elf_image.h"
#include "lift/discover.h"

enum { BASE = 0x10000 };

extern const uint8_t text_start[], text_end[], data_start[], data_end[], case_hoisted[], case_spilled[], case_parted[],
    case_pointers[], case_foreign[], jump_hoisted[], jump_spilled[], jump_parted[], jump_tail[], jump_pointer[],
    foreign_start[], foreign_end[], constant[], constant_end[], case_falls[], falls_end[], falls_into[], case_behind[],
    jump_behind[];

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

    vec_push(&image.segments, ((struct elf_segment){.address = address(start), .memory_size = size, .file_size = size,
                                                    .read = true, .exec = exec, .bytes = start}));
}

static int
setup(void **state)
{
    static const uint8_t *const functions[] = {case_hoisted, case_spilled, case_parted, case_pointers, case_foreign,
                                               case_behind};
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
    assert_null(table_of(jump_parted));
    for (size_t i = 0; i < disc.funcs.count; i++) {
        const struct disc_func *f = &disc.funcs.items[i];

        for (uint32_t j = 0; j < f->block_count; j++) {
            if (f->address != address(case_parted) || !disc.blocks.items[f->first_block + j].label)
                continue;
            assert_true(disc.blocks.items[f->first_block + j].entry);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switches),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_fall_through),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
