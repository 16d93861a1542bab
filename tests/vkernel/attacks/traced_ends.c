/* To be traced by a task that is ending, or to trace one: it sleeps while it gives its many descriptors back, and is
 * gone before whoever holds on to it. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 200000 };

static volatile int *shared; /* full, traced, tid, gone */

static void
fill_and_exit(void)
{
    for (int k = 3; k < FILES && dup(0) >= 0; k++)
        ;
    shared[0] = 1;
    syscall(SYS_exit, 0);
}

static void
until_full(void)
{
    struct timespec t = {0, 500000};

    while (!shared[0])
        usleep(100);
    nanosleep(&t, NULL);
}

static int
thread(void *argument)
{
    shared[2] = syscall(SYS_gettid);
    if (fork() == 0) {
        until_full();
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        shared[1] = 1;
        while (!shared[3])
            usleep(100);
        _exit(0);
    }
    fill_and_exit();
    return 0;
}

static void
others_come(void)
{
    for (int k = 0; k < 50; k++) {
        int pid = fork();

        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

static void
tracee_ends(void)
{
    int ends = fork(), traces;

    if (ends == 0)
        fill_and_exit();
    traces = fork();
    if (traces == 0) {
        until_full();
        ptrace(PTRACE_SEIZE, ends, 0, 0);
        shared[1] = 1;
        while (!shared[3])
            usleep(100);
        waitpid(-1, NULL, WNOHANG | __WALL);
        _exit(0);
    }
    while (!shared[1])
        usleep(1000);
    waitpid(ends, NULL, 0);
    shared[3] = 1;
    waitpid(traces, NULL, 0);
    others_come();
}

static void
tracer_ends(void)
{
    char *stack = malloc(1 << 16);

    shared[0] = shared[1] = shared[3] = 0;
    clone(thread, stack + (1 << 16), CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS, NULL);
    while (!shared[1])
        usleep(1000);
    while (syscall(SYS_tgkill, getpid(), shared[2], 0) == 0)
        usleep(1000);
    shared[3] = 1;
    waitpid(-1, NULL, 0);
    others_come();
}

int
main(void)
{
    struct rlimit limit = {FILES + 10, FILES + 10};

    setrlimit(RLIMIT_NOFILE, &limit);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tracee_ends();
    tracer_ends();
    printf("survived\n");
}
