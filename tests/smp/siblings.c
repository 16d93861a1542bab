/* What one thread does to the memory and the process that its siblings are using: munmap, mprotect, mremap, fork, exec, exit, signals, stops.
 *
 * What must hold on several processors, and what a kernel that forgets one of them breaks: when a call that takes a right away has returned,
 * no sibling uses it any more, wherever it runs; and what a child has is its own from the moment of fork. */
#include "smp.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PAGE = 4096, SIBLINGS = 3 };

extern char **environ;

/* --- accesses that may fault --- */

static __thread sigjmp_buf back;
static __thread volatile sig_atomic_t expects_fault;

static void
faulted(int signal)
{
    if (!expects_fault) {
        static const char text[] = "a fault where none may be\n";

        (void)!write(2, text, sizeof text - 1);
        _exit(1);
    }
    expects_fault = 0;
    siglongjmp(back, signal);
}

static void
catch_faults(void)
{
    struct sigaction a = {.sa_handler = faulted, .sa_flags = SA_NODEFER};

    CHECK(sigaction(SIGSEGV, &a, NULL) == 0 && sigaction(SIGBUS, &a, NULL) == 0);
}

static bool
try_store(volatile uint64_t *at, uint64_t value)
{
    if (sigsetjmp(back, 0) != 0)
        return false;
    expects_fault = 1;
    *at = value;
    expects_fault = 0;
    return true;
}

static bool
try_load(const volatile uint64_t *at, uint64_t *value)
{
    if (sigsetjmp(back, 0) != 0)
        return false;
    expects_fault = 1;
    *value = *at;
    expects_fault = 0;
    return true;
}

static void *
map_at(void *at, size_t size, int protection)
{
    void *p = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

    CHECK(p != MAP_FAILED);
    return p;
}

/* --- rights and mappings that go while siblings use them --- */

struct region {
    volatile uint64_t *memory, *elsewhere;
    _Atomic bool done;
    _Atomic uint64_t stored, faults;
    uint64_t rounds;
    void (*change)(struct region *r, uint64_t i);
};

/* Nobody may write any more: what is there stays. */
static void
check_still(const volatile uint64_t *at)
{
    uint64_t before = *at;

    for (unsigned i = 0; i < 8; i++) {
        if (i % 4 == 3)
            sched_yield();
        for (unsigned k = 0; k < 50; k++)
            __asm__ volatile("pause");
        CHECK(*at == before);
    }
}

