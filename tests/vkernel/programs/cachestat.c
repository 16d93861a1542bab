/* cachestat of files in memory: which pages count, and what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t range[2], result[5];

static void
show(const char *what, int fd, uint64_t offset, uint64_t length, unsigned flags)
{
    long r;

    range[0] = offset, range[1] = length;
    r = syscall(451, fd, range, result, flags);
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: cached %llu dirty %llu writeback %llu\n", what, (unsigned long long)result[0],
               (unsigned long long)result[1], (unsigned long long)result[2]);
}

int
main(void)
{
    int f = memfd_create("cachestat", 0), p[2], path = open("/", O_PATH);
    char page[4096] = "x";

    setvbuf(stdout, NULL, _IOLBF, 0);
    show("empty", f, 0, 0, 0);
    write(f, "x", 1);
    show("one byte", f, 0, 0, 0);
    ftruncate(f, 1 << 20);
    for (int k = 0; k < 40; k++)
        pwrite(f, page, 4096, k * 8192l);
    show("every second page", f, 0, 0, 0), show("the first ten", f, 0, 40960, 0),
        show("one byte of the third", f, 8192 + 7, 1, 0);
    show("a hole", f, 4096, 4096, 0), show("over a border", f, 8191, 2, 0), show("behind the end", f, 1 << 21, 4096, 0);
    show("to the end", f, 4096, 0, 0), show("more than there is", f, 0, 1ull << 40, 0);
    ftruncate(f, 100);
    show("cut", f, 0, 0, 0);
    ftruncate(f, 1 << 20);
    show("made longer", f, 0, 0, 0);
    show("flags", f, 0, 0, 1), show("closed", 99, 0, 0, 0), show("a path", path, 0, 0, 0);
    pipe(p);
    show("a pipe", p[0], 0, 0, 0);
    printf("range nowhere: %s\n", syscall(451, f, 8, result, 0) < 0 ? strerrorname_np(errno) : "ok");
    printf("result nowhere: %s\n", syscall(451, f, range, 8, 0) < 0 ? strerrorname_np(errno) : "ok");
    if (geteuid() == 0) {
        int exe = open("/proc/self/exe", O_RDONLY);

        if (fork() == 0) {
            setuid(12345);
            show("another's file", exe, 0, 0, 0);
            _exit(0);
        }
        wait(NULL);
    }
    return 0;
}
