/* JSON strings: escapes, bytes that are no UTF-8, no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_text.h"

static void
expect(const char *text, const char *want)
{
    char out[256];
    bool cut = false;

    out[json_put_string(out, 0, sizeof out, text, &cut)] = '\0';
    assert_string_equal(out, want);
    assert_false(cut);
}

static void
test_escapes(void **state)
{
    expect("", "\"\"");
    expect("a\"b\\c", "\"a\\\"b\\\\c\"");
    expect("\n\x1b[0m\x7f", "\"\\u000a\\u001b[0m\\u007f\"");
}

static void
test_utf8(void **state)
{
    expect("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    expect("\xe9x", "\"\xef\xbf\xbdx\"");                                               /* Latin-1 */
    expect("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"");                                 /* overlong */
    expect("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");                 /* a surrogate */
    expect("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* above U+10FFFF */
    expect("\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"");                                 /* cut off */
}

static void
test_room(void **state)
{
    const char *text = "ab\x01\xe2\x82\xac";

    for (size_t size = 2; size < 16; size++) {
        char out[16];
        bool cut = false;
        size_t n;

        memset(out, '#', sizeof out);
        n = json_put_string(out, 0, size, text, &cut);
        assert_true(n <= size && out[0] == '"' && out[n - 1] == '"');
        assert_int_equal(cut, size < 13);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], '#');
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
