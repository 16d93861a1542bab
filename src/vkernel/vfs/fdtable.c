/* Descriptor tables. */
#include <sys/resource.h>

#include "vkernel/vfs/limits.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"

enum { FD_LIMIT = LIMIT_DESCRIPTORS };

struct fdtable {
    struct refcount refs;
    int capacity;
    int lowest_free; /* no free descriptor below */
    struct file **files;
    uint8_t *cloexec;
};

OBJECT_POOL(fdtable);

struct fdtable *
fdtable_new(void)
{
    struct fdtable *t = OBJECT_NEW(fdtable);

    if (t)
        refcount_init(&t->refs);
    return t;
}

static int
reserve(struct fdtable *t, int fd)
{
    int capacity = t->capacity ? t->capacity : 32;
    struct file **files;
    uint8_t *cloexec;

    if (fd < t->capacity)
        return 0;
    if (fd >= FD_LIMIT)
        return -EMFILE;
    while (capacity <= fd)
        capacity *= 2;
    files = array_resize(t->files, (size_t)t->capacity, (size_t)capacity, sizeof *files);
    if (!files)
        return -ENOMEM;
    t->files = files;
    cloexec = bytes_resize(t->cloexec, (size_t)capacity);
    if (!cloexec)
        return -ENOMEM;
    t->cloexec = cloexec;
    memset(cloexec + t->capacity, 0, (size_t)(capacity - t->capacity));
    t->capacity = capacity;
    return 0;
}

struct fdtable *
fdtable_clone(struct fdtable *t)
{
    struct fdtable *n = fdtable_new();

    if (!n)
        return NULL;
    if (t->capacity && reserve(n, t->capacity - 1) < 0) {
        fdtable_put(n);
        return NULL;
    }
    for (int fd = 0; fd < t->capacity; fd++) {
        n->files[fd] = t->files[fd] ? file_get(t->files[fd]) : NULL;
        n->cloexec[fd] = t->cloexec[fd];
    }
    n->lowest_free = t->lowest_free;
    return n;
}

struct fdtable *
fdtable_get(struct fdtable *t)
{
    refcount_get(&t->refs);
    return t;
}

/* POSIX: closing any descriptor of a file drops all the process's record locks on it. */
static void
close_file(struct fdtable *t, struct file *f)
{
    if (f->inode && !(f->flags & O_PATH) && f->inode->locks)
        locks_release_posix(f->inode, t);
    if (f->notes)
        notes_closed(f, t);
    if (OPS(f->ops)->closed)
        OPS(f->ops)->closed(f);
    file_put(f);
}

void
fdtable_put(struct fdtable *t)
{
    if (!t || !refcount_put(&t->refs))
        return;
    for (int fd = 0; fd < t->capacity; fd++)
        if (t->files[fd])
            close_file(t, t->files[fd]);
    array_free(t->files);
    bytes_free(t->cloexec);
    OBJECT_FREE(fdtable, t);
}

void
fdtable_end(struct fdtable *t)
{
    might_sleep();
    for (int fd = 0; refcount_is_one(&t->refs) && fd < t->capacity; fd++) {
        struct file *f = t->files[fd];

        if (!f)
            continue;
        t->files[fd] = NULL;
        close_file(t, f);
        sched_checkpoint(); /* who ends anyhow closes them all */
    }
    fdtable_put(t);
}

static void
drop(struct fdtable *t, int fd)
{
    struct file *f = t->files[fd];

    t->files[fd] = NULL;
    t->cloexec[fd] = 0;
    if (fd < t->lowest_free)
        t->lowest_free = fd;
    close_file(t, f);
}

void
fdtable_close_on_exec(struct fdtable *t)
{
    might_sleep();
    for (int fd = 0; fd < t->capacity; fd++) {
        if (!t->files[fd] || !t->cloexec[fd])
            continue;
        drop(t, fd);
        if (sched_checkpoint() < 0)
            return;
    }
}

static struct file *
slot(const struct fdtable *t, int fd)
{
    return t && fd >= 0 && fd < t->capacity ? t->files[fd] : NULL;
}

struct file *
fdtable_get_file(struct fdtable *t, int fd)
{
    struct file *f = slot(t, fd);

    return f ? file_get(f) : NULL;
}

int
fdtable_next(struct fdtable *t, int fd)
{
    for (fd = fd < 0 ? 0 : fd; t && fd < t->capacity; fd++)
        if (t->files[fd])
            return fd;
    return -1;
}

