/* AF_INET and AF_INET6 of the container's own: addresses and TCP between guests; UDP is in udp.c.
 *
 * The local addresses are 127.0.0.0/8, ::1, the unspecified and, with --network user, those of eth0. What is elsewhere
 * network->outside reaches; without that it is ENETUNREACH. */
#include "vkernel/net/inet_internal.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include "base/rare.h"
#include "platform/platform.h"

enum { PORT_LOW = 32768, PORT_HIGH = 60999, BUCKETS = 4096 };

static struct list bound_sockets[BUCKETS] RARE; /* by port */
static struct list accepted_sockets = {&accepted_sockets,
                                       &accepted_sockets}; /* and those that nobody has accepted yet */

static bool
is_mapped(const struct in6_addr *a)
{
    return IN6_IS_ADDR_V4MAPPED(a);
}

bool
inet_is_any(const struct in6_addr *a)
{
    return IN6_IS_ADDR_UNSPECIFIED(a) || (is_mapped(a) && a->s6_addr32[3] == 0);
}

bool
inet_is_local(const struct in6_addr *a)
{
    const struct interface *i = network->interfaces;

    if (inet_is_any(a) || IN6_IS_ADDR_LOOPBACK(a) || (is_mapped(a) && a->s6_addr[12] == 127))
        return true;
    for (; i && i->name; i++)
        if (is_mapped(a) ? memcmp(&a->s6_addr[12], &i->four, 4) == 0 : memcmp(a, &i->six, sizeof *a) == 0)
            return true;
    return false;
}

int
inet_parse(const struct socket *s, const struct address *a, struct endpoint *e)
{
    memset(e, 0, sizeof *e);
    if (a->length < sizeof(sa_family_t))
        return -EINVAL;
    if (s->family == AF_INET || a->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage;

        if (a->length < sizeof *in)
            return -EINVAL;
        if (in->sin_family != AF_INET)
            return -EAFNOSUPPORT;
        if (s->family == AF_INET6)
            return -EINVAL;
        e->ip.s6_addr[10] = e->ip.s6_addr[11] = 0xff;
        memcpy(&e->ip.s6_addr[12], &in->sin_addr, 4);
        e->port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a->storage;

        if (a->length < 24)
            return -EINVAL;
        if (in->sin6_family != AF_INET6)
            return -EAFNOSUPPORT;
        e->ip = in->sin6_addr;
        e->port = ntohs(in->sin6_port);
    }
    return 0;
}

struct address
inet_format(int family, const struct endpoint *e)
{
    struct address a;

    memset(&a, 0, sizeof a);
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&a.storage;

        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)e->port);
        memcpy(&in->sin_addr, &e->ip.s6_addr[12], 4);
        a.length = sizeof *in;
    } else {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&a.storage;

        in->sin6_family = AF_INET6;
        in->sin6_port = htons((uint16_t)e->port);
        in->sin6_addr = e->ip;
        a.length = sizeof *in;
    }
    return a;
}

struct endpoint
inet_local(const struct socket *s)
{
    struct endpoint e;

    if (inet_parse(s, &s->local, &e) < 0)
        memset(&e, 0, sizeof e);
    return e;
}

static bool
v6only(const struct socket *s)
{
    return s->family == AF_INET6 && socket_option(s, IPV6_V6ONLY);
}

/* Does a packet to `to` reach a socket bound at `at`? 0 no, 1 by wildcard, 2 exactly. */
static int
matches(const struct socket *s, const struct endpoint *at, const struct endpoint *to)
{
    if (at->port != to->port)
        return 0;
    if (memcmp(&at->ip, &to->ip, sizeof at->ip) == 0)
        return 2;
    if (!inet_is_any(&at->ip))
        return 0;
    if (is_mapped(&at->ip))
        return is_mapped(&to->ip) ? 1 : 0;
    return is_mapped(&to->ip) && v6only(s) ? 0 : 1;
}

static struct list *
bucket(unsigned port)
{
    struct list *l = &bound_sockets[port % BUCKETS];

    if (!l->next)
        list_init(l);
    return l;
}

