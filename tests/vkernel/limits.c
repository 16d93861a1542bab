/* What the container's limits do to programs: the first argument says which. Each prints what it saw, for limits.py. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1 << 20 };

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static long
group_value(const char *name)
{
    char path[64], text[64];
    FILE *f;
    long value = -1;

    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", name);
    f = fopen(path, "r");
    if (f && fgets(text, sizeof text, f))
        value = strtol(text, NULL, 10);
    if (f)
        fclose(f);
    return value;
}

static void
spin(double seconds)
{
    double end = now() + seconds;

    while (now() < end)
        for (volatile int k = 0; k < 10000; k++)
            ;
}

/* --- --cpus --- */

static void
burn(int processes)
{
    for (int k = 1; k < processes; k++)
        if (fork() == 0) {
            spin(2);
            _exit(0);
        }
    spin(2);
    while (wait(NULL) > 0)
        ;
}

/* Two that hand a byte to and fro: no tick finds them at work, they sleep all the time. */
static void
ping_pong(void)
{
    int there[2], back[2];
    double end = now() + 2;
    char byte = 0;

    pipe(there);
    pipe(back);
    if (fork() == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            write(back[1], &byte, 1);
        _exit(0);
    }
    while (now() < end) {
        write(there[1], &byte, 1);
        read(back[0], &byte, 1);
    }
}

/* A share that was not used is not saved: after a long sleep there is one share at once, and then as much as always. */
static void
burst(void)
{
    double start;
    int pieces = 0;

    sleep(1);
    start = now();
    while (now() < start + 0.5) {
        double piece = now();

        while (now() < piece + 0.0005)
            ;
        pieces++;
    }
    printf("pieces %d\n", pieces);
}

/* --- --pids --- */

static void *
sleeper(void *end)
{
    char byte;

    read(*(int *)end, &byte, 1);
    return NULL;
}

static void
pids(void)
{
    int ends[2], made = 0, threads = 0, error;
    long before = group_value("pids.current");
    pthread_t thread[200];

    printf("limit %ld, %ld at first\n", group_value("pids.max"), before);
    fflush(stdout);
    pipe(ends);
    for (;; made++) {
        pid_t pid = fork();

        if (pid < 0)
            break;
        if (pid == 0) {
            char byte;

            close(ends[1]);
            read(ends[0], &byte, 1);
            _exit(0);
        }
    }
    printf("%d more: %s\n", made, strerrorname_np(errno));
    printf("a thread: %s\n", strerrorname_np(pthread_create(&thread[0], NULL, sleeper, &ends[0])));
    close(ends[1]);
    usleep(100000); /* they are zombies then, and count still */
    printf("with zombies: %s\n", fork() < 0 ? strerrorname_np(errno) : "one more");
    while (wait(NULL) > 0)
        ;
    pipe(ends);
    while (threads < 200 && (error = pthread_create(&thread[threads], NULL, sleeper, &ends[0])) == 0)
        threads++;
    printf("%d threads: %s\n", threads, strerrorname_np(error));
    printf("a process: %s\n", fork() < 0 ? strerrorname_np(errno) : "one more");
    close(ends[1]);
    for (int k = 0; k < threads; k++)
        pthread_join(thread[k], NULL);
    usleep(10000);
    printf("%ld at last\n", group_value("pids.current"));
}

