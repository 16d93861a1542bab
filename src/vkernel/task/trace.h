/* A task that another one traces (ptrace(2)). What is said here of a stop is said of a ptrace-stop: the tracee sleeps in
 * trace_stop() (proc/trace.h), with all of its registers in its CPU state, and does what its tracer says. */
#ifndef VKERNEL_TASK_TRACE_H
#define VKERNEL_TASK_TRACE_H

#include "vkernel/task/process.h"

enum trace_resumed { TRACE_CONT, TRACE_SYSCALL, TRACE_STEP, TRACE_SYSEMU, TRACE_SYSEMU_STEP };

/* It is the tracee's as long as it is traced, and counted: a tracee that sleeps keeps it over the sleep. When the tracee
 * has ended, it is what the tracer has still to wait for. */
struct trace {
    struct refcount refs;
    struct list link;        /* in tracer->tracees */
    struct task *tracer;     /* the only task that may give orders */
    struct task *task;       /* the tracee; NULL: it has ended */
    struct process *process; /* the tracee's; NULL: it was a thread beyond the first, and has ended */
    int tid, pgid;           /* pgid: the group in which it ended */
    uint32_t uid;            /* its real user then */
    struct user *user;       /* who is charged for it as for a task, because it is one that has ended; NULL: nobody */
    bool leader;             /* its end is the end of its process, and what waits for it is process.leader_trace */
    bool seized;             /* by PTRACE_SEIZE */
    bool stopped;            /* it is in a stop, or on its way out to sleep there: orders are taken */
    bool listening;          /* PTRACE_LISTEN: it goes on sleeping, but is not to be waited for and takes no orders */
    bool told_no_stop;       /* it goes on although its process is stopped, because its tracer said so */
    bool zombie;             /* it has ended: exit_status is to be waited for */
    bool has_info;           /* this stop has a siginfo */
    unsigned options;        /* PTRACE_O_* */
    int code;        /* what wait tells of this stop: a signal and, in bits 8 and up, an event; 0: it was told */
    int exit_status; /* as wait4 reports it */
    int order;       /* the signal that came with the order to go on */
    enum trace_resumed resumed; /* how it was told to go on */
    uint64_t message;           /* PTRACE_GETEVENTMSG */
    int64_t orig_rax;           /* the system call that it is in, or that ends here; -1: none */
    siginfo_t info;
    struct wait_queue queue; /* where the tracee sleeps */
    struct eval *steps;      /* the evaluator with blocks of one instruction (run/step.c); NULL: it was never needed */
    uint64_t steps_mm, steps_changes; /* of which address space (mm.number, mm.changes) its blocks are */
};

static inline bool
trace_steps(const struct trace *tr)
{
    return tr->resumed == TRACE_STEP || tr->resumed == TRACE_SYSEMU_STEP;
}

#endif
