/* Litmus tests: what do several processors show each other of their loads and stores?
 *
 * Each test of litmus.def is two to four short programs that run at the same time, on the same few locations, again and again. Every
 * outcome (what the registers and the locations have in the end) is counted, as the litmus7 tool does it. What may come out is computed:
 * a model of x86-TSO (Sewell and others, "x86-TSO: a rigorous and usable programmer's model for x86 multiprocessors") is executed in every
 * way. In the model each processor has a queue of stores that others do not see yet, in which its own loads look first; locked instructions
 * and MFENCE wait until it is empty. An outcome that no execution of the model has is forbidden, and the program fails. An outcome
 * that the model has with queues and not without them is called relaxed here: it shows that the machine does have several processors.
 *
 * usage: litmus [options]
 *   --rounds N        so many of each test (default 200000)
 *   --total N         so many in all
 *   --only NAME       tests whose name contains NAME
 *   --seed N          of where the locations lie and how threads are set off
 *   --brief           a line per test, which is the same wherever all is right, also of those that this processor cannot be asked
 *   --expect-relaxed  fail unless the relaxed outcome of tests marked SHOWN was seen
 *   --expect-strong   fail if a relaxed outcome was seen: there is one processor, which changes threads between instructions
 *   --model sc        forbid relaxed outcomes, too: to see that this program notices them
 *   --list            print the names and what the model says
 * Exit status 1: a test failed. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cpuid.h>

enum {
    MAX_THREADS = 4,
    REGISTERS = 3, /* of a thread */
    LOCATIONS = 3,
    LINE = 64,
    WINDOW = 16, /* bytes of a line that tests use */
    MAX_OPS = 8,
    MAX_OUTCOMES = 128,
    BATCH = 2048,
};

/* --- the programs as instructions --- */

enum location { LOCATION_x, LOCATION_y, LOCATION_z };
enum reg {
    REGISTER_a,
    REGISTER_b,
    REGISTER_c,
    REGISTER_KEPT, /* between a load and a store of one instruction */
    REGISTER_COUNT,
};

/* What the threads of one batch share. An instance of the test is its locations; each has a line of its own, anywhere in memory. */
struct batch {
    char *memory;
    uint32_t place[LOCATIONS][BATCH]; /* a line's number */
    uint64_t out[MAX_THREADS][BATCH][REGISTERS];
    uint32_t late[MAX_THREADS]; /* spins before it begins */
    bool meet;                  /* threads wait for each other before each instance */
    uint32_t yield_mask;        /* with more threads than processors: they yield at numbers with none of these bits */
    unsigned threads;
    char apart[LINE];
    uint32_t arrived; /* atomic: how often a thread came to an instance */
    char apart_too[LINE];
};

/* All threads are about to run the same instance. */
static void
meet(struct batch *b, uint32_t instance)
{
    uint32_t all = b->threads * (instance + 1);

    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_SEQ_CST) == all)
        return;
    for (unsigned spins = 0; __atomic_load_n(&b->arrived, __ATOMIC_ACQUIRE) < all; spins++) {
        if (spins > 2000)
            sched_yield();
        __asm__ volatile("pause");
    }
}

#define SUFFIX_1         "b"
#define SUFFIX_2         "w"
#define SUFFIX_4         "l"
#define SUFFIX_8         "q"
#define REG_1(r)         "%b[" r "]"
#define REG_2(r)         "%w[" r "]"
#define REG_4(r)         "%k[" r "]"
#define REG_8(r)         "%q[" r "]"
#define RAX_1            "%%al"
#define RAX_2            "%%ax"
#define RAX_4            "%%eax"
#define RAX_8            "%%rax"
#define RCX_1            "%%cl"
#define RCX_2            "%%cx"
#define RCX_4            "%%ecx"
#define RCX_8            "%%rcx"
#define AT(location, at) #at "(%[" #location "])\n\t"
/* rax or a register = value, in all its bytes that count */
#define VALUE(to, value) "movabsq $" #value ", " to "\n\t"

