/* Handlers of faults on the stack that was interrupted, which must not touch what lies there: below deep recursion and
 * large arrays, on small thread stacks and a coroutine's, with and without an alternate stack, nested, left by longjmp
 * over and over, with other signals waiting. A stack without room for the frame kills. This program has no precise
 * faults: no handler of it looks at registers. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static char *page;
static volatile int handlers, others;
static sigjmp_buf env;

static void
protect(int prot)
{
    mprotect(page, 4096, prot);
}

static void
repair(int sig, siginfo_t *info, void *context)
{
    volatile char scratch[300];

    (void)sig, (void)info, (void)context;
    memset((char *)scratch, 0x55, sizeof scratch);
    handlers++;
    protect(PROT_READ | PROT_WRITE);
}

static void
install(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    sigaction(sig, &sa, NULL);
}

/* --- frames of many kinds, each with values that are looked at again --- */

static NOINLINE unsigned
recurse(int depth, unsigned x)
{
    volatile unsigned a[16];
    unsigned sum = 0;

    for (unsigned i = 0; i < 16; i++)
        a[i] = x * 33 + i;
    if (depth == 0)
        *(volatile char *)page = 1;
    else
        x = recurse(depth - 1, x * 7 + (unsigned)depth);
    for (unsigned i = 0; i < 16; i++)
        sum += a[i];
    return sum + x;
}

static NOINLINE unsigned
large(unsigned x)
{
    unsigned char a[300000];
    unsigned sum = 0;

    for (unsigned i = 0; i < sizeof a; i++)
        a[i] = (unsigned char)(x * i >> 3);
    __asm__ volatile("" : : "r"(a) : "memory");
    *(volatile char *)page = 1;
    __asm__ volatile("" : : "r"(a) : "memory");
    for (unsigned i = 0; i < sizeof a; i++)
        sum = sum * 31 + a[i];
    return sum;
}

static NOINLINE unsigned
of_any_size(unsigned n, unsigned x)
{
    unsigned a[n], sum = 0;

    for (unsigned i = 0; i < n; i++)
        a[i] = x ^ i * 77;
    __asm__ volatile("" : : "r"(a) : "memory");
    if (n > 1000)
        sum = of_any_size(n / 2, x + 1);
    else
        *(volatile char *)page = 1;
    for (unsigned i = 0; i < n; i++)
        sum = sum * 31 + a[i];
    return sum;
}

/* A leaf with its data in the red zone. */
unsigned red_zone(char *p, unsigned x);
__asm__(".text\nred_zone:\n"
        " mov %esi, -8(%rsp)\n imul $3, %esi, %eax\n mov %eax, -64(%rsp)\n imul $5, %esi, %eax\n mov %eax, -128(%rsp)\n"
        " movb $1, (%rdi)\n mov -8(%rsp), %eax\n add -64(%rsp), %eax\n add -128(%rsp), %eax\n ret\n");

/* Sixty pushes before the access, in one block. */
unsigned pushes(char *p, unsigned x);
__asm__(
    "pushes:\n push %rbx\n mov %rsi, %rax\n .rept 60\n push %rax\n lea 7(%rax,%rax,2), %rax\n .endr\n movb $1, (%rdi)\n"
    " xor %eax, %eax\n .rept 60\n pop %rbx\n add %rbx, %rax\n .endr\n pop %rbx\n ret\n");

/* Recursion that puts nothing but return addresses on the stack. */
unsigned bare(char *p, unsigned depth);
__asm__("bare:\n dec %esi\n js 1f\n call bare\n inc %eax\n ret\n1: movb $1, (%rdi)\n xor %eax, %eax\n ret\n");

/* Another stack, lower or higher, for the time of the access. */
unsigned elsewhere(char *p, unsigned x, char *stack);
__asm__(
    "elsewhere:\n push %rbp\n mov %rsp, %rbp\n mov %rdx, %rsp\n push %rsi\n push %rsi\n movb $1, (%rdi)\n pop %rax\n pop %rdx\n"
    " add %edx, %eax\n mov %rbp, %rsp\n pop %rbp\n ret\n");

static const char *
check(unsigned (*run)(unsigned), unsigned x)
{
    unsigned want, got;

    protect(PROT_READ | PROT_WRITE);
    want = run(x);
    protect(PROT_READ);
    got = run(x);
    return got == want ? "intact" : "CORRUPT";
}

/* clang-format off */
static unsigned run_recurse(unsigned x) { return recurse((int)x, 1); }
static unsigned run_large(unsigned x) { return large(x); }
static unsigned run_any(unsigned x) { return of_any_size(x, 3); }
static unsigned run_red(unsigned x) { return red_zone(page, x); }
static unsigned run_pushes(unsigned x) { return pushes(page, x); }
static unsigned run_bare(unsigned x) { return bare(page, x); }
/* clang-format on */

