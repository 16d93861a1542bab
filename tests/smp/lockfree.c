/* Algorithms that are right only if the processor's memory order is: queues, stacks, tables and locks without the kernel. What they need
 * of the order is written as C11 atomics, and on x86 most of it becomes plain loads and stores. */
#include "smp.h"

/* --- rings --- */

enum { RING = 64 };

struct single_ring { /* one producer, one consumer */
    _Alignas(SMP_LINE) _Atomic uint64_t head;
    _Alignas(SMP_LINE) _Atomic uint64_t tail;
    uint64_t items[RING];
    uint64_t rounds;
};

static void
single_ring_run(void *shared, unsigned number)
{
    struct single_ring *r = shared;
    unsigned turns = 0;

    for (uint64_t i = 0; i < r->rounds; i++) {
        if (number == 0) {
            while (i - atomic_load_explicit(&r->tail, memory_order_acquire) == RING)
                smp_relax(&turns);
            r->items[i % RING] = i * 3;
            atomic_store_explicit(&r->head, i + 1, memory_order_release);
        } else {
            while (atomic_load_explicit(&r->head, memory_order_acquire) == i)
                smp_relax(&turns);
            CHECK(r->items[i % RING] == i * 3);
            atomic_store_explicit(&r->tail, i + 1, memory_order_release);
        }
    }
}

static void
test_single_ring(uint64_t rounds)
{
    struct single_ring r = {.rounds = rounds};

    smp_run_team(2, single_ring_run, &r);
}

struct many_ring { /* Vyukov's: each cell says whose turn it is */
    struct cell {
        _Atomic uint64_t sequence;
        uint64_t item;
    } cells[RING];
    _Alignas(SMP_LINE) _Atomic uint64_t head;
    _Alignas(SMP_LINE) _Atomic uint64_t tail;
    _Alignas(SMP_LINE) _Atomic uint64_t taken;
    _Atomic uint64_t sum;
    uint64_t rounds; /* of each producer */
};

enum { PRODUCERS = 2, CONSUMERS = 2 };

