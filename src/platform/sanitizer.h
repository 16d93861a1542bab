/* What AddressSanitizer must be told of our stacks: which one runs, and that frames were left behind. Without it,
 * nothing.
 *
 * Its own copies of frames ("fake stacks") outlive a return, so that a pointer to a dead frame is found when it is
 * used. */
#ifndef PLATFORM_SANITIZER_H
#define PLATFORM_SANITIZER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define PLATFORM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLATFORM_SANITIZED 1
#endif
#endif
#ifndef PLATFORM_SANITIZED
#define PLATFORM_SANITIZED 0
#endif

struct sanitizer_stack {
    void *fake;  /* while it does not run */
    void *stack; /* NULL: the thread's own, whose bounds the sanitizer knows from the first switch */
    size_t size;
};

#if PLATFORM_SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

void sanitizer_stack_init(struct sanitizer_stack *s, void *stack, size_t size);

static inline void
sanitizer_switching(struct sanitizer_stack *from, const struct sanitizer_stack *to)
{
    __sanitizer_start_switch_fiber(&from->fake, to->stack, to->size);
}

static inline void
sanitizer_switched(struct sanitizer_stack *to)
{
    __sanitizer_finish_switch_fiber(to->fake, NULL, NULL);
}

/* Before a jump to a frame further out: those below rsp are gone. */
static inline void
sanitizer_leave_frames(const struct sanitizer_stack *s, uint64_t rsp)
{
    uint64_t low = (uint64_t)(uintptr_t)s->stack;

    if (s->stack && rsp > low && rsp - low <= s->size)
        ASAN_UNPOISON_MEMORY_REGION(s->stack, rsp - low);
}
#else
static inline void
sanitizer_stack_init(struct sanitizer_stack *s, void *stack, size_t size)
{
    (void)s, (void)stack, (void)size;
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
#endif

#endif
