/* System V IPC and POSIX message queues. */
#include "case.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct text {
    long type;
    char bytes[16];
};

CASE(msg_takes_by_type)
{
    int q = msgget(IPC_PRIVATE, 0600);
    struct text m = {3, "three"};

    SHOW(msgsnd(q, &m, 6, 0));
    m.type = 1;
    SHOW(msgsnd(q, &m, 2, 0));
    m.type = 2;
    SHOW(msgsnd(q, &m, 0, 0));
    SHOW(msgrcv(q, &m, 16, 5, IPC_NOWAIT));
    SHOW(msgrcv(q, &m, 16, -2, 0));
    say("%ld", m.type);
    SHOW(msgrcv(q, &m, 16, 3, MSG_EXCEPT));
    say("%ld", m.type);
    SHOW(msgrcv(q, &m, 2, 0, 0));
    SHOW(msgrcv(q, &m, 2, 0, MSG_NOERROR));
    SHOW(msgrcv(q, &m, 16, 0, IPC_NOWAIT));
    SHOW(msgctl(q, IPC_RMID, NULL));
}

CASE(msg_errors)
{
    int q = msgget(IPC_PRIVATE, 0600);
    struct text m = {0, "x"};

    SHOW(msgsnd(q, &m, 1, 0));
    m.type = 1;
    SHOW(msgsnd(q, &m, -1, 0));
    SHOW(msgsnd(q, &m, 100000, 0));
    SHOW(msgsnd(q, (void *)-1, 1, 0));
    SHOW(msgsnd(-1, &m, 1, 0));
    SHOW(msgrcv(q, &m, -1, 0, 0));
    SHOW(msgctl(q, 999, NULL));
    SHOW(msgctl(q, IPC_STAT, (void *)-1));
    SHOW(msgctl(q, IPC_RMID, NULL));
    SHOW(msgsnd(q, &m, 1, 0));
    SHOW(msgget(0x7a5e0001, 0));
}

CASE(sem_operations)
{
    int s = semget(IPC_PRIVATE, 2, 0600);
    struct sembuf up = {0, 3, 0}, down = {0, -2, IPC_NOWAIT}, zero = {1, 0, IPC_NOWAIT},
                  both[2] = {{0, -1, IPC_NOWAIT}, {1, -1, IPC_NOWAIT}};

    SHOW(semop(s, &zero, 1));
    SHOW(semop(s, &up, 1));
    SHOW(semop(s, &down, 1));
    SHOW(semop(s, &down, 1));
    SHOW(semop(s, both, 2));
    SHOW(semctl(s, 0, GETVAL));
    SHOW(semctl(s, 1, SETVAL, 5));
    SHOW(semop(s, both, 2));
    SHOW(semctl(s, 1, GETVAL));
    SHOW(semctl(s, 0, GETPID) == getpid());
    SHOW(semtimedop(s, &(struct sembuf){0, -5, 0}, 1, &(struct timespec){0, 2000000}));
    SHOW(semctl(s, 0, IPC_RMID));
}

CASE(sem_errors)
{
    int s = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf far = {1, 1, 0}, up = {0, 32767, 0};

    SHOW(semget(IPC_PRIVATE, 0, 0600));
    SHOW(semget(IPC_PRIVATE, -1, 0600));
    SHOW(semop(s, &far, 1));
    SHOW(semop(s, &up, 0));
    SHOW(semop(s, &up, 501));
    SHOW(semop(s, (void *)-1, 1));
    SHOW(semop(s, &up, 1));
    SHOW(semop(s, &up, 1));
    SHOW(semctl(s, 1, GETVAL));
    SHOW(semctl(s, 0, SETVAL, -1));
    SHOW(semctl(s, 0, SETVAL, 40000));
    SHOW(semctl(s, 0, 999));
    SHOW(semctl(s, 0, IPC_RMID));
    SHOW(semctl(s, 0, GETVAL));
    SHOW(semget(0x7a5e0002, 1, 0));
}

static int
end_with_undo(void *s)
{
    semop(*(int *)s, &(struct sembuf){0, 4, SEM_UNDO}, 1);
    return semctl(*(int *)s, 0, GETVAL);
}

CASE(sem_undo)
{
    int s = semget(IPC_PRIVATE, 1, 0600);

    say_end("child", child(end_with_undo, &s));
    SHOW(semctl(s, 0, GETVAL));
    semctl(s, 0, IPC_RMID);
}

