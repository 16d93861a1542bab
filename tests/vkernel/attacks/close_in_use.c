/* A thread sleeps in a call on a file; meanwhile another closes its descriptors (or puts another file there by dup2),
 * fills the freed memory with bytes of its choice, and wakes the sleeper. Every call must hold what it still needs. The
 * same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sleeper.h"

static int a[2], b[2], other, filler;
static char big[1 << 20];
static struct mmsghdr packets[3];
static struct iovec piece = {big, 8};

static int
message(void (*fill)(struct msghdr *))
{
    for (int k = 0; k < 3; k++) {
        packets[k].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
        if (fill)
            fill(&packets[k].msg_hdr);
    }
    return 0;
}

/* Objects of the sizes that files, sockets, pipes, processes have, full of one byte. */
static void
fill_freed_memory(void)
{
    static const int sizes[] = {40, 56, 88, 104, 120, 152, 200, 264, 328, 456, 712, 1000};
    char name[32], bytes[1024];

    memset(bytes, 0x41, sizeof bytes);
    for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
        for (int n = 0; n < 8; n++) {
            snprintf(name, sizeof name, "user.%d.%d", k, n);
            fsetxattr(filler, name, bytes, sizes[k], 0);
        }
}

static void
pipes(void)
{
    pipe(a);
    pipe(b);
}

static void
full(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, big, 4096) > 0)
        ;
    while (write(fd, big, 1) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

static void
pairs(int type)
{
    socketpair(AF_UNIX, type, 0, a);
    socketpair(AF_UNIX, type, 0, b);
}

/* However loaded the machine is: until the sleeper's call is over. */
static volatile int returned;
static void
until_returned(void)
{
    for (int k = 0; k < 2000 && !returned; k++)
        usleep(2000);
}

static void
close_all(void)
{
    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);
}

/* clang-format off */
static void setup_pipes_full(void) { pipes(); full(b[1]); write(a[1], "abc", 3); }
static void setup_stream(void) { pairs(SOCK_STREAM); }
static void setup_stream_full(void) { pairs(SOCK_STREAM); full(a[0]); }
static void setup_packet(void) { pairs(SOCK_SEQPACKET); message(NULL); }
/* clang-format on */
static void
setup_locked(void)
{
    pipes();
    other = open("locked", O_RDWR | O_CREAT, 0600);
    flock(other, LOCK_EX);
}
static void
setup_fifo(void)
{
    pipes();
    unlink("fifo");
    mkfifo("fifo", 0600);
}
static void
setup_listener(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0close_in_use"};

    pipes();
    other = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(other, (void *)&name, sizeof name);
    listen(other, 0);
}

/* clang-format off */
static long call_read(void) { return read(a[0], big, 8); }
static long call_readv(void) { return readv(a[0], &piece, 1); }
static long call_write(void) { return write(b[1], big, 8); }
static long call_tee(void) { return tee(a[0], b[1], 4096, 0); }
static long call_splice(void) { return splice(a[0], NULL, b[1], NULL, 4096, 0); }
static long call_vmsplice(void) { return vmsplice(b[1], &piece, 1, 0); }
static long call_recv(void) { return recv(a[0], big, 8, 0); }
static long call_recvmsg(void) { message(NULL); return recvmsg(a[0], &packets[0].msg_hdr, 0); }
static long call_recvmmsg(void) { return recvmmsg(a[0], packets, 3, MSG_WAITFORONE, NULL); }
static long call_sendmsg(void) { message(NULL); return sendmsg(a[0], &packets[0].msg_hdr, 0); }
static long call_sendmmsg(void) { message(NULL); return sendmmsg(a[0], packets, 3, 0); }
/* clang-format on */
static long
call_poll(void)
{
    struct pollfd p[2] = {{a[0], POLLIN}, {b[0], POLLIN}};

    return poll(p, 2, 3000);
}
static long
call_select(void)
{
    struct timeval t = {3, 0};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(a[0], &set);
    FD_SET(b[0], &set);
    return select(b[1] + 1, &set, NULL, NULL, &t);
}
static long
call_epoll(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int ep = epoll_create1(0);
    long r;

    epoll_ctl(ep, EPOLL_CTL_ADD, b[0], &e);
    epoll_ctl(ep, EPOLL_CTL_ADD, a[0], &e);
    r = epoll_wait(ep, &e, 1, 200);
    close(ep);
    return r;
}
static long
call_flock(void)
{
    int fd = dup2(open("locked", O_RDWR), b[0]);
    long r = flock(fd, LOCK_EX);

    return r;
}
static long
call_fifo(void)
{
    int fd = open("fifo", O_RDONLY);
    long r = read(fd, big, 8);

    close(fd);
    return r;
}
static long
call_accept(void)
{
    int fd = accept(other, NULL, NULL);

    return fd < 0 ? fd : 7;
}

