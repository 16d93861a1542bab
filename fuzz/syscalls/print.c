/* Writes a program as C, for Linux and the vkernel. */
#include "fuzz/syscalls/generate.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "fuzz/syscalls/table.h"

static const char prelude[] =
    "#define _GNU_SOURCE\n"
    "#include <sched.h>\n#include <signal.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/mman.h>\n"
    "#include <sys/stat.h>\n#include <sys/wait.h>\n#include <fcntl.h>\n#include <unistd.h>\n\n"
    "static int64_t r[64];\n"
    "static void lane_0(void), lane_1(void), lane_2(void), lane_3(void);\n\n"
    "int64_t call_with_child(int64_t number, const uint64_t args[6], uint64_t stack, uint64_t lane);\n"
    "__asm__(\".globl call_with_child\\n\"\n"
    "        \"call_with_child:\\n\"\n"
    "        \"  pushq %rbx\\n  pushq %r12\\n  pushq %r13\\n\"\n"
    "        \"  movq %rdx, %rbx\\n  movq %rcx, %r12\\n  movq %rdi, %rax\\n  movq %rsi, %r13\\n\"\n"
    "        \"  movq 0(%r13), %rdi\\n  movq 8(%r13), %rsi\\n  movq 16(%r13), %rdx\\n\"\n"
    "        \"  movq 24(%r13), %r10\\n  movq 32(%r13), %r8\\n  movq 40(%r13), %r9\\n\"\n"
    "        \"  syscall\\n\"\n"
    "        \"  testq %rbx, %rbx\\n  jz 1f\\n  testq %rax, %rax\\n  jnz 1f\\n\"\n"
    "        \"  movq %rbx, %rsp\\n  movq %r12, %rdi\\n  xorl %ebp, %ebp\\n  call run_child\\n  ud2\\n\"\n"
    "        \"1: popq %r13\\n  popq %r12\\n  popq %rbx\\n  ret\\n\"\n"
    "        \"restorer:\\n  movl $15, %eax\\n  syscall\\n\"\n"
    "        \".globl sigreturn_at\\nsigreturn_at:\\n  movq %rdi, %rsp\\n  movl $15, %eax\\n  syscall\\n  ud2\\n\");\n"
    "extern char restorer[];\n"
    "void sigreturn_at(uint64_t address);\n\n"
    "static void\nhandler(int sig)\n{\n    static char inside;\n\n    if (inside)\n        return;\n    inside = 1;\n    lane_3();\n"
    "    inside = 0;\n}\n\n"
    "__attribute__((used, noreturn)) void\nrun_child(uint64_t lane)\n{\n"
    "    if (lane == 1)\n        lane_1();\n    if (lane == 2)\n        lane_2();\n    if (lane == 3)\n        lane_3();\n"
    "    for (;;)\n        call_with_child(60, (uint64_t[6]){0}, 0, 0);\n}\n\n"
    "#define CALL(number, ...) call_with_child(number, (uint64_t[6]){__VA_ARGS__}, 0, 0)\n"
    "#define CHILD(lane, number, ...) \\\n"
    "    call_with_child(number, (uint64_t[6]){__VA_ARGS__}, 0x88000000 + ((lane) + 1) * 0x10000 - 64, lane)\n"
    "#define KEEP(slot, call) do { int64_t v = call; if (v >= 0) r[slot] = v; } while (0)\n"
    "#define POKE(at, size, value) do { uint64_t v = value; memcpy((void *)(at), &v, size); } while (0)\n"
    "#define PICK(slot, at, size) do { uint64_t v = 0; memcpy(&v, (void *)(at), size); r[slot] = (int64_t)v; } while (0)\n\n";

