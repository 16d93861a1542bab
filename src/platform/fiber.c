/* Fibers: host stacks with a guard page, pooled, and start-up checks of the thread's segment bases. */
#include "platform/heap.h"
#include "platform/platform.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/fiber_internal.h"
#include "platform/sanitizer.h"
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
    struct sanitizer_stack sanitizer;
};

void platform_switch_stack(uint64_t *save_rsp, uint64_t load_rsp);
_Noreturn void platform_jump_registers(struct platform_jump *j, int value);
void platform_fiber_start(void);
void platform_faults_init(void);

__thread uint8_t *x86_memory_tls;
__thread uint64_t platform_frame_tls __attribute__((visibility("hidden"))); /* enter.S */
/* direct.S: platform_fiber_limit() of the running fiber */
__thread uint64_t platform_stack_limit_tls __attribute__((visibility("hidden")));

static struct platform_fiber *fiber_pool;
static unsigned fiber_pool_count;
static struct platform_fiber main_fiber, *running = &main_fiber;
static bool have_wrgsbase;

static bool
fiber_stack_new(struct platform_fiber *f)
{
    uint8_t *p = mmap(NULL, FIBER_GUARD + FIBER_STACK, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (p == MAP_FAILED)
        return false;
    if (mprotect(p + FIBER_GUARD, FIBER_STACK, PROT_READ | PROT_WRITE) != 0) {
        munmap(p, FIBER_GUARD + FIBER_STACK);
        return false;
    }
    f->stack = p + FIBER_GUARD;
    return true;
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
platform_fiber_new(void (*entry)(void *), void *arg)
{
    struct platform_fiber *f = fiber_pool;
    uint64_t *sp;

    if (f) {
        fiber_pool = f->next;
        fiber_pool_count--;
    } else {
        f = OBJECT_NEW(platform_fiber);
        if (!f)
            return NULL;
        if (!fiber_stack_new(f)) {
            OBJECT_FREE(platform_fiber, f);
            return NULL;
        }
    }
    f->next = NULL;
    f->entry = entry;
    f->arg = arg;
    sanitizer_stack_init(&f->sanitizer, f->stack, FIBER_STACK);
    sp = (uint64_t *)(f->stack + FIBER_STACK);
    *--sp = 0;
    *--sp = 0; /* platform_fiber_start runs with rsp here: 16-aligned before its call */
    *--sp = (uint64_t)(uintptr_t)platform_fiber_start;
    *--sp = 0;                                /* platform_frame_tls */
    *--sp = 0;                                /* rbp */
    *--sp = (uint64_t)(uintptr_t)fiber_entry; /* rbx */
    *--sp = (uint64_t)(uintptr_t)f;           /* r12 */
    *--sp = 0;
    *--sp = 0;
    *--sp = 0;
    f->rsp = (uint64_t)(uintptr_t)sp;
    return f;
}

void
platform_fiber_switch(struct platform_fiber *from, struct platform_fiber *to)
{
    running = to;
    platform_stack_limit_tls = platform_fiber_limit(to);
    sanitizer_switching(&from->sanitizer, &to->sanitizer);
    platform_switch_stack(&from->rsp, to->rsp);
    sanitizer_switched(&from->sanitizer);
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
    if (fiber_pool_count < FIBER_POOL) {
        f->next = fiber_pool;
        fiber_pool = f;
        fiber_pool_count++;
        return;
    }
    munmap(f->stack - FIBER_GUARD, FIBER_GUARD + FIBER_STACK);
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
#ifdef PR_SET_MDWE
    prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
#else
    prctl(65, 1, 0, 0, 0); /* PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN; older kernels refuse, which is fine */
#endif
    return true;
}
