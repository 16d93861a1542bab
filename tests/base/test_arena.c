/* Arenas: what they hand out is zero, aligned and apart, and sizes that no memory has end the program instead of wrapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "ends.h"

enum { CHUNK = 256 * 1024 }; /* base/arena.c: allocations of about this size meet the edge of a chunk */

static bool
is_zero(const unsigned char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i])
            return false;
    return true;
}

/* Sizes on both sides of a chunk's end; each allocation is filled, so that an overlap would change an earlier one. */
static void
test_allocations_are_apart(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,          1,     15,        16,        17, CHUNK - 64, 48,
                                   CHUNK - 16, CHUNK, CHUNK + 1, 3 * CHUNK, 1,  CHUNK - 1,  2};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    unsigned char *pieces[COUNT];
    struct arena a = {0};

    for (unsigned i = 0; i < COUNT; i++) {
        pieces[i] = arena_alloc(&a, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        assert_true(is_zero(pieces[i], sizes[i]));
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        for (size_t at = 0; at < sizes[i]; at++)
            if (pieces[i][at] != i + 1)
                fail_msg("byte %zu of allocation %u was overwritten", at, i);
    arena_fini(&a);
}

/* Memory of the C library that was used before comes back from an arena as zeros. */
static void
test_used_memory_is_cleared(void **state)
{
    (void)state;
    struct arena a = {0};

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 40; i++) {
            unsigned char *p = arena_alloc(&a, 10000);

            assert_true(is_zero(p, 10000));
            memset(p, 0xff, 10000);
        }
        arena_fini(&a); /* which leaves the arena usable */
        assert_null(a.head);
    }
    arena_fini(&a);
}

static void
test_copies(void **state)
{
    (void)state;
    struct arena a = {0};
    char text[] = "text";
    char *copy = arena_strdup(&a, text);

    text[0] = 'n';
    assert_string_equal(copy, "text");
    assert_string_equal(arena_strdup(&a, ""), "");
    assert_memory_equal(arena_copy(&a, "a\0b", 4), "a\0b", 4);
    assert_non_null(arena_copy(&a, NULL, 0));
    arena_fini(&a);
}

static void
allocate(size_t size)
{
    struct arena a = {0};

    arena_alloc(&a, 1);
    arena_alloc(&a, size);
}

static void
of_all_bytes(void)
{
    allocate(SIZE_MAX);
}

static void
that_rounds_to_nothing(void)
{
    allocate(SIZE_MAX - 14);
}

static void
that_wraps_with_its_header(void)
{
    allocate(SIZE_MAX - 16);
}

static void
test_impossible_sizes(void **state)
{
    (void)state;
    assert_true(ends_without_memory(of_all_bytes));
    assert_true(ends_without_memory(that_rounds_to_nothing));
    assert_true(ends_without_memory(that_wraps_with_its_header));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_apart),
        cmocka_unit_test(test_used_memory_is_cleared),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_impossible_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
