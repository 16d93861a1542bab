/* Address space calls, and what fork does to them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
static int failures;

static void
check(int ok, const char *what)
{
    printf("%s: %s\n", what, ok ? "ok" : "FAILED");
    failures += !ok;
}

static void
anonymous(void)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
    unsigned char vec[8];

    p[0] = 1;
    p[7 * PAGE] = 2;
    check(munmap(p + 2 * PAGE, 2 * PAGE) == 0, "hole");
    q = mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    check(q == p + 2 * PAGE && q[5] == 0, "fill hole");
    check(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
              errno == EEXIST,
          "noreplace");
    check(mprotect(p, 4 * PAGE, PROT_READ) == -1 && errno == ENOMEM, "protect over a hole");
    check(madvise(p, PAGE, MADV_DONTNEED) == 0 && p[0] == 0, "dontneed");
    check(mincore(p + 4 * PAGE, 4 * PAGE, vec) == 0 && (vec[3] & 1), "mincore");
    q = mremap(p + 4 * PAGE, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    check(q != MAP_FAILED && q[3 * PAGE] == 2 && q[63 * PAGE] == 0, "grow and move");
    q = mremap(q, 64 * PAGE, PAGE, 0);
    check(q != MAP_FAILED, "shrink");
    check(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL, "length 0");
    check(munmap((void *)1, PAGE) == -1 && errno == EINVAL, "unaligned");
}

static void
files(void)
{
    int fd = open("/tmp/memory-test", O_RDWR | O_CREAT | O_TRUNC, 0600), ro = open("/proc/self/exe", O_RDONLY);
    char *shared, *private, *view, buf[8] = "abcdefg";

    check(write(fd, buf, 8) == 8, "write");
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    check(shared != MAP_FAILED && memcmp(shared, "abcdefg", 8) == 0, "shared reads");
    shared[0] = 'X';
    check(pread(fd, buf, 8, 0) == 8 && buf[0] == 'X', "shared writes reach the file");
    private[1] = 'Y';
    check(pread(fd, buf, 8, 0) == 8 && buf[1] == 'b' && private[1] == 'Y', "private writes do not");
    check(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES,
          "shared write of a read-only descriptor");
    view = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ro, 0);
    check(view != MAP_FAILED && memcmp(view, "\177ELF", 4) == 0, "own executable");
    check(msync(shared, PAGE, MS_SYNC) == 0, "msync");
    unlink("/tmp/memory-test");
}

static void
forks(void)
{
    static char data[3 * PAGE] = {1};
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *heap = malloc(1 << 20), *none = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t child;
    int status;

    memset(heap, 5, 1 << 20);
    data[PAGE] = 9;
    none[0] = 42;
    mprotect(none, PAGE, PROT_NONE);
    child = fork();
    if (child == 0) {
        int ok = heap[12345] == 5 && data[PAGE] == 9 && data[0] == 1;

        mprotect(none, PAGE, PROT_READ);
        ok &= none[0] == 42;
        heap[12345] = 6;
        data[PAGE] = 10;
        shared[0] = 77;
        _exit(ok ? 3 : 4);
    }
    waitpid(child, &status, 0);
    check(WEXITSTATUS(status) == 3, "the child saw the parent's memory");
    check(heap[12345] == 5 && data[PAGE] == 9, "the child's writes are its own");
    check(shared[0] == 77, "shared memory is shared");
    child = vfork();
    if (child == 0) {
        data[2 * PAGE] = 55;
        _exit(0);
    }
    waitpid(child, &status, 0);
    check(data[2 * PAGE] == 55, "vfork shares");
}

/* What r10 and r11 held on arrival. */
long arrive(void);
__asm__(".globl arrive\narrive: lea (%r10,%r11,2), %rax\n ret\n");

static size_t
append(unsigned char *to, size_t at, const void *bytes, size_t size)
{
    memcpy(to + at, bytes, size);
    return at + size;
}

