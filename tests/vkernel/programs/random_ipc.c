/* Random calls on segments, sets of semaphores and both kinds of message queues, none of which waits, by several users
 * and by children that end with something to undo; after each call what can be asked of the objects is noted. Needs
 * root. In namespaces of its own. */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 60, OBJECTS = 3, KEY = 0x7a11d0, PAGE = 4096 };
#define BASE 0x00000000a80425fbull /* a container's: what both sides have */

static const unsigned users[] = {0, 0, 1000, 1001};
static const int modes[] = {0600, 0640, 0666, 0444, 0222, 0004, 0060, 0777, 0};
static int sets[OBJECTS], queues[OBJECTS], segments[OBJECTS], descriptors[OBJECTS];
static void *places[8];

static const char *
outcome(long r)
{
    static char text[64];

    if (r >= 0)
        snprintf(text, sizeof text, "%ld", r);
    return r < 0 ? strerrorname_np(errno) : text;
}

/* The number is the kernel's to choose. */
static const char *
outcome_of_id(int *where, int r)
{
    if (r >= 0)
        *where = r;
    return r < 0 ? strerrorname_np(errno) : "done";
}

static int
key_of(int which)
{
    return draw(6) ? KEY + which : IPC_PRIVATE;
}

static int
get_flags(void)
{
    return (draw(3) ? IPC_CREAT : 0) | (draw(4) ? 0 : IPC_EXCL) | DRAW_OF(modes);
}

static const char *
who(long pid)
{
    return pid == 0 ? "none" : pid == getpid() ? "self" : "other";
}

static void
note_perm(const struct ipc_perm *p)
{
    note("  key %d uid %u gid %u cuid %u cgid %u mode %o", p->__key, p->uid, p->gid, p->cuid, p->cgid, p->mode);
}

static void
change_perm(struct ipc_perm *p)
{
    p->uid = draw(8) ? DRAW_OF(users) : UINT_MAX;
    p->gid = draw(8) ? DRAW_OF(users) : UINT_MAX;
    p->mode = (unsigned)DRAW_OF(modes) | draw(2) << 10;
}

/* --- semaphores --- */

static void
note_set(int k)
{
    struct semid_ds d;
    unsigned short values[64];

    if (semctl(sets[k], 0, IPC_STAT, &d) < 0) {
        note("  %s", outcome(-1));
        return;
    }
    note_perm(&d.sem_perm);
    note("  nsems %lu", d.sem_nsems);
    if (semctl(sets[k], 0, GETALL, values) == 0)
        for (unsigned i = 0; i < d.sem_nsems; i++)
            note("  %d %s", values[i], who(semctl(sets[k], (int)i, GETPID)));
}

static unsigned
some_ops(struct sembuf *ops)
{
    static const short steps[] = {0, 1, 1, -1, -1, 2, -2, 5, -5, 32767, -32768, 16000};
    unsigned count = 1 + draw(5);

    for (unsigned i = 0; i < count; i++)
        ops[i] = (struct sembuf){(unsigned short)(draw(20) ? draw(4) : 50), DRAW_OF(steps),
                                 (short)(IPC_NOWAIT | (draw(3) ? 0 : SEM_UNDO))};
    return draw(30) ? count : 0;
}

static void
in_child(int k)
{
    struct sembuf ops[8];
    unsigned calls = 1 + draw(4), count = some_ops(ops);
    int status;

    fflush(stdout);
    if (fork() == 0) {
        for (unsigned i = 0; i < calls; i++)
            semop(sets[k], ops, count);
        _exit(0);
    }
    wait(&status);
    note("child %x", status);
}

static void
semaphores(void)
{
    int k = (int)draw(OBJECTS), number = draw(10) ? (int)draw(4) : -1;
    struct sembuf ops[8];
    unsigned short values[64] = {0};
    struct semid_ds d;

    switch (draw(9)) {
    case 0:
        note("semget %s",
             outcome_of_id(&sets[k], semget(key_of(k), draw(10) ? 1 + (int)draw(5) : (int)draw(2) - 1, get_flags())));
        break;
    case 1:
    case 2:
    case 3: {
        unsigned count = some_ops(ops);

        note("semop %s", outcome(semop(sets[k], ops, count)));
        break;
    }
    case 4:
        note("SETVAL %s", outcome(semctl(sets[k], number, SETVAL, draw(8) ? (int)draw(10) : (int)draw(70000) - 100)));
        break;
    case 5:
        for (int i = 0; i < 5; i++)
            values[i] = (unsigned short)(draw(12) ? draw(20) : 40000);
        note("SETALL %s", outcome(semctl(sets[k], 0, SETALL, values)));
        break;
    case 6: note("GETVAL %s", outcome(semctl(sets[k], number, GETVAL))); break;
    case 7: in_child(k); break;
    default:
        if (semctl(sets[k], 0, IPC_STAT, &d) < 0)
            memset(&d, 0, sizeof d);
        change_perm(&d.sem_perm);
        note("IPC_SET %s", outcome(draw(3) ? semctl(sets[k], 0, IPC_SET, &d) : semctl(sets[k], 0, IPC_RMID)));
    }
    note_set(k);
}

