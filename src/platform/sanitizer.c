/* How the sanitizers behave in a sanitized build, unless ASAN_OPTIONS says otherwise. */
#include "platform/sanitizer.h"

#if PLATFORM_SANITIZED
/* Leaks are not looked for at exit: a container ends with what its guests had, and much of that is known only to the
 * stacks of fibers, where LeakSanitizer does not look. */
__attribute__((visibility("default"), used)) const char *
__asan_default_options(void)
{
    return "detect_leaks=0:detect_stack_use_after_return=1";
}
#endif
