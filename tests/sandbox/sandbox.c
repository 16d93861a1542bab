/* The process around compiled code (sandbox.h). What it writes while that runs is in one place, `live`, in pages of its
 * own. */
#include "sandbox.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "ir/helper_functions.h"
#include "ir/ir.h"
#include "platform/kernel_imports.h"
#include "x86/helpers.h"
#include "x86/x86.h"

#define INSTANCE_SIZE (8ull << 30)
enum {
    PAGE = 4096,
    CANARY_SIZE = 64 << 10,
    STACK_SIZE = 1 << 20,
    STACK_GUARD = 64 << 10,
    MOST_RANGES = 256,
    MOST_POLLS = 50,
    HANG_MICROSECONDS = 10000,
    MAPS_SIZE = 256 << 10,
};

/* Parts of the instance that are mapped: at its ends, around the places where signed and unsigned differ, elsewhere. */
static const struct window {
    uint64_t at, size;
} windows[] = {
    {0, 256 << 10},         {SANDBOX_IMAGE_BASE, 256 << 10}, {0x7ffe0000, 256 << 10},
    {0xc0000000, 64 << 10}, {0xfffe0000, 128 << 10},
};
enum { WINDOW_COUNT = sizeof windows / sizeof *windows };

struct live {
    sigjmp_buf escape;
    volatile bool inside;
    unsigned polls;
    uint64_t random;
    volatile enum sandbox_end end;
    char reason[256];
    uint8_t signal_stack[64 << 10];
};

struct range {
    uintptr_t start, end;
    int before, during;
};

static struct live *live;
static uint8_t *instance, *canaries[2], *stack;
static uint8_t pattern[CANARY_SIZE];
static char maps[MAPS_SIZE];
static struct range ranges[MOST_RANGES];
static unsigned range_count;
static bool ready;

X86_TLS uint8_t *x86_memory_tls;
__thread uint64_t platform_frame_tls __attribute__((visibility("hidden"))); /* platform/enter.S */
void platform_enter(const void *code);
void (*sandbox_enter)(const void *code) = platform_enter;
bool sandbox_goes_below;
_Noreturn void platform_leave(void);

/* --- what compiled code calls --- */
static _Noreturn void
leave(enum sandbox_end end)
{
    live->end = end;
    siglongjmp(live->escape, 1);
}

void
kernel_enter_c(uint64_t link)
{
    platform_leave();
}

void
kernel_trap_c(uint64_t pc)
{
    leave(SANDBOX_TRAPPED);
}

void
kernel_syscall_c(uint64_t next)
{
    platform_leave();
}

void
kernel_poll_c(uint64_t pc)
{
    if (++live->polls > MOST_POLLS)
        leave(SANDBOX_HUNG);
}

void
kernel_wasm_trap(int kind)
{
    leave(SANDBOX_TRAPPED);
}

_Noreturn void
x86_raise(unsigned vector, uint64_t pc)
{
    leave(SANDBOX_TRAPPED);
}

/* Exceptions stay masked, whatever the guest wants: they would end runs, and show nothing. */
void
x86_mxcsr_loaded(uint64_t pc)
{
    _mm_setcsr((x86_this_cpu()->mxcsr & 0xffff) | 0x1f80);
}

void
x86_collect_mxcsr(void)
{
    x86_this_cpu()->mxcsr |= _mm_getcsr() & 0x3f;
}

uint64_t
x86_random(void)
{
    return random_next(&live->random);
}

static const struct {
    const char *name;
    void (*function)(void);
} functions[] = {
    {"kernel_enter", kernel_enter},       {"kernel_unwind", kernel_unwind},
    {"kernel_trap", kernel_trap},         {"kernel_syscall", kernel_syscall},
    {"kernel_poll", kernel_poll},         {"kernel_wasm_trap", (void (*)(void))kernel_wasm_trap},
    {"memcpy", (void (*)(void))memcpy},   {"memset", (void (*)(void))memset},
    {"memmove", (void (*)(void))memmove},
#define HELPER(name, r, a, b, c, flags) {"helper_" #name, (void (*)(void))helper_##name},
#include "ir/helpers.def"
#undef HELPER
};

static uint64_t
thread_base(void)
{
    uint64_t base;

    __asm__("movq %%fs:0, %0" : "=r"(base));
    return base;
}

