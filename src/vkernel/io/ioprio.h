/* I/O priorities (ioprio_set(2)). They are kept, inherited and read back; no scheduler of disks is here to follow them. */
#ifndef VKERNEL_IO_IOPRIO_H
#define VKERNEL_IO_IOPRIO_H

#include <stdint.h>

/* May the current process use this priority, class << 13 | level, of 16 bits? 0, -EINVAL, -EPERM. */
int ioprio_check(uint32_t priority);

#endif
