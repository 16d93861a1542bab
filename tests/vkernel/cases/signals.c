/* Signals: handlers, masks, queues, stacks, waiting for them, rights. */
#include "case.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <ucontext.h>

static volatile int seen;

static void
count(int signal)
{
    (void)signal;
    seen++;
}

static void
tell(int signal, siginfo_t *info, void *context)
{
    (void)context;
    say("signal %d code %d from me %d value %d", signal - (signal >= 34 ? SIGRTMIN - 34 : 0), info->si_code,
        info->si_pid == getpid(), info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
}

static void
handle(int signal, int flags)
{
    sigaction(signal, &(struct sigaction){.sa_sigaction = tell, .sa_flags = SA_SIGINFO | flags}, NULL);
}

static sigset_t
set_of(int a, int b)
{
    sigset_t s;

    sigemptyset(&s);
    if (a)
        sigaddset(&s, a);
    if (b)
        sigaddset(&s, b);
    return s;
}

CASE(sigaction_errors)
{
    struct sigaction act = {.sa_handler = SIG_IGN};

    SHOW(sigaction(0, &act, NULL));
    SHOW(sigaction(65, &act, NULL));
    SHOW(sigaction(SIGKILL, &act, NULL));
    SHOW(sigaction(SIGSTOP, &act, NULL));
    SHOW(syscall(SYS_rt_sigaction, SIGKILL, NULL, &act, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, &act, NULL, 4));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, (void *)-1, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)-1, 8));
    SHOW(syscall(SYS_rt_sigaction, -1, NULL, NULL, 8));
}

CASE(sigaction_returns_the_old)
{
    struct sigaction old;

    handle(SIGUSR1, SA_RESTART | SA_NODEFER);
    SHOW(sigaction(SIGUSR1, NULL, &old));
    say("%x %d", old.sa_flags & ~0x04000000, old.sa_sigaction == tell);
    SHOW(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = SIG_DFL}, &old));
    sigaction(SIGUSR1, NULL, &old);
    say("%d", old.sa_handler == SIG_DFL);
}

CASE(sigaction_keeps_known_flags)
{
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } act = {SIG_IGN, 0xffffffff, NULL, ~0ull}, old;

    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, &act, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8));
    say("%lx %llx", old.flags, (long long)old.mask);
}

CASE(sigprocmask_answers)
{
    sigset_t all, old;

    sigfillset(&all);
    SHOW(sigprocmask(SIG_SETMASK, &all, NULL));
    SHOW(sigprocmask(SIG_BLOCK, NULL, &old));
    say("%d %d", sigismember(&old, SIGKILL), sigismember(&old, SIGTERM));
    SHOW(syscall(SYS_rt_sigprocmask, 7, &all, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, 7, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 16));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)-1, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, (void *)-1, 8));
}

CASE(blocked_signals_wait)
{
    sigset_t s = set_of(SIGUSR1, SIGUSR2), pending;

    handle(SIGUSR1, 0), handle(SIGUSR2, 0);
    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR2), raise(SIGUSR1), raise(SIGUSR1);
    SHOW(sigpending(&pending));
    say("%d %d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2), sigismember(&pending, SIGINT));
    SHOW(sigprocmask(SIG_UNBLOCK, &s, NULL));
    SHOW(syscall(SYS_rt_sigpending, (void *)-1, 8));
    SHOW(syscall(SYS_rt_sigpending, &pending, 16));
    SHOW(syscall(SYS_rt_sigpending, &pending, 4));
}

CASE(real_time_signals_queue)
{
    sigset_t s = set_of(SIGRTMIN, SIGRTMIN + 1);

    handle(SIGRTMIN, 0), handle(SIGRTMIN + 1, 0);
    sigprocmask(SIG_BLOCK, &s, NULL);
    for (int k = 0; k < 3; k++) {
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = k});
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 10 + k});
    }
    sigprocmask(SIG_UNBLOCK, &s, NULL);
}

CASE(standard_signals_do_not_queue)
{
    sigset_t s = set_of(SIGUSR1, 0);

    handle(SIGUSR1, 0);
    sigprocmask(SIG_BLOCK, &s, NULL);
    for (int k = 0; k < 3; k++)
        sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = k});
    sigprocmask(SIG_UNBLOCK, &s, NULL);
}

CASE(ignored_signals_are_lost)
{
    sigset_t s = set_of(SIGUSR1, SIGCHLD), pending;

    signal(SIGUSR1, SIG_IGN);
    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR1), raise(SIGCHLD);
    sigpending(&pending);
    say("%d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGCHLD));
    signal(SIGUSR1, count);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&pending);
    say("%d", sigismember(&pending, SIGUSR1));
}

