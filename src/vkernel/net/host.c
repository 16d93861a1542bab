/* Sockets of the host's, one descriptor each (platform/hostnet.h): with --network host all of AF_INET and AF_INET6, with
 * --network user those that lead outside (user.c).
 *
 * The host's kernel keeps all state; here is only what would make a host call wait, and what the guest's rights forbid
 * though ours may not. Host descriptors are non-blocking; edges of their readiness arrive at one host descriptor that
 * an idle processor polls, and wake the socket's queues. A guest that finds nothing to do is on a queue before it lets
 * go of the kernel lock, so no edge is lost. */
#include "platform/hostnet.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "platform/hostfs.h"
#include "vkernel/net/host_internal.h"
#include "vkernel/net/policy.h"
#include "vkernel/net/readiness.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/vfs.h"

enum { EVENTS = 64, ROUNDS = 16, OPTION_MAX = 512, INTERFACES_MAX = 1024, PORT_PRIVILEGED = 1024 };

static const struct socket_ops OPS_TABLE(socket_ops) host_ops;

static bool collecting, again; /* on_ready() is at work; and what came meanwhile is to be looked at */

enum { COMES_IN = POLLIN | POLLPRI | POLLRDHUP | POLLHUP | POLLERR };

static void
tell(struct socket *s, short events)
{
    readiness_told(s, (unsigned short)events);
    if (events & COMES_IN)
        wait_queue_wake(&s->in_queue);
    if (events & (POLLOUT | POLLHUP | POLLERR))
        wait_queue_wake(&s->out_queue);
    if (OPS(s->ops)->host_ready)
        OPS(s->ops)->host_ready(s, events);
}

/* A descriptor that host_ready closes, of whichever socket, is in no later batch, but may be in this one: sockets of a
 * batch are counted. */
CALLBACK static void
on_ready(struct host_watch *w)
{
    struct host_net_event events[EVENTS];
    unsigned n, rounds = 0;

    again = true;
    if (collecting)
        return;
    collecting = true;
    do {
        again = false;
        n = host_net_ready(events, EVENTS);
        for (unsigned k = 0; k < n; k++)
            socket_get(events[k].cookie);
        for (unsigned k = 0; k < n; k++) {
            struct socket *s = events[k].cookie;

            if (s->host_fd >= 0)
                tell(s, events[k].events);
            socket_put(s);
        }
    } while ((n == EVENTS || again) && ++rounds < ROUNDS);
    collecting = false;
}

static struct host_watch net_watch = {.fd = -1, .events = POLLIN, .ready = on_ready};
static unsigned open_count, open_most;

int
host_attach(struct socket *s, int fd)
{
    int r = open_count < open_most ? host_net_watch(fd, s) : -ENFILE;

    if (r < 0) {
        host_close(fd);
        return r;
    }
    s->host_fd = fd;
    readiness_forget(s);
    if (open_count++ == 0) /* watched only while there is something: the watch keeps the tick on */
        host_watch_add(&net_watch);
    on_ready(&net_watch); /* the edge of being added is no news */
    return 0;
}

void
host_detach(struct socket *s)
{
    if (s->host_fd < 0)
        return;
    host_close(s->host_fd);
    s->host_fd = -1;
    if (--open_count == 0)
        host_watch_remove(&net_watch);
}

/* Takes over fd. */
static struct socket *
adopt(int fd, int family, int type, int protocol, int *error)
{
    struct socket *s = socket_new(family, type, protocol, &host_ops);

    if (!s) {
        host_close(fd);
        *error = -ENOMEM;
        return NULL;
    }
    *error = host_attach(s, fd);
    if (*error < 0) {
        socket_put(s);
        return NULL;
    }
    return s;
}

static int
host_bind(struct socket *s, const struct address *a)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage; /* sin6_port is at the same place */
    unsigned port = ntohs(in->sin_port);

    if (a->length >= sizeof *in && port && port < PORT_PRIVILEGED && !capable(CAP_NET_BIND_SERVICE))
        return -EACCES;
    return host_socket_bind(s->host_fd, &a->storage, a->length);
}

static int
host_connect(struct socket *s, const struct address *a)
{
    struct address to = *a;
    int r = to.length >= sizeof(sa_family_t) && to.storage.ss_family == AF_UNSPEC
                ? 0 /* it disconnects */
                : policy_check(&to.storage, to.length);

    readiness_forget(s);
    if (r == 0)
        r = host_socket_connect(s->host_fd, &to.storage, to.length);
    return r == -EAGAIN ? -EADDRNOTAVAIL : r; /* no port is free: nothing will wake us */
}

