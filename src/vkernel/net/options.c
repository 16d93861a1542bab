/* getsockopt, setsockopt of sockets between guests. options.def lists the options: which are real, which are hints and
 * why. */
#include <limits.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "platform/hostnet.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/net/socket.h"

/* What a connection over the loopback's MTU of 65,536 may carry. */
enum { LOOPBACK_MTU = 65535, LOOPBACK_MSS = 65483, DEFAULT_MSS = 536, LOOPBACK_INDEX = 1 };

/* clang-format off */
enum { /* kinds of sockets */
    SOCKET_TCP = 1, SOCKET_UDP = 2, SOCKET_INET6 = 4, SOCKET_UNIX = 8, SOCKET_NETLINK = 16,
    SOCKET_INET = SOCKET_TCP | SOCKET_UDP, SOCKET_LOCAL = SOCKET_UNIX | SOCKET_NETLINK, SOCKET_ANY = 31,
};
/* clang-format on */
enum form { FLAG, NUMBER, OWN };

/* id -1: it is refused, with `error`. */
struct option_row {
    int level, name, who, id;
    enum form form;
    int low, high, initial, error;
};

/* clang-format off */
static const struct option_row rows[] = {
#define REAL(level_, name_, who_, form_, low_, high_, initial_, where) \
    {.level = level_, .name = name_, .who = who_, .id = OPTION_##name_, .form = form_, .low = low_, .high = high_, \
     .initial = initial_},
#define HINT REAL
#define REFUSED(level_, name_, who_, error_, why) {.level = level_, .name = name_, .who = who_, .id = -1, .error = error_},
#include "vkernel/net/options.def"
#include "vkernel/vfs/file.h"
#undef REAL
#undef HINT
#undef REFUSED
};
/* clang-format on */

static int
kind_of(const struct socket *s)
{
    if (s->family == AF_UNIX)
        return SOCKET_UNIX;
    if (s->family == AF_NETLINK)
        return SOCKET_NETLINK;
    return (s->protocol == IPPROTO_TCP ? SOCKET_TCP : SOCKET_UDP) | (s->family == AF_INET6 ? SOCKET_INET6 : 0);
}

/* NULL: not listed, or not for this kind of socket; *error says which. */
static const struct option_row *
find_row(const struct socket *s, int level, int name, int *error)
{
    *error = -ENOPROTOOPT;
    if (s->family == AF_UNIX && level != SOL_SOCKET)
        *error = -EOPNOTSUPP;
    for (size_t k = 0; *error == -ENOPROTOOPT && k < sizeof rows / sizeof *rows; k++) {
        if (rows[k].level != level || rows[k].name != name)
            continue;
        if (rows[k].who & kind_of(s))
            return &rows[k];
        *error = level == SOL_SOCKET ? -EOPNOTSUPP : -ENOPROTOOPT;
        break;
    }
    return NULL;
}

void
options_init(struct socket *s)
{
    list_init(&s->errors);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        if (rows[k].id >= 0)
            s->options[rows[k].id] = rows[k].initial;
}

void
options_inherit(struct socket *s, const struct socket *listener)
{
    memcpy(s->options, listener->options, sizeof s->options);
    s->options[OPTION_TCP_DEFER_ACCEPT] = s->options[OPTION_TCP_FASTOPEN] = 0; /* the listener's own */
    s->receive_limit = listener->receive_limit;
    s->send_limit = listener->send_limit;
    s->receive_timeout = listener->receive_timeout;
    s->send_timeout = listener->send_timeout;
    s->linger = listener->linger;
    s->stamp = listener->stamp;
    s->stamping = listener->stamping;
}

/* --- set --- */

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
        /* a negative one is large */
        size = (unsigned)value > LIMIT_SOCKET_BUFFER ? LIMIT_SOCKET_BUFFER : (size_t)value;
    size *= 2; /* as Linux does: the other half is for what messages take besides their bytes */
    if (name == SO_RCVBUF || name == SO_RCVBUFFORCE)
        s->receive_limit = size < SMALLEST_RECEIVE ? SMALLEST_RECEIVE : size;
    else
        s->send_limit = size < SMALLEST_SEND ? SMALLEST_SEND : size;
    return 0;
}

/* What SO_TIMESTAMPING may ask for: the time of arrival, by us or by devices, of which there are none. Of departures
 * (SOF_TIMESTAMPING_TX_*) nothing is told. */
