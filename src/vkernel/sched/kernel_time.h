/* How much of a task's time is the kernel's, which is what programs know as system time; the rest is user time.
 *
 * What a task has used is known exactly, because the scheduler reads the clock at each switch. To know as exactly when
 * it was in the kernel would take two more readings for each system call, and one reading takes longer than most calls.
 * So calls that take long are measured, each of them, and of the others some, which stand for all: decision 0021. */
#ifndef VKERNEL_SCHED_KERNEL_TIME_H
#define VKERNEL_SCHED_KERNEL_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct sched_entity;

/* A section of the running task's time that is the kernel's begins and ends. Time in which it sleeps is not in it.
 * kernel_time_begin() returns false, and begins none, inside of another one. kernel_time_end() returns how long the
 * section took, in nanoseconds; 0 if there is none. */
bool kernel_time_begin(void);
uint64_t kernel_time_end(void);

/* Of the calls that are not measured one by one, one of so many (in the mean) is measured as a sample. */
enum { KERNEL_TIME_SAMPLED = 256 };
/* The running task's system call, whose section took so many nanoseconds (kernel_time_end()), stands for
 * `stands_for` calls: itself, which the section has put to the account, and the others, which were not measured
 * and which this adds. */
void kernel_time_call(uint64_t took, unsigned stands_for);
/* How many untimed calls there are before the next sample: random, KERNEL_TIME_SAMPLED in the mean, so that no rhythm
 * of a program's is hit always or never. */
unsigned kernel_time_next_sample(void);

/* The task had a processor for `ns` from its started_ns on, and is charged with `used` of it, as its host thread did
 * not run in the rest: how much of `used` is the kernel's? */
uint64_t kernel_time_take(struct sched_entity *e, uint64_t ns, uint64_t used);

#endif
