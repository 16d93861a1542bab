/* Faults and what their handlers see and change: all registers at the instruction, a way past it, another register and
 * the instruction again, a call put in between. One line a case. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct state {
    uint64_t gpr[16]; /* as REG_R8 ... REG_RSP are ordered in gregs */
    uint64_t xmm0[2];
};

struct state in, out;                            /* for the assembly */
uint64_t saved_rsp, action[4];                   /* struct sigaction of the system call */
uint8_t area[1088] __attribute__((aligned(64))); /* of XSAVE */
const uint32_t masked = 0x1f80, unmasked = 0, three_unmasked = 0x1f80 & ~0x280u; /* MXCSR; IM, ZM */
const double bad[2] = {-1, 0};
static struct {
    int sig, code;
    uint64_t address;
    greg_t gregs[NGREG];
    uint64_t xmm0[2];
} seen;
enum { PAGE = 4096 };
static uint8_t *readable; /* a page; below it one that can be written; around both others that cannot be accessed */
static enum { SKIP, REPAIR_RAX, CALL, MASK } reaction;
static const char *start, *end;

/* All registers from `in`, the instruction, all registers to `out`. */
#define PROBE(name, insn)                                                                                         \
    __asm__(".text\n" #name ": push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"                \
            "mov %rsp, saved_rsp(%rip)\n"                                                                         \
            "movups 128+in(%rip), %xmm0\n"                                                                        \
            "mov in(%rip), %r8; mov 8+in(%rip), %r9; mov 16+in(%rip), %r10; mov 24+in(%rip), %r11\n"              \
            "mov 32+in(%rip), %r12; mov 40+in(%rip), %r13; mov 48+in(%rip), %r14; mov 56+in(%rip), %r15\n"        \
            "mov 64+in(%rip), %rdi; mov 72+in(%rip), %rsi; mov 80+in(%rip), %rbp; mov 88+in(%rip), %rbx\n"        \
            "mov 96+in(%rip), %rdx; mov 104+in(%rip), %rax; mov 112+in(%rip), %rcx\n"                             \
            "sub $64, %rsp\n" #name "_start: " insn "\n" #name "_end: cld; ldmxcsr masked(%rip)\n"                \
            "mov %r8, out(%rip); mov %r9, 8+out(%rip); mov %r10, 16+out(%rip); mov %r11, 24+out(%rip)\n"          \
            "mov %r12, 32+out(%rip); mov %r13, 40+out(%rip); mov %r14, 48+out(%rip); mov %r15, 56+out(%rip)\n"    \
            "mov %rdi, 64+out(%rip); mov %rsi, 72+out(%rip); mov %rbp, 80+out(%rip); mov %rbx, 88+out(%rip)\n"    \
            "mov %rdx, 96+out(%rip); mov %rax, 104+out(%rip); mov %rcx, 112+out(%rip); mov %rsp, 120+out(%rip)\n" \
            "movups %xmm0, 128+out(%rip)\n"                                                                       \
            "mov saved_rsp(%rip), %rsp\n"                                                                         \
            "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");                                 \
    void name(void);                                                                                              \
    extern const char name##_start[], name##_end[];

