/* Resource limits and usage, scheduling parameters, and what the machine looks like. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/memory_limit.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/sched/load.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/time/time.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/limits.h"

/* --- limits --- */

int64_t
sys_getrlimit(const uint64_t a[6])
{
    if (a[0] >= RLIM_NLIMITS)
        return -EINVAL;
    return copy_to_guest(a[1], &current_process()->rlimits[a[0]], sizeof(struct rlimit)) < 0 ? -EFAULT : 0;
}

static int
set_limit(struct process *p, unsigned which, const struct rlimit *r)
{
    if (r->rlim_cur > r->rlim_max)
        return -EINVAL;
    if (which == RLIMIT_NOFILE && r->rlim_max > LIMIT_DESCRIPTORS)
        return -EPERM;
    if (r->rlim_max > p->rlimits[which].rlim_max && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    p->rlimits[which] = *r;
    if (which == RLIMIT_CPU)
        cpu_timers_changed(p);
    return 0;
}

int64_t
sys_setrlimit(const uint64_t a[6])
{
    struct rlimit r;

    if (a[0] >= RLIM_NLIMITS)
        return -EINVAL;
    if (copy_from_guest(&r, a[1], sizeof r) < 0)
        return -EFAULT;
    return set_limit(current_process(), (unsigned)a[0], &r);
}

/* check_prlimit_permission of Linux: another process's only with all of its ids. */
static bool
may_limit(const struct process *p)
{
    const struct creds *c = &current_process()->creds, *t = &p->creds;

    return capable(CAP_SYS_RESOURCE) || (c->uid == t->euid && c->uid == t->suid && c->uid == t->uid &&
                                         c->gid == t->egid && c->gid == t->sgid && c->gid == t->gid);
}

int64_t
sys_prlimit64(const uint64_t a[6])
{
    struct process *p = a[0] ? process_find((int)a[0]) : current_process();
    struct rlimit r, old;
    int e;

    if (a[1] >= RLIM_NLIMITS)
        return -EINVAL;
    if (!p)
        return -ESRCH;
    if (p != current_process() && !may_limit(p))
        return -EPERM;
    if (a[2] && copy_from_guest(&r, a[2], sizeof r) < 0)
        return -EFAULT;
    old = p->rlimits[a[1]];
    if (a[2]) {
        e = set_limit(p, (unsigned)a[1], &r);
        if (e < 0)
            return e;
    }
    return a[3] && copy_to_guest(a[3], &old, sizeof old) < 0 ? -EFAULT : 0;
}

static struct timeval
timeval_of(uint64_t ns)
{
    return (struct timeval){(time_t)(ns / 1000000000u), (suseconds_t)(ns % 1000000000u / 1000)};
}

void
rusage_set_times(struct rusage *ru, uint64_t cpu_ns, uint64_t system_ns)
{
    ru->ru_utime = timeval_of(cpu_ns - system_ns);
    ru->ru_stime = timeval_of(system_ns);
}

int64_t
sys_getrusage(const uint64_t a[6])
{
    struct process *p = current_process();
    struct rusage ru = {0};
    uint64_t cpu_ns, system_ns;

    sched_account();
    switch ((int)a[0]) {
    case RUSAGE_SELF:
        cpu_ns = p->cpu_ns;
        system_ns = p->system_ns;
        break;
    case RUSAGE_CHILDREN:
        cpu_ns = p->children_cpu_ns;
        system_ns = p->children_system_ns;
        break;
    case RUSAGE_THREAD:
        cpu_ns = current_task()->cpu_ns;
        system_ns = current_task()->system_ns;
        break;
    default: return -EINVAL;
    }
    rusage_set_times(&ru, cpu_ns, system_ns);
    ru.ru_maxrss = (long)(p->mm->total_pages * 4);
    ru.ru_nvcsw = (long)p->voluntary;
    ru.ru_nivcsw = (long)p->involuntary;
    return copy_to_guest(a[1], &ru, sizeof ru) < 0 ? -EFAULT : 0;
}

/* --- the machine --- */

int64_t
sys_sysinfo(const uint64_t a[6])
{
    struct sysinfo si = {0};
    uint64_t loads[3];
    unsigned n = 0;

    sched_account();
    load_averages(loads);
    for (int k = 0; k < 3; k++)
        si.loads[k] = (unsigned long)(loads[k] << (SI_LOAD_SHIFT - LOAD_SHIFT));
    for (struct process *p = process_next(NULL); p; p = process_next(p))
        n += p->thread_count;
    si.uptime = (long)(clock_monotonic_ns() / 1000000000u);
    si.totalram = system_memory_total();
    si.freeram = platform_memory_free();
    if (system_info.memory_limit && si.freeram > memory_left())
        si.freeram = memory_left();
    si.procs = (unsigned short)n;
    si.mem_unit = 1;
    return copy_to_guest(a[0], &si, sizeof si) < 0 ? -EFAULT : 0;
}

int64_t
sys_uname(const uint64_t a[6])
{
    struct utsname u = {0};

    strcpy(u.sysname, "Linux");
    snprintf(u.nodename, sizeof u.nodename, "%s", system_info.hostname);
    strcpy(u.release, current_process()->personality & PERSONALITY_UNAME26 ? SYSTEM_RELEASE_26 : SYSTEM_RELEASE);
    strcpy(u.version, SYSTEM_VERSION);
    strcpy(u.machine, (current_process()->personality & 0xff) == PERSONALITY_LINUX32 ? "i686" : "x86_64");
    snprintf(u.domainname, sizeof u.domainname, "%s", system_info.domainname);
    return copy_to_guest(a[0], &u, sizeof u) < 0 ? -EFAULT : 0;
}

static int64_t
set_name(char *slot, uint64_t address, uint64_t length)
{
    char name[65] = {0};

    if (!capable(CAP_SYS_ADMIN))
        return -EPERM;
    if (length > 64)
        return -EINVAL;
    if (copy_from_guest(name, address, length) < 0)
        return -EFAULT;
    memcpy(slot, name, sizeof name);
    return 0;
}

int64_t
sys_sethostname(const uint64_t a[6])
{
    return set_name(system_info.hostname, a[0], a[1]);
}

int64_t
sys_setdomainname(const uint64_t a[6])
{
    return set_name(system_info.domainname, a[0], a[1]);
}

int64_t
sys_getrandom(const uint64_t a[6])
{
    enum { RANDOM = 2, INSECURE = 4 };
    uint64_t done = 0, left = a[1] > INT32_MAX ? INT32_MAX : a[1];

    if ((a[2] & ~7ull) || (a[2] & (RANDOM | INSECURE)) == (RANDOM | INSECURE))
        return -EINVAL;
    while (left) {
        uint8_t chunk[1024];
        size_t n = left < sizeof chunk ? left : sizeof chunk, copied;

        platform_random(chunk, n);
        copied = copy_to_guest_partial(a[0] + done, chunk, n);
        explicit_bzero(chunk, n);
        done += copied;
        left -= n;
        if (copied < n)
            return done ? (int64_t)done : -EFAULT;
        if (done % PAGE_SIZE == 0 && (sched_checkpoint() < 0 || signal_pending_current()))
            break; /* as on Linux, whose first page cannot be interrupted */
    }
    return (int64_t)done;
}

/* --- scheduling parameters: kept without effect but for affinity, as tasks run first come, first served --- */

int64_t
sys_sched_yield(const uint64_t a[6])
{
    sched_yield_now();
    return 0;
}

/* Without CAP_SYS_NICE: an own process, that may do no more than the caller (cap_safe_nice of Linux). */
static bool
may_schedule(const struct process *p)
{
    const struct creds *c = &current_process()->creds;

    return (c->euid == p->creds.euid || c->euid == p->creds.uid) && !(p->creds.cap_permitted & ~c->cap_permitted);
}

/* As Linux's get_user_cpu_mask: a mask that is shorter than the kernel's has zeros behind it, and of a longer one the
 * rest is not looked at. */
int64_t
sys_sched_setaffinity(const uint64_t a[6])
{
    struct task *t = a[0] ? task_find((int)a[0]) : current_task();
    uint64_t set = 0;

    if (copy_from_guest(&set, a[2], a[1] < sizeof set ? a[1] : sizeof set) < 0)
        return -EFAULT;
    if (!t)
        return -ESRCH;
    if (!may_schedule(t->process) && !capable(CAP_SYS_NICE))
        return -EPERM;
    set &= system_all_processors();
    if (set == 0)
        return -EINVAL;
    sched_set_affinity(t, set);
    return 0;
}

int64_t
sys_sched_getaffinity(const uint64_t a[6])
{
    const struct task *t = a[0] ? task_find((int)a[0]) : current_task();
    uint64_t set;

    if ((uint32_t)a[1] * UINT32_C(8) < system_info.processors ||
        a[1] % sizeof set != 0) /* Linux's product wraps around, too */
        return -EINVAL;
    if (!t)
        return -ESRCH;
    set = t->sched.affinity;
    return copy_to_guest(a[2], &set, sizeof set) < 0 ? -EFAULT : (int64_t)sizeof set;
}

int64_t
sys_getcpu(const uint64_t a[6])
{
    uint32_t processor = sched_processor(), node = 0;
    int r = 0;

    if (a[0] && copy_to_guest(a[0], &processor, sizeof processor) < 0)
        r = -EFAULT;
    if (a[1] && copy_to_guest(a[1], &node, sizeof node) < 0)
        r = -EFAULT;
    return r;
}

bool
proc_known_policy(int policy)
{
    return policy == SCHED_OTHER || policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_BATCH ||
           policy == SCHED_IDLE;
}

int64_t
sys_sched_getscheduler(const uint64_t a[6])
{
    const struct task *t;

    if ((int)a[0] < 0)
        return -EINVAL;
    t = a[0] ? task_find((int)a[0]) : current_task();
    if (!t)
        return -ESRCH;
    return t->policy | (t->reset_on_fork ? SCHED_RESET_ON_FORK : 0);
}

bool
proc_may_have_nice(const struct process *p, int nice)
{
    return (uint64_t)(20 - nice) <= p->rlimits[RLIMIT_NICE].rlim_cur || capable(CAP_SYS_NICE);
}

/* From SCHED_IDLE, which is as nice 20, back to a nice value takes a limit that allows this one. */
int
proc_may_set_policy(const struct task *t, int policy, bool reset_on_fork, int priority)
{
    bool realtime = policy == SCHED_FIFO || policy == SCHED_RR;

    if (realtime ? priority < 1 || priority > 99 : priority != 0)
        return -EINVAL;
    if (!capable(CAP_SYS_NICE) &&
        (realtime || !may_schedule(t->process) || (t->reset_on_fork && !reset_on_fork) ||
         (t->policy == SCHED_IDLE && policy != SCHED_IDLE && !proc_may_have_nice(t->process, t->process->nice))))
        return -EPERM;
    return 0;
}

static int64_t
set_policy(struct task *t, int policy, bool reset_on_fork, guest_addr param)
{
    int priority, r;

    if (copy_from_guest(&priority, param, sizeof priority) < 0)
        return -EFAULT;
    if (!t)
        return -ESRCH;
    r = proc_may_set_policy(t, policy, reset_on_fork, priority);
    if (r < 0)
        return r;
    t->policy = policy;
    t->reset_on_fork = reset_on_fork;
    t->priority = priority;
    return 0;
}

int64_t
sys_sched_setscheduler(const uint64_t a[6])
{
    int policy = (int)a[1] & ~SCHED_RESET_ON_FORK;

    if ((int)a[0] < 0 || !a[2] || !proc_known_policy(policy))
        return -EINVAL;
    return set_policy(a[0] ? task_find((int)a[0]) : current_task(), policy, a[1] & SCHED_RESET_ON_FORK, a[2]);
}

int64_t
sys_sched_getparam(const uint64_t a[6])
{
    struct task *t = a[0] ? task_find((int)a[0]) : current_task();

    if ((int)a[0] < 0 || !a[1])
        return -EINVAL;
    if (!t)
        return -ESRCH;
    return copy_to_guest(a[1], &t->priority, sizeof t->priority) < 0 ? -EFAULT : 0;
}

int64_t
sys_sched_setparam(const uint64_t a[6])
{
    struct task *t = a[0] ? task_find((int)a[0]) : current_task();

    if ((int)a[0] < 0 || !a[1])
        return -EINVAL;
    return set_policy(t, t ? t->policy : SCHED_OTHER, t && t->reset_on_fork, a[1]);
}

int64_t
sys_sched_get_priority_max(const uint64_t a[6])
{
    if (!proc_known_policy((int)a[0]))
        return -EINVAL;
    return a[0] == SCHED_FIFO || a[0] == SCHED_RR ? 99 : 0;
}

int64_t
sys_sched_get_priority_min(const uint64_t a[6])
{
    if (!proc_known_policy((int)a[0]))
        return -EINVAL;
    return a[0] == SCHED_FIFO || a[0] == SCHED_RR ? 1 : 0;
}

int64_t
sys_sched_rr_get_interval(const uint64_t a[6])
{
    if ((int)a[0] < 0)
        return -EINVAL;
    if (a[0] && !task_find((int)a[0]))
        return -ESRCH;
    return timespec_to_guest(a[1], 10000000) < 0 ? -EFAULT : 0;
}

/* The processes that getpriority and setpriority are about, one after the other. */
static struct process *
next_of(struct process *after, int which, int who)
{
    const struct process *self = current_process();
    struct task *t;

    switch (which) {
    case PRIO_PROCESS: t = who ? task_find(who) : current_task(); return after || !t ? NULL : t->process;
    case PRIO_PGRP: return group_next(who ? who : self->pgid, after);
    case PRIO_USER:
        for (struct process *p = process_next(after); p; p = process_next(p))
            if (!p->zombie && p->creds.uid == (who ? (uint32_t)who : self->creds.uid))
                return p;
        return NULL;
    default: return NULL;
    }
}

int64_t
sys_getpriority(const uint64_t a[6])
{
    int64_t best = -ESRCH;

    if (a[0] > PRIO_USER)
        return -EINVAL;
    for (struct process *p = next_of(NULL, (int)a[0], (int)a[1]); p; p = next_of(p, (int)a[0], (int)a[1]))
        if (20 - p->nice > best)
            best = 20 - p->nice;
    return best;
}

static int
set_nice(struct process *p, int nice)
{
    if (!may_schedule(p) && !capable(CAP_SYS_NICE))
        return -EPERM;
    if (nice < p->nice && (uint64_t)(20 - nice) > p->rlimits[RLIMIT_NICE].rlim_cur && !capable(CAP_SYS_NICE))
        return -EACCES;
    p->nice = nice;
    return 0;
}

/* Kept, inherited and shown: tasks run first come, first served. */
int64_t
sys_setpriority(const uint64_t a[6])
{
    int nice = (int)a[2] < -20 ? -20 : (int)a[2] > 19 ? 19 : (int)a[2], r = -ESRCH;

    if (a[0] > PRIO_USER)
        return -EINVAL;
    for (struct process *p = next_of(NULL, (int)a[0], (int)a[1]); p; p = next_of(p, (int)a[0], (int)a[1])) {
        int one = set_nice(p, nice);

        if (one < 0)
            r = one;
        else if (r == -ESRCH)
            r = 0;
    }
    return r;
}

static bool
any_task(struct task *t, const void *arg)
{
    (void)t;
    (void)arg;
    return true;
}

/* A barrier for the caller's siblings, which have none of their own. Each that runs guest code on another processor is
 * brought into the vkernel before this returns. By then its earlier accesses are done, and it does not begin its later
 * ones before it has had the kernel lock, which the caller lets go when the call is over. The same is true already of a
 * thread that is in the vkernel or waits for a processor. */
int64_t
sys_membarrier(const uint64_t a[6])
{
    enum {
        QUERY = 0,
        GLOBAL = 1,
        GLOBAL_EXPEDITED = 2,
        REGISTER_GLOBAL_EXPEDITED = 4,
        PRIVATE_EXPEDITED = 8,
        REGISTER_PRIVATE_EXPEDITED = 16,
        PRIVATE_EXPEDITED_SYNC_CORE = 32,
        REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64,
        GET_REGISTRATIONS = 512,
        ALL = 127 | GET_REGISTRATIONS, /* what is left out is for rseq */
    };
    struct mm *mm = current_process()->mm;

    if ((unsigned)a[1] != 0)
        return -EINVAL;
    switch ((int)a[0]) {
    case QUERY: return ALL;
    case GLOBAL:
    case GLOBAL_EXPEDITED: sched_stop_others(any_task, NULL); return 0;
    case REGISTER_GLOBAL_EXPEDITED:
    case REGISTER_PRIVATE_EXPEDITED:
    case REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: mm->membarriers |= (unsigned)a[0]; return 0;
    case PRIVATE_EXPEDITED:
    case PRIVATE_EXPEDITED_SYNC_CORE:
        if (!(mm->membarriers & (unsigned)a[0] << 1))
            return -EPERM;
        sched_stop_others(task_runs_in, mm);
        return 0;
    case GET_REGISTRATIONS: return mm->membarriers;
    default: return -EINVAL;
    }
}
