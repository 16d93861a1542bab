/* The stack pointer everywhere: in each kind of place a push, call, return, signal, system call, fault, exit. One line
 * each, as on Linux: what came of it, and where the fault was from the stack pointer. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

uint64_t saved_rsp, taken; /* for the assembly; taken: 8 bytes of the new stack */
static uint64_t asked;     /* the stack pointer that was asked for */
static const char *end_of_text = "end\n";

/* action(rsp): the instructions with the stack pointer there, and back. Registers that C wants kept are on the old
 * stack. */
#define ACTION(name, text)                                                                                        \
    __asm__(".text\n.globl act_" #name "\nact_" #name                                                             \
            ": push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"                                \
            "mov %rsp, saved_rsp(%rip); mov %rdi, %rsp; mov $0x1234, %eax; xor %ebp, %ebp\n" text "\n"            \
            "mov saved_rsp(%rip), %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; cld; ret\n"); \
    void act_##name(uint64_t rsp);

/* clang-format off */
#define ACTIONS                                                                                                          \
    A(push, "push %rax")                                                                                                 \
    A(push16, "pushw %ax")                                                                                               \
    A(push_flags, "pushfq")                                                                                              \
    A(push_memory, "pushq taken(%rip)")                                                                                  \
    A(pop, "pop taken(%rip)")                                                                                            \
    A(call, "call 1f; 1:")                                                                                               \
    A(call_far_down, "sub $64, %rsp; call 1f; 1:")                                                                       \
    A(ret, "ret")                                                                                                        \
    A(ret_removing, "ret $16")                                                                                           \
    A(leave, "mov %rsp, %rbp; leave; mov %rbp, taken(%rip)")                                                                                    \
    A(enter, "enter $32, $0; movq $1, (%rsp)")                                                                                            \
    A(load, "mov (%rsp), %rcx; mov %rcx, taken(%rip)")                                                                    \
    A(store, "mov %rax, 8(%rsp)")                                                                                        \
    A(store_below, "mov %rax, -128(%rsp)")                                                                               \
    A(add, "add %rax, (%rsp)")                                                                                           \
    A(exchange, "lock xadd %rax, (%rsp)")                                                                                \
    A(vector, "movups %xmm0, (%rsp)")                                                                                    \
    A(string, "mov %rsp, %rdi; mov $3, %ecx; rep stosq")                                                                  \
    A(through_rbp, "mov %rsp, %rbp; mov %rax, 8(%rbp)")                                                                   \
    A(align, "and $-16, %rsp; push %rax; pop %rax")                                                                       \
    A(system_call, "mov $39, %eax; syscall")                                                                             \
    A(signal, "mov $39, %eax; syscall; mov %rax, %rdi; mov $10, %esi; mov $62, %eax; syscall; mov $39, %eax; syscall")         \
    A(null, "mov 8, %rcx")                                                                                               \
    A(divide, "xor %edx, %edx; xor %ecx, %ecx; div %ecx")                                                                  \
    A(trap, "int3")                                                                                                      \
    A(undefined, "ud2")                                                                                                  \
    A(privileged, "hlt")                                                                                                 \
    A(exit, "mov $7, %edi; mov $60, %eax; syscall")                                                                      \
    A(exit_group, "mov $8, %edi; mov $231, %eax; syscall")                                                               \
    A(vfork, "mov $58, %eax; syscall; test %eax, %eax; jnz 1f; xor %edi, %edi; mov $60, %eax; syscall; 1:")                   \
    A(clone_thread, "mov $0x50f00, %edi; mov %rsp, %rsi; xor %edx, %edx; xor %r10d, %r10d; xor %r8d, %r8d; mov $56, %eax; syscall\n" \
                    "test %eax, %eax; jnz 1f; push %rax; pop %rax; movl $1, there(%rip); xor %edi, %edi; mov $60, %eax; syscall\n"   \
                    "1: mov $35, %eax; lea short_time(%rip), %rdi; xor %esi, %esi; syscall; cmpl $0, there(%rip); je 1b")
/* clang-format on */

const uint64_t short_time[2] = {0, 2000000};
volatile int there;

#define A(name, text) ACTION(name, text)
ACTIONS
#undef A

static const struct {
    const char *name;
    void (*act)(uint64_t rsp);
} actions[] = {
#define A(name, text) {#name, act_##name},
    ACTIONS
#undef A
};

/* --- places --- */

struct place {
    const char *name;
    uint64_t address;
};
static struct place places[40];
static unsigned place_count;

