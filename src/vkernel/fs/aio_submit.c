/* Asynchronous I/O: requests (io_submit(2), io_cancel(2)).
 *
 * As on Linux, reading and writing is done by io_submit itself, and may sleep there; only the event is asynchronous.
 * What goes on after io_submit is IOCB_CMD_POLL: it listens on its file's queues until the file is ready.
 *
 * A request of that kind becomes complete in the middle of a wake, which may not change the queue that it walks, and
 * its event may wake another request's file (an eventfd). So a wake only queues what is ready; the outermost one puts
 * the events into their rings, one after the other, and what the requests hold is given back by a timer, or by the next
 * call that comes here.
 *
 * To tell an eventfd walks all requests that listen to it, and a wake of as many may find as many requests ready. So
 * only a few are told within a wake; the rest waits for the timer, which tells each eventfd once for many requests. */
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>

#include "platform/heap.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/fs/aio_internal.h"
#include "vkernel/fs/sys_io_internal.h"
#include "vkernel/io/io.h"
#include "vkernel/io/ioprio.h"
#include "vkernel/mm/mm.h"
#include "vkernel/task/process.h"

#ifndef IOCB_FLAG_IOPRIO
#define IOCB_FLAG_IOPRIO 2
#endif

enum { QUEUES = 4, READY_AT_ONCE = 256, WALK_COST = 32 /* requests */, NO_APPEND = 32 /* RWF_NOAPPEND */ };

struct aio_poll {
    struct list link; /* of its context's requests; or, complete, of ready or done */
    struct aio_context *context;
    struct aio_result result;
    struct file *file;
    unsigned events, found;
    bool complete;
    unsigned queue_count;
    struct wait_entry entries[QUEUES];
};

OBJECT_POOL(aio_poll);

static struct list ready = {&ready, &ready}; /* events to put into rings */
static struct list done = {&done, &done};    /* to give back */
static unsigned spent;                       /* on telling, since the timer ran */

static void settle_later(void);

/* Takes the request from its context; its event is due. */
static void
poll_found(struct aio_poll *p, unsigned found)
{
    p->complete = true;
    p->found = found;
    p->context->active--;
    list_remove(&p->link);
    list_append(&ready, &p->link);
}

/* Puts events into their rings, and then tells each of their eventfds once. That may find further requests' files ready,
 * which come behind. */
static void
tell_some(void)
{
    struct list told = {&told, &told};

    for (unsigned k = 0; k < READY_AT_ONCE && !list_empty(&ready); k++) {
        struct aio_poll *p = list_entry(ready.next, struct aio_poll, link);

        list_remove(&p->link);
        list_append(&told, &p->link);
        aio_post(p->context, &p->result, p->found);
        spent++;
    }
    while (!list_empty(&told)) {
        struct aio_poll *p = list_entry(told.next, struct aio_poll, link);

        if (p->result.eventfd && eventfd_tell(p->result.eventfd))
            spent += WALK_COST;
        list_remove(&p->link);
        list_append(&done, &p->link);
    }
}

static void
tell_ready(void)
{
    static bool telling;

    if (telling)
        return;
    telling = true;
    do
        tell_some();
    while (spent < READY_AT_ONCE && !list_empty(&ready));
    telling = false;
    settle_later();
}

CALLBACK static void
poll_notify(struct wait_entry *e)
{
    struct aio_poll *p = (struct aio_poll *)(void *)e->task;
    unsigned events;

    if (p->complete)
        return;
    events = file_poll(p->file, NULL, NULL, 0) & p->events;
    if (!events)
        return;
    poll_found(p, events);
    if (spent < READY_AT_ONCE)
        tell_ready();
    else
        settle_later();
}

static void
poll_free(struct aio_poll *p)
{
    for (unsigned k = 0; k < p->queue_count; k++)
        list_remove(&p->entries[k].link);
    list_remove(&p->link);
    file_put(p->result.eventfd);
    file_put(p->file);
    aio_context_put(p->context);
    OBJECT_FREE(aio_poll, p);
}

