/* System calls on sockets. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/net/socket.h"
#include "vkernel/audit/audit.h"
#include "vkernel/vfs/file.h"
#include "vkernel/task/process.h"
#include "vkernel/signal/signal.h"

enum { CONTROL_MAX = 8192, CONTROL_RECEIVED = 1024, SOCKET_NONBLOCK = 04000 };
static const unsigned FOR_32_BITS =
    0x80000000; /* MSG_CMSG_COMPAT: Linux sets it for programs of 32 bits, no others may */

/* The socket of a descriptor and the reference to its file that keeps it. NULL: *error says why. */
static struct file *
socket_arg(uint64_t fd, struct socket **s, int *error)
{
    FILE_REF struct file *f = fd_get((int)fd);

    *s = f && !(f->flags & O_PATH) ? file_socket(f) : NULL;
    *error = !f || (f->flags & O_PATH) ? -EBADF : *s ? 0 : -ENOTSOCK;
    return *s ? file_get(f) : NULL;
}

static int
install(struct socket *s, int flags)
{
    struct file *f = socket_file(s, flags & SOCKET_NONBLOCK);

    if (!f) {
        socket_close(s);
        return -ENFILE;
    }
    return fd_install_or_put(f, flags & O_CLOEXEC);
}

static struct socket *
make(int family, int type, int protocol, int *error)
{
    switch (family) {
    case AF_UNIX: return unix_socket_new(type, protocol, error);
    case AF_INET:
    case AF_INET6: return network->socket_new(family, type, protocol, error);
    case AF_NETLINK: return netlink_socket_new(type, protocol, error);
    default: *error = -EAFNOSUPPORT; return NULL;
    }
}

int64_t
sys_socket(const uint64_t a[6])
{
    int type = (int)a[1], error;
    struct socket *s;

    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    s = make((int)a[0], type & 0xf, (int)a[2], &error);
    return s ? install(s, type) : error;
}

int64_t
sys_socketpair(const uint64_t a[6])
{
    int type = (int)a[1], error;
    struct socket *s[2];
    struct file *files[2];

    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    if (a[0] != AF_UNIX)
        return a[0] == AF_INET || a[0] == AF_INET6 ? -EOPNOTSUPP : -EAFNOSUPPORT;
    s[0] = unix_socket_new(type & 0xf, (int)a[2], &error);
    if (!s[0])
        return error;
    s[1] = unix_socket_new(type & 0xf, (int)a[2], &error);
    if (!s[1]) {
        socket_put(s[0]);
        return error;
    }
    socket_pair_up(s[0], s[1]);
    s[0]->peer_creds = s[1]->peer_creds = current_ucred();
    for (unsigned k = 0; k < 2; k++) {
        files[k] = socket_file(s[k], type & SOCKET_NONBLOCK);
        if (files[k])
            continue;
        socket_close(s[k]);
        if (k)
            file_put(files[0]);
        else
            socket_close(s[1]);
        return -ENFILE;
    }
    error = fd_install_told(files, 2, type & O_CLOEXEC, a[3]);
    if (error < 0) {
        file_put(files[0]);
        file_put(files[1]);
    }
    return error;
}

/* --- addresses --- */

static int
address_in(guest_addr p, uint32_t length, struct address *out)
{
    memset(out, 0, sizeof *out);
    if (length > sizeof out->storage)
        return -EINVAL;
    if (length && copy_from_guest(&out->storage, p, length) < 0)
        return -EFAULT;
    out->length = (socklen_t)length;
    return 0;
}

static int
address_out(const struct address *a, guest_addr p, guest_addr length)
{
    socklen_t room, n;

    if (!p)
        return 0;
    if (copy_from_guest(&room, length, sizeof room) < 0)
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    n = a->length < room ? a->length : room;
    if (n && copy_to_guest(p, &a->storage, n) < 0)
        return -EFAULT;
    return copy_to_guest(length, &a->length, sizeof a->length);
}

