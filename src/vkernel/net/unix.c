/* AF_UNIX (unix(7)): stream, datagram and sequenced packets; names in the file system and abstract ones. */
#include <poll.h>
#include <stdio.h>

#include "platform/platform.h"
#include "vkernel/net/socket.h"
#include "vkernel/vfs/file.h"
#include "base/rare.h"

enum { BUCKETS = 8192, NUMBERS = 1 << 20, TRIES = 4096 };

static struct list bound_sockets[BUCKETS] RARE; /* by name */

static const struct socket_ops OPS_TABLE(socket_ops) unix_ops;

static bool
is_abstract(const struct address *a)
{
    return a->length > sizeof(sa_family_t) && ((const struct sockaddr_un *)&a->storage)->sun_path[0] == '\0';
}

static int
unix_path(const struct address *a, char path[sizeof(struct sockaddr_un)])
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&a->storage;
    size_t n = a->length - offsetof(struct sockaddr_un, sun_path);

    memcpy(path, un->sun_path, n);
    path[n] = '\0';
    return *path ? 0 : -EINVAL;
}

static int
check_address(const struct address *a)
{
    if (a->length < sizeof(sa_family_t) || a->storage.ss_family != AF_UNIX)
        return -EINVAL;
    return a->length > sizeof(struct sockaddr_un) ? -EINVAL : 0;
}

static struct list *
bucket(const struct address *a)
{
    const uint8_t *bytes = (const uint8_t *)&a->storage;
    uint32_t h = 2166136261u;
    struct list *l;

    for (socklen_t k = 0; k < a->length; k++)
        h = (h ^ bytes[k]) * 16777619u;
    l = &bound_sockets[(h ^ h >> 16) % BUCKETS];
    if (!l->next)
        list_init(l);
    return l;
}

static struct socket *
find_abstract(const struct address *a)
{
    LIST_EACH(p, bucket(a)) {
        struct socket *s = list_entry(p, struct socket, all);

        if (!s->bound_inode && s->local.length == a->length && memcmp(&s->local.storage, &a->storage, a->length) == 0)
            return s;
    }
    return NULL;
}

static int
bind_path(struct socket *s, const struct address *a)
{
    char path[sizeof(struct sockaddr_un)];
    struct dentry *d = NULL;
    struct path p;
    int r = unix_path(a, path);

    if (r < 0)
        return r;
    r = path_walk(AT_FDCWD, path, WALK_PARENT, &p);
    if (r < 0)
        return r;
    if (p.last_special || vfs_lookup(p.dentry, p.last, p.last_length, &d) == 0) {
        dentry_put(d);
        r = -EADDRINUSE;
    } else {
        r = vfs_create(p.dentry, p.last, p.last_length, S_IFSOCK | (0777 & ~fs_umask()), 0, NULL, &d);
        if (r == 0) {
            s->bound_inode = inode_get(d->inode);
            d->inode->bound_socket = s;
            dentry_put(d);
        }
    }
    path_fini(&p);
    return r == -EEXIST ? -EADDRINUSE : r;
}

static int
autobind(struct socket *s)
{
    unsigned tries = 0, number;
    struct address a;

    do {
        struct sockaddr_un *un = (struct sockaddr_un *)&a.storage;

        if (tries++ == TRIES)
            return -ENOSPC;
        platform_random(&number, sizeof number); /* who has taken a row of them must not make this one long */
        memset(&a, 0, sizeof a);
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path + 1, 8, "%05x", number % NUMBERS);
        a.length = sizeof(sa_family_t) + 6;
    } while (find_abstract(&a));
    s->local = a;
    s->bound = true;
    list_append(bucket(&a), &s->all);
    return 0;
}

static int
unix_bind(struct socket *s, const struct address *a)
{
    int r = check_address(a);

    if (r < 0)
        return r;
    if (s->bound || s->local.length > sizeof(sa_family_t)) { /* the name may be its listener's. Linux finds an existing
                                                                path first */
        char path[sizeof(struct sockaddr_un)];
        struct path p;

        if (is_abstract(a) || a->length == sizeof(sa_family_t) || unix_path(a, path) < 0 ||
            path_walk(AT_FDCWD, path, 0, &p) < 0)
            return -EINVAL;
        path_fini(&p);
        return -EADDRINUSE;
    }
    if (a->length == sizeof(sa_family_t)) {
        return autobind(s);
    }
    if (is_abstract(a)) {
        if (find_abstract(a))
            return -EADDRINUSE;
    } else if ((r = bind_path(s, a)) < 0) {
        return r;
    }
    s->local = *a;
    if (!is_abstract(a)) { /* names are reported with their terminator */
        char path[sizeof(struct sockaddr_un)];

        unix_path(a, path);
        s->local.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
        memset((char *)&s->local.storage + s->local.length - 1, 0, sizeof s->local.storage - s->local.length + 1);
    }
    s->bound = true;
    list_append(bucket(&s->local), &s->all);
    return 0;
}

