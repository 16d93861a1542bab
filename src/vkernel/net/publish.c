/* --publish: ports of the host that lead to ports of the container.
 *
 * Their sockets are bound before the lock-down. One of TCP listens as long as a guest does, so that otherwise the host
 * refuses connections, and as many connections wait in the listener's queue as it says; the rest waits in the host's.
 * Guests see the address from which a client comes; one of the host's loopback comes from the gateway, and so does an
 * IPv6 client of a guest that listens on IPv4 alone, or the other way round. */
#include <errno.h>
#include <string.h>

#include "base/rare.h"
#include "platform/hostfs.h"
#include "platform/hostnet.h"
#include "vkernel/net/policy.h"
#include "vkernel/net/user.h"
#include "vkernel/net/user_internal.h"

enum { PUBLISHED_MOST = 256 };

static struct published {
    const char *spec; /* the option's, which stays */
    int type;
    struct endpoint host;
    unsigned guest_port;
    bool optional;    /* one of two without an address: a host without IPv6 has only the other */
    bool listening;   /* TCP: the host's socket is */
    bool stalled;     /* TCP: connections wait with the host until there is room, or a descriptor */
    struct socket *s; /* has the host's descriptor; NULL: not there */
} published[PUBLISHED_MOST] RARE;
static unsigned count;

/* --- options --- */

/* Takes "/tcp" or "/udp" off the end. */
static bool
parse_type(char *text, int *type)
{
    char *slash = strchr(text, '/');

    *type = slash && strcmp(slash, "/udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    if (slash && *type == SOCK_STREAM && strcmp(slash, "/tcp") != 0)
        return false;
    if (slash)
        *slash = '\0';
    return true;
}

int
publish_add(const char *spec)
{
    static const struct in6_addr any_four = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    char text[128], *guest, *host;
    struct published p = {.spec = spec};

    if (strlen(spec) >= sizeof text)
        return -EINVAL;
    strcpy(text, spec);
    guest = parse_type(text, &p.type) ? strrchr(text, ':') : NULL;
    if (!guest || !policy_parse_port(guest + 1, &p.guest_port))
        return -EINVAL;
    *guest = '\0';
    host = strrchr(text, ':');
    if (!policy_parse_port(host ? host + 1 : text, &p.host.port))
        return -EINVAL;
    if (count > PUBLISHED_MOST - 2)
        return -E2BIG;
    if (host) {
        if (!policy_parse_address(text, (size_t)(host - text), &p.host.ip) ||
            (!IN6_IS_ADDR_V4MAPPED(&p.host.ip) && *text != '['))
            return -EINVAL;
    } else {
        p.host.ip = in6addr_any;
        p.optional = true;
        published[count++] = p;
        p.host.ip = any_four;
        p.optional = false;
    }
    published[count++] = p;
    return 0;
}

/* --- to whom --- */

static struct endpoint
own(bool four, unsigned port)
{
    struct endpoint e = {.ip = interfaces_user[1].six, .port = port};

    if (!four)
        return e;
    e.ip = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&e.ip.s6_addr[12], &interfaces_user[1].four, 4);
    return e;
}

struct socket *
publish_find(int type, unsigned port, const struct endpoint *real, struct endpoint *told, struct endpoint *to)
{
    bool four = IN6_IS_ADDR_V4MAPPED(&real->ip);
    struct socket *s;

    *told = user_told(real);
    *to = own(four, port);
    s = inet_find_bound(type, to, told);
    if (s)
        return s;
    *to = own(!four, port);
    told->ip = interfaces_user[1].gateway_six;
    if (!four) {
        told->ip = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
        memcpy(&told->ip.s6_addr[12], &interfaces_user[1].gateway_four, 4);
    }
    return inet_find_bound(type, to, told);
}

/* Anybody who listens at that port. */
static struct socket *
listener(unsigned port)
{
    struct endpoint to = own(true, port);
    struct socket *s = inet_find_bound(SOCK_STREAM, &to, NULL);

    if (!s) {
        to = own(false, port);
        s = inet_find_bound(SOCK_STREAM, &to, NULL);
    }
    return s && s->open ? s : NULL; /* not while it is being closed */
}

static bool
has_room(const struct socket *l)
{
    return l->pending_count <= l->backlog;
}

/* --- connections --- */

