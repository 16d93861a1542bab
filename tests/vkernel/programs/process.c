/* Processes: exec and its errors, waiting, groups, ids, limits, prctl. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void
try_exec(const char *path)
{
    char *argv[] = {"x", NULL};

    execv(path, argv);
    printf("exec %s: %s\n", path, strerror(errno));
}

int
main(int argc, char **argv)
{
    char name[16], *child_argv[] = {"child", "a b", NULL};
    int status, fd, p[2];
    pid_t pid;
    siginfo_t info;
    struct rlimit r;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) {
        printf("child %s argc %d env %s execfn %d\n", argv[1], argc, getenv("MARK") ? getenv("MARK") : "none",
               getauxval(AT_EXECFN) != 0);
        return 5;
    }
    try_exec("/nonexistent");
    try_exec("/tmp");
    fd = open("/tmp/process-test", O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (write(fd, "junk", 4) != 4)
        return 1;
    close(fd);
    try_exec("/tmp/process-test");
    chmod("/tmp/process-test", 0755);
    try_exec("/tmp/process-test");
    fd = open("/tmp/process-test", O_TRUNC | O_WRONLY);
    if (write(fd, "#!/nonexistent arg\n", 19) != 19)
        return 1;
    close(fd);
    try_exec("/tmp/process-test");
    unlink("/tmp/process-test");

    setenv("MARK", "here", 1);
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child_argv, environ) == 0)
        waitpid(pid, &status, 0);
    printf("spawned %d\n", WEXITSTATUS(status));

    pid = fork();
    if (pid == 0)
        _exit(42);
    memset(&info, 0, sizeof info);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    printf("waitid code %d status %d same %d\n", info.si_code, info.si_status, info.si_pid == pid);
    printf("still there %d\n", waitpid(pid, &status, WNOHANG) == pid);
    printf("gone %d\n", waitpid(pid, &status, 0) == -1 && errno == ECHILD);

    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (pid == 0)
        _exit(0);
    printf("reaped by itself %d\n", waitpid(pid, &status, 0) == -1 && errno == ECHILD);
    signal(SIGCHLD, SIG_DFL);

    if (pipe(p) < 0)
        return 1;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            char c;

            usleep(20000);
            c = getppid() == *(int *)argv ? 'n' : 'y';
            if (write(p[1], &c, 1) != 1)
                _exit(1);
            _exit(11);
        }
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("orphan %d\n", waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 11);

    pid = fork();
    if (pid == 0) {
        setsid();
        printf("session %d group %d\n", getsid(0) == getpid(), getpgrp() == getpid());
        printf("setpgid of a leader %d\n", setpgid(0, 0) == -1 && errno == EPERM);
        _exit(0);
    }
    waitpid(pid, NULL, 0);

    prctl(PR_SET_NAME, "a-rather-long-name");
    prctl(PR_GET_NAME, name);
    printf("name %s\n", name);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = 100;
    printf("limit %d", setrlimit(RLIMIT_NOFILE, &r));
    getrlimit(RLIMIT_NOFILE, &r);
    printf(" %d\n", (int)r.rlim_cur);
    {
        struct sched_param none = {0}, five = {5};
        int dir = open("/proc/self", O_DIRECTORY), other = open("/proc", O_DIRECTORY);

        printf("setparam %d %d %d", sched_setparam(0, &none), sched_setparam(0, &five), errno);
        printf(" %d %d", sched_setparam(-1, &none), errno);
        printf(" %d %d", sched_setparam(999999, &none), errno);
        printf(" %d %d\n", sched_setparam(0, NULL), errno);
        printf("getparam %d %d", sched_getparam(999999, &five), errno);
        printf(" %d %d\n", sched_getparam(0, &five), five.sched_priority);
        printf("batch %d %d\n", sched_setscheduler(0, SCHED_BATCH, &none), sched_getscheduler(0));
        printf("signal by /proc %d", (int)syscall(SYS_pidfd_send_signal, dir, 0, NULL, 0));
        printf(" %d %d\n", (int)syscall(SYS_pidfd_send_signal, other, 0, NULL, 0), errno);
    }
    printf("kill 0 %d\n", kill(getpid(), 0));
    printf("no such %d\n", kill(999999, 0) == -1 && errno == ESRCH);
    printf("unknown call %d\n", (int)syscall(1000) == -1 && errno == ENOSYS);
    printf("bad address %d\n", (int)syscall(SYS_uname, 1) == -1 && errno == EFAULT);
    return 0;
}
