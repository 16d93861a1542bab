/* What the container's machine looks like to its guests. */
#ifndef VKERNEL_PROC_SYSTEM_H
#define VKERNEL_PROC_SYSTEM_H

#include <stdint.h>

#define SYSTEM_RELEASE "6.1.0-ingot"
#define SYSTEM_VERSION "#1 SMP PREEMPT_DYNAMIC ingot"

extern struct system_info {
    char hostname[65], domainname[65];
    uint64_t memory_limit; /* bytes; 0: the host's */
} system_info;


uint64_t system_memory_total(void); /* bytes: the limit's, or the host's */

#endif
