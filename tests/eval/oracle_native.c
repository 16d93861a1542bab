/* The processor and the evaluator, and how compiled code is entered and left. */
#include "oracle_native.h"

#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "eval/eval.h"
#include "ir/ir.h"
#include "platform/kernel_imports.h"
#include "platform/platform.h"
#include "x86/address_space.h"
#include "x86/helpers.h"

/* Offsets are written out in the assembly below. */
struct native {
    uint64_t gpr_in[16]; /* 0x000 */
    uint64_t flags_in;   /* 0x080 */
    uint64_t target;     /* 0x088 */
    uint64_t host_rsp;   /* 0x090 */
    uint64_t rip_out;    /* 0x098 */
    uint64_t flags_out;  /* 0x0a0 */
    uint32_t host_mxcsr; /* 0x0a8 */
    uint32_t host_control;
    uint64_t exit; /* 0x0b0 */
    uint64_t wide; /* 0x0b8: with bits 128 to 255 of the vector registers */
    uint64_t pad[8];
    uint64_t gpr_out[16]; /* 0x100 */
    uint64_t pad2[16];
    uint8_t fx_in[512];    /* 0x200 */
    uint8_t fx_out[512];   /* 0x400 */
    uint8_t high_in[256];  /* 0x600 */
    uint8_t high_out[256]; /* 0x700 */
};
_Static_assert(offsetof(struct native, gpr_out) == 0x100, "assembly");
_Static_assert(offsetof(struct native, fx_in) == 0x200, "assembly");
_Static_assert(offsetof(struct native, high_out) == 0x700 && offsetof(struct native, wide) == 0xb8, "assembly");

#define FOR_ALL_VECTORS(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define LOAD_HIGH(n)       "  vinsertf128 $1, 0x0a000600 + 16 * " #n ", %ymm" #n ", %ymm" #n "\n"
#define STORE_HIGH(n)      "  vextractf128 $1, %ymm" #n ", 0x0a000700 + 16 * " #n "\n"

void native_enter(void);
void native_exit(void);
__asm__(".text\n"
        "native_enter:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  stmxcsr 0x0a0000a8\n  fnstcw 0x0a0000ac\n"
        "  mov %rsp, 0x0a000090\n"
        "  fxrstor64 0x0a000200\n"
        "  cmpq $0, 0x0a0000b8; je 1f\n" FOR_ALL_VECTORS(
            LOAD_HIGH) "1:\n"
                       "  pushq 0x0a000080; popfq\n"
                       "  mov 0x0a000000, %rax; mov 0x0a000008, %rcx; mov 0x0a000010, %rdx; mov 0x0a000018, %rbx\n"
                       "  mov 0x0a000020, %rsp; mov 0x0a000028, %rbp; mov 0x0a000030, %rsi; mov 0x0a000038, %rdi\n"
                       "  mov 0x0a000040, %r8; mov 0x0a000048, %r9; mov 0x0a000050, %r10; mov 0x0a000058, %r11\n"
                       "  mov 0x0a000060, %r12; mov 0x0a000068, %r13; mov 0x0a000070, %r14; mov 0x0a000078, %r15\n"
                       "  jmp *0x0a000088\n"
                       "native_exit:\n"
                       "  mov %rax, 0x0a000100; mov %rcx, 0x0a000108; mov %rdx, 0x0a000110; mov %rbx, 0x0a000118\n"
                       "  mov %rsp, 0x0a000120; mov %rbp, 0x0a000128; mov %rsi, 0x0a000130; mov %rdi, 0x0a000138\n"
                       "  mov %r8, 0x0a000140; mov %r9, 0x0a000148; mov %r10, 0x0a000150; mov %r11, 0x0a000158\n"
                       "  mov %r12, 0x0a000160; mov %r13, 0x0a000168; mov %r14, 0x0a000170; mov %r15, 0x0a000178\n"
                       "  mov 0x0a000090, %rsp\n"
                       "  pushfq; popq 0x0a0000a0\n"
                       "  cmpq $0, 0x0a0000b8; je 1f\n" FOR_ALL_VECTORS(
                           STORE_HIGH) "1:\n"
                                       "  fxsave64 0x0a000400\n"
                                       "  cmpq $0, 0x0a0000b8; je 1f; vzeroupper; 1:\n"
                                       "  cld\n  fninit\n  fldcw 0x0a0000ac\n  ldmxcsr 0x0a0000a8\n"
                                       "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
                                       "  ret\n");

