/* What futex calls count, wake and refuse: odd numbers of waiters, requeues onto the same word, wake operations with
 * signs. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t words[4];
static volatile int woken;

static long
futex(void *word, int op, uint32_t value, void *fourth, uint32_t *other, uint32_t last)
{
    long r = syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, fourth, other, last);

    return r < 0 ? -errno : r;
}

static void *
sleeper(void *arg)
{
    futex(arg, FUTEX_WAIT, 0, NULL, NULL, 0);
    __sync_fetch_and_add(&woken, 1);
    return NULL;
}

static void
start(int n)
{
    pthread_t t;

    while (n-- > 0) {
        pthread_create(&t, NULL, sleeper, words);
        pthread_detach(t);
    }
    usleep(120000);
    woken = 0;
}

static void
show(const char *what, long r, int expected)
{
    for (int tries = 0; tries < 400 && woken != expected; tries++)
        usleep(5000);
    printf("%s: %ld, %d awake\n", what, r, woken);
}

int
main(void)
{
    struct timespec t = {0, 1000000};
    void *one = (void *)1, *many = (void *)9, *negative = (void *)0xffffffffl;

    start(3);
    show("wake 0", futex(words, FUTEX_WAKE, 0, NULL, NULL, 0), 1);
    show("wake -1", futex(words, FUTEX_WAKE, -1, NULL, NULL, 0), 2);
    show("wake 99", futex(words, FUTEX_WAKE, 99, NULL, NULL, 0), 3);
    start(3);
    show("requeue", futex(words, FUTEX_REQUEUE, 1, one, &words[1], 0), 1);
    show("wake there", futex(&words[1], FUTEX_WAKE, 99, NULL, NULL, 0), 2);
    show("wake here", futex(words, FUTEX_WAKE, 99, NULL, NULL, 0), 3);
    start(3);
    show("requeue to itself", futex(words, FUTEX_REQUEUE, 0, many, words, 0), 0);
    show("compare and requeue to itself", futex(words, FUTEX_CMP_REQUEUE, 1, one, words, 0), 1);
    show("compare with another", futex(words, FUTEX_CMP_REQUEUE, 1, one, words, 5), 1);
    show("negative wake", futex(words, FUTEX_REQUEUE, -1, one, &words[1], 0), 1);
    show("negative requeue", futex(words, FUTEX_REQUEUE, 1, negative, &words[1], 0), 1);
    show("wake", futex(words, FUTEX_WAKE, 99, NULL, NULL, 0), 3);
    start(2);
    show("wake op", futex(words, FUTEX_WAKE_OP, 0, NULL, &words[2], FUTEX_OP(FUTEX_OP_ADD, -1, FUTEX_OP_CMP_EQ, 0)), 1);
    printf("%x\n", words[2]);
    show("wake op", futex(words, FUTEX_WAKE_OP, 1, NULL, &words[2], FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_LT, 0)), 2);
    printf("%x\n", words[2]);
    printf("%ld ", futex(words, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 0));
    printf("%ld ", futex(words, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
    printf("%ld ", futex(words, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 1));
    printf("%ld\n", futex(words, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 1));
    printf("%ld ", futex(words, 99, 1, NULL, NULL, 0));
    printf("%ld ", futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    printf("%ld\n", futex(words, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    for (int op = 0; op < 14; op++)
        if (op != FUTEX_REQUEUE && op != FUTEX_CMP_REQUEUE && op != FUTEX_WAKE_OP && op != 11 && op != 12)
            printf("%d: %ld\n", op, futex(one, op, 1, &t, words, 1));
    return 0;
}