static void
many_ring_put(struct many_ring *r, uint64_t item)
{
    uint64_t at = atomic_load_explicit(&r->head, memory_order_relaxed);
    unsigned turns = 0;

    for (;;) {
        struct cell *c = &r->cells[at % RING];
        int64_t ahead = (int64_t)(atomic_load_explicit(&c->sequence, memory_order_acquire) - at);

        if (ahead == 0 &&
            atomic_compare_exchange_weak_explicit(&r->head, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) {
            c->item = item;
            atomic_store_explicit(&c->sequence, at + 1, memory_order_release);
            return;
        }
        if (ahead < 0)
            smp_relax(&turns);
        at = atomic_load_explicit(&r->head, memory_order_relaxed);
    }
}

static bool
many_ring_get(struct many_ring *r, uint64_t *item)
{
    uint64_t at = atomic_load_explicit(&r->tail, memory_order_relaxed);

    for (;;) {
        struct cell *c = &r->cells[at % RING];
        int64_t ahead = (int64_t)(atomic_load_explicit(&c->sequence, memory_order_acquire) - (at + 1));

        if (ahead < 0)
            return false;
        if (ahead == 0 &&
            atomic_compare_exchange_weak_explicit(&r->tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) {
            *item = c->item;
            atomic_store_explicit(&c->sequence, at + RING, memory_order_release);
            return true;
        }
        at = atomic_load_explicit(&r->tail, memory_order_relaxed);
    }
}

static void
many_ring_run(void *shared, unsigned number)
{
    struct many_ring *r = shared;
    uint64_t last[PRODUCERS] = {0}, sum = 0, item;
    unsigned turns = 0;

    if (number < PRODUCERS) {
        for (uint64_t i = 1; i <= r->rounds; i++)
            many_ring_put(r, i * PRODUCERS + number);
        return;
    }
    while (atomic_load(&r->taken) < PRODUCERS * r->rounds) {
        if (!many_ring_get(r, &item)) {
            smp_relax(&turns);
            continue;
        }
        CHECK(item / PRODUCERS > last[item % PRODUCERS]); /* of each producer, in its order */
        last[item % PRODUCERS] = item / PRODUCERS;
        sum += item / PRODUCERS;
        atomic_fetch_add(&r->taken, 1);
    }
    atomic_fetch_add(&r->sum, sum);
}

static void
test_many_ring(uint64_t rounds)
{
    struct many_ring r = {.rounds = rounds};

    for (unsigned i = 0; i < RING; i++)
        r.cells[i].sequence = i;
    smp_run_team(PRODUCERS + CONSUMERS, many_ring_run, &r);
    CHECK(r.taken == PRODUCERS * rounds && r.sum == PRODUCERS * (rounds * (rounds + 1) / 2));
}

/* --- lists whose pointers carry a count, against reuse: cmpxchg16b --- */

enum { NODES = 256, THREADS = 4, NONE = 0 };

struct node {
    struct smp_pair next; /* a node's number, and how often it changed */
    _Atomic uint32_t owners;
    uint64_t value;
};

struct pool {
    struct node nodes[NODES + 1]; /* 0: none */
    struct smp_pair top;
    uint64_t rounds;
    _Atomic uint64_t pushed, popped;
    /* of the queue */
    struct smp_pair first, last;
    _Atomic uint64_t taken, sum;
};

static void
read_pair(const struct smp_pair *p, uint64_t to[2])
{
    to[0] = p->low; /* two loads: if somebody comes between, the exchange fails */
    to[1] = p->high;
}

static void
stack_push(struct pool *p, struct smp_pair *top, uint64_t n)
{
    uint64_t old[2];

    read_pair(top, old);
    do
        p->nodes[n].next.low = old[0];
    while (!smp_pair_exchange(top, old, n, old[1] + 1));
}

static uint64_t
stack_pop(struct pool *p, struct smp_pair *top)
{
    uint64_t old[2];

    read_pair(top, old);
    do {
        if (old[0] == NONE)
            return NONE;
    } while (!smp_pair_exchange(top, old, p->nodes[old[0]].next.low, old[1] + 1));
    return old[0];
}

static void
stack_run(void *shared, unsigned number)
{
    struct pool *p = shared;
    uint64_t state = number + 1, mine[8];
    unsigned count = 0;

    for (uint64_t i = 0; i < p->rounds; i++) {
        if (count < 8 && (count == 0 || smp_random(&state) % 2)) {
            uint64_t n = stack_pop(p, &p->top);

            if (n == NONE)
                continue;
            CHECK(atomic_fetch_add(&p->nodes[n].owners, 1) == 0);
            p->nodes[n].value = number;
            mine[count++] = n;
        } else {
            uint64_t n = mine[--count];

            CHECK(p->nodes[n].value == number);
            CHECK(atomic_fetch_sub(&p->nodes[n].owners, 1) == 1);
            stack_push(p, &p->top, n);
        }
    }
    while (count > 0) {
        CHECK(atomic_fetch_sub(&p->nodes[mine[--count]].owners, 1) == 1);
        stack_push(p, &p->top, mine[count]);
    }
}

static struct pool pool;

static void
fill_pool(uint64_t rounds)
{
    memset(&pool, 0, sizeof pool);
    pool.rounds = rounds;
    for (uint64_t n = 1; n <= NODES; n++)
        stack_push(&pool, &pool.top, n);
}

static uint64_t
count_free(void)
{
    uint64_t count = 0;

    while (stack_pop(&pool, &pool.top) != NONE)
        count++;
    return count;
}

static void
test_treiber_stack(uint64_t rounds)
{
    fill_pool(rounds);
    smp_run_team(THREADS, stack_run, &pool);
    CHECK(count_free() == NODES);
}

/* Michael and Scott's queue; its nodes come from the stack. The first node is a dummy. */
static void
queue_put(struct pool *p, uint64_t n)
{
    uint64_t last[2], next[2];

    read_pair(&p->nodes[n].next, next);
    while (!smp_pair_exchange(&p->nodes[n].next, next, NONE, next[1] + 1))
        ;
    for (;;) {
        read_pair(&p->last, last);
        if (last[0] == NONE || last[0] > NODES)
            continue;
        read_pair(&p->nodes[last[0]].next, next);
        if (last[0] != p->last.low || last[1] != p->last.high)
            continue;
        if (next[0] != NONE) {
            smp_pair_exchange(&p->last, last, next[0], last[1] + 1);
            continue;
        }
        if (smp_pair_exchange(&p->nodes[last[0]].next, next, n, next[1] + 1))
            break;
    }
    smp_pair_exchange(&p->last, last, n, last[1] + 1);
}

/* The node that is free now; its successor's value is in *value. */
static uint64_t
queue_get(struct pool *p, uint64_t *value)
{
    uint64_t first[2], last[2], next[2];

    for (;;) {
        read_pair(&p->first, first);
        read_pair(&p->last, last);
        read_pair(&p->nodes[first[0]].next, next);
        if (first[0] != p->first.low || first[1] != p->first.high)
            continue;
        if (first[0] == last[0]) {
            if (next[0] == NONE)
                return NONE;
            smp_pair_exchange(&p->last, last, next[0], last[1] + 1);
            continue;
        }
        if (next[0] == NONE)
            continue;
        *value = atomic_load_explicit((_Atomic uint64_t *)&p->nodes[next[0]].value, memory_order_relaxed);
        if (smp_pair_exchange(&p->first, first, next[0], first[1] + 1))
            return first[0];
    }
}

/* A node's next pointer is the queue's and the stack's, so it changes by exchange only while others may look. */
static void
queue_free(struct pool *p, uint64_t n)
{
    stack_push(p, &p->top, n);
}

static void
queue_run(void *shared, unsigned number)
{
    struct pool *p = shared;
    uint64_t last[THREADS] = {0}, sum = 0, value;
    unsigned turns = 0;

    if (number < THREADS / 2) {
        for (uint64_t i = 1; i <= p->rounds; i++) {
            uint64_t n;

            while ((n = stack_pop(p, &p->top)) == NONE)
                smp_relax(&turns);
            atomic_store_explicit((_Atomic uint64_t *)&p->nodes[n].value, i * THREADS + number, memory_order_relaxed);
            queue_put(p, n);
        }
        return;
    }
    while (atomic_load(&p->taken) < THREADS / 2 * p->rounds) {
        uint64_t n = queue_get(p, &value);

        if (n == NONE) {
            smp_relax(&turns);
            continue;
        }
        CHECK(value / THREADS > last[value % THREADS]);
        last[value % THREADS] = value / THREADS;
        sum += value / THREADS;
        queue_free(p, n);
        atomic_fetch_add(&p->taken, 1);
    }
    atomic_fetch_add(&p->sum, sum);
}

static void
test_queue(uint64_t rounds)
{
    uint64_t dummy;

    fill_pool(rounds);
    dummy = stack_pop(&pool, &pool.top);
    pool.nodes[dummy].next.low = NONE;
    pool.first.low = pool.last.low = dummy;
    smp_run_team(THREADS, queue_run, &pool);
    CHECK(pool.sum == THREADS / 2 * (rounds * (rounds + 1) / 2));
    CHECK(count_free() == NODES - 1);
}

/* --- Chase and Lev's deque: the owner takes from one end, thieves from the other --- */

enum { DEQUE = 1024 };

struct deque {
    _Alignas(SMP_LINE) _Atomic int64_t top;
    _Alignas(SMP_LINE) _Atomic int64_t bottom;
    _Atomic uint64_t items[DEQUE];
    _Atomic uint8_t *taken; /* by item: how often */
    _Atomic bool done;
    uint64_t rounds;
};

static uint64_t
deque_take(struct deque *d)
{
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1, top;
    uint64_t item = 0;

    atomic_store_explicit(&d->bottom, bottom, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    top = atomic_load_explicit(&d->top, memory_order_relaxed);
    if (top <= bottom) {
        item = atomic_load_explicit(&d->items[bottom % DEQUE], memory_order_relaxed);
        if (top != bottom)
            return item;
        if (!atomic_compare_exchange_strong(&d->top, &top, top + 1))
            item = 0;
    }
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_relaxed);
    return item;
}

static uint64_t
deque_steal(struct deque *d)
{
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire), bottom;
    uint64_t item;

    atomic_thread_fence(memory_order_seq_cst);
    bottom = atomic_load_explicit(&d->bottom, memory_order_acquire);
    if (top >= bottom)
        return 0;
    item = atomic_load_explicit(&d->items[top % DEQUE], memory_order_relaxed);
    return atomic_compare_exchange_strong(&d->top, &top, top + 1) ? item : 0;
}

static void
deque_run(void *shared, unsigned number)
{
    struct deque *d = shared;
    uint64_t state = 7, put = 0, item;
    unsigned turns = 0;

    while (number == 0 && put < d->rounds) {
        int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);

        if (smp_random(&state) % 3 && bottom - atomic_load_explicit(&d->top, memory_order_acquire) < DEQUE) {
            atomic_store_explicit(&d->items[bottom % DEQUE], ++put, memory_order_relaxed);
            atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release);
        } else if ((item = deque_take(d)) != 0) {
            CHECK(atomic_fetch_add(&d->taken[item], 1) == 0);
        }
    }
    if (number == 0) {
        while ((item = deque_take(d)) != 0)
            CHECK(atomic_fetch_add(&d->taken[item], 1) == 0);
        atomic_store(&d->done, true);
        return;
    }
    while (!atomic_load(&d->done)) {
        if ((item = deque_steal(d)) != 0)
            CHECK(atomic_fetch_add(&d->taken[item], 1) == 0);
        else
            smp_relax(&turns);
    }
}

