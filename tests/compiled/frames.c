/* Signal frames that a program made or changed, handed to rt_sigreturn with and without a signal: each field with odd
 * values. One line each, as on Linux: what registers, flags, masks and stacks are then, or which signal came. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, FRAME = 440, FPSTATE = 4096 };

/* What landed: the 16 registers, flags, cs and ss, MXCSR, x87 control, xmm5. */
struct landed {
    uint64_t gpr[16], flags, cs, ss;
    uint32_t mxcsr;
    uint16_t x87, pad;
    uint64_t xmm5[2];
};
struct landed landed;
char landing_stack[65536] __attribute__((aligned(64)));

__asm__(
    ".text\n.globl land\nland: mov %rax, landed(%rip); mov %rcx, landed+8(%rip); mov %rdx, landed+16(%rip); mov %rbx, landed+24(%rip)\n"
    "mov %rsp, landed+32(%rip); mov %rbp, landed+40(%rip); mov %rsi, landed+48(%rip); mov %rdi, landed+56(%rip)\n"
    "mov %r8, landed+64(%rip); mov %r9, landed+72(%rip); mov %r10, landed+80(%rip); mov %r11, landed+88(%rip)\n"
    "mov %r12, landed+96(%rip); mov %r13, landed+104(%rip); mov %r14, landed+112(%rip); mov %r15, landed+120(%rip)\n"
    "lea landing_stack+65536(%rip), %rsp; pushfq; pop landed+128(%rip); mov %cs, %eax; mov %rax, landed+136(%rip)\n"
    "mov %ss, %eax; mov %rax, landed+144(%rip); stmxcsr landed+152(%rip); fnstcw landed+156(%rip); movups %xmm5, landed+160(%rip)\n"
    "pushq $2; popfq; cld; xor %ebp, %ebp; call after_landing; hlt\n"
    ".globl sigreturn_at\nsigreturn_at: mov %rdi, %rsp; mov $15, %eax; syscall; hlt\n"
    ".globl restorer\nrestorer: mov $15, %eax; syscall; hlt\n");
void land(void);
void restorer(void);
_Noreturn void sigreturn_at(uint64_t address);

struct frame {
    uint64_t flags, link;
    uint64_t ss_sp;
    int32_t ss_flags, pad;
    uint64_t ss_size;
    uint64_t gregs[18];
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
    uint64_t mask;
    uint8_t info[128];
};
static struct frame *frame; /* at the end of its page's first half */
static uint8_t *fp;         /* the frame's floating-point state, two pages */
static struct frame captured;
static uint8_t captured_fp[FPSTATE];
static char alternate[65536];

static void
capture(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    memcpy(&captured, context, sizeof captured);
    memcpy(captured_fp, (void *)(uintptr_t)captured.fpstate, 512); /* without the state behind, which not all processors
                                                                      have */
    memset(captured_fp + 464, 0, 48);
}

/* Where the frame's values are the same natively and here: everything that printing would tell apart by address is left
 * out. */
void after_landing(void);
void
after_landing(void)
{
    uint64_t mask = 0;
    struct {
        uint64_t sp;
        int flags, pad;
        uint64_t size;
    } ss;
    static const int order[16] = {13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7}; /* in gregs */
    char line[800];
    int n = 0;

    syscall(SYS_rt_sigprocmask, 0, NULL, &mask, 8);
    syscall(SYS_sigaltstack, NULL, &ss);
    for (int k = 0; k < 16; k++)
        if (k != 4 && landed.gpr[k] != 0x1111111111111111u * (uint64_t)(order[k] + 1))
            n += snprintf(line + n, sizeof line - (size_t)n, "register %d is %llx ", k,
                          (unsigned long long)landed.gpr[k]);
    n += snprintf(line + n, sizeof line - (size_t)n,
                  "rsp %s flags %llx cs %llx ss %llx mxcsr %x x87 %x xmm5 %llx mask %llx stack %d %llu",
                  landed.gpr[4] == captured.gregs[15] ? "same" : "other", (unsigned long long)landed.flags,
                  (unsigned long long)landed.cs, (unsigned long long)landed.ss, landed.mxcsr, landed.x87,
                  (unsigned long long)landed.xmm5[0], (unsigned long long)mask, ss.flags, (unsigned long long)ss.size);
    if (write(1, line, (size_t)n) != n)
        _exit(3);
    _exit(0);
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    char line[100];
    int n;

    (void)context;
    n = snprintf(line, sizeof line, "%s code %d%s", sigabbrev_np(sig), info->si_code,
                 sig == SIGSEGV && info->si_code > 0 && info->si_code != SI_KERNEL && address == frame->gregs[16]
                     ? " at rip"
                     : "");
    if (write(1, line, (size_t)n) != n)
        _exit(3);
    _exit(1);
}

/* --- cases: a name and what is changed --- */

static void
nothing(uint64_t v)
{
    (void)v;
}

#define SETTER(name, place)       \
    static void name(uint64_t v)  \
    {                             \
        place = (typeof(place))v; \
    }