/* clang-format off */
static void wake_pipe(void) { int keep = dup(a[1]); close_all(); fill_freed_memory(); write(keep, "abc", 3); close(keep); }
static void wake_dup2(void) { int keep = dup(a[1]); dup2(filler, a[0]); dup2(filler, a[1]); fill_freed_memory(); write(keep, "abc", 3);
                              close(keep); close_all(); }
static void wake_drain(void) { int keep = dup(b[0]); close_all(); fill_freed_memory(); read(keep, big, sizeof big); until_returned();
                               close(keep); }
static void wake_send(void) { int keep = dup(a[1]); close_all(); fill_freed_memory(); send(keep, "12345678", 8, 0); until_returned();
                              close(keep); }
static void wake_receive(void) { int keep = dup(a[1]); close_all(); fill_freed_memory(); read(keep, big, sizeof big); until_returned();
                                 close(keep); }
static void wake_gone(void) { close_all(); fill_freed_memory(); }
static void wake_shut(void) { int keep = dup(a[1]); close_all(); fill_freed_memory(); shutdown(keep, SHUT_RDWR); close(keep); }
static void wake_unlock(void) { close_all(); fill_freed_memory(); flock(other, LOCK_UN); until_returned();
    /* clang-format on */
    /* the sleeper's own file went with its call, and so did its lock */
    printf("again %d\n", flock(other, LOCK_EX | LOCK_NB));
    close(other);
}
static void
wake_fifo(void)
{
    int fd;

    rename("fifo", "fifo2");
    fd = open("fifo2", O_WRONLY);
    unlink("fifo2");
    close_all();
    fill_freed_memory();
    write(fd, "abc", 3);
    close(fd);
}
static void
wake_accept(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0close_in_use"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    connect(fd, (void *)&name, sizeof name);
    close(other);
    fill_freed_memory();
    close(fd);
    close_all();
}

static const struct row {
    const char *name;
    void (*setup)(void);
    long (*call)(void);
    void (*wake)(void);
} rows[] = {
    {"read", pipes, call_read, wake_pipe},
    {"read, dup2", pipes, call_read, wake_dup2},
    {"readv", pipes, call_readv, wake_pipe},
    {"read of a socket", setup_stream, call_read, wake_send},
    {"write", setup_pipes_full, call_write, wake_drain},
    {"tee", pipes, call_tee, wake_pipe},
    {"splice", setup_pipes_full, call_splice, wake_drain},
    {"splice, empty", pipes, call_splice, wake_pipe},
    {"vmsplice", setup_pipes_full, call_vmsplice, wake_drain},
    {"recv", setup_stream, call_recv, wake_send},
    {"recvmsg", setup_stream, call_recvmsg, wake_send},
    {"recvmsg, shut down", setup_stream, call_recvmsg, wake_shut},
    {"recvmmsg", setup_packet, call_recvmmsg, wake_send},
    {"sendmsg", setup_stream_full, call_sendmsg, wake_receive},
    {"sendmsg, shut down", setup_stream_full, call_sendmsg, wake_shut},
    {"sendmmsg", setup_stream_full, call_sendmmsg, wake_receive},
    {"poll", pipes, call_poll, wake_pipe},
    {"select", pipes, call_select, wake_pipe},
    {"epoll_wait", pipes, call_epoll, wake_gone},
    {"flock", setup_locked, call_flock, wake_unlock},
    {"open of a FIFO", setup_fifo, call_fifo, wake_fifo},
    {"accept", setup_listener, call_accept, wake_accept},
};

static long result;
static int error;
static void *
sleeper(void *p)
{
    const struct row *row = p;

    sleeper_tid = gettid();
    errno = 0;
    result = row->call();
    error = result < 0 ? errno : 0;
    returned = 1;
    return NULL;
}

int
main(void)
{
    pthread_t t;

    signal(SIGPIPE, SIG_IGN);
    filler = open("filler", O_RDWR | O_CREAT, 0600);
    for (unsigned k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        rows[k].setup();
        returned = 0;
        pthread_create(&t, NULL, sleeper, (void *)&rows[k]);
        wait_for_sleep();
        rows[k].wake();
        pthread_join(t, NULL);
        /* whether the sender hears first of the close or of the shutdown is chance */
        printf("%s: %ld %d\n", rows[k].name, result, error == ECONNRESET ? EPIPE : error);
        fflush(stdout);
    }
    printf("survived\n");
}
