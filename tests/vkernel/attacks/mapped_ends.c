/* Pages of mappings behind the end of their file, given to calls that copy from them and to them: EFAULT or a short
 * count. The vkernel used to put a writable page where its own copy had faulted, so that stores into read-only mappings
 * went through. The same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
static sigjmp_buf back;

static void
jump(int sig)
{
    siglongjmp(back, sig);
}

static int
store(volatile char *p)
{
    int sig = sigsetjmp(back, 1);

    if (sig == 0)
        *p = 1;
    return sig;
}

static int
load(volatile char *p)
{
    int sig = sigsetjmp(back, 1);

    return sig ? -sig : *p;
}

static void
result(const char *what, long r)
{
    printf("%s: %ld %s\n", what, r, r < 0 ? strerrorname_np(errno) : "");
}

static int
new_file(const char *name, long size)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    ftruncate(fd, size);
    return fd;
}

static void
read_only(void)
{
    int fd = new_file("mapped_ends.tmp", 0), q[2], s[2], status;
    char *p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0), name[8];
    struct iovec v[2] = {{name, 8}, {p, 8}};
    struct stat st;

    pipe(q);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    result("write from behind the end to a pipe", write(q[1], p, 10));
    result("to a socket", send(s[0], p, 10, MSG_DONTWAIT));
    result("to a file", write(fd, p, 10));
    result("open a name there", open(p, O_RDONLY));
    result("stat into it", fstat(fd, (struct stat *)p));
    result("a vector that ends there", writev(fd, v, 2));
    if (fork() == 0)
        _exit(store(p));
    wait(&status);
    printf("a store in a child: %d; in the parent: %d; a load: %d\n", WEXITSTATUS(status), store(p), load(p));
    ftruncate(fd, PAGE + 100);
    result("across the end", write(q[1], p + PAGE, PAGE + 10) > 0);
    result("within its last page", write(q[1], p + PAGE + 200, 8));
    printf("loads: %d %d %d\n", load(p + PAGE - 1), load(p + 2 * PAGE - 1), load(p + 2 * PAGE));
    result("mprotect", mprotect(p, 4 * PAGE, PROT_NONE));
    result("back", mprotect(p, 4 * PAGE, PROT_READ));
    printf("loads: %d %d\n", load(p + PAGE), load(p + 2 * PAGE));
    result("behind, again", write(q[1], p + 3 * PAGE, 8));
    close(fd);
    close(q[0]), close(q[1]), close(s[0]), close(s[1]);
}

static void
writable(int flags)
{
    int fd = new_file("mapped_ends.tmp", PAGE), z = open("/dev/zero", O_RDONLY), u = open("/dev/urandom", O_RDONLY),
        q[2], s[2];
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0), *e = p + PAGE;
    int event = eventfd(3, EFD_NONBLOCK), self = open("/proc/self/stat", O_RDONLY), status;
    char buf[64] = "0123456789";

    memset(p, 7, PAGE);
    pipe(q);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(q[1], buf, 10);
    write(s[1], buf, 10);
    result("getrandom behind the end", getrandom(e, 16, 0));
    result("getrandom across the end", getrandom(e - 16, 32, 0) > 0);
    result("/dev/zero", read(z, e, 16));
    result("/dev/urandom", read(u, e, 16));
    result("/proc", read(self, e, 16));
    result("pipe", read(q[0], e, 10));
    result("socket", recv(s[0], e, 10, 0));
    result("eventfd", read(event, e, 8));
    result("what the pipe still holds", read(q[0], buf, 10));
    result("what the socket still holds", recv(s[0], buf, 10, 0));
    printf("store: %d\n", store(e));
    ftruncate(fd, 3 * PAGE);
    printf("the file grew: %d %d\n", store(e), load(e + PAGE));
    memset(p, 8, 3 * PAGE);
    ftruncate(fd, PAGE);
    if (fork() == 0) {
        printf("in a child: %d %d\n", load(p), load(e));
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    printf("child: %d, parent: %d %d\n", status, load(p), load(e));
    ftruncate(fd, 4 * PAGE);
    printf("grown again: %d %d %d\n", load(p), load(e), store(e));
    munmap(p, 4 * PAGE);
    close(fd), close(z), close(u), close(event), close(self), close(q[0]), close(q[1]), close(s[0]), close(s[1]);
}

/* A read-only shared mapping sees what is written by others, whatever the file's bytes were in before. */
static void
coherent(void)
{
    int fd = new_file("mapped_ends.tmp", 0), ro;
    char *p;

    write(fd, "before", 6);
    ro = open("mapped_ends.tmp", O_RDONLY);
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
    pwrite(fd, "after!", 6, 0);
    printf("%.6s\n", p);
    result("writable", mprotect(p, PAGE, PROT_READ | PROT_WRITE));
    ftruncate(fd, 0);
    printf("%d\n", load(p));
    write(fd, "", 1);
    unlink("mapped_ends.tmp");
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, jump);
    signal(SIGBUS, jump);
    read_only();
    writable(MAP_SHARED);
    writable(MAP_PRIVATE);
    coherent();
    puts("survived");
    return 0;
}
