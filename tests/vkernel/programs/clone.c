/* What clone and clone3 refuse, what they share, and who waits for whom. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define INTO_CGROUP   0x200000000ull
#define CLEAR_SIGHAND 0x100000000ull
#define DETACHED      0x00400000
#define THREAD_FLAGS  (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM)

struct arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup,
        more;
};

static char stack[2][65536] __attribute__((aligned(16)));
static volatile int seen;

static void
legacy(const char *what, unsigned long flags, void *parent_tid)
{
    long r = syscall(SYS_clone, flags, NULL, parent_tid, NULL, 0);

    if (r == 0)
        _exit(0);
    printf("%s: %s\n", what, r < 0 ? strerror(errno) : "made");
    if (r > 0)
        waitpid((pid_t)r, NULL, __WALL);
}

static void
third(const char *what, struct arguments a, size_t size)
{
    long r = syscall(SYS_clone3, &a, size);

    if (r == 0)
        _exit(0);
    printf("%s: %s\n", what, r < 0 ? strerror(errno) : "made");
    if (r > 0)
        waitpid((pid_t)r, NULL, __WALL);
}

static int
child_of_flags(void *argument)
{
    signal(SIGUSR2, SIG_IGN);
    if (argument)
        execl("/proc/self/exe", "clone", "exec", NULL);
    syscall(SYS_exit, 3);
    return 0;
}

static int
slow_thread(void *argument)
{
    usleep(50000);
    seen = 1;
    syscall(SYS_exit, 0);
    return 0;
}

static int
sleeping_thread(void *argument)
{
    for (;;)
        pause();
}

static void
refusals(void)
{
    static const int wanted[2] = {0, 0};
    int fd, tid;
    struct arguments ok = {.exit_signal = SIGCHLD};
#define WITH(...) ((struct arguments){.exit_signal = SIGCHLD, __VA_ARGS__})

    legacy("thread alone", CLONE_THREAD, NULL);
    legacy("sighand alone", CLONE_SIGHAND | SIGCHLD, NULL);
    legacy("thread without sighand", CLONE_THREAD | CLONE_VM, NULL);
    legacy("fs and newns", CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL);
    legacy("pidfd detached", CLONE_PIDFD | DETACHED | SIGCHLD, &fd);
    legacy("detached", DETACHED | SIGCHLD, NULL);
    legacy("pidfd and parent tid", CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, &fd);
    legacy("pidfd nowhere", CLONE_PIDFD | SIGCHLD, (void *)8);
    legacy("parent tid nowhere", CLONE_PARENT_SETTID | SIGCHLD, (void *)8);
    legacy("exit signal 100", 100, NULL);
    legacy("exit signal 255", 255, NULL);
    legacy("tls outside", CLONE_SETTLS | SIGCHLD, NULL);
    third("plain", ok, 64);
    third("short", ok, 63);
    third("long, zero", ok, sizeof ok);
    third("long, more", WITH(.more = 1), sizeof ok);
    third("longer than a page", ok, 5000);
    third("csignal in flags", WITH(.flags = SIGCHLD), 88);
    third("detached", WITH(.flags = DETACHED), 88);
    third("unknown flag", WITH(.flags = 1ull << 40), 88);
    third("exit signal 65", (struct arguments){.exit_signal = 65}, 88);
    third("exit signal large", (struct arguments){.exit_signal = 1ull << 32 | SIGCHLD}, 88);
    third("stack without size", WITH(.stack = (uint64_t)(uintptr_t)stack), 88);
    third("size without stack", WITH(.stack_size = 4096), 88);
    third("stack outside", WITH(.stack = 1ull << 63, .stack_size = 4096), 88);
    third("parent with exit signal", WITH(.flags = CLONE_PARENT), 88);
    third("set_tid without array", WITH(.set_tid_size = 1), 88);
    third("set_tid without size", WITH(.set_tid = (uint64_t)(uintptr_t)wanted), 88);
    third("set_tid too deep", WITH(.set_tid = (uint64_t)(uintptr_t)wanted, .set_tid_size = 33), 88);
    third("set_tid nowhere", WITH(.set_tid = 8, .set_tid_size = 1), 88);
    third("set_tid 0", WITH(.set_tid = (uint64_t)(uintptr_t)wanted, .set_tid_size = 1), 88);
    third("both sighands", WITH(.flags = CLONE_VM | CLONE_SIGHAND | CLEAR_SIGHAND), 88);
    third("cleared sighand", WITH(.flags = CLEAR_SIGHAND), 88);
    third("cgroup, short", WITH(.flags = INTO_CGROUP, .cgroup = 0), 80);
    third("cgroup, large", WITH(.flags = INTO_CGROUP, .cgroup = 1ull << 31), 88);
    third("cgroup, not one", WITH(.flags = INTO_CGROUP, .cgroup = 0), 88);
    third("cgroup, closed", WITH(.flags = INTO_CGROUP, .cgroup = 1000), 88);
    third("pidfd and parent tid in one",
          WITH(.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (uint64_t)(uintptr_t)&fd,
               .parent_tid = (uint64_t)(uintptr_t)&fd),
          88);
    third("pidfd and parent tid",
          WITH(.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (uint64_t)(uintptr_t)&fd,
               .parent_tid = (uint64_t)(uintptr_t)&tid),
          88);
    printf("pidfd made %d closes on exec %d\n", fd > 2, fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
}

static int
disposition(void)
{
    struct sigaction sa;

    sigaction(SIGUSR2, NULL, &sa);
    return sa.sa_handler == SIG_IGN;
}

static void
sharing(void)
{
    int status, pid, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    signal(SIGUSR2, SIG_DFL);
    pid = clone(child_of_flags, stack[0] + 65000, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);
    waitpid(pid, &status, 0);
    printf("shared handlers: status %d ignored %d\n", WEXITSTATUS(status), disposition());
    signal(SIGUSR2, SIG_DFL);
    pid = clone(child_of_flags, stack[0] + 65000, CLONE_VM | SIGCHLD, NULL);
    waitpid(pid, &status, 0);
    printf("own handlers: status %d ignored %d\n", WEXITSTATUS(status), disposition());
    /* exec makes descriptors and handlers its own. */
    pid = clone(child_of_flags, stack[0] + 65000, CLONE_VM | CLONE_SIGHAND | CLONE_FILES | SIGCHLD, "exec");
    waitpid(pid, &status, 0);
    printf("after exec: status %d ignored %d open %d\n", WEXITSTATUS(status), disposition(), fcntl(fd, F_GETFD));
    close(fd);
}

