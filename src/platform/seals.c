/* The folder where seals are kept: $XDG_RUNTIME_DIR/ingot, or /run/ingot for root, or /tmp/ingot-UID. It must belong to
 * the user who runs the artifact and be closed to others; symbolic links are not followed. */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static int
try_dir(const char *path)
{
    struct stat st;
    int fd;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int
open_dir(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[512];
    int fd = -1;

    if (runtime && runtime[0] == '/' && strlen(runtime) < sizeof path - 16) {
        snprintf(path, sizeof path, "%s/ingot", runtime);
        fd = try_dir(path);
    }
    if (fd < 0 && geteuid() == 0)
        fd = try_dir("/run/ingot");
    if (fd < 0) {
        snprintf(path, sizeof path, "/tmp/ingot-%u", (unsigned)geteuid());
        fd = try_dir(path);
    }
    return fd;
}

/* Every write to a file of these changes its times, through a mapping as well: the first write through it asks the file
 * system, which updates them, and while a file is executed nobody has it mapped for writing. The last three cannot be
 * written at all. On tmpfs a write through a mapping changes none; of network and stacked file systems nobody here can
 * tell. linux/magic.h. */
static bool
tells_of_writes(int fd)
{
    static const long kinds[] = {0xef53 /* ext4 */,
                                 0x58465342 /* xfs */,
                                 0x9123683e /* btrfs */,
                                 0xf2f52010 /* f2fs */,
                                 0xe0f5e1e2 /* erofs */,
                                 0x73717368 /* squashfs */,
                                 0x9660 /* iso9660 */};
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((unsigned)fs.f_type == (unsigned)kinds[i])
            return true;
    return false;
}

int
platform_file_identity(int fd, struct platform_identity *id)
{
    return tells_of_writes(fd) ? platform_file_times(fd, id) : -EOPNOTSUPP;
}

int
platform_file_times(int fd, struct platform_identity *id)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    *id = (struct platform_identity){
        .device = st.st_dev,
        .inode = st.st_ino,
        .size = (uint64_t)st.st_size,
        .modified_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec,
        .changed_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec,
    };
    return 0;
}

int
platform_seal_open(const char *name)
{
    int dir = open_dir(),
        fd = dir < 0 ? -1 : openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)) {
        close(fd);
        fd = -1;
    }
    if (dir >= 0)
        close(dir);
    return fd;
}
