/* remap_file_pages: parts of a file or of shared memory in another order. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void
show(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
}

static long
remap(void *at, unsigned long size, unsigned long prot, unsigned long page, unsigned long flags)
{
    return syscall(SYS_remap_file_pages, at, size, prot, page, flags);
}

static void
letters(const char *what, const char *a, int n)
{
    printf("%s: ", what);
    for (int k = 0; k < n; k++)
        putchar(a[k * PAGE] ? a[k * PAGE] : '-');
    putchar('\n');
}

static void
both(const char *what, char *a, char *other)
{
    printf("%s\n", what);
    for (int k = 0; k < 8; k++)
        a[k * PAGE] = 'a' + k;
    show("two pages", remap(a, 2 * PAGE, 0, 4, 0));
    letters("now", a, 8);
    show("the last one first", remap(a + 7 * PAGE, PAGE, 0, 0, 0)), letters("now", a, 8);
    a[0] = 'E';
    letters("one file", a, 8);
    show("over borders", remap(a, 4 * PAGE, 0, 1, MAP_NONBLOCK)), letters("now", a, 8);
    show("where it was", remap(a, 8 * PAGE, 0, 0, 0)), letters("now", a, 8);
    show("part of a page", remap(a + 5, PAGE + 77, 0, 3, 0)), letters("now", a, 8);
    show("a protection", remap(a, PAGE, PROT_READ, 0, 0)), show("nothing", remap(a, 0, 0, 0, 0)),
        show("less than a page", remap(a, 100, 0, 0, 0));
    show("wraps", remap(a, -4096ul, 0, 0, 0)), show("far", remap(a, PAGE, 0, -1ul, 0)),
        show("farther", remap(a, 2 * PAGE, 0, (1ul << 52) - 1, 0));
    show("private", remap(other, PAGE, 0, 0, 0)), show("not mapped", remap((void *)(16l << 20), PAGE, 0, 0, 0));
    show("beyond", remap(a, 9 * PAGE, 0, 0, 0));
}

int
main(void)
{
    int f = memfd_create("remap", 0);
    char *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *a;

    setvbuf(stdout, NULL, _IOLBF, 0);
    a = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* what is behind is nobody's else */
    ftruncate(f, 8 * PAGE);
    mmap(a, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f, 0);
    both("a file", a, other);
    mmap(a, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    both("shared memory", a, other);
    return 0;
}
