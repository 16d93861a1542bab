/* Writes one code object per case into a directory; run.mjs runs them under V8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/object.h"

static struct ir_func f;
static struct ir_build b;

static void
begin(uint64_t address)
{
    ir_func_clear(&f, address);
}

static void
end_return(void)
{
    ir_value sp = ir_get(&b, X86_S_RSP);
    ir_value pc = ir_load(&b, IR_LOAD64, ir_op1(&b, IR_WRAP, sp), 0);
    struct ir_terminator t = {.kind = IR_T_RETURN, .value = pc};

    ir_set(&b, X86_S_RSP, ir_op2(&b, IR_ADD64, sp, ir_const64(&b, 8)));
    ir_end_block(&b, &t, 1, 1);
}

static void
end_jump(uint64_t target)
{
    struct ir_terminator t = {.kind = IR_T_JUMP, .target = target};

    ir_end_block(&b, &t, 1, 1);
}

static void
end_branch(ir_value v, uint64_t target, uint64_t next)
{
    struct ir_terminator t = {.kind = IR_T_BRANCH, .value = v, .target = target, .next = next};

    ir_end_block(&b, &t, 1, 1);
}

static void
push_address(uint64_t address)
{
    ir_value sp = ir_op2(&b, IR_SUB64, ir_get(&b, X86_S_RSP), ir_const64(&b, 8));

    ir_store(&b, IR_STORE64, ir_op1(&b, IR_WRAP, sp), 0, ir_addr(&b, address));
    ir_set(&b, X86_S_RSP, sp);
}

static void
end_call(uint64_t target, uint64_t next)
{
    struct ir_terminator t = {.kind = IR_T_CALL, .target = target, .next = next};

    push_address(next);
    ir_end_block(&b, &t, 1, 1);
}

static void
add_imm(unsigned s, int64_t v)
{
    ir_set(&b, s, ir_op2(&b, IR_ADD64, ir_get(&b, s), ir_const64(&b, (uint64_t)v)));
}

static struct wasm_object *o;

static void
add(void)
{
    static const struct ir_flag_facts facts;
    struct ir_pipeline p = {.flags = &facts, .verify = true};
    struct err e = {0};

    if (ir_optimize(&f, &p, &e) < 0 || wasm_object_add(o, &f, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    if (getenv("PRINT") != NULL)
        ir_print(&f, stderr);
}

static void
declare(uint64_t address, const uint64_t *entries, size_t count)
{
    wasm_object_declare(o, address, entries, count);
}

static void
finish(const char *dir, const char *name)
{
    char path[512];
    struct buf out = {0};
    struct err e = {0};
    FILE *file;

    if (wasm_object_finish(o, &out, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    snprintf(path, sizeof path, "%s/%s.wasm", dir, name);
    file = fopen(path, "wb");
    if (file == NULL || fwrite(out.data, 1, out.size, file) != out.size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
    buf_fini(&out);
    wasm_object_free(o);
}

/* rax = sum of 1..rdi, counted in r12 and xmm0's low half */
static void
emit_loop(void)
{
    declare(0x1000, NULL, 0);
    begin(0x1000);
    ir_begin_block(&b, 0x1000);
    ir_set(&b, X86_S_R12, ir_const64(&b, 0));
    ir_set(&b, X86_S_XMM0, ir_constv(&b, 0, 0));
    end_jump(0x1010);
    ir_begin_block(&b, 0x1010);
    end_branch(ir_op1(&b, IR_EQZ64, ir_get(&b, X86_S_RDI)), 0x1030, 0x1020);
    ir_begin_block(&b, 0x1020);
    ir_set(&b, X86_S_R12, ir_op2(&b, IR_ADD64, ir_get(&b, X86_S_R12), ir_get(&b, X86_S_RDI)));
    ir_set(&b, X86_S_XMM0,
           ir_op2(&b, IR_I64X2_ADD, ir_get(&b, X86_S_XMM0), ir_op1(&b, IR_I64X2_SPLAT, ir_get(&b, X86_S_RDI))));
    add_imm(X86_S_RDI, -1);
    end_jump(0x1010);
    ir_begin_block(&b, 0x1030);
    ir_set(&b, X86_S_RAX, ir_op_aux(&b, IR_I64X2_EXTRACT, 1, ir_get(&b, X86_S_XMM0), IR_NO_VALUE, IR_NO_VALUE));
    end_return();
    add();
}