static void
protect_and_back(struct region *r, uint64_t i)
{
    (void)i;
    CHECK(mprotect((void *)r->memory, PAGE, PROT_READ) == 0);
    check_still(r->memory);
    CHECK(mprotect((void *)r->memory, PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void
move_and_back(struct region *r, uint64_t i)
{
    (void)i;
    CHECK(mremap((void *)r->memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)r->elsewhere) ==
          (void *)r->elsewhere);
    check_still(r->elsewhere);
    CHECK(mremap((void *)r->elsewhere, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)r->memory) ==
          (void *)r->memory);
}

static void
unmap_and_back(struct region *r, uint64_t i)
{
    if (i % 2)
        CHECK(munmap((void *)r->memory, PAGE) == 0);
    else
        map_at((void *)r->memory, PAGE, PROT_NONE);
    sched_yield();
    map_at((void *)r->memory, PAGE, PROT_READ | PROT_WRITE);
}

static void
discard(struct region *r, uint64_t i)
{
    (void)i;
    CHECK(madvise((void *)r->memory, PAGE, MADV_DONTNEED) == 0);
}

/* Each sibling writes a word of its own, growing numbers, and reads them back: what it read is what it wrote, or 0 where pages are new. */
static void
region_run(void *shared, unsigned number)
{
    struct region *r = shared;
    unsigned turns = 0;

    if (number == 0) {
        for (uint64_t i = 0; i < r->rounds; i++)
            r->change(r, i);
        atomic_store(&r->done, true);
        return;
    }
    for (uint64_t i = 1; !atomic_load(&r->done); i++) {
        volatile uint64_t *mine = r->memory + (number == 1 ? 0 : 8 * number);
        uint64_t read = 0;

        if (try_store(mine, i)) {
            atomic_fetch_add_explicit(&r->stored, 1, memory_order_relaxed);
        } else {
            atomic_fetch_add_explicit(&r->faults, 1, memory_order_relaxed);
            sched_yield();
        }
        if (try_load(mine, &read))
            CHECK(read <= i);
        if (i % 256 == 0)
            smp_relax(&turns);
    }
}

static void
test_region(uint64_t rounds, void (*change)(struct region *, uint64_t))
{
    struct region r = {.rounds = rounds, .change = change};

    catch_faults();
    r.memory = map_at(NULL, PAGE, PROT_READ | PROT_WRITE);
    r.elsewhere = map_at(NULL, PAGE, PROT_NONE);
    smp_run_team(1 + SIBLINGS, region_run, &r);
    CHECK(munmap((void *)r.memory, PAGE) == 0);
    munmap((void *)r.elsewhere, PAGE);
}

static void
test_protect(uint64_t rounds)
{
    test_region(rounds, protect_and_back);
}

static void
test_move(uint64_t rounds)
{
    test_region(rounds, move_and_back);
}

static void
test_unmap(uint64_t rounds)
{
    test_region(rounds, unmap_and_back);
}

static void
test_discard(uint64_t rounds)
{
    test_region(rounds, discard);
}

/* Siblings map and unmap pages of their own, next to each other: the tables that they share get no hole. */
static void
own_pages_run(void *shared, unsigned number)
{
    struct region *r = shared;
    char *mine = (char *)r->memory + (size_t)number * 4 * PAGE;

    for (uint64_t i = 0; i < r->rounds; i++) {
        map_at(mine, 4 * PAGE, PROT_READ | PROT_WRITE);
        for (unsigned p = 0; p < 4; p++)
            *(volatile uint64_t *)(mine + p * PAGE) = i + p;
        CHECK(mprotect(mine + PAGE, PAGE, PROT_READ) == 0);
        CHECK(munmap(mine + 2 * PAGE, PAGE) == 0);
        sched_yield();
        CHECK(*(volatile uint64_t *)mine == i && *(volatile uint64_t *)(mine + PAGE) == i + 1);
        CHECK(*(volatile uint64_t *)(mine + 3 * PAGE) == i + 3);
    }
}

static void
test_own_pages(uint64_t rounds)
{
    struct region r = {.rounds = rounds};

    r.memory = map_at(NULL, 16 * PAGE, PROT_NONE);
    smp_run_team(4, own_pages_run, &r);
    munmap((void *)r.memory, 16 * PAGE);
}

/* A file's pages in memory, and the file: one thing, for all processes. */
static void
test_shared_file(uint64_t rounds)
{
    char path[] = "/tmp/smpXXXXXX";
    int file = mkstemp(path);
    pid_t child[SIBLINGS];
    uint64_t read = 0;

    CHECK(file >= 0 && unlink(path) == 0 && ftruncate(file, PAGE) == 0);
    for (unsigned i = 0; i < SIBLINGS; i++) {
        child[i] = fork();
        CHECK(child[i] >= 0);
        if (child[i] == 0) {
            _Atomic uint64_t *count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

            CHECK(count != MAP_FAILED);
            for (uint64_t k = 0; k < rounds; k++)
                atomic_fetch_add(count, 1);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < SIBLINGS; i++) {
        int status;

        CHECK(waitpid(child[i], &status, 0) == child[i] && status == 0);
    }
    CHECK(pread(file, &read, sizeof read, 0) == sizeof read && read == SIBLINGS * rounds);
    close(file);
}

/* --- fork --- */

struct forked {
    struct {
        _Alignas(PAGE) volatile uint64_t first, second; /* second follows first, on one page */
    } own[SIBLINGS];
    _Atomic bool done;
    uint64_t rounds;
};

static void
check_child(struct forked *f)
{
    uint64_t before[SIBLINGS][2];

    for (unsigned t = 0; t < SIBLINGS; t++) {
        before[t][0] = f->own[t].first;
        before[t][1] = f->own[t].second;
        CHECK(before[t][1] <= before[t][0] && before[t][0] <= before[t][1] + 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        sched_yield();
        for (unsigned t = 0; t < SIBLINGS; t++)
            CHECK(f->own[t].first == before[t][0] && f->own[t].second == before[t][1]);
    }
    for (unsigned t = 0; t < SIBLINGS; t++)
        f->own[t].first = f->own[t].second = UINT64_MAX; /* the parent must not see it */
    _exit(11);
}

static void
forked_run(void *shared, unsigned number)
{
    struct forked *f = shared;
    unsigned turns = 0;

    if (number < SIBLINGS) {
        for (uint64_t i = 1; !atomic_load_explicit(&f->done, memory_order_relaxed); i++) {
            CHECK(f->own[number].first == i - 1 && f->own[number].second == i - 1);
            f->own[number].first = i;
            f->own[number].second = i;
            if (i % 1024 == 0)
                smp_relax(&turns);
        }
        return;
    }
    for (uint64_t i = 0; i < f->rounds; i++) {
        pid_t child = fork();
        int status;

        CHECK(child >= 0);
        if (child == 0)
            check_child(f);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 11);
    }
    atomic_store(&f->done, true);
}

static void
test_fork(uint64_t rounds)
{
    struct forked *f = map_at(NULL, sizeof *f, PROT_READ | PROT_WRITE);

    f->rounds = rounds;
    smp_run_team(SIBLINGS + 1, forked_run, f);
    munmap(f, sizeof *f);
}

/* Several threads fork at the same time, and each waits for its own child. */
static void
many_forks_run(void *shared, unsigned number)
{
    uint64_t rounds = *(uint64_t *)shared;
    volatile uint64_t mine = number;

    for (uint64_t i = 0; i < rounds; i++) {
        pid_t child = (i + number) % 3 ? fork() : vfork();
        int status;

        CHECK(child >= 0);
        if (child == 0)
            _exit(mine == number ? (int)(20 + number) : 1);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == (int)(20 + number));
    }
}

static void
test_many_forks(uint64_t rounds)
{
    smp_run_team(4, many_forks_run, &rounds);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* --- processes whose threads run while it ends, becomes another program, or is stopped --- */

struct counting {
    _Alignas(SMP_LINE) _Atomic uint64_t counts[SIBLINGS];
    _Atomic int alive;
};

static void *
count_for_ever(void *argument)
{
    _Atomic uint64_t *mine = argument;

    for (uint64_t i = 1;; i++) {
        atomic_store_explicit(mine, i, memory_order_relaxed);
        if (i % 4096 == 0)
            sched_yield();
    }
    return NULL;
}

static void
start_counting(struct counting *c)
{
    unsigned turns = 0;

    for (unsigned t = 0; t < SIBLINGS; t++) {
        pthread_t thread;

        CHECK_ZERO(pthread_create(&thread, NULL, count_for_ever, &c->counts[t]));
    }
    for (unsigned t = 0; t < SIBLINGS; t++)
        while (atomic_load(&c->counts[t]) == 0)
            smp_relax(&turns);
    atomic_store(&c->alive, 1);
}

static void *
end_from_thread(void *argument)
{
    unsigned how = (unsigned)(uintptr_t)argument;

    if (how == 1)
        syscall(SYS_exit_group, 31);
    execl("/proc/self/exe", "siblings", "--ends", "31", NULL);
    return NULL;
}

static void
be_counting(struct counting *c, unsigned how)
{
    pthread_t thread;

    start_counting(c);
    if (how == 0)
        _exit(31);
    if (how == 3)
        end_from_thread((void *)2);
    if (how < 3)
        CHECK_ZERO(pthread_create(&thread, NULL, end_from_thread, (void *)(uintptr_t)how));
    for (;;) /* how 4, 5: killed or stopped by the parent */
        pause();
}

/* Nobody counts any more. */
static void
check_quiet(struct counting *c)
{
    uint64_t before[SIBLINGS];

    for (unsigned t = 0; t < SIBLINGS; t++)
        before[t] = atomic_load(&c->counts[t]);
    for (unsigned i = 0; i < 4; i++) {
        sched_yield();
        for (unsigned t = 0; t < SIBLINGS; t++)
            CHECK(atomic_load(&c->counts[t]) == before[t]);
    }
}

static void
stop_and_go(pid_t child, struct counting *c)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before;
        unsigned turns = 0;
        int status;

        CHECK(kill(child, SIGSTOP) == 0);
        CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        check_quiet(c);
        before = atomic_load(&c->counts[0]);
        CHECK(kill(child, SIGCONT) == 0);
        CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
        while (atomic_load(&c->counts[0]) == before)
            smp_relax(&turns);
    }
}

