/* Socket objects: life, queues, streams, readiness. */
#include "vkernel/net/socket.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

enum { SMALL_WRITE = 1728 }; /* what of 2 KB is left besides Linux's struct skb_shared_info */

const struct network *network = &loopback_network;
struct wait_queue dgram_space = {{&dgram_space.waiters, &dgram_space.waiters}};

static struct superblock *
sockfs(void)
{
    static struct superblock *sb;

    if (!sb)
        sb = superblock_new("sockfs", 0x534f434b);
    return sb;
}

static void socket_ripe(struct socket *s);

struct ucred
current_ucred(void)
{
    const struct process *p = current_process();

    return (struct ucred){.pid = p->pid, .uid = p->creds.euid, .gid = p->creds.egid};
}

bool
is_stream(const struct socket *s)
{
    return s->type == SOCK_STREAM;
}

static void
defer_over(struct ktimer *k)
{
    socket_ripe(list_entry(k, struct socket, defer_timer));
}

struct socket *
socket_new(int family, int type, int protocol, const struct socket_ops *ops)
{
    struct socket *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    refcount_init(&s->refs);
    s->family = family;
    s->type = type;
    s->protocol = protocol;
    s->ops = ops;
    s->open = true;
    s->host_fd = -1;
    s->receive_limit = s->send_limit = SOCKET_BUFFER;
    s->creds = current_ucred();
    options_init(s);
    s->defer_timer.fire = defer_over;
    list_init(&s->messages);
    list_init(&s->pending);
    list_init(&s->pending_link);
    list_init(&s->all);
    list_init(&s->in_flight_link);
    list_init(&s->reached_link);
    wait_queue_init(&s->in_queue);
    wait_queue_init(&s->out_queue);
    return s;
}

struct socket *
socket_get(struct socket *s)
{
    refcount_get(&s->refs);
    return s;
}

/* By then it was closed, which dropped its messages: nothing else goes with it, however long the chain that led here. */
void
socket_put(struct socket *s)
{
    if (!s || !refcount_put(&s->refs))
        return;
    wait_queue_fini(&s->in_queue);
    wait_queue_fini(&s->out_queue);
    free(s);
}

void
socket_wake(struct socket *s)
{
    wait_queue_wake(&s->in_queue);
    wait_queue_wake(&s->out_queue);
}

/* A connection that TCP_DEFER_ACCEPT kept from its listener has data, has ended, or has waited long enough. */
static void
socket_ripe(struct socket *s)
{
    struct socket *listener = s->deferred_by;

    if (!listener)
        return;
    s->deferred_by = NULL;
    ktimer_stop(&s->defer_timer);
    listener->deferred_count--;
    wait_queue_wake(&listener->in_queue);
}

void
socket_pair_up(struct socket *a, struct socket *b)
{
    a->peer = socket_get(b);
    b->peer = socket_get(a);
    a->connected = b->connected = true;
}

void
scm_free(struct scm *m)
{
    if (!m)
        return;
    scm_land(m);
    for (unsigned k = 0; k < m->file_count; k++)
        file_put(m->files[k]);
    free(m);
}

/* What a message of this many bytes takes of Linux's memory (SKB_TRUESIZE): programs find their limits in this measure. */
static size_t
charge_for(size_t size)
{
    enum { BUFFER = 256, SHARED_INFO = 320, PAGE = 4096 };
    size_t data = 512;

    if (size > PAGE)
        return BUFFER + 512 + (size + PAGE - 1) / PAGE * PAGE;
    while (data < size + SHARED_INFO)
        data *= 2;
    return BUFFER + data;
}

/* Of `size` bytes from byte `skip` of the vector on, with room for more. */
static struct message *
message_with_room(struct socket *sender, const struct iovec *iov, int count, size_t skip, size_t size, size_t room,
                  struct transfer *t)
{
    struct message *m = calloc(1, sizeof *m + room);

    if (!m)
        return NULL;
    m->room = room;
    m->charge = charge_for(room);
    m->size = size;
    list_init(&m->link);
    if (iov_gather(iov, count, skip, m->data, size) < size || (t && t->scm && scm_take_off(t->scm) < 0)) {
        free(m);
        return NULL;
    }
    m->creds = t && t->creds_given ? t->creds : current_ucred();
    if (sender) {
        memcpy(&m->from, &sender->local.storage, sizeof m->from);
        m->from_length = sender->local.length;
    }
    if (t && t->scm) {
        m->scm = t->scm;
        t->scm = NULL;
    }
    return m;
}

