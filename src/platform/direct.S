/* The border between C and rewritten guest code (docs/direct.md): entering it, and what it calls.
 *
 * Where the guest's flags are alive and may stay that way, these paths use only instructions that change none. The
 * host stack below direct_enter's frame is a cache of the guest's: when it is nearly full, it is thrown away, but for
 * what lies on top. */

#include "platform/registers.inc"

#define STACK_LIMIT %fs:platform_stack_limit_tls@tpoff
#define GENERATION %fs:platform_direct_generation_tls@tpoff

#define RFLAGS_DF_BIT 10
#define RFLAGS_OF_BIT 11

    .weak direct_syscall_c, direct_jump_c, direct_evaluate_c, direct_poll_c, direct_flags_c
    .hidden platform_stack_limit_tls, platform_direct_generation_tls, platform_thread_tls

.macro SAVE_REST /* all general registers but rax, rcx and r10 */
    movq %rdx, CPU(CPU_RDX)
    movq %rbx, CPU(CPU_RBX)
    movq %r11, CPU(CPU_RSP)
    movq %rbp, CPU(CPU_RBP)
    movq %rsi, CPU(CPU_RSI)
    movq %rdi, CPU(CPU_RDI)
    movq %r8, CPU(CPU_R8)
    movq %r9, CPU(CPU_R9)
    movq %r12, CPU(CPU_R12)
    movq %r13, CPU(CPU_R13)
    movq %r14, CPU(CPU_R14)
    movq %r15, CPU(CPU_R15)
.endm

/* RFLAGS into rbx, the vector registers into x86_cpu_tls; rax, rcx and rbx are lost. There may be no room on the stack:
 * the word to push to is tmp[0]. (A host signal meanwhile comes on the alternate stack.) */
.macro SAVE_FLAGS_AND_VECTORS
    movq %fs:0, %rcx
    movq %rsp, %rax
    leaq x86_cpu_tls@tpoff + CPU_TMP0 + 8(%rcx), %rsp
    pushfq
    movq %rax, %rsp
    movq CPU(CPU_TMP0), %rbx
    cld
    SAVE_VECTORS %rcx, x86_cpu_tls@tpoff + CPU_XMM, x86_cpu_tls@tpoff + CPU_YMM_HIGH
.endm

.macro LOAD_CPU_VECTORS
    movq %fs:0, %rcx
    LOAD_VECTORS %rcx, x86_cpu_tls@tpoff + CPU_XMM, x86_cpu_tls@tpoff + CPU_YMM_HIGH
.endm

.macro LOAD_GENERAL
    movq CPU(CPU_RAX), %rax
    movq CPU(CPU_RCX), %rcx
    movq CPU(CPU_RDX), %rdx
    movq CPU(CPU_RBX), %rbx
    movq CPU(CPU_RSP), %r11
    movq CPU(CPU_RBP), %rbp
    movq CPU(CPU_RSI), %rsi
    movq CPU(CPU_RDI), %rdi
    movq CPU(CPU_R8), %r8
    movq CPU(CPU_R9), %r9
    movq CPU(CPU_R12), %r12
    movq CPU(CPU_R13), %r13
    movq CPU(CPU_R14), %r14
    movq CPU(CPU_R15), %r15
.endm

/* All state but r10 and the stack, flags from rbx: POPF takes three times as long. */
.macro LOAD_STATE
    LOAD_CPU_VECTORS
    cld
    btl $RFLAGS_DF_BIT, %ebx
    jnc 7f
    std
7:
    movl %ebx, %eax
    shrl $RFLAGS_OF_BIT, %eax
    andl $1, %eax
    movb %bl, %ah
    addb $0x7f, %al /* overflows from 1 on */
    sahf
    LOAD_GENERAL
.endm

/* C code needs room. Without, all of the stack but its top is thrown away. */
.macro MAKE_ROOM
    cmpq STACK_LIMIT, %rsp
    jae 8f
    movq (%rsp), %rax
    movq FRAME, %rsp
    leaq direct_base(%rip), %rcx
    pushq %rcx
    pushq %rax
8:
.endm

/* Looks r10 up in the cache; without changing flags or other registers than r10. rip = r10. Found: r10 is the host's
 * address; else goes to `miss` with rax and rcx already in x86_cpu_tls, and lost. */