static void
look_at_mask(int signal)
{
    sigset_t now;

    sigprocmask(SIG_BLOCK, NULL, &now);
    say("in %d: usr1 %d usr2 %d", signal, sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
}

CASE(handlers_masks)
{
    sigset_t now;

    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = look_at_mask, .sa_mask = set_of(SIGUSR2, 0)}, NULL);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = look_at_mask, .sa_flags = SA_NODEFER}, NULL);
    raise(SIGUSR1);
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("%d", sigismember(&now, SIGUSR1));
}

CASE(reset_hand)
{
    struct sigaction old;

    handle(SIGUSR1, SA_RESETHAND);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &old);
    say("%d", old.sa_handler == SIG_DFL);
    raise(SIGUSR1);
}

CASE(sigsuspend_swaps)
{
    sigset_t s = set_of(SIGUSR1, 0), none = set_of(0, 0), now;

    handle(SIGUSR1, 0);
    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR1);
    SHOW(sigsuspend(&none));
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("%d", sigismember(&now, SIGUSR1));
    SHOW(syscall(SYS_rt_sigsuspend, &none, 4));
    SHOW(syscall(SYS_rt_sigsuspend, (void *)-1, 8));
}

CASE(pause_ends)
{
    handle(SIGALRM, SA_RESTART);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    SHOW(pause());
}

CASE(sigtimedwait_takes)
{
    sigset_t s = set_of(SIGUSR1, SIGRTMIN);
    siginfo_t info;
    struct timespec none = {0, 0};

    sigprocmask(SIG_BLOCK, &s, NULL);
    SHOW(sigtimedwait(&s, &info, &none));
    kill(getpid(), SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5});
    SHOW(sigtimedwait(&s, &info, &none));
    say("%d %d", info.si_code, info.si_pid == getpid());
    SHOW(sigtimedwait(&s, &info, NULL) == SIGRTMIN);
    say("%d %d", info.si_code, info.si_value.sival_int);
    SHOW(sigtimedwait(&s, NULL, &(struct timespec){0, 3000000}));
    SHOW(syscall(SYS_rt_sigtimedwait, &s, NULL, &(struct timespec){0, 1000000000}, 8));
    SHOW(syscall(SYS_rt_sigtimedwait, &s, NULL, &(struct timespec){-1, 0}, 8));
    SHOW(syscall(SYS_rt_sigtimedwait, (void *)-1, NULL, &none, 8));
    SHOW(syscall(SYS_rt_sigtimedwait, &s, NULL, (void *)-1, 8));
    SHOW(syscall(SYS_rt_sigtimedwait, &s, NULL, &none, 9));
}

CASE(sigtimedwait_is_interrupted)
{
    sigset_t s = set_of(SIGUSR1, 0);

    handle(SIGALRM, SA_RESTART);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 5000}, NULL);
    sigprocmask(SIG_BLOCK, &s, NULL);
    SHOW(sigtimedwait(&s, NULL, &(struct timespec){5, 0}));
}

CASE(kill_errors)
{
    SHOW(kill(getpid(), 0));
    SHOW(kill(getpid(), 65));
    SHOW(kill(getpid(), -1));
    SHOW(kill(0x3fffffff, 0));
    SHOW(kill(0x3fffffff, 65));
    SHOW(kill(-0x3fffffff, 65));
    SHOW(kill(0, 65));
    SHOW(syscall(SYS_tkill, 0x3fffffff, 65));
    SHOW(kill(INT32_MIN, 0));
    SHOW(kill(0, 0));
    SHOW(kill(-getpid(), 0));
    SHOW(syscall(SYS_tkill, gettid(), 0));
    SHOW(syscall(SYS_tkill, 0, 0));
    SHOW(syscall(SYS_tkill, -1, 0));
    SHOW(syscall(SYS_tkill, 0x3fffffff, 0));
    SHOW(syscall(SYS_tgkill, getpid(), gettid(), 0));
    SHOW(syscall(SYS_tgkill, 1, gettid(), 0));
    SHOW(syscall(SYS_tgkill, 0, gettid(), 0));
    SHOW(syscall(SYS_tgkill, -1, gettid(), 0));
    SHOW(syscall(SYS_tgkill, getpid(), gettid(), 65));
}

CASE(kill_rights)
{
    pid_t root = fork();
    if (root == 0)
        pause(), _exit(0);
    pid_t other = fork();
    if (other == 0) {
        become(1001);
        pause();
        _exit(0);
    }
    sleep_ms(20);
    become(1000);
    SHOW(kill(root, 0));
    SHOW(kill(other, SIGTERM));
    SHOW(kill(root, 65));
    pid_t own = fork();
    if (own == 0)
        pause(), _exit(0);
    SHOW(kill(own, SIGTERM));
    say_end("own", own);
    SHOW(kill(0, 0));
}

CASE(kill_of_a_zombie)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(3);
    sleep_ms(20);
    SHOW(kill(pid, SIGKILL));
    say_end("zombie", pid);
    SHOW(kill(pid, 0));
}

