/* IOCB_CMD_POLL and eventfds: requests that become complete later, are cancelled, or end with their context. */
#include <sys/epoll.h>
#include <sys/socket.h>

#include "aio.h"

static aio_context_t context;

static struct iocb
watch(int fd, int events, unsigned data)
{
    return (struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = fd, .aio_buf = events, .aio_data = data};
}

static long
pending(void)
{
    struct io_event e;

    return get(context, 1, 1, &e, &at_once);
}

static void
simple(void)
{
    int p[2], s[2], f = open("/proc/self/exe", O_RDONLY);
    struct iocb io, again;

    pipe(p), socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    io = watch(p[1], POLLOUT, 1);
    show("ready at once", submit_one(context, &io));
    show_poll("event", context);
    io = watch(p[0], POLLIN, 2);
    show("not ready", submit_one(context, &io));
    show("nothing yet", pending());
    write(p[1], "x", 1);
    show_poll("written", context);
    io = watch(p[0], POLLIN | POLLOUT, 3);
    show("both", submit_one(context, &io));
    show_poll("event", context);
    io = watch(f, POLLIN, 4);
    show("a file", submit_one(context, &io));
    show_poll("event", context);
    io = watch(f, POLLPRI, 5);
    show("what a file never has", submit_one(context, &io));
    io = watch(s[0], POLLIN, 6), again = watch(s[0], POLLIN | POLLRDHUP, 7);
    show("twice", submit_one(context, &io) + submit_one(context, &again));
    write(s[1], "y", 1);
    show("both", get(context, 2, 2, (struct io_event[2]){0}, &late));
    io = watch(p[1], 0, 8);
    show("nothing asked for", submit_one(context, &io));
    close(p[0]);
    show_poll("its other end closed", context);
    io = watch(p[1], 0x10001, 9);
    show("more than events", submit_one(context, &io));
    io = watch(p[1], POLLIN, 9), io.aio_nbytes = 1;
    show("a size", submit_one(context, &io));
    io = watch(p[1], POLLIN, 9), io.aio_offset = 1;
    show("a place", submit_one(context, &io));
    io = watch(p[1], POLLIN, 9), io.aio_rw_flags = 1;
    show("a flag", submit_one(context, &io));
    close(p[1]), close(s[0]), close(s[1]), close(f);
}

static void
cancelled(void)
{
    int p[2];
    struct iocb io, other;

    pipe(p);
    io = watch(p[0], POLLIN, 20), other = watch(p[0], POLLIN, 21);
    show("submitted", submit_one(context, &io));
    show("another one", cancel(context, &other));
    show("cancelled", cancel(context, &io));
    show_poll("event", context);
    show("twice", cancel(context, &io));
    show("nowhere", cancel(context, (struct iocb *)8));
    show("no context", cancel(0, &io));
    io.aio_key = 1;
    show("another key", cancel(context, &io));
    write(p[1], "x", 1);
    show("nothing comes", pending());
    read(p[0], (char[4]){0}, 4);
    io.aio_key = 0;
    submit_one(context, &io);
    close(p[0]);
    write(p[1], "x", 1);
    show_poll("its descriptor is closed, it is not", context);
    signal(SIGPIPE, SIG_IGN);
    usleep(30000);
    show("now it is", write(p[1], "x", 1));
    close(p[1]);
}

static void
told(int e)
{
    uint64_t n = 0;
    long r = read(e, &n, 8);

    printf("eventfd: %s %llu\n", r < 0 ? strerrorname_np(errno) : "", (unsigned long long)n);
}

