/* wait4, waitid, pidfds, fork, vfork, clone, clone3. */
#include "case.h"

#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>

static int
ends_with(void *n)
{
    return *(int *)n;
}

static long
clone3_of(uint64_t flags, int exit_signal)
{
    struct clone_args a = {.flags = flags, .exit_signal = (uint64_t)exit_signal};
    long pid = syscall(SYS_clone3, &a, sizeof a);

    if (pid == 0)
        _exit(3);
    return pid;
}

CASE(wait_statuses)
{
    int status;
    pid_t pid = child(ends_with, &(int){0x1ff});

    SHOW(waitpid(pid, &status, 0) == pid);
    say("%x", status);
    if ((pid = fork()) == 0)
        raise(SIGKILL);
    waitpid(pid, &status, 0);
    say("%x", status);
    if ((pid = fork()) == 0)
        raise(SIGSTOP), _exit(0);
    waitpid(pid, &status, WUNTRACED);
    say("%x", status);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    say("%x", status);
}

CASE(wait_errors)
{
    pid_t pid = child(ends_with, &(int){0});

    SHOW(waitpid(pid, NULL, 0x100));
    SHOW(syscall(SYS_wait4, pid, (void *)-1, 0, NULL));
    SHOW(waitpid(pid, NULL, 0));
    pid = child(ends_with, &(int){0});
    SHOW(syscall(SYS_wait4, pid, NULL, 0, (void *)-1));
    SHOW(waitpid(-1, NULL, 0));
    SHOW(waitpid(1, NULL, 0));
    SHOW(waitpid(0, NULL, WNOHANG));
    SHOW(waitpid(-0x3fffffff, NULL, 0));
    SHOW(waitpid(INT32_MIN, NULL, 0));
}

CASE(wait_nohang)
{
    pid_t pid = fork();

    if (pid == 0)
        pause(), _exit(0);
    SHOW(waitpid(pid, NULL, WNOHANG));
    SHOW(waitpid(-1, NULL, WNOHANG));
    kill(pid, SIGKILL);
    say_end("child", pid);
}

CASE(wait_of_groups)
{
    pid_t pid = child(ends_with, &(int){4});

    SHOW(waitpid(0, NULL, 0) == pid);
    if ((pid = fork()) == 0) {
        setpgid(0, 0);
        _exit(5);
    }
    setpgid(pid, pid);
    SHOW(waitpid(0, NULL, 0));
    SHOW(waitpid(-pid, NULL, 0) == pid);
}

