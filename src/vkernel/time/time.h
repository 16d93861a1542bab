/* Clocks and timers, for the rooms above; time_internal.h is between the files of this one. */
#ifndef VKERNEL_TIME_TIME_H
#define VKERNEL_TIME_TIME_H

#include "vkernel/signal/signal.h"

void timers_exec(struct process *p);
void timers_exit(struct process *p);
void timer_signal_taken(struct signal_entry *e, siginfo_t *info); /* tells how often it was due */
void timer_signal_dropped(struct signal_entry *e);
void timers_signal_wanted(struct process *p, int sig); /* is no longer ignored */
void itimer_signal_taken(struct process *p);           /* SIGALRM */
void cpu_timers_changed(struct process *p);            /* RLIMIT_CPU or an interval timer was set */
void cpu_timers_end(struct list *timers);
bool cpu_timers_armed(const struct task *t);
void cpu_timers_check(struct task *t); /* its time was charged */

#endif
