/* Namespaces, the empty root, volumes as mounts. All mounts made here are detached: they are in no namespace's tree and
 * nothing is above them, so ".." ends at their roots, and they go with the process.
 *
 * The calls are newer than some C libraries: by number. */
#include "platform/lockdown_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* clang-format off */
enum {
    NR_open_tree = 428, NR_mount_setattr = 442, OPEN_TREE_CLONE_ = 1,
    ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, ATTR_NOEXEC = 8, AT_RECURSIVE_ = 0x8000,
};
/* clang-format on */

struct mount_attributes { /* struct mount_attr of linux/mount.h */
    uint64_t set, clear, propagation, userns_fd;
};

/* --- namespaces --- */

static int
write_once(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        r = -errno;
    close(fd);
    return r;
}

/* The user and group are what they were, so that files of a volume keep their owners; nobody else exists. */
static int
map_identity(uid_t uid, gid_t gid)
{
    char text[64];
    int r;

    snprintf(text, sizeof text, "%u %u 1\n", uid, uid);
    r = write_once("/proc/self/uid_map", text);
    if (r < 0)
        return r;
    write_once("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "%u %u 1\n", gid, gid);
    return write_once("/proc/self/gid_map", text);
}

/* As root without a user namespace: in one, files of volumes could not be given away. An ordinary user gets in it the
 * right to change the root, and with a mount namespace the right to make mounts for volumes.
 *
 * Not by default, since each costs more than all the rest (docs/threat-model.md has the figures) and another layer
 * forbids what it is against: a mount namespace or a mount where there are no volumes (the end of the process waits for
 * a grace period of all processors), a network namespace (there is no socket), a PID namespace (a second process; no
 * call names another one). */
int
layer_namespaces(const struct lockdown *l)
{
    int flags = CLONE_NEWIPC | CLONE_NEWUTS;
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (!l->root)
        flags |= CLONE_NEWUSER | (l->volumes ? CLONE_NEWNS : 0);
    if (unshare(flags) < 0)
        return -errno;
    return !l->root && l->writable_volumes ? map_identity(uid, gid) : 0;
}

/* --- the root --- */

/* The list of this process's own descriptors: there is nothing else in it, nothing can be made in it, and no mount is
 * needed. */
int
layer_root(void)
{
    return chroot("/proc/self/fdinfo") < 0 || chdir("/") < 0 ? -errno : 0;
}

/* --- volumes --- */

static int
clone_mount(int dir, const char *path, int flags, uint64_t attributes)
{
    /* what the host mounts there later stays out */
    struct mount_attributes a = {.set = attributes, .propagation = MS_PRIVATE};
    int fd = (int)syscall(NR_open_tree, dir, path, OPEN_TREE_CLONE_ | O_CLOEXEC | flags), error;

    if (fd < 0)
        return -errno;
    if (syscall(NR_mount_setattr, fd, "", AT_EMPTY_PATH | (flags & AT_RECURSIVE_), &a, sizeof a) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

int
platform_open_volume(struct lockdown *l, const char *path, bool read_only)
{
    int fd = -ENOSYS;

    umask(0); /* what is made below it has the mode that the guest's own umask leaves */
    if (l->layers & LAYER_VOLUMES)
        fd = clone_mount(AT_FDCWD, path, AT_RECURSIVE_,
                         ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | (read_only ? ATTR_RDONLY : 0u));
    if (fd >= 0 || fd == -ENOENT || fd == -ENOTDIR || fd == -EACCES)
        return fd;
    if (l->layers & LAYER_VOLUMES)
        lockdown_note(l, LAYER_VOLUMES, fd);
    fd = open(path, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int
platform_open_descriptors(void)
{
    /* By itself it leads to what is open and nowhere else; in its file system, up to /proc/self/mem. */
    int fd = clone_mount(AT_FDCWD, "/proc/self/fd", 0, ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);

    if (fd < 0)
        fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void
platform_make_read_only(int fd)
{
    int mount = clone_mount(fd, "", AT_EMPTY_PATH, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV);
    char path[32];
    int file;

    if (mount < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", mount);
    file = open(path, O_RDONLY | O_CLOEXEC);
    close(mount);
    if (file < 0)
        return;
    dup3(file, fd, O_CLOEXEC);
    close(file);
}
