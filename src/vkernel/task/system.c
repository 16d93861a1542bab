/* What the container's machine is called, how much memory and how many processors it has. The values are the
 * container's and not the host's, so that a guest sees the same machine wherever it runs, and no more memory
 * than it may use. */
#include "vkernel/task/system.h"

#include <stdio.h>

#include "platform/platform.h"
#include "vkernel/sched/sched.h"
#include "x86/helpers.h"

struct system_info system_info = {.hostname = "ingot", .domainname = "(none)", .processors = 1};

uint64_t
system_memory_total(void)
{
    return system_info.memory_limit ? system_info.memory_limit : platform_memory_total();
}

/* The instructions that tell of processors (CPUID, RDTSCP, RDPID) say the same as the kernel. */
uint32_t
x86_processor(void)
{
    return sched_processor();
}

uint32_t
x86_processors(void)
{
    return system_info.processors;
}

const char *
system_processor_mask(uint64_t set, char text[PROCESSORS_TEXT])
{
    unsigned n = system_info.processors;

    if (n > 32)
        snprintf(text, PROCESSORS_TEXT, "%0*x,%08x", (int)(n - 32 + 3) / 4, (unsigned)(set >> 32), (unsigned)set);
    else
        snprintf(text, PROCESSORS_TEXT, "%0*x", (int)(n + 3) / 4, (unsigned)set);
    return text;
}

const char *
system_processor_list(uint64_t set, char text[PROCESSORS_TEXT])
{
    size_t at = 0;

    text[0] = '\0';
    for (unsigned first = 0, end; first < PROCESSORS_MAX; first = end + 1) {
        for (end = first; end < PROCESSORS_MAX && (set >> end & 1); end++)
            ;
        if (end == first)
            continue;
        at += (size_t)snprintf(text + at, PROCESSORS_TEXT - at, "%s%u", at ? "," : "", first);
        if (end - first > 1)
            at += (size_t)snprintf(text + at, PROCESSORS_TEXT - at, "-%u", end - 1);
    }
    return text;
}
