/* In namespaces of its own. Calls that sleep, and what ends them: a handler with and without
 * SA_RESTART, a stop and a continue, a wake. Each pair in a child; printed is what the call
 * returned and how often handlers ran. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { GROUP = 21 };
static volatile int handled;
static int p[2], s[2], d[2], ev, tfd, ep, sfd, ino, file_fd, pty;
static struct timespec long_time = {1, 500000000}, rest; /* the signal comes after 150 ms, or later on a busy machine */
static uint32_t word;
static char buffer[70000];

static void
handler(int sig)
{
    handled++;
}

static void
timeout_of(int fd, int option)
{
    struct timeval t = {1, 500000};

    setsockopt(fd, SOL_SOCKET, option, &t, sizeof t);
}

static long
futex(int op, void *timeout, unsigned bits)
{
    return syscall(SYS_futex, &word, op, 0, timeout, NULL, bits);
}

static void
fill(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, buffer, 4096) > 0)
        ;
    while (write(fd, buffer, 1) > 0)
        ;
    fcntl(fd, F_SETFL, 0);
}

static struct timespec
in_ms(int clock, int ms)
{
    struct timespec t;

    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static long
c_read_pipe(void)
{
    return read(p[0], buffer, 10);
}
static long
c_write_pipe(void)
{
    fill(p[1]);
    return write(p[1], buffer, 10);
}
static long
c_write_half(void)
{
    fill(p[1]);
    read(p[0], buffer, 4096);
    return write(p[1], buffer, 60000);
}
static long
c_read_socket(void)
{
    return read(s[0], buffer, 10);
}
static long
c_recv_timeout(void)
{
    timeout_of(s[0], SO_RCVTIMEO);
    return recv(s[0], buffer, 10, 0);
}
static long
c_read_timeout(void)
{
    timeout_of(s[0], SO_RCVTIMEO);
    return read(s[0], buffer, 10);
}
static long
c_recv_all(void)
{
    write(s[1], "abc", 3);
    return recv(s[0], buffer, 10, MSG_WAITALL);
}
static long
c_send_full(void)
{
    fill(s[0]);
    return send(s[0], buffer, 10, 0);
}
static long
c_recv_dgram(void)
{
    return recv(d[0], buffer, 10, 0);
}
static long
c_poll(void)
{
    struct pollfd f = {p[0], POLLIN, 0};
    return poll(&f, 1, 1500);
}
static long
c_poll_forever(void)
{
    struct pollfd f = {p[0], POLLIN, 0};
    return poll(&f, 1, -1);
}
static long
c_ppoll(void)
{
    struct pollfd f = {p[0], POLLIN, 0};
    struct timespec t = long_time;
    return ppoll(&f, 1, &t, NULL);
}
static long
c_select(void)
{
    fd_set r;
    struct timeval t = {1, 500000};
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    return select(p[0] + 1, &r, NULL, NULL, &t);
}
static long
c_pselect(void)
{
    fd_set r;
    struct timespec t = long_time;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    return pselect(p[0] + 1, &r, NULL, NULL, &t, NULL);
}
static long
c_epoll(void)
{
    struct epoll_event e;
    return epoll_wait(ep, &e, 1, 1500);
}
static long
c_epoll_forever(void)
{
    struct epoll_event e;
    return epoll_wait(ep, &e, 1, -1);
}
static long
c_epoll_pwait(void)
{
    struct epoll_event e;
    sigset_t set;
    sigemptyset(&set);
    return epoll_pwait(ep, &e, 1, 1500, &set);
}
static long
c_nanosleep(void)
{
    struct timespec t = long_time;
    return nanosleep(&t, &rest);
}
static long
c_clock_abs(void)
{
    struct timespec t = in_ms(CLOCK_MONOTONIC, 1500);
    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}
static long
c_clock_rel(void)
{
    struct timespec t = long_time;
    return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &t, &rest);
}
static long
c_futex(void)
{
    return futex(FUTEX_WAIT | FUTEX_PRIVATE_FLAG, NULL, 0);
}
static long
c_futex_timed(void)
{
    struct timespec t = long_time;
    return futex(FUTEX_WAIT | FUTEX_PRIVATE_FLAG, &t, 0);
}
static long
c_futex_bitset(void)
{
    struct timespec t = in_ms(CLOCK_MONOTONIC, 1500);
    return futex(FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, &t, 1);
}
static long
c_futex_pi(void)
{
    struct timespec t = in_ms(CLOCK_REALTIME, 1500);
    word = (uint32_t)getppid();
    return futex(FUTEX_LOCK_PI, &t, 0);
}
static long
c_wait(void)
{
    if (fork() == 0) {
        usleep(1500000);
        _exit(3);
    }
    return waitpid(-1, NULL, 0) > 0 ? 1 : -1;
}
static long
c_waitid(void)
{
    siginfo_t i;
    if (fork() == 0) {
        usleep(1500000);
        _exit(3);
    }
    return waitid(P_ALL, 0, &i, WEXITED);
}
static long
c_pause(void)
{
    return pause();
}
static long
c_sigsuspend(void)
{
    sigset_t set;
    sigemptyset(&set);
    return sigsuspend(&set);
}
static long
c_sigwait(void)
{
    sigset_t set;
    struct timespec t = long_time;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return sigtimedwait(&set, NULL, &t);
}
static long
c_flock(void)
{
    return flock(file_fd, LOCK_EX);
}
static long
c_setlkw(void)
{
    struct flock l = {.l_type = F_WRLCK};
    return fcntl(file_fd, F_SETLKW, &l);
}
static long
c_eventfd(void)
{
    uint64_t v;
    return read(ev, &v, 8);
}
static long
c_timerfd(void)
{
    uint64_t v;
    struct itimerspec it = {{0, 0}, long_time};
    timerfd_settime(tfd, 0, &it, NULL);
    return read(tfd, &v, 8);
}
static long
c_signalfd(void)
{
    struct signalfd_siginfo i;
    return read(sfd, &i, sizeof i);
}
static long
c_inotify(void)
{
    return read(ino, buffer, sizeof buffer);
}
static long
c_fifo(void)
{
    return open("/tmp/interrupted.fifo", O_RDONLY) >= 0;
}
static long
c_accept(void)
{
    struct sockaddr_un a = {AF_UNIX};
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(l, (void *)&a, 2);
    listen(l, 1);
    return accept(l, NULL, NULL);
}
static long
c_accept_timeout(void)
{
    struct sockaddr_un a = {AF_UNIX};
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(l, (void *)&a, 2);
    listen(l, 1);
    timeout_of(l, SO_RCVTIMEO);
    return accept(l, NULL, NULL);
}
static long
c_tty(void)
{
    return read(pty, buffer, 10);
}
static long
c_recvmmsg(void)
{
    struct iovec v = {buffer, 10};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}},
                           {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}};
    write(s[1], "ab", 2);
    return recvmmsg(s[0], m, 2, 0, NULL);
}
static long
c_readv_two(void)
{
    struct iovec v[2] = {{buffer, 3}, {buffer + 3, 3}};
    return readv(p[0], v, 2);
}
static long
c_splice(void)
{
    return splice(p[0], NULL, s[0], NULL, 10, 0);
}