static void
eventfds(void)
{
    int p[2], e = eventfd(0, EFD_NONBLOCK), g = eventfd(0, EFD_NONBLOCK), f = open("/proc/self/exe", O_RDONLY);
    char byte[4];
    struct iocb io = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = f, .aio_buf = (uintptr_t)byte, .aio_nbytes = 4},
                next;
    struct pollfd poll_e = {e, POLLIN};

    pipe(p);
    io.aio_flags = IOCB_FLAG_RESFD, io.aio_resfd = e;
    show("read", submit_one(context, &io));
    told(e);
    show("twice more", submit_one(context, &io) + submit_one(context, &io));
    told(e);
    show("events", get(context, 3, 3, (struct io_event[3]){0}, &at_once));
    io.aio_resfd = f;
    show("no eventfd", submit_one(context, &io));
    io.aio_resfd = 99;
    show("no descriptor", submit_one(context, &io));
    io = watch(p[0], POLLIN, 30), io.aio_flags = IOCB_FLAG_RESFD, io.aio_resfd = e;
    submit_one(context, &io);
    told(e);
    write(p[1], "x", 1);
    show("poll", poll(&poll_e, 1, 5000));
    told(e);
    show_poll("event", context);
    read(p[0], byte, 1);
    /* What an event tells is watched by another request. */
    submit_one(context, &io);
    next = watch(e, POLLIN, 31), next.aio_flags = IOCB_FLAG_RESFD, next.aio_resfd = g;
    submit_one(context, &next);
    write(p[1], "x", 1);
    show_poll("first", context);
    show_poll("second", context);
    told(e), told(g);
    read(p[0], byte, 1);
    submit_one(context, &io);
    show("cancelled", cancel(context, &io));
    show_poll("event", context);
    told(e);
    write(e, &(uint64_t){UINT64_MAX - 1}, 8);
    io = (struct iocb){.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = f, .aio_buf = (uintptr_t)byte, .aio_nbytes = 4};
    io.aio_flags = IOCB_FLAG_RESFD, io.aio_resfd = e;
    show("to the brim", submit_one(context, &io));
    show("beyond it", submit_one(context, &io));
    show("a write", (fcntl(e, F_SETFL, O_NONBLOCK), write(e, &(uint64_t){1}, 8)));
    show("poll", (poll_e.events = POLLIN | POLLOUT, poll(&poll_e, 1, 0)));
    printf("%x\n", poll_e.revents);
    told(e);
    show("events", get(context, 2, 2, (struct io_event[2]){0}, &late));
    close(e), close(g), close(f), close(p[0]), close(p[1]);
}

static void
ends(void)
{
    int p[2], e = eventfd(0, EFD_NONBLOCK), status, self;
    struct iocb io;
    aio_context_t own = 0;

    pipe(p);
    io = watch(p[0], POLLIN, 40), io.aio_flags = IOCB_FLAG_RESFD, io.aio_resfd = e;
    submit_one(context, &io);
    show("destroyed with a request", destroy(context));
    told(e);
    write(p[1], "x", 1);
    told(e);
    read(p[0], (char[1]){0}, 1);
    fflush(stdout);
    if (fork() == 0) {
        setup(8, &own);
        submit_one(own, &io);
        _exit(7); /* the request ends with the process */
    }
    wait(&status);
    printf("child %d\n", WEXITSTATUS(status));
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    show("nobody holds the other end", write(p[1], "x", 1));
    /* A process that ends is news for its pidfd. */
    context = 0;
    setup(8, &context);
    self = fork();
    if (self == 0)
        usleep(20000), _exit(0);
    io = watch(syscall(SYS_pidfd_open, self, 0), POLLIN, 41);
    show("a process", submit_one(context, &io));
    show_poll("its end", context);
    wait(&status);
    /* An epoll descriptor of a pipe. */
    pipe(p);
    e = epoll_create1(0);
    epoll_ctl(e, EPOLL_CTL_ADD, p[0], &(struct epoll_event){.events = EPOLLIN});
    io = watch(e, POLLIN, 42);
    show("epoll", submit_one(context, &io));
    write(p[1], "x", 1);
    show_poll("event", context);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    show("setup", setup(16, &context));
    simple();
    cancelled();
    eventfds();
    ends();
    return 0;
}
