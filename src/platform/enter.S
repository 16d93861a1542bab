/* The border between C and compiled guest code (wasm/convention.def), and the switch between fibers.
 *
 * Compiled code follows LLVM's regcall: ten guest registers in RAX RCX RDX RDI RSI R8 R9 R12 R13 R14, the guest pc
 * (or entry selector) in R15; RBX, RBP and XMM8..15 are preserved by the callee. */

#define CPU_RAX 0
#define CPU_RCX 8
#define CPU_RDX 16
#define CPU_RBX 24
#define CPU_RSP 32
#define CPU_RBP 40
#define CPU_RSI 48
#define CPU_RDI 56
#define CPU_R8 64
#define CPU_R9 72
#define CPU_RIP 128

#define CPU(member) %fs:(x86_cpu_tls@tpoff + member)

.macro LOAD_GUEST
    movq CPU(CPU_RAX), %rax
    movq CPU(CPU_RCX), %rcx
    movq CPU(CPU_RDX), %rdx
    movq CPU(CPU_RDI), %rdi
    movq CPU(CPU_RSI), %rsi
    movq CPU(CPU_R8), %r8
    movq CPU(CPU_R9), %r9
    movq CPU(CPU_RSP), %r12
    movq CPU(CPU_RBP), %r13
    movq CPU(CPU_RBX), %r14
.endm

.macro STORE_GUEST
    movq %rax, CPU(CPU_RAX)
    movq %rcx, CPU(CPU_RCX)
    movq %rdx, CPU(CPU_RDX)
    movq %rdi, CPU(CPU_RDI)
    movq %rsi, CPU(CPU_RSI)
    movq %r8, CPU(CPU_R8)
    movq %r9, CPU(CPU_R9)
    movq %r12, CPU(CPU_RSP)
    movq %r13, CPU(CPU_RBP)
    movq %r14, CPU(CPU_RBX)
.endm

.macro FUNCTION name
    .text
    .p2align 4
    .globl \name
    .type \name, @function
\name:
.endm

/* uint64_t platform_enter(const void *code) */
FUNCTION platform_enter
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    movq %rdi, %r11
    LOAD_GUEST
    xorl %r15d, %r15d
    call *%r11
    STORE_GUEST
    movq %r15, %rax
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size platform_enter, . - platform_enter

/* Imports of compiled code: uint64_t NAME_c(uint64_t pc), called with the ten registers in x86_cpu_tls and pc in its
 * rip; the result goes back in R15. */
.macro KERNEL_IMPORT name
FUNCTION \name
    pushq %rbp
    movq %rsp, %rbp
    subq $128, %rsp
    andq $-16, %rsp
    movaps %xmm8, 0(%rsp)
    movaps %xmm9, 16(%rsp)
    movaps %xmm10, 32(%rsp)
    movaps %xmm11, 48(%rsp)
    movaps %xmm12, 64(%rsp)
    movaps %xmm13, 80(%rsp)
    movaps %xmm14, 96(%rsp)
    movaps %xmm15, 112(%rsp)
    STORE_GUEST
    movq %r15, CPU(CPU_RIP)
    movq %r15, %rdi
    call \name\()_c
    movq %rax, %r15
    LOAD_GUEST
    movaps 0(%rsp), %xmm8
    movaps 16(%rsp), %xmm9
    movaps 32(%rsp), %xmm10
    movaps 48(%rsp), %xmm11
    movaps 64(%rsp), %xmm12
    movaps 80(%rsp), %xmm13
    movaps 96(%rsp), %xmm14
    movaps 112(%rsp), %xmm15
    leave
    ret
.size \name, . - \name
.endm

KERNEL_IMPORT kernel_syscall
KERNEL_IMPORT kernel_poll
KERNEL_IMPORT kernel_enter
KERNEL_IMPORT kernel_trap

/* int platform_mark(struct platform_jump *j) */
FUNCTION platform_mark
    movq %rbx, 0(%rdi)
    movq %rbp, 8(%rdi)
    movq %r12, 16(%rdi)
    movq %r13, 24(%rdi)
    movq %r14, 32(%rdi)
    movq %r15, 40(%rdi)
    leaq 8(%rsp), %rax
    movq %rax, 48(%rdi)
    movq (%rsp), %rax
    movq %rax, 56(%rdi)
    xorl %eax, %eax
    ret
.size platform_mark, . - platform_mark

/* void platform_jump(struct platform_jump *j, int value) */
FUNCTION platform_jump
    movl %esi, %eax
    movq 0(%rdi), %rbx
    movq 8(%rdi), %rbp
    movq 16(%rdi), %r12
    movq 24(%rdi), %r13
    movq 32(%rdi), %r14
    movq 40(%rdi), %r15
    movq 48(%rdi), %rsp
    jmp *56(%rdi)
.size platform_jump, . - platform_jump

/* void platform_switch_stack(uint64_t *save_rsp, uint64_t load_rsp) */
FUNCTION platform_switch_stack
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size platform_switch_stack, . - platform_switch_stack

/* First return of a new fiber: entry in rbx, argument in r12. */
FUNCTION platform_fiber_start
    movq %r12, %rdi
    xorl %ebp, %ebp
    call *%rbx
    ud2
.size platform_fiber_start, . - platform_fiber_start

    .section .note.GNU-stack, "", @progbits
