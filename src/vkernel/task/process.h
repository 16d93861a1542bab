/* Processes and threads, and how to find them. Each room changes its own fields only. What guards the
 * fields is the kernel lock, which tasks let go only where they may sleep (platform/thread.h, sched/sched.h). */
#ifndef VKERNEL_TASK_PROCESS_H
#define VKERNEL_TASK_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/id_tree.h"
#include "base/list.h"
#include "base/refcount.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/mm/store.h"
#include "vkernel/sched/sched.h"
#include "vkernel/vfs/creds.h"
#include "x86/cpu.h"

struct file;
struct fdtable;
struct fs_context;
struct mm;
struct seccomp_filter;
struct user;
struct tty;
struct trace;

enum { SIGNALS = 64 };
/* The signals that are pending for a process, or for one of its threads. A guest queues as many as RLIMIT_SIGPENDING
 * allows, and takes all of them with one read of a signalfd, so each signal number has a list of its own. */
struct signal_queue {
    uint64_t set; /* SIGNAL_BIT of each that is pending. One that came when nothing could be queued has no entry */
    /* struct signal_entry; those of number n are at n - 1, in the order in which they came */
    struct list entries[SIGNALS];
};

struct process {
    int pid, pgid, sid;
    struct process *parent;
    struct list children, sibling;
    struct list threads;                               /* struct task.thread_link */
    struct list all;                                   /* in process_list, which has every process by age */
    struct list number_link, group_link, session_link; /* numbers.c */
    struct mm *mm;                                     /* shared by a child of vfork and its parent */
    struct fdtable *files;                             /* shared after CLONE_FILES */
    struct fs_context *fs;                             /* shared after CLONE_FS */
    struct store_released released;                    /* memory that is still to be given back */
    struct creds creds;
    struct user *user; /* the user of the real uid, who is charged for this process's tasks */
    struct rlimit rlimits[RLIM_NLIMITS];
    char comm[16];
    char *exe_path; /* what /proc/self/exe leads to; owned */
    struct file *exe;
    struct tty *ctty;                 /* the controlling terminal, or NULL (tty/) */
    uint64_t start_ns;                /* monotonic time at which it began */
    uint64_t cpu_ns, children_cpu_ns; /* processor time; the children are those that it has waited for, and theirs */
    uint64_t system_ns, children_system_ns; /* of which the kernel's; the rest is user time */
    bool zombie, stopped, dumpable;
    struct wait_queue wait_child;

    /* --- fields of the rooms signal/, time/, proc/ and run/ --- */
    struct task *leader; /* gone when another thread's exec took its place */
    unsigned thread_count;
    int exit_status;            /* as wait4 reports it; valid for a zombie */
    int exit_signal;            /* the signal that the parent gets at the end; 0: none */
    bool group_exit;            /* every thread of it leaves at its next edge */
    struct task *exec_by;       /* a thread in execve that waits for the others to leave */
    int maker;                  /* the number of the thread that made it, which TRACEME makes its tracer */
    unsigned traced_threads;    /* so many of its threads are traced */
    unsigned tracees;           /* so many tasks its threads trace, those included that ended and were not waited for */
    struct trace *leader_trace; /* that of its first thread, also when that has ended; NULL: it is not traced */
    bool exec_done;             /* it has called exec since fork, so that its parent's setpgid is refused */
    bool subreaper, keep_caps, reaped;
    bool may_be_orphaned; /* its parent, of another group, has ended: its group is to be looked at (exit.c) */
    int pdeath_signal;
    uint32_t personality;
    int nice;
    struct signal_action *actions; /* [65]; counted, as CLONE_SIGHAND shares them */
    struct signal_queue pending;
    bool stop_report, continue_report; /* waitpid with WUNTRACED or WCONTINUED has something to report */
    int stop_signal;
    struct wait_queue stop_queue;  /* the threads of a stopped process sleep here */
    struct wait_queue pidfd_queue; /* pidfds, which can be read once this is a zombie */
    /* its threads' reads of signalfds, and its epoll items; as on Linux, they are of who made the item */
    struct wait_queue signalfd_queue;
    struct ktimer itimer_real;
    uint64_t itimer_real_interval;
    /* ITIMER_VIRTUAL and ITIMER_PROF: at how much user time, and at which cpu_ns, it expires (0: off); then
     * the interval */
    uint64_t itimer_virtual[2][2];
    struct list cpu_timers; /* struct cpu_timer: timers on cpu_ns */
    uint64_t cpu_next; /* the cpu_ns at which the first of these timers, or RLIMIT_CPU, is due; UINT64_MAX: never */
    /* what is charged to the user: the process, until it is waited for, and each thread beyond the first */
    unsigned charged_tasks;
    bool over_limit;             /* setuid went beyond RLIMIT_NPROC, so that exec looks at the limit again */
    struct id_tree posix_timers; /* struct posix_timer, by the number that the guest knows */
    int next_timer_id;
    uint64_t securebits;                  /* all but SECBIT_KEEP_CAPS, which is keep_caps */
    int oom_score_adj, oom_score_adj_min; /* say who is killed first when memory is short */
    uint32_t loginuid, sessionid;         /* what Linux's audit calls the session; UINT32_MAX: none */
    bool thp_disabled;                    /* kept for PR_GET_THP_DISABLE only: huge pages are the host's business */
    int mce_kill;                         /* PR_MCE_KILL_*: kept only, because memory errors reach no guest */
    uint64_t cap_ambient;
    uint64_t minor_faults, voluntary, involuntary;
    /* the host address of its last fault with unknown registers; 0: there was none (run/faults.c) */
    uint64_t unknown_fault;
    int unknown_signal; /* the signal of that fault */
};

