/* What may fault: copies that may meet memory whose pages are gone, and an instruction that not every processor has. The table at
 * the end says where a fault in them goes on (faults.c); a copy's result says how many bytes were done. */

.macro FUNCTION name
    .p2align 4
    .globl \name
    .type \name, @function
\name:
.endm

    .text

/* size_t platform_copy(void *to, const void *from, size_t size). Long copies by the string instruction, where the processor is
 * good at it (faults.c). At each instruction that may fault rdi, rsi and rdx are what is
 * left to copy. */
FUNCTION platform_copy
    movq %rdx, %rax
    cmpq $32, %rdx
    ja 4f
    cmpb $16, %dl
    jae 3f
    cmpb $8, %dl
    jae 2f
    cmpb $4, %dl
    jae 1f
    testb %dl, %dl
    je 9f
/* One to three bytes. What the processor can copy at once is one load and one store, here and below: of an aligned word that
 * another thread reads or writes, nobody gets a part, and nothing is written a second time after that thread saw it. */
    cmpb $2, %dl
    jb 11f
    movzwl (%rsi), %ecx
    je 10f
    movzbl 2(%rsi), %r8d
    movw %cx, (%rdi)
    movb %r8b, 2(%rdi)
    ret
10: movw %cx, (%rdi)
    ret
11: movzbl (%rsi), %ecx
    movb %cl, (%rdi)
    ret
1:  movl (%rsi), %ecx
    je 12f
    movl -4(%rsi,%rdx), %r8d
    movl %ecx, (%rdi)
    movl %r8d, -4(%rdi,%rdx)
    ret
12: movl %ecx, (%rdi)
    ret
2:  movq (%rsi), %rcx
    je 13f
    movq -8(%rsi,%rdx), %r8
    movq %rcx, (%rdi)
    movq %r8, -8(%rdi,%rdx)
    ret
13: movq %rcx, (%rdi)
    ret
3:  movups (%rsi), %xmm0
    je 14f
    movups -16(%rsi,%rdx), %xmm1
    movups %xmm0, (%rdi)
    movups %xmm1, -16(%rdi,%rdx)
    ret
14: movups %xmm0, (%rdi)
    ret
4:  cmpq $96, %rdx
    jbe 6f
    cmpq platform_copy_string_from(%rip), %rdx
    jae copy_long
    .p2align 4
5:  movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups 32(%rsi), %xmm2
    movups 48(%rsi), %xmm3
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, 32(%rdi)
    movups %xmm3, 48(%rdi)
    addq $64, %rsi
    addq $64, %rdi
    subq $64, %rdx
    cmpq $96, %rdx
    ja 5b
6:  cmpq $32, %rdx
    jbe 7f
    movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    addq $32, %rsi
    addq $32, %rdi
    subq $32, %rdx
    jmp 6b
/* Up to 32, and at least as many lie before: the last 32 of all. */
7:  movups -32(%rsi,%rdx), %xmm0
    movups -16(%rsi,%rdx), %xmm1
    movups %xmm0, -32(%rdi,%rdx)
    movups %xmm1, -16(%rdi,%rdx)
9:  ret
/* Long copies; and where a fault above goes on, to find the byte. */
copy_long:
    cmpb $0, platform_copy_asked(%rip)
    jne copy_retry
    pushq %rdi
    pushq %rsi
    pushq %rdx
    call platform_copy_ask
    popq %rdx
    popq %rsi
    popq %rdi
    jmp platform_copy
copy_retry:
    movq %rdx, %rcx
copy_bytes:
    rep movsb
    ret
copy_short:
    subq %rcx, %rax
    ret
.size platform_copy, . - platform_copy

/* size_t platform_clear(void *to, size_t size) */
FUNCTION platform_clear
    movq %rdi, %r8
    movq %rsi, %rcx
    xorl %eax, %eax
    shrq $3, %rcx
clear_words:
    rep stosq
    movq %rsi, %rcx
    andl $7, %ecx
    rep stosb
