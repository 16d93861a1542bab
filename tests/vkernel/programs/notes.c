/* F_NOTIFY: the signals that tell of what happens in a folder. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], file[96], other[96], sub[96];
static volatile sig_atomic_t told, code, fd, band;

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    told++, code = info->si_code, fd = info->si_fd, band = (int)info->si_band;
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
news(const char *what, int f)
{
    if (told)
        printf("%s: told %d code %d band %x by its descriptor %d\n", what, told, code, band, fd == f);
    else
        printf("%s: nothing\n", what);
    told = 0;
}

/* What tells of which event: each in turn is asked for alone. */
static void
events(int d)
{
    static const struct {
        unsigned long event;
        const char *name;
    } all[] = {{DN_ACCESS, "access"}, {DN_MODIFY, "modify"}, {DN_CREATE, "create"},
               {DN_DELETE, "delete"}, {DN_RENAME, "rename"}, {DN_ATTRIB, "attrib"}};

    for (unsigned k = 0; k < sizeof all / sizeof all[0]; k++) {
        char what[64];
        int f;

#define DO(text, ...) (__VA_ARGS__, snprintf(what, sizeof what, "%s, %s", all[k].name, text), news(what, d))
        fcntl(d, F_NOTIFY, 0);
        show(all[k].name, fcntl(d, F_NOTIFY, all[k].event | DN_MULTISHOT));
        DO("create", f = open(file, O_CREAT | O_RDWR, 0600));
        DO("write", write(f, "text", 4));
        DO("read", pread(f, (char[4]){0}, 4, 0));
        DO("cut", ftruncate(f, 0));
        DO("mode", fchmod(f, 0640));
        DO("rename", rename(file, other));
        DO("link", link(other, file));
        DO("unlink", unlink(file));
        DO("out", rename(other, sub));
        DO("in", rename(sub, other));
        DO("gone", unlink(other));
        DO("folder", mkdir(file, 0700));
        DO("no folder", rmdir(file));
        DO("its mode", chmod(folder, 0700));
        close(f);
    }
}

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    int d, f, g;

    setvbuf(stdout, NULL, _IONBF, 0);
    snprintf(folder, sizeof folder, "/tmp/notes-%d", getpid());
    snprintf(file, sizeof file, "%s/a", folder), snprintf(other, sizeof other, "%s/b", folder),
        snprintf(sub, sizeof sub, "/tmp/notes-%d-out", getpid());
    mkdir(folder, 0700);
    sigaction(SIGIO, &sa, NULL), sigaction(SIGRTMIN + 2, &sa, NULL);
    d = open(folder, O_RDONLY), f = open("/proc/self/exe", O_RDONLY);
    show("a file", fcntl(f, F_NOTIFY, DN_MODIFY)), show("a file, none", fcntl(f, F_NOTIFY, 0)),
        show("closed", fcntl(99, F_NOTIFY, 1));
    printf("owner %d\n", fcntl(d, F_GETOWN));
    show("once", fcntl(d, F_NOTIFY, DN_CREATE));
    printf("owner is itself %d\n", fcntl(d, F_GETOWN) == getpid());
    fcntl(d, F_SETSIG, SIGRTMIN + 2);
    mkdir(file, 0700), news("the first", d), mkdir(other, 0700), news("the second", d);
    rmdir(file), rmdir(other);
    show("one", fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT)), show("and another", fcntl(d, F_NOTIFY, DN_DELETE));
    mkdir(file, 0700), news("created", d), rmdir(file), news("deleted", d), mkdir(file, 0700), news("again", d),
        rmdir(file), news("deleted", d);
    show("none any more", fcntl(d, F_NOTIFY, 0)), mkdir(file, 0700), news("created", d), rmdir(file);
    show("by a copy", fcntl(g = dup(d), F_NOTIFY, DN_CREATE | DN_MULTISHOT)), close(d), mkdir(file, 0700),
        news("one was closed", g), rmdir(file);
    d = open(folder, O_RDONLY), fcntl(d, F_SETSIG, SIGRTMIN + 2);
    show("of a child", fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    if (fork() == 0)
        close(d), close(g), _exit(0);
    wait(NULL);
    mkdir(file, 0700), news("the child closed it", d), rmdir(file);
    events(d);
    show("with the folder gone", rmdir(folder)), news("told", d);
    close(d);
    return 0;
}