/* Unix sockets are the container's own: only addresses of the network are of interest outside. */
static void
record_address(const char *action, const char *side, const struct address *a, int result)
{
    const struct sockaddr_in *v4 = (const void *)&a->storage;
    const struct sockaddr_in6 *v6 = (const void *)&a->storage;
    char text[INET6_ADDRSTRLEN], field[32];
    struct audit_entry e;
    int family = a->storage.ss_family;

    if (!(family == AF_INET && a->length >= sizeof *v4) && !(family == AF_INET6 && a->length >= sizeof *v6))
        return;
    audit_begin(&e, AUDIT_NETWORK, action, result == 0 || result == -EINPROGRESS);
    snprintf(field, sizeof field, "%s.ip", side);
    audit_string(&e, field,
                 family == AF_INET ? inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text)
                                   : inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text));
    snprintf(field, sizeof field, "%s.port", side);
    audit_number(&e, field, ntohs(family == AF_INET ? v4->sin_port : v6->sin6_port));
    if (result < 0)
        audit_string(&e, "error.code", strerrorname_np(-result));
    audit_end(&e);
}

int64_t
sys_bind(const uint64_t a[6])
{
    struct address addr;
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    r = address_in(a[1], a[2], &addr);
    if (r < 0)
        return r;
    r = OPS(s->ops)->bind ? OPS(s->ops)->bind(s, &addr) : -EOPNOTSUPP;
    record_address("network-bound", "source", &addr, r);
    return r;
}

int64_t
sys_listen(const uint64_t a[6])
{
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    return OPS(s->ops)->listen ? OPS(s->ops)->listen(s, (unsigned)a[1]) : -EOPNOTSUPP;
}

/* Sleeps in the middle of a call on a socket, until its state may have changed. *deadline 0: not yet known. -ETIMEDOUT:
 * the socket's own timeout is over. */
static int
socket_wait(struct socket *s, bool write, uint64_t *deadline)
{
    uint64_t timeout = write ? s->send_timeout : s->receive_timeout;
    struct wait_queue *queues[3] = {&s->in_queue, &s->out_queue, &dgram_space};
    int r;

    might_sleep();
    if (!*deadline)
        *deadline = timeout ? clock_monotonic_ns() + timeout : WAIT_FOREVER;
    r = wait_on_many(queues, write ? 3 : 2, *deadline);
    return r == -ERESTARTSYS && timeout ? -EINTR : r;
}

int64_t
sys_connect(const uint64_t a[6])
{
    struct address addr;
    struct socket *s;
    uint64_t deadline = 0;
    int r, w;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    r = address_in(a[1], a[2], &addr);
    if (r < 0)
        return r;
    if (!OPS(s->ops)->connect)
        return -EOPNOTSUPP;
    for (;;) {
        r = OPS(s->ops)->connect(s, &addr);
        if ((r != -EAGAIN && r != -EINPROGRESS && r != -EALREADY) || (f->flags & O_NONBLOCK))
            break;
        if (r == -EINPROGRESS && (OPS(s->ops)->poll(s) & (POLLOUT | POLLERR)))
            continue;
        /* The listener's queue is full, or the answer is still under way. */
        w = socket_wait(s, true, &deadline);
        if (w < 0) {
            r = w != -ETIMEDOUT ? w : r == -EAGAIN ? -EAGAIN : -EINPROGRESS;
            break;
        }
    }
    record_address("network-connected", "destination", &addr, r);
    return r;
}

static int64_t
accept_common(uint64_t fd, guest_addr addr, guest_addr length, int flags)
{
    struct socket *s, *c = NULL;
    struct address remote;
    struct file *accepted;
    uint64_t deadline = 0;
    int r;
    FILE_REF struct file *f = socket_arg(fd, &s, &r);

    if (!f)
        return r;
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    if (!OPS(s->ops)->accept || (!is_stream(s) && s->type != SOCK_SEQPACKET))
        return -EOPNOTSUPP;
    r = fd_room(); /* before a connection is taken */
    if (r < 0)
        return r;
    do {
        r = OPS(s->ops)->accept(s, &c);
        if (r != -EAGAIN || (f->flags & O_NONBLOCK))
            break;
        r = socket_wait(s, false, &deadline);
    } while (r == 0);
    if (r < 0)
        return r == -ETIMEDOUT ? -EAGAIN : r;
    accepted = socket_file(c, flags & SOCKET_NONBLOCK);
    if (!accepted) {
        socket_close(c);
        return -ENFILE;
    }
    if (c->host_fd >= 0 || OPS(c->ops)->name(c, true, &remote) < 0)
        remote = c->remote; /* the host told it with the connection; or it is gone already */
    r = address_out(&remote, addr, length);
    if (r < 0) {
        file_put(accepted);
        return r;
    }
    return fd_install_or_put(accepted, flags & O_CLOEXEC);
}

