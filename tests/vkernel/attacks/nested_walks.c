/* Calls whose work would be the square of what a guest has made, if a walk over one of its lists stood within a walk
 * over another. Each is timed a few times, and the best time must be far below what the square takes. Linux does some
 * of them slowly itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SLOWER
#define SLOWER 5 /* ThreadSanitizer's run */
#endif

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
    most *= SLOWER; /* attacks.py */
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

/* --- a wait queue with as many watchers, woken by each of as many timers --- */

static void
timers(double most)
{
    enum { EPOLLS = 100, DUPS = 400, TIMERS = 250, LATER = 20 };
    double best = 1e9, last, now, gap, until;
    sigset_t set;
    int signals;

    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK);
    for (int d = 0; d < DUPS; d++)
        if (dup(signals) < 0)
            exit(1);
    for (int e = 0; e < EPOLLS; e++) {
        int epoll = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN};

        for (int d = 0; d < DUPS; d++)
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, signals + 1 + d, &event) < 0)
                exit(1);
    }
    for (int t = 0; t < TRIES; t++) {
        timer_t made[TIMERS];
        struct itimerspec due = {{0}, {0}};

        clock_gettime(CLOCK_MONOTONIC, &due.it_value);
        due.it_value.tv_sec += (due.it_value.tv_nsec + LATER * 1000000) / 1000000000;
        due.it_value.tv_nsec = (due.it_value.tv_nsec + LATER * 1000000) % 1000000000;
        for (int k = 0; k < TIMERS; k++) {
            struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};

            if (timer_create(CLOCK_MONOTONIC, &event, &made[k]) < 0 ||
                timer_settime(made[k], TIMER_ABSTIME, &due, NULL) < 0)
                exit(1);
        }
        gap = 0;
        last = milliseconds();
        for (until = last + 3 * LATER; last < until; last = now) {
            now = milliseconds();
            gap = now - last > gap ? now - last : gap;
        }
        best = gap < best ? gap : best;
        for (int k = 0; k < TIMERS; k++)
            timer_delete(made[k]);
    }
    close_range(signals, ~0u, 0);
    judge("timers and watchers", best, most);
}

/* --- a file that lies in messages alone, again and again, while what is to be searched for garbage is large --- */

static int
listen_at(struct sockaddr_un *name)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(s, (struct sockaddr *)name, sizeof(sa_family_t)) < 0 || listen(s, 4096) < 0)
        exit(1);
    return s;
}

enum { FILES = 250 };

