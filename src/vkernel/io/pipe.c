/* Pipes and FIFOs: a ring of bytes (pipe(7)). Writes of up to PIPE_BUF bytes are atomic. What is written with O_DIRECT
 * are packets of up to PIPE_BUF bytes, of which a read takes one; bytes and packets may follow each other in one pipe. */
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "vkernel/abi/syscall.h"
#include "base/page.h"
#include "platform/heap.h"
#include "vkernel/vfs/limits.h"
#include "vkernel/vfs/vfs.h"
#include "vkernel/vfs/users.h"
#include "vkernel/task/process.h"
#include "vkernel/io/io.h"

enum { PIPE_PAGE = PAGE_SIZE, PIPE_DEFAULT = 16 * PIPE_PAGE, PIPE_SMALL = 2 * PIPE_PAGE, PIPE_ATOMIC = 4096 };

/* Bytes [start, end) of all that ever went through the pipe. */
struct packet {
    uint64_t start, end;
};

struct pipe {
    uint8_t *ring;
    size_t capacity, head, used;
    uint64_t taken;         /* how many bytes were ever taken out */
    struct packet *packets; /* a ring of capacity / PIPE_PAGE places; NULL: nobody has written any */
    size_t packet_first, packet_count, packet_bytes;
    size_t run; /* bytes that were written one after the other at the end, since it was empty or the last packet */
    unsigned readers, writers;
    uint64_t reader_opens, writer_opens; /* ever: open(2) of a FIFO waits for a change */
    struct wait_queue read_queue, write_queue, open_queue;
    struct user *user; /* its maker, who is charged for the pages */
};

static const struct file_ops OPS_TABLE(file_ops) pipe_ops;

/* Only the privileged may have more pages in pipes than the limit. */
static bool
has_too_many_pages(const struct user *u)
{
    return u && user_count(u, USER_PIPE_PAGES) > LIMIT_PIPE_PAGES &&
           !(current_task() && (capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN)));
}

OBJECT_POOL(pipe);

static struct pipe *
pipe_new(void)
{
    struct pipe *p = OBJECT_NEW(pipe);

    if (!p)
        return NULL;
    p->capacity = PIPE_DEFAULT;
    p->user = user_charge(USER_PIPE_PAGES, PIPE_DEFAULT / PIPE_PAGE, UINT64_MAX);
    if (has_too_many_pages(p->user)) {
        p->capacity = PIPE_SMALL;
        user_recharge(p->user, USER_PIPE_PAGES, PIPE_DEFAULT / PIPE_PAGE, PIPE_SMALL / PIPE_PAGE);
    }
    wait_queue_init(&p->read_queue);
    wait_queue_init(&p->write_queue);
    wait_queue_init(&p->open_queue);
    return p;
}

void
pipe_inode_evict(struct inode *i)
{
    if (!i->pipe)
        return;
    wait_queue_fini(&i->pipe->read_queue);
    wait_queue_fini(&i->pipe->write_queue);
    wait_queue_fini(&i->pipe->open_queue);
    user_uncharge(i->pipe->user, USER_PIPE_PAGES, i->pipe->capacity / PIPE_PAGE);
    bytes_free(i->pipe->ring);
    bytes_free(i->pipe->packets);
    OBJECT_FREE(pipe, i->pipe);
    i->pipe = NULL;
}

/* --- packets --- */

static size_t
places(const struct pipe *p)
{
    return p->capacity / PIPE_PAGE;
}

static struct packet *
packet_at(const struct pipe *p, size_t k)
{
    return &p->packets[(p->packet_first + k) % places(p)];
}

/* As on Linux, a packet takes a page, and other bytes take what they fill. */
static size_t
pages_used(const struct pipe *p)
{
    return p->packet_count + (p->used - p->packet_bytes + PIPE_PAGE - 1) / PIPE_PAGE;
}

/* What a write could put in now. */
static size_t
room_of(const struct pipe *p)
{
    return p->packet_count && pages_used(p) >= places(p) ? 0 : p->capacity - p->used;
}

