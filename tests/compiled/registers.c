/* All registers where something comes between two instructions or within one: system calls, other threads and
 * processes, timers, faults. x87 and MMX registers, MXCSR and the flags among them. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* --- flags over a system call --- */

static void
flags_over_call(void)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < 128; i++) {
        uint64_t flags = 2 | (i & 1) | (i & 2) << 1 | (i & 4) << 2 | (i & 8) << 3 | (i & 16) << 3 | (i & 32) << 5 |
                         (i & 64) << 5,
                 after, saved;

        __asm__ volatile("pushq %[flags]\n\tpopfq\n\tsyscall\n\tpushfq\n\tcld\n\tpopq %[after]\n\tmovq %%r11, %[saved]"
                         : [after] "=&r"(after), [saved] "=&r"(saved)
                         : [flags] "r"(flags), "a"(SYS_getppid)
                         : "rcx", "r11", "memory", "cc");
        bad += (after & 0xcd5) != (flags & 0xcd5) || (saved & 0xcd5) != (flags & 0xcd5);
    }
    printf("flags over a system call: %u wrong\n", bad);
}

/* --- x87 state over other threads and processes --- */

static unsigned
x87_rounds(uint16_t control, double first, double second, uint32_t mxcsr, unsigned rounds)
{
    uint32_t before = 0x1f80;
    unsigned bad = 0;

    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    for (unsigned i = 0; i < rounds; i++) {
        double a, b;
        uint16_t now, status;
        uint64_t mm;
        uint32_t csr;

        __asm__ volatile(
            "fninit\n\tfldcw %[control]\n\tfldl %[first]\n\tfldl %[second]\n\tsyscall\n\tfnstcw %[now]\n\tfnstsw %[status]\n\t"
            "fstpl %[b]\n\tfstpl %[a]\n\tstmxcsr %[csr]"
            : [a] "=m"(a), [b] "=m"(b), [now] "=m"(now), [status] "=m"(status), [csr] "=m"(csr)
            : [control] "m"(control), [first] "m"(first), [second] "m"(second), "a"(SYS_sched_yield)
            : "rcx", "r11", "memory");
        bad += a != first || b != second || now != control || (status >> 11 & 7) != 6 ||
               (csr & 0xffc0) != (mxcsr & 0xffc0);
        __asm__ volatile("movq %[first], %%mm5\n\tsyscall\n\tmovq %%mm5, %[mm]\n\temms"
                         : [mm] "=m"(mm)
                         : [first] "m"(first), "a"(SYS_sched_yield)
                         : "rcx", "r11", "memory");
        bad += memcmp(&mm, &first, sizeof mm) != 0;
    }
    __asm__ volatile("ldmxcsr %0\n\tfninit" ::"m"(before));
    return bad;
}

static void *
x87_thread(void *arg)
{
    uintptr_t i = (uintptr_t)arg;

    return (void *)(uintptr_t)x87_rounds((uint16_t)(0x37f - (i & 3) * 0x100 + (i & 3) * 0x400), 1.5 + (double)i,
                                         2.25 * (double)i, (uint32_t)(0x1f80 | (i & 3) << 13), 300);
}

static void
x87_over_others(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    uintptr_t bad = 0;
    pid_t child = fork();
    int status = -1;

    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, x87_thread, (void *)(i + (child == 0 ? 9 : 1)));
    for (unsigned i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        bad += (uintptr_t)result;
    }
    if (child == 0)
        _exit(bad != 0);
    waitpid(child, &status, 0);
    printf("x87 over other threads and a process: %u wrong, child %d\n", (unsigned)bad, status);
}

static void
x87_over_fork(void)
{
    double value = 3.5, found = 0;
    long child;
    int status = -1;

    __asm__ volatile("fninit\n\tfldl %[value]\n\tsyscall\n\tfstpl %[found]"
                     : [found] "=m"(found), "=a"(child)
                     : [value] "m"(value), "a"(SYS_fork)
                     : "rcx", "r11", "memory");
    if (child == 0)
        _exit(found != value);
    waitpid((pid_t)child, &status, 0);
    printf("x87 over fork: parent %g, child %d\n", found, status);
}

/* --- floating-point exceptions --- */

extern const char x87_next[], sse_divide[], integer_divide[], undefined[];
static sigjmp_buf back;
static uint64_t exception_at;
static int exception_code;
static uint16_t exception_status;
static uint32_t exception_mxcsr;
static double exception_operand;

