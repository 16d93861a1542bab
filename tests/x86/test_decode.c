/* The decoder's rules that Zydis cannot judge: cut-off input, the limit of 15 bytes, flags that depend on a
 * count, names and formatting, RFLAGS. Encodings at large are test_oracle's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "x86/cpu.h"
#include "x86/x86.h"

enum { ADDRESS = 0x1000 };

static size_t
parse_hex(const char *text, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;
    int used;
    while (n < 32 && sscanf(text, "%2x%n", &byte, &used) == 1) {
        out[n++] = (uint8_t)byte;
        text += used;
    }
    return n;
}

/* clang-format off */
static const struct { const char *bytes, *text; } format_cases[] = {
    {"4803448b10", "add rax, qword ptr [rbx+rcx*4+0x10]"},
    {"00e0", "add al, ah"}, {"4000e0", "add al, spl"}, {"64488b042528000000", "mov rax, qword ptr fs:[0x28]"},
    {"488d0500010000", "lea rax, [rel 0x1107]"}, {"0f8405000000", "je 0x100b"}, {"e8fbffffff", "call 0x1000"},
    {"ffe0", "jmp rax"}, {"66ffe0", "jmp rax"}, {"f3a4", "rep movsb byte ptr [rdi], byte ptr [rsi]"},
    {"f2a4", "rep movsb byte ptr [rdi], byte ptr [rsi]"}, {"f2ae", "repne scasb al, byte ptr [rdi]"},
    {"48b88877665544332211", "mov rax, 0x1122334455667788"}, {"48c7c0ffffffff", "mov rax, -0x1"},
    {"6aff", "push -0x1"}, {"664890", "nop"}, {"4890", "nop"}, {"4990", "xchg r8, rax"}, {"f390", "pause"},
    {"f3c3", "ret"}, {"48f3c3", "ret"}, {"f30f1efa", "endbr64"}, {"f0480fb10e", "lock cmpxchg qword ptr [rsi], rcx"},
    {"0fc8", "bswap eax"}, {"4898", "cdqe"}, {"6698", "cbw"}, {"99", "cdq"},
    {"67e300", "jecxz 0x1003"}, {"0f95c0", "setne al"}, {"480f44c1", "cmove rax, rcx"},
    {"660f6ec0", "movd xmm0, eax"}, {"66480f6ec0", "movd xmm0, rax"},
    {"f2480f2ac0", "cvtsi2sd xmm0, rax"}, {"0f12c1", "movhlps xmm0, xmm1"}, {"660f3a0fc108", "palignr xmm0, xmm1, 0x8"},
    {"d8c1", "fadd st(0), st(1)"}, {"dec1", "faddp st(1), st(0)"}, {"df6c2408", "fild qword ptr [rsp+0x8]"},
    {"c4e2f0f2c2", "andn rax, rcx, rdx"}, {"f3480fb8c1", "popcnt rax, rcx"},
    {"f20f38f1c1", "crc32 eax, ecx"}, {"660f38f100", "movbe word ptr [rax], ax"}, {"0f0b", "ud2"}, {"0f05", "syscall"},
    {"cd80", "int 0x80"}, {"a08877665544332211", "mov al, byte ptr [0x1122334455667788]"},
    {"67a188776655", "mov eax, dword ptr [0x55667788]"}, {"648d4001", "lea eax, [rax+0x1]"},
    {"8ed8", "mov ds, ax"},
};
/* clang-format on */

static void
test_format(void **state)
{
    for (size_t i = 0; i < sizeof format_cases / sizeof *format_cases; i++) {
        uint8_t bytes[32];
        char text[128];
        struct x86_insn insn;
        size_t n = parse_hex(format_cases[i].bytes, bytes);
        assert_int_equal(x86_decode(bytes, n, ADDRESS, &insn), (int)n);
        assert_string_equal(x86_format(&insn, text, sizeof text), format_cases[i].text);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(x86_decode(bytes, cut, ADDRESS, &insn), -1);
        for (size_t size = 0; size < sizeof text; size++) {
            char small[128];
            memset(small, 0x55, sizeof small);
            x86_format(&insn, small, size);
            if (size)
                assert_true(strlen(small) < size);
            assert_int_equal(small[size], 0x55);
        }
    }
}

static void
test_invalid(void **state)
{
    static const char *const cases[] = {
        "06",           "27",           "60",         "62f17c4858c0", "82c000",     "9a",     "c5f858c0",
        "c4e17858c0",   "d6",           "ea",         "f04803c1",     "f04889c8",   "f00fc8", "f03b00",
        "f08b00",       "8ec8",         "8ef0",       "8cf0",         "0f04",       "0f0a",   "c4e2f4f2c2",
        "66c4e2f0f2c2", "48c4e2f0f2c2", "0fc7c8",     "f30fc7f0",     "c6c800",     "d9d1",   "dfe1",
        "0f20c8",       "0faee0",       "0f0f00001d", "8fe97802c0",   "f30f3800c0",
    };
    struct x86_insn insn;
    uint8_t bytes[32] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(bytes, 0, sizeof bytes);
        parse_hex(cases[i], bytes);
        if (x86_decode(bytes, 15, ADDRESS, &insn) != 0)
            fail_msg("%s is not invalid", cases[i]);
    }
}

