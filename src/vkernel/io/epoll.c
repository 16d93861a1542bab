/* epoll(7): items stay on their files' wait queues and put themselves on the ready list when told.
 *
 * An epoll file can be watched by other epoll files, so guests build graphs. What is asked of a graph stays within
 * bounds:
 * - No way through it is longer than NEST_MAX links and none is a cycle (graph_too_deep); so the functions that call
 *   themselves along a way, of checks, polls and wakes, do so NEST_MAX + 1 times at most.
 * - The ways up from a file that is no epoll file are counted, as Linux counts them (too_many_ways).
 * - A wake reaches every epoll file once, over however many ways (make_ready).
 * - A poll takes off the ready list what turns out not to be ready, and stops at the first that is: what it looks at
 *   was paid for by a wake. */
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/vfs/users.h"
#include "vkernel/signal/signal.h"
#include "vkernel/io/io.h"

enum { ITEM_QUEUES = 4, NEST_MAX = 4, BATCH = 64 };

#define EXCLUSIVE_MAY ((unsigned)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE))
#define MAX_EVENTS    (INT_MAX / (int)sizeof(struct epoll_event))

struct epoll {
    struct file *file; /* its own; not a reference */
    struct list items, ready;
    struct id_tree by_id; /* the items, by item_id() */
    struct wait_queue queue;
    uint64_t wave;     /* the wake that has reached it already */
    uint64_t check;    /* the check that has seen it already, */
    unsigned distance; /* and found that */
};

struct epoll_item {
    struct list of_epoll, of_file, of_ready; /* of_ready empty: not on the ready list */
    struct id_node in_epoll;
    struct epoll *epoll;
    struct file *file; /* not a reference: the file tells when it goes */
    int fd;
    struct epoll_event event;
    struct user *user; /* who is charged for it */
    unsigned queue_count;
    struct wait_entry entries[ITEM_QUEUES];
};

static const struct file_ops OPS_TABLE(file_ops) epoll_ops;

static unsigned
item_events(struct epoll_item *it)
{
    unsigned wanted = it->event.events & ~(unsigned)(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP), events;

    if (wanted == 0) /* disabled by EPOLLONESHOT */
        return 0;
    vfs_poll_wanted = wanted;
    events = file_poll(it->file, NULL, NULL, 0);
    vfs_poll_wanted = ~0u;
    return events & wanted;
}

/* Wakes who sleeps on the epoll file and tells the epoll files that watch it, which tell theirs. */
static void
make_ready(struct epoll_item *it)
{
    static uint64_t wave;
    static unsigned depth;

    if (list_empty(&it->of_ready))
        list_append(&it->epoll->ready, &it->of_ready);
    if (depth == 0)
        wave++;
    if (it->epoll->wave == wave)
        return;
    it->epoll->wave = wave;
    depth++;
    wait_queue_wake(&it->epoll->queue);
    depth--;
}

CALLBACK static void
item_notify(struct wait_entry *e)
{

    struct epoll_item *it = (struct epoll_item *)(void *)e->task;

    if (e->exclusive)
        e->woken = wait_queue_waited(&it->epoll->queue) && item_events(it);
    make_ready(it);
}

OBJECT_POOL(epoll);
OBJECT_POOL(epoll_item);

static void
item_free(struct epoll_item *it)
{
    for (unsigned k = 0; k < it->queue_count; k++)
        list_remove(&it->entries[k].link);
    list_remove(&it->of_epoll);
    id_tree_remove(&it->epoll->by_id, &it->in_epoll);
    list_remove(&it->of_file);
    list_remove(&it->of_ready);
    user_uncharge(it->user, USER_EPOLL_WATCHES, 1);
    OBJECT_FREE(epoll_item, it);
}

void
epoll_file_released(struct file *f)
{
    LIST_EACH_SAFE(p, &f->epoll_links)
        item_free(list_entry(p, struct epoll_item, of_file));
}

/* --- the graph: fs/eventpoll.c of Linux counts the same way --- */

static uint64_t check; /* number of the check under way */