#define NONE                          ""
#define ST(size, location, at, value) VALUE("%%rax", value) "mov" SUFFIX_##size " " RAX_##size ", " AT(location, at)
#define LD(size, location, at, r)     "mov" SUFFIX_##size " " #at "(%[" #location "]), " REG_##size(#r) "\n\t"
#define MFENCE                        "mfence\n\t"
#define STACK                         "lock orl $0, (%%rsp)\n\t"
#define XCHG(size, location, at, value, r) \
    VALUE("%q[" #r "]", value) "xchg" SUFFIX_##size " " REG_##size(#r) ", " AT(location, at)
#define XADD(size, location, at, value, r) \
    VALUE("%q[" #r "]", value) "lock xadd" SUFFIX_##size " " REG_##size(#r) ", " AT(location, at)
#define ADD(size, location, at, value) \
    VALUE("%%rax", value) "lock add" SUFFIX_##size " " RAX_##size ", " AT(location, at)
#define CAS(size, location, at, expected, value, r) \
    VALUE("%%rax", expected)                        \
    VALUE("%%rcx", value) "lock cmpxchg" SUFFIX_##size " " RCX_##size ", " AT(location, at) "movq %%rax, %q[" #r "]\n\t"
#define NEG(size, location, at) "lock neg" SUFFIX_##size " " AT(location, at)
#define INC(size, location, at) "inc" SUFFIX_##size " " AT(location, at)
#define CAS8B(location, value)                                                                                      \
    "xorl %%eax, %%eax\n\txorl %%edx, %%edx\n\tmovl $" #value ", %%ebx\n\tmovl %%ebx, %%ecx\n\tlock cmpxchg8b " AT( \
        location, 0) "shlq $32, %%rdx\n\torq %%rdx, %%rax\n\tmovq %%rax, %[a]\n\t"
#define CAS16(location, value)                                                                                     \
    "xorl %%eax, %%eax\n\txorl %%edx, %%edx\n\t" VALUE("%%rbx", value) "movq %%rbx, %%rcx\n\tlock cmpxchg16b " AT( \
        location, 0) "movq %%rax, %[a]\n\tmovq %%rdx, %[b]\n\t"
#define LD16(location) \
    "movdqa (%[" #location "]), %%xmm0\n\tmovq %%xmm0, %[a]\n\tpunpckhqdq %%xmm0, %%xmm0\n\tmovq %%xmm0, %[b]\n\t"
#define ST16(location, value) \
    VALUE("%%rax", value) "movq %%rax, %%xmm0\n\tpunpcklqdq %%xmm0, %%xmm0\n\tmovdqa %%xmm0, " AT(location, 0)
#define MOVS(from, to) "movq %[" #from "], %%rsi\n\tmovq %[" #to "], %%rdi\n\tmovsq\n\t"
/* The stack pointer is a location for a moment. No handler of this program's runs, so nothing but the pushes writes there. */
#define PUSHES(location, first, second)                                                             \
    "movq %%rsp, %%rcx\n\tleaq 16(%[" #location "]), %%rsp\n\tpushq $" #first "\n\tpushq $" #second \
    "\n\tmovq %%rcx, %%rsp\n\t"
#define POPS(location) \
    "movq %%rsp, %%rcx\n\tmovq %[" #location "], %%rsp\n\tpopq %[a]\n\tpopq %[b]\n\tmovq %%rcx, %%rsp\n\t"

/* The loop of one thread. Registers that a body clobbers are named for all of them. */
#define THREAD(test, n, body)                                                                     \
    static void test##_##n(struct batch *batch)                                                   \
    {                                                                                             \
        for (uint32_t i = 0; i < BATCH; i++) {                                                    \
            char *x = batch->memory + (size_t)batch->place[0][i] * LINE;                          \
            char *y = batch->memory + (size_t)batch->place[1][i] * LINE;                          \
            char *z = batch->memory + (size_t)batch->place[2][i] * LINE;                          \
            uint64_t a = 0, b = 0, c = 0;                                                         \
                                                                                                  \
            if (batch->meet)                                                                      \
                meet(batch, i);                                                                   \
            else if ((i & batch->yield_mask) == n)                                                \
                sched_yield();                                                                    \
            __asm__ volatile("" body                                                              \
                             : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c)                           \
                             : [x] "r"(x), [y] "r"(y), [z] "r"(z)                                 \
                             : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "xmm0", "memory", "cc"); \
            batch->out[n][i][0] = a;                                                              \
            batch->out[n][i][1] = b;                                                              \
            batch->out[n][i][2] = c;                                                              \
        }                                                                                         \
    }
#define LITMUS(name, threads, flags, t0, t1, t2, t3) \
    THREAD(name, 0, t0) THREAD(name, 1, t1) THREAD(name, 2, t2) THREAD(name, 3, t3)
