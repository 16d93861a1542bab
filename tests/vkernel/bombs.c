/* Guests that make as many as they can of each thing that a kernel keeps, or as much work for the host's kernel. Each
 * runs twice in a process of its own, until it gets an error, is killed at the limit of memory, or has had its time.
 * Then everything that it had must be free again, and another process of the container must have been able to work all
 * the time. The last line is "survived".
 *
 * The arguments are one bomb's name, and "for-ever" where it is to go on, again and again, without anybody who looks.
 * "names" lists the bombs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, SECONDS = 2 };

/* The other process gets its turn among as many as --pids allows, and the machine may be busy. */
#define WAIT 1.0

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double bomb_end;

static int
in_time(void)
{
    return now() < bomb_end;
}

static long
number_in(const char *path)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    close(fd);
    return n > 0 ? strtol(text, NULL, 10) : -1;
}

/* --- the bombs: they return when there is no more --- */

static void
heap(void)
{
    char *p;

    while (in_time() && (p = malloc(MIB)))
        memset(p, 1, MIB);
}

static void
files(void)
{
    static char block[50000];
    char name[64];
    int fd;

    chdir("/tmp");
    mkdir("bomb", 0700);
    chdir("bomb");
    for (int k = 0; in_time(); k++) {
        sprintf(name, "%d", k);
        fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || write(fd, block, sizeof block) < 0)
            return;
        close(fd);
    }
}

static void
pipes(void)
{
    static char block[65536];
    int ends[2];

    while (in_time() && pipe2(ends, O_NONBLOCK) == 0)
        while (write(ends[1], block, sizeof block) > 0)
            ;
}

static void
sockets(void)
{
    static char block[60000];
    int ends[2];

    while (in_time() && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0)
        while (write(ends[0], block, sizeof block) > 0)
            ;
}

/* Descriptors that are nobody's: in messages, in sockets that lie in messages themselves. */
static void
in_flight(void)
{
    char space[CMSG_SPACE(2 * sizeof(int))] = {0}, byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int a[2], b[2];

    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof a)};
    while (in_time() && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, a) == 0 &&
           socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, b) == 0) {
        memcpy(CMSG_DATA(c), a, sizeof a);
        if (sendmsg(b[0], &m, 0) < 0)
            return;
        memcpy(CMSG_DATA(c), b, sizeof b);
        if (sendmsg(a[0], &m, 0) < 0)
            return;
        for (int k = 0; k < 2; k++) {
            close(a[k]);
            close(b[k]);
        }
    }
}

static void
epolls(void)
{
    int event = eventfd(0, 0), e;
    struct epoll_event ev = {.events = EPOLLIN};

    while (in_time() && (e = epoll_create1(0)) >= 0)
        for (int fd = 0; fd < e; fd++)
            epoll_ctl(e, EPOLL_CTL_ADD, fd == 1 ? event : fd, &ev);
}

static void
eventfds(void)
{
    while (in_time() && eventfd(0, 0) >= 0)
        ;
}