/* Links of the longest way down from ep; above NEST_MAX when there are too many or `target` is below. */
static unsigned
links_below(struct epoll *ep, const struct epoll *target, unsigned depth)
{
    unsigned longest = 0;

    if (ep->check == check)
        return ep->distance;
    ep->check = check;
    LIST_EACH(p, &ep->items) {
        const struct file *f = list_entry(p, struct epoll_item, of_epoll)->file;
        unsigned n = 0;

        if (f->ops != &epoll_ops)
            continue;
        if (f->data == target || depth > NEST_MAX)
            n = NEST_MAX + 1;
        else
            n = links_below(f->data, target, depth + 1) + 1;
        longest = n > longest ? n : longest;
        if (longest > NEST_MAX)
            break;
    }
    return ep->distance = longest;
}

/* Links of the longest way up from ep. What exists already has no cycle and is not too deep. */
static unsigned
links_above(struct epoll *ep)
{
    unsigned longest = 0;

    if (ep->check == check)
        return ep->distance;
    LIST_EACH(p, &ep->file->epoll_links) {
        unsigned n = links_above(list_entry(p, struct epoll_item, of_file)->epoll) + 1;

        longest = n > longest ? n : longest;
    }
    ep->check = check;
    return ep->distance = longest;
}

/* May `outer` watch the epoll file `inner`? */
static bool
graph_too_deep(struct epoll *outer, struct epoll *inner)
{
    unsigned below;

    check++;
    below = links_below(inner, outer, 0);
    return below > NEST_MAX || below + 1 + links_above(outer) > NEST_MAX;
}

/* Counts the ways from a watched file up to epoll files that nobody watches; true when there are too many. */
static bool
count_ways(const struct file *f, unsigned depth, unsigned counts[NEST_MAX + 1])
{
    static const unsigned limits[NEST_MAX + 1] = {UINT_MAX, 500, 100, 50, 10};

    if (depth > NEST_MAX)
        return true;
    LIST_EACH(p, &f->epoll_links) {
        const struct file *above = list_entry(p, struct epoll_item, of_file)->epoll->file;

        if (list_empty(&above->epoll_links) ? ++counts[depth] > limits[depth] : count_ways(above, depth + 1, counts))
            return true;
    }
    return false;
}

static bool
ways_below(struct epoll *ep)
{
    if (ep->check == check)
        return false;
    ep->check = check;
    LIST_EACH(p, &ep->items) {
        struct file *f = list_entry(p, struct epoll_item, of_epoll)->file;
        unsigned counts[NEST_MAX + 1] = {0};

        if (f->ops == &epoll_ops) {
            if (ways_below(f->data))
                return true;
        } else if (f->epoll_check != check) {
            f->epoll_check = check;
            if (count_ways(f, 0, counts))
                return true;
        }
    }
    return false;
}

/* Has the new watch of f made too many ways to f, or to what f, an epoll file, watches? */
static bool
too_many_ways(struct file *f)
{
    unsigned counts[NEST_MAX + 1] = {0};

    check++;
    return f->ops == &epoll_ops ? ways_below(f->data) : count_ways(f, 0, counts);
}

/* An item is known by its file and its descriptor, which may stand for another file by now. */
static int64_t
item_id(const struct file *f, int fd)
{
    enum { FD_BITS = 20, ALIGNMENT_BITS = 3, ADDRESS_BITS = 47 };

    _Static_assert(LIMIT_DESCRIPTORS <= 1 << FD_BITS && _Alignof(struct file) >= 1 << ALIGNMENT_BITS &&
                       FD_BITS + ADDRESS_BITS - ALIGNMENT_BITS <= 64,
                   "both have room in a number");
    return (int64_t)((uint64_t)(uintptr_t)f >> ALIGNMENT_BITS << FD_BITS | (unsigned)fd);
}

