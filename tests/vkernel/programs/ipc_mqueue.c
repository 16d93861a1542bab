/* POSIX message queues: names, attributes, priorities, waiting, notices, and their file system. Needs root. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc.h"

enum { SOMEBODY = 1000 };
#define NAME "/ingot-ipc-mqueue"
#define BARE (NAME + 1)

static int
sys_open(const char *name, int flags, struct mq_attr *a)
{
    int fd = (int)syscall(SYS_mq_open, name, flags, 0600, a);

    if (fd >= 0)
        close(fd);
    return fd;
}

static void
names(void)
{
    static char longest[300] = {[0 ... 254] = 'x'}, longer[300] = {[0 ... 255] = 'x'},
                path[5000] = {[0 ... 4998] = 'x'};

    printf("names: %s", error(sys_open(BARE, O_RDWR, NULL)));
    printf(" %s", error(sys_open("", O_RDWR, NULL)));
    printf(" %s", error(sys_open(".", O_RDWR | O_CREAT, NULL)));
    printf(" %s", error(sys_open("..", O_RDWR, NULL)));
    printf(" %s", error(sys_open("a/b", O_RDWR | O_CREAT, NULL)));
    printf(" %s", error(sys_open((void *)8, O_RDWR | O_CREAT, NULL)));
    printf(" %s", error(sys_open(path, O_RDWR | O_CREAT, NULL)));
    printf(" %s", error(sys_open(longer, O_RDWR | O_CREAT, NULL)));
    printf(" %s", error(sys_open(longest, O_RDWR | O_CREAT, NULL)));
    printf(" %s\n", error(syscall(SYS_mq_unlink, longest)));
    printf("unlink: %s", error(syscall(SYS_mq_unlink, BARE)));
    printf(" %s", error(syscall(SYS_mq_unlink, "")));
    printf(" %s", error(syscall(SYS_mq_unlink, "..")));
    printf(" %s\n", error(syscall(SYS_mq_unlink, "a/b")));
}

static void
attributes(void)
{
    static const long tries[][2] = {{0, 1},    {1, 0},     {-1, 1},    {1, -1}, {11, 1},
                                    {1, 8193}, {65537, 1}, {10, 8192}, {1, 1}};
    struct mq_attr a = {0}, got;
    struct rlimit r, less = {1000, 1000};
    mqd_t q;

    printf("attributes:");
    for (int k = 0; k < 9; k++) {
        a.mq_maxmsg = tries[k][0];
        a.mq_msgsize = tries[k][1];
        printf(" %s", error(sys_open(BARE, O_RDWR | O_CREAT, &a)));
        mq_unlink(NAME);
    }
    printf(" %s %s\n", error(sys_open(BARE, O_RDWR | O_CREAT, (void *)8)), error(sys_open("none", O_RDWR, (void *)8)));
    getrlimit(RLIMIT_MSGQUEUE, &r);
    q = mq_open(NAME, O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL);
    mq_getattr(q, &got);
    printf("usual: %lx %ld %ld %ld, close on exec %d, flags %x\n", got.mq_flags, got.mq_maxmsg, got.mq_msgsize,
           got.mq_curmsgs, fcntl(q, F_GETFD), fcntl(q, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    a.mq_flags = 1;
    printf("set: %s", error(mq_setattr(q, &a, NULL)));
    a.mq_flags = 0;
    printf(" %s", error(mq_setattr(q, &a, &got)));
    printf(" was %lx", got.mq_flags);
    mq_getattr(q, &got);
    printf(" is %lx %ld", got.mq_flags, got.mq_maxmsg);
    printf(" %s", error(syscall(SYS_mq_getsetattr, q, (void *)8, NULL)));
    printf(" %s", error(syscall(SYS_mq_getsetattr, q, NULL, (void *)8)));
    printf(" %s", error(syscall(SYS_mq_getsetattr, 0, NULL, &got)));
    printf(" %s\n", error(syscall(SYS_mq_getsetattr, 99, NULL, &got)));
    printf("again: %s %s %s\n", error(sys_open(BARE, O_RDWR | O_CREAT | O_EXCL, NULL)),
           error(sys_open(BARE, O_RDWR | O_CREAT, NULL)), error(sys_open(BARE, O_ACCMODE, NULL)));
    mq_close(q);
    mq_unlink(NAME);
    setrlimit(RLIMIT_MSGQUEUE, &less);
    a = (struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 904};
    printf("limit: %s", error(sys_open(BARE, O_RDWR | O_CREAT, &a)));
    mq_unlink(NAME);
    a.mq_msgsize = 905;
    printf(" %s\n", error(sys_open(BARE, O_RDWR | O_CREAT, &a)));
}

static char text[8192];

static void
receive(mqd_t q)
{
    unsigned priority = 0;
    int n = (int)mq_receive(q, text, sizeof text, &priority);

    printf("[%s %d %u %.*s]", error(n), n, priority, n > 0 ? n : 0, text);
}

static void
messages(mqd_t q)
{
    struct mq_attr a;
    struct stat st;

    printf("priorities: ");
    for (int k = 0; k < 6; k++)
        mq_send(q, "abcdef" + k, 1, (unsigned)"\1\5\1\0\5\3"[k]);
    mq_send(q, "", 0, 32767);
    mq_getattr(q, &a);
    printf("%ld ", a.mq_curmsgs);
    for (int k = 0; k < 7; k++)
        receive(q);
    printf("\nsend: %s", error(mq_send(q, "x", 1, 32768)));
    printf(" %s", error(mq_send(q, "x", 1, -1)));
    printf(" %s", error(mq_send(q, text, 8193, 0)));
    printf(" %s", error(mq_send(q, (void *)8, 1, 0)));
    printf(" %s", error(mq_send(0, "x", 1, 0)));
    printf(" %s\n", error(mq_send(99, "x", 1, 40000)));
    printf("receive: %s", error(mq_receive(q, text, 8191, NULL)));
    printf(" %s", error(mq_receive(0, text, 8192, NULL)));
    mq_send(q, "lost", 4, 0);
    printf(" %s", error(mq_receive(q, (void *)8, 8192, NULL)));
    mq_send(q, "lost", 4, 0);
    printf(" %s", error(syscall(SYS_mq_timedreceive, q, text, 8192, (void *)8, NULL)));
    mq_getattr(q, &a);
    printf(" left %ld\n", a.mq_curmsgs);
    fstat(q, &st);
    printf("file: %o %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
    printf("write: %s, truncate: %s\n", error(write(q, "x", 1)), error(ftruncate(q, 5)));
}

static void
modes(void)
{
    mqd_t r = mq_open(NAME, O_RDONLY), w = mq_open(NAME, O_WRONLY);

    printf("read only: %s, write only: %s\n", error(mq_send(r, "x", 1, 0)), error(mq_receive(w, text, 8192, NULL)));
    mq_close(r);
    mq_close(w);
}

static void
times(mqd_t q)
{
    struct timespec t, bad = {0, 1000000000}, past = {1, 0}, negative = {-1, 0};
    struct mq_attr nonblock = {.mq_flags = O_NONBLOCK}, block = {0};

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    printf("times: %s", error(mq_timedreceive(q, text, 8192, NULL, &t)));
    printf(" %s", error(mq_timedreceive(q, text, 8192, NULL, &past)));
    printf(" %s", error(mq_timedreceive(q, text, 8192, NULL, &bad)));
    printf(" %s", error(mq_timedreceive(99, text, 1, NULL, &negative)));
    printf(" %s", error(syscall(SYS_mq_timedreceive, 99, text, 1, NULL, (void *)8)));
    for (int k = 0; k < 10; k++)
        mq_send(q, "x", 1, 0);
    printf(" full: %s", error(mq_timedsend(q, "x", 1, 0, &past)));
    mq_setattr(q, &nonblock, NULL);
    printf(" %s", error(mq_send(q, "x", 1, 0)));
    for (int k = 0; k < 10; k++)
        mq_receive(q, text, 8192, NULL);
    printf(" empty: %s", error(mq_receive(q, text, 8192, NULL)));
    printf(" not looked at: %s\n", error(mq_timedsend(q, "x", 1, 0, &past)));
    mq_receive(q, text, 8192, NULL);
    mq_setattr(q, &block, NULL);
}

/* --- waiting --- */

