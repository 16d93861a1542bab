/* The evaluator's own duties: stops, counters, invalidation, code at page ends. What instructions do is
 * the oracle's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "eval/eval.h"
#include "ir/ir.h"
#include "x86/helpers.h"

enum { BASE = 0x400000, TEXT = 0x401000, TEXT_SIZE = 0x2000 };

__thread struct x86_cpu x86_cpu_tls;
__thread uint8_t *x86_memory_tls;

static struct guest {
    uint8_t text[TEXT_SIZE];
    uint64_t compiled;
    unsigned fetches;
    uint8_t *memory;
    struct eval *ev;
    struct eval_host host;
} guest;

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    fail_msg("exception %u at %lx", vector, pc);
    __builtin_unreachable();
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

static const uint8_t *
fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base)
{
    struct guest *g = context;

    g->fetches++;
    if (address < TEXT || address >= TEXT + TEXT_SIZE)
        return NULL;
    *left = TEXT + TEXT_SIZE - address;
    *image_base = BASE;
    return g->text + (address - TEXT);
}

static bool
has_compiled(void *context, uint64_t address)
{
    return ((struct guest *)context)->compiled == address;
}

static int
setup(void **state)
{
    memset(guest.text, 0xcc, sizeof guest.text);
    guest.compiled = 0;
    guest.fetches = 0;
    guest.memory = mmap(NULL, 1ull << 32, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    guest.ev = eval_new();
    guest.host =
        (struct eval_host){.context = &guest, .memory = guest.memory, .fetch = fetch, .has_compiled = has_compiled};
    x86_memory_tls = guest.memory;
    x86_cpu_reset(x86_this_cpu());
    x86_this_cpu()->rip = TEXT;
    x86_this_cpu()->gpr[X86_RSP] = 0x10000000;
    return guest.memory == MAP_FAILED;
}

static int
teardown(void **state)
{
    eval_free(guest.ev);
    return munmap(guest.memory, 1ull << 32);
}

static void
put(uint64_t address, const char *bytes, size_t n)
{
    memcpy(guest.text + (address - TEXT), bytes, n);
}
#define PUT(address, bytes) put(address, bytes, sizeof(bytes) - 1)

static enum eval_stop
run(unsigned *trap)
{
    *trap = 999;
    return eval_run(guest.ev, &guest.host, trap);
}

/* Counters since the last call, by address. */
static struct eval_count counts[64];
static size_t count_count;

static void
take_count(void *context, const struct eval_count *c)
{
    (void)context;
    assert_true(count_count < 64);
    counts[count_count++] = *c;
}

static int
by_address(const void *a, const void *b)
{
    const struct eval_count *x = a, *y = b;

    return x->address < y->address ? -1 : x->address > y->address;
}

static uint64_t
collect(void)
{
    uint64_t sum = 0;

    count_count = 0;
    eval_collect(guest.ev, 0, UINT64_MAX, take_count, NULL);
    qsort(counts, count_count, sizeof *counts, by_address);
    for (size_t i = 0; i < count_count; i++)
        sum += counts[i].insns;
    return sum;
}

static void
counts_a_loop(void **state)
{
    unsigned trap;

    /* mov ecx, 10; 1: add eax, ecx; dec ecx; jnz 1b; syscall */
    PUT(TEXT, "\xb9\x0a\0\0\0\x01\xc8\xff\xc9\x75\xfa\x0f\x05");
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 55);
    assert_int_equal(x86_this_cpu()->rip, TEXT + 13);
    /* the first block is mov and one turn of the loop */
    assert_int_equal(collect(), 4 + 9 * 3 + 1);
    assert_int_equal(count_count, 3);
    assert_int_equal(counts[0].entered, 1);
    assert_int_equal(counts[1].address, TEXT + 5);
    assert_int_equal(counts[1].insns, 27);
    assert_int_equal(counts[1].entered, 0);
    assert_int_equal(collect(), 0);
    assert_int_equal(count_count, 0);
    /* going on after the system call is not entering; a jump through a register is */
    PUT(TEXT + 13, "\xb9\x00\x00\x00\x00\x48\x8d\x05\x02\x00\x00\x00\xff\xe0\x0f\x05");
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(collect(), 4);
    assert_int_equal(counts[0].address, TEXT + 13);
    assert_int_equal(counts[0].entered, 0);
    assert_int_equal(counts[1].address, TEXT + 27);
    assert_int_equal(counts[1].entered, 1);
}

