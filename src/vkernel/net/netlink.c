/* AF_NETLINK, NETLINK_ROUTE: dumps of the one interface and its addresses, which getifaddrs and ip(8) ask for. */
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include "vkernel/net/socket.h"

enum { REPLY_MAX = 2048 };

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
    struct nlmsghdr h = {.nlmsg_type = (uint16_t)type, .nlmsg_flags = (uint16_t)flags, .nlmsg_seq = ask->nlmsg_seq,
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
put_link(struct reply *r, const struct nlmsghdr *ask, unsigned flags, uint32_t port)
{
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_type = ARPHRD_LOOPBACK, .ifi_index = 1,
                             .ifi_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | 0x10000 /* IFF_LOWER_UP */};
    uint32_t mtu = 65536, qlen = 1000;
    uint8_t state = 0, hw[6] = {0};
    size_t at = start(r, ask, RTM_NEWLINK, flags, port);

    put(r, &info, sizeof info);
    attribute(r, IFLA_IFNAME, "lo", 3);
    attribute(r, IFLA_TXQLEN, &qlen, 4);
    attribute(r, IFLA_OPERSTATE, &state, 1);
    attribute(r, IFLA_MTU, &mtu, 4);
    attribute(r, IFLA_ADDRESS, hw, 6);
    attribute(r, IFLA_BROADCAST, hw, 6);
    attribute(r, IFLA_QDISC, "noqueue", 8);
    finish(r, at);
}

static void
put_address(struct reply *r, const struct nlmsghdr *ask, uint32_t port, bool v6)
{
    static const uint8_t v4_bytes[4] = {127, 0, 0, 1}, v6_bytes[16] = {[15] = 1};
    struct ifaddrmsg a = {.ifa_family = v6 ? AF_INET6 : AF_INET, .ifa_prefixlen = v6 ? 128 : 8, .ifa_flags = IFA_F_PERMANENT,
                          .ifa_scope = RT_SCOPE_HOST, .ifa_index = 1};
    size_t at = start(r, ask, RTM_NEWADDR, NLM_F_MULTI, port);

    put(r, &a, sizeof a);
    attribute(r, IFA_ADDRESS, v6 ? v6_bytes : v4_bytes, v6 ? 16 : 4);
    if (!v6) {
        attribute(r, IFA_LOCAL, v4_bytes, 4);
        attribute(r, IFA_LABEL, "lo", 3);
    }
    finish(r, at);
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

static void
answer(struct reply *r, const struct nlmsghdr *ask, const uint8_t *body, size_t body_size, uint32_t port)
{
    bool dump = (ask->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    unsigned family = body_size ? body[0] : AF_UNSPEC;

    switch (ask->nlmsg_type) {
    case RTM_GETLINK:
        put_link(r, ask, dump ? NLM_F_MULTI : 0, port);
        break;
    case RTM_GETADDR:
        if (family != AF_INET6)
            put_address(r, ask, port, false);
        if (family != AF_INET)
            put_address(r, ask, port, true);
        break;
    case RTM_GETROUTE:
    case RTM_GETNEIGH:
    case RTM_GETRULE:
        if (!dump) {
            put_end(r, ask, port, -ENETUNREACH, false);
            return;
        }
        break;
    default:
        put_end(r, ask, port, capable(12 /* CAP_NET_ADMIN */) ? -EOPNOTSUPP : -EPERM, false);
        return;
    }
    if (dump)
        put_end(r, ask, port, 0, true);
    else if (ask->nlmsg_flags & NLM_F_ACK)
        put_end(r, ask, port, 0, false);
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

static ssize_t
netlink_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    uint8_t ask[1024];
    size_t size = iov_gather(iov, count, 0, ask, sizeof ask), at = 0;

    if (!s->bound) {
        struct address any = {.length = sizeof(struct sockaddr_nl)};

        any.storage.ss_family = AF_NETLINK;
        netlink_bind(s, &any);
    }
    while (size - at >= sizeof(struct nlmsghdr)) {
        struct reply *r;
        struct nlmsghdr h;
        struct message *m;

        memcpy(&h, ask + at, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > size - at)
            break;
        r = calloc(1, sizeof *r);
        if (!r)
            return -ENOBUFS;
        answer(r, &h, ask + at + sizeof h, h.nlmsg_len - sizeof h, port_of(s));
        {
            struct iovec out = {r->data, r->size};

            m = message_new(NULL, &out, 1, r->size, NULL);
        }
        free(r);
        if (!m)
            return -ENOBUFS;
        memcpy(&m->from, &kernel, sizeof kernel);
        m->from_length = sizeof kernel;
        m->creds.pid = 0;
        message_append(s, m);
        at += NLMSG_ALIGN(h.nlmsg_len);
        if (at > size)
            break;
    }
    return (ssize_t)iov_total(iov, count);
}

static const struct socket_ops netlink_ops = {
    QUEUE_SOCKET_OPS, .bind = netlink_bind, .connect = netlink_connect, .send = netlink_send};

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