bool
sandbox_resolve(void *context, const char *name, uint32_t table_entries, uint64_t *value)
{
    if (!strncmp(name, "env.code_base.", 14))
        *value = SANDBOX_IMAGE_BASE;
    else if (!strncmp(name, "env.table_base.", 15))
        *value = 0;
    else if (!strcmp(name, "ingot_table_size"))
        *value = table_entries;
    else
        for (size_t i = 0; i < sizeof functions / sizeof *functions + X86_S_COUNT; i++) {
            if (i < X86_S_COUNT && !strncmp(name, "cpu.", 4) && !strcmp(name + 4, ir_state_infos[i].name)) {
                *value = (uint64_t)(uintptr_t)&x86_cpu_tls - thread_base() + ir_state_infos[i].offset;
                return true;
            }
            if (i >= X86_S_COUNT && !strcmp(name, functions[i - X86_S_COUNT].name)) {
                *value = (uint64_t)(uintptr_t)functions[i - X86_S_COUNT].function;
                return true;
            }
        }
    return !strncmp(name, "env.", 4) || !strcmp(name, "ingot_table_size");
}

/* --- faults --- */
static bool
within(uintptr_t at, const void *start, uint64_t size)
{
    return at >= (uintptr_t)start && at - (uintptr_t)start < size;
}

/* Does the instruction address memory by GS? That of a general protection fault, which has no address: an operand that
 * is not aligned. */
static bool
addresses_instance(const uint8_t *at)
{
    for (unsigned i = 0; i < 4; i++)
        if (at[i] == 0x65)
            return true;
    return false;
}

static void
on_signal(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr, pc = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    bool compiled = within(pc, (void *)(uintptr_t)LOADER_AT, LOADER_SIZE);
    static const char *const letters = "0123456789abcdef";

    if (number == SIGVTALRM && !live->inside) /* late */
        return;
    if (!live->inside) {
        signal(number, SIG_DFL);
        return;
    }
    if (number == SIGVTALRM)
        leave(SANDBOX_HUNG);
    if (number == SIGFPE || number == SIGILL)
        leave(SANDBOX_TRAPPED);
    if (info->si_code != SI_KERNEL && (within(at, instance, INSTANCE_SIZE) ||
                                       (sandbox_goes_below && within(at, instance - SANDBOX_GUARD, SANDBOX_GUARD))))
        leave(SANDBOX_FAULTED);
    if (info->si_code != SI_KERNEL && within(at, stack, STACK_GUARD))
        leave(SANDBOX_STACK);
    if (info->si_code == SI_KERNEL && compiled && addresses_instance((const uint8_t *)pc))
        leave(SANDBOX_FAULTED);
    /* printf() may need what is locked away now. */
    strcpy(live->reason, "fault at 0x................ by instruction 0x................: ................");
    for (unsigned i = 0; i < 16; i++) {
        live->reason[11 + i] = letters[at >> (60 - 4 * i) & 15];
        live->reason[45 + i] = letters[pc >> (60 - 4 * i) & 15];
        if (pc != at)
            live->reason[63 + i] = letters[((const uint8_t *)pc)[i / 2] >> (i % 2 ? 0 : 4) & 15];
    }
    leave(SANDBOX_ESCAPED);
}

/* --- the process's memory --- */
static void
fill_windows(void)
{
    for (unsigned w = 0; w < WINDOW_COUNT; w++)
        for (uint64_t i = 0; i < windows[w].size; i += 8)
            *(uint64_t *)(void *)(instance + windows[w].at + i) = random_next(&live->random);
}

int
sandbox_init(struct err *e)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    uint64_t all = INSTANCE_SIZE + 2 * CANARY_SIZE + SANDBOX_GUARD + 2 * (1ull << 20);
    uint8_t *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t random = 0x9e3779b97f4a7c15;

    live = mmap(NULL, sizeof *live, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack = mmap(NULL, STACK_SIZE + STACK_GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || (void *)live == MAP_FAILED || stack == MAP_FAILED ||
        mprotect(stack + STACK_GUARD, STACK_SIZE, PROT_READ | PROT_WRITE) < 0)
        return err_set(e, "no memory for the instance");
    live->random = random;
    canaries[0] = p + (1 << 20);
    instance = canaries[0] + CANARY_SIZE + SANDBOX_GUARD;
    canaries[1] = instance + INSTANCE_SIZE;
    for (unsigned i = 0; i < CANARY_SIZE; i += 8)
        *(uint64_t *)(void *)(pattern + i) = random_next(&random);
    for (unsigned k = 0; k < 2; k++) {
        if (mprotect(canaries[k], CANARY_SIZE, PROT_READ | PROT_WRITE) < 0)
            return err_set(e, "no memory for canaries");
        memcpy(canaries[k], pattern, CANARY_SIZE);
    }
    for (unsigned w = 0; w < WINDOW_COUNT; w++)
        if (mprotect(instance + windows[w].at, windows[w].size, PROT_READ | PROT_WRITE) < 0)
            return err_set(e, "no memory in the instance");
    for (unsigned i = 0; i < 5; i++)
        sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGVTALRM}[i], &action, NULL);
    return loader_init(e);
}

