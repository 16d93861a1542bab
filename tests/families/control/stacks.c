/* More than one stack: contexts of libc, hand-made switches, longjmp between stacks, signal stacks, generators that
 * outlive who called them, split processes on any of them. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* --- makecontext, swapcontext --- */

enum { CONTEXTS = 10, SIZE = 64 << 10 };

static ucontext_t main_context, contexts[CONTEXTS];
static long trace;

static void
worker(int id, int rounds, int extra, long wide)
{
    volatile double kept = id * 1.5;

    for (int i = 0; i < rounds; i++) {
        trace = trace * 31 + id + extra + (long)kept + (wide >> 32);
        kept += 0.25;
        if (i % 3 == 0 && id + 1 < CONTEXTS)
            swapcontext(&contexts[id], &contexts[id + 1]);
        else
            swapcontext(&contexts[id], &main_context);
    }
}

static void
once(int a, int b, int c, int d, int e, int f)
{
    trace = trace * 7 + a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6;
}

static void
libc_contexts(void)
{
    volatile int resumed = 0;

    for (int i = 0; i < CONTEXTS; i++) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        contexts[i].uc_stack.ss_size = SIZE;
        contexts[i].uc_link = &main_context;
        makecontext(&contexts[i], (void (*)(void))worker, 4, i, 1 << 30, i * 100, 7l << 32);
    }
    for (int k = 0; k < 400; k++) {
        getcontext(&main_context);
        if (resumed == k) {
            resumed++;
            setcontext(&contexts[k * 7 % 5]);
        }
    }
    printf("contexts %ld %d\n", trace, resumed);
    /* One after the other by uc_link. */
    for (int i = 0; i < CONTEXTS; i++) {
        contexts[i].uc_link = i + 1 < CONTEXTS ? &contexts[i + 1] : &main_context;
        makecontext(&contexts[i], (void (*)(void))once, 6, i, i + 1, i + 2, i + 3, i + 4, i + 5);
    }
    swapcontext(&main_context, &contexts[0]);
    printf("linked %ld\n", trace);
}

/* --- switches by hand --- */

void switch_stack(void **save, void *load);
__asm__(".text\n.globl switch_stack\n.type switch_stack, @function\n"
        "switch_stack:\n"
        " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        " mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
        " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
        ".size switch_stack, . - switch_stack\n");
/* Another way: no pushes, a jump instead of a return. */
struct jump_state {
    void *rip, *rsp, *rbp;
};
void switch_jump(struct jump_state *save, struct jump_state *load, long value);
__asm__(".globl switch_jump\n.type switch_jump, @function\n"
        "switch_jump:\n"
        " push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        " lea 1f(%rip), %rax\n mov %rax, (%rdi)\n mov %rsp, 8(%rdi)\n mov %rbp, 16(%rdi)\n"
        " mov 8(%rsi), %rsp\n mov 16(%rsi), %rbp\n mov %rdx, %rdi\n jmp *(%rsi)\n"
        "1: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n ret\n"
        ".size switch_jump, . - switch_jump\n");

struct coroutine {
    void *sp, *caller;
    long value;
    int done;
    char stack[24 << 10] __attribute__((aligned(16)));
};

static struct coroutine *current;

static void
yield_value(long v)
{
    struct coroutine *c = current;

    c->value = v;
    switch_stack(&c->sp, c->caller);
    current = c;
}

static long
resume(struct coroutine *c)
{
    struct coroutine *outer = current;

    current = c;
    switch_stack(&c->caller, c->sp);
    current = outer;
    return c->value;
}

static void
walk(int depth, int path)
{
    if (depth == 0) {
        yield_value(path);
        return;
    }
    walk(depth - 1, path * 2);
    walk(depth - 1, path * 2 + 1);
}

static void
generator(void)
{
    walk(9, 1);
    current->done = 1;
    for (;;)
        yield_value(-1);
}