struct message *
message_new(struct socket *sender, const struct iovec *iov, int count, size_t size, struct transfer *t)
{
    return message_with_room(sender, iov, count, 0, size, size, t);
}

void
message_free(struct message *m)
{
    list_remove(&m->link);
    scm_free(m->scm);
    socket_put(m->sender);
    free(m);
}

void
messages_take(struct socket *s, struct list *out)
{
    while (!list_empty(&s->messages)) {
        struct list *p = s->messages.next;

        list_remove(p);
        list_append(out, p);
    }
    s->queued = s->charged = 0;
    s->message_count = 0;
}

static void
drop_messages(struct socket *s)
{
    struct list dropped;

    list_init(&dropped);
    messages_take(s, &dropped);
    while (!list_empty(&s->errors))
        message_free(list_entry(s->errors.next, struct message, link));
    while (!list_empty(&dropped))
        message_free(list_entry(dropped.next, struct message, link));
}

int
message_append(struct socket *to, struct message *m)
{
    if (to->stamp || to->stamping)
        m->time = clock_realtime_ns();
    m->drops = to->drops;
    list_append(&to->messages, &m->link);
    to->queued += m->size;
    to->received_bytes += m->size;
    to->charged += m->charge;
    to->message_count++;
    socket_ripe(to);
    wait_queue_wake(&to->in_queue);
    return 0;
}

/* --- streams --- */

/* On Linux what lies in a Unix stream counts against its sender's buffer, in a TCP connection against the receiver's. */
static size_t
stream_limit(const struct socket *s)
{
    return s->family == AF_UNIX ? s->send_limit : s->peer->receive_limit;
}

/* TCP puts small writes that follow each other into one message: returns how many bytes there was room for. */
static size_t
add_to_last(struct socket *to, const struct iovec *iov, int count, size_t size)
{
    struct message *last;

    if (to->family == AF_UNIX || list_empty(&to->messages))
        return 0;
    last = list_entry(to->messages.prev, struct message, link);
    if (size > last->room - last->size)
        size = last->room - last->size;
    size = iov_gather(iov, count, 0, last->data + last->size, size);
    last->size += size;
    to->queued += size;
    to->received_bytes += size;
    return size;
}

ssize_t
stream_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    struct socket *peer = s->peer;
    size_t size = iov_total(iov, count), room, added = 0;
    struct message *m;

    if (t->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (s->error) {
        int e = s->error;

        s->error = 0;
        return -e;
    }
    if (s->shut_write || s->peer_gone || (peer && peer->shut_read))
        return -EPIPE;
    if (!peer)
        return -ENOTCONN;
    if (size == 0)
        return 0;
    if (peer->charged >= stream_limit(s))
        return -EAGAIN;
    added = add_to_last(peer, iov, count, size);
    size -= added;
    room = stream_limit(s) - peer->charged;
    if (size > room)
        size = room;
    if (size > 0) {
        room = s->family != AF_UNIX && size < SMALL_WRITE ? SMALL_WRITE : size;
        m = message_with_room(NULL, iov, count, added, size, room, t);
        if (!m)
            return added ? (ssize_t)added : -ENOBUFS;
        message_append(peer, m);
    } else {
        wait_queue_wake(&peer->in_queue);
    }
    s->sent_bytes += size + added;
    return (ssize_t)(size + added);
}

static void
consumed(struct socket *s, struct message *m, size_t n)
{
    s->queued -= n;
    m->offset += n;
    if (m->offset == m->size) {
        s->message_count--;
        s->charged -= m->charge;
        message_free(m);
    }
    if (s->peer)
        wait_queue_wake(&s->peer->out_queue);
}

static struct scm *
scm_copy(const struct scm *m)
{
    struct scm *c = malloc(sizeof *c);

    if (!c)
        return NULL;
    *c = *m;
    c->in_flight = false;
    c->user = NULL;
    for (unsigned k = 0; k < c->file_count; k++)
        file_get(c->files[k]);
    return c;
}

