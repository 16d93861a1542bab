/* What becomes of capabilities when ids change and programs are executed, and who may look into whose process. Needs
 * root. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SOMEBODY = 1000,
    ANOTHER = 1001,
    LOOKED_AT = 1 << CAP_CHOWN | 1 << CAP_FOWNER | 1 << CAP_KILL | 1 << CAP_SETUID
};
static const char *self;

static void
get(struct __user_cap_data_struct d[2])
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};

    syscall(SYS_capget, &h, d);
}

static void
set(unsigned effective, unsigned permitted, unsigned inheritable)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{effective, permitted, inheritable}};

    if (syscall(SYS_capset, &h, d) < 0)
        printf("capset: %s\n", strerrorname_np(errno));
}

static void
show(const char *what)
{
    struct __user_cap_data_struct d[2];

    get(d);
    printf("%s: uid %d euid %d effective %x permitted %x ambient %d%d dumpable %d\n", what, getuid(), geteuid(),
           d[0].effective & LOOKED_AT, d[0].permitted & LOOKED_AT,
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0),
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), prctl(PR_GET_DUMPABLE));
    fflush(stdout);
}

static void
become(const char *program)
{
    execl(program, program, "show", (char *)NULL);
    printf("exec: %s\n", strerrorname_np(errno));
    fflush(stdout);
}

static void
raise_ambient(void)
{
    set(LOOKED_AT, LOOKED_AT, LOOKED_AT);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0);
}

static void
fsuids(void)
{
    setfsuid(SOMEBODY);
    show("fsuid");
    printf("file of root: %s\n", open("rights.tmp", O_WRONLY) < 0 ? strerrorname_np(errno) : "open");
    setfsuid(0);
    show("fsuid back");
    setresuid(-1, SOMEBODY, -1);
    show("euid");
    setresuid(-1, 0, -1);
    show("euid back");
}

static void
ambient_kept(void)
{
    raise_ambient();
    prctl(PR_SET_KEEPCAPS, 1);
    setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
    show("kept over setresuid");
    become(self);
}

static void
ambient_of_user(void)
{
    prctl(PR_SET_KEEPCAPS, 1);
    setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
    raise_ambient();
    show("raised as a user");
    become(self);
}

static void
ambient_dropped(void)
{
    prctl(PR_SET_KEEPCAPS, 1);
    setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
    raise_ambient();
    set(1 << CAP_KILL, 1 << CAP_KILL, LOOKED_AT);
    show("dropped by capset");
    become(self);
}

static void
ambient_and_setuid(void)
{
    prctl(PR_SET_KEEPCAPS, 1);
    setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
    raise_ambient();
    become("rights.setuid");
}

static void
no_new_privileges(void)
{
    set(1 << CAP_KILL, 1 << CAP_KILL, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    become(self);
}

static void
root_drops(void)
{
    set(1 << CAP_KILL, 1 << CAP_KILL, 0);
    become(self);
}

static void
look(int pid, const char *name)
{
    char path[64], byte;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        printf("%s: open %s\n", name, strerrorname_np(errno));
    else
        printf("%s: %s\n", name, read(fd, &byte, 1) < 0 ? strerrorname_np(errno) : "read");
    close(fd);
}

/* The uid, whether the process is dumpable, and who looks. */
static void
see(int uid, int dumpable, int viewer)
{
    static const char *const names[] = {"environ", "maps",     "auxv", "exe",    "cwd",    "root",
                                        "fd/0",    "fdinfo/0", "stat", "status", "cmdline"};
    int ready[2], pid;
    char byte;

    pipe(ready);
    pid = fork();
    if (pid == 0) {
        setresgid(uid, uid, uid);
        setresuid(uid, uid, uid);
        prctl(PR_SET_DUMPABLE, dumpable);
        write(ready[1], "", 1);
        pause();
        _exit(0);
    }
    read(ready[0], &byte, 1);
    printf("process of %d, dumpable %d, seen by %d\n", uid, dumpable, viewer);
    fflush(stdout);
    if (fork() == 0) {
        setresgid(viewer, viewer, viewer);
        setresuid(viewer, viewer, viewer);
        for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++)
            look(pid, names[k]);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    kill(pid, 9);
    wait(NULL);
}

static void
in_child(void (*f)(void), const char *name)
{
    printf("-- %s\n", name);
    fflush(stdout);
    if (fork() == 0) {
        f();
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static void
copy(const char *to)
{
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    char buf[4096];

    for (ssize_t n; (n = read(in, buf, sizeof buf)) > 0;)
        write(out, buf, (size_t)n);
    close(in);
    close(out);
    chown(to, ANOTHER, ANOTHER);
    chmod(to, 04755);
}

/* O_NOATIME is for who owns a file, or might. */
static void
quietly(const char *what, int fd)
{
    int set = fcntl(fd, F_SETFL, O_NOATIME), error = errno;

    printf("%s: %s, %x\n", what, set < 0 ? strerrorname_np(error) : "set", fcntl(fd, F_GETFL) & O_NOATIME);
}

static void
access_times(void)
{
    int files[] = {open("rights.tmp", O_RDWR), open("rights.other", O_RDONLY), eventfd(0, 0), -1}, own, pipes[2];

    files[3] = open("rights.tmp", O_RDWR | O_NOATIME);
    pipe(pipes);
    setresuid(SOMEBODY, SOMEBODY, SOMEBODY);
    quietly("root's", files[0]);
    quietly("another's", files[1]);
    quietly("without a name", files[2]);
    quietly("set before", files[3]);
    quietly("root's pipe", pipes[0]);
    own = memfd_create("own", 0);
    quietly("own", own);
    pipe(pipes);
    quietly("own pipe", pipes[0]);
    quietly("own socket", socket(AF_UNIX, SOCK_STREAM, 0));
    quietly("own without a name", eventfd(0, 0));
    printf("opened: %s\n", open("rights.other", O_RDONLY | O_NOATIME) < 0 ? strerrorname_np(errno) : "yes");
}

int
main(int count, char **arguments)
{
    char place[64];

    if (count > 1) {
        show("executed");
        return 0;
    }
    self = arguments[0];
    if (self[0] != '/')
        self = realpath(self, NULL);
    close(0);
    open("/dev/null", O_RDONLY);
    umask(022);
    setgroups(0, NULL);
    snprintf(place, sizeof place, "/tmp/rights.%d", (int)getpid());
    mkdir(place, 0755);
    chdir(place);
    close(open("rights.tmp", O_WRONLY | O_CREAT, 0600));
    copy("rights.other"); /* also for who may not reach the first */
    chmod("rights.other", 0755);
    self = "rights.other";
    copy("rights.setuid");
    in_child(fsuids, "fsuids");
    in_child(ambient_kept, "ambient, root given up");
    in_child(ambient_of_user, "ambient of a user");
    in_child(ambient_dropped, "ambient, dropped");
    in_child(ambient_and_setuid, "ambient and a set-user-id program");
    in_child(no_new_privileges, "no_new_privs");
    in_child(root_drops, "root drops");
    in_child(access_times, "times of access");
    see(SOMEBODY, 1, SOMEBODY);
    see(SOMEBODY, 0, SOMEBODY);
    see(SOMEBODY, 1, ANOTHER);
    see(0, 1, SOMEBODY);
    unlink("rights.tmp");
    unlink("rights.other");
    unlink("rights.setuid");
    chdir("/");
    rmdir(place);
    return 0;
}
