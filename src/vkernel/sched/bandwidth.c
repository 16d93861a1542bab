#include "vkernel/sched/bandwidth.h"

#include "platform/platform.h"

/* The host's clock of processor time costs a system call, so it is read only when the time that has passed since
 * the last reading might have used up the rest: a processor uses no more processor time than time passes. */
uint64_t bandwidth_quota;
struct bandwidth_counts bandwidth_counts;
static uint64_t period_end;          /* monotonic */
static uint64_t allowed;             /* the reading of the clock of processor time at which the share is used up */
static uint64_t waits_since;         /* 0: the container does not wait */
static uint64_t read_cpu, read_time; /* the last reading, and the monotonic time of it */

static unsigned processors;

void
bandwidth_start(uint64_t quota, unsigned count)
{
    bandwidth_quota = quota;
    processors = count;
    read_cpu = platform_cpu_ns();
    read_time = platform_monotonic_ns();
    period_end = read_time + BANDWIDTH_PERIOD_NS;
    allowed = read_cpu + quota;
}

static void
read_clocks(uint64_t now)
{
    read_cpu = platform_cpu_ns();
    read_time = now;
}

/* Each period that has passed brings one share, but a share that was not used is lost with its period. */
static void
begin_period(uint64_t now)
{
    uint64_t periods = (now - period_end) / BANDWIDTH_PERIOD_NS + 1, debt;

    bandwidth_counts.periods += periods;
    read_clocks(now);
    debt = read_cpu > allowed ? read_cpu - allowed : 0;
    debt = debt / bandwidth_quota < periods - 1 ? 0 : debt - (periods - 1) * bandwidth_quota;
    period_end += periods * BANDWIDTH_PERIOD_NS;
    allowed = read_cpu + bandwidth_quota - debt; /* may lie in the past, and nothing runs in this period then */
}

uint64_t
bandwidth_look(void)
{
    uint64_t now = platform_monotonic_ns();

    if (now >= period_end)
        begin_period(now);
    if (read_cpu + (now - read_time) * processors < allowed)
        return 0;
    read_clocks(now);
    if (read_cpu < allowed)
        return 0;
    if (!waits_since) {
        waits_since = now;
        bandwidth_counts.waits++;
    }
    return period_end - now;
}

void
bandwidth_waited(void)
{
    uint64_t now = platform_monotonic_ns();

    if (!waits_since)
        return;
    bandwidth_counts.waited_ns += now - waits_since;
    waits_since = now < period_end ? now : 0;
}

uint64_t
bandwidth_next(void)
{
    if (!bandwidth_quota)
        return UINT64_MAX;
    return read_cpu < allowed ? read_time + (allowed - read_cpu) / processors : period_end;
}
