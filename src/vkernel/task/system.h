/* What the container's machine looks like to its guests: names, version and memory. */
#ifndef VKERNEL_TASK_SYSTEM_H
#define VKERNEL_TASK_SYSTEM_H

#include <stdint.h>

#define SYSTEM_RELEASE    "6.1.0-ingot"
#define SYSTEM_RELEASE_26 "2.6.61-ingot" /* for those that asked for UNAME26: as on Linux, 60 and the minor number */
#define SYSTEM_VERSION    "#1 SMP PREEMPT_DYNAMIC ingot"

extern struct system_info {
    char hostname[65], domainname[65];
    uint64_t memory_limit; /* in bytes (--memory); 0: the host's memory is the limit */
} system_info;

/* Of personality(2): it changes what uname says. Addresses are not randomised in any case. */
enum {
    PERSONALITY_LINUX32 = 8,
    PERSONALITY_UNAME26 = 0x20000,
    PERSONALITY_NO_RANDOMIZE = 0x40000,
    PERSONALITY_KNOWN = 0xff | PERSONALITY_UNAME26 | PERSONALITY_NO_RANDOMIZE,
};

uint64_t system_memory_total(void); /* in bytes: the limit, or else the host's memory */

#endif