static struct coroutine *
coroutine_new(void (*body)(void))
{
    struct coroutine *c = calloc(1, sizeof *c);
    void **sp = (void **)(void *)(c->stack + sizeof c->stack);

    *--sp = 0; /* alignment */
    *--sp = 0; /* no return address */
    *--sp = (void *)body;
    sp -= 6;
    memset(sp, 0, 6 * sizeof *sp);
    c->sp = sp;
    return c;
}

static void
by_hand(void)
{
    struct coroutine *g[50];
    long sum = 0;

    for (int i = 0; i < 50; i++)
        g[i] = coroutine_new(generator);
    for (int k = 0; k < 30000; k++) {
        struct coroutine *c = g[(unsigned)k * 2654435761u % 50];
        if (!c->done)
            sum = sum * 7 % 1000000007 + resume(c);
    }
    printf("by hand %ld\n", sum);
}

static struct jump_state here, there;
static char jump_stack[16 << 10] __attribute__((aligned(16)));

static void
other_side(long value)
{
    for (;;) {
        trace += value;
        switch_jump(&there, &here, trace);
        value = trace % 13 + 1;
    }
}

static void
by_jump(void)
{
    trace = 0;
    there = (struct jump_state){(void *)other_side, jump_stack + sizeof jump_stack - 8, 0};
    for (int i = 0; i < 20000; i++)
        switch_jump(&here, &there, i);
    printf("by jump %ld\n", trace);
}

/* --- longjmp from one stack to another, and on a stack that is gone --- */

static jmp_buf out, in_coroutine;
static volatile int entered;

static void
jumper(void)
{
    for (;;) {
        if (setjmp(in_coroutine) == 0)
            longjmp(out, 1);
        entered++;
    }
}

static void
jumps_between_stacks(void)
{
    struct coroutine *c = coroutine_new(jumper);
    volatile int left = 300;

    if (setjmp(out) == 0)
        switch_stack(&c->caller, c->sp);
    if (--left > 0)
        longjmp(in_coroutine, 1);
    printf("longjmp %d %d\n", left, entered);
}

/* --- signals on stacks of their own, left by longjmp and by swapcontext --- */

static sigjmp_buf from_handler;
static volatile int handled, on_alternate;
static char signal_stack[32 << 10];

static void
handler(int sig, siginfo_t *info, void *context)
{
    char here;

    (void)sig, (void)info, (void)context;
    handled++;
    on_alternate += &here >= signal_stack && &here < signal_stack + sizeof signal_stack;
    if (handled % 2)
        siglongjmp(from_handler, handled);
    yield_value(handled); /* the handler goes on later */
}

static void
signalled(void)
{
    for (;;) {
        if (sigsetjmp(from_handler, 1) == 0) {
            raise(SIGUSR1);
            yield_value(-handled);
        } else {
            yield_value(1000 + handled);
        }
    }
}

static void
signals(void)
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct coroutine *c = coroutine_new(signalled);
    long sum = 0;

    sigaltstack(&ss, 0);
    sigaction(SIGUSR1, &sa, 0);
    for (int i = 0; i < 200; i++)
        sum = sum * 3 % 1000003 + resume(c);
    printf("signals %ld %d %d\n", sum, handled, on_alternate);
}

/* --- fork on a coroutine's stack --- */

static void
forker(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid == 0) {
            yield_value(-1);
            _exit(7);
        }
        yield_value(pid);
    }
}

static void
forks(void)
{
    struct coroutine *c = coroutine_new(forker);
    int status;
    long sum = 0;

    fflush(stdout);
    for (int i = 0; i < 5; i++) {
        long pid = resume(c);
        if (pid == -1)
            _exit(i + 20); /* the child, back on the main stack */
        waitpid((pid_t)pid, &status, 0);
        sum = sum * 50 + WEXITSTATUS(status);
    }
    printf("forks %ld\n", sum);
}

int
main(void)
{
    libc_contexts();
    by_hand();
    by_jump();
    jumps_between_stacks();
    signals();
    forks();
    return 0;
}
