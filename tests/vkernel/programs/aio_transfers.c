/* Asynchronous reading, writing and synchronising: what io_submit refuses, and what events say. */
#include "aio.h"

static char buffer[8192];
static aio_context_t context;

static struct iocb
request(int opcode, int fd, void *data, size_t size, long offset)
{
    static unsigned number;

    return (struct iocb){.aio_lio_opcode = opcode,
                         .aio_fildes = fd,
                         .aio_buf = (uintptr_t)data,
                         .aio_nbytes = size,
                         .aio_offset = offset,
                         .aio_data = ++number};
}

static void
run(const char *what, struct iocb io)
{
    long r = submit_one(context, &io);

    if (r == 1)
        show_event(what, context);
    else
        show(what, r);
}

static void
files(int f)
{
    struct iovec parts[2] = {{buffer, 3}, {buffer + 100, 4}};
    int readable = open("/proc/self/exe", O_RDONLY), writable = open("/tmp", O_DIRECTORY), path = open("/tmp", O_PATH),
        appends;

    strcpy(buffer, "Hello, ring");
    run("write", request(IOCB_CMD_PWRITE, f, buffer, 11, 0));
    memset(buffer, 0, sizeof buffer);
    run("read", request(IOCB_CMD_PREAD, f, buffer, 5, 7));
    printf("%.4s\n", buffer);
    run("at the end", request(IOCB_CMD_PREAD, f, buffer, 5, 11));
    run("behind it", request(IOCB_CMD_PREAD, f, buffer, 5, 100));
    run("vector read", request(IOCB_CMD_PREADV, f, parts, 2, 1));
    printf("%.3s %.4s\n", buffer, buffer + 100);
    run("vector write", request(IOCB_CMD_PWRITEV, f, parts, 2, 20));
    run("no parts", request(IOCB_CMD_PREADV, f, parts, 0, 0));
    run("too many parts", request(IOCB_CMD_PREADV, f, parts, 1025, 0));
    run("bad parts", request(IOCB_CMD_PREADV, f, (void *)8, 1, 0));
    run("nothing", request(IOCB_CMD_PREAD, f, buffer, 0, 0));
    run("bad buffer", request(IOCB_CMD_PREAD, f, (void *)8, 5, 0));
    run("bad buffer to write", request(IOCB_CMD_PWRITE, f, (void *)8, 5, 0));
    run("a kernel's buffer", request(IOCB_CMD_PREAD, f, (void *)-4096, 5, 0));
    run("before the beginning", request(IOCB_CMD_PREAD, f, buffer, 5, -1));
    run("over the end of all", request(IOCB_CMD_PREAD, f, buffer, 5, 0x7ffffffffffffffe));
    run("negative size", request(IOCB_CMD_PREAD, f, buffer, -1, 0));
    run("closed", request(IOCB_CMD_PREAD, 99, buffer, 5, 0));
    run("a path only", request(IOCB_CMD_PREAD, path, buffer, 5, 0));
    run("not to write", request(IOCB_CMD_PWRITE, readable, buffer, 5, 0));
    run("a folder", request(IOCB_CMD_PREAD, writable, buffer, 5, 0));
    run("sync", request(IOCB_CMD_FSYNC, f, NULL, 0, 0));
    run("data sync", request(IOCB_CMD_FDSYNC, f, NULL, 0, 0));
    run("sync with a size", request(IOCB_CMD_FSYNC, f, NULL, 1, 0));
    run("sync with a place", request(IOCB_CMD_FSYNC, f, NULL, 0, 1));
    run("unknown", request(4, f, buffer, 5, 0));
    run("noop", request(6, f, buffer, 5, 0));
    run("far from known", request(1000, f, buffer, 5, 0));
    appends = open("/proc/self/fd/0", O_RDONLY);
    close(appends), close(readable), close(writable), close(path);
}

