/* Making processes and threads: fork, vfork, clone and clone3; and pidfds, the descriptors that stand for a process. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/ipc/ipc.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/proc/trace.h"
#include "vkernel/seccomp/seccomp.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/vfs.h"
#include "x86/helpers.h"

#define CLONE_INTO_CGROUP_FLAG   0x200000000ull
#define CLONE_CLEAR_SIGHAND_FLAG 0x100000000ull
#define CLONE_NEWTIME_FLAG       0x80ull
#define NAMESPACES                                                                                          \
    ((uint64_t)CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET | CLONE_NEWTIME_FLAG)

#ifndef CLONE_DETACHED
#define CLONE_DETACHED 0x00400000
#endif
#define GUEST_TASK_SIZE 0x7ffffffff000ull

struct clone_args_kernel {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* --- pidfd --- */

/* A pidfd holds the process's number and start time instead of a reference, because a process is gone once it was
 * waited for. */
struct pidfd {
    int pid;
    uint64_t start_ns;
};

static struct process *
pidfd_process(const struct file *f)
{
    const struct pidfd *d = f->data;
    struct process *p = process_find(d->pid);

    return p && p->start_ns == d->start_ns ? p : NULL;
}

static unsigned
pidfd_poll(struct file *f, struct wait_queue **queues, unsigned *count, unsigned max)
{
    struct process *p = pidfd_process(f);

    if (!p)
        return POLLIN | POLLHUP;
    if (queues && *count < max)
        queues[(*count)++] = &p->pidfd_queue;
    return p->zombie ? POLLIN : 0;
}

OBJECT_POOL(pidfd);
OBJECT_POOL_SHARED(vfork_wait);

static void
pidfd_release(struct file *f)
{
    OBJECT_FREE(pidfd, f->data);
}

