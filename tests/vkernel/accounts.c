/* What a program is told of the time that it and others have used: the first argument says of which.
 * Prints numbers, for accounts.py. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
spin(double seconds)
{
    double end = now() + seconds;

    while (now() < end)
        for (volatile int k = 0; k < 10000; k++)
            ;
}

/* The numbers behind a name in /proc/stat. */
static void
stat_line(const char *name, double *out, int count)
{
    FILE *f = fopen("/proc/stat", "r");
    char line[1024];
    size_t n = strlen(name);

    memset(out, 0, (size_t)count * sizeof *out);
    while (f && fgets(line, sizeof line, f)) {
        char *p = line + n;

        if (strncmp(line, name, n) != 0 || line[n] != ' ')
            continue;
        for (int k = 0; k < count; k++)
            out[k] = strtod(p, &p);
    }
    if (f)
        fclose(f);
}

/* Three that spin for a period of the load average and a second, while this one sleeps. */
static void
load(void)
{
    double before[8], after[8], made[2], switched[2], running, began = now(), loads[3];
    struct sysinfo si;
    FILE *f;

    stat_line("processes", &made[0], 1);
    stat_line("ctxt", &switched[0], 1);
    stat_line("cpu0", before, 8);
    for (int k = 0; k < 3; k++)
        if (fork() == 0) {
            spin(6);
            _exit(0);
        }
    sleep(3);
    stat_line("procs_running", &running, 1);
    sleep(4);
    while (wait(NULL) > 0)
        ;
    stat_line("cpu0", after, 8);
    stat_line("processes", &made[1], 1);
    stat_line("ctxt", &switched[1], 1);
    f = fopen("/proc/loadavg", "r");
    if (fscanf(f, "%lf %lf %lf", &loads[0], &loads[1], &loads[2]) != 3)
        exit(1);
    sysinfo(&si);
    printf("seconds %.2f\nrunning %.0f\nmade %.0f\nswitched %.0f\n", now() - began, running, made[1] - made[0],
           switched[1] - switched[0]);
    printf("user %.2f\nnice %.2f\nsystem %.2f\nidle %.2f\nsteal %.2f\n", (after[0] - before[0]) / 100,
           (after[1] - before[1]) / 100, (after[2] - before[2]) / 100, (after[3] - before[3]) / 100,
           (after[7] - before[7]) / 100);
    printf("load1 %.2f\nload5 %.2f\nload15 %.2f\nsysinfo1 %.2f\nsysinfo15 %.2f\n", loads[0], loads[1], loads[2],
           (double)si.loads[0] / 65536, (double)si.loads[2] / 65536);
}

static void
nice_time(void)
{
    double before[4], after[4];

    stat_line("cpu0", before, 4);
    nice(5);
    spin(0.5);
    stat_line("cpu0", after, 4);
    printf("user %.2f\nnice %.2f\n", (after[0] - before[0]) / 100, (after[1] - before[1]) / 100);
}

