/* Compares src/vkernel/seccomp/bpf.c with the host's kernel, by random programs:
 *
 *     bpf [--seconds N | --programs N] [--seed N | --seed time]
 *
 * Is a program valid? The kernel says so when it is asked to install it, without doing it: a filter with a listener is
 * there already, so that a valid one with another is EBUSY. What does it return? A child installs it, in a form whose
 * results are errors of twelve bits, and makes calls. How long does Linux count it? As often as it can be installed
 * says that. Exits with 77 where the host has no filters. */
#include <errno.h>
#include <linux/audit.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vkernel/seccomp/bpf.h"

enum {
    BODY_MAX = 60,
    ROOM = BODY_MAX + 2 * BPF_MEMWORDS + 10, /* with what stands before and behind a body */
    INPUTS = 64,
    FIRST_CALL = 600, /* numbers that no system call has */
    LAST_CALL = 900,
    VERDICTS_EACH = 200, /* for each program that is run, so many are only judged */
    LENGTH_EVERY = 64,
    ENOTSUPP = 524, /* of Linux itself, which no header has */
    SKIPPED = 77
};

struct program {
    struct sock_filter insn[ROOM];
    unsigned count;
};

/* What a child tells: results, and how many it has. */
static struct {
    volatile unsigned done;
    volatile long result[INPUTS];
} *told;

static uint64_t state;

static unsigned
draw(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 11) % n);
}
#define DRAW_OF(array) ((array)[draw(sizeof(array) / sizeof((array)[0]))])

static uint32_t
draw_word(void)
{
    static const uint32_t likely[] = {0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      8,
                                      16,
                                      31,
                                      32,
                                      63,
                                      64,
                                      255,
                                      256,
                                      FIRST_CALL,
                                      700,
                                      0xfff,
                                      0x7fffffff,
                                      0x80000000,
                                      0x80000001,
                                      0xffffffff,
                                      0xfffffffe,
                                      AUDIT_ARCH_X86_64,
                                      SECCOMP_RET_ALLOW,
                                      SECCOMP_RET_ERRNO};

    return draw(4) ? DRAW_OF(likely) : (uint32_t)(state >> 7);
}

/* --- programs --- */

/* One instruction, `left` of which follow; mostly one that is valid there. */
static struct sock_filter
draw_instruction(unsigned left, bool wild)
{
    static const uint16_t codes[] = {BPF_LD | BPF_W | BPF_ABS,
                                     BPF_LD | BPF_W | BPF_ABS,
                                     BPF_LD | BPF_W | BPF_ABS,
                                     BPF_LD | BPF_W | BPF_LEN,
                                     BPF_LDX | BPF_W | BPF_LEN,
                                     BPF_LD | BPF_IMM,
                                     BPF_LDX | BPF_IMM,
                                     BPF_LD | BPF_MEM,
                                     BPF_LDX | BPF_MEM,
                                     BPF_ST,
                                     BPF_STX,
                                     BPF_MISC | BPF_TAX,
                                     BPF_MISC | BPF_TXA,
                                     BPF_ALU | BPF_NEG,
                                     BPF_ALU | BPF_ADD | BPF_K,
                                     BPF_ALU | BPF_ADD | BPF_X,
                                     BPF_ALU | BPF_SUB | BPF_K,
                                     BPF_ALU | BPF_SUB | BPF_X,
                                     BPF_ALU | BPF_MUL | BPF_K,
                                     BPF_ALU | BPF_MUL | BPF_X,
                                     BPF_ALU | BPF_DIV | BPF_K,
                                     BPF_ALU | BPF_DIV | BPF_X,
                                     BPF_ALU | BPF_AND | BPF_K,
                                     BPF_ALU | BPF_AND | BPF_X,
                                     BPF_ALU | BPF_OR | BPF_K,
                                     BPF_ALU | BPF_OR | BPF_X,
                                     BPF_ALU | BPF_XOR | BPF_K,
                                     BPF_ALU | BPF_XOR | BPF_X,
                                     BPF_ALU | BPF_LSH | BPF_K,
                                     BPF_ALU | BPF_LSH | BPF_X,
                                     BPF_ALU | BPF_RSH | BPF_K,
                                     BPF_ALU | BPF_RSH | BPF_X,
                                     BPF_JMP | BPF_JA,
                                     BPF_JMP | BPF_JEQ | BPF_K,
                                     BPF_JMP | BPF_JEQ | BPF_X,
                                     BPF_JMP | BPF_JGT | BPF_K,
                                     BPF_JMP | BPF_JGT | BPF_X,
                                     BPF_JMP | BPF_JGE | BPF_K,
                                     BPF_JMP | BPF_JGE | BPF_X,
                                     BPF_JMP | BPF_JSET | BPF_K,
                                     BPF_JMP | BPF_JSET | BPF_X};
    struct sock_filter i = {.code = DRAW_OF(codes), .k = draw_word()};
    unsigned room = left ? left : 1;

    if (wild && draw(8) == 0)
        i.code = (uint16_t)(draw(4) ? draw(0x100) : draw(0x10000));
    if (BPF_CLASS(i.code) == BPF_JMP) {
        i.jt = (uint8_t)(draw(3) ? draw(room) : 0);
        i.jf = (uint8_t)(draw(3) ? draw(room) : 0);
        if (i.code == (BPF_JMP | BPF_JA))
            i.k = draw(room);
        if (wild && draw(8) == 0)
            i.jt = (uint8_t)(left + draw(3));
        if (wild && draw(8) == 0)
            i.k = left + draw(3) - 1;
    } else if (!wild || draw(8)) {
        switch (i.code) {
        case BPF_LD | BPF_W | BPF_ABS: i.k = draw(16) * 4; break;
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
        case BPF_ST:
        case BPF_STX: i.k %= BPF_MEMWORDS; break;
        case BPF_ALU | BPF_DIV | BPF_K: i.k |= i.k == 0; break;
        case BPF_ALU | BPF_LSH | BPF_K:
        case BPF_ALU | BPF_RSH | BPF_K: i.k %= 32; break;
        default: break;
        }
    }
    return i;
}