static int
pidfd_describe(const struct file *f, uint64_t *at, char *line, size_t size)
{
    struct process *p = pidfd_process(f);
    int pid = p ? p->pid : -1;

    return (*at)++ ? 0 : snprintf(line, size, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_ops OPS_TABLE(file_ops) pidfd_ops = {.name = "pidfd",
                                                              .poll = pidfd_poll,
                                                              .describe = pidfd_describe,
                                                              .release = pidfd_release};

static struct file *
pidfd_file(struct process *p, int flags)
{
    struct pidfd *d = OBJECT_NEW(pidfd);
    struct file *f = d ? file_new(&pidfd_ops, O_RDWR | flags) : NULL;

    if (!f) {
        OBJECT_FREE(pidfd, d);
        return NULL;
    }
    *d = (struct pidfd){.pid = p->pid, .start_ns = p->start_ns};
    f->data = d;
    return f;
}

static int
pidfd_install(struct process *p, int flags)
{
    struct file *f = pidfd_file(p, flags);

    if (!f)
        return -ENOMEM;
    return fd_install_or_put(f, O_CLOEXEC);
}

int
pidfd_pid(int fd, bool *nonblock)
{
    FILE_REF struct file *f = fd_get(fd);

    if (!f || f->ops != &pidfd_ops)
        return -EBADF;
    *nonblock = f->flags & O_NONBLOCK;
    return pidfd_process(f) ? pidfd_process(f)->pid : -ECHILD; /* the number may be another process's by now */
}

int64_t
sys_pidfd_open(const uint64_t a[6])
{
    struct process *p = process_find((int)a[0]);

    if ((int)a[0] <= 0 || (a[1] & ~(uint64_t)O_NONBLOCK))
        return -EINVAL;
    return p ? pidfd_install(p, (int)a[1] & O_NONBLOCK) : -ESRCH;
}

int64_t
sys_pidfd_send_signal(const uint64_t a[6])
{
    FILE_REF struct file *f = fd_get((int)a[0]);
    siginfo_t info = {.si_signo = (int)a[1], .si_code = SI_USER};
    int r, proc_pid = f && f->ops != &pidfd_ops ? proc_hooks.procfs_pid(f) : 0;
    struct process *p;

    if (!f || (f->ops != &pidfd_ops && proc_pid == 0))
        return -EBADF;
    if (a[3])
        return -EINVAL;
    p = proc_pid ? process_find(proc_pid) : pidfd_process(f);
    if (!p || p->zombie)
        return -ESRCH;
    info.si_pid = current_process()->pid;
    info.si_uid = current_process()->creds.uid;
    if (a[2]) {
        r = signal_info_from_guest(&info, a[2], (int)a[1], true);
        if (r < 0)
            return r;
        if (p->pid != current_task()->tid && (info.si_code >= 0 || info.si_code == SI_TKILL))
            return -EPERM;
    }
    r = signal_check_permission(p, (int)a[1]);
    return r < 0 || a[1] == 0 ? r : signal_send_info(p, NULL, &info);
}

/* --- clone --- */

/* Refuses the combinations of flags that Linux refuses (kernel/fork.c, copy_process and kernel_clone), and what does
 * not exist here: namespaces. */
static int64_t
check_flags(const struct clone_args_kernel *c)
{
    uint64_t f = c->flags;
    bool thread = f & CLONE_THREAD;

    if ((f & CLONE_PIDFD) && (f & CLONE_PARENT_SETTID) && c->pidfd == c->parent_tid)
        return -EINVAL;
    if ((f & CLONE_FS) && (f & (CLONE_NEWNS | CLONE_NEWUSER)))
        return -EINVAL;
    if ((thread && !(f & CLONE_SIGHAND)) || ((f & CLONE_SIGHAND) && !(f & CLONE_VM)))
        return -EINVAL;
    /* A child of the parent of process 1 would be outside of the container. */
    if ((f & CLONE_PARENT) && current_process() == init_process)
        return -EINVAL;
    if (thread && (f & (CLONE_NEWUSER | CLONE_NEWPID)))
        return -EINVAL;
    if ((f & CLONE_PIDFD) && (f & (CLONE_THREAD | CLONE_DETACHED)))
        return -EINVAL;
    if (f & NAMESPACES)
        return -EPERM;
    if (f & CLONE_INTO_CGROUP_FLAG)
        return -EBADF; /* there are no descriptors of cgroup2 directories here */
    if ((f & CLONE_SETTLS) && c->tls >= GUEST_TASK_SIZE)
        return -EPERM;
    return 0;
}

static struct process *
new_process(uint64_t flags, int exit_signal)
{
    struct process *parent = current_process(), *p = process_new(parent);
    struct fdtable *files;
    struct fs_context *fs;

    if (!p)
        return NULL;
    if (flags & CLONE_SIGHAND) {
        signal_actions_put(p->actions);
        p->actions = signal_actions_get(parent->actions);
    } else if (flags & CLONE_CLEAR_SIGHAND_FLAG) {
        signal_exec(p);
    }
    p->maker = current_task()->tid;
    p->exit_signal = flags & CLONE_PARENT ? parent->exit_signal : exit_signal;
    p->parent = flags & CLONE_PARENT ? parent->parent : parent;
    p->mm = flags & CLONE_VM ? mm_get(parent->mm) : mm_fork(parent->mm);
    files = current_files();
    fs = *task_fs(current_task());
    p->files = flags & CLONE_FILES ? fdtable_get(files) : fdtable_clone(files);
    p->fs = flags & CLONE_FS ? fs_context_get(fs) : fs_context_clone(fs);
    if (!p->mm || !p->files || !p->fs) {
        if (p->mm)
            mm_put(p->mm);
        if (p->files)
            fdtable_put(p->files);
        if (p->fs)
            fs_context_put(p->fs);
        process_free(p);
        return NULL;
    }
    return p;
}

/* Returns two references: that of the task that is being made, and the caller's. */
static struct vfork_wait *
vfork_new(void)
{
    struct vfork_wait *w = OBJECT_NEW(vfork_wait);

    if (w) {
        refcount_init(&w->refs);
        refcount_get(&w->refs);
        wait_queue_init(&w->queue);
    }
    return w;
}

/* Returns the number for the new task, or an error. wanted: 0, or the number that clone3 asks for (as Linux's
 * alloc_pid). */
static int64_t
new_id(int wanted)
{
    if (wanted == 0)
        return proc_allocate_id();
    if (wanted < 1 || wanted >= PROC_PID_MAX)
        return -EINVAL;
    if (!capable(CAP_SYS_ADMIN) && !capable(CAP_CHECKPOINT_RESTORE))
        return -EPERM;
    return proc_take_id(wanted);
}

/* Gives the new task what it has of the caller's registers and settings. */
static void
inherit(struct task *t, const struct clone_args_kernel *c)
{
    const struct task *self = current_task();
    struct x86_cpu *cpu = platform_fiber_cpu(t->sched.fiber);
    uint64_t flags = c->flags;

    t->blocked = self->restore_blocked ? self->saved_blocked : self->blocked;
    memcpy(t->comm, self->comm, sizeof t->comm);
    t->timer_slack = t->default_timer_slack = self->timer_slack;
    t->sched.affinity = self->sched.affinity;
    t->ioprio = self->ioprio;
    t->slice_ns = self->slice_ns;
    if (self->reset_on_fork && (self->policy == SCHED_FIFO || self->policy == SCHED_RR)) {
        t->policy = SCHED_OTHER;
        t->priority = 0;
    } else {
        t->policy = self->policy;
        t->priority = self->priority;
        if (self->reset_on_fork && t->process != self->process && t->process->nice < 0)
            t->process->nice = 0;
    }
    seccomp_inherit(t);
    x86_collect_mxcsr();
    x87_out();
    *cpu = x86_cpu_tls;
    cpu->gpr[X86_RAX] = 0;
    if (c->stack)
        cpu->gpr[X86_RSP] = c->stack + c->stack_size;
    if (flags & CLONE_SETTLS)
        cpu->fs_base = c->tls;
    if (flags & CLONE_CHILD_SETTID)
        t->set_child_tid = c->child_tid;
    if (flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = c->child_tid;
    /* An alternate stack belongs to the memory that it lies in: a child of fork or vfork keeps it, and whoever else
     * shares the memory does not. */
    if (!(flags & CLONE_VM) || (flags & CLONE_VFORK)) {
        t->altstack_sp = self->altstack_sp;
        t->altstack_size = self->altstack_size;
        t->altstack_flags = self->altstack_flags;
    } else {
        t->altstack_flags = SS_DISABLE;
    }
}

/* There is no room for one more process or thread. A notice tells the person at the container, because programs often
 * only give up. Returns the error. */
static int64_t
no_room(const char *limit, int error)
{
    audit_record(AUDIT_PROCESS, "limit-hit", false, "ingot.limit", limit, NULL);
    notice(NOTICE_PROCESSES, "no process or thread could be made: %s", limit);
    return error;
}

/* A task that is being made: nobody else can see it before start(). */
struct new_task {
    const struct clone_args_kernel *args;
    bool thread;              /* of the current process; if not, the first one of a new process */
    struct process *process;  /* the one or the other */
    struct task *task;        /* NULL until make_task() has made it */
    struct vfork_wait *vfork; /* of CLONE_VFORK: the caller's reference, and from start() on also the task's */
    struct trace *trace;      /* how it is traced; NULL: it is not. start() gives the reference to the task */
    int tid;
};

/* Makes the task, and its process if it gets one, within the user's limit. */
static int64_t
make_task(struct new_task *n)
{
    if (!n->thread)
        n->process = new_process(n->args->flags, (int)n->args->exit_signal);
    if (!n->process)
        return no_room("the host gives no more memory or addresses", -ENOMEM);
    n->task = task_new(n->process);
    if (n->task && n->thread)
        task_charge(n->task);
    if (process_limit_reached(n->process))
        return no_room("the user's limit of processes (RLIMIT_NPROC) is reached", -EAGAIN);
    if (!n->task)
        return no_room("the host gives no more memory or addresses", -EAGAIN);
    if (sem_task_made(n->task, n->args->flags & CLONE_SYSVSEM) < 0)
        return no_room("the host gives no more memory or addresses", -ENOMEM);
    if (n->thread && thread_own_make(n->task, n->args->flags) < 0)
        return no_room("the host gives no more memory or addresses", -ENOMEM);
    return 0;
}

static int64_t
choose_number(struct new_task *n)
{
    int64_t id = new_id(n->args->set_tid_size ? (int)n->args->set_tid : 0);

    if (id == -EAGAIN)
        return no_room("the container has as many as it may have (--pids)", -EAGAIN);
    if (id < 0)
        return id;
    n->tid = (int)id;
    if (!n->thread)
        n->process->pid = n->tid;
    return 0;
}

/* What the caller asked to find in its memory, a pidfd among it. */
static int64_t
tell_caller(const struct new_task *n)
{
    const struct clone_args_kernel *c = n->args;

    if (c->flags & CLONE_PIDFD) {
        struct file *f = pidfd_file(n->process, 0);
        int64_t r = f ? fd_install_told(&f, 1, O_CLOEXEC, c->pidfd) : -ENOMEM;

        if (r < 0) {
            file_put(f);
            return r;
        }
    }
    if (c->flags & CLONE_PARENT_SETTID)
        (void)copy_to_guest(c->parent_tid, &n->tid, sizeof n->tid); /* Linux ignores a failure here, too */
    return 0;
}

/* Lets everybody see the task, and lets it run. */
static void
start(const struct new_task *n)
{
    struct process *p = n->process;
    struct task *t = n->task;

    t->tid = n->tid;
    t->vfork = n->vfork;
    inherit(t, n->args);
    if (!n->thread) {
        p->leader = t;
        list_append(&process_list, &p->all);
        process_number(p);
        list_append(&p->parent->children, &p->sibling);
    }
    list_append(&p->threads, &t->thread_link);
    p->thread_count++;
    task_number(t, n->tid);
    proc_tasks_made++;
    if (n->trace)
        trace_child_begins(n->trace, t);
    sched_add(t);
}

/* Frees what was made of a task that is not to be. */
static void
abandon(struct new_task *n)
{
    struct process *p = n->process;

    OBJECT_FREE(vfork_wait, n->vfork);
    if (n->trace)
        trace_put(n->trace);
    if (n->task) {
        sem_task_leaves(n->task); /* the caller shares it */
        thread_own_end(n->task);
        task_uncharge(n->task);
        n->task->process = current_process(); /* task_free() reads this field */
        sched_abandon(n->task);
        task_free(n->task);
    }
    if (!n->thread && p) {
        mm_put(p->mm);
        fdtable_put(p->files);
        fs_context_put(p->fs);
        process_free(p);
    }
}

/* Until the child has other memory, or is gone: true; or until somebody kills the waiter. */
static bool
wait_for_vfork(struct vfork_wait *w)
{
    bool done;

    while (!w->done)
        if (wait_on_killable(&w->queue, WAIT_FOREVER) < 0)
            break;
    done = w->done;
    vfork_put(w);
    return done;
}

static int64_t
do_clone(const struct clone_args_kernel *c)
{
    bool thread = c->flags & CLONE_THREAD;
    struct new_task n = {.args = c, .thread = thread, .process = thread ? current_process() : NULL};
    struct task *self = current_task();
    int event = 0;
    bool failed = false;
    int64_t r = check_flags(c);

    if (r < 0)
        return r;
    /* Another processor may have sent a signal since the call began. One to a whole group, or to all, must reach the
     * new task or keep it from being made, so the call begins again behind it, as in Linux (copy_process). */
    if (signal_pending_current())
        return -ERESTARTNOINTR;
    r = make_task(&n);
    if (r == 0)
        r = choose_number(&n);
    if (r == 0 && (c->flags & CLONE_VFORK) && !(n.vfork = vfork_new()))
        r = -ENOMEM;
    if (r == 0 && self->trace) {
        event = trace_clone_event(self, c->flags, (int)c->exit_signal);
        n.trace = trace_of_child(self, c->flags, event, &failed);
    }
    if (r == 0 && failed)
        r = -ENOMEM;
    if (r == 0)
        r = tell_caller(&n);
    if (r < 0) {
        abandon(&n);
        return r;
    }
    start(&n);
    if (event)
        trace_event(self, event, (uint64_t)n.tid);
    if (n.vfork && wait_for_vfork(n.vfork) && self->trace)
        trace_event(self, PTRACE_EVENT_VFORK_DONE, (uint64_t)n.tid);
    return n.tid;
}

int64_t
sys_fork(const uint64_t a[6])
{
    struct clone_args_kernel c = {.exit_signal = SIGCHLD};

    return do_clone(&c);
}

int64_t
sys_vfork(const uint64_t a[6])
{
    struct clone_args_kernel c = {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD};

    return do_clone(&c);
}

int64_t
sys_clone(const uint64_t a[6])
{
    struct clone_args_kernel c = {
        .flags = a[0] & 0xffffff00u,
        .exit_signal = a[0] & 0xff,
        .stack = a[1],
        .parent_tid = a[2],
        .pidfd = a[2],
        .child_tid = a[3],
        .tls = a[4],
    };

    return do_clone(&c);
}

/* Refuses the arguments that Linux refuses (kernel/fork.c, copy_clone_args_from_user and clone3_args_valid). */
static int64_t
check_clone3(struct clone_args_kernel *c, uint64_t size)
{
    enum { MAX_LEVEL = 32, SIZE_V2 = 88 };
    int32_t wanted;

    if (c->set_tid_size > MAX_LEVEL || !c->set_tid != !c->set_tid_size || c->exit_signal > 64)
        return -EINVAL;
    if ((c->flags & CLONE_INTO_CGROUP_FLAG) && (c->cgroup > INT32_MAX || size < SIZE_V2))
        return -EINVAL;
    if ((c->flags & ~(0xffffffffull | CLONE_CLEAR_SIGHAND_FLAG | CLONE_INTO_CGROUP_FLAG)) ||
        (c->flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME_FLAG))))
        return -EINVAL;
    if ((c->flags & CLONE_SIGHAND) && (c->flags & CLONE_CLEAR_SIGHAND_FLAG))
        return -EINVAL;
    if ((c->flags & (CLONE_THREAD | CLONE_PARENT)) && c->exit_signal)
        return -EINVAL;
    if (!c->stack != !c->stack_size || c->stack >= GUEST_TASK_SIZE || c->stack_size > GUEST_TASK_SIZE - c->stack)
        return -EINVAL;
    if (c->set_tid_size) {
        if (copy_from_guest(&wanted, c->set_tid, sizeof wanted) < 0)
            return -EFAULT;
        if (c->set_tid_size > 1 || wanted == 0) /* there is one pid namespace */
            return -EINVAL;
        c->set_tid = (uint64_t)(int64_t)wanted;
    }
    return 0;
}

int64_t
sys_clone3(const uint64_t a[6])
{
    enum { SIZE_V0 = 64, SIZE_MAX_ACCEPTED = 4096 };
    struct clone_args_kernel c = {0};
    uint64_t size = a[1];
    uint8_t extra;
    int64_t r;

    if (size > SIZE_MAX_ACCEPTED)
        return -E2BIG;
    if (size < SIZE_V0)
        return -EINVAL;
    if (copy_from_guest(&c, a[0], size < sizeof c ? size : sizeof c) < 0)
        return -EFAULT;
    for (uint64_t i = sizeof c; i < size; i++) {
        if (copy_from_guest(&extra, a[0] + i, 1) < 0)
            return -EFAULT;
        if (extra)
            return -E2BIG;
    }
    r = check_clone3(&c, size);
    return r < 0 ? r : do_clone(&c);
}

int64_t
sys_unshare(const uint64_t a[6])
{
    struct process *p = current_process();
    int r;

    if (a[0] & NAMESPACES)
        return -EPERM;
    if (a[0] & ~(uint64_t)(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
        return -EINVAL;
    if (p->thread_count > 1 && (a[0] & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)))
        return -EINVAL;
    if ((a[0] & (CLONE_SIGHAND | CLONE_VM)) && !signal_actions_own(p))
        return -EINVAL;
    if ((a[0] & CLONE_VM) && !refcount_is_one(&p->mm->refs))
        return -EINVAL;
    r = thread_own_unshare(a[0]);
    if (r < 0)
        return r;
    if (a[0] & CLONE_SYSVSEM)
        sem_task_leaves(current_task());
    return 0;
}