/* clang-format off */
enum { STAMP_RX_HARDWARE = 4, STAMP_RX_SOFTWARE = 8, STAMP_SOFTWARE = 16, STAMP_SYS_HARDWARE = 32, STAMP_RAW_HARDWARE = 64,
       STAMP_KNOWN = STAMP_RX_HARDWARE | STAMP_RX_SOFTWARE | STAMP_SOFTWARE | STAMP_SYS_HARDWARE | STAMP_RAW_HARDWARE };
/* clang-format on */

static int
set_device(struct socket *s, guest_addr p, uint32_t size)
{
    char name[16] = {0};

    if (copy_from_guest(name, p, size < sizeof name - 1 ? size : sizeof name - 1) < 0)
        return -EFAULT;
    if (*name && strcmp(name, "lo") != 0)
        return -ENODEV;
    socket_option(s, SO_BINDTODEVICE) = *name != '\0';
    return 0;
}

/* Names in the order of their numbers; the first is the default, as net.ipv4.tcp_congestion_control says. */
static const char *const congestion_names[] = {"cubic", "reno"};

static int
set_congestion(struct socket *s, guest_addr p, uint32_t size)
{
    char name[16] = {0};

    if (size < 1)
        return -EINVAL;
    if (copy_from_guest(name, p, size < sizeof name - 1 ? size : sizeof name - 1) < 0)
        return -EFAULT;
    for (int k = 0; k < (int)(sizeof congestion_names / sizeof *congestion_names); k++)
        if (strcmp(name, congestion_names[k]) == 0) {
            socket_option(s, TCP_CONGESTION) = k;
            return 0;
        }
    return -ENOENT;
}

/* Linux counts in retransmissions of the answer to a SYN, after 1, 2, 4 seconds and so on, at most 120 apart. */
static int
whole_retransmissions(int seconds)
{
    int period = 1, step = 1;

    if (seconds <= 0)
        return 0;
    for (int n = 1; seconds > period && n < 255; n++) {
        step = step * 2 > 120 ? 120 : step * 2;
        period += step;
    }
    return period;
}

/* A number that ordinary processes may set to 0 to limit. */
static int
set_limited(struct socket *s, int id, int value, int limit)
{
    if ((value < 0 || value > limit) && !capable(CAP_NET_ADMIN))
        return -EPERM;
    s->options[id] = value;
    return 0;
}

/* Those that are no int. -ENOPROTOOPT: it is one. */
static int
set_structure(struct socket *s, int id, guest_addr p, uint32_t size)
{
    char byte;

    switch (id) {
    case OPTION_SO_RCVTIMEO: return set_timeout(&s->receive_timeout, p, size);
    case OPTION_SO_SNDTIMEO: return set_timeout(&s->send_timeout, p, size);
    case OPTION_SO_LINGER:
        if (size < sizeof s->linger)
            return -EINVAL;
        return copy_from_guest(&s->linger, p, sizeof s->linger);
    case OPTION_SO_BINDTODEVICE: return set_device(s, p, size);
    case OPTION_TCP_CONGESTION: return set_congestion(s, p, size);
    case OPTION_TCP_ULP:
        if (size < 1)
            return -EINVAL;
        return copy_from_guest(&byte, p, 1) < 0 ? -EFAULT : -ENOENT;
    case OPTION_IP_OPTIONS: return size ? -EINVAL : 0;
    default: return -ENOPROTOOPT;
    }
}

