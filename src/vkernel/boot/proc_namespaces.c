/* /proc/PID/ns (namespaces(7)): links to files that stand for namespaces. There is one of each kind, which all
 * processes are in: a program that asks whether two of them share it, as lsns does, gets its answer. */
#include <stdio.h>
#include <string.h>

#include "vkernel/boot/boot.h"
#include "vkernel/boot/procfs.h"
#include "vkernel/vfs/vfs.h"

#define NSFS_MAGIC 0x6e736673

/* The kinds, the file of each, and which links lead to it. Linux's first number of a namespace that is not the machine's
 * own is the first here. */
enum { FIRST_NUMBER = 0xf0000100u };
#define KINDS(X) X(cgroup, 0) X(ipc, 1) X(mnt, 2) X(net, 3) X(pid, 4) X(time, 5) X(user, 6) X(uts, 7)

static struct superblock *nsfs;

static int
cannot_be_read(const struct pseudo_key *key, struct text *out)
{
    return -EINVAL;
}

/* clang-format off */
#define KIND(kind, k) {.name = #kind, .mode = S_IFREG | 0444, .ino = FIRST_NUMBER + (k), .show = cannot_be_read},
static const struct pseudo OPS_TABLE(pseudo) kinds[] = {KINDS(KIND) END};
/* clang-format on */
static const struct pseudo OPS_TABLE(pseudo) nsfs_root = {.name = "nsfs", .mode = S_IFDIR | 0555, .children = kinds};

static size_t
name_of(const struct pseudo *kind, char *name, size_t size)
{
    return (size_t)snprintf(name, size, "%s:[%u]", kind->name, (unsigned)kind->ino);
}

static ssize_t
link_text(const struct pseudo *kind, char *buf, size_t size)
{
    char name[64];
    size_t n = name_of(kind, name, sizeof name);

    n = n < size ? n : size;
    memcpy(buf, name, n);
    return (ssize_t)n;
}

/* A place without a parent, so that the file's name is the link's text. */
static int
link_place(const struct pseudo *kind, struct dentry **out)
{
    struct dentry *d;
    char name[64];
    int r = vfs_lookup(nsfs->root, kind->name, strlen(kind->name), &d);

    if (r < 0)
        return r;
    *out = dentry_new(NULL, name, name_of(kind, name, sizeof name), d->inode);
    dentry_put(d);
    return *out ? 0 : -ENOMEM;
}

#define LINK_FUNCTIONS(kind, k)                                                      \
    static ssize_t kind##_text(const struct pseudo_key *key, char *buf, size_t size) \
    {                                                                                \
        return link_text(&kinds[k], buf, size);                                      \
    }                                                                                \
    static int kind##_place(const struct pseudo_key *key, struct dentry **out)       \
    {                                                                                \
        return link_place(&kinds[k], out);                                           \
    }
KINDS(LINK_FUNCTIONS)

#define LINK(file, kind) \
    {.name = file, .mode = S_IFLNK | 0777, .is_private = true, .readlink = kind##_text, .follow = kind##_place}

const struct pseudo OPS_TABLE(pseudo) proc_namespace_links[] = {
    LINK("cgroup", cgroup),
    LINK("ipc", ipc),
    LINK("mnt", mnt),
    LINK("net", net),
    LINK("pid", pid),
    LINK("pid_for_children", pid),
    LINK("time", time),
    LINK("time_for_children", time),
    LINK("user", user),
    LINK("uts", uts),
    END,
};

int
proc_namespaces_init(void)
{
    nsfs = pseudofs_new("nsfs", NSFS_MAGIC, &nsfs_root);
    return nsfs ? 0 : -ENOMEM;
}
