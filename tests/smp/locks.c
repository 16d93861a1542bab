/* The locks of the C library, used by several threads at the same time and in every way that has an answer. */
#include "smp.h"

#include <limits.h>
#include <semaphore.h>

enum { THREADS = 4 };

static struct timespec
after_ms(clockid_t clock, long ms)
{
    struct timespec t;

    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

/* --- mutexes --- */

struct counted {
    pthread_mutex_t lock;
    int type;
    volatile uint64_t count;
    uint64_t rounds;
};

/* Taken by waiting, by trying and with a time limit. */
static void
take(struct counted *c, uint64_t i)
{
    unsigned turns = 0;
    int error;

    switch (i % 4) {
    case 0:
        while ((error = pthread_mutex_trylock(&c->lock)) == EBUSY)
            smp_relax(&turns);
        CHECK_ZERO(error);
        break;
    case 1: {
        struct timespec limit = after_ms(CLOCK_REALTIME, 60000);

        CHECK_ZERO(pthread_mutex_timedlock(&c->lock, &limit));
        break;
    }
    default: CHECK_ZERO(pthread_mutex_lock(&c->lock));
    }
}

static void
mutex_run(void *shared, unsigned number)
{
    struct counted *c = shared;

    for (uint64_t i = 0; i < c->rounds; i++) {
        take(c, i + number);
        c->count++;
        if (c->type == PTHREAD_MUTEX_RECURSIVE && i % 8 == 0) {
            take(c, i);
            c->count++;
            CHECK_ZERO(pthread_mutex_unlock(&c->lock));
        } else if (c->type == PTHREAD_MUTEX_ERRORCHECK && i % 8 == 0) {
            CHECK(pthread_mutex_lock(&c->lock) == EDEADLK);
            c->count++;
        } else if (i % 8 == 0) {
            c->count++;
        }
        if (i % 16 == 3)
            sched_yield(); /* with the lock held */
        CHECK_ZERO(pthread_mutex_unlock(&c->lock));
        if (c->type == PTHREAD_MUTEX_ERRORCHECK && i % 8 == 0)
            CHECK(pthread_mutex_unlock(&c->lock) == EPERM);
    }
}

static void
test_mutex(uint64_t rounds, int type, int protocol, int robust)
{
    struct counted c = {.rounds = rounds, .type = type};
    pthread_mutexattr_t a;

    CHECK_ZERO(pthread_mutexattr_init(&a));
    CHECK_ZERO(pthread_mutexattr_settype(&a, type));
    CHECK_ZERO(pthread_mutexattr_setprotocol(&a, protocol));
    CHECK_ZERO(pthread_mutexattr_setrobust(&a, robust));
    CHECK_ZERO(pthread_mutex_init(&c.lock, &a));
    smp_run_team(THREADS, mutex_run, &c);
    CHECK(c.count == THREADS * (rounds + (rounds + 7) / 8));
    CHECK_ZERO(pthread_mutex_destroy(&c.lock));
    CHECK_ZERO(pthread_mutexattr_destroy(&a));
}

static void
test_normal(uint64_t rounds)
{
    test_mutex(rounds, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void
test_recursive(uint64_t rounds)
{
    test_mutex(rounds, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void
test_errorcheck(uint64_t rounds)
{
    test_mutex(rounds, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void
test_robust(uint64_t rounds)
{
    test_mutex(rounds, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
}

static void
test_inheriting(uint64_t rounds)
{
    test_mutex(rounds, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
}

static void
test_inheriting_robust(uint64_t rounds)
{
    test_mutex(rounds, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_ROBUST);
}

/* Threads that end with a robust mutex held: the next one is told, and makes it consistent. */
struct dying {
    pthread_mutex_t lock;
    uint64_t rounds;
    _Atomic uint64_t deaths, told;
};

static void *
die_with_lock(void *argument)
{
    struct dying *d = argument;
    int error = pthread_mutex_lock(&d->lock);

    if (error == EOWNERDEAD) {
        atomic_fetch_add(&d->told, 1);
        CHECK_ZERO(pthread_mutex_consistent(&d->lock));
    } else {
        CHECK_ZERO(error);
    }
    atomic_fetch_add(&d->deaths, 1);
    return NULL;
}

static void
dying_run(void *shared, unsigned number)
{
    struct dying *d = shared;

    (void)number;
    for (uint64_t i = 0; i < d->rounds; i++) {
        pthread_t t;

        CHECK_ZERO(pthread_create(&t, NULL, die_with_lock, d));
        CHECK_ZERO(pthread_join(t, NULL));
    }
}

static void
dying_owners(uint64_t rounds, int protocol)
{
    struct dying d = {.rounds = rounds};
    pthread_mutexattr_t a;

    CHECK_ZERO(pthread_mutexattr_init(&a));
    CHECK_ZERO(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
    CHECK_ZERO(pthread_mutexattr_setprotocol(&a, protocol));
    CHECK_ZERO(pthread_mutex_init(&d.lock, &a));
    smp_run_team(3, dying_run, &d);
    CHECK(d.deaths == 3 * rounds && d.told == d.deaths - 1);
    CHECK(pthread_mutex_lock(&d.lock) == EOWNERDEAD);
    CHECK_ZERO(pthread_mutex_unlock(&d.lock)); /* without making it consistent */
    CHECK(pthread_mutex_lock(&d.lock) == ENOTRECOVERABLE);
    CHECK_ZERO(pthread_mutex_destroy(&d.lock));
}

static void
test_dying(uint64_t rounds)
{
    dying_owners(rounds, PTHREAD_PRIO_NONE);
}

static void
test_dying_inheriting(uint64_t rounds)
{
    dying_owners(rounds, PTHREAD_PRIO_INHERIT);
}

/* --- condition variables --- */

enum { SLOTS = 4 };

struct buffer {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    unsigned count;
    uint64_t rounds, put, got, sum;
    bool broadcast;
};

static void
cond_run(void *shared, unsigned number)
{
    struct buffer *b = shared;
    uint64_t total = 2 * b->rounds;

    for (;;) {
        bool producer = number % 2 == 0;

        CHECK_ZERO(pthread_mutex_lock(&b->lock));
        if (producer) {
            while (b->count == SLOTS && b->put < total)
                CHECK_ZERO(pthread_cond_wait(&b->emptied, &b->lock));
            if (b->put == total)
                break;
            b->put++;
            b->count++;
            b->sum += b->put;
            b->broadcast ? pthread_cond_broadcast(&b->filled) : pthread_cond_signal(&b->filled);
        } else {
            while (b->count == 0 && b->got < total) {
                struct timespec limit = after_ms(CLOCK_REALTIME, number == 1 ? 60000 : 1);
                int error = pthread_cond_timedwait(&b->filled, &b->lock, &limit);

                CHECK(error == 0 || (error == ETIMEDOUT && number != 1));
            }
            if (b->got == total)
                break;
            b->got++;
            b->count--;
            b->broadcast ? pthread_cond_broadcast(&b->emptied) : pthread_cond_signal(&b->emptied);
        }
        if (b->put == total)
            pthread_cond_broadcast(&b->emptied);
        if (b->got == total)
            pthread_cond_broadcast(&b->filled);
        CHECK_ZERO(pthread_mutex_unlock(&b->lock));
    }
    CHECK_ZERO(pthread_mutex_unlock(&b->lock));
}

static void
test_cond(uint64_t rounds)
{
    for (unsigned broadcast = 0; broadcast < 2; broadcast++) {
        struct buffer b = {.rounds = rounds, .broadcast = broadcast};

        CHECK_ZERO(pthread_mutex_init(&b.lock, NULL));
        CHECK_ZERO(pthread_cond_init(&b.filled, NULL));
        CHECK_ZERO(pthread_cond_init(&b.emptied, NULL));
        smp_run_team(THREADS, cond_run, &b);
        CHECK(b.put == 2 * rounds && b.got == b.put && b.count == 0);
        CHECK_ZERO(pthread_cond_destroy(&b.filled));
        CHECK_ZERO(pthread_cond_destroy(&b.emptied));
        CHECK_ZERO(pthread_mutex_destroy(&b.lock));
    }
}

/* --- readers and writers --- */

struct read_written {
    pthread_rwlock_t lock;
    volatile uint64_t left, right; /* the same under the lock */
    _Atomic int readers, writers;
    uint64_t rounds;
};

static void
rwlock_run(void *shared, unsigned number)
{
    struct read_written *r = shared;
    unsigned turns = 0;

    for (uint64_t i = 0; i < r->rounds; i++) {
        int error;

        if ((i + number) % 8 == 0) {
            while ((error = i % 3 ? pthread_rwlock_wrlock(&r->lock) : pthread_rwlock_trywrlock(&r->lock)) == EBUSY)
                smp_relax(&turns);
            CHECK_ZERO(error);
            CHECK(atomic_fetch_add(&r->writers, 1) == 0 && atomic_load(&r->readers) == 0);
            r->left++;
            if (i % 16 == 0)
                sched_yield();
            r->right++;
            atomic_fetch_sub(&r->writers, 1);
        } else {
            while ((error = i % 3 ? pthread_rwlock_rdlock(&r->lock) : pthread_rwlock_tryrdlock(&r->lock)) == EBUSY)
                smp_relax(&turns);
            CHECK_ZERO(error);
            atomic_fetch_add(&r->readers, 1);
            CHECK(r->left == r->right && atomic_load(&r->writers) == 0);
            if (i % 64 == 1)
                sched_yield();
            CHECK(r->left == r->right);
            atomic_fetch_sub(&r->readers, 1);
        }
        CHECK_ZERO(pthread_rwlock_unlock(&r->lock));
    }
}

static void
test_rwlock(uint64_t rounds)
{
    for (int kind = PTHREAD_RWLOCK_PREFER_READER_NP; kind <= PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP; kind++) {
        struct read_written r = {.rounds = rounds};
        pthread_rwlockattr_t a;

        CHECK_ZERO(pthread_rwlockattr_init(&a));
        CHECK_ZERO(pthread_rwlockattr_setkind_np(&a, kind));
        CHECK_ZERO(pthread_rwlock_init(&r.lock, &a));
        smp_run_team(THREADS, rwlock_run, &r);
        CHECK(r.left == r.right);
        CHECK_ZERO(pthread_rwlock_destroy(&r.lock));
    }
}

/* --- barriers --- */

struct rows {
    pthread_barrier_t barrier;
    volatile uint64_t row[THREADS];
    _Atomic uint64_t serial;
    uint64_t rounds;
};

static void
barrier_run(void *shared, unsigned number)
{
    struct rows *r = shared;

    for (uint64_t i = 1; i <= r->rounds; i++) {
        int result;

        r->row[number] = i; /* a plain store: the barrier orders it */
        result = pthread_barrier_wait(&r->barrier);
        CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
        atomic_fetch_add(&r->serial, result == PTHREAD_BARRIER_SERIAL_THREAD);
        for (unsigned t = 0; t < THREADS; t++)
            CHECK(r->row[t] == i);
        result = pthread_barrier_wait(&r->barrier);
        atomic_fetch_add(&r->serial, result == PTHREAD_BARRIER_SERIAL_THREAD);
    }
}

static void
test_barrier(uint64_t rounds)
{
    struct rows r = {.rounds = rounds};

    CHECK_ZERO(pthread_barrier_init(&r.barrier, NULL, THREADS));
    smp_run_team(THREADS, barrier_run, &r);
    CHECK(r.serial == 2 * rounds);
    CHECK_ZERO(pthread_barrier_destroy(&r.barrier));
}

/* A barrier that is destroyed by whoever leaves it first. */
static void
leaving_run(void *shared, unsigned number)
{
    pthread_barrier_t *b = shared;

    (void)number;
    if (pthread_barrier_wait(b) == PTHREAD_BARRIER_SERIAL_THREAD) {
        CHECK_ZERO(pthread_barrier_destroy(b));
        memset(b, 0x5a, sizeof *b);
    }
}

static void
test_barrier_destroyed(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        pthread_barrier_t b;

        CHECK_ZERO(pthread_barrier_init(&b, NULL, 3));
        smp_run_team(3, leaving_run, &b);
    }
}

/* --- once --- */

static pthread_once_t once;
static _Atomic uint64_t once_runs;
static volatile uint64_t once_result;

static void
once_routine(void)
{
    sched_yield();
    once_result = 42;
    atomic_fetch_add(&once_runs, 1);
}

static void
once_run(void *shared, unsigned number)
{
    (void)shared, (void)number;
    CHECK_ZERO(pthread_once(&once, once_routine));
    CHECK(once_result == 42);
}

static void
test_once(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        once = (pthread_once_t)PTHREAD_ONCE_INIT;
        once_result = 0;
        once_runs = 0;
        smp_run_team(THREADS, once_run, NULL);
        CHECK(once_runs == 1);
    }
}

/* --- cancellation --- */

struct cancelled {
    pthread_mutex_t lock;
    pthread_cond_t never;
    _Atomic int inside, cleaned;
    bool busy, asynchronous;
    volatile uint64_t spins;
};

static void
cancel_cleanup(void *argument)
{
    struct cancelled *c = argument;

    atomic_fetch_add(&c->cleaned, 1);
    if (!c->busy)
        CHECK_ZERO(pthread_mutex_unlock(&c->lock)); /* the wait has taken it again */
}

static void *
cancel_victim(void *argument)
{
    struct cancelled *c = argument;

    if (!c->busy)
        CHECK_ZERO(pthread_mutex_lock(&c->lock));
    pthread_cleanup_push(cancel_cleanup, c);
    atomic_fetch_add(&c->inside, 1);
    if (c->busy && c->asynchronous)
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (;;) {
        if (!c->busy)
            pthread_cond_wait(&c->never, &c->lock);
        else if (!c->asynchronous)
            pthread_testcancel();
        c->spins++;
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void
test_cancel(uint64_t rounds)
{
    enum { VICTIMS = 3 };

    for (uint64_t i = 0; i < rounds; i++) {
        struct cancelled c = {.busy = i % 3 != 0, .asynchronous = i % 3 == 2};
        pthread_t t[VICTIMS];
        unsigned turns = 0;

        CHECK_ZERO(pthread_mutex_init(&c.lock, NULL));
        CHECK_ZERO(pthread_cond_init(&c.never, NULL));
        for (unsigned k = 0; k < VICTIMS; k++)
            CHECK_ZERO(pthread_create(&t[k], NULL, cancel_victim, &c));
        while (i % 2 && atomic_load(&c.inside) < VICTIMS) /* else at whatever place each has come to */
            smp_relax(&turns);
        for (unsigned k = 0; k < VICTIMS; k++) {
            while (c.asynchronous && atomic_load(&c.inside) < VICTIMS)
                smp_relax(&turns);
            CHECK_ZERO(pthread_cancel(t[k]));
        }
        for (unsigned k = 0; k < VICTIMS; k++) {
            void *result;

            CHECK_ZERO(pthread_join(t[k], &result));
            CHECK(result == PTHREAD_CANCELED);
        }
        CHECK(c.cleaned == c.inside && c.cleaned == VICTIMS);
        CHECK_ZERO(pthread_mutex_lock(&c.lock));
        CHECK_ZERO(pthread_mutex_unlock(&c.lock));
        CHECK_ZERO(pthread_cond_destroy(&c.never));
        CHECK_ZERO(pthread_mutex_destroy(&c.lock));
    }
}

/* --- spin locks, semaphores --- */

struct spun {
    pthread_spinlock_t lock;
    sem_t free;
    volatile uint64_t count, slow_count;
    _Atomic int inside;
    uint64_t rounds;
};

static void
spin_run(void *shared, unsigned number)
{
    struct spun *s = shared;
    unsigned turns = 0;

    (void)number;
    for (uint64_t i = 0; i < s->rounds; i++) {
        while (pthread_spin_trylock(&s->lock) != 0)
            smp_relax(&turns);
        s->count++;
        CHECK_ZERO(pthread_spin_unlock(&s->lock));
    }
}

static void
test_spin(uint64_t rounds)
{
    struct spun s = {.rounds = rounds};

    CHECK_ZERO(pthread_spin_init(&s.lock, PTHREAD_PROCESS_PRIVATE));
    smp_run_team(THREADS, spin_run, &s);
    CHECK(s.count == THREADS * rounds);
    CHECK_ZERO(pthread_spin_destroy(&s.lock));
}

static void
semaphore_run(void *shared, unsigned number)
{
    struct spun *s = shared;

    (void)number;
    for (uint64_t i = 0; i < s->rounds; i++) {
        CHECK(sem_wait(&s->free) == 0);
        CHECK(atomic_fetch_add(&s->inside, 1) < 2);
        if (i % 32 == 0)
            sched_yield();
        atomic_fetch_sub(&s->inside, 1);
        CHECK(sem_post(&s->free) == 0);
    }
}

static void
test_semaphore(uint64_t rounds)
{
    struct spun s = {.rounds = rounds};
    int value;

    CHECK(sem_init(&s.free, 0, 2) == 0);
    smp_run_team(THREADS, semaphore_run, &s);
    CHECK(sem_getvalue(&s.free, &value) == 0 && value == 2);
    CHECK(sem_destroy(&s.free) == 0);
}

/* --- threads that come and go, with data of their own --- */

static pthread_key_t key;
static _Atomic uint64_t destroyed;
static __thread uint64_t own[32] = {7};

static void
destroy_value(void *value)
{
    free(value);
    atomic_fetch_add(&destroyed, 1);
}

static void *
short_life(void *argument)
{
    uint64_t *value = malloc(sizeof *value);

    CHECK(value && own[0] == 7 && own[31] == 0);
    own[0] = own[31] = (uintptr_t)argument;
    *value = own[0];
    CHECK_ZERO(pthread_setspecific(key, value));
    sched_yield();
    CHECK(own[0] == (uintptr_t)argument && *(uint64_t *)pthread_getspecific(key) == own[31]);
    return argument;
}

static void
lives_run(void *shared, unsigned number)
{
    uint64_t rounds = *(uint64_t *)shared;

    for (uint64_t i = 0; i < rounds; i++) {
        pthread_t t;
        void *result, *value = (void *)(uintptr_t)(i * THREADS + number + 1);

        CHECK_ZERO(pthread_create(&t, NULL, short_life, value));
        CHECK_ZERO(pthread_join(t, &result));
        CHECK(result == value);
    }
}

static void
test_lives(uint64_t rounds)
{
    destroyed = 0;
    CHECK_ZERO(pthread_key_create(&key, destroy_value));
    smp_run_team(THREADS, lives_run, &rounds);
    CHECK(destroyed == THREADS * rounds);
    CHECK_ZERO(pthread_key_delete(key));
}

static const struct smp_case cases[] = {
    {"normal mutex", test_normal, 10000},
    {"recursive mutex", test_recursive, 10000},
    {"errorcheck mutex", test_errorcheck, 10000},
    {"robust mutex", test_robust, 10000},
    {"inheriting mutex", test_inheriting, 10000},
    {"inheriting robust mutex", test_inheriting_robust, 10000},
    {"dying owners", test_dying, 100},
    {"dying owners, inheriting", test_dying_inheriting, 100},
    {"cond", test_cond, 5000},
    {"rwlock", test_rwlock, 5000},
    {"barrier", test_barrier, 2000},
    {"barrier that is destroyed", test_barrier_destroyed, 200},
    {"once", test_once, 200},
    {"cancel", test_cancel, 60},
    {"spin", test_spin, 20000},
    {"semaphore", test_semaphore, 5000},
    {"lives", test_lives, 100},
};

int
main(int argc, char **argv)
{
    return smp_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
