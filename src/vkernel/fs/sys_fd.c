/* System calls on descriptors: open, close, dup, fcntl, ioctl, memfd_create. */
#include <linux/openat2.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/fs/fs.h"
#include "vkernel/io/async.h"
#include "vkernel/io/io.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/vfs.h"

/* glibc hides O_LARGEFILE on x86-64; guests pass the kernel's value */
enum { GETOWNER_UIDS = 17, DUPFD_QUERY = 1027, GET_RW_HINT = 1035, SET_RW_HINT = 1036 }; /* F_* of other headers */
enum { SEAL_EXEC = 0x20 }; /* F_SEAL_EXEC of newer headers */
enum { KERNEL_LARGEFILE = 0100000, PATH_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC };
enum {
    OPEN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC |
                 O_DIRECT | KERNEL_LARGEFILE | O_NOATIME | PATH_FLAGS | __O_TMPFILE
};
enum { KERNEL_SETFL = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME };

static int64_t
open_common(int dirfd, guest_addr path, int flags, mode_t mode, unsigned walk)
{
    UNINITIALIZED char name[VFS_PATH_MAX];
    struct file *f;
    int r = path_from_guest(name, path);

    if (r == 0)
        r = fd_room(); /* before a file is made */
    if (r < 0)
        return r;
    r = vfs_open_how(dirfd, name, flags & OPEN_FLAGS & ~KERNEL_LARGEFILE, mode, walk, &f);
    if (r < 0)
        return r;
    if (!(f->flags & O_PATH))
        f->flags |= KERNEL_LARGEFILE;
    return fd_install_or_put(f, flags);
}

int64_t
sys_open(const uint64_t a[6])
{
    return open_common(AT_FDCWD, a[0], (int)a[1], (mode_t)a[2], 0);
}

int64_t
sys_creat(const uint64_t a[6])
{
    return open_common(AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a[1], 0);
}

int64_t
sys_openat(const uint64_t a[6])
{
    return open_common((int)a[0], a[1], (int)a[2], (mode_t)a[3], 0);
}

