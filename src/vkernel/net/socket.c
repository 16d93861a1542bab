/* Socket objects: life, messages, connections, readiness. queue.c has what goes through their queues. */
#include "vkernel/net/socket.h"
#include "base/page.h"
#include "platform/hostnet.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/file.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

const struct network *network = &loopback_network;
struct wait_queue dgram_space = WAIT_QUEUE(dgram_space);

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

/* Those of a message between Unix sockets: who its sender says to be, and may, else who it is when one end wants to
 * know. */
struct ucred
message_creds(const struct socket *s, const struct socket *to, const struct transfer *t)
{
    enum { OVERFLOW_ID = 65534 };
    const struct process *p = current_process();

    if (t->creds_given)
        return t->creds;
    if (socket_option(s, SO_PASSCRED) || socket_option(to, SO_PASSCRED))
        return (struct ucred){.pid = p->pid, .uid = p->creds.uid, .gid = p->creds.gid};
    return (struct ucred){.pid = 0, .uid = OVERFLOW_ID, .gid = OVERFLOW_ID};
}

bool
is_stream(const struct socket *s)
{
    return s->type == SOCK_STREAM;
}

CALLBACK static void
defer_over(struct ktimer *k)
{
    socket_ripe(list_entry(k, struct socket, defer_timer));
}

OBJECT_POOL(message);
OBJECT_POOL_SHARED(scm);
OBJECT_POOL(socket);

struct socket *
socket_new_of(struct ucred owner, int family, int type, int protocol, const struct socket_ops *ops)
{
    struct socket *s = OBJECT_NEW(socket);

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
    s->creds = owner;
    options_init(s);
    s->defer_timer.fire = defer_over;
    list_init(&s->messages);
    list_init(&s->pending);
    list_init(&s->pending_link);
    list_init(&s->all);
    list_init(&s->flows);
    list_init(&s->in_flight_link);
    list_init(&s->reached_link);
    wait_queue_init(&s->in_queue);
    wait_queue_init(&s->out_queue);
    return s;
}

struct socket *
socket_new(int family, int type, int protocol, const struct socket_ops *ops)
{
    return socket_new_of(current_ucred(), family, type, protocol, ops);
}

struct socket *
socket_get(struct socket *s)
{
    refcount_get(&s->refs);
    return s;
}

/* By then it was closed, which dropped its messages: nothing else goes with it, however long the chain that led
 * here. */
void
socket_put(struct socket *s)
{
    if (!s || !refcount_put(&s->refs))
        return;
    wait_queue_fini(&s->in_queue);
    wait_queue_fini(&s->out_queue);
    OBJECT_FREE(socket, s);
}

int
socket_error(struct socket *s)
{
    int e = s->error;

    s->error = 0;
    return -e;
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
    OBJECT_FREE(scm, m);
}

/* What a message of this many bytes takes of Linux's memory (SKB_TRUESIZE): programs find their limits in this
 * measure. */
