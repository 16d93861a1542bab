/* Linked into a vkernel that is to be fuzzed. When the guest's process 1 asks for a program, the booted container
 * becomes a server: for each program of the driver the whole host process is copied, so that each starts from the same
 * container.
 *
 * Calls between files of the vkernel and to the C library go through here by the linker's --wrap (meson.build), so
 * nothing in the vkernel knows of it. In the copy time is virtual: it runs eightfold, and where the container would
 * sleep it jumps; whoever sleeps for ever is found at once. Preemption is drawn from the program's seed. Allocations
 * and host calls fail where the program says.
 *
 * With several processors the server has the host thread of the first alone, as a fork copies one. Each copy makes the
 * others. */
#include "fuzz/syscalls/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/syscalls/invariants.h"
#include "fuzz/syscalls/races.h"
#include "platform/heap.h"
#include "platform/hostfs.h"
#include "platform/lockdown.h"
#include "platform/platform.h"
#include "platform/sanitizer.h"
#include "platform/thread.h"
#include "vkernel/mm/mm.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/process.h"
#include "vkernel/trust/ledger.h"

#if PLATFORM_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

enum { EXIT_DEADLOCK = 97, TIME_FACTOR = 8, LEAST_SLEEP_NS = 2000000 };

static struct fuzz_shared *shared;
static bool in_copy;
static uint64_t random_state, failing_calls;
static uint64_t clock_base, clock_jumped;
static unsigned processors; /* of a copy */
static uint32_t guard_count, place_count;
static uint64_t places[COVERAGE_SIZE];

int64_t __real_syscall_dispatch(int64_t nr, uint64_t a[6]);
int64_t __wrap_syscall_dispatch(int64_t nr, uint64_t a[6]);

/* --- coverage --- */

__attribute__((visibility("default"))) void
__sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *end)
{
    if (start == end || *start)
        return;
    while (start < end)
        *start++ = ++guard_count;
}

/* Pairs of address and flags, in the guards' order; bit 0 of the flags: a function's entry. */
__attribute__((visibility("default"))) void
__sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *end)
{
    for (; start < end; start += 2)
        if (++place_count < COVERAGE_SIZE)
            places[place_count] = *start | (start[1] & 1) * PLACE_ENTRY;
}

__attribute__((visibility("default"), no_sanitize("address", "undefined"))) void
__sanitizer_cov_trace_pc_guard(uint32_t *guard)
{
    if (in_copy) {
        uint8_t *c = &shared->coverage[*guard % COVERAGE_SIZE];

        *c += *c != 255;
    }
}

/* --- failures --- */

static bool
fails(void)
{
    const struct program *p;

    if (!in_copy || platform_mode != PLATFORM_KERNEL)
        return false;
    p = &shared->program;
    shared->fallible = ++failing_calls;
    if (!p->fail_after || failing_calls < p->fail_after)
        return false;
    if (failing_calls != p->fail_after && (!p->fail_every || (failing_calls - p->fail_after) % p->fail_every))
        return false;
    shared->injected++;
    return true;
}

#define MAY_FAIL(type, name, failure, error, parameters, arguments) \
    type __real_##name parameters;                                  \
    type __wrap_##name parameters;                                  \
    type __wrap_##name parameters                                   \
    {                                                               \
        if (fails()) {                                              \
            errno = error;                                          \
            return failure;                                         \
        }                                                           \
        return __real_##name arguments;                             \
    }

MAY_FAIL(void *, malloc, NULL, ENOMEM, (size_t size), (size))
MAY_FAIL(void *, calloc, NULL, ENOMEM, (size_t count, size_t size), (count, size))
MAY_FAIL(void *, realloc, NULL, ENOMEM, (void *p, size_t size), (p, size))
MAY_FAIL(void *, pool_new, NULL, ENOMEM, (struct pool * pool), (pool))
MAY_FAIL(void *, array_new, NULL, ENOMEM, (size_t count, size_t size), (count, size))
MAY_FAIL(void *, bytes_new, NULL, ENOMEM, (size_t size), (size))
MAY_FAIL(int, memfd_create, -1, EMFILE, (const char *name, unsigned flags), (name, flags))
MAY_FAIL(int, ftruncate, -1, ENOSPC, (int fd, off_t size), (fd, size))
MAY_FAIL(int, mprotect, -1, ENOMEM, (void *p, size_t size, int prot), (p, size, prot))
MAY_FAIL(int, madvise, -1, EAGAIN, (void *p, size_t size, int advice), (p, size, advice))
MAY_FAIL(void *, mmap, MAP_FAILED, ENOMEM, (void *p, size_t size, int prot, int flags, int fd, off_t at),
         (p, size, prot, flags, fd, at))
MAY_FAIL(ssize_t, pread, -1, EIO, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
MAY_FAIL(ssize_t, pwrite, -1, ENOSPC, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))

