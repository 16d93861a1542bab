/* Random calls on the bytes of files and pipes: read, write and their vectors, truncate, fallocate, sendfile, splice,
 * tee, copy_file_range, shared mappings, seals, limits. Results and contents are printed as a running hash: Linux and
 * the vkernel must agree. An argument is the seed, two are the first and the last; without one, some fixed seeds are
 * run. With -v every call is printed. Pipes never fill up: how many bytes fit depends on how they came, on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 5, PIPES = 2, SLOTS = FILES + 2 * PIPES, STEPS = 800, BUFFER = 70000, MOST = 400000 };
/* Two open files of one file, another opened for appending, one read only, a memfd; then the ends of pipes. */
static int fds[SLOTS], verbose;
static char *buffer, *page, *mapped;
static unsigned long state, hash;
static int pipe_calls[PIPES];

static unsigned long
draw(unsigned long n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % n;
}

static void
mix(long value)
{
    hash = (hash ^ (unsigned long)value) * 0x100000001b3ul;
    hash ^= hash >> 29;
}

static void
mix_bytes(const char *p, long n)
{
    for (long k = 0; k < n; k++)
        mix(p[k]);
}

static long
result(const char *what, long a, long b, long c, long d, long r)
{
    if (verbose)
        printf("%s %ld %ld %ld %ld = %ld %s\n", what, a, b, c, d, r, r < 0 ? strerrorname_np(errno) : "");
    mix(r < 0 ? -errno : r);
    return r;
}

static long
length(void)
{
    switch (draw(12)) {
    case 0: return 0;
    case 1: return 1;
    case 2:
    case 3: return (long)draw(BUFFER);
    case 4: return 4096 * (long)(1 + draw(4));
    default: return (long)draw(3000);
    }
}

static long
small(void)
{
    return (long)draw(draw(6) ? 600 : 5000);
}

static long
offset(void)
{
    static const long odd[] = {-1, -4096, 1l << 62, 0x7fffffffffffffff, 4096, 8192, 65536, 0};

    if (draw(20) == 0)
        return odd[draw(8)];
    return draw(3) ? (long)draw(20000) : (long)draw(MOST / 4);
}

static int
any_file(void)
{
    return fds[draw(FILES)];
}

static void
fill(long n)
{
    unsigned long x = draw(1ul << 40);

    for (long k = 0; k < n; k++)
        buffer[k] = (char)((x = x * 6364136223846793005ul + 1442695040888963407ul) >> 56);
}

static void
empty(int k)
{
    static char taken[BUFFER];

    for (long n; (n = read(fds[FILES + 2 * k], taken, BUFFER)) > 0;)
        mix_bytes(taken, n);
}

/* Before a pipe can be full. */
static void
keep_room(int k)
{
    if (++pipe_calls[k] < 6)
        return;
    pipe_calls[k] = 0;
    empty(k);
}

static void
plain(void)
{
    int fd = draw(5) ? any_file() : fds[draw(SLOTS)], is_pipe = 0;
    long n = length(), at = offset(), r;

    for (int k = FILES; k < SLOTS; k++)
        is_pipe |= fds[k] == fd;
    if (is_pipe) {
        n = small();
        keep_room(fd == fds[FILES] || fd == fds[FILES + 1] ? 0 : 1);
    }
    switch (draw(4)) {
    case 0:
        r = result("read", fd, n, 0, 0, read(fd, buffer, (size_t)n));
        mix_bytes(buffer, r);
        break;
    case 1:
        fill(n);
        result("write", fd, n, 0, 0, write(fd, buffer, (size_t)n));
        break;
    case 2:
        r = result("pread", fd, n, at, 0, pread(fd, buffer, (size_t)n, at));
        mix_bytes(buffer, r);
        break;
    default:
        fill(n);
        if (at > MOST)
            at = 0;
        result("pwrite", fd, n, at, 0, pwrite(fd, buffer, (size_t)n, at));
    }
}

/* Vectors with parts that are empty, nowhere, at the end of what is mapped. */
static void
vectors(void)
{
    struct iovec v[6];
    int n = (int)draw(7), fd = any_file(), flags = draw(6) ? 0 : RWF_APPEND;
    long at = draw(3) ? (long)draw(9000) : -1, r;

    for (int k = 0; k < n && k < 6; k++) {
        v[k] = (struct iovec){buffer + 4000 * k, draw(4000)};
        if (draw(9) == 0)
            v[k] = (struct iovec){page + 4096 - draw(200), draw(400)};
        if (draw(25) == 0)
            v[k] = (struct iovec){(void *)8, draw(100)};
        if (draw(60) == 0)
            v[k].iov_len = -1ul;
    }
    if (n == 6 && draw(3) == 0)
        n = draw(2) ? -1 : 1025;
    fill(24000);
    memset(page, 'p', 4096);
    if (draw(2)) {
        memset(buffer, 0, 24000);
        r = result("preadv2", fd, n, at, flags, preadv2(fd, v, n, at, flags & ~RWF_APPEND));
        mix_bytes(buffer, 24000);
        mix_bytes(page, 4096);
    } else {
        if (n > 0) /* a write whose first byte is nowhere makes Linux's tmpfs files longer all the same */
            v[0] = (struct iovec){buffer, 1 + draw(3000)};
        r = result("pwritev2", fd, n, at, flags, pwritev2(fd, v, n, at, flags));
    }
    (void)r;
}