static void
test_length_limit(void **state)
{
    struct x86_insn insn;
    uint8_t bytes[32];
    memset(bytes, 0x66, sizeof bytes);
    bytes[14] = 0x90;
    assert_int_equal(x86_decode(bytes, 15, ADDRESS, &insn), 15);
    assert_int_equal(x86_decode(bytes, 14, ADDRESS, &insn), -1);
    memset(bytes, 0x66, sizeof bytes);
    bytes[15] = 0x90;
    assert_int_equal(x86_decode(bytes, 32, ADDRESS, &insn), 0);
    assert_int_equal(x86_decode(bytes, 0, ADDRESS, &insn), -1);
}

static struct x86_flag_effects
effects(const char *hex)
{
    uint8_t bytes[32];
    struct x86_insn insn;
    size_t n = parse_hex(hex, bytes);
    assert_int_equal(x86_decode(bytes, n, ADDRESS, &insn), (int)n);
    return x86_flag_effects(&insn);
}

static void
test_flags(void **state)
{
    enum { C = 1, P = 2, A = 4, Z = 8, S = 16, O = 32, D = 64 };
    /* clang-format off */
    static const struct { const char *hex; unsigned tested, written, undefined; } cases[] = {
        {"01c8", 0, C | P | A | Z | S | O, 0}, {"ffc0", 0, P | A | Z | S | O, 0}, {"c1e003", 0, C | P | Z | S, A | O},
        {"d1e0", 0, C | P | Z | S | O, A}, {"c1e001", 0, C | P | Z | S | O, A}, {"c1e000", 0, 0, 0}, {"c1e020", 0, 0, 0},
        {"48c1e020", 0, C | P | Z | S, A | O}, {"c0e008", 0, P | Z | S, A | O | C}, {"c0f808", 0, C | P | Z | S, A | O},
        {"d3e0", C | P | A | Z | S | O, C | P | Z | S | O, A}, {"d1c0", 0, C | O, 0}, {"d1d0", C, C | O, 0}, {"c1d002", C, C, O},
        {"d3c0", C | O, C | O, 0}, {"7400", Z, 0, 0}, {"7700", C | Z, 0, 0}, {"7f00", Z | S | O, 0, 0}, {"0f9cc0", S | O, 0, 0},
        {"f3a6", C | P | A | Z | S | O | D, C | P | A | Z | S | O, 0}, {"a6", D, C | P | A | Z | S | O, 0}, {"90", 0, 0, 0},
        {"0fa4c800", 0, 0, 0}, {"660fa4c811", 0, 0, C | P | A | Z | S | O},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct x86_flag_effects e = effects(cases[i].hex);
        if (e.tested != cases[i].tested || e.written != cases[i].written || e.undefined != cases[i].undefined)
            fail_msg("%s: %x %x %x", cases[i].hex, e.tested, e.written, e.undefined);
    }
}

static void
test_flow(void **state)
{
    /* clang-format off */
    static const struct { const char *hex; enum x86_flow flow; } cases[] = {
        {"90", X86_FLOW_NEXT}, {"eb00", X86_FLOW_JUMP}, {"ffe0", X86_FLOW_JUMP_INDIRECT}, {"7500", X86_FLOW_BRANCH},
        {"e200", X86_FLOW_BRANCH}, {"e300", X86_FLOW_BRANCH}, {"e800000000", X86_FLOW_CALL}, {"ff10", X86_FLOW_CALL_INDIRECT},
        {"c3", X86_FLOW_RETURN}, {"0f05", X86_FLOW_SYSCALL}, {"0f0b", X86_FLOW_TRAP}, {"f4", X86_FLOW_TRAP}, {"cc", X86_FLOW_TRAP},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[32];
        struct x86_insn insn;
        size_t n = parse_hex(cases[i].hex, bytes);
        assert_int_equal(x86_decode(bytes, n, ADDRESS, &insn), (int)n);
        assert_int_equal(x86_flow(&insn), cases[i].flow);
    }
}

static void
test_names(void **state)
{
    assert_string_equal(x86_op_name(X86_OP_ADD), "add");
    assert_string_equal(x86_op_name(X86_OP_COUNT), "?");
    assert_string_equal(x86_op_name(~0u), "?");
    for (unsigned op = 0; op < X86_OP_COUNT; op++)
        assert_non_null(x86_op_name(op));
}

static void
test_rflags(void **state)
{
    struct x86_cpu cpu;
    x86_cpu_reset(&cpu);
    assert_int_equal(x86_cpu_rflags(&cpu), 0x202);
    assert_int_equal(cpu.x87.control, 0x37f);
    assert_int_equal(cpu.mxcsr, 0x1f80);
    for (uint64_t bits = 0; bits < 1 << 12; bits++) {
        x86_cpu_set_rflags(&cpu, bits | 1 << 21);
        assert_int_equal(x86_cpu_rflags(&cpu), (bits & 0xcd5) | 0x200202);
    }
    x86_cpu_set_rflags(&cpu, UINT64_MAX);
    assert_int_equal(x86_cpu_rflags(&cpu), 0x244ed7);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format), cmocka_unit_test(test_invalid), cmocka_unit_test(test_length_limit),
        cmocka_unit_test(test_flags),  cmocka_unit_test(test_flow),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_rflags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