/* --- message queues --- */

static void
note_queue(int k)
{
    struct msqid_ds d;

    if (msgctl(queues[k], IPC_STAT, &d) < 0) {
        note("  %s", outcome(-1));
        return;
    }
    note_perm(&d.msg_perm);
    note("  %lu messages, %lu of %lu bytes, %s %s", d.msg_qnum, d.__msg_cbytes, d.msg_qbytes, who(d.msg_lspid),
         who(d.msg_lrpid));
}

static void
messages(void)
{
    static const long types[] = {1, 1, 2, 3, 5, 0, -1, LONG_MAX, LONG_MIN, -3};
    static const long sizes[] = {0, 1, 10, 100, 4000, 8192, 8193, -1};
    static struct {
        long type;
        char text[9000];
    } m;
    int k = (int)draw(OBJECTS),
        flags = IPC_NOWAIT | (draw(3) ? 0 : MSG_NOERROR) | (draw(5) ? 0 : MSG_EXCEPT) | (draw(6) ? 0 : MSG_COPY);
    struct msqid_ds d;
    long n;

    switch (draw(8)) {
    case 0: note("msgget %s", outcome_of_id(&queues[k], msgget(key_of(k), get_flags()))); break;
    case 1:
    case 2:
    case 3:
        m.type = DRAW_OF(types);
        memset(m.text, (int)('a' + draw(26)), sizeof m.text);
        note("msgsnd %s", outcome(msgsnd(queues[k], &m, (size_t)DRAW_OF(sizes), IPC_NOWAIT)));
        break;
    case 4:
    case 5:
    case 6:
        m.type = -7;
        n = msgrcv(queues[k], &m, (size_t)DRAW_OF(sizes), DRAW_OF(types), flags);
        note("msgrcv %s type %ld %c", outcome(n), m.type, n > 0 ? m.text[n - 1] : '-');
        break;
    default:
        if (msgctl(queues[k], IPC_STAT, &d) < 0)
            memset(&d, 0, sizeof d);
        change_perm(&d.msg_perm);
        d.msg_qbytes = draw(3) ? 16384 : draw(20000);
        note("IPC_SET %s", outcome(msgctl(queues[k], draw(3) ? IPC_SET : IPC_RMID, &d)));
    }
    note_queue(k);
}

/* --- segments --- */

static void
note_segment(int k)
{
    struct shmid_ds d;

    if (shmctl(segments[k], IPC_STAT, &d) < 0) {
        note("  %s", outcome(-1));
        return;
    }
    note_perm(&d.shm_perm);
    /* Whether parts that became alike again count as one is Linux's secret, but not whether any is left. */
    note("  size %zu attached %d %s %d", d.shm_segsz, d.shm_nattch != 0, who(d.shm_cpid), d.shm_lpid != 0);
}

/* Everything lies in a window of its own, so that nothing depends on where the kernel puts things. */
static char *const window = (char *)0x90000000;

static void
shared(void)
{
    static const int flags[] = {0, 0, SHM_RDONLY, SHM_REMAP, SHM_RND, SHM_RDONLY | SHM_REMAP, SHM_RND | SHM_REMAP};
    static const size_t sizes[] = {1, PAGE, PAGE + 1, 3 * PAGE, 5 * PAGE, 0};
    static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
    int k = (int)draw(OBJECTS);
    char *at = window + draw(12) * PAGE + (draw(8) ? 0 : 17), *p;
    struct shmid_ds d;

    switch (draw(10)) {
    case 0: note("shmget %s", outcome_of_id(&segments[k], shmget(key_of(k), DRAW_OF(sizes), get_flags()))); break;
    case 1:
    case 2:
    case 3:
        p = shmat(segments[k], at, DRAW_OF(flags));
        note("shmat %s %ld", p == (void *)-1 ? outcome(-1) : "", p == (void *)-1 ? 0 : p - window);
        break;
    case 4:
    case 5: note("shmdt %s", outcome(shmdt(at))); break;
    case 6: note("mprotect %s", outcome(mprotect(at, PAGE * (1 + draw(3)), DRAW_OF(prots)))); break;
    case 7: note("munmap %s", outcome(munmap(at, PAGE * (1 + draw(3))))); break;
    case 8: {
        int fds[2];
        char byte = (char)draw(100);

        pipe(fds); /* a read from memory that may not be there, and a write */
        note("read %s", outcome(write(fds[1], at, 1)));
        write(fds[1], &byte, 1);
        note("write %s", outcome(read(fds[0], at + PAGE / 2, 1)));
        close(fds[0]);
        close(fds[1]);
        break;
    }
    default:
        if (shmctl(segments[k], IPC_STAT, &d) < 0)
            memset(&d, 0, sizeof d);
        change_perm(&d.shm_perm);
        note("IPC_SET %s", outcome(shmctl(segments[k], draw(3) ? IPC_SET : IPC_RMID, &d)));
    }
    for (k = 0; k < OBJECTS; k++)
        note_segment(k);
}

