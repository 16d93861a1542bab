/* Semaphore sets: operations that are done together, waiting and who goes on first, undo, and semctl. Needs root. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
enum { KEY = 0x1d6073, SOMEBODY = 1000 };
#define OPS(...) (struct sembuf[]){__VA_ARGS__}, sizeof((struct sembuf[]){__VA_ARGS__}) / sizeof(struct sembuf)
static int set;

static void
values(const char *what)
{
    unsigned short v[4];

    semctl(set, 0, GETALL, v);
    printf("%s: %d %d %d %d\n", what, v[0], v[1], v[2], v[3]);
}

static void
give(unsigned short a, unsigned short b, unsigned short c, unsigned short d)
{
    unsigned short v[] = {a, b, c, d};

    semctl(set, 0, SETALL, v);
}

/* Until so many wait at a semaphore. */
static void
until_waiting(int number, int command, int count)
{
    while (semctl(set, number, command) != count)
        usleep(500);
}

static void
keys(void)
{
    int a = semget(KEY, 3, IPC_CREAT | IPC_EXCL | 0640);

    printf("again: %d", semget(KEY, 3, IPC_CREAT) == a);
    printf(" %s %s %s", error(semget(KEY, 3, IPC_CREAT | IPC_EXCL)), error(semget(KEY, 4, 0)),
           error(semget(KEY, 32001, 0)));
    printf(" fewer: %d\n", semget(KEY, 0, 0) == a);
    printf("none: %s, %s, %s, %s\n", error(semget(KEY + 1, 1, 0)), error(semget(KEY + 1, 0, IPC_CREAT)),
           error(semget(KEY + 1, -1, IPC_CREAT)), error(semget(KEY + 1, 32001, IPC_CREAT)));
    printf("remove: %s", error(semctl(a, 0, IPC_RMID)));
    printf(" again: %s\n", error(semctl(a, 0, IPC_RMID)));
    a = semget(IPC_PRIVATE, 32000, 0600);
    printf("large: %s\n", error(semctl(a, 31999, SETVAL, 5)));
    printf("%d %s\n", semctl(a, 31999, GETVAL), error(semctl(a, 32000, GETVAL)));
    semctl(a, 0, IPC_RMID);
}

static void
arguments(void)
{
    struct sembuf many[501] = {{0}};
    struct timespec t = {-1, 0}, u = {0, 1000000000};

    printf("bad: %s", error(semop(-1, OPS({0, 1, 0}))));
    printf(" %s", error(semop(set + 1, OPS({0, 1, 0}))));
    printf(" %s", error(semop(set, many, 0)));
    printf(" %s", error(semop(set, many, 500)));
    printf(" %s", error(semop(set, many, 501)));
    printf(" %s", error(semop(-1, many, 501)));
    printf(" %s", error(semop(set, (void *)8, 1)));
    printf(" %s", error(semop(-1, (void *)8, 1)));
    printf(" %s", error(semop(set, OPS({4, 1, 0}))));
    printf(" %s", error(semtimedop(set, OPS({0, 1, 0}), &t)));
    printf(" %s", error(semtimedop(-1, OPS({0, 1, 0}), &u)));
    printf(" %s\n", error(semtimedop(-1, OPS({0, 1, 0}), (void *)8)));
    values("unchanged");
    printf("control: %s", error(semctl(-1, 0, GETVAL)));
    printf(" %s", error(semctl(set, 0, 99)));
    printf(" %s", error(semctl(set, 4, GETVAL)));
    printf(" %s", error(semctl(set, -1, GETPID)));
    printf(" %s", error(semctl(set, 4, SETVAL, 1)));
    printf(" %s", error(semctl(set, 4, SETVAL, -1)));
    printf(" %s", error(semctl(set, 0, SETVAL, 32768)));
    printf(" %s", error(semctl(set, 0, SETALL, (void *)8)));
    printf(" %s", error(semctl(set, 0, GETALL, (void *)8)));
    printf(" %s", error(semctl(set, 0, SETALL, (unsigned short[]){1, 2, 3, 32768})));
    printf(" %s", error(semctl(set, 0, IPC_STAT, (void *)8)));
    printf(" %s\n", error(semctl(-1, 0, IPC_SET, (void *)8)));
    values("unchanged");
}

