/* Advisory locks: flock(2), POSIX record locks and open file description locks. Waiters all sleep on one queue:
 * contention on file locks is rare, and each rechecks its own.
 *
 * An inode has a list of holders, in the order in which they came; a holder has its locks by start, none of which
 * overlap. Record locks of files that somebody outside locks, too, are also on a list of the inode's by start, so that
 * one walk tells what of a range nobody has any more. A call walks the locks of one inode a few times, whose number is
 * limited; closing a file of which one holds no lock walks none. */
#include <sys/file.h>

#include "vkernel/abi/syscall.h"
#include "base/rare.h"
#include "platform/heap.h"
#include "vkernel/vfs/vfs.h"

enum { FIRST_PAUSE_NS = 500000, LAST_PAUSE_NS = 32000000 };
enum lock_kind { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD };

struct lock_context {     /* inode->locks, as long as there is one */
    struct list holders;  /* struct lock_holder.of_inode */
    struct list by_start; /* struct file_lock.by_start */
    unsigned count;
};

struct lock_holder { /* as long as it has one */
    struct list of_inode, of_bucket;
    struct inode *inode;
    enum lock_kind kind;
    const void *owner; /* struct file, or the process's fdtable for POSIX locks */
    struct list locks; /* struct file_lock.link */
};

struct file_lock {
    struct list link, by_start;
    struct lock_holder *holder;
    int pid;
    bool exclusive;
    uint64_t start, end; /* end inclusive */
};

/* A process that sleeps for a POSIX lock, on the stack of lock_set: for deadlock detection. */
struct lock_waiter {
    struct list link; /* of lock_waiters */
    const void *owner, *holder;
};

/* Linux has no limit but memory, and walks as long as the list is. Giving back the locks of one holder takes a call of
 * the host for each gap that it leaves between those of others, and each walks the host's list: with 4,096 locks some
 * 20 ms at most. */
enum { LOCKS_MAX = 1 << 20, LOCKS_OF_INODE = 65536, LOCKS_OF_INODE_OUTSIDE = 4096, NEEDED_AT_ONCE = 2, BUCKETS = 8192 };

static unsigned lock_count;               /* of the container */
static struct list buckets[BUCKETS] RARE; /* struct lock_holder */
static struct list lock_waiters = {&lock_waiters, &lock_waiters};
static struct wait_queue lock_queue = WAIT_QUEUE(lock_queue);

OBJECT_POOL(lock_context);
OBJECT_POOL(lock_holder);
OBJECT_POOL(file_lock);

/* --- holders and their locks --- */

static struct list *
bucket(const struct inode *i, const void *owner)
{
    uint64_t h = ((uint64_t)(uintptr_t)i ^ (uint64_t)(uintptr_t)owner * 31) * 0x9e3779b97f4a7c15u;
    struct list *l = &buckets[(h >> 32) % BUCKETS];

    if (!l->next)
        list_init(l);
    return l;
}

static struct lock_holder *
holder_find(const struct inode *i, enum lock_kind kind, const void *owner)
{
    LIST_EACH(p, bucket(i, owner)) {
        struct lock_holder *h = list_entry(p, struct lock_holder, of_bucket);

        if (h->inode == i && h->kind == kind && h->owner == owner)
            return h;
    }
    return NULL;
}

static struct lock_context *
context_of(struct inode *i)
{
    if (!i->locks && (i->locks = OBJECT_NEW(lock_context))) {
        list_init(&i->locks->holders);
        list_init(&i->locks->by_start);
    }
    return i->locks;
}

static void
context_put(struct inode *i)
{
    if (!i->locks || !list_empty(&i->locks->holders))
        return;
    OBJECT_FREE(lock_context, i->locks);
    i->locks = NULL;
}

static struct lock_holder *
holder_get(struct inode *i, enum lock_kind kind, const void *owner)
{
    struct lock_holder *h = holder_find(i, kind, owner);
    struct lock_context *c = h ? i->locks : context_of(i);

    if (h || !c)
        return h;
    h = OBJECT_NEW(lock_holder);
    if (!h) {
        context_put(i);
        return NULL;
    }
    h->inode = i;
    h->kind = kind;
    h->owner = owner;
    list_init(&h->locks);
    list_append(&c->holders, &h->of_inode);
    list_append(bucket(i, owner), &h->of_bucket);
    return h;
}

