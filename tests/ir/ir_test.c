/* The builder's folding and forwarding, dead code, and flag liveness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ir/ir.h"
#include "ir/worklist.h"

struct fixture {
    struct ir_func f;
    struct ir_build b;
};

static void
start(struct fixture *x)
{
    ir_func_init(&x->f, 0x1000);
    ir_build_init(&x->b, &x->f);
    ir_begin_block(&x->b, 0x1000);
}

static void
stop(struct fixture *x)
{
    ir_build_fini(&x->b);
    ir_func_fini(&x->f);
}

static void
end(struct fixture *x, struct ir_terminator t)
{
    ir_end_block(&x->b, &t, 1, 1);
}

static void
folds_constants(void **state)
{
    struct fixture x;
    struct ir_build *b = &x.b;
    uint64_t c;
    ir_value rax;

    start(&x);
    assert_true(ir_is_const(b, ir_op2(b, IR_ADD32, ir_const32(b, UINT32_MAX), ir_const32(b, 2)), &c));
    assert_int_equal(c, 1);
    assert_true(ir_is_const(b, ir_op2(b, IR_SHRS64, ir_const64(b, UINT64_MAX << 8), ir_const64(b, 4)), &c));
    assert_int_equal(c, UINT64_MAX << 4);
    assert_false(ir_is_const(b, ir_op2(b, IR_DIVU64, ir_const64(b, 1), ir_const64(b, 0)), &c));
    rax = ir_get(b, X86_S_RAX);
    assert_int_equal(ir_op2(b, IR_ADD64, rax, ir_const64(b, 0)), rax);
    assert_true(ir_is_const(b, ir_op2(b, IR_XOR64, rax, rax), &c));
    assert_int_equal(ir_op1(b, IR_WRAP, ir_op1(b, IR_EXTU, ir_op1(b, IR_WRAP, rax))), ir_op1(b, IR_WRAP, rax));
    /* rax + 8 - 8 */
    assert_int_equal(ir_op2(b, IR_SUB64, ir_op2(b, IR_ADD64, rax, ir_const64(b, 8)), ir_const64(b, 8)), rax);
    assert_int_equal(ir_def(b, ir_op1(b, IR_EQZ32, ir_op2(b, IR_LTS64, rax, ir_const64(b, 5))))->op, IR_GES64);
    stop(&x);
}

static void
forwards_states(void **state)
{
    struct fixture x;
    struct ir_build *b = &x.b;
    ir_value v, load, address;

    start(&x);
    v = ir_const64(b, 7);
    ir_set(b, X86_S_RAX, v);
    assert_int_equal(ir_get(b, X86_S_RAX), v);
    ir_set(b, X86_S_TMP0, v);
    ir_helper(b, IR_HELPER_cpuid, ir_const32(b, 0), ir_const32(b, 0), IR_NO_VALUE);
    assert_int_equal(ir_get(b, X86_S_RAX), v);
    assert_int_not_equal(ir_get(b, X86_S_TMP0), v);
    address = ir_op1(b, IR_WRAP, ir_get(b, X86_S_RBX));
    load = ir_load(b, IR_LOAD64, address, 0);
    assert_int_equal(ir_load(b, IR_LOAD64, address, 0), load);
    assert_int_not_equal(ir_load(b, IR_LOAD64, address, 8), load);
    assert_int_not_equal(ir_load(b, IR_LOAD64, address, 0), load); /* a thread may see the two places change in order */
    load = ir_load(b, IR_LOAD64, address, 0);
    ir_store(b, IR_STORE64, address, 8, v);
    assert_int_not_equal(ir_load(b, IR_LOAD64, address, 0), load);
    stop(&x);
}

static bool
sets(const struct ir_func *f, unsigned s)
{
    for (size_t i = 0; i < f->ops.count; i++) {
        if (f->ops.items[i].op == IR_SET && f->ops.items[i].aux == s)
            return true;
    }
    return false;
}

