/* Taking events: how many at once, how long it waits, what ends a wait, and rings that the guest changes. */
#include <pthread.h>

#include "aio.h"

static aio_context_t context;
static char byte[16];
static struct iocb io;

static void
on_alarm(int sig)
{
}

static void
more(int n)
{
    for (int k = 0; k < n; k++)
        submit_one(context, &io);
}

static void
numbers(void)
{
    struct io_event e[8];
    struct timespec odd = {0, 1500000000};

    show("no events, at once", get(context, 1, 1, e, &at_once));
    show("none asked for", get(context, 0, 8, e, NULL));
    show("more than asked for", get(context, 2, 1, e, &at_once));
    show("negative", get(context, -1, 1, e, &at_once));
    show("both negative", get(context, -2, -1, e, &at_once));
    show("bad time", get(context, 1, 1, e, (void *)8));
    show("no context", get(0, 1, 1, e, &at_once));
    show("waits", get(context, 1, 1, e, &soon));
    more(3);
    show("at least one", get(context, 1, 8, e, NULL));
    more(3);
    show("one", get(context, 1, 1, e, &odd));
    show("no more than two are there", get(context, 3, 8, e, &soon));
    more(2);
    show("nowhere", get(context, 1, 8, (void *)8, NULL));
    show("still there", get(context, 0, 8, e, NULL));
}

static void
signals(void)
{
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct io_event e[4];
    struct {
        void *mask;
        size_t size;
    } mask;
    struct timespec negative = {-1, 0};
    uint64_t all = 1ull << (SIGALRM - 1), none = 0;

    sigaction(SIGALRM, &sa, NULL);
    ualarm(20000, 20000); /* again, should it come too soon */
    show("a signal", get(context, 1, 1, e, NULL));
    ualarm(0, 0);
    ualarm(20000, 20000); /* again, should it come too soon */
    show("a time below zero has no end", get(context, 1, 1, e, &negative));
    ualarm(0, 0);
    more(1);
    ualarm(20000, 20000); /* again, should it come too soon */
    show("a signal after one of two", get(context, 2, 4, e, NULL));
    ualarm(0, 0);
    mask.mask = &all, mask.size = 8;
    ualarm(10000, 0);
    show("with the signal blocked", syscall(SYS_io_pgetevents, context, 1, 1, e, &soon, &mask));
    show("a mask of another size", (mask.size = 4, syscall(SYS_io_pgetevents, context, 1, 1, e, &soon, &mask)));
    show("a mask nowhere",
         (mask.size = 8, mask.mask = (void *)8, syscall(SYS_io_pgetevents, context, 1, 1, e, &soon, &mask)));
    show("an argument nowhere", syscall(SYS_io_pgetevents, context, 1, 1, e, &soon, (void *)8));
    show("no mask", (mask.mask = NULL, syscall(SYS_io_pgetevents, context, 1, 1, e, &soon, &mask)));
    show("no argument", syscall(SYS_io_pgetevents, context, 0, 1, e, NULL, NULL));
    sigprocmask(SIG_BLOCK, (sigset_t *)&all, NULL);
    mask.mask = &none;
    ualarm(10000, 0);
    show("unblocked while it waits", syscall(SYS_io_pgetevents, context, 1, 1, e, NULL, &mask));
    more(1);
    ualarm(1000, 0);
    usleep(20000);
    show("events are first", syscall(SYS_io_pgetevents, context, 1, 1, e, NULL, &mask));
    sigprocmask(SIG_UNBLOCK, (sigset_t *)&all, NULL);
}

static void *
waits(void *arg)
{
    struct io_event e[4];
    long r = get(context, 1, 4, e, NULL);

    return (void *)(r < 0 ? -errno : r);
}

static void
threads(void)
{
    pthread_t t;
    void *result;

    pthread_create(&t, NULL, waits, NULL);
    usleep(20000);
    more(1);
    pthread_join(t, &result);
    printf("the thread: %ld\n", (long)result);
    pthread_create(&t, NULL, waits, NULL);
    usleep(20000);
    show("destroyed under a waiter", destroy(context));
    pthread_join(t, &result);
    printf("the thread: %s\n", strerrorname_np(-(long)result));
}

static void
rings(void)
{
    struct io_event e[4];
    struct ring *r;
    unsigned done = 0;

    context = 0;
    setup(1, &context);
    r = (struct ring *)context;
    more(2);
    printf("tail %u head %u data %llu result %lld\n", r->tail, r->head, (unsigned long long)r->events[0].data,
           (long long)r->events[0].res);
    r->head = 1;
    show("one was taken without a call", get(context, 0, 4, e, NULL));
    printf("head %u\n", r->head);
    while (submit_one(context, &io) == 1)
        done++;
    printf("the ring takes all but a few: %d %s\n", done + 8 > r->slots - 1 && done < r->slots, strerrorname_np(errno));
    printf("all come out: %d\n", get(context, 0, 4096, (struct io_event *)malloc(4096 * 32), NULL) == (long)done);
    show("there is room again", submit_one(context, &io));
    r->head = 0xfffffff0;
    printf("a wild head: %d\n", get(context, 0, 4, e, &at_once) >= 0);
    r->head = r->tail;
    r->slots = 0;
    show("a wild size", submit_one(context, &io));
    show("does not matter", get(context, 1, 4, e, &at_once));
    show("destroyed", destroy(context));
}

int
main(void)
{
    int f = open("/proc/self/exe", O_RDONLY);

    setvbuf(stdout, NULL, _IOLBF, 0);
    io = (struct iocb){.aio_lio_opcode = IOCB_CMD_PREAD,
                       .aio_fildes = f,
                       .aio_buf = (uintptr_t)byte,
                       .aio_nbytes = 4,
                       .aio_data = 77};
    show("setup", setup(8, &context));
    numbers();
    signals();
    threads();
    rings();
    return 0;
}
