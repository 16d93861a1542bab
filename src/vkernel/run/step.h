/* Single steps for tracers. */
#ifndef VKERNEL_RUN_STEP_H
#define VKERNEL_RUN_STEP_H

struct task;

/* The traced task does one instruction at its rip, and then has SIGTRAP. */
void run_one_step(struct task *t);

#endif
