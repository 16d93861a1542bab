/* AF_NETLINK, NETLINK_ROUTE: dumps of interfaces, their addresses and routes, which getifaddrs and ip(8) ask for; with
 * --network host those of the host, asked anew by the platform: nothing of the guest's message but its type and family
 * goes there. */
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include "platform/heap.h"
#include "vkernel/net/interfaces.h"
#include "vkernel/net/socket.h"
#include "vkernel/vfs/creds.h"
#include "vkernel/vfs/file.h"

enum { REPLY_MAX = 3776 /* what Linux begins with: readers allow for a page */ };

struct reply {
    uint8_t data[REPLY_MAX];
    size_t size;
};

static void *
put(struct reply *r, const void *data, size_t size)
{
    void *at = r->data + r->size;
    size_t padded = NLMSG_ALIGN(size);

    if (padded > sizeof r->data - r->size)
        return r->data; /* replies are of fixed content and fit */
    memset(at, 0, padded);
    if (data)
        memcpy(at, data, size);
    r->size += padded;
    return at;
}

static void
attribute(struct reply *r, unsigned type, const void *data, size_t size)
{
    struct rtattr a = {.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = (unsigned short)type};

    put(r, &a, sizeof a);
    put(r, data, size);
}

static size_t
start(struct reply *r, const struct nlmsghdr *ask, unsigned type, unsigned flags, uint32_t port)
{
    size_t at = r->size;
    struct nlmsghdr h = {.nlmsg_type = (uint16_t)type,
                         .nlmsg_flags = (uint16_t)flags,
                         .nlmsg_seq = ask->nlmsg_seq,
                         .nlmsg_pid = port};

    put(r, &h, sizeof h);
    return at;
}

static void
finish(struct reply *r, size_t at)
{
    uint32_t length = (uint32_t)(r->size - at);

    memcpy(r->data + at, &length, sizeof length);
}

static void
put_link(struct reply *r, const struct interface *i, const struct nlmsghdr *ask, unsigned flags, uint32_t port)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, none[6];
    bool ether = i->type == ARPHRD_ETHER;
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC,
                             .ifi_type = (unsigned short)i->type,
                             .ifi_index = i->index,
                             .ifi_flags = i->flags | 0x10000 /* IFF_LOWER_UP */};
    uint32_t mtu = i->mtu, qlen = 1000;
    uint8_t state = ether ? 6 /* IF_OPER_UP */ : 0;
    size_t at = start(r, ask, RTM_NEWLINK, flags, port);

    put(r, &info, sizeof info);
    attribute(r, IFLA_IFNAME, i->name, strlen(i->name) + 1);
    attribute(r, IFLA_TXQLEN, &qlen, 4);
    attribute(r, IFLA_OPERSTATE, &state, 1);
    attribute(r, IFLA_MTU, &mtu, 4);
    attribute(r, IFLA_ADDRESS, i->mac, sizeof i->mac);
    attribute(r, IFLA_BROADCAST, ether ? broadcast : none, sizeof broadcast);
    attribute(r, IFLA_QDISC, "noqueue", 8);
    finish(r, at);
}

static void
put_address(struct reply *r, const struct interface *i, const struct nlmsghdr *ask, uint32_t port, bool v6)
{
    bool ether = i->type == ARPHRD_ETHER;
    struct ifaddrmsg a = {.ifa_family = v6 ? AF_INET6 : AF_INET,
                          .ifa_prefixlen = (uint8_t)(v6 ? i->six_bits : i->four_bits),
                          .ifa_flags = IFA_F_PERMANENT,
                          .ifa_scope = ether ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST,
                          .ifa_index = (uint32_t)i->index};
    in_addr_t all = i->four | htonl(~0u >> i->four_bits);
    size_t at = start(r, ask, RTM_NEWADDR, NLM_F_MULTI, port);

    put(r, &a, sizeof a);
    attribute(r, IFA_ADDRESS, v6 ? (const void *)&i->six : &i->four, v6 ? 16 : 4);
    if (!v6) {
        attribute(r, IFA_LOCAL, &i->four, 4);
        if (ether)
            attribute(r, IFA_BROADCAST, &all, 4);
        attribute(r, IFA_LABEL, i->name, strlen(i->name) + 1);
    }
    finish(r, at);
}

