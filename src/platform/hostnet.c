/* See hostnet.h. */
#include "platform/heap.h"
#include "platform/hostnet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ADDRESS_MAX = sizeof(struct sockaddr_storage),
    DUMP_BUFFER = 32768, /* what Linux's own dumps are cut to */
    TEXT_MAX = 1 << 20,
    PRIORITY_MAX = 6, /* above it the host asks for CAP_NET_ADMIN, which the guest's root must not borrow from ours */
};

#define NEGATIVE(call)                     \
    ({                                     \
        __typeof__(call) result_ = (call); \
        result_ < 0 ? -errno : result_;    \
    })

/* query_fd: any socket, for interface queries; never connected. dump_fd: rtnetlink. Open before lock-down. */
static int events_fd = -1, query_fd = -1, dump_fd = -1;

/* The host's texts that a guest may see. /proc makes its own anew whenever they are read from the start. */
static struct {
    const char *name, *path;
    int fd;
} texts[] = {
    {"hosts", "/etc/hosts", -1},
    {"resolv.conf", "/etc/resolv.conf", -1},
    {"net/dev", "/proc/self/net/dev", -1},
    {"net/route", "/proc/self/net/route", -1},
    {"net/if_inet6", "/proc/self/net/if_inet6", -1},
    {"net/arp", "/proc/self/net/arp", -1},
    {"net/snmp", "/proc/self/net/snmp", -1},
    {"net/sockstat", "/proc/self/net/sockstat", -1},
};

/* --- readiness --- */

int
host_net_start(unsigned *most)
{
    enum { OWN = 64, KEPT_MOST = 1 << 20 }; /* of the limit: for files, and whatever else the vkernel opens */
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    *most = limit.rlim_cur > KEPT_MOST ? KEPT_MOST : limit.rlim_cur > OWN ? (unsigned)limit.rlim_cur - OWN : 0;
    events_fd = epoll_create1(EPOLL_CLOEXEC);
    return events_fd < 0 ? -errno : events_fd;
}

