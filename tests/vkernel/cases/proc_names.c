/* Names of numbers in /proc. */
#include "case.h"

static void
look(const char *format, int number)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof path, format, number);
    printf("%s: %s\n", format, lstat(path, &st) == 0 ? "ok" : strerrorname_np(errno));
}

static void
look_at(const char *folder, int number)
{
    static const char *const names[] = {"%d",  " %d",  "%d ",  "\t%d", "+%d",         "-%d",
                                        "0%d", "00%d", "0x%d", "%d.",  "%d4294967296"};
    char format[64];

    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        snprintf(format, sizeof format, "%s/%s", folder, names[k]);
        look(format, number);
    }
}

CASE(descriptors_by_name)
{
    look_at("/proc/self/fd", 0);
    look_at("/proc/self/fd", 1);
    look_at("/proc/self/fdinfo", 0);
}

CASE(processes_by_name)
{
    look_at("/proc", getpid());
    look("/proc/%d", 0);
}

CASE(threads_by_name)
{
    look_at("/proc/self/task", getpid());
    look("/proc/self/task/%d", 0);
}
