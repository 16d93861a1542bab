/* System calls on names: directories, links, renames, cwd and root, mounts. */
#include <sys/inotify.h>
#include <linux/fs.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/fs/fs.h"

/* --- making --- */

static int64_t
create_at(int dirfd, guest_addr path, uint32_t mode, dev_t rdev, const char *target)
{
    struct path p;
    struct dentry *d;
    int r = path_walk_guest(dirfd, path, WALK_PARENT, &p);

    if (r < 0)
        return r;
    if (p.last_special) {
        r = -EEXIST;
    } else if ((r = vfs_lookup(p.dentry, p.last, p.last_length, &d)) == 0) {
        dentry_put(d);
        r = -EEXIST;
    } else if (r == -ENOENT) {
        r = (p.last_slash && !S_ISDIR(mode)) || (p.dentry->flags & DENTRY_DELETED)
                ? -ENOENT
                : inode_permission(p.dentry->inode, MAY_WRITE | MAY_EXEC);
        /* A device, except for the one that means "no file" to overlayfs. */
        if (r == 0 && (S_ISBLK(mode) || (S_ISCHR(mode) && rdev != 0)) && !capable(CAP_MKNOD))
            r = -EPERM;
        if (r == 0)
            r = vfs_create(p.dentry, p.last, p.last_length, mode, rdev, target, NULL);
    }
    path_fini(&p);
    return r;
}

static int64_t
mkdir_at(int dirfd, guest_addr path, uint32_t mode)
{
    return create_at(dirfd, path, S_IFDIR | (mode & 01777 & ~fs_umask()), 0, NULL);
}

int64_t
sys_mkdir(const uint64_t a[6])
{
    return mkdir_at(AT_FDCWD, a[0], (uint32_t)a[1]);
}

int64_t
sys_mkdirat(const uint64_t a[6])
{
    return mkdir_at((int)a[0], a[1], (uint32_t)a[2]);
}

static int64_t
mknod_at(int dirfd, guest_addr path, uint32_t mode, uint64_t dev)
{
    if (!(mode & S_IFMT))
        mode |= S_IFREG;
    switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK: dev = 0; break;
    case S_IFCHR: /* create_at() asks for the right */
    case S_IFBLK: break;
    default: return S_ISDIR(mode) ? -EPERM : -EINVAL;
    }
    return create_at(dirfd, path, (mode & S_IFMT) | (mode & 07777 & ~fs_umask()), (dev_t)(uint32_t)dev, NULL);
}

int64_t
sys_mknod(const uint64_t a[6])
{
    return mknod_at(AT_FDCWD, a[0], (uint32_t)a[1], a[2]);
}

int64_t
sys_mknodat(const uint64_t a[6])
{
    return mknod_at((int)a[0], a[1], (uint32_t)a[2], a[3]);
}

static int64_t
symlink_at(guest_addr target, int dirfd, guest_addr path)
{
    char text[VFS_PATH_MAX];
    int r = path_from_guest(text, target);

    if (r < 0)
        return r;
    return *text ? create_at(dirfd, path, S_IFLNK | 0777, 0, text) : -ENOENT;
}

int64_t
sys_symlink(const uint64_t a[6])
{
    return symlink_at(a[0], AT_FDCWD, a[1]);
}

int64_t
sys_symlinkat(const uint64_t a[6])
{
    return symlink_at(a[0], (int)a[1], a[2]);
}

/* Linux's protected_hardlinks: a name for another's file only where one could have copied it. */
static int
may_link(struct inode *i)
{
    bool safe = S_ISREG(i->mode) && !(i->mode & S_ISUID) && (i->mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP) &&
                inode_permission(i, MAY_READ | MAY_WRITE) == 0;

    return safe || inode_owner_or_capable(i) ? 0 : -EPERM;
}

/* Whoever got a descriptor from somebody else must not make a name of it. */
static bool
may_link_descriptor(int fd)
{
    FILE_REF struct file *f = fd == AT_FDCWD ? NULL : fd_get(fd);

    return !f || f->opener == current_creds()->fsuid || capable(CAP_DAC_READ_SEARCH);
}

