/* The 256-bit registers of level v3 where something comes between two instructions or within one: system calls, other
 * threads and processes, signals that look into their frame and change it, faults. And forms of instructions with VEX
 * whose registers or memory operands rewritten code has elsewhere. Its values do not depend on the processor. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
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

struct vectors {
    uint8_t ymm[16][32];
} __attribute__((aligned(32)));

/* Load all registers, do what `middle` says, store them. */
#define LOAD_ALL                                                                                                                 \
    "vmovdqa (%[in]), %%ymm0\n\tvmovdqa 32(%[in]), %%ymm1\n\tvmovdqa 64(%[in]), %%ymm2\n\tvmovdqa 96(%[in]), %%ymm3\n\t"         \
    "vmovdqa 128(%[in]), %%ymm4\n\tvmovdqa 160(%[in]), %%ymm5\n\tvmovdqa 192(%[in]), %%ymm6\n\tvmovdqa 224(%[in]), %%ymm7\n\t"   \
    "vmovdqa 256(%[in]), %%ymm8\n\tvmovdqa 288(%[in]), %%ymm9\n\tvmovdqa 320(%[in]), %%ymm10\n\tvmovdqa 352(%[in]), %%ymm11\n\t" \
    "vmovdqa 384(%[in]), %%ymm12\n\tvmovdqa 416(%[in]), %%ymm13\n\tvmovdqa 448(%[in]), %%ymm14\n\tvmovdqa 480(%[in]), %%ymm15\n\t"
#define STORE_ALL                                                                                                                    \
    "\n\tvmovdqa %%ymm0, (%[out])\n\tvmovdqa %%ymm1, 32(%[out])\n\tvmovdqa %%ymm2, 64(%[out])\n\tvmovdqa %%ymm3, 96(%[out])\n\t"     \
    "vmovdqa %%ymm4, 128(%[out])\n\tvmovdqa %%ymm5, 160(%[out])\n\tvmovdqa %%ymm6, 192(%[out])\n\tvmovdqa %%ymm7, 224(%[out])\n\t"   \
    "vmovdqa %%ymm8, 256(%[out])\n\tvmovdqa %%ymm9, 288(%[out])\n\tvmovdqa %%ymm10, 320(%[out])\n\tvmovdqa %%ymm11, 352(%[out])\n\t" \
    "vmovdqa %%ymm12, 384(%[out])\n\tvmovdqa %%ymm13, 416(%[out])\n\tvmovdqa %%ymm14, 448(%[out])\n\tvmovdqa %%ymm15, 480(%[out])\n\tvzeroupper"
#define ALL_VECTORS                                                                                            \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
        "xmm13", "xmm14", "xmm15"

static void
fill(struct vectors *v, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;

    for (unsigned i = 0; i < sizeof v->ymm; i++) {
        x = x * 1664525 + 1013904223;
        v->ymm[i / 32][i % 32] = (uint8_t)(x >> 24);
    }
}

static void
call(const struct vectors *in, struct vectors *out, long nr, long a, long b)
{
    long result;

    __asm__ volatile(LOAD_ALL "syscall" STORE_ALL
                     : "=a"(result)
                     : [in] "r"(in), [out] "r"(out), "a"(nr), "D"(a), "S"(b)
                     : "rcx", "r11", "memory", ALL_VECTORS);
}