/* Of the link's network, or the default route by its gateway. */
static void
put_route(struct reply *r, const struct interface *i, const struct nlmsghdr *ask, uint32_t port, bool v6,
          bool by_gateway)
{
    struct rtmsg m = {.rtm_family = v6 ? AF_INET6 : AF_INET,
                      .rtm_dst_len = (uint8_t)(by_gateway ? 0
                                               : v6       ? i->six_bits
                                                          : i->four_bits),
                      .rtm_table = RT_TABLE_MAIN,
                      .rtm_protocol = by_gateway ? RTPROT_BOOT : RTPROT_KERNEL,
                      .rtm_scope = v6 || by_gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                      .rtm_type = RTN_UNICAST};
    in_addr_t net = i->four & htonl(~0u << (32 - i->four_bits));
    struct in6_addr net6 = i->six;
    uint32_t table = RT_TABLE_MAIN, metric = v6 ? by_gateway ? 1024 : 256 : 0;
    int index = i->index;
    size_t at = start(r, ask, RTM_NEWROUTE, NLM_F_MULTI, port);

    memset(&net6.s6_addr[i->six_bits / 8], 0, 16 - i->six_bits / 8);
    put(r, &m, sizeof m);
    attribute(r, RTA_TABLE, &table, 4);
    if (by_gateway)
        attribute(r, RTA_GATEWAY, v6 ? (const void *)&i->gateway_six : &i->gateway_four, v6 ? 16 : 4);
    else
        attribute(r, RTA_DST, v6 ? (const void *)&net6 : &net, v6 ? 16 : 4);
    if (v6)
        attribute(r, RTA_PRIORITY, &metric, 4);
    else if (!by_gateway)
        attribute(r, RTA_PREFSRC, &i->four, 4);
    attribute(r, RTA_OIF, &index, 4);
    finish(r, at);
}

static void
put_routes(struct reply *r, const struct nlmsghdr *ask, unsigned family, uint32_t port)
{
    for (const struct interface *i = network->interfaces; i->name; i++) {
        if (i->type != ARPHRD_ETHER)
            continue;
        for (int by_gateway = 1; by_gateway >= 0; by_gateway--) {
            if (family != AF_INET6)
                put_route(r, i, ask, port, false, by_gateway);
            if (family != AF_INET)
                put_route(r, i, ask, port, true, by_gateway);
        }
    }
}

static void
put_end(struct reply *r, const struct nlmsghdr *ask, uint32_t port, int error, bool done)
{
    size_t at = start(r, ask, done ? NLMSG_DONE : NLMSG_ERROR, done ? NLM_F_MULTI : 0, port);

    put(r, &error, sizeof error);
    if (!done)
        put(r, ask, sizeof *ask);
    finish(r, at);
}

/* The name in a request for one link: an attribute IFLA_IFNAME; NULL: none. */
static const char *
asked_name(const uint8_t *body, size_t size, char name[IFNAMSIZ])
{
    size_t at = sizeof(struct ifinfomsg);

    while (size > at && size - at >= sizeof(struct rtattr)) {
        struct rtattr a;
        size_t n;

        memcpy(&a, body + at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > size - at)
            break;
        n = a.rta_len - sizeof a;
        if (a.rta_type == IFLA_IFNAME) {
            memcpy(name, body + at + sizeof a, n < IFNAMSIZ ? n : IFNAMSIZ - 1);
            return name;
        }
        at += RTA_ALIGN(a.rta_len);
    }
    return NULL;
}

/* The one link that is asked for; NULL: *error says why. */
static const struct interface *
find_link(const uint8_t *body, size_t size, int *error)
{
    struct ifinfomsg info;
    char name[IFNAMSIZ] = "";

    *error = -EINVAL;
    if (size < sizeof info)
        return NULL;
    memcpy(&info, body, sizeof info);
    if (!info.ifi_index && !asked_name(body, size, name))
        return NULL;
    *error = -ENODEV;
    for (const struct interface *i = network->interfaces; i->name; i++)
        if (info.ifi_index ? i->index == info.ifi_index : strcmp(i->name, name) == 0)
            return i;
    return NULL;
}

/* All of a table. */
static void
answer_dump(struct reply *r, const struct nlmsghdr *ask, unsigned family, uint32_t port)
{
    for (const struct interface *i = network->interfaces; i->name; i++) {
        if (ask->nlmsg_type == RTM_GETLINK)
            put_link(r, i, ask, NLM_F_MULTI, port);
        if (ask->nlmsg_type == RTM_GETADDR && family != AF_INET6)
            put_address(r, i, ask, port, false);
        if (ask->nlmsg_type == RTM_GETADDR && family != AF_INET)
            put_address(r, i, ask, port, true);
    }
    if (ask->nlmsg_type == RTM_GETROUTE)
        put_routes(r, ask, family, port);
    put_end(r, ask, port, 0, true);
}