/* In the order of Linux's do_linkat and vfs_link. */
static int
link_checked(struct dentry *from, struct path *to)
{
    struct inode *i = from->inode, *dir = to->dentry->inode;
    int r;

    if (from->sb != to->dentry->sb)
        return -EXDEV;
    r = may_link(i);
    if (r < 0)
        return r;
    r = inode_permission(dir, MAY_WRITE | MAY_EXEC);
    if (r < 0)
        return r;
    if (S_ISDIR(i->mode) || !OPS(dir->ops)->link)
        return -EPERM;
    if (i->nlink == 0 && !i->linkable)
        return -ENOENT;
    r = OPS(dir->ops)->link(i, to->dentry, to->last, to->last_length);
    if (r == 0) {
        inotify_event(i, IN_ATTRIB, NULL, 0);
        inotify_event(dir, IN_CREATE, to->last, 0);
    }
    return r;
}

static int64_t
link_at(int old_fd, guest_addr old, int new_fd, guest_addr new_path, int flags)
{
    struct path from, to;
    struct dentry *d = NULL;
    int r;

    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) && !may_link_descriptor(old_fd))
        return -ENOENT;
    r = path_walk_guest(old_fd, old,
                        ((flags & AT_SYMLINK_FOLLOW) ? WALK_FOLLOW : 0) | ((flags & AT_EMPTY_PATH) ? WALK_EMPTY : 0),
                        &from);
    if (r < 0)
        return r;
    r = path_walk_guest(new_fd, new_path, WALK_PARENT, &to);
    if (r < 0) {
        path_fini(&from);
        return r;
    }
    r = to.last_special ? -EEXIST : vfs_lookup(to.dentry, to.last, to.last_length, &d);
    if (r == 0) {
        dentry_put(d);
        r = -EEXIST;
    } else if (r == -ENOENT) {
        r = to.last_slash || (to.dentry->flags & DENTRY_DELETED) ? -ENOENT : link_checked(from.dentry, &to);
    }
    path_fini(&from);
    path_fini(&to);
    return r;
}