/* rax: not mapped, rdi: readable */
/* clang-format off */
#define PROBES                                                                                                         \
    P(load64, "mov (%rax), %rbx")                                                                                      \
    P(load8, "movb 3(%rax,%rcx,1), %dl")                                                                               \
    P(load_same, "mov (%rax), %rax")                                                                                   \
    P(load_r13, "movzwl (%rax), %r13d")                                                                                \
    P(test_only, "testb %al, (%rax)")                                                                                  \
    P(store64, "mov %r9, 8(%rax)")                                                                                     \
    P(store_readable, "mov %r9, (%rdi)")                                                                               \
    P(store_imm, "movl $7, (%rax)")                                                                                    \
    P(add_store, "add %rdx, (%rax)")                                                                                   \
    P(add_load, "add (%rax), %rdx")                                                                                    \
    P(xchg, "xchg %rcx, (%rax)")                                                                                       \
    P(cmpxchg, "lock cmpxchg %rcx, (%rdi)")                                                                            \
    P(push_mem, "push (%rax)")                                                                                         \
    P(pop_mem, "pop (%rax)")                                                                                           \
    P(call_mem, "call *(%rax)")                                                                                        \
    P(movs, "mov %rax, %rsi; movsq")                                                                                   \
    P(rep_movsb, "lea 4000(%rdi), %rsi; lea -4000(%rdi), %rdi; mov $200, %ecx; std; rep movsb")                            \
    P(rep_movsq, "lea 1023(%rdi), %rsi; lea -100(%rdi), %rdi; rep movsq")                                              \
    P(rep_movsd_from, "lea 4037(%rdi), %rsi; lea -4096(%rdi), %rdi; mov $150, %ecx; rep movsl")                         \
    P(rep_movsw_over, "lea -40(%rdi), %rsi; lea -37(%rdi), %rdi; mov $100, %ecx; rep movsw")                            \
    P(rep_stosb, "lea -300(%rdi), %rdi; mov $400, %ecx; rep stosb")                                                     \
    P(rep_stosq, "lea -77(%rdi), %rdi; mov $0x1112131415161718, %rax; rep stosq")                                       \
    P(rep_stosd_32, "lea -12(%rdi), %edi; rep stosl %es:(%edi)")                                                        \
    P(rep_lodsw, "lea 4000(%rdi), %rsi; mov $100, %ecx; rep lodsw")                                                     \
    P(rep_lodsd, "lea 4000(%rdi), %rsi; mov $100, %ecx; rep lodsl")                                                     \
    P(repe_cmpsb, "lea 256(%rdi), %rsi; mov $5000, %ecx; repe cmpsb")                                              \
    P(repne_scasd, "lea 3001(%rdi), %rdi; mov $0x12345, %eax; mov $-1, %rcx; repne scasl")                              \
    P(xm_divide, "pxor %xmm1, %xmm1; cvtsi2sd %ecx, %xmm0; ldmxcsr three_unmasked(%rip); inc %rbx; divsd %xmm1, %xmm0")  \
    P(xm_divide_memory, "ldmxcsr three_unmasked(%rip); inc %rbx; divsd 8+bad(%rip), %xmm0; dec %rbx")                    \
    P(xm_inexact, "ldmxcsr unmasked(%rip); mov $0x1000001, %r8d; mov $3, %r9d; cvtsi2ss %r8d, %xmm0; mov $4, %r9d")      \
    P(xm_denormal, "ldmxcsr unmasked(%rip); addps %xmm0, %xmm0; mulps %xmm0, %xmm0")                                    \
    P(xm_overflow, "movddup bad(%rip), %xmm0; psrlq $1, %xmm0; ldmxcsr unmasked(%rip); xor %ecx, %ecx; mulpd %xmm0, %xmm0; inc %ecx") \
    P(xm_sqrt, "movsd bad(%rip), %xmm1; ldmxcsr three_unmasked(%rip); lea 5(%rdx), %r11; sqrtsd %xmm1, %xmm0")           \
    P(xm_compare, "pcmpeqd %xmm1, %xmm1; ldmxcsr three_unmasked(%rip); add $1, %rbx; comisd %xmm1, %xmm0; seta %bl")     \
    P(xm_convert, "pcmpeqd %xmm1, %xmm1; ldmxcsr three_unmasked(%rip); cvttsd2si %xmm1, %rax; inc %rax")                 \
    P(xm_maximum, "pcmpeqd %xmm1, %xmm1; ldmxcsr three_unmasked(%rip); inc %r12; maxps %xmm1, %xmm0")                    \
    P(xm_product, "pcmpeqd %xmm1, %xmm1; psrld $24, %xmm1; pslld $23, %xmm1; ldmxcsr three_unmasked(%rip); inc %r12; dpps $255, %xmm1, %xmm0; inc %r12")  \
    P(xm_restored, "sub $520, %rsp; and $-16, %rsp; fxsave (%rsp); mov %rbx, %r12; movl $0, 24(%rsp); fxrstor (%rsp)\n"   \
                   "cvtsi2ss %r11, %xmm0; inc %r12")                                                                    \
    P(xm_restored_area, "mov $3, %eax; xor %edx, %edx; xsave area(%rip); movl $0, 24+area(%rip); orq $2, 512+area(%rip)\n" \
                        "xrstor area(%rip); cvtsi2ss %r11, %xmm0; inc %r12")                                           \
    P(after_changes, "add $5, %rbx; lea 9(%rdx,%rbp), %r8; push %rdx; inc %r15; mov (%rax), %rcx; pop %rdx")           \
    P(sse_load, "movups (%rax), %xmm0")                                                                                \
    P(sse_aligned, "movaps (%rdi), %xmm0; paddd 16(%rdi), %xmm0; movups 1(%rdi), %xmm0; mov (%rax), %rbx")               \
    P(sse_misaligned, "inc %rbx; movaps 8(%rdi), %xmm0")                                                                \
    P(sse_misaligned_operand, "movups 3(%rdi), %xmm0; paddd 4(%rdi), %xmm0")                                            \
    P(sse_misaligned_store, "inc %rbx; movdqa %xmm0, 1(%rdi)")                                                          \
    P(sse_misaligned_unmapped, "addps 8(%rax), %xmm0")                                                                  \
    P(cmpxchg16b_misaligned, "inc %rbx; lock cmpxchg16b 8(%rdi)")                                                       \
    P(fxsave_misaligned, "inc %rbx; fxsave 8(%rdi)")                                                                    \
    P(sse_after, "paddd %xmm0, %xmm0; addss (%rax), %xmm0")                                                            \
    P(div_zero, "xor %edx, %edx; xor %ecx, %ecx; div %rcx")                                                            \
    P(div_memory, "divq (%rax)")                                                                                       \
    P(ud2, "inc %rbx; ud2")                                                                                            \
    P(int3, "inc %rbx; int3")                                                                                          \
    P(hlt, "inc %rbx; hlt")
