/* Random calls on connected pairs of sockets (Unix and, over the loopback, TCP): flags of send and
 * receive, half-closes, closes, descriptors in messages, peeks, readiness. One process, nothing
 * blocks. */
#include "random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int ends[2], sigpipes, kind;

static void
on_sigpipe(int sig)
{
    sigpipes++;
}

static const char *
name_of(int e)
{
    return e ? strerrorname_np(e) : "0";
}

static void
result(const char *what, int which, long r, int e)
{
    note("%s(%d) = %ld %s%s", what, which, r, r < 0 ? name_of(e) : "", sigpipes ? " SIGPIPE" : "");
    sigpipes = 0;
}

/* TCP tells the other end a moment later, the loopback as well. */
static void
settle(void)
{
    if (kind == 3)
        usleep(500);
}

static void
open_pair(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int listener, one = 1;

    if (kind < 3) {
        socketpair(AF_UNIX, types[kind] | SOCK_NONBLOCK, 0, ends);
        return;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&a, sizeof a);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&a, &n);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(ends[0], (struct sockaddr *)&a, sizeof a);
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int k = 0; k < 2; k++) {
        fcntl(ends[k], F_SETFL, O_NONBLOCK);
        setsockopt(ends[k], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
}

static void
send_some(int which)
{
    static const int flags[] = {0, 0, 0, MSG_NOSIGNAL, MSG_DONTWAIT, MSG_EOR, MSG_MORE, MSG_DONTROUTE};
    static char data[3000];
    size_t size = draw(4) ? draw(40) : draw(sizeof data);
    int flag = DRAW_OF(flags);
    long r;

    if (flag == MSG_MORE && kind == 3)
        flag = 0;
    for (size_t k = 0; k < size; k++)
        data[k] = (char)draw(256);
    switch (draw(3)) {
    case 0:
        r = write(ends[which], data, size);
        result("write", which, r, errno);
        break;
    case 1:
        r = send(ends[which], data, size, flag);
        result("send", which, r, errno);
        break;
    default: {
        struct iovec iov[3] = {{data, size / 2}, {data + size / 2, 0}, {data + size / 2, size - size / 2}};
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};

        r = sendmsg(ends[which], &m, flag);
        result("sendmsg", which, r, errno);
    }
    }
    settle();
}

static void
send_files(int which)
{
    struct {
        struct cmsghdr h;
        int fds[3];
    } control = {{CMSG_LEN(0), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {"files", draw(6)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    unsigned n = draw(4);
    int bad = draw(8) == 0;
    long r;

    for (unsigned k = 0; k < n; k++)
        control.fds[k] = bad && k == n - 1 ? 999 : 1 + (int)draw(2);
    control.h.cmsg_len = CMSG_LEN(n * sizeof(int));
    m.msg_controllen = n ? CMSG_SPACE(n * sizeof(int)) : sizeof control.h;
    if (m.msg_controllen > sizeof control)
        m.msg_controllen = control.h.cmsg_len;
    r = sendmsg(ends[which], &m, MSG_NOSIGNAL);
    note("%u files%s", n, bad ? ", bad" : "");
    result("sendmsg files", which, r, errno);
    settle();
}

static void
send_creds(int which)
{
    struct {
        struct cmsghdr h;
        struct ucred c;
    } control = {{CMSG_LEN(sizeof(struct ucred)), SOL_SOCKET, SCM_CREDENTIALS}};
    struct iovec iov = {"creds", draw(6)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int wrong = (int)draw(5);
    long r;

    control.c = (struct ucred){getpid(), getuid(), getgid()};
    if (wrong == 1)
        control.c.uid = 12345;
    if (wrong == 2)
        control.c.gid = 54321;
    if (wrong == 3)
        control.c.pid = 77777;
    r = sendmsg(ends[which], &m, MSG_NOSIGNAL);
    note("creds %d", wrong);
    result("sendmsg creds", which, r, errno);
    settle();
}

static void
show_control(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)), fd;

            note("  rights %d", n);
            for (int k = 0; k < n; k++) {
                memcpy(&fd, CMSG_DATA(c) + k * sizeof fd, sizeof fd);
                note("  fd %d cloexec %d", fd, fcntl(fd, F_GETFD));
                close(fd);
            }
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred u;

            memcpy(&u, CMSG_DATA(c), sizeof u);
            note("  creds %d %u %u length %zu", u.pid == getpid() ? -1 : u.pid, u.uid, u.gid, (size_t)c->cmsg_len);
        } else {
            note("  control %d %d", c->cmsg_level, c->cmsg_type);
        }
    }
}

