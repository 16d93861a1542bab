/* Unix sockets: streams, datagrams, packets, names, ancillary data, credentials. */
#include "case.h"

#include <sys/un.h>

static struct sockaddr_un
name_of(const char *text)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    strcpy(a.sun_path, text);
    return a;
}

static int
bind_to(int fd, const char *text)
{
    struct sockaddr_un a = name_of(text);

    return bind(fd, (struct sockaddr *)&a, sizeof a);
}

static int
connect_to(int fd, const char *text)
{
    struct sockaddr_un a = name_of(text);

    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

CASE(socket_errors)
{
    SHOW(socket(AF_UNIX, SOCK_STREAM, 1));
    SHOW(socket(AF_UNIX, SOCK_STREAM, 2));
    SHOW(socket(AF_UNIX, SOCK_RDM, 0));
    SHOW(socket(AF_UNIX, 77, 0));
    SHOW(socket(99, SOCK_STREAM, 0));
    SHOW(socket(-1, SOCK_STREAM, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
    SHOW(socket(AF_UNIX, SOCK_RAW, 0));
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)-1));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, (int[2]){0}) == 0);
}

CASE(not_a_socket)
{
    int fd = make_file("f", "");
    char c;

    SHOW(bind_to(fd, "s"));
    SHOW(connect_to(fd, "s"));
    SHOW(listen(fd, 1));
    SHOW(accept(fd, NULL, NULL));
    SHOW(shutdown(fd, 0));
    SHOW(send(fd, "x", 1, 0));
    SHOW(recv(fd, &c, 1, 0));
    SHOW(getsockname(fd, NULL, NULL));
    SHOW(getpeername(fd, NULL, NULL));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, NULL));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, 0));
    SHOW(sendmsg(fd, NULL, 0));
    SHOW(recvmsg(fd, NULL, 0));
    SHOW(send(-1, "x", 1, 0));
    SHOW(listen(-1, 1));
}

CASE(unix_stream_joins)
{
    int s[2];
    char buf[16] = "";

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    SHOW(write(s[0], "abc", 3));
    SHOW(write(s[0], "def", 3));
    SHOW(read(s[1], buf, 4));
    SHOW(recv(s[1], buf, 16, MSG_PEEK));
    SHOW(recv(s[1], buf, 16, 0));
    SHOW(recv(s[1], buf, 16, MSG_DONTWAIT));
    SHOW(write(s[0], "", 0));
    SHOW(recv(s[1], buf, 16, MSG_DONTWAIT));
}

CASE(unix_datagrams_stay_apart)
{
    int s[2];
    char buf[16] = "";

    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    SHOW(write(s[0], "abc", 3));
    SHOW(write(s[0], "", 0));
    SHOW(write(s[0], "defg", 4));
    SHOW(recv(s[1], buf, 2, MSG_PEEK));
    SHOW(recv(s[1], buf, 2, MSG_TRUNC));
    SHOW(read(s[1], buf, 16));
    struct iovec v = {buf, 2};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    SHOW(recvmsg(s[1], &m, 0));
    say("%x", m.msg_flags);
}

CASE(unix_seqpacket)
{
    int s[2];
    char buf[16] = "";

    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
    write(s[0], "abc", 3), write(s[0], "de", 2);
    SHOW(read(s[1], buf, 16));
    SHOW(read(s[1], buf, 1));
    SHOW(recv(s[1], buf, 16, MSG_DONTWAIT));
    close(s[0]);
    SHOW(read(s[1], buf, 16));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
}

CASE(unix_end_of_peer)
{
    int s[2];
    char c;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(s[0], "x", 1);
    close(s[0]);
    struct pollfd p = {s[1], POLLIN | POLLOUT | POLLRDHUP};
    SHOW(poll(&p, 1, 0));
    say("%x", p.revents);
    SHOW(read(s[1], &c, 1));
    SHOW(read(s[1], &c, 1));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
    SHOW(write(s[1], "x", 1));
}

CASE(unix_unread_is_a_reset)
{
    int s[2];
    char c;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(s[1], "x", 1);
    close(s[0]);
    SHOW(read(s[1], &c, 1));
    SHOW(read(s[1], &c, 1));
}

CASE(unix_shutdown)
{
    int s[2];
    char c;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(read(s[1], &c, 1));
    SHOW(write(s[1], "x", 1));
    SHOW(read(s[0], &c, 1));
    struct pollfd p[2] = {{s[0], POLLIN | POLLRDHUP}, {s[1], POLLIN | POLLRDHUP}};
    SHOW(poll(p, 2, 0));
    say("%x %x", p[0].revents, p[1].revents);
    SHOW(shutdown(s[0], SHUT_RD));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
    SHOW(shutdown(s[0], 3));
    SHOW(shutdown(socket(AF_UNIX, SOCK_STREAM, 0), SHUT_RD));
}