/* How many bytes a read of so many takes out, and in *shown how many it is given: what follows bytes until a packet's
 * end, of which the rest is lost. */
static size_t
bytes_of_read(const struct pipe *p, size_t size, size_t *shown)
{
    size_t before, whole;

    *shown = size < p->used ? size : p->used;
    if (p->packet_count == 0)
        return *shown;
    before = (size_t)(packet_at(p, 0)->start - p->taken);
    whole = (size_t)(packet_at(p, 0)->end - p->taken);
    if (size <= before)
        return *shown;
    *shown = size < whole ? size : whole;
    return whole;
}

/* Bytes are gone. */
static void
packets_taken(struct pipe *p, size_t n)
{
    p->taken += n;
    while (p->packet_count && packet_at(p, 0)->start < p->taken) {
        struct packet *first = packet_at(p, 0);
        uint64_t gone = (first->end < p->taken ? first->end : p->taken) - first->start;

        p->packet_bytes -= (size_t)gone;
        first->start += gone;
        if (first->start < first->end)
            break;
        p->packet_first = (p->packet_first + 1) % places(p);
        p->packet_count--;
    }
}

static int
packets_make(struct pipe *p)
{
    if (!p->packets)
        p->packets = bytes_new(places(p) * sizeof *p->packets);
    return p->packets ? 0 : -ENOMEM;
}

/* Would so many bytes still fit the page that ends with bytes? As on Linux, they are no packet then. */
static bool
joins_bytes(const struct pipe *p, size_t size)
{
    size_t filled = p->run % PIPE_PAGE;

    return p->used && filled && size < PIPE_PAGE && filled + size <= PIPE_PAGE;
}

/* The last `size` bytes of the ring are one. */
static void
packet_add(struct pipe *p, size_t size)
{
    uint64_t end = p->taken + p->used;

    *packet_at(p, p->packet_count) = (struct packet){end - size, end};
    p->packet_count++;
    p->packet_bytes += size;
    p->run = 0;
}

/* --- bytes --- */

/* Copies out of the ring without consuming; may be less than there is room for. */
static size_t
ring_peek(const struct pipe *p, const struct iovec *iov, int count, size_t most)
{
    size_t n = iov_total(iov, count), first;

    if (n > most)
        n = most;
    first = p->capacity - p->head;
    if (first > n)
        first = n;
    if (iov_scatter(iov, count, 0, p->ring + p->head, first) < first)
        return 0;
    return first + iov_scatter(iov, count, first, p->ring, n - first);
}

static void
ring_consume(struct pipe *p, size_t n)
{
    packets_taken(p, n);
    p->used -= n;
    p->head = p->used ? (p->head + n) % p->capacity : 0;
    wait_queue_wake(&p->write_queue);
}

static ssize_t
pipe_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct pipe *p = f->inode->pipe;
    size_t n, shown, takes;

    if (iov_total(iov, count) == 0)
        return 0;
    if (p->used == 0)
        return p->writers == 0 ? 0 : -EAGAIN;
    takes = bytes_of_read(p, iov_total(iov, count), &shown);
    n = ring_peek(p, iov, count, shown);
    if (n == 0)
        return -EFAULT;
    ring_consume(p, n == shown ? takes : n);
    return (ssize_t)n;
}

ssize_t
pipe_peek(struct file *f, void *buf, size_t size)
{
    struct pipe *p = f->inode->pipe;
    struct iovec iov = {buf, size};

    if (p->used == 0)
        return p->writers == 0 ? 0 : -EAGAIN;
    return (ssize_t)ring_peek(p, &iov, 1, p->used);
}

void
pipe_discard(struct file *f, size_t size)
{
    ring_consume(f->inode->pipe, size);
}

size_t
pipe_room(const struct file *f)
{
    return room_of(f->inode->pipe);
}

