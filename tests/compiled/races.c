/* A guest that races on its memory: threads and processes make every system call of abi/syscalls.def with buffers,
 * structures and lengths in pages that others meanwhile unmap, forbid, move, replace, shorten, punch and fork, and
 * whose contents they change. A signal interrupts every millisecond, on a stack that may be there, too. Each round is a
 * child; process 1 must live and count them. Never to be run outside of a container, but for what --host does.
 * usage: races ROUNDS SEED [FILE]   FILE: of a volume, mapped into the area
 *        races --host FILE SECONDS  on the host: changes and shortens the file meanwhile */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, THIRD = 16, PAGES = 3 * THIRD, CHILD_MS = 150, CALLERS = 3 };

/* --- the tables --- */

struct row {
    int number;
    const char *name;
    unsigned arity;
    const char *format;
};
static const struct row rows[] = {
#define SYS(nr, name, arity, format) {nr, #name, arity, format},
#include "vkernel/abi/syscalls.def"
#undef SYS
};
enum { ROWS = sizeof rows / sizeof *rows };

#define VALUES(name, ...) static const uint64_t values_##name[] = {__VA_ARGS__};
#define FLAGS(name, ...)  static const uint64_t values_##name[] = {__VA_ARGS__};
#define STRINGS(name, ...)
#define STRUCT(name, fields)
#define UNION(name, members)
#include "vkernel/abi/types.def"
#undef VALUES
#undef FLAGS
static const struct {
    const char *name;
    const uint64_t *values;
    unsigned count;
    bool flags;
} types[] = {
#define VALUES(name, ...) {#name, values_##name, sizeof values_##name / 8, false},
#define FLAGS(name, ...)  {#name, values_##name, sizeof values_##name / 8, true},
#include "vkernel/abi/types.def"
#undef VALUES
#undef FLAGS
#undef STRINGS
};
static const char *const strings[] = {
#define VALUES(name, ...)
#define FLAGS(name, ...)
#define STRINGS(name, ...) __VA_ARGS__,
#include "vkernel/abi/types.def"
};

/* --- what all share --- */

static struct {
    uint64_t made[ROWS], good[ROWS];
} *counts;
static uint8_t *area;
static int file = -1, memory; /* behind the first and the last third */
static uint64_t seed;
static _Thread_local uint64_t state;
static _Thread_local sigjmp_buf back;

static uint64_t
random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t
below(uint64_t n)
{
    return random64() % n;
}