uint8_t *
sandbox_memory(void)
{
    return instance;
}

/* What is writable now, and is none of the run's own: from a library not to be written, else not to be touched. This
 * program's data is read by helpers and by what catches faults. */
static bool
add_range(const char *line, const char *program)
{
    unsigned long start, end;
    char mode[5] = "";
    int path = 0;
    struct range r;

    if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &start, &end, mode, &path) < 3 || mode[1] != 'w')
        return true;
    r = (struct range){start, end, PROT_READ | PROT_WRITE, line[path] == '/' ? PROT_READ : PROT_NONE};
    /* .bss of a file follows it without a name. */
    if (line[path] != '/' && line[path] != '[' && range_count && ranges[range_count - 1].end == start)
        r.during = ranges[range_count - 1].during;
    if (within((uintptr_t)program, (void *)start, end - start) || within(start, (void *)0x50000000, 0x10000000))
        r.during = line[path] == '[' ? PROT_NONE : PROT_READ;
    if (within(start, (void *)(uintptr_t)LOADER_AT, LOADER_SIZE)) {
        r.before |= PROT_EXEC;
        r.during = PROT_READ | PROT_EXEC;
    }
    if (within(start, canaries[0], INSTANCE_SIZE + 2 * CANARY_SIZE + SANDBOX_GUARD) ||
        within(start, stack, STACK_SIZE + STACK_GUARD) || within((uintptr_t)live, (void *)start, end - start))
        return true;
    if (range_count == MOST_RANGES)
        return false;
    ranges[range_count++] = r;
    return true;
}

