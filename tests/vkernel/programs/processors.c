/* What programs see of processors: affinity and who inherits it, getcpu, and that all places that tell how many there
 * are agree. How many this machine has, and which of them the program may use, is not printed. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SET = 1024, WORDS = SET / 64 };

static uint64_t start[WORDS], one[WORDS];
static unsigned chosen;

static const char *
said(long r)
{
    return r >= 0 ? "ok" : strerrorname_np(errno);
}

static long
get(pid_t pid, size_t size, void *set)
{
    return syscall(SYS_sched_getaffinity, pid, size, set);
}

static long
set(pid_t pid, size_t size, const void *mask)
{
    return syscall(SYS_sched_setaffinity, pid, size, mask);
}

static void
arguments(void)
{
    uint64_t mask[WORDS] = {0};
    long size = get(0, sizeof mask, mask);
    void *bad = (void *)8;

    printf("get: whole words %d\n", size > 0 && size % 8 == 0);
    for (unsigned n = 0; n < 16; n++)
        if (n % 8)
            printf("get %u: %s\n", n, said(get(0, n, mask)));
    printf("get 0: %s, wraps: %s, of nobody: %s, of -1: %s, size first: %s, nowhere: %s\n", said(get(0, 0, mask)),
           said(get(0, 0x20000000, mask)), said(get(999999999, sizeof mask, mask)), said(get(-1, sizeof mask, mask)),
           said(get(999999999, 1, mask)), said(get(0, sizeof mask, bad)));
    memset(mask, 0, sizeof mask);
    printf("set nothing: %s, by size: %s, from nowhere: %s\n", said(set(0, sizeof mask, mask)), said(set(0, 0, start)),
           said(set(0, 0, bad)));
    printf("set from a bad address: %s, of nobody: %s, of -1: %s, of nobody to nothing: %s\n", said(set(0, 8, bad)),
           said(set(999999999, sizeof start, start)), said(set(-1, sizeof start, start)),
           said(set(999999999, sizeof mask, mask)));
    printf("from a bad address of nobody: %s\n", said(set(999999999, 8, bad)));
    mask[WORDS - 1] = UINT64_C(1) << 63;
    printf("set what does not exist: %s\n", said(set(0, sizeof mask, mask)));
    mask[chosen / 64] |= UINT64_C(1) << chosen % 64;
    printf("set with what does not exist: %s", said(set(0, sizeof mask, mask)));
    memset(mask, 0xff, sizeof mask);
    size = get(0, sizeof mask, mask);
    printf(", is left out: %d\n", memcmp(mask, one, (size_t)size) == 0);
    printf("behind the kernel's: %s", said(set(0, (size_t)size + 1, one)));
    printf(", many bytes: %s\n", said(set(0, SET / 8, start)));
    /* A short one has zeros behind it. */
    printf("short: %s", said(set(0, chosen / 8 + 1, one)));
    get(0, sizeof mask, mask);
    printf(", the same: %d, without its last byte: %s\n", memcmp(mask, one, (size_t)size) == 0,
           said(set(0, chosen / 8, one)));
    set(0, sizeof start, start);
}

/* --- where a task's processors are shown --- */

static char *
line_of(const char *path, const char *name, char *line, int size)
{
    FILE *f = fopen(path, "r");
    size_t n = strlen(name);

    *line = '\0';
    while (f && fgets(line, size, f) && strncmp(line, name, n) != 0)
        *line = '\0';
    if (f)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
    return *line ? line + n : line;
}

/* A mask in hexadecimal, in groups. */
static int
mask_is(const char *text, const uint64_t *mask)
{
    uint32_t words[WORDS * 2] = {0};
    unsigned n = 0;

    for (const char *at = text + strlen(text); at > text;) {
        while (at > text && at[-1] != ',')
            at--;
        words[n++] = (uint32_t)strtoul(at, NULL, 16);
        at -= at > text;
    }
    return *text && memcmp(words, mask, sizeof words) == 0;
}

static int
field(const char *path, int which)
{
    char line[1024], *p;

    line_of(path, "", line, sizeof line);
    p = strrchr(line, ')');
    for (int k = 2; p && k < which; k++)
        p = strchr(p + 1, ' ');
    return p ? atoi(p + 1) : -1;
}

static unsigned
tsc_aux(void)
{
    unsigned low, high, aux;

    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
    return aux & 0xfff;
}

static void
shown(const char *who)
{
    char status[64], stat[64], line[1024], list[16];
    uint64_t mask[WORDS] = {0};
    unsigned processor = 99999, node = 99999;

    snprintf(status, sizeof status, "/proc/self/task/%d/status", (int)syscall(SYS_gettid));
    snprintf(stat, sizeof stat, "/proc/self/task/%d/stat", (int)syscall(SYS_gettid));
    snprintf(list, sizeof list, "%u", chosen);
    get(0, sizeof mask, mask);
    syscall(SYS_getcpu, &processor, &node, NULL);
    printf("%s: affinity %d, getcpu %d, in status %d,", who, memcmp(mask, one, sizeof mask) == 0, processor == chosen,
           mask_is(line_of(status, "Cpus_allowed:\t", line, sizeof line), one));
    printf(" as a list %d, in stat %d, rdtscp %d\n",
           strcmp(line_of(status, "Cpus_allowed_list:\t", line, sizeof line), list) == 0,
           field(stat, 39) == (int)chosen, tsc_aux() == chosen);
    fflush(stdout);
}

