/* Host memory for guest address spaces. Never executable. */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MAP_FIXED
#error "needs Linux mmap"
#endif

/* Files about this process; opened before lock-down, after which no path leads there. */
static int pagemap_fd = -1, statm_fd = -1, status_fd = -1;
static unsigned mapping_limit = 65530; /* Linux's default */

uint64_t platform_mapping_changes;

void *
platform_reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void
platform_release(void *p, size_t size)
{
    platform_mapping_changes++;
    munmap(p, size);
}

static int
map_at(void *at, size_t size, int prot, int flags, int fd, uint64_t offset)
{
    if (prot & PROT_EXEC)
        return -EACCES;
    platform_mapping_changes++;
    if (mmap(at, size, prot, flags | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
        return -errno;
    return 0;
}

int
platform_map_none(void *at, size_t size)
{
    return map_at(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int
platform_map_anon(void *at, size_t size, int prot)
{
    return map_at(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int
platform_map_file(void *at, size_t size, int prot, bool shared, int fd, uint64_t offset)
{
    return map_at(at, size, prot, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE, fd, offset);
}

int
platform_protect(void *at, size_t size, int prot)
{
    if (prot & PROT_EXEC)
        return -EACCES;
    platform_mapping_changes++;
    return mprotect(at, size, prot) == 0 ? 0 : -errno;
}

int
platform_discard(void *at, size_t size, int advice)
{
    platform_mapping_changes++;
    return madvise(at, size, advice) == 0 ? 0 : -errno;
}

/* Takes back what was moved of [from, from + size), all of which was mapped: what is not any more is at `to`. */
static void
move_back(char *from, char *to, size_t size)
{
    enum { AT_ONCE = 512 };
    unsigned char vec[AT_ONCE];

    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < AT_ONCE * PAGE_SIZE ? size - at : AT_ONCE * PAGE_SIZE;
        if (mincore(from + at, n, vec) == 0)
            continue;
        for (size_t k = at; k < at + n; k += PAGE_SIZE)
            if (mincore(from + k, PAGE_SIZE, vec) < 0 && errno == ENOMEM &&
                mremap(to + k, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, from + k) == MAP_FAILED)
                platform_die("the host has lost memory that it was to move");
    }
    if (platform_map_none(to, size) < 0)
        platform_die("the host cannot reserve addresses again");
}

int
platform_move(void *from, void *to, size_t size)
{
    int r = 0;

    if (size == 0) /* mremap() of none makes a second mapping of what is there */
        return 0;
    platform_mapping_changes++;
    if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
        r = -errno;
    else
        r = platform_map_none(from, size);
    if (r < 0) /* since Linux 6.17 it may have moved one mapping before it fails for the next */
        move_back(from, to, size);
    return r;
}

int
platform_sync(void *at, size_t size, int flags)
{
    return msync(at, size, flags) == 0 ? 0 : -errno;
}

int
platform_resident(void *at, size_t size, unsigned char *vec)
{
    return mincore(at, size, vec) == 0 ? 0 : -errno;
}

void
platform_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

void
platform_open_files(bool memory_limited)
{
    char text[32] = "";
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    long limit = n > 0 ? strtol(text, NULL, 10) : 0;

    platform_close(fd);
    if (limit > 0 && limit <= INT_MAX)
        mapping_limit = (unsigned)limit;
    pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (!memory_limited)
        return;
    statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

/* --- which pages were written --- */

/* What ioctl(PAGEMAP_SCAN) of Linux 6.7 takes and returns, as in linux/fs.h. It goes over the host's page tables and
 * names runs of pages, where reading the page map takes 8 bytes for each page, also for those that are not there. */
enum { SCAN_FILE = 1 << 2, SCAN_PRESENT = 1 << 3, SCAN_SWAPPED = 1 << 4, SCAN_ZERO = 1 << 5 };
struct scan {
    uint64_t size, flags, start, end, walk_end, out, out_count, max_pages;
    uint64_t inverted, all_of, any_of, wanted; /* categories */
};
struct scan_run {
    uint64_t start, end, categories;
};
_Static_assert(sizeof(struct scan) == (PLATFORM_PAGEMAP_SCAN >> 16 & 0x3fff), "the request names the size");

static void
set_bits(uint16_t *bits, uint64_t from, uint64_t to)
{
    for (; from < to && from % 16; from++)
        bits[from / 16] |= (uint16_t)(1u << from % 16);
    for (; from + 16 <= to; from += 16)
        bits[from / 16] = UINT16_MAX;
    for (; from < to; from++)
        bits[from / 16] |= (uint16_t)(1u << from % 16);
}

static int
scan_written(uint64_t start, uint64_t end, bool anonymous, uint16_t *bits)
{
    enum { RUNS = 128 };
    const uint64_t none_of = SCAN_ZERO | (anonymous ? 0 : SCAN_FILE);
    struct scan_run runs[RUNS];
    struct scan s = {.size = sizeof s,
                     .start = start,
                     .end = end,
                     .out = (uint64_t)(uintptr_t)runs,
                     .out_count = RUNS,
                     .inverted = none_of,
                     .all_of = none_of,
                     .any_of = SCAN_PRESENT | SCAN_SWAPPED,
                     .wanted = SCAN_ZERO};

    for (; s.start < end; s.start = s.walk_end) {
        int n = ioctl(pagemap_fd, PLATFORM_PAGEMAP_SCAN, &s);

        if (n < 0 && errno == EINTR)
            s.walk_end = s.start;
        else if (n < 0)
            return -errno;
        else if (s.walk_end <= s.start)
            return -EIO;
        for (int i = 0; i < n; i++)
            set_bits(bits, (runs[i].start - start) / PAGE_SIZE, (runs[i].end - start) / PAGE_SIZE);
    }
    return 0;
}

/* A page of zeros that was only read counts as written here. */
static int
read_written(uint64_t page, size_t count, uint16_t *bits)
{
    enum { BATCH = 512 };
    uint64_t entries[BATCH];

    for (size_t i = 0; i < count;) {
        size_t want = (count - i < BATCH ? count - i : BATCH) * sizeof *entries;
        ssize_t n = pread(pagemap_fd, entries, want, (off_t)((page + i) * sizeof *entries));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < (ssize_t)sizeof *entries)
            return -EIO;
        for (size_t k = 0; k < (size_t)n / sizeof *entries; k++, i++)
            if (entries[k] >> 62 && !(entries[k] >> 61 & 1)) /* present or swapped, and no page of a file */
                set_bits(bits, i, i + 1);
    }
    return 0;
}

int
platform_written_pages(const void *at, size_t count, bool anonymous, uint16_t *bits)
{
    static bool reads; /* the host knows no PAGEMAP_SCAN */
    uint64_t start = (uint64_t)(uintptr_t)at;
    size_t size = (count + 15) / 16 * sizeof *bits;
    int r;

    if (pagemap_fd < 0)
        return -ENOSYS;
    if (!reads) {
        memset(bits, 0, size);
        r = scan_written(start, start + count * PAGE_SIZE, anonymous, bits);
        if (r == 0)
            return 0;
        reads = r != -ENOMEM && r != -EIO; /* it may do another time */
    }
    memset(bits, 0, size);
    return read_written(start / PAGE_SIZE, count, bits);
}

bool platform_repeatable;

static void
repeatable_random(uint8_t *p, size_t size)
{
    static uint64_t state;

    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            state = state * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(state >> (i % 8 * 8) ^ state >> 33);
    }
}

void
platform_random(void *buf, size_t size)
{
    uint8_t *p = buf;

    if (platform_repeatable) {
        repeatable_random(p, size);
        return;
    }
    while (size) {
        ssize_t n = getrandom(p, size, 0);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            platform_die("the host gives no random numbers");
        }
        p += n;
        size -= (size_t)n;
    }
}

uint32_t
platform_random_priority(void)
{
    static uint64_t state;

    while (state == 0)
        platform_random(&state, sizeof state);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

unsigned
platform_mapping_limit(void)
{
    return mapping_limit;
}

uint64_t
platform_memory_total(void)
{
    struct sysinfo si;

    return sysinfo(&si) == 0 ? (uint64_t)si.totalram * si.mem_unit : 0;
}

uint64_t
platform_memory_free(void)
{
    struct sysinfo si;

    if (platform_repeatable)
        return platform_memory_total() / 2;
    return sysinfo(&si) == 0 ? (uint64_t)(si.freeram + si.bufferram) * si.mem_unit : 0;
}

/* What maps the pages. A page of zeros that is mapped everywhere takes nothing but these. */
static uint64_t
page_tables(void)
{
    static const char name[] = "\nVmPTE:";
    char text[4096];
    ssize_t n = status_fd < 0 ? -1 : pread(status_fd, text, sizeof text - 1, 0);
    const char *line;

    if (n <= 0)
        return 0;
    text[n] = '\0';
    line = strstr(text, name);
    return line ? strtoull(line + sizeof name - 1, NULL, 10) << 10 : 0;
}

uint64_t
platform_memory_used(void)
{
    unsigned long size, resident, shared;
    char text[128];
    ssize_t n;

    n = statm_fd < 0 ? -1 : pread(statm_fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3 || shared > resident)
        return 0;
    return (uint64_t)(resident - shared) * PAGE_SIZE + page_tables();
}

int
platform_open_self(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int
platform_open_append(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    return fd < 0 ? -errno : fd;
}

int
platform_open_journal(void)
{
    static const struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&journal, sizeof journal) == 0)
        return fd;
    error = errno;
    if (fd >= 0)
        close(fd);
    return -error;
}

int
platform_take_descriptor(int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    return own < 0 ? -errno : own;
}

/* What a pipe does is a property of the open file that others may share: of another one. */
int
platform_never_wait(int fd)
{
    struct stat st;
    char path[32];
    int own;

    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (own < 0)
        return fd;
    close(fd);
    return own;
}

bool
platform_ends_within_line(int fd)
{
    struct stat st;
    char path[32], last = '\n';
    int own;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    own = open(path, O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return false;
    if (pread(own, &last, 1, st.st_size - 1) != 1)
        last = '\n';
    close(own);
    return last != '\n';
}

bool
platform_can_write(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return ppoll(&p, 1, &(const struct timespec){0}, NULL) > 0;
}

long
platform_write(int fd, const void *data, size_t size)
{
    ssize_t n = write(fd, data, size);

    return n < 0 ? -errno : n;
}

long
platform_write_at(int fd, const void *data, size_t size, uint64_t offset)
{
    ssize_t n = pwrite(fd, data, size, (off_t)offset);

    return n < 0 ? -errno : n;
}

long
platform_read_at(int fd, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (long)done;
}

int64_t
platform_file_size(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_size : -errno;
}

void *
platform_map_view(int fd, uint64_t offset, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, (off_t)offset);

    return p == MAP_FAILED ? NULL : p;
}

bool
platform_isatty(int fd)
{
    return isatty(fd);
}