static size_t
charge_for(size_t size)
{
    enum { BUFFER = 256, SHARED_INFO = 320 };
    size_t data = 512;

    if (size > PAGE_SIZE)
        return BUFFER + 512 + (size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
    while (data < size + SHARED_INFO)
        data *= 2;
    return BUFFER + data;
}

struct message *
message_with_room(struct socket *sender, const struct iovec *iov, int count, size_t skip, size_t size, size_t room,
                  struct transfer *t)
{
    struct message *m = OBJECT_NEW(message);

    if (!m)
        return NULL;
    m->data = bytes_new(room);
    if (!m->data) {
        OBJECT_FREE(message, m);
        return NULL;
    }
    m->room = room;
    m->charge = charge_for(room);
    m->size = size;
    list_init(&m->link);
    if (iov_gather(iov, count, skip, m->data, size) < size || (t && t->scm && scm_take_off(t->scm) < 0)) {
        bytes_free(m->data);
        OBJECT_FREE(message, m);
        return NULL;
    }
    if (sender) {
        m->sender = socket_get(sender);
        sender->sent += m->charge;
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
    if (m->sender) {
        m->sender->sent -= m->charge;
        wait_queue_wake(&m->sender->out_queue);
        socket_put(m->sender);
    }
    bytes_free(m->data);
    OBJECT_FREE(message, m);
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
    s->urgent = NULL;
}

void
messages_drop(struct socket *s)
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

/* TCP: both ends have said that they send nothing more, or one has reset the connection. */
static bool
tcp_over(const struct socket *s)
{
    return s->type == SOCK_STREAM && s->shut_write && (s->fin || s->was_reset);
}

/* As if the other end answered at once: the states in which Linux waits for that are over. */
int
tcp_state(const struct socket *s)
{
    bool ended = s->fin || s->peer_gone;

    if (s->listening)
        return TCP_LISTEN;
    if (s->host_fd >= 0)
        return host_tcp_state(s->host_fd);
    if (!s->connected || s->was_reset || (!s->peer && !s->peer_gone))
        return TCP_CLOSE;
    if (s->shut_write)
        return ended ? TCP_CLOSE : TCP_FIN_WAIT2;
    return ended ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

/* This end is closing. */
void
stream_disconnect(struct socket *s)
{
    struct socket *peer = s->peer;

    s->peer = NULL;
    if (!peer)
        return;
    if (peer->peer == s && s->type == SOCK_DGRAM) {
        socket_wake(peer); /* it keeps its reference, and finds out when it sends */
    } else if (peer->peer == s) {
        bool unread = s->queued > 0 || (s->family != AF_UNIX && s->linger.l_onoff && s->linger.l_linger == 0);

        peer->peer_gone = true;
        if (s->family == AF_UNIX)
            peer->remote = s->local;
        peer->shut_read = true;
        peer->shut_write |= s->family == AF_UNIX;
        socket_ripe(peer);
        if (unread && s->family == AF_UNIX)
            peer->error = ECONNRESET;
        else if (unread && !tcp_over(peer))
            tcp_reset(peer);
        else if (s->family != AF_UNIX && !peer->was_reset)
            peer->fin = true;
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
    if (peer && (!s->connected || (s->protocol == IPPROTO_TCP && tcp_state(s) == TCP_CLOSE)))
        return -ENOTCONN;
    if (peer && s->family == AF_UNIX && s->peer)
        *out = s->peer->local; /* which may have been bound since */
    else
        *out = peer ? s->remote : s->local;
    return 0;
}

int
queue_shutdown(struct socket *s, int how)
{
    bool over;

    if (s->listening && s->family != AF_UNIX) {
        s->shut_read = true;
        s->listening = false;
        socket_wake(s);
        return 0;
    }
    over = s->type == SOCK_DGRAM ? !s->connected : (!s->peer && !s->peer_gone) || tcp_over(s);
    if (how != SHUT_WR)
        s->shut_read = true;
    if (how != SHUT_RD) {
        s->shut_write = true;
        if (s->peer && s->type != SOCK_DGRAM && !over) {
            s->peer->shut_read = s->peer->fin = true;
            socket_wake(s->peer);
        }
    }
    socket_wake(s);
    return over ? -ENOTCONN : 0;
}

static bool
writable(const struct socket *s)
{
    if (s->type == SOCK_DGRAM)
        return true;
    return s->peer ? s->peer->charged < stream_limit(s) : s->peer_gone || s->shut_write;
}

bool
queue_at_end(const struct socket *s)
{
    return s->type == SOCK_DGRAM && s->shut_read && list_empty(&s->messages);
}

/* The urgent byte alone, where a read would leave it out, is nothing to read. */
static bool
has_bytes(const struct socket *s)
{
    if (s->protocol != IPPROTO_TCP || list_empty(&s->messages))
        return !list_empty(&s->messages);
    if (s->queued == 1 && tcp_at_mark(s) && !socket_option(s, SO_OOBINLINE))
        return false;
    return queue_has_enough(s, SIZE_MAX);
}

unsigned
queue_poll(struct socket *s)
{
    bool tcp = s->protocol == IPPROTO_TCP;
    unsigned events = 0;

    if (s->error || !list_empty(&s->errors))
        events |= POLLERR;
    if (s->listening)
        return events | (s->pending_count == s->deferred_count ? 0 : POLLIN | POLLRDNORM);
    if (has_bytes(s) || s->shut_read || s->peer_gone)
        events |= POLLIN | POLLRDNORM;
    if (s->urgent && !s->urgent_read)
        events |= POLLPRI;
    if (s->shut_read)
        events |= POLLRDHUP;
    if (s->shut_read && s->shut_write)
        events |= POLLHUP;
    if (s->type != SOCK_DGRAM && s->family != AF_NETLINK &&
        ((s->shut_read && s->shut_write) || (!s->peer && !s->connected)))
        events |= POLLHUP;
    if (writable(s) || (is_stream(s) && !s->peer))
        events |= POLLOUT | POLLWRNORM | (tcp ? 0 : POLLWRBAND);
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
        if (s->urgent && !socket_option(s, SO_OOBINLINE)) /* up to it */
            n = (int)(s->urgent_at - (s->received_bytes - s->queued));
        if (s->type == SOCK_DGRAM)
            n = list_empty(&s->messages) ? 0 : (int)list_entry(s->messages.next, struct message, link)->size;
        return copy_to_guest(arg, &n, sizeof n);
    case SIOCATMARK:
        if (s->protocol != IPPROTO_TCP)
            return network->interface_ioctl(request, arg);
        n = tcp_at_mark(s);
        return copy_to_guest(arg, &n, sizeof n);
    case TIOCOUTQ: n = s->peer ? (int)s->peer->queued : 0; return copy_to_guest(arg, &n, sizeof n);
    default: return network->interface_ioctl(request, arg);
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
        if (OPS(c->ops)->close)
            OPS(c->ops)->close(c);
        stream_disconnect(c);
        messages_drop(c);
        socket_put(c);
    }
    if (OPS(s->ops)->close)
        OPS(s->ops)->close(s);
    stream_disconnect(s);
    messages_drop(s);
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
    n = OPS(s->ops)->recv(s, iov, count, &t);
    scm_free(t.scm);
    return n == -EAGAIN && !(f->flags & O_NONBLOCK) && queue_at_end(s) ? 0 : n;
}

ssize_t
socket_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    if (!is_stream(s) && s->send_limit >= SPANS_MOST && iov_total(iov, count) >= SPANS_MOST)
        return -ENOBUFS;
    return OPS(s->ops)->send(s, iov, count, t);
}

static ssize_t
socket_write(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct socket *s = f->data;
    struct transfer t = {0};

    return socket_send(s, iov, count, &t);
}

static unsigned
socket_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct socket *s = f->data;

    poll_add(queues, count, max, &s->in_queue);
    poll_add(queues, count, max, &s->out_queue);
    return OPS(s->ops)->poll(s);
}

static int
socket_ioctl(struct file *f, unsigned long request, guest_addr arg)
{
    struct socket *s = f->data;

    return OPS(s->ops)->ioctl(s, request, arg);
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

static bool
socket_raises_sigpipe(const struct file *f, uint64_t done)
{
    return done == 0 && is_stream(f->data);
}

const struct file_ops OPS_TABLE(file_ops) socket_file_ops = {
    .name = "socket",
    .tells_async = true,
    .raises_sigpipe = socket_raises_sigpipe,
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
        i->uid = current_creds()->fsuid;
        i->gid = current_creds()->fsgid;
        s->inode = i;
        inode_put(i);
    }
    if (f) {
        f->data = s;
        f->packets = !is_stream(s);
        s->file = f;
    }
    return f;
}

struct socket *
file_socket(const struct file *f)
{
    return f->ops == &socket_file_ops ? f->data : NULL;
}
