/* Memory after forks, against a model: processes that came from each other by fork write, read, unmap, move, protect
 * and discard pages at random, and each compares what it sees with what it has noted in an array of its own. Forks come
 * from forks and from threads, with parents that end before their children. Every process's last state is in the hash
 * that is printed. In namespaces of its own. Sanitized, with one seed. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"

enum {
    PAGE = 4096,
    WORDS = PAGE / 4,
    PAGES = 3584, /* several of the 2 MiB that a page table of the host's maps */
    HEAP_PAGES = 640,
    MOST = 96,
    LARGE = 1100, /* so many pages at once, rarely: more than two such pieces of the area */
    ALL = PAGES + HEAP_PAGES,
    STEPS = 60,
    DEPTH = 3,
    RESULTS = 512
};
enum { GONE = -1, READ_ONLY = 1 << 30 };

static uint32_t (*area)[WORDS], (*spare)[WORDS], (*heap)[WORDS];
static int32_t model[ALL]; /* what each page holds, GONE, READ_ONLY when it is */
static struct {
    unsigned next;
    uint64_t hash[RESULTS];
} *results; /* shared */
static sigjmp_buf back;

static uint32_t *
page(int n)
{
    return n < PAGES ? area[n] : heap[n - PAGES];
}

static void
wrong(const char *what, int n, uint32_t got)
{
    printf("%s: page %d is %u, not %d\n", what, n, got, model[n]);
    fflush(stdout);
    _exit(99);
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    siglongjmp(back, 1);
}

/* A word in the middle and the last one: the whole page was copied, or none of it. */
static void
fill(int n, int32_t value)
{
    uint32_t *p = page(n);

    p[0] = p[WORDS / 2] = p[WORDS - 1] = (uint32_t)value;
    model[n] = value;
}

static void
check(int n)
{
    static const int places[] = {0, WORDS / 2, WORDS - 1};
    const volatile uint32_t *p = page(n);

    for (int k = 0; k < 3; k++) {
        if (sigsetjmp(back, 1)) {
            if (model[n] != GONE)
                wrong("a fault", n, 0);
            return;
        }
        if (model[n] == GONE || p[places[k]] != (uint32_t)(model[n] & ~READ_ONLY))
            wrong("a read", n, p[places[k]]);
    }
}

static void
write_page(int n)
{
    int32_t value = (int32_t)draw(1 << 20);

    if (sigsetjmp(back, 1)) {
        if (model[n] != GONE && !(model[n] & READ_ONLY))
            wrong("a write's fault", n, 0);
        return;
    }
    if (model[n] == GONE || (model[n] & READ_ONLY)) {
        *(volatile uint32_t *)page(n) = 1;
        wrong("a write without right", n, 1);
    }
    fill(n, value);
}

static void
sweep(int from, int count)
{
    int write = draw(2) != 0;

    for (int n = from; n < from + count; n++)
        if (write)
            write_page(n);
        else
            check(n);
}

/* The kernel copies, out of one page and into another. */
static void
through_a_pipe(int from, int to)
{
    int ends[2];
    ssize_t n;

    if (pipe(ends) != 0)
        _exit(98);
    n = write(ends[1], page(from), PAGE);
    if (n != (model[from] == GONE ? -1 : PAGE))
        wrong("write to a pipe", from, (uint32_t)n);
    if (n == PAGE) {
        n = read(ends[0], page(to), PAGE);
        if (n != (model[to] == GONE || (model[to] & READ_ONLY) ? -1 : PAGE))
            wrong("read from a pipe", to, (uint32_t)n);
        if (n == PAGE)
            model[to] = model[from] & ~READ_ONLY;
    }
    close(ends[0]);
    close(ends[1]);
}

static void
through_a_file(int from, int to, int count)
{
    int fd = memfd_create("pages", 0);
    ssize_t n;

    if (from - to < count && to - from < count)
        return;
    for (int k = 0; k < count; k++)
        if (model[from + k] == GONE || model[to + k] == GONE || (model[to + k] & READ_ONLY))
            count = k;
    n = pwrite(fd, page(from), (size_t)count * PAGE, 0);
    if (n != count * PAGE)
        wrong("write to a file", from, (uint32_t)n);
    n = pread(fd, page(to), (size_t)count * PAGE, 0);
    if (n != count * PAGE)
        wrong("read from a file", to, (uint32_t)n);
    for (int k = 0; k < count; k++)
        model[to + k] = model[from + k] & ~READ_ONLY;
    close(fd);
}