/* --- user and system time --- */

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static double
used(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Nothing but computing: one look at the clock for some milliseconds of it. */
static void
compute(double until)
{
    while (used(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (volatile int k = 0; k < 200000; k++)
            ;
}

static void
copies(double until, size_t size)
{
    static char buf[1 << 20];
    static int touched;
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);

    if (!touched) /* its pages are there from then on */
        memset(buf, 1, sizeof buf);
    touched = 1;
    while (used(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (size_t k = 0; k < (1 << 22) / size; k++)
            if (read(zero, buf, size) != (ssize_t)size || write(null, buf, size) != (ssize_t)size)
                exit(1);
    close(zero);
    close(null);
}

static void
cheap_calls(double until)
{
    while (used(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (int k = 0; k < 10000; k++)
            __asm__ volatile("syscall" : : "a"(SYS_getppid) : "rcx", "r11", "memory");
}

static void
mappings(double until)
{
    while (used(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (int k = 0; k < 100; k++) {
            char *p = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

            mprotect(p, 4096, PROT_READ);
            munmap(p, 1 << 16);
        }
}

static void
forks(double until)
{
    struct rusage ru;

    do {
        if (fork() == 0)
            _exit(0);
        wait(NULL);
        getrusage(RUSAGE_CHILDREN, &ru);
    } while (used(CLOCK_PROCESS_CPUTIME_ID) + seconds(ru.ru_utime) + seconds(ru.ru_stime) < until);
}

/* One long call in a hundred, of one number: what takes long must not be taken for the others, nor they for it. */
static void
mixed_sizes(double until)
{
    static char buf[1 << 20];
    int zero = open("/dev/zero", O_RDONLY);

    while (used(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (int k = 0; k < 1000; k++)
            if (read(zero, buf, k % 100 ? 1 : sizeof buf) < 1)
                exit(1);
    close(zero);
}

static void
pipes(double until)
{
    int to[2], from[2];
    char byte = 1;

    if (pipe(to) < 0 || pipe(from) < 0)
        exit(1);
    if (fork() == 0) {
        close(to[1]);
        while (read(to[0], &byte, 1) == 1)
            write(from[1], &byte, 1);
        _exit(0);
    }
    while (used(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (int k = 0; k < 1000; k++)
            if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1)
                exit(1);
    close(to[1]);
    wait(NULL);
}

static void
fresh_memory(double until)
{
    enum { SIZE = 64 << 20 };

    while (used(CLOCK_PROCESS_CPUTIME_ID) < until) {
        char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (size_t k = 0; k < SIZE; k += 4096)
            p[k] = 1;
        munmap(p, SIZE);
    }
}

static void
half_and_half(double until)
{
    double at = used(CLOCK_PROCESS_CPUTIME_ID);

    for (; at < until; at += 0.02) {
        compute(at + 0.01);
        copies(at + 0.02, 1 << 20);
    }
}

static void
large_copies(double until)
{
    copies(until, 1 << 20);
}

static void
small_copies(double until)
{
    copies(until, 1);
}

static const struct {
    const char *name;
    void (*run)(double until);
} works[] = {{"compute", compute},           {"large-copies", large_copies},
             {"small-copies", small_copies}, {"cheap-calls", cheap_calls},
             {"mappings", mappings},         {"forks", forks},
             {"mixed-sizes", mixed_sizes},   {"pipes", pipes},
             {"fresh-memory", fresh_memory}, {"half-and-half", half_and_half}};

static int
clock_ticks(const char *path, double *user, double *system, double *child_user, double *child_system)
{
    FILE *f = fopen(path, "r");
    char line[1024], *p;
    long v[4];

    if (!f || !fgets(line, sizeof line, f) || !(p = strrchr(line, ')')))
        return -1;
    fclose(f);
    if (sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3]) != 4)
        return -1;
    *user = (double)v[0] / 100;
    *system = (double)v[1] / 100;
    *child_user = (double)v[2] / 100;
    *child_system = (double)v[3] / 100;
    return 0;
}

static int
near(double a, double b)
{
    return a - b < 0.0301 && b - a < 0.0301;
}

/* Does everything that tells of a process's time say the same? */
static int
agree(void)
{
    struct rusage self, thread, children;
    struct tms t;
    double cpu = used(CLOCK_PROCESS_CPUTIME_ID), task = used(CLOCK_THREAD_CPUTIME_ID), u, s, cu, cs, tu, ts, unused;

    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_THREAD, &thread);
    getrusage(RUSAGE_CHILDREN, &children);
    times(&t);
    if (clock_ticks("/proc/self/stat", &u, &s, &cu, &cs) < 0 ||
        clock_ticks("/proc/thread-self/stat", &tu, &ts, &unused, &unused) < 0)
        return 0;
    return near(seconds(self.ru_utime) + seconds(self.ru_stime), cpu) &&
           near(seconds(thread.ru_utime) + seconds(thread.ru_stime), task) && near(u, seconds(self.ru_utime)) &&
           near(s, seconds(self.ru_stime)) && near(tu, seconds(thread.ru_utime)) &&
           near(ts, seconds(thread.ru_stime)) && near((double)t.tms_utime / 100, u) &&
           near((double)t.tms_stime / 100, s) && near(cu, seconds(children.ru_utime)) &&
           near(cs, seconds(children.ru_stime)) && near((double)t.tms_cutime / 100, cu) &&
           near((double)t.tms_cstime / 100, cs);
}

static void
work(int which)
{
    struct rusage ru, children, waited;
    pid_t pid;
    int ok;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        works[which].run(used(CLOCK_PROCESS_CPUTIME_ID) + 0.5);
        _exit(agree() ? 0 : 7);
    }
    wait4(pid, &ok, 0, &waited);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_SELF, &ru);
    printf("user %.3f\nsystem %.3f\n", seconds(waited.ru_utime), seconds(waited.ru_stime));
    printf("agree %d\nwaited-for %d\n", ok == 0,
           near(seconds(children.ru_utime), seconds(waited.ru_utime)) &&
               near(seconds(children.ru_stime), seconds(waited.ru_stime)) && agree());
}

static void *
thread_computes(void *until)
{
    struct rusage ru;

    while (used(CLOCK_THREAD_CPUTIME_ID) < 0.3)
        for (volatile int k = 0; k < 200000; k++)
            ;
    getrusage(RUSAGE_THREAD, &ru);
    printf("thread-user %.3f\nthread-system %.3f\n", seconds(ru.ru_utime), seconds(ru.ru_stime));
    return NULL;
}

/* One thread computes while the other copies: each has its own. Neither time goes back. */
static void
threads(void)
{
    struct rusage ru, last = {0};
    pthread_t t;
    int back = 0;

    pthread_create(&t, NULL, thread_computes, NULL);
    while (used(CLOCK_THREAD_CPUTIME_ID) < 0.3) {
        copies(0, 1 << 20);
        copies(used(CLOCK_PROCESS_CPUTIME_ID) + 0.001, 1 << 20);
        getrusage(RUSAGE_SELF, &ru);
        back += seconds(ru.ru_utime) < seconds(last.ru_utime) || seconds(ru.ru_stime) < seconds(last.ru_stime);
        last = ru;
    }
    pthread_join(t, NULL);
    getrusage(RUSAGE_THREAD, &ru);
    printf("user %.3f\nsystem %.3f\nback %d\n", seconds(ru.ru_utime), seconds(ru.ru_stime), back);
}

/* On a processor that others use, too: what is theirs is no time of ours. */
static void
stolen(void)
{
    double before[8], after[8], last[8], began = now(), cpu = used(CLOCK_PROCESS_CPUTIME_ID);
    int back = 0;

    stat_line("cpu0", before, 8);
    memcpy(last, before, sizeof last);
    while (now() - began < 1.5) {
        spin(0.01);
        stat_line("cpu0", after, 8);
        for (int k = 0; k < 8; k++)
            back += after[k] < last[k];
        memcpy(last, after, sizeof last);
    }
    printf("back %d\nseconds %.3f\ncpu %.3f\nsteal %.3f\nidle %.3f\n", back, now() - began,
           used(CLOCK_PROCESS_CPUTIME_ID) - cpu, (after[7] - before[7]) / 100, (after[3] - before[3]) / 100);
}

static volatile int alarms[2];

static void
count_alarm(int sig)
{
    alarms[sig == SIGPROF]++;
}

/* ITIMER_VIRTUAL goes by user time, ITIMER_PROF by both. */
static void
timers(void)
{
    struct itimerval it = {{0, 100000}, {0, 100000}};

    signal(SIGVTALRM, count_alarm);
    signal(SIGPROF, count_alarm);
    for (int compute_too = 0; compute_too < 2; compute_too++) {
        setitimer(ITIMER_VIRTUAL, &it, NULL);
        setitimer(ITIMER_PROF, &it, NULL);
        alarms[0] = alarms[1] = 0;
        (compute_too ? compute : large_copies)(used(CLOCK_PROCESS_CPUTIME_ID) + 0.55);
        printf("virtual%d %d\nprof%d %d\n", compute_too, alarms[0], compute_too, alarms[1]);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {{"load", load}, {"nice", nice_time}, {"stolen", stolen}, {"threads", threads}, {"timers", timers}};

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t k = 0; argc > 1 && k < sizeof modes / sizeof *modes; k++)
        if (strcmp(argv[1], modes[k].name) == 0)
            modes[k].run();
    for (size_t k = 0; argc > 1 && k < sizeof works / sizeof *works; k++)
        if (strcmp(argv[1], works[k].name) == 0)
            work((int)k);
    return 0;
}
