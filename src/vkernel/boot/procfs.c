/* /proc itself: what is about the machine and the container. It is what this vkernel really offers; the numbers that
 * only a kernel with disks and interrupts has are zero. */
#include <stdio.h>
#include <sys/utsname.h>

#include "platform/hostfs.h"
#include "platform/platform.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/fs/aio.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/proc/memory_limit.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/tty/tty.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/worker/worker.h"
#include "x86/cpuid.h"
#include "x86/level.h"

/* --- made-up names --- */

int
proc_name_number(const char *name)
{
    int64_t number = 0;

    if (!*name || (name[0] == '0' && name[1]))
        return -1;
    for (; *name; name++) {
        if (*name < '0' || *name > '9')
            return -1;
        number = number * 10 + (*name - '0');
        if (number > INT_MAX)
            return -1;
    }
    return (int)number;
}

static int
pid_find(const struct pseudo_key *dir, const char *name, struct pseudo_key *out)
{
    int pid = proc_name_number(name);
    struct task *t;

    if (pid <= 0)
        return -ENOENT;
    memset(out, 0, sizeof *out);
    if (process_find(pid)) {
        out->pid = pid;
        return 0;
    }
    t = task_find(pid); /* /proc/TID works, though it is not listed */
    if (!t)
        return -ENOENT;
    out->pid = t->process->pid;
    out->tid = t->tid;
    return 0;
}

static unsigned
pid_next(const struct pseudo_key *dir, int from, int *out, unsigned max)
{
    unsigned count = 0;

    for (struct process *p = process_next(NULL); p; p = process_next(p))
        if (p->pid >= from)
            pseudofs_keep_smallest(out, &count, max, p->pid);
    return count;
}

static ssize_t
self_readlink(const struct pseudo_key *key, char *buf, size_t size)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d", current_process()->pid);

    if ((size_t)n > size)
        n = (int)size;
    memcpy(buf, text, (size_t)n);
    return n;
}

static ssize_t
thread_self_readlink(const struct pseudo_key *key, char *buf, size_t size)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%d/task/%d", current_process()->pid, current_task()->tid);

    if ((size_t)n > size)
        n = (int)size;
    memcpy(buf, text, (size_t)n);
    return n;
}

/* --- the machine --- */

static void
show_cpu_flags(struct text *out)
{
    static const struct {
        enum x86_level level;
        const char *name;
    } features[] = {
#define FEATURE(level, host, leaf, in, bit, name) {X86_LEVEL_##level, name},
#include "x86/cpuid.def"
#undef FEATURE
    };

    text_printf(out, "flags\t\t:");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (features[i].level <= x86_level() && *features[i].name)
            text_printf(out, " %s", features[i].name);
    text_printf(out, "%s rep_good nopl\n", system_info.processors > 1 ? " ht" : "");
}

static int
show_cpuinfo(const struct pseudo_key *key, struct text *out)
{
    uint32_t signature = (uint32_t)helper_cpuid(1, 0);
    unsigned model = (signature >> 4 & 15) | (signature >> 12 & 0xf0);

    for (unsigned k = 0; k < system_info.processors; k++) {
        text_printf(
            out,
            "processor\t: %u\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: %u\n"
            "model name\t: ingot %s\nstepping\t: 0\ncpu MHz\t\t: 2000.000\ncache size\t: 8192 KB\n"
            "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\n"
            "fpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\n",
            k, model, x86_level_name(x86_level()), system_info.processors, k, system_info.processors, k, k);
        show_cpu_flags(out);
        text_printf(out, "bugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: 64\ncache_alignment\t: 64\n"
                         "address sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n");
    }
    return 0;
}

static int
show_meminfo(const struct pseudo_key *key, struct text *out)
{
    unsigned long long total = platform_memory_total() / 1024, free_kb = platform_memory_free() / 1024;

    if (system_info.memory_limit && system_info.memory_limit / 1024 < total) {
        total = system_info.memory_limit / 1024;
        free_kb = memory_left() / 1024 < free_kb ? memory_left() / 1024 : free_kb;
    }

    text_printf(
        out,
        "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\nBuffers:        %8u kB\n"
        "Cached:         %8u kB\nSwapCached:     %8u kB\nActive:         %8llu kB\nInactive:       %8u kB\n"
        "SwapTotal:      %8u kB\nSwapFree:       %8u kB\nDirty:          %8u kB\nWriteback:      %8u kB\n"
        "AnonPages:      %8llu kB\nMapped:         %8u kB\nShmem:          %8u kB\nSlab:           %8u kB\n"
        "SReclaimable:   %8u kB\nSUnreclaim:     %8u kB\nPageTables:     %8u kB\nCommitLimit:    %8llu kB\n"
        "Committed_AS:   %8llu kB\nVmallocTotal:   34359738367 kB\nVmallocUsed:    %8u kB\nHugePages_Total:       0\n"
        "HugePages_Free:        0\nHugepagesize:       2048 kB\n",
        total, free_kb, free_kb, 0, 0, 0, total - free_kb, 0, 0, 0, 0, 0, total - free_kb, 0, 0, 0, 0, 0, 0, total,
        total - free_kb, 0);
    return 0;
}

