/* Interval timers, POSIX timers and timerfd. All run on the monotonic clock; absolute times on the realtime clock are
 * converted when they are set (the container's clock is never set). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/fs/file.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/time/time_internal.h"

#define NS 1000000000ull
enum { MAX_TIMERS = 4096, MIN_INTERVAL = 10000 };

/* --- setitimer, alarm --- */

static void
itimer_fired(struct ktimer *k)
{
    struct process *p = list_entry(k, struct process, itimer_real);

    signal_send_process(p, SIGALRM);
    if (p->itimer_real_interval)
        ktimer_start(k, k->deadline + p->itimer_real_interval);
    else
        k->deadline = 0;
}

static uint64_t
real_left(const struct process *p)
{
    uint64_t now = clock_monotonic_ns();

    if (!p->itimer_real.deadline)
        return 0;
    return p->itimer_real.deadline > now ? p->itimer_real.deadline - now : 1000;
}

static void
set_real(struct process *p, uint64_t value, uint64_t interval)
{
    ktimer_stop(&p->itimer_real);
    p->itimer_real.deadline = 0;
    p->itimer_real.fire = itimer_fired;
    p->itimer_real_interval = interval && interval < MIN_INTERVAL ? MIN_INTERVAL : interval;
    if (value)
        ktimer_start(&p->itimer_real, clock_monotonic_ns() + value);
}

/* VIRTUAL and PROF count the processor time of the process: looked at on every tick. */
void
proc_check_cpu_timers(struct process *p)
{
    static const int signals[2] = {SIGVTALRM, SIGPROF};

    for (int i = 0; i < 2; i++) {
        if (!p->itimer_virtual[i][0] || p->cpu_ns < p->itimer_virtual[i][0])
            continue;
        signal_send_process(p, signals[i]);
        p->itimer_virtual[i][0] = p->itimer_virtual[i][1] ? p->cpu_ns + p->itimer_virtual[i][1] : 0;
    }
    if (p->rlimits[RLIMIT_CPU].rlim_cur != RLIM_INFINITY && p->cpu_ns / NS >= p->rlimits[RLIMIT_CPU].rlim_cur) {
        signal_send_process(p, p->cpu_ns / NS >= p->rlimits[RLIMIT_CPU].rlim_max ? SIGKILL : SIGXCPU);
        p->rlimits[RLIMIT_CPU].rlim_cur++;
    }
}

static struct itimerval
itimerval_of(uint64_t value, uint64_t interval)
{
    return (struct itimerval){
        .it_value = {(time_t)(value / NS), (suseconds_t)(value % NS / 1000)},
        .it_interval = {(time_t)(interval / NS), (suseconds_t)(interval % NS / 1000)},
    };
}

static int
read_itimer(int which, struct itimerval *out)
{
    struct process *p = current_process();

    if (which == ITIMER_REAL) {
        *out = itimerval_of(real_left(p), p->itimer_real_interval);
        return 0;
    }
    if (which != ITIMER_VIRTUAL && which != ITIMER_PROF)
        return -EINVAL;
    sched_account();
    which--;
    *out = itimerval_of(p->itimer_virtual[which][0] > p->cpu_ns ? p->itimer_virtual[which][0] - p->cpu_ns : 0,
                        p->itimer_virtual[which][1]);
    return 0;
}

int64_t
sys_getitimer(const uint64_t a[6])
{
    struct itimerval it;
    int r = read_itimer((int)a[0], &it);

    if (r < 0)
        return r;
    return copy_to_guest(a[1], &it, sizeof it) < 0 ? -EFAULT : 0;
}

static bool
bad_timeval(const struct timeval *tv)
{
    return tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000;
}