/* How well s fits as the receiver: 0 not at all. */
static int
score_of(const struct socket *s, int type, const struct endpoint *to, const struct endpoint *from)
{
    struct endpoint at = inet_local(s), remote;
    int score;

    if (s->type != type || (type == SOCK_STREAM && !s->listening))
        return 0;
    score = 2 * matches(s, &at, to);
    if (score && s->family == AF_INET) /* it comes before a socket of IPv6 that takes IPv4 as well */
        score++;
    if (score && type == SOCK_DGRAM && s->connected) { /* only its peer may send to it */
        if (!from || inet_parse(s, &s->remote, &remote) < 0 || remote.port != from->port)
            return 0;
        score += 4;
    }
    return score;
}

/* Which one of n sockets with SO_REUSEPORT serves this sender: the same one each time. */
static unsigned
share_of(const struct endpoint *from, unsigned n)
{
    uint32_t h = from->port * 2654435761u;

    for (int k = 0; k < 4; k++)
        h = (h ^ from->ip.s6_addr32[k]) * 16777619u;
    return (h ^ h >> 15) % n;
}

struct socket *
inet_find_bound(int type, const struct endpoint *to, const struct endpoint *from)
{
    struct socket *best = NULL;
    int best_score = 0;
    unsigned sharing = 0, chosen;

    LIST_EACH(p, bucket(to->port)) {
        struct socket *s = list_entry(p, struct socket, all);
        int score = score_of(s, type, to, from);

        if (score > best_score) {
            best = s;
            best_score = score;
            sharing = 0;
        }
        if (score && score == best_score && socket_option(s, SO_REUSEPORT))
            sharing++;
    }
    if (sharing < 2 || !from || !socket_option(best, SO_REUSEPORT))
        return best;
    chosen = share_of(from, sharing);
    LIST_EACH(p, bucket(to->port)) {
        struct socket *s = list_entry(p, struct socket, all);

        if (score_of(s, type, to, from) == best_score && socket_option(s, SO_REUSEPORT) && chosen-- == 0)
            return s;
    }
    return best;
}

void
inet_each_bound(const struct endpoint *to, void (*each)(struct socket *s, void *arg), void *arg)
{
    LIST_EACH(p, bucket(to->port)) {
        struct socket *s = list_entry(p, struct socket, all);

        if (score_of(s, SOCK_DGRAM, to, NULL))
            each(s, arg);
    }
}

static bool
conflicts(const struct socket *s, const struct endpoint *e)
{
    LIST_EACH(p, bucket(e->port)) {
        struct socket *o = list_entry(p, struct socket, all);
        struct endpoint at = inet_local(o);
        bool both_reuse = socket_option(s, SO_REUSEADDR) && socket_option(o, SO_REUSEADDR);

        if (o == s || o->type != s->type || at.port != e->port)
            continue;
        if (!matches(o, &at, e) && !matches(s, e, &at))
            continue;
        if (socket_option(s, SO_REUSEPORT) && socket_option(o, SO_REUSEPORT) && s->creds.uid == o->creds.uid)
            continue;
        if (both_reuse && (s->type == SOCK_DGRAM || !o->listening))
            continue;
        if (o->type == SOCK_STREAM && o->connected && !o->listening && socket_option(s, SO_REUSEADDR))
            continue;
        return true;
    }
    return false;
}

static int
bind_to(struct socket *s, struct endpoint *e)
{
    static unsigned next;

    if (e->port == 0) {
        unsigned tries = PORT_HIGH - PORT_LOW + 1;

        if (!next) {
            platform_random(&next, sizeof next);
            next = PORT_LOW + next % (PORT_HIGH - PORT_LOW);
        }
        do {
            e->port = next++;
            if (next > PORT_HIGH)
                next = PORT_LOW;
        } while (conflicts(s, e) && --tries);
        if (!tries)
            return -EADDRINUSE;
    } else if (conflicts(s, e)) {
        return -EADDRINUSE;
    }
    s->local = inet_format(s->family, e);
    s->bound = true;
    list_append(bucket(e->port), &s->all);
    return 0;
}

int
inet_bind(struct socket *s, const struct address *a)
{
    struct endpoint e;
    int r = inet_parse(s, a, &e);

    if (r < 0)
        return r;
    if (s->bound)
        return -EINVAL;
    if (!inet_is_local(&e.ip) && !socket_option(s, IP_FREEBIND) && !socket_option(s, IPV6_FREEBIND))
        return -EADDRNOTAVAIL;
    if (e.port == 0 && socket_option(s, IP_BIND_ADDRESS_NO_PORT) && s->type == SOCK_STREAM) {
        s->local = inet_format(s->family, &e); /* the port comes with connect() or listen() */
        return 0;
    }
    return bind_to(s, &e);
}

