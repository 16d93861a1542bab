/* mseal: what may no longer be done to sealed memory, and what may. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void
show(const char *what, long r)
{
    printf("%s: %s\n", what, r == -1 ? strerrorname_np(errno) : "ok");
}

static long
seal(void *at, unsigned long size, unsigned long flags)
{
    return syscall(462, at, size, flags);
}

static char *
pages(int n, int prot)
{
    return mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
arguments(void)
{
    char *a = pages(8, PROT_READ | PROT_WRITE);

    show("flags", seal(a, PAGE, 1)), show("not aligned", seal(a + 1, PAGE, 0)), show("nothing", seal(a, 0, 0));
    show("wraps", seal(a, -1ul, 0)), show("not mapped", seal((void *)(16l << 20), PAGE, 0));
    munmap(a + 4 * PAGE, PAGE);
    show("a hole", seal(a, 8 * PAGE, 0));
    show("nothing is sealed by that", munmap(a, 8 * PAGE));
}

static void
changes(void)
{
    char *a = pages(8, PROT_READ | PROT_WRITE), *b = a + 2 * PAGE, *free_place = pages(4, PROT_READ);

    memset(a, 'a', 8 * PAGE);
    show("sealed", seal(b, 2 * PAGE - 100, 0)), show("twice", seal(b, 2 * PAGE, 0));
    show("unmap", munmap(b, PAGE)), show("with what is around", munmap(a, 8 * PAGE)),
        show("behind", munmap(a + 7 * PAGE, PAGE));
    show("protect", mprotect(b, PAGE, PROT_READ)), show("protect around", mprotect(a + 4 * PAGE, PAGE, PROT_READ));
    show("protect as it is", mprotect(b, PAGE, PROT_READ | PROT_WRITE));
    show("over it", (long)mmap(b, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    show("larger, over it", (long)mmap(a, 6 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    show("move", (long)mremap(b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place));
    show("move onto", (long)mremap(free_place, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b));
    show("shrink", (long)mremap(b, 2 * PAGE, PAGE, 0)),
        show("grow", (long)mremap(b, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE));
    show("discard what can be written", madvise(b, PAGE, MADV_DONTNEED));
    b[0] = 'b';
    printf("%c %d %c\n", b[0], b[1], b[PAGE]);
    show("lock", mlock(b, PAGE)), show("unlock", munlock(b, PAGE));
    fflush(stdout);
    if (fork() == 0) {
        show("a child's", munmap(b, PAGE));
        fflush(stdout), _exit(0);
    }
    wait(NULL);
}

static void
advice(void)
{
    char *a = pages(4, PROT_READ | PROT_WRITE);
    int f = open("/proc/self/exe", O_RDONLY);
    char *m = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, f, 0);

    memset(a, 'a', 4 * PAGE);
    mprotect(a, 4 * PAGE, PROT_READ);
    show("sealed", seal(a, 4 * PAGE, 0)), show("a file", seal(m, PAGE, 0));
    show("discard", madvise(a, PAGE, MADV_DONTNEED)), show("free", madvise(a, PAGE, MADV_FREE));
    show("not in a fork", madvise(a, PAGE, MADV_DONTFORK)), show("wiped", madvise(a, PAGE, MADV_WIPEONFORK));
    show("will need", madvise(a, PAGE, MADV_WILLNEED)), show("cold", madvise(a, PAGE, 20));
    show("a file's discard", madvise(m, PAGE, MADV_DONTNEED));
    printf("%c\n", a[0]);
}

static void
breaks(void)
{
    char *now = sbrk(0), *page;

    sbrk(8 * PAGE);
    page = (char *)(((unsigned long)now + PAGE - 1) & -(unsigned long)PAGE);
    show("sealed", seal(page + 2 * PAGE, PAGE, 0));
    printf("the break goes back: %d\n", syscall(SYS_brk, now) == (long)now);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    arguments();
    changes();
    advice();
    breaks();
    return 0;
}
