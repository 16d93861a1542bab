/* Between the files of proc/. */
#ifndef VKERNEL_PROC_PROC_INTERNAL_H
#define VKERNEL_PROC_PROC_INTERNAL_H

#include <sys/resource.h>

#include "base/refcount.h"
#include "platform/heap.h"
#include "vkernel/proc/proc.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/users.h"
#include "x86/address_space.h"

/* User and system time (limits.c). */
void rusage_set_times(struct rusage *ru, uint64_t cpu_ns, uint64_t system_ns);

#endif
