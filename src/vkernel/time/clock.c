/* Clocks and sleeping. */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/ops.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time_internal.h"

#define NS NS_PER_SECOND
enum { USER_HZ_NS = 10000000 };

int
clock_read(int64_t id, uint64_t *ns)
{
    struct process *p;
    struct task *t;
    int r;

    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI: *ns = clock_realtime_ns(); return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM: *ns = clock_monotonic_ns(); return 0;
    default: break;
    }
    r = clock_cpu_owner(id, &p, &t);
    if (r < 0)
        return r;
    sched_account();
    *ns = t ? t->cpu_ns : p->cpu_ns;
    return 0;
}

/* CPU clocks of a process or thread: ~pid << 3 | per-thread 4 | which (0 PROF, 1 VIRT, 2 SCHED). */
int
clock_cpu_owner(int64_t id, struct process **process, struct task **task)
{
    int who = (int)~(id >> 3);

    *process = NULL;
    *task = NULL;
    if (id == CLOCK_PROCESS_CPUTIME_ID) {
        *process = current_process();
    } else if (id == CLOCK_THREAD_CPUTIME_ID) {
        *task = current_task();
    } else if (id >= 0 || (id & 3) == 3) {
        return -EINVAL;
    } else if (id & 4) {
        *task = who ? task_find(who) : current_task();
        if (*task && (*task)->process != current_process())
            *task = NULL;
    } else {
        *process = who ? process_find(who) : current_process();
    }
    return *process || *task ? 0 : -EINVAL;
}

int
clock_timer_check(int64_t id)
{
    struct process *p;
    struct task *t;

    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI: return 0;
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM: return capable(CAP_WAKE_ALARM) ? 0 : -EPERM;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE: return -EOPNOTSUPP;
    default: return clock_cpu_owner(id, &p, &t);
    }
}

int
timer_setting_from_guest(uint64_t address, struct timer_setting *s)
{
    int r = timespec_from_guest(address, &s->interval);

    return r < 0 ? r : timespec_from_guest(address + 16, &s->value);
}

int
timer_setting_to_guest(uint64_t address, const struct timer_setting *s)
{
    return timespec_to_guest(address, s->interval) < 0 || timespec_to_guest(address + 16, s->value) < 0 ? -EFAULT : 0;
}

uint64_t
timer_forward(uint64_t *deadline, uint64_t interval, uint64_t now)
{
    uint64_t n;

    if (now < *deadline)
        return 0;
    n = (now - *deadline) / interval + 1;
    *deadline += n * interval;
    return n;
}

uint64_t
timer_deadline(int clock, uint64_t value, bool absolute)
{
    uint64_t now = clock_monotonic_ns(), reading = now;

    if (!absolute)
        return now + value;
    clock_read(clock, &reading);
    return value > reading ? now + (value - reading) : now;
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
    struct process *p;
    struct task *t;
    uint64_t ns;
    int r;

    if ((int)a[0] != CLOCK_REALTIME && ((int)a[0] >= 0 || clock_cpu_owner((int)a[0], &p, &t) < 0))
        return -EINVAL;
    r = timespec_from_guest(a[1], &ns);
    return r < 0 ? r : -EPERM;
}

/* The clock's state, which is as the host keeps it: no guest sets it. */
static int64_t
adjust(guest_addr at)
{
    struct timex tx;

    if (copy_from_guest(&tx, at, sizeof tx) < 0)
        return -EFAULT;
    if (tx.modes)
        return -EPERM;
    memset(&tx, 0, sizeof tx);
    tx.tick = 10000;
    tx.status = STA_UNSYNC;
    tx.time.tv_sec = (time_t)(clock_realtime_ns() / NS);
    return copy_to_guest(at, &tx, sizeof tx) < 0 ? -EFAULT : TIME_ERROR;
}

int64_t
sys_adjtimex(const uint64_t a[6])
{
    return adjust(a[0]);
}

