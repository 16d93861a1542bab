/* Opening by name: what is there, with O_CREAT also what is not yet, and files without a name. */
#include <stdio.h>
#include <sys/inotify.h>

#include "vkernel/vfs/namei_internal.h"
#include "vkernel/vfs/vfs.h"

static int
access_mask(int flags)
{
    switch (flags & O_ACCMODE) {
    case O_RDONLY: return MAY_READ;
    case O_WRONLY: return MAY_WRITE;
    default: return MAY_READ | MAY_WRITE;
    }
}

bool
inode_is_executed(const struct inode *i)
{
    return i->executed > 0;
}

/* The object itself; permissions have been checked. */
int
vfs_open_dentry(struct dentry *d, int flags, struct file **out)
{
    static const struct file_ops OPS_TABLE(file_ops) path_ops = {.name = "path"};
    struct file *f = file_new_inode(&path_ops, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC), d->inode, d);
    bool writes;
    int r;

    *out = NULL;
    if (!f)
        return -ENFILE;
    if (!(flags & O_PATH)) {
        if (!d->inode->ops || !OPS(d->inode->ops)->open) {
            file_put(f);
            return -ENXIO;
        }
        f->flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
        f->ops = &path_ops;
        if (file_can_write(f) && S_ISREG(d->inode->mode) && inode_is_executed(d->inode)) {
            file_put(f);
            return -ETXTBSY;
        }
        if (flags & O_NOCTTY)
            f->flags |= O_NOCTTY; /* for ttys; dropped below */
        writes = file_can_write(f);
        d->inode->write_opens += writes; /* while it sleeps, too */
        d->inode->read_opens += !writes;
        r = OPS(d->inode->ops)->open(d->inode, f);
        if (r < 0) {
            d->inode->write_opens -= writes;
            d->inode->read_opens -= !writes;
            f->ops = &path_ops;
            file_put(f);
            return r;
        }
        f->flags &= ~O_NOCTTY;
        f->opened = true;
    } else {
        f->flags = flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
    }
    *out = f;
    return 0;
}

static int
check_open(struct dentry *d, int flags, bool created)
{
    struct inode *i = d->inode;
    int r;

    if (S_ISLNK(i->mode) && !(flags & O_PATH))
        return -ELOOP;
    if ((flags & O_DIRECTORY) && !S_ISDIR(i->mode))
        return -ENOTDIR;
    if (flags & O_PATH)
        return 0;
    if (S_ISDIR(i->mode) && ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC))))
        return -EISDIR;
    if ((S_ISCHR(i->mode) || S_ISBLK(i->mode)) && i->sb->no_dev)
        return -EACCES;
    if (!created) {
        r = inode_permission(i, access_mask(flags) | ((flags & O_TRUNC) ? MAY_WRITE : 0));
        if (r < 0)
            return r;
        /* Linux's protected_regular and O_NOATIME's owner check */
        if ((flags & O_NOATIME) && !inode_owner_or_capable(i))
            return -EPERM;
    }
    return S_ISSOCK(i->mode) ? -ENXIO : 0;
}

/* Waits for those who have a lease that such an open breaks, or with O_NONBLOCK tells them only. */
static int
break_leases(struct inode *i, int flags)
{
    if (!i->leases || (flags & O_PATH))
        return 0;
    return lease_break(i, (flags & O_ACCMODE) != O_RDONLY, !(flags & O_NONBLOCK));
}

static bool
truncates_executed(const struct inode *i, int flags)
{
    return (flags & O_TRUNC) && !(flags & O_PATH) && S_ISREG(i->mode) && inode_is_executed(i);
}

static int
open_result(struct dentry *d, int flags, bool created, struct file **out)
{
    int r = check_open(d, flags, created);

    might_sleep(); /* FIFOs */
    if (r < 0)
        return r;
    if (truncates_executed(d->inode, flags))
        return -ETXTBSY;
    r = break_leases(d->inode, flags);
    if (r == 0 && truncates_executed(d->inode, flags)) /* by somebody who began while this one slept */
        r = -ETXTBSY;
    if (r == 0)
        r = vfs_open_dentry(d, flags, out);
    if (r < 0 || (flags & O_PATH))
        return r;
    inotify_opened(d, IN_OPEN);
    if ((flags & O_TRUNC) && !created && S_ISREG(d->inode->mode) && OPS(d->inode->ops)->truncate) {
        r = OPS(d->inode->ops)->truncate(d->inode, 0);
        if (r < 0) {
            file_put(*out);
            *out = NULL;
            return r;
        }
        inotify_dentry(d, inode_drop_privileges(d->inode) | IN_MODIFY);
    }
    return 0;
}