static void
timers(void)
{
    struct itimerspec soon = {{0, 1000000}, {0, 1000000}};
    timer_t t;

    signal(SIGALRM, SIG_IGN);
    for (int fd; in_time() && (fd = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0;)
        timerfd_settime(fd, 0, &soon, NULL);
    while (in_time() && timer_create(CLOCK_MONOTONIC, NULL, &t) == 0)
        timer_settime(t, 0, &soon, NULL);
}

static void
inotifies(void)
{
    char name[64];
    int fd;

    mkdir("/tmp/watched", 0700);
    chdir("/tmp/watched");
    while (in_time() && (fd = inotify_init()) >= 0)
        inotify_add_watch(fd, ".", IN_ALL_EVENTS);
    for (int k = 0; in_time(); k++) {
        sprintf(name, "%d", k);
        close(open(name, O_CREAT | O_WRONLY, 0600));
        unlink(name);
    }
}

static void
ptys(void)
{
    static char block[4096];
    int fd;

    while (in_time() && (fd = open("/dev/ptmx", O_RDWR | O_NONBLOCK)) >= 0)
        while (in_time() && write(fd, block, sizeof block) > 0)
            ;
}

static void
mappings(void)
{
    for (int k = 0; in_time(); k++)
        if (mmap(NULL, 4096, k & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
            MAP_FAILED)
            return;
}

static void
signals(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (int k = 0; k < 1000000 && in_time(); k++)
        sigqueue(getpid(), SIGRTMIN + k % 20, (union sigval){.sival_int = k});
}

static void
directories(void)
{
    chdir("/tmp");
    while (in_time() && mkdir("d", 0700) == 0 && chdir("d") == 0)
        ;
}

static void
symlinks(void)
{
    static char target[4000];
    char name[64];

    memset(target, 'x', sizeof target - 1);
    mkdir("/tmp/links", 0700);
    chdir("/tmp/links");
    for (int k = 0; in_time(); k++) {
        sprintf(name, "%d", k);
        if (symlink(target, name) < 0)
            return;
    }
}

static void
forks(void)
{
    while (in_time())
        if (fork() < 0)
            usleep(1000);
}

/* Never gives way: no system call but the one for time. */
static void
spinner(void)
{
    for (volatile unsigned long k = 0; k < 200000000ul; k++)
        if (k % 1000000 == 0 && !in_time())
            return;
}

/* Calls with all the bytes and vectors that they take. */
static void
long_copies(void)
{
    static struct iovec iov[1024];
    size_t size = 64 * MIB;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int in = open("/dev/zero", O_RDONLY), out = open("/dev/null", O_WRONLY);

    for (int k = 0; k < 1024; k++)
        iov[k] = (struct iovec){p, size};
    while (in_time()) {
        readv(in, iov, 30);
        writev(out, iov, 30);
    }
}

/* Pages that come and go. */
static void
zaps(void)
{
    while (in_time()) {
        char *p = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

        for (int k = 0; k < 16; k++) {
            madvise(p, 32 * MIB, MADV_DONTNEED);
            for (size_t at = 0; at < 32 * MIB; at += 4096)
                p[at] = 1;
        }
        munmap(p, 32 * MIB);
    }
}

/* All that the bus to the memory carries. */
static void
bandwidth(void)
{
    char *p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    while (in_time())
        memmove(p, p + 32 * MIB, 32 * MIB);
}

static volatile char *guarded;

static void
on_guarded(int sig)
{
    mprotect((void *)guarded, 4096, PROT_READ | PROT_WRITE);
}

static void
faults(void)
{
    guarded = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, on_guarded);
    while (in_time()) {
        *guarded = 1;
        mprotect((void *)guarded, 4096, PROT_NONE);
    }
}

/* To a volume, if there is one. */
static void
writes(void)
{
    static char block[MIB];
    int fd = open(access("/v", W_OK) == 0 ? "/v/bomb" : "/tmp/written", O_RDWR | O_CREAT | O_TRUNC, 0600);

    while (in_time()) {
        for (int k = 0; k < 32; k++)
            pwrite(fd, block, sizeof block, (off_t)k * MIB);
        fsync(fd);
        ftruncate(fd, 0);
    }
}

static const struct {
    const char *name;
    void (*f)(void);
} bombs[] = {{"heap", heap},
             {"files", files},
             {"pipes", pipes},
             {"sockets", sockets},
             {"in-flight", in_flight},
             {"epoll", epolls},
             {"eventfd", eventfds},
             {"timers", timers},
             {"inotify", inotifies},
             {"pty", ptys},
             {"mappings", mappings},
             {"signals", signals},
             {"directories", directories},
             {"symlinks", symlinks},
             {"forks", forks},
             {"spinner", spinner},
             {"long-copies", long_copies},
             {"zaps", zaps},
             {"bandwidth", bandwidth},
             {"faults", faults},
             {"writes", writes}};

/* --- who looks --- */

/* What is below /tmp, however deep: a folder's own names first, without recursion. */
static void
clean(void)
{
    if (fork() == 0) {
        chdir("/tmp");
        for (int depth = 0; chdir("d") == 0; depth++)
            ;
        while (chdir("..") == 0 && rmdir("d") == 0)
            ;
        _exit(0);
    }
    wait(NULL);
    static const char *const folders[] = {"bomb", "watched", "links"};
    for (unsigned f = 0; f < 3; f++) {
        char name[64];

        chdir("/tmp");
        if (chdir(folders[f]) < 0)
            continue;
        for (int k = 0, none = 0; none < 100; k++) {
            sprintf(name, "%d", k);
            none = unlink(name) < 0 ? none + 1 : 0;
        }
        chdir("/tmp");
        rmdir(folders[f]);
    }
    chdir("/");
}

static int
run(int which)
{
    struct rlimit most = {100000, 100000};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY);

        write(fd, "1000", 4);
        close(fd);
        setpgid(0, 0);
        setrlimit(RLIMIT_NOFILE, &most);
        bomb_end = now() + SECONDS;
        bombs[which].f();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    kill(-pid, SIGKILL);
    for (int k = 0; k < 1000 && number_in("/sys/fs/cgroup/pids.current") > 2; k++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        usleep(5000);
    }
    clean();
    usleep(50000);
    return status;
}

/* The longest time that a process which wants to work each millisecond had to wait for it. */
static void
sibling(volatile double *worst)
{
    double last = now();

    for (;;) {
        double t;

        usleep(1000);
        t = now();
        if (t - last > *worst)
            *worst = t - last;
        last = t;
    }
}

int
main(int count, char **arguments)
{
    int failed = 0;
    volatile double *worst = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t other;

    for (unsigned k = 0; count > 1 && k < sizeof bombs / sizeof bombs[0]; k++) {
        if (strcmp(arguments[1], "names") == 0)
            puts(bombs[k].name);
        while (count > 2 && strcmp(arguments[1], bombs[k].name) == 0)
            run((int)k);
    }
    if (count > 1 && strcmp(arguments[1], "names") == 0)
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    other = fork();
    if (other == 0)
        sibling(worst);
    for (unsigned k = 0; k < sizeof bombs / sizeof bombs[0]; k++) {
        long before, first, second, open_before, open_after;
        int status;

        if (count > 1 && strcmp(arguments[1], bombs[k].name) != 0)
            continue;
        before = number_in("/sys/fs/cgroup/memory.current");
        open_before = number_in("/proc/sys/fs/file-nr");
        *worst = 0;
        status = run((int)k);
        first = number_in("/sys/fs/cgroup/memory.current");
        run((int)k);
        second = number_in("/sys/fs/cgroup/memory.current");
        open_after = number_in("/proc/sys/fs/file-nr");
        printf("%s: %s, memory %ld KiB at first, %+ld, then %+ld, files %+ld, processes %ld, "
               "the other one waited %.0f ms\n",
               bombs[k].name, WIFSIGNALED(status) ? "killed" : "ended", before >> 10, (first - before) / 1024,
               (second - first) / 1024, open_after - open_before, number_in("/sys/fs/cgroup/pids.current"),
               *worst * 1e3);
        usleep(200000); /* the host's side is looked at now */
        failed += first - before > 12 * MIB || second - first > 3 * MIB || open_after > open_before + 16 ||
                  number_in("/sys/fs/cgroup/pids.current") != 2 || kill(other, 0) < 0 || *worst == 0 || *worst > WAIT;
    }
    puts(failed ? "failed" : "survived");
    return failed != 0;
}
