/* Processor time, as tasks, processes and processors are charged with it. */
#include "vkernel/task/cpu_time.h"

#include "vkernel/task/process.h"

struct processor_time processor_times[PROCESSORS_MAX];

void
cpu_time_charge(struct task *t, uint64_t ns)
{
    struct processor_time *processor = &processor_times[t->sched.processor];

    t->cpu_ns += ns;
    t->process->cpu_ns += ns;
    *(t->process->nice > 0 ? &processor->nice_ns : &processor->user_ns) += ns;
}
