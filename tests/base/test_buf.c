/* Buffers and cursors: growth, LEB128 at the edges of each width, and reads that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "ends.h"

/* --- struct buf --- */

static void
test_growth(void **state)
{
    (void)state;
    struct buf b = {0};
    uint8_t block[5000];

    memset(block, 0x5a, sizeof block);
    for (unsigned i = 0; i < 1000; i++)
        buf_put_u8(&b, (uint8_t)i);
    buf_put(&b, block, sizeof block); /* more than one doubling gives room for */
    buf_put(&b, NULL, 0);
    assert_int_equal(b.size, 1000 + sizeof block);
    assert_true(b.capacity >= b.size);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    assert_memory_equal(b.data + 1000, block, sizeof block);
    buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.size + b.capacity, 0);
    buf_put_u8(&b, 1); /* usable again */
    assert_int_equal(b.size, 1);
    buf_fini(&b);
}

static void
test_numbers_are_little_endian(void **state)
{
    (void)state;
    static const uint8_t want[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
                                   0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
    struct buf b = {0};

    buf_put_u8(&b, 0x01);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0x04050607);
    buf_put_u64(&b, 0x08090a0b0c0d0e0f);
    assert_int_equal(b.size, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    buf_fini(&b);
}

static void
test_alignment(void **state)
{
    (void)state;
    struct buf b = {0};

    buf_align(&b, 16); /* of nothing is nothing */
    assert_int_equal(b.size, 0);
    buf_put_u8(&b, 0xff);
    buf_align(&b, 1);
    assert_int_equal(b.size, 1);
    buf_align(&b, 24);
    assert_int_equal(b.size, 24);
    buf_align(&b, 24);
    assert_int_equal(b.size, 24);
    for (size_t i = 1; i < b.size; i++)
        assert_int_equal(b.data[i], 0);
    buf_put_zero(&b, 0);
    assert_int_equal(b.size, 24);
    buf_fini(&b);
}

static void
put_all_zeros(void)
{
    struct buf b = {0};

    buf_put_u8(&b, 1);
    buf_put_zero(&b, SIZE_MAX); /* the sum of the sizes wraps to 0 */
}

static void
put_half(void)
{
    struct buf b = {0};

    buf_put_u8(&b, 1);
    buf_put_zero(&b, SIZE_MAX / 2 + 1); /* the sum does not wrap, but no doubling reaches it */
}

static void
test_impossible_sizes(void **state)
{
    (void)state;
    assert_true(ends_without_memory(put_all_zeros));
    assert_true(ends_without_memory(put_half));
}

/* --- LEB128 --- */

static void
test_unsigned_leb(void **state)
{
    (void)state;
    static const uint64_t values[] =
        {0,         1, 0x7f, 0x80, 0x3fff, 0x4000, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 62, UINT64_C(1) << 63,
         UINT64_MAX};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct buf b = {0};

        buf_put_uleb(&b, values[i]);
        for (unsigned bits = 32; bits <= 64; bits += 32) {
            struct cursor c = cursor_make(b.data, b.size);
            uint64_t v = cursor_uleb(&c, bits);
            bool fits = bits == 64 || values[i] <= UINT32_MAX;

            assert_int_equal(c.failed, !fits);
            assert_true(v == (fits ? values[i] : 0));
            if (fits)
                assert_int_equal(cursor_left(&c), 0);
        }
        for (size_t size = 0; size < b.size; size++) { /* cut off anywhere */
            struct cursor c = cursor_make(b.data, size);

            assert_int_equal(cursor_uleb(&c, 64), 0);
            assert_true(c.failed);
        }
        buf_fini(&b);
    }
}

static void
test_signed_leb(void **state)
{
    (void)state;
    static const int64_t values[] = {-(INT64_C(1) << 62),
                                     -(INT64_C(1) << 55),
                                     0,
                                     -1,
                                     1,
                                     63,
                                     64,
                                     -64,
                                     -65,
                                     INT32_MAX,
                                     INT32_MIN,
                                     (int64_t)INT32_MAX + 1,
                                     (int64_t)INT32_MIN - 1,
                                     UINT32_MAX,
                                     -(INT64_C(1) << 32),
                                     (INT64_C(1) << 32) - 1,
                                     INT64_C(1) << 32,
                                     INT64_MAX,
                                     INT64_MIN};
    static const unsigned widths[] = {32, 33, 64};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct buf b = {0};

        buf_put_sleb(&b, values[i]);
        for (size_t w = 0; w < 3; w++) {
            struct cursor c = cursor_make(b.data, b.size);
            int64_t v = cursor_sleb(&c, widths[w]);
            int64_t limit = widths[w] == 64 ? 0 : INT64_C(1) << (widths[w] - 1);
            bool fits = widths[w] == 64 || (values[i] < limit && values[i] >= -limit);

            if (c.failed == fits || v != (fits ? values[i] : 0))
                fail_msg("%jd in %u bits: %jd%s", (intmax_t)values[i], widths[w], (intmax_t)v,
                         c.failed ? ", failed" : "");
        }
        for (size_t size = 0; size < b.size; size++) {
            struct cursor c = cursor_make(b.data, size);

            assert_int_equal(cursor_sleb(&c, 64), 0);
            assert_true(c.failed);
        }
        buf_fini(&b);
    }
}

