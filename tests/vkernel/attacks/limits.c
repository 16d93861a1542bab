/* What one user may have of pipes, watches, terminals, buffers, attributes, names of sockets: limits are counted, given
 * back, and reported as on Linux. Limits that a machine's administrator sets are asked of /proc/sys. The same on
 * Linux. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *
name(int error)
{
    return error ? strerrorname_np(error) : "yes";
}

static long
limit(const char *path)
{
    FILE *f = fopen(path, "r");
    long n = -1;

    if (f) {
        fscanf(f, "%ld", &n);
        fclose(f);
    }
    return n;
}

static void
close_all(void)
{
    for (int k = 3; k < 3000; k++)
        close(k);
}

static void
pipes(void)
{
    long pages = limit("/proc/sys/fs/pipe-user-pages-soft");
    int p[2], first[2], n = 0, size, sizes[3] = {0};

    pipe(first);
    for (n = 1; n < 1300; n++) {
        if (pipe(p) < 0)
            break;
        size = fcntl(p[0], F_GETPIPE_SZ);
        sizes[size == 65536 ? 0 : size == 8192 ? 1 : 2]++;
    }
    printf("pipes: %d, %d large, %d small, %d others\n", n, sizes[0] + 1 == pages / 16 ? 1 : -sizes[0], sizes[1] > 0,
           sizes[2]);
    printf("last grows: %s\n", name(fcntl(p[0], F_SETPIPE_SZ, 65536) < 0 ? errno : 0));
    printf("first grows: %s\n", name(fcntl(first[0], F_SETPIPE_SZ, 131072) < 0 ? errno : 0));
    printf("first shrinks: %d\n", fcntl(first[0], F_SETPIPE_SZ, 4096));
    printf("over the largest: %s\n", name(fcntl(first[0], F_SETPIPE_SZ, 2 << 20) < 0 ? errno : 0));
    close_all();
    pipe(p);
    printf("afterwards: %d %d\n", fcntl(p[0], F_GETPIPE_SZ), fcntl(p[0], F_SETPIPE_SZ, 1 << 20));
    close_all();
}

static void
watches(void)
{
    long most = limit("/proc/sys/fs/inotify/max_user_instances");
    int n = 0, i, first = inotify_init1(IN_NONBLOCK), error;

    for (n = 1; (i = inotify_init1(0)) >= 0; n++)
        ;
    error = errno;
    printf("instances: %d, then %s\n", n == most, name(error));
    close(first);
    printf("one given back: %s\n", name(inotify_init1(0) < 0 ? errno : 0));
    close_all();
    printf("all given back: %s\n", name(inotify_init1(0) < 0 ? errno : 0));
    close_all();
}

static void
overflow(void)
{
    long most = limit("/proc/sys/fs/inotify/max_queued_events"), events = 0, overflows = 0;
    char where[] = "/dev/shm/limitsXXXXXX", buf[65536];
    int i = inotify_init1(IN_NONBLOCK), f;
    ssize_t n;

    mkdtemp(where);
    chdir(where);
    inotify_add_watch(i, where, IN_CREATE | IN_DELETE);
    for (long k = 0; k < most / 2 + 100; k++) {
        close(open("f", O_CREAT | O_WRONLY, 0600));
        unlink("f");
    }
    while ((n = read(i, buf, sizeof buf)) > 0)
        for (char *p = buf; p < buf + n;) {
            struct inotify_event *e = (struct inotify_event *)p;

            events++;
            overflows += e->mask == IN_Q_OVERFLOW && e->wd == -1;
            p += sizeof *e + e->len;
        }
    printf("events: %d, overflows: %ld\n", events == most + 1, overflows);
    rmdir(where);
    close_all();
}

static void
buffers(int family, int type, const char *what)
{
    static const int sizes[] = {-1, 0, 1, 1000, 3000, 100000, 0x7fffffff};
    long most_sent = limit("/proc/sys/net/core/wmem_max"), most_received = limit("/proc/sys/net/core/rmem_max");
    int s = socket(family, type, 0), n;
    socklen_t length = sizeof n;

    printf("%s:", what);
    for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        setsockopt(s, SOL_SOCKET, SO_SNDBUF, &sizes[k], sizeof sizes[k]);
        getsockopt(s, SOL_SOCKET, SO_SNDBUF, &n, &length);
        printf(" %d", n == 2 * most_sent ? -1 : n);
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, &sizes[k], sizeof sizes[k]);
        getsockopt(s, SOL_SOCKET, SO_RCVBUF, &n, &length);
        printf(" %d", n == 2 * most_received ? -1 : n);
    }
    n = 1000;
    printf(" force %s\n", name(setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof n) < 0 ? errno : 0));
    close(s);
}

/* Bytes one by one must not take more memory than the buffer's limit says. */
static void
small_messages(int type, const char *what, int sndbuf)
{
    int p[2], n = 0;
    char byte = 0;

    socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, p);
    if (sndbuf)
        setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    while (n < 100000 && send(p[0], &byte, 1, 0) == 1)
        n++;
    if (type == SOCK_DGRAM) /* the queue's length is the administrator's choice */
        printf("%s: %s, %s\n", what, n > 0 && n <= 600 ? "few" : "many", name(errno));
    else
        printf("%s: %d, %s\n", what, n, name(errno));
    close(p[0]);
    close(p[1]);
}

