/* As process 1 of a container, not on Linux. A sibling of process 1 has no parent; random flags of clone in processes
 * of their own, whose tasks then exec, exit or stay; bombs of processes, of threads until there is no more room, and of
 * zombies. Not sanitized. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 40000 };

static char stack[65536] __attribute__((aligned(16)));
static pid_t made[MOST];

static void
reap(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        ;
}

static void
random_flags(int seed)
{
    char *argv[] = {"x", "child", NULL};
    unsigned long flags;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        srand((unsigned)seed);
        flags = ((unsigned long)rand() << 1 ^ (unsigned long)rand()) & 0xffffff00;
        if (seed & 1)
            flags = (flags & 0x01f8d000) | CLONE_VM |
                    (seed & 2 ? CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES : 0);
        flags &= ~0x7e020000ul; /* namespaces */
        alarm(1);
        if (syscall(SYS_clone, flags | (rand() & 1 ? SIGCHLD : 0), flags & CLONE_VM ? stack + 65000 : NULL, stack,
                    stack + 8, 0) == 0) {
            if (rand() & 1)
                execv("/proc/self/exe", argv);
            syscall(SYS_exit, 0);
        }
        if (rand() & 1)
            execv("/proc/self/exe", argv);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    reap();
}

static void
bomb(int zombies)
{
    int n = 0, again;
    pid_t pid = 1;

    while (n < (zombies ? 6000 : MOST) && (pid = fork()) > 0)
        made[n++] = pid;
    again = errno;
    if (pid == 0) {
        if (zombies)
            _exit(0);
        for (;;)
            pause();
    }
    printf("processes %d error %d\n", n > 1000, zombies || again == EAGAIN || again == ENOMEM);
    for (int k = 0; k < n; k++)
        kill(made[k], SIGKILL);
    while (wait(NULL) > 0)
        ;
}

static void *
sleeper(void *argument)
{
    for (;;)
        pause();
}

static void
threads(void)
{
    pthread_attr_t attr;
    pthread_t t;
    int n = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    while (pthread_create(&t, &attr, sleeper, NULL) == 0)
        n++;
    printf("threads %d\n", n > 1000);
    _exit(0);
}

int
main(int argc, char **argv)
{
    int status;

    if (argc > 1)
        return 0;
    if (getpid() != 1) {
        fprintf(stderr, "this is for a container of its own\n");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    status = (int)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    printf("sibling of init %d %d\n", status, errno == EINVAL);
    for (int k = 0; k < 100; k++)
        random_flags(k);
    if (fork() == 0)
        threads();
    wait(&status);
    printf("threads end with %d\n", WTERMSIG(status));
    bomb(1);
    bomb(0);
    printf("fork again %d\n", fork() >= 0 || errno);
    if (getpid() == 1) {
        while (wait(NULL) > 0)
            ;
        printf("survived\n");
    }
    return 0;
}
