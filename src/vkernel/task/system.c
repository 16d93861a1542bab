/* What the container's machine is called and how much memory it has. The values are the container's and not the host's,
 * so that a guest sees the same machine wherever it runs, and no more memory than it may use. */
#include "vkernel/task/system.h"

#include "platform/platform.h"

struct system_info system_info = {.hostname = "ingot", .domainname = "(none)"};

uint64_t
system_memory_total(void)
{
    return system_info.memory_limit ? system_info.memory_limit : platform_memory_total();
}
