/* Advisory locks: flock(2), POSIX record locks and open file description locks. Waiters all sleep on one queue:
 * contention on file locks is rare, and each rechecks its own. */
#include <sys/file.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/fs/vfs.h"

enum { FIRST_PAUSE_NS = 500000, LAST_PAUSE_NS = 32000000 };
enum lock_kind { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD };

struct file_lock {
    struct list link; /* of inode->locks */
    enum lock_kind kind;
    const void *owner; /* struct file, or the process's fdtable for POSIX locks */
    int pid;
    bool exclusive;
    uint64_t start, end; /* end inclusive */
};

/* A process that sleeps for a POSIX lock, on the stack of lock_set: for deadlock detection. */
struct lock_waiter {
    struct list link; /* of lock_waiters */
    const void *owner, *holder;
};

enum { LOCKS_MAX = 1 << 20 }; /* of the container: Linux has none but memory */

static unsigned lock_count;
static struct list lock_waiters = {&lock_waiters, &lock_waiters};
static struct wait_queue lock_queue = {{&lock_queue.waiters, &lock_queue.waiters}};

static struct file_lock *
find_conflict(struct inode *i, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end)
{
    LIST_EACH(p, &i->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if ((l->kind == LOCK_FLOCK) != (kind == LOCK_FLOCK) || l->owner == owner)
            continue;
        if (l->start <= end && start <= l->end && (l->exclusive || exclusive))
            return l;
    }
    return NULL;
}

/* The owner's first lock in the range: what F_OFD_GETLK with F_UNLCK asks for. */
static struct file_lock *
find_own(struct inode *i, enum lock_kind kind, const void *owner, uint64_t start, uint64_t end)
{
    struct file_lock *first = NULL;

    LIST_EACH(p, &i->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->kind == kind && l->owner == owner && l->start <= end && start <= l->end && (!first || l->start < first->start))
            first = l;
    }
    return first;
}

OBJECT_POOL(file_lock);

static void
lock_free(struct file_lock *l)
{
    list_remove(&l->link);
    OBJECT_FREE(file_lock, l);
    lock_count--;
}

static struct file_lock *
lock_add(struct inode *i, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end)
{
    struct file_lock *l = lock_count < LOCKS_MAX ? OBJECT_NEW(file_lock) : NULL;

    struct list *before = &i->locks; /* an owner's locks lie together, by start: F_GETLK tells of the first that is in the way */

    if (!l)
        return NULL;
    LIST_EACH(p, &i->locks) {
        const struct file_lock *other = list_entry(p, struct file_lock, link);

        if (other->kind != kind || other->owner != owner)
            continue;
        before = other->start < start ? p->next : p;
        if (other->start > start)
            break;
    }
    lock_count++;
    *l = (struct file_lock){.kind = kind, .owner = owner, .pid = kind == LOCK_OFD ? -1 : current_process()->pid,
                            .exclusive = exclusive, .start = start, .end = end};
    list_append(before, &l->link);
    return l;
}

/* As lock_add, one with the owner's locks of the same type that touch the new one. */
static int
lock_add_merged(struct inode *i, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end)
{
    LIST_EACH_SAFE(p, &i->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->kind != kind || l->owner != owner || l->exclusive != exclusive ||
            (l->end != start - 1 && l->start != end + 1))
            continue;
        start = l->start < start ? l->start : start;
        end = l->end > end ? l->end : end;
        lock_free(l);
    }
    return lock_add(i, kind, owner, exclusive, start, end) ? 0 : -ENOLCK;
}

/* Would the owner wait, through others that wait, for itself? The length is bounded as Linux's is. */
static bool
would_deadlock(const void *owner, const void *holder)
{
    enum { MAX_STEPS = 10 };

    for (int steps = 0; steps < MAX_STEPS; steps++) {
        const struct lock_waiter *next = NULL;

        if (holder == owner)
            return true;
        LIST_EACH(p, &lock_waiters) {
            const struct lock_waiter *w = list_entry(p, struct lock_waiter, link);

            if (w->owner == holder)
                next = w;
        }
        if (!next)
            return false;
        holder = next->holder;
    }
    return false;
}

/* Takes [start, end] out of the owner's locks. */
static int
lock_cut(struct inode *i, enum lock_kind kind, const void *owner, uint64_t start, uint64_t end)
{
    LIST_EACH_SAFE(p, &i->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->kind != kind || l->owner != owner || l->start > end || start > l->end)
            continue;
        if (l->start < start && l->end > end) {
            if (!lock_add(i, kind, owner, l->exclusive, end + 1, l->end))
                return -ENOLCK;
            l->end = start - 1;
        } else if (l->start < start) {
            l->end = start - 1;
        } else if (l->end > end) {
            l->start = end + 1;
        } else {
            lock_free(l);
        }
    }
    return 0;
}