void
aio_settle(void)
{
    for (unsigned k = 0; k < READY_AT_ONCE && !list_empty(&done); k++)
        poll_free(list_entry(done.next, struct aio_poll, link));
    if (!list_empty(&ready))
        tell_ready();
    else
        settle_later();
}

CALLBACK static void
settle_now(struct ktimer *k)
{
    spent = 0;
    aio_settle();
}

static void
settle_later(void)
{
    static struct ktimer aio_timer = {.fire = settle_now};

    if (!aio_timer.started && !list_empty(&ready)) /* others run in between */
        ktimer_start(&aio_timer, clock_monotonic_ns() + NS_PER_SECOND / 1000);
    else if (!aio_timer.started && !list_empty(&done))
        ktimer_start(&aio_timer, clock_monotonic_ns());
}

void
aio_cancel_all(struct aio_context *c)
{
    while (!list_empty(&c->requests))
        poll_found(list_entry(c->requests.next, struct aio_poll, link), 0);
    tell_ready();
}

/* --- what a request is --- */

static int64_t
submit_transfer(struct aio_context *c, const struct iocb *io, struct file *f, struct aio_result *result)
{
    bool write = io->aio_lio_opcode == IOCB_CMD_PWRITE || io->aio_lio_opcode == IOCB_CMD_PWRITEV;
    bool vector = io->aio_lio_opcode == IOCB_CMD_PREADV || io->aio_lio_opcode == IOCB_CMD_PWRITEV;
    UNINITIALIZED struct user_iov u;
    uint64_t at = (uint64_t)io->aio_offset;
    struct file_range range;
    int64_t r;

    if ((io->aio_flags & IOCB_FLAG_IOPRIO) && (r = ioprio_check((uint16_t)io->aio_reqprio)) < 0)
        return r;
    if ((uint32_t)io->aio_rw_flags & ~(uint32_t)TRANSFER_FLAGS)
        return -EOPNOTSUPP;
    if ((io->aio_rw_flags & RWF_APPEND) && (io->aio_rw_flags & NO_APPEND))
        return -EINVAL;
    if (write ? !file_can_write(f) : !file_can_read(f))
        return -EBADF;
    if ((write ? !OPS(f->ops)->write : !OPS(f->ops)->read) || (f->inode && S_ISDIR(f->inode->mode)))
        return -EINVAL;
    r = 0;
    if (vector)
        r = user_iov_init(&u, io->aio_buf, io->aio_nbytes);
    else if (!guest_may_name(io->aio_buf, io->aio_nbytes))
        r = -EFAULT;
    else
        user_iov_single(&u, io->aio_buf, io->aio_nbytes);
    if (r < 0)
        return r;
    if (io->aio_offset < 0 || !file_range(at, u.total, &range)) {
        user_iov_fini(&u);
        return -EINVAL;
    }
    r = user_transfer(f, &u, OPS(f->ops)->seek ? &at : NULL, write, (uint32_t)io->aio_rw_flags);
    user_iov_fini(&u);
    aio_complete(c, result, r == -ERESTARTSYS || r == -ERESTARTNOINTR ? -EINTR : r);
    return 0;
}

static int64_t
submit_sync(struct aio_context *c, const struct iocb *io, struct file *f, struct aio_result *result)
{
    int r;

    if (io->aio_buf || io->aio_offset || io->aio_nbytes || io->aio_rw_flags)
        return -EINVAL;
    r = file_sync(f);
    if (r == -EINVAL) /* there is nothing that could be synchronised */
        return r;
    aio_complete(c, result, r);
    return 0;
}

