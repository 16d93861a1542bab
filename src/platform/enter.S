/* The border between C and compiled guest code (wasm/convention.def), and the switch between fibers.
 *
 * Compiled code follows LLVM's regcall: ten guest registers in RAX RCX RDX RDI RSI R8 R9 R12 R13 R14, the link in R15.
 * It preserves no register, and expects none to be preserved. */

#include "platform/registers.inc"

/* What platform_switch_stack and platform_enter have pushed. */
.macro POP_AND_RETURN
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.endm

.macro LOAD_GUEST
    movq CPU(CPU_RAX), %rax
    movq CPU(CPU_RCX), %rcx
    movq CPU(CPU_RDX), %rdx
    movq CPU(CPU_RDI), %rdi
    movq CPU(CPU_RSI), %rsi
    movq CPU(CPU_R12), %r8
    movq CPU(CPU_R13), %r9
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
    movq %r8, CPU(CPU_R12)
    movq %r9, CPU(CPU_R13)
    movq %r12, CPU(CPU_RSP)
    movq %r13, CPU(CPU_RBP)
    movq %r14, CPU(CPU_RBX)
.endm

/* void platform_enter(const void *code): a frame that compiled code and the kernel below it can leave at once. Link 0,
 * so that a return of the guest comes back through kernel_unwind; a plain return means the guest returned to 0. */
FUNCTION platform_enter
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq FRAME
    movq %rsp, FRAME
    movq %rdi, %r11
    LOAD_GUEST
    xorl %r15d, %r15d
    call *%r11
    xorl %r15d, %r15d
/* Tail-called by compiled code: all state goes to x86_cpu_tls, the pc in r15 to its rip. */
    .globl kernel_unwind
    .type kernel_unwind, @function
kernel_unwind:
    STORE_GUEST
    movq %r15, CPU(CPU_RIP)
/* _Noreturn void platform_leave(void): the same from C, where the state is in x86_cpu_tls. */
    .globl platform_leave
    .type platform_leave, @function
platform_leave:
    cld
    movq FRAME, %rsp
    popq FRAME
    POP_AND_RETURN
.size platform_enter, . - platform_enter

/* Imports of compiled code: void NAME_c(uint64_t link), called with the registers in x86_cpu_tls. They return only if
 * the guest goes on as compiled code expects. */
.macro KERNEL_IMPORT name
FUNCTION \name
    pushq %rbp
    movq %rsp, %rbp
    andq $-16, %rsp
    STORE_GUEST
    movq %r15, CPU(CPU_RIP)
    movq %r15, %rdi
    call \name\()_c
    LOAD_GUEST
    leave
    ret
.size \name, . - \name
.endm

KERNEL_IMPORT kernel_syscall
KERNEL_IMPORT kernel_enter
KERNEL_IMPORT kernel_trap

/* void kernel_poll(uint64_t pc): preserve_allcc; the caller has put the state into x86_cpu_tls. */
FUNCTION kernel_poll
    pushq %rbp
    movq %rsp, %rbp
    .irp r, rax, rcx, rdx, rbx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pushq %\r
    .endr
    subq $512, %rsp
    andq $-16, %rsp
    SAVE_VECTORS %rsp, 0, 256
    movq %rdi, CPU(CPU_RIP)
    call kernel_poll_c
    LOAD_VECTORS %rsp, 0, 256
    leaq -112(%rbp), %rsp
    .irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbx, rdx, rcx, rax
    popq %\r
    .endr
    popq %rbp
    ret
.size kernel_poll, . - kernel_poll

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

/* _Noreturn void platform_jump_registers(struct platform_jump *j, int value) */
FUNCTION platform_jump_registers
    movl %esi, %eax
    movq 0(%rdi), %rbx
    movq 8(%rdi), %rbp
    movq 16(%rdi), %r12
    movq 24(%rdi), %r13
    movq 32(%rdi), %r14
    movq 40(%rdi), %r15
    movq 48(%rdi), %rsp
    jmp *56(%rdi)
.size platform_jump_registers, . - platform_jump_registers

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
    POP_AND_RETURN
.size platform_switch_stack, . - platform_switch_stack

/* long platform_clone_thread(unsigned long flags, uint64_t load_rsp, void *thread_block): the new thread goes on as
 * behind platform_switch_stack. */
FUNCTION platform_clone_thread
    movq %rdx, %r8
    xorl %edx, %edx
    xorl %r10d, %r10d
    movl $56, %eax
    syscall
    testq %rax, %rax
    jz 1f
    ret
1:
    POP_AND_RETURN
.size platform_clone_thread, . - platform_clone_thread

/* _Noreturn void platform_sigreturn(void *saved): rt_sigreturn from there. */
FUNCTION platform_sigreturn
    movq %rdi, %rsp
    movl $15, %eax
    syscall
    ud2
.size platform_sigreturn, . - platform_sigreturn

/* First return of a new fiber: entry in rbx, argument in r12. */
FUNCTION platform_fiber_start
    movq %r12, %rdi
    xorl %ebp, %ebp
    call *%rbx
    ud2
.size platform_fiber_start, . - platform_fiber_start

/* void platform_use_ymm(void) */
FUNCTION platform_use_ymm
    movb $1, platform_ymm(%rip)
    ret
.size platform_use_ymm, . - platform_use_ymm

    .bss
    .globl platform_ymm
    .type platform_ymm, @object
    .size platform_ymm, 1
platform_ymm: /* does guest code use the high halves of the vector registers? */
    .skip 1

    .section .note.GNU-stack, "", @progbits
