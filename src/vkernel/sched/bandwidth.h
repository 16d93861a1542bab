/* --cpus: how much processor time the container may use in each period, as the bandwidth of Linux's CFS scheduler has
 * it (Documentation/scheduler/sched-bwc.rst). A container that has used up its share waits for the next period; what it
 * used beyond, since it is stopped at kernel entries and ticks only, is taken from the periods that follow. */
#ifndef VKERNEL_SCHED_BANDWIDTH_H
#define VKERNEL_SCHED_BANDWIDTH_H

#include <stdbool.h>
#include <stdint.h>

#define BANDWIDTH_PERIOD_NS UINT64_C(100000000)

/* From now on the container may use `quota` nanoseconds of processor time in each period (not 0) with all of its
 * processors together; `processors` is how many it has. To be called before the first guest instruction, or never: then
 * there is no limit. */
void bandwidth_start(uint64_t quota, unsigned processors);

extern struct bandwidth_counts {
    uint64_t periods, waits, waited_ns; /* that have passed; in which the container had to wait, and how long in all */
} bandwidth_counts;

extern uint64_t bandwidth_quota; /* 0: there is no limit */
uint64_t bandwidth_look(void);

static inline bool
bandwidth_limited(void)
{
    return bandwidth_quota != 0;
}

/* How long the container must wait before a guest may run again, in nanoseconds; 0: it may now. */
static inline uint64_t
bandwidth_wait(void)
{
    return bandwidth_quota ? bandwidth_look() : 0;
}

/* A piece of that wait is over. */
void bandwidth_waited(void);

/* A time (monotonic) before which the share cannot be used up; UINT64_MAX when there is no limit. */
uint64_t bandwidth_next(void);

#endif