static void
test_counting(uint64_t rounds, unsigned how)
{
    for (uint64_t i = 0; i < rounds; i++) {
        struct counting *c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned turns = 0;
        int status;
        pid_t child;

        CHECK(c != MAP_FAILED);
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            be_counting(c, how);
        while (how >= 4 && !atomic_load(&c->alive))
            smp_relax(&turns);
        if (how == 5)
            stop_and_go(child, c);
        if (how >= 4)
            CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        if (how >= 4)
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        else
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 31);
        check_quiet(c);
        munmap(c, PAGE);
    }
}

static void
test_exit(uint64_t rounds)
{
    test_counting(rounds, 0);
    test_counting(rounds, 1);
}

static void
test_exec(uint64_t rounds)
{
    test_counting(rounds, 2);
    test_counting(rounds, 3);
}

static void
test_kill(uint64_t rounds)
{
    test_counting(rounds, 4);
}

static void
test_stop(uint64_t rounds)
{
    test_counting(rounds, 5);
}

/* Programs that siblings start at the same time. */
static void
spawn_run(void *shared, unsigned number)
{
    uint64_t rounds = *(uint64_t *)shared;

    for (uint64_t i = 0; i < rounds; i++) {
        char result[8], name[] = "siblings", option[] = "--ends";
        char *arguments[] = {name, option, result, NULL};
        pid_t child;
        int status;

        snprintf(result, sizeof result, "%u", 40 + number);
        CHECK_ZERO(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ));
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == (int)(40 + number));
    }
}

