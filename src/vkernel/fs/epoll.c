/* epoll(7): items stay on their files' wait queues and put themselves on the ready list when told. */
#include <poll.h>
#include <sys/epoll.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/fs/vfs.h"

enum { ITEM_QUEUES = 4, NEST_MAX = 5, BATCH = 64 };

struct epoll {
    struct list items, ready;
    struct wait_queue queue;
};

struct epoll_item {
    struct list of_epoll, of_file, of_ready; /* of_ready empty: not on the ready list */
    struct epoll *epoll;
    struct file *file; /* not a reference: the file tells when it goes */
    int fd;
    struct epoll_event event;
    unsigned queue_count;
    struct wait_entry entries[ITEM_QUEUES];
};

static const struct file_ops epoll_ops;

static unsigned
item_events(struct epoll_item *it)
{
    unsigned wanted = it->event.events & ~(unsigned)(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP), events;

    if (wanted == 0) /* disabled by EPOLLONESHOT, or only errors asked for */
        return (it->event.events & EPOLLONESHOT) ? 0 : file_poll(it->file, NULL, NULL, 0) & (POLLERR | POLLHUP);
    vfs_poll_wanted = wanted;
    events = file_poll(it->file, NULL, NULL, 0);
    vfs_poll_wanted = ~0u;
    return events & (wanted | POLLERR | POLLHUP);
}

static void
make_ready(struct epoll_item *it)
{
    if (list_empty(&it->of_ready))
        list_append(&it->epoll->ready, &it->of_ready);
    wait_queue_wake(&it->epoll->queue);
}

static void
item_notify(struct wait_entry *e)
{

    struct epoll_item *it = (struct epoll_item *)(void *)e->task;

    make_ready(it);
}

static void
item_free(struct epoll_item *it)
{
    for (unsigned k = 0; k < it->queue_count; k++)
        list_remove(&it->entries[k].link);
    list_remove(&it->of_epoll);
    list_remove(&it->of_file);
    list_remove(&it->of_ready);
    free(it);
}

void
epoll_file_released(struct file *f)
{
    LIST_EACH_SAFE(p, &f->epoll_links)
        item_free(list_entry(p, struct epoll_item, of_file));
}

static int
nesting(struct epoll *outer, struct file *f, int depth)
{
    struct epoll *inner;

    if (f->ops != &epoll_ops)
        return 0;
    inner = f->data;
    if (inner == outer || depth >= NEST_MAX)
        return -ELOOP;
    LIST_EACH(p, &inner->items) {
        int r = nesting(outer, list_entry(p, struct epoll_item, of_epoll)->file, depth + 1);

        if (r < 0)
            return r;
    }
    return 0;
}

static int
item_add(struct epoll *ep, struct file *f, int fd, const struct epoll_event *event)
{
    struct wait_queue *queues[ITEM_QUEUES];
    struct epoll_item *it;
    unsigned count = 0;
    int r;

    if (!f->ops->poll)
        return -EPERM;
    r = nesting(ep, f, 0);
    if (r < 0)
        return r;
    it = calloc(1, sizeof *it);
    if (!it)
        return -ENOMEM;
    it->epoll = ep;
    it->file = f;
    it->fd = fd;
    it->event = *event;
    list_init(&it->of_ready);
    list_append(&ep->items, &it->of_epoll);
    list_append(&f->epoll_links, &it->of_file);
    file_poll(f, queues, &count, ITEM_QUEUES);
    for (unsigned k = 0; k < count; k++) {
        it->entries[k].notify = item_notify;
        it->entries[k].task = (struct task *)(void *)it;
        list_append(&queues[k]->waiters, &it->entries[k].link);
    }
    it->queue_count = count;
    if (item_events(it))
        make_ready(it);
    return 0;
}

static struct epoll_item *
item_find(struct epoll *ep, struct file *f, int fd)
{
    LIST_EACH(p, &f->epoll_links) {
        struct epoll_item *it = list_entry(p, struct epoll_item, of_file);

        if (it->epoll == ep && it->fd == fd)
            return it;
    }
    return NULL;
}