CASE(unix_names)
{
    int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un n = {0};
    socklen_t size = sizeof n;
    struct stat st;

    SHOW(getsockname(a, (struct sockaddr *)&n, &size));
    say("%d %d", size, n.sun_family);
    SHOW(bind_to(a, "s"));
    stat("s", &st);
    say("%o", st.st_mode);
    SHOW(bind_to(a, "t"));
    SHOW(bind_to(b, "s"));
    SHOW(bind_to(b, "nothing/s"));
    size = sizeof n;
    SHOW(getsockname(a, (struct sockaddr *)&n, &size));
    say("%d %s", size, n.sun_path);
    size = 4;
    SHOW(getsockname(a, (struct sockaddr *)&n, &size));
    say("%d", size);
    SHOW(getpeername(a, (struct sockaddr *)&n, &size));
    SHOW(bind(b, (struct sockaddr *)&n, 1));
    n.sun_family = AF_INET;
    SHOW(bind(b, (struct sockaddr *)&n, sizeof n));
    SHOW(bind(b, (struct sockaddr *)-1, sizeof n));
    SHOW(bind(b, (struct sockaddr *)&n, 200));
}

CASE(unix_abstract_names)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un n = {.sun_family = AF_UNIX, .sun_path = "\0ingot-case-abstract"};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 20;

    SHOW(bind(a, (struct sockaddr *)&n, size));
    SHOW(bind(b, (struct sockaddr *)&n, size));
    SHOW(bind(b, (struct sockaddr *)&n, size - 1));
    SHOW(sendto(b, "x", 1, 0, (struct sockaddr *)&n, size));
    SHOW(sendto(b, "x", 1, 0, (struct sockaddr *)&n, size + 1));
    struct sockaddr_un from;
    socklen_t length = sizeof from;
    char c;
    SHOW(recvfrom(a, &c, 1, 0, (struct sockaddr *)&from, &length));
    say("%d", length);
    close(a);
    SHOW(sendto(b, "x", 1, 0, (struct sockaddr *)&n, size));
}

CASE(unix_autobind)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un n = {.sun_family = AF_UNIX};
    socklen_t size = sizeof n;

    SHOW(bind(a, (struct sockaddr *)&n, sizeof(sa_family_t)));
    SHOW(getsockname(a, (struct sockaddr *)&n, &size));
    say("%d %d", size, n.sun_path[0]);
}

CASE(unix_listen_and_accept)
{
    int a = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), b = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), c;
    struct sockaddr_un n;
    socklen_t size = sizeof n;

    SHOW(listen(a, 1));
    SHOW(connect_to(b, "s"));
    bind_to(a, "s");
    SHOW(connect_to(b, "s"));
    SHOW(listen(a, 0));
    SHOW(accept(a, NULL, NULL));
    SHOW(connect_to(b, "s"));
    SHOW(connect_to(b, "s"));
    SHOW(send(b, "early", 5, 0));
    SHOW(connect_to(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), "s"));
    c = accept4(a, (struct sockaddr *)&n, &size, SOCK_CLOEXEC);
    SHOW(c >= 0);
    say("%d %d %d", size, fcntl(c, F_GETFD), fcntl(c, F_GETFL) & O_NONBLOCK);
    SHOW(accept4(a, NULL, NULL, 0x100));
    SHOW(accept(b, NULL, NULL));
    SHOW(accept(socket(AF_UNIX, SOCK_DGRAM, 0), NULL, NULL));
    SHOW(listen(socket(AF_UNIX, SOCK_DGRAM, 0), 1));
    SHOW(connect_to(socket(AF_UNIX, SOCK_DGRAM, 0), "s"));
}

CASE(unix_connect_rights)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b;

    bind_to(a, "s");
    chmod("s", 0600);
    make_file("f", "");
    b = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(connect_to(b, "f"));
    SHOW(connect_to(b, "nothing"));
    become(1000);
    SHOW(connect_to(b, "s"));
    SHOW(bind_to(b, "t"));
}

CASE(unix_dgram_connected)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un n = name_of("a");

    bind_to(a, "a"), bind_to(b, "b");
    SHOW(send(b, "x", 1, 0));
    SHOW(connect_to(b, "a"));
    SHOW(connect_to(a, "b"));
    SHOW(send(b, "x", 1, 0));
    SHOW(sendto(c, "x", 1, 0, (struct sockaddr *)&n, sizeof n));
    SHOW(connect(b, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)));
    SHOW(send(b, "x", 1, 0));
}

static ssize_t
send_fds(int s, int *fds, int count)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    *c = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    return sendmsg(s, &m, 0);
}

