/* Memory that one thread allocates and another changes and frees, for whichever allocator is loaded. */
#include "smp.h"

enum { THREADS = 4, SLOTS = 512 };

struct block {
    uint32_t size, seed; /* then size bytes made of the seed */
};

struct exchange {
    struct block *_Atomic slots[SLOTS];
    uint64_t rounds;
};

static unsigned char
byte_of(const struct block *b, uint32_t i)
{
    return (unsigned char)(b->seed + i * 7);
}

static void
fill(struct block *b, uint32_t from)
{
    for (uint32_t i = from; i < b->size; i++)
        ((unsigned char *)(b + 1))[i] = byte_of(b, i);
}

static void
check(const struct block *b)
{
    for (uint32_t i = 0; i < b->size; i += b->size > 4096 ? 61 : 1)
        CHECK(((const unsigned char *)(b + 1))[i] == byte_of(b, i));
}

static uint32_t
some_size(uint64_t *state)
{
    uint64_t r = smp_random(state);

    return (uint32_t)(r % 64 == 0 ? r >> 40 & 0x3ffff : r % 8 == 0 ? r >> 40 & 0x1fff : r >> 40 & 0xff);
}

static struct block *
make(uint64_t *state)
{
    uint32_t size = some_size(state);
    struct block *b;
    void *p;

    switch (smp_random(state) % 4) {
    case 0:
        CHECK_ZERO(posix_memalign(&p, 64, sizeof *b + size));
        CHECK((uintptr_t)p % 64 == 0);
        b = p;
        break;
    case 1:
        b = calloc(1, sizeof *b + size);
        CHECK(b && b->size == 0);
        for (uint32_t i = 0; i < size; i += 97)
            CHECK(((unsigned char *)(b + 1))[i] == 0);
        break;
    default: b = malloc(sizeof *b + size); CHECK(b);
    }
    *b = (struct block){size, (uint32_t)*state};
    fill(b, 0);
    return b;
}

static struct block *
resize(struct block *b, uint64_t *state)
{
    uint32_t before = b->size, after = some_size(state);

    b = realloc(b, sizeof *b + after);
    CHECK(b);
    b->size = after;
    fill(b, before < after ? before : after);
    return b;
}

static void
exchange_run(void *shared, unsigned number)
{
    struct exchange *x = shared;
    uint64_t state = number * 77 + 1;

    for (uint64_t i = 0; i < x->rounds; i++) {
        struct block *mine = make(&state), *other;

        if (smp_random(&state) % 4 == 0)
            mine = resize(mine, &state);
        other = atomic_exchange(&x->slots[smp_random(&state) % SLOTS], mine);
        if (other) {
            check(other);
            if (smp_random(&state) % 8 == 0) {
                other = resize(other, &state);
                check(other);
            }
            free(other);
        }
    }
}

static void
empty(struct exchange *x)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (x->slots[i])
            check(x->slots[i]);
        free(x->slots[i]);
        x->slots[i] = NULL;
    }
}

static void
test_exchange(uint64_t rounds)
{
    static struct exchange x;

    x.rounds = rounds;
    smp_run_team(THREADS, exchange_run, &x);
    empty(&x);
}

/* Threads that end, and leave what they allocated to others. */
static void
test_lives(uint64_t rounds)
{
    static struct exchange x;

    x.rounds = 64;
    for (uint64_t i = 0; i < rounds; i += x.rounds)
        smp_run_team(THREADS, exchange_run, &x);
    empty(&x);
}

static const struct smp_case cases[] = {
    {"exchange", test_exchange, 20000},
    {"lives", test_lives, 5000},
};

int
main(int argc, char **argv)
{
    return smp_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
