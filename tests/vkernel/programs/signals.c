/* Signals: handlers, masks, restarts, alternate stacks, faults, waiting. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int count;
static sigjmp_buf jump;
static char *fault_page;

static void
on_signal(int sig, siginfo_t *info, void *context)
{
    count++;
    printf("handler %d code %d pid %s\n", sig, info->si_code, info->si_pid == getpid() ? "self" : "other");
}

static void
on_segv(int sig, siginfo_t *info, void *context)
{
    char here;
    stack_t ss;

    sigaltstack(NULL, &ss);
    printf("fault %d code %d address %s altstack %d inside %d\n", sig, info->si_code,
           (char *)info->si_addr == fault_page ? "right" : "wrong", ss.ss_flags,
           &here >= (char *)ss.ss_sp && &here < (char *)ss.ss_sp + ss.ss_size);
    siglongjmp(jump, 1);
}

static void
set(int sig, void (*f)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};

    sigaction(sig, &sa, NULL);
}

static void
masks(void)
{
    sigset_t s, old, pending;

    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, &old);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    printf("pending %d count %d\n", sigismember(&pending, SIGUSR1), count);
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("count %d\n", count);
    sigprocmask(SIG_BLOCK, &s, &old);
    raise(SIGUSR1);
    sigsuspend(&old);
    printf("suspend errno %d count %d\n", errno == EINTR, count);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void
queued(void)
{
    sigset_t s;
    siginfo_t info;
    struct timespec zero = {0}, little = {0, 20000000};
    union sigval v;

    sigemptyset(&s);
    sigaddset(&s, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &s, NULL);
    for (int i = 0; i < 3; i++) {
        v.sival_int = i * 11;
        sigqueue(getpid(), SIGRTMIN, v);
    }
    for (int i = 0; i < 3; i++) {
        int r = sigtimedwait(&s, &info, &zero);

        printf("timedwait %d value %d code %d\n", r == SIGRTMIN, info.si_value.sival_int, info.si_code);
    }
    printf("empty %d", sigtimedwait(&s, &info, &little));
    printf(" %d\n", errno == EAGAIN);
}

static void
restarts(void)
{
    int p[2], r;
    char c;

    if (pipe(p) < 0)
        exit(1);
    for (int round = 0; round < 2; round++) {
        pid_t child;

        set(SIGUSR2, on_signal, round == 0 ? SA_RESTART : 0);
        child = fork();
        if (child == 0) {
            usleep(20000);
            kill(getppid(), SIGUSR2);
            usleep(20000);
            if (write(p[1], "x", 1) != 1)
                _exit(1);
            _exit(0);
        }
        fflush(stdout);
        r = (int)read(p[0], &c, 1);
        printf("read %d errno %d\n", r, r < 0 ? errno == EINTR : 0);
        while (waitpid(child, NULL, 0) < 0)
            ;
        if (r < 0)
            r = (int)read(p[0], &c, 1);
    }
}

static void
faults(void)
{
    static char stack[65536];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};

    sigaltstack(&ss, NULL);
    set(SIGSEGV, on_segv, SA_ONSTACK);
    set(SIGBUS, on_segv, SA_ONSTACK);
    fault_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(jump, 1))
        *(volatile char *)fault_page = 1;
    munmap(fault_page, 4096);
    if (!sigsetjmp(jump, 1))
        printf("%d\n", *(volatile char *)fault_page);
    fault_page = NULL;
    if (!sigsetjmp(jump, 1))
        *(volatile char *)fault_page = 1;
}

static void
fpe(int sig, siginfo_t *info, void *context)
{
    printf("fpe %d code %d\n", sig, info->si_code);
    siglongjmp(jump, 1);
}

static void
timers(void)
{
    /* longer than stopping it takes, when busy */
    struct itimerval it = {.it_value = {0, 10000}, .it_interval = {0, 150000}};
    volatile unsigned long spin = 0;
    int before = count;

    set(SIGALRM, on_signal, 0);
    fclose(stdin);
    setitimer(ITIMER_REAL, &it, NULL);
    while (count < before + 3)
        spin++;
    memset(&it, 0, sizeof it);
    setitimer(ITIMER_REAL, &it, NULL);
    printf("alarms came\n");
}

static void
with_signalfd(void)
{
    struct signalfd_siginfo info;
    struct pollfd p;
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    p = (struct pollfd){.fd = signalfd(-1, &s, 0), .events = POLLIN};
    printf("signalfd poll %d", poll(&p, 1, 0));
    kill(getpid(), SIGUSR1);
    printf(" %d", poll(&p, 1, 1000));
    printf(" read %d", (int)read(p.fd, &info, sizeof info));
    printf(" signal %u\n", info.ssi_signo);
}

int
main(void)
{
    int zero = 0, status;
    pid_t child;

    setvbuf(stdout, NULL, _IOLBF, 0);
    set(SIGUSR1, on_signal, 0);
    masks();
    queued();
    restarts();
    faults();
    set(SIGFPE, fpe, 0);
    if (!sigsetjmp(jump, 1))
        printf("%d\n", 1 / *(volatile int *)&zero);
    timers();
    with_signalfd();
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)8 = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("child signal %d\n", WTERMSIG(status));
    child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status) == SIGSTOP);
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    printf("continued %d\n", WIFCONTINUED(status));
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    printf("terminated %d\n", WTERMSIG(status) == SIGTERM);
    return 0;
}
