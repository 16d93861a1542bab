/* Random memory calls in a window of address space and over two files, the results and the contents printed as a
 * running hash: Linux and the vkernel must agree. An argument is the seed; without one, some fixed seeds are run. With
 * -v every call is printed. Arguments are such that the result depends on nothing but earlier calls: addresses are in
 * the window or fixed odd values, and no call that chooses an address by itself is followed by a look at which. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 24, FILE_PAGES = 12 };
static char *window;
static int rw, ro, memory, verbose;
static unsigned long state, hash;
static sigjmp_buf back;
static volatile int fault_code;

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
on_fault(int sig, siginfo_t *info, void *context)
{
    fault_code = sig * 16 + info->si_code;
    siglongjmp(back, 1);
}

/* The byte, or what its load raises. */
static int
load(const volatile char *p)
{
    return sigsetjmp(back, 0) ? -fault_code : (unsigned char)*p;
}

static int
store(volatile char *p, int value)
{
    if (sigsetjmp(back, 0))
        return -fault_code;
    *p = (char)value;
    return 0;
}

static char *
place(void)
{
    static const unsigned long odd[] = {0, 1, 100, 4095};

    return window + draw(PAGES) * PAGE + (draw(12) ? 0 : odd[draw(4)]);
}

static unsigned long
length(void)
{
    static const unsigned long odd[] =
        {0, 1, 100, 4095, 4097, -1ul, -4095ul, -4096ul, 1ul << 63, 1ul << 47, (1ul << 47) - 4096};

    return draw(8) ? (1 + draw(6)) * PAGE : odd[draw(sizeof odd / sizeof odd[0])];
}

/* For calls that go on behind holes: in the window, or not at all. */
static unsigned long
length_within(const char *p)
{
    unsigned long n = length(), room = PAGES * PAGE - (unsigned long)(p - window);

    return n >= -4096ul || n <= room ? n : room;
}

static unsigned long
file_offset(void)
{
    static const unsigned long odd[] = {1, 100, -4096ul, 0x7ffffffffffff000ul, 0x7fffffffffffe000ul, 1ul << 63};

    return draw(16) ? draw(FILE_PAGES) * PAGE : odd[draw(6)];
}

static void
say(const char *name, long r)
{
    if (verbose)
        printf("  %s: %ld %s\n", name, r, r < 0 && r > -4096 ? strerrorname_np((int)-r) : "");
    mix(r);
}

/* Arguments, for who looks; an address as its offset. */
static void
about(const char *p, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if (verbose)
        printf("  (%#lx, %#lx, %#lx, %#lx, %#lx)", (unsigned long)(p - window), a, b, c, d);
}

static long
result(long r)
{
    return r == -1 ? -errno : r;
}

/* An address in the window as an offset; elsewhere only that it is. */
static long
where(long r)
{
    if (r == -1)
        return -errno;
    return (unsigned long)(r - (long)window) < PAGES * PAGE ? r - (long)window : 1;
}

static void
map(void)
{
    static const int types[] = {MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED, MAP_SHARED_VALIDATE, 0};
    static const int more[] = {0, 0, 0, 0, MAP_NORESERVE, MAP_POPULATE, 0x4000000};
    int flags = types[draw(6)] | more[draw(7)] | (draw(5) ? MAP_FIXED : MAP_FIXED_NOREPLACE), fd = -1;
    char *p = place();
    unsigned long size = length(), offset = file_offset();

    if (size > PAGES * PAGE - (unsigned long)(p - window) && size < 1ul << 40)
        size = PAGES * PAGE - (unsigned long)(p - window);
    if (draw(2))
        flags |= MAP_ANONYMOUS;
    else
        fd = (int[]){rw, rw, ro, memory, memory, 77}[draw(6)];
    if (flags & MAP_ANONYMOUS)
        offset = 0;
    about(p, size, (unsigned long)flags, (unsigned long)fd, offset);
    say("mmap", where(syscall(SYS_mmap, p, size, draw(4), flags, fd, offset)));
}

