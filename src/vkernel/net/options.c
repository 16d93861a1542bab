/* getsockopt, setsockopt. Options without an effect on a loopback are remembered and given back. */
#include <netinet/tcp.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/net/socket.h"

int
socket_option(const struct socket *s, int level, int name, int fallback)
{
    for (unsigned k = 0; k < s->option_count; k++)
        if (s->options[k].level == level && s->options[k].name == name)
            return s->options[k].value;
    return fallback;
}

static int
remember(struct socket *s, int level, int name, int value)
{
    for (unsigned k = 0; k < s->option_count; k++)
        if (s->options[k].level == level && s->options[k].name == name) {
            s->options[k].value = value;
            return 0;
        }
    if (s->option_count == OPTION_SLOTS)
        return -ENOBUFS;
    s->options[s->option_count].level = level;
    s->options[s->option_count].name = name;
    s->options[s->option_count++].value = value;
    return 0;
}

static uint64_t
timeval_ns(const struct timeval *t)
{
    if (t->tv_sec < 0 || (uint64_t)t->tv_sec > 4000000000u)
        return 0;
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_usec * 1000u;
}

static int
set_timeout(uint64_t *out, guest_addr p, uint64_t size)
{
    struct timeval t;

    if (size < sizeof t)
        return -EINVAL;
    if (copy_from_guest(&t, p, sizeof t) < 0)
        return -EFAULT;
    if (t.tv_usec < 0 || t.tv_usec > 999999)
        return -EDOM;
    *out = timeval_ns(&t);
    return 0;
}

static int
set_buffer(struct socket *s, int name, int value)
{
    enum { SMALLEST_SEND = 4608, SMALLEST_RECEIVE = 2304, FORCED = INT_MAX / 2 };
    bool force = name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE;
    size_t size;

    if (force && !capable(CAP_NET_ADMIN))
        return -EPERM;
    if (force)
        size = value < 0 ? 0 : value > FORCED ? FORCED : (size_t)value;
    else
        size = (unsigned)value > LIMIT_SOCKET_BUFFER ? LIMIT_SOCKET_BUFFER : (size_t)value; /* a negative one is large */
    size *= 2; /* as Linux does: the other half is for what messages take besides their bytes */
    if (name == SO_RCVBUF || name == SO_RCVBUFFORCE)
        s->receive_limit = size < SMALLEST_RECEIVE ? SMALLEST_RECEIVE : size;
    else
        s->send_limit = size < SMALLEST_SEND ? SMALLEST_SEND : size;
    return 0;
}

static int
set_socket_level(struct socket *s, int name, guest_addr p, uint64_t size)
{
    int value;

    switch (name) {
    case SO_RCVTIMEO:
        return set_timeout(&s->receive_timeout, p, size);
    case SO_SNDTIMEO:
        return set_timeout(&s->send_timeout, p, size);
    case SO_LINGER:
        if (size < sizeof s->linger)
            return -EINVAL;
        return copy_from_guest(&s->linger, p, sizeof s->linger);
    case SO_BINDTODEVICE:
    case SO_ATTACH_FILTER:
        return -EPERM;
    case SO_DETACH_FILTER:
        return -ENOENT;
    default:
        break;
    }
    if (size < sizeof value)
        return -EINVAL;
    if (copy_from_guest(&value, p, sizeof value) < 0)
        return -EFAULT;
    switch (name) {
    case SO_SNDBUF:
    case SO_RCVBUF:
    case SO_SNDBUFFORCE:
    case SO_RCVBUFFORCE:
        return set_buffer(s, name, value);
    case SO_PASSCRED:
        s->pass_creds = value != 0;
        return 0;
    case SO_REUSEADDR:
    case SO_REUSEPORT:
    case SO_KEEPALIVE:
    case SO_BROADCAST:
    case SO_OOBINLINE:
    case SO_DONTROUTE:
    case SO_TIMESTAMP:
    case SO_TIMESTAMPNS:
        return remember(s, SOL_SOCKET, name, value != 0);
    case SO_PRIORITY:
    case SO_RCVLOWAT:
    case SO_PASSSEC:
    case SO_INCOMING_CPU:
    case SO_BUSY_POLL:
    case SO_ZEROCOPY:
    case SO_MAX_PACING_RATE:
        return remember(s, SOL_SOCKET, name, value);
    case SO_MARK:
        return capable(12 /* CAP_NET_ADMIN */) ? remember(s, SOL_SOCKET, name, value) : -EPERM;
    default:
        return -ENOPROTOOPT;
    }
}