/* SO_RCVLOWAT: is there as much as a reader of `want` bytes waits for? One that Linux's buffer could never hold is half of ours. */
static bool
enough(const struct socket *s, size_t want)
{
    size_t least = (size_t)socket_option(s, SO_RCVLOWAT);

    if (least > s->receive_limit / 2 && s->family != AF_UNIX)
        least = s->receive_limit / 2;
    return s->queued >= (want < least ? want : least) || s->shut_read || s->peer_gone || s->error;
}

static ssize_t
stream_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t want = iov_total(iov, count), done = 0;
    bool peek = t->flags & MSG_PEEK, fault = false, any = false;
    struct message last = {.size = 0};

    if (t->patient && s->peer && !enough(s, want))
        return -EAGAIN;
    LIST_EACH_SAFE(p, &s->messages) {
        struct message *m = list_entry(p, struct message, link);
        size_t n = m->size - m->offset;

        /* Bytes of several senders are not told apart, unless the reader wants to know who they are. */
        if (any && (done == want || fault || (socket_option(s, SO_PASSCRED) && memcmp(&t->creds, &m->creds, sizeof t->creds) != 0)))
            break;
        any = true;
        last.time = m->time;
        t->creds = m->creds;
        if (m->scm) {
            if (peek) {
                t->scm = scm_copy(m->scm);
            } else {
                scm_land(m->scm);
                t->scm = m->scm;
                m->scm = NULL;
            }
        }
        if (n > want - done)
            n = want - done;
        if (!(t->flags & MSG_TRUNC)) {
            size_t copied = iov_scatter(iov, count, done, m->data + m->offset, n);

            fault = copied < n;
            n = copied;
        }
        done += n;
        if (!peek)
            consumed(s, m, n);
        if (t->scm)
            break;
    }
    if (any) {
        ancillary_of(s, &last, t);
        return fault && !done ? -EFAULT : (ssize_t)done;
    }
    if (s->error) {
        int e = s->error;

        s->error = 0;
        return -e;
    }
    if (s->shut_read || s->peer_gone)
        return 0;
    return s->peer ? -EAGAIN : s->family == AF_UNIX ? -EINVAL : -ENOTCONN;
}

/* --- datagrams and sequenced packets --- */

static ssize_t
packet_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    struct message *m;
    size_t want = iov_total(iov, count), n;
    ssize_t r;

    if (s->error) {
        int e = s->error;

        s->error = 0;
        return -e;
    }
    if (list_empty(&s->messages)) {
        if (s->shut_read || (s->peer_gone && s->type == SOCK_SEQPACKET))
            return 0;
        return s->type == SOCK_SEQPACKET && !s->peer ? -ENOTCONN : -EAGAIN;
    }
    m = list_entry(s->messages.next, struct message, link);
    n = m->size < want ? m->size : want;
    if (iov_scatter(iov, count, 0, m->data, n) < n)
        return -EFAULT;
    r = (ssize_t)n;
    if (m->size > want) {
        t->out_flags |= MSG_TRUNC;
        if (t->flags & MSG_TRUNC)
            r = (ssize_t)m->size;
    }
    if (s->type == SOCK_SEQPACKET)
        t->out_flags |= MSG_EOR;
    memcpy(&t->from.storage, &m->from, sizeof m->from);
    t->from.length = m->from_length;
    t->creds = m->creds;
    ancillary_of(s, m, t);
    if (t->flags & MSG_PEEK) {
        if (m->scm)
            t->scm = scm_copy(m->scm);
        return r;
    }
    scm_land(m->scm);
    t->scm = m->scm;
    m->scm = NULL;
    s->queued -= m->size;
    s->charged -= m->charge;
    s->message_count--;
    if (m->sender)
        wait_queue_wake(&m->sender->out_queue);
    message_free(m);
    if (s->peer)
        wait_queue_wake(&s->peer->out_queue);
    wait_queue_wake(&dgram_space);
    return r;
}

/* MSG_ERRQUEUE: a datagram that came back, with its destination as the sender. */
static ssize_t
error_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t want = iov_total(iov, count), n;
    struct message *m;

    if (list_empty(&s->errors))
        return -EAGAIN;
    m = list_entry(s->errors.next, struct message, link);
    n = m->size < want ? m->size : want;
    if (iov_scatter(iov, count, 0, m->data, n) < n)
        return -EFAULT;
    memcpy(&t->from.storage, &m->from, sizeof m->from);
    t->from.length = m->from_length;
    t->out_flags |= MSG_ERRQUEUE | (n < m->size ? MSG_TRUNC : 0);
    ancillary_of(s, m, t);
    s->charged -= m->charge;
    message_free(m);
    s->error = list_empty(&s->errors) ? 0 : list_entry(s->errors.next, struct message, link)->packet.error;
    return (ssize_t)n;
}

