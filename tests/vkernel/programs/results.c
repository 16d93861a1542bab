/* Results of calls on locks, files, memory, timers, priorities, futexes and sockets that are easily almost right.
 * Needs root. */
/* Results of calls on files, locks, memory and timers that are easily almost right. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/futex.h>
#include <time.h>
#include <unistd.h>

static void
say(const char *what, long r)
{
    int e = errno;
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(e));
    else
        printf("%s: %ld\n", what, r);
}

static void
nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) < 0)
        ;
}

static void
lock_at(int fd, int type, int start, int len, int cmd)
{
    struct flock l = {type, SEEK_SET, start, len};
    say("lock", fcntl(fd, cmd, &l));
}

static void
show_lock(int fd, int type, int start, int len, int cmd)
{
    struct flock l = {type, SEEK_SET, start, len, 0};
    int r = fcntl(fd, cmd, &l);
    printf("getlk %d+%d: %d type %d %ld+%ld whence %d pid %d\n", start, len, r, l.l_type, (long)l.l_start,
           (long)l.l_len, l.l_whence, l.l_pid > 0 ? 1 : l.l_pid);
}

static void
locks(void)
{
    int fd = open("/tmp/w-l", O_RDWR | O_CREAT | O_TRUNC, 0600), p[2], q[2];
    char c;
    pipe(p);
    pipe(q);
    if (fork() == 0) {
        int g = open("/tmp/w-l", O_RDWR);
        lock_at(g, F_WRLCK, 40, 10, F_SETLK);
        lock_at(g, F_RDLCK, 10, 10, F_SETLK);
        lock_at(g, F_WRLCK, 20, 5, F_SETLK);
        lock_at(g, F_RDLCK, 60, 0, F_SETLK);
        write(p[1], "x", 1);
        read(q[0], &c, 1);
        _exit(0);
    }
    read(p[0], &c, 1);
    show_lock(fd, F_WRLCK, 0, 0, F_GETLK);
    show_lock(fd, F_RDLCK, 0, 0, F_GETLK);
    show_lock(fd, F_WRLCK, 15, 100, F_GETLK);
    show_lock(fd, F_RDLCK, 25, 5, F_GETLK);
    show_lock(fd, F_RDLCK, 30, 100, F_GETLK);
    show_lock(fd, F_WRLCK, 70, 1, F_GETLK);
    show_lock(fd, F_UNLCK, 0, 0, F_GETLK);
    show_lock(fd, F_WRLCK, 0, 0, F_OFD_GETLK);
    show_lock(fd, F_RDLCK, 0, 0, F_OFD_GETLK);
    lock_at(fd, F_WRLCK, 0, 5, F_OFD_SETLK);
    {
        int g = open("/tmp/w-l", O_RDWR);
        show_lock(g, F_WRLCK, 0, 0, F_GETLK);
        show_lock(g, F_WRLCK, 0, 3, F_OFD_GETLK);
        close(g);
    }
    write(q[1], "x", 1);
    wait(NULL);
    show_lock(fd, F_WRLCK, 0, 0, F_GETLK);
    close(fd);
}

static void
seek_from(int fd, long at, int w)
{
    printf("seek %ld %s: ", at, w == SEEK_HOLE ? "hole" : "data");
    say("", lseek(fd, at, w));
}

static void
seeks(int fd, const char *n)
{
    printf("- %s\n", n);
    seek_from(fd, 0, SEEK_DATA);
    seek_from(fd, 0, SEEK_HOLE);
    ftruncate(fd, 1 << 20);
    seek_from(fd, 0, SEEK_DATA);
    seek_from(fd, 0, SEEK_HOLE);
    seek_from(fd, 1 << 20, SEEK_HOLE);
    seek_from(fd, 1 << 20, SEEK_DATA);
    seek_from(fd, -1, SEEK_DATA);
    pwrite(fd, "a", 1, 65536);
    pwrite(fd, "b", 1, 131072 + 5);
    for (long a = 0; a <= 200000; a += 20000)
        seek_from(fd, a, SEEK_DATA), seek_from(fd, a, SEEK_HOLE);
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 4096);
    seek_from(fd, 0, SEEK_DATA);
    seek_from(fd, 131072, SEEK_HOLE);
    seek_from(fd, 65536, SEEK_HOLE);
    fallocate(fd, 0, 0, 8192);
    seek_from(fd, 0, SEEK_HOLE);
    seek_from(fd, 0, SEEK_DATA);
    char *m = mmap(0, 1 << 20, 3, MAP_SHARED, fd, 0);
    m[300000] = 1;
    seek_from(fd, 140000, SEEK_DATA);
    seek_from(fd, 300000, SEEK_HOLE);
    munmap(m, 1 << 20);
}

static void
inotifies(void)
{
    int in = inotify_init1(IN_NONBLOCK), fd;
    char b[4096];
    mkdir("/tmp/w-d", 0700);
    fd = open("/tmp/w-d/f", O_RDWR | O_CREAT, 0600);
    inotify_add_watch(in, "/tmp/w-d/f", IN_ALL_EVENTS);
    link("/tmp/w-d/f", "/tmp/w-d/g");
    unlink("/tmp/w-d/g");
    chmod("/tmp/w-d/f", 0644);
    rename("/tmp/w-d/f", "/tmp/w-d/h");
    unlink("/tmp/w-d/h");
    close(fd);
    mkdir("/tmp/w-d/s", 0700);
    inotify_add_watch(in, "/tmp/w-d/s", IN_ALL_EVENTS);
    inotify_add_watch(in, "/tmp/w-d", IN_ALL_EVENTS);
    rmdir("/tmp/w-d/s");
    close(open("/tmp/w-d/x", O_CREAT | O_RDWR, 0600));
    link("/tmp/w-d/x", "/tmp/w-d/y");
    truncate("/tmp/w-d/x", 5);
    inotify_add_watch(in, "/tmp/w-d/x", IN_ALL_EVENTS);
    rename("/tmp/w-d/y", "/tmp/w-d/x");
    unlink("/tmp/w-d/x");
    unlink("/tmp/w-d/y");
    int n = read(in, b, sizeof b);
    for (char *p = b; p < b + n;) {
        struct inotify_event *e = (void *)p;
        printf("inotify %d %x %s\n", e->wd, e->mask, e->len ? e->name : "");
        p += sizeof *e + e->len;
    }
    rmdir("/tmp/w-d");
    close(in);
}

static void *
epoll_waiter(void *a)
{
    struct epoll_event e;
    return (void *)(long)epoll_wait(*(int *)a, &e, 1, 300);
}

/* Of several epoll files that watch one file with EPOLLEXCLUSIVE, each event wakes one that somebody waits for. */
static void
exclusives(void)
{
    for (int writes = 1; writes <= 3; writes++) {
        int ev = eventfd(0, 0), eps[4];
        pthread_t t[4];
        long n = 0;
        void *r;

        for (int i = 0; i < 4; i++) {
            struct epoll_event e = {EPOLLIN | EPOLLEXCLUSIVE};

            eps[i] = epoll_create1(0);
            epoll_ctl(eps[i], EPOLL_CTL_ADD, ev, &e);
            /* Nobody waits for the first one's. */
            if (i > 0)
                pthread_create(t + i, 0, epoll_waiter, eps + i);
        }
        nap(100);
        for (int i = 0; i < writes; i++)
            write(ev, &(long){1}, 8);
        for (int i = 1; i < 4; i++) {
            pthread_join(t[i], &r);
            n += (long)r;
        }
        printf("exclusive: %d writes wake %ld, ready for the first: %d\n", writes, n,
               epoll_wait(eps[0], &(struct epoll_event){0}, 1, 0));
        for (int i = 0; i < 4; i++)
            close(eps[i]);
        close(ev);
    }
}

