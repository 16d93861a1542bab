/* Message queues of System V: types, sizes, waiting on both sides, and msgctl. Needs root. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc.h"

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
enum { KEY = 0x1d6074, SOMEBODY = 1000 };
static int queue;
static struct {
    long type;
    char text[20000];
} message;

static int
put(long type, const char *text, int flags)
{
    message.type = type;
    strcpy(message.text, text);
    return msgsnd(queue, &message, strlen(text), flags);
}

static void
take(const char *what, long type, int flags)
{
    int n;

    memset(&message, 0, 64);
    n = (int)msgrcv(queue, &message, 64, type, flags);
    printf("%s: %s %d %ld %s\n", what, error(n), n, message.type, message.text);
}

static void
look(const char *what)
{
    struct msqid_ds d;

    msgctl(queue, IPC_STAT, &d);
    printf("%s: %ld messages, %ld bytes of %ld\n", what, d.msg_qnum, d.__msg_cbytes, d.msg_qbytes);
}

static void
keys(void)
{
    int a = msgget(KEY, IPC_CREAT | IPC_EXCL | 0640);

    printf("again: %d", msgget(KEY, IPC_CREAT) == a);
    printf(" %s", error(msgget(KEY, IPC_CREAT | IPC_EXCL)));
    printf(" none: %s", error(msgget(KEY + 1, 0)));
    printf(" remove: %s", error(msgctl(a, IPC_RMID, NULL)));
    printf(" again: %s\n", error(msgctl(a, IPC_RMID, NULL)));
}

static void
fill(void)
{
    put(3, "three", 0);
    put(1, "one", 0);
    put(2, "two", 0);
    put(3, "another three", 0);
    put(1, "another one", 0);
    put(7, "", 0);
}

static void
types(void)
{
    fill();
    look("filled");
    take("copy of the third", 2, MSG_COPY | IPC_NOWAIT);
    take("copy of the 7th", 6, MSG_COPY | IPC_NOWAIT);
    take("copy of none", -1, MSG_COPY | IPC_NOWAIT);
    take("type 2", 2, 0);
    take("up to 2", -2, 0);
    take("up to 3", -3, 0);
    take("up to 0", -0x7fffffffffffffff - 1, IPC_NOWAIT);
    take("not 3", 3, MSG_EXCEPT);
    take("none of type 2", 2, IPC_NOWAIT);
    take("not 3", 3, MSG_EXCEPT | IPC_NOWAIT);
    take("any", 0, 0);
    take("any", 0, IPC_NOWAIT);
    look("empty");
}

static void
arguments(void)
{
    message.type = 1;
    printf("send: %s", error(msgsnd(-1, &message, 1, 0)));
    printf(" %s", error(msgsnd(queue + 1, &message, 1, 0)));
    printf(" %s", error(msgsnd(queue, &message, 8193, 0)));
    printf(" %s", error(msgsnd(queue, &message, -1, 0)));
    printf(" %s", error(msgsnd(-1, (void *)8, 1, 0)));
    printf(" %s", error(msgsnd(queue, &message, 8192, 0)));
    message.type = 0;
    printf(" %s", error(msgsnd(queue, &message, 1, 0)));
    message.type = -1;
    printf(" %s\n", error(msgsnd(queue, &message, 1, 0)));
    printf("receive: %s", error(msgrcv(-1, &message, 1, 0, 0)));
    printf(" %s", error(msgrcv(queue + 1, &message, 1, 0, 0)));
    printf(" %s", error(msgrcv(queue, &message, -1, 0, 0)));
    printf(" %s", error(msgrcv(queue, &message, 1, 0, 0)));
    printf(" %s", error(msgrcv(queue, &message, 1, 0, MSG_COPY)));
    printf(" %s", error(msgrcv(queue, &message, 1, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT)));
    printf(" %s", error(msgrcv(queue, &message, 1, 0, MSG_COPY | IPC_NOWAIT)));
    printf(" %s", error(msgrcv(queue, &message, 1, 0, MSG_COPY | MSG_NOERROR | IPC_NOWAIT)));
    look(" ");
    printf("a part: %ld\n", (long)msgrcv(queue, &message, 100, 0, MSG_NOERROR));
    put(5, "lost", 0);
    printf("no memory: %s\n", error(msgrcv(queue, (void *)8, 100, 0, 0)));
    look(" ");
    printf("control: %s", error(msgctl(-1, IPC_STAT, NULL)));
    printf(" %s", error(msgctl(queue, 99, NULL)));
    printf(" %s", error(msgctl(queue, IPC_STAT, (void *)8)));
    printf(" %s", error(msgctl(-1, IPC_SET, (void *)8)));
    printf(" %s\n", error(msgctl(queue + 1, IPC_SET, (void *)8)));
}

static void
full(void)
{
    int count = 0;

    while (put(1, "12345678901234567890123456789012345678901234567890", IPC_NOWAIT) == 0)
        count++;
    printf("%d messages, then %s\n", count, error(-1));
    printf("a small one: %s\n", error(put(1, "x", IPC_NOWAIT)));
    while (put(1, "", IPC_NOWAIT) == 0)
        count++;
    look("full");
    while (msgrcv(queue, &message, 100, 0, IPC_NOWAIT) >= 0)
        count--;
    printf("%d are left\n", count);
    while (put(1, "", IPC_NOWAIT) == 0)
        count++;
    printf("%d empty ones\n", count);
    while (msgrcv(queue, &message, 100, 0, IPC_NOWAIT) >= 0)
        count--;
}

/* --- waiting --- */