ssize_t
queue_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    if (!t->control_room)
        t->control_room = t->control_size;
    t->control_size = 0;
    if (t->flags & MSG_ERRQUEUE)
        return error_recv(s, iov, count, t);
    if (s->listening || (t->flags & MSG_OOB))
        return -EINVAL;
    return is_stream(s) ? stream_recv(s, iov, count, t) : packet_recv(s, iov, count, t);
}

/* --- connections --- */

/* Puts the server end of a new connection in the listener's queue; takes over `server`. -EAGAIN: the queue is full. */
int
stream_offer(struct socket *client, struct socket *listener, struct socket *server)
{
    if (listener->pending_count > listener->backlog) {
        socket_put(server);
        return -EAGAIN;
    }
    socket_pair_up(client, server);
    server->peer_creds = client->creds;
    client->peer_creds = listener->creds;
    list_append(&listener->pending, &server->pending_link);
    listener->pending_count++;
    if (socket_option(listener, TCP_DEFER_ACCEPT)) {
        server->deferred_by = listener;
        listener->deferred_count++;
        ktimer_start(&server->defer_timer,
                     clock_monotonic_ns() + (uint64_t)socket_option(listener, TCP_DEFER_ACCEPT) * 1000000000u);
    }
    wait_queue_wake(&listener->in_queue);
    wait_queue_wake(&client->out_queue);
    return 0;
}

/* This end is closing. */
void
stream_disconnect(struct socket *s)
{
    struct socket *peer = s->peer;

    s->peer = NULL;
    if (!peer)
        return;
    if (peer->peer == s) {
        peer->peer_gone = true;
        peer->shut_read = true;
        socket_ripe(peer);
        if ((!list_empty(&s->messages) && s->type != SOCK_DGRAM) ||
            (s->family != AF_UNIX && s->linger.l_onoff && s->linger.l_linger == 0))
            peer->error = ECONNRESET;
        peer->peer = NULL;
        socket_wake(peer);
        socket_put(s);
    }
    socket_put(peer);
}

void
socket_listening(struct socket *s, unsigned backlog)
{
    s->listening = true;
    s->backlog = backlog > 4096 ? 4096 : backlog;
}

int
queue_accept(struct socket *s, struct socket **out)
{
    struct socket *c = NULL;

    LIST_EACH(p, &s->pending) {
        c = list_entry(p, struct socket, pending_link);
        if (!c->deferred_by)
            break;
        c = NULL;
    }
    if (!c)
        return s->listening ? -EAGAIN : -EINVAL;
    list_remove(&c->pending_link);
    s->pending_count--;
    wait_queue_wake(&dgram_space);
    *out = c;
    return 0;
}

int
queue_name(struct socket *s, bool peer, struct address *out)
{
    if (peer && !s->connected)
        return -ENOTCONN;
    *out = peer ? s->remote : s->local;
    return 0;
}

int
queue_shutdown(struct socket *s, int how)
{
    if (s->listening && s->family != AF_UNIX) {
        s->shut_read = true;
        s->listening = false;
        socket_wake(s);
        return 0;
    }
    if (!s->peer && !s->peer_gone)
        return -ENOTCONN;
    if (how != SHUT_WR)
        s->shut_read = true;
    if (how != SHUT_RD) {
        s->shut_write = true;
        if (s->peer && s->type != SOCK_DGRAM) {
            s->peer->shut_read = true;
            socket_wake(s->peer);
        }
    }
    if (how != SHUT_WR && s->peer && s->family == AF_UNIX)
        socket_wake(s->peer);
    socket_wake(s);
    return 0;
}

static bool
writable(const struct socket *s)
{
    if (s->type == SOCK_DGRAM && (s->family != AF_UNIX || !s->peer))
        return true;
    if (!s->peer)
        return s->peer_gone || s->shut_write;
    if (is_stream(s))
        return s->peer->charged < stream_limit(s);
    return s->peer->charged < s->peer->receive_limit && s->peer->message_count < DGRAM_QUEUE;
}

