/* Between the files of time/. */
#ifndef VKERNEL_TIME_TIME_INTERNAL_H
#define VKERNEL_TIME_TIME_INTERNAL_H

#include <stdint.h>

#include "vkernel/time/time.h"
#include "vkernel/usercopy/usercopy.h"

/* The clock's reading; -EINVAL for an unknown one. */
int clock_read(int64_t id, uint64_t *ns);
/* A clock of processor time: whose. Exactly one of process and task is set. -EINVAL: not one, or of nobody. */
int clock_cpu_owner(int64_t id, struct process **process, struct task **task);
/* May timers run on it (0), not (-EOPNOTSUPP), not by this task (-EPERM), or is it none (-EINVAL)? */
int clock_timer_check(int64_t id);

/* What timers of all kinds have: a value and an interval, struct itimerspec in guest memory. -EFAULT, -EINVAL */
struct timer_setting {
    uint64_t interval, value;
};
int timer_setting_from_guest(uint64_t address, struct timer_setting *s);
int timer_setting_to_guest(uint64_t address, const struct timer_setting *s);
/* Moves a deadline by whole intervals behind now: how many; 0 when it is there. */
uint64_t timer_forward(uint64_t *deadline, uint64_t interval, uint64_t now);
/* The monotonic deadline of a setting on one of the clocks that are not processor time. */
uint64_t timer_deadline(int clock, uint64_t value, bool absolute);

/* The clock of ITIMER_VIRTUAL, which is user time, or of ITIMER_PROF, which is all processor time. */
uint64_t itimer_clock(const struct process *p, int which);

/* --- cpu_timers.c: of a process's or a task's processor time; looked at when it is charged and on every tick --- */
struct cpu_timer {
    struct list link;
    uint64_t deadline;                 /* of that clock */
    void (*fire)(struct cpu_timer *c); /* it is stopped then; must not sleep */
};
void cpu_timer_init(struct cpu_timer *c, void (*fire)(struct cpu_timer *c));
void cpu_timer_start(struct cpu_timer *c, struct process *p, struct task *t, uint64_t deadline);
void cpu_timer_stop(struct cpu_timer *c);

#endif
