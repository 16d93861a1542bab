/* timerfd. A periodic one stands still when it has expired, until somebody reads it or asks for it (as Linux's): what was missed
 * is counted then, in one step. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "vkernel/fs/file.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/time/time_internal.h"

enum { CAP_WAKE_ALARM_BIT = 35 };

struct timerfd {
    struct ktimer timer;
    struct wait_queue queue;
    uint64_t interval, ticks;
    bool expired; /* and not yet gone on */
    int clock;
};

CALLBACK static void
timerfd_fired(struct ktimer *k)
{
    struct timerfd *t = list_entry(k, struct timerfd, timer);

    t->expired = true;
    t->ticks++;
    wait_queue_wake(&t->queue);
}

/* The worker fires timers at its next tick; who looks at this one wants to know now. */
static bool
is_due(const struct timerfd *t)
{
    return t->timer.started && t->timer.deadline <= clock_monotonic_ns();
}

static void
look(struct timerfd *t)
{
    if (is_due(t)) {
        ktimer_stop(&t->timer);
        timerfd_fired(&t->timer);
    }
}

static void
go_on(struct timerfd *t)
{
    if (t->expired && t->interval) {
        t->ticks += timer_forward(&t->timer.deadline, t->interval, clock_monotonic_ns()) - 1;
        ktimer_start(&t->timer, t->timer.deadline);
    }
    t->expired = false;
}

static ssize_t
timerfd_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct timerfd *t = f->data;
    uint64_t n;

    if (iov_total(iov, count) < sizeof n)
        return -EINVAL;
    look(t);
    if (!t->ticks)
        return -EAGAIN;
    go_on(t);
    n = t->ticks;
    t->ticks = 0;
    return iov_scatter(iov, count, 0, &n, sizeof n) == sizeof n ? (ssize_t)sizeof n : -EFAULT;
}

static unsigned
timerfd_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct timerfd *t = f->data;

    if (queues && *count < max)
        queues[(*count)++] = &t->queue;
    return t->ticks || is_due(t) ? POLLIN : 0; /* not fired here: an epoll may be asking, whom that would tell */
}

OBJECT_POOL(timerfd);

static void
timerfd_release(struct file *f)
{
    struct timerfd *t = f->data;

    ktimer_stop(&t->timer);
    wait_queue_fini(&t->queue);
    OBJECT_FREE(timerfd, t);
}

static const struct file_ops OPS_TABLE(file_ops) timerfd_ops = {
    .name = "timerfd",
    .read = timerfd_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
};

static bool
is_alarm(int clock)
{
    return clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

int64_t
sys_timerfd_create(const uint64_t a[6])
{
    struct timerfd *t;
    struct file *f;
    int clock = (int)a[0], flags = (int)a[1];
    int64_t r;

    if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) ||
        (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && !is_alarm(clock)))
        return -EINVAL;
    if (is_alarm(clock) && !capable(CAP_WAKE_ALARM_BIT))
        return -EPERM;
    t = OBJECT_NEW(timerfd);
    if (!t)
        return -ENOMEM;
    t->timer.fire = timerfd_fired;
    t->clock = clock;
    wait_queue_init(&t->queue);
    f = file_new(&timerfd_ops, O_RDWR | (flags & TFD_NONBLOCK));
    if (!f) {
        OBJECT_FREE(timerfd, t);
        return -ENOMEM;
    }
    f->data = t;
    r = fd_install(f, 0, flags & TFD_CLOEXEC);
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

static struct timer_setting
current_setting(struct timerfd *t)
{
    uint64_t now = clock_monotonic_ns();

    return (struct timer_setting){
        .interval = t->interval,
        .value = t->timer.started && t->timer.deadline > now ? t->timer.deadline - now : 0,
    };
}

/* TFD_TIMER_CANCEL_ON_SET is for clocks that are set: the container's is not, so nothing is ever cancelled. */
int64_t
sys_timerfd_settime(const uint64_t a[6])
{
    struct timerfd *t;
    struct timer_setting s, old;
    int error, r = timer_setting_from_guest(a[2], &s);
    FILE_REF struct file *f = timerfd_of(a[0], &t, &error);

    if (r == 0 && ((int)a[1] & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)))
        r = -EINVAL;
    if (r < 0 || !f)
        return r < 0 ? r : error;
    look(t);
    go_on(t);
    old = current_setting(t);
    ktimer_stop(&t->timer);
    t->interval = s.interval;
    t->ticks = 0;
    t->expired = false;
    if (s.value) {
        ktimer_start(&t->timer, timer_deadline(t->clock, s.value, ((int)a[1] & TFD_TIMER_ABSTIME) != 0));
        look(t);
    }
    return a[3] && timer_setting_to_guest(a[3], &old) < 0 ? -EFAULT : 0;
}

int64_t
sys_timerfd_gettime(const uint64_t a[6])
{
    struct timerfd *t;
    struct timer_setting s;
    int error;
    FILE_REF struct file *f = timerfd_of(a[0], &t, &error);

    if (!f)
        return error;
    look(t);
    go_on(t);
    s = current_setting(t);
    return timer_setting_to_guest(a[1], &s);
}
