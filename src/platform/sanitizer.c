/* How the sanitizers behave in a sanitized build, unless their variables of the environment say otherwise, and what
 * they are told. All is one file because their library has options of its own, which stand if nothing else needs this
 * one. */
#include "platform/sanitizer.h"

#if PLATFORM_SANITIZED
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/assembly_internal.h"

/* --- stacks --- */

#if ADDRESS_SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* Leaks are not looked for at exit: a container ends with what its guests had, and much of that is known
 * only to the stacks of fibers, where LeakSanitizer does not look. Where nothing is left to guests, they
 * are asked for (fuzz/syscalls/server.c). */
__attribute__((visibility("default"), used)) const char *
__asan_default_options(void)
{
    return "leak_check_at_exit=0:detect_stack_use_after_return=1";
}

void
sanitizer_stack_init(struct sanitizer_stack *s, void *stack, size_t size)
{
    *s = (struct sanitizer_stack){.stack = stack, .size = size};
    ASAN_UNPOISON_MEMORY_REGION(stack, size); /* whoever had it before left frames */
}

void
sanitizer_stack_fini(struct sanitizer_stack *s)
{
    (void)s;
}

void
sanitizer_stack_own(struct sanitizer_stack *s)
{
    *s = (struct sanitizer_stack){0};
}

void
sanitizer_switching(struct sanitizer_stack *from, const struct sanitizer_stack *to)
{
    __sanitizer_start_switch_fiber(&from->fake, to->stack, to->size);
}

void
sanitizer_switched(struct sanitizer_stack *to)
{
    __sanitizer_finish_switch_fiber(to->fake, NULL, NULL);
}

void
sanitizer_leave_frames(const struct sanitizer_stack *s, uint64_t rsp)
{
    uint64_t low = (uint64_t)(uintptr_t)s->stack;

    if (s->stack && rsp > low && rsp - low <= s->size)
        ASAN_UNPOISON_MEMORY_REGION(s->stack, rsp - low);
}
#else
#include <sanitizer/tsan_interface.h>

/* A finding ends the container, as one of AddressSanitizer does. */
__attribute__((visibility("default"), used)) const char *
__tsan_default_options(void)
{
    return "halt_on_error=1:exitcode=99";
}

void
sanitizer_stack_init(struct sanitizer_stack *s, void *stack, size_t size)
{
    *s = (struct sanitizer_stack){.fiber = __tsan_create_fiber(0), .stack = stack, .size = size};
}

void
sanitizer_stack_fini(struct sanitizer_stack *s)
{
    if (s->fiber)
        __tsan_destroy_fiber(s->fiber);
    s->fiber = NULL;
}

void
sanitizer_stack_own(struct sanitizer_stack *s)
{
    *s = (struct sanitizer_stack){.fiber = __tsan_get_current_fiber()};
}

/* What a fiber has done comes before what the next one of this host thread does. */
void
sanitizer_switching(struct sanitizer_stack *from, const struct sanitizer_stack *to)
{
    (void)from;
    __tsan_switch_to_fiber(to->fiber, 0);
}

void
sanitizer_switched(struct sanitizer_stack *to)
{
    (void)to;
}

/* ThreadSanitizer keeps no account of frames: meson.build. */
void
sanitizer_leave_frames(const struct sanitizer_stack *s, uint64_t rsp)
{
    (void)s, (void)rsp;
}
#endif

/* --- variables --- */

extern const struct sanitizer_variable __start_fiber_variables[] __attribute__((weak)),
    __stop_fiber_variables[] __attribute__((weak));

uint8_t *
sanitizer_block(void)
{
    uint8_t *block;

    __asm__ volatile("movq %%fs:0, %0" : "=r"(block)); /* the ABI's pointer of the thread block to itself */
    return block;
}

void
sanitizer_variables_save(uint8_t *block)
{
    for (const struct sanitizer_variable *v = __start_fiber_variables; v < __stop_fiber_variables; v++) {
        const uint8_t *here = v->here();

        memcpy(block - (sanitizer_block() - here), here, v->size);
    }
}

void
sanitizer_variables_load(const uint8_t *block)
{
    for (const struct sanitizer_variable *v = __start_fiber_variables; v < __stop_fiber_variables; v++) {
        uint8_t *here = v->here();

        memcpy(here, block - (sanitizer_block() - here), v->size);
    }
}

/* --- threads and signals --- */

struct beginning {
    void *(*run)(void *);
    void *arg;
    long number; /* 0: it has not begun */
};

static void *
begin(void *arg)
{
    struct beginning *b = arg, copy = *b; /* which is gone once the maker knows the number */

    __atomic_store_n(&b->number, syscall(SYS_gettid), __ATOMIC_RELEASE);
    return copy.run(copy.arg);
}

long
sanitizer_thread(void *(*run)(void *), void *arg)
{
    struct beginning b = {.run = run, .arg = arg};
    pthread_t id;
    long number;
    int error = pthread_create(&id, NULL, begin, &b);

    if (error)
        return -error;
    while ((number = __atomic_load_n(&b.number, __ATOMIC_ACQUIRE)) == 0)
        sched_yield();
    return number;
}

__asm__("    .text\n"
        "    .globl sanitizer_restore\n"
        "sanitizer_restore:\n"
        "    movl $15, %eax\n" /* rt_sigreturn */
        "    syscall\n");

/* The sanitizers' own function may keep a signal back until the thread makes a call that it knows, and a guest makes
 * none. So the kernel is asked, in its own format. */
int
sanitizer_sigaction(int sig, const struct sigaction *sa, struct sigaction *old)
{
    enum { RESTORER = 0x04000000 };
    struct {
        void (*handler)(int sig, siginfo_t *info, void *context);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } new = {sa->sa_sigaction, (unsigned long)sa->sa_flags | RESTORER, sanitizer_restore, 0}, was;

    memcpy(&new.mask, &sa->sa_mask, sizeof new.mask);
    if (syscall(SYS_rt_sigaction, sig, &new, &was, sizeof new.mask) < 0)
        return -1;
    if (old)
        *old = (struct sigaction){.sa_sigaction = was.handler};
    return 0;
}
#endif
