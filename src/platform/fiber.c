/* Fibers: host stacks with a guard page, each with a thread block of its own, pooled; and start-up checks of
 * the thread's segment bases.
 *
 * A thread block is what FS points to: thread-local variables below, the C library's control block from there on. The
 * CPU state of a guest thread is the last thread-local variable, so a switch of fibers is a switch of FS, and a pointer
 * to that state stays good over a sleep, on whatever host thread the fiber goes on. Under a sanitizer FS stays, and the
 * variables' contents are exchanged instead (sanitizer.h). */
#include "platform/heap.h"
#include "platform/platform.h"

#include <asm/prctl.h>
#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/assembly_internal.h"
#include "platform/fiber_internal.h"
#include "platform/sanitizer.h"
#include "platform/thread_internal.h"
#include "x86/helpers.h"

enum {
    FIBER_SCALE = PLATFORM_SANITIZED ? 4 : 1, /* instrumented frames are larger */
    FIBER_STACK = FIBER_SCALE << 20,
    FIBER_GUARD = 64 << 10,
    FIBER_RESERVE = FIBER_SCALE * 192 << 10,   /* what the vkernel and the evaluator may need below compiled frames */
    FIBER_DISPATCHER = FIBER_SCALE * 32 << 10, /* of that for a dispatcher and the evaluator */
    FIBER_POOL = 64,
};

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE (1 << 1)
#endif

struct platform_fiber {
    uint64_t rsp;
    uint8_t *stack; /* lowest usable byte; NULL for the thread's own stack */
    struct platform_fiber *next;
    void (*entry)(void *);
    void *arg;
    /* Where FS points while it runs; sanitized: what the variables hold while it does not, up to there, and where FS
     * points while it runs, else NULL. */
    uint8_t *thread, *runs_in;
    struct sanitizer_stack sanitizer;
};

__thread uint8_t *x86_memory_tls;
FIBER_VARIABLE(x86_memory_tls);
__thread uint64_t platform_frame_tls __attribute__((visibility("hidden"))); /* enter.S */
FIBER_VARIABLE(platform_frame_tls);
/* direct.S: platform_fiber_limit() of the running fiber */
__thread uint64_t platform_stack_limit_tls __attribute__((visibility("hidden")));
FIBER_VARIABLE(platform_stack_limit_tls);
FIBER_VARIABLE(x86_cpu_tls);

/* The thread block that the C library has made. */
static struct {
    uint8_t *base;    /* where FS points */
    size_t variables; /* bytes below it */
    size_t control;   /* bytes from there on */
    size_t area;      /* whole pages for both */
    uint8_t *scratch; /* a variable that new fibers need not have */
    size_t scratch_size;
} thread_block;

static struct platform_fiber *fiber_pool;
static unsigned fiber_pool_count;
static struct platform_fiber main_fiber;
static __thread struct platform_fiber *running = &main_fiber;
FIBER_VARIABLE(running);
static bool have_wrgsbase; /* and WRFSBASE */

