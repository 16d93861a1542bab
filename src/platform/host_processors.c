/* How many of the host's processors this process may use at the same time: those that its affinity allows, or fewer
 * where a cgroup limits its processor time. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/cgroup_place.h"
#include "platform/platform.h"

/* The system call itself, because cpu_set_t has room for 1,024 processors, and on a host with more the call fails. */
static unsigned
allowed_by_affinity(void)
{
    enum { WORDS = 1024 };
    unsigned long set[WORDS];
    long size = syscall(SYS_sched_getaffinity, 0, sizeof set, set);
    unsigned count = 0;

    for (long k = 0; k < size / (long)sizeof *set; k++)
        count += (unsigned)__builtin_popcountl(set[k]);
    return count ? count : 1;
}

/* What one group allows. Version 2 has both numbers in one file, "max 100000" or "QUOTA PERIOD", version 1 a file for
 * each, with -1 for no limit. The topmost group has none of them. */
static unsigned
allowed_by_group(const char *directory, bool unified)
{
    char text[64];
    long quota = 0, period = 0;

    if (unified) {
        if (cgroup_read(directory, "cpu.max", text, sizeof text))
            sscanf(text, "%ld %ld", &quota, &period);
    } else if (cgroup_read(directory, "cpu.cfs_quota_us", text, sizeof text)) {
        quota = atol(text);
        if (quota > 0 && cgroup_read(directory, "cpu.cfs_period_us", text, sizeof text))
            period = atol(text);
    }
    if (quota <= 0 || period <= 0)
        return UINT_MAX;
    quota = (quota - 1) / period + 1;
    return quota < UINT_MAX ? (unsigned)quota : UINT_MAX;
}

/* Each group is within what those above it may have. */
static unsigned
allowed_by_groups(void)
{
    char directory[CGROUP_PATH_SIZE];
    unsigned least = UINT_MAX;
    size_t mount;
    bool unified;

    if (!cgroup_directory("cpu", directory, &unified, &mount))
        return least;
    for (;;) {
        unsigned allowed = allowed_by_group(directory, unified);
        char *last = strrchr(directory, '/');

        if (allowed < least)
            least = allowed;
        if (!last || last < directory + mount)
            return least;
        *last = '\0';
    }
}

unsigned
platform_host_processors(void)
{
    unsigned count = allowed_by_affinity(), groups;

    if (count == 1)
        return 1;
    groups = allowed_by_groups();
    return groups < count ? groups : count;
}
