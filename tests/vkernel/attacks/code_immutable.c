/* Executable memory is exactly the verified bytes of files, whatever becomes of the files. Copies of this program are
 * mapped to execute, then written, shortened, mapped elsewhere; nothing of that may reach what is executed, and pages
 * that were never verified may not be executed at all. (not on Linux, where nobody asks what is executed) */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
extern const char __ehdr_start[];
static char image[4 << 20];
static long image_size;
static sigjmp_buf back;
static int failures;

__attribute__((noinline, aligned(64))) int
answer(void)
{
    __asm__ volatile("");
    return 42;
}

static void
jump(int sig)
{
    siglongjmp(back, sig);
}

static void
check(int ok, const char *what)
{
    printf("%s: %s\n", what, ok ? "ok" : "FAILED");
    failures += !ok;
}

/* What the function at p returns, or minus the signal. */
static int
call(const char *p)
{
    int sig = sigsetjmp(back, 1);

    return sig ? -sig : ((int (*)(void))p)();
}

static int
in_child(const char *p)
{
    int status;

    fflush(stdout);
    if (fork() == 0)
        _exit(call(p) & 127);
    wait(&status);
    return status >> 8;
}

static int
store(char *p, char value)
{
    int sig = sigsetjmp(back, 1);

    if (sig == 0)
        *(volatile char *)p = value;
    return sig;
}

static int
copy_of_this(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0700);

    if (write(fd, image, image_size) != image_size)
        exit(1);
    return fd;
}

static const unsigned char made[] = {0xb8, 0x37, 0x13, 0, 0, 0xc3}; /* mov $0x1337, %eax; ret */

/* The file's end is behind `end` in the mapping at p, the function in it at f. */
static void
attack(int fd, char *p, const char *f, long size)
{
    char *end = p + ((image_size + PAGE - 1) & ~(long)(PAGE - 1));
    int q[2];

    pipe(q);
    check(call(f) == 42 && in_child(f) == 42, "runs");
    check(write(q[1], end, 1) == -1 && errno == EFAULT, "no copy from behind the end");
    check(pread(fd, end, 1, 0) == -1 && errno == EFAULT, "no copy to behind the end");
    check(store(end, 1) == SIGSEGV && store(p, 1) == SIGSEGV, "no store");
    check(call(end) == -SIGBUS && in_child(end) == (-SIGBUS & 127), "no code behind the end");
    check(call(end + 2 * PAGE) == -SIGBUS, "nor further behind");
    check(mprotect(p, size, PROT_READ | PROT_WRITE | PROT_EXEC) == -1 && errno == EACCES, "not writable, too");
    check(mprotect(end, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == -1, "nor its end");
    madvise(p, size, MADV_DONTNEED);
    madvise(p, size, MADV_FREE);
    madvise(p, size, MADV_REMOVE);
    check(call(f) == 42, "runs after madvise");
    close(q[0]);
    close(q[1]);
}

static void
change(int fd, const char *name, long at)
{
    char *w = mmap(NULL, image_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    pwrite(fd, made, sizeof made, at);
    memcpy(w + at, made, sizeof made);
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at & ~(long)(PAGE - 1), PAGE);
    memcpy(w + at, made, sizeof made);
    munmap(w, image_size);
}

static void
copies(long at)
{
    int fd = copy_of_this("/tmp/copy1");
    long size = ((image_size + PAGE - 1) & ~(long)(PAGE - 1)) + 4 * PAGE;
    char *p = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), *q;

    check(p != MAP_FAILED, "a copy is known");
    attack(fd, p, p + at, size);
    change(fd, "/tmp/copy1", at);
    check(call(p + at) == 42 && in_child(p + at) == 42, "runs when the file is other");
    attack(fd, p, p + at, size);
    check(mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES,
          "the changed file is not");
    ftruncate(fd, 100);
    attack(fd, p, p + at, size);
    ftruncate(fd, 8 << 20);
    attack(fd, p, p + at, size);

    /* growing takes in pages that have to be verified */
    lseek(fd, 0, SEEK_SET);
    fd = copy_of_this("/tmp/copy2");
    p = mmap((void *)0x30000000, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, at & ~(long)(PAGE - 1));
    check(p != MAP_FAILED && call(p + at % PAGE) == 42, "one page");
    q = mremap(p, PAGE, 2 * PAGE, 0);
    check(q == p && call(p + at % PAGE) == 42, "grows");
    change(fd, "/tmp/copy2", (at & ~(long)(PAGE - 1)) + 2 * PAGE);
    q = mremap(p, 2 * PAGE, 3 * PAGE, 0);
    check(q == MAP_FAILED && errno == EACCES, "not over changed bytes");
    check(call(p + 2 * PAGE) == -SIGSEGV, "nothing there");
    q = mremap(p, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    check(q == MAP_FAILED || call(q + 2 * PAGE) < 0, "nor elsewhere");

    /* first mapped, then changed, then made executable */
    fd = copy_of_this("/tmp/copy3");
    p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    change(fd, "/tmp/copy3", at);
    check(mprotect(p, size, PROT_READ | PROT_EXEC) == -1 && call(p + at) == -SIGSEGV, "changed before mprotect");
    fd = copy_of_this("/tmp/copy4");
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    memcpy(p + at, made, sizeof made);
    check(mprotect(p, size, PROT_READ | PROT_EXEC) == -1 && call(p + at) == -SIGSEGV, "written before mprotect");
    check(mprotect(p, size, PROT_EXEC) == -1 && call(p + at) == -SIGSEGV, "to execute only");
}

/* Files of the image, which are mapped from the artifact. */
static void
base(long at)
{
    static const char victim[] = "/bin/open_undefined";
    int fd = open("/proc/self/exe", O_RDONLY), w;
    long size = ((image_size + PAGE - 1) & ~(long)(PAGE - 1)) + 4 * PAGE;
    char *p = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), *d;
    int status;

    check(p != MAP_FAILED, "the program itself");
    attack(fd, p, p + at, size);

    /* a private mapping of one, written, and the file shortened */
    fd = open(victim, O_RDONLY);
    d = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    p = mmap(NULL, 64 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    memset(d, 5, 64 * PAGE);
    w = open(victim, O_RDWR);
    pwrite(w, "new", 3, 0);
    check(d[0] == 5 && memcmp(p, "new", 3) == 0, "a shared mapping sees the write");
    ftruncate(w, 2 * PAGE);
    fflush(stdout);
    if (fork() == 0)
        _exit(d[0] == 5 && d[2 * PAGE - 1] == 5 && store(d + 2 * PAGE, 1) == SIGBUS ? 1 : 2);
    wait(&status);
    check(status == 1 << 8 && store(d + 2 * PAGE, 1) == SIGBUS && d[PAGE] == 5, "fork after the file became shorter");
    ftruncate(w, 0);
    check(store(d, 1) == SIGBUS, "and empty");
    fflush(stdout);
    if (fork() == 0)
        _exit(store(d, 1));
    wait(&status);
    check(status == SIGBUS << 8, "in a child");
}

int
main(void)
{
    static char stack[1 << 16];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_handler = jump, .sa_flags = SA_ONSTACK | SA_NODEFER};
    long at = (const char *)answer - __ehdr_start;
    int fd = open("/proc/self/exe", O_RDONLY);

    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaltstack(&ss, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    image_size = read(fd, image, sizeof image);
    copies(at);
    base(at);
    if (failures == 0)
        puts("survived");
    return failures != 0;
}