/* What a task may have to do at a system call beyond making it (run/call_work.c). */
enum { CALL_SECCOMP = 1, CALL_TRACED = 2 };
/* It leaves, because a sibling does exec; it stops for its tracer. */
enum { TASK_TO_LEAVE = 1, TASK_TO_TRAP = 2 };

struct task {
    struct sched_entity sched; /* first member: the scheduler knows nothing else of a task */
    int tid;
    struct process *process;
    struct list thread_link;
    struct fdtable *files; /* its own, counted, apart from the process's; NULL: it has the process's */
    struct fs_context *fs; /* likewise */

    /* --- fields of the rooms signal/, time/, proc/ and run/ --- */
    struct list number_link; /* numbers.c */
    char comm[16];
    uint64_t timer_slack, default_timer_slack;
    int policy, priority;       /* SCHED_* and the static priority, which are kept and shown only */
    uint64_t slice_ns;          /* of sched_setattr, kept and shown only; 0: the usual one */
    uint32_t ioprio;            /* of ioprio_set, kept and shown only */
    bool reset_on_fork;         /* SCHED_RESET_ON_FORK: the tasks that it makes have the ordinary ones */
    struct platform_jump base;  /* the base dispatcher of the task's fiber */
    struct run_frame *frame;    /* the innermost nested run, or NULL (run/run.c) */
    struct fault_record *fault; /* the innermost fault whose handler runs below compiled code, or NULL (run/faults.c) */
    uint64_t cpu_ns, system_ns;
    struct list cpu_timers; /* like the process's, but on the task's own time */
    uint64_t cpu_next;
    bool charged; /* charged to the user, as a thread beyond the first of its process */
    uint64_t blocked, saved_blocked;
    bool restore_blocked;
    struct signal_queue pending;
    uint64_t waiting_set; /* what rt_sigtimedwait waits for */
    uint64_t altstack_sp, altstack_size;
    int altstack_flags;            /* as they were set last; 0: they never were */
    struct wait_queue sleep_queue; /* for sleeps that nothing but a timer or a signal ends */
    int64_t (*restart)(struct task *t);
    uint64_t restart_args[4];
    uint64_t clear_child_tid, set_child_tid;
    struct vfork_wait *vfork; /* somebody may wait until this task leaves its memory; counted */
    uint64_t robust_list;
    struct sem_undo_list *sem_undos; /* ipc/; NULL: nothing is to be undone */
    uint8_t asked;                   /* TASK_TO_*: what it does at its next edge */
    uint8_t call_work;               /* CALL_*: what else is to be done at each of its system calls; mostly 0 */
    bool call_answered;              /* its last call was not made, and the result is one whatever number it is */
    bool no_new_privs;
    bool ending;          /* nobody begins to trace it, or is traced by it: who did was told, and it may still sleep */
    uint8_t seccomp_mode; /* SECCOMP_MODE_* */
    struct seccomp_filter *seccomp_filter; /* the last of them, with a reference; NULL: there is none */
    unsigned seccomp_filters;              /* how many there are */
    /* compiled code cannot go on at rip, because there is no entry or it refused (ir_assumption): the evaluator does a
     * step first */
    bool evaluate_next;
    struct trace *trace; /* how it is traced; NULL: it is not */
    struct list tracees; /* struct trace: those that it traces */
    bool in_call;        /* for a run that is compared with another one: is it between calls_made() and calls_done()? */
    uint64_t fault_err, fault_trapno, fault_cr2; /* of its last fault, for the signal frame */
};