/* Frees what has no locks. */
static void
holder_put(struct lock_holder *h)
{
    struct inode *i = h->inode;

    if (!list_empty(&h->locks))
        return;
    list_remove(&h->of_inode);
    list_remove(&h->of_bucket);
    OBJECT_FREE(lock_holder, h);
    context_put(i);
}

static bool
is_outside(const struct inode *i)
{
    return OPS(i->ops)->lock;
}

/* Is there room for what one call may need? */
static bool
lock_room(const struct inode *i, unsigned n)
{
    unsigned limit = is_outside(i) ? LOCKS_OF_INODE_OUTSIDE : LOCKS_OF_INODE;

    return lock_count + n <= LOCKS_MAX && (i->locks ? i->locks->count : 0) + n <= limit;
}

/* Links it in by_start, behind `from` or what follows there: the list's head, or a lock that begins before it. */
static void
place_by_start(struct file_lock *l, struct list *from)
{
    struct list *head = &l->holder->inode->locks->by_start, *at = from->next;

    while (at != head && list_entry(at, struct file_lock, by_start)->start < l->start)
        at = at->next;
    list_insert_before(at, &l->by_start);
}

/* Behind the holder's lock `after`, which begins before it; NULL: its first one. */
static struct file_lock *
lock_add(struct lock_holder *h, struct file_lock *after, bool exclusive, uint64_t start, uint64_t end)
{
    struct lock_context *c = h->inode->locks;
    struct file_lock *l = lock_room(h->inode, 1) ? OBJECT_NEW(file_lock) : NULL;

    if (!l)
        return NULL;
    lock_count++;
    c->count++;
    *l = (struct file_lock){.holder = h,
                            .pid = h->kind == LOCK_OFD ? -1 : *this_worker.pid,
                            .exclusive = exclusive,
                            .start = start,
                            .end = end};
    list_insert_before(after ? after->link.next : h->locks.next, &l->link);
    list_init(&l->by_start);
    if (h->kind != LOCK_FLOCK && is_outside(h->inode))
        place_by_start(l, after ? &after->by_start : &c->by_start);
    return l;
}

/* Takes away its bytes before `start`. */
static void
lock_shorten(struct file_lock *l, uint64_t start)
{
    struct list *from = l->by_start.prev;

    l->start = start;
    if (list_empty(&l->by_start))
        return;
    list_remove(&l->by_start);
    place_by_start(l, from);
}

static void
lock_free(struct file_lock *l)
{
    l->holder->inode->locks->count--;
    list_remove(&l->link);
    list_remove(&l->by_start);
    OBJECT_FREE(file_lock, l);
    lock_count--;
}

static struct file_lock *
find_conflict(struct inode *i, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end)
{
    if (!i->locks)
        return NULL;
    LIST_EACH(p, &i->locks->holders) {
        struct lock_holder *h = list_entry(p, struct lock_holder, of_inode);

        if ((h->kind == LOCK_FLOCK) != (kind == LOCK_FLOCK) || h->owner == owner)
            continue;
        LIST_EACH(q, &h->locks) {
            struct file_lock *l = list_entry(q, struct file_lock, link);

            if (l->start > end)
                break;
            if (start <= l->end && (l->exclusive || exclusive))
                return l;
        }
    }
    return NULL;
}

/* The owner's first lock in the range: what F_OFD_GETLK with F_UNLCK asks for. */
static struct file_lock *
find_own(struct inode *i, enum lock_kind kind, const void *owner, uint64_t start, uint64_t end)
{
    struct lock_holder *h = holder_find(i, kind, owner);

    if (!h)
        return NULL;
    LIST_EACH(p, &h->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->end >= start)
            return l->start <= end ? l : NULL;
    }
    return NULL;
}

/* As lock_add, one with the holder's locks of the same type that touch the new one. */
static int
lock_add_merged(struct lock_holder *h, bool exclusive, uint64_t start, uint64_t end)
{
    struct file_lock *after = NULL;

    LIST_EACH_SAFE(p, &h->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);
        bool touches = l->end == start - 1 || l->start == end + 1;

        if (l->start > start && !touches)
            break;
        if (!touches || l->exclusive != exclusive) {
            after = l->start < start ? l : after;
            continue;
        }
        start = l->start < start ? l->start : start;
        end = l->end > end ? l->end : end;
        lock_free(l);
    }
    return lock_add(h, after, exclusive, start, end) ? 0 : -ENOLCK;
}

