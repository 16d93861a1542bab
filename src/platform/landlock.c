/* Landlock: what the process may open, make and connect to is nothing but its volumes. It holds where the root could
 * not be emptied and no mounts be made. Numbers are those of linux/landlock.h, which older headers lack in part. */
#include "platform/lockdown_internal.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_create_ruleset = 444, NR_add_rule = 445, NR_restrict_self = 446, RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

/* clang-format off */
enum right {
    EXECUTE = 1 << 0, WRITE_FILE = 1 << 1, READ_FILE = 1 << 2, READ_DIR = 1 << 3, REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5, MAKE_CHAR = 1 << 6, MAKE_DIR = 1 << 7, MAKE_REG = 1 << 8, MAKE_SOCK = 1 << 9,
    MAKE_FIFO = 1 << 10, MAKE_BLOCK = 1 << 11, MAKE_SYM = 1 << 12, REFER = 1 << 13, TRUNCATE = 1 << 14,
    IOCTL_DEV = 1 << 15,
};
/* clang-format on */
enum { BIND_TCP = 1, CONNECT_TCP = 2, SCOPE_ABSTRACT_UNIX = 1, SCOPE_SIGNAL = 2 };

#define VOLUME_READ (READ_FILE | READ_DIR)
#define VOLUME_WRITE \
    (WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE)
#define FILE_RIGHTS (READ_FILE | WRITE_FILE | TRUNCATE)

struct ruleset {
    uint64_t files, network, scope;
};
struct beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

/* Which rights an interface of that version knows. */
static struct ruleset
all_rights(long version)
{
    static const uint64_t files[] = {0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1};
    enum { KNOWN = sizeof files / sizeof *files - 1 };

    return (struct ruleset){.files = files[version < KNOWN ? version : KNOWN],
                            .network = version >= 4 ? BIND_TCP | CONNECT_TCP : 0,
                            .scope = version >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0};
}

static int
add_volume(int ruleset, int fd, uint64_t rights)
{
    struct beneath b = {.allowed = rights, .parent_fd = fd};
    struct stat st;

    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        b.allowed &= FILE_RIGHTS;
    return syscall(NR_add_rule, ruleset, RULE_PATH_BENEATH, &b, 0) < 0 ? -errno : 0;
}

int
layer_landlock(const struct lockdown *l)
{
    long version = syscall(NR_create_ruleset, NULL, 0, RULESET_VERSION);
    struct ruleset rights;
    int fd, r = 0;

    if (version < 0)
        return -errno;
    if (version < 2 && l->writable_volumes) /* that forbids every rename from one folder to another */
        return -EOPNOTSUPP;
    rights = all_rights(version);
    if (l->network_host)
        rights.network = 0;
    else if (l->network_user) /* its ports are bound by now */
        rights.network &= BIND_TCP;
    fd = (int)syscall(NR_create_ruleset, &rights, version >= 6 ? sizeof rights : version >= 4 ? 16 : 8, 0);
    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < l->volume_count && r == 0; i++)
        r = add_volume(fd, l->volume[i].fd, rights.files & (VOLUME_READ | (l->volume[i].read_only ? 0 : VOLUME_WRITE)));
    if (r == 0 && syscall(NR_restrict_self, fd, 0) < 0)
        r = -errno;
    close(fd);
    return r;
}
