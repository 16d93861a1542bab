/* platform_move(): pages go as they are, and what cannot go as a whole stays, also where the host (from Linux 6.17 on)
 * has moved one of several mappings before it refused the next. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/page.h"
#include "platform/platform.h"

enum { PAGES = 1030 }; /* more than are looked at in one step */

void
platform_die(const char *format, ...)
{
    printf("%s\n", format);
    exit(1);
}

static void
expect(const char *what, bool holds)
{
    if (holds)
        return;
    printf("%s\n", what);
    exit(1);
}

/* Each page has its number; the last ones are a mapping of the file, which the host does not move along with another
 * one. */
static void
fill(uint8_t *from, int fd)
{
    expect("no memory", platform_map_anon(from, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE) == 0);
    if (fd >= 0)
        expect("no mapping", platform_map_file(from + (PAGES - 2) * PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
                                               false, fd, 0) == 0);
    for (unsigned i = 0; i < PAGES; i++)
        memcpy(from + i * PAGE_SIZE, &i, sizeof i);
}

static void
check(const char *what, const uint8_t *at)
{
    for (unsigned i = 0; i < PAGES; i++)
        expect(what, memcmp(at + i * PAGE_SIZE, &i, sizeof i) == 0);
}

/* Nothing can be accessed there, but it is mapped. */
static bool
is_none(uint8_t *at)
{
    unsigned char vec[PAGES];

    return mincore(at, PAGES * PAGE_SIZE, vec) == 0 && madvise(at, PAGES * PAGE_SIZE, 22 /* MADV_POPULATE_READ */) < 0;
}

int
main(void)
{
    int fd = open("/dev/zero", O_RDWR), r;
    uint8_t *from = platform_reserve(PAGES * PAGE_SIZE), *to = platform_reserve(PAGES * PAGE_SIZE);

    expect("no file", fd >= 0 && from && to);
    fill(from, -1);
    expect("it does not move", platform_move(from, to, PAGES * PAGE_SIZE) == 0);
    check("moved pages are others", to);
    expect("the old place can be accessed", is_none(from));
    expect("it does not move back", platform_move(to, from, PAGES * PAGE_SIZE) == 0);
    check("pages that were moved back are others", from);
    fill(from, fd);
    r = platform_move(from, to, PAGES * PAGE_SIZE);
    check("it moves a part, or all and says otherwise", r == 0 ? to : from);
    expect("the other place can be accessed", is_none(r == 0 ? from : to));
    expect("another error", r == 0 || r == -EFAULT);
    return 0;
}
