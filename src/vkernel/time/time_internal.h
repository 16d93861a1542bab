/* Between the files of time/. */
#ifndef VKERNEL_TIME_INTERNAL_H
#define VKERNEL_TIME_INTERNAL_H

#include <stdint.h>

/* Nanoseconds of a timespec in guest memory; -EFAULT, -EINVAL. */
int timespec_from_guest(uint64_t address, uint64_t *ns);
int timespec_to_guest(uint64_t address, uint64_t ns);
/* The clock's reading; -EINVAL for an unknown one. */
int clock_read(int64_t id, uint64_t *ns);

#endif
