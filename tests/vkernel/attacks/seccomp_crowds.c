/* Filters and listeners in numbers, and all of their calls at once: none may take long, and all come back. The same on
 * Linux. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ASKED = 500, LONG = 4000, SHORT = 400 };
#define LISTENER SECCOMP_FILTER_FLAG_NEW_LISTENER

static void
in_time(const char *what, void (*f)(void))
{
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    f();
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%s: %s\n", what, b.tv_sec - a.tv_sec < 30 ? "in time" : "too long");
    fflush(stdout);
}

static long
install(unsigned flags, struct sock_filter *program, unsigned count)
{
    struct sock_fprog p = {.len = (unsigned short)count, .filter = program};

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}

static long
filter(unsigned flags, unsigned result)
{
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ASKED, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, result), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

    return install(flags, f, 4);
}

static void
in_children(int count, void (*f)(int k))
{
    for (int k = 0; k < count; k++)
        if (fork() == 0) {
            f(k);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
}

/* --- length --- */

/* Each number goes through all of them, and no result is known before. */
static void
longest(int k)
{
    static struct sock_filter f[LONG];

    for (unsigned i = 0; i < LONG; i++)
        f[i] = i % 2 ? (struct sock_filter)BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0)
                     : (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8 + i % 14 * 4);
    f[LONG - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    while (install(0, f, LONG) == 0)
        ;
    for (int i = 0; i < 2000; i++)
        syscall(SYS_getppid);
}

static void
long_filters(void)
{
    in_children(4, longest);
}

static void
branch(int k)
{
    struct sock_filter f[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

    for (int i = 0; i < SHORT && install(0, f, 1) == 0; i++)
        if (i % 40 == 0 && fork() == 0) {
            for (int n = 0; n < SHORT && install(0, f, 1) == 0; n++)
                ;
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
}

/* Many branches of many trees, whose ends are released in any order. */
static void
trees(void)
{
    in_children(10, branch);
}

/* --- what changes meanwhile --- */

static struct sock_filter changing[64];
static volatile int over;

static void *
change(void *argument)
{
    unsigned state = 1;

    while (!over) {
        state = state * 1103515245 + 12345;
        changing[state >> 8 & 63].code = (unsigned short)(state >> 16);
        changing[state >> 8 & 63].k = state;
        changing[state >> 8 & 63] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    return NULL;
}

static void
programs_that_change(void)
{
    pthread_t t;

    for (int k = 0; k < 64; k++)
        changing[k] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    pthread_create(&t, NULL, change, NULL);
    for (int k = 0; k < 3000; k++)
        install(k % 3 ? 0 : SECCOMP_FILTER_FLAG_TSYNC, changing, 64);
    over = 1;
    pthread_join(t, NULL);
}

static void *
some_thread(void *argument)
{
    if ((long)argument % 3 == 0)
        filter(0, SECCOMP_RET_ERRNO | 3);
    for (int k = 0; k < 20; k++)
        syscall(ASKED);
    if ((long)argument % 5 == 0)
        filter(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_RET_ERRNO | 4);
    return NULL;
}

/* Threads come, get filters from others, and go. */
static void
threads(int k)
{
    for (int round = 0; round < 10; round++) {
        pthread_t t[8];

        for (long i = 0; i < 8; i++)
            pthread_create(&t[i], NULL, some_thread, (void *)(i + k));
        for (int i = 0; i < 4; i++)
            filter(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, SECCOMP_RET_ERRNO | 2);
        for (int i = 0; i < 8; i++)
            pthread_join(t[i], NULL);
    }
}

static void
synchronized_threads(void)
{
    in_children(4, threads);
}

/* --- listeners --- */

static void
nothing(int sig)
{
}

static void *
listen_to(void *argument)
{
    int fd = (int)(long)argument;
    unsigned state = (unsigned)fd * 77 + (unsigned)syscall(SYS_gettid);

    for (;;) {
        struct seccomp_notif n = {0};
        struct seccomp_notif_resp r = {0};
        struct seccomp_notif_addfd a = {0};
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (poll(&p, 1, 2000) <= 0 || (p.revents & (POLLHUP | POLLNVAL)))
            return NULL;
        if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
            continue;
        state = state * 1103515245 + 12345;
        r.id = a.id = n.id + (state >> 16) % 2;
        if (state >> 8 & 1)
            kill((pid_t)n.pid, state >> 9 & 7 ? SIGUSR1 : SIGKILL);
        a.srcfd = (unsigned)fd;
        a.flags = state >> 12 & 3;
        a.newfd = a.flags & 1 ? 10 + (state >> 20) % 8 : 0;
        if (state >> 24 & 1)
            ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
        r.flags = state >> 25 & 1 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
        ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
        r.id = n.id;
        ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
    }
}

static void
ask(int fd)
{
    struct sigaction a = {.sa_handler = nothing, .sa_flags = fd % 2 ? SA_RESTART : 0};

    sigaction(SIGUSR1, &a, NULL);
    for (int k = 0; k < 40; k++)
        syscall(ASKED);
}

/* Several listen to one filter, several ask, and signals, deaths and descriptors come between. */
static void
listener(int k)
{
    int fd = (int)filter(LISTENER | (k % 2 ? SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0), SECCOMP_RET_USER_NOTIF),
        e = epoll_create1(0);
    struct epoll_event v = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    pthread_t t[3];
    pid_t pids[6];

    epoll_ctl(e, EPOLL_CTL_ADD, fd, &v);
    for (int i = 0; i < 6; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            ask(i);
            _exit(0);
        }
    }
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, listen_to, (void *)(long)fd);
    if (k % 3 == 0) {
        usleep(20000);
        for (int i = 0; i < 6; i++)
            kill(pids[i], SIGKILL);
    }
    for (int i = 0; i < 6; i++)
        waitpid(pids[i], NULL, 0);
    _exit(0);
}

static void
listeners(void)
{
    in_children(6, listener);
}

/* The listener lies in a message of a socket that nobody has. */
static void
lost(int k)
{
    int s[2], fd = (int)filter(LISTENER, SECCOMP_RET_USER_NOTIF);
    char byte = 0, room[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = (void *)room;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(3 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), (int[3]){fd, s[0], s[1]}, 3 * sizeof(int));
    sendmsg(s[0], &m, 0);
    close(fd);
    close(s[0]);
    close(s[1]);
    /* Linux, too, may find out later that nobody listens. */
    alarm(1);
    syscall(ASKED);
}

static void
lost_listeners(void)
{
    in_children(8, lost);
}

int
main(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    in_time("long filters", long_filters);
    in_time("trees", trees);
    if (fork() == 0) {
        in_time("programs that change", programs_that_change);
        _exit(0);
    }
    wait(NULL);
    in_time("synchronized threads", synchronized_threads);
    in_time("listeners", listeners);
    in_time("lost listeners", lost_listeners);
    puts("survived");
    return 0;
}
