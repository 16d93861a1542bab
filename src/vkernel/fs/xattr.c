/* Extended attributes, in memory: user.*, trusted.*, security.*. ACLs (system.*) are not supported. */
#include <sys/inotify.h>
#include <sys/xattr.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/fs.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/fs/disk.h"

/* One value; all names of an inode, which a list must hold; all values. */
enum { XATTR_NAME_LIMIT = 255, XATTR_VALUE_LIMIT = 65536, XATTR_NAMES_LIMIT = 65536, XATTR_VALUES_LIMIT = 1 << 20 };

struct xattr {
    struct xattr *next;
    size_t size;
    uint64_t charged; /* of the disk (disk.h) */
    char *name;
    uint8_t *data;
};

OBJECT_POOL(xattr);

static void
xattr_free(struct xattr *x)
{
    bytes_free(x->name);
    bytes_free(x->data);
    disk_give(x->charged);
    OBJECT_FREE(xattr, x);
}

void
xattr_free_all(struct inode *i)
{
    while (i->xattrs) {
        struct xattr *x = i->xattrs;

        i->xattrs = x->next;
        xattr_free(x);
    }
}

static int
check(struct inode *i, const char *name, bool write)
{
    int r;

    if (strncmp(name, "user.", 5) == 0) {
        if (!S_ISREG(i->mode) && !S_ISDIR(i->mode))
            return write ? -EPERM : -ENODATA;
        if (write && S_ISDIR(i->mode) && (i->mode & S_ISVTX) && !inode_owner_or_capable(i))
            return -EPERM;
        r = inode_permission(i, write ? MAY_WRITE : MAY_READ);
        return r < 0 ? r : !name[5] ? -EINVAL : 0;
    }
    if (strncmp(name, "trusted.", 8) == 0)
        return !capable(CAP_SYS_ADMIN) ? (write ? -EPERM : -ENODATA) : !name[8] ? -EINVAL : 0;
    if (strncmp(name, "security.", 9) == 0)
        return !write || capable(CAP_SYS_ADMIN) ||
                       (strcmp(name, "security.capability") == 0 && capable(31 /* CAP_SETFCAP */))
                   ? 0
                   : -EPERM;
    r = strncmp(name, "system.", 7) == 0 ? 0 : inode_permission(i, write ? MAY_WRITE : MAY_READ);
    return r < 0 ? r : -EOPNOTSUPP;
}

static struct xattr **
find(struct inode *i, const char *name)
{
    struct xattr **p = &i->xattrs;

    while (*p && strcmp((*p)->name, name) != 0)
        p = &(*p)->next;
    return p;
}

/* One call on an inode; the three ways to name it are below. */
struct request {
    enum { XSET, XGET, XLIST, XREMOVE } op;
    guest_addr name, value;
    uint64_t size;
    int flags;
};

/* Is there room for one more, or for another value of that name? */
static bool
has_room(const struct inode *i, const char *name, size_t size)
{
    size_t names = strlen(name) + 1, values = size;

    for (const struct xattr *x = i->xattrs; x; x = x->next) {
        if (strcmp(x->name, name) == 0)
            continue;
        names += strlen(x->name) + 1;
        values += x->size;
    }
    return names <= XATTR_NAMES_LIMIT && values <= XATTR_VALUES_LIMIT;
}

