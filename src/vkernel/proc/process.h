/* Processes and threads: the tables that every part of the vkernel reads.
 * Owner of the definition: proc/. Fields others may touch are those below; anything else is behind functions. */
#ifndef VKERNEL_PROC_PROCESS_H
#define VKERNEL_PROC_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/list.h"
#include "vkernel/sched/sched.h"
#include "x86/cpu.h"

struct file;
struct fdtable;
struct fs_context;
struct mm;
struct session;
struct tty;

enum { CRED_MAX_GROUPS = 64 };
struct creds {
    uint32_t uid, euid, suid, fsuid;
    uint32_t gid, egid, sgid, fsgid;
    uint32_t group_count;
    uint32_t groups[CRED_MAX_GROUPS];
    uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding; /* bits CAP_* */
};

struct process {
    int pid, pgid, sid;
    struct process *parent;
    struct list children, sibling;
    struct list threads;      /* struct task.thread_link */
    struct list all;          /* every process, by age */
    struct mm *mm;            /* shared between vfork parent and child */
    struct fdtable *files;    /* CLONE_FILES shares */
    struct fs_context *fs;    /* CLONE_FS shares */
    struct creds creds;
    struct rlimit rlimits[RLIM_NLIMITS];
    char comm[16];
    char *exe_path;           /* /proc/self/exe; owned */
    struct file *exe;
    struct tty *ctty;         /* controlling terminal, or NULL (tty/) */
    uint32_t umask_unused;
    uint64_t start_ns;        /* monotonic */
    uint64_t cpu_ns, children_cpu_ns;
    bool zombie, stopped, dumpable;
    struct wait_queue wait_child;
};

struct task {
    int tid;
    struct process *process;
    struct list thread_link;
    struct x86_cpu cpu;       /* saved while it does not run */
    /* scheduling, signals: sched/, signal/ add their own parts in task_internal.h */
};

static inline struct process *
current_process(void)
{
    return current_task()->process;
}
struct process *process_find(int pid);
struct process *process_next(struct process *after); /* NULL: the first; for /proc */

/* --- signals, for ttys, pipes, timers: signal/ --- */
int signal_send_process(struct process *p, int sig);             /* kernel-generated */
int signal_send_group(int pgid, int sig);
bool signal_pending_current(void); /* would one be delivered now? */

/* --- capabilities --- */
bool capable(int cap); /* of the current task's effective set, CAP_* */

#endif