static pid_t
receiver(long type, int size, int flags)
{
    pid_t pid = fork();

    if (pid == 0) {
        int n = (int)msgrcv(queue, &message, (size_t)size, type, flags);

        told("[%ld: %s %.*s]", type, error(n), n < 0 ? 0 : n, message.text);
        _exit(0);
    }
    until_asleep(pid);
    return pid;
}

static void
receivers(void)
{
    struct msqid_ds d;
    pid_t pid;

    receiver(2, 64, 0);
    receiver(0, 64, 0);
    receiver(0, 64, 0);
    put(1, "to the first that takes any", 0);
    read_told("one", 1);
    put(2, "of type 2", 0);
    read_told("two", 1);
    put(9, "the other", 0);
    read_told("three", 1);
    receiver(0, 3, 0);
    receiver(0, 3, MSG_NOERROR);
    put(4, "too long for one", 0);
    wait(NULL);
    wait(NULL);
    {
        char text[200];
        int n = (int)read(letters[0], text, sizeof text);

        printf("too long: %d %d\n", n, memmem(text, (size_t)n, "E2BIG", 5) && memmem(text, (size_t)n, "too", 3));
    }
    look("left");
    receiver(-5, 64, 0);
    put(6, "above", 0);
    put(5, "not above", 0);
    read_told("up to", 1);
    take("left", 0, 0);
    receiver(6, 64, MSG_EXCEPT);
    put(6, "that", 0);
    put(7, "another", 0);
    read_told("except", 1);
    take("left", 0, 0);
    msgctl(queue, IPC_STAT, &d);
    printf("pids: %d %d times %d %d\n", d.msg_lspid == getpid(), d.msg_lrpid == getpid(), d.msg_stime > time(NULL) - 60,
           d.msg_rtime > time(NULL) - 60);
    pid = receiver(0, 64, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    put(1, "nobody waits", 0);
    take("after a kill", 0, 0);
}

static void
senders(void)
{
    pid_t pid;

    while (put(1, "1234567890123456789012345678901234567890123456789012345678901234", IPC_NOWAIT) == 0)
        ;
    if ((pid = fork()) == 0) {
        told("[large %s]", error(msgsnd(queue, &message, 128, 0)));
        _exit(0);
    }
    until_asleep(pid);
    if ((pid = fork()) == 0) {
        told("[small %s]", error(msgsnd(queue, &message, 64, 0)));
        _exit(0);
    }
    until_asleep(pid);
    msgrcv(queue, &message, 64, 0, 0);
    read_told("room for the small one", 1);
    msgrcv(queue, &message, 64, 0, 0);
    msgrcv(queue, &message, 64, 0, 0);
    read_told("room for the large one", 1);
    look("full");
}

static void
on_signal(int sig)
{
}

static void
interrupted(void)
{
    struct sigaction s = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGALRM, &s, NULL);
    ualarm(30000, 0);
    printf("send: %s", error(put(1, "more than there is room for", 0)));
    while (msgrcv(queue, &message, 200, 0, IPC_NOWAIT) >= 0)
        ;
    ualarm(30000, 0);
    printf(" receive: %s\n", error(msgrcv(queue, &message, 64, 0, 0)));
}

