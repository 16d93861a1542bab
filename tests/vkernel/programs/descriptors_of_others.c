/* pidfd_getfd and kcmp: descriptors of other processes, and what processes share. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: ok\n", what);
}

static int
open_process(int pid)
{
    return syscall(SYS_pidfd_open, pid, 0);
}

static long
take(int pidfd, int fd, unsigned flags)
{
    return syscall(SYS_pidfd_getfd, pidfd, fd, flags);
}

static long
compare(int one, int other, int type, long x, long y)
{
    return syscall(SYS_kcmp, one, other, type, x, y);
}

/* Which one comes first is nobody's business. */
static void
same(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : r == 0 ? "the same" : r <= 2 ? "different" : "?");
}

static void
takes(void)
{
    int p[2], hold[2], child, pidfd, got, status;
    char text[8] = "";

    pipe(p), pipe(hold);
    child = fork();
    if (child == 0) {
        int f = open("/proc/self/exe", O_RDONLY), path = open("/", O_PATH), mine[2];

        pipe(mine);
        dup2(mine[1], 100), dup2(f, 101), dup2(path, 102);
        close(mine[1]);
        write(hold[1], "x", 1);
        read(mine[0], text, 4);
        _exit(strcmp(text, "hey") == 0 ? 3 : 4);
    }
    read(hold[0], text, 1);
    pidfd = open_process(child);
    show("flags", take(pidfd, 100, 1));
    show("not open", take(pidfd, 500, 0)), show("negative", take(pidfd, -1, 0));
    show("no pidfd", take(p[0], 0, 0)), show("closed", take(99, 0, 0));
    got = take(pidfd, 100, 0);
    printf("taken %d, close on exec %d, to write %d\n", got >= 0, fcntl(got, F_GETFD), fcntl(got, F_GETFL) & O_ACCMODE);
    same("the same file", compare(getpid(), child, KCMP_FILE, got, 100));
    same("another one", compare(getpid(), child, KCMP_FILE, got, 101));
    same("not open there", compare(getpid(), child, KCMP_FILE, got, 500));
    same("not open here", compare(getpid(), child, KCMP_FILE, 500, 100));
    show("a path", take(pidfd, 102, 0));
    write(got, "hey", 4);
    waitpid(child, &status, WNOWAIT);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    show("of a zombie", take(pidfd, 100, 0));
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    show("of nobody", take(pidfd, 100, 0));
    close(pidfd);
    pidfd = open_process(getpid());
    got = take(pidfd, p[1], 0);
    same("one's own", compare(getpid(), getpid(), KCMP_FILE, got, p[1]));
    close(got), close(pidfd);
}

static int
sleeps(void *arg)
{
    pause();
    return 0;
}

static void
shares(void)
{
    static char stack[2][65536];
    int flags = CLONE_VM | CLONE_FILES | CLONE_FS, self = getpid(), type;
    int child = clone(sleeps, stack[0] + 65536, flags | SIGCHLD, NULL), forked = fork();
    static const char *const names[] = {"file", "memory", "files", "folders", "handlers", "i/o", "semaphores"};

    if (forked == 0)
        pause();
    for (type = KCMP_VM; type <= KCMP_SYSVSEM; type++) {
        printf("%s\n", names[type]);
        same(" itself", compare(self, self, type, 0, 0));
        same(" a child that shares", compare(self, child, type, 0, 0));
        same(" a child that does not", compare(self, forked, type, 0, 0));
    }
    printf("one after the other: %d\n",
           compare(self, forked, KCMP_VM, 0, 0) + compare(forked, self, KCMP_VM, 0, 0) == 3);
    same("unknown", compare(self, self, 8, 0, 0)), same("negative", compare(self, self, -1, 0, 0));
    same("nobody", compare(self, 99999999, KCMP_VM, 0, 0)), same("nobody", compare(0, self, KCMP_VM, 0, 0));
    kill(child, SIGKILL), kill(forked, SIGKILL);
    waitpid(child, NULL, 0), waitpid(forked, NULL, 0);
}

static void
watched(void)
{
    int p[2], e = epoll_create1(0), self = getpid();
    struct kcmp_epoll_slot slot = {e, 0, 0};

    pipe(p);
    epoll_ctl(e, EPOLL_CTL_ADD, p[0], &(struct epoll_event){.events = EPOLLIN});
    slot.tfd = p[0];
    same("watched", compare(self, self, KCMP_EPOLL_TFD, p[0], (long)&slot));
    same("not the file", compare(self, self, KCMP_EPOLL_TFD, p[1], (long)&slot));
    slot.toff = 1, same("a second one", compare(self, self, KCMP_EPOLL_TFD, p[0], (long)&slot));
    slot.toff = 0, slot.tfd = 77, same("not watched", compare(self, self, KCMP_EPOLL_TFD, p[0], (long)&slot));
    slot.efd = p[0], same("no epoll", compare(self, self, KCMP_EPOLL_TFD, p[0], (long)&slot));
    slot.efd = 99, same("closed", compare(self, self, KCMP_EPOLL_TFD, p[0], (long)&slot));
    same("nowhere", compare(self, self, KCMP_EPOLL_TFD, p[0], 8));
    same("file closed", compare(self, self, KCMP_EPOLL_TFD, 99, (long)&slot));
}

static void
rights(void)
{
    int self = getpid(), pidfd = open_process(self);

    if (geteuid() != 0)
        return;
    fflush(stdout);
    if (fork() == 0) {
        setuid(12345);
        show("root's descriptor", take(pidfd, 0, 0));
        same("root's memory", compare(self, getpid(), KCMP_VM, 0, 0));
        fflush(stdout), _exit(0);
    }
    wait(NULL);
    close(pidfd);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    takes();
    shares();
    watched();
    rights();
    return 0;
}
