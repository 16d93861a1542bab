/* Whose time it was: what a processor's time is charged to. */
#ifndef VKERNEL_TASK_CPU_TIME_H
#define VKERNEL_TASK_CPU_TIME_H

#include <stdint.h>

#include "vkernel/task/system.h"

struct task;

/* What has run on each processor: guest code of processes with a positive nice value, that of others, and kernels. And for how
 * long something would have run, while the host ran something else. */
struct processor_time {
    uint64_t nice_ns, user_ns, system_ns, stolen_ns;
};
extern struct processor_time processor_times[PROCESSORS_MAX];

/* The task has run for ns nanoseconds more, on the processor on which it runs now, which is this host thread's. As far as the host had
 * taken the processor away meanwhile, the task is not charged. */
void cpu_time_charge(struct task *t, uint64_t ns);

#endif
