/* Between proc/, sched/, signal/ and time/. */
#ifndef VKERNEL_PROC_INTERNAL_H
#define VKERNEL_PROC_INTERNAL_H

#include "base/refcount.h"
#include "platform/heap.h"
#include "vkernel/task/process.h"
#include "vkernel/task/users.h"
#include "x86/address_space.h"

/* A nested run inside compiled code: it is over when the guest is back at pc with this stack pointer. */
struct run_frame {
    struct run_frame *outer;
    uint64_t stop_pc, stop_rsp;
};

/* A fault of compiled code whose registers nobody knows, while its handler runs below that code (faults.c). */
struct fault_record {
    struct fault_record *outer;
    struct platform_jump base; /* the dispatcher that runs the handler */
    uint64_t host_pc;
    uint64_t stack; /* all that is in use lies above */
    uint64_t frame; /* the signal frame made there; 0: none, the state is the fault's */
};

/* Between a task that was made with CLONE_VFORK and the one that waits until it leaves its memory (exec, exit). Either
 * may be gone first: both count. */
struct vfork_wait {
    struct refcount refs;
    bool done;
    struct wait_queue queue;
};
OBJECT_POOL_OF(vfork_wait);

/* Values of the jump to a dispatcher. */
enum { JUMP_RESTART = 1, JUMP_FAULT };

/* --- sched.c --- */
int sched_prepare(struct task *t);

/* --- run.c --- */
_Noreturn void task_run(struct task *t); /* first code of a new fiber */
_Noreturn void run_restart(void);        /* drops every frame; goes on at x86_cpu_tls.rip */
bool proc_forced_limit(void);            /* --stress budget */
bool proc_forced_tick(void);             /* the same, of rewritten code, which has no limit */
void syscall_edge(void);                 /* a syscall instruction was executed; rip is after it */
void syscall_edge_with(uint64_t rflags); /* the same, for who has x86_cpu_rflags() at hand */
void poll_edge(void);                    /* preemption and signals */
void run_init(void);
void run_evaluate(void); /* from rip to the next compiled entry, or until something else is to do; the
                                            edge included */
/* Runs the guest until the handler of this fault has returned: true; else whoever is further out goes on. */
bool run_until_returned(struct fault_record *fault);
/* For the evaluator (eval_host.fetch), and: is there a compiled entry at the address? */
const uint8_t *run_fetch(void *context, uint64_t address, size_t *left, uint64_t *image_base);
bool run_has_entry(uint64_t address);
/* Does the evaluator run everything, because floating-point exceptions are unmasked and their handler looks at
 * registers? Compiled code has no map of its arithmetic (decision 0009). */
bool run_floats_evaluated(void);
extern bool stress_unwind, stress_budget, stress_evaluate;

/* --- direct_x87.c: while rewritten code runs, and until somebody needs it, the x87 state is in the host's registers
 * --- */
void x87_out(void);      /* it is in x86_cpu_tls.x87 from here on */
void x87_in(void);       /* it is in the host's */
void x87_replaced(void); /* all of x86_cpu_tls.x87 is made anew */

/* --- faults.c --- */
void run_trap(unsigned vector, uint64_t pc); /* an exception, IR_TRAP_* or a vector, of the instruction at pc */
void x86_apply_mxcsr(void);                  /* the guest's MXCSR becomes the host's */
void fault_finish_string(void); /* x86_cpu_tls is as of a string instruction that faulted in the evaluator: what that
                                   did before becomes visible */
void fault_deliver(void);       /* the signal of the fault or exception that was left by JUMP_FAULT */
/* Has the handler gone away by longjmp, as it seems: is the stack pointer above its frame, or on another stack? */
bool fault_is_left(const struct fault_record *fault);
/* Is the state of this task that of a fault whose registers nobody knows? Then its record. */
struct fault_record *fault_unknown(const struct task *t);
#define FAULT_UNKNOWN_CONTEXT (GUEST_UNKNOWN + 0x1000u) /* what the handler gets as its context */
/* What stands for a register of it. number: of x86; 16: rip */
uint64_t fault_unknown_register(unsigned number);
/* sigreturn from the frame at this address, made over an unknown state; it ends the process unless the fault is still
 * there. */
void fault_returned(struct task *t, uint64_t frame);
/* Ends the process: somebody wants of a fault what only precise faults could tell. The verb's subject is a handler. */
_Noreturn void fault_refuse(const char *verb);

/* --- trampoline.c --- */
bool trampoline_run(void); /* is there a known one at rip, which is not executable? It has been carried out */

/* --- process.c --- */
extern struct process *init_process;
struct process *process_new(struct process *parent); /* not yet visible */
void process_free(struct process *p);
struct task *task_new(struct process *p);
void task_free(struct task *t);
void task_charge(struct task *t); /* a thread beyond the first is counted */
void task_uncharge(struct task *t);
extern struct list process_list;
void proc_host_signal(int sig);
enum { PROC_PID_MAX = 4194304 };
int64_t proc_allocate_id(void);
int64_t proc_take_id(int id); /* this one; -EEXIST */

/* --- numbers.c: found by number from here on, until unnumbered --- */
bool number_used(int number); /* by a task, a process, a group or a session */
void process_number(struct process *p);
void process_unnumber(struct process *p);
void process_set_group(struct process *p, int pgid, int sid);
void task_number(struct task *t, int tid);
void task_unnumber(struct task *t);