/* Which neighbours are one mapping is Linux's own affair: so a page of any, or a whole new one. */
static void
remap(void)
{
    static const int flags_of[] = {0,
                                   MREMAP_MAYMOVE | MREMAP_FIXED,
                                   MREMAP_MAYMOVE | MREMAP_FIXED,
                                   MREMAP_FIXED,
                                   MREMAP_MAYMOVE | MREMAP_FIXED | 4 /* DONTUNMAP */,
                                   8};
    unsigned long old = draw(8) ? PAGE : (unsigned long[]){0, 1, 4095}[draw(3)], size = length();
    char *from = place(), *to = place();
    int flags = flags_of[draw(6)], fd = (int[]){-1, rw, memory}[draw(3)];

    if (draw(2)) {
        from = window + draw(PAGES - 6) * PAGE;
        old = (1 + draw(6)) * PAGE;
        size = draw(3) ? (1 + draw(6)) * PAGE : old;
        mmap(from, old, draw(4), (draw(2) ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd,
             0);
    }
    if (to + size > window + PAGES * PAGE && size < 1ul << 40)
        to = window + PAGES * PAGE - size;
    if (!(flags & MREMAP_FIXED) && from + size > window + PAGES * PAGE && size < 1ul << 40)
        size = PAGE;
    about(from, old, size, (unsigned long)flags, (unsigned long)(to - window));
    say("mremap", where(syscall(SYS_mremap, from, old, size, flags, to)));
}

static void
advise(void)
{
    /* clang-format off */
    static const int advice[] = {MADV_NORMAL, MADV_RANDOM, MADV_WILLNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED,
                                 MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK, 22, 23, 99, MADV_REMOVE};
    /* clang-format on */

    char *p = place();

    unsigned long size = length_within(p);
    int which = advice[draw(14)];

    about(p, size, (unsigned long)which, 0, 0);
    say("madvise", result(madvise(p, size, which)));
}

static void
change_file(void)
{
    int fd = (int[]){rw, memory}[draw(2)];
    char data[64];

    switch (draw(5)) {
    case 0:
    case 1: say("ftruncate", result(ftruncate(fd, (long)(draw(FILE_PAGES) * PAGE + draw(2) * 100)))); break;
    case 2:
        memset(data, (int)draw(256), sizeof data);
        say("pwrite", result(pwrite(fd, data, sizeof data, (long)(draw(FILE_PAGES) * PAGE + draw(4096)))));
        break;
    case 3:
        say("punch", result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (long)(draw(FILE_PAGES) * PAGE),
                                      (long)((1 + draw(3)) * PAGE))));
        break;
    default:
        say("pread into the window",
            result(pread(fd, place(), 1 + draw(3 * PAGE), (long)(draw(FILE_PAGES) * PAGE))) > 0);
    }
}

/* Not beyond its end: a write that fails there makes the file longer on Linux. */
static void
write_from_window(void)
{
    long size = lseek(rw, 0, SEEK_END), at = (long)(draw(FILE_PAGES) * PAGE);

    say("write from the window", result(pwrite(rw, place(), 1 + draw(3 * PAGE), at < size ? at : 0)) > 0);
}

static void
look(void)
{
    for (int k = 0; k < PAGES; k++) {
        int v = load(window + k * PAGE);

        if (verbose)
            printf(" %d", v);
        mix(v);
    }
    if (verbose)
        printf("\n");
}

static void
fork_and_look(void)
{
    int q[2];
    unsigned long seen = 0;

    pipe(q);
    fflush(stdout);
    if (fork() == 0) {
        look();
        fflush(stdout);
        write(q[1], &hash, sizeof hash);
        _exit(0);
    }
    wait(NULL);
    read(q[0], &seen, sizeof seen);
    close(q[0]);
    close(q[1]);
    mix((long)seen);
}

static void
small_call(char *p, int which)
{
    static const int syncs[] = {MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_ASYNC, 8},
                     odd[] = {8, 0x100, 0x1000000, 0x3000000};
    unsigned long size = length_within(p);
    int argument = which == 1 && draw(12) ? (int)draw(4) : which == 1 ? odd[draw(4)] : syncs[draw(5)];

    about(p, size, (unsigned long)argument, 0, 0);
    if (which == 0)
        say("munmap", result(munmap(p, size)));
    else if (which == 1)
        say("mprotect", result(syscall(SYS_mprotect, p, size, argument)));
    else
        say("msync", result(msync(p, size, argument)));
}

static void
step(void)
{
    switch (draw(16)) {
    case 0:
    case 1:
    case 2: map(); break;
    case 3: small_call(place(), 0); break;
    case 4:
    case 5: small_call(place(), 1); break;
    case 6:
    case 7: remap(); break;
    case 8: advise(); break;
    case 9: small_call(place(), 2); break;
    case 10: change_file(); break;
    case 11: write_from_window(); break;
    case 12:
        if (draw(4) == 0)
            fork_and_look();
        break;
    default:
        for (int k = 0; k < 3; k++)
            say("store", store(window + draw(PAGES) * PAGE + draw(2) * draw(4096), (int)draw(256)));
    }
}

static void
run(unsigned long seed, int steps)
{
    state = seed * 0x9e3779b97f4a7c15ul | 1;
    hash = seed;
    mmap(window, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (int k = 0; k < steps; k++) {
        step();
        if (k % 8 == 0)
            look();
        if (verbose)
            printf("%d: %016lx\n", k, hash);
    }
    printf("seed %lu: %016lx\n", seed, hash);
    ftruncate(rw, 0);
    ftruncate(memory, 0);
    munmap(window, PAGES * PAGE);
}

int
main(int argc, char **argv)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    char *reserve = mmap(NULL, 512 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    window = reserve + 256 * PAGE; /* nothing above it that could be merged or grown into */
    munmap(reserve + 255 * PAGE, (PAGES + 2) * PAGE);
    rw = open("memory_random.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ro = open("memory_random.tmp", O_RDONLY);
    memory = memfd_create("memory_random", 0);
    verbose = argc > 2 && strcmp(argv[2], "-v") == 0;
    if (argc > 1) {
        run(strtoul(argv[1], NULL, 0), 2000);
    } else {
        for (unsigned long seed = 1; seed <= 40; seed++)
            run(seed, 400);
    }
    unlink("memory_random.tmp");
    return 0;
}
