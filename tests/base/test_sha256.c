/* SHA-256: known values, and that all ways to the same bytes agree. */
#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
is(const void *data, size_t size, const char *want)
{
    struct sha256 have;
    char hex[SHA256_HEX_SIZE];

    sha256_of(data, size, &have);
    sha256_hex(&have, hex);
    assert_string_equal(hex, want);
}

/* NIST, "Cryptographic Standards and Guidelines: Examples with Intermediate Values". */
static void
known_values(void **state)
{
    char *many = malloc(1000000);

    is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(many, 'a', 1000000);
    is(many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(many);
}

static struct sha256
hash_of_hashes(const uint8_t *data)
{
    struct sha256 chain = {{0}};

    for (size_t size = 0; size < 600; size++) {
        struct sha256 one;

        sha256_of_two(data, size / 3, data + size / 3, size - size / 3, &one);
        sha256_of_two(&chain, sizeof chain, &one, sizeof one, &chain);
    }
    return chain;
}

/* Small hashes are made by portable code until a large one has asked for the processor's instructions. The process is
 * new: this test is first. */
static void
both_ways(void **state)
{
    uint8_t data[5000];
    struct sha256 before, after, whole, parts;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i >> 3);
    before = hash_of_hashes(data);
    sha256_of(data, sizeof data, &whole);
    after = hash_of_hashes(data);
    assert_memory_equal(&before, &after, sizeof before);
    for (size_t cut = 0; cut <= sizeof data; cut += 61) {
        sha256_of_two(data, cut, data + cut, sizeof data - cut, &parts);
        assert_memory_equal(&whole, &parts, sizeof whole);
    }
}

static void
text(void **state)
{
    static const char *const wrong[] = {"", "0", "g", "A", " ", "0x"};
    char hex[SHA256_HEX_SIZE + 1];
    struct sha256 h, back;

    for (unsigned i = 0; i < SHA256_SIZE; i++)
        h.bytes[i] = (uint8_t)(i * 37 + 5);
    sha256_hex(&h, hex);
    assert_int_equal(strlen(hex), SHA256_HEX_SIZE - 1);
    assert_int_equal(sha256_parse(hex, &back), 0);
    assert_memory_equal(&h, &back, sizeof h);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(sha256_parse(wrong[i], &back), -1);
    for (unsigned i = 0; i < SHA256_HEX_SIZE - 1; i++) { /* cut off, and with another letter, at each place */
        char at = hex[i];

        hex[i] = '\0';
        assert_int_equal(sha256_parse(hex, &back), -1);
        hex[i] = "/:Fg"[i % 4];
        assert_int_equal(sha256_parse(hex, &back), -1);
        hex[i] = at;
    }
    hex[SHA256_HEX_SIZE - 1] = '0'; /* one digit more */
    hex[SHA256_HEX_SIZE] = '\0';
    assert_int_equal(sha256_parse(hex, &back), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways), cmocka_unit_test(known_values),
                                       cmocka_unit_test(text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
