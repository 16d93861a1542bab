/* The futex system call, by its operations, from threads and processes that run at the same time. */
#include "smp.h"

#include <linux/futex.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { THREADS = 4 };

static long
futex(_Atomic uint32_t *at, int op, uint32_t value, uintptr_t timeout, _Atomic uint32_t *second, uint32_t value3)
{
    return syscall(SYS_futex, at, op, value, timeout, second, value3);
}

static void *
shared_page(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    return p;
}

/* Until so many threads sleep on *at: moving none of them to the same place says how many there are. */
static void
wait_for_sleepers(_Atomic uint32_t *at, int flags, long count)
{
    unsigned turns = 0;

    while (futex(at, FUTEX_CMP_REQUEUE | flags, 0, INT_MAX, at, atomic_load(at)) < count)
        smp_relax(&turns);
}

/* --- a lock of three states (Drepper, "Futexes are tricky"), in private and in shared memory --- */

struct simple_lock {
    _Atomic uint32_t state; /* 0 free, 1 taken, 2 somebody may wait */
    volatile uint64_t count;
    uint64_t rounds;
    int flags;
};

static void
simple_run(void *shared, unsigned number)
{
    struct simple_lock *l = shared;

    (void)number;
    for (uint64_t i = 0; i < l->rounds; i++) {
        uint32_t was = 0;

        if (!atomic_compare_exchange_strong(&l->state, &was, 1)) {
            while (atomic_exchange(&l->state, 2) != 0)
                CHECK(futex(&l->state, FUTEX_WAIT | l->flags, 2, 0, NULL, 0) == 0 || errno == EAGAIN || errno == EINTR);
        }
        l->count++;
        if (i % 8 == 0)
            sched_yield();
        if (atomic_exchange(&l->state, 0) == 2)
            CHECK(futex(&l->state, FUTEX_WAKE | l->flags, 1, 0, NULL, 0) <= 1);
    }
}

static void
test_private_lock(uint64_t rounds)
{
    struct simple_lock l = {.rounds = rounds, .flags = FUTEX_PRIVATE_FLAG};

    smp_run_team(THREADS, simple_run, &l);
    CHECK(l.count == THREADS * rounds);
}

