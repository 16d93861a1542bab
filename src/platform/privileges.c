/* What the process is and may do: descriptors, user, capabilities, limits. */
#include "platform/lockdown_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITY(n) (UINT64_C(1) << (n))

enum {
    UID_BASE = 2000000000, /* plus the process: nobody's, and no two containers share one */
    UID_NOBODY = 65534,
    GET_MDWE = 66,
    AMBIENT = 47,
    AMBIENT_CLEAR_ALL = 4,
};

/* --- descriptors --- */

struct directory_entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static void
close_inherited(int fd, int list)
{
    if (fd > 2 && fd != list && fcntl(fd, F_GETFD) == 0)
        close(fd);
}

/* Without a list: /proc's makes an inode for each. A new descriptor has the lowest number that is free. So when more of
 * the first ones are free now than we have closed since we started, one was free whenever we opened one, and ours are
 * all among them. False: nothing was closed. */
static bool
close_by_number(size_t volumes)
{
    enum { FIRST = 256, CLOSED_BY_US = 64, VOLUMES_MAX = 8, OPENED = 3 };
    struct pollfd fds[FIRST - OPENED];
    unsigned free = 0;

    for (int i = 0; i < FIRST - OPENED; i++)
        fds[i] = (struct pollfd){.fd = i + OPENED};
    if (volumes > VOLUMES_MAX || ppoll(fds, FIRST - OPENED, &(const struct timespec){0}, NULL) < 0)
        return false;
    for (int i = 0; i < FIRST - OPENED; i++)
        free += (fds[i].revents & POLLNVAL) != 0;
    if (free <= CLOSED_BY_US || syscall(SYS_close_range, FIRST, ~0u, 0) < 0)
        return false;
    for (int i = 0; i < FIRST - OPENED; i++)
        if (!(fds[i].revents & POLLNVAL))
            close_inherited(fds[i].fd, -1);
    return true;
}

/* Ours are all close-on-exec; what came through exec is not. */
int
layer_descriptors(const struct lockdown *l)
{
    _Alignas(uint64_t) char buffer[2048];
    struct rlimit limit;
    int list;
    long n;

    if (close_by_number(l->volume_count))
        return 0;
    list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list < 0) {
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return -errno;
        for (int fd = 3; fd < (int)(limit.rlim_cur < 1 << 20 ? limit.rlim_cur : 1 << 20); fd++)
            close_inherited(fd, -1);
        return 0;
    }
    while ((n = syscall(SYS_getdents64, list, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            const struct directory_entry *d = (const struct directory_entry *)(buffer + at);

            close_inherited(atoi(d->name), list);
            at += d->length;
        }
    }
    close(list);
    return 0;
}

/* --- the user --- */

static int
become(uid_t id)
{
    return setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0 ? -errno : 0;
}

/* As root. With NO_SETUID_FIXUP the capabilities stay, for layer_capabilities to take. */
int
layer_identity(const struct lockdown *l)
{
    int r;

    if (!l->root)
        return 0;
    prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
    if (setgroups(0, NULL) < 0)
        return -errno;
    r = become(UID_BASE + (uid_t)l->id);
    if (r == -EINVAL) /* a user namespace with a short map */
        r = become(UID_NOBODY);
    /* Files in volumes are made by the guest's root for the host's root, as docker does it. Only for files: signals,
     * keys and all else ask for the user above. */
    if (r == 0 && l->writable_volumes) {
        setfsgid(0);
        setfsuid(0);
    }
    return r;
}

static uint64_t
kept_capabilities(const struct lockdown *l)
{
    uint64_t kept = 0;

    if (!l->root)
        return 0;
    if (l->writable_volumes)
        kept |= CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID);
    else if (l->volumes)
        kept |= CAPABILITY(CAP_DAC_READ_SEARCH);
    if (l->network_host)
        kept |= CAPABILITY(CAP_NET_BIND_SERVICE);
    return kept;
}

int
layer_capabilities(const struct lockdown *l)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2], had[2];
    uint64_t kept = kept_capabilities(l), have;
    int r = 0;

    if (syscall(SYS_capget, &header, had) < 0)
        return -errno;
    have = had[0].permitted | (uint64_t)had[1].permitted << 32;
    /* From here on no program that is executed gains any: not by its file, not by its user. So the bounding set, which
     * bounds only that and would take a call for each of 41 capabilities, need not be emptied. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    if ((have & CAPABILITY(CAP_SETPCAP)) &&
        prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) < 0)
        r = -errno;
    prctl(AMBIENT, AMBIENT_CLEAR_ALL, 0, 0, 0);
    kept &= have;
    for (int i = 0; i < 2; i++)
        data[i] = (struct __user_cap_data_struct){.effective = (uint32_t)(kept >> 32 * i),
                                                  .permitted = (uint32_t)(kept >> 32 * i)};
    return syscall(SYS_capset, &header, data) < 0 ? -errno : r;
}

/* --- limits --- */

int
layer_limits(void)
{
    static const __rlimit_resource_t none[] = {RLIMIT_CORE,     RLIMIT_NPROC, RLIMIT_MEMLOCK,
                                               RLIMIT_MSGQUEUE, RLIMIT_NICE,  RLIMIT_RTPRIO};
    const struct rlimit zero = {0};
    int r = 0;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (setrlimit(none[i], &zero) < 0)
            r = -errno;
    /* Also makes what /proc says of this process root's. */
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : r;
}

/* platform_init has asked for it. */
int
layer_memory(void)
{
    return prctl(GET_MDWE, 0, 0, 0, 0) > 0 ? 0 : -EINVAL;
}