/* Never through the C library: what it keeps of errors and cancellation is not to be raced for. */
static long
call(long number, const uint64_t a[6])
{
    register long r10 __asm__("r10") = (long)a[3], r8 __asm__("r8") = (long)a[4], r9 __asm__("r9") = (long)a[5];
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define CALL(number, ...) CALL_6(number, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_6(n, a, b, c, d, e, f, ...) \
    call(n,                              \
         (const uint64_t[]){(uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f)})

/* Often so that it crosses into a page that another fate has. */
static uint64_t
place(uint64_t size)
{
    uint64_t at = (uint64_t)(uintptr_t)area + below(PAGES) * PAGE;

    switch (below(4)) {
    case 0: return at + below(PAGE);
    case 1: return at + PAGE - below(size + 1);
    default: return at + below(16) * 64;
    }
}

static uint64_t
word(void)
{
    switch (below(8)) {
    case 0: return place(64);
    case 1: return below(4) ? below(64) : below(20000);
    case 2: return 1ull << below(64);
    case 3: return random64();
    case 4: return UINT64_MAX - below(3);
    default: return below(20);
    }
}

/* --- those who change the memory --- */

static void
scribble(uint64_t words)
{
    volatile uint64_t *at = (volatile uint64_t *)(void *)(uintptr_t)(place(8) & ~7ull);

    while (words--)
        *at++ = word();
}

static void
change_mappings(void)
{
    uint64_t at = (uint64_t)(uintptr_t)area + below(PAGES) * PAGE, size = (1 + below(4)) * PAGE,
             to = (uint64_t)(uintptr_t)area + below(PAGES) * PAGE;
    static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
                                PROT_READ | PROT_EXEC};
    int prot = prots[below(5)];

    switch (below(12)) {
    case 0: CALL(SYS_munmap, at, size); break;
    case 1:
    case 2: CALL(SYS_mprotect, at, size, prot); break;
    case 3:
        CALL(SYS_mremap, at, size, (1 + below(4)) * PAGE,
             MREMAP_MAYMOVE | MREMAP_FIXED | (below(4) ? 0 : MREMAP_DONTUNMAP), to);
        break;
    case 4:
    case 5:
        CALL(SYS_mmap, at, size, prot, MAP_FIXED | MAP_ANONYMOUS | (below(2) ? MAP_SHARED : MAP_PRIVATE), -1, 0);
        break;
    case 6:
        CALL(SYS_mmap, at, size, prot, MAP_FIXED | (below(2) ? MAP_SHARED : MAP_PRIVATE), below(2) ? file : memory,
             below(THIRD) * PAGE);
        break;
    case 7:
        CALL(SYS_ftruncate, below(2) ? file : memory, below(THIRD + 1) * PAGE + (below(3) ? 0 : below(PAGE)));
        break;
    case 8:
        CALL(SYS_fallocate, below(2) ? file : memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, below(THIRD) * PAGE,
             size);
        break;
    case 9: CALL(SYS_madvise, at, size, below(2) ? MADV_DONTNEED : MADV_REMOVE); break;
    case 10:
        if (below(8) == 0 && CALL(SYS_fork) == 0)
            for (;;)
                CALL(SYS_exit_group, 0);
        break;
    default: /* as it was, so that calls succeed */
        CALL(SYS_ftruncate, file, THIRD * PAGE);
        CALL(SYS_ftruncate, memory, THIRD * PAGE);
        CALL(SYS_mmap, area, THIRD * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, file, 0);
        CALL(SYS_mmap, area + THIRD * PAGE, THIRD * PAGE, PROT_READ | PROT_WRITE,
             MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
        CALL(SYS_mmap, area + 2 * THIRD * PAGE, THIRD * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, memory,
             0);
    }
}

/* --- those who call --- */

static uint64_t
named(const char *name, size_t length)
{
    for (unsigned k = 0; k < sizeof types / sizeof *types; k++) {
        uint64_t v = 0;

        if (strncmp(types[k].name, name, length) != 0 || types[k].name[length])
            continue;
        if (!types[k].flags)
            return types[k].values[below(types[k].count)];
        for (uint64_t n = below(3); n; n--)
            v |= types[k].values[below(types[k].count)];
        return v;
    }
    return word();
}

/* Strings lie in the area; what is longer than its page goes on in the next. */
static uint64_t
string(void)
{
    const char *s = strings[below(sizeof strings / sizeof *strings)];
    size_t size = strlen(s) + 1;
    uint64_t at = place(size);

    memcpy((void *)(uintptr_t)at, s, size);
    return at;
}

/* A vector whose buffers are in the area, in the area; or what is there. */
static uint64_t
structure(void)
{
    uint64_t at = place(128) & ~7ull;

    if (below(3) == 0)
        for (unsigned k = 0; k < 16; k += 2) {
            ((volatile uint64_t *)(void *)(uintptr_t)at)[k] = place(64);
            ((volatile uint64_t *)(void *)(uintptr_t)at)[k + 1] = below(4) ? below(100) : below(3 * PAGE);
        }
    return at;
}

static uint64_t
argument(const char *format)
{
    const char *name = format[1] == ':' ? format + 2 : NULL;
    uint64_t process;

    switch (format[0]) {
    case 'd':
    case 'u':
    case 'l':
    case 'x':
    case 'o': return name ? named(name, strcspn(name, " *")) : word();
    case 'f':
    case 'D': return below(16) ? 3 + below(28) : (uint64_t)AT_FDCWD;
    case 'F': return named("open", 4);
    case 'P': return below(8);
    case 's': return string();
    case 'S': return below(3) ? SIGUSR1 : below(65);
    case 'i':
    case 't':
        process = below(3) ? 0 : below(20);
        return process == 1 ? 0 : process; /* root may end process 1 by its limits, there and on Linux */
    case 'c': return named("clock", 5);
    case 'a': return (uint64_t)(uintptr_t)area + below(PAGES) * PAGE;
    case 'm': return (1 + below(4)) * PAGE;
    case 'n': return below(3) ? below(200) : below(4 * PAGE); /* less than the area's margins */
    case 'k': return below(12);
    case 'p':
    case 'r':
    case 'w': return below(10) ? structure() : 0;
    default: return below(12) ? place(200) : word();
    }
}

/* Calls that end the round, or the caller. */
static bool
ends(int number)
{
    return number == SYS_exit || number == SYS_exit_group || number == SYS_vfork || number == SYS_execve ||
           number == SYS_execveat || number == SYS_rt_sigreturn;
}

static void
call_something(void)
{
    unsigned k = (unsigned)below(ROWS);
    const char *format = rows[k].format;
    uint64_t a[6] = {0};
    long result;

    if (ends(rows[k].number) && below(16))
        return;
    for (unsigned i = 0; i < rows[k].arity; i++) {
        a[i] = argument(format);
        format += strcspn(format, " ");
        format += *format == ' ';
    }
    if (rows[k].number == SYS_clone || rows[k].number == SYS_clone3) { /* on a stack of its own memory, and not for
                                                                          long */
        if (rows[k].number == SYS_clone)
            a[0] = (a[0] & ~(uint64_t)(CLONE_VM | CLONE_VFORK)) | SIGCHLD, a[1] = 0;
    }
    counts->made[k]++;
    result = call(rows[k].number, a);
    counts->good[k] += result >= 0;
    if (result == 0 && (rows[k].number == SYS_clone || rows[k].number == SYS_clone3 || rows[k].number == SYS_fork ||
                        rows[k].number == SYS_vfork))
        for (;;)
            CALL(below(2) ? SYS_exit : SYS_exit_group, 0);
}

/* --- a round --- */

static void
on_fault(int sig)
{
    siglongjmp(back, sig);
}

static void
on_signal(int sig)
{
    (void)sig;
}

static void
handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

    sigaction(sig, &sa, NULL);
}

static void *
caller(void *number)
{
    uint64_t base = seed * 31 + (uint64_t)(uintptr_t)number;

    state = base * 0x9e3779b97f4a7c15u | 1;
    for (;;) {
        sigsetjmp(back, 0);
        if ((uintptr_t)number > 1) {
            call_something();
            continue;
        }
        if (number)
            scribble(1 + below(64));
        else
            change_mappings();
        CALL(SYS_sched_yield);
    }
    return NULL;
}

static void
some_files(void)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT};
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t length = sizeof in;
    sigset_t set;
    int fds[2], ep, tcp;

    if (pipe(fds) == 0 && pipe2(fds, O_NONBLOCK) == 0)
        fcntl(fds[1], F_SETPIPE_SZ, 4096);
    socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds);
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);
    tcp = socket(AF_INET, SOCK_STREAM, 0);
    bind(tcp, (void *)&in, sizeof in);
    listen(tcp, 5);
    getsockname(tcp, (void *)&in, &length);
    connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&in, sizeof in);
    socket(AF_INET, SOCK_DGRAM, 0);
    socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    eventfd(1, EFD_NONBLOCK);
    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    signalfd(-1, &set, SFD_NONBLOCK);
    inotify_add_watch(inotify_init1(IN_NONBLOCK), "/tmp", IN_ALL_EVENTS);
    ep = epoll_create1(0);
    for (int fd = 3; fd < ep; fd++)
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    open("/dev/ptmx", O_RDWR | O_NONBLOCK);
    open("/tmp/a", O_RDWR | O_CREAT, 0600);
    open("/tmp", O_RDONLY | O_DIRECTORY);
    open("/proc/self/status", O_RDONLY);
    open("/proc/self/mem", O_RDWR);
    open("/dev/urandom", O_RDONLY);
    syscall(SYS_pidfd_open, getpid(), 0);
}

