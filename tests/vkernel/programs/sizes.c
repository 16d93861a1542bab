/* Sizes at the edge: nothing, less than a header, negative, more than anything. Every call that takes one says what
 * Linux says. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static void
say(const char *what, long r)
{
    int e = errno;

    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(e) ? strerrorname_np(e) : "?");
    else
        printf("%s: %ld\n", what, r);
}

#define SAY(call) say(#call, (long)(call))

static char buf[70000];

static void
terminals(void)
{
    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK), s, on = 1, zero = 0;
    struct termios t;
    struct iovec none[2] = {{buf, 0}, {buf, 0}}, mixed[3] = {{buf, 0}, {buf, 1}, {buf + 1, 0}};

    unlockpt(m);
    s = open(ptsname(m), O_RDWR | O_NOCTTY | O_NONBLOCK);
    SAY(read(m, buf, 0));
    SAY(read(s, buf, 0));
    SAY(write(m, buf, 0));
    SAY(write(s, buf, 0));
    SAY(ioctl(m, TIOCPKT, &on));
    SAY(read(m, buf, 0));
    SAY(write(s, "abc", 3));
    SAY(read(m, buf, 0));
    SAY(readv(m, none, 2));
    SAY(readv(m, none, 0));
    SAY(readv(m, mixed, 3));
    printf("packet %d\n", buf[0]);
    SAY(read(m, buf, 2));
    printf("packet %d %c\n", buf[0], buf[1]);
    SAY(tcflush(s, TCIFLUSH));
    SAY(read(m, buf, 0));
    SAY(read(m, buf, 1));
    printf("packet %d\n", buf[0]);
    SAY(read(m, buf, 3));
    printf("packet %d %c%c\n", buf[0], buf[1], buf[2]);
    SAY(read(m, buf, 1));
    SAY(tcflow(s, TCOOFF));
    SAY(tcflush(s, TCOFLUSH));
    SAY(read(m, buf, 10));
    printf("packet %d\n", buf[0]);
    SAY(tcflow(s, TCOON));
    SAY(read(m, buf, 10));
    printf("packet %d\n", buf[0]);
    tcgetattr(s, &t);
    t.c_iflag &= ~IXON;
    SAY(tcsetattr(s, TCSANOW, &t));
    SAY(read(m, buf, 10));
    printf("packet %d\n", buf[0]);
    t.c_iflag |= IXON;
    SAY(tcsetattr(s, TCSAFLUSH, &t));
    SAY(read(m, buf, 10));
    printf("packet %d\n", buf[0]);
    SAY(read(m, buf, 10));
    SAY(ioctl(m, TIOCPKT, &zero));
    SAY(write(m, "line\n", 5));
    SAY(read(s, buf, 0));
    SAY(read(s, buf, 1));
    SAY(ioctl(m, FIONREAD, &on) < 0 ? -1 : on);
    SAY(ioctl(m, TIOCSPTLCK, NULL));
    SAY(ioctl(m, TIOCSIG, 0));
    SAY(ioctl(m, TIOCSIG, 65));
    SAY(ioctl(s, TCFLSH, 3));
    SAY(ioctl(s, TCXONC, 4));
    close(s);
    SAY(read(m, buf, 0));
    close(m);
}

static void
pipes(void)
{
    int p[2], q[2];
    struct iovec none[2] = {{buf, 0}, {buf, 0}}, huge[2] = {{buf, 1}, {buf, -1}}, nothing[1] = {{NULL, 0}};

    pipe2(p, O_NONBLOCK);
    pipe2(q, O_NONBLOCK);
    SAY(read(p[0], buf, 0));
    SAY(write(p[1], buf, 0));
    SAY(read(p[0], NULL, 0));
    SAY(write(p[1], "abc", 3));
    SAY(read(p[0], buf, 0));
    SAY(readv(p[0], none, 2));
    SAY(readv(p[0], none, 0));
    SAY(readv(p[0], nothing, 1));
    SAY(readv(p[0], none, -1));
    SAY(readv(p[0], none, 1025));
    SAY(readv(p[0], huge, 2));
    SAY(writev(p[1], huge, 2));
    SAY(writev(p[1], none, 2));
    SAY(writev(p[1], none, 0));
    SAY(tee(p[0], q[1], 0, SPLICE_F_NONBLOCK));
    SAY(splice(p[0], NULL, q[1], NULL, 0, SPLICE_F_NONBLOCK));
    SAY(vmsplice(q[1], none, 2, SPLICE_F_NONBLOCK));
    SAY(vmsplice(q[1], none, 0, SPLICE_F_NONBLOCK));
    SAY(vmsplice(q[1], none, 1025, SPLICE_F_NONBLOCK));
    SAY(fcntl(p[0], F_SETPIPE_SZ, 0));
    SAY(fcntl(p[0], F_SETPIPE_SZ, 1));
    SAY(fcntl(p[0], F_SETPIPE_SZ, 4097));
    SAY(fcntl(p[0], F_SETPIPE_SZ, -1));
    SAY(fcntl(p[0], F_SETPIPE_SZ, INT_MIN));
    SAY(fcntl(0, F_GETPIPE_SZ) < 0 ? 0 : 0);
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    SAY(write(p[1], buf, 0));
    SAY(write(p[1], buf, 1));
    close(p[1]);
    SAY(read(q[1], buf, 0));
    SAY(write(q[0], buf, 0));
    close(q[1]);
    SAY(read(q[0], buf, 0));
    close(q[0]);
}

static void
counters(void)
{
    int e = eventfd(3, EFD_NONBLOCK), t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), s,
        i = inotify_init1(IN_NONBLOCK);
    sigset_t set;
    char where[] = "/tmp/sizesXXXXXX";

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s = signalfd(-1, &set, SFD_NONBLOCK);
    SAY(read(e, buf, 0));
    SAY(read(e, buf, 7));
    SAY(write(e, buf, 0));
    SAY(write(e, buf, 7));
    SAY(read(e, buf, 8));
    SAY(read(t, buf, 0));
    SAY(read(t, buf, 7));
    SAY(write(t, buf, 8));
    SAY(read(s, buf, 0));
    SAY(read(s, buf, 127));
    raise(SIGUSR1);
    SAY(read(s, buf, 127));
    SAY(read(s, buf, 129));
    SAY(syscall(SYS_signalfd4, -1, &set, 4, 0));
    mkdtemp(where);
    SAY(inotify_add_watch(i, where, IN_CREATE));
    SAY(read(i, buf, 0));
    chdir(where);
    close(open("a_name_of_a_file", O_CREAT | O_WRONLY, 0600));
    SAY(read(i, buf, 0));
    SAY(read(i, buf, 16));
    SAY(read(i, buf, 47));
    SAY(read(i, buf, 48));
    unlink("a_name_of_a_file");
    chdir("/");
    rmdir(where);
    close(e), close(t), close(s), close(i);
}

static void
names(void)
{
    char where[] = "/dev/shm/sizesXXXXXX", name[300];
    int d, f;

    mkdtemp(where);
    chdir(where);
    symlink("0123456789", "l");
    f = open("f", O_CREAT | O_RDWR, 0600);
    SAY(readlink("l", buf, 0));
    SAY(readlink("l", buf, -1));
    SAY(readlink("l", buf, INT_MIN));
    SAY(syscall(SYS_readlink, "l", buf, 0x100000005ul));
    SAY(readlink("l", buf, 1));
    SAY(readlink("/proc/self/exe", buf, 1));
    SAY(readlink("/proc/self/cwd", buf, 0));
    SAY(syscall(SYS_getcwd, buf, 0));
    SAY(syscall(SYS_getcwd, buf, 1));
    SAY(syscall(SYS_getcwd, NULL, 0));
    SAY(symlink("", "empty"));
    SAY(mkdir("", 0777));
    SAY(open("", O_RDONLY));
    memset(name, 'n', sizeof name);
    name[255] = 0;
    SAY(open(name, O_CREAT | O_WRONLY, 0600) > 0);
    SAY(unlink(name));
    name[255] = 'n';
    name[256] = 0;
    SAY(open(name, O_CREAT | O_WRONLY, 0600));
    memset(buf, 't', 5000);
    buf[4096] = 0;
    SAY(symlink(buf, "long"));
    buf[4095] = 0;
    SAY(symlink(buf, "long"));
    d = open(".", O_RDONLY | O_DIRECTORY);
    SAY(syscall(SYS_getdents64, d, buf, 0));
    SAY(syscall(SYS_getdents64, d, buf, 1));
    SAY(syscall(SYS_getdents64, d, buf, 23));
    SAY(syscall(SYS_getdents64, d, buf, 24));
    SAY(syscall(SYS_getdents64, d, buf, 24));
    SAY(syscall(SYS_getdents64, d, buf, 23));
    SAY(syscall(SYS_getdents64, d, buf, 0));
    SAY(syscall(SYS_getdents64, f, buf, 100));
    SAY(syscall(SYS_getdents, d, buf, 0) < 0 ? -1 : 0);
    SAY(read(d, buf, 0));
    SAY(lseek(d, -1, SEEK_SET));
    close(d);
    d = open("/proc/self", O_RDONLY | O_DIRECTORY);
    SAY(syscall(SYS_getdents64, d, buf, 0));
    SAY(syscall(SYS_getdents64, d, buf, 23));
    SAY(syscall(SYS_getdents64, d, buf, 24));
    close(d);
    SAY(read(f, buf, 0));
    SAY(write(f, buf, 0));
    SAY(pread(f, buf, 0, -1));
    SAY(pread(f, buf, 0, LONG_MAX));
    SAY(pwrite(f, buf, 0, LONG_MAX));
    SAY(pwrite(f, buf, 1, LONG_MAX));
    SAY(ftruncate(f, -1));
    SAY(lseek(f, LONG_MAX, SEEK_SET) == LONG_MAX);
    SAY(lseek(f, 1, SEEK_CUR));
    SAY(lseek(f, -1, SEEK_END));
    lseek(f, 0, SEEK_SET);
    SAY(fallocate(f, 0, 0, 0));
    SAY(fallocate(f, 0, -1, 1));
    SAY(fallocate(f, 0, LONG_MAX, 1));
    SAY(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 0));
    SAY(sendfile(f, f, NULL, 0));
    SAY(copy_file_range(f, NULL, f, NULL, 0, 0));
    SAY(posix_fadvise(f, 0, -1, 0));
    SAY(sync_file_range(f, -1, 0, 0));
    close(f);
    unlink("f"), unlink("l"), unlink("long");
    chdir("/");
    rmdir(where);
}

static void
attributes(void)
{
    char where[] = "/dev/shm/sizesXXXXXX", name[300] = "user.";
    int f = mkstemp(where);

    SAY(fsetxattr(f, "user.a", NULL, 0, 0));
    SAY(fgetxattr(f, "user.a", buf, 0));
    SAY(fgetxattr(f, "user.a", buf, 1));
    SAY(fsetxattr(f, "user.a", "value", 5, 0));
    SAY(fgetxattr(f, "user.a", buf, 0));
    SAY(fgetxattr(f, "user.a", buf, 4));
    SAY(fgetxattr(f, "user.a", buf, 5));
    SAY(fgetxattr(f, "user.a", buf, -1));
    SAY(flistxattr(f, buf, 0));
    SAY(flistxattr(f, buf, 1));
    SAY(flistxattr(f, buf, -1));
    SAY(fsetxattr(f, "user.b", buf, 65537, 0));
    SAY(fsetxattr(f, "user.b", buf, -1, 0));
    SAY(fsetxattr(f, "", buf, 1, 0));
    SAY(fsetxattr(f, "user.", buf, 1, 0));
    SAY(fsetxattr(f, "user", buf, 1, 0));
    SAY(fsetxattr(f, "none.x", buf, 1, 0));
    memset(name + 5, 'x', 294);
    name[256] = 0;
    SAY(fsetxattr(f, name, buf, 1, 0));
    SAY(fgetxattr(f, name, buf, 1));
    name[255] = 0;
    SAY(fsetxattr(f, name, buf, 1, 0));
    SAY(fremovexattr(f, name));
    SAY(fremovexattr(f, ""));
    SAY(fsetxattr(f, "user.a", "v", 1, XATTR_CREATE));
    SAY(fsetxattr(f, "user.c", "v", 1, XATTR_REPLACE));
    SAY(fsetxattr(f, "user.c", "v", 1, 8));
    close(f);
    unlink(where);
}

static void
waiting(void)
{
    struct epoll_event ev;
    struct timespec zero = {0, 0};
    struct pollfd pf = {.fd = 0};
    int e = epoll_create1(0);
    fd_set set;

    FD_ZERO(&set);
    SAY(poll(NULL, 0, 0));
    SAY(poll(&pf, 1 << 30, 0));
    SAY(poll(&pf, -1, 0));
    SAY(select(0, NULL, NULL, NULL, &(struct timeval){0, 0}));
    SAY(select(-1, NULL, NULL, NULL, &(struct timeval){0, 0}));
    SAY(select(1, &set, NULL, NULL, &(struct timeval){-1, 0}));
    SAY(select(1, &set, NULL, NULL, &(struct timeval){0, -1}));
    SAY(syscall(SYS_ppoll, NULL, 0, &zero, &set, 4));
    SAY(syscall(SYS_ppoll, NULL, 0, &zero, NULL, 4));
    SAY(epoll_wait(e, &ev, 0, 0));
    SAY(epoll_wait(e, &ev, -1, 0));
    SAY(epoll_wait(e, &ev, INT_MAX, 0));
    SAY(syscall(SYS_epoll_pwait, e, &ev, 1, 0, &set, 4));
    SAY(epoll_create(0));
    SAY(epoll_create(-1));
    SAY(read(e, buf, 0));
    close(e);
}

static void
raw_options(const char *which, int s)
{
    static const struct {
        int level, name;
    } options[] = {{SOL_SOCKET, SO_TYPE},         {SOL_SOCKET, SO_RCVBUF},    {SOL_SOCKET, SO_LINGER},
                   {SOL_SOCKET, SO_RCVTIMEO},     {SOL_SOCKET, SO_ERROR},     {SOL_SOCKET, SO_PEERCRED},
                   {SOL_SOCKET, SO_REUSEADDR},    {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_INFO},
                   {IPPROTO_TCP, TCP_CONGESTION}, {IPPROTO_IP, IP_TOS},       {IPPROTO_IPV6, IPV6_V6ONLY}};

    for (unsigned k = 0; k < sizeof options / sizeof options[0]; k++)
        for (int size = -1; size < 9; size++) {
            socklen_t n = (socklen_t)size;
            long r;

            if (size > 1 && size != 4 && size != 8)
                continue;
            r = getsockopt(s, options[k].level, options[k].name, buf, &n);
            printf("%s get %u of %d: %s", which, k, size, r < 0 ? strerrorname_np(errno) : "yes");
            if (r == 0)
                printf(" %d", (int)n);
            memset(buf, 0, 16);
            r = setsockopt(s, options[k].level, options[k].name, buf, (socklen_t)size);
            printf(", set: %s\n", r < 0 ? strerrorname_np(errno) : "yes");
        }
}

static long
control(int s, size_t controllen, size_t len, int level, int type, int value)
{
    _Alignas(8) char c[64] = {0};
    struct cmsghdr h = {.cmsg_len = len, .cmsg_level = level, .cmsg_type = type};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = controllen};

    memcpy(c, &h, sizeof h);
    for (int k = 0; k < 8; k++)
        memcpy(c + 16 + 4 * k, &value, 4);
    return sendmsg(s, &m, MSG_DONTWAIT);
}

static void
receive(int s, size_t controllen, size_t iovlen, size_t size)
{
    _Alignas(8) char c[64] = {0};
    struct iovec v[2] = {{buf, size}, {buf, 0}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = iovlen, .msg_control = c, .msg_controllen = controllen};
    long r = recvmsg(s, &m, MSG_DONTWAIT);

    printf("receive %zu %zu %zu: ", controllen, iovlen, size);
    if (r < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf("%ld, control %zu, flags %x\n", r, m.msg_controllen, m.msg_flags & ~MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); r >= 0 && h; h = CMSG_NXTHDR(&m, h)) {
        int fds[8], n = (int)(h->cmsg_len - CMSG_LEN(0)) / 4;

        memcpy(fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
        printf("  %d %d: %zu\n", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
        for (int k = 0; k < n; k++)
            close(fds[k]);
    }
}

static void
messages(void)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 19, 20, 21, 24};
    int p[2], d[2];
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, d);
    for (unsigned k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        printf("cmsg_len %zu: ", lengths[k]);
        say("of 24", control(p[0], 24, lengths[k], SOL_SOCKET, SCM_RIGHTS, 0));
        printf("controllen %zu: ", lengths[k]);
        say("len 20", control(p[0], lengths[k], 20, SOL_SOCKET, SCM_RIGHTS, 0));
    }
    SAY(control(p[0], 24, -1, SOL_SOCKET, SCM_RIGHTS, 0));
    SAY(control(p[0], 24, 20, SOL_SOCKET, SCM_RIGHTS, -1));
    SAY(control(p[0], 24, 20, SOL_SOCKET, 77, 0));
    SAY(control(p[0], 24, 20, SOL_IP, 1, 0));
    SAY(control(p[0], 32, 28, SOL_SOCKET, SCM_CREDENTIALS, getpid()));
    SAY(control(p[0], 32, 20, SOL_SOCKET, SCM_CREDENTIALS, 0));
    for (unsigned k = 0; k < 12; k++)
        receive(p[1], 64, 1, 64);
    for (unsigned k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        control(p[0], 24, 20, SOL_SOCKET, SCM_RIGHTS, 0);
        receive(p[1], lengths[k], 1, 64);
        control(d[0], 32, 24, SOL_SOCKET, SCM_RIGHTS, 0);
        receive(d[1], lengths[k], 1, 64);
    }
    receive(p[1], 0, 0, 0);
    receive(p[1], 0, 1, 0);
    receive(d[1], 0, 0, 0);
    SAY(send(p[0], "abc", 3, 0));
    SAY(send(d[0], "abc", 3, 0));
    receive(p[1], 0, 0, 0);
    receive(p[1], 0, 2, 0);
    receive(d[1], 0, 0, 0);
    receive(d[1], 0, 0, 0);
    receive(p[1], 0, 1025, 0);
    SAY(recv(p[1], buf, 0, 0));
    SAY(read(p[1], buf, 0));
    SAY(recv(p[1], buf, 0, MSG_PEEK));
    SAY(recv(p[1], buf, 10, 0));
    SAY(recv(p[1], buf, 0, 0));
    SAY(read(p[1], buf, 0));
    SAY(send(p[0], "", 0, 0));
    SAY(write(p[0], "", 0));
    SAY(send(d[0], "", 0, 0));
    SAY(write(d[0], "", 0));
    SAY(read(d[1], buf, 0));
    SAY(recv(d[1], buf, 0, 0));
    SAY(recv(d[1], buf, 0, 0));
    SAY(recv(d[1], buf, 0, 0));
    SAY(sendmsg(p[0], &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1025}, 0));
    SAY(sendmsg(p[0], &(struct msghdr){.msg_iov = &v, .msg_iovlen = 0}, 0));
    SAY(sendmsg(d[0], &(struct msghdr){.msg_iov = &v, .msg_iovlen = 0}, 0));
    SAY(recv(d[1], buf, 1, 0));
    m.msg_name = buf;
    m.msg_namelen = 0x80000000u;
    SAY(sendmsg(d[0], &m, 0));
    SAY(recvmsg(d[1], &m, 0));
    m.msg_namelen = 1;
    SAY(sendmsg(d[0], &m, 0));
    SAY(syscall(SYS_sendmmsg, d[0], NULL, 0, 0));
    SAY(syscall(SYS_recvmmsg, d[0], NULL, 0, 0, NULL));
    SAY(shutdown(p[1], SHUT_RDWR));
    SAY(send(p[0], "", 0, MSG_NOSIGNAL));
    SAY(write(p[0], "", 0));
    SAY(recv(p[0], buf, 0, 0));
    raw_options("unix", d[0]);
    close(p[0]), close(p[1]), close(d[0]), close(d[1]);
}

/* As many parts as there may be: packets come whole, small writes to pipes go whole. */
static void
vectors(void)
{
    static char from[1024], to[1024];
    struct iovec out[1024], in[1024];
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 1024};
    int d[2], p[2];
    ssize_t r;

    for (int k = 0; k < 1024; k++) {
        from[k] = (char)(k * 7);
        out[k] = (struct iovec){from + k, 1};
        in[k] = (struct iovec){to + k, 1};
    }
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, d);
    pipe2(p, O_NONBLOCK);
    SAY(sendmsg(d[0], &m, 0));
    m.msg_iov = in;
    SAY(recvmsg(d[1], &m, 0));
    printf("flags %x, same %d\n", m.msg_flags, memcmp(from, to, sizeof to) == 0);
    memset(to, 0, sizeof to);
    SAY(writev(d[0], out, 1024));
    SAY(readv(d[1], in, 1024));
    printf("same %d\n", memcmp(from, to, sizeof to) == 0);
    memset(to, 0, sizeof to);
    SAY(writev(p[1], out, 1024));
    SAY(readv(p[0], in, 1024));
    printf("same %d\n", memcmp(from, to, sizeof to) == 0);
    while ((r = write(p[1], buf, 4096)) == 4096)
        ;
    SAY(r);
    SAY(read(p[0], buf, 4096));
    SAY(write(p[1], buf, 3500));
    SAY(writev(p[1], out, 1024));
    close(d[0]), close(d[1]), close(p[0]), close(p[1]);
}