int64_t
sys_accept(const uint64_t a[6])
{
    return accept_common(a[0], a[1], a[2], 0);
}

int64_t
sys_accept4(const uint64_t a[6])
{
    return accept_common(a[0], a[1], a[2], (int)a[3]);
}

int64_t
sys_shutdown(const uint64_t a[6])
{
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    return (unsigned)a[1] > 2 ? -EINVAL : OPS(s->ops)->shutdown(s, (int)a[1]);
}

static int
socket_name(const uint64_t a[6], bool peer)
{
    struct address name;
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    r = OPS(s->ops)->name(s, peer, &name);
    if (r < 0)
        return r;
    r = address_out(&name, a[1], a[2]);
    return r < 0 || a[1] || !name.length ? r : -EFAULT; /* unlike accept and recvfrom, these need a place */
}

int64_t
sys_getsockname(const uint64_t a[6])
{
    return socket_name(a, false);
}

int64_t
sys_getpeername(const uint64_t a[6])
{
    return socket_name(a, true);
}

/* --- transfers --- */

static int
transfer_wait(struct socket *s, bool write, uint64_t *deadline)
{
    int r = socket_wait(s, write, deadline);

    return r == -ETIMEDOUT ? -EAGAIN : r;
}

static int64_t
send_loop(struct file *f, struct socket *s, struct user_iov *u, struct transfer *t)
{
    bool nonblock = (f->flags & O_NONBLOCK) || (t->flags & MSG_DONTWAIT);
    uint64_t done = 0, deadline = 0;
    int64_t r = 0;

    might_sleep();
    do {
        {
            NO_SLEEP;
            int n = user_iov_spans(u, done, SPANS_MOST, false);

            if (n == 0 && u->total > done) {
                r = -EFAULT;
                break;
            }
            r = is_stream(s) ? 0 : user_iov_whole(u, n);
            if (r < 0)
                break;
            r = socket_send(s, u->spans, n, t);
        }
        if (r == -EAGAIN && !nonblock) {
            r = transfer_wait(s, true, &deadline);
            if (r < 0)
                break;
            continue;
        }
        if (r < 0)
            break;
        done += (uint64_t)r;
        if (r == 0 || !is_stream(s))
            break;
    } while (done < u->total);
    if (r == -EPIPE && done == 0 && !(t->flags & MSG_NOSIGNAL) && is_stream(s))
        signal_send_self(SIGPIPE);
    return done ? (int64_t)done : r;
}

static int64_t
recv_loop(struct file *f, struct socket *s, struct user_iov *u, struct transfer *t)
{
    bool nonblock = (f->flags & O_NONBLOCK) || (t->flags & MSG_DONTWAIT);
    bool all = (t->flags & MSG_WAITALL) && is_stream(s) && !(t->flags & MSG_PEEK);
    uint64_t done = 0, deadline = 0;
    int64_t r = 0;
    int waited = 0;

    might_sleep();
    t->patient = !nonblock;
    for (;;) {
        {
            NO_SLEEP;
            int n = user_iov_spans(u, done, SPANS_MOST, true);

            if (n == 0 && u->total > done) {
                r = -EFAULT;
                break;
            }
            r = OPS(s->ops)->recv(s, u->spans, n, t);
        }
        if (r == -EAGAIN && !nonblock && !(t->flags & (MSG_ERRQUEUE | MSG_OOB))) { /* these never wait */
            if (queue_at_end(s)) {
                r = 0;
                break;
            }
            if (waited < 0) {
                r = waited;
                break;
            }
            waited = transfer_wait(s, false, &deadline);
            t->patient = waited == 0; /* else what there is, if anything */
            continue;
        }
        if (r <= 0)
            break;
        done += (uint64_t)r;
        /* TCP's error waits for the next call, and so does what comes behind the urgent byte */
        if (!all || tcp_at_mark(s) || done >= u->total || t->scm || (s->error && s->family != AF_UNIX))
            break;
    }
    return done ? (int64_t)done : r;
}

int64_t
sys_sendto(const uint64_t a[6])
{
    struct transfer t = {.flags = (int)a[3]};
    struct address to;
    UNINITIALIZED struct user_iov u;
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    if (a[4]) {
        r = address_in(a[4], a[5], &to);
        if (r < 0)
            return r;
        if (s->type != SOCK_SEQPACKET && !(s->type == SOCK_STREAM && s->family != AF_UNIX))
            t.to = &to;
    }
    user_iov_single(&u, a[1], a[2]);
    return send_loop(f, s, &u, &t);
}