static unsigned
run_elsewhere(unsigned x)
{
    static char stack[32768] __attribute__((aligned(16)));
    unsigned sum = 0;

    memset(stack, 0x77, 4096);
    sum = elsewhere(page, x, stack + sizeof stack);
    for (unsigned i = 0; i < 1024; i++)
        sum += (unsigned)stack[i];
    return sum;
}

static void
frames(const char *how)
{
    handlers = 0;
    printf("%s: %s %s %s %s, %s, %s, %s, %s %s, %s", how, check(run_recurse, 0), check(run_recurse, 100),
           check(run_recurse, 1000), check(run_recurse, 5000), check(run_large, 5), check(run_any, 50000),
           check(run_red, 9), check(run_pushes, 11), check(run_bare, 3000), check(run_elsewhere, 4));
    printf(", %d\n", handlers);
}

/* --- small stacks --- */

static unsigned want;

static void *
thread(void *arg)
{
    (void)arg;
    protect(PROT_READ);
    return (void *)(long)(recurse(20, 1) == want);
}

static ucontext_t main_context, coroutine;
static int coroutine_right;

static void
run_coroutine(void)
{
    protect(PROT_READ);
    coroutine_right = recurse(20, 1) == want;
}

static void
small_stacks(void)
{
    static const int sizes[] = {8192, 1024, 256, 128, 96, 64, 32};

    handlers = 0;
    protect(PROT_READ | PROT_WRITE);
    want = recurse(20, 1);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pthread_attr_t attributes;
        pthread_t t;
        void *right;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, (size_t)sizes[i] * 1024);
        pthread_create(&t, &attributes, thread, NULL);
        pthread_join(t, &right);
        printf("%d KiB %s, ", sizes[i], right ? "intact" : "CORRUPT");
    }
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = malloc(65536);
    coroutine.uc_stack.ss_size = 65536;
    coroutine.uc_link = &main_context;
    makecontext(&coroutine, run_coroutine, 0);
    swapcontext(&main_context, &coroutine);
    printf("coroutine %s, %d\n", coroutine_right ? "intact" : "CORRUPT", handlers);
}

/* --- handlers within handlers --- */

static char *second;

static void
repair_second(int sig)
{
    (void)sig;
    mprotect(second, 4096, PROT_READ | PROT_WRITE);
    others++;
}

static void
fault_in_handler(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    handlers++;
    if (info->si_addr == second) {
        repair_second(sig);
        return;
    }
    second[0] = 5; /* faults as well, on the same signal */
    protect(PROT_READ | PROT_WRITE);
}

static void
on_illegal(int sig)
{
    (void)sig;
    others++;
    siglongjmp(env, 1);
}

/* An exception whose state is known, in the handler of a fault whose state is not. */
static void
exception_in_handler(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    handlers++;
    if (sigsetjmp(env, 1) == 0)
        __asm__ volatile("ud2");
    protect(PROT_READ | PROT_WRITE);
}

static void
on_alarm(int sig)
{
    volatile char scratch[500];

    memset((char *)scratch, 0x66, sizeof scratch);
    (void)sig;
    others++;
}

/* The others come when this handler has returned, before the instruction is done again. */
static void
raise_others(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    handlers++;
    raise(SIGALRM);
    raise(SIGUSR1);
    protect(PROT_READ | PROT_WRITE);
}

static void
leave(int sig)
{
    (void)sig;
    handlers++;
    siglongjmp(env, 1);
}

static sigjmp_buf outer_env;

/* The handler of the inner fault leaves to that of the outer one, which returns. */
static void
leave_inner(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    handlers++;
    if (info->si_addr == second)
        siglongjmp(outer_env, 1);
    if (sigsetjmp(outer_env, 1) == 0)
        *(volatile char *)second = 1;
    protect(PROT_READ | PROT_WRITE);
}

