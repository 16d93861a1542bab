/* Control flow that compiled code must get right whatever it assumes: run natively and in an artifact, the output must
 * be the same. Each part prints one line. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* --- flags as results, return addresses that change --- */

long flags_returned(long a, long b); /* bits: carry, zero, sign after a callee's comparison */
long skips_an_instruction(void);
long returns_through_push(long x);
long calls_into_the_middle(uintptr_t start, long x);
long spin_until_rbx(void);
extern const char middle_of[], middle_start[], before_hidden[];
__asm__(".text\n"
        "compares_tail: jmp compares\n"
        "compares: cmp %rsi, %rdi\n ret\n"
        ".globl flags_returned\n"
        "flags_returned: call compares_tail\n"
        " setc %al\n movzbl %al, %eax\n push %rax\n"
        " call compares\n"
        " pop %rax\n" /* flags survive */
        " jne 1f\n or $2, %eax\n"
        "1: push %rax\n lea compares(%rip), %rcx\n call *%rcx\n pop %rax\n jns 2f\n or $4, %eax\n"
        "2: ret\n"
        "skipper: addq $7, (%rsp)\n ret\n"
        ".globl skips_an_instruction\n"
        "skips_an_instruction: xor %eax, %eax\n call skipper\n .byte 0x48, 0xc7, 0xc0\n .long 99\n" /* mov $99, %rax */
        " add $5, %rax\n ret\n"
        ".globl returns_through_push\n"
        "returns_through_push: lea 3f(%rip), %rax\n push %rax\n lea 4f(%rip), %rax\n push %rax\n ret\n"
        "3: lea (%rdi,%rdi,2), %rax\n ret\n"
        "4: inc %rdi\n ret\n"
        ".globl middle_start\n"
        "middle_start: mov %rsi, %rax\n add $1000, %rax\n"
        ".globl middle_of\n"
        "middle_of: lea 7(%rsi), %rax\n imul %rax, %rax\n ret\n"
        ".globl calls_into_the_middle\n"
        "calls_into_the_middle: sub $8, %rsp\n call *%rdi\n add $1, %rax\n add $8, %rsp\n ret\n"
        /* 64 bytes on: calls rsi, without a symbol or a reference. */
        ".p2align 6\n"
        ".globl before_hidden\n"
        "before_hidden: ret\n"
        ".p2align 6\n sub $8, %rsp\n call *%rsi\n add $1, %rax\n add $8, %rsp\n ret\n"
        ".globl spin_until_rbx\n"
        "spin_until_rbx: push %rbx\n xor %ebx, %ebx\n xor %eax, %eax\n"
        "5: inc %rax\n test %rbx, %rbx\n je 5b\n"
        " mov %rbx, %rax\n pop %rbx\n ret\n");

static void
on_alarm(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)sig, (void)info;
    u->uc_mcontext.gregs[REG_RBX] = 4711; /* the loop reads no memory: only this ends it */
}

static long
ended_by_handler(void)
{
    struct sigaction a = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO}, old;
    struct itimerval t = {.it_value.tv_usec = 20000};
    long result;

    sigaction(SIGALRM, &a, &old);
    setitimer(ITIMER_REAL, &t, NULL);
    result = spin_until_rbx();
    sigaction(SIGALRM, &old, NULL);
    return result;
}

/* --- stacks --- */

static jmp_buf there;

/* Compiled code and code that nobody found in turn, until the host stack is full at every kind of place. */
static long __attribute__((noinline))
alternates(long n)
{
    static const volatile long away = 64;
    long (*hidden)(long, long (*)(long)) = (long (*)(long, long (*)(long)))((uintptr_t)before_hidden + (uintptr_t)away);

    return n == 0 ? 0 : hidden(n - 1, alternates) + (n & 1);
}

static long __attribute__((noinline))
dive(long depth, long jump)
{
    if (depth == 0) {
        if (jump)
            longjmp(there, (int)jump);
        return 1;
    }
    return dive(depth - 1, jump) * 3 % 1000003 + depth % 7;
}

static long
jumps_out(void)
{
    volatile long sum = 0;

    for (volatile int i = 1; i <= 20; i++) {
        int r = setjmp(there);

        if (r == 0)
            dive(1000 * i, i);
        else
            sum += r * i;
    }
    return sum;
}

static ucontext_t main_context, other_context;
static long turns;

static void
coroutine(void)
{
    for (;;) {
        turns = turns * 5 % 99991 + 1;
        swapcontext(&other_context, &main_context);
    }
}