int64_t
sys_setitimer(const uint64_t a[6])
{
    struct process *p = current_process();
    struct itimerval it = {0}, old;
    uint64_t value, interval;
    int r = read_itimer((int)a[0], &old);

    if (r < 0)
        return r;
    if (a[1] && copy_from_guest(&it, a[1], sizeof it) < 0)
        return -EFAULT;
    if (bad_timeval(&it.it_value) || bad_timeval(&it.it_interval))
        return -EINVAL;
    if (a[2] && copy_to_guest(a[2], &old, sizeof old) < 0)
        return -EFAULT;
    value = (uint64_t)it.it_value.tv_sec * NS + (uint64_t)it.it_value.tv_usec * 1000;
    interval = (uint64_t)it.it_interval.tv_sec * NS + (uint64_t)it.it_interval.tv_usec * 1000;
    if (a[0] == ITIMER_REAL) {
        set_real(p, value, interval);
    } else {
        p->itimer_virtual[a[0] - 1][0] = value ? p->cpu_ns + value : 0;
        p->itimer_virtual[a[0] - 1][1] = interval;
        if (value) /* the tick must run */
            sched_yield_now();
    }
    return 0;
}

int64_t
sys_alarm(const uint64_t a[6])
{
    uint64_t left = real_left(current_process());

    set_real(current_process(), (a[0] & 0xffffffffu) * NS, 0);
    return (int64_t)((left + NS / 2) / NS) + (left && left < NS / 2);
}

/* --- POSIX timers --- */

struct posix_timer {
    struct list link;
    struct process *process;
    int id, notify, sig, clock;
    int tid;
    uint64_t value;          /* sigev_value */
    uint64_t interval;
    uint64_t overrun, last_overrun;
    struct ktimer timer;
};

/* A timer has one signal: while that is pending, expirations are overruns of it. */
static bool
add_to_pending(struct posix_timer *t, struct list *pending)
{
    LIST_EACH(l, pending) {
        struct signal_entry *e = list_entry(l, struct signal_entry, link);

        if (e->info.si_code != SI_TIMER || e->info.si_timerid != t->id)
            continue;
        t->last_overrun = t->overrun + (uint64_t)e->info.si_overrun + 1;
        e->info.si_overrun = (int)t->last_overrun;
        t->overrun = 0;
        return true;
    }
    return false;
}

static void
posix_fired(struct ktimer *k)
{
    struct posix_timer *t = list_entry(k, struct posix_timer, timer);
    struct task *target = t->notify == SIGEV_THREAD_ID ? task_find(t->tid) : NULL;
    siginfo_t info;

    if (t->interval) {
        uint64_t now = clock_monotonic_ns(), next = k->deadline + t->interval;

        if (next <= now) {
            uint64_t missed = (now - next) / t->interval + 1;

            t->overrun += missed;
            next += missed * t->interval;
        }
        ktimer_start(k, next);
    } else {
        k->deadline = 0;
    }
    if (t->notify == SIGEV_NONE)
        return;
    if (t->notify == SIGEV_THREAD_ID && (!target || target->process != t->process))
        return;
    if (add_to_pending(t, target ? &target->pending : &t->process->pending))
        return;
    memset(&info, 0, sizeof info);
    info.si_signo = t->sig;
    info.si_code = SI_TIMER;
    info.si_timerid = t->id;
    info.si_overrun = (int)t->overrun;
    info.si_ptr = (void *)(uintptr_t)t->value;
    t->last_overrun = t->overrun;
    t->overrun = 0;
    signal_send_info(t->process, target, &info);
}

static struct posix_timer *
find_timer(uint64_t id)
{
    LIST_EACH(l, &current_process()->posix_timers) {
        struct posix_timer *t = list_entry(l, struct posix_timer, link);

        if (t->id == (int)id)
            return t;
    }
    return NULL;
}

static void
timer_free(struct posix_timer *t)
{
    ktimer_stop(&t->timer);
    list_remove(&t->link);
    free(t);
}

void
timers_exec(struct process *p)
{
    LIST_EACH_SAFE(l, &p->posix_timers)
        timer_free(list_entry(l, struct posix_timer, link));
}

void
timers_exit(struct process *p)
{
    ktimer_stop(&p->itimer_real);
    timers_exec(p);
}

