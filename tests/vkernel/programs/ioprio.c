/* ioprio_set and ioprio_get: classes, levels, whose priorities, what is inherited. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESS = 1, GROUP, USER };

static long
set(int which, int who, int priority)
{
    return syscall(SYS_ioprio_set, which, who, priority);
}

static void
show(const char *what, long r)
{
    printf("%s: ", what);
    if (r < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf("class %ld level %ld\n", r >> 13, r & 0x1fff);
}

static void
get(const char *what, int which, int who)
{
    show(what, syscall(SYS_ioprio_get, which, who));
}

static void
refused(void)
{
    show("which 0", set(0, 0, 0)), show("which 4", set(4, 0, 0));
    get("which 0", 0, 0), get("which 4", 4, 0);
    show("nobody", set(PROCESS, 99999999, 0)), get("nobody", PROCESS, 99999999);
    show("no group", set(GROUP, 99999999, 0)), get("no group", GROUP, 99999999);
    show("no user", set(USER, 77777777, 0)), get("no user", USER, 77777777);
    show("no class, a level", set(PROCESS, 0, 3));
    show("class 4", set(PROCESS, 0, 4 << 13)), show("class 7", set(PROCESS, 0, 7 << 13));
    show("class 8", set(PROCESS, 0, 8 << 13)), show("negative", set(PROCESS, 0, -1));
}

static void *
thread(void *arg)
{
    get("a thread", PROCESS, 0);
    show("set", set(PROCESS, 0, 2 << 13 | 1));
    get("then", PROCESS, 0);
    return NULL;
}

int
main(void)
{
    pthread_t t;
    int child, hold[2];

    setvbuf(stdout, NULL, _IONBF, 0);
    setpgid(0, 0);
    refused();
    get("at first", PROCESS, 0);
    get("of the group", GROUP, 0);
    setpriority(PRIO_PROCESS, 0, 19);
    get("of the group, nice 19", GROUP, 0);
    get("of the process, nice 19", PROCESS, 0);
    show("best effort 6", set(PROCESS, 0, 2 << 13 | 6));
    get("then", PROCESS, 0);
    get("of the group", GROUP, getpgrp());
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
    get("the first thread still", PROCESS, getpid());
    show("idle 5", set(PROCESS, getpid(), 3 << 13 | 5));
    get("then", PROCESS, 0);
    show("hints", set(PROCESS, 0, 2 << 13 | 0x18 | 2));
    get("then", PROCESS, 0);
    pipe(hold);
    child = fork();
    if (child == 0) {
        get("a child", PROCESS, 0);
        set(PROCESS, 0, 2 << 13 | 3);
        close(hold[0]);
        write(hold[1], "x", 1);
        pause();
    }
    close(hold[1]);
    read(hold[0], (char[1]){0}, 1);
    get("the child's", PROCESS, child);
    show("of all of the group", set(GROUP, 0, 2 << 13 | 7));
    get("the child's", PROCESS, child);
    show("none", set(PROCESS, 0, 0));
    get("the better of both", GROUP, 0);
    kill(child, 9);
    wait(NULL);
    if (geteuid() == 0) {
        int root = getpid();

        if (fork() == 0) {
            setuid(12345);
            show("another user's", set(PROCESS, root, 2 << 13));
            show("real time", set(PROCESS, 0, 1 << 13 | 4));
            show("its own", set(PROCESS, 0, 2 << 13 | 1));
            show("of the group", set(GROUP, 0, 2 << 13 | 1));
            _exit(0);
        }
        wait(NULL);
    }
    return 0;
}