static void
addresses(void)
{
    int u = socket(AF_UNIX, SOCK_STREAM, 0), i = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), n;
    int g = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX}, out;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const int lengths[] = {-1, 0, 1, 2, 3, 15, 16, 110, 111, 128, 129, INT_MAX, INT_MIN};
    socklen_t length;

    memset(a.sun_path, 'p', sizeof a.sun_path);
    for (unsigned k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        memcpy(buf, &a, sizeof a);
        memset(buf + sizeof a, 'q', 100);
        printf("length %d: ", lengths[k]);
        say("connect", connect(u, (struct sockaddr *)buf, (socklen_t)lengths[k]));
        memcpy(buf, &in, sizeof in);
        printf("length %d: ", lengths[k]);
        say("bind", lengths[k] == 16 ? 0 : bind(i, (struct sockaddr *)buf, (socklen_t)lengths[k]));
        say("connect", lengths[k] >= 16 ? 0 : connect(i, (struct sockaddr *)buf, (socklen_t)lengths[k]));
        say("sendto",
            sendto(g, "x", lengths[k] >= 16 ? 0 : 1, 0, (struct sockaddr *)buf, (socklen_t)lengths[k]) < 0 ? -1 : 0);
        length = (socklen_t)lengths[k];
        n = getsockname(i, (struct sockaddr *)buf, &length);
        printf("length %d: ", lengths[k]);
        say("getsockname", n < 0 ? -1 : (long)length);
    }
    a.sun_path[0] = 0;
    SAY(bind(u, (struct sockaddr *)&a, 3));
    length = sizeof out;
    SAY(getsockname(u, (struct sockaddr *)&out, &length) < 0 ? -1 : (int)length);
    SAY(listen(u, -1));
    SAY(listen(i, INT_MIN));
    SAY(recv(u, buf, 0, MSG_DONTWAIT));
    SAY(recv(u, buf, 1, MSG_DONTWAIT));
    SAY(send(u, buf, 0, MSG_DONTWAIT | MSG_NOSIGNAL));
    SAY(send(u, buf, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    close(u);
    u = socket(AF_UNIX, SOCK_STREAM, 0);
    SAY(recv(u, buf, 0, MSG_DONTWAIT));
    SAY(recv(u, buf, 1, MSG_DONTWAIT));
    SAY(send(u, buf, 0, MSG_DONTWAIT | MSG_NOSIGNAL));
    SAY(recv(g, buf, 0, MSG_DONTWAIT));
    SAY(socketpair(AF_UNIX, SOCK_STREAM, 5, (int[2]){0}));
    SAY(shutdown(u, 3));
    SAY(shutdown(u, -1));
    close(u), close(i), close(g);
}

static void
interfaces(void)
{
    int i = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifconf c;
    static const int lengths[] = {-1, 0, 1, 39, INT_MIN};

    for (unsigned k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        c.ifc_len = lengths[k];
        c.ifc_buf = buf;
        printf("SIOCGIFCONF %d: ", lengths[k]);
        say("", ioctl(i, SIOCGIFCONF, &c) < 0 ? -1 : c.ifc_len);
    }
    SAY(ioctl(i, SIOCGIFCONF, NULL));
    SAY(ioctl(i, FIONREAD, NULL));
    close(i);
}

static void
netlink(void)
{
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
    static const unsigned lengths[] = {0, 1, 15, 16, 17, 20, 0x7fffffff, 0xffffffff};
    static const size_t sizes[] = {0, 1, 15, 16, 17, 32};

    for (unsigned k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (unsigned j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            struct nlmsghdr h = {.nlmsg_len = lengths[k],
                                 .nlmsg_type = RTM_GETLINK,
                                 .nlmsg_flags = NLM_F_REQUEST,
                                 .nlmsg_seq = 1};
            long r;

            memset(buf, 0, 64);
            memcpy(buf, &h, sizeof h);
            printf("netlink %u of %zu: ", lengths[k], sizes[j]);
            r = send(s, buf, sizes[j], 0);
            printf("%s", r < 0 ? strerrorname_np(errno) : "sent");
            r = recv(s, buf, sizeof buf, 0);
            if (r < 0) {
                printf(", %s\n", strerrorname_np(errno));
                continue;
            }
            memcpy(&h, buf, sizeof h);
            printf(", type %d\n", h.nlmsg_type);
            while (recv(s, buf, sizeof buf, 0) > 0)
                ;
        }
    SAY(recv(s, buf, 0, 0));
    SAY(bind(s, (struct sockaddr *)&(struct sockaddr_nl){.nl_family = AF_NETLINK}, 2));
    SAY(bind(s, (struct sockaddr *)&(struct sockaddr_nl){.nl_family = AF_NETLINK}, 0));
    close(s);
}

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    terminals();
    pipes();
    counters();
    names();
    attributes();
    waiting();
    messages();
    vectors();
    addresses();
    interfaces();
    netlink();
    return 0;
}
