/* Like a cgroup's limit, by killing the largest process when the container's memory is above it: the host process's own
 * pages and page tables, and files in memory. The host says how much that is, and so counts what guests touch, what the
 * vkernel keeps for them (pipes, sockets, names, signals) and whatever else there is.
 *
 * A guest that touches pages does not call the vkernel, so the limit is looked at on a timer: the next look comes
 * before the rest can be used up, if memory is taken as fast as a processor can clear it. Single calls that bring
 * in much look meanwhile. */
#include "vkernel/proc/memory_limit.h"

#include <signal.h>

#include "platform/platform.h"
#include "vkernel/mm/cow.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/ops.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/sched/bandwidth.h"
#include "vkernel/task/system.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/task/process.h"
#include "vkernel/proc/proc.h"

uint64_t memory_kills;

static void
out_of_memory(const struct process *p)
{
    unsigned long long limit = system_info.memory_limit >> 20;
    struct audit_entry e;

    memory_kills++;
    audit_begin(&e, AUDIT_PROCESS, "memory-killed", true);
    audit_number(&e, "ingot.killed.pid", p->pid);
    audit_string(&e, "ingot.killed.name", p->comm);
    audit_number(&e, "ingot.memory_limit", (int64_t)system_info.memory_limit);
    audit_end(&e);
    notice(NOTICE_MEMORY,
           "%s[%d] was killed: the container was above its limit of %llu MiB of memory. Give it more with --memory",
           p->comm, p->pid, limit);
}

static uint64_t killed_at;   /* monotonic; 0: nobody was */
static uint64_t killed_with; /* what was used then */

static bool
runs(const struct process *p)
{
    if (list_empty(&p->threads)) /* its last thread is giving back what it has, and is on the list no more */
        return true;
    LIST_EACH(l, (struct list *)&p->threads)
        if (list_entry(l, struct task, thread_link)->sched.state != TASK_SLEEPING)
            return true;
    return false;
}

/* How long to wait for those who are dying before another one is killed as well; 0 when nobody is. They run before all
 * others, so that no memory is taken meanwhile, and may have much to give back; but who sleeps may sleep for long. */
static uint64_t
patience(void)
{
    enum { ASLEEP_NS = 20000000, RUNNING_NS = 2000000000 };
    uint64_t most = 0;

    for (struct process *p = process_next(NULL); p; p = process_next(p))
        if (p->group_exit && !p->zombie) { /* its memory may be gone, and its files not yet */
            if (runs(p))
                return RUNNING_NS;
            most = ASLEEP_NS;
        }
    return most;
}

uint64_t
memory_used(void)
{
    return platform_memory_used() + store_memory_used() + cow_memory_used();
}

uint64_t
memory_left(void)
{
    uint64_t now = memory_used();

    return now < system_info.memory_limit ? system_info.memory_limit - now : 0;
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
    /* All that is left may have asked to be spared, as root may: then process 1 ends the container. */
    if (!victim && init_process && !init_process->group_exit)
        victim = init_process;
    return victim;
}

/* Gives back what nobody sees any more. Where that is not enough, kills the largest, and more while what the
 * killed have of all address space says that it will not do: a crowd of small processes grows faster than one
 * after the other dies. */
static void
kill_until_below(uint64_t now)
{
    uint64_t pages = 1, gone = 0, excess;
    struct process *victim;

    mm_drop_spares();
    cow_trim();
    store_empty_all_at_once();
    now = memory_used();
    if (now <= system_info.memory_limit)
        return;
    excess = now - system_info.memory_limit;
    for (struct process *p = process_next(NULL); p; p = process_next(p))
        pages += p->mm && !p->zombie ? p->mm->total_pages : 0;
    killed_at = clock_monotonic_ns();
    killed_with = now;
    do {
        victim = largest();
        if (!victim)
            return;
        gone += victim->mm ? victim->mm->total_pages : 0;
        out_of_memory(victim);
        process_end(victim, SIGKILL);
        LIST_EACH(l, &victim->threads)
            sched_hurry(list_entry(l, struct task, thread_link));
    } while ((unsigned __int128)gone * now <
             (unsigned __int128)excess * pages); /* no floating point: the guest's MXCSR counts here */
}

/* When to look again. Memory comes at 16 GiB/s at most on each processor, which is a KiB in 60 ns: a fault that takes a
 * page table takes 250 ns; and a little more than the limit may be in use then. */
static uint64_t
until_next_look(uint64_t now)
{
    enum { FAR_NS = 20000000, NEAR_NS = 100000, KIB_NS = 60 };
    uint64_t limit = system_info.memory_limit, room = (now < limit ? limit - now : 0) + limit / 64, ns;

    room /= system_info.processors;
    if (room >> 10 > FAR_NS / KIB_NS)
        return FAR_NS;
    ns = (room >> 10) * KIB_NS;
    return ns < NEAR_NS ? NEAR_NS : ns;
}

/* Those who die run before all others on one processor. On the others, others may take more memory meanwhile. */
static bool
others_take(uint64_t now)
{
    return system_info.processors > 1 && now > killed_with + system_info.memory_limit / 64;
}

CALLBACK static void
look(struct ktimer *k)
{
    uint64_t now = memory_used(), time = clock_monotonic_ns();

    if (now <= system_info.memory_limit)
        sched_hurrying = false; /* who is still dying may have much to do, and nobody needs it soon */
    /* While --cpus lets nobody run, memory neither grows nor comes back. */
    if (now > system_info.memory_limit && !bandwidth_wait() && (time - killed_at >= patience() || others_take(now)))
        kill_until_below(now);
    ktimer_start(k, time + until_next_look(now));
    sched_tick_others_by(k->deadline);
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
    if (unseen < system_info.memory_limit / 64)
        return true;
    unseen = 0;
    now = memory_used();
    if (now <= system_info.memory_limit)
        return true;
    if (!patience())
        kill_until_below(now);
    return false;
}
