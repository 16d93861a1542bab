/* Instructions that ask the processor or the kernel for something: those that user mode may not use end in the signals
 * that Linux sends, with the same si_code, si_addr and rip; the others answer. */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

/* clang-format off */
#define FORBIDDEN(X)                                                                                              \
    X(hlt, "hlt") X(cli, "cli") X(sti, "sti") X(in_al, "inb $0x60, %al") X(in_dx, "inl %dx, %eax")                 \
    X(out_al, "outb %al, $0x60") X(out_dx, "outw %ax, %dx") X(insb, "insb") X(outsl, "outsl")                      \
    X(lgdt, "lgdt memory(%rip)") X(lidt, "lidt memory(%rip)") X(lldt, "lldt %ax") X(ltr, "ltr %ax")                \
    X(lmsw, "lmsw %ax") X(clts, "clts") X(invlpg, "invlpg memory(%rip)") X(invd, "invd") X(wbinvd, "wbinvd")       \
    X(wrmsr, "wrmsr") X(rdmsr, "rdmsr") X(read_cr0, "mov %cr0, %rax") X(write_cr3, "mov %rax, %cr3")               \
    X(read_cr8, "mov %cr8, %rax") X(read_dr7, "mov %db7, %rax") X(swapgs, "swapgs") X(sysret, "sysretq")           \
    X(sysexit, "sysexitq") X(ud0, "ud0 %eax, %ecx") X(ud1, "ud1 %eax, %ecx") X(ud2, "ud2") X(rsm, "rsm")           \
    X(monitor, "monitor") X(int3, "int3") X(int1, ".byte 0xf1") X(int, "int $0x42") X(clac, "clac")           \
    X(not_one, ".byte 0x06") X(bad_lock, ".byte 0xf0, 0x01, 0xd8") X(xgetbv_7, "mov $7, %ecx; xgetbv")             \
    X(null, "movb $0, 0x10")                                                                                       \
    X(divide, "xor %ecx, %ecx; divl %ecx") X(overflow, "mov $0x80000000, %eax; cltd; mov $-1, %ecx; idivl %ecx")
/* clang-format on */

uint8_t memory[64] __attribute__((aligned(64), used));

#define CODE(name, text)                                                 \
    __asm__(".text\nstart_" #name ":\n" text "\nend_" #name ":\nret\n"); \
    extern const char start_##name[], end_##name[];
FORBIDDEN(CODE)

/* Unmasked, raised by the fwait after the instruction. */
#define X87(name, mask, text) CODE(name, "fninit; pushq $0x37f ^ " #mask "; fldcw (%rsp); pop %rax;" text "; fwait")
X87(x87_invalid, 1, "fldz; fldz; fdivp")
X87(x87_denormal, 2, "fldl denormal(%rip); fld1; faddp")
X87(x87_zero_divide, 4, "fld1; fldz; fdivrp %st, %st(1)")
X87(x87_overflow, 8, "fldl large(%rip); fstps memory(%rip)")
X87(x87_underflow, 16, "fldl small(%rip); fstps memory(%rip)")
X87(x87_inexact, 32, "fldpi; fstps memory(%rip)")
double large __attribute__((used)) = 1e300, small __attribute__((used)) = 1e-300,
             denormal __attribute__((used)) = 4e-320;

/* Where this processor does other than what the guest is promised, the promise is printed. On the vkernel CPUID names a
 * processor of Intel's, so nothing of this applies there. */
enum { AMD, INTEL, EITHER, VIRTUAL };
enum {
    GP,
    UD,
    DB_AFTER,
    DB_AT,
    RUNS,
    DIFFERS,
    OTHER,
    PF,
    PARTIAL /* the signal is the same: nothing to correct from RUNS on */
};
struct seen {
    int number, code;
    bool after, has_address;
};
static const struct seen outcomes[] = {
    [GP] = {SIGSEGV, SI_KERNEL, false, false},
    [UD] = {SIGILL, ILL_ILLOPN, false, true},
    [DB_AFTER] = {SIGTRAP, TRAP_BRKPT, true, true},
    [DB_AT] = {SIGTRAP, TRAP_BRKPT, false, true},
};
static const struct {
    const char *op;
    int host, promised, instead;
} deviations[] = {
#define DEVIATION(op, host, when, promised, instead, source) {#op, host, promised, instead},
#include "../../eval/deviations.def"
};

static bool
is_host(int host)
{
    unsigned a, b, c, d, e, f;

    __cpuid(0, a, b, c, d);
    if (host == AMD || host == INTEL)
        return b == (host == AMD ? signature_AMD_ebx : signature_INTEL_ebx);
    __cpuid(1, a, e, f, d);
    return host == VIRTUAL && f >> 31;
}

static bool
same(const struct seen *a, const struct seen *b)
{
    return a->number == b->number && a->code == b->code && a->after == b->after && a->has_address == b->has_address;
}

static void
correct(const char *name, struct seen *seen)
{
    for (size_t i = 0; i < sizeof deviations / sizeof *deviations; i++) {
        if (deviations[i].promised >= RUNS || strcasecmp(deviations[i].op, name) || !is_host(deviations[i].host))
            continue;
        if (deviations[i].instead == OTHER || same(seen, &outcomes[deviations[i].instead]))
            *seen = outcomes[deviations[i].promised];
    }
}

static const char *now_name, *now_start, *now_end;

static void
on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uintptr_t at = (uintptr_t)info->si_addr, start = (uintptr_t)now_start, end = (uintptr_t)now_end;
    uintptr_t rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    struct seen seen = {number, info->si_code, rip == end, at == rip};
    bool alone = rip == start || rip == end; /* no other instruction stands before it */

    if (alone) {
        correct(now_name, &seen);
        rip = seen.after ? end : start;
        at = seen.has_address ? rip : at;
    }
    printf(" signal %d code %d rip +%ld", seen.number, seen.code, (long)(rip - start));
    if (at >= start && at <= end)
        printf(" address +%ld\n", (long)(at - start));
    else
        printf(" address %#lx\n", (unsigned long)at);
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)end;
    if (number == SIGFPE && uc->uc_mcontext.fpregs) {
        uc->uc_mcontext.fpregs->cwd = 0x37f;
        uc->uc_mcontext.fpregs->swd = 0;
        uc->uc_mcontext.fpregs->ftw = 0;
    }
}

