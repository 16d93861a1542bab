/* While a process ends a file of 256 MiB in memory, another one ends a file of 1 GiB. Each gives its own memory back, so
 * the first is done first. The same on Linux. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct shared {
    volatile int ready, closing;
    volatile double took[2];
} *shared;

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void
end_file(int which, long size)
{
    int f = memfd_create("large", 0);
    void *piece = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    double start;

    for (long at = 0; at < size; at += 16 << 20)
        if (pwrite(f, piece, 16 << 20, at) != 16 << 20)
            _exit(1);
    shared->ready++;
    while (shared->ready < 2 || (which && !shared->closing))
        usleep(1000);
    shared->closing = 1;
    start = now();
    close(f);
    shared->took[which] = now() - start;
    _exit(0);
}

int
main(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 3; round++) {
        int status, failed = 0;

        shared->ready = shared->closing = 0;
        if (fork() == 0)
            end_file(0, 256l << 20);
        if (fork() == 0)
            end_file(1, 1l << 30);
        while (wait(&status) > 0)
            failed |= status;
        printf("%x, the smaller file is gone first: %s\n", failed, shared->took[0] < shared->took[1] ? "yes" : "no");
        fprintf(stderr, "%g s and %g s\n", shared->took[0], shared->took[1]);
    }
    printf("survived\n");
    return 0;
}