static void
on_exception(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)sig;
    exception_at = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    exception_code = info->si_addr == (void *)(uintptr_t)exception_at ? info->si_code : -info->si_code;
    exception_status = uc->uc_mcontext.fpregs->swd;
    exception_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    memcpy(&exception_operand, &uc->uc_mcontext.fpregs->_xmm[7], sizeof exception_operand);
    siglongjmp(back, 1);
}

static void
exceptions(void)
{
    struct sigaction sa = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO};
    uint32_t unmasked = 0x1f80 & ~(1u << 9), masked = 0x1f80;
    uint16_t control = 0x37f & ~4;
    double one = 1;

    sigaction(SIGFPE, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    if (!sigsetjmp(back, 1))
        __asm__ volatile(
            "fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\t.globl x87_next\nx87_next:\n\tfwait" ::"m"(control));
    printf("x87: %s, code %d, status %x\n",
           exception_at == (uint64_t)(uintptr_t)x87_next ? "at the next one" : "elsewhere", exception_code,
           exception_status & 0xc07f);
    __asm__ volatile("fninit");
    if (!sigsetjmp(back, 1))
        __asm__ volatile(
            "ldmxcsr %0\n\tmovsd %1, %%xmm7\n\txorps %%xmm6, %%xmm6\n\t.globl sse_divide\nsse_divide:\n\tdivsd %%xmm6, %%xmm7" ::
                "m"(unmasked),
            "m"(one)
            : "xmm6", "xmm7");
    __asm__ volatile("ldmxcsr %0" ::"m"(masked));
    printf("SSE: %s, code %d, mxcsr %x, operand %g\n",
           exception_at == (uint64_t)(uintptr_t)sse_divide ? "there" : "elsewhere", exception_code, exception_mxcsr,
           exception_operand);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("xorl %%ecx, %%ecx\n\t.globl integer_divide\ninteger_divide:\n\tdivl %%ecx" ::"a"(1), "d"(0)
                         : "rcx");
    printf("division: %s, code %d\n", exception_at == (uint64_t)(uintptr_t)integer_divide ? "there" : "elsewhere",
           exception_code);
    if (!sigsetjmp(back, 1))
        __asm__ volatile(".globl undefined\nundefined:\n\tud2");
    printf("ud2: %s, code %d\n", exception_at == (uint64_t)(uintptr_t)undefined ? "there" : "elsewhere",
           exception_code);
}

/* --- faults within runs of pushes and pops --- */

extern const char run_pushes[], run_pops[], run_end[];
static greg_t fault_reg[16], fault_rip;
static uint8_t *area; /* two pages: the first cannot be written, and the third is not there */

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)sig;
    (void)info;
    for (unsigned i = 0; i < 16; i++)
        fault_reg[i] = uc->uc_mcontext.gregs[order[i]];
    fault_rip = uc->uc_mcontext.gregs[REG_RIP];
    siglongjmp(back, 1);
}

__attribute__((noinline)) static void
push_at(uint64_t rsp)
{
    __asm__ volatile(
        "movq %%rsp, %%r15\n\tmovq %0, %%rsp\n\tmovl $1, %%eax\n\tmovl $2, %%ecx\n\tmovl $3, %%edx\n\tmovl $4, %%ebx\n\tmovl $10, %%r10d\n\t"
        "movl $11, %%r11d\n\t.globl run_pushes\nrun_pushes:\n\t"
        "pushq %%rax\n\tpushq %%r10\n\tpushq $77\n\tpushq %%rbx\n\tpushq %%r11\n\tpushq %%rdx\n\tmovq %%r15, %%rsp" ::
            "r"(rsp)
        : "rax", "rcx", "rdx", "rbx", "r10", "r11", "r15", "memory");
}

__attribute__((noinline)) static void
pop_at(uint64_t rsp)
{
    __asm__ volatile(
        "movq %%rsp, %%r15\n\tmovq %0, %%rsp\n\tmovl $1, %%eax\n\tmovl $2, %%ecx\n\tmovl $3, %%edx\n\tmovl $4, %%ebx\n\tmovl $10, %%r10d\n\t"
        "movl $11, %%r11d\n\t.globl run_pops\nrun_pops:\n\t"
        "popq %%rax\n\tpopq %%r10\n\tpopq %%rcx\n\tpopq %%rbx\n\tpopq %%r11\n\tpopq %%rdx\n\tmovq %%r15, %%rsp" ::"r"(
            rsp)
        : "rax", "rcx", "rdx", "rbx", "r10", "r11", "r15", "memory");
}

