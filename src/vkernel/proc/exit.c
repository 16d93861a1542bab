/* How threads and processes end, and how a parent waits for its children. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/proc/trace.h"
#include "vkernel/seccomp/seccomp.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time.h"
#include "vkernel/tty/tty.h"
#include "vkernel/vfs/file.h"
#include "x86/helpers.h"
#include "x86/address_space.h"

void
vfork_put(struct vfork_wait *w)
{
    if (!refcount_put(&w->refs))
        return;
    wait_queue_fini(&w->queue);
    OBJECT_FREE(vfork_wait, w);
}

void
mm_release(struct task *t)
{
    struct process *p = t->process;
    int zero = 0;

    futex_exit_robust(t);
    t->robust_list = 0;
    if (t->clear_child_tid && p->mm) {
        if (copy_to_guest(t->clear_child_tid, &zero, sizeof zero) == 0)
            futex_wake_address(t->clear_child_tid, 1);
        t->clear_child_tid = 0;
    }
    if (t->vfork) {
        struct vfork_wait *w = t->vfork;

        t->vfork = NULL;
        w->done = true;
        wait_queue_wake(&w->queue);
        vfork_put(w);
    }
}

/* --- the process --- */

void
notify_parent(struct process *p)
{
    struct process *parent = p->parent;
    int status = p->exit_status;
    bool discard;

    wait_queue_wake(&p->pidfd_queue);
    if (!parent)
        return;
    discard = p->exit_signal == SIGCHLD && (parent->actions[SIGCHLD].handler == (uint64_t)(uintptr_t)SIG_IGN ||
                                            (parent->actions[SIGCHLD].flags & SA_NOCLDWAIT));
    if (WIFEXITED(status))
        signal_child_changed(p, CLD_EXITED, WEXITSTATUS(status));
    else
        signal_child_changed(p, CLD_KILLED, WTERMSIG(status));
    wait_queue_wake(&parent->wait_child);
    if (discard) {
        if (p->leader_trace)
            trace_drop(p->leader_trace);
        list_remove(&p->all);
        process_unnumber(p);
        list_remove(&p->sibling);
        p->parent = NULL;
        p->reaped = true; /* it is freed with its last thread, which may be long gone */
        if (p != current_process())
            process_free(p);
    }
}

static struct process *
new_parent(struct process *p)
{
    for (struct process *a = p->parent; a; a = a->parent)
        if (a->subreaper && !a->zombie && !a->group_exit)
            return a;
    return init_process;
}

static bool
has_stopped(int pgid)
{
    for (struct process *p = group_next(pgid, NULL); p; p = group_next(pgid, p))
        if (p->stopped)
            return true;
    return false;
}

/* A group that becomes orphaned while a member is stopped gets SIGHUP and SIGCONT (POSIX), as nobody could let it go on
 * otherwise. */
static void
check_orphaned(int pgid)
{
    if (group_is_orphaned(pgid) && has_stopped(pgid)) {
        signal_send_group(pgid, SIGHUP);
        signal_send_group(pgid, SIGCONT);
    }
}

/* Looks at the group of each child that is marked with may_be_orphaned, once for each group, however many of the
 * children are in it. Otherwise a guest could make the end of one process take time that grows with the square of its
 * children. */
static void
check_groups_of(struct list *first, const struct list *end)
{
    for (struct list *l = first; l != end; l = l->next) {
        struct process *child = list_entry(l, struct process, sibling);

        if (!child->may_be_orphaned)
            continue;
        for (struct process *member = group_next(child->pgid, NULL); member; member = group_next(child->pgid, member))
            member->may_be_orphaned = false;
        check_orphaned(child->pgid);
    }
}

static void
reparent_children(struct process *p)
{
    struct process *to = new_parent(p);
    struct list *before = to->children.prev; /* the last child before those that are added */

    LIST_EACH_SAFE(l, &p->children) {
        struct process *child = list_entry(l, struct process, sibling);

        list_remove(&child->sibling);
        child->parent = to;
        list_append(&to->children, &child->sibling);
        if (child->pdeath_signal && signal_check_permission(child, child->pdeath_signal) == 0)
            signal_send_from(child, child->pdeath_signal);
        child->exit_signal = SIGCHLD;
        child->may_be_orphaned = child->pgid != p->pgid && child->sid == p->sid;
    }
    check_groups_of(before->next, &to->children);
    for (struct list *l = before->next, *next; l != &to->children; l = next) {
        struct process *child = list_entry(l, struct process, sibling);

        next = l->next;
        if (child->zombie && !trace_comes_first(child))
            notify_parent(child); /* this may free the child */
    }
}