static int
show_interrupts(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "           ");
    for (unsigned k = 0; k < system_info.processors; k++)
        text_printf(out, "CPU%-8u", k);
    text_printf(out, "\n");
    return 0;
}

static int
show_hostname(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%s\n", vfs_hostname);
    return 0;
}

static void
uuid(struct text *out, const uint8_t b[16])
{
    for (int k = 0; k < 16; k++)
        text_printf(out, "%s%02x", k == 4 || k == 6 || k == 8 || k == 10 ? "-" : "", b[k]);
    text_printf(out, "\n");
}

static void
random_uuid(uint8_t b[16])
{
    platform_random(b, 16);
    b[6] = (b[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
    b[8] = (b[8] & 0x3f) | 0x80;
}

static int
show_uuid(const struct pseudo_key *key, struct text *out)
{
    uint8_t b[16];

    random_uuid(b);
    uuid(out, b);
    return 0;
}

static int
show_boot_id(const struct pseudo_key *key, struct text *out)
{
    static uint8_t b[16];

    if (!b[6])
        random_uuid(b);
    uuid(out, b);
    return 0;
}

static int
show_file_nr(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%u\t0\t%u\n", file_count, LIMIT_FILES);
    return 0;
}

static int
show_aio_nr(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%llu\n", (unsigned long long)aio_nr);
    return 0;
}

/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) random_dir[] = {
    SHOW("uuid", show_uuid), SHOW("boot_id", show_boot_id), TEXT("entropy_avail", "256\n"), TEXT("poolsize", "256\n"), END};
/* clang-format on */

static int
show_pty_nr(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%u\n", pty_count);
    return 0;
}

/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) pty_dir[] = {
    TEXT("max", LIMIT_TEXT(LIMIT_PTYS)), TEXT("reserve", "1024\n"), SHOW("nr", show_pty_nr), END};
/* clang-format on */

static const struct pseudo OPS_TABLE(pseudo) seccomp_dir[] = {SHOW("actions_avail", proc_show_seccomp_actions),
                                                              {.name = "actions_logged",
                                                               .mode = S_IFREG | 0644,
                                                               .show = proc_show_seccomp_logged,
                                                               .store = proc_store_seccomp_logged},
                                                              END};

static const struct pseudo OPS_TABLE(pseudo) kernel_dir[] = {
    TEXT("pid_max", "4194304\n"),
    TEXT("threads-max", "32768\n"),
    SHOW("hostname", show_hostname),
    TEXT("domainname", "(none)\n"),
    TEXT("ostype", "Linux\n"),
    TEXT("osrelease", SYSTEM_RELEASE "\n"),
    TEXT("version", SYSTEM_VERSION "\n"),
    TEXT("overflowuid", "65534\n"),
    TEXT("overflowgid", "65534\n"),
    TEXT("cap_last_cap", "40\n"),
    TEXT("ngroups_max", "65536\n"),
    TEXT("randomize_va_space", "0\n"),
    TEXT("core_pattern", "core\n"),
    TEXT("shmmax", SHM_MAX_TEXT),
    TEXT("shmall", SHM_MAX_TEXT),
    TEXT("shmmni", LIMIT_TEXT(SHM_NUMBER)),
    TEXT("shm_rmid_forced", "0\n"),
    TEXT("sem", DIGITS(SEM_OF_SET) "\t" DIGITS(SEM_ALL) "\t" DIGITS(SEM_OPS) "\t" LIMIT_TEXT(SEM_SETS)),
    TEXT("msgmax", LIMIT_TEXT(MSG_SIZE)),
    TEXT("msgmnb", LIMIT_TEXT(MSG_BYTES)),
    TEXT("msgmni", LIMIT_TEXT(MSG_QUEUES)),
    TEXT("kptr_restrict", "1\n"),
    TEXT("dmesg_restrict", "0\n"),
    TEXT("perf_event_paranoid", "4\n"),
    TEXT("unprivileged_userns_clone", "0\n"),
    TEXT("sched_child_runs_first", "0\n"),
    TEXT("sched_rr_timeslice_ms", "100\n"),
    TEXT("sched_rt_period_us", "1000000\n"),
    TEXT("sched_rt_runtime_us", "950000\n"),
    TEXT("sched_autogroup_enabled", "0\n"),
    TEXT("core_uses_pid", "0\n"),
    TEXT("core_pipe_limit", "0\n"),
    TEXT("hung_task_timeout_secs", "0\n"),
    TEXT("io_uring_disabled", "2\n"),
    TEXT("numa_balancing", "0\n"),
    TEXT("panic", "0\n"),
    TEXT("panic_on_oops", "0\n"),
    TEXT("printk", "4\t4\t1\t7\n"),
    TEXT("printk_ratelimit", "5\n"),
    TEXT("tainted", "0\n"),
    TEXT("unprivileged_bpf_disabled", "2\n"),
    DIR("random", random_dir),
    DIR("pty", pty_dir),
    DIR("seccomp", seccomp_dir),
    END,
};

