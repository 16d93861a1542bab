/* Limits of resources (setrlimit) that are held: which call is refused, with which error, and which signal tells of it.
 * What RLIMIT_NPROC and RLIMIT_MEMLOCK limit is a user's, without capabilities. */
#include <pthread.h>

#include "case.h"

enum { SOMEBODY = 4321, KILOBYTE = 1000, MEGABYTE = 1 << 20 };
static volatile int told;
static char bytes[3 * KILOBYTE];

static void
limit(int which, rlim_t soft, rlim_t hard)
{
    if (setrlimit(which, &(struct rlimit){soft, hard}) < 0)
        say("setrlimit %d: %s", which, strerrorname_np(errno));
}

static void
on_too_large(int sig, siginfo_t *info, void *context)
{
    told++;
    say("signal %d code %d from me %d", sig, info->si_code, info->si_pid == getpid());
}

static int
limited_file(void)
{
    struct sigaction sa = {.sa_sigaction = on_too_large, .sa_flags = SA_SIGINFO};

    sigaction(SIGXFSZ, &sa, NULL);
    limit(RLIMIT_FSIZE, KILOBYTE, RLIM_INFINITY);
    return make_file("f", "");
}

static void *
memory(size_t size, int prot)
{
    return mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

CASE(fsize_write)
{
    int fd = limited_file();

    SHOW(write(fd, bytes, 2 * KILOBYTE));
    SHOW(write(fd, "x", 1));
    SHOW(write(fd, bytes, 0));
    SHOW(pwrite(fd, bytes, 10, KILOBYTE - 5));
    SHOW(pwrite(fd, bytes, 10, KILOBYTE));
}

CASE(fsize_writev_in_the_middle)
{
    int fd = limited_file();
    struct iovec v[2] = {{bytes, 600}, {bytes, 600}};

    SHOW(writev(fd, v, 2));
    SHOW(writev(fd, v, 2));
}

CASE(fsize_truncate)
{
    int fd = limited_file();

    SHOW(ftruncate(fd, KILOBYTE + 1));
    SHOW(ftruncate(fd, KILOBYTE));
    SHOW(truncate("f", 2 * KILOBYTE));
}

CASE(fsize_fallocate)
{
    int fd = limited_file();

    SHOW(fallocate(fd, 0, 0, 2 * KILOBYTE));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    SHOW(posix_fallocate(fd, 0, KILOBYTE));
}

CASE(fsize_of_a_larger_file)
{
    int fd = make_file("f", "");

    ftruncate(fd, 5 * KILOBYTE);
    limited_file();
    fd = open("f", O_RDWR);
    ftruncate(fd, 0);
    limit(RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY);
    ftruncate(fd, 5 * KILOBYTE);
    limit(RLIMIT_FSIZE, KILOBYTE, RLIM_INFINITY);
    SHOW(pwrite(fd, "x", 1, 3 * KILOBYTE));
    SHOW(ftruncate(fd, 4 * KILOBYTE));
    SHOW(pwrite(fd, "x", 1, KILOBYTE - 1));
}

CASE(fsize_copies)
{
    int from = make_file("from", ""), to;

    write(from, bytes, 2 * KILOBYTE);
    to = limited_file();
    SHOW(copy_file_range(from, &(off_t){0}, to, &(off_t){500}, KILOBYTE, 0));
    SHOW(copy_file_range(from, &(off_t){0}, to, &(off_t){KILOBYTE}, 100, 0));
}

CASE(fsize_is_for_files_only)
{
    int p[2];

    limited_file();
    pipe(p);
    SHOW(write(p[1], bytes, 2 * KILOBYTE));
    SHOW(write(open("/dev/null", O_WRONLY), bytes, 2 * KILOBYTE));
    SHOW(write(memfd_create("m", 0), bytes, 2 * KILOBYTE));
}

CASE(fsize_kills)
{
    int fd = limited_file();

    signal(SIGXFSZ, SIG_DFL);
    pwrite(fd, "x", 1, KILOBYTE);
}

CASE(fsize_ignored)
{
    int fd = limited_file();

    signal(SIGXFSZ, SIG_IGN);
    SHOW(pwrite(fd, "x", 1, KILOBYTE));
}

static int
short_life(void *unused)
{
    sleep_ms(100);
    return 0;
}

CASE(nproc_processes)
{
    int n = 0;

    become(SOMEBODY);
    limit(RLIMIT_NPROC, 3, 3);
    while (n < 10 && child(short_life, NULL) > 0)
        n++;
    say("%d more, then %s", n, strerrorname_np(errno));
}

static void *
idle(void *unused)
{
    pause();
    return NULL;
}

CASE(nproc_threads)
{
    pthread_t t;
    int n = 0, r;

    become(SOMEBODY + 1);
    limit(RLIMIT_NPROC, 3, 3);
    while (n < 10 && (r = pthread_create(&t, NULL, idle, NULL)) == 0)
        n++;
    say("%d more, then %s", n, strerrorname_np(r));
}

CASE(nproc_of_root)
{
    limit(RLIMIT_NPROC, 1, 1);
    say_end("child", child(short_life, NULL));
}

/* setuid succeeds beyond the limit, and exec fails. What counts is what the user has beside the process. */
CASE(nproc_exec_after_setuid)
{
    char *const arguments[] = {"nothing", NULL};

    limit(RLIMIT_NPROC, 0, 0);
    SHOW(setresuid(SOMEBODY + 2, SOMEBODY + 2, SOMEBODY + 2));
    SHOW(execv("/proc/self/nothing", arguments));
    SHOW(execv("/proc/self/nothing", arguments));
}

CASE(nproc_exec_within)
{
    char *const arguments[] = {"nothing", NULL};
    pid_t other;

    limit(RLIMIT_NPROC, 1, 1);
    other = fork();
    if (other == 0) {
        setresuid(SOMEBODY + 3, SOMEBODY + 3, SOMEBODY + 3);
        pause();
    }
    sleep_ms(100);
    SHOW(setresuid(SOMEBODY + 3, SOMEBODY + 3, SOMEBODY + 3));
    SHOW(execv("/proc/self/nothing", arguments));
    kill(other, SIGKILL);
}

CASE(data_brk)
{
    limit(RLIMIT_DATA, 20 * MEGABYTE, 20 * MEGABYTE);
    SHOW(sbrk(30 * MEGABYTE) == (void *)-1);
    OK(sbrk(MEGABYTE) != (void *)-1);
}

CASE(data_mappings)
{
    char *m;

    limit(RLIMIT_DATA, 20 * MEGABYTE, 20 * MEGABYTE);
    SHOW(memory(30 * MEGABYTE, PROT_READ | PROT_WRITE) == MAP_FAILED);
    SHOW(mmap(NULL, 30 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    SHOW((m = memory(30 * MEGABYTE, PROT_READ)) == MAP_FAILED);
    SHOW(mprotect(m, 30 * MEGABYTE, PROT_READ | PROT_WRITE));
    SHOW(mprotect(m, MEGABYTE, PROT_READ | PROT_WRITE));
    m = memory(4 * MEGABYTE, PROT_READ | PROT_WRITE);
    SHOW(mremap(m, 4 * MEGABYTE, 30 * MEGABYTE, MREMAP_MAYMOVE) == MAP_FAILED);
}

CASE(as_mappings)
{
    char *m = memory(MEGABYTE, PROT_READ);

    limit(RLIMIT_AS, 100 * MEGABYTE, 100 * MEGABYTE);
    SHOW(memory(200 * MEGABYTE, PROT_NONE) == MAP_FAILED);
    SHOW(sbrk(200 * MEGABYTE) == (void *)-1);
    SHOW(mremap(m, MEGABYTE, 200 * MEGABYTE, MREMAP_MAYMOVE) == MAP_FAILED);
    SHOW(mmap(m, MEGABYTE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m);
}

CASE(memlock_mlock)
{
    char *m = memory(MEGABYTE, PROT_READ | PROT_WRITE);

    become(SOMEBODY);
    limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10);
    SHOW(mlock(m, MEGABYTE));
    SHOW(mlock(m, 64 << 10));
    SHOW(mlock(m, 64 << 10));
    SHOW(mlock(m + (64 << 10), 1));
    SHOW(munlock(m, 64 << 10));
    SHOW(mlock(m + (64 << 10), 1));
    SHOW(mlockall(MCL_CURRENT));
}

CASE(memlock_future)
{
    char *m;

    become(SOMEBODY);
    limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10);
    SHOW(mlockall(MCL_FUTURE));
    SHOW(memory(MEGABYTE, PROT_READ | PROT_WRITE) == MAP_FAILED);
    SHOW(sbrk(MEGABYTE) == (void *)-1);
    SHOW((m = memory(4096, PROT_READ | PROT_WRITE)) == MAP_FAILED);
    SHOW(mremap(m, 4096, MEGABYTE, MREMAP_MAYMOVE) == MAP_FAILED);
}

CASE(memlock_none)
{
    char *m = memory(MEGABYTE, PROT_READ | PROT_WRITE);

    become(SOMEBODY);
    limit(RLIMIT_MEMLOCK, 0, 0);
    SHOW(mlock(m, 4096));
    SHOW(mlockall(MCL_FUTURE));
    SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
}

CASE(sigpending_queue)
{
    union sigval value = {1};
    sigset_t set;

    become(SOMEBODY + 4);
    limit(RLIMIT_SIGPENDING, 2, 2);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    SHOW(sigqueue(getpid(), SIGRTMIN, value));
    SHOW(sigqueue(getpid(), SIGRTMIN, value));
    SHOW(sigqueue(getpid(), SIGRTMIN, value));
    SHOW(kill(getpid(), SIGUSR1));
    SHOW(sigqueue(getpid(), SIGUSR1, value));
    SHOW(syscall(SYS_tgkill, getpid(), getpid(), SIGRTMIN));
}

CASE(sigpending_timers)
{
    timer_t t;

    become(SOMEBODY + 5);
    limit(RLIMIT_SIGPENDING, 2, 2);
    SHOW(timer_create(CLOCK_MONOTONIC, NULL, &t));
    SHOW(timer_create(CLOCK_MONOTONIC, NULL, &t));
    SHOW(timer_create(CLOCK_MONOTONIC, NULL, &t));
    SHOW(timer_delete(t));
    SHOW(timer_create(CLOCK_MONOTONIC, NULL, &t));
}

CASE(nice_down)
{
    limit(RLIMIT_NICE, 25, 25);
    become(SOMEBODY);
    SHOW(setpriority(PRIO_PROCESS, 0, -6));
    SHOW(setpriority(PRIO_PROCESS, 0, -5));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 10));
    SHOW(setpriority(PRIO_PROCESS, 0, 3));
}