static int
resident(char *m, int pages)
{
    unsigned char v[64];
    int n = 0;
    if (mincore(m, pages * 4096L, v) < 0)
        return -1;
    for (int i = 0; i < pages; i++)
        n += v[i] & 1;
    return n;
}

static void
memory(void)
{
    char *m = mmap(0, 64 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
         *s = mmap(0, 64 * 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char v[64];
    printf("fresh %d %d\n", resident(m, 64), resident(s, 64));
    m[4096] = 1;
    s[4096 * 3] = 1;
    printf("touched %d %d\n", resident(m, 64), resident(s, 64));
    say("mlock", mlock(m, 10 * 4096));
    say("mlock shared", mlock(s, 10 * 4096));
    printf("locked %d %d\n", resident(m, 64), resident(s, 64));
    madvise(m + 40960, 4096 * 20, MADV_DONTNEED);
    munlock(m, 40960);
    madvise(m, 40960, MADV_DONTNEED);
    printf("dropped %d\n", resident(m, 64));
    say("mincore odd", mincore(m + 1, 4096, v));
    say("mincore hole", (munmap(m + 8192, 4096), mincore(m, 16384, v)));
    say("mincore bad", mincore(m, 4096, (void *)8));
    say("mincore 0", mincore(m, 0, v));
    say("mincore huge", mincore(m, -1, v));
    m = mmap(0, 64 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("onfault", syscall(SYS_mlock2, m, 8192, 1));
    printf("onfault %d\n", resident(m, 64));
    m[0] = 1;
    printf("onfault %d\n", resident(m, 64));
    say("mlock2 bad", syscall(SYS_mlock2, m, 8192, 2));
    m = mmap(0, 16 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("future", mlockall(MCL_FUTURE));
    m = mmap(0, 16 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("future %d\n", resident(m, 16));
    say("bad", mlockall(0));
    say("bad", mlockall(MCL_ONFAULT));
    say("bad", mlockall(8));
    munlockall();
    say("on fault", mlockall(MCL_FUTURE | MCL_ONFAULT));
    m = mmap(0, 16 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("on fault %d\n", resident(m, 16));
    munlockall();
    m = mmap(0, 32 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(m + 16 * 4096, 16 * 4096);
    mlock(m, 16 * 4096);
    m = mremap(m, 16 * 4096, 32 * 4096, MREMAP_MAYMOVE);
    printf("grown %d\n", resident(m, 32));
    munmap(m, 32 * 4096);
    m = mmap(0, 8192, 3, MAP_POPULATE | MAP_NONBLOCK | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("MAP_NONBLOCK %d\n", resident(m, 2));
    m = mmap(0, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("mlock none", mlock(m, 8192));
    m = mmap(0, 8192, 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("lock ro", mlock(m, 8192));
    munlock(m, 8192);
    m = mmap(0, 8192, 3, MAP_LOCKED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("MAP_LOCKED %d\n", resident(m, 2));
    m = mmap(0, 8192, 3, MAP_POPULATE | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("MAP_POPULATE %d\n", resident(m, 2));
}

static void
mapped(void)
{
    char *m;
    int fd = open("/tmp/w-m", O_RDWR | O_CREAT | O_TRUNC, 0600);
    write(fd, "hello", 5);
    m = mmap(0, 4096, 3, MAP_SHARED, fd, 0);
    m[10] = 'x';
    m[4000] = 'y';
    char *n = mmap(0, 4096, 1, MAP_SHARED, fd, 0);
    printf("seen at once %d\n", n[10]);
    munmap(m, 4096);
    munmap(n, 4096);
    ftruncate(fd, 4096);
    char buf[8] = "";
    pread(fd, buf, 1, 10);
    printf("behind the end %d\n", buf[0]);
    pread(fd, buf, 1, 4000);
    printf("behind the end %d\n", buf[0]);
    ftruncate(fd, 5);
    ftruncate(fd, 20);
    m = mmap(0, 4096, 3, MAP_SHARED, fd, 0);
    m[30] = 7;
    munmap(m, 4096);
    m = mmap(0, 4096, 3, MAP_PRIVATE, fd, 0);
    printf("later mapping %d\n", m[30] == 0 || m[30] == 7);
    munmap(m, 4096);
    write(fd, "", 0);
    pwrite(fd, "z", 1, 100);
    pread(fd, buf, 1, 30);
    printf("grown %d\n", buf[0]);
    close(fd);
    fd = open("/tmp/w-m", O_RDONLY);
    say("shared ro write", mmap(0, 4096, 3, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    m = mmap(0, 4096, 1, MAP_SHARED, fd, 0);
    say("mprotect ro", mprotect(m, 4096, 3));
    m = mmap(0, 4096, 0, MAP_SHARED, fd, 0);
    say("mprotect none to rw", mprotect(m, 4096, 3));
    say("mprotect none to r", mprotect(m, 4096, 1));
    m = mmap(0, 4096, 1, MAP_PRIVATE, fd, 0);
    say("private rw", mprotect(m, 4096, 3));
    m = mmap(0, 8192, 1, MAP_SHARED_VALIDATE, fd, 0);
    say("validate", mprotect(m, 4096, 2));
    close(fd);
    fd = open("/tmp/w-m", O_WRONLY);
    say("wronly", mmap(0, 4096, 2, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
}

static volatile int hits, over;
static void
on_signal(int s, siginfo_t *i, void *u)
{
    hits++;
    over += i->si_overrun;
}

static void
on_thread(union sigval v)
{
    hits += v.sival_int;
}

static void
timers(void)
{
    timer_t t;
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 5};
    struct itimerspec i = {{0}, {0, 10000000}}, g;
    hits = 0;
    say("thread", timer_create(CLOCK_MONOTONIC, &e, &t));
    timer_settime(t, 0, &i, 0);
    nap(200);
    printf("hits %d\n", hits);
    timer_delete(t);
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN + 3, &a, 0);
    e = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    say("signal", timer_create(CLOCK_MONOTONIC, &e, &t));
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &m, 0);
    i = (struct itimerspec){{0, 10000000}, {0, 10000000}};
    hits = over = 0;
    timer_settime(t, 0, &i, 0);
    nap(105);
    sigprocmask(SIG_UNBLOCK, &m, 0);
    printf("hits %d overrun %s getoverrun %s\n", hits, over >= 7 && over <= 10 ? "about 9" : "wrong",
           timer_getoverrun(t) >= 7 ? "same" : "wrong");
    timer_delete(t);
    say("deleted", timer_getoverrun(t));
    say("bad clock", timer_create(77, &e, &t));
    e.sigev_signo = 0;
    say("signo 0", timer_create(CLOCK_MONOTONIC, &e, &t));
    e.sigev_signo = 65;
    say("signo 65", timer_create(CLOCK_MONOTONIC, &e, &t));
    e.sigev_notify = 9;
    say("notify 9", timer_create(CLOCK_MONOTONIC, &e, &t));
    struct sigevent te = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    te._sigev_un._tid = 1 << 21;
    say("bad tid", timer_create(CLOCK_MONOTONIC, &te, &t));
    i.it_value.tv_nsec = 2000000000;
    say("create", timer_create(CLOCK_MONOTONIC, 0, &t));
    say("bad nsec", timer_settime(t, 0, &i, 0));
    say("bad ptr", syscall(SYS_timer_settime, (int)(long)t, 0, 8, 0));
    timer_delete(t);
    say("slack", prctl(PR_GET_TIMERSLACK));
    say("set", prctl(PR_SET_TIMERSLACK, 12345));
    say("slack", prctl(PR_GET_TIMERSLACK));
    int p = fork();
    if (!p) {
        printf("child %d\n", prctl(PR_GET_TIMERSLACK));
        prctl(PR_SET_TIMERSLACK, 0);
        printf("child default %d\n", prctl(PR_GET_TIMERSLACK));
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    say("reset", prctl(PR_SET_TIMERSLACK, 0));
    say("slack", prctl(PR_GET_TIMERSLACK));
}

static void
pending(void)
{
    if (fork() == 0) {
        sigset_t m;
        sigemptyset(&m);
        sigaddset(&m, SIGRTMIN + 1);
        sigaddset(&m, SIGUSR1);
        sigprocmask(SIG_BLOCK, &m, 0);
        struct rlimit r = {5, 5};
        setrlimit(RLIMIT_SIGPENDING, &r);
        setuid(4242);
        int n = 0;
        while (n < 20 && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){0}) == 0)
            n++;
        printf("queued %d %s\n", n, strerrorname_np(errno));
        say("kill", kill(getpid(), SIGRTMIN + 1));
        say("kill usr1", kill(getpid(), SIGUSR1));
        timer_t t;
        struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        say("timer", timer_create(CLOCK_MONOTONIC, &e, &t));
        _exit(0);
    }
    wait(0);
}

static void
priorities(void)
{
    say("get", (errno = 0, getpriority(PRIO_PROCESS, 0)));
    if (fork() == 0) {
        setpgid(0, 0);
        setuid(4243);
        int q = fork();
        if (!q) {
            say("child to 7", setpriority(PRIO_PROCESS, 0, 7));
            nap(200);
            _exit(0);
        }
        nap(100);
        say("group", syscall(SYS_getpriority, PRIO_PGRP, 0));
        say("user", syscall(SYS_getpriority, PRIO_USER, 0));
        say("set group", setpriority(PRIO_PGRP, 0, 9));
        say("child", syscall(SYS_getpriority, PRIO_PROCESS, q));
        say("set user", setpriority(PRIO_USER, 0, 11));
        say("child", syscall(SYS_getpriority, PRIO_PROCESS, q));
        say("lower", setpriority(PRIO_PROCESS, 0, 3));
        say("other's", setpriority(PRIO_PROCESS, getppid(), 15));
        say("root's user", setpriority(PRIO_USER, 0x7ffffff, 3));
        say("bad which", setpriority(9, 0, 3));
        say("no such", setpriority(PRIO_PROCESS, 1 << 21, 3));
        say("no group", setpriority(PRIO_PGRP, 1 << 21, 3));
        wait(0);
        _exit(0);
    }
    wait(0);
}

static void *
futex_waiter(void *a)
{
    syscall(SYS_futex, a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return 0;
}

static void
futexes(void)
{
    static int f[8];
    struct timespec t = {0, 2000000000}, s = {0, 1000};
    pthread_t p[5];
    say("odd", syscall(SYS_futex, (char *)f + 1, FUTEX_WAIT, 0, 0));
    say("null", syscall(SYS_futex, 0, FUTEX_WAIT, 0, 0));
    say("bad", syscall(SYS_futex, 8, FUTEX_WAIT, 0, 0));
    say("bad wake", syscall(SYS_futex, 4096, FUTEX_WAKE, 1));
    say("private bad wake", syscall(SYS_futex, 4096, FUTEX_WAKE_PRIVATE, 1));
    say("kernel", syscall(SYS_futex, -4096L, FUTEX_WAKE_PRIVATE, 1));
    say("kernel wait", syscall(SYS_futex, -4096L, FUTEX_WAIT_PRIVATE, 1, 0));
    say("nsec", syscall(SYS_futex, f, FUTEX_WAIT, 0, &t));
    say("bad time", syscall(SYS_futex, f, FUTEX_WAIT, 0, 8));
    say("timeout", syscall(SYS_futex, f, FUTEX_WAIT, 0, &s));
    say("value", syscall(SYS_futex, f, FUTEX_WAIT, 1, &s));
    say("op", syscall(SYS_futex, f, 99, 1));
    say("bitset 0", syscall(SYS_futex, f, FUTEX_WAIT_BITSET, 0, &s, 0, 0));
    say("wake bitset 0", syscall(SYS_futex, f, FUTEX_WAKE_BITSET, 1, 0, 0, 0));
    say("realtime wake", syscall(SYS_futex, f, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1));
    say("realtime wait", syscall(SYS_futex, f, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &s));
    for (int i = 0; i < 5; i++)
        pthread_create(p + i, 0, futex_waiter, f);
    nap(50);
    say("cmp requeue wrong", syscall(SYS_futex, f, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2L, f + 1, 1));
    say("cmp requeue", syscall(SYS_futex, f, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2L, f + 1, 0));
    say("requeue", syscall(SYS_futex, f, FUTEX_REQUEUE_PRIVATE, 0, 1L, f + 1, 0));
    say("wake", syscall(SYS_futex, f, FUTEX_WAKE_PRIVATE, 10));
    say("wake 2", syscall(SYS_futex, f + 1, FUTEX_WAKE_PRIVATE, 10));
    for (int i = 0; i < 5; i++)
        pthread_join(p[i], 0);
    say("negative wake", syscall(SYS_futex, f, FUTEX_REQUEUE, -1, 1L, f + 1));
    say("negative requeue", syscall(SYS_futex, f, FUTEX_REQUEUE, 1, -1L, f + 1));
    say("requeue odd", syscall(SYS_futex, f, FUTEX_REQUEUE, 1, 1L, (char *)f + 1));
    say("requeue bad", syscall(SYS_futex, f, FUTEX_REQUEUE, 1, 1L, 4096));
    say("wake op", syscall(SYS_futex, f, FUTEX_WAKE_OP, 1, 1L, f + 1, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
    printf("%d\n", f[1]);
    say("wake op bad", syscall(SYS_futex, f, FUTEX_WAKE_OP, 1, 1L, f + 1, 0x70000000 | 0x0f000000));
    say("wake 0", syscall(SYS_futex, f, FUTEX_WAKE, 0));
    say("unlock pi", syscall(SYS_futex, f, FUTEX_UNLOCK_PI, 0));
    say("robust bad", syscall(SYS_set_robust_list, f, 5));
    void *h;
    long l;
    say("get robust", syscall(SYS_get_robust_list, 1 << 21, &h, &l));
}

static void
names(void)
{
    char b[200];
    socklen_t n;
    int u = socket(AF_UNIX, SOCK_STREAM, 0), i = socket(AF_INET, SOCK_STREAM, 0), v = 1;
    n = 200;
    say("getsockname", getsockname(u, (void *)b, &n));
    printf("%d\n", n);
    n = 0;
    say("zero", getsockname(i, (void *)b, &n));
    printf("%d\n", n);
    n = -1;
    say("negative", getsockname(i, (void *)b, &n));
    n = 4;
    say("short", getsockname(i, (void *)b, &n));
    printf("%d\n", n);
    say("null len", getsockname(i, (void *)b, 0));
    n = 16;
    say("null", getsockname(i, 0, &n));
    say("not", getsockname(0, (void *)b, &n));
    say("none", getsockname(-1, (void *)b, &n));
    say("peer", getpeername(u, (void *)b, &n));
    for (int l = 0; l < 3; l++) {
        int lev[] = {SOL_SOCKET, 6, 6};
        for (int o = 200; o < 204; o++) {
            n = 4;
            printf("%d %d: ", lev[l], o);
            say("set", setsockopt(i, lev[l], o, &v, 4));
            say("get", getsockopt(i, lev[l], o, &v, &n));
        }
    }
    say("level", setsockopt(i, 999, 1, &v, 4));
    int sp[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sp);
    say("flags send", send(sp[0], "x", 1, 0x40000000));
    say("flags recv", recv(sp[1], b, 1, 0x100000));
    socketpair(AF_UNIX, SOCK_DGRAM, 0, sp);
    say("oob dgram", send(sp[0], "x", 1, MSG_OOB));
    say("oob recv", recv(sp[1], b, 1, MSG_OOB | MSG_DONTWAIT));
    say("socket flags", socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
    say("accept flags", accept4(u, 0, 0, 1));
    say("mmsg flags", syscall(SYS_recvmmsg, sp[1], b, 0, 0x80000000, 0));
    say("sendmsg cmsg compat", syscall(SYS_sendmsg, sp[0], b, 0x80000000));
}

static void
segv(int s, siginfo_t *i, void *u)
{
    static const char m[] = "SIGSEGV handler on its stack\n";
    write(1, m, sizeof m - 1);
    _exit(i->si_code == SI_KERNEL ? 21 : 22);
}

static void
frame(void)
{
    for (int how = 0; how < 2; how++) {
        int p = fork(), st;
        if (!p) {
            static char alt[65536];
            stack_t ss = {alt, 0, sizeof alt};
            sigaltstack(&ss, 0);
            struct sigaction a = {.sa_sigaction = segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
            sigaction(SIGSEGV, &a, 0);
            a.sa_flags = SA_SIGINFO;
            sigaction(SIGUSR1, &a, 0);
            if (how) {
                sigset_t m;
                sigemptyset(&m);
                sigaddset(&m, SIGSEGV);
                sigprocmask(SIG_BLOCK, &m, 0);
            }
            long pid = getpid();
            asm volatile("mov %%rsp, %%rbx; mov $4096, %%rsp; syscall; mov %%rbx, %%rsp" ::"a"(SYS_kill), "D"(pid),
                         "S"(SIGUSR1)
                         : "rbx", "rcx", "r11", "memory");
            _exit(5);
        }
        waitpid(p, &st, 0);
        printf("frame %x\n", st);
    }
}

/* A packet of which a part cannot be read does not go out, whichever call sends it. */
static void
torn_packets(void)
{
    char *b = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), c;
    struct iovec parts[] = {{b, 10}, {b + 4090, 10}};
    int types[] = {SOCK_DGRAM, SOCK_SEQPACKET}, p[2];

    munmap(b + 4096, 4096);
    for (int k = 0; k < 2; k++) {
        socketpair(AF_UNIX, types[k] | SOCK_NONBLOCK, 0, p);
        printf("torn: write %s", write(p[0], b, 8192) < 0 ? strerrorname_np(errno) : "done");
        printf(" writev %s", writev(p[0], parts, 2) < 0 ? strerrorname_np(errno) : "done");
        printf(" send %s", send(p[0], b, 8192, 0) < 0 ? strerrorname_np(errno) : "done");
        printf(" read %s\n", read(p[1], &c, 1) < 0 ? strerrorname_np(errno) : "some");
        close(p[0]);
        close(p[1]);
    }
}

int
main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    unlink("/tmp/w-d/x");
    unlink("/tmp/w-d/y");
    locks();
    seeks(open("/tmp/w-s", O_RDWR | O_CREAT | O_TRUNC, 0600), "file");
    seeks(memfd_create("m", 0), "memfd");
    printf("-\n");
    printf("- mem\n");
    memory();
    inotifies();
    exclusives();
    mapped();
    printf("- timers\n");
    timers();
    pending();
    priorities();
    printf("- futex\n");
    futexes();
    printf("- names\n");
    names();
    frame();
    torn_packets();
    unlink("/tmp/w-l");
    unlink("/tmp/w-m");
    unlink("/tmp/w-s");
    return 0;
}