/* A loop that keeps CF when a count is zero, and nobody reads CF: all of it goes. DF stays. */
static bool
always(void *context, uint64_t function)
{
    return true;
}

static void
removes_dead_flags(void **state)
{
    static const struct ir_flag_facts nobody;
    struct ir_pipeline p = {.flags = &nobody, .verify = true};
    struct fixture x;
    struct ir_build *b = &x.b;
    struct err e = {0};
    ir_value n;

    start(&x);
    n = ir_op1(b, IR_WRAP, ir_get(b, X86_S_RCX));
    ir_set(b, X86_S_CF, ir_op3(b, IR_SELECT32, ir_get(b, X86_S_CF), ir_const32(b, 1), n));
    ir_set(b, X86_S_DF, ir_const32(b, 0));
    end(&x, (struct ir_terminator){.kind = IR_T_BRANCH, .value = n, .target = 0x1000, .next = 0x1010});
    ir_begin_block(b, 0x1010);
    end(&x, (struct ir_terminator){.kind = IR_T_RETURN, .value = ir_get(b, X86_S_RAX)});
    assert_int_equal(ir_optimize(&x.f, &p, &e), 0);
    assert_false(sets(&x.f, X86_S_CF));
    assert_true(sets(&x.f, X86_S_DF));
    stop(&x);
}

static void
keeps_flags_that_are_read(void **state)
{
    static const struct ir_flag_facts facts = {.live_at_return = always};
    struct ir_pipeline p = {.flags = &facts, .verify = true};
    struct fixture x;
    struct ir_build *b = &x.b;
    struct err e = {0};
    uint8_t live[1];

    start(&x);
    ir_set(b, X86_S_CF, ir_const32(b, 1));
    ir_set(b, X86_S_RAX, ir_op1(b, IR_EXTU, ir_get(b, X86_S_ZF)));
    end(&x, (struct ir_terminator){.kind = IR_T_RETURN, .value = ir_get(b, X86_S_RBX)});
    ir_flags_live_in(&x.f, live);
    assert_int_equal(live[0], 1 << X86_FLAG_ZF);
    assert_int_equal(ir_optimize(&x.f, &p, &e), 0);
    assert_true(sets(&x.f, X86_S_CF));
    stop(&x);
}

/* Blocks of a function: their number of SETs of the stack's end. */
static unsigned
stack_writes(const struct ir_func *f, unsigned block)
{
    const struct ir_block *b = &f->blocks.items[block];
    unsigned count = 0;

    for (uint32_t i = b->first_op; i < b->first_op + b->op_count; i++)
        count += f->ops.items[i].op == IR_SET && f->ops.items[i].aux == X86_S_STACK;
    return count;
}

static void
move_stack(struct ir_build *b, int64_t by)
{
    ir_set(b, X86_S_RSP, ir_op2(b, IR_ADD64, ir_get(b, X86_S_RSP), ir_const64(b, (uint64_t)by)));
}

/* A frame, a call, and the frame given back; `frame` 0: none. */
static void
make_function(struct fixture *x, int64_t frame, bool calls)
{
    struct ir_build *b = &x->b;

    start(x);
    if (frame)
        move_stack(b, -frame);
    if (calls)
        move_stack(b, -8);
    end(x, (struct ir_terminator){.kind = calls ? IR_T_CALL : IR_T_JUMP,
                                  .target = calls ? 0x9000 : 0x1010,
                                  .next = 0x1010});
    ir_begin_block(b, 0x1010);
    move_stack(b, frame + 8);
    end(x, (struct ir_terminator){.kind = IR_T_RETURN, .value = ir_get(b, X86_S_RAX)});
}

