/* Writes records into a volume in each way that promises that they are there, and prints each record's number once that was promised.
 * The argument is the volume's folder. It never ends by itself: the host kills everything. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static void
synced(const char *way, int flags, int (*sync_file)(int))
{
    char path[300], record[RECORD];
    int fd;

    name_of(path, sizeof path, way);
    fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    for (unsigned k = 0; k < RECORDS; k++) {
        fill(record, k);
        if (write(fd, record, RECORD) != RECORD || (sync_file && sync_file(fd) < 0))
            _exit(2);
        promise(way, k);
    }
}

static void
mapped(void)
{
    char path[300], *p;
    int fd;

    name_of(path, sizeof path, "mapped");
    fd = open(path, O_RDWR | O_CREAT, 0600);
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

/* As careful programs replace a file: it is the old one or the new one, never a part. */
static void
replaced(void)
{
    char path[300], next[300], record[RECORD];

    name_of(path, sizeof path, "replaced");
    name_of(next, sizeof next, "replaced.next");
    for (unsigned k = 0;; k++) {
        int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        fill(record, k);
        if (write(fd, record, RECORD) != RECORD || fsync(fd) < 0 || close(fd) < 0 || rename(next, path) < 0)
            _exit(5);
        promise("replaced", k);
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

int
main(int count, char **arguments)
{
    snprintf(folder, sizeof folder, "%s", count > 1 ? arguments[1] : "/v");
    if (fork() == 0)
        synced("fsync", 0, fsync);
    if (fork() == 0)
        synced("fdatasync", O_APPEND, fdatasync);
    if (fork() == 0)
        synced("dsync", O_DSYNC, NULL);
    if (fork() == 0)
        mapped();
    if (fork() == 0)
        load();
    replaced();
    return 0;
}