static void
sizes(void)
{
    static const int modes[] = {0,
                                FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE,
                                FALLOC_FL_COLLAPSE_RANGE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    int fd = draw(8) ? any_file() : fds[draw(SLOTS)], mode = modes[draw(6)];
    long at = offset(), n = draw(10) ? (long)draw(20000) : (long)draw(3) - 1;
    struct stat st;

    switch (draw(4)) {
    case 0:
        if (at > MOST)
            at = 0;
        result("ftruncate", fd, at, 0, 0, ftruncate(fd, at));
        break;
    case 1:
        if (at > MOST)
            at = 0;
        result("fallocate", fd, mode, at, n, fallocate(fd, mode, at, n));
        break;
    case 2:
        if (at > MOST) /* files here end sooner than Linux's */
            at = 0;
        result("lseek", fd, at, mode % 3, 0, lseek(fd, at, mode % 3));
        break;
    default:
        if (result("fstat", fd, 0, 0, 0, fstat(fd, &st)) == 0 && S_ISREG(st.st_mode))
            result("size", st.st_size, 0, 0, 0, st.st_size);
    }
}

static int
same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

static void
between_files(void)
{
    int in = fds[draw(draw(8) ? FILES : SLOTS)], out = fds[draw(draw(8) ? FILES : SLOTS)];
    long n = length(), a = offset(), b = offset(), r;
    int with_a = draw(2) == 0, with_b = draw(2) == 0;

    for (int k = FILES; k < SLOTS; k++)
        if (fds[k] == in || fds[k] == out) {
            n = small();
            keep_room((k - FILES) / 2);
        }
    if (draw(2) && !same_file(in, out)) { /* Linux would send pages that change under it */
        r = result("sendfile", out, in, with_a ? a : -9, n, sendfile(out, in, with_a ? &a : NULL, (size_t)n));
    } else {
        if (b > MOST)
            b = 0;
        if (verbose)
            printf("[in at %ld, out at %ld] ", with_a ? a : -9, with_b ? b : -9);
        r = result("copy_file_range", in, out, n, 0,
                   copy_file_range(in, with_a ? &a : NULL, out, with_b ? &b : NULL, (size_t)n, draw(20) == 0));
        mix(b);
    }
    mix(a);
    empty(0);
    empty(1);
    (void)r;
}

static void
pipes(void)
{
    int k = (int)draw(PIPES), other = 1 - k;
    long n = small(), at = offset(), r;
    unsigned flags = SPLICE_F_NONBLOCK | (draw(3) ? 0 : SPLICE_F_MOVE);
    int with_at = draw(3) == 0, available = 0, file = any_file();
    struct iovec v[2] = {{buffer, (size_t)n / 3}, {buffer + 30000, (size_t)n / 2}};

    keep_room(0);
    keep_room(1);
    switch (draw(8)) {
    case 0:
    case 1:
        r = result("splice to pipe", file, with_at ? at : -9, n, k,
                   splice(file, with_at ? &at : NULL, fds[FILES + 2 * k + 1], NULL, (size_t)n, flags));
        mix(at);
        empty(k); /* Linux puts the file's pages in, which may be written to later */
        break;
    case 2:
    case 3:
        if (at > MOST)
            at = 0;
        r = result("splice to file", file, with_at ? at : -9, n, k,
                   splice(fds[FILES + 2 * k], NULL, file, with_at ? &at : NULL, (size_t)n, flags));
        mix(at);
        break;
    case 4:
        r = result("splice pipes", k, n, 0, 0,
                   splice(fds[FILES + 2 * k], NULL, fds[FILES + 2 * other + 1], NULL, (size_t)n, flags));
        break;
    case 5: r = result("tee", k, n, 0, 0, tee(fds[FILES + 2 * k], fds[FILES + 2 * other + 1], (size_t)n, flags)); break;
    case 6:
        fill(n);
        fill(n);
        r = result("vmsplice", k, n, 0, 0, vmsplice(fds[FILES + 2 * k + 1], v, 2, flags));
        empty(k); /* the same */
        break;
    default: ioctl(fds[FILES + 2 * k], FIONREAD, &available); r = result("available", k, 0, 0, 0, available);
    }
    (void)r;
}

static void
settings(void)
{
    struct rlimit limit = {draw(3) ? RLIM_INFINITY : draw(100000), RLIM_INFINITY};
    static const unsigned seals[] = {F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE};
    int fd = any_file();
    long at = (long)draw(16) * 4096;

    switch (draw(10)) {
    case 0:
    case 1: result("limit", (long)limit.rlim_cur, 0, 0, 0, setrlimit(RLIMIT_FSIZE, &limit)); break;
    case 2: result("append", fd, 0, 0, 0, fcntl(fd, F_SETFL, draw(2) ? O_APPEND : 0)); break;
    case 3:
        if (draw(6) == 0)
            result("seal", 0, 0, 0, 0, fcntl(fds[4], F_ADD_SEALS, seals[draw(4)]));
        break;
    case 4: result("dup", fd, 0, 0, 0, dup2(fd, fds[1]) >= 0); break;
    case 5: /* a new memfd, for the seals */
        close(fds[4]);
        fds[4] = memfd_create("io_random", MFD_ALLOW_SEALING);
        break;
    default: { /* through a mapping: up to the end of the file's last page */
        struct stat st;

        fstat(fds[0], &st);
        if (at + 4096 <= st.st_size) {
            if (draw(2))
                mix_bytes(mapped + at, 4096);
            else
                memset(mapped + at + draw(100), (int)draw(256), draw(3000));
        }
        if (verbose)
            printf("mapped %ld\n", at);
    }
    }
}

static void
contents(void)
{
    for (int k = 0; k < FILES; k++)
        for (long at = 0, n; (n = pread(fds[k], buffer, BUFFER, at)) > 0 && at < 4 * MOST; at += n)
            mix_bytes(buffer, n);
}

static void
run(unsigned long seed)
{
    struct stat st;
    int ends[2];

    state = seed * 0x9e3779b97f4a7c15ul + 1;
    hash = seed;
    close_range(3, ~0u, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    buffer = calloc(1, BUFFER);
    page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_NONE);
    fds[0] = open("one", O_RDWR | O_CREAT, 0600);
    fds[1] = open("one", O_RDWR);
    fds[2] = open("two", O_RDWR | O_CREAT | O_APPEND, 0600);
    fds[3] = open("one", O_RDONLY);
    fds[4] = memfd_create("io_random", MFD_ALLOW_SEALING);
    for (int k = 0; k < PIPES; k++) {
        pipe2(ends, O_NONBLOCK);
        fds[FILES + 2 * k] = ends[0];
        fds[FILES + 2 * k + 1] = ends[1];
    }
    mapped = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    for (int k = 0; k < STEPS; k++) {
        unsigned long which = draw(20);

        which < 7    ? plain()
        : which < 10 ? vectors()
        : which < 13 ? sizes()
        : which < 15 ? between_files()
        : which < 19 ? pipes()
                     : settings();
        for (int f = 0; f < FILES; f++)
            fstat(fds[f], &st), mix(lseek(fds[f], 0, SEEK_CUR) * 31 + st.st_size);
        if (verbose)
            printf("size %ld at %ld %ld %ld %ld %ld\n", (fstat(fds[0], &st), (long)st.st_size),
                   lseek(fds[0], 0, SEEK_CUR), lseek(fds[1], 0, SEEK_CUR), lseek(fds[2], 0, SEEK_CUR),
                   lseek(fds[3], 0, SEEK_CUR), lseek(fds[4], 0, SEEK_CUR));
        if (k % 40 == 0)
            contents();
        if (verbose)
            printf("%d %016lx\n", k, hash);
    }
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}); /* the output may be a file */
    printf("%lu %016lx\n", seed, hash);
}

static void
in_child(unsigned long seed)
{
    char name[64];

    snprintf(name, sizeof name, "/dev/shm/io_random.%d", (int)getpid());
    mkdir(name, 0700);
    fflush(stdout);
    if (fork() == 0) {
        chdir(name);
        run(seed);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    chdir(name);
    unlink("one");
    unlink("two");
    chdir("/");
    rmdir(name);
}

int
main(int count, char **arguments)
{
    unsigned long first = 1, last = 8;

    verbose = count > 1 && strcmp(arguments[1], "-v") == 0;
    if (count > 1 + verbose)
        first = last = strtoul(arguments[1 + verbose], NULL, 0);
    if (count > 2 + verbose)
        last = strtoul(arguments[2 + verbose], NULL, 0);
    for (unsigned long seed = first; seed <= last; seed++)
        in_child(seed);
    return 0;
}