static bool
find_ranges(void)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n;
    bool fits = true;

    range_count = 0;
    while (fd >= 0 && size < MAPS_SIZE - 1 && (n = read(fd, maps + size, MAPS_SIZE - 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    maps[size] = '\0';
    for (char *line = maps, *next; fits && (next = strchr(line, '\n')); line = next + 1) {
        *next = '\0';
        fits = add_range(line, maps);
    }
    return fits && size < MAPS_SIZE - 1 && range_count;
}

static bool
lock(void)
{
    unsigned i = 0;

    while (i < range_count && mprotect((void *)ranges[i].start, ranges[i].end - ranges[i].start, ranges[i].during) == 0)
        i++;
    return i == range_count;
}

static void
unlock(void)
{
    for (unsigned i = 0; i < range_count; i++)
        mprotect((void *)ranges[i].start, ranges[i].end - ranges[i].start, ranges[i].before);
}

/* --- a run --- */
uint64_t sandbox_favourite;

static uint64_t
random_value(void)
{
    const struct window *w = &windows[random_below(&live->random, WINDOW_COUNT)];

    if (sandbox_favourite && random_below(&live->random, 4) == 0)
        return sandbox_favourite;
    switch (random_below(&live->random, 8)) {
    case 0: return random_next(&live->random);
    case 1: return random_below(&live->random, 64);
    case 2: return 0 - (uint64_t)random_below(&live->random, 5000);
    case 3: return w->at + w->size - random_below(&live->random, 40);
    case 4:
        /* a host address, if it could be used */
        return (uint64_t)(uintptr_t)instance + random_below(&live->random, 4096);
    default: return w->at + random_below(&live->random, w->size);
    }
}

static void
random_cpu(void)
{
    struct x86_cpu *cpu = x86_this_cpu();

    x86_cpu_reset(cpu);
    for (unsigned i = 0; i < 16; i++) {
        cpu->gpr[i] = random_value();
        cpu->xmm[i].u64[0] = random_value();
        cpu->xmm[i].u64[1] = random_value();
    }
    for (unsigned i = 0; i < X86_FLAG_COUNT; i++)
        cpu->flag[i] = random_below(&live->random, 2);
    for (unsigned i = 0; i < 8; i++) {
        cpu->x87.r[i].mantissa = random_value();
        cpu->x87.r[i].sign_exponent = (uint16_t)random_next(&live->random);
    }
    cpu->x87.top = (uint16_t)random_below(&live->random, 8);
    cpu->x87.tag_valid = (uint16_t)random_below(&live->random, 256);
    cpu->gpr[X86_RSP] = SANDBOX_IMAGE_BASE + 4096 + 8 * random_below(&live->random, 1000);
    cpu->fs_base = random_value();
    cpu->gs_base = random_value();
    cpu->tmp[0] = random_value();
    cpu->limit = UINT64_MAX; /* each check calls */
}

static void
run_entry(const void *code)
{
    struct itimerval timer = {.it_value = {.tv_usec = HANG_MICROSECONDS}}, none = {0};

    live->polls = 0;
    live->end = SANDBOX_RETURNED;
    random_cpu();
    x86_memory_tls = instance;
    if (sigsetjmp(live->escape, 0) == 0) {
        setitimer(ITIMER_VIRTUAL, &timer, NULL);
        live->inside = true;
        sandbox_enter(code);
    }
    live->inside = false;
    setitimer(ITIMER_VIRTUAL, &none, NULL);
    _mm_setcsr(0x1f80);
    __asm__ volatile("fninit; cld");
}

/* The thread's control block, which lies behind the registers: its pointer to itself, the stack protector's and
 * pointers' guards. */
enum { CONTROL_BLOCK = 128 };

static bool
entries_run(const struct loaded *code, unsigned states, unsigned ends[SANDBOX_ENDS])
{
    uint8_t above[256], control[CONTROL_BLOCK], *block = (uint8_t *)thread_base(), *volatile kept = above;

    memcpy(above, pattern, sizeof above);
    memcpy(control, block, sizeof control);
    for (uint32_t i = 0; i < code->table_entries && i < 8; i++) {
        for (unsigned k = 0; k < states; k++) {
            run_entry(code->table[i]);
            if (live->end == SANDBOX_ESCAPED)
                return false;
            ends[live->end]++;
            for (unsigned n = 0; n < 2; n++) {
                if (memcmp(canaries[n], pattern, CANARY_SIZE) != 0) {
                    strcpy(live->reason,
                           n ? "memory behind the instance was written" : "memory before the instance was written");
                    return false;
                }
            }
            if (memcmp(kept, pattern, sizeof above) != 0 || memcmp(control, block, sizeof control) != 0) {
                strcpy(live->reason, "the host stack or the thread's control block was written");
                return false;
            }
        }
    }
    return true;
}

bool
sandbox_run(const struct loaded *code, uint64_t seed, unsigned states, unsigned ends[SANDBOX_ENDS], char reason[256])
{
    unsigned counts[SANDBOX_ENDS] = {0};
    bool held = false;

    live->random = seed | 1;
    if (!ready) {
        fill_windows();
        syscall(SYS_arch_prctl, ARCH_SET_GS, instance);
        ready = true;
    }
    strcpy(live->reason, "memory could not be locked");
    if (find_ranges() && lock())
        held = entries_run(code, states, counts);
    unlock();
    for (unsigned i = 0; i < SANDBOX_ENDS; i++)
        ends[i] += counts[i];
    if (!held)
        snprintf(reason, 256, "%s", live->reason);
    return held;
}

/* --- the stack --- */
struct call {
    void (*function)(void *argument);
    void *argument;
};

/* Until the thread that made this one sleeps, waiting for it to end: its stack is about to be locked away. */
static void
wait_for_first_thread(void)
{
    char path[64], text[512], state = 0;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
    while (state != 'S') {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof text - 1);
        const char *name_end;

        close(fd);
        text[n > 0 ? n : 0] = '\0';
        name_end = strrchr(text, ')');
        state = name_end ? name_end[2] : 'S';
        sched_yield();
    }
}

static void *
on_thread(void *argument)
{
    const struct call *c = argument;
    sigset_t clock;
    stack_t ss = {.ss_sp = live->signal_stack, .ss_size = sizeof live->signal_stack};

    sigemptyset(&clock);
    sigaddset(&clock, SIGVTALRM);
    sigaltstack(&ss, NULL);
    pthread_sigmask(SIG_UNBLOCK, &clock, NULL);
    wait_for_first_thread();
    c->function(c->argument);
    return NULL;
}

void
sandbox_thread(void (*function)(void *argument), void *argument)
{
    struct call c = {function, argument};
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t clock;

    sigemptyset(&clock);
    sigaddset(&clock, SIGVTALRM); /* is the new thread's: this one's stack is locked away */
    pthread_sigmask(SIG_BLOCK, &clock, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack + STACK_GUARD, STACK_SIZE);
    if (pthread_create(&thread, &attributes, on_thread, &c) != 0) {
        perror("sandbox: thread");
        exit(2);
    }
    pthread_join(thread, NULL);
}