CASE(waitid_answers)
{
    siginfo_t info;
    pid_t pid = child(ends_with, &(int){9});

    SHOW(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    say("%d %d %d %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
    SHOW(waitid(P_PID, pid, &info, WEXITED));
    SHOW(waitid(P_PID, pid, &info, WEXITED));
    if ((pid = fork()) == 0)
        raise(SIGTERM);
    SHOW(waitid(P_ALL, 0, &info, WEXITED));
    say("%d %d", info.si_code, info.si_status);
}

CASE(waitid_errors)
{
    siginfo_t info = {.si_signo = 5, .si_pid = 6};
    pid_t pid = fork();

    if (pid == 0)
        pause(), _exit(0);
    SHOW(waitid(P_PID, pid, &info, 0));
    SHOW(waitid(P_PID, pid, &info, WNOHANG));
    SHOW(waitid(P_PID, pid, &info, WEXITED | 0x100));
    SHOW(waitid(9, pid, &info, WEXITED));
    SHOW(waitid(P_PID, 0, &info, WEXITED));
    SHOW(waitid(P_PID, -1, &info, WEXITED));
    SHOW(waitid(P_PGID, -1, &info, WEXITED));
    SHOW(waitid(P_PIDFD, -1, &info, WEXITED));
    SHOW(waitid(P_PIDFD, 0, &info, WEXITED));
    SHOW(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    say("%d %d", info.si_signo, info.si_pid);
    kill(pid, SIGKILL);
    SHOW(syscall(SYS_waitid, P_PID, pid, NULL, WEXITED, NULL));
}

CASE(waitid_stopped_and_continued)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        raise(SIGSTOP), pause();
    SHOW(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT));
    SHOW(waitid(P_PID, pid, &info, WSTOPPED));
    say("%d %d", info.si_code, info.si_status);
    info.si_pid = 7;
    SHOW(waitid(P_PID, pid, &info, WSTOPPED | WNOHANG));
    say("%d", info.si_pid);
    kill(pid, SIGCONT);
    SHOW(waitid(P_PID, pid, &info, WCONTINUED));
    say("%d %d", info.si_code, info.si_status);
    kill(pid, SIGKILL);
    say_end("child", pid);
}

CASE(pidfd_of_child)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        pause(), _exit(0);
    int fd = syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {fd, POLLIN};
    SHOW(fcntl(fd, F_GETFD));
    SHOW(poll(&p, 1, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    SHOW(poll(&p, 1, -1));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    say("%d %d", info.si_code, info.si_status);
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(poll(&p, 1, 0));
}

CASE(pidfd_errors)
{
    int fd = syscall(SYS_pidfd_open, getpid(), 0);
    char c;

    SHOW(syscall(SYS_pidfd_open, 0, 0));
    SHOW(syscall(SYS_pidfd_open, -1, 0));
    SHOW(syscall(SYS_pidfd_open, 0x3fffffff, 0));
    SHOW(syscall(SYS_pidfd_open, getpid(), 1));
    SHOW(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 65, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0x100));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, (void *)-1, 0));
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, &c, 1));
    SHOW(waitid(P_PIDFD, fd, &(siginfo_t){0}, WEXITED));
}

CASE(pidfd_nonblock)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        pause(), _exit(0);
    int fd = syscall(SYS_pidfd_open, pid, O_NONBLOCK);
    SHOW(fd >= 0);
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    kill(pid, SIGKILL);
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
}

CASE(clone3_errors)
{
    struct clone_args a = {.exit_signal = SIGCHLD};
    struct {
        struct clone_args a;
        uint64_t more[20];
    } big = {.a.exit_signal = SIGCHLD, .more[19] = 1};

    SHOW(syscall(SYS_clone3, &a, 8));
    SHOW(syscall(SYS_clone3, &a, 63));
    SHOW(syscall(SYS_clone3, NULL, sizeof a));
    SHOW(syscall(SYS_clone3, &big, sizeof big));
    SHOW(syscall(SYS_clone3, &big, 8192));
    SHOW(clone3_of(0, 65));
    SHOW(clone3_of(SIGCHLD, 0));
    SHOW(clone3_of(CLONE_THREAD, 0));
    SHOW(clone3_of(CLONE_SIGHAND, 0));
    SHOW(clone3_of(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, SIGCHLD));
    SHOW(clone3_of(CLONE_FS | CLONE_NEWNS, 0));
    SHOW(clone3_of(CLONE_DETACHED, 0));
    SHOW(clone3_of(CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM, 0));
    a.stack = 4096;
    SHOW(syscall(SYS_clone3, &a, sizeof a));
    a.stack = 0, a.stack_size = 4096;
    SHOW(syscall(SYS_clone3, &a, sizeof a));
    a.stack_size = 0, a.set_tid_size = 1;
    SHOW(syscall(SYS_clone3, &a, sizeof a));
    a.set_tid_size = 33;
    SHOW(syscall(SYS_clone3, &a, sizeof a));
}

CASE(clone3_makes_a_child)
{
    int pidfd = -1, status;
    pid_t tid = 0;
    struct clone_args a = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
                           .exit_signal = SIGCHLD,
                           .pidfd = (uint64_t)&pidfd,
                           .parent_tid = (uint64_t)&tid};
    long pid = syscall(SYS_clone3, &a, sizeof a);

    if (pid == 0)
        _exit(6);
    say("%d %d", pidfd, tid == pid);
    waitpid(pid, &status, 0);
    say("%x", status);
}