static pid_t
waiter(mqd_t q, const char *send, unsigned priority)
{
    pid_t pid = fork();

    if (pid == 0) {
        int n = (int)(send ? mq_send(q, send, strlen(send), priority) : mq_receive(q, text, 8192, &priority));

        if (send)
            told("[sent %s %s]", send, error(n));
        else
            told("[%.*s %u]", n, text, priority);
        _exit(0);
    }
    until_asleep(pid);
    return pid;
}

static void
waiting(mqd_t q)
{
    pid_t pid;

    waiter(q, NULL, 0);
    waiter(q, NULL, 0);
    mq_send(q, "first", 5, 1);
    read_told("first", 1);
    mq_send(q, "second", 6, 2);
    read_told("second", 1);
    for (int k = 0; k < 10; k++)
        mq_send(q, "x", 1, 3);
    waiter(q, "low", 1);
    waiter(q, "high", 9);
    receive(q);
    read_told("\nroom", 1);
    receive(q);
    read_told("\nroom", 1);
    receive(q);
    for (int k = 0; k < 9; k++)
        receive(q);
    printf("\n");
    pid = waiter(q, NULL, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    mq_send(q, "nobody waits", 12, 1);
    receive(q);
    printf("\n");
}

static volatile int alarms;
static void
on_alarm(int sig)
{
    alarms++;
}

static void
interrupted(mqd_t q)
{
    struct sigaction s = {.sa_handler = on_alarm};
    pid_t pid;

    sigaction(SIGALRM, &s, NULL);
    ualarm(20000, 0);
    printf("interrupted: %s", error(mq_receive(q, text, 8192, NULL)));
    s.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &s, NULL);
    if ((pid = fork()) == 0) {
        ualarm(20000, 0);
        told("[%s %d]", error(mq_receive(q, text, 8192, NULL)), alarms);
        _exit(0);
    }
    usleep(100000);
    mq_send(q, "x", 1, 0);
    read_told(" restarted", 1);
}

