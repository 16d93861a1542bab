/* Threads: what they share, their ends, their signals, robust locks and futexes between them. */
#include "case.h"

#include <linux/futex.h>
#include <grp.h>
#include <pthread.h>
#include <sys/prctl.h>

static volatile int word;

static void *
exit_process(void *arg)
{
    (void)arg;
    exit(7);
}

CASE(exit_of_a_thread_ends_all)
{
    pthread_t t;

    if (fork() == 0) {
        pthread_create(&t, NULL, exit_process, NULL);
        pause();
    }
    int status;
    wait(&status);
    say("%x", status);
}

static void *
outlive(void *arg)
{
    (void)arg;
    sleep_ms(20);
    say("still here");
    exit(3);
}

CASE(leader_ends_first)
{
    pthread_t t;
    pid_t pid = fork();

    if (pid == 0) {
        pthread_create(&t, NULL, outlive, NULL);
        syscall(SYS_exit, 5);
    }
    say_end("process", pid);
}

static void *
exec_from_thread(void *arg)
{
    (void)arg;
    say("%d", execve("/nothing", (char *[]){"x", NULL}, NULL));
    chdir("/");
    umask(077);
    return NULL;
}

CASE(threads_share_folder_and_mask)
{
    pthread_t t;
    char path[100];

    pthread_create(&t, NULL, exec_from_thread, NULL);
    pthread_join(t, NULL);
    say("%s %o", getcwd(path, 100), umask(0));
}

static void *
unshared(void *fd)
{
    SHOW(syscall(SYS_unshare, CLONE_FILES | CLONE_FS));
    close(*(int *)fd);
    chdir("/");
    return NULL;
}

CASE(unshare_in_a_thread)
{
    pthread_t t;
    char path[100];
    int fd = open("/dev/null", O_RDONLY);

    getcwd(path, 100);
    pthread_create(&t, NULL, unshared, &fd);
    pthread_join(t, NULL);
    SHOW(fcntl(fd, F_GETFD));
    say("%d", strcmp(path, getcwd((char[100]){0}, 100)) == 0);
}

static void *
name_itself(void *arg)
{
    char name[16];

    (void)arg;
    prctl(PR_SET_NAME, "thread");
    prctl(PR_GET_NAME, name);
    say("%s", name);
    return NULL;
}

CASE(threads_have_names)
{
    char name[16];
    pthread_t t;

    prctl(PR_SET_NAME, "leader");
    pthread_create(&t, NULL, name_itself, NULL);
    pthread_join(t, NULL);
    prctl(PR_GET_NAME, name);
    say("%s", name);
}

static void *
wait_for_word(void *arg)
{
    (void)arg;
    while (word == 0)
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    say("woken");
    return NULL;
}

CASE(futex_wakes_thread)
{
    pthread_t t;

    pthread_create(&t, NULL, wait_for_word, NULL);
    sleep_ms(10);
    word = 1;
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
    pthread_join(t, NULL);
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &(struct timespec){0, 1000000}, NULL, 0));
}

static void *
lock_and_leave(void *m)
{
    pthread_mutex_lock(m);
    return NULL;
}

CASE(robust_mutex)
{
    pthread_mutex_t m;
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m, &a);
    pthread_create(&t, NULL, lock_and_leave, &m);
    pthread_join(t, NULL);
    say("%s", strerrorname_np(pthread_mutex_lock(&m)));
    say("%d", pthread_mutex_consistent(&m));
    say("%d", pthread_mutex_unlock(&m));
    say("%d", pthread_mutex_trylock(&m));
}

static void
in_handler(int signal)
{
    say("signal %d in leader %d", signal, gettid() == getpid());
}

static void *
block_and_wait(void *arg)
{
    sigset_t all;

    (void)arg;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    sleep_ms(20);
    return NULL;
}

CASE(signals_go_to_who_takes_them)
{
    pthread_t t;
    sigset_t s, old;

    signal(SIGUSR1, in_handler);
    pthread_create(&t, NULL, block_and_wait, NULL);
    sleep_ms(5);
    kill(getpid(), SIGUSR1);
    pthread_join(t, NULL);
    sigemptyset(&s), sigaddset(&s, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &s, &old);
    kill(getpid(), SIGUSR1);
    SHOW(sigtimedwait(&s, NULL, &(struct timespec){0, 0}));
}

CASE(ids_of_all_threads)
{
    pthread_t t;

    setgroups(0, NULL);
    SHOW(setresuid(-1, -1, -1));
    pthread_create(&t, NULL, block_and_wait, NULL);
    SHOW(setresgid(77, 77, 77));
    SHOW(getegid());
    pthread_join(t, NULL);
}

static void *
end_at_once(void *arg)
{
    return arg;
}

CASE(joined_stacks_are_free)
{
    for (int k = 0; k < 50; k++) {
        pthread_t t;
        if (pthread_create(&t, NULL, end_at_once, NULL) != 0 || pthread_join(t, NULL) != 0)
            say("%d: %s", k, strerrorname_np(errno));
    }
    say("done");
}
