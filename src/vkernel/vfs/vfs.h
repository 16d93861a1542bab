/* Inside the virtual file system: inodes, dentries, mounts and the walk over them. For fs/, tty/ and net/.
 *
 * A dentry belongs to one superblock, and a superblock is mounted once, so a place in the tree is a dentry
 * alone. Memory file systems keep their names as hashed, pinned dentries (the dentries are the directory);
 * pseudo and host file systems make a fresh unhashed dentry at every lookup. Nothing here locks: whoever comes
 * here holds the kernel lock. */
#ifndef VKERNEL_VFS_VFS_H
#define VKERNEL_VFS_VFS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "platform/heap.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/users.h"

enum { VFS_NAME_MAX = 255, VFS_PATH_MAX = 4096, VFS_LINK_MAX = 40 };
enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };

struct superblock;
struct pipe;
struct artifact;

struct iattr {
    unsigned valid; /* ATTR_* */
    uint32_t mode, uid, gid;
    struct timespec atime, mtime;
};
enum { ATTR_MODE = 1, ATTR_UID = 2, ATTR_GID = 4, ATTR_ATIME = 8, ATTR_MTIME = 16 };

struct inode_ops {
    /* Makes or finds the child; *out gets a reference. -ENOENT when there is none. */
    int (*lookup)(struct dentry *dir, const char *name, size_t length, struct dentry **out);
    /* Creates any kind of inode under the name; target is a symlink's text. *out gets a reference. */
    int (*create)(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
                  struct dentry **out);
    int (*link)(struct inode *inode, struct dentry *dir, const char *name, size_t length);
    int (*unlink)(struct dentry *dir, struct dentry *child); /* also rmdir: the child's type tells */
    int (*rename)(struct dentry *old_dir, struct dentry *old, struct dentry *new_dir, struct dentry *new_one,
                  const char *name, size_t length, unsigned flags);
    ssize_t (*readlink)(struct dentry *d, char *buf, size_t size);
    /* A magic link: *out is the place itself, with a reference. */
    int (*follow)(struct dentry *d, struct dentry **out);
    /* Fills f->ops (and f->data); f->inode and f->dentry are set. May replace *f by another open file. */
    int (*open)(struct inode *inode, struct file *f);
    int (*permission)(struct inode *inode, int mask);
    int (*getattr)(struct inode *inode, struct stat *st);
    int (*setattr)(struct inode *inode, const struct iattr *attr);
    int (*truncate)(struct inode *inode, uint64_t size);
    /* NULL: nobody else knows the file. Record locks of all guests together, as one owner; type F_RDLCK, F_WRLCK,
     * F_UNLCK; end inclusive. -EAGAIN: somebody outside has it locked; never waits. get_lock is F_OFD_GETLK. */
    int (*lock)(struct inode *inode, int type, uint64_t start, uint64_t end);
    int (*get_lock)(struct inode *inode, struct flock *l);
    int (*tmpfile)(struct dentry *dir, uint32_t mode, struct inode **out);
    /* Somebody else changes the file, too, and tells of every change, ours among them: inotify_report. -errno */
    int (*watch)(struct inode *inode, bool on);
    void (*evict)(struct inode *inode); /* last reference gone */
    /* file_base_ledger of it. NULL: it is never a file of the base layer. */
    const struct artifact_ledger *(*ledger_row)(const struct inode *inode);
};

enum content_kind { CONTENT_HEAP, CONTENT_BASE, CONTENT_SLOT };

struct xattr;
struct inotify_watch;
struct file_lock;

struct inode {
    struct refcount refs;
    uint64_t number; /* in futex keys */
    const struct inode_ops *ops;
    struct superblock *sb;
    uint64_t ino;
    uint32_t mode, uid, gid, nlink;
    uint64_t size;
    dev_t rdev;
    struct timespec atime, mtime, ctime, btime;
    uint8_t write_hint; /* F_SET_RW_HINT */
    bool linkable;      /* made by O_TMPFILE: may get its first name */
    bool mapped;        /* has been mapped: mappings follow the size, and from the artifact to a slot */
    bool mapped_shared; /* a writable shared mapping may change it unseen */
    void *data;         /* of the ops */

    /* memory file systems (memfs.c) */
    enum content_kind kind;
    uint8_t *heap;
    size_t heap_capacity;
    uint64_t slot; /* CONTENT_SLOT: number of the slot in the store */
    bool sparse;
    uint64_t charged;    /* its content, of the disk (disk.h) */
    uint32_t disk_inode; /* the same of itself and its target */
    uint32_t base_index; /* artifact inode, or ARTIFACT_NONE */
    char *target;        /* symlink text of an in-memory link; owned */
    unsigned seals;      /* memfd_create */