/* The processes of one lock: each has its page at an address of its own. */
static void
test_process_lock(uint64_t rounds)
{
    struct simple_lock *l = shared_page();
    pid_t child[THREADS];

    l->rounds = rounds;
    for (unsigned i = 0; i < THREADS; i++) {
        child[i] = fork();
        CHECK(child[i] >= 0);
        if (child[i] == 0) {
            void *elsewhere = mmap(NULL, (i + 1) * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            struct simple_lock *moved = mremap(l, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);

            CHECK(moved == elsewhere);
            simple_run(moved, i);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        int status;

        CHECK(waitpid(child[i], &status, 0) == child[i] && status == 0);
    }
    CHECK(l->count == THREADS * rounds);
    munmap(l, 4096);
}

/* --- handing a word to and fro: no wake may be lost --- */

struct handed {
    _Atomic uint32_t word;
    uint64_t rounds;
};

static void
hand_run(void *shared, unsigned number)
{
    struct handed *h = shared;

    for (uint64_t i = 0; i < h->rounds; i++) {
        uint32_t mine = (uint32_t)(2 * i + number), now;

        while ((now = atomic_load(&h->word)) != mine)
            CHECK(futex(&h->word, FUTEX_WAIT_PRIVATE, now, 0, NULL, 0) == 0 || errno == EAGAIN || errno == EINTR);
        atomic_store(&h->word, mine + 1);
        CHECK(futex(&h->word, FUTEX_WAKE_PRIVATE, 1, 0, NULL, 0) >= 0);
    }
}

static void
test_hand_over(uint64_t rounds)
{
    struct handed h = {.rounds = rounds};

    smp_run_team(2, hand_run, &h);
    CHECK(h.word == 2 * rounds);
}

/* --- bitsets: a wake reaches those who share a bit with it, and nobody else --- */

struct bits {
    _Atomic uint32_t word, woken[THREADS];
    uint64_t rounds;
};

static void
bits_run(void *shared, unsigned number)
{
    struct bits *b = shared;

    if (number < THREADS) {
        for (uint64_t i = 0; i < b->rounds; i++) {
            while (futex(&b->word, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, NULL, 1u << number) != 0)
                CHECK(errno == EINTR);
            atomic_fetch_add(&b->woken[number], 1);
        }
        return;
    }
    for (uint64_t i = 0; i < b->rounds; i++) {
        uint32_t set = 0;

        wait_for_sleepers(&b->word, FUTEX_PRIVATE_FLAG, THREADS);
        CHECK(futex(&b->word, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, 0, NULL, 1u << 31) == 0);
        for (unsigned t = 0; t < THREADS; t++) {
            set = 1u << (t + i) % THREADS;
            CHECK(futex(&b->word, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, 0, NULL, set | 1u << 30) == 1);
        }
    }
}

static void
test_bitset(uint64_t rounds)
{
    struct bits b = {.rounds = rounds};

    smp_run_team(THREADS + 1, bits_run, &b);
    for (unsigned t = 0; t < THREADS; t++)
        CHECK(b.woken[t] == rounds);
}

/* --- an operation and a wake in one --- */

struct operated {
    _Atomic uint32_t first, second, bits, both;
    _Atomic bool done;
    uint64_t rounds;
};

/* Additions by threads and by the kernel: none is lost. */
static void
operated_run(void *shared, unsigned number)
{
    struct operated *o = shared;
    uint32_t mine = 1u << number;

    for (uint64_t i = 0; i < o->rounds; i++) {
        CHECK(futex(&o->first, FUTEX_WAKE_OP_PRIVATE, 1, 1, &o->second,
                    FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_GE, 0)) >= 0);
        atomic_fetch_add(&o->second, 2);
        CHECK(futex(&o->first, FUTEX_WAKE_OP_PRIVATE, 1, 1, &o->bits,
                    FUTEX_OP((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT), number, FUTEX_OP_CMP_EQ, 0)) >= 0);
        CHECK(atomic_load(&o->bits) & mine);
        CHECK(futex(&o->first, FUTEX_WAKE_OP_PRIVATE, 1, 1, &o->bits,
                    FUTEX_OP(FUTEX_OP_ANDN, mine, FUTEX_OP_CMP_LT, 0)) >= 0);
        CHECK(!(atomic_load(&o->bits) & mine));
        CHECK(futex(&o->first, FUTEX_WAKE_OP_PRIVATE, 1, 1, &o->both,
                    FUTEX_OP(FUTEX_OP_XOR, mine, FUTEX_OP_CMP_NE, 0)) >= 0);
    }
}

static void
test_wake_op(uint64_t rounds)
{
    struct operated o = {.rounds = rounds};

    smp_run_team(THREADS, operated_run, &o);
    CHECK(o.second == (uint32_t)(3 * THREADS * rounds) && o.bits == 0);
    CHECK(o.both == (rounds % 2 ? (1u << THREADS) - 1 : 0));
}

/* Whoever waits at the second word is woken if the comparison with its old value says so, and counted. */
static void
sleepers_run(void *shared, unsigned number)
{
    struct operated *o = shared;

    if (number < 2) {
        for (uint64_t i = 0; i < o->rounds; i++) {
            _Atomic uint32_t *at = number ? &o->second : &o->first;

            while (futex(at, FUTEX_WAIT_PRIVATE, 0, 0, NULL, 0) != 0)
                CHECK(errno == EINTR || errno == EAGAIN);
        }
        return;
    }
    for (uint64_t i = 0; i < o->rounds; i++) {
        wait_for_sleepers(&o->first, FUTEX_PRIVATE_FLAG, 1);
        wait_for_sleepers(&o->second, FUTEX_PRIVATE_FLAG, 1);
        if (i % 2) { /* the old value is 0 */
            CHECK(futex(&o->first, FUTEX_WAKE_OP_PRIVATE, 1, 1, &o->second,
                        FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GT, 0)) == 1);
            CHECK(futex(&o->second, FUTEX_WAKE_PRIVATE, 1, 0, NULL, 0) == 1);
        } else {
            CHECK(futex(&o->first, FUTEX_WAKE_OP_PRIVATE, 1, 1, &o->second,
                        FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_LE, 0)) == 2);
        }
    }
}

