/* What a code object may import: the right names with the right types, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wasm/imports.h"

#define GUEST_PARAMS  "\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e"
#define GUEST_RESULTS "\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e\x7e"

static void
put_section(struct buf *out, uint8_t id, struct buf *s)
{
    buf_put_u8(out, id);
    buf_put_uleb(out, s->size);
    buf_put(out, s->data, s->size);
    buf_fini(s);
}

static void
put_text(struct buf *b, const char *text)
{
    buf_put_uleb(b, strlen(text));
    buf_put(b, text, strlen(text));
}

/* A module with one import. kind 0: a function of these types; 3: a global of type *params, mutable when results says
 * so. */
static int
check(const char *module, const char *name, uint8_t kind, const char *params, const char *results, struct err *e)
{
    struct buf out = {0}, s = {0};
    int rc;

    buf_put(&out, "\0asm\1\0\0\0", 8);
    if (kind == 0) {
        buf_put(&s, "\1\x60", 2);
        put_text(&s, params);
        put_text(&s, results);
        put_section(&out, 1, &s);
    }
    buf_put_u8(&s, 1);
    put_text(&s, module);
    put_text(&s, name);
    buf_put_u8(&s, kind);
    if (kind == 0)
        buf_put_u8(&s, 0);
    else
        buf_put(&s, (uint8_t[]){(uint8_t)*params, *results == 'm'}, 2);
    put_section(&out, 2, &s);
    rc = wasm_check_object_imports(out.data, out.size, e);
    buf_fini(&out);
    return rc;
}

static const struct {
    const char *module, *name;
    uint8_t kind;
    const char *params, *results;
    bool right;
} cases[] = {
    {"kernel", "enter", 0, GUEST_PARAMS, GUEST_RESULTS, true},
    {"kernel", "poll", 0, "\x7e", "", true},
    {"kernel", "poll", 0, GUEST_PARAMS, GUEST_RESULTS, false},
    {"kernel", "enter", 0, "\x7e", "", false},
    {"kernel", "enter_c", 0, GUEST_PARAMS, GUEST_RESULTS, false}, /* a C function has this symbol */
    {"kernel", "wasm_trap", 0, GUEST_PARAMS, GUEST_RESULTS, false},
    {"helper", "crc32", 0, "\x7f\x7e\x7f", "\x7f", true},
    {"helper", "crc32", 0, "\x7f\x7e", "\x7f", false},
    {"helper", "crc32", 0, "\x7f\x7e\x7e", "\x7f", false},
    {"helper", "crc32", 0, "\x7f\x7e\x7f", "", false},
    {"helper", "crc32", 0, "\x7f\x7e\x7f", "\x7e", false},
    {"helper", "rdtsc", 0, "", "\x7e", true},
    {"helper", "rdtsc", 0, "\x7b", "\x7e", false},
    {"helper", "system", 0, "\x7e", "\x7f", false},
    {"c", "system", 0, "\x7e", "\x7f", false},
    {"intrinsic", "sp", 0, "", "\x7e", true},
    {"cpu", "rax", 3, "\x7e", "m", true},
    {"cpu", "rax", 3, "\x7e", "", false},
    {"cpu", "rax", 3, "\x7b", "m", false}, /* reaches into the next one */
    {"cpu", "xmm15", 3, "\x7b", "m", true},
    {"cpu", "reserved", 3, "\x7e", "m", false},
    {"env", "code_base", 3, "\x7e", "", true},
    {"env", "code_base", 3, "\x7e", "m", false},
    {"env", "table_base", 3, "\x7f", "", true},
    {"env", "table_base", 3, "\x7e", "", false},
    {"env", "other", 3, "\x7e", "", false},
};

static void
test_imports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        int rc = check(cases[i].module, cases[i].name, cases[i].kind, cases[i].params, cases[i].results, &e);

        if ((rc == 0) != cases[i].right)
            fail_msg("%s.%s (case %zu): %s", cases[i].module, cases[i].name, i, rc == 0 ? "accepted" : e.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_imports)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
