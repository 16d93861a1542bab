/* What the programs here have in common. Each is a list of cases that check themselves; it prints a line per case, the same wherever all is
 * right, and ends with status 1 at the first thing that is not.
 *
 * usage: PROGRAM [--rounds N] [--seconds N] [--only NAME]
 *   --rounds N    how much each case does (the default takes a second or less natively)
 *   --seconds N   all cases again and again, for so long
 * One processor is enough; what a thread waits for in a loop, it waits for with smp_relax(), which lets others run. */
#ifndef TESTS_SMP_H
#define TESTS_SMP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SMP_LINE = 64, SMP_MAX_THREADS = 16 };

#define CHECK(condition)                                                                              \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            fprintf(stderr, "%s:%d: %s: not so (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            _exit(1);                                                                                 \
        }                                                                                             \
    } while (0)
/* For functions that return an error number. */
#define CHECK_ZERO(call)                                                                        \
    do {                                                                                        \
        int smp_error = (call);                                                                 \
        if (smp_error != 0) {                                                                   \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerror(smp_error)); \
            _exit(1);                                                                           \
        }                                                                                       \
    } while (0)

struct smp_case {
    const char *name;
    void (*run)(uint64_t rounds);
    uint64_t rounds; /* the default */
};

static inline uint64_t
smp_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One turn of a waiting loop; *turns is 0 before the first. */
static inline void
smp_relax(unsigned *turns)
{
    __asm__ volatile("pause");
    if (++*turns % 64 == 0)
        sched_yield();
}

static inline uint64_t
smp_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* --- a pair of words that changes as one: cmpxchg16b --- */

struct smp_pair {
    _Alignas(16) volatile uint64_t low;
    volatile uint64_t high;
};

/* Whether *at was *expected and is desired now; else *expected is what it was. */
static inline bool
smp_pair_exchange(struct smp_pair *at, uint64_t expected[2], uint64_t low, uint64_t high)
{
    bool equal;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(equal), "+m"(*at), "+a"(expected[0]), "+d"(expected[1])
                     : "b"(low), "c"(high)
                     : "memory");
    return equal;
}

/* --- threads --- */

struct smp_team {
    void (*run)(void *shared, unsigned number);
    void *shared;
    unsigned count;
    pthread_barrier_t begin;
};

struct smp_member {
    struct smp_team *team;
    unsigned number;
};

static inline void *
smp_member_main(void *argument)
{
    struct smp_member *m = argument;

    pthread_barrier_wait(&m->team->begin);
    m->team->run(m->team->shared, m->number);
    return NULL;
}

/* Runs run(shared, 0 to count - 1), each on its thread, which all begin together; returns when all are done. */
static inline void
smp_run_team(unsigned count, void (*run)(void *shared, unsigned number), void *shared)
{
    struct smp_team team = {.run = run, .shared = shared, .count = count};
    struct smp_member members[SMP_MAX_THREADS];
    pthread_t threads[SMP_MAX_THREADS];

    CHECK(count <= SMP_MAX_THREADS);
    CHECK_ZERO(pthread_barrier_init(&team.begin, NULL, count));
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct smp_member){&team, i};
        CHECK_ZERO(pthread_create(&threads[i], NULL, smp_member_main, &members[i]));
    }
    for (unsigned i = 0; i < count; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
    CHECK_ZERO(pthread_barrier_destroy(&team.begin));
}

/* --- the program --- */

static inline int
smp_main(int argc, char **argv, const struct smp_case *cases, size_t count)
{
    uint64_t rounds = 0, end = 0, passes = 0;
    const char *only = NULL;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            fprintf(stderr, "%s: %s: a value is missing\n", argv[0], argv[i]);
            return 2;
        }
        if (!strcmp(argv[i], "--rounds")) {
            rounds = strtoull(argv[i + 1], NULL, 0);
        } else if (!strcmp(argv[i], "--seconds")) {
            end = smp_now_ns() + strtoull(argv[i + 1], NULL, 0) * 1000000000u;
        } else if (!strcmp(argv[i], "--only")) {
            only = argv[i + 1];
        } else {
            fprintf(stderr, "%s: %s: there is no such option\n", argv[0], argv[i]);
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* a child that exits must not print again what its parent had buffered */
    do {
        for (size_t i = 0; i < count; i++) {
            if (only && strcmp(cases[i].name, only) != 0)
                continue;
            cases[i].run(rounds ? rounds : cases[i].rounds);
            if (passes == 0)
                printf("%s ok\n", cases[i].name);
        }
        passes++;
    } while (smp_now_ns() < end);
    return 0;
}

#endif