static void
put(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    p->insn[p->count++] = (struct sock_filter)BPF_JUMP(code, k, jt, jf);
}

/* For the kernel's verdict: anything. */
static void
make_wild(struct program *p)
{
    unsigned count = 1 + draw(draw(4) ? 8 : BODY_MAX);
    bool wild = draw(2);

    p->count = 0;
    for (unsigned k = 0; k < count; k++)
        p->insn[p->count++] = draw(12) ? draw_instruction(count - k, wild)
                                       : (struct sock_filter)BPF_STMT(BPF_RET | (draw(2) ? BPF_K : BPF_A), draw_word());
    put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    if (wild && draw(6) == 0)
        p->insn[p->count - 1] = draw_instruction(0, true);
}

/* For a run: calls outside of the range are allowed, the others have an error, from a constant or from A, or the
 * program divides by zero. Its memory is written, on all ways. */
static void
make_runnable(struct program *p)
{
    unsigned body = 1 + draw(BODY_MAX), words = draw(BPF_MEMWORDS + 1);

    p->count = 0;
    put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, FIRST_CALL);
    put(p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, LAST_CALL);
    put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    for (unsigned k = 0; k < words; k++) {
        put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, draw(16) * 4);
        put(p, BPF_ST, 0, 0, k);
    }
    for (unsigned k = 0; k < body; k++) {
        struct sock_filter i = draw_instruction(body - k, false);

        if ((i.code == (BPF_LD | BPF_MEM) || i.code == (BPF_LDX | BPF_MEM)) && i.k >= words)
            i = (struct sock_filter)BPF_STMT(BPF_MISC | BPF_TAX, 0);
        if (draw(30) == 0)
            i = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | draw(0x1000));
        p->insn[p->count++] = i;
    }
    put(p, BPF_MISC | BPF_TAX, 0, 0, 0);
    put(p, BPF_ALU | BPF_RSH | BPF_K, 0, 0, draw(21));
    if (draw(2))
        put(p, BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0);
    put(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xfff);
    put(p, BPF_ALU | BPF_OR | BPF_K, 0, 0, SECCOMP_RET_ERRNO);
    put(p, BPF_RET | BPF_A, 0, 0, 0);
}

static _Noreturn void
complain(const char *what, const struct program *p)
{
    fprintf(stderr, "bpf: %s\n", what);
    for (unsigned k = 0; k < p->count; k++)
        fprintf(stderr, "  %2u: {0x%02x, %u, %u, 0x%x}\n", k, p->insn[k].code, p->insn[k].jt, p->insn[k].jf,
                p->insn[k].k);
    exit(1);
}

/* --- the kernel's side --- */

static long
install(const struct program *p, unsigned flags)
{
    struct sock_fprog g = {.len = (unsigned short)p->count, .filter = (struct sock_filter *)(uintptr_t)p->insn};

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &g);
}