static void
polled(mqd_t q)
{
    struct pollfd p = {q, POLLIN | POLLOUT};
    struct epoll_event e = {EPOLLIN | EPOLLET}, got;
    int ep = epoll_create1(0);

    poll(&p, 1, 0);
    printf("poll: %x", p.revents);
    printf(" epoll: %s", error(epoll_ctl(ep, EPOLL_CTL_ADD, q, &e)));
    printf(" %d", epoll_wait(ep, &got, 1, 0));
    mq_send(q, "x", 1, 0);
    printf(" %d", epoll_wait(ep, &got, 1, 0));
    poll(&p, 1, 0);
    printf(" one: %x", p.revents);
    for (int k = 1; k < 10; k++)
        mq_send(q, "x", 1, 0);
    poll(&p, 1, 0);
    printf(" full: %x\n", p.revents);
    for (int k = 0; k < 10; k++)
        mq_receive(q, text, 8192, NULL);
    close(ep);
}

/* --- notices --- */

static void
show_state(mqd_t q)
{
    char line[128] = "";
    int number, notify, sig, pid;

    pread(q, line, sizeof line, 0);
    sscanf(line, "QSIZE:%d NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", &number, &notify, &sig, &pid);
    printf("  %zu bytes: %d %d %d %d\n", strlen(line), number, notify, sig, pid == getpid());
}