bool
fdtable_cloexec(struct fdtable *t, int fd)
{
    return t->cloexec[fd];
}

struct file *
fd_get(int fd)
{
    return fdtable_get_file(current_files(), fd);
}

static int
fd_limit(void)
{
    rlim_t limit = this_worker.rlimits[RLIMIT_NOFILE].rlim_cur;

    return limit < FD_LIMIT ? (int)limit : FD_LIMIT;
}

/* The lowest free descriptor >= from, with room in the table; or -errno. */
static int
find_free(struct fdtable *t, int from)
{
    int fd = from > t->lowest_free ? from : t->lowest_free, r;

    while (fd < t->capacity && t->files[fd])
        fd++;
    if (fd >= fd_limit())
        return -EMFILE;
    r = reserve(t, fd);
    return r < 0 ? r : fd;
}

static void
fill(struct fdtable *t, int fd, struct file *f, int from, int flags)
{
    t->files[fd] = f;
    t->cloexec[fd] = (flags & O_CLOEXEC) != 0;
    if (from <= t->lowest_free)
        t->lowest_free = fd + 1;
}

int
fd_install(struct file *f, int from, int flags)
{
    struct fdtable *t = current_files();
    int fd = find_free(t, from);

    if (fd >= 0)
        fill(t, fd, f, from, flags);
    return fd;
}

int
fd_install_or_put(struct file *f, int flags)
{
    int fd = fd_install(f, 0, flags);

    if (fd < 0)
        file_put(f);
    return fd;
}

int
fd_install_told(struct file *const *files, unsigned count, int flags, uint64_t address)
{
    NO_SLEEP;
    struct fdtable *t = current_files();
    int fds[FD_TOLD_MAX] = {0};

    for (unsigned k = 0; k < count && k < FD_TOLD_MAX; k++) {
        fds[k] = find_free(t, k ? fds[k - 1] + 1 : 0);
        if (fds[k] < 0)
            return fds[k];
    }
    if (copy_to_guest(address, fds, count * sizeof fds[0]) < 0)
        return -EFAULT;
    for (unsigned k = 0; k < count; k++)
        fill(t, fds[k], files[k], 0, flags);
    return 0;
}

int
fd_room(void)
{
    int fd = find_free(current_files(), 0);

    return fd < 0 ? fd : 0;
}

int
fdtable_install(struct fdtable *t, struct file *f, int fd)
{
    int r = reserve(t, fd);

    if (r < 0)
        return r;
    t->files[fd] = f;
    if (fd == t->lowest_free)
        t->lowest_free = fd + 1;
    return fd;
}

int
fd_dup_to(struct file *f, int fd, int flags)
{
    struct fdtable *t = current_files();
    struct file *old;
    int r;

    if (fd < 0 || fd >= fd_limit())
        return -EBADF;
    r = reserve(t, fd);
    if (r < 0)
        return r;
    old = t->files[fd];
    t->files[fd] = file_get(f);
    t->cloexec[fd] = (flags & O_CLOEXEC) != 0;
    if (fd == t->lowest_free)
        t->lowest_free = fd + 1;
    if (old)
        close_file(t, old);
    return fd;
}

int
fd_close(int fd)
{
    struct fdtable *t = current_files();

    if (!slot(t, fd))
        return -EBADF;
    drop(t, fd);
    return 0;
}

bool
fd_cloexec(int fd)
{
    return current_files()->cloexec[fd];
}

void
fd_set_cloexec(int fd, bool on)
{
    current_files()->cloexec[fd] = on;
}

void
fdtable_close_range(unsigned first, unsigned last, bool cloexec)
{
    struct fdtable *t = current_files();

    might_sleep();
    for (unsigned fd = first; fd <= last && fd < (unsigned)t->capacity; fd++) {
        if (!t->files[fd])
            continue;
        if (cloexec) {
            t->cloexec[fd] = 1;
            continue;
        }
        drop(t, (int)fd);
        if (sched_checkpoint() < 0)
            return;
    }
}

int
fdtable_unshare(void)
{
    struct fdtable *shared = current_files(), *own;

    if (refcount_is_one(&shared->refs))
        return 0;
    own = fdtable_clone(shared);
    if (!own)
        return -ENOMEM;
    *this_worker.files = own;
    fdtable_put(shared);
    return 0;
}