/* Tells the world outside that what no guest has locked any more of [start, end] is free. */
static void
unlock_outside(struct inode *i, uint64_t start, uint64_t end)
{
    if (!OPS(i->ops)->lock || end < start)
        return;
    if (end > INT64_MAX)
        end = INT64_MAX;
    for (;;) {
        uint64_t covered = 0, next = UINT64_MAX; /* the end of a lock that covers start; the first that begins behind it */
        bool is_covered = false;

        LIST_EACH(p, &i->locks) {
            const struct file_lock *l = list_entry(p, struct file_lock, link);

            if (l->kind == LOCK_FLOCK || l->end < start)
                continue;
            if (l->start > start) {
                next = l->start < next ? l->start : next;
            } else if (l->end >= covered) {
                covered = l->end;
                is_covered = true;
            }
        }
        if (is_covered) {
            next = covered == UINT64_MAX ? UINT64_MAX : covered + 1;
        } else {
            OPS(i->ops)->lock(i, F_UNLCK, start, next <= end ? next - 1 : end);
        }
        if (next > end)
            return;
        start = next;
    }
}

static void
release_owner(struct inode *i, const void *owner)
{
    uint64_t start = UINT64_MAX, end = 0;
    bool any = false;

    LIST_EACH_SAFE(p, &i->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->owner != owner)
            continue;
        any = true;
        if (l->kind != LOCK_FLOCK) { /* the host's flock ends with its open file */
            start = l->start < start ? l->start : start;
            end = l->end > end ? l->end : end;
        }
        lock_free(l);
    }
    unlock_outside(i, start, end);
    if (any)
        wait_queue_wake(&lock_queue);
}

void
locks_release_file(struct file *f)
{
    release_owner(f->inode, f);
}

void
locks_release_posix(struct inode *i, struct fdtable *owner)
{
    release_owner(i, owner);
}

/* Takes the lock with the host, where the file is a host's; -EAGAIN. */
static int
lock_outside(struct file *f, enum lock_kind kind, bool exclusive, uint64_t start, uint64_t end)
{
    if (kind == LOCK_FLOCK)
        return OPS(f->ops)->flock ? OPS(f->ops)->flock(f, exclusive ? LOCK_EX : LOCK_SH) : 0;
    return OPS(f->inode->ops)->lock ? OPS(f->inode->ops)->lock(f->inode, exclusive ? F_WRLCK : F_RDLCK, start, end) : 0;
}

static int
lock_set(struct file *f, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end, bool wait)
{
    struct inode *i = f->inode;
    struct lock_waiter waiter = {.owner = owner};
    const struct file_lock *conflict;
    uint64_t pause = FIRST_PAUSE_NS;
    int r = 0;

    might_sleep();
    for (;;) {
        conflict = find_conflict(i, kind, owner, exclusive, start, end);
        if (!conflict) {
            r = lock_outside(f, kind, exclusive, start, end);
            if (r != -EAGAIN || !wait)
                break;
            /* Whoever has it is no guest, and nothing tells when it is free. */
            r = wait_on(&lock_queue, clock_monotonic_ns() + pause);
            pause = pause < LAST_PAUSE_NS ? pause * 2 : pause;
            r = r == -ETIMEDOUT ? 0 : r;
        } else if (!wait) {
            r = -EAGAIN;
        } else if (kind == LOCK_POSIX && would_deadlock(owner, conflict->owner)) {
            r = -EDEADLK;
        } else {
            waiter.holder = conflict->owner;
            if (kind == LOCK_POSIX)
                list_append(&lock_waiters, &waiter.link);
            r = wait_on(&lock_queue, WAIT_FOREVER);
            if (kind == LOCK_POSIX)
                list_remove(&waiter.link);
        }
        if (r < 0)
            break;
    }
    if (r == 0)
        r = lock_cut(i, kind, owner, start, end);
    if (r == 0)
        r = lock_add_merged(i, kind, owner, exclusive, start, end);
    if (r == -ENOLCK && kind != LOCK_FLOCK)
        unlock_outside(i, start, end);
    if (r == 0)
        wait_queue_wake(&lock_queue); /* a downgrade lets others in */
    return r;
}

static bool
owns_flock(const struct file *f, bool exclusive)
{
    LIST_EACH(p, &f->inode->locks) {
        const struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->kind == LOCK_FLOCK && l->owner == f)
            return l->exclusive == exclusive;
    }
    return false;
}

int64_t
sys_flock(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    int op = (int)a[1] & ~LOCK_NB;

    if (op != LOCK_SH && op != LOCK_EX && op != LOCK_UN)
        return -EINVAL;
    if (!f || (f->flags & O_PATH))
        return -EBADF;
    if (!f->inode)
        return 0;
    if (op == LOCK_UN) {
        if (OPS(f->ops)->flock)
            OPS(f->ops)->flock(f, LOCK_UN);
        lock_cut(f->inode, LOCK_FLOCK, f, 0, UINT64_MAX);
        wait_queue_wake(&lock_queue);
        return 0;
    }
    /* A conversion gives the old lock up first (flock(2)): who fails then has none. */
    if (owns_flock(f, op != LOCK_EX)) {
        if (OPS(f->ops)->flock)
            OPS(f->ops)->flock(f, LOCK_UN);
        lock_cut(f->inode, LOCK_FLOCK, f, 0, UINT64_MAX);
        wait_queue_wake(&lock_queue);
    }
    return lock_set(f, LOCK_FLOCK, f, op == LOCK_EX, 0, UINT64_MAX, !((int)a[1] & LOCK_NB));
}

