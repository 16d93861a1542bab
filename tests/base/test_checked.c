/* Checked arithmetic: every sum and range at and beyond the edge of its type, against the same computed in 128 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"

static const uint64_t edges[] = {0,
                                 1,
                                 2,
                                 4095,
                                 4096,
                                 INT32_MAX,
                                 UINT32_MAX,
                                 UINT64_C(1) << 32,
                                 INT64_MAX - 1,
                                 INT64_MAX,
                                 UINT64_C(1) << 63,
                                 (UINT64_C(1) << 63) + 1,
                                 UINT64_MAX - 1,
                                 UINT64_MAX};
enum { EDGES = sizeof edges / sizeof edges[0] };

typedef unsigned __int128 wide;

static void
test_sums(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EDGES; i++) {
        for (unsigned j = 0; j < EDGES; j++) {
            wide exact = (wide)edges[i] + edges[j];
            uint64_t sum;
            bool fits = checked_add(edges[i], edges[j], &sum);

            assert_int_equal(fits, exact <= UINT64_MAX);
            if (fits)
                assert_true(sum == (uint64_t)exact);
            assert_true(saturating_add(edges[i], edges[j]) == (fits ? (uint64_t)exact : UINT64_MAX));
        }
    }
}

static void
test_ranges_within(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EDGES; i++)
        for (unsigned j = 0; j < EDGES; j++)
            for (unsigned k = 0; k < EDGES; k++)
                if (range_within(edges[i], edges[j], edges[k]) != ((wide)edges[i] + edges[j] <= edges[k]))
                    fail_msg("range_within(%#jx, %#jx, %#jx)", (uintmax_t)edges[i], (uintmax_t)edges[j],
                             (uintmax_t)edges[k]);
}

/* A range may end beyond the last address: what counts are its bytes, not whether its end is a number. */
static bool
have_a_byte_in_common(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    wide a_end = (wide)a + a_size, b_end = (wide)b + b_size;
    wide start = a > b ? a : b, end = a_end < b_end ? a_end : b_end;

    return start < end;
}

static void
test_ranges_that_overlap(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EDGES; i++)
        for (unsigned j = 0; j < EDGES; j++)
            for (unsigned k = 0; k < EDGES; k++)
                for (unsigned l = 0; l < EDGES; l++)
                    if (ranges_overlap(edges[i], edges[j], edges[k], edges[l]) !=
                        have_a_byte_in_common(edges[i], edges[j], edges[k], edges[l]))
                        fail_msg("ranges_overlap(%#jx, %#jx, %#jx, %#jx)", (uintmax_t)edges[i], (uintmax_t)edges[j],
                                 (uintmax_t)edges[k], (uintmax_t)edges[l]);
}

static void
test_file_ranges(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EDGES; i++) {
        for (unsigned j = 0; j < EDGES; j++) {
            struct file_range r;
            bool fits = file_range(edges[i], edges[j], &r);

            assert_int_equal(fits, (wide)edges[i] + edges[j] <= INT64_MAX);
            if (fits)
                assert_true(r.start == edges[i] && r.end == edges[i] + edges[j]);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_ranges_within),
        cmocka_unit_test(test_ranges_that_overlap),
        cmocka_unit_test(test_file_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