static void
positions(const char *name)
{
    int f = open(name, O_RDWR | O_APPEND);
    struct iocb io;

    run("append", request(IOCB_CMD_PWRITE, f, "xyz", 3, 0));
    printf("position %ld size %ld\n", (long)lseek(f, 0, SEEK_CUR), (long)lseek(f, 0, SEEK_END));
    close(f);
    f = open(name, O_RDWR);
    io = request(IOCB_CMD_PWRITE, f, "XY", 2, 0);
    io.aio_rw_flags = RWF_APPEND;
    run("by a flag", io);
    printf("size %ld\n", (long)lseek(f, 0, SEEK_END));
    io = request(IOCB_CMD_PWRITE, f, "XY", 2, 0);
    io.aio_rw_flags = RWF_DSYNC | RWF_HIPRI;
    run("flags", io);
    io.aio_rw_flags = 0x40000000;
    run("an unknown flag", io);
    io.aio_rw_flags = 0;
    io.aio_reserved2 = 1;
    run("what is reserved", io);
    io.aio_reserved2 = 0;
    io.aio_flags = 0x40;
    run("an unknown request flag", io);
    io.aio_flags = 2;
    io.aio_reqprio = 2 << 13 | 4;
    run("a priority", io);
    io.aio_reqprio = 5 << 13;
    run("a bad priority", io);
    close(f);
}

static void
pipes(void)
{
    int p[2], e;

    pipe(p);
    run("to a pipe", request(IOCB_CMD_PWRITE, p[1], "pipe", 4, 0));
    run("from a pipe", request(IOCB_CMD_PREAD, p[0], buffer, 100, 0));
    run("from a place in a pipe", request(IOCB_CMD_PWRITE, p[1], "pipe", 4, 77));
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    run("rest", request(IOCB_CMD_PREAD, p[0], buffer, 100, 0));
    run("empty", request(IOCB_CMD_PREAD, p[0], buffer, 100, 0));
    run("wrong end", request(IOCB_CMD_PREAD, p[1], buffer, 100, 0));
    close(p[1]);
    run("no writer", request(IOCB_CMD_PREAD, p[0], buffer, 100, 0));
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    pipe(p);
    close(p[0]);
    run("no reader", request(IOCB_CMD_PWRITE, p[1], "pipe", 4, 0));
    run("sync of a pipe", request(IOCB_CMD_FSYNC, p[1], NULL, 0, 0));
    close(p[1]);
    e = eventfd(7, 0);
    run("an eventfd", request(IOCB_CMD_PREAD, e, buffer, 8, 0));
    printf("%llu\n", *(unsigned long long *)buffer);
    close(e);
}

static void
lists(int f)
{
    struct iocb io = request(IOCB_CMD_PREAD, f, buffer, 1, 0), bad = request(IOCB_CMD_PREAD, 99, buffer, 1, 0);
    struct iocb *good[3] = {&io, &io, &io}, *mixed[3] = {&io, &bad, &io}, *wild[2] = {&io, (struct iocb *)8};
    struct io_event events[8];

    show("none", submit(context, 0, good));
    show("negative", submit(context, -1, good));
    show("three", submit(context, 3, good));
    show("the second is bad", submit(context, 3, mixed));
    show("the second is nowhere", submit(context, 2, wild));
    show("no list", submit(context, 1, (struct iocb **)8));
    show("no context", submit(0, 1, good));
    show("events", get(context, 5, 8, events, &at_once));
    io.aio_key = 99;
    submit_one(context, &io);
    printf("key %u, object %d\n", io.aio_key, get(context, 1, 1, events, NULL) == 1 && events[0].obj == (uintptr_t)&io);
}

int
main(void)
{
    char name[] = "/tmp/aio-XXXXXX";
    int f = mkstemp(name);

    setvbuf(stdout, NULL, _IOLBF, 0);
    show("setup", setup(16, &context));
    files(f);
    positions(name);
    pipes();
    lists(f);
    unlink(name);
    return 0;
}
