/* Files of /proc/PID that a process is set by, and of /proc/sys: what is written is kept, inherited, checked and used,
 * or it is refused. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/page.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/mm/mm.h"
#include "vkernel/seccomp/seccomp.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/vfs/vfs.h"

enum { OOM_MIN = -1000, OOM_MAX = 1000, OLD_DISABLE = -17, OLD_MAX = 15 };

static struct process *
of(const struct pseudo_key *key)
{
    return process_find(key->pid);
}

static struct task *
task_of(const struct pseudo_key *key)
{
    return task_find(key->tid ? key->tid : key->pid);
}

/* One number with white space around it, as kstrtoint has it. */
static int
number_from(const char *data, int base, int64_t low, int64_t high, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(data, &end, base);
    if (end == data || errno)
        return -EINVAL;
    end += strspn(end, " \t\n");
    return *end || *value < low || *value > high ? -EINVAL : 0;
}

/* --- the memory killer's choice --- */

/* Who may spare processes? Linux asks for CAP_SYS_RESOURCE, which no container's root has, because there the machine's
 * other processes would pay. Here the container's own do, so that it is enough to be allowed to kill them all. */
static bool
may_spare(void)
{
    return capable(CAP_SYS_RESOURCE) || capable(CAP_KILL);
}

static int
set_oom_adj(struct process *p, int adj)
{
    if (adj < p->oom_score_adj_min && !may_spare())
        return -EACCES;
    p->oom_score_adj = adj;
    if (may_spare())
        p->oom_score_adj_min = adj;
    /* Who shares the memory would be killed with it (vfork's child sets its own). */
    for (struct process *q = process_next(NULL); q; q = process_next(q))
        if (q != p && q->mm && q->mm == p->mm)
            q->oom_score_adj = adj;
    return 0;
}

int
proc_show_oom_score_adj(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    text_printf(out, "%d\n", p->oom_score_adj);
    return 0;
}

ssize_t
proc_store_oom_score_adj(const struct pseudo_key *key, const char *data, size_t size)
{
    struct process *p = of(key);
    int64_t adj;
    int r = number_from(data, 0, OOM_MIN, OOM_MAX, &adj);

    if (r == 0)
        r = p ? set_oom_adj(p, (int)adj) : -ESRCH;
    return r < 0 ? r : (ssize_t)size;
}

int
proc_show_oom_adj(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    text_printf(out, "%d\n", p->oom_score_adj == OOM_MAX ? OLD_MAX : p->oom_score_adj * -OLD_DISABLE / OOM_MAX);
    return 0;
}

ssize_t
proc_store_oom_adj(const struct pseudo_key *key, const char *data, size_t size)
{
    struct process *p = of(key);
    int64_t adj;
    int r = number_from(data, 0, OLD_DISABLE, OLD_MAX, &adj);

    if (r == 0)
        r = p ? set_oom_adj(p, adj == OLD_MAX ? OOM_MAX : (int)adj * OOM_MAX / -OLD_DISABLE) : -ESRCH;
    return r < 0 ? r : (ssize_t)size;
}

int
proc_show_oom_score(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);
    int64_t total = (int64_t)(system_memory_total() / PAGE_SIZE), points;

    if (!p)
        return -ESRCH;
    points = process_oom_points(p);
    points = points == INT64_MIN ? 0 : (1000 + points * 1000 / (total ? total : 1)) * 2 / 3;
    text_printf(out, "%lld\n", (long long)(points < 0 ? 0 : points));
    return 0;
}

/* --- the audit session --- */

int
proc_show_loginuid(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    text_printf(out, "%u", p->loginuid);
    return 0;
}

ssize_t
proc_store_loginuid(const struct pseudo_key *key, const char *data, size_t size)
{
    static uint32_t last_session;
    struct process *p = of(key);
    int64_t uid;

    if (p != current_process())
        return -EPERM;
    if (number_from(data, 10, 0, UINT32_MAX, &uid) < 0)
        return -EINVAL;
    if (p->loginuid != UINT32_MAX && !capable(CAP_AUDIT_CONTROL))
        return -EPERM;
    p->loginuid = (uint32_t)uid;
    p->sessionid = p->loginuid == UINT32_MAX ? UINT32_MAX : ++last_session;
    return (ssize_t)size;
}

int
proc_show_sessionid(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    text_printf(out, "%u", p->sessionid);
    return 0;
}

/* --- timer slack: the vkernel's timers are never delayed on purpose, which any slack allows --- */

static int
timerslack_task(const struct pseudo_key *key, struct task **t)
{
    *t = task_of(key);
    if (!*t)
        return -ESRCH;
    return (*t)->process == current_process() || capable(CAP_SYS_NICE) ? 0 : -EPERM;
}

int
proc_show_timerslack(const struct pseudo_key *key, struct text *out)
{
    struct task *t;
    int r = timerslack_task(key, &t);

    if (r == 0)
        text_printf(out, "%llu\n", (unsigned long long)t->timer_slack);
    return r;
}

ssize_t
proc_store_timerslack(const struct pseudo_key *key, const char *data, size_t size)
{
    struct task *t;
    int64_t ns;
    int r = timerslack_task(key, &t);

    if (r == 0)
        r = number_from(data, 10, 0, INT64_MAX, &ns);
    if (r < 0)
        return r;
    t->timer_slack = ns ? (uint64_t)ns : t->default_timer_slack;
    return (ssize_t)size;
}

int
proc_show_personality(const struct pseudo_key *key, struct text *out)
{
    struct process *p = of(key);

    if (!p)
        return -ESRCH;
    text_printf(out, "%08x\n", p->personality);
    return 0;
}

/* --- /proc/sys/kernel/seccomp --- */

int
proc_show_seccomp_actions(const struct pseudo_key *key, struct text *out)
{
    char names[SECCOMP_NAMES];

    seccomp_show_available(names);
    text_printf(out, "%s\n", names);
    return 0;
}

int
proc_show_seccomp_logged(const struct pseudo_key *key, struct text *out)
{
    char names[SECCOMP_NAMES];

    seccomp_show_logged(names);
    text_printf(out, "%s\n", names);
    return 0;
}

ssize_t
proc_store_seccomp_logged(const struct pseudo_key *key, const char *data, size_t size)
{
    int r = seccomp_set_logged(data);

    return r < 0 ? r : (ssize_t)size;
}
