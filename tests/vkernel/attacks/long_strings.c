/* A string instruction over much memory, which the evaluator does as one call of a helper: meanwhile another thread
 * makes system calls, and none of them may wait for its end. */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 128 << 20 };

static volatile int over;

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *
scan(void *arg)
{
    char *start = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at = start;
    unsigned long left = SIZE;

    if (start == MAP_FAILED)
        exit(1);
    __asm__ volatile("repe scasb" : "+D"(at), "+c"(left) : "a"(0) : "memory", "cc");
    over = 1;
    if (at != start + SIZE || left != 0) {
        printf("stopped after %ld, %lu left\n", (long)(at - start), left);
        exit(1);
    }
    return NULL;
}

/* Did none of the calls take half of the time that the instruction took? */
static int
calls_are_short(void)
{
    uint64_t start = now(), before = start, longest = 0, after;
    pthread_t t;

    over = 0;
    pthread_create(&t, NULL, scan, NULL);
    while (!over) {
        sched_yield();
        after = now();
        if (after - before > longest)
            longest = after - before;
        before = after;
    }
    pthread_join(t, NULL);
    if (longest > (before - start) / 2)
        fprintf(stderr, "a call took %llu of %llu ms\n", (unsigned long long)longest / 1000000,
                (unsigned long long)(before - start) / 1000000);
    return longest <= (before - start) / 2;
}

/* The machine may stop everything for a while; what is ours is so each time. */
int
main(void)
{
    for (int k = 0; k < 4; k++)
        if (calls_are_short()) {
            printf("survived\n");
            return 0;
        }
    return 1;
}