struct form {
    const char *bytes;
    unsigned bits;
    bool accepted;
};

/* WebAssembly core specification, 5.2.2: at most ceil(bits / 7) bytes, and the unused bits of the last one are zero, or copies of the sign. */
static void
test_leb_forms(void **state)
{
    (void)state;
    static const struct form unsigned_forms[] = {
        {"\x80\x80\x80\x80\x00", 32, true}, /* zero, as long as it may be */
        {"\x80\x80\x80\x80\x80\x00", 32, false},
        {"\xff\xff\xff\xff\x0f", 32, true},
        {"\xff\xff\xff\xff\x1f", 32, false},
        {"\xff\xff\xff\xff\x7f", 32, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 64, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 64, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 64, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 64, false},
    };
    static const struct form signed_forms[] = {
        {"\xff\xff\xff\xff\x7f", 32, true},  /* -1 */
        {"\xff\xff\xff\xff\x0f", 32, false}, /* the value's sign and the unused bits differ */
        {"\xff\xff\xff\xff\x07", 32, true},
        {"\x80\x80\x80\x80\x78", 32, true},
        {"\x80\x80\x80\x80\x70", 32, false},
        {"\x80\x80\x80\x80\x70", 33, true}, /* -2^32 */
        {"\x80\x80\x80\x80\x60", 33, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 64, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 64, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 64, true}, /* INT64_MIN */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 64, false},
    };

    for (size_t i = 0; i < sizeof unsigned_forms / sizeof unsigned_forms[0]; i++) {
        const struct form *f = &unsigned_forms[i];
        struct cursor c = cursor_make(f->bytes, strlen(f->bytes) + 1);

        cursor_uleb(&c, f->bits);
        if (c.failed == f->accepted)
            fail_msg("unsigned form %zu", i);
    }
    for (size_t i = 0; i < sizeof signed_forms / sizeof signed_forms[0]; i++) {
        const struct form *f = &signed_forms[i];
        struct cursor c = cursor_make(f->bytes, strlen(f->bytes) + 1);

        cursor_sleb(&c, f->bits);
        if (c.failed == f->accepted)
            fail_msg("signed form %zu", i);
    }
}

/* --- struct cursor --- */

static void
test_cursor_stays_where_it_failed(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct cursor c = cursor_make(bytes, sizeof bytes);

    assert_int_equal(cursor_u16(&c), 0x0201);
    assert_int_equal(cursor_u32(&c), 0x06050403);
    assert_int_equal(cursor_u16(&c), 0); /* one byte is left */
    assert_true(c.failed);
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_u8(&c), 0); /* it would fit, but what was read before is not what the caller thinks */
    assert_null(cursor_bytes(&c, 0));
    assert_null(cursor_bytes(&c, SIZE_MAX));
    assert_int_equal(cursor_left(&c), 1);
}

static void
test_cursor_over_nothing(void **state)
{
    (void)state;
    struct cursor c = cursor_make(NULL, 0);

    assert_int_equal(cursor_left(&c), 0);
    assert_non_null(cursor_bytes(&c, 0));
    assert_false(c.failed);
    assert_int_equal(cursor_u64(&c), 0);
    assert_true(c.failed);
}

static void
test_sub_cursor(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4};
    struct cursor c = cursor_make(bytes, sizeof bytes), sub = cursor_sub(&c, 3);

    assert_int_equal(cursor_left(&sub), 3);
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_u32(&sub), 0); /* the byte behind it is not its own */
    assert_true(sub.failed);
    assert_false(c.failed);
    sub = cursor_sub(&c, 2);
    assert_true(sub.failed && c.failed);
    assert_int_equal(cursor_left(&sub), 0);
    assert_int_equal(cursor_u8(&sub), 0);
    assert_null(cursor_bytes(&sub, 0));
    sub = cursor_sub(&c, 0); /* of a failed one */
    assert_true(sub.failed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_numbers_are_little_endian),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_impossible_sizes),
        cmocka_unit_test(test_unsigned_leb),
        cmocka_unit_test(test_signed_leb),
        cmocka_unit_test(test_leb_forms),
        cmocka_unit_test(test_cursor_stays_where_it_failed),
        cmocka_unit_test(test_cursor_over_nothing),
        cmocka_unit_test(test_sub_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