static int64_t
submit_poll(struct aio_context *c, const struct iocb *io, struct file *f, struct aio_result *result)
{
    struct wait_queue *queues[QUEUES];
    struct aio_poll *p;
    unsigned events;

    if ((uint16_t)io->aio_buf != io->aio_buf || io->aio_offset || io->aio_nbytes || io->aio_rw_flags)
        return -EINVAL;
    p = OBJECT_NEW(aio_poll);
    if (!p)
        return -EAGAIN;
    p->events = (unsigned)io->aio_buf | POLLERR | POLLHUP;
    events = file_poll(f, queues, &p->queue_count, QUEUES) & p->events;
    if (events || p->queue_count == 0) {
        OBJECT_FREE(aio_poll, p);
        if (!events)
            return -EINVAL;
        aio_complete(c, result, events);
        return 0;
    }
    p->context = c;
    refcount_get(&c->refs);
    p->file = file_get(f);
    p->result = *result;
    result->eventfd = NULL; /* the request has it */
    list_append(&c->requests, &p->link);
    c->active++;
    for (unsigned k = 0; k < p->queue_count; k++) {
        p->entries[k] = (struct wait_entry){.notify = poll_notify, .task = (struct task *)(void *)p};
        wait_queue_listen(queues[k], &p->entries[k]);
    }
    return 0;
}

static int64_t
submit_known(struct aio_context *c, const struct iocb *io, struct file *f, struct aio_result *result)
{
    switch (io->aio_lio_opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PREADV:
    case IOCB_CMD_PWRITEV: return submit_transfer(c, io, f, result);
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC: return submit_sync(c, io, f, result);
    case IOCB_CMD_POLL: return submit_poll(c, io, f, result);
    default: return -EINVAL;
    }
}

/* The eventfd that a request names, with a reference. */
static int
eventfd_of(const struct iocb *io, struct file **out)
{
    if (!(io->aio_flags & IOCB_FLAG_RESFD))
        return 0;
    *out = io_get(io->aio_resfd);
    if (!*out)
        return -EBADF;
    if (eventfd_is(*out))
        return 0;
    file_put(*out);
    *out = NULL;
    return -EINVAL;
}

static int64_t
submit_one(struct aio_context *c, guest_addr address)
{
    const uint32_t key = 0;
    struct aio_result result = {.iocb = address};
    struct iocb io;
    int64_t r;

    if (copy_from_guest(&io, address, sizeof io) < 0)
        return -EFAULT;
    if (io.aio_reserved2 || (int64_t)io.aio_nbytes < 0)
        return -EINVAL;
    if (c->dead || !aio_room(c))
        return c->dead ? -EINVAL : -EAGAIN;
    FILE_REF struct file *f = io_get(io.aio_fildes);
    if (!f)
        return -EBADF;
    result.data = io.aio_data;
    r = eventfd_of(&io, &result.eventfd);
    if (r == 0)
        r = copy_to_guest(address + offsetof(struct iocb, aio_key), &key, sizeof key);
    if (r == 0) {
        c->active++; /* its place in the ring, while it sleeps, too */
        r = submit_known(c, &io, f, &result);
        c->active--;
    }
    file_put(result.eventfd);
    return r;
}

int64_t
sys_io_submit(const uint64_t a[6])
{
    AIO_CONTEXT_REF struct aio_context *c = aio_context_get(a[0]);
    int64_t count = (int64_t)a[1], k, r = 0;

    might_sleep();
    if (!c || count < 0)
        return -EINVAL;
    aio_settle();
    if (count > c->slots)
        count = c->slots;
    for (k = 0; k < count; k++) {
        uint64_t address;

        r = copy_from_guest(&address, a[2] + (uint64_t)k * sizeof address, sizeof address);
        if (r == 0)
            r = submit_one(c, address);
        if (r < 0)
            break;
        if (sched_checkpoint() < 0)
            return k + 1;
    }
    return k ? k : r;
}

int64_t
sys_io_cancel(const uint64_t a[6])
{
    uint32_t key;

    if (copy_from_guest(&key, a[1] + offsetof(struct iocb, aio_key), sizeof key) < 0)
        return -EFAULT;
    AIO_CONTEXT_REF struct aio_context *c = aio_context_get(a[0]);
    if (!c || key != 0)
        return -EINVAL;
    LIST_EACH(at, &c->requests) {
        struct aio_poll *p = list_entry(at, struct aio_poll, link);

        if (p->result.iocb != a[1])
            continue;
        poll_found(p, 0);
        tell_ready();
        aio_settle();
        return -EINPROGRESS; /* the event comes by the ring */
    }
    return -EINVAL;
}