/* The trampolines of libffi and of gcc's nested functions, on a stack that was asked for as executable. */
static void
trampolines(void)
{
    static const char ffi[] = "\xf3\x0f\x1e\xfa\x4c\x8d\x15\xf5\xff\xff\xff\xff\x25\x07\0\0\0\x0f\x1f\x80\0\0\0\0";
    static const char old_ffi[] = "\x4c\x8d\x15\xf9\xff\xff\xff\xff\x25\x03\0\0\0\x0f\x1f\0";
    unsigned char *p =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    long (*target)(void) = arrive, r11 = 0;
    unsigned char *at_end = p + 4 * PAGE - 23;
    long frame = 0x123456789abcdef;
    size_t n;

    check(p != MAP_FAILED, "executable stack");
    check(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0, "executable stack again");
    for (int kind = 0; kind < 2; kind++) {
        n = append(p, 0, kind ? old_ffi : ffi, kind ? sizeof old_ffi - 1 : sizeof ffi - 1);
        append(p, n, &target, 8);
        __asm__ volatile("mov $5, %%r11d\n call *%1" : "=a"(r11) : "r"(p) : "r10", "r11", "cc", "memory");
        check(r11 == (long)p + 10, "trampoline of libffi");
    }
    for (int endbr = 0; endbr < 2; endbr++) {
        unsigned char *q = endbr ? p : at_end;

        n = endbr ? append(q, 0, "\xf3\x0f\x1e\xfa", 4) : 0;
        n = append(q, n, "\x49\xbb", 2);
        n = append(q, n, &target, 8);
        n = append(q, n, "\x49\xba", 2);
        n = append(q, n, &frame, 8);
        append(q, n, "\x49\xff\xe3", 3);
        check(((long (*)(void))q)() == frame + 2 * (long)arrive, "trampoline of gcc");
    }
    munmap(p, 4 * PAGE);
}

/* A private mapping of a file of the image: pages that were written stay, the others show what is written to the file,
 * also after the file's first write, which takes it out of the image. */
static void
private_follows(void)
{
    char name[4096], *p, *q;
    int reader, fd;

    snprintf(name, sizeof name, "%.*s/../etc/base",
             (int)(strrchr(program_invocation_name, '/') - program_invocation_name), program_invocation_name);
    reader = open(name, O_RDONLY);
    p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
    q = mmap(NULL, 64 * PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    close(reader);
    fd = open(name, O_RDWR);
    check(fd >= 0 && p != MAP_FAILED && p[0] == 'A' && p[5 * PAGE] == 'F', "the image's bytes");
    for (int k = 0; k < 64; k += 3)
        p[k * PAGE + 1] = '*';
    for (int k = 0; k < 64; k++)
        pwrite(fd, "new", 3, k * PAGE);
    for (int k = 0; k < 64; k++)
        check(p[k * PAGE] == (k % 3 ? 'n' : 'A' + k % 26) && p[k * PAGE + 1] == (k % 3 ? 'e' : '*') &&
                  q[k * PAGE] == 'n',
              k % 3 ? "an untouched page" : "a written page");
    if (fork() == 0) {
        for (int k = 0; k < 64; k++)
            check(p[k * PAGE] == (k % 3 ? 'n' : 'A' + k % 26), "the same in a child");
        exit(failures != 0);
    }
    wait(NULL);
    pwrite(fd, "again", 5, 4 * PAGE);
    check(p[4 * PAGE] == 'a' && p[3 * PAGE + 1] == '*', "and later");
    munmap(p, 64 * PAGE), munmap(q, 64 * PAGE), close(fd);
}

/* Which of the pages can be read, and what they begin with. */
static void
show_pages(const char *what, const char *p, int pages)
{
    int ends[2];
    char c;

    if (pipe(ends) < 0)
        return;
    printf("%s: ", what);
    for (int k = 0; k < pages; k++)
        putchar(write(ends[1], p + k * PAGE, 1) == 1 && read(ends[0], &c, 1) == 1 ? (c ? c : '0') : '-');
    putchar('\n');
    fflush(stdout);
    close(ends[0]);
    close(ends[1]);
}

static void
show_everywhere(const char *what, char *const maps[3])
{
    static const char *const names[] = {"shared", "private", "moved"};

    printf("%s\n", what);
    for (int k = 0; k < 3; k++)
        show_pages(names[k], maps[k], k == 2 ? 3 : 8);
}

/* A child's mappings are shown where the parent's are, one after the other. */
static void
show_in_both(const char *what, char *const maps[3], int to_child, int from_child)
{
    char c;

    show_everywhere(what, maps);
    if (write(to_child, what, 1) == 1)
        read(from_child, &c, 1);
}

/* All mappings of a file follow its size, in all processes: also those that were split, joined, moved, unmapped in
 * part, or made by fork. */
static void
mappings_follow(void)
{
    int fd = open("/tmp/mappings-follow", O_RDWR | O_CREAT | O_TRUNC, 0600), there[2], back[2];
    char *maps[3], *extra, c;

    for (int k = 0; k < 8; k++)
        pwrite(fd, &"abcdefgh"[k], 1, k * PAGE);
    maps[0] = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    maps[1] = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    maps[1][3 * PAGE] = 'P';
    maps[2] = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 4 * PAGE);
    maps[2] = mremap(maps[2], 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    maps[2] = mremap(maps[2], 4 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    mprotect(maps[0] + 2 * PAGE, 3 * PAGE, PROT_READ); /* three mappings */
    mprotect(maps[1] + 2 * PAGE, 3 * PAGE, PROT_READ);
    mprotect(maps[1] + 2 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE); /* and one again */
    if (pipe(there) < 0 || pipe(back) < 0)
        return;
    if (fork() == 0) {
        close(there[1]);
        munmap(maps[0] + PAGE, 2 * PAGE);
        while (read(there[0], &c, 1) == 1) {
            show_everywhere("(the child's)", maps);
            write(back[1], &c, 1);
        }
        _exit(0);
    }
    ftruncate(fd, 8 * PAGE);
    show_in_both("whole", maps, there[1], back[0]);
    ftruncate(fd, 2 * PAGE + 1);
    show_in_both("cut", maps, there[1], back[0]);
    ftruncate(fd, 6 * PAGE);
    extra = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    show_in_both("grown", maps, there[1], back[0]);
    ftruncate(fd, PAGE);
    munmap(maps[0], 4 * PAGE);
    ftruncate(fd, 5 * PAGE);
    show_in_both("some of it gone", maps, there[1], back[0]);
    show_pages("the last", extra, 8);
    close(there[1]);
    wait(NULL);
    ftruncate(fd, 8 * PAGE);
    show_everywhere("the child gone", maps);
    munmap(maps[0], 8 * PAGE);
    munmap(maps[1], 8 * PAGE);
    munmap(maps[2], 3 * PAGE);
    munmap(extra, 8 * PAGE);
    check(ftruncate(fd, 0) == 0 && ftruncate(fd, 8 * PAGE) == 0, "nobody has it mapped");
    close(fd);
    unlink("/tmp/mappings-follow");
}

/* How many mappings lie in the range, and what the one with `address` in it permits. */
static int
mappings_in(const char *start, const char *end, const char *address, char permissions[5])
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char line[512], shown[5];
    int count = 0;

    permissions[0] = '\0';
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx %4s", &from, &to, shown) != 3 || from >= (unsigned long)end ||
            to <= (unsigned long)start)
            continue;
        count++;
        if (from <= (unsigned long)address && (unsigned long)address < to)
            strcpy(permissions, shown);
    }
    fclose(f);
    return count;
}