static int
host_listen(struct socket *s, unsigned backlog)
{
    int r = host_socket_listen(s->host_fd, (int)backlog);

    readiness_forget(s);
    if (r == 0)
        s->listening = true;
    return r;
}

static int
host_accept(struct socket *s, struct socket **out)
{
    struct address from = {.length = 0};
    int fd = host_socket_accept(s->host_fd, &from.storage, &from.length), error;

    readiness_received(s, fd < 0 ? fd : 1, 1, 0);
    if (fd < 0)
        return fd;
    *out = adopt(fd, s->family, s->type, s->protocol, &error);
    if (!*out)
        return error;
    (*out)->remote = from;
    options_inherit(*out, s);
    return 0;
}

ssize_t
host_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    struct host_message m = {.iov = (struct iovec *)(uintptr_t)iov,
                             .count = count,
                             .flags = t->flags,
                             .control = t->control,
                             .control_size = t->control_size};
    struct address to;
    ssize_t n;

    if (t->scm)
        return -EINVAL;
    if (t->flags & MSG_FASTOPEN) /* not let through: as where net.ipv4.tcp_fastopen is 0 */
        return -EOPNOTSUPP;
    if (t->to) {
        int r;

        to = *t->to;
        r = policy_check(&to.storage, to.length);
        if (r < 0)
            return r;
        m.to = &to.storage;
        m.to_length = to.length;
    }
    n = host_socket_send(s->host_fd, &m);
    readiness_sent(s, n);
    return n;
}

/* SO_RCVLOWAT: the host's descriptor never waits, so that it would give less. */
static bool
too_little(struct socket *s, size_t want)
{
    size_t least = (size_t)socket_option(s, SO_RCVLOWAT);
    int ready = least > 1 ? host_bytes_ready(s->host_fd) : 0;

    if (least <= 1 || !is_stream(s) || ready < 0 || (size_t)ready >= (want < least ? want : least))
        return false;
    return !((unsigned short)host_poll_now(s->host_fd, POLLIN | POLLRDHUP) & (POLLIN | POLLRDHUP | POLLHUP | POLLERR));
}

ssize_t
host_recv(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    struct host_message m = {.iov = (struct iovec *)(uintptr_t)iov,
                             .count = count,
                             .flags = t->flags,
                             .plain = is_stream(s),
                             .from = &t->from.storage,
                             .control = t->control,
                             .control_size = t->control_size};
    ssize_t n;

    if (t->patient && too_little(s, iov_total(iov, count)))
        return -EAGAIN;
    n = host_socket_receive(s->host_fd, &m);
    readiness_received(s, n, iov_total(iov, count), t->flags);
    if (n < 0)
        return n;
    t->from.length = m.from_length;
    t->control_size = m.control_size;
    t->out_flags |= m.flags;
    return n;
}

int
host_shutdown(struct socket *s, int how)
{
    int r = host_socket_shutdown(s->host_fd, how);

    readiness_forget(s);
    if (r == 0 && how != SHUT_WR)
        s->listening = false;
    socket_wake(s);
    return r;
}

static int
host_sock_name(struct socket *s, bool peer, struct address *out)
{
    memset(out, 0, sizeof *out);
    return host_socket_name(s->host_fd, peer, &out->storage, &out->length);
}

unsigned
host_poll(struct socket *s)
{
    if (!readiness_known(s, vfs_poll_wanted))
        readiness_told(s, (unsigned short)host_poll_now(s->host_fd, (short)READY_ALL));
    return s->host_ready & s->host_known;
}

int
host_ioctl(struct socket *s, unsigned long request, guest_addr arg)
{
    int n;

    switch (request) {
    case FIONREAD: n = host_bytes_ready(s->host_fd); break;
    case TIOCOUTQ: n = host_socket_unsent(s->host_fd); break;
    case SIOCATMARK: n = host_socket_at_mark(s->host_fd); break;
    default: return network->interface_ioctl(request, arg);
    }
    return n < 0 ? n : copy_to_guest(arg, &n, sizeof n);
}

/* --- options --- */

/* Which ones are answered from our own state: those that concern sleeping, and those about the socket as the guest made
 * it. */
static bool
is_own_option(int level, int name)
{
    static const int own[] = {SO_RCVTIMEO, SO_SNDTIMEO, SO_TYPE,     SO_DOMAIN,        SO_PROTOCOL,
                              SO_PEERCRED, SO_COOKIE,   SO_PASSCRED, SO_ATTACH_FILTER, SO_DETACH_FILTER};

    for (size_t k = 0; level == SOL_SOCKET && k < sizeof own / sizeof *own; k++)
        if (own[k] == name)
            return true;
    return false;
}

