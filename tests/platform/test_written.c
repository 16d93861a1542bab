/* platform_written_pages(): it names exactly the pages that somebody wrote to, of anonymous memory and of a private
 * mapping of a file, however the range lies in the bitmap. Its argument "read" has the host refuse PAGEMAP_SCAN, so
 * that the page map is read instead. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/page.h"
#include "platform/platform.h"

enum { PAGES = 3000 };

void
platform_die(const char *format, ...)
{
    exit(1);
}

static void
fail(const char *what, unsigned page)
{
    printf("%s: page %u\n", what, page);
    exit(1);
}

/* Every seventh page, a long run, and the last page. */
static bool
is_chosen(unsigned page)
{
    return page % 7 == 3 || (page >= 1000 && page < 1700) || page == PAGES - 1;
}

static void
refuse_scan(void)
{
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog all = {.len = sizeof program / sizeof *program, .filter = program};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) < 0)
        fail("no filter", 0);
}

static void
test(const char *what, uint8_t *memory, bool anonymous)
{
    uint16_t bits[(PAGES + 15) / 16];

    for (unsigned i = 0; i < PAGES; i++)
        if (is_chosen(i))
            memory[(size_t)i * PAGE_SIZE] = 1;
    for (unsigned skip = 0; skip < 40; skip += 13) {
        memset(bits, 0x5a, sizeof bits);
        if (platform_written_pages(memory + (size_t)skip * PAGE_SIZE, PAGES - skip, anonymous, bits) != 0)
            fail("the host does not tell", 0);
        for (unsigned i = skip; i < PAGES; i++)
            if ((bits[(i - skip) / 16] >> (i - skip) % 16 & 1) != is_chosen(i))
                fail(what, i);
    }
}

int
main(int argc, char **argv)
{
    const size_t size = (size_t)PAGES * PAGE_SIZE;
    uint8_t *anonymous = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *file;
    int fd = memfd_create("written", 0);
    volatile uint8_t sum = 0;

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return 1;
    file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (anonymous == MAP_FAILED || file == MAP_FAILED || madvise(anonymous, size, MADV_NOHUGEPAGE) < 0)
        return 1;
    for (size_t i = 0; i < size; i += PAGE_SIZE)
        sum += file[i]; /* what is only read is there, and not written */
    platform_open_files(false);
    if (argc > 1)
        refuse_scan();
    test("anonymous", anonymous, true);
    test("asked as if it were a file", anonymous, false);
    test("file", file, false);
    return 0;
}
