/* What AddressSanitizer and ThreadSanitizer must be told of our stacks and threads, and what is different in a vkernel
 * that they watch. Without them, nothing.
 *
 * Both keep accounts of host threads by what FS points to, so that FS stays the host thread's: at a switch of fibers
 * the contents of the fiber's variables are exchanged (FIBER_VARIABLE). An address of such a variable would be another
 * one on another host thread, so a fiber that has run stays on its host thread (PLATFORM_FIBERS_MOVE).
 *
 * AddressSanitizer's own copies of frames ("fake stacks") outlive a return, so that a pointer to a dead frame is found
 * when it is used. */
#ifndef PLATFORM_SANITIZER_H
#define PLATFORM_SANITIZER_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sanitized.h"

#define PLATFORM_SANITIZED   (ADDRESS_SANITIZED || THREAD_SANITIZED)
#define PLATFORM_FIBERS_MOVE (!PLATFORM_SANITIZED)

struct sanitizer_stack {
    void *fake;  /* AddressSanitizer's, while it does not run */
    void *fiber; /* ThreadSanitizer's */
    void *stack; /* NULL: the thread's own, whose bounds the sanitizer knows from the first switch */
    size_t size;
};

/* Stands behind the definition of each thread-local variable that keeps its value over a switch of fibers. */
#if PLATFORM_SANITIZED
struct sanitizer_variable {
    void *(*here)(void); /* where it is for the running host thread */
    size_t size;
};
#define FIBER_VARIABLE(name)                               \
    static void *here_##name(void)                         \
    {                                                      \
        return (void *)&name;                              \
    }                                                      \
    static const struct sanitizer_variable variable_##name \
        __attribute__((section("fiber_variables"), used, no_sanitize("address"))) = {here_##name, sizeof name}
#else
#define FIBER_VARIABLE(name) _Static_assert(sizeof name > 0, "")
#endif

#if PLATFORM_SANITIZED
void sanitizer_stack_init(struct sanitizer_stack *s, void *stack, size_t size);
void sanitizer_stack_fini(struct sanitizer_stack *s);
void sanitizer_stack_own(struct sanitizer_stack *s); /* that of the running host thread */
void sanitizer_switching(struct sanitizer_stack *from, const struct sanitizer_stack *to);
void sanitizer_switched(struct sanitizer_stack *to);
/* Before a jump to a frame further out: those below rsp are gone. */
void sanitizer_leave_frames(const struct sanitizer_stack *s, uint64_t rsp);
/* What FS points to, and the variables of the fiber that runs here exchanged with those that are kept in a block of the
 * same layout. */
uint8_t *sanitizer_block(void);
void sanitizer_variables_save(uint8_t *block);
void sanitizer_variables_load(const uint8_t *block);
/* A host thread that the sanitizer knows: its number; -errno: there is none. */
long sanitizer_thread(void *(*run)(void *), void *arg);
int sanitizer_sigaction(int sig, const struct sigaction *sa, struct sigaction *old);
#else
static inline void
sanitizer_stack_init(struct sanitizer_stack *s, void *stack, size_t size)
{
    (void)s, (void)stack, (void)size;
}

static inline void
sanitizer_stack_fini(struct sanitizer_stack *s)
{
    (void)s;
}

static inline void
sanitizer_stack_own(struct sanitizer_stack *s)
{
    (void)s;
}

static inline void
sanitizer_switching(struct sanitizer_stack *from, const struct sanitizer_stack *to)
{
    (void)from, (void)to;
}

static inline void
sanitizer_switched(struct sanitizer_stack *to)
{
    (void)to;
}

static inline void
sanitizer_leave_frames(const struct sanitizer_stack *s, uint64_t rsp)
{
    (void)s, (void)rsp;
}

static inline uint8_t *
sanitizer_block(void)
{
    return NULL;
}

static inline void
sanitizer_variables_save(uint8_t *block)
{
    (void)block;
}

static inline void
sanitizer_variables_load(const uint8_t *block)
{
    (void)block;
}

static inline long
sanitizer_thread(void *(*run)(void *), void *arg)
{
    (void)run, (void)arg;
    return 0;
}

static inline int
sanitizer_sigaction(int sig, const struct sigaction *sa, struct sigaction *old)
{
    return sigaction(sig, sa, old);
}
#endif

#endif