static int
receive_fds(int s, size_t room, int flags)
{
    char control[256] = {0}, byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    ssize_t n = recvmsg(s, &m, flags);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int fd = -1;

    say("%ld flags %x, %ld bytes of descriptors", (long)n, m.msg_flags, c ? (long)(c->cmsg_len - CMSG_LEN(0)) : 0);
    if (c)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

CASE(unix_passes_descriptors)
{
    int s[2], fd = make_file("f", "abc"), got;
    char c;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    SHOW(send_fds(s[0], &fd, 1));
    close(fd);
    got = receive_fds(s[1], 256, MSG_CMSG_CLOEXEC);
    SHOW(read(got, &c, 1));
    SHOW(fcntl(got, F_GETFD));
    SHOW(send_fds(s[0], &(int){99}, 1));
    SHOW(send_fds(s[0], (int[]){0, 1, 2}, 3));
    receive_fds(s[1], CMSG_LEN(2 * sizeof(int)), 0);
    SHOW(send_fds(s[0], (int[]){0}, 1));
    receive_fds(s[1], 0, 0);
    SHOW(send_fds(s[0], &(int){open("f", O_PATH)}, 1));
    SHOW(fcntl(receive_fds(s[1], 256, 0), F_GETFL) & O_PATH);
}

CASE(unix_credentials)
{
    int s[2], on = 1;
    char control[256], byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct ucred u;
    socklen_t size = sizeof u;

    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    SHOW(write(s[0], "x", 1));
    SHOW(recvmsg(s[1], &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    memcpy(&u, CMSG_DATA(c), sizeof u);
    say("%d %d %u", c->cmsg_type, u.pid == getpid(), u.uid);
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &size));
    say("%d %u %u", u.pid == getpid(), u.uid, u.gid);
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, size));
    int t = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(getsockopt(t, SOL_SOCKET, SO_PEERCRED, &u, &size));
    say("%d %d", u.pid, (int)u.uid);
}

CASE(unix_forged_credentials)
{
    int s[2];
    char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct ucred u = {getppid(), 0, 0};

    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    become(1000);
    *c = (struct cmsghdr){CMSG_LEN(sizeof u), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(c), &u, sizeof u);
    SHOW(sendmsg(s[0], &m, 0));
    u = (struct ucred){getpid(), 1000, 1000};
    memcpy(CMSG_DATA(c), &u, sizeof u);
    SHOW(sendmsg(s[0], &m, 0));
    u.uid = 1001;
    memcpy(CMSG_DATA(c), &u, sizeof u);
    SHOW(sendmsg(s[0], &m, 0));
    c->cmsg_len = 5;
    SHOW(sendmsg(s[0], &m, 0));
    c->cmsg_len = sizeof control + 1;
    SHOW(sendmsg(s[0], &m, 0));
    c->cmsg_len = CMSG_LEN(sizeof u), c->cmsg_type = 99;
    SHOW(sendmsg(s[0], &m, 0));
}

CASE(message_pointers)
{
    int s[2];
    struct iovec v = {(void *)-1, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    char c;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    SHOW(sendmsg(s[0], (void *)-1, 0));
    SHOW(sendmsg(s[0], &m, 0));
    m.msg_iovlen = 1025;
    SHOW(sendmsg(s[0], &m, 0));
    SHOW(recvmsg(s[0], &m, 0));
    m.msg_iov = (void *)-1, m.msg_iovlen = 1;
    SHOW(sendmsg(s[0], &m, 0));
    SHOW(send(s[0], (void *)-1, 1, 0));
    SHOW(sendto(s[0], "x", 1, 0, (void *)-1, 8));
    SHOW(recv(s[1], &c, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
}

CASE(many_messages)
{
    int s[2];
    char a[4], b[4];
    struct iovec v[2] = {{"abc", 3}, {"de", 2}}, w[2] = {{a, 4}, {b, 4}};
    struct mmsghdr out[2] = {{{.msg_iov = &v[0], .msg_iovlen = 1}}, {{.msg_iov = &v[1], .msg_iovlen = 1}}},
                   in[2] = {{{.msg_iov = &w[0], .msg_iovlen = 1}}, {{.msg_iov = &w[1], .msg_iovlen = 1}}};

    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    SHOW(sendmmsg(s[0], out, 2, 0));
    say("%u %u", out[0].msg_len, out[1].msg_len);
    SHOW(recvmmsg(s[1], in, 2, 0, NULL));
    say("%u %u", in[0].msg_len, in[1].msg_len);
    SHOW(recvmmsg(s[1], in, 2, MSG_DONTWAIT, NULL));
    SHOW(sendmmsg(s[0], (void *)-1, 2, 0));
    SHOW(sendmmsg(s[0], out, 0, 0));
    SHOW(recvmmsg(s[1], in, 2, 0, &(struct timespec){0, -1}));
    write(s[0], "x", 1);
    SHOW(recvmmsg(s[1], in, 2, MSG_WAITFORONE, NULL));
}

CASE(unix_socket_full)
{
    int s[2], size = 4096, n = 0;
    char buf[1000] = "";

    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
    setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    while (send(s[0], buf, sizeof buf, 0) > 0)
        n++;
    say("%s %d", strerrorname_np(errno), n > 0);
    struct pollfd p = {s[0], POLLOUT};
    SHOW(poll(&p, 1, 0));
    while (read(s[1], buf, sizeof buf) > 0)
        ;
    SHOW(poll(&p, 1, 0));
}

CASE(unix_open_by_name)
{
    int a = socket(AF_UNIX, SOCK_STREAM, 0);

    bind_to(a, "s");
    SHOW(open("s", O_RDWR));
    SHOW(rename("s", "t"));
    listen(a, 1);
    SHOW(connect_to(socket(AF_UNIX, SOCK_STREAM, 0), "t"));
    SHOW(unlink("t"));
    SHOW(connect_to(socket(AF_UNIX, SOCK_STREAM, 0), "t"));
}
