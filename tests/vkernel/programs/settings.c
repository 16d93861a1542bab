/* Settings that a process makes of itself: what was accepted is there afterwards, for children too, and the rest is an
 * error. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#ifndef PR_GET_THP_DISABLE
#define PR_GET_THP_DISABLE 42
#endif

static void
show_file(const char *name)
{
    char text[64] = "";
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);

    printf("%s: %s%s", name, n > 0 ? text : strerror(errno), n > 0 && text[n - 1] == '\n' ? "" : "\n");
    close(fd);
}

static void
put_file(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        printf("%s into %s: %s\n", text, name, strerror(errno));
    close(fd);
}

static void
show(const char *what, long result)
{
    printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
}

/* Without the capability that Linux asks for to be spared, and without that which is enough in a container. */
static void
drop_capabilities(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    unsigned less = 1u << CAP_KILL | 1u << CAP_SYS_RESOURCE;

    syscall(SYS_capget, &h, d);
    d[0].effective &= ~less;
    syscall(SYS_capset, &h, d);
}

static void
killer(void)
{
    static const char *const texts[] = {"500", " 600\n", "0x100", "1001", "-1001", "-1000", "x", "", "7 7", "300"};

    for (unsigned k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        put_file("/proc/self/oom_score_adj", texts[k]);
        show_file("/proc/self/oom_score_adj");
    }
    show_file("/proc/self/oom_adj");
    put_file("/proc/self/oom_adj", "15");
    show_file("/proc/self/oom_score_adj");
    put_file("/proc/self/oom_adj", "16");
    put_file("/proc/self/oom_score_adj", "200");
    fflush(stdout);
    if (fork() == 0) {
        show_file("/proc/self/oom_score_adj");
        exit(0);
    }
    wait(NULL);
}

