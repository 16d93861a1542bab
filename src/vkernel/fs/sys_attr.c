/* System calls on attributes: stat, access, mode, owner, times, statfs. */
#include <sys/inotify.h>
#include <linux/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <utime.h>

#include <linux/magic.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/ops.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/vfs.h"

/* --- stat. The guest's struct stat is x86-64's, as the host's. --- */

static int
stat_at(int dirfd, guest_addr path, int flags, struct stat *st)
{
    UNINITIALIZED char name[VFS_PATH_MAX];
    struct path p;
    int r = path == 0 && (flags & AT_EMPTY_PATH) ? (name[0] = '\0', 0) : path_from_guest(name, path);

    if (r < 0)
        return r;
    if (!*name && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD) {
        FILE_REF struct file *f = fd_get(dirfd);

        return f ? file_stat(f, st) : -EBADF;
    }
    r = path_walk(dirfd, name,
                  ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW) | ((flags & AT_EMPTY_PATH) ? WALK_EMPTY : 0), &p);
    if (r < 0)
        return r;
    r = inode_stat(p.dentry->inode, st);
    path_fini(&p);
    return r;
}

static int64_t
stat_out(int r, const struct stat *st, guest_addr to)
{
    if (r < 0)
        return r;
    return copy_to_guest(to, st, sizeof *st) < 0 ? -EFAULT : 0;
}

int64_t
sys_stat(const uint64_t a[6])
{
    struct stat st;

    return stat_out(stat_at(AT_FDCWD, a[0], 0, &st), &st, a[1]);
}

int64_t
sys_lstat(const uint64_t a[6])
{
    struct stat st;

    return stat_out(stat_at(AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, &st), &st, a[1]);
}

int64_t
sys_fstat(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    struct stat st;

    return f ? stat_out(file_stat(f, &st), &st, a[1]) : -EBADF;
}

