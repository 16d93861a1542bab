/* Work that a guest leaves to the kernel's timers and signal queues: thousands of timers of some microseconds that
 * nobody hears, descriptors with falling deadlines, as many signals as are taken, rubbish given to sigreturn. The same
 * on Linux. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
many_timers(int notify, int sig)
{
    int made = 0;

    for (int k = 0; k < 2000; k++) {
        struct sigevent ev = {.sigev_notify = notify, .sigev_signo = sig};
        struct itimerspec it = {{0, 1 + k}, {0, 10000}};
        timer_t t;

        if (timer_create(k & 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &ev, &t) == 0 &&
            timer_settime(t, 0, &it, NULL) == 0)
            made++;
    }
    printf("timers %d\n", made);
}

static void
many_timerfds(void)
{
    struct rlimit r = {20000, 20000};
    int made = 0;

    setrlimit(RLIMIT_NOFILE, &r);
    for (int k = 0; k < 15000; k++) {
        struct itimerspec it = {{0, k & 1}, {k & 1 ? 0 : 100000 - k, k & 1}};
        int fd = timerfd_create(CLOCK_MONOTONIC, 0);

        if (fd >= 0 && timerfd_settime(fd, 0, &it, NULL) == 0)
            made++;
    }
    printf("timerfds %d\n", made);
}

static void
sigreturn_rubbish(void)
{
    int ends = 0;

    for (int k = 0; k < 60; k++) {
        pid_t pid = fork();

        if (pid == 0) {
            unsigned *w = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

            srand((unsigned)k);
            for (int j = 0; j < 2048; j++)
                w[j] = (unsigned)rand() ^ (unsigned)rand() << 16;
            for (int j = 0; (k & 1) && j < 1024; j += 2)
                w[j + 1] = 0;
            alarm(1);
            __asm__ volatile("mov %0, %%rsp; mov $15, %%eax; syscall" ::"r"(w));
        }
        ends += waitpid(pid, NULL, 0) == pid;
    }
    printf("sigreturns %d\n", ends);
}

int
main(void)
{
    struct itimerval it = {{0, 1}, {0, 1}};
    union sigval v = {0};
    sigset_t set;

    setvbuf(stdout, NULL, _IOLBF, 0);
    sigreturn_rubbish();
    signal(SIGUSR1, SIG_IGN);
    signal(SIGVTALRM, SIG_IGN);
    signal(SIGPROF, SIG_IGN);
    signal(SIGALRM, SIG_IGN);
    many_timers(SIGEV_SIGNAL, SIGUSR1);
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    many_timers(SIGEV_SIGNAL, SIGRTMAX);
    many_timers(SIGEV_NONE, SIGRTMAX);
    setitimer(ITIMER_REAL, &it, NULL);
    setitimer(ITIMER_VIRTUAL, &it, NULL);
    setitimer(ITIMER_PROF, &it, NULL);
    many_timerfds();
    usleep(1000);
    for (volatile int k = 0; k < 3000000; k++)
        ;
    while (sigqueue(getpid(), SIGRTMIN, v) == 0)
        ;
    printf("no more signals %d\n", errno == EAGAIN);
    printf("survived\n");
    return 0;
}
