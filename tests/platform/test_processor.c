/* What the start of an artifact finds missing in a processor, told by processors that the test makes up; and what this
 * one executes, which agrees with what it says of itself. Run under emulators of older processors too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "no_guest.h"
#include "platform/processor.h"

/* The processor: all features of the guest's level v3, but those that are taken away. */
static struct {
    uint32_t highest, highest_extended; /* leaves */
    uint32_t missing_leaf, missing_register, missing_bit;
    uint64_t xcr0;
    unsigned asked;
} made;

static void
cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    assert_int_equal(subleaf, 0);
    made.asked++;
    if (leaf == 0 || leaf == 0x80000000) {
        out[0] = leaf ? made.highest_extended : made.highest;
        return;
    }
    out[0] = out[1] = out[2] = out[3] = UINT32_MAX;
    if (leaf == made.missing_leaf)
        out[made.missing_register] &= ~made.missing_bit;
}

static uint64_t
xcr0(void)
{
    return made.xcr0;
}

static const char *
missing(enum x86_level level, bool direct)
{
    static const struct processor_probe probe = {cpuid, xcr0};
    static char text[512];

    made.asked = 0;
    return platform_missing_features(&probe, level, direct, text, sizeof text);
}

static void
reset(void)
{
    made.highest = 13;
    made.highest_extended = 0x80000008;
    made.missing_leaf = UINT32_MAX;
    made.xcr0 = 7;
}

enum { EBX = 1, ECX = 2 };

static void
take_away(uint32_t leaf, uint32_t in, uint32_t bit)
{
    reset();
    made.missing_leaf = leaf;
    made.missing_register = in;
    made.missing_bit = UINT32_C(1) << bit;
}

static void
test_nothing_missing(void **state)
{
    reset();
    assert_string_equal(missing(X86_LEVEL_V2, false), "");
    assert_int_equal(made.asked, 1);
    assert_string_equal(missing(X86_LEVEL_V2, true), "");
    assert_int_equal(made.asked, 3);
    assert_string_equal(missing(X86_LEVEL_V3, true), "");
    assert_int_equal(made.asked, 5);
}

static void
test_each(void **state)
{
    /* clang-format off */
    static const struct {
        uint32_t leaf, in, bit;
        const char *name;
        bool v2, v2_direct;
    } features[] = {
        {1, ECX, 0, "pni", true, true},        {1, ECX, 9, "ssse3", true, true},   {1, ECX, 13, "cx16", true, true},
        {1, ECX, 19, "sse4_1", true, true},    {1, ECX, 20, "sse4_2", true, true}, {1, ECX, 23, "popcnt", true, true},
        {7, EBX, 3, "bmi1", false, true},      {7, EBX, 8, "bmi2", false, false},  {0x80000001, ECX, 5, "abm", false, false},
        {1, ECX, 22, "movbe", false, false},   {1, ECX, 12, "fma", false, false},  {1, ECX, 29, "f16c", false, false},
        {7, EBX, 5, "avx2", false, false},     {1, ECX, 25, "aes", false, false},  {1, ECX, 1, "pclmulqdq", false, false},
        {7, EBX, 29, "sha_ni", false, false},  {1, ECX, 28, "avx", false, false},  {1, ECX, 26, "xsave", false, false},
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        take_away(features[i].leaf, features[i].in, features[i].bit);
        assert_string_equal(missing(X86_LEVEL_V2, false), features[i].v2 ? features[i].name : "");
        assert_string_equal(missing(X86_LEVEL_V2, true), features[i].v2_direct ? features[i].name : "");
        assert_string_equal(missing(X86_LEVEL_V3, false), features[i].name);
        assert_string_equal(missing(X86_LEVEL_V3, true), features[i].name);
    }
}

static void
test_no_leaf(void **state)
{
    reset();
    made.highest = 6;
    assert_string_equal(missing(X86_LEVEL_V2, true), "bmi1");
    assert_string_equal(missing(X86_LEVEL_V3, true), "bmi1 avx2 bmi2 sha_ni");
    reset();
    made.highest_extended = 0;
    assert_string_equal(missing(X86_LEVEL_V3, false), "abm");
}

/* A kernel that does not save the high halves. */
static void
test_no_state(void **state)
{
    reset();
    made.xcr0 = 3;
    assert_string_equal(missing(X86_LEVEL_V2, true), "");
    assert_string_equal(missing(X86_LEVEL_V3, true), "ymm-state");
    take_away(1, ECX, 27);
    assert_string_equal(missing(X86_LEVEL_V3, true), "osxsave ymm-state");
}

/* Names that do not fit are cut off. */
static void
test_short_text(void **state)
{
    static const struct processor_probe probe = {cpuid, xcr0};
    char text[8];

    reset();
    made.highest = 6;
    assert_string_equal(platform_missing_features(&probe, X86_LEVEL_V3, true, text, sizeof text), "bmi1 av");
}

static void
test_this_one(void **state)
{
    char text[512];

    platform_faults_init(); /* here, because cmocka has handlers of its own */
    for (enum x86_level level = X86_LEVEL_V2; level < X86_LEVEL_END; level++)
        for (int direct = 0; direct < 2; direct++) {
            platform_missing_features(&platform_processor, level, direct, text, sizeof text);
            printf("%s%s: missing: %s\n", x86_level_name(level), direct ? " direct" : "", *text ? text : "nothing");
            assert_int_equal(platform_executes(level, direct), !*text);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_missing), cmocka_unit_test(test_each),       cmocka_unit_test(test_no_leaf),
        cmocka_unit_test(test_no_state),        cmocka_unit_test(test_short_text), cmocka_unit_test(test_this_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
