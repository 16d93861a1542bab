/* direct_return_registers: at a string instruction the registers that it uses become guest addresses again. Nothing
 * else says that they are the host's: a guest that could have the memory's address added or taken away would learn
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/direct_state.h"
#include "x86/x86.h"

enum { MEMORY = 0x12340000, VALUE = 0x5678 };

/* What stands before it in the code, and the instruction at which the state is asked for. */
static struct x86_cpu
at(const char *before, size_t before_size, const char *insn, size_t size)
{
    static uint8_t code[64];
    struct x86_cpu cpu = {.memory = MEMORY};

    memset(code, 0x90, sizeof code);
    memcpy(code, before, before_size);
    memcpy(code + before_size, insn, size);
    for (unsigned i = 0; i < 16; i++)
        cpu.gpr[i] = MEMORY + VALUE;
    direct_return_registers(&cpu, (uint64_t)(uintptr_t)code, (uint64_t)(uintptr_t)code + before_size);
    return cpu;
}

static void
test_strings(void **state)
{
    static const struct {
        char insn[2];
        bool source, destination;
    } strings[] = {{{'\x48', '\xa5'}, true, true},  {{'\xf3', '\xa4'}, true, true},  {{'\xf3', '\xa6'}, true, true},
                   {{'\xf3', '\xaa'}, false, true}, {{'\xf2', '\xae'}, false, true}, {{'\xf3', '\xac'}, true, false}};

    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct x86_cpu cpu = at("\x90", 1, strings[i].insn, 2);

        for (unsigned r = 0; r < 16; r++) {
            bool used = (r == X86_RSI && strings[i].source) || (r == X86_RDI && strings[i].destination);

            assert_int_equal(cpu.gpr[r], used ? VALUE : MEMORY + VALUE);
        }
    }
}

/* A whole string sequence, which begins with the load of the memory's address, and LEAs that look like parts of it;
 * then a load that faults. */
static void
test_what_looks_like_it(void **state)
{
    char before[] =
        "\x64\x4c\x8b\x14\x25\0\0\0\0\x89\xf6\x4a\x8d\x34\x16\xac\x49\xf7\xd2\x4a\x8d\x74\x16\x01\x45\x0f\xb6\xd2\x4a\x8d\x34\x16";
    int32_t slot = (int32_t)offsetof(struct x86_cpu, memory) - (int32_t)sizeof(struct x86_cpu);
    struct x86_cpu cpu;

    memcpy(before + 5, &slot, sizeof slot);
    cpu = at(before, sizeof before - 1, "\x65\x67\x8b\x03", 4);
    for (unsigned r = 0; r < 16; r++)
        assert_int_equal(cpu.gpr[r], MEMORY + VALUE);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_strings),
                                              cmocka_unit_test(test_what_looks_like_it)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