/* clang-format on */

#define P(name, insn) PROBE(probe_##name, insn)
PROBES
P(handler_later, "ldmxcsr three_unmasked(%rip); mov $13, %eax; mov $8, %edi; lea action(%rip), %rsi; xor %edx, %edx\n"
                 "mov $8, %r10d; syscall; xor %r11d, %r11d; divsd 8+bad(%rip), %xmm0; dec %rbx")
#undef P

static int called;

static void
callee(void)
{
    called++;
}

/* Keeps all registers. */
__asm__(
    ".text\ncall_in_between: pushfq; push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11\n"
    "push %rbp; mov %rsp, %rbp; and $-16, %rsp; call call_c; mov %rbp, %rsp; pop %rbp\n"
    "pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax; popfq; ret\n");
extern const char call_in_between[];
void call_c(void);
void
call_c(void)
{
    callee();
    mprotect(readable, PAGE, PROT_READ | PROT_WRITE);
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *r = uc->uc_mcontext.gregs;

    seen.sig = sig;
    seen.code = info->si_code;
    seen.address = (uint64_t)(uintptr_t)info->si_addr;
    memcpy(seen.gregs, r, sizeof seen.gregs);
    memcpy(seen.xmm0, uc->uc_mcontext.fpregs->_xmm[0].element, 16);
    switch (reaction) {
    case SKIP: r[REG_RIP] = (greg_t)(uintptr_t)end; break;
    case REPAIR_RAX: r[REG_RAX] = (greg_t)(uintptr_t)(readable + 1024); break;
    case CALL: /* as the instruction had been a call: it is done again after the return */
        r[REG_RSP] -= 8;
        *(greg_t *)(uintptr_t)r[REG_RSP] = r[REG_RIP];
        r[REG_RIP] = (greg_t)(uintptr_t)call_in_between;
        break;
    case MASK: uc->uc_mcontext.fpregs->mxcsr = 0x1f80; break;
    }
}

static void
print_state(const char *what, const uint64_t *gpr, uint64_t rsp, const uint64_t *xmm0)
{
    printf("  %s", what);
    for (int i = 0; i < 15; i++) {
        int64_t at = (int64_t)(gpr[i] - (uint64_t)(uintptr_t)readable);

        if (at >= -2 * PAGE && at <= PAGE)
            printf(" readable%+lld", (long long)at);
        else
            printf(" %llx", (unsigned long long)gpr[i]);
    }
    printf(" rsp %lld xmm0 %016llx%016llx\n", (long long)(rsp - saved_rsp), (unsigned long long)xmm0[1],
           (unsigned long long)xmm0[0]);
}