CASE(sigqueue_rights)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};

    handle(SIGUSR1, 0);
    info.si_pid = getpid(), info.si_value.sival_int = 4;
    SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    info.si_code = SI_USER;
    SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
    info.si_code = SI_TKILL;
    SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
    info.si_code = SI_QUEUE;
    SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
    SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, (void *)-1));
    SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &info));
    SHOW(syscall(SYS_rt_sigqueueinfo, 0x3fffffff, 0, &info));
    SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info));
    SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), 0, SIGUSR1, &info));
    SHOW(syscall(SYS_rt_tgsigqueueinfo, -1, gettid(), SIGUSR1, &info));
}

static char *stack_low, *stack_high;

static void
on_stack(int signal)
{
    char here;
    stack_t now;

    sigaltstack(NULL, &now);
    say("signal %d on the other stack %d flags %d", signal, &here >= stack_low && &here < stack_high, now.ss_flags);
    say("%s", sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) < 0 ? strerrorname_np(errno) : "ok");
}

CASE(altstack)
{
    stack_t s = {.ss_sp = malloc(65536), .ss_size = 65536}, old;

    stack_low = s.ss_sp, stack_high = stack_low + 65536;
    SHOW(sigaltstack(NULL, &old));
    say("%d", old.ss_flags);
    SHOW(sigaltstack(&s, NULL));
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_stack, .sa_flags = SA_ONSTACK}, NULL);
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_stack}, NULL);
    raise(SIGUSR1);
    SHOW(sigaltstack(NULL, &old));
    say("%d %d %ld", old.ss_sp == s.ss_sp, old.ss_flags, (long)old.ss_size);
    raise(SIGUSR2);
}

CASE(altstack_errors)
{
    stack_t s = {.ss_sp = malloc(65536), .ss_size = 100};

    SHOW(syscall(SYS_sigaltstack, &s, NULL));
    s.ss_size = 65536, s.ss_flags = 8;
    SHOW(syscall(SYS_sigaltstack, &s, NULL));
    s.ss_flags = SS_ONSTACK;
    SHOW(syscall(SYS_sigaltstack, &s, NULL));
    s.ss_flags = SS_DISABLE, s.ss_size = 0;
    SHOW(syscall(SYS_sigaltstack, &s, NULL));
    SHOW(syscall(SYS_sigaltstack, (void *)-1, NULL));
    SHOW(syscall(SYS_sigaltstack, NULL, (void *)-1));
    s.ss_flags = 1 << 31 /* SS_AUTODISARM */, s.ss_size = 65536;
    SHOW(syscall(SYS_sigaltstack, &s, NULL));
    SHOW(syscall(SYS_sigaltstack, NULL, &s));
    say("%x", s.ss_flags);
}

static sigjmp_buf back;

static void
on_overflow(int signal)
{
    siglongjmp(back, signal);
}

static int
deep(int n)
{
    volatile char room[4096];

    room[0] = (char)n;
    return deep(n + 1) + room[0];
}

CASE(stack_overflow_is_handled_on_altstack)
{
    setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20});
    sigaltstack(&(stack_t){.ss_sp = malloc(65536), .ss_size = 65536}, NULL);
    sigaction(SIGSEGV, &(struct sigaction){.sa_handler = on_overflow, .sa_flags = SA_ONSTACK}, NULL);
    int r = sigsetjmp(back, 1);
    if (r == 0)
        deep(0);
    say("signal %d", r);
}

static void
on_segv(int signal, siginfo_t *info, void *context)
{
    (void)context;
    say("signal %d code %d", signal, info->si_code);
    siglongjmp(back, 1);
}

CASE(fault_codes)
{
    struct sigaction act = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &act, NULL), sigaction(SIGFPE, &act, NULL), sigaction(SIGILL, &act, NULL);
    sigaction(SIGTRAP, &act, NULL);
    if (!sigsetjmp(back, 1))
        *(volatile int *)8 = 1;
    if (!sigsetjmp(back, 1))
        *(volatile char *)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
    if (!sigsetjmp(back, 1))
        __asm__ volatile("xor %%eax, %%eax; cltd; idivl %%eax" ::: "eax", "edx");
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ud2");
    if (!sigsetjmp(back, 1))
        __asm__ volatile("int3");
    if (!sigsetjmp(back, 1))
        __asm__ volatile("hlt");
}

CASE(blocked_fault_kills)
{
    sigset_t s = set_of(SIGSEGV, 0);

    signal(SIGSEGV, count);
    sigprocmask(SIG_BLOCK, &s, NULL);
    *(volatile int *)8 = 1;
    say("not reached");
}

CASE(ignored_fault_kills)
{
    signal(SIGSEGV, SIG_IGN);
    *(volatile int *)8 = 1;
    say("not reached");
}