static void
test_deque(uint64_t rounds)
{
    static struct deque d;

    memset(&d, 0, sizeof d);
    d.rounds = rounds;
    d.taken = calloc(rounds + 1, 1);
    CHECK(d.taken);
    smp_run_team(3, deque_run, &d);
    for (uint64_t i = 1; i <= rounds; i++)
        CHECK(d.taken[i] == 1);
    free((void *)d.taken);
}

/* --- a table: keys are put by compare and exchange and stay --- */

enum { TABLE = 1 << 12, KEYS = 3000 };

struct table {
    _Atomic uint64_t keys[TABLE], counts[TABLE];
    _Atomic uint64_t made;
    uint64_t rounds;
};

static void
table_count(struct table *t, uint64_t key)
{
    for (uint64_t at = key * 0x9e3779b97f4a7c15u >> 52;; at = (at + 1) % TABLE) {
        uint64_t there = atomic_load_explicit(&t->keys[at], memory_order_relaxed);

        if (there == 0 && atomic_compare_exchange_strong(&t->keys[at], &there, key)) {
            atomic_fetch_add(&t->made, 1);
            there = key;
        }
        if (there == key) {
            atomic_fetch_add_explicit(&t->counts[at], 1, memory_order_relaxed);
            return;
        }
    }
}