static void
reset(int fd)
{
    struct linger now = {.l_onoff = 1};

    host_socket_set_option(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    host_close(fd);
}

/* Puts the connection into a listener's queue. -errno: there is no memory or descriptor for it, and it is gone. */
static int
offer(struct published *p, int fd, const struct address *from)
{
    struct endpoint real = user_endpoint_of(&from->storage), told, to;
    struct socket *l = publish_find(SOCK_STREAM, p->guest_port, &real, &told, &to), *s;
    int r;

    if (l && !has_room(l)) /* of several with SO_REUSEPORT another one has */
        l = listener(p->guest_port);
    if (!l || !l->open || !has_room(l)) {
        reset(fd);
        return 0;
    }
    s = socket_new_of(l->creds, l->family, SOCK_STREAM, IPPROTO_TCP, &outside_ops);
    if (!s) {
        reset(fd);
        return -ENOMEM;
    }
    options_inherit(s, l);
    s->local = inet_format(l->family, &to);
    s->remote = inet_format(l->family, &told);
    s->host_family = from->storage.ss_family;
    s->bound = s->connected = true;
    r = host_attach(s, fd);
    if (r < 0) {
        socket_put(s);
        return r;
    }
    inet_list_accepted(s);
    list_append(&l->pending, &s->pending_link);
    l->pending_count++;
    wait_queue_wake(&l->in_queue);
    return 0;
}

static void
take_connections(struct published *p)
{
    p->stalled = false;
    while (p->listening) {
        struct socket *l = listener(p->guest_port);
        struct address from = {.length = 0};
        int fd, r;

        if (!l)
            return;
        p->stalled = true;
        if (!has_room(l))
            return;
        fd = host_socket_accept(p->s->host_fd, &from.storage, &from.length);
        if (fd == -ECONNABORTED)
            continue;
        if (fd == -EAGAIN)
            p->stalled = false;
        r = fd < 0 ? fd : offer(p, fd, &from);
        if (r < 0)
            return;
    }
}

static void
published_ready(struct socket *s, short events)
{
    for (unsigned k = 0; k < count; k++) {
        if (published[k].s != s)
            continue;
        if (published[k].type == SOCK_DGRAM)
            flows_published_ready(s, published[k].guest_port);
        else
            take_connections(&published[k]);
        return;
    }
}

static const struct socket_ops OPS_TABLE(socket_ops) published_ops = {.host_ready = published_ready};

void
publish_retry(void)
{
    for (unsigned k = 0; k < count; k++)
        if (published[k].stalled)
            take_connections(&published[k]);
}

void
publish_accepted(struct socket *l)
{
    unsigned port = inet_local(l).port;

    for (unsigned k = 0; k < count; k++)
        if (published[k].stalled && published[k].guest_port == port)
            take_connections(&published[k]);
}

int
publish_listening(struct socket *l)
{
    unsigned port = inet_local(l).port;

    for (unsigned k = 0; k < count; k++) {
        struct published *p = &published[k];
        int r;

        if (p->type != SOCK_STREAM || p->guest_port != port || !p->s || !listener(port))
            continue;
        options_to_host(l, p->s->host_fd, -1, -1); /* what connections inherit */
        r = host_socket_listen(p->s->host_fd, (int)l->backlog);
        if (r < 0) /* somebody else of the host's listens there by now */
            return r;
        p->listening = true;
        take_connections(p);
    }
    return 0;
}

void
publish_closed(unsigned port)
{
    for (unsigned k = 0; k < count; k++) {
        struct published *p = &published[k];

        if (!p->listening || p->guest_port != port)
            continue;
        if (listener(port)) {
            take_connections(p);
        } else { /* as Linux does with a listener's queue: those that wait there are reset */
            host_socket_shutdown(p->s->host_fd, SHUT_RD);
            p->listening = p->stalled = false;
        }
    }
}

/* --- before the lock-down --- */

static int
open_port(struct published *p)
{
    int family = IN6_IS_ADDR_V4MAPPED(&p->host.ip) ? AF_INET : AF_INET6, one = 1, r;
    struct address a = inet_format(family, &p->host);
    int fd = host_socket(family, p->type, p->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);

    if (fd < 0)
        return fd;
    if (p->type == SOCK_STREAM)
        host_socket_set_option(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        host_socket_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    r = host_socket_bind(fd, &a.storage, a.length);
    if (r < 0) {
        host_close(fd);
        return r;
    }
    p->s = socket_new_of(user_network_owner, family, p->type, 0, &published_ops);
    if (!p->s) {
        host_close(fd);
        return -ENOMEM;
    }
    return host_attach(p->s, fd);
}

int
publish_open(const char **what)
{
    for (unsigned k = 0; k < count; k++) {
        int r = open_port(&published[k]);

        *what = published[k].spec;
        if (r < 0 && !(published[k].optional && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)))
            return r;
    }
    return 0;
}