/* --- time --- */

uint64_t __real_platform_monotonic_ns(void);
uint64_t __wrap_platform_monotonic_ns(void);
uint64_t __real_platform_realtime_ns(void);
uint64_t __wrap_platform_realtime_ns(void);
int __real_platform_idle(struct pollfd *fds, unsigned count, uint64_t timeout);
int __wrap_platform_idle(struct pollfd *fds, unsigned count, uint64_t timeout);

static uint64_t
clock_ahead(void)
{
    return in_copy && !shared->plain ? (__real_platform_monotonic_ns() - clock_base) * (TIME_FACTOR - 1) + clock_jumped
                                     : 0;
}

uint64_t
__wrap_platform_monotonic_ns(void)
{
    return __real_platform_monotonic_ns() + clock_ahead();
}

uint64_t
__wrap_platform_realtime_ns(void)
{
    return __real_platform_realtime_ns() + clock_ahead();
}

/* Which processors sleep until they are called. */
static bool parked[PLATFORM_THREADS_MAX];

void __real_platform_thread_park(void);
void __wrap_platform_thread_park(void);
void __real_platform_thread_unpark(unsigned number);
void __wrap_platform_thread_unpark(unsigned number);

void
__wrap_platform_thread_park(void)
{
    unsigned number = platform_thread_tls->number;

    parked[number] = true;
    if (in_copy)
        platform_wake_idle(); /* the poller may be the last one now */
    __real_platform_thread_park();
    parked[number] = false;
}

void
__wrap_platform_thread_unpark(unsigned number)
{
    parked[number] = false;
    __real_platform_thread_unpark(number);
}

/* Called by the poller. */
static bool
others_sleep(void)
{
    unsigned n = 1;

    for (unsigned k = 0; k < platform_threads; k++)
        n += parked[k];
    return n == platform_threads;
}

/* The call in which a task is, by the last digits of its number; -1: none. */
enum { CALLS = 256 };
static int64_t calls_now[CALLS];

/* Nothing can ever run again: which tasks there are, and in which calls they sleep. */
static void
report_deadlock(void)
{
    static const char *const states[] =
        {[TASK_RUNNING] = "running", [TASK_SLEEPING] = "sleeping", [TASK_DEAD] = "dead"};

    dprintf(2, "fuzz: deadlock: every task sleeps, and no timer runs\n");
    LIST_EACH(p, &process_list) {
        struct process *of = list_entry(p, struct process, all);

        LIST_EACH(t, &of->threads) {
            struct task *task = list_entry(t, struct task, thread_link);
            struct sched_entity *e = &task->sched;

            dprintf(
                2,
                "  task %d of process %d, %s, call %lld, processor %u%s%s%s, pending %#llx and %#llx, blocked %#llx\n",
                task->tid, of->pid, states[e->state], (long long)calls_now[(unsigned)task->tid % CALLS],
                e->last_processor, e->queued ? ", queued" : "", e->runs_on ? ", runs" : "",
                e->killable_only ? ", for its end only" : "", (unsigned long long)task->pending.set,
                (unsigned long long)of->pending.set, (unsigned long long)task->blocked);
        }
    }
}

int
__wrap_platform_idle(struct pollfd *fds, unsigned count, uint64_t timeout)
{
    int n;

    if (!in_copy || shared->plain || timeout == 0)
        return __real_platform_idle(fds, count, timeout);
    n = __real_platform_idle(fds, count, 0);
    if (n != 0)
        return n;
    if (!others_sleep())
        return __real_platform_idle(fds, count, timeout == UINT64_MAX ? timeout : timeout / TIME_FACTOR);
    if (timeout == UINT64_MAX) {
        shared->deadlock = 1;
        report_deadlock();
        _exit(EXIT_DEADLOCK);
    }
    clock_jumped += timeout < LEAST_SLEEP_NS ? LEAST_SLEEP_NS : timeout;
    return 0;
}

/* --- what a copied process must open anew --- */

int __real_platform_written_pages(const void *at, size_t count, bool anonymous, uint16_t *bits);
int __wrap_platform_written_pages(const void *at, size_t count, bool anonymous, uint16_t *bits);

int
__wrap_platform_written_pages(const void *at, size_t count, bool anonymous, uint16_t *bits)
{
    static int fd;
    static bool opened;
    uint64_t entry, page = (uintptr_t)at / PAGE_SIZE;

    if (!in_copy)
        return __real_platform_written_pages(at, count, anonymous, bits);
    if (!opened)
        fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    opened = true;
    for (size_t i = 0; i < count; i++) {
        bool written;

        if (__real_pread(fd, &entry, sizeof entry, (off_t)((page + i) * sizeof entry)) != (ssize_t)sizeof entry)
            return -EIO;
        written = entry >> 62 && !(entry >> 61 & 1);
        bits[i / 16] = (uint16_t)((i % 16 ? bits[i / 16] : 0) | written << i % 16);
    }
    return 0;
}

