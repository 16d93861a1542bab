/* The edges of calls that the other programs use: mappings behind a file's end, limits of memory, what interrupts a
 * wait and what does not, record locks that meet, children of clone, what a fault's frame says. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096 };

#define SHOW(e)                                                                \
    do {                                                                       \
        long r_ = (long)(e);                                                   \
        printf("%s = %ld %s\n", #e, r_, r_ < 0 ? strerrorname_np(errno) : ""); \
    } while (0)

static sigjmp_buf jump;
static volatile int count, fault_signal, fault_code, fault_error;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    fault_signal = sig;
    fault_code = info->si_code;
    fault_error = (int)((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];
    siglongjmp(jump, 1);
}

static void
on_signal(int sig)
{
    count++;
}

static void
handle(int sig, void (*f)(int), int flags)
{
    struct sigaction sa = {.sa_handler = f, .sa_flags = flags};

    sigaction(sig, &sa, NULL);
}

/* Touches a byte; says what happened. */
static void
touch(const char *what, volatile char *p, bool write)
{
    if (sigsetjmp(jump, 1)) {
        printf("%s: signal %d code %d write %d\n", what, fault_signal, fault_code, (fault_error & 2) != 0);
        return;
    }
    if (write)
        *p = 'w';
    printf("%s: %d\n", what, *p);
}

static pid_t
signal_later(int sig)
{
    pid_t child = fork();

    if (child == 0) {
        usleep(30000);
        kill(getppid(), sig);
        _exit(0);
    }
    return child;
}