static void
process_exit(struct process *p)
{
    struct fdtable *files;

    sched_account();
    timers_exit(p);
    if (p == init_process)
        proc_hooks.container_exit(p->exit_status);
    if (p->sid == p->pid)
        tty_session_ended(p);
    files = p->files;
    p->files = NULL;
    fdtable_end(files);
    fs_context_put(p->fs);
    p->fs = NULL;
    if (!current_task()->sched.hurried) { /* killed for its memory: that is to come back at once */
        mm_empty(p->mm);
        store_empty(true);
    }
    proc_hooks.leaves_memory(p->mm);
    mm_put(p->mm);
    p->mm = NULL;
    if (current_task()->sched.hurried)
        store_empty_all_at_once();
    else
        store_empty(true); /* shared memory of which little was mapped */
    reparent_children(p);
    p->zombie = true;
    p->stopped = false;
    if (p->parent && p->parent->sid == p->sid && p->parent->pgid != p->pgid)
        check_orphaned(p->pgid);
    if (!trace_process_ends(p))
        notify_parent(p);
}

void
task_exit(int status)
{
    struct task *t = current_task();
    struct process *p = t->process;

    platform_mode = PLATFORM_KERNEL;
    mm_release(t);
    sem_task_leaves(t);
    t->ending = true;
    if (t->trace || !list_empty(&t->tracees))
        trace_task_ends(t, status);
    thread_own_end(t);
    list_remove(&t->thread_link);
    seccomp_leave(t);
    p->thread_count--;
    if (p->leader == t)
        p->leader = NULL;
    if (p->exec_by)
        wait_queue_wake(&p->exec_by->sleep_queue);
    if (p->thread_count == 0) {
        if (!p->group_exit)
            p->exit_status = status;
        process_exit(p);
    }
    cpu_timers_end(&t->cpu_timers);
    task_unnumber(t);
    sched_exit();
}

void
group_exit(int status)
{
    struct task *self = current_task();
    struct process *p = self->process;

    if (self->trace && !p->group_exit)
        trace_exits(self, status);
    if (!p->group_exit) {
        p->group_exit = true;
        p->exit_status = status;
        LIST_EACH(l, &p->threads)
            sched_interrupt(list_entry(l, struct task, thread_link), true);
    }
    if (strace_on && WIFSIGNALED(status))
        strace_exit_note(strsignal(WTERMSIG(status)));
    task_exit(p->exit_status);
}

void
process_end(struct process *p, int sig)
{
    if (!p->group_exit) {
        p->group_exit = true;
        p->exit_status = sig;
    }
    LIST_EACH(l, &p->threads)
        sched_interrupt(list_entry(l, struct task, thread_link), true);
    wait_queue_wake(&p->stop_queue);
}

bool
kill_other_threads(void)
{
    struct task *self = current_task();
    struct process *p = self->process;

    might_sleep();
    if (p->group_exit || (self->asked & TASK_TO_LEAVE))
        return false; /* another thread has begun an exec or an exit before */
    LIST_EACH(l, &p->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if (t != self) {
            t->asked |= TASK_TO_LEAVE;
            sched_interrupt(t, true);
        }
    }
    p->exec_by = self;
    while (p->thread_count > 1 && !p->group_exit)
        if (wait_on_killable(&self->sleep_queue, WAIT_FOREVER) < 0)
            break;
    p->exec_by = NULL;
    if (p->thread_count > 1 && !p->group_exit) /* a signal kills the process before this thread is alone */
        process_end(p, SIGKILL);
    if (p->group_exit || (self->asked & TASK_TO_LEAVE))
        return false;
    task_number(self, p->pid);
    p->leader = self;
    if (!list_empty(&p->released.items)) /* one of the others was in store_empty() */
        platform_ticked = 1;
    if (self->trace || p->leader_trace)
        trace_took_lead(self);
    task_uncharge(self); /* this task is the process's first now, and the process itself is counted */
    return true;
}

int64_t
sys_exit(const uint64_t a[6])
{
    int status = ((int)a[0] & 0xff) << 8;

    if (current_task()->trace)
        trace_exits(current_task(), status);
    task_exit(status);
}

int64_t
sys_exit_group(const uint64_t a[6])
{
    group_exit(((int)a[0] & 0xff) << 8);
}

/* --- wait --- */

enum { WANT_PID, WANT_GROUP, WANT_ANY };

