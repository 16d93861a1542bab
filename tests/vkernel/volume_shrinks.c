/* See volume_shrinks.py. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, WINDOW = PAGES * PAGE, OTHERS = 12 };
extern const char __ehdr_start[];
static sigjmp_buf back;
static unsigned state = 1;
static long good, bad, bus;
static pid_t others[OTHERS]; /* have the same mappings in address spaces around */

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

static unsigned
draw(unsigned n)
{
    state = state * 1103515245 + 12345;
    return (state >> 8) % n;
}

/* A short count and EFAULT are right; another error is not, but for a send whose page went in the middle of its
 * copy. */
static void
count(const char *call, long r)
{
    if (r == -1 && errno != EFAULT && errno != EAGAIN && errno != ENOBUFS) {
        printf("%s: %s\n", call, strerrorname_np(errno));
        exit(1);
    }
    if (r == -1)
        bad++;
    else
        good++;
}

static void
copies(char *p, int q[2], int s[2], int fd, int zero)
{
    char drain[65536];
    size_t n = 1 + draw(3 * PAGE);
    char *at = p + draw(WINDOW - n);

    count("write to a pipe", write(q[1], at, n));
    count("read from a pipe", read(q[0], at, n));
    count("send", send(s[0], at, n, MSG_DONTWAIT));
    count("recv", recv(s[1], at, n, MSG_DONTWAIT));
    count("pwrite", pwrite(fd, at, n, draw(100000)));
    count("pread", pread(fd, at, n, 0));
    count("read of zeros", read(zero, at, n));
    count("getrandom", getrandom(at, n, 0));
    count("fstat", fstat(fd, (struct stat *)at));
    count("writev", writev(fd, (struct iovec[]){{at, n / 2}, {p, n}}, 2));
    if (open(at, O_RDONLY) == -1 && errno != EFAULT && errno != ENOENT && errno != ENAMETOOLONG)
        exit(2);
    lseek(fd, 0, SEEK_SET);
    while (read(q[0], drain, sizeof drain) > 0)
        ;
    while (recv(s[1], drain, sizeof drain, MSG_DONTWAIT) > 0)
        ;
}

static void
touch(char *p)
{
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)(p + draw(WINDOW)) += 1;
        good++;
    } else {
        bus++;
    }
}

int
main(int argc, char **argv)
{
    time_t end = time(NULL) + atoi(argv[1]);
    int data = open("/v/data", O_RDWR), code = open("/v/code", O_RDONLY), fd = memfd_create("m", 0),
        zero = open("/dev/zero", O_RDONLY), q[2], s[2];
    char *shared = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
    char *private = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE, data, 0);
    char *text = mmap(NULL, 4 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, code, 0);
    int (*in_text)(void) = (int (*)(void))(text + ((const char *)answer - __ehdr_start));

    pipe2(q, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    signal(SIGBUS, jump);
    signal(SIGSEGV, jump);
    if (text == MAP_FAILED || shared == MAP_FAILED || private == MAP_FAILED)
        return 3;
    for (int k = 0; k < OTHERS; k++)
        if ((others[k] = fork()) == 0)
            for (;;)
                pause();
    close(open("/v/ready", O_CREAT | O_WRONLY, 0600));
    while (time(NULL) < end) {
        for (int k = 0; k < 20; k++) {
            copies(draw(2) ? shared : private, q, s, fd, zero);
            touch(draw(2) ? shared : private);
        }
        if (in_text() != 42) {
            puts("other code");
            return 4;
        }
        if (draw(8) == 0) {
            int status;

            if (fork() == 0) {
                touch(private);
                copies(shared, q, s, fd, zero);
                _exit(in_text());
            }
            wait(&status);
            if (status != 42 << 8) {
                printf("child: %x\n", status);
                return 5;
            }
        }
        ftruncate(fd, 100000);
    }
    for (int k = 0; k < OTHERS; k++)
        kill(others[k], SIGKILL);
    printf("%s %s %s\n", good > 1000 ? "many" : "few", bad > 10 ? "refused" : "never refused",
           bus > 10 ? "faults" : "no faults");
    puts("survived");
    return 0;
}
