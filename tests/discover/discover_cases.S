# Code for test_discover.c, which shows it to discovery as the text and constants of a file. Nothing here is ever run.
    .intel_syntax noprefix
    .section .rodata

.macro case name
    .balign 16
    .globl case_\name
case_\name:
.endm

    .balign 64
    .globl text_start
text_start:

# The table's address is in a register over the loop, the bound in another block.
case hoisted
    push rbx
    lea rbx, table_hoisted[rip]
.Lhoisted_0:  call helper
    cmp eax, 3
    ja .Lhoisted_9
    nop
    mov eax, eax
    movsxd rax, dword ptr [rbx + rax * 4]
    add rax, rbx
    .globl jump_hoisted
jump_hoisted:
    jmp rax
.Lhoisted_1:  call helper
    jmp .Lhoisted_0
.Lhoisted_2:  call helper
    call helper
    jmp .Lhoisted_0
.Lhoisted_3:  nop
    jmp .Lhoisted_0
.Lhoisted_4:  int3
.Lhoisted_9:  pop rbx
    ret

# It is on the stack, and so is the index.
case spilled
    sub rsp, 24
    lea rax, table_spilled[rip]
    mov [rsp + 8], rax
    mov [rsp], edi
    call helper
    cmp dword ptr [rsp], 2
    ja .Lspilled_9
    mov eax, [rsp]
    mov rdx, [rsp + 8]
    movsxd rax, dword ptr [rdx + rax * 4]
    add rax, rdx
    .globl jump_spilled
jump_spilled:
    jmp rax
.Lspilled_1:  nop
.Lspilled_2:  nop
.Lspilled_3:  nop
.Lspilled_9:  add rsp, 24
    ret

# The load and the jump are in different blocks: labels.
case parted
    lea rdx, table_parted[rip]
    cmp edi, 1
    ja .Lparted_9
    mov edi, edi
    movsxd rax, dword ptr [rdx + rdi * 4]
    add rax, rdx
    test esi, esi
    je .Lparted_8
    inc esi
.Lparted_8:
    .globl jump_parted
jump_parted:
    jmp rax
.Lparted_1:  mov eax, 1
    ret
.Lparted_2:  mov eax, 2
    ret
.Lparted_9:  xor eax, eax
    ret

# A tail call through a pointer, and one that is neither.
case pointers
    push rbx
    test edi, edi
    je .Lpointers_1
    mov rax, [rsi]
    pop rbx
    .globl jump_tail
jump_tail:
    jmp rax
.Lpointers_1:  mov rax, [rsi + 8]
    .globl jump_pointer
jump_pointer:
    jmp rax

# Code for another processor, padding, and data between functions.
case foreign
    test edi, edi
    je .Lforeign_1
    .globl foreign_start
foreign_start:
    vpaddd ymm0, ymm1, ymmword ptr [rip + constant]
    vzeroupper
    add eax, 1
    jmp .Lforeign_2
    .globl foreign_end
foreign_end:
.Lforeign_1:  mov eax, dword ptr [rip + constant + 4]
.Lforeign_2:  ret
    .byte 0x66, 0x0f, 0x1f, 0x04, 0x00 /* nopw [rax + rax], which clang does not assemble in this syntax */
    .balign 32, 0xcc
    .globl constant
constant:
    .long 0x06060606, 0x07070707, 0x16161616, 0x17171717, 0, 0, 0, 0x0e0e0e0e
    .globl constant_end
constant_end:

# The table leads to one new place, right behind the jump.
case behind
    lea rdx, table_behind[rip]
    cmp edi, 1
    ja .Lbehind_9
    mov edi, edi
    movsxd rax, dword ptr [rdx + rdi * 4]
    add rax, rdx
    .globl jump_behind
jump_behind:
    jmp rax
.Lbehind_1:
    inc esi
.Lbehind_9:
    ret

# Two entries into one body: the first one's unwind entry ends before the fill between them.
case falls
    cmp rcx, rdx
    jb helper
    .globl falls_end
falls_end:
    nop dword ptr 0[rax]
    .globl falls_into
falls_into:
    mov rax, rdi
    ret

# A child begins behind the system call and the calls that led to it, two of them; and not behind another system call.
case forks
    mov eax, 57
    syscall
    .globl child_0
child_0:
    ret
case forks_1
    push rbx
    call case_forks
    .globl child_1
child_1:
    pop rbx
    ret
case forks_2
    push rbx
    call case_forks_1
    .globl child_2
child_2:
    pop rbx
    ret
case forks_3
    push rbx
    call case_forks_2
    .globl no_child_3
no_child_3:
    mov eax, 39
    syscall
    .globl no_child_4
no_child_4:
    pop rbx
    ret

case helper
helper:
    xor eax, eax
    ret
    .globl text_end
text_end:

    .balign 64
    .globl data_start
data_start:
table_hoisted:
    .long .Lhoisted_1 - table_hoisted, .Lhoisted_2 - table_hoisted, .Lhoisted_3 - table_hoisted, .Lhoisted_4 - table_hoisted
table_spilled:
    .long .Lspilled_1 - table_spilled, .Lspilled_2 - table_spilled, .Lspilled_3 - table_spilled
table_behind:
    .long .Lbehind_9 - table_behind, .Lbehind_1 - table_behind
table_parted:
    .long .Lparted_1 - table_parted, .Lparted_2 - table_parted
    .globl data_end
data_end:
    .section .note.GNU-stack, "", @progbits