static void *
thread(void *unused)
{
    shown("a thread");
    return NULL;
}

static void
inherited(const char *self)
{
    pthread_t t;
    uint64_t mask[WORDS] = {0};
    int to[2];
    pid_t pid;
    char byte;

    set(0, sizeof one, one);
    shown("self");
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
    if ((pid = fork()) == 0) {
        shown("a child");
        execl(self, self, "after exec", NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    set(0, sizeof start, start);
    get(0, sizeof mask, mask);
    printf("as before: %d\n", memcmp(mask, start, sizeof mask) == 0);

    /* Of another process, which sees it. */
    if (pipe(to) < 0)
        return;
    fflush(stdout);
    if ((pid = fork()) == 0) {
        close(to[1]);
        read(to[0], &byte, 1);
        shown("a child that was told");
        _exit(0);
    }
    printf("of a child: %s", said(set(pid, sizeof one, one)));
    memset(mask, 0, sizeof mask);
    get(pid, sizeof mask, mask);
    printf(" %d\n", memcmp(mask, one, sizeof mask) == 0);
    fflush(stdout);
    close(to[1]);
    close(to[0]);
    waitpid(pid, NULL, 0);
    printf("of what has ended: %s\n", said(get(pid, sizeof mask, mask)));
}

/* Process 1 is root's. */
static void
rights(void)
{
    uint64_t mask[WORDS];
    pid_t pid;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            printf("no other user\n");
        printf("another's: get %s, set %s, to nothing %s\n", said(get(1, sizeof mask, mask)),
               said(set(1, sizeof start, start)), said(set(1, 0, start)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

/* --- how many there are --- */

static int
count_lines(const char *path, const char *name)
{
    FILE *f = fopen(path, "r");
    char line[4096];
    int n = 0;

    while (f && fgets(line, sizeof line, f))
        n += strncmp(line, name, strlen(name)) == 0 && (strcmp(name, "cpu") != 0 || (line[3] >= '0' && line[3] <= '9'));
    if (f)
        fclose(f);
    return n;
}

static int
count_list(const char *path, uint64_t *mask)
{
    char line[4096], *p = line_of(path, "", line, sizeof line);
    int n = 0;

    while (*p) {
        unsigned long first = strtoul(p, &p, 10), last = first;

        if (*p == '-')
            last = strtoul(p + 1, &p, 10);
        for (; first <= last && first < SET; first++, n++)
            mask[first / 64] |= UINT64_C(1) << first % 64;
        p += *p == ',';
    }
    return n;
}

static void
counts(void)
{
    uint64_t online[WORDS] = {0}, ignored[WORDS] = {0};
    int n = count_list("/sys/devices/system/cpu/online", online), usable = 0, entries = 0, inside = 1;
    char path[128], line[64];

    for (unsigned k = 0; k < SET; k++) {
        int is = online[k / 64] >> k % 64 & 1, may = start[k / 64] >> k % 64 & 1;

        usable += may;
        inside &= is || !may;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/core_id", k);
        if (is && *line_of(path, "", line, sizeof line))
            entries++;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", k);
        if (is && !*line_of(path, "", line, sizeof line))
            entries--;
    }
    printf("online %d, sysconf %d, cpuinfo %d, stat %d, folders %d, present %d, possible %d\n", n > 0,
           sysconf(_SC_NPROCESSORS_ONLN) == n, count_lines("/proc/cpuinfo", "processor\t") == n,
           count_lines("/proc/stat", "cpu") == n, entries == n,
           count_list("/sys/devices/system/cpu/present", ignored) >= n,
           count_list("/sys/devices/system/cpu/possible", ignored) >= n);
    printf("usable %d, of those online %d\n", usable > 0 && usable <= n, inside);
    printf("no such processor: %d\n", access("/sys/devices/system/cpu/cpu99999", F_OK) < 0 &&
                                          access("/sys/devices/system/cpu/cpu01", F_OK) < 0 &&
                                          access("/sys/devices/system/cpu/cpu", F_OK) < 0);
}

int
main(int argc, char **argv)
{
    unsigned processor, node;

    if (get(0, sizeof start, start) < 0)
        return 1;
    while (!(start[chosen / 64] >> chosen % 64 & 1))
        chosen++;
    one[chosen / 64] |= UINT64_C(1) << chosen % 64;
    if (argc > 1) {
        shown(argv[1]);
        return 0;
    }
    counts();
    arguments();
    inherited("/proc/self/exe");
    rights();
    printf("getcpu: nothing %s, nowhere %s, the node nowhere %s", said(syscall(SYS_getcpu, NULL, NULL, NULL)),
           said(syscall(SYS_getcpu, (void *)8, &node, NULL)), said(syscall(SYS_getcpu, &processor, (void *)8, NULL)));
    node = 99999;
    syscall(SYS_getcpu, (void *)8, &node, NULL);
    printf(", the other is written all the same %d\n", node != 99999);
    return 0;
}