static const struct pseudo OPS_TABLE(pseudo) sysvipc_dir[] = {SHOW("shm", ipc_show_shm), SHOW("sem", ipc_show_sem),
                                                              SHOW("msg", ipc_show_msg), END};

/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) vm_dir[] = {
    TEXT("overcommit_memory", "1\n"), TEXT("overcommit_ratio", "50\n"), TEXT("max_map_count", "65530\n"),
    TEXT("swappiness", "60\n"),       TEXT("mmap_min_addr", "65536\n"), TEXT("overcommit_kbytes", "0\n"),
    TEXT("nr_hugepages", "0\n"),      TEXT("nr_overcommit_hugepages", "0\n"), TEXT("legacy_va_layout", "0\n"),
    TEXT("panic_on_oom", "0\n"),      TEXT("oom_kill_allocating_task", "0\n"), TEXT("zone_reclaim_mode", "0\n"), END};

static const struct pseudo OPS_TABLE(pseudo) inotify_dir[] = {
    TEXT("max_user_watches", LIMIT_TEXT(LIMIT_INOTIFY_WATCHES)),
    TEXT("max_user_instances", LIMIT_TEXT(LIMIT_INOTIFY_INSTANCES)),
    TEXT("max_queued_events", LIMIT_TEXT(LIMIT_INOTIFY_EVENTS)), END};
/* clang-format on */

static const struct pseudo OPS_TABLE(pseudo) epoll_dir[] = {TEXT("max_user_watches", LIMIT_TEXT(LIMIT_EPOLL_WATCHES)),
                                                            END};

static const struct pseudo OPS_TABLE(pseudo) mqueue_dir[] = {TEXT("msg_default", LIMIT_TEXT(MQ_MESSAGES)),
                                                             TEXT("msg_max", LIMIT_TEXT(MQ_MESSAGES)),
                                                             TEXT("msgsize_default", LIMIT_TEXT(MQ_SIZE)),
                                                             TEXT("msgsize_max", LIMIT_TEXT(MQ_SIZE)),
                                                             TEXT("queues_max", LIMIT_TEXT(MQ_QUEUES)),
                                                             END};

/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) fs_dir[] = {
    TEXT("file-max", LIMIT_TEXT(LIMIT_FILES)), TEXT("nr_open", LIMIT_TEXT(LIMIT_DESCRIPTORS)),
    TEXT("pipe-max-size", LIMIT_TEXT(LIMIT_PIPE_SIZE)), TEXT("pipe-user-pages-soft", LIMIT_TEXT(LIMIT_PIPE_PAGES)),
    TEXT("pipe-user-pages-hard", "0\n"), TEXT("protected_hardlinks", "1\n"), TEXT("protected_symlinks", "0\n"),
    TEXT("protected_fifos", "0\n"), TEXT("protected_regular", "0\n"), TEXT("overflowuid", "65534\n"),
    TEXT("overflowgid", "65534\n"), TEXT("mount-max", "100000\n"),
    TEXT("suid_dumpable", "0\n"),  SHOW("file-nr", show_file_nr), TEXT("aio-max-nr", LIMIT_TEXT(LIMIT_AIO_REQUESTS)), SHOW("aio-nr", show_aio_nr), TEXT("dir-notify-enable", "1\n"), TEXT("leases-enable", "1\n"), TEXT("lease-break-time", LIMIT_TEXT(LIMIT_LEASE_BREAK)), DIR("inotify", inotify_dir), DIR("mqueue", mqueue_dir),
    DIR("epoll", epoll_dir),       END};

static const struct pseudo OPS_TABLE(pseudo) net_core_dir[] = {
    TEXT("somaxconn", LIMIT_TEXT(LIMIT_BACKLOG)),
    TEXT("rmem_max", LIMIT_TEXT(LIMIT_SOCKET_BUFFER)), TEXT("wmem_max", LIMIT_TEXT(LIMIT_SOCKET_BUFFER)),
    TEXT("rmem_default", LIMIT_TEXT(LIMIT_SOCKET_BUFFER)), TEXT("wmem_default", LIMIT_TEXT(LIMIT_SOCKET_BUFFER)), END};

