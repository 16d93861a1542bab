/* Asynchronous I/O: contexts, and the rings of events that they share with their guest (io_setup(2), io_getevents(2)).
 *
 * A ring is a file in memory that is mapped in the guest, which takes events from it without a call if it likes. What
 * is read from it is the guest's word: its head says which places are free, and an event that the guest has written
 * over reads as it was written. What the vkernel must be sure of (the tail, the number of requests) it keeps apart. */
#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <time.h>

#include "base/page.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/aio_internal.h"
#include "vkernel/fs/fs.h"
#include "vkernel/io/io.h"
#include "vkernel/mm/mm.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/vfs/limits.h"

/* As Linux's struct aio_ring, whose words libaio reads. */
struct ring_header {
    uint32_t id, slots, head, tail, magic, compatible, incompatible, length;
};
_Static_assert(sizeof(struct ring_header) == sizeof(struct io_event), "events begin behind the header");

enum { RING_MAGIC = 0xa10a10a1, COMPATIBLE = 1, EVENTS_AT_ONCE = 32 };

/* Of an address space: made by its first io_setup. */
struct aio_contexts {
    struct id_tree by_number; /* struct aio_context.of_mm */
    uint32_t next_number;
};

uint64_t aio_nr;

OBJECT_POOL(aio_contexts);
OBJECT_POOL(aio_context);

/* --- the ring --- */

static int
ring_source(struct file *f, int *host_fd, uint64_t *host_offset, bool *bounded)
{
    return memfs_file_ops.mmap_source(f, host_fd, host_offset, bounded);
}

static const struct file_ops OPS_TABLE(file_ops) ring_file_ops = {.name = "aio", .mmap_source = ring_source};

/* A word of the guest's, reduced to a place in the ring. */
static uint32_t
ring_head(const struct aio_context *c)
{
    uint32_t head = 0;

    memfs_read_inode(c->ring, &head, sizeof head, offsetof(struct ring_header, head));
    return head % c->slots;
}

static void
ring_set(struct aio_context *c, size_t member, uint32_t value)
{
    memfs_write_inode(c->ring, &value, sizeof value, member);
}

static uint64_t
event_at(uint32_t slot)
{
    return sizeof(struct ring_header) + (uint64_t)slot * sizeof(struct io_event);
}

/* How many events the guest has not taken. */
static uint32_t
ring_filled(const struct aio_context *c, uint32_t head)
{
    return (c->tail + c->slots - head) % c->slots;
}

uint32_t
aio_room(struct aio_context *c)
{
    uint32_t used = ring_filled(c, ring_head(c)) + c->active;

    return used < c->slots - 1 ? c->slots - 1 - used : 0;
}

void
aio_post(struct aio_context *c, const struct aio_result *r, int64_t res)
{
    struct io_event event = {.data = r->data, .obj = r->iocb, .res = res};

    memfs_write_inode(c->ring, &event, sizeof event, event_at(c->tail));
    c->tail = (c->tail + 1) % c->slots;
    ring_set(c, offsetof(struct ring_header, tail), c->tail);
    if (r->eventfd)
        eventfd_add(r->eventfd);
    wait_queue_wake(&c->queue);
}

void
aio_complete(struct aio_context *c, struct aio_result *r, int64_t res)
{
    aio_post(c, r, res);
    if (r->eventfd)
        eventfd_tell(r->eventfd);
    file_put(r->eventfd);
    r->eventfd = NULL;
}

/* --- contexts --- */

static struct aio_contexts *
contexts_of(struct mm *mm)
{
    return mm->aio;
}

struct aio_context *
aio_context_get(uint64_t id)
{
    struct aio_contexts *all = contexts_of(current_mm());
    struct aio_context *c;
    struct id_node *node;
    uint32_t number;

    if (!all || copy_from_guest(&number, id, sizeof number) < 0)
        return NULL;
    node = id_tree_find(&all->by_number, number);
    c = node ? id_entry(node, struct aio_context, of_mm) : NULL;
    if (!c || c->address != id)
        return NULL;
    refcount_get(&c->refs);
    return c;
}

void
aio_context_put(struct aio_context *c)
{
    if (!refcount_put(&c->refs))
        return;
    wait_queue_fini(&c->queue);
    inode_put(c->ring);
    OBJECT_FREE(aio_context, c);
}

