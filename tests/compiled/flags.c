/* Status flags over indirect jumps and calls, to code that reads them before anything else: nothing of the ABI's, but
 * what the processor does. Run natively and in an artifact, the output must be the same. */
#include <stdint.h>
#include <stdio.h>

enum { STATUS = 0x8d5 };

uint64_t over_call(uint64_t flags, const void *target), over_call_from_memory(uint64_t flags, const void *target);
uint64_t over_jump(uint64_t flags, const void *target), over_jump_from_memory(uint64_t flags, const void *target);
uint64_t over_table(uint64_t flags, uint64_t index), over_label(uint64_t flags);
extern const char reads[], reads_elsewhere[], tests[], passes_on[];

/* Each takes flags in rdi and returns what the target makes of them in rax. */
__asm__(".text\n"
        ".globl reads, reads_elsewhere, tests, passes_on\n"
        ".p2align 4\n"
        "reads: pushfq\n pop %rax\n ret\n"
        ".p2align 4\n nop\n"
        "reads_elsewhere: pushfq\n pop %rax\n ret\n"
        ".p2align 4\n"
        "tests: mov $0x41, %eax\n jbe 1f\n mov $0x10, %eax\n1: jnp 2f\n lea 0x80(%eax), %eax\n2: ret\n"
        ".p2align 4\n"
        "passes_on: nop\n jmp tests\n"
        ".globl over_call, over_call_from_memory, over_jump, over_jump_from_memory, over_table, over_label\n"
        "over_call: push %rdi\n popfq\n call *%rsi\n ret\n"
        "over_call_from_memory: push %rsi\n push %rdi\n popfq\n call *(%rsp)\n lea 8(%rsp), %rsp\n ret\n"
        "over_jump: push %rdi\n popfq\n jmp *%rsi\n"
        "over_jump_from_memory: mov %rsi, -64(%rsp)\n push %rdi\n popfq\n jmp *-64(%rsp)\n"
        "over_table: and $3, %esi\n lea places(%rip), %rdx\n push %rdi\n popfq\n jmp *(%rdx,%rsi,8)\n"
        "3: pushfq\n pop %rax\n ret\n"
        "4: mov $1, %eax\n js 5f\n mov $2, %eax\n5: ret\n"
        "6: setc %al\n movzbl %al, %eax\n ret\n"
        "7: mov $5, %eax\n adc $0, %eax\n ret\n"
        "over_label: lea 8f(%rip), %rax\n push %rdi\n popfq\n jmp *%rax\n int3\n"
        "8: pushfq\n pop %rax\n ret\n"
        ".section .data.rel.ro, \"aw\"\n"
        ".p2align 3\n"
        "places: .quad 3b, 4b, 6b, 7b\n"
        ".text\n");

static void
show(const char *name, uint64_t (*over)(uint64_t, const void *), const char *to, const void *target)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < 64; i++) {
        uint64_t flags = 2 | (i & 1) | (i & 2) << 1 | (i & 4) << 2 | (i & 8) << 3 | (i & 16) << 3 | (i & 32) << 6;

        hash = hash * 31 + (over(flags, target) & STATUS);
    }
    printf("%s to %s: %016llx\n", name, to, (unsigned long long)hash);
}

static uint64_t
label(uint64_t flags, const void *target)
{
    (void)target;
    return over_label(flags);
}

static uint64_t
table(uint64_t flags, const void *target)
{
    return over_table(flags, (uint64_t)(uintptr_t)target);
}

int
main(void)
{
    static const struct {
        const char *name;
        uint64_t (*over)(uint64_t, const void *);
    } ways[] = {{"call", over_call},
                {"call from memory", over_call_from_memory},
                {"jump", over_jump},
                {"jump from memory", over_jump_from_memory}};

    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        show(ways[i].name, ways[i].over, "a multiple of 16", reads);
        show(ways[i].name, ways[i].over, "elsewhere", reads_elsewhere);
        show(ways[i].name, ways[i].over, "conditions", tests);
        show(ways[i].name, ways[i].over, "a jump to conditions", passes_on);
    }
    for (uintptr_t i = 0; i < 4; i++)
        show("jump", table, i == 0 ? "label 0" : i == 1 ? "label 1" : i == 2 ? "label 2" : "label 3", (const void *)i);
    show("jump", label, "a label", NULL);
    return 0;
}
