/* mmap, munmap, mprotect, mremap, madvise, msync, mincore, mlock, brk, memfd. */
#include "case.h"

#include <setjmp.h>
#include <sys/prctl.h>

enum { PAGE = 4096 };

static sigjmp_buf caught;

static void
on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    siglongjmp(caught, signal * 256 + info->si_code);
}

/* What a read, or a write, there does: 0, or the signal and its code. */
static void
touch(const char *what, volatile char *p, bool write)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int r;

    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    r = sigsetjmp(caught, 1);
    if (r == 0) {
        if (write)
            *p = 1;
        else
            (void)*p;
        say("%s: ok", what);
    } else {
        say("%s: signal %d code %d", what, r / 256, r % 256);
    }
}

static char *
pages(int n, int protection)
{
    return mmap(NULL, (size_t)n * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#define FAILS(call) say(#call ": %s", (call) == MAP_FAILED ? strerrorname_np(errno) : "ok")

CASE(mmap_errors)
{
    int fd = make_file("f", "abc"), reader = open("f", O_RDONLY), writer = open("f", O_WRONLY);

    FAILS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1));
    FAILS(mmap((void *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    FAILS(mmap(NULL, SIZE_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(mmap(NULL, (size_t)1 << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0));
    FAILS(mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, writer, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, INT64_MAX & ~4095l));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, 0, fd, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x8000000, fd, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
}

CASE(mmap_of_what)
{
    int fds[2], pair[2];

    pipe(fds);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, pair[0], 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/dev/null", O_RDWR), 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/dev/zero", O_RDWR), 0));
    FAILS(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, open("/dev/zero", O_RDWR), 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/proc/self/stat", O_RDONLY), 0));
}

CASE(mmap_fixed_noreplace)
{
    char *p = pages(2, PROT_READ);

    FAILS(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    munmap(p, PAGE);
    FAILS(mmap(p, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    say("%d", mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p);
    say("%d", mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + PAGE);
}

CASE(mmap_hint_is_taken)
{
    char *p = pages(3, PROT_READ);

    munmap(p, 3 * PAGE);
    say("%d", mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
    say("%d", mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
    say("%d", mmap(p + PAGE + 5, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p + PAGE);
}

CASE(mmap_access)
{
    char *r = pages(1, PROT_READ), *w = pages(1, PROT_WRITE), *none = pages(1, PROT_NONE);

    touch("read of readable", r, false);
    touch("write to readable", r, true);
    touch("write to writable", w, true);
    touch("read of writable", w, false);
    touch("read of none", none, false);
    munmap(r, PAGE);
    touch("read of unmapped", r, false);
}

CASE(mmap_past_the_end)
{
    int fd = make_file("f", "abc");
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    say("%d", p[3]);
    touch("first page", p + PAGE - 1, false);
    touch("second page", p + PAGE, false);
    ftruncate(fd, 2 * PAGE);
    touch("second page", p + PAGE, false);
    ftruncate(fd, 0);
    touch("first page", p, false);
}

CASE(mmap_private_and_shared)
{
    int fd = make_file("f", "abc");
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0),
         *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), c;

    s[0] = 'S';
    say("%c", p[0]);
    p[1] = 'P';
    pread(fd, &c, 1, 1);
    say("%c %c", c, s[1]);
    pwrite(fd, "xyz", 3, 0);
    say("%.3s %c", s, p[1]);
}

CASE(mmap_outlives_its_descriptor)
{
    int fd = make_file("f", "abc");
    char *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), buf[4] = "";

    close(fd);
    s[0] = 'X';
    fd = open("f", O_RDONLY);
    read(fd, buf, 3);
    say("%s", buf);
    unlink("f");
    say("%c", s[1]);
}

CASE(munmap_answers)
{
    char *p = pages(3, PROT_READ);

    SHOW(munmap(p + 1, PAGE));
    SHOW(munmap(p, 0));
    SHOW(munmap(p + PAGE, 1));
    touch("first", p, false);
    touch("second", p + PAGE, false);
    touch("third", p + 2 * PAGE, false);
    SHOW(munmap(p, 3 * PAGE));
    SHOW(munmap(p, 3 * PAGE));
    SHOW(munmap((void *)0x7ffffffff000, PAGE));
    SHOW(munmap(p, SIZE_MAX & ~4095ul));
}

CASE(mprotect_answers)
{
    char *p = pages(3, PROT_READ | PROT_WRITE);

    munmap(p + PAGE, PAGE);
    SHOW(mprotect(p + 1, PAGE, PROT_READ));
    SHOW(mprotect(p, 0, PROT_READ));
    SHOW(mprotect(p, 1, 0x40));
    SHOW(mprotect(p, 3 * PAGE, PROT_READ));
    touch("first", p, true);
    touch("third", p + 2 * PAGE, true);
    SHOW(mprotect(p + PAGE, PAGE, PROT_READ));
    SHOW(mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
    SHOW(mprotect(p, PAGE, PROT_READ | PROT_GROWSUP));
    SHOW(mprotect(p, SIZE_MAX & ~4095ul, PROT_READ));
}

CASE(mprotect_of_files)
{
    make_file("f", "abc");
    int reader = open("f", O_RDONLY);
    char *s = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0),
         *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);

    SHOW(mprotect(s, PAGE, PROT_READ | PROT_WRITE));
    SHOW(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
    SHOW(mprotect(s, PAGE, PROT_NONE));
}

CASE(mremap_grows_and_shrinks)
{
    char *p = pages(3, PROT_READ | PROT_WRITE), *q;

    p[0] = 'a', p[PAGE] = 'b';
    say("%d", mremap(p, 3 * PAGE, 2 * PAGE, 0) == p);
    touch("third", p + 2 * PAGE, false);
    say("%d", mremap(p, 2 * PAGE, 3 * PAGE, 0) == p);
    q = mremap(p, 3 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
    say("%c %c %d", q[0], q[PAGE], q[99 * PAGE]);
}

CASE(mremap_errors)
{
    char *p = pages(4, PROT_READ | PROT_WRITE), *q = pages(4, PROT_READ);

    FAILS(mremap(p + 1, PAGE, PAGE, 0));
    FAILS(mremap(p, PAGE, 0, 0));
    FAILS(mremap(p, PAGE, PAGE, 8));
    FAILS(mremap(p, PAGE, PAGE, MREMAP_FIXED, q));
    FAILS(mremap(p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, q + 1));
    FAILS(mremap(p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, p));
    FAILS(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, p + PAGE));
    FAILS(mremap(p, PAGE, 2 * PAGE, 0));
    FAILS(mremap(p, 0, PAGE, MREMAP_MAYMOVE));
    munmap(p, PAGE);
    FAILS(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    mprotect(p + 2 * PAGE, PAGE, PROT_READ);
    FAILS(mremap(p + PAGE, 3 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
}

CASE(mremap_fixed_moves)
{
    char *p = pages(2, PROT_READ | PROT_WRITE), *q = pages(2, PROT_READ);

    p[0] = 'a';
    say("%d", mremap(p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, q) == q);
    say("%c", q[0]);
    touch("where it was", p, false);
    touch("moved", q, true);
}

CASE(mremap_dontunmap)
{
    char *p = pages(1, PROT_READ | PROT_WRITE), *q;

    p[0] = 'a';
    q = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    say("%d %c %d", q != p, q[0], p[0]);
    FAILS(mremap(p, PAGE, PAGE, MREMAP_DONTUNMAP));
    FAILS(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
}

CASE(mremap_of_nothing_copies_shared)
{
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *q;

    p[0] = 'a';
    q = mremap(p, 0, PAGE, MREMAP_MAYMOVE);
    q[0] = 'b';
    say("%c", p[0]);
}

CASE(madvise_answers)
{
    char *p = pages(3, PROT_READ | PROT_WRITE);

    p[0] = 'a', p[PAGE] = 'b';
    SHOW(madvise(p, PAGE, MADV_DONTNEED));
    say("%d %c", p[0], p[PAGE]);
    SHOW(madvise(p + 1, PAGE, MADV_DONTNEED));
    SHOW(madvise(p, 0, MADV_DONTNEED));
    SHOW(madvise(p, PAGE, 9999));
    SHOW(madvise(p + 1, 0, 9999));
    SHOW(madvise(p, PAGE, MADV_WILLNEED));
    SHOW(madvise(p, PAGE, MADV_SEQUENTIAL));
    SHOW(madvise(p, PAGE, MADV_FREE));
    SHOW(madvise(p, PAGE, MADV_REMOVE));
    SHOW(madvise(p, PAGE, MADV_DONTFORK));
    SHOW(madvise(p, PAGE, MADV_DOFORK));
    SHOW(madvise(p, PAGE, MADV_DONTDUMP));
    SHOW(madvise(p, PAGE, MADV_POPULATE_READ));
    SHOW(madvise(p, PAGE, MADV_POPULATE_WRITE));
    munmap(p + PAGE, PAGE);
    p[2 * PAGE] = 'c';
    SHOW(madvise(p, 3 * PAGE, MADV_DONTNEED));
    say("%d", p[2 * PAGE]);
    SHOW(madvise(p, 3 * PAGE, MADV_POPULATE_READ));
    mprotect(p, PAGE, PROT_READ);
    SHOW(madvise(p, PAGE, MADV_POPULATE_WRITE));
}

CASE(madvise_of_files)
{
    int fd = make_file("f", "abc");
    char *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
         *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    s[0] = 'X', p[1] = 'Y';
    SHOW(madvise(s, PAGE, MADV_DONTNEED));
    SHOW(madvise(p, PAGE, MADV_DONTNEED));
    say("%c %c", s[0], p[1]);
    SHOW(madvise(s, PAGE, MADV_FREE));
    SHOW(madvise(s, PAGE, MADV_REMOVE));
    say("%d", s[0]);
    SHOW(madvise(p, PAGE, MADV_WIPEONFORK));
}

static int
show_bytes(void *p)
{
    say("child sees %d", *(char *)p);
    return 0;
}

CASE(madvise_for_fork)
{
    char *wiped = pages(1, PROT_READ | PROT_WRITE), *left = pages(1, PROT_READ | PROT_WRITE);

    *wiped = 1, *left = 1;
    SHOW(madvise(wiped, PAGE, MADV_WIPEONFORK));
    SHOW(madvise(left, PAGE, MADV_DONTFORK));
    say_end("wiped", child(show_bytes, wiped));
    say_end("left out", child(show_bytes, left));
    SHOW(madvise(wiped, PAGE, MADV_KEEPONFORK));
    say_end("kept", child(show_bytes, wiped));
}

CASE(msync_answers)
{
    int fd = make_file("f", "abc");
    char *s = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    SHOW(msync(s, PAGE, MS_SYNC));
    SHOW(msync(s, PAGE, MS_ASYNC));
    SHOW(msync(s, PAGE, MS_ASYNC | MS_SYNC));
    SHOW(msync(s, PAGE, 8));
    SHOW(msync(s + 1, PAGE, MS_SYNC));
    SHOW(msync(s, 0, MS_SYNC));
    munmap(s + PAGE, PAGE);
    SHOW(msync(s, 2 * PAGE, MS_SYNC));
    SHOW(msync(s + PAGE, PAGE, MS_SYNC));
    mlock(s, PAGE);
    SHOW(msync(s, PAGE, MS_INVALIDATE));
}

CASE(mincore_answers)
{
    char *p = pages(3, PROT_READ | PROT_WRITE);
    unsigned char v[3] = {9, 9, 9};

    p[PAGE] = 1;
    SHOW(mincore(p, 3 * PAGE, v));
    say("%d %d %d", v[0], v[1], v[2]);
    SHOW(mincore(p + 1, PAGE, v));
    SHOW(mincore(p, PAGE, (void *)-1));
    SHOW(mincore(p, 0, v));
    munmap(p + 2 * PAGE, PAGE);
    SHOW(mincore(p, 3 * PAGE, v));
    SHOW(mincore(p, PAGE, NULL));
}

CASE(mlock_answers)
{
    char *p = pages(3, PROT_READ | PROT_WRITE);

    SHOW(mlock(p, PAGE));
    SHOW(mlock(p + 5, PAGE));
    SHOW(munlock(p, 2 * PAGE));
    SHOW(mlock(p, 0));
    SHOW(mlock2(p, PAGE, MLOCK_ONFAULT));
    SHOW(mlock2(p, PAGE, 8));
    SHOW(mlockall(0));
    SHOW(mlockall(16));
    SHOW(mlockall(MCL_ONFAULT));
    SHOW(munlockall());
    munmap(p + PAGE, PAGE);
    SHOW(mlock(p, 3 * PAGE));
    SHOW(munlock(p, 3 * PAGE));
}

CASE(mlock_as_user)
{
    char *p = pages(8, PROT_READ | PROT_WRITE);

    setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){2 * PAGE, 2 * PAGE});
    become(1000);
    SHOW(mlock(p, 2 * PAGE));
    SHOW(mlock(p, 2 * PAGE));
    SHOW(mlock(p + 2 * PAGE, PAGE));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    SHOW(munlock(p, PAGE));
    SHOW(mlock(p + 2 * PAGE, PAGE));
    setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0});
    SHOW(mlock(p, PAGE));
    SHOW(mlockall(MCL_FUTURE));
}

CASE(brk_moves)
{
    char *start = (char *)syscall(SYS_brk, 0), *end;

    end = (char *)syscall(SYS_brk, start + 3 * PAGE);
    say("%ld", (long)(end - start));
    start[3 * PAGE - 1] = 1;
    say("%ld", (long)((char *)syscall(SYS_brk, 1) - start));
    say("%ld", (long)((char *)syscall(SYS_brk, -1L) - start));
    end = (char *)syscall(SYS_brk, start);
    say("%ld", (long)(end - start));
}

CASE(mmap_of_fork_is_copied)
{
    char *p = pages(1, PROT_READ | PROT_WRITE),
         *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();

    if (pid == 0) {
        *p = 1, *s = 1;
        _exit(0);
    }
    say_end("child", pid);
    say("%d %d", *p, *s);
}

CASE(mmap_executable_after_noexec)
{
    char *p = pages(1, PROT_READ | PROT_WRITE);
    int (*f)(void) = (int (*)(void))p;
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    p[0] = (char)0xc3;
    sigaction(SIGSEGV, &act, NULL);
    int r = sigsetjmp(caught, 1);
    if (r == 0)
        f();
    say("signal %d code %d", r / 256, r % 256);
}
