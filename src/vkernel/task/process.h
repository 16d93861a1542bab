/* Processes and threads, and how to find them. Fields say whose they are; each room changes its own. */
#ifndef VKERNEL_TASK_PROCESS_H
#define VKERNEL_TASK_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/list.h"
#include "base/refcount.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/sched/sched.h"
#include "vkernel/vfs/creds.h"
#include "x86/cpu.h"

struct file;
struct fdtable;
struct fs_context;
struct mm;
struct user;
struct tty;

enum { SIGNALS = 64 };
/* Signals that are pending, for a process or for one of its threads. A guest queues as many as RLIMIT_SIGPENDING allows
 * and takes all of them with one read of a signalfd, so each number has a list of its own. */
struct signal_queue {
    uint64_t set;                 /* which: SIGNAL_BIT. One that came when nothing could be queued has no entry */
    struct list entries[SIGNALS]; /* struct signal_entry, of number n at n - 1, in the order in which they came */
};

struct process {
    int pid, pgid, sid;
    struct process *parent;
    struct list children, sibling;
    struct list threads;                               /* struct task.thread_link */
    struct list all;                                   /* every process, by age */
    struct list number_link, group_link, session_link; /* numbers.c */
    struct mm *mm;                                     /* shared between vfork parent and child */
    struct fdtable *files;                             /* CLONE_FILES shares */
    struct fs_context *fs;                             /* CLONE_FS shares */
    struct creds creds;
    struct user *user; /* of the real uid: who is charged for its tasks */
    struct rlimit rlimits[RLIM_NLIMITS];
    char comm[16];
    char *exe_path; /* /proc/self/exe; owned */
    struct file *exe;
    struct tty *ctty;  /* controlling terminal, or NULL (tty/) */
    uint64_t start_ns; /* monotonic */
    uint64_t cpu_ns, children_cpu_ns;
    bool zombie, stopped, dumpable;
    struct wait_queue wait_child;

    /* --- for the rooms signal/, time/, proc/ and run/; each says below what is its own --- */
    struct task *leader; /* gone when exec by another thread took its place */
    unsigned thread_count;
    int exit_status;      /* as wait4 reports it; valid when zombie */
    int exit_signal;      /* to the parent; 0 none */
    bool group_exit;      /* every thread leaves at its next edge */
    struct task *exec_by; /* a thread in execve waits for the others to leave */
    bool exec_done;       /* since fork: setpgid by the parent is refused */
    bool subreaper, no_new_privs, keep_caps, reaped;
    bool may_be_orphaned; /* its group, whose parent in another one has ended: to be looked at (exit.c) */
    int pdeath_signal;
    uint32_t personality;
    int nice;
    struct signal_action *actions; /* [65], counted: CLONE_SIGHAND shares */
    struct signal_queue pending;
    bool stop_report, continue_report; /* for waitpid WUNTRACED / WCONTINUED */
    int stop_signal;
    struct wait_queue stop_queue;     /* threads of a stopped process */
    struct wait_queue pidfd_queue;    /* pidfds: readable when zombie */
    struct wait_queue signalfd_queue; /* of its threads; and its epoll items, as on Linux of who made the item */
    struct ktimer itimer_real;
    uint64_t itimer_real_interval;
    uint64_t itimer_virtual[2][2]; /* VIRTUAL, PROF: expiry in cpu_ns (0 off), interval */
    struct list cpu_timers;        /* struct cpu_timer, on cpu_ns */
    uint64_t cpu_next;             /* cpu_ns at which something is to be done; UINT64_MAX never */
    unsigned charged_tasks;        /* to the user: the process until it is waited for, and each thread beyond the
                                       first */
    bool over_limit;               /* setuid went beyond RLIMIT_NPROC: exec asks again */
    struct list posix_timers;
    int next_timer_id;
    uint64_t securebits;                  /* SECBIT_KEEP_CAPS is keep_caps */
    int oom_score_adj, oom_score_adj_min; /* who is killed first when memory is short */
    uint32_t loginuid, sessionid;         /* of an audit session; UINT32_MAX: none */
    bool thp_disabled;                    /* kept for PR_GET_THP_DISABLE: huge pages are the host's business */
    int mce_kill;                         /* PR_MCE_KILL_*: kept, memory errors reach no guest */
    uint64_t cap_ambient;
    uint64_t minor_faults, voluntary, involuntary;
    uint64_t unknown_fault; /* host address of its last fault with unknown registers; 0: none yet (faults.c) */
    int unknown_signal;     /* of that fault */
};

