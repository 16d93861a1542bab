/* membarrier(2) as a barrier for both sides of store buffering. In each round two threads do the same: each stores to
 * one variable and then loads the one that the other stores to. The plain side has no barrier between its store and its
 * load; the other side calls membarrier() there, which must be one for both threads. So at least one of them must see
 * the store of the other. A round in which neither does means that the call came back before the plain side's store was
 * visible. If the call is left out, that happens some hundred times in 100,000 rounds on two processors. */
#include "smp.h"

#include <sys/syscall.h>

enum {
    GLOBAL_EXPEDITED = 2,
    REGISTER_GLOBAL_EXPEDITED = 4,
    PRIVATE_EXPEDITED = 8,
    REGISTER_PRIVATE_EXPEDITED = 16,
    PAGES = 64,
    PAGE = 4096,
    TOUCHED = 40
};

#define OWN_LINE _Alignas(SMP_LINE)
struct shared {
    OWN_LINE volatile uint64_t first;
    OWN_LINE volatile uint64_t second;
    OWN_LINE volatile uint64_t seen;  /* what the plain side has loaded */
    OWN_LINE volatile uint64_t begun; /* the round that the other side has begun */
    OWN_LINE volatile uint64_t done;  /* the round that the plain side has done */
    uint64_t rounds;
    int command;
};

static _Alignas(PAGE) volatile char cold[PAGES * PAGE]; /* stores wait behind these */

static void
compiler_only(void)
{
    __asm__ volatile("" ::: "memory");
}

static void
wait_for(volatile uint64_t *what, uint64_t value)
{
    unsigned turns = 0;

    while (*what != value)
        smp_relax(&turns);
}

static void
touch(uint64_t round, char value)
{
    for (uint64_t i = 0; i < TOUCHED; i++)
        cold[(i * PAGE + round % PAGES * SMP_LINE) % sizeof cold] = value;
}

static void
plain_side(struct shared *s)
{
    for (uint64_t k = 1; k <= s->rounds; k++) {
        uint64_t r;

        wait_for(&s->begun, k);
        touch(k, 1);
        s->first = 1;
        compiler_only();
        r = s->second;
        compiler_only();
        s->seen = r;
        compiler_only();
        s->done = k;
    }
}

static void
calling_side(struct shared *s)
{
    uint64_t state = 1;

    for (uint64_t k = 1; k <= s->rounds; k++) {
        uint64_t r;

        touch(k, 2);
        s->first = s->second = 0;
        __sync_synchronize();
        s->begun = k;
        for (volatile unsigned delay = smp_random(&state) % 120; delay; delay--)
            ;
        s->second = 1;
        compiler_only();
        if (s->command)
            CHECK(syscall(SYS_membarrier, s->command, 0, 0) == 0);
        r = s->first;
        compiler_only();
        wait_for(&s->done, k);
        CHECK(s->seen || r);
    }
}

static void
side(void *shared, unsigned number)
{
    if (number == 0)
        plain_side(shared);
    else
        calling_side(shared);
}

static void
test(int command, int registration, uint64_t rounds)
{
    static struct shared s;

    s = (struct shared){.rounds = rounds, .command = command};
    CHECK(syscall(SYS_membarrier, registration, 0, 0) == 0);
    smp_run_team(2, side, &s);
}

static void
test_private(uint64_t rounds)
{
    test(PRIVATE_EXPEDITED, REGISTER_PRIVATE_EXPEDITED, rounds);
}

static void
test_global(uint64_t rounds)
{
    test(GLOBAL_EXPEDITED, REGISTER_GLOBAL_EXPEDITED, rounds);
}

static const struct smp_case cases[] = {
    {"private", test_private, 2000},
    {"global", test_global, 2000},
};

int
main(int argc, char **argv)
{
    return smp_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
