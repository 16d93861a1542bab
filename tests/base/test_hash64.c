/* hash64: what differs has different hashes, in whole words and in the bytes behind them, and a hash may be continued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash64.h"

enum { SIZE = 41 /* five words and a byte */ };

static int
compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Of each length: zeros and all strings with one bit set have hashes of their own. */
static void
test_every_bit_counts(void **state)
{
    (void)state;
    for (size_t size = 1; size <= SIZE; size++) {
        uint8_t bytes[SIZE] = {0};
        uint64_t hashes[8 * SIZE + 1];
        size_t n = 0;

        hashes[n++] = hash64(1, bytes, size);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            hashes[n++] = hash64(1, bytes, size);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        qsort(hashes, n, sizeof *hashes, compare);
        for (size_t i = 1; i < n; i++)
            if (hashes[i] == hashes[i - 1])
                fail_msg("two strings of %zu bytes have one hash", size);
    }
}

static void
test_order_and_start_count(void **state)
{
    (void)state;
    static const char forth[] = "firstwordothrword", back[] = "othrwordfirstword";

    assert_true(hash64(7, forth, 16) != hash64(7, back, 16));
    assert_true(hash64(7, forth, 16) != hash64(8, forth, 16));
    assert_true(hash64(7, forth, 16) ==
                hash64(7, "firstwordothrword", 16)); /* nothing but the bytes counts, not where they lie */
}

/* What is hashed in pieces of whole words is what is hashed at once; nothing at all leaves the hash as it is. */
static void
test_continuation(void **state)
{
    (void)state;
    uint8_t bytes[SIZE + 1];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t cut = 0; cut <= SIZE; cut += 8)
        assert_true(hash64(hash64(3, bytes + 1, cut), bytes + 1 + cut, SIZE - cut) == hash64(3, bytes + 1, SIZE));
    assert_true(hash64(3, NULL, 0) == 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_order_and_start_count),
        cmocka_unit_test(test_continuation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
