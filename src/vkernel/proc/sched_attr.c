/* sched_setattr(2) and sched_getattr(2). As all that says how tasks are scheduled here but affinity, attributes are kept
 * and shown, since tasks run first come, first served. */
#include <errno.h>
#include <sched.h>
#include <stddef.h>

#include "base/page.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/task/system.h"

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

enum {
    FLAG_RESET_ON_FORK = 1,
    FLAG_RECLAIM = 2,
    FLAG_OVERRUN = 4,
    FLAG_KEEP_POLICY = 8,
    FLAG_KEEP_PARAMETERS = 16,
    FLAG_UTIL_CLAMP = 0x60,
    FLAGS_KNOWN = 0x7f,
};

/* Linux's struct sched_attr. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};
enum { SIZE_FIRST = offsetof(struct attributes, util_min) };
_Static_assert(SIZE_FIRST == 48 && sizeof(struct attributes) == 56, "as in linux/sched/types.h");

/* A slice of processor time, which Linux gives tasks that have asked for none. */
static uint64_t
default_slice(void)
{
    unsigned processors = system_info.processors < 8 ? system_info.processors : 8;

    return 700000u * (uint64_t)(32 - __builtin_clz(processors ? processors : 1));
}

static uint64_t
clamped_slice(uint64_t ns)
{
    const uint64_t least = 100000, most = 100000000;

    return ns == 0 ? 0 : ns < least ? least : ns > most ? most : ns;
}

/* Too long or too short, or set behind what is known here: the guest is told what size is known. */
static int64_t
wrong_size(uint64_t address)
{
    uint32_t size = sizeof(struct attributes);

    return copy_to_guest(address + offsetof(struct attributes, size), &size, sizeof size) < 0 ? -EFAULT : -E2BIG;
}

static int64_t
attributes_from_guest(struct attributes *out, uint64_t address)
{
    uint32_t size;

    *out = (struct attributes){0};
    if (copy_from_guest(&size, address, sizeof size) < 0)
        return -EFAULT;
    if (size == 0)
        size = SIZE_FIRST;
    if (size < SIZE_FIRST || size > PAGE_SIZE)
        return wrong_size(address);
    if (copy_from_guest(out, address, size < sizeof *out ? size : sizeof *out) < 0)
        return -EFAULT;
    for (uint32_t at = sizeof *out; at < size; at++) {
        uint8_t byte;

        if (copy_from_guest(&byte, address + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return wrong_size(address);
    }
    if ((out->flags & FLAG_UTIL_CLAMP) && size < sizeof *out)
        return -EINVAL;
    out->nice = out->nice < -20 ? -20 : out->nice > 19 ? 19 : out->nice;
    return 0;
}

/* Linux's __checkparam_dl: a runtime within a deadline within a period. */
static bool
deadline_is_valid(const struct attributes *a)
{
    const uint64_t least_runtime = 1024, least_period = 100000, most_period = 4194304000;
    uint64_t period = a->period ? a->period : a->deadline;

    return a->deadline && a->runtime >= least_runtime && a->runtime <= a->deadline && a->deadline <= period &&
           period >= least_period && period <= most_period;
}

static bool
is_fair(int policy)
{
    return policy == SCHED_OTHER || policy == SCHED_BATCH;
}

static int64_t
check(const struct attributes *a, int policy)
{
    bool realtime = policy == SCHED_FIFO || policy == SCHED_RR;

    if (policy != SCHED_DEADLINE && !proc_known_policy(policy))
        return -EINVAL;
    if (a->flags & ~(uint64_t)FLAGS_KNOWN)
        return -EINVAL;
    if (a->priority > 99 || (policy == SCHED_DEADLINE && !deadline_is_valid(a)) || realtime != (a->priority != 0))
        return -EINVAL;
    return 0;
}

static int64_t
set_attributes(struct task *t, const struct attributes *a)
{
    bool keeps = a->flags & FLAG_KEEP_POLICY, reset = keeps ? t->reset_on_fork : a->flags & FLAG_RESET_ON_FORK;
    bool fixed = a->flags & FLAG_KEEP_PARAMETERS;
    int policy = keeps ? t->policy : (int)a->policy;
    struct attributes next = *a;
    int64_t r;

    if (fixed) {
        next.nice = t->process->nice;
        next.priority = (uint32_t)t->priority;
    }
    r = check(&next, policy);
    if (r < 0)
        return r;
    if (is_fair(policy) && next.nice < t->process->nice && !proc_may_have_nice(t->process, next.nice))
        return -EPERM;
    if (policy == SCHED_DEADLINE) /* no bandwidth is set aside for it */
        return capable(CAP_SYS_NICE) ? -EBUSY : -EPERM;
    r = proc_may_set_policy(t, policy, reset, (int)next.priority);
    if (r < 0)
        return r;
    if (a->flags & FLAG_UTIL_CLAMP)
        return -EOPNOTSUPP;
    t->reset_on_fork = reset;
    if (fixed)
        return 0;
    t->policy = policy;
    t->priority = (int)next.priority;
    if (is_fair(policy)) {
        t->process->nice = next.nice;
        t->slice_ns = clamped_slice(next.runtime);
    }
    return 0;
}

int64_t
sys_sched_setattr(const uint64_t a[6])
{
    struct attributes attributes;
    struct task *t;
    int64_t r;

    if (!a[1] || (int)a[0] < 0 || a[2])
        return -EINVAL;
    r = attributes_from_guest(&attributes, a[1]);
    if (r < 0)
        return r;
    if ((int)attributes.policy < 0)
        return -EINVAL;
    t = a[0] ? task_find((int)a[0]) : current_task();
    return t ? set_attributes(t, &attributes) : -ESRCH;
}

int64_t
sys_sched_getattr(const uint64_t a[6])
{
    struct attributes out = {0};
    uint32_t size = (uint32_t)a[2];
    const struct task *t;
    bool realtime;

    if (!a[1] || (int)a[0] < 0 || size > PAGE_SIZE || size < SIZE_FIRST || a[3])
        return -EINVAL;
    t = a[0] ? task_find((int)a[0]) : current_task();
    if (!t)
        return -ESRCH;
    realtime = t->policy == SCHED_FIFO || t->policy == SCHED_RR;
    out.size = size < sizeof out ? size : sizeof out;
    out.policy = (uint32_t)t->policy;
    out.flags = t->reset_on_fork ? FLAG_RESET_ON_FORK : 0;
    out.priority = (uint32_t)t->priority;
    out.nice = realtime ? 0 : t->process->nice;
    out.runtime = realtime ? 0 : t->slice_ns ? t->slice_ns : default_slice();
    if (copy_to_guest(a[1], &out, out.size) < 0 ||
        mm_clear(current_mm(), a[1] + out.size, size - out.size) < size - out.size)
        return -EFAULT;
    return 0;
}
