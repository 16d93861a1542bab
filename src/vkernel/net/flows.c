/* UDP to the outside and from published ports.
 *
 * A guest's socket that sends outside has a descriptor of the host's, by which answers come: from its peer when it is
 * connected, which the host's kernel sees to; else from addresses that it has sent to. Datagrams to a published port come
 * to whoever is bound there, and the answers to their senders go out where they came in. Both are flows, which last as
 * long as something is sent at least every three minutes, and of which the ones idle longest give way where there are too
 * many. */
#include <errno.h>
#include <string.h>

#include "base/rare.h"
#include "platform/heap.h"
#include "platform/hostnet.h"
#include "platform/platform.h"
#include "vkernel/net/user_internal.h"

enum { FLOWS_MOST = 4096, BUCKETS = 1024, DATAGRAM_MOST = 65536, DATAGRAMS_AT_ONCE = 64 };
static const uint64_t FLOW_NS = 180 * (uint64_t)1000000000u;

struct flow {
    struct list hashed, age;    /* in its bucket; and by the time of its last use, in `ages` */
    struct list of_owner;       /* in the owner's flows; of a published port's: in none */
    const struct socket *owner; /* the guest's socket that has sent there; NULL: a published port's */
    unsigned port;              /* the guest's port, of a published one's; else 0 */
    struct endpoint told, real; /* the other end, as guests and as the host know it */
    struct socket *published;   /* by which it came in; these are never freed */
    uint64_t used;              /* monotonic */
};
OBJECT_POOL(flow);

static struct list buckets[BUCKETS] RARE, ages = {&ages, &ages};
static unsigned flow_count;
static uint64_t key; /* of the hash: peers choose their addresses */

static struct list *
bucket(const struct socket *owner, unsigned port, const struct endpoint *told)
{
    uint64_t words[2], h;

    if (!key)
        platform_random(&key, sizeof key);
    memcpy(words, &told->ip, sizeof words);
    h = key ^ (uintptr_t)owner ^ (uint64_t)port << 32 ^ (uint64_t)told->port << 48;
    for (int k = 0; k < 2; k++) {
        h = (h ^ words[k]) * 0x9e3779b97f4a7c15u;
        h = (h ^ h >> 29 ^ key) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 32;
    }
    if (!buckets[h % BUCKETS].next)
        list_init(&buckets[h % BUCKETS]);
    return &buckets[h % BUCKETS];
}

static bool
is_same(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && IN6_ARE_ADDR_EQUAL(&a->ip, &b->ip);
}

static void
flow_free(struct flow *f)
{
    list_remove(&f->hashed);
    list_remove(&f->age);
    list_remove(&f->of_owner);
    flow_count--;
    OBJECT_FREE(flow, f);
}

static void
flow_used(struct flow *f)
{
    f->used = clock_monotonic_ns();
    list_remove(&f->age);
    list_append(&ages, &f->age);
}

/* One that is over, too. */
static struct flow *
flow_look(const struct socket *owner, unsigned port, const struct endpoint *told, struct list *b)
{
    LIST_EACH(p, b) {
        struct flow *f = list_entry(p, struct flow, hashed);

        if (f->owner == owner && f->port == port && is_same(&f->told, told))
            return f;
    }
    return NULL;
}

static struct flow *
flow_find(const struct socket *owner, unsigned port, const struct endpoint *told)
{
    struct flow *f = flow_count ? flow_look(owner, port, told, bucket(owner, port, told)) : NULL;

    return f && clock_monotonic_ns() - f->used < FLOW_NS ? f : NULL;
}

/* NULL: no memory. */
static struct flow *
flow_make(struct socket *owner, unsigned port, const struct endpoint *told)
{
    struct list *b = bucket(owner, port, told);
    struct flow *f = flow_look(owner, port, told, b);

    if (!f) {
        if (flow_count >= FLOWS_MOST)
            flow_free(list_entry(ages.next, struct flow, age));
        f = OBJECT_NEW(flow);
        if (!f)
            return NULL;
        *f = (struct flow){.owner = owner, .port = port, .told = *told};
        list_init(&f->age);
        list_init(&f->of_owner);
        list_append(b, &f->hashed);
        if (owner)
            list_append(&owner->flows, &f->of_owner);
        flow_count++;
    }
    flow_used(f);
    return f;
}

bool
flows_answers(const struct socket *s, const struct endpoint *to)
{
    return s->type == SOCK_DGRAM && flow_find(NULL, inet_local(s).port, to) != NULL;
}

/* --- sockets that send outside --- */

/* Of both families where the host has IPv6, as the guest's may be, too. */
static int
open_host(struct socket *s, const struct endpoint *to)
{
    int family = s->family, fd, r;

    if (s->host_fd >= 0)
        return 0;
    fd = host_socket(family, SOCK_DGRAM, IPPROTO_UDP);
    if (fd == -EAFNOSUPPORT && IN6_IS_ADDR_V4MAPPED(&to->ip)) {
        family = AF_INET;
        fd = host_socket(family, SOCK_DGRAM, IPPROTO_UDP);
    }
    r = fd < 0 ? fd : host_attach(s, fd);
    if (r < 0)
        return r;
    s->host_family = family;
    s->host_connected = false;
    options_to_host(s, s->host_fd, -1, -1);
    return 0;
}

