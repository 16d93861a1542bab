/* What the hardware oracle cannot run: exceptions pending for the next waiting instruction, state areas, and that
 * values which processors do not share are the same on every host. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ir/helper_functions.h"
#include "x86/x87_internal.h"

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

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x9e3779b97f4a7c15);
}

/* Any exponent, with a taste for ordinary ones and both ends; short and long mantissas. */
static struct x86_x87_reg
random_operand(uint64_t *state)
{
    uint64_t r = next_random(state), ends = r >> 8 & 63;
    struct x86_x87_reg v = {.mantissa = next_random(state) | UINT64_C(1) << 63};

    switch (r & 7) {
    case 0: v.sign_exponent = (uint16_t)(r >> 16 & 0x7fff); break;
    case 1: v.sign_exponent = (uint16_t)ends; break;
    case 2: v.sign_exponent = (uint16_t)(0x7ffe - ends); break;
    default: v.sign_exponent = (uint16_t)(16383 - 63 + (r >> 8 & 127)); break;
    }
    if (r & 0x8000)
        v.mantissa &= UINT64_MAX << (r >> 32 & 63) | UINT64_C(1) << 63;
    v.sign_exponent |= (uint16_t)(r >> 48 & 0x8000);
    return v;
}

static void
functions_have_one_value_on_every_host(void **unused)
{
    /* clang-format off */
    static const struct {
        unsigned op;
        bool two;
        uint64_t sum;
    } cases[] = {
        {X87_SIN, false, 0x3b095f470c7e830c},
        {X87_COS, false, 0x63e785fc9a07b106},
        {X87_SINCOS, false, 0x06cf97b35f58f8f5},
        {X87_PTAN, false, 0xc061eda23d40056b},
        {X87_PATAN, true, 0x8682f1c7a1f12b2e},
        {X87_2XM1, false, 0xab1f9392be18d251},
        {X87_YL2X, true, 0xe9b03d369caff59f},
        {X87_YL2XP1, true, 0xeabe3aa41138bf08},
        {X87_PREM, true, 0xd2bff4111fc68301},
        {X87_PREM1, true, 0x68066a6e3becd312},
    };
    /* clang-format on */

    /* The sums are those of the first host: of gcc and clang, at any level. */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t state = 88172645463325252, sum = 0;

        for (unsigned n = 0; n < 20000; n++) {
            struct x86_x87_reg a = random_operand(&state), b = random_operand(&state);
            struct x87_result out = {.control = (uint16_t)(X87_CONTROL_DEFAULT | (n & 3) << 10)};

            if (x87_function(cases[i].op, &a, cases[i].two ? &b : NULL, &out))
                sum = sum * 31 + out.first.mantissa + out.first.sign_exponent + out.second.mantissa + out.status;
        }
        assert_int_equal(sum, cases[i].sum);
    }
}

static double
approximate(unsigned what, float x)
{
    uint32_t bits;

    memcpy(&bits, &x, 4);
    helper_sse_approximate(what, bits, 0);
    return x86_cpu_tls.xmm[0].f32[0];
}

static void
approximations_keep_their_error(void **unused)
{
    for (unsigned i = 0; i < 4 * 4096; i++) { /* both ends of each interval, from 1 to 4 and below */
        float x = ldexpf(1 + (float)(i % 4096) / 4096, (int)(i / 4096) - 2);

        for (unsigned end = 0; end < 2; end++, x = nextafterf(x + x / 4096, 0)) {
            assert_true(fabs(approximate(SSE_RCPSS, x) * x - 1) <= 1.5 / 4096);
            assert_true(fabs(approximate(SSE_RSQRTSS, x) * sqrt(x) - 1) <= 1.5 / 4096);
        }
    }
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
        cmocka_unit_test_setup(functions_have_one_value_on_every_host, setup),
        cmocka_unit_test_setup(approximations_keep_their_error, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