static void
signalled(mqd_t q)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    struct timespec soon = {0, 0};
    sigset_t set;
    siginfo_t info;
    int r;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    printf("notify: %s", error(mq_notify(q, &e)));
    printf(" %s\n", error(mq_notify(q, &e)));
    show_state(q);
    if (fork() == 0) {
        told("[other %s", error(mq_notify(q, &e)));
        told(" %s]", error(mq_notify(q, NULL)));
        mq_send(q, "x", 1, 0);
        _exit(0);
    }
    read_told("other", 1);
    r = sigtimedwait(&set, &info, &soon);
    printf("signal: %d code %d value %d uid %d pid %d\n", r == SIGUSR1, info.si_code, info.si_value.sival_int,
           info.si_uid, info.si_pid != getpid() && info.si_pid > 0);
    show_state(q);
    mq_notify(q, &e);
    mq_send(q, "x", 1, 0);
    printf("not empty: %s", error(sigtimedwait(&set, &info, &soon)));
    mq_receive(q, text, 8192, NULL);
    mq_receive(q, text, 8192, NULL);
    waiter(q, NULL, 0);
    mq_send(q, "x", 1, 0);
    wait(NULL);
    printf(" somebody waits: %s", error(sigtimedwait(&set, &info, &soon)));
    read_told("", 0);
    printf("removed: %s", error(mq_notify(q, NULL)));
    mq_send(q, "x", 1, 0);
    printf(" %s", error(sigtimedwait(&set, &info, &soon)));
    mq_receive(q, text, 8192, NULL);
    mq_notify(q, &e);
    close(dup(q));
    mq_send(q, "x", 1, 0);
    printf(" a duplicate closed: %s\n", error(sigtimedwait(&set, &info, &soon)));
    mq_receive(q, text, 8192, NULL);
    if (fork() == 0) {
        mq_notify(q, &e);
        _exit(0);
    }
    wait(NULL);
    printf("its owner ended: %s\n", error(mq_notify(q, &e)));
    mq_notify(q, NULL);
    e.sigev_notify = SIGEV_NONE;
    printf("none: %s", error(mq_notify(q, &e)));
    printf(" %s\n", error(mq_notify(q, &e)));
    mq_send(q, "x", 1, 0);
    show_state(q);
    mq_receive(q, text, 8192, NULL);
    e.sigev_notify = 9;
    printf("bad: %s", error(syscall(SYS_mq_notify, 99, &e)));
    e.sigev_notify = SIGEV_SIGNAL;
    e.sigev_signo = 65;
    printf(" %s", error(syscall(SYS_mq_notify, q, &e)));
    e.sigev_signo = 0;
    printf(" %s", error(syscall(SYS_mq_notify, q, &e)));
    mq_notify(q, NULL);
    printf(" %s", error(syscall(SYS_mq_notify, 99, &e)));
    printf(" %s", error(syscall(SYS_mq_notify, 0, NULL)));
    printf(" %s\n", error(syscall(SYS_mq_notify, q, (void *)8)));
}

static void
cookies(mqd_t q)
{
    char cookie[32] = "a cookie", got[64];
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_ptr = cookie};
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), n;
    int u = socket(AF_UNIX, SOCK_STREAM, 0);

    e.sigev_signo = 99;
    printf("cookie: %s", error(syscall(SYS_mq_notify, q, &e)));
    e.sigev_signo = letters[0];
    printf(" %s", error(syscall(SYS_mq_notify, q, &e)));
    e.sigev_signo = u;
    printf(" %s", error(syscall(SYS_mq_notify, q, &e)));
    e.sigev_signo = s;
    printf(" %s", error(syscall(SYS_mq_notify, 99, &e)));
    printf(" %s", error(syscall(SYS_mq_notify, q, &e)));
    printf(" %s\n", error(syscall(SYS_mq_notify, q, &e)));
    show_state(q);
    mq_send(q, "x", 1, 0);
    n = (int)recv(s, got, sizeof got, MSG_DONTWAIT);
    printf("woken: %d %s %d\n", n, got, got[31]);
    printf("again: %s\n", error(recv(s, got, sizeof got, MSG_DONTWAIT)));
    mq_receive(q, text, 8192, NULL);
    syscall(SYS_mq_notify, q, &e);
    mq_notify(q, NULL);
    n = (int)recv(s, got, sizeof got, MSG_DONTWAIT);
    printf("removed: %d %s %d\n", n, got, got[31]);
    e.sigev_value.sival_ptr = (void *)8;
    printf("no cookie: %s\n", error(syscall(SYS_mq_notify, q, &e)));
    close(s);
    close(u);
}

static int thread_told[2];
static void
in_thread(union sigval v)
{
    write(thread_told[1], v.sival_ptr, 5);
}

