/* The lifter: the shape of what it makes of common idioms, and that any bytes give IR that verifies.
 * Whether instructions compute what the processor computes is tests/eval's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "elf/elf_image.h"
#include "lift/lift.h"

static struct ir_func func;
static struct ir_build build;

static int
setup(void **state)
{
    ir_func_init(&func, 0);
    ir_build_init(&build, &func);
    return 0;
}

static int
teardown(void **state)
{
    ir_build_fini(&build);
    ir_func_fini(&func);
    return 0;
}

static const struct ir_block *
lift_at(uint64_t address, const void *bytes, size_t size, const struct lift_jump_table *table)
{
    struct lift_request r = {.bytes = bytes, .size = size, .address = address, .jump_table = table};
    struct err e;

    ir_func_clear(&func, address);
    lift_block(&build, &r);
    if (ir_verify(&func, &e) != 0) {
        ir_print(&func, stderr);
        fail_msg("%s", e.text);
    }
    return &func.blocks.items[0];
}

#define LIFT(...) lift_at(0x1000, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), NULL)

static unsigned
op_of(ir_value v)
{
    return func.ops.items[v].op;
}

static unsigned
count_ops(unsigned op)
{
    unsigned n = 0;

    for (size_t i = 0; i < func.ops.count; i++)
        n += func.ops.items[i].op == op;
    return n;
}

static void
test_compare_and_branch(void **state)
{
    const struct ir_block *b = LIFT(0x48, 0x39, 0xd8, 0x7c, 0x10); /* cmp rax, rbx; jl +16 */

    assert_int_equal(b->end.kind, IR_T_BRANCH);
    assert_int_equal(op_of(b->end.value), IR_LTS64);
    assert_int_equal(b->end.target, 0x1015);
    assert_int_equal(b->end.next, 0x1005);
    b = LIFT(0x85, 0xc0, 0x75, 0x10); /* test eax, eax; jne */
    assert_int_equal(op_of(b->end.value), IR_WRAP);
    b = LIFT(0x3c, 0x61, 0x77, 0x10); /* cmp al, 'a'; ja */
    assert_int_equal(op_of(b->end.value), IR_GTU32);
    b = LIFT(0x3c, 0x61, 0x7e, 0x10); /* cmp al, 'a'; jle */
    assert_int_equal(op_of(b->end.value), IR_LES32);
}

static void
test_ends(void **state)
{
    const struct ir_block *b = LIFT(0xc3);

    assert_int_equal(b->end.kind, IR_T_RETURN);
    b = LIFT(0xe8, 0x10, 0, 0, 0);
    assert_int_equal(b->end.kind, IR_T_CALL);
    assert_int_equal(b->end.target, 0x1015);
    assert_int_equal(b->end.next, 0x1005);
    b = LIFT(0xe8, 0, 0, 0, 0, 0x58); /* call next; pop rax */
    assert_int_equal(b->end.kind, IR_T_JUMP);
    assert_int_equal(b->end.target, 0x1006);
    b = LIFT(0xff, 0xe0);
    assert_int_equal(b->end.kind, IR_T_JUMP_INDIRECT);
    b = LIFT(0x0f, 0x05);
    assert_int_equal(b->end.kind, IR_T_SYSCALL);
    assert_int_equal(b->end.next, 0x1002);
    b = LIFT(0x90, 0x0f, 0x0b);
    assert_int_equal(b->end.kind, IR_T_TRAP);
    assert_int_equal(b->end.trap, IR_TRAP_UD);
    assert_int_equal(b->end.target, 0x1001);
    b = LIFT(0x90, 0x48); /* cut off */
    assert_int_equal(b->end.kind, IR_T_JUMP);
    assert_int_equal(b->end.target, 0x1001);
    b = LIFT(0x48); /* nothing but a piece: no jump to itself */
    assert_int_equal(b->end.kind, IR_T_TRAP);
    b = LIFT(0x90, 0x06); /* no 64-bit instruction */
    assert_int_equal(b->end.trap, IR_TRAP_UD);
    assert_int_equal(b->end.target, 0x1001);
}

static void
test_division(void **state)
{
    LIFT(0x31, 0xd2, 0x48, 0xf7, 0xf1); /* xor edx, edx; div rcx */
    assert_int_equal(count_ops(IR_DIVU64), 1);
    assert_int_equal(count_ops(IR_HELPER), 1); /* raise_if */
    LIFT(0x48, 0x99, 0x48, 0xf7, 0xf9);        /* cqo; idiv rcx */
    assert_int_equal(count_ops(IR_DIVS64), 1);
    assert_int_equal(count_ops(IR_HELPER), 1);
    LIFT(0x99, 0xf7, 0xf9); /* cdq; idiv ecx */
    assert_int_equal(count_ops(IR_DIVS64), 1);
    LIFT(0x48, 0xf7, 0xf1); /* div rcx */
    assert_int_equal(count_ops(IR_HELPER), 2);
}