/* A parent that is killed while it waits for vfork's child, and a thread that is waited for like one. */
static void
vforks(void)
{
    int status, p[2], pid;
    char c = 0;

    if (pipe(p) < 0)
        return;
    pid = fork();
    if (pid == 0) {
        if (vfork() == 0) {
            if (write(p[1], "v", 1) != 1)
                _exit(9);
            usleep(100000);
            execl("/proc/self/exe", "clone", "late", NULL);
            _exit(9);
        }
        _exit(8);
    }
    printf("vfork child runs %d\n", (int)read(p[0], &c, 1));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(p[1]);
    printf("parent killed by %d, pipe ends %d\n", WTERMSIG(status), (int)read(p[0], &c, 1));
    close(p[0]);

    clone(slow_thread, stack[1] + 65000, THREAD_FLAGS | CLONE_VFORK, NULL);
    printf("thread waited for %d\n", seen);
    pid = fork();
    if (pid == 0) {
        /* Only an exit of the whole process ends this wait. */
        alarm(1);
        clone(sleeping_thread, stack[1] + 65000, THREAD_FLAGS | CLONE_VFORK, NULL);
        _exit(7);
    }
    usleep(50000);
    printf("still waiting %d", waitpid(pid, &status, WNOHANG));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    printf(" killed by %d\n", WTERMSIG(status));
}

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1)
        return disposition() ? 4 : 5;
    refusals();
    sharing();
    vforks();
    return 0;
}
