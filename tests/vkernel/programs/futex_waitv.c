/* futex_waitv: arguments, which of several futexes woke, timeouts, requeues; and futex_wake, futex_wait, futex_requeue. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAITV = 449, WAKE = 454, WAIT, REQUEUE, U32 = 2, PRIVATE = 128 };

struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static uint32_t words[200];
static struct waitv v[200];

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

static long
waitv(struct waitv *list, unsigned n, unsigned flags, const struct timespec *t, int clock)
{
    return syscall(WAITV, list, n, flags, t, clock);
}

static struct timespec
in(int clock, long ns)
{
    struct timespec t;

    clock_gettime(clock, &t);
    t.tv_nsec += ns;
    if (t.tv_nsec >= 1000000000)
        t.tv_nsec -= 1000000000, t.tv_sec++;
    return t;
}

static void
reset(unsigned flags)
{
    for (int k = 0; k < 200; k++)
        v[k] = (struct waitv){.value = words[k] = k, .address = (uintptr_t)&words[k], .flags = flags};
}

static void
arguments(void)
{
    struct timespec t = in(CLOCK_MONOTONIC, 1000000), bad = {0, -1}, r = in(CLOCK_REALTIME, 1000000);

    reset(U32 | PRIVATE);
    show("flags", waitv(v, 1, 1, NULL, 1)), show("none", waitv(v, 0, 0, NULL, 1));
    show("too many", waitv(v, 129, 0, NULL, 1)), show("no list", waitv(NULL, 1, 0, NULL, 1));
    show("list nowhere", waitv((void *)8, 1, 0, NULL, 1));
    show("clock 7", waitv(v, 1, 0, &t, 7)), show("bad time", waitv(v, 1, 0, &bad, 1));
    show("time nowhere", waitv(v, 1, 0, (void *)8, 1));
    show("a clock without a time", (words[0] = 9, waitv(v, 1, 0, NULL, 7))), words[0] = 0;
    show("timeout", waitv(v, 1, 0, &t, CLOCK_MONOTONIC)), show("timeout", waitv(v, 128, 0, &r, CLOCK_REALTIME));
    show("already over", waitv(v, 3, 0, &(struct timespec){1, 0}, CLOCK_MONOTONIC));
    words[2] = 77;
    show("another value", waitv(v, 3, 0, NULL, 1));
    v[1].reserved = 1;
    show("reserved", waitv(v, 3, 0, NULL, 1));
    v[1].reserved = 0, v[1].flags = 0x200;
    show("unknown flag", waitv(v, 3, 0, NULL, 1));
    for (int size = 0; size < 4; size++)
        v[1].flags = size | PRIVATE, show("size", waitv(v, 3, 0, NULL, 1));
    v[1].flags = U32 | PRIVATE, v[1].value = 1ull << 32;
    show("a long value", waitv(v, 3, 0, NULL, 1));
    v[1].value = 1, v[1].address++;
    show("not aligned", waitv(v, 3, 0, NULL, 1));
    v[1].address = 16;
    show("nowhere", waitv(v, 3, 0, NULL, 1));
    v[1].flags = U32, v[1].address = 16;
    show("shared, nowhere", waitv(v, 3, 0, NULL, 1));
}

static int woken_index;

static void *
waiter(void *arg)
{
    struct timespec t = in(CLOCK_MONOTONIC, 900000000);

    woken_index = waitv(v, (unsigned)(uintptr_t)arg, 0, &t, CLOCK_MONOTONIC);
    return NULL;
}

static long
wake_until(long call, uint32_t *word, unsigned flags)
{
    long r = 0;

    for (int k = 0; k < 900 && r == 0; k++) {
        r = call == WAKE ? syscall(WAKE, word, 1ul, 1, flags)
                         : syscall(SYS_futex, word, FUTEX_WAKE | (flags & PRIVATE ? FUTEX_PRIVATE_FLAG : 0), 1);
        usleep(r ? 0 : 1000);
    }
    return r;
}

static void
wakes(void)
{
    pthread_t t;
    struct waitv pair[2];

    reset(U32 | PRIVATE);
    pthread_create(&t, NULL, waiter, (void *)5);
    show("wake", wake_until(SYS_futex, &words[3], PRIVATE)), pthread_join(t, NULL), show("index", woken_index);
    show("again", syscall(SYS_futex, &words[3], FUTEX_WAKE_PRIVATE, 1));
    show("another", syscall(SYS_futex, &words[2], FUTEX_WAKE_PRIVATE, 1));
    pthread_create(&t, NULL, waiter, (void *)128);
    show("new wake", wake_until(WAKE, &words[127], U32 | PRIVATE)), pthread_join(t, NULL), show("index", woken_index);
    reset(U32);
    pthread_create(&t, NULL, waiter, (void *)2);
    show("shared", wake_until(WAKE, &words[1], U32)), pthread_join(t, NULL), show("index", woken_index);
    reset(U32 | PRIVATE);
    v[1] = v[0];
    pthread_create(&t, NULL, waiter, (void *)2);
    show("the same one twice", wake_until(SYS_futex, &words[0], PRIVATE)), pthread_join(t, NULL),
        printf("%d\n", woken_index >= 0);
    reset(U32 | PRIVATE);
    pthread_create(&t, NULL, waiter, (void *)2);
    pair[0] = v[1], pair[1] = v[50];
    for (int k = 0; k < 900 && syscall(REQUEUE, pair, 0, 0, 1) == 0; k++)
        usleep(1000);
    show("where it was", syscall(WAKE, &words[1], 1ul, 1, U32 | PRIVATE));
    show("where it is", syscall(WAKE, &words[50], 1ul, 1, U32 | PRIVATE)), pthread_join(t, NULL),
        show("index", woken_index);
}

static void
on_alarm(int sig)
{
}

static void
signals(void)
{
    struct sigaction sa = {.sa_handler = on_alarm};

    reset(U32 | PRIVATE);
    sigaction(SIGALRM, &sa, NULL);
    ualarm(10000, 0);
    show("a signal", waitv(v, 4, 0, NULL, 1));
    ualarm(10000, 0);
    show("a signal", syscall(WAIT, &words[0], 0ul, 1ul, U32 | PRIVATE, NULL, 1));
}

static void
processes(void)
{
    uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct waitv one[2] = {{0, (uintptr_t)&words[100], U32 | PRIVATE}, {0, (uintptr_t)shared, U32}};
    struct timespec t = in(CLOCK_MONOTONIC, 900000000);
    int status;

    words[100] = 0;
    if (fork() == 0)
        _exit(waitv(one, 2, 0, &t, CLOCK_MONOTONIC));
    show("another process", wake_until(WAKE, shared, U32));
    wait(&status);
    show("index", WEXITSTATUS(status));
}

static void
single(void)
{
    struct timespec t = in(CLOCK_MONOTONIC, 1000000);
    unsigned f = U32 | PRIVATE;

    reset(f);
    show("wake nobody", syscall(WAKE, &words[0], 1ul, 5, f)), show("no bits", syscall(WAKE, &words[0], 0ul, 1, f));
    show("long bits", syscall(WAKE, &words[0], 1ul << 32, 1, f)), show("size", syscall(WAKE, &words[0], 1ul, 1, 0));
    show("flag", syscall(WAKE, &words[0], 1ul, 1, f | 64)), show("nowhere", syscall(WAKE, (void *)16, 1ul, 1, U32));
    show("not aligned", syscall(WAKE, (char *)words + 1, 1ul, 1, f)), show("none", syscall(WAKE, &words[0], 1ul, 0, f));
    show("wait, another value", syscall(WAIT, &words[0], 5ul, 1ul, f, NULL, 1));
    show("timeout", syscall(WAIT, &words[0], 0ul, 1ul, f, &t, 1)),
        show("clock", syscall(WAIT, &words[0], 0ul, 1ul, f, &t, 3));
    show("no bits", syscall(WAIT, &words[0], 0ul, 0ul, f, NULL, 1)),
        show("long value", syscall(WAIT, &words[0], 1ul << 32, 1ul, f, NULL, 1));
    show("long bits", syscall(WAIT, &words[0], 0ul, 1ul << 32, f, NULL, 1));
    show("size", syscall(WAIT, &words[0], 0ul, 1ul, 1, NULL, 1)),
        show("nowhere", syscall(WAIT, (void *)16, 0ul, 1ul, f, NULL, 1));
    show("time nowhere", syscall(WAIT, &words[0], 0ul, 1ul, f, (void *)8, 1));
    show("requeue nobody", syscall(REQUEUE, v, 0, 1, 1)), show("flags", syscall(REQUEUE, v, 1, 1, 1));
    show("no list", syscall(REQUEUE, NULL, 0, 1, 1)), show("list nowhere", syscall(REQUEUE, (void *)8, 0, 1, 1));
    show("negative", syscall(REQUEUE, v, 0, -1, 1)), show("negative", syscall(REQUEUE, v, 0, 1, -1));
    v[1].flags = U32;
    show("flags that differ", syscall(REQUEUE, v, 0, 1, 1));
    v[1].flags = f, words[0] = 8;
    show("another value", syscall(REQUEUE, v, 0, 1, 1));
    v[1].address = 16, v[0].flags = v[1].flags = U32, words[0] = 0;
    show("nowhere", syscall(REQUEUE, v, 0, 1, 1));
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    arguments();
    wakes();
    signals();
    processes();
    single();
    return 0;
}
