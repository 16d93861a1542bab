/* The largest calls that there are, on as much memory and as large files as they take: copies over memory that is not
 * there yet, that is shared until somebody writes, and that another thread takes away meanwhile; memory and files that
 * come and go as a whole. Another process wants to work each millisecond all the time. How long it had to wait is
 * printed for each call, with how long the call and the process's end took, in milliseconds. The arguments are the
 * calls' names; "names" lists them. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB     (1ul << 20)
#define LARGEST 0x7ffff000ul

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static char *
map(size_t size, int flags)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

    if (p == MAP_FAILED)
        _exit(1);
    return p;
}

/* A gigabyte that is there. */
static char *
there(void)
{
    return map(1024 * MIB, MAP_POPULATE);
}

static int
file(size_t size)
{
    int fd = memfd_create("large", 0);

    ftruncate(fd, (off_t)size);
    return fd;
}

/* What the other process had to wait, and when the call began: what came before it does not count. */
static volatile double *worst;

static void
begin(void)
{
    usleep(5000); /* the other process has had its turn, and says how long it waited for that */
    worst[0] = 0;
    worst[1] = now();
}

/* --- copies --- */

static void
reads(void)
{
    int in = open("/dev/zero", O_RDONLY);
    char *p = map(LARGEST, 0);

    begin();
    read(in, p, LARGEST);
}

static void
randoms(void)
{
    char *p = map(256 * MIB, 0);

    begin();
    getrandom(p, 256 * MIB, 0);
}

static void
vectors(void)
{
    static struct iovec v[1024];
    int in = open("/dev/zero", O_RDONLY);
    char *p = map(64 * MIB, 0);

    for (int k = 0; k < 1024; k++)
        v[k] = (struct iovec){p, 64 * MIB};
    begin();
    readv(in, v, 1024);
}

/* Over memory that is shared with a parent. */
static void
shared_reads(void)
{
    int in = open("/dev/zero", O_RDONLY);
    char *p = there();

    memset(p, 1, 1024 * MIB);
    if (fork() == 0) {
        begin();
        read(in, p, 1024 * MIB);
        _exit(0);
    }
    wait(NULL);
}

static void
writes(void)
{
    char *p = there();
    int out = file(0);

    begin();
    write(out, p, 1024 * MIB);
}

/* From memory that nobody has touched, to a file of which each page is new. */
static void
untouched_writes(void)
{
    char *p = map(LARGEST, 0);
    int out = file(0);

    begin();
    write(out, p, LARGEST);
}

static char *moving;

static void *
mover(void *unused)
{
    for (unsigned k = 0;; k++) {
        size_t at = k * 37 % 64 * 16 * MIB;

        munmap(moving + at, 16 * MIB);
        mmap(moving + at, 16 * MIB, k & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0);
        sched_yield();
    }
    return unused;
}

static void
unmapped_copies(void)
{
    int in = open("/dev/zero", O_RDONLY), out = open("/dev/null", O_WRONLY);
    pthread_t thread;

    moving = map(1024 * MIB, 0);
    pthread_create(&thread, NULL, mover, NULL);
    begin();
    for (int k = 0; k < 10; k++) {
        read(in, moving, 1024 * MIB);
        write(out, moving, 1024 * MIB);
    }
}

static void
sends(void)
{
    int in = file(LARGEST), out = file(0);

    begin();
    sendfile(out, in, NULL, LARGEST);
}

static void
ranges(void)
{
    int in = file(LARGEST), out = file(0);

    begin();
    syscall(SYS_copy_file_range, in, NULL, out, NULL, LARGEST, 0);
}

static void
splices(void)
{
    int in = file(LARGEST), out = open("/dev/null", O_WRONLY), ends[2];

    pipe(ends);
    fcntl(ends[1], F_SETPIPE_SZ, MIB);
    begin();
    for (int k = 0; k < 500; k++) {
        splice(in, NULL, ends[1], NULL, LARGEST, SPLICE_F_NONBLOCK);
        splice(ends[0], NULL, out, NULL, LARGEST, SPLICE_F_NONBLOCK);
    }
}

/* --- memory --- */

static void
populates(void)
{
    begin();
    map(2048 * MIB, MAP_POPULATE);
}

static void
advises(void)
{
    char *p = map(2048 * MIB, 0);

    begin();
    madvise(p, 2048 * MIB, 23 /* MADV_POPULATE_WRITE */);
    madvise(p, 2048 * MIB, MADV_DONTNEED);
}

static void
protects(void)
{
    char *p = there();

    begin();
    for (int k = 0; k < 10; k++)
        mprotect(p, 1024 * MIB, k & 1 ? PROT_READ | PROT_WRITE : PROT_READ);
}