int
host_net_start_queries(void)
{
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        texts[k].fd = open(texts[k].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    dump_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    query_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
    return query_fd < 0 ? -errno : 0;
}

unsigned
host_net_ready(struct host_net_event *out, unsigned max)
{
    struct epoll_event events[64];
    int n = epoll_wait(events_fd, events, max < 64 ? (int)max : 64, 0);

    for (int k = 0; k < n; k++) /* EPOLL* and POLL* have the same values */
        out[k] = (struct host_net_event){.cookie = events[k].data.ptr, .events = (short)(events[k].events & 0x7fff)};
    return n < 0 ? 0 : (unsigned)n;
}

/* Once: to look again must not ask for less. EPOLLET is no value of an enum. */
#define WATCHED \
    (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND | EPOLLET)

int
host_net_watch(int fd, void *cookie)
{
    struct epoll_event e = {.events = WATCHED, .data.ptr = cookie};

    return NEGATIVE(epoll_ctl(events_fd, EPOLL_CTL_ADD, fd, &e));
}

int
host_net_look_again(int fd, void *cookie)
{
    struct epoll_event e = {.events = WATCHED, .data.ptr = cookie};

    return NEGATIVE(epoll_ctl(events_fd, EPOLL_CTL_MOD, fd, &e));
}

/* --- sockets --- */

int
host_socket(int family, int type, int protocol)
{
    static const struct {
        int family, type, protocol;
    } allowed[] = {
        {AF_INET, SOCK_STREAM, IPPROTO_TCP}, {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
        {AF_INET, SOCK_DGRAM, IPPROTO_UDP},  {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
        {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
    };

    for (size_t k = 0; k < sizeof allowed / sizeof *allowed; k++)
        if (allowed[k].family == family && allowed[k].type == type && allowed[k].protocol == protocol)
            return NEGATIVE(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    return -EPROTONOSUPPORT;
}

static int
check_address(const void *address, socklen_t length)
{
    sa_family_t family;

    if (length < sizeof family || length > ADDRESS_MAX)
        return -EINVAL;
    memcpy(&family, address, sizeof family);
    return family == AF_INET || family == AF_INET6 || family == AF_UNSPEC ? 0 : -EAFNOSUPPORT;
}

int
host_socket_bind(int fd, const void *address, socklen_t length)
{
    int r = check_address(address, length);

    return r < 0 ? r : NEGATIVE(bind(fd, address, length));
}

int
host_socket_connect(int fd, const void *address, socklen_t length)
{
    int r = check_address(address, length);

    return r < 0 ? r : NEGATIVE(connect(fd, address, length));
}

int
host_socket_listen(int fd, int backlog)
{
    return NEGATIVE(listen(fd, backlog));
}

int
host_socket_accept(int fd, struct sockaddr_storage *from, socklen_t *length)
{
    *length = sizeof *from;
    return NEGATIVE(accept4(fd, (struct sockaddr *)from, length, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

int
host_socket_shutdown(int fd, int how)
{
    return NEGATIVE(shutdown(fd, how));
}

int
host_socket_name(int fd, bool peer, struct sockaddr_storage *out, socklen_t *length)
{
    *length = sizeof *out;
    return peer ? NEGATIVE(getpeername(fd, (struct sockaddr *)out, length))
                : NEGATIVE(getsockname(fd, (struct sockaddr *)out, length));
}

/* --- messages --- */

static bool
control_allowed(const struct cmsghdr *c)
{
    switch (c->cmsg_level) {
    case IPPROTO_IP: return c->cmsg_type == IP_PKTINFO || c->cmsg_type == IP_TTL || c->cmsg_type == IP_TOS;
    case IPPROTO_IPV6:
        return c->cmsg_type == IPV6_PKTINFO || c->cmsg_type == IPV6_HOPLIMIT || c->cmsg_type == IPV6_TCLASS ||
               c->cmsg_type == IPV6_DONTFRAG;
    case IPPROTO_UDP: return c->cmsg_type == UDP_SEGMENT;
    default: return false; /* SCM_RIGHTS above all */
    }
}

ssize_t
host_socket_send(int fd, const struct host_message *m)
{
    enum { PASSED = MSG_OOB | MSG_DONTROUTE | MSG_MORE | MSG_EOR | MSG_CONFIRM };
    struct msghdr h = {.msg_iov = m->iov, .msg_iovlen = (size_t)m->count};
    int flags = (m->flags & PASSED) | MSG_DONTWAIT | MSG_NOSIGNAL;

    if (m->count == 1 && !m->to && !(m->control && m->control_size)) /* cheaper for the host */
        return NEGATIVE(send(fd, m->iov->iov_base, m->iov->iov_len, flags));
    if (m->to) {
        int r = check_address(m->to, m->to_length);

        if (r < 0)
            return r;
        h.msg_name = (void *)(uintptr_t)m->to;
        h.msg_namelen = m->to_length;
    }
    if (m->control && m->control_size) {
        h.msg_control = m->control;
        h.msg_controllen = m->control_size;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
            if (c->cmsg_len < sizeof *c || !control_allowed(c))
                return -EINVAL;
    }
    return NEGATIVE(sendmsg(fd, &h, flags));
}

ssize_t
host_socket_receive(int fd, struct host_message *m)
{
    enum { PASSED = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE };
    struct msghdr h = {.msg_iov = m->iov,
                       .msg_iovlen = (size_t)m->count,
                       .msg_name = m->from,
                       .msg_namelen = m->from ? sizeof *m->from : 0,
                       .msg_control = m->control,
                       .msg_controllen = m->control ? m->control_size : 0};
    int flags = (m->flags & PASSED) | MSG_DONTWAIT;
    ssize_t n;

    if (m->plain && m->count == 1 && flags == MSG_DONTWAIT && !h.msg_control) { /* cheaper for the host */
        m->from_length = 0;
        m->control_size = 0;
        m->flags = 0;
        return NEGATIVE(recv(fd, m->iov->iov_base, m->iov->iov_len, flags));
    }
    n = NEGATIVE(recvmsg(fd, &h, flags | MSG_CMSG_CLOEXEC));
    if (n < 0)
        return n;
    m->from_length = h.msg_namelen;
    m->control_size = h.msg_controllen;
    m->flags = h.msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_OOB | MSG_EOR | MSG_ERRQUEUE);
    return n;
}

/* --- options --- */

enum { GET = 1, SET = 2, BOTH = 3 };

/* Plain numbers and structures without pointers, harmless to the host whoever sets them. */
/* clang-format off */
static const struct { int level, name, access; } option_list[] = {
    {SOL_SOCKET, SO_REUSEADDR, BOTH},     {SOL_SOCKET, SO_REUSEPORT, BOTH},      {SOL_SOCKET, SO_ERROR, GET},
    {SOL_SOCKET, SO_DONTROUTE, BOTH},     {SOL_SOCKET, SO_BROADCAST, BOTH},      {SOL_SOCKET, SO_SNDBUF, BOTH},
    {SOL_SOCKET, SO_RCVBUF, BOTH},        {SOL_SOCKET, SO_KEEPALIVE, BOTH},      {SOL_SOCKET, SO_OOBINLINE, BOTH},
    {SOL_SOCKET, SO_PRIORITY, BOTH},      {SOL_SOCKET, SO_LINGER, BOTH},         {SOL_SOCKET, SO_RCVLOWAT, BOTH},
    {SOL_SOCKET, SO_SNDLOWAT, GET},       {SOL_SOCKET, SO_ACCEPTCONN, GET},      {SOL_SOCKET, SO_TIMESTAMP, BOTH},
    {SOL_SOCKET, SO_TIMESTAMPNS, BOTH},   {SOL_SOCKET, SO_INCOMING_CPU, GET},    {SOL_SOCKET, SO_RXQ_OVFL, BOTH},
    {SOL_SOCKET, SO_MEMINFO, GET},        {SOL_SOCKET, SO_SELECT_ERR_QUEUE, BOTH}, {SOL_SOCKET, SO_MAX_PACING_RATE, BOTH},
    {IPPROTO_TCP, TCP_NODELAY, BOTH},     {IPPROTO_TCP, TCP_MAXSEG, BOTH},       {IPPROTO_TCP, TCP_CORK, BOTH},
    {IPPROTO_TCP, TCP_KEEPIDLE, BOTH},    {IPPROTO_TCP, TCP_KEEPINTVL, BOTH},    {IPPROTO_TCP, TCP_KEEPCNT, BOTH},
    {IPPROTO_TCP, TCP_SYNCNT, BOTH},      {IPPROTO_TCP, TCP_LINGER2, BOTH},      {IPPROTO_TCP, TCP_DEFER_ACCEPT, BOTH},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, BOTH}, {IPPROTO_TCP, TCP_INFO, GET},         {IPPROTO_TCP, TCP_QUICKACK, BOTH},
    {IPPROTO_TCP, TCP_CONGESTION, BOTH},  {IPPROTO_TCP, TCP_USER_TIMEOUT, BOTH}, {IPPROTO_TCP, TCP_FASTOPEN, BOTH},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, BOTH}, {IPPROTO_TCP, TCP_INQ, BOTH},        {IPPROTO_UDP, UDP_CORK, BOTH},
    {IPPROTO_UDP, UDP_SEGMENT, BOTH},     {IPPROTO_UDP, UDP_GRO, BOTH},          {IPPROTO_IP, IP_TOS, BOTH},
    {IPPROTO_IP, IP_TTL, BOTH},           {IPPROTO_IP, IP_PKTINFO, BOTH},        {IPPROTO_IP, IP_RECVTTL, BOTH},
    {IPPROTO_IP, IP_RECVTOS, BOTH},       {IPPROTO_IP, IP_RECVERR, BOTH},        {IPPROTO_IP, IP_RECVORIGDSTADDR, BOTH},
    {IPPROTO_IP, IP_MTU_DISCOVER, BOTH},  {IPPROTO_IP, IP_MTU, GET},             {IPPROTO_IP, IP_MINTTL, BOTH},
    {IPPROTO_IP, IP_MULTICAST_IF, BOTH},  {IPPROTO_IP, IP_MULTICAST_TTL, BOTH},  {IPPROTO_IP, IP_MULTICAST_LOOP, BOTH},
    {IPPROTO_IP, IP_MULTICAST_ALL, BOTH}, {IPPROTO_IP, IP_ADD_MEMBERSHIP, SET},  {IPPROTO_IP, IP_DROP_MEMBERSHIP, SET},
    {IPPROTO_IP, IP_UNICAST_IF, BOTH},    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, BOTH},
    {IPPROTO_IP, MCAST_JOIN_GROUP, SET},  {IPPROTO_IP, MCAST_LEAVE_GROUP, SET},
    {IPPROTO_IPV6, IPV6_V6ONLY, BOTH},    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, BOTH},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, BOTH}, {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, BOTH},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, BOTH}, {IPPROTO_IPV6, IPV6_MULTICAST_ALL, BOTH},
    {IPPROTO_IPV6, IPV6_JOIN_GROUP, SET}, {IPPROTO_IPV6, IPV6_LEAVE_GROUP, SET}, {IPPROTO_IPV6, MCAST_JOIN_GROUP, SET},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP, SET}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER, BOTH}, {IPPROTO_IPV6, IPV6_MTU, BOTH},
    {IPPROTO_IPV6, IPV6_RECVERR, BOTH},   {IPPROTO_IPV6, IPV6_RECVPKTINFO, BOTH}, {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, BOTH},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, BOTH}, {IPPROTO_IPV6, IPV6_TCLASS, BOTH},    {IPPROTO_IPV6, IPV6_DONTFRAG, BOTH},
    {IPPROTO_IPV6, IPV6_UNICAST_IF, BOTH}, {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, BOTH},
    {IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, BOTH},
};
/* clang-format on */

