#include "vkernel/task/system.h"

#include "platform/platform.h"

struct system_info system_info = {.hostname = "ingot", .domainname = "(none)"};

uint64_t
system_memory_total(void)
{
    return system_info.memory_limit ? system_info.memory_limit : platform_memory_total();
}
