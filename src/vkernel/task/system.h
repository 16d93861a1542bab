/* What the container's machine looks like to its guests: names, version, memory and processors. */
#ifndef VKERNEL_TASK_SYSTEM_H
#define VKERNEL_TASK_SYSTEM_H

#include <stdint.h>

#define SYSTEM_RELEASE    "6.1.0-ingot"
#define SYSTEM_RELEASE_26 "2.6.61-ingot" /* for those that asked for UNAME26: as on Linux, 60 and the minor number */
#define SYSTEM_VERSION    "#1 SMP PREEMPT_DYNAMIC ingot"

enum { PROCESSORS_MAX = 64 }; /* as many as the bits of a set of processors */

extern struct system_info {
    char hostname[65], domainname[65];
    uint64_t memory_limit; /* in bytes (--memory); 0: the host's memory is the limit */
    unsigned processors;   /* from 1 to PROCESSORS_MAX; set before the first task is made, and constant from there */
} system_info;

/* Of personality(2): it changes what uname says. Addresses are not randomised in any case. */
enum {
    PERSONALITY_LINUX32 = 8,
    PERSONALITY_UNAME26 = 0x20000,
    PERSONALITY_NO_RANDOMIZE = 0x40000,
    PERSONALITY_KNOWN = 0xff | PERSONALITY_UNAME26 | PERSONALITY_NO_RANDOMIZE,
};

/* A set of processors has bit n for processor n. This is the set of all that the container has. */
static inline uint64_t
system_all_processors(void)
{
    return UINT64_MAX >> (PROCESSORS_MAX - system_info.processors);
}
/* A set as Linux writes it: as a mask, which is hexadecimal and as wide as there are processors, in groups of 32 bits;
 * or as a list of ranges, such as 0-2,5. */
enum { PROCESSORS_TEXT = 192 }; /* room for the longest of both */
const char *system_processor_mask(uint64_t set, char text[PROCESSORS_TEXT]);
const char *system_processor_list(uint64_t set, char text[PROCESSORS_TEXT]);

uint64_t system_memory_total(void); /* in bytes: the limit, or else the host's memory */

#endif