clear_short:
    movq %rdi, %rax
    subq %r8, %rax
    ret
.size platform_clear, . - platform_clear

/* int platform_exchange(uint32_t *at, uint32_t *expected, uint32_t value): 1 when *at was *expected and is value now; 0 when it was
 * something else, which *expected is then; -1 at a fault. */
FUNCTION platform_exchange
    movl (%rsi), %eax
exchange_access:
    lock cmpxchgl %edx, (%rdi)
exchange_done:
    movl %eax, (%rsi)
    sete %al
    movzbl %al, %eax
    ret
exchange_fault:
    movl $-1, %eax
    ret
.size platform_exchange, . - platform_exchange

/* uint32_t platform_xinuse(void). By trying: CPUID would cost more than a page fault in a virtual machine. */
FUNCTION platform_xinuse
    movl $1, %ecx
xinuse_access:
    xgetbv
    ret
xinuse_fault:
    movl $-1, %eax
    ret
.size platform_xinuse, . - platform_xinuse

/* bool platform_try_v2(void), platform_try_direct(void), platform_try_v3(void): one instruction of each feature that cpuid.def says artifacts
 * need of the host: all of v2; of rewritten code besides; of level v3 besides. False after a fault, and where TZCNT and LZCNT are BSF
 * and BSR: of these operands the former is 0, which sets ZF, and the latter not. Registers are zero first, so that no result is an exception in
 * MXCSR; what is written lies below the stack. */
FUNCTION platform_try_v2
    movq %rbx, %r8
try_v2_from:
    pxor %xmm0, %xmm0
    haddps %xmm0, %xmm0
    pabsb %xmm0, %xmm0
    ptest %xmm0, %xmm0
    pcmpgtq %xmm0, %xmm0
    popcnt %ecx, %ecx
    leaq -64(%rsp), %rsi
    andq $-16, %rsi
    cmpxchg16b (%rsi)
    movq %r8, %rbx
    movl $1, %eax
    ret
try_v2_fault:
    movq %r8, %rbx
    xorl %eax, %eax
    ret
.size platform_try_v2, . - platform_try_v2

FUNCTION platform_try_direct
    movl $1, %ecx
    tzcnt %ecx, %ecx
    setz %al
    ret
.size platform_try_direct, . - platform_try_direct

FUNCTION platform_try_v3
try_v3_from:
    vpxor %xmm0, %xmm0, %xmm0
    vxorps %ymm0, %ymm0, %ymm0
    vpaddd %ymm0, %ymm0, %ymm0
    vfmadd231ps %ymm0, %ymm0, %ymm0
    vcvtph2ps %xmm0, %ymm0
    vzeroupper
    aesenc %xmm0, %xmm0
    pclmulqdq $0, %xmm0, %xmm0
    sha256msg1 %xmm0, %xmm0
    andn %ecx, %ecx, %ecx
    bzhi %ecx, %ecx, %ecx
    movbe %ecx, -8(%rsp)
    movl $-1, %ecx
    lzcnt %ecx, %ecx
    setz %al
    ret
try_fault:
    xorl %eax, %eax
    ret
.size platform_try_v3, . - platform_try_v3

/* struct platform_fixup[]: code from, to, where a fault in it goes on, and whether any fault does: else only one of the guest's
 * memory. */
    .section .data.rel.ro.platform_fixups, "aw"
    .p2align 3
    .globl platform_fixups, platform_fixups_end
platform_fixups:
    .quad platform_copy, copy_retry, copy_retry, 0
    .quad copy_bytes, copy_short, copy_short, 0
    .quad clear_words, clear_short, clear_short, 0
    .quad exchange_access, exchange_done, exchange_fault, 0
    .quad xinuse_access, xinuse_fault, xinuse_fault, 1
    .quad try_v2_from, try_v2_fault, try_v2_fault, 1
    .quad try_v3_from, try_fault, try_fault, 1
platform_fixups_end:

    .section .note.GNU-stack, "", @progbits