int64_t
sys_recvfrom(const uint64_t a[6])
{
    struct transfer t = {.flags = (int)a[3]};
    UNINITIALIZED struct user_iov u;
    struct socket *s;
    int64_t n;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if (!f)
        return r;
    user_iov_single(&u, a[1], a[2]);
    n = recv_loop(f, s, &u, &t);
    scm_free(t.scm);
    if (n >= 0 && a[4] && address_out(&t.from, a[4], a[5]) < 0)
        return -EFAULT;
    return n;
}

/* --- sendmsg, recvmsg --- */

struct guest_msghdr { /* struct user_msghdr of x86-64 */
    uint64_t name;
    uint32_t name_length, pad;
    uint64_t iov, iov_count, control, control_length;
    uint32_t flags, pad2;
};
_Static_assert(sizeof(struct guest_msghdr) == 56, "struct msghdr of x86-64");

struct guest_cmsg {
    uint64_t length;
    int32_t level, type;
};

static int
msghdr_in(guest_addr p, struct guest_msghdr *h)
{
    if (copy_from_guest(h, p, sizeof *h) < 0)
        return -EFAULT;
    if (!h->name)
        h->name_length = 0;
    if ((int)h->name_length < 0)
        return -EINVAL;
    if (h->name_length > sizeof(struct sockaddr_storage))
        h->name_length = sizeof(struct sockaddr_storage);
    return 0;
}

static int
take_rights(struct transfer *t, const uint8_t *data, size_t size)
{
    size_t n = size / sizeof(int);

    if (n == 0)
        return 0;
    if (!t->scm && !(t->scm = OBJECT_NEW(scm)))
        return -ENOMEM;
    if (n > SCM_MAX_FILES - t->scm->file_count)
        return -EINVAL;
    if (scm_too_many())
        return -ETOOMANYREFS;
    for (size_t k = 0; k < n; k++) {
        struct file *f;
        int fd;

        memcpy(&fd, data + k * sizeof fd, sizeof fd);
        f = fd_get(fd);
        if (!f)
            return -EBADF;
        t->scm->files[t->scm->file_count++] = f;
    }
    return 0;
}

/* What a sender says to be must be true, unless it may be anybody (unix(7)). */
static int
take_credentials(struct transfer *t, const uint8_t *data)
{
    const struct process *p = current_process();
    const struct creds *c = &p->creds;
    struct ucred u;

    memcpy(&u, data, sizeof u);
    if ((u.pid != p->pid && !capable(CAP_SYS_ADMIN)) ||
        (u.uid != c->uid && u.uid != c->euid && u.uid != c->suid && !capable(CAP_SETUID)) ||
        (u.gid != c->gid && u.gid != c->egid && u.gid != c->sgid && !capable(CAP_SETGID)))
        return -EPERM;
    if (u.pid != p->pid && !process_find(u.pid))
        return -ESRCH;
    if (u.uid == (uid_t)-1 || u.gid == (gid_t)-1)
        return -EINVAL;
    t->creds = u;
    t->creds_given = true;
    return 0;
}

static int
control_in(struct socket *s, const struct guest_msghdr *h, struct transfer *t)
{
    uint8_t *buf;
    size_t at = 0, size = (size_t)h->control_length;
    bool others = false;
    int r = 0;

    if (!h->control || !size)
        return 0;
    if (size > CONTROL_MAX)
        return -ENOBUFS;
    buf = bytes_new(size);
    if (!buf)
        return -ENOMEM;
    if (copy_from_guest(buf, h->control, size) < 0)
        r = -EFAULT;
    while (r == 0 && size - at >= sizeof(struct guest_cmsg)) {
        struct guest_cmsg c;

        memcpy(&c, buf + at, sizeof c);
        if (c.length < sizeof c || c.length > size - at) {
            r = -EINVAL;
            break;
        }
        if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS && s->family == AF_UNIX)
            r = take_rights(t, buf + at + sizeof c, (size_t)c.length - sizeof c);
        else if (c.level == SOL_SOCKET && c.type == SCM_CREDENTIALS && c.length == sizeof c + sizeof(struct ucred))
            r = s->family == AF_UNIX ? take_credentials(t, buf + at + sizeof c) : 0;
        else if (c.level == SOL_SOCKET)
            r = -EINVAL;
        else if (c.level != SOL_SOCKET)
            others = true;
        at += ((size_t)c.length + 7) & ~(size_t)7;
        if (at > size)
            break;
    }
    if (r == 0 && others) {
        t->control = buf;
        t->control_size = size;
    } else {
        bytes_free(buf);
    }
    return r;
}

