/* Threads that do not share descriptors or the working directory with the others of their process. */
#include <pthread.h>

#include "case.h"

static char stack[65536] __attribute__((aligned(16)));
static volatile int done;

static int
finish(void)
{
    done = 1;
    syscall(SYS_exit, 0);
    return 0;
}

static void
make(int (*f)(void *), int flags)
{
    done = 0;
    SHOW(clone(f, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | flags, NULL) > 0);
    while (!done)
        sched_yield();
    usleep(20000); /* until it is gone */
}

static int
closes_one(void *arg)
{
    close(0);
    return finish();
}

CASE(thread_with_its_own_descriptors)
{
    make(closes_one, CLONE_FS);
    SHOW(fcntl(0, F_GETFD));
}

CASE(thread_with_shared_descriptors)
{
    make(closes_one, CLONE_FS | CLONE_FILES);
    SHOW(fcntl(0, F_GETFD));
}

static int
goes_elsewhere(void *arg)
{
    chdir("/");
    umask(077);
    return finish();
}

static void
show_place(void)
{
    char here[64] = "";
    mode_t mask = umask(022);

    getcwd(here, sizeof here);
    printf("root %d, umask %o\n", strcmp(here, "/") == 0, mask);
}

CASE(thread_with_its_own_place)
{
    make(goes_elsewhere, CLONE_FILES);
    show_place();
}

CASE(thread_with_a_shared_place)
{
    make(goes_elsewhere, CLONE_FILES | CLONE_FS);
    show_place();
}

static void *
unshares(void *flags)
{
    SHOW(unshare((int)(long)flags));
    close(0);
    chdir("/");
    SHOW(fcntl(0, F_GETFD));
    return NULL;
}

static void
unshare_in_a_thread(int flags)
{
    pthread_t thread;

    pthread_create(&thread, NULL, unshares, (void *)(long)flags);
    pthread_join(thread, NULL);
    SHOW(fcntl(0, F_GETFD));
    show_place();
}

CASE(unshare_files_in_a_thread)
{
    unshare_in_a_thread(CLONE_FILES);
}

CASE(unshare_place_in_a_thread)
{
    unshare_in_a_thread(CLONE_FS);
}

CASE(unshare_both_in_a_thread)
{
    unshare_in_a_thread(CLONE_FS | CLONE_FILES);
}

static void *
waits(void *arg)
{
    while (!done)
        sched_yield();
    return NULL;
}

CASE(unshare_of_what_threads_share)
{
    pthread_t thread;

    pthread_create(&thread, NULL, waits, NULL);
    SHOW(unshare(CLONE_VM));
    SHOW(unshare(CLONE_SIGHAND));
    SHOW(unshare(CLONE_THREAD));
    SHOW(unshare(CLONE_FILES | CLONE_FS));
    done = 1;
    pthread_join(thread, NULL);
    usleep(50000);
    SHOW(unshare(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD));
}

static void *
makes_others(void *arg)
{
    pthread_t thread;
    int status;
    pid_t child;

    unshare(CLONE_FILES);
    close(0);
    pthread_create(&thread, NULL, unshares, NULL); /* has this thread's */
    pthread_join(thread, NULL);
    child = fork();
    if (child == 0)
        _exit(fcntl(0, F_GETFD) == -1 ? 7 : 8);
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    return NULL;
}

CASE(what_a_thread_of_its_own_makes)
{
    pthread_t thread;

    pthread_create(&thread, NULL, makes_others, NULL);
    pthread_join(thread, NULL);
    SHOW(fcntl(0, F_GETFD));
}

static void *
counts(void *arg)
{
    char path[64];

    unshare(CLONE_FILES);
    close(0);
    snprintf(path, sizeof path, "/proc/self/task/%ld/fd/0", syscall(SYS_gettid));
    SHOW(access(path, F_OK));
    SHOW(access("/proc/thread-self/fd/0", F_OK));
    SHOW(access("/proc/self/fd/0", F_OK));
    return NULL;
}

CASE(descriptors_of_a_thread_in_proc)
{
    pthread_t thread;

    pthread_create(&thread, NULL, counts, NULL);
    pthread_join(thread, NULL);
}

static int
executes(void *arg)
{
    char *const argv[] = {"cases", "left_after_exec_by_a_thread", NULL};

    dup2(open("kept", O_CREAT | O_RDWR, 0600), 25);
    execv("/proc/self/exe", argv);
    _exit(9);
}

CASE(left_after_exec_by_a_thread)
{
    SHOW(fcntl(25, F_GETFD));
}

CASE(exec_by_a_thread_of_its_own)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        clone(executes, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS, NULL);
        pause();
    }
    waitpid(child, &status, 0);
    SHOW(WIFEXITED(status));
}
