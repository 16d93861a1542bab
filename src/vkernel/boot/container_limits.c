/* The options that limit the container as a whole, and the time-out. limit_values.c parses the values, and the rooms
 * that they concern enforce them; this file leads the ones to the others. A wrong value ends the run before the first
 * guest instruction, because a container that runs without the limit that its user asked for is worse than none. */
#include "vkernel/boot/container_limits.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "platform/platform.h"
#include "platform/sanitizer.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/limit_values.h"
#include "vkernel/boot/options.h"
#include "vkernel/fs/disk.h"
#include "vkernel/ops.h"
#include "vkernel/proc/memory_limit.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/run/run.h"
#include "vkernel/sched/bandwidth.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/time/time.h"
#include "vkernel/vfs/limits.h"

#define BILLION        UINT64_C(1000000000)
#define CPUS_LEAST     (BILLION / 100) /* the same least value as docker's */
#define MEMORY_LEAST   (UINT64_C(6) << 20)
#define GRACE_NS       (10 * BILLION) /* between SIGTERM and the end, as docker stop waits */
#define EXIT_TIMED_OUT 124            /* the exit status that timeout(1) has */

_Static_assert((int)PROCESSORS_MAX == (int)PLATFORM_THREADS_MAX, "a processor is a host thread");

struct container_limits container_limits;

static struct {
    struct rlimit limit;
    bool given;
} ulimits[RLIM_NLIMITS];

static bool timed_out;

/* --- options --- */

static void
set_memory(const char *name, const char *value)
{
    uint64_t size;

    if (!option_size(value, &size))
        platform_die("%s %s: expected a number of bytes, with k, m or g behind it", name, value);
    if (size && size < MEMORY_LEAST)
        platform_die("%s %s: the least is 6m", name, value);
    system_info.memory_limit = size;
}

static void
set_pids(const char *name, const char *value)
{
    uint64_t count;

    if (!value_count(value, &count))
        platform_die("%s %s: expected a number of processes and threads, or -1 for no limit", name, value);
    container_limits.pids = count == UINT64_MAX ? 0 : count;
}

static void
set_cpus(const char *name, const char *value)
{
    if (!value_processors(value, &container_limits.cpus))
        platform_die("%s %s: expected a number of processors such as 0.5 or 2", name, value);
    if (container_limits.cpus && container_limits.cpus < CPUS_LEAST)
        platform_die("%s %s: the least is 0.01", name, value);
}

static void
set_disk(const char *name, const char *value)
{
    uint64_t size;

    if (!option_size(value, &size))
        platform_die("%s %s: expected a number of bytes, with k, m or g behind it", name, value);
    disk_set_limit(size);
}

static void
set_timeout(const char *name, const char *value)
{
    if (!value_duration(value, &container_limits.timeout_ns))
        platform_die("%s %s: expected a time such as 90, 1m30s or 1.5h", name, value);
}

static void
set_ulimit(const char *name, const char *value)
{
    struct rlimit limit;
    const char *why;
    int resource;

    if (!value_ulimit(value, &resource, &limit, &why))
        platform_die("%s %s: %s", name, value, why);
    if (resource == RLIMIT_NOFILE && limit.rlim_max > LIMIT_DESCRIPTORS)
        platform_die("%s %s: there are %d descriptors at most", name, value, LIMIT_DESCRIPTORS);
    ulimits[resource].limit = limit;
    ulimits[resource].given = true;
}

static const struct {
    const char *name;
    void (*set)(const char *name, const char *value);
} limit_options[] = {
    {"--memory", set_memory}, {"--pids", set_pids},       {"--pids-limit", set_pids}, {"--cpus", set_cpus},
    {"--disk", set_disk},     {"--timeout", set_timeout}, {"--ulimit", set_ulimit},
};