static void
run(const char *name, void (*probe)(void), const char *from, const char *to)
{
    static const int order[15] = {REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
                                  REG_RDI, REG_RSI, REG_RBP, REG_RBX, REG_RDX, REG_RAX, REG_RCX};
    uint64_t gpr[15];

    for (int i = 0; i < 16; i++)
        in.gpr[i] = 0x1000100 + (uint64_t)i * 0x11;
    for (unsigned i = 0; i < PAGE; i++)
        (readable - PAGE)[i] = (uint8_t)(i * 5);
    in.gpr[8] = (uint64_t)(uintptr_t)readable;
    in.gpr[13] = 0x2000;
    in.gpr[14] = 0x40;
    in.xmm0[0] = 0x3f80000040000000;
    in.xmm0[1] = 0x123456789abcdef0;
    memset(&seen, 0, sizeof seen);
    memset(&out, 0, sizeof out);
    start = from;
    end = to;
    probe();
    for (int i = 0; i < 15; i++)
        gpr[i] = (uint64_t)seen.gregs[order[i]];
    printf("%s: signal %d code %d address ", name, seen.sig, seen.code);
    if (seen.address - (uint64_t)(uintptr_t)readable + 2 * PAGE <= 3 * PAGE)
        printf("readable%+d", (int)(seen.address - (uint64_t)(uintptr_t)readable));
    else if (seen.address - (uint64_t)(uintptr_t)from < 64)
        printf("rip+%d", (int)(seen.address - (uint64_t)(uintptr_t)from));
    else
        printf("%llx", (unsigned long long)seen.address);
    printf(" rip +%d\n", (int)((uint64_t)seen.gregs[REG_RIP] - (uint64_t)(uintptr_t)from));
    print_state("seen", gpr, (uint64_t)seen.gregs[REG_RSP], seen.xmm0);
    print_state("then", out.gpr, out.gpr[15], out.xmm0);
    if (strncmp(name, "rep", 3) == 0 && strchr("_en", name[3])) {
        uint32_t sum = 0;

        for (unsigned i = 0; i < PAGE; i++)
            sum = sum * 31 + (readable - PAGE)[i];
        printf("  written %08x\n", sum);
    }
}

int
main(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    readable = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    mprotect(readable, PAGE, PROT_NONE);
    readable += 2 * PAGE;
    mprotect(readable + PAGE, PAGE, PROT_NONE);
    for (unsigned i = 0; i < PAGE; i++)
        readable[i] = (uint8_t)(i * 7);
    mprotect(readable, PAGE, PROT_READ);
    for (int round = 0; round < 2; round++) {
        reaction = SKIP;
#define P(name, insn) run(#name, probe_##name, probe_##name##_start, probe_##name##_end);
        PROBES
#undef P
    }
    reaction = REPAIR_RAX;
    run("repaired load64", probe_load64, probe_load64_start, probe_load64_end);
    run("repaired load8", probe_load8, probe_load8_start, probe_load8_end);
    run("repaired push", probe_push_mem, probe_push_mem_start, probe_push_mem_end);
    run("repaired after_changes", probe_after_changes, probe_after_changes_start, probe_after_changes_end);
    reaction = MASK;
    run("masked divide", probe_xm_divide, probe_xm_divide_start, probe_xm_divide_end);
    run("masked inexact", probe_xm_inexact, probe_xm_inexact_start, probe_xm_inexact_end);
    run("masked overflow", probe_xm_overflow, probe_xm_overflow_start, probe_xm_overflow_end);
    /* The exceptions were unmasked before there was a handler. */
    reaction = SKIP;
    syscall(SYS_rt_sigaction, SIGFPE, NULL, action, 8);
    signal(SIGFPE, SIG_DFL);
    run("handler_later", probe_handler_later, probe_handler_later_start, probe_handler_later_end);
    reaction = CALL;
    for (int i = 0; i < 3; i++) {
        mprotect(readable, PAGE, PROT_READ);
        run("called", probe_store_readable, probe_store_readable_start, probe_store_readable_end);
    }
    printf("called %d\n", called);
    return 0;
}