static void
together(void)
{
    give(1, 0, 5, 32767);
    printf("one not: %s", error(semop(set, OPS({0, -1, 0}, {1, -1, IPC_NOWAIT}))));
    printf(" %s", error(semop(set, OPS({0, -1, IPC_NOWAIT}, {3, 1, 0}))));
    printf(" %s", error(semop(set, OPS({2, 0, IPC_NOWAIT}))));
    values(" ");
    printf("one semaphore twice: %s", error(semop(set, OPS({0, 1, 0}, {0, -2, IPC_NOWAIT}, {0, 0, IPC_NOWAIT}))));
    printf(" %s", error(semop(set, OPS({1, 3, 0}, {1, -4, IPC_NOWAIT}))));
    printf(" %s", error(semop(set, OPS({3, -1, 0}, {3, 1, 0}, {1, 7, 0}))));
    values(" ");
    printf("out of range: %s", error(semop(set, OPS({1, 32767, 0}))));
    printf(" %s\n", error(semop(set, OPS({2, 1, IPC_NOWAIT}, {2, -20, IPC_NOWAIT}, {1, 32767, 0}))));
    printf("pid: %d %d\n", semctl(set, 1, GETPID) == getpid(), semctl(set, 2, GETPID) == getpid());
}

static void
times_out(void)
{
    struct timespec t = {0, 20000000}, zero = {0, 0}, before, after;

    give(0, 1, 0, 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    printf("later: %s", error(semtimedop(set, OPS({0, -1, 0}), &t)));
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf(" %d", (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 20000000);
    printf(" at once: %s", error(semtimedop(set, OPS({1, 0, 0}), &zero)));
    printf(" not at all: %s\n", error(semtimedop(set, OPS({1, -1, 0}), &zero)));
    printf("nobody waits: %d %d\n", semctl(set, 0, GETNCNT), semctl(set, 1, GETZCNT));
}

/* Waiters, each a process; the order in which they go on is that of the letters in a pipe. */
static pid_t
waiter(char letter, const struct sembuf *ops, int count)
{
    pid_t pid = fork();

    if (pid == 0) {
        int r = semop(set, (struct sembuf *)ops, count);

        told("%c%s", letter, r < 0 ? strerrorname_np(errno) : "");
        _exit(0);
    }
    return pid;
}

static int
by_letter(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static void
read_letters(const char *what, int count)
{
    char text[256];
    size_t n = 0;

    for (; count > 0; count--)
        wait(NULL);
    if (ioctl(letters[0], FIONREAD, &count) == 0 && count)
        n = (size_t)read(letters[0], text, sizeof text);
    qsort(text, n, 1, by_letter); /* of several, who writes first is the scheduler's business */
    printf("%s: %.*s\n", what, (int)n, text);
}

static void
order(void)
{
    give(0, 0, 0, 0);
    for (int k = 0; k < 4; k++) {
        waiter("ABCD"[k], OPS({0, -2, 0}));
        until_waiting(0, GETNCNT, k + 1);
    }
    for (int k = 0; k < 4; k++) {
        semop(set, OPS({0, 1, 0}));
        semop(set, OPS({0, 1, 0}));
        read_letters("next", 1);
    }
    waiter('L', OPS({0, -3, 0}));
    until_waiting(0, GETNCNT, 1);
    waiter('S', OPS({0, -1, 0}));
    until_waiting(0, GETNCNT, 2);
    semop(set, OPS({0, 2, 0}));
    read_letters("the smaller one", 1);
    values(" ");
    semop(set, OPS({0, 2, 0}));
    read_letters("the larger one", 1);
    values(" ");
    waiter('X', OPS({0, -1, 0}, {1, -1, 0}));
    until_waiting(0, GETNCNT, 1);
    waiter('Y', OPS({1, -1, 0}));
    until_waiting(1, GETNCNT, 1);
    give(1, 1, 0, 0);
    read_letters("who came first", 1);
    printf("left: %d %d\n", semctl(set, 1, GETNCNT), semctl(set, 0, GETNCNT));
    semctl(set, 1, SETVAL, 1);
    read_letters("then", 1);
}

static void
zeros(void)
{
    give(1, 1, 0, 0);
    waiter('Z', OPS({0, 0, 0}));
    until_waiting(0, GETZCNT, 1);
    waiter('M', OPS({1, 0, 0}, {1, 1, 0})); /* a mutex of zero */
    until_waiting(1, GETZCNT, 1);
    waiter('N', OPS({1, 0, 0}, {1, 1, 0}));
    until_waiting(1, GETZCNT, 2);
    semop(set, OPS({0, -1, 0}));
    read_letters("zero", 1);
    semop(set, OPS({1, -1, 0}));
    read_letters("mutex", 1);
    values(" ");
    semop(set, OPS({1, -1, 0}));
    read_letters("mutex", 1);
    /* One lets go on who came before it. */
    give(0, 0, 0, 0);
    waiter('P', OPS({0, -1, 0}));
    until_waiting(0, GETNCNT, 1);
    waiter('Q', OPS({1, -1, 0}, {0, 1, 0}));
    until_waiting(1, GETNCNT, 1);
    semop(set, OPS({1, 1, 0}));
    read_letters("both", 2);
    values(" ");
}

static void
many_chained(void)
{
    enum { CHAIN = 30 };

    give(0, 0, 0, 0);
    for (int k = 0; k < CHAIN; k++) {
        waiter('c', OPS({0, -1, 0}, {1, 1, 0}));
        until_waiting(0, GETNCNT, k + 1);
    }
    for (int k = 0; k < CHAIN; k++) {
        waiter('d', OPS({1, -1, 0}, {0, 1, 0}));
        until_waiting(1, GETNCNT, k + 1);
    }
    semop(set, OPS({0, 1, 0}));
    for (int k = 0; k < 2 * CHAIN; k++)
        wait(NULL);
    values("chained");
    read_letters("chained", 0);
}

static void
on_alarm(int sig)
{
}

static void *
interrupter(void *main_thread)
{
    until_waiting(0, GETNCNT, 1);
    pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
    return NULL;
}

static void
interrupted(void)
{
    struct sigaction s = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    pthread_t self = pthread_self(), t;
    pid_t pid;

    give(0, 0, 0, 0);
    sigaction(SIGUSR1, &s, NULL);
    pthread_create(&t, NULL, interrupter, &self);
    printf("interrupted: %s\n", error(semop(set, OPS({0, -1, 0}))));
    pthread_join(t, NULL);
    pid = waiter('K', OPS({0, -1, SEM_UNDO}));
    until_waiting(0, GETNCNT, 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    printf("killed: %d\n", semctl(set, 0, GETNCNT));
}

/* --- undo --- */

static void
undo(void)
{
    give(5, 0, 0, 32767);
    fflush(stdout);
    if (fork() == 0) {
        printf("operations: %s", error(semop(set, OPS({0, -3, SEM_UNDO}, {1, 4, SEM_UNDO}))));
        printf(" %s", error(semop(set, OPS({1, -1, 0}))));
        values(" ");
        printf("too much: %s\n", error(semop(set, OPS({3, -32767, SEM_UNDO}, {3, 32767, 0}, {3, -32767, SEM_UNDO}))));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    values("undone");
    if (fork() == 0) {
        semop(set, OPS({0, -5, SEM_UNDO}, {2, 2, SEM_UNDO}));
        semctl(set, 0, SETVAL, 7);
        _exit(0);
    }
    wait(NULL);
    values("but what was set");
    if (fork() == 0) {
        semop(set, OPS({0, -5, SEM_UNDO}, {2, 2, SEM_UNDO}));
        give(1, 1, 1, 1);
        semop(set, OPS({2, 3, SEM_UNDO}));
        _exit(0);
    }
    wait(NULL);
    values("but what was all set");
    if (fork() == 0) {
        semop(set, OPS({1, -1, SEM_UNDO}));
        semop(set, OPS({0, 9, SEM_UNDO}));
        if (fork() == 0)
            _exit(0); /* a child does not have it */
        wait(NULL);
        values("not the child's");
        fflush(stdout);
        execl("/proc/self/exe", "ipc_sem", "x", (char *)NULL);
    }
    wait(NULL);
    values("after exec and exit");
    semctl(set, 0, SETVAL, 0);
    waiter('W', OPS({1, -2, 0}));
    until_waiting(1, GETNCNT, 1);
    if (fork() == 0) {
        semctl(set, 1, SETVAL, 1);
        semop(set, OPS({1, -1, SEM_UNDO}, {1, 1, 0}));
        _exit(0);
    }
    read_letters("woken by undo", 2);
    values(" ");
}

static void *
thread_with_undo(void *arg)
{
    semop(set, OPS({0, 2, SEM_UNDO}));
    if (arg)
        unshare(CLONE_SYSVSEM);
    return NULL;
}

static void
threads(void)
{
    give(0, 0, 0, 0);
    fflush(stdout);
    if (fork() == 0) {
        pthread_t t;

        pthread_create(&t, NULL, thread_with_undo, NULL);
        pthread_join(t, NULL);
        values("a thread's is the process's");
        pthread_create(&t, NULL, thread_with_undo, "unshare");
        pthread_join(t, NULL);
        values("shared still");
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    values("at the end");
    semop(set, OPS({1, 3, SEM_UNDO}));
    unshare(CLONE_SYSVSEM);
    values("unshared");
}

/* --- the set goes --- */

static void
removed(void)
{
    int old = set;

    set = semget(IPC_PRIVATE, 4, 0600);
    waiter('R', OPS({0, -1, 0}));
    until_waiting(0, GETNCNT, 1);
    waiter('S', OPS({0, -1, SEM_UNDO}, {1, 1, SEM_UNDO}));
    until_waiting(0, GETNCNT, 2);
    semop(set, OPS({2, 1, SEM_UNDO}));
    semctl(set, 0, IPC_RMID);
    wait(NULL);
    wait(NULL);
    {
        char text[64];
        int n = (int)read(letters[0], text, sizeof text);

        printf("removed: %d bytes\n", n); /* in either order */
    }
    printf("gone: %s\n", error(semop(set, OPS({0, 1, 0}))));
    set = old;
}

static void
information(void)
{
    struct seminfo i;
    struct semid_ds d;
    int highest = semctl(0, 0, IPC_INFO, &i);

    printf("limits: %d %d %d %d %d %d %d %d %d %d\n", i.semmap, i.semmni, i.semmns, i.semmnu, i.semmsl, i.semopm,
           i.semume, i.semusz, i.semvmx, i.semaem);
    printf("in use: %d", semctl(0, 0, SEM_INFO, &i) == highest);
    printf(" %d %d\n", i.semusz, i.semaem);
    printf("by slot: %d %d\n", semctl(set % 32768, 0, SEM_STAT, &d) == set,
           semctl(set % 32768, 0, SEM_STAT_ANY, &d) == set);
    printf("mode %o nsems %ld times %d %d\n", d.sem_perm.mode, d.sem_nsems, d.sem_otime >= time(NULL) - 60,
           d.sem_ctime >= time(NULL) - 60);
    d.sem_perm.mode = 0444;
    d.sem_perm.uid = SOMEBODY;
    printf("set: %s\n", error(semctl(set, 0, IPC_SET, &d)));
    fflush(stdout);
    if (fork() == 0) {
        setresuid(SOMEBODY + 1, SOMEBODY + 1, SOMEBODY + 1);
        printf("others: %s", error(semop(set, OPS({0, 1, 0}))));
        printf(" %s", error(semop(set, OPS({0, 0, IPC_NOWAIT}))));
        printf(" %s", error(semctl(set, 0, GETVAL)));
        printf(" %s", error(semctl(set, 0, SETVAL, 1)));
        printf(" %s", error(semctl(set, 9, SETVAL, 1)));
        printf(" %s", error(semctl(set, 0, SETALL, (void *)8)));
        printf(" %s", error(semctl(set, 0, IPC_STAT, &d)));
        printf(" %s", error(semctl(set, 0, IPC_SET, &d)));
        printf(" %s\n", error(semctl(set, 0, IPC_RMID)));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static void
in_proc(void)
{
    FILE *f = fopen("/proc/sysvipc/sem", "r");
    char line[512];
    long v[12];
    unsigned mode;

    fgets(line, sizeof line, f);
    printf("%s", line);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%ld %ld %o %ld %ld %ld %ld %ld", v, v + 1, &mode, v + 3, v + 4, v + 5, v + 6, v + 7) == 8 &&
            v[1] == set)
            printf("%zu: %lx %o %ld %ld %ld %ld %ld\n", strlen(line), v[0], mode, v[3], v[4], v[5], v[6], v[7]);
    fclose(f);
    f = fopen("/proc/sys/kernel/sem", "r");
    fgets(line, sizeof line, f);
    printf("%s", line);
    fclose(f);
}

int
main(int argc, char **argv)
{
    if (argc > 1)
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    unshare(CLONE_NEWIPC); /* on Linux without what others have left */
    drop_capabilities();
    pipe(letters);
    keys();
    set = semget(KEY, 4, IPC_CREAT | 0600);
    arguments();
    together();
    times_out();
    order();
    zeros();
    many_chained();
    interrupted();
    undo();
    threads();
    removed();
    information();
    in_proc();
    semctl(set, 0, IPC_RMID);
    return 0;
}