static void
by_thread(mqd_t q)
{
    struct sigevent e = {.sigev_notify = SIGEV_THREAD,
                         .sigev_value.sival_ptr = "hello",
                         .sigev_notify_function = in_thread};
    char got[6] = "";

    pipe(thread_told);
    printf("thread: %s", error(mq_notify(q, &e)));
    mq_send(q, "x", 1, 0);
    read(thread_told[0], got, 5);
    printf(" %s\n", got);
    mq_receive(q, text, 8192, NULL);
}

/* --- the file system, and rights --- */

static void
files(const char *dir)
{
    char path[128], line[128] = "";
    struct stat st;
    int fd;
    mqd_t q;

    stat(dir, &st);
    printf("folder: %o\n", st.st_mode);
    snprintf(path, sizeof path, "%s" NAME, dir);
    printf("there: %s", error(stat(path, &st)));
    printf(" %o %ld\n", st.st_mode, (long)st.st_size);
    fd = open(path, O_RDONLY);
    printf("read: %zd %d\n", read(fd, line, sizeof line), strncmp(line, "QSIZE:0 ", 8));
    printf("receive: %s\n", error(mq_timedreceive(fd, text, 8192, NULL, &(struct timespec){1, 0})));
    close(fd);
    printf("chmod: %s, rename: %s", error(chmod(path, 0640)), error(rename(path, strcat(strcpy(line, path), "2"))));
    printf(", link: %s, mkdir: %s\n", error(link(path, line)), error(mkdir(line, 0700)));
    fd = open(line, O_CREAT | O_RDWR, 0600);
    printf("made: %s", error(mq_send(fd, "by name", 7, 2)));
    close(fd);
    q = mq_open(NAME "2", O_RDWR);
    receive(q);
    mq_close(q);
    printf(" removed: %s", error(unlink(line)));
    printf(" %s\n", error(mq_unlink(NAME "2")));
}

static void
rights(void)
{
    if (fork() == 0) {
        setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
        told("[%s", error(sys_open(BARE, O_RDONLY, NULL)));
        told(" %s", error(sys_open(BARE, O_RDWR | O_CREAT, NULL)));
        told(" %s", error(mq_unlink(NAME)));
        told(" %s", error(sys_open("somebody's", O_RDWR | O_CREAT, NULL)));
        told(" %s]", error(mq_unlink("/somebody's")));
        _exit(0);
    }
    read_told("somebody", 1);
}

static void
many(void)
{
    struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 1};
    char name[32];
    int count = 0;

    for (; count < 300; count++) {
        snprintf(name, sizeof name, "q%d", count);
        if (sys_open(name, O_RDWR | O_CREAT, &a) < 0)
            break;
    }
    printf("%d queues, then %s\n", count, error(-1));
    while (count-- > 0) {
        snprintf(name, sizeof name, "q%d", count);
        syscall(SYS_mq_unlink, name);
    }
}

static void
file_system(mqd_t q)
{
    struct statfs st;

    printf("fstatfs: %d", fstatfs(q, &st));
    printf(" %lx %ld %ld\n", (long)st.f_type, (long)st.f_bsize, (long)st.f_namelen);
}

int
main(void)
{
    const char *dir = "/dev/mqueue";
    char own[] = "/tmp/mqueueXXXXXX";
    mqd_t q;

    setvbuf(stdout, NULL, _IOLBF, 0);
    /* On Linux in namespaces of its own, where queues of others are not counted and the file system can be mounted. */
    if (unshare(CLONE_NEWIPC | CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mkdtemp(own) && mount("mqueue", own, "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
        dir = own;
    drop_capabilities();
    pipe(letters);
    umask(0022);
    names();
    q = mq_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0622, NULL);
    messages(q);
    modes();
    times(q);
    waiting(q);
    interrupted(q);
    polled(q);
    signalled(q);
    cookies(q);
    by_thread(q);
    files(dir);
    file_system(q);
    rights();
    printf("unlink: %s", error(mq_unlink(NAME)));
    printf(" %s", error(mq_unlink(NAME)));
    mq_send(q, "still here", 10, 0);
    receive(q);
    printf("\n");
    mq_close(q);
    many();
    attributes();
    if (dir == own) {
        umount2(own, MNT_DETACH);
        rmdir(own);
    }
    return 0;
}