int64_t
sys_clock_adjtime(const uint64_t a[6])
{
    return adjust(a[1]);
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
sys_settimeofday(const uint64_t a[6])
{
    struct timeval tv;
    struct timezone tz;

    if ((a[0] && copy_from_guest(&tv, a[0], sizeof tv) < 0) || (a[1] && copy_from_guest(&tz, a[1], sizeof tz) < 0))
        return -EFAULT;
    if (a[0] && (tv.tv_sec < 0 || tv.tv_usec < 0 || tv.tv_usec >= 1000000))
        return -EINVAL;
    return -EPERM;
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
    t.tms_utime = (clock_t)((p->cpu_ns - p->system_ns) / USER_HZ_NS);
    t.tms_stime = (clock_t)(p->system_ns / USER_HZ_NS);
    t.tms_cutime = (clock_t)((p->children_cpu_ns - p->children_system_ns) / USER_HZ_NS);
    t.tms_cstime = (clock_t)(p->children_system_ns / USER_HZ_NS);
    if (a[0] && copy_to_guest(a[0], &t, sizeof t) < 0)
        return -EFAULT;
    return (int64_t)(clock_monotonic_ns() / USER_HZ_NS);
}

/* --- sleeping --- */

static int64_t
sleep_until(uint64_t deadline)
{
    for (;;) {
        int r = wait_on(&current_task()->sleep_queue, deadline);

        if (r == -ETIMEDOUT)
            return 0;
        if (r < 0)
            return r;
    }
}

/* restart_args: deadline, address of the remainder or 0. */
CALLBACK static int64_t
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
    struct task *t = current_task();

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

/* --- sleeping until a process has used some processor time --- */

struct cpu_sleep {
    struct cpu_timer timer;
    struct task *task;
    bool over;
};

CALLBACK static void
end_cpu_sleep(struct cpu_timer *c)
{
    struct cpu_sleep *s = list_entry(c, struct cpu_sleep, timer);

    s->over = true;
    wait_queue_wake(&s->task->sleep_queue);
}

static int64_t
cpu_sleep_until(struct process *p, uint64_t deadline)
{
    struct cpu_sleep s = {.task = current_task()};
    int r;

    sched_account();
    if (p->cpu_ns >= deadline)
        return 0;
    cpu_timer_init(&s.timer, end_cpu_sleep);
    cpu_timer_start(&s.timer, p, NULL, deadline);
    r = WAIT_EVENT(&current_task()->sleep_queue, WAIT_FOREVER, s.over);
    cpu_timer_stop(&s.timer);
    return r;
}

/* restart_args: deadline, address of the remainder or 0, the clock. */
CALLBACK static int64_t
resume_cpu_sleep(struct task *t)
{
    uint64_t deadline = t->restart_args[0], remainder = t->restart_args[1], now = 0;
    struct process *p;
    struct task *none;
    int64_t r = clock_cpu_owner((int64_t)t->restart_args[2], &p, &none);

    if (r == 0 && p)
        r = cpu_sleep_until(p, deadline);
    if (r != -ERESTARTSYS)
        return r;
    clock_read((int64_t)t->restart_args[2], &now);
    if (remainder && timespec_to_guest(remainder, deadline > now ? deadline - now : 0) < 0)
        return -EFAULT;
    t->restart = resume_cpu_sleep;
    return -ERESTART_RESTARTBLOCK;
}

static int64_t
cpu_sleep(int clock, struct process *p, uint64_t ns, bool absolute, uint64_t remainder)
{
    struct task *t = current_task();
    int64_t r;

    if (absolute) {
        r = cpu_sleep_until(p, ns);
        return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
    }
    sched_account();
    t->restart_args[0] = p->cpu_ns + ns;
    t->restart_args[1] = remainder;
    t->restart_args[2] = (uint64_t)(int64_t)clock;
    return resume_cpu_sleep(t);
}

int64_t
sys_clock_nanosleep(const uint64_t a[6])
{
    int clock = (int)a[0], r = clock == CLOCK_THREAD_CPUTIME_ID ? -EOPNOTSUPP : clock_timer_check(clock);
    bool absolute = (a[1] & TIMER_ABSTIME) != 0;
    struct process *p;
    struct task *t;
    uint64_t ns, now;
    int64_t result;

    if (r < 0)
        return r;
    r = timespec_from_guest(a[2], &ns);
    if (r < 0)
        return r;
    if (clock_cpu_owner(clock, &p, &t) == 0)
        return t ? -EINVAL /* of a thread: Linux has it for others than the caller */
                 : cpu_sleep(clock, p, ns, absolute, a[3]);
    if (!absolute)
        return sleep_for(ns, a[3]);
    r = clock_read(clock, &now);
    if (r < 0)
        return r;
    result = ns <= now ? 0 : sleep_until(clock_monotonic_ns() + (ns - now));
    return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

int64_t
sys_restart_syscall(const uint64_t a[6])
{
    struct task *t = current_task();
    int64_t (*restart)(struct task *) = t->restart ? CALLED(t->restart) : NULL;

    t->restart = NULL;
    return restart ? restart(t) : -EINTR;
}
