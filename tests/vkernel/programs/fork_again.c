/* One parent forks again and again, and each child sees the parent's memory as it is at that fork: nothing of what an
 * earlier child has written, protected, discarded or locked, whatever the parent has done between two forks. Children
 * come one after the other, two at a time, and from children; the last state of each is in the hash that is printed. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"

enum { PAGE = 4096, PAGES = 48, MANY = 400, STEPS = 60, AREAS = 4 };

static char data[PAGES * PAGE] __attribute__((aligned(PAGE))) = {1}; /* pages of the program's file */
static char zeros[PAGES * PAGE] __attribute__((aligned(PAGE)));
static char *areas[AREAS], *many;
static struct shared {
    uint64_t seen[2]; /* by the last child, and by its child */
} *shared;
static int file;
static sigjmp_buf back;

static void
on_fault(int sig)
{
    siglongjmp(back, sig);
}

static void
look_at(const volatile char *page)
{
    int sig = sigsetjmp(back, 1);
    char bytes[3];

    if (sig) {
        note("signal %d", sig);
        return;
    }
    bytes[0] = page[0];
    bytes[1] = page[1000];
    bytes[2] = page[PAGE - 1];
    note_bytes(bytes, sizeof bytes);
}

static void
look(void)
{
    for (unsigned a = 0; a < AREAS; a++)
        for (unsigned i = 0; i < PAGES; i++)
            look_at(areas[a] + i * PAGE);
    for (unsigned i = 0; i < MANY; i += 7)
        look_at(many + i * PAGE);
}

static void
write_to(char *page)
{
    char value = (char)(1 + draw(100));

    if (sigsetjmp(back, 1) == 0) {
        page[draw(3) * 1000] = value;
        page[PAGE - 1] = value;
    }
}

static void
map_again(unsigned area)
{
    if (area == 0)
        mmap(areas[0], PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    else if (area == 1)
        mmap(areas[1], PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, 0);
}

static void
act(void)
{
    static const int protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE};
    unsigned area = draw(AREAS), whole = draw(2), i = whole ? 0 : draw(PAGES), n = whole ? PAGES : 1 + draw(PAGES - i);
    char *at = areas[area] + i * PAGE;

    switch (draw(24)) {
    case 0: mprotect(at, n * PAGE, DRAW_OF(protections)); break;
    case 1: madvise(at, n * PAGE, MADV_DONTNEED); break;
    case 2: map_again(area); break;
    case 3: madvise(areas[0] + i * PAGE, n * PAGE, draw(2) ? MADV_WIPEONFORK : MADV_KEEPONFORK); break;
    case 4: madvise(at, n * PAGE, draw(2) ? MADV_DONTFORK : MADV_DOFORK); break;
    case 5: draw(2) ? mlock(at, PAGE) : munlock(at, PAGE); break;
    case 6: madvise(many, MANY * PAGE, MADV_DONTNEED); break;
    case 7:
        for (i = 0; i < MANY; i++)
            many[i * PAGE] = (char)(i + n);
        break;
    case 8:
        if (ftruncate(file, (off_t)(PAGES - draw(4)) * PAGE) == 0 && pwrite(file, &n, 1, (off_t)i * PAGE) == 1 &&
            ftruncate(file, PAGES * PAGE) < 0)
            note("ftruncate");
        break;
    case 9: /* what cannot be written is written all the same */
    case 10:
        mprotect(at, n * PAGE, PROT_READ | PROT_WRITE);
        write_to(at + draw(n) * PAGE);
        mprotect(at, n * PAGE, PROT_READ);
        break;
    default: write_to(at + draw(n) * PAGE);
    }
}

static pid_t
child(unsigned depth)
{
    unsigned other = draw(1000);
    pid_t pid = fork();
    int status;

    if (pid != 0)
        return pid;
    random_state += other;
    random_hash = 1;
    look();
    for (unsigned k = draw(6); k > 0; k--)
        act();
    if (depth == 0 && draw(4) == 0) {
        pid = child(1);
        waitpid(pid, &status, 0);
        note("%d, %llx", status, (unsigned long long)shared->seen[1]);
    }
    look();
    shared->seen[depth] = random_hash;
    _exit(0);
}

static void
one(void)
{
    for (unsigned a = 0; a < AREAS; a++) {
        madvise(areas[a], PAGES * PAGE, MADV_DOFORK);
        munlock(areas[a], PAGES * PAGE);
        mprotect(areas[a], PAGES * PAGE, PROT_READ | PROT_WRITE);
        if (a == 0)
            madvise(areas[a], PAGES * PAGE, MADV_KEEPONFORK);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        int status, other = -1;
        pid_t pid, second = 0;

        if (draw(2))
            act();
        pid = child(0);
        if (draw(5) == 0) { /* waits until the first is gone, and is reaped before it */
            second = fork();
            if (second == 0)
                _exit(7);
            waitpid(second, &other, 0);
        }
        waitpid(pid, &status, 0);
        note("step %u: %d, %d, %llx", step, status, other, (unsigned long long)shared->seen[0]);
    }
    look();
}

int
main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    file = memfd_create("fork_again", 0);
    for (unsigned i = 0; i < PAGES; i++)
        if (pwrite(file, &i, sizeof i, (off_t)i * PAGE) < 0)
            return 1;
    if (ftruncate(file, PAGES * PAGE) < 0)
        return 1;
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    areas[0] = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    areas[1] = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    areas[2] = data;
    areas[3] = zeros;
    many = mmap(NULL, MANY * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || areas[0] == MAP_FAILED || areas[1] == MAP_FAILED || many == MAP_FAILED)
        return 1;
    return random_main(argc, argv, 6, one);
}
