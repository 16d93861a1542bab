/* Threads: futexes through pthreads, preemption of busy ones, exit, exec and fork among them. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, total;
static volatile int stop, spins[2];
static __thread int own;

static void *
adder(void *arg)
{
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&lock);
        total++;
        own++;
        pthread_mutex_unlock(&lock);
    }
    return (void *)(long)own;
}

static void *
pingpong(void *arg)
{
    long me = (long)arg;

    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 2 != me)
            pthread_cond_wait(&cond, &lock);
        turn++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *
spinner(void *arg)
{
    while (!stop)
        spins[(long)arg]++;
    return NULL;
}

static void *
sleeper(void *arg)
{
    pause();
    return NULL;
}

static void
robust(void)
{
    pthread_mutexattr_t a;
    pthread_mutex_t m;
    pthread_t t;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m, &a);
    pthread_create(&t, NULL, (void *(*)(void *))(void *)pthread_mutex_lock, &m);
    pthread_join(t, NULL);
    printf("robust %d\n", pthread_mutex_lock(&m) == EOWNERDEAD);
}

int
main(int argc, char **argv)
{
    pthread_t t[8];
    void *r;
    int status;
    struct timespec ts;
    pid_t child;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) {
        printf("executed, one thread: %d\n", getpid() == (int)syscall(SYS_gettid));
        return 7;
    }
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, adder, NULL);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &r);
        printf("%ld ", (long)r);
    }
    printf("total %d\n", total);
    for (long i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, pingpong, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    printf("turns %d\n", turn);
    for (long i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, spinner, (void *)i);
    usleep(100000);
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    printf("both ran %d\n", spins[0] > 0 && spins[1] > 0);
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    pthread_mutex_lock(&lock);
    printf("timed wait %d\n", pthread_cond_timedwait(&cond, &lock, &ts) == ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    pthread_create(&t[0], NULL, sleeper, NULL);
    usleep(1000);
    pthread_cancel(t[0]);
    pthread_join(t[0], &r);
    printf("cancelled %d\n", r == PTHREAD_CANCELED);
    robust();
    child = fork();
    if (child == 0) {
        pthread_create(&t[0], NULL, sleeper, NULL);
        pthread_create(&t[1], NULL, sleeper, NULL);
        usleep(1000);
        execl("/proc/self/exe", "threads", "again", NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("status %d\n", WEXITSTATUS(status));
    child = fork();
    if (child == 0) {
        pthread_create(&t[0], NULL, sleeper, NULL);
        usleep(1000);
        exit(9);
    }
    waitpid(child, &status, 0);
    printf("status %d\n", WEXITSTATUS(status));
    return 0;
}
