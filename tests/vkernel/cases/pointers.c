/* EFAULT: what calls say to pointers that lead nowhere, and what they have done by then. */
#include "case.h"

#include <sys/epoll.h>
#include <sys/statfs.h>
#include <sys/un.h>

#define NOWHERE ((void *)-1)

static char *
readonly(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

CASE(names_that_lead_nowhere)
{
    SHOW(syscall(SYS_mkdir, NOWHERE, 0));
    SHOW(syscall(SYS_rmdir, NOWHERE));
    SHOW(syscall(SYS_unlink, NOWHERE));
    SHOW(syscall(SYS_rename, NOWHERE, "x"));
    SHOW(syscall(SYS_link, "x", NOWHERE));
    SHOW(syscall(SYS_symlink, NOWHERE, "x"));
    SHOW(syscall(SYS_readlink, NOWHERE, NOWHERE, 1));
    SHOW(syscall(SYS_chmod, NOWHERE, 0));
    SHOW(syscall(SYS_chown, NOWHERE, 0, 0));
    SHOW(syscall(SYS_lchown, NOWHERE, 0, 0));
    SHOW(syscall(SYS_truncate, NOWHERE, 0));
    SHOW(syscall(SYS_access, NOWHERE, 0));
    SHOW(syscall(SYS_chdir, NOWHERE));
    SHOW(syscall(SYS_chroot, NOWHERE));
    SHOW(syscall(SYS_statfs, NOWHERE, NOWHERE));
    SHOW(syscall(SYS_stat, NOWHERE, NOWHERE));
    SHOW(syscall(SYS_lstat, NOWHERE, NOWHERE));
    SHOW(syscall(SYS_mknod, NOWHERE, S_IFIFO, 0));
    SHOW(syscall(SYS_utime, NOWHERE, NULL));
    SHOW(syscall(SYS_creat, NOWHERE, 0));
    SHOW(syscall(SYS_execve, NOWHERE, NULL, NULL));
}

CASE(answers_that_lead_nowhere)
{
    SHOW(syscall(SYS_pipe, NOWHERE));
    SHOW(syscall(SYS_getcwd, NOWHERE, 100));
    SHOW(syscall(SYS_getrlimit, RLIMIT_NOFILE, NOWHERE));
    SHOW(syscall(SYS_getrusage, RUSAGE_SELF, NOWHERE));
    SHOW(syscall(SYS_getitimer, ITIMER_REAL, NOWHERE));
    SHOW(syscall(SYS_gettimeofday, NOWHERE, NULL));
    SHOW(syscall(SYS_getresuid, NOWHERE, NOWHERE, NOWHERE));
    SHOW(syscall(SYS_getresgid, NOWHERE, NOWHERE, NOWHERE));
    SHOW(syscall(SYS_rt_sigpending, NOWHERE, 8));
    SHOW(syscall(SYS_sched_getparam, 0, NOWHERE));
    SHOW(syscall(SYS_fstat, 0, NOWHERE));
    SHOW(syscall(SYS_fstatfs, 0, NOWHERE));
    SHOW(syscall(SYS_getdents64, open(".", O_RDONLY), NOWHERE, 1000));
    SHOW(syscall(SYS_ioctl, open(".", O_RDONLY), FIOCLEX, NOWHERE));
    SHOW(syscall(SYS_fcntl, 0, F_GETLK, NOWHERE));
    SHOW(syscall(SYS_fcntl, 0, F_GETOWN_EX, NOWHERE));
    SHOW(syscall(SYS_fcntl, 0, F_SETOWN_EX, NOWHERE));
    SHOW(syscall(SYS_capget, NOWHERE, NULL));
    SHOW(syscall(SYS_getcpu, NOWHERE, NULL, NULL));
    SHOW(syscall(SYS_times, NOWHERE));
    SHOW(syscall(SYS_getpriority, 0, NOWHERE) == -1);
}

CASE(answers_into_readonly_memory)
{
    char *p = readonly();

    SHOW(syscall(SYS_pipe, p));
    SHOW(open("/dev/null", O_RDONLY));
    SHOW(syscall(SYS_stat, ".", p));
    SHOW(syscall(SYS_uname, p));
    SHOW(syscall(SYS_getrlimit, RLIMIT_NOFILE, p));
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p));
    SHOW(syscall(SYS_getcwd, p, 4096));
    SHOW(syscall(SYS_wait4, -1, p, 0, NULL));
    SHOW(syscall(SYS_getrandom, p, 8, 0));
    SHOW(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p));
    SHOW(open("/dev/null", O_RDONLY));
}