static void
moves(void)
{
    char *p = there();

    begin();
    mremap(p, 1024 * MIB, 1024 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, map(1024 * MIB, 0));
}

/* A gigabyte that is shared with a parent, to and from a socket and through a pipe, as far as they take it. */
static void
sockets(void)
{
    char *p = there();
    int ends[2], packets[2], through[2];

    memset(p, 1, 1024 * MIB);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, packets);
    pipe2(through, O_NONBLOCK);
    if (fork() == 0) {
        begin();
        send(ends[0], p, 1024 * MIB, 0);
        if (send(packets[0], p, 1024 * MIB, 0) >= 0 || errno != EMSGSIZE)
            _exit(1);
        write(through[1], p, 1024 * MIB);
        recv(ends[1], p, 1024 * MIB, 0);
        send(packets[0], p, 1000, 0);
        if (recv(packets[1], p, 1024 * MIB, 0) != 1000 || read(through[0], p, 1024 * MIB) <= 0)
            _exit(2);
        _exit(0);
    }
    wait(NULL);
}

static void
unmaps(void)
{
    char *p = map(2048 * MIB, MAP_POPULATE);

    begin();
    munmap(p, 2048 * MIB);
}

static void
forks(void)
{
    memset(there(), 1, 1024 * MIB);
    begin();
    if (fork() == 0)
        _exit(0);
    wait(NULL);
}

static void
executes(void)
{
    char *none[] = {"largest", "nothing", NULL};

    memset(there(), 1, 1024 * MIB);
    begin();
    execv("/proc/self/exe", none);
}

static void
ends(void)
{
    map(2048 * MIB, MAP_POPULATE);
    begin();
}

/* --- files --- */

static void
allocates(void)
{
    int fd = file(0);

    begin();
    fallocate(fd, 0, 0, 2048 * MIB);
}

/* Of which each page is there. */
static int
written_file(void)
{
    char *p = map(1024 * MIB, 0);
    int fd = file(0);

    write(fd, p, 1024 * MIB);
    return fd;
}

static void
truncates(void)
{
    int fd = written_file();

    begin();
    ftruncate(fd, 0);
}

/* The end of shared memory comes with its last mapping. */
static void
unmaps_shared(void)
{
    char *p = mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    memset(p, 1, 1024 * MIB);
    munmap(p + 4096, 1024 * MIB - 4096);
    begin();
    munmap(p, 4096);
}

/* The same at the end of a process that maps little of it. */
static void
ends_shared(void)
{
    char *p = mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    memset(p, 1, 1024 * MIB);
    munmap(p + 4096, 1024 * MIB - 4096);
    begin();
}

static void
closes(void)
{
    int fd = written_file();

    begin();
    close(fd);
}

static const struct {
    const char *name;
    void (*f)(void);
} calls[] = {{"reads", reads},
             {"randoms", randoms},
             {"vectors", vectors},
             {"shared-reads", shared_reads},
             {"writes", writes},
             {"untouched-writes", untouched_writes},
             {"unmapped-copies", unmapped_copies},
             {"sends", sends},
             {"ranges", ranges},
             {"splices", splices},
             {"populates", populates},
             {"advises", advises},
             {"protects", protects},
             {"moves", moves},
             {"sockets", sockets},
             {"unmaps", unmaps},
             {"forks", forks},
             {"executes", executes},
             {"ends", ends},
             {"allocates", allocates},
             {"truncates", truncates},
             {"unmaps-shared", unmaps_shared},
             {"ends-shared", ends_shared},
             {"closes", closes}};

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
main(int count, char **arguments)
{
    pid_t other;

    if (count > 1 && strcmp(arguments[1], "nothing") == 0)
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count > 1 && strcmp(arguments[1], "names") == 0) {
        for (unsigned k = 0; k < sizeof calls / sizeof calls[0]; k++)
            puts(calls[k].name);
        return 0;
    }
    worst = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    other = fork();
    if (other == 0)
        sibling();
    for (unsigned k = 0; k < sizeof calls / sizeof calls[0]; k++) {
        int status, wanted = count == 1;

        for (int i = 1; i < count; i++)
            wanted |= strcmp(arguments[i], calls[k].name) == 0;
        if (!wanted)
            continue;
        if (fork() == 0) {
            calls[k].f();
            _exit(0);
        }
        wait(&status);
        printf("%s %d %.1f %.1f\n", calls[k].name, status, *worst, now() - worst[1]);
    }
    kill(other, SIGKILL);
    return 0;
}
