/* UDP between guests: datagrams, those held back (UDP_CORK, MSG_MORE), broadcasts on the loopback's 127.255.255.255,
 * and the errors of those that reach nobody. */
#include "vkernel/net/inet_internal.h"
#include "vkernel/vfs/file.h"

enum { UDP_MAX = 65507 };

/* Datagrams that become one. */
struct cork {
    struct packet packet;
    struct endpoint from;
    size_t size;
    uint8_t *data; /* UDP_MAX bytes */
};

struct datagram {
    struct packet packet;
    struct endpoint from;
    const struct iovec *iov;
    int count;
    size_t size;
};

static bool
leads_outside(const struct in6_addr *a)
{
    return network->outside && !inet_is_local(a);
}

static int
route(const struct socket *s, const struct endpoint *to)
{
    if (leads_outside(&to->ip))
        return network->outside->route(s, to);
    return inet_is_local(&to->ip) ? 0 : -ENETUNREACH;
}

/* to NULL: none any more. */
static int
tell_outside(struct socket *s, const struct endpoint *to)
{
    bool away = to && leads_outside(&to->ip);

    return away || s->host_fd >= 0 ? network->outside->udp_connect(s, away ? to : NULL) : 0;
}

static int
udp_connect(struct socket *s, const struct address *a)
{
    struct endpoint to;
    int r;

    if (a->length >= sizeof(sa_family_t) && a->storage.ss_family == AF_UNSPEC) {
        s->connected = false;
        s->remote.length = 0;
        inet_unbind_auto(s);
        return tell_outside(s, NULL);
    }
    r = inet_parse(s, a, &to);
    if (r < 0)
        return r;
    r = route(s, &to);
    if (r < 0)
        return r;
    inet_loopback_for(&to);
    r = inet_autobind(s, &to);
    if (r == 0)
        r = tell_outside(s, &to);
    if (r < 0)
        return r;
    inet_settle_local(s, &to);
    s->remote = inet_format(s->family, &to);
    s->connected = true;
    return 0;
}

static bool
is_broadcast(const struct in6_addr *a)
{
    return IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr32[3] == htonl(0x7fffffff);
}

/* A message of the datagram, no longer than size. */
static struct message *
message_of(const struct datagram *d, size_t size, int family, const struct endpoint *name)
{
    struct message *m = message_new(NULL, d->iov, d->count, size < d->size ? size : d->size, NULL);
    struct address a = inet_format(family, name);

    if (m) {
        m->packet = d->packet;
        memcpy(&m->from, &a.storage, sizeof m->from);
        m->from_length = a.length;
    }
    return m;
}

static void
arrive(struct socket *target, void *arg)
{
    const struct datagram *d = arg;
    struct message *m = NULL;

    if (target->shut_read)
        return;
    if (target->charged <= target->receive_limit)
        m = message_of(d, UDP_MAX, target->family, &d->from);
    if (m)
        message_append(target, m);
    else
        target->drops++;
}

static bool
is_peer(const struct socket *s, const struct endpoint *to)
{
    struct endpoint remote;

    return s->connected && inet_parse(s, &s->remote, &remote) == 0 && remote.port == to->port &&
           memcmp(&remote.ip, &to->ip, sizeof to->ip) == 0;
}

/* The ICMP answer of a closed port: connected sockets hear of it, and those that asked for all errors. It has the
 * beginning of the datagram, as much as fits into 576 or 1,280 bytes. */
static void
refused(struct socket *s, const struct datagram *d)
{
    bool four = IN6_IS_ADDR_V4MAPPED(&d->packet.to), asked;
    struct endpoint to = {d->packet.to, d->packet.port};
    struct message *m = NULL;

    asked = four ? socket_option(s, IP_RECVERR) : socket_option(s, IPV6_RECVERR);
    if (asked && s->charged <= s->receive_limit)
        m = message_of(d, four ? 520 : 1184, s->family, &to);
    if (m) {
        m->packet.error = ECONNREFUSED;
        s->charged += m->charge;
        list_append(&s->errors, &m->link);
    }
    if (asked || is_peer(s, &to)) { /* a connected socket hears of its peer alone */
        s->error = ECONNREFUSED;
        socket_wake(s);
    }
}

static int
transmit(struct socket *s, struct datagram *d)
{
    struct endpoint to = {d->packet.to, d->packet.port};
    struct socket *target;

    if (leads_outside(&to.ip))
        return network->outside->transmit(s, &d->from, &to, d->iov, d->count);
    if (is_broadcast(&to.ip)) {
        inet_each_bound(&to, arrive, d);
        return 0;
    }
    target = inet_find_bound(SOCK_DGRAM, &to, &d->from);
    if (target)
        arrive(target, d);
    else
        refused(s, d);
    return 0;
}