static void
behind_the_end(void)
{
    int fd = open("edges", O_CREAT | O_TRUNC | O_RDWR, 0600), zero = open("/dev/zero", O_RDWR);
    char *shared, *private, *view;

    SHOW(ftruncate(fd, 100));
    shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    touch("last page", shared + 200, true);
    touch("behind", shared + PAGE, true);
    touch("behind, private", private + PAGE, false);
    SHOW(pwrite(fd, "grown", 5, 2 * PAGE));
    touch("grown", shared + 2 * PAGE, false);
    touch("grown, private", private + 2 * PAGE, true);
    SHOW(pread(fd, shared + PAGE, 4, 2 * PAGE));
    touch("read into it", shared + PAGE, false);
    if (fork() == 0) {
        SHOW(ftruncate(fd, PAGE));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    touch("cut off", shared + PAGE, false);
    touch("cut off, private", private + 2 * PAGE, false);
    SHOW(mprotect(shared, 4 * PAGE, PROT_READ));
    touch("still behind", shared + PAGE, false);
    touch("read only", shared, true);
    view = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
    touch("/dev/zero, shared", view + PAGE, true);
    view = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    touch("/dev/zero, private", view + PAGE, true);
    unlink("edges");
}

static void
address_space_limit(void)
{
    struct rlimit old, r;
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    getrlimit(RLIMIT_AS, &old);
    r = (struct rlimit){200 << 20, old.rlim_max};
    SHOW(setrlimit(RLIMIT_AS, &r));
    SHOW(mmap(NULL, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    SHOW(mremap(p, PAGE, 300 << 20, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    SHOW(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
    setrlimit(RLIMIT_AS, &old);
}

static void
interrupted_futex(void)
{
    struct timespec ts;
    int word = 0, status;
    pid_t child;

    handle(SIGUSR1, on_signal, SA_RESTART);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += 2;
    child = signal_later(SIGUSR1);
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &ts, NULL, -1));
    waitpid(child, NULL, 0);
    child = fork();
    if (child == 0) { /* a stop is no interruption, and does not move the end */
        ts = (struct timespec){0, 150000000};
        SHOW(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0));
        fflush(stdout);
        _exit(0);
    }
    usleep(30000);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
}

/* A poll that finds something delivers nothing that only its mask lets in. */
static void
ready_and_pending(void)
{
    sigset_t blocked, none, pending;
    struct timespec second = {1, 0};
    struct pollfd p = {.events = POLLIN};
    int ends[2];

    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    if (pipe(ends) < 0 || write(ends[1], "x", 1) != 1)
        exit(1);
    p.fd = ends[0];
    count = 0;
    raise(SIGUSR1);
    SHOW(ppoll(&p, 1, &second, &none));
    sigpending(&pending);
    printf("handled %d pending %d\n", count, sigismember(&pending, SIGUSR1));
    p.events = 0;
    SHOW(ppoll(&p, 1, &second, &none));
    printf("handled %d\n", count);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}

static int
record_lock(int fd, int cmd, int type, off_t start, off_t length)
{
    struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    int r = fcntl(fd, cmd, &l);

    if (cmd == F_GETLK)
        printf("type %d start %d length %d\n", l.l_type, (int)l.l_start, (int)l.l_len);
    return r;
}

static void
record_locks(void)
{
    int fd = open("edges", O_CREAT | O_RDWR, 0600), ends[2], status;
    pid_t child;
    char c;

    SHOW(record_lock(fd, F_SETLK, F_WRLCK, 10, 10));
    SHOW(record_lock(fd, F_SETLK, F_WRLCK, 15, 10));
    SHOW(record_lock(fd, F_SETLK, F_WRLCK, 25, 5));
    if (fork() == 0) {
        SHOW(record_lock(fd, F_GETLK, F_RDLCK, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    if (pipe(ends) < 0)
        exit(1);
    child = fork();
    if (child == 0) {
        record_lock(fd, F_SETLK, F_WRLCK, 100, 1);
        if (write(ends[1], "x", 1) != 1)
            _exit(9);
        _exit(record_lock(fd, F_SETLKW, F_WRLCK, 10, 1) < 0);
    }
    if (read(ends[0], &c, 1) != 1)
        exit(1);
    usleep(30000);
    SHOW(record_lock(fd, F_SETLKW, F_WRLCK, 100, 1));
    SHOW(record_lock(fd, F_SETLK, F_UNLCK, 0, 0));
    waitpid(child, &status, 0);
    printf("the other got it %d\n", status == 0);
    unlink("edges");
}

static void
children(void)
{
    siginfo_t info;
    pid_t child = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    int status;

    if (child == 0)
        _exit(3);
    SHOW(waitpid(-1, &status, WNOHANG));
    SHOW(waitpid(child, &status, __WCLONE) == child);
    memset(&info, 0xff, sizeof info);
    SHOW(waitid(P_ALL, 0, &info, WEXITED));
    printf("siginfo %d %d\n", info.si_signo, info.si_pid);
    SHOW(setpgid(-1, 0));
}

/* Nobody writes to what runs, and what is written to does not run. */
static void
busy_text(char *self)
{
    char *argv[] = {"x", NULL}, target[64];
    int fd = open("edges", O_CREAT | O_WRONLY, 0755);

    SHOW(open(self, O_RDWR));
    SHOW(execv("edges", argv));
    close(fd);
    SHOW(execv("edges", argv));
    unlink("edges");
    snprintf(target, sizeof target, "/proc/self/fd/%d", eventfd(0, 0));
    target[readlink(target, target, sizeof target - 1)] = '\0';
    printf("%s\n", target);
    snprintf(target, sizeof target, "/proc/self/fd/%d", timerfd_create(CLOCK_MONOTONIC, 0));
    target[readlink(target, target, sizeof target - 1)] = '\0';
    printf("%s\n", target);
}

static void
two_lines(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave, n = 0;

    grantpt(master);
    unlockpt(master);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (write(master, "12\n345\n6", 8) != 8)
        exit(1);
    for (int tries = 0; tries < 200 && ioctl(slave, FIONREAD, &n) == 0 && n == 0; tries++)
        usleep(10000); /* Linux brings it there when it has time to */
    SHOW(ioctl(slave, FIONREAD, &n));
    printf("ready %d\n", n);
    SHOW(fcntl(slave, F_SETOWN, getpid()));
    printf("owner %d\n", fcntl(slave, F_GETOWN) == getpid());
}

static void
sealed(void)
{
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
    char *p;

    SHOW(ftruncate(fd, PAGE));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    SHOW(p == MAP_FAILED);
    SHOW(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
}

/* A file in a folder of another group's: its set-group-ID bit is nothing that the maker could give. */
static void
foreign_group(void)
{
    struct stat st;

    mkdir("edges.d", 0700);
    if (chown("edges.d", 0, 55) == 0)
        chmod("edges.d", 02777);
    if (fork() == 0) {
        if (setgid(9) < 0 || setuid(9) < 0)
            _exit(1);
        close(open("edges.d/f", O_CREAT | O_RDWR, 02755));
        stat("edges.d/f", &st);
        printf("mode %o group %d\n", st.st_mode, st.st_gid);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    unlink("edges.d/f");
    rmdir("edges.d");
}

static void
on_altstack(int sig, siginfo_t *info, void *context)
{
    printf("frame's flags %d\n", ((ucontext_t *)context)->uc_stack.ss_flags);
    if (sig == SIGUSR1)
        raise(SIGUSR2);
}

static void
nested_handlers(void)
{
    stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
    struct sigaction sa = {.sa_sigaction = on_altstack, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigaltstack(&ss, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    raise(SIGUSR1);
}

static void
overruns(void)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec its = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
    struct timespec zero = {0, 0};
    sigset_t set;
    siginfo_t info;
    timer_t timer;
    int made = 0;

    for (int i = 0; i < 5000; i++)
        made += timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0 && timer_delete(timer) == 0;
    printf("timers made %d\n", made);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    timer_create(CLOCK_MONOTONIC, &ev, &timer);
    timer_settime(timer, 0, &its, NULL);
    usleep(50000);
    SHOW(sigtimedwait(&set, &info, &zero) == SIGRTMIN);
    printf("overruns %d\n", info.si_overrun >= 10);
    timer_delete(timer);
}

int
main(int argc, char **argv)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    char folder[] = "/tmp/edges.XXXXXX"; /* its own: on Linux it may run several times at once */

    if (!mkdtemp(folder) || chmod(folder, 0755) < 0 || chdir(folder) < 0)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    behind_the_end();
    address_space_limit();
    interrupted_futex();
    ready_and_pending();
    record_locks();
    children();
    busy_text(argv[0]);
    two_lines();
    sealed();
    foreign_group();
    nested_handlers();
    overruns();
    return rmdir(folder) < 0;
}