CASE(failed_answer_of_wait_still_reaps)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    SHOW(syscall(SYS_wait4, pid, NOWHERE, 0, NULL));
    SHOW(waitpid(pid, NULL, 0));
}

CASE(failed_answer_of_accept)
{
    struct sockaddr_un a = {AF_UNIX, "s"};
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

    bind(l, (struct sockaddr *)&a, sizeof a);
    listen(l, 2);
    connect(c, (struct sockaddr *)&a, sizeof a);
    SHOW(accept(l, NOWHERE, &(socklen_t){100}));
    fcntl(l, F_SETFL, O_NONBLOCK);
    SHOW(accept(l, NULL, NULL));
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    connect(c, (struct sockaddr *)&a, sizeof a);
    SHOW(accept(l, (struct sockaddr *)&a, NOWHERE));
    SHOW(open("/dev/null", O_RDONLY));
}

CASE(failed_answer_of_recvfrom)
{
    int s[2];
    char c;

    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    write(s[0], "x", 1);
    SHOW(recvfrom(s[1], NOWHERE, 1, 0, NULL, NULL));
    SHOW(recv(s[1], &c, 1, MSG_DONTWAIT));
    write(s[0], "x", 1);
    SHOW(recvfrom(s[1], &c, 1, 0, (struct sockaddr *)&c, NOWHERE));
    SHOW(recv(s[1], &c, 1, MSG_DONTWAIT));
}

CASE(failed_answer_of_settings)
{
    struct itimerval t = {{0, 0}, {50, 0}}, now;
    struct rlimit r = {100, 100};

    SHOW(syscall(SYS_setitimer, ITIMER_REAL, &t, NOWHERE));
    getitimer(ITIMER_REAL, &now);
    say("timer set %d", now.it_value.tv_sec > 0);
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &r, NOWHERE));
    getrlimit(RLIMIT_NOFILE, &r);
    say("limit %ld", (long)r.rlim_cur);
    sigset_t s, old;
    sigemptyset(&s), sigaddset(&s, SIGUSR1);
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &s, NOWHERE, 8));
    sigprocmask(SIG_BLOCK, NULL, &old);
    say("blocked %d", sigismember(&old, SIGUSR1));
    struct sigaction act = {.sa_handler = SIG_IGN}, got;
    SHOW(syscall(SYS_rt_sigaction, SIGUSR2, (uint64_t[4]){1, 0, 0, 0}, NOWHERE, 8));
    sigaction(SIGUSR2, NULL, &got);
    say("ignored %d", got.sa_handler == SIG_IGN);
    (void)act;
}

CASE(addresses_that_nobody_can_have)
{
    int fd = make_file("f", "abc");
    void *high = (void *)0xffff800000000000ul, *hole = (void *)0x800000000000ul, *last = (void *)0x7ffffffff000ul;

    SHOW(read(fd, high, 1));
    SHOW(read(fd, hole, 1));
    SHOW(read(fd, last, 1));
    SHOW(write(fd, high, 1));
    SHOW(open(hole, O_RDONLY));
    SHOW(stat("f", high));
    SHOW(munmap(high, 4096));
    SHOW(mprotect(hole, 4096, PROT_READ));
    SHOW(madvise(high, 4096, MADV_NORMAL));
    SHOW(msync(high, 4096, MS_SYNC));
    SHOW(mlock(high, 4096));
    SHOW(syscall(SYS_futex, high, 1, 1, NULL, NULL, 0));
    SHOW(epoll_wait(epoll_create1(0), high, 1, 0));
    SHOW(poll(high, 1, 0));
}
