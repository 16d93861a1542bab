/* Mappings in numbers, sizes and offsets that nobody should ask for. Each used to be one of: the artifact's bytes in
 * front of a mapped file, an object used after it was freed, minutes of work, no descriptor of the host left for
 * anybody. The same on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MANY = 66000 };

static void
result(const char *what, long r)
{
    printf("%s: %s\n", what, r == -1 ? strerrorname_np(errno) : r == 0 ? "0" : "more");
}

/* Sums of an offset and a size that wrap, or leave off_t. */
static void
wrapping(void)
{
    static const unsigned long odd[] = {-4096ul,   -8192ul,  1ul << 63, (1ul << 63) - 4096, (1ul << 63) - 8192,
                                        1ul << 62, 1ul << 51};
    int fd = memfd_create("in", 0);
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    write(fd, "contents", 8);
    for (unsigned k = 0; k < sizeof odd / sizeof odd[0]; k++) {
        unsigned long at = odd[k];

        printf("%lx\n", at);
        result(" mmap of the rest", syscall(SYS_mmap, 0, -at - 1, PROT_READ, MAP_PRIVATE, fd, at));
        result(" mmap of two pages", syscall(SYS_mmap, 0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, at));
        result(" munmap", munmap(page, at));
        result(" mprotect", mprotect(page, at, PROT_READ));
        result(" mremap", (long)mremap(page, PAGE, at, 0));
        result(" mincore", mincore(page, at, (void *)page));
        result(" mlock", mlock(page, at));
        result(" msync", msync(page, at, MS_SYNC));
    }
    close(fd);
}

/* The target of mremap is the only mapping of what it duplicates. */
static void
remap_itself(void)
{
    int fd = open("memory_limits.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    result("shared memory onto itself", (long)mremap(p, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p));
    result("is there", mincore(p, PAGE, (unsigned char[1]){0}));
    ftruncate(fd, 16 * PAGE);
    p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    unlink("memory_limits.tmp");
    p[0] = 1;
    result("a file's onto its middle", (long)mremap(p + PAGE, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE));
    result("a file's onto all", (long)mremap(p, 0, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p));
    for (int k = 0; k < 100; k++) /* for what was freed */
        free(strdup("an object of the same size as another, perhaps, and another, and another"));
    munmap(p, 4 * PAGE);
}

static void
many(int shared)
{
    char **at = malloc(MANY * sizeof *at);
    int k, status;

    for (k = 0; k < MANY; k++) {
        at[k] = mmap(NULL, PAGE, k & 1 ? PROT_READ | PROT_WRITE : PROT_READ,
                     MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
        if (at[k] == MAP_FAILED)
            break;
    }
    /* Linux stops at 65,530; the vkernel may have to stop earlier. */
    printf("%s mappings: %s, %s\n", shared ? "shared" : "private", k > 40000 ? "many" : "few",
           k < MANY ? strerrorname_np(errno) : "no end");
    result("one more split", mprotect(at[k - 1], PAGE, PROT_NONE) + 0);
    for (int i = 0; i < k; i += 2)
        munmap(at[i], PAGE);
    status = open("/dev/null", O_RDONLY);
    result("files can be opened", status > 0);
    close(status);
    for (int i = 1; i < k; i += 2)
        munmap(at[i], PAGE);
    fflush(stdout);
    if (fork() == 0)
        _exit(7);
    wait(&status);
    printf("a child: %d\n", status >> 8);
    free(at);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    wrapping();
    remap_itself();
    many(0);
    many(1);
    puts("survived");
    return 0;
}
