/* ioprio_set(2) and ioprio_get(2). A priority is a thread's. */
#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdbool.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/io/ioprio.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/creds.h"

enum { CLASS_SHIFT = 13, LEVELS = 8, DEFAULT_LEVEL_NICE = 5 };

static uint32_t
class_of(uint32_t priority)
{
    return priority >> CLASS_SHIFT & 7;
}

int
ioprio_check(uint32_t priority)
{
    uint32_t level = priority & (LEVELS - 1);

    switch (class_of(priority)) {
    case IOPRIO_CLASS_RT: return capable(CAP_SYS_ADMIN) || capable(CAP_SYS_NICE) ? 0 : -EPERM;
    case IOPRIO_CLASS_BE:
    case IOPRIO_CLASS_IDLE: return 0;
    case IOPRIO_CLASS_NONE: return level ? -EINVAL : 0;
    default: return -EINVAL;
    }
}

/* What a thread without a priority of its own has: Linux derives it from policy and nice value. */
static uint32_t
effective(const struct task *t)
{
    uint32_t class = t->policy == SCHED_IDLE                            ? IOPRIO_CLASS_IDLE
                     : t->policy == SCHED_FIFO || t->policy == SCHED_RR ? IOPRIO_CLASS_RT
                                                                        : IOPRIO_CLASS_BE;

    if (class_of(t->ioprio) != IOPRIO_CLASS_NONE)
        return t->ioprio;
    return class << CLASS_SHIFT | (uint32_t)(t->process->nice + 20) / DEFAULT_LEVEL_NICE;
}

static int
set_one(struct task *t, uint32_t priority)
{
    const struct creds *me = &current_process()->creds, *its = &t->process->creds;

    if (((its->uid != me->euid && its->uid != me->uid) || (its->cap_permitted & ~me->cap_permitted)) &&
        !capable(CAP_SYS_NICE))
        return -EPERM;
    t->ioprio = priority & UINT16_MAX;
    return 0;
}

/* The processes of a group or user, one after the other. */
static struct process *
next_of(struct process *after, int which, int who)
{
    const struct process *self = current_process();
    uint32_t uid = who ? (uint32_t)who : self->creds.uid;

    if (which == IOPRIO_WHO_PGRP)
        return group_next(who ? who : self->pgid, after);
    for (struct process *p = process_next(after); p; p = process_next(p))
        if (p->creds.uid == uid)
            return p;
    return NULL;
}

static int64_t
set_many(int which, int who, uint32_t priority)
{
    int64_t r = -ESRCH;

    for (struct process *p = next_of(NULL, which, who); p; p = next_of(p, which, who))
        LIST_EACH(at, &p->threads) {
            r = set_one(list_entry(at, struct task, thread_link), priority);
            if (r < 0)
                return r;
        }
    return r;
}

/* The best of all: a lower number is a better one. */
static int64_t
get_many(int which, int who)
{
    int64_t best = -ESRCH;

    for (struct process *p = next_of(NULL, which, who); p; p = next_of(p, which, who))
        LIST_EACH(at, &p->threads) {
            uint32_t one = effective(list_entry(at, struct task, thread_link));

            if (best < 0 || one < best)
                best = one;
        }
    return best;
}

int64_t
sys_ioprio_set(const uint64_t a[6])
{
    int which = (int)a[0], who = (int)a[1];
    uint32_t priority = (uint32_t)a[2];
    int r = ioprio_check(priority);
    struct task *t;

    if (r < 0)
        return r;
    switch (which) {
    case IOPRIO_WHO_PROCESS: t = who ? task_find(who) : current_task(); return t ? set_one(t, priority) : -ESRCH;
    case IOPRIO_WHO_PGRP:
    case IOPRIO_WHO_USER: return set_many(which, who, priority);
    default: return -EINVAL;
    }
}

int64_t
sys_ioprio_get(const uint64_t a[6])
{
    int which = (int)a[0], who = (int)a[1];
    const struct task *t;

    switch (which) {
    case IOPRIO_WHO_PROCESS: t = who ? task_find(who) : current_task(); return t ? (int64_t)t->ioprio : -ESRCH;
    case IOPRIO_WHO_PGRP:
    case IOPRIO_WHO_USER: return get_many(which, who);
    default: return -EINVAL;
    }
}