CASE(clone_without_exit_signal)
{
    long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);

    if (pid == 0)
        _exit(3);
    SHOW(waitpid(pid, NULL, 0));
    SHOW(waitpid(pid, NULL, __WCLONE) == pid);
    pid = clone3_of(0, 0);
    SHOW(waitpid(pid, NULL, __WALL) == pid);
}

CASE(clone_errors)
{
    SHOW(syscall(SYS_clone, CLONE_THREAD, NULL, NULL, NULL, 0));
    SHOW(syscall(SYS_clone, CLONE_SIGHAND, NULL, NULL, NULL, 0));
    SHOW(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID, NULL, (int[2]){0}, NULL, 0));
    SHOW(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, NULL, NULL, NULL, 0));
    SHOW(syscall(SYS_clone, CLONE_PIDFD, NULL, (void *)-1, NULL, 0));
}

CASE(clone_tids)
{
    int *where = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &where[0], &where[1], 0);

    if (pid == 0)
        _exit(where[1] != getpid());
    say_end("child", (pid_t)pid);
    say("%d %d", where[0] == pid, where[1] == pid);
}

CASE(vfork_shares_memory)
{
    volatile int value = 1;
    pid_t pid = vfork();

    if (pid == 0) {
        value = 2;
        _exit(0);
    }
    say("%d", value);
    say_end("child", pid);
}

CASE(clear_sighand)
{
    struct clone_args a = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    struct sigaction act;

    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, exit);
    long pid = syscall(SYS_clone3, &a, sizeof a);
    if (pid == 0) {
        sigaction(SIGUSR1, NULL, &act);
        say("usr1 ignored %d", act.sa_handler == SIG_IGN);
        sigaction(SIGUSR2, NULL, &act);
        say("usr2 default %d", act.sa_handler == SIG_DFL);
        _exit(0);
    }
    say_end("child", (pid_t)pid);
}

CASE(fork_inherits)
{
    struct itimerval t;

    alarm(100);
    umask(077);
    setpriority(PRIO_PROCESS, 0, 3);
    pid_t pid = fork();
    if (pid == 0) {
        getitimer(ITIMER_REAL, &t);
        say("alarm %ld, umask %o, nice %d", (long)t.it_value.tv_sec, umask(0), getpriority(PRIO_PROCESS, 0));
        struct rusage u;
        getrusage(RUSAGE_CHILDREN, &u);
        say("%ld", (long)u.ru_utime.tv_sec);
        _exit(0);
    }
    say_end("child", pid);
}

CASE(orphans_go_to_the_subreaper)
{
    int status, fds[2];
    pid_t pid, orphan;

    pipe(fds);
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    if ((pid = fork()) == 0) {
        if ((orphan = fork()) == 0) {
            sleep_ms(20);
            _exit(getppid() == 1);
        }
        write(fds[1], &orphan, sizeof orphan);
        _exit(0);
    }
    read(fds[0], &orphan, sizeof orphan);
    SHOW(waitpid(pid, &status, 0) == pid);
    SHOW(waitpid(-1, &status, 0) == orphan);
    say("%x", status);
}

CASE(wait_of_thread_group_only)
{
    pid_t pid = child(ends_with, &(int){1});

    SHOW(waitpid(pid, NULL, __WCLONE));
    SHOW(waitpid(pid, NULL, __WNOTHREAD) == pid);
}

CASE(unshare_answers)
{
    SHOW(syscall(SYS_unshare, 0x1));
    SHOW(syscall(SYS_unshare, 0));
    SHOW(syscall(SYS_unshare, CLONE_FS | CLONE_FILES));
    SHOW(syscall(SYS_unshare, CLONE_VM));
}