static void
table_run(void *shared, unsigned number)
{
    struct table *t = shared;
    uint64_t state = number + 1;

    for (uint64_t i = 0; i < t->rounds; i++)
        table_count(t, 1 + smp_random(&state) % KEYS);
    for (uint64_t key = 1; key <= KEYS; key++)
        table_count(t, key);
}

static void
test_table(uint64_t rounds)
{
    static struct table t;
    uint64_t sum = 0, keys = 0;

    memset(&t, 0, sizeof t);
    t.rounds = rounds;
    smp_run_team(THREADS, table_run, &t);
    for (unsigned i = 0; i < TABLE; i++) {
        sum += t.counts[i];
        keys += t.keys[i] != 0;
    }
    CHECK(t.made == KEYS && keys == KEYS && sum == THREADS * (rounds + KEYS));
}

/* --- readers that nobody waits for --- */

enum { WORDS = 6 };

struct sequence_lock {
    _Alignas(SMP_LINE) _Atomic uint32_t sequence;
    _Atomic uint64_t words[WORDS];
    _Atomic bool done;
    uint64_t rounds;
    _Atomic uint64_t reads;
};

static void
sequence_lock_run(void *shared, unsigned number)
{
    struct sequence_lock *s = shared;
    unsigned turns = 0;

    if (number == 0) {
        for (uint64_t i = 1; i <= s->rounds; i++) {
            atomic_fetch_add_explicit(&s->sequence, 1, memory_order_acquire);
            for (unsigned w = 0; w < WORDS; w++)
                atomic_store_explicit(&s->words[w], i + w, memory_order_relaxed);
            atomic_fetch_add_explicit(&s->sequence, 1, memory_order_release);
            if (i % 32 == 0) /* else no reader would ever be in time on one processor */
                sched_yield();
        }
        atomic_store(&s->done, true);
        return;
    }
    while (!atomic_load(&s->done)) {
        uint64_t copy[WORDS];
        uint32_t before = atomic_load_explicit(&s->sequence, memory_order_acquire);

        for (unsigned w = 0; w < WORDS; w++)
            copy[w] = atomic_load_explicit(&s->words[w], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 && before == atomic_load_explicit(&s->sequence, memory_order_relaxed)) {
            for (unsigned w = 1; w < WORDS; w++)
                CHECK(copy[w] == copy[0] + w);
            atomic_fetch_add_explicit(&s->reads, 1, memory_order_relaxed);
        }
        smp_relax(&turns);
    }
}