static int64_t
send_message(struct file *f, struct socket *s, guest_addr p, int flags)
{
    struct transfer t = {.flags = flags};
    struct guest_msghdr h;
    struct address to;
    UNINITIALIZED struct user_iov u;
    int64_t r;

    r = msghdr_in(p, &h);
    if (r < 0)
        return r;
    if (h.name && h.name_length) {
        r = address_in(h.name, h.name_length, &to);
        if (r < 0)
            return r;
        if (!(s->type == SOCK_STREAM && s->family != AF_UNIX) && s->type != SOCK_SEQPACKET)
            t.to = &to;
    }
    r = user_iov_init(&u, h.iov, h.iov_count);
    if (r < 0)
        return r == -EINVAL ? -EMSGSIZE : r;
    r = s->type == SOCK_SEQPACKET && s->error ? socket_error(s) : control_in(s, &h, &t); /* it looks at errors first */
    if (r == 0)
        r = send_loop(f, s, &u, &t);
    scm_free(t.scm);
    bytes_free(t.control);
    user_iov_fini(&u);
    return r;
}

int64_t
sys_sendmsg(const uint64_t a[6])
{
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if ((unsigned)a[2] & FOR_32_BITS)
        return -EINVAL;
    return f ? send_message(f, s, a[1], (int)a[2]) : r;
}

struct control_out {
    guest_addr at;
    uint64_t left, used;
    bool truncated;
};

static void
control_advance(struct control_out *c, size_t size)
{
    size_t padded = (size + 7) & ~(size_t)7;

    if (padded > c->left)
        padded = (size_t)c->left;
    c->at += padded;
    c->left -= padded;
    c->used += padded;
}

/* Linux's put_cmsg: where there is no memory the message is not told of, and the call goes on. */
static void
control_put(struct control_out *c, int level, int type, const void *data, size_t size)
{
    struct guest_cmsg h = {.level = level, .type = type};

    if (c->left < sizeof h) {
        c->truncated = true;
        return;
    }
    if (c->left - sizeof h < size) { /* as much of it as there is room for */
        c->truncated = true;
        size = (size_t)c->left - sizeof h;
    }
    h.length = sizeof h + size;
    if (copy_to_guest(c->at, &h, sizeof h) == 0 && copy_to_guest(c->at + sizeof h, data, size) == 0)
        control_advance(c, h.length);
}

/* Linux's scm_detach_fds: a descriptor is open once its number is told. */
static void
give_rights(struct control_out *c, struct scm *m, int flags)
{
    struct guest_cmsg h = {.level = SOL_SOCKET, .type = SCM_RIGHTS};
    unsigned n = 0;

    while (n < m->file_count && c->left >= sizeof h + (n + 1) * sizeof(int)) {
        struct file *f = file_get(m->files[n]);

        if (fd_install_told(&f, 1, (flags & MSG_CMSG_CLOEXEC) ? O_CLOEXEC : 0, c->at + sizeof h + n * sizeof(int)) <
            0) {
            file_put(f);
            break;
        }
        n++;
    }
    if (n < m->file_count)
        c->truncated = true;
    h.length = sizeof h + n * sizeof(int);
    if (n && copy_to_guest(c->at, &h, sizeof h) == 0)
        control_advance(c, h.length);
}

static void
give_others(struct control_out *c, const struct transfer *t)
{
    if (!t->control_size)
        return;
    if (copy_to_guest(c->at, t->control, t->control_size) == 0)
        control_advance(c, t->control_size);
}

/* Only what the call says; the rest of the header is the guest's, who may have changed it meanwhile. */
static int
header_out(guest_addr p, const struct guest_msghdr *h)
{
    if (h->name &&
        copy_to_guest(p + offsetof(struct guest_msghdr, name_length), &h->name_length, sizeof h->name_length) < 0)
        return -EFAULT;
    if (copy_to_guest(p + offsetof(struct guest_msghdr, flags), &h->flags, sizeof h->flags) < 0)
        return -EFAULT;
    return copy_to_guest(p + offsetof(struct guest_msghdr, control_length), &h->control_length,
                         sizeof h->control_length);
}

