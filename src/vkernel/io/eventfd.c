/* eventfd(2): a counter that reads and writes as eight bytes. */
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/io/io.h"
#include "vkernel/vfs/vfs.h"

struct eventfd {
    uint64_t count;
    bool semaphore;
    bool added; /* since eventfd_tell() */
    struct wait_queue queue;
};

static ssize_t
counter_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct eventfd *e = f->data;
    uint64_t value;

    if (iov_total(iov, count) < sizeof value)
        return -EINVAL;
    if (e->count == 0)
        return -EAGAIN;
    value = e->semaphore ? 1 : e->count;
    e->count -= value;
    if (iov_scatter(iov, count, 0, &value, sizeof value) < sizeof value)
        return -EFAULT; /* the count is lost, as on Linux */
    wait_queue_wake(&e->queue);
    return sizeof value;
}

static ssize_t
counter_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct eventfd *e = f->data;
    uint64_t value;

    if (iov_total(iov, count) != sizeof value)
        return -EINVAL;
    if (iov_gather(iov, count, 0, &value, sizeof value) < sizeof value)
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    if (e->count == UINT64_MAX || value > UINT64_MAX - 1 - e->count)
        return -EAGAIN;
    e->count += value;
    wait_queue_wake(&e->queue);
    return sizeof value;
}

static unsigned
counter_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct eventfd *e = f->data;

    poll_add(queues, count, max, &e->queue);
    return (e->count > 0 ? POLLIN : 0u) | (e->count < UINT64_MAX - 1 ? POLLOUT : 0u) |
           (e->count == UINT64_MAX ? POLLERR : 0u);
}

OBJECT_POOL(eventfd);

static void
counter_release(struct file *f)
{
    struct eventfd *e = f->data;

    wait_queue_fini(&e->queue);
    OBJECT_FREE(eventfd, e);
}

static int
counter_describe(const struct file *f, uint64_t *at, char *line, size_t size)
{
    const struct eventfd *e = f->data;

    return (*at)++ ? 0
                   : snprintf(line, size, "eventfd-count: %16llx\neventfd-semaphore: %d\n",
                              (unsigned long long)e->count, e->semaphore);
}

static const struct file_ops OPS_TABLE(file_ops) eventfd_ops = {
    .name = "eventfd",
    .seeks_nowhere = true,
    .no_splice_in = true,
    .no_splice_out = true,
    .read = counter_read,
    .write = counter_write,
    .poll = counter_poll,
    .describe = counter_describe,
    .release = counter_release,
};

bool
eventfd_is(const struct file *f)
{
    return f->ops == &eventfd_ops;
}

void
eventfd_add(struct file *f)
{
    struct eventfd *e = f->data;

    if (e->count < UINT64_MAX)
        e->count++;
    e->added = true;
}

bool
eventfd_tell(struct file *f)
{
    struct eventfd *e = f->data;

    if (!e->added)
        return false;
    e->added = false;
    wait_queue_wake(&e->queue);
    return true;
}

void
eventfd_signal(struct file *f)
{
    eventfd_add(f);
    eventfd_tell(f);
}

static int64_t
make_eventfd(unsigned initial, int flags)
{
    struct eventfd *e;
    struct file *f;

    if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    e = OBJECT_NEW(eventfd);
    f = e ? file_new(&eventfd_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        OBJECT_FREE(eventfd, e);
        return -ENOMEM;
    }
    e->count = initial;
    e->semaphore = flags & EFD_SEMAPHORE;
    wait_queue_init(&e->queue);
    f->data = e;
    return fd_install_or_put(f, flags & O_CLOEXEC);
}

int64_t
sys_eventfd(const uint64_t a[6])
{
    return make_eventfd((unsigned)a[0], 0);
}

int64_t
sys_eventfd2(const uint64_t a[6])
{
    return make_eventfd((unsigned)a[0], (int)a[1]);
}
