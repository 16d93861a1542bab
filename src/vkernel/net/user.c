/* TCP to the outside, and which addresses lead where; see user.h. */
#include "vkernel/net/user.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "platform/heap.h"
#include "platform/hostnet.h"
#include "vkernel/net/policy.h"
#include "vkernel/net/readiness.h"
#include "vkernel/net/user_internal.h"

bool user_host_loopback;
const struct ucred user_network_owner = {.pid = 0, .uid = 0, .gid = 0};

/* --- addresses --- */

static const struct in6_addr gateway_four = {.s6_addr = {[10] = 0xff, [11] = 0xff, 10, 0, 2, 2}},
                             gateway_six = {.s6_addr = {0xfd, [15] = 2}},
                             resolver_four = {.s6_addr = {[10] = 0xff, [11] = 0xff, 10, 0, 2, 3}},
                             loopback_four = {.s6_addr = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}};

static bool
is_gateway(const struct in6_addr *ip)
{
    return IN6_ARE_ADDR_EQUAL(ip, &gateway_four) || IN6_ARE_ADDR_EQUAL(ip, &gateway_six);
}

bool
user_is_resolver(const struct endpoint *to)
{
    enum { DOMAIN = 53 };

    return to->port == DOMAIN && IN6_ARE_ADDR_EQUAL(&to->ip, &resolver_four);
}

struct endpoint
user_real(const struct endpoint *to)
{
    struct endpoint e = *to;

    if (IN6_ARE_ADDR_EQUAL(&e.ip, &gateway_four))
        e.ip = loopback_four;
    else if (IN6_ARE_ADDR_EQUAL(&e.ip, &gateway_six))
        e.ip = in6addr_loopback;
    return e;
}

/* Programs trust what comes from 127.0.0.1: that is said of the container's own loopback only. */
struct endpoint
user_told(const struct endpoint *real)
{
    struct endpoint e = *real;

    if (IN6_IS_ADDR_V4MAPPED(&e.ip) && e.ip.s6_addr[12] == 127)
        e.ip = gateway_four;
    else if (IN6_IS_ADDR_LOOPBACK(&e.ip))
        e.ip = gateway_six;
    return e;
}

struct endpoint
user_endpoint_of(const struct sockaddr_storage *a)
{
    const struct sockaddr_in *four = (const void *)a;
    const struct sockaddr_in6 *six = (const void *)a;
    struct endpoint e = {.ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}}};

    if (a->ss_family == AF_INET6) {
        e.ip = six->sin6_addr;
        e.port = ntohs(six->sin6_port);
    } else {
        memcpy(&e.ip.s6_addr[12], &four->sin_addr, 4);
        e.port = ntohs(four->sin_port);
    }
    return e;
}

/* Clouds' metadata at addresses of the world outside. */
static bool
is_metadata(const struct in6_addr *ip)
{
    static const struct in6_addr all[] = {
        {.s6_addr = {[10] = 0xff, [11] = 0xff, 192, 0, 0, 192}},              /* Oracle */
        {.s6_addr = {[10] = 0xff, [11] = 0xff, 100, 100, 100, 200}},          /* Alibaba */
        {.s6_addr = {[10] = 0xff, [11] = 0xff, 168, 63, 129, 16}},            /* Azure */
        {.s6_addr = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}},      /* AWS, fd00:ec2::254 */
        {.s6_addr = {0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}},      /* GCP, fd20:ce::254 */
        {.s6_addr = {0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe}}, /* Oracle */
    };

    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (IN6_ARE_ADDR_EQUAL(ip, &all[k]))
            return true;
    return false;
}

/* Addresses that no packet of a container's goes to unless a range of --allow names them: they are not of the world
 * outside, but of the host's own links and of protocols that treat them in a way of their own. Whether they come as IPv4
 * or mapped into IPv6 makes no difference any more. */
static bool
is_special(const struct in6_addr *ip)
{
    if (IN6_IS_ADDR_V4MAPPED(ip)) {
        const uint8_t *four = &ip->s6_addr[12];

        return four[0] == 0 || four[0] == 127 || (four[0] == 169 && four[1] == 254) || /* clouds' metadata, too */
               four[0] >= 224 || is_metadata(ip);
    }
    return memcmp(ip, &in6addr_any, 12) == 0 || /* ::/96, IPv4 in an old form */
           (ip->s6_addr[0] == 0xfe && ip->s6_addr[1] >= 0x80) || ip->s6_addr[0] == 0xff || is_metadata(ip);
}

