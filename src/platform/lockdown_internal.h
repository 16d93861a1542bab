/* Between lockdown.c and the files of the layers. Each returns 0 or -errno when the host does not allow it. */
#ifndef PLATFORM_LOCKDOWN_INTERNAL_H
#define PLATFORM_LOCKDOWN_INTERNAL_H

#include "platform/lockdown.h"

void lockdown_note(struct lockdown *l, unsigned layer, int result); /* a layer that is missing */

/* mounts.c */
int layer_namespaces(const struct lockdown *l);
int layer_root(void);

/* supervise.c: returns in the container's process only. */
void layer_isolation(struct lockdown *l);

/* cgroup.c. Made and removed by the process that waits, entered by the container's. */
int cgroup_make(const struct lockdown *l);
int cgroup_enter(void);
bool cgroup_was_full(void); /* the kernel ended something in it for want of memory */
void cgroup_remove(void);

/* privileges.c */
int layer_descriptors(const struct lockdown *l);
int layer_identity(const struct lockdown *l);
int layer_capabilities(const struct lockdown *l);
int layer_limits(void);
int layer_memory(void);

/* landlock.c */
int layer_landlock(const struct lockdown *l);

/* thread_time.c: the processor-time clocks of the calling thread, as the host's ticks count it: all of it, and user
 * time (the kernel's posix-timers.h: ~0 << 3 | CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_PROF or CPUCLOCK_VIRT) */
enum { OWN_TICK_CLOCK = -4, OWN_USER_CLOCK = -3 };

/* filter.c. Needs no_new_privs. */
int filter_install(const struct lockdown *l);

#endif
