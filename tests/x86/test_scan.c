/* x86_scan() against x86_decode(), whose encodings Zydis has judged: all opcodes with all ModRM bytes behind several
 * prefixes, and random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "x86/cpu.h"
#include "x86/x86.h"

enum { ADDRESS = 0x1000 };

/* What the decoder says of the operands, as the scanner says it. */
struct summary {
    bool memory, unnamed_memory, system_register;
    uint16_t registers, size; /* of what memory is accessed */
    int8_t base, index;
};

static struct summary
sum_up(const struct x86_insn *insn)
{
    struct summary s = {.base = X86_BASE_NONE, .index = X86_BASE_NONE};

    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *o = &insn->operand[i];
        enum x86_field field = x86_operand_field(insn, i);

        if (o->kind == X86_OPD_MEM && field == X86_FIELD_NONE) {
            s.unnamed_memory = true;
        } else if (o->kind == X86_OPD_MEM) {
            s.memory |= insn->op != X86_OP_LEA;
            s.size = o->size;
            s.base = o->base;
            s.index = o->index;
        } else if (o->kind == X86_OPD_REG) {
            s.system_register |= o->reg_class == X86_RC_SEG || o->reg_class == X86_RC_CR || o->reg_class == X86_RC_DR;
            if (field != X86_FIELD_NONE && (o->reg_class == X86_RC_GPR || o->reg_class == X86_RC_GPR_HIGH))
                s.registers |= (uint16_t)(1u << o->reg);
        }
    }
    return s;
}

/* Of the prefixes in front of the opcode, whether their order and number are canonical. */
static bool
in_order(const uint8_t *bytes, unsigned count)
{
    static const char *const order[] = {"\x64\x65", "\x67", "\xf0", "\x66", "\xf2\xf3"};
    unsigned rank = 0;

    for (unsigned i = 0; i < count; i++) {
        if ((bytes[i] & 0xf0) == 0x40)
            return i + 1 == count;
        while (rank < 5 && !strchr(order[rank], bytes[i]))
            rank++;
        if (rank++ >= 5)
            return false;
    }
    return true;
}

static void
compare(const uint8_t *bytes, size_t size)
{
    struct x86_insn insn;
    struct x86_parts at;
    struct x86_scan scan;
    int decoded = x86_decode_parts(bytes, size, ADDRESS, &insn, &at), scanned = x86_scan(bytes, size, &scan);
    struct summary s;
    bool bad;

    if (decoded <= 0) {
        /* The scanner does not know what registers there are, nor where LOCK is allowed, but says that there is one. */
        if (scanned && scan.canonical && !scan.system_register)
            fail_msg("%02x %02x %02x %02x: no instruction", bytes[0], bytes[1], bytes[2], bytes[3]);
        return;
    }
    if (at.vex && x86_level() < X86_LEVEL_V3) {
        assert_int_equal(scanned, 0);
        return;
    }
    s = sum_up(&insn);
    bad = scanned != decoded || scan.length != decoded || scan.op != insn.op || scan.flow != x86_flow(&insn) ||
          scan.vex != at.vex || (!at.vex && scan.rex != at.rex) || scan.opcode_at != at.opcode_at ||
          scan.modrm_at != at.modrm_at || scan.address_size != at.address_size || scan.lock != insn.lock ||
          scan.memory != s.memory || scan.unnamed_memory != s.unnamed_memory ||
          scan.system_register != s.system_register || scan.registers != s.registers;
    if (s.memory)
        bad |= scan.base != s.base || scan.index != s.index || (scan.general && s.size > 8);
    if (s.memory && at.modrm_at)
        bad |= scan.immediate_at != at.immediate_at;
    if (scan.canonical)
        bad |= !in_order(bytes, at.vex ? at.prefix_at : scan.opcode_at) || scan.operand_size != at.operand_size ||
               scan.repeat != at.repeat || (scan.segment && !s.memory && !s.unnamed_memory) ||
               (scan.address_size && !s.memory && !s.unnamed_memory && insn.op != X86_OP_LEA &&
                scan.flow != X86_FLOW_BRANCH);
    if (bad)
        fail_msg("%02x %02x %02x %02x %02x %02x: %s", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5],
                 x86_op_name(insn.op));
}

static void
test_all_opcodes(void **state)
{
    static const char *const prefixes[] = {
        "",         "\x66",     "\xf2",     "\xf3",         "\x48",
        "\x41",     "\x4f",     "\x66\x48", "\x65\x67",     "\x65\x67\x4f",
        "\xf0",     "\x64\xf0", "\x67\x65", "\x66\x66",     "\x2e",
        "\x48\x66", "\xf2\xf3", "\x66\xf3", "\x66\xf2\x48", "\x65\x67\xf0\x66\xf3\x49",
    };
    static const char *const maps[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};

    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (size_t m = 0; m < sizeof maps / sizeof *maps; m++)
            for (unsigned code = 0; code < 65536; code++) {
                uint8_t bytes[32];
                size_t at = strlen(prefixes[p]);

                memset(bytes, 0x25, sizeof bytes); /* as SIB: no base, no index */
                memcpy(bytes, prefixes[p], at);
                memcpy(bytes + at, maps[m], strlen(maps[m]));
                at += strlen(maps[m]);
                bytes[at] = (uint8_t)code;
                bytes[at + 1] = (uint8_t)(code >> 8);
                compare(bytes, sizeof bytes);
            }
}

static void
draw(uint64_t *random, uint8_t bytes[16])
{
    uint64_t words[2];

    for (unsigned k = 0; k < 2; k++) {
        *random ^= *random >> 12;
        *random ^= *random << 25;
        *random ^= *random >> 27;
        words[k] = *random * 2685821657736338717ull;
    }
    memcpy(bytes, words, sizeof words);
}

/* All opcodes behind VEX of two and three bytes, with random fields and operands; where the level has it, and where
 * not. */
static void
test_vex(void **state)
{
    uint64_t random = 0x9e3779b97f4a7c15;

    for (unsigned i = 0; i < 4000000; i++) {
        uint8_t bytes[16];

        draw(&random, bytes);
        bytes[0] = i & 1 ? 0xc5 : 0xc4;
        bytes[1] = i & 1 ? bytes[1] : (uint8_t)((bytes[1] & 0xe0) | (bytes[1] % 5));
        if (i & 2) /* names no register */
            bytes[i & 1 ? 1 : 2] |= 0x78;
        if (i % 64 == 8) { /* behind another prefix */
            memmove(bytes + 1, bytes, sizeof bytes - 1);
            bytes[0] = (const uint8_t[]){0x65, 0x67, 0x66, 0xf3, 0xf0, 0x48, 0x2e, 0x64}[i / 64 % 8];
        }
        x86_set_level(i % 8 == 7 ? X86_LEVEL_V2 : X86_LEVEL_V3);
        compare(bytes, 1 + i % 3 * 7);
        compare(bytes, sizeof bytes);
    }
    x86_set_level(X86_LEVEL_V2);
}

static void
test_random(void **state)
{
    uint64_t random = 0x9e3779b97f4a7c15;

    for (unsigned i = 0; i < 2000000; i++) {
        uint8_t bytes[16];

        draw(&random, bytes);
        compare(bytes, i % 17);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_opcodes), cmocka_unit_test(test_vex),
                                       cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