static int
open_tmpfile(int dirfd, const char *path, int flags, mode_t mode, unsigned walk, struct file **out)
{
    struct path p;
    struct inode *i = NULL;
    struct dentry *d;
    char name[32];
    int r;

    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    r = path_walk(dirfd, path, walk | WALK_FOLLOW | WALK_DIRECTORY, &p);
    if (r < 0)
        return r;
    r = inode_permission(p.dentry->inode, MAY_WRITE | MAY_EXEC);
    if (r == 0 && !OPS(p.dentry->inode->ops)->tmpfile)
        r = -EOPNOTSUPP;
    if (r == 0)
        r = OPS(p.dentry->inode->ops)->tmpfile(p.dentry, S_IFREG | (mode & 07777 & ~fs_umask()), &i);
    if (r == 0) {
        snprintf(name, sizeof name, "#%llu", (unsigned long long)i->ino);
        d = dentry_new(p.dentry, name, strlen(name), i);
        inode_put(i);
        if (d) {
            d->flags |= DENTRY_DELETED;
            d->inode->linkable = !(flags & O_EXCL);
            r = vfs_open_dentry(d, flags, out);
            dentry_put(d);
        } else {
            r = -ENOMEM;
        }
    }
    path_fini(&p);
    return r;
}

/* Linux's may_create_in_sticky, with protected_regular and protected_fifos off: with O_CREAT in a folder like /tmp
 * nobody opens another's socket or device. */
static int
may_open_in_sticky(const struct inode *dir, const struct inode *i)
{
    bool shared = (dir->mode & S_ISVTX) && (dir->mode & S_IWOTH);

    if (!shared || S_ISREG(i->mode) || S_ISFIFO(i->mode) || S_ISDIR(i->mode) || i->uid == dir->uid ||
        i->uid == current_creds()->fsuid)
        return 0;
    return -EACCES;
}

/* An open with O_CREAT: which folder the last component is in, and what is asked. */
struct creation {
    struct path place;
    struct dentry *bound; /* symlinks stay within the same bounds */
    int flags;
    mode_t mode;
    unsigned walk;
};

/* Finds the last component, or makes it. */
static int
find_or_create(const struct creation *c, struct dentry **d, bool *created)
{
    const struct path *p = &c->place;
    int r;

    *created = false;
    if (p->last_special || p->last_slash)
        return p->last_special && (c->flags & O_EXCL) ? -EEXIST : -EISDIR;
    r = vfs_lookup(p->dentry, p->last, p->last_length, d);
    if (r == -ENOENT && !(p->dentry->flags & DENTRY_DELETED)) {
        *created = true;
        return vfs_create(p->dentry, p->last, p->last_length, S_IFREG | (c->mode & 07777 & ~fs_umask()), 0, NULL, d);
    }
    if (r == 0 && (c->flags & O_EXCL)) {
        dentry_put(*d);
        return -EEXIST;
    }
    return r;
}

/* The last component is a symlink, the one after `links` others. If it is one of /proc, what it leads to is opened,
 * which returns 0 or the error. Otherwise the place that its text names becomes the creation's, which returns 1. */
static int
follow_last(struct creation *c, struct dentry *link, int links, struct file **out)
{
    struct dentry *target;
    struct path next = {0};
    char text[VFS_PATH_MAX];
    int r;

    if (links >= VFS_LINK_MAX || (c->walk & WALK_NO_SYMLINKS))
        return -ELOOP;
    r = namei_magic_target(link, c->walk, &target);
    if (r == 0) {
        r = open_result(target, c->flags, false, out);
        dentry_put(target);
        return r;
    }
    if (r == -EOPNOTSUPP)
        r = namei_link_text(link, text);
    if (r < 0)
        return r;
    r = namei_walk_from(c->place.dentry, c->bound, text, c->walk | WALK_PARENT, links + 1, &next);
    path_fini(&c->place);
    c->place = next;
    return r < 0 ? r : 1;
}

