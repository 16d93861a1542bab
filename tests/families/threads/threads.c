/* POSIX threads: thread-local data of every model, cancellation, robust and other mutexes, conditions, barriers, keys,
 * once, read-write locks, signals to threads, exit paths. Prints what happened, in an order that does not depend on who
 * runs when. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8 };

/* --- thread-local data --- */

static _Thread_local int local_exec = 11;
static _Thread_local char local_bss[3000];
_Thread_local long global_dynamic __attribute__((tls_model("global-dynamic"))) = 22;
static _Thread_local struct {
    double d[9];
} aligned __attribute__((aligned(64))) = {{1, 2, 3}};

static void *
touches(void *arg)
{
    long id = (long)arg;
    int (*plugin)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "plugin_count");
    long sum = local_exec + global_dynamic + (long)aligned.d[2] + ((uintptr_t)&aligned % 64 != 0);

    for (int i = 0; i < 3000; i++)
        sum += local_bss[i];
    for (int i = 0; i < 200; i++) {
        local_exec += (int)id;
        global_dynamic += local_exec % 5;
        memset(local_bss, (int)id, sizeof local_bss);
        aligned.d[id] += i;
        if (plugin)
            plugin((int)id);
        if (i % 50 == 0)
            sched_yield();
    }
    sum = sum * 1000003 + local_exec * 7 + global_dynamic * 3 + local_bss[2999] + (long)aligned.d[id] +
          (plugin ? plugin(0) : 0);
    return (void *)sum;
}

static void
thread_local_data(const char *path)
{
    pthread_t t[THREADS];
    void *result;
    unsigned long sum = 0, handle = 0;

    for (int round = 0; round < 2; round++) {
        for (long i = 0; i < THREADS; i++)
            pthread_create(&t[i], 0, touches, (void *)i);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(t[i], &result);
            sum = sum * 31 + (unsigned long)result;
        }
        if (path && round == 0)
            handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL) != 0;
    }
    printf("tls %lx %lu %d %ld\n", sum, handle, local_exec, global_dynamic);
}

/* --- cancellation --- */

static atomic_int cleanups;
static pthread_barrier_t barrier;

static void
cleanup(void *by)
{
    atomic_fetch_add(&cleanups, (int)(long)by);
}

static void *
sleeps(void *arg)
{
    int fds[2];
    char c;

    pthread_cleanup_push(cleanup, (void *)1);
    pthread_cleanup_push(cleanup, (void *)10);
    switch ((long)arg % 4) {
    case 0: sleep(1000); break;
    case 1:
        if (pipe(fds) == 0)
            (void)!read(fds[0], &c, 1);
        break;
    case 2:
        for (;;)
            pthread_testcancel();
    case 3:
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
        for (volatile long n = 0;; n++)
            ;
    }
    pthread_cleanup_pop(1);
    pthread_cleanup_pop(1);
    return "not cancelled";
}

static void *
refuses(void *arg)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, 0);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, 0);
    atomic_fetch_add(&cleanups, 1000);
    pthread_testcancel();
    return arg;
}

static void *
exits(void *arg)
{
    pthread_cleanup_push(cleanup, (void *)100);
    if (arg)
        pthread_exit((void *)77);
    pthread_cleanup_pop(0);
    return 0;
}

static void
cancellation(void)
{
    pthread_t t[THREADS], r, e;
    void *result;
    int cancelled = 0;

    pthread_barrier_init(&barrier, 0, 2);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], 0, sleeps, (void *)i);
    usleep(20000);
    for (int i = 0; i < THREADS; i++)
        pthread_cancel(t[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    pthread_create(&r, 0, refuses, 0);
    pthread_barrier_wait(&barrier);
    pthread_cancel(r);
    pthread_barrier_wait(&barrier);
    pthread_join(r, &result);
    cancelled += 100 * (result == PTHREAD_CANCELED);
    pthread_create(&e, 0, exits, &e);
    pthread_join(e, &result);
    printf("cancelled %d cleanups %d exit %ld\n", cancelled, atomic_load(&cleanups), (long)result);
}

/* --- mutexes --- */

static pthread_mutex_t robust, plain = PTHREAD_MUTEX_INITIALIZER, recursive, checking, inherit;

static void *
dies_holding(void *arg)
{
    (void)arg;
    return (void *)(long)pthread_mutex_lock(&robust);
}

static void
mutex_new(pthread_mutex_t *m, int type, int is_robust, int protocol, int shared)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    if (is_robust)
        pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setprotocol(&a, protocol);
    if (shared)
        pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
}