CASE(rtprio_without)
{
    struct sched_param p = {1};

    limit(RLIMIT_RTPRIO, 0, 0);
    become(SOMEBODY);
    SHOW(sched_setscheduler(0, SCHED_FIFO, &p));
    SHOW(sched_setscheduler(0, SCHED_RR, &p));
}

CASE(cpu_ignored_then_killed)
{
    signal(SIGXCPU, SIG_IGN);
    limit(RLIMIT_CPU, 0, 1);
    for (;;)
        ;
}

static volatile char *
deep(int pages)
{
    volatile char page[4096];

    page[0] = (char)pages;
    return pages ? deep(pages - 1) + page[0] * 0 : 0;
}

static int
go_deep(void *pages)
{
    deep((int)(intptr_t)pages);
    return 0;
}

/* The limit is the stack's of the program that is executed next. */
CASE(stack_of_the_next_program)
{
    char *const arguments[] = {"cases", "stack_as_executed", NULL};

    if (getenv("EXECUTED"))
        return;
    setenv("EXECUTED", "1", 1);
    limit(RLIMIT_STACK, 256 << 10, RLIM_INFINITY);
    execv("/proc/self/exe", arguments);
}

CASE(stack_as_executed)
{
    struct rlimit r;

    getrlimit(RLIMIT_STACK, &r);
    if (r.rlim_cur != 256 << 10)
        return;
    say_end("40 pages", child(go_deep, (void *)40));
    say_end("100 pages", child(go_deep, (void *)100));
    limit(RLIMIT_STACK, MEGABYTE, RLIM_INFINITY);
    say_end("100 pages with more", child(go_deep, (void *)100));
    say_end("300 pages with more", child(go_deep, (void *)300));
}

CASE(stack_and_arguments)
{
    static char large[100 << 10];
    char *const arguments[] = {"nothing", large, large, NULL};

    memset(large, 'x', sizeof large - 1);
    SHOW(execv("/proc/self/nothing", arguments));
    limit(RLIMIT_STACK, 256 << 10, RLIM_INFINITY);
    SHOW(execv("/proc/self/exe", arguments));
    large[(60 << 10)] = 0;
    SHOW(execv("/proc/self/nothing", arguments));
}

CASE(setting_limits)
{
    struct rlimit r;

    become(SOMEBODY);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_max++;
    SHOW(setrlimit(RLIMIT_NOFILE, &r));
    r.rlim_max--;
    r.rlim_cur = r.rlim_max + 1;
    SHOW(setrlimit(RLIMIT_NOFILE, &r));
    SHOW(setrlimit(99, &r));
    SHOW(getrlimit(99, &r));
    SHOW(syscall(SYS_setrlimit, RLIMIT_NOFILE, 8));
    SHOW(prlimit(99999999, RLIMIT_NOFILE, NULL, &r));
    SHOW(prlimit(getppid(), RLIMIT_NOFILE, NULL, &r));
}