unsigned
queue_poll(struct socket *s)
{
    unsigned events = 0;

    if (s->error || !list_empty(&s->errors))
        events |= POLLERR | (s->type == SOCK_DGRAM ? 0 : POLLIN);
    if (s->listening)
        return events | (s->pending_count == s->deferred_count ? 0 : POLLIN | POLLRDNORM);
    if ((!list_empty(&s->messages) && (s->protocol != IPPROTO_TCP || enough(s, SIZE_MAX))) || s->shut_read || s->peer_gone)
        events |= POLLIN | POLLRDNORM;
    if (s->shut_read && s->type != SOCK_DGRAM)
        events |= POLLRDHUP;
    if (s->type != SOCK_DGRAM && s->family != AF_NETLINK &&
        ((s->shut_read && s->shut_write) || s->peer_gone || (!s->peer && !s->connected)))
        events |= POLLHUP;
    if (writable(s) || (is_stream(s) && !s->peer))
        events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
}

int
queue_ioctl(struct socket *s, unsigned long request, guest_addr arg)
{
    int n;

    switch (request) {
    case FIONREAD:
        if (s->listening)
            return -EINVAL;
        n = (int)s->queued;
        if (!is_stream(s))
            n = list_empty(&s->messages) ? 0 : (int)list_entry(s->messages.next, struct message, link)->size;
        return copy_to_guest(arg, &n, sizeof n);
    case TIOCOUTQ:
        n = s->peer ? (int)s->peer->queued : 0;
        return copy_to_guest(arg, &n, sizeof n);
    default:
        return network->interface_ioctl(request, arg);
    }
}

void
socket_close(struct socket *s)
{
    s->open = false;
    while (!list_empty(&s->pending)) {
        struct socket *c = list_entry(s->pending.next, struct socket, pending_link);

        list_remove(&c->pending_link);
        socket_ripe(c);
        c->open = false;
        if (c->peer)
            c->peer->error = ECONNRESET;
        if (c->ops->close)
            c->ops->close(c);
        stream_disconnect(c);
        drop_messages(c);
        socket_put(c);
    }
    if (s->ops->close)
        s->ops->close(s);
    stream_disconnect(s);
    drop_messages(s);
    wait_queue_wake(&dgram_space);
    socket_put(s);
}

/* --- the file --- */

static ssize_t
socket_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct socket *s = f->data;
    struct transfer t = {.patient = !(f->flags & O_NONBLOCK) && !vfs_read_timed_out};
    ssize_t n;

    if (iov_total(iov, count) == 0)
        return 0;
    n = s->ops->recv(s, iov, count, &t);

    scm_free(t.scm);
    return n;
}

static ssize_t
socket_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct socket *s = f->data;
    struct transfer t = {0};

    return s->ops->send(s, iov, count, &t);
}

static unsigned
socket_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct socket *s = f->data;

    poll_add(queues, count, max, &s->in_queue);
    poll_add(queues, count, max, &s->out_queue);
    return s->ops->poll(s);
}

static int
socket_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    struct socket *s = f->data;

    return s->ops->ioctl(s, request, arg);
}

static void
socket_release(struct file *f)
{
    struct socket *s = f->data;

    s->inode = NULL;
    s->file = NULL;
    socket_close(s);
}

static uint64_t
socket_timeout(struct file *f, bool write)
{
    struct socket *s = f->data;

    return write ? s->send_timeout : s->receive_timeout;
}

const struct file_ops socket_file_ops = {
    .name = "socket",
    .read = socket_read,
    .write = socket_write,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
    .release = socket_release,
    .io_timeout = socket_timeout,
};

struct file *
socket_file(struct socket *s, int flags)
{
    struct inode *i = inode_new(sockfs(), NULL, S_IFSOCK | 0777);
    struct file *f = i ? file_new_inode(&socket_file_ops, O_RDWR | flags, i, NULL) : NULL;

    if (i) {
        i->uid = fs_creds()->fsuid;
        i->gid = fs_creds()->fsgid;
        s->inode = i;
        inode_put(i);
    }
    if (f) {
        f->data = s;
        s->file = f;
    }
    return f;
}

struct socket *
file_socket(const struct file *f)
{
    return f->ops == &socket_file_ops ? f->data : NULL;
}