/* --- POSIX queues --- */

static void
posix(void)
{
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_ACCMODE};
    static const long limits[][2] = {{10, 100}, {1, 1}, {3, 8192}, {0, 1}, {11, 1}, {2, 9000}};
    static char text[9000];
    int k = (int)draw(OBJECTS), at = (int)draw(6);
    struct mq_attr a = {.mq_maxmsg = limits[at][0], .mq_msgsize = limits[at][1]};
    struct pollfd p;
    char name[16];
    unsigned priority = 0;
    long n;

    snprintf(name, sizeof name, "/random%d", k);
    switch (draw(8)) {
    case 0:
    case 1: {
        int how = DRAW_OF(flags) | O_NONBLOCK | (draw(3) ? O_CREAT : 0) | (draw(4) ? 0 : O_EXCL), mode = DRAW_OF(modes);
        mqd_t q = mq_open(name, how, mode, draw(3) ? &a : NULL);

        note("mq_open %s", q < 0 ? outcome(q) : "done");
        if (q >= 0) {
            if (descriptors[k] >= 0)
                mq_close(descriptors[k]);
            descriptors[k] = q;
        }
        break;
    }
    case 2:
    case 3:
    case 4:
        memset(text, (int)('a' + draw(26)), sizeof text);
        n = (long)draw(4) * (long)draw(60);
        note("mq_send %s", outcome(mq_send(descriptors[k], text, (size_t)n, draw(20) ? draw(5) : 32768)));
        break;
    case 5:
    case 6:
        n = mq_receive(descriptors[k], text, draw(5) ? 8192 : draw(200), &priority);
        note("mq_receive %s %u %c", outcome(n), priority, n > 0 ? text[n - 1] : '-');
        break;
    default: note("mq_unlink %s", outcome(draw(2) ? mq_unlink(name) : 0));
    }
    if (mq_getattr(descriptors[k], &a) == 0)
        note("  %lx %ld %ld %ld", a.mq_flags, a.mq_maxmsg, a.mq_msgsize, a.mq_curmsgs);
    p = (struct pollfd){descriptors[k], POLLIN | POLLOUT};
    poll(&p, 1, 0);
    note("  %x", p.revents);
}

static void
sequence(void)
{
    for (int k = 0; k < OBJECTS; k++)
        sets[k] = queues[k] = segments[k] = descriptors[k] = -1;
    for (int k = 0; k < STEPS; k++)
        switch (draw(5)) {
        case 0: semaphores(); break;
        case 1: messages(); break;
        case 2: shared(); break;
        case 3: posix(); break;
        default: {
            unsigned user = DRAW_OF(users), group = DRAW_OF(users);

            if (draw(4))
                break;
            setresuid(-1, 0, -1);
            setresgid(-1, group, -1);
            setresuid(-1, user, -1);
            note("user %u group %u", user, group);
        }
        }
}

static void
remove_all(void)
{
    char name[16];

    for (int k = 0; k < OBJECTS; k++) {
        snprintf(name, sizeof name, "/random%d", k);
        mq_unlink(name);
        for (int user = 0; user < 4; user++) { /* one of whom owns it */
            setresuid(-1, users[user], -1);
            semctl(semget(KEY + k, 0, 0), 0, IPC_RMID);
            msgctl(msgget(KEY + k, 0), IPC_RMID, NULL);
            shmctl(shmget(KEY + k, 0, 0), IPC_RMID, NULL);
            setresuid(-1, 0, -1);
        }
    }
}

/* In a child, whose hash comes through memory: its attachments and what it has to undo end with it. */
static void
one(void)
{
    uint64_t *hash = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    fflush(stdout);
    if (fork() == 0) {
        sequence();
        *hash = random_hash;
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    note_bytes(hash, sizeof *hash);
    munmap(hash, PAGE);
    remove_all();
}

int
main(int argc, char **argv)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct c[2] = {{(uint32_t)BASE, (uint32_t)BASE, 0}, {0, 0, 0}};

    unshare(CLONE_NEWIPC);
    syscall(SYS_capset, &header, c);
    setgroups(0, NULL);
    umask(0);
    return random_main(argc, argv, 60, one);
}