static bool
option_allowed(int level, int name, int access)
{
    for (size_t k = 0; k < sizeof option_list / sizeof *option_list; k++)
        if (option_list[k].level == level && option_list[k].name == name)
            return option_list[k].access & access;
    return false;
}

/* What must hold of values: rights that this process may have and the guest must not borrow, and calls that would
 * wait. */
static int
check_value(int level, int name, const void *value, socklen_t size)
{
    if (level == SOL_SOCKET && name == SO_PRIORITY) {
        int priority = 0;

        if (size < sizeof priority)
            return -EINVAL;
        memcpy(&priority, value, sizeof priority);
        return priority >= 0 && priority <= PRIORITY_MAX ? 0 : -EPERM;
    }
    if (level == SOL_SOCKET && name == SO_LINGER) {
        struct linger l;

        if (size < sizeof l)
            return -EINVAL;
        memcpy(&l, value, sizeof l);
        return l.l_onoff && l.l_linger ? -EOPNOTSUPP : 0;
    }
    if (level == IPPROTO_TCP && name == TCP_CONGESTION) /* any other name may load a module of the host */
        return (size >= 5 && memcmp(value, "cubic", 5) == 0 && (size == 5 || !((const char *)value)[5])) ||
                       (size >= 4 && memcmp(value, "reno", 4) == 0 && (size == 4 || !((const char *)value)[4]))
                   ? 0
                   : -ENOENT;
    return 0;
}

