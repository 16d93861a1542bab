/* Calls on a volume whose file system takes long to answer. Another process wants to work each millisecond all the
 * time, and a third one computes. Printed for each call: its result, how long it took, and how long the other process
 * had to wait at the longest, in milliseconds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile double *worst;
static int fd, folder;
static char *mapped;

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static long
opens(void)
{
    int f = open("/v/file", O_RDWR);

    return f < 0 ? f : close(f);
}

static long
creates_empty(void)
{
    int f = open("/v/file", O_WRONLY | O_TRUNC);

    return f < 0 ? f : close(f);
}

static long
syncs(void)
{
    return fsync(fd);
}

static long
syncs_data(void)
{
    return fdatasync(fd);
}

static long
syncs_folder(void)
{
    return fsync(folder);
}

static long
writes_through(void)
{
    int f = open("/v/file", O_WRONLY | O_DSYNC);

    worst[0] = 0;
    return pwrite(f, "x", 1, 0) + close(f);
}

static long
writes_once_through(void)
{
    struct iovec v = {"x", 1};

    return pwritev2(fd, &v, 1, 0, RWF_DSYNC);
}

static long
syncs_mapping(void)
{
    mapped[0]++;
    return msync(mapped, 4096, MS_SYNC);
}

static long
truncates(void)
{
    return truncate("/v/file", 4096);
}

static long
truncates_open(void)
{
    return ftruncate(fd, 8192);
}

static long
lists(void)
{
    char buffer[4096];

    return syscall(SYS_getdents64, folder, buffer, sizeof buffer) > 0 ? 0 : -1;
}

static const struct {
    const char *name;
    long (*f)(void);
} calls[] = {{"open", opens},
             {"O_TRUNC", creates_empty},
             {"ftruncate", truncates_open},
             {"truncate", truncates},
             {"fsync", syncs},
             {"fdatasync", syncs_data},
             {"fsync of a folder", syncs_folder},
             {"O_DSYNC", writes_through},
             {"RWF_DSYNC", writes_once_through},
             {"msync", syncs_mapping},
             {"getdents64", lists}};

static void
sibling(void)
{
    for (double last = now(), t;; last = t) {
        usleep(1000);
        t = now();
        if (t - last > *worst)
            *worst = t - last;
    }
}

int
main(void)
{
    pid_t other, computing;

    setvbuf(stdout, NULL, _IOLBF, 0);
    fd = open("/v/file", O_RDWR);
    folder = open("/v", O_RDONLY | O_DIRECTORY);
    if (fd < 0 || folder < 0 || ftruncate(fd, 8192) < 0)
        return 1;
    mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    worst = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return 2;
    other = fork();
    if (other == 0)
        sibling();
    computing = fork();
    if (computing == 0)
        for (volatile unsigned long k = 0;; k++)
            ;
    for (unsigned k = 0; k < sizeof calls / sizeof calls[0]; k++) {
        double start, took;
        long r;

        usleep(10000);
        start = now();
        *worst = 0;
        r = calls[k].f();
        took = now() - start;
        usleep(2000); /* the other process says how long it had to wait once it has its turn */
        printf("%s|%ld|%.1f|%.1f\n", calls[k].name, r, took, *worst);
    }
    kill(other, SIGKILL);
    kill(computing, SIGKILL);
    return 0;
}
