/* Leases: who may have one, what breaks it, who is told how, and who waits for what. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char name[64];
static volatile sig_atomic_t told, code, fd, band;

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    told = sig, code = info->si_code, fd = info->si_fd, band = (int)info->si_band;
}

static void
show(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: ok\n", what);
}

static void
type(const char *what, int f)
{
    int r = fcntl(f, F_GETLEASE);

    printf("%s: %s\n", what,
           r == F_RDLCK   ? "read"
           : r == F_WRLCK ? "write"
           : r == F_UNLCK ? "none"
                          : strerrorname_np(errno));
}

static void
news(const char *what, int f)
{
    for (int k = 0; k < 400 && !told; k++)
        usleep(500);
    printf("%s: ", what);
    if (!told)
        printf("nothing\n");
    else if (told == SIGIO)
        printf("SIGIO code %d\n", code);
    else
        printf("the other signal code %d band %x by its descriptor %d\n", code, band, fd == f);
    told = 0;
}

static int
open_file(int flags)
{
    return open(name, flags);
}

static void
set(const char *what, int f, int lease)
{
    show(what, fcntl(f, F_SETLEASE, lease));
}

static void
refused(void)
{
    int f = open_file(O_RDWR), g, d = open("/tmp", O_RDONLY), path = open_file(O_PATH), p[2], e = eventfd(0, 0),
        n = open("/dev/null", O_RDONLY);

    pipe(p);
    set("read of one to write", f, F_RDLCK), set("unknown", f, 77), set("none to give up", f, F_UNLCK);
    set("a folder", d, F_RDLCK), set("a pipe", p[0], F_RDLCK), set("an eventfd", e, F_RDLCK),
        set("a device", n, F_WRLCK);
    set("a path", path, F_RDLCK), set("closed", 99, F_RDLCK);
    type("a folder's", d), type("an eventfd's", e), type("its own", f);
    set("write", f, F_WRLCK), type("then", f), set("again", f, F_WRLCK), set("given up", f, F_UNLCK), type("then", f);
    g = open_file(O_RDONLY);
    set("write, with another open", f, F_WRLCK), set("read, with a writer", g, F_RDLCK);
    close(f);
    set("read", g, F_RDLCK), f = open_file(O_RDONLY), set("a second one", f, F_RDLCK), set("raised", g, F_WRLCK);
    type("then", g), type("the other", f), close(f), set("raised alone", g, F_WRLCK), type("then", g),
        set("lowered", g, F_RDLCK), type("then", g);
    close(g), close(d), close(path), close(e), close(n), close(p[0]), close(p[1]);
}

static void
owners(void)
{
    int f = open_file(O_RDONLY);

    printf("owner at first %d\n", fcntl(f, F_GETOWN));
    set("read", f, F_RDLCK);
    printf("owner is itself %d\n", fcntl(f, F_GETOWN) == getpid());
    fcntl(f, F_SETSIG, SIGRTMIN + 1);
    set("given up", f, F_UNLCK);
    printf("owner %d signal %d\n", fcntl(f, F_GETOWN), fcntl(f, F_GETSIG));
    close(f);
}

static void
breaks(void)
{
    int f = open_file(O_RDONLY), g;

    set("read", f, F_RDLCK);
    g = open_file(O_RDONLY | O_NONBLOCK), show("another reader", g), close(g), news("told", f);
    show("a writer", open_file(O_WRONLY | O_NONBLOCK)), news("told", f), type("then", f);
    show("one more writer", open_file(O_WRONLY | O_NONBLOCK)), news("told twice", f);
    show("a reader", (g = open_file(O_RDONLY | O_NONBLOCK))), close(g);
    set("a new one meanwhile", f, F_RDLCK), type("then", f);
    set("given up", f, F_UNLCK), show("the writer", (g = open_file(O_WRONLY | O_NONBLOCK))), close(g);
    set("write", f, F_WRLCK), fcntl(f, F_SETSIG, SIGRTMIN + 1);
    show("a reader", open_file(O_RDONLY | O_NONBLOCK)), news("told", f), type("then", f);
    set("lowered", f, F_RDLCK), type("then", f), show("the reader", (g = open_file(O_RDONLY | O_NONBLOCK))), close(g);
    show("one that cuts", (g = open_file(O_RDONLY | O_TRUNC | O_NONBLOCK))), close(g), news("told", f), type("then", f);
    set("given up", f, F_UNLCK);
    set("write", f, F_WRLCK), show("a path", (g = open_file(O_PATH))), close(g), show("look", access(name, R_OK)),
        news("told", f);
    show("a new mode", chmod(name, 0644)), show("another name", rename(name, name)), news("told", f);
    close(f);
}

/* Another process opens it, or does what else waits. */
static int
started(int what, int f)
{
    int child = fork();

    if (child == 0) {
        int r = close(f); /* or it would keep the lease */

        r = what == 3 ? truncate(name, 3) : open_file(what == 0 ? O_RDONLY : what == 1 ? O_WRONLY : O_RDWR | O_CREAT);

        _exit(r < 0 ? errno : 0);
    }
    usleep(20000);
    return child;
}

static void
ended(const char *what, int child)
{
    int status;

    waitpid(child, &status, 0);
    printf("%s: %s\n", what,
           WIFSIGNALED(status)   ? "killed"
           : WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status))
                                 : "ok");
}

static void
waits(void)
{
    int f = open_file(O_RDONLY), child;
    siginfo_t info = {0};

    for (int what = 0; what < 4; what++) {
        set("write", f, F_WRLCK);
        told = 0, child = started(what, f), news("told", f);
        info.si_pid = 0, waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT);
        printf("it waits: %d\n", info.si_pid == 0);
        set("given up", f, F_UNLCK), ended("then", child);
    }
    set("write", f, F_WRLCK), child = started(0, f), news("told", f);
    set("lowered", f, F_RDLCK), ended("the reader goes on", child), type("the lease is", f);
    child = started(1, f), news("told", f), kill(child, SIGKILL), ended("the writer", child), type("the lease is", f);
    set("given up", f, F_UNLCK);
    set("write", f, F_WRLCK), child = started(1, f), close(f), ended("closed", child);
}

static void
inherited(void)
{
    int f = open_file(O_RDONLY), g, child;

    set("read", f, F_RDLCK);
    child = fork();
    if (child == 0)
        _exit(fcntl(f, F_GETLEASE) == F_RDLCK && fcntl(f, F_SETLEASE, F_UNLCK) == 0 ? 0 : 1);
    ended("a child has it, and gives it up", child);
    type("then", f);
    set("read", f, F_RDLCK), g = dup(f), close(f), type("a copy's", g);
    close(g);
    f = open_file(O_RDONLY);
    if (geteuid() == 0) {
        if (fork() == 0) {
            setuid(12345);
            set("another's file", f, F_RDLCK);
            fflush(stdout), _exit(0);
        }
        wait(NULL);
    }
    close(f);
}

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    int f;

    setvbuf(stdout, NULL, _IONBF, 0);
    snprintf(name, sizeof name, "/tmp/lease-%d", getpid());
    f = open(name, O_CREAT | O_RDWR, 0644), write(f, "content", 7), close(f);
    sigaction(SIGIO, &sa, NULL), sigaction(SIGRTMIN + 1, &sa, NULL);
    refused();
    owners();
    breaks();
    waits();
    inherited();
    unlink(name);
    return 0;
}