static bool
fiber_stack_new(struct platform_fiber *f)
{
    size_t size = FIBER_STACK + thread_block.area;
    uint8_t *p =
        mmap(NULL, FIBER_GUARD + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (p == MAP_FAILED)
        return false;
    if (mprotect(p + FIBER_GUARD, size, PROT_READ | PROT_WRITE) != 0) {
        munmap(p, FIBER_GUARD + size);
        return false;
    }
    f->stack = p + FIBER_GUARD;
    f->thread = f->stack + size - thread_block.control;
    return true;
}

/* --- thread blocks --- */

static uint8_t *
running_block(void)
{
    return PLATFORM_SANITIZED ? sanitizer_block() : running->thread ? running->thread : thread_block.base;
}

/* Where a thread-local variable of the running fiber lies in another thread block. */
static void *
in_block(uint8_t *block, const void *variable)
{
    return block + ((const uint8_t *)variable - running_block());
}

/* A new fiber's variables are as the running one's, but those that belong to a stack. */
static void
thread_block_copy(struct platform_fiber *f)
{
    uint8_t *to = f->thread;
    const uint8_t *from = running_block();
    uint64_t self = (uint64_t)(uintptr_t)to;
    size_t before = thread_block.variables, after = 0;

    if (PLATFORM_SANITIZED) {
        sanitizer_variables_save(to);
        memset(in_block(to, &platform_frame_tls), 0, sizeof platform_frame_tls);
        memcpy(in_block(to, &running), &f, sizeof f);
        return;
    }
    if (thread_block.scratch) {
        after = (size_t)(thread_block.base - thread_block.scratch) - thread_block.scratch_size;
        before = (size_t)(thread_block.scratch - (thread_block.base - thread_block.variables));
    }
    memcpy(to - thread_block.variables, from - thread_block.variables, before);
    memcpy(to - after, from - after, after);
    memset(in_block(to, &platform_frame_tls), 0, sizeof platform_frame_tls);
    memcpy(in_block(to, &running), &f, sizeof f);
    memcpy(to, from, thread_block.control);
    memcpy(to, &self, sizeof self);      /* tcbhead_t of the x86-64 ABI: tcb... */
    memcpy(to + 16, &self, sizeof self); /* ...and self */
}

static void
thread_block_switch(struct platform_fiber *from, struct platform_fiber *to)
{
    if (PLATFORM_SANITIZED) {
        if (from->thread) /* the host thread's own fiber is never switched back to */
            sanitizer_variables_save(from->thread);
        from->runs_in = NULL;
        to->runs_in = sanitizer_block();
        sanitizer_variables_load(to->thread);
    } else if (have_wrgsbase) {
        __asm__ volatile("wrfsbase %0" ::"r"(to->thread) : "memory");
    } else {
        syscall(SYS_arch_prctl, ARCH_SET_FS, (unsigned long)(uintptr_t)to->thread);
    }
}

void *
platform_fiber_variable(struct platform_fiber *f, void *variable)
{
    return f == running ? variable : in_block(f->runs_in ? f->runs_in : f->thread, variable);
}

struct x86_cpu *
platform_fiber_cpu(struct platform_fiber *f)
{
    return platform_fiber_variable(f, x86_this_cpu());
}

void
platform_fiber_scratch(void *variable, size_t size)
{
    thread_block.scratch = variable;
    thread_block.scratch_size = size;
}

/* As the kernel tells of the program's headers: the C library's own account of them is not made in a static program. */
static size_t
size_of_variables(void)
{
    const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);

    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        if (header[i].p_type == PT_TLS)
            return (header[i].p_memsz + header[i].p_align - 1) & ~(header[i].p_align - 1);
    return 0;
}

/* The C library puts the block at the end of its first allocation, so what lies behind it is no more
 * than a control block. */
