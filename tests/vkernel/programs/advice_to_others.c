/* process_madvise and process_mrelease: on one's own memory and another's. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

static long
advise(int pidfd, void *parts, unsigned long n, int advice, unsigned flags)
{
    return syscall(SYS_process_madvise, pidfd, parts, n, advice, flags);
}

int
main(void)
{
    int self = syscall(SYS_pidfd_open, getpid(), 0), child, other, status;
    char *a = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec parts[2] = {{a, 8192}, {a + 32768, 4096}}, odd = {a + 1, 4096},
                 hole[2] = {{a, 4096}, {a + 16384, 4096}}, empty = {a, 0};

    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(a, 'a', 65536);
    show("discards", advise(self, parts, 2, MADV_DONTNEED, 0));
    printf("%d %d %d %d\n", a[0], a[8192], a[32768], a[40000]);
    show("cold", advise(self, parts, 2, 20, 0)), show("will need", advise(self, parts, 2, MADV_WILLNEED, 0));
    show("flags", advise(self, parts, 2, 20, 1)), show("unknown", advise(self, parts, 2, 77, 0));
    show("no parts", advise(self, parts, 0, 20, 0)), show("too many", advise(self, parts, 1025, 20, 0));
    show("nowhere", advise(self, (void *)8, 1, 20, 0)), show("not aligned", advise(self, &odd, 1, 20, 0));
    show("empty", advise(self, &empty, 1, 20, 0)), show("no pidfd", advise(0, parts, 2, 20, 0)),
        show("closed", advise(99, parts, 2, 20, 0));
    munmap(a + 16384, 4096);
    show("a hole behind", advise(self, hole, 2, 20, 0)), show("a hole first", advise(self, hole + 1, 1, 20, 0));
    child = fork();
    if (child == 0)
        pause();
    other = syscall(SYS_pidfd_open, child, 0);
    show("another's discards", advise(other, parts, 2, MADV_DONTNEED, 0)),
        show("another's unknown", advise(other, parts, 2, 77, 0));
    show("release of a living one", syscall(SYS_process_mrelease, other, 0));
    show("flags", syscall(SYS_process_mrelease, other, 1)), show("no pidfd", syscall(SYS_process_mrelease, 0, 0));
    show("itself", syscall(SYS_process_mrelease, self, 0));
    kill(child, SIGKILL);
    waitid(P_PID, child, &(siginfo_t){0}, WEXITED | WNOWAIT);
    show("of a zombie", syscall(SYS_process_mrelease, other, 0));
    show("a zombie's memory", advise(other, parts, 2, 20, 0));
    waitpid(child, &status, 0);
    show("of nobody", syscall(SYS_process_mrelease, other, 0));
    show("nobody's memory", advise(other, parts, 2, 20, 0));
    if (geteuid() == 0) {
        child = fork();
        if (child == 0)
            pause();
        other = syscall(SYS_pidfd_open, child, 0);
        if (fork() == 0) {
            setuid(12345);
            show("root's memory", advise(other, parts, 2, 20, 0));
            _exit(0);
        }
        wait(NULL);
        kill(child, SIGKILL);
        wait(NULL);
    }
    return 0;
}
