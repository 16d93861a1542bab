/* The load average: how many tasks run or want to run, damped exponentially over 1, 5 and 15 minutes. */
#ifndef VKERNEL_SCHED_LOAD_H
#define VKERNEL_SCHED_LOAD_H

#include <stdint.h>

enum { LOAD_SHIFT = 11 }; /* load averages are fixed-point numbers with so many bits behind the point, as Linux's */

/* A processor ran a task from `from` to `to`, in monotonic nanoseconds, while `elsewhere` other processors ran one and
 * `waiting` tasks waited for one. Time before `from` that no call has counted yet counts as time in which those
 * `elsewhere` ran one, this processor ran none, and nobody waited. */
void load_count(uint64_t from, uint64_t to, uint64_t elsewhere, uint64_t waiting);
/* Over 1, 5 and 15 minutes, now. The running task must have been charged with its time. */
void load_averages(uint64_t out[3]);

#endif