int
host_socket_set_option(int fd, int level, int name, const void *value, socklen_t size)
{
    int r = option_allowed(level, name, SET) ? check_value(level, name, value, size) : -ENOPROTOOPT;

    return r < 0 ? r : NEGATIVE(setsockopt(fd, level, name, value, size));
}

int
host_socket_get_option(int fd, int level, int name, void *value, socklen_t *size)
{
    return option_allowed(level, name, GET) ? NEGATIVE(getsockopt(fd, level, name, value, size)) : -ENOPROTOOPT;
}

int
host_socket_unsent(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCOUTQ, &n) < 0 ? -errno : n;
}

int
host_tcp_state(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info.tcpi_state;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ? TCP_CLOSE : info.tcpi_state;
}

int
host_socket_at_mark(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCATMARK, &n) < 0 ? -errno : n;
}

/* --- interfaces --- */

bool
host_interface_request(unsigned long request)
{
    switch (request) {
    case SIOCGIFNAME:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFMETRIC:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFINDEX:
    case SIOCGIFTXQLEN: return true;
    default: return false;
    }
}

int
host_interface_get(unsigned long request, struct ifreq *r)
{
    r->ifr_name[IFNAMSIZ - 1] = '\0';
    return host_interface_request(request) ? NEGATIVE(ioctl(query_fd, request, r)) : -ENOTTY;
}

