/* membarrier(2) as a barrier for both sides of store buffering. In each round two threads do the same: each stores to
 * one variable and then loads the one that the other stores to. The plain side has no barrier between its store and its
 * load; the other side calls membarrier() there, which must be one for both threads. So at least one of them must see
 * the store of the other. A round in which neither does means that the call came back before the plain side's store was
 * visible. If the call is left out, that happens some hundred times in 100,000 rounds on two processors. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PRIVATE_EXPEDITED = 8, REGISTER_PRIVATE_EXPEDITED = 16, LINES = 64, TOUCHED = 40 };

#define OWN_LINE __attribute__((aligned(64)))
static volatile int first OWN_LINE, second OWN_LINE, seen OWN_LINE, round_begun OWN_LINE, round_done OWN_LINE;
static volatile char cold[LINES * 4096] __attribute__((aligned(4096))); /* stores wait behind these */
static int rounds = 2000;

static void
compiler_only(void)
{
    __asm__ volatile("" ::: "memory");
}

static void
wait_for(volatile int *what, int value)
{
    for (int spins = 0; *what != value; spins++)
        if (spins > 2000)
            sched_yield();
}

static void
touch(int round, char value)
{
    for (int i = 0; i < TOUCHED; i++)
        cold[(i * 4096 + round % LINES * 64) % (int)sizeof cold] = value;
}

static void *
plain_side(void *unused)
{
    for (int k = 1; k <= rounds; k++) {
        int r;

        wait_for(&round_begun, k);
        touch(k, 1);
        first = 1;
        compiler_only();
        r = second;
        compiler_only();
        seen = r;
        compiler_only();
        round_done = k;
    }
    return unused;
}

int
main(int argc, char **argv)
{
    unsigned state = 1;
    pthread_t t;
    int neither = 0;

    if (argc > 2 && strcmp(argv[1], "--rounds") == 0)
        rounds = atoi(argv[2]);
    if (syscall(SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
        return 1;
    pthread_create(&t, NULL, plain_side, NULL);
    for (int k = 1; k <= rounds; k++) {
        int r;

        touch(k, 2);
        first = second = 0;
        __sync_synchronize();
        round_begun = k;
        state = state * 1103515245 + 12345;
        for (volatile unsigned delay = (state >> 16) % 120; delay; delay--)
            ;
        second = 1;
        compiler_only();
        syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0);
        r = first;
        compiler_only();
        wait_for(&round_done, k);
        neither += seen == 0 && r == 0;
    }
    pthread_join(t, NULL);
    if (neither)
        printf("%d of %d rounds without a barrier\n", neither, rounds);
    puts(neither ? "membarrier FAILED" : "membarrier ok");
    return neither != 0;
}
