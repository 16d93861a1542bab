/* Processor time, as tasks, processes and processors are charged with it. */
#include "vkernel/task/cpu_time.h"

#include "vkernel/sched/kernel_time.h"
#include "vkernel/task/process.h"

struct processor_time processor_times[PROCESSORS_MAX];

void
cpu_time_charge(struct task *t, uint64_t ns)
{
    struct processor_time *processor = &processor_times[t->sched.processor];
    struct process *p = t->process;
    uint64_t system_ns = kernel_time_take(&t->sched, ns);

    t->cpu_ns += ns;
    t->system_ns += system_ns;
    p->cpu_ns += ns;
    p->system_ns += system_ns;
    processor->system_ns += system_ns;
    *(p->nice > 0 ? &processor->nice_ns : &processor->user_ns) += ns - system_ns;
}