int64_t
sys_newfstatat(const uint64_t a[6])
{
    struct stat st;

    if ((int)a[3] & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
        return -EINVAL;
    return stat_out(stat_at((int)a[0], a[1], (int)a[3], &st), &st, a[2]);
}

static struct statx_timestamp
statx_time(struct timespec t)
{
    return (struct statx_timestamp){.tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec};
}

int64_t
sys_statx(const uint64_t a[6])
{
    struct stat st;
    struct statx x = {0};
    int r;

    if ((int)a[2] & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE))
        return -EINVAL;
    if ((a[2] & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    if (a[3] & 0x80000000u)
        return -EINVAL;
    r = stat_at((int)a[0], a[1], (int)a[2], &st);
    if (r < 0)
        return r;
    x.stx_mask = STATX_BASIC_STATS;
    x.stx_blksize = (uint32_t)st.st_blksize;
    x.stx_nlink = (uint32_t)st.st_nlink;
    x.stx_uid = st.st_uid;
    x.stx_gid = st.st_gid;
    x.stx_mode = (uint16_t)st.st_mode;
    x.stx_ino = st.st_ino;
    x.stx_size = (uint64_t)st.st_size;
    x.stx_blocks = (uint64_t)st.st_blocks;
    x.stx_atime = statx_time(st.st_atim);
    x.stx_mtime = statx_time(st.st_mtim);
    x.stx_ctime = statx_time(st.st_ctim);
    x.stx_rdev_major = major(st.st_rdev);
    x.stx_rdev_minor = minor(st.st_rdev);
    x.stx_dev_major = major(st.st_dev);
    x.stx_dev_minor = minor(st.st_dev);
    return copy_to_guest(a[4], &x, sizeof x) < 0 ? -EFAULT : 0;
}

/* --- access: with the real ids --- */

static int64_t
access_at(int dirfd, guest_addr path, int mode, int flags)
{
    NO_SLEEP; /* with other rights than the process's own */
    UNINITIALIZED char name[VFS_PATH_MAX];
    struct creds *c = &current_process()->creds, saved = *c;
    struct path p;
    int r = path_from_guest(name, path);

    if (r < 0)
        return r;
    if (mode & ~7 || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (!(flags & AT_EACCESS)) {
        c->fsuid = c->uid;
        c->fsgid = c->gid;
        c->cap_effective = c->uid == 0 ? c->cap_permitted : 0;
    }
    r = path_walk(dirfd, name,
                  ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW) | ((flags & AT_EMPTY_PATH) ? WALK_EMPTY : 0), &p);
    if (r == 0) {
        if (mode)
            r = inode_permission(p.dentry->inode, mode);
        path_fini(&p);
    }
    *c = saved;
    return r;
}

int64_t
sys_access(const uint64_t a[6])
{
    return access_at(AT_FDCWD, a[0], (int)a[1], 0);
}

int64_t
sys_faccessat(const uint64_t a[6])
{
    return access_at((int)a[0], a[1], (int)a[2], 0);
}

int64_t
sys_faccessat2(const uint64_t a[6])
{
    return access_at((int)a[0], a[1], (int)a[2], (int)a[3]);
}

/* --- changing --- */

static int
change(struct inode *i, struct dentry *d, const struct iattr *attr)
{
    uint32_t mask = IN_ATTRIB;
    int r = inode_setattr(i, attr);

    if (attr->valid == ATTR_ATIME || attr->valid == ATTR_MTIME)
        mask = attr->valid == ATTR_ATIME ? 0x1 : 0x2; /* IN_ACCESS, IN_MODIFY */
    if (r == 0 && attr->valid) {
        if (d)
            inotify_dentry(d, mask);
        else
            inotify_event(i, mask, NULL, 0);
    }
    return r;
}

typedef int change_fn(struct inode *i, struct dentry *d, const void *arg);

static int64_t
change_at(int dirfd, guest_addr path, int flags, change_fn *fn, const void *arg)
{
    UNINITIALIZED char name[VFS_PATH_MAX];
    struct path p;
    int r = path_from_guest(name, path);

    if (r < 0)
        return r;
    if (!*name && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD) {
        FILE_REF struct file *f = fd_get(dirfd);

        if (!f)
            return -EBADF;
        return f->inode ? fn(f->inode, f->dentry, arg) : -EINVAL;
    }
    r = path_walk(dirfd, name,
                  ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW) | ((flags & AT_EMPTY_PATH) ? WALK_EMPTY : 0), &p);
    if (r < 0)
        return r;
    r = fn(p.dentry->inode, p.dentry, arg);
    path_fini(&p);
    return r;
}

static int64_t
change_fd(uint64_t fd, change_fn *fn, const void *arg)
{
    FILE_REF struct file *f = fd_get((int)fd);

    if (!f || (f->flags & O_PATH))
        return -EBADF;
    return f->inode ? fn(f->inode, f->dentry, arg) : -EPERM;
}

static int
do_chmod(struct inode *i, struct dentry *d, const void *arg)
{
    struct iattr attr = {.valid = ATTR_MODE, .mode = *(const uint32_t *)arg & 07777};

    if (!inode_owner_or_capable(i))
        return -EPERM;
    if (S_ISLNK(i->mode))
        return -EOPNOTSUPP;
    if (!in_group(i->gid) && !capable(CAP_FSETID))
        attr.mode &= ~(uint32_t)S_ISGID;
    return change(i, d, &attr);
}

int64_t
sys_chmod(const uint64_t a[6])
{
    uint32_t mode = (uint32_t)a[1];

    return change_at(AT_FDCWD, a[0], 0, do_chmod, &mode);
}

int64_t
sys_fchmod(const uint64_t a[6])
{
    uint32_t mode = (uint32_t)a[1];

    return change_fd(a[0], do_chmod, &mode);
}

int64_t
sys_fchmodat(const uint64_t a[6])
{
    uint32_t mode = (uint32_t)a[2];

    return change_at((int)a[0], a[1], 0, do_chmod, &mode);
}

int64_t
sys_fchmodat2(const uint64_t a[6])
{
    uint32_t mode = (uint32_t)a[2];

    if ((int)a[3] & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    return change_at((int)a[0], a[1], (int)a[3], do_chmod, &mode);
}

static int
do_chown(struct inode *i, struct dentry *d, const void *arg)
{
    const uint32_t *ids = arg;
    struct iattr attr = {.uid = ids[0], .gid = ids[1]};
    uint32_t fsuid = current_process()->creds.fsuid;

    if (ids[0] != UINT32_MAX) {
        if ((fsuid != i->uid || ids[0] != i->uid) && !capable(CAP_CHOWN))
            return -EPERM;
        attr.valid |= ATTR_UID;
    }
    if (ids[1] != UINT32_MAX) {
        if ((fsuid != i->uid || !(in_group(ids[1]) || ids[1] == i->gid)) && !capable(CAP_CHOWN))
            return -EPERM;
        attr.valid |= ATTR_GID;
    }
    if (!S_ISDIR(i->mode) && inode_mode_unprivileged(i) != i->mode) {
        if (!inode_owner_or_capable(i))
            return -EPERM;
        attr.valid |= ATTR_MODE;
        attr.mode = inode_mode_unprivileged(i) & 07777;
    }
    return change(i, d, &attr);
}

int64_t
sys_chown(const uint64_t a[6])
{
    uint32_t ids[2] = {(uint32_t)a[1], (uint32_t)a[2]};

    return change_at(AT_FDCWD, a[0], 0, do_chown, ids);
}

int64_t
sys_lchown(const uint64_t a[6])
{
    uint32_t ids[2] = {(uint32_t)a[1], (uint32_t)a[2]};

    return change_at(AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, do_chown, ids);
}

int64_t
sys_fchown(const uint64_t a[6])
{
    uint32_t ids[2] = {(uint32_t)a[1], (uint32_t)a[2]};

    return change_fd(a[0], do_chown, ids);
}

int64_t
sys_fchownat(const uint64_t a[6])
{
    uint32_t ids[2] = {(uint32_t)a[2], (uint32_t)a[3]};

    if ((int)a[4] & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    return change_at((int)a[0], a[1], (int)a[4], do_chown, ids);
}

/* --- times --- */

static int
do_utimens(struct inode *i, struct dentry *d, const void *arg)
{
    const struct timespec *t = arg; /* NULL: both now */
    struct iattr attr = {0};
    bool now_only = !t || (t[0].tv_nsec == UTIME_NOW && t[1].tv_nsec == UTIME_NOW);

    if (t && t[0].tv_nsec == UTIME_OMIT && t[1].tv_nsec == UTIME_OMIT)
        return 0;
    if (!inode_owner_or_capable(i)) {
        int r = now_only ? inode_permission(i, MAY_WRITE) : -EPERM;

        if (r < 0)
            return r;
    }
    for (int k = 0; k < 2; k++) {
        struct timespec v = t ? t[k] : (struct timespec){0, UTIME_NOW};

        if (v.tv_nsec == UTIME_OMIT)
            continue;
        if (v.tv_nsec == UTIME_NOW)
            v = timespec_now();
        else if (v.tv_nsec < 0 || v.tv_nsec > 999999999)
            return -EINVAL;
        if (k == 0)
            attr.atime = v;
        else
            attr.mtime = v;
        attr.valid |= k == 0 ? ATTR_ATIME : ATTR_MTIME;
    }
    return change(i, d, &attr);
}

int64_t
sys_utimensat(const uint64_t a[6])
{
    struct timespec t[2];
    const struct timespec *arg = a[2] ? t : NULL;

    if (a[2] && copy_from_guest(t, a[2], sizeof t) < 0)
        return -EFAULT;
    if (arg && t[0].tv_nsec == UTIME_OMIT && t[1].tv_nsec == UTIME_OMIT)
        return 0; /* whatever file it is */
    if ((int)a[3] & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (!a[1] && (int)a[0] != AT_FDCWD)
        return a[3] ? -EINVAL : change_fd(a[0], do_utimens, arg);
    return change_at((int)a[0], a[1], (int)a[3], do_utimens, arg);
}

static int64_t
utimes_at(int dirfd, guest_addr path, guest_addr times)
{
    struct timeval v[2];
    struct timespec t[2];

    if (times) {
        if (copy_from_guest(v, times, sizeof v) < 0)
            return -EFAULT;
        for (int k = 0; k < 2; k++) {
            if (v[k].tv_usec < 0 || v[k].tv_usec > 999999)
                return -EINVAL;
            t[k] = (struct timespec){v[k].tv_sec, v[k].tv_usec * 1000};
        }
    }
    return change_at(dirfd, path, 0, do_utimens, times ? t : NULL);
}

int64_t
sys_utimes(const uint64_t a[6])
{
    return utimes_at(AT_FDCWD, a[0], a[1]);
}

int64_t
sys_futimesat(const uint64_t a[6])
{
    return utimes_at((int)a[0], a[1], a[2]);
}

int64_t
sys_utime(const uint64_t a[6])
{
    struct utimbuf b;
    struct timespec t[2] = {{0}};

    if (a[1]) {
        if (copy_from_guest(&b, a[1], sizeof b) < 0)
            return -EFAULT;
        t[0].tv_sec = b.actime;
        t[1].tv_sec = b.modtime;
    }
    return change_at(AT_FDCWD, a[0], 0, do_utimens, a[1] ? t : NULL);
}

/* --- statfs --- */

/* Pipes, sockets and memfds are of file systems of their own on Linux. */
static uint32_t
magic_of(const struct superblock *sb, const struct inode *i)
{
    if (sb != anon_superblock() || !i)
        return sb->magic;
    switch (i->mode & S_IFMT) {
    case S_IFIFO: return PIPEFS_MAGIC;
    case S_IFSOCK: return SOCKFS_MAGIC;
    case S_IFREG: return TMPFS_MAGIC;
    default: return sb->magic;
    }
}

static int64_t
statfs_out(struct superblock *sb, const struct inode *i, guest_addr to)
{
    struct statfs st = {0};
    int r = 0;

    st.f_type = (__fsword_t)magic_of(sb, i);
    st.f_bsize = st.f_frsize = 4096;
    st.f_namelen = VFS_NAME_MAX;
    st.f_fsid.__val[0] = (int)sb->dev;
    if (sb->statfs)
        r = CALLED(sb->statfs)(sb, &st);
    st.f_flags = 0x20 | (sb->read_only ? 1 : 0) | (sb->no_suid ? 2 : 0) | (sb->no_dev ? 4 : 0) | (sb->no_exec ? 8 : 0);
    if (r < 0)
        return r;
    return copy_to_guest(to, &st, sizeof st) < 0 ? -EFAULT : 0;
}

int64_t
sys_statfs(const uint64_t a[6])
{
    struct path p;
    int64_t r = path_walk_guest(AT_FDCWD, a[0], WALK_FOLLOW, &p);

    if (r < 0)
        return r;
    r = statfs_out(p.dentry->sb, p.dentry->inode, a[1]);
    path_fini(&p);
    return r;
}

int64_t
sys_fstatfs(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);

    if (!f)
        return -EBADF;
    return statfs_out(f->inode ? f->inode->sb : anon_superblock(), f->inode, a[1]);
}