int
inet_autobind(struct socket *s, const struct endpoint *to)
{
    struct endpoint e = inet_local(s); /* unspecified, or an address that was bound without a port */

    if (s->bound)
        return 0;
    e.port = 0;
    if (to && inet_is_any(&e.ip))
        e.ip = inet_source_for(&to->ip);
    s->autobound = bind_to(s, &e) == 0;
    return s->autobound ? 0 : -EADDRINUSE;
}

void
inet_unbind_auto(struct socket *s)
{
    struct endpoint none = {.port = 0};

    if (!s->autobound)
        return;
    if (s->family == AF_INET)
        none.ip.s6_addr[10] = none.ip.s6_addr[11] = 0xff;
    list_remove(&s->all);
    s->local = inet_format(s->family, &none);
    s->bound = s->autobound = false;
}

void
inet_loopback_for(struct endpoint *e)
{
    if (!inet_is_any(&e->ip))
        return;
    if (is_mapped(&e->ip)) {
        e->ip.s6_addr[12] = 127;
        e->ip.s6_addr[15] = 1;
    } else {
        e->ip.s6_addr[15] = 1;
    }
}

struct in6_addr
inet_source_for(const struct in6_addr *to)
{
    struct in6_addr ip = *to;
    const struct interface *out = &network->interfaces[1]; /* the way out, where there is one */

    if (inet_is_local(to))
        return ip;
    if (!is_mapped(to))
        return out->six;
    memcpy(&ip.s6_addr[12], &out->four, 4);
    return ip;
}

void
inet_settle_local(struct socket *s, const struct endpoint *to)
{
    struct endpoint e = inet_local(s);

    if (inet_is_any(&e.ip)) {
        e.ip = inet_source_for(&to->ip);
        s->local = inet_format(s->family, &e);
    }
}

/* As on Linux, where even the loopback's answer comes later: a first call starts, one after it tells what became of
 * it. */
static int
tcp_connect_started(struct socket *s)
{
    s->connecting = true;
    return -EINPROGRESS;
}

static int
tcp_connect_refused(struct socket *s)
{
    s->error = ECONNREFUSED;
    s->shut_read = s->shut_write = true;
    return tcp_connect_started(s);
}

static int
tcp_connect_result(struct socket *s)
{
    int error = s->error;

    s->connecting = false;
    if (s->connected)
        return 0;
    s->error = 0;
    s->shut_read = s->shut_write = false;
    return error ? -error : -ECONNABORTED;
}

static int
tcp_connect_outside(struct socket *s, const struct endpoint *to)
{
    const struct outside *o = network->outside;
    int r;

    if (!o)
        return -ENETUNREACH;
    r = o->route(s, to);
    if (r == 0)
        r = inet_autobind(s, NULL);
    return r < 0 ? r : o->connect(s, to);
}

static int
tcp_connect(struct socket *s, const struct address *a)
{
    struct socket *listener, *server;
    struct endpoint to, me;
    int r;

    if (a->length >= sizeof(sa_family_t) && a->storage.ss_family == AF_UNSPEC)
        return s->connected ? -EOPNOTSUPP : 0;
    r = inet_parse(s, a, &to);
    if (r < 0)
        return r;
    if (s->connecting)
        return tcp_connect_result(s);
    if (s->listening || s->connected)
        return -EISCONN;
    if (!inet_is_local(&to.ip))
        return tcp_connect_outside(s, &to);
    inet_loopback_for(&to);
    r = inet_autobind(s, &to);
    if (r < 0)
        return r;
    me = inet_local(s);
    listener = inet_find_bound(SOCK_STREAM, &to, &me);
    if (!listener)
        return tcp_connect_refused(s);
    if (listener->pending_count > listener->backlog)
        return -EAGAIN;
    inet_settle_local(s, &to);
    server = socket_new(listener->family, SOCK_STREAM, listener->protocol, &tcp_ops);
    if (!server)
        return -ENOMEM;
    me = inet_local(s);
    server->local = inet_format(listener->family, &to);
    server->remote = inet_format(listener->family, &me);
    server->bound = true;
    options_inherit(server, listener);
    s->remote = inet_format(s->family, &to);
    r = stream_offer(s, listener, server);
    if (r < 0)
        return r;
    inet_list_accepted(server);
    return tcp_connect_started(s);
}

