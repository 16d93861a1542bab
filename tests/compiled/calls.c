/* Processes that write into one pipe, sleep, wait for each other, and ask for what differs from run to run: time,
 * random numbers, RDTSC. Two runs that are compared (ingot run --lockstep=OTHER) must agree in all of it. Without libc:
 * quick to build. */
#include <stddef.h>
#include <time.h>

enum {
    READ = 0,
    WRITE = 1,
    PIPE = 22,
    SCHED_YIELD = 24,
    NANOSLEEP = 35,
    GETPID = 39,
    FORK = 57,
    EXIT = 60,
    WAIT4 = 61,
    CLOCK_GETTIME = 228,
    GETRANDOM = 318
};
enum { CHILDREN = 4, ROUNDS = 50 };

static long
system_call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static unsigned long
timestamp(void)
{
    unsigned low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (unsigned long)high << 32 | low;
}

static void
print(int fd, const char *name, unsigned long v)
{
    char text[32];
    size_t n = 0;

    while (*name)
        text[n++] = *name++;
    for (int i = 60; i >= 0; i -= 4)
        text[n++] = "0123456789abcdef"[v >> i & 15];
    text[n++] = '\n';
    system_call(WRITE, fd, (long)text, (long)n, 0);
}

static void
child(int out, unsigned long seed)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned long random;
        struct timespec now, pause = {.tv_nsec = (long)(seed * 1000 + i)};

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        system_call(GETRANDOM, (long)&random, sizeof random, 0, 0);
        system_call(CLOCK_GETTIME, CLOCK_MONOTONIC, (long)&now, 0, 0);
        print(out, "child ", seed ^ random ^ timestamp() ^ (unsigned long)now.tv_nsec);
        if (i % 3 == 0)
            system_call(NANOSLEEP, (long)&pause, 0, 0, 0);
        else if (i % 3 == 1)
            system_call(SCHED_YIELD, 0, 0, 0, 0);
    }
    system_call(EXIT, 0, 0, 0, 0);
}

__attribute__((used)) static void
run(void)
{
    int ends[2];
    char byte;
    unsigned long sum = 0;
    struct timespec now;

    system_call(PIPE, (long)ends, 0, 0, 0);
    for (unsigned long i = 0; i < CHILDREN; i++)
        if (system_call(FORK, 0, 0, 0, 0) == 0)
            child(ends[1], i);
    for (unsigned i = 0; i < CHILDREN * ROUNDS * 23 && system_call(READ, ends[0], (long)&byte, 1, 0) == 1; i++)
        sum = sum * 31 + (unsigned char)byte;
    for (unsigned i = 0; i < CHILDREN; i++)
        print(1, "ended ", (unsigned long)system_call(WAIT4, -1, 0, 0, 0));
    system_call(CLOCK_GETTIME, CLOCK_REALTIME, (long)&now, 0, 0);
    print(1, "sum ", sum);
    print(1, "time ", (unsigned long)now.tv_nsec);
    system_call(EXIT, 3, 0, 0, 0);
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    and $-16, %rsp\n"
        "    call run\n");
