/* What the host's kernel says of the time that it has spent for this thread. */
#include <time.h>

#include "platform/lockdown_internal.h"
#include "platform/platform.h"

static uint64_t
read_clock(clockid_t id)
{
    struct timespec ts = {0};

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

uint64_t
platform_system_ns(void)
{
    uint64_t both, user;

    if (platform_repeatable)
        return 0;
    both = read_clock(OWN_TICK_CLOCK);
    user = read_clock(OWN_USER_CLOCK);
    return both > user ? both - user : 0; /* a tick may come between the two */
}
