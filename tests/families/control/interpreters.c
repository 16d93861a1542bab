/* Interpreters as they are written: a switch in a loop, computed goto from one and from each operation, direct
 * threading with addresses as code, a table of functions, and (clang) tail calls. All run the same random programs to
 * the same result. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPS = 24, LENGTH = 2048, STACK = 64 };

struct vm {
    const uint8_t *code;
    int64_t stack[STACK];
    double number;
    uint64_t steps, limit;
};

static uint8_t program[LENGTH];
static uint64_t seed = 1;

static unsigned
next(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static void
make_program(void)
{
    for (int i = 0; i < LENGTH; i++)
        program[i] = (uint8_t)next(OPS);
}

/* The operations: (pc, sp, acc) are the machine, vm the rest. JUMP goes to an index. */
#define OPERATIONS(X)                                           \
    X(0, acc = 0;)                                              \
    X(1, acc += program[(pc + 1) % LENGTH]; pc++;)              \
    X(2, acc = (int64_t)((uint64_t)acc * 31);)                  \
    X(3, vm->stack[sp++ % STACK] = acc;)                        \
    X(4, acc ^= vm->stack[--sp % STACK];)                       \
    X(5, acc = acc >> 3 | (int64_t)((uint64_t)acc << 61);)      \
    X(6, if (acc & 1) pc += 5;)                                 \
    X(7, if (acc < 0) pc = (unsigned)(acc & 0x3ff);)            \
    X(8, vm->number = vm->number * 0.5 + (double)(acc % 1000);) \
    X(9, acc += (int64_t)vm->number;)                           \
    X(10, acc = acc / ((acc & 15) + 1);)                        \
    X(11, acc = acc % ((acc & 7) + 3);)                         \
    X(12, sp += 2;)                                             \
    X(13, vm->stack[sp % STACK] += acc;)                        \
    X(14, acc = (int32_t)acc;)                                  \
    X(15, acc = (uint16_t)acc + 7;)                             \
    X(16, acc = __builtin_popcountll((uint64_t)acc) * 1000003;) \
    X(17, acc = helper(acc, vm);)                               \
    X(18, pc += (unsigned)acc & 3;)                             \
    X(19, acc = vm->stack[acc & (STACK - 1)] - acc;)            \
    X(20, if (vm->number > 500) vm->number -= 499.5;)           \
    X(21, acc -= 12345;)                                        \
    X(22, acc = acc > 100 ? acc - 100 : ~acc;)                  \
    X(23, acc += sp; pc = (pc ^ 5) % LENGTH;)

static int64_t __attribute__((noinline))
helper(int64_t a, struct vm *vm)
{
    vm->stack[3] ^= a;
    return a * 3 - (int64_t)vm->steps % 17;
}

#define PROLOGUE             \
    unsigned pc = 0, sp = 0; \
    int64_t acc = 1
#define FETCH (vm->code[pc++ % LENGTH])
#define DONE  (++vm->steps >= vm->limit)

static int64_t __attribute__((noinline))
by_switch(struct vm *vm)
{
    PROLOGUE;
    for (;;) {
        if (DONE)
            return acc;
        switch (FETCH) {
#define CASE(n, body) \
    case n: {         \
        body          \
    } break;
            OPERATIONS(CASE)
        default: __builtin_unreachable();
        }
    }
}

#define LABEL(n, body) &&op##n,
static int64_t __attribute__((noinline))
by_one_goto(struct vm *vm)
{
    static const void *const labels[] = {OPERATIONS(LABEL)};
    PROLOGUE;
again:
    if (DONE)
        return acc;
    goto *labels[FETCH];
#define BODY(n, body) \
    op##n:            \
    {                 \
        body          \
    }                 \
    goto again;
    OPERATIONS(BODY)
}

static int64_t __attribute__((noinline))
by_gotos(struct vm *vm)
{
    static const void *const labels[] = {OPERATIONS(LABEL)};
    PROLOGUE;
#define NEXT                 \
    do {                     \
        if (DONE)            \
            return acc;      \
        goto *labels[FETCH]; \
    } while (0)
    NEXT;
#define THREADED(n, body) op##n : {body} NEXT;
    OPERATIONS(THREADED)
}