static void
test_spawn(uint64_t rounds)
{
    smp_run_team(3, spawn_run, &rounds);
}

/* --- signals --- */

static _Atomic uint64_t handled[SIBLINGS + 1];
static __thread unsigned self;
static __thread volatile uint64_t touched;

static void
count_signal(int signal)
{
    (void)signal;
    touched += 3;
    atomic_fetch_add(&handled[self], 1);
}

struct signalled {
    pthread_t threads[SIBLINGS];
    _Atomic int ready;
    _Atomic bool done;
    uint64_t rounds;
};

/* A computation whose registers and flags a handler between any two instructions must not change. */
static uint64_t
compute(uint64_t seed)
{
    uint64_t a = seed, b = 1, c = 0;

    for (unsigned i = 0; i < 2000; i++) {
        a = a * 6364136223846793005u + 1442695040888963407u;
        b = b << 7 | b >> 57;
        c += (a ^ b) > seed ? a >> 33 : b;
    }
    return a ^ b ^ c;
}

static void
signalled_run(void *shared, unsigned number)
{
    struct signalled *s = shared;
    uint64_t expected = compute(number + 1);

    self = number;
    if (number < SIBLINGS) {
        s->threads[number] = pthread_self();
        atomic_fetch_add(&s->ready, 1);
        while (!atomic_load(&s->done)) {
            CHECK(compute(number + 1) == expected);
            sched_yield();
        }
        return;
    }
    for (unsigned turns = 0; atomic_load(&s->ready) < SIBLINGS;)
        smp_relax(&turns);
    for (uint64_t i = 0; i < s->rounds; i++) {
        unsigned to = (unsigned)(i % SIBLINGS);
        uint64_t before = atomic_load(&handled[to]);
        unsigned turns = 0;

        CHECK_ZERO(pthread_kill(s->threads[to], SIGUSR1));
        while (i % 4 == 0 && atomic_load(&handled[to]) == before)
            smp_relax(&turns);
    }
    atomic_store(&s->done, true);
}

