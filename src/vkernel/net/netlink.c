/* AF_NETLINK, NETLINK_ROUTE: dumps of the one interface and its addresses, which getifaddrs and ip(8) ask for; with
 * --network host those of the host, asked anew by the platform: nothing of the guest's message but its type and family
 * goes there. */
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include "platform/heap.h"
#include "vkernel/net/socket.h"
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
put_link(struct reply *r, const struct nlmsghdr *ask, unsigned flags, uint32_t port)
{
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC,
                             .ifi_type = ARPHRD_LOOPBACK,
                             .ifi_index = 1,
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
    struct ifaddrmsg a = {.ifa_family = v6 ? AF_INET6 : AF_INET,
                          .ifa_prefixlen = v6 ? 128 : 8,
                          .ifa_flags = IFA_F_PERMANENT,
                          .ifa_scope = RT_SCOPE_HOST,
                          .ifa_index = 1};
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

/* Is the one link that is asked for there? */
static int
find_link(const uint8_t *body, size_t size)
{
    struct ifinfomsg info;
    char name[IFNAMSIZ] = "";

    if (size < sizeof info)
        return -EINVAL;
    memcpy(&info, body, sizeof info);
    if (info.ifi_index)
        return info.ifi_index == 1 ? 0 : -ENODEV;
    if (!asked_name(body, size, name))
        return -EINVAL;
    return strcmp(name, "lo") == 0 ? 0 : -ENODEV;
}

static void
answer(struct reply *r, const struct nlmsghdr *ask, const uint8_t *body, size_t body_size, uint32_t port)
{
    bool dump = (ask->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    unsigned family = body_size ? body[0] : AF_UNSPEC;
    int error;

    switch (ask->nlmsg_type) {
    case RTM_GETLINK:
        if (!dump && (error = find_link(body, body_size)) < 0) {
            put_end(r, ask, port, error, false);
            return;
        }
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
    default: put_end(r, ask, port, capable(12 /* CAP_NET_ADMIN */) ? -EOPNOTSUPP : -EPERM, false); return;
    }
    if (dump)
        put_end(r, ask, port, 0, true);
    else if (ask->nlmsg_flags & NLM_F_ACK)
        put_end(r, ask, port, 0, false);
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
