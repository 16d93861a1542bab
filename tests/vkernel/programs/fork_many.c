/* Many children share large memory at the same time, more than share one place of it that was put aside, and each sees
 * what the parent had at its fork, whoever writes first: to pages that were written before, and to zeros between them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 16 << 20, CHILDREN = 100, STEP = 1 << 20 };

/* Of each MiB the first half is written, and the other is not. */
static int
is_written(long at)
{
    return at % STEP < STEP / 2;
}

static unsigned
hash_of(const char *area)
{
    unsigned hash = 0;

    for (long at = 0; at < SIZE; at += PAGE)
        hash = hash * 31 + (unsigned char)area[at] + 7 * (unsigned char)area[at + PAGE - 1];
    return hash;
}

/* Waits until it may look, writes to the place that is its own, and says in its exit code whether all was right. */
static int
in_child(char *area, int gate, unsigned expected, int k)
{
    char byte;
    long mine = (long)k * (SIZE / CHILDREN) / PAGE * PAGE;

    if (read(gate, &byte, 1) != 0 || hash_of(area) != expected)
        return 1;
    area[mine] = 99;
    area[SIZE - PAGE] = 98;
    return area[mine] == 99 && area[SIZE - PAGE] == 98 ? 0 : 2;
}

static void
run(const char *name, int parent_writes, int parent_unmaps)
{
    char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int gate[2], status, right = 0, wrong = 0;
    unsigned expected;

    for (long at = 0; at < SIZE; at += PAGE)
        if (is_written(at))
            memset(area + at, (int)(at / PAGE % 90), PAGE);
    expected = hash_of(area);
    if (pipe(gate) < 0)
        exit(1);
    for (int k = 0; k < CHILDREN; k++) {
        if (fork() == 0) {
            close(gate[1]);
            _exit(in_child(area, gate[0], expected, k));
        }
    }
    for (long at = 0; parent_writes && at < SIZE; at += 3 * STEP / 4)
        area[at] = 55;
    if (parent_unmaps)
        munmap(area, SIZE);
    close(gate[1]);
    close(gate[0]);
    while (wait(&status) > 0)
        status == 0 ? right++ : wrong++;
    printf("%s: %d right, %d wrong\n", name, right, wrong);
    if (!parent_unmaps) {
        printf("the parent has %x\n", hash_of(area));
        munmap(area, SIZE);
    }
    fflush(stdout);
}

int
main(void)
{
    run("the parent only waits", 0, 0);
    run("the parent writes", 1, 0);
    run("the parent unmaps", 0, 1);
    run("the parent writes and unmaps", 1, 1);
    return 0;
}