/* The host has no such network for us: who is on it is in this file. */
static bool
is_own_link(const struct in6_addr *ip)
{
    static const uint8_t net[3] = {10, 0, 2};

    return (IN6_IS_ADDR_V4MAPPED(ip) && memcmp(&ip->s6_addr[12], net, sizeof net) == 0) ||
           (ip->s6_addr[0] == 0xfd && memcmp(&ip->s6_addr[1], &in6addr_any, 7) == 0);
}

/* Not the loopback by another name: 127.0.0.0/8 and ::1 are the container's own, and never come here. */
static int
user_route(const struct socket *s, const struct endpoint *to)
{
    if (user_is_resolver(to) || flows_answers(s, to))
        return 0;
    if (is_own_link(&to->ip) && !(user_host_loopback && is_gateway(&to->ip)))
        return policy_refuse(&to->ip, to->port, is_gateway(&to->ip) ? -ENETUNREACH : -EHOSTUNREACH);
    /* Whoever owns a name that is allowed says what its addresses are, and is not to open the host's loopback by that. */
    if (is_gateway(&to->ip) && policy_given() && !policy_allows_by_address(&to->ip, to->port))
        return policy_refuse(&to->ip, to->port, -EACCES);
    if (is_special(&to->ip) && !is_gateway(&to->ip) && !(policy_given() && policy_allows_by_address(&to->ip, to->port)))
        return policy_refuse(&to->ip, to->port, -ENETUNREACH);
    return policy_allows(&to->ip, to->port) ? 0 : policy_refuse(&to->ip, to->port, -EACCES);
}

/* --- TCP --- */

static int
start_connecting(struct socket *s)
{
    struct endpoint to, real;
    struct address a;

    if (inet_parse(s, &s->remote, &to) < 0)
        return -EINVAL;
    real = user_real(&to);
    a = inet_format(s->host_family, &real);
    readiness_forget(s);
    return host_socket_connect(s->host_fd, &a.storage, a.length);
}

static int
outside_connect_to(struct socket *s, const struct endpoint *to)
{
    int family = IN6_IS_ADDR_V4MAPPED(&to->ip) ? AF_INET : AF_INET6, fd, r;
    struct endpoint me = inet_local(s);

    struct in6_addr source = inet_source_for(&to->ip);

    if (!inet_is_any(&me.ip) && !IN6_ARE_ADDR_EQUAL(&me.ip, &source)) /* of the loopback, which leads nowhere */
        return -EINVAL;
    if (user_is_resolver(to))
        return resolver_connect(s, to);
    fd = host_socket(family, SOCK_STREAM, IPPROTO_TCP);
    r = fd < 0 ? fd : host_attach(s, fd);
    if (r < 0)
        return r;
    s->host_family = family;
    s->remote = inet_format(s->family, to);
    options_to_host(s, s->host_fd, -1, -1);
    r = start_connecting(s);
    if (r < 0 && r != -EINPROGRESS) {
        host_detach(s);
        s->remote.length = 0;
        publish_retry();
        return r == -EAGAIN ? -EADDRNOTAVAIL : r;
    }
    inet_settle_local(s, to);
    s->ops = &outside_ops;
    s->connected = true;
    s->connecting = r < 0;
    return r;
}

/* Back to what it was before it was connected; its name stays. */
static void
leave_outside(struct socket *s)
{
    host_detach(s);
    publish_retry();
    s->ops = &tcp_ops;
    s->connected = s->connecting = false;
    s->remote.length = 0;
    socket_wake(s);
}

/* A connect() begins, asks how the first one goes, or comes after that has failed. */
static int
outside_connect(struct socket *s, const struct address *a)
{
    int r;

    if (a->length >= sizeof(sa_family_t) && a->storage.ss_family == AF_UNSPEC) {
        leave_outside(s);
        return 0;
    }
    if (s->connecting) {
        r = start_connecting(s);
        s->connecting = r == -EINPROGRESS || r == -EALREADY;
        return r;
    }
    if (host_tcp_state(s->host_fd) != TCP_CLOSE)
        return -EISCONN;
    leave_outside(s);
    return OPS(s->ops)->connect(s, a);
}

static int
outside_name(struct socket *s, bool peer, struct address *out)
{
    struct address real = {.length = 0};

    if (peer && host_socket_name(s->host_fd, true, &real.storage, &real.length) < 0)
        return -ENOTCONN;
    *out = peer ? s->remote : s->local;
    return 0;
}