/* Offsets instead of addresses, as code that must not be relocated writes it. */
static int64_t __attribute__((noinline))
by_offsets(struct vm *vm)
{
#define OFFSET(n, body) (int)((char *) && o##n - (char *) && o0),
    static const int offsets[] = {OPERATIONS(OFFSET)};
    PROLOGUE;
#define NEXT_OFFSET                                      \
    do {                                                 \
        if (DONE)                                        \
            return acc;                                  \
        goto *(void *)((char *) && o0 + offsets[FETCH]); \
    } while (0)
    NEXT_OFFSET;
#define OFFSET_BODY(n, body) o##n : {body} NEXT_OFFSET;
    OPERATIONS(OFFSET_BODY)
}

/* The code holds the addresses themselves. */
static int64_t __attribute__((noinline))
by_direct_threading(struct vm *vm)
{
    static const void *const labels[] = {OPERATIONS(LABEL)};
    static const void *direct[LENGTH];
    PROLOGUE;

    for (int i = 0; i < LENGTH; i++)
        direct[i] = labels[vm->code[i]];
#define NEXT_DIRECT                  \
    do {                             \
        if (DONE)                    \
            return acc;              \
        goto *direct[pc++ % LENGTH]; \
    } while (0)
    NEXT_DIRECT;
#define DIRECT(n, body) op##n : {body} NEXT_DIRECT;
    OPERATIONS(DIRECT)
}

struct machine {
    unsigned pc, sp;
    int64_t acc;
};
#define FUNCTION(n, body)                                      \
    static void function##n(struct vm *vm, struct machine *m)  \
    {                                                          \
        unsigned pc = m->pc, sp = m->sp;                       \
        int64_t acc = m->acc;                                  \
        {body} m->pc = pc, m->sp = sp, m->acc = acc, (void)vm; \
    }
OPERATIONS(FUNCTION)

static int64_t __attribute__((noinline))
by_functions(struct vm *vm)
{
#define NAME(n, body) function##n,
    static void (*const functions[])(struct vm *, struct machine *) = {OPERATIONS(NAME)};
    struct machine m = {0, 0, 1};
    while (!DONE)
        functions[vm->code[m.pc++ % LENGTH]](vm, &m);
    return m.acc;
}

#if __has_attribute(musttail)
#define TAIL __attribute__((musttail))
#else
#define TAIL
#endif
typedef int64_t (*tail_op)(struct vm *, unsigned, unsigned, int64_t);
static const tail_op tails[];
#define TAIL_NEXT                                  \
    do {                                           \
        if (DONE)                                  \
            return acc;                            \
        TAIL return tails[FETCH](vm, pc, sp, acc); \
    } while (0)
#define TAIL_FUNCTION(n, body)                                                   \
    static int64_t tail##n(struct vm *vm, unsigned pc, unsigned sp, int64_t acc) \
    {                                                                            \
        {body} TAIL_NEXT;                                                        \
    }
OPERATIONS(TAIL_FUNCTION)
#define TAIL_NAME(n, body) tail##n,
static const tail_op tails[] = {OPERATIONS(TAIL_NAME)};

static int64_t __attribute__((noinline))
by_tail_calls(struct vm *vm)
{
    PROLOGUE;
    if (DONE)
        return acc;
    return tails[FETCH](vm, pc, sp, acc);
}

int
main(int argc, char **argv)
{
    /* clang-format off */
    static const struct { const char *name; int64_t (*run)(struct vm *); } kinds[] = {
        { "switch", by_switch }, { "one goto", by_one_goto }, { "gotos", by_gotos }, { "offsets", by_offsets },
        { "direct", by_direct_threading }, { "functions", by_functions }, { "tail calls", by_tail_calls },
    };
    /* clang-format on */
    uint64_t limit = argc > 1 ? strtoull(argv[1], 0, 0) : 20000;

    for (int p = 0; p < 8; p++) {
        seed = (uint64_t)p + 1;
        make_program();
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            struct vm vm = {.code = program, .limit = limit};
            int64_t r = kinds[k].run(&vm);
            printf("%d %s %016llx %.6f\n", p, kinds[k].name, (unsigned long long)r, vm.number);
        }
    }
    return 0;
}
