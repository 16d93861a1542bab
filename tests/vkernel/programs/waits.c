/* How a parent waits for children: what is waited for, and by how many. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define P_PIDFD_ 3

static void
nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    while (nanosleep(&t, &t) < 0)
        ;
}

static void
on_alarm(int sig)
{
}

static void
say(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "0");
}

static pid_t child;
static int gate[2];

static void *
waiter(void *arg)
{
    int status = 0;
    pid_t r = waitpid(child, &status, __WALL);

    return (void *)(long)(r == child ? 1 : r < 0 && errno == ECHILD ? 2 : 3);
}

static void *
exec_thread(void *arg)
{
    char *argv[] = {"waits", "end", NULL};

    nap(30);
    execv("/proc/self/exe", argv);
    _exit(99);
}

/* A child that execs, from its first thread and from another, while several threads wait for it. */
static void
several(int from_thread)
{
    enum { N = 6 };
    pthread_t t[N];
    int got[4] = {0};

    child = fork();
    if (child == 0) {
        if (from_thread) {
            pthread_t x;

            pthread_create(&x, NULL, exec_thread, NULL);
            for (;;)
                pause();
        }
        exec_thread(NULL);
    }
    for (int i = 0; i < N; i++)
        pthread_create(&t[i], NULL, waiter, NULL);
    for (int i = 0; i < N; i++) {
        void *r;

        pthread_join(t[i], &r);
        got[(long)r]++;
    }
    printf("several %d: %d got it, %d ECHILD, %d other\n", from_thread, got[1], got[2], got[3]);
}

static void
without_exited(void)
{
    siginfo_t info;
    pid_t p = fork();
    int r;

    if (p == 0)
        _exit(3);
    waitid(P_PID, p, &info, WEXITED | WNOWAIT);
    say("stopped of a zombie", waitid(P_PID, p, &info, WSTOPPED));
    say("continued of a zombie, any", waitid(P_ALL, 0, &info, WCONTINUED));
    say("stopped of a zombie, not waiting", waitid(P_PID, p, &info, WSTOPPED | WNOHANG));
    say("no options", waitid(P_PID, p, &info, 0));
    say("WNOHANG alone", waitid(P_PID, p, &info, WNOHANG));
    say("of a group", waitid(P_PGID, getpgrp(), &info, WSTOPPED));
    say("it is still there", waitid(P_PID, p, &info, WEXITED));
    /* One that ends while it is waited for. */
    p = fork();
    if (p == 0) {
        nap(50);
        _exit(4);
    }
    alarm(2);
    say("ends meanwhile", waitid(P_PID, p, &info, WSTOPPED));
    alarm(0);
    say("and is there", waitid(P_PID, p, &info, WEXITED));
    p = fork();
    if (p == 0) {
        raise(SIGSTOP);
        _exit(5);
    }
    say("it stops", waitid(P_PID, p, &info, WSTOPPED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    kill(p, SIGCONT);
    say("it goes on", waitid(P_PID, p, &info, WCONTINUED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    say("it ends", waitid(P_PID, p, &info, WEXITED | WSTOPPED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    say("bad kind", waitid(77, 1, &info, WEXITED));
    say("bad options", waitid(P_ALL, 0, &info, WEXITED | 0x100));
    say("pid 0", waitid(P_PID, 0, &info, WEXITED));
    say("pid -1", waitid(P_PID, -1, &info, WEXITED));
    say("group -1", waitid(P_PGID, -1, &info, WEXITED));
    say("bad pidfd", waitid(P_PIDFD_, -1, &info, WEXITED));
    say("not a pidfd", waitid(P_PIDFD_, 0, &info, WEXITED));
    say("nobody", waitid(P_ALL, 0, &info, WEXITED));
}

static void
pidfds(void)
{
    siginfo_t info;
    pid_t p = fork();
    int fd, r;

    if (p == 0) {
        nap(100);
        _exit(6);
    }
    fd = syscall(SYS_pidfd_open, p, O_NONBLOCK);
    memset(&info, 0xff, sizeof info);
    say("non-blocking", waitid(P_PIDFD_, fd, &info, WEXITED));
    memset(&info, 0xff, sizeof info);
    say("non-blocking and WNOHANG", waitid(P_PIDFD_, fd, &info, WEXITED | WNOHANG));
    printf("pid %d\n", info.si_pid);
    say("non-blocking, stopped", waitid(P_PIDFD_, fd, &info, WSTOPPED));
    fcntl(fd, F_SETFL, 0);
    say("blocking", waitid(P_PIDFD_, fd, &info, WEXITED));
    printf("status %d\n", info.si_status);
    say("again", waitid(P_PIDFD_, fd, &info, WEXITED));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say("again, non-blocking", waitid(P_PIDFD_, fd, &info, WEXITED));
    close(fd);
    fd = syscall(SYS_pidfd_open, getpid(), O_NONBLOCK);
    say("of itself", waitid(P_PIDFD_, fd, &info, WEXITED));
    close(fd);
    say("pidfd flags", syscall(SYS_pidfd_open, getpid(), 1));
}

static int
silent(void *arg)
{
    nap(30);
    _exit(0);
}

static char stack[65536] __attribute__((aligned(16)));

static void
clones(void)
{
    siginfo_t info;
    pid_t p = clone(silent, stack + sizeof stack, 0, NULL);

    say("of a clone, plain", waitid(P_PID, p, &info, WEXITED));
    say("of a clone, __WCLONE", waitid(P_PID, p, &info, WEXITED | __WCLONE));
    p = clone(silent, stack + sizeof stack, SIGCHLD, NULL);
    say("of a process, __WCLONE", waitid(P_PID, p, &info, WEXITED | __WCLONE));
    say("of a process, __WALL", waitid(P_PID, p, &info, WEXITED | __WALL | __WCLONE));
}

int
main(int argc, char **argv)
{
    struct sigaction act = {.sa_handler = on_alarm};

    if (argc > 1) {
        nap(50);
        return 7;
    }
    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGALRM, &act, NULL);
    several(0);
    several(1);
    without_exited();
    pidfds();
    clones();
    /* A child that nobody keeps: those who wait for it end with ECHILD. */
    act.sa_handler = SIG_IGN;
    sigaction(SIGCHLD, &act, NULL);
    several(0);
    several(1);
    return 0;
}
