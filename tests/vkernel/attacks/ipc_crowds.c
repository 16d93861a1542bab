/* System V IPC and message queues in numbers: none of it may take long, and all of it comes back. The same on Linux. */
#include <errno.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SETS = 2000, WAITERS = 400, PAGE = 4096 };
static int set;

static void
in_time(const char *what, void (*f)(void))
{
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    f();
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%s: %s\n", what, b.tv_sec - a.tv_sec < 30 ? "in time" : "too long");
    fflush(stdout);
}

/* A process has much to undo, in large sets, and ends. */
static void
undone(void)
{
    static int sets[SETS];
    int left = 0;

    for (int k = 0; k < SETS; k++)
        sets[k] = semget(IPC_PRIVATE, 1000, 0600);
    if (fork() == 0) {
        for (int k = 0; k < SETS; k++)
            semop(sets[k], (struct sembuf[]){{0, 1, SEM_UNDO}, {999, 5, SEM_UNDO}}, 2);
        _exit(0);
    }
    wait(NULL);
    for (int k = 0; k < SETS; k++) {
        left += semctl(sets[k], 999, GETVAL);
        semctl(sets[k], 0, IPC_RMID);
    }
    printf("left: %d\n", left);
}

static void *
link_of_chain(void *number)
{
    int k = (int)(long)number;

    semop(set, (struct sembuf[]){{k, -1, 0}, {k + 1, 1, 0}}, 2);
    return NULL;
}

/* Each waiter lets the one go on that came before it, so that a walk has to begin anew for each. */
static void
chained(void)
{
    pthread_t threads[WAITERS];
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    set = semget(IPC_PRIVATE, WAITERS + 1, 0600);
    for (long k = WAITERS - 1; k >= 0; k--) {
        pthread_create(&threads[k], &attr, link_of_chain, (void *)k);
        while (semctl(set, (int)k, GETNCNT) != 1)
            sched_yield();
    }
    semop(set, (struct sembuf[]){{0, 1, 0}}, 1);
    for (int k = 0; k < WAITERS; k++)
        pthread_join(threads[k], NULL);
    printf("at the end: %d\n", semctl(set, WAITERS, GETVAL));
    semctl(set, 0, IPC_RMID);
}

/* Operations on one semaphore again and again, in one call. */
static void
long_calls(void)
{
    struct sembuf ops[500];

    set = semget(IPC_PRIVATE, 32000, 0600);
    for (int k = 0; k < 500; k++)
        ops[k] = (struct sembuf){k % 2 ? 31999 : 0, 1, SEM_UNDO};
    for (int k = 0; k < 100; k++)
        semop(set, ops, 500);
    printf("values: %d %d\n", semctl(set, 0, GETVAL), semctl(set, 31999, GETVAL));
    semctl(set, 0, IPC_RMID);
}

static void
messages(void)
{
    struct {
        long type;
        char text[8];
    } m;
    int q = msgget(IPC_PRIVATE, 0600), count = 0;

    m.type = 1;
    while (msgsnd(q, &m, 0, IPC_NOWAIT) == 0)
        count++;
    printf("%d messages\n", count);
    for (int k = 0; k < 2000; k++)
        if (msgrcv(q, &m, 0, 2, IPC_NOWAIT) >= 0)
            printf("found\n");
    msgctl(q, IPC_RMID, NULL);
}

/* One segment, in many places; and many parts of one. */
static void
attached(void)
{
    enum { MANY = 3000 };
    struct shmid_ds d;
    int id = shmget(IPC_PRIVATE, 4 * PAGE, 0600), pid;
    char *p = NULL;

    for (int k = 0; k < MANY; k++)
        p = shmat(id, NULL, 0);
    shmctl(id, IPC_STAT, &d);
    printf("attached: %ld\n", (long)d.shm_nattch);
    mprotect(p + PAGE, PAGE, PROT_READ);
    if ((pid = fork()) == 0)
        pause();
    shmctl(id, IPC_STAT, &d);
    printf("with a child: %ld\n", (long)d.shm_nattch);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    shmctl(id, IPC_STAT, &d);
    printf("without: %ld\n", (long)d.shm_nattch);
}

static void
large_segments(void)
{
    int ids[64];

    for (int k = 0; k < 64; k++) {
        ids[k] = shmget(IPC_PRIVATE, 1ul << 30, 0600 | SHM_NORESERVE);
        printf("%s", ids[k] < 0 ? strerrorname_np(errno) : "");
    }
    for (int k = 0; k < 64; k++)
        shmctl(ids[k], IPC_RMID, NULL);
    printf("\n");
}

int
main(void)
{
    unshare(CLONE_NEWIPC);
    in_time("undone", undone);
    in_time("chained", chained);
    in_time("long calls", long_calls);
    in_time("messages", messages);
    in_time("attached", attached);
    in_time("large segments", large_segments);
    printf("survived\n");
    return 0;
}