    struct pipe *pipe;          /* FIFO while open */
    unsigned executed;          /* how many processes run it (file_execute) */
    void *bound_socket;         /* AF_UNIX socket bound to this inode */
    struct lock_context *locks; /* locks.c; NULL: none */
    struct list watches;        /* struct inotify_watch */
    struct list mappings;       /* struct vma.of_inode, of all address spaces: mm/vma_tree.c's */
    bool watched_outside;       /* inode_ops.watch: events come from there */
    struct xattr *xattrs;
    unsigned write_opens, read_opens; /* open files of it that may write; regular files that may only read */
    struct lease_context *leases;     /* leases.c; NULL: none */
    struct note *notes;               /* notes.c; of a folder */
};

enum {
    DENTRY_HASHED = 1,
    DENTRY_POPULATED = 2, /* all names of the base layer's directory are in children */
    DENTRY_DELETED = 4,   /* unlinked; the inode lives while open */
};

struct mount {
    struct list link;
    int id;
    struct superblock *sb;
    struct dentry *root, *mountpoint; /* mountpoint NULL: the root of all */
};

struct dentry {
    struct refcount refs;
    unsigned flags;
    struct dentry *parent; /* holds a reference; NULL for a superblock's root */
    struct inode *inode;   /* holds a reference; NULL: negative (a whiteout) */
    struct superblock *sb;
    struct mount *mounted; /* covers this dentry */
    struct dentry *hash_next;
    uint32_t hash, name_length;
    uint64_t cookie; /* position in getdents */
    struct list children, sibling;
    char *name;
    char inline_name[24];
};

struct superblock {
    const char *type, *source;
    uint64_t magic;
    dev_t dev;
    bool read_only, no_dev, no_suid, no_exec;
    uint64_t next_ino;
    struct dentry *root;
    struct mount *mount;
    void *data;
    int (*statfs)(struct superblock *sb, struct statfs *st);
    int (*sync)(struct superblock *sb); /* NULL: what is written is lost at the end in any case */
};
OBJECT_POOL_OF(superblock);

/* --- inode.c --- */
uint64_t object_number(void);                                    /* for keys of futexes: never one twice, never 0 */
extern const struct inode_ops OPS_TABLE(inode_ops) inode_no_ops; /* what inode_new takes NULL for */
struct inode *inode_new(struct superblock *sb, const struct inode_ops *ops, uint32_t mode);
struct inode *inode_get(struct inode *i);
void inode_put(struct inode *i);
struct timespec timespec_now(void);
static inline bool
timespec_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}
void inode_touch(struct inode *i); /* mtime and ctime to now */
/* A file was read or mapped: its atime becomes now where it is not later than the last change, as relatime has it.
 * (Linux also renews one that is a day old, for which each read would have to ask the time.) */
static inline void
inode_accessed(struct inode *i)
{
    if (timespec_before(&i->mtime, &i->atime) && timespec_before(&i->ctime, &i->atime))
        return;
    if (!i->sb->read_only)
        i->atime = timespec_now();
}
int inode_permission(struct inode *i, int mask);
bool inode_is_executed(const struct inode *i); /* by a process now: it may not be written (ETXTBSY) */
bool inode_owner_or_capable(const struct inode *i);
bool in_group(uint32_t gid);
int inode_stat(struct inode *i, struct stat *st);
int inode_setattr(struct inode *i, const struct iattr *attr);
/* The mode without the bits that a new owner or other bytes take: set-user-id, and set-group-id where it means that. */
uint32_t inode_mode_unprivileged(const struct inode *i);
/* Its bytes were changed by somebody without CAP_FSETID: no program of another's stays one with its rights.
 * IN_ATTRIB or 0: what there is to tell. */
uint32_t inode_drop_privileges(struct inode *i);
struct superblock *superblock_new(const char *type, uint64_t magic);

struct dentry *dentry_new(struct dentry *parent, const char *name, size_t length, struct inode *inode);
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
uint32_t dentry_hash(const struct dentry *dir, const char *name, size_t length);
struct dentry *dentry_find(struct dentry *dir, const char *name, size_t length); /* borrowed */
void dentry_insert(struct dentry *d); /* into hash and parent's children; pins it */
void dentry_remove(struct dentry *d); /* the reverse; drops the pin */
ssize_t dentry_path(struct dentry *d, struct dentry *root, char *buf, size_t size);

int mount_add(struct superblock *sb, struct dentry *mountpoint);
extern struct list mount_list;

/* --- namei.c --- */
enum {
    WALK_FOLLOW = 1,      /* follow a final symlink */
    WALK_PARENT = 2,      /* stop at the last component's directory */
    WALK_EMPTY = 4,       /* AT_EMPTY_PATH */
    WALK_NO_SYMLINKS = 8, /* RESOLVE_* */
    WALK_BENEATH = 16,
    WALK_IN_ROOT = 32,
    WALK_NO_XDEV = 64,
    WALK_NO_MAGICLINKS = 128,
    WALK_DIRECTORY = 256, /* the result must be a directory */
};

