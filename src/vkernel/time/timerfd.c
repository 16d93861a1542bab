/* timerfd. A periodic one stands still when it has expired, until somebody reads it or asks for it (as Linux's): what
 * was missed is counted then, in one step.
 *
 * Those with TFD_TIMER_CANCEL_ON_SET, absolute ones on the realtime clock, are on a list. While there is one, a
 * timerfd of the host's is watched that is cancelled when the host's clock is set; without any nobody looks at
 * it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "vkernel/abi/syscall.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/mm/mm.h"
#include "vkernel/time/time_internal.h"

struct timerfd {
    struct ktimer timer;
    struct wait_queue queue;
    uint64_t interval, ticks;
    bool expired; /* and not yet gone on */
    int clock;
    struct list cancel_link; /* of cancellable, or empty */
    bool cancelled;          /* and nobody has been told */
    uint64_t offset;         /* of the realtime clock from the monotonic one, for which the deadline was computed */
};

static struct list cancellable = {&cancellable, &cancellable};

CALLBACK static void
timerfd_fired(struct ktimer *k)
{
    struct timerfd *t = list_entry(k, struct timerfd, timer);

    t->expired = true;
    t->ticks++;
    wait_queue_wake(&t->queue);
}

/* Timers fire at the next tick; who looks at this one wants to know now. */
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

/* --- TFD_TIMER_CANCEL_ON_SET, as fs/timerfd.c of Linux has it --- */

static uint64_t
realtime_offset(void)
{
    return clock_realtime_ns() - clock_monotonic_ns();
}

/* Its time is that of the clock as it is now. */
static void
follow_clock(struct timerfd *t)
{
    uint64_t offset = realtime_offset();
    int64_t moved = (int64_t)(offset - t->offset);
    bool started = t->timer.started;
    uint64_t deadline = t->timer.deadline;

    t->offset = offset;
    if (moved < 0)
        deadline += -(uint64_t)moved;
    else
        deadline -= (uint64_t)moved < deadline ? (uint64_t)moved : deadline;
    t->timer.deadline = deadline;
    if (started)
        ktimer_start(&t->timer, deadline);
}

static void
collect_clock(void)
{
    if (list_empty(&cancellable) || !platform_clock_was_set())
        return;
    LIST_EACH(l, &cancellable) {
        struct timerfd *t = list_entry(l, struct timerfd, cancel_link);

        t->cancelled = true;
        t->ticks++;
        follow_clock(t);
        wait_queue_wake(&t->queue);
    }
}

CALLBACK static void
clock_ready(struct host_watch *w)
{
    collect_clock();
}

static void
set_cancellable(struct timerfd *t, bool on)
{
    static struct host_watch clock_watch = {.events = POLLIN, .ready = clock_ready};

    if (on == !list_empty(&t->cancel_link))
        return;
    if (!on) {
        list_remove(&t->cancel_link);
        if (list_empty(&cancellable))
            host_watch_remove(&clock_watch);
        return;
    }
    if (list_empty(&cancellable) && (clock_watch.fd = platform_clock_watch()) >= 0) {
        platform_clock_was_set(); /* before there was anybody to cancel */
        host_watch_add(&clock_watch);
    }
    list_append(&cancellable, &t->cancel_link);
}

/* Tells it once. */
static bool
take_cancelled(struct timerfd *t)
{
    bool cancelled = t->cancelled && !list_empty(&t->cancel_link);

    if (cancelled)
        t->cancelled = false;
    return cancelled;
}

/* --- the file --- */

static ssize_t
timerfd_read(struct file *f, const struct iovec *iov, int count, uint64_t *pos)
{
    struct timerfd *t = f->data;
    uint64_t n;

    if (iov_total(iov, count) < sizeof n)
        return -EINVAL;
    collect_clock();
    look(t);
    if (take_cancelled(t)) { /* and it does not go on: who reads must think anew anyhow */
        t->ticks = 0;
        t->expired = false;
        return -ECANCELED;
    }
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
    set_cancellable(t, false);
    wait_queue_fini(&t->queue);
    OBJECT_FREE(timerfd, t);
}

static const struct file_ops OPS_TABLE(file_ops) timerfd_ops = {
    .name = "timerfd",
    .seeks_nowhere = true,
    .no_splice_out = true,
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

    if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) ||
        (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && !is_alarm(clock)))
        return -EINVAL;
    if (is_alarm(clock) && !capable(CAP_WAKE_ALARM))
        return -EPERM;
    t = OBJECT_NEW(timerfd);
    if (!t)
        return -ENOMEM;
    t->timer.fire = timerfd_fired;
    t->clock = clock;
    list_init(&t->cancel_link);
    wait_queue_init(&t->queue);
    f = file_new(&timerfd_ops, O_RDWR | (flags & TFD_NONBLOCK));
    if (!f) {
        OBJECT_FREE(timerfd, t);
        return -ENOMEM;
    }
    f->data = t;
    return fd_install_or_put(f, flags & TFD_CLOEXEC);
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

int64_t
sys_timerfd_settime(const uint64_t a[6])
{
    struct timerfd *t;
    struct timer_setting s, old;
    int error, r = timer_setting_from_guest(a[2], &s);
    bool absolute = (a[1] & TFD_TIMER_ABSTIME) != 0;
    FILE_REF struct file *f = timerfd_of(a[0], &t, &error);

    if (r == 0 && ((int)a[1] & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)))
        r = -EINVAL;
    if (r < 0 || !f)
        return r < 0 ? r : error;
    collect_clock();
    set_cancellable(t, absolute && (a[1] & TFD_TIMER_CANCEL_ON_SET) &&
                           (t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM));
    look(t);
    go_on(t);
    old = current_setting(t);
    ktimer_stop(&t->timer);
    t->interval = s.interval;
    t->ticks = 0;
    t->expired = false;
    if (s.value) {
        t->offset = realtime_offset();
        ktimer_start(&t->timer, timer_deadline(t->clock, s.value, absolute));
        if (take_cancelled(t)) /* set all the same, as on Linux */
            return -ECANCELED;
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
