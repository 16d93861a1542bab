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

/* Its parent learns that the process has ended (exit.c). Where the parent does not wait for children this frees it. */
void notify_parent(struct process *p);
/* --- limits.c --- */
bool proc_known_policy(int policy);                         /* SCHED_*, all but SCHED_DEADLINE */
bool proc_may_have_nice(const struct process *p, int nice); /* does its RLIMIT_NICE, or the caller, allow it? */
/* May the caller give the task a policy that is known, with this priority? 0, -EINVAL, -EPERM. */
int proc_may_set_policy(const struct task *t, int policy, bool reset_on_fork, int priority);
/* User and system time. */
void rusage_set_times(struct rusage *ru, uint64_t cpu_ns, uint64_t system_ns);

/* What a thread has of its own (thread_own.c). The first is for a task that is being made, of the current process, by
 * the flags of clone; the second for one that ends or is not to be; the third makes it the process's, once there are no
 * other threads. All but the first may sleep. */
int thread_own_make(struct task *t, uint64_t flags); /* 0 or -ENOMEM, when thread_own_end() is still to be called */
void thread_own_end(struct task *t);
void thread_own_exec(void);
int thread_own_unshare(uint64_t flags); /* CLONE_FILES and CLONE_FS count: 0 or -ENOMEM */

#endif