static long counter;

static void *
counts(void *arg)
{
    pthread_mutex_t *m = arg;

    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(m);
        long c = counter;
        if (i % 500 == 0)
            sched_yield();
        counter = c + 1;
        pthread_mutex_unlock(m);
    }
    return 0;
}

static void
mutexes(void)
{
    pthread_t t[THREADS];
    struct timespec soon;
    int a, b, c, d, e;

    mutex_new(&robust, PTHREAD_MUTEX_NORMAL, 1, PTHREAD_PRIO_NONE, 0);
    pthread_create(&t[0], 0, dies_holding, 0);
    pthread_join(t[0], 0);
    a = pthread_mutex_lock(&robust);
    b = pthread_mutex_consistent(&robust);
    pthread_mutex_unlock(&robust);
    c = pthread_mutex_lock(&robust);
    pthread_mutex_unlock(&robust);
    pthread_create(&t[0], 0, dies_holding, 0);
    pthread_join(t[0], 0);
    d = pthread_mutex_lock(&robust);
    pthread_mutex_unlock(&robust);
    e = pthread_mutex_lock(&robust);
    printf("robust %d %d %d %d %d\n", a == EOWNERDEAD, b, c, d == EOWNERDEAD, e == ENOTRECOVERABLE);

    /* The owner is a process that is gone. */
    pthread_mutex_t *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mutex_new(shared, PTHREAD_MUTEX_NORMAL, 1, PTHREAD_PRIO_NONE, 1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(shared);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, 0, 0);
    a = pthread_mutex_lock(shared);
    printf("robust process %d %d\n", a == EOWNERDEAD, pthread_mutex_consistent(shared));

    mutex_new(&recursive, PTHREAD_MUTEX_RECURSIVE, 0, PTHREAD_PRIO_NONE, 0);
    mutex_new(&checking, PTHREAD_MUTEX_ERRORCHECK, 0, PTHREAD_PRIO_NONE, 0);
    mutex_new(&inherit, PTHREAD_MUTEX_NORMAL, 0, PTHREAD_PRIO_INHERIT, 0);
    pthread_mutex_t *all[] = {&plain, &recursive, &checking, &inherit};
    for (int m = 0; m < 4; m++) {
        for (int i = 0; i < THREADS; i++)
            pthread_create(&t[i], 0, counts, all[m]);
        for (int i = 0; i < THREADS; i++)
            pthread_join(t[i], 0);
    }
    pthread_mutex_lock(&recursive);
    a = pthread_mutex_lock(&recursive);
    pthread_mutex_lock(&checking);
    b = pthread_mutex_lock(&checking);
    c = pthread_mutex_trylock(&plain);
    d = pthread_mutex_trylock(&plain);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 5000000;
    if (soon.tv_nsec >= 1000000000)
        soon.tv_sec++, soon.tv_nsec -= 1000000000;
    e = pthread_mutex_timedlock(&plain, &soon);
    printf("mutexes %ld %d %d %d %d %d\n", counter, a, b == EDEADLK, c, d == EBUSY, e == ETIMEDOUT);
    pthread_mutex_unlock(&plain);
}

/* --- conditions, semaphores, read-write locks, barriers, once, keys --- */

static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int queue[4], queued;
static long consumed;
static sem_t semaphore;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long table[16];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_count;
static pthread_key_t key;
static atomic_int destroyed;

static void *
produces(void *arg)
{
    for (int i = 1; i <= 300; i++) {
        pthread_mutex_lock(&plain);
        while (queued == 4)
            pthread_cond_wait(&not_full, &plain);
        queue[queued++] = i * (int)(long)arg;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&plain);
    }
    return 0;
}

static void *
consumes(void *arg)
{
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&plain);
        while (queued == 0)
            pthread_cond_wait(&not_empty, &plain);
        consumed += queue[--queued];
        pthread_cond_broadcast(&not_full);
        pthread_mutex_unlock(&plain);
    }
    return arg;
}

static void
only_once(void)
{
    once_count++;
}

