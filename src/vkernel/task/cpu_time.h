/* Whose time it was: what a processor's time is charged to. */
#ifndef VKERNEL_TASK_CPU_TIME_H
#define VKERNEL_TASK_CPU_TIME_H

#include <stdint.h>

#include "vkernel/task/system.h"

struct task;

/* What has run on each processor: guest code of processes with a positive nice value, that of others, and kernels. And
 * for how long a task had the processor while its host thread had none of the host's: because the host ran something
 * else, or because the thread waited, for the kernel lock or in a call to the host. */
struct processor_time {
    uint64_t nice_ns, user_ns, system_ns, stolen_ns;
};
extern struct processor_time processor_times[PROCESSORS_MAX];

/* The task has run for ns nanoseconds more, on the processor on which it runs now. As far as that processor's host
 * thread did not run meanwhile, the task is not charged. The host's clocks, which tell that, are looked at only if the
 * processor is the calling thread's own; what another processor's thread did not have is found, and taken off, when
 * that thread charges a task itself. */
void cpu_time_charge(struct task *t, uint64_t ns);

#endif