int
host_interface_list(struct ifreq *out, unsigned max)
{
    struct ifconf c = {.ifc_len = (int)(max * sizeof *out), .ifc_req = out};

    return ioctl(query_fd, SIOCGIFCONF, &c) < 0 ? -errno : c.ifc_len / (int)sizeof *out;
}

/* One datagram of the answer; 1: more to come. */
static int
dump_part(const uint8_t *data, size_t size, uint32_t sequence, void (*each)(const void *, size_t, void *), void *arg)
{
    while (size >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr h;
        size_t padded;

        memcpy(&h, data, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > size)
            return -EIO;
        if (h.nlmsg_seq == sequence) {
            if (h.nlmsg_type == NLMSG_DONE)
                return 0;
            if (h.nlmsg_type == NLMSG_ERROR)
                return -EOPNOTSUPP;
            each(data, h.nlmsg_len, arg);
        }
        padded = NLMSG_ALIGN(h.nlmsg_len);
        if (padded >= size)
            break;
        data += padded;
        size -= padded;
    }
    return 1;
}

int
host_network_dump(unsigned type, unsigned family, void (*each)(const void *message, size_t size, void *arg), void *arg)
{
    static uint32_t sequence;
    struct {
        struct nlmsghdr header;
        uint8_t body[16]; /* the family, then zeros */
    } ask = {.header = {.nlmsg_type = (uint16_t)type,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                        .nlmsg_seq = ++sequence},
             .body = {(uint8_t)family}};
    uint8_t *buf;
    int r = 1;

    switch (type) {
    case RTM_GETLINK: ask.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)); break;
    case RTM_GETADDR: ask.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)); break;
    case RTM_GETROUTE:
    case RTM_GETRULE: /* struct fib_rule_hdr is of the same size */
        ask.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
        break;
    case RTM_GETNEIGH: ask.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg)); break;
    default: return -EOPNOTSUPP;
    }
    buf = bytes_new(DUMP_BUFFER);
    while (buf && recv(dump_fd, buf, DUMP_BUFFER, MSG_DONTWAIT) > 0)
        ; /* what an earlier dump left when it was given up */
    if (!buf || send(dump_fd, &ask, ask.header.nlmsg_len, MSG_DONTWAIT) < 0)
        r = buf ? -errno : -ENOMEM;
    while (r == 1) { /* a dump is made by the reading of it: there is always a next part */
        ssize_t n = recv(dump_fd, buf, DUMP_BUFFER, MSG_DONTWAIT);

        r = n <= 0 ? n < 0 ? -errno : -EIO : dump_part(buf, (size_t)n, sequence, each, arg);
    }
    bytes_free(buf);
    return r;
}

/* --- texts --- */

static char *
read_text(int fd)
{
    size_t size = 0, capacity = 4096;
    char *text = NULL;

    for (;;) {
        char *more = bytes_resize(text, capacity);
        ssize_t n;

        if (!more)
            break;
        text = more;
        n = pread(fd, text + size, capacity - size - 1, (off_t)size);
        if (n <= 0)
            break;
        size += (size_t)n;
        if (capacity - size < 1024) {
            if (capacity >= TEXT_MAX)
                break;
            capacity *= 2;
        }
    }
    if (text)
        text[size] = '\0';
    return text;
}

char *
host_network_text(const char *name)
{
    int fd = -1;

    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (strcmp(texts[k].name, name) == 0)
            fd = texts[k].fd;
    return fd < 0 ? NULL : read_text(fd);
}

char *
host_resolvers(void)
{
    int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text = fd < 0 ? NULL : read_text(fd);

    if (fd >= 0)
        close(fd);
    return text;
}

int
host_name(char *out, size_t size)
{
    if (gethostname(out, size) < 0)
        return -errno;
    out[size - 1] = '\0';
    return 0;
}