/* The socket that a name leads to. */
static int
find_target(const struct address *a, struct socket **out)
{
    char path[sizeof(struct sockaddr_un)];
    struct path p;
    int r = check_address(a);

    *out = NULL;
    if (r < 0)
        return r;
    if (a->length == sizeof(sa_family_t))
        return -EINVAL;
    if (is_abstract(a)) {
        *out = find_abstract(a);
        return *out ? 0 : -ECONNREFUSED;
    }
    r = unix_path(a, path);
    if (r < 0)
        return r;
    r = path_walk(AT_FDCWD, path, WALK_FOLLOW, &p);
    if (r < 0)
        return r;
    r = inode_permission(p.dentry->inode, MAY_WRITE);
    if (r == 0) {
        *out = p.dentry->inode->bound_socket;
        if (!S_ISSOCK(p.dentry->inode->mode) || !*out)
            r = -ECONNREFUSED;
    }
    path_fini(&p);
    return r;
}

/* A datagram socket connects elsewhere, or nowhere: what lies in its queue is lost, which an end that was connected to
 * it learns (unix_dgram_disconnected of Linux). */
static void
leave_peer(struct socket *s, const struct socket *to)
{
    struct socket *old = s->peer;

    s->peer = NULL;
    if (!old)
        return;
    if (old != to && !list_empty(&s->messages)) {
        messages_drop(s);
        if (old->open && old->peer == s) {
            old->error = ECONNRESET;
            socket_wake(old);
        }
    }
    socket_put(old);
}

static int
unix_connect(struct socket *s, const struct address *a)
{
    struct socket *target, *server;
    int r;

    if (s->type == SOCK_DGRAM && a->length >= sizeof(sa_family_t) && a->storage.ss_family == AF_UNSPEC) {
        leave_peer(s, NULL);
        s->connected = false;
        return 0;
    }
    r = find_target(a, &target);
    if (r != 0)
        return r;
    if (target->type != s->type)
        return -EPROTOTYPE;
    if (socket_option(s, SO_PASSCRED) && !s->bound && (r = autobind(s)) < 0)
        return r;
    if (s->type == SOCK_DGRAM) {
        if (target->peer && target->peer != s)
            return -EPERM;
        socket_get(target);
        leave_peer(s, target);
        s->peer = target;
        s->connected = true;
        s->remote = target->local;
        return 0;
    }
    if (!target->listening || target->shut_read)
        return -ECONNREFUSED;
    if (target->pending_count > target->backlog)
        return -EAGAIN;
    if (s->connected || s->listening)
        return s->connected ? -EISCONN : -EINVAL;
    server = socket_new(AF_UNIX, s->type, s->protocol, &unix_ops);
    if (!server)
        return -ENOMEM;
    server->local = target->local;
    server->remote = s->local;
    r = stream_offer(s, target, server);
    if (r == 0)
        s->remote = target->local;
    return r;
}

static int
unix_listen(struct socket *s, unsigned backlog)
{
    if (s->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    if (!s->bound || s->connected)
        return -EINVAL;
    s->creds = current_ucred();
    socket_listening(s, backlog);
    return 0;
}

/* Is the queue too long for this sender? Those that are connected to it have their own buffers' limit alone. */
static bool
queue_full(const struct socket *s, const struct socket *to)
{
    return to != s && to->peer != s && to->message_count >= DGRAM_QUEUE;
}

/* What this socket sent and nobody has read yet. */
static size_t
unread(const struct socket *s)
{
    return s->type != SOCK_STREAM ? s->sent : s->peer ? s->peer->charged : 0;
}

/* The other end of a datagram socket was closed or left: what came from it goes with it. */
static int
peer_lost(struct socket *s)
{
    socket_put(s->peer);
    s->peer = NULL;
    s->connected = false;
    messages_drop(s);
    return -ECONNREFUSED;
}

/* The socket to send to, or why not, in Linux's order (unix_dgram_sendmsg). */
static int
packet_target(struct socket *s, const struct transfer *t, size_t size, struct socket **out)
{
    struct socket *target = s->peer;
    int r;

    if (s->type == SOCK_SEQPACKET && !s->connected)
        return -ENOTCONN;
    if (socket_option(s, SO_PASSCRED) && !s->bound && (r = autobind(s)) < 0)
        return r;
    if (size > s->send_limit - 32)
        return -EMSGSIZE;
    if (s->error)
        return socket_error(s);
    if (s->shut_write || s->peer_gone)
        return -EPIPE;
    if (unread(s) >= s->send_limit)
        return -EAGAIN;
    if (t->to) {
        r = find_target(t->to, &target);
        if (r != 0)
            return r;
        if (target->type != s->type)
            return -EPROTOTYPE;
    }
    if (!target)
        return -ENOTCONN;
    if (target->peer && target->peer != s)
        return -EPERM;
    if (!target->open)
        return peer_lost(s);
    if (target->shut_read)
        return -EPIPE;
    *out = target;
    return queue_full(s, target) ? -EAGAIN : 0;
}

static ssize_t
packet_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    size_t size = iov_total(iov, count);
    struct socket *target = NULL;
    struct message *m;
    int r = packet_target(s, t, size, &target);

    if (r < 0)
        return r;
    m = message_new(s, iov, count, size, t);
    if (!m)
        return -ENOBUFS;
    m->creds = message_creds(s, target, t);
    message_append(target, m);
    return (ssize_t)size;
}