/* rax = fib(rdi), recursive; callee-saved in rbx, rbp and r12 through the stack */
static void
emit_fib(void)
{
    declare(0x2000, NULL, 0);
    begin(0x2000);
    ir_begin_block(&b, 0x2000);
    ir_set(&b, X86_S_RAX, ir_get(&b, X86_S_RDI));
    end_branch(ir_op2(&b, IR_LTU64, ir_get(&b, X86_S_RDI), ir_const64(&b, 2)), 0x2040, 0x2010);
    ir_begin_block(&b, 0x2010);
    add_imm(X86_S_RSP, -16);
    ir_store(&b, IR_STORE64, ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RSP)), 0, ir_get(&b, X86_S_R12));
    ir_store(&b, IR_STORE64, ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RSP)), 8, ir_get(&b, X86_S_RBX));
    ir_set(&b, X86_S_R12, ir_get(&b, X86_S_RDI));
    add_imm(X86_S_RDI, -1);
    end_call(0x2000, 0x2020);
    ir_begin_block(&b, 0x2020);
    ir_set(&b, X86_S_RBX, ir_get(&b, X86_S_RAX));
    ir_set(&b, X86_S_RDI, ir_op2(&b, IR_SUB64, ir_get(&b, X86_S_R12), ir_const64(&b, 2)));
    end_call(0x2000, 0x2030);
    ir_begin_block(&b, 0x2030);
    ir_set(&b, X86_S_RAX, ir_op2(&b, IR_ADD64, ir_get(&b, X86_S_RAX), ir_get(&b, X86_S_RBX)));
    ir_set(&b, X86_S_R12, ir_load(&b, IR_LOAD64, ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RSP)), 0));
    ir_set(&b, X86_S_RBX, ir_load(&b, IR_LOAD64, ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RSP)), 8));
    add_imm(X86_S_RSP, 16);
    end_jump(0x2040);
    ir_begin_block(&b, 0x2040);
    end_return();
    add();
}

/* rax by a table on rdi: 10, 20, 30; out of range: jump to rsi */
static void
emit_switch(void)
{
    struct ir_terminator t = {.kind = IR_T_SWITCH, .next = IR_NO_ADDRESS, .target_count = 4};
    uint64_t targets[] = {0x3010, 0x3020, 0x3030, 0x3010};

    declare(0x3000, NULL, 0);
    begin(0x3000);
    ir_begin_block(&b, 0x3000);
    t.targets = arena_copy(&f.arena, targets, sizeof targets);
    t.value = ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RDI));
    t.indirect = ir_get(&b, X86_S_RSI);
    ir_end_block(&b, &t, 1, 1);
    for (unsigned i = 0; i < 3; i++) {
        ir_begin_block(&b, 0x3010 + 16 * i);
        ir_set(&b, X86_S_RAX, ir_const64(&b, 10 * (i + 1)));
        if (i == 1)
            end_jump(0x3030); /* falls into the third case */
        else
            end_return();
    }
    add();
}

/* an irreducible loop: enters at the second block when rsi != 0; rax counts blocks run */
static void
emit_irreducible(void)
{
    declare(0x4000, NULL, 0);
    begin(0x4000);
    ir_begin_block(&b, 0x4000);
    ir_set(&b, X86_S_RAX, ir_const64(&b, 0));
    end_branch(ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RSI)), 0x4020, 0x4010);
    ir_begin_block(&b, 0x4010);
    add_imm(X86_S_RAX, 1);
    end_jump(0x4020);
    ir_begin_block(&b, 0x4020);
    add_imm(X86_S_RAX, 100);
    add_imm(X86_S_RDI, -1);
    end_branch(ir_op1(&b, IR_EQZ64, ir_get(&b, X86_S_RDI)), 0x4030, 0x4010);
    ir_begin_block(&b, 0x4030);
    end_return();
    add();
}