SETTER(set_rip, frame->gregs[16])
SETTER(set_rsp, frame->gregs[15])
SETTER(set_flags, frame->gregs[17])
SETTER(set_cs, frame->cs)
SETTER(set_ss, frame->ss)
SETTER(set_fs, frame->fs)
SETTER(set_gs, frame->gs)
SETTER(set_uc_flags, frame->flags)
SETTER(set_mask, frame->mask)
SETTER(set_fpstate, frame->fpstate)
SETTER(set_ss_flags, frame->ss_flags)
SETTER(set_ss_size, frame->ss_size)
SETTER(set_mxcsr, *(uint32_t *)(void *)(fp + 24))
SETTER(set_x87, *(uint16_t *)(void *)fp)
SETTER(set_magic, *(uint32_t *)(void *)(fp + 464))
SETTER(set_fault, frame->trapno = frame->cr2 = frame->err)

static void
set_ss_and_flags(uint64_t v)
{
    frame->ss = (uint16_t)v;
    frame->flags = 2; /* not UC_STRICT_RESTORE_SS */
}

static void
fp_offset(uint64_t v)
{
    memmove(fp + v, fp, 512);
    frame->fpstate = (uint64_t)(uintptr_t)fp + v;
}

static void
forbid_fp(uint64_t v)
{
    mprotect(fp, 2 * PAGE, (int)v);
}

static const struct {
    const char *name;
    void (*change)(uint64_t v);
    uint64_t values[24];
    unsigned count;
} cases[] = {
#define V(...) {__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / 8
    {"nothing", nothing, V(0)},
    {"rip", set_rip,
     V(0, 8, 0x20000, 0x7ffffffff000, 0x800000000000, 0xffff888000000000, 0xfffffffffffffff0, UINT64_MAX)},
    {"rsp", set_rsp, V(0, 1, 0x20000, 0x7ffffffff000, 0x800000000000, UINT64_MAX)},
    {"flags", set_flags,
     V(0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x200, 0x400, 0x800, 0x1000, 0x3000, 0x4000, 0x8000, 0x10000, 0x20000,
       0x80000, 0x100000, 0x200000, 0xffffffff00000000, 0x3b0a2a)},
    {"alignment flag", set_flags, V(0x40000)},
    {"cs", set_cs, V(0x33, 0x30, 0x31, 0, 3, 0x10, 0x2b, 0x43, 0xfff8, 0xffff)},
    {"ss", set_ss, V(0x2b, 0x28, 0, 3, 0x33, 0x10, 0x18, 0x43, 0xfff8, 0xffff)},
    {"ss not strict", set_ss_and_flags, V(0x2b, 0, 3, 0x33, 0x10, 0x43, 0xffff)},
    {"fs", set_fs, V(0, 3, 0x2b, 0xffff)},
    {"gs", set_gs, V(0, 3, 0x2b, 0xffff)},
    {"uc_flags", set_uc_flags, V(0, 1, 2, 4, 6, UINT64_MAX)},
    {"mask", set_mask, V(0, 1, 0x100, 0x40000, UINT64_MAX)},
    {"fpstate", set_fpstate, V(0, 8, 0x20000, 0x800000000000, UINT64_MAX)},
    {"fpstate at", fp_offset, V(64, 1, 8, 16, 32, PAGE - 256, 2 * PAGE - 512)},
    {"fpstate pages", forbid_fp, V(PROT_NONE, PROT_READ)},
    {"mxcsr", set_mxcsr, V(0, 0x1f80, 0x9fc0, 0xffff, 0x10000, UINT32_MAX)},
    {"x87", set_x87, V(0x37f, 0x27f, 0, 0x137f, 0xffff)},
    {"magic", set_magic, V(0x46505853, 1)},
    {"stack flags", set_ss_flags, V(0, 1, 2, 3, 4, 0x7fffffff, 0x80000000, 0x80000002)},
    {"stack size", set_ss_size, V(0, 1, 2047, 2048, 65536, UINT64_MAX)},
    {"fault", set_fault, V(7, UINT64_MAX)},
};

static void
prepare(void)
{
    uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    fp = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(fp + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
    fp += PAGE;
    frame = (struct frame *)(void *)(p + PAGE);
    memcpy(frame, &captured, sizeof *frame);
    memcpy(fp, captured_fp, 512);
    for (int k = 0; k < 15; k++)
        frame->gregs[k] = 0x1111111111111111u * (unsigned)(k + 1);
    *(uint64_t *)(void *)(fp + 160 + 5 * 16) = 0x123456789;
    frame->fpstate = (uint64_t)(uintptr_t)fp;
    frame->gregs[16] = (uint64_t)(uintptr_t)land;
    frame->gregs[17] = 0x202;
}

static void
install(void)
{
    stack_t ss = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigaltstack(&ss, NULL);
    for (int sig = 1; sig < 32; sig++)
        if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP)
            sigaction(sig, &sa, NULL);
}

static void
swap_frame(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    memcpy(context, frame, sizeof *frame - sizeof frame->info);
}