static void
round_child(const char *path)
{
    struct rlimit small = {64 << 20, 64 << 20};
    struct itimerval every = {{0, 1000}, {0, 1000}};
    int null = open("/dev/null", O_RDWR);
    pthread_t thread;

    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    setrlimit(RLIMIT_FSIZE, &small);
    file = path ? open(path, O_RDWR) : memfd_create("file", 0);
    memory = memfd_create("memory", 0);
    /* What reaches beyond it must not reach what the round itself needs. */
    area = mmap(NULL, (PAGES + 2 * THIRD) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    area += THIRD * PAGE;
    state = seed * 0x9e3779b97f4a7c15u | 1;
    some_files();
    for (int sig = 1; sig <= 64; sig++)
        handle(sig, sig == SIGSEGV || sig == SIGBUS ? on_fault : on_signal,
               sig == SIGSEGV || sig == SIGBUS ? SA_NODEFER
               : sig % 2                       ? SA_ONSTACK | SA_RESTART
                                               : SA_ONSTACK);
    for (int k = 0; k < 100; k++)
        change_mappings();
    setitimer(ITIMER_REAL, &every, NULL);
    /* The same from another process: what is shared only, and from one that shares all. */
    if (fork() == 0)
        caller((void *)(uintptr_t)below(2));
    for (uintptr_t k = 1; k < 2 + CALLERS; k++)
        pthread_create(&thread, NULL, caller, (void *)k);
    caller((void *)0);
}

static int
rounds(unsigned long count, const char *path)
{
    unsigned long ended = 0;
    uint64_t made = 0, kinds = 0, good = 0;

    for (unsigned long n = 0; n < count; n++) {
        struct pollfd p = {.events = POLLIN};
        int pid, status;

        seed = random64();
        pid = fork();
        if (pid == 0) {
            round_child(path);
            _exit(0);
        }
        if (pid < 0) {
            perror("fork");
            return 4;
        }
        p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (p.fd < 0 || poll(&p, 1, CHILD_MS) == 0)
            kill(pid, SIGKILL);
        close(p.fd);
        ended += waitpid(pid, &status, 0) == pid;
        kill(-1, SIGKILL); /* what it left behind */
        while (waitpid(-1, &status, __WALL) > 0)
            ;
    }
    printf("%lu rounds, %lu children ended\n", count, ended);
    for (unsigned k = 0; k < ROWS; k++) {
        made += counts->made[k];
        kinds += counts->made[k] > 0;
        good += counts->good[k] > 0;
    }
    fprintf(stderr, "%llu calls, %llu of %u kinds, %llu of them with success\n", (unsigned long long)made,
            (unsigned long long)kinds, ROWS, (unsigned long long)good);
    return 0;
}

/* The host's part: the bytes of the file, and its length. */
static int
on_host(const char *path, unsigned seconds)
{
    time_t end = time(NULL) + seconds;

    file = open(path, O_RDWR);
    area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || area == MAP_FAILED)
        return 3;
    handle(SIGBUS, on_fault, SA_NODEFER);
    while (time(NULL) < end) {
        if (sigsetjmp(back, 1) == 0)
            for (int k = 0; k < 1000; k++)
                ((volatile uint64_t *)(void *)area)[below(THIRD * PAGE / 8)] = word();
        if (ftruncate(file, (off_t)(below(2) ? THIRD * PAGE : below(THIRD * PAGE))) != 0)
            return 4;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    state = 88172645463325252u;
    if (argc == 4 && strcmp(argv[1], "--host") == 0)
        return on_host(argv[2], (unsigned)atoi(argv[3]));
    if (getpid() != 1 || argc < 3)
        return 2; /* what a child does elsewhere could be anything */
    state = strtoul(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u | 1;
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return counts == MAP_FAILED ? 3 : rounds(strtoul(argv[1], NULL, 0), argc > 3 ? argv[3] : NULL);
}
