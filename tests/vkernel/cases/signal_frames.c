/* Frames that rt_sigreturn cannot load. */
#include <ucontext.h>

#include "case.h"

static int faults;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    if (++faults > 3)
        _exit(1);
    printf("signal %d, code %d, address %p\n", sig, info->si_code, info->si_addr);
}

static void
misalign(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;

    c->uc_mcontext.fpregs = (void *)((char *)c->uc_mcontext.fpregs + 1);
}

static void
lose(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;

    c->uc_mcontext.fpregs = (void *)0x1000;
}

static void
spoil_header(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    uint64_t *header = (uint64_t *)((char *)c->uc_mcontext.fpregs + 512);

    header[2] = 1;
}

static void
return_from(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO},
                     b = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    faults = 0;
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGSEGV, &b, NULL);
    SHOW(raise(SIGUSR1) >= 0);
    SHOW(faults);
}

CASE(misaligned_floating_point_state)
{
    return_from(misalign);
}

CASE(floating_point_state_that_is_not_mapped)
{
    return_from(lose);
}

CASE(spoilt_header_of_the_floating_point_state)
{
    return_from(spoil_header);
}
