/* A host worker: the thread that runs guest tasks, and what it runs now.
 *
 * The rooms beneath task/ know neither tasks nor processes, but act for one: its memory, its descriptors, its rights. Where those lie is
 * in struct worker. The scheduler sets it at every switch (sched_hooks.enter), with pointers to the process's own fields, so that nothing is kept
 * twice: exec, unshare and setuid change the process, and the worker sees it. */
#ifndef VKERNEL_WORKER_WORKER_H
#define VKERNEL_WORKER_WORKER_H

#include <sys/resource.h>

struct creds;
struct fdtable;
struct fs_context;
struct mm;
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
};
extern struct worker this_worker;

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