/* --- process.c, for users.h --- */
int process_set_user(struct process *p, uint32_t uid); /* moves what is charged for p; -EAGAIN */
bool process_limit_reached(const struct process *p);   /* RLIMIT_NPROC, for the caller's rights */

/* --- exit.c --- */
_Noreturn void task_exit(int status);         /* this thread; the process too when it is the last */
_Noreturn void group_exit(int status);        /* wait status */
void process_end(struct process *p, int sig); /* as by this signal, from outside: init too */
int pidfd_pid(int fd, bool *nonblock);        /* of the process; -EBADF, -EINVAL, -ECHILD */
bool kill_other_threads(void);                /* for exec: true when alone; false: this one must leave, too */
void mm_release(struct task *t);              /* clear_child_tid, robust list, who waits for a vfork */
_Noreturn void container_exit(int status);

void vfork_put(struct vfork_wait *w);

/* --- ids.c --- */
int64_t proc_capability_prctl(int option, const uint64_t a[6]);

/* --- exec.c --- */
int exec_file(int dirfd, const char *path, int flags, char **argv, char **envp);

/* --- futex.c --- */
int futex_wake_address(uint64_t address, unsigned n);
void futex_exit_robust(struct task *t);

/* --- signal/ --- */
struct signal_entry {
    struct list link;
    siginfo_t info;
    struct user *user; /* who is charged for it */
    struct process *process;
    struct task *task; /* on whose queue it is; NULL: the process's */
    bool timer;        /* a POSIX timer's, which owns it */
};
struct signal_action { /* as the kernel's struct sigaction of x86-64 */
    uint64_t handler, flags, restorer, mask;
};
#define SIGNAL_BIT(sig) (1ull << ((sig) - 1))
void signal_init_task(struct task *t);
int signal_send_info(struct process *p, struct task *t, const siginfo_t *info); /* t: thread-directed */
void signal_send_from(struct process *p, int sig);                              /* as from the current process */
int signal_codes(int sig); /* the highest si_code that the signal's own causes have; 0: it has none */
/* same: it must name the signal. -EFAULT, -E2BIG, -EINVAL */
int signal_info_from_guest(siginfo_t *info, uint64_t address, int sig, bool same);
bool signal_fatal_pending(void);
bool signal_pending_task(const struct task *t);
/* A fault of the current task: cannot be blocked or ignored. */
void signal_force(int sig, int code, uint64_t address, int trapno);
/* sigaltstack's change, with the stack pointer at rsp: 0 or -errno. */
int signal_set_altstack(struct task *t, uint64_t rsp, uint64_t sp, int flags, uint64_t size);
/* err: bits of the processor's page fault error code. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_FETCH = 16 };
void signal_force_page_fault(int sig, int code, uint64_t address, unsigned err);
/* At the edge to guest code. result: of the system call that ends (-ERESTART* decide), or 0 with nr -1. Returns true
 * when the system call is to be done again in place. */
bool signal_deliver(int nr);
void signal_queue_init(struct signal_queue *q);
void signal_flush(struct signal_queue *q);
void signal_exec(struct process *p); /* handlers to default */
void signal_child_changed(struct process *child, int code, int status);
bool signal_work(const struct task *t); /* anything to do at the edge? */
struct signal_action *signal_actions_new(const struct signal_action *from);
struct signal_action *signal_actions_get(struct signal_action *a);
void signal_actions_put(struct signal_action *a);
bool signal_actions_own(const struct process *p);      /* nobody shares them */
int signal_actions_unshare(struct process *p);         /* of its own from here on */
void signal_discard(struct process *p, uint64_t mask); /* what is pending of these, of all its threads */
int signal_check_permission(struct process *target, int sig);
/* Counts the entry with the user of p; false when RLIMIT_SIGPENDING does not allow it. */
bool signal_entry_charge(struct signal_entry *e, struct process *p, bool beyond_limit);
void signal_entry_discharge(struct signal_entry *e);
/* Sends the entry of a timer, which is on no queue; false when the signal is ignored. */
bool signal_send_entry(struct process *p, struct task *t, struct signal_entry *e);
void signal_entry_cancel(struct signal_entry *e); /* takes it off its queue, if it is on one */

/* --- time/ --- */
void timers_exec(struct process *p);
void timers_exit(struct process *p);
void timer_signal_taken(struct signal_entry *e, siginfo_t *info); /* tells how often it was due */
void timer_signal_dropped(struct signal_entry *e);
void timers_signal_wanted(struct process *p, int sig); /* is no longer ignored */
void itimer_signal_taken(struct process *p);           /* SIGALRM */
void cpu_timers_changed(struct process *p);            /* RLIMIT_CPU or an interval timer was set */
void cpu_timers_end(struct list *timers);
bool cpu_timers_armed(const struct task *t);
void proc_check_cpu_timers(struct task *t); /* its time was charged */

/* --- abi/dispatch.c --- */
int64_t syscall_dispatch(int64_t nr, const uint64_t a[6]);
void syscall_report(int fd);
void syscall_write_unknown(void (*put)(const char *text)); /* [number, times], ... */
extern bool strace_on;
extern uint64_t syscall_total;
void strace_exit_note(const char *text);
/* as the trace shows it, without its result */
void syscall_describe(int64_t nr, const uint64_t a[6], char *out, size_t size);
void strace_result(int64_t nr, int64_t result);

#endif