static void
nested(int flags)
{
    struct sigaction block_all = {.sa_sigaction = raise_others, .sa_flags = SA_SIGINFO | flags};

    const char *right;

    handlers = others = 0;
    mprotect(second, 4096, PROT_READ);
    install(SIGSEGV, fault_in_handler, SA_NODEFER | flags);
    right = check(run_recurse, 300);
    printf("fault in handler: %s, %d %d\n", right, handlers, others);
    install(SIGSEGV, exception_in_handler, flags);
    signal(SIGILL, on_illegal);
    right = check(run_recurse, 3000);
    printf("exception in handler: %s, %d %d\n", right, handlers, others);
    sigfillset(&block_all.sa_mask);
    sigaction(SIGSEGV, &block_all, NULL);
    signal(SIGALRM, on_alarm);
    signal(SIGUSR1, on_alarm);
    right = check(run_recurse, 300);
    printf("signals wait: %s, %d %d\n", right, handlers, others);
    mprotect(second, 4096, PROT_READ);
    install(SIGSEGV, leave_inner, SA_NODEFER | flags);
    right = check(run_recurse, 300);
    printf("left to the outer handler: %s, %d\n", right, handlers);
}

static void
leave_often(void)
{
    volatile unsigned kept[8];

    handlers = 0;
    signal(SIGSEGV, leave);
    protect(PROT_READ);
    for (volatile unsigned i = 0; i < 3000; i++) {
        kept[i % 8] = i * 3;
        if (sigsetjmp(env, 1) == 0)
            recurse((int)(i % 40), i);
        if (kept[i % 8] != i * 3)
            puts("CORRUPT");
    }
    printf("left %d times\n", handlers);
}

/* --- unmasked floating point --- */

static NOINLINE double
divide(volatile double *a, volatile double *b)
{
    return *a / *b;
}

static void
floats(void)
{
    volatile double one = 1, zero = 0;
    unsigned mxcsr = 0x1f80 & ~0x200u; /* division by zero */

    handlers = 0;
    signal(SIGFPE, leave);
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(env, 1) == 0) {
            __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
            printf("%f\n", divide(&one, &zero));
        }
    }
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    printf("SIGFPE %d times\n", handlers);
}

/* --- no room --- */

static NOINLINE unsigned
without_end(unsigned x)
{
    volatile unsigned a[100];

    a[x % 100] = x;
    if (x == 0)
        return 0;
    return without_end(x + 1) + a[x % 100];
}

static void
say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(3);
}

static void
too_deep(int sig)
{
    (void)sig;
    say("handler ran\n");
    _exit(0);
}

static void *
overflow_thread(void *arg)
{
    (void)arg;
    printf("%u\n", without_end(1));
    return NULL;
}

static void
overflow(bool alternate, bool in_thread)
{
    int status;

    fflush(stdout);
    if (fork() == 0) {
        struct rlimit limit = {1 << 20, 1 << 20}, no_core = {0, 0};
        struct sigaction sa = {.sa_handler = too_deep, .sa_flags = alternate ? SA_ONSTACK : 0};
        stack_t stack = {.ss_sp = malloc(16384), .ss_size = 16384};

        setrlimit(RLIMIT_CORE, &no_core);
        setrlimit(RLIMIT_STACK, &limit);
        if (alternate)
            sigaltstack(&stack, NULL);
        sigaction(SIGSEGV, &sa, NULL);
        if (in_thread) {
            pthread_attr_t attributes;
            pthread_t t;

            pthread_attr_init(&attributes);
            pthread_attr_setstacksize(&attributes, 65536);
            pthread_create(&t, &attributes, overflow_thread, NULL);
            pthread_join(t, NULL);
        }
        overflow_thread(NULL);
        _exit(4);
    }
    wait(&status);
    printf("overflow%s%s: ", alternate ? " with an alternate stack" : "", in_thread ? " of a thread" : "");
    printf(WIFSIGNALED(status) ? "signal %d\n" : "status %d\n",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* A handler that faults itself, each time anew. */
static void
fault_again(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    handlers++;
    *(volatile char *)page = 1;
}

static void
faults_without_end(int flags)
{
    int status;

    fflush(stdout);
    if (fork() == 0) {
        struct rlimit no_core = {0, 0};
        stack_t stack = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};

        setrlimit(RLIMIT_CORE, &no_core);
        sigaltstack(&stack, NULL);
        protect(PROT_READ);
        install(SIGSEGV, fault_again, SA_NODEFER | flags);
        *(volatile char *)page = 1;
        _exit(4);
    }
    wait(&status);
    printf("faults without end: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

int
main(void)
{
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};

    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    second = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(SIGSEGV, repair, 0);
    frames("same stack");
    small_stacks();
    nested(0);
    sigaltstack(&stack, NULL);
    install(SIGSEGV, repair, SA_ONSTACK);
    frames("alternate stack");
    nested(SA_ONSTACK);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    install(SIGSEGV, repair, SA_ONSTACK);
    frames("none set");
    leave_often();
    floats();
    overflow(false, false);
    overflow(true, false);
    overflow(false, true);
    faults_without_end(0);
    faults_without_end(SA_ONSTACK);
    return 0;
}