static void
test_sequence_lock(uint64_t rounds)
{
    struct sequence_lock s = {.rounds = rounds};

    for (unsigned w = 0; w < WORDS; w++)
        s.words[w] = w;
    smp_run_team(3, sequence_lock_run, &s);
}

/* Read, copy, update: readers say when they hold nothing (a quiescent state), and what was replaced is poisoned after each has. */
enum { READERS = 3, POISON = 0xdead };

struct version {
    uint64_t number, twice;
};

struct updated {
    struct version *_Atomic current;
    struct {
        _Alignas(SMP_LINE) _Atomic uint64_t seen; /* the last period that the reader knows of; 0: it is gone */
    } readers[READERS];
    _Alignas(SMP_LINE) _Atomic uint64_t period;
    _Atomic bool done;
    uint64_t rounds;
};

static void
wait_for_readers(struct updated *u)
{
    uint64_t period = atomic_fetch_add(&u->period, 1) + 1;
    unsigned turns = 0;

    for (unsigned r = 0; r < READERS; r++)
        for (uint64_t seen; (seen = atomic_load(&u->readers[r].seen)) != 0 && seen < period;)
            smp_relax(&turns);
}

static void
updated_run(void *shared, unsigned number)
{
    struct updated *u = shared;
    unsigned turns = 0;

    if (number < READERS) {
        while (!atomic_load_explicit(&u->done, memory_order_acquire)) {
            for (unsigned i = 0; i < 8; i++) {
                struct version *v = atomic_load_explicit(&u->current, memory_order_consume);

                CHECK(v->twice == 2 * v->number && v->number != POISON);
            }
            atomic_store(&u->readers[number].seen, atomic_load(&u->period));
            smp_relax(&turns);
        }
        atomic_store(&u->readers[number].seen, 0);
        return;
    }
    for (uint64_t i = 1; i <= u->rounds; i++) {
        struct version *v = malloc(sizeof *v), *old;

        CHECK(v);
        *v = (struct version){i + POISON, 2 * (i + POISON)};
        old = atomic_exchange_explicit(&u->current, v, memory_order_acq_rel);
        wait_for_readers(u);
        *old = (struct version){POISON, 1};
        free(old);
    }
    atomic_store_explicit(&u->done, true, memory_order_release);
}

static void
test_read_copy_update(uint64_t rounds)
{
    struct updated u = {.rounds = rounds, .period = 1};

    u.current = malloc(sizeof(struct version));
    CHECK(u.current);
    *u.current = (struct version){0, 0};
    for (unsigned r = 0; r < READERS; r++)
        u.readers[r].seen = 1;
    smp_run_team(READERS + 1, updated_run, &u);
    free(u.current);
}