struct guest_sigevent {
    uint64_t value;
    int32_t sig, notify, tid, pad[11];
};
_Static_assert(sizeof(struct guest_sigevent) == 64, "sigevent");

int64_t
sys_timer_create(const uint64_t a[6])
{
    struct process *p = current_process();
    struct guest_sigevent ev = {.sig = SIGALRM, .notify = SIGEV_SIGNAL};
    struct posix_timer *t;
    unsigned count = 0;
    uint64_t now;
    int r = clock_read((int)a[0], &now);

    if (r < 0)
        return r;
    if (a[1] && copy_from_guest(&ev, a[1], sizeof ev) < 0)
        return -EFAULT;
    if (ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_NONE && ev.notify != SIGEV_THREAD_ID)
        return -EINVAL;
    if (ev.notify != SIGEV_NONE && (ev.sig < 1 || ev.sig > 64))
        return -EINVAL;
    if (ev.notify == SIGEV_THREAD_ID) {
        struct task *target = task_find(ev.tid);

        if (!target || target->process != p)
            return -EINVAL;
    }
    LIST_EACH(l, &p->posix_timers)
        count++;
    if (count >= MAX_TIMERS)
        return -EAGAIN;
    t = calloc(1, sizeof *t);
    if (!t)
        return -EAGAIN;
    t->process = p;
    t->id = p->next_timer_id++;
    t->notify = ev.notify;
    t->sig = ev.sig;
    t->tid = ev.tid;
    t->clock = (int)a[0];
    t->value = a[1] ? ev.value : (uint64_t)t->id;
    t->timer.fire = posix_fired;
    list_append(&p->posix_timers, &t->link);
    if (copy_to_guest(a[2], &t->id, sizeof t->id) < 0) {
        timer_free(t);
        return -EFAULT;
    }
    return 0;
}

struct setting {
    uint64_t interval, value;
};

static int
read_setting(uint64_t address, struct setting *s)
{
    int r = timespec_from_guest(address, &s->interval);

    if (r == 0)
        r = timespec_from_guest(address + 16, &s->value);
    if (s->interval && s->interval < MIN_INTERVAL)
        s->interval = MIN_INTERVAL;
    return r;
}

static int
write_setting(uint64_t address, const struct ktimer *k, uint64_t interval)
{
    uint64_t now = clock_monotonic_ns(), left = 0;

    if (k->deadline)
        left = k->deadline > now ? k->deadline - now : 1;
    if (timespec_to_guest(address, interval) < 0 || timespec_to_guest(address + 16, left) < 0)
        return -EFAULT;
    return 0;
}

static void
arm(struct ktimer *k, const struct setting *s, int clock, bool absolute)
{
    uint64_t now = clock_monotonic_ns(), reading;

    ktimer_stop(k);
    k->deadline = 0;
    if (!s->value)
        return;
    if (!absolute)
        ktimer_start(k, now + s->value);
    else if (clock_read(clock, &reading) == 0)
        ktimer_start(k, s->value > reading ? now + (s->value - reading) : now);
}

int64_t
sys_timer_settime(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);
    struct setting s;
    int r;

    if (!t || !a[2])
        return -EINVAL;
    r = read_setting(a[2], &s);
    if (r < 0)
        return r;
    if (a[3] && write_setting(a[3], &t->timer, t->interval) < 0)
        return -EFAULT;
    t->interval = s.interval;
    t->overrun = 0;
    arm(&t->timer, &s, t->clock, (a[1] & TIMER_ABSTIME) != 0);
    return 0;
}

int64_t
sys_timer_gettime(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);

    return t ? write_setting(a[1], &t->timer, t->interval) : -EINVAL;
}

int64_t
sys_timer_getoverrun(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);

    return t ? (int64_t)t->last_overrun : -EINVAL;
}

int64_t
sys_timer_delete(const uint64_t a[6])
{
    struct posix_timer *t = find_timer(a[0]);

    if (!t)
        return -EINVAL;
    timer_free(t);
    return 0;
}