.macro LOOK_UP miss
    movq %rax, CPU(CPU_RAX)
    movq %rcx, CPU(CPU_RCX)
    movq %fs:platform_thread_tls@tpoff, %rcx /* whose first member is the cache */
    movq %r10, CPU(CPU_RIP)
    leal (, %r10, 8), %eax
    leal (%rax, %rax), %eax
    movzwl %ax, %eax /* the low 12 bits, times 16 */
    leaq (%rcx, %rax), %rax
    movl (%rax), %ecx
    notq %r10
    leaq 1(%rcx, %r10), %rcx /* 0: equal */
    jrcxz 5f
    jmp \miss
5:
    movq 8(%rax), %rcx
    movq GENERATION, %r10
    leaq (%rcx, %r10), %rcx /* what is in the cache is the negative */
    jrcxz 6f
    jmp \miss
6:
    movl 4(%rax), %r10d
    movq CPU(CPU_RCX), %rcx
    movq CPU(CPU_RAX), %rax
.endm

    .text
    .globl platform_direct_stubs, platform_direct_stubs_end
platform_direct_stubs:

/* void direct_enter(uint64_t host, uint64_t rflags): runs rewritten code from the state in x86_cpu_tls until it leaves;
 * the state is there again, rip too. rflags: the status flags and DF of it, no other. */
FUNCTION direct_enter
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq FRAME
    movq %rsp, FRAME
    pushq %rsi
    movq %rdi, %r10
    LOAD_CPU_VECTORS
    LOAD_GENERAL
    popfq
.Lgo_on:
    call *%r10
/* A return of the guest's to r10, below which nothing lies. */
    .globl direct_base
direct_base:
    LOOK_UP .Lleave
    jmp .Lgo_on
.Lleave:
    SAVE_REST
    SAVE_FLAGS_AND_VECTORS
    movq %rbx, %rdi
    andq $-16, %rsp
    call direct_flags_c
    jmp platform_leave
.size direct_enter, . - direct_enter

FUNCTION direct_unwind
    movq FRAME, %rsp
    jmp direct_base
.size direct_unwind, . - direct_unwind

/* A call; of C: bool direct_syscall_c(uint64_t next, uint64_t rflags), which returns only if the
 * guest goes on there. */
FUNCTION direct_syscall
    movq %rax, CPU(CPU_RAX)
    movq %rcx, CPU(CPU_RCX)
    SAVE_REST
    SAVE_FLAGS_AND_VECTORS
    MAKE_ROOM
    movq %r10, CPU(CPU_RIP)
    movq %r10, %rdi
    movq %rbx, %rsi
    movq %rsp, %rbp
    andq $-16, %rsp
    call direct_syscall_c
    movq %rbp, %rsp
    LOAD_STATE
    movl $0, %r10d /* C code's; flags stay */
    ret
.size direct_syscall, . - direct_syscall

/* Where the host's signal handler leads between two instructions of the guest's, with the
 * interrupted host address pushed. */
FUNCTION direct_poll
    movq %rax, CPU(CPU_RAX)
    movq %rcx, CPU(CPU_RCX)
    SAVE_REST
    SAVE_FLAGS_AND_VECTORS
    MAKE_ROOM
    movq (%rsp), %rdi
    movq %rbx, %rsi
    movq %rsp, %rbp
    andq $-16, %rsp
    call direct_poll_c
    movq %rbp, %rsp
    LOAD_STATE
    movl $0, %r10d /* C code's; flags stay */
    ret
.size direct_poll, . - direct_poll

/* uint64_t NAME_c(uint64_t rflags, const uint64_t *top): with rip set. Returns the host address where the guest goes
 * on; 0: at the host's return address *top, with r10 = rip. RFLAGS are in tmp[0] then. */
.macro GO_ON name
    SAVE_REST
    SAVE_FLAGS_AND_VECTORS
    MAKE_ROOM
    movq %rbx, %rdi
    movq %rsp, %rsi
    movq %rsp, %rbp
    andq $-16, %rsp
    call \name
    movq %rbp, %rsp
    movq CPU(CPU_TMP0), %rbx
    movq %rax, %r10
    testq %rax, %rax
    jz 9f
    LOAD_STATE
    jmp *%r10
9:
    movq CPU(CPU_RIP), %r10
    LOAD_STATE
    ret
.endm

    .p2align 6
FUNCTION direct_jump
    LOOK_UP .Ljump_miss
    jmp *%r10
.Ljump_miss:
    GO_ON direct_jump_c
.size direct_jump, . - direct_jump

FUNCTION direct_evaluate
    movq %rax, CPU(CPU_RAX)
    movq %rcx, CPU(CPU_RCX)
    movq %r10, CPU(CPU_RIP)
    GO_ON direct_evaluate_c
.size direct_evaluate, . - direct_evaluate

platform_direct_stubs_end:

    .section .note.GNU-stack, "", @progbits