static void
find_thread_block(unsigned long fs)
{
    enum { CONTROL_MAX = 4096, CONTROL_ALIGN = 64 };
    uint8_t *end = sbrk(0);
    size_t control = CONTROL_MAX;

    thread_block.variables = size_of_variables();
    thread_block.base = (uint8_t *)(uintptr_t)fs;
    if (end > thread_block.base && (size_t)(end - thread_block.base) < control)
        control = (size_t)(end - thread_block.base);
    thread_block.control = (control + CONTROL_ALIGN - 1) & ~(size_t)(CONTROL_ALIGN - 1);
    thread_block.area = (thread_block.variables + thread_block.control + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
}

/* The bottom of each fiber's stack. */
static void
fiber_entry(void *arg)
{
    struct platform_fiber *f = arg;

    sanitizer_switched(&f->sanitizer);
    f->entry(f->arg);
}

OBJECT_POOL(platform_fiber);

struct platform_fiber *
platform_fiber_reserve(void)
{
    struct platform_fiber *f = fiber_pool;

    if (f) {
        fiber_pool = f->next;
        fiber_pool_count--;
        f->next = NULL;
        return f;
    }
    f = OBJECT_NEW(platform_fiber);
    if (f && !fiber_stack_new(f)) {
        OBJECT_FREE(platform_fiber, f);
        return NULL;
    }
    return f;
}

void
platform_fiber_prepare(struct platform_fiber *f, void (*entry)(void *), void *arg)
{
    uint64_t *sp;

    thread_block_copy(f);
    f->entry = entry;
    f->arg = arg;
    sanitizer_stack_init(&f->sanitizer, f->stack, FIBER_STACK);
    sp = (uint64_t *)(f->stack + FIBER_STACK);
    *--sp = 0;
    *--sp = 0; /* platform_fiber_start runs with rsp here: 16-aligned before its call */
    *--sp = (uint64_t)(uintptr_t)platform_fiber_start;
    *--sp = 0;                                /* rbp */
    *--sp = (uint64_t)(uintptr_t)fiber_entry; /* rbx */
    *--sp = (uint64_t)(uintptr_t)f;           /* r12 */
    *--sp = 0;
    *--sp = 0;
    *--sp = 0;
    f->rsp = (uint64_t)(uintptr_t)sp;
}

struct platform_fiber *
platform_fiber_new(void (*entry)(void *), void *arg)
{
    struct platform_fiber *f = platform_fiber_reserve();

    if (f)
        platform_fiber_prepare(f, entry, arg);
    return f;
}

void
platform_fiber_switch(struct platform_fiber *from, struct platform_fiber *to)
{
    if (!PLATFORM_SANITIZED)
        memcpy(in_block(to->thread, &platform_thread_tls), &platform_thread_tls, sizeof platform_thread_tls);
    thread_block_switch(from, to);
    platform_stack_limit_tls = platform_fiber_limit(to);
    sanitizer_switching(&from->sanitizer, &to->sanitizer);
    platform_switch_stack(&from->rsp, to->rsp);
    sanitizer_switched(&from->sanitizer);
}

/* Of a host thread that the C library has made: a fiber, which it leaves at once. */
static void *
leave_for(void *arg)
{
    struct platform_fiber *f = arg, own = {0};

    platform_thread_tls = f->arg;
    running = &own;
    sanitizer_stack_own(&own.sanitizer);
    platform_fiber_switch(&own, f);
    return NULL;
}

long
platform_fiber_clone(struct platform_fiber *f, struct platform_thread *t, unsigned long flags)
{
    if (PLATFORM_SANITIZED)
        return sanitizer_thread(leave_for, f);
    memcpy(in_block(f->thread, &platform_thread_tls), &t, sizeof t);
    return platform_clone_thread(flags, f->rsp, f->thread);
}

_Noreturn void
platform_jump(struct platform_jump *j, int value)
{
    sanitizer_leave_frames(&running->sanitizer, j->reg[6]);
    platform_jump_registers(j, value);
}

void
platform_fiber_free(struct platform_fiber *f)
{
    if (!f || !f->stack)
        return;
    sanitizer_stack_fini(&f->sanitizer);
    if (fiber_pool_count < FIBER_POOL) {
        f->next = fiber_pool;
        fiber_pool = f;
        fiber_pool_count++;
        return;
    }
    munmap(f->stack - FIBER_GUARD, FIBER_GUARD + FIBER_STACK + thread_block.area);
    OBJECT_FREE(platform_fiber, f);
}

uint64_t
platform_fiber_limit(const struct platform_fiber *f)
{
    return (uint64_t)(uintptr_t)f->stack + FIBER_RESERVE;
}

uint64_t
platform_fiber_floor(const struct platform_fiber *f)
{
    return platform_fiber_limit(f) - FIBER_DISPATCHER;
}

uint64_t
platform_fiber_bottom(void)
{
    return (uint64_t)(uintptr_t)running->stack;
}

uint64_t
platform_fiber_top(const struct platform_fiber *f)
{
    return (uint64_t)(uintptr_t)f->stack + FIBER_STACK;
}

uint64_t
platform_frame(void)
{
    return platform_frame_tls;
}

void
platform_set_frame(uint64_t frame)
{
    platform_frame_tls = frame;
}

uint64_t
platform_stack_pointer(void)
{
    return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

struct platform_fiber *
platform_fiber_self(void)
{
    return running;
}

struct platform_fiber *
platform_fiber_main(void)
{
    return &main_fiber;
}

void
platform_set_memory(void *base)
{
    x86_memory_tls = base;
    if (have_wrgsbase)
        __asm__ volatile("wrgsbase %0" ::"r"(base) : "memory");
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)(uintptr_t)base);
}

void
platform_log(const char *format, ...)
{
    char text[1024];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n > (int)sizeof text - 1)
        n = (int)sizeof text - 1;
    if (n > 0 && write(2, text, (size_t)n) < 0)
        return;
}

_Noreturn void
platform_die(const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    platform_log("ingot: %s\n", text);
    exit(125);
}

/* Descriptors 0 to 2 are the guest's: one that our parent closed must not become the artifact or the audit file. */
static void
open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0 && (fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0))
            platform_die("descriptors 0 to 2 must be open, and there is no /dev/null");
    } while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

bool
platform_init(void)
{
    unsigned long fs = 0;

    open_standard_descriptors();
    platform_faults_init();
    have_wrgsbase = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &fs) != 0 ||
        (unsigned long)(uintptr_t)&x86_cpu_tls + sizeof x86_cpu_tls != fs) {
        platform_log("ingot: this executable was linked wrongly: x86_cpu_tls is not the last object of the TLS "
                     "block (at fs-%#lx, expected fs-%#zx)\n",
                     fs - (unsigned long)(uintptr_t)&x86_cpu_tls, sizeof x86_cpu_tls);
        return false;
    }
    find_thread_block(fs);
    sanitizer_stack_own(&main_fiber.sanitizer);
    platform_make_c_heap();
    if (thread_block.variables < sizeof x86_cpu_tls) {
        platform_log("ingot: this executable's headers do not tell of its thread-local variables\n");
        return false;
    }
#ifdef PR_SET_MDWE
    prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
#else
    prctl(65, 1, 0, 0, 0); /* PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN; older kernels refuse, which is fine */
#endif
    return true;
}