/* way: a frame of our own without a signal, or the frame of a signal changed in its handler */
static void
run(unsigned c, unsigned v, int way)
{
    install();
    prepare();
    cases[c].change(cases[c].values[v]);
    if (way == 0)
        sigreturn_at((uint64_t)(uintptr_t)frame);
    sigaction(SIGUSR2, &(struct sigaction){.sa_sigaction = swap_frame, .sa_flags = SA_SIGINFO}, NULL);
    raise(SIGUSR2);
    _exit(4);
}

static void
say(int status)
{
    printf(WIFSIGNALED(status) ? " killed by %d\n" : " exit %d\n",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fflush(stdout);
}

/* --- where the frame is --- */

static void
frames_anywhere(void)
{
    uint8_t *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* clang-format off */
    const struct {
        const char *name;
        uint64_t address;
    } places[] = {{"null", 8}, {"low", 0x20000}, {"kernel", 0xffff888000000000}, {"not canonical", 0x800000000000}, {"minus one", UINT64_MAX},
                  {"zeros", (uintptr_t)p}, {"cut off", (uintptr_t)p + 3 * PAGE - 200}};
    /* clang-format on */

    munmap(p + 3 * PAGE - PAGE, PAGE);
    for (unsigned k = 0; k < sizeof places / sizeof *places; k++) {
        int status;
        pid_t pid;

        printf("frame at %s: ", places[k].name);
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            install();
            prepare();
            sigreturn_at(places[k].address);
        }
        waitpid(pid, &status, 0);
        say(status);
    }
}

/* --- handlers within handlers, and ways out of them --- */

static sigjmp_buf back;
static volatile int depth, deepest;
static ucontext_t contexts[2];

static void
nest(int sig)
{
    if (++depth < deepest)
        raise(sig);
    else if (deepest % 2)
        siglongjmp(back, 1);
}

static void
nested(int to, int flags)
{
    struct sigaction sa = {.sa_handler = nest, .sa_flags = SA_NODEFER | flags};

    sigaction(SIGUSR2, &sa, NULL);
    depth = 0;
    deepest = to;
    if (sigsetjmp(back, 1) == 0)
        raise(SIGUSR2);
    printf("nested %d deep: %d\n", to, depth);
}

static volatile int turns, running;

static void
swap(int sig)
{
    int from = running;

    (void)sig;
    if (turns++ >= 2000)
        return;
    running = !from;
    swapcontext(&contexts[from], &contexts[!from]);
}

static void
partner(void)
{
    for (;;)
        raise(turns < 2000 ? SIGUSR2 : SIGKILL);
}

/* Two contexts that change places inside handlers: frames on either stack end in another order than they began. */
static void
swapped(void)
{
    static char stack[262144];
    struct sigaction sa = {.sa_handler = swap, .sa_flags = SA_NODEFER};

    sigaction(SIGUSR2, &sa, NULL);
    getcontext(&contexts[1]);
    contexts[1].uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
    contexts[1].uc_link = NULL;
    makecontext(&contexts[1], partner, 0);
    while (turns < 2000)
        raise(SIGUSR2);
    printf("swapped %d times\n", turns);
}

/* --- calls whose returns go elsewhere: thousands deep, each to the middle of another's --- */

uint64_t chain[4000];
__asm__(".text\n.globl run_chain\n"
        "run_chain: push %rbx; mov %rsp, %rbx; mov %rdi, %rsp; xor %eax, %eax; ret\n"
        ".globl link_one\nlink_one: add $1, %rax; ret\n"
        ".globl link_two\nlink_two: call 1f; ud2; 1: add $8, %rsp; add $1000000, %rax; ret\n"
        ".globl link_end\nlink_end: mov %rbx, %rsp; pop %rbx; ret\n");
uint64_t run_chain(uint64_t *from);
void link_one(void);
void link_two(void);
void link_end(void);

static void
chained(void)
{
    uint64_t sum = 0;

    for (int round = 0; round < 20; round++) {
        for (unsigned k = 0; k < 3999; k++)
            chain[k] = (uint64_t)(uintptr_t)((k * 7 + (unsigned)round) % 3 ? link_one : link_two);
        chain[3999] = (uint64_t)(uintptr_t)link_end;
        sum += run_chain(chain);
    }
    printf("chain %llu\n", (unsigned long long)sum);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = capture, .sa_flags = SA_SIGINFO}, NULL);
    raise(SIGUSR1);
    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++)
        for (unsigned v = 0; v < cases[c].count; v++)
            for (int way = 0; way < 2; way++) {
                int status;
                pid_t pid;

                printf("%s %llx%s: ", cases[c].name, (unsigned long long)cases[c].values[v],
                       way ? " in a handler" : "");
                fflush(stdout);
                pid = fork();
                if (pid == 0)
                    run(c, v, way);
                if (waitpid(pid, &status, 0) != pid)
                    return 4;
                say(status);
            }
    frames_anywhere();
    nested(1, 0);
    nested(2, 0);
    nested(1001, 0);
    nested(1000, 0);
    chained();
    swapped();
    return 0;
}
