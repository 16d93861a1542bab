/* What a session's end, its leader's leaving and a hangup say to the jobs of its terminal. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { ENDS, ENDS_WITH_STOPPED, LEAVES, HANGUP, KINDS };
static volatile struct {
    int signals[65], foreground, left;
} *seen;

static void
count(int sig)
{
    seen->signals[sig]++;
}

static void
job(int tty, int kind)
{
    int r;

    setpgid(0, 0);
    signal(SIGHUP, count);
    signal(SIGCONT, count);
    tcsetpgrp(tty, getpid());
    if (kind == ENDS_WITH_STOPPED)
        kill(getpid(), SIGSTOP);
    for (int k = 0; k < 40; k++)
        usleep(5000);
    r = tcgetpgrp(tty);
    seen->foreground = r < 0 ? errno : 0;
    _exit(0);
}

static void
leader(const char *name, int master, int kind)
{
    int tty;

    setsid();
    tty = open(name, O_RDWR);
    close(master);
    signal(SIGTTOU, SIG_IGN);
    if (kind >= LEAVES) {
        signal(SIGHUP, count);
        signal(SIGCONT, count);
    }
    if (fork() == 0)
        job(tty, kind);
    usleep(60000);
    if (kind == LEAVES)
        seen->left = ioctl(tty, TIOCNOTTY);
    if (kind == HANGUP)
        close(tty);
    if (kind >= LEAVES)
        usleep(60000);
    _exit(0);
}

int
main(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int kind = 0; kind < KINDS; kind++) {
        int master = posix_openpt(O_RDWR | O_NOCTTY);
        const char *name;

        memset((void *)seen, 0, sizeof *seen);
        unlockpt(master);
        name = ptsname(master);
        if (fork() == 0)
            leader(name, master, kind);
        if (kind == HANGUP) {
            usleep(100000);
            close(master);
        }
        while (wait(NULL) > 0 || errno == EINTR)
            ;
        printf("%d: SIGHUP %d SIGCONT %d foreground %d left %d\n", kind, seen->signals[SIGHUP], seen->signals[SIGCONT],
               seen->foreground, seen->left);
        fflush(stdout);
        if (kind != HANGUP)
            close(master);
    }
    return 0;
}