int64_t
sys_link(const uint64_t a[6])
{
    return link_at(AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

int64_t
sys_linkat(const uint64_t a[6])
{
    return link_at((int)a[0], a[1], (int)a[2], a[3], (int)a[4]);
}

/* --- removing --- */

static int64_t
unlink_at(int dirfd, guest_addr path, bool is_dir)
{
    struct path p;
    struct dentry *d;
    int r = path_walk_guest(dirfd, path, WALK_PARENT, &p);

    if (r < 0)
        return r;
    if (p.last_special) {
        r = !is_dir ? -EISDIR : strcmp(p.last, ".") == 0 ? -EINVAL : strcmp(p.last, "..") == 0 ? -ENOTEMPTY : -EBUSY;
    } else if ((r = vfs_lookup(p.dentry, p.last, p.last_length, &d)) == 0) {
        if (p.last_slash && !is_dir)
            r = S_ISDIR(d->inode->mode) ? -EISDIR : -ENOTDIR;
        else
            r = vfs_may_delete(p.dentry, d, is_dir);
        if (r == 0)
            r = vfs_unlink(p.dentry, d);
        dentry_put(d);
    }
    path_fini(&p);
    return r;
}

int64_t
sys_unlink(const uint64_t a[6])
{
    return unlink_at(AT_FDCWD, a[0], false);
}

int64_t
sys_rmdir(const uint64_t a[6])
{
    return unlink_at(AT_FDCWD, a[0], true);
}

int64_t
sys_unlinkat(const uint64_t a[6])
{
    if ((int)a[2] & ~AT_REMOVEDIR)
        return -EINVAL;
    return unlink_at((int)a[0], a[1], (int)a[2] & AT_REMOVEDIR);
}

/* --- renaming --- */

static bool
is_ancestor(struct dentry *above, struct dentry *d)
{
    for (; d; d = d->parent)
        if (d == above)
            return true;
    return false;
}

static void
tell_move(const struct path *from, const struct path *to, struct inode *moved, struct inode *replaced, uint32_t *cookie)
{
    uint32_t dir = S_ISDIR(moved->mode) ? IN_ISDIR : 0;

    ++*cookie;
    if (from->dentry == to->dentry && from->dentry->inode->notes)
        notes_tell(from->dentry->inode, NOTES_RENAMED);
    inotify_event(from->dentry->inode, IN_MOVED_FROM | dir, from->last, *cookie);
    inotify_event(to->dentry->inode, IN_MOVED_TO | dir, to->last, *cookie);
    if (replaced)
        inotify_event(replaced, IN_ATTRIB | (S_ISDIR(replaced->mode) ? IN_ISDIR : 0), NULL, 0);
    inotify_event(moved, IN_MOVE_SELF, NULL, 0);
}

static int
rename_checked(struct path *from, struct dentry *old, struct path *to, struct dentry *target, unsigned flags)
{
    bool old_dir = S_ISDIR(old->inode->mode);
    static uint32_t cookie;
    int r;

    if ((flags & RENAME_NOREPLACE) && target)
        return -EEXIST;
    if ((flags & RENAME_EXCHANGE) && !target)
        return -ENOENT;
    if ((flags & RENAME_EXCHANGE) ? to->last_slash && !S_ISDIR(target->inode->mode) : to->last_slash && !old_dir)
        return -ENOTDIR;
    if (from->last_slash && !old_dir)
        return -ENOTDIR;
    if (old_dir && is_ancestor(old, to->dentry))
        return -EINVAL;
    if (target && is_ancestor(target, from->dentry))
        return (flags & RENAME_EXCHANGE) ? -EINVAL : -ENOTEMPTY;
    if (target && target->inode == old->inode)
        return 0;
    r = vfs_may_delete(from->dentry, old, old_dir);
    if (r < 0)
        return r;
    if (target) {
        r = vfs_may_delete(to->dentry, target, (flags & RENAME_EXCHANGE) ? S_ISDIR(target->inode->mode) : old_dir);
        if (r < 0)
            return r;
    } else {
        r = inode_permission(to->dentry->inode, MAY_WRITE | MAY_EXEC);
        if (r < 0)
            return r;
    }
    if (!OPS(from->dentry->inode->ops)->rename)
        return -EPERM;
    /* A folder that gets another parent is written itself: its "..". */
    if (from->dentry != to->dentry) {
        if (old_dir && (r = inode_permission(old->inode, MAY_WRITE)) < 0)
            return r;
        if ((flags & RENAME_EXCHANGE) && S_ISDIR(target->inode->mode) &&
            (r = inode_permission(target->inode, MAY_WRITE)) < 0)
            return r;
    }
    r = OPS(from->dentry->inode->ops)->rename(from->dentry, old, to->dentry, target, to->last, to->last_length, flags);
    if (r == 0) {
        tell_move(from, to, old->inode, target && !(flags & RENAME_EXCHANGE) ? target->inode : NULL, &cookie);
        if (flags & RENAME_EXCHANGE)
            tell_move(to, from, target->inode, NULL, &cookie);
    }
    return r;
}

static int64_t
rename_at(int old_fd, guest_addr old_path, int new_fd, guest_addr new_path, unsigned flags)
{
    struct path from, to;
    struct dentry *old = NULL, *target = NULL;
    int r;

    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    if (flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    r = path_walk_guest(old_fd, old_path, WALK_PARENT, &from);
    if (r < 0)
        return r;
    r = path_walk_guest(new_fd, new_path, WALK_PARENT, &to);
    if (r < 0) {
        path_fini(&from);
        return r;
    }
    if (from.dentry->sb != to.dentry->sb)
        r = -EXDEV;
    else if (from.last_special || to.last_special)
        r = !from.last_special && (flags & RENAME_NOREPLACE) ? -EEXIST : -EBUSY;
    else
        r = vfs_lookup(from.dentry, from.last, from.last_length, &old);
    if (r == 0) {
        r = vfs_lookup(to.dentry, to.last, to.last_length, &target);
        if (r == -ENOENT && !(to.dentry->flags & DENTRY_DELETED))
            r = 0;
    }
    if (r == 0)
        r = rename_checked(&from, old, &to, target, flags);
    dentry_put(old);
    dentry_put(target);
    path_fini(&from);
    path_fini(&to);
    return r;
}

int64_t
sys_rename(const uint64_t a[6])
{
    return rename_at(AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

int64_t
sys_renameat(const uint64_t a[6])
{
    return rename_at((int)a[0], a[1], (int)a[2], a[3], 0);
}

int64_t
sys_renameat2(const uint64_t a[6])
{
    return rename_at((int)a[0], a[1], (int)a[2], a[3], (unsigned)a[4]);
}

/* --- reading links and directories --- */

static int64_t
readlink_at(int dirfd, guest_addr path, guest_addr buf, int64_t size)
{
    UNINITIALIZED char name[VFS_PATH_MAX];
    struct path p;
    ssize_t n;
    int r = path_from_guest(name, path);

    if (r < 0)
        return r;
    if (size <= 0)
        return -EINVAL;
    r = path_walk(dirfd, name, WALK_EMPTY, &p);
    if (r < 0)
        return r;
    if (!S_ISLNK(p.dentry->inode->mode) || !OPS(p.dentry->inode->ops)->readlink) {
        path_fini(&p);
        return *name ? -EINVAL : -ENOENT;
    }
    n = OPS(p.dentry->inode->ops)->readlink(p.dentry, name, sizeof name);
    path_fini(&p);
    if (n > size)
        n = size;
    if (n > 0 && copy_to_guest(buf, name, (size_t)n) < 0)
        return -EFAULT;
    return n;
}

int64_t
sys_readlink(const uint64_t a[6])
{
    return readlink_at(AT_FDCWD, a[0], a[1], (int)a[2]);
}

int64_t
sys_readlinkat(const uint64_t a[6])
{
    return readlink_at((int)a[0], a[1], a[2], (int)a[3]);
}

enum { DENTS_MAX = 64 * 1024 };

static ssize_t
read_directory(struct file *f, uint8_t *buf, size_t size)
{
    ssize_t n;

    if (f->dentry && (f->dentry->flags & DENTRY_DELETED))
        return -ENOENT;
    n = OPS(f->ops)->getdents(f, buf, size);
    if (f->dentry)
        inotify_opened(f->dentry, IN_ACCESS);
    return n;
}

int64_t
sys_getdents64(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    size_t size = a[2] > DENTS_MAX ? DENTS_MAX : (size_t)a[2];
    uint8_t *buf;
    uint64_t pos;
    ssize_t n;

    if (!f || (f->flags & O_PATH))
        return -EBADF;
    if (!OPS(f->ops)->getdents)
        return -ENOTDIR;
    buf = bytes_new(size ? size : 1);
    if (!buf)
        return -ENOMEM;
    pos = f->pos;
    n = read_directory(f, buf, size);
    if (n > 0 && copy_to_guest(a[1], buf, (size_t)n) < 0) {
        f->pos = pos;
        n = -EFAULT;
    }
    bytes_free(buf);
    return n;
}

/* The old form: struct linux_dirent has the type in its last byte. */
int64_t
sys_getdents(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    size_t size = a[2] > DENTS_MAX ? DENTS_MAX : (size_t)a[2];
    uint8_t *buf;
    ssize_t n;

    if (!f || (f->flags & O_PATH))
        return -EBADF;
    if (!OPS(f->ops)->getdents)
        return -ENOTDIR;
    buf = bytes_new(size ? size : 1);
    if (!buf)
        return -ENOMEM;
    n = read_directory(f, buf, size);
    for (ssize_t at = 0; at < n;) {
        uint16_t length;
        uint8_t type;

        /* ino 8, off 8, reclen 2, type 1, name -> ino 8, off 8, reclen 2, name, type at the end: same room */
        memcpy(&length, buf + at + 16, 2);
        type = buf[at + 18];
        memmove(buf + at + 18, buf + at + 19, length - 19u);
        buf[at + length - 1] = type;
        at += length;
    }
    if (n > 0 && copy_to_guest(a[1], buf, (size_t)n) < 0)
        n = -EFAULT;
    bytes_free(buf);
    return n;
}

/* --- cwd, root, umask --- */

int64_t
sys_getcwd(const uint64_t a[6])
{
    char buf[VFS_PATH_MAX];
    ssize_t n;

    if (fs_cwd()->flags & DENTRY_DELETED)
        return -ENOENT;
    n = dentry_path(fs_cwd(), fs_root(), buf, sizeof buf);
    if (n < 0)
        return n;
    if ((uint64_t)n + 1 > a[1])
        return -ERANGE;
    return copy_to_guest(a[0], buf, (size_t)n + 1) < 0 ? -EFAULT : n + 1;
}

static int
walk_dir(guest_addr path, struct path *p)
{
    int r = path_walk_guest(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, p);

    if (r == 0 && (r = inode_permission(p->dentry->inode, MAY_EXEC)) < 0)
        path_fini(p);
    return r;
}

int64_t
sys_chdir(const uint64_t a[6])
{
    struct path p;
    int r = walk_dir(a[0], &p);

    if (r < 0)
        return r;
    fs_set_cwd(p.dentry);
    path_fini(&p);
    return 0;
}

int64_t
sys_fchdir(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    int r;

    if (!f)
        return -EBADF;
    if (!f->dentry || !S_ISDIR(f->dentry->inode->mode))
        return -ENOTDIR;
    r = inode_permission(f->dentry->inode, MAY_EXEC);
    if (r == 0)
        fs_set_cwd(f->dentry);
    return r;
}

int64_t
sys_chroot(const uint64_t a[6])
{
    struct path p;
    int r = walk_dir(a[0], &p);

    if (r < 0)
        return r;
    if (!capable(CAP_SYS_CHROOT))
        r = -EPERM;
    else
        fs_set_root(p.dentry);
    path_fini(&p);
    return r;
}

int64_t
sys_umask(const uint64_t a[6])
{
    return fs_set_umask((uint32_t)a[0]);
}

/* --- mounts --- */

int64_t
sys_mount(const uint64_t a[6])
{
    char type[64];
    struct superblock *sb = NULL;
    struct path p;
    int r;

    if (!capable(CAP_SYS_ADMIN))
        return -EPERM;
    if (a[3] & (MS_BIND | MS_MOVE | MS_REMOUNT | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE))
        return (a[3] & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)) ? 0 : -EINVAL;
    if (copy_string_from_guest(type, a[2], sizeof type) < 0)
        return -EINVAL;
    r = path_walk_guest(AT_FDCWD, a[1], WALK_FOLLOW | WALK_DIRECTORY, &p);
    if (r < 0)
        return r;
    if (strcmp(type, "tmpfs") == 0 || strcmp(type, "ramfs") == 0)
        sb = memfs_new("tmpfs", NULL, 01777);
    else
        r = -ENODEV;
    if (r == 0 && !sb)
        r = -ENOMEM;
    if (r == 0) {
        sb->read_only = a[3] & MS_RDONLY;
        r = mount_add(sb, p.dentry);
    }
    path_fini(&p);
    return r;
}

int64_t
sys_umount2(const uint64_t a[6])
{
    struct path p;
    struct mount *m;
    int r;

    if (!capable(CAP_SYS_ADMIN))
        return -EPERM;
    r = path_walk_guest(AT_FDCWD, a[0], WALK_FOLLOW, &p);
    if (r < 0)
        return r;
    m = p.dentry->sb->mount;
    if (p.dentry->parent || !m || !m->mountpoint) {
        r = -EINVAL;
    } else {
        m->mountpoint->mounted = NULL;
        dentry_put(m->mountpoint);
        m->mountpoint = NULL;
        list_remove(&m->link); /* the superblock stays for those who are still inside */
        p.dentry->sb->mount = NULL;
        mount_changed();
    }
    path_fini(&p);
    return r;
}

int64_t
sys_pivot_root(const uint64_t a[6])
{
    return -EPERM;
}