/* Each child makes children, as fast as it can; whoever is told that there is no more waits a while and ends. */
static void
fork_bomb(void)
{
    double end = now() + 2;

    if (fork() == 0) {
        setpgid(0, 0);
        while (now() < end)
            if (fork() < 0)
                usleep(1000);
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
    for (int k = 0; k < 500 && group_value("pids.current") > 1; k++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        usleep(10000);
    }
    printf("%ld left\n", group_value("pids.current"));
}

/* --- --ulimit --- */

static void
ulimits(void)
{
    static const struct {
        const char *name;
        int which;
    } rows[] = {{"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}, {"core", RLIMIT_CORE},
                {"fsize", RLIMIT_FSIZE},   {"as", RLIMIT_AS},       {"cpu", RLIMIT_CPU}};
    int fd, count = 0;

    for (unsigned k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct rlimit r;

        getrlimit(rows[k].which, &r);
        printf("%s %lld %lld\n", rows[k].name, (long long)r.rlim_cur, (long long)r.rlim_max);
    }
    while ((fd = dup(1)) >= 0)
        count++;
    printf("descriptors %d %s\n", 3 + count, strerrorname_np(errno));
}

static void
seconds_of_cpu(void)
{
    spin(10);
}

/* --- --disk --- */

static uint64_t
disk_left(void)
{
    struct statvfs v;

    statvfs("/", &v);
    return (uint64_t)v.f_bavail * v.f_frsize;
}

/* Until it is full, which it must be soon; the last write may be a short one. */
static uint64_t
fill(const char *path, int *error)
{
    static char text[100000];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    uint64_t sum = 0;
    ssize_t n;

    memset(text, 'x', sizeof text);
    while (sum < 100 * MIB && (n = write(fd, text, sizeof text)) > 0)
        sum += (uint64_t)n;
    *error = n < 0 ? errno : 0;
    close(fd);
    return sum;
}

static const char *
said(long r)
{
    return r < 0 ? strerrorname_np(errno) : "done";
}

/* Hard links to one file, of which each name takes something, and attributes without a value. */
static void
names(void)
{
    uint64_t first = disk_left();
    char name[64];
    int links = 0, attributes = 0;

    close(open("/tmp/one", O_WRONLY | O_CREAT, 0600));
    for (; links < 60000; links++) {
        sprintf(name, "/tmp/link%d", links);
        if (link(links % 2 ? "/bin/limits" : "/tmp/one", name) < 0)
            break;
    }
    printf("hard links: %d, then %s\n", links > 1000, links < 60000 ? strerrorname_np(errno) : "more");
    for (int k = 0; k < links; k++) {
        sprintf(name, "/tmp/link%d", k);
        unlink(name);
    }
    unlink("/tmp/one");
    printf("their room came back: %d\n", disk_left() == first);
    for (int file = 0; file < 100; file++) {
        int fd;

        sprintf(name, "/tmp/n%d", file);
        fd = open(name, O_WRONLY | O_CREAT, 0600);
        for (int k = 0; k < 1000; k++) {
            char attribute[32];

            sprintf(attribute, "user.%d", k);
            attributes += fsetxattr(fd, attribute, "", 0, 0) == 0;
        }
        close(fd);
    }
    /* The names alone would be less than a MiB. */
    printf("attributes without a value take room: %d of it, %d of them\n", first - disk_left() > 4 * MIB, attributes);
    for (int file = 0; file < 100; file++) {
        sprintf(name, "/tmp/n%d", file);
        unlink(name);
    }
    printf("that came back: %d\n", disk_left() == first);
}

static void
disk(void)
{
    uint64_t first = disk_left(), filled, small = 0;
    struct statvfs v;
    char name[64], *p;
    int error, fd, inodes = 0;

    statvfs("/", &v);
    printf("size %llu MiB\n", (unsigned long long)v.f_blocks * v.f_frsize >> 20);
    filled = fill("/tmp/f", &error);
    /* The file itself takes a part of a page. */
    printf("filled to the last page: %d, then %s\n", first - filled <= PAGE, strerrorname_np(error));
    printf("left %llu\n", (unsigned long long)disk_left() / PAGE);
    fd = open("/tmp/f", O_WRONLY);
    printf("over what is there: %s\n", said(pwrite(fd, "again", 5, 1000)));
    close(fd);
    printf("memory files are not of that disk: %s\n", said(ftruncate(memfd_create("m", 0), 100 * MIB)));
    truncate("/tmp/f", 2 * MIB);
    printf("a shorter one takes less: %d\n", disk_left() >= first - 2 * MIB - 64 * PAGE);
    unlink("/tmp/f");
    printf("everything came back: %d\n", disk_left() >= first - 2 * PAGE);

    /* Holes take nothing, and what is written in between does. */
    fd = open("/tmp/holes", O_RDWR | O_CREAT, 0600);
    printf("holes: %s\n", said(ftruncate(fd, 1ul << 30)));
    for (int k = 0; k < 256; k++)
        pwrite(fd, "x", 1, (off_t)k << 20);
    printf("a mebibyte of pages: %d\n", first - disk_left() >= MIB && first - disk_left() < MIB + 16 * PAGE);
    for (int turn = 0; turn < 20; turn++) /* the same pages again and again */
        for (int k = 0; k < 256; k++)
            if (pwrite(fd, "y", 1, (off_t)k << 20) != 1)
                printf("written again: %s\n", strerrorname_np(errno));
    filled = fill("/tmp/g", &error);
    printf("the rest is free: %d\n", filled >= first - MIB - 32 * PAGE);
    unlink("/tmp/g");
    printf("allocated: %s\n", said(posix_fallocate(fd, 0, 1 << 30) ? (errno = ENOSPC, -1) : 0));
    p = mmap(NULL, 1ul << 30, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("mapped with all its holes: %s\n", p == MAP_FAILED ? strerrorname_np(errno) : "done");
    close(fd);
    unlink("/tmp/holes");

    /* A file of the image is copied when it is written. */
    fd = open("/bin/large", O_WRONLY);
    printf("a large file of the image: %s\n", said(pwrite(fd, "x", 1, 0)));
    close(fd);
    fd = open("/bin/large", O_WRONLY | O_TRUNC);
    printf("cut to nothing: %s\n", said(pwrite(fd, "x", 1, 0)));
    close(fd);

    for (int k = 0; k < 1000000; k++) {
        sprintf(name, "/tmp/%d", k);
        fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
            break;
        close(fd);
        inodes++;
    }
    printf("empty files: %d, then %s, mkdir %s, symlink %s\n", inodes > 1000 && inodes < 1000000,
           strerrorname_np(errno), said(mkdir("/tmp/d", 0700)), said(symlink("/", "/tmp/l")));
    for (int k = 0; k < inodes; k++) {
        sprintf(name, "/tmp/%d", k);
        unlink(name);
    }
    names();
    fd = open("/tmp/a", O_WRONLY | O_CREAT, 0600);
    for (int k = 0; k < 100000 && error != ENODATA; k++) {
        static char value[60000];

        sprintf(name, "user.%d", k % 16);
        if (k % 16 == 0) {
            char path[64];

            sprintf(path, "/tmp/a%d", k / 16);
            close(fd);
            fd = open(path, O_WRONLY | O_CREAT, 0600);
        }
        if (fsetxattr(fd, name, value, sizeof value, 0) < 0) {
            printf("attributes: %s\n", strerrorname_np(errno));
            break;
        }
        small++;
    }
    printf("a number of them: %d\n", small > 100);
}

/* --- --timeout --- */

static void
on_term(int sig)
{
    write(1, "asked\n", 6);
    _exit(3);
}

static void
timeout(const char *how)
{
    sigset_t set;
    int sig;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (strcmp(how, "handles") == 0)
        signal(SIGTERM, on_term);
    if (strcmp(how, "waits") == 0) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        sigwait(&set, &sig);
        puts("asked");
        exit(4);
    }
    if (strcmp(how, "stubborn") == 0) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        spin(100);
    }
    if (strcmp(how, "outlives") == 0) { /* the first task that leaves the processor idle */
        pid_t child = fork();

        if (child == 0) {
            usleep(100000);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    if (strcmp(how, "spins") == 0)
        for (;;)
            ;
    for (;;)
        pause();
}

/* --- what programs see --- */

static void
show(void)
{
    static const char *const names[] = {"cpu.max", "memory.max", "pids.max", "memory.swap.max", "cgroup.controllers"};
    struct sysinfo si;
    char path[64], text[128];

    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        FILE *f;

        snprintf(path, sizeof path, "/sys/fs/cgroup/%s", names[k]);
        f = fopen(path, "r");
        printf("%s: %s", names[k], f && fgets(text, sizeof text, f) ? text : "-\n");
        if (f)
            fclose(f);
    }
    sysinfo(&si);
    printf("total %lu MiB, less is free: %d\n", si.totalram >> 20,
           si.freeram < si.totalram && si.freeram > si.totalram / 2);
}

int
main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "burn") == 0)
        burn(atoi(arguments[2]));
    else if (strcmp(what, "ping-pong") == 0)
        ping_pong();
    else if (strcmp(what, "burst") == 0)
        burst();
    else if (strcmp(what, "pids") == 0)
        pids();
    else if (strcmp(what, "fork-bomb") == 0)
        fork_bomb();
    else if (strcmp(what, "ulimits") == 0)
        ulimits();
    else if (strcmp(what, "cpu") == 0)
        seconds_of_cpu();
    else if (strcmp(what, "disk") == 0)
        disk();
    else if (strcmp(what, "timeout") == 0)
        timeout(arguments[2]);
    else
        show();
    return 0;
}
