/* Messages of errors: they are cut to fit, stay terminated, and a caller who wants none passes NULL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { SIZE = sizeof(struct err) };

static void
test_set_and_prefix(void **state)
{
    (void)state;
    struct err e = {0};

    assert_int_equal(err_set(&e, "%s at %d", "segment", 7), -1);
    assert_string_equal(e.text, "segment at 7");
    assert_int_equal(err_prefix(&e, "%s", "/bin/x"), -1);
    assert_int_equal(err_prefix(&e, "image"), -1);
    assert_string_equal(e.text, "image: /bin/x: segment at 7");
    err_set(&e, "other"); /* reusable */
    assert_string_equal(e.text, "other");
    err_set(&e, "%s", "");
    err_prefix(&e, "p");
    assert_string_equal(e.text, "p: ");
}

static void
test_nobody_asks(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, "%d", 1), -1);
    assert_int_equal(err_prefix(NULL, "%d", 1), -1);
}

/* What stands behind the structure must not change, however long the parts are. */
static void
test_long_texts_are_cut(void **state)
{
    (void)state;
    struct {
        struct err e;
        char behind[64];
    } s;
    char text[2 * SIZE];

    for (size_t prefix = 0; prefix < SIZE + 8; prefix++) {
        for (size_t length = SIZE - prefix % SIZE < 8 ? 0 : SIZE - prefix % SIZE - 8; length < SIZE + 4; length += 3) {
            memset(&s, 0x7e, sizeof s);
            memset(text, 'm', length);
            text[length] = '\0';
            err_set(&s.e, "%s", text);
            assert_int_equal(strlen(s.e.text), length < SIZE ? length : SIZE - 1);
            memset(text, 'p', prefix);
            text[prefix] = '\0';
            err_prefix(&s.e, "%s", text);

            size_t want = prefix + 2 + (length < SIZE ? length : SIZE - 1), have = strlen(s.e.text);

            assert_int_equal(have, want < SIZE ? want : SIZE - 1);
            if (prefix + 2 < have)
                assert_memory_equal(s.e.text + prefix, ": ", 2);
            for (size_t i = 0; i < have; i++)
                assert_true(i < prefix ? s.e.text[i] == 'p' : i < prefix + 2 || s.e.text[i] == 'm');
            for (size_t i = 0; i < sizeof s.behind; i++)
                assert_int_equal(s.behind[i], 0x7e);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_prefix),
        cmocka_unit_test(test_nobody_asks),
        cmocka_unit_test(test_long_texts_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
