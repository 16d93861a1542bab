/* What the programs about asynchronous I/O share: the calls, which the C library does not have, and how results show. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct ring {
    unsigned id, slots, head, tail, magic, compatible, incompatible, length;
    struct io_event events[];
};

static long
setup(unsigned n, aio_context_t *c)
{
    return syscall(SYS_io_setup, n, c);
}

static long
destroy(aio_context_t c)
{
    return syscall(SYS_io_destroy, c);
}

static long
submit(aio_context_t c, long n, struct iocb **list)
{
    return syscall(SYS_io_submit, c, n, list);
}

static long
submit_one(aio_context_t c, struct iocb *io)
{
    return submit(c, 1, &io);
}

static long
cancel(aio_context_t c, struct iocb *io)
{
    struct io_event e;

    return syscall(SYS_io_cancel, c, io, &e);
}

static long
get(aio_context_t c, long least, long most, struct io_event *events, struct timespec *timeout)
{
    return syscall(SYS_io_getevents, c, least, most, events, timeout);
}

static struct timespec at_once = {0, 0}, soon = {0, 20000000}, late = {5, 0};

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

/* The next event, which must be there. */
static void
show_event(const char *what, aio_context_t c)
{
    struct io_event e = {0};
    long r = get(c, 1, 1, &e, &late);

    printf("%s: %ld data %llu result %lld %lld\n", what, r, (unsigned long long)e.data, (long long)e.res,
           (long long)e.res2);
}

/* The same of a poll, of which Linux tells all that the wake was for, asked for or not. */
static void
show_poll(const char *what, aio_context_t c)
{
    struct io_event e = {0};
    long r = get(c, 1, 1, &e, &late);

    printf("%s: %ld data %llu events %llx\n", what, r, (unsigned long long)e.data,
           (unsigned long long)e.res & (POLLIN | POLLOUT | POLLPRI | POLLERR | POLLHUP));
}
