/* Like a cgroup's limit, by killing the largest process when the container's memory is above it: the host process's own
 * pages and page tables, and files in memory. It is looked at on a timer and while single calls bring in much. */
#include "vkernel/proc/memory_limit.h"

#include <signal.h>

#include "platform/platform.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/ops.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/system.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/task/process.h"
#include "vkernel/proc/proc.h"

static void
out_of_memory(const struct process *p)
{
    unsigned long long limit = system_info.memory_limit >> 20;
    struct audit_entry e;

    audit_begin(&e, AUDIT_PROCESS, "memory-killed", true);
    audit_number(&e, "ingot.killed.pid", p->pid);
    audit_string(&e, "ingot.killed.name", p->comm);
    audit_number(&e, "ingot.memory_limit", (int64_t)system_info.memory_limit);
    audit_end(&e);
    notice(NOTICE_MEMORY,
           "%s[%d] was killed: the container was above its limit of %llu MiB of memory. Give it more with --memory",
           p->comm, p->pid, limit);
}

/* Who was killed before is still on the way out: its memory comes back when it has been scheduled. */
static bool
somebody_is_dying(void)
{
    for (struct process *p = process_next(NULL); p; p = process_next(p))
        if (p->group_exit && !p->zombie && p->mm)
            return true;
    return false;
}

static uint64_t
used(void)
{
    return platform_memory_used() + store_memory_used();
}

static struct process *
largest(void)
{
    struct process *victim = NULL;
    int64_t most = INT64_MIN;

    for (struct process *p = process_next(NULL); p; p = process_next(p)) {
        int64_t points = process_oom_points(p);

        if (points > most) {
            victim = p;
            most = points;
        }
    }
    /* All that is left may have asked to be spared, which takes a capability: then process 1 ends the container. */
    if (!victim && init_process && !init_process->group_exit)
        victim = init_process;
    return victim;
}

/* Kills the largest, and more while what the killed have of all address space says that it will not do: a crowd of
 * small processes grows faster than one after the other dies. */
static void
kill_until_below(uint64_t now)
{
    uint64_t pages = 1, gone = 0, excess = now - system_info.memory_limit;
    struct process *victim;

    for (struct process *p = process_next(NULL); p; p = process_next(p))
        pages += p->mm && !p->zombie ? p->mm->total_pages : 0;
    do {
        victim = largest();
        if (!victim)
            return;
        gone += victim->mm ? victim->mm->total_pages : 0;
        out_of_memory(victim);
        process_end(victim, SIGKILL);
        LIST_EACH(l, &victim->threads)
            sched_hurry(list_entry(l, struct task, thread_link));
    } while ((unsigned __int128)gone * now < (unsigned __int128)excess * pages);
    /* no floating point: the guest's MXCSR counts here */
}

CALLBACK static void
look(struct ktimer *k)
{
    enum { PERIOD_NS = 20000000, PERIOD_ABOVE_NS = 1000000, PATIENCE = 20 };
    static unsigned waited; /* looks, for somebody to die */
    uint64_t now = used();
    bool above = now > system_info.memory_limit;

    if (!above) {
        waited = 0;
    } else if (!somebody_is_dying() || ++waited == PATIENCE) {
        waited = 0;
        kill_until_below(now);
    }
    ktimer_start(k, clock_monotonic_ns() + (above ? PERIOD_ABOVE_NS : PERIOD_NS));
}

void
memory_limit_start(void)
{
    static struct ktimer memory_timer = {.fire = look};

    if (system_info.memory_limit)
        ktimer_start(&memory_timer, clock_monotonic_ns());
}

bool
memory_brought_in(uint64_t size)
{
    static uint64_t unseen; /* brought in since the last look */
    uint64_t now;

    if (!system_info.memory_limit)
        return true;
    unseen += size;
    if (unseen < MEMORY_PIECE)
        return true;
    unseen = 0;
    now = used();
    if (now <= system_info.memory_limit)
        return true;
    if (!somebody_is_dying())
        kill_until_below(now);
    return false;
}