static void
settings(void)
{
    struct msqid_ds d, old;
    pid_t pid;

    msgctl(queue, IPC_STAT, &old);
    d = old;
    d.msg_qbytes = 16385;
    printf("more: %s", error(msgctl(queue, IPC_SET, &d)));
    d.msg_qbytes = 10;
    d.msg_perm.uid = -1;
    printf(" %s", error(msgctl(queue, IPC_SET, &d)));
    d.msg_perm = old.msg_perm;
    printf(" less: %s\n", error(msgctl(queue, IPC_SET, &d)));
    printf("too long for it: %s", error(put(1, "12345678901", IPC_NOWAIT)));
    printf(" not: %s\n", error(put(1, "1234567890", IPC_NOWAIT)));
    take("it", 0, 0);
    /* One who waits looks anew whether he may. */
    d.msg_perm.mode = 0666;
    msgctl(queue, IPC_SET, &d);
    if ((pid = fork()) == 0) {
        setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
        told("[%s]", error(msgrcv(queue, &message, 64, 0, 0)));
        told("[%s]", error(put(1, "x", 0)));
        told("[%s]", error(msgget(KEY, 0600)));
        told("[%s]", error(msgget(KEY, 0)));
        told("[%s]", error(msgctl(queue, IPC_STAT, &d)));
        told("[%d]", msgctl(queue % 32768, MSG_STAT_ANY, &d) == queue);
        told("[%s]", error(msgctl(queue, IPC_RMID, NULL)));
        _exit(0);
    }
    until_asleep(pid);
    d = old;
    d.msg_perm.mode = 0600;
    msgctl(queue, IPC_SET, &d);
    read_told("not permitted any more", 1);
}

static void
information(void)
{
    struct msginfo i;
    struct msqid_ds d;
    int highest = msgctl(0, IPC_INFO, (void *)&i);
    FILE *f = fopen("/proc/sysvipc/msg", "r");
    char line[512];
    long v[12];
    unsigned mode;

    printf("limits: %d %d %d %d %d %d %d %d\n", i.msgpool, i.msgmap, i.msgmax, i.msgmnb, i.msgmni, i.msgssz, i.msgtql,
           i.msgseg);
    put(2, "counted", 0);
    printf("in use: %d", msgctl(0, MSG_INFO, (void *)&i) == highest);
    printf(" %d %d %d\n", i.msgpool, i.msgmap, i.msgtql);
    printf("by slot: %d\n", msgctl(queue % 32768, MSG_STAT, &d) == queue);
    fgets(line, sizeof line, f);
    printf("%s", line);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%ld %ld %o %ld %ld %ld %ld %ld %ld", v, v + 1, &mode, v + 3, v + 4, v + 5, v + 6, v + 7,
                   v + 8) == 9 &&
            v[1] == queue)
            printf("%zu: %lx %o %ld %ld %d %ld %ld\n", strlen(line), v[0], mode, v[3], v[4], v[5] == getpid(), v[7],
                   v[8]);
    fclose(f);
}

static void
removed(void)
{
    pid_t pid;

    receiver(77, 64, 0);
    while (put(1, "1234567890123456789012345678901234567890123456789012345678901234", IPC_NOWAIT) == 0)
        ;
    if ((pid = fork()) == 0) {
        msgsnd(queue, &message, 128, 0);
        told("[77: %s ]", error(-1));
        _exit(0);
    }
    until_asleep(pid);
    msgctl(queue, IPC_RMID, NULL);
    read_told("removed", 2);
    printf("gone: %s\n", error(put(1, "x", 0)));
}

/* The change wakes the receiver, who is to look at the queue again, and it is gone when he does. */
static void
removed_after_a_change(void)
{
    struct msqid_ds d;

    queue = msgget(IPC_PRIVATE, 0600);
    receiver(5, 64, 0);
    msgctl(queue, IPC_STAT, &d);
    printf("change: %d", msgctl(queue, IPC_SET, &d));
    printf(", removal: %d\n", msgctl(queue, IPC_RMID, NULL));
    read_told("removed after a change", 1);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    unshare(CLONE_NEWIPC); /* on Linux without what others have left */
    drop_capabilities();
    pipe(letters);
    keys();
    queue = msgget(KEY, IPC_CREAT | 0600);
    arguments();
    types();
    full();
    receivers();
    senders();
    interrupted();
    settings();
    information();
    removed();
    removed_after_a_change();
    return 0;
}
