/* Pages that a fork leaves shared, written to in the pattern that makes most mappings of the host's of them: every second piece
 * of 64 KiB, by the parent, the child and its child. Then bombs of forks with much memory, whose members write or end in any
 * order. The same on Linux. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 64 << 10, PIECES = 12000 };
static volatile int *area;

static volatile int *
word(long piece)
{
    return area + piece * (PIECE / 4);
}

static void
write_each(long from, long step, int value)
{
    for (long k = from; k < PIECES; k += step)
        *word(k) = value;
}

static int
sum(void)
{
    long total = 0;

    for (long k = 0; k < PIECES; k++)
        total += *word(k);
    return (int)(total % 1000003);
}

static void
scatter(int depth)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        write_each(depth % 2, 2, 10 * depth + 1);
        if (depth < 3)
            scatter(depth + 1);
        printf("depth %d: %d\n", depth, sum());
        fflush(stdout);
        _exit(0);
    }
    write_each((depth + 1) % 2, 4, 1000 + depth);
    waitpid(child, &status, 0);
    printf("above depth %d: %d, %d\n", depth, sum(), status);
    fflush(stdout);
}

/* Each has two more, writes a little and ends, some at once. */
static void
bomb(int depth)
{
    for (int k = 0; k < 2 && depth < 6; k++) {
        if (fork() == 0) {
            bomb(depth + 1);
            _exit(0);
        }
        write_each(depth * 31 + k, 97, depth);
        if ((depth + k) % 3 == 0)
            _exit(0);
    }
    while (wait(NULL) > 0)
        ;
}

int
main(void)
{
    area = mmap(NULL, (long)PIECES * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    write_each(0, 1, 7);
    scatter(0);
    write_each(0, 1, 8);
    if (fork() == 0) {
        bomb(0);
        _exit(0);
    }
    wait(NULL);
    printf("at the end: %d\n", sum());
    puts("survived");
    return 0;
}
