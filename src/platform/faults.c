/* Host faults: those of guest code become the guest's signals; those of the vkernel inside guest memory (a mapped file
 * that was truncated) are mended with a zero page; any other is a bug of ours, and ends the process with a line. */
#include "platform/platform.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE_FAULT_WRITE = 2 }; /* of the processor's error code */

volatile enum platform_mode platform_mode;
void (*platform_on_fault)(const struct platform_fault *f);
bool (*platform_fault_inside)(uint64_t host_address);
volatile unsigned platform_mended_faults;

void platform_faults_init(void);

static char *
hex(char *p, uint64_t v)
{
    for (int i = 60; i >= 0; i -= 4)
        *p++ = "0123456789abcdef"[v >> i & 15];
    return p;
}

static _Noreturn void
die_of(int sig, const siginfo_t *info, const ucontext_t *uc)
{
    static const char bug[] = "ingot: internal fault: signal ";
    char text[160], *p = text;

    memcpy(p, bug, sizeof bug - 1);
    p += sizeof bug - 1;
    *p++ = (char)('0' + sig / 10);
    *p++ = (char)('0' + sig % 10);
    memcpy(p, " address ", 9);
    p = hex(p + 9, (uint64_t)(uintptr_t)info->si_addr);
    memcpy(p, " at ", 4);
    p = hex(p + 4, (uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
    memcpy(p, " mode ", 6);
    p += 6;
    *p++ = (char)('0' + (int)platform_mode);
    *p++ = '\n';
    if (write(2, text, (size_t)(p - text)) < 0)
        _exit(125);
    _exit(125);
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    bool memory = (sig == SIGSEGV || sig == SIGBUS) && info->si_code > 0;
    bool inside = memory && platform_fault_inside && platform_fault_inside(address);

    if (platform_mode != PLATFORM_KERNEL && platform_on_fault && (inside || sig == SIGFPE)) {
        const ucontext_t *uc = context;
        struct platform_fault f = {.sig = sig, .code = info->si_code, .address = address,
                                   .write = (uc->uc_mcontext.gregs[REG_ERR] & PAGE_FAULT_WRITE) != 0};

        platform_on_fault(&f);
    }
    if (platform_mode == PLATFORM_KERNEL && inside) {
        void *page = (void *)(uintptr_t)(address & ~(uint64_t)(PAGE_SIZE - 1));

        if (mmap(page, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            MAP_FAILED) {
            platform_mended_faults++;
            return;
        }
    }
    die_of(sig, info, context);
}

void
platform_faults_init(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    static char stack[64 << 10] __attribute__((aligned(16)));
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}