static ssize_t
unix_send(struct socket *s, const struct iovec *iov, int count, struct transfer *t)
{
    if (t->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (s->type != SOCK_STREAM)
        return packet_send(s, iov, count, t);
    return t->to ? s->connected ? -EISCONN : -EOPNOTSUPP : stream_send(s, iov, count, t);
}

/* Each end of a connection learns of what the other shut. */
static int
unix_shutdown(struct socket *s, int how)
{
    s->shut_read |= how != SHUT_WR;
    s->shut_write |= how != SHUT_RD;
    if (s->peer && s->type != SOCK_DGRAM) {
        s->peer->shut_write |= how != SHUT_WR;
        s->peer->shut_read |= how != SHUT_RD;
        socket_wake(s->peer);
    }
    socket_wake(s);
    return 0;
}

static unsigned
unix_poll(struct socket *s)
{
    unsigned events = s->error ? POLLERR : 0;

    if (s->shut_read && s->shut_write)
        events |= POLLHUP;
    if (s->shut_read)
        events |= POLLRDHUP | POLLIN | POLLRDNORM;
    if (!list_empty(s->listening ? &s->pending : &s->messages))
        events |= POLLIN | POLLRDNORM;
    if (s->listening)
        return events;
    if (s->type != SOCK_DGRAM && !s->connected)
        events |= POLLHUP;
    /* Writable means much room, so that who was told can write more than a byte. */
    if (unread(s) * 4 <= s->send_limit && !(s->peer && s->type != SOCK_STREAM && queue_full(s, s->peer)))
        events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
}

static void
unix_close(struct socket *s)
{
    list_remove(&s->all);
    if (s->bound_inode) {
        if (s->bound_inode->bound_socket == s)
            s->bound_inode->bound_socket = NULL;
        inode_put(s->bound_inode);
        s->bound_inode = NULL;
    }
}

static const struct socket_ops OPS_TABLE(socket_ops) unix_ops = {
    .accept = queue_accept,
    .recv = queue_recv,
    .name = queue_name,
    .ioctl = queue_ioctl,
    .set_option = queue_set_option,
    .get_option = queue_get_option,
    .shutdown = unix_shutdown,
    .poll = unix_poll,
    .bind = unix_bind,
    .connect = unix_connect,
    .listen = unix_listen,
    .send = unix_send,
    .close = unix_close,
};

struct socket *
unix_socket_new(int type, int protocol, int *error)
{
    struct socket *s;

    if (protocol && protocol != AF_UNIX) {
        *error = -EPROTONOSUPPORT;
        return NULL;
    }
    if (type == SOCK_RAW)
        type = SOCK_DGRAM;
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET) {
        *error = -ESOCKTNOSUPPORT;
        return NULL;
    }
    s = socket_new(AF_UNIX, type, 0, &unix_ops);
    *error = -ENOMEM;
    if (s) {
        s->local.storage.ss_family = s->remote.storage.ss_family = AF_UNIX;
        s->local.length = s->remote.length = sizeof(sa_family_t);
    }
    return s;
}

void
unix_socket_list(void (*each)(struct socket *s, void *arg), void *arg)
{
    for (int k = 0; k < BUCKETS; k++)
        if (bound_sockets[k].next)
            LIST_EACH(p, &bound_sockets[k])
                each(list_entry(p, struct socket, all), arg);
}