int64_t
sys_openat2(const uint64_t a[6])
{
    static const struct {
        uint64_t resolve;
        unsigned walk;
    } map[] = {
        {RESOLVE_NO_XDEV, WALK_NO_XDEV},         {RESOLVE_NO_MAGICLINKS, WALK_NO_MAGICLINKS},
        {RESOLVE_NO_SYMLINKS, WALK_NO_SYMLINKS}, {RESOLVE_BENEATH, WALK_BENEATH},
        {RESOLVE_IN_ROOT, WALK_IN_ROOT},
    };
    struct open_how how = {0};
    unsigned walk = 0;

    if (a[3] < sizeof how)
        return -EINVAL;
    if (a[3] > 4096)
        return -E2BIG;
    if (copy_from_guest(&how, a[2], sizeof how) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof how; at < a[3]; at++) {
        uint8_t byte;

        if (copy_from_guest(&byte, a[2] + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    for (size_t k = 0; k < sizeof map / sizeof map[0]; k++)
        if (how.resolve & map[k].resolve) {
            walk |= map[k].walk;
            how.resolve &= ~map[k].resolve;
        }
    if (how.resolve & ~(uint64_t)RESOLVE_CACHED || how.flags & ~(uint64_t)OPEN_FLAGS)
        return -EINVAL;
    if ((walk & WALK_BENEATH) && (walk & WALK_IN_ROOT))
        return -EINVAL;
    if (how.mode & ~07777ull || (how.mode && !(how.flags & (O_CREAT | (__O_TMPFILE & ~O_DIRECTORY)))))
        return -EINVAL;
    if ((how.flags & O_PATH) && how.flags & ~(uint64_t)PATH_FLAGS)
        return -EINVAL;
    return open_common((int)a[0], a[1], (int)how.flags, (mode_t)how.mode, walk);
}

int64_t
sys_close(const uint64_t a[6])
{
    return fd_close((int)a[0]);
}

int64_t
sys_close_range(const uint64_t a[6])
{
    unsigned first = (unsigned)a[0], last = (unsigned)a[1], flags = (unsigned)a[2];

    if (flags & ~6u || first > last)
        return -EINVAL;
    if (flags & 2) { /* CLOSE_RANGE_UNSHARE */
        int r = fdtable_unshare();

        if (r < 0)
            return r;
    }
    fdtable_close_range(first, last, flags & 4);
    return 0;
}

int64_t
sys_dup(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    int fd;

    if (!f)
        return -EBADF;
    fd = fd_install(file_get(f), 0, 0);
    if (fd < 0)
        file_put(f);
    return fd;
}

int64_t
sys_dup2(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);

    if (!f)
        return -EBADF;
    return (int)a[0] == (int)a[1] ? (int)a[1] : fd_dup_to(f, (int)a[1], 0);
}

int64_t
sys_dup3(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);

    if ((int)a[2] & ~O_CLOEXEC || (int)a[0] == (int)a[1])
        return -EINVAL;
    return f ? fd_dup_to(f, (int)a[1], (int)a[2]) : -EBADF;
}

/* What Linux's own files without a name have, as timerfds, belongs to root. */
static bool
file_owner_or_capable(const struct file *f)
{
    return f->inode ? inode_owner_or_capable(f->inode) : current_creds()->fsuid == 0 || capable(CAP_FOWNER);
}

static int64_t
set_flags(struct file *f, int fd, int flags)
{
    int next = (f->flags & ~KERNEL_SETFL) | (flags & KERNEL_SETFL), r;

    if ((next & ~f->flags & O_NOATIME) && !file_owner_or_capable(f))
        return -EPERM;
    if (OPS(f->ops)->set_flags) {
        r = OPS(f->ops)->set_flags(f, next);
        if (r < 0)
            return r;
    }
    if ((next ^ f->flags) & O_ASYNC) {
        r = async_set(f, fd, next & O_ASYNC);
        if (r < 0)
            return r;
    }
    f->flags = next;
    return 0;
}

static int64_t
dup_from(struct file *f, uint64_t from, int flags)
{
    int fd;

    if (from >= current_process()->rlimits[RLIMIT_NOFILE].rlim_cur || from > INT_MAX)
        return -EINVAL;
    fd = fd_install(file_get(f), (int)from, flags);
    if (fd < 0)
        file_put(f);
    return fd;
}

static int64_t
add_seals(struct file *f, unsigned seals)
{
    struct inode *i = f->inode;

    if (!file_can_write(f))
        return -EPERM;
    if (seals & ~0x3fu)
        return -EINVAL;
    if (!i || f->ops != &memfs_file_ops || i->sb != anon_superblock())
        return -EINVAL;
    if (i->seals & F_SEAL_SEAL)
        return -EPERM;
    if ((seals & SEAL_EXEC) && (i->mode & 0111)) /* what may be executed is not written any more */
        seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    if ((seals & F_SEAL_WRITE) && mm_file_may_be_written(i))
        return -EBUSY;
    i->seals |= seals;
    return 0;
}

/* A negative number is a group's. */
static int64_t
set_owner(struct file *f, int owner)
{
    if (owner == INT_MIN)
        return -EINVAL;
    return async_set_owner(f, owner < 0 ? F_OWNER_PGRP : F_OWNER_PID, owner < 0 ? -owner : owner);
}

static int
get_owner(const struct file *f)
{
    int type, id = async_owner(f, &type);

    return type == F_OWNER_PGRP ? -id : id;
}

static int64_t
owner_ex(struct file *f, int cmd, guest_addr at)
{
    struct f_owner_ex owner;
    int type;

    if (cmd == F_GETOWN_EX) {
        owner.pid = async_owner(f, &type);
        owner.type = (enum __pid_type)type;
        return copy_to_guest(at, &owner, sizeof owner) < 0 ? -EFAULT : 0;
    }
    if (copy_from_guest(&owner, at, sizeof owner) < 0)
        return -EFAULT;
    if (owner.pid < 0 || owner.type < F_OWNER_TID || owner.type > F_OWNER_PGRP)
        return -EINVAL;
    return async_set_owner(f, (int)owner.type, owner.pid);
}

/* How long what is written is likely to stay: of the inode, kept without effect. */
static int64_t
write_hint(struct file *f, int cmd, guest_addr at)
{
    enum { HINTS = 6 }; /* RWH_WRITE_LIFE_* */
    uint64_t hint;

    if (!f->inode)
        return -EINVAL;
    if (cmd == GET_RW_HINT) {
        hint = f->inode->write_hint;
        return copy_to_guest(at, &hint, sizeof hint) < 0 ? -EFAULT : 0;
    }
    if (!inode_owner_or_capable(f->inode))
        return -EPERM;
    if (copy_from_guest(&hint, at, sizeof hint) < 0)
        return -EFAULT;
    if (hint >= HINTS)
        return -EINVAL;
    f->inode->write_hint = (uint8_t)hint;
    return 0;
}

static int64_t
owner_ids(struct file *f, guest_addr at)
{
    uint32_t ids[2];

    async_owner_ids(f, ids);
    return copy_to_guest(at, ids, sizeof ids) < 0 ? -EFAULT : 0;
}

/* Is it the open file that the other descriptor has, too? */
static int64_t
is_same_file(const struct file *f, int fd)
{
    FILE_REF struct file *other = fd_get(fd);

    return other ? other == f : -EBADF;
}

int64_t
sys_fcntl(const uint64_t a[6])
{
    int fd = (int)a[0], cmd = (int)a[1];
    FILE_REF struct file *f = fd_get(fd);

    if (!f)
        return -EBADF;
    switch (cmd) {
    case F_DUPFD: return dup_from(f, a[2], 0);
    case F_DUPFD_CLOEXEC: return dup_from(f, a[2], O_CLOEXEC);
    case F_GETFD: return fd_cloexec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD: fd_set_cloexec(fd, a[2] & FD_CLOEXEC); return 0;
    case F_GETFL: return f->flags;
    case DUPFD_QUERY: return is_same_file(f, (int)a[2]);
    default: break;
    }
    if (f->flags & O_PATH)
        return -EBADF;
    switch (cmd) {
    case F_SETFL: return set_flags(f, fd, (int)a[2]);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return fcntl_lock(f, fd, cmd, a[2]);
    case F_SETOWN: return set_owner(f, (int)a[2]);
    case F_GETOWN: return get_owner(f);
    case F_SETOWN_EX:
    case F_GETOWN_EX: /* glibc's F_GETOWN */ return owner_ex(f, cmd, a[2]);
    case F_SETSIG: return async_set_signal(f, a[2]);
    case F_GETSIG: return async_signal(f);
    case F_SETPIPE_SZ: return pipe_fcntl_size(f, (int64_t)(unsigned)a[2]);
    case F_GETPIPE_SZ: return pipe_fcntl_size(f, -1);
    case F_ADD_SEALS: return add_seals(f, (unsigned)a[2]);
    case F_GET_SEALS:
        if (!f->inode || f->ops != &memfs_file_ops || f->inode->sb != anon_superblock())
            return -EINVAL;
        return f->inode->seals;
    case GETOWNER_UIDS: return owner_ids(f, a[2]);
    case GET_RW_HINT:
    case SET_RW_HINT: return write_hint(f, cmd, a[2]);
    case F_NOTIFY: return note_set(f, fd, (uint32_t)a[2]);
    case F_GETLEASE: return lease_get(f);
    case F_SETLEASE: return lease_set(f, fd, (int)a[2]);
    default: return -EINVAL;
    }
}

static int64_t
ioctl_generic(struct file *f, int fd, unsigned long request, guest_addr arg, bool *handled)
{
    int value;

    *handled = true;
    switch (request) {
    case FIOCLEX: fd_set_cloexec(fd, true); return 0;
    case FIONCLEX: fd_set_cloexec(fd, false); return 0;
    case FIONBIO:
        if (copy_from_guest(&value, arg, sizeof value) < 0)
            return -EFAULT;
        return set_flags(f, fd, value ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK);
    case FIOASYNC:
        if (copy_from_guest(&value, arg, sizeof value) < 0)
            return -EFAULT;
        return set_flags(f, fd, value ? f->flags | O_ASYNC : f->flags & ~O_ASYNC);
    case FIOSETOWN:
    case SIOCSPGRP:
        if (!f->inode || !S_ISSOCK(f->inode->mode))
            break;
        if (copy_from_guest(&value, arg, sizeof value) < 0)
            return -EFAULT;
        return set_owner(f, value);
    case FIOGETOWN:
    case SIOCGPGRP:
        if (!f->inode || !S_ISSOCK(f->inode->mode))
            break;
        value = get_owner(f);
        return copy_to_guest(arg, &value, sizeof value);
    case FIONREAD:
        if (f->inode && S_ISREG(f->inode->mode) && !OPS(f->ops)->ioctl) {
            uint64_t size = file_size(f);

            value = size > f->pos ? (int)(size - f->pos) : 0;
            return copy_to_guest(arg, &value, sizeof value);
        }
        break;
    default: break;
    }
    *handled = false;
    return 0;
}

int64_t
sys_ioctl(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    unsigned long request = (uint32_t)a[1];
    bool handled;
    int64_t r;

    if (!f || (f->flags & O_PATH))
        return -EBADF;
    r = ioctl_generic(f, (int)a[0], request, a[2], &handled);
    if (handled)
        return r;
    if (!OPS(f->ops)->ioctl)
        return -ENOTTY;
    if (OPS(f->ops)->ioctl_sleeps)
        return OPS(f->ops)->ioctl(f, request, a[2]);
    NO_SLEEP;
    return OPS(f->ops)->ioctl(f, request, a[2]);
}

int64_t
sys_memfd_create(const uint64_t a[6])
{
    char name[8 + 249] = "/memfd:";
    ssize_t n = copy_string_from_guest(name + 7, a[0], sizeof name - 7);
    struct inode *i;
    struct dentry *d;
    struct file *f;

    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    if (a[1] & ~0x1full) /* CLOEXEC, ALLOW_SEALING, HUGETLB, NOEXEC_SEAL, EXEC */
        return -EINVAL;
    if ((a[1] & MFD_HUGETLB) || (a[1] & 0x18) == 0x18)
        return a[1] & MFD_HUGETLB ? -ENOSYS : -EINVAL; /* as a Linux without hugetlbfs */
    i = memfs_inode_new(anon_superblock(), S_IFREG | ((a[1] & 8) ? 0666 : 0777), 0, NULL);
    if (!i)
        return -ENOMEM;
    i->nlink = 0;
    if (!(a[1] & (MFD_ALLOW_SEALING | 8)))
        i->seals = F_SEAL_SEAL;
    if (a[1] & 8)
        i->seals |= SEAL_EXEC;
    d = dentry_new(NULL, name, strlen(name), i);
    if (d)
        d->flags |= DENTRY_DELETED;
    f = d ? file_new_inode(&memfs_file_ops, O_RDWR | KERNEL_LARGEFILE, i, d) : NULL;
    inode_put(i);
    dentry_put(d);
    if (!f)
        return -ENOMEM;
    return fd_install_or_put(f, (a[1] & MFD_CLOEXEC) ? O_CLOEXEC : 0);
}