/* Takes [start, end] out of the holder's locks. */
static int
holder_cut(struct lock_holder *h, uint64_t start, uint64_t end)
{
    LIST_EACH_SAFE(p, &h->locks) {
        struct file_lock *l = list_entry(p, struct file_lock, link);

        if (l->start > end)
            break;
        if (start > l->end)
            continue;
        if (l->start < start && l->end > end) {
            if (!lock_add(h, l, l->exclusive, end + 1, l->end))
                return -ENOLCK;
            l->end = start - 1;
        } else if (l->start < start) {
            l->end = start - 1;
        } else if (l->end > end) {
            lock_shorten(l, end + 1);
        } else {
            lock_free(l);
        }
    }
    return 0;
}

static int
lock_cut(struct inode *i, enum lock_kind kind, const void *owner, uint64_t start, uint64_t end)
{
    struct lock_holder *h = holder_find(i, kind, owner);
    int r = h ? holder_cut(h, start, end) : 0;

    if (h)
        holder_put(h);
    return r;
}

/* Puts the lock in the place of all that the owner has there. */
static int
lock_replace(struct inode *i, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end)
{
    struct lock_holder *h = holder_get(i, kind, owner);
    int r;

    if (!h)
        return -ENOLCK;
    r = holder_cut(h, start, end);
    if (r == 0)
        r = lock_add_merged(h, exclusive, start, end);
    holder_put(h);
    return r;
}

/* --- waiting --- */

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

/* Tells the world outside that what no guest has locked any more of [start, end] is free. */
static void
unlock_outside(struct inode *i, uint64_t start, uint64_t end)
{
    if (!is_outside(i) || end < start)
        return;
    if (end > INT64_MAX)
        end = INT64_MAX;
    if (i->locks)
        LIST_EACH(p, &i->locks->by_start) {
            const struct file_lock *l = list_entry(p, struct file_lock, by_start);

            if (l->start > end)
                break;
            if (l->start > start)
                OPS(i->ops)->lock(i, F_UNLCK, start, l->start - 1);
            if (l->end >= end)
                return;
            start = l->end >= start ? l->end + 1 : start;
        }
    OPS(i->ops)->lock(i, F_UNLCK, start, end);
}

static void
release_holder(struct inode *i, enum lock_kind kind, const void *owner)
{
    struct lock_holder *h = holder_find(i, kind, owner);
    uint64_t start, end;

    if (!h)
        return;
    start = list_entry(h->locks.next, struct file_lock, link)->start;
    end = list_entry(h->locks.prev, struct file_lock, link)->end;
    LIST_EACH_SAFE(p, &h->locks)
        lock_free(list_entry(p, struct file_lock, link));
    holder_put(h);
    if (kind != LOCK_FLOCK) /* the host's flock ends with its open file */
        unlock_outside(i, start, end);
    wait_queue_wake(&lock_queue);
}

void
locks_release_file(struct file *f)
{
    release_holder(f->inode, LOCK_FLOCK, f);
    release_holder(f->inode, LOCK_OFD, f);
}