/* Of each instruction that may have LOCK: memory is accessed once, by an atomic operation. */
static bool
check_locked(const uint8_t *bytes, size_t size)
{
    struct x86_insn insn;
    unsigned accesses = 0, atomic = 0;

    if (x86_decode(bytes, size, 0x1000, &insn) <= 0 || !insn.lock || insn.operand[0].kind != X86_OPD_MEM)
        return false;
    lift_at(0x1000, bytes, insn.length, NULL);
    for (size_t i = 0; i < func.ops.count; i++) {
        const struct ir_op *op = &func.ops.items[i];

        accesses += ir_op_accesses(op);
        atomic += op->op >= IR_ATOMIC_ADD && op->op <= IR_ATOMIC_CMPXCHG;
    }
    if (accesses != 1 || atomic != 1) {
        ir_print(&func, stderr);
        fail_msg("opcode %02x %02x %02x %02x: %u accesses", bytes[1], bytes[2], bytes[3], bytes[4], accesses);
    }
    return true;
}

static void
test_locked(void **state)
{
    unsigned count = 0;

    for (unsigned wide = 0; wide < 2; wide++) {
        for (unsigned opcode = 0; opcode < 512; opcode++) {
            for (unsigned reg = 0; reg < 8; reg++) {
                uint8_t bytes[16] = {0xf0, wide ? 0x48 : 0x40}, *to = bytes + 2;

                if (opcode >= 256)
                    *to++ = 0x0f;
                *to++ = (uint8_t)opcode;
                *to = (uint8_t)(reg << 3 | X86_RCX);
                count += check_locked(bytes, sizeof bytes);
            }
        }
    }
    assert_in_range(count, 700, 900);
}

static void
test_insn_limit(void **state)
{
    static const uint8_t nops[] = {0x90, 0x90, 0x90};
    struct lift_request r = {.bytes = nops, .size = 3, .address = 0x1000, .max_insns = 2};

    ir_func_clear(&func, 0x1000);
    lift_block(&build, &r);
    assert_int_equal(func.blocks.items[0].end.kind, IR_T_JUMP);
    assert_int_equal(func.blocks.items[0].end.target, 0x1002);
    assert_int_equal(func.blocks.items[0].insn_count, 2);
}

static void
test_relative_table(void **state)
{
    /* lea rdx, [rip + 0x1000]; movzx eax, byte [rdi]; movsxd rax, [rdx + rax*4]; add rax, rdx; jmp rax */
    static const uint8_t code[] = {0x48, 0x8d, 0x15, 0x00, 0x10, 0x00, 0x00, 0x0f, 0xb6, 0x07,
                                   0x48, 0x63, 0x04, 0x82, 0x48, 0x01, 0xd0, 0xff, 0xe0};
    static const uint64_t targets[] = {0x1100, 0x1200};
    struct lift_jump_table table = {.insn_address = 0x1011,
                                    .count = 2,
                                    .targets = targets,
                                    .entry_size = 4,
                                    .table_address = 0x2007,
                                    .relative = true,
                                    .relative_to = 0x2007};
    const struct ir_block *b = lift_at(0x1000, code, sizeof code, NULL);

    assert_int_equal(b->end.kind, IR_T_JUMP_INDIRECT);
    b = lift_at(0x1000, code, sizeof code, &table);
    assert_int_equal(b->end.kind, IR_T_SWITCH);
    assert_int_equal(b->end.target_count, 2);
    assert_int_equal(b->end.targets[1], 0x1200);
    assert_int_equal(op_of(b->end.indirect), IR_ADD64);
    assert_int_equal(count_ops(IR_EQ64), 0); /* all of it is in the block */
    table.table_address = 0x2017;
    assert_int_equal(lift_at(0x1000, code, sizeof code, &table)->end.kind, IR_T_JUMP_INDIRECT);
}

