/* How a traced task stops, and what becomes of tracees and tracers that end (ptrace(2)). Orders come by sys_ptrace() in
 * ptrace.c. A task that nobody traces has no struct trace, and nothing here is called for it. */
#ifndef VKERNEL_PROC_TRACE_H
#define VKERNEL_PROC_TRACE_H

#include "vkernel/task/trace.h"

/* What PTRACE_GETEVENTMSG says of stops at system calls (PTRACE_EVENTMSG_SYSCALL_*). */
enum { TRACE_CALL_BEGINS = 1, TRACE_CALL_ENDS };

struct trace *trace_new(struct task *tracer, bool seized, unsigned options); /* NULL: no memory */
struct trace *trace_get(struct trace *tr);
void trace_put(struct trace *tr);
void trace_begin(struct trace *tr, struct task *t); /* it takes over the caller's reference */
/* The tracee is free, or has been waited for. A process that ended and that its tracer has waited for, or gave up, is
 * its parent's from here on. */
void trace_end(struct trace *tr);
void trace_drop(struct trace *tr); /* the same, and nobody is told */
/* The tracee goes on, with this signal (0: none); its next stop is not before it has run. */
void trace_resume(struct trace *tr, enum trace_resumed how, int sig);

/* --- stops of the running task, which is traced. They sleep. Behind them it may be traced no more, have other
 * registers, or have to die. --- */
/* For a signal that is to be delivered: the signal that is delivered instead, with its information; 0: none. */
int trace_signal(struct task *t, int sig, siginfo_t *info);
void trace_group_stop(struct task *t); /* its process is stopped */
void trace_trap(struct task *t);       /* TASK_TO_TRAP */
/* An event (PTRACE_EVENT_*) where its option is set. */
bool trace_wants(const struct task *t, int event);
void trace_event(struct task *t, int event, uint64_t message);
/* A stop that tells SIGTRAP as it is: the number of the signal that comes with the order, or 0. */
int trace_notify(struct task *t, int code, uint64_t message);
/* Before a system call and behind it, with its result in rax. trace_call_begins(): the number of the call that is to
 * be made, which is the tracer's choice; -1: none. */
int64_t trace_call_begins(struct task *t, int64_t nr);
void trace_call_ends(struct task *t);
void trace_handler_begins(struct task *t); /* a signal's handler is next */

/* --- its life --- */
/* The thread of the parent that made the process, or, when that has ended, the parent's oldest: whose child it is where
 * threads count by themselves (TRACEME, __WNOTHREAD). NULL: the parent is ending. */
struct task *trace_maker(const struct process *p, struct task *oldest); /* oldest: trace_oldest() of its parent */
struct task *trace_oldest(
    const struct process *p); /* the oldest thread that is not ending; NULL: none; p may be NULL */
/* For clone with these flags and this signal at the child's end: the event to tell; 0: none. */
int trace_clone_event(const struct task *t, uint64_t flags, int exit_signal);
/* Of the child, which does not run yet. NULL with *failed unchanged: it is not traced. */
struct trace *trace_of_child(const struct task *t, uint64_t flags, int event, bool *failed);
void trace_child_begins(struct trace *tr, struct task *child);
void trace_exec(struct task *t, int former_tid); /* the program is another one; may sleep */
bool trace_hampers_exec(const struct task *t); /* set-user-id programs get no rights: the tracer has none to see them */
void trace_exits(struct task *t, int status);  /* is about to, as wait4 reports it; may sleep */
void trace_task_ends(struct task *t, int status); /* of a tracer, a tracee, or both */
void trace_took_lead(struct task *t);             /* it is its process's first thread from here on */
/* A process is a zombie. True: its tracer was told, and its parent is told when that one has waited for it. */
bool trace_process_ends(struct process *p);
/* Is the process traced by a task of another process than its parent's, so that its parent waits behind that one? */
bool trace_comes_first(const struct process *p);
bool trace_by_parent(const struct process *p); /* by a task of its parent's */

#endif
