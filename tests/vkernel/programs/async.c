/* O_ASYNC: signals that tell of a file's events, their owners, and who may be one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int told, code, fd, band;

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    told = sig;
    code = info->si_code;
    fd = info->si_fd;
    band = (int)info->si_band;
}

static const char *
name(long r)
{
    return r < 0 ? strerrorname_np(errno) : "ok";
}

static void
show(const char *what)
{
    for (int k = 0; k < 200 && !told; k++)
        usleep(500);
    printf("%s: %s", what, told == SIGIO ? "SIGIO" : told ? "the other signal" : "nothing");
    if (told && told != SIGIO)
        printf(" code %d readable %d", code, (band & POLLIN) != 0);
    printf("\n");
    told = 0;
}

static void
asynchronous(int f)
{
    fcntl(f, F_SETFL, fcntl(f, F_GETFL) | O_ASYNC);
}

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct f_owner_ex owner = {F_OWNER_TID, gettid()};
    int p[2], s[2], one = 1, i, pid = getpid(), child;
    char byte, folder[64], file[80];

    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGIO, &sa, NULL), sigaction(SIGRTMIN + 3, &sa, NULL);
    pipe(p), socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    asynchronous(p[0]);
    write(p[1], "x", 1);
    show("no owner");
    printf("owner %d", fcntl(p[0], F_GETOWN));
    printf(" %s", name(fcntl(p[0], F_SETOWN, 99999999)));
    printf(" %s", name(fcntl(p[0], F_SETOWN, pid)));
    printf(" %d\n", fcntl(p[0], F_GETOWN) == pid);
    read(p[0], &byte, 1);
    told = 0;
    write(p[1], "x", 1);
    show("pipe");
    printf("signal %d %s", fcntl(p[0], F_GETSIG), name(fcntl(p[0], F_SETSIG, 65)));
    printf(" %s", name(fcntl(p[0], F_SETSIG, SIGRTMIN + 3)));
    printf(" %d\n", fcntl(p[0], F_GETSIG) == SIGRTMIN + 3);
    read(p[0], &byte, 1);
    told = 0;
    write(p[1], "x", 1);
    show("pipe");
    printf("by its descriptor: %d\n", fd == p[0]);
    fcntl(p[0], F_SETFL, fcntl(p[0], F_GETFL) & ~O_ASYNC);
    write(p[1], "x", 1);
    show("switched off");
    asynchronous(p[0]);
    fcntl(p[0], F_SETSIG, 0);
    fcntl(p[0], F_SETOWN_EX, &owner);
    owner.type = 9;
    printf("thread %s", name(fcntl(p[0], F_GETOWN_EX, &owner)));
    printf(" type %d %d\n", owner.type, owner.pid == gettid());
    write(p[1], "x", 1);
    show("to the thread");
    owner.type = 7;
    printf("type 7 %s\n", name(fcntl(p[0], F_SETOWN_EX, &owner)));
    fcntl(p[0], F_SETOWN, -getpgrp());
    printf("group %d\n", fcntl(p[0], F_GETOWN) == -getpgrp());
    setpgid(0, 0);
    fcntl(p[0], F_SETOWN, -pid);
    write(p[1], "x", 1);
    show("to the group");
    close(p[1]);
    show("the other end closed");

    printf("socket %s", name(ioctl(s[0], FIOASYNC, &one)));
    printf(" %s", name(ioctl(s[0], FIOSETOWN, &pid)));
    one = 0;
    printf(" %s %d %d\n", name(ioctl(s[0], FIOGETOWN, &one)), one == pid, (fcntl(s[0], F_GETFL) & O_ASYNC) != 0);
    told = 0;
    write(s[1], "x", 1);
    show("socket");
    read(s[0], &byte, 1);
    shutdown(s[1], SHUT_WR);
    show("its end");
    i = inotify_init();
    snprintf(folder, sizeof folder, "/tmp/async-%d", pid);
    mkdir(folder, 0700);
    inotify_add_watch(i, folder, IN_CREATE);
    asynchronous(i), fcntl(i, F_SETOWN, pid);
    snprintf(file, sizeof file, "%s/file", folder);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    show("inotify");
    close(i), unlink(file), rmdir(folder);

    pipe(p);
    signal(SIGIO, SIG_DFL);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    sigaction(SIGIO, &sa, NULL);
    asynchronous(p[0]), fcntl(p[0], F_SETOWN, child);
    write(p[1], "x", 1);
    waitpid(child, &i, 0);
    printf("a child that takes no care ends by %s\n", WTERMSIG(i) == SIGIO ? "SIGIO" : "another");
    write(p[1], "x", 1);
    show("nobody now");
    return 0;
}