static bool
same(const struct vectors *a, const struct vectors *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* --- system calls, threads, processes --- */

static void
over_calls(void)
{
    struct vectors in, out;
    unsigned bad = 0;

    for (unsigned i = 0; i < 200; i++) {
        fill(&in, i);
        call(&in, &out, i % 2 ? SYS_getppid : SYS_sched_yield, 0, 0);
        bad += !same(&in, &out);
    }
    printf("over system calls: %u wrong\n", bad);
}

static void *
thread(void *arg)
{
    struct vectors in, out;
    uintptr_t bad = 0;

    for (unsigned i = 0; i < 500; i++) {
        fill(&in, (unsigned)(uintptr_t)arg * 1000 + i);
        call(&in, &out, SYS_sched_yield, 0, 0);
        bad += !same(&in, &out);
    }
    return (void *)bad;
}

/* Without calls: the tick alone comes between. */
static unsigned
spin(unsigned seed, unsigned rounds)
{
    struct vectors in, out;
    unsigned bad = 0;
    uint64_t count;

    for (unsigned i = 0; i < rounds; i++) {
        fill(&in, seed + i);
        count = 2000000;
        __asm__ volatile(LOAD_ALL "1: decq %[count]\n\tjnz 1b" STORE_ALL
                         : [count] "+r"(count)
                         : [in] "r"(&in), [out] "r"(&out)
                         : "memory", ALL_VECTORS);
        bad += !same(&in, &out);
    }
    return bad;
}

static void *
spinner(void *arg)
{
    return (void *)(uintptr_t)spin((unsigned)(uintptr_t)arg * 77, 20);
}

static void
over_threads(void)
{
    pthread_t t[4];
    uintptr_t bad = 0;
    void *one;

    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, i < 2 ? thread : spinner, (void *)i);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(t[i], &one);
        bad += (uintptr_t)one;
    }
    printf("over threads: %lu wrong\n", (unsigned long)bad);
}

static void
over_forks(void)
{
    struct vectors in, out;
    unsigned bad = 0;

    for (unsigned i = 0; i < 20; i++) {
        pid_t parent = getpid();
        int status = 0;

        fill(&in, i + 50);
        call(&in, &out, SYS_fork, 0, 0);
        if (getpid() != parent)
            _exit(!same(&in, &out));
        wait(&status);
        bad += !same(&in, &out) || status;
    }
    printf("over forks: %u wrong\n", bad);
}

/* --- signals --- */

/* What XSAVE makes of it, in its standard form (SDM vol. 1, 13.4). */
struct area {
    uint8_t legacy[160], xmm[16][16], rest[48];
    struct {
        uint32_t magic1, extended_size;
        uint64_t components;
        uint32_t size, pad[7];
    } software;
    uint64_t components, compacted, reserved[6];
    uint8_t ymm_high[16][16];
};

static struct vectors expected, entry;
static struct {
    unsigned runs, bad_values, bad_frame, bad_entry;
} handled;
static enum { LEAVE, CHANGE, DROP_AVX, DROP_MAGIC, DROP_ALL } what;

static void
compare(const struct area *a)
{
    for (unsigned i = 0; i < 16; i++)
        handled.bad_values +=
            memcmp(a->xmm[i], expected.ymm[i], 16) != 0 || memcmp(a->ymm_high[i], expected.ymm[i] + 16, 16) != 0;
}

static void
look(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    struct area *a = (struct area *)uc->uc_mcontext.fpregs;
    uint32_t magic2;

    (void)sig, (void)info;
    __asm__ volatile("vmovdqu %%ymm15, %0" : "=m"(entry.ymm[15]));
    for (unsigned i = 16; i < 32; i++)
        handled.bad_entry += entry.ymm[15][i] != 0;
    handled.runs++;
    memcpy(&magic2, (uint8_t *)a + a->software.size, sizeof magic2);
    handled.bad_frame += !(uc->uc_flags & 1) || a->software.magic1 != 0x46505853 || magic2 != 0x46505845 ||
                         (a->software.components & 7) != 7 || a->software.size < sizeof *a ||
                         a->software.extended_size != a->software.size + 4 || (uintptr_t)a % 64 ||
                         !(a->components & 4) || a->compacted;
    compare(a);
    if (what == CHANGE) {
        for (unsigned i = 0; i < 16; i++) {
            memset(a->xmm[i], (int)i, 16);
            memset(a->ymm_high[i], (int)(i + 100), 16);
        }
    } else if (what == DROP_AVX) {
        a->components &= ~(uint64_t)4;
    } else if (what == DROP_MAGIC) {
        a->software.magic1 = 0;
    } else if (what == DROP_ALL) {
        a->components = 0;
    }
}

