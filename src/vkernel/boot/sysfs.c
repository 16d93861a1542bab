/* /sys: what programs look for there, which is mostly how many processors there are. */
#include <stdio.h>

#include "vkernel/boot/boot.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/task/system.h"

static const struct pseudo OPS_TABLE(pseudo) empty_dir[] = {END};
/* --- processors: each is a core of its own in one package, on one memory node --- */

static int
show_processors(const struct pseudo_key *key, struct text *out)
{
    char text[PROCESSORS_TEXT];

    text_printf(out, "%s\n", system_processor_list(system_all_processors(), text));
    return 0;
}

static int
show_processors_mask(const struct pseudo_key *key, struct text *out)
{
    char text[PROCESSORS_TEXT];

    text_printf(out, "%s\n", system_processor_mask(system_all_processors(), text));
    return 0;
}

static int
show_self(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%d\n", key->number);
    return 0;
}

static int
show_self_mask(const struct pseudo_key *key, struct text *out)
{
    char text[PROCESSORS_TEXT];

    text_printf(out, "%s\n", system_processor_mask(UINT64_C(1) << key->number, text));
    return 0;
}

static int
show_kernel_max(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "%u\n", PROCESSORS_MAX - 1);
    return 0;
}

static int
find_processor(const struct pseudo_key *dir, const char *name, struct pseudo_key *out)
{
    char wanted[16];

    for (unsigned k = 0; k < system_info.processors; k++) {
        snprintf(wanted, sizeof wanted, "cpu%u", k);
        if (strcmp(name, wanted) == 0) {
            *out = (struct pseudo_key){.number = (int)k};
            return 0;
        }
    }
    return -ENOENT;
}

static unsigned
next_processor(const struct pseudo_key *dir, int from, int *out, unsigned max)
{
    unsigned count = 0;

    for (; from < (int)system_info.processors && count < max; from++)
        out[count++] = from;
    return count;
}

static const struct pseudo OPS_TABLE(pseudo) topology_dir[] = {
    SHOW("core_id", show_self),
    TEXT("physical_package_id", "0\n"),
    TEXT("die_id", "0\n"),
    SHOW("thread_siblings", show_self_mask),
    SHOW("thread_siblings_list", show_self),
    SHOW("core_cpus", show_self_mask),
    SHOW("core_cpus_list", show_self),
    SHOW("core_siblings", show_processors_mask),
    SHOW("core_siblings_list", show_processors),
    SHOW("package_cpus", show_processors_mask),
    SHOW("package_cpus_list", show_processors),
    END,
};
static const struct pseudo OPS_TABLE(pseudo) processor_dir[] = {TEXT("online", "1\n"), DIR("topology", topology_dir),
                                                                END};
static const struct pseudo OPS_TABLE(pseudo) processor_entry = DIR("cpu", processor_dir);
static const struct pseudo OPS_TABLE(pseudo) cpu_dir[] = {
    SHOW("online", show_processors),
    SHOW("possible", show_processors),
    SHOW("present", show_processors),
    SHOW("kernel_max", show_kernel_max),
    TEXT("offline", "\n"),
    TEXT("isolated", "\n"),
    END,
};
static const struct pseudo OPS_TABLE(pseudo) node0_dir[] = {SHOW("cpulist", show_processors),
                                                            SHOW("cpumap", show_processors_mask), END};
static const struct pseudo OPS_TABLE(pseudo) node_dir[] = {TEXT("online", "0\n"), TEXT("possible", "0\n"),
                                                           DIR("node0", node0_dir), END};
static const struct pseudo OPS_TABLE(pseudo) system_dir[] = {
    {.name = "cpu",
     .mode = S_IFDIR | 0555,
     .children = cpu_dir,
     .prefix = "cpu",
     .dynamic = &processor_entry,
     .find = find_processor,
     .next = next_processor},
    DIR("node", node_dir),
    END,
};
static const struct pseudo OPS_TABLE(pseudo) devices_dir[] = {DIR("system", system_dir), DIR("virtual", empty_dir),
                                                              END};
/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) lo_dir[] = {
    TEXT("address", "00:00:00:00:00:00\n"), TEXT("mtu", "65536\n"), TEXT("ifindex", "1\n"), TEXT("operstate", "unknown\n"),
    TEXT("flags", "0x9\n"), TEXT("type", "772\n"), END};
/* clang-format on */
static const struct pseudo OPS_TABLE(pseudo) class_net_dir[] = {DIR("lo", lo_dir), END};
static const struct pseudo OPS_TABLE(pseudo) class_dir[] = {DIR("net", class_net_dir), DIR("tty", empty_dir), END};
static const struct pseudo OPS_TABLE(pseudo) hugepage_dir[] = {TEXT("enabled", "always [madvise] never\n"),
                                                               TEXT("hpage_pmd_size", "2097152\n"), END};
static const struct pseudo OPS_TABLE(pseudo) mm_dir[] = {DIR("transparent_hugepage", hugepage_dir), END};
static const struct pseudo OPS_TABLE(pseudo) sys_kernel_dir[] = {DIR("mm", mm_dir), END};
static const struct pseudo OPS_TABLE(pseudo) sys_fs_dir[] = {DIR("cgroup", empty_dir), END};
/* clang-format off */
static const struct pseudo OPS_TABLE(pseudo) sysfs_children[] = {
    DIR("block", empty_dir), DIR("bus", empty_dir),         DIR("class", class_dir), DIR("dev", empty_dir),
    DIR("devices", devices_dir), DIR("firmware", empty_dir), DIR("fs", sys_fs_dir),   DIR("kernel", sys_kernel_dir),
    DIR("module", empty_dir),    END};
/* clang-format on */
static const struct pseudo OPS_TABLE(pseudo) sysfs_root = {.name = "sys",
                                                           .mode = S_IFDIR | 0555,
                                                           .children = sysfs_children};

int
sysfs_mount(struct dentry *root)
{
    struct superblock *sb = pseudofs_new("sysfs", 0x62656572, &sysfs_root);

    if (sb)
        sb->read_only = true;
    return pseudofs_mount(root, "sys", sb);
}
