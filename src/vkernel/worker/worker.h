/* Who works: the processors of the container, each a host thread that runs one guest task at a time; and for whom.
 *
 * The rooms beneath task/ know neither tasks nor processes, but act for one: its memory, its descriptors, its rights.
 * Where those lie is in struct worker, which every fiber has its own of. The scheduler sets it at every switch
 * (sched_hooks.enter), with pointers to the process's own fields, so that nothing is kept twice: exec, unshare and
 * setuid change the process, and the worker sees it. */
#ifndef VKERNEL_WORKER_WORKER_H
#define VKERNEL_WORKER_WORKER_H

#include <stdbool.h>
#include <sys/resource.h>

#include "base/list.h"
#include "platform/thread.h"

struct platform_fiber;
struct creds;
struct fdtable;
struct fs_context;
struct mm;
struct store_released;
struct task;

struct worker {
    struct task *task; /* NULL before the first one, while the container is made */
    /* Of its process; all NULL before the first task. */
    const int *pid;
    const char *comm;
    struct mm **mm; /* process 1 has none before its first exec */
    struct fdtable **files;
    struct fs_context **fs;
    struct creds *creds;
    struct rlimit *rlimits; /* [RLIM_NLIMITS] */
    struct store_released *released;
};
extern __thread struct worker this_worker;

struct processor {
    unsigned number;
    struct task *task;           /* that runs on it; NULL: none, and its idle fiber does */
    struct task *dead;           /* a task that has ended on it; its stack is in use until the next switch is over */
    struct platform_fiber *idle; /* runs while no task does */
    enum { PROCESSOR_BUSY, PROCESSOR_POLLS, PROCESSOR_PARKED } sleeps; /* how, while it is idle */
    struct list queue; /* tasks that may run on some processors only, and wait for this one */
    unsigned queue_length;
    bool called_for_shared; /* it was called for a task of the queue of all */
    bool called;            /* it sleeps and has been told to look for a task */
    unsigned went_out;      /* how often it has gone out of the vkernel */
    uint64_t switched_ns;   /* monotonic time from which on its time is the next task's, set before a switch to one */
    /* The x87 unit (cpu/x87.c): is the state of the running task in it, and was it initial when it came there; is it
     * itself as after FNINIT with all registers 0? */
    bool x87_in_host, x87_was_initial, x87_dirty;
};

static inline struct processor *
this_processor(void)
{
    return platform_thread_tls->processor;
}

static inline struct task *
current_task(void)
{
    return this_worker.task;
}
static inline struct mm *
current_mm(void)
{
    return *this_worker.mm;
}
static inline struct fdtable *
current_files(void)
{
    return *this_worker.files;
}

#endif