static void
expect_of(struct vectors *v, const struct vectors *in)
{
    *v = *in;
    for (unsigned i = 0; i < 16; i++) {
        if (what == CHANGE) {
            memset(v->ymm[i], (int)i, 16);
            memset(v->ymm[i] + 16, (int)(i + 100), 16);
        } else if (what == DROP_ALL) {
            memset(v->ymm[i], 0, 32);
        } else if (what != LEAVE) {
            memset(v->ymm[i] + 16, 0, 16);
        }
    }
}

static void
by_kill(void)
{
    static const char *const names[] = {"left", "changed", "without the component", "without the magic number",
                                        "without any component"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct vectors out, want;
        unsigned bad = 0;

        what = i;
        memset(&handled, 0, sizeof handled);
        for (unsigned k = 0; k < 10; k++) {
            fill(&expected, k + 7);
            call(&expected, &out, SYS_kill, getpid(), SIGUSR1);
            expect_of(&want, &expected);
            bad += !same(&out, &want);
        }
        printf("frame %s: %u handlers, %u wrong values, %u wrong frames, %u wrong at entry, %u wrong behind\n",
               names[i], handled.runs, handled.bad_values, handled.bad_frame, handled.bad_entry, bad);
    }
    what = LEAVE;
}

static volatile uint8_t *repaired;

static void
repair(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)sig, (void)info;
    compare((struct area *)uc->uc_mcontext.fpregs);
    handled.runs++;
    mprotect((void *)(uintptr_t)repaired, 4096, PROT_READ | PROT_WRITE);
}

static void
by_fault(void)
{
    struct vectors out;
    unsigned bad = 0;

    memset(&handled, 0, sizeof handled);
    repaired = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned k = 0; k < 10; k++) {
        uint8_t stored[32];

        fill(&expected, k + 21);
        mprotect((void *)(uintptr_t)repaired, 4096, PROT_NONE);
        __asm__ volatile(LOAD_ALL "vmovdqu %%ymm9, 64(%[at])" STORE_ALL
                         :
                         : [in] "r"(&expected), [out] "r"(&out), [at] "r"(repaired)
                         : "memory", ALL_VECTORS);
        memcpy(stored, (const void *)(uintptr_t)(repaired + 64), sizeof stored);
        bad += !same(&out, &expected) || memcmp(stored, expected.ymm[9], 32) != 0;
    }
    printf("faults: %u handlers, %u wrong values, %u wrong behind\n", handled.runs, handled.bad_values, bad);
}

static unsigned ticks;

static void
tick(int sig)
{
    (void)sig;
    ticks++;
    __asm__ volatile("vpcmpeqd %%ymm3, %%ymm3, %%ymm3\n\tvpcmpeqd %%ymm12, %%ymm12, %%ymm12" ::: "xmm3", "xmm12");
}

static void
by_timer(void)
{
    struct itimerval on = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    unsigned bad;

    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &on, NULL);
    bad = spin(5, 40);
    setitimer(ITIMER_REAL, &off, NULL);
    printf("over timers: %u wrong, %s\n", bad, ticks ? "there were some" : "there were none");
}

/* --- what is promised --- */

static void
promises(void)
{
    uint32_t a, b, c, d, size, low, high;
    bool flags = false;
    char line[4096];
    FILE *f = fopen("/proc/cpuinfo", "r");

    while (f && fgets(line, sizeof line, f))
        flags |= strstr(line, "flags") && strstr(line, " avx2") && strstr(line, " fma") && strstr(line, " f16c") &&
                 strstr(line, " sha_ni");
    if (f)
        fclose(f);
    __asm__("cpuid" : "=a"(a), "=b"(size), "=c"(c), "=d"(d) : "a"(13), "c"(0));
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(13), "c"(2));
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    printf(
        "promises: avx2 %d, fma %d, bmi2 %d, x86-64-v3 %d, /proc/cpuinfo %d, area large enough %d, component of %u at %u, xcr0 %u\n",
        !!__builtin_cpu_supports("avx2"), !!__builtin_cpu_supports("fma"), !!__builtin_cpu_supports("bmi2"),
        !!__builtin_cpu_supports("x86-64-v3"), flags, size >= 832, a, b, low & 7);
}

/* --- forms --- */

static uint64_t
sum(const void *data, size_t size)
{
    uint64_t h = 14695981039346656037ull;

    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211ull;
    return h;
}