/* two entries: the second is a loop header inside; a call that may come back elsewhere */
static void
emit_entries(void)
{
    uint64_t entries[] = {0x5000, 0x5010};

    declare(0x5000, entries, 2);
    begin(0x5000);
    ir_begin_block(&b, 0x5000)->entry = true;
    ir_set(&b, X86_S_RAX, ir_const64(&b, 1000));
    end_jump(0x5010);
    ir_begin_block(&b, 0x5010)->entry = true;
    add_imm(X86_S_RAX, 1);
    add_imm(X86_S_RDI, -1);
    ir_set(&b, X86_S_CF, ir_op1(&b, IR_EQZ64, ir_get(&b, X86_S_RDI)));
    end_branch(ir_get(&b, X86_S_CF), 0x5020, 0x5010);
    ir_begin_block(&b, 0x5020);
    end_return();
    add();
}

/* an interpreter: bytes at rsi: 0 halt, 1 add 1, 2 double, 3 negate; each handler dispatches by itself through
 * the table at rdx */
static void
interpreter_dispatch(void)
{
    ir_value p = ir_get(&b, X86_S_RSI);
    ir_value op = ir_load(&b, IR_LOAD8U64, ir_op1(&b, IR_WRAP, p), 0);
    ir_value at = ir_op2(&b, IR_ADD64, ir_get(&b, X86_S_RDX), ir_op2(&b, IR_SHL64, op, ir_const64(&b, 3)));
    struct ir_terminator t = {.kind = IR_T_JUMP_INDIRECT};

    t.value = ir_load(&b, IR_LOAD64, ir_op1(&b, IR_WRAP, at), 0);
    ir_set(&b, X86_S_RSI, ir_op2(&b, IR_ADD64, p, ir_const64(&b, 1)));
    ir_end_block(&b, &t, 1, 1);
}

static void
begin_label(uint64_t address)
{
    struct ir_block *block = ir_begin_block(&b, address);

    block->entry = block->label = true;
}

static void
emit_interpreter(void)
{
    uint64_t entries[] = {0x6000, 0x6010, 0x6020, 0x6030, 0x6040};

    declare(0x6000, entries, 5);
    begin(0x6000);
    ir_begin_block(&b, 0x6000)->entry = true;
    ir_set(&b, X86_S_R12, ir_const64(&b, 5));
    interpreter_dispatch();
    begin_label(0x6010);
    ir_set(&b, X86_S_RAX, ir_get(&b, X86_S_R12));
    end_return();
    begin_label(0x6020);
    add_imm(X86_S_R12, 1);
    interpreter_dispatch();
    begin_label(0x6030);
    ir_set(&b, X86_S_R12, ir_op2(&b, IR_MUL64, ir_get(&b, X86_S_R12), ir_const64(&b, 2)));
    interpreter_dispatch();
    begin_label(0x6040);
    ir_set(&b, X86_S_R12, ir_op2(&b, IR_SUB64, ir_const64(&b, 0), ir_get(&b, X86_S_R12)));
    interpreter_dispatch();
    add();
}

