/* Control messages besides those of struct scm: what a sender says of its datagram's headers, and what a receiver wants
 * to be told of them, of the time and of what was lost. The order is Linux's. */
#include <time.h>

#include <linux/errqueue.h>
#include <linux/netlink.h>
#include <linux/tcp.h>

#include "vkernel/net/socket.h"

enum { LOOPBACK_INDEX = 1 };

/* --- receiving --- */

/* Linux's put_cmsg: as much of it as there is room for. */
static void
put(struct transfer *t, int level, int type, const void *data, size_t size)
{
    struct cmsghdr h = {.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
    size_t left = t->control ? t->control_room - t->control_size : 0, padded = CMSG_SPACE(size);
    uint8_t *at;

    if (left < sizeof h) {
        t->out_flags |= MSG_CTRUNC;
        return;
    }
    if (left < h.cmsg_len) {
        t->out_flags |= MSG_CTRUNC;
        h.cmsg_len = left;
    }
    at = (uint8_t *)t->control + t->control_size; /* without room there may be no memory either */
    memset(at, 0, left < padded ? left : padded);
    memcpy(at, &h, sizeof h);
    memcpy(at + sizeof h, data, h.cmsg_len - sizeof h);
    t->control_size += left < padded ? left : padded;
}

static void
put_int(struct transfer *t, int level, int type, int value)
{
    put(t, level, type, &value, sizeof value);
}

static bool
is_mapped(const struct in6_addr *a)
{
    return IN6_IS_ADDR_V4MAPPED(a);
}

static void
put_time(const struct socket *s, const struct message *m, struct transfer *t)
{
    enum { REPORT = 1 << 4, TAKE = 1 << 3 };               /* SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_RX_SOFTWARE */
    uint64_t ns = m->time ? m->time : clock_realtime_ns(); /* it came before anybody asked */
    struct timespec all[3] = {{(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}};
    struct timeval micro = {all[0].tv_sec, all[0].tv_nsec / 1000};

    if (s->stamp == SO_TIMESTAMP)
        put(t, SOL_SOCKET, SO_TIMESTAMP, &micro, sizeof micro);
    else if (s->stamp == SO_TIMESTAMPNS)
        put(t, SOL_SOCKET, SO_TIMESTAMPNS, &all[0], sizeof all[0]);
    if ((s->stamping & (REPORT | TAKE)) == (REPORT | TAKE) && s->family != AF_UNIX)
        put(t, SOL_SOCKET, SO_TIMESTAMPING, all, sizeof all);
}

static struct sockaddr_storage
destination(const struct packet *p, bool six)
{
    struct sockaddr_storage a = {.ss_family = six ? AF_INET6 : AF_INET};

    if (six) {
        ((struct sockaddr_in6 *)&a)->sin6_addr = p->to;
        ((struct sockaddr_in6 *)&a)->sin6_port = htons(p->port);
    } else {
        memcpy(&((struct sockaddr_in *)&a)->sin_addr, &p->to.s6_addr[12], 4);
        ((struct sockaddr_in *)&a)->sin_port = htons(p->port);
    }
    return a;
}

static void
put_headers_4(const struct socket *s, const struct packet *p, struct transfer *t)
{
    struct in_pktinfo info = {.ipi_ifindex = LOOPBACK_INDEX};
    struct sockaddr_storage to = destination(p, false);

    memcpy(&info.ipi_addr, &p->to.s6_addr[12], 4);
    info.ipi_spec_dst = info.ipi_addr;
    if (socket_option(s, IP_PKTINFO))
        put(t, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    if (socket_option(s, IP_RECVTTL))
        put_int(t, IPPROTO_IP, IP_TTL, p->ttl);
    if (socket_option(s, IP_RECVTOS))
        put(t, IPPROTO_IP, IP_TOS, &p->tos, sizeof p->tos);
    if (socket_option(s, IP_RECVORIGDSTADDR))
        put(t, IPPROTO_IP, IP_ORIGDSTADDR, &to, sizeof(struct sockaddr_in));
}

static void
put_headers_6(const struct socket *s, const struct packet *p, struct transfer *t)
{
    struct sockaddr_storage to = destination(p, true);

    if (socket_option(s, IPV6_RECVHOPLIMIT))
        put_int(t, IPPROTO_IPV6, IPV6_HOPLIMIT, p->ttl);
    if (socket_option(s, IPV6_RECVTCLASS))
        put_int(t, IPPROTO_IPV6, IPV6_TCLASS, p->tos);
    if (socket_option(s, IPV6_RECVORIGDSTADDR))
        put(t, IPPROTO_IPV6, IPV6_ORIGDSTADDR, &to, sizeof(struct sockaddr_in6));
}

/* IP_RECVERR: what went wrong, and who said so. */
static void
put_error(const struct packet *p, struct transfer *t, bool six)
{
    enum { UNREACHABLE_4 = 3, PORT_4 = 3, UNREACHABLE_6 = 1, PORT_6 = 4 }; /* ICMP's types and codes */
    struct {
        struct sock_extended_err e;
        union {
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } offender;
    } r = {.e = {.ee_errno = (uint32_t)p->error}};

    r.e.ee_origin = six ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
    r.e.ee_type = six ? UNREACHABLE_6 : UNREACHABLE_4;
    r.e.ee_code = six ? PORT_6 : PORT_4;
    if (six) {
        r.offender.v6.sin6_family = AF_INET6;
        r.offender.v6.sin6_addr = p->to;
        put(t, IPPROTO_IPV6, IPV6_RECVERR, &r, sizeof r.e + sizeof r.offender.v6);
    } else {
        r.offender.v4.sin_family = AF_INET;
        memcpy(&r.offender.v4.sin_addr, &p->to.s6_addr[12], 4);
        put(t, IPPROTO_IP, IP_RECVERR, &r, sizeof r.e + sizeof r.offender.v4);
    }
}

static void
put_headers(const struct socket *s, const struct packet *p, struct transfer *t)
{
    struct in6_pktinfo info = {.ipi6_addr = p->to, .ipi6_ifindex = LOOPBACK_INDEX};
    bool four = is_mapped(&p->to);

    if (p->error) {
        put_error(p, t, !four);
        return;
    }
    if (s->family == AF_INET6 && socket_option(s, IPV6_RECVPKTINFO))
        put(t, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    if (four)
        put_headers_4(s, p, t);
    else
        put_headers_6(s, p, t);
}

void
ancillary_of(struct socket *s, const struct message *m, struct transfer *t)
{
    uint32_t group = 0;
    bool stream = s->type == SOCK_STREAM;

    if ((s->stamp || s->stamping) && !(stream && s->family == AF_UNIX) && !m->packet.error)
        put_time(s, m, t);
    if (stream && s->protocol == IPPROTO_TCP && socket_option(s, TCP_INQ))
        put_int(t, IPPROTO_TCP, TCP_CM_INQ, (int)s->queued);
    if (socket_option(s, SO_RXQ_OVFL) && m->drops)
        put(t, SOL_SOCKET, SO_RXQ_OVFL, &m->drops, sizeof m->drops);
    if (s->protocol == IPPROTO_UDP && s->family != AF_UNIX)
        put_headers(s, &m->packet, t);
    if (s->family == AF_NETLINK && socket_option(s, NETLINK_PKTINFO))
        put(t, SOL_NETLINK, NETLINK_PKTINFO, &group, sizeof group);
}

/* --- sending --- */

static int
number_of(const struct cmsghdr *c, int low, int *value)
{
    if (c->cmsg_len != CMSG_LEN(sizeof *value))
        return -EINVAL;
    memcpy(value, CMSG_DATA(c), sizeof *value);
    return *value < low || *value > 255 ? -EINVAL : 0;
}

/* One control message of IPv4. */
static int
header_4(const struct cmsghdr *c, struct packet *p, struct in6_addr *from)
{
    struct in_pktinfo info;
    int value = 0, r;

    switch (c->cmsg_type) {
    case IP_PKTINFO:
        if (c->cmsg_len != CMSG_LEN(sizeof info))
            return -EINVAL;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        if (info.ipi_ifindex && info.ipi_ifindex != LOOPBACK_INDEX)
            return -ENETUNREACH;
        if (info.ipi_spec_dst.s_addr) {
            from->s6_addr[10] = from->s6_addr[11] = 0xff;
            memcpy(&from->s6_addr[12], &info.ipi_spec_dst, 4);
        }
        return 0;
    case IP_TTL:
        r = number_of(c, 1, &value);
        p->ttl = r == 0 ? (uint8_t)value : p->ttl;
        return r;
    case IP_TOS:
        if (c->cmsg_len == CMSG_LEN(1)) {
            p->tos = *CMSG_DATA(c);
            return 0;
        }
        r = number_of(c, 0, &value);
        p->tos = r == 0 ? (uint8_t)value : p->tos;
        return r;
    default: return -EINVAL;
    }
}

static int
header_6(const struct cmsghdr *c, struct packet *p, struct in6_addr *from)
{
    struct in6_pktinfo info;
    int value = 0, r;

    switch (c->cmsg_type) {
    case IPV6_PKTINFO:
        if (c->cmsg_len < CMSG_LEN(sizeof info))
            return -EINVAL;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        if (info.ipi6_ifindex && info.ipi6_ifindex != LOOPBACK_INDEX)
            return -ENODEV;
        *from = info.ipi6_addr;
        return 0;
    case IPV6_HOPLIMIT:
    case IPV6_TCLASS:
        r = number_of(c, -1, &value);
        if (r == 0 && value >= 0)
            *(c->cmsg_type == IPV6_TCLASS ? &p->tos : &p->ttl) = (uint8_t)value;
        return r;
    case IPV6_DONTFRAG: return number_of(c, 0, &value) < 0 || value > 1 ? -EINVAL : 0;
    default: return -EINVAL;
    }
}

int
packet_headers(const struct socket *s, const struct transfer *t, struct packet *p, struct in6_addr *from)
{
    struct msghdr h = {.msg_control = t->control, .msg_controllen = t->control ? t->control_size : 0};
    bool four = is_mapped(&p->to);

    *from = (struct in6_addr){0};
    p->ttl = (uint8_t)(four ? socket_option(s, IP_TTL) : socket_option(s, IPV6_UNICAST_HOPS));
    p->tos = (uint8_t)(four ? socket_option(s, IP_TOS) : socket_option(s, IPV6_TCLASS));
    /* their lengths were checked: control_in */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        int r = c->cmsg_level == IPPROTO_IP && four                      ? header_4(c, p, from)
                : c->cmsg_level == IPPROTO_IPV6 && s->family == AF_INET6 ? header_6(c, p, from)
                : c->cmsg_level == IPPROTO_UDP                           ? -EINVAL
                                                                         : 0;

        if (r < 0)
            return r;
    }
    return 0;
}