static int
flock_range(struct file *f, const struct flock *l, uint64_t *start, uint64_t *end)
{
    int64_t base = 0, from, to;

    switch (l->l_whence) {
    case SEEK_SET:
        break;
    case SEEK_CUR:
        base = (int64_t)f->pos;
        break;
    case SEEK_END:
        base = (int64_t)file_size(f);
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, l->l_start, &from))
        return -EOVERFLOW;
    if (from < 0)
        return -EINVAL;
    if (l->l_len == 0) {
        to = INT64_MAX;
    } else if (l->l_len > 0) {
        if (__builtin_add_overflow(from, l->l_len - 1, &to))
            return -EOVERFLOW;
    } else {
        to = from - 1;
        if (__builtin_add_overflow(from, l->l_len, &from))
            return -EINVAL;
    }
    if (from < 0 || to < from)
        return -EINVAL;
    *start = (uint64_t)from;
    *end = (uint64_t)to;
    return 0;
}

/* Of somebody outside, who has no number here. */
static int
lock_of_others(struct inode *i, struct flock *l, uint64_t start, uint64_t end)
{
    int r;

    l->l_whence = SEEK_SET;
    l->l_start = (off_t)start;
    l->l_len = end >= INT64_MAX ? 0 : (off_t)(end - start + 1);
    l->l_pid = 0;
    r = OPS(i->ops)->get_lock(i, l);
    if (r == 0 && l->l_type != F_UNLCK && l->l_pid > 0)
        l->l_pid = 0;
    return r;
}

static bool
still_open(struct fdtable *table, int fd, const struct file *f)
{
    FILE_REF struct file *now = fdtable_get_file(table, fd);

    return now == f && current_process()->files == table;
}

int64_t
fcntl_lock(struct file *f, int fd, int cmd, guest_addr arg)
{
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    enum lock_kind kind = ofd ? LOCK_OFD : LOCK_POSIX;
    FDTABLE_REF struct fdtable *table = fdtable_get(current_process()->files);
    const void *owner = ofd ? (const void *)f : (const void *)table;
    struct flock l;
    uint64_t start, end;
    int r;

    if (copy_from_guest(&l, arg, sizeof l) < 0)
        return -EFAULT;
    if (ofd && l.l_pid != 0)
        return -EINVAL;
    if (!f->inode)
        return -EBADF;
    r = flock_range(f, &l, &start, &end);
    if (r < 0)
        return r;
    if (cmd == F_GETLK || cmd == F_OFD_GETLK) {
        struct file_lock *c;

        if (l.l_type != F_RDLCK && l.l_type != F_WRLCK && (l.l_type != F_UNLCK || !ofd))
            return -EINVAL;
        c = l.l_type == F_UNLCK ? find_own(f->inode, kind, owner, start, end)
                                : find_conflict(f->inode, kind, owner, l.l_type == F_WRLCK, start, end);
        if (c) {
            l.l_type = c->exclusive ? F_WRLCK : F_RDLCK;
            l.l_whence = SEEK_SET;
            l.l_start = (off_t)c->start;
            l.l_len = c->end >= INT64_MAX ? 0 : (off_t)(c->end - c->start + 1);
            l.l_pid = c->pid;
        } else if (OPS(f->inode->ops)->get_lock && l.l_type != F_UNLCK) {
            r = lock_of_others(f->inode, &l, start, end);
            if (r < 0)
                return r;
        } else {
            l.l_type = F_UNLCK;
        }
        return copy_to_guest(arg, &l, sizeof l);
    }
    switch (l.l_type) {
    case F_UNLCK:
        r = lock_cut(f->inode, kind, owner, start, end);
        unlock_outside(f->inode, start, end);
        wait_queue_wake(&lock_queue);
        return r;
    case F_RDLCK:
        if (!file_can_read(f))
            return -EBADF;
        break;
    case F_WRLCK:
        if (!file_can_write(f))
            return -EBADF;
        break;
    default:
        return -EINVAL;
    }
    r = lock_set(f, kind, owner, l.l_type == F_WRLCK, start, end, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
    if (r == 0 && !ofd && !still_open(table, fd, f)) {
        /* Another thread closed the descriptor while this one slept: nobody would ever give the lock back. */
        if (lock_cut(f->inode, kind, owner, start, end) < 0)
            release_owner(f->inode, owner);
        unlock_outside(f->inode, start, end);
        wait_queue_wake(&lock_queue);
        r = -EBADF;
    }
    return r;
}