static void
try(const char *name, const char *start, const char *end)
{
    printf("%s:", name);
    now_name = name;
    now_start = start;
    now_end = end;
    ((void (*)(void))(uintptr_t)start)();
    printf("\n");
}

static void
features(void)
{
    unsigned a, b, c, d;

    __cpuid(1, a, b, c, d);
    printf("sse4.2 %u popcnt %u movbe %u rdrand %u osxsave %u\n", c >> 20 & 1, c >> 23 & 1, c >> 22 & 1, c >> 30 & 1,
           c >> 27 & 1);
    __cpuid_count(7, 0, a, b, c, d);
    printf("fsgsbase %u bmi1 %u bmi2 %u\n", b & 1, b >> 3 & 1, b >> 8 & 1);
    __cpuid(0x80000001, a, b, c, d);
    printf("lahf %u lzcnt %u rdtscp %u\n", c & 1, c >> 5 & 1, d >> 27 & 1);
    printf("fsgsbase in auxv %lu\n", getauxval(AT_HWCAP2) >> 1 & 1);
}

static void
answers(void)
{
    uint64_t fs, gs, random = 0, other = 0;
    uint32_t low, high, again;
    uint8_t ok;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    printf("xgetbv: x87 and sse %u\n", low & 3);
    __asm__ volatile("rdfsbase %0; wrfsbase %0; rdfsbase %1" : "=&r"(fs), "=&r"(gs));
    printf("fs base the same %d\n", fs == gs && fs != 0);
    __asm__ volatile("wrgsbase %1; rdgsbase %0" : "=&r"(gs) : "r"(0x123456780ull));
    printf("gs base %#lx\n", (unsigned long)gs);
    __asm__ volatile("rdrand %0; setc %1" : "=r"(random), "=q"(ok));
    __asm__ volatile("rdrand %0" : "=r"(other));
    printf("rdrand %u differs %d\n", ok, random != other);
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    __asm__ volatile("rdtscp" : "=a"(again), "=d"(high) : : "ecx");
    printf("rdtsc goes on %d\n", (int32_t)(again - low) > 0);
    __asm__ volatile("pause; lfence; mfence; sfence; prefetcht0 %0; prefetchnta %0; clflush %0; endbr64; rep nop"
                     :
                     : "m"(memory));
    __asm__ volatile("lea 1f(%%rip), %0; notrack jmp *%0; ud2; 1:" : "=&r"(random));
    printf("fences, prefetches, notrack\n");
}

/* What FRSTOR and FLDENV load from two pages, of which the second cannot be read, leaves the state that was there. */
static sigjmp_buf back;

static void
show_x87(int sig, siginfo_t *info, void *context)
{
    const struct _libc_fpstate *fp = ((ucontext_t *)context)->uc_mcontext.fpregs;

    (void)info;
    printf(" signal %d control %#x status %#x tags %#x\n", sig, fp->cwd, fp->swd, fp->ftw);
    siglongjmp(back, 1);
}

static void
states_over_two_pages(void)
{
    enum { PAGE = 4096, STATE = 108, ENVIRONMENT = 28 };
    struct sigaction action = {.sa_sigaction = show_x87, .sa_flags = SA_SIGINFO};
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), area[STATE];
    const uint16_t control = 0x37f;

    mprotect(pages + PAGE, PAGE, PROT_NONE);
    sigaction(SIGSEGV, &action, NULL);
    for (int there = 4; there < STATE; there += 8) {
        char *at = pages + PAGE - there;

        __asm__ volatile("fninit; fnsave %0" : "=m"(area));
        area[0] = 0x7f, area[1] = 2; /* another control word */
        memcpy(at, area, (size_t)there);
        printf("%s with %d bytes:", there < ENVIRONMENT ? "fldenv" : "frstor", there);
        if (sigsetjmp(back, 1))
            continue;
        if (there < ENVIRONMENT)
            __asm__ volatile("fninit; fldcw %0; fld1; fldenv %1" : : "m"(control), "m"(*at));
        else
            __asm__ volatile("fninit; fldcw %0; fld1; frstor %1" : : "m"(control), "m"(*at));
    }
    __asm__ volatile("fninit");
}

int
main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    setvbuf(stdout, NULL, _IONBF, 0);
    for (size_t i = 0; i < 5; i++)
        sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}[i], &action, NULL);
#define TRY(name, text) try(#name, start_##name, end_##name);
    FORBIDDEN(TRY)
    TRY(x87_invalid, )
    TRY(x87_denormal, )
    TRY(x87_zero_divide, ) TRY(x87_overflow, ) TRY(x87_underflow, ) TRY(x87_inexact, ) __asm__ volatile("fninit");
    features();
    answers();
    states_over_two_pages();
    return 0;
}
