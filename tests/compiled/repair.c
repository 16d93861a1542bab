/* Handlers that do not look at registers, so that this program has no precise faults: one repairs the memory, and the
 * instruction is done again with all it had computed; one leaves by longjmp, over and over; one runs system calls, and
 * a fork, before it repairs. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char *page;
static sigjmp_buf env;
static volatile int faults;

static void
repair(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    faults++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void
jump(int sig)
{
    (void)sig;
    siglongjmp(env, 1);
}

static void
jump_with_code(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    siglongjmp(env, info->si_addr ? -1 : info->si_code);
}

static void
fork_and_repair(int sig, siginfo_t *info, void *context)
{
    int status = 0;
    pid_t child = fork();

    (void)sig, (void)info, (void)context;
    if (child == 0)
        _exit(7);
    waitpid(child, &status, 0);
    faults += WEXITSTATUS(status);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void
install(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &sa, NULL);
}

static long
sum_with_faults(void)
{
    long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7;

    for (int i = 0; i < 50; i++) {
        mprotect(page, 4096, PROT_NONE);
        a += b ^ i, b += c * 3, c ^= d, d += e - i, e += f, f ^= g, g += a;
        page[i] = (char)a;
        a += page[i] + b + c + d + e + f + g;
    }
    return a;
}

int
main(void)
{
    page = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(repair);
    printf("%ld", sum_with_faults());
    printf(" %d\n", faults);
    mprotect(page, 4096, PROT_READ);
    memset(page + 50, 7, 10);
    printf("%d %d\n", page[55], faults);
    faults = 0;
    signal(SIGSEGV, jump);
    for (volatile int i = 0; i < 10000; i++) {
        if (sigsetjmp(env, 1))
            faults++;
        else
            *(volatile char *)0 = 1;
    }
    printf("%d\n", faults);
    install(jump_with_code);
    for (volatile int offset = 0; offset < 17; offset++) { /* #GP for 16 bytes that are not aligned */
        volatile int code = sigsetjmp(env, 1);

        if (code == 0)
            __asm__ volatile("movaps %%xmm0, (%0)" : : "r"(page + 1024 + offset) : "memory");
        printf("%d%c", code, offset == 16 ? '\n' : ' ');
    }
    faults = 0;
    install(fork_and_repair);
    printf("%ld", sum_with_faults());
    printf(" %d\n", faults);
    return 0;
}
