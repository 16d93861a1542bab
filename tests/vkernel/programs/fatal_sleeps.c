/* Signals to processes that sleep until a vfork's child is gone: those that end a process do so at once, others wait;
 * and what waitid says of pidfds. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
child_that_stays(void)
{
    if (vfork() == 0)
        for (;;)
            pause();
}

static void *
vforking(void *arg)
{
    child_that_stays();
    return NULL;
}

static void *
blocking(void *arg)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;)
        pause();
    return NULL;
}

static void
nothing(int sig)
{
}

static void
sleeper(int kind)
{
    sigset_t set;
    pthread_t t;

    setpgid(0, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (kind == 1) {
        pthread_create(&t, NULL, vforking, NULL);
        pthread_join(t, NULL);
    }
    if (kind == 2)
        signal(SIGTERM, nothing);
    if (kind == 3)
        sigprocmask(SIG_BLOCK, &set, NULL);
    if (kind == 4)
        pthread_create(&t, NULL, blocking, NULL);
    if (kind == 6)
        kill(getpid(), SIGSTOP);
    else
        child_that_stays();
    for (;;)
        pause();
}

int
main(void)
{
    siginfo_t info;
    int fd;
    pid_t child;

    for (int kind = 0; kind < 7; kind++) {
        int status = 0, r;

        child = fork();
        if (child == 0)
            sleeper(kind);
        usleep(100000);
        kill(child, kind == 5 ? SIGQUIT : SIGTERM);
        usleep(50000);
        r = waitpid(child, &status, WNOHANG);
        printf("%d: %s %x\n", kind, r == child ? "ended" : "sleeps", status);
        fflush(stdout);
        kill(-child, SIGKILL);
        if (r != child)
            waitpid(child, NULL, 0);
    }
    child = fork();
    if (child == 0) {
        usleep(100000);
        _exit(7);
    }
    fd = (int)syscall(SYS_pidfd_open, child, O_NONBLOCK);
    printf("%d %s\n", waitid(3, (id_t)fd, &info, WEXITED), strerrorname_np(errno));
    printf("%d\n", waitid(3, (id_t)fd, &info, WEXITED | WNOHANG));
    usleep(200000);
    printf("%d", waitid(3, (id_t)fd, &info, WEXITED));
    printf(" %d\n", info.si_status);
    printf("%d %s\n", waitid(3, (id_t)fd, &info, WEXITED), strerrorname_np(errno));
    return 0;
}