#include "litmus.def"
#undef LITMUS
#undef NONE
#undef ST
#undef LD
#undef MFENCE
#undef STACK
#undef XCHG
#undef XADD
#undef ADD
#undef CAS
#undef NEG
#undef INC
#undef CAS8B
#undef CAS16
#undef LD16
#undef ST16
#undef MOVS
#undef PUSHES
#undef POPS

/* --- the programs as the model has them --- */

enum op_kind {
    OP_END,
    OP_STORE,
    OP_LOAD,
    OP_FENCE,
    OP_STORE_KEPT, /* what was loaded into KEPT, and the value added to it */
    OP_EXCHANGE,
    OP_ADD,
    OP_COMPARE,
    OP_NEGATE /* locked */
};

struct op {
    enum op_kind kind;
    enum location location;
    unsigned at, size;
    uint64_t value, expected;
    enum reg reg;  /* of a load or locked instruction; REGISTER_COUNT: none */
    enum reg high; /* gets the second half of 16 bytes */
};

struct test {
    const char *name;
    unsigned threads;
    enum { SHOWN = 1, WIDE = 2, LINE_SINGLE = 4 } flags;
    void (*run[MAX_THREADS])(struct batch *batch);
    struct op ops[MAX_THREADS][MAX_OPS];
};