static void
place(const char *name, uint64_t address)
{
    places[place_count++] = (struct place){name, address};
}

static uint8_t *
pages(int prot, int flags, int fd)
{
    uint8_t *p = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mmap(p + 2 * PAGE, 2 * PAGE, prot, flags | MAP_FIXED, fd, 0) == MAP_FAILED)
        _exit(9);
    return p + 2 * PAGE;
}

/* None whose lower half may be mapped: above 4 GiB addresses are cut (README.md). */
static void
find_places(void)
{
    int fd = memfd_create("places", 0);
    uint8_t *rw = pages(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1),
            *ro = pages(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uint8_t *shared, *gone;

    if (ftruncate(fd, PAGE) != 0)
        _exit(9);
    shared = pages(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    gone = pages(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    munmap(gone, 2 * PAGE);
    place("zero", 0);
    place("eight", 8);
    place("null page", 0x100);
    place("low", 0x20008);
    place("middle", (uintptr_t)rw + PAGE);
    place("start", (uintptr_t)rw);
    place("just above the start", (uintptr_t)rw + 8);
    place("four above the start", (uintptr_t)rw + 4);
    place("end", (uintptr_t)rw + 2 * PAGE);
    place("behind the end", (uintptr_t)rw + 2 * PAGE + 8);
    place("odd", (uintptr_t)rw + PAGE + 3);
    place("read-only", (uintptr_t)ro + PAGE);
    place("forbidden", (uintptr_t)rw - 64);
    place("unmapped", (uintptr_t)gone + PAGE);
    place("text", ((uintptr_t)end_of_text + 63) & ~63ull);
    place("file", (uintptr_t)shared + 256);
    place("end of the file", (uintptr_t)shared + PAGE);
    place("behind the file", (uintptr_t)shared + 2 * PAGE - 64);
    place("end of user space", 0x7ffffffff000);
    place("behind user space", 0x7ffffffff008);
    place("the kernel's", 0xffff888000000100);
    place("minus eight", UINT64_MAX - 7);
    place("minus one", UINT64_MAX);
}

/* --- one case --- */

static volatile int inside;

/* Looks at no registers: siginfo only. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
    char line[100];
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    int32_t from = (int32_t)(address - asked); /* addresses here have 32 bits */
    int64_t n;

    (void)context;
    if (info->si_code <= 0 || info->si_code == SI_KERNEL || sig == SIGTRAP)
        n = snprintf(line, sizeof line, "%s code %d", sigabbrev_np(sig), info->si_code);
    else if (sig == SIGILL || sig == SIGFPE)
        n = snprintf(line, sizeof line, "%s code %d there", sigabbrev_np(sig), info->si_code);
    else if (from >= -4096 && from <= 4096)
        n = snprintf(line, sizeof line, "%s code %d at rsp%+lld", sigabbrev_np(sig), info->si_code, (long long)from);
    else
        n = snprintf(line, sizeof line, "%s code %d at %#llx", sigabbrev_np(sig), info->si_code,
                     (unsigned long long)address);
    if (write(1, line, (size_t)n) != n)
        _exit(3);
    _exit(1);
}

static void
on_signal(int sig)
{
    (void)sig;
}

static void
run(const struct place *p, unsigned action)
{
    static char other_stack[65536];
    stack_t ss = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK},
                     usr = {.sa_handler = on_signal};

    sigaltstack(&ss, NULL);
    for (int sig = 1; sig < 32; sig++)
        if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP)
            sigaction(sig, &sa, NULL);
    sigaction(SIGUSR1, &usr, NULL);
    asked = p->address;
    actions[action].act(p->address);
    inside = 1;
    if (write(1, "went on", 7) != 7)
        _exit(3);
    _exit(0);
}

int
main(int argc, char **argv)
{
    int only = argc > 1 ? atoi(argv[1]) : -1;

    find_places();
    for (unsigned k = 0; k < place_count; k++)
        for (unsigned i = 0; i < sizeof actions / sizeof *actions; i++) {
            int status;
            pid_t pid;

            if (only >= 0 && (unsigned)only != k * 100 + i)
                continue;
            printf("%s, %s: ", places[k].name, actions[i].name);
            fflush(stdout);
            pid = fork();
            if (pid == 0)
                run(&places[k], i);
            if (waitpid(pid, &status, 0) != pid)
                return 4;
            printf(WIFSIGNALED(status) ? " killed by %d\n" : " exit %d\n",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            fflush(stdout);
        }
    return 0;
}
