/* What the kernel has counted since it began: /proc/stat, /proc/uptime and /proc/loadavg. The host's start is the
 * container's, as it is for containers of Linux. */
#include <inttypes.h>
#include <stdio.h>

#include "vkernel/boot/procfs.h"
#include "vkernel/sched/load.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/cpu_time.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"

enum { TICK_NS = 10000000 }; /* the unit of /proc: USER_HZ is 100 */
#define SECOND_NS UINT64_C(1000000000)

/* What is not there is zero: iowait, irq, softirq, guest, guest_nice. */
static void
put_processor(struct text *out, const char *name, const struct processor_time *t, uint64_t idle_ns)
{
    text_printf(out, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 0 0 %" PRIu64 " 0 0\n", name,
                t->user_ns / TICK_NS, t->nice_ns / TICK_NS, t->system_ns / TICK_NS, idle_ns / TICK_NS,
                t->stolen_ns / TICK_NS);
}

static uint64_t
idle_of(const struct processor_time *t, uint64_t up_ns)
{
    uint64_t busy = t->user_ns + t->nice_ns + t->system_ns + t->stolen_ns;

    return up_ns > busy ? up_ns - busy : 0;
}

/* Charges the tasks that run, on all processors. Returns the moment until which everything is charged: another one
 * would make idle what the host takes away meanwhile, and the idle time would go back when that is charged. */
static uint64_t
account(void)
{
    sched_account();
    return current_task()->sched.started_ns;
}

/* All processors' together; *idle_ns gets their idle time. */
static struct processor_time
sum_up(uint64_t up_ns, uint64_t *idle_ns)
{
    struct processor_time all = {0};

    *idle_ns = 0;
    for (unsigned k = 0; k < system_info.processors; k++) {
        all.user_ns += processor_times[k].user_ns;
        all.nice_ns += processor_times[k].nice_ns;
        all.system_ns += processor_times[k].system_ns;
        all.stolen_ns += processor_times[k].stolen_ns;
        *idle_ns += idle_of(&processor_times[k], up_ns);
    }
    return all;
}

static unsigned
count_tasks(unsigned *running)
{
    unsigned count = 0;

    *running = 0;
    for (struct process *p = process_next(NULL); p; p = process_next(p)) {
        count += p->thread_count;
        LIST_EACH(l, &p->threads)
            *running += list_entry(l, struct task, thread_link)->sched.state == TASK_RUNNING;
    }
    return count;
}

int
proc_show_stat(const struct pseudo_key *key, struct text *out)
{
    uint64_t up_ns, idle_ns;
    struct processor_time all;
    unsigned running;
    char name[16];

    up_ns = account();
    all = sum_up(up_ns, &idle_ns);
    put_processor(out, "cpu ", &all, idle_ns);
    for (unsigned k = 0; k < system_info.processors; k++) {
        snprintf(name, sizeof name, "cpu%u", k);
        put_processor(out, name, &processor_times[k], idle_of(&processor_times[k], up_ns));
    }
    count_tasks(&running);
    text_printf(out,
                "intr 0\nctxt %" PRIu64 "\nbtime %" PRIu64 "\nprocesses %" PRIu64
                "\nprocs_running %u\nprocs_blocked 0\n"
                "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
                sched_switches, (clock_realtime_ns() - clock_monotonic_ns()) / SECOND_NS, proc_tasks_made, running);
    return 0;
}

int
proc_show_uptime(const struct pseudo_key *key, struct text *out)
{
    uint64_t up_ns, idle_ns, up, idle;

    up_ns = account();
    sum_up(up_ns, &idle_ns);
    up = up_ns / TICK_NS;
    idle = idle_ns / TICK_NS;
    text_printf(out, "%" PRIu64 ".%02" PRIu64 " %" PRIu64 ".%02" PRIu64 "\n", up / 100, up % 100, idle / 100,
                idle % 100);
    return 0;
}

int
proc_show_loadavg(const struct pseudo_key *key, struct text *out)
{
    const uint64_t one = UINT64_C(1) << LOAD_SHIFT;
    uint64_t loads[3];
    unsigned running, count = count_tasks(&running);

    sched_account();
    load_averages(loads);
    for (int k = 0; k < 3; k++) {
        uint64_t load = loads[k] + one / 200; /* rounded, as Linux does it */

        text_printf(out, "%" PRIu64 ".%02" PRIu64 " ", load / one, load % one * 100 / one);
    }
    text_printf(out, "%u/%u %d\n", running, count, proc_last_id());
    return 0;
}