static ssize_t
pipe_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct pipe *p = f->inode->pipe;
    size_t size = iov_total(iov, count), room, tail, first;
    bool packet = (f->flags & O_DIRECT) && !joins_bytes(p, size);

    if (size == 0)
        return 0;
    if (p->readers == 0)
        return -EPIPE;
    if ((!p->ring && !(p->ring = bytes_new(p->capacity))) || (packet && packets_make(p) < 0))
        return -ENOMEM;
    if (packet && size > PIPE_ATOMIC)
        size = PIPE_ATOMIC; /* the caller writes the others */
    room = packet && pages_used(p) >= places(p) ? 0 : room_of(p);
    if (room == 0 || (size <= PIPE_ATOMIC && room < size))
        return -EAGAIN;
    if (size > room)
        size = room;
    tail = (p->head + p->used) % p->capacity;
    first = p->capacity - tail;
    if (first > size)
        first = size;
    if (iov_gather(iov, count, 0, p->ring + tail, first) < first)
        return -EFAULT;
    size = first + iov_gather(iov, count, first, p->ring, size - first);
    p->run = (p->used ? p->run : 0) + size;
    p->used += size;
    if (packet && size)
        packet_add(p, size);
    wait_queue_wake(&p->read_queue);
    return (ssize_t)size;
}

static unsigned
pipe_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct pipe *p = f->inode->pipe;
    unsigned events = 0;

    if (file_can_read(f)) {
        poll_add(queues, count, max, &p->read_queue);
        if (p->used > 0)
            events |= POLLIN | POLLRDNORM;
        if (p->writers == 0 && p->writer_opens > 0)
            events |= POLLHUP;
    }
    if (file_can_write(f)) {
        poll_add(queues, count, max, &p->write_queue);
        if (room_of(p) >= PIPE_ATOMIC)
            events |= POLLOUT | POLLWRNORM;
        if (p->readers == 0)
            events |= POLLERR;
    }
    return events;
}

static int
pipe_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    int n = (int)f->inode->pipe->used;

    return request == FIONREAD ? copy_to_guest(arg, &n, sizeof n) : -ENOTTY;
}

static void
pipe_release(struct file *f)
{
    struct pipe *p = f->inode->pipe;

    if (file_can_read(f))
        p->readers--;
    if (file_can_write(f))
        p->writers--;
    wait_queue_wake(&p->read_queue);
    wait_queue_wake(&p->write_queue);
    if (p->readers == 0 && p->writers == 0 && f->inode->sb != anon_superblock()) {
        packets_taken(p, p->used);
        p->used = p->head = 0; /* a FIFO's bytes do not outlive its openers */
        p->writer_opens = p->reader_opens = 0;
    }
}

static const struct file_ops OPS_TABLE(file_ops) pipe_ops = {
    .name = "pipe",
    .tells_async = true,
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
};

static int
wait_other_end(struct pipe *p, const uint64_t *opens, const unsigned *count)
{
    uint64_t seen = *opens;

    return WAIT_EVENT(&p->open_queue, WAIT_FOREVER, *opens != seen || *count > 0);
}

int
fifo_open(struct inode *inode, struct file *f)
{
    struct pipe *p = inode->pipe;
    bool reads = file_can_read(f), writes = file_can_write(f);
    bool anonymous = inode->sb == anon_superblock(); /* /proc/self/fd/N of a pipe: never waits */
    int r = 0;

    might_sleep();
    if (f->flags & O_DIRECT)
        return -EINVAL;
    if (!p && !(p = inode->pipe = pipe_new()))
        return -ENOMEM;
    if (writes && !reads && (f->flags & O_NONBLOCK) && p->readers == 0 && !anonymous)
        return -ENXIO;
    p->readers += reads;
    p->writers += writes;
    p->reader_opens += reads;
    p->writer_opens += writes;
    wait_queue_wake(&p->open_queue);
    f->ops = &pipe_ops;
    if (reads != writes && !(f->flags & O_NONBLOCK) && !anonymous)
        r = reads ? wait_other_end(p, &p->writer_opens, &p->writers) : wait_other_end(p, &p->reader_opens, &p->readers);
    if (r < 0)
        pipe_release(f);
    return r;
}

