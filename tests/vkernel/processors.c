/* A vkernel that has as many processors as the environment says (PROCESSORS), and whose tasks go to the next one that they may run on with
 * each sched_yield. Linked with --wrap (processors.py): what is tested is what guests see of them, not who runs where. */
#include <stdint.h>
#include <stdlib.h>

#include "vkernel/sched/sched.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"

void __real_container_limits_start(void);
void __wrap_container_limits_start(void);
int64_t __wrap_sys_sched_yield(const uint64_t a[6]);

void
__wrap_container_limits_start(void)
{
    system_info.processors = (unsigned)atoi(getenv("PROCESSORS"));
    __real_container_limits_start();
}

int64_t
__wrap_sys_sched_yield(const uint64_t a[6])
{
    struct sched_entity *e = &current_task()->sched;

    do
        e->processor = (e->processor + 1) % PROCESSORS_MAX;
    while (!(e->affinity >> e->processor & 1));
    return 0;
}