static void
test_signals(uint64_t rounds)
{
    struct signalled s = {.rounds = rounds};
    struct sigaction a = {.sa_handler = count_signal};

    memset((void *)handled, 0, sizeof handled);
    CHECK(sigaction(SIGUSR1, &a, NULL) == 0);
    smp_run_team(SIBLINGS + 1, signalled_run, &s);
    for (unsigned t = 0; t < SIBLINGS; t++)
        CHECK(handled[t] > 0 && handled[t] <= rounds);
}

/* Queued signals to the process: none is lost, none comes twice, whoever takes them. */
static _Atomic uint64_t queued_count, queued_sum;

static void
take_queued(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    atomic_fetch_add(&queued_sum, (uint64_t)info->si_value.sival_int);
    atomic_fetch_add(&queued_count, 1);
}

static void
queued_run(void *shared, unsigned number)
{
    struct signalled *s = shared;
    unsigned turns = 0;

    for (uint64_t i = 1; number < 2 && i <= s->rounds; i++)
        while (sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = (int)i}) != 0) {
            CHECK(errno == EAGAIN);
            smp_relax(&turns);
        }
    while (atomic_load(&queued_count) < 2 * s->rounds)
        smp_relax(&turns);
}

static void
test_queued(uint64_t rounds)
{
    struct signalled s = {.rounds = rounds};
    struct sigaction a = {.sa_sigaction = take_queued, .sa_flags = SA_SIGINFO | SA_RESTART};

    queued_count = queued_sum = 0;
    CHECK(sigaction(SIGRTMIN + 1, &a, NULL) == 0);
    smp_run_team(4, queued_run, &s);
    CHECK(queued_count == 2 * rounds && queued_sum == rounds * (rounds + 1));
}

/* sigwait in several threads. */
static void
wait_run(void *shared, unsigned number)
{
    struct signalled *s = shared;
    unsigned turns = 0;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    if (number > 0) {
        while (atomic_load(&queued_count) < s->rounds) {
            struct timespec limit = {0, 2000000};
            siginfo_t info;

            if (sigtimedwait(&set, &info, &limit) > 0) {
                atomic_fetch_add(&queued_sum, (uint64_t)info.si_value.sival_int);
                atomic_fetch_add(&queued_count, 1);
            }
        }
        return;
    }
    for (uint64_t i = 1; i <= s->rounds; i++)
        while (sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = (int)i}) != 0) {
            CHECK(errno == EAGAIN);
            smp_relax(&turns);
        }
}

static void
test_waited(uint64_t rounds)
{
    struct signalled s = {.rounds = rounds};
    sigset_t set, before;

    queued_count = queued_sum = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &set, &before));
    smp_run_team(4, wait_run, &s);
    CHECK_ZERO(pthread_sigmask(SIG_SETMASK, &before, NULL));
    CHECK(queued_count == rounds && queued_sum == rounds * (rounds + 1) / 2);
}

/* --- pipes: bytes of one writer in their order, whole below PIPE_BUF --- */

struct piped {
    int ends[2];
    uint64_t rounds;
    _Atomic uint64_t read;
};

enum { MESSAGE = 48 };