static const struct inode_ops OPS_TABLE(inode_ops) anon_pipe_ops = {.open = fifo_open};

static int64_t
make_pipe(guest_addr out, int flags)
{
    struct inode *i;
    struct file *ends[2];
    int r;

    if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    i = inode_new(anon_superblock(), &anon_pipe_ops, S_IFIFO | 0600);
    if (!i)
        return -ENOMEM;
    i->uid = current_process()->creds.fsuid;
    i->gid = current_process()->creds.fsgid;
    i->pipe = pipe_new();
    ends[0] = i->pipe ? file_new_inode(&pipe_ops, O_RDONLY | (flags & O_NONBLOCK), i, NULL) : NULL;
    ends[1] = ends[0] ? file_new_inode(&pipe_ops, O_WRONLY | (flags & (O_NONBLOCK | O_DIRECT)), i, NULL) : NULL;
    inode_put(i);
    if (!ends[1]) {
        if (ends[0]) {
            i->pipe->readers = 1;
            file_put(ends[0]);
        }
        return -ENFILE;
    }
    i->pipe->readers = i->pipe->writers = 1;
    i->pipe->reader_opens = i->pipe->writer_opens = 1;
    r = fd_install_told(ends, 2, flags & O_CLOEXEC, out);
    if (r < 0) {
        file_put(ends[0]);
        file_put(ends[1]);
    }
    return r;
}

int64_t
sys_pipe(const uint64_t a[6])
{
    return make_pipe(a[0], 0);
}

int64_t
sys_pipe2(const uint64_t a[6])
{
    return make_pipe(a[0], (int)a[1]);
}

/* Gives the pipe, which has no more than fits, a ring of another capacity. */
static int
move_to_ring(struct pipe *p, size_t capacity)
{
    uint8_t *ring = bytes_new(capacity);
    struct packet *packets = p->packets ? bytes_new(capacity / PIPE_PAGE * sizeof *packets) : NULL;
    struct iovec iov = {ring, capacity};

    if (!ring || (p->packets && !packets)) {
        bytes_free(ring);
        bytes_free(packets);
        return -ENOMEM;
    }
    if (p->ring)
        ring_peek(p, &iov, 1, p->used);
    for (size_t k = 0; k < p->packet_count; k++)
        packets[k] = *packet_at(p, k);
    bytes_free(p->ring);
    bytes_free(p->packets);
    p->ring = ring;
    p->packets = packets;
    p->capacity = capacity;
    p->head = p->packet_first = 0;
    return 0;
}

int64_t
pipe_fcntl_size(struct file *f, int64_t size)
{
    struct pipe *p = f->inode ? f->inode->pipe : NULL;
    size_t capacity = 4096, old;
    int r;

    if (!p)
        return -EBADF;
    if (size < 0)
        return (int64_t)p->capacity;
    if (size > 1ll << 31)
        return -EINVAL;
    while (capacity < (size_t)size)
        capacity *= 2;
    if (capacity > p->capacity && capacity > LIMIT_PIPE_SIZE && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    if (capacity > (1u << 28))
        return -ENOMEM;
    old = p->capacity;
    user_recharge(p->user, USER_PIPE_PAGES, old / PIPE_PAGE, capacity / PIPE_PAGE);
    if (capacity > old && has_too_many_pages(p->user))
        r = -EPERM;
    else if (capacity < p->used || (p->packet_count && capacity / PIPE_PAGE < pages_used(p)))
        r = -EBUSY;
    else
        r = move_to_ring(p, capacity);
    if (r < 0) {
        user_recharge(p->user, USER_PIPE_PAGES, capacity / PIPE_PAGE, old / PIPE_PAGE);
        return r;
    }
    wait_queue_wake(&p->write_queue);
    return (int64_t)capacity;
}
