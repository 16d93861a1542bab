/* See lockdown.h. */
#include "platform/lockdown_internal.h"

#include <errno.h>
#include <sys/prctl.h>

#include "platform/sanitizer.h"

int
platform_lockdown(const struct lockdown *l)
{
    /* The sanitizers' reports start a symbolizer, their leak check a thread. */
    if (PLATFORM_SANITIZED)
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return filter_install(l);
}
