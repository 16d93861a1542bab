/* Sending to and receiving from the queues of sockets: streams of bytes, and packets. */
#include "vkernel/net/socket.h"

#include "vkernel/io/async.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/file.h"

enum { SMALL_WRITE = 1728 }; /* what of 2 KB is left besides Linux's struct skb_shared_info */

/* --- streams --- */

size_t
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

/* Why nothing can be sent, in the order in which Linux looks. */
static int
stream_refuses(struct socket *s)
{
    if (s->family != AF_UNIX && s->error)
        return socket_error(s);
    if (s->family == AF_UNIX && !s->peer && !s->peer_gone)
        return -ENOTCONN;
    if (s->shut_write)
        return -EPIPE;
    return s->peer || s->peer_gone ? 0 : -ENOTCONN;
}

/* The other end of a TCP connection does not know it any more, and says so. */
void
tcp_reset(struct socket *s)
{
    s->error = s->fin ? EPIPE : ECONNRESET;
    s->was_reset = true;
    s->shut_read = s->shut_write = true;
    socket_wake(s);
}

/* The most that lies in one message: Linux keeps two in a Unix stream, so that both ends have something to do. */
static size_t
piece_of(const struct socket *s)
{
    enum { LARGEST = 36544 };
    size_t half = s->send_limit / 2 - 64;

    return s->family != AF_UNIX ? SIZE_MAX : half < LARGEST ? half : LARGEST;
}

static void
consumed(struct socket *s, struct message *m, size_t n)
{
    s->queued -= n;
    m->offset += n;
    if (m->offset == m->size) {
        if (m == s->urgent)
            s->urgent = NULL;
        s->message_count--;
        s->charged -= m->charge;
        message_free(m);
    }
    if (s->peer)
        wait_queue_wake(&s->peer->out_queue);
}

bool
tcp_at_mark(const struct socket *s)
{
    return s->urgent && s->messages.next == &s->urgent->link;
}

/* The urgent byte lies in a message of its own. There is one at a time: what was one before is a byte as any other, and
 * lost when a read would have left it out next. */
static void
send_urgent(struct socket *to, struct message *m)
{
    if (tcp_at_mark(to) && !socket_option(to, SO_OOBINLINE))
        consumed(to, to->urgent, 1);
    to->urgent = m;
    to->urgent_at = to->received_bytes;
    to->urgent_read = false;
    if (to->file)
        async_urgent(to->file);
}

/* Puts what there is room for into the other end's queue, from byte `skip` of `size` on: returns how many bytes. */
static size_t
send_pieces(struct socket *s, const struct iovec *iov, int count, size_t skip, size_t size, struct transfer *t)
{
    size_t limit = stream_limit(s), done = skip;

    while (done < size && s->peer->charged < limit) {
        size_t n = size - done, room = limit - s->peer->charged, piece = piece_of(s);
        bool urgent = (t->flags & MSG_OOB) && n == 1;
        struct message *m;

        n = n < room ? n : room;
        n = n < piece ? n : piece;
        if ((t->flags & MSG_OOB) && n > 1 && n == size - done)
            n--;
        room = s->family != AF_UNIX && n < SMALL_WRITE && !urgent ? SMALL_WRITE : n;
        m = message_with_room(NULL, iov, count, done, n, room, t);
        if (!m)
            break;
        if (s->family == AF_UNIX)
            m->creds = message_creds(s, s->peer, t);
        if (urgent)
            send_urgent(s->peer, m);
        message_append(s->peer, m);
        done += n;
    }
    return done - skip;
}

ssize_t
stream_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t size = iov_total(iov, count), done;
    int r = stream_refuses(s);

    if (r < 0)
        return r;
    if (size == 0)
        return 0;
    /* TCP: nobody takes it */
    if (s->peer_gone || (s->family != AF_UNIX && s->peer->shut_read && s->peer->shut_write)) {
        if (s->peer)
            tcp_reset(s->peer);
        tcp_reset(s);
        return (ssize_t)size;
    }
    if (s->peer->charged >= stream_limit(s))
        return -EAGAIN;
    done = add_to_last(s->peer, iov, count, t->flags & MSG_OOB ? size - 1 : size);
    done += send_pieces(s, iov, count, done, size, t);
    s->sent_bytes += done;
    wait_queue_wake(&s->peer->in_queue);
    return done ? (ssize_t)done : -ENOBUFS;
}

static struct scm *
scm_copy(const struct scm *m)
{
    struct scm *c = OBJECT_NEW(scm);

    if (!c)
        return NULL;
    *c = *m;
    c->in_flight = false;
    c->user = NULL;
    for (unsigned k = 0; k < c->file_count; k++)
        file_get(c->files[k]);
    return c;
}

bool
queue_has_enough(const struct socket *s, size_t want)
{
    size_t least = (size_t)socket_option(s, SO_RCVLOWAT);

    if (least > s->receive_limit / 2 && s->family != AF_UNIX)
        least = s->receive_limit / 2;
    return s->queued >= (want < least ? want : least) || s->shut_read || s->peer_gone || s->error;
}