bool
container_limits_option(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof limit_options / sizeof *limit_options; i++) {
        if (strcmp(limit_options[i].name, name) != 0)
            continue;
        limit_options[i].set(name, value);
        return true;
    }
    return false;
}

/* What is compiled from WebAssembly expects loads and stores in the order of one processor (docs/decisions/0019), and a
 * run that is compared with another one must be repeatable. A sanitized vkernel, whose tasks stay where they began, has
 * several only for who asks for them. */
static unsigned
processors(void)
{
    uint64_t wanted = (container_limits.cpus + BILLION - 1) / BILLION;

    if (!run_keeps_memory_order() || platform_repeatable || lockstep_on)
        return 1;
    if (wanted == 0)
        wanted = PLATFORM_FIBERS_MOVE ? platform_host_processors() : 1;
    return wanted < PLATFORM_THREADS_MAX ? (unsigned)wanted : PLATFORM_THREADS_MAX;
}

void
container_limits_processors(unsigned made)
{
    if (container_limits.cpus && made < system_info.processors)
        platform_die("--cpus: this host allows threads for %u processors only", made);
    system_info.processors = made;
}

void
container_limits_ulimits(struct process *p)
{
    for (int k = 0; k < RLIM_NLIMITS; k++)
        if (ulimits[k].given)
            p->rlimits[k] = ulimits[k].limit;
    cpu_timers_changed(p);
}

/* --- the time-out --- */

/* The container did not end within the time that SIGTERM gave it. */
CALLBACK static void
end_now(struct ktimer *k)
{
    audit_record(AUDIT_PROCESS, "timeout-killed", true, NULL);
    container_exit(SIGKILL);
}

/* Would process 1 notice this signal? As in Linux, process 1 of a container gets only signals that it handles. */
static bool
asks_for(const struct process *p, int sig)
{
    uint64_t handler = p->actions[sig].handler;

    if (handler != (uint64_t)(uintptr_t)SIG_DFL)
        return handler != (uint64_t)(uintptr_t)SIG_IGN;
    LIST_EACH(l, (struct list *)&p->threads) /* a blocked signal stays pending, for sigwait or a signalfd */
        if (list_entry(l, struct task, thread_link)->blocked >> (sig - 1) & 1)
            return true;
    return false;
}

/* Asks the container to end, as docker stop does: SIGTERM first, and SIGKILL when that did not help in time. Where
 * process 1 would not even notice SIGTERM, there is nothing to wait for. */
CALLBACK static void
ask_to_end(struct ktimer *k)
{
    static struct ktimer grace = {.fire = end_now};
    struct audit_entry e;

    timed_out = true;
    audit_begin(&e, AUDIT_PROCESS, "timeout-reached", true);
    audit_number(&e, "ingot.timeout_ms", (int64_t)(container_limits.timeout_ns / 1000000));
    audit_end(&e);
    notice(NOTICE_TIMEOUT, "the container's time is up (--timeout): it is ended");
    if (!init_process || !asks_for(init_process, SIGTERM))
        container_exit(SIGTERM);
    signal_from_host(SIGTERM);
    ktimer_start(&grace, clock_monotonic_ns() + GRACE_NS);
}

int
container_limits_status(int status)
{
    return timed_out && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ? EXIT_TIMED_OUT << 8 : status;
}

void
container_limits_start(void)
{
    static struct ktimer timeout = {.fire = ask_to_end};
    uint64_t deadline;

    system_info.processors = processors();
    if (container_limits.pids)
        proc_limit_tasks(container_limits.pids);
    if (container_limits.cpus && container_limits.cpus < system_info.processors * BILLION)
        bandwidth_start(container_limits.cpus / (BILLION / BANDWIDTH_PERIOD_NS), system_info.processors);
    if (container_limits.timeout_ns &&
        !__builtin_add_overflow(clock_monotonic_ns(), container_limits.timeout_ns, &deadline))
        ktimer_start(&timeout, deadline);
    memory_limit_start();
}
