/* The load average, as Linux defines it (kernel/sched/loadavg.c): every 5 seconds the average a moves towards the
 * number n of runnable tasks, a = a * e + n * (1 - e), with e = exp(-5 s / 1, 5 or 15 minutes).
 *
 * Linux takes n at one moment of each 5 seconds. Here it is the mean over them, because the scheduler says how many
 * were runnable whenever it reads the clock anyway. So no timer has to run: what has passed is made up for when
 * somebody asks, or when the next task is charged with its time. */
#include "vkernel/sched/load.h"

#define PERIOD_NS UINT64_C(5000000000)

/* Numbers with 32 bits behind the point. Linux has 11, and rounds up and down so that no average stands still; over
 * many periods at once the powers of e would be too far off with them. */
enum { FRACTION = 32 };
typedef unsigned __int128 product;
/* e, for each of the averages. */
static const uint64_t factors[3] = {UINT64_C(3951560672), UINT64_C(4223977731), UINT64_C(4271172524)};
static const uint64_t one = UINT64_C(1) << FRACTION;

static uint64_t averages[3];
static uint64_t counted_to; /* until then, everything is counted; 0: the first period has not begun */
static uint64_t period_end;
static uint64_t task_ns; /* of this period: the sum of the times for which tasks were runnable */

static uint64_t
power(uint64_t x, uint64_t n)
{
    uint64_t result = one;

    for (; n; n >>= 1, x = (uint64_t)((product)x * x >> FRACTION))
        if (n & 1)
            result = (uint64_t)((product)result * x >> FRACTION);
    return result;
}

/* So many periods are over, and in each so many tasks were runnable. */
static void
end_periods(uint64_t periods, uint64_t active)
{
    for (int k = 0; k < 3; k++) {
        uint64_t e = power(factors[k], periods);

        averages[k] = (uint64_t)(((product)averages[k] * e + (product)active * (one - e)) >> FRACTION);
    }
}

static void
advance(uint64_t to, uint64_t runnable)
{
    uint64_t more;

    if (to <= counted_to)
        return;
    if (to < period_end) {
        task_ns += (to - counted_to) * runnable;
        counted_to = to;
        return;
    }
    task_ns += (period_end - counted_to) * runnable;
    end_periods(1, (uint64_t)(((product)task_ns << FRACTION) / PERIOD_NS));
    more = (to - period_end) / PERIOD_NS;
    if (more)
        end_periods(more, runnable << FRACTION);
    period_end += (more + 1) * PERIOD_NS;
    task_ns = (to - (period_end - PERIOD_NS)) * runnable;
    counted_to = to;
}

void
load_count(uint64_t from, uint64_t to, uint64_t elsewhere, uint64_t waiting)
{
    if (counted_to == 0) {
        counted_to = from;
        period_end = from + PERIOD_NS;
    }
    advance(from, elsewhere);
    advance(to, elsewhere + 1 + waiting);
}

void
load_averages(uint64_t out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = averages[k] >> (FRACTION - LOAD_SHIFT);
}
