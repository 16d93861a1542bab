/* Random calls on user and group ids, capabilities, securebits and what hangs on them, each
 * sequence in a child of its own; after every call all that a process can ask about itself is
 * noted. */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE 0x00000000a80425fbull /* a container's: what both sides have */

static const unsigned ids[] = {0, 0, 1000, 1001, 2000, 0xffffffffu};
static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};

static const char *
outcome(long r)
{
    static char text[64];

    if (r < 0)
        return strerrorname_np(errno);
    snprintf(text, sizeof text, "%ld", r);
    return text;
}

static void
get(struct __user_cap_data_struct c[2])
{
    syscall(SYS_capget, &header, c);
}

static int
may_open(const char *path)
{
    int fd = open(path, O_RDONLY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void
show(void)
{
    struct __user_cap_data_struct c[2];
    unsigned r[6], ambient = 0, bounding = 0;
    gid_t groups[8];
    int n, death = -1;

    syscall(SYS_getresuid, &r[0], &r[1], &r[2]);
    syscall(SYS_getresgid, &r[3], &r[4], &r[5]);
    get(c);
    for (int k = 0; k <= 31; k++) {
        ambient |= (unsigned)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, k, 0, 0) == 1) << k;
        bounding |= (unsigned)(prctl(PR_CAPBSET_READ, k) == 1) << k;
    }
    n = (int)syscall(SYS_getgroups, 8, groups);
    prctl(PR_GET_PDEATHSIG, &death);
    note("  %u %u %u/%u  %u %u %u/%u  caps %x %x %x %x %x  bits %x keep %d dump %d death %d groups "
         "%d open %d%d",
         r[0], r[1], r[2], (unsigned)setfsuid(-1), r[3], r[4], r[5], (unsigned)setfsgid(-1), c[0].effective,
         c[0].permitted, c[0].inheritable, ambient, bounding, prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS),
         prctl(PR_GET_DUMPABLE), death, n, may_open("/tmp/random_creds.root"), may_open("/tmp/random_creds.user"));
}

static void
step(void)
{
    struct __user_cap_data_struct c[2];
    unsigned a = DRAW_OF(ids), b = DRAW_OF(ids), d = DRAW_OF(ids), cap;
    unsigned long which;
    gid_t groups[3] = {DRAW_OF(ids), 5, 7};
    struct rlimit limit = {draw(2000), 1000 + draw(2000)};
    uint64_t wide = draw(4) ? 0 : (uint64_t)draw(9) << 32; /* the upper half of an int argument means nothing */

    switch (draw(22)) {
    case 0: note("setuid %u = %s", a, outcome(syscall(SYS_setuid, a | wide))); break;
    case 1: note("setgid %u = %s", a, outcome(syscall(SYS_setgid, a | wide))); break;
    case 2:
    case 3: note("setreuid %u %u = %s", a, b, outcome(syscall(SYS_setreuid, a | wide, b | wide))); break;
    case 4: note("setregid %u %u = %s", a, b, outcome(syscall(SYS_setregid, a | wide, b | wide))); break;
    case 5:
    case 6:
        note("setresuid %u %u %u = %s", a, b, d, outcome(syscall(SYS_setresuid, a | wide, b | wide, d | wide)));
        break;
    case 7:
        note("setresgid %u %u %u = %s", a, b, d, outcome(syscall(SYS_setresgid, a | wide, b | wide, d | wide)));
        break;
    case 8:
    case 9: note("setfsuid %u = %s", a, outcome(syscall(SYS_setfsuid, a | wide))); break;
    case 10: note("setfsgid %u = %s", a, outcome(syscall(SYS_setfsgid, a | wide))); break;
    case 11: note("setgroups = %s", outcome(syscall(SYS_setgroups, (draw(5) ? draw(4) : 70000) | wide, groups))); break;
    case 12:
    case 13:
    case 14:
        get(c);
        which = draw(3);
        cap = 1u << draw(20);
        if (which == 0)
            c[0].effective ^= cap;
        else if (which == 1)
            c[0].permitted &= ~cap, c[0].effective &= draw(2) ? ~cap : ~0u;
        else
            c[0].inheritable ^= cap;
        if (draw(6) == 0)
            c[0].effective = c[0].permitted;
        if (draw(8) == 0)
            c[1].inheritable |= 1u << 20;
        note("capset %lu %x = %s", which, cap, outcome(syscall(SYS_capset, &header, c)));
        break;
    case 15:
        which = draw(5);
        cap = draw(20);
        note("ambient %lu %u = %s", which, cap,
             outcome(prctl(PR_CAP_AMBIENT, which, which == 4 && draw(2) ? 0 : cap, draw(6) == 0, 0)));
        break;
    case 16:
        cap = draw(42);
        note("drop %u = %s", cap, outcome(prctl(PR_CAPBSET_DROP, cap)));
        break;
    case 17:
        which = draw(256) & draw(256) & (draw(4) ? 0x15 : 0xff);
        note("securebits %lx = %s", which, outcome(prctl(PR_SET_SECUREBITS, which)));
        break;
    case 18:
        which = draw(3);
        note("keepcaps %lu = %s", which, outcome(prctl(PR_SET_KEEPCAPS, which)));
        break;
    case 19:
        prctl(PR_SET_DUMPABLE, draw(2));
        prctl(PR_SET_PDEATHSIG, draw(3));
        break;
    case 20:
        limit.rlim_cur = draw(2) ? limit.rlim_cur : RLIM_INFINITY;
        limit.rlim_max = draw(2) ? limit.rlim_max : RLIM_INFINITY;
        which = draw(2) ? RLIMIT_NOFILE : draw(2) ? RLIMIT_SIGPENDING : RLIMIT_MSGQUEUE;
        note("setrlimit %lu %ld %ld = %s", which, (long)limit.rlim_cur, (long)limit.rlim_max,
             outcome(setrlimit((int)which, &limit)));
        break;
    case 21:
        a = draw(3);
        note("setpriority %u = %s", a, outcome(syscall(SYS_setpriority, PRIO_PROCESS | wide, wide, (int)a - 1)));
        break;
    }
}