static void
show_run(const char *what, unsigned count, const char *from)
{
    printf("%s %u: +%lld rsp %lld rax %llx rcx %llx rdx %llx rbx %llx r10 %llx r11 %llx\n", what, count,
           (long long)(fault_rip - (greg_t)(uintptr_t)from), (long long)(fault_reg[4] - (greg_t)(uintptr_t)area),
           (long long)fault_reg[0], (long long)fault_reg[1], (long long)fault_reg[2], (long long)fault_reg[3],
           (long long)fault_reg[10], (long long)fault_reg[11]);
}

static void
runs(void)
{
    enum { PAGE = 4096 };
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};

    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    area = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < 2 * PAGE / 8; i++)
        ((uint64_t *)(void *)area)[i] = 0x1000 + i;
    mprotect(area, PAGE, PROT_READ);
    munmap(area + 2 * PAGE, PAGE);
    for (volatile unsigned i = 0; i < 6; i++) {
        if (!sigsetjmp(back, 1))
            push_at((uint64_t)(uintptr_t)area + PAGE + 8 * i);
        show_run("push", i, run_pushes);
    }
    for (volatile unsigned i = 0; i < 6; i++) {
        if (!sigsetjmp(back, 1))
            pop_at((uint64_t)(uintptr_t)area + 2 * PAGE - 8 * i);
        show_run("pop", i, run_pops);
    }
}

/* --- jumps through a table of labels that lead nowhere --- */

long labels_loop(const uint8_t *code, uint64_t wild);
__asm__(".text\n"
        ".globl labels_loop\n"
        "labels_loop:\n"
        "  xorl %eax, %eax\n  movl $10, %r10d\n  movl $11, %r11d\n  leaq labels_table(%rip), %rdx\n"
        "  movzbl (%rdi), %ecx\n  addq $1, %rdi\n  jmp *(%rdx, %rcx, 8)\n"
        "labels_add: addl $3, %eax\n  movzbl (%rdi), %ecx\n  addq $1, %rdi\n  jmp *(%rdx, %rcx, 8)\n"
        "labels_double: addl %eax, %eax\n  movzbl (%rdi), %ecx\n  addq $1, %rdi\n  movq (%rdx, %rcx, 8), %r9\n"
        "  cmpl $4, %ecx\n  cmoveq %rsi, %r9\n  jmp *%r9\n"
        "labels_end: ret\n"
        ".section .data.rel.ro, \"aw\"\n.p2align 3\n"
        "labels_table: .quad labels_add, labels_double, labels_end, 0, 0\n.text\n");

/* The same with flags that cross the jumps: what adds to rax leaves a carry, and what follows adds it to rsi. */
long labels_carry(const uint8_t *code, uint64_t wild);
__asm__(
    ".text\n"
    ".globl labels_carry\n"
    "labels_carry:\n"
    "  movq %rsi, %r8\n  xorl %eax, %eax\n  xorl %esi, %esi\n  leaq carry_table(%rip), %rdx\n"
    "  movzbl (%rdi), %ecx\n  leaq 1(%rdi), %rdi\n  jmp *(%rdx, %rcx, 8)\n"
    "carry_add: addl $0x60000000, %eax\n  movzbl (%rdi), %ecx\n  leaq 1(%rdi), %rdi\n  jmp *(%rdx, %rcx, 8)\n"
    "carry_count: adcl $0, %esi\n  movzbl (%rdi), %ecx\n  leaq 1(%rdi), %rdi\n  movq (%rdx, %rcx, 8), %r9\n  jmp *%r9\n"
    "carry_subtract: subl $0x70000000, %eax\n  movzbl (%rdi), %ecx\n  leaq 1(%rdi), %rdi\n  movq (%rdx, %rcx, 8), %r9\n  jmp *%r9\n"
    "carry_wild: movzbl (%rdi), %ecx\n  leaq 1(%rdi), %rdi\n  movq (%rdx, %rcx, 8), %r9\n  cmoveq %r8, %r9\n  cmovneq %r8, %r9\n  jmp *%r9\n"
    "carry_end: adcl $0x100, %esi\n  shlq $32, %rsi\n  orq %rsi, %rax\n  ret\n"
    ".section .data.rel.ro, \"aw\"\n.p2align 3\n"
    "carry_table: .quad carry_add, carry_count, carry_subtract, carry_wild, carry_end, 0\n.text\n");