/* General registers in VEX.vvvv and elsewhere, r10, r11 and rsp among them. */
static void
general(void)
{
    uint64_t out[12], memory[4] = {0x123456789abcdef0, 0xfedcba9876543210, 0x0f0f0f0f0f0f0f0f, 0x8000000000000001};

    __asm__ volatile(
        "movq %[a], %%r10\n\tmovq %[b], %%r11\n\t"
        "andn %%r10, %%r11, %%rax\n\tmovq %%rax, (%[out])\n\t"
        "andn (%[m]), %%r10, %%r11\n\tmovq %%r11, 8(%[out])\n\t"
        "movq %[b], %%rdx\n\tmulx %%r10, %%r11, %%r10\n\tmovq %%r10, 16(%[out])\n\tmovq %%r11, 24(%[out])\n\t"
        "movl $4, %%r10d\n\tmulx -16(%[m], %%r10, 8), %%r10, %%r11\n\tmovq %%r10, 32(%[out])\n\tmovq %%r11, 40(%[out])\n\t"
        "movl $13, %%r11d\n\tshlx %%r11, 8(%[m]), %%r10\n\tsarx %%r11d, %%r10d, %%r11d\n\tmovq %%r10, 48(%[out])\n\tmovq %%r11, 56(%[out])\n\t"
        "movq %[a], %%r10\n\tblsr %%r10, %%r10\n\tblsi %%r10, %%r11\n\tmovq %%r10, 64(%[out])\n\tmovq %%r11, 72(%[out])\n\t"
        "rorx $7, %%r10, %%r11\n\tpext %%r11, %%r10, %%rax\n\tpdep %%rax, %%r11, %%r10\n\tmovq %%r10, 80(%[out])\n\t"
        "andn %%rsp, %%rsp, %%r10\n\tmovq %%rsp, %%rax\n\trorx $64, %%rsp, %%r11\n\tsubq %%rax, %%r11\n\tleaq (%%r10, %%r11), %%r10\n\t"
        "movq %%r10, 88(%[out])"
        :
        : [a] "r"(0xf00dfacecafe1234ul), [b] "r"(0x0123456789abcdeful), [out] "r"(out), [m] "r"(memory)
        : "rax", "rdx", "r10", "r11", "memory", "cc");
    printf("general registers: %016lx, the last %lx\n", (unsigned long)sum(out, sizeof out), (unsigned long)out[11]);
}

static __thread float of_thread[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const float constant[8] = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};

/* Memory by the stack pointer, by rip, by FS, by r10 and r11, and to general registers. */
static void
operands(void)
{
    uint64_t out[16] __attribute__((aligned(32)));
    uint64_t index = 8;

    memset(out, 0, sizeof out);
    __asm__ volatile(
        "vmovups %[constant], %%ymm0\n\tvaddps %%fs:(%[thread]), %%ymm0, %%ymm1\n\tvfmadd213ps %[constant], %%ymm1, %%ymm0\n\t"
        "leaq -32(%[out]), %%r10\n\tmovl $1, %%r11d\n\tvmovups %%ymm0, 16(%%r10, %%r11, 8)\n\tvmovups %%ymm0, 32(%%r10)\n\t"
        "subq $128, %%rsp\n\tvmovups %%ymm1, 32(%%rsp)\n\tvpaddd 32(%%rsp), %%ymm0, %%ymm2\n\tvmovups %%ymm2, 32(%[out])\n\taddq $128, %%rsp\n\t"
        "vmovq %%xmm2, %%r10\n\tvpextrd $3, %%xmm2, %%r11d\n\tmovq %%r10, 64(%[out])\n\tmovq %%r11, 72(%[out])\n\t"
        "vpinsrq $1, %%r10, %%xmm1, %%xmm3\n\tvcvtsi2sd %%r11, %%xmm3, %%xmm4\n\tvmovapd %%xmm4, 80(%[out])\n\t"
        "vpmovmskb %%ymm2, %%r11d\n\tmovq %%r11, 96(%[out])\n\tvcvttsd2si %%xmm4, %%r10\n\tmovq %%r10, 104(%[out])\n\tvzeroupper"
        : [index] "+r"(index)
        : [out] "r"(out), [constant] "m"(constant),
          [thread] "r"((uint8_t *)of_thread - (uint8_t *)__builtin_thread_pointer())
        : "r10", "r11", "memory", "cc", ALL_VECTORS);
    printf("operands: %016lx\n", (unsigned long)sum(out, sizeof out));
}