/* The base comes from another block: the switch holds only while the register has that address. */
static void
test_guarded_table(void **state)
{
    /* movsxd rax, [rbx + rax*4 + 0x10]; add rax, rbx; jmp rax */
    static const uint8_t code[] = {0x48, 0x63, 0x44, 0x83, 0x10, 0x48, 0x01, 0xd8, 0xff, 0xe0};
    static const uint64_t targets[] = {0x1100, 0x1200};
    struct lift_jump_table table = {.insn_address = 0x1008,
                                    .count = 2,
                                    .targets = targets,
                                    .entry_size = 4,
                                    .table_address = 0x2010,
                                    .relative = true,
                                    .relative_to = 0x2000};
    const struct ir_block *b = lift_at(0x1000, code, sizeof code, &table);

    assert_int_equal(b->end.kind, IR_T_SWITCH);
    assert_int_equal(op_of(b->end.value), IR_SELECT32);
    assert_int_equal(count_ops(IR_EQ64), 1); /* one register, one guard */
    assert_int_equal(count_ops(IR_ADDR), 1);
    for (size_t i = 0; i < func.ops.count; i++) {
        if (func.ops.items[i].op == IR_ADDR)
            assert_int_equal(func.ops.items[i].imm, 0x2000);
    }
    table.relative_to = 0x2004; /* two guards, never true together */
    b = lift_at(0x1000, code, sizeof code, &table);
    assert_int_equal(b->end.kind, IR_T_SWITCH);
    assert_int_equal(count_ops(IR_EQ64), 2);
}

static void
test_absolute_table(void **state)
{
    static const uint8_t code[] = {0xff, 0x24, 0xc5, 0x00, 0x00, 0x48, 0x00}; /* jmp [rax*8 + 0x480000] */
    static const uint8_t no_table[] = {0xff, 0x25, 0x00, 0x10, 0x00, 0x00};   /* jmp [rip + 0x1000] */
    static const uint64_t targets[] = {0x401100, 0x401200, 0x401300};
    struct lift_jump_table table = {.insn_address = 0x401000,
                                    .count = 3,
                                    .targets = targets,
                                    .entry_size = 8,
                                    .table_address = 0x480000};

    assert_int_equal(lift_at(0x401000, code, sizeof code, &table)->end.kind, IR_T_SWITCH);
    table.table_address = 0x402006;
    assert_int_equal(lift_at(0x401000, no_table, sizeof no_table, &table)->end.kind, IR_T_JUMP_INDIRECT);
}

/* --- any bytes --- */

static void
lift_everywhere(const uint8_t *bytes, size_t size, uint64_t address, size_t stride)
{
    struct err e;

    for (size_t at = 0; at < size;) {
        struct lift_request r = {
            .bytes = bytes + at,
            .size = size - at,
            .address = address + at,
            .max_insns = 40,
        };
        const struct ir_block *b;

        ir_func_clear(&func, r.address);
        lift_block(&build, &r);
        b = &func.blocks.items[0];
        if (b->end.kind == IR_T_NONE || ir_verify(&func, &e) != 0) {
            ir_print(&func, stderr);
            fail_msg("at %#llx: %s", (unsigned long long)r.address, e.text);
        }
        at += stride != 0 ? stride : b->size != 0 ? b->size : 1;
    }
}

static void
test_random_bytes(void **state)
{
    static uint8_t bytes[100000];
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < sizeof bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)(x >> 32);
    }
    lift_everywhere(bytes, sizeof bytes, 0x1000, 3);
}

static void
test_libc(void **state)
{
    FILE *in = fopen("/lib/x86_64-linux-gnu/libc.so.6", "rb");
    struct elf_image image;
    struct err e;
    uint8_t *data;
    long size;

    if (in == NULL)
        skip();
    fseek(in, 0, SEEK_END);
    size = ftell(in);
    rewind(in);
    data = malloc((size_t)size);
    assert_int_equal(fread(data, 1, (size_t)size, in), size);
    fclose(in);
    assert_int_equal(elf_image_open(&image, data, (uint64_t)size, &e), 0);
    for (size_t i = 0; i < image.exec_sections.count; i++) {
        struct elf_range *r = &image.exec_sections.items[i];
        uint64_t left;
        const uint8_t *bytes = elf_image_at(&image, r->start, &left);

        if (bytes != NULL)
            lift_everywhere(bytes, left < r->end - r->start ? left : r->end - r->start, r->start, 0);
    }
    elf_image_close(&image);
    free(data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_and_branch), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_division),           cmocka_unit_test(test_locked),
        cmocka_unit_test(test_insn_limit),         cmocka_unit_test(test_relative_table),
        cmocka_unit_test(test_guarded_table),      cmocka_unit_test(test_absolute_table),
        cmocka_unit_test(test_random_bytes),       cmocka_unit_test(test_libc),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
