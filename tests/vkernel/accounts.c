/* What a program is told of the time that it and others have used: the first argument says of which. Prints numbers, for accounts.py. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
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
    double before[4], after[4], made[2], switched[2], running, began = now(), loads[3];
    struct sysinfo si;
    FILE *f;

    stat_line("processes", &made[0], 1);
    stat_line("ctxt", &switched[0], 1);
    stat_line("cpu0", before, 4);
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
    stat_line("cpu0", after, 4);
    stat_line("processes", &made[1], 1);
    stat_line("ctxt", &switched[1], 1);
    f = fopen("/proc/loadavg", "r");
    if (fscanf(f, "%lf %lf %lf", &loads[0], &loads[1], &loads[2]) != 3)
        exit(1);
    sysinfo(&si);
    printf("seconds %.2f\nrunning %.0f\nmade %.0f\nswitched %.0f\n", now() - began, running, made[1] - made[0],
           switched[1] - switched[0]);
    printf("user %.2f\nnice %.2f\nsystem %.2f\nidle %.2f\n", (after[0] - before[0]) / 100, (after[1] - before[1]) / 100,
           (after[2] - before[2]) / 100, (after[3] - before[3]) / 100);
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

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {{"load", load}, {"nice", nice_time}};

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t k = 0; argc > 1 && k < sizeof modes / sizeof *modes; k++)
        if (strcmp(argv[1], modes[k].name) == 0)
            modes[k].run();
    return 0;
}
