/* MAP_GROWSDOWN: what is mapped grows where it is accessed below. */
#include "case.h"

enum { PAGE = 4096, GAP = 256 * PAGE };

static char *
growing(size_t room, size_t size)
{
    char *m = mmap(NULL, room + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    munmap(m, room + size);
    return mmap(m + room, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
}

static int
write_at(void *at)
{
    *(volatile char *)at = 7;
    return *(volatile char *)at;
}

static int
read_at(void *at)
{
    return *(volatile char *)at;
}

static int
call_at(void *at)
{
    int fd = make_file("bytes", "0123456789");

    say("read %ld %s", (long)pread(fd, at, 4, 0), (char *)at);
    return 0;
}

CASE(grows_by_an_access)
{
    char *m = growing(4 * GAP, 2 * PAGE);

    say_end("write just below", child(write_at, m - 8));
    say_end("read just below", child(read_at, m - 8));
    say_end("write far below", child(write_at, m - GAP));
    say_end("read above", child(read_at, m + 2 * PAGE - 1));
}

CASE(grows_by_a_call)
{
    say_end("pread", child(call_at, growing(4 * GAP, PAGE) - 3 * PAGE));
}

CASE(others_do_not_grow)
{
    char *m = growing(4 * GAP, 2 * PAGE);

    mmap(m, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    say_end("below", child(write_at, m - 8));
}

CASE(keeps_a_gap)
{
    char *m = growing(2 * GAP, PAGE), *below = m - GAP - 2 * PAGE;

    mmap(below, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    say_end("up to the gap", child(write_at, m - PAGE));
    say_end("into the gap", child(write_at, m - 2 * PAGE));
    mprotect(below, PAGE, PROT_NONE);
    say_end("where nothing is accessible", child(write_at, m - 2 * PAGE));
}

CASE(ends_at_the_limit_of_the_stack)
{
    char *m = growing(4 * GAP, PAGE);

    setrlimit(RLIMIT_STACK, &(struct rlimit){16 * PAGE, RLIM_INFINITY});
    say_end("within", child(write_at, m - 15 * PAGE));
    say_end("beyond", child(write_at, m - 16 * PAGE));
}

CASE(flags)
{
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) == MAP_FAILED);
    say("%s", strerrorname_np(errno));
}

CASE(mprotect_from_the_beginning)
{
    char *m = growing(4 * GAP, 4 * PAGE), *plain;

    SHOW(mprotect(m + 2 * PAGE, PAGE, PROT_READ | PROT_GROWSDOWN));
    say_end("write at the beginning", child(write_at, m));
    say_end("write behind", child(write_at, m + 3 * PAGE));
    plain = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(mprotect(plain, PAGE, PROT_READ | PROT_GROWSDOWN));
    SHOW(mprotect(plain, PAGE, PROT_READ | PROT_GROWSUP));
    SHOW(mprotect(plain, PAGE, PROT_READ | PROT_GROWSUP | PROT_GROWSDOWN));
}
