/* Handlers that look at the registers of a fault, or change them, hidden from the build: in other functions than those
 * that install them, behind pointers, found by way of the stack. Without precise faults each must be told so; with them
 * each works.
 *
 * usage: looks KIND */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define NOINLINE __attribute__((noinline, noclone))

/* Reads, or goes on at `fail` where a handler has it go. */
int try_read(volatile int *p, int *out);
__asm__(
    ".text\n.globl try_read\n.type try_read, @function\ntry_read: .cfi_startproc\n mov (%rdi), %eax\n mov %eax, (%rsi)\n"
    " xor %eax, %eax\n ret\n.cfi_endproc\n.size try_read, . - try_read\n"
    ".globl fail\nfail: mov $-14, %eax\n ret\n");
extern char fail[];

static void *volatile landing = fail;
static void (*volatile callback)(ucontext_t *);
static volatile long seen;

static NOINLINE void
change(mcontext_t *m)
{
    m->gregs[REG_RIP] = (long)landing;
}

static void
by_function(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    change(&((ucontext_t *)context)->uc_mcontext);
}

static void
to_callback(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    callback(context);
}

static void
changes(ucontext_t *context)
{
    change(&context->uc_mcontext);
}

static void
by_copy(int sig, siginfo_t *info, void *context)
{
    ucontext_t copy;

    (void)sig, (void)info;
    memcpy(&copy, context, sizeof copy);
    seen = copy.uc_mcontext.gregs[REG_RIP] == (long)try_read;
    callback(context);
}

static void
by_write(int sig, siginfo_t *info, void *context)
{
    int fd[2];

    (void)sig, (void)info;
    if (pipe(fd) == 0 && write(fd[1], (char *)context + offsetof(ucontext_t, uc_mcontext), 8) < 0)
        _exit(5);
    callback(context);
}

static _Unwind_Reason_Code
on_frame(struct _Unwind_Context *context, void *arg)
{
    (void)arg;
    seen += _Unwind_GetIP(context) == (_Unwind_Word)try_read;
    return _URC_NO_REASON;
}

static void
by_backtrace(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    _Unwind_Backtrace(on_frame, NULL);
    callback(context);
}

static void
by_mask(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
    callback(context);
}

static const struct {
    const char *name;
    void (*handler)(int, siginfo_t *, void *);
} kinds[] = {{"function", by_function}, {"callback", to_callback},   {"copy", by_copy},
             {"write", by_write},       {"backtrace", by_backtrace}, {"mask", by_mask}};

static NOINLINE void
install(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    sigaction(sig, &sa, NULL);
}

int
main(int argc, char **argv)
{
    static const int signals[] = {SIGSEGV, SIGBUS};
    int out = 0, value = 7;

    callback = changes;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds && argc > 1; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            for (unsigned k = 0; k < 2; k++)
                install(signals[k], kinds[i].handler, 0);
    printf("%d", try_read(&value, &out));
    printf(" %d", out);
    printf(" %d", try_read((int *)16, &out));
    printf(" %ld\n", seen);
    return 0;
}