static void
remember(int from, int count, int32_t value)
{
    for (int n = from; n < from + count; n++)
        model[n] = value;
}

static void
unmap(int from, int count)
{
    if (count <= MOST && draw(2)) { /* no hole is so large that a thread's stack is put there */
        munmap(area[from], (size_t)count * PAGE);
        remember(from, count, GONE);
    } else {
        mmap(area[from], (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        remember(from, count, 0);
    }
}

static void
protect(int from, int count)
{
    int writable = draw(2) != 0;

    for (int n = from; n < from + count; n++) {
        if (model[n] == GONE)
            continue;
        mprotect(page(n), PAGE, writable ? PROT_READ | PROT_WRITE : PROT_READ);
        model[n] = writable ? model[n] & ~READ_ONLY : model[n] | READ_ONLY;
    }
}

static void
protect_at_once(int from, int count)
{
    for (int n = from; n < from + count; n++)
        if (model[n] == GONE || (model[n] & READ_ONLY))
            return;
    mprotect(page(from), (size_t)count * PAGE, PROT_NONE);
    if (sigsetjmp(back, 1) == 0) {
        *(volatile uint32_t *)page(from + count - 1);
        wrong("a read without right", from + count - 1, 0);
    }
    mprotect(page(from), (size_t)count * PAGE, PROT_READ | PROT_WRITE);
}

/* The place that pages are moved to is always mapped: in a hole there, which may be the end of all free addresses, a
 * thread's stack would be put, and the next move would be over it. */
static void
keep_spare(int count)
{
    mmap(spare, (size_t)count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* To another place, where it is looked at, and back. */
static void
move(int from, int count)
{
    for (int n = from; n < from + count; n++)
        if (model[n] == GONE || (model[n] & READ_ONLY))
            return;
    if (mremap(area[from], (size_t)count * PAGE, (size_t)count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare) ==
        MAP_FAILED)
        return; /* of several mappings */
    for (int k = 0; k < count; k++)
        if (spare[k][WORDS - 1] != (uint32_t)model[from + k])
            wrong("moved", from + k, spare[k][WORDS - 1]);
    spare[count / 2][0] = spare[count / 2][WORDS / 2] = spare[count / 2][WORDS - 1] = 77;
    model[from + count / 2] = 77;
    if (mremap(spare, (size_t)count * PAGE, (size_t)count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area[from]) ==
        MAP_FAILED)
        wrong("moved back", from, (uint32_t)errno);
    keep_spare(count);
}

static void
discard(int from, int count)
{
    for (int n = from; n < from + count; n++)
        if (model[n] == GONE)
            return;
    madvise(page(from), (size_t)count * PAGE, MADV_DONTNEED);
    for (int n = from; n < from + count; n++)
        model[n] &= READ_ONLY;
}

static void
populate(int from, int count)
{
    unsigned char there[LARGE];

    if (draw(2))
        madvise(page(from), (size_t)count * PAGE, draw(2) ? 22 : 23 /* MADV_POPULATE_* */);
    else
        mincore(page(from), (size_t)count * PAGE, there);
}

/* Another process of the family looks. */
static void
look_from_outside(int n)
{
    uint32_t word = 0;
    struct iovec mine = {&word, 4}, its = {&page(n)[WORDS - 1], 4};
    int fd = open("/proc/self/mem", O_RDONLY);

    if (process_vm_readv(getpid(), &mine, 1, &its, 1, 0) == 4 &&
        (model[n] == GONE || word != (uint32_t)(model[n] & ~READ_ONLY)))
        wrong("process_vm_readv", n, word);
    if (fd >= 0 && pread(fd, &word, 4, (long)its.iov_base) == 4 &&
        (model[n] == GONE || word != (uint32_t)(model[n] & ~READ_ONLY)))
        wrong("/proc/self/mem", n, word);
    close(fd);
}

/* Shares memory with its parent, so that is who sees what it writes. */
static void
in_vfork(int n)
{
    int32_t value = (int32_t)draw(1 << 20);

    if (model[n] == GONE || (model[n] & READ_ONLY))
        return;
    if (vfork() == 0) {
        fill(n, value);
        _exit(0);
    }
    wait(NULL);
    check(n);
}

/* Deep in the stack, which is one of the mappings that forks share: each frame finds what it wrote. */
static int
in_the_stack(int depth)
{
    volatile uint32_t frame[WORDS * 16];
    int status = 0, ok;

    for (int k = 0; k < WORDS * 16; k += WORDS)
        frame[k] = (uint32_t)(depth * 1000 + k);
    if (depth == 0) {
        pid_t child = fork();

        for (int k = 0; k < WORDS * 16; k += WORDS)
            if (frame[k] != (uint32_t)k)
                _exit(97);
        if (child == 0)
            return -1;
        return waitpid(child, &status, 0) == child && status == 0;
    }
    ok = in_the_stack(depth - 1);
    for (int k = 0; k < WORDS * 16; k += WORDS)
        if (frame[k] != (uint32_t)(depth * 1000 + k))
            _exit(96);
    return ok;
}

static void live(int depth);

static void
finish(int depth)
{
    for (int n = 0; n < ALL; n++) {
        check(n);
        note_bytes(&model[n], sizeof model[n]);
    }
    results->hash[__atomic_fetch_add(&results->next, 1, __ATOMIC_SEQ_CST) % RESULTS] = random_hash;
    if (depth > 0) {
        fflush(stdout);
        _exit(0);
    }
}

static int child_depth;
static uint64_t child_seed;

/* A child, or a child of a child that ends at once. */
static void *
fork_here(void *unused)
{
    int orphan = child_seed % 4 == 0;
    pid_t child = fork();

    if (child != 0)
        return NULL;
    if (orphan && fork() != 0)
        _exit(0);
    random_state = child_seed | 1;
    live(child_depth);
    finish(child_depth);
    return NULL;
}

static void
have_child(int depth)
{
    pthread_t thread;
    sigset_t none;

    child_depth = depth + 1;
    child_seed = random_state * 0x9e3779b97f4a7c15ull;
    if (draw(4)) {
        fork_here(NULL);
    } else if (pthread_create(&thread, NULL, fork_here, NULL) == 0) {
        pthread_join(thread, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    draw(2);
}

static void
step(int depth)
{
    int from = (int)draw(PAGES - MOST), count = (int)(1 + draw(draw(3) ? 8 : MOST)), any = (int)draw(ALL - MOST);
    int other = (int)draw(ALL - MOST);

    if (draw(12) == 0) {
        from = any = (int)draw(PAGES - LARGE);
        count = (int)(MOST + draw(LARGE - MOST));
        other = (int)draw(PAGES - LARGE);
    }

    any = any < PAGES && any + count > PAGES ? PAGES - count : any; /* in one of the two */
    other = other < PAGES && other + count > PAGES ? PAGES - count : other;

    switch (draw(20)) {
    case 0:
        if (depth < DEPTH)
            have_child(depth);
        break;
    case 1: unmap(from, count); break;
    case 2: protect(any, count); break;
    case 3: protect_at_once(any, count); break;
    case 4: move(from, count < MOST ? count : MOST); break;
    case 5: discard(any, count); break;
    case 6: populate(any, count); break;
    case 7: look_from_outside(any); break;
    case 8: in_vfork(any); break;
    case 9:
    case 10: through_a_pipe(any, (int)draw(ALL)); break;
    case 11: through_a_file(any, other, count); break;
    case 12: madvise(area[from], (size_t)count * PAGE, draw(2) ? MADV_DOFORK : MADV_NORMAL); break;
    case 13:
    case 14: sweep(any, count); break;
    case 15: sched_yield(); break;
    default: write_page((int)draw(ALL)); check((int)draw(ALL));
    }
}

static void
live(int depth)
{
    for (int k = 0; k < STEPS; k++)
        step(depth);
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void
one(void)
{
    int status;

    results->next = 0;
    mmap(area, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mprotect(heap, HEAP_PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (int n = 0; n < ALL; n++)
        fill(n, n + 1);
    have_child(0);
    live(0);
    finish(0);
    while (wait(&status) > 0)
        if (status != 0)
            note("a child ended with %d", status), printf("a child ended with %#x\n", status);
    if (results->next > RESULTS)
        printf("too many processes\n");
    qsort(results->hash, results->next, sizeof results->hash[0], by_value);
    note_bytes(results->hash, results->next * sizeof results->hash[0]);
    note("%u processes", results->next);
}

int
main(int argc, char **argv)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    int ok;

    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* who waits for orphans, too */
    sigaction(SIGSEGV, &sa, NULL);
    area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    spare = mmap(NULL, MOST * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    results = mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    heap = sbrk(HEAP_PAGES * PAGE + PAGE);
    heap = (void *)(((uintptr_t)heap + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    ok = in_the_stack(60);
    if (ok < 0)
        return 0;
    printf("in the stack: %d\n", ok);
    fflush(stdout);
    return random_main(argc, argv, 6, one);
}
