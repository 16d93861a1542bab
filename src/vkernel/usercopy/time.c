/* Times in guest memory. */
#include <errno.h>
#include <time.h>

#include "vkernel/usercopy/usercopy.h"

uint64_t
time_join(int64_t seconds, uint64_t nanoseconds)
{
    const int64_t longest = 9000000000;

    return seconds > longest ? UINT64_MAX / 2 : (uint64_t)seconds * NS_PER_SECOND + nanoseconds;
}

int
timespec_from_guest(uint64_t address, uint64_t *ns)
{
    struct timespec ts;

    if (copy_from_guest(&ts, address, sizeof ts) < 0)
        return -EFAULT;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long)NS_PER_SECOND)
        return -EINVAL;
    *ns = time_join(ts.tv_sec, (uint64_t)ts.tv_nsec);
    return 0;
}

int
timespec_to_guest(uint64_t address, uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_SECOND), .tv_nsec = (long)(ns % NS_PER_SECOND)};

    return copy_to_guest(address, &ts, sizeof ts);
}