struct task {
    struct sched_entity sched; /* first: the scheduler knows nothing else of a task */
    int tid;
    struct process *process;
    struct list thread_link;

    /* --- for the rooms signal/, time/, proc/ and run/ --- */
    struct list number_link; /* numbers.c */
    char comm[16];
    uint64_t timer_slack, default_timer_slack;
    int policy, priority;       /* SCHED_* and its static priority: kept and shown only */
    bool reset_on_fork;         /* SCHED_RESET_ON_FORK: what it makes has the ordinary ones */
    struct platform_jump base;  /* the base dispatcher of the fiber */
    struct run_frame *frame;    /* innermost nested run */
    struct fault_record *fault; /* innermost fault whose handler runs below compiled code */
    uint64_t cpu_ns;
    struct list cpu_timers; /* as the process's */
    uint64_t cpu_next;
    bool charged; /* beyond the first of its process */
    uint64_t blocked, saved_blocked;
    bool restore_blocked;
    struct signal_queue pending;
    uint64_t waiting_set; /* rt_sigtimedwait */
    uint64_t altstack_sp, altstack_size;
    int altstack_flags;            /* as they were set; 0: never */
    struct wait_queue sleep_queue; /* sleeps that nothing but a timer or a signal ends */
    int64_t (*restart)(struct task *t);
    uint64_t restart_args[4];
    uint64_t clear_child_tid, set_child_tid;
    struct vfork_wait *vfork; /* somebody may wait until this task leaves its memory; counted */
    uint64_t robust_list;
    bool kill_me;       /* leaves at its next edge (exec by a sibling) */
    bool evaluate_next; /* compiled code found no entry for rip, or refused (ir_assumption): a step there
                                    first */
    bool in_call;       /* of a run that is compared with another one: between calls_made() and calls_done() */
    uint64_t fault_err, fault_trapno, fault_cr2; /* of its last fault: for the signal frame */
};

_Static_assert(offsetof(struct task, sched) == 0, "the scheduler takes a task for its entity");

/* Between a task that was made with CLONE_VFORK and the one that waits until it leaves its memory (exec, exit). Either may
 * be gone first: both count. */
struct vfork_wait {
    struct refcount refs;
    bool done;
    struct wait_queue queue;
};
OBJECT_POOL_OF(vfork_wait);

static inline struct process *
current_process(void)
{
    return current_task()->process;
}

/* --- process.c --- */
extern struct process *init_process;
extern struct list process_list;
struct process *process_next(struct process *after); /* NULL: the first; for /proc */
enum { PROC_PID_MAX = 4194304 };
void proc_limit_tasks(uint64_t limit); /* --pids */
unsigned proc_task_count(void);
int64_t proc_allocate_id(void);
int64_t proc_take_id(int id);     /* this one; -EEXIST */
void process_count(int more);     /* so many tasks, or processes that nobody has waited for, more */
void task_charge(struct task *t); /* a thread beyond the first is counted */
void task_uncharge(struct task *t);
int process_set_user(struct process *p, uint32_t uid); /* moves what is charged for p; -EAGAIN */
bool process_limit_reached(const struct process *p);   /* RLIMIT_NPROC, for the caller's rights */
/* How much would killing it help (Linux's oom_badness)? In pages; INT64_MIN: not to be killed. */
int64_t process_oom_points(const struct process *p);
/* Linux's ptrace_may_access(PTRACE_MODE_READ): may the current process see into this one? By its ids for files, as /proc asks, or
 * by its real ones, as calls do. */
enum look_as { LOOK_FILES, LOOK_REAL };
bool process_may_look(const struct process *p, enum look_as as);

/* --- numbers.c: found by number from here on, until unnumbered --- */
struct process *process_find(int pid);
struct task *task_find(int tid);
struct process *group_next(int pgid, struct process *after); /* the members of a group; NULL: the first */
struct process *session_next(int sid, struct process *after);
bool number_used(int number); /* by a task, a process, a group or a session */
void process_number(struct process *p);
void process_unnumber(struct process *p);
void process_set_group(struct process *p, int pgid, int sid);
void task_number(struct task *t, int tid);
void task_unnumber(struct task *t);

struct task_hooks {
    void (*end)(struct process *p, int sig); /* as by this signal, from outside: init too */
};
extern const struct task_hooks task_hooks; /* boot/hooks.c */

#endif
