/* What the hardware oracle cannot run: exceptions pending for the next waiting instruction, and state areas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/helper_codes.h"
#include "x86/helpers.h"

__thread struct x86_cpu x86_cpu_tls;
__thread uint8_t *x86_memory_tls;

static uint8_t memory[4096] __attribute__((aligned(64)));
static jmp_buf raised;
static unsigned raised_vector;
static uint64_t raised_pc;

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    raised_vector = vector;
    raised_pc = pc;
    longjmp(raised, 1);
}

void
x86_mxcsr_loaded(uint64_t pc)
{
}

void
x86_collect_mxcsr(void)
{
}

uint64_t
x86_random(void)
{
    return 0x123456789abcdef0;
}

void helper_x87_unary(uint32_t code, uint64_t pc);
void helper_x87_arith(uint32_t code, uint64_t pc);
void helper_x87_load(uint32_t code, uint32_t address, uint64_t pc);
void helper_x87_store(uint32_t code, uint32_t address, uint64_t pc);
void helper_x87_control(uint32_t op, uint32_t address, uint64_t pc);
void helper_x87_stack(uint32_t op, uint32_t i, uint64_t pc);
void helper_x87_state(uint32_t op, uint32_t address, uint64_t pc);
uint32_t helper_x87_status(void);
void helper_fxsave(uint32_t wide, uint32_t address, uint64_t pc);
void helper_fxrstor(uint32_t wide, uint32_t address, uint64_t pc);
void helper_xsave(uint32_t code, uint32_t address, uint64_t pc);
void helper_xrstor(uint32_t code, uint32_t address, uint64_t pc);
void helper_ldmxcsr(uint32_t v, uint64_t pc);
void helper_mmx_enter(uint32_t mask, uint64_t pc);
void helper_emms(uint64_t pc);

static int
setup(void **state)
{
    x86_memory_tls = memory;
    memset(memory, 0, sizeof memory);
    x86_cpu_reset(&x86_cpu_tls);
    raised_vector = 0;
    return 0;
}

static void
unmasked_zero_divide_is_raised_by_the_next_waiting_instruction(void **state)
{
    struct x86_x87 *f = &x86_cpu_tls.x87;
    uint16_t control = 0x37b;
    memcpy(memory, &control, 2);
    helper_x87_control(X87_LDCW, 0, 1);
    helper_x87_unary(X87_LDZ, 2);
    helper_x87_unary(X87_LD1, 3);
    struct x86_x87 before = *f;
    helper_x87_arith(X87_DIV | X87_DST(0) | X87_SRC(1), 4); /* 1 / 0 */
    assert_int_equal(helper_x87_status() & 0x80ff, 0x8084);
    assert_memory_equal(f->r, before.r, sizeof f->r);
    helper_x87_control(X87_STSW, 16, 5); /* does not wait */
    if (setjmp(raised) == 0) {
        helper_x87_stack(X87_FWAIT, 0, 6);
        fail();
    }
    assert_int_equal(raised_vector, 16);
    assert_int_equal(raised_pc, 6);
    helper_x87_stack(X87_FNCLEX, 0, 7);
    helper_x87_stack(X87_FWAIT, 0, 8);
    assert_int_equal(helper_x87_status() & 0x80ff, 0);
}

static void
unmasking_a_sticky_flag_makes_it_pending(void **state)
{
    uint16_t control = 0x37b;
    helper_x87_unary(X87_LDZ, 1);
    helper_x87_unary(X87_LD1, 2);
    helper_x87_arith(X87_DIV | X87_DST(0) | X87_SRC(1), 3);
    assert_int_equal(helper_x87_status() & 0x80ff, 0x04);
    memcpy(memory, &control, 2);
    helper_x87_control(X87_LDCW, 0, 4);
    assert_int_equal(helper_x87_status() & 0x80ff, 0x8084);
}

static void
save_areas_round_trip(void **state)
{
    struct x86_cpu *cpu = &x86_cpu_tls;
    helper_x87_unary(X87_LDPI, 1);
    helper_x87_unary(X87_LDL2E, 2);
    for (unsigned i = 0; i < 16; i++)
        cpu->xmm[i].u64[0] = cpu->xmm[i].u64[1] = 0x0101010101010101 * i;
    cpu->mxcsr = 0x3f80;
    struct x86_cpu saved = *cpu;
    helper_fxsave(1, 512, 3);
    helper_xsave(0x103, 1024, 3);
    helper_x87_state(X87_SAVE, 0, 4);
    assert_int_equal(cpu->x87.tag_valid, 0);
    helper_x87_state(X87_RSTOR, 0, 5);
    assert_memory_equal(cpu->x87.r, saved.x87.r, sizeof saved.x87.r);
    assert_int_equal(cpu->x87.tag_valid, saved.x87.tag_valid);
    for (unsigned k = 0; k < 2; k++) {
        x86_cpu_reset(cpu);
        if (k == 0)
            helper_fxrstor(1, 512, 6);
        else
            helper_xrstor(0x103, 1024, 6);
        assert_memory_equal(cpu->x87.r, saved.x87.r, sizeof saved.x87.r);
        assert_int_equal(cpu->x87.top, 6);
        assert_int_equal(cpu->x87.tag_valid, 0xc0);
        assert_memory_equal(cpu->xmm, saved.xmm, sizeof saved.xmm);
        assert_int_equal(cpu->mxcsr & ~0x3fu, 0x3f80);
    }
}

static void
reserved_mxcsr_bits_are_refused(void **state)
{
    if (setjmp(raised) == 0) {
        helper_ldmxcsr(0x11f80, 9);
        fail();
    }
    assert_int_equal(raised_vector, 13);
    assert_int_equal(x86_cpu_tls.mxcsr, 0x1f80);
}

static void
mmx_takes_over_the_stack(void **state)
{
    struct x86_x87 *f = &x86_cpu_tls.x87;
    helper_x87_unary(X87_LD1, 1);
    helper_mmx_enter(1 << 3, 2);
    assert_int_equal(f->top, 0);
    assert_int_equal(f->tag_valid, 0xff);
    assert_int_equal(f->r[3].sign_exponent, 0xffff);
    assert_int_equal(f->r[7].sign_exponent, 0x3fff);
    helper_emms(3);
    assert_int_equal(f->tag_valid, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(unmasked_zero_divide_is_raised_by_the_next_waiting_instruction, setup),
        cmocka_unit_test_setup(unmasking_a_sticky_flag_makes_it_pending, setup),
        cmocka_unit_test_setup(save_areas_round_trip, setup),
        cmocka_unit_test_setup(reserved_mxcsr_bits_are_refused, setup),
        cmocka_unit_test_setup(mmx_takes_over_the_stack, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
