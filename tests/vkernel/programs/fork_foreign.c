/* Pages that a child has from a parent that has ended, and that it unmaps, replaces and moves in parts: its memory is
 * what it was, and forks share as before when all of that is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, BLOCK = 2 << 20, BLOCKS = 700, PIECE = 64 << 10, ROUNDS = 14, SMALL = 32 << 20 };

/* Kibibytes that the process shares with others in the mapping at this address. */
static long
shared_at(const char *area)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long start, end;
    long value, found = -1;
    int inside = 0;

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (unsigned long)area >= start && (unsigned long)area < end;
        else if (inside && sscanf(line, "Shared_Dirty: %ld", &value) == 1)
            found = value;
    }
    if (f)
        fclose(f);
    return found;
}

static void
fork_shares(const char *when)
{
    char *area = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;

    memset(area, 1, SMALL);
    if (fork() == 0)
        _exit(shared_at(area) >= SMALL / 1024 / 4 * 3);
    wait(&status);
    printf("%s: a fork %s\n", when, WEXITSTATUS(status) ? "shares" : "copies");
    fflush(stdout);
    munmap(area, SMALL);
}

static long
sum(const char *area)
{
    long total = 0;

    for (long k = 0; k < BLOCKS; k++)
        total += area[k * BLOCK] + area[k * BLOCK + PIECE + 2 * PAGE];
    return total;
}

/* Parts of blocks are unmapped, replaced, discarded and moved; what is left is what it was. */
static void
cut(char *area)
{
    char *elsewhere;

    munmap(area + BLOCK / 2, PIECE / 2);
    munmap(area + 2 * BLOCK + PAGE, 3 * PAGE);
    mmap(area + 3 * BLOCK, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap(area + 4 * BLOCK + PIECE, PIECE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    madvise(area + 5 * BLOCK, 2 * PIECE, MADV_DONTNEED);
    mprotect(area + 6 * BLOCK + PAGE, BLOCK, PROT_READ);
    elsewhere = mremap(area + 9 * BLOCK, 3 * BLOCK, 3 * BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED,
                       mmap(NULL, 4 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (long k = 0; k < 3; k++)
        printf("%d %d ", elsewhere[k * BLOCK], elsewhere[k * BLOCK + PIECE + 2 * PAGE]);
    printf("%d %d %d %d %d\n", area[3 * BLOCK], area[3 * BLOCK + PIECE + 2 * PAGE], area[4 * BLOCK], area[5 * BLOCK],
           area[6 * BLOCK + PIECE + 2 * PAGE]);
    munmap(elsewhere, 4 * BLOCK);
}

/* The child of one that ends, which has a child itself while it looks at its memory. */
static void
heir(char *area, int gate)
{
    char byte;
    pid_t child;

    read(gate, &byte, 1); /* until the parent has ended */
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    printf("sum %ld\n", sum(area));
    fflush(stdout);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    area[0] = 3;
    fork_shares("with that memory");
    cut(area);
    munmap(area, (long)BLOCKS * BLOCK);
    fork_shares("without");
}

/* It stays while the next one is made, so that what it has had must not count any more. */
static void
round_of(int depth)
{
    int gate[2], done[2];
    char byte;

    if (depth == ROUNDS)
        return;
    pipe(gate);
    pipe(done);
    if (fork() == 0) {
        char *area = mmap(NULL, (long)BLOCKS * BLOCK, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        madvise(area, (long)BLOCKS * BLOCK, MADV_NOHUGEPAGE);
        for (long k = 0; k < BLOCKS; k++)
            area[k * BLOCK] = area[k * BLOCK + PIECE + 2 * PAGE] = (char)(k % 100 + 1);
        if (fork() == 0) {
            close(gate[1]);
            close(done[0]);
            heir(area, gate[0]);
            round_of(depth + 1);
            _exit(0);
        }
        _exit(0);
    }
    wait(NULL);
    close(gate[1]);
    close(done[1]);
    while (read(done[0], &byte, 1) > 0)
        ;
}

int
main(void)
{
    round_of(0);
    return 0;
}
