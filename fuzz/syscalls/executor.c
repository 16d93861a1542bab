/* The guest of the system-call fuzzer: process 1 gets a program from the server (or, without one, from standard input),
 * has a child run it, ends everything that is left after a time, and exits with 0. No C library: what it calls is in
 * the program. */
#include "fuzz/syscalls/program.h"

#include <asm/signal.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/stat.h>
#include <stddef.h>

#define NR(name) __NR_##name
#include <asm/unistd.h>

enum { RUN_MS = 1200, MAX_WAKES = 200, MAX_CHILDREN = 12 };

static struct program *const program = (struct program *)(uintptr_t)PROGRAM_START;
static int64_t slots[PROGRAM_SLOTS];
static uint8_t children[PROGRAM_LANES]; /* made by each lane; a lane makes no more than MAX_CHILDREN */
static uint8_t in_handler;

/* A call whose child, if it makes one, goes on with run_child(lane) on the stack given. */
int64_t call_with_child(int64_t number, const uint64_t args[6], uint64_t stack, uint64_t lane);
__asm__(".globl call_with_child\n"
        "call_with_child:\n"
        "  pushq %rbx\n  pushq %r12\n  pushq %r13\n"
        "  movq %rdx, %rbx\n  movq %rcx, %r12\n  movq %rdi, %rax\n  movq %rsi, %r13\n"
        "  movq 0(%r13), %rdi\n  movq 8(%r13), %rsi\n  movq 16(%r13), %rdx\n"
        "  movq 24(%r13), %r10\n  movq 32(%r13), %r8\n  movq 40(%r13), %r9\n"
        "  syscall\n"
        "  testq %rbx, %rbx\n  jz 1f\n  testq %rax, %rax\n  jnz 1f\n"
        "  movq %rbx, %rsp\n  movq %r12, %rdi\n  xorl %ebp, %ebp\n  call run_child\n  ud2\n"
        "1: popq %r13\n  popq %r12\n  popq %rbx\n  ret\n"
        ".globl return_from_signal\n"
        "return_from_signal:\n  movl $15, %eax\n  syscall\n  ud2\n"
        ".globl sigreturn_at\n"
        "sigreturn_at:\n  movq %rdi, %rsp\n  movl $15, %eax\n  syscall\n  ud2\n"
        ".globl _start\n"
        "_start:\n  xorl %ebp, %ebp\n  movq %rsp, %rdi\n  andq $-16, %rsp\n  call start\n  ud2\n");
void return_from_signal(void);
_Noreturn void sigreturn_at(uint64_t address);

static int64_t
call(int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    const uint64_t args[6] = {a, b, c, d, e, f};

    return call_with_child(number, args, 0, 0);
}
#define CALL(name, ...) CALL_6(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_6(n, a, b, c, d, e, f, ...) \
    call(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f))

/* The evaluator takes string instructions in one go. */
void *
memset(void *to, int value, size_t size)
{
    void *p = to;

    __asm__ volatile("rep stosb" : "+D"(p), "+c"(size) : "a"(value) : "memory");
    return to;
}

void *
memcpy(void *to, const void *from, size_t size)
{
    void *p = to;

    __asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(size)::"memory");
    return to;
}

/* --- the program --- */

static void run_lane(unsigned lane);

static void
on_signal(int signal)
{
    (void)signal;
    if (in_handler)
        return;
    in_handler = 1;
    run_lane(PROGRAM_LANES - 1);
    in_handler = 0;
}

static uint64_t
value_of(const struct program_arg *a)
{
    switch (a->kind) {
    case ARG_SLOT: return (uint64_t)slots[a->slot % PROGRAM_SLOTS] + a->value;
    case ARG_HANDLER: return (uint64_t)(uintptr_t)on_signal;
    case ARG_RESTORER: return (uint64_t)(uintptr_t)return_from_signal;
    default: return a->value;
    }
}

static int
makes_child(uint32_t number)
{
    return number == __NR_clone || number == __NR_fork || number == __NR_vfork || number == __NR_clone3;
}

static uint64_t
stack_of(unsigned lane)
{
    return STACKS_START + (uint64_t)(lane + 1) * STACK_SIZE - 64;
}

