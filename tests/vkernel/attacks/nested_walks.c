/* Calls whose work would be the square of what a guest has made, if a walk over one of its lists stood within a walk over another.
 * Each is timed a few times, and the best time must be far below what the square takes. Linux does some of them slowly itself. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 3 };

static int failed;

static double
milliseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static void
judge(const char *what, double best, double most)
{
    printf("%s: %s\n", what, best < most ? "soon" : "late");
    fprintf(stderr, "%s: %.2f ms\n", what, best);
    failed |= best >= most;
}

/* --- as many signals as may be queued, taken by one read --- */

static void
queue_signals(int count)
{
    union sigval v;

    for (int k = 0; k < count; k++) {
        v.sival_int = k;
        if (sigqueue(getpid(), k & 1 ? SIGRTMIN : SIGRTMAX, v) < 0) {
            printf("sigqueue %d: %s\n", k, strerror(errno));
            exit(1);
        }
    }
}

static void
check_records(const struct signalfd_siginfo *r, int count)
{
    for (int k = 0; k < count; k++)
        if (r[k].ssi_int != (k < count / 2 ? 2 * k + 1 : 2 * (k - count / 2))) {
            printf("record %d has %d\n", k, r[k].ssi_int);
            exit(1);
        }
}

/* parts: of the vector; 0: read */
static void
signals(const char *what, int parts, double most)
{
    enum { COUNT = 8000 };
    static struct signalfd_siginfo records[COUNT];
    static struct iovec v[1024];
    sigset_t set;
    double best = 1e9, start, time;
    int fd;

    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_NONBLOCK);
    for (int k = 0; k < parts; k++)
        v[k] = (struct iovec){(char *)records + k * (sizeof records / 1000), sizeof records / 1000};
    for (int t = 0; t < TRIES; t++) {
        queue_signals(COUNT);
        start = milliseconds();
        if ((parts ? readv(fd, v, parts) : read(fd, records, sizeof records)) != sizeof records)
            exit(1);
        time = milliseconds() - start;
        best = time < best ? time : best;
        check_records(records, COUNT);
    }
    close(fd);
    judge(what, best, most);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signals("signals read", 0, 20);
    signals("signals read into a vector", 1000, 20);
    if (failed)
        return 1;
    printf("survived\n");
    return 0;
}
