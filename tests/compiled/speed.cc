/* Is a guest back at full speed after its host frames were lost? The same work is timed in the ordinary course of things and
 * after a fork, a longjmp, a signal handler that changes its context, a switch of stacks, an exception: in loops that
 * call nothing, in the inner loop of a nest, in code that follows.
 *
 * usage: speed WORK EVENT SIZE ROUNDS; prints, for each round, the nanoseconds of the work without the event and with it. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static volatile uint64_t sink;
static uint32_t table[256];

#define STEP(x) ((x) >> 8 ^ table[(x) & 255] ^ (x) << 3)

enum event { NOTHING, FORK, LONGJMP, SIGNAL, SWITCH, THROW };

static jmp_buf again;
static ucontext_t here, there;
static int report[2];

static volatile int depth;

__attribute__((noinline)) static void
deep(enum event e)
{
    volatile char frame[64];

    frame[0] = (char)depth;
    if (depth-- > 0)
        deep(e);
    else if (e == THROW)
        throw depth;
    else
        longjmp(again, 1);
    frame[1] = frame[0];
}

static void
other_stack(void)
{
    for (;;)
        swapcontext(&there, &here);
}

/* What happens before or within the work; returns as if nothing had been, but the host frames of all callers are gone. */
__attribute__((noinline)) static void
happen(enum event e)
{
    int status;
    pid_t pid;

    switch (e) {
    case FORK:
        pid = fork();
        if (pid > 0) {
            waitpid(pid, &status, 0);
            _exit(0);
        }
        break;
    case LONGJMP:
        depth = 50;
        if (setjmp(again) == 0)
            deep(e);
        break;
    case THROW:
        depth = 50;
        try {
            deep(e);
        } catch (int) {
        }
        break;
    case SWITCH:
        swapcontext(&here, &there);
        break;
    default:
        break;
    }
}

/* One loop that calls nothing. */
__attribute__((noinline)) static void
plain(enum event e, unsigned long size)
{
    uint32_t x = 1;

    if (e)
        happen(e);
    for (unsigned long i = 0; i < size; i++)
        x = STEP(x);
    sink = x;
}

/* A nest of loops within one that calls something. */
__attribute__((noinline)) static void
nest(enum event e, unsigned long size)
{
    uint32_t x = 1;

    for (int round = 0; round < 2; round++) {
        if (e && round == 0)
            happen(e);
        for (unsigned long i = 0; i < size / 64; i++)
            for (int j = 0; j < 32; j++)
                x = STEP(x);
    }
    sink = x;
}

/* A caller whose loops go on when its callee returns on new frames. */
__attribute__((noinline)) static uint32_t
callee(enum event e, unsigned long i)
{
    if (e && i == 1)
        happen(e);
    return (uint32_t)i;
}

__attribute__((noinline)) static void
caller(enum event e, unsigned long size)
{
    uint32_t x = 1;

    for (int round = 0; round < 2; round++) {
        x += callee(e, (unsigned long)round);
        for (unsigned long i = 0; i < size / 2; i++)
            x = STEP(x);
    }
    sink = x;
}

/* An interpreter's loop. */
__attribute__((noinline)) static void
interpreter(enum event e, unsigned long size)
{
    static const unsigned char program[] = {1, 2, 3, 2, 1, 4, 2, 0};
    uint32_t x = 1;
    unsigned long count = 0;

    for (const unsigned char *pc = program;;) {
        switch (*pc++) {
        case 0:
            if (++count >= size / 8) {
                sink = x;
                return;
            }
            pc = program;
            break;
        case 1: x = STEP(x); break;
        case 2: x ^= x << 7; break;
        case 3: x += (uint32_t)count; break;
        case 4:
            if (e && count == 0)
                happen(e);
            x = ~x;
            break;
        }
    }
}

/* Preemption as Go does it: the handler makes the interrupted thread call something, which in the end comes back to the
 * interrupted instruction by a signal return of its own. */
static mcontext_t saved;
static volatile sig_atomic_t interrupted;

static void
on_user(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = static_cast<ucontext_t *>(context);

    (void)sig, (void)info;
    memcpy(uc->uc_mcontext.gregs, saved.gregs, sizeof saved.gregs);
    memcpy(uc->uc_mcontext.fpregs, saved.fpregs, sizeof *saved.fpregs);
}

static void
preempted(void)
{
    raise(SIGUSR1);
    abort();
}

static void
on_alarm(int sig, siginfo_t *info, void *context)
{
    static struct _libc_fpstate fpstate;
    ucontext_t *uc = static_cast<ucontext_t *>(context);

    (void)sig, (void)info;
    if (interrupted++)
        return;
    saved = uc->uc_mcontext;
    fpstate = *saved.fpregs;
    saved.fpregs = &fpstate;
    uc->uc_mcontext.gregs[REG_RSP] = ((uc->uc_mcontext.gregs[REG_RSP] - 4096) & -16) - 8;
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)preempted;
}

static void
work(const char *kind, enum event e, unsigned long size)
{
    if (strcmp(kind, "nest") == 0)
        nest(e, size);
    else if (strcmp(kind, "caller") == 0)
        caller(e, size);
    else if (strcmp(kind, "interpreter") == 0)
        interpreter(e, size);
    else
        plain(e, size);
}

/* In a child, so that each measurement starts from the same state. */
static uint64_t
measure(const char *kind, enum event e, unsigned long size)
{
    uint64_t t = 0;
    pid_t pid;

    if (pipe(report) < 0)
        abort();
    pid = fork();
    if (pid == 0) {
        struct itimerval soon = {};
        uint64_t start;

        soon.it_value.tv_usec = 10000;
        if (e == SIGNAL)
            setitimer(ITIMER_REAL, &soon, NULL);
        start = now();
        work(kind, e == SIGNAL ? NOTHING : e, size);
        t = now() - start;
        if (e == SIGNAL && !interrupted)
            abort();
        if (write(report[1], &t, sizeof t) != sizeof t)
            abort();
        _exit(0);
    }
    close(report[1]);
    if (read(report[0], &t, sizeof t) != sizeof t)
        abort();
    close(report[0]);
    waitpid(pid, NULL, 0);
    return t;
}

int
main(int argc, char **argv)
{
    static const char *const names[] = {"nothing", "fork", "longjmp", "signal", "switch", "throw"};
    static char stack[1 << 16];
    struct sigaction sa = {};
    volatile enum event e = NOTHING;
    unsigned long size;

    if (argc != 5)
        return 2;
    for (unsigned i = 0; i < 256; i++)
        table[i] = i * 0x9e3779b1u;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(argv[2], names[i]) == 0)
            e = (enum event)i;
    size = strtoul(argv[3], NULL, 10);
    sa.sa_sigaction = on_alarm;
    sa.sa_flags = SA_SIGINFO;
    sigaction(SIGALRM, &sa, NULL);
    sa.sa_sigaction = on_user;
    sigaction(SIGUSR1, &sa, NULL);
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack;
    makecontext(&there, other_stack, 0);
    happen(THROW); /* the first one sorts the unwind tables */
    for (int i = 0; i < atoi(argv[4]); i++) {
        unsigned long without = measure(argv[1], NOTHING, size);

        printf("%lu %lu\n", without, measure(argv[1], e, size));
        fflush(stdout);
    }
    return 0;
}
