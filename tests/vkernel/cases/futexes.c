/* Errors of futex calls, and how many they wake and move. */
#include <linux/futex.h>
#include <pthread.h>

#include "case.h"

enum { CROWD = 4 };
static uint32_t first, second;
static _Atomic int asleep;
static const struct timespec at_once = {0, 0}, no_time = {0, 1000000000}, negative = {-1, 0};

static long
futex(void *word, int op, uint64_t value, const void *time_or_value, void *word2, uint64_t value3)
{
    return syscall(SYS_futex, word, op, value, time_or_value, word2, value3);
}

static void *
wait_for(void *bits)
{
    asleep++;
    futex(&first, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint64_t)(uintptr_t)bits);
    return NULL;
}

static void
gather(pthread_t *t, int n, uint32_t bits)
{
    asleep = 0;
    for (int k = 0; k < n; k++)
        pthread_create(&t[k], NULL, wait_for, (void *)(uintptr_t)bits);
    while (asleep < n)
        sleep_ms(1);
    sleep_ms(50);
}

static void
let_go(pthread_t *t, int n)
{
    SHOW(futex(&second, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0));
    for (int k = 0; k < n; k++)
        pthread_join(t[k], NULL);
}

static char *
page(int prot)
{
    return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

CASE(wait_where_nothing_is)
{
    char *none = page(PROT_NONE);

    SHOW(futex((void *)8, FUTEX_WAIT, 0, &at_once, NULL, 0));
    SHOW(futex((void *)8, FUTEX_WAIT_PRIVATE, 0, &at_once, NULL, 0));
    SHOW(futex(none, FUTEX_WAIT, 0, &at_once, NULL, 0));
    SHOW(futex(none, FUTEX_WAIT_PRIVATE, 0, &at_once, NULL, 0));
    SHOW(futex((void *)-4096, FUTEX_WAIT, 0, &at_once, NULL, 0));
    SHOW(futex((char *)&first + 1, FUTEX_WAIT, 0, &at_once, NULL, 0));
}

CASE(wait_in_memory_that_cannot_be_written)
{
    int fd = make_file("f", "0000");
    char *memory = page(PROT_READ), *file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    SHOW(futex(memory, FUTEX_WAIT, 0, &at_once, NULL, 0));
    SHOW(futex(memory, FUTEX_WAIT_PRIVATE, 0, &at_once, NULL, 0));
    SHOW(futex(memory, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(file, FUTEX_WAIT, 0x30303030, &at_once, NULL, 0));
    SHOW(futex(file, FUTEX_WAKE, 1, NULL, NULL, 0));
}

CASE(wake_where_nothing_is)
{
    char *none = page(PROT_NONE);

    SHOW(futex((void *)8, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex((void *)8, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    SHOW(futex(none, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(none, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    SHOW(futex((void *)9, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
}

CASE(times_of_a_wait)
{
    SHOW(futex(&first, FUTEX_WAIT, 0, &at_once, NULL, 0));
    SHOW(futex(&first, FUTEX_WAIT, 0, &no_time, NULL, 0));
    SHOW(futex(&first, FUTEX_WAIT, 0, &negative, NULL, 0));
    SHOW(futex(&first, FUTEX_WAIT, 0, (void *)8, NULL, 0));
    SHOW(futex(&first, FUTEX_WAIT, 5, &no_time, NULL, 0));
    SHOW(futex(&first, FUTEX_WAIT, 5, &at_once, NULL, 0));
}

CASE(bits_of_none)
{
    SHOW(futex(&first, FUTEX_WAIT_BITSET, 0, &at_once, NULL, 0));
    SHOW(futex(&first, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
}

CASE(operations_that_are_none)
{
    SHOW(futex(&first, 99, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_FD, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_REQUEUE | FUTEX_CLOCK_REALTIME, 0, NULL, &second, 0));
}

CASE(requeue_errors)
{
    SHOW(futex(&first, FUTEX_REQUEUE, -1, NULL, &second, 0));
    SHOW(futex(&first, FUTEX_REQUEUE, 0, (void *)-1, &second, 0));
    SHOW(futex(&first, FUTEX_REQUEUE, 0, (void *)1, (void *)8, 0));
    SHOW(futex(&first, FUTEX_REQUEUE, 0, (void *)1, (void *)9, 0));
    SHOW(futex((void *)8, FUTEX_REQUEUE, 0, (void *)1, &first, 0));
    SHOW(futex(&first, FUTEX_CMP_REQUEUE, 0, (void *)1, &second, 3));
    SHOW(futex(page(PROT_NONE), FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1, &second, 0));
}

CASE(requeue_counts)
{
    pthread_t t[CROWD];

    gather(t, CROWD, ~0u);
    SHOW(futex(&first, FUTEX_REQUEUE_PRIVATE, 1, (void *)2, &second, 0));
    let_go(t, CROWD);
    gather(t, CROWD, ~0u);
    SHOW(futex(&first, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &second, 0));
    let_go(t, CROWD);
}

CASE(requeue_to_the_same_word)
{
    pthread_t t[CROWD];

    gather(t, CROWD, ~0u);
    SHOW(futex(&first, FUTEX_REQUEUE_PRIVATE, 1, (void *)2, &first, 0));
    let_go(t, CROWD);
}

CASE(wake_of_none_and_of_fewer)
{
    pthread_t t[CROWD];

    gather(t, CROWD, ~0u);
    SHOW(futex(&first, FUTEX_WAKE_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_WAKE_PRIVATE, -1, NULL, NULL, 0));
    let_go(t, CROWD);
}

CASE(wake_by_bits)
{
    pthread_t t[2];

    gather(t, 2, 2);
    SHOW(futex(&first, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 1));
    SHOW(futex(&first, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 3));
    let_go(t, 2);
}

/* A call that says that its futex is private does not meet one that does not say so. */
CASE(private_and_shared_calls_do_not_meet)
{
    pthread_t t[1];

    gather(t, 1, ~0u);
    SHOW(futex(&first, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_REQUEUE, 1, NULL, &second, 0));
    let_go(t, 1);
}

CASE(wake_op_changes_the_second_word)
{
    SHOW(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 0)));
    SHOW(second);
    SHOW(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_ADD, -1, FUTEX_OP_CMP_EQ, 0)));
    SHOW(second);
    SHOW(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second,
               FUTEX_OP(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_EQ, 0)));
    SHOW(second);
    SHOW(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(7, 1, FUTEX_OP_CMP_EQ, 0)));
    SHOW(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_SET, 1, 9, 0)));
    SHOW(second);
    SHOW(futex(&first, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, page(PROT_READ),
               FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0)));
}

CASE(lock_pi_twice)
{
    SHOW(futex(&first, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    say("owner %d", first == (uint32_t)syscall(SYS_gettid));
    SHOW(futex(&first, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    SHOW(first);
    SHOW(futex(&first, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}

CASE(lock_pi_of_nobody)
{
    first = 99999999;
    SHOW(futex(&first, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    first = FUTEX_OWNER_DIED | 99999999;
    SHOW(futex(&first, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    first = FUTEX_OWNER_DIED;
    SHOW(futex(&first, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    SHOW(first & FUTEX_OWNER_DIED);
}

CASE(lock_pi_errors)
{
    SHOW(futex(page(PROT_NONE), FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&first, FUTEX_LOCK_PI_PRIVATE, 0, &no_time, NULL, 0));
    SHOW(futex((void *)1, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}