/* May the first child do this to the second? */
static void
others(void)
{
    static const int signals[] = {0, SIGCONT, SIGUSR1};
    int ready[2], stay[2];
    char byte;
    pid_t victim;
    struct rlimit limit;
    struct sched_param param = {0};
    void *head;
    size_t size;
    int sig = DRAW_OF(signals);
    unsigned a = DRAW_OF(ids) % 2001, b = DRAW_OF(ids) % 2001, c = DRAW_OF(ids) % 2001;
    unsigned e = DRAW_OF(ids) % 2001, f = DRAW_OF(ids) % 2001, g = DRAW_OF(ids) % 2001;
    int session = draw(2), groups = draw(2);

    pipe(ready);
    pipe(stay);
    victim = fork();
    if (victim == 0) {
        if (session)
            setsid();
        signal(SIGUSR1, SIG_IGN);
        if (groups)
            setresgid(a, a, a);
        setresuid(a, b, c);
        close(stay[1]);
        write(ready[1], "x", 1);
        while (read(stay[0], &byte, 1) != 0) /* until the first child is gone */
            ;
        _exit(0);
    }
    read(ready[0], &byte, 1);
    setresgid(e, e, e);
    setresuid(e, f, g);
    note("%u %u %u %d against %u %u %u", a, b, c, session, e, f, g);
    note("kill %d = %s", sig, outcome(kill(victim, sig)));
    note("prlimit = %s", outcome(prlimit(victim, RLIMIT_NOFILE, NULL, &limit)));
    note("setscheduler = %s", outcome(sched_setscheduler(victim, SCHED_BATCH, &param)));
    note("setpriority = %s", outcome(setpriority(PRIO_PROCESS, (id_t)victim, 3)));
    note("get_robust_list = %s", outcome(syscall(SYS_get_robust_list, victim, &head, &size)));
    {
        static const char *const files[] = {"environ", "auxv", "maps", "exe",    "cwd",
                                            "root",    "fd/0", "stat", "limits", "task"};
        char path[64], target[256];

        for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
            int fd;
            long n;

            snprintf(path, sizeof path, "/proc/%d/%s", victim, files[k]);
            fd = open(path, O_RDONLY);
            note("%s = %s", files[k], outcome(fd < 0 ? fd : 0));
            if (fd >= 0) {
                n = read(fd, target, sizeof target);
                note("  read %s", n < 0 ? strerrorname_np(errno) : n ? "some" : "none");
                close(fd);
            }
            if (k >= 3 && k <= 6) {
                n = readlink(path, target, sizeof target);
                note("  link %s", n < 0 ? strerrorname_np(errno) : "read");
            }
        }
    }
    setresuid(-1, 0, -1);
    fflush(stdout);
    if (write(3, &random_hash, sizeof random_hash) < 0)
        _exit(1);
    _exit(0);
}

static void
one(void)
{
    int way[2], status, kind = (int)draw(4);
    pid_t child;

    pipe(way);
    child = fork();
    if (child == 0) {
        dup2(way[1], 3);
        if (kind == 0)
            others();
        for (int k = 0; k < 40; k++) {
            step();
            show();
        }
        fflush(stdout);
        if (write(3, &random_hash, sizeof random_hash) < 0)
            _exit(1);
        _exit(0);
    }
    close(way[1]);
    if (read(way[0], &random_hash, sizeof random_hash) != sizeof random_hash)
        note("no hash");
    close(way[0]);
    waitpid(child, &status, 0);
    note("status %x", status);
}

int
main(int argc, char **argv)
{
    struct __user_cap_data_struct c[2] = {{(uint32_t)BASE, (uint32_t)BASE, 0}, {0, 0, 0}};
    int fd;

    for (int k = 0; k < 64; k++)
        if (!(BASE >> k & 1))
            prctl(PR_CAPBSET_DROP, k);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    close(0);
    open("/dev/null", O_RDONLY);
    syscall(SYS_capset, &header, c);
    umask(0);
    setgroups(0, NULL);
    unlink("/tmp/random_creds.root");
    unlink("/tmp/random_creds.user");
    fd = open("/tmp/random_creds.root", O_CREAT | O_WRONLY, 0600);
    close(fd);
    fd = open("/tmp/random_creds.user", O_CREAT | O_WRONLY, 0600);
    fchown(fd, 1000, 1000);
    close(fd);
    while (fd < 20)
        fd = open("/dev/null", O_RDONLY);
    for (fd = 3; fd <= 20; fd++)
        close(fd);
    random_main(argc, argv, 40, one);
    unlink("/tmp/random_creds.root");
    unlink("/tmp/random_creds.user");
    return 0;
}