void
inet_list_accepted(struct socket *s)
{
    list_append(&accepted_sockets, &s->all);
}

static int
tcp_listen(struct socket *s, unsigned backlog)
{
    int r = s->connected || s->connecting ? -EINVAL : inet_autobind(s, NULL);

    if (r < 0)
        return r;
    socket_listening(s, backlog);
    return network->outside ? network->outside->listening(s) : 0;
}

static int
tcp_set_option(struct socket *s, int level, int name, guest_addr p, uint32_t size)
{
    int r = queue_set_option(s, level, name, p, size);

    if (r == 0 && s->listening && network->outside)
        network->outside->listening(s);
    return r;
}

static int
tcp_accept(struct socket *s, struct socket **out)
{
    int r = queue_accept(s, out);

    if (r == 0 && network->outside)
        network->outside->accepted(s);
    return r;
}

static void
tcp_tell_closed(struct socket *s)
{
    if (network->outside)
        network->outside->closed(inet_local(s).port);
}

static int
tcp_shutdown(struct socket *s, int how)
{
    bool listened = s->listening;
    int r = queue_shutdown(s, how);

    if (listened && !s->listening)
        tcp_tell_closed(s);
    return r;
}

static void
tcp_close(struct socket *s)
{
    bool listened = s->listening;

    inet_close(s);
    s->listening = false;
    if (listened)
        tcp_tell_closed(s);
}

static ssize_t
tcp_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    if (t->flags & MSG_FASTOPEN) /* as a Linux without it */
        return -EOPNOTSUPP;
    if (!s->connected)
        return s->error ? socket_error(s) : -EPIPE;
    return stream_send(s, iov, count, t);
}

void
inet_close(struct socket *s)
{
    list_remove(&s->all);
}

const struct socket_ops OPS_TABLE(socket_ops) tcp_ops = {
    .bind = inet_bind,
    .connect = tcp_connect,
    .listen = tcp_listen,
    .accept = tcp_accept,
    .send = tcp_send,
    .recv = queue_recv,
    .shutdown = tcp_shutdown,
    .name = queue_name,
    .poll = queue_poll,
    .ioctl = queue_ioctl,
    .set_option = tcp_set_option,
    .get_option = queue_get_option,
    .close = tcp_close,
};
enum { PROTOCOLS = 263 }; /* Linux knows numbers below */

struct socket *
inet_socket_new(int family, int type, int protocol, int *error)
{
    struct socket *s;
    struct endpoint none = {.port = 0};
    bool stream = type == SOCK_STREAM;

    *error = protocol < 0 || protocol >= PROTOCOLS ? -EINVAL : -EPROTONOSUPPORT;
    if (*error == -EINVAL)
        return NULL;
    if (type == SOCK_RAW) {
        *error = -EPERM;
        return NULL;
    }
    if (!stream && type != SOCK_DGRAM) {
        *error = -ESOCKTNOSUPPORT;
        return NULL;
    }
    if (protocol && protocol != (stream ? IPPROTO_TCP : IPPROTO_UDP))
        return NULL;
    s = socket_new(family, type, stream ? IPPROTO_TCP : IPPROTO_UDP, stream ? &tcp_ops : &udp_ops);
    *error = -ENOMEM;
    if (!s)
        return NULL;
    if (family == AF_INET)
        none.ip.s6_addr[10] = none.ip.s6_addr[11] = 0xff;
    s->local = inet_format(family, &none);
    return s;
}

void
inet_socket_list(void (*each)(struct socket *s, void *arg), void *arg)
{
    for (int k = 0; k < BUCKETS; k++)
        if (bound_sockets[k].next)
            LIST_EACH(p, &bound_sockets[k])
                each(list_entry(p, struct socket, all), arg);
    LIST_EACH(p, &accepted_sockets)
        each(list_entry(p, struct socket, all), arg);
}

static char *
no_text(const char *name)
{
    return NULL;
}

const struct network loopback_network = {.socket_new = inet_socket_new,
                                         .interfaces = interfaces_loopback,
                                         .interface_ioctl = interfaces_ioctl,
                                         .text = no_text};