static int
item_add(struct epoll *ep, struct file *f, int fd, const struct epoll_event *event)
{
    struct wait_queue *queues[ITEM_QUEUES];
    struct epoll_item *it;
    unsigned count = 0;

    it = OBJECT_NEW(epoll_item);
    if (!it)
        return -ENOMEM;
    it->user = user_charge(USER_EPOLL_WATCHES, 1, LIMIT_EPOLL_WATCHES);
    if (!it->user) {
        OBJECT_FREE(epoll_item, it);
        return -ENOSPC;
    }
    it->epoll = ep;
    it->file = f;
    it->fd = fd;
    it->event = *event;
    list_init(&it->of_ready);
    list_append(&ep->items, &it->of_epoll);
    id_tree_add(&ep->by_id, &it->in_epoll, item_id(f, fd), platform_random_priority());
    list_append(&f->epoll_links, &it->of_file);
    if ((!list_empty(&ep->file->epoll_links) || f->ops == &epoll_ops) && too_many_ways(f)) {
        item_free(it);
        return -EINVAL;
    }
    file_poll(f, queues, &count, ITEM_QUEUES);
    for (unsigned k = 0; k < count; k++) {
        it->entries[k].notify = item_notify;
        it->entries[k].task = (struct task *)(void *)it;
        it->entries[k].exclusive = event->events & EPOLLEXCLUSIVE;
        /* The latest is told first, as on Linux: so the ready list has its order. */
        wait_queue_add(queues[k], &it->entries[k], !(event->events & EPOLLEXCLUSIVE));
    }
    it->queue_count = count;
    if (item_events(it))
        make_ready(it);
    return 0;
}

static struct epoll_item *
item_find(struct epoll *ep, struct file *f, int fd)
{
    struct id_node *n = id_tree_find(&ep->by_id, item_id(f, fd));

    return n ? id_entry(n, struct epoll_item, in_epoll) : NULL;
}

/* Walks items: more than a guest has numbers for files with are those of files whose number was used again. */
int
epoll_watched(const struct file *epoll, int fd, unsigned skip, const struct file **out)
{
    const struct epoll *ep = epoll->data;

    if (epoll->ops != &epoll_ops)
        return -EINVAL;
    LIST_EACH(p, &ep->items) {
        const struct epoll_item *it = list_entry(p, struct epoll_item, of_epoll);

        if (it->fd == fd && skip-- == 0) {
            *out = it->file;
            return 0;
        }
    }
    return -ENOENT;
}