static void
piped_run(void *shared, unsigned number)
{
    struct piped *p = shared;
    uint64_t message[MESSAGE / 8], last[2] = {0};

    for (uint64_t i = 1; number < 2 && i <= p->rounds; i++) {
        for (unsigned k = 0; k < MESSAGE / 8; k++)
            message[k] = i * 2 + number;
        CHECK(write(p->ends[1], message, MESSAGE) == MESSAGE);
    }
    for (uint64_t i = 0; number == 2 && i < 2 * p->rounds; i++) {
        CHECK(read(p->ends[0], message, MESSAGE) == MESSAGE);
        for (unsigned k = 1; k < MESSAGE / 8; k++)
            CHECK(message[k] == message[0]);
        CHECK(message[0] / 2 == last[message[0] % 2] + 1);
        last[message[0] % 2]++;
    }
}

static void
test_pipes(uint64_t rounds)
{
    struct piped p = {.rounds = rounds};

    CHECK(pipe(p.ends) == 0);
    smp_run_team(3, piped_run, &p);
    close(p.ends[0]);
    close(p.ends[1]);
}

/* Descriptors that siblings open and close: each number is one thing at a time. */
static void
descriptors_run(void *shared, unsigned number)
{
    uint64_t rounds = *(uint64_t *)shared;

    for (uint64_t i = 0; i < rounds; i++) {
        int ends[2], copy;
        uint64_t out = i * 8 + number, in = 0;

        CHECK(pipe(ends) == 0);
        CHECK((copy = dup(ends[1])) >= 0);
        CHECK(close(ends[1]) == 0);
        CHECK(write(copy, &out, sizeof out) == sizeof out && close(copy) == 0);
        CHECK(read(ends[0], &in, sizeof in) == sizeof in && in == out);
        CHECK(read(ends[0], &in, sizeof in) == 0);
        CHECK(close(ends[0]) == 0);
    }
}

static void
test_descriptors(uint64_t rounds)
{
    smp_run_team(4, descriptors_run, &rounds);
}

/* --- code that goes while a sibling is in it, which it never leaves by a call --- */

void own_page_loop(volatile int *entered);
__asm__(".pushsection .text.own_page, \"ax\", @progbits\n"
        ".p2align 12\n"
        "own_page_loop: movl $1, (%rdi)\n"
        "1: pause\n"
        "jmp 1b\n"
        ".p2align 12\n"
        ".popsection");

static void *
loop_until_it_goes(void *entered)
{
    if (sigsetjmp(back, 0) == 0) {
        expects_fault = 1;
        own_page_loop(entered);
    }
    return NULL;
}

static void
test_code_goes(uint64_t rounds)
{
    catch_faults();
    for (uint64_t k = 0; k < rounds; k++) {
        volatile int entered = 0;
        unsigned turns = 0;
        pthread_t thread;

        CHECK_ZERO(pthread_create(&thread, NULL, loop_until_it_goes, (void *)&entered));
        while (!entered)
            smp_relax(&turns);
        CHECK(mprotect((void *)own_page_loop, PAGE, PROT_READ) == 0);
        CHECK_ZERO(pthread_join(thread, NULL));
        CHECK(mprotect((void *)own_page_loop, PAGE, PROT_READ | PROT_EXEC) == 0);
    }
}

static const struct smp_case cases[] = {
    {"mprotect", test_protect, 100},
    {"code", test_code_goes, 20},
    {"mremap", test_move, 100},
    {"munmap", test_unmap, 100},
    {"madvise", test_discard, 300},
    {"own pages", test_own_pages, 300},
    {"shared file", test_shared_file, 50000},
    {"fork", test_fork, 30},
    {"many forks", test_many_forks, 30},
    {"exit", test_exit, 10},
    {"exec", test_exec, 10},
    {"kill", test_kill, 10},
    {"stop", test_stop, 5},
    {"spawn", test_spawn, 10},
    {"signals", test_signals, 600},
    {"queued signals", test_queued, 500},
    {"waited signals", test_waited, 300},
    {"pipes", test_pipes, 3000},
    {"descriptors", test_descriptors, 500},
};

int
main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--ends")) /* the program that others become */
        return atoi(argv[2]);
    return smp_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
