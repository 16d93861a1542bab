/* Writes records into a volume in each way that promises that they are there, and prints each record's number once that
 * was promised. The arguments are the volume's folder and the ways; without ways, all of them are tried at the same
 * time, and others write there, too. It never ends by itself: the host kills everything. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RECORD = 64, RECORDS = 1 << 20 };

static char folder[256];

static void
name_of(char *path, size_t size, const char *file)
{
    snprintf(path, size, "%s/%s", folder, file);
}

static void
fill(char record[RECORD], unsigned number)
{
    memset(record, 'a' + number % 26, RECORD);
    record[snprintf(record, RECORD, "%010u ", number)] = '.';
    record[RECORD - 1] = '\n';
}

/* One write, so that lines of several processes do not mix. */
static void
promise(const char *way, unsigned number)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%s %u\n", way, number);

    if (write(1, line, (size_t)n) != n)
        _exit(1);
}

static int
open_file(const char *file, int flags)
{
    char path[300];

    name_of(path, sizeof path, file);
    return open(path, flags | O_CREAT, 0600);
}

static void
synced(const char *way, int flags, int (*sync_file)(int))
{
    char record[RECORD];
    int fd = open_file(way, O_WRONLY | flags);

    for (unsigned k = 0; k < RECORDS; k++) {
        fill(record, k);
        if (write(fd, record, RECORD) != RECORD || (sync_file && sync_file(fd) < 0))
            _exit(2);
        promise(way, k);
    }
}

static void
by_fsync(void)
{
    synced("fsync", 0, fsync);
}

static void
by_fdatasync(void)
{
    synced("fdatasync", O_APPEND, fdatasync);
}

static void
by_dsync(void)
{
    synced("dsync", O_DSYNC, NULL);
}

static void
by_syncfs(void)
{
    synced("syncfs", 0, syncfs);
}

/* A flag of the single write. */
static void
by_rwf(void)
{
    char record[RECORD];
    struct iovec iov = {record, RECORD};
    int fd = open_file("rwf", O_WRONLY);

    for (unsigned k = 0; k < RECORDS; k++) {
        fill(record, k);
        if (pwritev2(fd, &iov, 1, (off_t)k * RECORD, RWF_DSYNC) != RECORD)
            _exit(6);
        promise("rwf", k);
    }
}

/* By calls that move bytes from one file to another, into one with O_DSYNC. */
static void
copied(void)
{
    char record[RECORD];
    int from = memfd_create("records", 0), to = open_file("copied", O_WRONLY | O_DSYNC), ends[2];
    loff_t at = 0;

    pipe(ends);
    for (unsigned k = 0; k < RECORDS; k++) {
        ssize_t n;

        fill(record, k);
        if (k % 2) {
            n = write(ends[1], record, RECORD) == RECORD ? splice(ends[0], NULL, to, NULL, RECORD, 0) : -1;
        } else {
            at = 0;
            n = pwrite(from, record, RECORD, 0) == RECORD ? sendfile(to, from, &at, RECORD) : -1;
        }
        if (n != RECORD)
            _exit(7);
        promise("copied", k);
    }
}

static void
mapped(void)
{
    int fd = open_file("mapped", O_RDWR);
    char *p;

    ftruncate(fd, (off_t)RECORDS * RECORD);
    p = mmap(NULL, (size_t)RECORDS * RECORD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        _exit(3);
    for (unsigned k = 0; k < RECORDS; k++) {
        fill(p + (size_t)k * RECORD, k);
        if (msync(p + ((size_t)k * RECORD & ~(size_t)4095), 4096, MS_SYNC) < 0)
            _exit(4);
        promise("mapped", k);
    }
}

/* As careful programs replace a file: it is the old one or the new one, never a part, and the new one once its folder
 * was synced. The pause is the time for the end to come before the next record's fsync brings this one's name to the
 * disk as well. */
static void
replaced(void)
{
    char path[300], next[300], record[RECORD];
    int directory = open(folder, O_RDONLY | O_DIRECTORY);

    name_of(path, sizeof path, "replaced");
    name_of(next, sizeof next, "replaced.next");
    for (unsigned k = 0;; k++) {
        int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        fill(record, k);
        if (write(fd, record, RECORD) != RECORD || fsync(fd) < 0 || close(fd) < 0 || rename(next, path) < 0 ||
            fsync(directory) < 0)
            _exit(5);
        promise("replaced", k);
        usleep(10000);
    }
}

static void
load(void)
{
    char block[65536], path[300];

    name_of(path, sizeof path, "load");
    for (;;) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        for (int k = 0; k < 16; k++)
            write(fd, block, sizeof block);
        close(fd);
        for (volatile int k = 0; k < 1000000; k++)
            ;
    }
}

static const struct {
    const char *name;
    void (*f)(void);
} ways[] = {{"fsync", by_fsync}, {"fdatasync", by_fdatasync}, {"dsync", by_dsync}, {"syncfs", by_syncfs},
            {"rwf", by_rwf},     {"copied", copied},          {"mapped", mapped},  {"replaced", replaced},
            {"load", load}};

static int
is_wanted(const char *name, int count, char **arguments)
{
    for (int k = 2; k < count; k++)
        if (strcmp(arguments[k], name) == 0)
            return 1;
    return count < 3;
}

int
main(int count, char **arguments)
{
    snprintf(folder, sizeof folder, "%s", count > 1 ? arguments[1] : "/v");
    for (unsigned k = 0; k < sizeof ways / sizeof ways[0]; k++)
        if (is_wanted(ways[k].name, count, arguments) && fork() == 0)
            ways[k].f();
    pause();
    return 0;
}
