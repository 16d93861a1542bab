/* cases [NAME...]: runs all cases, or those named, in the order of the files. Before what a case prints stands
 * "== FILE NAME"; after it, if it did not exit with 0, how it ended. */
#include "case.h"

#include <dirent.h>
#include <ftw.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/prctl.h>

enum { CASES_MAX = 2000 };
static struct case_entry cases[CASES_MAX];
static int count;

void
case_add(const char *file, const char *name, void (*run)(void))
{
    if (count == CASES_MAX)
        abort();
    cases[count++] = (struct case_entry){strrchr(file, '/') ? strrchr(file, '/') + 1 : file, name, run};
}

void
say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

long
case_show(const char *call, long result)
{
    int error = errno;

    if (result == -1)
        say("%s: %s", call, strerrorname_np(error));
    else
        say("%s: %ld", call, result);
    errno = error;
    return result;
}

long
case_ok(const char *call, long result)
{
    int error = errno;

    say("%s: %s", call, result == -1 ? strerrorname_np(error) : "ok");
    errno = error;
    return result;
}

int
make_file(const char *name, const char *bytes)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, bytes, strlen(bytes)) != (ssize_t)strlen(bytes) || lseek(fd, 0, SEEK_SET) != 0) {
        say("cannot make %s: %s", name, strerrorname_np(errno));
        exit(99);
    }
    return fd;
}

pid_t
child(int (*f)(void *), void *argument)
{
    pid_t pid = fork();

    if (pid == 0)
        exit(f(argument));
    return pid;
}

void
say_end(const char *name, pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        say("%s: %s", name, strerrorname_np(errno));
    else if (WIFSIGNALED(status))
        say("%s: signal %d", name, WTERMSIG(status));
    else
        say("%s: exit %d", name, WEXITSTATUS(status));
}

void
sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

void
until_state(pid_t pid, char state)
{
    char path[64], text[512], now = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    while (now != state) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        close(fd);
        if (n < 0)
            return; /* it is gone: what follows says so */
        text[n] = 0;
        if (!strrchr(text, ')') || sscanf(strrchr(text, ')') + 1, " %c", &now) != 1)
            return;
        if (now != state)
            sleep_ms(1);
    }
}

void
become(unsigned id)
{
    if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)) {
        say("cannot become %u: %s", id, strerrorname_np(errno));
        exit(99);
    }
    prctl(PR_SET_DUMPABLE, 1);
}

/* What the case left to us, as we are a subreaper: whatever group it is in, it must not hold up the others. */
static void
end_the_rest(void)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
        DIR *d = pid == 0 ? opendir("/proc") : NULL;

        for (struct dirent *e; d && (e = readdir(d));) {
            char path[300], text[512] = {0};
            int fd, parent = 0;

            snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
            fd = *e->d_name >= '1' && *e->d_name <= '9' ? open(path, O_RDONLY) : -1;
            if (fd < 0)
                continue;
            if (read(fd, text, sizeof text - 1) > 0 && strrchr(text, ')') &&
                sscanf(strrchr(text, ')') + 1, " %*c %d", &parent) == 1 && parent == getpid())
                kill(atoi(e->d_name), SIGKILL);
            close(fd);
        }
        if (d) {
            closedir(d);
            sleep_ms(1);
        }
    }
}

static int
take_away(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path), 0;
}

static void
run(const struct case_entry *c)
{
    char folder[] = "/tmp/case-XXXXXX";
    int status;

    if (!mkdtemp(folder) || chmod(folder, 0777) < 0) {
        perror(folder);
        exit(99);
    }
    printf("== %s %s\n", c->file, c->name);
    fflush(stdout);

    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        if (chdir(folder) < 0)
            exit(99);
        alarm(CASE_SECONDS);
        c->run();
        exit(0);
    }
    setpgid(pid, pid);
    /* Its number is kept until its group has been ended. */
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    end_the_rest();
    if (WIFSIGNALED(status))
        say("signal %d", WTERMSIG(status));
    else if (status)
        say("exit %d", WEXITSTATUS(status));
    nftw(folder, take_away, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whoever started this may have signals ignored or blocked, which all cases would inherit. */
static void
signals_as_new(void)
{
    const struct {
        uint64_t handler, flags, restorer, mask;
    } as_new = {0};
    uint64_t none = 0;

    for (int sig = 1; sig <= 64; sig++) /* the C library keeps some for itself */
        syscall(SYS_rt_sigaction, sig, &as_new, NULL, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

int
main(int argc, char **argv)
{
    umask(022);
    signals_as_new();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    close(0);
    if (open("/dev/null", O_RDONLY) != 0)
        return 99;
    for (int fd = 3; fd < 20; fd++)
        close(fd);
    for (int k = 0; k < count; k++) {
        bool wanted = argc == 1;
        for (int a = 1; a < argc; a++)
            wanted |= strcmp(argv[a], cases[k].name) == 0;
        if (wanted)
            run(&cases[k]);
    }
    return 0;
}