static int
outside_set_option(struct socket *s, int level, int name, guest_addr p, uint32_t size)
{
    int r = queue_set_option(s, level, name, p, size);

    readiness_forget(s);
    if (r == 0)
        options_to_host(s, s->host_fd, level, name);
    return r;
}

static int
outside_get_option(struct socket *s, int level, int name, const struct option_out *o)
{
    uint8_t value[sizeof(struct tcp_info)] = {0};
    socklen_t size = o->room < sizeof value ? o->room : sizeof value;
    bool of_host =
        (level == SOL_SOCKET && name == SO_ERROR) || (level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_MAXSEG));
    int r;

    if (!of_host)
        return queue_get_option(s, level, name, o);
    readiness_forget(s); /* SO_ERROR takes the error */
    r = host_socket_get_option(s->host_fd, level, name, value, &size);
    return r < 0 ? r : option_give(o, value, size);
}

static int
outside_listen(struct socket *s, unsigned backlog)
{
    return -EINVAL;
}

static void
outside_close(struct socket *s)
{
    host_detach(s);
    inet_close(s);
    publish_retry();
}

const struct socket_ops OPS_TABLE(socket_ops) outside_ops = {
    .bind = inet_bind,
    .connect = outside_connect,
    .listen = outside_listen,
    .send = host_send,
    .recv = host_recv,
    .shutdown = host_shutdown,
    .name = outside_name,
    .poll = host_poll,
    .ioctl = host_ioctl,
    .set_option = outside_set_option,
    .get_option = outside_get_option,
    .close = outside_close,
};

/* --- the network --- */

static const struct outside outside = {
    .connect = outside_connect_to,
    .accepted = publish_accepted,
    .listening = publish_listening,
    .closed = publish_closed,
    .route = user_route,
    .udp_connect = flows_udp_connect,
    .transmit = flows_transmit,
    .udp_close = flows_udp_close,
    .udp_ready = flows_udp_ready,
};

/* /proc/net has numbers of IPv4 addresses as the processor reads them. */
static void
put_routes(char *out, size_t size)
{
    const struct interface *i = &interfaces_user[1];
    in_addr_t mask = htonl(~0u << (32 - i->four_bits));

    snprintf(out, size,
             "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
             "%s\t00000000\t%08X\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
             "%s\t%08X\t00000000\t0001\t0\t0\t0\t%08X\t0\t0\t0\n",
             i->name, i->gateway_four, i->name, i->four & mask, mask);
}

static void
put_six(char *out, size_t size)
{
    size_t at = 0;

    for (const struct interface *i = interfaces_user; i->name && at < size; i++) {
        for (int k = 0; k < 16 && at < size; k++)
            at += (size_t)snprintf(out + at, size - at, "%02x", i->six.s6_addr[k]);
        if (at < size)
            at += (size_t)snprintf(out + at, size - at, " %02x %02x %02x 80 %8s\n", (unsigned)i->index, i->six_bits,
                                   i == interfaces_user ? 0x10 : 0, i->name);
    }
}

static void
put_devices(char *out, size_t size)
{
    size_t at =
        (size_t)snprintf(out, size,
                         "Inter-|   Receive                                                |  Transmit\n"
                         " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
                         "drop fifo colls carrier compressed\n");

    for (const struct interface *i = interfaces_user; i->name && at < size; i++)
        at += (size_t)
            snprintf(out + at, size - at,
                     "%6s:       0       0    0    0    0     0          0         0        0       0    0    0 "
                     "   0     0       0          0\n",
                     i->name);
}

static char *
user_text(const char *name)
{
    static const struct {
        const char *name;
        void (*put)(char *out, size_t size);
    } texts[] = {{"net/route", put_routes}, {"net/if_inet6", put_six}, {"net/dev", put_devices}};
    enum { TEXT_MOST = 1024 };
    char *text;

    if (strcmp(name, "resolv.conf") == 0)
        return resolver_text();
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (strcmp(texts[k].name, name) == 0) {
            text = bytes_new(TEXT_MOST);
            if (text)
                texts[k].put(text, TEXT_MOST);
            return text;
        }
    return NULL;
}

const struct network user_network = {
    .socket_new = inet_socket_new,
    .outside = &outside,
    .interfaces = interfaces_user,
    .interface_ioctl = interfaces_ioctl,
    .text = user_text,
};

int
user_network_start(const char **what)
{
    int r;

    network = &user_network;
    *what = "descriptors";
    r = host_sockets_start();
    *what = "the resolvers";
    if (r == 0)
        r = resolver_start();
    return r < 0 ? r : publish_open(what);
}
