/* One instruction of each kind, with a constant that its code in the code object, or rewritten, is found by;
 * lockstep.py makes that code wrong and wants to see its address, the label, named. Without libc: quick to build. */
__asm__(".text\n"
        /* a register, in straight code between calls */
        ".globl straight, at_straight\n"
        "straight:\n"
        "    push %rbx\n"
        "    mov %rdi, %rbx\n"
        "    call other\n"
        "    lea 3(%rbx), %rax\n"
        "at_straight:\n"
        "    add $0x11223341, %rax\n"
        "    mov %rax, %rbx\n"
        "    shl $2, %rbx\n"
        "    call other\n"
        "    mov %rbx, %rax\n"
        "    pop %rbx\n"
        "    ret\n"
        /* a register, somewhere in the many turns of a loop that calls nothing */
        ".globl loop, at_loop\n"
        "loop:\n"
        "    xor %eax, %eax\n"
        "1:  mov %edi, %ecx\n"
        "    imul %ecx, %ecx\n"
        "    cmp $700, %edi\n"
        "    jne 2f\n"
        "at_loop:\n"
        "    add $0x11223342, %ecx\n"
        "2:  add %ecx, %eax\n"
        "    dec %edi\n"
        "    jnz 1b\n"
        "    ret\n"
        /* a flag that decides a branch later */
        ".globl flag, at_flag\n"
        "flag:\n"
        "    mov %rdi, %rax\n"
        "at_flag:\n"
        "    cmp $0x11223343, %rax\n"
        "    mov $1, %eax\n"
        "    jb 1f\n"
        "    call other\n"
        "    mov $2, %eax\n"
        "1:  ret\n"
        /* a store */
        ".globl store, at_store\n"
        "store:\n"
        "    push %rdi\n"
        "    call other\n"
        "    pop %rax\n"
        "at_store:\n"
        "    mov %eax, cells+0x4321(%rip)\n"
        "    mov $0, %eax\n"
        "    ret\n"
        /* a vector */
        ".globl vector, at_vector\n"
        "vector:\n"
        "    movq %rdi, %xmm1\n"
        "    mov $0x1122334455667744, %rax\n"
        "    movq %rax, %xmm2\n"
        "at_vector:\n"
        "    paddb %xmm2, %xmm1\n"
        "    pxor %xmm3, %xmm3\n"
        "    movdqa %xmm1, %xmm0\n"
        "    sub $8, %rsp\n"
        "    call other\n"
        "    add $8, %rsp\n"
        "    movq %xmm0, %rax\n"
        "    ret\n"
        /* a push, of a register that nothing else here pushes */
        ".globl push, at_push\n"
        "push:\n"
        "    mov %rdi, %r14\n"
        "at_push:\n"
        "    push %r14\n"
        "    call other\n"
        "    pop %rax\n"
        "    ret\n"
        ".previous\n");

unsigned long straight(unsigned long), loop(unsigned long), flag(unsigned long), store(unsigned long),
    vector(unsigned long), push(unsigned long);
volatile char cells[0x5000];

/* What calls something has a check at its entry: there registers are compared. */
__attribute__((noinline)) static void
nothing(void)
{
    __asm__ volatile("nop");
}

__attribute__((noinline, used)) void
other(void)
{
    nothing();
    __asm__ volatile("nop");
}

static long
system_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static void
print(unsigned long v)
{
    char text[17];

    for (int i = 15; i >= 0; i--, v >>= 4)
        text[i] = "0123456789abcdef"[v & 15];
    text[16] = '\n';
    system_call(1, 1, (long)text, sizeof text);
}

__attribute__((used)) static void
run(void)
{
    print(straight(7));
    print(loop(3000));
    print(flag(0x11223342));
    print(store(0x12345));
    print((unsigned long)cells[0x4323]);
    print(vector(0x0102030405060708));
    print(push(0x12345678));
    system_call(60, 0, 0, 0);
}

__asm__(".globl _start\n"
        "_start:\n"
        "    and $-16, %rsp\n"
        "    call run\n"
        "    hlt\n");