static const struct {
    const char *name;
    long (*call)(void);
} calls[] = {
#define C(n) {#n, c_##n}
    C(read_pipe), C(write_pipe),     C(write_half), C(read_socket),   C(recv_timeout), C(read_timeout),
    C(recv_all),  C(send_full),      C(recv_dgram), C(poll),          C(poll_forever), C(ppoll),
    C(select),    C(pselect),        C(epoll),      C(epoll_forever), C(epoll_pwait),  C(nanosleep),
    C(clock_abs), C(clock_rel),      C(futex),      C(futex_timed),   C(futex_bitset), C(futex_pi),
    C(wait),      C(waitid),         C(pause),      C(sigsuspend),    C(sigwait),      C(flock),
    C(setlkw),    C(eventfd),        C(timerfd),    C(signalfd),      C(inotify),      C(fifo),
    C(accept),    C(accept_timeout), C(tty),        C(recvmmsg),      C(readv_two),    C(splice),
};

static void
prepare(void)
{
    sigset_t set;
    struct epoll_event e = {EPOLLIN};
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, d);
    ev = eventfd(0, 0);
    tfd = timerfd_create(CLOCK_MONOTONIC, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sfd = signalfd(-1, &set, 0);
    ino = inotify_init();
    ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    file_fd = open("/tmp/interrupted.lock", O_RDWR);
    grantpt(master);
    unlockpt(master);
    pty = open(ptsname(master), O_RDWR | O_NOCTTY);
}

