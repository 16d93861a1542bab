/* Prints what a program sees of several processors, for processors.py. */
#include <cpuid.h>
#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
show(const char *path, const char *prefix)
{
    FILE *f = fopen(path, "r");
    char line[1024];

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, prefix, strlen(prefix)) == 0)
            printf("%s: %s", path, line);
    if (f)
        fclose(f);
}

static void
count(const char *path, const char *prefix)
{
    FILE *f = fopen(path, "r");
    char line[4096];
    int n = 0;

    while (f && fgets(line, sizeof line, f))
        n += strncmp(line, prefix, strlen(prefix)) == 0;
    if (f)
        fclose(f);
    printf("%s %s: %d\n", path, prefix, n);
}

static unsigned
field(int which)
{
    char line[1024], *p;
    FILE *f = fopen("/proc/self/stat", "r");

    fgets(line, sizeof line, f);
    fclose(f);
    p = strrchr(line, ')');
    for (int k = 2; k < which; k++)
        p = strchr(p + 1, ' ');
    return (unsigned)atoi(p + 1);
}

/* One line for each place at which a task was seen, which goes to the next of those that it may run on four times. */
static void
places(void)
{
    cpu_set_t all, one;
    unsigned at = 0, cpu, node, low, high, aux, eax, ebx, ecx, edx, leaf1, leaf11;

    sched_getaffinity(0, sizeof all, &all);
    for (int k = 0; k < 4; k++) {
        do
            at = (at + 1) % CPU_SETSIZE;
        while (!CPU_ISSET(at, &all));
        CPU_ZERO(&one);
        CPU_SET(at, &one);
        sched_setaffinity(0, sizeof one, &one);
        syscall(SYS_getcpu, &cpu, &node, NULL);
        __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
        __cpuid(1, eax, ebx, ecx, edx);
        leaf1 = ebx >> 24;
        __cpuid_count(11, 1, eax, ebx, ecx, edx);
        leaf11 = edx;
        printf("at %u %u %u %u %u %u\n", cpu, aux, field(39), leaf1, leaf11, node);
    }
}

int
main(void)
{
    unsigned eax, ebx, ecx, edx;
    struct dirent *e;
    uint64_t mask = 0;
    cpu_set_t some;
    int entries = 0;
    DIR *d;

    printf("affinity %ld", syscall(SYS_sched_getaffinity, 0, sizeof mask, &mask));
    printf(" %llx online %ld\n", (unsigned long long)mask, sysconf(_SC_NPROCESSORS_ONLN));
    show("/sys/devices/system/cpu/online", "");
    show("/sys/devices/system/cpu/possible", "");
    show("/sys/devices/system/cpu/present", "");
    show("/sys/devices/system/cpu/cpu0/topology/core_siblings", "");
    show("/sys/devices/system/cpu/cpu0/topology/core_siblings_list", "");
    show("/sys/devices/system/cpu/cpu2/topology/core_id", "");
    show("/sys/devices/system/cpu/cpu2/topology/thread_siblings", "");
    show("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "");
    show("/sys/devices/system/node/node0/cpulist", "");
    show("/proc/self/status", "Cpus_allowed");
    count("/proc/cpuinfo", "processor\t");
    count("/proc/stat", "cpu");
    d = opendir("/sys/devices/system/cpu");
    while (d && (e = readdir(d)))
        entries += strncmp(e->d_name, "cpu", 3) == 0 && e->d_name[3] >= '0' && e->d_name[3] <= '9';
    printf("folders %d, one too many %d\n", entries, access("/sys/devices/system/cpu/cpu64", F_OK) == 0);
    __cpuid(1, eax, ebx, ecx, edx);
    printf("leaf 1: ids %u, HTT %u\n", ebx >> 16 & 0xff, edx >> 28 & 1);
    for (unsigned k = 0; k < 4; k++) {
        __cpuid_count(4, k, eax, ebx, ecx, edx);
        printf("leaf 4: level %u shared by %u, cores %u\n", eax >> 5 & 7, (eax >> 14 & 0xfff) + 1, (eax >> 26) + 1);
    }
    for (unsigned k = 0; k < 3; k++) {
        __cpuid_count(11, k, eax, ebx, ecx, edx);
        printf("leaf 11: %u %u %x\n", eax, ebx, ecx);
    }
    CPU_ZERO(&some);
    CPU_SET(0, &some);
    CPU_SET(2, &some);
    CPU_SET(39, &some);
    sched_setaffinity(0, sizeof some, &some);
    show("/proc/self/status", "Cpus_allowed");
    printf("online %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    places();
    return 0;
}