static int64_t
recv_message(struct file *f, struct socket *s, guest_addr p, int flags)
{
    _Alignas(8) uint8_t control[CONTROL_RECEIVED];
    struct transfer t = {.flags = flags};
    struct control_out c = {0};
    struct guest_msghdr h;
    UNINITIALIZED struct user_iov u;
    int64_t n;
    int r;

    n = msghdr_in(p, &h);
    if (n < 0)
        return n;
    n = user_iov_init(&u, h.iov, h.iov_count);
    if (n < 0)
        return n == -EINVAL ? -EMSGSIZE : n;
    if (h.control) {
        t.control = control;
        t.control_size = h.control_length < sizeof control ? (size_t)h.control_length : sizeof control;
    }
    n = recv_loop(f, s, &u, &t);
    user_iov_fini(&u);
    if (n < 0) {
        scm_free(t.scm);
        return n;
    }
    c.at = h.control;
    c.left = h.control ? h.control_length : 0;
    give_others(&c, &t);
    if (socket_option(s, SO_PASSCRED) && (t.received || is_stream(s)))
        control_put(&c, SOL_SOCKET, SCM_CREDENTIALS, &t.creds, sizeof t.creds);
    if (t.scm)
        give_rights(&c, t.scm, flags);
    scm_free(t.scm);
    if (h.name) {
        socklen_t room = h.name_length, give = t.from.length < room ? t.from.length : room;

        if (give && copy_to_guest(h.name, &t.from.storage, give) < 0)
            return -EFAULT;
        h.name_length = t.from.length;
    }
    h.control_length = c.used;
    h.flags = (uint32_t)(t.out_flags | (c.truncated ? MSG_CTRUNC : 0) | (flags & MSG_CMSG_CLOEXEC));
    r = header_out(p, &h);
    return r < 0 ? r : n;
}

int64_t
sys_recvmsg(const uint64_t a[6])
{
    struct socket *s;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if ((unsigned)a[2] & FOR_32_BITS)
        return -EINVAL;
    return f ? recv_message(f, s, a[1], (int)a[2]) : r;
}

int64_t
sys_sendmmsg(const uint64_t a[6])
{
    struct socket *s;
    int64_t done = 0;
    int r;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if ((unsigned)a[3] & FOR_32_BITS)
        return -EINVAL;
    if (!f)
        return r;
    for (uint64_t k = 0; k < (uint32_t)a[2] && k < 1024; k++) {
        guest_addr p = a[1] + k * 64;
        int64_t n = send_message(f, s, p, (int)a[3]);
        uint32_t length = (uint32_t)n;

        if (n < 0)
            return done ? done : n;
        if (copy_to_guest(p + 56, &length, sizeof length) < 0)
            return done ? done : -EFAULT;
        done++;
        if (sched_checkpoint() < 0)
            break;
    }
    return done;
}

int64_t
sys_recvmmsg(const uint64_t a[6])
{
    struct socket *s;
    int64_t done = 0;
    int flags = (int)a[3], r;
    struct timespec limit;
    uint64_t deadline = WAIT_FOREVER;
    FILE_REF struct file *f = socket_arg(a[0], &s, &r);

    if ((unsigned)a[3] & FOR_32_BITS)
        return -EINVAL;
    if (a[4]) {
        if (copy_from_guest(&limit, a[4], sizeof limit) < 0)
            return -EFAULT;
        if (limit.tv_sec < 0 || limit.tv_nsec < 0 || limit.tv_nsec > 999999999)
            return -EINVAL;
        if (limit.tv_sec < 4000000000)
            deadline = clock_monotonic_ns() + (uint64_t)limit.tv_sec * 1000000000 + (uint64_t)limit.tv_nsec;
    }
    if (!f)
        return r;
    for (uint64_t k = 0; k < (uint32_t)a[2] && k < 1024; k++) {
        guest_addr p = a[1] + k * 64;
        int64_t n = recv_message(f, s, p, flags & ~MSG_WAITFORONE);
        uint32_t length = (uint32_t)n;

        if (n < 0)
            return done ? done : n;
        if (copy_to_guest(p + 56, &length, sizeof length) < 0)
            return done ? done : -EFAULT;
        done++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (clock_monotonic_ns() >= deadline || sched_checkpoint() < 0) /* Linux, too, looks at the time only after a
                                                                           message */
            break;
    }
    return done;
}
