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

/* How the standard defines it: what encodes a code point in the one shortest way, and surrogates encode none. */
static size_t
length_by_definition(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    uint32_t v = n == 1 ? s[0] : s[0] & (0x7f >> n);

    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        v = v << 6 | (s[i] & 0x3f);
    }
    return n && v >= least[n] && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff) ? n : 0;
}

/* All first and second bytes, with edges behind them; strings that end early are among them. */
static void
test_every_start(void **state)
{
    static const unsigned char edges[] = {0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};

    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (unsigned i = 0; i < sizeof edges; i++)
                for (unsigned j = 0; j < sizeof edges; j++) {
                    const unsigned char s[] = {(unsigned char)first, (unsigned char)second, edges[i], edges[j], 0};

                    if (utf8_length(s) != length_by_definition(s))
                        fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
                }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_every_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