/* After what loads x87 state, an exception that it holds pending is raised, and a sum is made in it. */
static void
run_state(unsigned kind, uint64_t at, uint64_t mask)
{
    uint32_t low = (uint32_t)mask, high = (uint32_t)(mask >> 32);

    switch (kind) {
    case STATE_FXRSTOR:
        __asm__ volatile("fxrstor (%0)\n fwait\n fld1\n fadd %%st(1), %%st\n fstp %%st(0)" ::"r"(at) : "memory");
        break;
    case STATE_XRSTOR:
        __asm__ volatile("xrstor (%0)\n fwait\n fld1\n fadd %%st(1), %%st\n fstp %%st(0)" ::"r"(at), "a"(low), "d"(high)
                         : "memory");
        break;
    case STATE_FXSAVE: __asm__ volatile("fxsave (%0)" ::"r"(at) : "memory"); break;
    case STATE_XSAVE: __asm__ volatile("xsave (%0)" ::"r"(at), "a"(low), "d"(high) : "memory"); break;
    case STATE_FLDENV: __asm__ volatile("fldenv (%0)\n fwait\n fld1\n fstp %%st(0)" ::"r"(at) : "memory"); break;
    case STATE_FRSTOR: __asm__ volatile("frstor (%0)\n fwait\n fadd %%st(1), %%st" ::"r"(at) : "memory"); break;
    case STATE_FNSAVE: __asm__ volatile("fnsave (%0)" ::"r"(at) : "memory"); break;
    case STATE_FNSTENV: __asm__ volatile("fnstenv (%0)" ::"r"(at) : "memory"); break;
    case STATE_FLDCW:
        __asm__ volatile("fldcw (%0)\n fwait\n fld1\n fdiv %%st(1), %%st\n fstp %%st(0)" ::"r"(at) : "memory");
        break;
    case STATE_LDMXCSR: __asm__ volatile("ldmxcsr (%0)\n stmxcsr (%0)" ::"r"(at) : "memory"); break;
    case STATE_UD2: __asm__ volatile("ud2"); break;
    case STATE_INT3: __asm__ volatile("int3"); break;
    case STATE_INT80: __asm__ volatile("int $0x80" : "+a"(low)::"memory"); break;
    case STATE_HLT: __asm__ volatile("hlt"); break;
    case STATE_DIV: __asm__ volatile("divl %0" ::"r"(0), "a"(1), "d"(0)); break;
    default: break;
    }
}

static void
run_op(const struct program_op *op, unsigned lane)
{
    volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)op->number;
    uint64_t args[6], v;
    int64_t result;

    for (unsigned i = 0; i < 6; i++)
        args[i] = value_of(&op->args[i]);
    switch (op->kind) {
    case OP_CALL: {
        if (makes_child(op->number) && children[lane]++ >= MAX_CHILDREN) {
            children[lane]--;
            break;
        }
        unsigned target = op->target > lane && op->target < PROGRAM_LANES ? op->target : PROGRAM_LANES;

        result = call_with_child(op->number, args, makes_child(op->number) ? stack_of(target) : 0, target);
        if (result >= 0 && op->slot < PROGRAM_SLOTS)
            slots[op->slot] = result;
        break;
    }
    case OP_POKE: memcpy((void *)at, &args[0], op->size <= 8 ? op->size : 8); break;
    case OP_BYTES: memcpy((void *)at, op->args, op->size <= 96 ? op->size : 96); break;
    case OP_FILL: memset((void *)at, op->size, args[0] <= DATA_SIZE ? args[0] : DATA_SIZE); break;
    case OP_PICK:
        v = 0;
        memcpy(&v, (void *)at, op->size <= 8 ? op->size : 8);
        if (op->slot < PROGRAM_SLOTS)
            slots[op->slot] = (int64_t)v;
        break;
    case OP_TOUCH:
        at = (volatile uint8_t *)(uintptr_t)args[0];
        if (op->size)
            *at = 1;
        else
            (void)*at;
        break;
    case OP_SIGRETURN: sigreturn_at(op->number);
    case OP_STATE: run_state(op->size, op->number, args[0]); break;
    default: break;
    }
}

static void
run_lane(unsigned lane)
{
    unsigned steps = 0;
    uint32_t loop_at = UINT32_MAX, left = 0;

    for (uint32_t i = 0; i < program->count && i < PROGRAM_OPS; i++) {
        const struct program_op *op = &program->ops[i];

        if (op->lane != lane)
            continue;
        if (++steps > LANE_STEPS)
            return;
        if (op->kind != OP_LOOP) {
            run_op(op, lane);
            continue;
        }
        if (loop_at != i) {
            loop_at = i;
            left = op->number;
        }
        if (left) {
            unsigned back = op->size;

            left--;
            while (i > 0 && back) {
                i--;
                back -= program->ops[i].lane == lane;
            }
            if (back == 0 && i > 0)
                i--;
            else
                i = UINT32_MAX; /* from the first one */
        }
    }
}

__attribute__((used)) _Noreturn void
run_child(uint64_t lane)
{
    if (lane < PROGRAM_LANES)
        run_lane((unsigned)lane);
    for (;;)
        CALL(exit, 0);
}

/* --- what an exec of this file does --- */

static _Noreturn void
exec_mode(const char *word)
{
    static char text[512];

    if (word[0] == 'p')
        CALL(pause);
    if (word[0] == 'f')
        CALL(fork);
    if (word[0] != 'e') {
        int64_t fd = CALL(open, "/proc/self/maps", 0, 0);

        CALL(read, fd, text, sizeof text);
        CALL(close, fd);
    }
    for (;;)
        CALL(exit_group, 0);
}

/* --- process 1 --- */

