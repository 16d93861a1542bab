/* ingot run --lockstep=OTHER: the same program runs on two artifacts, and what they ask of the kernel is compared from
 * outside (cli/compare.c).
 *
 * For that a run is repeatable (platform.h): of what the vkernel decides itself only the guest's system calls count,
 * every so many of which it gives way to others. Only one that waits without system calls is interrupted anywhere,
 * after half a second. */
#ifndef VKERNEL_RUN_CALLS_H
#define VKERNEL_RUN_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern bool calls_on; /* set by calls_start(), for good */

/* Records go to this descriptor, which it takes over. Before the first guest instruction. */
void calls_start(int fd);
/* Before each system call; gives way to others when that is due. */
void calls_made(int64_t nr);
void calls_done(void); /* the running task's is over */
/* The kernel reads these bytes of a guest's; what it reads for itself, outside of calls, does not count. */
void calls_given(const void *p, size_t size);
uint64_t calls_input(void); /* what RDTSC and RDRAND say */

#endif