static struct native *const native = (struct native *)(uintptr_t)NATIVE_PAGE;
static struct eval *evaluator;
static struct eval_host eval_host, eval_host_one; /* one: it stops behind each instruction */
static const struct program *running_program;

uint8_t *native_guest_memory;
struct native_caught native_caught;

static int
vector_of(int number, int code)
{
    switch (number) {
    case SIGFPE: return code == FPE_INTDIV ? 0 : 16;
    case SIGILL: return 6;
    case SIGTRAP: return code == SI_KERNEL ? 3 : 1;
    default: return code == SI_KERNEL ? 13 : TRAP_PAGE;
    }
}

/* From a signal handler. */
static void
print_running(const char *what)
{
    char text[64];
    int n = snprintf(text, sizeof text, "oracle: %s:", what);

    if (write(2, text, (size_t)n) < 0)
        _exit(3);
    for (size_t i = 0; running_program && i < running_program->size; i++) {
        n = snprintf(text, sizeof text, " %02x", running_program->code[i]);
        if (write(2, text, (size_t)n) < 0)
            break;
    }
    if (write(2, "\n", 1) < 0)
        _exit(3);
}

/* From a signal frame: SDM vol. 1, 13.4. Linux says in bytes that FXSAVE leaves free that more than its area is
 * there. */
static void
take_high(uint8_t high[256], const uint8_t *frame)
{
    enum { MAGIC_AT = 464, COMPONENTS_AT = 512, AVX_AT = 576, AVX = 1 << 2 };
    uint32_t magic;

    memset(high, 0, 256);
    memcpy(&magic, frame + MAGIC_AT, sizeof magic);
    if (x86_level() >= X86_LEVEL_V3 && magic == FP_XSTATE_MAGIC1 && frame[COMPONENTS_AT] & AVX)
        memcpy(high, frame + AVX_AT, 256);
}

static void
on_signal(int number, siginfo_t *info, void *context)
{
    if (number == SIGALRM || number == SIGPROF) {
        print_running("a case does not end");
        _exit(3);
    }
    uint8_t *address = info->si_addr;
    const ucontext_t *uc = context;
    struct native_caught *c = &native_caught;

    if (!c->running || (c->running != RUNS_NATIVELY && number == SIGSEGV && info->si_code != SI_KERNEL &&
                        (address < native_guest_memory || address > native_guest_memory + 0x100020000ull))) {
        print_running("a fault outside of guest memory");
        signal(number, SIG_DFL);
        return;
    }
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (unsigned i = 0; i < 16; i++)
        c->state.gpr[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
    c->state.rflags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
    memcpy(c->state.fx, uc->uc_mcontext.fpregs, sizeof c->state.fx);
    take_high(c->state.high, (const uint8_t *)uc->uc_mcontext.fpregs);
    c->vector = vector_of(number, info->si_code);
    c->rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    siglongjmp(c->escape, 1);
}

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    native_caught.vector = (int)vector;
    native_caught.pc = pc;
    native_caught.rip = 0;
    siglongjmp(native_caught.escape, 1);
}

void
x86_mxcsr_loaded(uint64_t pc)
{
    _mm_setcsr(x86_this_cpu()->mxcsr);
}

void
x86_collect_mxcsr(void)
{
    x86_this_cpu()->mxcsr |= _mm_getcsr() & 0x3f;
}

uint64_t
x86_random(void)
{
    return 0x123456789abcdef0;
}

const uint8_t *
native_fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base)
{
    const struct program *p = running_program;

    if (address < p->address || address >= p->address + p->size)
        return NULL;
    *left = p->address + p->size - address;
    *image_base = CODE_PAGE;
    return p->code + (address - p->address);
}

static bool
has_compiled(void *context, uint64_t address)
{
    return address == stub_next(running_program) || address == stub_target(running_program);
}

static bool
always(void *context, uint64_t address)
{
    return true;
}

