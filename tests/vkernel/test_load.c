/* The load average (sched/load.c) against its definition, in floating point: random histories of tasks that run,
 * wait and are idle. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "vkernel/sched/load.h"

enum { PERIOD = 5 };
static const double SECOND = 1e9, minutes[3] = {1, 5, 15};

static double model[3], task_seconds, now, period_end;

static void
model_advance(double to, double runnable)
{
    while (to >= period_end) {
        task_seconds += (period_end - now) * runnable;
        for (int k = 0; k < 3; k++)
            model[k] += (task_seconds / PERIOD - model[k]) * (1 - exp(-PERIOD / (60 * minutes[k])));
        task_seconds = 0;
        now = period_end;
        period_end += PERIOD;
    }
    task_seconds += (to - now) * runnable;
    now = to;
}

static int
differs(const char *when)
{
    uint64_t loads[3];
    int failed = 0;

    load_averages(loads);
    for (int k = 0; k < 3; k++) {
        double is = (double)loads[k] / (1 << LOAD_SHIFT), allowed = 1.0 / (1 << LOAD_SHIFT) + 1e-6 * model[k];

        if (fabs(is - model[k]) > allowed) {
            printf("not ok %s, average %d: %.4f, should be %.4f\n", when, k, is, model[k]);
            failed++;
        }
    }
    return failed;
}

static double
random_seconds(void)
{
    static const double scale[] = {0.00001, 0.01, 1, 7, 40, 3000};

    return drand48() * scale[lrand48() % (long)(sizeof scale / sizeof *scale)];
}

int
main(void)
{
    const double start = 1000; /* of the clock */
    int failed = 0;

    now = start;
    period_end = start + PERIOD;
    load_count((uint64_t)(start * SECOND), (uint64_t)(start * SECOND), 0, 0);
    for (int step = 0; step < 200000 && failed < 10; step++) {
        double from = now + (lrand48() % 3 ? 0 : random_seconds()), to = from + random_seconds();
        uint64_t elsewhere = (uint64_t)lrand48() % 4, waiting = lrand48() % 5 ? 0 : (uint64_t)lrand48() % 300;

        /* As the caller does, in whole nanoseconds; some of it is said again, as another processor would. */
        load_count((uint64_t)(from * SECOND), (uint64_t)(to * SECOND), elsewhere, waiting);
        load_count((uint64_t)(from * SECOND), (uint64_t)(to * SECOND), elsewhere, waiting + 5);
        model_advance(from, (double)elsewhere);
        model_advance(to, (double)(elsewhere + 1 + waiting));
        failed += differs("at random");
    }
    /* What is constant is reached, and nothing is left of it after some hours. */
    load_count((uint64_t)(now * SECOND), (uint64_t)((now + 40000) * SECOND), 0, 6);
    model_advance(now + 40000, 7);
    failed += differs("seven for long");
    load_count((uint64_t)((now + 40000) * SECOND), (uint64_t)((now + 40000) * SECOND), 0, 0);
    model_advance(now + 40000, 0);
    failed += differs("idle for long");
    printf("%s\n", failed ? "not ok" : "ok");
    return failed != 0;
}
