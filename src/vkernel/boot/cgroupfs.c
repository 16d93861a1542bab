/* /sys/fs/cgroup: the container's limits as programs look for them (the JVM, Go, Node and many libraries take their
 * numbers of threads and sizes of heaps from here), and what it uses of them. It is there when the container has such a
 * limit; nobody can change them from inside. */
#include <inttypes.h>

#include "platform/platform.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/container_limits.h"
#include "vkernel/fs/pseudofs.h"
#include "vkernel/ops.h"
#include "vkernel/proc/memory_limit.h"
#include "vkernel/sched/bandwidth.h"
#include "vkernel/task/cpu_time.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/vfs/vfs.h"

static void
put_limit(struct text *out, uint64_t limit)
{
    if (limit)
        text_printf(out, "%" PRIu64 "\n", limit);
    else
        text_printf(out, "max\n");
}

static int
show_memory_max(const struct pseudo_key *key, struct text *out)
{
    put_limit(out, system_info.memory_limit);
    return 0;
}

static int
show_memory_current(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%" PRIu64 "\n", memory_used());
    return 0;
}

static int
show_memory_events(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "low 0\nhigh 0\nmax %" PRIu64 "\noom %" PRIu64 "\noom_kill %" PRIu64 "\noom_group_kill 0\n",
                memory_kills, memory_kills, memory_kills);
    return 0;
}

static int
show_cpu_max(const struct pseudo_key *key, struct text *out)
{
    const uint64_t period_us = BANDWIDTH_PERIOD_NS / 1000;

    if (container_limits.cpus)
        text_printf(out, "%" PRIu64 " %" PRIu64 "\n",
                    (uint64_t)((unsigned __int128)container_limits.cpus * period_us / 1000000000u), period_us);
    else
        text_printf(out, "max %" PRIu64 "\n", period_us);
    return 0;
}

static int
show_cpu_stat(const struct pseudo_key *key, struct text *out)
{
    uint64_t us = platform_cpu_ns() / 1000, user_us = 0;

    sched_account();
    for (unsigned k = 0; k < system_info.processors; k++)
        user_us += (processor_times[k].user_ns + processor_times[k].nice_ns) / 1000;
    if (user_us > us)
        user_us = us;
    text_printf(out,
                "usage_usec %" PRIu64 "\nuser_usec %" PRIu64 "\nsystem_usec %" PRIu64 "\nnr_periods %" PRIu64
                "\nnr_throttled %" PRIu64 "\nthrottled_usec %" PRIu64 "\n",
                us, user_us, us - user_us, bandwidth_counts.periods, bandwidth_counts.waits,
                bandwidth_counts.waited_ns / 1000);
    return 0;
}

static int
show_pids_max(const struct pseudo_key *key, struct text *out)
{
    put_limit(out, container_limits.pids);
    return 0;
}

static int
show_pids_current(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%u\n", proc_task_count());
    return 0;
}

#define TEXT(file, contents) {.name = file, .mode = S_IFREG | 0444, .text = contents}
#define SHOW(file, function) {.name = file, .mode = S_IFREG | 0444, .show = function}

static const struct pseudo OPS_TABLE(pseudo) cgroup_children[] = {
    TEXT("cgroup.controllers", "cpu memory pids\n"),
    TEXT("cgroup.type", "domain\n"),
    SHOW("cpu.max", show_cpu_max),
    SHOW("cpu.stat", show_cpu_stat),
    SHOW("memory.current", show_memory_current),
    SHOW("memory.events", show_memory_events),
    TEXT("memory.high", "max\n"),
    SHOW("memory.max", show_memory_max),
    TEXT("memory.swap.max", "0\n"),
    SHOW("pids.current", show_pids_current),
    SHOW("pids.max", show_pids_max),
    {.mode = 0},
};
static const struct pseudo OPS_TABLE(pseudo) cgroup_root = {.name = "cgroup",
                                                            .mode = S_IFDIR | 0555,
                                                            .children = cgroup_children};

int
cgroupfs_mount(void)
{
    struct superblock *sb;
    struct path p;
    int r;

    if (!system_info.memory_limit && !container_limits.cpus && !container_limits.pids)
        return 0;
    r = path_walk(AT_FDCWD, "/sys/fs/cgroup", WALK_FOLLOW, &p);
    if (r < 0)
        return r;
    sb = pseudofs_new("cgroup2", 0x63677270, &cgroup_root);
    if (sb)
        sb->read_only = true;
    /* Names of /sys are made each time that they are looked up; what is mounted on must be found again. */
    for (struct dentry *d = p.dentry; d->parent; d = d->parent)
        if (!(d->flags & DENTRY_HASHED))
            dentry_insert(d);
    r = sb ? mount_add(sb, p.dentry) : -ENOMEM;
    path_fini(&p);
    return r;
}