void
udp_arrive(struct socket *s, const struct endpoint *from, const struct endpoint *to, void *data, size_t size)
{
    enum { TTL = 64 };
    struct iovec iov = {data, size};

    arrive(s, &(struct datagram){.packet = {.to = to->ip, .port = (uint16_t)to->port, .ttl = TTL},
                                 .from = *from,
                                 .iov = &iov,
                                 .count = 1,
                                 .size = size});
}

/* Where it goes, where it comes from, and its headers. */
static int
address(struct socket *s, const struct transfer *t, struct datagram *d)
{
    const struct address *a = t->to ? t->to : s->connected ? &s->remote : NULL;
    struct in6_addr source;
    struct endpoint to;
    int r = inet_autobind(s, NULL); /* whatever comes of it (inet_send_prepare of Linux) */

    if (r < 0)
        return r;
    if (!a)
        return -EDESTADDRREQ;
    r = inet_parse(s, a, &to);
    if (r < 0)
        return r;
    if (to.port == 0)
        return -EINVAL;
    r = route(s, &to);
    if (r < 0)
        return r;
    inet_loopback_for(&to);
    if (is_broadcast(&to.ip) && !socket_option(s, SO_BROADCAST))
        return -EACCES;
    d->packet = (struct packet){.to = to.ip, .port = (uint16_t)to.port};
    r = packet_headers(s, t, &d->packet, &source);
    if (r < 0)
        return r;
    d->from = inet_local(s);
    if (!inet_is_any(&source)) {
        if (!inet_is_local(&source) || IN6_IS_ADDR_V4MAPPED(&source) != IN6_IS_ADDR_V4MAPPED(&to.ip))
            return -EINVAL;
        d->from.ip = source;
    }
    if (inet_is_any(&d->from.ip)) {
        d->from.ip = inet_source_for(&to.ip);
        if (is_broadcast(&to.ip))
            d->from.ip.s6_addr32[3] = htonl(INADDR_LOOPBACK);
    }
    return 0;
}

OBJECT_POOL(cork);

static void
cork_free(struct cork *c)
{
    if (c)
        bytes_free(c->data);
    OBJECT_FREE(cork, c);
}

void
udp_push(struct socket *s)
{
    struct cork *c = s->cork;
    struct endpoint to;
    struct iovec iov;

    if (!c)
        return;
    s->cork = NULL;
    to = (struct endpoint){c->packet.to, c->packet.port};
    iov = (struct iovec){c->data, c->size};
    if (route(s, &to) == 0) /* what was allowed when the datagram began may not be any more: a name's address, a peer */
        transmit(s, &(struct datagram){.packet = c->packet, .from = c->from, .iov = &iov, .count = 1, .size = c->size});
    cork_free(c);
}

/* The destination and the headers are those of the first part. */
static ssize_t
hold(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t size = iov_total(iov, count);
    struct cork *c = s->cork;
    struct datagram d;
    int r;

    if (!c) {
        r = address(s, t, &d);
        if (r < 0)
            return r;
        c = OBJECT_NEW(cork);
        if (!c || !(c->data = bytes_new(UDP_MAX))) {
            cork_free(c);
            return -ENOBUFS;
        }
        c->packet = d.packet;
        c->from = d.from;
        c->size = 0;
        s->cork = c;
    }
    if (size > UDP_MAX - c->size || iov_gather(iov, count, 0, c->data + c->size, size) < size) {
        r = size > UDP_MAX - c->size ? -EMSGSIZE : -EFAULT;
        s->cork = NULL;
        cork_free(c);
        return r;
    }
    c->size += size;
    if (!(t->flags & MSG_MORE) && !socket_option(s, UDP_CORK))
        udp_push(s);
    return (ssize_t)size;
}

static ssize_t
udp_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t size = iov_total(iov, count);
    struct datagram d;
    int r;

    if (t->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (size > UDP_MAX)
        return -EMSGSIZE;
    if (s->cork || (t->flags & MSG_MORE) || socket_option(s, UDP_CORK))
        return s->error ? socket_error(s) : hold(s, iov, count, t);
    r = address(s, t, &d);
    if (r < 0)
        return r;
    if (s->error)
        return socket_error(s);
    if (s->shut_write)
        return -EPIPE;
    d.iov = iov;
    d.count = count;
    d.size = size;
    if (!(t->flags & MSG_PROXY)) /* MSG_PROBE: nothing is sent */
        r = transmit(s, &d);
    return r < 0 ? r : (ssize_t)size;
}

static void
udp_close(struct socket *s)
{
    cork_free(s->cork);
    s->cork = NULL;
    inet_close(s);
    if (network->outside)
        network->outside->udp_close(s);
}

static void
udp_host_ready(struct socket *s, short events)
{
    network->outside->udp_ready(s);
}

const struct socket_ops OPS_TABLE(socket_ops) udp_ops = {
    QUEUE_SOCKET_OPS, .bind = inet_bind,  .connect = udp_connect,
    .send = udp_send, .close = udp_close, .host_ready = udp_host_ready,
};