static void
write_file(const char *path, const void *data, uint64_t size, unsigned mode)
{
    int64_t fd = CALL(open, path, O_CREAT | O_RDWR | O_TRUNC, mode);

    CALL(write, fd, data, size);
    CALL(close, fd);
}

static void
prepare(void)
{
    static const char script[] = "#!/bin/executor exit\n";
    static char page[3 * 4096];
    uint64_t fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, rw = PROT_READ | PROT_WRITE;

    CALL(mmap, PROGRAM_START, (sizeof *program + 4095) & ~4095ul, rw, fixed, -1, 0);
    CALL(mmap, DATA_START, DATA_SIZE, rw, fixed, -1, 0);
    CALL(mmap, STACKS_START, (PROGRAM_LANES + 1) * STACK_SIZE, rw, fixed, -1, 0);
    CALL(mmap, ARENA_START, 8 * 4096, rw, fixed, -1, 0);
    memset(page, 'a', sizeof page);
    write_file("/tmp/a", page, sizeof page, 0777);
    write_file("/tmp/b", page, 100, 0666);
    write_file("/tmp/script", script, sizeof script - 1, 0755);
    CALL(mkdir, "/tmp/d", 0777);
    CALL(mkdir, "/tmp/d/e", 0777);
    CALL(symlink, "d", "/tmp/link");
    CALL(mknod, "/tmp/fifo", S_IFIFO | 0666, 0);
    for (unsigned i = 0; i < PROGRAM_SLOTS; i++)
        slots[i] = -1;
}

static void
add(unsigned kind, unsigned lane, uint32_t number, unsigned size, uint64_t value)
{
    program->ops[program->count++] = (struct program_op){.kind = (uint8_t)kind,
                                                         .lane = (uint8_t)lane,
                                                         .target = (uint8_t)(lane + 1),
                                                         .slot = PROGRAM_SLOTS - 1,
                                                         .size = (uint8_t)size,
                                                         .number = number,
                                                         .args = {{.value = value}}};
}

static void run_program(void);

/* Everything once, so that the evaluator has translated it before the server copies this process. */
static void
warm_up(void)
{
    add(OP_FILL, 0, DATA_START, 1, 64);
    add(OP_POKE, 0, DATA_START, 8, 1);
    add(OP_BYTES, 0, DATA_START, 8, 1);
    add(OP_PICK, 0, DATA_START, 8, 1);
    add(OP_TOUCH, 0, 0, 1, DATA_START);
    add(OP_CALL, 0, __NR_getpid, 0, 0);
    add(OP_LOOP, 0, 2, 1, 0);
    add(OP_CALL, 0, __NR_fork, 0, 0);
    add(OP_CALL, 0, __NR_wait4, 0, (uint64_t)-1);
    add(OP_CALL, 1, __NR_getpid, 0, 0);
    run_program();
    memset(program, 0, sizeof *program);
    for (unsigned i = 0; i < PROGRAM_SLOTS; i++)
        slots[i] = -1;
}

static void
run_program(void)
{
    struct __kernel_timespec limit = {.tv_sec = 0, .tv_nsec = RUN_MS * 1000000ll / 8}, now;
    uint64_t chld = 1ull << (SIGCHLD - 1), start;
    int64_t pid, r;

    CALL(rt_sigprocmask, SIG_BLOCK, &chld, 0, 8);
    pid = CALL(fork);
    if (pid == 0) {
        CALL(setpgid, 0, 0);
        CALL(rt_sigprocmask, SIG_UNBLOCK, &chld, 0, 8);
        run_lane(0);
        for (;;)
            CALL(exit_group, 0);
    }
    CALL(clock_gettime, 1, &now);
    start = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    for (unsigned wakes = 0; wakes < MAX_WAKES; wakes++) {
        do
            r = CALL(wait4, -1, 0, 1 /* WNOHANG */ | 0x40000000 /* __WALL */, 0);
        while (r > 0);
        if (r < 0) /* nobody is left */
            return;
        CALL(clock_gettime, 1, &now);
        if ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 - start >= RUN_MS)
            break;
        CALL(rt_sigtimedwait, &chld, 0, &limit, 8);
    }
    CALL(kill, -1, SIGKILL);
    while (CALL(wait4, -1, 0, 0x40000000, 0) > 0)
        ;
}

__attribute__((used)) _Noreturn void
start(const uint64_t *stack)
{
    uint8_t *at = (uint8_t *)program;
    uint64_t size = 0;
    int64_t n;

    if (stack[0] > 1)
        exec_mode((const char *)(uintptr_t)stack[2]);
    prepare();
    warm_up();
    n = call(SERVER_CALL, (uint64_t)(uintptr_t)at, sizeof *program, 0, 0, 0, 0);
    if (n < 0) {
        while (size < sizeof *program && (n = CALL(read, 0, at + size, sizeof *program - size)) > 0)
            size += (uint64_t)n;
    }
    run_program();
    for (;;)
        CALL(exit_group, 0);
}