int
queue_set_option(struct socket *s, int level, int name, guest_addr p, uint32_t size)
{
    int value = 0;
    uint8_t byte;

    if (level == SOL_SOCKET)
        return set_socket_level(s, name, p, size);
    if (s->family == AF_NETLINK && level == 270 /* SOL_NETLINK */)
        return 0;
    if (s->family != AF_INET && s->family != AF_INET6)
        return s->family == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
    if (level == IPPROTO_TCP && s->protocol != IPPROTO_TCP)
        return -EOPNOTSUPP;
    if (level == IPPROTO_IPV6 && s->family != AF_INET6)
        return -ENOPROTOOPT;
    if (level != IPPROTO_TCP && level != IPPROTO_UDP && level != IPPROTO_IP && level != IPPROTO_IPV6)
        return -ENOPROTOOPT;
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return 0;
    if (size >= sizeof value) {
        if (copy_from_guest(&value, p, sizeof value) < 0)
            return -EFAULT;
    } else if (size >= 1) {
        if (copy_from_guest(&byte, p, 1) < 0)
            return -EFAULT;
        value = byte;
    }
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && s->bound)
        return -EINVAL;
    return remember(s, level, name, value);
}

int64_t
sys_setsockopt(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    struct socket *s = f ? file_socket(f) : NULL;

    if (!f)
        return -EBADF;
    if (!s)
        return -ENOTSOCK;
    if ((int)a[4] < 0)
        return -EINVAL;
    return s->ops->set_option(s, (int)a[1], (int)a[2], a[3], (uint32_t)a[4]);
}

/* --- get --- */

int
option_give(const struct option_out *o, const void *data, size_t size)
{
    uint32_t n = size < o->room ? (uint32_t)size : o->room;

    if (n && copy_to_guest(o->p, data, n) < 0)
        return -EFAULT;
    return copy_to_guest(o->length, &n, sizeof n);
}

static int
give_int(const struct option_out *o, int value)
{
    return option_give(o, &value, sizeof value);
}

static int
give_timeout(const struct option_out *o, uint64_t ns)
{
    struct timeval t = {(time_t)(ns / 1000000000u), (suseconds_t)(ns % 1000000000u / 1000u)};

    return option_give(o, &t, sizeof t);
}