_Static_assert(offsetof(struct task, sched) == 0, "the scheduler takes a task for its entity");

/* What a task that was made with CLONE_VFORK shares with the task that waits until it leaves its memory, by exec or
 * exit. Either may be gone first, so that both count it. */
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

/* Is the task one of this address space (struct mm)? For sched_kick() and sched_stop_others(). */
static inline bool
task_runs_in(struct task *t, const void *mm)
{
    return t->process->mm == mm;
}

/* --- process.c --- */
extern struct process *init_process;
extern struct list process_list;
struct process *process_next(struct process *after); /* the one after it by age; NULL: the first */
enum { PROC_PID_MAX = 4194304 };
void proc_limit_tasks(uint64_t limit); /* sets the limit of --pids */
unsigned proc_task_count(void);
extern uint64_t proc_tasks_made; /* so many processes and threads were ever made */
int64_t proc_allocate_id(void);
int proc_last_id(void);           /* what proc_allocate_id() gave last */
int64_t proc_take_id(int id);     /* takes this number, or -EEXIST */
void process_count(int more);     /* there are so many more tasks, or processes that nobody has waited for */
void task_charge(struct task *t); /* the user is charged for a thread beyond the first */
void task_uncharge(struct task *t);
int process_set_user(struct process *p, uint32_t uid); /* moves to the user what is charged for p; or -EAGAIN */
bool process_limit_reached(const struct process *p);   /* is RLIMIT_NPROC reached, with the caller's rights? */
/* How much would it help to kill this process, as Linux's oom_badness says? In pages; INT64_MIN: it is not to be
 * killed. */
int64_t process_oom_points(const struct process *p);
/* May the current process see into this one, as Linux's ptrace_may_access(PTRACE_MODE_READ) says? /proc asks by the ids
 * for files, and system calls ask by the real ids. */
enum look_as { LOOK_FILES, LOOK_REAL };
bool process_may_look(const struct process *p, enum look_as as);

/* --- numbers.c: what is numbered can be found by its number, until it is unnumbered --- */
struct process *process_find(int pid);
struct task *task_find(int tid);
struct process *group_next(int pgid, struct process *after); /* the next member of a group; NULL: the first */
struct process *session_next(int sid, struct process *after);
bool number_used(int number); /* is it that of a task, a process, a group or a session? */
void process_number(struct process *p);
void process_unnumber(struct process *p);
void process_set_group(struct process *p, int pgid, int sid);
void task_number(struct task *t, int tid);
void task_unnumber(struct task *t);

struct task_hooks {
    void (*end)(struct process *p, int sig); /* ends the process as this signal would, from outside; process 1 too */
};
extern const struct task_hooks task_hooks; /* boot/hooks.c */

/* Where a task's descriptors, and its working directory, root and umask, are. */
static inline struct fdtable **
task_files(struct task *t)
{
    return t->files ? &t->files : &t->process->files;
}
static inline struct fs_context **
task_fs(struct task *t)
{
    return t->fs ? &t->fs : &t->process->fs;
}

#endif
