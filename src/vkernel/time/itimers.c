/* setitimer, getitimer, alarm. */
#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/mm/mm.h"
#include "vkernel/ops.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time.h"
#include "vkernel/time/time_internal.h"

/* A periodic timer goes on when its signal is taken (itimer_signal_taken), as Linux's: what nobody takes costs
 * nothing. */
CALLBACK static void
itimer_fired(struct ktimer *k)
{
    signal_send_process(list_entry(k, struct process, itimer_real), SIGALRM);
}

void
itimer_signal_taken(struct process *p)
{
    struct ktimer *k = &p->itimer_real;

    if (k->started || !p->itimer_real_interval)
        return;
    timer_forward(&k->deadline, p->itimer_real_interval, clock_monotonic_ns());
    ktimer_start(k, k->deadline);
}

static uint64_t
real_left(const struct process *p)
{
    uint64_t now = clock_monotonic_ns();

    if (!p->itimer_real.started)
        return 0;
    return p->itimer_real.deadline > now ? p->itimer_real.deadline - now : 1000;
}

static void
set_real(struct process *p, uint64_t value, uint64_t interval)
{
    ktimer_stop(&p->itimer_real);
    p->itimer_real.fire = itimer_fired;
    p->itimer_real_interval = value ? interval : 0;
    if (value)
        ktimer_start(&p->itimer_real, clock_monotonic_ns() + value);
}

static struct timeval
timeval_of(uint64_t ns)
{
    return (struct timeval){(time_t)(ns / NS_PER_SECOND), (suseconds_t)(ns % NS_PER_SECOND / 1000)};
}

static int
read_itimer(int which, struct itimerval *out)
{
    struct process *p = current_process();
    const uint64_t *v;
    uint64_t used;

    if (which == ITIMER_REAL) {
        *out = (struct itimerval){timeval_of(p->itimer_real_interval), timeval_of(real_left(p))};
        return 0;
    }
    if (which != ITIMER_VIRTUAL && which != ITIMER_PROF)
        return -EINVAL;
    sched_account();
    v = p->itimer_virtual[which - 1];
    used = itimer_clock(p, which);
    /* One that is over and whose signal is due has a microsecond left, as nothing left means disarmed. */
    *out = (struct itimerval){timeval_of(v[1]), timeval_of(!v[0] ? 0 : v[0] > used ? v[0] - used : 1000)};
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

static uint64_t
timeval_ns(const struct timeval *tv)
{
    return time_join(tv->tv_sec, (uint64_t)tv->tv_usec * 1000);
}

int64_t
sys_setitimer(const uint64_t a[6])
{
    struct process *p = current_process();
    struct itimerval it = {0}, old;
    int which = (int)a[0], r;

    if (a[1] && copy_from_guest(&it, a[1], sizeof it) < 0)
        return -EFAULT;
    if (bad_timeval(&it.it_value) || bad_timeval(&it.it_interval))
        return -EINVAL;
    r = read_itimer(which, &old);
    if (r < 0)
        return r;
    if (which == ITIMER_REAL) {
        set_real(p, timeval_ns(&it.it_value), timeval_ns(&it.it_interval));
    } else {
        uint64_t value = timeval_ns(&it.it_value);

        p->itimer_virtual[which - 1][0] = value ? itimer_clock(p, which) + value : 0;
        p->itimer_virtual[which - 1][1] = timeval_ns(&it.it_interval);
        cpu_timers_changed(p);
    }
    return a[2] && copy_to_guest(a[2], &old, sizeof old) < 0 ? -EFAULT : 0;
}

int64_t
sys_alarm(const uint64_t a[6])
{
    uint64_t left = real_left(current_process());

    set_real(current_process(), time_join((int64_t)(a[0] & 0xffffffffu), 0), 0);
    return (int64_t)((left + NS_PER_SECOND / 2) / NS_PER_SECOND) + (left && left < NS_PER_SECOND / 2);
}
