/* Random signals to a thread and its process: masks, queues with values, handlers with masks and
 * flags, taking by sigtimedwait and signalfd, timers that are due at once, alternate stacks, what
 * siginfo holds. One process with a second thread that sleeps with all blocked; nothing depends on
 * time. */
#include "random.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int sfd, depth;
static pid_t other;
static timer_t timers[4];
static int timer_made[4];
static char *stacks;
static const int signals[] = {SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM, SIGURG, SIGWINCH, SIGTERM, SIGCONT,
                              SIGSEGV, SIGFPE,  34,      35,      36,     50,       64};

static uint64_t
of_list(const sigset_t *s)
{
    uint64_t v;

    memcpy(&v, s, sizeof v);
    return v & ~(3ull << 31) & ~(15ull << 39); /* not the C library's, and not those of timers */
}

static sigset_t
some(void)
{
    sigset_t s;

    sigemptyset(&s);
    for (unsigned n = draw(6); n > 0; n--)
        sigaddset(&s, DRAW_OF(signals));
    return s;
}

static void
show_info(const char *what, const siginfo_t *i)
{
    int timer = i->si_code == SI_TIMER,
        sent = i->si_code == SI_USER || i->si_code == SI_TKILL || i->si_code == SI_QUEUE;
    uint8_t bytes[128];

    memcpy(bytes, i, sizeof bytes);
    note("  %s %d code %d errno %d %s value %lx overrun %d tail %x", what, i->si_signo, i->si_code, i->si_errno,
         sent ? i->si_pid == getpid() ? "me" : "?" : "",
         i->si_code < 0 && i->si_code != SI_TKILL ? (long)i->si_value.sival_ptr : 0L, timer ? i->si_overrun : 0,
         bytes[100] | bytes[60] | bytes[44]);
}

static void
handler(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    sigset_t now, pending;
    stack_t st;

    sigprocmask(SIG_BLOCK, NULL, &now);
    sigpending(&pending);
    sigaltstack(NULL, &st);
    depth++;
    show_info("handler", info);
    note("    %d mask %lx pending %lx old mask %lx stack %d/%d context stack %d size %zu fp %d", sig,
         (long)of_list(&now), (long)of_list(&pending), (long)of_list(&u->uc_sigmask), st.ss_flags,
         (char *)&st >= stacks && (char *)&st < stacks + 3 * 65536, u->uc_stack.ss_flags, u->uc_stack.ss_size,
         u->uc_mcontext.fpregs != NULL);
    if (depth < 4 && draw(4) == 0)
        raise(DRAW_OF(signals));
    if (draw(8) == 0)
        sigaddset(&u->uc_sigmask, SIGUSR2);
    depth--;
}

static void
action(void)
{
    static const int flags[] = {0,
                                SA_ONSTACK,
                                SA_NODEFER,
                                SA_RESETHAND,
                                SA_RESTART | SA_ONSTACK,
                                SA_RESETHAND | SA_NODEFER,
                                SA_NOCLDSTOP,
                                SA_NOCLDWAIT};
    struct sigaction a = {.sa_flags = SA_SIGINFO | DRAW_OF(flags)}, old;
    int sig = DRAW_OF(signals), kind = (int)draw(6), r;

    a.sa_mask = some();
    a.sa_sigaction = handler;
    if (kind == 0)
        a.sa_handler = SIG_IGN;
    if (kind == 1 && (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT))
        a.sa_handler = SIG_DFL;
    if (draw(8) == 0)
        a.sa_flags |= 0x400 | 0x80 | 0x10000;
    r = sigaction(sig, &a, &old);
    note("sigaction %d kind %d flags %x = %d, old %d %x %lx", sig, kind, a.sa_flags, r,
         old.sa_sigaction == handler ? 2 : (int)(long)old.sa_handler, old.sa_flags, (long)of_list(&old.sa_mask));
}

