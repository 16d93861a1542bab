/* Clocks and sleeping. */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/time/time_internal.h"

#define NS 1000000000ull
enum { USER_HZ_NS = 10000000 };

int
timespec_from_guest(uint64_t address, uint64_t *ns)
{
    struct timespec ts;

    if (copy_from_guest(&ts, address, sizeof ts) < 0)
        return -EFAULT;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long)NS)
        return -EINVAL;
    *ns = (uint64_t)ts.tv_sec > 9000000000u ? UINT64_MAX / 2 : (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
    return 0;
}

int
timespec_to_guest(uint64_t address, uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};

    return copy_to_guest(address, &ts, sizeof ts);
}

int
clock_read(int64_t id, uint64_t *ns)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        *ns = clock_realtime_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        *ns = clock_monotonic_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        sched_account();
        *ns = current_process()->cpu_ns;
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        sched_account();
        *ns = sched_current->cpu_ns;
        return 0;
    default:
        break;
    }
    /* CPU clocks of a process or thread: ~pid << 3 | per-thread 4 | which (0 PROF, 1 VIRT, 2 SCHED). */
    if (id < 0 && (id & 3) != 3) {
        int who = (int)~(id >> 3);

        sched_account();
        if (id & 4) {
            struct task *t = who ? task_find(who) : sched_current;

            if (!t || t->process != current_process())
                return -EINVAL;
            *ns = t->cpu_ns;
        } else {
            struct process *p = who ? process_find(who) : current_process();

            if (!p)
                return -EINVAL;
            *ns = p->cpu_ns;
        }
        return 0;
    }
    return -EINVAL;
}

int64_t
sys_clock_gettime(const uint64_t a[6])
{
    uint64_t ns;
    int r = clock_read((int)a[0], &ns);

    if (r < 0)
        return r;
    return timespec_to_guest(a[1], ns) < 0 ? -EFAULT : 0;
}

int64_t
sys_clock_getres(const uint64_t a[6])
{
    uint64_t ns;
    int r = clock_read((int)a[0], &ns);

    if (r < 0)
        return r;
    ns = a[0] == CLOCK_REALTIME_COARSE || a[0] == CLOCK_MONOTONIC_COARSE ? 4000000 : 1;
    return a[1] && timespec_to_guest(a[1], ns) < 0 ? -EFAULT : 0;
}

/* The container does not set the host's clock. */
int64_t
sys_clock_settime(const uint64_t a[6])
{
    return -EPERM;
}

int64_t
sys_clock_adjtime(const uint64_t a[6])
{
    struct timex tx;

    if (copy_from_guest(&tx, a[1], sizeof tx) < 0)
        return -EFAULT;
    if (tx.modes)
        return -EPERM;
    memset(&tx, 0, sizeof tx);
    tx.tick = 10000;
    tx.status = STA_UNSYNC;
    tx.time.tv_sec = (time_t)(clock_realtime_ns() / NS);
    return copy_to_guest(a[1], &tx, sizeof tx) < 0 ? -EFAULT : TIME_ERROR;
}

int64_t
sys_gettimeofday(const uint64_t a[6])
{
    uint64_t ns = clock_realtime_ns();
    struct timeval tv = {.tv_sec = (time_t)(ns / NS), .tv_usec = (suseconds_t)(ns % NS / 1000)};
    struct timezone tz = {0};

    if (a[0] && copy_to_guest(a[0], &tv, sizeof tv) < 0)
        return -EFAULT;
    return a[1] && copy_to_guest(a[1], &tz, sizeof tz) < 0 ? -EFAULT : 0;
}

int64_t
sys_time(const uint64_t a[6])
{
    int64_t now = (int64_t)(clock_realtime_ns() / NS);

    return a[0] && copy_to_guest(a[0], &now, sizeof now) < 0 ? -EFAULT : now;
}

int64_t
sys_times(const uint64_t a[6])
{
    struct process *p = current_process();
    struct tms t = {0};

    sched_account();
    t.tms_utime = (clock_t)(p->cpu_ns / USER_HZ_NS);
    t.tms_cutime = (clock_t)(p->children_cpu_ns / USER_HZ_NS);
    if (a[0] && copy_to_guest(a[0], &t, sizeof t) < 0)
        return -EFAULT;
    return (int64_t)(clock_monotonic_ns() / USER_HZ_NS);
}

/* --- sleeping --- */

static int64_t
sleep_until(uint64_t deadline)
{
    for (;;) {
        int r = wait_on(&sched_current->sleep_queue, deadline);

        if (r == -ETIMEDOUT)
            return 0;
        if (r < 0)
            return r;
    }
}

/* restart_args: deadline, address of the remainder or 0. */
static int64_t
resume_sleep(struct task *t)
{
    uint64_t deadline = t->restart_args[0], remainder = t->restart_args[1], now;
    int64_t r = sleep_until(deadline);

    if (r == 0)
        return 0;
    now = clock_monotonic_ns();
    if (remainder && timespec_to_guest(remainder, deadline > now ? deadline - now : 0) < 0)
        return -EFAULT;
    t->restart = resume_sleep;
    return -ERESTART_RESTARTBLOCK;
}

static int64_t
sleep_for(uint64_t ns, uint64_t remainder)
{
    struct task *t = sched_current;

    t->restart_args[0] = clock_monotonic_ns() + ns;
    t->restart_args[1] = remainder;
    return resume_sleep(t);
}

int64_t
sys_nanosleep(const uint64_t a[6])
{
    uint64_t ns;
    int r = timespec_from_guest(a[0], &ns);

    return r < 0 ? r : sleep_for(ns, a[1]);
}

int64_t
sys_clock_nanosleep(const uint64_t a[6])
{
    uint64_t ns, now;
    int r = clock_read((int)a[0], &now);
    int64_t result;

    if (r < 0 || a[0] == CLOCK_THREAD_CPUTIME_ID)
        return -EINVAL;
    r = timespec_from_guest(a[2], &ns);
    if (r < 0)
        return r;
    if (!(a[1] & TIMER_ABSTIME))
        return sleep_for(ns, a[3]);
    result = ns <= now ? 0 : sleep_until(clock_monotonic_ns() + (ns - now));
    return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

int64_t
sys_restart_syscall(const uint64_t a[6])
{
    struct task *t = sched_current;
    int64_t (*restart)(struct task *) = t->restart;

    t->restart = NULL;
    return restart ? restart(t) : -EINTR;
}