static long
changes_stacks(void)
{
    static char stack[65536];

    getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack;
    other_context.uc_stack.ss_size = sizeof stack;
    makecontext(&other_context, coroutine, 0);
    for (int i = 0; i < 5000; i++) {
        turns += i;
        swapcontext(&main_context, &other_context);
    }
    return turns;
}

static long
forks_in_a_loop(void)
{
    long sum = 0;

    for (int i = 0; i < 20; i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            long x = i;

            for (int k = 0; k < 200000; k++)
                x = x * 31 % 65521 + k % 3;
            _exit((int)(x % 200));
        }
        waitpid(pid, &status, 0);
        sum = sum * 7 % 100003 + WEXITSTATUS(status);
    }
    return sum;
}

/* --- interpreters: tables shared and not, doubles across operations --- */

enum { PROGRAM = 4096 };
static uint8_t program[PROGRAM];

static void
make_program(unsigned seed, unsigned operations)
{
    for (int i = 0; i < PROGRAM - 1; i++) {
        seed = seed * 1664525 + 1013904223;
        program[i] = (uint8_t)(1 + (seed >> 16) % (operations - 1));
    }
    program[PROGRAM - 1] = 0;
}

#define OPERATIONS(X) \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20)

static double __attribute__((noinline))
third(double x)
{
    return x / 3;
}

static double
threaded(long *count)
{
#define LABEL(n) &&op##n,
    static const void *const labels[] = {&&stop, OPERATIONS(LABEL) && call, &&back};
    const uint8_t *pc = program;
    double a = 1.5, b = 0.25;
    long n = 0, left = 3000;

#define NEXT goto *labels[*pc++]
    NEXT;
#define OPERATION(k)                                                       \
    op##k : n = n * (2 * k + 1) % 1000003 + k;                             \
    if (k % 4 == 1)                                                        \
        a += (double)n;                                                    \
    else if (k % 4 == 2)                                                   \
        b = (float)a * 0.5 + b;                                            \
    else if (k % 4 == 3)                                                   \
        a = a > 1e6 || a < -1e6 ? (double)(n % 1000) : a + (double)(int)n; \
    if (b > 1e9 || b < -1e9)                                               \
        b = 1;                                                             \
    NEXT;
    OPERATIONS(OPERATION)
call:
    a = third(a) + b;
    NEXT;
back:
    if (--left > 0)
        pc -= (pc - program) * 3 / 4;
    NEXT;
stop:
    *count = n;
    return a + b;
}

static double
switched(long *count)
{
    const uint8_t *pc = program;
    double a = 1.5, b = 0.25;
    long n = 0, left = 3000;

    for (;;) {
        switch (*pc++) {
#define CASE(k)                            \
    case k:                                \
        n = n * (2 * k + 3) % 1000003 + k; \
        if (k % 3 == 1)                    \
            a += (double)n;                \
        else                               \
            b = (float)a * 0.5 + b;        \
        if (b > 1e9 || b < -1e9)           \
            b = 1;                         \
        break;
            OPERATIONS(CASE)
        case 21: a = third(a) + b; break;
        case 22:
            if (--left > 0)
                pc -= (pc - program) * 3 / 4;
            break;
        case 0: *count = n; return a + b;
        default: abort();
        }
    }
}

int
main(void)
{
    long n;
    double d;

    for (long a = -2; a <= 2; a++)
        printf("flags %ld %ld\n", flags_returned(a, 1), flags_returned(a, -1));
    printf("skips %ld\n", skips_an_instruction());
    printf("push and ret %ld\n", returns_through_push(13));
    /* The address is computed, so that nobody finds it beforehand. */
    for (int i = 0; i < 3; i++)
        printf("middle %ld\n",
               calls_into_the_middle((uintptr_t)middle_start + (uintptr_t)(middle_of - middle_start), i));
    printf("ended by handler %ld\n", ended_by_handler());
    printf("deep %ld\n", dive(60000, 0));
    printf("alternates %ld\n", alternates(20000));
    printf("jumps out %ld\n", jumps_out());
    printf("contexts %ld\n", changes_stacks());
    fflush(stdout);
    printf("forks %ld\n", forks_in_a_loop());
    for (unsigned seed = 1; seed <= 4; seed++) {
        make_program(seed, 23);
        d = threaded(&n);
        printf("threaded %a %ld\n", d, n);
        d = switched(&n);
        printf("switched %a %ld\n", d, n);
    }
    return 0;
}
