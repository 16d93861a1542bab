/* Long string instructions downwards, in which ticks and signals come, beside another process whose data the kernel
 * copies: the direction flag is the interrupted program's alone. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 4 << 20, COPIES = 3000, PIECE = 5000 };

static unsigned char memory[1 + 2 * SIZE], *const area = memory + 1; /* what goes downwards ends one below */
static volatile unsigned wrong;

static void
on_alarm(int signal)
{
    unsigned long flags, local[16];

    (void)signal;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    wrong += flags >> 10 & 1;
    for (unsigned i = 0; i < 16; i++)
        local[i] = i;
    __asm__ volatile("" ::"r"(local) : "memory");
    for (unsigned i = 0; i < 16; i++)
        wrong += local[i] != i;
}

/* Copies through a pipe, and says whether they came out right. */
static int
copies(void)
{
    unsigned char out[PIECE], in[PIECE];
    int fd[2], bad = pipe(fd) < 0;

    for (unsigned i = 0; i < COPIES && !bad; i++) {
        memset(out, (int)i, sizeof out);
        out[i % PIECE] ^= 0xff;
        bad |= write(fd[1], out, sizeof out) != PIECE || read(fd[0], in, sizeof in) != PIECE ||
               memcmp(in, out, sizeof in) != 0;
    }
    return bad;
}

static void
downwards(unsigned char value)
{
    unsigned char *to = area + SIZE - 1, *from, last;
    unsigned long count = SIZE;

    __asm__ volatile("std; rep stosb; cld" : "+D"(to), "+c"(count) : "a"(value) : "memory", "cc");
    wrong += to != area - 1 || count != 0 || area[0] != value || area[SIZE / 2] != value || area[SIZE - 1] != value;
    to = area + 2 * SIZE - 1;
    from = area + SIZE - 1;
    count = SIZE;
    __asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(count) : : "memory", "cc");
    wrong += to != area + SIZE - 1 || from != area - 1 || count != 0 || memcmp(area, area + SIZE, SIZE) != 0;
    from = area + SIZE - 1;
    count = SIZE;
    __asm__ volatile("std; rep lodsb; cld" : "=a"(last), "+S"(from), "+c"(count) : : "memory", "cc");
    wrong += last != value || from != area - 1 || count != 0;
}

int
main(void)
{
    struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    unsigned char value = 1;
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(copies());
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    do
        downwards(value++);
    while (waitpid(child, &status, WNOHANG) == 0 || value < 6);
    setitimer(ITIMER_REAL, &never, NULL);
    printf("child %d, wrong %u\n", status, wrong);
    return 0;
}