/* TCP joins them: what counts is bytes. */
static void
small_tcp_writes(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s, n = 0, got = 0, wrong = 0;
    unsigned char byte, back[4096];
    ssize_t r;

    bind(l, (struct sockaddr *)&a, sizeof a);
    listen(l, 1);
    getsockname(l, (struct sockaddr *)&a, &length);
    connect(c, (struct sockaddr *)&a, sizeof a);
    s = accept(l, NULL, NULL);
    for (n = 0; n < 20000; n++) {
        byte = n % 251;
        if (send(c, &byte, 1, MSG_DONTWAIT) != 1)
            break;
    }
    printf("single bytes over TCP: %d\n", n);
    shutdown(c, SHUT_WR);
    while ((r = read(s, back, sizeof back)) > 0)
        for (ssize_t k = 0; k < r; k++)
            wrong += back[k] != got++ % 251;
    printf("came: %d, %d wrong\n", got, wrong);
    close(l), close(c), close(s);
}

static void
attributes(void)
{
    char where[] = "/dev/shm/limitsXXXXXX", attribute[64];
    static char value[65536], list[70000];
    int f = mkstemp(where), n;

    for (n = 0; n < 3000; n++) {
        sprintf(attribute, "user.%050d", n);
        if (fsetxattr(f, attribute, value, n < 8 ? 65536 : 1, 0) < 0)
            break;
    }
    printf("attributes: %s\n", n > 8 ? "many" : "few");
    fprintf(stderr, "%d attributes, then %s, list %zd\n", n, name(errno), flistxattr(f, list, sizeof list));
    close(f);
    unlink(where);
}

static void
terminals(void)
{
    int n = 0, m;

    while (n < 1100 && (m = open("/dev/ptmx", O_RDWR | O_NOCTTY)) >= 0)
        n++;
    printf("terminals: %d\n", n);
    close_all();
    printf("again: %s\n", name(open("/dev/ptmx", O_RDWR | O_NOCTTY) < 0 ? errno : 0));
    close_all();
}

static void
many_names(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int n, s;

    for (n = 0; n < 2000; n++) {
        s = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (bind(s, (struct sockaddr *)&a, sizeof(sa_family_t)) < 0)
            break;
    }
    printf("names: %d\n", n);
    close_all();
    for (n = 0; n < 2000; n++) {
        s = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(s, (struct sockaddr *)&in, sizeof in) < 0)
            break;
    }
    printf("ports: %d\n", n);
    close_all();
}

int
main(void)
{
    struct rlimit files = {3000, 3000};

    setvbuf(stdout, NULL, _IOLBF, 0);
    setrlimit(RLIMIT_NOFILE, &files);
    setuid(100000 + (uid_t)getpid()); /* whom nothing else is charged to */
    pipes();
    watches();
    overflow();
    buffers(AF_UNIX, SOCK_STREAM, "unix");
    buffers(AF_INET, SOCK_DGRAM, "udp");
    small_messages(SOCK_STREAM, "stream", 0);
    small_messages(SOCK_SEQPACKET, "packets", 0);
    small_messages(SOCK_DGRAM, "datagrams", 0);
    small_messages(SOCK_STREAM, "stream, small buffer", 1);
    small_messages(SOCK_STREAM, "stream, larger buffer", 200000);
    small_tcp_writes();
    attributes();
    terminals();
    many_names();
    printf("survived\n");
    return 0;
}