struct wait_request {
    int kind, id, options; /* options: WEXITED, WSTOPPED, WCONTINUED, WNOHANG, WNOWAIT, __WALL, __WCLONE */
    int pid, code, status; /* the answer: code is a CLD_*, status is as in siginfo */
    uint32_t uid;
    uint64_t cpu_ns, system_ns; /* with its children's */
    struct task *oldest;        /* with __WNOTHREAD: trace_oldest() */
};

static bool
matches(const struct process *child, const struct wait_request *w)
{
    if ((w->options & __WNOTHREAD) && trace_maker(child, w->oldest) != current_task())
        return false;
    /* Children whose end does not send SIGCHLD are waited for with __WCLONE or __WALL only, and other children not with
     * __WCLONE. Those that one's own threads trace are waited for as they are. */
    if (!(w->options & __WALL) && !trace_by_parent(child) &&
        (child->exit_signal != SIGCHLD) != ((w->options & (int)__WCLONE) != 0))
        return false;
    switch (w->kind) {
    case WANT_PID: return child->pid == w->id;
    case WANT_GROUP: return child->pgid == w->id;
    default: return true;
    }
}

static bool
trace_matches(const struct trace *tr, const struct wait_request *w)
{
    switch (w->kind) {
    case WANT_PID: return tr->tid == w->id;
    case WANT_GROUP: return (tr->process ? tr->process->pgid : tr->pgid) == w->id;
    default: return true;
    }
}

static void
answer_exit(struct wait_request *w, int status)
{
    w->code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED;
    w->status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
}

/* Of a tracee that ended, unless its parent waits for both at once; or of one that is in a stop, which wait tells
 * whatever its options are. */
static bool
take_tracee(struct trace *tr, struct wait_request *w)
{
    w->pid = tr->tid;
    w->cpu_ns = w->system_ns = 0;
    if (tr->zombie && (w->options & WEXITED)) {
        w->uid = tr->uid;
        answer_exit(w, tr->exit_status);
        if (!(w->options & WNOWAIT))
            trace_end(tr);
        return true;
    }
    if (tr->zombie || !tr->stopped || tr->listening || tr->code == 0)
        return false;
    w->uid = tr->process->creds.uid;
    w->code = CLD_TRAPPED;
    w->status = tr->code;
    if (!(w->options & WNOWAIT))
        tr->code = 0;
    return true;
}

/* Looks at all that the current process's threads trace, with __WNOTHREAD at this thread's. *any: there is one to wait
 * for. */
static bool
take_any_tracee(struct wait_request *w, bool *any)
{
    struct process *self = current_process();

    LIST_EACH(l, &self->threads) {
        struct task *t = list_entry(l, struct task, thread_link);

        if ((w->options & __WNOTHREAD) && t != current_task())
            continue;
        LIST_EACH(k, &t->tracees) {
            struct trace *tr = list_entry(k, struct trace, link);

            if (!trace_matches(tr, w) || (tr->zombie && tr->process && !trace_comes_first(tr->process)))
                continue;
            if (take_tracee(tr, w))
                return true;
            *any = true;
        }
    }
    return false;
}

static void
answer(struct wait_request *w, const struct process *child, int code, int status)
{
    w->pid = child->pid;
    w->uid = child->creds.uid;
    w->code = code;
    w->status = status;
    w->cpu_ns = child->cpu_ns + child->children_cpu_ns;
    w->system_ns = child->system_ns + child->children_system_ns;
}

static bool
take_child(struct process *child, struct wait_request *w)
{
    struct process *self = current_process();

    if (child->zombie && (w->options & WEXITED) && !trace_comes_first(child)) {
        answer(w, child, 0, 0);
        answer_exit(w, child->exit_status);
        if (!(w->options & WNOWAIT)) {
            self->children_cpu_ns += w->cpu_ns;
            self->children_system_ns += w->system_ns;
            process_free(child);
        }
        return true;
    }
    if (child->stopped && child->stop_report && (w->options & WSTOPPED) && !trace_by_parent(child)) {
        answer(w, child, CLD_STOPPED, child->stop_signal);
        if (!(w->options & WNOWAIT))
            child->stop_report = false;
        return true;
    }
    if (child->continue_report && (w->options & WCONTINUED)) {
        answer(w, child, CLD_CONTINUED, SIGCONT);
        if (!(w->options & WNOWAIT))
            child->continue_report = false;
        return true;
    }
    return false;
}

/* A zombie will neither stop nor go on; but it may wait for its tracer. */
static bool
may_change(const struct process *child)
{
    return !child->zombie || trace_comes_first(child);
}