/* Opens the last component, or goes on to where it leads: 1. */
static int
open_or_follow(struct creation *c, int links, struct file **out)
{
    struct dentry *d;
    bool created;
    int r = find_or_create(c, &d, &created);

    if (r < 0)
        return r;
    if (S_ISLNK(d->inode->mode) && !(c->flags & O_NOFOLLOW)) {
        r = follow_last(c, d, links, out);
    } else {
        r = created ? 0 : may_open_in_sticky(c->place.dentry->inode, d->inode);
        if (r == 0)
            r = open_result(d, c->flags & ~O_EXCL, created, out);
    }
    dentry_put(d);
    return r;
}

/* O_CREAT: the last component may not exist, and may be a symlink to a place that does not. */
static int
open_create(int dirfd, const char *path, int flags, mode_t mode, unsigned walk, struct file **out)
{
    struct creation c = {.flags = flags, .mode = mode, .walk = walk};
    int r = path_walk(dirfd, path, walk | WALK_PARENT, &c.place);

    if (r == 0)
        r = namei_start_place(dirfd, path, walk, &c.bound);
    if (r == 0) {
        int links = 0;

        do
            r = open_or_follow(&c, links++, out);
        while (r > 0);
    }
    path_fini(&c.place);
    dentry_put(c.bound);
    return r;
}

int
vfs_open_how(int dirfd, const char *path, int flags, mode_t mode, unsigned walk, struct file **out)
{
    struct path p;
    int r;

    *out = NULL;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & __O_TMPFILE & ~O_DIRECTORY) && !(flags & O_PATH)) {
        if ((flags & O_TMPFILE) != O_TMPFILE || (flags & O_CREAT))
            return -EINVAL;
        return open_tmpfile(dirfd, path, flags, mode, walk, out);
    }
    if (flags & O_CREAT) {
        if (flags & O_DIRECTORY)
            return -EINVAL;
        return open_create(dirfd, path, flags, mode, walk, out);
    }
    r = path_walk(dirfd, path,
                  walk | ((flags & O_NOFOLLOW) ? 0 : WALK_FOLLOW) | ((flags & O_DIRECTORY) ? WALK_DIRECTORY : 0), &p);
    if (r < 0)
        return r;
    r = open_result(p.dentry, flags, false, out);
    path_fini(&p);
    return r;
}

int
vfs_open(int dirfd, const char *path, int flags, mode_t mode, struct file **out)
{
    return vfs_open_how(dirfd, path, flags, mode, 0, out);
}

int
vfs_open_exec(int dirfd, const char *path, int flags, struct file **out)
{
    struct path p;
    int r;

    *out = NULL;
    if (!*path && (flags & AT_EMPTY_PATH)) { /* fexecve; O_PATH descriptors too, and memfds */
        FILE_REF struct file *f = fd_get(dirfd);

        if (!f)
            return -EBADF;
        if (!f->dentry)
            return -EACCES;
        p = (struct path){.dentry = dentry_get(f->dentry)};
    } else {
        r = path_walk(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) ? 0 : WALK_FOLLOW, &p);
        if (r < 0)
            return r;
    }
    if (S_ISLNK(p.dentry->inode->mode))
        r = -ELOOP;
    else if (!S_ISREG(p.dentry->inode->mode) || p.dentry->sb->no_exec)
        r = -EACCES;
    else
        r = inode_permission(p.dentry->inode, MAY_EXEC);
    if (r == 0 && p.dentry->inode->write_opens > 0)
        r = -ETXTBSY;
    if (r == 0)
        r = break_leases(p.dentry->inode, O_RDONLY);
    if (r == 0 && p.dentry->inode->write_opens > 0) /* by somebody who opened it while this one slept */
        r = -ETXTBSY;
    if (r == 0)
        r = vfs_open_dentry(p.dentry, O_RDONLY, out);
    path_fini(&p);
    return r;
}