/* Takes it from its address space, and ends its requests. */
static void
context_end(struct aio_contexts *all, struct aio_context *c)
{
    c->dead = true;
    id_tree_remove(&all->by_number, &c->of_mm);
    aio_nr -= c->asked;
    aio_cancel_all(c);
    wait_queue_wake(&c->queue);
    aio_context_put(c);
}

void
aio_end_all(struct mm *mm)
{
    struct aio_contexts *all = contexts_of(mm);

    while (all->by_number.root)
        context_end(all, id_entry(all->by_number.root, struct aio_context, of_mm));
    aio_settle();
    mm->aio = NULL;
    OBJECT_FREE(aio_contexts, all);
}

/* Linux gives each processor a few places of its own, so that there are more than were asked for. */
static uint64_t
ring_size(uint64_t asked)
{
    uint64_t least = (uint64_t)system_info.processors * 4, n = (asked > least ? asked : least) * 2 + 2;

    return PAGE_UP(event_at((uint32_t)n));
}

/* The file of the ring, with its header, mapped in the current process: the guest address, or -errno. */
static int64_t
ring_map(struct aio_context *c, uint32_t number, uint64_t size)
{
    struct ring_header header = {number, c->slots, 0, 0, RING_MAGIC, COMPATIBLE, 0, sizeof header};
    static const char name[] = "/[aio]";
    struct dentry *d = dentry_new(NULL, name, sizeof name - 1, c->ring);
    struct file *f = NULL;
    int64_t at = -ENOMEM;

    if (d) {
        d->flags |= DENTRY_DELETED;
        f = file_new_inode(&ring_file_ops, O_RDWR, c->ring, d);
    }
    /* All pages are taken now: an event finds its place whatever memory is left then. */
    if (f && OPS(c->ring->ops)->truncate(c->ring, size) == 0 && memfs_fallocate(c->ring, 0, 0, size) == 0 &&
        memfs_write_inode(c->ring, &header, sizeof header, 0) == sizeof header)
        at = mm_map(current_mm(), 0, size, PROT_READ | PROT_WRITE, MM_SHARED, f, 0, NULL);
    if (at >= 0)
        mm_at(current_mm(), (uint64_t)at)->dont_fork = true;
    file_put(f);
    dentry_put(d);
    return at;
}

static struct aio_contexts *
contexts_make(struct mm *mm)
{
    if (!mm->aio)
        mm->aio = OBJECT_NEW(aio_contexts);
    return mm->aio;
}

/* The new context, which its address space has; *id is its name. 0 or -errno. */
static int
context_new(uint64_t asked, uint64_t *id)
{
    struct aio_contexts *all = contexts_make(current_mm());
    struct aio_context *c = all ? OBJECT_NEW(aio_context) : NULL;
    uint64_t size = ring_size(asked);
    int64_t at;

    if (!c)
        return -ENOMEM;
    refcount_init(&c->refs);
    list_init(&c->requests);
    wait_queue_init(&c->queue);
    while (id_tree_find(&all->by_number, all->next_number))
        all->next_number++;
    c->slots = (uint32_t)((size - sizeof(struct ring_header)) / sizeof(struct io_event));
    c->ring = memfs_inode_new(anon_superblock(), S_IFREG | 0600, 0, NULL);
    if (c->ring)
        c->ring->nlink = 0;
    at = c->ring ? ring_map(c, all->next_number, size) : -ENOMEM;
    if (at < 0) {
        if (c->ring)
            aio_context_put(c);
        else
            OBJECT_FREE(aio_context, c);
        return (int)at;
    }
    c->address = (uint64_t)at;
    c->asked = asked;
    aio_nr += asked;
    id_tree_add(&all->by_number, &c->of_mm, all->next_number++, platform_random_priority());
    *id = (uint64_t)at;
    return 0;
}

int64_t
sys_io_setup(const uint64_t a[6])
{
    enum { MOST = 0x10000000 / sizeof(struct io_event) };
    uint64_t asked = a[0], id;
    int r;

    if (copy_from_guest(&id, a[1], sizeof id) < 0)
        return -EFAULT;
    if (id || asked == 0 || asked > MOST)
        return -EINVAL;
    if (asked > LIMIT_AIO_REQUESTS - aio_nr)
        return -EAGAIN;
    r = context_new(asked, &id);
    if (r == 0 && copy_to_guest(a[1], &id, sizeof id) < 0) {
        uint64_t end[6] = {id};

        sys_io_destroy(end);
        return -EFAULT;
    }
    return r;
}