static void
test_wake_op_sleepers(uint64_t rounds)
{
    struct operated o = {.rounds = rounds};

    smp_run_team(3, sleepers_run, &o);
}

/* --- requeue: one wakes, the rest waits elsewhere --- */

struct moved {
    _Atomic uint32_t from, to, woken;
    uint64_t rounds;
    bool compare;
};

static void
moved_run(void *shared, unsigned number)
{
    struct moved *m = shared;
    unsigned turns = 0;

    if (number < THREADS) {
        for (uint64_t i = 0; i < m->rounds; i++) {
            uint32_t round = (uint32_t)i;

            while (futex(&m->from, FUTEX_WAIT_PRIVATE, round, 0, NULL, 0) != 0)
                CHECK(errno == EINTR || (errno == EAGAIN && atomic_load(&m->from) <= round));
            atomic_fetch_add(&m->woken, 1);
            while (atomic_load(&m->from) <= round) /* the round ends for all */
                smp_relax(&turns);
        }
        return;
    }
    for (uint64_t i = 0; i < m->rounds; i++) {
        uint32_t round = (uint32_t)i;

        wait_for_sleepers(&m->from, FUTEX_PRIVATE_FLAG, THREADS);
        if (m->compare) {
            CHECK(futex(&m->from, FUTEX_CMP_REQUEUE_PRIVATE, 1, INT_MAX, &m->to, round + 1) == -1 && errno == EAGAIN);
            CHECK(futex(&m->from, FUTEX_CMP_REQUEUE_PRIVATE, 1, INT_MAX, &m->to, round) == THREADS);
        } else {
            CHECK(futex(&m->from, FUTEX_REQUEUE_PRIVATE, 1, INT_MAX, &m->to, 0) >= 1);
        }
        CHECK(futex(&m->from, FUTEX_WAKE_PRIVATE, INT_MAX, 0, NULL, 0) == 0);
        for (unsigned left = THREADS - 1; left > 0; left--)
            CHECK(futex(&m->to, FUTEX_WAKE_PRIVATE, 1, 0, NULL, 0) == 1);
        while (atomic_load(&m->woken) != THREADS * (i + 1))
            smp_relax(&turns);
        atomic_store(&m->from, round + 1);
    }
}

static void
test_requeue(uint64_t rounds)
{
    struct moved m = {.rounds = rounds};

    smp_run_team(THREADS + 1, moved_run, &m);
}

static void
test_compare_requeue(uint64_t rounds)
{
    struct moved m = {.rounds = rounds, .compare = true};

    smp_run_team(THREADS + 1, moved_run, &m);
}

/* --- priority inheritance --- */

struct inherited {
    _Atomic uint32_t word;
    volatile uint64_t count;
    uint64_t rounds;
};

static void
inherited_lock(struct inherited *p, uint32_t self, uint64_t i)
{
    uint32_t was = 0;

    if (atomic_compare_exchange_strong(&p->word, &was, self))
        return;
    if (i % 4 == 0) {
        while (futex(&p->word, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, NULL, 0) != 0) {
            CHECK(errno == EAGAIN || errno == EWOULDBLOCK);
            sched_yield();
        }
        return;
    }
    while (futex(&p->word, FUTEX_LOCK_PI_PRIVATE, 0, 0, NULL, 0) != 0)
        CHECK(errno == EINTR || errno == EAGAIN);
}

static void
inherited_run(void *shared, unsigned number)
{
    struct inherited *p = shared;
    uint32_t self = (uint32_t)syscall(SYS_gettid);

    (void)number;
    for (uint64_t i = 0; i < p->rounds; i++) {
        uint32_t was = self;

        inherited_lock(p, self, i);
        CHECK((atomic_load(&p->word) & FUTEX_TID_MASK) == self);
        p->count++;
        if (i % 8 == 0)
            CHECK(futex(&p->word, FUTEX_LOCK_PI_PRIVATE, 0, 0, NULL, 0) == -1 && errno == EDEADLK);
        if (i % 4 == 1)
            sched_yield();
        if (!atomic_compare_exchange_strong(&p->word, &was, 0))
            CHECK(futex(&p->word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, NULL, 0) == 0);
    }
}