/* An IPv4 descriptor cannot name what is not mapped. */
static int
real_address(const struct socket *s, const struct endpoint *to, struct address *out)
{
    struct endpoint real = user_real(to);

    if (s->host_family == AF_INET && !IN6_IS_ADDR_V4MAPPED(&real.ip))
        return -ENETUNREACH;
    *out = inet_format(s->host_family, &real);
    return 0;
}

int
flows_udp_connect(struct socket *s, const struct endpoint *to)
{
    struct address a = {.storage = {.ss_family = AF_UNSPEC}, .length = sizeof(struct sockaddr_in)};
    int r;

    if (!to || user_is_resolver(to) || flows_answers(s, to)) {
        if (s->host_fd >= 0 && s->host_connected)
            host_socket_connect(s->host_fd, &a.storage, a.length);
        s->host_connected = false;
        return 0;
    }
    r = open_host(s, to);
    if (r == 0)
        r = real_address(s, to, &a);
    if (r == 0)
        r = host_socket_connect(s->host_fd, &a.storage, a.length);
    s->host_connected = r == 0;
    return r;
}

static int
send_by(struct socket *by, const struct address *to, const struct iovec *iov, int count)
{
    struct host_message m = {.iov = (struct iovec *)(uintptr_t)iov,
                             .count = count,
                             .to = to ? &to->storage : NULL,
                             .to_length = to ? to->length : 0};
    ssize_t n = host_socket_send(by->host_fd, &m);

    return n < 0 ? (int)n : 0;
}

int
flows_transmit(struct socket *s, const struct endpoint *from, const struct endpoint *to, const struct iovec *iov,
               int count)
{
    struct flow *f = flow_find(NULL, from->port, to);
    struct endpoint peer;
    struct address a;
    int r;

    if (user_is_resolver(to)) {
        resolver_ask(s, from, iov, count);
        return 0;
    }
    if (f) {
        flow_used(f);
        a = inet_format(f->published->family, &f->real);
        return send_by(f->published, &a, iov, count);
    }
    r = open_host(s, to);
    if (r < 0)
        return r;
    if (s->host_connected && inet_parse(s, &s->remote, &peer) == 0 && is_same(&peer, to))
        return send_by(s, NULL, iov, count);
    r = real_address(s, to, &a);
    if (r < 0)
        return r;
    if (!s->connected && !flow_make(s, 0, to))
        return -ENOBUFS;
    return send_by(s, &a, iov, count);
}

void
flows_udp_close(struct socket *s)
{
    while (!list_empty(&s->flows))
        flow_free(list_entry(s->flows.next, struct flow, of_owner));
    if (s->host_fd < 0)
        return;
    host_detach(s);
    publish_retry();
}

/* --- receiving --- */

/* A datagram of the host's: its size and sender, or the error. It lies in one buffer for all, until the next. */
static ssize_t
receive(struct socket *by, uint8_t **data, struct endpoint *from)
{
    static uint8_t *buffer;
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    struct iovec iov;
    struct host_message m = {.iov = &iov, .count = 1, .from = &name};
    ssize_t n;

    if (!buffer && !(buffer = bytes_new(DATAGRAM_MOST)))
        return -EAGAIN;
    iov = (struct iovec){buffer, DATAGRAM_MOST};
    *data = buffer;
    n = host_socket_receive(by->host_fd, &m);
    if (n >= 0)
        *from = user_endpoint_of(&name);
    return n;
}

void
flows_udp_ready(struct socket *s)
{
    struct endpoint from, to;
    uint8_t *data;

    for (int k = 0; k < DATAGRAMS_AT_ONCE; k++) {
        ssize_t n = receive(s, &data, &from);

        if (n == -EAGAIN)
            return;
        if (n < 0) { /* an ICMP answer to what a connected socket has sent */
            s->error = (int)-n;
            socket_wake(s);
            continue;
        }
        from = user_told(&from);
        if (s->connected ? !s->host_connected : !flow_find(s, 0, &from))
            continue;
        to = inet_local(s);
        if (inet_is_any(&to.ip))
            to.ip = inet_source_for(&from.ip);
        udp_arrive(s, &from, &to, data, (size_t)n);
    }
    host_net_look_again(s->host_fd, s); /* others have their turn before the rest */
}

void
flows_published_ready(struct socket *published, unsigned guest_port)
{
    for (int k = 0; k < DATAGRAMS_AT_ONCE; k++) {
        struct endpoint real, told, to;
        struct socket *target;
        struct flow *f;
        uint8_t *data;
        ssize_t n = receive(published, &data, &real);

        if (n == -EAGAIN)
            return;
        target = n < 0 ? NULL : publish_find(SOCK_DGRAM, guest_port, &real, &told, &to);
        f = target ? flow_make(NULL, guest_port, &told) : NULL;
        if (!f)
            continue;
        f->real = real;
        f->published = published;
        udp_arrive(target, &told, &to, data, (size_t)n);
    }
    host_net_look_again(published->host_fd, published);
}
