/* What is not inline of sanitizer.h, and how the sanitizers behave in a sanitized build, unless ASAN_OPTIONS says
 * otherwise. Both are one file because the sanitizers' library has options of its own, which stand if nothing
 * else needs this one. */
#include "platform/sanitizer.h"

#if PLATFORM_SANITIZED
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
#endif
