/* What sched.c and wait.c share. */
#ifndef VKERNEL_SCHED_SCHED_INTERNAL_H
#define VKERNEL_SCHED_SCHED_INTERNAL_H

#include "vkernel/sched/sched.h"

void sched_make_runnable(struct task *t); /* if it sleeps */
/* Somebody waits for a host descriptor for whom the poller does not look yet. */
void sched_watches_changed(void);
/* Gives way: the next task, or the processor's idle fiber, goes on, and this returns when the task's turn comes again. */
void schedule(void);

#endif
