/* sched_setattr and sched_getattr: sizes, policies, flags, and what may be set without rights. */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
    char more[4096];
};

static struct attr a;

static void
show(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
}

static long
set(int pid)
{
    return syscall(SYS_sched_setattr, pid, &a, 0);
}

#define SET(what, ...) (a = (struct attr){.size = 56, __VA_ARGS__}, show(what, set(0)))

static void
now(const char *what)
{
    struct attr b = {0};
    long r = syscall(SYS_sched_getattr, 0, &b, 56, 0);

    printf("%s: %ld size %u policy %u flags %llx nice %d priority %u deadline %llu\n", what, r, b.size, b.policy,
           (unsigned long long)b.flags, b.nice, b.priority, (unsigned long long)b.deadline);
}

static void
sizes(void)
{
    show("null", syscall(SYS_sched_getattr, 0, NULL, 56, 0)), show("flags", syscall(SYS_sched_getattr, 0, &a, 56, 1));
    show("short", syscall(SYS_sched_getattr, 0, &a, 47, 0)), show("long", syscall(SYS_sched_getattr, 0, &a, 4097, 0));
    show("first", syscall(SYS_sched_getattr, 0, &a, 48, 0)), printf("%u\n", a.size);
    show("page", syscall(SYS_sched_getattr, 0, &a, 4096, 0)), printf("%u\n", a.size);
    show("nowhere", syscall(SYS_sched_getattr, 0, (void *)8, 56, 0)),
        show("negative", syscall(SYS_sched_getattr, -1, &a, 56, 0));
    show("nobody", syscall(SYS_sched_getattr, 99999999, &a, 56, 0));
    show("null", syscall(SYS_sched_setattr, 0, NULL, 0)), show("flags", syscall(SYS_sched_setattr, 0, &a, 1));
    show("nowhere", syscall(SYS_sched_setattr, 0, (void *)8, 0));
    a = (struct attr){.size = 40}, show("short", set(0)), printf("%u\n", a.size);
    a = (struct attr){.size = 0}, show("none", set(0)), printf("%u\n", a.size);
    a = (struct attr){.size = 64}, show("longer, zeros", set(0));
    a = (struct attr){.size = 64}, a.more[3] = 1, show("longer, not zeros", set(0)), printf("%u\n", a.size);
    a = (struct attr){.size = 5000}, show("beyond a page", set(0)), printf("%u\n", a.size);
    a = (struct attr){.size = 56}, show("negative", set(-1)), show("nobody", set(99999999));
    a = (struct attr){.size = 48, .flags = 0x20}, show("clamp in the first size", set(0));
    SET("clamp", .flags = 0x20, .util_min = 1);
}

static void
values(void)
{
    SET("policy 4", .policy = 4), SET("policy 7", .policy = 7), SET("policy 99", .policy = 99),
        SET("negative", .policy = -1);
    SET("flag 0x80", .flags = 0x80), SET("a kernel's flag", .flags = 0x10000000);
    SET("round robin 0", .policy = 2), SET("round robin 100", .policy = 2, .priority = 100),
        SET("other 1", .priority = 1);
    SET("reset in the policy", .policy = 0x40000000);
    SET("deadline 0", .policy = 6),
        SET("deadline before runtime", .policy = 6, .runtime = 20000000, .deadline = 10000000);
    SET("nice 5", .nice = 5), now("then"), printf("getpriority %d\n", getpriority(PRIO_PROCESS, 0));
    SET("nice 99", .policy = 3, .nice = 99), now("then");
    SET("the policy stays", .policy = 77, .flags = 8, .nice = 19), now("then");
    SET("all stays", .flags = 16), now("then");
    SET("slice", .policy = 3, .nice = 19, .runtime = 5000000);
    syscall(SYS_sched_getattr, 0, &a, 56, 0);
    printf("%llu\n", (unsigned long long)a.runtime);
    SET("tiny slice", .policy = 3, .nice = 19, .runtime = 5), syscall(SYS_sched_getattr, 0, &a, 56, 0);
    printf("%llu\n", (unsigned long long)a.runtime);
    SET("reset", .policy = 3, .nice = 19, .flags = 1), now("then");
    SET("keeps reset", .flags = 8, .nice = 19), now("then");
}

static void
rights(void)
{
    struct rlimit none = {0};

    fflush(stdout);
    if (fork() == 0) {
        setrlimit(RLIMIT_NICE, &none), setrlimit(RLIMIT_RTPRIO, &none);
        if (geteuid() == 0)
            setuid(12345);
        SET("no better", .policy = 3, .nice = 18), SET("the same", .policy = 3, .nice = 19);
        SET("real time", .policy = 1, .priority = 1);
        SET("deadline", .policy = 6, .runtime = 10000000, .deadline = 20000000, .period = 20000000);
        SET("reset is kept", .policy = 3, .nice = 19, .flags = 1), SET("and not taken back", .policy = 3, .nice = 19);
        SET("idle", .policy = 5, .flags = 1), SET("and not back", .policy = 0, .nice = 19, .flags = 1), now("then");
        a = (struct attr){.size = 56, .nice = 19}, show("another's", set(getppid()));
        fflush(stdout), _exit(0);
    }
    wait(NULL);
}

/* Containers' root has no CAP_SYS_NICE. */
static void
drop_nice(void)
{
    struct {
        uint32_t version;
        int pid;
    } head = {0x20080522, 0};
    uint32_t data[6];

    syscall(SYS_capget, &head, data);
    data[0] &= ~(1u << 23), data[1] &= ~(1u << 23);
    syscall(SYS_capset, &head, data);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    drop_nice();
    now("at first");
    sizes();
    values();
    rights();
    return 0;
}