static int
get_socket_level(struct socket *s, int name, const struct option_out *o)
{
    int e;

    switch (name) {
    case SO_TYPE:
        return give_int(o, s->type);
    case SO_DOMAIN:
        return give_int(o, s->family);
    case SO_PROTOCOL:
        return give_int(o, s->protocol);
    case SO_ERROR:
        e = s->error;
        s->error = 0;
        return give_int(o, e);
    case SO_ACCEPTCONN:
        return give_int(o, s->listening);
    case SO_SNDBUF:
        return give_int(o, (int)s->send_limit);
    case SO_RCVBUF:
        return give_int(o, (int)s->receive_limit);
    case SO_RCVTIMEO:
        return give_timeout(o, s->receive_timeout);
    case SO_SNDTIMEO:
        return give_timeout(o, s->send_timeout);
    case SO_LINGER:
        return option_give(o, &s->linger, sizeof s->linger);
    case SO_PASSCRED:
        return give_int(o, s->pass_creds);
    case SO_PEERCRED:
        if (s->family != AF_UNIX || (!s->connected && !s->listening)) {
            struct ucred none = {0, (uid_t)-1, (gid_t)-1};

            return option_give(o, &none, sizeof none);
        }
        return option_give(o, &s->peer_creds, sizeof s->peer_creds);
    case SO_RCVLOWAT:
        return give_int(o, socket_option(s, SOL_SOCKET, name, 1));
    case SO_SNDLOWAT:
        return give_int(o, 1);
    case SO_COOKIE: {
        uint64_t cookie = s->inode ? s->inode->ino : 0; /* not our address: guests must not learn where we are */

        return option_give(o, &cookie, sizeof cookie);
    }
    case SO_REUSEADDR:
    case SO_REUSEPORT:
    case SO_KEEPALIVE:
    case SO_BROADCAST:
    case SO_OOBINLINE:
    case SO_DONTROUTE:
    case SO_TIMESTAMP:
    case SO_TIMESTAMPNS:
    case SO_PRIORITY:
    case SO_MARK:
    case SO_PASSSEC:
    case SO_BUSY_POLL:
    case SO_ZEROCOPY:
        return give_int(o, socket_option(s, SOL_SOCKET, name, 0));
    case SO_INCOMING_CPU:
        return give_int(o, 0);
    default:
        return -ENOPROTOOPT;
    }
}

static int
get_tcp(struct socket *s, int name, const struct option_out *o)
{
    struct tcp_info info = {0};

    switch (name) {
    case TCP_INFO:
        info.tcpi_state = s->listening ? TCP_LISTEN : s->peer ? TCP_ESTABLISHED : TCP_CLOSE;
        info.tcpi_snd_mss = info.tcpi_rcv_mss = 65483;
        return option_give(o, &info, sizeof info);
    case TCP_CONGESTION:
        return option_give(o, "cubic\0\0\0\0\0\0\0\0\0\0", 16);
    case TCP_MAXSEG:
        return give_int(o, socket_option(s, IPPROTO_TCP, name, s->connected ? 65483 : 536));
    case TCP_KEEPIDLE:
        return give_int(o, socket_option(s, IPPROTO_TCP, name, 7200));
    case TCP_KEEPINTVL:
        return give_int(o, socket_option(s, IPPROTO_TCP, name, 75));
    case TCP_KEEPCNT:
        return give_int(o, socket_option(s, IPPROTO_TCP, name, 9));
    default:
        return give_int(o, socket_option(s, IPPROTO_TCP, name, 0));
    }
}

int
queue_get_option(struct socket *s, int level, int name, const struct option_out *o)
{
    if (level == SOL_SOCKET)
        return get_socket_level(s, name, o);
    if (s->family != AF_INET && s->family != AF_INET6)
        return s->family == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
    switch (level) {
    case IPPROTO_TCP:
        return s->protocol == IPPROTO_TCP ? get_tcp(s, name, o) : -EOPNOTSUPP;
    case IPPROTO_IP:
        return give_int(o, socket_option(s, level, name, name == IP_TTL ? 64 : 0));
    case IPPROTO_IPV6:
        return give_int(o, socket_option(s, level, name, name == IPV6_UNICAST_HOPS ? 64 : 0));
    case IPPROTO_UDP:
        return give_int(o, socket_option(s, level, name, 0));
    default:
        return -ENOPROTOOPT;
    }
}

int64_t
sys_getsockopt(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    struct socket *s = f ? file_socket(f) : NULL;
    struct option_out o = {.p = a[3], .length = a[4]};

    if (!f)
        return -EBADF;
    if (!s)
        return -ENOTSOCK;
    if (copy_from_guest(&o.room, a[4], sizeof o.room) < 0)
        return -EFAULT;
    if (s->family == AF_UNIX && a[1] != SOL_SOCKET)
        return -EOPNOTSUPP;
    if ((int)o.room < 0)
        return -EINVAL;
    return s->ops->get_option(s, (int)a[1], (int)a[2], &o);
}