/* --- timerfd --- */

struct timerfd {
    struct ktimer timer;
    struct wait_queue queue;
    uint64_t interval, expirations;
    int clock;
};

static void
timerfd_fired(struct ktimer *k)
{
    struct timerfd *t = list_entry(k, struct timerfd, timer);

    t->expirations++;
    if (t->interval) {
        uint64_t now = clock_monotonic_ns(), next = k->deadline + t->interval;

        if (next <= now) {
            uint64_t missed = (now - next) / t->interval + 1;

            t->expirations += missed;
            next += missed * t->interval;
        }
        ktimer_start(k, next);
    } else {
        k->deadline = 0;
    }
    wait_queue_wake(&t->queue);
}

static ssize_t
timerfd_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct timerfd *t = f->data;
    uint64_t n;

    if (iov_total(iov, count) < sizeof n)
        return -EINVAL;
    if (!t->expirations)
        return -EAGAIN;
    n = t->expirations;
    t->expirations = 0;
    return iov_scatter(iov, count, 0, &n, sizeof n) == sizeof n ? (ssize_t)sizeof n : -EFAULT;
}

static unsigned
timerfd_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct timerfd *t = f->data;

    if (queues && *count < max)
        queues[(*count)++] = &t->queue;
    return t->expirations ? POLLIN : 0;
}

static void
timerfd_release(struct file *f)
{
    struct timerfd *t = f->data;

    ktimer_stop(&t->timer);
    wait_queue_fini(&t->queue);
    free(t);
}

static const struct file_ops timerfd_ops = {
    .name = "timerfd",
    .read = timerfd_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
};

int64_t
sys_timerfd_create(const uint64_t a[6])
{
    struct timerfd *t;
    struct file *f;
    uint64_t now;
    int64_t r;

    if ((a[1] & ~(uint64_t)(TFD_CLOEXEC | TFD_NONBLOCK)) || a[0] == CLOCK_PROCESS_CPUTIME_ID ||
        a[0] == CLOCK_THREAD_CPUTIME_ID || clock_read((int)a[0], &now) < 0)
        return -EINVAL;
    t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->timer.fire = timerfd_fired;
    t->clock = (int)a[0];
    wait_queue_init(&t->queue);
    f = file_new(&timerfd_ops, O_RDWR | ((int)a[1] & TFD_NONBLOCK));
    if (!f) {
        free(t);
        return -ENOMEM;
    }
    f->data = t;
    r = fd_install(f, 0, (int)a[1] & TFD_CLOEXEC);
    if (r < 0)
        file_put(f);
    return r;
}

/* The timer of a descriptor and the reference to its file that keeps it. NULL: *error says why. */
static struct file *
timerfd_of(uint64_t fd, struct timerfd **out, int *error)
{
    FILE_REF struct file *f = fd_get((int)fd);

    *out = f && f->ops == &timerfd_ops ? f->data : NULL;
    *error = *out ? 0 : f ? -EINVAL : -EBADF;
    return *out ? file_get(f) : NULL;
}

int64_t
sys_timerfd_settime(const uint64_t a[6])
{
    struct timerfd *t;
    struct setting s;
    int r;
    FILE_REF struct file *f = timerfd_of(a[0], &t, &r);

    if (!f)
        return r;
    if (a[1] & ~3ull)
        return -EINVAL;
    r = read_setting(a[2], &s);
    if (r < 0)
        return r;
    if (a[3] && write_setting(a[3], &t->timer, t->interval) < 0)
        return -EFAULT;
    t->interval = s.interval;
    t->expirations = 0;
    arm(&t->timer, &s, t->clock, (a[1] & TFD_TIMER_ABSTIME) != 0);
    return 0;
}

int64_t
sys_timerfd_gettime(const uint64_t a[6])
{
    struct timerfd *t;
    int r;
    FILE_REF struct file *f = timerfd_of(a[0], &t, &r);

    return !f ? r : write_setting(a[1], &t->timer, t->interval);
}