/* Of form OWN, with the int that was given. */
static int
set_own(struct socket *s, int id, int value)
{
    enum { ECN = 3 }; /* the lowest bits of TOS are the connection's, not the guest's */

    switch (id) {
    case OPTION_SO_SNDBUF: return set_buffer(s, SO_SNDBUF, value);
    case OPTION_SO_RCVBUF: return set_buffer(s, SO_RCVBUF, value);
    case OPTION_SO_SNDBUFFORCE: return set_buffer(s, SO_SNDBUFFORCE, value);
    case OPTION_SO_RCVBUFFORCE: return set_buffer(s, SO_RCVBUFFORCE, value);
    case OPTION_SO_TIMESTAMP:
    case OPTION_SO_TIMESTAMPNS:
        s->stamp = !value ? 0 : id == OPTION_SO_TIMESTAMP ? SO_TIMESTAMP : SO_TIMESTAMPNS;
        return 0;
    case OPTION_SO_TIMESTAMPING:
        if (value & ~STAMP_KNOWN)
            return -EINVAL;
        s->stamping = value;
        return 0;
    case OPTION_SO_REUSEPORT:
        if (value && !(kind_of(s) & SOCKET_INET))
            return -EOPNOTSUPP;
        s->options[id] = value != 0;
        return 0;
    case OPTION_SO_RCVLOWAT: s->options[id] = value < 0 ? INT_MAX : value ? value : 1; return 0;
    case OPTION_SO_DEBUG:
        if (value && !capable(CAP_NET_ADMIN))
            return -EACCES;
        s->options[id] = value != 0;
        return 0;
    case OPTION_SO_PRIORITY: return set_limited(s, id, value, 6);
    case OPTION_SO_MARK: return set_limited(s, id, value, -1);
    case OPTION_SO_BUSY_POLL: return value < 0 ? -EINVAL : set_limited(s, id, value, s->options[id]);
    case OPTION_TCP_DEFER_ACCEPT: s->options[id] = whole_retransmissions(value); return 0;
    case OPTION_TCP_MAXSEG:
        if (value && (value < 88 || value > 32767))
            return -EINVAL;
        s->options[id] = value;
        return 0;
    case OPTION_TCP_LINGER2: s->options[id] = value < 0 ? -1 : value == 0 ? 60 : value > 120 ? 120 : value; return 0;
    case OPTION_TCP_FASTOPEN:
        if (value < 0 || s->connected)
            return -EINVAL;
        s->options[id] = value > LIMIT_BACKLOG ? LIMIT_BACKLOG : value;
        return 0;
    case OPTION_UDP_CORK:
        s->options[id] = value != 0;
        if (!value)
            udp_push(s);
        return 0;
    case OPTION_IP_TOS:
        value &= 0xff;
        s->options[id] = s->type == SOCK_STREAM ? (value & ~ECN) | (s->options[id] & ECN) : value;
        return 0;
    case OPTION_IP_TTL:
        if (value != -1 && (value < 1 || value > 255))
            return -EINVAL;
        s->options[id] = value == -1 ? 64 : value;
        return 0;
    case OPTION_IPV6_TCLASS:
        if (value < -1 || value > 255)
            return -EINVAL;
        value = value < 0 ? 0 : value;
        s->options[id] = s->type == SOCK_STREAM ? (value & ~ECN) | (s->options[id] & ECN) : value;
        return 0;
    case OPTION_IPV6_V6ONLY:
        if (s->bound)
            return -EINVAL;
        s->options[id] = value != 0;
        return 0;
    case OPTION_IPV6_MTU: /* what is sent is never larger: any that Linux takes */
        return value && value < 1280 ? -EINVAL : 0;
    case OPTION_IP_MULTICAST_IF: return value ? -EADDRNOTAVAIL : 0;
    case OPTION_IPV6_MULTICAST_IF: return value ? -ENODEV : 0;
    case OPTION_NETLINK_ADD_MEMBERSHIP:
    case OPTION_NETLINK_DROP_MEMBERSHIP: return value < 1 || value > 36 /* RTNLGRP_MAX */ ? -EINVAL : 0;
    default: /* those that can only be read */ return -ENOPROTOOPT;
    }
}

/* Levels whose options Linux reads as ints before it looks which one it is. */
static bool
wants_int(const struct socket *s, int level, int name)
{
    switch (level) {
    case SOL_SOCKET: return name != SO_BINDTODEVICE;
    case IPPROTO_TCP: return s->protocol == IPPROTO_TCP && name != TCP_CONGESTION && name != TCP_ULP;
    case IPPROTO_UDP: return s->protocol == IPPROTO_UDP;
    default: return false;
    }
}

int
queue_set_option(struct socket *s, int level, int name, guest_addr p, uint32_t size)
{
    int value = 0, r;
    uint8_t byte;
    const struct option_row *o = find_row(s, level, name, &r);

    if (size < sizeof value && wants_int(s, level, name))
        return -EINVAL;
    if (!o)
        return r;
    if (o->id < 0)
        return -o->error;
    if (o->form == OWN && (r = set_structure(s, o->id, p, size)) != -ENOPROTOOPT)
        return r;
    if (size >= sizeof value) {
        if (copy_from_guest(&value, p, sizeof value) < 0)
            return -EFAULT;
    } else if (level != IPPROTO_IP) {
        return -EINVAL;
    } else if (size >= 1) {
        if (copy_from_guest(&byte, p, 1) < 0)
            return -EFAULT;
        value = byte;
    } else if (o->form != FLAG && o->id != OPTION_IP_TOS) {
        return -EINVAL;
    }
    if (o->form == OWN)
        return set_own(s, o->id, value);
    if (o->form == NUMBER && (value < o->low || value > o->high))
        return -EINVAL;
    s->options[o->id] = o->form == FLAG ? value != 0 : o->low == -1 && value == -1 ? o->initial : value;
    return 0;
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
    return OPS(s->ops)->set_option(s, (int)a[1], (int)a[2], a[3], (uint32_t)a[4]);
}

