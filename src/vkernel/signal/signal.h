/* Signals (signal(7)): sending, what is pending, handlers and masks. */
#ifndef VKERNEL_SIGNAL_SIGNAL_H
#define VKERNEL_SIGNAL_SIGNAL_H

#include "vkernel/task/process.h"
#include "vkernel/vfs/users.h"

int signal_send_process(struct process *p, int sig); /* kernel-generated */
int signal_send_group(int pgid, int sig);
/* To the thread that runs, for what its call did: SIGPIPE, SIGXFSZ (send_sig of Linux). */
void signal_send_self(int sig);
bool signal_pending_current(void); /* would one be delivered now? */
/* For ttys: is the signal blocked or ignored by the current task (SIGTTIN, SIGTTOU rules)? */
bool signal_ignored_current(int sig);
/* No other process of the session can continue a stopped group (POSIX orphaned process group). */
bool group_is_orphaned(int pgid);
/* ppoll, pselect, epoll_pwait: replaces the mask until the call is over; restored by the edge. */
void signal_set_temporary_mask(uint64_t set);
/* The same with the mask in guest memory; 0: there is none. 0, -EINVAL, -EFAULT. */
int signal_temporary_mask_from_guest(uint64_t mask, uint64_t size);
/* For a call's result: what was not interrupted delivers nothing under the temporary mask; signals stay pending. */
int64_t signal_temporary_mask_result(int64_t result);
void signal_from_host(int sig); /* the host sent it to the container */
/* Takes the next of the allowed ones: its number, or 0. info may be NULL. */
int signal_take(struct task *t, uint64_t allowed, siginfo_t *info);

struct signal_entry {
    struct list link;
    siginfo_t info;
    struct user *user; /* who is charged for it */
    struct process *process;
    struct task *task; /* on whose queue it is; NULL: the process's */
    bool timer;        /* a POSIX timer's, which owns it (signal_hooks) */
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
void signal_ask_trap(struct task *t); /* a traced one: it stops at its next edge, and leaves its sleep for it */
/* Does something of the process or of the task want attention beside signals? Where the process is stopped, a tracer may
 * have said that the task goes on all the same. */
bool signal_attention(const struct task *t);
/* Is there a signal to attend to, or an end or a stop of the task? This and signal_work() are asked at each edge. */
static inline bool
signal_pending_task(const struct task *t)
{
    const struct process *p = t->process;

    return ((t->pending.set | p->pending.set) & ~t->blocked) ||
           ((p->group_exit | t->asked | p->stopped) && signal_attention(t));
}
/* Is there anything to do at the edge? The same, and a mask that is to be restored. */
static inline bool
signal_work(const struct task *t)
{
    return signal_pending_task(t) || t->restore_blocked;
}
/* sigaltstack's change, with the stack pointer at rsp: 0 or -errno. */
int signal_set_altstack(struct task *t, uint64_t rsp, uint64_t sp, int flags, uint64_t size);
void signal_queue_init(struct signal_queue *q);
void signal_flush(struct signal_queue *q);
void signal_exec(struct process *p); /* handlers to default */
void signal_child_changed(struct process *child, int code, int status);
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

struct signal_hooks {
    /* a POSIX timer's was taken: info tells how often it was due */
    void (*timer_taken)(struct signal_entry *e, siginfo_t *info);
    void (*timer_dropped)(struct signal_entry *e);
    void (*wanted)(struct process *p, int sig); /* is no longer ignored */
    void (*alarm_taken)(struct process *p);     /* SIGALRM */
};
extern const struct signal_hooks signal_hooks; /* boot/hooks.c */

#endif