/* A read ends at the urgent byte, so there is nothing to wait for where that lies behind others. */
static bool
ends_at_mark(const struct socket *s)
{
    return s->urgent && s->messages.next != &s->urgent->link;
}

/* Gives the reader what a message carries: a peek leaves it there, too. */
static void
take_scm(struct transfer *t, struct message *m)
{
    if (t->flags & MSG_PEEK) {
        t->scm = scm_copy(m->scm);
    } else {
        scm_land(m->scm);
        t->scm = m->scm;
        m->scm = NULL;
    }
}

/* What a read of a stream says when nothing lies there. */
static ssize_t
stream_empty(struct socket *s)
{
    if (s->error && !s->fin)
        return socket_error(s);
    if (s->shut_read || s->peer_gone)
        return 0;
    return s->peer ? -EAGAIN : s->family == AF_UNIX ? -EINVAL : -ENOTCONN;
}

static ssize_t
stream_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t want = iov_total(iov, count), done = 0, skip = 0;
    bool peek = t->flags & MSG_PEEK, fault = false, any = false;
    struct message last = {.size = 0};

    if (t->patient && s->peer && !queue_has_enough(s, want) && !ends_at_mark(s))
        return -EAGAIN;
    LIST_EACH_SAFE(p, &s->messages) {
        struct message *m = list_entry(p, struct message, link);
        size_t n = m->size - m->offset;

        /* A peek looks for files in all that lies there, as Linux's does. */
        if (any && ((done == want && !peek) || fault || m == s->urgent))
            break;
        if (m == s->urgent && !socket_option(s, SO_OOBINLINE)) { /* a read goes over it */
            if (!peek && want)
                consumed(s, m, n);
            continue;
        }
        any = true;
        /* Bytes of several senders are not told apart, unless the reader wants to know who they are. */
        if (t->received && socket_option(s, SO_PASSCRED) && memcmp(&t->creds, &m->creds, sizeof t->creds) != 0)
            break;
        t->received = true;
        last.time = m->time;
        t->creds = m->creds;
        if (m->scm)
            take_scm(t, m);
        if (n > want - done)
            n = want - done;
        if (!(t->flags & MSG_TRUNC) || s->family == AF_UNIX) { /* TCP's means: throw it away */
            size_t copied;

            iov_advance(&iov, &count, &skip);
            copied = iov_scatter(iov, count, skip, m->data + m->offset, n);
            fault = copied < n;
            n = copied;
            skip += n;
        }
        done += n;
        if (!peek)
            consumed(s, m, n);
        if (t->scm)
            break;
    }
    if (any) {
        const struct address *from = s->peer ? &s->peer->local : &s->remote;

        if (s->family == AF_UNIX && from->length > sizeof(sa_family_t))
            t->from = *from;
        ancillary_of(s, &last, t);
        return fault && !done ? -EFAULT : (ssize_t)done;
    }
    return stream_empty(s);
}

/* --- datagrams and sequenced packets --- */

static ssize_t
packet_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    struct message *m;
    size_t want = iov_total(iov, count), n;
    ssize_t r;

    if (s->type == SOCK_SEQPACKET && !s->connected)
        return -ENOTCONN;
    if (s->error)
        return socket_error(s);
    if (list_empty(&s->messages)) /* who may not sleep does not learn of a datagram socket's end (queue_at_end) */
        return s->type == SOCK_SEQPACKET && s->shut_read ? 0 : -EAGAIN;
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
    if (m->sender && m->sender->local.length > sizeof(sa_family_t)) { /* which may have been given its name since */
        t->from = m->sender->local;
    } else {
        memcpy(&t->from.storage, &m->from, sizeof m->from);
        t->from.length = m->from_length;
    }
    t->creds = m->creds;
    ancillary_of(s, m, t);
    t->received = true;
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

/* MSG_OOB: the urgent byte, once. */
static ssize_t
urgent_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    if (s->protocol != IPPROTO_TCP || socket_option(s, SO_OOBINLINE) || !s->urgent || s->urgent_read)
        return -EINVAL;
    t->out_flags |= MSG_OOB;
    if (iov_total(iov, count) == 0) {
        t->out_flags |= MSG_TRUNC;
    } else if (!(t->flags & MSG_TRUNC) && iov_scatter(iov, count, 0, s->urgent->data, 1) < 1) {
        return -EFAULT;
    }
    if (!(t->flags & MSG_PEEK))
        s->urgent_read = true;
    return iov_total(iov, count) > 0;
}

ssize_t
queue_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    if (!t->control_room)
        t->control_room = t->control_size;
    t->control_size = 0;
    if (t->flags & MSG_ERRQUEUE)
        return error_recv(s, iov, count, t);
    if (t->flags & MSG_OOB)
        return s->family == AF_UNIX ? -EOPNOTSUPP : s->listening ? -ENOTCONN : urgent_recv(s, iov, count, t);
    if (s->family == AF_UNIX && is_stream(s) && !s->connected)
        return -EINVAL;
    if (s->listening)
        return -ENOTCONN;
    return is_stream(s) ? stream_recv(s, iov, count, t) : packet_recv(s, iov, count, t);
}