static void
tells_where_the_stack_ends(void **state)
{
    static const struct {
        int64_t frame;
        bool calls;
        unsigned writes[2];
    } cases[] = {
        {0, false, {0, 0}}, {24, false, {0, 0}},     {X86_STACK_LAG, false, {0, 0}}, {X86_STACK_LAG + 8, false, {1, 1}},
        {0, true, {1, 0}}, /* or recursion would get away from it */
        {24, true, {1, 1}}, {1 << 20, true, {1, 1}},
    };
    struct ir_pipeline p = {.verify = true};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        struct err e = {0};

        make_function(&x, cases[i].frame, cases[i].calls);
        assert_int_equal(ir_optimize(&x.f, &p, &e), 0);
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(stack_writes(&x.f, k), cases[i].writes[k]);
        stop(&x);
    }
}

/* Many pushes in one block, and a stack pointer from elsewhere. */
static void
tells_it_in_time(void **state)
{
    struct ir_pipeline p = {.verify = true};
    struct fixture x;
    struct err e = {0};

    start(&x);
    for (unsigned i = 0; i < 100; i++)
        move_stack(&x.b, -8);
    move_stack(&x.b, 808);
    end(&x, (struct ir_terminator){.kind = IR_T_RETURN, .value = ir_get(&x.b, X86_S_RAX)});
    assert_int_equal(ir_optimize(&x.f, &p, &e), 0);
    assert_int_equal(stack_writes(&x.f, 0), 800 / (X86_STACK_LAG + 8) + 1);
    stop(&x);
    start(&x);
    ir_set(&x.b, X86_S_RSP, ir_get(&x.b, X86_S_RBP));
    move_stack(&x.b, 16);
    end(&x, (struct ir_terminator){.kind = IR_T_RETURN, .value = ir_get(&x.b, X86_S_RAX)});
    assert_int_equal(ir_optimize(&x.f, &p, &e), 0);
    assert_int_equal(stack_writes(&x.f, 0), 1);
    stop(&x);
}

static void
verifies(void **state)
{
    struct fixture x;
    struct err e = {0};
    ir_value v;

    start(&x);
    v = ir_get(&x.b, X86_S_RAX);
    end(&x, (struct ir_terminator){.kind = IR_T_BRANCH, .value = v, .target = 0x1000, .next = 0x1000});
    assert_true(ir_verify(&x.f, &e) < 0); /* i64 where i32 belongs */
    x.f.blocks.items[0].end.kind = IR_T_RETURN;
    assert_int_equal(ir_verify(&x.f, &e), 0);
    x.f.blocks.items[0].end.value = 99;
    assert_true(ir_verify(&x.f, &e) < 0);
    stop(&x);
}

static void
takes(struct ir_worklist *l, uint32_t expected)
{
    uint32_t number = 0;

    assert_true(ir_worklist_take(l, &number));
    assert_int_equal(number, expected);
}

static void
takes_in_order(void **state)
{
    struct ir_worklist l;
    uint32_t number;

    for (int highest = 0; highest < 2; highest++) {
        ir_worklist_init(&l, 200, highest);
        assert_false(ir_worklist_take(&l, &number));
        ir_worklist_put(&l, 64);
        ir_worklist_put(&l, 63);
        ir_worklist_put(&l, 199);
        ir_worklist_put(&l, 63); /* once */
        takes(&l, highest ? 199 : 63);
        takes(&l, 64);
        ir_worklist_put(&l, highest ? 128 : 0); /* before what was taken last, in this order */
        takes(&l, highest ? 128 : 0);
        takes(&l, highest ? 63 : 199);
        assert_false(ir_worklist_take(&l, &number));
        ir_worklist_fini(&l);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_constants),    cmocka_unit_test(forwards_states),
        cmocka_unit_test(removes_dead_flags), cmocka_unit_test(keeps_flags_that_are_read),
        cmocka_unit_test(takes_in_order),     cmocka_unit_test(tells_where_the_stack_ends),
        cmocka_unit_test(tells_it_in_time),   cmocka_unit_test(verifies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