/* indirect call to rdi, then rax + 1; a system call; truncations, atomics, high products and a trap by rdi */
static void
emit_calls(void)
{
    struct ir_terminator t = {.kind = IR_T_CALL_INDIRECT, .next = 0x7010};
    struct ir_terminator s = {.kind = IR_T_SYSCALL, .next = 0x7110};
    struct ir_terminator trap = {.kind = IR_T_TRAP, .trap = IR_TRAP_UD, .target = 0x7200};
    ir_value v, a;

    declare(0x7000, NULL, 0);
    declare(0x7100, NULL, 0);
    declare(0x7200, NULL, 0);
    declare(0x7300, NULL, 0);
    begin(0x7000);
    ir_begin_block(&b, 0x7000);
    push_address(0x7010);
    t.value = ir_get(&b, X86_S_RDI);
    ir_end_block(&b, &t, 1, 1);
    ir_begin_block(&b, 0x7010);
    add_imm(X86_S_RAX, 1);
    end_return();
    add();

    begin(0x7100);
    ir_begin_block(&b, 0x7100);
    ir_set(&b, X86_S_R12, ir_const64(&b, 77));
    ir_end_block(&b, &s, 1, 1);
    ir_begin_block(&b, 0x7110);
    ir_set(&b, X86_S_RAX, ir_op2(&b, IR_ADD64, ir_get(&b, X86_S_RAX), ir_get(&b, X86_S_R12)));
    end_return();
    add();

    begin(0x7200);
    ir_begin_block(&b, 0x7200);
    ir_end_block(&b, &trap, 1, 1);
    add();

    begin(0x7300); /* rdi: double bits; rsi: address */
    ir_begin_block(&b, 0x7300);
    v = ir_op1(&b, IR_REINTERPRET_F64_I64, ir_get(&b, X86_S_RDI));
    ir_set(&b, X86_S_RAX, ir_op1(&b, IR_CVTTSD2SI64, v));
    ir_set(&b, X86_S_RCX, ir_op1(&b, IR_EXTU, ir_op1(&b, IR_CVTTSD2SI32, v)));
    a = ir_op1(&b, IR_WRAP, ir_get(&b, X86_S_RSI));
    ir_set(&b, X86_S_R8, ir_op_aux(&b, IR_ATOMIC_ADD, 4, a, ir_const64(&b, 3), IR_NO_VALUE));
    ir_set(&b, X86_S_R9, ir_op_aux(&b, IR_ATOMIC_CMPXCHG, 1, a, ir_const64(&b, 8), ir_const64(&b, 0x55)));
    ir_set(&b, X86_S_RDX, ir_op2(&b, IR_MULHU64, ir_get(&b, X86_S_RDI), ir_get(&b, X86_S_RDI)));
    /* a load that must not move past the store after it */
    v = ir_load(&b, IR_LOAD64, a, 8);
    ir_store(&b, IR_STORE64, a, 8, ir_const64(&b, 1));
    ir_set(&b, X86_S_RBX, v);
    /* exchange rbp and rdi through values */
    v = ir_get(&b, X86_S_RBP);
    ir_set(&b, X86_S_RBP, ir_get(&b, X86_S_RDI));
    ir_set(&b, X86_S_RDI, v);
    end_return();
    add();
}

/* a chain of 3000 conditional exits, then a diamond of shared labels */
static void
emit_chain(void)
{
    enum { N = 3000 };

    declare(0x10000, NULL, 0);
    begin(0x10000);
    for (unsigned i = 0; i < N; i++) {
        ir_begin_block(&b, 0x10000 + 16 * i);
        end_branch(ir_op2(&b, IR_EQ64, ir_get(&b, X86_S_RDI), ir_const64(&b, i)), 0x40000 + 16 * i,
                   i + 1 < N ? 0x10000 + 16 * (i + 1) : 0x40000);
    }
    for (unsigned i = 0; i < N; i++) {
        ir_begin_block(&b, 0x40000 + 16 * i);
        ir_set(&b, X86_S_RAX, ir_const64(&b, i * 7));
        if (i % 5 == 4)
            end_jump(0x40000 + 16 * (i % 50));
        else
            end_return();
    }
    add();
}

int
main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    ir_func_init(&f, 0);
    ir_build_init(&b, &f);
    /* clang-format off */
    static const struct { const char *name; void (*emit)(void); bool zero; } cases[] = {
        {"loop", emit_loop, false}, {"fib", emit_fib, true}, {"switch", emit_switch, false},
        {"irreducible", emit_irreducible, false}, {"entries", emit_entries, false},
        {"interpreter", emit_interpreter, false}, {"calls", emit_calls, false}, {"chain", emit_chain, false},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        o = wasm_object_new(cases[i].zero, false);
        cases[i].emit();
        finish(argv[1], cases[i].name);
    }
    ir_build_fini(&b);
    ir_func_fini(&f);
    return 0;
}