static long __attribute__((noinline))
call(const struct seccomp_data *d)
{
    register uint64_t r10 __asm__("r10") = d->args[3], r8 __asm__("r8") = d->args[4], r9 __asm__("r9") = d->args[5];
    long result;

    __asm__ volatile("syscall\n"
                     ".globl behind_call\n"
                     "behind_call:"
                     : "=a"(result)
                     : "a"((long)d->nr), "D"(d->args[0]), "S"(d->args[1]), "d"(d->args[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
extern const char behind_call[];

/* In a child: the filter stays. */
static int
in_child(const struct program *p, const struct seccomp_data *inputs, unsigned count)
{
    pid_t pid;
    int status;

    told->done = 0;
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        while (inputs && install(p, 0) < 0)
            if (errno != ENOMEM && errno != ENOTSUPP)
                _exit(1);
        for (unsigned k = 0; inputs && k < count; k++) {
            told->result[k] = call(&inputs[k]);
            told->done++;
        }
        for (long r = 0; !inputs && (r == 0 || errno == ENOTSUPP); told->done += r == 0)
            r = install(p, 0);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    return status;
}

/* --- comparisons --- */

static void
judge(struct program *p)
{
    bool valid, kernel;

    make_wild(p);
    valid = bpf_valid(p->insn, p->count);
    /* What the kernel frees of the programs before comes back to it late: there is no memory, or none for code. */
    while (install(p, SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0 && (errno == ENOMEM || errno == ENOTSUPP))
        usleep(1000);
    kernel = errno == EBUSY;
    if (!kernel && errno != EINVAL) {
        perror("bpf: neither EBUSY nor EINVAL");
        complain("the kernel does not judge", p);
    }
    if (valid != kernel)
        complain(valid ? "valid, and the kernel refuses it" : "refused, and the kernel takes it", p);
    for (unsigned k = 0; valid && k < 4; k++) {
        struct seccomp_data d = {.nr = (int)draw(512), .arch = AUDIT_ARCH_X86_64, .instruction_pointer = draw_word()};

        for (unsigned a = 0; a < 6; a++)
            d.args[a] = draw_word();
        if (bpf_always_allows(p->insn, p->count, (uint32_t)d.nr, d.arch) &&
            bpf_run(p->insn, p->count, &d) != SECCOMP_RET_ALLOW)
            complain("said to allow always what it does not", p);
    }
}

static void
compare_run(struct program *p)
{
    struct seccomp_data inputs[INPUTS] = {0};
    uint32_t want[INPUTS];
    unsigned count = 0;
    int status;

    make_runnable(p);
    if (!bpf_valid(p->insn, p->count))
        return;
    while (count < INPUTS) {
        struct seccomp_data *d = &inputs[count];

        *d = (struct seccomp_data){.nr = (int)(FIRST_CALL + draw(LAST_CALL - FIRST_CALL)),
                                   .arch = AUDIT_ARCH_X86_64,
                                   .instruction_pointer = (uint64_t)(uintptr_t)behind_call};
        for (unsigned a = 0; a < 6; a++)
            d->args[a] = draw_word() | (uint64_t)draw_word() << 32;
        want[count] = bpf_run(p->insn, p->count, d);
        if (want[count++] == 0) /* it divides by zero, which ends the child: the last one */
            break;
    }
    status = in_child(p, inputs, count);
    if (want[count - 1] == 0 ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS || told->done != count - 1
                             : !WIFEXITED(status) || WEXITSTATUS(status) != 0 || told->done != count) {
        fprintf(stderr, "wait status %#x after %u of %u calls\n", (unsigned)status, told->done, count);
        complain("a child did not end as expected", p);
    }
    for (unsigned k = 0; k < told->done; k++)
        if (told->result[k] != -(long)(want[k] & 0xfff)) {
            fprintf(stderr, "input %u: the kernel says %ld, we %#x\n", k, told->result[k], want[k]);
            complain("another result", p);
        }
}

static void
compare_length(const struct program *p)
{
    enum { MOST = 32768, EACH = 4, OURS = 5 + EACH /* the filter that is there already */ };
    unsigned counted = bpf_counted_length(p->insn, p->count);

    for (unsigned tries = 0; tries < 3; tries++) { /* the kernel may be short of memory for another reason */
        in_child(p, NULL, 0);
        if (told->done == (MOST - OURS - counted) / (counted + EACH) + 1)
            return;
    }
    fprintf(stderr, "installed %u times, counted as %u\n", told->done, counted);
    complain("another length", p);
}

int
main(int argc, char **argv)
{
    const struct program allow = {.insn = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}, .count = 1};
    unsigned long seconds = 0, programs = 3000, runs = 0;
    time_t begin = time(NULL);
    static struct program p;

    state = 1;
    for (int k = 1; k + 1 < argc; k += 2) {
        if (strcmp(argv[k], "--seconds") == 0)
            seconds = strtoul(argv[k + 1], NULL, 0);
        else if (strcmp(argv[k], "--programs") == 0)
            programs = strtoul(argv[k + 1], NULL, 0);
        else if (strcmp(argv[k], "--seed") == 0)
            state = strcmp(argv[k + 1], "time") == 0 ? (uint64_t)begin : strtoul(argv[k + 1], NULL, 0);
    }
    printf("seed %llu\n", (unsigned long long)state);
    fflush(stdout);
    state = state * 0x9e3779b97f4a7c15ull | 1;
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        install(&allow, SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0) {
        perror("bpf: the host has no filters with listeners");
        return SKIPPED;
    }
    for (; seconds ? (unsigned long)(time(NULL) - begin) < seconds : runs < programs; runs++) {
        for (unsigned k = 0; k < VERDICTS_EACH; k++)
            judge(&p);
        compare_run(&p);
        if (runs % LENGTH_EVERY == 0 && bpf_valid(p.insn, p.count))
            compare_length(&p);
    }
    printf("%lu programs run and %lu judged as by the kernel\n", runs, runs * VERDICTS_EACH);
    return 0;
}
