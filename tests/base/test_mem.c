/* Heap memory and vectors: never NULL, and sizes that no memory has end the program with status 1 instead of wrapping to small ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/vec.h"
#include "ends.h"

/* AddressSanitizer's own allocator ends the program at a size that it finds too large, unless it is told to fail as others do. Its library,
 * a shared one with gcc, looks for this function by name. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void
test_nothing_is_something(void **state)
{
    (void)state;
    void *p = mem_alloc(0), *q = mem_zalloc(0, 8), *r = mem_zalloc(8, 0), *s = mem_realloc(NULL, 0, 8);

    assert_non_null(p);
    assert_non_null(q);
    assert_non_null(r);
    assert_non_null(s);
    s = mem_realloc(s, 0, 0);
    assert_non_null(s);
    mem_free(p);
    mem_free(q);
    mem_free(r);
    mem_free(s);
    mem_free(NULL);
}

static void
test_contents(void **state)
{
    (void)state;
    unsigned char *p = mem_zalloc(1000, 3);
    char *s, *t;

    for (unsigned i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    memset(p, 7, 3000);
    p = mem_realloc(p, 100000, 2);
    for (unsigned i = 0; i < 3000; i++)
        assert_int_equal(p[i], 7);
    mem_free(p);
    s = mem_strdup("");
    assert_string_equal(s, "");
    t = mem_printf("%s%0500d|", s, 1); /* longer than any buffer that one would guess */
    assert_int_equal(strlen(t), 501);
    assert_string_equal(t + 499, "1|");
    mem_free(s);
    mem_free(t);
}

static void
allocate_all(void)
{
    mem_alloc(SIZE_MAX / 2);
}

static void
zero_a_product_that_wraps(void)
{
    mem_zalloc(SIZE_MAX / 8 + 2, 8); /* 8 bytes, in 64 bits */
}

static void
grow_to_a_product_that_wraps(void)
{
    mem_realloc(mem_alloc(1), SIZE_MAX / 16 + 2, 16);
}

static void
run_out(void)
{
    mem_exhausted(1);
}

static void
test_impossible_sizes(void **state)
{
    (void)state;
    assert_true(ends_without_memory(allocate_all));
    assert_true(ends_without_memory(zero_a_product_that_wraps));
    assert_true(ends_without_memory(grow_to_a_product_that_wraps));
    assert_true(ends_without_memory(run_out));
}

/* --- VEC --- */

static void
test_vector(void **state)
{
    (void)state;
    VEC(uint32_t) v = {0};
    uint32_t *items;

    vec_reserve(&v, 0);
    assert_int_equal(v.count, 0);
    for (uint32_t i = 0; i < 1000; i++)
        vec_push(&v, i * i);
    assert_int_equal(v.count, 1000);
    assert_true(v.capacity >= 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(v.items[i], i * i);
    vec_reserve(&v, 5000); /* more than twice as many */
    assert_int_equal(v.count, 1000);
    assert_true(v.capacity >= 6000);
    items = v.items;
    for (uint32_t i = 0; i < 5000; i++)
        vec_push(&v, i);
    assert_ptr_equal(v.items, items); /* what was reserved is there */
    vec_fini(&v);
    assert_null(v.items);
    assert_int_equal(v.count + v.capacity, 0);
    vec_push(&v, 1); /* usable again */
    assert_int_equal(v.items[0], 1);
    vec_fini(&v);
}

static void
reserve_more_than_a_sum(void)
{
    VEC(char) v = {0};

    vec_push(&v, 'a');
    vec_push(&v, 'b');
    vec_reserve(&v, SIZE_MAX - 1); /* of which the sum with two is 0 */
}

static void
reserve_more_than_a_product(void)
{
    VEC(uint64_t) v = {0};

    vec_push(&v, 1);
    vec_reserve(&v, SIZE_MAX / 8 + 1);
}

static void
test_impossible_vectors(void **state)
{
    (void)state;
    assert_true(ends_without_memory(reserve_more_than_a_sum));
    assert_true(ends_without_memory(reserve_more_than_a_product));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_something), cmocka_unit_test(test_contents),
        cmocka_unit_test(test_impossible_sizes),     cmocka_unit_test(test_vector),
        cmocka_unit_test(test_impossible_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