/* Elements whose mask is clear are not accessed; where one faults, the rest is as it was. */
static void
masks(void)
{
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t mask[8] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0}, out[8] __attribute__((aligned(32)));
    int32_t index[8] = {0, 5, -3, 1, 100000, 100000, 100000, 100000};

    munmap(page + 4096, 4096);
    for (unsigned i = 0; i < 1024; i++)
        ((uint32_t *)(void *)page)[i] = i * 3;
    __asm__ volatile(
        "vmovdqu %[mask], %%ymm1\n\tvmaskmovps (%[at]), %%ymm1, %%ymm2\n\tvpaddd %%ymm1, %%ymm2, %%ymm2\n\t"
        "vpmaskmovd %%ymm2, %%ymm1, (%[at])\n\tvpmaskmovd (%[at]), %%ymm1, %%ymm3\n\tvmovdqu %%ymm3, %[out]\n\tvzeroupper"
        : [out] "=m"(out)
        : [mask] "m"(mask), [at] "r"(page + 4096 - 16)
        : "memory", "xmm1", "xmm2", "xmm3");
    printf("masked moves: %016lx\n", (unsigned long)sum(out, sizeof out));
    __asm__ volatile(
        "vmovdqu %[mask], %%ymm4\n\tvmovdqu %[index], %%ymm1\n\tvpxor %%ymm2, %%ymm2, %%ymm2\n\tmovq %[at], %%r11\n\t"
        "vpgatherdd %%ymm4, 8(%%r11, %%ymm1, 4), %%ymm2\n\tvpaddd %%ymm4, %%ymm2, %%ymm2\n\tvmovdqu %%ymm2, %[out]\n\tvzeroupper"
        : [out] "=m"(out)
        : [mask] "m"(mask), [index] "m"(index), [at] "r"(page + 64)
        : "memory", "r11", "xmm1", "xmm2", "xmm4");
    printf("gathers: %016lx\n", (unsigned long)sum(out, sizeof out));
    munmap(page, 4096);
}

/* XSAVE of all, other values, XRSTOR of some. */
static void
areas(void)
{
    static uint8_t area[4096] __attribute__((aligned(64)));
    struct vectors in, other, out;
    uint64_t components;

    for (uint32_t mask = 0; mask < 8; mask++) {
        fill(&in, mask + 300);
        fill(&other, mask + 400);
        memset(area, 0, sizeof area);
        __asm__ volatile(LOAD_ALL "movl $7, %%eax\n\txorl %%edx, %%edx\n\txsave (%[area])" STORE_ALL
                         :
                         : [in] "r"(&in), [out] "r"(&out), [area] "r"(area)
                         : "rax", "rdx", "memory", ALL_VECTORS);
        memcpy(&components, area + 512, sizeof components);
        if (mask == 5)
            area[512] &= ~4; /* is initial */
        __asm__ volatile(LOAD_ALL "movl %[mask], %%eax\n\txorl %%edx, %%edx\n\txrstor (%[area])" STORE_ALL
                         :
                         : [in] "r"(&other), [out] "r"(&out), [area] "r"(area), [mask] "r"(mask)
                         : "rax", "rdx", "memory", ALL_VECTORS);
        printf("areas, components %u: %u in use, %016lx\n", mask, (unsigned)components >> 2 & 1,
               (unsigned long)sum(&out, sizeof out));
    }
}

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = look, .sa_flags = SA_SIGINFO};

    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGUSR1, &sa, NULL);
    sa.sa_sigaction = repair;
    sigaction(SIGSEGV, &sa, NULL);
    promises();
    over_calls();
    over_threads();
    over_forks();
    by_kill();
    by_fault();
    by_timer();
    general();
    areas();
    operands();
    masks();
    return 0;
}
