/* Leases (fcntl(2), "Leases"): who has one of a file is told before somebody opens it in a way that conflicts, and has
 * lease-break-time to write back what it keeps.
 *
 * An open file has one lease at most. A write lease is for the only open file of its inode, and any open breaks it; read
 * leases are broken by opens to write. A lease that is being broken is still there until its holder gives it up or
 * lowers it, or the time is over. */
#include "platform/heap.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/vfs/vfs.h"

/* One open may tell the owners of all of them, each of which may be a group of all processes. */
enum { LEASES_OF_INODE = 64 };

struct lease {
    struct list link;  /* of its context */
    struct file *file; /* not a reference: the file ends it */
    int fd;            /* by which it was taken */
    int type;          /* F_RDLCK, F_WRLCK */
    int target;        /* what it is to become: the type, if nobody breaks it; F_RDLCK, F_UNLCK */
    uint64_t deadline; /* of that */
};

struct lease_context { /* inode->leases, as long as there is one */
    struct list leases;
    unsigned count;
    struct wait_queue queue; /* who waits for one to go */
};

OBJECT_POOL(lease);
OBJECT_POOL(lease_context);

static bool
is_broken(const struct lease *l)
{
    return l->target != l->type;
}

static void
lease_free(struct lease *l)
{
    struct inode *i = l->file->inode;
    struct lease_context *c = i->leases;

    list_remove(&l->link);
    l->file->lease = NULL;
    vfs_hooks.owner_gone(l->file);
    OBJECT_FREE(lease, l);
    if (--c->count) {
        wait_queue_wake(&c->queue);
        return;
    }
    i->leases = NULL;
    wait_queue_fini(&c->queue); /* wakes, too */
    OBJECT_FREE(lease_context, c);
}

void
lease_release(struct file *f)
{
    if (f->lease)
        lease_free(f->lease);
}

/* Its holder, or the end of its time, gives it another type. What is to be given up altogether still is. */
static void
lease_change(struct lease *l, int type)
{
    if (!is_broken(l))
        l->target = type;
    l->type = type;
    wait_queue_wake(&l->file->inode->leases->queue);
}

/* Takes back what was to be given up in time. */
static void
time_out(struct inode *i)
{
    uint64_t now = clock_monotonic_ns();

    for (struct list *p = i->leases ? i->leases->leases.next : NULL, *next; p && p != &i->leases->leases; p = next) {
        struct lease *l = list_entry(p, struct lease, link);

        next = p->next;
        if (!is_broken(l) || l->deadline > now)
            continue;
        if (l->target == F_RDLCK) {
            lease_change(l, F_RDLCK);
            continue;
        }
        lease_free(l);
        if (!i->leases)
            return;
    }
}

/* --- breaking --- */

static bool
conflicts(const struct lease *l, bool write)
{
    return write || l->type == F_WRLCK;
}

/* Begins to break what conflicts. The earliest deadline of that, or 0: nothing conflicts. */
static uint64_t
start_break(struct lease_context *c, bool write)
{
    uint64_t earliest = 0, now = clock_monotonic_ns();
    int target = write ? F_UNLCK : F_RDLCK;

    LIST_EACH(p, &c->leases) {
        struct lease *l = list_entry(p, struct lease, link);

        if (!conflicts(l, write))
            continue;
        if (write ? l->target != F_UNLCK : !is_broken(l)) {
            l->target = target;
            l->deadline = now + LIMIT_LEASE_BREAK * NS_PER_SECOND;
            vfs_hooks.owner_told(l->file, l->fd);
        }
        if (earliest == 0 || l->deadline < earliest)
            earliest = l->deadline;
    }
    return earliest;
}

int
lease_break(struct inode *i, bool write, bool wait)
{
    might_sleep();
    while (i->leases) {
        uint64_t deadline;
        int r;

        time_out(i);
        deadline = i->leases ? start_break(i->leases, write) : 0;
        if (deadline == 0)
            break;
        if (!wait)
            return -EAGAIN;
        r = wait_on(&i->leases->queue, deadline);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
    }
    return 0;
}

/* --- fcntl --- */

/* Would the lease conflict with what is open, or with another one? */
static int
check_open_files(const struct file *f, int type)
{
    const struct inode *i = f->inode;
    unsigned writes = file_can_write(f), reads = !writes;

    if (type == F_RDLCK)
        return i->write_opens > 0 ? -EAGAIN : 0;
    return i->write_opens != writes || i->read_opens != reads ? -EAGAIN : 0;
}

static int
check_others(const struct file *f, int type)
{
    const struct lease_context *c = f->inode->leases;

    if (!c)
        return 0;
    LIST_EACH(p, &c->leases) {
        const struct lease *l = list_entry(p, struct lease, link);

        if (l->file != f && (type == F_WRLCK || l->target == F_UNLCK))
            return -EAGAIN;
    }
    return 0;
}

static int
lease_new(struct file *f, int fd, int type)
{
    struct inode *i = f->inode;
    struct lease *l = OBJECT_NEW(lease);

    if (l && !i->leases && (i->leases = OBJECT_NEW(lease_context))) {
        list_init(&i->leases->leases);
        wait_queue_init(&i->leases->queue);
    }
    if (!l || !i->leases || i->leases->count >= LEASES_OF_INODE || vfs_hooks.owner_needed(f) < 0) {
        if (i->leases && i->leases->count == 0) {
            OBJECT_FREE(lease_context, i->leases);
            i->leases = NULL;
        }
        OBJECT_FREE(lease, l);
        return -ENOMEM;
    }
    *l = (struct lease){.file = f, .fd = fd, .type = type, .target = type};
    list_append(&i->leases->leases, &l->link);
    i->leases->count++;
    f->lease = l;
    return 0;
}

int
lease_set(struct file *f, int fd, int type)
{
    struct inode *i = f->inode;
    int r;

    if (i && S_ISDIR(i->mode))
        return -EINVAL;
    if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
        return -EINVAL;
    if (i && current_creds()->fsuid != i->uid && !capable(CAP_LEASE))
        return -EACCES;
    if (!i || !S_ISREG(i->mode) || !f->opened)
        return -EINVAL;
    time_out(i);
    if (type == F_UNLCK) {
        if (!f->lease)
            return -EAGAIN;
        lease_free(f->lease);
        return 0;
    }
    r = check_open_files(f, type);
    if (r == 0)
        r = check_others(f, type);
    if (r < 0)
        return r;
    if (!f->lease)
        return lease_new(f, fd, type);
    lease_change(f->lease, type);
    return 0;
}

int
lease_get(struct file *f)
{
    if (f->inode)
        time_out(f->inode);
    return f->lease ? f->lease->target : F_UNLCK;
}