/* Returns 1 when a child was found, 0 when none is ready (WNOHANG), or an error. */
static int
wait_for_child(struct wait_request *w)
{
    struct process *self = current_process();

    might_sleep();
    for (;;) {
        bool any = false;
        int r;

        if (w->options & __WNOTHREAD)
            w->oldest = trace_oldest(self);
        if (self->tracees && take_any_tracee(w, &any))
            return 1;
        if (w->kind == WANT_PID) {
            struct process *child = process_find(w->id);
            bool mine = child && child->parent == self && matches(child, w);

            if (mine && take_child(child, w))
                return 1;
            any |= mine && may_change(child);
        }
        LIST_EACH_SAFE(l, &self->children) {
            struct process *child = list_entry(l, struct process, sibling);

            if (w->kind == WANT_PID)
                break;

            if (!matches(child, w))
                continue;
            any |= may_change(child);
            if (take_child(child, w))
                return 1;
        }
        if (!any)
            return -ECHILD;
        if (w->options & WNOHANG)
            return 0;
        r = wait_on(&self->wait_child, WAIT_FOREVER);
        if (r < 0)
            return r;
    }
}

int64_t
sys_wait4(const uint64_t a[6])
{
    int pid = (int)a[0], options = (int)a[2], status, r;
    struct wait_request w = {.options =
                                 (options & (WNOHANG | WCONTINUED | __WALL | __WNOTHREAD | (int)__WCLONE)) | WEXITED};
    struct rusage ru = {0};

    if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | (int)0xe0000000))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    if (options & WUNTRACED)
        w.options |= WSTOPPED;
    w.kind = pid == -1 ? WANT_ANY : pid > 0 ? WANT_PID : WANT_GROUP;
    w.id = pid > 0 ? pid : pid == 0 ? current_process()->pgid : -pid;
    r = wait_for_child(&w);
    if (r <= 0)
        return r;
    status = w.code == CLD_EXITED                             ? w.status << 8
             : w.code == CLD_STOPPED || w.code == CLD_TRAPPED ? w.status << 8 | 0x7f
             : w.code == CLD_CONTINUED                        ? 0xffff
                                                              : w.status;
    if (a[1] && copy_to_guest(a[1], &status, sizeof status) < 0)
        return -EFAULT;
    rusage_set_times(&ru, w.cpu_ns, w.system_ns);
    if (a[3] && copy_to_guest(a[3], &ru, sizeof ru) < 0)
        return -EFAULT;
    return w.pid;
}

int64_t
sys_waitid(const uint64_t a[6])
{
    struct wait_request w = {.id = (int)a[1], .options = (int)a[3]};
    siginfo_t info;
    struct rusage ru = {0};
    bool nonblock = false;
    int r;

    if ((w.options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | (int)0xe0000000)) ||
        !(w.options & (WEXITED | WSTOPPED | WCONTINUED)))
        return -EINVAL;
    switch ((int)a[0]) {
    case P_ALL: w.kind = WANT_ANY; break;
    case P_PID:
        w.kind = WANT_PID;
        if (w.id <= 0)
            return -EINVAL;
        break;
    case P_PGID:
        w.kind = WANT_GROUP;
        if (w.id < 0)
            return -EINVAL;
        if (w.id == 0)
            w.id = current_process()->pgid;
        break;
    case 3: /* P_PIDFD */
        if (w.id < 0)
            return -EINVAL;
        w.kind = WANT_PID;
        w.id = pidfd_pid(w.id, &nonblock);
        if (w.id < 0)
            return w.id;
        nonblock = nonblock && !(w.options & WNOHANG);
        w.options |= nonblock ? WNOHANG : 0;
        break;
    default: return -EINVAL;
    }
    r = wait_for_child(&w);
    if (r == 0 && nonblock)
        r = -EAGAIN;
    memset(&info, 0, sizeof info); /* Linux clears it on errors as well */
    if (r > 0) {
        info.si_signo = SIGCHLD;
        info.si_code = w.code;
        info.si_pid = w.pid;
        info.si_uid = w.uid;
        info.si_status = w.status;
        rusage_set_times(&ru, w.cpu_ns, w.system_ns);
        if (a[4] && copy_to_guest(a[4], &ru, sizeof ru) < 0)
            return -EFAULT;
    }
    if (a[2] && r != -ERESTARTSYS && copy_to_guest(a[2], &info, sizeof info) < 0)
        return -EFAULT;
    return r < 0 ? r : 0;
}