static void *
map_at(uint64_t address, size_t size, int protection)
{
    void *p =
        mmap((void *)(uintptr_t)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (p != (void *)(uintptr_t)address) {
        perror("oracle: mmap");
        exit(2);
    }
    return p;
}

void
native_init(void)
{
    static uint8_t stack[65536];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    map_at(CODE_PAGE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(NATIVE_PAGE, 4096, PROT_READ | PROT_WRITE);
    map_at(WINDOW, WINDOW_SIZE, PROT_READ | PROT_WRITE);
    native_guest_memory = mmap(NULL, 0x100020000ull, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (native_guest_memory == MAP_FAILED ||
        mprotect(native_guest_memory + WINDOW, WINDOW_SIZE, PROT_READ | PROT_WRITE) < 0 ||
        mprotect(native_guest_memory + GUEST_CODE_MAP, GUEST_CODE_MAP_END - GUEST_CODE_MAP, PROT_READ) < 0) {
        perror("oracle: guest memory");
        exit(2);
    }
    native->exit = (uint64_t)(uintptr_t)native_exit;
    sigaltstack(&ss, NULL);
    for (size_t i = 0; i < 7; i++)
        sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGALRM, SIGPROF}[i], &action, NULL);
    evaluator = eval_new();
    eval_host = (struct eval_host){.memory = native_guest_memory, .fetch = native_fetch, .has_compiled = has_compiled};
    eval_host_one = (struct eval_host){.memory = native_guest_memory,
                                       .fetch = native_fetch,
                                       .has_compiled = always,
                                       .ends_before = always};
    x86_memory_tls = native_guest_memory;
}

uint8_t *
native_window(void)
{
    return (uint8_t *)(uintptr_t)WINDOW;
}

uint8_t *
evaluator_window(void)
{
    return native_guest_memory + WINDOW;
}

uint64_t
stub_next(const struct program *p)
{
    return p->address + p->size;
}

uint64_t
stub_target(const struct program *p)
{
    return stub_next(p) + TARGET_DISTANCE;
}

static void
put_stub(uint64_t address)
{
    uint8_t *p = (uint8_t *)(uintptr_t)address;
    uint32_t rip_out = NATIVE_PAGE + offsetof(struct native, rip_out);
    uint32_t exit_at = NATIVE_PAGE + offsetof(struct native, exit);
    uint32_t self = (uint32_t)address;

    memcpy(p, "\x48\xc7\x04\x25", 4); /* mov qword ptr [rip_out], self */
    memcpy(p + 4, &rip_out, 4);
    memcpy(p + 8, &self, 4);
    memcpy(p + 12, "\xff\x24\x25", 3); /* jmp [exit] */
    memcpy(p + 15, &exit_at, 4);
}

void
native_set_gs(const void *base)
{
    static const void *now;

    if (base == now)
        return;
    now = base;
    syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

void
native_stop(void)
{
    native_caught.running = RUNS_NOTHING;
    _mm_setcsr(0x1f80);
    __asm__ volatile("fninit; cld");
}

static void
processor_run(const struct program *p, size_t index, const struct state *in, struct outcome *out)
{
    memset(out, 0, sizeof *out);
    running_program = p;
    memcpy((void *)(uintptr_t)p->address, p->code, p->size);
    put_stub(stub_next(p));
    put_stub(stub_target(p));
    memcpy(native->gpr_in, in->gpr, sizeof in->gpr);
    native->flags_in = (in->rflags & FLAGS_MASK) | 0x202;
    native->target = p->address;
    memcpy(native->fx_in, in->fx, 512);
    memcpy(native->high_in, in->high, 256);
    native->wide = x86_level() >= X86_LEVEL_V3;
    native_set_gs((void *)(uintptr_t)GS_BASE);
    out->trap = NO_TRAP;
    if (sigsetjmp(native_caught.escape, 0)) {
        native_stop();
        out->trap = native_caught.vector;
        out->trap_rip = native_caught.rip;
        out->state = native_caught.state;
        return;
    }
    native_caught.running = RUNS_NATIVELY;
    __asm__ volatile("call native_enter" ::
                         : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3",
                           "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                           "xmm15", "memory", "cc");
    native_caught.running = RUNS_NOTHING;
    memcpy(out->state.gpr, native->gpr_out, sizeof native->gpr_out);
    out->state.rflags = native->flags_out;
    out->state.rip = native->rip_out;
    memcpy(out->state.fx, native->fx_out, 512);
    if (native->wide)
        memcpy(out->state.high, native->high_out, 256);
}

/* They accumulate there while it runs. */
void
native_take_mxcsr(void)
{
    x86_collect_mxcsr();
    _mm_setcsr(0x1f80);
}

struct x86_cpu *
native_load_cpu(const struct program *p, const struct state *in)
{
    struct x86_cpu *cpu = x86_this_cpu();

    running_program = p;
    cpu_from_state(cpu, in);
    cpu->gs_base = GS_BASE;
    cpu->limit = 0;
    return cpu;
}

uint64_t
native_fault_address(void)
{
    return native_caught.rip ? eval_fault_address() : native_caught.pc;
}

static void
evaluator_run(const struct program *p, size_t index, const struct state *in, struct outcome *out)
{
    struct x86_cpu *cpu = native_load_cpu(p, in);
    unsigned trap = 0;

    memset(out, 0, sizeof *out);
    cpu->rip = p->address;
    eval_invalidate(evaluator, p->address & ~(uint64_t)4095, (p->address | 4095) + 1);
    out->trap = NO_TRAP;
    if (sigsetjmp(native_caught.escape, 0)) {
        native_take_mxcsr();
        native_stop();
        out->trap = native_caught.vector;
        out->trap_rip = native_fault_address();
        eval_left();
        state_from_cpu(&out->state, cpu);
        return;
    }
    native_caught.running = RUNS_EVALUATOR;
    _mm_setcsr(cpu->mxcsr);
    enum eval_stop stop = eval_run(evaluator, &eval_host, &trap);
    native_take_mxcsr();
    native_caught.running = RUNS_NOTHING;
    state_from_cpu(&out->state, cpu);
    if (stop == EVAL_TRAP) {
        out->trap = (int)trap;
        out->trap_rip = cpu->rip;
    } else if (stop != EVAL_COMPILED) {
        out->trap = 1000 + (int)stop;
    }
}

int
native_evaluate_one(void)
{
    struct x86_cpu *cpu = x86_this_cpu();
    unsigned trap = 0;
    enum eval_stop stop;

    eval_invalidate(evaluator, cpu->rip & ~(uint64_t)4095, (cpu->rip | 4095) + 1);
    native_caught.running = RUNS_EVALUATOR;
    _mm_setcsr(cpu->mxcsr);
    stop = eval_run(evaluator, &eval_host_one, &trap);
    native_take_mxcsr();
    native_caught.running = RUNS_NOTHING;
    return stop == EVAL_TRAP ? (int)trap : stop == EVAL_COMPILED ? NO_TRAP : 1000 + (int)stop;
}

/* --- compiled code: what its imports do here --- */
static volatile int compiled_trap;

void
kernel_enter_c(uint64_t link)
{
    x86_cpu_tls.rip = x86_cpu_tls.tmp[0];
    platform_leave();
}

void
kernel_trap_c(uint64_t pc)
{
    compiled_trap = (int)x86_cpu_tls.tmp[0];
    platform_leave();
}

void
kernel_syscall_c(uint64_t next)
{
    compiled_trap = 1000;
    platform_leave();
}

void
kernel_poll_c(uint64_t pc)
{
}

void
kernel_wasm_trap(int kind)
{
    native_caught.vector = kind == 1 || kind == 2 ? 0 : 1001; /* aot_trap: division */
    siglongjmp(native_caught.escape, 1);
}

void
compiled_run(const struct program *p, const void *code, const struct state *in, struct outcome *out)
{
    struct x86_cpu *cpu = native_load_cpu(p, in);

    memset(out, 0, sizeof *out);
    compiled_trap = NO_TRAP;
    native_set_gs(native_guest_memory);
    if (sigsetjmp(native_caught.escape, 0)) {
        native_take_mxcsr();
        native_stop();
        out->trap = native_caught.vector;
        state_from_cpu(&out->state, cpu);
        return;
    }
    native_caught.running = RUNS_COMPILED;
    _mm_setcsr(cpu->mxcsr);
    platform_enter(code);
    native_take_mxcsr();
    native_caught.running = RUNS_NOTHING;
    out->trap = compiled_trap;
    out->trap_rip = cpu->rip;
    state_from_cpu(&out->state, cpu);
}

const struct execution execution_processor = {
    .name = "processor",
    .run = processor_run,
    .window = native_window,
};
const struct execution execution_evaluator = {
    .name = "evaluator",
    .run = evaluator_run,
    .window = evaluator_window,
};