/* On a machine that is busy, or in a container whose tasks move all the time, the child may not have come
 * to its call yet. Most calls begin to sleep once; a look that finds it asleep is asked again, for those
 * that sleep shortly before. */
static void
wait_until_asleep(pid_t child)
{
    char name[40], text[200], *state;
    int asleep = 0;

    usleep(150000);
    snprintf(name, sizeof name, "/proc/%d/stat", (int)child);
    for (int k = 0; k < 80 && asleep < 2; k++) {
        int fd = open(name, O_RDONLY);
        ssize_t n = read(fd, text, sizeof text - 1);

        close(fd);
        text[n > 0 ? n : 0] = 0;
        state = strrchr(text, ')');
        asleep = state && state[2] == 'S' ? asleep + 1 : 0;
        if (asleep < 2)
            usleep(10000);
    }
}

static void
one(size_t k, int how)
{
    int report[2], status;
    pid_t child;
    struct {
        long r;
        int e, handled;
    } out = {-99, 0, 0};
    struct pollfd f;

    pipe(report);
    child = fork();
    if (child == 0) {
        struct sigaction act = {.sa_handler = handler, .sa_flags = how == 1 ? SA_RESTART : 0};

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigaction(SIGUSR1, &act, NULL);
        prepare();
        errno = 0;
        out.r = calls[k].call();
        out.e = out.r < 0 ? errno : 0;
        out.handled = handled;
        write(report[1], &out, sizeof out);
        _exit(0);
    }
    close(report[1]);
    wait_until_asleep(child);
    if (how < 2) {
        kill(child, SIGUSR1);
    } else if (how == 2) {
        kill(child, SIGSTOP);
        waitpid(child, &status, WUNTRACED);
        usleep(20000);
        kill(child, SIGCONT);
    } else {
        kill(child, SIGSTOP);
        waitpid(child, &status, WUNTRACED);
        kill(child, SIGUSR1);
        usleep(10000);
        kill(child, SIGCONT);
    }
    f = (struct pollfd){report[0], POLLIN, 0};
    poll(&f, 1, 2500);
    kill(child, SIGKILL);
    read(report[0], &out, sizeof out);
    waitpid(child, &status, 0);
    close(report[0]);
    printf("%s %s: %ld %s handled %d\n", calls[k].name,
           how == 0   ? "handler"
           : how == 1 ? "restart"
           : how == 2 ? "stop"
                      : "stop and handler",
           out.r,
           out.r == -99 ? "sleeps"
           : out.e      ? strerrorname_np(out.e)
                        : "",
           out.handled);
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    int fd;
    size_t n = sizeof calls / sizeof calls[0];
    int how;
    struct flock l = {.l_type = F_WRLCK};

    mkfifo("/tmp/interrupted.fifo", 0600);
    unlink("/tmp/interrupted.lock");
    fd = open("/tmp/interrupted.lock", O_RDWR | O_CREAT, 0600);
    flock(fd, LOCK_EX);
    fcntl(fd, F_SETLK, &l);
    /* many at once: they only sleep */
    for (size_t first = 0; first < n; first += GROUP) {
        static int out[GROUP * 4][2];
        static char text[200];
        size_t last = first + GROUP < n ? first + GROUP : n;

        for (size_t k = first; k < last; k++)
            for (how = 0; how < 4; how++) {
                int *o = out[(k - first) * 4 + how];

                pipe(o);
                fflush(stdout);
                if (fork() == 0) {
                    dup2(o[1], 1);
                    one(k, how);
                    _exit(0);
                }
                close(o[1]);
            }
        for (size_t k = 0; k < (last - first) * 4; k++) {
            ssize_t r;

            while ((r = read(out[k][0], text, sizeof text)) > 0)
                fwrite(text, 1, r, stdout);
            close(out[k][0]);
        }
        while (wait(NULL) > 0)
            ;
    }
    unlink("/tmp/interrupted.fifo");
    unlink("/tmp/interrupted.lock");
    return 0;
}