static void
stops_before_compiled_code(void **state)
{
    unsigned trap;

    PUT(TEXT, "\xeb\x0e");              /* jmp TEXT + 16 */
    PUT(TEXT + 16, "\xff\xc0\xeb\xec"); /* inc eax; jmp TEXT */
    guest.compiled = TEXT;              /* where it starts: runs all the same */
    assert_int_equal(run(&trap), EVAL_COMPILED);
    assert_int_equal(x86_this_cpu()->rip, TEXT);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 1);
}

static void
stops_for_the_budget(void **state)
{
    unsigned trap;

    PUT(TEXT, "\xff\xc0\xeb\xfc"); /* 1: inc eax; jmp 1b */
    x86_this_cpu()->limit = UINT64_MAX;
    for (int i = 1; i < 4; i++) {
        assert_int_equal(run(&trap), EVAL_BUDGET);
        assert_int_equal(x86_this_cpu()->gpr[X86_RAX], i);
        assert_int_equal(x86_this_cpu()->rip, TEXT);
    }
}

static void
traps_with_their_address(void **state)
{
    unsigned trap;

    PUT(TEXT, "\xff\xc0\x0f\x0b"); /* inc eax; ud2 */
    assert_int_equal(run(&trap), EVAL_TRAP);
    assert_int_equal(trap, IR_TRAP_UD);
    assert_int_equal(x86_this_cpu()->rip, TEXT + 2);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 1);
    x86_this_cpu()->rip = BASE;
    assert_int_equal(run(&trap), EVAL_NOEXEC);
    assert_int_equal(x86_this_cpu()->rip, BASE);
}

static void
forgets_changed_code(void **state)
{
    unsigned trap;

    PUT(TEXT, "\xb8\x01\0\0\0\x0f\x05"); /* mov eax, 1; syscall */
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    PUT(TEXT, "\xb8\x02\0\0\0\x0f\x05");
    x86_this_cpu()->rip = TEXT;
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 1); /* as promised: valid until told */
    eval_invalidate(guest.ev, TEXT + 6, TEXT + 7);
    x86_this_cpu()->rip = TEXT;
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 2);
    assert_int_equal(guest.fetches, 2);
    assert_int_equal(collect(), 6);
}

static void
crosses_pages(void **state)
{
    unsigned trap;

    /* an instruction over the page end, first of its block and not; one cut off by the end of text */
    PUT(TEXT + 0xffd, "\xb8\x07\0\0\0\x0f\x05");
    x86_this_cpu()->rip = TEXT + 0xffd;
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 7);
    PUT(TEXT + 0xffb, "\xff\xc0\xb8\x09\0\0\0\x0f\x05");
    eval_invalidate(guest.ev, 0, UINT64_MAX);
    x86_this_cpu()->rip = TEXT + 0xffb;
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 9);
    PUT(TEXT + TEXT_SIZE - 2, "\xb8\x01");
    x86_this_cpu()->rip = TEXT + TEXT_SIZE - 2;
    enum eval_stop stop = run(&trap);
    assert_true(stop == EVAL_TRAP || stop == EVAL_NOEXEC);
    assert_int_equal(x86_this_cpu()->rip, TEXT + TEXT_SIZE - 2);
}

static void
calls_and_returns(void **state)
{
    unsigned trap;

    PUT(TEXT, "\xe8\x0b\0\0\0\x0f\x05"); /* call TEXT + 16; syscall */
    PUT(TEXT + 16, "\x8b\x04\x24\xc3");  /* mov eax, [rsp]; ret */
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], TEXT + 5); /* loaded, not image-relative */
    assert_int_equal(x86_this_cpu()->gpr[X86_RSP], 0x10000000);
}

static void
long_straight_code(void **state)
{
    unsigned trap;

    /* 200 times add rax, 1: more than one block holds */
    for (unsigned i = 0; i < 200; i++)
        PUT(TEXT + 4 * i, "\x48\x83\xc0\x01");
    PUT(TEXT + 800, "\x0f\x05");
    assert_int_equal(run(&trap), EVAL_SYSCALL);
    assert_int_equal(x86_this_cpu()->gpr[X86_RAX], 200);
    assert_int_equal(collect(), 201);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(counts_a_loop),        T(stops_before_compiled_code),
        T(stops_for_the_budget), T(traps_with_their_address),
        T(forgets_changed_code), T(crosses_pages),
        T(calls_and_returns),    T(long_straight_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
