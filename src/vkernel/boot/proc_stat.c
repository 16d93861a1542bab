/* What the kernel has counted since it began: /proc/stat, /proc/uptime and /proc/loadavg. */
#include "platform/platform.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"

#define TICK_NS 10000000u

static uint64_t
all_cpu_ns(unsigned *processes, unsigned *running)
{
    uint64_t sum = 0;

    *processes = *running = 0;
    for (struct process *p = process_next(NULL); p; p = process_next(p)) {
        sum += p->cpu_ns;
        if (p == init_process)
            sum += p->children_cpu_ns;
        (*processes) += p->thread_count;
        LIST_EACH(l, &p->threads)
            *running += list_entry(l, struct task, thread_link)->sched.state == TASK_RUNNING;
    }
    return sum;
}

int
proc_show_stat(const struct pseudo_key *key, struct text *out)
{
    unsigned processes, running;
    uint64_t cpu = all_cpu_ns(&processes, &running) / TICK_NS, up = clock_monotonic_ns() / TICK_NS;
    uint64_t all = up * system_info.processors, idle = all > cpu ? all - cpu : 0;

    text_printf(out, "cpu  %llu 0 0 %llu 0 0 0 0 0 0\n", (unsigned long long)cpu, (unsigned long long)idle);
    for (unsigned k = 0; k < system_info.processors; k++)
        text_printf(out, "cpu%u %llu 0 0 %llu 0 0 0 0 0 0\n", k, (unsigned long long)(cpu / system_info.processors),
                    (unsigned long long)(idle / system_info.processors));
    text_printf(
        out,
        "intr 0\nctxt %llu\nbtime %llu\nprocesses %u\nprocs_running %u\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        0ull, (unsigned long long)((clock_realtime_ns() - clock_monotonic_ns()) / 1000000000), processes,
        running ? running : 1);
    return 0;
}

int
proc_show_uptime(const struct pseudo_key *key, struct text *out)
{
    unsigned processes, running;
    uint64_t up = clock_monotonic_ns() / TICK_NS, cpu = all_cpu_ns(&processes, &running) / TICK_NS;
    uint64_t all = up * system_info.processors, idle = all > cpu ? all - cpu : 0;

    text_printf(out, "%llu.%02llu %llu.%02llu\n", (unsigned long long)(up / 100), (unsigned long long)(up % 100),
                (unsigned long long)(idle / 100), (unsigned long long)(idle % 100));
    return 0;
}

int
proc_show_loadavg(const struct pseudo_key *key, struct text *out)
{
    unsigned processes, running;
    int last = 0;

    all_cpu_ns(&processes, &running);
    for (struct process *p = process_next(NULL); p; p = process_next(p))
        if (p->pid > last)
            last = p->pid;
    text_printf(out, "0.00 0.00 0.00 %u/%u %d\n", running ? running : 1, processes, last);
    return 0;
}
