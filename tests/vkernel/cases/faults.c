/* What a handler is told of faults: addresses beyond the address space, exceptions of instructions, and old ways into
 * the kernel. */
#include <setjmp.h>
#include <sys/ucontext.h>

#include "case.h"

static sigjmp_buf back;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    const greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;

    say("signal %d code %d address %lx trap %ld error %ld", sig, info->si_code, (unsigned long)info->si_addr,
        (long)reg[REG_TRAPNO], (long)reg[REG_ERR]);
    siglongjmp(back, 1);
}

static void
watch(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    for (size_t k = 0; k < sizeof signals / sizeof *signals; k++)
        sigaction(signals[k], &sa, NULL);
}

#define TRY(...)                       \
    do {                               \
        if (sigsetjmp(back, 1) == 0) { \
            __VA_ARGS__;               \
            say("no fault");           \
        }                              \
    } while (0)

#define AT(type, address) (*(volatile type *)(address))

CASE(addresses_that_are_not_canonical)
{
    watch();
    TRY(AT(char, 0x800000000000) = 1);
    TRY((void)AT(char, 0xffff7fffffffffff));
    TRY((void)AT(long, 0x7ffffffffffc));
    TRY((void)AT(char, 0x123456789abcdef0));
}

CASE(addresses_of_the_kernel)
{
    watch();
    TRY(AT(char, 0xffff800000000000) = 1);
    TRY((void)AT(char, 0xffffffffffffffff));
    TRY((void)AT(long, 0xfffffffffffffffc));
    TRY(AT(char, 0x7ffffffff000) = 1);
}

CASE(addresses_where_nothing_is)
{
    watch();
    TRY(AT(char, 8) = 1);
    TRY((void)AT(int, 0x7f0000000000));
    TRY((void)AT(int, 0x100000000008));
}

CASE(the_stack_at_no_canonical_address)
{
    watch();
    TRY(asm volatile("mov $0x800000000000, %%rbp; mov (%%rbp), %%rax" :: : "rbp", "rax"));
    TRY(asm volatile("mov $0x800000000000, %%rbx; mov (%%rbx), %%rax" :: : "rbx", "rax"));
}

CASE(jumps_elsewhere)
{
    watch();
    TRY(((void (*)(void))0x800000000000)());
    TRY(((void (*)(void))0xffff900000000000)());
    TRY(((void (*)(void))0x7f0000000000)());
}

CASE(calls_with_such_addresses)
{
    SHOW(write(1, (void *)0x800000000000, 1));
    SHOW(write(1, (void *)0xffff800000000000, 1));
}

CASE(breakpoints)
{
    watch();
    TRY(asm volatile("int3"));
    TRY(asm volatile(".byte 0xcd, 3"));
}

static volatile int hits;

static void
on_hit(int sig)
{
    hits++;
}

CASE(breakpoints_go_on_behind)
{
    signal(SIGTRAP, on_hit);
    asm volatile(".byte 0xcd, 3; int3; .byte 0xcd, 3");
    SHOW(hits);
}

CASE(interrupts)
{
    watch();
    TRY(asm volatile("int $4"));
    TRY(asm volatile("hlt"));
    TRY(asm volatile("ud2"));
}

CASE(vsyscall_page)
{
    time_t (*old_time)(time_t *) = (void *)0xffffffffff600400;
    int (*old_clock)(struct timeval *, void *) = (void *)0xffffffffff600000;
    long (*old_cpu)(unsigned *, unsigned *, void *) = (void *)0xffffffffff600800;
    struct timeval tv = {0};
    time_t now = time(NULL), then = 0;
    unsigned cpu = ~0u;

    SHOW(old_time(&then) - now < 3);
    SHOW(then - now < 3);
    SHOW(old_clock(&tv, NULL));
    SHOW(tv.tv_sec - now < 3);
    SHOW(old_cpu(&cpu, NULL, NULL));
    SHOW(cpu != ~0u);
}

CASE(vsyscall_page_elsewhere)
{
    watch();
    TRY(((void (*)(void))0xffffffffff600001)());
    TRY(((void (*)(void))0xffffffffff600c00)());
}