static int
host_set_option(struct socket *s, int level, int name, guest_addr p, uint32_t size)
{
    uint8_t value[OPTION_MAX];
    int least = 1, r;

    if (is_own_option(level, name))
        return queue_set_option(s, level, name, p, size);
    if (size > sizeof value)
        size = sizeof value;
    if (copy_from_guest(value, p, size) < 0)
        return -EFAULT;
    if (level == SOL_SOCKET && name == SO_LINGER) {
        struct linger off = {0};

        if (size < sizeof s->linger)
            return -EINVAL;
        memcpy(&s->linger, value, sizeof s->linger);
        /* A close(2) that lingers would stop the whole container: it happens in the background. */
        if (s->linger.l_onoff && s->linger.l_linger)
            memcpy(value, &off, sizeof off);
    }
    r = host_socket_set_option(s->host_fd, level, name, value, size);
    readiness_forget(s); /* SO_RCVLOWAT, TCP_NOTSENT_LOWAT, SO_SNDBUF, ... */
    if (r == 0 && level == SOL_SOCKET && name == SO_RCVLOWAT) {
        size = sizeof least;
        if (host_socket_get_option(s->host_fd, level, name, &least, &size) == 0)
            socket_option(s, SO_RCVLOWAT) = least;
    }
    return r;
}

static int
host_get_option(struct socket *s, int level, int name, const struct option_out *o)
{
    uint8_t value[OPTION_MAX] = {0};
    socklen_t size = o->room < sizeof value ? o->room : sizeof value;
    int r;

    if (is_own_option(level, name) || (level == SOL_SOCKET && name == SO_LINGER))
        return queue_get_option(s, level, name, o);
    r = host_socket_get_option(s->host_fd, level, name, value, &size);
    readiness_forget(s); /* SO_ERROR takes the error */
    return r < 0 ? r : option_give(o, value, size);
}

static const struct socket_ops OPS_TABLE(socket_ops) host_ops = {
    .bind = host_bind,
    .connect = host_connect,
    .listen = host_listen,
    .accept = host_accept,
    .send = host_send,
    .recv = host_recv,
    .shutdown = host_shutdown,
    .name = host_sock_name,
    .poll = host_poll,
    .ioctl = host_ioctl,
    .set_option = host_set_option,
    .get_option = host_get_option,
    .close = host_detach,
};

static struct socket *
host_socket_new(int family, int type, int protocol, int *error)
{
    int fd;

    if (type == SOCK_RAW || (type != SOCK_STREAM && type != SOCK_DGRAM)) {
        *error = type == SOCK_RAW ? -EPERM : -ESOCKTNOSUPPORT;
        return NULL;
    }
    if (protocol == 0)
        protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    fd = host_socket(family, type, protocol);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    return adopt(fd, family, type, protocol, error);
}

/* --- interfaces --- */

static int
interface_list(guest_addr arg)
{
    struct {
        int length, pad;
        uint64_t buffer;
    } conf;
    struct ifreq *list;
    int n, r = 0;

    if (copy_from_guest(&conf, arg, sizeof conf) < 0)
        return -EFAULT;
    list = array_new(INTERFACES_MAX, sizeof *list);
    n = list ? host_interface_list(list, INTERFACES_MAX) : -ENOMEM;
    if (n > 0 && conf.buffer) {
        int room = conf.length < 0 ? 0 : conf.length / (int)sizeof *list;

        n = n < room ? n : room;
        r = copy_to_guest(conf.buffer, list, (size_t)n * sizeof *list);
    }
    array_free(list);
    conf.length = n * (int)sizeof *list;
    return n < 0 ? n : r < 0 ? r : copy_to_guest(arg, &conf, sizeof conf);
}

static int
host_interface_ioctl(unsigned long request, guest_addr arg)
{
    struct ifreq r;
    int result;

    if (request == SIOCGIFCONF)
        return interface_list(arg);
    if (request < 0x8900 || request > 0x89ff)
        return -ENOTTY;
    if (!host_interface_request(request))
        return capable(12 /* CAP_NET_ADMIN */) ? -EOPNOTSUPP : -EPERM;
    if (copy_from_guest(&r, arg, sizeof r) < 0)
        return -EFAULT;
    result = host_interface_get(request, &r);
    return result < 0 ? result : copy_to_guest(arg, &r, sizeof r);
}

const struct network host_network = {
    .socket_new = host_socket_new,
    .interface_ioctl = host_interface_ioctl,
    .dump = host_network_dump,
    .text = host_network_text,
};

int
host_sockets_start(void)
{
    net_watch.fd = host_net_start(&open_most);
    return net_watch.fd < 0 ? net_watch.fd : 0;
}

int
host_network_start(void)
{
    int r = host_sockets_start();

    network = &host_network;
    return r < 0 ? r : host_net_start_queries();
}
