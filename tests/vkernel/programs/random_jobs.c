/* In namespaces of its own. Random trees of processes that fork, stop, continue, kill and wait for
 * each other, change groups and sessions, and end. A process of them does one thing at a time,
 * asked by the first; after each, everybody's state is read from /proc. */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AGENTS = 10, STEPS = 45 };
enum { DO_FORK, DO_EXIT, DO_KILL, DO_WAIT, DO_SETPGID, DO_SETSID, DO_ACTION, DO_MASK, DO_SUBREAPER, DO_DEATH, DO_TEST };

struct agent {
    volatile pid_t pid;
    int command[2];
    volatile int usr1, chld, last_code, last_status, last_child;
};
struct order {
    int what, a, b, c;
};
static struct shared {
    struct agent agents[AGENTS];
    int results[2];
    char text[512];
} *shared;
static int self;

static int
index_of(pid_t pid)
{
    for (int k = 0; k < AGENTS; k++)
        if (shared->agents[k].pid == pid)
            return k;
    return pid == 0 ? -1 : -2;
}

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    struct agent *me = &shared->agents[self];

    if (sig == SIGUSR1) {
        me->usr1++;
        return;
    }
    me->chld = 1;
    me->last_code = info->si_code;
    me->last_status = info->si_status;
    me->last_child = index_of(info->si_pid);
}

static void
act(int sig, int kind)
{
    static const int flags[] = {0, 0, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART};
    struct sigaction a = {.sa_flags = flags[kind]};

    a.sa_handler = kind == 1 ? SIG_IGN : SIG_DFL;
    if (kind >= 2) {
        a.sa_sigaction = on_signal;
        a.sa_flags |= SA_SIGINFO;
    }
    sigaction(sig, &a, NULL);
}

static void agent(void);

