/* What a user may do to other users' processes, and what becomes of capabilities when ids change. Needs root. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
say(const char *what, long r)
{
    int e = errno;
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(e));
    else
        printf("%s: %ld\n", what, r);
}

static void
caps(const char *w)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    syscall(SYS_capget, &h, d);
    unsigned m =
        1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_FSETID | 1 << CAP_KILL | 1 << CAP_SETUID;
    printf("%s: eff %x perm %x inh %x amb %d\n", w, d[0].effective & m, d[0].permitted & m, d[0].inheritable & m,
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
}

static void
setinh(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    syscall(SYS_capget, &h, d);
    d[0].inheritable |= 1 << CAP_CHOWN;
    say("inh", syscall(SYS_capset, &h, d));
}

#define CHILD(...)         \
    do {                   \
        fflush(stdout);    \
        if (fork() == 0) { \
            __VA_ARGS__;   \
            _exit(0);      \
        }                  \
        wait(0);           \
    } while (0)
int
main(int c, char **v)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (c > 1) {
        caps("after exec");
        return 0;
    }
    int root = getpid(), other = fork();
    if (!other) {
        setuid(5001);
        pause();
    }
    int mine = fork();
    if (!mine) {
        setuid(5000);
        pause();
    }
    usleep(50000);
    CHILD(setuid(5000); int t[] = {root, other, mine, 1 << 21, 0}; for (int i = 0; i < 5; i++) {
        struct sched_param p = {0};
        cpu_set_t s;
        CPU_ZERO(&s);
        CPU_SET(0, &s);
        void *h;
        size_t l;
        printf("- target %d\n", i);
        say("setscheduler batch", sched_setscheduler(t[i], SCHED_BATCH, &p));
        say("setparam", sched_setparam(t[i], &p));
        say("setaffinity", sched_setaffinity(t[i], sizeof s, &s));
        say("getaffinity", sched_getaffinity(t[i], sizeof s, &s) ? -1 : 0);
        say("get_robust", syscall(SYS_get_robust_list, t[i], &h, &l));
        say("nice", setpriority(PRIO_PROCESS, t[i], 19));
        say("getscheduler", sched_getscheduler(t[i]));
        say("getparam", sched_getparam(t[i], &p));
        struct timespec ts;
        say("rr", sched_rr_get_interval(t[i], &ts));
        say("prlimit get", syscall(SYS_prlimit64, t[i], RLIMIT_NOFILE, 0, &(struct rlimit){0}));
        say("kill", kill(t[i] ? t[i] : getpid(), 0));
        say("getpgid", getpgid(t[i]) < 0 ? -1 : 0);
        say("getsid", getsid(t[i]) < 0 ? -1 : 0);
        say("setpgid", setpgid(t[i], 0));
    } struct sched_param p = {1};
          say("fifo", sched_setscheduler(0, SCHED_FIFO, &p)); p.sched_priority = 0;
          say("idle", sched_setscheduler(0, SCHED_IDLE, &p)); say("other", sched_setscheduler(0, SCHED_OTHER, &p)););
    kill(other, 9);
    kill(mine, 9);
    wait(0);
    wait(0);
    CHILD(caps("start"); setfsuid(5000); caps("fsuid 5000"); say("fsuid", setfsuid(-1));
          int f = open("/tmp/r-x", O_CREAT | O_RDWR | O_TRUNC, 0600); struct stat st; fstat(f, &st);
          printf("owner %d\n", st.st_uid); say("chown", fchown(f, 1, 1)); setfsuid(0); caps("fsuid 0");
          unlink("/tmp/r-x"));
    CHILD(setresuid(-1, 5000, -1); caps("euid 5000"); setresuid(-1, 0, -1); caps("euid 0"); setresuid(5000, 5000, 0);
          caps("res"); seteuid(0); caps("back"));
    CHILD(setinh(); say("raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)); caps("amb");
          say("keep", prctl(PR_SET_KEEPCAPS, 1)); setresuid(5000, 5000, 5000); caps("keepcaps");
          execl("/proc/self/exe", "x", "y", NULL));
    CHILD(setinh(); say("raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
          say("securebits", prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE));
          say("raise now", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)); caps("amb");
          say("lower", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0)); caps("lowered");
          say("bits", prctl(PR_GET_SECUREBITS)));
    CHILD(say("securebits", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)); setresuid(5000, 5000, 5000);
          caps("no fixup"); setfsuid(0); caps("no fixup fs"); execl("/proc/self/exe", "x", "y", NULL));
    CHILD(say("securebits", prctl(PR_SET_SECUREBITS, SECBIT_NOROOT)); caps("noroot");
          execl("/proc/self/exe", "x", "y", NULL));
    CHILD(say("lock", prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED)); say("keepcaps", prctl(PR_SET_KEEPCAPS, 1));
          say("unlock", prctl(PR_SET_SECUREBITS, 0)); say("bad", prctl(PR_SET_SECUREBITS, 0x10000)));
    CHILD(setinh(); prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0);
          say("securebits", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)); setresuid(5000, 5000, 5000);
          caps("amb nofix"); say("bad amb", prctl(PR_CAP_AMBIENT, 9, 0, 0, 0));
          say("bad cap", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 63, 0, 0));
          say("bad arg", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 1, 0));
          say("clear", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)); caps("cleared"));
    CHILD(setuid(5000); say("securebits user", prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
          say("fsuid other", (setfsuid(5001), setfsuid(-1))); say("fsgid", (setfsgid(5001), setfsgid(-1))));
    return 0;
}