CASE(shm_is_shared)
{
    int id = shmget(IPC_PRIVATE, 5000, 0600);
    char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
    struct shmid_ds ds;

    p[0] = 'a';
    say("%c", q[0]);
    SHOW(shmctl(id, IPC_STAT, &ds));
    say("%ld %ld", (long)ds.shm_segsz, (long)ds.shm_nattch);
    SHOW(shmctl(id, IPC_RMID, NULL));
    SHOW(shmdt(q));
    SHOW(shmdt(q));
    SHOW(shmdt(p + 1));
    say("%c", p[0]);
    SHOW(shmdt(p));
    SHOW(shmctl(id, IPC_STAT, &ds));
}

CASE(shm_errors)
{
    int id = shmget(IPC_PRIVATE, 4096, 0600);

    SHOW(shmget(IPC_PRIVATE, 0, 0600));
    SHOW(shmget(0x7a5e0003, 4096, 0));
    say("%s", shmat(-1, NULL, 0) == (void *)-1 ? strerrorname_np(errno) : "ok");
    say("%s", shmat(id, (void *)1, 0) == (void *)-1 ? strerrorname_np(errno) : "ok");
    SHOW(shmctl(id, 999, NULL));
    SHOW(shmctl(id, IPC_STAT, (void *)-1));
    SHOW(shmdt(NULL));
    shmctl(id, IPC_RMID, NULL);
}

CASE(ipc_keys_and_rights)
{
    int id = shmget(0x7a5e0004, 4096, IPC_CREAT | IPC_EXCL | 0600);

    SHOW(shmget(0x7a5e0004, 4096, IPC_CREAT | IPC_EXCL | 0600));
    SHOW(shmget(0x7a5e0004, 8192, 0600));
    SHOW(shmget(0x7a5e0004, 0, 0) == id);
    pid_t pid = fork();
    if (pid == 0) {
        become(1000);
        SHOW(shmget(0x7a5e0004, 4096, 0600));
        SHOW(shmget(0x7a5e0004, 4096, 0) == id);
        SHOW(shmctl(id, IPC_STAT, &(struct shmid_ds){0}));
        SHOW(shmctl(id, IPC_RMID, NULL));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    SHOW(shmctl(id, IPC_RMID, NULL));
}

CASE(mq_orders_by_priority)
{
    struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 8};
    mqd_t q = mq_open("/ingot-case-a", O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &a);
    unsigned priority;
    char buf[8];

    SHOW(mq_send(q, "low", 3, 1));
    SHOW(mq_send(q, "high", 4, 9));
    SHOW(mq_send(q, "low2", 4, 1));
    SHOW(mq_send(q, "more", 4, 1));
    SHOW(mq_receive(q, buf, 8, &priority));
    say("%u", priority);
    SHOW(mq_receive(q, buf, 8, &priority));
    SHOW(mq_receive(q, buf, 7, &priority));
    SHOW(mq_getattr(q, &a));
    say("%ld %ld %ld", a.mq_curmsgs, a.mq_maxmsg, a.mq_msgsize);
    SHOW(mq_unlink("/ingot-case-a"));
    SHOW(mq_unlink("/ingot-case-a"));
    SHOW(mq_receive(q, buf, 8, NULL));
}

CASE(mq_errors)
{
    struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 4};
    mqd_t q = mq_open("/ingot-case-b", O_CREAT | O_RDWR, 0600, &a);

    SHOW(mq_send(q, "12345", 5, 0));
    SHOW(mq_send(q, "1", 1, 32768));
    SHOW(mq_send(0, "1", 1, 0));
    SHOW(mq_send(-1, "1", 1, 0));
    SHOW(mq_open("/ingot-case-b", O_CREAT | O_EXCL | O_RDWR, 0600, &a));
    SHOW(mq_open("/ingot-case-c", O_RDWR));
    SHOW(mq_open("/a/b", O_CREAT | O_RDWR, 0600, &a));
    a.mq_maxmsg = 0;
    SHOW(mq_open("/ingot-case-c", O_CREAT | O_RDWR, 0600, &a));
    SHOW(mq_send(q, "1", 1, 0));
    SHOW(mq_timedsend(q, "1", 1, 0, &(struct timespec){1, 0}));
    SHOW(mq_timedsend(q, "1", 1, 0, &(struct timespec){1, 1000000000}));
    SHOW(write(q, "x", 1));
    mq_unlink("/ingot-case-b");
}