static const char ending[] =
    "static void\nfile(const char *path, const char *text, size_t size, unsigned mode)\n{\n"
    "    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, mode);\n\n    if (write(fd, text, size) < 0)\n        perror(path);\n    close(fd);\n}\n\n"
    "static void\nprepare(void)\n{\n"
    "    static char page[3 * 4096];\n"
    "    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, rw = PROT_READ | PROT_WRITE;\n\n"
    "    mmap((void *)0x80000000, 0x10000, rw, flags, -1, 0);\n"
    "    mmap((void *)0x88000000, 0x50000, rw, flags, -1, 0);\n"
    "    mmap((void *)0x90000000, 0x8000, rw, flags, -1, 0);\n"
    "    memset(page, 'a', sizeof page);\n"
    "    memset(r, 255, sizeof r);\n"
    "    file(\"/tmp/a\", page, sizeof page, 0777);\n    file(\"/tmp/b\", page, 100, 0666);\n"
    "    file(\"/tmp/script\", \"#!/bin/executor exit\\n\", 21, 0755);\n"
    "    mkdir(\"/tmp/d\", 0777);\n    mkdir(\"/tmp/d/e\", 0777);\n    if (symlink(\"d\", \"/tmp/link\") != 0)\n        return;\n"
    "    mkfifo(\"/tmp/fifo\", 0666);\n}\n\n"
    "/* As process 1, of a namespace of its own where it is not: kill(-1) is among the calls. */\n"
    "int\nmain(void)\n{\n"
    "    if (getpid() != 1) {\n        if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)\n"
    "            return 77;\n        if (fork()) {\n            wait(NULL);\n            return 0;\n        }\n    }\n"
    "    prepare();\n"
    "    if (fork() == 0) {\n        setpgid(0, 0);\n        lane_0();\n        _exit(0);\n    }\n"
    "    for (int i = 0; i < 120 && waitpid(-1, NULL, WNOHANG | __WALL) >= 0; i++)\n        usleep(10000);\n"
    "    kill(-1, SIGKILL);\n    while (waitpid(-1, NULL, __WALL) > 0)\n        ;\n    puts(\"survived\");\n    return 0;\n}\n";

static void
print_value(FILE *f, const struct program_arg *a)
{
    switch (a->kind) {
    case ARG_SLOT: fprintf(f, a->value ? "r[%u] + %#llx" : "r[%u]", a->slot, (unsigned long long)a->value); break;
    case ARG_HANDLER: fprintf(f, "(uintptr_t)handler"); break;
    case ARG_RESTORER: fprintf(f, "(uintptr_t)restorer"); break;
    default: fprintf(f, a->value < 4096 ? "%llu" : "%#llx", (unsigned long long)a->value); break;
    }
}

static void
print_bytes(FILE *f, const struct program_op *op)
{
    const unsigned char *bytes = (const unsigned char *)op->args;

    fprintf(f, "memcpy((void *)%#x, \"", op->number);
    for (unsigned i = 0; i < op->size; i++)
        if (bytes[i] >= ' ' && bytes[i] < 127 && bytes[i] != '"' && bytes[i] != '\\' && bytes[i] != '?')
            fputc(bytes[i], f);
        else
            fprintf(f, "\\%03o", bytes[i]);
    fprintf(f, "\", %u);\n", op->size);
}

static void
print_call(FILE *f, const struct program_op *op)
{
    const struct row *r = table_row(op->number);
    bool child =
        op->number == SYS_clone || op->number == SYS_fork || op->number == SYS_vfork || op->number == SYS_clone3;

    if (op->slot < PROGRAM_SLOTS)
        fprintf(f, "KEEP(%u, ", op->slot);
    if (child)
        fprintf(f, "CHILD(%u, %u /* %s */",
                op->target > op->lane && op->target < PROGRAM_LANES ? op->target : PROGRAM_LANES, op->number,
                r ? r->name : "?");
    else
        fprintf(f, "CALL(%u /* %s */", op->number, r ? r->name : "?");
    for (unsigned i = 0; i < (r && r->arity ? r->arity : 1); i++) {
        fprintf(f, ", ");
        print_value(f, &op->args[i]);
    }
    fprintf(f, op->slot < PROGRAM_SLOTS ? "));\n" : ");\n");
}