static void
step(void)
{
    int sig = DRAW_OF(signals), r, k;
    sigset_t set, old;
    siginfo_t info;
    union sigval v = {.sival_ptr = (void *)(long)(draw(1u << 30) + (1l << 33))};
    struct timespec zero = {0, 0};
    struct signalfd_siginfo f[3];
    struct pollfd p = {sfd, POLLIN, 0};
    stack_t st, old_st;
    struct itimerspec it = {{0, 0}, {0, 1}};
    struct sigevent ev;

    switch (draw(18)) {
    case 0: action(); break;
    case 1:
    case 2:
        set = some();
        k = (int)draw(3);
        r = sigprocmask(k == 0 ? SIG_BLOCK : k == 1 ? SIG_UNBLOCK : SIG_SETMASK, &set, &old);
        note("mask %d %lx = %d old %lx", k, (long)of_list(&set), r, (long)of_list(&old));
        break;
    case 3:
    case 4: note("kill %d = %d", sig, kill(getpid(), sig)); break;
    case 5: note("raise %d = %d", sig, raise(sig)); break;
    case 6:
    case 7:
    case 8:
        r = sigqueue(getpid(), sig, v);
        note("sigqueue %d %lx = %d %s", sig, (long)v.sival_ptr, r, r < 0 ? strerrorname_np(errno) : "");
        break;
    case 9:
        memset(&info, 0x33, sizeof info);
        info.si_signo = sig;
        info.si_errno = (int)draw(5);
        info.si_code = draw(3) ? -(int)draw(70) - 1 : (int)draw(8);
        memset((char *)&info + 48, 0, sizeof info - 48);
        r = (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), draw(3) ? getpid() : other, draw(9) ? sig : 65, &info);
        note("tgsigqueueinfo %d code %d = %d %s", sig, info.si_code, r, r < 0 ? strerrorname_np(errno) : "");
        break;
    case 10:
    case 11:
        set = some();
        memset(&info, 0, sizeof info);
        r = sigtimedwait(&set, &info, &zero);
        note("sigtimedwait %lx = %d %s", (long)of_list(&set), r, r < 0 ? strerrorname_np(errno) : "");
        if (r > 0)
            show_info("took", &info);
        break;
    case 12:
        set = some();
        r = signalfd(sfd, &set, 0);
        note("signalfd %lx", (long)of_list(&set));
        break;
    case 13:
    case 14:
        poll(&p, 1, 0);
        note("signalfd ready %x", p.revents);
        memset(f, 0x77, sizeof f);
        r = p.revents ? (int)read(sfd, f, (1 + draw(3)) * sizeof f[0]) : 0;
        note("signalfd read %d", r);
        for (k = 0; k < r / (int)sizeof f[0]; k++) {
            f[k].ssi_pid = f[k].ssi_pid == (uint32_t)getpid() ? 1 : f[k].ssi_pid;
            if (f[k].ssi_code == SI_TIMER)
                f[k].ssi_tid = 0;
            note("  %d code %d pid %u uid %u fd %d tid %u overrun %u status %d int %x ptr %lx addr "
                 "%lx",
                 f[k].ssi_signo, f[k].ssi_code, f[k].ssi_pid, f[k].ssi_uid, f[k].ssi_fd, f[k].ssi_tid, f[k].ssi_overrun,
                 f[k].ssi_status, f[k].ssi_int, (long)f[k].ssi_ptr, (long)f[k].ssi_addr);
            note_bytes((char *)&f[k] + 80, sizeof f[k] - 80);
        }
        break;
    case 15:
        k = (int)draw(6);
        st = (stack_t){stacks + (k % 3) * 65536,
                       k == 3         ? SS_DISABLE
                       : k == 4       ? 17
                       : k == 2       ? SS_ONSTACK
                       : draw(4) == 0 ? (int)0x80000000u
                                      : 0,
                       k == 5 ? 100 : 60000};
        r = sigaltstack(&st, &old_st);
        note("sigaltstack %d = %d %s", k, r, r < 0 ? strerrorname_np(errno) : "");
        if (r == 0)
            note("  old %d %zu %d", old_st.ss_sp ? (int)((char *)old_st.ss_sp - stacks) / 65536 : -1, old_st.ss_size,
                 old_st.ss_flags);
        break;
    case 16:
        k = (int)draw(4);
        if (!timer_made[k]) {
            ev = (struct sigevent){.sigev_notify = draw(3) ? SIGEV_SIGNAL : SIGEV_THREAD_ID,
                                   .sigev_signo = 40 + k,
                                   .sigev_value = v};
            ev._sigev_un._tid = getpid();
            r = timer_create(CLOCK_MONOTONIC, &ev, &timers[k]);
            timer_made[k] = r == 0;
            note("timer_create %d", r);
        }
        if (timer_made[k]) {
            if (draw(3) == 0) {
                note("timer_delete %d", timer_delete(timers[k]));
                timer_made[k] = 0;
            } else {
                it.it_value.tv_nsec = draw(4) != 0;
                r = timer_settime(timers[k], TIMER_ABSTIME, &it, NULL);
                usleep(300);
                note("timer_settime %d overrun %d", r, timer_getoverrun(timers[k]));
            }
        }
        break;
    case 17:
        sigpending(&set);
        note("pending %lx", (long)of_list(&set));
        if (draw(3) == 0) {
            /* with something to take, or not at all */
            sigset_t wait = some();

            sigprocmask(SIG_BLOCK, NULL, &old);
            for (k = 1; k <= 64; k++)
                if (sigismember(&set, k) == 1 && sigismember(&wait, k) == 0) {
                    struct sigaction a;

                    sigaction(k, NULL, &a);
                    if (a.sa_handler != SIG_IGN && a.sa_handler != SIG_DFL) {
                        struct timespec none = {0, 1000000};

                        r = ppoll(NULL, 0, &none, &wait);
                        note("ppoll with mask %lx = %d", (long)of_list(&wait), r);
                        break;
                    }
                }
        }
        break;
    }
}

static void *
second(void *arg)
{
    other = (pid_t)syscall(SYS_gettid);
    *(volatile int *)arg = 1;
    for (;;)
        pause();
    return NULL;
}

static void
sequence(void)
{
    static volatile int running;
    sigset_t all, none;
    pthread_t t;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &none);
    stacks = mmap(NULL, 3 * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_create(&t, NULL, second, (void *)&running);
    while (!running)
        usleep(100);
    sigemptyset(&none);
    sfd = signalfd(-1, &none, 0);
    for (size_t k = 0; k < sizeof signals / sizeof signals[0] + 4; k++) {
        struct sigaction a = {.sa_flags = SA_SIGINFO, .sa_sigaction = handler};

        sigaction(k < 4 ? 40 + (int)k : signals[k - 4], &a, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int k = 0; k < 100; k++)
        step();
}

static void
one(void)
{
    int way[2], status;
    pid_t child;

    pipe(way);
    child = fork();
    if (child == 0) {
        sequence();
        fflush(stdout);
        write(way[1], &random_hash, sizeof random_hash);
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
    return random_main(argc, argv, 25, one);
}