static void
carry_out(const struct order *o, char *out, size_t size)
{
    static const int signals[] = {SIGSTOP, SIGCONT, SIGTSTP, SIGTTIN, SIGTERM, SIGUSR1,
                                  SIGKILL, SIGHUP,  0,       SIGSTOP, SIGCONT, SIGCHLD};
    static const int waits[] = {WEXITED,
                                WSTOPPED,
                                WCONTINUED,
                                WEXITED | WSTOPPED,
                                WEXITED | WCONTINUED | WSTOPPED,
                                WEXITED | WNOWAIT,
                                WSTOPPED | WNOWAIT,
                                WCONTINUED | WNOWAIT,
                                WEXITED | __WALL};
    int r = -1, status = 0, pid = o->a < 0 ? o->a : o->a < AGENTS ? shared->agents[o->a].pid : o->a;
    siginfo_t info;
    sigset_t set;

    errno = 0;
    switch (o->what) {
    case DO_FORK:
        fflush(stdout);
        r = fork();
        if (r == 0) {
            self = o->a;
            shared->agents[self].pid = getpid();
            agent();
        }
        shared->agents[o->a].pid = r;
        snprintf(out, size, "fork");
        return;
    case DO_EXIT:
        snprintf(out, size, "exit");
        write(shared->results[1], "x", 1);
        if (o->b)
            raise(SIGABRT);
        _exit(o->a);
    case DO_KILL:
        r = kill(o->c == 0 ? pid : o->c == 1 ? -pid : 0, signals[o->b]);
        snprintf(out, size, "kill %s%d %d = %d %s",
                 o->c == 1   ? "group "
                 : o->c == 2 ? "own group "
                             : "",
                 o->a, signals[o->b], r, r < 0 ? strerrorname_np(errno) : "");
        return;
    case DO_WAIT:
        memset(&info, 0, sizeof info);
        if (o->c < 9) {
            r = waitid(o->b == 0 ? P_ALL : o->b == 1 ? P_PID : P_PGID, (id_t)pid, &info, waits[o->c] | WNOHANG);
            snprintf(out, size, "waitid %d %d %x = %d %s: %d code %d status %d signal %d", o->b, o->a, waits[o->c], r,
                     r < 0 ? strerrorname_np(errno) : "", info.si_pid ? index_of(info.si_pid) : -1, info.si_code,
                     info.si_status, info.si_signo);
            if (r == 0 && info.si_pid && !(waits[o->c] & WNOWAIT) && info.si_code <= CLD_DUMPED)
                shared->agents[index_of(info.si_pid)].pid = -1;
        } else {
            r = waitpid(o->b == 0   ? -1
                        : o->b == 1 ? pid
                        : o->b == 2 ? -pid
                                    : 0,
                        &status, WNOHANG | (o->c & 1 ? WUNTRACED : 0) | (o->c & 2 ? WCONTINUED : 0));
            snprintf(out, size, "waitpid %d %d %d = %d %s: status %x", o->b, o->a, o->c, r > 0 ? index_of(r) : r,
                     r < 0 ? strerrorname_np(errno) : "", status);
            if (r > 0 && (WIFEXITED(status) || WIFSIGNALED(status)))
                shared->agents[index_of(r)].pid = -1;
        }
        return;
    case DO_SETPGID:
        r = setpgid(o->c ? pid : 0, o->b < AGENTS ? shared->agents[o->b].pid : 0);
        snprintf(out, size, "setpgid %d %d %d = %d %s", o->c, o->a, o->b, r, r < 0 ? strerrorname_np(errno) : "");
        return;
    case DO_SETSID:
        r = setsid();
        snprintf(out, size, "setsid = %s", r < 0 ? strerrorname_np(errno) : "0");
        return;
    case DO_ACTION:
        act(o->a ? SIGCHLD : SIGTSTP, o->b);
        snprintf(out, size, "action %d %d", o->a, o->b);
        return;
    case DO_MASK:
        sigemptyset(&set);
        sigaddset(&set, signals[o->a]);
        sigprocmask(o->b ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
        snprintf(out, size, "mask %d %d", signals[o->a], o->b);
        return;
    case DO_SUBREAPER:
        prctl(PR_SET_CHILD_SUBREAPER, o->b);
        snprintf(out, size, "subreaper %d", o->b);
        return;
    case DO_DEATH:
        prctl(PR_SET_PDEATHSIG, signals[o->b]);
        snprintf(out, size, "death signal %d", signals[o->b]);
        return;
    default:
        sigpending(&set);
        snprintf(out, size, "pending %d%d%d%d%d", sigismember(&set, SIGCONT), sigismember(&set, SIGTSTP),
                 sigismember(&set, SIGTERM), sigismember(&set, SIGCHLD), sigismember(&set, SIGUSR1));
        return;
    }
}

static void
agent(void)
{
    struct order o;

    signal(SIGHUP, SIG_DFL);
    act(SIGUSR1, 4);
    for (;;) {
        if (read(shared->agents[self].command[0], &o, sizeof o) != sizeof o) {
            if (errno == EINTR)
                continue;
            _exit(99);
        }
        carry_out(&o, shared->text, sizeof shared->text);
        write(shared->results[1], "x", 1);
    }
}

/* State, parent, group and session of an agent; '-' when it is gone. */
static char
state_of(int k, char *text, size_t size)
{
    char path[64], line[256] = "";
    int fd, parent = 0, group = 0, session = 0;
    char state = '-', *end;

    snprintf(path, sizeof path, "/proc/%d/stat", shared->agents[k].pid);
    fd = shared->agents[k].pid > 0 ? open(path, O_RDONLY) : -1;
    if (fd >= 0) {
        if (read(fd, line, sizeof line - 1) > 0 && (end = strrchr(line, ')')))
            sscanf(end + 2, "%c %d %d %d", &state, &parent, &group, &session);
        close(fd);
    }
    if (state == 'R' || state == 'D')
        state = 'S';
    if (text)
        snprintf(text, size, state == '-' ? " -" : " %c%d/%d/%d", state, index_of(parent), index_of(group),
                 index_of(session));
    return state;
}

/* Waits until nothing has changed for a while: what a signal does to another process takes its
 * time. */
static void
settle(void)
{
    char now[400], before[400] = "";
    int same = 0;

    for (int tries = 0; tries < 60 && same < 3; tries++) {
        size_t at = 0;

        usleep(1500);
        for (int n = 0; n < AGENTS; n++)
            at += (state_of(n, now + at, sizeof now - at), strlen(now + at));
        same = strcmp(now, before) == 0 ? same + 1 : 0;
        strcpy(before, now);
    }
}

static void
step(void)
{
    int k = (int)draw(AGENTS), n = 0;
    struct order o = {.what = DO_TEST};
    struct pollfd f = {shared->results[0], POLLIN, 0};
    char states[400] = "", byte;
    size_t at = 0;

    for (int tries = 0; state_of(k, NULL, 0) != 'S' && tries < AGENTS; tries++)
        k = (k + 1) % AGENTS;
    switch (draw(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
        for (n = 0; n < AGENTS && shared->agents[n].pid != -1; n++)
            ;
        if (n < AGENTS) {
            o = (struct order){DO_FORK, n, 0, 0};
            memset((char *)&shared->agents[n] + offsetof(struct agent, usr1), 0,
                   sizeof(struct agent) - offsetof(struct agent, usr1));
        }
        break;
    case 4:
        if (k)
            o = (struct order){DO_EXIT, (int)draw(5), draw(3) == 0, 0};
        break;
    default:
        o = (struct order){DO_KILL, (int)draw(AGENTS), (int)draw(12), draw(4) ? 0 : 1 + (int)draw(2)};
        if (o.a == 0 || shared->agents[o.a].pid <= 0 || o.c) {
            /* never the first: the groups it is in are asked for by name only */
            if (!(o.c && k && o.a && shared->agents[o.a].pid > 0 && getpgid(shared->agents[k].pid) != getpgrp() &&
                  getpgid(shared->agents[o.a].pid) != getpgrp()))
                o.c = 0;
            if (o.a == 0 || shared->agents[o.a].pid <= 0)
                o = (struct order){DO_TEST};
        }
        break;
    case 11:
    case 12:
    case 13:
    case 14:
        n = (int)draw(AGENTS);
        o = (struct order){DO_WAIT, n, (int)draw(3), (int)draw(13)};
        if (shared->agents[n].pid <= 0)
            o.b = 0;
        break;
    case 15:
    case 16:
        o = (struct order){DO_SETPGID, (int)draw(AGENTS), (int)draw(AGENTS + 2), (int)draw(2)};
        if (shared->agents[o.a].pid <= 0)
            o.a = k;
        if (o.b < AGENTS && shared->agents[o.b].pid <= 0)
            o.b = AGENTS;
        if (k == 0 && (!o.c || o.a == 0))
            o = (struct order){DO_TEST};
        break;
    case 17: o = (struct order){k && draw(2) ? DO_SETSID : DO_DEATH, 0, (int)draw(9), 0}; break;
    case 18: o = (struct order){DO_ACTION, (int)draw(2), (int)draw(5), 0}; break;
    case 19:
        o = draw(3) ? (struct order){DO_MASK, (int)draw(12), (int)draw(2), 0}
                    : (struct order){DO_SUBREAPER, 0, (int)draw(2), 0};
        if (o.what == DO_MASK && o.a == 8)
            o.a = 2;
        break;
    }
    strcpy(shared->text, "?");
    if (state_of(k, NULL, 0) != 'S')
        return;
    if (k == 0) {
        carry_out(&o, shared->text, sizeof shared->text);
    } else {
        write(shared->agents[k].command[1], &o, sizeof o);
        if (poll(&f, 1, 400) == 1)
            read(shared->results[0], &byte, 1);
        else
            strcat(shared->text, " no answer");
    }
    settle();
    for (n = 0; n < AGENTS; n++) {
        state_of(n, states + at, sizeof states - at);
        at += strlen(states + at);
    }
    note("%d: %s", k, shared->text);
    note("   %s", states);
    for (n = 0; n < AGENTS; n++) {
        struct agent *g = &shared->agents[n];

        if (g->chld)
            note("  %d had SIGCHLD", n);
        if (g->usr1)
            note("  %d had SIGUSR1 %d", n, g->usr1);
        g->chld = g->usr1 = 0;
    }
}

static void
family(void)
{
    self = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGHUP, SIG_IGN); /* of an orphaned group: the first stays */
    shared->agents[0].pid = getpid();
    setsid();
    pipe(shared->results);
    for (int k = 0; k < AGENTS; k++) {
        if (k)
            shared->agents[k].pid = -1;
        pipe2(shared->agents[k].command, 0);
    }
    for (int k = 0; k < STEPS; k++)
        step();
    for (int k = 1; k < AGENTS; k++)
        if (shared->agents[k].pid > 0)
            kill(shared->agents[k].pid, SIGKILL);
    signal(SIGCHLD, SIG_DFL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void
one(void)
{
    int way[2];
    pid_t child;

    pipe(way);
    child = fork();
    if (child == 0) {
        close(way[0]);
        fcntl(way[1], F_SETFD, FD_CLOEXEC);
        family();
        fflush(stdout);
        write(way[1], &random_hash, sizeof random_hash);
        _exit(0);
    }
    close(way[1]);
    if (read(way[0], &random_hash, sizeof random_hash) != sizeof random_hash)
        note("no hash");
    close(way[0]);
    waitpid(child, NULL, 0);
    draw(2);
}

int
main(int argc, char **argv)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return random_main(argc, argv, 3, one);
}