static void
print_op(FILE *f, const struct program_op *op)
{
    fprintf(f, "    ");
    switch (op->kind) {
    case OP_CALL: print_call(f, op); break;
    case OP_POKE:
        fprintf(f, "POKE(%#x, %u, ", op->number, op->size);
        print_value(f, &op->args[0]);
        fprintf(f, ");\n");
        break;
    case OP_BYTES: print_bytes(f, op); break;
    case OP_FILL:
        fprintf(f, "memset((void *)%#x, %u, %llu);\n", op->number, op->size, (unsigned long long)op->args[0].value);
        break;
    case OP_PICK: fprintf(f, "PICK(%u, %#x, %u);\n", op->slot % PROGRAM_SLOTS, op->number, op->size); break;
    case OP_TOUCH:
        fprintf(f, op->size ? "*(volatile char *)(" : "(void)*(volatile char *)(");
        print_value(f, &op->args[0]);
        fprintf(f, op->size ? ") = 1;\n" : ");\n");
        break;
    case OP_SIGRETURN: fprintf(f, "sigreturn_at(%#x);\n", op->number); break;
    case OP_STATE: {
        static const char *const names[STATE_KINDS] =
            {[STATE_FXRSTOR] = "fxrstor", [STATE_XRSTOR] = "xrstor",   [STATE_FXSAVE] = "fxsave",
             [STATE_XSAVE] = "xsave",     [STATE_FLDENV] = "fldenv",   [STATE_FRSTOR] = "frstor",
             [STATE_FNSAVE] = "fnsave",   [STATE_FNSTENV] = "fnstenv", [STATE_FLDCW] = "fldcw",
             [STATE_LDMXCSR] = "ldmxcsr"};
        static const char *const traps[] = {"ud2", "int3", "int $0x80", "hlt", "divl %%ebx"};

        if (op->size >= STATE_UD2 && op->size < STATE_KINDS) {
            fprintf(f, "__asm__ volatile(\"%s\" ::\"a\"(1), \"b\"(0), \"d\"(0) : \"memory\");\n",
                    traps[op->size - STATE_UD2]);
            break;
        }

        fprintf(
            f,
            "__asm__ volatile(\"%s (%%0)\\n fwait\" ::\"r\"(%#xul), \"a\"((uint32_t)%#llx), \"d\"((uint32_t)(%#llxull >> 32)) : \"memory\");\n",
            names[op->size < STATE_UD2 ? op->size : 0], op->number, (unsigned long long)op->args[0].value,
            (unsigned long long)op->args[0].value);
        break;
    }
    default: fprintf(f, ";\n"); break;
    }
}

/* Loops go back over operations: a label before each that one goes to. */
static void
print_lane(FILE *f, const struct program *p, unsigned lane)
{
    unsigned at[PROGRAM_OPS], count = 0;

    for (unsigned i = 0; i < p->count; i++)
        if (p->ops[i].lane == lane)
            at[count++] = i;
    fprintf(f, "static void\nlane_%u(void)\n{\n", lane);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = i; k < count; k++) {
            const struct program_op *loop = &p->ops[at[k]];

            if (loop->kind == OP_LOOP && (loop->size <= k ? k - loop->size : 0) == i)
                fprintf(f, "    for (int n%u = 0; n%u <= %u; n%u++) {\n", k, k, loop->number, k);
        }
        if (p->ops[at[i]].kind == OP_LOOP)
            fprintf(f, "    }\n");
        else
            print_op(f, &p->ops[at[i]]);
    }
    fprintf(f, "}\n\n");
}

void
print_program(const struct program *p, const char *note, const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

    if (!f)
        return;
    fprintf(f, "/* %s */\n", note);
    if (p->flags & PROGRAM_EVAL_UNKNOWN)
        fprintf(f, "/* With --eval-unknown. */\n");
    if (p->fail_after)
        fprintf(f, "/* Found with failures injected: after %u host calls and allocations, then every %u. */\n",
                p->fail_after, p->fail_every);
    fputs(prelude, f);
    for (unsigned lane = 0; lane < PROGRAM_LANES; lane++)
        print_lane(f, p, lane);
    fputs(ending, f);
    if (f != stdout)
        fclose(f);
}