CASE(abort_cannot_be_ignored)
{
    signal(SIGABRT, SIG_IGN);
    abort();
}

CASE(sigchld_says_how)
{
    sigset_t s = set_of(SIGCHLD, 0);
    siginfo_t info;
    pid_t pid;

    sigprocmask(SIG_BLOCK, &s, NULL);
    if ((pid = fork()) == 0)
        _exit(7);
    sigwaitinfo(&s, &info);
    say("code %d status %d its %d", info.si_code, info.si_status, info.si_pid == pid);
    waitpid(pid, NULL, 0);
    if ((pid = fork()) == 0)
        raise(SIGKILL);
    sigwaitinfo(&s, &info);
    say("code %d status %d", info.si_code, info.si_status);
    waitpid(pid, NULL, 0);
    if ((pid = fork()) == 0)
        raise(SIGSTOP), pause(), _exit(0);
    sigwaitinfo(&s, &info);
    say("code %d status %d", info.si_code, info.si_status);
    kill(pid, SIGCONT);
    sigwaitinfo(&s, &info);
    say("code %d status %d", info.si_code, info.si_status);
    kill(pid, SIGTERM);
    sigwaitinfo(&s, &info);
    say("code %d status %d", info.si_code, info.si_status);
}

CASE(no_child_stop)
{
    sigset_t s = set_of(SIGCHLD, 0);
    siginfo_t info;
    pid_t pid;

    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = count, .sa_flags = SA_NOCLDSTOP}, NULL);
    sigprocmask(SIG_BLOCK, &s, NULL);
    if ((pid = fork()) == 0)
        raise(SIGSTOP), _exit(0);
    waitpid(pid, NULL, WUNTRACED);
    SHOW(sigtimedwait(&s, &info, &(struct timespec){0, 0}));
    kill(pid, SIGCONT);
    SHOW(sigtimedwait(&s, &info, NULL));
    say("code %d", info.si_code);
}

CASE(no_child_wait)
{
    pid_t pid;

    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = count, .sa_flags = SA_NOCLDWAIT}, NULL);
    if ((pid = fork()) == 0)
        _exit(3);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    say("%s, signals %d", strerrorname_np(errno), seen);
    signal(SIGCHLD, SIG_IGN);
    if ((pid = fork()) == 0)
        _exit(3);
    SHOW(wait(NULL));
}

CASE(stop_and_continue)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGUSR1, SIG_IGN);
        raise(SIGTSTP);
        kill(getpid(), SIGSTOP);
        pause();
    }
    for (int k = 0; k < 2; k++) {
        waitpid(pid, &status, WUNTRACED);
        say("stopped %d by %d", WIFSTOPPED(status), WSTOPSIG(status));
        kill(pid, SIGUSR1);
        kill(pid, SIGCONT);
    }
    waitpid(pid, &status, WCONTINUED);
    say("continued %d", WIFCONTINUED(status));
    kill(pid, SIGTERM);
    say_end("child", pid);
}

CASE(signals_over_exec_and_fork)
{
    sigset_t s = set_of(SIGUSR1, 0), pending;

    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR1);
    pid_t pid = fork();
    if (pid == 0) {
        sigpending(&pending);
        say("pending in child %d", sigismember(&pending, SIGUSR1));
        sigprocmask(SIG_BLOCK, NULL, &pending);
        say("blocked in child %d", sigismember(&pending, SIGUSR1));
        _exit(0);
    }
    say_end("child", pid);
}

static void *
send_to_thread(void *arg)
{
    sigset_t s = set_of(SIGUSR1, SIGUSR2), pending;

    pthread_sigmask(SIG_BLOCK, &s, NULL);
    syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    sigpending(&pending);
    say("thread: %d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2));
    return NULL;
}

CASE(pending_of_threads)
{
    sigset_t s = set_of(SIGUSR1, SIGUSR2), pending;
    pthread_t t;

    sigprocmask(SIG_BLOCK, &s, NULL);
    pthread_create(&t, NULL, send_to_thread, NULL);
    pthread_join(t, NULL);
    sigpending(&pending);
    say("process: %d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2));
}

CASE(parent_death_signal)
{
    int fds[2];
    char c;

    pipe(fds);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            sigset_t s = set_of(SIGUSR1, 0);
            sigprocmask(SIG_BLOCK, &s, NULL);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            write(fds[1], "x", 1);
            sleep_ms(20); /* until the parent's end has been told */
            SHOW(sigwaitinfo(&s, NULL));
            _exit(0);
        }
        read(fds[0], &c, 1);
        _exit(0);
    }
    say_end("parent", pid);
    SHOW(waitpid(-1, NULL, 0) > 0);
    SHOW(prctl(PR_SET_PDEATHSIG, 65));
    SHOW(prctl(PR_GET_PDEATHSIG, (void *)-1));
}