static void
destroy(void *p)
{
    atomic_fetch_add(&destroyed, 1);
    if ((long)p > 1)
        pthread_setspecific(key, (void *)((long)p - 1)); /* destroyed again */
}

static void *
shares(void *arg)
{
    long id = (long)arg, bad = 0;

    pthread_once(&once, only_once);
    pthread_setspecific(key, (void *)(id % 3 + 1));
    for (int i = 0; i < 400; i++) {
        if (i % 8 == id) {
            pthread_rwlock_wrlock(&rw);
            for (int k = 0; k < 16; k++)
                table[k]++;
            pthread_rwlock_unlock(&rw);
        } else {
            pthread_rwlock_rdlock(&rw);
            for (int k = 1; k < 16; k++)
                bad += table[k] != table[0];
            pthread_rwlock_unlock(&rw);
        }
        sem_wait(&semaphore);
        sem_post(&semaphore);
        if (i % 100 == 0)
            pthread_barrier_wait(&barrier);
    }
    return (void *)bad;
}

static void
shared_state(void)
{
    pthread_t t[THREADS];
    void *result;
    long bad = 0;

    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], 0, i % 2 ? consumes : produces, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], 0);
    pthread_barrier_destroy(&barrier);
    pthread_barrier_init(&barrier, 0, THREADS);
    sem_init(&semaphore, 0, 2);
    pthread_key_create(&key, destroy);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], 0, shares, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], &result);
        bad += (long)result;
    }
    printf("shared %ld %ld %ld %d %d\n", consumed, bad, table[7], once_count, atomic_load(&destroyed));
}

/* --- signals and processes --- */

static _Thread_local volatile sig_atomic_t got;
static atomic_int total;

static void
on_signal(int sig)
{
    got++;
    atomic_fetch_add(&total, sig == SIGUSR1 ? 1 : 100);
}

static void *
waits(void *arg)
{
    sigset_t set;
    int sig = 0;

    if (arg) {
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &set, 0);
        sigwait(&set, &sig);
        return (void *)(long)(sig == SIGUSR2 ? 5 : 6);
    }
    while (got < 3)
        usleep(500);
    return (void *)(long)got;
}

static void *
forks(void *arg)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&m);
        local_exec += 3;
        void *p = malloc(5000);
        memset(p, 1, 5000);
        free(p);
        _exit(local_exec + (int)(long)arg);
    }
    waitpid(pid, &status, 0);
    return (void *)(long)WEXITSTATUS(status);
}

static int
c11(void *arg)
{
    static once_flag flag = ONCE_FLAG_INIT;

    call_once(&flag, only_once);
    return *(int *)arg * 3;
}

static void
signals(void)
{
    pthread_t a, b, f[4];
    void *ra, *rb;
    sigset_t set;
    long sum = 0;
    thrd_t c;
    int n = 14, r;

    signal(SIGUSR1, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    pthread_create(&a, 0, waits, 0);
    pthread_create(&b, 0, waits, &b);
    for (int i = 0; i < 3; i++) {
        int before = atomic_load(&total);
        pthread_kill(a, SIGUSR1);
        while (atomic_load(&total) == before)
            usleep(200);
    }
    kill(getpid(), SIGUSR2);
    pthread_join(a, &ra);
    pthread_join(b, &rb);
    for (long i = 0; i < 4; i++)
        pthread_create(&f[i], 0, forks, (void *)i);
    for (int i = 0; i < 4; i++) {
        void *x;
        pthread_join(f[i], &x);
        sum = sum * 100 + (long)x;
    }
    thrd_create(&c, c11, &n);
    thrd_join(c, &r);
    printf("signals %ld %ld %d forks %ld c11 %d %d\n", (long)ra, (long)rb, atomic_load(&total), sum, r, once_count);
}

static void *
last(void *arg)
{
    pthread_join(*(pthread_t *)arg, 0);
    printf("last thread\n");
    exit(9);
}

int
main(int argc, char **argv)
{
    pthread_t self = pthread_self(), t;
    pthread_attr_t attr;

    setvbuf(stdout, 0, _IOLBF, 0);
    thread_local_data(argc > 1 ? argv[1] : 0);
    cancellation();
    mutexes();
    shared_state();
    signals();
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    pthread_create(&t, &attr, last, &self);
    pthread_exit(0);
}
