/* What the container as a whole may have: the options --memory, --pids, --cpus, --disk, --ulimit and --timeout. */
#ifndef VKERNEL_BOOT_CONTAINER_LIMITS_H
#define VKERNEL_BOOT_CONTAINER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

struct process;

extern struct container_limits {
    uint64_t pids;       /* processes and threads; 0: the vkernel's own limit */
    uint64_t cpus;       /* billionths of a processor; 0: not limited, and as many as the host process may use */
    uint64_t timeout_ns; /* 0: none */
} container_limits;      /* --memory: system_info.memory_limit */

/* Is `name` one of these options? A wrong value ends the process with a message that names option and value. */
bool container_limits_option(const char *name, const char *value);
/* Resource limits of the first process, which all others inherit. */
void container_limits_ulimits(struct process *p);
/* Once the options are known, before the first guest instruction. */
void container_limits_start(void);
/* Behind that, before the first task is made: the host has allowed so many threads. */
void container_limits_processors(unsigned made);
/* The container's exit status, when it would be `status` otherwise. */
int container_limits_status(int status);

#endif