static const struct pseudo OPS_TABLE(pseudo) net_ipv4_dir[] = {
    TEXT("ip_local_port_range", "32768\t60999\n"), TEXT("tcp_max_syn_backlog", "4096\n"), TEXT("ip_forward", "0\n"),
    TEXT("ip_unprivileged_port_start", "0\n"), TEXT("tcp_fin_timeout", "60\n"), TEXT("tcp_keepalive_time", "7200\n"),
    TEXT("tcp_rmem", "4096\t131072\t6291456\n"), TEXT("tcp_wmem", "4096\t16384\t4194304\n"),
    TEXT("tcp_fastopen", "0\n"), END};
/* clang-format on */

static const struct pseudo OPS_TABLE(pseudo) net_all_dir[] = {TEXT("disable_ipv6", "0\n"), END};
static const struct pseudo OPS_TABLE(pseudo) net_conf_dir[] = {DIR("all", net_all_dir), DIR("default", net_all_dir),
                                                               DIR("lo", net_all_dir), END};
static const struct pseudo OPS_TABLE(pseudo) net_ipv6_dir[] = {DIR("conf", net_conf_dir), TEXT("bindv6only", "0\n"),
                                                               END};

static const struct pseudo OPS_TABLE(pseudo) net_unix_dir[] = {TEXT("max_dgram_qlen", LIMIT_TEXT(LIMIT_DGRAM_QUEUE)),
                                                               END};

/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) net_dir[] = {
    DIR("core", net_core_dir), DIR("ipv4", net_ipv4_dir), DIR("ipv6", net_ipv6_dir), DIR("unix", net_unix_dir), END};

/* Nobody can make any. */
static const struct pseudo OPS_TABLE(pseudo) user_dir[] = {
    TEXT("max_user_namespaces", "0\n"), TEXT("max_pid_namespaces", "0\n"), TEXT("max_mnt_namespaces", "0\n"),
    TEXT("max_net_namespaces", "0\n"), TEXT("max_ipc_namespaces", "0\n"), TEXT("max_uts_namespaces", "0\n"),
    TEXT("max_cgroup_namespaces", "0\n"), TEXT("max_time_namespaces", "0\n"), END};

static const struct pseudo OPS_TABLE(pseudo) sys_dir[] = {
    DIR("kernel", kernel_dir), DIR("vm", vm_dir), DIR("fs", fs_dir), DIR("net", net_dir), DIR("user", user_dir), END};

static const struct pseudo OPS_TABLE(pseudo) root_children[] = {
    {.name = "self", .mode = S_IFLNK | 0777, .readlink = self_readlink},
    {.name = "thread-self", .mode = S_IFLNK | 0777, .readlink = thread_self_readlink},
    {.name = "mounts", .mode = S_IFLNK | 0777, .text = "self/mounts"},
    {.name = "net", .mode = S_IFLNK | 0777, .text = "self/net"},
    SHOW("cpuinfo", show_cpuinfo),
    SHOW("meminfo", show_meminfo),
    SHOW("stat", proc_show_stat),
    SHOW("uptime", proc_show_uptime),
    SHOW("loadavg", proc_show_loadavg),
    TEXT("version", "Linux version " SYSTEM_RELEASE " (ingot) " SYSTEM_VERSION "\n"),
    TEXT("filesystems", "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevpts\nnodev\toverlay\nnodev\tpipefs\nnodev\tsockfs\nnodev\tmqueue\n"),
    TEXT("cmdline", "ingot\n"),
    TEXT("execdomains", "0-0\tLinux           \t[kernel]\n"),
    TEXT("devices", "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n"),
    TEXT("diskstats", ""),
    TEXT("partitions", "major minor  #blocks  name\n\n"),
    TEXT("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    TEXT("modules", ""),
    SHOW("interrupts", show_interrupts),
    TEXT("zoneinfo", ""),
    TEXT("slabinfo", "slabinfo - version: 2.1\n"),
    TEXT("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
    TEXT("vmstat",
         "nr_free_pages 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\npgfree 0\npgalloc_normal 0\n"),
    DIR("sys", sys_dir),
    DIR("sysvipc", sysvipc_dir),
    END,
};
/* clang-format on */

static const struct pseudo OPS_TABLE(pseudo) proc_root = {.name = "proc",
                                                          .mode = S_IFDIR | 0555,
                                                          .children = root_children,
                                                          .dynamic = &proc_pid_entry,
                                                          .find = pid_find,
                                                          .next = pid_next};

int
procfs_mount(struct dentry *root)
{
    int r = proc_namespaces_init();

    return r < 0 ? r : pseudofs_mount(root, "proc", pseudofs_new("proc", 0x9fa0, &proc_root));
}
