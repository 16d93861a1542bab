/* Runs the cases of vectors.bin in natively compiled code: harness VECTORS RESULTS. Linked with the object by
 * run_operators.py, which also fixes the absolute symbols. */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct cpu {
    uint64_t rax;
    uint32_t zf, pad;
    uint64_t xmm3[2];
};
_Static_assert(sizeof(struct cpu) == 32, "offsets are known to run_operators.py");

_Thread_local struct cpu cpu_tls __attribute__((aligned(64), visibility("default")));

extern const void *const test_table[] __asm__("ingot_table");
static jmp_buf trap;

void kernel_wasm_trap(int kind);
uint64_t helper_mix(uint64_t a, uint32_t b, uint64_t c);

void
kernel_wasm_trap(int kind)
{
    longjmp(trap, kind + 1);
}

uint64_t
helper_mix(uint64_t a, uint32_t b, uint64_t c)
{
    return a * 3 + (uint64_t)b * 5 + c * 7;
}

/* regs: RAX RCX RDX RDI RSI R8 R9 R12 R13 R14 R15, in and out. */
void call_guest(const void *code, uint64_t regs[11]);
__asm__(".globl call_guest\n"
        "call_guest:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi\n"
        "mov %rdi, %r11; mov %rsi, %r10\n"
        "mov 0(%r10), %rax; mov 8(%r10), %rcx; mov 16(%r10), %rdx; mov 24(%r10), %rdi\n"
        "mov 32(%r10), %rsi; mov 40(%r10), %r8; mov 48(%r10), %r9; mov 56(%r10), %r12\n"
        "mov 64(%r10), %r13; mov 72(%r10), %r14; mov 80(%r10), %r15\n"
        "call *%r11\n"
        "pop %r10\n"
        "mov %rax, 0(%r10); mov %rcx, 8(%r10); mov %rdx, 16(%r10); mov %rdi, 24(%r10)\n"
        "mov %rsi, 32(%r10); mov %r8, 40(%r10); mov %r9, 48(%r10); mov %r12, 56(%r10)\n"
        "mov %r13, 64(%r10); mov %r14, 72(%r10); mov %r15, 80(%r10)\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        /* kernel.enter: its eleventh argument and the first go to the result area. */
        ".globl kernel_enter\n"
        "kernel_enter:\n"
        "mov %rax, %gs:0x20040; mov %r15, %gs:0x20048; xor %r15d, %r15d; ret\n"
        /* kernel.poll keeps all registers. */
        ".globl kernel_poll\n"
        "kernel_poll:\n"
        "mov %rdi, %gs:0x20050; ret\n");

static uint8_t *memory;

static void
run_case(const uint8_t *c, FILE *out)
{
    uint64_t regs[11] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21};
    uint8_t result[17] = {0};
    uint32_t index;

    memcpy(&index, c, 4);
    memcpy(memory + 0x20000, c + 4, 48);
    memset(memory + 0x20040, 0, 16);
    if (setjmp(trap) == 0)
        call_guest(test_table[index], regs);
    else
        result[0] = 1;
    memcpy(result + 1, memory + 0x20040, 16);
    if (result[0])
        memset(result + 1, 0, 16);
    fwrite(result, 1, sizeof result, out);
}

int
main(int argc, char **argv)
{
    uint8_t c[52];
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");

    memory = mmap(NULL, 9ull << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!in || !out || memory == MAP_FAILED || mprotect(memory, 1ull << 20, PROT_READ | PROT_WRITE) < 0)
        return 1;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, memory) < 0)
        return 1;
    while (fread(c, 1, sizeof c, in) == sizeof c)
        run_case(c, out);
    return fclose(out) != 0;
}
