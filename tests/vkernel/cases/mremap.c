/* mremap over several mappings, and to where something is. */
#include "case.h"

enum { PAGE = 4096 };

static char *
pages(int n, int prot)
{
    char *m = mmap(NULL, (size_t)n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (int k = 0; k < n; k++)
        m[k * PAGE] = (char)('a' + k);
    if (prot != (PROT_READ | PROT_WRITE))
        mprotect(m, (size_t)n * PAGE, prot);
    return m;
}

static void
say_pages(const char *m, int n)
{
    unsigned char there;

    for (int k = 0; k < n; k++)
        printf("%c", mincore((void *)(m + k * PAGE), PAGE, &there) < 0 ? '-' : m[k * PAGE]);
    printf("\n");
}

CASE(two_mappings_cannot_grow)
{
    char *m = pages(16, PROT_READ | PROT_WRITE);

    mprotect(m + PAGE, PAGE, PROT_READ);
    SHOW(mremap(m, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    SHOW(mremap(m, 2 * PAGE, PAGE, 0) == m);
    say_pages(m, 3);
}

CASE(two_mappings_move)
{
    char *m = pages(4, PROT_READ | PROT_WRITE), *to = pages(8, PROT_NONE);

    mprotect(m + PAGE, PAGE, PROT_READ);
    SHOW(mremap(m, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * PAGE) == to + 2 * PAGE);
    say_pages(to + 2 * PAGE, 4);
    say_pages(m, 4);
    SHOW(write(open("f", O_RDWR | O_CREAT, 0600), to + 3 * PAGE, 1));
    SHOW(read(open("/dev/zero", O_RDONLY), to + 3 * PAGE, 1));
    SHOW(read(open("/dev/zero", O_RDONLY), to + 4 * PAGE, 1));
}

CASE(mappings_move_over_a_hole)
{
    char *m = pages(5, PROT_READ | PROT_WRITE), *to = pages(5, PROT_READ | PROT_WRITE);

    munmap(m + 2 * PAGE, PAGE);
    SHOW(mremap(m, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    say_pages(to, 5);
    say_pages(m, 5);
}

CASE(a_hole_cannot_be_first)
{
    char *m = pages(3, PROT_READ | PROT_WRITE), *to = pages(3, PROT_READ | PROT_WRITE);

    munmap(m, PAGE);
    SHOW(mremap(m, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
}

CASE(errors)
{
    char *m = pages(8, PROT_READ | PROT_WRITE);

    SHOW(mremap(m, PAGE, PAGE, MREMAP_FIXED, m + 4 * PAGE) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    SHOW(mremap(m, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, m + PAGE) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    SHOW(mremap(m + 1, PAGE, PAGE, 0) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    SHOW(mremap(m, PAGE, 0, 0) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    SHOW(mremap(m, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    SHOW(mremap(m, PAGE, PAGE, 8) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
}

static int
execute(void *file)
{
    char *const arguments[] = {"cases", "nothing_of_this_name", NULL}, *const environment[] = {NULL};
    int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("program", MFD_CLOEXEC);
    char bytes[65536];
    ssize_t n;

    while ((n = read(from, bytes, sizeof bytes)) > 0)
        write(to, bytes, (size_t)n);
    syscall(SYS_execveat, to, "", arguments, environment, AT_EMPTY_PATH);
    say("%s", strerrorname_np(errno));
    return 1;
}

/* Who made it may still write there, and yet it is executed. */
CASE(memfd_is_executed)
{
    say_end("program", child(execute, NULL));
}

static void
seal(char *at, size_t size)
{
    enum { MSEAL = 462 };

    SHOW(syscall(MSEAL, at, size, 0));
}

CASE(sealed_mapping_is_not_cut_off)
{
    char *m = pages(6, PROT_READ | PROT_WRITE);

    mprotect(m + 2 * PAGE, 2 * PAGE, PROT_READ);
    seal(m + 2 * PAGE, 2 * PAGE);
    SHOW(mremap(m, 6 * PAGE, PAGE, 0) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    say_pages(m, 6);
    SHOW(mremap(m, 2 * PAGE, PAGE, 0) == m);
    say_pages(m, 1);
}

CASE(sealed_mapping_does_not_move_with_others)
{
    char *m = pages(6, PROT_READ | PROT_WRITE), *to = pages(6, PROT_READ | PROT_WRITE);

    mprotect(m + 2 * PAGE, 2 * PAGE, PROT_READ);
    seal(m + 2 * PAGE, 2 * PAGE);
    SHOW(mremap(m, 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
    say_pages(to, 6);
    say_pages(m + 2 * PAGE, 4);
}
