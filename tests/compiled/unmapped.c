/* Code that may no longer be executed, is unmapped, or comes back, while its callers and its native code are still
 * there. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PAGE = 4096 };

static sigjmp_buf back;
static volatile long fault_address, fault_rip;

/* A page of code of their own. */
__attribute__((section(".text.page"), aligned(4096), noinline)) static int
triple(int x)
{
    __asm__ volatile("");
    return x * 3 + 1;
}

__attribute__((section(".text.page"), noinline)) static int
call(int x, int (*f)(int))
{
    __asm__ volatile("");
    return f(x) + 2;
}

__attribute__((section(".text.qage"), aligned(4096), noinline)) static int
elsewhere(int x)
{
    __asm__ volatile("");
    return x;
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    fault_address = (long)info->si_addr;
    fault_rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    siglongjmp(back, sig);
}

static void
attempt(const char *what, int (*f)(int))
{
    int sig = sigsetjmp(back, 1);

    if (!sig)
        printf("%s: %d\n", what, f(5));
    else
        printf("%s: signal %d at %ld, rip %ld\n", what, sig, fault_address - (long)(uintptr_t)triple,
               fault_rip - (long)(uintptr_t)triple);
}

static int
forbid(int x)
{
    mprotect((void *)triple, PAGE, PROT_READ);
    return x;
}

static int
call_and_forbid(int x)
{
    return call(x, forbid);
}

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int (*volatile f)(int) = triple;

    sigaction(SIGSEGV, &sa, NULL);
    attempt("first", f);
    mprotect((void *)triple, PAGE, PROT_READ);
    attempt("not executable", f);
    mprotect((void *)triple, PAGE, PROT_READ | PROT_EXEC);
    attempt("executable again", f);
    attempt("a return to what is not", call_and_forbid);
    mprotect((void *)triple, PAGE, PROT_READ | PROT_EXEC);
    attempt("executable again", f);
    munmap((void *)triple, PAGE);
    attempt("unmapped", f);
    attempt("elsewhere", elsewhere);
    return 0;
}