/* --- locks --- */

struct guarded {
    _Alignas(SMP_LINE) _Atomic uint32_t wants[2], turn;
    _Alignas(SMP_LINE) _Atomic uint32_t next, serving;
    _Alignas(SMP_LINE) volatile uint64_t count; /* what the lock guards; not atomic */
    struct waiter *_Atomic tail;
    uint64_t rounds;
};

static void
peterson_run(void *shared, unsigned me)
{
    struct guarded *g = shared;
    unsigned turns = 0;

    for (uint64_t i = 0; i < g->rounds; i++) {
        atomic_store_explicit(&g->wants[me], 1, memory_order_relaxed);
        atomic_store_explicit(&g->turn, !me, memory_order_relaxed);
        __asm__ volatile("mfence" ::: "memory");
        while (atomic_load_explicit(&g->wants[!me], memory_order_acquire) &&
               atomic_load_explicit(&g->turn, memory_order_acquire) != me)
            smp_relax(&turns);
        g->count++;
        atomic_store_explicit(&g->wants[me], 0, memory_order_release);
    }
}

/* The same with an exchange where MFENCE was. */
static void
dekker_run(void *shared, unsigned me)
{
    struct guarded *g = shared;
    unsigned turns = 0;

    for (uint64_t i = 0; i < g->rounds; i++) {
        atomic_exchange(&g->wants[me], 1);
        while (atomic_load_explicit(&g->wants[!me], memory_order_acquire)) {
            if (atomic_load_explicit(&g->turn, memory_order_relaxed) == me)
                continue;
            atomic_store_explicit(&g->wants[me], 0, memory_order_release);
            while (atomic_load_explicit(&g->turn, memory_order_acquire) != me)
                smp_relax(&turns);
            atomic_exchange(&g->wants[me], 1);
        }
        g->count++;
        atomic_store_explicit(&g->turn, !me, memory_order_relaxed);
        atomic_store_explicit(&g->wants[me], 0, memory_order_release);
        if (i + 1 == g->rounds)
            atomic_store(&g->turn, !me);
    }
}

static void
ticket_run(void *shared, unsigned number)
{
    struct guarded *g = shared;
    unsigned turns = 0;

    (void)number;
    for (uint64_t i = 0; i < g->rounds; i++) {
        uint32_t mine = atomic_fetch_add_explicit(&g->next, 1, memory_order_relaxed);

        while (atomic_load_explicit(&g->serving, memory_order_acquire) != mine)
            smp_relax(&turns);
        g->count++;
        atomic_store_explicit(&g->serving, mine + 1, memory_order_release); /* a plain store */
    }
}

struct waiter { /* of Mellor-Crummey and Scott's lock */
    struct waiter *_Atomic next;
    _Atomic bool waits;
};

static void
mcs_run(void *shared, unsigned number)
{
    struct guarded *g = shared;
    unsigned turns = 0;

    (void)number;
    for (uint64_t i = 0; i < g->rounds; i++) {
        struct waiter me = {.waits = true}, *before = atomic_exchange(&g->tail, &me), *expected = &me;

        if (before) {
            atomic_store_explicit(&before->next, &me, memory_order_release);
            while (atomic_load_explicit(&me.waits, memory_order_acquire))
                smp_relax(&turns);
        }
        g->count++;
        if (!atomic_load_explicit(&me.next, memory_order_acquire) &&
            atomic_compare_exchange_strong(&g->tail, &expected, NULL))
            continue;
        while (!atomic_load_explicit(&me.next, memory_order_acquire))
            smp_relax(&turns);
        atomic_store_explicit(&me.next->waits, false, memory_order_release);
    }
}

static void
test_lock(unsigned threads, void (*run)(void *, unsigned), uint64_t rounds)
{
    struct guarded g = {.rounds = rounds};

    smp_run_team(threads, run, &g);
    CHECK(g.count == threads * rounds);
}

static void
test_peterson(uint64_t rounds)
{
    test_lock(2, peterson_run, rounds);
}

static void
test_dekker(uint64_t rounds)
{
    test_lock(2, dekker_run, rounds);
}

