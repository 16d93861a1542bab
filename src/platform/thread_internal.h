/* Of the threads, between the files of platform/. */
#ifndef PLATFORM_THREAD_INTERNAL_H
#define PLATFORM_THREAD_INTERNAL_H

#include "platform/thread.h"

void platform_signal_stack(void); /* faults.c: the running thread's own stack for signals */

/* signals.c */
extern int platform_wake_fd; /* written by signal handlers, polled by platform_idle() */
void platform_catch_ticks(void);

/* clock.c */
/* In a repeatable run a tick is none, but when the guest seems to wait without any system call. */
bool platform_is_quiet(void);
void platform_tick_now(struct platform_thread *t);
void platform_tick_of(struct platform_thread *t, uint64_t deadline); /* has it tick by then */

/* fiber.c: the fiber, which is new and whose argument is t, runs on a new host thread, which is t, with these flags of
 * clone(). The thread's number, or -errno. */
struct platform_fiber;
long platform_fiber_clone(struct platform_fiber *f, struct platform_thread *t, unsigned long flags);

#endif