static void
calls(void)
{
    show("slack", prctl(PR_GET_TIMERSLACK));
    show("set slack", prctl(PR_SET_TIMERSLACK, 1234));
    show("slack", prctl(PR_GET_TIMERSLACK));
    fflush(stdout);
    if (fork() == 0) {
        show("child's slack", prctl(PR_GET_TIMERSLACK));
        prctl(PR_SET_TIMERSLACK, 99);
        show("default slack", prctl(PR_SET_TIMERSLACK, 0));
        show("child's slack", prctl(PR_GET_TIMERSLACK));
        exit(0);
    }
    wait(NULL);
    show("huge pages", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    show("set", prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    show("huge pages", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    show("huge pages, more", prctl(PR_GET_THP_DISABLE, 0, 1, 0, 0));
    show("machine checks", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    show("set", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
    show("machine checks", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    show("set", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 7, 0, 0));
    show("set", prctl(PR_MCE_KILL, 7, 0, 0, 0));
    show("clear", prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
    show("ptracer", prctl(PR_SET_PTRACER, 1, 0, 0, 0));
    show("tsc", prctl(PR_SET_TSC, PR_TSC_ENABLE));
    show("nonsense", prctl(9999));
    show("securebits", prctl(PR_GET_SECUREBITS));
    show("set without a right", prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
    show("keep", prctl(PR_SET_KEEPCAPS, 1));
    show("securebits", prctl(PR_GET_SECUREBITS));
}

static void
policies(void)
{
    struct sched_param p = {0};

    show("bounds of a flagged policy", sched_get_priority_max(SCHED_RESET_ON_FORK));
    show("reset on fork", sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p));
    printf("policy %#x\n", sched_getscheduler(0));
    fflush(stdout);
    if (fork() == 0) {
        printf("child's policy %#x\n", sched_getscheduler(0));
        exit(0);
    }
    wait(NULL);
    show("parameters alone", sched_setparam(0, &p));
    printf("policy %#x\n", sched_getscheduler(0));
    show("not any more", sched_setscheduler(0, SCHED_OTHER, &p));
    show("another", sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &p));
    printf("policy %#x\n", sched_getscheduler(0));
}

static long
membarrier(int command, unsigned flags)
{
    return syscall(SYS_membarrier, command, flags, 0);
}

static void
barriers(void)
{
    enum { RSEQ = 128 | 256 };

    printf("query %ld\n", membarrier(0, 0) & ~RSEQ);
    show("flags", (int)membarrier(0, 1));
    show("global", (int)membarrier(1, 0));
    show("to all who registered", (int)membarrier(2, 0));
    show("private", (int)membarrier(8, 0));
    show("cores", (int)membarrier(32, 0));
    show("two", (int)membarrier(3, 0));
    show("register", (int)membarrier(16, 0));
    show("private", (int)membarrier(8, 0));
    show("cores", (int)membarrier(32, 0));
    show("register", (int)membarrier(64, 0));
    show("cores", (int)membarrier(32, 0));
    printf("registered %ld\n", membarrier(512, 0));
    fflush(stdout);
    if (fork() == 0) {
        printf("child registered %ld\n", membarrier(512, 0));
        fflush(stdout);
        execl("/proc/self/exe", "settings", "barriers", NULL);
        exit(1);
    }
    wait(NULL);
}

static void
niceness(void)
{
    struct rlimit r = {25, 25};
    pid_t pid;

    setpgid(0, 0);
    pid = fork();
    if (pid == 0) {
        pause();
        exit(0);
    }
    show("group up", setpriority(PRIO_PGRP, 0, 3));
    printf("nice %d child %d group %d\n", getpriority(PRIO_PROCESS, 0), getpriority(PRIO_PROCESS, (id_t)pid),
           getpriority(PRIO_PGRP, 0));
    show("child up", setpriority(PRIO_PROCESS, (id_t)pid, 10));
    printf("group %d\n", getpriority(PRIO_PGRP, 0));
    show("down", setpriority(PRIO_PROCESS, 0, 0));
    show("nobody", setpriority(PRIO_PGRP, 999999, 1));
    errno = 0;
    show("nobody's", getpriority(PRIO_USER, 999999));
    setrlimit(RLIMIT_NICE, &r);
    kill(pid, 9);
    wait(NULL);
}

/* What a process asked to be told about its machine. */
static void
personalities(void)
{
    struct utsname u;

    show("personality of 32 bits", personality(PER_LINUX32));
    uname(&u);
    printf("a %s\n", u.machine);
    show("and of 2.6", personality(PER_LINUX | UNAME26 | ADDR_NO_RANDOMIZE));
    uname(&u);
    printf("a %s with %.4s\n", u.machine, u.release);
    show("back", personality(0));
    uname(&u);
    printf("a %s with 2.6 %d\n", u.machine, strncmp(u.release, "2.6.", 4) == 0);
}

static void
memory(void)
{
    int fd = (int)syscall(SYS_memfd_create, "noexec", 8 /* MFD_NOEXEC_SEAL */),
        other = (int)syscall(SYS_memfd_create, "exec", 2);
    void *huge = mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

    printf("huge pages: %s\n", huge == MAP_FAILED ? strerror(errno) : "there are some");
    show("seals", fcntl(fd, F_GET_SEALS));
    show("make it a program", fchmod(fd, 0755));
    show("another mode", fchmod(fd, 0640));
    show("seal a program", fcntl(other, F_ADD_SEALS, 0x20 /* F_SEAL_EXEC */));
    show("its seals", fcntl(other, F_GET_SEALS));
    show("write to it", write(other, "x", 1));
    close(fd), close(other);
}

static void
terminal(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    struct termios t;

    tcgetattr(fd, &t);
    t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | CREAD)) | CS7 | PARENB;
    cfsetspeed(&t, B9600);
    show("seven bits", tcsetattr(fd, TCSANOW, &t));
    tcgetattr(fd, &t);
    printf("bits %d parity %d reads %d speed %d\n", (t.c_cflag & CSIZE) == CS8, (t.c_cflag & PARENB) != 0,
           (t.c_cflag & CREAD) != 0, cfgetospeed(&t) == B9600);
    close(fd);
}

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) {
        printf("registered after exec %ld\n", membarrier(512, 0));
        return 0;
    }
    if (fork() == 0) {
        show("rule", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED));
        show("rule undone", prctl(PR_SET_SECUREBITS, 0));
        show("rules", prctl(PR_GET_SECUREBITS));
        if (setuid(54321) < 0)
            printf("not root\n");
        show("rights stay", prctl(PR_CAPBSET_DROP, 12));
        exit(0);
    }
    wait(NULL);
    if (setuid(54321) < 0)
        printf("not root\n");
    prctl(PR_SET_DUMPABLE, 1);
    show("rights", prctl(PR_CAPBSET_DROP, 12));
    if (fork() == 0) {
        drop_capabilities();
        killer();
        exit(0);
    }
    wait(NULL);
    calls();
    policies();
    barriers();
    niceness();
    personalities();
    memory();
    terminal();
    return 0;
}