static void
test_ticket(uint64_t rounds)
{
    test_lock(THREADS, ticket_run, rounds);
}

static void
test_mcs(uint64_t rounds)
{
    test_lock(THREADS, mcs_run, rounds);
}

/* --- locked instructions that compilers seldom make --- */

struct odd {
    _Alignas(SMP_LINE) uint8_t bytes[SMP_LINE];
    uint64_t rounds;
    _Atomic uint64_t set[2];
};

/* Bits of one word that each thread sets and clears itself; a counter that is negated; additions to unaligned words. */
static void
odd_run(void *shared, unsigned number)
{
    struct odd *o = shared;
    uint64_t set = 0;

    for (uint64_t i = 0; i < o->rounds; i++) {
        uint64_t bit = number + i % 16 * THREADS;
        bool was;

        __asm__ volatile("lock btsq %2, %1" : "=@ccc"(was), "+m"(*(uint64_t(*)[1])o->bytes) : "r"(bit) : "memory");
        CHECK(!was);
        __asm__ volatile("lock btcq %2, %1" : "=@ccc"(was), "+m"(*(uint64_t(*)[1])o->bytes) : "r"(bit) : "memory");
        CHECK(was);
        __asm__ volatile("lock negl %0" : "+m"(*(uint32_t *)(o->bytes + 16)) : : "memory", "cc");
        __asm__ volatile("lock addl $1, %0" : "+m"(*(uint32_t(*)[1])(o->bytes + 21)) : : "memory", "cc");
        __asm__ volatile("lock subw $1, %0" : "+m"(*(uint16_t(*)[1])(o->bytes + 27)) : : "memory", "cc");
        __asm__ volatile("lock notb %0" : "+m"(o->bytes[32 + number % 4]) : : "memory");
        __asm__ volatile("lock adcl $0, %0" : "+m"(*(uint32_t *)(o->bytes + 40)) : : "memory", "cc");
        __asm__ volatile("lock btsl $3, %1" : "=@ccc"(was), "+m"(*(uint32_t *)(o->bytes + 48)) : : "memory");
        set += !was;
        __asm__ volatile("lock btrl $3, %1" : "=@ccc"(was), "+m"(*(uint32_t *)(o->bytes + 48)) : : "memory");
        set -= was;
    }
    atomic_fetch_add(&o->set[0], set);
}

static void
test_odd(uint64_t rounds)
{
    struct odd o = {.rounds = rounds};
    uint32_t negated = 1, sum;
    uint16_t down;
    bool left;

    memcpy(o.bytes + 16, &negated, 4);
    smp_run_team(THREADS, odd_run, &o);
    memcpy(&negated, o.bytes + 16, 4);
    memcpy(&sum, o.bytes + 21, 4);
    memcpy(&down, o.bytes + 27, 2);
    left = o.bytes[48] >> 3 & 1;
    CHECK(*(uint64_t *)o.bytes == 0);
    CHECK(negated == (THREADS * rounds % 2 ? UINT32_MAX : 1));
    CHECK(sum == (uint32_t)(THREADS * rounds) && down == (uint16_t)-(THREADS * rounds));
    for (unsigned i = 0; i < 4; i++)
        CHECK(o.bytes[32 + i] == (rounds % 2 ? 0xff : 0));
    CHECK(o.set[0] == left);
}

static const struct smp_case cases[] = {
    {"single ring", test_single_ring, 200000},
    {"many ring", test_many_ring, 100000},
    {"treiber stack", test_treiber_stack, 100000},
    {"michael-scott queue", test_queue, 50000},
    {"chase-lev deque", test_deque, 200000},
    {"table", test_table, 200000},
    {"sequence lock", test_sequence_lock, 100000},
    {"read-copy-update", test_read_copy_update, 500},
    {"peterson", test_peterson, 20000},
    {"dekker", test_dekker, 20000},
    {"ticket lock", test_ticket, 2000},
    {"mcs lock", test_mcs, 2000},
    {"odd locked instructions", test_odd, 50000},
};

int
main(int argc, char **argv)
{
    return smp_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
