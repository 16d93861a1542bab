/* What cannot be a volume, nor be in one: file systems that are interfaces to the kernel. What is read and written
 * there are not files: a process's memory (its own, past all that keeps code from being written), devices, programs
 * that the kernel starts as root when something happens. No layer of the lock-down that allows a volume could tell
 * these from files.
 *
 * A volume that such a file system is mounted in would lead there, too. It is refused as a whole: leaving out what is
 * mounted in it would show other folders as empty. */
#include "platform/lockdown.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/rare.h"
#include "platform/hostfs.h"

static const char *const kernel_interfaces[] = {
    "proc",       "sysfs",      "devtmpfs", "devpts",  "cgroup",      "cgroup2",    "cpuset",   "debugfs",
    "tracefs",    "securityfs", "configfs", "bpf",     "binfmt_misc", "efivarfs",   "pstore",   "selinuxfs",
    "smackfs",    "apparmorfs", "mqueue",   "fusectl", "nfsd",        "rpc_pipefs", "resctrl",  "binder",
    "functionfs", "gadgetfs",   "xenfs",    "usbfs",   "usbdevfs",    "nsfs",       "ibmasmfs", "spufs",
    "oprofilefs", "pvfs2_dev",  "cxl",      "dlmfs",   "ocfs2_dlmfs",
};

enum { PATH_SIZE = 4096, DEVICES_MAX = 256 };

/* Of all that are mounted, for lookups that come upon one. Written before lock-down. */
static dev_t refused[DEVICES_MAX];
static unsigned refused_count;

struct mount_line {
    int id;
    dev_t device;
    char *point, type[64], options[1024]; /* point: into the line */
};

static bool
is_kernel_interface(const char *type)
{
    for (size_t i = 0; i < sizeof kernel_interfaces / sizeof *kernel_interfaces; i++)
        if (strcmp(type, kernel_interfaces[i]) == 0)
            return true;
    return false;
}

/* Blanks and the like are written as backslash and three octal digits. */
static void
unescape(char *s)
{
    char *out = s;

    for (; *s; s++) {
        unsigned code;

        if (*s == '\\' && sscanf(s + 1, "%3o", &code) == 1) {
            *out++ = (char)code;
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

/* "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS" */
static bool
parse(char *line, struct mount_line *m)
{
    char *rest = strstr(line, " - "), *save = NULL;
    unsigned major, minor;

    if (!rest || sscanf(line, "%d %*d %u:%u", &m->id, &major, &minor) != 3 ||
        sscanf(rest, " - %63s %*s %1023s", m->type, m->options) != 2)
        return false;
    m->device = makedev(major, minor);
    strtok_r(line, " ", &save);
    for (int i = 0; i < 4; i++)
        m->point = strtok_r(NULL, " ", &save);
    if (!m->point)
        return false;
    unescape(m->point);
    return true;
}

static bool
is_below(const char *point, const char *folder)
{
    size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

    return strncmp(point, folder, n) == 0 && point[n] == '/';
}

static int
mount_of(int fd)
{
    char path[64], line[256];
    int id = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "mnt_id:", 7) == 0)
            id = atoi(line + 7);
    if (f)
        fclose(f);
    return id;
}

/* Whether this mount is where the volume is, or in it, and may not be. */
static bool
forbids(const struct mount_line *m, int id, const char *real, char *why, size_t size)
{
    bool here = m->id == id;

    if (is_kernel_interface(m->type) && (here || is_below(m->point, real))) {
        snprintf(
            why, size,
            here ? "%s%s is an interface to the host's kernel, which no container can be kept within"
                 : "%s is mounted in it (%s): an interface to the host's kernel, which no container can be kept within",
            here ? m->type : m->point, here ? "" : m->type);
        return true;
    }
    /* Without asking the file system, which need not answer. */
    if (here && strncmp(m->type, "fuse", 4) == 0 && geteuid() == 0 && !strstr(m->options, "allow_other")) {
        snprintf(
            why, size,
            "a FUSE file system mounted without allow_other answers nobody but the user who mounted it, and a container that root "
            "starts runs as another one");
        return true;
    }
    return false;
}

bool
platform_volume_refused(const char *path, char *why, size_t size)
{
    static char line[2 * PATH_SIZE] RARE;
    char name[64], real[PATH_SIZE];
    int fd = open(path, O_PATH | O_CLOEXEC), id;
    bool result = false;
    ssize_t n;
    struct stat st;
    FILE *f;

    if (fd < 0)
        return false; /* for who opens it to say */
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    n = readlink(name, real, sizeof real - 1);
    real[n > 0 ? n : 0] = '\0';
    id = mount_of(fd);
    f = fopen("/proc/self/mountinfo", "re");
    if (!f || n <= 0 || id < 0) {
        snprintf(why, size, "/proc does not say what is mounted there");
        result = true;
    }
    refused_count = 0;
    while (f && fgets(line, sizeof line, f)) {
        struct mount_line m;

        if (!parse(line, &m))
            continue;
        if (!result)
            result = forbids(&m, id, real, why, size);
        if (is_kernel_interface(m.type) && refused_count < DEVICES_MAX)
            refused[refused_count++] = m.device;
    }
    if (f)
        fclose(f);
    if (!result && fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))) {
        snprintf(why, size, "it is a device");
        result = true;
    }
    close(fd);
    return result;
}

bool
host_device_refused(dev_t device)
{
    for (unsigned i = 0; i < refused_count; i++)
        if (refused[i] == device)
            return true;
    return false;
}