/* A path being walked; path_fini releases. A walk that fails leaves it empty, so that releasing it again is
 * harmless. */
struct path {
    struct dentry *dentry; /* the result, or with WALK_PARENT the directory */
    char *last;            /* WALK_PARENT: last component, NUL-terminated */
    size_t last_length;
    bool last_slash;   /* it had trailing slashes */
    bool last_special; /* ".", ".." or "/": nothing to create or remove */
    char *storage;
};
int path_walk(int dirfd, const char *name, unsigned flags, struct path *out);
/* The same with a path argument of a system call. */
int path_walk_guest(int dirfd, guest_addr name, unsigned flags, struct path *out);
void path_fini(struct path *p);
/* One component; follows mounts. *out gets a reference. As everywhere in the vkernel: results are set on every path, to
 * NULL at a failure. */
int vfs_lookup(struct dentry *dir, const char *name, size_t length, struct dentry **out);
int vfs_may_delete(struct dentry *dir, struct dentry *victim, bool is_dir);
int vfs_create(struct dentry *dir, const char *name, size_t length, uint32_t mode, dev_t rdev, const char *target,
               struct dentry **out);
int vfs_unlink(struct dentry *dir, struct dentry *victim);
struct dentry *fs_root(void); /* of the current process; borrowed */
struct dentry *fs_cwd(void);
uint32_t fs_umask(void);
void fs_set_cwd(struct dentry *d);
void fs_set_root(struct dentry *d);
struct dentry *fs_context_root(struct fs_context *c);
struct dentry *fs_context_cwd(struct fs_context *c);
uint32_t fs_context_umask(struct fs_context *c);
uint32_t fs_set_umask(uint32_t mask);
/* Copies a path argument to buf[VFS_PATH_MAX]; 0, -EFAULT, -ENAMETOOLONG. An empty one is not an error here. */
int path_from_guest(char *buf, guest_addr a);

struct superblock *anon_superblock(void);

/* --- open.c --- */
int vfs_open_dentry(struct dentry *d, int flags, struct file **out); /* permissions have been checked */
int vfs_open_how(int dirfd, const char *path, int flags, mode_t mode, unsigned resolve, struct file **out);

/* --- file.c --- */
struct file *file_new_inode(const struct file_ops *ops, int flags, struct inode *inode, struct dentry *d);
/* Full read or write with sleeping, as read(2): pos NULL uses and advances the file's own. */
ssize_t file_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos);
ssize_t file_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos);
/* The end of every call that has written: who watches the file is told, and what O_DSYNC promises is done. 0 or
 * -errno. */
int file_written(struct file *f);
/* A write found nobody to read, after so many bytes. */
void file_broken(const struct file *f, uint64_t done);
/* RLIMIT_FSIZE: cuts a write of *size bytes at pos to what is allowed; -EFBIG and SIGXFSZ when that is nothing. */
int file_limit_write(uint64_t pos, uint64_t *size);
unsigned file_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max);
/* Sleeps until the file's queues are woken. */
int file_wait(struct file *f, uint64_t deadline);
/* With O_NONBLOCK forced, for loops that sleep themselves. */
ssize_t file_try_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos);
ssize_t file_try_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos);
/* O_ACCMODE, 3, opens a file that can be neither read nor written (open(2)). */
static inline bool
file_can_read(const struct file *f)
{
    return !(f->flags & O_PATH) && ((f->flags & O_ACCMODE) + 1) & 1;
}
static inline bool
file_can_write(const struct file *f)
{
    return !(f->flags & O_PATH) && ((f->flags & O_ACCMODE) + 1) & 2;
}
/* Guest iovec arrays resolved to host spans. There are spans for every part and USER_IOV_SPANS more, as a part that
 * crosses mappings takes several: packets and what must be atomic, 212,992 bytes at most, are in one piece. */
enum { USER_IOV_INLINE = 16, USER_IOV_SPANS = 64 };
struct user_iov {
    uint64_t total; /* bytes asked for */
    unsigned count;
    struct {
        guest_addr base;
        uint64_t size;
    } *parts, inline_parts[USER_IOV_INLINE];
    int span_max;
    struct iovec *spans, inline_spans[USER_IOV_INLINE + USER_IOV_SPANS];
};
int user_iov_init(struct user_iov *u, guest_addr array, uint64_t count);
void user_iov_single(struct user_iov *u, guest_addr base, uint64_t size);
void user_iov_fini(struct user_iov *u);
/* Sets u->spans to the bytes from `skip` on, `most` of them at most. Returns the number of spans; 0 is -EFAULT if bytes
 * remain. */