static void
send_files(int socket, const int *files, int count)
{
    union {
        char space[CMSG_SPACE(FILES * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(count * sizeof *files)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof *files);
    memcpy(CMSG_DATA(c), files, count * sizeof *files);
    if (sendmsg(socket, &m, 0) != 1)
        exit(1);
}

static void
garbage(double most)
{
    enum { CLIENTS = 800, MESSAGES = 200 };
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t size = sizeof name;
    int pair[2], files[FILES], listener = listen_at(&name);
    double best = 1e9, start, time;

    getsockname(listener, (struct sockaddr *)&name, &size);
    for (int c = 0; c < CLIENTS; c++) {
        int s = socket(AF_UNIX, SOCK_STREAM, 0);

        if (connect(s, (struct sockaddr *)&name, size) < 0)
            exit(1);
        for (int k = 0; k < MESSAGES; k++)
            if (send(s, "x", 1, MSG_DONTWAIT) != 1)
                exit(1);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        exit(1);
    send_files(pair[0], &listener, 1);
    dup2(pair[0], listener); /* and so closes it: the numbers of the files below are in one row */
    for (int t = 0; t < TRIES; t++) {
        for (int k = 0; k < FILES; k++)
            files[k] = eventfd(0, 0);
        send_files(pair[0], files, FILES);
        start = milliseconds();
        close_range(files[0], files[FILES - 1], 0);
        time = milliseconds() - start;
        best = time < best ? time : best;
    }
    judge("files left in messages", best, most);
    close_range(3, ~0u, 0);
}

/* --- a program that is not of the image's own files, in many mappings that shall be executable --- */

static void
mappings(double most)
{
    enum { PAGE = 4096, PAGES = 150 };
    static char buffer[1 << 16];
    int from = open("/proc/self/exe", O_RDONLY), to = open("/tmp/copy", O_RDWR | O_CREAT, 0700);
    double best = 1e9, start, time;
    ssize_t n;

    while ((n = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, n) != n)
            exit(1);
    for (int t = 0; t < TRIES; t++) {
        char *p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, to, 0);

        for (int k = 0; k < PAGES; k += 2)
            mprotect(p + k * PAGE, PAGE, PROT_NONE);
        start = milliseconds();
        if (p == MAP_FAILED || mprotect(p, PAGES * PAGE, PROT_READ | PROT_EXEC) < 0) {
            printf("mprotect: %s\n", strerror(errno));
            exit(1);
        }
        time = milliseconds() - start;
        best = time < best ? time : best;
        munmap(p, PAGES * PAGE);
    }
    close(from);
    close(to);
    unlink("/tmp/copy");
    judge("mappings of a copy", best, most);
}

/* --- requests that become ready together, whose eventfd as many others listen to --- */

static void
submit(aio_context_t context, int count, struct iocb io)
{
    struct iocb *one = &io;

    for (int k = 0; k < count; k++)
        if (syscall(SYS_io_submit, context, 1, &one) != 1) {
            printf("io_submit %d: %s\n", k, strerror(errno));
            exit(1);
        }
}

static void
polls(double most)
{
    enum { COUNT = 8000, TAKEN = 1000 };
    static struct io_event events[TAKEN];
    double best = 1e9, start, last, now, gap;
    int told = eventfd(0, 0), ends[2];

    if (pipe(ends) < 0)
        exit(1);
    for (int t = 0; t < TRIES; t++) {
        aio_context_t context = 0;
        struct iocb urgent = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = told, .aio_buf = POLLPRI};
        struct iocb input = {.aio_lio_opcode = IOCB_CMD_POLL,
                             .aio_fildes = ends[0],
                             .aio_buf = POLLIN,
                             .aio_flags = IOCB_FLAG_RESFD,
                             .aio_resfd = told};
        int taken = 0;
        uint64_t sum;

        if (syscall(SYS_io_setup, 2 * COUNT + 10, &context) < 0)
            exit(1);
        submit(context, COUNT, urgent);
        submit(context, COUNT, input);
        gap = 0;
        start = last = milliseconds();
        if (write(ends[1], "x", 1) != 1)
            exit(1);
        while (taken < COUNT && last < start + 5000) {
            struct timespec none = {0, 0};
            int n = syscall(SYS_io_getevents, context, 0, TAKEN, events, &none);

            now = milliseconds();
            gap = now - last > gap ? now - last : gap;
            last = now;
            taken += n > 0 ? n : 0;
        }
        if (taken != COUNT || read(told, &sum, sizeof sum) != sizeof sum || sum != COUNT ||
            read(ends[0], &sum, 1) != 1) {
            printf("%d events\n", taken);
            exit(1);
        }
        best = gap < best ? gap : best;
        syscall(SYS_io_destroy, context);
    }
    close_range(told, ~0u, 0);
    judge("polls and an eventfd", best, most);
}

/* --- one event of which as many are told as there may be, each of them a group of many processes --- */

static void
owners(double most)
{
    enum { PROCESSES = 400, NOTES = 1000 };
    double best = 1e9, start, time;
    int children[PROCESSES], notes = 0;

    setpgid(0, 0); /* a session leader is one already */
    if (mkdir("/tmp/told", 0700) < 0)
        exit(1);
    signal(SIGIO, SIG_IGN);
    for (int k = 0; k < PROCESSES; k++) {
        children[k] = fork();
        if (children[k] == 0)
            for (;;)
                pause();
    }
    for (; notes < NOTES; notes++) {
        int f = open("/tmp/told", O_RDONLY | O_DIRECTORY);

        if (fcntl(f, F_SETOWN, -getpgrp()) < 0 || fcntl(f, F_SETSIG, SIGRTMIN) < 0)
            exit(1);
        if (fcntl(f, F_NOTIFY, DN_CREATE | DN_MULTISHOT) < 0)
            break;
    }
    if (notes == 0)
        exit(1);
    for (int t = 0; t < TRIES; t++) {
        start = milliseconds();
        if (close(open("/tmp/told/file", O_RDWR | O_CREAT, 0600)) < 0)
            exit(1);
        time = milliseconds() - start;
        best = time < best ? time : best;
        unlink("/tmp/told/file");
    }
    for (int k = 0; k < PROCESSES; k++) {
        kill(children[k], SIGKILL);
        waitpid(children[k], NULL, 0);
    }
    close_range(3, ~0u, 0);
    rmdir("/tmp/told");
    judge("owners of notes", best, most);
}

int
main(void)
{
    struct rlimit r = {4096, 4096};

    setvbuf(stdout, NULL, _IOLBF, 0);
    setrlimit(RLIMIT_NOFILE, &r);
    signals("signals read", 0, 20);
    signals("signals read into a vector", 1000, 20);
    timers(50);
    garbage(30);
    mappings(60);
    polls(20);
    owners(10);
    if (failed)
        return 1;
    printf("survived\n");
    return 0;
}