static void
test_inheriting(uint64_t rounds)
{
    struct inherited p = {.rounds = rounds};

    smp_run_team(THREADS, inherited_run, &p);
    CHECK(p.count == THREADS * rounds && p.word == 0);
}

/* --- the list of locks that a thread which ends still has --- */

enum { HELD = 5 };

struct robust {
    struct robust_list_head head;
    struct held {
        struct robust_list list;
        _Atomic uint32_t word;
    } held[HELD];
    _Atomic uint32_t ready;
};

static void
die_with_list(struct robust *r, unsigned how)
{
    uint32_t self = (uint32_t)syscall(SYS_gettid);

    r->head.futex_offset = (long)offsetof(struct held, word) - (long)offsetof(struct held, list);
    r->head.list.next = &r->held[0].list;
    for (unsigned i = 0; i < HELD; i++) {
        r->held[i].list.next = i + 1 < HELD ? &r->held[i + 1].list : &r->head.list;
        r->held[i].word = self | FUTEX_WAITERS;
    }
    r->held[3].word = 1; /* somebody else's: stays */
    CHECK(syscall(SYS_set_robust_list, &r->head, sizeof r->head) == 0);
    atomic_store(&r->ready, 1);
    if (how == 1)
        raise(SIGKILL);
    else if (how == 2)
        execl("/proc/self/exe", "futexes", "--only", "nothing", "--rounds", "1", NULL);
    _exit(0);
}

static void
robust_run(void *shared, unsigned number)
{
    struct robust *r = shared;
    _Atomic uint32_t *at = &r->held[number == 1 ? 4 : 0].word;
    unsigned turns = 0;

    while (!atomic_load(&r->ready))
        smp_relax(&turns);
    for (uint32_t now; !((now = atomic_load(at)) & FUTEX_OWNER_DIED);) {
        struct timespec limit = {60, 0};

        if (now != 0)
            CHECK(futex(at, FUTEX_WAIT, now, (uintptr_t)&limit, NULL, 0) == 0 || errno == EAGAIN || errno == EINTR);
    }
    CHECK((atomic_load(at) & FUTEX_TID_MASK) == 0);
}

static void
test_robust_list(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        struct robust *r = shared_page();
        int status;
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0)
            die_with_list(r, i % 3);
        smp_run_team(2, robust_run, r);
        CHECK(waitpid(child, &status, 0) == child);
        for (unsigned k = 0; k < HELD; k++)
            CHECK(r->held[k].word == 1 || r->held[k].word & FUTEX_OWNER_DIED);
        CHECK(r->held[3].word == 1);
        munmap(r, 4096);
    }
}

/* --- time limits that come while others wake --- */

static void
limits_run(void *shared, unsigned number)
{
    struct handed *h = shared;

    for (uint64_t i = 0; i < h->rounds; i++) {
        struct timespec limit = {0, (long)(50000 + 1000 * (i % 50))};

        if (number % 2)
            CHECK(futex(&h->word, FUTEX_WAIT_PRIVATE, 0, (uintptr_t)&limit, NULL, 0) == 0 || errno == ETIMEDOUT ||
                  errno == EINTR);
        else
            futex(&h->word, FUTEX_WAKE_PRIVATE, 1, 0, NULL, 0), sched_yield();
    }
}

static void
test_limits(uint64_t rounds)
{
    struct handed h = {.rounds = rounds};

    smp_run_team(THREADS, limits_run, &h);
    CHECK(futex(&h.word, FUTEX_WAKE_PRIVATE, INT_MAX, 0, NULL, 0) == 0); /* nobody is left */
}

static const struct smp_case cases[] = {
    {"private lock", test_private_lock, 10000},
    {"lock of processes", test_process_lock, 5000},
    {"hand over", test_hand_over, 10000},
    {"bitset", test_bitset, 500},
    {"wake-op", test_wake_op, 5000},
    {"wake-op with sleepers", test_wake_op_sleepers, 500},
    {"requeue", test_requeue, 300},
    {"compare and requeue", test_compare_requeue, 300},
    {"priority inheritance", test_inheriting, 5000},
    {"robust list", test_robust_list, 30},
    {"time limits", test_limits, 500},
};

int
main(int argc, char **argv)
{
    return smp_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