int user_iov_spans(struct user_iov *u, uint64_t skip, uint64_t most, bool write);
/* The most for an operation that moves no more at once than the buffer of a pipe or socket holds: all of what it is
 * given must be ready to be accessed, and to make it so may take as long as copying it. */
enum { SPANS_MOST = 4 << 20 };
/* Do these spans have all of a packet, or as much of it as an operation is given? 0, or why not: -EFAULT, -EMSGSIZE. */
int user_iov_whole(const struct user_iov *u, int spans);

/* --- fdtable.c --- */
int fd_close(int fd);
int fdtable_install(struct fdtable *t, struct file *f, int fd); /* takes the reference; boot */
int fd_dup_to(struct file *f, int fd, int flags);
bool fd_cloexec(int fd);
void fd_set_cloexec(int fd, bool on);
bool fdtable_cloexec(struct fdtable *t, int fd);
void fdtable_close_range(unsigned first, unsigned last, bool cloexec);
int fdtable_unshare(void);

/* --- locks.c --- */
void locks_release_file(struct file *f);                          /* flock and OFD, at the last put */
void locks_release_posix(struct inode *i, struct fdtable *owner); /* at close */
int64_t fcntl_lock(struct file *f, int fd, int cmd, guest_addr arg);

/* --- leases.c --- */
/* F_SETLEASE and F_GETLEASE; type: F_RDLCK, F_WRLCK, F_UNLCK. */
int lease_set(struct file *f, int fd, int type);
int lease_get(struct file *f);
void lease_release(struct file *f); /* at its end */
/* To be called before a regular file is opened, or is made another size by its name: tells who has a lease that conflicts,
 * and waits until it is gone. 0, -ERESTARTSYS; or, without wait, -EAGAIN. */
int lease_break(struct inode *i, bool write, bool wait);

/* --- notes.c --- */
/* F_NOTIFY: events of DN_*; none: no more. 0, -ENOTDIR, -ENOMEM. */
int note_set(struct file *f, int fd, uint32_t events);
void notes_closed(struct file *f, const struct fdtable *owner); /* of a file with notes */
extern unsigned note_total;
/* What inotify would say of something in the folder, or of itself; or that something in it got another name in it. */
enum { NOTES_RENAMED = 0x10000 };
void notes_tell(struct inode *dir, uint32_t mask);

/* --- inotify.c --- */
void inotify_event(struct inode *i, uint32_t mask, const char *name, uint32_t cookie);
/* To the inode and, with the name, to its directory. */
void inotify_dentry(struct dentry *d, uint32_t mask);
/* The same of what is done by an open file, which IN_EXCL_UNLINK is about. */
void inotify_opened(struct dentry *d, uint32_t mask);
void inotify_inode_gone(struct inode *i);
/* What inode_ops.watch brings; mask as inotify's, IN_IGNORED ends the watches, IN_Q_OVERFLOW. */
void inotify_report(struct inode *i, uint32_t mask, const char *name, uint32_t cookie);

/* --- polling helpers for syscalls --- */
static inline void
poll_add(struct wait_queue **queues, unsigned *count, unsigned max, struct wait_queue *q)
{
    if (queues && *count < max)
        queues[(*count)++] = q;
}

/* News that a file tells of by its poll. count rises with each; the queue is woken. */
struct vfs_news {
    struct wait_queue queue;
    uint64_t count;
};
extern struct vfs_news mount_news; /* a mount came or went */
void mount_changed(void);

/* The events that the poll under way is for: a file that watches the host asks the host for these only. */
extern unsigned vfs_poll_wanted;

/* A timed read of a terminal (VTIME) is over: give what there is. */
extern bool vfs_read_timed_out;

/* What other rooms add to files and inodes. None of them sleeps but open_special, which may wait for the other
 * end of a FIFO. */
struct vfs_hooks {
    int (*open_special)(struct inode *inode, struct file *f); /* char devices, FIFOs, sockets by inode->mode */
    void (*file_released)(struct file *f);                    /* its last reference is gone; before its own release */
    void (*file_suspected)(const struct file *f);             /* it may be held by messages in sockets' queues alone */
    void (*inode_evicted)(struct inode *inode);               /* its last reference is gone */
    void (*collect_changes)(void);       /* what the host has told of watched files (inode_ops.watch) is reported */
    int (*owner_needed)(struct file *f); /* the file's owner is the current process, if it has none. 0 or -ENOMEM */
    void (*owner_told)(const struct file *f, int fd); /* that there is news of a lease or a note */
    void (*owner_gone)(struct file *f);               /* it has none any more */
    void (*signal_self)(int sig);                     /* SIGPIPE, SIGXFSZ: to the running task, for what its call did */
};
extern const struct vfs_hooks vfs_hooks; /* boot/hooks.c */

#endif
