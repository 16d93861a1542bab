/* Calls that take as long as the guest likes: 2 GB in one read, gigabytes of nothing from file to file. Others run
 * meanwhile, and a signal ends them. The same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void
zeros(void)
{
    int f = open("/dev/zero", O_RDONLY);
    char *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static struct iovec v[1024];

    for (int k = 0; k < 1024; k++)
        v[k] = (struct iovec){p, 64 << 20};
    for (;;)
        readv(f, v, 1024);
}

static void
randoms(void)
{
    int f = open("/dev/urandom", O_RDONLY);
    char *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static struct iovec v[1024];

    for (int k = 0; k < 1024; k++)
        v[k] = (struct iovec){p, 64 << 20};
    for (;;)
        readv(f, v, 1024);
}

static void
file_to_file(void)
{
    int f = memfd_create("from", 0), g = open("/dev/null", O_WRONLY);

    ftruncate(f, 1l << 40);
    for (;;) {
        lseek(f, 0, SEEK_SET);
        syscall(SYS_sendfile, g, f, 0, 1l << 34);
    }
}

static void
written(void)
{
    int g = open("/dev/null", O_WRONLY), f = memfd_create("from", 0);
    char *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static struct iovec v[1024];

    for (int k = 0; k < 1024; k++)
        v[k] = (struct iovec){p, 32 << 10};
    for (;;)
        pwritev(f, v, 1024, 0);
}

/* The work runs in a child; a timer in the parent must come, and the kill must take. */
static void
run(const char *what, void (*work)(void))
{
    double start = now(), woken, gone;
    int pid = fork(), status;

    if (pid == 0) {
        work();
        _exit(0);
    }
    usleep(200000);
    woken = now();
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    gone = now();
    printf("%s: woken %s, gone %s, status %x\n", what, woken - start < 3 ? "soon" : "late",
           gone - woken < 3 ? "soon" : "late", status);
    if (woken - start >= 3 || gone - woken >= 3)
        fprintf(stderr, "%s: woken after %g, gone after %g\n", what, woken - start, gone - woken);
    fflush(stdout);
}

static void
on_alarm(int sig)
{
}

int
main(void)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval it = {.it_value = {0, 200000}};
    int f, g;
    long n;

    run("zeros", zeros);
    run("random bytes", randoms);
    run("file to file", file_to_file);
    run("written", written);
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    f = memfd_create("from", 0);
    g = memfd_create("to", 0);
    ftruncate(f, 1l << 40);
    n = syscall(SYS_copy_file_range, f, NULL, f, &(long){1l << 39}, 1l << 39, 1);
    printf("flags: %s\n", n < 0 ? strerrorname_np(errno) : "yes");
    printf("survived\n");
    return 0;
}