static void
answer(struct reply *r, const struct nlmsghdr *ask, const uint8_t *body, size_t body_size, uint32_t port)
{
    bool dump = (ask->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    unsigned family = body_size ? body[0] : AF_UNSPEC;
    const struct interface *i;
    int error = 0;

    switch (ask->nlmsg_type) {
    case RTM_GETLINK:
        if (dump)
            break;
        i = find_link(body, body_size, &error);
        if (!i)
            break;
        put_link(r, i, ask, 0, port);
        if (ask->nlmsg_flags & NLM_F_ACK)
            put_end(r, ask, port, 0, false);
        return;
    case RTM_GETADDR: error = dump ? 0 : -EOPNOTSUPP; break;
    case RTM_GETROUTE:
    case RTM_GETNEIGH:
    case RTM_GETRULE: error = dump ? 0 : -ENETUNREACH; break;
    default: error = capable(CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM; break;
    }
    if (error < 0)
        put_end(r, ask, port, error, false);
    else
        answer_dump(r, ask, family, port);
}

static int
queue_reply(struct socket *s, struct reply *r)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct iovec out = {r->data, r->size};
    struct message *m = s->charged > s->receive_limit ? NULL : message_new(NULL, &out, 1, r->size, NULL);

    r->size = 0;
    if (!m)
        return -ENOBUFS;
    memcpy(&m->from, &kernel, sizeof kernel);
    m->from_length = sizeof kernel;
    m->creds.pid = 0;
    return message_append(s, m);
}

/* --- dumps of the host's network --- */

struct relay {
    struct socket *s;
    const struct nlmsghdr *ask;
    struct reply reply;
    uint32_t port;
    unsigned index; /* only the link of this index or name, and not as part of a dump */
    const char *name;
    unsigned found;
    int error;
};

/* Does the link have the index or name that was asked for? */
static bool
is_wanted(const struct relay *y, const uint8_t *message, size_t size)
{
    size_t at = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    struct ifinfomsg info;

    if (size < at)
        return false;
    memcpy(&info, message + NLMSG_HDRLEN, sizeof info);
    if (!y->name)
        return (unsigned)info.ifi_index == y->index;
    while (size - at >= sizeof(struct rtattr)) {
        struct rtattr a;

        memcpy(&a, message + at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > size - at)
            break;
        if (a.rta_type == IFLA_IFNAME)
            return strncmp((const char *)message + at + sizeof a, y->name, a.rta_len - sizeof a) == 0;
        if (RTA_ALIGN(a.rta_len) > size - at)
            break;
        at += RTA_ALIGN(a.rta_len);
    }
    return false;
}

/* Readers allow a page for a part of a dump, as Linux makes them: a message that does not fit any more starts the
 * next. */
static void
relay_message(const void *message, size_t size, void *arg)
{
    struct relay *y = arg;
    struct nlmsghdr h;

    if ((y->name || y->index) && !is_wanted(y, message, size))
        return;
    if (y->s->charged > y->s->receive_limit)
        y->error = -ENOBUFS;
    if (y->error < 0)
        return;
    if (y->reply.size && NLMSG_ALIGN(size) > sizeof y->reply.data - y->reply.size)
        y->error = queue_reply(y->s, &y->reply);
    if (size > sizeof y->reply.data)
        return;
    memcpy(&h, message, sizeof h);
    h.nlmsg_seq = y->ask->nlmsg_seq;
    h.nlmsg_pid = y->port;
    if (y->name || y->index)
        h.nlmsg_flags &= (uint16_t)~NLM_F_MULTI;
    memcpy(put(&y->reply, message, size), &h, sizeof h);
    y->found++;
}

OBJECT_POOL(relay);
OBJECT_POOL(reply);

/* Dumps, and single links out of them; false: not of these kinds. */
static bool
relay_dump(struct socket *s, const struct nlmsghdr *ask, const uint8_t *body, size_t size, uint32_t port, int *error)
{
    bool dump = (ask->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    struct ifinfomsg info = {0};
    char name[IFNAMSIZ] = "";
    struct relay *y;
    int r;

    if (!network->dump || ask->nlmsg_type < RTM_GETLINK || (ask->nlmsg_type - RTM_BASE) % 4 != 2 ||
        (!dump && ask->nlmsg_type != RTM_GETLINK))
        return false;
    y = OBJECT_NEW(relay);
    if (!y) {
        *error = -ENOBUFS;
        return true;
    }
    *y = (struct relay){.s = s, .ask = ask, .port = port};
    if (!dump) {
        memcpy(&info, body, size < sizeof info ? size : sizeof info);
        y->index = (unsigned)info.ifi_index;
        y->name = y->index ? NULL : asked_name(body, size, name);
    }
    r = dump || y->index || y->name ? network->dump(ask->nlmsg_type, size ? body[0] : AF_UNSPEC, relay_message, y)
                                    : -EINVAL;
    if (r == 0 && !dump && !y->found)
        r = -ENODEV;
    if (sizeof y->reply.data - y->reply.size < 64)
        y->error = queue_reply(s, &y->reply);
    if (r < 0 || dump)
        put_end(&y->reply, ask, port, r, dump && r == 0);
    *error = y->error < 0 ? y->error : queue_reply(s, &y->reply);
    OBJECT_FREE(relay, y);
    return true;
}

void
netlink_tell(struct socket *s, const void *data, size_t size)
{
    struct reply *r = s->open ? OBJECT_NEW(reply) : NULL;

    if (!r)
        return;
    CHECK(size <= sizeof r->data, "a message of the kernel's is too long");
    memcpy(r->data, data, size);
    r->size = size;
    (void)queue_reply(s, r);
    OBJECT_FREE(reply, r);
}

static uint32_t
port_of(const struct socket *s)
{
    return ((const struct sockaddr_nl *)&s->local.storage)->nl_pid;
}

static void
set_port(struct socket *s, uint32_t port, uint32_t groups)
{
    struct sockaddr_nl *nl = (struct sockaddr_nl *)&s->local.storage;

    nl->nl_family = AF_NETLINK;
    nl->nl_pid = port;
    nl->nl_groups = groups;
    s->local.length = sizeof *nl;
}

static int
netlink_bind(struct socket *s, const struct address *a)
{
    static uint32_t next = 0x80000000u;
    const struct sockaddr_nl *nl = (const struct sockaddr_nl *)&a->storage;

    if (a->length < sizeof *nl || nl->nl_family != AF_NETLINK)
        return -EINVAL;
    if (!s->bound || nl->nl_pid)
        set_port(s, nl->nl_pid ? nl->nl_pid : s->bound ? port_of(s) : next++, nl->nl_groups);
    s->bound = true;
    return 0;
}

static int
netlink_connect(struct socket *s, const struct address *a)
{
    return 0;
}

/* One message to the kernel. */
static int
request(struct socket *s, const struct nlmsghdr *h, const uint8_t *body)
{
    size_t size = h->nlmsg_len - sizeof *h;
    struct reply *r;
    int error = 0;

    if (!(h->nlmsg_flags & NLM_F_REQUEST) || h->nlmsg_type < NLMSG_MIN_TYPE || size == 0) {
        if (!(h->nlmsg_flags & NLM_F_ACK))
            return 0;
    } else if (relay_dump(s, h, body, size, port_of(s), &error)) {
        return error;
    }
    r = OBJECT_NEW(reply);
    if (!r)
        return -ENOBUFS;
    if (!(h->nlmsg_flags & NLM_F_REQUEST) || h->nlmsg_type < NLMSG_MIN_TYPE || size == 0)
        put_end(r, h, port_of(s), 0, false);
    else
        answer(r, h, body, size, port_of(s));
    error = queue_reply(s, r);
    OBJECT_FREE(reply, r);
    return error;
}

static ssize_t
netlink_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t size = iov_total(iov, count), at = 0;
    uint8_t *ask;
    int error = 0;

    if (t->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (size == 0)
        return -ENODATA;
    if (size > s->send_limit - 32)
        return -EMSGSIZE;
    if (!s->bound) {
        struct address any = {.length = sizeof(struct sockaddr_nl)};

        any.storage.ss_family = AF_NETLINK;
        netlink_bind(s, &any);
    }
    ask = bytes_new(size);
    if (!ask)
        return -ENOBUFS;
    if (iov_gather(iov, count, 0, ask, size) < size)
        error = -EFAULT;
    while (error == 0 && size - at >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr h;

        memcpy(&h, ask + at, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > size - at)
            break;
        error = request(s, &h, ask + at + sizeof h);
        at += NLMSG_ALIGN(h.nlmsg_len);
        if (at > size)
            break;
    }
    bytes_free(ask);
    return error < 0 ? error : (ssize_t)size;
}

static const struct socket_ops OPS_TABLE(socket_ops) netlink_ops = {QUEUE_SOCKET_OPS, .bind = netlink_bind,
                                                                    .connect = netlink_connect, .send = netlink_send};

struct socket *
netlink_socket_new(int type, int protocol, int *error)
{
    struct socket *s;

    if (type != SOCK_RAW && type != SOCK_DGRAM) {
        *error = -ESOCKTNOSUPPORT;
        return NULL;
    }
    if (protocol != NETLINK_ROUTE) {
        *error = -EPROTONOSUPPORT;
        return NULL;
    }
    s = socket_new(AF_NETLINK, SOCK_DGRAM, protocol, &netlink_ops);
    *error = -ENOMEM;
    if (s) {
        set_port(s, 0, 0);
        s->remote = s->local;
        s->connected = true;
    }
    return s;
}