static int64_t
xset(struct inode *i, const char *name, const struct request *q)
{
    struct xattr **p = find(i, name), *x;

    if (q->size > XATTR_VALUE_LIMIT)
        return -E2BIG;
    if (q->flags & ~(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    if (*p && (q->flags & XATTR_CREATE))
        return -EEXIST;
    if (!*p && (q->flags & XATTR_REPLACE))
        return -ENODATA;
    if (!has_room(i, name, q->size))
        return -ENOSPC;
    x = OBJECT_NEW(xattr);
    if (!x || !(x->name = bytes_string(name)) || !(x->data = bytes_new(q->size))) {
        if (x)
            xattr_free(x);
        return -ENOSPC;
    }
    if (q->size && copy_from_guest(x->data, q->value, q->size) < 0) {
        xattr_free(x);
        return -EFAULT;
    }
    if (disk_limited(i)) {
        uint64_t bytes = sizeof *x + strlen(name) + q->size;

        if (!disk_take(bytes)) {
            xattr_free(x);
            return -ENOSPC;
        }
        x->charged = bytes;
    }
    x->size = q->size;
    x->next = *p ? (*p)->next : NULL;
    if (*p)
        xattr_free(*p);
    *p = x;
    i->ctime = timespec_now();
    return 0;
}

static int64_t
xlist(struct inode *i, const struct request *q)
{
    size_t at = 0;

    for (struct xattr *x = i->xattrs; x; x = x->next) {
        size_t n = strlen(x->name) + 1;

        if (strncmp(x->name, "trusted.", 8) == 0 && !capable(CAP_SYS_ADMIN))
            continue;
        if (q->size) {
            if (at + n > q->size)
                return -ERANGE;
            if (copy_to_guest(q->value + at, x->name, n) < 0)
                return -EFAULT;
        }
        at += n;
    }
    return (int64_t)at;
}

static int64_t
on_inode(struct inode *i, const struct request *q)
{
    char name[XATTR_NAME_LIMIT + 1];
    struct xattr **p, *x;
    ssize_t n;
    int r;

    if (!i)
        return -EOPNOTSUPP;
    if (q->op == XLIST)
        return xlist(i, q);
    n = copy_string_from_guest(name, q->name, sizeof name);
    if (n < 0)
        return n == -ENAMETOOLONG ? -ERANGE : n;
    if (n == 0)
        return -ERANGE;
    if (q->op != XGET && i->sb->read_only)
        return -EROFS;
    r = check(i, name, q->op != XGET);
    if (r < 0)
        return r;
    if (q->op == XSET)
        return xset(i, name, q);
    p = find(i, name);
    x = *p;
    if (!x)
        return -ENODATA;
    if (q->op == XREMOVE) {
        *p = x->next;
        xattr_free(x);
        i->ctime = timespec_now();
        return 0;
    }
    if (q->size == 0)
        return (int64_t)x->size;
    if (q->size < x->size)
        return -ERANGE;
    return copy_to_guest(q->value, x->data, x->size) < 0 ? -EFAULT : (int64_t)x->size;
}

static int64_t
on_path(guest_addr path, bool follow, struct request q)
{
    struct path p;
    int64_t r = path_walk_guest(AT_FDCWD, path, follow ? WALK_FOLLOW : 0, &p);

    if (r < 0)
        return r;
    r = on_inode(p.dentry->inode, &q);
    if (r == 0 && (q.op == XSET || q.op == XREMOVE))
        inotify_dentry(p.dentry, IN_ATTRIB);
    path_fini(&p);
    return r;
}

static int64_t
on_fd(uint64_t fd, struct request q)
{
    FILE_REF struct file *f = fd_get((int)fd);

    int64_t r = f && !(f->flags & O_PATH) ? on_inode(f->inode, &q) : -EBADF;

    if (r == 0 && (q.op == XSET || q.op == XREMOVE) && f->dentry)
        inotify_dentry(f->dentry, IN_ATTRIB);
    return r;
}

#define SET(a)    ((struct request){XSET, (a)[1], (a)[2], (a)[3], (int)(a)[4]})
#define GET(a)    ((struct request){XGET, (a)[1], (a)[2], (a)[3], 0})
#define LIST(a)   ((struct request){XLIST, 0, (a)[1], (a)[2], 0})
#define REMOVE(a) ((struct request){XREMOVE, (a)[1], 0, 0, 0})
#define THREE(verb, args)                           \
    int64_t sys_##verb##xattr(const uint64_t a[6])  \
    {                                               \
        return on_path(a[0], true, args(a));        \
    }                                               \
    int64_t sys_l##verb##xattr(const uint64_t a[6]) \
    {                                               \
        return on_path(a[0], false, args(a));       \
    }                                               \
    int64_t sys_f##verb##xattr(const uint64_t a[6]) \
    {                                               \
        return on_fd(a[0], args(a));                \
    }

THREE(set, SET)
THREE(get, GET)
THREE(list, LIST)
THREE(remove, REMOVE)