/* What is protected in pieces is one mapping afterwards, and ends where it cannot go on. */
static void
large(void)
{
    enum { SIZE = 100 << 20, HOLE = 50 << 20, FAULT = 64 << 20 };
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char permissions[5];
    int zero = open("/dev/zero", O_RDONLY), ends[2];

    for (long at = 0; at < SIZE; at += PAGE)
        p[at] = (char)(at >> 12);
    /* Neighbours that look alike would become one mapping with it. */
    check(mprotect(p, SIZE, PROT_READ) == 0 && mappings_in(p, p + SIZE, p + FAULT, permissions) == 1 &&
              strcmp(permissions, "r--p") == 0,
          "a large one is protected as a whole");
    check(read(zero, p + FAULT - 10, 20) == -1 && errno == EFAULT && p[FAULT + PAGE] == (char)((FAULT >> 12) + 1),
          "and read-only");
    check(mprotect(p + PAGE, SIZE - 2 * PAGE, PROT_READ | PROT_WRITE) == 0 &&
              mappings_in(p, p + SIZE, p + SIZE - PAGE, permissions) == 3 && strcmp(permissions, "r--p") == 0,
          "but its ends");
    check(munmap(p + HOLE, PAGE) == 0 && mprotect(p, SIZE, PROT_NONE) == -1 && errno == ENOMEM &&
              mappings_in(p, p + HOLE, p + HOLE - 1, permissions) == 1 && strcmp(permissions, "---p") == 0,
          "up to a hole");
    check(mappings_in(p + HOLE, p + SIZE, p + FAULT, permissions) == 2 && strcmp(permissions, "rw-p") == 0,
          "and no further");
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends);
    check(send(ends[0], p + HOLE + PAGE, 20 << 20, 0) == -1 && errno == EMSGSIZE, "a packet that is too large");
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
    check(send(ends[0], p + HOLE + PAGE, 20 << 20, 0) > 0 && recv(ends[1], p + FAULT, 20 << 20, 0) > 0 &&
              p[FAULT + PAGE] == p[HOLE + 2 * PAGE],
          "as much as a stream takes");
    munmap(p, SIZE);
}

int
main(void)
{
    char *before = sbrk(0), *p;

    setvbuf(stdout, NULL, _IOLBF, 0);
    anonymous();
    files();
    forks();
    trampolines();
    private_follows();
    mappings_follow();
    large();
    check(sbrk(PAGE * 4) != (void *)-1 && sbrk(-PAGE * 4) != (void *)-1 && sbrk(0) >= (void *)before, "brk");
    p = mmap((void *)0x10000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    check(p == (char *)0x10000000, "fixed low address");
    return failures != 0;
}