int64_t
sys_io_destroy(const uint64_t a[6])
{
    AIO_CONTEXT_REF struct aio_context *c = aio_context_get(a[0]);
    uint64_t size;

    if (!c)
        return -EINVAL;
    size = c->ring->size;
    context_end(contexts_of(current_mm()), c);
    aio_settle();
    mm_unmap(current_mm(), a[0], size);
    return 0;
}

/* --- events --- */

/* Copies events to the guest, `most` at most. How many, or -EFAULT if none could be copied. */
static int64_t
take_events(struct aio_context *c, guest_addr out, int64_t most)
{
    struct io_event events[EVENTS_AT_ONCE];
    uint32_t head = ring_head(c);
    int64_t done = 0;

    while (done < most && head != c->tail) {
        uint32_t n = head < c->tail ? c->tail - head : c->slots - head;

        n = n < EVENTS_AT_ONCE ? n : EVENTS_AT_ONCE;
        n = (int64_t)n < most - done ? n : (uint32_t)(most - done);
        if (memfs_read_inode(c->ring, events, n * sizeof events[0], event_at(head)) < 0 ||
            copy_to_guest(out + (uint64_t)done * sizeof events[0], events, n * sizeof events[0]) < 0)
            return done ? done : -EFAULT;
        done += n;
        head = (head + n) % c->slots;
        ring_set(c, offsetof(struct ring_header, head), head);
    }
    return done;
}

/* Sleeps until `least` events were taken, or the deadline (0: does not sleep). */
static int64_t
get_events(uint64_t id, int64_t least, int64_t most, guest_addr out, uint64_t deadline)
{
    AIO_CONTEXT_REF struct aio_context *c = aio_context_get(id);
    int64_t done = 0;

    might_sleep();
    if (!c || least < 0 || least > most)
        return -EINVAL;
    for (;;) {
        int64_t n = take_events(c, out + (uint64_t)done * sizeof(struct io_event), most - done);
        int r;

        if (n > 0)
            done += n;
        if (n < 0 || c->dead)
            return done ? done : n < 0 ? n : -EINVAL;
        if (done >= least || deadline == 0)
            return done;
        r = wait_on(&c->queue, deadline);
        if (r == -ETIMEDOUT)
            deadline = 0;
        else if (r < 0)
            return done ? done : -EINTR;
    }
}

/* The deadline of a timeout in guest memory, in which any number is allowed: Linux's sum for one below zero overflows. */
static int
deadline_from_guest(guest_addr timeout, uint64_t *deadline)
{
    struct timespec ts;
    uint64_t ns;

    *deadline = WAIT_FOREVER;
    if (!timeout)
        return 0;
    if (copy_from_guest(&ts, timeout, sizeof ts) < 0)
        return -EFAULT;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0)
        return 0;
    ns = time_join(ts.tv_sec, (uint64_t)ts.tv_nsec);
    *deadline = ns ? clock_monotonic_ns() + ns : 0;
    return 0;
}

int64_t
sys_io_getevents(const uint64_t a[6])
{
    uint64_t deadline;
    int r = deadline_from_guest(a[4], &deadline);

    return r < 0 ? r : get_events(a[0], (int64_t)a[1], (int64_t)a[2], a[3], deadline);
}

int64_t
sys_io_pgetevents(const uint64_t a[6])
{
    struct {
        uint64_t mask, size;
    } mask = {0};
    uint64_t deadline;
    int64_t r = deadline_from_guest(a[4], &deadline);

    if (r < 0 || (a[5] && copy_from_guest(&mask, a[5], sizeof mask) < 0))
        return -EFAULT;
    r = signal_temporary_mask_from_guest(mask.mask, mask.size);
    if (r < 0)
        return r;
    r = get_events(a[0], (int64_t)a[1], (int64_t)a[2], a[3], deadline);
    if (r == -EINTR)
        r = -ERESTARTNOHAND;
    return mask.mask ? signal_temporary_mask_result(r) : r;
}
