/* The rewriter's time grows as its input does: code made to be awkward for it, once and twice as long. Processor time
 * is counted, the better of two runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "direct/unit.h"

enum { LENGTH = 1 << 19, ADDRESS = 0x10000 };

/* --- code of about n bytes --- */

static void
put(struct buf *b, const char *bytes, size_t size)
{
    buf_put(b, bytes, size);
}
#define PUT(b, text) put(b, text, sizeof text - 1)

static void
put_branch(struct buf *b, const char *opcode, uint64_t target)
{
    buf_put(b, opcode, strlen(opcode));
    buf_put_u32(b, (uint32_t)(target - (b->size + 4)));
}

static void
stores(struct buf *b, size_t n)
{
    while (b->size < n) /* mov [rdi + ...], rax */
        PUT(b, "\x48\x89\x87"), buf_put_u32(b, (uint32_t)b->size);
}

static void
pushes(struct buf *b, size_t n)
{
    while (b->size < n)
        PUT(b, "\x50");
}

static void
flags(struct buf *b, size_t n)
{
    while (b->size < n) /* add rcx, rax; adc rdx, 7; cmovc rax, rcx */
        PUT(b, "\x48\x01\xc1\x48\x83\xd2\x07\x48\x0f\x42\xc1");
}

/* Each jump leads to the one before it: what is alive at the first has a long way. */
static void
backward(struct buf *b, size_t n)
{
    PUT(b, "\x72\x00"); /* jc */
    put_branch(b, "\xe9", 0);
    while (b->size < n)
        put_branch(b, "\xe9", b->size - 5);
}

/* Each conditional jump just reaches, and does not any more when the one that it passes has become long. */
static void
dominoes(struct buf *b, size_t n)
{
    enum { BETWEEN = 70, TARGET = 6 + BETWEEN + 6 + 55 };

    while (b->size + 2 * TARGET < n) {
        put_branch(b, "\x0f\x84", b->size + TARGET);
        for (int i = 0; i < BETWEEN; i++)
            PUT(b, "\xf5");
    }
    put_branch(b, "\x0f\x84", b->size + 6 + 128);
    for (int i = 0; i < 200; i++)
        PUT(b, "\xf5");
}

static void
calls(struct buf *b, size_t n)
{
    PUT(b, "\xc3");
    while (b->size < n)
        put_branch(b, "\xe8", 0);
}

static void
indirect(struct buf *b, size_t n)
{
    while (b->size < n)
        PUT(b, "\xff\xd0\xff\x60\x08"); /* call rax; jmp [rax + 8] */
}

static void
strings(struct buf *b, size_t n)
{
    while (b->size < n)
        PUT(b, "\xf3\xaa\xa6");
}

/* --- */

static double
seconds(const struct buf *code)
{
    struct direct_piece piece = {.address = ADDRESS, .size = code->size, .bytes = code->data};
    double best = 1e9;

    for (int i = 0; i < 2; i++) {
        struct direct_result out;
        struct err e = {0};
        clock_t start = clock();
        double took;

        assert_int_equal(direct_rewrite_pieces(&piece, 1, "0123456789abcdef", &out, &e), 0);
        took = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = took < best ? took : best;
        buf_fini(&out.object);
        buf_fini(&out.entries);
    }
    return best;
}

static void
test_growth(void **state)
{
    enum { ATTEMPTS = 4 };
    static const struct {
        const char *name;
        void (*make)(struct buf *, size_t);
    } kinds[] = {{"stores", stores},     {"pushes", pushes}, {"flags", flags},       {"backward", backward},
                 {"dominoes", dominoes}, {"calls", calls},   {"indirect", indirect}, {"strings", strings}};

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct buf code[2] = {0};
        bool in_step = false;

        for (unsigned i = 0; i < 2; i++)
            kinds[k].make(&code[i], (size_t)LENGTH << i);
        /* What is quadratic is so each time; others on the machine disturb now and then. */
        for (int attempt = 0; attempt < ATTEMPTS && !in_step; attempt++) {
            double half = seconds(&code[0]), whole = seconds(&code[1]);

            printf("%s: %.3f s for half a megabyte, %.3f s for one\n", kinds[k].name, half, whole);
            fflush(stdout);
            /* Four times as much would be quadratic; what takes no time has no ratio. */
            in_step = whole < 0.1 || whole < 3 * half;
        }
        for (unsigned i = 0; i < 2; i++)
            buf_fini(&code[i]);
        assert_true(in_step);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