int64_t
sys_epoll_ctl(const uint64_t a[6])
{
    struct file *self = fd_file((int)a[0]), *f = fd_file((int)a[2]);
    struct epoll_event event = {0};
    struct epoll_item *it;

    if (!self || !f || (f->flags & O_PATH))
        return -EBADF;
    if (self->ops != &epoll_ops || self == f)
        return -EINVAL;
    if (a[1] != EPOLL_CTL_DEL && copy_from_guest(&event, a[3], sizeof event) < 0)
        return -EFAULT;
    host_watch_refresh(); /* an edge from before must not be told after the item's first look */
    it = item_find(self->data, f, (int)a[2]);
    switch (a[1]) {
    case EPOLL_CTL_ADD:
        return it ? -EEXIST : item_add(self->data, f, (int)a[2], &event);
    case EPOLL_CTL_DEL:
        if (!it)
            return -ENOENT;
        item_free(it);
        return 0;
    case EPOLL_CTL_MOD:
        if (!it)
            return -ENOENT;
        if ((it->event.events | event.events) & EPOLLEXCLUSIVE)
            return -EINVAL;
        it->event = event;
        if (item_events(it))
            make_ready(it);
        return 0;
    default:
        return -EINVAL;
    }
}

/* Fills out with at most max events; level-triggered items go to the list `again`. */
static unsigned
collect(struct epoll *ep, struct list *again, struct epoll_event *out, unsigned max)
{
    unsigned n = 0;

    while (n < max && !list_empty(&ep->ready)) {
        struct epoll_item *it = list_entry(ep->ready.next, struct epoll_item, of_ready);
        unsigned events = item_events(it);

        list_remove(&it->of_ready);
        if (!events)
            continue;
        out[n].events = events;
        out[n++].data = it->event.data;
        if (it->event.events & EPOLLONESHOT)
            it->event.events &= EPOLLONESHOT | EPOLLET | EPOLLWAKEUP;
        else if (!(it->event.events & EPOLLET))
            list_append(again, &it->of_ready);
    }
    return n;
}

/* At most max events to the guest; level-triggered items come to the back of the ready list for the next call. */
static int64_t
collect_for_guest(struct epoll *ep, guest_addr out, unsigned max)
{
    struct epoll_event batch[BATCH];
    struct list again;
    int64_t done = 0;
    unsigned n;

    list_init(&again);
    do {
        n = collect(ep, &again, batch, max - done < BATCH ? max - (unsigned)done : BATCH);
        if (n && copy_to_guest(out + (guest_addr)done * sizeof batch[0], batch, n * sizeof batch[0]) < 0) {
            done = done ? done : -EFAULT;
            break;
        }
        done += n;
    } while (n == BATCH);
    while (!list_empty(&again)) {
        struct list *p = again.next;

        list_remove(p);
        list_append(&ep->ready, p);
    }
    return done;
}

static bool
epoll_has_ready(struct epoll *ep)
{
    LIST_EACH_SAFE(p, &ep->ready) {
        struct epoll_item *it = list_entry(p, struct epoll_item, of_ready);

        if (item_events(it))
            return true;
        list_remove(&it->of_ready);
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
    free(ep);
}

static const struct file_ops epoll_ops = {
    .name = "eventpoll",
    .poll = epoll_poll,
    .release = epoll_release,
};

static int64_t
make_epoll(int flags)
{
    struct epoll *ep;
    struct file *f;
    int fd;

    if (flags & ~EPOLL_CLOEXEC)
        return -EINVAL;
    ep = calloc(1, sizeof *ep);
    f = ep ? file_new(&epoll_ops, O_RDWR) : NULL;
    if (!f) {
        free(ep);
        return -ENOMEM;
    }
    list_init(&ep->items);
    list_init(&ep->ready);
    wait_queue_init(&ep->queue);
    f->data = ep;
    fd = fd_install(f, 0, flags & O_CLOEXEC);
    if (fd < 0)
        file_put(f);
    return fd;
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
    struct file *f = fd_file((int)fd);
    int64_t done = 0, r = 0;

    if (!f)
        return -EBADF;
    if (f->ops != &epoll_ops || max <= 0)
        return -EINVAL;
    file_get(f);
    for (;;) {
        struct epoll *ep = f->data;

        host_watch_refresh();
        done = collect_for_guest(ep, out, (unsigned)max);
        if (done || deadline == 0)
            break;
        r = wait_on(&ep->queue, deadline);
        if (r < 0)
            break;
    }
    file_put(f);
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

static int
set_mask(guest_addr mask, uint64_t size)
{
    uint64_t set;

    if (!mask)
        return 0;
    if (size != sizeof set)
        return -EINVAL;
    if (copy_from_guest(&set, mask, sizeof set) < 0)
        return -EFAULT;
    signal_set_temporary_mask(set);
    return 0;
}

int64_t
sys_epoll_pwait(const uint64_t a[6])
{
    int r = set_mask(a[4], a[5]);

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
    r = set_mask(a[4], a[5]);
    return r < 0 ? r : signal_temporary_mask_result(epoll_wait_common(a[0], a[1], (int)a[2], deadline));
}
