/* The ends of pipes: splice, vmsplice and tee of ends that are full, closed or of another kind; who closes in the
 * middle of a blocked write. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
nap(int ms)
{
    struct timespec t = {0, ms * 1000000L};

    nanosleep(&t, NULL);
}

static int broken, alarms;

static void
on_signal(int sig)
{
    if (sig == SIGPIPE)
        broken++;
    else
        alarms++;
}

static void
say(const char *what, long r)
{
    int e = errno;

    if (r < 0)
        printf("%s: %s", what, strerrorname_np(e));
    else
        printf("%s: %ld", what, r);
    if (broken)
        printf(", SIGPIPE %d", broken);
    if (alarms)
        printf(", after a time");
    printf("\n");
    broken = alarms = 0;
    alarm(0);
}

/* What might sleep for ever gets a signal after a second. */
#define TRY(what, call) (ualarm(200000, 0), say(what, call))

static char buffer[1 << 20] __attribute__((aligned(4096)));

static void
fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, buffer, 4096) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

static void
vmsplices(void)
{
    struct iovec v = {buffer, 4096}, big = {buffer, 200000}, none = {buffer, 0}, bad = {(void *)8, 4096};
    struct iovec partly[2] = {{buffer, 100}, {(void *)8, 100}};
    int p[2], n, null = open("/dev/null", O_RDWR), file = open("/tmp/pipes", O_RDWR | O_CREAT | O_TRUNC, 0600);

    pipe(p);
    TRY("vmsplice", vmsplice(p[1], &v, 1, 0));
    TRY("vmsplice, no bytes", vmsplice(p[1], &none, 1, 0));
    TRY("vmsplice, no vector", vmsplice(p[1], &v, 0, 0));
    TRY("vmsplice, bad", vmsplice(p[1], &bad, 1, 0));
    TRY("vmsplice, bad vector", vmsplice(p[1], (void *)8, 1, 0));
    TRY("vmsplice, too many", vmsplice(p[1], &v, 1025, 0));
    TRY("vmsplice, bad flags", vmsplice(p[1], &v, 1, 0x100));
    TRY("vmsplice out", vmsplice(p[0], &v, 1, 0));
    TRY("vmsplice out", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
    TRY("vmsplice out, the rest", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
    TRY("vmsplice out, empty", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
    TRY("vmsplice out, empty, waits", vmsplice(p[0], &v, 1, 0));
    close(p[0]), close(p[1]);
    pipe(p);
    TRY("vmsplice big, non-blocking", vmsplice(p[1], &big, 1, SPLICE_F_NONBLOCK));
    TRY("vmsplice full, non-blocking", vmsplice(p[1], &v, 1, SPLICE_F_NONBLOCK));
    TRY("vmsplice full", vmsplice(p[1], &v, 1, 0));
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    TRY("vmsplice full, O_NONBLOCK", vmsplice(p[1], &v, 1, 0));
    fcntl(p[1], F_SETFL, 0);
    close(p[0]);
    TRY("vmsplice broken", vmsplice(p[1], &v, 1, 0));
    close(p[1]);
    pipe(p);
    TRY("vmsplice big", vmsplice(p[1], &big, 1, 0));
    ioctl(p[0], FIONREAD, &n);
    printf("in it: %d\n", n);
    TRY("vmsplice no pipe", vmsplice(null, &v, 1, 0));
    TRY("vmsplice a file", vmsplice(file, &v, 1, 0));
    TRY("vmsplice nothing", vmsplice(-1, &v, 1, 0));
    close(p[0]), close(p[1]), close(null), close(file);
}

/* Files into a pipe and out of it, of every kind. */
static void
kinds(void)
{
    static const char *const names[] = {"file",     "append",        "/dev/null",       "/dev/zero",
                                        "eventfd",  "timerfd",       "epoll",           "inotify",
                                        "signalfd", "stream socket", "datagram socket", "directory",
                                        "pipe",     "memfd",         "read-only",       "listening"};
    enum { N = sizeof names / sizeof *names };
    int f[N], p[2], sv[2], dv[2], o[2];
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, dv);
    write(sv[1], "socket", 6);
    write(dv[1], "gram", 4);
    pipe(o);
    write(o[1], "other", 5);
    f[0] = open("/tmp/pipes", O_RDWR | O_CREAT | O_TRUNC, 0600);
    write(f[0], "a file's bytes", 14);
    lseek(f[0], 0, 0);
    f[1] = open("/tmp/pipes", O_RDWR | O_APPEND);
    f[2] = open("/dev/null", O_RDWR);
    f[3] = open("/dev/zero", O_RDWR);
    f[4] = eventfd(1, EFD_NONBLOCK);
    f[5] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    f[6] = epoll_create1(0);
    f[7] = inotify_init1(IN_NONBLOCK);
    f[8] = signalfd(-1, &set, SFD_NONBLOCK);
    f[9] = sv[0];
    f[10] = dv[0];
    f[11] = open("/tmp", O_RDONLY);
    f[12] = o[0];
    f[13] = memfd_create("m", 0);
    f[14] = open("/etc/hostname", O_RDONLY);
    f[15] = socket(AF_UNIX, SOCK_STREAM, 0);
    if (f[14] < 0)
        f[14] = open("/tmp/pipes", O_RDONLY);
    for (int i = 0; i < N; i++) {
        char what[80];
        loff_t at = 0;

        if (i == 14)
            continue;
        printf("- %s\n", names[i]);
        pipe(p);
        TRY("into a pipe", splice(f[i], NULL, p[1], NULL, 4, 0));
        TRY("into a pipe, at an offset", splice(f[i], &at, p[1], NULL, 4, 0));
        TRY("into a pipe, non-blocking", splice(f[i], NULL, p[1], NULL, 4, SPLICE_F_NONBLOCK));
        close(p[0]), close(p[1]);
        pipe(p);
        write(p[1], "12345678", 8);
        TRY("out of a pipe", splice(p[0], NULL, i == 12 ? o[1] : f[i], NULL, 4, 0));
        at = 0;
        TRY("out of a pipe, at an offset", splice(p[0], NULL, i == 12 ? o[1] : f[i], &at, 4, 0));
        TRY("sendfile to it", sendfile(i == 12 ? o[1] : f[i], f[0], &(off_t){0}, 8));
        if (i != 9 && i != 10)
            TRY("sendfile from it", sendfile(p[1], f[i], NULL, 4));
        close(p[0]), close(p[1]);
        pipe(p);
        fill(p[1]);
        TRY("into a full pipe, non-blocking", splice(f[i], NULL, p[1], NULL, 4, SPLICE_F_NONBLOCK));
        if (i < 3)
            TRY("into a full pipe", splice(f[i], NULL, p[1], NULL, 4, 0));
        close(p[0]);
        TRY("into a broken pipe", splice(f[i], NULL, p[1], NULL, 4, 0));
        close(p[1]);
    }
    for (int i = 0; i < N; i++)
        close(f[i]);
    close(sv[1]), close(dv[1]), close(o[1]);
}

static void
pipes_and_pipes(void)
{
    int a[2], b[2], s[2];

    pipe(a);
    pipe(b);
    printf("- pipes\n");
    TRY("tee of an empty one, non-blocking", tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
    TRY("tee of an empty one", tee(a[0], b[1], 10, 0));
    TRY("tee to itself", tee(a[0], a[1], 10, 0));
    TRY("splice to itself", splice(a[0], NULL, a[1], NULL, 10, 0));
    TRY("splice of an empty one", splice(a[0], NULL, b[1], NULL, 10, 0));
    TRY("splice of an empty one, non-blocking", splice(a[0], NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK));
    write(a[1], "hello", 5);
    TRY("tee", tee(a[0], b[1], 10, 0));
    TRY("splice", splice(a[0], NULL, b[1], NULL, 10, 0));
    TRY("read", read(b[0], buffer, 100));
    fill(b[1]);
    write(a[1], "hello", 5);
    TRY("tee to a full one, non-blocking", tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
    TRY("tee to a full one", tee(a[0], b[1], 10, 0));
    TRY("splice to a full one, non-blocking", splice(a[0], NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK));
    TRY("splice to a full one", splice(a[0], NULL, b[1], NULL, 10, 0));
    TRY("no bytes to a full one", splice(a[0], NULL, b[1], NULL, 0, 0));
    TRY("bad flags", splice(a[0], NULL, b[1], NULL, 10, 0x100));
    TRY("tee, bad flags", tee(a[0], b[1], 10, 0x100));
    TRY("splice, wrong ends", splice(a[1], NULL, b[0], NULL, 10, 0));
    TRY("offset of a pipe", splice(a[0], &(loff_t){0}, b[1], NULL, 10, 0));
    TRY("bad offset", splice(0, (loff_t *)8, b[1], NULL, 10, 0));
    close(b[0]);
    TRY("tee to a broken one", tee(a[0], b[1], 10, 0));
    TRY("splice to a broken one", splice(a[0], NULL, b[1], NULL, 10, 0));
    close(b[1]);
    /* Out of a pipe into a socket that is full. */
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    fill(s[1]);
    TRY("into a full socket, non-blocking", splice(a[0], NULL, s[1], NULL, 5, SPLICE_F_NONBLOCK));
    TRY("into a full socket", splice(a[0], NULL, s[1], NULL, 5, 0));
    close(s[0]);
    TRY("into a broken socket", splice(a[0], NULL, s[1], NULL, 5, 0));
    close(s[1]);
    close(a[1]);
    pipe(b);
    read(a[0], buffer, 100);
    TRY("splice from a pipe without writers", splice(a[0], NULL, b[1], NULL, 5, 0));
    TRY("tee from a pipe without writers", tee(a[0], b[1], 5, 0));
    close(a[0]), close(b[0]), close(b[1]);
}

struct late {
    int fd, after, reads;
};

static void *
close_late(void *arg)
{
    struct late *l = arg;

    nap(l->after);
    for (int k = l->reads; k > 0; k -= 4096)
        read(l->fd, buffer + 500000, 4096);
    nap(50);
    close(l->fd);
    return NULL;
}

/* The other end closes while a call sleeps. */
static void
closes(void)
{
    struct iovec v[2] = {{buffer, 100000}, {buffer, 100000}};

    printf("- closing\n");
    for (int how = 0; how < 12; how++) {
        static const char *const names[] =
            {"write", "write after some",  "writev", "vmsplice", "splice", "tee", "socket write",
             "read",  "socket, some read", "select", "poll",     "epoll"};
        struct late l;
        pthread_t t;
        struct pollfd pf;
        int p[2], q[2], ep = epoll_create1(0);
        struct epoll_event ev = {EPOLLOUT};

        if (how == 6 || how == 8)
            socketpair(AF_UNIX, SOCK_STREAM, 0, p), p[0] ^= p[1], p[1] ^= p[0], p[0] ^= p[1];
        else
            pipe(p);
        pipe(q);
        write(q[1], "hello", 5);
        l = (struct late){p[how == 7], 50, how == 1 || how == 8 ? 20000 : 0};
        if (how == 3 || how == 4 || how == 5 || how >= 9)
            fill(p[1]);
        pthread_create(&t, NULL, close_late, &l);
        pf = (struct pollfd){p[1], POLLOUT};
        epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev);
        switch (how) {
        case 0:
        case 1: TRY(names[how], write(p[1], buffer, 300000)); break;
        case 6:
        case 8: {
            long r = write(p[1], buffer, 1000000);
            say(names[how], r < 0 ? r : r > 0);
            break;
        }
        case 2: TRY(names[how], writev(p[1], v, 2)); break;
        case 3: TRY(names[how], vmsplice(p[1], v, 2, 0)); break;
        case 4: TRY(names[how], splice(q[0], NULL, p[1], NULL, 5, 0)); break;
        case 5: TRY(names[how], tee(q[0], p[1], 5, 0)); break;
        case 7: TRY(names[how], read(p[0], buffer, 10)); break;
        case 9: {
            fd_set w;
            FD_ZERO(&w);
            FD_SET(p[1], &w);
            TRY(names[how], select(p[1] + 1, NULL, &w, NULL, NULL));
            break;
        }
        case 10:
            TRY(names[how], poll(&pf, 1, 1500));
            printf("%x\n", pf.revents);
            break;
        case 11:
            TRY(names[how], epoll_wait(ep, &ev, 1, 1500));
            printf("%x\n", ev.events);
            break;
        }
        pthread_join(t, NULL);
        close(p[1]), close(q[0]), close(q[1]), close(ep);
        close(p[0]);
    }
}

static void *
makes_file(void *arg)
{
    nap(50);
    close(open("/tmp/pipes-dir/a", O_CREAT | O_RDWR, 0600));
    unlink("/tmp/pipes-dir/a");
    return NULL;
}

static void
inotifies(void)
{
    int in = inotify_init1(IN_NONBLOCK), ep = epoll_create1(0), outer = epoll_create1(0), n;
    struct epoll_event ev = {EPOLLIN | EPOLLET};
    pthread_t t;

    printf("- inotify\n");
    mkdir("/tmp/pipes-dir", 0700);
    say("watch", inotify_add_watch(in, "/tmp/pipes-dir", IN_ALL_EVENTS) > 0);
    say("add", epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
    ev.events = EPOLLIN;
    say("add outer", epoll_ctl(outer, EPOLL_CTL_ADD, ep, &ev));
    say("nothing", epoll_wait(ep, &ev, 1, 0));
    pthread_create(&t, NULL, makes_file, NULL);
    TRY("outer", epoll_wait(outer, &ev, 1, 2000));
    pthread_join(t, NULL);
    TRY("inner", epoll_wait(ep, &ev, 1, 2000));
    say("once", epoll_wait(ep, &ev, 1, 0));
    ioctl(in, FIONREAD, &n);
    printf("%d bytes\n", n);
    say("read", read(in, buffer, sizeof buffer));
    ev.events = EPOLLIN;
    epoll_ctl(ep, EPOLL_CTL_MOD, in, &ev);
    say("empty", epoll_wait(ep, &ev, 1, 0));
    pthread_create(&t, NULL, makes_file, NULL);
    TRY("level", epoll_wait(ep, &ev, 1, 2000));
    pthread_join(t, NULL);
    say("level again", epoll_wait(ep, &ev, 1, 0));
    say("read little", read(in, buffer, 5));
    say("read one", read(in, buffer, 40));
    say("level still", epoll_wait(ep, &ev, 1, 0));
    rmdir("/tmp/pipes-dir");
    read(in, buffer, sizeof buffer);
    say("nothing is left", epoll_wait(ep, &ev, 1, 0));
    say("read nothing", read(in, buffer, sizeof buffer));
    close(in);
    say("closed", epoll_wait(ep, &ev, 1, 0));
    close(ep), close(outer);
}

int
main(void)
{
    struct sigaction act = {.sa_handler = on_signal};

    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGALRM, &act, NULL);
    sigaction(SIGPIPE, &act, NULL);
    vmsplices();
    kinds();
    pipes_and_pipes();
    closes();
    inotifies();
    unlink("/tmp/pipes");
    return 0;
}
