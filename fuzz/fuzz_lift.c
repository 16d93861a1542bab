/* Random bytes as code: lifted, verified, run through the passes, made a code object that must be valid, and evaluated
 * over a small memory. The first bytes choose the level, and how the code is cut into functions and where execution
 * starts. */
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "eval/eval.h"
#include "ir/ir.h"
#include "lift/lift.h"
#include "codegen/object.h"
#include "wasm/reader.h"
#include "x86/helpers.h"
#include "x86/x86.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CODE_AT = 0x400000, DATA_AT = 0x10000, DATA_SIZE = 0x10000, MAX_CODE = 4096, MAX_ROUNDS = 200 };

__thread struct x86_cpu x86_cpu_tls;
__thread uint8_t *x86_memory_tls;

static const uint8_t *code;
static size_t code_size;
static uint8_t *guest;
static sigjmp_buf escape;
static volatile bool evaluating;

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    siglongjmp(escape, 2);
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
    return 4; /* chosen by fair dice roll */
}

/* Only faults of guest accesses are the guest's; all others are findings, left to the sanitizer. */
static void (*sanitizer)(int number, siginfo_t *info, void *context);

static void
on_fault(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr, base = (uintptr_t)guest;

    if (evaluating && (number == SIGFPE || (at >= base && at < base + (UINT64_C(2) << 32))))
        siglongjmp(escape, 1);
    signal(number, SIG_DFL);
    if (sanitizer)
        sanitizer(number, info, context);
}

/* At the first input: libFuzzer sets its own handlers before. */
static void
init(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER}, old;

    guest = mmap(NULL, UINT64_C(2) << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(guest != MAP_FAILED);
    assert(mprotect(guest + DATA_AT, DATA_SIZE, PROT_READ | PROT_WRITE) == 0);
    sigaction(SIGSEGV, &action, &old);
    sanitizer = old.sa_sigaction;
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    x86_memory_tls = guest;
}

/* --- to a code object --- */
static bool
every(void *context, uint64_t address)
{
    return address % 3 != 0;
}

/* Blocks one after the other; the function ends where one does not end before the limit. */
static void
lift_function_at(struct ir_func *f, struct ir_build *b, size_t from, size_t to, bool precise)
{
    ir_func_clear(f, from);
    while (from < to) {
        struct lift_request r = {.bytes = code + from, .size = to - from, .address = from, .precise = precise};

        lift_block(b, &r);
        size_t used = f->blocks.items[f->blocks.count - 1].size;
        from += used ? used : 1;
    }
}

static void
check(int result, const struct err *e)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", e->text);
    abort();
}

static void
compile(unsigned pieces)
{
    static const struct ir_flag_facts facts = {.live_at_return = every, .live_at_entry = every};
    bool precise = pieces & 8;
    struct ir_pipeline pipeline = {.flags = &facts, .verify = true, .precise = precise};
    struct wasm_object *o = wasm_object_new(pieces & 1, precise);
    size_t step = code_size / (1 + pieces / 2 % 4) + 1;
    struct buf module = {0};
    struct wasm_module m;
    struct ir_func f;
    struct ir_build b;
    struct err e = {0};

    for (size_t at = 0; at < code_size; at += step)
        wasm_object_declare(o, at, NULL, 0);
    ir_func_init(&f, 0);
    ir_build_init(&b, &f);
    for (size_t at = 0; at < code_size; at += step) {
        lift_function_at(&f, &b, at, at + step < code_size ? at + step : code_size, precise);
        check(ir_optimize(&f, &pipeline, &e), &e);
        check(wasm_object_add(o, &f, &e), &e);
    }
    check(wasm_object_finish(o, &module, &e), &e);
    check(wasm_module_read(&m, module.data, module.size, &e), &e);
    check(wasm_validate(&m, &e), &e);
    wasm_module_fini(&m);
    buf_fini(&module);
    ir_build_fini(&b);
    ir_func_fini(&f);
    wasm_object_free(o);
}

/* --- in the evaluator --- */
static const uint8_t *
fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base)
{
    if (address < CODE_AT || address >= CODE_AT + code_size)
        return NULL;
    *left = CODE_AT + code_size - address;
    *image_base = CODE_AT;
    return code + (address - CODE_AT);
}

static bool
has_compiled(void *context, uint64_t address)
{
    return false;
}

static void
evaluate(unsigned start)
{
    static const struct eval_host host = {.fetch = fetch, .has_compiled = has_compiled};
    struct eval_host h = host;
    struct eval *volatile ev = eval_new();
    unsigned trap;

    h.memory = guest;
    x86_cpu_reset(&x86_cpu_tls);
    for (unsigned i = 0; i < 16; i++) {
        x86_cpu_tls.gpr[i] = DATA_AT + DATA_SIZE / 2 + i * 64;
        x86_cpu_tls.xmm[i].u64[0] = i * UINT64_C(0x0123456789abcdef);
    }
    x86_cpu_tls.gpr[X86_RCX] = 7; /* of rep */
    x86_cpu_tls.rip = CODE_AT + (code_size ? start % code_size : 0);
    x86_cpu_tls.limit = UINT64_MAX; /* stop at every block */
    for (volatile int round = 0; round < MAX_ROUNDS; round++) {
        if (sigsetjmp(escape, 0))
            break;
        evaluating = true;
        enum eval_stop stop = eval_run(ev, &h, &trap);
        if (stop != EVAL_BUDGET)
            break;
        x86_cpu_tls.gpr[X86_RCX] &= 0xffff; /* a rep over gigabytes takes long and finds nothing */
    }
    evaluating = false;
    eval_left();
    __asm__ volatile("fninit");
    eval_free(ev);
}

__attribute__((visibility("default"))) int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (!guest)
        init();
    if (size < 2 || size > MAX_CODE)
        return 0;
    /* A copy of exactly this size, so that reading past it is seen. */
    code_size = size - 2;
    copy = malloc(code_size ? code_size : 1);
    memcpy(copy, data + 2, code_size);
    code = copy;
    x86_set_level(data[0] & 0x80 && __builtin_cpu_supports("x86-64-v3") ? X86_LEVEL_V3 : X86_LEVEL_V2);
    compile(data[0]);
    evaluate(data[1]);
    free(copy);
    return 0;
}