/* --- the server --- */

/* The driver asks a container that does not end where it is. */
static void
on_asked(int sig)
{
    (void)sig;
#if PLATFORM_SANITIZED
    static const char text[] = "fuzz: hang: the container does not end\n";

    if (write(2, text, sizeof text - 1) > 0)
        __sanitizer_print_stack_trace();
#endif
    _exit(98);
}

/* Timers and threads are no part of a copy. The tick is armed when the guest goes on. */
static void
make_threads(void)
{
    if (!platform_tick_init(platform_thread_tls, 0))
        platform_die("fuzz: no host timer");
    sched_tick_wanted = true;
    if (platform_threads_start(processors) < processors)
        platform_die("fuzz: no host threads");
    for (unsigned k = 1; k < processors; k++)
        parked[k] = true;
    sched_take_processors();
}

static void
enter_copy(void)
{
    struct sigaction sa = {.sa_handler = on_asked, .sa_flags = SA_ONSTACK};

    sigaction(SIGPROF, &sa, NULL);
    make_threads();
    clock_base = __real_platform_monotonic_ns();
    random_state = shared->program.seed | 1;
    races_start(shared);
    if (shared->program.flags & PROGRAM_EVAL_UNKNOWN)
        ledger_policy = LEDGER_EVAL_UNKNOWN;
    /* Descriptors of /proc/self/fd and of the host's changes are those of the server until now. */
    host_open_files(true);
    in_copy = true;
}

static int64_t
serve(const uint64_t a[6])
{
    char go;

    if (!shared) {
        void *p = __real_mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);

        if (p == MAP_FAILED)
            return -ENOSYS;
        shared = p;
        shared->guards = guard_count;
        memcpy(shared->places, places, sizeof places);
    }
    for (;;) {
        int status = 0;
        pid_t child;

        if (read(CONTROL_FD, &go, 1) != 1)
            _exit(0);
        child = fork();
        if (child == 0) {
            enter_copy();
            return copy_to_guest(a[0], &shared->program, sizeof shared->program) < 0 ? -EFAULT : 0;
        }
        if (write(STATUS_FD, &child, sizeof child) != sizeof child)
            _exit(0);
        while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (write(STATUS_FD, &status, sizeof status) != sizeof status)
            _exit(0);
    }
}

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void
check_space(int64_t nr)
{
    bool maps = nr == SYS_mmap || nr == SYS_mprotect || nr == SYS_mremap || nr == SYS_munmap || nr == SYS_madvise ||
                nr == SYS_ftruncate;

    /* Not while failures are injected: the looking would fail, too. */
    if (maps)
        check_mappings();
    if (maps && !shared->program.fail_after && next_random() % 16 == 0)
        check_host_pages();
}

int64_t
__wrap_syscall_dispatch(int64_t nr, uint64_t a[6])
{
    int64_t result;

    if (nr == SERVER_CALL && !in_copy)
        return serve(a);
    races_call_begins(nr);
    calls_now[(unsigned)current_task()->tid % CALLS] = nr;
    result = __real_syscall_dispatch(nr, a);
    calls_now[(unsigned)current_task()->tid % CALLS] = -1;
    races_call_ends();
    if (in_copy) {
        shared->calls++;
        if (nr >= 0 && nr <= SERVER_CALL && result >= 0)
            shared->results[nr].good++;
        else if (nr >= 0 && nr <= SERVER_CALL)
            shared->results[nr].bad++;
        if (!shared->plain && next_random() % 4 == 0)
            platform_ticked = 1;
        check_space(nr);
    }
    return result;
}

char *__wrap_platform_handed_options(const char *where);

/* The driver's options, from the environment, which artifacts take none from. */
char *
__wrap_platform_handed_options(const char *where)
{
    size_t size = strlen(where) + 1;
    char *text = bytes_new(size);

    return text ? memcpy(text, where, size) : NULL;
}

int __wrap_platform_lockdown(struct lockdown *l);

/* The server makes processes, and has one processor. */
int
__wrap_platform_lockdown(struct lockdown *l)
{
    processors = l->threads > 1 ? l->threads : 1;
    l->threads_made = processors;
    return 0;
}

_Noreturn void __real_container_exit(int status);
_Noreturn void __wrap_container_exit(int status);

_Noreturn void
__wrap_container_exit(int status)
{
#if ADDRESS_SANITIZED
    extern int __lsan_do_recoverable_leak_check(void);

    if (in_copy && shared->check_leaks && __lsan_do_recoverable_leak_check())
        _exit(96);
#endif
    if (in_copy)
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    __real_container_exit(status);
}