static void
receive_some(int which)
{
    static const int flags[] =
        {0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_PEEK | MSG_TRUNC, MSG_CMSG_CLOEXEC, MSG_DONTWAIT};
    static char data[4000];
    size_t size = draw(3) ? draw(60) : draw(sizeof data);
    int flag = DRAW_OF(flags);
    long r;

    memset(data, 0x5a, sizeof data);
    switch (draw(3)) {
    case 0:
        r = read(ends[which], data, size);
        result("read", which, r, errno);
        break;
    case 1:
        r = recv(ends[which], data, size, flag);
        note("flags %x size %zu", flag, size);
        result("recv", which, r, errno);
        break;
    default: {
        char control[128];
        struct sockaddr_storage from;
        struct iovec iov[2] = {{data, size / 3}, {data + size / 3, size - size / 3}};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = iov,
                           .msg_iovlen = 2,
                           .msg_control = control,
                           .msg_controllen = draw(4) ? sizeof control : draw(40)};

        memset(control, 0, sizeof control);
        note("flags %x size %zu control %zu", flag, size, (size_t)m.msg_controllen);
        r = recvmsg(ends[which], &m, flag);
        result("recvmsg", which, r, errno);
        if (r >= 0) {
            note("  namelen %u flags %x controllen %zu", m.msg_namelen, m.msg_flags, (size_t)m.msg_controllen);
            show_control(&m);
        }
    }
    }
    note_bytes(data, sizeof data);
    if (random_verbose && r > 0)
        note("  data %02x..", (unsigned char)data[0]);
}

static void
look(int which)
{
    struct pollfd p = {ends[which], POLLIN | POLLOUT | POLLRDHUP | POLLPRI | POLLRDNORM | POLLWRNORM, 0};
    int n = -1, error = -1;
    socklen_t size = sizeof error;

    poll(&p, 1, 0);
    ioctl(ends[which], FIONREAD, &n);
    note("poll(%d) = %x FIONREAD %d", which, p.revents & 0xffff, n);
    if (draw(3) == 0) {
        getsockopt(ends[which], SOL_SOCKET, SO_ERROR, &error, &size);
        note("SO_ERROR %s", name_of(error));
    }
}

static void
step(void)
{
    int which = (int)draw(2), value;
    long r;

    switch (draw(20)) {
    default: send_some(which); break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11: receive_some(which); break;
    case 12:
    case 13: look(which); break;
    case 14:
        if (kind < 3)
            send_files(which);
        break;
    case 15:
        if (kind < 3)
            send_creds(which);
        break;
    case 16:
        value = (int)draw(2);
        if (kind < 3) {
            setsockopt(ends[which], SOL_SOCKET, SO_PASSCRED, &value, sizeof value);
            note("passcred(%d) %d", which, value);
        }
        break;
    case 17:
        if (draw(3) == 0) {
            value = (int)draw(3);
            r = shutdown(ends[which], value);
            note("how %d", value);
            result("shutdown", which, r, errno);
            settle();
        }
        break;
    case 18:
        if (draw(6) == 0) {
            close(ends[which]);
            note("close(%d)", which);
            ends[which] = open("/dev/null", O_RDWR);
            settle();
        }
        break;
    }
}

static void
one(void)
{
    kind = (int)draw(4);
    note("kind %d", kind);
    open_pair();
    for (int k = 0; k < 60; k++)
        step();
    look(0);
    look(1);
    close(ends[0]);
    close(ends[1]);
}

int
main(int argc, char **argv)
{
    static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    static struct __user_cap_data_struct caps[2];

    signal(SIGPIPE, on_sigpipe);
    syscall(SYS_capget, &header, caps);
    caps[0].effective &= ~(1u << CAP_SYS_ADMIN); /* which a container does not have */
    syscall(SYS_capset, &header, caps);
    close(0);
    open("/dev/null", O_RDONLY);
    return random_main(argc, argv, 60, one);
}