/* --- connections to the outside (user.c) --- */

static int
number_of(const struct socket *s, int id)
{
    switch (id) {
    case OPTION_SO_SNDBUF: return (int)(s->send_limit / 2); /* which the host doubles */
    case OPTION_SO_RCVBUF: return (int)(s->receive_limit / 2);
    default: return s->options[id];
    }
}

void
options_to_host(const struct socket *s, int fd, int level, int name)
{
    static const struct {
        int level, name, id, initial;
    } handed[] = {
        {SOL_SOCKET, SO_KEEPALIVE, OPTION_SO_KEEPALIVE, 0},
        {SOL_SOCKET, SO_OOBINLINE, OPTION_SO_OOBINLINE, 0},
        {SOL_SOCKET, SO_BROADCAST, OPTION_SO_BROADCAST, 0},
        {SOL_SOCKET, SO_RCVLOWAT, OPTION_SO_RCVLOWAT, 1},
        {SOL_SOCKET, SO_SNDBUF, OPTION_SO_SNDBUF, SOCKET_BUFFER / 2},
        {SOL_SOCKET, SO_RCVBUF, OPTION_SO_RCVBUF, SOCKET_BUFFER / 2},
        {IPPROTO_TCP, TCP_NODELAY, OPTION_TCP_NODELAY, 0},
        {IPPROTO_TCP, TCP_CORK, OPTION_TCP_CORK, 0},
        {IPPROTO_TCP, TCP_QUICKACK, OPTION_TCP_QUICKACK, 1},
        {IPPROTO_TCP, TCP_MAXSEG, OPTION_TCP_MAXSEG, 0},
        {IPPROTO_TCP, TCP_KEEPIDLE, OPTION_TCP_KEEPIDLE, 7200},
        {IPPROTO_TCP, TCP_KEEPINTVL, OPTION_TCP_KEEPINTVL, 75},
        {IPPROTO_TCP, TCP_KEEPCNT, OPTION_TCP_KEEPCNT, 9},
        {IPPROTO_TCP, TCP_SYNCNT, OPTION_TCP_SYNCNT, 6},
        {IPPROTO_TCP, TCP_LINGER2, OPTION_TCP_LINGER2, 60},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, OPTION_TCP_USER_TIMEOUT, 0},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPTION_TCP_NOTSENT_LOWAT, 0},
        {IPPROTO_TCP, TCP_INQ, OPTION_TCP_INQ, 0},
        {IPPROTO_IP, IP_TOS, OPTION_IP_TOS, 0},
        {IPPROTO_IP, IP_TTL, OPTION_IP_TTL, 64},
        {IPPROTO_IPV6, IPV6_TCLASS, OPTION_IPV6_TCLASS, 0},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS, OPTION_IPV6_UNICAST_HOPS, 64},
    };

    for (size_t k = 0; k < sizeof handed / sizeof *handed; k++) {
        int value = number_of(s, handed[k].id);
        bool wanted = name < 0 ? value != handed[k].initial : handed[k].level == level && handed[k].name == name;

        if (wanted &&
            (handed[k].level != IPPROTO_TCP || s->type == SOCK_STREAM)) /* what the host refuses stays as it is */
            host_socket_set_option(fd, handed[k].level, handed[k].name, &value, sizeof value);
    }
    if ((name < 0 && s->linger.l_onoff) || (level == SOL_SOCKET && name == SO_LINGER)) {
        struct linger l = s->linger.l_linger ? (struct linger){0} : s->linger; /* a close must not wait (host.c) */

        host_socket_set_option(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
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

/* What there is to know: no segments, no windows, no losses. */
static int
give_tcp_info(struct socket *s, const struct option_out *o)
{
    struct tcp_info info = {0};

    info.tcpi_state = (uint8_t)tcp_state(s);
    info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = LOOPBACK_MSS;
    info.tcpi_pmtu = LOOPBACK_MTU;
    info.tcpi_rto = 200000;
    info.tcpi_snd_ssthresh = INT_MAX;
    info.tcpi_snd_cwnd = 10;
    info.tcpi_pacing_rate = info.tcpi_max_pacing_rate = UINT64_MAX;
    info.tcpi_bytes_sent = info.tcpi_bytes_acked = s->sent_bytes;
    info.tcpi_bytes_received = s->received_bytes;
    if (s->listening) {
        info.tcpi_unacked = s->pending_count - s->deferred_count;
        info.tcpi_sacked = s->backlog;
    }
    return option_give(o, &info, sizeof info);
}

static int
give_text(const struct option_out *o, const char *text)
{
    char name[16] = {0};

    memcpy(name, text, strlen(text));
    return option_give(o, name, sizeof name);
}

/* Of form OWN. */
static int
get_own(struct socket *s, int id, const struct option_out *o)
{
    int e;

    switch (id) {
    case OPTION_SO_TYPE: return give_int(o, s->type);
    case OPTION_SO_DOMAIN: return give_int(o, s->family);
    case OPTION_SO_PROTOCOL: return give_int(o, s->protocol);
    case OPTION_SO_ERROR:
        e = s->error;
        s->error = 0;
        return give_int(o, e);
    case OPTION_SO_ACCEPTCONN: return give_int(o, s->listening);
    case OPTION_SO_SNDBUF: return give_int(o, (int)s->send_limit);
    case OPTION_SO_RCVBUF: return give_int(o, (int)s->receive_limit);
    case OPTION_SO_RCVTIMEO: return give_timeout(o, s->receive_timeout);
    case OPTION_SO_SNDTIMEO: return give_timeout(o, s->send_timeout);
    case OPTION_SO_LINGER: return option_give(o, &s->linger, sizeof s->linger);
    case OPTION_SO_TIMESTAMP: return give_int(o, s->stamp == SO_TIMESTAMP);
    case OPTION_SO_TIMESTAMPNS: return give_int(o, s->stamp == SO_TIMESTAMPNS);
    case OPTION_SO_TIMESTAMPING: return give_int(o, s->stamping);
    case OPTION_SO_PEERCRED:
        if (s->family != AF_UNIX || (!s->connected && !s->listening)) {
            struct ucred none = {0, (uid_t)-1, (gid_t)-1};

            return option_give(o, &none, sizeof none);
        }
        return option_give(o, &s->peer_creds, sizeof s->peer_creds);
    case OPTION_SO_COOKIE: {
        uint64_t cookie = s->inode ? s->inode->ino : 0; /* not our address: guests must not learn where we are */

        return option_give(o, &cookie, sizeof cookie);
    }
    case OPTION_SO_BINDTODEVICE:
        if (socket_option(s, SO_BINDTODEVICE) && o->room < 16)
            return -EINVAL;
        return option_give(o, "lo", socket_option(s, SO_BINDTODEVICE) ? 3 : 0);
    case OPTION_TCP_INFO: return give_tcp_info(s, o);
    case OPTION_TCP_CONGESTION: return give_text(o, congestion_names[socket_option(s, TCP_CONGESTION)]);
    case OPTION_TCP_MAXSEG:
        e = socket_option(s, TCP_MAXSEG);
        return give_int(o, e ? e : s->connected ? LOOPBACK_MSS : DEFAULT_MSS);
    case OPTION_TCP_ULP:
    case OPTION_IP_OPTIONS: return option_give(o, NULL, 0);
    case OPTION_IP_MTU:
    case OPTION_IPV6_MTU: return s->connected ? give_int(o, LOOPBACK_MTU) : -ENOTCONN;
    case OPTION_SO_SNDBUFFORCE:
    case OPTION_SO_RCVBUFFORCE:
    case OPTION_NETLINK_ADD_MEMBERSHIP:
    case OPTION_NETLINK_DROP_MEMBERSHIP: return -ENOPROTOOPT;
    default: return give_int(o, s->options[id]);
    }
}

int
queue_get_option(struct socket *s, int level, int name, const struct option_out *o)
{
    int error;
    const struct option_row *row = find_row(s, level, name, &error);

    if (!row && s->family == AF_INET && error == -ENOPROTOOPT && level != SOL_SOCKET && level != IPPROTO_IP &&
        !(level == IPPROTO_TCP && s->protocol == IPPROTO_TCP) && !(level == IPPROTO_UDP && s->protocol == IPPROTO_UDP))
        return -EOPNOTSUPP; /* what Linux's IPv4 says of levels that are not its own */
    if (!row || row->id < 0)
        return row ? row->error == EOPNOTSUPP ? -EOPNOTSUPP : -ENOPROTOOPT : error;
    return row->form == OWN ? get_own(s, row->id, o) : give_int(o, s->options[row->id]);
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
    return OPS(s->ops)->get_option(s, (int)a[1], (int)a[2], &o);
}