static void
carries(void)
{
    uint32_t seed = 1;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t code[64];

        for (unsigned k = 0; k < sizeof code - 1; k++) {
            seed = seed * 1664525 + 1013904223;
            code[k] = seed >> 24 & 3 ? seed >> 26 & 1 : 2;
        }
        code[sizeof code - 1] = 4;
        printf("carries %lx\n", labels_carry(code, 0));
    }
    for (volatile unsigned i = 0; i < 4; i++) {
        static const uint8_t code[4][8] = {{0, 0, 0, 5}, {0, 1, 0, 3, 0}, {0, 2, 3, 0}, {0, 1, 5}};
        static const uint64_t wild[4] = {0, 16, 0x1000, 0};

        if (!sigsetjmp(back, 1))
            labels_carry(code[i], wild[i]);
        printf("carry %u: rip %llx rax %llx rsi %llx\n", i, (long long)fault_rip, (long long)fault_reg[0],
               (long long)fault_reg[6]);
    }
}

static void
wild_labels(void)
{
    static const uint8_t ends[] = {0, 1, 0, 1, 2}, from_memory[] = {0, 1, 0, 3}, from_register[] = {0, 0, 1, 4};
    static const uint64_t wild[] = {0, 1, 16, 0x40000000, 0xfffffff0, 1ull << 46 | 16};

    printf("labels %ld\n", labels_loop(ends, 0));
    for (volatile unsigned i = 0; i <= sizeof wild / sizeof *wild; i++) {
        bool memory = i == sizeof wild / sizeof *wild;

        if (!sigsetjmp(back, 1))
            labels_loop(memory ? from_memory : from_register, memory ? 0 : wild[i]);
        printf("label %u: rip %llx rax %llx rcx %llx rsi %llx r9 %llx r10 %llx r11 %llx\n", i, (long long)fault_rip,
               (long long)fault_reg[0], (long long)fault_reg[1], (long long)fault_reg[6],
               memory ? 0 : (long long)fault_reg[9], (long long)fault_reg[10], (long long)fault_reg[11]);
    }
}

/* --- timers, between all kinds of instructions --- */

static volatile unsigned alarms;

static void
on_alarm(int sig)
{
    (void)sig;
    __asm__ volatile("fninit\n\tfld1\n\tfldpi" ::: "memory"); /* its x87 state is not the interrupted code's */
    alarms++;
}

__attribute__((noinline)) static uint64_t
calls(uint64_t n)
{
    return n < 2 ? n : calls(n - 1) + calls(n - 2);
}

__attribute__((noinline)) static uint64_t
deep(uint64_t n)
{
    uint64_t below = n ? deep(n - 1) : 0;

    __asm__ volatile("" : "+r"(below));
    return below + 1;
}

static void
work_interrupted(void)
{
    static uint8_t from[1 << 20], to[1 << 20];
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    unsigned bad = 0;
    uint64_t sum;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned until = alarms + 20; (int)(alarms - until) < 0;) /* reads one word */
        ;
    __asm__ volatile("1:\n\tcmpl $60, %0\n\tjb 1b" ::"m"(alarms) : "cc");
    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 7 + i / 251);
    for (unsigned until = alarms + 50; (int)(alarms - until) < 0;) {
        void *d = to, *s = from;
        size_t n = sizeof from;

        memset(to, 0, sizeof to);
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
        bad += n != 0 || d != to + sizeof to || s != from + sizeof from || memcmp(from, to, sizeof to) != 0;
    }
    for (unsigned until = alarms + 50; (int)(alarms - until) < 0;)
        bad += calls(20) != 6765;
    for (unsigned until = alarms + 50; (int)(alarms - until) < 0;)
        bad += deep(200000) != 200001;
    for (unsigned until = alarms + 50; (int)(alarms - until) < 0;) {
        long double x = 1;
        double r10, r11;

        for (unsigned i = 0; i < 10000; i++)
            x = x * 1.0001L - 0.00005L;
        bad += !(x > 1.7L && x < 1.9L);
        __asm__ volatile(
            "movl $5, %%r10d\n\tmovl $7, %%r11d\n\tmovl $20000, %%ecx\n1:\n\taddq %%r10, %%r11\n\tsubq $5, %%r11\n\tloop 1b\n\t"
            "cvtsi2sdq %%r10, %0\n\tcvtsi2sdq %%r11, %1"
            : "=x"(r10), "=x"(r11)::"rcx", "r10", "r11", "cc");
        bad += r10 != 5 || r11 != 7;
    }
    sum = alarms >= 260;
    setitimer(ITIMER_REAL, &never, NULL);
    printf("interrupted: %u wrong, %s\n", bad, sum ? "often" : "not often");
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    flags_over_call();
    x87_over_others();
    x87_over_fork();
    exceptions();
    runs();
    wild_labels();
    carries();
    work_interrupted();
    return 0;
}
