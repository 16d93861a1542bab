/* ptrace: beginning, stops, orders, registers, memory, events, and how waits tell of them. */
#include "case.h"

#include <elf.h>
#include <linux/audit.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define ORDER(request, pid, address, data) \
    syscall(SYS_ptrace, (long)(request), (long)(pid), (long)(address), (long)(data))

/* Waits for it, and says what for. */
static int
stops(const char *what, pid_t pid)
{
    int status = 0;
    pid_t r = waitpid(pid, &status, __WALL);

    if (r < 0)
        say("%s: %s", what, strerrorname_np(errno));
    else if (WIFEXITED(status))
        say("%s: exit %d", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say("%s: signal %d", what, WTERMSIG(status));
    else
        say("%s: stops by %d%s, event %d", what, WSTOPSIG(status) & 0x7f, WSTOPSIG(status) & 0x80 ? " at a call" : "",
            status >> 16);
    return status;
}

/* A child that is traced, stopped by SIGSTOP, and then runs f. */
struct start {
    int (*f)(void *);
    void *argument;
};

static int
begin(void *argument)
{
    struct start *s = argument;

    if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
        return 99;
    raise(SIGSTOP);
    return s->f ? s->f(s->argument) : 0;
}

static pid_t
traced(int (*f)(void *), void *argument)
{
    struct start s = {f, argument};
    pid_t pid = child(begin, &s);

    stops("begins", pid);
    return pid;
}

static int
waits(void *argument)
{
    for (;;)
        pause();
}

static int
returns_7(void *argument)
{
    return 7;
}

CASE(traceme_twice)
{
    if (fork() == 0) {
        SHOW(ORDER(PTRACE_TRACEME, 0, 0, 0));
        SHOW(ORDER(PTRACE_TRACEME, 0, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

CASE(stop_and_go_on)
{
    pid_t pid = traced(returns_7, NULL);

    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    stops("after", pid);
}

CASE(unknown_request)
{
    pid_t pid = traced(returns_7, NULL);

    SHOW(ORDER(9999, pid, 0, 0));
    SHOW(ORDER(-1, pid, 0, 0));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(no_such_task)
{
    SHOW(ORDER(PTRACE_ATTACH, 4000000, 0, 0));
    SHOW(ORDER(PTRACE_SEIZE, 0, 0, 0));
    SHOW(ORDER(PTRACE_CONT, -1, 0, 0));
    SHOW(ORDER(PTRACE_PEEKDATA, 4000000, 0, 0));
}

CASE(not_my_tracee)
{
    pid_t pid = child(waits, NULL);

    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    SHOW(ORDER(PTRACE_KILL, pid, 0, 0));
    SHOW(ORDER(PTRACE_INTERRUPT, pid, 0, 0));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(attach_self)
{
    SHOW(ORDER(PTRACE_ATTACH, getpid(), 0, 0));
    SHOW(ORDER(PTRACE_SEIZE, getpid(), 0, 0));
}

CASE(attach_and_detach)
{
    pid_t pid = child(waits, NULL);

    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    stops("attached", pid);
    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    SHOW(ORDER(PTRACE_DETACH, pid, 0, 0));
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGTERM);
    stops("ends", pid);
}

CASE(detach_with_signal)
{
    pid_t pid = child(waits, NULL);

    ORDER(PTRACE_ATTACH, pid, 0, 0);
    stops("attached", pid);
    SHOW(ORDER(PTRACE_DETACH, pid, 0, 65));
    SHOW(ORDER(PTRACE_DETACH, pid, 0, SIGUSR1));
    stops("ends", pid);
}

CASE(attach_zombie)
{
    pid_t pid = child(returns_7, NULL);
    siginfo_t info;

    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    stops("ends", pid);
}

CASE(attach_other_user)
{
    pid_t pid = child(waits, NULL);

    become(1234);
    SHOW(ORDER(PTRACE_ATTACH, pid, 0, 0));
    SHOW(ORDER(PTRACE_SEIZE, pid, 0, 0));
}

static int
hides(void *argument)
{
    int *ready = argument;

    become(1234);
    prctl(PR_SET_DUMPABLE, *ready);
    kill(getppid(), 0);
    raise(SIGSTOP);
    return waits(NULL);
}

/* An ordinary user's: dumpable or not. */
static void
attach_dumpable(int dumpable)
{
    int status;
    pid_t pid = child(hides, &dumpable);

    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGCONT);
    if (fork() == 0) {
        become(1234);
        SHOW(ORDER(PTRACE_SEIZE, pid, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(attach_dumpable_of_the_same_user)
{
    attach_dumpable(1);
}

CASE(attach_not_dumpable)
{
    attach_dumpable(0);
}

CASE(seize_does_not_stop)
{
    pid_t pid = child(waits, NULL);
    int status;

    SHOW(ORDER(PTRACE_SEIZE, pid, 1, 0));
    SHOW(ORDER(PTRACE_SEIZE, pid, 0, 0x40000000));
    SHOW(ORDER(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
    sleep_ms(20);
    SHOW(waitpid(pid, &status, WNOHANG));
    SHOW(ORDER(PTRACE_INTERRUPT, pid, 0, 0));
    stops("interrupted", pid);
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(interrupt_what_was_attached)
{
    pid_t pid = child(waits, NULL);

    ORDER(PTRACE_ATTACH, pid, 0, 0);
    stops("attached", pid);
    SHOW(ORDER(PTRACE_INTERRUPT, pid, 0, 0));
    SHOW(ORDER(PTRACE_LISTEN, pid, 0, 0));
    SHOW(ORDER(PTRACE_KILL, pid, 0, 0));
    stops("killed", pid);
}

CASE(orders_to_a_running_tracee)
{
    pid_t pid = child(waits, NULL);
    struct user_regs_struct r;
    long word;

    ORDER(PTRACE_SEIZE, pid, 0, 0);
    SHOW(ORDER(PTRACE_GETREGS, pid, 0, &r));
    SHOW(ORDER(PTRACE_PEEKDATA, pid, &word, &word));
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    SHOW(ORDER(PTRACE_DETACH, pid, 0, 0));
    SHOW(ORDER(PTRACE_SETOPTIONS, pid, 0, 0));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(bad_signal)
{
    pid_t pid = traced(returns_7, NULL);

    SHOW(ORDER(PTRACE_CONT, pid, 0, 65));
    SHOW(ORDER(PTRACE_SYSCALL, pid, 0, -1));
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    stops("after", pid);
}

CASE(options)
{
    pid_t pid = traced(returns_7, NULL);

    SHOW(ORDER(PTRACE_SETOPTIONS, pid, 0, 0x100));
    SHOW(ORDER(PTRACE_SETOPTIONS, pid, 0, 0xff));
    SHOW(ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL));
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    stops("after", pid);
}

/* --- signals --- */

static volatile int handled;

static void
on_signal(int sig)
{
    handled = sig;
}

static int
raises(void *argument)
{
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    raise(SIGUSR1);
    return handled;
}

CASE(signal_is_delivered)
{
    pid_t pid = traced(raises, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("signal", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGUSR1);
    stops("after", pid);
}

CASE(signal_is_withheld)
{
    pid_t pid = traced(raises, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("signal", pid);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(signal_is_another)
{
    pid_t pid = traced(raises, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("signal", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGUSR2);
    stops("after", pid);
}

CASE(signal_kills)
{
    pid_t pid = traced(raises, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("signal", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGTERM);
    stops("after", pid);
}

static int
ignores(void *argument)
{
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    raise(SIGCHLD);
    return 3;
}

CASE(ignored_signals_stop_it)
{
    pid_t pid = traced(ignores, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("ignored", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGUSR1);
    stops("ignored by default", pid);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(siginfo)
{
    pid_t pid = traced(raises, NULL);
    siginfo_t info, other = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("signal", pid);
    SHOW(ORDER(PTRACE_GETSIGINFO, pid, 0, &info));
    say("%d %d %d", info.si_signo, info.si_code, info.si_pid == pid);
    SHOW(ORDER(PTRACE_SETSIGINFO, pid, 0, &other));
    SHOW(ORDER(PTRACE_GETSIGINFO, pid, 0, &info));
    say("%d %d", info.si_signo, info.si_code);
    SHOW(ORDER(PTRACE_GETSIGINFO, pid, 0, 8));
    SHOW(ORDER(PTRACE_SETSIGINFO, pid, 0, 8));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

static int
queues(void *argument)
{
    sigset_t set;
    union sigval v = {.sival_int = 5};

    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigqueue(getpid(), SIGRTMIN, v);
    v.sival_int = 6;
    sigqueue(getpid(), SIGRTMIN, v);
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    kill(getpid(), SIGSTOP);
    return 0;
}

CASE(pending_signals)
{
    pid_t pid = traced(queues, NULL);
    struct __ptrace_peeksiginfo_args a = {0, PTRACE_PEEKSIGINFO_SHARED, 8};
    siginfo_t info[8];

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("stops", pid);
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, &a, info));
    say("%d %d %d", info[0].si_signo == SIGRTMIN, info[0].si_value.sival_int, info[1].si_value.sival_int);
    a.off = 1;
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, &a, info));
    a.off = 2;
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, &a, info));
    a.off = 0;
    a.flags = 0;
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, &a, info));
    say("%d", info[0].si_signo);
    a.nr = -1;
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, &a, info));
    a.nr = 1;
    a.flags = 2;
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, &a, info));
    SHOW(ORDER(PTRACE_PEEKSIGINFO, pid, 8, info));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(signal_mask)
{
    pid_t pid = traced(raises, NULL);
    uint64_t mask = 0;

    SHOW(ORDER(PTRACE_GETSIGMASK, pid, 8, &mask));
    say("%llx", (long long)mask);
    SHOW(ORDER(PTRACE_GETSIGMASK, pid, 4, &mask));
    mask = ~0ull;
    SHOW(ORDER(PTRACE_SETSIGMASK, pid, 8, &mask));
    SHOW(ORDER(PTRACE_SETSIGMASK, pid, 16, &mask));
    SHOW(ORDER(PTRACE_GETSIGMASK, pid, 8, &mask));
    say("%llx", (long long)mask);
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    stops("signal was blocked", pid);
}

static int
faults(void *argument)
{
    *(volatile int *)8 = 1;
    return 0;
}

CASE(fault)
{
    pid_t pid = traced(faults, NULL);
    siginfo_t info;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("fault", pid);
    ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
    say("%d %d %p", info.si_signo, info.si_code, info.si_addr);
    ORDER(PTRACE_CONT, pid, 0, SIGSEGV);
    stops("after", pid);
}

static int
faults_blocked(void *argument)
{
    sigset_t set;

    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return faults(argument);
}

CASE(blocked_fault)
{
    pid_t pid = traced(faults_blocked, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("fault", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGSEGV);
    stops("after", pid);
}

static int
breaks(void *argument)
{
    __asm__ volatile("int3");
    return 5;
}

CASE(breakpoint_of_its_own)
{
    pid_t pid = traced(breaks, NULL);
    siginfo_t info;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
    say("%d %d", info.si_signo, info.si_code);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(kill_in_stop)
{
    pid_t pid = traced(waits, NULL);

    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* --- group stops --- */

CASE(group_stop)
{
    pid_t pid = traced(waits, NULL);
    siginfo_t info;

    SHOW(ORDER(PTRACE_CONT, pid, 0, SIGSTOP));
    stops("group stop", pid);
    SHOW(ORDER(PTRACE_GETSIGINFO, pid, 0, &info));
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGTERM);
    stops("it runs", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGTERM);
    stops("ends", pid);
}

static pid_t
seized(void)
{
    pid_t pid = child(waits, NULL);

    ORDER(PTRACE_SEIZE, pid, 0, 0);
    return pid;
}

CASE(group_stop_of_a_seized_one)
{
    pid_t pid = seized();
    siginfo_t info;
    int status;

    kill(pid, SIGSTOP);
    stops("signal", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGSTOP);
    stops("group stop", pid);
    SHOW(ORDER(PTRACE_GETSIGINFO, pid, 0, &info));
    say("%d %x", info.si_signo, info.si_code);
    SHOW(ORDER(PTRACE_LISTEN, pid, 0, 0));
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    SHOW(waitpid(pid, &status, WNOHANG));
    kill(pid, SIGCONT);
    stops("continued", pid);
    SHOW(ORDER(PTRACE_CONT, pid, 0, 0));
    stops("SIGCONT itself", pid);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(listening_is_interrupted)
{
    pid_t pid = seized();

    kill(pid, SIGTSTP);
    stops("signal", pid);
    SHOW(ORDER(PTRACE_LISTEN, pid, 0, 0));
    ORDER(PTRACE_CONT, pid, 0, SIGSTOP);
    stops("group stop", pid);
    SHOW(ORDER(PTRACE_LISTEN, pid, 0, 0));
    SHOW(ORDER(PTRACE_INTERRUPT, pid, 0, 0));
    stops("interrupted", pid);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(attach_to_a_stopped_one)
{
    pid_t pid = child(waits, NULL);
    int status;

    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    ORDER(PTRACE_SEIZE, pid, 0, 0);
    stops("seized", pid);
    ORDER(PTRACE_DETACH, pid, 0, 0);
    kill(pid, SIGCONT);
    kill(pid, SIGTERM);
    stops("ends", pid);
}

/* --- registers --- */

static long
sum_of(long a, long b)
{
    long r;

    __asm__ volatile("mov %1, %%rdi\n mov %2, %%rsi\n int3\n lea (%%rdi, %%rsi), %0"
                     : "=r"(r)
                     : "r"(a), "r"(b)
                     : "rdi", "rsi");
    return r;
}

static int
adds(void *argument)
{
    return (int)sum_of(3, 4);
}

CASE(get_and_set_registers)
{
    pid_t pid = traced(adds, NULL);
    struct user_regs_struct r;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    SHOW(ORDER(PTRACE_GETREGS, pid, 0, &r));
    say("%lld %lld orig %lld cs %llx ss %llx ds %llx", r.rdi, r.rsi, r.orig_rax, r.cs, r.ss, r.ds);
    r.rdi = 30;
    r.rsi = 12;
    SHOW(ORDER(PTRACE_SETREGS, pid, 0, &r));
    SHOW(ORDER(PTRACE_GETREGS, pid, 0, 8));
    SHOW(ORDER(PTRACE_SETREGS, pid, 0, 8));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(peek_and_poke_user)
{
    pid_t pid = traced(adds, NULL);
    unsigned long word = 1;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    SHOW(ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rdi), &word));
    say("%lu", word);
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rdi), 40));
    SHOW(ORDER(PTRACE_PEEKUSER, pid, 1, &word));
    SHOW(ORDER(PTRACE_PEEKUSER, pid, 928, &word));
    SHOW(ORDER(PTRACE_PEEKUSER, pid, -8, &word));
    SHOW(ORDER(PTRACE_POKEUSER, pid, 3, 1));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.cs), 0));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.ss), 8));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.cs), 0x33));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.fs_base), 1ul << 60));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, u_tsize), 1));
    SHOW(ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), &word));
    say("%lx", word);
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 0));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[4]), 1));
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), 1ul << 60));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(flags_are_masked)
{
    pid_t pid = traced(adds, NULL);
    struct user_regs_struct r;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    r.eflags = ~0ull & ~0x100ull;
    SHOW(ORDER(PTRACE_SETREGS, pid, 0, &r));
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%llx", r.eflags & 0x3efcd7);
    r.eflags = 0;
    SHOW(ORDER(PTRACE_SETREGS, pid, 0, &r));
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%llx", r.eflags & 0x3ffcff);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(wild_registers)
{
    pid_t pid = traced(adds, NULL);
    struct user_regs_struct r;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    r.rip = 0x1234;
    r.rsp = 0x8000000000000000;
    SHOW(ORDER(PTRACE_SETREGS, pid, 0, &r));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("nothing is there", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%llx %llx", r.rip, r.rsp);
    ORDER(PTRACE_CONT, pid, 0, SIGSEGV);
    stops("after", pid);
}

CASE(register_sets)
{
    pid_t pid = traced(adds, NULL);
    struct user_regs_struct r = {0};
    struct iovec v = {&r, sizeof r};
    uint8_t area[4096] __attribute__((aligned(64)));

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    say("%zu %lld", v.iov_len, r.rdi);
    v.iov_len = 16;
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    say("%zu", v.iov_len);
    v.iov_len = 4096;
    v.iov_base = area;
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    say("%zu", v.iov_len);
    v.iov_len = 7;
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    v.iov_len = 8;
    SHOW(ORDER(PTRACE_GETREGSET, pid, 0x12345, &v));
    v.iov_base = (void *)8;
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRSTATUS, 8));
    v = (struct iovec){area, sizeof area};
    SHOW(ORDER(PTRACE_GETREGSET, pid, NT_PRFPREG, &v));
    say("%zu", v.iov_len);
    SHOW(ORDER(PTRACE_SETREGSET, pid, NT_PRFPREG, &v));
    v = (struct iovec){area, 256};
    SHOW(ORDER(PTRACE_SETREGSET, pid, NT_PRFPREG, &v));
    v = (struct iovec){area, sizeof area};
    OK(ORDER(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &v));
    OK(ORDER(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &v));
    v.iov_len = 64;
    SHOW(ORDER(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &v));
    r.rdi = 20;
    v = (struct iovec){&r, sizeof r};
    SHOW(ORDER(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

static int
floats(void *argument)
{
    double d = 1.5;
    long double l = 2.5L;

    __asm__ volatile("movsd %0, %%xmm5\n fldt %1\n int3\n fstpt %1\n movsd %%xmm5, %0" : "+m"(d), "+m"(l) : : "xmm5");
    return (int)(d * 10 + (double)l);
}

CASE(floating_point)
{
    pid_t pid = traced(floats, NULL);
    struct user_fpregs_struct f;
    double d;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    SHOW(ORDER(PTRACE_GETFPREGS, pid, 0, &f));
    memcpy(&d, (char *)f.xmm_space + 5 * 16, 8);
    say("%g cwd %x mxcsr %x mask %d top %d", d, f.cwd, f.mxcsr, f.mxcr_mask != 0, f.swd >> 11 & 7);
    d = 4;
    memcpy((char *)f.xmm_space + 5 * 16, &d, 8);
    *(long double *)f.st_space = 6;
    SHOW(ORDER(PTRACE_SETFPREGS, pid, 0, &f));
    f.mxcsr = 0xffffffff;
    SHOW(ORDER(PTRACE_SETFPREGS, pid, 0, &f));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(bases)
{
    pid_t pid = traced(adds, NULL);
    unsigned long base = 0, fs = 0;

    ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.fs_base), &fs);
    SHOW(ORDER(30 /* PTRACE_ARCH_PRCTL */, pid, &base, 0x1003 /* ARCH_GET_FS */));
    say("%d", base == fs && fs != 0);
    SHOW(ORDER(30, pid, 0x1000, 0x1001 /* ARCH_SET_GS */));
    SHOW(ORDER(30, pid, &base, 0x1004 /* ARCH_GET_GS */));
    say("%lx", base);
    SHOW(ORDER(30, pid, 1ul << 60, 0x1001));
    SHOW(ORDER(30, pid, 0, 0x9999));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* --- memory --- */

static volatile long shown = 0x1122334455667788;
static const volatile long constant = 0x5566;

static int
returns_shown(void *argument)
{
    return shown == 42 ? 42 : 1;
}

CASE(peek_and_poke)
{
    pid_t pid = traced(returns_shown, NULL);
    long word = 0;

    SHOW(ORDER(PTRACE_PEEKDATA, pid, &shown, &word));
    say("%lx", word);
    SHOW(ORDER(PTRACE_PEEKTEXT, pid, (char *)&shown + 1, &word));
    SHOW(ORDER(PTRACE_POKEDATA, pid, &shown, 42));
    say("%lx here", shown);
    SHOW(ORDER(PTRACE_PEEKDATA, pid, 8, &word));
    SHOW(ORDER(PTRACE_POKEDATA, pid, 8, 1));
    SHOW(ORDER(PTRACE_PEEKDATA, pid, 1ul << 60, &word));
    SHOW(ORDER(PTRACE_PEEKDATA, pid, &shown, 8));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

/* --- system calls --- */

static int
calls(void *argument)
{
    return syscall(SYS_getppid, 1, 2, 3, 4, 5, 6) == -1 && errno == EXDEV ? 9 : 0;
}

CASE(system_call_stops)
{
    pid_t pid = traced(calls, NULL);
    struct user_regs_struct r;
    siginfo_t info;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("begins", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%lld %lld %lld %lld %lld", r.orig_rax, r.rax, r.rdi, r.r10, r.r9);
    ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
    say("%d %x", info.si_signo, info.si_code);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("ends", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%lld %d", r.orig_rax, r.rax == (unsigned)getpid());
    r.rax = -EXDEV;
    ORDER(PTRACE_SETREGS, pid, 0, &r);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("exit_group", pid);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("after", pid);
}

CASE(system_call_without_sysgood)
{
    pid_t pid = traced(calls, NULL);

    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("begins", pid);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("ends", pid);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(system_call_info)
{
    pid_t pid = traced(calls, NULL);
    struct __ptrace_syscall_info info;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    SHOW(ORDER(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info));
    say("%d %d", info.op, info.arch == AUDIT_ARCH_X86_64);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("begins", pid);
    SHOW(ORDER(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info));
    say("%d %d %d %d", info.op, (int)info.entry.nr, (int)info.entry.args[0], (int)info.entry.args[5]);
    SHOW(ORDER(PTRACE_GET_SYSCALL_INFO, pid, 4, &info));
    SHOW(ORDER(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, 8));
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("ends", pid);
    SHOW(ORDER(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info));
    say("%d %d %d", info.op, info.exit.rval == getpid(), info.exit.is_error);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(system_call_is_another)
{
    pid_t pid = traced(calls, NULL);
    unsigned long word;

    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("begins", pid);
    SHOW(ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), SYS_getpid));
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("ends", pid);
    ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rax), &word);
    say("%d", word == (unsigned)pid);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(system_call_is_skipped)
{
    pid_t pid = traced(calls, NULL);
    long word;

    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("begins", pid);
    ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("ends", pid);
    ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rax), &word);
    say("%ld", word);
    ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), -EXDEV);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(system_calls_are_emulated)
{
    pid_t pid = traced(calls, NULL);
    unsigned long word;

    SHOW(ORDER(31 /* PTRACE_SYSEMU */, pid, 0, 0));
    stops("call", pid);
    ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.orig_rax), &word);
    say("%lu", word);
    ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), -EXDEV);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(signal_comes_with_a_call)
{
    pid_t pid = traced(raises, NULL);

    for (int k = 0; k < 4; k++) {
        ORDER(PTRACE_SYSCALL, pid, 0, 0);
        stops("sigaction", pid);
    }
    ORDER(PTRACE_SYSCALL, pid, 0, SIGUSR2);
    stops("signal", pid);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

static int
sleeps(void *argument)
{
    struct timespec t = {1, 0};

    signal(SIGUSR1, on_signal);
    return nanosleep(&t, NULL) == 0 ? 4 : errno == EINTR ? 5 : 6;
}

/* A call that a signal interrupts, which is withheld: it is done again. */
CASE(call_is_restarted)
{
    pid_t pid = traced(sleeps, NULL);
    long word;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    for (int k = 0; k < 3; k++) {
        ORDER(PTRACE_SYSCALL, pid, 0, 0);
        stops("call", pid);
    }
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    sleep_ms(20);
    kill(pid, SIGUSR1);
    stops("interrupted", pid);
    ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rax), &word);
    say("%ld", word);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("signal", pid);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("again", pid);
    ORDER(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.orig_rax), &word);
    say("%ld", word);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(call_is_interrupted)
{
    pid_t pid = traced(sleeps, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    sleep_ms(30);
    kill(pid, SIGUSR1);
    stops("signal", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGUSR1);
    stops("after", pid);
}

/* --- events --- */

static int
forks(void *argument)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(3);
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

CASE(event_fork)
{
    pid_t pid = traced(forks, NULL), grandchild;
    unsigned long message = 0;
    int status = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("fork", pid);
    SHOW(ORDER(PTRACE_GETEVENTMSG, pid, 0, &message));
    grandchild = (pid_t)message;
    stops("the new one", grandchild);
    SHOW(ORDER(PTRACE_CONT, grandchild, 0, 0));
    stops("ends", grandchild);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("SIGCHLD", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGCHLD);
    stops("after", pid);
}

CASE(fork_without_option)
{
    pid_t pid = traced(forks, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("SIGCHLD", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGCHLD);
    stops("after", pid);
}

CASE(event_fork_of_a_seized_one)
{
    struct start s = {forks, NULL};
    int gate[2], status;
    pid_t pid, grandchild;
    unsigned long message = 0;
    char c;

    pipe(gate);
    pid = fork();
    if (pid == 0) {
        read(gate[0], &c, 1);
        _exit(forks(NULL));
    }
    ORDER(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK);
    write(gate[1], "", 1);
    stops("fork", pid);
    ORDER(PTRACE_GETEVENTMSG, pid, 0, &message);
    grandchild = (pid_t)message;
    stops("the new one", grandchild);
    ORDER(PTRACE_CONT, grandchild, 0, 0);
    stops("ends", grandchild);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("SIGCHLD", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGCHLD);
    stops("after", pid);
}

static int
vforks(void *argument)
{
    pid_t pid = vfork();
    int status;

    if (pid == 0)
        _exit(3);
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

CASE(event_vfork_done)
{
    pid_t pid = traced(vforks, NULL);
    unsigned long message = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEVFORKDONE);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("done or SIGCHLD", pid);
    kill(pid, SIGKILL);
}

CASE(event_vfork)
{
    pid_t pid = traced(vforks, NULL), grandchild;
    unsigned long message = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEVFORK);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("vfork", pid);
    ORDER(PTRACE_GETEVENTMSG, pid, 0, &message);
    grandchild = (pid_t)message;
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("the new one", grandchild);
    ORDER(PTRACE_CONT, grandchild, 0, 0);
    stops("ends", grandchild);
    stops("SIGCHLD", pid);
    ORDER(PTRACE_CONT, pid, 0, SIGCHLD);
    stops("after", pid);
}

CASE(event_exit)
{
    pid_t pid = traced(returns_7, NULL);
    unsigned long message = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("exits", pid);
    SHOW(ORDER(PTRACE_GETEVENTMSG, pid, 0, &message));
    say("%lx", message);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(event_exit_by_signal)
{
    pid_t pid = traced(waits, NULL);
    unsigned long message = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT);
    ORDER(PTRACE_CONT, pid, 0, SIGTERM);
    stops("exits", pid);
    ORDER(PTRACE_GETEVENTMSG, pid, 0, &message);
    say("%lx", message);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

static int
execs(void *argument)
{
    char *argv[] = {"none", "--none", NULL}, *envp[] = {NULL};

    execve("/proc/self/exe", argv, envp);
    return 98;
}

CASE(exec_is_a_trap)
{
    pid_t pid = traced(execs, NULL);
    siginfo_t info;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("exec", pid);
    ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
    say("%d %d", info.si_signo, info.si_code);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(event_exec)
{
    pid_t pid = traced(execs, NULL);
    unsigned long message = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("execve", pid);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("exec", pid);
    ORDER(PTRACE_GETEVENTMSG, pid, 0, &message);
    say("%d", message == (unsigned)pid);
    ORDER(PTRACE_SYSCALL, pid, 0, 0);
    stops("execve's end", pid);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* --- waits --- */

CASE(waitid_of_a_stop)
{
    pid_t pid = traced(waits, NULL);
    siginfo_t info = {0};

    ORDER(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGUSR1);
    SHOW(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    say("%d %d %d %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
    SHOW(waitid(P_ALL, 0, &info, WSTOPPED));
    say("%d %d", info.si_code, info.si_status);
    SHOW(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG));
    say("%d", info.si_pid);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* A tracee that is somebody else's child: its parent waits behind the tracer. */
CASE(parent_waits_behind_the_tracer)
{
    pid_t tracer, pid = child(waits, NULL);
    int ready[2], status;
    char c;

    pipe(ready);
    tracer = fork();
    if (tracer == 0) {
        ORDER(PTRACE_SEIZE, pid, 0, 0);
        write(ready[1], "", 1);
        stops("for the tracer", pid);
        ORDER(PTRACE_CONT, pid, 0, SIGTERM);
        sleep_ms(50);
        stops("for the tracer", pid);
        fflush(stdout);
        _exit(0);
    }
    read(ready[0], &c, 1);
    kill(pid, SIGTERM);
    sleep_ms(20);
    SHOW(waitpid(pid, &status, WNOHANG | WUNTRACED));
    waitpid(tracer, NULL, 0);
    stops("for the parent", pid);
}

CASE(sigchld_of_stops)
{
    pid_t pid = traced(waits, NULL);
    sigset_t set;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ORDER(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGUSR1);
    sigwaitinfo(&set, &info);
    say("%d %d %d", info.si_code, info.si_status, info.si_pid == pid);
    kill(pid, SIGKILL);
    stops("killed or stopped", pid);
}

CASE(tracer_ends)
{
    pid_t tracer, pid = child(waits, NULL);
    int status;

    tracer = fork();
    if (tracer == 0) {
        ORDER(PTRACE_SEIZE, pid, 0, 0);
        ORDER(PTRACE_INTERRUPT, pid, 0, 0);
        stops("interrupted", pid);
        fflush(stdout);
        _exit(0);
    }
    waitpid(tracer, NULL, 0);
    SHOW(waitpid(pid, &status, WNOHANG));
    kill(pid, SIGTERM);
    stops("goes on", pid);
}

CASE(tracer_ends_with_exitkill)
{
    pid_t tracer, pid = child(waits, NULL);

    tracer = fork();
    if (tracer == 0) {
        ORDER(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL);
        _exit(0);
    }
    waitpid(tracer, NULL, 0);
    stops("killed", pid);
}

static void
show_status(pid_t pid, const char *key)
{
    char path[64], line[256];
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) {
            char *value = line + strlen(key);
            line[strcspn(line, "\n")] = '\0';
            say("%s %s", key,
                strcmp(key, "TracerPid:") ? value
                : atoi(value) == getpid() ? "me"
                : atoi(value)             ? "other"
                                          : "0");
        }
    if (f)
        fclose(f);
}

CASE(proc_status)
{
    pid_t pid = traced(waits, NULL);

    show_status(pid, "TracerPid:");
    show_status(pid, "State:");
    ORDER(PTRACE_DETACH, pid, 0, 0);
    sleep_ms(20);
    show_status(pid, "TracerPid:");
    show_status(pid, "State:");
    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* --- steps --- */

static int
counts(void *argument)
{
    long n = 0;

    __asm__ volatile("int3\n mov $3, %%ecx\n 1: add $2, %0\n dec %%ecx\n jnz 1b\n nop" : "+r"(n) : : "rcx", "cc");
    return (int)n;
}

CASE(single_steps)
{
    pid_t pid = traced(counts, NULL);
    struct user_regs_struct r;
    siginfo_t info;
    unsigned long last = 0;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    for (int k = 0; k < 12; k++) {
        ORDER(PTRACE_GETREGS, pid, 0, &r);
        say("rcx %lld rip +%ld", k ? r.rcx : 0, k ? (long)(r.rip - last) : 0);
        last = r.rip;
        ORDER(PTRACE_SINGLESTEP, pid, 0, 0);
        int status;
        waitpid(pid, &status, 0);
        if (status != (SIGTRAP << 8 | 0x7f))
            say("%x", status);
    }
    ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%d %d %d", info.si_signo, info.si_code, (unsigned long)info.si_addr == r.rip);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

static int
steps_over_call(void *argument)
{
    long r = SYS_getppid;

    __asm__ volatile("int3\n syscall\n nop\n nop" : "+a"(r) : : "rcx", "r11", "memory");
    return r == getppid();
}

CASE(step_over_a_system_call)
{
    pid_t pid = traced(steps_over_call, NULL);
    struct user_regs_struct r;
    siginfo_t info;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("int3", pid);
    ORDER(PTRACE_SINGLESTEP, pid, 0, 0);
    stops("call", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
    say("%d %d %d", r.rax == (unsigned)getpid(), info.si_code, (unsigned long)info.si_addr == r.rip);
    ORDER(PTRACE_SINGLESTEP, pid, 0, 0);
    stops("nop", pid);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(step_into_a_handler)
{
    pid_t pid = traced(raises, NULL);
    struct user_regs_struct r;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("signal", pid);
    ORDER(PTRACE_SINGLESTEP, pid, 0, SIGUSR1);
    stops("handler", pid);
    ORDER(PTRACE_GETREGS, pid, 0, &r);
    say("%d %lld", r.rip == (unsigned long)on_signal, r.rdi);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

/* --- /proc/PID/mem --- */

static int
memory_of(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    return open(path, O_RDWR);
}

CASE(proc_mem)
{
    pid_t pid = traced(returns_shown, NULL);
    int fd = memory_of(pid);
    long word = 0;

    SHOW(pread(fd, &word, 8, (off_t)(uintptr_t)&shown));
    say("%lx", word);
    word = 42;
    SHOW(pwrite(fd, &word, 8, (off_t)(uintptr_t)&shown));
    SHOW(pread(fd, &word, 8, 8));
    SHOW(pwrite(fd, &word, 8, 8));
    SHOW(pread(fd, &word, 0, 8));
    OK(lseek(fd, (off_t)(uintptr_t)&shown, SEEK_SET));
    SHOW(read(fd, &word, 8));
    say("%ld", word);
    SHOW(lseek(fd, 0, SEEK_END));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
    SHOW(pread(fd, &word, 8, (off_t)(uintptr_t)&shown));
}

CASE(proc_mem_of_its_own)
{
    int fd = memory_of(getpid());
    long word = 7;

    SHOW(pwrite(fd, &word, 8, (off_t)(uintptr_t)&shown));
    say("%ld", shown);
}

CASE(proc_mem_of_another_user)
{
    pid_t pid = child(waits, NULL);

    become(1234);
    SHOW(memory_of(pid));
}

CASE(proc_mem_after_exec)
{
    pid_t pid = traced(execs, NULL);
    int fd = memory_of(pid);
    long word;

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("exec", pid);
    SHOW(pread(fd, &word, 8, (off_t)(uintptr_t)&shown));
    kill(pid, SIGKILL);
    stops("killed", pid);
}

/* --- seccomp --- */

#include <linux/filter.h>
#include <linux/seccomp.h>

static int
is_filtered(void *argument)
{
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 77),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {6, f};
    long r;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
    r = syscall(SYS_getppid);
    return r > 0 ? 1 : errno == EXDEV ? 2 : errno == ENOSYS ? 3 : errno == EPERM ? 4 : 5;
}

CASE(seccomp_without_the_option)
{
    pid_t pid = traced(is_filtered, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

/* What the tracer does with a call that a filter leaves to it: nr to make, -1 for none; result. */
static void
leave_to_tracer(long nr, long result)
{
    pid_t pid = traced(is_filtered, NULL);
    struct __ptrace_syscall_info info;
    unsigned long message = 0;

    ORDER(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("seccomp", pid);
    ORDER(PTRACE_GETEVENTMSG, pid, 0, &message);
    SHOW(ORDER(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info));
    say("%lu, %d %d %d", message, info.op, (int)info.seccomp.nr, (int)info.seccomp.ret_data);
    if (nr)
        ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), nr);
    if (result)
        ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), result);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(seccomp_tracer_allows)
{
    leave_to_tracer(0, 0);
}

CASE(seccomp_tracer_skips)
{
    leave_to_tracer(-1, 0);
}

CASE(seccomp_tracer_answers)
{
    leave_to_tracer(-1, -EPERM);
}

CASE(seccomp_judges_the_tracer)
{
    leave_to_tracer(SYS_getuid, 0);
}

/* --- breakpoints --- */

__attribute__((noinline, noclone)) static int
is_reached(int n)
{
    __asm__ volatile("" : "+r"(n));
    return n + 1;
}

static int
reaches_three_times(void *argument)
{
    int n = 0;

    for (int k = 0; k < 3; k++)
        n = is_reached(n);
    return n;
}

/* Writes int3, or what was there. */
static long
set_breakpoint(pid_t pid, void *at, long *before)
{
    long word = ptrace(PTRACE_PEEKTEXT, pid, at, 0);

    *before = word;
    return ORDER(PTRACE_POKETEXT, pid, at, (word & ~0xffl) | 0xcc);
}

CASE(breakpoint)
{
    pid_t pid = traced(reaches_three_times, NULL);
    struct user_regs_struct r;
    siginfo_t info;
    long before, word;

    SHOW(set_breakpoint(pid, is_reached, &before));
    ORDER(PTRACE_PEEKTEXT, pid, is_reached, &word);
    say("%lx", word & 0xff);
    for (int k = 0; k < 2; k++) {
        ORDER(PTRACE_CONT, pid, 0, 0);
        stops("breakpoint", pid);
        ORDER(PTRACE_GETREGS, pid, 0, &r);
        ORDER(PTRACE_GETSIGINFO, pid, 0, &info);
        say("%d %d: %d, behind it by %ld", info.si_signo, info.si_code, (int)r.rdi,
            (long)(r.rip - (unsigned long)is_reached));
        SHOW(ORDER(PTRACE_POKETEXT, pid, is_reached, before));
        r.rip--;
        ORDER(PTRACE_SETREGS, pid, 0, &r);
        ORDER(PTRACE_SINGLESTEP, pid, 0, 0);
        stops("step", pid);
        set_breakpoint(pid, is_reached, &before);
    }
    ORDER(PTRACE_POKETEXT, pid, is_reached, before);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(breakpoint_that_nobody_handles)
{
    pid_t pid = traced(reaches_three_times, NULL);
    long before;

    set_breakpoint(pid, is_reached, &before);
    ORDER(PTRACE_DETACH, pid, 0, 0);
    stops("after", pid);
}

CASE(breakpoint_by_proc_mem)
{
    pid_t pid = traced(reaches_three_times, NULL);
    int fd = memory_of(pid);
    unsigned char before, int3 = 0xcc, now;

    SHOW(pread(fd, &before, 1, (off_t)(uintptr_t)is_reached));
    SHOW(pwrite(fd, &int3, 1, (off_t)(uintptr_t)is_reached));
    SHOW(pread(fd, &now, 1, (off_t)(uintptr_t)is_reached));
    say("%x", now);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("breakpoint", pid);
    SHOW(pwrite(fd, &before, 1, (off_t)(uintptr_t)is_reached));
    ORDER(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rip), is_reached);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

static int
forks_with_breakpoint(void *argument)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(is_reached(1));
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 99;
}

CASE(breakpoint_is_inherited_by_fork)
{
    pid_t pid = traced(forks_with_breakpoint, NULL);
    long before;

    set_breakpoint(pid, is_reached, &before);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("SIGCHLD", pid);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

CASE(breakpoint_is_gone_after_exec)
{
    pid_t pid = traced(execs, NULL);
    long before;

    set_breakpoint(pid, is_reached, &before);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("exec", pid);
    say("%d", (ptrace(PTRACE_PEEKTEXT, pid, is_reached, 0) & 0xff) == 0xcc);
    kill(pid, SIGKILL);
    stops("killed", pid);
}

CASE(write_to_constants)
{
    pid_t pid = traced(returns_7, NULL);
    long word = 0;

    SHOW(ORDER(PTRACE_POKEDATA, pid, &constant, 77));
    SHOW(ORDER(PTRACE_PEEKDATA, pid, &constant, &word));
    say("%ld there, %lx here", word, constant);
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}

static int
maps_shared(void *argument)
{
    char *p = mmap((void *)0x10000000, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    raise(SIGSTOP);
    return p[0];
}

CASE(write_to_shared_read_only_pages)
{
    pid_t pid = traced(maps_shared, NULL);

    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("mapped", pid);
    SHOW(ORDER(PTRACE_POKEDATA, pid, 0x10000000, 5));
    ORDER(PTRACE_CONT, pid, 0, 0);
    stops("after", pid);
}