void
locks_release_posix(struct inode *i, struct fdtable *owner)
{
    release_holder(i, LOCK_POSIX, owner);
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
lock_set(struct file *f, enum lock_kind kind, const void *owner, bool exclusive, uint64_t start, uint64_t end,
         bool wait)
{
    struct inode *i = f->inode;
    struct lock_waiter waiter = {.owner = owner};
    const struct file_lock *conflict;
    uint64_t pause = FIRST_PAUSE_NS;
    int r = 0;

    might_sleep();
    if (!lock_room(i, NEEDED_AT_ONCE))
        return -ENOLCK;
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
        } else if (kind == LOCK_POSIX && would_deadlock(owner, conflict->holder->owner)) {
            r = -EDEADLK;
        } else {
            waiter.holder = conflict->holder->owner;
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
        r = lock_replace(i, kind, owner, exclusive, start, end);
    if (r == -ENOLCK && kind != LOCK_FLOCK)
        unlock_outside(i, start, end);
    if (r == 0)
        wait_queue_wake(&lock_queue); /* a downgrade lets others in */
    return r;
}

static bool
owns_flock(const struct file *f, bool exclusive)
{
    const struct lock_holder *h = holder_find(f->inode, LOCK_FLOCK, f);

    return h && list_entry(h->locks.next, struct file_lock, link)->exclusive == exclusive;
}

int64_t
sys_flock(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    int op = (int)a[1] & ~LOCK_NB;

    if (op & LOCK_MAND) /* ignored, whatever file it is for */
        return 0;
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
    case SEEK_SET: break;
    case SEEK_CUR: base = (int64_t)f->pos; break;
    case SEEK_END: base = (int64_t)file_size(f); break;
    default: return -EINVAL;
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

    return now == f && current_files() == table;
}

/* Who asks fcntl for what. */
struct lock_request {
    struct file *f;
    enum lock_kind kind;
    const void *owner; /* as that of a holder */
    struct flock l;    /* as the guest gave it, and as it gets it back */
    uint64_t start, end;
};

/* F_GETLK: makes *l the lock that is in the way, or for F_UNLCK of open file descriptions one of the asker's own. */
static int
lock_ask(struct lock_request *q)
{
    struct inode *i = q->f->inode;
    struct flock *l = &q->l;
    struct file_lock *c;

    if (l->l_type != F_RDLCK && l->l_type != F_WRLCK && (l->l_type != F_UNLCK || q->kind != LOCK_OFD))
        return -EINVAL;
    c = l->l_type == F_UNLCK ? find_own(i, q->kind, q->owner, q->start, q->end)
                             : find_conflict(i, q->kind, q->owner, l->l_type == F_WRLCK, q->start, q->end);
    if (!c && OPS(i->ops)->get_lock && l->l_type != F_UNLCK)
        return lock_of_others(i, l, q->start, q->end);
    if (c) {
        l->l_whence = SEEK_SET;
        l->l_start = (off_t)c->start;
        l->l_len = c->end >= INT64_MAX ? 0 : (off_t)(c->end - c->start + 1);
        l->l_pid = c->pid;
    }
    l->l_type = !c ? F_UNLCK : c->exclusive ? F_WRLCK : F_RDLCK;
    return 0;
}

/* Tells those outside, and those who wait here, that the owner has the range no longer. */
static void
lock_given_back(const struct lock_request *q)
{
    unlock_outside(q->f->inode, q->start, q->end);
    wait_queue_wake(&lock_queue);
}

static int
lock_give_back(const struct lock_request *q)
{
    int r = lock_cut(q->f->inode, q->kind, q->owner, q->start, q->end);

    lock_given_back(q);
    return r;
}

static int
lock_take(const struct lock_request *q, struct fdtable *table, int fd, bool wait)
{
    bool exclusive = q->l.l_type == F_WRLCK;
    int r;

    if (exclusive ? !file_can_write(q->f) : !file_can_read(q->f))
        return -EBADF;
    r = lock_set(q->f, q->kind, q->owner, exclusive, q->start, q->end, wait);
    if (r == 0 && q->kind == LOCK_POSIX && !still_open(table, fd, q->f)) {
        /* Another thread closed the descriptor while this one slept: nobody would ever give the lock back. */
        if (lock_cut(q->f->inode, q->kind, q->owner, q->start, q->end) < 0)
            release_holder(q->f->inode, q->kind, q->owner);
        lock_given_back(q);
        r = -EBADF;
    }
    return r;
}

int64_t
fcntl_lock(struct file *f, int fd, int cmd, guest_addr arg)
{
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    FDTABLE_REF struct fdtable *table = fdtable_get(current_files());
    struct lock_request q = {.f = f,
                             .kind = ofd ? LOCK_OFD : LOCK_POSIX,
                             .owner = ofd ? (const void *)f : (const void *)table};
    int r;

    if (copy_from_guest(&q.l, arg, sizeof q.l) < 0)
        return -EFAULT;
    if (ofd && q.l.l_pid != 0)
        return -EINVAL;
    if (!f->inode)
        return -EBADF;
    r = flock_range(f, &q.l, &q.start, &q.end);
    if (r < 0)
        return r;
    if (cmd == F_GETLK || cmd == F_OFD_GETLK) {
        r = lock_ask(&q);
        return r < 0 ? r : copy_to_guest(arg, &q.l, sizeof q.l);
    }
    switch (q.l.l_type) {
    case F_UNLCK: return lock_give_back(&q);
    case F_RDLCK:
    case F_WRLCK: return lock_take(&q, table, fd, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
    default: return -EINVAL;
    }
}