static int
item_modify(struct epoll_item *it, const struct epoll_event *event)
{
    if ((it->event.events | event->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    it->event = *event;
    if (item_events(it))
        make_ready(it);
    return 0;
}

int64_t
sys_epoll_ctl(const uint64_t a[6])
{
    FILE_REF struct file *self = fd_get((int)a[0]), *f = fd_get((int)a[2]);
    struct epoll_event event = {0};
    struct epoll_item *it;
    int op = (int)a[1];

    if (op != EPOLL_CTL_DEL && copy_from_guest(&event, a[3], sizeof event) < 0)
        return -EFAULT;
    event.events |= EPOLLERR | EPOLLHUP; /* always told, until EPOLLONESHOT disables the item */
    if (!self || !f || ((self->flags | f->flags) & O_PATH))
        return -EBADF;
    if (!OPS(f->ops)->poll)
        return -EPERM;
    if (self->ops != &epoll_ops || self == f)
        return -EINVAL;
    if ((event.events & EPOLLEXCLUSIVE) &&
        (op == EPOLL_CTL_MOD || (op == EPOLL_CTL_ADD && (f->ops == &epoll_ops || (event.events & ~EXCLUSIVE_MAY)))))
        return -EINVAL;
    if (op == EPOLL_CTL_ADD && f->ops == &epoll_ops && graph_too_deep(self->data, f->data))
        return -ELOOP;
    host_watch_refresh(); /* an edge from before must not be told after the item's first look */
    it = item_find(self->data, f, (int)a[2]);
    switch (op) {
    case EPOLL_CTL_ADD: return it ? -EEXIST : item_add(self->data, f, (int)a[2], &event);
    case EPOLL_CTL_DEL:
        if (!it)
            return -ENOENT;
        item_free(it);
        return 0;
    case EPOLL_CTL_MOD: return it ? item_modify(it, &event) : -ENOENT;
    default: return -EINVAL;
    }
}

/* What happens from here on is news again for those who watch the item's file. */
static void
take_off_ready(struct epoll_item *it)
{
    wait_news++;
    list_remove(&it->of_ready);
}

/* Fills out with at most max events of the items; they are off the ready list then. */
static unsigned
collect(struct epoll *ep, struct epoll_item **items, struct epoll_event *out, unsigned max)
{
    unsigned n = 0;

    while (n < max && !list_empty(&ep->ready)) {
        struct epoll_item *it = list_entry(ep->ready.next, struct epoll_item, of_ready);
        unsigned events = item_events(it);

        take_off_ready(it);
        if (!events)
            continue;
        items[n] = it;
        out[n].events = events;
        out[n++].data = it->event.data;
    }
    return n;
}

static void
put_back(struct list *from, struct list *behind)
{
    while (!list_empty(from)) {
        struct list *p = from->next;

        list_remove(p);
        list_append(behind, p);
    }
}

/* At most max events to the guest; level-triggered items come to the back of the ready list for the next call, those
 * whose event the guest did not get to its front. */
static int64_t
collect_for_guest(struct epoll *ep, guest_addr out, unsigned max)
{
    struct epoll_event batch[BATCH];
    struct epoll_item *items[BATCH];
    struct list again, untold;
    int64_t done = 0;
    unsigned n, told;

    list_init(&again);
    list_init(&untold);
    do {
        n = collect(ep, items, batch, max - done < BATCH ? max - (unsigned)done : BATCH);
        told = (unsigned)(copy_to_guest_partial(out + (guest_addr)done * sizeof batch[0], batch, n * sizeof batch[0]) /
                          sizeof batch[0]);
        for (unsigned k = 0; k < n; k++) {
            struct epoll_event *event = &items[k]->event;

            if (k >= told)
                list_append(&untold, &items[k]->of_ready);
            else if (event->events & EPOLLONESHOT)
                event->events &= EPOLLONESHOT | EPOLLET | EPOLLWAKEUP;
            else if (!(event->events & EPOLLET))
                list_append(&again, &items[k]->of_ready);
        }
        done += told;
        if (told < n)
            done = done ? done : -EFAULT;
    } while (told == BATCH);
    if (!list_empty(&untold)) {
        put_back(&ep->ready, &untold);
        put_back(&untold, &ep->ready);
    }
    put_back(&again, &ep->ready);
    return done;
}

static bool
epoll_has_ready(struct epoll *ep)
{
    LIST_EACH_SAFE(p, &ep->ready) {
        struct epoll_item *it = list_entry(p, struct epoll_item, of_ready);

        if (item_events(it))
            return true;
        take_off_ready(it);
    }
    return false;
}

static unsigned
epoll_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct epoll *ep = f->data;
    unsigned wanted = vfs_poll_wanted, events;

    poll_add(queues, count, max, &ep->queue);
    events = epoll_has_ready(ep) ? POLLIN | POLLRDNORM : 0;
    vfs_poll_wanted = wanted;
    return events;
}

static void
epoll_release(struct file *f)
{
    struct epoll *ep = f->data;

    LIST_EACH_SAFE(p, &ep->items)
        item_free(list_entry(p, struct epoll_item, of_epoll));
    wait_queue_fini(&ep->queue);
    OBJECT_FREE(epoll, ep);
}

static int
epoll_describe(const struct file *f, uint64_t *at, char *line, size_t size)
{
    const struct epoll *ep = f->data;
    const struct id_node *node = id_tree_from(&ep->by_id, *at ? (int64_t)*at : INT64_MIN);
    const struct epoll_item *it = node ? id_entry(node, struct epoll_item, in_epoll) : NULL;
    const struct inode *i = it ? it->file->inode : NULL;

    if (!it)
        return 0;
    *at = (uint64_t)node->id + 1;
    return snprintf(line, size, "tfd: %8d events: %8x data: %16llx  pos:%llu ino:%llx sdev:%llx\n", it->fd,
                    it->event.events, (unsigned long long)it->event.data.u64, (unsigned long long)it->file->pos,
                    i ? (unsigned long long)i->ino : 0ull, i ? (unsigned long long)i->sb->dev : 0ull);
}

static const struct file_ops OPS_TABLE(file_ops) epoll_ops = {
    .name = "eventpoll",
    .seeks_nowhere = true,
    .poll = epoll_poll,
    .describe = epoll_describe,
    .release = epoll_release,
};

static int64_t
make_epoll(int flags)
{
    struct epoll *ep;
    struct file *f;

    if (flags & ~EPOLL_CLOEXEC)
        return -EINVAL;
    ep = OBJECT_NEW(epoll);
    f = ep ? file_new(&epoll_ops, O_RDWR) : NULL;
    if (!f) {
        OBJECT_FREE(epoll, ep);
        return -ENFILE;
    }
    list_init(&ep->items);
    list_init(&ep->ready);
    wait_queue_init(&ep->queue);
    f->data = ep;
    ep->file = f;
    return fd_install_or_put(f, flags & O_CLOEXEC);
}

int64_t
sys_epoll_create(const uint64_t a[6])
{
    return (int)a[0] <= 0 ? -EINVAL : make_epoll(0);
}

int64_t
sys_epoll_create1(const uint64_t a[6])
{
    return make_epoll((int)a[0]);
}

static int64_t
epoll_wait_common(uint64_t fd, guest_addr out, int max, uint64_t deadline)
{
    FILE_REF struct file *f = fd_get((int)fd);
    int64_t done = 0, r = 0;

    might_sleep();
    if (!f || (f->flags & O_PATH))
        return -EBADF;
    if (max <= 0 || max > MAX_EVENTS)
        return -EINVAL;
    if (!guest_may_name(out, (uint64_t)max * sizeof(struct epoll_event)))
        return -EFAULT;
    if (f->ops != &epoll_ops)
        return -EINVAL;
    /* Whoever sleeps, with nothing else to run, makes this processor ask the host. Once is enough: what wakes the task
     * later came that way. */
    if (deadline == 0 || sched_runnable || epoll_has_ready(f->data))
        host_watch_refresh();
    for (;;) {
        struct epoll *ep = f->data;

        done = collect_for_guest(ep, out, (unsigned)max);
        if (done || deadline == 0)
            break;
        r = wait_on(&ep->queue, deadline);
        if (r < 0)
            break;
    }
    return done ? done : r == -ETIMEDOUT ? 0 : r == -ERESTARTSYS ? -EINTR : r;
}

static uint64_t
milliseconds(int timeout)
{
    return timeout == 0 ? 0 : timeout < 0 ? WAIT_FOREVER : clock_monotonic_ns() + (uint64_t)timeout * 1000000;
}

int64_t
sys_epoll_wait(const uint64_t a[6])
{
    return epoll_wait_common(a[0], a[1], (int)a[2], milliseconds((int)a[3]));
}

int64_t
sys_epoll_pwait(const uint64_t a[6])
{
    int r = signal_temporary_mask_from_guest(a[4], a[5]);

    return r < 0 ? r : signal_temporary_mask_result(sys_epoll_wait(a));
}

int64_t
sys_epoll_pwait2(const uint64_t a[6])
{
    uint64_t deadline = WAIT_FOREVER;
    struct timespec t;
    int r;

    if (a[3]) {
        if (copy_from_guest(&t, a[3], sizeof t) < 0)
            return -EFAULT;
        if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec > 999999999)
            return -EINVAL;
        if (t.tv_sec == 0 && t.tv_nsec == 0)
            deadline = 0;
        else if (t.tv_sec < 4000000000)
            deadline = clock_monotonic_ns() + (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    }
    r = signal_temporary_mask_from_guest(a[4], a[5]);
    return r < 0 ? r : signal_temporary_mask_result(epoll_wait_common(a[0], a[1], (int)a[2], deadline));
}