#define LINE LINE_SINGLE
#define NONE
#define ST(s, l, where, v) {.kind = OP_STORE, .location = LOCATION_##l, .at = where, .size = s, .value = v},
#define LD(s, l, where, r) {.kind = OP_LOAD, .location = LOCATION_##l, .at = where, .size = s, .reg = REGISTER_##r},
#define MFENCE             {.kind = OP_FENCE},
#define STACK              {.kind = OP_FENCE},
#define XCHG(s, l, where, v, r) \
    {.kind = OP_EXCHANGE, .location = LOCATION_##l, .at = where, .size = s, .value = v, .reg = REGISTER_##r},
#define XADD(s, l, where, v, r) \
    {.kind = OP_ADD, .location = LOCATION_##l, .at = where, .size = s, .value = v, .reg = REGISTER_##r},
#define ADD(s, l, where, v) \
    {.kind = OP_ADD, .location = LOCATION_##l, .at = where, .size = s, .value = v, .reg = REGISTER_KEPT},
#define CAS(s, l, where, old, v, r) \
    {.kind = OP_COMPARE,            \
     .location = LOCATION_##l,      \
     .at = where,                   \
     .size = s,                     \
     .expected = old,               \
     .value = v,                    \
     .reg = REGISTER_##r},
#define NEG(s, l, where) {.kind = OP_NEGATE, .location = LOCATION_##l, .at = where, .size = s, .reg = REGISTER_KEPT},
#define INC(s, l, where)                                                                       \
    {.kind = OP_LOAD, .location = LOCATION_##l, .at = where, .size = s, .reg = REGISTER_KEPT}, \
        {.kind = OP_STORE_KEPT, .location = LOCATION_##l, .at = where, .size = s, .value = 1},
#define CAS8B(l, v) \
    {.kind = OP_COMPARE, .location = LOCATION_##l, .size = 8, .value = (uint64_t)(v) << 32 | (v), .reg = REGISTER_a},
#define CAS16(l, v) \
    {.kind = OP_COMPARE, .location = LOCATION_##l, .size = 16, .value = v, .reg = REGISTER_a, .high = REGISTER_b},
#define LD16(l)    {.kind = OP_LOAD, .location = LOCATION_##l, .size = 16, .reg = REGISTER_a, .high = REGISTER_b},
#define ST16(l, v) {.kind = OP_STORE, .location = LOCATION_##l, .size = 16, .value = v},
#define MOVS(from, to)                                                               \
    {.kind = OP_LOAD, .location = LOCATION_##from, .size = 8, .reg = REGISTER_KEPT}, \
        {.kind = OP_STORE_KEPT, .location = LOCATION_##to, .size = 8},
#define PUSHES(l, first, second) ST(8, l, 8, first) ST(8, l, 0, second)
#define POPS(l)                  LD(8, l, 0, a) LD(8, l, 8, b)
#define LITMUS(n, count, f, t0, t1, t2, t3) \
    {.name = #n, .threads = count, .flags = f, .run = {n##_0, n##_1, n##_2, n##_3}, .ops = {{t0}, {t1}, {t2}, {t3}}},

static const struct test tests[] = {
#include "litmus.def"
};
enum { TESTS = sizeof tests / sizeof tests[0] };
#undef LINE
enum { STRIDE = 64 };

/* --- the model --- */

struct outcome {
    uint64_t reg[MAX_THREADS][REGISTERS];
    uint64_t memory[LOCATIONS][2];
};

struct outcomes {
    unsigned count;
    struct outcome items[MAX_OUTCOMES];
    uint64_t seen[MAX_OUTCOMES];
};

struct queued {
    enum location location;
    unsigned at, size;
    uint8_t bytes[16];
};

struct model {
    const struct test *test;
    bool queues;
    struct outcomes *found;
    uint8_t memory[LOCATIONS][WINDOW];
    uint64_t reg[MAX_THREADS][REGISTER_COUNT];
    unsigned next[MAX_THREADS];
    struct queued queue[MAX_THREADS][MAX_OPS];
    unsigned first[MAX_THREADS], last[MAX_THREADS];
};

static unsigned
find_outcome(const struct outcomes *o, const struct outcome *what)
{
    unsigned i = 0;

    while (i < o->count && memcmp(&o->items[i], what, sizeof *what) != 0)
        i++;
    return i;
}

static void
add_outcome(struct outcomes *o, const struct outcome *what)
{
    if (find_outcome(o, what) < o->count)
        return;
    if (o->count == MAX_OUTCOMES) {
        fprintf(stderr, "litmus: MAX_OUTCOMES is too small\n");
        exit(2);
    }
    o->items[o->count++] = *what;
}

/* As the processor sees it: its own queue first, youngest store first, byte by byte. */
static void
model_read(const struct model *m, unsigned t, const struct op *op, uint8_t *to)
{
    memcpy(to, &m->memory[op->location][op->at], op->size);
    for (unsigned q = m->first[t]; q < m->last[t]; q++) {
        const struct queued *s = &m->queue[t][q];

        for (unsigned i = 0; i < s->size; i++)
            if (s->location == op->location && s->at + i - op->at < op->size)
                to[s->at + i - op->at] = s->bytes[i];
    }
}

static void
model_to_registers(struct model *m, unsigned t, const struct op *op, const uint8_t *bytes)
{
    uint64_t v[2] = {m->reg[t][op->reg], 0};

    if (op->size == 4)
        v[0] = 0; /* upper halves become 0, smaller parts of a register do not change the rest of it */
    if (op->kind == OP_COMPARE)
        v[0] = op->expected; /* of rax, from which the register gets it */
    else if (op->kind != OP_LOAD && op->size < 4)
        v[0] = op->value;
    memcpy(v, bytes, op->size);
    m->reg[t][op->reg] = v[0];
    if (op->size == 16)
        m->reg[t][op->high] = v[1];
}

static void
model_store(struct model *m, unsigned t, const struct op *op, const uint8_t *bytes)
{
    struct queued *s = &m->queue[t][m->last[t]];

    if (!m->queues) {
        memcpy(&m->memory[op->location][op->at], bytes, op->size);
        return;
    }
    *s = (struct queued){.location = op->location, .at = op->at, .size = op->size};
    memcpy(s->bytes, bytes, op->size);
    m->last[t]++;
}

static void
model_locked(struct model *m, unsigned t, const struct op *op)
{
    uint8_t *at = &m->memory[op->location][op->at];
    uint8_t old[16];
    uint64_t expected[2] = {op->expected, op->expected}, value[2] = {op->value, op->value}, v = 0;

    memcpy(old, at, op->size);
    memcpy(&v, at, op->size < 8 ? op->size : 8);
    if (op->kind == OP_ADD)
        value[0] = v + op->value;
    else if (op->kind == OP_NEGATE)
        value[0] = 0 - v;
    if (op->kind != OP_COMPARE || memcmp(old, expected, op->size) == 0)
        memcpy(at, value, op->size);
    model_to_registers(m, t, op, old);
}

/* Whether thread t could go on, and did. */
static bool
model_step(struct model *m, unsigned t)
{
    const struct op *op = &m->test->ops[t][m->next[t]];
    bool empty = m->first[t] == m->last[t];
    uint64_t value[2] = {op->value, op->value};
    uint8_t bytes[16];

    switch (op->kind) {
    case OP_END: return false;
    case OP_STORE_KEPT:
        value[0] += m->reg[t][REGISTER_KEPT];
        model_store(m, t, op, (const uint8_t *)value);
        break;
    case OP_STORE: model_store(m, t, op, (const uint8_t *)value); break;
    case OP_LOAD:
        model_read(m, t, op, bytes);
        model_to_registers(m, t, op, bytes);
        break;
    case OP_FENCE:
        if (!empty)
            return false;
        break;
    default:
        if (!empty)
            return false;
        model_locked(m, t, op);
        break;
    }
    m->next[t]++;
    return true;
}

static bool
model_drain(struct model *m, unsigned t)
{
    const struct queued *s = &m->queue[t][m->first[t]];

    if (m->first[t] == m->last[t])
        return false;
    memcpy(&m->memory[s->location][s->at], s->bytes, s->size);
    m->first[t]++;
    return true;
}

/* All executions from here on; as deep as the test has operations, twice. */
static void
model_explore(const struct model *before)
{
    bool ended = true;

    for (unsigned choice = 0; choice < 2 * before->test->threads; choice++) {
        struct model m = *before;
        unsigned t = choice / 2;

        if (choice % 2 ? model_drain(&m, t) : model_step(&m, t)) {
            ended = false;
            model_explore(&m);
        }
    }
    if (ended) {
        struct outcome o;

        memset(&o, 0, sizeof o);
        for (unsigned t = 0; t < before->test->threads; t++)
            memcpy(o.reg[t], before->reg[t], sizeof o.reg[t]);
        memcpy(o.memory, before->memory, sizeof o.memory);
        add_outcome(before->found, &o);
    }
}

static void
model_outcomes(const struct test *test, bool queues, struct outcomes *found)
{
    struct model m;

    memset(&m, 0, sizeof m);
    m.test = test;
    m.queues = queues;
    m.found = found;
    found->count = 0;
    model_explore(&m);
}

/* --- running them --- */

static struct options {
    uint64_t rounds, total, seed;
    const char *only;
    bool brief, expect_relaxed, expect_strong, sequential, list, met;
} options = {.rounds = 200000, .seed = 1};

static unsigned processors; /* that this process may use */
static int processor_of[MAX_THREADS];

static uint64_t
next_random(void)
{
    options.seed ^= options.seed << 13;
    options.seed ^= options.seed >> 7;
    options.seed ^= options.seed << 17;
    return options.seed;
}

struct crew {
    const struct test *test;
    struct batch *batch;
    uint64_t batches;
    pthread_barrier_t begin, end;
};

struct member {
    struct crew *crew;
    unsigned number;
};

static void
pin(unsigned number)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor_of[number], &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* without it, the test is as right, and may show less */
}

static void
run_batch(struct crew *crew, unsigned number)
{
    pthread_barrier_wait(&crew->begin);
    for (uint32_t i = 0; i < crew->batch->late[number]; i++)
        __asm__ volatile("pause");
    crew->test->run[number](crew->batch);
    pthread_barrier_wait(&crew->end);
}

static void *
member_main(void *argument)
{
    struct member *self = argument;

    pin(self->number);
    for (uint64_t i = 0; i < self->crew->batches; i++)
        run_batch(self->crew, self->number);
    return NULL;
}

/* Zero memory, each location anywhere in it. Batches in which threads meet before each instance show most; in the others they run free. */
static void
prepare(struct batch *b, uint64_t number, unsigned threads)
{
    static uint32_t lines[LOCATIONS * BATCH];

    if (number % 16 == 0) {
        for (uint32_t i = 0; i < LOCATIONS * BATCH; i++)
            lines[i] = i;
        for (uint32_t i = LOCATIONS * BATCH - 1; i > 0; i--) {
            uint32_t j = (uint32_t)(next_random() % (i + 1)), line = lines[i];

            lines[i] = lines[j];
            lines[j] = line;
        }
        memcpy(b->place, lines, sizeof b->place);
    }
    memset(b->memory, 0, (size_t)LOCATIONS * BATCH * STRIDE);
    memset(b->out, 0, sizeof b->out);
    b->arrived = 0;
    b->threads = threads;
    b->meet = threads <= processors && number % 4 != 3;
    b->yield_mask = threads > processors ? (8u << next_random() % 8) - 1 : UINT32_MAX;
    for (unsigned t = 0; t < threads; t++)
        b->late[t] = (uint32_t)(next_random() % 64);
}

static void
collect(const struct batch *b, unsigned threads, struct outcomes *seen)
{
    unsigned at = 0;

    for (uint32_t i = 0; i < BATCH; i++) {
        struct outcome o;

        memset(&o, 0, sizeof o);
        for (unsigned t = 0; t < threads; t++)
            memcpy(o.reg[t], b->out[t][i], sizeof o.reg[t]);
        for (unsigned l = 0; l < LOCATIONS; l++)
            memcpy(o.memory[l], b->memory + (size_t)b->place[l][i] * STRIDE, WINDOW);
        if (at >= seen->count || memcmp(&seen->items[at], &o, sizeof o) != 0) {
            at = find_outcome(seen, &o);
            if (at == seen->count) {
                add_outcome(seen, &o);
                seen->seen[at] = 0;
            }
        }
        seen->seen[at]++;
    }
}

static void
run_test(const struct test *test, struct batch *batch, uint64_t rounds, struct outcomes *seen)
{
    struct crew crew = {.test = test, .batch = batch, .batches = (rounds + BATCH - 1) / BATCH};
    struct member members[MAX_THREADS];
    pthread_t threads[MAX_THREADS];

    seen->count = 0;
    pthread_barrier_init(&crew.begin, NULL, test->threads);
    pthread_barrier_init(&crew.end, NULL, test->threads);
    pin(0);
    for (unsigned t = 1; t < test->threads; t++) {
        members[t] = (struct member){&crew, t};
        if (pthread_create(&threads[t], NULL, member_main, &members[t]) != 0) {
            perror("litmus: pthread_create");
            exit(2);
        }
    }
    for (uint64_t i = 0; i < crew.batches; i++) {
        prepare(batch, i, test->threads);
        run_batch(&crew, 0);
        collect(batch, test->threads, seen);
    }
    for (unsigned t = 1; t < test->threads; t++)
        pthread_join(threads[t], NULL);
    pthread_barrier_destroy(&crew.begin);
    pthread_barrier_destroy(&crew.end);
}

/* --- what came out --- */

static void
print_outcome(const struct test *test, const struct outcome *o)
{
    static const char names[] = "abc", locations[] = "xyz";
    bool reads[MAX_THREADS][REGISTER_COUNT] = {{false}}, written[LOCATIONS] = {false};

    for (unsigned t = 0; t < test->threads; t++) {
        for (const struct op *op = test->ops[t]; op->kind != OP_END; op++) {
            reads[t][op->reg] |= op->kind == OP_LOAD || op->kind >= OP_EXCHANGE;
            reads[t][op->high] |= op->size == 16 && op->kind != OP_STORE;
            written[op->location] |= op->kind == OP_STORE || op->kind >= OP_STORE_KEPT;
        }
        for (unsigned r = 0; r < REGISTERS; r++)
            if (reads[t][r])
                printf(" %u:%c=%llx", t, names[r], (unsigned long long)o->reg[t][r]);
    }
    for (unsigned l = 0; l < LOCATIONS; l++)
        if (written[l])
            printf(o->memory[l][1] ? " %c=%llx,%llx" : " %c=%llx", locations[l], (unsigned long long)o->memory[l][0],
                   (unsigned long long)o->memory[l][1]);
}

/* Whether the test passed. */
static bool
judge(const struct test *test, const struct outcomes *seen, const struct outcomes *allowed,
      const struct outcomes *strong)
{
    uint64_t relaxed = 0, forbidden = 0;
    bool passed;

    for (unsigned i = 0; i < seen->count; i++) {
        bool is_strong = find_outcome(strong, &seen->items[i]) < strong->count;
        bool is_allowed = is_strong || (!options.sequential && find_outcome(allowed, &seen->items[i]) < allowed->count);

        forbidden += is_allowed ? 0 : seen->seen[i];
        relaxed += is_allowed && !is_strong ? seen->seen[i] : 0;
        if (options.brief && is_allowed)
            continue;
        printf("%12llu ", (unsigned long long)seen->seen[i]);
        print_outcome(test, &seen->items[i]);
        printf("%s\n", !is_allowed ? "  forbidden" : !is_strong ? "  relaxed" : "");
    }
    passed = forbidden == 0 && !(options.expect_relaxed && (test->flags & SHOWN) && relaxed == 0) &&
             !(options.expect_strong && relaxed != 0);
    if (options.brief)
        printf("%s %s\n", passed ? "ok" : "FAIL", test->name);
    else
        printf("%s %s: %llu relaxed, %llu forbidden; %u of %u outcomes\n\n", passed ? "ok" : "FAIL", test->name,
               (unsigned long long)relaxed, (unsigned long long)forbidden, seen->count, allowed->count);
    return passed;
}

/* Does this processor promise what the test relies on? A guest is not told of AVX, but no processor that has less runs it. */
static bool
applies(const struct test *test)
{
    unsigned a, vendor, b, c, d;

    __cpuid(0, a, vendor, c, d);
    if ((test->flags & LINE_SINGLE) && vendor != signature_INTEL_ebx)
        return false;
    __cpuid(1, a, b, c, d);
    return !(test->flags & WIDE) || (c & bit_SSE4_2);
}

static void
find_processors(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int i = 0; i < CPU_SETSIZE && processors < MAX_THREADS; i++)
        if (CPU_ISSET(i, &set))
            processor_of[processors++] = i;
    if (processors == 0)
        processor_of[processors++] = 0;
    for (unsigned i = processors; i < MAX_THREADS; i++)
        processor_of[i] = processor_of[i % processors];
}

static bool
selected(const struct test *test)
{
    return !options.only || strstr(test->name, options.only);
}

static void
list(const struct test *test, const struct outcomes *allowed, const struct outcomes *strong)
{
    printf("%s: %u threads\n", test->name, test->threads);
    for (unsigned i = 0; i < allowed->count; i++) {
        printf("   ");
        print_outcome(test, &allowed->items[i]);
        printf("%s\n", find_outcome(strong, &allowed->items[i]) < strong->count ? "" : "  relaxed");
    }
}

static bool
parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!strcmp(argv[i], "--brief"))
            options.brief = true;
        else if (!strcmp(argv[i], "--expect-relaxed"))
            options.expect_relaxed = true;
        else if (!strcmp(argv[i], "--expect-strong"))
            options.expect_strong = true;
        else if (!strcmp(argv[i], "--list"))
            options.list = true;
        else if (!value)
            return false;
        else if (i++, !strcmp(argv[i - 1], "--rounds"))
            options.rounds = strtoull(value, NULL, 0);
        else if (!strcmp(argv[i - 1], "--total"))
            options.total = strtoull(value, NULL, 0);
        else if (!strcmp(argv[i - 1], "--only"))
            options.only = value;
        else if (!strcmp(argv[i - 1], "--seed"))
            options.seed = strtoull(value, NULL, 0) | 1;
        else if (!strcmp(argv[i - 1], "--model") && !strcmp(value, "sc"))
            options.sequential = true;
        else
            return false;
    }
    return true;
}

int
main(int argc, char **argv)
{
    static struct outcomes allowed, strong, seen;
    static struct batch batch;
    unsigned count = 0, failed = 0;
    uint64_t rounds, done = 0;
    struct timespec from, to;

    if (!parse(argc, argv)) {
        fprintf(
            stderr,
            "usage: litmus [--rounds N] [--total N] [--only NAME] [--seed N] [--brief] [--expect-relaxed] [--expect-strong] "
            "[--model sc] [--list]\n");
        return 2;
    }
    find_processors();
    for (unsigned i = 0; i < TESTS; i++)
        count += selected(&tests[i]);
    rounds = options.total && count ? (options.total + count - 1) / count : options.rounds;
    if (posix_memalign((void **)&batch.memory, 4096, (size_t)LOCATIONS * BATCH * STRIDE) != 0)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < TESTS; i++) {
        if (!selected(&tests[i]))
            continue;
        if (!applies(&tests[i])) {
            printf(options.brief ? "ok %s\n" : "%s: not promised by this processor\n", tests[i].name);
            continue;
        }
        model_outcomes(&tests[i], true, &allowed);
        model_outcomes(&tests[i], false, &strong);
        if (options.list) {
            list(&tests[i], &allowed, &strong);
            continue;
        }
        run_test(&tests[i], &batch, rounds, &seen);
        for (unsigned k = 0; k < seen.count; k++)
            done += seen.seen[k];
        failed += !judge(&tests[i], &seen, &allowed, &strong);
        fflush(stdout);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (!options.brief)
        fprintf(stderr, "%llu rounds of %u tests on %u processors, %.1f s\n", (unsigned long long)done, count,
                processors, (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    if (!options.list)
        printf("%u tests, %u failed\n", count, failed);
    return count == 0 || failed != 0;
}
